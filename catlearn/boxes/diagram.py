"""Numbers of a single diagram between axes of given sizes: what it sums over, what crosses it, its rank and the size of its entries.

The matrix of a diagram has products of δ, J and ε as entries. A delta that joins inputs with outputs leads an index through; what stands
on one side alone is a vector, and adds nothing to the rank.

Laws: ``rank`` is the rank of the matrix and ``square`` the sum of the squares of its entries.

>>> from catlearn.maps.sums.family import Element
>>> straight, mean = Element(deltas=((0, 1),)), Element(deltas=((0,), (1,)))
>>> [(rank(d, 1, (5, 5)), square(d, (5, 5)), summed(d, 1)) for d in (straight, mean)]
[(5, 5, []), (1, 25, [1])]
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from catlearn.core.spaces import Group
from catlearn.maps.sums.family import Element

WHAT = {"S": "set partitions of the axes", "A": "set partitions of the axes, some with the sign of a permutation",
        "O": "pairings of the axes", "SO": "pairings of the axes, some with a determinant",
        "Sp": "pairings of the axes, with signs"}  # fmt: skip


def alone(group: Group, inputs: int, outputs: int) -> str:
    """Why a group has no diagrams between so many axes."""
    some = [f"{count or 'none'}{' axes' * (count > 1)}{' axis' * (count == 1)}" for count in (inputs, outputs)]
    return f"{group} acts on {some[0]} of the input and on {some[1]} of the output: no diagram joins them"


def sentence(groups: Sequence[Group], diagrams: int, shifts: int) -> str:
    """What an equivariant layer is, in words."""
    if not groups:
        return "a linear map of the channels" + ", plus a bias" * bool(shifts)
    what = "; ".join(f"for {group} {WHAT[group.kind]}" for group in groups)
    count = f"{diagrams} diagrams" if diagrams != 1 else "1 diagram"
    more = f", plus {shifts} invariant shift{'s' * (shifts != 1)}" if shifts else ""
    names = " and ".join(map(str, groups))
    return f"every linear equivariant map under {names}, once, as a sum of {count} ({what}) with a weight for each pair of channels{more}"


def summed(element: Element, outputs: int) -> list[int]:
    """One point of every axis that a diagram sums over: of each delta and arc that no output is in."""
    return [min(block) for block in (*element.deltas, *element.arcs) if min(block) >= outputs]


def crossing(element: Element, outputs: int) -> list[int]:
    """One point of every delta that joins inputs with outputs: the axes of the waist."""
    return [min(block) for block in element.deltas if min(block) < outputs <= max(block)]


def square(element: Element, sizes: Sequence[int]) -> int:
    """The sum of the squares of a diagram's entries: a factor n for each delta and arc, n! for each coupon."""
    total = math.prod(sizes[block[0]] for block in (*element.deltas, *element.arcs))
    return total * math.prod(math.factorial(sizes[coupon[0][0]]) for coupon in element.coupons if coupon)


def rank(element: Element, outputs: int, sizes: Sequence[int]) -> int:
    """The rank of a diagram's matrix: a factor n for each delta that crosses, and one for each coupon.

    A coupon with c legs that cross and t among the outputs leads n! / (n − c)! choices of the values of the former through, and of each
    the antisymmetric tensors of order t on the n − c values left: C(n − c, t). With one leg hidden it is ε summed over that leg, whose
    antisymmetric tensors are those on one dimension less.
    """
    found = math.prod(sizes[point] for point in crossing(element, outputs))
    for legs in filter(None, element.coupons):
        n = sizes[legs[0][0]]
        across, above = sum(min(leg) < outputs <= max(leg) for leg in legs), sum(max(leg) < outputs for leg in legs)
        found *= math.perm(n, across) * math.comb(n - across - (len(legs) < n), above)
    return found
