"""Adapters by products of matrices: Hadamard (LoHa, HiRA) and Kronecker (LoKr, SoKA), never formed where the plan can avoid it.

>>> from catlearn import adapters
>>> factors(768), adapters.LoKr(rank=8).describe(16, 16)
((24, 32), 'LoKr: W + reshape >> w1 ⊗ w2 >> reshape; 32 trained numbers and a change of rank 16 at most for a layer 16 → 16')
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from catlearn.adapters.definition import Adapter, Place
from catlearn.adapters.low_rank import Ranked
from catlearn.adapters.starts import ZERO, kaiming, normal, svd
from catlearn.maps.algebra import add, hadamard
from catlearn.maps.base import Map
from catlearn.maps.leaves import dense
from catlearn.maps.moves import reshape
from catlearn.maps.noise import noise


@dataclass(frozen=True)
class LoHa(Ranked):
    """W' = W + s·(B₁A₁) ∘ (B₂A₂), entry by entry. Trained 2r(o+i); rank at most r². A₁, A₂ normal, B₁ normal with deviation 0.1, B₂ zero.

    Source: Hyeon-Woo, Ye-Bin and Oh, arXiv 2108.06098; the starts as in LyCORIS.
    """

    def weight(self, W: Map, o: int, i: Any) -> Map:
        r, drop = self.rank, noise(i, self.dropout)
        one = dense("A_1", r, i, init=normal(1.0)) >> dense("B_1", o, r, init=normal(0.1))
        two = dense("A_2", r, i, init=normal(1.0)) >> dense("B_2", o, r, init=ZERO)
        return W + self.s * (drop >> hadamard(one, two))


@dataclass(frozen=True)
class HiRA(Ranked):
    """W' = W + s·W ∘ (BA). Trained r(o+i); full rank can be reached. A uniform, B zero; peft has no scale (s = 1).

    Source: Huang et al., ICLR 2025; as in peft.
    """

    def weight(self, W: Map, o: int, i: Any) -> Map:
        low = dense("A", self.rank, i, init=kaiming(i)) >> self.up(o)
        return W + self.s * (noise(i, self.dropout) >> hadamard(W, low))

    def rank_bound(self, o: int, i: Any) -> int:
        return min(o, i)


def factors(n: int, near: int = -1) -> tuple[int, int]:
    """Two factors of n, the smaller first: as near to each other as they can be, or the smaller at most ``near``.

    >>> factors(127), factors(128, 4), factors(256)
    ((1, 127), (4, 32), (16, 16))
    """
    if near > 0 and n % near == 0:
        return near, n // near
    limit = n if near == -1 else near
    best = max(m for m in range(1, int(n**0.5) + 1) if n % m == 0 and m <= max(1, limit))
    return best, n // best


@dataclass(frozen=True)
class LoKr(Ranked):
    """W' = W + s·C ⊗ (BA): C is o₁ × i₁, BA is o₂ × i₂ of rank r, o = o₁o₂, i = i₁i₂. Trained o₁i₁ + r(o₂ + i₂); C zero.

    ``factor`` bounds o₁ and i₁ (−1: near the square root), or is the pair of both. Where r ≥ max(o₂, i₂)/2 the second factor is one
    matrix, as in LyCORIS.
    Source: Edalati et al., arXiv 2212.10650; Yeh et al., arXiv 2309.14859.
    """

    factor: int | tuple[int, int] = -1

    def check(self, o: int, i: Any) -> None:
        self.needs(self.rank >= 1, f"rank {self.rank}", "a rank of at least 1")
        pair = self.factor if isinstance(self.factor, tuple) else (self.factor, self.factor)
        self.needs(len(pair) == 2 and all(n == -1 or n >= 1 for n in pair), f"factor {self.factor}", "−1, or a number of at least 1")
        fits = pair is not self.factor or (min(pair) >= 1 and o % pair[0] == 0 == i % pair[1])
        self.needs(fits, f"factor {self.factor} on a layer {i} → {o}", "a divisor of each size")

    def factored(self, o: int, i: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """(o₁, o₂) and (i₁, i₂)."""
        if isinstance(self.factor, tuple):
            return (self.factor[0], o // self.factor[0]), (self.factor[1], i // self.factor[1])
        return factors(o, self.factor), factors(i, self.factor)

    def weight(self, W: Map, o: int, i: Any) -> Map:
        ((o1, o2), (i1, i2)), r = self.factored(o, i), self.rank
        if r < max(o2, i2) / 2:
            second = dense("w2_b", r, i2, init=kaiming(i2)) >> dense("w2_a", o2, r, init=kaiming(r))
        else:
            second = dense("w2", o2, i2, init=kaiming(i2))
        first = dense("w1", o1, i1, init=ZERO)
        return W + self.s * (noise(i, self.dropout) >> reshape(i, (i1, i2)) >> (first @ second) >> reshape((o1, o2), o))

    def rank_bound(self, o: int, i: Any) -> int:
        (o1, o2), (i1, i2) = self.factored(o, i)
        return min(o1, i1) * min(o2, i2, self.rank if self.rank < max(o2, i2) / 2 else o2)


@dataclass(frozen=True)
class SoKA(Adapter):
    """W' = W + Σₖ (Aₖ ⊗ Bₖ − Aₖ⁰ ⊗ Bₖ⁰), started at the best sum of r Kronecker products for W. Trained r(a₁a₂ + b₁b₂).

    The start is the singular value decomposition of W's rearrangement, rows the blocks (Van Loan and Pitsianis, 1993). Kronecker rank at
    most min(a₁a₂, b₁b₂). That W, and not a given change, is decomposed is our reading of the abstract. Source: Wang et al., *SoKA*, 2025.
    Sheet id 263.
    """

    rank: int = 8

    def check(self, o: int, i: Any) -> None:
        (a1, b1), (a2, b2) = factors(o), factors(i)
        top = min(a1 * a2, b1 * b2)
        self.needs(1 <= self.rank <= top, f"{self.rank} Kronecker products for a layer {i} → {o}", f"from 1 to {top}")

    def terms(self, o: int, i: int, end: str, trainable: bool) -> Map:
        """Σₖ Aₖ ⊗ Bₖ."""
        (a1, b1), (a2, b2) = factors(o), factors(i)

        def factor(letter: str, k: int, rows: int, columns: int) -> Map:
            return dense(f"{letter}{end}_{k}", rows, columns, init=ZERO, trainable=trainable)

        inner = add(*(factor("A", k, a1, a2) @ factor("B", k, b1, b2) for k in range(self.rank)))
        return reshape(i, (a2, b2)) >> inner >> reshape((a1, b1), o)

    def weight(self, W: Map, o: int, i: Any) -> Map:
        return W + self.terms(o, i, "", True) + (-1) * self.terms(o, i, "0", False)

    def start(self, W: torch.Tensor, at: Place) -> Mapping[str, torch.Tensor]:
        (a1, b1), (a2, b2) = factors(at.o), factors(at.i)
        U, sigma, Vh = svd(kronecker_rows(W, a1, b1, a2, b2), self.rank)
        found = {}
        for k in range(self.rank):
            root = sigma[k].sqrt()
            for end in ("", "0"):
                found[f"A{end}_{k}"] = (root * U[:, k]).reshape(a1, a2)
                found[f"B{end}_{k}"] = (root * Vh[k]).reshape(b1, b2)
        return found

    def rank_bound(self, o: int, i: Any) -> int:
        return min(o, i)


def kronecker_rows(W: torch.Tensor, a1: int, b1: int, a2: int, b2: int) -> torch.Tensor:
    """The rearrangement whose rank is the number of Kronecker products that W needs: row (j, k) is block (j, k) of W.

    >>> int(torch.linalg.matrix_rank(kronecker_rows(torch.kron(torch.ones(2, 3), torch.ones(4, 5)), 2, 4, 3, 5)))
    1
    """
    return W.reshape(a1, b1, a2, b2).permute(0, 2, 1, 3).reshape(a1 * a2, b1 * b2)
