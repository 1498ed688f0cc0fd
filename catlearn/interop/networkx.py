"""networkx: the graph of a term as a ``MultiDiGraph``, for graph algorithms and other tools.

Nodes and their attributes:

* ``("input", i)``, ``("output", i)``: ``kind``, ``index``, ``space``;
* ``("param", name)``: ``kind="param"``, ``name``, ``space``, ``trainable``; ``("state", name)`` and ``("new state", name)`` likewise;
* ``("op", i)`` in running order: ``kind="op"``, ``name``, ``op`` (the ``Op``), ``label`` (its key), ``scope`` (a tuple of names),
  ``data`` (how many of its arguments are data), ``effect``, ``source`` (the user's line, or None).

Edges: one for each argument, from what gives the wire to what reads it: ``wire`` (its number), ``space``, ``role`` (data or
parameter), ``out`` (which result of the source), ``argument`` (which argument of the target).

Law: the in-edges of a node, ordered by ``argument``, are its arguments; so evaluating in topological order is running the term.

>>> import catlearn as cl
>>> graph = to_networkx(cl.linear(cl.R(3), cl.R(2)) >> cl.relu)
>>> sorted(graph.nodes)
[('input', 0), ('op', 0), ('op', 1), ('output', 0), ('param', 'linear.bias'), ('param', 'linear.weight')]
>>> [(u[0], v[0], str(d["space"])) for u, v, d in graph.edges(data=True) if v == ("op", 1)]
[('op', 'op', 'R(2)')]
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from catlearn.core.graph import Graph, Node, Region
from catlearn.core.term import Term

if TYPE_CHECKING:
    import networkx

Key = tuple[str, Any]


def to_networkx(term: Term) -> networkx.MultiDiGraph:
    """The open hypergraph of a term; an output that is an input is an edge from the one to the other."""
    from networkx import MultiDiGraph

    graph, result = term.graph, MultiDiGraph(title=term.title, dom=term.dom, cod=term.cod)
    given: dict[int, tuple[Key, int]] = {}
    for i, wire in enumerate(graph.inputs):
        _add(result, ("input", i), given, wire, kind="input", index=i, space=graph.space((wire,)))
    for name, param in graph.params.items():
        wire = graph.param_wires[name]
        _add(result, ("param", name), given, wire, kind="param", name=name, space=param.space, trainable=param.trainable)
    for name, (old, _) in graph.state_wires.items():
        _add(result, ("state", name), given, old, kind="state", name=name, space=graph.states[name].space, trainable=False)
    for i, (scope, node) in enumerate(_located(graph.root)):
        key = ("op", i)
        result.add_node(key, kind="op", name=node.name, op=node.op, label=node.op.key, scope=scope, data=node.data,
                        effect=node.op.effect, source=node.source)  # fmt: skip
        for k, wire in enumerate(node.args):
            _connect(result, graph, given, wire, key, k)
        given.update({wire: (key, k) for k, wire in enumerate(node.outs)})
    for i, wire in enumerate(graph.outputs):
        result.add_node(("output", i), kind="output", index=i, space=graph.space((wire,)))
        _connect(result, graph, given, wire, ("output", i), 0)
    for name, (_, new) in graph.state_wires.items():
        result.add_node(("new state", name), kind="new state", name=name, space=graph.states[name].space, trainable=False)
        _connect(result, graph, given, new, ("new state", name), 0)
    return result


def _add(result: Any, key: Key, given: dict[int, tuple[Key, int]], wire: int, **attributes: Any) -> None:
    result.add_node(key, **attributes)
    given[wire] = (key, 0)


def _connect(result: Any, graph: Graph, given: dict[int, tuple[Key, int]], wire: int, target: Key, argument: int) -> None:
    source, out = given[wire]
    type = graph.wires[wire]
    result.add_edge(source, target, wire=wire, space=graph.space((wire,)), role=type.role, out=out, argument=argument)


def _located(root: Region) -> Iterator[tuple[tuple[str, ...], Node]]:
    """Every node with the scope that it stands in, in running order."""
    stack = [(root.path, iter(root.items))]
    while stack:
        path, items = stack[-1]
        for item in items:
            if isinstance(item, Region):
                stack.append((item.path, iter(item.items)))
                break
            yield path, item
        else:
            stack.pop()
