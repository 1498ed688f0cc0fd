"""The basis of Hom_G(V^k, V^l) against null spaces, walks and Burnside's count, and what is refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

import catlearn as cl
from catlearn import errors
from catlearn.core.spaces import Group
from catlearn.maps.sums.family import Element
from catlearn.symmetry.generators import generators, random_element
from catlearn.symmetry.hom import hom_basis, hom_dim, least
from tests.symmetry import oracle, walks

GROUPS = [Group(kind, n) for kind in ("S", "A", "O", "SO") for n in range(1, 7)] + [cl.Sp(n) for n in (2, 4, 6)]
SPLITS = [(m - l, l) for m in range(5) for l in range(m + 1)]


@cache
def tensors(group: Group, k: int, l: int) -> np.ndarray:
    """The basis, each element written out from the definition of deltas, arcs and coupons; outputs first."""
    n = group.n
    assert isinstance(n, int)
    rows = [oracle.dense(d, [n] * (k + l)) for d in hom_basis(group, k, l)]
    return np.array(rows, dtype=np.int64).reshape(-1, *[n] * (k + l))


def still(T: np.ndarray, group: Group, l: int) -> bool:
    """Whether every tensor is annihilated by the generators of the library and by the oracle's own."""
    own = [(np.array(g.matrix, dtype=np.int64), g.infinitesimal) for g in generators(group)]
    return not any(oracle.moved(T, M, lie, l).any() for M, lie in own + oracle.generators(group.kind, T.shape[-1]))


@pytest.mark.parametrize("group", GROUPS, ids=str)
def test_the_basis_is_the_null_space_of_the_generators(group: Group) -> None:
    assert isinstance(group.n, int)
    for k, l in SPLITS:
        T = tensors(group, k, l)
        nullity = oracle.dimension(group.kind, group.n, k, l)
        assert len(T) == len(hom_basis(group, k, l)) == hom_dim(group, k, l) == nullity
        assert oracle.rank(T) == nullity
        assert still(T, group, l)


@pytest.mark.parametrize("group", [g for g in GROUPS if g.n in (2, 3, 4)], ids=str)
def test_random_exact_elements_intertwine_too(group: Group) -> None:
    for k, l in ((2, 2), (1, 2), (3, 1)):
        g = np.array(random_element(group, 7).matrix, dtype=object)
        for T in tensors(group, k, l):
            left = right = T.astype(object)
            for axis in range(l):  # ρ(g) W = W ρ(g), on the outputs and on the inputs
                left = np.moveaxis(np.tensordot(g, left, axes=([1], [axis])), 0, axis)
            for axis in range(l, l + k):
                right = np.moveaxis(np.tensordot(right, g, axes=([axis], [0])), -1, axis)
            assert (left == right).all()


@pytest.mark.parametrize("group", GROUPS, ids=str)
def test_dimensions_up_to_eight_points_are_counted_by_walks(group: Group) -> None:
    assert isinstance(group.n, int)
    for m in range(9):
        expected = walks.invariants(group.kind, group.n, m)
        assert [hom_dim(group, m - l, l) for l in range(m + 1)] == [expected] * (m + 1)


@pytest.mark.parametrize(
    ("group", "k", "l"),
    [(cl.O(2), 3, 3), (cl.Sp(2), 3, 3), (cl.Sp(4), 3, 3), (cl.S(3), 3, 3), (cl.SO(2), 3, 3), (cl.SO(3), 2, 3), (cl.A(3), 2, 3),
     (cl.A(4), 3, 2), (cl.SO(3), 3, 3), (cl.SO(4), 3, 3), (cl.S(2), 4, 4), (cl.SO(2), 4, 4), (cl.Sp(2), 4, 4)],
    ids=str,
)  # fmt: skip
def test_the_basis_stays_one_where_small_n_has_many_relations(group: Group, k: int, l: int) -> None:
    T = tensors(group, k, l)
    assert oracle.rank(T) == len(T) == walks.invariants(group.kind, T.shape[-1], k + l)
    assert still(T, group, l)


def test_mutants_of_a_basis_are_not_equivariant() -> None:
    def broken(group: Group, k: int, l: int, change: Callable[[Any], Element]) -> bool:
        sizes = [group.n] * (k + l)
        return not still(np.array([oracle.dense(change(d), sizes) for d in hom_basis(group, k, l)]), group, l)

    def plain(d: Any) -> Element:
        return Element(d.deltas, d.arcs, d.coupons)

    def merged(d: Any) -> Element:  # two pairs become one block
        return Element((tuple(sorted(sum(d.deltas, ()))),), d.arcs, d.coupons)

    def unsigned(d: Any) -> Element:  # the sign of the symplectic pairs is dropped
        return Element(d.deltas + d.arcs, (), d.coupons)

    def uncouponed(d: Any) -> Element:  # the coupon is dropped and its legs hang free
        return Element(d.deltas + tuple(leg for legs in d.coupons for leg in legs), d.arcs, ())

    assert not broken(cl.O(3), 2, 2, plain) and broken(cl.O(3), 2, 2, merged)
    assert not broken(cl.Sp(2), 2, 2, plain) and broken(cl.Sp(2), 2, 2, unsigned)
    assert not broken(cl.SO(3), 2, 1, plain) and broken(cl.SO(3), 2, 1, uncouponed)
    flipped = tensors(cl.S(4), 2, 2).copy()
    flipped[3, 0, 1, 0, 1] += 1  # one entry
    assert not still(flipped, cl.S(4), 2)
    sign = tensors(cl.A(3), 1, 1)  # invariant under even permutations, and not under odd ones
    assert still(sign, cl.A(3), 1) and not still(sign, cl.S(3), 1)


