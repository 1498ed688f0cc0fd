"""Small matrices as tuples of rows, over whatever numbers they hold: integers and fractions stay exact.

>>> half = Fraction(1, 2)
>>> print(*solve(((1, half), (0, 2)), ((1,), (1,))))
(Fraction(3, 4),) (Fraction(1, 2),)
>>> product(symplectic_form(2), symplectic_form(2))
((-1, 0), (0, -1))
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, TypeAlias

Number: TypeAlias = int | Fraction | float
Matrix: TypeAlias = tuple[tuple[Any, ...], ...]
ROUNDING = 1e-9


def simplest(x: Fraction) -> Number:
    """An integer where the fraction is one."""
    return x.numerator if x.denominator == 1 else x


def identity(n: int) -> Matrix:
    """The n × n identity."""
    return tuple(tuple(int(i == j) for j in range(n)) for i in range(n))


def symplectic_form(n: int) -> Matrix:
    """J = [[0, I], [-I, 0]] of an even size n."""
    return tuple(tuple(int(j == i + n // 2) - int(i == j + n // 2) for j in range(n)) for i in range(n))


def permutation_matrix(sigma: Sequence[int]) -> Matrix:
    """The matrix that sends the basis vector i to the basis vector sigma[i]."""
    return tuple(tuple(int(sigma[j] == i) for j in range(len(sigma))) for i in range(len(sigma)))


def transpose(a: Matrix) -> Matrix:
    """Rows for columns."""
    return tuple(zip(*a, strict=True))


def product(a: Matrix, b: Matrix) -> Matrix:
    """The matrix product."""
    columns = transpose(b)
    return tuple(tuple(sum(x * y for x, y in zip(row, column, strict=True)) for column in columns) for row in a)


def added(a: Matrix, b: Matrix) -> Matrix:
    """The sum."""
    return tuple(tuple(x + y for x, y in zip(r, s, strict=True)) for r, s in zip(a, b, strict=True))


def scaled(a: Matrix, c: Number) -> Matrix:
    """A multiple."""
    return tuple(tuple(c * x for x in row) for row in a)


def solve(a: Matrix, b: Matrix) -> Matrix:
    """The X with a X = b, for a square invertible a; ZeroDivisionError if it is singular."""
    n = len(a)
    rows = [[Fraction(x) for x in (*r, *s)] for r, s in zip(a, b, strict=True)]
    for k in range(n):
        pivot = next((i for i in range(k, n) if rows[i][k]), k)
        rows[k], rows[pivot] = rows[pivot], rows[k]
        rows[k] = [x / rows[k][k] for x in rows[k]]
        for i in range(n):
            if i != k and rows[i][k]:
                rows[i] = [x - rows[i][k] * y for x, y in zip(rows[i], rows[k], strict=True)]
    return tuple(tuple(simplest(x) for x in row[n:]) for row in rows)


def determinant(a: Matrix) -> Number:
    """The determinant, by elimination with the largest pivots."""
    rows = [[x if isinstance(x, float) else Fraction(x) for x in row] for row in a]
    result: Number = 1
    for k in range(len(rows)):
        pivot = max(range(k, len(rows)), key=lambda i: abs(rows[i][k]))
        if not rows[pivot][k]:
            return 0
        if pivot != k:
            rows[k], rows[pivot], result = rows[pivot], rows[k], -result
        result *= rows[k][k]
        for i in range(k + 1, len(rows)):
            factor = rows[i][k] / rows[k][k]
            rows[i] = [x - factor * y for x, y in zip(rows[i], rows[k], strict=True)]
    return result


def close(a: Matrix, b: Matrix, source: Matrix) -> bool:
    """Equality; where ``source``, which both were computed from, holds floats, up to rounding."""
    if not any(isinstance(x, float) for row in source for x in row):
        return a == b
    bound = ROUNDING * (1 + max(abs(x) for row in source for x in row) ** 2)
    return all(abs(x - y) <= bound for r, s in zip(a, b, strict=True) for x, y in zip(r, s, strict=True))
