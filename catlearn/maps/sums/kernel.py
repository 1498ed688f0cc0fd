"""The kernels of a plan: ``push`` from x to y, ``pull`` from dy to the gradients.

The form ⟨dy, y⟩ is linear in x, in the weight and in dy: ``push`` is its derivative in dy, ``pull`` gives those in x, weight and bias.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from catlearn.maps.sums.plan import Plan
from catlearn.maps.sums.weights import collected, matrices


def push(plan: Plan, x: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """y, and the features of x."""
    x, program = x.contiguous(), plan.passing(True, bias is not None)
    features, scratch = x.new_empty(program.sizes["s"]), x.new_empty(program.sizes["t"])
    y = x.new_empty(*x.shape[: x.dim() - plan.family.order_in - 1], *plan.family.outs, plan.c_out)
    bias = None if bias is None else bias.contiguous()
    program.run(s0=x, s=features, t0=y, t=scratch, w=matrices(plan.family, weight, program.inner), bias=bias)
    return y, features


def pull(
    plan: Plan, x: Tensor | None, weight: Tensor | None, dy: Tensor, features: Tensor | None, wanted: Sequence[bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The gradients of x (needs the weight), weight (needs x) and bias that are wanted; features are computed if none are given."""
    dy, dx, dw, db, mixing = dy.contiguous(), None, None, None, None
    program = plan.passing(False, False, wanted[0], wanted[1]) if wanted[0] or wanted[1] else plan.gathering(False)
    gathered = dy.new_empty(program.sizes["s"])
    if wanted[0] and weight is not None:
        dx = dy.new_empty(*dy.shape[: dy.dim() - plan.family.order_out - 1], *plan.family.ins, plan.c_in)
        mixing = matrices(plan.family, weight, program.inner)
    if wanted[1] and x is not None:
        x = x.contiguous()
        features = gather(plan, x) if features is None or not features.numel() else features
        kind = torch.float32 if dy.dtype in (torch.float16, torch.bfloat16) else dy.dtype
        dw = dy.new_zeros(plan.weights, dtype=kind)
    program.run(s0=dy, s=gathered, t0=dx, t=dy.new_empty(program.sizes.get("t", 0)), f0=x, f=features, w=mixing, d=dw)
    if wanted[2]:
        patterns, start = plan.scalars
        scalars = gathered if plan.family.outs else dy
        scalars = scalars.as_strided(
            (plan.tokens, patterns, plan.c_out), (patterns * plan.c_out, plan.c_out, 1), start + scalars.storage_offset()
        )
        db = scalars.sum(0)[list(plan.skeleton.biases)]
    return dx, dw if dw is None else collected(plan.family, dw, plan.c_in, plan.c_out).to(dy.dtype), db


def gather(plan: Plan, x: Tensor) -> Tensor:
    """The features of x alone."""
    program = plan.gathering(True)
    found = x.new_empty(program.sizes["s"])
    program.run(s0=x, s=found)
    return found
