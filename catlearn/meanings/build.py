"""Building graphs through the ``Ops`` vocabulary: definitions become nodes, and an op's definition becomes a term."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from catlearn import errors
from catlearn.boxes.ops import Ops
from catlearn.core.graph import Graph, Region
from catlearn.core.op import Op, typecheck
from catlearn.core.raising import raise_graph
from catlearn.core.spaces import Space, Wire
from catlearn.core.term import Box, Term


class Builder(Ops[int]):
    """Every ``apply`` adds a node; values are wires. ``name`` prefixes the names of what is added."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.name = ""
        self.source: Any = None
        self.region: Region | None = None

    def wire(self, value: int) -> Wire:
        return self.graph.wires[value]

    def apply(self, op: Op, *args: int) -> Any:
        outs = self.node(op, args)
        return outs[0] if len(outs) == 1 else outs

    def node(self, op: Op, args: tuple[int, ...]) -> tuple[int, ...]:
        data = len(args) - len(op.param_names) - len(op.state_names)
        dom = self.graph.space(args[:data])
        cod = Space((*typecheck(op, dom).wires, *(self.wire(a) for a in args[len(args) - len(op.state_names) :])))
        return self.graph.add(op, args, cod, self.name, data, self.source, self.region)


class _Runnable(Builder):
    """Ops without a torch rule are replaced by their definitions."""

    def node(self, op: Op, args: tuple[int, ...]) -> tuple[int, ...]:
        if op.torch is not None or op.definition is None:
            return super().node(op, args)
        outs = op.definition(self, *args)
        return outs if isinstance(outs, tuple) else (outs,)


def runnable(graph: Graph) -> Graph:
    """The graph with every op that has a definition but no torch rule written out, in the scope where it stands."""
    if all(node.op.torch is not None or node.op.definition is None for node in graph.root.nodes()):
        return graph
    new = replace(graph, wires=list(graph.wires), root=Region((), dom=graph.root.dom))
    builder, at = _Runnable(new), {}
    todo: list[tuple[Region, Region, Iterator[Any]]] = [(graph.root, new.root, iter(graph.root.items))]
    while todo:
        old, region, items = todo[-1]
        item = next(items, None)
        if item is None:
            region.cod = tuple(at.get(wire, wire) for wire in old.cod)
            todo.pop()
        elif isinstance(item, Region):
            inner = replace(item, items=[], dom=tuple(at.get(wire, wire) for wire in item.dom))
            region.items.append(inner)
            todo.append((item, inner, iter(item.items)))
        elif item.op.torch is not None or item.op.definition is None:
            region.items.append(replace(item, args=tuple(at.get(wire, wire) for wire in item.args)))
        else:
            builder.region, builder.name, builder.source = region, item.name, item.source
            at.update(zip(item.outs, builder.node(item.op, tuple(at.get(wire, wire) for wire in item.args)), strict=True))
    new.outputs = new.root.cod = tuple(at.get(wire, wire) for wire in graph.outputs)
    return new


def definition(box: Box) -> Term:
    """The definition of a box as a term whose inputs are the box's wires, then its parameters.

    >>> import catlearn as cl
    >>> print(definition(cl.sigmoid(cl.R(3))))
    composite : R(3) → R(3)
    """
    op = box.op
    if op.definition is None:
        raise errors.NoRule("definition", str(op), source=box.source)
    graph = Graph()
    params = [param.wire for param in op.parameters(box.dom).values()]
    graph.inputs = tuple(graph.wire(wire) for wire in (*box.dom, *params))
    outs = op.definition(Builder(graph), *graph.inputs)
    graph.outputs = outs if isinstance(outs, tuple) else (outs,)
    graph.root.dom, graph.root.cod = graph.inputs, graph.outputs
    return raise_graph(graph)
