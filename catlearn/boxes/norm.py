"""Normalisation: ``layer_norm`` and ``rms_norm`` over the last event axis, ``batch_norm`` over the batch axes.

Laws: layer_norm does not see a shift or a positive rescaling of its input (as eps → 0), rms_norm a positive rescaling, and
batch_norm in training none of either per channel.

>>> import catlearn as cl, torch
>>> cl.compile(cl.layer_norm(cl.R(2), eps=0.0))(torch.tensor([1.0, 5.0])).detach()
tensor([-1.,  1.])
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from catlearn import errors
from catlearn.boxes.check import floats
from catlearn.boxes.schema import Schema
from catlearn.core.op import Fused, Init, Op, Param
from catlearn.core.spaces import Axis, Space, Wire


def per(axis: Axis, value: float, kind: str = "float") -> Param:
    """A parameter with one entry for each position of an axis."""
    return Param(Space((Wire((axis,), kind, role="parameter"),)), Init("constant", (value,)))


class LastAxis(Op):
    """What ``layer_norm`` and ``rms_norm`` share: the shape is kept, and there is a last axis."""

    nonlinear = True

    def infer(self, dom: Space) -> Space:
        (wire,) = floats(self, dom, 1)
        if not wire.axes:
            raise errors.BadBox(str(self), dom, "a wire with at least one axis")
        return Space((wire,))

    def flops(self, dom: Space, cod: Space) -> Any:
        return 8 * cod[0].size


@dataclass(frozen=True)
class LayerNorm(LastAxis):
    """(x − mean) / √(var + eps) over the last axis, then · weight + bias (Ba, Kiros, Hinton 2016, arXiv:1607.06450).

    ``affine=False`` leaves out both parameters, ``bias=False`` the second.
    """

    key = "layer_norm"
    eps: float = 1e-5
    affine: bool = True
    bias: bool = True

    @property
    def param_names(self) -> tuple[str, ...]:
        return () if not self.affine else ("weight", "bias") if self.bias else ("weight",)

    def parameters(self, dom: Space) -> dict[str, Param]:
        starts = {"weight": 1.0, "bias": 0.0}
        return {name: per(dom[0].axes[-1], starts[name]) for name in self.param_names}

    def torch(self, e: Any, x: str, *params: str) -> str:
        given = ", ".join([*params, *["None"] * (2 - len(params))])
        return f"F.layer_norm({x}, ({e.size(e.dom[0].shape[-1])},), {given}, {self.eps!r})"

    def saved(self, dom: Space) -> dict[str, Wire]:
        statistic = Wire((*dom[0].axes[:-1], Axis(1)))
        return {"mean": statistic, "rstd": statistic}

    def torch_saving(self, e: Any, x: str, *params: str) -> str:
        given = ", ".join([*params, *["None"] * (2 - len(params))])
        return f"torch.native_layer_norm({x}, ({e.size(e.dom[0].shape[-1])},), {given}, {self.eps!r})"

    @property
    def fused(self) -> tuple[Fused, ...]:  # type: ignore[override]
        names = self.param_names
        given = ", ".join([*(f"{{{name}}}" for name in names), *["None"] * (2 - len(names))])
        kernel = f"aten.native_layer_norm_backward({{dy0}}, {{x0}}, {{x0}}.shape[-1:], {{mean}}, {{rstd}}, {given}, "
        gives = " ".join(("x0", *names))
        mask = "[True, False, False])[0]" if not names else "[{mask[0]}, {mask[1]}, False])[:2]" if len(names) == 1 else "{mask})"
        return (Fused(f"dy0 {gives} mean rstd", gives, kernel + mask),)

    def definition(self, o: Any, x: Any, *params: Any) -> Any:
        shape = o.shape(x)
        centred = o.sub(x, o.broadcast(o.mean(x, (-1,), True), shape))
        variance = o.mean(o.power(centred, 2), (-1,), True)
        y = o.mul(centred, o.broadcast(o.power(o.shift(variance, self.eps), Fraction(-1, 2)), shape))
        for combine, p in zip((o.mul, o.add), params, strict=False):
            y = combine(y, o.broadcast(p, shape))
        return y


@dataclass(frozen=True)
class RmsNorm(LastAxis):
    """x / √(mean(x²) + eps) over the last axis, then · weight (Zhang, Sennrich 2019, arXiv:1910.07467).

    Torch's default for eps, the machine epsilon, would make the function depend on the dtype; here it is a number.
    """

    key = "rms_norm"
    eps: float = 1e-6
    affine: bool = True

    @property
    def param_names(self) -> tuple[str, ...]:
        return ("weight",) if self.affine else ()

    def parameters(self, dom: Space) -> dict[str, Param]:
        return {name: per(dom[0].axes[-1], 1.0) for name in self.param_names}

    def torch(self, e: Any, x: str, weight: str = "None") -> str:
        return f"F.rms_norm({x}, ({e.size(e.dom[0].shape[-1])},), {weight}, {self.eps!r})"

    def saved(self, dom: Space) -> dict[str, Wire]:
        """The reciprocal root (or, on devices where torch has a kernel of its own, what its autograd keeps)."""
        return {"kept": Wire((*dom[0].axes[:-1], Axis(1)))}

    def torch_saving(self, e: Any, x: str, weight: str = "None") -> str:
        return f"rms_saving({x}, {weight}, {self.eps!r})"

    @property
    def fused(self) -> tuple[Fused, ...]:  # type: ignore[override]
        gives = " ".join(("x0", *self.param_names))
        weight, mask, one = ("{weight}", "{mask}", "") if self.affine else ("None", "[True, False]", "[0]")
        return (Fused(f"dy0 {gives} kept", gives, f"rms_backward({{dy0}}, {{x0}}, {weight}, {{kept}}, {mask}){one}"),)

    def definition(self, o: Any, x: Any, *params: Any) -> Any:
        square = o.shift(o.mean(o.power(x, 2), (-1,), True), self.eps)
        y = o.mul(x, o.broadcast(o.power(square, Fraction(-1, 2)), o.shape(x)))
        return o.mul(y, o.broadcast(params[0], o.shape(x))) if params else y


@dataclass(frozen=True)
class BatchNorm(Op):
    """(x − mean) / √(var + eps) per channel, the first event axis, then · weight + bias (Ioffe, Szegedy 2015, arXiv:1502.03167).

    In training, mean and (biased) variance are those of the batch, over all batch axes and all other event axes, and the running
    ones are moved towards them by ``momentum`` (``None``: their plain average over all batches), the variance unbiased; otherwise
    the running ones are used. State as in ``torch.nn.BatchNorm``. It has no definition: one event alone does not determine it.
    """

    key = "batch_norm"
    nonlinear = True
    effect = "stateful"
    state_names = ("running_mean", "running_var", "num_batches_tracked")
    eps: float = 1e-5
    momentum: float | None = 0.1
    affine: bool = True

    def infer(self, dom: Space) -> Space:
        (wire,) = floats(self, dom, 1)
        if not wire.axes:
            raise errors.BadBox(str(self), dom, "a wire with at least one axis, the channels first")
        return Space((wire,))

    @property
    def param_names(self) -> tuple[str, ...]:
        return ("weight", "bias") if self.affine else ()

    def parameters(self, dom: Space) -> dict[str, Param]:
        starts = {"weight": 1.0, "bias": 0.0}
        return {name: per(dom[0].axes[0], starts[name]) for name in self.param_names}

    def state(self, dom: Space) -> dict[str, Param]:
        count = Param(Space((Wire((), "index", role="parameter"),)), Init("constant", (0,)), trainable=False)
        return {"running_mean": per(dom[0].axes[0], 0.0), "running_var": per(dom[0].axes[0], 1.0), "num_batches_tracked": count}

    def call(self, kernel: str, e: Any, x: str, args: tuple[str, ...]) -> str:
        """A call of a kernel: x, its event order, weight, bias, state, mode, momentum, eps."""
        params = args[:2] if self.affine else ("None", "None")
        state = ", ".join((*params, *args[-3:]))
        return f"{kernel}({x}, {len(e.dom[0].axes)}, {state}, {e.training}, {self.momentum!r}, {self.eps!r})"

    def torch(self, e: Any, x: str, *args: str) -> str:
        return self.call("over_batch", e, x, args)

    def saved(self, dom: Space) -> dict[str, Wire]:
        statistic = Wire((dom[0].axes[0],), role="parameter")
        return {"mean": statistic, "spread": statistic}

    def torch_saving(self, e: Any, x: str, *args: str) -> str:
        return self.call("over_batch_saving", e, x, args)

    @property
    def fused(self) -> tuple[Fused, ...]:  # type: ignore[override]
        gives = " ".join(("x0", *self.param_names))
        weight, mask, one = ("{weight}", "{mask}", "") if self.affine else ("None", "[True, False, False]", "[0]")
        statistics = "{mean}, {spread}, {training}, {self.eps!r}"
        kernel = f"over_batch_backward({{dy0}}, {{x0}}, {{order}}, {weight}, {statistics}, {mask}){one}"
        return (Fused(f"dy0 {gives} mean spread", gives, kernel),)

    def flops(self, dom: Space, cod: Space) -> Any:
        return 8 * cod[0].size


layer_norm: Schema = Schema(LayerNorm)
rms_norm: Schema = Schema(RmsNorm)
batch_norm: Schema = Schema(BatchNorm)
