"""Chains: in which order to multiply ``f₁ >> f₂ >> …``, the vectors it is applied to being one more factor.

Dynamic programming over intervals, as for the matrix chain (Godbole, *On efficient computation of matrix chain products*, 1973), with
two more ways to write an interval out: apply its last map to the columns of the rest, or the transpose of its first map to the rows.

>>> from catlearn.maps import dense
>>> from catlearn.maps.planner import Builder
>>> from catlearn.maps.tape import Tape
>>> wide = dense("A", 100, 8) >> dense("B", 8, 100)
>>> [Chain(Builder(Tape(tokens)), wide.parts).recipe() for tokens in (2, 10_000)]
['x·A·B', 'x·(A·B)']
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, reduce
from typing import Any

from catlearn.maps.base import Map
from catlearn.maps.costs import NEVER
from catlearn.maps.entrywise import RowNorm
from catlearn.maps.given import Shape, size
from catlearn.maps.leaves import Diagonal, times_vector
from catlearn.maps.noise import drops
from catlearn.maps.planner import Builder
from catlearn.maps.reflections import Reflection, reflected
from catlearn.maps.tape import LETTERS

LONG = 16  # longer intervals are cut at their smallest space, nearest to the middle, without weighing every cut
WINDOW = 8  # no more maps than this are multiplied out before they meet the vectors


@dataclass(frozen=True, repr=False)
class Reflections(Map):
    """Neighbouring reflections of a chain, as one step away from the identity."""

    run: tuple[Reflection, ...]

    @property
    def dom(self) -> Shape:
        return self.run[0].dom

    @property
    def cod(self) -> Shape:
        return self.run[0].dom

    @property
    def parts(self) -> tuple[Map, ...]:
        return self.run

    def emit(self, b: Builder, x: int) -> int:
        rows = b.tape.concat([f.rows(b) for f in reversed(self.run)], 0)
        return b.tape.reshape(reflected(b, rows, b.tape.reshape(x, (size(self.dom),))), self.dom)

    @property
    def T(self) -> Map:
        return Reflections(tuple(f.T for f in reversed(self.run)))  # type: ignore[arg-type]

    def __str__(self) -> str:
        return "·".join(map(str, self.run))


@dataclass(frozen=True, repr=False)
class Diagonals(Map):
    """Neighbouring diagonal maps of a chain: their vectors are multiplied first, and meet the tokens once."""

    run: tuple[Diagonal | RowNorm, ...]

    @property
    def dom(self) -> Shape:
        return self.run[0].dom

    @property
    def cod(self) -> Shape:
        return self.run[0].dom

    @property
    def parts(self) -> tuple[Map, ...]:
        return self.run

    def emit(self, b: Builder, x: int) -> int:
        letters = LETTERS[: len(self.dom)]
        vector = reduce(lambda u, v: b.tape.einsum((letters, letters), letters, u, v), (f.vector(b) for f in self.run))
        return times_vector(b, vector, x)

    @property
    def T(self) -> Map:
        return self

    def __str__(self) -> str:
        return "·".join(map(str, self.run))


JOINED: dict[type, type[Reflections | Diagonals]] = {
    Reflection: Reflections,
    Diagonal: Diagonals,
    RowNorm: Diagonals,
}  # what stands for a run of such maps


class Chain:
    """The costs of all intervals of a chain, found when asked for, and the steps of the best."""

    def __init__(self, b: Builder, maps: Sequence[Map]) -> None:
        self.b, self.maps = b, list(maps) if b.plain else self.grouped(maps)
        self.spaces = [self.maps[0].dom, *(f.cod for f in self.maps)]
        self.best = cache(self._best)
        self.reached = cache(self._reached)

    @staticmethod
    def grouped(maps: Sequence[Map]) -> list[Map]:
        """The maps with neighbouring reflections, and neighbouring diagonals, as one."""
        found: list[Map] = []
        for f in maps:
            last, kind = found[-1] if found else None, JOINED.get(type(f))
            if kind is None or kind not in (type(last), JOINED.get(type(last))):
                found.append(f)
            else:
                found[-1] = kind((*(last.run if isinstance(last, Reflections | Diagonals) else (last,)), f))  # type: ignore[arg-type]
        return found

    # -- costs ---------------------------------------------------------------------------------------------------------

    def _best(self, i: int, j: int) -> tuple[int, Any]:
        """The weight of writing maps i … j out, and how: None, a place to split, ``"last"`` or ``"first"``."""
        b, dims = self.b, [size(s) for s in self.spaces]
        if i == j:
            return b.cost("matrix", self.maps[i], 0), None
        if b.noise and any(map(drops, self.maps[i : j + 1])):  # what drops entries has no matrix
            return NEVER, None
        if b.chooses and j - i >= LONG:
            k = min(range(i, j), key=lambda k: (dims[k + 1], abs(2 * k + 1 - i - j)))
            return self.best(i, k)[0] + self.best(k + 1, j)[0] + b.gemm(dims[i], dims[k + 1], dims[j + 1]), k
        ways: list[tuple[int, Any]] = []
        if b.chooses:
            for k in range(i, j):
                ways.append((self.best(i, k)[0] + self.best(k + 1, j)[0] + b.gemm(dims[i], dims[k + 1], dims[j + 1]), k))
        ways.append((self.best(i, j - 1)[0] + b.cost("apply" if b.chooses else "emit", self.maps[j], dims[i]), "last"))
        if b.chooses:
            ways.append((self.best(i + 1, j)[0] + b.cost("apply", b.transposed(self.maps[i]), dims[j + 1]), "first"))
        return min(ways, key=lambda way: way[0])

    def _reached(self, j: int, tokens: int) -> tuple[int, int]:
        """The weight of the first j maps applied to the vectors, and where the last piece of it begins."""
        if j == 0:
            return 0, 0
        dims = [size(s) for s in self.spaces]
        ways = [(self.reached(j - 1, tokens)[0] + self.b.cost("apply", self.maps[j - 1], tokens), j - 1)]
        for i in range(max(0, j - WINDOW), j - 1):
            ways.append((self.reached(i, tokens)[0] + self.best(i, j - 1)[0] + self.b.gemm(tokens, dims[i], dims[j]), i))
        return min(ways, key=lambda way: way[0])

    def pieces(self, tokens: int) -> list[tuple[int, int]]:
        """The intervals that meet the vectors, first to last; one of length 1 is applied as it is."""
        for j in range(len(self.maps)):  # from short to long, so that nothing recurses deeply
            self.reached(j, tokens)
        found, j = [], len(self.maps)
        while j:
            i = self.reached(j, tokens)[1]
            found.append((i, j - 1))
            j = i
        return found[::-1]

    # -- steps ---------------------------------------------------------------------------------------------------------

    def apply(self, x: int) -> int:
        """The chain on a register."""
        for i, j in self.pieces(self.b.tape.count(self.b.tape.lead(x))):
            if i == j:
                x = self.b.apply(self.maps[i], x)
            else:
                x = self.b.product_with(self.matrix(i, j), x, self.spaces[i], self.spaces[j + 1])
        return x

    def matrix(self, i: int = 0, j: int | None = None) -> int:
        """Maps i … j written out, (*cod, *dom)."""
        j = len(self.maps) - 1 if j is None else j
        b, tape, how = self.b, self.b.tape, self.best(i, j)[1]
        columns, rows = len(self.spaces[i]), len(self.spaces[j + 1])
        if how is None:
            return b.matrix(self.maps[i])
        if how == "last":
            inner = self.matrix(i, j - 1)
            depth = len(tape.shape(inner)) - columns
            folded = tape.fold(inner, range(depth, depth + columns))
            out = b.apply(self.maps[j], folded) if b.chooses else self.maps[j].emit(b, folded)
            return tape.unfold(out, range(rows, rows + columns))
        if how == "first":
            return tape.unfold(b.apply(b.transposed(self.maps[i]), tape.fold(self.matrix(i + 1, j), range(rows))), range(rows))
        middle = len(self.spaces[how + 1])
        top, mid, low = LETTERS[:rows], LETTERS[rows : rows + middle], LETTERS[rows + middle : rows + middle + columns]
        return tape.einsum((top + mid, mid + low), top + low, self.matrix(how + 1, j), self.matrix(i, how))

    def recipe(self) -> str:
        """How the chain meets the vectors, in words."""

        def text(i: int, j: int) -> str:
            how = self.best(i, j)[1]
            if how is None:
                return str(self.maps[i])
            cut = how if isinstance(how, int) else j - 1 if how == "last" else i
            return f"({text(i, cut)}·{text(cut + 1, j)})"

        return "·".join(["x", *(text(i, j) for i, j in self.pieces(self.b.tape.tokens))])
