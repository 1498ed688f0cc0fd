"""Hom between wires on which several groups act, against null spaces; its fixed order; resizing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import catlearn as cl
from catlearn import errors
from catlearn.core.spaces import Group, Space
from catlearn.maps.sums.family import Element, Family
from catlearn.symmetry.generators import generators
from catlearn.symmetry.products import hom_count, hom_elements, parts, resizable, resize
from tests.symmetry import oracle

S, O = cl.S(3), cl.O(2)
PAIRS = [
    (cl.space(S, O, 4), cl.space(S, O, 2)),
    (cl.space(O, S, 4), cl.space(S, O, 2)),
    (cl.space(S, O), cl.space(O, S, S)),
    (cl.space(cl.Sp(2), cl.S(2), 3), cl.space(cl.Sp(2), cl.S(2))),
    (cl.space(cl.A(3), cl.SO(2)), cl.space(cl.SO(2), cl.A(3))),
    (cl.space(S, cl.S(3, name="other")), cl.space(cl.S(3, name="other"), S)),
    (cl.space(S, S, 5), cl.space(O, O, 5)),
    (cl.R(4), cl.space(cl.SO(2), S, cl.SO(2))),
    (cl.space(cl.Sp(2), S, cl.Sp(2)), cl.R()),
    (cl.R(3), cl.R(2)),
]


def labels(x: Space) -> tuple[Group, ...]:
    return tuple(a.group for a in x[0].axes if a.group)


def tensors(family: Family, elements: tuple[Element, ...], sizes: tuple[int, ...]) -> np.ndarray:
    return np.array([oracle.dense(e, sizes) for e in elements], dtype=np.int64).reshape(-1, *sizes)


def still(T: np.ndarray, groups: tuple[Group, ...], l: int) -> bool:
    found = []
    for group in dict.fromkeys(groups):
        axes = [i for i, g in enumerate(groups) if g == group]
        found += [oracle.moved(T, np.array(g.matrix, dtype=np.int64), g.infinitesimal, l, axes).any() for g in generators(group)]
    return not any(found)


@pytest.mark.parametrize(("dom", "cod"), PAIRS, ids=str)
def test_the_elements_between_wires_are_a_basis(dom: Space, cod: Space) -> None:
    outs, ins = labels(cod), labels(dom)
    family = hom_elements(dom, cod)
    assert (family.outs, family.ins) == (tuple(g.n for g in outs), tuple(g.n for g in ins))
    for elements, groups, count in (
        (family.elements, outs + ins, hom_count(dom, cod)),
        (family.biases, outs, hom_count(cl.R(), cod)),
    ):
        T = tensors(family, elements, family.sizes[: len(groups)])
        named = tuple((g.kind, g.n, g.name) for g in groups)
        nullity = oracle.product_dimension(named[: len(outs)], named[len(outs) :])
        assert len(elements) == count == nullity == oracle.rank(T)
        assert still(T, groups, len(outs))


def test_a_block_that_joins_two_groups_would_be_noticed() -> None:
    users, items = cl.S(3, name="users"), cl.S(3, name="items")
    mixed = tensors(Family((), (), ()), (Element(((0, 1),)),), (3, 3))
    assert not still(mixed, (users, items), 2) and still(mixed, (users, users), 2)


def test_the_order_of_the_elements_is_the_documented_one() -> None:
    # Checkpoints depend on it: written out by hand. Groups by first axis, outputs first; the last group's basis runs fastest.
    family = hom_elements(cl.space(O, S, 8), cl.space(S, O, 8))
    assert family.elements == (Element(((0, 3), (1, 2))), Element(((0,), (1, 2), (3,))))
    both = hom_elements(cl.space(cl.S(2, name="a")), cl.space(cl.S(2), cl.S(2), cl.S(2, name="a")))
    assert [e.deltas for e in both.elements] == [
        ((0, 1), (2, 3)), ((0, 1), (2,), (3,)), ((0,), (1,), (2, 3)), ((0,), (1,), (2,), (3,)),
    ]  # fmt: skip
    assert [e.deltas for e in both.biases] == [((0, 1), (2,)), ((0,), (1,), (2,))]
    graph = hom_elements(cl.S(5).space(2, channels=1), cl.S(5).space(2, channels=1))
    assert (
        graph.elements[0].deltas == ((0, 1, 2, 3),) and graph.elements[-1].deltas == ((0,), (1,), (2,), (3,)) and len(graph.elements) == 15
    )
    assert [p.group for p in parts(cl.space(O, S), cl.space(cl.Sp(2)))] == [cl.Sp(2), O, S]


def test_weight_spaces_of_networks_have_the_known_dimensions() -> None:
    # An MLP with two weight layers, its three neuron groups permuted: 32 linear maps and 4 biases a channel pair; with three, 62 and 6.
    def count(layers: int) -> tuple[int, int]:
        groups = [cl.S(9, name=str(i)) for i in range(layers + 1)]
        wires = [w for i in range(layers) for w in (cl.space(groups[i + 1], groups[i]), cl.space(groups[i + 1]))]
        return sum(hom_count(a, b) for a in wires for b in wires), sum(hom_count(cl.R(), b) for b in wires)

    assert count(2) == (32, 4) and count(3) == (62, 6)
    assert (hom_count(cl.S(4).space(2), cl.S(4).space(2)), hom_count(cl.R(), cl.S(4).space(2))) == (15, 2)


def test_symbolic_sizes_are_evaluated_and_must_keep_the_basis() -> None:
    n = cl.dim("n", min=4)
    wire = cl.space(cl.S(n), cl.S(n), 8)
    assert hom_elements(wire, wire, {"n": 6}) == hom_elements(cl.S(6).space(2), cl.S(6).space(2))
    assert hom_count(wire, wire) == 15
    with pytest.raises(errors.SizeUnknown):
        hom_elements(wire, wire)
    with pytest.raises(errors.BadSymmetry, match="the basis is another there"):
        hom_elements(wire, wire, {"n": 3})
    with pytest.raises(errors.BadSymmetry, match="even n"):
        hom_elements(cl.space(cl.Sp(n)), cl.space(cl.Sp(n)), {"n": 5})


def test_a_layer_can_be_resized_exactly_where_its_basis_stays() -> None:
    def at(group: Callable[[int], Group], order: int, old: int, new: int) -> bool:
        return resizable(group(old).space(order, 2), group(old).space(order), old, new)

    assert [at(cl.S, 2, 5, new) for new in (3, 4, 50)] == [False, True, True] and not at(cl.S, 2, 3, 5)
    assert [at(cl.O, 2, 2, new) for new in (1, 2, 9)] == [False, True, True]
    assert [at(cl.Sp, 1, 2, new) for new in (2, 4)] == [True, True] and not at(cl.Sp, 2, 2, 4)
    assert not at(cl.SO, 1, 5, 6) and not at(cl.A, 1, 9, 10)
    mixed = cl.space(cl.S(6), cl.O(3), 16)
    assert resize(mixed, mixed, 6, 9) == (cl.space(cl.S(9), cl.O(3), 16),) * 2
    assert resize(mixed, cl.R(2), cl.O(3), 4)[0] == cl.space(cl.S(6), cl.O(4), 16)
    # the same parameters serve: the elements are the same ones
    assert hom_elements(mixed, mixed).elements == hom_elements(*resize(mixed, mixed, 6, 9)).elements


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: hom_elements(cl.index(5, cl.S(3)), cl.R(1)), "holds integers"),
        (lambda: hom_count(cl.R(1), cl.boolean(cl.S(3))), "holds truth values"),
        (lambda: hom_count(cl.space(2, cl.S(3)), cl.R(1)), "a group behind a plain axis"),
        (lambda: hom_count(cl.R(1) @ cl.R(1), cl.R(1)), "is not one wire"),
        (lambda: hom_count(cl.I, cl.R(1)), "is not one wire"),
        (lambda: hom_count(cl.Z(4).space(1), cl.R(1)), "Z(4) has no diagrams"),
        (lambda: hom_elements(cl.S(9).space(6), cl.S(9).space(6)), "diagrams, about"),
        (lambda: hom_elements(cl.space(S, O), cl.space(S, O), limit=1), "a basis of 2 diagrams"),
        (lambda: resize(cl.S(5).space(1), cl.R(), 4, 6), "no group"),
        (lambda: resize(cl.space(S, cl.S(4)), cl.R(), 4, 3), "as another group"),
        (lambda: resize(cl.Sp(4).space(1), cl.Sp(4).space(1), 4, 5), "even n"),
        (lambda: resize(cl.A(5).space(1), cl.A(5).space(1), 5, 6), "its diagrams change with n"),
        (lambda: resize(cl.Z(5).space(1), cl.Z(5).space(1), 5, 6), "Z(5) has no diagrams"),
        (lambda: hom_elements(cl.O(30).space(1), cl.O(30).space(20)), "the invariants of"),
        (lambda: resize(cl.S(5).space(2), cl.S(5).space(2), 5, 3), "n ≥ 4 at both sizes"),
    ],
)
def test_bad_input_is_refused_by_name(build: Callable[[], Any], message: str) -> None:
    with pytest.raises(errors.BadSymmetry) as info:
        build()
    assert message in str(info.value)
