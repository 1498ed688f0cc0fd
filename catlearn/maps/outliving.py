"""What outlives the call that makes it: constants of compiled graphs, and tensors that are made once.

``constant`` is ``torch.compiler.assume_constant_result`` without importing the compiler, which takes seconds and pulls sympy: torch's
compiler runs such a function while it traces, and takes the result as a constant. Tensors made inside ``lasting`` serve every later call,
though the first may come under inference mode, a transform of ``torch.func``, a mode that makes stand-ins, or another default device.

>>> import torch
>>> @constant
... def rows(text: str) -> int:
...     return len(text.splitlines())
>>> rows("one")
1
>>> with torch.inference_mode(), lasting():
...     torch.zeros(2).is_inference()
False
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch.utils._python_dispatch import _disable_current_modes

F = TypeVar("F", bound=Callable)


def constant(function: F) -> F:
    """The function itself, marked; its arguments must be constants of the trace."""
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function


def watched() -> bool:
    """Whether a mode watches every call of torch, so that tensors are perhaps stand-ins."""
    return torch._C._len_torch_dispatch_stack() > 0


@contextmanager
def lasting() -> Iterator[None]:
    """Plain tensors, whatever watches the call."""
    with torch.inference_mode(False), _disable_current_modes(), torch._C._DisableFuncTorch(), torch.device("cpu"):
        yield
