"""The tape: a program of few kinds of steps, which planning writes and every meaning of a map runs.

A register has *lead* axes, then *event* axes. ``TOKENS`` among the lead axes stands for all the vectors that a map is applied to; a
register without lead axes depends on parameters only. A step acts on every lead index alike, but for ``fold`` (event axes become lead
axes), ``unfold`` (its inverse) and an ``einsum`` whose result has no lead, which sums over it.

Equal steps are one register, so common subexpressions are shared by construction.

Laws: the value of a register depends on its step and the values of the step's arguments only; running the live steps alone gives the
same outputs as running all.

>>> tape = Tape(tokens=10)
>>> x, w = tape.input((3,)), tape.param("w", (2, 3))
>>> y = tape.einsum(("a", "ba"), "b", x, w)
>>> tape.shape(y), tape.flops(y), tape.einsum(("i", "oi"), "o", x, w) == y
((2,), 120, True)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from typing import Any

from catlearn.maps.index import Index

Shape = tuple[int, ...]
TOKENS = -1  # the lead axis of unknown length
LETTERS = "abcdefghijklmnopqrstuvwxyABCDEFGHIJKLMNOPQRSTUVWXY" + "".join(map(chr, range(0x3400, 0x3500)))  # for many axes, any will do
LINEAR = ("reshape", "permute", "fold", "unfold", "gather", "scatter", "transform")  # a number passes through these
MOVES = ("input", "param", "constant", "eye", "zeros", "reshape", "permute", "fold", "unfold", "stop")  # no arithmetic


@dataclass(frozen=True)
class Step:
    """One instruction: its kind, the registers it reads, its attributes, and what its result looks like."""

    kind: str
    args: tuple[int, ...]
    with_: tuple[Any, ...]
    lead: Shape
    shape: Shape


class Tape:
    """Steps in the order in which they are written; ``tokens`` is what ``TOKENS`` counts in costs."""

    def __init__(self, tokens: int = 1) -> None:
        self.tokens = tokens
        self.steps: list[Step] = []
        self.found: dict[Step, int] = {}

    def copy(self) -> Tape:
        """The same steps, to be continued otherwise."""
        other = Tape(self.tokens)
        other.steps, other.found = list(self.steps), dict(self.found)
        return other

    def put(self, kind: str, args: Sequence[int], with_: Sequence[Any], lead: Shape, shape: Sequence[int]) -> int:
        step = Step(kind, tuple(args), tuple(with_), lead, tuple(shape))
        if step not in self.found:
            self.found[step] = len(self.steps)
            self.steps.append(step)
        return self.found[step]

    def shape(self, r: int) -> Shape:
        return self.steps[r].shape

    def lead(self, r: int) -> Shape:
        return self.steps[r].lead

    def numel(self, r: int) -> int:
        """How many entries a register has."""
        return math.prod(self.steps[r].shape) * self.count(self.steps[r].lead)

    def count(self, lead: Shape) -> int:
        """How many lead indices there are."""
        return math.prod(self.tokens if n == TOKENS else n for n in lead)

    # -- sources -------------------------------------------------------------------------------------------------------

    def input(self, shape: Shape, name: str = "x", lead: Shape = (TOKENS,)) -> int:
        return self.put("input", (), (name,), lead, shape)

    def param(self, name: str, shape: Shape) -> int:
        return self.put("param", (), (name,), (), shape)

    def constant(self, array: Any) -> int:
        """An ``Array`` of given numbers."""
        return self.put("constant", (), (array,), (), array.shape)

    def eye(self, shape: Shape) -> int:
        """The identity matrix of a tensor space, as a tensor (*shape, *shape)."""
        return self.put("eye", (), (), (), (*shape, *shape))

    def zeros(self, shape: Shape, lead: Shape = (TOKENS,)) -> int:
        return self.put("zeros", (), (), lead, shape)

    # -- moves ---------------------------------------------------------------------------------------------------------

    def reshape(self, x: int, shape: Shape) -> int:
        if self.steps[x].kind == "reshape":
            x = self.steps[x].args[0]
        return x if shape == self.shape(x) else self.put("reshape", (x,), (), self.lead(x), shape)

    def permute(self, x: int, order: Sequence[int]) -> int:
        """Event axis i of the result is axis ``order[i]`` of x."""
        if list(order) == list(range(len(order))):
            return x
        shape = self.shape(x)
        return self.put("permute", (x,), tuple(order), self.lead(x), [shape[i] for i in order])

    def fold(self, x: int, axes: Sequence[int]) -> int:
        """Event axes become the last lead axes, in this order."""
        step, shape, axes = self.steps[x], self.shape(x), tuple(axes)
        if step.kind == "unfold" and step.with_ == axes:
            return step.args[0]
        rest = [s for i, s in enumerate(shape) if i not in axes]
        return self.put("fold", (x,), axes, (*self.lead(x), *(shape[i] for i in axes)), rest) if axes else x

    def unfold(self, x: int, axes: Sequence[int]) -> int:
        """The last lead axes become event axes of the result at these positions."""
        lead, axes = self.lead(x), tuple(axes)
        if not axes or (self.steps[x].kind == "fold" and self.steps[x].with_ == axes):
            return self.steps[x].args[0] if axes else x
        back, rest = dict(zip(axes, lead[len(lead) - len(axes) :], strict=True)), iter(self.shape(x))
        shape = [back[i] if i in back else next(rest) for i in range(len(axes) + len(self.shape(x)))]
        return self.put("unfold", (x,), axes, lead[: len(lead) - len(axes)], shape)

    def gather(self, x: int, axis: int, index: Iterable[int]) -> int:
        """The entries of one event axis at these positions."""
        index, shape = index if isinstance(index, Index) else Index(index), self.shape(x)
        if index.run == (0, 1) and len(index) == shape[axis]:
            return x
        return self.put("gather", (x,), (axis, index), self.lead(x), (*shape[:axis], len(index), *shape[axis + 1 :]))

    def scatter(self, x: int, axis: int, index: Iterable[int], size: int) -> int:
        """Every entry along one event axis is added at its position in an axis of this size: the transpose of ``gather``."""
        index, shape = index if isinstance(index, Index) else Index(index), self.shape(x)
        if index.run == (0, 1) and len(index) == size:
            return x
        if len(index) == size and (back := index.inverse) is not None:
            return self.gather(x, axis, back)
        return self.put("scatter", (x,), (axis, index, size), self.lead(x), (*shape[:axis], size, *shape[axis + 1 :]))

    def sparse(self, x: int, values: int, rows: Index, columns: Index, size: int) -> int:
        """Entry ``rows[k]`` of a result of this size gets ``values[k]`` times entry ``columns[k]`` of x; x has lead axes, values none."""
        return self.put("sparse", (x, values), (rows, columns, size), self.lead(x), (size,))

    def pairs(self, y: int, x: int, rows: Index, columns: Index) -> int:
        """Σ y[rows[k]] x[columns[k]] over all lead indices, for every k."""
        return self.put("pairs", (y, x), (rows, columns), (), (len(rows),))

    def concat(self, xs: Sequence[int], axis: int = 0) -> int:
        if len(xs) == 1:
            return xs[0]
        shape = self.shape(xs[0])
        total = sum(self.shape(x)[axis] for x in xs)
        return self.put("concat", xs, (axis,), self.lead(xs[0]), (*shape[:axis], total, *shape[axis + 1 :]))

    def repeat(self, x: int, axis: int, size: int) -> int:
        """A new event axis along which nothing changes."""
        shape = self.shape(x)
        return self.put("repeat", (x,), (axis, size), self.lead(x), (*shape[:axis], size, *shape[axis:]))

    def stop(self, x: int) -> int:
        """The same value, through which no derivative passes."""
        return self.put("stop", (x,), (), self.lead(x), self.shape(x))

    # -- arithmetic ----------------------------------------------------------------------------------------------------

    def add(self, x: int, y: int) -> int:
        if "zeros" in (self.steps[x].kind, self.steps[y].kind):
            return y if self.steps[x].kind == "zeros" else x
        for part in [y] if x == y else self.summands(y):  # one after the other, so that each is added while it is made
            x = self.put("add", (x, part), (), self.lead(x), self.shape(x))
        return x

    def summands(self, x: int) -> list[int]:
        """What a register adds up, in order; itself if it is no sum."""
        found = []
        while self.steps[x].kind == "add":
            x, last = self.steps[x].args
            found.append(last)
        return [x, *found[::-1]]

    def scale(self, x: int, by: Any) -> int:
        """A number times x, written on the smallest factor that x is made of."""
        step = self.steps[x]
        if by == 1 or step.kind == "zeros":
            return x
        if step.kind == "scale":
            return self.scale(step.args[0], multiply(step.with_[0], by))
        if step.kind in LINEAR:
            inner = self.scale(step.args[0], by)
            if self.steps[inner].kind != "scale":
                return self.put(step.kind, (inner, *step.args[1:]), step.with_, step.lead, step.shape)
        if step.kind == "sparse":
            return self.put("sparse", (step.args[0], self.scale(step.args[1], by)), step.with_, step.lead, step.shape)
        if step.kind in ("einsum", "convolve") and len(step.args) == 2:
            small = min((0, 1), key=lambda k: self.numel(step.args[k]))
            least = step.args[small]  # a result for all vectors may be wanted without the number too, so only far smaller ones
            if self.numel(least) * (8 if self.lead(least) else 1) < self.numel(x):
                args = [self.scale(a, by) if k == small else a for k, a in enumerate(step.args)]
                return self.put(step.kind, args, step.with_, step.lead, step.shape)
        return self.put("scale", (x,), (by,), step.lead, step.shape)

    def shift(self, x: int, by: int) -> int:
        """A register without lead axes added at every lead index; to the heaviest summand, whose product can begin from it."""
        if self.steps[by].kind == "zeros":
            return x
        first, *rest = sorted(self.summands(x), key=self.flops, reverse=True)
        return reduce(self.add, rest, self.put("shift", (first, by), (), self.lead(x), self.shape(x)))

    def power(self, x: int, exponent: Any) -> int:
        return x if exponent == 1 else self.put("power", (x,), (exponent,), self.lead(x), self.shape(x))

    def inverse(self, x: int) -> int:
        """The inverse of an upper triangular matrix."""
        return self.put("inverse", (x,), (), self.lead(x), self.shape(x))

    def transform(self, x: int, name: str, inverse: bool = False) -> int:
        """An orthonormal transform of the last event axis, or its inverse, which is its transpose."""
        step = self.steps[x]
        if step.kind == "transform" and step.with_ == (name, not inverse):
            return step.args[0]
        return self.put("transform", (x,), (name, inverse), self.lead(x), self.shape(x))

    def convolve(self, pattern: tuple[str, str], out: str, x: int, y: int, lead: Shape | None = None,
                 flips: tuple[bool, bool] = (False, False)) -> int:  # fmt: skip
        """Cyclic convolution along the last event axes, contracted over the other axes as the letters say; ``flips``: j ↦ −j first."""
        sizes = {c: s for letters, r in zip(pattern, (x, y), strict=True) for c, s in zip(letters, self.shape(r)[:-1], strict=True)}
        lead = (self.lead(x) or self.lead(y)) if lead is None else lead
        return self.put("convolve", (x, y), (pattern, out, flips), lead, (*(sizes[c] for c in out), self.shape(x)[-1]))

    def einsum(self, ins: Sequence[str], out: str, *xs: int, lead: Shape | None = None) -> int:
        """A contraction of event axes, one or two operands at a time, in the order that opt_einsum finds; no letter twice in one."""
        if lead is None:
            lead = next((self.lead(x) for x in xs if self.lead(x)), ())
        operands = list(zip(ins, xs, strict=True))
        while len(operands) > 2:
            i, j = sorted(self._pair(operands, out, lead))
            (a, x), (b, y) = operands[i], operands[j]
            rest = [o for k, o in enumerate(operands) if k not in (i, j)]
            kept = "".join(c for c in dict.fromkeys(a + b) if c in out or any(c in letters for letters, _ in rest))
            partial = self.lead(x) or self.lead(y)
            if not lead and partial and not any(self.lead(z) for _, z in rest):
                partial = ()
            operands = [*rest, (kept, self._contract([(a, x), (b, y)], kept, partial))]
        return self._contract(operands, out, lead)

    def _contract(self, operands: list[tuple[str, int]], out: str, lead: Shape) -> int:
        if len(operands) == 1 and self.lead(operands[0][1]) == lead:
            letters, x = operands[0]
            if sorted(letters) == sorted(out):
                return self.permute(x, [letters.index(c) for c in out])
        sizes = {c: s for letters, r in operands for c, s in zip(letters, self.shape(r), strict=True)}
        names = {c: LETTERS[k] for k, c in enumerate(dict.fromkeys("".join(letters for letters, _ in operands)))}
        ins = tuple("".join(names[c] for c in letters) for letters, _ in operands)
        return self.put("einsum", [r for _, r in operands], (ins, "".join(names[c] for c in out)), lead, [sizes[c] for c in out])

    def _pair(self, operands: list[tuple[str, int]], out: str, lead: Shape) -> tuple[int, int]:
        """The two operands to contract first."""
        import opt_einsum

        texts = ["Z" * bool(self.lead(r)) + letters for letters, r in operands]
        shapes = [(*([self.count(self.lead(r))] if self.lead(r) else ()), *self.shape(r)) for _, r in operands]
        pattern = f"{','.join(texts)}->{'Z' * bool(lead)}{out}"
        path: Any = opt_einsum.contract_path(pattern, *shapes, shapes=True, optimize="auto")[0]
        first = path[0]
        return (first[0], first[1]) if len(first) == 2 else (0, 1)

    # -- costs ---------------------------------------------------------------------------------------------------------

    def flops(self, r: int) -> int:
        """Floating-point operations of one step."""
        from catlearn.maps.costs import flops

        return flops(self, r)

    def live(self, outs: Iterable[int], known: Iterable[int] = ()) -> list[int]:
        """The steps that the outputs need beside those known, in order."""
        known, seen, stack = set(known), set(), list(outs)
        while stack:
            r = stack.pop()
            if r not in seen and r not in known:
                seen.add(r)
                stack += self.steps[r].args
        return sorted(seen)


def multiply(a: Any, b: Any) -> Any:
    """The product of two numbers, exact if both are."""
    if isinstance(a, float) or isinstance(b, float):
        return float(a) * float(b)
    product = Fraction(a) * Fraction(b)
    return product.numerator if product.denominator == 1 else product
