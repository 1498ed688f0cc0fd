"""``equivariant``: every linear equivariant map between two wires, once: a sum of diagrams with coefficients.

For groups acting on the axes of the wires ``dom`` and ``out``, with c and c' channels,

    y[o, c'] = Σ_d s_d Σ_i Σ_c D_d[o, i] weight[d, c', c] x[i, c]  +  Σ_b B_b[o] bias[b, c'],

where D runs through the basis of Hom(dom, out) and B through that of Hom(R, out), in the canonical order of ``catlearn.symmetry``
(Pearce-Crump, arXiv:2212.08630, 2212.08648, 2301.10152). ``normalise="sum"`` has s_d = 1; ``"mean"`` divides by the size of every axis
that a diagram sums over, so that one set of weights serves sets of many sizes.

Law: f ∘ ρ(g) = ρ(g) ∘ f for every g of every group and all weights.

Weights start normal with mean 0: independent inputs of variance 1 give outputs of variance 1, on average over the entries of a channel,
and many layers stay near it, since a diagram's share of the variance is in proportion to the square of its rank. (With equal shares the
few directions that all diagrams reach grow from layer to layer.) Biases start at 0. Symbolic sizes are taken at their least for this.

>>> from catlearn.core.spaces import S
>>> points = S(3).space(1)[0]
>>> [element.deltas for element in basis(points, points).elements]
[((0, 1),), ((0,), (1,))]
>>> [round(number, 3) for number in Equivariant(points).spreads(points)]  # ranks 3 and 1: shares 9/10 and 1/10, this from a sum of 3
[0.949, 0.183]
>>> Layer(Equivariant(points), points)(pytorch.tensor([1.0, 2.0, 3.0]), pytorch.tensor([[[10.0]], [[1.0]]]))
tensor([16., 26., 36.])
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from operator import index
from string import ascii_lowercase, ascii_uppercase
from typing import Any

import numpy as np
import torch as pytorch

from catlearn import errors
from catlearn.boxes.check import floats
from catlearn.boxes.constant import Constant, Held
from catlearn.boxes.diagram import alone, crossing, rank, sentence, square, summed
from catlearn.core.op import Fused, Init, Op, Param
from catlearn.core.sizes import Size, dims, evaluate, product
from catlearn.core.spaces import Axis, Space, Wire
from catlearn.maps.outliving import constant as compiled_constant
from catlearn.maps.sums import choose
from catlearn.maps.sums.entries import coordinates
from catlearn.maps.sums.family import Element, Family
from catlearn.symmetry.hom import hom_dim
from catlearn.symmetry.products import hom_elements, parts

Tensor = pytorch.Tensor
LARGEST = 1 << 22  # how many numbers the dense basis that exact meanings use may have


def channels(wire: Wire) -> Size:
    """How many channels a wire has: the product of its axes behind those of groups."""
    return product(tuple(axis.size for axis in wire.axes if axis.group is None))


def turned(wire: Wire) -> tuple[Size, ...]:
    """The sizes of the axes of groups."""
    return tuple(axis.size for axis in wire.axes if axis.group is not None)


def least(size: Size) -> int:
    """A size with every symbol at its least value."""
    return evaluate(size, {d.name: d.min for d in dims(size)})


@lru_cache(maxsize=512)
def basis(dom: Wire, out: Wire) -> Family:
    """The diagrams between two wires, symbolic sizes at their least, where the basis is already that of all larger ones.

    Raises ``BadSymmetry`` for groups without diagrams, a basis that changes with a symbol or is too large, channels before a group, and
    for one group at two sizes.
    """
    found = parts(dom, out)
    for one in (part.group for part in found if not part.outs):
        other = next((p.group for p in found if not p.ins and (p.group.kind, p.group.name) == (one.kind, one.name)), None)
        if other is not None:
            raise errors.BadSymmetry(f"the input carries {one} where the output carries {other}",
                                     [f"from {Space((dom,))} to {Space((out,))}", "needed  one group on both sides"],
                                     f'if two groups act independently, name them: cl.{one.kind}({one.n}, name="...")')  # fmt: skip
    return hom_elements(dom, out, {d.name: d.min for size in (*turned(dom), *turned(out)) for d in dims(size)}, bias=False)


def nothing(op: Equivariant, dom: Space) -> errors.BadSymmetry:
    """What to say where there are no diagrams: which groups have none."""
    found = [part for wire in dom for part in parts(op.own(wire), op.own(op.out))]
    rows = [alone(p.group, len(p.ins), len(p.outs)) for p in found if not hom_dim(p.group, len(p.ins), len(p.outs))]
    return errors.BadSymmetry(f"only the zero map is equivariant from {dom} to {Space((op.out,))}", list(dict.fromkeys(rows)),
                              "multiply features first, e.g. cl.tensor_product, or go to a wire of another order")  # fmt: skip


@dataclass(frozen=True)
class Equivariant(Op):
    """Every linear equivariant map from its wire to ``out``, as a sum of diagrams with coefficients.

    ``normalise="mean"`` divides by the sizes of the axes summed over; ``strategy`` (see ``catlearn.maps.sums.choose``) overrules the
    planner; the first ``lead`` axes are shared by both wires, and every position on them gets the same map.
    """

    key = "equivariant"
    out: Wire
    bias: bool = True
    normalise: str = "sum"
    strategy: str | None = None
    lead: int = 0

    def infer(self, dom: Space) -> Space:
        (wire,) = floats(self, dom, 1)
        for what, known in (("normalise", ("sum", "mean")), ("strategy", (None, *choose.STRATEGIES))):
            if getattr(self, what) not in known:
                raise errors.BadSymmetry(f"equivariant({what}={getattr(self, what)!r})", [f"needed  one of {known}"])
        number = isinstance(self.lead, int) and not isinstance(self.lead, bool) and 0 <= self.lead <= len(wire.axes)
        if not number or wire.axes[: self.lead] != self.out.axes[: self.lead]:
            raise errors.BadSymmetry(f"equivariant(lead={self.lead!r}) needs the same first axes on both sides",
                                     [f"from {dom}", f"to   {Space((self.out,))}"], "lead counts axes that are carried along")  # fmt: skip
        if not self.found(wire).elements:
            raise nothing(self, dom)
        return Space((self.out,))

    def own(self, wire: Wire) -> Wire:
        """The axes of a wire that diagrams act on, and its channels."""
        return replace(wire, axes=wire.axes[self.lead :])

    def found(self, dom: Wire) -> Family:
        """The diagrams between the wires."""
        return basis(self.own(dom), self.own(self.out))

    @property
    def shifts(self) -> tuple[Element, ...]:
        """The diagrams of the bias: the invariants of the output."""
        return basis(Wire(()), self.own(self.out)).elements if self.bias else ()

    @property
    def param_names(self) -> tuple[str, ...]:
        return ("weight", "bias") if self.shifts else ("weight",)

    def parameters(self, dom: Space) -> dict[str, Param]:
        inner, outer = Axis(channels(self.own(dom[0]))), Axis(channels(self.own(self.out)))
        weight = Wire((Axis(len(self.found(dom[0]).elements)), outer, inner), role="parameter")
        params = {"weight": Param(Space((weight,)), Init("normals", self.spreads(dom[0])))}
        if self.shifts:
            params["bias"] = Param(Space((Wire((Axis(len(self.shifts)), outer), role="parameter"),)), Init("constant", (0.0,)))
        return params

    def shares(self, dom: Wire) -> list[int]:
        """How much each diagram adds to the variance at the start, up to one factor: the square of its rank."""
        found = self.found(dom)
        return [rank(element, found.order_out, found.sizes) ** 2 for element in found.elements]

    def spreads(self, dom: Wire) -> tuple[float, ...]:
        """The standard deviation that each diagram's weights start with.

        With independent weights, diagram d adds Σ_o Σ_i (s_d D_d[o, i])² c_in σ_d² to the sum of the variances over the outputs o, so
        σ_d² = p_d · (number of o) / (c_in · s_d² |D_d|²) gives it the share p_d of a mean variance of 1.
        """
        found, shares = self.found(dom), self.shares(dom)
        one = math.prod(found.outs) / (max(least(channels(self.own(dom))), 1) * sum(shares))
        parts = zip(found.elements, self.factors(found, found.sizes), shares, strict=True)
        return tuple(math.sqrt(one * share / (square(d, found.sizes) * s * s)) for d, s, share in parts)

    def factors(self, found: Family, sizes: Sequence[int]) -> list[Fraction]:
        """s_d for every diagram."""
        if self.normalise == "sum":
            return [Fraction(1)] * len(found.elements)
        return [Fraction(1, math.prod(sizes[p] for p in summed(d, found.order_out))) for d in found.elements]

    def sizes(self, dom: Wire) -> tuple[Size, ...]:
        """The sizes of the axes of groups, those of the output first; symbols may be among them."""
        return turned(self.own(self.out)) + turned(self.own(dom))

    # -- torch -----------------------------------------------------------------------------------------------------

    def torch(self, e: Any, *args: str) -> str:
        return f"{e.object('equivariant', layer(self, e.dom[0]))}({self.call(e, args)})"

    def torch_saving(self, e: Any, *args: str) -> str:
        return f"equivariant_saving({e.object('equivariant', layer(self, e.dom[0]))}, {self.call(e, args)})"

    def call(self, e: Any, args: tuple[str, ...]) -> str:
        """x, weight, bias, and the sizes as the text reads them where some are symbolic."""
        given, sizes = [*args, *["None"] * (3 - len(args))], self.sizes(e.dom[0])
        if any(not isinstance(n, int) for n in sizes):
            given.append(f"({', '.join(map(e.size, sizes))},)")
        return ", ".join(given)

    def saved(self, dom: Space) -> dict[str, Wire]:
        """What autograd keeps of the kernel: the input and what stands at the waist."""
        return {"kept": dom[0]}

    @property
    def fused(self) -> tuple[Fused, ...]:  # type: ignore[override]
        gives = " ".join(("x0", *self.param_names))
        return (Fused(f"dy0 {gives} kept", gives, "{kept}.back({dy0}, {mask})"),)

    # -- other meanings --------------------------------------------------------------------------------------------

    def definition(self, o: Any, x: Any, weight: Any, *bias: Any) -> Any:
        dom, out = self.own(o.wire(x)), self.own(self.out)
        lead = ascii_uppercase[: self.lead]
        outs, ins = (letters[: len(turned(wire))] for letters, wire in ((ascii_lowercase[:13], out), (ascii_lowercase[13:], dom)))
        matrix = o.einsum(f"Z{outs}{ins},ZYX->{outs}Y{ins}X", self.dense(o, dom, out), weight)
        x = o.reshape(x, (*o.shape(x)[: self.lead], *turned(dom), channels(dom)))
        y = o.einsum(f"{lead}{ins}X,{outs}Y{ins}X->{lead}{outs}Y", x, matrix)
        if bias:
            shift = o.einsum(f"Z{outs},ZY->{outs}Y", self.dense(o, Wire(()), out), bias[0])
            if lead:
                ones = o.full(Wire(self.out.axes[: self.lead], role="parameter"), 1.0)
                shift = o.einsum(f"{lead},{outs}Y->{lead}{outs}Y", ones, shift)
            y = o.add(y, shift)
        return o.reshape(y, self.out.shape)

    def dense(self, o: Any, dom: Wire, out: Wire) -> Any:
        """The basis of Hom(dom, out) as one constant: diagrams by outputs by inputs."""
        found = basis(dom, out)
        if any(not isinstance(n, int) for n in turned(out) + turned(dom)):
            raise errors.NoRule("definition", str(self), "give the symbolic sizes numbers first, e.g. compile(f, sizes={...})")
        shape = (len(found.elements), *found.sizes)
        if math.prod(shape) > LARGEST:
            raise errors.NoRule("definition", str(self), f"its dense basis would hold {math.prod(shape):,} numbers; take smaller sizes")
        values = np.zeros((shape[0], math.prod(found.outs), math.prod(found.ins)), object)
        to, at, owner, entry = coordinates(found)[:4]
        np.add.at(values, (owner, to, at), entry.astype(object))
        if self.normalise == "mean":
            values *= np.array(self.factors(found, found.sizes), object)[:, None, None]
        axes = [axis for wire in (out, dom) for axis in wire.axes if axis.group is not None]
        return o.apply(Constant(Wire((Axis(shape[0]), *axes), role="parameter"), tuple(values.reshape(-1).tolist())))

    def flops(self, dom: Space, cod: Space) -> Any:
        """Channels mixed at the waist of every diagram, every input read and every output written once."""
        found, sizes = self.found(dom[0]), self.sizes(dom[0])
        mixed = 2 * product(dom[0].shape[: self.lead]) * channels(self.own(dom[0])) * channels(self.own(self.out))
        total: Any = dom[0].size + cod[0].size
        for element in found.elements:
            total = total + mixed * product(tuple(sizes[p] for p in crossing(element, found.order_out)))
        return total

    def told(self, dom: Space) -> str:
        return sentence([p.group for p in parts(self.own(dom[0]), self.own(self.out))], len(self.found(dom[0]).elements), len(self.shifts))

    def __str__(self) -> str:
        usual = {"bias": True, "normalise": "sum", "strategy": None, "lead": 0}
        more = "".join(f", {k}={getattr(self, k)!r}" for k, v in usual.items() if getattr(self, k) != v)
        return f"equivariant({Space((self.out,))}{more})"


class Layer:
    """The running form of the box on a wire: ``layer(x, weight, bias, sizes)``; sizes only where some are symbolic."""

    def __init__(self, op: Equivariant, dom: Wire) -> None:
        self.op, self.dom, self.own, self.found = op, dom, op.own(dom), op.found(dom)
        self.made: dict[tuple[int, ...], tuple[Family, Held | None]] = {}
        self.known = None if any(dims(n) for n in op.sizes(dom)) else self.sized(self.found.sizes)
        ins, outs = ([axis.size for axis in wire.axes if axis.group is None] for wire in (self.own, op.own(op.out)))
        self.plain = len(ins) == 1  # exactly one axis of channels, as kernels want it
        self.ends = None if len(outs) == 1 else tuple(n if isinstance(n, int) else -1 for n in outs)

    @compiled_constant  # a compiler makes one program for each size
    def prepare(self, sizes: tuple[int, ...]) -> bool:
        """Make the family at these sizes, and the factors of its diagrams unless all are 1, if they are new."""
        if sizes in self.made:
            return True
        small = [f"{n} for {size}" for n, size in zip(sizes, self.op.sizes(self.dom), strict=True) if n < least(size)]
        if small:
            raise errors.BadSymmetry(f"{self.op} was given {small[0]}", ["the diagrams are dependent there, so the basis is another one"],
                                     "give such inputs to a layer of that size")  # fmt: skip
        outputs, factors = self.found.order_out, self.op.factors(self.found, sizes)
        family = Family(sizes[outputs:], sizes[:outputs], self.found.elements, self.op.shifts)
        held = Held(pytorch.tensor([float(factor) for factor in factors], dtype=pytorch.float64).reshape(-1, 1, 1))
        self.made[sizes] = family, held if any(factor != 1 for factor in factors) else None
        return True

    def sized(self, sizes: tuple[int, ...]) -> tuple[Family, Held | None]:
        """What was made for these sizes."""
        self.prepare(sizes)
        return self.made[sizes]

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor | None = None, sizes: tuple[int, ...] = ()) -> Tensor:
        family, factors = self.known if self.known is not None else self.sized(tuple(map(index, sizes)))
        if factors is not None:
            weight = weight * factors(weight.dtype, weight.device)
        batch = x.shape[: x.dim() - len(self.own.axes)]
        if not self.plain:
            x = x.reshape(*batch, *family.ins, weight.shape[2])
        y = choose.apply(family, x, weight, bias, self.op.strategy)
        return y if self.ends is None else y.reshape(*batch, *family.outs, *self.ends)


@lru_cache(maxsize=512)
def layer(op: Equivariant, dom: Wire) -> Layer:
    """One ``Layer`` for each box and wire."""
    return Layer(op, dom)
