"""From views to a scene: every view is laid out by itself, an opened scope becomes one item of the view around it.

>>> import catlearn as cl
>>> made = scene(cl.linear(cl.R(4), cl.R(2)) >> cl.relu)
>>> [box.title for box in made.boxes], len(made.curves)
(['linear', 'relu'], 5)
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from catlearn import errors
from catlearn.core.spaces import Space
from catlearn.core.term import Term
from catlearn.meanings.picture.diagram import Diagram, Fold, Part, View
from catlearn.meanings.picture.glyph import PORT, Glyph, Glyphs
from catlearn.meanings.picture.layers import NEAR, Item, Net
from catlearn.meanings.picture.layout import Placed, place
from catlearn.meanings.picture.naming import short
from catlearn.meanings.picture.rail import Rail
from catlearn.meanings.picture.scene import SMALL, Curve, Dot, Label, Port, Rect, Scene, text_width

MARGIN, HEAD = 14.0, 24.0


def scene(term: Term, fold: Fold = True, limit: int | None = 2000) -> Scene:
    """The scene of a term. Raises ``TooManyBoxes`` above ``limit`` boxes."""
    diagram = Diagram(term.graph, fold)
    boxes = _boxes(diagram.view)
    if limit is not None and boxes > limit:
        raise errors.TooManyBoxes(boxes, limit)
    made = _Composer(diagram).view(diagram.view, set(), root=True).scene
    left, top, right, bottom = made.bounds()
    made = made.shifted(MARGIN - left, MARGIN - top)
    made.width, made.height = right - left + 2 * MARGIN, bottom - top + 2 * MARGIN
    made.title = _title(term)
    made.description = f"String diagram, time from left to right, {boxes} box{'es' * (boxes != 1)}: " + ", ".join(
        b.title for b in made.boxes[:12]
    )
    return made


def _title(term: Term) -> str:
    def row(space: Space) -> str:
        shown = [short(wire, 60) for wire in space.wires[:6]]
        return " @ ".join(shown) + (f" @ … ({len(space)} wires)" if len(space) > 6 else "") if shown else "I"

    return f"{term.title}: {row(term.dom)} → {row(term.cod)}"


def _boxes(view: View) -> int:
    return sum(1 if part.view is None else _boxes(part.view) for part in view.parts)


@dataclass
class _Wires:
    """Where the wires of a view begin and end among its items."""

    nets: list[Net]
    wire: list[int]


class _Composer:
    def __init__(self, diagram: Diagram) -> None:
        self.diagram = diagram
        self.cells: dict[int, Part] = {}
        self.glyphs = Glyphs(diagram, self.cells)
        back = {o for node in diagram.graph.nodes if node.name.endswith("_reverse") for o in node.outs}
        readers: dict[int, list[bool]] = defaultdict(list)
        for node in diagram.graph.nodes:
            for a in node.args:
                readers[a].append(node.name.endswith("_reverse"))
        self.back = back | {w for w in diagram.graph.inputs if readers[w] and all(readers[w])}

    def view(self, view: View, outside: set[int], root: bool = False) -> Glyph:
        """A view as a glyph: its items placed, its wires drawn, the rail of shared parameters above."""
        rail = Rail(self.glyphs, view, outside)
        self.cells.update({wire: part for part in view.parts if part.kind == "cell" for wire in part.outs})
        parts = [part for part in view.parts if part not in rail.owned and part not in rail.lifted]
        glyphs = [self.part(part, rail.wires) for part in parts]
        points = [wire for wire in dict.fromkeys(view.outs) if wire in self.diagram.side]
        sources = [Item(0.0, PORT - 8, [], [(PORT - 8) / 2], end="source", lead=self.lead(wire) if root else 0.0) for wire in view.ins]
        sinks = [Item(0.0, PORT - 8, [(PORT - 8) / 2], [], end="sink") for _ in view.outs]
        starts = [self.point(wire) for wire in points]
        items = [*sources, *(s.item for s in starts), *(g.item for g in glyphs), *sinks]
        wires = self.nets(view, points, parts)
        placed = place(items, wires.nets)
        made, shift = Scene(), len(sources)
        for glyph, (x, y) in zip([*starts, *glyphs], placed.at[shift:], strict=False):
            made.add(glyph.scene.shifted(x, y))
        self.draw(made, placed, items, wires, view, root)
        if root:
            for wire, (x, y) in zip(view.ins, placed.at, strict=False):
                made.labels.append(Label(x + 2, y + 0.5, self.glyphs.label(wire)))
        feet = rail.draw(made, placed, items, [(i + shift + len(starts), p, g) for i, (p, g) in enumerate(zip(parts, glyphs, strict=True))])
        return self.framed(made, placed, len(sources), len(sinks), feet)

    def framed(self, made: Scene, placed: Placed, n: int, m: int, feet: dict[int, tuple[float, float]]) -> Glyph:
        """The glyph of a view: its corner at the origin, the heights of its ports."""
        _, top, right, bottom = made.bounds()
        right = max(right, placed.width)
        half = (PORT - 8) / 2
        ins = [y - top + half for _, y in placed.at[:n]]
        outs = [y - top + half for _, y in placed.at[len(placed.at) - m :]]
        item = Item(right, bottom - top, ins, outs, 0.0, placed.width)
        return Glyph(made.shifted(0.0, -top), item, {wire: (x, y - top) for wire, (x, y) in feet.items()})

    def part(self, part: Part, rail: set[int]) -> Glyph:
        """A box, or a frame with its view inside."""
        if part.view is None:
            return self.glyphs.of(part, rail)
        inner = self.view(part.view, rail & set(part.needs))
        title = self.glyphs.title(part) if part.title != "repeat" else f"×{part.times}"
        wide = max(inner.item.w + 2 * MARGIN, text_width(title, SMALL) + 2 * MARGIN)
        tall = inner.item.h + HEAD + MARGIN
        w = wide
        made = Scene()
        made.add(inner.scene.shifted(MARGIN, HEAD))
        ins, outs = [y + HEAD for y in inner.item.ins], [y + HEAD for y in inner.item.outs]
        for wire, y in zip(part.view.ins, ins, strict=True):
            made.curves.append(Curve(((0.0, y), (MARGIN + NEAR, y)), self.wire_kind(wire), wire, self.glyphs.tip(wire)))
        for wire, y in zip(part.view.outs, outs, strict=True):
            made.curves.append(Curve(((MARGIN + (inner.item.x_out or 0.0), y), (w, y)), self.wire_kind(wire), wire, self.glyphs.tip(wire)))
        feet = {wire: (x + MARGIN, 0.0) for wire, (x, _) in inner.feet.items()}
        for wire, (x, y) in inner.feet.items():
            made.curves.append(Curve(((x + MARGIN, 0.0), (x + MARGIN, y + HEAD)), self.glyphs.wire_kind(wire), wire, smooth=False))
        for i, wire in enumerate(wire for wire in part.needs if wire in rail and wire not in feet):
            feet[wire] = (wide - 10.0 - 6.0 * i, 0.0)  # read by another copy than the one that is shown
        ports = [Port("in", wire, (0.0, y)) for wire, y in zip(part.ins, ins, strict=True)]
        ports += [Port("out", wire, (w, y)) for wire, y in zip(part.outs, outs, strict=True)]
        ports += [Port("top", wire, xy) for wire, xy in feet.items()]
        made.frames.insert(0, Rect(0.0, 0.0, wide, tall, "frame", title, (), part.tip, part.name, part.times, tuple(ports)))
        extra = 6.0 * (part.times > 1)
        item = Item(wide + extra, tall + extra, ins, outs, 0.0, w, frame=True)
        return Glyph(made, item, feet)

    def point(self, wire: int) -> Glyph:
        """A parameter that is itself an output."""
        leaf, made = self.glyphs.leaf(wire), Scene()
        made.dots.append(Dot(4.0, 16.0, leaf.kind, leaf.tip))
        made.labels.append(Label(0.0, 10.0, leaf.label, leaf.kind))
        return Glyph(made, Item(text_width(leaf.label, SMALL), 22.0, [], [16.0], 0.0, 4.0))

    def nets(self, view: View, points: list[int], parts: list[Part]) -> _Wires:
        """One net for each wire that something gives."""
        first = len(view.ins) + len(points)
        given: dict[int, tuple[int, int]] = {}
        for i, wire in enumerate((*view.ins, *points)):
            given.setdefault(wire, (i, 0))
        for i, part in enumerate(parts):
            given.update({wire: (first + i, k) for k, wire in enumerate(part.outs)})
        ends: dict[int, list[tuple[int, int]]] = {wire: [] for wire in given}
        for i, part in enumerate(parts):
            for k, wire in enumerate(part.ins):
                ends.setdefault(wire, []).append((first + i, k))
        for k, wire in enumerate(view.outs):
            ends.setdefault(wire, []).append((first + len(parts) + k, 0))
        wires = [wire for wire in ends if wire in given]
        return _Wires([Net(given[wire], ends[wire]) for wire in wires], wires)

    def draw(self, made: Scene, placed: Placed, items: list[Item], wires: _Wires, view: View, root: bool) -> None:
        """The curves, copies, ends and labels of all wires of a view."""
        glyphs, sinks = self.glyphs, len(items) - len(view.outs)
        points_at = {i for i, item in enumerate(items[:sinks]) if not item.frame} | set(range(sinks, len(items) if root else 0))
        for route in placed.routes:
            wire, net = wires.wire[route.net], wires.nets[route.net]
            arrow = route.target >= 0 and net.targets[route.target][0] in points_at
            made.curves.append(Curve(route.points, self.wire_kind(wire), wire, glyphs.tip(wire), arrow))
        for k, (x, y) in placed.branches:
            made.dots.append(Dot(x, y, self.wire_kind(wires.wire[k]), f"copy of {glyphs.tip(wires.wire[k])}"))
        named = {wire: 5.0 + 6.0 * (part.times > 1) for part in view.parts for wire in glyphs.labelled(part)}
        for wire, net in zip(wires.wire, wires.nets, strict=True):
            (item, port), kind = net.source, self.wire_kind(wire)
            (x, y), out = placed.at[item], items[item].x_out
            x, y = x + (items[item].w if out is None else out), y + items[item].outs[port]
            if not net.targets:
                made.curves.append(Curve(((x, y), (x + 16, y)), "state" if wire in glyphs.ends else kind, wire, glyphs.tip(wire)))
                made.dots.append(Dot(x + 16, y, "state" if wire in glyphs.ends else "end", f"{glyphs.last(wire)}: {glyphs.tip(wire)}"))
            if wire in named:
                made.labels.append(Label(x + named[wire], y - 4.5, glyphs.label(wire)))

    def wire_kind(self, wire: int) -> str:
        if wire < 0:
            kind = self.wire_kind(self.diagram.bundles[wire][0])
            return "thick" if kind == "wire" else "backthick"
        return "backward" if wire in self.back else "wire"

    def lead(self, wire: int) -> float:
        return text_width(self.glyphs.label(wire), SMALL) + 8.0
