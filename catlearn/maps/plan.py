"""A plan: the steps that apply a map to so many vectors, and those that take a cotangent back to the input and the parameters.

The forward pass is one of three: *planned* (choices at every node, see ``planner``), *factored* (every map as it is built) and *dense*
(the map written out). The backward pass picks the input's cotangent and the parameters' separately, each the reverse of one of the
three; the input's may also be the *transposed* map, planned by itself, and the parameters' may sum over the vectors first. All are
chosen together: the lightest, what they share counted once. So the forward pass may multiply by a merged weight while the gradients go
through the factors.

>>> from catlearn.maps import dense
>>> f = dense("W", 512, 512, trainable=False) + (dense("A", 2, 512) >> dense("B", 512, 2))
>>> p = f.plan(100_000)
>>> p.chosen
{'forward': 'planned', 'input': 'planned', 'parameters': 'factored'}
>>> print(f.plan(8).forward)
4 steps, 4,231,168 flops, 49,216 bytes of results for 8 vectors of 4 bytes an entry
  r4  = W · x                     (8)×512       4,194,304 flops
  r5  = A · x                     (8)×2            16,384 flops
  r6  = B · r5                    (8)×512          16,384 flops
  r7  = r4 + r6                   (8)×512           4,096 flops
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

from catlearn import errors
from catlearn.maps.affine import Affine
from catlearn.maps.base import Map
from catlearn.maps.costs import KEPT, weight
from catlearn.maps.planner import Builder
from catlearn.maps.program import MADE, Compiled, compiled
from catlearn.maps.reverse import reverse
from catlearn.maps.tape import TOKENS, Tape

POLICIES = ("planned", "factored", "dense")
AGAIN = 9  # a weight is made twice for at most tokens / 9 flops an entry, a fiftieth of what the three products of the vectors with it cost
VIEWS = ("reshape", "permute", "stop", "repeat")


@dataclass(frozen=True)
class Pass:
    """Steps from registers that are there to registers that are wanted."""

    tape: Tape
    known: tuple[int, ...]
    outs: tuple[int, ...]

    @cached_property
    def order(self) -> list[int]:
        """The steps, without inputs and parameters."""
        return [r for r in self.tape.live(self.outs, self.known) if self.tape.steps[r].kind not in ("input", "param")]

    @property
    def flops(self) -> int:
        """Floating-point operations."""
        return sum(map(self.tape.flops, self.order))

    def bytes(self, itemsize: int = 4) -> int:
        """Bytes of all results that are not views."""
        return itemsize * sum(self.tape.numel(r) for r in self.order if self.tape.steps[r].kind not in VIEWS)

    @property
    def weight(self) -> int:
        """What the planner compares: flops, results, number of steps."""
        return weight(self.tape, self.order)

    def __str__(self) -> str:
        shown = [r for r in self.order if self.tape.steps[r].kind not in VIEWS]
        size = f"{self.flops:,} flops, {self.bytes():,} bytes of results"
        head = f"{len(shown)} steps, {size} for {self.tape.tokens:,} vectors of 4 bytes an entry"
        return "\n".join([head, *(self.line(r) for r in shown)])

    def line(self, r: int) -> str:
        """One step in words."""
        step, names = self.tape.steps[r], [self.name(a) for a in self.tape.steps[r].args]
        lead = f"({self.tape.count(step.lead)})×" if step.lead else ""
        shape = lead + ("×".join(map(str, step.shape)) if step.shape else "1")
        if step.kind == "einsum":
            (ins, out), count = step.with_, len(names)
            summed = count == 2 and set("".join(ins)) - set(out)
            simple = f" {'·' if summed else '∘'} ".join(reversed(names)) if count == 2 else f"sum {names[0]}"
            what = simple if count == 1 or max(map(len, ins)) <= 2 else f"{simple}  [{','.join(ins)}->{out}]"
            what += "  (over all vectors)" if not step.lead and any(self.tape.lead(a) for a in step.args) else ""
        else:
            what = {"add": " + ".join(names), "shift": " + ".join(names),
                    "scale": f"{step.with_[0] if step.with_ else ''}·{names[0] if names else ''}",
                    "power": f"{names[0] if names else ''}^{step.with_[0] if step.with_ else ''}"}.get(step.kind)  # fmt: skip
            what = what or f"{step.kind} {', '.join(names)}".rstrip()
        return f"  r{r:<2} = {what:25} {shape:12} {self.tape.flops(r):>10,} flops"

    def name(self, r: int) -> str:
        """A register's name: of an input or a parameter its own; views are looked through."""
        step = self.tape.steps[r]
        if step.kind in VIEWS:
            return self.name(step.args[0]) + ("ᵀ" if step.kind == "permute" else "")
        return str(step.with_[0]) if step.kind in ("input", "param") else f"r{r}"


