"""``plan``: how every equivariant layer of a network will run on so many events, and what its backward pass keeps.

The planner picks for each layer the cheapest of three strategies that give the same numbers (``catlearn.maps.sums.choose``); here its
choices stand in one table. ``strategy=`` of ``cl.equivariant`` overrules it.

Law: ``saved`` is what autograd keeps of a layer beside x and the parameters: features at the waist, or the effective weight.

>>> import catlearn as cl
>>> n = cl.S(cl.dim("n", min=4))
>>> net = cl.equivariant(n.space(2, 4), n.space(2, 16)) >> cl.relu >> cl.equivariant(n.space(2, 16), n.space(2, 2), name="last")
>>> found = plan(net, tokens=8, sizes={"n": 40})
>>> found.layers["last"].strategy, found.saved  # x has 8 · 40² · 16 numbers, its diagonal, sums over rows and columns 8 · 40 · 16 each
('diagrams', 78080)
>>> print(found)
2 equivariant layers, 8 events of torch.float32, with the backward pass
  equivariant: 40×40 -> 40×40, 15 diagrams, 4 -> 16 channels: diagrams
    ...
    saved for backward beside x: 15,616 bytes
  last: 40×40 -> 40×40, 15 diagrams, 16 -> 2 channels: diagrams
    ...
    saved for backward beside x: 62,464 bytes
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from types import MappingProxyType

import torch

from catlearn import errors
from catlearn.boxes.equivariant import Equivariant, channels, layer
from catlearn.core.hooks import meaning
from catlearn.core.points import Explicit
from catlearn.core.sizes import evaluate, product
from catlearn.core.term import Term
from catlearn.maps.sums import choose
from catlearn.maps.sums import plan as strided
from catlearn.maps.sums.dense import layout
from catlearn.maps.sums.family import Family
from catlearn.maps.sums.signed import split


@dataclass(frozen=True)
class Chosen:
    """One layer: the planner's table of costs, and the bytes that its backward pass keeps beside x and the parameters."""

    table: choose.Plan
    saved: int

    @property
    def strategy(self) -> str:
        return self.table.strategy

    def __str__(self) -> str:
        show = lambda sizes: "×".join(map(str, sizes)) or "1"  # noqa: E731
        table, family = self.table, self.table.family
        head = f"{show(family.ins)} -> {show(family.outs)}, {len(family.elements)} diagrams, {table.c_in} -> {table.c_out} channels"
        costs = [f"    {name:8}  {cost}" for name, cost in table.costs]
        return "\n".join([f"{head}: {self.strategy}", *costs, f"    saved for backward beside x: {self.saved:,} bytes"])


@dataclass(frozen=True)
class Plan:
    """The choices for all equivariant layers of a network, by name; ``str`` is a table of predicted costs."""

    tokens: int
    dtype: torch.dtype
    training: bool
    layers: Mapping[str, Chosen] = field(default_factory=dict)

    @property
    def saved(self) -> int:
        """Bytes kept for the backward pass beside the layers' inputs."""
        return sum(one.saved for one in self.layers.values())

    def __str__(self) -> str:
        what = ", with the backward pass" if self.training else ""
        count = f"{len(self.layers)} equivariant layer{'s' * (len(self.layers) != 1)}"
        rows = [f"  {name}: {one}" for name, one in self.layers.items()]
        return "\n".join([f"{count}, {self.tokens:,} events of {self.dtype}{what}", *rows])


def plan(term: Term, tokens: int = 1, sizes: Mapping[str, int] | None = None, dtype: torch.dtype = torch.float32,
         training: bool = True) -> Plan:  # fmt: skip
    """The planner's choice for every equivariant layer of a term, on ``tokens`` events (the product of the batch axes).

    ``sizes`` gives symbolic sizes their values; ``training=False`` plans the forward pass alone. Raises ``BadSymmetry`` for a term without
    equivariant layers, and where a layer does not fit in memory; ``SizeUnknown`` for a symbol without a value. Of a torch module with
    adapters, the plans of these on so many tokens: ``cl.adapters.plan``.
    """
    if isinstance(term, torch.nn.Module):
        return meaning("plan_adapters")(term, tokens)
    if not isinstance(term, Term):
        raise errors.BadSymmetry(f"a {type(term).__name__} has no plan", ["needed: a term of catlearn, or a module with adapters"])
    if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 1:
        raise errors.BadSymmetry(f"plan(tokens={tokens!r})", ["needed  a number of events, from 1 on"])
    graph, found = term.graph, {}
    for node in graph.nodes:
        op = node.op.op if isinstance(node.op, Explicit) else node.op
        if isinstance(op, Equivariant):
            dom, known = graph.wires[node.args[0]], dict(sizes or {})
            at = tuple(evaluate(size, known, f"the plan of {node.name}") for size in op.sizes(dom))
            first, *ends = (evaluate(size, known, f"the plan of {node.name}")
                            for size in (product(dom.shape[: op.lead]), channels(op.own(dom)), channels(op.own(op.out))))  # fmt: skip
            family = layer(op, dom).sized(at)[0]
            table = choose.plan(family, tokens * first, *ends, op.strategy, training, dtype.itemsize)
            found[node.name] = Chosen(table, dtype.itemsize * _saved(table) if training else 0)
    if not found:
        raise errors.BadSymmetry(f"{term} has no equivariant layers to plan", next="cl.cost counts what other boxes take")
    return Plan(tokens, dtype, training, MappingProxyType(found))


def _saved(table: choose.Plan) -> int:
    """Numbers that the backward pass keeps beside x and the parameters."""
    family, ends = table.family, table.c_in * table.c_out
    if table.strategy == "dense":
        return prod(family.sizes) * ends
    if table.strategy == "blocks":
        return _blocks(family) * ends
    parts = [part for part in split(family) if part.numbers]
    alone = len(parts) == 1 and not parts[0].ins and not parts[0].outs
    return sum(_part(part.family, part.rest, bool(part.ins), table) + (0 if alone else len(part.numbers) * ends) for part in parts)


def _part(family: Family, rest: bool, twisted: bool, table: choose.Plan) -> int:
    """A part of a sum: the blocks of elements with coupons; features of the others, and their input where it was twisted."""
    if rest:
        return _blocks(family) * table.c_in * table.c_out
    given = table.tokens * prod(family.ins) * table.c_in if twisted else 0
    return given + strided.extent(family, table.tokens, table.c_in)


def _blocks(family: Family) -> int:
    """Entries of the different blocks of the effective weight; equal blocks are kept once."""
    return sum(group.columns.size for group in layout(family, True).groups)


__all__ = ["Chosen", "Plan", "plan"]
