"""A family of plain elements in ordinary torch operations, for compilers: what lies between the products becomes a few fused loops.

The steps are those of a plan, one tensor a pattern: contractions, one product for all turns of a waist, and sums of broadcasts and
diagonals, which a compiler writes into the result in one pass. Compilers also derive the backward pass from it. It pays while one element
of the batch stays in the cache; beyond that ``operator`` is better, whose kernels walk the batch in chunks.

>>> from catlearn.maps.sums.family import Element, Family
>>> sums = Family((3,), (3,), (Element(((0,), (1,))), Element(((0, 1),))))
>>> layer(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[[10.0]], [[1.0]]]), None, sums.text).flatten().tolist()
[61.0, 62.0, 63.0]
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from catlearn.maps.outliving import constant
from catlearn.maps.sums.family import Family
from catlearn.maps.sums.patterns import Side, laid
from catlearn.maps.sums.spread import inverse
from catlearn.maps.sums.weights import structure

CACHED = 1 << 16  # numbers of x and y for one element of the batch, at most
ELEMENTS = 64  # in a family, at most: a compiler needs time for every pattern
Steps = tuple[Any, ...]


def worthwhile(family: Family, c_in: int, c_out: int) -> bool:
    """Whether a compiler gains by seeing the operations; the same for every batch."""
    return 0 < len(family.elements) <= ELEMENTS and prod(family.ins) * c_in + prod(family.outs) * c_out < CACHED


@constant
def steps(family: str) -> Steps:
    """The plan of a family, given as text, in nested tuples of numbers, which a compiler takes as constants."""
    return _steps(family)


@lru_cache(maxsize=256)
def _steps(text: str) -> Steps:
    family = Family.read(text)
    made, known = structure(family), dict(enumerate(dict.fromkeys(family.sizes)))
    links = [
        [(i, link.parent + k, link.level, link.child + k, link.axes)
         for i, level in enumerate(side.levels) for link in level.links for k in range(link.count)]
        for side in (made.ins, made.outs)]  # fmt: skip
    links[1].sort(key=lambda link: (-link[0], len(link[4])))  # what is added to others is complete, diagonals come last
    sizes = tuple(tuple(known[kind] for kind in level.kinds) for level in made.outs.levels)
    waists = tuple(
        (made.ins.find(waist.kinds), made.outs.find(waist.kinds), cells, waist.turns, waist.table)
        for waist, cells in zip(made.waists, made.cells, strict=True)
    )
    return tuple(links[0]), tuple(links[1]), order(made.ins), order(made.outs), sizes, waists, made.biases


def order(side: Side) -> tuple[int, ...]:
    """The axis of the given tensor that each crossing block of the root is."""
    blocks = side.levels[0].patterns[0].crossing
    return tuple(laid(blocks, side.kinds).index(block) for block in blocks)


def layer(x: Tensor, weight: Tensor, bias: Tensor | None, family: str) -> Tensor:
    """y (*batch, *outs, c_out) of x (*batch, *ins, c_in)."""
    down, up, order_in, order_out, sizes, waists, biases = steps(family)
    first, c_out = x.dim() - len(order_in) - 1, weight.shape[1]
    flat = x.reshape(prod(x.shape[:first]), *x.shape[first:])
    features = {(0, 0): turned(flat, order_in)}
    for level, parent, below, child, axes in down:
        whole = features[level, parent]
        features[below, child] = whole.sum(axes[0] + 1) if len(axes) == 1 else diagonal(whole, axes).movedim(-1, axes[0] + 1)
    results: dict[tuple[int, int], Tensor] = {}
    for source, target, cells, turns, table in waists:
        given = [features[source, number] for number in range(cells[1])] if source else [flat]
        for number, part in enumerate(mixed(given, weight, cells, turns, table)):
            results[target, number] = part if target else turned(part, order_out)
    for number, pattern in enumerate(biases if bias is not None else ()):
        place, row = (len(sizes) - 1, pattern), bias[number]  # pyright: ignore[reportOptionalSubscript]
        results[place] = results[place] + row if place in results else row.expand(len(flat), c_out)
    for level, parent, below, child, axes in up:
        if (below, child) in results:
            whole = results.get((level, parent), flat.new_zeros(len(flat), *sizes[level], c_out))
            results[level, parent] = added(whole, results[below, child], axes)
    return turned(results[0, 0], inverse(order_out)).reshape(*x.shape[:first], *(sizes[0][i] for i in inverse(order_out)), c_out)


def mixed(given: list[Tensor], weight: Tensor, cells: tuple[int, ...], turns: tuple, table: tuple[int, ...]) -> list[Tensor]:
    """The patterns of the output at one waist: one product for all turns, of which each is turned back."""
    count, c_out, c_in = weight.shape
    some = torch.cat([weight, weight.new_zeros(1, c_out, c_in)]) if -1 in table else weight
    many, sources, targets = cells
    each = [table[(t * sources + p) * targets + q] for t in range(many) for q in range(targets) for p in range(sources)]
    which = [count if number < 0 else number for number in each]
    some = some.narrow(0, which[0], len(which)) if which == list(range(which[0], which[0] + len(which))) else some[which]
    rows = some.view(many * targets, sources, c_out, c_in).transpose(1, 2).reshape(many * targets * c_out, sources * c_in)
    parts = linear(torch.cat(given, -1), rows).split(c_out, -1)  # rows of the weight are copied whole, which vectorises
    return [
        sum((turned(parts[i * cells[2] + number], turn) for i, turn in enumerate(turns[1:], 1)), turned(parts[number], turns[0]))
        for number in range(cells[2])
    ]


def added(whole: Tensor, part: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Plus one part, the same everywhere on an axis, or on the diagonal of two."""
    if len(axes) == 1:
        return whole + part.unsqueeze(axes[0] + 1)
    return torch.diagonal_scatter(whole, diagonal(whole, axes) + part.movedim(axes[0] + 1, -1), 0, axes[0] + 1, axes[1] + 1)


def diagonal(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Where two axes (not counting the batch) agree, at the end."""
    return x.diagonal(0, axes[0] + 1, axes[1] + 1)


def turned(x: Tensor, turn: tuple[int, ...]) -> Tensor:
    """Axis j (not counting batch and channels) shows what was axis turn[j]."""
    return x if turn == tuple(range(len(turn))) else x.permute(0, *(axis + 1 for axis in turn), len(turn) + 1)
