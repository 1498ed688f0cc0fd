"""Spaces: the objects. A space is a row of wires; a wire is a tensor's event shape whose axes may carry groups.

``R(3, 4)`` is one wire; its tensors are ``(*batch, 3, 4)``, and the batch axes are common to all wires. ``x @ y`` puts wires
side by side and is free: a space is a rope, flattened once when somebody looks, so 50,000 wires built by ``@`` cost 50,000 steps.

Laws: ``@`` is associative with unit ``I``; ``==`` and ``hash`` see the wires only, never the bracketing.

>>> R(3) @ (R(4) @ R()) == (R(3) @ R(4)) @ R()
True
>>> S(5).space(2, channels=8), index(10, 7), I
(space(S(5), S(5), 8), index(10, 7), I)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from catlearn.core.sizes import Dim, Poly, Size, check_size, dims, product
from catlearn.errors import BadSpace


@dataclass(frozen=True)
class Group:
    """A group by its label: kind ``S A O SO Sp Z T E SE``, the size n of the set or space it acts on, and an optional name.

    Two groups with different names act independently, even if kind and size agree.
    """

    kind: str
    n: Size
    name: str | None = None

    def space(self, order: int = 1, channels: Size | None = None) -> Space:
        """One wire of the given tensor order: shape ``(n,) * order``, then the channels if any."""
        if order < 0:
            raise BadSpace(f"{self}.space({order}): an order is at least 0")
        axes = tuple(Axis(self.n, self) for _ in range(order))
        last = () if channels is None else (Axis(check_size(channels, "channels")),)
        return Space((Wire(axes + last),))

    def __repr__(self) -> str:
        return f"{self.kind}({self.n})" if self.name is None else f"{self.kind}({self.n}, name={self.name!r})"


def _group(kind: str, n: Size, name: str | None, least: int) -> Group:
    if isinstance(check_size(n, f"{kind}({n})"), int) and isinstance(n, int) and n < least:
        raise BadSpace(f"{kind}({n}): needs n of at least {least}")
    return Group(kind, n, name)


def S(n: Size, name: str | None = None) -> Group:
    """The symmetric group on n points."""
    return _group("S", n, name, 1)


def A(n: Size, name: str | None = None) -> Group:
    """The alternating group on n points."""
    return _group("A", n, name, 1)


def O(n: Size, name: str | None = None) -> Group:  # noqa: E743 - the mathematician's name
    """The orthogonal group of R^n."""
    return _group("O", n, name, 1)


def SO(n: Size, name: str | None = None) -> Group:
    """The special orthogonal group of R^n."""
    return _group("SO", n, name, 1)


def Sp(n: Size, name: str | None = None) -> Group:
    """The symplectic group of R^n; n is even."""
    if isinstance(n, int) and n % 2:
        raise BadSpace(f"Sp({n}): the symplectic group needs an even n", next=f"Sp({n + 1}) exists")
    return _group("Sp", n, name, 2)


def Z(n: Size, name: str | None = None) -> Group:
    """Cyclic shifts of n points."""
    return _group("Z", n, name, 1)


def T(n: Size, name: str | None = None) -> Group:
    """Translations of R^n; they act on a wire by adding."""
    return _group("T", n, name, 1)


@dataclass(frozen=True)
class Axis:
    """One axis of a wire: its size and the group that acts on it, if any."""

    size: Size
    group: Group | None = None

    def __str__(self) -> str:
        return str(self.group or self.size)


Bound: TypeAlias = Size | Group | None


@dataclass(frozen=True)
class Wire:
    """One tensor of a space: event axes, what its entries are, and whether it has the common batch axes.

    ``kind``: ``float``, ``index`` (integers below ``bound``, or positions on a group's axis) or ``bool``. ``role``: ``data``
    carries the batch axes; ``parameter`` does not (weights, their gradients, optimiser state).
    """

    axes: tuple[Axis, ...]
    kind: str = "float"
    bound: Bound = None
    role: str = "data"

    @property
    def shape(self) -> tuple[Size, ...]:
        return tuple(axis.size for axis in self.axes)

    @property
    def size(self) -> Size:
        """How many entries the event has."""
        return product(self.shape)

    @property
    def batched(self) -> bool:
        return self.role == "data"

    @property
    def dims(self) -> set[Dim]:
        return {d for axis in self.axes for d in dims(axis.size)}

    def like(self, *shape: Size) -> Wire:
        """A wire with the same entries and role and another shape; axes keep their group while sizes agree from the left."""
        old = self.axes
        axes = tuple(old[i] if i < len(old) and old[i].size == s else Axis(s) for i, s in enumerate(shape))
        return replace(self, axes=axes)

    def __repr__(self) -> str:
        parts = [repr(axis.group) if axis.group else str(axis.size) for axis in self.axes]
        grouped = any(axis.group for axis in self.axes)
        if self.kind == "index":
            text = f"index({', '.join([str(self.bound), *parts])})"
        elif self.kind == "bool":
            text = f"boolean({', '.join(parts)})"
        else:
            text = f"{'space' if grouped else 'R'}({', '.join(parts)})"
        return text if self.role == "data" else f"parameter({text})"


_PRIME, _BASE = (1 << 61) - 1, 0x5BD1E995_1B873593 % ((1 << 61) - 1)


class Space:
    """A row of wires. ``I`` is the empty row; ``x @ y`` concatenates in constant time; iterate or index to get wires."""

    __slots__ = ("_hash", "_left", "_len", "_power", "_right", "_wires")

    def __init__(self, wires: tuple[Wire, ...] = ()) -> None:
        self._wires: tuple[Wire, ...] | None = wires
        self._left: Space | None = None
        self._right: Space | None = None
        self._len, self._hash, self._power = len(wires), 0, 1
        for wire in wires:  # a polynomial hash is associative, so bracketing cannot show
            self._hash = (self._hash * _BASE + hash(wire)) % _PRIME
            self._power = self._power * _BASE % _PRIME

    def __matmul__(self, other: Space) -> Space:
        if not isinstance(other, Space):
            return NotImplemented
        if not self._len or not other._len:
            return self if self._len else other
        joined = Space.__new__(Space)
        joined._wires, joined._left, joined._right = None, self, other
        joined._len = self._len + other._len
        joined._hash = (self._hash * other._power + other._hash) % _PRIME
        joined._power = self._power * other._power % _PRIME
        return joined

    @property
    def wires(self) -> tuple[Wire, ...]:
        if self._wires is None:
            found: list[Wire] = []
            stack: list[Space] = [self]
            while stack:
                top = stack.pop()
                if top._wires is not None:
                    found.extend(top._wires)
                else:
                    assert top._left is not None and top._right is not None
                    stack += (top._right, top._left)
            self._wires, self._left, self._right = tuple(found), None, None
        return self._wires

    @property
    def dims(self) -> set[Dim]:
        """The symbolic sizes that occur."""
        return {d for wire in self.wires for d in wire.dims}

    def with_role(self, role: str) -> Space:
        """The same wires in another role: ``"parameter"`` takes the batch axes away, ``"data"`` gives them back."""
        return Space(tuple(replace(wire, role=role) for wire in self.wires))

    def __len__(self) -> int:
        return self._len

    def __iter__(self) -> Iterator[Wire]:
        return iter(self.wires)

    def __getitem__(self, i: int) -> Wire:
        return self.wires[i]

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Space) or self._len != other._len or self._hash != other._hash:
            return False
        return self.wires == other.wires

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return " @ ".join(map(repr, self.wires)) if self._len else "I"


I = Space()


def R(*shape: Size) -> Space:
    """One wire of real numbers with event shape ``shape``: ``R(3, 4)``, ``R()`` for a scalar."""
    return Space((Wire(tuple(Axis(check_size(s, f"R{shape}")) for s in shape)),))


def E(n: Size, name: str | None = None) -> Group:
    """The Euclidean group of R^n: rotations, reflections and translations. Its linear part is ``O(n)`` of the same name."""
    return _group("E", n, name, 1)


def SE(n: Size, name: str | None = None) -> Group:
    """The special Euclidean group of R^n: rotations and translations. Its linear part is ``SO(n)`` of the same name."""
    return _group("SE", n, name, 1)


def space(*axes: Size | Group) -> Space:
    """One wire whose axes carry groups or plain sizes: ``space(S(4), O(3), 16)`` has shape (4, 3, 16)."""
    return Space((Wire(_axes(axes, "space")),))


def index(bound: Bound, *axes: Size | Group) -> Space:
    """One wire of integers: values in ``range(bound)``, positions on the axis of a group, or any integers for ``None``."""
    if bound is not None and not isinstance(bound, Group):
        check_size(bound, "index")
    return Space((Wire(_axes(axes, "index"), "index", bound),))


def boolean(*axes: Size | Group) -> Space:
    """One wire of truth values, used as a mask."""
    return Space((Wire(_axes(axes, "boolean"), "bool"),))


def parameter(x: Space) -> Space:
    """The same wires without batch axes: the space of a weight, a gradient of one, an optimiser's state."""
    return x.with_role("parameter")


def tangent(x: Space) -> Space:
    """T: cotangents. A float wire is its own; integer and boolean wires have none, so they vanish."""
    return Space(tuple(wire for wire in x if wire.kind == "float"))


def _axes(items: tuple[Size | Group, ...], where: str) -> tuple[Axis, ...]:
    return tuple(Axis(a.n, a) if isinstance(a, Group) else Axis(check_size(a, where)) for a in items)


__all__ = ["A", "Axis", "E", "Group", "I", "O", "Poly", "R", "S", "SE", "SO", "Size", "Sp", "Space", "T", "Wire", "Z", "boolean", "index",
           "parameter", "space", "tangent"]  # fmt: skip
