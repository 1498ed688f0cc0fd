"""Normal forms at small n, and the orbit basis: against dense tensors."""

from __future__ import annotations

import random
from itertools import product

import numpy as np
import pytest

from catlearn.diagrams import KINDS, Combination, Determinant, N, Partition, basis, from_orbit, spanning, to_orbit
from catlearn.diagrams.enumeration import matchings
from catlearn.diagrams.normal import crossings, minor, pfaffian
from tests.diagrams.oracle import dense

SIZES = {"S": (1, 2, 3, 4), "A": (1, 2, 3, 4), "O": (1, 2, 3), "SO": (1, 2, 3, 4), "Sp": (2, 4)}
ORDERS = {"S": 5, "A": 4, "O": 6, "SO": 6, "Sp": 6}


@pytest.mark.parametrize(("group", "n"), [(group, n) for group, sizes in SIZES.items() for n in sizes])
def test_every_diagram_is_its_normal_form_as_a_matrix(group: str, n: int):
    rewritten = 0
    for m in range(ORDERS[group] + 1):
        k = m // 2
        standard = set(basis(group, n, k, m - k))
        for d in spanning(group, n, k, m - k):
            form = d.normal(n)
            assert np.array_equal(dense(form, n), dense(d, n)), d
            assert {e for e, _ in form.terms} <= standard and all(isinstance(c, int) for _, c in form.terms)
            assert (form == d) == (d.oriented()[1] in standard), d
            rewritten += form != d
    assert rewritten or (group, n) == ("O", 3)


@pytest.mark.parametrize(("n", "m"), [(2, 8), (3, 7), (3, 9), (4, 8)])
def test_normal_forms_at_higher_order(n: int, m: int):
    """Also where the legs of a coupon change places while it is rewritten, which takes nine points."""
    found = list(spanning("SO", n, 0, m))
    chosen = random.Random(n).sample(found, min(12, len(found)))
    if (n, m) == (3, 9):
        chosen.append(Determinant(0, 9, free=(1, 4, 5), pairs=[(0, 6), (2, 7), (3, 8)]))
    standard, draw = set(basis("SO", n, 0, m)), np.random.default_rng(n)
    for d in chosen:
        assert isinstance(d, Determinant)
        odd = Determinant(0, m, d.free[::-1], d.pairs, n)
        for each in (d, odd):
            form = each.normal()
            assert {e for e, _ in form.terms} <= standard
            for _ in range(3):
                vectors = draw.integers(-4, 5, (m, n))
                assert value(form, vectors) == value(each.sum, vectors), each
    assert any(d.normal() != d for d in chosen)


def value(c: Combination, vectors: np.ndarray) -> int:
    """The invariant at vectors v_0, v_1, ...: inner products for pairs, a determinant for the free points."""
    total = 0
    for d, a in c.terms:
        assert isinstance(d, Determinant) and isinstance(a, int)
        term = a
        for i, j in d.pairs:
            term *= int(vectors[i] @ vectors[j])
        total += term * (round(np.linalg.det(vectors[list(d.free)])) if d.free else 1)
    return total


def test_relations_are_seen_by_normal_forms():
    """The alternating sum over n + 1 strands is 0 in O(n); a loop is n."""
    from catlearn.diagrams import Brauer

    swap, wires = Brauer.permutation([1, 0]), Brauer.identity(2)
    assert (wires - swap).normal(1) == 0 * wires and (wires - swap).normal(2).terms
    loop = Brauer(0, 2, [(0, 1)]) >> Brauer(2, 0, [(0, 1)])
    assert (N * Brauer.identity(0) - loop).normal(5) == 0 * Brauer.identity(0)
    assert str((N * wires + 2 * swap).normal(1)) == "3·" + str(basis("O", 1, 2, 2)[0])


def test_mobius_inversion_both_ways():
    for m in range(6):
        for d in spanning("S", 1, m // 2, m - m // 2):
            assert from_orbit(to_orbit(d)) == d
            assert isinstance(d, Partition) and to_orbit(from_orbit({d: 1})) == {d: 1}
    orbits = {Partition(1, 1, [[0], [1]]): 3, Partition(1, 1, [[0, 1]]): -2 * N}
    assert to_orbit(from_orbit(orbits)) == orbits


def test_orbit_elements_are_indicators_of_orbits():
    """X_p has its ones where two indices agree just if their points share a block; so they partition the tensor."""
    for n in (2, 3):
        total = np.zeros((n**2, n**2), dtype=np.int64)
        for d in spanning("S", 1, 2, 2):
            assert isinstance(d, Partition)
            X = dense(from_orbit({d: 1}), n)
            label = {point: i for i, block in enumerate(d.blocks) for point in block}
            expected = [
                all((index[a] == index[b]) == (label[a] == label[b]) for a in range(4) for b in range(4))
                for index in product(range(n), repeat=4)
            ]
            assert np.array_equal(X.reshape(-1), np.array(expected, dtype=np.int64)), d
            total += X
        assert (total == 1).all()


def test_a_wrong_sign_in_the_inversion_would_be_seen():
    """Mutant: without the signs of μ, X_p is no indicator."""
    d = Partition(1, 1, [[0], [1]])
    right = from_orbit({d: 1})
    wrong = right.like(1, 1, [(e, abs(int(str(c)))) for e, c in right.terms])
    assert dense(right, 3).max() == 1 and dense(wrong, 3).max() == 2 and to_orbit(wrong) != {d: 1}


def test_rewriting_only_moves_on():
    """Each relation gives terms that come later, so straightening ends; and it applies just outside the basis."""
    for m, n in product(range(2, 8), (1, 2, 3)):
        for count in (0, n):
            standard = {(pairs, free) for pairs, free in matchings(m, n, count)}
            for pairs, free in matchings(m, m + n, count):
                arcs = tuple(sorted((*pairs, *((point, m + j) for j, point in enumerate(free)))))
                terms = minor(arcs, n, m)
                assert (terms is None) == ((pairs, free) in standard)
                assert all(made > arcs for made, _ in terms or ())
    for m, r in product((2, 4, 6, 8), (1, 2)):
        standard = {pairs for pairs, _ in matchings(m, r, crossing=True)}
        for pairs, _ in matchings(m, m):
            terms = pfaffian(pairs, r)
            assert (terms is None) == (pairs in standard)
            assert all(crossings(made) < crossings(pairs) for made, _ in terms or ())


def test_all_kinds_are_tested():
    assert set(SIZES) == set(ORDERS) == set(KINDS)
