"""Maps through a smaller space: their two factors, the lengths of their rows by the Gram identity, several of them as one.

>>> from catlearn.maps import dense
>>> f = dense("A", 2, 50) >> dense("B", 40, 2)
>>> narrow(f), narrow(3 * f), narrow(f + dense("W", 40, 50)), waist(f)
(True, True, False, (0, 2))
"""

from __future__ import annotations

from collections.abc import Sequence

from catlearn.maps.base import Map
from catlearn.maps.combine import Compose, Scaled, Sum
from catlearn.maps.given import size
from catlearn.maps.planner import Builder
from catlearn.maps.tape import LETTERS


def waist(f: Compose) -> tuple[int, int]:
    """Where a chain is narrowest, and how narrow."""
    return min(((k, size(g.cod)) for k, g in enumerate(f.maps[:-1])), key=lambda found: found[1])


def narrow(f: Map) -> bool:
    """Whether a map is a chain, or a multiple of one, through a space smaller than where it begins and where it ends."""
    if isinstance(f, Scaled):
        return narrow(f.of)
    return isinstance(f, Compose) and waist(f)[1] < min(size(f.dom), size(f.cod))


def factors(b: Builder, f: Map) -> tuple[int, int] | None:
    """(o × r, r × i) matrices whose product is f, if f is a chain through a smaller space; scales are on the first."""
    if isinstance(f, Scaled):
        found = factors(b, f.of)
        return None if found is None else (b.tape.scale(found[0], f.factor), found[1])
    if not isinstance(f, Compose) or not narrow(f):
        return None
    middle, rank = waist(f)
    left, right = b.product(f.maps[middle + 1 :]), b.product(f.maps[: middle + 1])
    return b.tape.reshape(left, (size(f.cod), rank)), b.tape.reshape(right, (rank, size(f.dom)))


def row_squares(b: Builder, f: Map) -> int:
    """The squared lengths of f's rows: of low-rank summands by the Gram identity, so that the sum is not written out."""

    def written(b: Builder) -> int:
        rows, columns = LETTERS[: len(f.cod)], LETTERS[len(f.cod) : len(f.cod) + len(f.dom)]
        matrix = b.matrix(f)
        return b.tape.einsum((rows + columns, rows + columns), rows, matrix, matrix)

    def gram(b: Builder) -> int:
        terms = []
        for part in f.maps if isinstance(f, Sum) else (f,):
            pair = factors(b, part)
            terms.append(("r", *pair) if pair else ("", b.tape.reshape(b.matrix(part), (size(f.cod), size(f.dom)))))
        found = None
        for i, (a, *left) in enumerate(terms):
            for j, (c, *right) in enumerate(terms[i:], i):
                first = ("or", "ri") if a else ("oi",)
                second = ("os", "si") if c else ("oi",)
                term = b.tape.scale(b.tape.einsum((*first, *second), "o", *left, *right), 1 if i == j else 2)
                found = term if found is None else b.tape.add(found, term)
        assert found is not None
        return b.tape.reshape(found, f.cod)

    return b.cheapest(("rows", f), (written,) if b.plain else (gram, written))


def stacked(b: Builder, maps: Sequence[Map], x: int) -> int:
    """The sum of low-rank maps as one of the sum of their ranks, ``[B₁ B₂] [A₁; A₂] x``: vectors are read and written once."""
    dom, cod, pairs = maps[0].dom, maps[0].cod, [factors(b, f) for f in maps]
    left, right = (b.tape.concat([pair[side] for pair in pairs if pair], 1 - side) for side in (0, 1))
    inner = b.tape.einsum(("i", "ri"), "r", b.tape.reshape(x, (size(dom),)), right)
    return b.tape.reshape(b.tape.einsum(("r", "or"), "o", inner, left), cod)
