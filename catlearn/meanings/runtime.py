"""What generated code may call, and how a failure inside it is put into the user's words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from catlearn import errors
from catlearn.core.graph import Graph
from catlearn.core.spaces import Space, Wire
from catlearn.meanings.kernels import KERNELS
from catlearn.meanings.opaque import OPAQUE
from catlearn.meanings.positions import POSITIONS


def vjp(f: Callable[..., Any], args: tuple[Any, ...], dys: tuple[Any, ...], wanted: Sequence[int]) -> tuple[Any, ...]:
    """Torch's autograd on one box: the cotangents of the wanted arguments, differentiable in their turn where gradients are on."""
    again = torch.is_grad_enabled() and any(t.requires_grad for t in (*args, *dys))
    with torch.enable_grad():
        # views, so that one tensor given twice has two cotangents
        inputs = [a.view_as(a) if again and a.requires_grad else a.detach().requires_grad_(i in wanted) for i, a in enumerate(args)]
        ys = f(*inputs)
        ys = [y for y in (ys if isinstance(ys, tuple | list) else (ys,)) if y.is_floating_point()]
        pairs = [(y, dy) for y, dy in zip(ys, dys, strict=True) if y.requires_grad]
        outs, seeds, sources = [y for y, _ in pairs], [dy for _, dy in pairs], [inputs[i] for i in wanted]
        grads = torch.autograd.grad(outs, sources, seeds, allow_unused=True, create_graph=again) if pairs else [None] * len(wanted)
    return tuple(torch.zeros_like(inputs[i]) if g is None else g for i, g in zip(wanted, grads, strict=True))


NAMESPACE: dict[str, Any] = {"torch": torch, "F": F, "aten": torch.ops.aten, "checkpoint": checkpoint, "vjp": vjp}
NAMESPACE |= {**KERNELS, **OPAQUE, **POSITIONS}

KINDS = {"float": "a floating-point", "index": "an integer (int64)", "bool": "a boolean"}


def refuser(dom: Space) -> Callable[..., NoReturn]:
    """The function that generated code calls when an input has the wrong shape."""

    def refuse(*inputs: Any) -> NoReturn:
        rows = [f"input {i}: given {tuple(x.shape)}, needed (*batch, {', '.join(map(str, wire.shape))})"
                for i, (x, wire) in enumerate(zip(inputs, dom, strict=True)) if not _fits(x, wire)]  # fmt: skip
        raise errors.BadInput("an input has the wrong shape", rows, f"the term starts from {dom}; batch axes come first")

    return refuse


def _fits(x: Any, wire: Wire) -> bool:
    shape = tuple(x.shape)[len(x.shape) - len(wire.axes) :]
    return len(shape) == len(wire.axes) and all(not isinstance(s, int) or s == n for s, n in zip(wire.shape, shape, strict=True))


def kind_of(x: torch.Tensor) -> str:
    """float, index or bool, as a tensor's dtype says."""
    return "float" if x.is_floating_point() or x.is_complex() else "bool" if x.dtype == torch.bool else "index"


def problems(dom: Space, inputs: Sequence[Any]) -> list[str]:
    """What is wrong with these inputs for this domain, in words; empty if nothing is."""
    if len(inputs) != len(dom):
        return [f"{len(inputs)} inputs given, {len(dom)} needed: {dom}"]
    rows = []
    for i, (x, wire) in enumerate(zip(inputs, dom, strict=True)):
        if not isinstance(x, torch.Tensor):
            rows.append(f"input {i}: given {type(x).__name__}, needed a torch.Tensor")
        elif not _fits(x, wire):
            rows.append(f"input {i}: given shape {tuple(x.shape)}, needed (*batch, {', '.join(map(str, wire.shape))})")
        elif kind_of(x) != wire.kind:
            rows.append(f"input {i}: given {x.dtype}, needed {KINDS[wire.kind]} tensor for {wire}")
    if not rows:
        batches = {tuple(x.shape)[: len(x.shape) - len(wire.axes)] for x, wire in zip(inputs, dom, strict=True) if wire.batched}
        if len(batches) > 1:
            rows.append(f"the batch axes differ: {', '.join(map(str, sorted(batches)))}")
    return rows


def explain_failure(graph: Graph, inputs: Sequence[Any], params: Sequence[tuple[str, torch.Tensor]], error: BaseException) -> None:
    """Raise ``BadInput`` from a torch error if the inputs do not fit the term; return if they do."""
    dom = graph.space(graph.inputs)
    rows = problems(dom, inputs)
    if not rows:
        floats = [(f"input {i}", x) for i, (x, wire) in enumerate(zip(inputs, dom, strict=True)) if wire.kind == "float"] + list(params)
        for what in ("dtype", "device"):
            kinds: dict[Any, str] = {}
            for name, x in floats:
                if x.is_floating_point() or what == "device":
                    kinds.setdefault(getattr(x, what), name)
            if len(kinds) > 1:
                rows.append(f"two {what}s: " + ", ".join(f"{name} has {kind}" for kind, name in kinds.items()))
    if rows:
        raise errors.BadInput(
            "the inputs do not fit the term", rows, "bring tensors to one dtype and device: x.to(...), model.to(...)"
        ) from error
