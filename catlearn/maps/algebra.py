"""What makes maps of maps: ``>>``, ``@``, ``+``, multiples, ``direct_sum``, ``block``, Hadamard products, norms of rows and columns.

Units are dropped where they are made: ``identity >> f`` is f, ``f + 0`` is f, a multiple of a multiple is one multiple. Nothing that holds
a parameter is dropped.

>>> from catlearn.maps import constant, identity
>>> f = constant([[3, 4], [0, 2]])
>>> print((f >> row_norm(f, -1)).exact())
((Fraction(3, 5), Fraction(4, 5)), (Fraction(0, 1), Fraction(1, 1)))
>>> print(kronecker_sum(f, identity(3)))
constant(2 → 2) ⊗ id + id ⊗ id
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from catlearn import errors
from catlearn.maps.base import Map
from catlearn.maps.combine import Block, Compose, Many, Scaled, Sum, Tensor
from catlearn.maps.entrywise import Hadamard, RowNorm
from catlearn.maps.given import needed, size, typed, words
from catlearn.maps.leaves import Identity, Zero
from catlearn.maps.tape import multiply


def then(f: Map, g: Map) -> Map:
    """First f, then g."""
    needed(Map, "then", f, g)
    if f.cod != g.dom:
        hint = f"put reshape({f.cod}, {g.dom}) between them" if size(f.cod) == size(g.dom) else "the codomain of f must be the domain of g"
        raise errors.BadMap(f"{words(f.cod)} is not {words(g.dom)}: these maps do not compose", [typed(f), typed(g)], hint)
    if isinstance(f, Identity) or isinstance(g, Identity):
        return g if isinstance(f, Identity) else f
    if isinstance(f, Scaled) or isinstance(g, Scaled):  # numbers outside
        (a, f), (c, g) = _split(f), _split(g)
        return scaled(multiply(a, c), then(f, g))
    return Compose((*_parts(Compose, f), *_parts(Compose, g)))


def tensor(*maps: Map) -> Map:
    """The Kronecker product of any number of maps; the identity of the space () for none."""
    needed(Map, "tensor", *maps)
    number: Any = 1
    found: list[Map] = []
    for f in maps:
        by, f = _split(f)
        number = multiply(number, by)
        found += _parts(Tensor, f)
    kept: list[Map] = []
    for f in found:  # the unit vanishes, identities join
        if isinstance(f, Identity) and (not f.space or (kept and isinstance(kept[-1], Identity))):
            if kept and isinstance(kept[-1], Identity):
                kept[-1] = Identity((*kept[-1].space, *f.space))
        else:
            kept.append(f)
    return scaled(number, Tensor(tuple(kept)) if len(kept) > 1 else kept[0] if kept else Identity(()))


def add(*maps: Map) -> Map:
    """The sum of one or more parallel maps."""
    needed(Map, "add", *maps)
    if not maps:
        raise errors.BadMap("add: no map was given", ["needed: at least one, which says from where to where"], "maps.zero(cod, dom) is 0")
    if any((f.dom, f.cod) != (maps[0].dom, maps[0].cod) for f in maps):
        raise errors.BadMap("these maps have no sum", [typed(f) for f in maps], "a sum needs one domain and one codomain")
    found = [part for f in maps for part in _parts(Sum, f) if not isinstance(part, Zero)]
    return Sum(tuple(found)) if len(found) > 1 else found[0] if found else maps[0]


def scaled(by: Any, f: Map) -> Map:
    """A number times a map."""
    needed(Map, "scaled", f)
    if isinstance(by, bool) or not isinstance(by, int | float | Fraction) or not math.isfinite(by):
        raise errors.BadMap(f"{by!r} times {typed(f)}", ["needed: a finite number"], "a learned factor is maps.scalar(name, dom)")
    inner, f = _split(f)
    by = multiply(by, inner)
    if isinstance(f, Zero) or (by == 0 and not f.params):
        return Zero(f.dom, f.cod)
    return f if by == 1 else Scaled(by, f)


def hadamard(f: Map, g: Map) -> Map:
    """The product entry by entry."""
    needed(Map, "hadamard", f, g)
    if (f.dom, f.cod) != (g.dom, g.cod):
        raise errors.BadMap("these maps have no Hadamard product", [typed(f), typed(g)], "it needs one domain and one codomain")
    return Hadamard(f, g)


def block(grid: Sequence[Sequence[Map | None]]) -> Map:
    """A grid of maps; None stands for zero. Spaces are joined flat: (sum of the rows' dimensions,) and likewise the columns'."""
    if not isinstance(grid, Sequence) or any(not isinstance(row, Sequence) for row in grid):
        raise errors.BadMap("block: needed is a grid, rows of maps", [f"given {str(grid)[:80]}"])
    needed(Map, "block", *(f for row in grid for f in row if f is not None))
    if not grid or not grid[0] or len({len(row) for row in grid}) != 1:
        raise errors.BadMap("block: needed are rows of one length, at least one", [f"given rows of lengths {[len(row) for row in grid]}"])
    rows = [{size(f.cod) for f in row if f is not None} for row in grid]
    columns = [{size(row[j].dom) for row in grid if row[j] is not None} for j in range(len(grid[0]))]  # type: ignore[union-attr]
    for what, found in [(f"row {i}", r) for i, r in enumerate(rows)] + [(f"column {j}", c) for j, c in enumerate(columns)]:
        if len(found) != 1:
            raise errors.BadMap(f"block: {what} has {'no map' if not found else 'maps of different sizes'}",
                                [f"given sizes {sorted(found)}"], "write zero(cod, dom) where a whole row or column is zero")  # fmt: skip
    return Block(tuple(map(tuple, grid)), tuple(r.pop() for r in rows), tuple(c.pop() for c in columns))


def direct_sum(*maps: Map) -> Map:
    """The block-diagonal map."""
    return block([[f if i == j else None for j in range(len(maps))] for i, f in enumerate(maps)])


def kronecker_sum(*maps: Map) -> Map:
    """A ⊗ I ⊗ … + I ⊗ B ⊗ … + …, for maps of spaces into themselves."""
    needed(Map, "kronecker_sum", *maps)
    if not maps or any(f.dom != f.cod for f in maps):
        raise errors.BadMap("kronecker_sum: needed are maps of a space into itself", [typed(f) for f in maps])
    units = [Identity(f.dom) for f in maps]
    return add(*(Tensor((*units[:i], f, *units[i + 1 :])) for i, f in enumerate(maps)))


def row_norm(f: Map, exponent: Any = 1, constant: bool = False) -> Map:
    """The diagonal map of the lengths of f's rows, to a power: ``f >> row_norm(f, -1)`` has rows of length 1."""
    needed(Map, "row_norm", f)
    if isinstance(exponent, bool) or not isinstance(exponent, int | float | Fraction) or not math.isfinite(exponent):
        raise errors.BadMap(f"row_norm of {typed(f)} to the power {exponent!r}", ["needed: a finite number"])
    return RowNorm(f, exponent, constant)


def column_norm(f: Map, exponent: Any = 1, constant: bool = False) -> Map:
    """The diagonal map of the lengths of f's columns, to a power."""
    needed(Map, "column_norm", f)
    return row_norm(f.T, exponent, constant)


def _parts(kind: type[Many], f: Map) -> tuple[Map, ...]:
    return f.maps if isinstance(f, kind) else (f,)


def _split(f: Map) -> tuple[Any, Map]:
    return (f.factor, f.of) if isinstance(f, Scaled) else (1, f)
