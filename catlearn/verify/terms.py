"""A term as the program that proofs speak of: its boxes as aten nodes, except for those that are equivariant by construction.

A box of ``cl.equivariant`` becomes one node ``catlearn.equivariant.default``, whose arguments say which group stands on which axis; its
row in ``rules.layers`` types it from these, with the coefficients as any plain tensor. So the proof does not depend on how the box is
computed, and no cell on coefficients can break it. Every other box is what its own torch rule does, traced: one vocabulary for terms and
modules, and nothing assumed. All parameters are plain; a state is a buffer of any value.

Law: the program is that of the compiled term, box by box, for all sizes that are symbols. **This file is trusted**, as are ``program`` and
``marking``.

>>> import catlearn as cl
>>> n = cl.dim("n", min=4)
>>> found = term_program(cl.equivariant(cl.S(n).space(2, 3), cl.S(n).space(1, 4)) >> cl.relu)
>>> [node.op for node in found.program.nodes]
['catlearn.equivariant.default', 'aten.relu.default']
>>> found.program.nodes[0].args["dom"], found.program.nodes[0].args["cod"], found.program.dims
(['S(n)', 'S(n)'], ['S(n)'], {'n': (4, None)})
>>> [(given.role, given.name) for given in found.program.inputs]
[('parameter', 'equivariant.weight'), ('parameter', 'equivariant.bias'), ('data', '')]
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram

from catlearn import errors
from catlearn.core.graph import Graph, Node
from catlearn.core.sizes import Poly, Size
from catlearn.core.source import Source
from catlearn.core.spaces import Axis, Wire
from catlearn.core.term import Term
from catlearn.interop.trace import trace
from catlearn.meanings import runtime
from catlearn.meanings.build import runnable
from catlearn.meanings.emit import Emitter, defined, full_batch
from catlearn.meanings.initialise import fresh
from catlearn.verify import claims
from catlearn.verify.marking import DTYPES, Closed, mapped, sealed
from catlearn.verify.program import Exported, exported
from catlearn.verify.types import Refused

_serial = count()


def term_program(term: Term, batch: Sequence[Size] = ()) -> Exported:
    """The program of a term, and the line of the user's source for each node.

    The data inputs are the term's wires, with the ``batch`` axes in front; parameters go by their names in the term. Training mode is
    that in which ``cl.compile`` starts the term. A box that cannot be traced becomes a node ``catlearn.opaque.default``, which has no row.

    Raises ``SizeUnknown`` for a symbol that no input has as an axis, ``CannotTrace`` for a box with a state that cannot be traced,
    ``NoRule`` for one without a meaning in torch.
    """
    batch = tuple(batch)
    graph = sealed(runnable(term.graph))
    try:
        return _read(graph, term.training, batch)
    except errors.CannotTrace:
        closed = _closed(graph, term.training)
        if closed is graph:
            raise
        return _read(closed, term.training, batch)


def _closed(graph: Graph, training: bool) -> Graph:
    """The graph with the boxes that cannot be traced by themselves closed; the graph itself if there is none."""
    known: dict[Any, bool] = {}
    for node in graph.root.nodes():
        key = _key(graph, node)
        if key not in known:
            known[key] = not node.op.state_names and not _traces(graph, node, training)
    return mapped(graph, lambda node: Closed(node.op) if known[_key(graph, node)] else node.op) if any(known.values()) else graph


def _key(graph: Graph, node: Node) -> Any:
    return node.op.identity, tuple(graph.wires[a] for a in node.args)


def _traces(graph: Graph, node: Node, training: bool) -> bool:
    """Whether a box can be traced by itself; what goes into it and the symbols of its sizes are inputs."""
    wires = [graph.wires[a] for a in node.args]
    try:
        small = Graph()
        symbols = sorted({d for wire in (*wires, *graph.space(node.outs)) for d in wire.dims})
        given = tuple(small.wire(wire) for wire in wires)
        sized = tuple(small.wire(Wire((Axis(Poly(((((d, 1),), 1),))),), role="parameter")) for d in symbols)
        small.inputs = small.root.dom = (*given, *sized)
        small.outputs = small.root.cod = small.add(node.op, given, graph.space(node.outs), "box", node.data)
        _read(small, training, ())
    except (errors.CannotTrace, errors.BadInput):
        return False
    return True


# -- tracing -----------------------------------------------------------------------------------------------------------


class _Holder(nn.Module):
    """Parameters and state by number, and the function that the graph is."""

    def __init__(self, run: Callable[..., Any], graph: Graph, training: bool) -> None:
        super().__init__()
        self.names, self.run = list(graph.params), run
        self.weights = nn.ParameterList()
        for param in graph.params.values():
            value = torch.zeros([_known(n) for n in param.wire.shape], dtype=DTYPES[param.wire.kind])
            self.weights.append(nn.Parameter(value, requires_grad=param.wire.kind == "float"))
        self.states = list(graph.states)
        for k, value in enumerate(fresh(graph.states, 0, {}, None).values()):
            self.register_buffer(f"state_{k}", value)
        self.train(training)

    def forward(self, *inputs: Any) -> Any:
        params = {name: self.weights[k] for k, name in enumerate(self.names)}
        return self.run(params, {name: getattr(self, f"state_{k}") for k, name in enumerate(self.states)}, *inputs)


def _known(n: Size) -> int:
    if not isinstance(n, int):
        raise errors.SizeUnknown(str(n), "term_program")
    return n


def _read(graph: Graph, training: bool, batch: tuple[Size, ...]) -> Exported:
    """The program of a graph."""
    dom = graph.space(graph.inputs)
    run, lines, file = _function(graph, training)
    sizes = claims.example_sizes(dom, batch)
    inputs = [claims.example(wire, batch if wire.batched else (), sizes, i) for i, wire in enumerate(dom)]
    holder = _Holder(run, graph, training)
    with _written_order():
        ep = trace(holder, inputs, dynamic=claims.dynamic(dom, batch))
    _tell(ep, file, lines)
    try:
        found = exported(ep, [claims.type_of(wire, batch).shape for wire in dom])
    except Refused as refused:
        raise errors.CannotTrace(f"the term's sizes are not those that its boxes make: {refused}") from refused
    names = {f"weights.{k}": name for k, name in enumerate(holder.names)}
    names.update({f"state_{k}": name for k, name in enumerate(holder.states)})
    return _named(found, names, set(holder.states))


@contextlib.contextmanager
def _written_order() -> Iterator[None]:
    """Products of several tensors in the order in which they are written: looking for a better one would compare symbols."""
    settings = torch.backends.opt_einsum
    before, settings.enabled = settings.enabled, False
    try:
        yield
    finally:
        settings.enabled = before


def _named(found: Exported, names: Mapping[str, str], states: set[str]) -> Exported:
    """The program with the term's names; what a state holds is not looked at, since it changes."""
    program = found.program
    inputs = tuple(replace(given, name=names.get(given.name, given.name) if given.role != "data" else "") for given in program.inputs)
    changing = {given.wire for given in inputs if given.role == "buffer" and given.name in states}
    wires = tuple(replace(value, entries=None) if k in changing else value for k, value in enumerate(program.wires))
    return Exported(replace(program, inputs=inputs, wires=wires), found.sources)


