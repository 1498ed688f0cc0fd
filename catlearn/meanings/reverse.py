"""``reverse``: the reverse derivative of a term, again a term.

``reverse(f) : dom(f) @ T(cod f) → T(params by name, trainable only) @ T(dom f)``, with f's own parameters. It runs f once forward,
keeping what the backward kernels need, then walks back, adding cotangents where a wire was copied: RD axioms 1 to 5 (Cockett et al.,
"Reverse derivative categories", CSL 2020) are its clauses. Integer and boolean wires have no cotangent.

With ``fused=False`` only primitives occur, so the result has a meaning wherever they have one: exact rationals, sympy, POLY(Z₂).

>>> import catlearn as cl
>>> print(reverse(cl.linear(cl.R(3), cl.R(2)) >> cl.relu))
composite : R(3) @ R(2) → parameter(R(2)) @ parameter(R(2, 3)) @ R(3)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from catlearn.boxes.backward import Backward, Saving, Vjp, tangents
from catlearn.boxes.constant import Full
from catlearn.boxes.ops import Ops
from catlearn.boxes.reduce import BatchExpand, BatchSum
from catlearn.core.graph import Graph
from catlearn.core.op import Op
from catlearn.core.raising import raise_graph
from catlearn.core.spaces import tangent
from catlearn.core.term import Term
from catlearn.core.tidy import tidy
from catlearn.meanings.build import Builder


def reverse(term: Term, fused: bool = True) -> Term:
    """The reverse derivative as a term. ``fused``: use torch's backward kernels where an op names them."""
    return raise_graph(reverse_graph(term.graph, fused))


def reverse_graph(graph: Graph, fused: bool = True, values: bool = False, inputs: bool = True) -> Graph:
    """The graph of the reverse derivative; ``values`` puts f's outputs first, ``inputs=False`` leaves T(dom f) out."""
    new = Graph(list(graph.wires), params=dict(graph.params), param_wires=dict(graph.param_wires),
                states=dict(graph.states), state_wires={k: (old, old) for k, (old, _) in graph.state_wires.items()})  # fmt: skip
    tape = _Tape(new, fused)
    learned = [name for name in sorted(graph.params) if graph.params[name].trainable]
    sources = [i for i in graph.inputs if graph.wires[i].kind == "float"]
    tape.active = {graph.param_wires[name] for name in learned} | set(sources if inputs else ())
    at = {wire: wire for wire in (*graph.inputs, *graph.param_wires.values(), *(old for old, _ in graph.state_wires.values()))}
    for node in graph.root.nodes():
        tape.name, tape.source = node.name, node.source
        outs = tape.run(node.op, tuple(at[a] for a in node.args))
        at.update(zip(node.outs, outs, strict=True))
    for name, (old, last) in graph.state_wires.items():
        new.state_wires[name] = (old, at[last])

    seeds = [new.wire(wire) for wire in tangent(graph.space(graph.outputs))]
    tape.flat |= {s for s in seeds if new.wires[s].role != "data"}
    grads = tape.back(zip((at[o] for o in graph.outputs if graph.wires[o].kind == "float"), seeds, strict=True))
    outs = [at[o] for o in graph.outputs] if values else []
    for name in learned:
        wire = graph.param_wires[name]
        outs.append(tape.summed(grads[wire]) if wire in grads else tape.apply(Full(graph.wires[wire], 0.0)))
    if inputs:
        outs += [grads[wire] if wire in grads else tape.zero(wire) for wire in sources]
    new.inputs, new.outputs = (*graph.inputs, *seeds), tuple(outs)
    new.root.dom, new.root.cod = new.inputs, new.outputs
    return _mask(tidy(new))


@dataclass
class _Entry:
    op: Op
    args: tuple[int, ...]
    outs: tuple[int, ...]
    saved: dict[str, int]
    name: str
    source: Any