def test_a_smaller_set_of_generators_would_be_noticed() -> None:
    # Without the reflection, O(3) would be SO(3), whose null space is larger: the oracle tells them apart.
    assert oracle.dimension("SO", 3, 2, 1) == 1 and oracle.dimension("O", 3, 2, 1) == 0


def test_symbolic_sizes_need_a_min_from_which_the_basis_stays() -> None:
    n = cl.dim
    assert hom_basis(cl.S(n("n", min=4)), 2, 2) == hom_basis(cl.S(4), 2, 2) == hom_basis(cl.S(9), 2, 2)
    assert hom_basis(cl.O(n("n")), 2, 2) == hom_basis(cl.O(7), 2, 2) and hom_dim(cl.O(n("n", min=3)), 3, 3) == 15
    assert hom_basis(cl.Sp(2 * n("r")), 2, 2) == hom_basis(cl.Sp(8), 2, 2)
    assert hom_dim(cl.S(n("n", min=3) + 1), 2, 2) == 15
    for group, needed in (
        (cl.S(n("n", min=3)), "n ≥ 4"),
        (cl.O(n("n", min=1)), "n ≥ 2"),
        (cl.Sp(n("n", min=2)), "n ≥ 4"),
        (cl.S(n("n") - n("m")), "≥ 4"),
    ):
        with pytest.raises(errors.BadSymmetry, match="the basis is not the same") as info:
            hom_basis(group, 2, 2)
        assert needed in str(info.value) and "give the size a larger min" in str(info.value)
    for group in (cl.SO(n("n", min=9)), cl.A(n("n", min=9))):
        with pytest.raises(errors.BadSymmetry, match="change with every n"):
            hom_dim(group, 1, 1)


def test_the_least_value_of_a_size() -> None:
    a, b = cl.dim("a", min=3), cl.dim("b", min=2)
    assert [least(s) for s in (5, a, a * b + 1, 2 * a - 1, a * a - a, a * b - b)] == [5, 3, 7, 5, 6, 4]
    assert least(a - b) is None and least(7 - a) is None


def test_what_would_not_fit_is_refused_before_it_is_made() -> None:
    with pytest.raises(errors.BadSymmetry, match=r"682,076,806,159 diagrams, about .* TiB of memory"):
        hom_basis(cl.S(20), 9, 9)
    with pytest.raises(errors.BadSymmetry, match="15 diagrams") as info:
        hom_basis(cl.S(5), 2, 2, limit=14)
    assert "the limit is 14 diagrams" in str(info.value) and "MiB" in str(info.value)
    assert len(hom_basis(cl.S(5), 2, 2, limit=15)) == len(hom_basis(cl.S(5), 2, 2, limit=None)) == 15


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: hom_dim(cl.Z(5), 1, 1), "Z(5) has no diagrams"),
        (lambda: hom_basis(cl.T(3), 1, 1), "T(3) has no diagrams"),
        (lambda: hom_dim(cl.S(3), -1, 1), "-1 is no order"),
        (lambda: hom_basis(cl.S(3), 1, 1.0), "1.0 is no order"),  # type: ignore[arg-type]
        (lambda: hom_basis(cl.S(3), True, 1), "True is no order"),
        (lambda: hom_dim(replace(cl.Sp(2), n=3), 1, 1), "even n"),
        (lambda: hom_dim(replace(cl.S(2), n=0), 1, 1), "n of at least 1"),
        (lambda: hom_dim("S", 1, 1), "is no group"),  # type: ignore[arg-type]
    ],
)
def test_bad_input_is_refused_by_name(build: Callable[[], Any], message: str) -> None:
    with pytest.raises(errors.BadSymmetry) as info:
        build()
    assert message in str(info.value)


def test_the_smallest_groups_have_bases_too() -> None:
    assert [hom_dim(group, 2, 1) for group in (cl.S(1), cl.A(1), cl.O(1), cl.SO(1))] == [1, 1, 0, 1]
    assert [len(hom_basis(group, 0, 0)) for group in (cl.S(3), cl.A(3), cl.O(2), cl.SO(2), cl.Sp(2))] == [1] * 5


@pytest.mark.parametrize("group", [Group(kind, 20) for kind in ("S", "A", "O", "SO", "Sp")], ids=str)
def test_orders_beyond_counting_are_refused_at_once(group):
    """The exact number is a sum over nearly a million shapes for O(20) on 120 points; refusing needs only one that is large enough."""
    start = time.process_time()
    with pytest.raises(errors.BadSymmetry, match=r"already on .* of its 120 points"):
        hom_basis(group, 60, 60)
    assert time.process_time() - start < 20
