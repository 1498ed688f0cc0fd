"""A user's function held to what was declared: the wires that it ends in, and that it leaves its inputs as they are.

>>> import torch
>>> from catlearn.core.spaces import R
>>> double = Checked("double", lambda x: 2 * x, R(3), R(3))
>>> double(torch.ones(3))
tensor([2., 2., 2.])
>>> double.run(lambda x: x.sum(), torch.ones(3))
Traceback (most recent call last):
...
catlearn.errors.BadBox: [CL103] double does not act on these wires
  given   its function returned a tensor () of torch.float32
  needed  its codomain R(3): a tensor
  next: the event's axes come last, after any batch axes
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from catlearn import errors
from catlearn.core.spaces import Space, Wire

DTYPES = {"index": torch.int64, "bool": torch.bool}


@dataclass(frozen=True)
class Checked:
    """A user's function that is held to the wires it was declared with, and to leaving what it is given as it is.

    ``BadBox`` if it returns anything else, or writes into its data or parameters (state it may change). Writing is seen by torch's
    count of versions, so not in inference mode, in a transform or in a trace, where tensors have none.
    """

    title: str
    rule: Callable[..., Any]
    dom: Space
    cod: Space
    own: tuple[str, ...] = ()

    def __call__(self, *args: Any, **named: Any) -> Any:
        return self.run(self.rule, *args, **named)

    def run(self, rule: Callable[..., Any], *args: Any, **named: Any) -> Any:
        """The rule's results, if they are what was declared. ``args`` are the data, then perhaps parameters."""
        given = (*args, *(named[name] for name in self.own if name in named))
        before = _versions(given)
        found = rule(*args, **named)
        if _versions(given) != before:
            rows = "a function that changes its inputs or parameters in place"
            raise errors.BadBox(self.title, rows, "a function that makes new tensors", "for example x * 2 for x.mul_(2)")
        outs = (found,) if len(self.cod) == 1 else found
        if len(self.cod) and not (isinstance(outs, tuple | list) and len(outs) == len(self.cod)):
            raise self.refusal(found)
        batch = self.batch(args)
        for y, wire in zip(outs if len(self.cod) else (), self.cod, strict=True):
            if not isinstance(y, torch.Tensor) or not _fits(y, wire):
                raise self.refusal(found)
            if wire.batched and batch is not None and _batch(y, wire) != batch:
                raise self.refusal(found, f" with the batch axes {batch} of the inputs before those of the event")
        return found

    def batch(self, args: Sequence[Any]) -> tuple[int, ...] | None:
        """The batch axes of the data, None without data; constants among them have none."""
        longest = None
        for x, wire in zip(args, self.dom, strict=False):
            if wire.batched and (longest is None or len(_batch(x, wire)) > len(longest)):
                longest = _batch(x, wire)
        return longest

    def refusal(self, found: Any, more: str = "") -> errors.BadBox:
        """What was returned beside what was declared."""
        shown = [f"a tensor {tuple(y.shape)} of {y.dtype}" if isinstance(y, torch.Tensor) else type(y).__name__
                 for y in (found if isinstance(found, tuple | list) else (found,))]  # fmt: skip
        given = f"a {type(found).__name__} of {', '.join(shown) or 'nothing'}" if isinstance(found, tuple | list) else shown[0]
        needed = f"its codomain {self.cod}: {'a tensor' if len(self.cod) == 1 else f'a tuple of {len(self.cod)} tensors'}{more}"
        return errors.BadBox(self.title, f"its function returned {given}", needed, "the event's axes come last, after any batch axes")


def _versions(tensors: Sequence[Any]) -> list[int]:
    """How often each was written to, where torch counts that."""
    if torch.compiler.is_compiling():
        return []
    return [x._version for x in tensors if not x.is_inference()]


def _batch(x: torch.Tensor, wire: Wire) -> tuple[int, ...]:
    return tuple(x.shape[: x.dim() - len(wire.axes)])


def _fits(y: torch.Tensor, wire: Wire) -> bool:
    """Whether a tensor is of the wire's kind and ends in its event shape; of symbolic sizes only their number is known here."""
    ends = y.shape[max(y.dim() - len(wire.axes), 0) :]
    kind = y.is_floating_point() if wire.kind == "float" else y.dtype is DTYPES[wire.kind]
    return kind and len(ends) == len(wire.axes) and all(not isinstance(n, int) or n == m for n, m in zip(wire.shape, ends, strict=True))
