"""Graph → Python text: straight-line torch code, one assignment per node, the same aten calls that a careful hand would write.

``Emitter`` writes one function body. Two styles share it: a module's ``forward`` (one per scope, parameters as attributes; see
``module.py``) and a flat function of a parameter dictionary (see ``functional.py``). Variables are reused as soon as their value is
dead, as in hand-written code, so that activations are freed when they are not needed.
"""

from __future__ import annotations

import builtins
import keyword
import linecache
import re
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

from catlearn import errors
from catlearn.core.graph import Graph, Node
from catlearn.core.op import Op
from catlearn.core.sizes import Dim, Poly, Size, dims, evaluate
from catlearn.core.spaces import Space
from catlearn.meanings.runtime import NAMESPACE

# names that generated code uses itself
_TAKEN = re.compile(r"[xp]\d+|size_.*|self|refuse|_.*")


def unbatched(graph: Graph) -> set[int]:
    """The wires whose tensors have no batch axes: parameters, and what is computed from constants and parameters alone."""
    found = {i for i, wire in enumerate(graph.wires) if wire.role != "data"}
    for node in graph.root.nodes():
        if all(arg in found for arg in node.args):
            found.update(node.outs)
    return found


@dataclass
class Emitter:
    """Writes the lines of one function. ``param`` gives the text of a parameter or state wire, or None if it is no such wire."""

    graph: Graph
    param: Callable[[int], str | None]
    sizes: dict[str, int] = field(default_factory=dict)
    training: str = "self.training"
    keyed: bool = False  # random boxes draw from a generator named after them instead of torch's own
    lines: list[str] = field(default_factory=list)
    text: dict[int, str] = field(default_factory=dict)  # wire → variable or expression
    objects: dict[str, Any] = field(default_factory=dict)  # what the text refers to beside the runtime's names

    # what an op's rule may ask while its node is being written
    dom: Space = field(default_factory=Space)
    cod: Space = field(default_factory=Space)
    names: Sequence[str] = ()
    node: Node | None = None

    def __post_init__(self) -> None:
        self._uses: dict[int, int] = {}
        self._free: list[int] = []
        self._count = 0
        self._variable: dict[int, int] = {}
        self._dims: dict[str, str] = {}
        self.binding: dict[str, str] = {}  # symbolic size → where it was read
        self.unbatched = unbatched(self.graph)
        self._extras: Sequence[int] = ()

    # -- variables -----------------------------------------------------------------------------------------------

    def begin(self, inputs: Sequence[int], extras: Sequence[int], uses: Iterable[int], pinned: Iterable[int]) -> list[str]:
        """Names the inputs; ``uses`` are all argument wires in order, ``pinned`` the wires that the function returns."""
        for wire in uses:
            self._uses[wire] = self._uses.get(wire, 0) + 1
        for wire in pinned:
            self._uses[wire] = self._uses.get(wire, 0) + 1
        names = []
        for wire in inputs:
            names.append(f"x{self._count}")
            self._take(wire, self._count)
            self._count += 1
        self._extras = extras
        for k, wire in enumerate(extras):
            self.text[wire] = f"p{k}"
            names.append(f"p{k}")
        return names

    def _take(self, wire: int, number: int) -> None:
        self._variable[wire], self.text[wire] = number, f"x{number}"

    def variable(self, wire: int) -> str:
        """A variable for a new wire: the lowest one that is free."""
        if self._free:
            number = heappop(self._free)
        else:
            number, self._count = self._count, self._count + 1
        self._take(wire, number)
        return self.text[wire]

    def use(self, wire: int) -> str:
        """The text of a wire that is read here; its variable is free again after the last reading."""
        text = self.param(wire) if wire not in self.text else self.text[wire]
        if text is None:
            raise KeyError(f"wire {wire} is not defined here")
        self._uses[wire] -= 1
        if not self._uses[wire] and wire in self._variable:
            heappush(self._free, self._variable.pop(wire))
        return text

    def short(self, names: list[str], data: int) -> list[str]:
        """A box's own name for its parameters where it has several: looking ``self.box`` up once is the fastest way to them."""
        owners = {name.rpartition(".")[0] for name in names[data:]}
        owner = owners.pop() if len(owners) == 1 and len(names) - data > 1 else ""
        local = owner.rpartition(".")[2]
        taken = _TAKEN.fullmatch(local) or keyword.iskeyword(local) or local in NAMESPACE
        if not owner.startswith("self.") or not local.isidentifier() or taken:
            return names
        self.lines.append(f"{local} = {owner}")
        return [*names[:data], *(f"{local}.{name.rpartition('.')[2]}" for name in names[data:])]

    def define(self, wires: Sequence[int]) -> list[str]:
        """Variables for new wires; ``_`` for a wire that nobody reads."""
        return [self.variable(wire) if self._uses.get(wire) else "_" for wire in wires]

    # -- sizes and constants -------------------------------------------------------------------------------------

    def bind_dims(self, inputs: Sequence[int]) -> list[Dim]:
        """Symbolic sizes are read off the first input that has them as an axis; those bound here."""
        bound = []
        for wire in inputs:
            shape = self.graph.wires[wire].shape
            for k, size in enumerate(shape):
                d = symbol(size)
                if d and d.name not in self.sizes and d.name not in self._dims:
                    self._dims[d.name] = f"size_{d.name}"
                    self.binding[d.name] = f"{self.text[wire]}.shape[{k - len(shape)}]"
                    self.lines.append(f"size_{d.name} = {self.binding[d.name]}")
                    bound.append(d)
        return bound

    def can_size(self, size: Size) -> bool:
        """Whether every symbol in a size has a value or is bound."""
        return all(d.name in self.sizes or d.name in self._dims for d in dims(size))

    def size(self, size: Size) -> str:
        """The text of a size."""
        if isinstance(size, int):
            return str(size)
        unknown = [d.name for d in dims(size) if d.name not in self.sizes]
        if not unknown:
            return str(evaluate(size, self.sizes))
        for name in unknown:
            if name not in self._dims:
                raise errors.SizeUnknown(name, "compile")
        sums = []
        for monomial, coefficient in size.terms:
            factors = [str(self.sizes.get(s.name, self._dims.get(s.name, ""))) for s, p in monomial for _ in range(p)]
            sums.append(" * ".join(([str(coefficient)] if coefficient != 1 or not factors else []) + factors))
        return sums[0] if len(sums) == 1 and "*" not in sums[0] else f"({' + '.join(sums)})"

    def number(self, value: float) -> str:
        """A number as Python text, infinities included."""
        return f"float('{value}')" if value in (float("inf"), float("-inf")) or value != value else repr(value)

    def object(self, name: str, value: Any) -> str:
        """The name by which the text can call or read a Python object: a user's function, a constant tensor."""
        base = "_" + re.sub(r"\W", "_", name)
        key, k = base, 1
        while self.objects.setdefault(key, value) is not value:
            key, k = f"{base}_{k}", k + 1
        return key

    @property
    def device(self) -> str:
        """The text of the network's device, None if no tensor is at hand."""
        for wire in (*self._variable, *self._extras):
            return f"{self.text[wire]}.device"
        return next((f"{text}.device" for wire in self.graph.param_wires.values() if (text := self.param(wire)) is not None), "None")

    @property
    def like(self) -> str:
        """Keyword arguments that give a new tensor the dtype and device of the network."""
        for wire in (*self._variable, *self._extras):
            if self.graph.wires[wire].kind == "float":
                return f"dtype={self.text[wire]}.dtype, device={self.text[wire]}.device"
        for wire in self.graph.param_wires.values():
            if (text := self.param(wire)) is not None and self.graph.wires[wire].kind == "float":
                return f"dtype={text}.dtype, device={text}.device"
        return "dtype=torch.get_default_dtype()"

    def is_batched(self, i: int) -> bool:
        """Whether the tensor of argument i of the node that is being written has batch axes."""
        assert self.node is not None
        return self.node.args[i] not in self.unbatched

    def same_batch(self, texts: Sequence[str]) -> list[str]:
        """The arguments with equal batch axes: constants among them are repeated."""
        assert self.node is not None
        args = list(zip(self.node.args, texts, strict=True))
        lead = next(((a, t) for a, t in args if a not in self.unbatched), None)
        if lead is None or all(a not in self.unbatched for a, _ in args):
            return list(texts)
        return [self.expanded(a, t, *lead) if a in self.unbatched else t for a, t in args]

    def expanded(self, wire: int, text: str, other: int, like: str) -> str:
        """A tensor without batch axes repeated over those of another."""
        order, own = len(self.graph.wires[other].axes), len(self.graph.wires[wire].axes)
        return f"{text}.expand({like}.shape[:{like}.dim() - {order}] + {text}.shape[{text}.dim() - {own}:])"

    def inner(self, op: Op, args: Sequence[str], data: int, dom: Space) -> str:
        """The expression of another op on these texts, inside the expression that is being written."""
        outer = self.dom, self.cod, self.names
        self.dom = Space(dom.wires[:data])
        self.cod, self.names = op.infer(self.dom), args
        text = expression(op, self, args, data)
        self.dom, self.cod, self.names = outer
        return text

    # -- nodes ---------------------------------------------------------------------------------------------------

    def run(self, node: Node) -> None:
        """One line for one node."""
        self.node, self.dom = node, self.graph.space(node.args[: node.data])
        self.cod = self.graph.space(node.outs)
        names = [self.use(arg) for arg in node.args]
        self.names = self.short(names, node.data)
        text = expression(node.op, self, self.names)
        state = {new: names[len(node.args) - k] for k, new in _new_state(node)}
        outs = [out for out in node.outs if out not in state]
        self.text.update(state)  # a state keeps its place: the kernel updates it
        targets = self.define(outs)
        self.lines.append(f"{', '.join(targets)}{',' if len(targets) == 1 and node.op.keeps_tuple else ''} = {text}" if targets else text)


