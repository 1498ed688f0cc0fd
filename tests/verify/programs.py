"""Random programs with random claims, made as lists of nodes and judged by numbers alone: nothing here asks the prover.

A ``Draft`` grows node by node; every wire is computed for the inputs and for moved inputs, so that what is no natural map can mostly be
left out. ``broken`` makes one random edit. ``claims`` are types that the moved outputs have, by a few elements; ``refuted`` asks many.

>>> case = generate(0)
>>> refuted(case, elements=5), len(case.program.outputs)
(None, 1)
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, product
from typing import Any

import torch
from torch import Tensor

from catlearn.verify.kernel import Given, Node, Program, Wire
from catlearn.verify.rules import TABLE, Value, reduce
from catlearn.verify.types import Axis, Factor, Type, dual, normal, plain
from catlearn.verify.types import moved as translated
from tests.verify.numeric import LEAST, Element, Sample, agrees, apply, close, evaluate, kind_of, resolved, sample
from tests.verify.probing import probe

LARGE, MANY, GUIDES = 1e4, 300, 3
LABELS = [
    ("X", "S", (2, 3, 4, 5)),
    ("X", "S", (2, 3, 4, 5)),
    ("X", "A", (3, 4)),
    ("X", "Z", (3, 4, 5)),
    ("V", "O", (2, 3)),
    ("V", "SO", (2, 3)),
    ("V", "Sp", (2, 4)),
    ("c", "T", (2, 3)),
]


@dataclass(frozen=True)
class Case:
    """A program, what acts on its data, how that is claimed to act on its output, and what its integers are below."""

    program: Program
    dom: tuple[Type, ...]
    cod: tuple[Type, ...]
    high: tuple[int, ...]
    broken: bool = False

    def samples(self, seed: int) -> list[Sample]:
        """Random data and random weights."""
        found, data = [], iter(zip(self.dom, self.high, strict=True))
        for k, given in enumerate(self.program.inputs):
            value = self.program.wires[given.wire]
            type, high = next(data) if given.role == "data" else (Type(tuple(plain(n) for n in value.shape)), 4)
            found.append(sample(type, value.kind, 1000 * seed + k, high))
        return found

    def outputs(self, samples: Sequence[Sample], g: Element | None = None) -> list[Tensor]:
        """What comes out of the data moved by g."""
        wires = evaluate(self.program, [s.at(g) for s in samples])
        return [wires[out] for out in self.program.outputs]

    def vacuous(self) -> bool:
        """Whether the output does not see the data at all, as that of x - x: then whatever is true of it is true by accident."""
        first, other = self.samples(0), self.samples(1)
        mixed = [b if given.role == "data" else a for a, b, given in zip(first, other, self.program.inputs, strict=True)]
        return all(close(x, y) for x, y in zip(self.outputs(first), self.outputs(mixed), strict=True))


@dataclass
class Draft:
    """A program while it is made: every wire with its tensors for the inputs and for the moved inputs, integers with their bound."""

    rng: random.Random
    world: list[Factor]
    guided: bool = True
    dom: list[Type] = field(default_factory=list)
    bounds: list[int] = field(default_factory=list)
    inputs: list[Given] = field(default_factory=list)
    wires: list[Value] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    high: dict[int, int] = field(default_factory=dict)
    states: list[dict[int, Tensor]] = field(default_factory=lambda: [{} for _ in range(GUIDES + 1)])

    def data(self, type: Type, kind: str = "float", high: int = 4) -> int:
        """A new input on which something acts."""
        drawn = sample(type, kind, self.rng.randrange(2**31), high)
        self.dom.append(type)
        self.bounds.append(high)
        return self._given("data", [drawn.at(Element.of(k - 1) if k else None) for k in range(GUIDES + 1)], high)

    def parameter(self, *shape: int) -> Wire:
        """A new weight."""
        x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(self.rng.randrange(2**31)))
        return Wire(self._given("parameter", [x] * (GUIDES + 1), 0))

    def _given(self, role: str, tensors: Sequence[Tensor], high: int) -> int:
        place = self._wire(tensors)
        self.inputs.append(Given(place, role, f"{role}{place}"))
        self.high[place] = high
        return place

    def _wire(self, tensors: Sequence[Tensor]) -> int:
        self.wires.append(Value(tuple(tensors[0].shape), kind_of(tensors[0])))
        for state, x in zip(self.states, tensors, strict=True):
            state[len(self.wires) - 1] = x
        return len(self.wires) - 1

    def emit(self, op: str, args: dict[str, Any], kind: str | None = None, high: int = 0, free: bool = False) -> list[int] | None:
        """A new node, if it can be computed and, mostly, if what comes out still moves by some type."""
        op = f"aten.{op}" if "." in op else f"aten.{op}.default"
        try:
            found = [apply(op, {n: resolved(a, state) for n, a in args.items()}, kind) for state in self.states]
        except (RuntimeError, IndexError, ValueError, TypeError):
            return None
        if any(
            x.numel() > MANY or x.numel() == 0 or x.dim() > 4 or not x.isfinite().all() or x.abs().max() > LARGE
            for x in found[0]
            if x.dtype != torch.bool
        ):
            return None
        natural = all(truths(self.world, xs) for xs in zip(*found, strict=True))
        if self.guided and not free and not natural and self.rng.random() < 0.93:
            return None
        outs = [self._wire(list(xs)) for xs in zip(*found, strict=True)]
        self.high.update({o: high for o in outs if self.wires[o].kind == "index"})
        self.nodes.append(Node(op, args, tuple(outs)))
        return outs

    def pick(self, kind: str = "float", rank: int = 0, test: Callable[[tuple[int, ...]], bool] = lambda s: True) -> Wire | None:
        """A wire of a kind and at least a rank, rather a late one."""
        found = [k for k, v in enumerate(self.wires) if v.kind == kind and len(v.shape) >= rank and test(v.shape) and self._used(k)]  # type: ignore[arg-type]
        if not found:
            return None
        return Wire(found[-1] if self.rng.random() < 0.6 else self.rng.choice(found))

    def _used(self, k: int) -> bool:
        return all(g.wire != k or g.role == "data" for g in self.inputs)

    def shape(self, w: Wire) -> tuple[int, ...]:
        return self.wires[w.place].shape  # type: ignore[return-value]

    def axis(self, w: Wire) -> int:
        """A random axis, counted from either end."""
        n = len(self.shape(w))
        return self.rng.randrange(-n, n)

    def program(self, out: int) -> Program:
        """What the output needs, renumbered."""
        maker = {o: k for k, node in enumerate(self.nodes) for o in node.outs}
        needed, stack = set(), [out]
        while stack:
            w = stack.pop()
            if w in maker and maker[w] not in needed:
                needed.add(maker[w])
                stack += places(self.nodes[maker[w]].args)
        nodes = [n for k, n in enumerate(self.nodes) if k in needed]
        used = {p for n in nodes for p in places(n.args)} | {out}
        inputs = [g for g in self.inputs if g.role == "data" or g.wire in used]
        order = [g.wire for g in inputs] + [o for n in nodes for o in n.outs]
        number = {old: new for new, old in enumerate(sorted(order))}
        moved = tuple(Node(n.op, renumbered(n.args, number), tuple(number[o] for o in n.outs)) for n in nodes)
        wires = tuple(self.wires[old] for old in sorted(order))
        return Program(wires, tuple(replace(g, wire=number[g.wire]) for g in inputs), moved, (number[out],), {})


def places(arg: Any) -> list[int]:
    """The wires in an argument."""
    if isinstance(arg, Wire):
        return [arg.place]
    items = arg.values() if isinstance(arg, dict) else arg if isinstance(arg, list | tuple) else ()
    return [p for x in items for p in places(x)]


def renumbered(arg: Any, number: dict[int, int]) -> Any:
    """An argument with its wires renumbered."""
    if isinstance(arg, Wire):
        return Wire(number[arg.place])
    if isinstance(arg, dict):
        return {k: renumbered(v, number) for k, v in arg.items()}
    return [renumbered(x, number) for x in arg] if isinstance(arg, list) else arg


# -- what is true, by numbers ----------------------------------------------------------------------------------------


def options(n: int, world: Sequence[Factor]) -> list[Axis]:
    """Ways in which the world may act along an axis of n, the fullest first."""
    all_of = [*world, *(replace(f, group=dual(f.group)) for f in world if dual(f.group) != f.group)]
    bare = list(dict.fromkeys(replace(f, shift=0) for f in all_of if f.kind != "c"))
    found: list[Axis] = [(replace(f, shift=s),) for f in world if f.size == n and f.shift != 0 for s in (1, 2, -1)]
    found += [(f,) for f in bare if f.size == n]
    for f in bare:
        k = f.size
        if isinstance(k, int) and 1 < k < n and n % k == 0:
            c = Factor("c", n // k)
            found += [(f, h) for h in (*bare, c) if h.size == n // k] + [(h, f) for h in (*bare, c) if h.size == n // k and h != f]
        if isinstance(k, int) and f.kind == "X" and k < n:
            found += [(Factor("+", n, parts=p),) for p in ((plain(n - k), (f,)), ((f,), plain(n - k)))]
            found += [(Factor("+", n, parts=((f,), (h,))),) for h in bare if h.kind == "X" and h.size == n - k]
    return [*found, plain(n)]


def truths(world: Sequence[Factor], xs: Sequence[Tensor], first: bool = True) -> list[Type]:
    """Types by which the first tensor moves to the others; the fullest only, or all."""
    kind = kind_of(xs[0])
    choices = [options(n, [f for f in world if kind == "float" or f.kind == "X"]) for n in xs[0].shape]
    places = list(islice(product(*(range(len(axes)) for axes in choices)), 400))
    types = [(Type(tuple(normal(axes[i]) for axes, i in zip(choices, at, strict=True))), at) for at in places]
    types.sort(key=lambda t: sum(all(f.kind == "c" and f.shift == 0 for f in axis) for axis in t[0].axes))
    if kind == "index":
        types = [(replace(t, points=(f,)), at) for f in world if f.kind == "X" for t, at in types] + types
    if kind == "float":
        types += [(replace(t, sign=(f.group,)), at) for f in world if f.group.startswith("O(") for t, at in types if not shifted(t)]
    g, found, likely = Element.of(0), list[Type](), dict[tuple[str, ...], Tensor]()
    for t, at in types:
        bound = 10**9 if t.points is None else int(t.points[0].size)  # type: ignore[arg-type]
        if kind == "index" and (int(xs[0].max()) >= bound or int(xs[0].min()) < 0):
            continue
        if t.points is None and not shifted(t):
            if t.sign not in likely:
                likely[t.sign] = probe(choices, xs[0], xs[1], g, det(g, t.sign))
            if not likely[t.sign][at]:
                continue
        if all(agrees(t, Element.of(k), x, xs[0]) is None for k, x in enumerate(xs[1:])):
            found.append(t)
            if first:
                break
    return found


def det(g: Element, sign: tuple[str, ...]) -> float:
    """By what the determinants in front multiply."""
    return math.prod(float(g.act(Type((), sign=(label,)), torch.ones((), dtype=torch.float64))) for label in sign)


def shifted(t: Type) -> bool:
    return any(f.shift != 0 for axis in t.axes for f in axis)


def refuted(case: Case, elements: int = 200) -> str | None:
    """A reason why the claim is false, by random elements, data and weights; None if there is none."""
    samples: list[Sample] = []
    still: list[Tensor] = []
    for k in range(elements):
        g = Element.of(k)
        if k % 20 == 0:
            samples = case.samples(k // 20)
            still = case.outputs(samples)
        for type, moved, x in zip(case.cod, case.outputs(samples, g), still, strict=True):
            wrong = agrees(type, g, moved, x)
            if wrong is not None:
                return f"{wrong}, under the element {k}"
    return None


def tied(case: Case, elements: int = 200) -> bool:
    """Whether two entries are the same where the place of one is asked for, so that a proof that assumes that none are says nothing."""
    for k in range((elements + 19) // 20):
        wires = evaluate(case.program, [s.at() for s in case.samples(k)])
        for node in case.program.nodes:
            if TABLE.get(node.op) in (reduce.extreme, reduce.argument, reduce.sorting, reduce.argsorting):
                x = wires[node.args["self"].place].double()
                apart = x.movedim(int(node.args["dim"]), -1).sort().values.diff() if x.dim() else x
                if x.dim() and bool((apart.abs() < LEAST).any()):
                    return True
    return False


# -- making them -----------------------------------------------------------------------------------------------------


def start(rng: random.Random) -> Draft:
    """Random groups and data on which they act."""
    world = []
    for kind, name, sizes in rng.sample(LABELS, rng.choice([1, 2, 2, 3])):
        n = rng.choice(sizes)
        label = f"{name}({n}, name='b')" if rng.random() < 0.15 and kind == "X" else f"{name}({n})"
        world.append(Factor(kind, n, label, shift=1 if kind == "c" or (name in ("O", "SO") and rng.random() < 0.3) else 0))
    draft = Draft(rng, world)
    for k in range(rng.choice([1, 1, 2, 2])):
        axes: list[Axis] = [
            plain(rng.choice([1, 2, 3, 5])) if rng.random() < 0.35 else (rng.choice(world),) for _ in range(rng.choice([1, 2, 2, 3]))
        ]
        axes += [(world[0],)] if not k and len(axes) < 3 else []
        linear = [a for a in axes if a and (a[0].kind == "V" or a[0].shift != 0)]
        if len(linear) > 1:  # translations of a tensor with several vector axes are no action
            axes = [tuple(translated(f, 0) for f in a) for a in axes]
        if rng.random() < 0.08 and len(axes) > 1 and not linear:
            axes = [normal((*axes[0], *axes[1])), *axes[2:]]
        draft.data(Type(tuple(map(normal, axes))))
    sets = [f for f in world if f.kind == "X"]
    if sets and rng.random() < 0.4:
        f = rng.choice(sets)
        draft.data(
            Type((rng.choice([(rng.choice(sets),), plain(4), (Factor("X", 5, "S(5, name='edges')"),)]),), points=(f,)), "index", int(f.size)
        )  # type: ignore[arg-type]
        draft.world += [g for axis in draft.dom[-1].axes for g in axis if g.kind == "X" and g not in draft.world]
    if sets and rng.random() < 0.25:
        draft.data(Type(tuple((rng.choice(sets),) for _ in range(rng.choice([1, 2])))), "bool")
    return draft


def generate(seed: int) -> Case:
    """A random program with a claim that the numbers do not refute at first sight; every second one has been broken by one edit."""
    from tests.verify.steps import STEPS, broken

    rng = random.Random(f"program {seed}")
    while True:
        draft = start(rng)
        wanted = rng.choice([2, 3, 4, 5, 6, 8])
        for _ in range(8 * wanted):
            rng.choice(STEPS)(draft)
            if len(draft.nodes) >= wanted:
                break
        if not draft.nodes:
            continue
        out = draft.nodes[-1].outs[0]
        found = truths(draft.world, [state[out] for state in draft.states], first=rng.random() < 0.6)
        if not found:
            continue
        case = Case(draft.program(out), tuple(draft.dom), (rng.choice(found),), tuple(draft.bounds))
        if case.vacuous():
            continue
        if seed % 2 == 0:
            return case
        edited = broken(case, draft.world, rng)
        if edited.broken:
            return edited


__all__ = ["Case", "Draft", "generate", "refuted", "tied", "truths"]
