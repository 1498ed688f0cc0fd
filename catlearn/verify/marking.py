"""Boxes that stand in a program as one node: those of ``cl.equivariant``, sums of diagrams, and those that cannot be traced.

The nodes are calls of two operators that exist for this only and are never run: ``catlearn.equivariant``, with the groups on the axes as
data (its row is in ``rules.layers``), and ``catlearn.opaque``, which has no row. **This file is trusted**, as ``program`` is.

>>> import catlearn as cl
>>> from catlearn.layers.geometric import _centred
>>> centred = _centred(cl.space(cl.S(4), cl.O(3)))
>>> [node.op.drift for node in sealed(centred.graph).nodes if isinstance(node.op, Marked)]
['0']
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from catlearn.boxes.constant import Constant
from catlearn.boxes.equivariant import Equivariant
from catlearn.boxes.mapped import Mapped
from catlearn.core.graph import Graph, Node, Region
from catlearn.core.op import Op
from catlearn.core.spaces import Space, Wire
from catlearn.maps.combine import Many, Scaled
from catlearn.maps.drawn import Diagram
from catlearn.symmetry.elements import LINEAR

DTYPES = {"float": None, "index": torch.int64, "bool": torch.bool}
_UNSIGNED = {"A": "S", "SO": "O"}


@torch.library.custom_op(
    "catlearn::equivariant",
    mutates_args=(),
    schema="(Tensor x, Tensor? weight, Tensor? bias, str[] dom, str[] cod, int lead, SymInt[] shape, int rank, str drift) -> Tensor",
)
def _equivariant(x: Any, weight: Any, bias: Any, dom: Any, cod: Any, lead: int, shape: Any, rank: int, drift: str) -> Any:
    raise NotImplementedError("this node stands for cl.equivariant in a proof, and is never run")


@_equivariant.register_fake
def _(x: Any, weight: Any, bias: Any, dom: Any, cod: Any, lead: int, shape: Any, rank: int, drift: str) -> Any:
    return x.new_empty((*x.shape[: x.dim() - rank], *shape))


@torch.library.custom_op(
    "catlearn::opaque",
    mutates_args=(),
    schema="(Tensor[] xs, str box, SymInt[] sizes, int[] ranks, str[] kinds, int lead, int order) -> Tensor[]",
)
def _opaque(xs: Any, box: str, sizes: Any, ranks: Any, kinds: Any, lead: int, order: int) -> Any:
    raise NotImplementedError("this node stands for a box that cannot be traced, and is never run")


@_opaque.register_fake
def _(xs: Any, box: str, sizes: Any, ranks: Any, kinds: Any, lead: int, order: int) -> Any:
    front, rest = xs[lead].shape[: xs[lead].dim() - order] if lead >= 0 else (), iter(sizes)
    made = []
    for rank, kind in zip(ranks, kinds, strict=True):
        shape = (*front, *(next(rest) for _ in range(rank)))
        made.append(torch.empty(shape, dtype=DTYPES[kind] or torch.get_default_dtype(), device=xs[0].device if xs else None))
    return made


@dataclass(frozen=True)
class Marked(Op):
    """An equivariant box that is written as one node, with the groups on its axes as data."""

    of: Equivariant
    dom: Wire
    drift: str  # what a translation of the input is multiplied by, where the coefficients are numbers of the term

    @property
    def signs(self) -> bool:
        """Whether a diagram takes a sign or a determinant; without, all commute with the larger group too."""
        return any(d.coupons for d in (*self.of.found(self.dom).elements, *self.of.shifts))

    @property
    def param_names(self) -> tuple[str, ...]:
        return self.of.param_names

    def infer(self, dom: Space) -> Space:
        return self.of.infer(dom)

    def torch(self, e: Any, x: str, weight: str, bias: str = "None") -> str:
        dom, cod = (_labels(self.of.own(wire), self.signs) for wire in (self.dom, self.of.out))
        shape = "".join(f"{e.size(n)}, " for n in self.of.out.shape)
        more = f"{dom}, {cod}, {self.of.lead}, ({shape}), {len(self.dom.axes)}, {self.drift!r}"
        return f"{e.object('marked', _equivariant)}({x}, {weight}, {bias}, {more})"


@dataclass(frozen=True)
class Drawn(Op):
    """A sum of diagrams without parameters, ``cl.linear(map)``, that is written as one node."""

    of: Mapped
    kind: str
    n: int

    def infer(self, dom: Space) -> Space:
        return self.of.infer(dom)

    def torch(self, e: Any, x: str) -> str:
        dom, cod = ([f"{self.kind}({self.n})"] * len(shape) for shape in (self.of.map.dom, self.of.map.cod))
        return f"{e.object('marked', _equivariant)}({x}, None, None, {dom}, {cod}, 0, {self.of.map.cod}, {len(dom)}, '')"


def drawn(op: Mapped) -> Op:
    """The box as one node if it is made of diagrams of one size, all of which commute with one group; else as it is."""
    leaves, stack = [], [op.map]
    while stack:
        top = stack.pop()
        if isinstance(top, Many):
            stack += top.maps
        elif isinstance(top, Scaled):
            stack.append(top.of)
        elif isinstance(top, Diagram):
            leaves.append(top)
        else:
            return op
    kinds = [kind for kind in _COMMUTES if all(_COMMUTES[kind](d) for d in leaves)]
    return Drawn(op, kinds[0], leaves[0].n) if kinds and len({d.n for d in leaves}) == 1 else op


def _pairs(d: Diagram) -> bool:
    return not d.arcs and all(len(block) == 2 for block in d.deltas)


def _crosses(d: Diagram, block: Sequence[int]) -> bool:
    return min(block) < d.l <= max(block)


_COMMUTES: dict[str, Callable[[Diagram], bool]] = {  # the largest groups first; permutation matrices are orthogonal
    "O": lambda d: _pairs(d) and not d.coupons,
    "Sp": lambda d: not d.coupons and all(len(b) == 2 and _crosses(d, b) for b in d.deltas) and not any(_crosses(d, arc) for arc in d.arcs),
    "S": lambda d: not d.arcs and not d.coupons,
    "SO": lambda d: _pairs(d) and all(len(legs) == d.n and all(len(leg) == 1 for leg in legs) for legs in d.coupons),
    "A": lambda d: not d.arcs,
}


@dataclass(frozen=True)
class Closed(Op):
    """A box that cannot be traced, written as one node without a row."""

    of: Op
    keeps_tuple = True

    @property
    def param_names(self) -> tuple[str, ...]:
        return self.of.param_names

    def infer(self, dom: Space) -> Space:
        return self.of.infer(dom)

    def torch(self, e: Any, *args: str) -> str:
        wires = [e.graph.wires[a] for a in e.node.args]
        lead = next((i for i in range(len(args)) if e.is_batched(i)), -1)
        sizes = "".join(f"{e.size(n)}, " for wire in e.cod for n in wire.shape)
        ranks, kinds = [len(wire.axes) for wire in e.cod], [wire.kind for wire in e.cod]
        order = len(wires[lead].axes) if lead >= 0 else 0
        return f"{e.object('opaque', _opaque)}([{', '.join(args)}], {self.of.name!r}, ({sizes}), {ranks}, {kinds}, {lead}, {order})"


def _labels(wire: Wire, signs: bool) -> list[str]:
    """The groups on the axes in front of the channels."""
    groups = [axis.group for axis in wire.axes if axis.group is not None]
    return [repr(g if signs else replace(g, kind=_UNSIGNED.get(g.kind, g.kind))) for g in groups]


def sealed(graph: Graph) -> Graph:
    """The graph with the boxes that are equivariant by construction marked; scopes are forgotten."""
    written = {node.outs[0]: node.op for node in graph.root.nodes() if isinstance(node.op, Constant)}

    def mark(node: Node) -> Op:
        if not isinstance(node.op, Equivariant):
            return drawn(node.op) if isinstance(node.op, Mapped) else node.op
        dom, weight = graph.wires[node.args[0]], written.get(node.args[1])
        return Marked(node.op, dom, "" if weight is None else _drift(node.op, dom, weight))

    return mapped(graph, mark)


def _drift(op: Equivariant, dom: Wire, weight: Constant) -> str:
    """The number a with f(1 ⊗ t) = a (1 ⊗ t), for t along the one axis of a linear group; nothing if there is none.

    A diagram takes 1 ⊗ t to itself if it leads t to the one such axis of the output, and joins no two of the other output axes; where
    it sums over positions it does so only for ``normalise="mean"``.
    """
    family, own = op.found(dom), (op.own(op.out), op.own(dom))
    kinds = [[axis.group.kind for axis in wire.axes if axis.group is not None] for wire in own]
    places = [[i for i, kind in enumerate(row) if kind in LINEAR] for row in kinds]
    if any(len(row) != 1 for row in places):
        return ""
    l, along = family.order_out, (places[0][0], family.order_out + places[1][0])
    numbers = np.array([Fraction(v) for v in weight.values], object).reshape([int(n) for n in weight.wire.shape])  # type: ignore[arg-type]
    total = np.zeros(numbers.shape[1], object)
    for element, w in zip(family.elements, numbers, strict=True):
        outs = [sum(p < l for p in block) for block in element.deltas]
        keeps = element.plain and along in element.deltas and max(outs) <= 1 and (op.normalise == "mean" or min(outs) == 1)
        if not keeps and w.any():
            return ""
        total += w.sum(axis=1)
    return str(total[0]) if len(total) and all(total == total[0]) else ""


def mapped(graph: Graph, to: Callable[[Node], Op]) -> Graph:
    """The same graph with other ops; scopes are forgotten."""
    root = Region((), [replace(node, op=to(node)) for node in graph.root.nodes()], graph.root.dom, graph.root.cod)
    return replace(graph, root=root)


__all__ = ["DTYPES", "Closed", "Drawn", "Marked", "drawn", "mapped", "sealed"]
