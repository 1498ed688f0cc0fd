"""LoRA that starts elsewhere: at a part of W that is taken out of it (PiSSA, OLoRA), or from data (EVA, LoRA-GA).

>>> from catlearn import adapters
>>> adapters.PiSSA(rank=8).formula()
'W + B A - B_{0} A_{0}'
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from catlearn import errors
from catlearn.adapters.definition import Adapter, Place
from catlearn.adapters.low_rank import Ranked
from catlearn.adapters.starts import ZERO, svd
from catlearn.maps.base import Map
from catlearn.maps.leaves import dense


def split(W: Map, s: float, o: int, i: int, r: int) -> Map:
    """W + s·(B·A − B₀·A₀): a branch that starts at what is taken out of W."""
    frozen = dense("A0", r, i, init=ZERO, trainable=False) >> dense("B0", o, r, init=ZERO, trainable=False)
    return W + s * (dense("A", r, i, init=ZERO) >> dense("B", o, r, init=ZERO)) + (-s) * frozen


@dataclass(frozen=True)
class PiSSA(Ranked):
    """W' = (W − s·B₀A₀) + s·BA, where BA starts at the top of W's singular value decomposition: B₀ = U√(Σ/s), A₀ = √(Σ/s)Vᵀ.

    Trained r(o+i); the change has rank 2r at most. Source: Meng et al., arXiv 2404.02948.
    """

    def weight(self, W: Map, o: int, i: Any) -> Map:
        return split(W, self.s, o, i, self.rank)

    def start(self, W: torch.Tensor, at: Place) -> Mapping[str, torch.Tensor]:
        U, sigma, Vh = svd(W, self.rank)
        root = (sigma / self.s).sqrt()
        return {"A": root[:, None] * Vh, "B": U * root, "A0": root[:, None] * Vh, "B0": U * root}


@dataclass(frozen=True)
class OLoRA(Ranked):
    """W' = (W − s·B₀A₀) + s·BA, where BA starts at the first columns and rows of W's QR decomposition.

    Trained r(o+i); the change has rank 2r at most. Source: Büyükakyüz, arXiv 2406.01775.
    """

    def weight(self, W: Map, o: int, i: Any) -> Map:
        return split(W, self.s, o, i, self.rank)

    def start(self, W: torch.Tensor, at: Place) -> Mapping[str, torch.Tensor]:
        Q, R = torch.linalg.qr(W.double())
        A, B = R[: self.rank], Q[:, : self.rank]
        return {"A": A, "B": B, "A0": A, "B0": B}


@dataclass(frozen=True)
class EVA(Ranked):
    """LoRA whose A starts at the main directions of the layer's inputs; B zero. ``adapt(..., data={layer: X})`` gives X (tokens, i).

    The rows of A are orthonormal. The published method also moves ranks between layers: see ``eva_ranks``.
    Source: Paischer et al., arXiv 2410.07170. Sheet id 155.
    """

    def weight(self, W: Map, o: int, i: Any) -> Map:
        return W + self.s * (self.down(i) >> self.up(o))

    def start(self, W: torch.Tensor, at: Place) -> Mapping[str, torch.Tensor]:
        X = given(self, at, (None, W.shape[1]), "inputs (tokens, in)")
        self.needs(X.shape[0] >= self.rank, f"{X.shape[0]} inputs", f"at least {self.rank} inputs")
        return {"A": svd(X, self.rank)[2]}


def eva_ranks(ratios: Mapping[str, Any], rank: int) -> dict[str, int]:
    """EVA's ranks: of all explained-variance ratios of all layers together, the largest rank × (number of layers) are kept.

    >>> eva_ranks({"a": [0.6, 0.3, 0.1], "b": [0.9, 0.05, 0.05], "c": [0.4, 0.35, 0.25]}, 2)
    {'a': 2, 'b': 1, 'c': 3}
    """
    pool = sorted(((float(v), name) for name, values in ratios.items() for v in values), reverse=True)
    kept = [name for _, name in pool[: rank * len(ratios)]]
    return {name: kept.count(name) for name in ratios}


@dataclass(frozen=True)
class LoRAGA(Ranked):
    """LoRA that starts along the gradient G of the loss by W: A₀ = κV₁..ᵣᵀ, B₀ = κU_{r+1..2r} of G's decomposition, κ = o^¼/√γ.

    ``adapt(..., data={layer: G})`` gives G (o, i). The first step of A and B then moves W along G's part of rank 2r:
    B₀B₀ᵀG + G A₀ᵀA₀ = κ²·G_{2r}. W − s·B₀A₀ is the base, so nothing changes at the start; the change has rank 2r at most.
    Source: Wang, Yu and Li, arXiv 2407.05000, and the authors' code (peft's own port scales differently). Sheet id 369.
    """

    gamma: float = 16.0

    def weight(self, W: Map, o: int, i: Any) -> Map:
        return split(W, self.s, o, i, self.rank)

    def check(self, o: int, i: Any) -> None:
        super().check(o, i)
        self.needs(2 * self.rank <= min(o, i), f"rank {self.rank} on a layer {i} → {o}", "a rank of at most half the smaller size")

    def start(self, W: torch.Tensor, at: Place) -> Mapping[str, torch.Tensor]:
        U, _, Vh = svd(given(self, at, tuple(W.shape), "a gradient (out, in)"))
        kappa = W.shape[0] ** 0.25 / self.gamma**0.5
        A, B = kappa * Vh[: self.rank], kappa * U[:, self.rank : 2 * self.rank]
        return {"A": A, "B": B, "A0": A, "B0": B}


def given(adapter: Adapter, at: Place, shape: tuple[int | None, ...], what: str) -> torch.Tensor:
    """The data for a layer, of this shape."""
    data = at.data
    fits = (
        isinstance(data, torch.Tensor) and data.dim() == len(shape) and all(n in (None, m) for n, m in zip(shape, data.shape, strict=True))
    )
    if not fits or not torch.isfinite(data).all():
        shown = tuple(data.shape) if isinstance(data, torch.Tensor) else type(data).__name__
        raise errors.BadAdapter(f"{adapter} starts from data", [f"needed {what}, {shape}, finite", f"given  {shown}"],
                                "cl.adapt(..., data={layer: tensor})")  # fmt: skip
    return data
