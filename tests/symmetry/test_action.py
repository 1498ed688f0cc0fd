"""rho on every kind of wire, against Kronecker products written with numpy, and against what equivariance of gathering means."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import pytest
import torch

import catlearn as cl
from catlearn import errors
from catlearn.core.spaces import Axis, Group, Space, Wire
from catlearn.symmetry.action import at_sizes, groups_on, identities, rho
from catlearn.symmetry.elements import GroupElement, element
from catlearn.symmetry.generators import generators, lie_algebra, random_element

MIXED = cl.space(cl.S(3), cl.O(2), cl.S(3), 2)


def matrix(g: GroupElement) -> np.ndarray:
    return np.array(g.matrix, dtype=object)


def kron(*factors: Any) -> np.ndarray:
    return reduce(np.kron, [np.array(f, dtype=object) for f in factors])


def test_a_product_of_groups_acts_by_the_kronecker_product_of_its_elements() -> None:
    s, o = random_element(cl.S(3), 5), random_element(cl.O(2), 1)
    expected = kron(matrix(s), matrix(o), matrix(s), np.eye(2, dtype=int))
    assert (rho((s, o), MIXED).matrix() == expected).all()
    x = np.arange(2 * 36).reshape(2, 3, 2, 3, 2).astype(object)
    assert (rho((o, s), MIXED).apply(x).reshape(2, 36) == x.reshape(2, 36) @ expected.T).all()
    y = torch.tensor(x.astype(float).tolist(), dtype=torch.float64)
    assert torch.allclose(rho((s, o), MIXED).apply(y).reshape(2, 36), y.reshape(2, 36) @ torch.tensor(expected.astype(float)).T)


def test_a_lie_algebra_acts_as_a_derivation() -> None:
    X, eye = matrix(lie_algebra(cl.Sp(2))[1]), np.eye(2, dtype=int)
    expected = kron(X, eye, eye) + kron(eye, eye, X)
    wire = cl.space(cl.Sp(2), 2, cl.Sp(2))
    assert (rho(lie_algebra(cl.Sp(2))[1], wire).matrix() == expected).all()
    assert not rho(lie_algebra(cl.O(2))[0], wire).matrix().any()  # a group that is not there acts by zero


def test_the_derivation_is_the_derivative_of_the_action() -> None:
    X, wire, step = random_skew(3), cl.O(3).space(2, channels=2), 1e-5
    x = torch.randn(3, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ahead, back = (element(cl.O(3), torch.linalg.matrix_exp(t * torch.tensor(X, dtype=torch.float64))) for t in (step, -step))
    slope = (rho(ahead, wire).apply(x) - rho(back, wire).apply(x)) / (2 * step)
    assert torch.allclose(slope, rho(element(cl.O(3), X, infinitesimal=True), wire).apply(x), atol=1e-8)


def random_skew(n: int) -> list[list[int]]:
    rng = np.random.default_rng(0)
    A = rng.integers(-2, 3, (n, n))
    return (A - A.T).tolist()


EVERY = [cl.S(4), cl.A(4), cl.Z(4), cl.O(3), cl.SO(3), cl.Sp(4)]


def is_action(act: Callable[[GroupElement], np.ndarray], group: Group) -> bool:
    g, h = random_element(group, 1), random_element(group, 2)
    return bool((act(g * h) == act(g) @ act(h)).all())


@pytest.mark.parametrize("group", EVERY, ids=str)
def test_rho_is_a_homomorphism_and_wrong_actions_are_not(group: Group) -> None:
    assert is_action(lambda g: rho(g, group.space(2)).matrix(), group)
    assert not is_action(lambda g: rho(g.inverse(), group.space(1)).matrix(), group) or group.kind == "Z"  # shifts commute
    assert not is_action(lambda g: rho(g, group.space(1)).matrix() * 2, group)


def test_float_elements_act_as_their_matrices() -> None:
    g = random_element(cl.SO(3), 4, exact=False)
    M = torch.tensor(g.matrix, dtype=torch.float64)
    x = torch.randn(5, 3, 2, dtype=torch.float64)
    assert torch.allclose(rho(g, cl.SO(3).space(1, channels=2)).apply(x), torch.einsum("ij,bjc->bic", M, x))
    assert torch.allclose(rho(g, cl.SO(3).space(2)).matrix(), torch.kron(M, M))
    assert rho(g, cl.SO(3).space(1)).apply(x[0, :, 0].float()).dtype == torch.float32


def test_positions_move_with_the_axis_that_they_point_into() -> None:
    # Gathering is equivariant exactly if values and positions move together: (g x)[g i] = x[i].
    g = random_element(cl.S(6), 3)
    x, i = torch.randn(6, 2), torch.tensor([[0, 5, 2], [3, 3, 1]])
    moved = rho(g, cl.S(6).space(1, channels=2) @ cl.index(cl.S(6), 3))
    gx, gi = moved.apply(x, i)
    assert torch.equal(gx[gi], x[i]) and not torch.equal(gx[i], x[i])
    graph = cl.index(cl.S(6), 2, cl.Z(3))
    pairs = torch.tensor([[0, 1, 2], [4, 5, 0]])
    turn = element(cl.Z(3), (1, 2, 0))
    assert torch.equal(rho((g, turn), graph).apply(pairs), torch.tensor(g.value)[pairs.roll(1, dims=1)])
    assert (rho(g, cl.index(cl.S(6), 2)).apply(np.array([0, 4])) == [g.value[0], g.value[4]]).all()


def test_a_batch_is_moved_event_by_event_and_masks_are_permuted() -> None:
    g = element(cl.S(3), (1, 2, 0))
    mask = torch.tensor([[True, False, False], [True, True, False]])
    assert torch.equal(rho(g, cl.boolean(cl.S(3))).apply(mask), mask.roll(1, dims=1))


def test_names_and_sizes_tell_groups_apart() -> None:
    users, items = cl.S(3, name="users"), cl.S(3, name="items")
    g, x = element(users, (1, 2, 0)), torch.arange(9.0).reshape(3, 3)
    assert torch.equal(rho(g, cl.space(users, items)).apply(x), x.roll(1, dims=0))
    assert torch.equal(rho(g, cl.space(users, users)).apply(x), x.roll((1, 1), dims=(0, 1)))
    assert torch.equal(rho(g, cl.space(items, items)).apply(x), x)
    assert groups_on(cl.space(users, items) @ cl.index(cl.S(4), 2)) == (users, items, cl.S(4))
    assert (rho(identities(MIXED), MIXED).matrix() == np.eye(36, dtype=int)).all()


def test_translations_add_along_their_axis() -> None:
    g, wire = element(cl.T(2), (1, "1/2")), cl.space(cl.S(3), cl.T(2))
    x = np.zeros((3, 2), dtype=object)
    assert (rho(g, wire).apply(x) == np.array([1, g.value[1]])).all()
    X = lie_algebra(cl.T(2))[0]
    assert (rho(X, wire).apply(x + 5) == np.array([1, 0])).all()  # the derivative of x + t along the first direction
    with pytest.raises(errors.BadSymmetry, match="not linear"):
        rho(g, wire).matrix()


def test_symbolic_sizes_are_given_values() -> None:
    n = cl.dim("n")
    wire = cl.space(cl.S(n), n + 1)
    assert at_sizes(wire @ cl.index(cl.S(n), 2), {"n": 3}) == cl.space(cl.S(3), 4) @ cl.index(cl.S(3), 2)
    g = element(cl.S(3), (1, 2, 0))
    assert torch.equal(rho(g, wire, {"n": 3}).apply(torch.eye(4)[:3]), torch.eye(4)[[2, 0, 1]])
    with pytest.raises(errors.SizeUnknown):
        rho(g, wire)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: rho((element(cl.S(3), (0, 1, 2)),) * 2, MIXED), "two elements of one group"),
        (lambda: rho("g", MIXED), "no element"),  # type: ignore[arg-type]
        (lambda: rho((lie_algebra(cl.O(2))[0], element(cl.S(3), (0, 1, 2))), MIXED), "beside one of a Lie algebra"),
        (lambda: rho((), cl.space(cl.T(3), cl.O(3))), "a translation acts on one axis"),
        (lambda: rho((), cl.space(cl.T(3), cl.T(3))), "a translation acts on one axis"),
        (lambda: rho((), cl.index(10, cl.O(3))), "does not act on integers"),
        (lambda: rho((), cl.index(cl.O(3), 4)), "does not act on integers"),
        (lambda: rho((), cl.boolean(cl.Sp(2))), "does not act on truth values"),
        (lambda: rho((), Space((Wire((Axis(4, cl.S(3)),)),))), "an axis of size 4 carries"),
        (lambda: rho((), MIXED).apply(torch.zeros(3, 2, 2, 2)), "does not lie on"),
        (lambda: rho((), MIXED).apply(torch.zeros(36)), "does not lie on"),
        (lambda: rho((), MIXED).apply(torch.zeros(3, 2, 3, 2, dtype=torch.int64)), "does not lie on"),
        (lambda: rho((), cl.index(5, 2)).apply(torch.zeros(2)), "does not lie on"),
        (lambda: rho((), MIXED).apply(), "was given 0 tensors"),
        (lambda: rho((), MIXED).matrix(limit=100), "1,296 entries"),
        (lambda: rho(element(cl.S(3), (1, 2, 0)), cl.index(cl.S(3), 1)).apply(torch.tensor([3])), "outside 0, ..., 2"),
        (lambda: rho((), cl.index(cl.S(3), 1)).matrix(), "not linear"),
    ],
)
def test_bad_input_is_refused_by_name(build: Callable[[], Any], message: str) -> None:
    with pytest.raises(errors.BadSymmetry) as info:
        build()
    assert message in str(info.value)


@pytest.mark.parametrize("group", EVERY, ids=str)
def test_generators_leave_invariants_alone_and_move_what_is_none(group: Group) -> None:
    n = 4 if group.kind not in ("O", "SO") else 3
    form = np.eye(n, dtype=int).astype(object)
    if group.kind == "Sp":
        form = np.kron(np.array([[0, 1], [-1, 0]]), np.eye(n // 2, dtype=int)).astype(object)
    crooked = np.arange(n * n).reshape(n, n).astype(object)
    still = [(rho(g, group.space(2)).apply(form) == (0 if g.infinitesimal else form)).all() for g in generators(group)]
    moved = [(rho(g, group.space(2)).apply(crooked) != (0 if g.infinitesimal else crooked)).any() for g in generators(group)]
    assert all(still) and any(moved)
