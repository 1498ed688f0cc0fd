"""Contractions: ``einsum``, ``matmul``, and the boxes with weights built on them, ``linear`` and ``bias``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from catlearn import errors
from catlearn.boxes.check import floats
from catlearn.boxes.schema import Schema
from catlearn.core.op import Fused, Init, Op, Param
from catlearn.core.sizes import Size, product
from catlearn.core.spaces import Axis, Space, Wire
from catlearn.core.term import Box, Term
from catlearn.maps.base import Map


@dataclass(frozen=True)
class Einsum(Op):
    """A contraction of event axes in Einstein's notation, ``"ij,jk->ik"``; batch axes are understood."""

    key = "einsum"
    pattern: str = "i->i"

    def infer(self, dom: Space) -> Space:
        wires, (ins, out) = floats(self, dom), self.parts()
        needed = f"{len(ins)} wires of orders {[len(i) for i in ins]}"
        if [len(i) for i in ins] != [len(wire.axes) for wire in wires] or len(set(out)) != len(out):
            raise errors.BadBox(str(self), dom, needed)
        axes: dict[str, Axis] = {}
        for letters, wire in zip(ins, wires, strict=True):
            for letter, axis in zip(letters, wire.axes, strict=True):
                if axes.setdefault(letter, axis).size != axis.size:
                    raise errors.BadBox(str(self), dom, f"one size for {letter!r}, not {axes[letter].size} and {axis.size}")
                if axes[letter].group is None:
                    axes[letter] = axis
        if not set(out) <= set(axes):
            raise errors.BadBox(str(self), dom, f"outputs {out!r} among the input letters")
        return Space((Wire(tuple(axes[letter] for letter in out)),))

    def parts(self) -> tuple[list[str], str]:
        """The letters of each input, and those of the output."""
        left, arrow, out = self.pattern.replace(" ", "").partition("->")
        if not arrow or not (left + out + "i").replace(",", "").isalpha():
            raise errors.BadSpace(
                f"einsum {self.pattern!r} is no pattern", next='write it out, e.g. "ij,jk->ik"; batch axes are understood'
            )
        return left.split(","), out

    def torch(self, e: Any, *xs: str) -> str:
        ins, out = self.parts()
        return f"torch.einsum('{','.join('...' + i for i in ins)}->...{out}', {', '.join(xs)})"

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        ins, out = self.parts()
        grads = []
        for k, letters in enumerate(ins):
            if len(set(letters)) != len(letters):
                raise errors.NoRule("reverse", f"{self} (a repeated letter within one input)", "take the diagonal in a step of its own")
            others = [(i, x) for j, (i, x) in enumerate(zip(ins, args, strict=True)) if j != k]
            reached = "".join(dict.fromkeys(c for c in letters if c in out or any(c in i for i, _ in others)))
            grad = o.einsum(f"{','.join([out, *(i for i, _ in others)])}->{reached}", douts[0], *(x for _, x in others))
            if reached != letters:  # a letter summed within this input alone: the cotangent is constant along it
                shape = o.shape(args[k])
                grad = o.broadcast(o.reshape(grad, tuple(s if c in reached else 1 for c, s in zip(letters, shape, strict=True))), shape)
            grads.append(grad)
        return grads

    def flops(self, dom: Space, cod: Space) -> Any:
        sizes = {c: s for i, wire in zip(self.parts()[0], dom, strict=True) for c, s in zip(i, wire.shape, strict=True)}
        return product(tuple(sizes.values())) * len(dom)


@dataclass(frozen=True)
class Matmul(Op):
    """``R(.., n, k) @ R(.., k, m) → R(.., n, m)``: the product of matrices, on equal leading axes."""

    key = "matmul"
    torch = "{x0} @ {x1}"

    def infer(self, dom: Space) -> Space:
        a, b = floats(self, dom, 2)
        if len(a.axes) != len(b.axes) or len(a.axes) < 2 or a.shape[:-2] != b.shape[:-2] or a.shape[-1] != b.shape[-2]:
            raise errors.BadBox(str(self), dom, "(.., n, k) and (.., k, m)")
        return Space((Wire((*a.axes[:-1], b.axes[-1])),))

    def definition(self, o: Any, x: Any, y: Any) -> Any:
        lead = "abcdefgh"[: len(o.shape(x)) - 2]
        return o.einsum(f"{lead}ij,{lead}jk->{lead}ik", x, y)

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        n = len(o.shape(args[0]))
        flip = (*range(n - 2), n - 1, n - 2)
        return o.apply(self, douts[0], o.transpose(args[1], flip)), o.apply(self, o.transpose(args[0], flip), douts[0])

    def flops(self, dom: Space, cod: Space) -> Any:
        return 2 * cod[0].size * dom[0].shape[-1]


