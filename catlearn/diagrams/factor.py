"""Planar diagrams, and every diagram as a permutation, a planar diagram, a permutation.

The planar middle has the blocks across the rows at the left, then what hangs on a coupon, then the blocks inside one row. It is what makes
multiplication fast: permutations are free, and a planar diagram contracts, carries over and copies (Pearce-Crump, arXiv:2304.14165).

>>> from catlearn.diagrams import Partition
>>> for part in Partition(3, 3, [[0, 5], [1], [2, 3, 4]]).factor():
...     print(part)
Partition(3→3: 0 5 | 1 3 | 2 4)
Partition(3→3: 0 3 | 1 4 5 | 2)
Partition(3→3: 0 3 | 1 5 | 2 4)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from catlearn.diagrams.contract import Block

if TYPE_CHECKING:
    from catlearn.diagrams.diagram import Diagram

    D = TypeVar("D", bound=Diagram)


def factors(d: D) -> tuple[D, D, D]:
    """``(p, middle, q)`` with ``p >> middle >> q == d``: p and q are permutations, and the middle is planar."""
    l = d.l
    plain = d.deltas + d.arcs
    legs = tuple(leg for coupon in d.coupons for leg in coupon)
    across = [*_across(plain, l), *_across(legs, l)]
    rest = [*(leg for leg in legs if leg not in across), *(block for block in plain if block not in across)]
    points = [point for block in (*across, *rest) for point in block]
    top, bottom = [point for point in points if point < l], [point - l for point in points if point >= l]
    place = {point: i for i, point in enumerate(top)} | {l + point: l + i for i, point in enumerate(bottom)}
    first, last = [place[l + j] - l for j in range(d.k)], top
    middle = d.build(d.k, l, d.network.relabel(place.__getitem__), d.size)
    return d.permutation(first, d.size), middle, d.permutation(last, d.size)


def is_planar(d: Diagram) -> bool:
    """Whether no two blocks cross, neither as they are nor when a coupon and its legs are made one block."""
    plain = d.deltas + d.arcs
    legs = tuple(leg for coupon in d.coupons for leg in coupon)
    around = [*range(d.l), *reversed(range(d.l, d.l + d.k))]
    whole = (tuple(point for leg in legs for point in leg),) if legs else ()
    return _noncrossing(plain + legs, around) and _noncrossing(plain + whole, around)


def _across(blocks: tuple[Block, ...], l: int) -> list[Block]:
    return [block for block in blocks if min(block) < l <= max(block)]


def _noncrossing(blocks: tuple[Block, ...], around: list[int]) -> bool:
    """Whether blocks do not cross, the points being met in this order on a circle."""
    label = {point: i for i, block in enumerate(blocks) for point in block}
    left = [len(block) for block in blocks]
    open: list[int] = []
    for point in around:
        block = label[point]
        while open and not left[open[-1]]:
            open.pop()
        if left[block] == len(blocks[block]):
            open.append(block)
        elif open[-1] != block:
            return False
        left[block] -= 1
    return True
