"""Rows of the table that move entries about and compute nothing: views, slices, joins, look-ups, casts that are none."""

from __future__ import annotations

from typing import Any

from catlearn.boxes import index, shape
from catlearn.core.sizes import Poly, Size
from catlearn.interop.categorify.table import RULES, Call, Unfit, W, rule

# -- entries moved about -----------------------------------------------------------------------------------------------------


@rule("view.default", "reshape.default", "_unsafe_view.default", "flatten.using_ints", "unflatten.int", "unsqueeze.default",
      "squeeze.default", "squeeze.dim", "squeeze.dims", "view_as.default", "reshape_as.default")  # fmt: skip
def _reshape(c: Call, x: Any, *rest: Any) -> Any:
    return x.wire if c.type(x) == c.out else c.apply(shape.Reshape(c.out.shape), x)


@rule("transpose.int")
def _transpose(c: Call, x: Any, a: int, b: int) -> Any:
    order = list(range(len(c.type(x).axes)))
    order[a], order[b] = order[b], order[a]
    return x.wire if order == sorted(order) else c.apply(shape.Transpose(tuple(order)), x)


@rule("t.default", "numpy_T.default", "mT.default")
def _turn(c: Call, x: Any) -> Any:
    return _transpose(c, x, -1, -2) if len(c.type(x).axes) == 2 else None


@rule("permute.default")
def _permute(c: Call, x: Any, order: Any) -> Any:
    order = c.axes(x, order)
    return x.wire if list(order) == sorted(order) else c.apply(shape.Transpose(order), x)


@rule("expand.default", "expand_as.default", "broadcast_to.default")
def _expand(c: Call, x: Any, *rest: Any) -> Any:
    if c.type(x).shape == c.out.shape:
        return x.wire
    return c.apply(shape.Broadcast(c.out.shape), x)


@rule("cat.default")
def _cat(c: Call, xs: Any, axis: int) -> Any:
    if len(xs) == 1:
        return xs[0].wire
    return c.apply(shape.Concat(c.axes(xs[0], axis)[0]), *xs)


@rule("stack.default")
def _stack(c: Call, xs: Any, axis: int) -> Any:
    order = len(c.type(xs[0]).axes) + 1
    kept = tuple(1 if i == axis % order else s for i, s in enumerate(c.out.shape))
    return c.apply(shape.Concat(axis % order), *(W(c.o.reshape(x.wire, kept)) for x in xs))


def _bound(value: Any, size: Size, default: Size) -> Size:
    """A bound of a slice as torch reads it: negative ones from the end, too large ones cut."""
    if value is None:
        return default
    if isinstance(value, Poly) or isinstance(size, Poly):
        if isinstance(value, int) and value >= 2**62:
            return size
        if not (value == size or (isinstance(value, int) and value == 0)):
            raise Unfit
        return value
    return min(max(value + size if value < 0 else value, 0), size)


@rule("slice.Tensor")
def _slice(c: Call, x: Any, axis: int, start: Any, stop: Any, step: Any) -> Any:
    size = c.type(x).shape[axis]
    first, last = _bound(start, size, 0), _bound(stop, size, size)
    if step != 1:
        return None
    return x.wire if (first, last) == (0, size) else c.apply(shape.Slice(first, last, c.axes(x, axis)[0]), x)


@rule("narrow.default")
def _narrow(c: Call, x: Any, axis: int, start: Any, length: Any) -> Any:
    return _slice(c, x, axis, start, start + length, 1) if isinstance(start, int) and start >= 0 else None


@rule("select.int")
def _select(c: Call, x: Any, axis: int, i: Any) -> Any:
    size = c.type(x).shape[axis]
    if not isinstance(i, int) or (i < 0 and not isinstance(size, int)):
        return None
    i = i + size if i < 0 else i
    return c.o.reshape(c.apply(shape.Slice(i, i + 1, c.axes(x, axis)[0]), x), c.out.shape)


@rule("split.Tensor", "split_with_sizes.default", "chunk.default", "split.sizes")
def _split(c: Call, x: Any, how: Any, axis: int) -> Any:
    (axis,) = c.axes(x, axis)
    found = c.apply(shape.Split(tuple(wire.shape[axis] for wire in c.expected), axis), x)
    return found if isinstance(found, tuple) else (found,)


@rule("index_select.default")
def _index_select(c: Call, x: Any, axis: int, ids: Any) -> Any:
    return c.apply(index.Gather(c.axes(x, axis)[0]), x, ids)


@rule("constant_pad_nd.default")
def _pad(c: Call, x: Any, widths: Any, value: Any) -> Any:
    pairs = list(zip(widths[::2], widths[1::2], strict=True))
    return c.apply(shape.Pad(tuple((-i - 1, a, b) for i, (a, b) in enumerate(pairs)), float(value)), x)


@rule("contiguous.default", "alias.default", "lift_fresh_copy.default", "clone.default")
def _same(c: Call, x: Any, memory_format: Any = None) -> Any:
    return x.wire


@rule("to.dtype", "to.dtype_layout", "to.device", "_to_copy.default", "type_as.default", "to.other")
def _cast(c: Call, x: Any, *rest: Any) -> Any:
    """A cast to the dtype that the tensor has is none. (The reader says so, since wires do not know their dtype.)"""
    return x.wire if c.o.same_dtype else None


__all__ = ["RULES"]