@dataclass(frozen=True)
class Plan:
    """How a map is applied to ``tokens`` vectors. ``chosen`` says which alternative each pass is; ``using`` replaces one."""

    map: Map | Affine
    tokens: int
    tape: Tape
    x: int
    dy: int
    params: dict[str, int]  # name → register
    outs: dict[str, int]  # policy → the result's register
    cotangents: dict[str, dict[int, int]]  # policy → register → its cotangent
    wanted: tuple[int, ...]  # x and the parameters whose cotangents are wanted
    chosen: dict[str, str]
    noise: tuple[int, ...] = ()

    def using(self, **passes: str) -> Plan:
        """The same plan with other choices: ``forward=``, ``input=``, ``parameters=``, each one of ``outs`` or ``ways``."""
        known = {"forward": tuple(self.outs), "input": self.ways("input"), "parameters": self.ways("parameters")}
        bad = {k: v for k, v in passes.items() if k not in known or v not in known[k]}
        if bad:
            raise errors.BadMap(f"no such pass: {', '.join(f'{k}={v!r}' for k, v in bad.items())}",
                                [f"passes: {', '.join(known)}", *(f"{k}: one of {', '.join(v)}" for k, v in known.items())])  # fmt: skip
        return Plan(self.map, self.tokens, self.tape, self.x, self.dy, self.params, self.outs, self.cotangents, self.wanted,
                    {**self.chosen, **passes}, self.noise)  # fmt: skip

    def ways(self, side: str) -> tuple[str, ...]:
        """The policies of a side of the backward pass, ``input`` or ``parameters``."""
        if side == "parameters":
            return tuple(policy for policy in self.cotangents if policy != "transposed")
        return (*self.outs, *(policy for policy in self.cotangents if policy == "transposed"))

    @cached_property
    def forward(self) -> Pass:
        """From x and the parameters to y."""
        return Pass(self.tape, (), (self.outs[self.chosen["forward"]],))

    @cached_property
    def grads(self) -> dict[int, int]:
        """The register of each wanted cotangent; none where it is zero."""
        sides = {r: self.chosen["input" if r == self.x else "parameters"] for r in self.wanted}
        return {r: self.cotangents[side][r] for r, side in sides.items() if r in self.cotangents[side]}

    @cached_property
    def backward(self) -> Pass:
        """From dy, and what the forward pass has kept, to the wanted cotangents. What is light is made again rather than kept."""
        again = computed_again(self.tape, self.forward.order)
        return Pass(self.tape, tuple(r for r in self.forward.order if r not in again), tuple(self.grads.values()))

    @cached_property
    def saved(self) -> tuple[int, ...]:
        """What the forward pass keeps for the backward pass, beside x and the parameters."""
        read = {a for r in self.backward.order for a in self.tape.steps[r].args} | set(self.backward.outs)
        return tuple(sorted(read & set(self.forward.order) - set(self.backward.order)))

    @cached_property
    def places(self) -> tuple[int | None, ...]:
        """For each input: which of the cotangents in ``grads`` is its own, -1 where it is zero, None where it is not wanted."""
        found = {r: k for k, r in enumerate(self.grads)}
        return tuple(found.get(r, -1) if r in self.wanted else None for r in self.inputs)

    @cached_property
    def makes(self) -> bool:
        """Whether the result surely has memory of its own."""
        r = self.forward.outs[0]
        while self.tape.steps[r].kind in ("reshape", "permute", "fold", "unfold"):
            r = self.tape.steps[r].args[0]
        step = self.tape.steps[r]
        return step.kind in MADE and (step.kind != "einsum" or len(step.args) == 2)

    def __str__(self) -> str:
        saved = sum(self.tape.numel(r) for r in self.saved)
        choice = ", ".join(f"{k} {v}" for k, v in self.chosen.items())
        head = f"{self.map} on {self.tokens:,} vectors: {choice}"
        return f"{head}\nforward: {self.forward}\nbackward: {self.backward}\nkept between: {saved:,} entries"

    # -- as functions --------------------------------------------------------------------------------------------------

    @property
    def inputs(self) -> list[int]:
        return [self.x, *self.params.values(), *self.noise]

    @cached_property
    def alone(self) -> Compiled:
        """(x, *params, *noise) → (y,), nothing kept, nothing differentiable."""
        return compiled(self.tape, self.inputs, [*self.forward.outs], accumulate=True)

    @cached_property
    def plain(self) -> Compiled:
        """(x, *params, *noise) → (y,), differentiable by torch."""
        return compiled(self.tape, self.inputs, [*self.forward.outs])

    @cached_property
    def keeping(self) -> Compiled:
        """(x, *params, *noise) → (y, *saved)."""
        return compiled(self.tape, self.inputs, [*self.forward.outs, *self.saved], accumulate=True)

    @cached_property
    def back(self) -> Compiled:
        """(x, *params, *noise, *saved, dy) → the cotangents in ``grads``."""
        return compiled(self.tape, [*self.inputs, *self.saved, self.dy], list(self.grads.values()), accumulate=True)

    @cached_property
    def back_again(self) -> Compiled:
        """(x, *params, *noise, dy) → the cotangents in ``grads``, differentiable by torch."""
        return compiled(self.tape, [*self.inputs, self.dy], list(self.grads.values()))