@dataclass(frozen=True)
class Linear(Op):
    """x ↦ W x + b on the last axis; W has shape (out, in), both start uniform within ±1/√in (as ``torch.nn.Linear``)."""

    key = "linear"
    out: Axis
    bias: bool = True

    fused = (
        Fused("dy0 weight", "x0", "{dy0} @ {weight}"),
        Fused("dy0 x0", "weight", "rows({dy0}).t() @ rows({x0})"),
        Fused("dy0", "bias", "rows({dy0}).sum(0)"),
    )

    def infer(self, dom: Space) -> Space:
        (wire,) = floats(self, dom, 1)
        if not wire.axes:
            raise errors.BadBox(str(self), dom, "a wire with at least one axis", "cl.reshape((1,)) gives a scalar an axis")
        return Space((Wire((*wire.axes[:-1], self.out)),))

    @property
    def param_names(self) -> tuple[str, ...]:
        return ("weight", "bias") if self.bias else ("weight",)

    def parameters(self, dom: Space) -> dict[str, Param]:
        inner: Size = dom[0].shape[-1]
        bound = 1 / math.sqrt(inner) if isinstance(inner, int) and inner else 1.0
        init = Init("uniform", (-bound, bound))
        params = {"weight": Param(Space((Wire((self.out, dom[0].axes[-1]), role="parameter"),)), init)}
        if self.bias:
            params["bias"] = Param(Space((Wire((self.out,), role="parameter"),)), init)
        return params

    def torch(self, e: Any, x: str, weight: str, bias: str = "") -> str:
        return f"F.linear({x}, {weight}{', ' + bias if bias else ''})"

    def definition(self, o: Any, x: Any, weight: Any, *bias: Any) -> Any:
        lead = "abcdefgh"[: len(o.shape(x)) - 1]
        y = o.einsum(f"{lead}i,oi->{lead}o", x, weight)
        return o.add(y, o.broadcast(bias[0], o.shape(y))) if bias else y

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        """Each cotangent from what it needs: the kernels do not keep the rest, so arguments may be None."""
        (x, weight), dy, lead = args[:2], douts[0], "abcdefgh"[: len(o.shape(douts[0])) - 1]
        dx = None if weight is None else o.einsum(f"{lead}o,oi->{lead}i", dy, weight)
        dweight = None if x is None else o.einsum(f"{lead}o,{lead}i->oi", dy, x)
        return (dx, dweight, over_last(o, dy)) if self.bias else (dx, dweight)

    def flops(self, dom: Space, cod: Space) -> Any:
        return 2 * cod[0].size * dom[0].shape[-1]

    def __str__(self) -> str:
        return f"linear(out={self.out.size}{'' if self.bias else ', bias=False'})"


@dataclass(frozen=True)
class Bias(Op):
    """x ↦ x + b with a parameter b on the last axis."""

    key = "bias"
    nonlinear = True
    param_names = ("bias",)  # type: ignore[assignment,override]
    torch = "{x0} + {bias}"

    def infer(self, dom: Space) -> Space:
        return Space(floats(self, dom, 1))

    def parameters(self, dom: Space) -> dict[str, Param]:
        return {"bias": Param(Space((Wire(dom[0].axes[-1:], role="parameter"),)), Init("constant", (0.0,)))}

    def definition(self, o: Any, x: Any, bias: Any) -> Any:
        return o.add(x, o.broadcast(bias, o.shape(x)))

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return douts[0], over_last(o, douts[0])


@dataclass(frozen=True)
class Gain(Op):
    """x ↦ x · g with a parameter g on the last axis, which starts at 1."""

    key = "gain"
    param_names = ("gain",)  # type: ignore[assignment,override]
    torch = "{x0} * {gain}"

    def infer(self, dom: Space) -> Space:
        return Space(floats(self, dom, 1))

    def parameters(self, dom: Space) -> dict[str, Param]:
        return {"gain": Param(Space((Wire(dom[0].axes[-1:], role="parameter"),)), Init("constant", (1.0,)))}

    def definition(self, o: Any, x: Any, gain: Any) -> Any:
        return o.mul(x, o.broadcast(gain, o.shape(x)))

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return o.mul(douts[0], o.broadcast(args[1], o.shape(args[0]))), over_last(o, o.mul(douts[0], args[0]))


def over_last(o: Any, x: Any) -> Any:
    """x summed over all event axes but the last: what the cotangent of a parameter on the last axis is, for one event."""
    extra = len(o.shape(x)) - 1
    return o.sum(x, tuple(range(extra))) if extra > 0 else x


def linear(dom: Space | Map, cod: Space | None = None, bias: bool = True, name: str | None = None) -> Term:
    """An affine map on the last axis: ``dom`` and ``cod`` are single wires that differ there only. Weight (out, in), bias (out,).

    ``linear(map)`` is a structured map of ``catlearn.maps`` as a box on the whole event shape, without a bias.

    >>> print(linear(Space((Wire((Axis(3),)),)), Space((Wire((Axis(2),)),))).params["linear.weight"].space)
    parameter(R(2, 3))
    """
    if isinstance(dom, Map):
        from catlearn.boxes.mapped import mapped

        if cod is not None:
            raise errors.BadBox("linear", f"a map and {cod}", "a map alone: it has its own domain and codomain")
        return mapped(dom, name)
    if cod is None:
        raise errors.BadBox("linear", f"{dom} alone", "a domain and a codomain, or a structured map of cl.maps")
    box = None
    if len(dom) == 1 and len(cod) == 1 and cod[0].axes:
        box = Box(Linear(cod[0].axes[-1], bias), dom, name)
    if box is None or box.cod != cod:
        raise errors.BadBox("linear", f"{dom} → {cod}", "single wires that differ in the last axis only",
                            "flatten first, or act on another axis by cl.transpose / cl.einsum")  # fmt: skip
    return box


einsum: Schema = Schema(Einsum)
matmul: Schema = Schema(Matmul)
bias: Schema = Schema(Bias)
gain: Schema = Schema(Gain)
