"""``reflection``: products of Householder reflections, applied as one step away from the identity.

>>> import torch
>>> H = reflection("v", 3)
>>> v = torch.tensor([[1.0, 0.0, 0.0]])
>>> H.dense({"v": v})
tensor([[-1.,  0.,  0.],
        [ 0.,  1.,  0.],
        [ 0.,  0.,  1.]])
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from catlearn import errors
from catlearn.core.op import Init, Param
from catlearn.maps.base import Map
from catlearn.maps.given import Array, parameter, size, space
from catlearn.maps.leaves import Endo

if TYPE_CHECKING:
    from catlearn.maps.planner import Builder


@dataclass(frozen=True, repr=False)
class Reflection(Endo):
    """H₁ H₂ ⋯ Hᵣ with Hₖ = I − 2 vₖvₖᵀ/|vₖ|² for the rows vₖ of a parameter (r, n).

    A run of reflections is one step away from the identity: with the rows as U, it is ``I − Uᵀ S⁻¹ U`` where S is the upper triangle
    of U Uᵀ with half its diagonal (Joffrain et al., *Accumulating Householder transformations, revisited*, 2006, theorem 1).
    """

    name: str
    param: Param
    backwards: bool = False

    @property
    def own(self) -> Mapping[str, Param]:
        return {self.name: self.param}

    @property
    def count(self) -> int:
        """How many reflections there are."""
        return int(self.param.wire.shape[0])  # type: ignore[arg-type]

    def rows(self, b: Builder) -> int:
        """The vectors, one a row."""
        rows = b.tape.param(self.name, (self.count, size(self.space)))
        return b.tape.gather(rows, 0, reversed(range(self.count))) if self.backwards else rows

    def emit(self, b: Builder, x: int) -> int:
        x, rows = b.tape.reshape(x, (size(self.space),)), self.rows(b)
        if b.plain or self.count == 1:
            for k in reversed(range(self.count)):
                row = b.tape.reshape(b.tape.gather(rows, 0, (k,)), (size(self.space),))
                along = b.tape.einsum(("a", "a"), "", x, row)
                gain = b.tape.power(b.tape.einsum(("a", "a"), "", row, row), -1)
                x = b.tape.add(x, b.tape.einsum(("", "a"), "a", along, b.tape.scale(b.tape.einsum(("", "a"), "a", gain, row), -2)))
            return b.tape.reshape(x, self.space)
        return b.tape.reshape(reflected(b, rows, x), self.space)

    @property
    def T(self) -> Map:
        return self if self.count == 1 else replace(self, backwards=not self.backwards)

    def __str__(self) -> str:
        return f"reflection({self.name})" if self.count == 1 else f"reflections({self.name}){'ᵀ' * self.backwards}"


def reflected(b: Builder, rows: int, x: int) -> int:
    """x − Uᵀ S⁻¹ U x, for rows U in the order in which the product is written."""
    count = b.tape.shape(rows)[0]
    half = Array((count, count), tuple(Fraction(1, 2) if i == j else int(i < j) for i in range(count) for j in range(count)))
    gram = b.tape.einsum(("ra", "sa"), "rs", rows, rows)
    inner = b.tape.inverse(b.tape.einsum(("rs", "rs"), "rs", gram, b.tape.constant(half)))
    along = b.tape.einsum(("a", "ra"), "r", x, rows)
    return b.tape.add(x, b.tape.einsum(("s", "sa"), "a", along, b.tape.scale(b.tape.einsum(("rs", "ra"), "sa", inner, rows), -1)))


def reflection(name: str, dom: Any, count: int = 1, init: Any = None, trainable: bool = True) -> Map:
    """A product of ``count`` Householder reflections, its parameter of shape (count, n), one vector a row; starts normal."""
    shape = space(dom, f"reflection {name!r}")
    if not isinstance(count, int) or count < 1:
        raise errors.BadMap(f"reflection {name!r}: {count!r} reflections", ["needed: at least one"])
    given = Init("normal", (0.0, 1.0)) if init is None else init
    return Reflection(shape, name, parameter(name, (count, size(shape)), given, trainable, "reflection"))
