"""The leaves that hold numbers: ``dense``, ``constant``, ``identity``, ``zero``, ``scalar``, ``diagonal``.

>>> f = diagonal("d", 2) >> dense("A", 3, 2)
>>> {name: str(param.space) for name, param in f.params.items()}
{'d': 'parameter(R(2))', 'A': 'parameter(R(3, 2))'}
>>> print(constant([[1, 2], [3, 4]]).exact())
((Fraction(1, 1), Fraction(2, 1)), (Fraction(3, 1), Fraction(4, 1)))
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from catlearn import errors
from catlearn.core.op import Init, Param
from catlearn.maps.base import Map
from catlearn.maps.given import Array, Shape, parameter, size, space, words
from catlearn.maps.tape import LETTERS

if TYPE_CHECKING:
    from catlearn.maps.planner import Builder


def times_vector(b: Builder, vector: int, x: int) -> int:
    """x times a vector of its own event shape, entry by entry."""
    letters = LETTERS[: len(b.tape.shape(x))]
    return b.tape.einsum((letters, letters), letters, vector, x)


def spread(b: Builder, x: int, space: Shape) -> int:
    """A number at every place of a space."""
    for axis, n in enumerate(space):
        x = b.tape.repeat(x, axis, n)
    return x


def times_matrix(b: Builder, matrix: int, x: int, dom: Shape, cod: Shape) -> int:
    """A register of shape (*cod, *dom) applied to x."""
    rows, columns = LETTERS[: len(cod)], LETTERS[len(cod) : len(cod) + len(dom)]
    return b.tape.einsum((columns, rows + columns), rows, x, matrix)


@dataclass(frozen=True, repr=False)
class Endo(Map):
    """A map of one tensor space into itself."""

    space: Shape

    @property
    def dom(self) -> Shape:
        return self.space

    @property
    def cod(self) -> Shape:
        return self.space


@dataclass(frozen=True, repr=False)
class Dense(Map):
    """Any matrix: a parameter of shape (*cod, *dom)."""

    name: str
    dom: Shape  # type: ignore[assignment]
    cod: Shape  # type: ignore[assignment]
    param: Param

    @property
    def own(self) -> Mapping[str, Param]:
        return {self.name: self.param}

    def emit(self, b: Builder, x: int) -> int:
        return times_matrix(b, self.matrix(b), x, self.dom, self.cod)

    def matrix(self, b: Builder) -> int:
        return b.tape.param(self.name, (*self.cod, *self.dom))

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, repr=False)
class Constant(Map):
    """Given numbers that never learn."""

    dom: Shape  # type: ignore[assignment]
    cod: Shape  # type: ignore[assignment]
    array: Array

    def emit(self, b: Builder, x: int) -> int:
        return times_matrix(b, self.matrix(b), x, self.dom, self.cod)

    def matrix(self, b: Builder) -> int:
        return b.tape.constant(self.array)

    def __str__(self) -> str:
        return f"constant({words(self.dom)} → {words(self.cod)})"


@dataclass(frozen=True, repr=False)
class Identity(Endo):
    """The unit of ``>>``."""

    def emit(self, b: Builder, x: int) -> int:
        return x

    def matrix(self, b: Builder) -> int:
        return b.tape.eye(self.space)

    def vector(self, b: Builder) -> int:
        return spread(b, b.tape.constant(Array.of(1, "identity")), self.space)

    @property
    def T(self) -> Map:
        return self

    def __str__(self) -> str:
        return "id"


@dataclass(frozen=True, repr=False)
class Zero(Map):
    """The unit of ``+``."""

    dom: Shape  # type: ignore[assignment]
    cod: Shape  # type: ignore[assignment]

    def emit(self, b: Builder, x: int) -> int:
        return b.tape.zeros(self.cod, b.tape.lead(x))

    def matrix(self, b: Builder) -> int:
        return b.tape.zeros((*self.cod, *self.dom), ())

    @property
    def T(self) -> Map:
        return Zero(self.cod, self.dom)

    @property
    def rank_bound(self) -> int:
        return 0

    def __str__(self) -> str:
        return "0"


@dataclass(frozen=True, repr=False)
class Scalar(Endo):
    """A parameter of shape () times the identity."""

    name: str
    param: Param

    @property
    def own(self) -> Mapping[str, Param]:
        return {self.name: self.param}

    def emit(self, b: Builder, x: int) -> int:
        letters = LETTERS[: len(self.space)]
        return b.tape.einsum(("", letters), letters, b.tape.param(self.name, ()), x)

    def vector(self, b: Builder) -> int:
        return spread(b, b.tape.param(self.name, ()), self.space)

    @property
    def T(self) -> Map:
        return self

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, repr=False)
class Diagonal(Endo):
    """A parameter of the shape of the space, times entry by entry."""

    name: str
    param: Param

    @property
    def own(self) -> Mapping[str, Param]:
        return {self.name: self.param}

    def vector(self, b: Builder) -> int:
        return b.tape.param(self.name, self.space)

    def emit(self, b: Builder, x: int) -> int:
        return times_vector(b, self.vector(b), x)

    @property
    def T(self) -> Map:
        return self

    def __str__(self) -> str:
        return f"diag({self.name})"


# -- the user's words --------------------------------------------------------------------------------------------------


def dense(name: str, cod: Any, dom: Any, init: Any = None, trainable: bool = True) -> Map:
    """A matrix of parameters (\\*cod, \\*dom): note the order, which is that of the tensor's axes. Starts uniform within ±1/√(prod dom)."""
    cod, dom = space(cod, f"dense {name!r}"), space(dom, f"dense {name!r}")
    bound = 1 / math.sqrt(size(dom) or 1)
    given = Init("uniform", (-bound, bound)) if init is None else init
    return Dense(name, dom, cod, parameter(name, (*cod, *dom), given, trainable, "dense"))