class _Tape(Builder):
    """Runs ops forward, definitions expanded down to ops that can be reversed, and remembers them."""

    def __init__(self, graph: Graph, fused: bool) -> None:
        super().__init__(graph)
        self.fused = fused
        self.active: set[int] = set()
        self.entries: list[_Entry] = []
        self.taping = True
        # wires without batch axes: parameters, and all that is computed from them and from constants alone
        self.flat = {i for i, wire in enumerate(graph.wires) if wire.role != "data"}

    def node(self, op: Op, args: tuple[int, ...]) -> tuple[int, ...]:
        outs = super().node(op, args)
        self.flat.update(o for o in outs if self.wire(o).role != "data" or all(a in self.flat for a in args))
        return outs

    def by_kernel(self, op: Op) -> bool:
        """Whether torch's kernels reverse this op: where they are asked for, and where there is no other rule."""
        return bool(op.fused) and (self.fused or (op.vjp is None and op.definition is None))

    def apply(self, op: Op, *args: int) -> Any:
        outs = self.run(op, args) if self.taping else self.node(op, args)
        return outs[0] if len(outs) == 1 else outs

    def run(self, op: Op, args: tuple[int, ...]) -> tuple[int, ...]:
        active = any(a in self.active for a in args)
        kernel = self.by_kernel(op)
        if active and not kernel and op.vjp is None and op.definition is not None:
            outs = op.definition(self, *args)
            return outs if isinstance(outs, tuple) else (outs,)
        saved: dict[str, int] = {}
        if active and kernel and op.torch_saving is not None:
            data = len(args) - len(op.param_names) - len(op.state_names)
            names = list(op.saved(self.graph.space(args[:data])))
            all_outs = self.node(Saving(op), args)
            count = len(all_outs) - len(names) - len(op.state_names)
            outs = (*all_outs[:count], *all_outs[count + len(names) :])
            saved = dict(zip(names, all_outs[count:], strict=False))
        else:
            outs = self.node(op, args)
        if active:
            self.active |= {o for o in outs[: len(outs) - len(op.state_names)] if self.wire(o).kind == "float"}
            self.entries.append(_Entry(op, args, outs, saved, self.name, self.source))
        return outs

    # -- backward ------------------------------------------------------------------------------------------------

    def back(self, seeds: Any) -> dict[int, int]:
        """Cotangents of all active wires, from (wire, cotangent) pairs at the outputs."""
        self.taping, grads = False, {}
        for wire, seed in seeds:
            self.accumulate(grads, wire, seed)
        for entry in reversed(self.entries):
            outs = [o for o in entry.outs[: len(entry.outs) - len(entry.op.state_names)] if self.wire(o).kind == "float"]
            if not any(o in grads for o in outs):
                continue
            self.name, self.source = f"{entry.name}_reverse", entry.source
            douts = [grads[o] if o in grads else self.zero(o) for o in outs]
            for arg, grad in self.pull(entry, douts):
                if grad is not None and arg in self.active:
                    self.accumulate(grads, arg, grad)
        return grads

    def accumulate(self, grads: dict[int, int], wire: int, grad: int) -> None:
        if wire not in self.active:
            return
        if wire in self.flat and grad not in self.flat:
            grad = self.apply(BatchSum(), grad)
        elif wire not in self.flat and grad in self.flat:
            grad = self.apply(BatchExpand(), grad, wire)
        if self.wire(grad).axes != self.wire(wire).axes:  # a rule may forget which groups stand on the axes
            self.graph.wires[grad] = replace(self.wire(grad), axes=self.wire(wire).axes)
        grads[wire] = self.add(grads[wire], grad) if wire in grads else grad

    def summed(self, grad: int) -> int:
        """The cotangent of a parameter as a parameter, also where constants alone stood beside it and nothing had a batch to sum."""
        return self.apply(BatchSum(), grad) if self.wire(grad).role == "data" else grad

    def zero(self, wire: int) -> int:
        """The zero cotangent of a wire."""
        type = self.wire(wire)
        value = self.apply(Full(replace(type, role="parameter"), 0.0))
        return value if wire in self.flat else self.apply(BatchExpand(), value, wire)

    def pull(self, entry: _Entry, douts: Sequence[int]) -> list[tuple[int, int | None]]:
        """Pairs (argument, its cotangent) for one entry of the tape."""
        op, count = entry.op, len(entry.args) - len(entry.op.state_names)
        args = entry.args[:count]
        if self.by_kernel(op):
            return self.kernels(entry, args, douts)
        if op.vjp is not None:
            outs = entry.outs[: len(entry.outs) - len(op.state_names)]
            return list(zip(args, op.vjp(self, args, outs, douts), strict=True))
        data = count - len(op.param_names)
        where = [i for i in tangents(tuple(self.wire(a) for a in args)) if args[i] in self.active]
        cod = self.graph.space([args[i] for i in where])
        grads = self.node(Vjp(op, len(entry.args), data, cod, tuple(where)), (*entry.args, *douts))
        return [(args[i], grad) for i, grad in zip(where, grads, strict=True)]

    def kernels(self, entry: _Entry, args: tuple[int, ...], douts: Sequence[int]) -> list[tuple[int, int | None]]:
        op, data = entry.op, len(args) - len(entry.op.param_names)
        names = {f"x{i}": a for i, a in enumerate(args[:data])}
        params = dict(zip(op.param_names, args[data:], strict=True))
        state = dict(zip(op.state_names, entry.args[len(args) :], strict=True))
        values = {**names, **params, **state, **entry.saved, **{f"y{i}": o for i, o in enumerate(entry.outs)},
                  **{f"dy{i}": d for i, d in enumerate(douts)}}  # fmt: skip
        found: list[tuple[int, int | None]] = []
        for part, rule in enumerate(op.fused):
            gives = [values[name] for name in rule.gives.split() if name in values]
            if len(gives) != len(rule.gives.split()) or not any(g in self.active for g in gives):
                continue
            kernel = Backward(op, part, self.graph.space(args), self.graph.space(gives), data)
            found += zip(gives, self.node(kernel, tuple(values[name] for name in rule.uses.split())), strict=True)
        return found


