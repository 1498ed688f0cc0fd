"""``symbolic``: what a term computes, as formulas; in sympy, or as formal polynomials over the field with two elements.

>>> import catlearn as cl
>>> s = symbolic(cl.copy(cl.R()) >> cl.sigmoid(cl.R()) @ cl.id(cl.R()) >> cl.mul(cl.R()))
>>> s.outputs[0]
array(x/(1 + exp(-x)), dtype=object)
>>> print(s.at({"x": 0}))
0

Over ``base="Z2"`` a term of ``add`` and ``mul`` is a boolean circuit (exclusive or, and). Its polynomials are formal: x² is never
reduced to x, since their derivatives differ (1-bit arithmetic is recovered by evaluating at bits).

>>> s = symbolic(cl.power(2)(cl.R()) >> cl.copy(cl.R()) >> cl.shift(1)(cl.R()) @ cl.id(cl.R()) >> cl.mul(cl.R()), base="Z2")
>>> print(s.outputs[0], "|", s.at({"x": 1}))
x^4 + x^2 | 0
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from catlearn import errors
from catlearn.core.spaces import Wire
from catlearn.core.term import Term
from catlearn.meanings.exact import Array, Exact, Value, base_of, each

# Irrational numbers that definitions write as floats, by their squares times π to a power: 2/√π, √½, √2/√π, √2.
_ROOTS: dict[float, tuple[Fraction, int]] = {
    2 / math.sqrt(math.pi): (Fraction(4), -1),
    math.sqrt(0.5): (Fraction(1, 2), 0),
    math.sqrt(2 / math.pi): (Fraction(2), -1),
    math.sqrt(2): (Fraction(2), 0),
}


class Symbols(Exact):
    """Sympy expressions: everything that has a formula."""

    base = "sympy expressions"
    advice = "give the box a definition over the Ops vocabulary, and every exact meaning will know it"

    def number(self, x: Any) -> Any:
        import sympy

        if isinstance(x, float):
            if x in _ROOTS:
                square, power = _ROOTS[x]
                return sympy.sqrt(sympy.Rational(square.numerator, square.denominator) * sympy.pi**power)
            return sympy.Rational(repr(x)) if math.isfinite(x) else sympy.sympify(x)
        return sympy.Rational(x.numerator, x.denominator) if isinstance(x, Fraction) else sympy.sympify(x, rational=True)  # pyright: ignore[reportCallIssue]

    def raised(self, x: Any, exponent: Any) -> Any:
        return x ** self.number(exponent)

    @cached_property
    def functions(self) -> Mapping[str, Callable[..., Any]]:  # type: ignore[override]
        import sympy as s

        return {
            "exp": s.exp,
            "log": s.log,
            "erf": s.erf,
            "tanh": s.tanh,
            "step": lambda x: s.Piecewise((1, x > 0), (0, True)),
            "relu": lambda x: s.Max(x, 0),
            "maximum": s.Max,
            "equal": lambda x, y: s.Piecewise((1, s.Eq(x, y)), (0, True)),
        }

    def symbol(self, name: str) -> Any:
        """A real variable."""
        import sympy

        return sympy.Symbol(name, real=True)

    def substitute(self, expression: Any, values: Mapping[str, Any]) -> Any:
        """Values for some of the variables."""
        return expression.xreplace({self.symbol(name): value for name, value in values.items()})

    def latex(self, expression: Any, names: Mapping[str, str]) -> str:
        """An expression in LaTeX, its variables under the given names."""
        import sympy

        return sympy.latex(expression, symbol_names={self.symbol(name): text for name, text in names.items()})


Monomial = tuple[tuple[str, int], ...]  # variables with their powers, sorted


@dataclass(frozen=True, slots=True)
class Z2Polynomial:
    """A formal polynomial over Z₂: the set of its monomials. ``+`` is symmetric difference; x² stays x²."""

    monomials: frozenset[Monomial] = frozenset()

    def __add__(self, other: Z2Polynomial | int) -> Z2Polynomial:
        if isinstance(other, int):  # numpy starts its sums at 0
            other = Z2Polynomial(frozenset({()} if other % 2 else ()))
        if not isinstance(other, Z2Polynomial):
            return NotImplemented
        return Z2Polynomial(self.monomials ^ other.monomials)

    __radd__ = __add__

    def __mul__(self, other: Z2Polynomial) -> Z2Polynomial:
        if not isinstance(other, Z2Polynomial):
            return NotImplemented
        total: set[Monomial] = set()
        for a in self.monomials:
            for b in other.monomials:
                powers = dict(a)
                for name, power in b:
                    powers[name] = powers.get(name, 0) + power
                total ^= {tuple(sorted(powers.items()))}
        return Z2Polynomial(frozenset(total))

    def __pow__(self, exponent: int) -> Z2Polynomial:
        result = Z2Polynomial(frozenset({()}))
        for _ in range(exponent):
            result = result * self
        return result

    def __call__(self, values: Mapping[str, Z2Polynomial]) -> Z2Polynomial:
        """Substitution for some of the variables."""
        total = Z2Polynomial()
        for monomial in self.monomials:
            term = Z2Polynomial(frozenset({()}))
            for name, power in monomial:
                term = term * values.get(name, Z2Polynomial(frozenset({((name, 1),)}))) ** power
            total = total + term
        return total

    def __str__(self) -> str:
        ordered = sorted(self.monomials, key=lambda m: (-sum(p for _, p in m), m))
        return " + ".join("*".join(n if p == 1 else f"{n}^{p}" for n, p in m) or "1" for m in ordered) or "0"

    __repr__ = __str__


class Z2Polynomials(Exact):
    """POLY(Z₂): the category of formal polynomials over the field with two elements."""

    base = "POLY(Z2)"
    advice = "write the circuit with add (exclusive or), mul (and), scale, shift, power and wirings"

    def number(self, x: Any) -> Z2Polynomial:
        if isinstance(x, Z2Polynomial):
            return x
        if isinstance(x, float) and not math.isfinite(x):
            raise self.no_rule(f"the number {x}")
        fraction = Fraction(repr(x)) if isinstance(x, float) else Fraction(x)
        if fraction.denominator % 2 == 0:
            raise self.no_rule(f"the number {x}, whose denominator is even", "0.5 has no meaning where 2 = 0; scale by integers")
        return Z2Polynomial(frozenset({()} if fraction.numerator % 2 else ()))

    def raised(self, x: Z2Polynomial, exponent: Any) -> Z2Polynomial:
        if exponent < 0:
            raise self.no_rule(f"an exponent of {exponent}")
        return super().raised(x, exponent)

    def symbol(self, name: str) -> Z2Polynomial:
        """A variable."""
        return Z2Polynomial(frozenset({((name, 1),)}))

    def substitute(self, expression: Z2Polynomial, values: Mapping[str, Any]) -> Z2Polynomial:
        """Values for some of the variables."""
        return expression(values)

    def latex(self, expression: Z2Polynomial, names: Mapping[str, str]) -> str:
        """A polynomial in LaTeX, its variables under the given names."""
        terms = [[names.get(n, n) + (f"^{{{p}}}" if p > 1 else "") for n, p in m] for m in sorted(expression.monomials)]
        return " + ".join(" ".join(factors) or "1" for factors in terms) or "0"


@dataclass(frozen=True)
class Symbolic:
    """A term as formulas. ``inputs``, ``params`` hold the variables, ``outputs`` the formulas, each an array of the wire's shape."""

    term: Term
    o: Any
    inputs: Mapping[str, Array]
    params: Mapping[str, Array]
    outputs: tuple[Array, ...]
    labels: Mapping[str, str]  # how the variables of an input or parameter begin: its name, with primes where that is taken

    def at(self, values: Mapping[str, Any]) -> Any:
        """Exact values for some inputs and parameters by name: ``at({"x": [1, "1/2"], "linear.bias": [0]})``. What is not named stays
        a variable. Floats are read bit for bit. An array, a tuple, ``()`` for one, many, no outputs."""
        known = {**self.inputs, **self.params}
        table: dict[str, Any] = {}
        for name, given in values.items():
            if name not in known:
                raise errors.NothingMatched(name, known, "input or parameter")
            array = self.o.value(given).array
            if array.shape != known[name].shape:
                raise errors.BadInput(f"{name} has the wrong shape", [f"given {array.shape}, needed {known[name].shape}"])
            table.update((symbol_name(self.labels[name], i), array[i]) for i in np.ndindex(array.shape))
        outs = tuple(each(lambda e: self.o.substitute(e, table), out) for out in self.outputs)
        return outs[0] if len(outs) == 1 else outs

    def latex(self) -> str:
        """The formulas in LaTeX, one ``output_{indices} = formula`` a line."""
        names = {symbol_name(self.labels[name], i): _latex_name(name, i)
                 for name, array in {**self.inputs, **self.params}.items() for i in np.ndindex(array.shape)}  # fmt: skip
        lines = []
        for k, out in enumerate(self.outputs):
            title = "y" if len(self.outputs) == 1 else f"y{k}"
            lines += [rf"{_latex_name(title, i)} &= {self.o.latex(out[i], names)}" for i in np.ndindex(out.shape)]
        return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"

    def _repr_latex_(self) -> str:
        return f"$$\n{self.latex()}\n$$"

    def __str__(self) -> str:
        lines = []
        for k, out in enumerate(self.outputs):
            title = "y" if len(self.outputs) == 1 else f"y{k}"
            lines += [f"{symbol_name(title, i)} = {out[i]}" for i in np.ndindex(out.shape)]
        return "\n".join(lines)


