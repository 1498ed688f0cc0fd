"""Few entries of a matrix, applied to many vectors, and the gradient of the entries.

Vectors stand as columns: then an entry is one addition of rows, which lie together in memory, and all of them one sum of bags.

>>> import torch
>>> e = Entries((0, 0, 2), (1, 1, 0), 3)                     # twice at (0, 1), once at (2, 0)
>>> x, v = torch.tensor([[1.0, 10.0], [2.0, 20.0]]), torch.tensor([1.0, 2.0, 3.0])
>>> sparse(x, v, e), pairs(torch.ones(2, 3), x, e)
(tensor([[30.,  0.,  3.],
        [60.,  0.,  6.]]), tensor([30., 30.,  3.]))
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch

from catlearn.maps.given import kept
from catlearn.maps.transforms import helper, watched


class Places:
    """Positions as a tensor, made once for each device."""

    def __init__(self, index: Sequence[int]) -> None:
        self.index, self.made = tuple(index), {}

    def __call__(self, device: Any) -> torch.Tensor:
        return kept(self.made, device, lambda: torch.tensor(self.index, dtype=torch.int64, device="cpu").to(device))


class Entries:
    """The places of entries: ``rows`` of a result of ``size`` entries, ``columns`` of the vectors."""

    def __init__(self, rows: Sequence[int], columns: Sequence[int], size: int) -> None:
        self.rows, self.columns, self.size = Places(rows), Places(columns), size

    @cached_property
    def bags(self) -> tuple[Places, Places, Places, Places]:
        """The entries in the order of their rows: which they are, their columns, where each row begins, their rows."""
        rows, columns = self.rows.index, self.columns.index
        order = sorted(range(len(rows)), key=rows.__getitem__)
        counts = [0] * (self.size + 1)
        for r in rows:
            counts[r + 1] += 1
        starts = [0]
        for n in counts[1:-1]:
            starts.append(starts[-1] + n)
        return Places(order), Places([columns[k] for k in order]), Places(starts), Places(sorted(rows))


@helper
def sparse(x: torch.Tensor, values: torch.Tensor, e: Entries) -> torch.Tensor:
    """x (vectors, n) → (vectors, size): the matrix with these entries, applied."""
    if watched(x, values) or not x.shape[0]:
        read = x.index_select(1, e.columns(x.device)) * values
        return x.new_zeros((x.shape[0], e.size)).index_add(1, e.rows(x.device), read)
    order, columns, starts, _ = (places(x.device) for places in e.bags)
    return torch.ops.aten._embedding_bag(x.t().contiguous(), columns, starts, False, 0, False, values.index_select(0, order))[0].t()


@helper
def pairs(y: torch.Tensor, x: torch.Tensor, e: Entries) -> torch.Tensor:
    """The gradient of the entries: Σ y[rows] x[columns] over all vectors."""
    if watched(y, x) or not x.shape[0]:
        return (y.index_select(1, e.rows(x.device)) * x.index_select(1, e.columns(x.device))).sum(0)
    order, columns, starts, rows = (places(x.device) for places in e.bags)
    found = torch.ops.aten._embedding_bag_per_sample_weights_backward(y.t().contiguous(), x.t().contiguous(), columns, starts, rows, 0)
    return torch.empty_like(found).index_copy_(0, order, found)
