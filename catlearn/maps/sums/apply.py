"""Applying a family of plain elements to a tensor with channels, with a backward pass planned in the same way.

    y[o, c'] = Σ_d Σ_i Σ_c D_d[o, i] weight[d, c', c] x[i, c] + Σ_b B_b[o] bias[b, c']

``Push`` computes y, ``Pull`` the gradients: the transposed family on dy, and products of features at the waists. As ⟨dy, y⟩ is linear in
x, in the weight and in dy, the derivatives of ``Pull`` are ``Push`` and ``Pull`` again, so derivatives of every order are planned. Saved
for the backward pass are x and its features at the waists, and only if the weight needs a gradient.

>>> from catlearn.maps.sums.family import Element, Family
>>> trace = Family((2, 2), (), (Element(((0, 1),)),), (Element(),))
>>> x = torch.tensor([[[1.0], [2.0]], [[3.0], [4.0]]])
>>> apply(trace, x, torch.tensor([[[10.0]]]), torch.tensor([[0.5]]))
tensor([50.5000])
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.autograd import Function

from catlearn.errors import BadMap
from catlearn.maps.sums.family import Family
from catlearn.maps.sums.kernel import pull, push
from catlearn.maps.sums.open import layer, worthwhile
from catlearn.maps.sums.operator import operator, planned, text
from catlearn.maps.sums.plan import Plan


class _Planned(Function):
    @classmethod
    def run(cls, *args: Any) -> Any:
        """``apply``, less the binding of default arguments, which takes longer than a small layer."""
        return cls.apply(*args) if torch._C._are_functorch_transforms_active() else super(Function, cls).apply(*args)  # pyright: ignore


class Push(_Planned):
    """(plan, x, weight, bias) ↦ (y, features of x, which are empty inside transforms of torch.func)."""

    @staticmethod
    def forward(plan: Plan, x: Tensor, weight: Tensor, bias: Tensor | None, keep: bool) -> tuple[Tensor, Tensor]:
        y, features = push(plan, x, weight, bias)
        return y, features if keep else features[:0].clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
        ctx.plan, x, weight, *_ = inputs
        _, dx, dw, *_ = ctx.needs_input_grad
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x if dw else None, weight if dx else None, output[1] if dw else None)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> tuple:
        dy, _ = grad_outputs
        if dy is None:
            return None, None, None, None, None
        x, weight, features = ctx.saved_tensors
        return None, *Pull.run(ctx.plan, tuple(ctx.needs_input_grad[1:4]), x, weight, dy, features), None


class Pull(_Planned):
    """(plan, which are wanted, x, weight, dy, features of x) ↦ (dx, dweight, dbias)."""

    @staticmethod
    def forward(plan: Plan, wanted: tuple, x: Tensor | None, weight: Tensor | None, dy: Tensor, features: Tensor | None) -> tuple:
        return pull(plan, x, weight, dy, features, wanted)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple) -> None:
        ctx.plan, _, x, weight, dy, _ = inputs
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, weight, dy)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> tuple:
        vx, vw, vb = grad_outputs
        plan: Plan = ctx.plan
        x, weight, dy = ctx.saved_tensors
        _, _, x_too, weight_too, dy_too, _ = ctx.needs_input_grad
        wanted = (x_too and vw is not None, weight_too and vx is not None, False)
        gx, gw, gy = None, None, None
        if any(wanted):
            gx, gw, _ = Pull.run(plan, wanted, vx, vw, dy, None)
        if dy_too:
            shape = (*dy.shape[: dy.dim() - plan.family.order_out - 1], *plan.family.ins, plan.c_in)
            terms = [] if vx is None else [(vx, weight, vb)]
            terms += [] if vw is None else [(x, vw, None if terms else vb)]
            terms = terms or [(dy.new_zeros(shape), dy.new_zeros(len(plan.family.elements), plan.c_out, plan.c_in), vb)]
            gy = sum(Push.run(plan, *term, False)[0] for term in terms)
        return None, None, gx, gw, gy, None


def apply(family: Family, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The family with weights, applied to x.

    x: (*batch, *ins, c_in); weight: (elements, c_out, c_in); bias: (biases, c_out); the result: (*batch, *outs, c_out).

    Raises ``BadMap`` if a shape does not fit, or an element is not plain (see ``plan``).
    """
    check(family, x, weight, bias)
    if torch.compiler.is_compiling() or isinstance(x, FakeTensor):  # shapes alone must not meet the kernels
        if worthwhile(family, x.shape[-1], weight.shape[1]):
            return layer(x, weight, bias, text(family))
        return operator(x, weight, bias, family)
    scheme = planned(family, x, weight)
    if torch._C._are_functorch_transforms_active():
        return Push.run(scheme, x, weight, bias, False)[0]
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (x, weight, bias)):
        return Push.run(scheme, x, weight, bias, True)[0]
    return push(scheme, x, weight, bias)[0]


def check(family: Family, x: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    """Raises ``BadMap`` unless the tensors fit the family."""
    shape, last = x.shape, x.dim() - 1
    fits = last >= family.order_in and shape[last - family.order_in : last] == family.ins
    if fits and weight.dim() == 3 and weight.shape[::2] == (len(family.elements), shape[-1]):
        if bias is None or bias.shape == (len(family.biases), weight.shape[1]):
            return
    needed = [
        ("x", x, f"(*batch, {''.join(f'{n}, ' for n in family.ins)}c_in)"),
        ("weight", weight, f"({len(family.elements)}, c_out, c_in)"),
        ("bias", bias, f"({len(family.biases)}, c_out)"),
    ]
    rows = [f"{name}: given {tuple(given.shape)}, needed {text}" for name, given, text in needed if given is not None]
    raise BadMap("a family was given tensors that do not fit it", rows, "the channel axis is last, the axes of the family before it")
