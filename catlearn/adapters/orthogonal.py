"""Multiplicative and orthogonal adapters: W is turned, not shifted.

>>> import torch
>>> R = cayley(torch.randn(5, 6, generator=torch.Generator().manual_seed(0)), 4)
>>> torch.allclose(R @ R.mT, torch.eye(4).expand(5, 4, 4), atol=1e-5)
True
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from catlearn.adapters.definition import Adapter, Place
from catlearn.adapters.starts import ONE, ZERO, kaiming, read, start, svd
from catlearn.maps.base import Map
from catlearn.maps.batched import blocks
from catlearn.maps.leaves import dense, diagonal, identity
from catlearn.maps.moves import permutation, reshape
from catlearn.maps.reflections import reflection


def skew(upper: torch.Tensor, n: int) -> torch.Tensor:
    """Skew-symmetric matrices (..., n, n) from their entries above the diagonal (..., n(n−1)/2), row by row."""
    rows, columns = torch.triu_indices(n, n, 1, device=upper.device)
    full = upper.new_zeros((*upper.shape[:-1], n * n)).index_copy(-1, rows * n + columns, upper).unflatten(-1, (n, n))
    return full - full.mT


def cayley(upper: torch.Tensor, n: int) -> torch.Tensor:
    """(1 − Q)(1 + Q)⁻¹ for Q = skew(upper): orthogonal to rounding, not by a cut series.

    It is 2(1 + Q)⁻¹ − 1, and the gradient of an inverse is two products, where that of a solve is another solve. The inverse is as good,
    since no singular value of 1 + Q is below 1.
    """
    Q = skew(single(upper), n)
    one = torch.eye(n, dtype=Q.dtype, device=Q.device)
    return (2 * torch.linalg.inv(one + Q) - one).to(upper.dtype)


@dataclass(frozen=True)
class HRA(Adapter):
    """W' = W·H₁⋯Hᵣ, Householder reflections H = 1 − 2ûûᵀ of the inputs. Trained r·i; the change has rank r at most.

    The vectors start in equal pairs, so that nothing changes (an odd r would change W). ``orthonormal``: the vectors are made orthonormal
    first, by Gram and Schmidt. Source: Yuan et al., arXiv 2405.17484. Sheet id 53.
    """

    rank: int = 8
    orthonormal: bool = False

    def check(self, o: int, i: Any) -> None:
        self.needs(1 <= self.rank <= i, f"{self.rank} reflections of R^{i}", f"from 1 to {i} reflections")
        self.needs(self.rank % 2 == 0, f"{self.rank} reflections", "an even number, so that pairs cancel at the start")
        self.needs(not self.orthonormal or self.rank <= i, "more orthonormal vectors than dimensions")

    def weight(self, W: Map, o: int, i: Any) -> Map:
        if self.orthonormal:
            rows = dense("Q", self.rank, i, init=read(gram_schmidt, (self.rank, i), u=start((self.rank, i), kaiming(i))))
            return (identity(i) + (-2) * (rows >> rows.T)) >> W
        return reflection("u", i, count=self.rank, init=kaiming(i)) >> W

    def start(self, W: torch.Tensor, at: Place) -> Mapping[str, torch.Tensor]:
        if self.orthonormal:
            return {}
        bound = W.shape[1] ** -0.5
        half = torch.empty(self.rank // 2, W.shape[1]).uniform_(-bound, bound, generator=at.generator("u"))
        return {"u": half.repeat_interleave(2, 0)}

    @property
    def identity_at_init(self) -> bool:  # type: ignore[override]
        return not self.orthonormal


def gram_schmidt(rows: torch.Tensor) -> torch.Tensor:
    """Orthonormal rows with the same flags of spans, by QR with a positive diagonal."""
    Q, R = torch.linalg.qr(single(rows).mT)
    return (Q * R.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)).mT.to(rows.dtype)


def single(t: torch.Tensor) -> torch.Tensor:
    """At least single precision: in half of it torch solves no equations, and what is orthogonal would not be."""
    return t.float() if t.dtype in (torch.float16, torch.bfloat16) else t


@dataclass(frozen=True)
class OFT(Adapter):
    """W' = W·diag(R₁, …, R_n)ᵀ, blocks R = (1 − Q)(1 + Q)⁻¹ of size b on the inputs. Trained (i/b)·b(b−1)/2; Q zero.

    ``block`` must divide i. Exactly orthogonal; peft's default cuts the series of the inverse and is not (see docs).
    ``share``: one block for all. Source: Qiu et al., arXiv 2306.07280; input side as in OFTv2, arXiv 2506.19847.
    """

    block: int = 32
    share: bool = False

    def check(self, o: int, i: Any) -> None:
        self.needs(2 <= self.block <= i and i % self.block == 0, f"blocks of {self.block} on {i} inputs", f"a divisor of {i}, from 2 on")

    def weight(self, W: Map, o: int, i: Any) -> Map:
        b, n = self.block, i // self.block

        def turned(Q: torch.Tensor) -> torch.Tensor:
            return cayley(Q, b).mT.expand(n, b, b)

        R = blocks("R", n, b, b, init=read(turned, (n, b, b), Q=start((1 if self.share else n, b * (b - 1) // 2))))
        return reshape(i, (n, b)) >> R >> reshape((n, b), i) >> W


@dataclass(frozen=True)
class BOFT(Adapter):
    """W' = diag(s)·W·B₀ᵀ⋯B_{m−1}ᵀ, butterfly factors B: blocks of size b between permutations, each exactly orthogonal.

    Trained m·(i/b)·b(b−1)/2 + o. b must divide i, and b·2^(m−1) too; m = 1 is OFT with a gain. The blocks are (1 − Q)(1 + Q)⁻¹.
    Source: Liu et al., arXiv 2311.06243; the factors as in peft.
    """

    block: int = 4
    factors: int = 1

    def check(self, o: int, i: Any) -> None:
        b, m = self.block, self.factors
        self.needs(2 <= b <= i and i % b == 0, f"blocks of {b} on {i} inputs", f"a divisor of {i}, from 2 on")
        self.needs(m >= 1 and (m == 1 or (b % 2 == 0 and i % (b * 2 ** (m - 1)) == 0)), f"{m} factors of blocks of {b} on {i} inputs",
                   "block · 2^(factors − 1) must divide the inputs, and the block be even")  # fmt: skip

    def weight(self, W: Map, o: int, i: Any) -> Map:
        b, n, found = self.block, i // self.block, identity(i)
        shape = (self.factors, n, b * (b - 1) // 2)
        for k in reversed(range(self.factors)):
            R = blocks(f"R_{k}", n, b, b, init=read(lambda Q, k=k: cayley(Q[k], b).mT, (n, b, b), Q=start(shape)))
            order = butterfly(i, b, k)
            inner = reshape(i, (n, b)) >> R >> reshape((n, b), i)
            there = permutation(order)
            found = found >> there >> inner >> there.T
        return found >> W >> diagonal("s", o, init=ONE)


def butterfly(n: int, block: int, level: int) -> list[int]:
    """The order in which a butterfly's level brings entries together: halves of neighbouring groups are exchanged.

    >>> butterfly(8, 2, 0), butterfly(8, 2, 1)
    ([0, 1, 2, 3, 4, 5, 6, 7], [0, 2, 1, 3, 4, 6, 5, 7])
    """
    if level == 0:
        return list(range(n))
    step, half = block * 2 ** (level - 1), block // 2
    width = 2 * step  # entries that one level mixes
    order = []
    for first in range(0, n, width):
        for group in range(step // half):
            order += [first + group * half + k for k in range(half)]
            order += [first + step + group * half + k for k in range(half)]
    return order


@dataclass(frozen=True)
class PSOFT(Adapter):
    """W' = W + B·(diag(β)·R·diag(α) − 1)·A with A = Vᵀ, B = UΣ of W's top r: rotated inside the main subspace. α = β = 1, Q = 0.

    R = (1 + Q)(1 − Q)⁻¹. Trained r(r−1)/2 + 2r; without ``scales`` (the strict form) r(r−1)/2, and then W'W'ᵀ = WWᵀ. Rank at most r;
    r − 1 for a strict odd r, since an odd rotation has an eigenvalue 1. Source: Wu et al., peft 0.21. Sheet id 103.
    """

    rank: int = 32
    scales: bool = True

    def check(self, o: int, i: Any) -> None:
        self.needs(2 <= self.rank <= min(o, i), f"rank {self.rank} on a layer {i} → {o}", f"a rank from 2 to {min(o, i)}")

    def weight(self, W: Map, o: int, i: Any) -> Map:
        r = self.rank
        R = dense("R", r, r, init=read(lambda Q: cayley(-Q, r), (r, r), Q=start((r * (r - 1) // 2,))))
        if self.scales:
            R = diagonal("alpha", r) >> R >> diagonal("beta", r)
        A, B = dense("A", r, i, init=ZERO, trainable=False), dense("B", o, r, init=ZERO, trainable=False)
        return W + (A >> (R + (-1) * identity(r)) >> B)

    def start(self, W: torch.Tensor, at: Place) -> Mapping[str, torch.Tensor]:
        U, sigma, Vh = svd(W, self.rank)
        return {"A": Vh, "B": U * sigma}

    def rank_bound(self, o: int, i: Any) -> int:
        return self.rank if self.scales or self.rank % 2 == 0 else self.rank - 1


@dataclass(frozen=True)
class RoAd(Adapter):
    """y' = R·y, R made of 2 × 2 blocks α·(cos θ, −sin θ; sin θ, cos θ) on pairs of outputs; the bias is turned too.

    ``variant`` 1: one θ and α a pair; 2: a pair of each; 4: four of each, one for every entry of the block. Trained o, 2o, 4o. In groups
    of ``group`` outputs, entry k is paired with entry k + group/2. θ = 0, α = 1: nothing changes. o must be divisible by the group.
    Source: Liao et al., arXiv 2409.00119; the pairing as in peft.
    """

    variant: int = 1
    group: int = 64

    def check(self, o: int, i: Any) -> None:
        self.needs(self.variant in (1, 2, 4), f"variant {self.variant}", "variant 1, 2 or 4")
        self.needs(self.group >= 2 and self.group % 2 == 0 and o % self.group == 0, f"groups of {self.group} on {o} outputs",
                   "an even divisor of the outputs")  # fmt: skip

    def turn(self, o: int) -> Map:
        """R = diag(c) + diag(±s)·P, P exchanging the two of a pair; c = α cos θ and s = α sin θ, one number for each output."""
        half, n, variant = self.group // 2, o // self.group, self.variant
        count = {1: o // 2, 2: o, 4: 2 * o}[variant]
        partner = [g * self.group + (k + half) % self.group for g in range(n) for k in range(self.group)]

        def spread(v: torch.Tensor, which: int) -> torch.Tensor:
            """Entries (n, 2, half) for the cosine (which = 0) or the sine."""
            if variant == 1:
                return v.reshape(n, 1, half).expand(n, 2, half)
            return v.reshape(n, -1, 2, half)[:, which if variant == 4 else 0]

        def own(theta: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
            return (spread(alpha, 0) * spread(theta, 0).cos()).reshape(o)

        def other(theta: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
            sines = spread(alpha, 1) * spread(theta, 1).sin()
            return torch.stack([-sines[:, 0], sines[:, 1]], 1).reshape(o)

        sources = {"theta": start((count,)), "alpha": start((count,), ONE)}
        s = diagonal("s", o, init=read(other, (o,), **sources))
        return diagonal("c", o, init=read(own, (o,), **sources)) + (permutation(partner) >> s)

    def weight(self, W: Map, o: int, i: Any) -> Map:
        return W >> self.turn(o)

    def bias(self, b: Map, o: int, i: Any) -> Map:
        return b >> self.turn(o)
