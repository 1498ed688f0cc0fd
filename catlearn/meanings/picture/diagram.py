"""What will be drawn: the graph of a term as nested views, folded at scopes, repeats shown once.

A ``View`` is a row of parts; a ``Part`` becomes one box (an op, a folded scope, a cell on parameters) or one frame with a view
inside. Wires made of parameters alone enter from above, all others from the left.

>>> import catlearn as cl
>>> net = cl.repeat(3, cl.linear(cl.R(4), cl.R(4))).named("body") >> cl.relu
>>> [(p.title, p.kind, p.times) for p in Diagram(net.graph, fold=True).view.parts]
[('body', 'fold', 3), ('relu', 'op', 1)]
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from catlearn import errors
from catlearn.core.graph import Graph, Node, Region, grouped
from catlearn.core.select import exact_matcher
from catlearn.meanings.picture.naming import REVERSE, describe, names, summary

BUNDLE = 2  # more wires than this between the same folded boxes are drawn as one


@dataclass(eq=False)
class Part:
    """One box or frame. ``ins`` and ``outs`` are wires on the sides, ``needs`` the wires that enter from above."""

    kind: str  # op, fold, frame, cell
    name: str
    nodes: list[Node]
    ins: list[int] = field(default_factory=list)
    outs: list[int] = field(default_factory=list)
    needs: list[int] = field(default_factory=list)
    title: str = ""
    lines: tuple[str, ...] = ()
    tip: str = ""
    times: int = 1
    view: View | None = None

    @property
    def backward(self) -> bool:
        """Whether it is part of a backward pass."""
        return all(node.name.endswith(REVERSE) for node in self.nodes)

    @property
    def random(self) -> bool:
        return any(node.op.effect == "random" for node in self.nodes)


@dataclass(eq=False)
class View:
    """The inside of a scope: its parts in running order, and the wires through its left and right border."""

    parts: list[Part]
    ins: list[int]
    outs: list[int]


Fold = bool | int | str


class Diagram:
    """The views of a graph. ``fold``: True (top-level scopes), a depth, a pattern of scope names, or False."""

    def __init__(self, graph: Graph, fold: Fold = True) -> None:
        self.graph = graph
        self.bundles: dict[int, list[int]] = {}
        root, self.raised = regrouped(graph)
        self.collapse = fold is not False
        self.hits = 0
        self.folded = self._folding(fold, root)
        self.side = set(graph.param_wires.values()) | {old for old, _ in graph.state_wires.values()}
        for node in graph.nodes:
            if is_cell(node):
                self.side.update(node.outs)
        self.uses = Counter(a for node in graph.nodes for a in node.args) + Counter(graph.outputs)
        self.view = self.build(root, 0, list(graph.inputs), list(graph.outputs))

    def _folding(self, fold: Fold, root: Region) -> Callable[[tuple[str, ...], int], bool]:
        if isinstance(fold, str):
            paths = [".".join(r.path) for r in _regions(root)]
            match = exact_matcher(fold)
            if not any(match(path) for path in paths):
                raise errors.NothingMatched(fold, paths, "scope")
            return lambda path, depth: match(".".join(path))
        return lambda path, depth: fold is not False and depth >= int(fold)

    def build(self, region: Region, depth: int, ins: list[int], outs: list[int]) -> View:
        """The view of a region's items, whose border has these wires."""
        parts: list[Part] = []
        cells: dict[str, Part] = {}
        for item in grouped(region.items, self.collapse):
            if isinstance(item, Node):
                prefix = item.name.partition("/")[0]
                if is_cell(item) and prefix in cells:
                    cells[prefix].nodes.append(item)
                    continue
                part = Part("cell" if is_cell(item) else "op", item.name, [item])
                if part.kind == "cell":
                    cells[prefix] = part
                parts.append(part)
            else:
                part = self.scope(item, depth)
                parts += [part] if part else []
        for part in parts:
            if part.kind in ("op", "cell"):
                self.ports(part)
                describe(self.graph, part, self.raised)
        self.bundle(parts, outs)
        if self.raised and not region.path:
            outs = self.bundle_outputs(parts, outs)
        return View(parts, ins, outs)

    def ports(self, part: Part) -> None:
        """Data left, parameters above, all results right."""
        inside = {o for node in part.nodes for o in node.outs}
        args = [a for node in part.nodes for a in node.args if a not in inside]
        above = args if part.kind == "cell" else [a for a in args if a in self.side]
        part.needs = list(dict.fromkeys(above))
        part.ins = [] if part.kind == "cell" else [a for a in args if a not in self.side]
        used = Counter(a for node in part.nodes for a in node.args)
        part.outs = [o for node in part.nodes for o in node.outs if part.kind == "op" or self.uses[o] > used[o]]

    def scope(self, regions: list[Region], depth: int) -> Part | None:
        """One scope, or all copies of a repeat, as a box or a frame; None if nothing is in it."""
        first = regions[0]
        title, path = (first.path[-1] if not first.repeated or len(regions) == 1 else ""), first.path
        depth += not first.repeated
        inner = list(grouped(first.items, self.collapse))
        if len(regions) == 1 and len(inner) == 1 and isinstance(inner[0], list) and len(inner[0]) > 1:
            regions = inner[0]
        nodes = [node for region in regions for node in region.nodes()]
        if not nodes:
            return None
        fold = self.folded(path, depth) and (bool(title) or depth == 0)
        part = Part("fold" if fold else "frame", ".".join(path), nodes, title=title or "repeat", times=len(regions))
        ins, outs = self.border(regions, part)
        if not fold:
            part.view = self.build(regions[0], depth, ins, outs)
        if part.times == 1 and self.raised:
            part.times = max(1, len({n.name.removeprefix(part.name + ".").partition(".")[0] for n in nodes if _counted(n, part.name)}))
        summary(self.graph, part, regions[0])
        return part

    def border(self, regions: list[Region], part: Part) -> tuple[list[int], list[int]]:
        """The ports of a scope; returns the border of the view inside, which is that of the first copy."""
        first, last = regions[0], regions[-1]
        inside = {o for node in part.nodes for o in node.outs}
        used = Counter(a for node in part.nodes for a in node.args)
        outer = dict.fromkeys(a for a in used if a not in inside)
        part.needs = [a for a in outer if a in self.side]
        results = [j for j, wire in enumerate(last.cod) if wire in inside and wire not in last.cod[:j]]
        escaping = [o for o in inside if self.uses[o] > used[o] and o not in set(last.cod)]
        part.outs = [last.cod[j] for j in results] + sorted(escaping)
        ends = [first.cod[j] for j in results] + sorted(o for o in escaping if len(regions) == 1)
        part.outs = part.outs[: len(ends)]
        through = {wire for wire in ends if wire in first.dom}
        wanted = dict.fromkeys(wire for wire in first.dom if wire in outer or wire in through)
        part.ins = [a for a in (*wanted, *outer) if a not in self.side]
        part.ins = list(dict.fromkeys(part.ins))
        return list(part.ins), ends

    def bundle(self, parts: list[Part], outs: list[int]) -> None:
        """Many wires between the same folded boxes become one thick wire."""
        readers: dict[int, list[Part]] = {}
        for part in parts:
            for wire in dict.fromkeys(part.ins):
                readers.setdefault(wire, []).append(part)
        for part in parts:
            together: dict[tuple[Part, ...], list[int]] = {}
            for wire in part.outs:
                who = tuple(readers.get(wire, ()))
                if part.kind == "fold" and who and wire not in outs and all(p.kind == "fold" for p in who):
                    together.setdefault(who, []).append(wire)
            for who, wires in together.items():
                if len(wires) > BUNDLE:
                    key, gone = -1 - len(self.bundles), set(wires)
                    self.bundles[key] = wires
                    for p in who:
                        p.ins = [w for w in p.ins if w not in gone] + [key]
                    part.outs = [w for w in part.outs if w not in gone] + [key]

    def bundle_outputs(self, parts: list[Part], outs: list[int]) -> list[int]:
        """A folded part of a backward pass gives its many cotangents as one thick wire."""
        read = {wire for part in parts for wire in part.ins}
        for part in parts:
            some = [wire for wire in outs if wire in set(part.outs) - read and outs.count(wire) == 1]
            if part.kind == "fold" and len(some) > BUNDLE:
                key = -1 - len(self.bundles)
                self.bundles[key] = some
                part.outs = [w for w in part.outs if w not in some] + [key]
                outs = [key if w == some[0] else w for w in outs if w == some[0] or w not in some]
        return outs