def symbol_name(name: str, index: tuple[int, ...]) -> str:
    """The variable of one entry: ``x``, ``x_0``, ``linear.weight_1_2``."""
    return "_".join([name, *map(str, index)])


def _free(name: str, taken: Container[str]) -> str:
    """The name, with primes until it is not taken."""
    while name in taken:
        name += "'"
    return name


def _latex_name(name: str, index: tuple[int, ...]) -> str:
    text = name if len(name) == 1 else rf"\mathrm{{{name}}}".replace("_", r"\_")
    return text + (f"_{{{','.join(map(str, index))}}}" if index else "")


def symbolic(term: Term, base: str = "sympy", sizes: Mapping[str, int] | None = None) -> Symbolic:
    """The formulas of a term: inputs ``x`` (or ``x0``, ``x1``, ...) and parameters under their names.

    Where a name is taken (a parameter ``x`` beside the input, a number ``p_0`` beside a row ``p``) the later one gets a prime: the input
    is then ``x'``, and the variable ``p_0'``; every parameter keeps its own name in ``at``.

    ``base`` is ``"sympy"`` or ``"Z2"``; ``sizes`` gives values to symbolic sizes. Raises ``NoRule``, with the box, its line and what
    to do, for what has no formula in the base (an index wire, an effect, ``exp`` over Z₂, ...).
    """
    o: Any = base_of(base)
    if not hasattr(o, "symbol"):
        raise errors.NoRule("symbolic", f"the base {base!r}", 'take "sympy" or "Z2"; evaluate(f, "rationals", inputs) gives numbers')
    o.sizes, graph = dict(sizes or {}), term.graph
    labels: dict[str, str] = {}
    taken: set[str] = set()

    def variables(name: str, wire: Wire) -> Value:
        if wire.kind != "float":
            raise errors.NoRule("symbolic", f"the input {name}, which carries {wire.kind} entries",
                                'evaluate(f, "sympy", inputs) takes integers as numbers', term.source)  # fmt: skip
        array = np.empty(o.shape_of(wire.shape), dtype=object)
        label = name
        while not taken.isdisjoint(symbol_name(label, i) for i in np.ndindex(array.shape)):
            label += "'"
        labels[name] = label
        for i in np.ndindex(array.shape):
            taken.add(symbol_name(label, i))
            array[i] = o.symbol(symbol_name(label, i))
        return Value(array, wire)

    single = len(term.dom) == 1
    inputs = {_free("x" if single else f"x{k}", graph.params): wire for k, wire in enumerate(term.dom)}
    xs = {name: variables(name, wire) for name, wire in inputs.items()}
    ps = {name: variables(name, param.wire) for name, param in graph.params.items()}
    outs = o.run(graph, list(xs.values()), ps)
    return Symbolic(term, o, {k: v.array for k, v in xs.items()}, {k: v.array for k, v in ps.items()}, tuple(v.array for v in outs), labels)
