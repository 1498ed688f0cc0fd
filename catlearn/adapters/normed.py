"""Adapters that part a weight into lengths and directions: DoRA and its kin. The norm is never taken of a matrix written out.

>>> from catlearn import adapters
>>> adapters.DoRA(rank=8).trainable(768, 768), adapters.DoRA(rank=8).describe(40, 60)[:47]
(13056, 'DoRA: (W + A >> B) >> row_norm(W + A >> B, -1) ')
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from catlearn.adapters.definition import Adapter, Place
from catlearn.adapters.low_rank import Ranked
from catlearn.adapters.starts import ZERO, kaiming, normal, read, start, svd
from catlearn.core.op import Init
from catlearn.maps.algebra import column_norm, row_norm
from catlearn.maps.base import Map
from catlearn.maps.leaves import dense, diagonal, identity
from catlearn.maps.noise import noise


@dataclass(frozen=True)
class DoRA(Ranked):
    """W' = diag(m)·V/‖V‖, V = W + s·B·A, norms of rows, taken as constants in the backward pass. Trained r(o+i) + o.

    m starts at W's norms. ``dropout`` acts on the branch alone, diag(m)/‖V‖·(Wx + s·BA·drop(x)): one product with W; peft's definition,
    Wx + (W' − W)·drop(x), needs two and is ``exact_dropout=True``. Source: Liu et al., arXiv 2402.09353.
    """

    exact_dropout: bool = False

    def weight(self, W: Map, o: int, i: Any) -> Map:
        A, B = dense("A", self.rank, i, init=kaiming(i)), self.up(o)
        V = W + self.s * (A >> B)
        lengths = row_norm(V, -1, constant=True) >> diagonal("m", o)
        if self.exact_dropout and self.dropout:
            change = (W >> (lengths + (-1) * identity(o))) + (self.s * (A >> B) >> lengths)  # W' − W
            return W + (noise(i, self.dropout) >> change)
        return (W + self.s * (noise(i, self.dropout) >> A >> B)) >> lengths

    def start(self, W: torch.Tensor, at: Place) -> Mapping[str, torch.Tensor]:
        return {"m": W.double().norm(dim=1)}

    def rank_bound(self, o: int, i: Any) -> int:
        return min(o, i)


@dataclass(frozen=True)
class BoRA(Ranked):
    """DoRA on both sides: H = diag(m_r)·V/‖V‖_rows, W' = H/‖H‖_columns·diag(m_c), V = W + s·B·A. Trained r(o+i) + o + i.

    Rows first, then columns; norms are constants in the backward pass; W' does not change with V ↦ cV. m_r and m_c start at W's norms of
    rows and columns, so W' = W. Source: notes on *BoRA: Bi-dimensional weight-decomposed low-rank adaptation*. Sheet id 37.
    """

    def weight(self, W: Map, o: int, i: Any) -> Map:
        V = W + self.s * (dense("A", self.rank, i, init=kaiming(i)) >> self.up(o))
        H = V >> row_norm(V, -1, constant=True) >> diagonal("m_r", o)
        return diagonal("m_c", i) >> column_norm(H, -1, constant=True) >> H

    def start(self, W: torch.Tensor, at: Place) -> Mapping[str, torch.Tensor]:
        return {"m_r": W.double().norm(dim=1), "m_c": W.double().norm(dim=0)}

    def check(self, o: int, i: Any) -> None:
        super().check(o, i)
        self.needs(not self.dropout, "dropout", "dropout=0: the paper defines none")

    def rank_bound(self, o: int, i: Any) -> int:
        return min(o, i)


@dataclass(frozen=True)
class EDoRA(Ranked):
    """W' = diag(m)·V/‖V‖_rows, V = W + s·B·R·A with frozen A = ΣVᵀ, B = U of W's top r; R normal with deviation 1e-5. Trained r² + o.

    ``sigma``: on which side Σ stands, ``"in"`` as published, ``"out"``, or ``"both"`` (√Σ each); the gradients of R differ.
    Source: Nasiri and Garraghan, arXiv 2501.12067, and the authors' code. Sheet id 99.
    """

    sigma: str = "in"
    identity_at_init = False  # R is drawn, though small

    def check(self, o: int, i: Any) -> None:
        super().check(o, i)
        self.needs(self.sigma in ("in", "out", "both"), f"sigma={self.sigma!r}", "sigma='in', 'out' or 'both'")

    def weight(self, W: Map, o: int, i: Any) -> Map:
        r = self.rank
        A, B = dense("A", r, i, init=ZERO, trainable=False), dense("B", o, r, init=ZERO, trainable=False)
        R = dense("R", r, r, init=normal(1e-5))
        V = W + self.s * (A >> R >> B)
        return (W + self.s * (noise(i, self.dropout) >> A >> R >> B)) >> row_norm(V, -1, constant=True) >> diagonal("m", o)

    def start(self, W: torch.Tensor, at: Place) -> Mapping[str, torch.Tensor]:
        return {**frames(W, self.rank, self.sigma), "m": W.double().norm(dim=1)}

    def rank_bound(self, o: int, i: Any) -> int:
        return min(o, i)


def frames(W: torch.Tensor, r: int, sigma: str) -> dict[str, torch.Tensor]:
    """A and B of W's top r, Σ on the side of the inputs, of the outputs, or √Σ on both."""
    U, values, Vh = svd(W, r)
    inner, outer = {"in": (values, 1.0), "out": (torch.ones_like(values), values), "both": (values.sqrt(), values.sqrt())}[sigma]
    return {"A": inner[:, None] * Vh, "B": U * outer}


@dataclass(frozen=True)
class DeLoRA(Adapter):
    """W' = W + B·diag(λ/(r‖b_k‖‖a_k‖))·A·diag(w), w the norms of W's columns: strength λ and angle apart. Trained r(o+i) + 1.

    ‖B D A‖_F ≤ λ, and b_k ↦ c·b_k changes nothing. B starts at 0 and norms are at least 1e-4, as in peft; with ``frozen_copy`` the branch
    at its start is subtracted instead, as the authors do, and the rank is at most 2r. Source: Bini, Girrbach and Akata, arXiv 2503.18225.
    Sheet id 171.
    """

    rank: int = 8
    strength: float = 15.0
    frozen_copy: bool = False

    def check(self, o: int, i: Any) -> None:
        self.needs(1 <= self.rank <= min(o, i), f"rank {self.rank} on a layer {i} → {o}", f"a rank from 1 to {min(o, i)}")

    def branch(self, o: int, i: int, end: str, trainable: bool) -> Map:
        """One branch; both have the same λ."""
        r, A, B = self.rank, f"A{end}", f"B{end}"

        def scale(a: torch.Tensor, b: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
            return strength / r / (a.norm(dim=1).clamp(min=1e-4) * b.norm(dim=0).clamp(min=1e-4))

        middle = diagonal(f"d{end}", r, init=read(scale, (r,), A, B, strength=start((1,), Init("constant", (self.strength,)))))
        up = dense(B, o, r, init=kaiming(r) if self.frozen_copy else ZERO, trainable=trainable)
        down = dense(A, r, i, init=kaiming(i), trainable=trainable)
        return diagonal("w", i, trainable=False) >> down >> middle >> up

    def weight(self, W: Map, o: int, i: Any) -> Map:
        if not self.frozen_copy:
            return W + self.branch(o, i, "", True)
        return W + self.branch(o, i, "", True) + (-1) * self.branch(o, i, "0", False)

    def start(self, W: torch.Tensor, at: Place) -> Mapping[str, torch.Tensor]:
        found = {"w": W.double().norm(dim=0)}
        if self.frozen_copy:
            o, i = W.shape
            A = torch.empty(self.rank, i).uniform_(-(i**-0.5), i**-0.5, generator=at.generator("A"))
            B = torch.empty(o, self.rank).uniform_(-(self.rank**-0.5), self.rank**-0.5, generator=at.generator("B"))
            found |= {"A": A, "A0": A, "B": B, "B0": B}
        return found
