"""Tidying a graph: equal values are computed once, dead ones not at all. Effects are never merged; a dead stateful node stays."""

from __future__ import annotations

from typing import Any

from catlearn.core.graph import Graph, Node, Region


def tidy(graph: Graph) -> Graph:
    """The same graph, flat, without repeated and dead nodes; inputs, outputs and parameters keep their wires."""
    same: dict[int, int] = {}
    table: dict[Any, tuple[int, ...]] = {}
    kept: list[Node] = []
    for node in graph.root.nodes():
        args = tuple(same.get(a, a) for a in node.args)
        key = (node.op.identity, args)
        if node.op.effect == "pure" and key in table:
            same.update(zip(node.outs, table[key], strict=True))
            continue
        if node.op.effect == "pure":
            table[key] = node.outs
        kept.append(Node(node.op, args, node.outs, node.name, node.data, node.source))
    outputs = tuple(same.get(o, o) for o in graph.outputs)
    live = set(outputs) | {new for _, new in graph.state_wires.values()}
    alive: list[Node] = []
    for node in reversed(kept):
        if live.intersection(node.outs) or node.op.effect == "stateful":
            live.update(node.args)
            alive.append(node)
    alive.reverse()
    result = Graph(graph.wires, graph.inputs, outputs, Region((), [*alive], graph.inputs, outputs), graph.params, graph.param_wires,
                   graph.states, graph.state_wires, origins=graph.origins)  # fmt: skip
    return result
