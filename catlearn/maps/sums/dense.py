"""The effective weight of a family: where its matrices are small, or fall into small blocks, one product beats many strided views.

The entry of the effective weight at (output o, input i) is the c_out × c_in matrix ``Σ_d D_d[o, i] weight[d]``. It depends only on the
column ``(D_d[o, i])_d``, and few columns differ. Inputs whose columns are the same at every output, up to one sign, can be added first;
outputs likewise copied last (the cross product of SO(3) has three inputs, not nine). What is then joined by nonzero entries forms the
components of a bipartite graph: with one component the weight is dense; with many (for O(n) the parities of how often each value occurs,
for Sp(n) the weights of the torus, both kept by every diagram) it is block diagonal, with a small part of the arithmetic.

Laws: both layouts of a family give the same map.

>>> from catlearn.maps.sums.family import Element, Family
>>> pairs = [((0, 1), (2, 3)), ((0, 2), (1, 3)), ((0, 3), (1, 2))]
>>> layout(Family((3, 3), (3, 3), tuple(Element(deltas=p) for p in pairs)), blocks=True)
Layout(9 inputs, 9 outputs, 21 of 81 entries in 4 blocks)
>>> layout(Family((3, 3), (3,), (Element(coupons=(((0,), (1,), (2,)),)),)), blocks=True)
Layout(9 inputs as 3, 3 outputs, 3 of 27 entries in 3 blocks)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np

from catlearn import errors
from catlearn.maps.sums.entries import MOST, coordinates
from catlearn.maps.sums.family import Family


@dataclass(frozen=True, eq=False)
class Group:
    """Blocks of one shape: the inputs (m, p) and outputs (m, q) of each, and which column stands at each entry (m, q, p).

    Blocks that are all equal are kept once: their columns are (1, q, p).
    """

    ins: np.ndarray
    outs: np.ndarray
    columns: np.ndarray


@dataclass(frozen=True, eq=False)
class Terms:
    """Points as signed sums of axis positions: (terms, points) each. Every position occurs once, or not at all."""

    positions: np.ndarray
    signs: np.ndarray
    size: int

    def __str__(self) -> str:
        points = self.positions.shape[1]
        return f"{self.size}" if len(self.positions) == 1 else f"{self.size} as {points}"


@dataclass(frozen=True, eq=False, repr=False)
class Layout:
    """The blocks of a family's effective weight, between points of the inputs and of the outputs; ``columns`` are rows (columns, D)."""

    ins: Terms
    outs: Terms
    groups: tuple[Group, ...]
    columns: np.ndarray

    @property
    def entries(self) -> int:
        """How many entries all blocks have together: the multiplications for one token and one pair of channels."""
        return sum(group.ins.size * group.outs.shape[1] for group in self.groups)

    def gathered(self, which: str) -> int:
        """How many positions are gathered to bring the ``ins`` or ``outs`` into the order of the blocks: none if they are in it."""
        terms: Terms = getattr(self, which)
        order = np.concatenate([getattr(group, which).reshape(-1) for group in self.groups] or [np.zeros(0, np.int64)])
        return 0 if np.array_equal(terms.positions[:, order], np.arange(terms.size)[None]) else terms.positions.size

    def __repr__(self) -> str:
        blocks = sum(len(group.ins) for group in self.groups)
        return (f"Layout({_counted('input', self.ins)}, {_counted('output', self.outs)}, "
                f"{self.entries} of {self.ins.size * self.outs.size} entries in {blocks} block{'s' * (blocks != 1)})")  # fmt: skip


def _counted(what: str, terms: Terms) -> str:
    folded = f" as {terms.positions.shape[1]}" if len(terms.positions) > 1 else ""
    return f"{terms.size} {what}{'s' * (terms.size != 1)}{folded}"


