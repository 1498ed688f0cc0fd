"""Columns of a map by their numbers: an adapted embedding without writing the table out.

>>> import torch
>>> from catlearn.maps import dense
>>> A, B = dense("A", 2, 5), dense("B", 3, 2)
>>> p = {"A": torch.ones(2, 5), "B": torch.ones(3, 2)}
>>> lookup(2 * (A >> B), p, torch.tensor([4]))
tensor([[4., 4., 4.]])
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F

from catlearn.maps.algebra import then
from catlearn.maps.base import Map
from catlearn.maps.combine import Compose, Scaled, Sum
from catlearn.maps.entrywise import Hadamard
from catlearn.maps.leaves import Dense, Diagonal
from catlearn.maps.running import run


def lookup(f: Map, values: Mapping[str, torch.Tensor], index: torch.Tensor) -> torch.Tensor | None:
    """The columns of f at these positions, (*index, *cod); None if the map's kind does not know its columns by themselves."""
    if isinstance(f, Dense):
        return F.embedding(index, values[f.name].t()) if values[f.name].dim() == 2 else None
    if isinstance(f, Scaled):
        inner = lookup(f.of, values, index)
        return None if inner is None else f.factor * inner
    if isinstance(f, Hadamard):
        found = [lookup(part, values, index) for part in (f.left, f.right)]
        return None if found[0] is None or found[1] is None else found[0] * found[1]
    if isinstance(f, Sum):
        total = None
        for part in f.maps:
            column = lookup(part, values, index)
            if column is None:
                return None
            total = column if total is None else total + column
        return total
    if isinstance(f, Compose):
        if isinstance(f.maps[0], Diagonal):  # a column of D then g is a multiple of g's column
            inner = lookup(_chain(f.maps[1:]), values, index)
            return None if inner is None else values[f.maps[0].name][index].unsqueeze(-1) * inner
        inner, rest = lookup(f.maps[0], values, index), _chain(f.maps[1:])
        return None if inner is None else run(rest, inner, [values[name] for name in rest.params])
    return None


def _chain(maps: tuple[Map, ...]) -> Map:
    found = maps[0]
    for f in maps[1:]:
        found = then(found, f)
    return found
