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

from catlearn.adapters.definition import Adapter, Place
from catlearn.adapters.starts import ZERO, kaiming, normal, read, start, svd
from catlearn.maps.algebra import add
from catlearn.maps.base import Map
from catlearn.maps.given import size
from catlearn.maps.leaves import dense, diagonal, scalar
from catlearn.maps.moves import selection
from catlearn.maps.noise import noise


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

    The parametrisation; ranks move between layers by ``Budget``, ``importance`` and ``allocate``. The loss gets
    γ·Σ(‖PᵀP − 1‖² + ‖QQᵀ − 1‖²) over layers (``orthogonality``), γ = 0.1 to 0.5. Source: Zhang et al., arXiv 2303.10512.
    """

    @staticmethod
    def orthogonality(P: torch.Tensor, Q: torch.Tensor) -> torch.Tensor:
        """‖PᵀP − 1‖² + ‖QQᵀ − 1‖² in the Frobenius norm, the paper's; published code sums norms that are not squared.

        >>> float(AdaLoRA.orthogonality(torch.eye(4, 2), 2 * torch.eye(2, 3)))
        18.0
        """
        one = torch.eye(P.shape[-1], dtype=P.dtype, device=P.device)
        return (P.mT @ P - one).square().sum() + (Q @ Q.mT - one).square().sum()

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
