"""Adapters of low rank: W + s·B·A, with what is trained, how it starts and what stands between the factors.

Conventions of every family: W is o × i, A is r × i, B is o × r, s = α/r; α = None means s = 1. Dropout acts on the input of the branch.

>>> from catlearn import adapters
>>> adapters.LoRA(rank=8).trainable(768, 768), adapters.LoRA(rank=8).formula()
(12288, 'W + B A')
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from catlearn import errors
from catlearn.adapters.definition import Adapter, Place
from catlearn.adapters.starts import ONE, ZERO, kaiming, normal, read, start, svd
from catlearn.maps.algebra import add
from catlearn.maps.base import Map
from catlearn.maps.batched import noise
from catlearn.maps.given import size
from catlearn.maps.leaves import dense, diagonal, scalar
from catlearn.maps.moves import selection


@dataclass(frozen=True)
class Ranked(Adapter, key=None):
    """What methods of a rank have in common: the rank, the scale s = α/r, dropout on the input of the branch."""

    rank: int = 8
    alpha: float | None = None
    dropout: float = 0.0

    @property
    def s(self) -> float:
        """The scale of the branch."""
        return 1 if self.alpha is None else self.alpha / self.rank

    def check(self, o: int, i: Any) -> None:
        whole = min(o, size((i,) if isinstance(i, int) else i))
        self.needs(isinstance(self.rank, int) and 1 <= self.rank <= whole, f"rank {self.rank} on a layer {i} → {o}",
                   f"a rank from 1 to {whole}")  # fmt: skip
        self.needs(0 <= self.dropout < 1, f"dropout {self.dropout}", "a rate from 0 up to, but not, 1")

    def down(self, i: int, name: str = "A", trainable: bool = True) -> Map:
        """The factor i → r, behind dropout; starts as torch's Linear does."""
        return noise(i, self.dropout) >> dense(name, self.rank, i, init=kaiming(i), trainable=trainable)

    def up(self, o: int, name: str = "B", init: Any = ZERO, trainable: bool = True) -> Map:
        """The factor r → o; starts at 0."""
        return dense(name, o, self.rank, init=init, trainable=trainable)


@dataclass(frozen=True)
class LoRA(Ranked):
    """W' = W + s·B·A, s = α/r. Trained r(o+i); rank at most r. A uniform ±1/√i, B zero.

    ``train``: ``"both"``, or ``"B"`` with A frozen (LoRA-FA). Source: Hu et al., arXiv 2106.09685; Zhang et al., arXiv 2308.03303.
    """

    train: str = "both"

    def check(self, o: int, i: Any) -> None:
        super().check(o, i)
        self.needs(self.train in ("both", "B"), f"train={self.train!r}", "train='both' or 'B'")

    def weight(self, W: Map, o: int, i: Any) -> Map:
        return W + self.s * (self.down(i, trainable=self.train == "both") >> self.up(o))


@dataclass(frozen=True)
class RsLoRA(Ranked):
    """LoRA with the scale α/√r, which keeps the size of the gradients as the rank grows (α = None: s = √r).

    Source: Kalajdzievski, arXiv 2312.03732.
    """

    def weight(self, W: Map, o: int, i: Any) -> Map:
        return W + self.s * self.rank**0.5 * (self.down(i) >> self.up(o))


@dataclass(frozen=True)
class AsymmetricLoRA(Ranked):
    """W + s·B·A with A frozen, of orthonormal rows, and only B trained: r·o numbers.

    ``rows``: ``"random"``, the right singular vectors of a uniform matrix, or ``"V"``, those of W (the rows of torch's ``Vh``; the
    published code slices its columns). Source: Zhu et al., *Asymmetry in Low-Rank Adapters*, arXiv 2402.16842. Sheet id 7.
    """

    rows: str = "random"

    def check(self, o: int, i: Any) -> None:
        super().check(o, i)
        self.needs(self.rows in ("random", "V"), f"rows={self.rows!r}", "rows='random' or 'V'")

    def weight(self, W: Map, o: int, i: Any) -> Map:
        return W + self.s * (self.down(i, trainable=False) >> self.up(o))

    def start(self, W: torch.Tensor, at: Place) -> Mapping[str, torch.Tensor]:
        drawn = torch.rand(W.shape[0], W.shape[1], dtype=torch.float64, generator=at.generator("A")) - 0.5
        return {"A": svd(W if self.rows == "V" else drawn, self.rank)[2]}


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


