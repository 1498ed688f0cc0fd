"""Windows and positions: functions that generated code calls where torch wants exactly one batch axis, or has no kernel at all.

Wires have any number of batch axes, the common ones before the event axes. The functions below flatten them where there are two or
more, so that with one batch axis (or none) the recorded aten ops are those of the plain torch function.

>>> import torch.nn.functional as F
>>> one_batch(F.max_pool2d, 3, torch.zeros(2, 5, 1, 4, 4), 2).shape
torch.Size([2, 5, 1, 2, 2])
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

aten = torch.ops.aten


def one_batch(f: Callable[..., Any], order: int, x: torch.Tensor, *args: Any, **options: Any) -> Any:
    """f, which knows one batch axis or none, on x with any number of them before its ``order`` event axes."""
    if x.dim() <= order + 1:
        return f(x, *args, **options)
    y, batch = f(x.flatten(0, -order - 1), *args, **options), x.shape[: x.dim() - order]
    return tuple(t.unflatten(0, batch) for t in y) if isinstance(y, tuple) else y.unflatten(0, batch)


def single(x: torch.Tensor, order: int) -> torch.Tensor:
    """x with exactly one batch axis before its ``order`` event axes."""
    extra = x.dim() - order
    return x if extra == 1 else x.unsqueeze(0) if extra == 0 else x.flatten(0, extra - 1)


def restored(y: torch.Tensor, like: torch.Tensor, order: int) -> torch.Tensor:
    """y, which has one batch axis, with the batch axes of ``like``."""
    extra = like.dim() - order
    return y if extra == 1 else y.squeeze(0) if extra == 0 else y.unflatten(0, like.shape[:extra])


def rows(x: torch.Tensor) -> torch.Tensor:
    """x as a matrix: all axes but the last become one."""
    return x.flatten(0, -2) if x.dim() > 1 else x.unsqueeze(0)


def conv_backward(dy: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, stride: Sequence[int], padding: Sequence[int],
                  dilation: Sequence[int], groups: int, mask: Sequence[bool]) -> tuple[Any, ...]:  # fmt: skip
    """The cotangents of input, weight and bias that ``mask`` asks for (two or three of them), by torch's one kernel."""
    order = weight.dim() - 1
    full = [*mask, *[False] * (3 - len(mask))]
    dx, dweight, dbias = aten.convolution_backward(
        single(dy, order), single(x, order), weight, [weight.shape[0]] if full[2] else None,
        stride, padding, dilation, False, [0] * len(stride), groups, full)  # fmt: skip
    return (restored(dx, x, order) if full[0] else None, dweight, dbias)[: len(mask)]


def max_pool_backward(dy: torch.Tensor, x: torch.Tensor, indices: torch.Tensor, kernel: Sequence[int], stride: Sequence[int],
                      padding: Sequence[int], dilation: Sequence[int]) -> torch.Tensor:  # fmt: skip
    """The cotangent goes to the entry that won; one axis is treated as a picture of height 1, as torch does."""
    order = len(kernel) + 1
    args = [single(t, order) for t in (dy, x, indices)]
    if order == 2:
        wide = [t.unsqueeze(-2) for t in args]
        dx = aten.max_pool2d_with_indices_backward(
            wide[0], wide[1], [1, *kernel], [1, *stride], [0, *padding], [1, *dilation], False, wide[2]
        )
        return restored(dx.squeeze(-2), x, order)
    return restored(aten.max_pool2d_with_indices_backward(args[0], args[1], kernel, stride, padding, dilation, False, args[2]), x, order)


def avg_pool_backward(dy: torch.Tensor, x: torch.Tensor, kernel: Sequence[int], stride: Sequence[int],
                      padding: Sequence[int]) -> torch.Tensor:  # fmt: skip
    """Every entry of a window gets its share; one axis is treated as a picture of height 1, as torch does."""
    order = len(kernel) + 1
    dy, one = single(dy, order), single(x, order)
    if order == 2:
        dy, one, kernel, stride, padding = dy.unsqueeze(-2), one.unsqueeze(-2), [1, *kernel], [1, *stride], [0, *padding]
    dx = aten.avg_pool2d_backward(dy, one, kernel, stride, padding, False, True, None)
    return restored(dx.squeeze(-2) if order == 2 else dx, x, order)


