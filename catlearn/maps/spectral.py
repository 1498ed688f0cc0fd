"""Maps that are fast by Fourier's transform: ``circulant``, ``fourier``, ``cosine``.

``fourier(n)`` is the real form of the discrete Fourier transform, orthonormal: row 0 is 1/√n, rows 2k−1 and 2k are √(2/n) cos(2πkj/n)
and √(2/n) sin(2πkj/n), and for even n the last row is (−1)ʲ/√n. ``cosine(n)`` is the orthonormal DCT-II.

Laws: both are orthogonal; a circulant commutes with cyclic shifts, and ``fourier(n).T >> circulant >> fourier(n)`` has blocks of size 2.

>>> import torch
>>> c = circulant("c", 3)
>>> c.dense({"c": torch.tensor([[[1.0, 2.0, 3.0]]])})
tensor([[1., 3., 2.],
        [2., 1., 3.],
        [3., 2., 1.]])
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
from catlearn.maps.leaves import Endo
from catlearn.maps.tape import Index

if TYPE_CHECKING:
    from catlearn.maps.planner import Builder


@dataclass(frozen=True, repr=False)
class Circulant(Map):
    """A grid of circulant blocks: block (i, j) has first column ``c[i, j]`` (first row if ``by_rows``), c of shape (rows, columns, n)."""

    name: str
    param: Param
    transposed: bool = False
    by_rows: bool = False

    @property
    def grid(self) -> tuple[int, int, int]:
        """Rows of blocks, columns of blocks, size of a block, as the parameter has them."""
        rows, columns, n = self.param.wire.shape
        return int(rows), int(columns), int(n)  # type: ignore[arg-type]

    @property
    def dom(self) -> Shape:
        rows, columns, n = self.grid
        return ((rows if self.transposed else columns) * n,)

    @property
    def cod(self) -> Shape:
        rows, columns, n = self.grid
        return ((columns if self.transposed else rows) * n,)

    @property
    def own(self) -> Mapping[str, Param]:
        return {self.name: self.param}

    def emit(self, b: Builder, x: int) -> int:
        rows, columns, n = self.grid
        letters = "ji" if self.transposed else "ij"
        if b.plain:
            y = b.tape.einsum((f"{letters}kl", "jl"), "ik", self.blocks(b), b.tape.reshape(x, (self.dom[0] // n, n)))
        else:
            kernel, parts = b.tape.param(self.name, (rows, columns, n)), b.tape.reshape(x, (self.dom[0] // n, n))
            y = b.tape.convolve((letters, "j"), "i", kernel, parts, flips=(self.transposed != self.by_rows, False))
        return b.tape.reshape(y, self.cod)

    def matrix(self, b: Builder) -> int:
        return b.tape.reshape(b.tape.permute(self.blocks(b), (1, 2, 0, 3) if self.transposed else (0, 2, 1, 3)), (*self.cod, *self.dom))

    def blocks(self, b: Builder) -> int:
        """The blocks written out, (rows, columns, n, n), without a list of n² places.

        The kernel n + 1 times, cut into n rows of n + 1, has c[(i + j) mod n] at (i, j) of its first n columns.
        """
        rows, columns, n = self.grid
        many = b.tape.repeat(b.tape.param(self.name, (rows, columns, n)), 2, n + 1)
        sums = b.tape.gather(b.tape.reshape(many, (rows, columns, n, n + 1)), 3, range(n))
        return b.tape.gather(sums, 2 if self.transposed != self.by_rows else 3, Index(-i % n for i in range(n)))

    @property
    def T(self) -> Map:
        return replace(self, transposed=not self.transposed)

    def __str__(self) -> str:
        return f"circulant({self.name}){'ᵀ' * self.transposed}"


@dataclass(frozen=True, repr=False)
class Transform(Endo):
    """An orthonormal transform of one axis by name, ``fourier`` or ``cosine``, or its inverse."""

    name: str
    inverse: bool = False

    def emit(self, b: Builder, x: int) -> int:
        return b.tape.transform(x, self.name, self.inverse)

    @property
    def T(self) -> Map:
        return replace(self, inverse=not self.inverse)

    def __str__(self) -> str:
        return f"{self.name}{'ᵀ' * self.inverse}"


def circulant(
    name: str, n: int, rows: int = 1, columns: int = 1, *, by_rows: bool = False, init: Any = None, trainable: bool = True
) -> Map:
    """A circulant matrix, or a grid of them: parameter (rows, columns, n), the first columns of the blocks; starts uniform.

    ``by_rows``: the parameter holds the blocks' first rows instead.
    """
    shape = space((rows, columns, n), f"circulant {name!r}")
    if not all(shape):
        raise errors.BadMap(f"circulant {name!r}: an empty grid", [f"given {shape}", "needed: rows, columns and n of at least 1"])
    bound = 1 / math.sqrt(n * columns)
    given = Init("uniform", (-bound, bound)) if init is None else init
    return Circulant(name, parameter(name, shape, given, trainable, "circulant"), by_rows=by_rows)


def fourier(n: int) -> Map:
    """The real orthonormal Fourier transform of R^n."""
    return Transform(_one(n, "fourier"), "fourier")


def cosine(n: int) -> Map:
    """The orthonormal discrete cosine transform (DCT-II) of R^n."""
    return Transform(_one(n, "cosine"), "cosine")


def _one(n: int, where: str) -> Shape:
    shape = space(n, where)
    if len(shape) != 1 or not shape[0]:
        raise errors.BadMap(f"{where}: {n!r}", ["needed: one size from 1 on; @ transforms several axes"])
    return shape
