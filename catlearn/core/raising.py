"""Raising: graph → term, the inverse of lowering up to the laws.

Every parameter becomes a point at the start, every node an explicit box; between two boxes stands one wiring that brings the
arguments forward, copies what is still needed and discards what is not.

Parameters, states and effects keep the names they have, and these are closed now: a raised term cannot tell where an open name stood.

Law: ``same(raise_graph(f.graph), f)`` if f has no open names; the parameters' names are those of f always.
"""

from __future__ import annotations

from dataclasses import replace

from catlearn.core.combinators import id, par, seq
from catlearn.core.graph import Graph, Node, Origin
from catlearn.core.points import Explicit, point
from catlearn.core.spaces import Space
from catlearn.core.term import Box, Term, Wiring


def raise_graph(graph: Graph) -> Term:
    """A term with this graph (flat: scopes are not rebuilt). A box with an effect keeps its full name, which is its key."""
    nodes = graph.nodes
    last_use: dict[int, int] = {}
    for i, node in enumerate(nodes):
        last_use.update(dict.fromkeys(_without_state(node, node.args), i))
    last_use.update(dict.fromkeys(graph.outputs, len(nodes)))

    closed = {*graph.params, *(node.name for node in nodes if node.op.effect != "pure")}
    points = [point(name, param) for name, param in graph.params.items()]
    live = [*(graph.param_wires[name] for name in graph.params), *graph.inputs]
    steps: list[Term] = [par(*points, id(graph.space(graph.inputs)))]
    for i, node in enumerate(nodes):
        args, outs = _without_state(node, node.args), _without_state(node, node.outs)
        position = {wire: k for k, wire in enumerate(live)}
        kept = [wire for wire in dict.fromkeys(live) if last_use.get(wire, -1) > i]
        steps.append(_wiring(graph.space(live), [position[w] for w in (*args, *kept)]))
        name = _name(node, closed, i)
        box = Box(Explicit(node.op, graph.space(outs), node.data), graph.space(args), name)
        steps.append(box @ id(graph.space(kept)) if kept else box)
        live = [*outs, *kept]
    position = {wire: k for k, wire in enumerate(live)}
    steps.append(_wiring(graph.space(live), [position[w] for w in graph.outputs]))
    steps = [step for step in steps if not (isinstance(step, Wiring) and step.targets is None)]
    term = seq(*steps) if steps else id(graph.space(graph.inputs))
    written = {name: graph.origins.get(name, Origin(None, (), ()))._replace(box=None) for name in (*graph.params, *graph.origins)}
    graph = replace(graph, origins=written, open=set())  # the boxes of this term own no parameters
    object.__setattr__(term, "graph", graph)  # what lowering it again would give, up to numbering
    return term


def _name(node: Node, closed: set[str], i: int) -> str | None:
    """The name of a box: its own if it has an effect, otherwise an open one, or one that no closed name can be."""
    if node.op.effect != "pure":
        return node.name
    base = node.op.name
    return f"{base}#raised{i}" if any(name == base or name.startswith(f"{base}_") for name in closed) else None


def _without_state(node: Node, wires: tuple[int, ...]) -> tuple[int, ...]:
    """The arguments or outputs of a node that are not its state, which an explicit box finds by its name."""
    return wires[: len(wires) - len(node.op.state_names)]


def _wiring(dom: Space, targets: list[int]) -> Term:
    return id(dom) if targets == list(range(len(dom))) else Wiring(dom, tuple(targets))
