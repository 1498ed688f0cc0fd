"""Two networks on points that packages have only with more around them, written out: continuous filters, and equivariant messages."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn


def perceptron(a: int, b: int, inside: int = 8) -> nn.Module:
    return nn.Sequential(nn.Linear(a, inside), nn.SiLU(), nn.Linear(inside, b))


class SchNet(nn.Module):
    """Atom types → filters of distances → messages → an energy (Schütt et al. 2017)."""

    def __init__(self, kinds: int, width: int, rounds: int = 2, radial: int = 5) -> None:
        super().__init__()
        self.embed = nn.Embedding(kinds, width)
        self.filters = nn.ModuleList(perceptron(radial, width) for _ in range(rounds))
        self.mixes = nn.ModuleList(perceptron(width, width) for _ in range(rounds))
        self.read = nn.Linear(width, 1)
        self.register_buffer("centres", torch.linspace(0, 4, radial))

    def forward(self, kinds: torch.Tensor, x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        source, target = edges[0], edges[1]
        distance = (x[source] - x[target]).pow(2).sum(-1, keepdim=True).sqrt()
        basis = torch.exp(-((distance - self.centres) ** 2))
        h = self.embed(kinds)
        for filter, mix in zip(self.filters, self.mixes, strict=True):
            message = h[source] * filter(basis)
            h = h + mix(torch.zeros_like(h).index_add(0, target, message))
        return self.read(h).sum(0)


class EGNN(nn.Module):
    """Messages of invariants that move points along their differences (Satorras et al. 2021)."""

    def __init__(self, features: int, width: int, rounds: int = 2) -> None:
        super().__init__()
        sizes = [features, *[width] * rounds]
        self.messages = nn.ModuleList(perceptron(2 * a + 1, width) for a in sizes[:-1])
        self.moves = nn.ModuleList(perceptron(width, 1) for _ in range(rounds))
        self.updates = nn.ModuleList(perceptron(a + width, b) for a, b in pairwise(sizes))

    def forward(self, h: torch.Tensor, x: torch.Tensor, edges: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        source, target = edges[0], edges[1]
        for message, move, update in zip(self.messages, self.moves, self.updates, strict=True):
            difference = x[target] - x[source]
            square = (difference * difference).sum(-1, keepdim=True)
            m = message(torch.cat([h[target], h[source], square], dim=-1))
            x = x + torch.zeros_like(x).index_add(0, target, difference * move(m))
            h = update(torch.cat([h, torch.zeros(h.shape[0], m.shape[1], dtype=h.dtype, device=h.device).index_add(0, target, m)], dim=-1))
        return h, x