def adaptive_avg_pool_backward(dy: torch.Tensor, x: torch.Tensor, axes: int) -> torch.Tensor:
    """Every entry of a cell gets its share."""
    order = axes + 1
    dy, one = single(dy, order), single(x, order)
    if order == 2:
        return restored(aten._adaptive_avg_pool2d_backward(dy.unsqueeze(-2), one.unsqueeze(-2)).squeeze(-2), x, order)
    return restored(aten._adaptive_avg_pool2d_backward(dy, one), x, order)


def mean_backward(dy: torch.Tensor, x: torch.Tensor, axes: Sequence[int], order: int, keep: bool) -> torch.Tensor:
    """Every entry gets its share, by division as torch's autograd does."""
    axes = sorted((axis % order - order for axis in axes), reverse=True)
    for axis in () if keep else axes:  # from the right, so that every axis is counted right when it is its turn
        dy = dy.unsqueeze(axis)
    return dy.expand_as(x) / math.prod(x.shape[axis] for axis in axes)


def windows(x: torch.Tensor, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> torch.Tensor:
    """A view of x: (.., positions of the windows, .., entries of a window, ..) over its last ``len(kernel)`` axes."""
    for k, s, d in zip(kernel, stride, dilation, strict=True):
        x = x.unfold(-len(kernel), d * (k - 1) + 1, s)  # puts the entries last, so the next axis is again the n-th from the right
        x = x[..., ::d] if d > 1 else x
    return x


def fold(w: torch.Tensor, shape: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> torch.Tensor:
    """The transpose of ``windows``: every entry of a window is added where it came from."""
    n = len(shape)
    lead, counts, kernel = w.shape[: w.dim() - 2 * n], w.shape[w.dim() - 2 * n : w.dim() - n], w.shape[w.dim() - n :]
    x = w.new_zeros((*lead, *shape))
    for place in torch.cartesian_prod(*(torch.arange(k) for k in kernel)).reshape(-1, n).tolist():
        spot = tuple(slice(p * d, p * d + s * (c - 1) + 1, s) for p, d, s, c in zip(place, dilation, stride, counts, strict=True))
        x[(..., *spot)] += w[(..., *place)]
    return x


def gather(x: torch.Tensor, index: torch.Tensor, axis: int, order: int, places: int) -> torch.Tensor:
    """The entries of x (``order`` event axes) along the event axis ``axis`` < 0 at the positions in ``index`` (``places`` axes)."""
    flat, shape = _flat(index, places), index.shape[index.dim() - places :]
    if flat.dim() == 1:
        y = x.index_select(axis, flat)
    else:
        y = torch.gather(x.expand(_joint(x, order, flat) + x.shape[x.dim() - order :]), axis, _spread(flat, x, axis, order))
    return y if places == 1 else y.unflatten(axis, shape) if places else y.squeeze(axis)


def scatter_add(values: torch.Tensor, index: torch.Tensor, size: int, axis: int, order: int, places: int) -> torch.Tensor:
    """Zeros with ``size`` positions along ``axis``, to which each value is added at its position; ``order`` counts the result's axes."""
    flat = _flat(index, places)
    if places != 1:
        values = values.flatten(axis - places + 1, axis) if places else values.unsqueeze(axis)
    if flat.dim() > 1:
        values = values.expand(_joint(values, order, flat) + values.shape[values.dim() - order :])
    shape = list(values.shape)
    shape[axis] = size
    zeros = values.new_zeros(shape)
    return zeros.index_add(axis, flat, values) if flat.dim() == 1 else zeros.scatter_add(axis, _spread(flat, values, axis, order), values)


def _flat(index: torch.Tensor, places: int) -> torch.Tensor:
    return index if places == 1 else index.flatten(-places) if places else index.unsqueeze(-1)


def _joint(x: torch.Tensor, order: int, flat: torch.Tensor) -> tuple[int, ...]:
    """The batch axes of the one that has them."""
    return x.shape[: x.dim() - order] or flat.shape[:-1]


def _spread(flat: torch.Tensor, x: torch.Tensor, axis: int, order: int) -> torch.Tensor:
    """Positions repeated over the event axes of x beside ``axis``."""
    event, batch = x.shape[x.dim() - order :], _joint(x, order, flat)
    left, right = event[: order + axis], event[order + axis + 1 :]
    ones = flat.reshape(*flat.shape[:-1], *[1] * len(left), flat.shape[-1], *[1] * len(right))
    return ones.expand(*batch, *left, flat.shape[-1], *right)


POSITIONS: dict[str, Callable[..., Any]] = {f.__name__: f for f in (
    one_batch, rows, mean_backward, conv_backward, max_pool_backward, avg_pool_backward, adaptive_avg_pool_backward, windows, fold, gather,
    scatter_add)}  # fmt: skip
