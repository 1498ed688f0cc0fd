"""``blocks``: a block-diagonal map whose blocks are one parameter, applied as one batched product; ``noise``: where dropout acts.

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

import torch

from catlearn import errors
from catlearn.core.op import Init, Param
from catlearn.maps.base import Map
from catlearn.maps.given import Shape, parameter, space
from catlearn.maps.leaves import Endo, times_vector
from catlearn.maps.tape import TOKENS

if TYPE_CHECKING:
    from catlearn.maps.planner import Builder
    from catlearn.maps.tape import Tape


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


LEVELS = 1 << 16  # of a random number of 16 bits


@dataclass(frozen=True, repr=False)
class Noise(Endo):
    """The identity, at whose place entries are dropped with probability ``rate`` while training; the same ones for one name.

    A plan reads it as the identity, that of an ``Affine`` with noise as a product with a tensor of noise.
    """

    rate: float
    name: str = "drop"

    def register(self, tape: Tape) -> int:
        """The noise, one entry for each of each vector."""
        return tape.input(self.space, str(self), (TOKENS,))

    def draw(self, x: torch.Tensor) -> torch.Tensor:
        """Noise for vectors x (tokens, \\*space): 0 with probability ``rate``, else what makes its mean 1.

        On a CPU four entries are read off each random word, three times as fast as ``bernoulli_``; the rate is then the nearest multiple
        of 1/65536, and the mean still 1.
        """
        shape = (x.shape[0], *self.space)
        watched = torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()
        if watched or x.device.type != "cpu" or type(x) not in (torch.Tensor, torch.nn.Parameter):
            return x.new_empty(shape).bernoulli_(1 - self.rate).div_(1 - self.rate)
        count, dropped = math.prod(shape), min(round(self.rate * LEVELS), LEVELS - 1)
        words = torch.empty(-(-count // 4), dtype=torch.int64).random_(torch.iinfo(torch.int64).min, None)  # all 64 bits
        entries = words.view(torch.int16)[:count].view(shape)
        return (entries >= dropped - LEVELS // 2).to(x.dtype).mul_(LEVELS / (LEVELS - dropped))

    def emit(self, b: Builder, x: int) -> int:
        if not b.noise:
            return x
        if b.tape.lead(x) != (TOKENS,):
            raise errors.BadMap(f"{self} acts on parts of vectors", ["dropout inside a product of maps"], "put it before or after")
        return times_vector(b, self.register(b.tape), x)

    def matrix(self, b: Builder) -> int:
        if b.noise:
            raise errors.BadMap(f"{self} is written out", ["dropout differs from vector to vector"], "put it before or after")
        return b.tape.eye(self.space)

    @property
    def T(self) -> Map:
        return self

    def __str__(self) -> str:
        return f"{self.name}({self.rate})"


def blocks(name: str, n: int, rows: int, columns: int, init: Any = None, trainable: bool = True) -> Map:
    """A block-diagonal map R^n ⊗ R^columns → R^n ⊗ R^rows, its parameter of shape (n, rows, columns); starts uniform."""
    shape = space((n, rows, columns), f"blocks {name!r}")
    if not all(shape):
        raise errors.BadMap(f"blocks {name!r}: {shape}", ["needed: n, rows and columns of at least 1"])
    bound = 1 / math.sqrt(columns)
    return Blocks(name, parameter(name, shape, Init("uniform", (-bound, bound)) if init is None else init, trainable, "blocks"))


def noise(dom: Any, rate: float) -> Map:
    """Where dropout acts inside a map; ``rate`` 0 is the identity itself."""
    from catlearn.maps.leaves import Identity

    if not 0 <= rate < 1:
        raise errors.BadMap(f"noise with rate {rate!r}", ["needed: a rate from 0 up to, but not, 1"])
    return Noise(space(dom, "noise"), float(rate)) if rate else Identity(space(dom, "noise"))
