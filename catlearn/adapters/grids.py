"""Adapters on a grid of blocks: GraLoRA, MiSS, Bone.

>>> from catlearn import adapters
>>> adapters.GraLoRA(rank=8, k=2).rank_bound(64, 64), adapters.MiSS(rank=64).trainable(768, 768)
(16, 49152)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from catlearn.adapters.definition import Adapter
from catlearn.adapters.low_rank import Ranked
from catlearn.adapters.starts import ZERO, kaiming, read, start
from catlearn.maps.base import Map
from catlearn.maps.batched import blocks
from catlearn.maps.leaves import dense
from catlearn.maps.moves import broadcast, permute, reshape
from catlearn.maps.noise import noise


@dataclass(frozen=True)
class GraLoRA(Ranked):
    """W' = W + s·(B_pq A_pq), k × k blocks of rank r/k each. Trained r(o+i), whatever k; rank at most k·r. k = 1 is LoRA.

    A (k, r, i/k) holds for each input block the factors of all output blocks, B (k, o/k, r) the mirror. k divides o, i and r.
    ``hybrid`` > 0 adds s·B_g A_g of that rank; then s = α/(r + hybrid). Source: Jung et al., arXiv 2505.20355; as in peft. Sheet id 17.
    """

    k: int = 2
    hybrid: int = 0

    def check(self, o: int, i: Any) -> None:
        super().check(o, i)
        self.needs(self.k >= 1 and all(n % self.k == 0 for n in (o, i, self.rank)), f"k = {self.k}, rank {self.rank} on a layer {i} → {o}",
                   "k must divide the sizes and the rank")  # fmt: skip
        self.needs(0 <= self.hybrid <= min(o, i), f"hybrid rank {self.hybrid}", f"from 0 to {min(o, i)}")

    @property
    def s(self) -> float:
        return 1 if self.alpha is None else self.alpha / (self.rank + self.hybrid)

    def weight(self, W: Map, o: int, i: Any) -> Map:
        k, r = self.k, self.rank
        A, B = blocks("A", k, r, i // k, init=kaiming(i // k)), blocks("B", k, o // k, r, init=ZERO)
        swap = reshape((k, r), (k, k, r // k)) >> permute((k, k, r // k), (1, 0, 2)) >> reshape((k, k, r // k), (k, r))
        drop = noise(i, self.dropout)
        found = W + self.s * (drop >> reshape(i, (k, i // k)) >> A >> swap >> B >> reshape((k, o // k), o))
        if self.hybrid:
            found = found + self.s * (
                drop >> dense("A_general", self.hybrid, i, init=kaiming(i)) >> dense("B_general", o, self.hybrid, init=ZERO)
            )
        return found

    def rank_bound(self, o: int, i: Any) -> int:
        return min(o, i, self.k * self.rank + self.hybrid)


@dataclass(frozen=True)
class MiSS(Adapter):
    """W' = W + (D … D): the input is cut in shards of r, summed, and mapped by one D (o × r), zero. Trained o·r; rank at most r.

    ``mini`` > 0: D repeats a block of that many outputs; trained r·mini. Source: Kang and Yin, arXiv 2409.15371; as in peft. Sheet id 105.
    """

    rank: int = 64
    mini: int = 0
    dropout: float = 0.0

    def check(self, o: int, i: Any) -> None:
        self.needs(1 <= self.rank <= i and i % self.rank == 0, f"shards of {self.rank} of {i} inputs", f"a divisor of {i}")
        self.needs(
            self.mini >= 0 and (not self.mini or o % self.mini == 0), f"mini blocks of {self.mini} outputs of {o}", f"a divisor of {o}"
        )

    def weight(self, W: Map, o: int, i: Any) -> Map:
        r, n = self.rank, i // self.rank
        shards = noise(i, self.dropout) >> reshape(i, (n, r)) >> broadcast(r, 0, n).T
        if not self.mini:
            return W + (shards >> dense("D", o, r, init=ZERO))
        m = self.mini
        return W + (shards >> dense("D", m, r, init=ZERO) >> broadcast(m, 0, o // m) >> reshape((o // m, m), o))


@dataclass(frozen=True)
class Bone(Adapter):
    """W'_pq = W_pq + (W_pq + 1)·D_p on r × r blocks, one D_p (zero) for each block of outputs. Trained o·r; full rank can be reached.

    r divides o and i. Published as Bone, in peft as MiSS with ``init_weights="bat"``. Source: Kang and Yin, arXiv 2409.15371.
    Sheet id 105.
    """

    rank: int = 64

    def check(self, o: int, i: Any) -> None:
        r = self.rank
        self.needs(r >= 1 and o % r == 0 and i % r == 0, f"blocks of {r} on a layer {i} → {o}", "a common divisor of both sizes")

    def weight(self, W: Map, o: int, i: Any) -> Map:
        r = self.rank

        def added(W: torch.Tensor, D: torch.Tensor) -> torch.Tensor:
            """W_pq·D_p + D_p for every block."""
            cut = W.reshape(o // r, r, i // r, r)
            return (torch.einsum("paqc,pcb->paqb", cut, D) + D[:, :, None]).reshape(o, i)

        return W + dense("change", o, i, init=read(added, (o, i), "W", D=start((o // r, r, r))))
