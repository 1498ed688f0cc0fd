"""Where each weight of a family stands in the matrices of the waists: the weight, a gather, is one matrix a waist, one after the other.

Forward a matrix is (turn, input pattern, c_in) × (output pattern, c_out), backward (turn, output pattern, c_out) × (input pattern, c_in).

>>> from catlearn.maps.sums.family import Element, Family
>>> sums = Family((3,), (3,), (Element(((0,), (1,))), Element(((0, 1),))))
>>> index(sums, 1, 2, True, torch.device("cpu")).tolist()
[0, 1, 2, 3]
>>> matrices(sums, torch.tensor([[[1.0], [2.0]], [[3.0], [4.0]]]), True)
tensor([1., 2., 3., 4.])
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
def index(family: Family, c_in: int, c_out: int, forward: bool, device: torch.device) -> Tensor:
    """For each place in the matrices the number of its weight, one past the last where no element stands."""
    with lasting():
        return _index(family, c_in, c_out, forward).to(device)


def _index(family: Family, c_in: int, c_out: int, forward: bool) -> Tensor:
    blocks, count, skeleton = [], len(family.elements), structure(family)
    channels = torch.arange(c_out * c_in, dtype=torch.int32).view(c_out, c_in)
    for waist, cells in zip(skeleton.waists, skeleton.cells, strict=True):
        numbers = torch.tensor(waist.table, dtype=torch.int32).view(*cells, 1, 1)
        block = torch.where(numbers < 0, count * c_out * c_in, numbers * (c_out * c_in) + channels)
        blocks.append(block.permute((0, 1, 4, 2, 3) if forward else (0, 2, 3, 1, 4)).flatten())
    return torch.cat([torch.empty(0, dtype=torch.int32), *blocks])


@lru_cache(maxsize=1024)
def places(family: Family, c_in: int, c_out: int, device: torch.device) -> Tensor:
    """For each weight its place in the matrices of the backward pass."""
    with lasting():
        found = index(family, c_in, c_out, False, torch.device("cpu")).long()
        inverse = torch.empty(len(family.elements) * c_out * c_in + 1, dtype=torch.int32)
        inverse[found] = torch.arange(len(found), dtype=torch.int32)
        return inverse[:-1].to(device)


def matrices(family: Family, weight: Tensor, forward: bool) -> Tensor:
    """The matrices of a weight (elements, c_out, c_in), one after the other."""
    _, c_out, c_in = weight.shape
    flat, order = weight.reshape(-1), index(family, c_in, c_out, forward, weight.device)
    if len(order) > len(flat):
        flat = torch.cat([flat, flat.new_zeros(1)])
    return flat.index_select(0, order)


def collected(family: Family, gradients: Tensor, c_in: int, c_out: int) -> Tensor:
    """The gradient of the weight from those of the matrices of the backward pass."""
    found = gradients.index_select(0, places(family, c_in, c_out, gradients.device))
    return found.view(len(family.elements), c_out, c_in)
