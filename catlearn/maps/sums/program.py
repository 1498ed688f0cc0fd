"""A family with sizes and channels as a straight list of steps on strided views; one small interpreter runs it.

``gathering`` walks one side from its root and fills one buffer a level: the features of its patterns, side by side on the channel axis.
``spreading`` mixes channels at the waists and walks the other side back to its root, adding each result to its parent. The forward pass
gathers x and spreads to y; the backward pass gathers dy and spreads to dx, with the gradient of the weight taken at the waists. Both
use the same two functions with the sides swapped.

Buffers: ``s0, s1, ...`` are the levels of the gathered side (``s0`` is the given tensor), ``t0, t1, ...`` those of the side spread to
(``t0`` is the result), ``f0, f1, ...`` saved features of that side, ``w0, ...`` the weights of the waists as matrices
(turn, source pattern, channel) × (target pattern, channel), ``d0, ...`` their gradients, ``p`` one buffer for permuted copies.

A stage is walked in chunks of the batch that fit a cache.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from catlearn.maps.sums.patterns import Level, Side, laid


@dataclass(frozen=True, slots=True)
class View:
    """A strided view of a buffer, for the first element of a chunk."""

    buffer: str
    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int = 0

    @property
    def touched(self) -> int:
        """How many different numbers it shows."""
        return prod(n for n, step in zip(self.size, self.stride, strict=True) if step)

    @property
    def T(self) -> View:
        """The transposed matrix."""
        return View(self.buffer, self.size[::-1], self.stride[::-1], self.offset)

    def diagonal(self, a: int, b: int) -> View:
        """Where two axes (not counting the batch) agree, at the place of the first."""
        stride = (*self.stride[: a + 1], self.stride[a + 1] + self.stride[b + 1], *self.stride[a + 2 :])
        return View(self.buffer, self.size[: b + 1] + self.size[b + 2 :], stride[: b + 1] + stride[b + 2 :], self.offset)

    def broadcast(self, axis: int, size: int) -> View:
        """The same at every index of a new axis."""
        put = lambda old, new: (*old[: axis + 1], new, *old[axis + 1 :])  # noqa: E731
        return View(self.buffer, put(self.size, size), put(self.stride, 0), self.offset)

    def turned(self, turn: Sequence[int]) -> View:
        """Axis j shows what was axis turn[j]."""
        order = (0, *(axis + 1 for axis in turn), len(turn) + 1)
        return View(self.buffer, tuple(self.size[i] for i in order), tuple(self.stride[i] for i in order), self.offset)


@dataclass(frozen=True, slots=True)
class Step:
    """One kernel: ``out`` becomes (or gains, for ``+=``) what ``op`` makes of the arguments."""

    op: str
    out: View
    args: tuple[View, ...] = ()
    axis: int = 0

    @property
    def flops(self) -> int:
        """Additions and multiplications."""
        if "@" in self.op:
            return 2 * prod(self.out.size) * self.args[0].size[1]
        return self.args[0].touched if self.op.startswith("sum") else prod(self.out.size) * (self.op in ("+", "+="))

    @property
    def moved(self) -> int:
        """How many numbers are read and written."""
        return sum(arg.touched for arg in self.args) + self.out.touched * (2 if "+=" in self.op else 1)

    def __str__(self) -> str:
        show = lambda view: f"{view.buffer}[{'×'.join(map(str, view.size))}]"  # noqa: E731
        words = [self.op.removesuffix("+=").strip(), ", ".join(map(show, self.args))]
        return " ".join([show(self.out), "+=" if "+=" in self.op else "=", *filter(None, words)])


@dataclass(frozen=True)
class Stage:
    """Steps that are walked over the batch in chunks; ``whole`` for a full chunk, ``rest`` for the last one."""

    title: str
    chunk: int
    whole: tuple[Step, ...]
    rest: tuple[Step, ...]


@dataclass(frozen=True)
class Layout:
    """How the buffer of one level lies in memory: (batch, *sizes, patterns · channels), contiguous; axis j of its patterns is order[j]."""

    name: str
    sizes: tuple[int, ...]
    patterns: int
    mixed: int
    channels: int
    order: tuple[int, ...]

    @property
    def width(self) -> int:
        return self.patterns * self.channels

    @property
    def each(self) -> int:
        """Numbers for one element of the batch."""
        return prod(self.sizes) * self.width

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(prod(self.sizes[i:]) * self.width for i in range(len(self.sizes) + 1))

    def slots(self, batch: int, first: int = 0, count: int = 1) -> View:
        """Some patterns, side by side, with the axes of the patterns."""
        return self.laid(batch, first, count).turned(self.order)

    def laid(self, batch: int, first: int = 0, count: int = 1) -> View:
        """The same with the axes of memory."""
        return View(self.name, (batch, *self.sizes, count * self.channels), (*self.strides, 1), first * self.channels)

    def matrix(self, batch: int) -> View:
        """The mixed patterns as a matrix of (batch and positions) × (patterns and channels)."""
        return View(self.name, (batch * prod(self.sizes), self.mixed * self.channels), (self.width, 1))


def layouts(side: Side, sizes: Mapping[int, int], channels: int, name: str) -> tuple[Layout, ...]:
    """One buffer a level."""
    found = []
    for i, level in enumerate(side.levels):
        crossing = level.patterns[0].crossing
        memory = laid(crossing, side.kinds)
        axes = tuple(sizes[side.kinds[block[0]]] for block in memory)
        order = tuple(memory.index(block) for block in crossing)
        found.append(Layout(f"{name}{i}", axes, len(level.patterns), level.mixed, channels, order))
    return tuple(found)


def staged(title: str, steps: Callable[[int], list[Step]], batch: int, each: int, budget: int) -> list[Stage]:
    """A stage whose chunks touch about ``budget`` numbers, of equal size as far as possible."""
    if not steps(1) or not batch:
        return []
    pieces = -(-batch // min(batch, max(1, budget // max(each, 1))))
    chunk = -(-batch // pieces)
    return [Stage(title, chunk, tuple(steps(chunk)), tuple(steps(batch % chunk)) if batch % chunk else ())]


def gathering(side: Side, source: Sequence[Layout], batch: int, budget: int) -> list[Stage]:
    """From the root of a side to the features of all its patterns.

    A sum of a whole buffer over an axis that is not its last is taken aside, then copied among the other features: on a result without
    gaps the axes after the summed one count as one long axis.
    """

    def steps(level: Level, here: Layout, count: int) -> list[Step]:
        found = []
        for link in level.links:
            parent = here.slots(count, link.parent, link.count)
            child = source[link.level].slots(count, link.child, link.count)
            if len(link.axes) == 1:
                aside = link.count == here.patterns < source[link.level].patterns and here.order[link.axes[0]] + 1 < len(here.sizes)
                found.append(Step("sum aside" if aside else "sum", child, (parent,), link.axes[0] + 1))
            else:
                found.append(Step("copy", child, (parent.diagonal(*link.axes),)))
        return found

    stages = []
    for level, here in zip(side.levels, source, strict=True):
        stages += staged(f"gather from {here.name}", lambda count, a=level, b=here: steps(a, b, count), batch, here.each, budget)
    return stages


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
