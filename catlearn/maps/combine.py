"""The kinds of maps that are made of maps; ``catlearn.maps.algebra`` has the functions that make them.

>>> from catlearn.maps import dense
>>> A = dense("A", 2, 3)
>>> (A >> dense("B", 4, 2)).T.parts
(Bᵀ, Aᵀ)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import prod
from typing import TYPE_CHECKING, Any

from catlearn.maps.base import Map
from catlearn.maps.given import Shape
from catlearn.maps.leaves import times_vector
from catlearn.maps.tape import LETTERS

if TYPE_CHECKING:
    from catlearn.maps.planner import Builder


def vectors(b: Builder, maps: Sequence[Map]) -> list[int] | None:
    """The diagonals of maps that all are diagonal; None at the first that is not, before the steps of others are written."""
    found = []
    for f in maps:
        if (vector := f.vector(b)) is None:
            return None
        found.append(vector)
    return found


@dataclass(frozen=True, repr=False)
class Many(Map):
    """A map made of several."""

    maps: tuple[Map, ...]

    @property
    def parts(self) -> tuple[Map, ...]:
        return self.maps


@dataclass(frozen=True, repr=False)
class Compose(Many):
    """First the first, then the next."""

    level = 1

    @property
    def dom(self) -> Shape:
        return self.maps[0].dom

    @property
    def cod(self) -> Shape:
        return self.maps[-1].cod

    def emit(self, b: Builder, x: int) -> int:
        return b.chain(self.maps, x)

    def matrix(self, b: Builder) -> int:
        return b.product(self.maps)

    def vector(self, b: Builder) -> int | None:
        found = vectors(b, self.maps)
        return None if found is None else reduce(lambda u, v: times_vector(b, u, v), found)

    @property
    def T(self) -> Map:
        return Compose(tuple(f.T for f in reversed(self.maps)))

    @property
    def rank_bound(self) -> int:
        return min(f.rank_bound for f in self.maps)

    def __str__(self) -> str:
        return " >> ".join(f.shown(2) for f in self.maps)


@dataclass(frozen=True, repr=False)
class Tensor(Many):
    """The Kronecker product."""

    level = 2

    @property
    def dom(self) -> Shape:
        return tuple(n for f in self.maps for n in f.dom)

    @property
    def cod(self) -> Shape:
        return tuple(n for f in self.maps for n in f.cod)

    def emit(self, b: Builder, x: int) -> int:
        return b.tensor(self.maps, x)

    def matrix(self, b: Builder) -> int:
        found, rows, columns = b.matrix(self.maps[0]), len(self.maps[0].cod), len(self.maps[0].dom)
        for f in self.maps[1:]:
            letters = LETTERS[: rows + columns + len(f.cod) + len(f.dom)]
            left, right = letters[: rows + columns], letters[rows + columns :]
            out = left[:rows] + right[: len(f.cod)] + left[rows:] + right[len(f.cod) :]
            found = b.tape.einsum((left, right), out, found, b.matrix(f))
            rows, columns = rows + len(f.cod), columns + len(f.dom)
        return found

    @property
    def T(self) -> Map:
        return Tensor(tuple(f.T for f in self.maps))

    @property
    def rank_bound(self) -> int:
        return prod(f.rank_bound for f in self.maps)

    def __str__(self) -> str:
        return " ⊗ ".join(f.shown(3) for f in self.maps)


@dataclass(frozen=True, repr=False)
class Sum(Many):
    """The sum of parallel maps."""

    level = 0

    @property
    def dom(self) -> Shape:
        return self.maps[0].dom

    @property
    def cod(self) -> Shape:
        return self.maps[0].cod

    def emit(self, b: Builder, x: int) -> int:
        vector = self.vector(b) if b.chooses else None
        return b.sum(self.maps, x) if vector is None else times_vector(b, vector, x)

    def matrix(self, b: Builder) -> int:
        return reduce(b.tape.add, (b.matrix(f) for f in self.maps))

    def vector(self, b: Builder) -> int | None:
        found = vectors(b, self.maps)
        return None if found is None else reduce(b.tape.add, found)

    @property
    def T(self) -> Map:
        return Sum(tuple(f.T for f in self.maps))

    @property
    def rank_bound(self) -> int:
        return min(super().rank_bound, sum(f.rank_bound for f in self.maps))

    def __str__(self) -> str:
        return " + ".join(f.shown(1) for f in self.maps).replace("+ -1·", "- ").replace("+ -", "- ")


@dataclass(frozen=True, repr=False)
class Scaled(Map):
    """A multiple by a known number, an integer, a fraction or a float."""

    factor: Any
    of: Map
    level = 2

    @property
    def dom(self) -> Shape:
        return self.of.dom

    @property
    def cod(self) -> Shape:
        return self.of.cod

    @property
    def parts(self) -> tuple[Map, ...]:
        return (self.of,)

    def emit(self, b: Builder, x: int) -> int:
        return b.tape.scale(b.apply(self.of, x), self.factor)

    def matrix(self, b: Builder) -> int:
        return b.tape.scale(b.matrix(self.of), self.factor)

    def vector(self, b: Builder) -> int | None:
        vector = self.of.vector(b)
        return None if vector is None else b.tape.scale(vector, self.factor)

    @property
    def T(self) -> Map:
        return Scaled(self.factor, self.of.T)

    @property
    def rank_bound(self) -> int:
        return self.of.rank_bound if self.factor else 0

    def __str__(self) -> str:
        return f"{self.factor}·{self.of.shown(3)}"


@dataclass(frozen=True, repr=False)
class Block(Map):
    """A grid of maps between flat spaces: outputs are the rows one after the other, inputs the columns. None stands for zero."""

    grid: tuple[tuple[Map | None, ...], ...]
    rows: Shape
    columns: Shape

    @property
    def dom(self) -> Shape:
        return (sum(self.columns),)

    @property
    def cod(self) -> Shape:
        return (sum(self.rows),)

    @property
    def parts(self) -> tuple[Map, ...]:
        return tuple(f for row in self.grid for f in row if f is not None)

    def emit(self, b: Builder, x: int) -> int:
        starts = [sum(self.columns[:j]) for j in range(len(self.columns))]
        pieces = [b.tape.gather(x, 0, range(s, s + n)) for s, n in zip(starts, self.columns, strict=True)]
        outs = []
        for row, n in zip(self.grid, self.rows, strict=True):
            found = b.tape.zeros((n,), b.tape.lead(x))
            for f, piece in zip(row, pieces, strict=True):
                if f is not None:
                    found = b.tape.add(found, b.tape.reshape(b.apply(f, b.tape.reshape(piece, f.dom)), (n,)))
            outs.append(found)
        return b.tape.concat(outs)

    def matrix(self, b: Builder) -> int:
        bands = []
        for row, n in zip(self.grid, self.rows, strict=True):
            cells = [b.tape.zeros((n, m), ()) if f is None else b.tape.reshape(b.matrix(f), (n, m))
                     for f, m in zip(row, self.columns, strict=True)]  # fmt: skip
            bands.append(b.tape.concat(cells, 1))
        return b.tape.concat(bands, 0)

    @property
    def T(self) -> Map:
        grid = tuple(tuple(f.T if f is not None else None for f in column) for column in zip(*self.grid, strict=True))
        return Block(grid, self.columns, self.rows)

    @property
    def rank_bound(self) -> int:
        return min(super().rank_bound, sum(f.rank_bound for f in self.parts))

    def __str__(self) -> str:
        if all((f is None) == (i != j) for i, row in enumerate(self.grid) for j, f in enumerate(row)):
            return " ⊕ ".join(f.shown(3) for f in self.parts)
        return "[" + "; ".join(", ".join("0" if f is None else str(f) for f in row) for row in self.grid) + "]"