@dataclass(frozen=True)
class SingLoRA(Ranked):
    """W' = W + s·u(t)·A*Aᵀ with one factor A of M = max(o, i) rows; A* are its first min(o, i) rows; u(t) = min(t/ramp, 1).

    t counts finished training steps, so nothing changes at the start; afterwards u = 1. Trained r·M. For o = i the change is symmetric and
    positive: not every change can be reached. For o > i the product is transposed (a public implementation forgets this).
    Source: Bensaïd et al., arXiv 2507.05566. Sheet id 13.
    """

    ramp: int = 1000
    counts = True

    def weight(self, W: Map, o: int, i: Any) -> Map:
        M, m = max(o, i), min(o, i)
        A = dense("A", self.rank, M, init=kaiming(self.rank))  # Aᵀ of the equation
        cut = selection(M, range(m))
        ramp = self.ramp
        u = scalar("u", i, init=read(lambda t: ((t - 1) / max(1, ramp)).clamp(0, 1), (), step=start((), trainable=False)))
        branch = A >> A.T >> cut if o <= i else cut.T >> A >> A.T
        return W + self.s * (noise(i, self.dropout) >> u >> branch)


@dataclass(frozen=True)
class BiLoRA(Ranked):
    """W' = W + s·P·diag(λ)·Q, λ = softmax(v) (or v itself); P zero. Trained r(o+i+1).

    The paper trains P, Q on one part of the data and v on another, with γ(‖PᵀP−1‖² + ‖QQᵀ−1‖²); that is the user's loop, with two
    optimisers. With softmax the paper's start is not known: P = 0 here, so nothing changes. Source: Qiang et al., arXiv 2403.13037.
    Sheet id 275 (from notes).
    """

    values: str = "softmax"

    def check(self, o: int, i: Any) -> None:
        super().check(o, i)
        self.needs(self.values in ("softmax", "real"), f"values={self.values!r}", "values='softmax' or 'real'")

    def weight(self, W: Map, o: int, i: Any) -> Map:
        r = self.rank
        if self.values == "softmax":
            middle = diagonal("lambda", r, init=read(lambda v: v.softmax(-1), (r,), v=start((r,))))
            return W + self.s * (self.down(i, "Q") >> middle >> self.up(o, "P"))
        gauss = dense("Q", r, i, init=normal(0.02))
        return W + self.s * (noise(i, self.dropout) >> gauss >> diagonal("lambda", r, init=ZERO) >> self.up(o, "P", normal(0.02)))


@dataclass(frozen=True)
class AdaLoRA(Ranked):
    """W' = W + s·P·diag(Λ)·Q, P and Q normal with deviation 0.02, Λ zero. Trained r(o+i+1).

    The parametrisation only; ranks are pruned by setting entries of Λ to 0. The paper adds γ(‖PᵀP−1‖_F + ‖QQᵀ−1‖_F) to the loss.
    Source: Zhang et al., arXiv 2303.10512.
    """

    def weight(self, W: Map, o: int, i: Any) -> Map:
        A = noise(i, self.dropout) >> dense("A", self.rank, i, init=normal(0.02))
        return W + self.s * (A >> diagonal("E", self.rank, init=ZERO) >> self.up(o, init=normal(0.02)))


