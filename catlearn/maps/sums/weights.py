"""Where each weight of a family stands in the matrices of the waists, one matrix after the other, gathered by rows of c_in numbers.

There are two orders: (turn, output pattern, c_out) × (input pattern, c_in), and (output pattern, c_out) × (turn, input pattern, c_in).
A product reads a matrix as it is or transposed, so either direction has what it needs: turns among the rows or among the columns.

>>> from catlearn.maps.sums.family import Element, Family
>>> swaps = Family((3, 3), (3, 3), (Element(((0, 2), (1, 3))), Element(((0, 3), (1, 2)))))
>>> index(swaps, 2, False, torch.device("cpu")).tolist(), index(swaps, 2, True, torch.device("cpu")).tolist()
([0, 1, 2, 3], [0, 2, 1, 3])
>>> matrices(swaps, torch.tensor([[[1.0], [2.0]], [[3.0], [4.0]]]), (True,))
tensor([1., 3., 2., 4.])
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from catlearn.maps.outliving import lasting
from catlearn.maps.sums.family import Family
from catlearn.maps.sums.patterns import Skeleton, skeleton_of


@lru_cache(maxsize=1024)
def structure(family: Family) -> Skeleton:
    """The structure of a family of plain elements; raises ``BadMap`` if there is none."""
    kinds = {size: kind for kind, size in enumerate(dict.fromkeys(family.sizes))}
    outs, ins = (tuple(kinds[size] for size in sizes) for sizes in (family.outs, family.ins))
    return skeleton_of(outs, ins, tuple(e.deltas for e in family.elements), tuple(e.deltas for e in family.biases))


@lru_cache(maxsize=1024)
def index(family: Family, c_out: int, inner: tuple[bool, ...] | bool, device: torch.device) -> Tensor:
    """For each row in the matrices the number of its row of the weight, one past the last where no element stands.

    ``inner``: for each waist whether its turns stand beside the inputs, rather than the outputs.
    """
    with lasting():
        return _index(family, c_out, inner).to(device)


def _index(family: Family, c_out: int, inner: tuple[bool, ...] | bool) -> Tensor:
    blocks, count, skeleton = [], len(family.elements), structure(family)
    inners = (inner,) * len(skeleton.waists) if isinstance(inner, bool) else inner
    for waist, cells, beside in zip(skeleton.waists, skeleton.cells, inners, strict=True):
        numbers = torch.tensor(waist.table, dtype=torch.int32).view(*cells, 1)
        rows = torch.where(numbers < 0, count * c_out, numbers * c_out + torch.arange(c_out, dtype=torch.int32))
        blocks.append(rows.permute((2, 3, 0, 1) if beside else (0, 2, 3, 1)).flatten())
    return torch.cat([torch.empty(0, dtype=torch.int32), *blocks])


@lru_cache(maxsize=1024)
def places(family: Family, c_out: int, device: torch.device) -> Tensor:
    """For each row of the weight its row in the matrices whose turns stand beside the outputs."""
    with lasting():
        found = index(family, c_out, False, torch.device("cpu")).long()
        inverse = torch.empty(len(family.elements) * c_out + 1, dtype=torch.int32)
        inverse[found] = torch.arange(len(found), dtype=torch.int32)
        return inverse[:-1].to(device)


def matrices(family: Family, weight: Tensor, inner: tuple[bool, ...]) -> Tensor:
    """The matrices of a weight (elements, c_out, c_in), one after the other."""
    count, c_out, c_in = weight.shape
    rows, order = weight.reshape(count * c_out, c_in), index(family, c_out, inner, weight.device)
    if len(order) > len(rows):
        rows = torch.cat([rows, rows.new_zeros(1, c_in)])
    return rows.index_select(0, order).view(-1)


def collected(family: Family, gradients: Tensor, c_in: int, c_out: int) -> Tensor:
    """The gradient of the weight from those of the matrices whose turns stand beside the outputs."""
    if not c_in:
        return gradients.new_zeros(len(family.elements), c_out, 0)
    found = gradients.view(-1, c_in).index_select(0, places(family, c_out, gradients.device))
    return found.view(len(family.elements), c_out, c_in)
