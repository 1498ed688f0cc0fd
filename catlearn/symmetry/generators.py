"""What generates a group: permutations, or a basis of the Lie algebra with one element for each further component.

A map is equivariant for a group exactly if it commutes with its generators (with a Lie algebra element: if it intertwines the
derivations), so a proof checks finitely many, exactly.

Laws: every generator is an element of its group; the dimension of the Lie algebra is n(n-1)/2 for O and SO, n(n+1)/2 for Sp, n for T.

>>> from catlearn.core.spaces import O, S, SO
>>> generators(S(4))
((0 1) in S(4), (0 1 2 3) in S(4))
>>> generators(O(2))
(((0, 1), (-1, 0)) in the Lie algebra of O(2), ((-1, 0), (0, 1)) in O(2))
>>> random_element(SO(2), seed=1), random_element(S(5), seed=1)
(((-3/5, 4/5), (-4/5, -3/5)) in SO(2), (0 1)(2 4) in S(5))
"""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from random import Random

import torch

from catlearn.core.spaces import Group
from catlearn.errors import BadSymmetry
from catlearn.symmetry import exact
from catlearn.symmetry.elements import ADDING, PERMUTING, GroupElement, identity, parity, size_of
from catlearn.symmetry.exact import Matrix


def generators(group: Group) -> tuple[GroupElement, ...]:
    """Exact generators: of a finite group at most two permutations; of a Lie group ``lie_algebra(group)``, then the components.

    Raises ``BadSymmetry`` for what is no group, or a group whose size is a symbol.
    """
    n, kind = size_of(group), group.kind
    cycle = (*range(1, n), 0)
    if kind == "S":
        found = [(1, 0, *range(2, n)), cycle][: n - 1]
    elif kind == "Z":
        found = [cycle][: n - 1]
    elif kind == "A":  # (0 1 2) and the cycle of the last n or n - 1 points, whichever is even, generate A_n
        found = [(1, 2, 0, *range(3, n)), cycle if n % 2 else (0, *range(2, n), 1)][: max(n - 2, 0)]
    else:
        return (*lie_algebra(group), *components(group))
    return tuple(GroupElement(group, sigma) for sigma in found)


def lie_algebra(group: Group) -> tuple[GroupElement, ...]:
    """A basis of the Lie algebra, with entries 0, 1 and -1; empty for a finite group.

    O, SO: E_ij - E_ji. Sp: J times the symmetric matrices E_ij + E_ji and E_ii. T: the directions.
    """
    n, kind = size_of(group), group.kind
    if kind in PERMUTING:
        return ()
    if kind in ADDING:
        return tuple(GroupElement(group, row, True) for row in exact.identity(n))
    if kind == "Sp":
        J, pairs = exact.symplectic_form(n), [(i, j) for i in range(n) for j in range(i, n)]
        return tuple(GroupElement(group, exact.product(J, _unit(n, i, j, 1)), True) for i, j in pairs)
    return tuple(GroupElement(group, _unit(n, i, j, -1), True) for i, j in combinations(range(n), 2))


def components(group: Group) -> tuple[GroupElement, ...]:
    """One element of each component of a Lie group other than that of the identity: a reflection for O(n), none otherwise."""
    n = size_of(group)
    if group.kind != "O":
        return ()
    return (GroupElement(group, _reflected(exact.identity(n))),)


def random_element(group: Group, seed: int = 0, exact: bool = True) -> GroupElement:
    """A random element, the same for the same seed, exact or in float64.

    Exact: permutations are uniform; for O and SO the Cayley transform (I - A)(I + A)⁻¹ of a rational skew A, for O then reflected or not;
    for Sp a product of 2n rational transvections x ↦ x + c ω(v, x) v. Float64: for O and SO uniform, by a QR decomposition with positive
    diagonal (Mezzadri 2007, arXiv:math-ph/0609050); for Sp the exponential of a random element of the Lie algebra.
    """
    n, kind = size_of(group), group.kind
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise BadSymmetry(f"random_element({group}): the seed {seed!r} is no integer")
    rng = Random(seed)
    if kind in PERMUTING:
        return GroupElement(group, _permutation(kind, n, rng))
    if not exact:
        return _floating(group, n, seed)
    if kind in ADDING:
        return GroupElement(group, tuple(_fraction(rng) for _ in range(n)))
    return GroupElement(group, _transvections(n, rng) if kind == "Sp" else _cayley(n, rng, kind == "O" and rng.random() < 0.5))


def _unit(n: int, i: int, j: int, sign: int) -> Matrix:
    """E_ij + sign E_ji, and E_ii where i = j."""
    rows = [[0] * n for _ in range(n)]
    rows[j][i] = sign
    rows[i][j] = 1
    return tuple(map(tuple, rows))


def _reflected(matrix: Matrix) -> Matrix:
    """The matrix with its first row negated."""
    return (tuple(-x for x in matrix[0]), *matrix[1:])


def _permutation(kind: str, n: int, rng: Random) -> tuple[int, ...]:
    if kind == "Z":
        start = rng.randrange(n)
        return tuple((i + start) % n for i in range(n))
    sigma = rng.sample(range(n), n)
    if kind == "A" and parity(sigma):
        sigma[0], sigma[1] = sigma[1], sigma[0]
    return tuple(sigma)


def _fraction(rng: Random) -> exact.Number:
    return exact.simplest(Fraction(rng.randint(-3, 3), rng.randint(1, 2)))


def _cayley(n: int, rng: Random, reflect: bool) -> Matrix:
    skew = [[exact.simplest(Fraction(0))] * n for _ in range(n)]
    for i, j in combinations(range(n), 2):
        skew[i][j] = _fraction(rng)
        skew[j][i] = -skew[i][j]
    A, one = tuple(map(tuple, skew)), exact.identity(n)
    made = exact.solve(exact.added(one, A), exact.added(one, exact.scaled(A, -1)))
    return _reflected(made) if reflect else made


def _transvections(n: int, rng: Random) -> Matrix:
    made, J = exact.identity(n), exact.symplectic_form(n)
    for _ in range(2 * n):
        v = tuple(rng.randint(-1, 1) for _ in range(n))
        covector, c = exact.product((v,), J)[0], _fraction(rng)
        made = exact.product(tuple(tuple(int(i == j) + c * v[i] * covector[j] for j in range(n)) for i in range(n)), made)
    return made


def _floating(group: Group, n: int, seed: int) -> GroupElement:
    normal = torch.randn(n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    if group.kind in ADDING:
        return GroupElement(group, tuple(normal[0].tolist()))
    if group.kind == "Sp":
        J = torch.tensor(exact.symplectic_form(n), dtype=torch.float64)
        made = torch.linalg.matrix_exp(J @ (normal + normal.T) / (4 * n**0.5))
    else:
        q, r = torch.linalg.qr(normal)
        made = q * r.diagonal().sign()
        if group.kind == "SO" and made.det() < 0:
            made[0] = -made[0]
    return GroupElement(group, tuple(tuple(row) for row in made.tolist()))


__all__ = ["components", "generators", "identity", "lie_algebra", "random_element"]
