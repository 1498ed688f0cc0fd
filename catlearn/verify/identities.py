"""``zero``: whether a formula is 0 for all values of its variables. It answers no where it cannot tell.

A polynomial is expanded, a quotient brought over one denominator; exp, max and other functions count as variables of their own, once
their arguments are expanded, after max has been written with absolute values and tanh with exp.

>>> import sympy
>>> x, y = sympy.symbols("x y", real=True)
>>> zero((x + y) ** 2 - x**2 - 2 * x * y - y**2), zero(1 / x - 1 / y - (y - x) / (x * y)), zero(x - y)
(True, True, False)
>>> zero(sympy.Max(x, 0) - sympy.Max(-x, 0) - x), zero(sympy.exp(x + y) - sympy.exp(x) * sympy.exp(y))
(True, True)
"""

from __future__ import annotations

from math import comb
from typing import Any

MOST = 20_000  # summands after expanding


def zero(formula: Any) -> bool:
    """Whether a sympy expression is 0 wherever it is defined, by exact arithmetic; False if that is not seen."""
    import sympy

    if formula == 0:
        return True
    if _summands(formula, {}) > MOST:
        return False
    if sympy.expand(formula) == 0:
        return True
    plain = formula.rewrite(sympy.Abs) if formula.has(sympy.Max) else formula
    plain = sympy.expand(plain.rewrite(sympy.exp) if plain.has(sympy.tanh) else plain)
    if plain == 0:
        return True
    top = sympy.fraction(sympy.together(plain))[0]
    return _summands(top, {}) <= MOST and sympy.expand(top) == 0


def _summands(e: Any, known: dict[Any, int]) -> int:
    """At most how many summands an expression has when it is expanded."""
    if e in known:
        return known[e]
    total = 1
    if e.is_Add:
        total = sum(_summands(a, known) for a in e.args)
    elif e.is_Mul:
        for a in e.args:
            total *= _summands(a, known)
    elif e.is_Pow and e.exp.is_Integer:
        k, n = abs(int(e.exp)), _summands(e.base, known)
        total = comb(n + k - 1, k)
    else:
        total = max([1, *(_summands(a, known) for a in e.args)])  # arguments of functions are expanded by themselves
    known[e] = min(total, MOST + 1)
    return known[e]


__all__ = ["zero"]
