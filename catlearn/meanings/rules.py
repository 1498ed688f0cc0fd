"""The rules of the exact meanings: what each primitive does to arrays of numbers of any ring.

One row an op's key: ``rule(o, op, *arrays) -> array``, where ``o`` is the base (``o.number``, ``o.entry``, ``o.raised``, ``o.function``)
and knows the values of symbolic sizes (``o.size``). Arrays are numpy arrays of Python objects, without batch axes.

>>> from catlearn.boxes.reduce import Sum
>>> from catlearn.meanings.exact import Rationals
>>> o = Rationals()
>>> print(RULES["sum"](o, Sum((0,)), o.value([[1, 2], [3, "1/2"]]).array))
[Fraction(4, 1) Fraction(5, 2)]
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

Array = Any  # a numpy array with dtype=object


def asarray(x: Any) -> Array:
    """An object array, also of a single number."""
    return x if isinstance(x, np.ndarray) else np.array(x, dtype=object)


def each(function: Callable[..., Any], *arrays: Array) -> Array:
    """A function of numbers on every entry."""
    out = np.empty(arrays[0].shape, dtype=object)
    for i in np.ndindex(out.shape):
        out[i] = function(*(a[i] for a in arrays))
    return out


def _scale(o: Any, op: Any, x: Array) -> Array:
    return x * o.number(op.factor)


def _sum(o: Any, op: Any, x: Array) -> Array:
    axes = tuple(a % x.ndim for a in op.axes)
    return np.add.reduce(x, axis=axes, keepdims=op.keep, initial=o.number(0)) if axes else x


def _mean(o: Any, op: Any, x: Array) -> Array:
    count = math.prod(x.shape[a] for a in op.axes)
    return _sum(o, op, x) * o.number(Fraction(1, count))


def _max(o: Any, op: Any, x: Array) -> Array:
    axes, larger = [a % x.ndim for a in op.axes], o.function("maximum")
    for axis in axes:
        x = np.frompyfunc(larger, 2, 1).reduce(x, axis=axis, keepdims=True)
    return x if op.keep else asarray(x).reshape(tuple(s for i, s in enumerate(x.shape) if i not in axes))


def _broadcast(o: Any, op: Any, x: Array) -> Array:
    return np.broadcast_to(x, o.shape_of(op.shape))


def _reshape(o: Any, op: Any, x: Array) -> Array:
    return x.reshape(o.shape_of(op.shape))


def _slice(o: Any, op: Any, x: Array) -> Array:
    return np.take(x, range(o.size(op.start), o.size(op.stop)), axis=op.axis)


def _pad(o: Any, op: Any, x: Array) -> Array:
    widths = [(0, 0)] * x.ndim
    for axis, before, after in op.widths:
        widths[axis] = (o.size(before), o.size(after))
    out = np.full([n + a + b for n, (a, b) in zip(x.shape, widths, strict=True)], o.number(op.value), dtype=object)
    out[tuple(slice(a, a + n) for n, (a, _) in zip(x.shape, widths, strict=True))] = x
    return out


def _einsum(o: Any, op: Any, *xs: Array) -> Array:
    return each(o.number, asarray(np.einsum(op.pattern.replace(" ", ""), *xs)))  # numpy's sums start at the integer 0


def _full(o: Any, op: Any) -> Array:
    return np.full(o.shape_of(op.wire.shape), o.number(op.value), dtype=object)


def _constant(o: Any, op: Any) -> Array:
    numbers = [o.entry(v) for v in op.values] if op.wire.kind == "float" else list(op.values)
    return np.array(numbers, dtype=object).reshape(o.shape_of(op.wire.shape))


def _where(o: Any, op: Any, mask: Array, x: Array, y: Array) -> Array:
    return np.where(np.broadcast_to(mask, x.shape).astype(bool), x, y)


def _one_hot(o: Any, op: Any, x: Array) -> Array:
    out = np.full(o.shape_of(o.cod[0].shape), o.number(0), dtype=object)
    for i in np.ndindex(x.shape):
        out[(*i, int(x[i]))] = o.number(1)
    return out


def _causal(o: Any, op: Any) -> Array:
    return np.tril(np.ones(o.shape_of((op.rows, op.columns)), dtype=bool)).astype(object)


def _starts(op: Any, shape: Any) -> Any:
    """For every position and place in a window, the entry of the last axes that stands there."""
    for i in np.ndindex(*shape):
        n = len(op.kernel)
        yield i, tuple(p * s + k * d for p, k, s, d in zip(i[:n], i[n:], op.stride, op.dilation, strict=True))


def _windows(o: Any, op: Any, x: Array) -> Array:
    n = len(op.kernel)
    spans = [d * (k - 1) + 1 for k, d in zip(op.kernel, op.dilation, strict=True)]
    counts = [(size - span) // s + 1 for size, span, s in zip(x.shape[x.ndim - n :], spans, op.stride, strict=True)]
    out = np.empty((*x.shape[: x.ndim - n], *counts, *op.kernel), dtype=object)
    for to, at in _starts(op, (*counts, *op.kernel)):
        out[(..., *to)] = x[(..., *at)]
    return out


def _fold(o: Any, op: Any, x: Array) -> Array:
    n = len(op.kernel)
    out = np.full((*x.shape[: x.ndim - 2 * n], *o.shape_of(op.shape)), o.number(0), dtype=object)
    for at, to in _starts(op, x.shape[x.ndim - 2 * n :]):
        out[(..., *to)] = out[(..., *to)] + x[(..., *at)]
    return out


RULES: dict[str, Callable[..., Any]] = {
    "add": lambda o, op, x, y: x + y,
    "mul": lambda o, op, x, y: x * y,
    "scale": _scale,
    "shift": lambda o, op, x: x + o.number(op.by),
    "power": lambda o, op, x: each(lambda v: o.raised(v, op.exponent), x),
    "sum": _sum,
    "mean": _mean,
    "max": _max,
    "reshape": _reshape,
    "transpose": lambda o, op, x: np.transpose(x, op.full(x.ndim)),
    "broadcast": _broadcast,
    "concat": lambda o, op, *xs: np.concatenate(xs, axis=op.axis),
    "slice": _slice,
    "pad": _pad,
    "einsum": _einsum,
    "full": _full,
    "constant": _constant,
    "batch_sum": lambda o, op, x: x,
    "batch_expand": lambda o, op, x, like: x,
    "batch_mean": lambda o, op, x: x,  # of one event
    "batch_share": lambda o, op, x, like: x,
    "where": _where,
    "one_hot": _one_hot,
    "causal": _causal,
    "windows": _windows,
    "fold": _fold,
}
