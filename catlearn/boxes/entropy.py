"""Cross entropies: losses against labels, against probabilities, and of a yes or no.

>>> import catlearn as cl, torch
>>> print(cl.cross_entropy(cl.R(10), target=cl.index(10)))
cross_entropy : R(10) @ index(10) → R()
>>> cl.cross_entropy(cl.R(2))(torch.zeros(3, 2), torch.tensor([0, 1, 1]))
tensor([0.6931, 0.6931, 0.6931])
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from catlearn import errors
from catlearn.boxes.index import OneHot
from catlearn.boxes.loss import Loss
from catlearn.boxes.pointwise import Relu, Softplus
from catlearn.boxes.softmax import LogSoftmax
from catlearn.core.op import Fused
from catlearn.core.spaces import Space, Wire

IGNORED = -100
"""The label that cross entropy leaves out, torch's."""


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """−log softmax(x)[label] on the last axis, averaged over the other event axes; x are logits.

    A label of −100 is left out, as in torch: its loss is 0, and with ``reduce`` the mean is over the labels that count, NaN if there
    are none. So ``loss(reduce=True) == loss >> batch_mean`` holds where no label is −100; with k of n labels left out the closed loss
    is n / (n − k) times the mean.
    """

    key = "cross_entropy"
    needs = "labels: cl.index(classes, ...) with the other axes of y"

    def accepts(self, y: Wire, target: Wire) -> bool:
        return bool(y.axes) and target.kind == "index" and target.shape == y.shape[:-1] and target.bound in (None, y.shape[-1])

    @property
    def fused(self) -> tuple[Fused, ...]:  # type: ignore[override]
        text = "labels_backward({dy0}, {x1}, {logp}, {weight})"
        return (Fused("dy0 x1 logp weight", "x0", text),) if self.reduce else ()

    def torch(self, e: Any, x: str, y: str) -> str:
        order = len(e.dom[0].axes)
        mean = f"F.cross_entropy(flat({x}, 1), flat({y}, 0)"
        each = f"unflat({mean}, reduction='none'), {y}, 0)"
        return f"{mean})" if self.reduce else f"{each}.mean({tuple(range(1 - order, 0))})" if order > 1 else each

    def torch_saving(self, e: Any, x: str, y: str) -> str:
        logp = f"logp := torch.log_softmax(flat({x}, 1), -1)"
        return f"(*aten.nll_loss_forward(({logp}), flat({y}, 0), None, 1, -100), logp)"

    def saved(self, dom: Space) -> dict[str, Wire]:
        return {"weight": Wire((), role="parameter"), "logp": dom[0]}

    def entries(self, o: Any, x: Any, y: Any) -> Any:
        return o.neg(o.sum(o.mul(o.apply(OneHot(o.shape(x)[-1]), y), o.apply(LogSoftmax(), x))))


@dataclass(frozen=True)
class SoftCrossEntropy(Loss):
    """−Σ_c y_c log softmax(x)_c on the last axis, averaged over the other event axes; y are probabilities."""

    key = "soft_cross_entropy"

    def accepts(self, y: Wire, target: Wire) -> bool:
        return bool(y.axes) and y == target

    @property
    def fused(self) -> tuple[Fused, ...]:  # type: ignore[override]
        share = "{dy0} / ({x0}.numel() // {x0}.shape[-1])"
        text = f"aten._log_softmax_backward_data(-({share}) * {{x1}}, {{logp}}, -1, {{x0}}.dtype)"
        return (Fused("dy0 x0 x1 logp", "x0", text), Fused("dy0 x0 x1 logp", "x1", f"-({share}) * {{logp}}")) if self.reduce else ()

    def torch(self, e: Any, x: str, y: str) -> str:
        order, logp = len(e.dom[0].axes), f"torch.log_softmax({x}, -1)"
        if self.reduce:
            return f"-({logp} * {y}).sum() / ({x}.numel() // {x}.shape[-1])"
        each = f"-({logp} * {y}).sum(-1)"
        return f"({each}).mean({tuple(range(1 - order, 0))})" if order > 1 else each

    def torch_saving(self, e: Any, x: str, y: str) -> str:
        return f"(-((logp := torch.log_softmax({x}, -1)) * {y}).sum() / ({x}.numel() // {x}.shape[-1]), logp)"

    def saved(self, dom: Space) -> dict[str, Wire]:
        return {"logp": dom[0]}

    def entries(self, o: Any, x: Any, y: Any) -> Any:
        return o.neg(o.sum(o.mul(y, o.apply(LogSoftmax(), x))))


