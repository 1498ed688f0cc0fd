"""Boxes that read index wires: ``embedding``, ``gather``, ``scatter_add``, ``one_hot``.

An index wire ``cl.index(n, e)`` holds e positions on an axis of length n (or on the axis of a group). ``gather`` takes entries from
there, ``scatter_add`` adds entries there: for fixed positions they are each other's transpose. Index wires have no cotangent.

>>> import catlearn as cl, torch
>>> nodes, edges = cl.R(3, 2), cl.index(3, 4)
>>> x, i = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), torch.tensor([2, 0, 0, 1])
>>> gather(nodes @ edges)(x, i)
tensor([[5., 6.],
        [1., 2.],
        [1., 2.],
        [3., 4.]])
>>> scatter_add(cl.R(4, 2) @ edges)(torch.ones(4, 2), i)
tensor([[2., 2.],
        [1., 1.],
        [1., 1.]])
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from catlearn import errors
from catlearn.boxes.check import axes_of, negative
from catlearn.boxes.schema import Schema
from catlearn.core.op import Fused, Init, Op, Param
from catlearn.core.sizes import Size
from catlearn.core.spaces import Axis, Group, Space, Wire

_LETTERS = "abcdefgh"


def axis_of(op: Op, dom: Space, wire: Wire, count: Size | None) -> Axis:
    """The axis on which an index wire's values are positions: of ``count`` places, or as the wire's bound says."""
    if wire.kind != "index":
        raise errors.BadBox(str(op), dom, "an index wire for the positions", "cl.index(n, ...) makes one; its tensors are int64")
    bound = wire.bound
    if count is not None and bound is not None and (bound.n if isinstance(bound, Group) else bound) != count:
        raise errors.BadBox(str(op), dom, f"positions below {count}, not below {bound}")
    if count is None and bound is None:
        raise errors.BadBox(str(op), dom, "an index wire with a bound, or the number of places as an attribute", "cl.index(10, ...)")
    if isinstance(bound, Group):
        return Axis(bound.n, bound)
    return Axis(bound if count is None else count)  # type: ignore[arg-type]


def pair(op: Op, dom: Space) -> tuple[Wire, Wire]:
    """The values and the positions."""
    if len(dom) != 2 or dom[0].kind != "float" or dom[1].kind != "index":
        raise errors.BadBox(str(op), dom, "a float wire and an index wire", "for example cl.R(10, 3) @ cl.index(10, 7)")
    return dom[0], dom[1]


@dataclass(frozen=True)
class OneHot(Op):
    """``index(n, ..) → R(.., n)``: 1 at the position, 0 elsewhere; ``count`` says n where the wire does not."""

    key = "one_hot"
    count: Size | None = None

    def infer(self, dom: Space) -> Space:
        if len(dom) != 1:
            raise errors.BadBox(str(self), dom, "one index wire")
        return Space((Wire((*dom[0].axes, axis_of(self, dom, dom[0], self.count))),))

    def torch(self, e: Any, x: str) -> str:
        return f"({x}.unsqueeze(-1) == torch.arange({e.size(e.cod[0].shape[-1])}, device={x}.device)).to({e.like})"

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return (None,)


@dataclass(frozen=True)
class Embedding(Op):
    """``index(n, ..) → R(.., channels)``: each position looked up in a table (n, channels), which starts standard normal."""

    key = "embedding"
    param_names = ("weight",)  # type: ignore[assignment,override]
    torch = "F.embedding({x0}, {weight})"
    channels: Size
    count: Size | None = None

    fused = (Fused("dy0 x0 weight", "weight", "aten.embedding_dense_backward({dy0}, {x0}, {weight}.shape[0], -1, False)"),)

    def infer(self, dom: Space) -> Space:
        if len(dom) != 1:
            raise errors.BadBox(str(self), dom, "one index wire")
        axis_of(self, dom, dom[0], self.count)
        return Space((Wire((*dom[0].axes, Axis(self.channels))),))

    def parameters(self, dom: Space) -> dict[str, Param]:
        axes = (axis_of(self, dom, dom[0], self.count), Axis(self.channels))
        return {"weight": Param(Space((Wire(axes, role="parameter"),)), Init("normal", (0.0, 1.0)))}

    def definition(self, o: Any, x: Any, weight: Any) -> Any:
        letters = _LETTERS[: len(o.shape(x))]
        return o.einsum(f"{letters}y,yz->{letters}z", o.apply(OneHot(o.shape(weight)[0]), x), weight)

    def flops(self, dom: Space, cod: Space) -> Any:
        return 0


@dataclass(frozen=True)
class Gather(Op):
    """``R(.., n, ..) @ index(n, e) → R(.., e, ..)``: the entries along ``axis`` at the given positions (of any number of axes)."""

    key = "gather"
    axis: int = 0

    def infer(self, dom: Space) -> Space:
        x, index = pair(self, dom)
        (axis,) = axes_of(self, x, [self.axis])
        places = axis_of(self, dom, index, None if index.bound is not None else x.shape[axis])
        if places.size != x.shape[axis]:
            raise errors.BadBox(str(self), dom, f"positions on an axis of length {x.shape[axis]}, not {places.size}",
                                f"cl.index({x.shape[axis]}, ...), or another axis=")  # fmt: skip
        return Space((Wire((*x.axes[:axis], *index.axes, *x.axes[axis + 1 :])),))

    def torch(self, e: Any, x: str, index: str) -> str:
        order = len(e.dom[0].axes)
        return f"gather({x}, {index}, {negative([self.axis], order)[0]}, {order}, {len(e.dom[1].axes)})"

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        axis = self.axis % len(o.shape(args[0]))
        return o.apply(ScatterAdd(axis, o.shape(args[0])[axis]), douts[0], args[1]), None

    def definition(self, o: Any, x: Any, index: Any) -> Any:
        order, places = len(o.shape(x)), "uvw"[: len(o.shape(index))]
        axis, letters = self.axis % order, _LETTERS[:order]
        out = letters[:axis] + places + letters[axis + 1 :]
        return o.einsum(f"{letters},{places}{letters[axis]}->{out}", x, o.apply(OneHot(o.shape(x)[axis]), index))

    def flops(self, dom: Space, cod: Space) -> Any:
        return 0


@dataclass(frozen=True)
class ScatterAdd(Op):
    """``R(.., e, ..) @ index(n, e) → R(.., n, ..)``: every entry is added at its position; the positions' axes begin at ``axis``.

    ``count`` says n where the index wire does not. Its transpose is ``gather``.
    """

    key = "scatter_add"
    axis: int = 0
    count: Size | None = None

    def infer(self, dom: Space) -> Space:
        x, index = pair(self, dom)
        first, last = self.range(len(x.axes), len(index.axes))
        if not 0 <= first <= last <= len(x.axes) or x.shape[first:last] != index.shape:
            raise errors.BadBox(str(self), dom, f"values whose axes from {self.axis} on are those of the positions, {index.shape}")
        return Space((Wire((*x.axes[:first], axis_of(self, dom, index, self.count), *x.axes[last:])),))

    def range(self, order: int, places: int) -> tuple[int, int]:
        """The axes of the values that are the positions' axes."""
        first = self.axis if self.axis >= 0 else self.axis + order
        return first, first + places

    def torch(self, e: Any, x: str, index: str) -> str:
        places, order = len(e.dom[1].axes), len(e.cod[0].axes)
        axis = self.range(len(e.dom[0].axes), places)[0] - order
        return f"scatter_add({x}, {index}, {e.size(e.cod[0].axes[axis].size)}, {axis}, {order}, {places})"

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return o.apply(Gather(self.range(len(o.shape(args[0])), len(o.shape(args[1])))[0]), douts[0], args[1]), None

    def definition(self, o: Any, x: Any, index: Any) -> Any:
        order, places = len(o.shape(x)), len(o.shape(index))
        (first, last), letters = self.range(order, places), _LETTERS[:order]
        hot = o.apply(OneHot(self.count), index)
        return o.einsum(f"{letters},{letters[first:last]}z->{letters[:first]}z{letters[last:]}", x, hot)


one_hot: Schema = Schema(OneHot)
embedding: Schema = Schema(Embedding)
gather: Schema = Schema(Gather)
scatter_add: Schema = Schema(ScatterAdd)
