"""From an exported program to the program that proofs speak of. **This file is trusted**, as ``torch.export`` is.

Sizes become polynomials in the symbols of the claim; a size that is none (``n // 2``) becomes a symbol of its own, known by its
expression. Arguments stand under the names of the operator's schema with defaults filled in; what says only where a tensor lives or
how many bits it has is left out. In-place operators are made functional; an operator without a row is decomposed if torch knows how.
"""

from __future__ import annotations

import contextlib
import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind

from catlearn.core.sizes import Dim, Poly, Size, dims, divide
from catlearn.core.source import Source
from catlearn.errors import CannotTrace, NotDivisible
from catlearn.verify import masks
from catlearn.verify.guards import holds
from catlearn.verify.kernel import Given, Node, Program, Range, Wire, wires_of
from catlearn.verify.prepare import prepared, silent, source_of
from catlearn.verify.rules import Value
from catlearn.verify.types import Refused

FEW = 64  # a fixed tensor with at most so many entries may be looked at
_ROLES = {InputKind.USER_INPUT: "data", InputKind.PARAMETER: "parameter", InputKind.BUFFER: "buffer", InputKind.CONSTANT_TENSOR: "constant"}


@dataclass
class Exported:
    """A program and, for every node, the line of the user's source that it comes from."""

    program: Program
    sources: list[Source | None]


def exported(ep: ExportedProgram, shapes: Sequence[tuple[Size, ...]]) -> Exported:
    """The program of an exported module whose data inputs have these shapes, symbols included."""
    return Reader(prepared(ep), shapes).read()


def kind_of(dtype: torch.dtype) -> str:
    """What the entries of a tensor are."""
    if dtype.is_complex:
        return "complex"
    if dtype in (torch.bool, torch.uint8):  # in brackets both are masks
        return "bool"
    return "float" if dtype.is_floating_point else "index" if dtype in (torch.int64, torch.int32) else "small"


