"""The words in a picture: titles, the key attributes of a box, tooltips, labels of wires and parameters.

>>> import catlearn as cl
>>> short(cl.S(5).space(2, channels=8)[0]), short(cl.parameter(cl.R(3, 4))[0]), count(7_085_312)
('S(5)×S(5)×8', 'R(3, 4)', '7.09M')
"""

from __future__ import annotations

import re
from dataclasses import MISSING, fields, replace
from typing import TYPE_CHECKING, Any

from catlearn.boxes.backward import Backward, Saving, Vjp
from catlearn.core.graph import Graph, Node, Region
from catlearn.core.op import Op
from catlearn.core.sizes import Poly
from catlearn.core.spaces import Axis, Space, Wire

if TYPE_CHECKING:
    from catlearn.meanings.picture.diagram import Part

REVERSE = "_reverse"
SYMBOLS = {"add": "+", "sub": "−", "mul": "×", "div": "÷"}


def short(wire: Wire, limit: int = 26) -> str:
    """The space of a wire as a small label."""
    if wire.kind == "float" and any(axis.group for axis in wire.axes):
        text = "×".join(map(str, wire.axes))
    else:
        text = repr(replace(wire, role="data"))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def count(n: Any) -> str:
    """A number of entries in at most four letters where it is known: 12, 8.3k, 7.09M."""
    if isinstance(n, Poly):
        return str(n)
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if n >= size:
            return f"{n / size:.3g}{letter}"
    return str(n)


def names(node: Node, depth: int) -> str:
    """The scope at this depth that the node's name lies in; empty if the node is there itself."""
    parts = node.name.partition("/")[0].removesuffix(REVERSE).split(".")
    below = 2 if "/" in node.name else 1  # the name of a cell's node ends in box.parameter/
    return parts[depth] if depth < len(parts) - below else ""


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple | list):
        return f"({', '.join(map(_value, value))})"
    return str(value)


def attributes(op: Op) -> list[str]:
    """The attributes that are not at their default, as ``name=value``."""
    shown = []
    for f in fields(op):  # type: ignore[arg-type]
        value = getattr(op, f.name)
        default = f.default if f.default is not MISSING else object()
        if value == default or isinstance(value, Space | Axis | Wire | Op) or callable(value) or value is None:
            continue
        text = f"{f.name}={_value(value)}" if not isinstance(value, str) else value
        shown.append(text if len(text) <= 24 else text[:23] + "…")
    return shown


def describe(graph: Graph, part: Part, raised: bool) -> None:
    """Title, lines and tooltip of a box."""
    node = part.nodes[0]
    op = node.op
    if part.kind == "cell":
        ops = [n.op.name for n in part.nodes]
        part.title, part.lines = " · ".join(ops[:3]) + (" …" if len(ops) > 3 else ""), ()
        part.tip = f"{node.name.partition('/')[0]} is read off {len(part.needs)} parameter(s)\n{_places(part)}"
        return
    last = node.name.removesuffix(REVERSE).rpartition("/")[2].rpartition(".")[2]
    own = not raised and re.sub(r"_\d+$|#\d+$", "", last) != op.name and bool(last)
    inner = op.of if isinstance(op, Backward | Saving | Vjp) else op
    part.title = last if own else SYMBOLS.get(op.key, f"∂ {inner.name}" if isinstance(op, Backward | Vjp) else op.name)
    lines = [op.name] if own else []
    if isinstance(op, Backward):
        lines.append("in " + ", ".join(_argument(name) for name in op.rule.gives.split()))
    elif isinstance(getattr(inner, "out", None), Axis) and node.args:
        lines.append(f"{graph.wires[node.args[0]].shape[-1]} → {graph.wires[node.outs[0]].shape[-1]}")
    elif not isinstance(op, Vjp):
        lines += attributes(inner)[:2]
    part.lines = tuple(lines)
    part.tip = f"{node.name}: {op}\n{graph.space(node.args[: node.data])} → {graph.space(node.outs)}\n{_places(part)}".strip()


def _spoken(op: Op) -> str:
    return f"∂ {op.of.name}" if isinstance(op, Backward | Vjp) else op.name


def _argument(name: str) -> str:
    return "x" if name == "x0" else name


def _places(part: Part) -> str:
    sources = list(dict.fromkeys(str(node.source) for node in part.nodes if node.source))
    return "\n".join(sources[:3])


def summary(graph: Graph, part: Part, region: Region) -> None:
    """The lines and the tooltip of a scope: what is in it."""
    inside: dict[str, None] = {}
    for item in region.items:
        inside[item.path[-1] if isinstance(item, Region) else _spoken(item.op)] = None
    words = [name for name in inside if not name.isdecimal()]
    if not words or (part.times > 1 and all(name.isdecimal() for name in inside)):
        words = list(dict.fromkeys(_spoken(node.op) for node in region.nodes()))
    known = words[:3]
    while len(" · ".join(known)) > 34 and len(known) > 1:
        known.pop()
    part.lines = (" · ".join(known) + (" …" if len(known) < len(words) else ""),) if part.kind == "fold" else ()
    many = f" ({part.times} copies)" if part.times > 1 else ""
    spaces = " @ ".join(short(graph.wires[w], 60) for w in part.ins if w >= 0) or "I"
    ends = " @ ".join(short(graph.wires[w], 60) for w in part.outs if w >= 0) or "I"
    part.tip = f"{part.name}{many}: {len(part.nodes)} boxes\n{spaces} → {ends}\n{_places(part)}".strip()
