"""Adapters that share between layers: vector banks (VB-LoRA), shards (MoS), pyramids (MSPLoRA).

>>> from catlearn import adapters
>>> adapters.MoS(budget=2, rank=4, shards=2).trainable(16, 8, layers=3), adapters.MSPLoRA(rank=8, levels=3).trainable(10, 10, layers=32)
(144, 1680)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from catlearn.adapters.definition import Place
from catlearn.adapters.low_rank import Ranked
from catlearn.adapters.starts import ZERO, kaiming, normal, read, start
from catlearn.core.op import Init, Param
from catlearn.maps.base import Map
from catlearn.maps.leaves import dense
from catlearn.maps.noise import noise


@dataclass(frozen=True)
class VBLoRA(Ranked):
    """LoRA whose factors are mixtures of a bank's vectors: each piece of length b is Σ softmax(top-k logits)·bank, the bank shared.

    Trained bank·b once and r(i/b + o/b)·bank logits a layer. b divides o and i. The logits are normal with deviation 0.1, the bank uniform
    within ±0.02, so the start changes W a little, as published. Source: Li, Han and Ji, arXiv 2405.15179; as in peft.
    """

    vectors: int = 256
    length: int = 256
    top: int = 2
    rank: int = 4
    identity_at_init = False

    def check(self, o: int, i: Any) -> None:
        super().check(o, i)
        b = self.length
        self.needs(b >= 1 and o % b == 0 and i % b == 0, f"vectors of length {b} on a layer {i} → {o}", "a common divisor of both sizes")
        self.needs(1 <= self.top <= self.vectors, f"top {self.top} of {self.vectors}", f"from 1 to {self.vectors}")

    def shared(self, places: Sequence[Place]) -> Mapping[str, Param]:
        return {"bank": start((self.vectors, self.length), Init("uniform", (-0.02, 0.02)))}

    def weight(self, W: Map, o: int, i: Any) -> Map:
        r, b, n, top = self.rank, self.length, self.vectors, self.top

        def mixed(bank: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
            """(rows, pieces, b) from logits (rows, pieces, n)."""
            best, index = logits.topk(top, dim=-1)
            return (best.softmax(-1).unsqueeze(-1) * bank[index]).sum(-2)

        def down(bank: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
            return mixed(bank, logits).reshape(r, i)

        def up(bank: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
            return mixed(bank, logits).transpose(1, 2).reshape(o, r)

        A = dense("A", r, i, init=read(down, (r, i), "shared.bank", logits_A=start((r, i // b, n), normal(0.1))))
        B = dense("B", o, r, init=read(up, (o, r), "shared.bank", logits_B=start((o // b, r, n), normal(0.1))))
        return W + self.s * (noise(i, self.dropout) >> A >> B)


def integers(*size: int) -> Param:
    """A source of positions, which ``start`` gives."""
    return start(size, ZERO, False)


@dataclass(frozen=True)
class MoS(Ranked):
    """LoRA whose factors are put together from shards of two pools that all layers share. Trained e·L·(o + i) for L layers, whatever r.

    Pools P_A (e·L·l, i/l) and P_B (e·L·l, o/l): e is the budget, l the shards of a vector. Each layer has fixed random shards, others
    for A than for B, and ``private`` ranks of its own; P_B = 0. l divides o and i; the layers have
    one shape. e = private = r with l = 1 is LoRA. Source: Wang et al., arXiv 2410.00938, and the authors' code. Sheet id 265.
    """

    budget: int = 2
    shards: int = 2
    private: int = 0

    def check(self, o: int, i: Any) -> None:
        super().check(o, i)
        l, p = self.shards, self.private
        self.needs(l >= 1 and o % l == 0 and i % l == 0, f"{l} shards on a layer {i} → {o}", "a common divisor of both sizes")
        self.needs(
            self.budget >= 1 and 0 <= p <= min(self.budget, self.rank), f"{p} private ranks", f"from 0 to {min(self.budget, self.rank)}"
        )

    def shared(self, places: Sequence[Place]) -> Mapping[str, Param]:
        shapes, l, L = {(at.o, at.i) for at in places}, self.shards, len(places)
        self.needs(len(shapes) == 1, f"layers of shapes {sorted(shapes)}", "layers of one shape; adapt each shape by itself")
        ((o, i),) = shapes
        return {"P_A": start((self.budget * L * l, i // l), kaiming(i)), "P_B": start((self.budget * L * l, o // l))}

    def weight(self, W: Map, o: int, i: Any) -> Map:
        r, l = self.rank, self.shards

        def rows(pool: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
            """Shards c, c + l, c + 2l, … are the columns of part c."""
            found = pool[index.long()]
            return torch.cat([found[c::l] for c in range(l)], 1)

        A = dense("A", r, i, init=read(rows, (r, i), "shared.P_A", index_A=integers(r * l)))
        B = dense("B", r, o, init=read(rows, (r, o), "shared.P_B", index_B=integers(r * l)))
        return W + self.s * (noise(i, self.dropout) >> A >> B.T)

    def start(self, W: torch.Tensor, at: Place) -> Mapping[str, torch.Tensor]:
        l, p, L = self.shards, self.private, at.count
        self.needs(
            self.rank - p <= (self.budget - p) * L, f"rank {self.rank} from the pools of {L} layers", "more layers, or a larger budget"
        )
        public = (self.budget - p) * L * l
        own = torch.arange(public + at.index * p * l, public + (at.index + 1) * p * l)
        return {f"index_{side}": torch.cat([torch.randperm(public, generator=at.generator(side))[: (self.rank - p) * l], own])
                for side in "AB"}  # fmt: skip


@dataclass(frozen=True)
class MSPLoRA(Ranked):
    """W' = W + Σₘ sₘ BₘAₘ, ranks r, r/2, r/4 …: the first pair shared by all layers, the middle ones by a third of them, the last its own.

    Trained (o + i)(r₀ + 3Σ_mid rₘ + L·r_last) for L layers of one shape; sₘ = α/rₘ. Source: Zhao et al., arXiv 2503.21838, and the
    authors' code. Sheet id 223.
    """

    levels: int = 3

    def ranks(self) -> list[int]:
        """The rank of each level."""
        return [self.rank // 2**m for m in range(self.levels)]

    def check(self, o: int, i: Any) -> None:
        super().check(o, i)
        fits = self.levels >= 2 and self.rank >= 2 ** (self.levels - 1)
        self.needs(fits, f"{self.levels} levels of rank {self.rank}", "two levels at least, and a rank that can be halved so often")

    def shared(self, places: Sequence[Place]) -> Mapping[str, Param]:
        shapes = {(at.o, at.i) for at in places}
        self.needs(len(shapes) == 1, f"layers of shapes {sorted(shapes)}", "layers of one shape; adapt each shape by itself")
        ((o, i),) = shapes
        found = {}
        for m, r in enumerate(self.ranks()[:-1]):
            groups = 3 if m else 1
            found[f"A_{m}"], found[f"B_{m}"] = start((groups, r, i), kaiming(i)), start((groups, o, r))
        return found

    def weight(self, W: Map, o: int, i: Any) -> Map:
        def pick(stack: torch.Tensor, third: torch.Tensor) -> torch.Tensor:
            return stack[0] if stack.shape[0] == 1 else stack.index_select(0, third.long().reshape(1))[0]

        found, drop = W, noise(i, self.dropout)
        for m, r in enumerate(self.ranks()):
            if m == self.levels - 1:
                A, B = dense("A", r, i, init=kaiming(i)), dense("B", o, r, init=ZERO)
            else:
                A = dense(f"C_{m}", r, i, init=read(pick, (r, i), f"shared.A_{m}", third=integers()))
                B = dense(f"D_{m}", o, r, init=read(pick, (o, r), f"shared.B_{m}", third=integers()))
            found = found + (1 if self.alpha is None else self.alpha / r) * (drop >> A >> B)
        return found

    def start(self, W: torch.Tensor, at: Place) -> Mapping[str, torch.Tensor]:
        return {"third": torch.tensor(min(2, 3 * at.index // max(1, at.count)))}
