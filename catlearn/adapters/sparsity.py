"""Adapters on few entries of W: a fixed support (SHiRA), or the largest entries of a learned matrix (SNELL, SNELLA), and masks.

>>> from catlearn import adapters
>>> adapters.SHiRA(rank=2).trainable(10, 20), adapters.SNELL(rank=8).trainable(10, 20)
(60, 240)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from catlearn.adapters.definition import Adapter, Place
from catlearn.adapters.started import given
from catlearn.adapters.starts import ONE, ZERO, kaiming, read, start
from catlearn.maps.base import Map
from catlearn.maps.entries import sparse
from catlearn.maps.leaves import dense

MASKS = ("random", "magnitude", "gradient", "snip", "given")


@dataclass(frozen=True)
class SHiRA(Adapter):
    """W' = W + s·scatter(v) on a fixed support of r(o + i) entries. Trained r(o + i), zero; full rank can be reached.

    ``mask``: a ``"random"`` support, fixed by ``seed`` (two seeds overlap little); the entries of largest ``"magnitude"`` |W|, of
    largest ``"gradient"`` |G| or ``"snip"`` |W∘G|, for which ``adapt(..., data={layer: G})`` gives the gradient G (o, i) of a loss, or a
    sum of |G| over batches; or the ``"given"`` one, ``data={layer: mask}`` with r(o + i) entries that are not 0. Equal entries are taken
    in order of rows. Source: Bhardwaj et al., arXiv 2406.13175. Sheet id 255.
    """

    rank: int = 32
    s: float = 1.0
    seed: int = 0
    mask: str = "random"

    def check(self, o: int, i: Any) -> None:
        self.needs(1 <= self.rank * (o + i) <= o * i, f"{self.rank * (o + i)} entries of {o * i}", f"a rank of at most {o * i // (o + i)}")
        self.needs(self.mask in MASKS, f"mask={self.mask!r}", f"one of {', '.join(MASKS)}")

    def weight(self, W: Map, o: int, i: Any) -> Map:
        n = self.rank * (o + i)
        if self.mask == "random":
            places = sorted(torch.randperm(o * i, generator=torch.Generator("cpu").manual_seed(self.seed))[:n].tolist())
            return W + self.s * sparse("v", o, i, [k // i for k in places], [k % i for k in places], init=ZERO)

        def scattered(v: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
            return v.new_zeros(o, i).index_put((index[0].long(), index[1].long()), v)

        support = {"v": start((n,)), "index": start((2, n), trainable=False)}
        return W + self.s * dense("change", o, i, init=read(scattered, (o, i), **support))

    def start(self, W: torch.Tensor, at: Place) -> Mapping[str, torch.Tensor]:
        if self.mask == "random":
            return {}
        W, (o, i) = W.double(), W.shape
        what = "a mask (out, in)" if self.mask == "given" else "a gradient (out, in)"
        data = None if self.mask == "magnitude" else given(self, at, (o, i), what).to(W)
        score = W if data is None else W * data if self.mask == "snip" else data
        n = self.rank * (o + i)
        if self.mask == "given":
            count = int((score != 0).sum())
            self.needs(count == n, f"a mask of {count} entries", f"rank·(out + in) = {n} entries")
        chosen = score.abs().flatten().sort(descending=True, stable=True).indices[:n].sort().values
        return {"index": torch.stack([chosen // i, chosen % i])}


def sparsified(D: torch.Tensor, share: float, mode: str) -> torch.Tensor:
    """The entries of D above the share-quantile of |D|: as they are (hard), drawn towards 0 (soft), times their own size (weighted).

    >>> sparsified(torch.tensor([[1.0, -2.0], [3.0, 4.0]]), 0.5, "hard")
    tensor([[0., -0.],
            [3., 4.]])
    """
    size = D.abs()
    order = min(D.numel(), max(1, round(share * D.numel())))
    tau = size.detach().flatten().kthvalue(order).values if share > 0 else size.new_tensor(-1.0)
    kept = size.detach() > tau
    if mode == "soft":
        return D.sign() * (size - tau.clamp(min=0)) * kept
    return D * (size.detach() * kept if mode == "weighted" else kept)


@dataclass(frozen=True)
class SNELL(Adapter):
    """W' = W + sparse(D), D_ji = c·(‖Q⁰_j − P⁰_i‖ − ‖Q¹_j − P¹_i‖): a difference of distance kernels, of any rank. Trained r(o + i).

    The ``share`` of smallest entries is dropped. ``mode``: ``"hard"`` and ``"soft"`` as the paper describes, ``"weighted"`` as its code:
    kept entries times their own size, which takes no derivative. Every factor is drawn, so the start changes W; c = 0.1.
    Source: Shen et al., arXiv 2411.01800, and the authors' code. Sheet id 361.
    """

    rank: int = 8
    share: float = 0.9
    mode: str = "hard"
    c: float = 0.1
    identity_at_init = False

    def check(self, o: int, i: Any) -> None:
        self.needs(self.rank >= 2 and self.rank % 2 == 0, f"rank {self.rank}", "an even rank: half for each kernel")
        self.needs(0 <= self.share < 1, f"share {self.share}", "from 0 up to, but not, 1")
        self.needs(self.mode in ("hard", "soft", "weighted"), f"mode={self.mode!r}", "hard, soft or weighted")

    def kernel(self, P: torch.Tensor, Q: torch.Tensor) -> torch.Tensor:
        """c·(K₀ − K₁) for P (2, i, r/2), Q (2, o, r/2), by the Gram identity; equal rows have distance 0 and slope 0."""
        squares = (Q * Q).sum(-1)[:, :, None] + (P * P).sum(-1)[:, None] - 2 * Q @ P.mT
        near = squares <= 0
        lengths = squares.masked_fill(near, 1).sqrt().masked_fill(near, 0)
        return self.c * (lengths[0] - lengths[1])

    def sources(self, o: int, i: int) -> dict[str, Any]:
        half = self.rank // 2
        return {"P": start((2, i, half), kaiming(half)), "Q": start((2, o, half), kaiming(half))}

    def weight(self, W: Map, o: int, i: Any) -> Map:
        def change(P: torch.Tensor, Q: torch.Tensor) -> torch.Tensor:
            return sparsified(self.kernel(P, Q), self.share, self.mode)

        return W + dense("change", o, i, init=read(change, (o, i), **self.sources(o, i)))


@dataclass(frozen=True)
class SNELLA(SNELL):
    """SNELL with the mixed kernel D + a·softmax(D/γ over outputs) + β. Trained r(o + i) + 3; a = γ = 1, β = 0.

    Moving the kept shares between layers is the user's loop. Source: as SNELL, *SNELLA*. Sheet id 143.
    """

    def weight(self, W: Map, o: int, i: Any) -> Map:
        def change(P: torch.Tensor, Q: torch.Tensor, a: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
            D = self.kernel(P, Q)
            return sparsified(D + a * (D / gamma).softmax(0) + beta, self.share, self.mode)

        scalars = {"a": start((), ONE), "gamma": start((), ONE), "beta": start(())}
        return W + dense("change", o, i, init=read(change, (o, i), **self.sources(o, i), **scalars))
