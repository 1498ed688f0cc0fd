"""Whether the exported program computes what the network computes, on one example.

``torch.export`` is trusted, but it does not see everything: a tensor's ``.data`` that is set, code that asks whether it is being exported,
a state kept in Python. Where the two differ, a proof about the program would say nothing about the network.

>>> from catlearn.interop.trace import trace
>>> x = torch.arange(3.0)
>>> check_same(trace(torch.relu, (x,)), torch.relu, [x])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from catlearn.errors import CannotTrace
from catlearn.verify.refute import outputs

NEAR = 1e-3  # of the largest entry: rounding in float32, also where the program takes another path than the fast one


def check_same(ep: ExportedProgram, f: Callable[..., Any], inputs: Sequence[torch.Tensor]) -> None:
    """Runs both with gradients on, as the export does; ``CannotTrace`` if they differ. Random programs are not compared."""
    targets = [node.target for node in ep.graph.nodes if isinstance(node.target, torch._ops.OpOverload)]
    if any(torch.Tag.nondeterministic_seeded in target.tags for target in targets):
        return
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.enable_grad():
            found, wanted = _program(ep, inputs), _network(f, inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    if any(isinstance(x, FakeTensor) for x in found):
        raise CannotTrace(
            "torch.export kept a tensor without entries as a constant", [], "write derivatives inside of it as torch operators"
        )
    for k, (a, b) in enumerate(zip(found, wanted, strict=True)):
        a, b = a.detach(), b.detach()
        scale = max([1.0, *(float(x[x.isfinite()].abs().max()) for x in (a, b) if x.is_floating_point() and x.isfinite().any())])
        if a.shape != b.shape or not torch.allclose(a.to(b.dtype), b, rtol=0, atol=NEAR * scale, equal_nan=True):
            raise CannotTrace("what torch.export sees of the network is not what the network computes",
                              [f"output {k} differs on an example"],
                              "look for .data being set, for torch.compiler.is_exporting(), for a state kept in Python")  # fmt: skip


def _copies(inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    return [x.clone() for x in inputs]


def _network(f: Callable[..., Any], inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    if not isinstance(f, nn.Module):
        return outputs(f(*_copies(inputs)))
    return outputs(torch.func.functional_call(f, {k: v.clone() for k, v in f.named_buffers()}, tuple(_copies(inputs))))


def _program(ep: ExportedProgram, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    data, given = iter(_copies(inputs)), []
    held: dict[Any, Any] = {**ep.constants, **ep.state_dict}
    for spec in ep.graph_signature.input_specs:
        if spec.kind == InputKind.USER_INPUT:
            given.append(next(data))
        else:
            kept = held[spec.target]
            given.append(kept.clone() if isinstance(kept, torch.Tensor) and spec.kind != InputKind.PARAMETER else kept)
    return outputs(torch.fx.Interpreter(ep.graph_module).run(*given))


__all__ = ["check_same"]
