"""Constants: arrows from I. ``full`` repeats one number, ``constant`` holds given ones.

>>> import catlearn as cl, torch
>>> edges = constant([0, 0, 1], cl.index(3, 3))
>>> f = cl.id(cl.R(3, 2)) @ edges >> cl.gather
>>> f(torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
tensor([[1., 2.],
        [1., 2.],
        [3., 4.]])
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch as pytorch

from catlearn import errors
from catlearn.core.op import Op
from catlearn.core.spaces import Axis, Group, I, Space, Wire
from catlearn.core.term import Box, Term


@dataclass(frozen=True)
class Full(Op):
    """``I → x``: one number in every entry."""

    key = "full"
    keeps_roles = True
    wire: Wire
    value: float = 0.0

    def infer(self, dom: Space) -> Space:
        return Space((self.wire,))

    def torch(self, e: Any) -> str:
        shape = ", ".join(e.size(s) for s in self.wire.shape)
        return f"torch.full(({shape}{',' if shape else ''}), {e.number(self.value)}, {e.like})"

    def flops(self, dom: Space, cod: Space) -> Any:
        return 0

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return ()


class Held:
    """A tensor of given numbers, converted once for each dtype and device that asks for it."""

    def __init__(self, value: pytorch.Tensor) -> None:
        self.value = value
        self.made: dict[Any, pytorch.Tensor] = {}

    def __call__(self, dtype: Any = None, device: Any = None) -> pytorch.Tensor:
        if pytorch.compiler.is_compiling():  # the compiler folds the conversion itself
            return self.value.to(device=device, dtype=dtype)
        if (found := self.made.get((dtype, device))) is not None:
            return found
        with pytorch.inference_mode(False):  # what is made here is also for training
            found = self.value.to(device=device, dtype=dtype)
        if type(found) is pytorch.Tensor and has_memory(found):
            self.made[dtype, device] = found
        return found


def has_memory(x: pytorch.Tensor) -> bool:
    """Whether a tensor has memory of its own: a stand-in that is only good inside a transform or a trace has none."""
    if pytorch.compiler.is_compiling():
        return False
    try:
        x.untyped_storage()
    except NotImplementedError:
        return False
    return True


@dataclass(frozen=True)
class Constant(Op):
    """``I → x``: given numbers, in row-major order."""

    key = "constant"
    keeps_roles = True
    wire: Wire
    values: tuple[Any, ...] = ()

    def infer(self, dom: Space) -> Space:
        return Space((self.wire,))

    def torch(self, e: Any) -> str:
        kinds = {"float": pytorch.float64, "index": pytorch.int64, "bool": pytorch.bool}
        shape = tuple(int(s) for s in self.wire.shape)  # type: ignore[arg-type]
        numbers = [float(v) for v in self.values] if self.wire.kind == "float" else list(self.values)
        name = e.object("constant", Held(pytorch.tensor(numbers, dtype=kinds[self.wire.kind]).reshape(shape)))
        return f"{name}({e.like if self.wire.kind == 'float' else f'device={e.device}'})"

    def flops(self, dom: Space, cod: Space) -> Any:
        return 0

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return ()

    def __str__(self) -> str:
        return f"constant({Space((self.wire,))})"


def full(x: Space, value: float = 0.0, name: str | None = None) -> Term:
    """``I → x``: the constant with ``value`` in every entry."""
    return Box(Full(x[0], value), I, name)


def constant(value: Any, x: Space | None = None, name: str | None = None) -> Term:
    """``I → x``: the given numbers, nested lists, an array or a tensor; without x the wire is read off them.

    Entries may be fractions, which stay exact in exact meanings. Raises ``BadBox`` if they do not fit x.
    """
    shape, flat = _read(value)
    if x is None:
        kind = (
            "bool"
            if all(isinstance(v, bool) for v in flat) and flat
            else "index"
            if all(isinstance(v, int) for v in flat) and flat
            else "float"
        )
        x = Space((Wire(tuple(Axis(n) for n in shape), kind),))
    wire = x[0]
    if len(x) != 1 or wire.shape != shape:
        raise errors.BadBox("constant", f"numbers of shape {shape}", f"one wire of this shape, not {x}")
    bound = wire.bound.n if isinstance(wire.bound, Group) else wire.bound
    whole = all(isinstance(v, int) and not isinstance(v, bool) for v in flat)
    outside = wire.kind == "index" and isinstance(bound, int) and whole and any(not 0 <= v < bound for v in flat)
    if (wire.kind == "index" and not whole) or outside or (wire.kind == "bool" and any(not isinstance(v, bool) for v in flat)):
        raise errors.BadBox("constant", f"{flat[:8]}", f"entries of {x}")
    return Box(Constant(wire, tuple(flat)), I, name)


def _read(value: Any) -> tuple[tuple[int, ...], list[Any]]:
    """The shape and the entries of nested lists, an array or a tensor."""
    if hasattr(value, "tolist"):
        shape, value = tuple(value.shape), value.tolist()
        for _ in shape[1:]:
            value = [v for row in value for v in row]
        return shape, value if shape else [value]
    shape, rows = (), [value]
    while rows and isinstance(rows[0], list | tuple):
        if len({len(row) if isinstance(row, list | tuple) else -1 for row in rows}) != 1:
            raise errors.BadBox("constant", repr(value)[:80], "rows of one length")
        shape, rows = (*shape, len(rows[0])), [v for row in rows for v in row]
    return shape, rows
