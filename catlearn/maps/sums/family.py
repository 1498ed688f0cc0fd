"""What an equivariant layer is a sum over: a family of elements, each a product of deltas, symplectic pairs and signs.

The points of an element are its output axes ``0 .. l-1``, then its input axes ``l .. l+k-1``. Its matrix has at (outputs, inputs) the
product of: 1 or 0 for each delta, as the index is constant on it or not; ``J[a, b]`` for each arc (a, b), with ``J = [[0, I], [-I, 0]]``;
the sign of the permutation of its legs' values for each coupon (0 if two agree; a coupon with one leg fewer than values is completed by
the missing one). Axes of several groups may stand in one family, since no block joins axes of different sizes.

A family with weights is the map ``y[o, c'] = Σ_d Σ_i Σ_c D_d[o, i] weight[d, c', c] x[i, c] + Σ_b B_b[o] bias[b, c']``.

>>> square = Family((3, 3), (3, 3), (Element(deltas=((0, 2), (1, 3))), Element(deltas=((0, 3), (1, 2)))))
>>> square.order_in, square.order_out, [element.plain for element in square.elements]
(2, 2, [True, True])
>>> Family.read(square.text) == square
True
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

Block = tuple[int, ...]


@dataclass(frozen=True)
class Element:
    """One diagram: every point lies in exactly one delta, arc or leg of a coupon."""

    deltas: tuple[Block, ...] = ()
    arcs: tuple[tuple[int, int], ...] = ()
    coupons: tuple[tuple[Block, ...], ...] = ()

    @property
    def plain(self) -> bool:
        """Whether it is made of deltas only."""
        return not self.arcs and not self.coupons


@dataclass(frozen=True)
class Family:
    """Elements between axes of these sizes, and those of the bias, which have output points only."""

    ins: tuple[int, ...]
    outs: tuple[int, ...]
    elements: tuple[Element, ...]
    biases: tuple[Element, ...] = ()

    @cached_property
    def _hash(self) -> int:
        return hash((self.ins, self.outs, self.elements, self.biases))

    def __hash__(self) -> int:
        """Computed once: plans are looked up by their family, at every call of a layer."""
        return self._hash

    @cached_property
    def text(self) -> str:
        """The family as a line of text, which ``Family.read`` reads: what a compiled or exported graph keeps of it."""
        elements = [[(e.deltas, e.arcs, e.coupons) for e in some] for some in (self.elements, self.biases)]
        return json.dumps((self.ins, self.outs, *elements), separators=(",", ":"))

    @staticmethod
    @lru_cache(maxsize=1024)
    def read(text: str) -> Family:
        """The family with this text; the same object for the same text."""
        ins, outs, *elements = _tuples(json.loads(text))
        return Family(ins, outs, *(tuple(Element(*parts) for parts in some) for some in elements))

    @property
    def order_in(self) -> int:
        """How many input axes (k)."""
        return len(self.ins)

    @property
    def order_out(self) -> int:
        """How many output axes (l)."""
        return len(self.outs)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The size of the axis at each point."""
        return self.outs + self.ins


def _tuples(value: Any) -> Any:
    """Nested lists as nested tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
