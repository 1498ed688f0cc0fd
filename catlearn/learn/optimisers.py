"""Optimisers: 2-cells of Para(Lens) with state. ``get : S × P → P`` shows the network its parameters, ``put : S × P × P' → S × P``
takes the cotangent of the loss and moves them (Cruttwell et al. 2021, arXiv:2103.01931, section 3.4).

The arithmetic is torch's, in torch's order, so that a step gives the bits of ``torch.optim``'s default implementations; where a
paper's convention differs (momentum that already carries the rate, Nesterov's ``get``), torch's wins.

Laws: ``put`` is functional; ``bind(...).step`` is ``put`` in place. Cells on disjoint parameters commute. A local cell moves each
parameter by its own gradient only, so the cell of a composite is the pair of cells; ``clip_norm`` is not local.

>>> import torch
>>> cell, p = sgd(0.5, momentum=0.5), {"w": torch.tensor([1.0])}
>>> s, p = cell.put(cell.init(p), p, {"w": torch.tensor([1.0])})
>>> s, p = cell.put(s, p, {"w": torch.tensor([1.0])})  # the momentum is now 1.5
>>> p["w"]
tensor([-0.2500])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from catlearn import errors
from catlearn.learn.cells import Optimiser, Row, decayed, kernels


@dataclass(frozen=True)
class SGD(Optimiser):
    """Gradient descent, with (Nesterov) momentum as in torch: s ← μ s + (1 − dampening) g, p ← p − lr s or p − lr (g + μ s)."""

    momentum: float = 0.0
    dampening: float = 0.0
    nesterov: bool = False

    slots: ClassVar[tuple[str, ...]] = ("momentum",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and (self.momentum <= 0 or self.dampening):
            raise errors.BadTraining("Nesterov momentum needs a momentum above 0 and no dampening")

    @property
    def used_slots(self) -> tuple[str, ...]:
        return self.slots if self.momentum else ()

    def update(self, step: int, p: Row, g: Row, slots: Sequence[Row], rate: float) -> None:
        g = decayed(p, g, self.weight_decay)
        if self.momentum:
            (s,) = slots
            kernels._foreach_mul_(s, self.momentum)
            kernels._foreach_add_(s, g, alpha=1 - self.dampening if step else 1)  # torch's first momentum is the whole gradient
            g = list(kernels._foreach_add(g, s, alpha=self.momentum)) if self.nesterov else s
        kernels._foreach_add_(p, g, alpha=-rate)


@dataclass(frozen=True)
class Adagrad(Optimiser):
    """v ← v + g², p ← p − lr/(1 + t·lr_decay) · g / (√v + eps) (Duchi, Hazan, Singer 2011)."""

    lr_decay: float = 0.0
    eps: float = 1e-10
    initial: float = 0.0

    slots: ClassVar[tuple[str, ...]] = ("sum",)

    def start(self, slot: str) -> float:
        return self.initial

    def update(self, step: int, p: Row, g: Row, slots: Sequence[Row], rate: float) -> None:
        g, (v,) = decayed(p, g, self.weight_decay), slots
        kernels._foreach_addcmul_(v, g, g, value=1)
        root = kernels._foreach_sqrt(v)
        kernels._foreach_add_(root, self.eps)
        kernels._foreach_addcdiv_(p, g, root, value=-rate / (1 + step * self.lr_decay))


@dataclass(frozen=True)
class RMSprop(Optimiser):
    """v ← α v + (1 − α) g², p ← p − lr g / (√v + eps), or with momentum on that quotient; ``centered`` subtracts the mean's square."""

    alpha: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0
    centered: bool = False

    @property
    def used_slots(self) -> tuple[str, ...]:
        return ("square", *(("mean",) if self.centered else ()), *(("momentum",) if self.momentum else ()))

    def update(self, step: int, p: Row, g: Row, slots: Sequence[Row], rate: float) -> None:
        g, named = decayed(p, g, self.weight_decay), dict(zip(self.used_slots, slots, strict=True))
        v = named["square"]
        kernels._foreach_mul_(v, self.alpha)
        kernels._foreach_addcmul_(v, g, g, value=1 - self.alpha)
        if self.centered:
            mean = named["mean"]
            kernels._foreach_lerp_(mean, g, 1 - self.alpha)
            root = list(kernels._foreach_addcmul(v, mean, mean, value=-1))
            kernels._foreach_sqrt_(root)
        else:
            root = kernels._foreach_sqrt(v)
        kernels._foreach_add_(root, self.eps)
        if self.momentum:
            kernels._foreach_mul_(named["momentum"], self.momentum)
            kernels._foreach_addcdiv_(named["momentum"], g, root)
            kernels._foreach_add_(p, named["momentum"], alpha=-rate)
        else:
            kernels._foreach_addcdiv_(p, g, root, value=-rate)


