"""A family with sizes and channels as a straight list of steps on strided views; one small interpreter runs it.

``gathering`` walks one side from its root and fills one buffer a level: the features of its patterns, side by side on the channel axis.
``Spread`` mixes channels at the waists and walks the other side back to its root, adding each result to its parent. The forward pass
gathers x and spreads to y; the backward pass gathers dy and spreads to dx, with the gradient of the weight taken at the waists. Both
use the same two functions with the sides swapped.

Buffers: ``s0, s1, ...`` are the levels of the gathered side (``s0`` is the given tensor), ``t0, t1, ...`` those of the side spread to
(``t0`` is the result), ``f0, f1, ...`` saved features of that side, ``w0, ...`` the weights of the waists as matrices
(turns and source patterns with channels) × (target patterns with channels), or with the turns beside the target; ``d0, ...`` their
gradients, ``p`` one buffer for permuted copies, or for the results of two turns.

A stage is walked in chunks of the batch that fit a cache; all stages on one block of a large batch, before the next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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

    def matrices(self, batch: int, axis: int) -> View:
        """The whole as one matrix for each index before an axis: (indices before, axis, all after)."""
        sizes = batch * prod(self.sizes[:axis]), self.sizes[axis], self.strides[axis + 1]
        return View(self.name, sizes, (sizes[1] * sizes[2], sizes[2], 1))

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


def gathering(side: Side, source: Sequence[Layout], batch: int, budget: int, fetched: bool) -> list[Stage]:
    """From the root of a side to the features of all its patterns; ``fetched``: whether the root has to come from memory.

    A sum of a whole buffer over an axis that is not its last is taken aside, then copied among the other features: on a result without
    gaps the axes after the summed one count as one long axis. Where the buffer is fetched, a product with ones reads it faster.
    """

    def steps(level: Level, here: Layout, count: int) -> list[Step]:
        found = []
        for link in level.links:
            parent = here.slots(count, link.parent, link.count)
            child = source[link.level].slots(count, link.child, link.count)
            if len(link.axes) == 1:
                aside = link.count == here.patterns < source[link.level].patterns and here.order[link.axes[0]] + 1 < len(here.sizes)
                if aside and fetched and here is source[0] and here.order == tuple(range(len(here.order))):
                    found.append(Step("sum by ones", child, (here.matrices(count, link.axes[0]),)))
                else:
                    found.append(Step("sum aside" if aside else "sum", child, (parent,), link.axes[0] + 1))
            else:
                found.append(Step("copy", child, (parent.diagonal(*link.axes),)))
        return found

    stages = []
    for level, here in zip(side.levels, source, strict=True):
        stages += staged(f"gather from {here.name}", lambda count, a=level, b=here: steps(a, b, count), batch, here.each, budget)
    return stages
