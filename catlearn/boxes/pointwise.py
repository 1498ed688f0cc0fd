"""Pointwise functions of one wire: ``exp``, ``log``, ``relu``, ``tanh``, ``sigmoid``, ``gelu``, ``silu``, ``softplus``, ...

Primitive are exp, log, step, relu, erf; the others are terms of primitives with torch's fused kernels beside them.

Law: box and definition are the same function, and so are their reverse derivatives, at kinks too.

>>> import catlearn as cl, torch
>>> cl.compile(cl.leaky_relu(cl.R(2), slope=0.1))(torch.tensor([-1.0, 1.0]))
tensor([-0.1000,  1.0000])
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from catlearn.boxes.check import floats
from catlearn.boxes.schema import Schema
from catlearn.core.op import Fused, Op
from catlearn.core.spaces import Space


class Pointwise(Op):
    """``x → x``, one function applied to every entry."""

    nonlinear = True

    def infer(self, dom: Space) -> Space:
        return Space(floats(self, dom, 1))


@dataclass(frozen=True)
class Exp(Pointwise):
    """e to the x."""

    key = "exp"
    torch = "torch.exp({x0})"

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return (o.mul(douts[0], outs[0]),)


@dataclass(frozen=True)
class Log(Pointwise):
    """The natural logarithm; x > 0."""

    key = "log"
    torch = "torch.log({x0})"

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return (o.div(douts[0], args[0]),)


@dataclass(frozen=True)
class Step(Pointwise):
    """1 where x > 0, else 0. Its reverse derivative is 0, torch's choice at the jump too."""

    key = "step"
    torch = "({x0} > 0).to({x0}.dtype)"

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return (None,)


@dataclass(frozen=True)
class Relu(Pointwise):
    """max(x, 0)."""

    key = "relu"
    torch = "F.relu({x0})"
    fused = (Fused("dy0 y0", "x0", "aten.threshold_backward({dy0}, {y0}, 0)"),)

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return (o.mul(douts[0], o.step(outs[0])),)


@dataclass(frozen=True)
class Erf(Pointwise):
    """The error function."""

    key = "erf"
    torch = "torch.erf({x0})"

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return (o.mul(douts[0], o.scale(o.exp(o.neg(o.power(args[0], 2))), 2 / math.sqrt(math.pi))),)


@dataclass(frozen=True)
class Sigmoid(Pointwise):
    """1 / (1 + e^−x)."""

    key = "sigmoid"
    torch = "torch.sigmoid({x0})"
    fused = (Fused("dy0 y0", "x0", "aten.sigmoid_backward({dy0}, {y0})"),)

    def definition(self, o: Any, x: Any) -> Any:
        return o.power(o.shift(o.exp(o.neg(x)), 1), -1)

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return (o.mul(douts[0], o.mul(outs[0], o.shift(o.neg(outs[0]), 1))),)


@dataclass(frozen=True)
class Tanh(Pointwise):
    """The hyperbolic tangent, 2σ(2x) − 1."""

    key = "tanh"
    torch = "torch.tanh({x0})"
    fused = (Fused("dy0 y0", "x0", "aten.tanh_backward({dy0}, {y0})"),)

    def definition(self, o: Any, x: Any) -> Any:
        return o.shift(o.scale(o.apply(Sigmoid(), o.scale(x, 2)), 2), -1)

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return (o.mul(douts[0], o.shift(o.neg(o.power(outs[0], 2)), 1)),)


@dataclass(frozen=True)
class Gelu(Pointwise):
    """x Φ(x) (Hendrycks, Gimpel 2016, arXiv:1606.08415); ``approximate="tanh"`` is the paper's approximation."""

    key = "gelu"
    approximate: str = "none"
    torch = "F.gelu({x0}{self.suffix})"
    fused = (Fused("dy0 x0", "x0", "aten.gelu_backward({dy0}, {x0}{self.suffix})"),)

    @property
    def suffix(self) -> str:
        return "" if self.approximate == "none" else f", approximate={self.approximate!r}"

    def definition(self, o: Any, x: Any) -> Any:
        if self.approximate == "tanh":
            inner = o.scale(o.add(x, o.scale(o.power(x, 3), 0.044715)), math.sqrt(2 / math.pi))
            gate = o.apply(Tanh(), inner)
        else:
            gate = o.apply(Erf(), o.scale(x, math.sqrt(0.5)))
        return o.mul(o.scale(x, 0.5), o.shift(gate, 1))


@dataclass(frozen=True)
class Silu(Pointwise):
    """x σ(x), also called swish (Elfwing, Uchibe, Doya 2018, arXiv:1702.03118)."""

    key = "silu"
    torch = "F.silu({x0})"
    fused = (Fused("dy0 x0", "x0", "silu_backward({dy0}, {x0})"),)

    def definition(self, o: Any, x: Any) -> Any:
        return o.mul(x, o.apply(Sigmoid(), x))


@dataclass(frozen=True)
class LeakyRelu(Pointwise):
    """x where x > 0, else ``slope`` · x."""

    key = "leaky_relu"
    slope: float = 0.01
    torch = "F.leaky_relu({x0}, {self.slope!r})"
    fused = (Fused("dy0 x0", "x0", "aten.leaky_relu_backward({dy0}, {x0}, {self.slope!r}, False)"),)

    def definition(self, o: Any, x: Any) -> Any:
        # slope · min(x, 0) + max(x, 0), but not with relu(−x) for −min: the derivative at 0 would be 0, torch's is the slope
        positive = o.apply(Relu(), x)
        return o.add(o.scale(o.sub(x, positive), self.slope), positive)


@dataclass(frozen=True)
class Softplus(Pointwise):
    """log(1 + e^βx) / β, and x itself where βx > threshold, as in torch."""

    key = "softplus"
    beta: float = 1
    threshold: float = 20
    torch = "F.softplus({x0}, {self.beta!r}, {self.threshold!r})"
    fused = (Fused("dy0 x0", "x0", "aten.softplus_backward({dy0}, {x0}, {self.beta!r}, {self.threshold!r})"),)

    def definition(self, o: Any, x: Any) -> Any:
        z = o.scale(x, self.beta)
        over = o.shift(z, -self.threshold)
        soft = o.log(o.shift(o.exp(o.sub(z, o.apply(Relu(), over))), 1))  # of min(z, threshold): e^z cannot overflow
        inverse = Fraction(1, self.beta) if isinstance(self.beta, int) else 1 / self.beta
        return o.scale(o.add(soft, o.mul(o.step(over), o.sub(z, soft))), inverse)


@dataclass(frozen=True)
class Abs(Pointwise):
    """The absolute value; its reverse derivative at 0 is 0, as in torch."""

    key = "abs"
    torch = "torch.abs({x0})"
    fused = (Fused("dy0 x0", "x0", "{dy0} * torch.sgn({x0})"),)

    def definition(self, o: Any, x: Any) -> Any:
        return o.add(o.apply(Relu(), x), o.apply(Relu(), o.neg(x)))


exp: Schema = Schema(Exp)
log: Schema = Schema(Log)
step: Schema = Schema(Step)
relu: Schema = Schema(Relu)
erf: Schema = Schema(Erf)
sigmoid: Schema = Schema(Sigmoid)
tanh: Schema = Schema(Tanh)
gelu: Schema = Schema(Gelu)
silu: Schema = Schema(Silu)
leaky_relu: Schema = Schema(LeakyRelu)
softplus: Schema = Schema(Softplus)
abs: Schema = Schema(Abs)
