"""What a rule sees of a node, and what it answers.

A rule is a function from a :class:`Call` to the typings that the node then has: it may give several, since a tensor may have several
types, and it raises ``Refused`` with a reason where it has none. **The law of a rule**: if every argument has its type (see
``types``), then the results have theirs, for all inputs, parameters and group elements. Each row is tested for it numerically.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any, TypeAlias

from catlearn.core.sizes import Size
from catlearn.verify.types import Axis, Factor, Mode, Refused, Type, entrywise, is_plain, meet, normal, plain, show, size


@dataclass(frozen=True)
class Value:
    """A tensor of a program: its shape, what its entries are (``float``, ``index``, ``bool``), and the entries if few and fixed."""

    shape: tuple[Size, ...]
    kind: str = "float"
    entries: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Typed:
    """An argument of a node that is a tensor, with the type it has been given."""

    value: Value
    type: Type

    @property
    def rank(self) -> int:
        return len(self.value.shape)

    @property
    def axes(self) -> tuple[Axis, ...]:
        return self.type.axes


@dataclass(frozen=True)
class Call:
    """A node with typed arguments: arguments by the names of the operator's schema, the shapes of the results, the sets that act."""

    op: str
    args: Mapping[str, Any]
    outs: tuple[Value, ...]
    world: tuple[Factor, ...] = ()
    random: bool = False

    def tensor(self, name: str) -> Typed:
        """A tensor argument; ``Refused`` if it is none."""
        found = self.args[name]
        if not isinstance(found, Typed):
            raise Refused(f"{name} is no tensor here")
        return found

    def get(self, name: str, default: Any = None) -> Any:
        """An argument, or the default where the operator has none of this name."""
        return self.args.get(name, default)

    def tensors(self) -> list[Typed]:
        """All tensor arguments, those in lists included."""
        found: list[Typed] = []
        for arg in self.args.values():
            found += [x for x in (arg if isinstance(arg, list | tuple) else (arg,)) if isinstance(x, Typed)]
        return found

    def axis(self, name: str, of: Typed | int) -> int:
        """An axis argument, counted from the front."""
        rank, found = of if isinstance(of, int) else of.rank, self.args[name]
        if not isinstance(found, int):
            raise Refused(f"{name} = {found} is no axis")
        return found % rank if rank else 0


@dataclass(frozen=True)
class Typing:
    """One typing of a node's results, and what has to be assumed for it; the first ``sure`` of them have their types without that."""

    types: tuple[Type, ...]
    assumes: frozenset[str] = field(default_factory=frozenset)
    sure: int = 0

    def needs(self, place: int) -> frozenset[str]:
        """What has to be assumed for the type of one result."""
        return self.assumes if place >= self.sure else frozenset()


Rule: TypeAlias = Callable[[Call], "Sequence[Typing] | Type"]

NO_TIES = "no ties in what is sorted or selected"
IN_DISTRIBUTION = "random entries compared in distribution"
ASSUMPTIONS = (NO_TIES, IN_DISTRIBUTION)


def typed(*types: Type, assumes: str | None = None, sure: int = 0) -> list[Typing]:
    """One typing."""
    return [Typing(types, frozenset((assumes,) if assumes else ()), sure)]


def plain_type(value: Value) -> Type:
    """The type of a tensor on which nothing acts."""
    return Type(tuple(plain(n) for n in value.shape))


def typed_of(arg: Any) -> Typed:
    """A tensor argument as it is; a number as a tensor without axes."""
    if isinstance(arg, Typed):
        return arg
    if arg is None or isinstance(arg, str | list | tuple):
        raise Refused(f"{arg!r} is no tensor and no number")
    return Typed(Value(()), Type((), zero=isinstance(arg, int | float) and arg == 0))


def aligned(types: Sequence[Type]) -> list[Type]:
    """The types with axes of size 1 in front, until all have the same number of axes."""
    rank = max((len(t.axes) for t in types), default=0)
    return [replace(t, axes=((),) * (rank - len(t.axes)) + t.axes) for t in types]


def together(a: Type, b: Type, mode: Mode) -> tuple[Axis, ...]:
    """The axes of two tensors combined entry by entry, with broadcasting."""
    x, y = aligned((a, b))
    return tuple(meet(p, q, mode) for p, q in zip(x.axes, y.axes, strict=True))


def apply_each(types: Sequence[Type]) -> tuple[Axis, ...]:
    """The axes of any function of entries at the same place, with broadcasting."""
    lined = aligned(types)
    axes = reduce(lambda x, y: tuple(meet(p, q, "fn") for p, q in zip(x, y, strict=True)), (t.axes for t in lined))
    for axis in axes:
        require_entrywise(axis)
    return axes


def require_entrywise(axis: Axis, what: str = "a function of each entry") -> Axis:
    """The axis, if any function may be applied to the entries along it."""
    if not entrywise(axis):
        raise Refused(f"{what} does not commute with what acts on {show(axis)}")
    return axis


def require_plain(axis: Axis, what: str) -> Axis:
    """The axis read as plain, if nothing acts on it."""
    if not is_plain(axis):
        raise Refused(f"{what} needs a plain axis, and {acting(axis)} acts on this one")
    return plain(size(axis))


def varied(type: Type) -> Type:
    """The type of a tensor after each entry got random numbers of its own: it is constant along nothing any more, nor zero."""
    axes = tuple(normal([Factor("c", f.size) if f.kind == "*" else f for f in axis]) for axis in type.axes)
    return replace(type, axes=axes, zero=False)


def cyclic(axis: Axis) -> bool:
    """Whether only cyclic shifts act on the axis: Z(n), and S(2), A(2), A(3), which are the same."""
    if len(axis) != 1 or axis[0].kind != "X":
        return False
    kind = axis[0].group.split("(")[0]
    return kind == "Z" or (kind in ("S", "A") and axis[0].size == 2) or (kind == "A" and axis[0].size == 3)


def acting(axis: Axis) -> str:
    """What acts on an axis, in words."""
    names = [acting(part) for f in axis for part in f.parts] + [f.group or "a translation" for f in axis if f.group or f.shift != 0]
    return ", ".join(dict.fromkeys(n for n in names if n != "nothing")) or "nothing"
