"""Diagrams with signs by plain ones: an arc is a delta after a twist by J of one of its two axes.

``J[a, b] = Σ_c J[a, c] δ[c, b]``, and J permutes the values of an axis up to signs. So the elements of a family whose arcs are twisted at
the same points form a plain family between twisted tensors; coupons have no such form, and are left as the ``rest``. ``split`` finds
these parts, ``twist`` is one twist.

Laws: the parts' elements are a partition of the family's; four twists of an axis are the identity, two are minus one.

>>> from catlearn.maps.sums.family import Element, Family
>>> flips = Family((4, 4), (4, 4), (Element(deltas=((0, 2), (1, 3))), Element(arcs=((0, 1), (2, 3)))))
>>> for part in split(flips): print(part.outs, part.ins, part.numbers, part.family.elements[0].deltas)
() () (0,) ((0, 2), (1, 3))
(0,) (0,) (1,) ((0, 1), (2, 3))
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from catlearn.maps.outliving import constant
from catlearn.maps.sums.family import Element, Family


@dataclass(frozen=True)
class Part:
    """Elements and biases of a family that are plain between tensors twisted at these output and input axes; ``rest`` has coupons."""

    outs: tuple[int, ...]
    ins: tuple[int, ...]
    numbers: tuple[int, ...]
    constants: tuple[int, ...]
    family: Family
    rest: bool = False


@lru_cache(maxsize=256)
def split(family: Family) -> tuple[Part, ...]:
    """The parts of a family: at most one for each choice of twisted axes, and one for the elements with coupons."""
    l = family.order_out
    groups: dict[tuple, tuple[dict[int, Element], dict[int, Element]]] = {}
    for which, elements in enumerate((family.elements, family.biases)):
        for number, element in enumerate(elements):
            key, plain = ((), (), True), element
            if not element.coupons:
                points = sorted(a for a, _ in element.arcs)
                key = tuple(a for a in points if a < l), tuple(a - l for a in points if a >= l), False
                plain = Element(deltas=(*element.deltas, *element.arcs))
            groups.setdefault(key, ({}, {}))[which][number] = plain
    return tuple(
        Part(
            outs, ins, tuple(some), tuple(constants), Family(family.ins, family.outs, tuple(some.values()), tuple(constants.values())), rest
        )
        for (outs, ins, rest), (some, constants) in groups.items()
    )


@constant
def described(family: Family) -> tuple[tuple, ...]:
    """The parts as plain tuples (outs, ins, numbers, constants, rest, family as text), which a compiler takes as constants."""
    return tuple((part.outs, part.ins, part.numbers, part.constants, part.rest, part.family.text) for part in split(family))


def twist(x: Tensor, axis: int, back: bool = False) -> Tensor:
    """J applied to one axis, or its transpose: ``(J x)[i] = x[i + r]`` for i < r and ``-x[i - r]`` from there on."""
    first, second = x.chunk(2, axis)
    return torch.cat([-second, first] if back else [second, -first], axis)
