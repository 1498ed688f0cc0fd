"""``rho(g, x)``: how an element of a group, or one of each of several, acts on a space.

Every axis that carries a group is moved by the element of that group (equal labels share one element); other axes stay. Positions on a
group's axis, ``index(S(5), 12)``, have their values moved too. Translations add along their axis. An element of a Lie algebra acts as a
derivation: the sum over the axes of the element on that one axis.

Laws: ``rho(g * h, x).apply`` is h, then g; the action commutes with ``x @ y``; ``matrix`` is the matrix of ``apply``.

>>> import torch
>>> from catlearn.core.spaces import S, index, space
>>> from catlearn.symmetry.elements import element
>>> g = element(S(3), (1, 2, 0))
>>> rho(g, S(3).space(1)).apply(torch.tensor([1.0, 2.0, 3.0]))
tensor([3., 1., 2.])
>>> rho(g, index(S(3), 2)).apply(torch.tensor([0, 2]))
tensor([1, 0])
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any, TypeAlias

import numpy as np
import torch

from catlearn.core.sizes import Size, evaluate
from catlearn.core.spaces import Axis, Group, Space, Wire
from catlearn.errors import BadSymmetry
from catlearn.symmetry.elements import ADDING, LINEAR, PERMUTING, GroupElement, identity, size_of

Tensor: TypeAlias = Any  # a torch tensor, or a numpy array of exact numbers
LIMIT = 1 << 24


def rho(g: GroupElement | Iterable[GroupElement], x: Space | Wire, sizes: Mapping[str, int] | None = None) -> Action:
    """The action on ``x`` of one element, or of one element of each of several groups.

    A group on ``x`` of which no element is given acts by its identity, and an element whose group is not on ``x`` acts trivially, as a
    group acts on what it does not know. ``sizes`` gives symbolic sizes of ``x`` their values. Raises ``BadSymmetry`` for two elements of
    one group, for elements of groups mixed with elements of Lie algebras, and where the groups have no action together (a translation
    beside a linear group; real groups on integers).
    """
    elements = (g,) if isinstance(g, GroupElement) else tuple(g)
    if bad := next((h for h in elements if not isinstance(h, GroupElement)), None):
        raise BadSymmetry(f"rho: {bad!r} is no element of a group", next="make one by symmetry.element(G, value)")
    if len({h.group for h in elements}) < len(elements):
        raise BadSymmetry("rho: two elements of one group", [f"given   {', '.join(map(str, elements))}"], "multiply them: g * h")
    if len({h.infinitesimal for h in elements}) > 1:
        raise BadSymmetry("rho: an element of a group beside one of a Lie algebra", [f"given   {', '.join(map(str, elements))}"])
    row = at_sizes(Space((x,)) if isinstance(x, Wire) else x, sizes or {})
    for wire in row:
        _check_wire(wire)
    return Action(elements, row)


@dataclass(frozen=True)
class Action:
    """Elements on a space; see ``rho``."""

    elements: tuple[GroupElement, ...]
    space: Space

    @property
    def infinitesimal(self) -> bool:
        """Whether the elements are those of Lie algebras, so that the action is a derivation."""
        return any(g.infinitesimal for g in self.elements)

    def apply(self, *xs: Tensor) -> Tensor:
        """One tensor ``(*batch, *shape)`` for each wire, moved; torch tensors, or arrays (nested lists) of exact numbers.

        Returns the tensor for one wire, a tuple otherwise. Raises ``BadSymmetry`` for tensors that do not fit.
        """
        if len(xs) != len(self.space):
            raise BadSymmetry(f"the action on {self.space} was given {len(xs)} tensors", [f"needed  {len(self.space)}"])
        moved = tuple(self._moved(wire, _fitting(wire, x)) for wire, x in zip(self.space, xs, strict=True))
        return moved[0] if len(moved) == 1 else moved

    def matrix(self, limit: int = LIMIT) -> Tensor:
        """The matrix on all wires side by side, entries row-major: an array of exact numbers, a float64 tensor if an element is not exact.

        Raises ``BadSymmetry`` where the action is not linear (translations, integers), and if there would be more than ``limit`` entries.
        """
        sizes = [prod(_known(wire.shape)) for wire in self.space]
        nonlinear = [w for w in self.space if w.kind == "index" and isinstance(w.bound, Group)]
        nonlinear += [w for w in self.space if any(a.group and a.group.kind in ADDING for a in w.axes)]
        if nonlinear:
            raise BadSymmetry(f"the action on {nonlinear[0]} is not linear, so it has no matrix", next="use apply")
        if sum(sizes) ** 2 > limit:
            raise BadSymmetry(
                f"the matrix of the action on {self.space} would have {sum(sizes) ** 2:,} entries", [f"the limit is {limit:,}"]
            )
        exact = all(g.exact for g in self.elements)
        found = np.zeros((sum(sizes), sum(sizes)), dtype=object) if exact else torch.zeros(sum(sizes), sum(sizes), dtype=torch.float64)
        start = 0
        for wire, size in zip(self.space, sizes, strict=True):
            eye = np.eye(size, dtype=int).astype(object) if exact else torch.eye(size, dtype=torch.float64)
            block = self._moved(replace(wire, kind="float"), eye.reshape(size, *_known(wire.shape))).reshape(size, size)
            found[start : start + size, start : start + size] = block.T  # row i of the batch is the image of the basis vector i
            start += size
        return found

    def _moved(self, wire: Wire, x: Tensor) -> Tensor:
        first, terms = x.ndim - len(wire.axes), []
        by_group = {g.group: g for g in self.elements}
        for i, axis in enumerate(wire.axes):
            g = by_group.get(axis.group) if axis.group else None
            if g is not None:
                y = _along(x, first + i, g)
                if self.infinitesimal:
                    terms.append(y)
                else:
                    x = y
        g = by_group.get(wire.bound) if isinstance(wire.bound, Group) else None
        if g is not None:
            x = _renamed(x, g)
        return x if not self.infinitesimal else sum(terms[1:], start=terms[0]) if terms else _zeros(x)


def at_sizes(x: Space, sizes: Mapping[str, int]) -> Space:
    """``x`` with its symbolic sizes, also those of its groups, replaced by their values; ``SizeUnknown`` if one is missing."""
    if not x.dims and all(isinstance(g.n, int) for g in groups_on(x)):
        return x

    def size(n: Size) -> int:
        return evaluate(n, sizes, f"an action on {x}")

    def group(g: Any) -> Any:
        return replace(g, n=size(g.n)) if isinstance(g, Group) else g

    return Space(tuple(replace(w, axes=tuple(Axis(size(a.size), group(a.group)) for a in w.axes), bound=group(w.bound)) for w in x))


def groups_on(x: Space | Wire) -> tuple[Group, ...]:
    """The distinct groups that act on a space, in the order in which they stand."""
    wires = (x,) if isinstance(x, Wire) else x.wires
    found = [g for w in wires for g in (*(a.group for a in w.axes), w.bound) if isinstance(g, Group)]
    return tuple(dict.fromkeys(found))


def identities(x: Space | Wire) -> tuple[GroupElement, ...]:
    """The identity of every group on a space."""
    return tuple(identity(g) for g in groups_on(x))


# --- one axis ---------------------------------------------------------------------------------------------------------


def _along(x: Tensor, axis: int, g: GroupElement) -> Tensor:
    """``x`` with one axis moved by an element."""
    if g.group.kind in PERMUTING:
        source = list(g.inverse().value)  # (g x)[j] = x[σ⁻¹ j]
        if isinstance(x, torch.Tensor):
            return x.index_select(axis, torch.tensor(source, device=x.device))
        return np.take(x, source, axis)
    after = x.ndim - axis - 1
    if g.group.kind in ADDING:
        shift = _numbers(g.value, x).reshape(-1, *[1] * after)
        return _zeros(x) + shift if g.infinitesimal else x + shift
    matrix = _numbers(g.value, x)
    if isinstance(x, torch.Tensor):
        return torch.tensordot(matrix, x, ([1], [axis])).movedim(0, axis)  # type: ignore[arg-type]
    return np.moveaxis(np.tensordot(matrix, x, axes=([1], [axis])), 0, axis)


def _zeros(x: Tensor) -> Tensor:
    return torch.zeros_like(x) if isinstance(x, torch.Tensor) else np.zeros_like(x)


def _numbers(value: Any, like: Tensor) -> Tensor:
    """A matrix or vector as a tensor of the same sort."""
    if isinstance(like, torch.Tensor):
        return torch.tensor(np.array(value, dtype=float).tolist(), dtype=like.dtype, device=like.device)
    return np.array(value, dtype=object)


def _renamed(x: Tensor, g: GroupElement) -> Tensor:
    """Positions with their values moved: i becomes σ[i]."""
    n = len(g.value)
    if bool(((x < 0) | (x >= n)).any()):
        raise BadSymmetry(f"a position on the axis of {g.group} lies outside 0, ..., {n - 1}", [f"given   {x.min()} to {x.max()}"])
    if isinstance(x, torch.Tensor):
        return torch.tensor(g.value, device=x.device, dtype=x.dtype)[x.long()]
    return np.array(np.array(g.value, dtype=object)[x.astype(int)])


# --- checks -----------------------------------------------------------------------------------------------------------


def _known(shape: tuple[Size, ...]) -> tuple[int, ...]:
    return tuple(evaluate(n, {}, "an action") for n in shape)


def _check_wire(wire: Wire) -> None:
    """Refuses a wire on which its groups have no action together."""
    groups = [a.group for a in wire.axes if a.group]
    for axis in wire.axes:
        if axis.group and axis.size != size_of(axis.group):
            raise BadSymmetry(f"{wire}: an axis of size {axis.size} carries {axis.group}")
    adding = [g for g in groups if g.kind in ADDING]
    if adding and (len(adding) > 1 or any(g.kind in LINEAR for g in groups)):
        raise BadSymmetry(f"{wire}: a translation acts on one axis, beside permuted ones only", next="put the axes on different wires")
    integers = [*(groups if wire.kind != "float" else []), *([wire.bound] if isinstance(wire.bound, Group) else [])]
    if bad := next((g for g in integers if g.kind not in PERMUTING), None):
        raise BadSymmetry(f"{wire}: {bad} does not act on {'truth values' if wire.kind == 'bool' else 'integers'}")


def _fitting(wire: Wire, x: Tensor) -> Tensor:
    """``x`` as a tensor on the wire, or an array of exact numbers."""
    x = x if isinstance(x, torch.Tensor) else np.array(x, dtype=object)
    shape = _known(wire.shape)
    if x.ndim < len(shape) or tuple(x.shape[x.ndim - len(shape) :]) != shape:
        raise BadSymmetry(f"a tensor of shape {tuple(x.shape)} does not lie on {wire}", [f"needed  (*batch, {', '.join(map(str, shape))})"])
    real = isinstance(x, np.ndarray) or x.is_floating_point() or x.is_complex()
    if (wire.kind == "float" and not real) or (wire.kind == "index" and isinstance(x, torch.Tensor) and real):
        raise BadSymmetry(f"a tensor of {x.dtype} does not lie on {wire}", next="convert it first, e.g. x.double()")
    return x


__all__ = ["Action", "at_sizes", "groups_on", "identities", "rho"]
