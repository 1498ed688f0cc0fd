"""Changes in place undone: ``x.add_(y)`` is ``x + y`` and a new value for whoever reads x later, where nothing else shows x."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import torch
from torch import fx

MAY_ALIAS = frozenset(
    "einsum dropout alpha_dropout feature_dropout meshgrid broadcast_tensors atleast_1d atleast_2d atleast_3d pad".split()
)


class NeedsFunctions(Exception):
    """The program changes tensors in place in a way that only torch's own functionalisation can undo."""


def functional(node: fx.Node, bases: Mapping[fx.Node, fx.Node]) -> tuple[Any, fx.Node | None]:
    """The overload that makes a new tensor, and the value that it stands for from here on, where the call changes one in place.

    ``bases`` tells of what an earlier change gave back whose value it was. Raises ``NeedsFunctions`` where a view may show the change.
    """
    target: Any = node.target
    written = [i for i, a in enumerate(target._schema.arguments) if a.alias_info is not None and a.alias_info.is_write]
    if not written:
        return target, None
    twin, changed = twin_of(target), node.args[0]
    base = bases.get(changed, changed) if isinstance(changed, fx.Node) else None
    if base is None or written != [0] or twin is None or base.op == "placeholder" or aliases(base) or any(map(aliases, base.users)):
        raise NeedsFunctions
    return twin, base


def aliases(node: fx.Node) -> bool:
    """Whether a call may give back a view of an argument."""
    target = node.target
    if target is operator.getitem:
        return aliases(node.args[0])  # type: ignore[arg-type]
    if not isinstance(target, torch._ops.OpOverload):
        return False
    mutates = any(a.alias_info is not None and a.alias_info.is_write for a in target._schema.arguments)
    views = any(r.alias_info is not None for r in target._schema.returns)
    return (views and not mutates) or target._schema.name.partition("::")[2] in MAY_ALIAS


def twin_of(target: Any) -> Any:
    """The overload that does out of place what this one does in place."""
    name = target._schema.name.partition("::")
    packet = getattr(getattr(torch.ops, name[0]), name[2].removesuffix("_"), None)
    needed = [(a.name, str(a.type)) for a in target._schema.arguments]
    for overload in packet.overloads() if packet is not None else []:
        found = getattr(packet, overload)
        if [(a.name, str(a.type)) for a in found._schema.arguments] == needed and not found._schema.is_mutable:
            return found
    return None


__all__ = ["NeedsFunctions", "functional"]
