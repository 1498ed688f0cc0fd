"""From the features of one side to the root of the other: products at the waists, then each level is added to its parents.

>>> from catlearn.maps.sums.family import Element, Family
>>> from catlearn.maps.sums.plan import plan
>>> swaps = Family((3, 3), (3, 3), (Element(((0, 2), (1, 3))), Element(((0, 3), (1, 2)))))
>>> print(*plan(swaps, 2, 4, 5).passing(True).describe(), sep="\\n")
  spread to t0, chunks of 2:
    p[18×10] = @ s0[18×4], w0[4×10]
    t0[2×3×3×5] = + p[2×3×3×5], p[2×3×3×5]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from catlearn.maps.sums.patterns import Side
from catlearn.maps.sums.program import Layout, Stage, Step, View, staged


@dataclass(frozen=True)
class Spread:
    """What spreading needs: both sides' buffers, the waists with (source level, target level), and what is wanted.

    Where a waist has two turns, one product gives both, side by side, and their sum is read off, one of them turned (``folds``). Where it
    has more, or where the gradient of the weight is taken as well, the source is permuted for each turn instead.
    """

    side: Side
    source: tuple[Layout, ...]
    target: tuple[Layout, ...]
    waists: Mapping[int, tuple[int, int, tuple[tuple[int, ...], ...]]]  # by target level: number, source level, turns
    forward: bool
    biases: tuple[int, ...] = ()
    result: bool = True
    gradient: bool = False

    def folds(self, level: int) -> bool:
        """Whether the turns of a waist stand beside the target, rather than the source."""
        turns = self.waists[level][2] if level in self.waists else ()
        return self.result and not self.gradient and len(turns) == 2 and turns[0] == tuple(range(len(turns[0])))

    @property
    def inner(self) -> tuple[bool, ...]:
        """For each waist whether the turns stand beside the inputs, as ``weights.index`` asks."""
        return tuple(self.folds(level) != self.forward for level in sorted(self.waists, key=lambda level: self.waists[level][0]))

    def added(self, level: int, count: int) -> tuple[list[Step], list[Step]]:
        """What is added everywhere in a level, by links along an axis and by biases, and what on diagonals."""
        here = self.target[level]
        everywhere, diagonals = [], []
        for link in self.side.levels[level].links:
            child = self.target[link.level].slots(count, link.child, link.count)
            parent = here.slots(count, link.parent, link.count)
            if len(link.axes) == 1:
                everywhere.append(Step("+=", parent, (child.broadcast(link.axes[0], parent.size[link.axes[0] + 1]),)))
            else:
                diagonals.append(Step("+=", parent.diagonal(*link.axes), (child,)))
        if not here.sizes:
            biases = [View("bias", (count, here.channels), (0, 1), number * here.channels) for number in range(len(self.biases))]
            everywhere += [Step("+=", here.slots(count, slot), (bias,)) for slot, bias in zip(self.biases, biases, strict=True)]
        return everywhere, diagonals

    def steps(self, level: int, count: int) -> list[Step]:
        """All that ends in one level, diagonals last; at the root the products go on top of what is broadcast, which writes it first."""
        here, mix = self.target[level], level in self.waists
        if not self.result:
            return self.mix(level, count, False) if mix else []
        everywhere, diagonals = self.added(level, count)
        mixed = here.mixed if mix else 0
        blank = [Step("zero", here.slots(count, mixed, here.patterns - mixed))] if mixed < here.patterns else []
        if self.folds(level):
            return [*blank, *self.fold(level, count, everywhere), *diagonals]
        if here.patterns == 1 and everywhere:
            first, *rest = everywhere
            start = Step("+", first.out, (*first.args, *rest[0].args)) if rest else Step("copy", first.out, first.args)
            return [start, *rest[1:], *(self.mix(level, count, True) if mix else []), *diagonals]
        return [*blank, *(self.mix(level, count, False) if mix else []), *everywhere, *diagonals]

    def fold(self, level: int, count: int, everywhere: list[Step]) -> list[Step]:
        """One product for two turns, then their sum; two broadcasts may stand beside the turns before the product."""
        number, origin, turns = self.waists[level]
        source, here = self.source[origin], self.target[level]
        both = Layout("p", here.sizes, 2, 2, here.mixed * here.channels, ())
        rows, wide = source.mixed * source.channels, 2 * both.channels
        weight = View(f"w{number}", (rows, wide), (1, rows) if self.forward else (wide, 1))
        filled = beside([step.args[0].turned(inverse(here.order)) for step in everywhere], turns[1], both, count)
        product = Step("@ +=" if filled else "@", both.matrix(count), (source.matrix(count), weight))
        parts = both.laid(count, 0), both.laid(count, 1).turned(turns[1])
        return [*filled, product, Step("+", here.laid(count, 0, here.mixed), parts), *([] if filled else everywhere)]

    def mix(self, level: int, count: int, over: bool) -> list[Step]:
        """The products of one waist: the identity straight from its buffer, the other turns from one permuted copy."""
        number, origin, turns = self.waists[level]
        source = self.source[origin]
        block = source.mixed * source.channels
        straight = int(turns[0] == tuple(range(len(turns[0]))))
        others = turns[straight:]
        steps = self.product(level, number, source.matrix(count), (0, block), count, over) if straight else []
        if others:  # after the product, which has brought the source into the cache
            permuted = Layout("p", self.target[level].sizes, len(others), len(others), block, ())
            whole = source.laid(count, 0, source.mixed)
            steps += [Step("copy", permuted.laid(count, i), (whole.turned(turn),)) for i, turn in enumerate(others)]
            rows = straight * block, len(turns) * block
            steps += self.product(level, number, permuted.matrix(count), rows, count, over or straight > 0)
        return steps

    def product(self, level: int, number: int, matrix: View, rows: tuple[int, int], count: int, over: bool) -> list[Step]:
        """What some rows of a waist's weight give, and their gradient."""
        target = self.target[level].matrix(count)
        _, origin, turns = self.waists[level]
        wide, long = target.size[1], len(turns) * self.source[origin].mixed * self.source[origin].channels
        stride, offset = ((1, long), rows[0]) if self.forward else ((wide, 1), rows[0] * wide)
        weight = View(f"w{number}", (rows[1] - rows[0], wide), stride, offset)
        steps = [Step("@ +=" if over else "@", target, (matrix, weight))] if self.result else []
        if self.gradient:
            features = replace(target, buffer=f"f{level}")
            steps.append(Step("@ +=", replace(weight, buffer=f"d{number}"), (matrix.T, features)))
        return steps

    def stages(self, batch: int, budget: int) -> list[Stage]:
        """From the level of lowest order up to the root."""
        found = []
        for level in reversed(range(len(self.target))):
            each = self.target[level].each
            if level in self.waists:
                _, origin, turns = self.waists[level]
                each += self.source[origin].each + 2 * each if self.folds(level) else self.source[origin].each * len(turns)
            found += staged(f"spread to {self.target[level].name}", lambda count, i=level: self.steps(i, count), batch, each, budget)
        return found


def beside(views: Sequence[View], turn: Sequence[int], both: Layout, count: int) -> list[Step]:
    """Two broadcasts to the result as one copy to what its two turns are made of, if they lie side by side in memory."""
    for one, other in (views, views[::-1]) if len(views) == 2 else ():
        other = other.turned(inverse(turn))
        if replace(one, offset=one.offset + both.channels) == other:
            wide = replace(one, size=(*one.size[:-1], 2 * both.channels))
            return [Step("copy", both.laid(count, 0, 2), (wide,))]
    return []


def inverse(turn: Sequence[int]) -> tuple[int, ...]:
    """The inverse permutation."""
    return tuple(turn.index(i) for i in range(len(turn)))