def constant(value: Any, cod: Any = None, dom: Any = None) -> Map:
    """A matrix of given numbers, nested lists, an array or a tensor; with ``cod`` and ``dom`` a tensor (\\*cod, \\*dom).

    Fractions stay exact. The numbers are part of the map's identity and are compared and hashed, so a large frozen weight is better a
    ``dense(..., init=weight, trainable=False)``.
    """
    array = Array.of(value, "constant")
    if cod is None or dom is None:
        if len(array.shape) != 2:
            raise errors.BadMap("constant: a matrix is needed where cod and dom are not given", [f"given shape {array.shape}"])
        cod, dom = array.shape[:1], array.shape[1:]
    cod, dom = space(cod, "constant"), space(dom, "constant")
    if array.shape not in ((*cod, *dom), (size(cod), size(dom))):
        raise errors.BadMap("constant: the numbers do not fit", [f"given  shape {array.shape}", f"needed shape {(*cod, *dom)}"])
    return Constant(dom, cod, Array((*cod, *dom), array.values))


def identity(dom: Any) -> Map:
    """The identity of a tensor space."""
    return Identity(space(dom, "identity"))


def zero(cod: Any, dom: Any) -> Map:
    """The zero map ``dom → cod``."""
    return Zero(space(dom, "zero"), space(cod, "zero"))


def scalar(name: str, dom: Any, init: Any = None, trainable: bool = True) -> Map:
    """One learned number times the identity; starts at 1. A known number is written ``2 * f``."""
    given = Init("constant", (1.0,)) if init is None else init
    return Scalar(space(dom, f"scalar {name!r}"), name, parameter(name, (), given, trainable, "scalar"))


def diagonal(name: str, dom: Any, init: Any = None, trainable: bool = True) -> Map:
    """A diagonal matrix of parameters; starts at 1."""
    shape = space(dom, f"diagonal {name!r}")
    return Diagonal(shape, name, parameter(name, shape, Init("constant", (1.0,)) if init is None else init, trainable, "diagonal"))