@lru_cache(maxsize=128)
def layout(family: Family, blocks: bool) -> Layout:
    """The layout of a family: one dense block, or the components of its nonzero entries, blocks of one shape together.

    Raises ``BadSymmetry`` if the table of all entries of all elements would have more than 2^22 numbers.
    """
    inputs, outputs, count = prod(family.ins), prod(family.outs), len(family.elements)
    if inputs * outputs * max(count, 1) > MOST:
        raise errors.BadSymmetry(f"the effective weight has {outputs:,} × {inputs:,} entries from {count} elements",
                                 [f"a table of them all would have {outputs * inputs * count:,} numbers; the limit is {MOST:,}"],
                                 'choose strategy="diagrams"')  # fmt: skip
    grid, columns, negative = _grid(family, outputs, inputs)
    if not blocks:
        ins, outs = (Terms(np.arange(size)[None], np.ones((1, size), np.int64), size) for size in (inputs, outputs))
        return Layout(ins, outs, (Group(np.arange(inputs)[None], np.arange(outputs)[None], grid[None]),), columns)
    ins = _folded(grid.T, negative)
    grid = grid[:, ins.positions[0]]
    outs = _folded(grid, negative)
    grid = grid[outs.positions[0]]
    shapes: dict[tuple[int, int], list[tuple[np.ndarray, np.ndarray]]] = {}
    for o, i in _components(*np.nonzero(columns[grid].any(2))):
        shapes.setdefault((len(i), len(o)), []).append((o, i))
    groups = []
    for _, same in sorted(shapes.items()):
        tables = np.stack([grid[np.ix_(o, i)] for o, i in same])
        groups.append(
            Group(np.stack([i for _, i in same]), np.stack([o for o, _ in same]), tables[:1] if (tables == tables[0]).all() else tables)
        )
    return Layout(ins, outs, tuple(groups), columns)


def _grid(family: Family, outputs: int, inputs: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The number of the column at each (output, input), the different columns with their negatives, and the number of each's negative."""
    out, into, owner, values = coordinates(family)
    where, entry = np.unique(out * inputs + into, return_inverse=True)
    table = np.zeros((len(where) + 1, len(family.elements)), np.int64)  # the last is the column of zeros
    np.add.at(table, (entry, owner), values)
    columns, number = np.unique(np.concatenate([table, -table]), axis=0, return_inverse=True)
    number = number.reshape(-1)
    negative = np.empty(len(columns), np.int64)
    negative[number[: len(table)]], negative[number[len(table) :]] = number[len(table) :], number[: len(table)]
    grid = np.full(outputs * inputs, number[len(where)])
    grid[where] = number[: len(where)]
    return grid.reshape(outputs, inputs), columns, negative


def _folded(lines: np.ndarray, negative: np.ndarray) -> Terms:
    """The lines (a row of column numbers each) that are not zero, equal ones up to sign as one point, if all points get equally many."""
    zero = negative == np.arange(len(negative))
    used = np.flatnonzero(~zero[lines].all(1))
    if not len(used):
        return Terms(used[None], used[None], len(lines))
    leading = lines[used, (~zero[lines[used]]).argmax(1)]
    flipped = leading > negative[leading]  # each point is normal when its first entry comes before its negative
    normal = np.where(flipped[:, None], negative[lines[used]], lines[used])
    _, point, counts = np.unique(normal, axis=0, return_inverse=True, return_counts=True)
    point = point.reshape(-1)
    if len(counts) == len(used) or (counts != counts[0]).any():
        return Terms(used[None], np.ones((1, len(used)), np.int64), len(lines))
    order = np.lexsort((flipped, point)).reshape(len(counts), -1)  # terms that are normal come first, so that points look alike
    order = order[np.argsort(order.min(1))].T  # points by their first position
    signs = np.where(flipped[order], -1, 1)
    return Terms(used[order], signs * signs[0], len(lines))


def _components(out: np.ndarray, into: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """The outputs and inputs of each connected component of the bipartite graph with these edges."""
    if not len(out):
        return []
    shift = out.max() + 1
    label = np.arange(shift + into.max() + 1)
    while True:  # every edge pulls both ends to the lower label; pointer doubling makes the rounds few
        least = np.minimum(label[out], label[into + shift])
        lower = label.copy()
        np.minimum.at(lower, out, least)
        np.minimum.at(lower, into + shift, least)
        lower = lower[lower]
        if (lower == label).all():
            break
        label = lower
    return [(np.unique(out[at]), np.unique(into[at])) for at in (label[out] == root for root in np.unique(label[out]))]
