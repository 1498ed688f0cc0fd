"""The orbit basis of S_n, and the change of basis by Möbius inversion on the lattice of set partitions.

The orbit element X_p has the entry 1 where two indices agree just if their points share a block. So ``D_p = Σ X_q`` over the coarsenings q
of p, and ``X_p = Σ μ(p, q) D_q`` with ``μ(p, q) = Π (-1)^(b-1) (b-1)!`` over the blocks of q, b the number of blocks of p in each
(Rota 1964; Godfrey et al., arXiv:2303.06208). X_p is 0 if p has more than n blocks.

Law: ``to_orbit`` and ``from_orbit`` are inverse to each other.

>>> from catlearn.diagrams import Partition
>>> to_orbit(Partition(1, 1, [[0], [1]]))
{Partition(1→1: 0 1): 1, Partition(1→1: 0 | 1): 1}
>>> from_orbit({Partition(1, 1, [[0], [1]]): 1})
Partition(1→1: 0 | 1) - Partition(1→1: 0 1)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import factorial, prod

from catlearn.diagrams.diagram import Combination, Linear
from catlearn.diagrams.enumeration import partitions
from catlearn.diagrams.kinds import Partition
from catlearn.diagrams.polynomial import Coefficient
from catlearn.errors import BadDiagram


def to_orbit(d: Linear) -> dict[Partition, Coefficient]:
    """The coefficients of a partition diagram, or a sum of them, in the orbit elements. Raises ``BadDiagram`` for other kinds."""
    total: dict[Partition, Coefficient] = {}
    for term, c in d.sum.terms:
        for coarser, _ in _coarsenings(term):
            total[coarser] = total.get(coarser, 0) + c
    return {d: c for d, c in total.items() if c != 0}


def from_orbit(orbits: Mapping[Partition, Coefficient]) -> Combination:
    """The sum of diagrams with these coefficients in the orbit elements, at least one of them; all k → l for one k and l."""
    if not orbits:
        raise BadDiagram("an empty sum of orbit elements does not say between which powers it is a map")
    sums = [Combination.make(Partition, p.k, p.l, [(d, mu * c) for d, mu in _coarsenings(p)]) for p, c in orbits.items()]
    return sum(sums[1:], sums[0])


def _coarsenings(d: object) -> Iterator[tuple[Partition, int]]:
    """All coarser partitions q, the partition itself among them, each with μ(p, q)."""
    if not isinstance(d, Partition):
        raise BadDiagram(f"the orbit basis is one of partition diagrams, and this is {d!r}")
    for grouping in partitions(len(d.blocks), len(d.blocks)):
        blocks = (tuple(point for i in group for point in d.blocks[i]) for group in grouping)
        yield Partition(d.k, d.l, blocks), prod((-1) ** (len(group) - 1) * factorial(len(group) - 1) for group in grouping)
