"""The two kernels as operators of torch, which compilers and exporters take as they are: one call forward, one backward.

A family travels in the graph as text. (In eager mode ``apply`` calls the kernels directly, with derivatives of every order; a compiled
graph has first derivatives.)

>>> from catlearn.maps.sums.family import Element, Family
>>> mean = Family((4,), (), (Element(((0,),)),))
>>> operator(torch.ones(2, 4, 1), torch.full((1, 1, 1), 0.25), None, mean)
tensor([[1.], [1.]])
"""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from catlearn.maps.outliving import constant
from catlearn.maps.sums.family import Family
from catlearn.maps.sums.kernel import pull, push
from catlearn.maps.sums.plan import CACHE, WORKSPACE, Plan, extent, plan


def planned(family: Family, x: Tensor, weight: Tensor) -> Plan:
    """The plan for tensors of these shapes."""
    batch = prod(x.shape[: x.dim() - family.order_in - 1])
    return plan(family, batch, x.shape[-1], weight.shape[1], CACHE if x.device.type == "cpu" else WORKSPACE)


@constant
def text(family: Family) -> str:
    """The family as text; a constant to compilers."""
    return family.text


_LIBRARY = torch.library.Library("catlearn", "FRAGMENT")
_LIBRARY.define("sums(Tensor x, Tensor weight, Tensor? bias, str family) -> (Tensor, Tensor)")
_LIBRARY.define(
    "sums_backward(Tensor x, Tensor weight, Tensor dy, Tensor features, str family, bool dx, bool dweight, bool dbias)"
    " -> (Tensor, Tensor, Tensor)"
)


def forward(x: Tensor, weight: Tensor, bias: Tensor | None, family: str) -> tuple[Tensor, Tensor]:
    """y, and the features of x."""
    return push(planned(Family.read(family), x, weight), x, weight, bias)


def forward_shapes(x: Tensor, weight: Tensor, bias: Tensor | None, family: str) -> tuple[Tensor, Tensor]:
    """Empty tensors of the shapes that ``forward`` gives, for any number of tokens."""
    known, batch = Family.read(family), x.shape[: x.dim() - Family.read(family).order_in - 1]
    return x.new_empty(*batch, *known.outs, weight.shape[1]), x.new_empty(extent(known, prod(batch), x.shape[-1]))


def backward(
    x: Tensor, weight: Tensor, dy: Tensor, features: Tensor, family: str, dx: bool, dweight: bool, dbias: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients that are wanted; the others are empty."""
    found = pull(planned(Family.read(family), x, weight), x, weight, dy, features, (dx, dweight, dbias))
    return tuple(x.new_empty(0) if part is None else part for part in found)  # pyright: ignore[reportReturnType]


def backward_shapes(
    x: Tensor, weight: Tensor, dy: Tensor, features: Tensor, family: str, dx: bool, dweight: bool, dbias: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Empty tensors of the shapes that ``backward`` gives."""
    shapes = x.shape, weight.shape, (len(Family.read(family).biases), weight.shape[1])
    x, weight, bias = (
        x.new_empty(*shape) if wanted else x.new_empty(0) for shape, wanted in zip(shapes, (dx, dweight, dbias), strict=True)
    )
    return x, weight, bias


for _name, _run, _shapes in (("sums", forward, forward_shapes), ("sums_backward", backward, backward_shapes)):
    _LIBRARY.impl(_name, _run, "CompositeExplicitAutograd")
    torch.library.register_fake(f"catlearn::{_name}", _shapes, lib=_LIBRARY)


class Operator(Function):
    """(x, weight, bias, family as text) ↦ y, of two operators: what a compiler sees of ``Push``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, family: str) -> Tensor:
        y, features = torch.ops.catlearn.sums(x, weight, bias, family)
        ctx.family = family
        ctx.save_for_backward(x, weight, features)
        return y

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, features = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:3]
        found = torch.ops.catlearn.sums_backward(x, weight, grad_outputs[0], features, ctx.family, *wanted)
        return *(part if needed else None for part, needed in zip(found, wanted, strict=True)), None


def operator(x: Tensor, weight: Tensor, bias: Tensor | None, family: Family) -> Tensor:
    """y by operators, inside a graph that is being compiled or exported."""
    if torch.is_grad_enabled():
        return Operator.apply(x, weight, bias, text(family))
    return torch.ops.catlearn.sums(x, weight, bias, text(family))[0]
