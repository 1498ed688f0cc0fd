"""Bases and dimensions: exact ranks of dense tensors, invariants found as null spaces, and counts far beyond."""

from __future__ import annotations

import math
import random
from itertools import pairwise, product

import numpy as np
import pytest

from catlearn.diagrams import KINDS, Determinant, basis, dimension, spanning, stable_size
from catlearn.diagrams.enumeration import chain, matchings
from tests.diagrams.oracle import dense, flat, rank

SIZES = {group: [n for n in range(1, 7) if group != "Sp" or n % 2 == 0] for group in KINDS}
CASES = [(group, n, m) for group, sizes in SIZES.items() for n in sizes for m in range(7)]


@pytest.mark.parametrize(("group", "n"), [(group, n) for group, sizes in SIZES.items() for n in sizes])
def test_the_basis_has_the_rank_of_all_diagrams_and_the_closed_number(group: str, n: int):
    """Full rank modulo a prime is full rank over the rationals; and what spans has no greater rank."""
    for m in range(7 if n < 4 or group not in "SA" else 6):
        k = m // 2
        found, everything = basis(group, n, k, m - k), list(spanning(group, n, k, m - k))
        assert rank(flat(found, n)) == len(found) == dimension(group, n, k, m - k), (n, m)
        if len(everything) > len(found):
            some = random.Random(m).sample(everything, min(len(everything), len(found) + 25))
            assert rank(flat(some, n)) <= len(found), (n, m)
        wanted = set(found)
        assert [d for d in everything if d in wanted] == list(found), "a filter of the enumeration, in its order"


@pytest.mark.slow
@pytest.mark.parametrize(("group", "n"), [(group, n) for group in ("S", "A") for n in (4, 5, 6)])
def test_the_largest_ranks(group: str, n: int):
    found = basis(group, n, 3, 3)
    assert rank(flat(found, n)) == len(found) == dimension(group, n, 3, 3)