def _mask(graph: Graph) -> Graph:
    """Tell kernels with several results which of them are read."""
    read = {a for node in graph.root.nodes() for a in node.args} | set(graph.outputs)
    for node in graph.root.nodes():
        if isinstance(node.op, Backward) and len(node.outs) > 1:
            node.op = replace(node.op, wanted=tuple(o in read for o in node.outs))
    return graph


def vjp(o: Ops[Any], op: Op, args: Sequence[Any], douts: Sequence[Any]) -> Sequence[Any]:
    """The cotangents of an op's arguments by reversing its definition, evaluated over any vocabulary ``o``."""
    graph = Graph()
    graph.inputs = tuple(graph.wire(o.wire(a)) for a in args)
    tape = _Tape(graph, False)
    tape.active = {wire for wire in graph.inputs if graph.wires[wire].kind == "float"}
    assert op.definition is not None
    outs = op.definition(tape, *graph.inputs)
    outs = outs if isinstance(outs, tuple) else (outs,)
    seeds = [graph.wire(o.wire(d)) for d in douts]
    tape.flat |= {s for s in seeds if graph.wires[s].role != "data"}
    grads = tape.back(zip((w for w in outs if graph.wires[w].kind == "float"), seeds, strict=True))
    table: dict[int, Any] = dict(zip((*graph.inputs, *seeds), (*args, *douts), strict=True))
    for node in graph.nodes:
        results = o.apply(node.op, *(table[a] for a in node.args))
        table.update(zip(node.outs, results if isinstance(results, tuple) else (results,), strict=True))
    return [table[grads[wire]] if wire in grads else None for wire in graph.inputs]