def _function(graph: Graph, training: bool) -> tuple[Callable[..., Any], dict[int, Source | None], str]:
    """The function of (parameters, state, *inputs) that a graph is, and which of its lines is whose: torch notes frames called forward."""
    held = {wire: f"p[{name!r}]" for name, wire in graph.param_wires.items()}
    held.update({old: f"s[{name!r}]" for name, (old, _) in graph.state_wires.items()})
    nodes = graph.nodes
    e = Emitter(graph, held.get, training=repr(training))
    names = e.begin(graph.inputs, (), (a for node in nodes for a in node.args), graph.outputs)
    e.bind_dims(graph.inputs)
    lines: dict[int, Source | None] = {}
    for node in nodes:
        before = len(e.lines)
        e.run(node)
        lines.update((k + 2, node.source) for k in range(before, len(e.lines)))  # the text starts with its def in line 1
    outs = full_batch(e, graph.inputs, graph.outputs, [e.use(wire) for wire in graph.outputs], names)
    body = [*e.lines, f"return ({''.join(out + ', ' for out in outs)})"]
    code = "\n".join([f"def forward({', '.join(['p', 's', *names])}):", *("    " + line for line in body)])
    file = f"<catlearn program {next(_serial)}>"
    return defined(code, file, {**runtime.NAMESPACE, **e.objects}, "forward"), lines, file


def _tell(ep: ExportedProgram, file: str, lines: Mapping[int, Source | None]) -> None:
    """Every node says the line of the box that it comes from instead of a line of generated text."""
    mark = f'File "{file}", line '
    for node in ep.graph.nodes:
        text = node.meta.get("stack_trace") or ""
        at = text.rfind(mark)
        if at < 0:
            continue
        number = int(text[at + len(mark) :].split(",")[0].split("\n")[0])
        source = lines.get(number)
        node.meta["stack_trace"] = f'File "{source.file}", line {source.line}' if source is not None else ""


__all__ = ["term_program"]