def plan_of(f: Map | Affine, tokens: int, force: str | None = None, wanted: Sequence[str] | None = None, with_input: bool = True) -> Plan:
    """The plan for so many vectors; the names of the parameters whose gradients are wanted, by default the trainable ones."""
    if not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 0 or force not in (None, *POLICIES):
        raise errors.BadMap(f"plan({tokens!r}, force={force!r})", [f"needed: a number of vectors, and force one of {', '.join(POLICIES)}"])
    try:
        return written(f, tokens, force, wanted, with_input)
    except RecursionError:
        raise errors.BadMap("this map is nested too deeply to be planned", next="write a long chain or sum as one, f >> g >> h") from None


def written(f: Map | Affine, tokens: int, force: str | None, wanted: Sequence[str] | None, with_input: bool) -> Plan:
    """All the ways on one tape, and the lightest of them."""
    whole = f if isinstance(f, Affine) else Affine(f)
    tape = Tape(max(1, tokens))
    x = tape.input(f.dom)
    params = {name: tape.param(name, tuple(int(n) for n in p.wire.shape)) for name, p in f.params.items()}  # type: ignore[arg-type]
    memo: dict[Any, int] = {}
    planned = Builder(tape, memo=memo, noise=whole.noise)
    noise = tuple(drop.register(tape) for drop in whole.drops)
    outs = {"planned": planned.affine(whole.linear, whole.shift, x),
            "factored": Builder(tape, "factored", noise=whole.noise).affine(whole.linear, whole.shift, x)}  # fmt: skip
    if not noise:
        outs["dense"] = planned.product_with(planned.matrix(whole.linear), x, f.dom, f.cod)
        outs["dense"] = outs["dense"] if whole.shift is None else tape.shift(outs["dense"], planned.matrix(whole.shift))
    dy = tape.input(f.cod, "dy")
    names = [name for name, p in f.params.items() if p.trainable] if wanted is None else wanted
    targets = (*([x] if with_input else []), *(params[name] for name in names))
    cotangents = {policy: reverse(tape, {y: dy}, targets) for policy, y in outs.items()}
    cotangents |= {f"{policy}, summed first": reverse(tape, {y: dy}, targets, outside=True) for policy, y in outs.items()}
    if with_input:  # the transpose is a map too, and may be associated in another way than the reversed forward pass
        cotangents["transposed"] = {x: planned.apply(whole.linear.T, dy)}
    chosen: dict[str, str] = dict.fromkeys(("forward", "input", "parameters"), "planned")
    plan = Plan(f, tokens, tape, x, dy, params, outs, cotangents, targets, chosen, noise)
    return lightest(plan) if force is None else plan.using(forward=force, input=force, parameters=force)


def computed_again(tape: Tape, order: Sequence[int]) -> set[int]:
    """The results of a forward pass that its backward pass makes once more rather than keep: a product, entry by entry, of what is there
    anyway; and of those that no vector enters, such as a weight W + B·A written out, the ones that are light to make.

    Having such a result costs the less of two: keeping it, or its step and what its arguments cost.
    """
    price, again = dict[int, float](), set[int]()
    for r in order:
        step, keeping = tape.steps[r], tape.numel(r) * tape.tokens / AGAIN
        if TOKENS in step.lead:
            entrywise = step.kind == "einsum" and len(step.args) == 2 and set("".join(step.with_[0])) <= set(step.with_[1])
            light, making = entrywise and all(tape.steps[a].kind in ("input", "param") for a in step.args), keeping
        else:
            making = weight(tape, (r,)) + sum(price.get(a, 0) for a in step.args)
            light = making < keeping
        price[r] = min(making, keeping)
        if light:
            again.add(r)
    return again


def lightest(plan: Plan) -> Plan:
    """The plan whose passes together are lightest, with what is kept between them; where nothing learns, its forward pass."""
    tape, into, down = plan.tape, [r for r in plan.wanted if r == plan.x], [r for r in plan.wanted if r != plan.x]
    there = {policy: set(Pass(tape, (), (y,)).order) for policy, y in plan.outs.items()}
    grads = {(side, policy): {found[r] for r in wanted if r in found}
             for policy, found in plan.cotangents.items() for side, wanted in (("into", into), ("down", down))}  # fmt: skip
    back = {way: set(Pass(tape, (), tuple(found)).order) for way, found in grads.items()}
    again = {policy: computed_again(tape, sorted(steps)) for policy, steps in there.items()}
    heavy = {r: weight(tape, (r,)) for r in set().union(*there.values(), *back.values())}

    def total(way: tuple[str, ...]) -> int:
        forward, one, two = there[way[0]], ("into", way[1]), ("down", way[2])
        known = forward - again[way[0]]
        rest = tape.live(grads[one] | grads[two], known)
        kept = ({a for r in rest for a in tape.steps[r].args} | grads[one] | grads[two]) & known
        return sum(heavy.get(r, 0) for r in (*forward, *rest)) + KEPT * sum(map(tape.numel, kept))

    ways = product(plan.outs, plan.ways("input") if into else ("planned",), plan.ways("parameters") if down else ("planned",))
    best = min(ways, key=total)
    return plan.using(forward=best[0], input=best[1], parameters=best[2])
