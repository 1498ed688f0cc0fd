"""The entry-wise kinds: the Hadamard product of two maps, and the lengths of a map's rows.

They are linear in the input, as every map is, but not in the parameters of the maps they are made of.

>>> from catlearn.maps import dense, row_norm
>>> A, B = dense("A", 2, 3), dense("B", 2, 3)
>>> A * B, A >> row_norm(A, -1)
(A ∘ B, A >> row_norm(A, -1))
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from catlearn.maps.base import Map
from catlearn.maps.given import Shape, size
from catlearn.maps.leaves import times_matrix, times_vector
from catlearn.maps.low_rank import factors, row_squares
from catlearn.maps.tape import LETTERS, multiply

if TYPE_CHECKING:
    from catlearn.maps.planner import Builder


@dataclass(frozen=True, repr=False)
class Hadamard(Map):
    """The product entry by entry of two parallel maps."""

    left: Map
    right: Map
    level = 2

    @property
    def dom(self) -> Shape:
        return self.left.dom

    @property
    def cod(self) -> Shape:
        return self.left.cod

    @property
    def parts(self) -> tuple[Map, ...]:
        return (self.left, self.right)

    def emit(self, b: Builder, x: int) -> int:
        def written(b: Builder, x: int) -> int:
            return times_matrix(b, self.matrix(b), x, self.dom, self.cod)

        first, second = factors(b, self.left), factors(b, self.right)
        if first is None or second is None or b.plain:
            return written(b, x)

        def rows(b: Builder, x: int) -> int:
            """The row-wise Khatri-Rao product of the factors: rank r₁ r₂."""
            (u, v), (p, q) = factors(b, self.left) or (0, 0), factors(b, self.right) or (0, 0)
            flat = b.tape.reshape(x, (size(self.dom),))
            inner = b.tape.einsum(("i", "rsi"), "rs", flat, b.tape.einsum(("ri", "si"), "rsi", v, q))
            return b.tape.reshape(b.tape.einsum(("rs", "ors"), "o", inner, b.tape.einsum(("or", "os"), "ors", u, p)), self.cod)

        return b.cheapest(("hadamard", self), (rows, written), x)

    def matrix(self, b: Builder) -> int:
        letters = LETTERS[: len(self.dom) + len(self.cod)]
        return b.tape.einsum((letters, letters), letters, b.matrix(self.left), b.matrix(self.right))

    @property
    def T(self) -> Map:
        return Hadamard(self.left.T, self.right.T)

    @property
    def rank_bound(self) -> int:
        return min(super().rank_bound, self.left.rank_bound * self.right.rank_bound)

    def __str__(self) -> str:
        return f"{self.left.shown(3)} ∘ {self.right.shown(3)}"


@dataclass(frozen=True, repr=False)
class RowNorm(Map):
    """The diagonal matrix of the lengths of a map's rows, to a power; ``constant``: no derivative passes through it."""

    of: Map
    exponent: Any = 1
    constant: bool = False

    @property
    def dom(self) -> Shape:
        return self.of.cod

    @property
    def cod(self) -> Shape:
        return self.of.cod

    @property
    def parts(self) -> tuple[Map, ...]:
        return (self.of,)

    def vector(self, b: Builder) -> int:
        lengths = b.tape.power(row_squares(b, self.of), multiply(self.exponent, Fraction(1, 2)))
        return b.tape.stop(lengths) if self.constant else lengths

    def emit(self, b: Builder, x: int) -> int:
        return times_vector(b, self.vector(b), x)

    @property
    def T(self) -> Map:
        return self

    def __str__(self) -> str:
        return f"row_norm({self.of}{f', {self.exponent}' if self.exponent != 1 else ''})"
