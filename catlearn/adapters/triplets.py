"""Adapters of W's singular triplets themselves: their vectors are shifted, turned, or given a low-rank change.

>>> from catlearn import adapters
>>> adapters.SpectralAdapter(rank=8).trainable(768, 768), adapters.SpectralRotation(rank=8).trainable(768, 768)
(12288, 136)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from catlearn.adapters.definition import Adapter, Place
from catlearn.adapters.orthogonal import cayley
from catlearn.adapters.spectral import frozen
from catlearn.adapters.starts import ONE, ZERO, kaiming, read, start, svd
from catlearn.maps.base import Map
from catlearn.maps.leaves import dense, diagonal


@dataclass(frozen=True)
class SpectralAdapter(Adapter):
    """W' = W + (U₁ + A_U)S₁(V₁ + A_V)ᵀ − U₁S₁V₁ᵀ on r of W's singular triplets, from ``offset`` on. Trained r(o + i); rank at most 2r.

    Adapters with different offsets use different triplets. Source: Zhang and Pilanci, arXiv 2405.13952. Sheet id 57.
    """

    rank: int = 8
    offset: int = 0

    def check(self, o: int, i: Any) -> None:
        m = min(o, i)
        self.needs(self.rank >= 1 and self.offset >= 0 and self.offset + self.rank <= m, f"triplets {self.offset} to "
                   f"{self.offset + self.rank} of {m}", f"offset + rank of at most {m}")  # fmt: skip

    def weight(self, W: Map, o: int, i: Any) -> Map:
        r = self.rank
        U, S, V = frozen("U", o, r), diagonal("S", r, init=ZERO, trainable=False), frozen("V", r, i)
        A_U, A_V = dense("A_U", o, r, init=ZERO), dense("A_V", r, i, init=ZERO)
        return W + ((V + A_V) >> S >> A_U) + (A_V >> S >> U)  # the product, without the triplets themselves

    def start(self, W: torch.Tensor, at: Place) -> Mapping[str, torch.Tensor]:
        U, sigma, Vh = (v[..., :] for v in svd(W))
        chosen = slice(self.offset, self.offset + self.rank)
        return {"U": U[:, chosen], "S": sigma[chosen], "V": Vh[chosen]}


@dataclass(frozen=True)
class SpectralRotation(SpectralAdapter):
    """W' = W + U₁R_U(S₁∘c)R_VᵀV₁ᵀ − U₁S₁V₁ᵀ, R = (1 − Q)(1 + Q)⁻¹ with Q = ½(X − Xᵀ). Trained 2r² + r; rank at most r.

    X = 0, c = 1. With c = 1 all singular values stay. Source: Zhang and Pilanci, arXiv 2405.13952, the rotational form. Sheet id 57.
    """

    def weight(self, W: Map, o: int, i: Any) -> Map:
        r = self.rank

        def turned(X: torch.Tensor) -> torch.Tensor:
            """The rotation of a full matrix, by the entries above the diagonal of ½(X − Xᵀ)."""
            Q = (X - X.mT) / 2
            rows, columns = torch.triu_indices(r, r, 1, device=X.device)
            return cayley(Q[rows, columns], r)

        S = diagonal("S", r, init=ZERO, trainable=False)
        R_U = dense("R_U", r, r, init=read(turned, (r, r), X_U=start((r, r))))
        R_V = dense("R_V", r, r, init=read(turned, (r, r), X_V=start((r, r))))
        core = (R_V.T >> S >> diagonal("c", r, init=ONE) >> R_U) + (-1) * S
        return W + (frozen("V", r, i) >> core >> frozen("U", o, r))


@dataclass(frozen=True)
class SpectralFT(Adapter):
    """W' = W + (U + P_U Q_U)Σ(V + P_V Q_V)ᵀ − UΣVᵀ on the top k triplets, P·Q of rank l. Trained l(o + i + 2k); rank at most 2l.

    P uniform, Q zero. Published code drops the rest of W and cuts its own gradient; the paper does not, nor do we.
    Source: Li et al., *SpectralFT*, and its figure. Sheet id 333.
    """

    top: int = 256
    rank: int = 16

    def check(self, o: int, i: Any) -> None:
        m = min(o, i)
        self.needs(1 <= self.top <= m, f"top {self.top}", f"from 1 to {m}")
        self.needs(1 <= self.rank <= self.top, f"rank {self.rank}", f"from 1 to {self.top}")

    def weight(self, W: Map, o: int, i: Any) -> Map:
        k, l = self.top, self.rank
        U, S, V = frozen("U", o, k), diagonal("S", k, init=ZERO, trainable=False), frozen("V", k, i)
        dU = dense("Q_U", l, k, init=ZERO) >> dense("P_U", o, l, init=kaiming(l))
        dV = dense("P_V", l, i, init=kaiming(i)) >> dense("Q_V", k, l, init=ZERO)
        return W + ((V + dV) >> S >> dU) + (dV >> S >> U)

    def start(self, W: torch.Tensor, at: Place) -> Mapping[str, torch.Tensor]:
        U, sigma, Vh = svd(W, self.top)
        return {"U": U, "S": sigma, "V": Vh}
