"""Bases of equivariant linear maps by diagrams, and their number by closed formulas.

``spanning`` lists all diagrams k → l of a group's kind in one fixed order; their matrices span Hom_G((R^n)^⊗k, (R^n)^⊗l), but for small n
they are dependent. ``basis`` is the part of that list, in the same order, that is a basis, for every n:

- S_n: the partitions with at most n blocks (every other one is a sum of coarser ones, by Möbius inversion).
- A_n: those, and the partitions with n or n - 1 blocks with all of them on the coupon.
- O(n): the matchings without n + 1 arcs (a_i, b_i) with ``a_0 < a_1 < ...`` and ``b_0 < b_1 < ...``; read as an involution of the points,
  those without an increasing subsequence of n + 1. Such arcs are the leading term of a minor of the Gram matrix, which is 0 in R^n
  (De Concini & Procesi, A characteristic free approach to invariant theory, 1976; Conca, Gröbner bases of ideals of minors of a
  symmetric matrix, 1994). By Robinson-Schensted they are as many as the tableaux of m entries with n columns at most, all even.
- SO(n): those, and with n free points f_1 < ... < f_n the diagrams that fulfil the same condition once the points f_j are joined to
  further points m + j at the right. They are independent: times a determinant in the further points they are multiples of an n-minor of
  a Gram matrix, whose leading term is that matching. Their number is right: in the tableau of that matching the last n entries form a
  horizontal strip, since they are joined in order, so there is one in each of n columns; without them the n columns are odd.
- Sp(n): the matchings without n/2 + 1 arcs that cross each other pairwise, the leading term of a Pfaffian (Jonsson & Welker, A
  spherical initial ideal for Pfaffians, 2007); for Sp(2) the planar ones.

The second fundamental theorems in diagrams: Lehrer & Zhang, The second fundamental theorem of invariant theory for the orthogonal group,
Annals of Mathematics 176 (2012); for these layers Pearce-Crump, arXiv:2212.08648, 2212.08630, 2301.10152.

>>> [len(basis("S", n, 2, 2)) for n in (1, 2, 3, 4, 5)], dimension("S", 3, 2, 2)
([1, 8, 14, 15, 15], 14)
>>> basis("SO", 3, 2, 1), dimension("SO", 3, 3, 2)
((Determinant(2→1, n=3: ε(0, 1, 2)),), 6)
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations
from math import factorial, prod
from typing import Any

from catlearn.diagrams.contract import Network
from catlearn.diagrams.diagram import Diagram
from catlearn.diagrams.enumeration import matchings, partitions, stirling
from catlearn.diagrams.joining import check_number
from catlearn.diagrams.kinds import Brauer, Determinant, Jellyfish, Partition, Symplectic
from catlearn.errors import BadDiagram

KINDS: dict[str, type[Diagram]] = {kind.group: kind for kind in (Partition, Jellyfish, Brauer, Determinant, Symplectic)}


@lru_cache(maxsize=256)
def basis(kind: str, n: int, k: int, l: int) -> tuple[Diagram, ...]:
    """The basis of Hom_G((R^n)^⊗k, (R^n)^⊗l) for G one of ``"S" "A" "O" "SO" "Sp"`` at n; its length is ``dimension(kind, n, k, l)``.

    Raises ``BadDiagram`` for another kind, for n that the group does not have, and for negative k or l.

    >>> basis("A", 2, 1, 0), len(basis("S", 6, 3, 3))
    ((Jellyfish(1→0, n=2: 0), Jellyfish(1→0, n=2: ε(0, ·))), 203)
    """
    _check(kind, n, k, l)
    m = k + l
    if kind == "S":
        return tuple(Partition(k, l, blocks) for blocks in partitions(m, n))
    if kind == "A":
        coupons = [blocks for blocks in partitions(m, n) if len(blocks) >= n - 1] if n > 1 else []
        plain = tuple(Jellyfish(k, l, (), blocks, n) for blocks in partitions(m, n))
        return plain + tuple(Jellyfish(k, l, blocks, (), n) for blocks in coupons)
    if kind == "Sp":
        return tuple(Symplectic(k, l, pairs) for pairs, _ in matchings(m, n // 2, crossing=True))
    if kind == "O":
        return tuple(Brauer(k, l, pairs) for pairs, _ in matchings(m, n))
    return tuple(Determinant(k, l, free, pairs, n) for pairs, free in (*matchings(m, n), *matchings(m, n, n)))


def spanning(kind: str, n: int, k: int, l: int) -> Iterator[Diagram]:
    """All diagrams k → l of the kind, in the order of ``basis``; n matters only to those with a coupon.

    >>> [sum(1 for _ in spanning(kind, 4, 3, 3)) for kind in ("S", "A", "O", "SO", "Sp")]
    [203, 878, 15, 30, 15]
    """
    _check(kind, n, k, l)
    m = k + l
    if kind == "S":
        yield from (Partition(k, l, blocks) for blocks in partitions(m, m))
    elif kind == "A":
        yield from (Jellyfish(k, l, (), blocks, n) for blocks in partitions(m, m))
        for blocks in partitions(m, m) if n > 1 else ():
            for count in (n - 1, n):
                for legs in combinations(blocks, count):
                    yield Jellyfish(k, l, legs, (block for block in blocks if block not in legs), n)
    elif kind in ("O", "Sp"):
        yield from (KINDS[kind].build(k, l, Network(pairs), None) for pairs, _ in matchings(m, m))
    else:
        for count in (0, n):
            yield from (Determinant(k, l, free, pairs, n) for pairs, free in matchings(m, m + n, count))


def dimension(kind: str, n: int, k: int, l: int) -> int:
    """The dimension of Hom_G((R^n)^⊗k, (R^n)^⊗l), with m = k + l, S Stirling numbers of the second kind, f hook length numbers.

    S_n: Σ_{t ≤ n} S(m, t). A_n (n ≥ 2): that + S(m, n) + S(m, n-1). O(n): Σ f^λ over λ ⊢ m with even rows, at most n of them.
    SO(n): that + Σ f^λ over λ with exactly n rows, all odd. Sp(n): Σ f^λ over λ with even columns and at most n rows.

    >>> dimension("S", 4, 3, 3), dimension("A", 4, 2, 2), dimension("SO", 4, 3, 3), dimension("Sp", 4, 3, 3), dimension("O", 99, 10, 10)
    (187, 22, 25, 14, 654729075)
    """
    _check(kind, n, k, l)
    m = k + l
    if kind in ("S", "A"):
        row = stirling(m)
        total = sum(row[: n + 1])
        return total + sum(row[n - 1 : n + 1]) if kind == "A" and n > 1 else total
    if kind in ("O", "Sp") and n >= (stable_size(kind, k, l) or n + 1):
        return 0 if m % 2 else prod(range(m - 1, 0, -2))  # all matchings; by Robinson-Schensted the sums below
    if kind == "Sp":
        return 0 if m % 2 else sum(hooks([part for part in shape for _ in (0, 1)]) for shape in shapes(m // 2, n // 2))
    even = 0 if m % 2 else sum(hooks([2 * part for part in shape]) for shape in shapes(m // 2, n))
    if kind == "O" or m < n or (m - n) % 2:
        return even
    odd = (shape + (0,) * (n - len(shape)) for shape in shapes((m - n) // 2, n))
    return even + sum(hooks([2 * part + 1 for part in shape]) for shape in odd)


def stable_size(kind: str, k: int, l: int) -> int | None:
    """The least n from which on ``basis`` is the same for every larger n; None for the kinds whose coupon has n legs.

    >>> stable_size("S", 2, 2), stable_size("O", 2, 2), stable_size("Sp", 2, 2), stable_size("SO", 2, 2)
    (4, 2, 4, None)
    """
    m = k + l
    sizes = {"S": max(m, 1), "O": max((m + 1) // 2, 1), "Sp": max(m + m % 2, 2)}
    return sizes.get(kind)


def shapes(m: int, rows: int, largest: int | None = None) -> Iterator[tuple[int, ...]]:
    """The partitions of the number m into at most ``rows`` parts, the largest first."""
    if m == 0:
        yield ()
    elif rows:
        for part in range(min(m, largest or m), 0, -1):
            for rest in shapes(m - part, rows - 1, part):
                yield (part, *rest)


def hooks(shape: list[int]) -> int:
    """The number of standard tableaux of a shape, by the hook length formula."""
    columns = [sum(1 for part in shape if part > j) for j in range(shape[0] if shape else 0)]
    product = 1
    for i, part in enumerate(shape):
        for j in range(part):
            product *= part - j + columns[j] - i - 1
    return factorial(sum(shape)) // product


def _check(kind: Any, n: Any, k: Any, l: Any) -> None:
    if kind not in KINDS:
        raise BadDiagram(f"there are no diagrams for {kind!r}", next=f"the kinds are {' '.join(KINDS)}")
    check_number(KINDS[kind], n)
    if any(not isinstance(order, int) or order < 0 for order in (k, l)):
        raise BadDiagram(f"k and l are integers of at least 0, and these are {k!r} and {l!r}")
