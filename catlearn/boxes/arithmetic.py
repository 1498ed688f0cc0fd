"""Arithmetic: the polynomial boxes ``add``, ``mul``, ``scale``, ``shift``, ``power``, and ``sub``, ``div`` defined by them.

All act entry by entry on wires of one shape. ``add``, ``mul`` and ``scale`` by integers make sense in any ring, so they are what
boolean circuits over POLY(Z₂) are built from (``add`` is exclusive or, ``mul`` is and).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from catlearn.boxes.check import alike, floats
from catlearn.boxes.schema import Schema
from catlearn.core.op import Op
from catlearn.core.spaces import Space


@dataclass(frozen=True)
class Add(Op):
    """``x @ x → x``: x0 + x1."""

    key = "add"
    torch = "{x0} + {x1}"

    def infer(self, dom: Space) -> Space:
        return Space((alike(self, dom, 2),))

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return douts[0], douts[0]


@dataclass(frozen=True)
class Mul(Op):
    """``x @ x → x``: x0 · x1, entry by entry."""

    key = "mul"
    nonlinear = True
    torch = "{x0} * {x1}"

    def infer(self, dom: Space) -> Space:
        return Space((alike(self, dom, 2),))

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return o.mul(douts[0], args[1]), o.mul(douts[0], args[0])


@dataclass(frozen=True)
class Sub(Op):
    """``x @ x → x``: x0 − x1."""

    key = "sub"
    torch = "{x0} - {x1}"

    def infer(self, dom: Space) -> Space:
        return Space((alike(self, dom, 2),))

    def definition(self, o: Any, x: Any, y: Any) -> Any:
        return o.add(x, o.neg(y))


@dataclass(frozen=True)
class Div(Op):
    """``x @ x → x``: x0 / x1, entry by entry."""

    key = "div"
    nonlinear = True
    torch = "{x0} / {x1}"

    def infer(self, dom: Space) -> Space:
        return Space((alike(self, dom, 2),))

    def definition(self, o: Any, x: Any, y: Any) -> Any:
        return o.mul(x, o.power(y, -1))


@dataclass(frozen=True)
class Scale(Op):
    """``x → x``: a number times x. An integer or a fraction stays exact in exact meanings."""

    key = "scale"
    factor: float | int | Fraction = 1

    def torch(self, e: Any, x: str) -> str:
        return f"-{x}" if self.factor == -1 else f"{x} * {float(self.factor) if isinstance(self.factor, Fraction) else self.factor!r}"

    def infer(self, dom: Space) -> Space:
        return Space(floats(self, dom, 1))

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return (o.scale(douts[0], self.factor),)


@dataclass(frozen=True)
class Shift(Op):
    """``x → x``: x plus a number."""

    key = "shift"
    nonlinear = True
    by: float | int | Fraction = 0

    def torch(self, e: Any, x: str) -> str:
        return f"{x} + {float(self.by) if isinstance(self.by, Fraction) else self.by!r}"

    def infer(self, dom: Space) -> Space:
        return Space(floats(self, dom, 1))

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return (douts[0],)


@dataclass(frozen=True)
class Power(Op):
    """``x → x``: x to a constant exponent, entry by entry (real x where the exponent is no integer must be positive)."""

    key = "power"
    nonlinear = True
    exponent: float | int | Fraction = 2

    def torch(self, e: Any, x: str) -> str:
        special = {2: f"{x} * {x}", Fraction(1, 2): f"torch.sqrt({x})", -1: f"torch.reciprocal({x})", Fraction(-1, 2): f"torch.rsqrt({x})"}
        number = float(self.exponent) if isinstance(self.exponent, Fraction) else self.exponent
        return special.get(self.exponent, f"torch.pow({x}, {number!r})")

    def infer(self, dom: Space) -> Space:
        return Space(floats(self, dom, 1))

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        if self.exponent == 0:
            return (o.scale(douts[0], 0),)
        inner = args[0] if self.exponent == 2 else o.power(args[0], self.exponent - 1)
        return (o.mul(douts[0], o.scale(inner, self.exponent)),)


add: Schema = Schema(Add, arity=2)
mul: Schema = Schema(Mul, arity=2)
sub: Schema = Schema(Sub, arity=2)
div: Schema = Schema(Div, arity=2)
scale: Schema = Schema(Scale)
shift: Schema = Schema(Shift)
power: Schema = Schema(Power)
