"""Blocks inside a module: ``torch.no_grad`` and a switched-off ``autocast`` are entered, and what they mean is kept.

What comes out of a block without gradients is cut from its history, by ``detach``; that is all that such a block does to a function.
Any other block (``torch.cond``, ``while_loop``, a switched-on ``autocast``) is one opaque op, which holds its programs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import fx

from catlearn.core.spaces import Wire
from catlearn.interop.categorify.ask import axes, flat, kind
from catlearn.interop.categorify.aten import Aten, Place, given, spoken
from catlearn.interop.categorify.inplace import NeedsFunctions, aliases
from catlearn.interop.categorify.modes import checks, through
from catlearn.interop.categorify.program import Call, Program, called

if TYPE_CHECKING:
    from catlearn.interop.categorify.read import Reader


def enter(reader: Reader, node: fx.Node) -> tuple[Any, ...]:
    """The values that a block gives: its calls read as if they stood outside, or the block as one op."""
    name, args = str(node.target), list(node.args)
    if "set_grad_enabled" in name:
        enabled, body, *given = args
    elif "wrap_with_autocast" in name and not args[2]:
        enabled, body, given = True, args[4], args[5:]
    else:
        return _whole(reader, node)
    outer, values = reader.owner, [reader.wire_of(a) if isinstance(a, fx.Node) else a for a in given]
    reader.owner = inner = getattr(outer, str(body.target))  # type: ignore[union-attr]
    places = [n for n in inner.graph.nodes if n.op == "placeholder"]
    reader.env.update(zip(places, values, strict=True))
    for n in inner.graph.nodes:
        if n.op in ("call_function", "get_attr") and not checks(n) and through(n) is n:
            reader.call(n)
    (results,) = next(n for n in inner.graph.nodes if n.op == "output").args
    reader.owner = outer
    return tuple(_out(reader, reader.wire_of(n) if isinstance(n, fx.Node) else n, bool(enabled)) for n in results)


def _out(reader: Reader, value: Any, enabled: bool) -> Any:
    if enabled or not isinstance(value, int) or reader.wire(value).kind != "float":
        return value
    space = reader.graph.space([value])
    return reader.node(Aten("aten.detach.default", (Place(0),), (), space, space), (value,))[0]


# -- a block as one op -------------------------------------------------------------------------------------------------


def _whole(reader: Reader, node: fx.Node) -> tuple[Any, ...]:
    """The block as one opaque op, in whose attributes its programs stand."""
    expected = [reader.type(v) for v in flat(node.meta["val"])]
    return reader.opaque(node.target, [reader.value(_read(reader.owner, a)) for a in node.args], expected)


def _read(owner: Any, a: Any) -> Any:
    """An argument; a program where it was a graph."""
    inner = getattr(owner, str(a.target), None) if isinstance(a, fx.Node) and a.op == "get_attr" else None
    return program(inner) if isinstance(inner, fx.GraphModule) else a


def program(module: fx.GraphModule) -> Program:
    """A graph as its calls, those left out that only check. Raises ``NeedsFunctions`` if it changes what it was given."""
    places: dict[fx.Node, Any] = {}
    calls: list[Call] = []
    inputs = [node for node in module.graph.nodes if node.op == "placeholder"]
    places.update((node, Place(i)) for i, node in enumerate(inputs))

    def value(a: Any) -> Any:
        if isinstance(a, fx.Node):
            return places[a]
        if isinstance(a, list | tuple):
            return tuple(map(value, a))
        return spoken(a)

    for node in module.graph.nodes:
        if node.op == "get_attr":
            held = getattr(module, str(node.target))
            tensor = isinstance(held, torch.Tensor)
            places[node] = given(held, Wire(axes(held.shape), kind(held))) if tensor else program(held)
        elif node.op == "call_function" and not checks(node):
            if _changes(node):
                raise NeedsFunctions
            calls.append(Call(called(node.target), value(node.args), tuple((name, value(a)) for name, a in node.kwargs.items())))
            places[node] = Place(len(inputs) + len(calls) - 1)
    (results,) = next(node for node in module.graph.nodes if node.op == "output").args
    return Program(len(inputs), tuple(calls), value(results))


def _changes(node: fx.Node) -> bool:
    """Whether a call changes what the graph was given, or a view of it."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return False
    if str(node.target) == "aten.batch_norm.default":
        return node.args[3] is not None and node.args[5] is not False
    written = [
        a for s, a in zip(node.target._schema.arguments, node.args, strict=False) if s.alias_info is not None and s.alias_info.is_write
    ]
    for found in written:
        while isinstance(found, fx.Node) and found.op == "call_function" and (aliases(found) or str(found.target).split(".")[1][-1] == "_"):
            found = found.args[0]
        if isinstance(found, fx.Node) and found.op != "call_function":
            return True
    return False


__all__ = ["enter", "program"]
