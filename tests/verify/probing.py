"""Which of many types can be true, at the price of one contraction: a filter before the exact test, which loses none that is true.

If ``moved`` is M₁⊗…⊗Mᵣ of x, then ⟨u₁⊗…⊗uᵣ, moved⟩ = ⟨u₁M₁⊗…⊗uᵣMᵣ, x⟩ for all vectors u. The right side is computed for all choices of
matrices at once, axis after axis. Two tensors that agree up to ε everywhere agree there up to ε ‖u₁‖₁…‖uᵣ‖₁.

>>> from catlearn.verify.types import Factor, Type, plain
>>> S, c = (Factor("X", 3, "S(3)"),), plain(3)
>>> x, g = torch.tensor([1.0, 2.0, 4.0]).double(), Element(1)
>>> probe([[S, c]], x, g.act(Type((S,)), x), g).tolist()
[True, False]
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from catlearn.verify.types import Axis
from tests.verify.numeric import LEAST, Element


@cache
def direction(n: int) -> Tensor:
    """A vector with n entries of no symmetry, always the same."""
    return torch.rand(n, dtype=torch.float64, generator=torch.Generator().manual_seed(n)) + 0.5


def probe(choices: Sequence[Sequence[Axis]], x: Tensor, moved: Tensor, g: Element, sign: float = 1) -> Tensor:
    """For every choice of one axis each, whether ``moved`` can be what g makes of x; true wherever it is, translations left aside."""
    found, wanted, length = x.to(torch.float64), moved.to(torch.float64), 1.0
    if not (found.isfinite().all() and wanted.isfinite().all()):
        return torch.ones([len(axes) for axes in choices], dtype=torch.bool)
    error = 2 * LEAST * (1 + float(found.abs().max()) + float(wanted.abs().max())) if found.numel() else 0.0
    for n, axes in zip(x.shape, choices, strict=True):
        u = direction(n)
        found = torch.tensordot(found, torch.stack([u @ g.along(axis) if axis else u for axis in axes]), ([0], [1]))  # type: ignore[arg-type]
        wanted, length = torch.tensordot(u, wanted, dims=1), length * float(u.sum())
    return (sign * found - wanted).abs() <= error * length


__all__ = ["direction", "probe"]
