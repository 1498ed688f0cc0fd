"""Rows of the table for grids of pixels: convolutions, pools, and the norm of groups of channels.

Any number of axes may stand before the channels, none included, as the boxes take them.
"""

from __future__ import annotations

from math import prod
from typing import Any

from catlearn.boxes import conv, norm, pool
from catlearn.interop.categorify.table import RULES, Call, Rule, W, rule


def _full(value: Any, axes: int) -> tuple[Any, ...]:
    """One number for each axis."""
    return tuple(value) * axes if len(value) == 1 else tuple(value)


def _conv(kind: type[conv.Conv]) -> Rule:
    def run(c: Call, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
        out, kernel = c.type(weight).shape[0], c.type(weight).shape[2:]
        padding = padding if isinstance(padding, str) else _full(padding, kind.axes)
        op = kind(out, kernel, _full(stride, kind.axes), padding, _full(dilation, kind.axes), groups, bias is not None)  # type: ignore[arg-type]
        return c.apply(op, x, weight, *([bias] if bias is not None else []))

    return run


def _max_pool(kind: type[pool.MaxPool]) -> Rule:
    def run(c: Call, x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool) -> Any:
        n = kind.axes
        op = kind(_full(kernel, n), _full(stride, n) or None, _full(padding, n), _full(dilation, n))
        return None if ceil else c.apply(op, x)

    return run


def _avg_pool(kind: type[pool.AvgPool]) -> Rule:
    def run(c: Call, x: Any, kernel: Any, stride: Any, padding: Any, ceil: bool, count_padding: bool, divisor: Any = None) -> Any:
        n = kind.axes
        if ceil or divisor is not None or (any(padding) and not count_padding):
            return None
        return c.apply(kind(_full(kernel, n), _full(stride, n) or None, _full(padding, n)), x)

    return run


for axes, convolution, largest, mean, adaptive in (
    (1, conv.Conv1d, pool.MaxPool1d, pool.AvgPool1d, pool.AdaptiveAvgPool1d),
    (2, conv.Conv2d, pool.MaxPool2d, pool.AvgPool2d, pool.AdaptiveAvgPool2d),
):
    RULES[f"aten.conv{axes}d.default"] = RULES[f"aten.conv{axes}d.padding"] = _conv(convolution)
    RULES[f"aten.max_pool{axes}d.default"], RULES[f"aten.avg_pool{axes}d.default"] = _max_pool(largest), _avg_pool(mean)
    RULES[f"aten.adaptive_avg_pool{axes}d.default"] = lambda c, x, out, kind=adaptive: c.apply(kind(tuple(out)), x)


@rule("group_norm.default")
def _group_norm(c: Call, x: Any, groups: int, weight: Any, bias: Any, eps: float, cudnn: Any) -> Any:
    """The layer norm of each group of channels, then · weight + bias for each channel."""
    shape = c.type(x).shape
    if not all(isinstance(n, int) for n in shape):
        return None
    rows = c.o.reshape(x.wire, (shape[0], groups, prod(shape[1:]) // groups))  # type: ignore[arg-type]
    y = c.o.reshape(c.apply(norm.LayerNorm(eps, False, False), W(rows)), shape)
    for w, combine in ((weight, c.o.mul), (bias, c.o.add)):
        if w is not None:
            y = combine(y, c.o.broadcast(c.o.reshape(w.wire, (*c.type(w).shape, *[1] * (len(shape) - 2))), shape))
    return y


__all__ = ["RULES"]
