"""Convolutions: ``conv1d``, ``conv2d``, and the two primitives that they are made of, ``windows`` and its transpose ``fold``.

Channels come before the axes of space, as in torch: ``R(C, L)`` and ``R(C, H, W)``, or more axes in front.
A convolution is ``windows`` then ``einsum`` with the weight; both are linear, so its reverse is ``fold`` after ``einsum``.

Laws: ``windows`` and ``fold`` are each other's transpose; with stride = kernel, ``windows >> fold`` is the identity on what they cover.

>>> import catlearn as cl
>>> f = conv2d(cl.R(3, 32, 32), 16, 3, padding=1) >> cl.relu >> conv2d(8, 3, stride=2)
>>> print(f.cod, list(f.params))
R(8, 15, 15) ['conv2d.weight', 'conv2d.bias', 'conv2d_1.weight', 'conv2d_1.bias']
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from catlearn import errors
from catlearn.boxes.check import floats
from catlearn.boxes.schema import Schema
from catlearn.boxes.shape import Move, Pad
from catlearn.core.op import Fused, Init, Op, Param
from catlearn.core.sizes import Poly, Size, product
from catlearn.core.spaces import Axis, Space, Wire

Ints = int | tuple[int, ...]


def per_axis(op: str, what: str, value: Any, axes: int, least: int) -> tuple[int, ...]:
    """One integer for each spatial axis; a single one stands for all."""
    values = (value,) * axes if isinstance(value, int) else tuple(value)
    if len(values) != axes or any(not isinstance(v, int) or v < least for v in values):
        raise errors.BadBox(op, f"{what}={value!r}", f"one integer from {least} on, or {axes} of them")
    return values


def counted(size: Size, span: int, stride: int) -> Size:
    """How many windows of length ``span`` fit: ⌊(size − span) / stride⌋ + 1, for symbolic sizes too where that is a polynomial."""
    rest = size + -span
    if isinstance(rest, int):
        return rest // stride + 1
    constant = 0
    for monomial, coefficient in rest.terms:
        constant += coefficient if not monomial else 0
    return (rest - constant) // stride + (constant // stride + 1)


def positions(op: Op, dom: Space, kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...],
              dilation: tuple[int, ...]) -> tuple[Size, ...]:  # fmt: skip
    """The number of windows along each of the last axes; ``BadBox`` if a kernel is larger than the padded input."""
    found = []
    for size, k, s, p, d in zip(dom[0].shape[-len(kernel) :], kernel, stride, padding, dilation, strict=True):
        span, padded = d * (k - 1) + 1, size + 2 * p
        if isinstance(padded, int) and padded < span:
            raise errors.BadBox(str(op), dom, f"axes of at least {span} (kernel {k}, dilation {d}), padding included; one has {padded}",
                                "take a smaller kernel, or padding=")  # fmt: skip
        found.append(counted(padded, span, s))
    return tuple(found)


@dataclass(frozen=True)
class Windows(Move):
    """``(.., H, W) → (.., H', W', k, l)``: at every position the window of entries that starts there, over the last axes."""

    key = "windows"
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]

    def infer(self, dom: Space) -> Space:
        (wire,), n = floats(self, dom, 1), len(self.kernel)
        if len(wire.axes) < n:
            raise errors.BadBox(str(self), dom, f"a wire with at least {n} axes")
        counts = positions(self, dom, self.kernel, self.stride, (0,) * n, self.dilation)
        return Space((Wire((*wire.axes[: len(wire.axes) - n], *(Axis(s) for s in (*counts, *self.kernel)))),))

    def torch(self, e: Any, x: str) -> str:
        return f"windows({x}, {self.kernel}, {self.stride}, {self.dilation})"

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        shape = o.shape(args[0])[-len(self.kernel) :]
        return (o.apply(Fold(shape, self.kernel, self.stride, self.dilation), douts[0]),)


@dataclass(frozen=True)
class Fold(Op):
    """``(.., H', W', k, l) → (.., H, W)``: the entries of all windows added where they came from."""

    key = "fold"
    shape: tuple[Size, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]

    def infer(self, dom: Space) -> Space:
        (wire,), n = floats(self, dom, 1), len(self.kernel)
        lead = wire.axes[: max(len(wire.axes) - 2 * n, 0)]
        whole = Space((Wire((*lead, *(Axis(s) for s in self.shape))),))
        needed = Windows(self.kernel, self.stride, self.dilation).infer(whole)
        if needed[0].shape != wire.shape:
            raise errors.BadBox(str(self), dom, f"the windows of {whole}: {needed}")
        return whole

    def torch(self, e: Any, x: str) -> str:
        sizes = ", ".join(e.size(s) for s in self.shape)
        return f"fold({x}, ({sizes},), {self.stride}, {self.dilation})"

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return (o.apply(Windows(self.kernel, self.stride, self.dilation), douts[0]),)

    def flops(self, dom: Space, cod: Space) -> Any:
        return dom[0].size


@dataclass(frozen=True)
class Conv(Op):
    """What convolutions over any number of spatial axes share."""

    axes: ClassVar[int]
    out: int
    kernel: Ints
    stride: Ints = 1
    padding: Ints | str = 0
    dilation: Ints = 1
    groups: int = 1
    bias: bool = True

    def __post_init__(self) -> None:
        for what, least in (("kernel", 1), ("stride", 1), ("dilation", 1)):
            object.__setattr__(self, what, per_axis(self.key, what, getattr(self, what), self.axes, least))
        object.__setattr__(self, "padding", per_axis(self.key, "padding", self._padding(), self.axes, 0))
        per_axis(self.key, "out", (self.out,), 1, 1)
        per_axis(self.key, "groups", (self.groups,), 1, 1)

    def _padding(self) -> Any:
        if self.padding == "valid":
            return 0
        if self.padding != "same":
            return self.padding
        spans = [d * (k - 1) for k, d in zip(self.kernel, self.dilation, strict=True)]  # type: ignore[arg-type]
        if any(s != 1 for s in self.stride) or any(span % 2 for span in spans):  # type: ignore[union-attr]
            raise errors.BadBox(self.key, "padding='same'", "stride 1 and windows of odd length", "pad unevenly by cl.pad first")
        return tuple(span // 2 for span in spans)

    @property
    def fused(self) -> tuple[Fused, ...]:  # type: ignore[override]
        call = "conv_backward({dy0}, {x0}, {weight}, {self.stride}, {self.padding}, {self.dilation}, {self.groups}, {mask})"
        gives = "x0 weight bias" if self.bias else "x0 weight"
        return (Fused(f"dy0 {gives}", gives, call),)

    def infer(self, dom: Space) -> Space:
        (wire,) = floats(self, dom, 1)
        lead = len(wire.axes) - self.axes - 1
        if lead < 0:
            raise errors.BadBox(str(self), dom, f"one wire R(.., channels, {'L' if self.axes == 1 else 'H, W'})",
                                "cl.reshape gives a wire the axes it lacks")  # fmt: skip
        channels = wire.shape[lead]
        if self.groups > 1 and (isinstance(channels, Poly) or channels % self.groups or self.out % self.groups):
            raise errors.BadBox(
                str(self), dom, f"input and output channels that {self.groups} groups divide, not {channels} and {self.out}"
            )
        counts = positions(self, dom, self.kernel, self.stride, self.padding, self.dilation)  # type: ignore[arg-type]
        return Space((Wire((*wire.axes[:lead], Axis(self.out), *(Axis(s) for s in counts))),))

    @property
    def param_names(self) -> tuple[str, ...]:
        return ("weight", "bias") if self.bias else ("weight",)

    def parameters(self, dom: Space) -> dict[str, Param]:
        """As torch: all start uniform within ±1/√(input channels of a group · kernel size)."""
        channels = dom[0].shape[-self.axes - 1]
        inner = channels // self.groups if self.groups > 1 else channels
        fan = inner * product(self.kernel)  # type: ignore[arg-type]
        bound = 1 / math.sqrt(fan) if isinstance(fan, int) and fan else 1.0
        init, axes = Init("uniform", (-bound, bound)), (Axis(self.out), Axis(inner), *(Axis(k) for k in self.kernel))  # type: ignore[union-attr]
        params = {"weight": Param(Space((Wire(axes, role="parameter"),)), init)}
        if self.bias:
            params["bias"] = Param(Space((Wire(axes[:1], role="parameter"),)), init)
        return params

    def torch(self, e: Any, x: str, weight: str, bias: str = "None") -> str:
        rest = f"{weight}, {bias}, {self.stride}, {self.padding}, {self.dilation}, {self.groups}"
        return f"one_batch(F.{self.key}, {self.axes + 1}, {x}, {rest})"

    def definition(self, o: Any, x: Any, weight: Any, *bias: Any) -> Any:
        if any(self.padding):  # type: ignore[arg-type]
            x = o.apply(Pad(tuple((i - self.axes, p, p) for i, p in enumerate(self.padding))), x)  # type: ignore[arg-type]
        w = o.apply(Windows(self.kernel, self.stride, self.dilation), x)  # type: ignore[arg-type]
        lead, g = len(o.shape(x)) - self.axes - 1, self.groups
        front, (channels, *rest) = o.shape(w)[:lead], o.shape(w)[lead:]
        w = o.reshape(w, (*front, g, channels // g if g > 1 else channels, *rest))
        v = o.reshape(weight, (g, self.out // g, *o.shape(weight)[1:]))
        n, out, inner = "stuvwxyz"[:lead], "pq"[: self.axes], "kl"[: self.axes]
        y = o.einsum(f"{n}gc{out}{inner},goc{inner}->{n}go{out}", w, v)
        y = o.reshape(y, (*front, self.out, *o.shape(y)[lead + 2 :]))
        if not bias:
            return y
        return o.add(y, o.broadcast(o.reshape(bias[0], (self.out, *[1] * self.axes)), o.shape(y)))

    def flops(self, dom: Space, cod: Space) -> Any:
        return 2 * cod[0].size * product(self.parameters(dom)["weight"].wire.shape[1:])

    def __str__(self) -> str:
        extras = [("stride", 1), ("padding", 0), ("dilation", 1)]
        shown = [f"{name}={getattr(self, name)}" for name, usual in extras if getattr(self, name) != (usual,) * self.axes]
        shown += [f"groups={self.groups}"] * (self.groups != 1) + ["bias=False"] * (not self.bias)
        return f"{self.key}({', '.join([str(self.out), str(self.kernel), *shown])})"


@dataclass(frozen=True)
class Conv1d(Conv):
    """``R(.., C, L) → R(.., out, L')``: cross-correlation with a weight (out, C / groups, kernel), as ``torch.nn.Conv1d``."""

    key = "conv1d"
    axes = 1


@dataclass(frozen=True)
class Conv2d(Conv):
    """``R(.., C, H, W) → R(.., out, H', W')``: cross-correlation with a weight (out, C / groups, kernel, kernel), as ``torch.nn.Conv2d``.

    ``kernel``, ``stride``, ``padding``, ``dilation`` are one integer or two; ``padding`` may be ``"same"`` or ``"valid"``.
    """

    key = "conv2d"
    axes = 2


conv1d: Schema = Schema(Conv1d)
conv2d: Schema = Schema(Conv2d)
windows: Schema = Schema(Windows)
fold: Schema = Schema(Fold)
