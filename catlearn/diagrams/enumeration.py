"""Set partitions and matchings in one fixed order each, with the bounds that make them bases.

>>> [len(list(partitions(4, most))) for most in (1, 2, 3, 4)]
[1, 8, 14, 15]
>>> list(matchings(4, longest=1)), [free for _, free in matchings(3, 2, count=1)]
([(((0, 3), (1, 2)), ())], [(2,), (1,), (0,)])
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from catlearn.diagrams.contract import Block

Pairs: TypeAlias = tuple[tuple[int, int], ...]


def partitions(m: int, most: int) -> Iterator[tuple[Block, ...]]:
    """The set partitions of ``range(m)`` with at most ``most`` blocks, by their restricted growth words in lexicographic order."""
    blocks: list[list[int]] = []

    def place(point: int) -> Iterator[tuple[Block, ...]]:
        if point == m:
            yield tuple(tuple(block) for block in blocks)
            return
        for block in blocks:
            block.append(point)
            yield from place(point + 1)
            block.pop()
        if len(blocks) < most:
            blocks.append([point])
            yield from place(point + 1)
            blocks.pop()

    return place(0)


def matchings(m: int, longest: int, count: int = 0, crossing: bool = False) -> Iterator[tuple[Pairs, Block]]:
    """The matchings of ``range(m)`` with ``count`` free points, as (pairs, free points), without a chain of more than ``longest`` arcs.

    Arcs are a chain if ``a_0 < a_1 < ...`` and ``b_0 < b_1 < ...``; with ``crossing``, if they also cross each other. A free point counts
    as joined to a further point at the right. Built from left to right and given up as soon as a chain is too long.
    """
    if count > m or (m - count) % 2:
        return
    pairs: list[tuple[int, int]] = []
    free: list[int] = []

    def place(rest: tuple[int, ...]) -> Iterator[tuple[Pairs, Block]]:
        if not rest:
            yield tuple(pairs), tuple(free)
            return
        first, others = rest[0], rest[1:]
        for i, partner in enumerate(others):
            if len(others) - 1 < count - len(free):
                break
            pairs.append((first, partner))
            if chain(pairs, free, m, crossing) <= longest:
                yield from place(others[:i] + others[i + 1 :])
            pairs.pop()
        if len(free) < count:
            free.append(first)
            if chain(pairs, free, m, crossing) <= longest:
                yield from place(others)
            free.pop()

    yield from place(tuple(range(m)))


def chain(pairs: Sequence[tuple[int, int]], free: Sequence[int], m: int, crossing: bool = False) -> int:
    """The length of the longest chain of arcs that ends with the last one, free points joined to further points."""
    arcs = sorted([*pairs, *((point, m + j) for j, point in enumerate(free))])
    last_open, last_close = arcs[-1]
    tails: list[int] = []
    for _, close in arcs:
        if close <= last_close and (close > last_open or not crossing):
            i = bisect_left(tails, close)
            tails[i : i + 1] = [close]
    return len(tails)


def longest_chain(arcs: Pairs, crossing: bool = False) -> Pairs:
    """A longest chain among arcs that are sorted by their openers; with ``crossing`` one whose arcs all cross each other."""
    best: list[Pairs] = []
    for a, b in arcs:
        if crossing:  # the arcs open at a that close before b cross each other just if they are a chain
            before = longest_chain(tuple(arc for arc in arcs if arc[0] < a < arc[1] < b))
        else:
            before = max((c for c in best if c[-1][1] < b), key=len, default=())
        best.append((*before, (a, b)))
    return max(best, key=len, default=())


def stirling(m: int) -> list[int]:
    """The Stirling numbers of the second kind S(m, 0), ..., S(m, m)."""
    row = [1]
    for _ in range(m):
        row = [(t * row[t] if t < len(row) else 0) + (row[t - 1] if t else 0) for t in range(len(row) + 1)]
    return row
