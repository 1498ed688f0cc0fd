"""Recording what reaches the dispatcher: the list of aten ops of a call, forward and backward, which has no noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class _Recorder(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.ops: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.ops.append(str(func))
        return func(*args, **(kwargs or {}))


def recorded(call: Callable[[], Any]) -> list[str]:
    """The aten ops that a call runs, in order."""
    with _Recorder() as recorder:
        call()
    return recorder.ops


def training_ops(module: torch.nn.Module, *inputs: torch.Tensor) -> list[str]:
    """The aten ops of one forward and backward pass with respect to the parameters."""

    def step() -> None:
        out = module(*inputs)
        torch.autograd.grad(out.sum() if isinstance(out, torch.Tensor) else sum(o.sum() for o in out), list(module.parameters()))

    return recorded(step)
