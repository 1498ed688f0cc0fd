"""Peers for sums of diagrams, written from the definitions: layers on S_n tensors of order 2 and 3, channels last, plain torch.

Peer A stacks all 15 maps of x and mixes them in one einsum. Peer B is what a careful author writes by hand for 2 -> 2. ``Limit`` is the
product of x with its two weights of order n², into a given tensor, plus one read of x and one write of y. ``pair`` is the dense product
for one pair of channels.
"""

from __future__ import annotations

import torch
from torch import Tensor


def operations(x: Tensor) -> list[Tensor]:
    """The 15 maps of order-2 tensors (batch, n, n, c), each a tensor of that shape: outputs i, j, inputs a, b."""
    n = x.shape[1]
    eye = torch.eye(n, dtype=x.dtype)[:, :, None]
    diagonal = x.diagonal(0, 1, 2).mT
    rows, columns = x.sum(2), x.sum(1)
    trace, total = diagonal.sum(1), rows.sum(1)
    vectors = diagonal, rows, columns
    found = [x, x.transpose(1, 2)]
    found += [v[:, :, None].expand_as(x) for v in vectors]
    found += [v[:, None, :].expand_as(x) for v in vectors]
    found += [eye * v[:, :, None] for v in vectors]
    found += [s[:, None, None].expand_as(x) for s in (trace, total)]
    found += [eye * s[:, None, None] for s in (trace, total)]
    return found


IDENTITY, TRANSPOSE = ((0, 2), (1, 3)), ((0, 3), (1, 2))
ORDER = (  # the blocks (outputs 0, 1, inputs 2, 3) of each map of ``operations``
    IDENTITY, TRANSPOSE,
    ((0, 2, 3), (1,)), ((0, 2), (1,), (3,)), ((0, 3), (1,), (2,)),
    ((1, 2, 3), (0,)), ((1, 2), (0,), (3,)), ((1, 3), (0,), (2,)),
    ((0, 1, 2, 3),), ((0, 1, 2), (3,)), ((0, 1, 3), (2,)),
    ((0,), (1,), (2, 3)), ((0,), (1,), (2,), (3,)),
    ((0, 1), (2, 3)), ((0, 1), (2,), (3,)),
)  # fmt: skip


def peer_a(x: Tensor, weight: Tensor) -> Tensor:
    """All 15 stacked, one einsum: weight (15, c_out, c_in)."""
    return torch.einsum("dbijc,doc->bijo", torch.stack(operations(x)), weight)


def factored(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The weights of peer B from those of peer A: W₁, W₂ (c_in, c_out) and one (5 c_in, 3 c_out)."""
    w = weight.mT
    none = torch.zeros_like(w[0])
    columns = [torch.cat([*w[2:5], w[11], w[12]]), torch.cat([*w[5:8], none, none]), torch.cat([*w[8:11], w[13], w[14]])]
    return w[0].contiguous(), w[1].contiguous(), torch.cat(columns, 1).contiguous()


def peer_b(x: Tensor, first: Tensor, second: Tensor, small: Tensor) -> Tensor:
    """By hand: x·W₁ + xᵀ·W₂, one product of the concatenated contractions, one broadcast each, the diagonal in place."""
    n = x.shape[1]
    y = x @ first + x.transpose(1, 2) @ second
    diagonal, rows = x.diagonal(0, 1, 2).mT, x.sum(2)
    scalars = torch.cat([diagonal.sum(1), rows.sum(1)], -1)[:, None].expand(-1, n, -1)
    down, across, along = (torch.cat([diagonal, rows, x.sum(1), scalars], -1) @ small).chunk(3, -1)
    y += down[:, :, None]
    y += across[:, None, :]
    y.diagonal(0, 1, 2).mT.add_(along)
    return y


class Limit:
    """The least that 2 -> 2 can cost: one product into a given tensor, one read of x, one write of y."""

    def __init__(self, x: Tensor, c_out: int) -> None:
        self.x = x.reshape(-1, x.shape[-1])
        self.weight = torch.randn(x.shape[-1], 2 * c_out)
        self.products = x.new_empty(len(self.x), 2 * c_out)
        self.y = x.new_empty(len(self.x), c_out)

    def __call__(self) -> Tensor:
        torch.mm(self.x, self.weight, out=self.products)
        return self.y.copy_(self.x)


class Pair:
    """The dense product for one pair of channels: an (n^l × n^k) matrix and one number for each position and token."""

    def __init__(self, n: int, k: int, l: int, batch: int) -> None:
        self.matrix, self.x = torch.randn(n**l, n**k), torch.randn(n**k, batch)
        self.y = torch.empty(n**l, batch)

    def __call__(self) -> Tensor:
        return torch.mm(self.matrix, self.x, out=self.y)
