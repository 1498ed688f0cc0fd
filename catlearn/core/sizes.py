"""Sizes: integers and polynomials in symbolic dimensions.

``dim("n")`` is a size that is not known yet, at least ``min`` (2 unless told otherwise). Sizes form the commutative ring
Z[dims]; a constant is a plain ``int``, so code that knows its sizes never meets this module.

Laws: ring laws; ``evaluate`` is a ring homomorphism; ``(a * b) // b == a``.

>>> n = dim("n")
>>> (n + 1) * (n - 1), n * 0, (6 * n * n) // (2 * n)
(n² - 1, 0, 3·n)
>>> evaluate(n * n + 2, {"n": 5})
27
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from catlearn.errors import BadSpace, NotDivisible, SizeUnknown

Monomial: TypeAlias = tuple[tuple["Dim", int], ...]  # sorted by name, exponents at least 1


@dataclass(frozen=True, order=True)
class Dim:
    """A symbol for a size: a name and the least value it takes."""

    name: str
    min: int = 2


@dataclass(frozen=True, eq=False)
class Poly:
    """A polynomial with integer coefficients that is not constant. ``terms`` is sorted and has no zero coefficient."""

    terms: tuple[tuple[Monomial, int], ...]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Poly) and self.terms == other.terms

    def __hash__(self) -> int:
        return hash(self.terms)

    def __add__(self, other: Size) -> Size:
        return _make([*self.terms, *_terms(other)])

    def __mul__(self, other: Size) -> Size:
        return _make([(_times(m, k), a * b) for m, a in self.terms for k, b in _terms(other)])

    def __radd__(self, other: Size) -> Size:
        return self + other

    def __rmul__(self, other: Size) -> Size:
        return self * other

    def __neg__(self) -> Size:
        return self * -1

    def __sub__(self, other: Size) -> Size:
        return self + other * -1

    def __rsub__(self, other: Size) -> Size:
        return -self + other

    def __pow__(self, power: int) -> Size:
        if power < 0:
            raise NotDivisible(f"({self}) ** {power} is no size", next="sizes are polynomials; use // where it comes out")
        result: Size = 1
        for _ in range(power):
            result = result * self
        return result

    def __floordiv__(self, other: Size) -> Size:
        return divide(self, other)

    def __rfloordiv__(self, other: Size) -> Size:
        return divide(other, self)

    def __str__(self) -> str:
        text = " + ".join(_show(m, c) for m, c in self.terms)
        return text.replace("+ -", "- ")

    __repr__ = __str__


Size: TypeAlias = int | Poly


def dim(name: str, min: int = 2) -> Poly:
    """A symbolic size named ``name``, at least ``min``; allowed wherever an integer size is."""
    if not name.isidentifier():
        raise BadSpace(f"dim({name!r}): the name of a size must be an identifier", next='for example cl.dim("n")')
    if min < 0:
        raise BadSpace(f"dim({name!r}, min={min}): a size is at least 0")
    return Poly(((((Dim(name, min), 1),), 1),))


def dims(size: Size) -> set[Dim]:
    """The symbols that occur in a size."""
    return {d for m, _ in _terms(size) for d, _ in m}


def evaluate(size: Size, values: Mapping[str, int], where: str = "this place") -> int:
    """The integer that a size is once every symbol has a value; ``SizeUnknown`` if one has none."""
    total = 0
    for monomial, coefficient in _terms(size):
        for symbol, power in monomial:
            if symbol.name not in values:
                raise SizeUnknown(symbol.name, where)
            coefficient *= values[symbol.name] ** power
        total += coefficient
    return total


def divide(a: Size, b: Size) -> Size:
    """Exact division: by a monomial for polynomials; ``NotDivisible`` where it does not come out."""
    divisor = _terms(b)
    if len(divisor) != 1 or (isinstance(b, int) and b == 0):
        raise NotDivisible(f"{a} / {b}: a symbolic size divides only by a product of sizes")
    under, c = divisor[0]
    result = []
    for monomial, coefficient in _terms(a):
        powers = dict(monomial)
        for symbol, power in under:
            powers[symbol] = powers.get(symbol, 0) - power
        if coefficient % c or any(p < 0 for p in powers.values()):
            raise NotDivisible(f"{a} is not divisible by {b}", next="choose sizes that divide, or write the size as a multiple")
        result.append((tuple(sorted((s, p) for s, p in powers.items() if p)), coefficient // c))
    return _make(result)


def product(sizes: tuple[Size, ...]) -> Size:
    """The product of sizes; 1 for none."""
    result: Size = 1
    for size in sizes:
        result = size * result
    return result


def check_size(size: object, where: str) -> Size:
    """``size`` if it is one; a named error that shows it otherwise."""
    if isinstance(size, bool) or not isinstance(size, int | Poly) or (isinstance(size, int) and size < 0):
        raise BadSpace(f"{where}: {size!r} is no size", next='sizes are integers from 0 on or symbols such as cl.dim("n")')
    return size


def _terms(size: Size) -> tuple[tuple[Monomial, int], ...]:
    return size.terms if isinstance(size, Poly) else (((), size),) if size else ()


def _make(terms: list[tuple[Monomial, int]]) -> Size:
    total: dict[Monomial, int] = {}
    for monomial, coefficient in terms:
        total[monomial] = total.get(monomial, 0) + coefficient
    kept = sorted(((m, c) for m, c in total.items() if c), key=lambda mc: (-sum(p for _, p in mc[0]), mc[0]))
    if not kept or kept[0][0] == ():
        return kept[0][1] if kept else 0
    return Poly(tuple(kept))


def _times(a: Monomial, b: Monomial) -> Monomial:
    powers = dict(a)
    for symbol, power in b:
        powers[symbol] = powers.get(symbol, 0) + power
    return tuple(sorted(powers.items()))


def _show(monomial: Monomial, coefficient: int) -> str:
    factors = [s.name + ("" if p == 1 else "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(c)] for c in str(p))) for s, p in monomial]
    if coefficient != 1 or not factors:
        factors = ["-" + factors[0], *factors[1:]] if coefficient == -1 and factors else [str(coefficient), *factors]
    return "·".join(factors)
