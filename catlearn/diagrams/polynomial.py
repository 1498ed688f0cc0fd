"""Coefficients: integers and polynomials with integer coefficients in one symbol n, the size of the space.

A closed component of a diagram is worth n, whatever n is; so coefficients of composites lie in Z[n]. A constant is a plain ``int``.

Laws: ring laws; ``evaluate(·, n)`` is a ring homomorphism to Z.

>>> (N + 1) * (N - 1), N * 0, evaluate(N**2 + 2, 5)
(n² - 1, 0, 27)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeAlias


@dataclass(frozen=True)
class Polynomial:
    """A polynomial in n that is not constant: ``coefficients[i]`` belongs to n to the i, and the last is not zero."""

    coefficients: tuple[int, ...]

    def __add__(self, other: Coefficient) -> Coefficient:
        if not is_coefficient(other):
            return NotImplemented
        return polynomial(a + b for a, b in zip_longest(self.coefficients, _parts(other), fillvalue=0))

    def __mul__(self, other: Coefficient) -> Coefficient:
        if not is_coefficient(other):
            return NotImplemented
        right = _parts(other)
        made = [0] * (len(self.coefficients) + len(right))
        for i, a in enumerate(self.coefficients):
            for j, b in enumerate(right):
                made[i + j] += a * b
        return polynomial(made)

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self) -> Coefficient:
        return self * -1

    def __sub__(self, other: Coefficient) -> Coefficient:
        return self + other * -1 if is_coefficient(other) else NotImplemented

    def __rsub__(self, other: Coefficient) -> Coefficient:
        return -self + other if is_coefficient(other) else NotImplemented

    def __pow__(self, power: int) -> Coefficient:
        made: Coefficient = 1
        for _ in range(power):
            made = self * made
        return made

    def __str__(self) -> str:
        parts = [_show(c, i) for i, c in reversed(list(enumerate(self.coefficients))) if c]
        return " + ".join(parts).replace("+ -", "- ")

    __repr__ = __str__


Coefficient: TypeAlias = int | Polynomial


def polynomial(coefficients: Iterable[int]) -> Coefficient:
    """The polynomial with these coefficients, the constant first; an ``int`` if it is constant."""
    found = list(coefficients)
    while found and not found[-1]:
        found.pop()
    return Polynomial(tuple(found)) if len(found) > 1 else found[0] if found else 0


def evaluate(c: Coefficient, n: int) -> int:
    """The value at n."""
    return sum(a * n**i for i, a in enumerate(c.coefficients)) if isinstance(c, Polynomial) else c


def is_coefficient(c: object) -> bool:
    """Whether ``c`` is an integer or a polynomial in n."""
    return isinstance(c, int | Polynomial) and not isinstance(c, bool)


N = Polynomial((0, 1))


def _parts(c: Coefficient) -> tuple[int, ...]:
    return c.coefficients if isinstance(c, Polynomial) else (c,)


def _show(c: int, power: int) -> str:
    if not power:
        return str(c)
    symbol = "n" if power == 1 else "n" + "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(digit)] for digit in str(power))
    return symbol if c == 1 else "-" + symbol if c == -1 else f"{c}·{symbol}"
