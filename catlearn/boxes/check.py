"""What ops ask of their wires, with one wording for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from catlearn import errors
from catlearn.core.op import Op
from catlearn.core.spaces import Axis, Space, Wire


def floats(op: Op, dom: Space, count: int | None = None) -> tuple[Wire, ...]:
    """The wires of dom if all are real and there are ``count`` of them (any number for None, at least one)."""
    needed = f"{count if count is not None else 'one or more'} float wire{'' if count == 1 else 's'}"
    if (count is not None and len(dom) != count) or not len(dom) or any(wire.kind != "float" for wire in dom):
        raise errors.BadBox(str(op), dom, needed)
    return dom.wires


def alike(op: Op, dom: Space, count: int) -> Wire:
    """The one space that all ``count`` wires share. An axis without a group takes the one that another wire has there."""
    wires = floats(op, dom, count)
    axes = tuple(merged(column) for column in zip(*(wire.axes for wire in wires), strict=False))
    if any(len(wire.axes) != len(axes) for wire in wires) or None in axes:
        raise errors.BadBox(str(op), dom, f"{count} equal wires", "bring them to one shape first, e.g. by cl.broadcast(...)")
    return replace(wires[0], axes=tuple(axis for axis in axes if axis is not None))


def merged(axes: Sequence[Axis]) -> Axis | None:
    """The axis that these are, but for groups that some do not name; None if there is none."""
    named = [axis for axis in axes if axis.group is not None]
    agree = len({axis.size for axis in axes}) == 1 and len(set(named)) <= 1
    return (named or axes)[0] if agree else None


def passes(op: Op, dom: Space) -> None:
    """Raise ``BadSymmetry`` if the op is nonlinear and stands on the axis of a group that moves entries into mixtures of each other.

    Permutations pass through whatever acts on every entry alike; rotations, symplectic maps and translations do not.
    """
    if not op.nonlinear:
        return
    for i, wire in enumerate(dom):
        group = next((axis.group for axis in wire.axes if axis.group and axis.group.kind in ("O", "SO", "Sp", "T")), None)
        if group is not None:
            raise errors.BadSymmetry(
                f"{op} does not commute with {group}",
                [f"given   wire {i} = {Space((wire,))}", f"needed  wires without an axis of {group}, or with permutations only",
                 "a function of single entries sees the basis, and this group changes it"],
                "gate by invariants: cl.norm_gate for O and SO, cl.symplectic_gate for Sp; or cl.tensor_product, or contract to order 0 "
                "first",
            )  # fmt: skip


def axes_of(op: Op, wire: Wire, axes: Sequence[int]) -> list[int]:
    """Event axes as non-negative positions; they are counted from the right by -1, -2, ..."""
    order = len(wire.axes)
    found = [axis + order if axis < 0 else axis for axis in axes]
    if len(set(found)) != len(found) or any(not 0 <= axis < order for axis in found):
        raise errors.BadBox(str(op), Space((wire,)), f"distinct axes between {-order} and {order - 1}, not {tuple(axes)}")
    return found


def negative(axes: Sequence[int], order: int) -> tuple[int, ...]:
    """Event axes counted from the right, which batch axes on the left cannot move."""
    return tuple(axis if axis < 0 else axis - order for axis in axes)
