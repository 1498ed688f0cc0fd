"""``sparse`` and ``mask``: maps given by a few entries.

Entries may share values (``source``), so a tied or signed pattern is one map: two coefficients on four places, say.

>>> import torch
>>> f = sparse("s", 2, 2, rows=[0, 1], columns=[0, 1], source=[0, 0], factors=[1, -1])
>>> f.dense({"s": torch.tensor([5.0])})
tensor([[ 5.,  0.],
        [ 0., -5.]])
>>> print(mask([[1, 0], [1, 1]]).exact())
((Fraction(1, 1), Fraction(0, 1)), (Fraction(1, 1), Fraction(1, 1)))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from catlearn import errors
from catlearn.core.op import Init, Param
from catlearn.maps.base import Map
from catlearn.maps.given import Array, Shape, parameter, positions, size, space
from catlearn.maps.leaves import constant
from catlearn.maps.tape import Index

if TYPE_CHECKING:
    from catlearn.maps.planner import Builder


@dataclass(frozen=True, repr=False)
class Sparse(Map):
    """Entry k is ``factors[k] · values[source[k]]`` at (rows[k], columns[k]), flat positions; entries at one place add.

    Without a name the values are 1: a mask, if the factors are.
    """

    name: str | None
    dom: Shape  # type: ignore[assignment]
    cod: Shape  # type: ignore[assignment]
    rows: Index
    columns: Index
    source: Index
    factors: Array | None
    param: Param | None

    @property
    def own(self) -> Mapping[str, Param]:
        return {self.name: self.param} if self.name is not None and self.param is not None else {}

    def values(self, b: Builder) -> int | None:
        """The entries; None if all are 1."""
        factors = None if self.factors is None else b.tape.constant(self.factors)
        if self.name is None or self.param is None:
            return factors
        values = b.tape.gather(b.tape.param(self.name, (int(self.param.wire.size),)), 0, Index(self.source))  # type: ignore[arg-type]
        return values if factors is None else b.tape.einsum(("a", "a"), "a", values, factors)

    def emit(self, b: Builder, x: int) -> int:
        if not self.rows:
            return b.tape.zeros(self.cod, b.tape.lead(x))
        flat, values = b.tape.reshape(x, (size(self.dom),)), self.values(b)
        if values is not None and not b.plain and b.tape.lead(x):
            return b.tape.reshape(b.tape.sparse(flat, values, Index(self.rows), Index(self.columns), size(self.cod)), self.cod)
        read = b.tape.gather(flat, 0, Index(self.columns))
        if values is not None:
            read = b.tape.einsum(("a", "a"), "a", read, values)
        return b.tape.reshape(b.tape.scatter(read, 0, Index(self.rows), size(self.cod)), self.cod)

    def matrix(self, b: Builder) -> int:
        count, width = len(self.rows), size(self.dom)
        if not count:
            return b.tape.zeros((*self.cod, *self.dom), ())
        values = self.values(b)
        values = b.tape.constant(Array((count,), (1,) * count)) if values is None else values
        places = Index(r * width + c for r, c in zip(self.rows, self.columns, strict=True))
        return b.tape.reshape(b.tape.scatter(values, 0, places, size(self.cod) * width), (*self.cod, *self.dom))

    @property
    def T(self) -> Map:
        return Sparse(self.name, self.cod, self.dom, self.columns, self.rows, self.source, self.factors, self.param)

    @property
    def rank_bound(self) -> int:
        return min(len(set(self.rows)), len(set(self.columns)))

    def __str__(self) -> str:
        return f"{'mask' if self.name is None else f'sparse({self.name}'}{'(' if self.name is None else ', '}{len(self.rows)} entries)"


def sparse(name: str | None, cod: Any, dom: Any, rows: Sequence[int], columns: Sequence[int], *, source: Sequence[int] | None = None,
           factors: Any = None, init: Any = None, trainable: bool = True) -> Map:  # fmt: skip
    """Entries ``factors[k] · values[source[k]]`` at flat positions (rows[k], columns[k]), values a parameter that starts at 0.

    Without ``source`` every entry has its own value; without ``name`` all values are 1. Raises ``BadMap`` for positions outside.
    """
    cod, dom = space(cod, "sparse"), space(dom, "sparse")
    rows, columns = positions(rows, "sparse"), positions(columns, "sparse")
    places = tuple(range(len(rows))) if source is None else positions(source, "sparse")
    numbers = None if factors is None else Array.of(factors, "sparse")
    lengths = {len(rows), len(columns), len(places)} | (set() if numbers is None else {*numbers.shape, len(numbers.values)})
    inside = all(0 <= r < size(cod) for r in rows) and all(0 <= c < size(dom) for c in columns) and all(p >= 0 for p in places)
    if len(lengths) != 1 or not inside:
        raise errors.BadMap("sparse: these are no positions", [f"given  {len(rows)} rows, {len(columns)} columns, {len(places)} sources",
                            f"needed equally many, within {size(cod)} × {size(dom)}"])  # fmt: skip
    param = None
    if name is not None:
        param = parameter(name, (max(places, default=-1) + 1,), Init("constant", (0.0,)) if init is None else init, trainable, "sparse")
    return Sparse(name, dom, cod, Index(rows), Index(columns), Index(places), numbers, param)


def mask(value: Any, cod: Any = None, dom: Any = None) -> Map:
    """The matrix of zeros and ones with ones where ``value`` is not 0. ``f * mask(...)`` keeps these entries of f."""
    array = Array.of(value, "mask")
    full = constant(value, cod, dom)
    width = size(full.dom)
    places = [i for i, v in enumerate(array.values) if v]
    return sparse(None, full.cod, full.dom, [i // width for i in places], [i % width for i in places])
