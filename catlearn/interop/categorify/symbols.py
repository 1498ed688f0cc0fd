"""Sizes of a traced program as catlearn's sizes: torch's symbols become ``cl.dim``s, expressions in them polynomials.

A symbol of the caller's keeps its name; one that torch made for a size that depends on data is ``u0``, ``u1``, ...; an expression
that is no polynomial, such as ⌊n / 2⌋, is one more symbol.

>>> import sympy
>>> symbols = Symbols()
>>> s = sympy.Symbol("s7", integer=True)
>>> symbols.size(2 * s + 1), symbols.size(sympy.Integer(3)), symbols.size(sympy.floor(s / 2))
(2·s7 + 1, 3, size_0)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from catlearn.core.sizes import Poly, Size, dim, dims


class Symbols:
    """torch's symbols and ours, and where each can be read off a tensor."""

    def __init__(self) -> None:
        self.known: dict[Any, Poly] = {}
        self.other: dict[Any, Poly] = {}
        self.where: dict[Any, tuple[int, int, Any]] = {}  # symbol → a wire, its axis (−1: its one entry), and the size there

    def learn(self, shape: Any, spec: Mapping[int, Any] | None) -> None:
        """The symbols of an input's axes, as the caller named them."""
        for axis, size in (spec or {}).items():
            expression = expr(shape[axis])
            symbols = sorted(getattr(expression, "free_symbols", ()), key=str)
            if isinstance(size, Poly) and len(symbols) == 1:
                (d,) = dims(size)
                self.known.setdefault(symbols[0], dim(d.name, d.min))

    def see(self, wire: int, shape: Any) -> None:
        """A tensor that shows its sizes."""
        for axis, size in enumerate(shape):
            expression = expr(size)
            symbols = getattr(expression, "free_symbols", ())
            if len(symbols) == 1:
                (symbol,) = symbols
                if symbol not in self.where or (expression == symbol and self.where[symbol][2] != symbol):
                    self.where[symbol] = (wire, axis, expression)

    def size(self, size: Any) -> Size:
        """A size as ours."""
        expression = expr(size)
        if isinstance(expression, int) or expression.is_number:
            return int(expression)
        names = sorted(expression.free_symbols, key=str)
        total: Size = 0
        for monomial, coefficient in _terms(expression, names):
            if not coefficient.is_Integer:
                return self.other.setdefault(expression, dim(f"size_{len(self.other)}", 0))
            term: Size = int(coefficient)
            for symbol, power in zip(names, monomial, strict=True):
                term = self.symbol(symbol) ** int(power) * term
            total = term + total
        return total

    def symbol(self, symbol: Any) -> Poly:
        return self.known.setdefault(symbol, dim(str(symbol), 0))

    def text(self, expression: Any) -> tuple[str, tuple[tuple[str, int, int], ...]]:
        """An expression as Python text, and for each symbol in it a wire and an axis that show it."""
        import sympy
        from torch.utils._sympy.printers import PythonPrinter

        named, places = {}, []
        for symbol in sorted(expression.free_symbols, key=str):
            wire, axis, shown = self.where[symbol]
            name = sympy.Symbol(str(self.symbol(symbol)), integer=True)
            places.append((str(name), wire, axis))
            named[symbol] = name if shown == symbol else sympy.solve(shown - name, symbol)[0]
        return PythonPrinter().doprint(expression.xreplace(named)), tuple(places)


def expr(size: Any) -> Any:
    """An integer as it is, a symbolic one as the expression behind it."""
    return size.node.expr if isinstance(size, torch.SymInt | torch.SymFloat | torch.SymBool) else size


def _terms(expression: Any, names: list[Any]) -> Any:
    """The monomials of a polynomial; one with a coefficient that is no integer if it is none."""
    import sympy

    found = expression.as_poly(*names)
    return found.terms() if found is not None else [((0,) * len(names), sympy.Rational(1, 2))]


__all__ = ["Symbols", "expr"]