@dataclass(frozen=True)
class DropLoRA(Ranked):
    """LoRA with dropout between the factors: each token drops some of the r components while training.

    ``between`` is that rate, 0.5 in the paper; at 0 it is LoRA. Source: Zhang, arXiv 2508.17337. Sheet id 233.
    """

    between: float = 0.5

    def weight(self, W: Map, o: int, i: Any) -> Map:
        return W + self.s * (self.down(i) >> noise(self.rank, self.between) >> self.up(o))


@dataclass(frozen=True)
class Hydra(Ranked):
    """y' = y + s(B_p(A_p x + a_p) + b_p) + s(B_s(A_s y + a_s) + b_s) for y = W x + b: a parallel branch and one behind the layer.

    W' = W + s(B_pA_p + B_sA_sW), and the bias likewise. Trained r(i+3o) + 2r + 2o; rank at most 2r; A Xavier uniform, the rest zero.
    Source: Kim et al., arXiv 2309.06922, and the authors' code. Sheet id 43.
    """

    def weight(self, W: Map, o: int, i: Any) -> Map:
        r, x = self.rank, noise(i, self.dropout)
        parallel = x >> dense("A_p", r, i, init=xavier(r, i)) >> self.up(o, "B_p")
        behind = W >> dense("A_s", r, o, init=xavier(r, o)) >> self.up(o, "B_s")
        return W + self.s * parallel + self.s * behind

    def bias(self, b: Map, o: int, i: Any) -> Map:
        r = self.rank
        parallel = dense("a_p", r, (), init=ZERO) >> self.up(o, "B_p")
        through = (b >> dense("A_s", r, o, init=xavier(r, o))) + dense("a_s", r, (), init=ZERO)
        new = dense("b_p", o, (), init=ZERO) + dense("b_s", o, (), init=ZERO)
        return b + self.s * parallel + self.s * (through >> self.up(o, "B_s")) + self.s * new


def xavier(rows: int, columns: int) -> Any:
    """Uniform ±√(6/(rows + columns))."""
    from catlearn.core.op import Init

    bound = (6 / (rows + columns)) ** 0.5
    return Init("uniform", (-bound, bound))


@dataclass(frozen=True)
class PEGO(Ranked):
    """W' = W + Σₙ BₙAₙ for a group of adapters, which a penalty keeps orthogonal to W and to each other (``orthogonality``).

    Trained N·r(o+i); rank at most N·r; no scale. The loss gets λ·(Σₙ‖W(BₙAₙ)ᵀ‖₁ + Σₙ<ₘ‖(BₙAₙ)(BₘAₘ)ᵀ‖₁), λ = 1e-3.
    Source: Hu et al., arXiv 2407.15085, and the authors' code. Sheet id 81.
    """

    group: int = 4

    def weight(self, W: Map, o: int, i: Any) -> Map:
        return W + self.s * add(*(self.down(i, f"A_{n}") >> self.up(o, f"B_{n}") for n in range(self.group)))

    @staticmethod
    def orthogonality(W: torch.Tensor, changes: list[torch.Tensor]) -> torch.Tensor:
        """Σₙ‖WΔₙᵀ‖₁ + Σₙ<ₘ‖ΔₙΔₘᵀ‖₁, entry by entry.

        >>> float(PEGO.orthogonality(torch.eye(2), [torch.eye(2), torch.eye(2)]))
        6.0
        """
        pairs = [a @ b.t() for n, a in enumerate(changes) for b in changes[n + 1 :]]
        return sum(((W @ d.t()).abs().sum() for d in changes), W.new_zeros(())) + sum((p.abs().sum() for p in pairs), W.new_zeros(()))


__all__ = ["ONE", "AdaLoRA", "AsymmetricLoRA", "BiLoRA", "DropLoRA", "EVA", "Hydra", "LoRA", "LoRAGA", "OLoRA", "PEGO", "PiSSA", "RsLoRA",
           "SingLoRA", "eva_ranks"]  # fmt: skip
