"""One op for everything in a traced module that has no box of its own: the aten overload, with the arguments it was called with.

Its meaning is torch's, its reverse derivative torch's autograd on this call alone, and it is no more than its attributes, so it can
be saved, compared and loaded. It acts on whole tensors: no batch axes may stand before them.

>>> import catlearn as cl, torch
>>> flip = Aten("aten.flip.default", (Place(0), (0,)), (), cl.R(3), cl.R(3))
>>> cl.compile(cl.Box(flip, cl.R(3)))(torch.tensor([1.0, 2.0, 3.0]))
tensor([3., 2., 1.])
"""

from __future__ import annotations

import hashlib
import keyword
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

import torch as pytorch

from catlearn import errors
from catlearn.boxes.constant import Held
from catlearn.core.op import Fused, Op, Param
from catlearn.core.sizes import Poly
from catlearn.core.spaces import Space, Wire
from catlearn.interop.categorify.arithmetic import check_arithmetic
from catlearn.interop.values import CLASSES, TEXTS

Specs = tuple[tuple[str, Param], ...]


@dataclass(frozen=True)
class Place:
    """Stands for the tensor argument with this number."""

    i: int


@dataclass(frozen=True)
class Mode:
    """An argument that depends on whether the module is in training."""

    train: Any
    eval: Any


@dataclass(frozen=True)
class Named:
    """Something of torch's by its name: ``dtype float32``, ``layout strided``, ``memory_format channels_last``, the ``device``."""

    kind: str
    name: str = ""


@dataclass(frozen=True)
class Sized:
    """A number computed from sizes: a Python expression in symbols, and for each symbol the tensor argument and the axis where it
    stands (axis −1: the one entry of that argument)."""

    text: str
    where: tuple[tuple[str, int, int], ...]


def _check_sized(written: Mapping[str, Any]) -> None:
    check_arithmetic(written["text"], [row["tuple"][0] for row in written["where"]["tuple"]])


CLASSES.update({kind.__name__: kind for kind in (Place, Mode, Named, Sized)})
TEXTS["Sized"] = _check_sized


class ByAutograd(Op):
    """What is differentiated by torch's autograd on this call alone; the run keeps the history for it."""

    keeps_roles = True
    whole = True  # no batch axes may stand before what it acts on

    def in_and_out(self) -> tuple[Sequence[Wire], Sequence[Wire]]:
        """The wires of data and of the results."""
        raise NotImplementedError

    @property
    def fused(self) -> tuple[Fused, ...]:  # type: ignore[override]
        dom, cod = self.in_and_out()
        dys = [f"dy{i}" for i in range(sum(wire.kind == "float" for wire in cod))]
        floats = [f"x{i}" for i, wire in enumerate(dom) if wire.kind == "float"] + list(self.param_names)
        back = f"{{history}}.back(({''.join(f'{{{dy}}}, ' for dy in dys)}), {{mask}})"
        return (Fused(" ".join([*dys, "history"]), " ".join(floats), back if len(floats) > 1 else f"{back}[0]"),) if dys and floats else ()

    def saved(self, dom: Space) -> dict[str, Wire]:
        return {"history": Wire((), "index", None, "parameter")}

    def torch_saving(self, e: Any, *args: str) -> str:
        names = [f"a{i}" for i in range(len(args) - len(self.state_names))]
        inner = self.torch(e, *names, *args[len(names) :])
        return f"remember(lambda {', '.join(names)}: {inner}, ({''.join(f'{a}, ' for a in args[: len(names)])}), {self.name!r})"


