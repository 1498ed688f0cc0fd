"""``blocks``: a block-diagonal map whose blocks are one parameter, applied as one batched product.

>>> import torch
>>> f = blocks("P", 2, 1, 3)
>>> f.dom, f.cod, f.apply(torch.ones(5, 2, 3), {"P": torch.ones(2, 1, 3)}).shape
((2, 3), (2, 1), torch.Size([5, 2, 1]))
>>> print(f.dense({"P": torch.tensor([[[1.0, 2.0, 3.0]], [[4.0, 5.0, 6.0]]])}))
tensor([[1., 2., 3., 0., 0., 0.],
        [0., 0., 0., 4., 5., 6.]])
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from catlearn import errors
from catlearn.core.op import Init, Param
from catlearn.maps.base import Map
from catlearn.maps.given import Shape, parameter, space

if TYPE_CHECKING:
    from catlearn.maps.planner import Builder


@dataclass(frozen=True, repr=False)
class Blocks(Map):
    """Block k is row k of a parameter (n, rows, columns); from R^n ⊗ R^columns to R^n ⊗ R^rows."""

    name: str
    param: Param
    transposed: bool = False

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Number of blocks, rows, columns, as the parameter has them."""
        n, rows, columns = self.param.wire.shape
        return int(n), int(rows), int(columns)  # type: ignore[arg-type]

    @property
    def dom(self) -> Shape:
        n, rows, columns = self.sizes
        return (n, rows if self.transposed else columns)

    @property
    def cod(self) -> Shape:
        n, rows, columns = self.sizes
        return (n, columns if self.transposed else rows)

    @property
    def own(self) -> Mapping[str, Param]:
        return {self.name: self.param}

    def emit(self, b: Builder, x: int) -> int:
        letters = "nji" if self.transposed else "nij"
        return b.tape.einsum(("nj", letters), "ni", x, b.tape.param(self.name, self.sizes))

    def matrix(self, b: Builder) -> int:
        """Each block at its place of a matrix of zeros."""
        n, rows, columns = self.sizes
        values = b.tape.reshape(b.tape.param(self.name, self.sizes), (n, rows * columns))
        apart = b.tape.scatter(values, 0, range(0, n * n, n + 1), n * n)
        order = (0, 3, 1, 2) if self.transposed else (0, 2, 1, 3)
        return b.tape.permute(b.tape.reshape(apart, (n, n, rows, columns)), order)

    @property
    def T(self) -> Map:
        return replace(self, transposed=not self.transposed)

    @property
    def rank_bound(self) -> int:
        n, rows, columns = self.sizes
        return n * min(rows, columns)

    def __str__(self) -> str:
        return f"blocks({self.name}){'ᵀ' * self.transposed}"


def blocks(name: str, n: int, rows: int, columns: int, init: Any = None, trainable: bool = True) -> Map:
    """A block-diagonal map R^n ⊗ R^columns → R^n ⊗ R^rows, its parameter of shape (n, rows, columns); starts uniform."""
    shape = space((n, rows, columns), f"blocks {name!r}")
    if not all(shape):
        raise errors.BadMap(f"blocks {name!r}: {shape}", ["needed: n, rows and columns of at least 1"])
    bound = 1 / math.sqrt(columns)
    return Blocks(name, parameter(name, shape, Init("uniform", (-bound, bound)) if init is None else init, trainable, "blocks"))
