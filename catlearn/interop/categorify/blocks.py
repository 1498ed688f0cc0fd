"""Blocks inside a module: ``torch.no_grad`` and a switched-off ``autocast`` are entered, and what they mean is kept.

What comes out of a block without gradients is cut from its history, by ``detach``; that is all that such a block does to a function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import fx

from catlearn import errors
from catlearn.interop.categorify.aten import Aten, Place
from catlearn.interop.categorify.modes import checks, through

if TYPE_CHECKING:
    from catlearn.interop.categorify.read import Reader


def enter(reader: Reader, node: fx.Node) -> tuple[Any, ...]:
    """The values that a block gives, its calls read as if they stood outside. Raises ``CannotTrace`` for other blocks."""
    name, args = str(node.target), list(node.args)
    if "set_grad_enabled" in name:
        enabled, body, *given = args
    elif "wrap_with_autocast" in name and not args[2]:
        enabled, body, given = True, args[4], args[5:]
    else:
        raise errors.CannotTrace(f"categorify does not enter {name}", [f"at {reader.source}"] if reader.source else [],
                                 "hand that part over as one box: cl.from_module(module, dom, cod)")  # fmt: skip
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


__all__ = ["enter"]
