"""Words: a walk through a network in plain sentences, scope by scope.

What comes in; every step with its space and its parameters; what is shared, frozen, repeated, random or keeps a state; what comes
out. Long networks are told by their scopes, so that the text stays a page or two.

>>> import catlearn as cl
>>> print(explain(cl.linear(cl.R(4), cl.R(8)).named("stem") >> cl.relu))
A network from R(4) to R(8), with 40 numbers in 2 parameters.
<BLANKLINE>
It takes R(4).
<BLANKLINE>
1. stem, a part of 1 step: R(4) → R(8), 40 numbers.
   1.1 linear: R(4) → R(8): x ↦ W x + b on the last axis. Parameters: weight R(8, 4), bias R(8).
2. relu: on R(8): max(x, 0).
<BLANKLINE>
It gives R(8): the result of 2.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from catlearn.core.graph import Graph, Node, Region, grouped
from catlearn.core.term import Term
from catlearn.meanings.phrases import about, count, effect, listed, space, total

LINES = 120  # about two pages: beyond this, scopes are told in one sentence


def explain(term: Term, lines: int = LINES) -> str:
    """The network in words. Scopes are opened as deep as at most ``lines`` lines allow."""
    teller = _Teller(term.graph)
    outline = teller.outline(term.graph.root)
    depth = max((d for d in range(1, 12) if _length(outline, d) <= lines), default=1)
    return "\n".join([*teller.beginning(term), *teller.told(outline, depth, lines), *teller.notes(), *teller.end()])


@dataclass
class _Step:
    """A node, or a scope with the steps inside (those of the first copy, for a repeat)."""

    number: str
    node: Node | None = None
    regions: list[Region] = field(default_factory=list)
    steps: list[_Step] = field(default_factory=list)


class _Teller:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.names = {wire: name for name, wire in graph.param_wires.items()}
        self.states = {old: name for name, (old, _) in graph.state_wires.items()}
        self.cells: dict[int, list[str]] = {}  # parameter-side wires that are computed, and from what
        self.where: dict[int, str] = {}  # which step gives a wire
        self.readers: dict[int, list[str]] = defaultdict(list)
        self.inside: list[tuple[str, tuple[int, ...]]] = []  # the scopes being told: number and domain

    # -- the outline ---------------------------------------------------------------------------------------------

    def outline(self, region: Region, prefix: str = "") -> list[_Step]:
        """The steps of a region, numbered; the copies of a repeat are one step."""
        steps: list[_Step] = []
        for item in grouped(region.items):
            number = f"{prefix}{len(steps) + 1}"
            if isinstance(item, Node):
                if "/" in item.name and not item.name.endswith("_reverse"):
                    self.cell(item)
                    continue
                steps.append(_Step(number, item))
                self.where.update(dict.fromkeys(item.outs, number))
                for arg in item.args:
                    for name in self.sources(arg):
                        self.readers[self.graph.param_wires[name]].append(item.name)
                continue
            if not any(True for region in item for _ in region.nodes()):
                continue
            inner = list(grouped(item[0].items))
            if len(item) == 1 and len(inner) == 1 and isinstance(inner[0], list) and len(inner[0]) > 1:
                step = _Step(number, None, [item[0], *inner[0]])
            else:
                step = _Step(number, None, item if len(item) == 1 else [item[0], *item])
            told = [self.outline(copy, f"{number}.") for copy in step.regions[1:] or step.regions]
            step.steps = told[0]  # one copy is told, all of them are read
            for copy in step.regions:
                self.where.update({o: number for o in copy.cod if o in self.where})
            steps.append(step)
        return steps

    def cell(self, node: Node) -> None:
        read = [name for arg in node.args for name in self.sources(arg)]
        self.cells.update({wire: list(dict.fromkeys(read)) for wire in node.outs})

    def sources(self, wire: int) -> list[str]:
        """The names of the parameters that a wire is, or is computed from."""
        return [self.names[wire]] if wire in self.names else self.cells.get(wire, [])

    # -- sentences -----------------------------------------------------------------------------------------------

    def beginning(self, term: Term) -> Iterable[str]:
        graph = self.graph
        size = total(param.wire.size for param in graph.params.values())
        tensors = f"{count(len(graph.params))} parameter" + "s" * (len(graph.params) != 1)
        has = f"with {count(size)} numbers in {tensors}" if graph.params else "without parameters"
        learned = total(param.wire.size for param in graph.params.values() if param.trainable)
        has += f", of which {count(learned)} learn" if learned != size else ""
        yield f"A network from {self.spaces(graph.inputs)} to {self.spaces(graph.outputs)}, {has}."
        yield ""
        if len(graph.inputs) > 1:
            some = [f"input {i + 1} in {space(graph.wires[w])}" for i, w in enumerate(graph.inputs[:8])]
            yield f"It takes {', '.join(some)}{' and more' if len(graph.inputs) > 8 else ''}."
        else:
            yield f"It takes {self.spaces(graph.inputs)}." if graph.inputs else "It takes nothing."
        yield ""

    def told(self, steps: list[_Step], depth: int, lines: int) -> list[str]:
        """Everything up to a depth, in running order; the middle of a long row is counted only."""
        found: list[str] = []
        before = self.graph.inputs
        stack = [iter(self.row(steps, before, lines))]
        while stack:
            for step, come in stack[-1]:
                indent = "   " * (len(stack) - 1)
                if isinstance(step, str):
                    found.append(indent + step)
                elif step.node is not None:
                    found.append(f"{indent}{_numbered(step)} {self.node(step.node, come)}")
                else:
                    found.append(f"{indent}{_numbered(step)} {self.scope(step, come)}")
                    if len(stack) < depth:
                        dom = (step.regions[1:] or step.regions)[0].dom
                        stack.append(iter(self.row(step.steps, dom, lines)))
                        self.inside.append((step.number, dom))
                        break
            else:
                stack.pop()
                self.inside[-1:] = []
        return found

    def row(self, steps: list[_Step], before: tuple[int, ...], lines: int) -> list[tuple[_Step | str, tuple[int, ...]]]:
        """Steps with what was there just before each; more than ``lines`` of them are cut in the middle."""
        found: list[tuple[_Step | str, tuple[int, ...]]] = []
        for step in steps:
            found.append((step, before))
            before = step.node.outs if step.node is not None else step.regions[-1].cod
        if len(found) <= lines:
            return found
        head, tail = max(lines // 2, 1), max(lines // 4, 1)
        kinds = Counter(s.node.op.name if s.node else s.regions[0].path[-1] for s in steps[head : len(steps) - tail])
        words = ", ".join(f"{n} {name}" for name, n in kinds.most_common(5))
        middle = f"... then {len(steps) - head - tail} more steps of the same kind: {words}{', ...' if len(kinds) > 5 else ''}."
        return [*found[:head], (middle, ()), *found[len(found) - tail :]]

    def node(self, node: Node, before: tuple[int, ...]) -> str:
        """One box in a sentence or two."""
        graph = self.graph
        side = [a for a in node.args if self.sources(a) or a in self.states]
        data = [a for a in node.args if a not in side]
        last = node.name.rpartition(".")[2].rpartition("/")[2]
        own = re.sub(r"_\d+$|#\d+$", "", last.removesuffix("_reverse")) != node.op.name and last
        head = f"{last} ({node.op.name})" if own else node.op.name
        outs = node.outs[: len(node.outs) - len(node.op.state_names)]
        come, gives = [space(graph.wires[a]) for a in data], [space(graph.wires[o]) for o in outs]
        if come and set(come) == set(gives) and len(set(gives)) == 1:
            text = f"{head}: on {gives[0]}"
        else:
            text = f"{head}: {' and '.join(come) or 'nothing'} → {' and '.join(gives)}"
        sentence = node.op.told(graph.space(data)) or about(node.op)
        text += f": {sentence}." if sentence else "."
        if tuple(dict.fromkeys(data)) != tuple(dict.fromkeys(before)) and data:
            text += f" It reads {listed([self.place(a) for a in data])}."
        return text + self.params(side) + effect(node)

    def place(self, wire: int) -> str:
        """Where a wire comes from, in words."""
        if self.inside and wire in self.inside[-1][1]:
            number, dom = self.inside[-1]
            several = len(set(dom)) > 1
            return f"what enters {number}" + (f" as number {list(dict.fromkeys(dom)).index(wire) + 1}" if several else "")
        if wire in self.graph.inputs:
            return f"input {self.graph.inputs.index(wire) + 1}" if len(self.graph.inputs) > 1 else "the input"
        return f"the result of {self.where[wire]}" if wire in self.where else "a value from outside"

    def params(self, wires: list[int]) -> str:
        shown, text = [], ""
        for wire in wires:
            if wire in self.cells:
                text += f" One parameter {space(self.graph.wires[wire])} is read off {listed(self.cells[wire])}."
            elif wire in self.names:
                name = self.names[wire]
                frozen = "" if self.graph.params[name].trainable else " (frozen)"
                shown.append(f"{name.rpartition('.')[2]} {space(self.graph.wires[wire])}{frozen}")
        return (f" Parameters: {', '.join(shown)}." if shown else "") + text

    def scope(self, step: _Step, before: tuple[int, ...]) -> str:
        """One scope, or all copies of a repeat."""
        region, copies = step.regions[0], step.regions[1:]
        nodes = list(region.nodes()) if not copies or copies[0] is not region else [n for c in copies for n in c.nodes()]
        name = region.path[-1] if not region.repeated else "repeat"
        inside = len(step.steps)
        text = f"{name}, a part of {inside} step{'s' * (inside != 1)}"
        read = {source: None for node in nodes for a in node.args for source in self.sources(a)}
        if copies:
            own = not self.shared_between(copies)
            how = "" if not read else ", each with its own parameters" if own else ", sharing some of the parameters"
            text += f", done {len(copies)} times in a row{how}"
        size = total(self.graph.params[source].wire.size for source in read)
        counted = f", {count(size)} numbers" if read else ""
        if copies and read:
            counted += " in all"
        dom, cod = (copies[0] if copies else region).dom, (copies[-1] if copies else region).cod
        text += f": {self.spaces(dom)} → {self.spaces(cod)}{counted}."
        if tuple(dict.fromkeys(dom)) != tuple(dict.fromkeys(before)) and dom:
            text += f" It reads {listed([self.place(a) for a in dict.fromkeys(dom)])}."
        if region.checkpoint:
            text += " Its activations are computed again in the backward pass."
        return text

    def shared_between(self, copies: list[Region]) -> bool:
        seen: set[str] = set()
        for copy in copies:
            mine = {source for node in copy.nodes() for a in node.args for source in self.sources(a)}
            if seen & mine:
                return True
            seen |= mine
        return False

    def notes(self) -> Iterable[str]:
        """What is worth knowing besides: shared and frozen parameters, effects."""
        graph, notes = self.graph, []
        for name, wire in list(graph.param_wires.items()):
            readers = list(dict.fromkeys(self.readers[wire]))
            if len(readers) > 1:
                more = f" and {len(readers) - 4} more" if len(readers) > 4 else ""
                notes.append(f"Shared: {name} is one parameter, used by {listed(readers[:4])}{more}.")
        if len(notes) > 8:
            notes = [*notes[:8], f"... and {len(notes) - 8} more parameters are shared."]
        frozen = [name for name, param in graph.params.items() if not param.trainable]
        if frozen:
            notes.append(f"Frozen (they do not learn): {listed(frozen[:6])}{f' and {len(frozen) - 6} more' if len(frozen) > 6 else ''}.")
        random = Counter(node.op.name for node in graph.nodes if node.op.effect == "random")
        if random:
            notes.append(f"Random while training: {listed([f'{n} × {name}' for name, n in random.items()])}.")
        if graph.states:
            some = list(graph.states)
            notes.append(f"Keeps a state beside the parameters: {listed(some[:4])}{f' and {len(some) - 4} more' if len(some) > 4 else ''}.")
        return ["", *notes] if notes else []

    def end(self) -> Iterable[str]:
        graph = self.graph
        unread = [self.place(w) for w in graph.inputs if not any(w in n.args for n in graph.nodes) and w not in graph.outputs]
        yield ""
        if unread:
            yield f"{listed(unread).capitalize()} is not used."
        if not graph.outputs:
            yield "It gives nothing."
            return
        places = list(dict.fromkeys(self.names.get(w) or self.place(w) for w in graph.outputs))
        more = " and more" if len(places) > 6 else ""
        yield f"It gives {self.spaces(graph.outputs)}: {listed(places[:6])}{more}."

    def spaces(self, wires: tuple[int, ...]) -> str:
        shown = [space(self.graph.wires[w]) for w in wires[:6]]
        return (" @ ".join(shown) + (f" @ ... ({len(wires)} wires)" if len(wires) > 6 else "")) or "I"


def _numbered(step: _Step) -> str:
    return step.number if "." in step.number else f"{step.number}."


def _length(steps: list[_Step], depth: int) -> int:
    """How many lines an outline takes when opened to this depth."""
    lines, level = 0, steps
    for _ in range(depth):
        lines += len(level)
        level = [inner for step in level for inner in step.steps]
    return lines
