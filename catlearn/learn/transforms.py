"""Cells on gradients, composed vertically with an optimiser: ``clip_norm(1.0) >> adamw(1e-3)`` clips, then moves.

Law: ``(t >> cell).put(s, p, dp) == cell.put(s, p, t.apply(p, dp))``. ``clip_norm`` reads all gradients at once, so it is not local.

>>> import catlearn as cl, torch
>>> cell, p = clip_value(0.5) >> cl.sgd(1.0), {"w": torch.tensor([1.0])}
>>> cell.put(cell.init(p), p, {"w": torch.tensor([9.0])})[1]["w"]
tensor([0.5000])
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch

from catlearn import errors
from catlearn.learn.cells import Bound, Cell, Row, State, Tensors, decayed, kernels


class Transform(ABC):
    """A function on gradients; ``local`` if each depends on its own parameter only."""

    local: ClassVar[bool] = True

    @abstractmethod
    def apply(self, p: Row, g: Row) -> Row:
        """The new gradients; those given may be overwritten."""

    def __rshift__(self, cell: Cell) -> Then:
        return Then(self, cell)


@dataclass(frozen=True)
class ClipNorm(Transform):
    """All gradients times min(1, bound / (norm + 1e-6)), where norm is that of the whole gradient, as ``clip_grad_norm_``."""

    bound: float

    local: ClassVar[bool] = False

    def apply(self, p: Row, g: Row) -> Row:
        if not g:
            return g
        norm = torch.linalg.vector_norm(torch.stack([n.to(g[0].device) for n in kernels._foreach_norm(g)]))
        factor = torch.clamp(self.bound / (norm + 1e-6), max=1.0)
        return list(kernels._foreach_mul(g, factor))


@dataclass(frozen=True)
class ClipValue(Transform):
    """Every entry brought between −bound and bound, as ``clip_grad_value_``."""

    bound: float

    def apply(self, p: Row, g: Row) -> Row:
        return [x.clamp(-self.bound, self.bound) for x in g]


@dataclass(frozen=True)
class Decay(Transform):
    """g + rate · p: weight decay that goes through the gradient."""

    rate: float

    def apply(self, p: Row, g: Row) -> Row:
        return decayed(p, g, self.rate)


@dataclass(frozen=True)
class Then(Cell):
    """A transform, then a cell."""

    transform: Transform
    cell: Cell

    @property
    def local(self) -> bool:  # type: ignore[override]
        return self.transform.local and self.cell.local

    @property
    def stateless(self) -> bool:
        return self.cell.stateless

    def check(self, names: list[str]) -> None:
        self.cell.check(names)

    def init(self, p: Tensors) -> State:
        return self.cell.init(p)

    def bind(self, p: Tensors, s: State) -> Bound:
        return _BoundThen(self.transform, list(p.values()), self.cell.bind(p, s))


class _BoundThen(Bound):
    def __init__(self, transform: Transform, row: Row, inner: Bound) -> None:
        self.transform, self.row, self.inner = transform, row, inner

    def step(self, grads: Row, rate: float = 1.0) -> None:
        self.inner.step(self.transform.apply(self.row, grads), rate)

    @property
    def state(self) -> State:
        return self.inner.state


def clip_norm(bound: float) -> ClipNorm:
    """Clip the norm of the whole gradient."""
    return ClipNorm(_positive("clip_norm", bound))


def clip_value(bound: float) -> ClipValue:
    """Clip every entry of the gradient."""
    return ClipValue(_positive("clip_value", bound))


def _positive(what: str, bound: float) -> float:
    if not bound > 0:
        raise errors.BadTraining(f"{what}({bound}): the bound must be above 0")
    return bound