@dataclass(frozen=True)
class Adam(Optimiser):
    """Kingma, Ba 2015, arXiv:1412.6980: m, v running means of g, g²; p ← p − lr m̂ / (√v̂ + eps)."""

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    slots: ClassVar[tuple[str, ...]] = ("mean", "square")
    decoupled: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(0 <= beta < 1 for beta in self.betas):
            raise errors.BadTraining(f"{type(self).__name__}(betas={self.betas}): both lie in [0, 1)")

    def update(self, step: int, p: Row, g: Row, slots: Sequence[Row], rate: float) -> None:
        (m, v), (b1, b2), t = slots, self.betas, step + 1
        if self.decoupled:
            kernels._foreach_mul_(p, 1 - rate * self.weight_decay)
        else:
            g = decayed(p, g, self.weight_decay)
        kernels._foreach_lerp_(m, g, 1 - b1)
        kernels._foreach_mul_(v, b2)
        kernels._foreach_addcmul_(v, g, g, value=1 - b2)
        root = kernels._foreach_sqrt(v)
        kernels._foreach_div_(root, (1 - b2**t) ** 0.5)
        kernels._foreach_add_(root, self.eps)
        kernels._foreach_addcdiv_(p, m, root, value=-(rate / (1 - b1**t)))


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with the decay beside the gradient: p ← (1 − lr·wd) p first (Loshchilov, Hutter 2019, arXiv:1711.05101)."""

    weight_decay: float = field(default=1e-2, kw_only=True)

    decoupled: ClassVar[bool] = True


def sgd(lr: float = 1e-3, momentum: float = 0.0, dampening: float = 0.0, nesterov: bool = False, *, weight_decay: float = 0.0,
        groups: Mapping[str, Any] = {}) -> SGD:  # fmt: skip
    """``torch.optim.SGD``'s arithmetic."""
    return SGD(lr, momentum, dampening, nesterov, weight_decay=weight_decay, groups=groups)


def adagrad(lr: float = 1e-2, lr_decay: float = 0.0, eps: float = 1e-10, initial: float = 0.0, *, weight_decay: float = 0.0,
            groups: Mapping[str, Any] = {}) -> Adagrad:  # fmt: skip
    """``torch.optim.Adagrad``'s arithmetic."""
    return Adagrad(lr, lr_decay, eps, initial, weight_decay=weight_decay, groups=groups)


def rmsprop(lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8, momentum: float = 0.0, centered: bool = False, *,
            weight_decay: float = 0.0, groups: Mapping[str, Any] = {}) -> RMSprop:  # fmt: skip
    """``torch.optim.RMSprop``'s arithmetic."""
    return RMSprop(lr, alpha, eps, momentum, centered, weight_decay=weight_decay, groups=groups)


def adam(lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, *, weight_decay: float = 0.0,
         groups: Mapping[str, Any] = {}) -> Adam:  # fmt: skip
    """``torch.optim.Adam``'s arithmetic."""
    return Adam(lr, betas, eps, weight_decay=weight_decay, groups=groups)


def adamw(lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, *, weight_decay: float = 1e-2,
          groups: Mapping[str, Any] = {}) -> AdamW:  # fmt: skip
    """``torch.optim.AdamW``'s arithmetic."""
    return AdamW(lr, betas, eps, weight_decay=weight_decay, groups=groups)
