"""Adapters in the frames of W itself: singular vectors, LU factors, chosen rows and columns; what is trained stands between them.

>>> from catlearn import adapters
>>> adapters.LoRAXS(rank=8).trainable(768, 768), adapters.SVFT(band=1).trainable(8, 8), adapters.VectorFit().trainable(768, 768)
(64, 22, 1536)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from catlearn.adapters.definition import Adapter, Place
from catlearn.adapters.low_rank import Ranked
from catlearn.adapters.normed import frames
from catlearn.adapters.starts import ONE, ZERO, kaiming, normal, read, start, svd
from catlearn.maps.base import Map
from catlearn.maps.entries import sparse
from catlearn.maps.leaves import dense, diagonal
from catlearn.maps.noise import noise


def frozen(name: str, rows: int, columns: int) -> Map:
    """A factor that is computed from W and does not learn."""
    return dense(name, rows, columns, init=ZERO, trainable=False)


@dataclass(frozen=True)
class LoRAXS(Ranked):
    """W' = W + s·B·R·A with frozen A = ΣVᵀ, B = U of W's top r, R (r × r) trained. Trained r²; rank at most r.

    R is normal with deviation 1e-5 as published, so the start is near W; ``zero=True`` starts at W. Published code works on Wᵀ.
    Source: Bałazy et al., arXiv 2405.17604. Sheet id 201.
    """

    zero: bool = False

    @property
    def identity_at_init(self) -> bool:  # type: ignore[override]
        return self.zero

    def weight(self, W: Map, o: int, i: Any) -> Map:
        r, x = self.rank, noise(i, self.dropout)
        return W + self.s * (x >> frozen("A", r, i) >> dense("R", r, r, init=ZERO if self.zero else normal(1e-5)) >> frozen("B", o, r))

    def start(self, W: torch.Tensor, at: Place) -> Mapping[str, torch.Tensor]:
        return frames(W, self.rank, "in")


@dataclass(frozen=True)
class PMSS(Ranked):
    """W' = W + s·C·M·R, C = W[:, J], R = W[I, :] frozen columns and rows of W, M (r × r) zero. Trained r²; rank at most r.

    I and J are chosen by pivoted QR (ours: the published rule could not be checked). Source: Wang et al., *PMSS*, 2024. Sheet id 21.
    """

    def weight(self, W: Map, o: int, i: Any) -> Map:
        r, x = self.rank, noise(i, self.dropout)
        return W + self.s * (x >> frozen("R", r, i) >> dense("M", r, r, init=ZERO) >> frozen("C", o, r))

    def start(self, W: torch.Tensor, at: Place) -> Mapping[str, torch.Tensor]:
        return {"R": W[pivots(W.t(), self.rank)], "C": W[:, pivots(W, self.rank)]}


def pivots(W: torch.Tensor, r: int) -> list[int]:
    """The r columns that QR with column pivoting takes first: each the longest beside those taken.

    >>> pivots(torch.tensor([[1.0, 0.0, 3.0], [0.0, 2.0, 0.0]]), 2)
    [2, 1]
    """
    rest, found = W.double().clone(), []
    for _ in range(r):
        k = int(rest.norm(dim=0).argmax())
        found.append(k)
        q = rest[:, k] / rest[:, k].norm().clamp(min=1e-300)
        rest = rest - q[:, None] * (q @ rest)[None]
        rest[:, found] = 0
    return found


@dataclass(frozen=True)
class NoRA(Ranked):
    """W' = W + s·B_o·B_i·A_i·A_o: a LoRA of rank ``inner`` inside the frozen top-r frames of W. Trained 2·r·inner; rank at most inner.

    A_i uniform, B_i zero (ours; the published files draw both, and differ from each other in scale). ``sigma``: the side of Σ.
    With ``data={layer: X}`` the frames are those of W·diag(mean|x|), as in the activation-aware variant. Source: Lin et al.,
    arXiv 2408.10280, and the authors' code. Sheet id 39.
    """

    rank: int = 64
    inner: int = 16
    sigma: str = "in"

    def check(self, o: int, i: Any) -> None:
        super().check(o, i)
        self.needs(1 <= self.inner <= self.rank, f"inner rank {self.inner}", f"from 1 to {self.rank}")
        self.needs(self.sigma in ("in", "out", "both"), f"sigma={self.sigma!r}", "sigma='in', 'out' or 'both'")

    def weight(self, W: Map, o: int, i: Any) -> Map:
        r, q = self.rank, self.inner
        inside = dense("A_i", q, r, init=kaiming(r)) >> dense("B_i", r, q, init=ZERO)
        return W + self.s * (noise(i, self.dropout) >> frozen("A", r, i) >> inside >> frozen("B", o, r))

    def start(self, W: torch.Tensor, at: Place) -> Mapping[str, torch.Tensor]:
        if at.data is None:
            return frames(W, self.rank, self.sigma)
        size = at.data.double().abs().mean(0).clamp(min=1e-6)
        found = frames(W.double() * size, self.rank, self.sigma)
        return {"A": found["A"] / size, "B": found["B"]}


@dataclass(frozen=True)
class SVFit(Ranked):
    """W' = W + U·diag(z − σ)·Vᵀ on the top r: only singular values are trained, the tail is kept. Trained r; z = σ, so nothing changes.

    Source: Sun et al., arXiv 2409.05926 (from notes). Sheet id 67.
    """

    def weight(self, W: Map, o: int, i: Any) -> Map:
        r = self.rank
        middle = diagonal("z", r, init=ZERO) + (-1) * diagonal("sigma", r, init=ZERO, trainable=False)
        return W + (noise(i, self.dropout) >> frozen("V", r, i) >> middle >> frozen("U", o, r))

    def start(self, W: torch.Tensor, at: Place) -> Mapping[str, torch.Tensor]:
        U, sigma, Vh = svd(W, self.rank)
        return {"U": U, "V": Vh, "sigma": sigma, "z": sigma}


@dataclass(frozen=True)
class VectorFit(Adapter):
    """W' = W + U·diag(δ)·Vᵀ, b' = b + β: all singular values and the bias. Trained min(o, i) + o; both zero.

    The paper freezes for a while what has drifted most; that is the user's loop. Source: Hegde, Kaur and Tiwari, arXiv 2503.19530.
    Sheet id 85.
    """

    def weight(self, W: Map, o: int, i: Any) -> Map:
        m = min(o, i)
        return W + (frozen("V", m, i) >> diagonal("delta", m, init=ZERO) >> frozen("U", o, m))

    def bias(self, b: Map, o: int, i: Any) -> Map:
        return b + dense("beta", o, (), init=ZERO)

    def start(self, W: torch.Tensor, at: Place) -> Mapping[str, torch.Tensor]:
        U, _, Vh = svd(W)
        return {"U": U, "V": Vh}


@dataclass(frozen=True)
class SVFT(Adapter):
    """W' = W + U·M·Vᵀ, M trained on a fixed pattern: ``plain`` (diagonal), ``banded`` (|a − b| ≤ band), ``random``. M zero.

    Trained m(2·band + 1) − band(band + 1) for m = min(o, i); ``random`` has as many entries, without repeats. |σₖ(W') − σₖ(W)| ≤ ‖M‖.
    Published code starts M normal and halves it by a gate; here W' = W. Source: Lingam et al., arXiv 2405.19597. Sheet id 241.
    """

    pattern: str = "banded"
    band: int = 1
    seed: int = 0

    def check(self, o: int, i: Any) -> None:
        self.needs(self.pattern in ("plain", "banded", "random"), f"pattern={self.pattern!r}", "plain, banded or random")
        self.needs(0 <= self.band < min(o, i), f"band {self.band}", f"from 0 to {min(o, i) - 1}")

    def places(self, m: int) -> tuple[list[int], list[int]]:
        """Rows and columns of the trained entries."""
        band = 0 if self.pattern == "plain" else self.band
        pairs = [(a, b) for a in range(m) for b in range(max(0, a - band), min(m, a + band + 1))]
        if self.pattern == "random":
            order = torch.randperm(m * m, generator=torch.Generator("cpu").manual_seed(self.seed))[: len(pairs)]
            pairs = [divmod(k, m) for k in sorted(order.tolist())]
        return [a for a, _ in pairs], [b for _, b in pairs]

    def weight(self, W: Map, o: int, i: Any) -> Map:
        m = min(o, i)
        rows, columns = self.places(m)
        return W + (frozen("V", m, i) >> sparse("M", m, m, rows, columns, init=ZERO) >> frozen("U", o, m))

    def start(self, W: torch.Tensor, at: Place) -> Mapping[str, torch.Tensor]:
        U, _, Vh = svd(W)
        return {"U": U, "V": Vh}


@dataclass(frozen=True)
class SALT(Adapter):
    """W' = U·ReLU(C)·Vᵀ, C = diag(a∘σ₁..ₖ + c) ⊕ (diag(σ of the tail) + X·Y). Trained 2k + 2r(m − k); a = 1, c = 0, Y = 0.

    ReLU is entry by entry; torch's slope at 0 is 0, so at the start only the diagonal of XY learns. ``top`` is k. Source: Elsayed et al.,
    arXiv 2503.16055 (the second of the two published files). Sheet id 19.
    """

    top: int = 8
    rank: int = 8

    def check(self, o: int, i: Any) -> None:
        m = min(o, i)
        self.needs(1 <= self.top < m, f"top {self.top}", f"from 1 to {m - 1}")
        self.needs(1 <= self.rank <= m - self.top, f"rank {self.rank} of a tail of {m - self.top}", f"from 1 to {m - self.top}")

    def weight(self, W: Map, o: int, i: Any) -> Map:
        m, k, r = min(o, i), self.top, self.rank

        def core(sigma: torch.Tensor, a: torch.Tensor, c: torch.Tensor, X: torch.Tensor, Y: torch.Tensor) -> torch.Tensor:
            """ReLU(C) − diag(σ)."""
            full = torch.block_diag(torch.diag(a * sigma[:k] + c), torch.diag(sigma[k:]) + X @ Y)
            return full.relu() - torch.diag(sigma)

        C = dense("C", m, m, init=read(core, (m, m), sigma=start((m,), ZERO, False), a=start((k,), ONE), c=start((k,)),
                                       X=start((m - k, r), kaiming(r)), Y=start((r, m - k))))  # fmt: skip
        return W + (frozen("V", m, i) >> C >> frozen("U", o, m))

    def start(self, W: torch.Tensor, at: Place) -> Mapping[str, torch.Tensor]:
        U, sigma, Vh = svd(W)
        return {"U": U, "V": Vh, "sigma": sigma}


@dataclass(frozen=True)
class LoLDU(Ranked):
    """W' = W + s·P·L_r·diag(z − d)·U_r for W = P·L·D·U, U with ones on the diagonal. Trained r; z = d, the first r pivots.

    Needs pivots that are not near 0. Source: Shi et al., arXiv 2410.13618, and the authors' code. Sheet id 27.
    """

    def weight(self, W: Map, o: int, i: Any) -> Map:
        r = self.rank
        middle = diagonal("z", r, init=ZERO) + (-1) * diagonal("d", r, init=ZERO, trainable=False)
        return W + self.s * (noise(i, self.dropout) >> frozen("U", r, i) >> middle >> frozen("L", o, r))

    def start(self, W: torch.Tensor, at: Place) -> Mapping[str, torch.Tensor]:
        P, L, U = torch.linalg.lu(W.double())
        d = U.diagonal()[: self.rank]
        self.needs(bool((d.abs() > 1e-8 * d.abs().max()).all()), "W has a pivot of 0", "a smaller rank")
        return {"L": (P @ L)[:, : self.rank], "U": U[: self.rank] / d[:, None], "d": d, "z": d}


@dataclass(frozen=True)
class EigenLoRAx(Ranked):
    """W' = W + s·(V_B L_B)(V_A L_A)ᵀ: frozen principal directions V_A, V_B of a library of adapters, loadings trained. Trained 2·K·r.

    ``data={layer: stack}`` gives the library's factors, (n·r, i + o): rows of A beside columns of B. L_B = 0, so nothing changes; published
    code draws both. The singular vectors are uncentred, so with K their number every library adapter is reproduced. Source: Kaushik et
    al., arXiv 2502.04700. Sheet id 45.
    """

    components: int = 32

    def check(self, o: int, i: Any) -> None:
        super().check(o, i)
        self.needs(1 <= self.components <= min(o, i), f"{self.components} components", f"from 1 to {min(o, i)}")

    def weight(self, W: Map, o: int, i: Any) -> Map:
        K, r, x = self.components, self.rank, noise(i, self.dropout)
        inner = dense("L_A", r, K, init=kaiming(K)) >> dense("L_B", K, r, init=ZERO)
        return W + self.s * (x >> frozen("V_A", K, i) >> inner >> frozen("V_B", o, K))

    def start(self, W: torch.Tensor, at: Place) -> Mapping[str, torch.Tensor]:
        from catlearn.adapters.started import given

        o, i, K = *W.shape, self.components
        stack = given(self, at, (None, i + o), "the factors of a library (n·r, in + out)").double()
        self.needs(stack.shape[0] >= K, f"{stack.shape[0]} vectors for {K} components", f"at most {stack.shape[0]} components")
        return {"V_A": svd(stack[:, :i], K)[2], "V_B": svd(stack[:, i:], K)[2].t()}