@pytest.mark.parametrize(("group", "n", "m"), [("O", 2, 8), ("O", 3, 8), ("SO", 2, 8), ("SO", 3, 7), ("Sp", 2, 10), ("Sp", 4, 6)])
def test_ranks_at_higher_order(group: str, n: int, m: int):
    found = basis(group, n, m // 2, m - m // 2)
    assert rank(flat(found, n)) == len(found) == dimension(group, n, m, 0) > 0


def test_the_basis_is_one_for_every_split_of_the_points():
    for group, n, m in CASES:
        if m <= 4:
            assert len({dimension(group, n, k, m - k) for k in range(m + 1)}) == 1
            assert all(len(basis(group, n, k, m - k)) == dimension(group, n, k, m - k) for k in range(m + 1))
            for k in range(m + 1):
                assert rank(flat(basis(group, n, k, m - k), n)) == dimension(group, n, k, m - k), (group, n, k, m - k)


def actions(group: str, n: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Group elements and Lie algebra elements that together leave invariant what the group does; integers."""
    unit = np.eye(n, dtype=np.int64)
    E = lambda i, j: np.outer(unit[i], unit[j])  # noqa: E731 - a matrix unit
    skew = [E(i, j) - E(j, i) for i in range(n) for j in range(i)]
    if group == "S":
        return [unit[[*range(1, n), 0]], unit[[1, 0, *range(2, n)]] if n > 1 else unit], []
    if group == "A":
        return [unit[[*range(i), i + 1, i + 2, i, *range(i + 3, n)]] for i in range(n - 2)], []
    if group == "O":
        return [unit - 2 * E(0, 0)], skew
    if group == "SO":
        return [], skew
    r = n // 2
    J = np.block([[0 * unit[:r, :r], unit[:r, :r]], [-unit[:r, :r], 0 * unit[:r, :r]]])
    return [], [-J @ (E(i, j) + E(j, i)) for i in range(n) for j in range(i + 1)]


def acted(matrices: list[np.ndarray]) -> np.ndarray:
    made = np.eye(1, dtype=np.int64)
    for matrix in matrices:
        made = np.kron(made, matrix)
    return made


def constraints(group: str, n: int, m: int) -> np.ndarray:
    """The equations of the invariant tensors in the m-th power."""
    elements, algebra = actions(group, n)
    unit = np.eye(n, dtype=np.int64)
    rows = [acted([g] * m) - np.eye(n**m, dtype=np.int64) for g in elements]
    rows += [
        sum((acted([x if i == j else unit for j in range(m)]) for i in range(m)), np.zeros((n**m,) * 2, dtype=np.int64)) for x in algebra
    ]
    return np.concatenate([*rows, np.zeros((1, n**m), dtype=np.int64)])


@pytest.mark.parametrize(("group", "n"), [(group, n) for group, sizes in SIZES.items() for n in sizes if n <= 4])
def test_the_dimension_is_that_of_the_null_space(group: str, n: int):
    for m in range(5):
        if n**m <= 81:
            equations = constraints(group, n, m)
            assert n**m - rank(equations) == dimension(group, n, 0, m), m
            for d in spanning(group, n, 0, m):
                assert not (equations @ dense(d, n)).any(), d


def test_counts_far_beyond():
    for group, sizes in SIZES.items():
        for n, m in product(sizes, range(7, 11 if group not in "SA" else 9)):
            assert len(basis(group, n, m // 2, m - m // 2)) == dimension(group, n, m // 2, m - m // 2), (group, n, m)


def test_values_from_the_literature():
    def row(group: str, n: int, orders: range | tuple[int, ...]) -> list[int]:
        return [dimension(group, n, 0, m) for m in orders]

    assert row("S", 3, (4,)) == [14] and row("S", 4, (4, 6)) == [15, 187] and row("S", 2, range(1, 6)) == [1, 2, 4, 8, 16]
    assert row("A", 4, (4,)) == [22] and row("A", 3, range(1, 7)) == [3 ** (m - 1) for m in range(1, 7)]
    assert row("A", 2, range(7)) == [2**m for m in range(7)] and row("A", 1, range(5)) == row("S", 1, range(5)) == [1] * 5
    assert row("O", 2, (4, 6)) == [3, 10] and row("O", 3, (6,)) == [15] and row("O", 9, (10,)) == [945] and row("O", 3, (5,)) == [0]
    assert row("SO", 3, range(2, 7)) == [1, 1, 3, 6, 15] and row("SO", 4, (6,)) == [25] and row("SO", 2, (2, 4, 6)) == [2, 6, 20]
    assert row("SO", 1, range(5)) == [1] * 5
    assert row("Sp", 2, (2, 4, 6, 8, 10)) == [1, 2, 5, 14, 42] and row("Sp", 4, (6,)) == [14] and row("Sp", 10, (10,)) == [945]


def test_the_dimension_of_so3_counts_walks_of_spins():
    """1 ⊗ 1 = 0 + 1 + 2: the multiplicity of spin 0 in the m-th power of the vectors."""
    spins = {0: 1}
    for m in range(1, 13):
        new: dict[int, int] = {}
        for spin, count in spins.items():
            for other in {abs(spin - 1), spin, spin + 1} if spin else {1}:
                new[other] = new.get(other, 0) + count
        spins = new
        assert dimension("SO", 3, m, 0) == spins.get(0, 0)


def test_the_sizes_from_which_the_basis_stays():
    for group in ("S", "O", "Sp"):
        for k, l in product(range(4), repeat=2):
            n = stable_size(group, k, l)
            assert n is not None
            step = 2 if group == "Sp" else 1
            assert basis(group, n, k, l) == basis(group, n + step, k, l) == basis(group, n + 4, k, l)
            if (k + l) % 2 == 0 or group == "S":
                assert n - step < (2 if group == "Sp" else 1) or basis(group, n - step, k, l) != basis(group, n, k, l)
    assert stable_size("A", 2, 2) is None and stable_size("SO", 2, 2) is None


def test_other_filters_are_refuted():
    """Mutants: all matchings, all partitions, coupons on any n points, a bound that is one too large."""
    assert rank(flat(list(spanning("S", 3, 2, 2)), 3)) == 14 < 15
    everything = [Determinant(0, 5, free, pairs, 3) for pairs, free in matchings(5, 99, 3)]
    assert rank(flat(everything, 3)) == 6 < len(everything) == 10
    assert rank(flat(basis("O", 3, 3, 3), 2)) == 10 < len(basis("O", 3, 3, 3)) == 15
    assert rank(flat(basis("Sp", 4, 2, 2), 2)) == 2 < len(basis("Sp", 4, 2, 2)) == 3


def test_chains_are_longest_by_trying_all():
    def longest(arcs: list[tuple[int, int]], crossing: bool) -> int:
        best = 0
        for chosen in product((0, 1), repeat=len(arcs)):
            part = [arc for arc, keep in zip(arcs, chosen, strict=True) if keep]
            rising = all(a < c and b < d for (a, b), (c, d) in pairwise(part))
            if part and part[-1] == arcs[-1] and rising and (not crossing or part[-1][0] < part[0][1]):
                best = max(best, len(part))
        return best

    for pairs, _ in matchings(8, 99):
        for crossing in (False, True):
            assert chain(list(pairs), [], 8, crossing) == longest(list(pairs), crossing)


@pytest.mark.parametrize("kind", ["O", "Sp"])
def test_the_number_of_all_matchings_is_the_sum_over_shapes(kind):
    """Beyond the stable size the closed formula is (m - 1)!!, which the hook lengths must give too."""
    from catlearn.diagrams.basis import hooks, shapes

    for m in range(0, 11, 2):
        n = stable_size(kind, m, 0)
        doubled = {"O": lambda shape: [2 * part for part in shape], "Sp": lambda shape: [part for part in shape for _ in (0, 1)]}[kind]
        rows = n if kind == "O" else n // 2
        assert dimension(kind, n, m, 0) == sum(hooks(doubled(shape)) for shape in shapes(m // 2, rows))
        assert dimension(kind, n + 2, m, 0) == dimension(kind, n, m, 0)
        if n > 2:
            assert dimension(kind, n - 2, m, 0) < dimension(kind, n, m, 0)


def test_the_number_of_matchings_of_very_many_points():
    """A sum over the partitions of 60 would not end."""
    assert dimension("O", 100, 60, 60) == dimension("Sp", 200, 60, 60) == math.factorial(120) // (2**60 * math.factorial(60))
