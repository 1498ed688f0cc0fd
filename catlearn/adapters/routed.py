"""Adapters that depend on a task, and edits of a layer's outputs: C-Poly, multi-head routing, ReFT.

``cl.adapters.control(model, task=2)`` sets the task of all routed adapters; for one task they are weights like any other and merge.

>>> from catlearn import adapters
>>> adapters.MHR(rank=8, skills=4, heads=8, tasks=1).trainable(768, 768), adapters.LoReFT(rank=8).trainable(4096, 4096)
(49184, 65544)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from catlearn.adapters.definition import Adapter
from catlearn.adapters.low_rank import Ranked
from catlearn.adapters.orthogonal import gram_schmidt
from catlearn.adapters.positions import parsed
from catlearn.adapters.starts import ONE, ZERO, kaiming, read, start
from catlearn.core.op import Init
from catlearn.maps.base import Map
from catlearn.maps.leaves import dense
from catlearn.maps.noise import noise

LOGITS, HALF = Init("uniform", (-1e-3, 1e-3)), Init("constant", (0.5,))


def gates(training: bool, logits: torch.Tensor, task: torch.Tensor, draw: torch.Tensor) -> torch.Tensor:
    """The task's row of logits: a relaxed Bernoulli draw (temperature 1) while training, sigmoids otherwise; normalised on the last axis.

    >>> gates(False, torch.zeros(3, 2, 4), torch.tensor(1), torch.rand(2, 4))[0]
    tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """
    logits = logits.index_select(0, task.long().reshape(1))[0]
    if training:
        uniform = draw.clamp(1e-6, 1 - 1e-6)
        logits = logits + uniform.log() - (-uniform).log1p()
    found = logits.sigmoid()
    return found / (found.sum(-1, keepdim=True) + 1e-12)


@dataclass(frozen=True)
class MHR(Ranked):
    """ΔW = B̂·Â/r, each factor mixed of ``skills`` ones by the task's gates, apart for each of h heads. h = 1: Poly.

    Trained S·r(o + i) + T·h·S. *Factors* are mixed and then multiplied (``mix="factors"``), as published; ``"products"`` mixes BₛAₛ, h = 1
    only, and the rank is S·r at most. h divides o and i. A uniform, B zero, logits near 0. Source: Caccia et al., arXiv 2211.03831; as in
    peft. Sheet id 107.
    """

    skills: int = 4
    heads: int = 1
    tasks: int = 1
    draws = True
    mix: str = "factors"

    def check(self, o: int, i: Any) -> None:
        super().check(o, i)
        h = self.heads
        self.needs(h >= 1 and o % h == 0 and i % h == 0, f"{h} heads on a layer {i} → {o}", "a common divisor of both sizes")
        self.needs(self.skills >= 1 and self.tasks >= 1, f"{self.skills} skills, {self.tasks} tasks", "one of each at least")
        self.needs(
            self.mix == "factors" or (self.mix == "products" and h == 1),
            f"mix={self.mix!r} with {h} heads",
            "'factors', or 'products' with 1 head",
        )

    def weight(self, W: Map, o: int, i: Any) -> Map:
        S, h, r, T = self.skills, self.heads, self.rank, self.tasks
        common = {"logits": start((T, h, S), LOGITS), "task": start((), ZERO, False), "draw": start((h, S), HALF, False)}

        def down(training: bool, skills: torch.Tensor, *route: torch.Tensor) -> torch.Tensor:
            return torch.einsum("hs,hsar->rha", gates(training, *route), skills).reshape(r, i)

        def up(training: bool, skills: torch.Tensor, *route: torch.Tensor) -> torch.Tensor:
            return torch.einsum("hs,hsra->har", gates(training, *route), skills).reshape(o, r)

        A_S, B_S = {"A": start((h, S, i // h, r), kaiming(r))}, {"B": start((h, S, r, o // h))}
        if self.mix == "factors":
            A = dense("A_mixed", r, i, init=read(down, (r, i), "training", **A_S, **common))
            B = dense("B_mixed", o, r, init=read(up, (o, r), "training", **B_S, **common))
        else:
            A = dense("A_all", S * r, i, init=read(lambda A: A[0].transpose(1, 2).reshape(S * r, i), (S * r, i), **A_S))

            def gated(training: bool, B: torch.Tensor, *route: torch.Tensor) -> torch.Tensor:
                return (gates(training, *route)[0][:, None, None] * B[0]).permute(2, 0, 1).reshape(o, S * r)

            B = dense("B_all", o, S * r, init=read(gated, (o, S * r), "training", **B_S, **common))
        return W + 1 / r * (noise(i, self.dropout) >> A >> B)


@dataclass(frozen=True)
class CPoly(Ranked):
    """ΔW = s·(Σₐ wₐ BₐAₐ + v·B^t A^t): skills that all tasks share by gates, and the task's own. Trained (A + T)·r(o + i) + T(A + 1).

    w are the task's gates, normalised; v is a plain learned number, 1 at the start (our choice: the paper's treatment of v is not known).
    Rank at most (A + 1)r. Source: Wang et al., *Customized Polytropon*, ICLR 2024, from its reviews. Sheet id 5.
    """

    skills: int = 4
    tasks: int = 1
    draws = True

    def check(self, o: int, i: Any) -> None:
        super().check(o, i)
        self.needs(self.skills >= 1 and self.tasks >= 1, f"{self.skills} skills, {self.tasks} tasks", "one of each at least")

    def weight(self, W: Map, o: int, i: Any) -> Map:
        S, r, T = self.skills, self.rank, self.tasks
        task, n = {"task": start((), ZERO, False)}, (S + 1) * r

        def down(A: torch.Tensor, A_own: torch.Tensor, task: torch.Tensor) -> torch.Tensor:
            return torch.cat([A, A_own.index_select(0, task.long().reshape(1))]).reshape(n, i)

        def up(training: bool, B: torch.Tensor, B_own: torch.Tensor, v: torch.Tensor, *route: torch.Tensor) -> torch.Tensor:
            t = route[1].long().reshape(1)
            weights = torch.cat([gates(training, *route), v.index_select(0, t)])
            every = torch.cat([B, B_own.index_select(0, t)])
            return (weights[:, None, None] * every).transpose(0, 1).reshape(o, n)

        lower = {"A": start((S, r, i), kaiming(i)), "A_own": start((T, r, i), kaiming(i)), **task}
        upper = {"B": start((S, o, r)), "B_own": start((T, o, r)), "v": start((T,), ONE)}
        upper |= {"logits": start((T, S), LOGITS), **task, "draw": start((S,), HALF, False)}
        A, B = dense("A_all", n, i, init=read(down, (n, i), **lower)), dense("B_all", o, n, init=read(up, (o, n), "training", **upper))
        return W + self.s * (noise(i, self.dropout) >> A >> B)

    def rank_bound(self, o: int, i: Any) -> int:
        return min(o, i, (self.skills + 1) * self.rank)


@dataclass(frozen=True)
class LoReFT(Adapter):
    """y' = y + Rᵀ(W_r y + b_r − R y) at every position: the outputs edited in a subspace, R with orthonormal rows. Trained 2·r·o + r.

    ``positions``: ``"all"``, where W' = (1 + Rᵀ(W_r − R))W and the bias likewise, so that it merges; or the first and last positions of
    the layer's input, ``"f1+l1"``, as in the paper, which no weight can do. One adapter edits both ends; two adapters, ``"f1"`` and
    ``"l1"``, have interventions of their own. In a sequence shorter than both together every position is edited once (pyreft edits at
    most half of it from each end). Padding and continued prompts: ``cl.adapters.tokens``.

    R y' = W_r y + b_r, and what is orthogonal to R's rows stays. The start changes the outputs.
    Source: Wu et al., arXiv 2404.03592, and pyreft. Sheet id 289.
    """

    rank: int = 4
    positions: str = "all"  # type: ignore[assignment]
    identity_at_init = False

    def check(self, o: int, i: Any) -> None:
        parsed(self.positions)
        self.needs(1 <= self.rank <= o, f"rank {self.rank} of {o} outputs", f"from 1 to {o}")

    def edit(self, o: int) -> tuple[Map, Map, Map]:
        """Rᵀ, W_r and R."""
        r = self.rank
        R = dense("R", r, o, init=read(gram_schmidt, (r, o), V=start((r, o), kaiming(o))))
        return R.T, dense("W_r", r, o, init=kaiming(o)), R

    def weight(self, W: Map, o: int, i: Any) -> Map:
        back, W_r, R = self.edit(o)
        return W + (W >> (W_r + (-1) * R) >> back)

    def bias(self, b: Map, o: int, i: Any) -> Map:
        back, W_r, R = self.edit(o)
        return b + (b >> (W_r + (-1) * R) >> back) + (dense("b_r", self.rank, (), init=kaiming(o)) >> back)

    def rank_bound(self, o: int, i: Any) -> int:
        return min(o, i, self.rank)
