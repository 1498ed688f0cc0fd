"""Hom between two wires on which several groups act: the tensor product of one basis for each distinct group.

The axes that carry groups come first on a wire; what follows them (channels) carries none. Equal labels are one group, which acts on all
its axes on both wires at once; a group on one of the wires alone has order 0 on the other.

**The order of the elements** is part of every checkpoint and never changes: the groups by their first axis, output axes before input axes;
of each the basis of ``hom_basis``; the elements are the product of these bases, the last group's running fastest.

>>> from catlearn.core.spaces import O, S, space
>>> points, pairs = space(S(4), O(3), 16), space(S(4), S(4), 8)
>>> hom_count(points, pairs), hom_count(points, points), hom_count(pairs, pairs)
(0, 2, 15)
>>> family = hom_elements(points, points)
>>> family.ins, family.outs, [element.deltas for element in family.elements], len(family.biases)
((4, 3), (4, 3), [((0, 2), (1, 3)), ((0,), (1, 3), (2,))], 0)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import Any

from catlearn.core.sizes import evaluate
from catlearn.core.spaces import Axis, Group, Space, Wire
from catlearn.diagrams.basis import stable_size
from catlearn.errors import BadSymmetry
from catlearn.maps.sums.family import Element, Family
from catlearn.symmetry.elements import checked
from catlearn.symmetry.hom import LIMIT, hom_basis, hom_dim, refuse_large


@dataclass(frozen=True)
class Part:
    """One group between two wires: the output axes and the input axes, counted among the axes with groups, on which it acts."""

    group: Group
    outs: tuple[int, ...]
    ins: tuple[int, ...]


def hom_count(dom: Wire | Space, cod: Wire | Space) -> int:
    """How many elements ``hom_elements(dom, cod)`` has, by the closed formulas; ``BadSymmetry`` as there."""
    return prod(hom_dim(p.group, len(p.ins), len(p.outs)) for p in parts(dom, cod))


def hom_elements(
    dom: Wire | Space, cod: Wire | Space, sizes: Mapping[str, int] | None = None, bias: bool = True, limit: int | None = LIMIT
) -> Family:
    """A basis of the equivariant maps between two wires, and with ``bias`` one of the invariants of ``cod``.

    ``sizes`` gives symbolic sizes their values. Raises ``BadSymmetry`` for wires of integers or truth values, several wires, a group axis
    behind a channel axis, groups without diagrams, symbols for which the basis changes, and more than ``limit`` elements.
    """
    found = parts(dom, cod)
    free = [replace(p, ins=()) for p in found if p.outs]
    wires = (found, f"Hom of {_short(dom)} → {_short(cod)}"), (free, f"the invariants of {_short(cod)}")
    for some, what in wires if bias else wires[:1]:
        count = prod(hom_dim(p.group, len(p.ins), len(p.outs)) for p in some)
        refuse_large(count, sum(len(p.outs) + len(p.ins) for p in some), limit, what)
    l = sum(len(p.outs) for p in found)
    known = {p.group: _size(p, sizes or {}) for p in found}
    outs, ins = (tuple(known[g] for g in group_axes(x)) for x in (cod, dom))
    return Family(ins, outs, tuple(_elements(found, l, limit)), tuple(_elements(free, l, limit)) if bias else ())


def parts(dom: Wire | Space, cod: Wire | Space) -> tuple[Part, ...]:
    """The groups between two wires, by their first axis, output axes before input axes."""
    outs, ins = group_axes(cod), group_axes(dom)
    return tuple(
        Part(g, tuple(i for i, h in enumerate(outs) if h == g), tuple(i for i, h in enumerate(ins) if h == g))
        for g in dict.fromkeys(outs + ins)
    )


def group_axes(x: Wire | Space) -> tuple[Group, ...]:
    """The groups of the leading axes of one wire of real numbers."""
    wire = _wire(x)
    groups = tuple(axis.group for axis in wire.axes)
    order = next((i for i, g in enumerate(groups) if g is None), len(groups))
    if wire.kind != "float" or any(groups[order:]):
        holds = {"index": "holds integers", "bool": "holds truth values"}.get(wire.kind, "has a group behind a plain axis")
        needed = ["needed  real numbers, the axes with groups first, then the channels"]
        hint = "transpose the channels to the end" if wire.kind == "float" else "embed them as real numbers first"
        raise BadSymmetry(f"no equivariant linear maps: {wire} {holds}", needed, hint)
    for axis in wire.axes[:order]:
        if axis.size != checked(axis.group).n:
            raise BadSymmetry(f"{wire}: an axis of size {axis.size} carries {axis.group}")
    return tuple(g for g in groups[:order] if g is not None)


def resize(dom: Wire | Space, cod: Wire | Space, old: int | Group, new: int) -> tuple[Space, Space]:
    """The two wires with the groups of size ``old`` (or the one group ``old``) at size ``new``, if the same parameters serve there.

    They do if the basis is the same at both sizes: S(n) with n ≥ k + l, O(n) with 2n ≥ k + l, Sp(n) with n ≥ k + l. Raises
    ``BadSymmetry`` with the reason otherwise; always for SO and A, whose diagrams have a coupon with n legs.
    """
    touched = [p for p in parts(dom, cod) if p.group == old or p.group.n == old]
    if not touched:
        raise BadSymmetry(f"resize: no group of {_wire(dom)} → {_wire(cod)} is of size {old}")
    for p in touched:
        k, l = len(p.ins), len(p.outs)
        hom_dim(p.group, k, l)  # refuses groups without diagrams and symbols that are too small
        start, group = stable_size(p.group.kind, k, l), checked(replace(p.group, n=new))
        if start is None:
            raise BadSymmetry(f"a layer of {p.group} cannot be resized to {group}: its diagrams change with n")
        low = [g for g in (p.group, group) if isinstance(g.n, int) and g.n < start]
        if low:
            raise BadSymmetry(f"a layer of {p.group} cannot be resized to {group}: on {k + l} axes the basis is another at {low[0]}",
                              [f"needed  n ≥ {start} at both sizes"])  # fmt: skip
    groups = {p.group: replace(p.group, n=new) for p in touched}
    for g in parts(dom, cod):
        if g not in touched and g.group in groups.values():
            raise BadSymmetry(f"resize: {g.group} stands on the wires already, as another group", next="tell them apart by name=")
    return _resized(_wire(dom), groups), _resized(_wire(cod), groups)


def resizable(dom: Wire | Space, cod: Wire | Space, old: int | Group, new: int) -> bool:
    """Whether ``resize`` would succeed.

    >>> from catlearn.core.spaces import S
    >>> resizable(S(4).space(2), S(4).space(2), 4, 9), resizable(S(4).space(2), S(4).space(2), 4, 3)
    (True, False)
    """
    try:
        resize(dom, cod, old, new)
    except BadSymmetry:
        return False
    return True


# --- one mechanism ----------------------------------------------------------------------------------------------------


def _elements(found: list[Part] | tuple[Part, ...], l: int, limit: int | None) -> Iterator[Element]:
    """The product of the bases; the points of each diagram are moved to the axes on which its group acts."""
    bases = []
    for p in found:
        place = (*p.outs, *(l + i for i in p.ins))
        bases.append([_moved(d, place) for d in hom_basis(p.group, len(p.ins), len(p.outs), limit)])
    for chosen in product(*bases):
        deltas, arcs, coupons = (sum(rows, ()) for rows in zip(*chosen, strict=True)) if chosen else ((), (), ())
        yield Element(tuple(sorted(deltas)), arcs, coupons)


def _moved(d: Any, place: tuple[int, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...], tuple[Any, ...]]:
    """The deltas, arcs and coupons of a diagram, at other points."""
    deltas = tuple(tuple(sorted(place[p] for p in block)) for block in d.deltas)
    arcs = tuple((place[a], place[b]) for a, b in d.arcs)
    return deltas, arcs, tuple(tuple(tuple(sorted(place[p] for p in leg)) for leg in coupon) for coupon in d.coupons)


def _size(p: Part, sizes: Mapping[str, int]) -> int:
    n, k, l = evaluate(p.group.n, sizes, "hom_elements"), len(p.ins), len(p.outs)
    start = 1 if isinstance(p.group.n, int) else stable_size(p.group.kind, k, l)
    if start is not None and n < start:
        raise BadSymmetry(f"{p.group} on {k + l} axes at {p.group.n} = {n}: the basis is another there", [f"needed  {p.group.n} ≥ {start}"])
    checked(replace(p.group, n=n))
    return n


def _wire(x: Wire | Space) -> Wire:
    if isinstance(x, Space) and len(x) == 1:
        return x[0]
    if not isinstance(x, Wire):
        raise BadSymmetry(f"{x!r} is not one wire", next="take the wires one by one: Hom of sums is the sum of the Homs")
    return x


def _short(x: Wire | Space) -> str:
    """A wire as text, unless it has very many axes."""
    wire = _wire(x)
    return repr(wire) if len(wire.axes) <= 12 else f"a wire of {len(wire.axes)} axes"


def _resized(wire: Wire, groups: Mapping[Group, Group]) -> Space:
    axes = tuple(Axis(groups[a.group].n, groups[a.group]) if a.group and a.group in groups else a for a in wire.axes)
    return Space((replace(wire, axes=axes),))


__all__ = ["Part", "group_axes", "hom_count", "hom_elements", "parts", "resizable", "resize"]
