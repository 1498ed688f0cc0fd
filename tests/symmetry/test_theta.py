"""theta against matrices written from the definition, its laws in the suite, and wrong functors that each break their law."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import catlearn as cl
from catlearn import errors
from catlearn.core.spaces import Group
from catlearn.diagrams.basis import spanning
from catlearn.diagrams.diagram import Linear
from catlearn.diagrams.kinds import Brauer, Partition, Symplectic
from catlearn.symmetry.action import rho
from catlearn.symmetry.functor import theta
from catlearn.symmetry.generators import generators, random_element
from catlearn.symmetry.hom import hom_basis
from catlearn.verify.laws.diagrams import check_theta
from tests.symmetry import oracle

GROUPS = [cl.S(1), cl.S(2), cl.S(3), cl.A(2), cl.A(3), cl.O(1), cl.O(2), cl.O(3), cl.SO(2), cl.SO(3), cl.Sp(2), cl.Sp(4)]


def written(d: Any, n: int) -> np.ndarray:
    """The matrix of a formal sum from the definition of its diagrams, each coefficient evaluated with sympy."""
    import sympy

    found = np.zeros((n**d.l, n**d.k), dtype=object)
    for one, c in d.sum.terms:
        found = found + int(sympy.sympify(str(c).replace("·", "*").replace("²", "**2").replace("³", "**3")).subs("n", n)) * oracle.dense(
            one, [n] * (d.k + d.l)
        ).reshape(n**d.l, n**d.k).astype(object)
    return found


@pytest.mark.parametrize("group", GROUPS, ids=str)
def test_theta_of_a_diagram_is_the_tensor_that_defines_it(group: Group) -> None:
    n = group.n
    assert isinstance(n, int)
    for k, l in ((0, 0), (1, 1), (2, 1), (0, 2), (2, 2)):
        for d in list(spanning(group.kind, n, k, l))[:20]:
            f, W = theta(group)(d), written(d, n)
            assert (f.dom, f.cod) == ((n,) * k, (n,) * l)
            assert (np.array(f.exact(), dtype=object).reshape(W.shape) == W).all()
            x = torch.randn(3, *f.dom, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
            dense = torch.tensor(W.astype(float), dtype=torch.float64)
            assert torch.allclose(f.apply(x).reshape(3, -1), x.reshape(3, -1) @ dense.T, atol=1e-12)


@pytest.mark.parametrize("group", [cl.S(4), cl.A(3), cl.O(3), cl.SO(3), cl.Sp(4)], ids=str)
def test_the_maps_of_a_basis_commute_with_random_float_elements(group: Group) -> None:
    g = random_element(group, 5, exact=False)
    for k, l in ((2, 2), (2, 1), (1, 2)):
        before, after = rho(g, group.space(k)), rho(g, group.space(l))
        for d in hom_basis(group, k, l):
            f = theta(group)(d)
            x = torch.randn(2, *f.dom, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
            assert torch.allclose(f.apply(before.apply(x)), after.apply(f.apply(x)), atol=1e-10)
    x = torch.randn(*group.space(2)[0].shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))  # type: ignore[arg-type]
    dented = x * torch.arange(1.0, x.numel() + 1).reshape(x.shape)  # a diagonal map, which no group here leaves alone
    move = rho(g, group.space(2))
    assert not torch.allclose(move.apply(x) * torch.arange(1.0, x.numel() + 1).reshape(x.shape), move.apply(dented))


@pytest.mark.parametrize("group", GROUPS, ids=str)
def test_theta_obeys_every_law(group: Group) -> None:
    report = check_theta(group, order=2 if group.n in (3, 4) else 3, trials=15, seed=2)
    assert report and not report.failed
    assert len(report.held) == (8 if generators(group) else 7)  # nothing commutes with no generators


def test_theta_obeys_the_laws_on_four_wires() -> None:
    assert check_theta(cl.Sp(2), order=4, trials=8, seed=3)


def test_a_sum_is_evaluated_at_the_size_of_the_group() -> None:
    loop = Partition(0, 1, [[0]]) >> Partition(1, 0, [[0]])
    assert [float(theta(cl.S(n))(loop).dense()) for n in (2, 5)] == [2.0, 5.0]
    twice = theta(cl.O(3))(2 * Brauer.identity(1) - (Brauer(0, 2, [(0, 1)]) >> Brauer(2, 0, [(0, 1)])) @ Brauer.identity(1))
    assert torch.equal(twice.dense(), -torch.eye(3))
    nothing = theta(cl.S(2))(Partition.identity(1) - Partition.identity(1))
    assert torch.equal(nothing.dense(), torch.zeros(2, 2)) and nothing.dom == nothing.cod == (2,)


def test_the_zigzag_of_symplectic_diagrams_has_its_sign() -> None:
    cup, cap, wire = Symplectic(0, 2, [(0, 1)]), Symplectic(2, 0, [(0, 1)]), Symplectic.identity(1)
    zigzag = theta(cl.Sp(4))(wire @ cup >> cap @ wire)
    assert torch.equal(zigzag.dense(), -torch.eye(4))


# --- mutants: each is a functor with one thing wrong, and fails the law that says so ----------------------------------------


def plainly(n: int, change: Callable[[Any], Any] = lambda d: d, at: int | None = None) -> Callable[[Any], Any]:
    """Diagrams as matrices from the definition, each diagram changed first, coefficients evaluated at ``at``."""

    def F(d: Linear) -> np.ndarray:
        found = np.zeros((n**d.l, n**d.k), dtype=object)
        for one, c in d.sum.terms:
            value = c if isinstance(c, int) else sum(a * (at or n) ** i for i, a in enumerate(c.coefficients))
            found = found + value * np.array(change(one), dtype=object)
        return found

    return F


def tensor(d: Any, n: int) -> np.ndarray:
    return oracle.dense(d, [n] * (d.k + d.l)).reshape(n**d.l, n**d.k)


def broken(group: Group, F: Callable[[Any], Any]) -> set[str]:
    return {outcome.law.split(" of ")[0] for outcome in check_theta(group, F, trials=60, seed=1).failed}


COMPOSITE, TENSOR, TRANSPOSE = "F(d then e) = F(d) then F(e)", "F(d @ e) = F(d) ⊗ F(e)", "F(d.T) is the transpose"
EQUIVARIANT, IDENTITY, SUM = "F(d) intertwines the generators", "F(id) = id", "F(a d + b e) = a F(d) + b F(e)"
INDEPENDENT, SWAP = "F(hom_basis) is linearly independent", "F(swap) exchanges the factors"


@pytest.mark.parametrize("group", GROUPS, ids=str)
def test_the_definition_itself_passes(group: Group) -> None:
    assert isinstance(group.n, int)
    n = group.n
    assert not check_theta(group, plainly(n, lambda d: tensor(d, n)), order=2, trials=20).failed


def test_a_flipped_block_breaks_composition() -> None:
    def flipped(d: Any) -> Any:  # the two inputs of diagrams 2 → 1 change places, and the rest is left alone
        return tensor(d if (d.k, d.l) != (2, 1) else Partition.permutation((1, 0)).then(d).terms[0][0], 3)

    assert broken(cl.S(3), plainly(3, flipped)) >= {COMPOSITE, TRANSPOSE, TENSOR}


def test_a_forgotten_sign_breaks_composition_and_equivariance() -> None:
    def unsigned(d: Any) -> Any:
        return abs(tensor(d, 2))

    assert broken(cl.Sp(2), plainly(2, unsigned)) >= {COMPOSITE, EQUIVARIANT}
    assert EQUIVARIANT in broken(cl.SO(2), plainly(2, unsigned))


def test_a_flipped_sign_breaks_the_transpose() -> None:
    def flipped(d: Any) -> Any:
        return tensor(d, 3) * (-1 if d.coupons and d.k > d.l else 1)

    found = broken(cl.SO(3), plainly(3, flipped))
    assert TRANSPOSE in found and EQUIVARIANT not in found and INDEPENDENT not in found


def test_a_wrong_coefficient_breaks_composition_only() -> None:
    assert broken(cl.S(3), plainly(3, lambda d: tensor(d, 3), at=4)) == {COMPOSITE}
    assert COMPOSITE in broken(cl.O(2), plainly(2, lambda d: tensor(d, 2), at=-2))


def test_a_factor_in_front_breaks_identity_composition_and_tensor() -> None:
    found = broken(cl.O(2), plainly(2, lambda d: 2 * tensor(d, 2)))
    assert found == {IDENTITY, COMPOSITE, TENSOR, SWAP}


def test_the_zero_functor_is_not_faithful_on_a_basis() -> None:
    assert broken(cl.S(2), plainly(2, lambda d: 0 * tensor(d, 2))) == {IDENTITY, SWAP, INDEPENDENT}


def test_a_functor_that_is_not_linear_or_raises_is_reported() -> None:
    def squared(d: Linear) -> np.ndarray:
        return sum(c * c * tensor(one, 2) for one, c in d.sum.terms) if d.sum.terms else np.zeros((2**d.l, 2**d.k), int)  # type: ignore[return-value]

    assert SUM in broken(cl.O(2), squared)
    report = check_theta(cl.O(2), lambda d: 1 / 0)
    assert not report and "ZeroDivisionError" in str(report)


def test_one_wrong_entry_breaks_equivariance() -> None:
    def dented(d: Any) -> Any:
        W = tensor(d, 3)
        if (d.k, d.l) == (1, 2):
            W[1, 0] += 1
        return W

    report = check_theta(cl.S(3), plainly(3, dented), trials=25)
    assert EQUIVARIANT in {o.law.split(" of ")[0] for o in report.failed}
    assert "entry (" in str(report) and "g = " in str(report)  # the first difference is shown


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: theta(cl.Z(3)), "Z(3) has no diagrams"),
        (lambda: theta(cl.S(cl.dim("n"))), "until n has a value"),
        (lambda: theta(cl.O(3))(Partition.identity(1)), "takes Brauer diagrams"),
        (lambda: theta(cl.SO(3))(Brauer.identity(1)), "takes Determinant diagrams"),
        (lambda: theta(cl.SO(3))(hom_basis(cl.SO(2), 1, 1)[0]), "takes diagrams at n = 3"),
        (lambda: theta(cl.S(3))("d"), "takes diagrams"),  # type: ignore[arg-type]
        (lambda: check_theta(cl.T(2)), "T(2) has no diagrams"),
        (lambda: check_theta(cl.S(2), trials=0), "at least 1"),
    ],
)
def test_bad_input_is_refused_by_name(build: Callable[[], Any], message: str) -> None:
    with pytest.raises(errors.BadSymmetry) as info:
        build()
    assert message in str(info.value)
