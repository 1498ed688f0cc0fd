"""``softmax``, ``log_softmax``, ``logsumexp`` along event axes.

The definitions are the textbook's, e^x / Σ e^x, without the shift by the maximum that torch's kernels make against overflow: the
shift cancels, so the function is the same, and without it the definition is smooth and stays readable in exact meanings.

Laws: softmax sums to 1 and does not see a number added to all entries; log_softmax = log ∘ softmax = x − logsumexp(x).

>>> import catlearn as cl, torch
>>> cl.compile(cl.softmax(cl.R(2)))(torch.tensor([0.0, 0.0]))
tensor([0.5000, 0.5000])
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from catlearn.boxes.check import axes_of, floats, negative
from catlearn.boxes.reduce import Reduce
from catlearn.boxes.schema import Schema
from catlearn.core.op import Fused, Op
from catlearn.core.spaces import Space


@dataclass(frozen=True)
class LogSumExp(Reduce):
    """log Σ e^x over event axes."""

    key = "logsumexp"
    nonlinear = True
    kernel = "logsumexp"

    def definition(self, o: Any, x: Any) -> Any:
        return o.log(o.sum(o.exp(x), self.axes, self.keep))

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        share = o.exp(o.sub(args[0], self.expanded(o, args[0], outs[0])))
        return (o.mul(self.expanded(o, args[0], douts[0]), share),)


@dataclass(frozen=True)
class Normalised(Op):
    """What ``softmax`` and ``log_softmax`` share: one event axis, and the shape kept."""

    nonlinear = True
    axis: int = -1

    def infer(self, dom: Space) -> Space:
        (wire,) = floats(self, dom, 1)
        axes_of(self, wire, [self.axis])
        return Space((wire,))

    def torch(self, e: Any, x: str) -> str:
        return f"torch.{self.key}({x}, {negative([self.axis], len(e.dom[0].axes))[0]})"

    def flops(self, dom: Space, cod: Space) -> Any:
        return 3 * cod[0].size


@dataclass(frozen=True)
class Softmax(Normalised):
    """e^x / Σ e^x along one event axis."""

    key = "softmax"
    fused = (Fused("dy0 y0", "x0", "aten._softmax_backward_data({dy0}, {y0}, {axis}, {y0}.dtype)"),)

    def definition(self, o: Any, x: Any) -> Any:
        e = o.exp(x)
        return o.div(e, o.broadcast(o.sum(e, (self.axis,), True), o.shape(x)))

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        inner = o.sum(o.mul(douts[0], outs[0]), (self.axis,), True)
        return (o.mul(outs[0], o.sub(douts[0], o.broadcast(inner, o.shape(outs[0])))),)


@dataclass(frozen=True)
class LogSoftmax(Normalised):
    """x − log Σ e^x along one event axis."""

    key = "log_softmax"
    fused = (Fused("dy0 y0", "x0", "aten._log_softmax_backward_data({dy0}, {y0}, {axis}, {y0}.dtype)"),)

    def definition(self, o: Any, x: Any) -> Any:
        return o.sub(x, o.broadcast(o.apply(LogSumExp((self.axis,), True), x), o.shape(x)))

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        total = o.broadcast(o.sum(douts[0], (self.axis,), True), o.shape(outs[0]))
        return (o.sub(douts[0], o.mul(o.exp(outs[0]), total)),)


logsumexp: Schema = Schema(LogSumExp)
softmax: Schema = Schema(Softmax)
log_softmax: Schema = Schema(LogSoftmax)
