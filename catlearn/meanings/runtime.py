"""What generated code may call: torch, and the helpers of the boxes that need more than one expression."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from catlearn.meanings.kernels import KERNELS
from catlearn.meanings.opaque import OPAQUE
from catlearn.meanings.positions import POSITIONS


def vjp(f: Callable[..., Any], args: tuple[Any, ...], dys: tuple[Any, ...], wanted: Sequence[int]) -> tuple[Any, ...]:
    """Torch's autograd on one box: the cotangents of the wanted arguments, differentiable in their turn where gradients are on."""
    again = torch.is_grad_enabled() and any(t.requires_grad for t in (*args, *dys))
    with torch.enable_grad():
        # views, so that one tensor given twice has two cotangents
        inputs = [a.view_as(a) if again and a.requires_grad else a.detach().requires_grad_(i in wanted) for i, a in enumerate(args)]
        ys = f(*inputs)
        ys = [y for y in (ys if isinstance(ys, tuple | list) else (ys,)) if y.is_floating_point()]
        pairs = [(y, dy) for y, dy in zip(ys, dys, strict=True) if y.requires_grad]
        outs, seeds, sources = [y for y, _ in pairs], [dy for _, dy in pairs], [inputs[i] for i in wanted]
        grads = torch.autograd.grad(outs, sources, seeds, allow_unused=True, create_graph=again) if pairs else [None] * len(wanted)
    return tuple(torch.zeros_like(inputs[i]) if g is None else g for i, g in zip(wanted, grads, strict=True))


NAMESPACE: dict[str, Any] = {"torch": torch, "F": F, "aten": torch.ops.aten, "checkpoint": checkpoint, "vjp": vjp}
NAMESPACE |= {"inf": float("inf"), "nan": float("nan")}  # as repr writes them
NAMESPACE |= {**KERNELS, **OPAQUE, **POSITIONS}
