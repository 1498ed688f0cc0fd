"""Rows of the table for sums over the edges of a graph: ``scatter_add`` and ``index_add``, as layers on graphs write them.

Such a layer repeats the position of each edge along the features, and adds to zeros. The box wants the positions themselves, so the rule
looks at the calls that made its arguments, back to where they were one axis.
"""

from __future__ import annotations

from typing import Any

from catlearn.boxes import index
from catlearn.core.graph import Node
from catlearn.interop.categorify.table import RULES, Call, rule

REPEATS = ("aten.expand.default", "aten.expand_as.default", "aten.broadcast_to.default")
VIEWS = ("aten.view.default", "aten.reshape.default", "aten.unsqueeze.default", "aten.unflatten.int")
ZEROS = ("aten.new_zeros.default", "aten.zeros.default", "aten.zeros_like.default")


def _maker(c: Call, wire: int) -> Node | None:
    """The node that made a wire."""
    return next((n for n in reversed(c.o.graph.root.items) if isinstance(n, Node) and wire in n.outs), None)


def _overload(node: Node | None) -> str:
    return getattr(node.op, "overload", "") if node is not None else ""


def _zeros(c: Call, wire: int) -> bool:
    return _overload(_maker(c, wire)) in ZEROS


def _positions(c: Call, wire: int, axis: int) -> int | None:
    """The wire of one axis of which this one holds a copy for everything beside ``axis``; None if it is not seen to be one."""
    node, shape = _maker(c, wire), c.o.wire(wire).shape
    if len(shape) == 1:
        return wire
    if node is not None and _overload(node) in REPEATS:
        inner = c.o.wire(node.args[0]).shape
        if len(inner) != len(shape) or inner[axis] != shape[axis]:
            return None
        wire, node, shape = node.args[0], _maker(c, node.args[0]), inner
    if any(n != 1 for i, n in enumerate(shape) if i != axis):
        return None
    while len(c.o.wire(wire).shape) != 1:
        if node is None or _overload(node) not in VIEWS:
            return None
        wire, node = node.args[0], _maker(c, node.args[0])
    return wire if c.o.wire(wire).shape == (shape[axis],) else None


def _added(c: Call, into: Any, axis: int, positions: int | None, x: Any) -> Any:
    if positions is None or c.type(x).kind != "float":
        return None
    axis %= len(c.type(x).axes)
    if not _same_beside(c.out.shape, c.type(x).shape, axis):
        return None
    total = c.o.apply(index.ScatterAdd(axis, c.out.shape[axis]), x.wire, positions)
    return total if _zeros(c, into.wire) else c.o.add(into.wire, total)


def _same_beside(a: Any, b: Any, axis: int) -> bool:
    return len(a) == len(b) and all(n == m for i, (n, m) in enumerate(zip(a, b, strict=True)) if i != axis)


@rule("scatter_add.default")
def _scatter_add(c: Call, into: Any, axis: int, ids: Any, x: Any) -> Any:
    if c.type(ids).shape != c.type(x).shape:
        return None
    return _added(c, into, axis, _positions(c, ids.wire, axis % len(c.type(x).axes)), x)


@rule("scatter_reduce.two")
def _scatter_reduce(c: Call, into: Any, axis: int, ids: Any, x: Any, how: str, include: bool = True) -> Any:
    return _scatter_add(c, into, axis, ids, x) if how == "sum" and include else None


@rule("index_add.default")
def _index_add(c: Call, into: Any, axis: int, ids: Any, x: Any, alpha: Any = 1) -> Any:
    return _added(c, into, axis, ids.wire if len(c.type(ids).shape) == 1 else None, x) if alpha == 1 else None


__all__ = ["RULES"]
