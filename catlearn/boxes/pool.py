"""Pooling over the last axes of ``R(.., C, L)`` or ``R(.., C, H, W)``: ``max_pool``, ``avg_pool``, ``adaptive_avg_pool``, in 1d and 2d.

A pool is a reduction of ``windows``. Where entries tie for the maximum, torch's kernel gives the whole cotangent to the first of them,
the definition shares it among them: both are subgradients.

>>> import catlearn as cl, torch
>>> f = max_pool2d(cl.R(1, 4, 4), 2)
>>> f(torch.arange(16.0).reshape(1, 4, 4))
tensor([[[ 5.,  7.],
         [13., 15.]]])
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from catlearn import errors
from catlearn.boxes.check import floats
from catlearn.boxes.conv import Ints, Windows, per_axis, positions
from catlearn.boxes.reduce import Mean
from catlearn.boxes.schema import Schema
from catlearn.boxes.shape import Pad
from catlearn.core.op import Fused, Op
from catlearn.core.spaces import Axis, Space, Wire


@dataclass(frozen=True)
class Pool(Op):
    """What pools with a window share: a kernel, a stride (the kernel itself unless given) and padding of at most half the kernel."""

    axes: ClassVar[int]
    kernel: Ints
    stride: Ints | None = None
    padding: Ints = 0

    def __post_init__(self) -> None:
        kernel = per_axis(self.key, "kernel", self.kernel, self.axes, 1)
        stride = kernel if self.stride is None else per_axis(self.key, "stride", self.stride, self.axes, 1)
        padding = per_axis(self.key, "padding", self.padding, self.axes, 0)
        if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
            raise errors.BadBox(self.key, f"padding={padding}", f"at most half of the kernel {kernel}", "pad by cl.pad first")
        for name, value in (("kernel", kernel), ("stride", stride), ("padding", padding)):
            object.__setattr__(self, name, value)

    @property
    def steps(self) -> tuple[int, ...]:
        """The dilation of the windows."""
        return (1,) * self.axes

    def infer(self, dom: Space) -> Space:
        wire = channelled(self, dom, self.axes)
        counts = positions(self, dom, self.kernel, self.stride, self.padding, self.steps)  # type: ignore[arg-type]
        return Space((Wire((*wire.axes[: -self.axes], *(Axis(s) for s in counts))),))

    def windows(self, o: Any, x: Any, value: float) -> Any:
        """All windows, padded with ``value``; their entries are the last axes."""
        if any(self.padding):  # type: ignore[arg-type]
            x = o.apply(Pad(tuple((i - self.axes, p, p) for i, p in enumerate(self.padding)), value), x)  # type: ignore[arg-type]
        return o.apply(Windows(self.kernel, self.stride, self.steps), x)  # type: ignore[arg-type]

    def flops(self, dom: Space, cod: Space) -> Any:
        count = cod[0].size
        for k in self.kernel:  # type: ignore[union-attr]
            count = count * k
        return count


@dataclass(frozen=True)
class MaxPool(Pool):
    """The maximum of each window; padding never wins."""

    dilation: Ints = 1

    fused = (Fused("dy0 x0 indices", "x0", "max_pool_backward({dy0}, {x0}, {indices}, {self.kernel}, {self.stride}, {self.padding}, "
                   "{self.steps})"),)  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "dilation", per_axis(self.key, "dilation", self.dilation, self.axes, 1))

    @property
    def steps(self) -> tuple[int, ...]:
        return self.dilation  # type: ignore[return-value]

    def saved(self, dom: Space) -> dict[str, Wire]:
        return {"indices": Wire(self.infer(dom)[0].axes, "index")}

    def torch(self, e: Any, x: str, options: str = "") -> str:
        return f"one_batch(F.{self.key}, {self.axes + 1}, {x}, {self.kernel}, {self.stride}, {self.padding}, {self.steps}{options})"

    def torch_saving(self, e: Any, x: str) -> str:
        return self.torch(e, x, ", return_indices=True")

    def definition(self, o: Any, x: Any) -> Any:
        return o.max(self.windows(o, x, float("-inf")), tuple(range(-self.axes, 0)))


@dataclass(frozen=True)
class AvgPool(Pool):
    """The mean of each window; padding counts as zeros."""

    fused = (Fused("dy0 x0", "x0", "avg_pool_backward({dy0}, {x0}, {self.kernel}, {self.stride}, {self.padding})"),)

    def torch(self, e: Any, x: str) -> str:
        return f"one_batch(F.{self.key}, {self.axes + 1}, {x}, {self.kernel}, {self.stride}, {self.padding})"

    def definition(self, o: Any, x: Any) -> Any:
        return o.mean(self.windows(o, x, 0.0), tuple(range(-self.axes, 0)))


@dataclass(frozen=True)
class MaxPool1d(MaxPool):
    """``R(.., C, L) → R(.., C, L')``: the maximum of each window of length ``kernel``, as ``torch.nn.MaxPool1d``."""

    key = "max_pool1d"
    axes = 1


@dataclass(frozen=True)
class MaxPool2d(MaxPool):
    """``R(.., C, H, W) → R(.., C, H', W')``: the maximum of each window, as ``torch.nn.MaxPool2d``."""

    key = "max_pool2d"
    axes = 2


@dataclass(frozen=True)
class AvgPool1d(AvgPool):
    """``R(.., C, L) → R(.., C, L')``: the mean of each window of length ``kernel``, as ``torch.nn.AvgPool1d``."""

    key = "avg_pool1d"
    axes = 1


@dataclass(frozen=True)
class AvgPool2d(AvgPool):
    """``R(.., C, H, W) → R(.., C, H', W')``: the mean of each window, as ``torch.nn.AvgPool2d``."""

    key = "avg_pool2d"
    axes = 2


@dataclass(frozen=True)
class AdaptiveAvgPool(Op):
    """Each axis of length n is cut into ``out`` cells; cell i is the mean of the entries from ⌊i·n/out⌋ to ⌈(i+1)·n/out⌉ (excluded)."""

    axes: ClassVar[int]
    out: Ints = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "out", per_axis(self.key, "out", self.out, self.axes, 1))

    @property
    def fused(self) -> tuple[Fused, ...]:  # type: ignore[override]
        """None for one cell: then torch takes the plain mean too."""
        if all(size == 1 for size in self.out):  # type: ignore[union-attr]
            return ()
        return (Fused("dy0 x0", "x0", "adaptive_avg_pool_backward({dy0}, {x0}, {self.axes})"),)

    def infer(self, dom: Space) -> Space:
        wire = channelled(self, dom, self.axes)
        return Space((Wire((*wire.axes[: -self.axes], *(Axis(s) for s in self.out))),))  # type: ignore[union-attr]

    def torch(self, e: Any, x: str) -> str:
        out = self.out[0] if self.axes == 1 else self.out  # type: ignore[index]
        return f"one_batch(F.{self.key}, {self.axes + 1}, {x}, {out})"

    def definition(self, o: Any, x: Any) -> Any:
        if all(size == 1 for size in self.out):  # type: ignore[union-attr]
            return o.mean(x, tuple(range(-self.axes, 0)), True)
        for i, cells in enumerate(self.out):  # type: ignore[arg-type]
            axis = i - self.axes
            n = o.shape(x)[axis]
            if not isinstance(n, int):
                raise errors.SizeUnknown(str(n), f"the definition of {self}")
            parts = [o.mean(o.slice(x, k * n // cells, -(-(k + 1) * n // cells), axis), (axis,), True) for k in range(cells)]
            x = o.concat(parts, axis)
        return x

    def flops(self, dom: Space, cod: Space) -> Any:
        return dom[0].size


@dataclass(frozen=True)
class AdaptiveAvgPool1d(AdaptiveAvgPool):
    """``R(.., C, L) → R(.., C, out)``: means of ``out`` cells, as ``torch.nn.AdaptiveAvgPool1d``."""

    key = "adaptive_avg_pool1d"
    axes = 1


@dataclass(frozen=True)
class AdaptiveAvgPool2d(AdaptiveAvgPool):
    """``R(.., C, H, W) → R(.., C, out, out)``: means of cells, as ``torch.nn.AdaptiveAvgPool2d``; ``out`` is one integer or two."""

    key = "adaptive_avg_pool2d"
    axes = 2


def channelled(op: Op, dom: Space, axes: int) -> Wire:
    """The one wire of dom if it has channels before its last ``axes`` axes, none of which is empty."""
    (wire,) = floats(op, dom, 1)
    if len(wire.axes) <= axes or any(size == 0 for size in wire.shape[-axes:]):
        raise errors.BadBox(str(op), dom, f"one wire R(.., channels, {'L' if axes == 1 else 'H, W'}) without empty axes")
    return wire


max_pool1d: Schema = Schema(MaxPool1d)
max_pool2d: Schema = Schema(MaxPool2d)
avg_pool1d: Schema = Schema(AvgPool1d)
avg_pool2d: Schema = Schema(AvgPool2d)
adaptive_avg_pool1d: Schema = Schema(AdaptiveAvgPool1d)
adaptive_avg_pool2d: Schema = Schema(AdaptiveAvgPool2d)
global_avg_pool1d: Schema = Schema(Mean, Mean((-1,)))
global_avg_pool2d: Schema = Schema(Mean, Mean((-2, -1)))
