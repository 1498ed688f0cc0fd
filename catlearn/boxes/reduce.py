"""Reductions over event axes (``sum``, ``mean``, ``max``) and over the batch axes (``BatchSum``, ``BatchExpand``, each other's reverse).

Event axes are counted within the event; a reduced axis vanishes, or stays with size 1 if ``keep``.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from catlearn import errors
from catlearn.boxes.check import axes_of, floats, negative
from catlearn.boxes.schema import Schema
from catlearn.core.op import Fused, Op
from catlearn.core.sizes import product
from catlearn.core.spaces import Axis, Space, Wire


@dataclass(frozen=True)
class Reduce(Op):
    """The shape rule that all reductions share."""

    axes: tuple[int, ...] = (-1,)
    keep: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.axes, int):
            object.__setattr__(self, "axes", (self.axes,))

    def infer(self, dom: Space) -> Space:
        (wire,) = floats(self, dom, 1)
        axes = axes_of(self, wire, self.axes)
        if self.key != "sum" and any(wire.shape[i] == 0 for i in axes):
            raise errors.BadBox(str(self), dom, "no empty axis among those that it reduces", "cl.sum of nothing is 0")
        kept = [Axis(1) if i in axes else axis for i, axis in enumerate(wire.axes) if self.keep or i not in axes]
        return Space((Wire(tuple(kept), wire.kind, wire.bound, wire.role),))

    def torch(self, e: Any, x: str) -> str:
        axes = negative(self.axes, len(e.dom[0].axes))
        if not axes:  # torch reads an empty list of axes as all of them
            return x
        dim = axes[0] if len(axes) == 1 else axes
        keep = ", keepdim=True" if self.keep else ""
        return f"{x}.{self.kernel}({dim}{keep})"

    kernel = "sum"

    def flops(self, dom: Space, cod: Space) -> Any:
        return dom[0].size

    def expanded(self, o: Any, x: Any, reduced: Any) -> Any:
        """A reduced value repeated over the shape of x."""
        shape = o.shape(x)
        axes = [a + len(shape) if a < 0 else a for a in self.axes]
        kept = tuple(1 if i in axes else s for i, s in enumerate(shape))
        return o.broadcast(o.reshape(reduced, kept), shape)


@dataclass(frozen=True)
class Sum(Reduce):
    """The sum over event axes."""

    key = "sum"

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return (self.expanded(o, args[0], douts[0]),)


@dataclass(frozen=True)
class Mean(Reduce):
    """The mean over event axes."""

    key = "mean"
    kernel = "mean"
    fused = (Fused("dy0 x0", "x0", "mean_backward({dy0}, {x0}, {self.axes}, {order}, {self.keep})"),)

    def definition(self, o: Any, x: Any) -> Any:
        shape = o.shape(x)
        count = product(tuple(shape[a] for a in self.axes))
        if not isinstance(count, int):
            raise errors.SizeUnknown(str(count), "the definition of mean")
        return o.scale(o.sum(x, self.axes, self.keep), Fraction(1, count))


@dataclass(frozen=True)
class Max(Reduce):
    """The maximum over event axes; the reverse derivative shares among ties, as ``torch.amax`` does."""

    key = "max"
    nonlinear = True
    kernel = "amax"

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        hit = o.apply(Equal(), args[0], self.expanded(o, args[0], outs[0]))
        ties = o.sum(hit, self.axes, self.keep)
        return (o.mul(hit, self.expanded(o, args[0], o.div(douts[0], ties))),)


@dataclass(frozen=True)
class Equal(Op):
    """``x @ x → x``: 1 where the entries are equal, else 0; its reverse derivative is 0."""

    key = "equal"
    torch = "({x0} == {x1}).to({x0}.dtype)"

    def infer(self, dom: Space) -> Space:
        return Space(floats(self, dom, 2)[:1])

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return None, None


@dataclass(frozen=True)
class BatchSum(Op):
    """A batched wire summed over all batch axes: what the cotangent of a parameter is. Takes data, gives a parameter."""

    key = "batch_sum"
    keeps_roles = True

    def torch(self, e: Any, x: str) -> str:
        shape = [e.size(s) for s in e.dom[0].shape]
        if "0" in shape:  # nothing to sum, and torch could not tell how many batch entries there are
            return f"{x}.new_zeros(({', '.join(shape)},))"
        return f"{x}.reshape({', '.join(['-1', *shape])}).sum(0)"

    def infer(self, dom: Space) -> Space:
        return dom.with_role("parameter")

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return (o.apply(BatchExpand(), douts[0], args[0]),)


@dataclass(frozen=True)
class BatchExpand(Op):
    """``P @ like → P`` repeated over the batch axes of ``like``; ``like`` itself is not read."""

    key = "batch_expand"
    keeps_roles = True

    def torch(self, e: Any, x: str, like: str) -> str:
        order = len(e.dom[1].axes)
        return f"{x}.expand({like}.shape[:{like}.dim() - {order}] + {x}.shape)"

    def infer(self, dom: Space) -> Space:
        return Space(dom.wires[:1]).with_role("data")

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return o.apply(BatchSum(), douts[0]), None


sum: Schema = Schema(Sum)
mean: Schema = Schema(Mean)
max: Schema = Schema(Max)
