"""Numbers: parameters, floating-point operations, and the activations kept for the backward pass, of a term and of its parts.

A multiplication and an addition are two operations. Operations are those of one forward pass over ``batch`` examples; what reads
parameters only (a 2-cell) runs once, whatever the batch. Activations are the wires that the reverse pass reads (views count once,
through what they view; a checkpointed scope keeps only what enters it), in bytes: 4 for a number, 8 for an index, 1 for a truth
value. A kernel of a backward pass costs the forward operations of its box for each cotangent that it gives, a bias one addition an
entry. All are polynomials where sizes are symbolic.

Law: operations and activations of a composite or a product are the sums over its parts; parameters are, where none is shared.

>>> import catlearn as cl
>>> n = cl.dim("n")
>>> net = cl.linear(cl.R(n), cl.R(3)).named("stem") >> cl.relu
>>> cost(net).parameters, cost(net).flops, cost(net, batch=10).at("stem").flops
(3·n + 3, 6·n + 3, 60·n)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from catlearn import errors
from catlearn.boxes.backward import Backward, Vjp
from catlearn.boxes.shape import Broadcast, Flatten, Reshape, Transpose
from catlearn.core.graph import Graph, Node, Region
from catlearn.core.op import Param, typecheck
from catlearn.core.select import matcher
from catlearn.core.sizes import Poly, Size, check_size
from catlearn.core.spaces import Space, Wire
from catlearn.core.term import Term
from catlearn.meanings.reverse import reverse_graph

BYTES = {"float": 4, "index": 8, "bool": 1}


@dataclass(frozen=True)
class Row:
    """One line of the table: a scope or a box. ``times`` counts the copies of a repeat that are added up in it."""

    name: str
    parameters: Size
    trainable: Size
    flops: Size
    activations: Size
    depth: int
    times: int = 1
    box: bool = True


@dataclass(frozen=True)
class _Entry:
    """What one box costs, and the parameters that it reads."""

    name: str
    scope: tuple[str, ...]
    flops: Size
    activations: Size
    params: tuple[str, ...]


@dataclass(frozen=True)
class Cost:
    """The cost of a term; ``rows`` are its parts, ``at(pattern)`` is the cost of some of them, ``str`` a table."""

    entries: tuple[_Entry, ...]
    params: dict[str, Param]
    repeats: frozenset[tuple[str, ...]]
    batch: Size

    @property
    def parameters(self) -> Size:
        """How many numbers the parameters hold; a shared parameter counts once."""
        return _total(param.wire.size for param in self.params.values())

    @property
    def trainable(self) -> Size:
        """The same without frozen ones."""
        return _total(param.wire.size for param in self.params.values() if param.trainable)

    @property
    def flops(self) -> Size:
        """Floating-point operations of the forward pass over the batch."""
        return _total(entry.flops for entry in self.entries)

    @property
    def activations(self) -> Size:
        """Bytes kept for the backward pass."""
        return _total(entry.activations for entry in self.entries)

    def at(self, pattern: str) -> Cost:
        """The cost of the scopes, boxes and parameters that match (as ``Term.at``). Raises ``NothingMatched``."""
        match = matcher(pattern)
        entries = tuple(entry for entry in self.entries if match(entry.name))
        read = {name for entry in entries for name in entry.params}
        params = {name: param for name, param in self.params.items() if name in read or match(name)}
        if not entries and not params:
            raise errors.NothingMatched(pattern, [*(entry.name for entry in self.entries), *self.params], "box or parameter")
        return replace(self, entries=entries, params=params)

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """Every scope and every box, parents first, in running order."""
        return self._rows(lambda scope: scope, len)

    def _rows(self, generic: Callable[[tuple[str, ...]], tuple[str, ...]], depth: Callable[[tuple[str, ...]], int]) -> tuple[Row, ...]:
        parts: dict[tuple[tuple[str, ...], str], list[_Entry]] = {}
        copies: dict[tuple[tuple[str, ...], str], set[tuple[str, ...]]] = defaultdict(set)
        for entry in self.entries:
            for k in range(1, len(entry.scope) + 1):
                key = (generic(entry.scope[:k]), "")
                parts.setdefault(key, []).append(entry)
                copies[key].add(entry.scope[:k])
            prefix = ".".join(entry.scope) + "." if entry.scope else ""
            key = (generic(entry.scope), entry.name.removeprefix(prefix).partition("/")[0])
            parts.setdefault(key, []).append(entry)
            copies[key].add(entry.scope)
        found = []
        for (scope, box), entries in _tree(parts):
            read = {name for entry in entries for name in entry.params}
            sizes = [(self.params[name].wire.size, self.params[name].trainable) for name in read if name in self.params]
            found.append(Row(".".join([*scope, box] if box else scope), _total(s for s, _ in sizes), _total(s for s, t in sizes if t),
                             _total(e.flops for e in entries), _total(e.activations for e in entries), depth((*scope, *[box] * bool(box))),
                             len(copies[scope, box]), bool(box)))  # fmt: skip
        return tuple(found)

    def __str__(self) -> str:
        rows = [row for row in self._rows(self._generic, len) if not (row.name.endswith(".*") and not row.box)]
        deepest = next((d for d in (3, 2) if sum(row.depth <= d for row in rows) <= 40), 1)
        shown = [row for row in rows if row.depth <= deepest]
        more, shown = len(shown) - 60, shown[:60]
        lines = [("", "parameters", "trainable", "flops", "activations")]
        for row in shown:
            mark, indent = f" ×{row.times}" if row.times > 1 else "", sum(part != "*" for part in row.name.split(".")[:-1])
            lines.append(("  " * indent + row.name.rpartition(".")[2] + mark, *_cells(row)))
        if more > 0:
            lines.append((f"... {more} more", "", "", "", ""))
        lines.append(("total", *_cells(self)))
        widths = [max(len(line[i]) for line in lines) for i in range(5)]
        text = ["  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]) for line in lines]
        rule = "─" * len(text[0])
        shared = _total(r.parameters for r in rows if r.box) != self.parameters and any(r.parameters for r in rows)
        foot = f"forward pass, batch of {self.batch}; activations kept for backward"
        note = ["shared parameters stand in every row that reads them, and once in the total"] * shared
        return "\n".join([text[0], rule, *text[1:-1], rule, text[-1], foot, *note])

    def _generic(self, scope: tuple[str, ...]) -> tuple[str, ...]:
        return tuple("*" if scope[: k + 1] in self.repeats else name for k, name in enumerate(scope))


def cost(term: Term, batch: Size = 1) -> Cost:
    """Parameters, operations and kept activations of a term, for a batch of this size (an integer or a ``cl.dim``).

    Raises ``BadSpace`` for a batch that is no size.
    """
    check_size(batch, "cost: batch")
    graph = term.graph
    sources = _sources(graph)
    kept = _kept(graph, batch)
    entries = []
    for scope, node in _located(graph.root):
        read = dict.fromkeys(name for arg in node.args for name in sources.get(arg, ()))
        entries.append(_Entry(node.name, scope, _flops(graph, node, batch), kept.pop(node.name, 0), tuple(read)))
    entries += [_Entry(name or "inputs", (), 0, size, ()) for name, size in kept.items()]
    repeats = frozenset(region.path for region in _regions(graph.root) if region.repeated)
    return Cost(tuple(entries), dict(graph.params), repeats, batch)


def _flops(graph: Graph, node: Node, batch: Size) -> Size:
    op, data = node.op, graph.space(node.args[: node.data])
    if isinstance(op, Backward | Vjp):
        dom = Space((op.dom if isinstance(op, Backward) else data).wires[: op.data])
        forward = op.of.flops(dom, typecheck(op.of, dom))
        if isinstance(op, Vjp):
            once = forward * (1 + len(op.cod))
        else:
            seed = graph.wires[node.args[op.rule.uses.split().index("dy0")]].size if "dy0" in op.rule.uses.split() else forward
            once = _total(seed if name == "bias" else forward for name in op.rule.gives.split())
    else:
        once = op.flops(data, graph.space(node.outs[: len(node.outs) - len(op.state_names)]))
    batched = any(graph.wires[w].batched for w in (*node.args, *node.outs))
    return once * batch if batched else once


def _sources(graph: Graph) -> dict[int, tuple[str, ...]]:
    """The parameters that each parameter-side wire is made of, through cells."""
    found: dict[int, tuple[str, ...]] = {wire: (name,) for name, wire in graph.param_wires.items()}
    for node in graph.root.nodes():
        if node.args and all(arg in found for arg in node.args) and not any(graph.wires[o].batched for o in node.outs):
            names = tuple(dict.fromkeys(name for arg in node.args for name in found[arg]))
            found.update(dict.fromkeys(node.outs, names))
    return found


def _kept(graph: Graph, batch: Size) -> dict[str, Size]:
    """Bytes kept for the backward pass by the box that makes them; the empty name stands for the term's own inputs."""
    backward = graph
    if not any(node.name.endswith("_reverse") for node in graph.root.nodes()):
        backward = reverse_graph(graph)
    nodes = backward.nodes
    maker = {o: node for node in nodes for o in node.outs}
    free = set(backward.param_wires.values()) | {old for old, _ in backward.state_wires.values()}
    read = dict.fromkeys(a for node in nodes if node.name.endswith("_reverse") for a in node.args)
    bases = dict.fromkeys(_base(a, maker) for a in read if not (a in maker and maker[a].name.endswith("_reverse")))
    found: dict[str, Size] = {}
    inside = [".".join(region.path) + "." for region in _regions(graph.root) if region.checkpoint]
    for wire in bases:
        name = maker[wire].name if wire in maker else ""
        if wire in free or name.startswith(tuple(inside)) or (not name and wire not in graph.inputs):
            continue
        found[name] = _bytes(backward.wires[wire], batch) + found.get(name, 0)
    own = {o: node.name for node in graph.root.nodes() for o in node.outs}
    for region in _regions(graph.root):
        if region.checkpoint:
            for wire in dict.fromkeys(region.dom):
                name = own.get(wire, "")
                if name not in found:
                    found[name] = _bytes(graph.wires[wire], batch)
    return found