@dataclass
class Reader:
    """Walks the graph once."""

    ep: ExportedProgram
    shapes: Sequence[tuple[Size, ...]]
    wires: list[Value] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    sources: list[Source | None] = field(default_factory=list)
    symbols: dict[Any, Size] = field(default_factory=dict)
    ranges: dict[str, Range] = field(default_factory=dict)
    sizes: dict[Any, Size] = field(default_factory=dict)
    bound: set[str] = field(default_factory=set)

    def read(self) -> Exported:
        signature = self.ep.graph_signature
        placeholders = [node for node in self.ep.graph.nodes if node.op == "placeholder"]
        specs = list(zip(placeholders, signature.input_specs, strict=True))
        data = [node for node, spec in specs if spec.kind == InputKind.USER_INPUT and isinstance(node.meta["val"], torch.Tensor)]
        for node, shape in zip(data, self.shapes, strict=True):
            self._learn(node.meta["val"].shape, shape)
        self._assumed({str(node.name): shape for node, shape in zip(data, self.shapes, strict=True)})
        env: dict[Any, Any] = {}
        inputs = []
        for node, spec in specs:
            value = node.meta["val"]
            if not isinstance(value, torch.Tensor):
                continue
            env[node] = self._wire(value, self._entries(spec))
            inputs.append(Given(env[node].place, _ROLES.get(spec.kind, "constant"), spec.target or ""))
        self._walk(self.ep.graph_module, env)
        kinds = [spec.kind for spec in signature.output_specs]
        ends = next(node for node in self.ep.graph.nodes if node.op == "output").args[0]
        outputs = [
            env[end] for end, kind in zip(ends, kinds, strict=True) if kind == OutputKind.USER_OUTPUT and isinstance(end, torch.fx.Node)
        ]
        outs = tuple(out.place for out in outputs if isinstance(out, Wire))
        return Exported(Program(tuple(self.wires), tuple(inputs), tuple(self.nodes), outs, self.ranges), self.sources)

    # -- tensors and sizes -----------------------------------------------------------------------------------------

    def _learn(self, found: Sequence[Any], claimed: Sequence[Size]) -> None:
        for n, size in zip(found, claimed, strict=True):
            free = list(n.node.expr.free_symbols) if isinstance(n, torch.SymInt) else []
            symbols = list(dims(size)) if isinstance(size, Poly) else []
            if len(free) == len(symbols) == 1 and free[0] not in self.symbols:
                symbol, d = free[0], symbols[0]
                self.symbols[symbol] = Poly(((((d, 1),), 1),))
                bounds = self.ep.range_constraints.get(symbol)
                most = None if bounds is None or "oo" in str(bounds.upper) else int(bounds.upper)
                least = max(d.min, 2)  # torch.export takes a symbolic size to be neither 0 nor 1, and does not say so
                self.ranges[d.name] = (least if bounds is None else max(least, int(bounds.lower)), most)
            if self.size(n) != size:
                raise Refused(f"the program has the size {n}, not {size}")

    def _assumed(self, shapes: Mapping[str, tuple[Size, ...]]) -> None:
        least = {name: low for name, (low, _) in self.ranges.items()}
        for guard in getattr(self.ep, "_guards_code", ()):
            if not holds(guard, shapes, least):
                raise CannotTrace("torch.export cannot trace this for every size: it assumes a relation between sizes", [guard],
                                  "change the line so that it does not compare these sizes, or fix one of them")  # fmt: skip

    def size(self, n: Any) -> Size:
        """A size of a traced tensor."""
        if isinstance(n, int):
            return n
        expr = n.node.expr
        if expr not in self.sizes:
            self.sizes[expr] = self._polynomial(expr)
        return self.sizes[expr]

    def _polynomial(self, expr: Any) -> Size:
        if expr.is_Integer:
            return int(expr)
        if expr in self.symbols:
            return self.symbols[expr]
        if expr.is_Add or expr.is_Mul:
            total: Size = 0 if expr.is_Add else 1
            for part in map(self._polynomial, expr.args):
                total = part + total if expr.is_Add else part * total
            return total
        if expr.is_Pow and expr.args[1].is_Integer and int(expr.args[1]) >= 0:
            base = self._polynomial(expr.args[0])
            return base ** int(expr.args[1])
        if expr.func.__name__ in ("FloorDiv", "CleanDiv"):
            over, under = map(self._polynomial, expr.args)
            with contextlib.suppress(NotDivisible):
                return divide(over, under)
        return self._atom(expr)

    def _atom(self, expr: Any) -> Size:
        """A size that is no polynomial, as a symbol of its own."""
        text = re.sub(r"\w+", lambda m: next((str(v) for k, v in self.symbols.items() if str(k) == m[0]), m[0]), str(expr))
        while text in map(str, self.symbols.values()):
            text += "'"  # the claim has a symbol of this name
        self.ranges[text] = (0, None)
        return Poly(((((Dim(text, 0), 1),), 1),))

    def _wire(self, value: torch.Tensor, entries: tuple[str, ...] | None = None) -> Wire:
        return self.new(Value(tuple(map(self.size, value.shape)), kind_of(value.dtype), entries))

    def _entries(self, spec: Any) -> tuple[str, ...] | None:
        if spec.kind == InputKind.BUFFER:
            if spec.target in self.ep.graph_signature.buffers_to_mutate.values():  # the next call finds other entries
                return None
            named = {**self.ep.constants, **self.ep.state_dict}
        elif spec.kind == InputKind.CONSTANT_TENSOR:
            named = self.ep.constants
        else:
            return None
        tensor = named.get(spec.target)
        if not isinstance(tensor, torch.Tensor) or tensor.numel() > FEW or tensor.is_complex() or not torch.isfinite(tensor).all():
            return None
        return tuple(str(Fraction(x)) for x in tensor.detach().flatten().tolist())

    # -- nodes -----------------------------------------------------------------------------------------------------

    def _walk(self, module: torch.fx.GraphModule, env: dict[Any, Any]) -> Any:
        for node in module.graph.nodes:
            if node.op == "get_attr":
                env[node] = getattr(module, str(node.target))
            elif node.op == "output":
                return node.args[0]
            elif node.op == "call_function":
                env[node] = self._call(node, env)
        return None

    def _call(self, node: torch.fx.Node, env: dict[Any, Any]) -> Any:
        target, value = node.target, node.meta.get("val")
        if target is operator.getitem:
            return env[node.args[0]][node.args[1]]
        inlined = self._inlined(node, env)
        if inlined is not None:
            return inlined
        if isinstance(target, torch._ops.OpOverload) and str(target) == "aten.detach_.default":
            return env[node.args[0]]
        masked = masks.read(self, node, env)
        if masked is not None:
            return masked
        numeric = value is None or isinstance(value, torch.SymInt | torch.SymFloat | torch.SymBool | int | float | bool)
        if numeric and (silent(target) or not any(isinstance(env.get(n), Wire) for n in node.all_input_nodes)):
            return self._number(value)
        return self._emit(node, env, target, value)

    def add(self, node: torch.fx.Node, op: str, args: dict[str, Any], outs: Sequence[Value], sizes: Sequence[str] = ()) -> list[Wire]:
        """A node with new wires."""
        wires = list(map(self.new, outs))
        self.nodes.append(Node(op, args, tuple(w.place for w in wires), False, tuple(sizes)))
        self.sources.append(source_of(node))
        return wires

    def new(self, value: Value) -> Wire:
        """A new wire."""
        self.wires.append(value)
        return Wire(len(self.wires) - 1)

    def _inlined(self, node: torch.fx.Node, env: dict[Any, Any]) -> Any:
        """A block under ``no_grad`` or ``autocast`` is a sub-graph; over the reals both mean nothing."""
        name = getattr(node.target, "__name__", "")
        if name not in ("wrap_with_set_grad_enabled", "wrap_with_autocast"):
            return None
        at = next(i for i, arg in enumerate(node.args) if isinstance(arg, torch.fx.Node) and isinstance(env.get(arg), torch.fx.GraphModule))
        module: Any = env[node.args[at]]
        holes = [n for n in module.graph.nodes if n.op == "placeholder"]
        inner = {hole: env[arg] if isinstance(arg, torch.fx.Node) else arg for hole, arg in zip(holes, node.args[at + 1 :], strict=True)}
        ends = self._walk(module, inner)
        return [inner[end] if isinstance(end, torch.fx.Node) else end for end in ends]

    def _emit(self, node: torch.fx.Node, env: dict[Any, Any], target: Any, value: Any) -> Any:
        args = self._arguments(node, env)
        results = list(value) if isinstance(value, tuple | list) else [value]
        outs = [self._wire(r) if isinstance(r, torch.Tensor) else None for r in results]
        made = sorted({name for r in results for name in self.made(r)})
        if not any(out is not None for out in outs) and made:  # a number read from a tensor: a wire that only the kernel looks at
            self.wires.append(Value(()))
            outs.append(Wire(len(self.wires) - 1))
        random = isinstance(target, torch._ops.OpOverload) and torch.Tag.nondeterministic_seeded in target.tags
        hidden = {env[n].place for n in node.all_input_nodes if isinstance(env.get(n), Wire)} - {w.place for w in _within(args)}
        if hidden:
            raise CannotTrace(f"the prover cannot read {target}", ["it takes tensors in lists of lists, or in dictionaries"])
        places = tuple(out.place for out in outs if out is not None)
        self.nodes.append(Node(str(target), args, places, random, tuple(made)))
        self.sources.append(source_of(node))
        if isinstance(value, tuple | list):
            return [out if out is not None else self._number(r) for out, r in zip(outs, results, strict=False)]
        return outs[0] if isinstance(value, torch.Tensor) else self._number(value)

    def made(self, result: Any) -> set[str]:
        """The numbers that a result is the first to read from data: torch's unbacked symbols."""
        found: set[str] = set()
        for n in result.shape if isinstance(result, torch.Tensor) else [result]:
            if isinstance(n, torch.SymInt | torch.SymFloat | torch.SymBool):
                found |= {s.name for s in n.node.expr.free_symbols if s.name.startswith(("u", "zuf"))}
        found -= self.bound
        self.bound |= found
        return found

    def _number(self, n: Any) -> Any:
        if isinstance(n, torch.SymInt):
            return self.size(n)
        if isinstance(n, torch.SymFloat | torch.SymBool):
            number = self._atom(n.node.expr)
            self.ranges.pop(str(number), None)  # a number, not a size: it has no range
            return number
        return n

    def _arguments(self, node: torch.fx.Node, env: Mapping[Any, Any]) -> dict[str, Any]:
        target = node.target
        if not isinstance(target, torch._ops.OpOverload):
            return {str(i): self._argument(arg, env) for i, arg in enumerate([*node.args, *node.kwargs.values()])}
        found: dict[str, Any] = {}
        for i, spec in enumerate(target._schema.arguments):
            given = node.args[i] if i < len(node.args) else node.kwargs.get(spec.name, spec.default_value)
            if spec.name not in ("dtype", "layout", "device", "pin_memory", "memory_format", "generator", "non_blocking", "copy"):
                found[spec.name] = self._argument(given, env)
        return found

    def _argument(self, arg: Any, env: Mapping[Any, Any]) -> Any:
        if isinstance(arg, torch.fx.Node):
            held = env.get(arg)
            if isinstance(held, torch.fx.GraphModule):
                return "".join(f"{n.op} {n.target} {n.args} {n.kwargs};" for n in held.graph.nodes)
            return self._argument(held, env)
        if isinstance(arg, list | tuple):
            return [self._argument(x, env) for x in arg]
        if arg is None or isinstance(arg, bool | int | float | str | Wire | Poly):
            return arg
        if isinstance(arg, torch.SymInt | torch.SymFloat | torch.SymBool):
            return self._number(arg)
        return str(arg)


def _within(args: Mapping[str, Any]) -> list[Wire]:
    """The wires that rules and the kernel see among arguments: those in lists, but not in lists of lists."""
    return wires_of(Node("", args, ()))


__all__ = ["Exported", "exported", "kind_of", "prepared", "source_of"]
