"""What the elements of a family share: the same contraction of the input, the same scatter to the output, as two small graphs.

On one side of an element, some blocks *cross* to the other side and the others are *closed*; that is a ``Pattern``. Its feature is x
restricted to be constant index on each block and summed over the closed ones: a tensor with one axis for each crossing block. Every
pattern except the root (all points cross alone) is one step from a pattern with one crossing block more: the sum over an axis, or the
diagonal of two axes. So the patterns of one side form a tree of such steps, ``Side``, in which every contraction occurs once. Read
from the leaves to the root it is the transposed map: each sum becomes a broadcast, each diagonal an embedding. Elements whose crossing
blocks have the same sizes meet in one ``Waist``, where their channels are mixed: there an element is a number for its permutation of
the crossing axes, one for its input pattern and one for its output pattern.

Axes are told apart by kinds (equal kinds for equal sizes), never by sizes, so nothing here grows with n.

>>> skeleton = skeleton_of((0, 0), (0, 0), (((0, 2), (1, 3)), ((0, 3), (1, 2)), ((0, 1), (2, 3))), ())
>>> [(waist.kinds, waist.turns, waist.table) for waist in skeleton.waists]
[((0, 0), ((0, 1), (1, 0)), (0, 1)), ((), ((),), (2,))]
>>> print(skeleton.ins)
{0}{1}
({0,1}) = sum over axis 0 of {0,1}
{0,1} = diagonal of axes 0, 1 of {0}{1}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from catlearn.errors import BadMap
from catlearn.maps.sums.family import Block

Kinds = tuple[int, ...]
_STEP = 64  # how much dearer one more axis is, when parents are compared; any large number gives the same trees


@dataclass(frozen=True)
class Pattern:
    """One side of an element: the blocks that cross, ordered by (kind, points), and the closed ones, whose index is summed."""

    crossing: tuple[Block, ...]
    closed: tuple[Block, ...] = ()

    def __str__(self) -> str:
        show = lambda blocks: "".join("{" + ",".join(map(str, block)) + "}" for block in blocks)  # noqa: E731
        return show(self.crossing) + (f"({show(self.closed)})" if self.closed else "") or "scalar"


@dataclass(frozen=True)
class Link:
    """Child patterns from as many parents, each side by side: the sum over one axis of the parents, or the diagonal of two."""

    parent: int
    level: int
    child: int
    axes: tuple[int, ...]
    count: int = 1


@dataclass(frozen=True)
class Level:
    """The patterns of one side whose crossing blocks have these kinds; first the mixed ones, then those that others need."""

    kinds: Kinds
    patterns: tuple[Pattern, ...]
    mixed: int
    links: tuple[Link, ...] = ()


@dataclass(frozen=True)
class Side:
    """The levels of one side, the root first, fewer crossing blocks later; every link leads to a later level."""

    kinds: Kinds
    levels: tuple[Level, ...]

    def find(self, kinds: Kinds) -> int:
        """The number of the level with these kinds."""
        return next(i for i, level in enumerate(self.levels) if level.kinds == kinds)

    def __str__(self) -> str:
        rows = [str(self.levels[0].patterns[0])]
        for level in self.levels:
            for link in level.links:
                how = "sum over axis" if len(link.axes) == 1 else "diagonal of axes"
                for i in range(link.count):
                    child, parent = self.levels[link.level].patterns[link.child + i], level.patterns[link.parent + i]
                    rows.append(f"{child} = {how} {', '.join(map(str, link.axes))} of {parent}")
        return "\n".join([rows[0], *sorted(rows[1:])])


@dataclass(frozen=True)
class Waist:
    """Where channels mix: ``table[(turn * P + p) * Q + q]`` is the element with that turn, input and output pattern, or -1.

    A turn is the permutation t with output axis j joined to input axis t[j], of axes as memory holds them; an identity is first.
    """

    kinds: Kinds
    turns: tuple[tuple[int, ...], ...]
    table: tuple[int, ...]


@dataclass(frozen=True)
class Skeleton:
    """Both sides of a family, its waists, and for each bias its place in the last level of the output side."""

    ins: Side
    outs: Side
    waists: tuple[Waist, ...]
    biases: tuple[int, ...]

    @cached_property
    def cells(self) -> tuple[tuple[int, int, int], ...]:
        """For each waist how many turns, input patterns and output patterns its table has."""
        mixed = lambda side, waist: side.levels[side.find(waist.kinds)].mixed  # noqa: E731
        return tuple((len(waist.turns), mixed(self.ins, waist), mixed(self.outs, waist)) for waist in self.waists)


def parents(pattern: Pattern, kinds: Kinds) -> Iterator[tuple[Pattern, tuple[int, ...]]]:
    """Every (parent, axes) with one crossing block more from which the pattern is one step; the diagonals first."""
    for block in pattern.crossing:
        rest = tuple(other for other in pattern.crossing if other != block)
        for mask in range((1 << len(block) - 1) - 1):  # the first point stays left, so each split occurs once
            left = (block[0], *(point for i, point in enumerate(block[1:]) if mask >> i & 1))
            right = tuple(point for point in block if point not in left)
            crossing = ordered((*rest, left, right), kinds)
            yield Pattern(crossing, pattern.closed), (crossing.index(left), crossing.index(right))
    for block in pattern.closed:
        crossing = ordered((*pattern.crossing, block), kinds)
        yield Pattern(crossing, tuple(other for other in pattern.closed if other != block)), (crossing.index(block),)


def ordered(blocks: Sequence[Block], kinds: Kinds) -> tuple[Block, ...]:
    """Blocks by the kind of their axis, then by their points."""
    return tuple(sorted(blocks, key=lambda block: (kinds[block[0]], block)))


def laid(blocks: Sequence[Block], kinds: Kinds) -> tuple[Block, ...]:
    """Crossing blocks in the order in which memory holds their axes: the root is a given tensor, whose axes keep their own order."""
    return tuple(sorted(blocks)) if len(blocks) == len(kinds) else tuple(blocks)


def side_of(kinds: Kinds, mixed: Sequence[Pattern], others: Sequence[Pattern]) -> Side:
    """The tree that reaches these patterns, each from the parent that costs least beside what is computed anyway."""
    costs: dict[Pattern, int] = {}

    def cost(pattern: Pattern) -> int:
        if pattern not in costs:
            steps = [cost(parent) + work(pattern, axes) for parent, axes in parents(pattern, kinds)]
            costs[pattern] = min(steps, default=0)  # the root has no parents and is there for nothing
        return costs[pattern]

    root = Pattern(ordered([(point,) for point in range(len(kinds))], kinds))
    needed = dict.fromkeys([root, *mixed, *others])
    steps: dict[Pattern, tuple[Pattern, tuple[int, ...]]] = {}
    for count in range(len(kinds)):  # a parent has one crossing block more, so it joins in time
        for pattern in [p for p in needed if len(p.crossing) == count]:
            choices = list(parents(pattern, kinds))
            dues = [work(pattern, axes) + (0 if parent in needed else cost(parent)) for parent, axes in choices]
            steps[pattern] = choices[dues.index(min(dues))]
            needed.setdefault(steps[pattern][0])
    return _side(kinds, list(needed), set(mixed), steps)


def work(pattern: Pattern, axes: tuple[int, ...]) -> int:
    """What a step to the pattern reads, for large sizes: a sum reads the parent, a diagonal only what it keeps."""
    return _STEP ** (len(pattern.crossing) + (len(axes) == 1))


def _side(kinds: Kinds, needed: Sequence[Pattern], mixed: set[Pattern], steps: Mapping[Pattern, tuple[Pattern, tuple[int, ...]]]) -> Side:
    """Patterns sorted into levels, the mixed ones first in each, then sums before diagonals, so that like steps lie side by side."""
    groups: dict[Kinds, list[Pattern]] = {tuple(sorted(kinds)): [needed[0]]}
    places = {needed[0]: (0, 0)}
    for count in reversed(range(len(kinds))):
        order = {p: (p not in mixed, len(steps[p][1]), steps[p][1], places[steps[p][0]]) for p in needed if len(p.crossing) == count}
        for pattern in sorted(order, key=order.__getitem__):
            key = tuple(kinds[block[0]] for block in pattern.crossing)
            groups.setdefault(key, []).append(pattern)
            places[pattern] = list(groups).index(key), len(groups[key]) - 1
    links: list[list[Link]] = [[] for _ in groups]
    for pattern, (parent, axes) in sorted(steps.items(), key=lambda step: places[step[0]]):
        (level, child), (above, origin) = places[pattern], places[parent]
        last = links[above][-1] if links[above] else None
        if last and (last.level, last.axes, last.parent + last.count, last.child + last.count) == (level, axes, origin, child):
            links[above][-1] = replace(last, count=last.count + 1)
        else:
            links[above].append(Link(origin, level, child, axes))
    levels = zip(groups.items(), links, strict=True)
    return Side(kinds, tuple(Level(key, tuple(group), sum(p in mixed for p in group), tuple(out)) for (key, group), out in levels))


def cut(deltas: Sequence[Block], outs: Kinds, ins: Kinds) -> tuple[Pattern, Pattern, tuple[int, ...]]:
    """An element as its output pattern, its input pattern, and the turn that joins their crossing axes."""
    l = len(outs)
    kinds = (*outs, *ins)
    if sorted(point for block in deltas for point in block) != list(range(len(kinds))):
        raise BadMap(
            f"{deltas} is no element between {len(ins)} input and {l} output axes", next=f"use each point 0..{len(kinds) - 1} once"
        )
    upper, lower, pairs = [], [], {}
    for block in deltas:
        if len({kinds[point] for point in block}) != 1:
            raise BadMap(f"the block {block} joins axes of different sizes")
        above = tuple(sorted(point for point in block if point < l))
        below = tuple(sorted(point - l for point in block if point >= l))
        if above and below:
            pairs[above] = below
        elif above:
            upper.append(above)
        else:
            lower.append(below)
    tops, bottoms = ordered(list(pairs), outs), ordered(list(pairs.values()), ins)
    turn = tuple(laid(bottoms, ins).index(pairs[block]) for block in laid(tops, outs))
    return Pattern(tops, tuple(sorted(upper))), Pattern(bottoms, tuple(sorted(lower))), turn


@lru_cache(maxsize=1024)
def skeleton_of(outs: Kinds, ins: Kinds, elements: tuple[tuple[Block, ...], ...], biases: tuple[tuple[Block, ...], ...]) -> Skeleton:
    """The shared structure of a family whose elements have these deltas; what it holds does not depend on sizes."""
    cuts = [cut(deltas, outs, ins) for deltas in elements]
    constants = [cut(deltas, outs, ())[0] for deltas in biases]
    for what, given in (("element", cuts), ("bias", constants)):
        if len(set(given)) < len(given):
            raise BadMap(f"one {what} stands twice in a family", next="add the two weights, and keep one of them")
    above = side_of(outs, [top for top, _, _ in cuts], constants)
    below = side_of(ins, [bottom for _, bottom, _ in cuts], [])
    scalars = above.levels[above.find(())].patterns if constants else ()
    return Skeleton(below, above, _waists(cuts, above, below), tuple(scalars.index(pattern) for pattern in constants))


def _waists(cuts: Sequence[tuple[Pattern, Pattern, tuple[int, ...]]], above: Side, below: Side) -> tuple[Waist, ...]:
    """Elements by the kinds of their crossing axes, each in its cell (turn, input pattern, output pattern)."""
    groups: dict[Kinds, list[int]] = {}
    for number, (top, _, _) in enumerate(cuts):
        groups.setdefault(tuple(above.kinds[block[0]] for block in top.crossing), []).append(number)
    waists = []
    for kinds, numbers in groups.items():
        tops, bottoms = (side.levels[side.find(kinds)] for side in (above, below))
        turns = sorted({cuts[number][2] for number in numbers})  # the identity is the least permutation
        table = [-1] * (len(turns) * bottoms.mixed * tops.mixed)
        rows = {pattern: i for i, pattern in enumerate(bottoms.patterns)}
        columns = {pattern: i for i, pattern in enumerate(tops.patterns)}
        for number in numbers:
            top, bottom, turn = cuts[number]
            table[(turns.index(turn) * bottoms.mixed + rows[bottom]) * tops.mixed + columns[top]] = number
        waists.append(Waist(kinds, tuple(turns), tuple(table)))
    return tuple(waists)
