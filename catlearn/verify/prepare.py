"""Before a graph is read: no mutation, no operator without a row where torch can decompose it, and the line a node comes from."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch.export import ExportedProgram

from catlearn.core.source import Source
from catlearn.verify.rules import TABLE

_SILENT = ("sym_constrain_range", "_assert", "sym_size", "sym_stride", "sym_numel", "sym_storage_offset", "_set_grad_enabled")
_FRAME = re.compile(r'File "([^"]+)", line (\d+)')


def prepared(ep: ExportedProgram) -> ExportedProgram:
    """The same program without mutation and without operators that have no row but a decomposition."""
    targets = {node.target for node in ep.graph.nodes if node.op == "call_function" and isinstance(node.target, torch._ops.OpOverload)}
    unknown = {t for t in targets if str(t) not in TABLE and t.namespace == "aten" and not silent(t)}
    table: dict[Any, Callable[..., Any]] = {}
    if unknown:
        known = torch.export.default_decompositions()
        table = {t: known[t] for t in unknown if t in known}
    if table or any(_mutates(node) and not _harmless(node, ep) for node in ep.graph.nodes):
        with warnings.catch_warnings():  # torch's own deprecations while it copies the program
            warnings.simplefilter("ignore", FutureWarning)
            return ep.run_decompositions(table)
    return ep


def _mutates(node: torch.fx.Node) -> bool:
    target = node.target
    return isinstance(target, torch._ops.OpOverload) and any(a.alias_info and a.alias_info.is_write for a in target._schema.arguments)


def _harmless(node: torch.fx.Node, ep: ExportedProgram) -> bool:
    """A detach in place, or a count in a buffer that nothing reads."""
    changed = node.args[0] if node.args else None
    if str(node.target) == "aten.detach_.default":
        return True
    return isinstance(changed, torch.fx.Node) and changed.op == "placeholder" and not node.users and list(changed.users) == [node]


def silent(target: Any) -> bool:
    """Whether a node only asks for sizes, or asserts something of them."""
    name = getattr(target, "__name__", str(target)).split(".")[0]
    return any(name.startswith(word) for word in _SILENT)


def source_of(node: torch.fx.Node) -> Source | None:
    """The innermost line outside torch that the node comes from; torch's own where there is no other."""
    frames = _FRAME.findall(node.meta.get("stack_trace") or "")
    outside = [frame for frame in frames if "/torch/" not in frame[0]]
    best = (outside or frames)[-1:]
    return Source(best[0][0], int(best[0][1])) if best else None


__all__ = ["prepared", "silent", "source_of"]
