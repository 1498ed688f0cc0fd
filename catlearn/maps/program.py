"""Passes as functions: the live steps of a tape written as straight-line Python over torch, compiled once.

``like`` is any tensor of the dtype and device in use, ``t`` the number of tokens. A variable is dropped after its last reading. In a
pass that nothing differentiates, sums accumulate in place and a small last factor is added by one ``addmm``.

>>> import torch
>>> from catlearn.maps.tape import Tape
>>> tape = Tape()
>>> x, w = tape.input((3,)), tape.param("w", (2, 3))
>>> y = tape.einsum(("a", "ba"), "b", x, w)
>>> run = compiled(tape, [x, w], [y])
>>> run(w, 5, torch.ones(5, 3), torch.ones(2, 3))[0].shape
torch.Size([5, 2])
>>> print(run.code)
def run(like, t, r0, r1):
    r2 = r1.mm(r0.t()).t()
    return (r2.contiguous(),)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from catlearn.maps.contractions import matrices, operands_of
from catlearn.maps.costs import THIN, scattered
from catlearn.maps.kernels import HELPERS, Writer, number, text
from catlearn.maps.tape import Tape

VIEWS = ("reshape", "unfold", "permute")
MADE = ("einsum", "add", "shift", "scale", "convolve", "sparse", "inverse")  # what always gives a tensor of its own


@dataclass(frozen=True)
class Compiled:
    """A pass as a function ``(like, t, *inputs) → tuple``."""

    code: str
    function: Callable[..., Any]

    def __call__(self, like: Any, t: Any, *inputs: Any) -> Any:
        return self.function(like, t, *inputs)


class Compiler:
    """Writes the lines of one pass."""

    def __init__(self, tape: Tape, inputs: Sequence[int], outs: Sequence[int], accumulate: bool) -> None:
        self.tape, self.inputs, self.outs, self.accumulate = tape, list(inputs), list(outs), accumulate
        self.order = tape.live(outs, inputs)
        self.objects: dict[str, Any] = {}
        self.at = {r: f"r{r}" for r in (*inputs, *self.order)}
        self.uses: dict[int, list[int]] = {}
        for r in self.order:
            for a in tape.steps[r].args:
                self.uses.setdefault(a, []).append(r)
        for r in outs:
            self.uses.setdefault(r, []).append(-1)
        self.fused: dict[int, int] = {}  # sum → the summand that is added while it is made
        self.viewed: dict[int, tuple[int, list[int]]] = {}  # sum → the summand that it is written into, and the other's views
        for r in self.order:
            if (view := self.into(r)) is not None:
                self.viewed[r] = view
            elif (factor := self.last_factor(r)) is not None:
                self.fused[r] = factor
        self.skipped = {*self.fused.values(), *(a for _, chain in self.viewed.values() for a in chain)}

    def fresh(self, r: int) -> bool:
        """Whether a register's tensor is its own, and read once only."""
        step = self.tape.steps[r]
        if r in self.inputs or len(self.uses.get(r, ())) != 1:
            return False
        if step.kind in VIEWS:
            return self.fresh(step.args[0])
        if step.kind == "einsum":
            return len(step.args) == 2
        return step.kind in MADE

    def last_factor(self, r: int) -> int | None:
        """The summand of a sum that is a small product, read here only: it is added while it is made. A product of matrices, if any."""
        step = self.tape.steps[r]
        if not self.accumulate or not self.tape.lead(r) or step.kind not in ("add", "shift"):
            return None
        once = [a for a in step.args if self.uses[a] == [r] and a not in self.inputs and self.tape.lead(a)]
        products = [a for a in once if len(step.shape) == 1 and self.is_product(a)]
        other = dict(zip(step.args, reversed(step.args), strict=True))
        found = [a for a in products if self.fresh(other[a])] or products
        return min(found or [a for a in once if self.is_entrywise(a)], key=self.tape.flops, default=None)

    def into(self, r: int) -> tuple[int, list[int]] | None:
        """A sum of a tensor that is there and of another one's view: (the first, the steps of the view), to add without a copy."""
        step = self.tape.steps[r]
        if not self.accumulate or step.kind != "add" or not self.tape.lead(r):
            return None
        for a, base in (step.args, step.args[::-1]):
            chain = []
            while self.tape.steps[a].kind in ("reshape", "permute") and len(self.uses[a]) == 1 and a not in self.inputs:
                chain.append(a)
                a = self.tape.steps[a].args[0]
            if chain and scattered(self.tape, self.tape.steps[chain[-1]].args[0]) and self.fresh(base) and self.in_order(base):
                return base, chain
        return None

    def in_order(self, r: int) -> bool:
        """Whether a register surely lies row by row in memory: a product of matrices that is not thin, or what begins with one."""
        if r in self.viewed:
            return True
        if r in self.fused:
            return self.is_product(self.fused[r]) and self.tape.steps[r].kind == "shift"
        return self.is_product(r) and self.tape.shape(r)[0] > THIN and bool(self.tape.lead(r))

    def added_into(self, r: int, base: int, chain: Sequence[int]) -> str:
        """A sum written into a view of its first summand."""
        view, lead = self.at[base], bool(self.tape.lead(r))
        for a in chain:
            step, inner = self.tape.steps[a], self.tape.steps[a].args[0]
            if step.kind == "reshape":
                view = f"{view}.view({Writer(self.tape, r, self.at, self.objects).shape(step.lead, self.tape.shape(inner))})"
            else:
                back = [step.with_.index(i) for i in range(len(step.with_))]
                view = f"{view}.permute({', '.join(map(str, [*range(lead), *(lead + i for i in back)]))})"
        return f"into({self.at[base]}, {view}, {self.at[self.tape.steps[chain[-1]].args[0]]})"

    def is_entrywise(self, r: int) -> bool:
        """Whether a register is the product of two, entry by entry."""
        step = self.tape.steps[r]
        return step.kind == "einsum" and len(step.args) == 2 and set("".join(step.with_[0])) == set(step.with_[1])

    def is_product(self, r: int) -> bool:
        """Whether a register is vectors times one matrix."""
        if self.tape.steps[r].kind != "einsum" or len(self.tape.steps[r].args) != 2:
            return False
        operands, out = operands_of(Writer(self.tape, r, self.at, {}))
        letters = [x.letters for x in operands]
        return sorted("".join(letters)) == sorted(out + 2 * "".join(k for k in letters[0] if k in letters[1])) and len(out) == 2 \
            and all(len(x) == 2 for x in letters)  # fmt: skip

    def line(self, r: int) -> str:
        step, at = self.tape.steps[r], self.at
        if r in self.fused:
            return self.added(r, self.fused[r])
        if r in self.viewed:
            return self.added_into(r, *self.viewed[r])
        if step.kind in ("add", "shift") and self.accumulate and step.args[0] != step.args[1]:
            for a, b in (step.args, step.args[::-1])[: 1 if step.kind == "shift" else 2]:
                if self.fresh(a):
                    return f"{at[a]}.add_({at[b]})"
        if step.kind == "scale" and self.accumulate and self.fresh(step.args[0]):
            return f"{at[step.args[0]]}.mul_({number(step.with_[0])})"
        if step.kind == "einsum" and self.accumulate and self.is_entrywise(r):
            for k, a in enumerate(step.args):
                if self.fresh(a) and self.tape.lead(a) == step.lead and step.with_[0][k] == step.with_[1] and step.args[1 - k] != a:
                    operands, out = operands_of(Writer(self.tape, r, at, self.objects))
                    return f"{at[a]}.mul_({operands[1 - k].spread(out)})"
        if step.kind == "transform" and step.with_[0] == "fourier" and self.accumulate and len(step.shape) == 1 and step.lead and \
                {self.tape.steps[u].kind for u in self.uses[r] if u >= 0} <= {"sparse", "pairs"}:  # fmt: skip
            return f"fourier{'_inverse' * step.with_[1]}({at[step.args[0]]}, True)"
        return text(self.tape, r, at, self.objects)

    def added(self, r: int, factor: int) -> str:
        """A sum whose summand is added while it is made."""
        at, base = self.at, next((a for a in self.tape.steps[r].args if a != factor), factor)
        operands, out = operands_of(Writer(self.tape, factor, at, self.objects))
        inside = self.fresh(base) and self.tape.lead(base)
        if self.is_entrywise(factor):
            one, two = (x.spread(out) for x in operands)
            return f"{at[base]}.addcmul_({one}, {two})" if inside else f"torch.addcmul({at[base]}, {one}, {two})"
        inner = "".join(k for k in operands[0].letters if k in operands[1].letters)
        one, two, left, _ = matrices(operands[0], operands[1], inner, out)
        if left == "Z":
            return f"{at[base]}.addmm_({one}, {two})" if inside else f"torch.addmm({at[base]}, {one}, {two})"
        return f"{at[base]} + {text(self.tape, factor, at, self.objects)}"

    def lines(self) -> Iterable[str]:
        order = [r for r in self.order if r not in self.skipped]
        last: dict[int, int] = {}
        for r in order:
            read = list(self.tape.steps[r].args)
            if r in self.fused:
                read += self.tape.steps[self.fused[r]].args
            if r in self.viewed:
                read += self.tape.steps[self.viewed[r][1][-1]].args
            for a in read:
                last[a] = r
        for r in order:
            yield f"{self.at[r]} = {self.line(r)}"
            dead = [self.at[a] for a, where in last.items() if where == r and a not in self.outs and a not in self.inputs and a != r
                    and a not in self.skipped]  # fmt: skip
            if dead:
                yield f"del {', '.join(dead)}"


def compiled(tape: Tape, inputs: Sequence[int], outs: Sequence[int], accumulate: bool = False) -> Compiled:
    """The function of the inputs that returns the outputs. ``accumulate``: results may be changed in place; nothing differentiates it."""
    compiler = Compiler(tape, inputs, outs, accumulate)
    names = ", ".join(f"r{r}" for r in inputs)
    # a thin product may lie transposed in memory, which is nothing that a caller should see
    given = [f"r{r}.contiguous()" if tape.steps[r].kind == "einsum" and tape.lead(r) else f"r{r}" for r in outs]
    body = [
        *compiler.lines(),
        f"return ({''.join(f'{out}, ' for out in given).rstrip() if len(outs) == 1 else ', '.join(given)})",
    ]
    code = f"def run(like, t{', ' if names else ''}{names}):\n" + "\n".join(f"    {line}" for line in body)
    space = {**HELPERS, **compiler.objects}
    exec(compile(code, "<a plan of catlearn.maps>", "exec"), space)
    return Compiled(code, space["run"])
