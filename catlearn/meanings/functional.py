"""Graph → a flat Python function of (params, state, key, training, *inputs): what lenses and learners run.

The text is the same straight-line code as a module's, with parameters looked up by name in a mapping. With a key, each random box
draws from a generator seeded by (key, its name), so a seed reproduces a run however the network is evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

from catlearn.core.graph import Graph
from catlearn.meanings import runtime
from catlearn.meanings.build import runnable
from catlearn.meanings.checks import check_lines, refuser
from catlearn.meanings.emit import Emitter, defined, full_batch, result

_serial = count()


def function_code(graph: Graph, sizes: Mapping[str, int] | None = None, check: bool = True, objects: dict[str, Any] | None = None) -> str:
    """The text of ``run(p, s, key, training, x0, x1, ...)`` for a graph; it always returns a tuple.

    ``objects`` is filled with what the text refers to beside the runtime's names.
    """
    graph = runnable(graph)
    held = {wire: f"p[{name!r}]" for name, wire in graph.param_wires.items()}
    held.update({old: f"s[{name!r}]" for name, (old, _) in graph.state_wires.items()})
    nodes = graph.nodes
    e = Emitter(graph, held.get, dict(sizes or {}), training="training", keyed=True, objects={} if objects is None else objects)
    names = e.begin(graph.inputs, (), (a for node in nodes for a in node.args), graph.outputs)
    if check:
        check_lines(e, graph.inputs, names)
    e.bind_dims(graph.inputs)
    for node in nodes:
        e.run(node)
    outs = [e.use(wire) for wire in graph.outputs]
    outs = full_batch(e, graph.inputs, graph.outputs, outs, names)
    lines = [*e.lines, f"return {result(outs) if len(outs) != 1 else f'({outs[0]},)'}"]
    return "\n".join([f"def run({', '.join(['p', 's', 'key', 'training', *names])}):", *("    " + line for line in lines)])


def function(
    graph: Graph, sizes: Mapping[str, int] | None = None, check: bool = True, labels: Sequence[str] | None = None
) -> Callable[..., tuple[Any, ...]]:
    """The compiled function; its text is in ``.code``. ``labels`` name the inputs in messages."""
    objects: dict[str, Any] = {}
    code = function_code(graph, sizes, check, objects)
    file = f"<catlearn function {next(_serial)}>"
    space = {**runtime.NAMESPACE, **objects, "refuse": refuser(graph, sizes or {}, labels)}
    run: Any = defined(code, file, space, "run")
    run.code = code
    return run
