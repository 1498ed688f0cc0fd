"""Adapters whose trained numbers are diagonals: between frozen random factors (VeRA, RandLoRA), or on W itself (IA3).

>>> from catlearn import adapters
>>> adapters.VeRA(rank=256).trainable(4096, 4096), adapters.RandLoRA(rank=32).trainable(1024, 4096)
(4352, 33792)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from catlearn.adapters.definition import Adapter, Place
from catlearn.adapters.starts import ONE, ZERO, kaiming, read, start
from catlearn.core.op import Init, Param
from catlearn.maps.base import Map
from catlearn.maps.leaves import dense, diagonal
from catlearn.maps.noise import noise


@dataclass(frozen=True)
class VeRA(Adapter):
    """W' = W + diag(b)·B·diag(d)·A: A, B random, frozen, shared by all layers and cut to their sizes. Trained o + r; d = 0.1, b = 0.

    A is r × max(i), B is max(o) × r over the adapted layers, uniform with bound √6/√(columns). No scale.
    Source: Kopiczko, Blankevoort and Asano, arXiv 2310.11454; cut as in peft. Sheet id 269.
    """

    rank: int = 256
    d: float = 0.1
    dropout: float = 0.0

    def check(self, o: int, i: Any) -> None:
        self.needs(self.rank >= 1, f"rank {self.rank}", "a rank of at least 1")

    def shared(self, places: Sequence[Place]) -> Mapping[str, Param]:
        I, O, r = max(at.i for at in places), max(at.o for at in places), self.rank
        return {"A": start((r, I), kaiming(I, 6**0.5), False), "B": start((O, r), kaiming(r, 6**0.5), False)}

    def weight(self, W: Map, o: int, i: Any) -> Map:
        r = self.rank
        A = dense("A", r, i, init=read(lambda A: A[:, :i], (r, i), "shared.A"), trainable=False)
        B = dense("B", o, r, init=read(lambda B: B[:o], (o, r), "shared.B"), trainable=False)
        inner = diagonal("d", r, init=Init("constant", (self.d,)))
        return W + (noise(i, self.dropout) >> A >> inner >> B >> diagonal("b", o, init=ZERO))


@dataclass(frozen=True)
class RandLoRA(Adapter):
    """W' = W + s·Σₙ Bₙ·diag(λₙ)·A·diag(γₙ), N = ⌈min(o, i)/r⌉: full rank from frozen random bases, shared by all layers. Trained N(r + m).

    Written for i = m = min(o, i); for o < i the sum is transposed. A and B are uniform, scaled to deviation 1; λ = 0, γ = 1/max(N, m);
    s = α/r, α = 20r. A smaller rank has *more* parameters. Source: Albert et al., arXiv 2502.00987; as in peft. Sheet id 97.
    """

    rank: int = 32
    alpha: float = 640.0
    dropout: float = 0.0

    def check(self, o: int, i: Any) -> None:
        self.needs(1 <= self.rank <= min(o, i), f"rank {self.rank} on a layer {i} → {o}", f"a rank from 1 to {min(o, i)}")

    def shared(self, places: Sequence[Place]) -> Mapping[str, Param]:
        r, small, large = self.rank, max(min(at.o, at.i) for at in places), max(max(at.o, at.i) for at in places)
        unit = Init("uniform", (-(3**0.5), 3**0.5))  # deviation 1
        return {"A": start((r, small), unit, False), "B": start((large, -(-small // r), r), unit, False)}

    def weight(self, W: Map, o: int, i: Any) -> Map:
        r, m, M = self.rank, min(o, i), max(o, i)
        N = -(-m // r)

        def spread(A: torch.Tensor, values: torch.Tensor, gamma: torch.Tensor) -> torch.Tensor:
            """diag(λₙ)·A·diag(γₙ) for each n, entry by entry."""
            return values[:, :, None] * A[:, :m] * gamma[:, None]

        sources = {"lambda": start((N, r)), "gamma": start((N, m), Init("constant", (1 / max(N, m),)))}
        inner = dense("C", (N, r), m, init=read(spread, (N, r, m), "shared.A", **sources))
        branch = inner >> dense("B", M, (N, r), init=read(lambda B: B[:M, :N], (M, N, r), "shared.B"), trainable=False)
        s = self.alpha / r
        return W + s * (noise(i, self.dropout) >> (branch if i <= o else branch.T))


@dataclass(frozen=True)
class IA3(Adapter):
    """W' = diag(l)·W, the bias gained too; or W·diag(l) on the inputs (``side="in"``, for feed-forward layers). Trained o (or i); l = 1.

    Source: Liu et al., arXiv 2205.05638.
    """

    side: str = "out"

    def check(self, o: int, i: Any) -> None:
        self.needs(self.side in ("out", "in"), f"side={self.side!r}", "side='out' or 'in'")

    def weight(self, W: Map, o: int, i: Any) -> Map:
        return W >> diagonal("l", o, init=ONE) if self.side == "out" else diagonal("l", i, init=ONE) >> W

    def bias(self, b: Map, o: int, i: Any) -> Map:
        return b >> diagonal("l", o, init=ONE) if self.side == "out" else b
