"""Elements, generators and Lie algebras: the equations of each group, checked with sympy and by enumeration."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from math import factorial
from typing import Any

import numpy as np
import pytest
import sympy
import torch

import catlearn as cl
from catlearn import errors
from catlearn.core.spaces import Group
from catlearn.symmetry.elements import GroupElement, element, identity
from catlearn.symmetry.generators import components, generators, lie_algebra, random_element

FINITE = [cl.S(1), cl.S(2), cl.S(5), cl.A(1), cl.A(2), cl.A(3), cl.A(4), cl.A(5), cl.Z(1), cl.Z(6)]
LINEAR = [cl.O(1), cl.O(2), cl.O(3), cl.O(4), cl.SO(1), cl.SO(2), cl.SO(3), cl.SO(4), cl.Sp(2), cl.Sp(4), cl.Sp(6)]
EVERY = [*FINITE, *LINEAR, cl.T(3)]


def J(n: int) -> sympy.Matrix:
    r = n // 2
    return sympy.Matrix(n, n, lambda i, j: (j == i + r) - (i == j + r))


def exactly(g: GroupElement) -> sympy.Matrix:
    return sympy.Matrix([[sympy.Rational(*Fraction(x).as_integer_ratio()) for x in row] for row in g.matrix])


def belongs(group: Group, M: sympy.Matrix) -> bool:
    """The equation of each group, from its definition."""
    n = M.rows
    if group.kind in ("S", "A", "Z"):
        columns = [list(M.col(j)).index(1) for j in range(n)]
        monomial = sorted(columns) == list(range(n)) and sum(M) == n
        even = group.kind != "A" or M.det() == 1
        return monomial and even and (group.kind != "Z" or all((j - i - columns[0]) % n == 0 for i, j in enumerate(columns)))
    if group.kind == "T":
        return M[:-1, :-1] == sympy.eye(n - 1) and list(M.row(n - 1)) == [0] * (n - 1) + [1]
    if group.kind == "Sp":
        return M.T * J(n) * M == J(n)
    return M.T * M == sympy.eye(n) and (group.kind == "O" or M.det() == 1)


def belongs_to_algebra(group: Group, X: sympy.Matrix) -> bool:
    if group.kind == "Sp":
        return (X.T * J(X.rows) + J(X.rows) * X).is_zero_matrix
    return (X.T + X).is_zero_matrix


@pytest.mark.parametrize("group", EVERY, ids=str)
def test_random_elements_are_exact_elements_and_depend_on_the_seed_only(group: Group) -> None:
    drawn = [random_element(group, seed) for seed in range(6)]
    assert all(g.exact and belongs(group, exactly(g)) for g in drawn)
    assert drawn == [random_element(group, seed) for seed in range(6)]
    if group not in (cl.S(1), cl.A(1), cl.A(2), cl.Z(1), cl.SO(1)):  # the trivial groups have one element
        assert len(set(drawn)) > 1


def test_the_equations_refuse_what_is_in_the_larger_group() -> None:
    odd, flip = exactly(element(cl.S(3), (1, 0, 2))), exactly(element(cl.O(2), [[-1, 0], [0, 1]]))
    assert not belongs(cl.A(3), odd) and not belongs(cl.Z(3), odd) and not belongs(cl.SO(2), flip) and not belongs(cl.Sp(2), flip)


def test_both_components_of_the_orthogonal_group_are_drawn() -> None:
    signs = {exactly(random_element(cl.O(3), seed)).det() for seed in range(12)}
    assert signs == {1, -1}


@pytest.mark.parametrize("group", EVERY, ids=str)
def test_the_group_laws_hold_exactly(group: Group) -> None:
    a, b, c = (random_element(group, seed) for seed in (1, 2, 3))
    assert (a * b) * c == a * (b * c)
    assert a * a.inverse() == identity(group) == a.inverse() * a
    assert exactly(a * b) == exactly(a) * exactly(b)
    assert belongs(group, exactly(a.inverse()))


@pytest.mark.parametrize("group", FINITE, ids=str)
def test_finite_generators_generate_the_whole_group(group: Group) -> None:
    n, steps = len(identity(group).value), generators(group)
    found = frontier = {identity(group)}
    while frontier:
        frontier = {s * g for s, g in product(steps, frontier)} - found
        found = found | frontier
    orders = {"S": factorial(n), "A": max(factorial(n) // 2, 1), "Z": n}
    assert len(found) == orders[group.kind] and len(steps) <= 2 and lie_algebra(group) == ()


@pytest.mark.parametrize("group", LINEAR, ids=str)
def test_the_lie_algebra_is_a_closed_basis_and_components_are_represented(group: Group) -> None:
    n = len(identity(group).value)
    basis = [exactly(X) for X in lie_algebra(group)]
    dimension = n * (n + 1) // 2 if group.kind == "Sp" else n * (n - 1) // 2
    rows = np.array([list(X) for X in basis], dtype=float).reshape(len(basis), n * n)
    assert len(basis) == dimension == np.linalg.matrix_rank(rows) if dimension else not basis
    assert all(belongs_to_algebra(group, X) for X in basis)
    assert all(belongs_to_algebra(group, X * Y - Y * X) for X in basis[:4] for Y in basis[:4])
    assert [exactly(g).det() for g in components(group)] == ([-1] if group.kind == "O" else [])
    assert generators(group) == (*lie_algebra(group), *components(group))


def test_a_translation_is_a_vector_and_its_lie_algebra_the_directions() -> None:
    g = element(cl.T(2), (1, "1/2"))
    assert (g * g).value == (2, 1) and g.inverse().value == (-1, Fraction(-1, 2))
    assert exactly(g) == sympy.Matrix([[1, 0, 1], [0, 1, sympy.Rational(1, 2)], [0, 0, 1]])
    assert [exactly(X) for X in lie_algebra(cl.T(2))] == [sympy.SparseMatrix(3, 3, {(k, 2): 1}) for k in (0, 1)]


@pytest.mark.parametrize("group", [*LINEAR, cl.T(3)], ids=str)
def test_float_elements_satisfy_the_equations_to_rounding(group: Group) -> None:
    for seed in range(4):
        g = random_element(group, seed, exact=False)
        M = torch.tensor(g.matrix, dtype=torch.float64)
        assert not g.exact
        if group.kind == "T":
            continue
        form = torch.tensor(np.array(J(len(M)), dtype=float)) if group.kind == "Sp" else torch.eye(len(M), dtype=torch.float64)
        assert (M.T @ form @ M - form).abs().max() < 1e-12 * (1 + M.abs().max() ** 2)
        assert group.kind == "O" or abs(torch.linalg.det(M) - 1) < 1e-9


def test_float_rotations_are_uniform_in_their_second_and_fourth_moments() -> None:
    # For Haar measure on SO(3) the mean of tr^m is the dimension of the invariants of V^m: 1, 3 for m = 2, 4, and 1 for m = 3.
    traces = torch.tensor([sum(g.matrix[i][i] for i in range(3)) for g in (random_element(cl.SO(3), s, exact=False) for s in range(3000))])
    moments = [traces.pow(m).mean().item() for m in (1, 2, 3, 4)]
    assert np.allclose(moments, [0, 1, 1, 3], atol=0.35)
    assert abs(moments[1] - 1) < 0.1  # and identity-like elements, whose trace is 3, would give 9


@pytest.mark.parametrize(
    ("group", "value", "message"),
    [
        (cl.S(3), (0, 0, 1), "a permutation of 0, ..., 2"),
        (cl.S(3), (0, 1), "3 integers"),
        (cl.S(3), (0, 1.5, 2), "3 integers"),
        (cl.A(3), (1, 0, 2), "an even permutation"),
        (cl.Z(3), (1, 0, 2), "a cyclic shift"),
        (cl.O(2), [[1, 1], [0, 1]], "M Mᵀ = I"),
        (cl.O(2), [[1, 0, 0], [0, 1, 0]], "2 × 2 numbers"),
        (cl.O(2), [[1, float("nan")], [0, 1]], "2 × 2 numbers"),
        (cl.O(2), "ab", "2 × 2 numbers"),
        (cl.SO(2), [[-1, 0], [0, 1]], "determinant 1"),
        (cl.Sp(2), [[2, 0], [0, 1]], "M J Mᵀ = J"),
        (cl.T(2), [1], "2 numbers"),
    ],
    ids=str,
)
def test_what_is_no_element_is_refused_with_the_equation_that_fails(group: Group, value: Any, message: str) -> None:
    with pytest.raises(errors.BadSymmetry, match="is no element") as info:
        element(group, value)
    assert message in str(info.value)


def test_what_is_an_element_is_accepted_from_lists_tensors_and_arrays() -> None:
    quarter = [[0, -1], [1, 0]]
    assert element(cl.SO(2), quarter) == element(cl.SO(2), np.array(quarter)) == element(cl.SO(2), [["0", "-1"], [Fraction(1), 0]])
    assert element(cl.SO(2), torch.tensor(quarter)).exact and not element(cl.SO(2), torch.tensor(quarter).double()).exact
    assert element(cl.Sp(2), [[0, 1], [1, 0]], infinitesimal=True).infinitesimal
    assert element(cl.S(3), torch.tensor([1, 2, 0])).value == (1, 2, 0)


def test_bad_groups_and_mixed_products_are_refused() -> None:
    for group in (Group("Sp", 3), Group("S", 0), Group("U", 3), "S(3)", cl.S(cl.dim("n"))):
        with pytest.raises(errors.BadSymmetry):
            generators(group)  # type: ignore[arg-type]
    with pytest.raises(errors.BadSymmetry, match="even n"):
        generators(Group("Sp", 3))
    with pytest.raises(errors.BadSymmetry, match="has a value"):
        random_element(cl.O(cl.dim("n")))
    with pytest.raises(errors.BadSymmetry, match="one group"):
        identity(cl.S(3)) * identity(cl.S(3, name="other"))
    with pytest.raises(errors.BadSymmetry, match="one group"):
        lie_algebra(cl.O(2))[0] * identity(cl.O(2))
    with pytest.raises(errors.BadSymmetry, match="finite"):
        element(cl.S(3), (0, 1, 2), infinitesimal=True)
    with pytest.raises(errors.BadSymmetry, match="X \\+ Xᵀ = 0"):
        element(cl.O(2), [[0, 1], [1, 0]], infinitesimal=True)
    with pytest.raises(errors.BadSymmetry, match="seed"):
        random_element(cl.O(2), 1.5)  # type: ignore[arg-type]
