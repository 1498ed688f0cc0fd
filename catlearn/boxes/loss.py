"""Losses: arrows ``y @ target → R()``, one number for every event; ``batch_mean`` then closes the batch.

Each is a term of primitives. With ``reduce=True`` a loss includes the mean over the batch and runs on torch's fused kernels, forward
and backward, so that a step of a learner gives the bits of ``F.cross_entropy(model(x), y).backward()``.

Laws: ``loss(reduce=True) == loss >> batch_mean``; a separable loss is a sum of w·e(x_i, y_i) over the entries and
``∂e/∂x(x, solve(x, g)) == g``, so that a learner can ask its predecessor for what it would rather have been given. The first law has
one exception, torch's: cross entropy with labels of −100, which count in neither sum nor number of its mean (see ``CrossEntropy``).

>>> import catlearn as cl, torch
>>> cl.mse(cl.R(2))(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 4.0]]))
tensor([2.])
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, ClassVar

from catlearn import errors
from catlearn.boxes.batch import BatchMean
from catlearn.boxes.pointwise import Abs, Relu
from catlearn.core.op import Fused, Op
from catlearn.core.spaces import Space, Wire


@dataclass(frozen=True)
class Loss(Op):
    """What losses share: ``y @ target → R()``; with ``reduce`` the mean over the batch, without batch axes.

    ``kernel`` is torch's function without its arguments' brackets closed; ``mean`` says that entries of an event are averaged.
    """

    reduce: bool = field(default=False, kw_only=True)

    separable: ClassVar[bool] = False
    kernel: ClassVar[str] = ""
    reversed: ClassVar[tuple[Fused, ...]] = ()

    def infer(self, dom: Space) -> Space:
        if len(dom) != 2 or dom[0].kind != "float" or not self.accepts(dom[0], dom[1]):
            raise errors.BadBox(str(self), dom, f"y @ target, where target is {self.needs}")
        return Space((Wire((), role="parameter" if self.reduce else "data"),))

    needs: ClassVar[str] = "of the same space as y"

    def accepts(self, y: Wire, target: Wire) -> bool:
        return y == target

    @property
    def fused(self) -> tuple[Fused, ...]:  # type: ignore[override]
        return self.reversed if self.reduce else ()

    def torch(self, e: Any, x: str, y: str) -> str:
        call = self.kernel.format(x0=x, x1=y, self=self)
        if self.reduce:
            return f"{call})"
        axes = tuple(range(-len(e.dom[0].axes), 0))
        each = f"{call}, reduction='none')"
        return f"{each}.mean({axes})" if axes else each

    def definition(self, o: Any, x: Any, y: Any) -> Any:
        if self.reduce:
            return o.apply(BatchMean(), o.apply(replace(self, reduce=False), x, y))
        value = self.entries(o, x, y)
        return o.mean(value, tuple(range(len(o.shape(value)))))

    def entries(self, o: Any, x: Any, y: Any) -> Any:
        """e(x_i, y_i) for every entry, to be averaged."""
        raise NotImplementedError

    def weight(self, size: int) -> float:
        """The factor w with which e of one entry counts, for an event of this many entries."""
        return 1 / size

    def solve(self, x: Any, grad: Any) -> Any:
        """The y with ∂e/∂x(x, y) = grad, entry by entry."""
        raise errors.NotSeparable(f"{self.key} is not a sum of e(x_i, y_i) with invertible ∂e/∂x",
                                  next="request and composing as in Learn need cl.squared_error, cl.mse or cl.binary_cross_entropy; "
                                  "step and fit work with any loss")  # fmt: skip


def _two(kernel: str) -> tuple[Fused, ...]:
    """Backward kernels of a loss that is symmetric in its arguments."""
    return tuple(Fused("dy0 x0 x1", to, kernel.format(dy="{dy0}", a="{" + to + "}", b="{" + other + "}")) for to, other in
                 (("x0", "x1"), ("x1", "x0")))  # fmt: skip


@dataclass(frozen=True)
class SquaredError(Loss):
    """½ Σ (x_i − y_i)², the loss of Learn (Fong, Spivak, Tuyéras, arXiv:1711.10455): its request is x − grad."""

    key = "squared_error"
    separable = True

    def torch(self, e: Any, x: str, y: str) -> str:
        order = len(e.dom[0].axes)
        each = f"F.mse_loss({x}, {y}, reduction='none')"
        each = f"{each}.sum({tuple(range(-order, 0))})" if order else each
        return f"({each} * 0.5).mean()" if self.reduce else f"{each} * 0.5"

    def definition(self, o: Any, x: Any, y: Any) -> Any:
        if self.reduce:
            return o.apply(BatchMean(), o.apply(replace(self, reduce=False), x, y))
        return o.scale(o.sum(o.power(o.sub(x, y), 2), tuple(range(len(o.shape(x))))), Fraction(1, 2))

    def weight(self, size: int) -> float:
        return 1

    def solve(self, x: Any, grad: Any) -> Any:
        return x - grad


@dataclass(frozen=True)
class Mse(Loss):
    """The mean of (x_i − y_i)²."""

    key = "mse"
    separable = True
    kernel = "F.mse_loss({x0}, {x1}"
    reversed = _two("aten.mse_loss_backward({dy}, {a}, {b}, 1)")

    def entries(self, o: Any, x: Any, y: Any) -> Any:
        return o.power(o.sub(x, y), 2)

    def solve(self, x: Any, grad: Any) -> Any:
        return x - grad / 2


@dataclass(frozen=True)
class Mae(Loss):
    """The mean of |x_i − y_i|."""

    key = "mae"
    kernel = "F.l1_loss({x0}, {x1}"
    reversed = _two("torch.sgn({a} - {b}) * ({dy} / {a}.numel())")

    def entries(self, o: Any, x: Any, y: Any) -> Any:
        return o.apply(Abs(), o.sub(x, y))


@dataclass(frozen=True)
class Huber(Loss):
    """The mean of d²/2 where |d| ≤ δ, else of δ(|d| − δ/2), d = x_i − y_i (Huber 1964)."""

    key = "huber"
    delta: float = 1.0
    kernel = "F.huber_loss({x0}, {x1}, delta={self.delta!r}"
    reversed = _two("aten.huber_loss_backward({dy}, {a}, {b}, 1, {{self.delta!r}})")

    def entries(self, o: Any, x: Any, y: Any) -> Any:
        d = o.apply(Abs(), o.sub(x, y))
        over = o.apply(Relu(), o.shift(d, -self.delta))
        within = o.sub(d, over)  # min(d, δ)
        return o.add(o.scale(o.power(within, 2), 0.5), o.scale(over, self.delta))


@dataclass(frozen=True)
class Cosine(Loss):
    """1 − cos of the angle between x and y on the last axis, averaged over the other event axes; norms below ``eps`` count as eps."""

    key = "cosine"
    eps: float = 1e-8

    def accepts(self, y: Wire, target: Wire) -> bool:
        return bool(y.axes) and y == target

    def torch(self, e: Any, x: str, y: str) -> str:
        each, axes = f"1 - F.cosine_similarity({x}, {y}, -1, {self.eps!r})", tuple(range(1 - len(e.dom[0].axes), 0))
        return f"({each}).mean()" if self.reduce else f"({each}).mean({axes})" if axes else each

    def entries(self, o: Any, x: Any, y: Any) -> Any:
        least = self.eps**2
        square = [o.shift(o.apply(Relu(), o.shift(o.sum(o.power(v, 2)), -least)), least) for v in (x, y)]
        return o.shift(o.neg(o.div(o.sum(o.mul(x, y)), o.power(o.mul(*square), 0.5))), 1)
