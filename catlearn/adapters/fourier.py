"""Adapters by Fourier's transform: sparse spectra (FourierFT) and circulant blocks (C3A), applied by real transforms.

>>> from catlearn import adapters
>>> adapters.C3A(block=64).trainable(768, 768), adapters.FourierFT(n=1000).trainable(768, 768)
(9216, 1000)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from catlearn.adapters.definition import Adapter
from catlearn.adapters.starts import ZERO, normal
from catlearn.core.op import Init
from catlearn.maps.base import Map
from catlearn.maps.entries import sparse
from catlearn.maps.spectral import circulant
from catlearn.maps.spectral import fourier as transform


@dataclass(frozen=True)
class FourierFT(Adapter):
    """W' = W + α·Re ifft2(F), F zero but for n trained coefficients c at fixed places. Trained n; rank at most min(2n, o, i).

    The places are the first n of a random permutation of o·i, seed 777, so equal shapes share them. c is standard normal by default, so
    the start changes W; ``zero=True`` starts at 0. Source: Gao et al., arXiv 2405.03003; the places as in peft. Sheet id 243.
    """

    n: int = 1000
    alpha: float = 150.0
    zero: bool = False
    seed: int = 777

    def check(self, o: int, i: Any) -> None:
        self.needs(1 <= self.n <= o * i, f"{self.n} coefficients of {o * i}", f"from 1 to {o * i}")

    @property
    def identity_at_init(self) -> bool:  # type: ignore[override]
        return self.zero

    def weight(self, W: Map, o: int, i: Any) -> Map:
        rows, columns, source, gains = entries(o, i, self.n, self.seed)
        c = sparse("c", o, i, rows, columns, source=source, factors=gains, init=ZERO if self.zero else normal(1.0))
        return W + self.alpha / (o * i) * (transform(i) >> c >> transform(o).T)


@lru_cache(maxsize=64)
def entries(o: int, i: int, n: int, seed: int) -> tuple[list[int], list[int], list[int], list[float]]:
    """cos(2π(pm/o + qj/i)) as entries between real transforms: cos·cos − sin·sin, each row of a transform being scaled to length 1."""
    order = torch.randperm(o * i, generator=torch.Generator("cpu").manual_seed(seed))[:n]
    rows, columns, source, gains = [], [], [], []
    for k, place in enumerate(order.tolist()):
        for sign, left, right in ((1.0, wave(place // i, o, False), wave(place % i, i, False)),
                                  (-1.0, wave(place // i, o, True), wave(place % i, i, True))):  # fmt: skip
            if left is not None and right is not None:
                rows.append(left[0])
                columns.append(right[0])
                source.append(k)
                gains.append(sign * left[1] * right[1])
    return rows, columns, source, gains


def wave(k: int, n: int, sine: bool) -> tuple[int, float] | None:
    """Row and length of the cosine (or sine) of frequency k among the rows of the real transform; None for a sine that is 0.

    >>> wave(0, 4, False), wave(3, 4, True), wave(2, 4, True)
    ((0, 2.0), (2, -1.4142135623730951), None)
    """
    if k == 0 or 2 * k == n:
        return None if sine else (0 if k == 0 else n - 1, n**0.5)
    low = min(k, n - k)
    return (2 * low, (n / 2) ** 0.5 * (1 if k == low else -1)) if sine else (2 * low - 1, (n / 2) ** 0.5)


@dataclass(frozen=True)
class C3A(Adapter):
    """W' = W + (1/i)·(blocks C(w_pq)), circulant blocks of size b whose first rows are the trained w. Trained o·i/b; full rank.

    b divides o and i. ``zero=True`` (ours) starts at 0; peft starts Xavier uniform on (o, i), which changes W. Half precision is computed
    in single. Source: Chen et al., arXiv 2407.19342; as in peft. Sheet id 71.
    """

    block: int = 256
    zero: bool = True

    def check(self, o: int, i: Any) -> None:
        b = self.block
        self.needs(b >= 1 and o % b == 0 and i % b == 0, f"blocks of {b} on a layer {i} → {o}", "a common divisor of both sizes")

    @property
    def identity_at_init(self) -> bool:  # type: ignore[override]
        return self.zero

    def weight(self, W: Map, o: int, i: Any) -> Map:
        bound = (6 / (o + i)) ** 0.5
        init = ZERO if self.zero else Init("uniform", (-bound, bound))
        return W + 1 / i * circulant("kernel", self.block, o // self.block, i // self.block, by_rows=True, init=init)
