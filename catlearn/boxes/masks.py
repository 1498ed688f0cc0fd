"""Boxes with a boolean wire: ``where`` chooses, ``masked_fill`` overwrites; ``Causal`` is the mask of the past.

A mask may have fewer event axes than what it masks, or axes of size 1: it is repeated, missing axes on the left.

Laws: where(m, x, x) = x; masked_fill is where with a constant; the reverse of each sends a cotangent back to where an entry
came from.

>>> import catlearn as cl, torch
>>> fill = cl.compile(cl.masked_fill(cl.R(3) @ cl.boolean(3), value=0.0))
>>> fill(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([True, False, False]))
tensor([0., 2., 3.])
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from catlearn import errors
from catlearn.boxes.schema import Schema
from catlearn.core.op import Op
from catlearn.core.sizes import Size
from catlearn.core.spaces import Axis, Space, Wire


def repeats_to(mask: Wire, shape: tuple[Size, ...]) -> bool:
    """Whether a mask can be repeated to this event shape."""
    missing = len(shape) - len(mask.axes)
    return missing >= 0 and all(s in (1, t) for s, t in zip(mask.shape, shape[missing:], strict=True))


def aligned(e: Any, i: int, text: str, order: int) -> str:
    """The text of data argument i with its event axes filled up to ``order``, so that its batch axes meet those of the others."""
    own = len(e.dom[i].axes)
    if e.is_batched(i):
        text += f".unsqueeze({-own - 1})" * (order - own)
    return text


@dataclass(frozen=True)
class Where(Op):
    """``mask @ x @ x → x``: the first x where the mask holds, the second elsewhere."""

    key = "where"

    def infer(self, dom: Space) -> Space:
        kinds = [wire.kind for wire in dom]
        if kinds != ["bool", "float", "float"] or dom[1] != dom[2] or not repeats_to(dom[0], dom[1].shape):
            needed = "a boolean wire and two equal float wires"
            raise errors.BadBox(str(self), dom, needed, "e.g. cl.boolean(3) @ cl.R(3) @ cl.R(3)")
        return Space((dom[1],))

    def torch(self, e: Any, mask: str, x: str, y: str) -> str:
        return f"torch.where({aligned(e, 0, mask, len(e.dom[1].axes))}, {x}, {y})"

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        mask, dy = args[0], douts[0]
        return None, o.apply(MaskedFill(0.0, False), dy, mask), o.apply(MaskedFill(0.0), dy, mask)


@dataclass(frozen=True)
class MaskedFill(Op):
    """``x @ mask → x`` with ``value`` where the mask holds (``at=False``: where it does not)."""

    key = "masked_fill"
    value: float = 0.0
    at: bool = True

    def infer(self, dom: Space) -> Space:
        if len(dom) != 2 or dom[0].kind != "float" or dom[1].kind != "bool" or not repeats_to(dom[1], dom[0].shape):
            raise errors.BadBox(str(self), dom, "a float wire and a boolean wire of its shape", "e.g. cl.R(3) @ cl.boolean(3)")
        return Space((dom[0],))

    def torch(self, e: Any, x: str, mask: str) -> str:
        mask, value = aligned(e, 1, mask, len(e.dom[0].axes)), e.number(self.value)
        return f"{x}.masked_fill({mask}, {value})" if self.at else f"torch.where({mask}, {x}, {value})"

    def definition(self, o: Any, x: Any, mask: Any) -> Any:
        value = o.full(o.wire(x), self.value)
        return o.apply(Where(), mask, *((value, x) if self.at else (x, value)))

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return o.apply(MaskedFill(0.0, self.at), douts[0], args[1]), None


@dataclass(frozen=True)
class Causal(Op):
    """``I → boolean(rows, columns)``: entry (i, j) holds if j ≤ i."""

    key = "causal"
    rows: Size
    columns: Size

    def infer(self, dom: Space) -> Space:
        if len(dom):
            raise errors.BadBox(str(self), dom, "no wire")
        return Space((Wire((Axis(self.rows), Axis(self.columns)), "bool"),))

    def torch(self, e: Any) -> str:
        device = e.like.partition("device=")[2]
        where = f", device={device}" if device else ""
        return f"torch.ones({e.size(self.rows)}, {e.size(self.columns)}, dtype=torch.bool{where}).tril()"

    def flops(self, dom: Space, cod: Space) -> Any:
        return 0

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return ()


where: Schema = Schema(Where)
masked_fill: Schema = Schema(MaskedFill)
