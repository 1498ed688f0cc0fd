"""Lowering: term → graph, with an explicit stack, in time linear in the boxes written out.

A frame either runs a term on wires or does one of the small things between terms (join a product, leave a scope).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from catlearn import errors
from catlearn.core.cells import Cell
from catlearn.core.graph import Graph, Origin, Region
from catlearn.core.names import resolve
from catlearn.core.op import Param
from catlearn.core.points import Explicit, Point
from catlearn.core.spaces import Space
from catlearn.core.term import Box, Par, Reparam, Repeat, Scope, Seq, Term, Wiring, factors

Path: TypeAlias = tuple[str, ...]


@dataclass
class _Reparams:
    """The cells of one ``Reparam`` that is being lowered, with absolute names; each cell is read once."""

    term: Reparam
    path: Path
    prefix: str
    cell_of: dict[str, Cell]
    values: dict[str, int] = field(default_factory=dict)


def lower(term: Term) -> Graph:
    """The graph of a term. Raises ``NameUsedTwice`` or ``NameConflict`` where names clash."""
    return _Lowering(term).run(term)


class _Lowering:
    def __init__(self, term: Term) -> None:
        self.graph = Graph()
        self.names, self.next_name = resolve(term), 0
        self.regions: list[Region] = [self.graph.root]
        self.reparams: list[_Reparams] = []
        self.owners: dict[str, Any] = {}
        self.places: dict[str, Any] = {}  # where the owners were written
        self.keys: dict[str, int] = {}
        self.scopes: set[str] = set()
        self.shared: list[tuple[int, int]] = []  # the shared repeats around: how many reparametrisations and scopes are outside
        self.todo: list[Callable[[], None]] = []
        self.results: list[list[int]] = []

    def run(self, term: Term) -> Graph:
        graph = self.graph
        graph.inputs = tuple(graph.wire(wire) for wire in term.dom)
        self.visit(term, list(graph.inputs))
        while self.todo:
            self.todo.pop()()
        graph.outputs = tuple(self.results.pop())
        graph.root.dom, graph.root.cod = graph.inputs, graph.outputs
        check_prefixes(graph.params, graph.states, self.scopes)
        return graph

    # Every visit leaves exactly one list of wires on `results`.

    def visit(self, term: Term, wires: list[int]) -> None:
        if isinstance(term, Box):
            self.results.append(self.box(term, wires))
        elif isinstance(term, Wiring):
            self.results.append(wires if term.targets is None else [wires[i] for i in term.targets])
        elif isinstance(term, Seq):
            self.results.append(wires)
            self.todo += [lambda part=part: self.visit(part, self.results.pop()) for part in reversed(factors(term))]
        elif isinstance(term, Par):
            self.par(factors(term), wires)
        elif isinstance(term, Scope):
            self.scoped(term.name, term.body, wires, checkpoint=term.checkpoint, repeated=term.copy)
        elif isinstance(term, Repeat):
            self.repeat(term, wires)
        elif isinstance(term, Reparam):
            prefix = self.prefix
            cells = {prefix + target: cell for cell in term.cells for target in cell.targets}
            self.reparams.append(_Reparams(term, self.regions[-1].path, prefix, cells))
            self.todo += [lambda: self.leave_reparam(), lambda: self.visit(term.body, wires)]
        else:
            raise TypeError(f"not a term: {type(term).__name__}")

    def par(self, parts: list[Term], wires: list[int]) -> None:
        def join() -> None:
            rows = self.results[-len(parts) :]
            del self.results[-len(parts) :]
            self.results.append([wire for row in rows for wire in row])

        self.todo.append(join)
        start, jobs = 0, []
        for part in parts:
            piece = wires[start : start + len(part.dom)]
            jobs.append(lambda part=part, piece=piece: self.visit(part, piece))
            start += len(part.dom)
        self.todo += reversed(jobs)

    def scoped(self, name: str, body: Term, wires: list[int], checkpoint: bool = False, repeated: bool = False) -> None:
        parent = self.regions[-1]
        region = Region((*parent.path, name), dom=tuple(wires), checkpoint=checkpoint, repeated=repeated)
        parent.items.append(region)
        self.scopes.add(".".join(region.path))
        self.regions.append(region)

        def leave() -> None:
            region.cod = tuple(self.results[-1])
            self.regions.pop()

        self.todo += [leave, lambda: self.visit(body, wires)]

    def repeat(self, term: Repeat, wires: list[int]) -> None:
        first, after = self.next_name, self.next_name + term.body.length
        self.results.append(wires)

        def iteration(i: int) -> None:
            self.next_name = first  # every copy resolves the body's names alike
            wires = self.results.pop()
            if term.shared:
                self.visit(term.body, wires)
            else:
                self.scoped(str(i), term.body, wires, term.checkpoint, repeated=True)

        def finish() -> None:
            self.next_name = after
            if term.shared:
                self.shared.pop()

        if term.shared:
            self.shared.append((len(self.reparams), len(self.regions) - 1))
        self.todo.append(finish)
        self.todo += [lambda i=i: iteration(i) for i in reversed(range(term.n))]

    def leave_reparam(self) -> None:
        context = self.reparams.pop()
        lost = [target for target in context.cell_of if target not in context.values]
        if lost:
            raise errors.CellLost(lost, context.term)

    @property
    def prefix(self) -> str:
        return "".join(name + "." for name in self.regions[-1].path)

    def box(self, box: Box, wires: list[int]) -> list[int]:
        occurrence, name = self.next_name, self.prefix + self.names[self.next_name]
        self.next_name += 1
        open = box.name is None
        if isinstance(box.op, Point):
            return [self.param(name, Param(box.op.space, box.op.init, box.op.trainable), occurrence, box.source, open)]
        explicit = isinstance(box.op, Explicit)
        op, data = (box.op.op, box.op.data) if isinstance(box.op, Explicit) else (box.op, len(wires))
        args = list(wires)
        for short, param in ({} if explicit else box.own_params).items():
            args.append(self.param(f"{name}.{short}", param, occurrence, box.source, open))
        state = {f"{name}.{short}": param for short, param in op.state(Space(box.dom.wires[:data])).items()}
        if isinstance(box.op, Explicit) and box.op.states:
            keys = (key[1:] if key.startswith(".") else self.prefix + key for key in box.op.states)
            state = dict(zip(keys, state.values(), strict=True))
        args += [self.state(key, param, occurrence, open) for key, param in state.items()]
        cod = Space((*box.cod.wires, *(param.wire for param in state.values())))
        key = name if op.effect == "pure" else self.key(name, box, occurrence)
        outs = self.graph.add(op, tuple(args), cod, key, data, box.source, self.regions[-1])
        for key, new in zip(state, outs[len(box.cod) :], strict=True):
            self.graph.state_wires[key] = (self.graph.state_wires[key][0], new)
        return list(outs[: len(box.cod)])

    def key(self, name: str, box: Box, occurrence: int) -> str:
        """A name of its own for every run of an effect, also where a repeat shares the box."""
        seen = self.keys[name] = self.keys.get(name, 0) + 1
        key = name if seen == 1 else f"{name}#{seen}"
        if box.name is None:
            self.graph.open.add(key)
        self.origin(key, occurrence)
        return key

    def state(self, key: str, param: Param, occurrence: int, open: bool) -> int:
        if key not in self.graph.state_wires:
            self.graph.open.update([key] if open else [])
            wire = self.graph.wire(param.wire)
            self.origin(key, occurrence)
            self.graph.states[key], self.graph.state_wires[key] = param, (wire, wire)
        return self.graph.state_wires[key][1]

    def origin(self, key: str, box: int | None, path: Path | None = None) -> None:
        """Record where a name comes from; ``path`` is that of a scope that is open now."""
        regions = self.regions[1:] if path is None else self.regions[1 : len(path) + 1]
        user = tuple(region.path[-1] for region in regions if not region.repeated)
        self.graph.origins[key] = Origin(box, regions[-1].path if regions else (), user)

    # -- parameters, through the cells from the innermost to the outermost ---------------------------------------

    def param(self, key: str, param: Param, owner: Any, place: Any, open: bool = False, outside: int | None = None,
              where: Path | None = None) -> int:  # fmt: skip
        """The wire of a parameter needed in the scope ``where``, seen through the first ``outside`` reparametrisations."""
        outside = len(self.reparams) if outside is None else outside
        for level in reversed(range(outside)):
            context = self.reparams[level]
            cell = context.cell_of.get(key)
            if cell is not None:
                if key not in context.values:
                    self.read(cell, context, level, self.regions[-1].path if where is None else where)
                return context.values[key]
        if key in self.graph.param_wires:
            if self.owners[key] != owner:
                raise errors.NameUsedTwice(key, self.places[key], place)
            return self.graph.param_wires[key]
        self.owners[key], self.places[key] = owner, place
        self.origin(key, owner if isinstance(owner, int) else None, where)
        self.graph.open.update([key] if open else [])
        self.graph.params[key] = param
        wire = self.graph.param_wires[key] = self.graph.wire(param.wire)
        return wire

    def read(self, cell: Cell, context: _Reparams, level: int, where: Path) -> None:
        targets = [context.prefix + target for target in cell.targets]
        origins = context.term.body.graph.origins
        # the reading happens in the innermost scope that holds all targets and their reader, before the part being lowered now
        paths = [where, *(context.path + origins[target].path for target in cell.targets)]
        depth = next((i for i, step in enumerate(zip(*paths, strict=False)) if len(set(step)) > 1), min(map(len, paths)))
        depth = min([depth, *(region for reparams, region in self.shared if reparams > level)])  # every run reads the one value
        here, nodes = self.regions[depth], Region()
        owner = (id(context.term), id(cell), context.prefix)  # one cell may act in two places, and reads its own parameters in each
        place = f"{cell.title} at {context.term.source}" if context.term.source else cell.title
        sources = [self.param(context.prefix + name, param, owner, place, False, level, here.path) for name, param in cell.sources]
        outs = self.graph.splice(cell.read.graph, sources, nodes, f"{targets[0]}/")
        position = len(here.items) if here is self.regions[-1] else len(here.items) - 1
        here.items[position:position] = nodes.items
        context.values.update(zip(targets, outs, strict=True))
        names = {wire: name for name, wire in self.graph.param_wires.items()} if len(targets) > 1 else {}
        self.graph.aliases.update({t: names[o] for t, o in zip(targets, outs, strict=True) if o in names and names[o] != t})


def check_prefixes(params: Collection[str], states: Collection[str], scopes: Collection[str]) -> None:
    """A module keeps one thing under a name: no tensor may be called as another one, as a scope, or as a prefix of another one."""
    for key in params:
        if key in states:
            raise errors.NameConflict(f"{key!r} is a parameter and a state at once", next="rename one of them")
    for key in (*params, *states):
        parts = key.split(".")
        for i in range(1, len(parts)):
            prefix = ".".join(parts[:i])
            if prefix in params or prefix in states:
                raise errors.NameConflict(f"the parameters {prefix!r} and {key!r} cannot stand side by side",
                                          [f"{prefix!r} would be a tensor and a module at once"], "rename one of them")  # fmt: skip
        if key in scopes:
            raise errors.NameConflict(f"{key!r} is a parameter and a scope at once",
                                      [f"{key!r} would be a tensor and a module at once"], "rename one of them")  # fmt: skip
