"""The tensors of a layout on one device, and the linear maps they stand for: reading x, writing y, weights to blocks and back.

Laws: ``Side.write`` is the transpose of ``Side.read``, ``fold`` of ``expand``.

>>> from catlearn.maps.sums.family import Element, Family
>>> cross = Family((3, 3), (3,), (Element(coupons=(((0,), (1,), (2,)),)),))
>>> t = tables(cross, True, 1, torch.float32, torch.device("cpu"))
>>> t.ins.read(torch.tensor([[0.0, 1, 2, 3, 4, 5, 6, 7, 8]]).unsqueeze(-1)).flatten().tolist()
[2.0, -4.0, 2.0]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from catlearn.maps.outliving import constant, lasting, watched
from catlearn.maps.sums.dense import Terms, layout
from catlearn.maps.sums.entries import coordinates
from catlearn.maps.sums.family import Family

FEW = 4  # elements, at most, whose one dense block may be a product with their entries
LONG = 128  # tokens from which one call for each point costs less than one pass more over all of them
LONGER = 1 << 10  # the same for writing, where signs and gaps take two passes more, but every position a call


@dataclass(frozen=True, eq=False)
class Side:
    """The inputs or the outputs: the points in the order of the blocks, each a signed sum of positions on the axes.

    ``positions``: the position of each point, one tuple a term; ``take``: the same as tensors;
    ``signs``: those of the further terms, a number or (points, 1).
    ``place``: the point of each position, None if points are positions in order; ``back``: its signs; ``gaps``: the positions in no point;
    ``marks``: the point of each position and its sign, 0 in gaps, where both are not trivial.
    """

    size: int
    points: int
    positions: tuple[tuple[int, ...], ...]
    take: tuple[Tensor, ...]
    signs: tuple[Tensor | float, ...]
    place: Tensor | None
    back: Tensor | None
    gaps: Tensor | None
    marks: tuple[tuple[int, float], ...] = ()

    def read(self, x: Tensor) -> Tensor:
        """The points (tokens, points, c) of (tokens, positions, c)."""
        if self.place is None:
            return x
        made = x.index_select(1, self.take[0])
        for take, sign in zip(self.take[1:], self.signs, strict=True):
            term = x.index_select(1, take)
            made = made + term * sign
        return made

    def write(self, made: Tensor) -> Tensor:
        """The transpose: each position gets its point, with its sign, or zero."""
        if self.place is None:
            return made
        y = made.index_select(1, self.place)
        y = y if self.back is None else y * self.back
        return y if self.gaps is None else y.index_fill(1, self.gaps, 0.0)

    def read_into(self, x: Tensor, buffer: Tensor) -> Tensor:
        """``read`` in place of a buffer (tokens, points, c); x itself where nothing is to be gathered."""
        if self.place is None:
            return x
        if len(self.signs) == 1 and isinstance(self.signs[0], float) and len(x) >= LONG:
            given = x.unbind(1)
            for to, a, b in zip(buffer.unbind(1), *self.positions, strict=True):
                torch.add(given[a], given[b], alpha=self.signs[0], out=to)
            return buffer
        torch.index_select(x, 1, self.take[0], out=buffer)
        for take, sign in zip(self.take[1:], self.signs, strict=True):
            term = x.index_select(1, take)
            buffer.addcmul_(term, sign) if isinstance(sign, Tensor) else buffer.add_(term, alpha=sign)
        return buffer

    def write_from(self, buffer: Tensor, y: Tensor) -> None:
        """``write`` into y."""
        if self.place is not None and self.marks and len(y) >= LONGER:
            given = buffer.unbind(1)
            for to, (point, sign) in zip(y.unbind(1), self.marks, strict=True):
                torch.mul(given[point], sign, out=to) if sign else to.zero_()
        elif self.place is not None:
            torch.index_select(buffer, 1, self.place, out=y)
            if self.back is not None:
                y.mul_(self.back)
            if self.gaps is not None:
                y.index_fill_(1, self.gaps, 0.0)


@dataclass(frozen=True, eq=False)
class Tables:
    """Both sides; (blocks, inputs, outputs, different blocks) for each group; how weights expand to blocks; the matrix of the biases.

    ``rows`` picks the rows of all blocks from ``columns @ weight`` seen as (columns · c_out, c_in), ``ordered`` says that these are the
    blocks as they are; ``pairs`` the columns of all entries; ``whole`` says that the one block is everything, in order; ``equal`` that
    all blocks are one, and fill their buffers; ``direct`` are the entries (outputs · inputs, D) of a whole block of few elements.
    """

    shapes: tuple[tuple[int, int, int, int], ...]
    whole: bool
    equal: bool
    ins: Side
    outs: Side
    columns: Tensor
    rows: Tensor
    pairs: Tensor
    bias: Tensor
    direct: Tensor | None = None
    ordered: bool = False

    @property
    def T(self) -> Tables:
        """Inputs and outputs exchanged, for blocks that are transposed."""
        return replace(self, shapes=tuple((m, q, p, d) for m, p, q, d in self.shapes), ins=self.outs, outs=self.ins)


Numbers = tuple[Any, ...]


_KEPT: dict[tuple[Any, ...], Tables] = {}


def tables(family: Family | str, blocks: bool, c_out: int, dtype: torch.dtype, device: torch.device) -> Tables:
    """The tensors for a family; they depend on no weight. Kept, unless a compiler or a mode traces, which keeps them itself."""
    if torch.compiler.is_compiling() or watched():
        return _tables(numbers(family, blocks), c_out, dtype, device)
    key = family, blocks, c_out, dtype, device
    if (found := _KEPT.get(key)) is None:
        with lasting():
            found = _tables(numbers(family, blocks), c_out, dtype, device)
        if len(_KEPT) >= 256:
            _KEPT.clear()
        _KEPT[key] = found
    return found


@constant
def numbers(family: Family | str, blocks: bool) -> Numbers:
    """All that tables hold as nested tuples of plain numbers, which a compiler takes as constants; also of a family as text."""
    return _numbers(Family.read(family) if isinstance(family, str) else family, blocks)


@lru_cache(maxsize=256)
def _numbers(family: Family, blocks: bool) -> Numbers:
    made = layout(family, blocks)
    shapes = tuple((*group.ins.shape, group.outs.shape[1], len(group.columns)) for group in made.groups)
    equal = len(shapes) == 1 and shapes[0][3] == 1
    sides = [_side(terms, [getattr(group, name) for group in made.groups]) for name, terms in (("ins", made.ins), ("outs", made.outs))]
    out, _, owner, values = coordinates(family, bias=True)
    bias = np.zeros((made.outs.size, len(family.biases)), np.int64)
    np.add.at(bias, (out, owner), values)
    pairs = tuple(tuple(group.columns.reshape(-1).tolist()) for group in made.groups)
    return (
        shapes,
        not blocks,
        equal,
        *sides,
        made.columns.shape,
        tuple(made.columns.reshape(-1).tolist()),
        pairs,
        bias.shape,
        tuple(bias.reshape(-1).tolist()),
    )


def _side(terms: Terms, parts: list[np.ndarray]) -> Numbers:
    """The points in the order of the blocks: what ``Side`` holds, as numbers."""
    order = np.concatenate([part.reshape(-1) for part in parts] or [np.zeros(0, np.int64)])
    positions, signs = terms.positions[:, order], terms.signs[:, order]
    place, back = np.zeros(terms.size, np.int64), np.ones(terms.size, np.int64)
    place[positions], back[positions] = np.arange(len(order)), signs
    gaps = np.setdiff1d(np.arange(terms.size), positions)
    plain = len(positions) == 1 and np.array_equal(positions[0], np.arange(terms.size))
    further = tuple(float(row[0]) if len(row) and (row == row[0]).all() else tuple(row.tolist()) for row in signs[1:])
    taken = tuple(tuple(row.tolist()) for row in positions)
    put = None if plain else tuple(place.tolist()), None if (back == 1).all() else tuple(back.tolist()), tuple(gaps.tolist())
    return terms.size, len(order), taken, further, *put


def _tables(given: Numbers, c_out: int, dtype: torch.dtype, device: torch.device) -> Tables:
    """Numbers as tensors."""
    shapes, whole, equal, ins, outs, size, columns, pairs, bias_size, bias = given
    channel = torch.arange(c_out, device=device).view(-1, 1)
    found, rows = [], []
    for (_, p, q, d), some in zip(shapes, pairs, strict=True):
        found.append(torch.tensor(some, device=device))
        rows.append((found[-1].view(d, q, 1, p) * c_out + channel).view(-1))
    none = torch.zeros(0, dtype=torch.long, device=device)
    different, constant = (torch.tensor(some, dtype=dtype, device=device).view(of) for of, some in ((size, columns), (bias_size, bias)))
    row, pair = (torch.cat(some) if some else none for some in (rows, found))
    sides = _tensors(ins, dtype, device), _tensors(outs, dtype, device)
    direct = different[pair] if whole and 0 < size[1] <= FEW else None
    used = [*chain(*pairs)]
    plain = all(p == 1 or c_out == 1 for _, p, _, _ in shapes) and 0 < len(used) == len({*used})
    if plain:  # every entry has a column of its own: written in their order, these are the blocks
        different, pair, row = different[pair], torch.arange(len(used), device=device), torch.arange(len(used) * c_out, device=device)
    return Tables(shapes, whole, equal, *sides, different, row, pair, constant, direct, plain)


def _tensors(given: Numbers, dtype: torch.dtype, device: torch.device) -> Side:
    """Numbers of one side as tensors."""
    size, points, positions, further, place, back, gaps = given
    take = [torch.tensor(row, dtype=torch.long, device=device) for row in positions]
    signs = [sign if isinstance(sign, float) else torch.tensor(sign, dtype=dtype, device=device).view(-1, 1) for sign in further]
    marks = tuple(zip(place, (0.0 if at in gaps else float(back[at]) for at in range(size)), strict=True)) if place and back else ()
    return Side(
        size, points, positions, tuple(take), tuple(signs), None if place is None else torch.tensor(place, device=device),
        None if back is None else torch.tensor(back, dtype=dtype, device=device).view(-1, 1),
        torch.tensor(gaps, device=device) if gaps else None, marks,
    )  # fmt: skip


def expand(t: Tables, weight: Tensor) -> tuple[Tensor, ...]:
    """The different blocks (d, q · c_out, p · c_in) of each group, from weight (D, c_out, c_in)."""
    count, c_out, c_in = weight.shape
    rows = torch.mm(t.columns, weight.reshape(count, c_out * c_in)).view(len(t.columns) * c_out, c_in)
    rows = rows if t.ordered else rows.index_select(0, t.rows)
    if len(t.shapes) == 1:
        _, p, q, d = t.shapes[0]
        return (rows.view(d, q * c_out, p * c_in),)
    parts = rows.split([d * q * c_out * p for _, p, q, d in t.shapes])
    return tuple(part.view(d, q * c_out, p * c_in) for part, (_, p, q, d) in zip(parts, t.shapes, strict=True))


def few(entries: Tensor, inputs: int, weight: Tensor) -> Tensor:
    """The block (outputs · c_out, inputs · c_in) with these ``direct`` entries: a product and a copy, and so is its derivative."""
    count, c_out, c_in = weight.shape
    outputs = entries.shape[0] // inputs  # said in numbers: with no channels at all torch could not infer it
    made = torch.mm(entries, weight.reshape(count, c_out * c_in)).view(outputs, inputs, c_out, c_in)
    return made.transpose(1, 2).reshape(outputs * c_out, inputs * c_in)


def fold(t: Tables, blocks: Sequence[Tensor], c_out: int) -> Tensor:
    """The transpose of ``expand``: weight (D, c_out, c_in) from blocks."""
    parts = [block.reshape(d, q, c_out, p, -1).transpose(2, 3).reshape(d * q * p, -1)
             for block, (_, p, q, d) in zip(blocks, t.shapes, strict=True)]  # fmt: skip
    whole = torch.cat(parts) if len(parts) > 1 else parts[0]
    few = whole.new_zeros(len(t.columns), whole.shape[1]).index_add(0, t.pairs, whole)
    return torch.mm(t.columns.T, few).reshape(t.columns.shape[1], c_out, -1)
