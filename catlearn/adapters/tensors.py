"""Adapters on tensors: Tucker, canonical polyadic, convolutional, tensor-ring. A matrix is a tensor of two axes.

These see a convolution's weight as it is, (out, in, *kernel), and write the change as a diagram of its factors.

>>> from catlearn import adapters
>>> adapters.CPLoRA(rank=4).trainable(64, (32, 3, 3)), adapters.ConvLoRA(rank=2).trainable(4, (3, 3, 3))
(408, 126)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from catlearn.adapters.definition import Adapter, Place
from catlearn.adapters.starts import ZERO, kaiming, normal, read, start
from catlearn.maps.algebra import tensor
from catlearn.maps.base import Map
from catlearn.maps.given import size
from catlearn.maps.leaves import dense


def shape(i: Any) -> tuple[int, ...]:
    """The input side as a tuple."""
    return (i,) if isinstance(i, int) else tuple(i)


@dataclass(frozen=True)
class FLoRA(Adapter):
    """ΔW = s·G ×₁U₁ ×₂U₂ … on a weight of any order: a Tucker core, zero, and one factor for each axis. Trained Πrₙ + Σdₙrₙ.

    ``ranks``: one for each axis (out, in, *kernel), or one number, cut to each axis. Unfolding n has rank at most rₙ. s is a constant.
    Factors start normal with deviation √(½/rₙ) (``kaiming_normal_(a=√3)`` on dₙ × rₙ). Source: Si et al., arXiv 2405.14739. Sheet id 23.
    """

    ranks: int | tuple[int, ...] = 8
    s: float = 1.0
    flat = False

    def each(self, o: int, i: Any) -> tuple[int, ...]:
        """The rank of each axis."""
        axes = (o, *shape(i))
        return tuple(min(self.ranks, n) for n in axes) if isinstance(self.ranks, int) else tuple(self.ranks)

    def check(self, o: int, i: Any) -> None:
        axes, ranks = (o, *shape(i)), self.each(o, i)
        self.needs(len(ranks) == len(axes) and all(1 <= r <= n for r, n in zip(ranks, axes, strict=False)), f"ranks {ranks} of axes {axes}",
                   "one rank for each axis, from 1 to its size")  # fmt: skip

    def weight(self, W: Map, o: int, i: Any) -> Map:
        (out, *inner), axes = self.each(o, i), shape(i)
        down = tensor(*(dense(f"U_{k}", r, n, init=normal((0.5 / r) ** 0.5)) for k, (r, n) in enumerate(zip(inner, axes, strict=True), 1)))
        return W + self.s * (down >> dense("G", out, tuple(inner), init=ZERO) >> dense("U_0", o, out, init=normal((0.5 / out) ** 0.5)))


@dataclass(frozen=True)
class CPLoRA(Adapter):
    """ΔW = s·Σ_q a_q ∘ b_q ∘ e_q ∘ f_q: a canonical polyadic sum of r terms. Trained r(o + c + Σ kernel); the factor of the output zero.

    As a convolution: 1 × 1, then one axis of the kernel after the other, then 1 × 1. Source: the standard form, used for segmentation by
    Delgado-López et al.; which factor starts at 0 is our choice. Sheet id 55.
    """

    rank: int = 8
    s: float = 1.0
    flat = False

    def check(self, o: int, i: Any) -> None:
        self.needs(self.rank >= 1, f"rank {self.rank}", "a rank of at least 1")

    def weight(self, W: Map, o: int, i: Any) -> Map:
        axes, r = shape(i), self.rank

        def outer(*factors: torch.Tensor) -> torch.Tensor:
            """The products of one column of each factor, (r, *axes)."""
            found = factors[0]
            for f in factors[1:]:
                found = found.unsqueeze(-1) * f.reshape(r, *[1] * (found.dim() - 1), -1)
            return found

        sources = {f"F_{k}": start((r, n), kaiming(axes[0]) if k == 1 else normal(n**-0.5)) for k, n in enumerate(axes, 1)}
        inner = dense("F", r, axes, init=read(outer, (r, *axes), **sources))
        return W + self.s * (inner >> dense("F_0", o, r, init=ZERO))


@dataclass(frozen=True)
class ConvLoRA(Adapter):
    """ΔW = s·reshape(BA → (o, c, k, k)), A (rk × ck), B (ok × rk): row-major. Trained rk²(c + o); for a matrix (k = 1) it is LoRA.

    A uniform, B zero, s = α/r. The (ok) × (ck) matrix has rank rk at most; as an o × ck² matrix the change may have a larger rank.
    Source: Aleem et al., arXiv 2402.04964, after loralib. Sheet id 187.
    """

    rank: int = 2
    alpha: float | None = None
    flat = False

    def check(self, o: int, i: Any) -> None:
        self.needs(self.rank >= 1, f"rank {self.rank}", "a rank of at least 1")
        self.needs(len(set(shape(i)[1:])) <= 1, f"a kernel {shape(i)[1:]}", "a kernel of equal sides")

    def weight(self, W: Map, o: int, i: Any) -> Map:
        c, *kernel = axes = shape(i)
        k = kernel[0] if kernel else 1
        s, rows = (1 if self.alpha is None else self.alpha / self.rank), self.rank * k
        wide = o * k if len(kernel) > 1 else o  # B has a row for each output and one kernel axis, if there are two
        deep = c * size(axes[1:]) * o // wide

        def folded(A: torch.Tensor, B: torch.Tensor) -> torch.Tensor:
            return (B @ A).reshape(o, *axes)

        change = dense("change", o, axes, init=read(folded, (o, *axes), A=start((rows, deep), kaiming(deep)), B=start((wide, rows))))
        return W + s * change

    def rank_bound(self, o: int, i: Any) -> int:
        return min(o, size(shape(i)), self.rank) if len(shape(i)) == 1 else min(o, size(shape(i)))


@dataclass(frozen=True)
class TLoRA(Adapter):
    """W' = W·T + Δ: a tensor-ring matrix T on the inputs and a tensor-ring Δ, on i = ΠI_d, o = ΠJ_d. Trained R²ΣI_d² + R²Σ(I_d + J_d).

    T = tr(A¹[i₁, j₁]⋯A^D[i_D, j_D]) starts as the identity exactly: every A^d[:, :, r, r'] is 1/R. Δ = tr(B¹[j₁]⋯C¹[i₁]⋯) starts at 0, by
    B¹ = 0; rank at most R². Indices are little-endian. ``inputs`` and ``outputs`` are the factorisations. Source: Tao et al., notes.
    Sheet id 113.
    """

    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()
    rank: int = 2

    def check(self, o: int, i: Any) -> None:
        self.needs(len(self.inputs) > 0 and math.prod(self.inputs) == i, f"inputs {self.inputs} of {i}", f"sizes whose product is {i}")
        self.needs(len(self.outputs) > 0 and math.prod(self.outputs) == o, f"outputs {self.outputs} of {o}", f"sizes whose product is {o}")
        self.needs(self.rank >= 1, f"rank {self.rank}", "a rank of at least 1")

    def weight(self, W: Map, o: int, i: Any) -> Map:
        R, n, m = self.rank, self.inputs, self.outputs

        def ring(*cores: torch.Tensor) -> torch.Tensor:
            """tr of the product of cores (n_d, R, R), as a tensor (n_1, …, n_D)."""
            found = cores[0]
            for core in cores[1:]:
                found = torch.einsum("apq,bqr->abpr", found, core).flatten(0, 1)
            return torch.einsum("app->a", found).reshape([len(core) for core in cores])

        def turned(*cores: torch.Tensor) -> torch.Tensor:
            full = ring(*(core.flatten(0, 1) for core in cores)).reshape([k for size in n for k in (size, size)])
            return full.permute([*range(2 * len(n) - 2, -1, -2), *range(2 * len(n) - 1, -1, -2)]).reshape(i, i)  # first index fastest

        def added(*cores: torch.Tensor) -> torch.Tensor:
            full = ring(*cores)
            return full.permute([*range(len(m) - 1, -1, -1), *range(full.dim() - 1, len(m) - 1, -1)]).reshape(o, i)

        matrices = {f"A_{d}": start((n, n, R, R)) for d, n in enumerate(self.inputs, 1)}
        std = 1 / R**0.5
        vectors = {f"B_{d}": start((n, R, R), ZERO if d == 1 else normal(std)) for d, n in enumerate(self.outputs, 1)}
        vectors |= {f"C_{d}": start((n, R, R), normal(std)) for d, n in enumerate(self.inputs, 1)}
        T = dense("T", i, i, init=read(turned, (i, i), **matrices))
        return (T >> W) + dense("Delta", o, i, init=read(added, (o, i), **vectors))

    def start(self, W: torch.Tensor, at: Place) -> Mapping[str, torch.Tensor]:
        R = self.rank
        return {f"A_{d}": torch.eye(n)[:, :, None, None].expand(n, n, R, R) / R for d, n in enumerate(self.inputs, 1)}
