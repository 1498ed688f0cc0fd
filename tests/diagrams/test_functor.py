"""The functor to matrices: composites, tensor products, transposes, traces, against dense tensors built by definition."""

from __future__ import annotations

import random

import numpy as np
import pytest

from catlearn.diagrams import KINDS, Brauer, Combination, Determinant, Diagram, Jellyfish, Partition, Symplectic, evaluate
from tests.diagrams.cases import SIZES, random_diagram, random_pair
from tests.diagrams.oracle import dense

CASES = [(group, n) for group, sizes in SIZES.items() for n in sizes]
ROUNDS = 60


def pairs(group: str, n: int, composable: bool, most: int = 4) -> list[tuple[Diagram, Diagram]]:
    draw = random.Random(f"{group} {n} {composable}")
    return [random_pair(draw, group, n, min(most, 6 - n if n < 4 else 3), composable) for _ in range(ROUNDS)]


@pytest.mark.parametrize(("group", "n"), CASES)
def test_entries_and_matrix_are_the_definition(group: str, n: int):
    for d, _ in pairs(group, n, True):
        assert np.array_equal(np.array(d.matrix(n)).reshape(n**d.l, n**d.k), dense(d, n)), d
        entries = list(d.entries(n))
        assert len({index for index, _ in entries}) == len(entries) == np.count_nonzero(dense(d, n)), d
        tensor = dense(d, n).reshape((n,) * (d.k + d.l))
        assert all(tensor[index] == value for index, value in entries), d


@pytest.mark.parametrize(("group", "n"), CASES)
def test_composites_are_products_of_matrices(group: str, n: int):
    for d, e in pairs(group, n, True):
        assert np.array_equal(dense(d >> e, n), dense(e, n) @ dense(d, n)), (d, e)


@pytest.mark.parametrize(("group", "n"), CASES)
def test_tensors_are_kronecker_products(group: str, n: int):
    for d, e in pairs(group, n, False, most=2)[:30]:
        assert np.array_equal(dense(d @ e, n), np.kron(dense(d, n), dense(e, n))), (d, e)


@pytest.mark.parametrize(("group", "n"), CASES)
def test_transposes_are_transposes_and_factors_compose_back(group: str, n: int):
    for d, e in pairs(group, n, True):
        assert np.array_equal(dense(d.T, n), dense(d, n).T), d
        assert d.T.T == d and (d >> e).T == e.T >> d.T
        p, middle, q = d.factor()
        assert p >> middle >> q == d and middle.planar, d
        for wires, order in ((p, d.k), (q, d.l)):
            assert sorted(map(sorted, wires.deltas)) == sorted([i, j] for i, j in wires.deltas)
            assert all(a < order <= b for a, b in wires.deltas) and not wires.arcs and not wires.coupons


@pytest.mark.parametrize(("group", "n"), CASES)
def test_traces_are_traces(group: str, n: int):
    draw, seen = random.Random(group), set[int]()
    for _ in range(ROUNDS):
        k = draw.randrange(4)
        d = random_diagram(draw, group, n, k, k)
        if d is not None:
            seen.add(evaluate(d.trace(), n))
            assert evaluate(d.trace(), n) == np.trace(dense(d, n)), d
    assert len(seen) > 1 or n == 1


def test_a_fair_share_of_symplectic_composites_is_negative():
    signs = [evaluate(c, 1) for n in (1, 2) for d, e in pairs("Sp", n, True) for _, c in (d >> e).terms]
    assert 0.15 < sum(c < 0 for c in signs) / len(signs) < 0.6


@pytest.mark.parametrize("group", ["A", "SO"])
def test_coupons_meet_in_every_way(group: str):
    """One coupon, two, and composites that vanish all occur among the cases above."""
    counts = {(len(d.coupons) + len(e.coupons), (d >> e) == (d >> e) * 0) for n in SIZES[group] for d, e in pairs(group, n, True)}
    assert counts >= {(0, False), (1, False), (2, False), (1, True), (2, True)}


# --- mutants: what the functor tests must refute ----------------------------------------------------------------------


def wrong_block(d: Diagram) -> Diagram:
    """Two points exchanged."""
    m = d.k + d.l
    return d.build(d.k, d.l, d.network.relabel(lambda point: (point + 1) % m), d.size)


@pytest.mark.parametrize("group", list(KINDS))
def test_a_flipped_block_a_sign_and_a_coefficient_are_noticed(group: str):
    n = SIZES[group][-1]
    caught = {"block": 0, "sign": 0, "coefficient": 0, "loops": 0}
    total = 0
    for d, e in pairs(group, n, True):
        right = dense(e, n) @ dense(d, n)
        if not right.any() or d.k + d.l < 3:
            continue
        total += 1
        composite = d >> e
        caught["block"] += not np.array_equal(dense(wrong_block(d) >> e, n), right)
        caught["sign"] += not np.array_equal(dense(-composite, n), right)
        caught["coefficient"] += not np.array_equal(dense(2 * composite, n), right)
        caught["loops"] += not np.array_equal(
            dense(composite.like(composite.k, composite.l, [(t, 1) for t, _ in composite.terms]), n), right
        )
    assert total > 10 and caught["sign"] == caught["coefficient"] == total
    assert caught["block"] > total / 4 and caught["loops"] > 0, caught


def test_the_rule_without_signs_is_wrong_for_sp():
    """Composed as if the diagrams were orthogonal, symplectic diagrams are no functor."""
    wrong = 0
    for d, e in pairs("Sp", 2, True):
        assert isinstance(d, Symplectic) and isinstance(e, Symplectic)
        plain = Brauer(d.k, d.l, d.pairs) >> Brauer(e.k, e.l, e.pairs)
        signed = Combination.make(Symplectic, d.k, e.l, [(Symplectic(d.k, e.l, t.deltas), c) for t, c in plain.terms])
        wrong += not np.array_equal(dense(signed, 2), dense(e, 2) @ dense(d, 2))
    assert wrong > ROUNDS / 6


def test_known_composites():
    wire, cup, cap = Symplectic.identity(1), Symplectic(0, 2, [(0, 1)]), Symplectic(2, 0, [(0, 1)])
    assert wire @ cup >> cap @ wire == -wire and cup @ wire >> wire @ cap == -wire and str((cup >> cap).terms[0][1]) == "n"
    epsilon = Determinant(0, 3, free=(0, 1, 2))
    assert epsilon >> epsilon.T == 6 * Determinant.identity(0, 3)
    assert epsilon >> Determinant(3, 1, free=(), pairs=[(0, 1), (2, 3)], n=3) == Combination.make(Determinant, 0, 1, (), 3)
    minus = Jellyfish(0, 3, legs=[[0], [1], [2]], n=3)
    assert minus >> Jellyfish(3, 2, (), [[0, 2], [1, 3], [4]], 3) == Jellyfish(0, 2, legs=[[0], [1]], n=3)
    assert not (minus >> Jellyfish(3, 1, (), [[0, 1], [2], [3]], 3)).terms and not (minus >> Jellyfish(3, 1, (), [[0, 1, 2], [3]], 3)).terms
    assert str(Partition(0, 2, [[0], [1]]) >> Partition(2, 0, [[0], [1]])) == "n²·Partition(0→0: )"
