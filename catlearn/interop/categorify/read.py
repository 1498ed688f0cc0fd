"""A traced program as a graph of ops: every call through the table of known ones, everything else as one opaque op.

Beside each node stands where its module was called: the frames of ``nn_module_stack``, from the outermost in.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind

from catlearn import errors
from catlearn.core.graph import Graph, Node
from catlearn.core.op import Op, Param, typecheck
from catlearn.core.spaces import Axis, Space, Wire
from catlearn.interop.categorify import graphs, images, moves, rules, table
from catlearn.interop.categorify.ask import Frame, arranged, axes, draws, flat, frames, kind, line, moved, symbols_in, tensors, tensors_of
from catlearn.interop.categorify.aten import Aten, Place, Sized, given, spoken
from catlearn.interop.categorify.blocks import enter
from catlearn.interop.categorify.boxes import Keep, RunningNorm
from catlearn.interop.categorify.inplace import NeedsFunctions, functional
from catlearn.interop.categorify.layout import apart_from_memory
from catlearn.interop.categorify.modes import Twins, arguments, calls, counted, merged, through
from catlearn.interop.categorify.program import called
from catlearn.interop.categorify.symbols import Symbols, expr
from catlearn.meanings.build import Builder

RULES = {**rules.RULES, **moves.RULES, **images.RULES, **graphs.RULES}


@dataclass
class Reading:
    """What was read: the graph, the place of each node, and the tensors by their true names."""

    graph: Graph
    paths: list[tuple[Frame, ...]]
    values: dict[str, torch.Tensor] = field(default_factory=dict)  # every parameter and persistent buffer
    states: dict[int, str] = field(default_factory=dict)  # nodes that hold a state, by identity → its true name


class Reader(Builder):
    """Walks a program. ``env`` holds the wires of each call, or the number or size that it gives."""

    def __init__(self, program: ExportedProgram, module: nn.Module, twins: Twins | None, specs: Mapping[str, Any]) -> None:
        super().__init__(Graph())
        self.program, self.module, self.twins, self.specs = program, module, twins, specs
        self.symbols, self.owner = Symbols(), program.graph_module
        self.env: dict[fx.Node, Any] = {}
        self.base: dict[fx.Node, fx.Node] = {}  # the result of a change in place → what was changed
        self.reading = Reading(self.graph, [])
        self.buffers: dict[fx.Node, str] = {}
        self.reads: dict[str, int] = {}
        self.frames: tuple[Frame, ...] = ()

    def run(self) -> Reading:
        placeholders = [node for node in self.program.graph.nodes if node.op == "placeholder"]
        self.inputs(dict(zip(placeholders, self.program.graph_signature.input_specs, strict=True)))
        for node in calls(self.program):
            self.call(node)
        owners, written = set(self.reading.states.values()), self.program.graph_signature.buffers_to_mutate.values()
        idle = [name for node, name in counted(self.program).items() if node.users and name not in written]
        if any(name.rpartition(".")[0] not in owners for name in idle):
            raise NeedsFunctions  # batches are counted where no box of ours counts them
        self.outputs()
        return self.reading

    # -- inputs, parameters, buffers -------------------------------------------------------------------------------

    def inputs(self, specs: Mapping[fx.Node, Any]) -> None:
        named = tensors_of(self.module)
        first = {id(tensor): name for name, tensor in reversed(list(named.items()))}
        self.reading.values = {name: tensor for name, tensor in named.items() if first[id(tensor)] == name}
        inputs, changed = [], set(self.program.graph_signature.buffers_to_mutate.values())
        for node, spec in specs.items():
            if spec.kind in (InputKind.PARAMETER, InputKind.BUFFER) and spec.target in named:
                name = first[id(named[spec.target])]
                self.env[node] = ("state" if name in changed else "param", name)
                if spec.kind is InputKind.BUFFER:
                    self.buffers[node] = name
            elif spec.kind in (InputKind.BUFFER, InputKind.CONSTANT_TENSOR):
                held = {**self.program.constants, **self.program.state_dict, **dict(self.module.named_buffers())}[spec.target]
                self.env[node] = ("given", held, spec.kind is InputKind.BUFFER)
            elif isinstance(value := node.meta.get("val"), torch.Tensor):
                self.symbols.learn(value.shape, self.specs.get(node.name))
                wire = self.env[node] = self.graph.wire(self.type(value))
                self.symbols.see(wire, value.shape)
                inputs.append(wire)
                if value.dtype not in (torch.int64, torch.bool) and not value.is_floating_point():
                    raise errors.BadInput(f"categorify: an input of {value.dtype}", next="give it as int64: x.long()")
            else:
                self.env[node] = value if value is not None else getattr(spec.arg, "value", None)
        self.graph.inputs = tuple(inputs)

    def wire_of(self, node: fx.Node) -> Any:
        """The wire of a value (or a tuple of them, or a number); parameters and constants come to be where they are first read."""
        node = self.base.get(through(node), through(node))
        found = self.env[node]
        if not isinstance(found, tuple) or not found or found[0] not in ("param", "given", "state"):
            return found
        if found[0] == "param":
            return self.parameter(found[1])
        if found[0] == "state":
            return self.reads.setdefault(found[1], self.reads.get(found[1]) or self.keep(found[1], ()))
        self.env[node] = self.apply(given(found[1], Wire(axes(found[1].shape), kind(found[1])), found[2]))
        return self.env[node]

    def parameter(self, name: str) -> int:
        if name not in self.graph.param_wires:
            value = self.reading.values[name]
            wire = Wire(axes(value.shape), kind(value), None, "parameter")
            learns = isinstance(value, nn.Parameter) and value.requires_grad
            self.graph.params[name], self.graph.param_wires[name] = Param(Space((wire,)), value.detach(), learns), self.graph.wire(wire)
        return self.graph.param_wires[name]

    def keep(self, name: str, args: tuple[int, ...]) -> Any:
        """A reading of a buffer that the module changes, or (with a value) a writing to it; both stand outside all scopes."""
        value, frames, self.frames = self.reading.values[name], self.frames, ()
        outs = self.node(Keep(Wire(axes(value.shape), kind(value)), value.detach(), bool(args)), args)
        self.reading.states[id(self.graph.root.items[-1])], self.frames = name, frames
        return outs[0] if outs else None

    def type(self, value: Any) -> Wire:
        if not isinstance(value, torch.Tensor):
            return Wire(())
        return Wire(tuple(Axis(self.symbols.size(size)) for size in value.shape), kind(value))

    # -- calls -----------------------------------------------------------------------------------------------------

    def node(self, op: Op, args: tuple[int, ...]) -> tuple[int, ...]:
        """A node without the wires of its state, which lowering adds by name."""
        data = len(args) - len(op.param_names)
        cod = typecheck(op, self.graph.space(args[:data]))
        self.reading.paths.append(self.frames)
        return self.graph.add(op, args, cod, op.name, data, self.source)

    def call(self, node: fx.Node) -> None:
        value = node.meta.get("val")
        if node.op == "get_attr":
            held = getattr(self.owner, str(node.target))
            self.env[node] = ("given", held, False) if isinstance(held, torch.Tensor) else held
        elif node.target is operator.getitem:
            source: Any = self.wire_of(node.args[0])  # type: ignore[arg-type]
            self.env[node] = source[node.args[1]]
        elif not tensors(value):
            self.scalar(node, value)
        else:
            self.frames, self.source = frames(node), line(node)
            self.env[node] = self.computed(node, value)

    def scalar(self, node: fx.Node, value: Any) -> None:
        """A size, or arithmetic on sizes, or a number taken out of a tensor."""
        if isinstance(value, torch.SymInt | torch.SymFloat | torch.SymBool):
            if str(node.target).startswith(("aten.item", "aten._local_scalar_dense")):
                self.symbols.where[expr(value)] = (self.wire_of(node.args[0]), -1, expr(value))  # type: ignore[arg-type]
        self.env[node] = value

    def computed(self, node: fx.Node, value: Any) -> Any:
        if not isinstance(node.target, torch._ops.OpOverload):
            return enter(self, node)
        target, changed = functional(node, self.base)
        expected = [self.type(v) for v in flat(value)]
        target, args = apart_from_memory(self, node, target, [self.value(a) for a in self.merged(node)], expected)
        outs = self.known(node, target, args, expected)
        if outs is None:
            outs = self.opaque(target, args, expected)
        for wire, v in zip(outs, flat(value), strict=True):
            if isinstance(v, torch.Tensor):
                self.symbols.see(wire, v.shape)
        found = outs[0] if isinstance(value, torch.Tensor) else outs
        if changed is not None:
            self.base[node], self.env[changed] = changed, found
        return found

    def merged(self, node: fx.Node) -> list[Any]:
        theirs = arguments((self.twins or {}).get(node, node))
        return [merged(a, b, self.module.training) for a, b in zip(arguments(node), theirs, strict=True)]

    def value(self, a: Any) -> Any:
        """An argument: a wire where it was a tensor, sizes as ours."""
        if isinstance(a, fx.Node):
            found = self.wire_of(a)
            if isinstance(found, torch.SymInt | torch.SymFloat | torch.SymBool):
                return found
            return table.W(found) if isinstance(found, int) and tensors(a.meta.get("val")) else found
        return tuple(self.value(v) for v in a) if isinstance(a, list | tuple) else a

    def known(self, node: fx.Node, target: Any, args: list[Any], expected: list[Wire]) -> tuple[int, ...] | None:
        """The wires that the table's rule for this overload makes, if there is one and it fits; nothing is left of it otherwise."""
        if str(target) == "aten.batch_norm.default" and args[3] is not None:
            if (outs := self.norm(node, args)) is None and args[5] is not False:
                raise NeedsFunctions  # it changes running statistics that are no buffers of its own
            return outs
        rule = RULES.get(str(target))
        if rule is None:
            return None
        before = len(self.graph.root.items), len(self.graph.wires)
        tensor = next((a for a in arguments(node) if isinstance(a, fx.Node)), None)
        self.same_dtype = tensor is not None and getattr(tensor.meta.get("val"), "dtype", 0) == getattr(node.meta["val"], "dtype", 1)
        try:
            found = rule(table.Call(self, expected), *[self.sized(a) for a in args])
        except (errors.CatlearnError, table.Unfit):
            found = None
        outs = found if isinstance(found, tuple) else None if found is None else (found,)
        made = [item for item in self.graph.root.items[before[0] :] if isinstance(item, Node)]
        fits = (
            outs is not None
            and not any(map(self.unbound, made))
            and [(self.wire(o).kind, self.wire(o).shape) for o in outs] == [(w.kind, w.shape) for w in expected]
        )
        if fits:
            return outs
        del self.graph.root.items[before[0] :], self.reading.paths[before[0] :], self.graph.wires[before[1] :]
        return None

    def unbound(self, node: Node) -> bool:
        """Whether a box would need a size that no input shows."""
        bound = {d for wire in self.graph.inputs for d in self.wire(wire).dims}
        return any(d not in bound for d in symbols_in(list(node.op.attributes().values())))

    def sized(self, a: Any) -> Any:
        if isinstance(a, torch.SymInt):
            return self.symbols.size(a)
        return tuple(map(self.sized, a)) if isinstance(a, tuple) else a

    def norm(self, node: fx.Node, args: list[Any]) -> tuple[int, ...] | None:
        """A batch norm with running statistics, which keeps them as its state; one that runs twice has one state."""
        raw = arguments(node)
        names = [self.buffers.get(a) if isinstance(a, fx.Node) else None for a in raw[3:5]]
        if None in names or any(user.target is not node.target for a in raw[3:5] for user in a.users):
            return None
        prefix = str(names[0]).rpartition(".")[0]
        keys = [str(name) for name in (*names, f"{prefix}.num_batches_tracked") if name in self.reading.values]
        op = RunningNorm(args[5], args[6], args[7], args[1] is not None, tuple(self.reading.values[name].detach() for name in keys))
        data = (args[0].wire, *(w.wire for w in args[1:3] if w is not None))
        if keys != [f"{prefix}.{short}" for short in op.state_names]:
            return None
        outs = self.node(op, data)
        self.reading.states[id(self.graph.root.items[-1])] = prefix
        return outs

    def opaque(self, target: Any, args: list[Any], expected: list[Wire]) -> tuple[int, ...]:
        """The call as one op: its tensors first those that are data, then the parameters."""
        wires: list[int] = []
        spelled = [self.placed(a, wires) for a in args]
        roles = [self.graph.wires[w].role for w in wires]
        names = {wire: name for name, wire in self.graph.param_wires.items()}
        shorts = [names[w].rpartition(".")[2] if w in names else "" for w in wires]
        own = {w: short for w, short in zip(wires, shorts, strict=True) if short.isidentifier() and shorts.count(short) == 1}
        order = [w for w in wires if w not in own] + list(own)
        at = {i: order.index(w) for i, w in enumerate(wires)}
        plain, keys = arranged(target, [moved(a, at) for a in spelled])
        role = "parameter" if roles and set(roles) == {"parameter"} else "data"
        dom, cod = self.graph.space(order[: len(order) - len(own)]), Space(tuple(expected)).with_role(role)
        specs = tuple((short, Param(Space((self.graph.wires[w],)))) for w, short in own.items())
        op = Aten(called(target), tuple(plain), keys, dom, cod, specs, draws(target, plain))
        return self.node(op, tuple(order))

    def placed(self, a: Any, wires: list[int]) -> Any:
        """An argument as an attribute of an op: tensors by their place, sizes that are not known by where they can be read."""
        if isinstance(a, table.W):
            if a.wire not in wires:
                wires.append(a.wire)
            return Place(wires.index(a.wire))
        if isinstance(a, torch.SymInt | torch.SymFloat | torch.SymBool):
            if getattr(expr(a), "is_number", True):
                return int(expr(a)) if isinstance(a, torch.SymInt) else float(expr(a))
            text, where = self.symbols.text(expr(a))
            return Sized(text, tuple((name, self.placed(table.W(wire), wires).i, axis) for name, wire, axis in where))
        if isinstance(a, tuple):
            return tuple(self.placed(v, wires) for v in a)
        return spoken(a)

    def outputs(self) -> None:
        signature, nodes = self.program.graph_signature, {node.name: node for node in self.program.graph.nodes}
        results = []
        self.frames = ()
        for spec in signature.output_specs:
            node = nodes.get(getattr(spec.arg, "name", ""))
            if node is None or not tensors(node.meta.get("val")):
                continue
            if spec.kind is OutputKind.BUFFER_MUTATION:
                name = self.program.graph_signature.inputs_to_buffers.get(str(spec.target), str(spec.target))
                self.keep(name, (self.wire_of(node),))
            elif spec.kind is OutputKind.USER_OUTPUT:
                wire = self.wire_of(node)
                if self.graph.wires[wire].role != "data":  # a parameter that is handed out is data from there on
                    (wire,) = self.node(Aten("aten.alias.default", (Place(0),), (), self.graph.space([wire]),
                                             self.graph.space([wire]).with_role("data")), (wire,))  # fmt: skip
                results.append(wire)
        self.graph.outputs = tuple(results)


__all__ = ["NeedsFunctions", "Reader", "Reading"]