def _new_state(node: Node) -> list[tuple[int, int]]:
    """The outputs of a node that are its new state, counted from the end, as its state arguments are."""
    count = len(node.op.state_names)
    return [(k, node.outs[len(node.outs) - k]) for k in range(count, 0, -1)]


def expression(op: Op, e: Emitter, args: Sequence[str], data: int | None = None) -> str:
    """The torch expression of an op on argument texts: its format string or method; ``NoRule`` if it has neither."""
    rule: Any = op.torch
    if rule is None:
        raise errors.NoRule("torch", str(op), "give the op a torch rule or a definition", e.node and e.node.source)
    if not isinstance(rule, str):
        return rule(e, *args)
    data = data if data is not None or e.node is None else e.node.data
    named = {f"x{i}": text for i, text in enumerate(args[:data])}
    rest = dict(zip((*op.param_names, *op.state_names), args[data:], strict=True))
    return rule.format(**named, **rest, self=op, training=e.training)


def symbol(size: Size) -> Dim | None:
    """The symbol that a size is, if it is one and nothing else."""
    if isinstance(size, Poly) and len(size.terms) == 1:
        ((monomial, coefficient),) = size.terms
        if coefficient == 1 and len(monomial) == 1 and monomial[0][1] == 1:
            return monomial[0][0]
    return None


def result(texts: Sequence[str]) -> str:
    """What a function returns: a tensor, a tuple, ``()``."""
    return texts[0] if len(texts) == 1 else f"({', '.join(texts)})"


def full_batch(e: Emitter, inputs: Sequence[int], outputs: Sequence[int], texts: list[str], names: list[str]) -> list[str]:
    """Outputs that depend on no input are repeated over the batch."""
    if not inputs:
        return texts
    return [e.expanded(out, text, inputs[0], names[0]) if out in e.unbatched and e.graph.wires[out].batched else text
            for out, text in zip(outputs, texts, strict=True)]  # fmt: skip


def defined(code: str, file: str, space: dict[str, Any], name: str) -> Callable[..., Any]:
    """The function that a text defines; a traceback shows the text for as long as the function lives."""
    linecache.cache[file] = (len(code), None, code.splitlines(True), file)
    exec(builtins.compile(code, file, "exec"), space)
    weakref.finalize(space[name], linecache.cache.pop, file, None)
    return space[name]