def is_cell(node: Node) -> bool:
    """Whether this node reads a parameter off others (a 2-cell), in the forward pass."""
    return "/" in node.name and not node.name.endswith(REVERSE)


def _counted(node: Node, name: str) -> bool:
    return node.name.startswith(name + ".") and node.name.removeprefix(name + ".").partition(".")[0].isdecimal()


def _regions(root: Region) -> Iterable[Region]:
    stack = [root]
    while stack:
        top = stack.pop()
        if top.path:
            yield top
        stack += [item for item in reversed(top.items) if isinstance(item, Region)]


def regrouped(graph: Graph) -> tuple[Region, bool]:
    """The root region; for a backward pass, which is flat, its scopes are rebuilt from the names."""
    flat = not any(isinstance(item, Region) for item in graph.root.items)
    if not flat or not any(node.name.endswith(REVERSE) for node in graph.nodes):
        return graph.root, False
    return _gather(graph.nodes, (), graph), True


def _gather(nodes: list[Node], path: tuple[str, ...], graph: Graph) -> Region:
    """Runs of nodes with the same next name and the same direction become regions."""
    region, run = Region(path), list[Node]()
    key: tuple[str, bool] | None = None
    for node in (*nodes, None):
        here = None if node is None else (names(node, len(path)), node.name.endswith(REVERSE))
        if key is not None and here != key and run:
            region.items += run if not key[0] else [_gather(run, (*path, key[0]), graph)]
            run = []
        if node is not None:
            run.append(node)
        key = here
    return region
