"""Diagrams: the pure combinatorics of equivariant linear maps. No tensors here.

A diagram k → l stands for a linear map from the k-th to the l-th tensor power of R^n that commutes with a group: set partitions for S_n,
with a coupon (a jellyfish) for A_n; perfect matchings for O(n), with a determinant for SO(n), with signs for Sp(n). Diagrams compose to
formal sums whose coefficients are polynomials in n.

Laws: a strict monoidal category with transposes for each kind; ``matrix(n)`` is a monoidal functor, full for every n.

>>> d = Partition(1, 2, [[0, 2], [1]])
>>> print(d >> d.T, "|", (d >> d.T).at(3), "|", d.T >> d)
n·Partition(1→1: 0 1) | 3·Partition(1→1: 0 1) | Partition(2→2: 0 2 | 1 | 3)
>>> [(kind, dimension(kind, 4, 2, 2)) for kind in KINDS]
[('S', 15), ('A', 22), ('O', 3), ('SO', 4), ('Sp', 3)]
"""

from catlearn.diagrams.basis import KINDS, basis, dimension, spanning, stable_size
from catlearn.diagrams.diagram import Combination, Diagram
from catlearn.diagrams.kinds import Brauer, Determinant, Jellyfish, Partition, Symplectic
from catlearn.diagrams.orbit import from_orbit, to_orbit
from catlearn.diagrams.polynomial import Coefficient, N, Polynomial, evaluate

__all__ = ["Brauer", "Coefficient", "Combination", "Determinant", "Diagram", "Jellyfish", "KINDS", "N", "Partition", "Polynomial",
           "Symplectic", "basis", "dimension", "evaluate", "from_orbit", "spanning", "stable_size", "to_orbit"]  # fmt: skip
