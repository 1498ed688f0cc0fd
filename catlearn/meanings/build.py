"""Building graphs through the ``Ops`` vocabulary: definitions become nodes, and an op's definition becomes a term."""

from __future__ import annotations

from typing import Any

from catlearn import errors
from catlearn.boxes.ops import Ops
from catlearn.core.graph import Graph
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

    def wire(self, value: int) -> Wire:
        return self.graph.wires[value]

    def apply(self, op: Op, *args: int) -> Any:
        outs = self.node(op, args)
        return outs[0] if len(outs) == 1 else outs

    def node(self, op: Op, args: tuple[int, ...]) -> tuple[int, ...]:
        data = len(args) - len(op.param_names) - len(op.state_names)
        dom = self.graph.space(args[:data])
        cod = Space((*typecheck(op, dom).wires, *(self.wire(a) for a in args[len(args) - len(op.state_names) :])))
        return self.graph.add(op, args, cod, self.name, data, self.source)


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
