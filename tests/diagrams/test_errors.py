"""What is refused, and what the message says."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from catlearn.diagrams import (
    Brauer,
    Combination,
    Determinant,
    Jellyfish,
    N,
    Partition,
    Symplectic,
    basis,
    dimension,
    from_orbit,
    spanning,
    to_orbit,
)
from catlearn.errors import BadDiagram

BAD: list[tuple[Callable[[], object], str]] = [
    (lambda: Partition(2, 1, [[0, 1]]), r"missing  \[2\]"),
    (lambda: Partition(1, 1, [[0, 1], [1]]), r"twice    \[1\]"),
    (lambda: Partition(1, 1, [[0, 0, 1]]), r"twice    \[0\]"),
    (lambda: Partition(1, 1, [[0], [1], [2]]), r"beyond   \[2\]"),
    (lambda: Partition(1, 0, [[0], []]), "no block empty"),
    (lambda: Partition(-1, 1, [[0]]), "this is no Partition"),
    (lambda: Partition(1, 1, [0, 1]), "rows of integers"),  # type: ignore[list-item]
    (lambda: Partition(1, 1, [["a", "b"]]), "this is no Partition"),  # type: ignore[list-item]
    (lambda: Brauer(2, 1, [(0, 1, 2)]), "made of pairs"),
    (lambda: Brauer(1, 0, [(0,)]), "made of pairs"),
    (lambda: Symplectic(1, 2, [(0,), (1, 2)]), r"\[0\] holds 1"),
    (lambda: Determinant(1, 1, pairs=[(0, 1)]), "n is 0"),
    (lambda: Determinant(1, 1, free=(0, 1), n=3), r"SO\(3\) has 3 legs, and 2"),
    (lambda: Determinant(1, 1, free=(0, 0)), r"twice    \[0\]"),
    (lambda: Jellyfish(1, 1, [[0]], [[1]], 3), "A_3 has 3 legs, or 2"),
    (lambda: Jellyfish(1, 0, [[0]], (), 1), "A_1 is trivial"),
    (lambda: Jellyfish(1, 0, (), [[0]]), "n is 0"),
    (lambda: Partition.permutation([0, 0]), "no permutation"),
    (lambda: Determinant.identity(1), "n is 0"),
    (lambda: Brauer.identity(1) >> Brauer.identity(2), "the first has 1 outputs"),
    (lambda: Brauer.identity(1) >> Symplectic.identity(1), "Brauer >> Symplectic"),
    (lambda: Brauer.identity(1) @ Partition.identity(1), "different kinds"),
    (lambda: Brauer.identity(1) + Partition.identity(1), "different kinds"),
    (lambda: Brauer.identity(1) - Brauer.identity(2), "parallel"),
    (lambda: Determinant.identity(1, 2) >> Determinant.identity(1, 3), "n is 2 in the first and 3"),
    (lambda: Brauer.identity(1).then(3), "this is 3"),  # type: ignore[arg-type]
    (lambda: Partition(1, 0, [[0]]).trace(), "1→0"),
    (lambda: Partition.identity(1).matrix(), "an n must be given"),
    (lambda: Partition.identity(1).matrix(0), "at least 1"),
    (lambda: Symplectic.identity(1).matrix(3), r"even n, and n is 3"),
    (lambda: Determinant.identity(1, 3).matrix(2), "belong to n = 3, not to n = 2"),
    (lambda: list(Symplectic.identity(1).entries(5)), "even n"),
    (lambda: Symplectic.identity(1).normal(1), "even n"),
    (lambda: basis("S", 0, 1, 1), "at least 1"),
    (lambda: basis("Sp", 3, 1, 1), "Sp\\(4\\) exists"),
    (lambda: basis("U", 3, 1, 1), "the kinds are S A O SO Sp"),
    (lambda: dimension("O", True, 1, 1), "n is True"),
    (lambda: dimension("O", 2, -1, 1), "at least 0"),
    (lambda: list(spanning("SO", 2.0, 1, 1)), "n is 2.0"),  # type: ignore[arg-type]
    (lambda: to_orbit(Brauer.identity(1)), "partition diagrams"),
    (lambda: from_orbit({}), "empty sum"),
]


@pytest.mark.parametrize(("make", "message"), BAD, ids=range(len(BAD)))
def test_bad_input_is_named(make: Callable[[], object], message: str):
    with pytest.raises(BadDiagram, match=message):
        make()


@pytest.mark.parametrize("other", [1, 0.5, "d", True, None])
def test_only_diagrams_and_coefficients_combine(other: object):
    wire = Brauer.identity(1)
    for act in (lambda: wire + other, lambda: wire >> other, lambda: wire @ other, lambda: wire - other):  # type: ignore[operator]
        with pytest.raises(TypeError):
            act()
    if not isinstance(other, int) or isinstance(other, bool):
        with pytest.raises(TypeError):
            wire * other  # type: ignore[operator]
        with pytest.raises(TypeError):
            N * other  # type: ignore[operator]


def test_texts_are_readable():
    assert str(Partition(2, 2, [[3, 1], [0, 2]])) == "Partition(2→2: 0 2 | 1 3)"
    assert str(Determinant(1, 2, free=(0, 1, 2))) == "Determinant(1→2, n=3: ε(0, 1, 2))"
    assert str(Jellyfish(1, 2, [[0, 2], [1]], (), 3)) == "Jellyfish(1→2, n=3: ε(0 2, 1, ·))"
    assert str((N + 1) * Brauer.identity(1) @ Brauer.identity(0)) == "(n + 1)·Brauer(1→1: 0 1)"
    assert str(Combination.make(Brauer, 1, 1, ())) == "0"
    assert re.fullmatch(r"2·(.*) - (.*)", str(2 * Brauer.identity(2) - Brauer.permutation([1, 0])))
