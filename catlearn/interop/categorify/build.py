"""From the graph that was read, and where its nodes stand, to a term with scopes.

Between two steps of a scope stands one wiring, which brings the arguments forward and keeps what is needed later. A module that is
one box takes its name and owns its parameters; other parameters are points in the scope where they are used. A parameter that the
module calls otherwise, or reads in several places, is read through a cell, so that every parameter has its true name, once.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from catlearn.core.cells import Cell, renamed, tied
from catlearn.core.combinators import id as identity
from catlearn.core.combinators import par, seq
from catlearn.core.graph import Node
from catlearn.core.op import Param
from catlearn.core.points import Explicit, point
from catlearn.core.spaces import I, Space, Wire
from catlearn.core.term import Box, Reparam, Scope, Term, Wiring
from catlearn.interop.categorify.ask import axes, kind
from catlearn.interop.categorify.boxes import Keep
from catlearn.interop.categorify.read import Reading
from catlearn.interop.categorify.scopes import Part, nest


@dataclass
class _Step:
    """One step of a scope: the wires it reads and gives, and its term."""

    reads: list[int]
    gives: list[int]
    term: Term
    name: str = ""


class Names:
    """The names of one scope, each once."""

    def __init__(self, taken: Sequence[str]) -> None:
        self.taken = set(taken)

    def new(self, name: str) -> str:
        """The name, or the next one that is free."""
        found = next(candidate for k in count() if (candidate := f"{name}_{k}" if k else name) not in self.taken)
        self.taken.add(found)
        return found


class Assembly:
    """Builds the term of a reading."""

    def __init__(self, reading: Reading) -> None:
        self.reading, self.graph = reading, reading.graph
        self.names = {wire: name for name, wire in self.graph.param_wires.items()}
        self.naturals: dict[str, dict[str, Param]] = {}  # true name → the names in the term
        nodes = _live(self.graph.nodes, self.graph.outputs)
        paths = dict(zip(map(id, self.graph.root.items), reading.paths, strict=True))
        self.items = nest([(paths[id(node)], node) for node in nodes], lambda node: not any(a in self.names for a in node.args))
        self.uses = Counter(a for node in nodes for a in set(node.args))

    def term(self) -> Term:
        reads, gives = list(self.graph.inputs), list(self.graph.outputs)
        used = {self.names[w] for w in self.uses if w in self.names} | set(self.reading.states.values())
        states = {key for node, prefix in self.states() for key in self.state_keys(node, prefix)}
        idle = [name for name in self.reading.values if name not in used and name not in states]
        term = self.scope(self.items, reads, gives, (), idle)
        cells = [self.cell(true, names) for true, names in self.naturals.items() if list(names) != [true]]
        return Reparam(term, tuple(cells)) if cells else term

    def states(self) -> list[tuple[Node, str]]:
        return [(node, self.reading.states[id(node)]) for node in self.graph.nodes if id(node) in self.reading.states]

    def state_keys(self, node: Node, prefix: str) -> list[str]:
        return [prefix] if isinstance(node.op, Keep) else [f"{prefix}.{short}" for short in node.op.state_names]

    def cell(self, true: str, names: dict[str, Param]) -> Cell:
        if len(names) == 1:
            ((natural, param),) = names.items()
            return renamed(natural, param, true)
        return tied(names, true)

    # -- one scope -------------------------------------------------------------------------------------------------

    def scope(self, items: list[Any], reads: list[int], gives: list[int], path: tuple[str, ...], idle: Sequence[str] = ()) -> Term:
        names = Names(idle)
        parts = {id(item): names.new(_plain(item.name)) for item in items if isinstance(item, Part)}
        steps = [_Step([], [], point(name, self.param(name, name))) for name in idle]
        counted = Counter(a for item in items if isinstance(item, Node) for a in set(item.args) if a in self.names)
        shared = {wire for wire, times in counted.items() if times > 1}
        needed = _needed(items, gives)
        for item, later in zip(items, needed, strict=True):
            if isinstance(item, Part):
                steps.append(self.part(item, parts[id(item)], later, path))
                continue
            for wire in [a for a in dict.fromkeys(item.args) if a in shared]:
                shared.discard(wire)
                steps.append(_Step([], [wire], self.point(wire, names, path)))
            local = {wire for step in steps for wire in step.gives if wire in self.names}
            steps.append(self.step(item, names.new(_plain(item.op.name)), local, names, path))
        return self.joined(_copies(steps), reads, gives)

    def part(self, part: Part, name: str, later: set[int], path: tuple[str, ...]) -> _Step:
        """A module: one box if it is one, else a scope."""
        if len(part.items) == 1 and isinstance(node := part.items[0], Node) and self.owns(node) and self.at_home(node, (*path, name)):
            return self.step(node, name, set(), None, path)
        inside, made = _reads(part.items)
        reads = [wire for wire in inside if wire not in self.names]
        gives = [wire for wire in made if wire in later]
        return _Step(reads, gives, Scope(name, self.scope(part.items, reads, gives, (*path, name)), source=None), name)

    def owns(self, node: Node) -> bool:
        """Whether the parameters of a node are those of its op by name, and no other node reads them."""
        params = node.args[node.data :]
        named = [self.names.get(a, "").rpartition(".")[2] for a in params] == list(node.op.param_names)
        alone = all(self.uses[a] == 1 for a in params) and not any(a in self.names for a in node.args[: node.data])
        return named and alone and not isinstance(node.op, Keep)

    def at_home(self, node: Node, path: tuple[str, ...]) -> bool:
        """Whether the state of a node has the names that a box at this place gives it: not in a module that runs twice, or was renamed."""
        return not node.op.state_names or isinstance(node.op, Keep) or ".".join(path) == self.reading.states[id(node)]

    def step(self, node: Node, name: str, local: set[int], names: Names | None, path: tuple[str, ...]) -> _Step:
        """A node; ``names`` are those of the scope around it, None for a module that is this one box."""
        args, outs = list(node.args), list(node.outs)
        if isinstance(node.op, Keep):
            op = Explicit(node.op, self.graph.space(outs), len(args), (self.reading.states[id(node)],))
            return _Step(args, outs, Box(op, self.graph.space(args), name, source=node.source))
        home = self.at_home(node, (*path, name))
        params = args[node.data :]
        naturals = {short: ".".join((*path, name, short)) for short in node.op.param_names}
        true = [self.names.get(a) for a in params]
        if names is None or (home and self.owns(node) and true == list(naturals.values())):
            own = {short: self.param(str(key), naturals[short]) for short, key in zip(naturals, true, strict=True)}
            data = args[: node.data]
            return _Step(data, outs, Box(node.op, self.graph.space(data), name, own or None, node.source))
        pieces = [self.point(a, names, path) if a in self.names and a not in local else identity(self.graph.space([a])) for a in args]
        reads = [a for a in args if a not in self.names or a in local]
        keys = () if home else tuple(f".{key}" for key in self.state_keys(node, self.reading.states[id(node)]))
        op = Explicit(node.op, self.graph.space(outs), node.data, keys)
        box = Box(op, self.graph.space(args), name, source=node.source)
        return _Step(reads, outs, par(*pieces) >> box if len(reads) < len(args) else box)

    def param(self, true: str, natural: str) -> Param:
        """A parameter that the term calls ``natural``."""
        if true not in self.graph.params:
            value = self.reading.values[true]
            wire = Wire(axes(value.shape), kind(value), None, "parameter")
            self.graph.params[true] = Param(Space((wire,)), value.detach(), value.requires_grad)
        self.naturals.setdefault(true, {})[natural] = self.graph.params[true]
        return self.graph.params[true]

    def point(self, wire: int, names: Names, path: tuple[str, ...]) -> Term:
        true = self.names[wire]
        prefix = "".join(f"{part}." for part in path)
        local = true.removeprefix(prefix) if true.startswith(prefix) else true.rpartition(".")[2]
        name = names.new(local)
        return point(name, self.param(true, prefix + name))

    def joined(self, steps: list[_Step], reads: list[int], gives: list[int]) -> Term:
        """The steps one after the other."""
        last: dict[int, int] = dict.fromkeys(gives, len(steps))
        for i, step in reversed(list(enumerate(steps))):
            for wire in step.reads:
                last.setdefault(wire, i)
        live, terms = list(reads), []
        for i, step in enumerate(steps):
            kept = [wire for wire in dict.fromkeys(live) if last.get(wire, -1) > i]
            terms.append(self.wiring(live, [*step.reads, *kept]))
            terms.append(step.term @ identity(self.graph.space(kept)) if kept else step.term)
            live = [*step.gives, *kept]
            if len(step.term.cod) != len(step.gives):  # an idle parameter, read by nobody
                terms.append(
                    Wiring(step.term.cod @ self.graph.space(kept), tuple(range(len(step.term.cod), len(step.term.cod) + len(kept))))
                )
        terms.append(self.wiring(live, gives))
        return seq(*([t for t in terms if t is not None] or [identity(self.graph.space(reads))]))

    def wiring(self, live: list[int], targets: list[int]) -> Term | None:
        if live == targets:
            return None
        position = {wire: k for k, wire in reversed(list(enumerate(live)))}
        return Wiring(self.graph.space(live), tuple(position[wire] for wire in targets), None)


def _plain(name: str) -> str:
    """A name that a scope can have."""
    name = re.sub(r"[.*|?\[\]#\n]", "_", name) or "_"
    return name + "_" if name.endswith("_reverse") else name


def _live(nodes: list[Node], outputs: Sequence[int]) -> list[Node]:
    """The nodes that an output or an effect needs."""
    needed, kept = set(outputs), []
    for node in reversed(nodes):
        if node.op.effect != "pure" or needed & set(node.outs):
            needed.update(node.args)
            kept.append(node)
    return kept[::-1]


def _nodes(items: Sequence[Any]) -> list[Node]:
    return [node for item in items for node in (_nodes(item.items) if isinstance(item, Part) else [item])]


def _reads(items: Sequence[Any]) -> tuple[list[int], list[int]]:
    """The wires that items read from outside, and those that they make."""
    reads, made = {}, {}
    for node in _nodes(items):
        reads.update(dict.fromkeys(a for a in node.args if a not in made))
        made.update(dict.fromkeys(node.outs))
    return list(reads), list(made)


def _needed(items: Sequence[Any], gives: Sequence[int]) -> list[set[int]]:
    """For each item the wires that are read after it."""
    later, found = set(gives), []
    for item in reversed(items):
        found.append(set(later))
        later |= {a for node in _nodes([item]) for a in node.args}
    return found[::-1]


def _copies(steps: list[_Step]) -> list[_Step]:
    """Scopes ``0``, ``1``, ... in a row with one body are the copies of a repeat."""
    run: list[_Step] = []
    for step in [*steps, _Step([], [], identity(I))]:
        scope = step.term
        if isinstance(scope, Scope) and scope.name == str(len(run)) and (not run or scope.body == run[0].term.body):  # type: ignore[attr-defined]
            run.append(step)
            continue
        if len(run) > 1:
            for copy in run:
                copy.term = Scope(copy.term.name, copy.term.body, source=None, copy=True)  # type: ignore[attr-defined]
        run = []
    return steps


__all__ = ["Assembly"]