def _bounded(o: Any, x: Any, least: float) -> Any:
    """max(x, least)."""
    return o.shift(o.apply(Relu(), o.shift(x, -least)), least)


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """The mean of −(y log x + (1 − y) log(1 − x)); with ``logits`` x stands for σ(x).

    The logarithms are at least −100, so that x may be 0 or 1, and in the cotangent of x the divisor x (1 − x) is at least 1e-12, both
    as in torch. The cotangent of y is not bounded there, again as in torch.
    """

    key = "binary_cross_entropy"
    logits: bool = False
    separable = True

    @property
    def kernel(self) -> str:  # type: ignore[override]
        return f"F.binary_cross_entropy{'_with_logits' if self.logits else ''}({{x0}}, {{x1}}"

    @property
    def fused(self) -> tuple[Fused, ...]:  # type: ignore[override]
        if not self.reduce:
            share = "yes_or_no_share({dy0}, {x0})"
            to_x = f"aten.binary_cross_entropy_backward({share}, {{x0}}, {{x1}}, None, 0)"
            to_y = f"(torch.log1p(-{{x0}}) - torch.log({{x0}})) * {share}"
            return () if self.logits else (Fused("dy0 x0 x1", "x0", to_x), Fused("dy0 x0 x1", "x1", to_y))
        share = "{dy0} / {x0}.numel()"
        if self.logits:
            return (Fused("dy0 x0 x1", "x0", "(torch.sigmoid({x0}) - {x1}) * {dy0} / {x0}.numel()"),
                    Fused("dy0 x0 x1", "x1", f"-{{x0}} * ({share})"))  # fmt: skip
        return (Fused("dy0 x0 x1", "x0", "aten.binary_cross_entropy_backward({dy0}, {x0}, {x1}, None, 1)"),
                Fused("dy0 x0 x1", "x1", f"(torch.log1p(-{{x0}}) - torch.log({{x0}})) * ({share})"))  # fmt: skip

    def entries(self, o: Any, x: Any, y: Any) -> Any:
        if self.logits:
            return o.sub(o.apply(Softplus(), x), o.mul(x, y))
        other = o.mul(o.shift(o.neg(y), 1), _bounded(o, o.log(o.shift(o.neg(x), 1)), -100))
        return o.neg(o.add(o.mul(y, _bounded(o, o.log(x), -100)), other))

    @property
    def vjp(self) -> Any:  # type: ignore[override]
        """Where the logarithm is bounded the definition would have the derivative 0 · ∞."""
        return None if self.logits or self.reduce else self._pull

    def _pull(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        x, y = args
        one_less = o.shift(o.neg(x), 1)
        count = o.wire(x).size
        if not isinstance(count, int):
            raise errors.SizeUnknown(str(count), "the reverse derivative of binary_cross_entropy")
        share = o.scale(douts[0], Fraction(1, count))
        share = o.broadcast(o.reshape(share, (1,) * len(o.shape(x))), o.shape(x))
        slope = o.div(o.sub(x, y), _bounded(o, o.mul(x, one_less), 1e-12))
        return o.mul(share, slope), o.mul(share, o.sub(o.log(one_less), o.log(x)))

    def solve(self, x: Any, grad: Any) -> Any:
        return 1 / (1 + (-x).exp()) - grad if self.logits else x - grad * x * (1 - x)
