"""Boxes that move entries about: ``reshape``, ``flatten``, ``transpose``, ``broadcast``, ``concat``, ``split``, ``slice``, ``pad``.

All are linear, and the reverse derivative of each is another of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from catlearn import errors
from catlearn.boxes.check import axes_of, floats, negative
from catlearn.boxes.schema import Schema
from catlearn.core.op import Op
from catlearn.core.sizes import Size, product
from catlearn.core.spaces import Axis, Space, Wire


class Move(Op):
    """Entries are moved, nothing is computed."""

    def flops(self, dom: Space, cod: Space) -> Any:
        return 0


@dataclass(frozen=True)
class Reshape(Move):
    """Another event shape with as many entries, in row-major order. One size may be −1."""

    key = "reshape"
    shape: tuple[Size, ...] = (-1,)

    def infer(self, dom: Space) -> Space:
        (wire,) = floats(self, dom, 1)
        if list(self.shape).count(-1) > 1:
            raise errors.BadBox(str(self), dom, "at most one size of -1, to be found from the others")
        known = product(tuple(s for s in self.shape if s != -1))
        shape = tuple(wire.size // known if s == -1 else s for s in self.shape)
        if product(shape) != wire.size:
            raise errors.BadBox(str(self), dom, f"{product(shape)} entries, not {wire.size}")
        return Space((wire.like(*shape),))

    def torch(self, e: Any, x: str) -> str:
        order = len(e.dom[0].axes)
        sizes = ", ".join(e.size(s) for s in e.cod[0].shape)
        if not e.cod[0].axes:
            return f"{x}.reshape({x}.shape[:{x}.dim() - {order}])"
        return f"{x}.reshape({x}.shape[:{x}.dim() - {order}] + ({sizes},))"

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return (o.reshape(douts[0], o.shape(args[0])),)


@dataclass(frozen=True)
class Flatten(Move):
    """All event axes in one; ``start`` and ``end`` narrow it to a range of them."""

    key = "flatten"
    start: int = 0
    end: int = -1

    def infer(self, dom: Space) -> Space:
        (wire,) = floats(self, dom, 1)
        first, last = axes_of(self, wire, [self.start])[0], axes_of(self, wire, [self.end])[0]
        return Space((wire.like(*wire.shape[:first], product(wire.shape[first : last + 1]), *wire.shape[last + 1 :]),))

    def torch(self, e: Any, x: str) -> str:
        order = len(e.dom[0].axes)
        first, last = negative([self.start, self.end], order)
        return f"{x}.flatten({first}, {last})"

    def definition(self, o: Any, x: Any) -> Any:
        shape = o.shape(x)
        first, last = (a % len(shape) for a in (self.start, self.end))
        return o.reshape(x, (*shape[:first], product(shape[first : last + 1]), *shape[last + 1 :]))


@dataclass(frozen=True)
class Transpose(Move):
    """Event axis i of the result is axis ``order[i]`` of the input; without ``order`` the last two change places."""

    key = "transpose"
    order: tuple[int, ...] = ()

    def infer(self, dom: Space) -> Space:
        (wire,) = floats(self, dom, 1)
        if not self.order and len(wire.axes) < 2:
            raise errors.BadBox(str(self), dom, "a wire with at least two axes")
        order = self.full(len(wire.axes))
        if sorted(order) != list(range(len(wire.axes))):
            raise errors.BadBox(str(self), dom, f"an order of its {len(wire.axes)} axes, not {self.order}")
        return Space((replace(wire, axes=tuple(wire.axes[i] for i in order)),))

    def full(self, n: int) -> tuple[int, ...]:
        """The order as non-negative positions."""
        return tuple(a % n for a in self.order) if self.order else (*range(n - 2), n - 1, n - 2)

    def torch(self, e: Any, x: str) -> str:
        n = len(e.dom[0].axes)
        order = self.full(n)
        moved = [i for i in range(n) if order[i] != i]
        if len(moved) == 2:  # a view that does not need to know how many batch axes there are
            return f"{x}.transpose({moved[0] - n}, {moved[1] - n})"
        return x if not moved else f"{x}.permute(*range({x}.dim() - {n}), {', '.join(f'{i - n}' for i in order)})"

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        order = self.full(len(o.shape(args[0])))
        return (o.transpose(douts[0], tuple(order.index(i) for i in range(len(order)))),)


@dataclass(frozen=True)
class Broadcast(Move):
    """Axes of size 1 are repeated to the given event shape; missing axes on the left are added."""

    key = "broadcast"
    shape: tuple[Size, ...] = ()

    def infer(self, dom: Space) -> Space:
        (wire,) = floats(self, dom, 1)
        missing = len(self.shape) - len(wire.axes)
        if missing < 0 or any(s not in (1, t) for s, t in zip(wire.shape, self.shape[missing:], strict=True)):
            raise errors.BadBox(str(self), dom, f"a shape that repeats to {self.shape}")
        kept = wire.axes
        axes = tuple(kept[i - missing] if i >= missing and kept[i - missing].size == s else Axis(s) for i, s in enumerate(self.shape))
        return Space((replace(wire, axes=axes),))

    def torch(self, e: Any, x: str) -> str:
        order = len(e.dom[0].axes)
        missing = len(self.shape) - order
        if missing:
            ones = ", ".join(["1"] * missing)
            x = f"{x}.reshape({x}.shape[:{x}.dim() - {order}] + ({ones},) + {x}.shape[{x}.dim() - {order}:])"
        sizes = ", ".join(e.size(s) if s != 1 else "1" for s in self.shape)
        source = e.names[0]
        return f"{x}.expand({source}.shape[:{source}.dim() - {order}] + ({sizes},))"

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        shape = o.shape(args[0])
        missing = len(self.shape) - len(shape)
        axes = [i - len(self.shape) for i, s in enumerate(self.shape) if i < missing or (shape[i - missing] == 1 and s != 1)]
        return (o.reshape(o.sum(douts[0], axes), shape) if axes else douts[0],)


@dataclass(frozen=True)
class Concat(Move):
    """Wires joined along one event axis; the others agree."""

    key = "concat"
    axis: int = -1

    def infer(self, dom: Space) -> Space:
        wires = floats(self, dom)
        first = wires[0]
        (axis,) = axes_of(self, first, [self.axis])
        total: Size = 0
        for wire in wires:
            if len(wire.axes) != len(first.axes) or any(
                a != b for i, (a, b) in enumerate(zip(wire.axes, first.axes, strict=True)) if i != axis
            ):
                raise errors.BadBox(str(self), dom, f"wires that differ in axis {self.axis} only")
            total = wire.shape[axis] + total
        return Space((replace(first, axes=(*first.axes[:axis], Axis(total), *first.axes[axis + 1 :])),))

    def torch(self, e: Any, *xs: str) -> str:
        (axis,) = negative([self.axis], len(e.dom[0].axes))
        return f"torch.cat([{', '.join(e.same_batch(xs))}], {axis})"

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        start, grads = 0, []
        for x in args:
            stop = start + o.shape(x)[self.axis]
            grads.append(o.slice(douts[0], start, stop, self.axis))
            start = stop
        return grads


@dataclass(frozen=True)
class Slice(Move):
    """Positions ``start`` to ``stop`` (excluded) of one event axis."""

    key = "slice"
    start: Size = 0
    stop: Size = 1
    axis: int = -1

    def infer(self, dom: Space) -> Space:
        (wire,) = floats(self, dom, 1)
        (axis,) = axes_of(self, wire, [self.axis])
        size, length = wire.shape[axis], self.stop - self.start
        if any(isinstance(s, int) and s < 0 for s in (self.start, length, size - self.stop)):
            raise errors.BadBox(str(self), dom, f"a range within 0 and {size}, not {self.start}:{self.stop}")
        return Space((replace(wire, axes=(*wire.axes[:axis], Axis(length), *wire.axes[axis + 1 :])),))

    def torch(self, e: Any, x: str) -> str:
        (axis,) = negative([self.axis], len(e.dom[0].axes))
        return f"{x}.narrow({axis}, {e.size(self.start)}, {e.size(self.stop - self.start)})"

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        size = o.shape(args[0])[self.axis]
        return (o.apply(Pad(((self.axis, self.start, size - self.stop),)), douts[0]),)


@dataclass(frozen=True)
class Pad(Move):
    """A constant before and after along some event axes: ``widths`` holds (axis, before, after)."""

    key = "pad"
    widths: tuple[tuple[int, Size, Size], ...] = ()
    value: float = 0.0

    def infer(self, dom: Space) -> Space:
        (wire,) = floats(self, dom, 1)
        axes = list(wire.axes)
        for axis, before, after in self.widths:
            (i,) = axes_of(self, wire, [axis])
            if any(isinstance(w, int) and w < 0 for w in (before, after)):
                raise errors.BadBox(str(self), dom, "widths from 0 on", "cl.slice takes entries away")
            axes[i] = Axis(axes[i].size + before + after)
        return Space((replace(wire, axes=tuple(axes)),))

    def torch(self, e: Any, x: str) -> str:
        n = len(e.dom[0].axes)
        by_axis = {axis % n: (before, after) for axis, before, after in self.widths}
        flat = [e.size(w) for i in reversed(range(min(by_axis, default=n), n)) for w in by_axis.get(i, (0, 0))]
        return f"F.pad({x}, ({', '.join(flat)}){f', value={e.number(self.value)}' if self.value else ''})"

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        grad = douts[0]
        for axis, before, _ in self.widths:
            grad = o.slice(grad, before, before + o.shape(args[0])[axis], axis)
        return (grad,)


@dataclass(frozen=True)
class Split(Move):
    """One event axis cut into pieces of the given sizes: one wire each. The inverse of ``concat``."""

    key = "split"
    keeps_tuple = True
    sizes: tuple[Size, ...] = (1,)
    axis: int = -1

    def infer(self, dom: Space) -> Space:
        (wire,) = floats(self, dom, 1)
        (axis,) = axes_of(self, wire, [self.axis])
        total: Size = 0
        for size in self.sizes:
            total = size + total
        if total != wire.shape[axis] or any(isinstance(size, int) and size < 0 for size in self.sizes):
            raise errors.BadBox(str(self), dom, f"sizes that sum to {wire.shape[axis]}, not {self.sizes}")
        return Space(tuple(replace(wire, axes=(*wire.axes[:axis], Axis(s), *wire.axes[axis + 1 :])) for s in self.sizes))

    def torch(self, e: Any, x: str) -> str:
        (axis,) = negative([self.axis], len(e.dom[0].axes))
        texts = [e.size(size) for size in self.sizes]
        return f"{x}.split({texts[0] if set(texts) == {texts[0]} != {'0'} else '[' + ', '.join(texts) + ']'}, {axis})"

    def definition(self, o: Any, x: Any) -> Any:
        start: Size = 0
        parts = []
        for size in self.sizes:
            parts.append(o.slice(x, start, start + size, self.axis))
            start = start + size
        return tuple(parts)

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return (o.concat(douts, self.axis),)


def full_like(wire: Wire) -> Wire:
    """The type of a constant that stands for this wire."""
    return replace(wire, kind="float", bound=None)


reshape: Schema = Schema(Reshape)
flatten: Schema = Schema(Flatten)
transpose: Schema = Schema(Transpose)
broadcast: Schema = Schema(Broadcast)
concat: Schema = Schema(Concat)
slice: Schema = Schema(Slice)
pad: Schema = Schema(Pad)
split: Schema = Schema(Split)
