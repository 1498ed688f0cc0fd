"""Contraction: what a network of deltas, symplectic pairs and coupons is once its inner points are summed away.

Composing, tensoring and tracing are all this one thing. The network's points are ``0 .. size-1``; those below ``open`` are the points of
the result, the others are summed over all n values. The result is a sum of products of deltas, arcs and at most one coupon:

- a component without an open point, arc or leg is worth n;
- a string of arcs is a power of J up to sign: ``J J = -1`` and ``J`` read backwards is ``-J``. So the rule "n to the number of loops" is
  wrong for Sp(n): the sign of a string with a arcs, b of them passed backwards, is ``(-1) ** (a // 2 + b)``;
- a coupon with two legs on one component is 0. A leg that ends in the void is summed over its values: the coupon keeps n - 1 legs and the
  missing value, written last; two such legs give 0, since the coupon changes its sign when they are swapped;
- two coupons are the determinant of deltas between their legs: ``ε(x) ε(y) = Σ_π sgn(π) Π_i δ(x_i, y_π(i))``.

Sources: Brauer 1937 for deltas; Lehrer & Zhang, arXiv:1612.03998, for the coupon of SO(n); Comes, arXiv:1612.05182, for A_n.

>>> list(contract(Network(deltas=((0, 1), (2, 3))), open=2, size=4, n=5))
[(5, Network(deltas=((0, 1),), arcs=(), coupons=()))]
>>> list(contract(Network(arcs=((0, 2), (1, 2))), open=2, size=3, n=4))        # J J^T = 1
[(1, Network(deltas=((0, 1),), arcs=(), coupons=()))]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, permutations
from typing import Any, TypeAlias

from catlearn.diagrams.polynomial import Coefficient

Block: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class Network:
    """A product of deltas, symplectic pairs and coupons; a leg of a coupon is a block of points."""

    deltas: tuple[Block, ...] = ()
    arcs: tuple[tuple[int, int], ...] = ()
    coupons: tuple[tuple[Block, ...], ...] = ()

    @property
    def key(self) -> tuple[tuple[Any, ...], ...]:
        """What the terms of a sum are sorted by: those without a coupon first."""
        return self.coupons, self.deltas, self.arcs

    def relabel(self, name: Callable[[int], int]) -> Network:
        """The same product on points that are called otherwise."""
        return Network(
            tuple(tuple(map(name, block)) for block in self.deltas),
            tuple((name(a), name(b)) for a, b in self.arcs),
            tuple(tuple(tuple(map(name, leg)) for leg in coupon) for coupon in self.coupons),
        )

    def __add__(self, other: Network) -> Network:
        """Both products at once."""
        return Network(self.deltas + other.deltas, self.arcs + other.arcs, self.coupons + other.coupons)


Term: TypeAlias = tuple[Coefficient, Network]


@cache
def signed_permutations(n: int) -> tuple[tuple[int, Block], ...]:
    """All permutations of ``range(n)``, each with its sign."""
    return tuple((sign(order), order) for order in permutations(range(n)))


def sign(order: Sequence[Any]) -> int:
    """The sign of the permutation that sorts ``order``; its entries differ."""
    seen, result = set[int](), 1
    place = {value: i for i, value in enumerate(sorted(order))}
    for start in range(len(order)):
        length, i = 0, start
        while i not in seen:
            seen.add(i)
            i, length = place[order[i]], length + 1
        if length and length % 2 == 0:
            result = -result
    return result


def contract(network: Network, open: int, size: int, n: Coefficient) -> Iterator[Term]:
    """The terms of a network whose points from ``open`` on are summed. With coupons, n must be a number."""
    find = _components(size, (*network.deltas, *(leg for coupon in network.coupons for leg in coupon)))
    members: dict[int, list[int]] = {find[point]: [] for point in range(size)}
    for point in range(open):
        members[find[point]].append(point)
    blocks = [tuple(block) for block in members.values()]
    number = {root: i for i, root in enumerate(members)}
    if network.arcs:
        yield from _strings(blocks, [(number[find[a]], number[find[b]]) for a, b in network.arcs], n)
        return
    coupons = [[number[find[leg[0]]] for leg in coupon] for coupon in network.coupons]
    if any(len(set(legs)) < len(legs) for legs in coupons):
        return
    if len(coupons) == 2:
        assert isinstance(n, int)
        yield from _two_coupons(blocks, coupons[0], coupons[1], n)
        return
    held = {leg for legs in coupons for leg in legs}
    loops = sum(1 for i, block in enumerate(blocks) if not block and i not in held)
    deltas = tuple(block for i, block in enumerate(blocks) if block and i not in held)
    if not coupons:
        yield n**loops, Network(deltas)
    else:
        yield from _one_coupon(deltas, [blocks[leg] for leg in coupons[0]], loops, n)


def _one_coupon(deltas: tuple[Block, ...], legs: list[Block], loops: int, n: Coefficient) -> Iterator[Term]:
    void = [i for i, leg in enumerate(legs) if not leg]
    if not void:
        yield n**loops, Network(deltas, (), (tuple(legs),))
    elif len(void) == 1 and len(legs) == n:
        moved = (-1) ** (len(legs) - 1 - void[0])
        yield moved * n**loops, Network(deltas, (), (tuple(leg for leg in legs if leg),))


def _two_coupons(blocks: list[Block], left: list[int], right: list[int], n: int) -> Iterator[Term]:
    blocks, left, right = list(blocks), list(left), list(right)
    for legs in (left, right):
        if len(legs) == n - 1:
            legs.append(len(blocks))
            blocks.append(())
    for signature, order in signed_permutations(n):
        find = _components(len(blocks), ((left[i], right[order[i]]) for i in range(n)))
        merged: dict[int, list[int]] = {}
        for i, block in enumerate(blocks):
            merged.setdefault(find[i], []).extend(block)
        deltas = tuple(tuple(block) for block in merged.values() if block)
        yield signature * n ** (len(merged) - len(deltas)), Network(deltas)


def _strings(blocks: list[Block], arcs: list[tuple[int, int]], n: Coefficient) -> Iterator[Term]:
    """Follow every string of arcs from its smaller end; then the closed ones."""
    leaving: list[list[tuple[int, int, bool]]] = [[] for _ in blocks]  # per block: arc, where it leads, whether backwards
    for i, (a, b) in enumerate(arcs):
        leaving[a].append((i, b, False))
        leaving[b].append((i, a, True))
    used, coefficient = set[int](), 1
    deltas: list[Block] = []
    joined: list[tuple[int, int]] = []

    def walk(block: int) -> tuple[int, int, int]:
        passed, back = 0, 0
        while step := next((s for s in leaving[block] if s[0] not in used), None):
            arc, block, backwards = step
            used.add(arc)
            passed, back = passed + 1, back + backwards
        return block, passed, (-1) ** (passed // 2 + back)

    loops = 0
    ends = {block[0]: i for i, block in enumerate(blocks) if len(block) == 1}
    for start in sorted(ends):
        if start not in ends:
            continue
        last, passed, signature = walk(ends.pop(start))
        stop = blocks[last][0]
        del ends[stop]
        coefficient *= signature
        if passed % 2:
            joined.append((start, stop))
        else:
            deltas.append((start, stop))
    for i, block in enumerate(blocks):
        if len(block) == 2:
            deltas.append(block)
        elif not block and (not leaving[i] or any(s[0] not in used for s in leaving[i])):
            _, passed, signature = walk(i)
            if passed % 2:  # the trace of J
                return
            coefficient, loops = coefficient * signature, loops + 1
    yield coefficient * n**loops, Network(tuple(deltas), tuple(joined))


def _components(size: int, groups: Iterable[Sequence[int]]) -> list[int]:
    """For each point the least point of its connected component."""
    up = list(range(size))
    for group in groups:
        for a, b in pairwise(group):
            while up[a] != a:
                a = up[a]
            while up[b] != b:
                b = up[b]
            up[max(a, b)] = min(a, b)
    for i, above in enumerate(up):
        up[i] = up[above]
    return up
