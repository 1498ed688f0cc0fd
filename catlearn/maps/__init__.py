"""Structured linear maps: the second language. ``>>`` is "then", ``@`` is ⊗, ``+`` is the sum; every map has a transpose.

A map is an immutable expression. It is applied to a batch by a plan that its algebra allows (``f.plan(tokens)`` shows it), written out
as a matrix (``f.dense()``), or as an exact one (``f.exact()``); ``cl.linear(f)`` makes it a box of a network.

>>> import torch
>>> from catlearn import maps
>>> W, A, B = maps.dense("W", 24, 16, trainable=False), maps.dense("A", 4, 16), maps.dense("B", 24, 4)
>>> lora = W + 2 * (A >> B)
>>> str(lora), lora.apply(torch.ones(5, 16)).shape
('W + 2·(A >> B)', torch.Size([5, 24]))
"""

from catlearn.core.hooks import MEANINGS
from catlearn.maps.algebra import add, block, column_norm, direct_sum, hadamard, kronecker_sum, row_norm, scaled, tensor, then
from catlearn.maps.base import Map, from_data, to_data
from catlearn.maps.drawn import diagram
from catlearn.maps.entries import mask, sparse
from catlearn.maps.leaves import constant, dense, diagonal, identity, scalar, zero
from catlearn.maps.moves import broadcast, contraction, permutation, permute, reshape, selection
from catlearn.maps.plan import Pass, Plan
from catlearn.maps.reflections import reflection
from catlearn.maps.spectral import circulant, cosine, fourier

MEANINGS.setdefault("fresh", "catlearn.meanings.initialise:fresh")

__all__ = [
    "Map", "Pass", "Plan", "add", "block", "broadcast", "circulant", "column_norm", "constant", "contraction", "cosine", "dense",
    "diagonal", "diagram", "direct_sum", "fourier", "from_data", "hadamard", "identity", "kronecker_sum", "mask", "permutation",
    "permute", "reflection", "reshape", "row_norm", "scalar", "scaled", "selection", "sparse", "tensor", "then", "to_data", "zero",
]  # fmt: skip
