"""Graph → a flat Python function of (params, state, key, training, *inputs): what lenses and learners run.

The text is the same straight-line code as a module's, with parameters looked up by name in a mapping. With a key, each random box
draws from a generator seeded by (key, its name), so a seed reproduces a run however the network is evaluated.
"""

from __future__ import annotations

import builtins
import linecache
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

from catlearn.core.graph import Graph
from catlearn.meanings import runtime
from catlearn.meanings.build import runnable
from catlearn.meanings.emit import Emitter, check_lines, result
from catlearn.meanings.module import _full_batch

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
        e.lines += check_lines(graph, graph.inputs, names, e.sizes)
    e.bind_dims(graph.inputs)
    for node in nodes:
        e.run(node)
    outs = [e.use(wire) for wire in graph.outputs]
    outs = _full_batch(e, graph.inputs, graph.outputs, outs, names)
    lines = [*e.lines, f"return {result(outs) if len(outs) != 1 else f'({outs[0]},)'}"]
    return "\n".join([f"def run({', '.join(['p', 's', 'key', 'training', *names])}):", *("    " + line for line in lines)])


def function(graph: Graph, sizes: Mapping[str, int] | None = None, check: bool = True) -> Callable[..., tuple[Any, ...]]:
    """The compiled function; its text is in ``.code``."""
    objects: dict[str, Any] = {}
    code = function_code(graph, sizes, check, objects)
    file = f"<catlearn function {next(_serial)}>"
    linecache.cache[file] = (len(code), None, code.splitlines(True), file)
    space = {**runtime.NAMESPACE, **objects, "refuse": runtime.refuser(graph.space(graph.inputs))}
    exec(builtins.compile(code, file, "exec"), space)
    run = space["run"]
    run.code = code
    return run
