"""Normal forms at small n, where diagrams have relations: every diagram as an integer sum of those in ``basis``.

- S_n: ``D_p = Σ_q X_q`` over the coarsenings q of p with at most n blocks, since the orbit element X_q is 0 for more; written in diagrams
  again by Möbius inversion.
- A_n: the blocks that do not hang on the coupon take the value of a leg, or the missing value: the sum over these cases.
- O(n), SO(n): antisymmetrising n + 1 points gives 0. Applied to the openers of a chain of n + 1 arcs it writes a matching as a sum of
  matchings that come later, in the order of their arcs.
- Sp(n): the Pfaffian of n + 2 points is 0. It writes a matching with n/2 + 1 arcs that cross each other as a sum of matchings with
  fewer crossings.

Sources: Lehrer & Zhang, Annals of Mathematics 176 (2012); De Concini & Procesi 1976; Godfrey et al., arXiv:2303.06208 (orbit basis).

>>> from catlearn.diagrams import Brauer, Symplectic
>>> print(Brauer(2, 2, [(0, 1), (2, 3)]).normal(1))
Brauer(2→2: 0 3 | 1 2)
>>> print(Symplectic(2, 2, [(0, 2), (1, 3)]).normal(2))
Symplectic(2→2: 0 1 | 2 3) + Symplectic(2→2: 0 3 | 1 2)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from itertools import permutations, product
from math import factorial
from typing import TYPE_CHECKING, Any, TypeAlias

from catlearn.diagrams.contract import Block, Network, sign
from catlearn.diagrams.enumeration import Pairs, longest_chain, matchings, partitions, stirling

if TYPE_CHECKING:
    from catlearn.diagrams.diagram import Diagram

Terms: TypeAlias = Iterable[tuple[Any, int]]


def normal_terms(d: Diagram, n: int) -> Iterator[tuple[Diagram, int]]:
    """A diagram of a sum (so its legs are in order) at size n in the basis, with integer coefficients; some may be repeated."""
    k, l, m = d.k, d.l, d.k + d.l
    if d.group == "Sp":
        matching = tuple(sorted(d.deltas + d.arcs))
        for pairs, c in straighten(matching, lambda arcs: pfaffian(arcs, n // 2), lambda arcs: -crossings(arcs)):
            yield d.build(k, l, Network(pairs), n), c
    elif d.group in ("O", "SO"):
        free = [leg[0] for legs in d.coupons for leg in legs]
        extended = tuple(sorted((*d.deltas, *((point, m + j) for j, point in enumerate(free)))))
        for arcs, c in straighten(extended, lambda arcs: minor(arcs, n, m), lambda arcs: arcs):
            legs = tuple((a,) for a, b in arcs if b >= m)
            yield d.build(k, l, Network(tuple(arc for arc in arcs if arc[1] < m), (), (legs,) if legs else ()), n), c
    elif not d.coupons:
        for blocks, c in coarse(d.deltas, n):
            yield d.build(k, l, Network(blocks), n), c
    else:
        for legs in hang(d.coupons[0], d.deltas, n):
            yield d.build(k, l, Network((), (), (legs,)), n), 1


def straighten(start: Any, rewrite: Callable[[Any], Terms | None], order: Callable[[Any], Any]) -> Terms:
    """Rewrite until nothing can be rewritten. ``rewrite`` gives only terms that come later in the order, so each is met once."""
    waiting, heap, done = {start: 1}, [(order(start), start)], []
    while heap:
        _, term = heappop(heap)
        c = waiting.pop(term)
        terms = rewrite(term) if c else None
        if terms is None:
            done.append((term, c))
            continue
        for made, a in terms:
            if made not in waiting:
                heappush(heap, (order(made), made))
            waiting[made] = waiting.get(made, 0) + a * c
    return done


def minor(arcs: Pairs, n: int, m: int) -> Terms | None:
    """A matching with a chain of n + 1 arcs as a sum of later ones; None without such a chain. A free point leads to a point from m on.

    The openers of the chain are antisymmetrised against the closers below m and the legs of the coupon.
    """
    chosen = longest_chain(arcs)[: n + 1]
    if len(chosen) <= n:
        return None
    openers = [a for a, _ in chosen]
    closers = [b for _, b in chosen if b < m]
    others = [arc for arc in arcs if arc not in chosen and arc[1] < m]
    legs = {b: a for a, b in arcs if b >= m}
    tail = [b for _, b in chosen if b >= m]
    terms: list[tuple[Pairs, int]] = []
    for order in permutations(range(n + 1), len(closers)):
        rest = [i for i in range(n + 1) if i not in order]
        if list(order) == sorted(order) == list(range(len(closers))):
            continue
        hung = legs | {b: openers[i] for b, i in zip(tail, rest, strict=True)}
        row = [hung[b] for b in sorted(hung)]
        pairs = [(min(p), max(p)) for p in ((openers[i], b) for i, b in zip(order, closers, strict=True))]
        free = [(point, m + j) for j, point in enumerate(sorted(row))]
        terms.append((tuple(sorted([*others, *pairs, *free])), -sign([*order, *rest]) * sign(row)))
    return terms


def pfaffian(arcs: Pairs, r: int) -> Terms | None:
    """A matching with r + 1 arcs that cross pairwise as a sum of matchings with fewer crossings; None if there are none such."""
    chosen = longest_chain(arcs, crossing=True)[: r + 1]
    if len(chosen) <= r:
        return None
    points = sorted(point for arc in chosen for point in arc)
    others = [arc for arc in arcs if arc not in chosen]
    own = (-1) ** crossings(chosen)
    terms: list[tuple[Pairs, int]] = []
    for pairs, _ in matchings(len(points), len(points)):
        new = [(points[a], points[b]) for a, b in pairs]
        if set(new) != set(chosen):
            terms.append((tuple(sorted([*others, *new])), -own * (-1) ** crossings(pairs)))
    return terms


def crossings(arcs: Iterable[tuple[int, int]]) -> int:
    """How many pairs of arcs cross."""
    found = list(arcs)
    return sum(1 for a, b in found for c, d in found if a < c < b < d)


def coarse(blocks: tuple[Block, ...], n: int) -> Iterator[tuple[tuple[Block, ...], int]]:
    """D_p at size n as diagrams with at most n blocks. The coefficient of D_r is Σ μ(q, r) over the q between with at most n blocks."""
    if len(blocks) <= n:
        yield blocks, 1
        return
    for grouping in partitions(len(blocks), n):
        ways = [1]  # ways[j]: the sum of μ over refinements of the groups so far into j blocks
        for group in grouping:
            longer = [0] * (len(ways) + len(group))
            for j, s in enumerate(stirling(len(group))[1:], start=1):
                for i, way in enumerate(ways):
                    longer[i + j] += way * s * (-1) ** (j - 1) * factorial(j - 1)
            ways = longer
        yield tuple(tuple(point for i in group for point in blocks[i]) for group in grouping), sum(ways[: n + 1])


def hang(legs: tuple[Block, ...], blocks: tuple[Block, ...], n: int) -> Iterator[tuple[Block, ...]]:
    """All ways to join every block to a leg, or to the missing value if there is one."""
    places = (*legs, *((),) * (n - len(legs)))
    for choice in product(range(n), repeat=len(blocks)):
        made = [list(place) for place in places]
        for block, i in zip(blocks, choice, strict=True):
            made[i].extend(block)
        yield tuple(tuple(leg) for leg in made if leg)
