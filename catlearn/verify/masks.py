"""Boolean masks in brackets: what ``x[mask]`` picks is a subset with a name of its own, ``x[mask] = v`` is a choice. **Trusted.**"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from catlearn.verify.kernel import SUBSET, Wire
from catlearn.verify.rules import Value

if TYPE_CHECKING:
    from catlearn.verify.program import Reader


def read(reader: Reader, node: torch.fx.Node, env: Mapping[Any, Any]) -> Wire | None:
    """The wire of a result that a mask makes; None if the node has no mask."""
    name, value = str(node.target), node.meta.get("val")
    if name not in ("aten.index.Tensor", "aten.index_put.default", "aten.nonzero.default") or not isinstance(value, torch.Tensor):
        return None
    x: Wire = env[node.args[0]]
    out = Value(tuple(map(reader.size, value.shape)), reader.wires[x.place].kind)
    if name == "aten.nonzero.default":
        places = subset(reader, node, x, value.shape[0])
        return reader.add(node, "aten.stack.default", {"tensors": places, "dim": 1}, [replace(out, kind="index")])[0]
    rows: Any = node.args[1]
    given: list[Any] = [None if i is None else env[i] for i in rows]
    at = [k for k, i in enumerate(given) if i is not None]
    if len(at) != 1 or reader.wires[given[at[0]].place].kind != "bool":
        return None
    mask: Wire = given[at[0]]
    if name == "aten.index.Tensor":
        places = subset(reader, node, mask, value.shape[at[0]])
        return reader.add(node, name, {"self": x, "indices": [*given[: at[0]], *places]}, [out])[0]
    put: Wire = env[node.args[2]]
    if at != [0] or (len(node.args) > 3 and node.args[3]) or reader.wires[put.place].shape != ():
        return None
    while len(reader.wires[mask.place].shape) < len(out.shape):
        old = reader.wires[mask.place]
        mask = reader.add(node, "aten.unsqueeze.default", {"self": mask, "dim": -1}, [Value((*old.shape, 1), "bool")])[0]
    return reader.add(node, "aten.where.self", {"condition": mask, "self": put, "other": x}, [out])[0]


def subset(reader: Reader, node: torch.fx.Node, mask: Wire, count: Any) -> list[Wire]:
    """The places where a mask holds, one list for each of its axes; known by the mask's own wire."""
    outs = [Value((reader.size(count),), "index") for _ in reader.wires[mask.place].shape]
    return reader.add(node, SUBSET, {"mask": mask, "name": mask.place}, outs, sorted(reader.made(count)))


__all__ = ["read", "subset"]