@dataclass(frozen=True)
class Aten(ByAutograd):
    """A call of torch's own function, as a whole: the library knows what it does only by running it."""

    key = "aten"
    overload: str
    args: tuple[Any, ...]
    kwargs: tuple[tuple[str, Any], ...]
    dom: Space
    cod: Space
    own: Specs = ()
    random: bool = False

    def in_and_out(self) -> tuple[Sequence[Wire], Sequence[Wire]]:
        return self.dom.wires, self.cod.wires

    @property
    def name(self) -> str:
        return self.overload.split(".")[1].strip("_") or "aten"

    @property
    def effect(self) -> str:  # type: ignore[override]
        return "random" if self.random else "pure"

    @property
    def param_names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.own)

    def parameters(self, dom: Space) -> dict[str, Param]:
        return dict(self.own)

    def infer(self, dom: Space) -> Space:
        if dom.with_role("data") != self.dom.with_role("data"):
            raise errors.BadBox(str(self), dom, str(self.dom), "it was traced on these shapes")
        return self.cod

    @cached_property
    def function(self) -> Any:
        """The overload itself. Raises ``BadBox`` if this torch has none of this name."""
        if self.overload.startswith("higher_order."):
            from catlearn.interop.categorify.program import function

            return function(self.overload)
        found: Any = pytorch.ops
        for part in self.overload.split("."):
            found = getattr(found, part, None)
        if not isinstance(found, pytorch._ops.OpOverload):
            raise errors.BadBox(self.overload, "a name", "an overload that this torch has", "import the package that registers it")
        return found

    @property
    def keeps_tuple(self) -> bool:  # type: ignore[override]
        if self.overload.startswith("higher_order."):
            return True
        returns = self.function._schema.returns
        return len(returns) > 1 or str(returns[0].type).startswith("List")

    def torch(self, e: Any, *args: str) -> str:
        called = self.overload
        if not called.startswith("aten.") or any(keyword.iskeyword(part) for part in called.split(".")):
            called = e.object(self.name, self.function)
        given = [spelled(value, e, args) for value in self.args]
        given += [f"{name}={spelled(value, e, args)}" for name, value in self.kwargs]
        if self.random and e.keyed:
            return f"seeded({', '.join(['key', repr(e.node.name), called, *given])})"
        return f"{called}({', '.join(given)})"

    def flops(self, dom: Space, cod: Space) -> Any:
        """What torch's own counter says, where it knows the op and the sizes are numbers; else one per entry of the results."""
        from torch.utils.flop_counter import flop_registry

        count = flop_registry.get(getattr(self.function, "overloadpacket", None))
        wires = [*dom.wires, *(param.wire for _, param in self.own)]
        if count is None or any(not isinstance(size, int) for wire in (*wires, *cod) for size in wire.shape):
            return super().flops(dom, cod)
        shapes: list[Any] = [pytorch.empty(wire.shape, device="meta") for wire in wires]  # type: ignore[arg-type]
        outs = [pytorch.empty(wire.shape, device="meta") for wire in cod]  # type: ignore[arg-type]
        try:
            given = [filled(value, shapes) for value in self.args]
            return int(count(*given, **{k: filled(v, shapes) for k, v in self.kwargs}, out_val=outs[0] if len(outs) == 1 else outs))
        except Exception:  # a counter may know fewer arguments than the op has
            return sum(prod(out.shape) for out in outs)

    def told(self, dom: Space) -> str:
        return f"torch's {self.overload}"

    def __str__(self) -> str:
        return self.overload


def spelled(value: Any, e: Any, args: Sequence[str]) -> str:
    """An argument as Python text."""
    if isinstance(value, Place):
        return args[value.i]
    if isinstance(value, tuple | list):
        return f"[{', '.join(spelled(v, e, args) for v in value)}]"
    if isinstance(value, Mode):
        return f"({spelled(value.train, e, args)} if {e.training} else {spelled(value.eval, e, args)})"
    if isinstance(value, Named):
        return e.device if value.kind == "device" else f"torch.{value.name}"
    if isinstance(value, Sized):
        known = {name: f"{args[i]}.shape[{axis}]" if axis >= 0 else f"{args[i]}.item()" for name, i, axis in value.where}
        return f"(lambda {', '.join(known)}: {value.text})({', '.join(known.values())})" if known else value.text
    if isinstance(value, Poly):
        return e.size(value)
    if type(value).__name__ == "Program":
        return e.object("program", value)
    return e.number(value) if isinstance(value, float) else repr(value)


def spoken(a: Any) -> Any:
    """What is torch's (a dtype, a device) by its name; everything else as it is."""
    kinds = {pytorch.dtype: "dtype", pytorch.layout: "layout", pytorch.memory_format: "memory_format"}
    kind = next((name for kind, name in kinds.items() if isinstance(a, kind)), None)
    return Named("device") if isinstance(a, pytorch.device) else Named(kind, str(a).removeprefix("torch.")) if kind else a


def filled(value: Any, tensors: Sequence[Any]) -> Any:
    """An argument with tensors in their places."""
    if isinstance(value, Place):
        return tensors[value.i]
    if isinstance(value, tuple | list):
        return [filled(v, tensors) for v in value]
    return filled(value.train, tensors) if isinstance(value, Mode) else value


@dataclass(frozen=True)
class Given(Op):
    """``I → x``: a tensor that the traced module holds and that is neither a parameter nor in its ``state_dict``."""

    key = "given"
    keeps_roles = True
    wire: Wire
    digest: str
    value: pytorch.Tensor = field(compare=False)
    follows: bool = False  # its dtype follows the network's, as a buffer's does

    def infer(self, dom: Space) -> Space:
        return Space((self.wire,))

    def torch(self, e: Any) -> str:
        like = e.like if self.follows and self.value.is_floating_point() and "device=" in e.like else f"device={e.device}"
        return f"{e.object('given', Held(self.value))}({like})"

    def flops(self, dom: Space, cod: Space) -> Any:
        return 0

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return ()

    def told(self, dom: Space) -> str:
        return f"numbers that the module holds, {self.value.dtype}"

    def __str__(self) -> str:
        return f"given({Space((self.wire,))})"


def given(value: pytorch.Tensor, wire: Wire, follows: bool = False) -> Given:
    """The op that holds a tensor; two are equal if their bits are."""
    value = value.detach().clone().contiguous()
    raw = value.cpu().reshape(-1).view(pytorch.uint8).numpy().tobytes() if value.numel() else b""
    return Given(wire, hashlib.blake2b(f"{value.dtype}".encode() + raw, digest_size=16).hexdigest(), value, follows)


Function = Callable[..., Any]
__all__ = ["Aten", "ByAutograd", "Given", "Mode", "Named", "Place", "Sized", "filled", "given", "spelled", "spoken"]