def _base(wire: int, maker: dict[int, Node]) -> int:
    while wire in maker and isinstance(maker[wire].op, Reshape | Flatten | Transpose | Broadcast):
        wire = maker[wire].args[0]
    return wire


def _bytes(wire: Wire, batch: Size) -> Size:
    size = BYTES[wire.kind] * wire.size
    return size * batch if wire.batched else size


def _located(root: Region) -> Iterable[tuple[tuple[str, ...], Node]]:
    """Every node with its scope; a flat backward pass is read by its names."""
    flat = not any(isinstance(item, Region) for item in root.items)
    stack: list[tuple[tuple[str, ...], Iterator[Node | Region]]] = [((), iter(root.items))]
    while stack:
        path, items = stack[-1]
        for item in items:
            if isinstance(item, Region):
                stack.append((item.path, iter(item.items)))
                break
            yield (tuple(item.name.partition("/")[0].split(".")[:-1]) if flat else path), item
        else:
            stack.pop()


def _regions(root: Region) -> list[Region]:
    found, stack = [], [root]
    while stack:
        top = stack.pop()
        found.append(top)
        stack += [item for item in reversed(top.items) if isinstance(item, Region)]
    return found


def _tree(parts: dict[tuple[tuple[str, ...], str], list[_Entry]]) -> Iterable[tuple[tuple[tuple[str, ...], str], list[_Entry]]]:
    """Scopes before what is in them, in the order of first appearance."""
    first: dict[tuple[str, ...], int] = {}
    for i, (scope, box) in enumerate(parts):
        first.setdefault((*scope, *[box] * bool(box)), i)

    def place(key: tuple[tuple[str, ...], str]) -> tuple[int, ...]:
        full = (*key[0], *[key[1]] * bool(key[1]))
        return tuple(first[full[: k + 1]] for k in range(len(full)))

    return [(key, parts[key]) for key in sorted(parts, key=place)]


def _total(sizes: Iterable[Size]) -> Size:
    total: Size = 0
    for size in sizes:
        total = size + total
    return total


def _cells(row: Row | Cost) -> tuple[str, str, str, str]:
    return _show(row.parameters), _show(row.trainable), _show(row.flops), _show(row.activations, "B")


def _show(size: Size, unit: str = "") -> str:
    if isinstance(size, Poly):
        return str(size)
    for scale, letter in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k")):
        if size >= scale:
            return f"{size / scale:.2f} {letter}{unit}"
    return f"{size} {unit}".rstrip()
