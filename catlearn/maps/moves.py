"""The leaves that move entries about: ``selection``, ``permutation``, ``permute``, ``reshape``, ``broadcast``, ``contraction``.

>>> from catlearn.maps import dense
>>> rows = dense("A", 5, 3) >> selection(5, [0, 4])          # two rows of A
>>> rows.cod, permute((2, 3, 4), (2, 0, 1)).cod, contraction((2, 3, 2), 0, 2).cod
((2,), (4, 2, 3), (3,))
>>> print(broadcast(2, 0, 2).exact())                            # repeats; its transpose is the sum over the axis
((Fraction(1, 1), Fraction(0, 1)), (Fraction(0, 1), Fraction(1, 1)), (Fraction(1, 1), Fraction(0, 1)), (Fraction(0, 1), Fraction(1, 1)))
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from catlearn import errors
from catlearn.maps.base import Map
from catlearn.maps.given import Shape, positions, size, space
from catlearn.maps.leaves import Identity
from catlearn.maps.tape import LETTERS, Index

if TYPE_CHECKING:
    from catlearn.maps.planner import Builder


@dataclass(frozen=True, repr=False)
class Selection(Map):
    """Output i is entry ``index[i]`` of the flat input; its transpose adds entries at these places."""

    dom: Shape  # type: ignore[assignment]
    cod: Shape  # type: ignore[assignment]
    index: Index

    def emit(self, b: Builder, x: int) -> int:
        return b.tape.reshape(b.tape.gather(b.tape.reshape(x, (size(self.dom),)), 0, Index(self.index)), self.cod)

    @property
    def T(self) -> Map:
        if sorted(self.index) == list(range(size(self.dom))):  # a permutation: its inverse
            inverse = [0] * len(self.index)
            for i, j in enumerate(self.index):
                inverse[j] = i
            return Selection(self.cod, self.dom, Index(inverse))
        return super().T

    @property
    def rank_bound(self) -> int:
        return len(set(self.index))

    def __str__(self) -> str:
        return f"select({len(self.index)} of {size(self.dom)})"


@dataclass(frozen=True, repr=False)
class Permute(Map):
    """Factor i of the codomain is factor ``order[i]`` of the domain."""

    dom: Shape  # type: ignore[assignment]
    order: tuple[int, ...]

    @property
    def cod(self) -> Shape:
        return tuple(self.dom[i] for i in self.order)

    def emit(self, b: Builder, x: int) -> int:
        return b.tape.permute(x, self.order)

    @property
    def T(self) -> Map:
        return Permute(self.cod, tuple(self.order.index(i) for i in range(len(self.order))))

    def __str__(self) -> str:
        return f"permute{self.order}"


@dataclass(frozen=True, repr=False)
class Reshape(Map):
    """The same entries in row-major order on another tensor space."""

    dom: Shape  # type: ignore[assignment]
    cod: Shape  # type: ignore[assignment]

    def emit(self, b: Builder, x: int) -> int:
        return b.tape.reshape(x, self.cod)

    @property
    def T(self) -> Map:
        return Reshape(self.cod, self.dom)

    def __str__(self) -> str:
        return "reshape"


@dataclass(frozen=True, repr=False)
class Broadcast(Map):
    """A new factor of the given size at a position, along which nothing changes."""

    dom: Shape  # type: ignore[assignment]
    position: int
    count: int

    @property
    def cod(self) -> Shape:
        return (*self.dom[: self.position], self.count, *self.dom[self.position :])

    def emit(self, b: Builder, x: int) -> int:
        return b.tape.repeat(x, self.position, self.count)

    @property
    def rank_bound(self) -> int:
        return size(self.dom) if self.count else 0

    def __str__(self) -> str:
        return f"broadcast({self.count} at {self.position})"


@dataclass(frozen=True, repr=False)
class Contraction(Map):
    """The trace over two factors of one size."""

    dom: Shape  # type: ignore[assignment]
    first: int
    second: int

    @property
    def cod(self) -> Shape:
        return tuple(s for i, s in enumerate(self.dom) if i not in (self.first, self.second))

    def emit(self, b: Builder, x: int) -> int:
        n = self.dom[self.first]
        rest = [i for i in range(len(self.dom)) if i not in (self.first, self.second)]
        x = b.tape.reshape(b.tape.permute(x, (self.first, self.second, *rest)), (n * n, *self.cod))
        letters = LETTERS[: len(self.cod) + 1]
        return b.tape.einsum((letters,), letters[1:], b.tape.gather(x, 0, range(0, n * n, n + 1)))

    def __str__(self) -> str:
        return f"trace({self.first}, {self.second})"


# -- the user's words --------------------------------------------------------------------------------------------------


def selection(dom: Any, index: Sequence[int], cod: Any = None) -> Map:
    """The entries of the flat input at these positions, in this order; positions may repeat. Raises ``BadMap`` outside."""
    dom, places = space(dom, "selection"), Index(positions(index, "selection"))
    cod = (len(places),) if cod is None else space(cod, "selection")
    if any(not 0 <= i < size(dom) for i in places) or size(cod) != len(places):
        raise errors.BadMap("selection: these are no positions", [f"given  {list(places[:8])}, {len(places)} of them",
                            f"needed {size(cod)} positions from 0 to {size(dom) - 1}"])  # fmt: skip
    return Selection(dom, cod, places)


def permutation(index: Sequence[int], dom: Any = None) -> Map:
    """A permutation of basis vectors: output i is entry ``index[i]`` of the flat input."""
    index = positions(index, "permutation")
    dom = (len(index),) if dom is None else space(dom, "permutation")
    if sorted(index) != list(range(size(dom))):
        raise errors.BadMap(f"permutation: {list(index)[:8]} does not hold every position once", [f"needed a permutation of {size(dom)}"])
    return selection(dom, index, dom)


def permute(dom: Any, order: Sequence[int]) -> Map:
    """Factors in another order: factor i of the result is factor ``order[i]``."""
    dom, order = space(dom, "permute"), positions(order, "permute")
    if sorted(order) != list(range(len(dom))):
        raise errors.BadMap(f"permute: {tuple(order)} is no order of {len(dom)} factors")
    return Identity(dom) if list(order) == sorted(order) else Permute(dom, tuple(order))


def reshape(dom: Any, cod: Any) -> Map:
    """The identity between two tensor spaces of one dimension, row-major."""
    dom, cod = space(dom, "reshape"), space(cod, "reshape")
    if math.prod(dom) != math.prod(cod):
        raise errors.BadMap("reshape: the dimensions differ", [f"dom {dom} has {size(dom)}", f"cod {cod} has {size(cod)}"])
    return Identity(dom) if dom == cod else Reshape(dom, cod)


def broadcast(dom: Any, position: int, count: int) -> Map:
    """A new factor of size ``count`` at ``position``, along which nothing changes. Its transpose sums over a factor."""
    dom, (position, count) = space(dom, "broadcast"), positions((position, count), "broadcast")
    space(count, "broadcast")
    if not 0 <= position <= len(dom):
        raise errors.BadMap(f"broadcast: no position {position} among {len(dom)} factors")
    return Broadcast(dom, position, count)


def contraction(dom: Any, first: int, second: int) -> Map:
    """The trace over the factors ``first`` and ``second``, which have one size. Its transpose inserts the identity."""
    dom, (first, second) = space(dom, "contraction"), positions((first, second), "contraction")
    if not (0 <= first < len(dom) and 0 <= second < len(dom) and first != second and dom[first] == dom[second]):
        raise errors.BadMap(f"contraction: factors {first} and {second} of {dom}", ["needed: two different factors of one size"])
    return Contraction(dom, min(first, second), max(first, second))
