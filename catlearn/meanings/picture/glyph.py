"""One box with what enters it from above: parameter stubs, cells, and the feet of wires from the rail.

>>> import catlearn as cl
>>> from catlearn.meanings.picture.diagram import Diagram
>>> diagram = Diagram(cl.linear(cl.R(4), cl.R(2)).graph)
>>> glyph = Glyphs(diagram, {}).of(diagram.view.parts[0], set())
>>> [label.text for label in glyph.scene.labels], glyph.scene.boxes[0].title
(['weight R(2, 4)', 'bias R(2)'], 'linear')
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from catlearn.meanings.picture.diagram import Diagram, Part
from catlearn.meanings.picture.layers import Item
from catlearn.meanings.picture.naming import count, short
from catlearn.meanings.picture.scene import SMALL, TITLE, Curve, Dot, Label, Port, Rect, Scene, text_width

ROW, FOOT, PORT = 14.0, 12.0, 18.0  # a stub's label, the space below stubs, the distance of ports


@dataclass
class Glyph:
    """A drawing that the layout can place: its scene from its own corner, its item, and where the rail's wires end."""

    scene: Scene
    item: Item
    feet: dict[int, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Leaf:
    """What a stub shows: one parameter, or a number of them."""

    label: str
    kind: str
    wire: int
    tip: str


class Glyphs:
    """Makes glyphs; ``cells`` finds the cell that gives a wire."""

    def __init__(self, diagram: Diagram, cells: dict[int, Part]) -> None:
        self.graph, self.bundles, self.cells = diagram.graph, diagram.bundles, cells
        self.uses = diagram.uses
        self.params = {wire: name for name, wire in self.graph.param_wires.items()}
        self.states = {old: name for name, (old, _) in self.graph.state_wires.items()}
        self.ends = {new for _, new in self.graph.state_wires.values()}  # the states after the run

    def of(self, part: Part, rail: set[int]) -> Glyph:
        """The box of a part; wires in ``rail`` come from outside, the other wires that it needs are its own."""
        own = [wire for wire in part.needs if wire not in rail]
        cells = list({id(self.cells[w]): self.cells[w] for w in own if w in self.cells}.values())
        blocks = [self.of(cell, rail) for cell in cells]
        leaves = self.leaves([wire for wire in own if wire not in self.cells], part)
        feet = [wire for wire in part.needs if wire in rail]

        w, h = self.size(part)
        x, places = 12.0, {}
        for wire in feet:
            places[wire] = x
            x += 9.0
        starts = []
        for block in blocks:
            starts.append(x)
            x += block.item.w + 10.0
        ports = [x + 12.0 * i for i in range(len(leaves))]
        w = max(w, (ports[-1] if ports else x - 9.0) + 12.0)
        rise = max([ROW * len(leaves) + FOOT if leaves else 0.0, *(b.item.h + FOOT for b in blocks), FOOT if feet else 0.0])
        right = max([w, *(p + 6.0 + text_width(leaf.label, SMALL) for p, leaf in zip(ports, leaves, strict=True))])

        scene = Scene()
        tops: list[Port] = []
        for i, (leaf, px) in enumerate(zip(leaves, ports, strict=True)):
            top = rise - FOOT - ROW * (len(leaves) - 1 - i) - 4.0
            self.stub(scene, leaf, px, top, rise)
            tops.append(Port("top", leaf.wire, (px, rise)))
        for block, cell, start in zip(blocks, cells, starts, strict=True):
            tops += self.on_top(scene, block, cell, start, rise, own)
        tops += [Port("top", wire, (px, rise)) for wire, px in places.items()]
        ins = [rise + y for y in _spread(len(part.ins), h)]
        outs = [rise + y for y in _spread(len(part.outs), h)]
        sides = [Port("in", wire, (0.0, y)) for wire, y in zip(part.ins, ins, strict=True)]
        sides += [Port("out", wire, (w, y)) for wire, y in zip(part.outs, outs, strict=True)]
        scene.boxes.append(Rect(0.0, rise, w, h, self.kind(part), self.title(part), part.lines, part.tip, part.name, part.times,
                                (*sides, *tops)))  # fmt: skip
        extra = 6.0 * (part.times > 1)
        item = Item(right + extra, rise + h + extra, ins, outs, 0.0, w, self.lead(part))
        return Glyph(scene, item, {wire: (px, rise) for wire, px in places.items()})

    def on_top(self, scene: Scene, block: Glyph, cell: Part, start: float, rise: float, own: list[int]) -> list[Port]:
        """A cell above its only reader, and the wires between them."""
        top = rise - FOOT - block.item.h
        scene.add(block.scene.shifted(start, top))
        box, tops = scene.boxes[-1], []
        given = [wire for wire in cell.outs if wire in own]
        for i, wire in enumerate(given):
            px = box.x + box.w * (i + 1) / (len(given) + 1)
            scene.curves.append(Curve(((px, box.y + box.h), (px, rise)), "parameter", wire, self.tip(wire), True, False))
            tops.append(Port("top", wire, (px, rise)))
        return tops

    def stub(self, scene: Scene, leaf: Leaf, x: float, top: float, bottom: float) -> None:
        scene.curves.append(Curve(((x, top), (x, bottom)), leaf.kind, leaf.wire, leaf.tip, True, False))
        scene.dots.append(Dot(x, top, leaf.kind, leaf.tip))
        scene.labels.append(Label(x + 6.0, top + 3.5, leaf.label, leaf.kind))

    # -- words ---------------------------------------------------------------------------------------------------

    def leaves(self, wires: list[int], part: Part) -> list[Leaf]:
        """One stub for each parameter of a box; one for all of a folded scope, and one for its frozen ones."""
        if part.kind != "fold" and len(wires) <= 6:
            return [self.leaf(wire) for wire in wires]
        found = []
        for kind in ("parameter", "frozen", "state"):
            some = [wire for wire in wires if self.wire_kind(wire) == kind]
            if len(some) == 1:
                found.append(self.leaf(some[0]))
            elif some:
                total: Any = 0
                for wire in some:
                    total = self.graph.wires[wire].size + total
                what = {"parameter": "parameters", "frozen": "frozen", "state": "states"}[kind]
                label = f"{len(some)} {what} · {count(total)}"
                listed = [self.tip(wire) for wire in some[:12]] + ["…"] * (len(some) > 12)
                found.append(Leaf(label, kind, some[0], "\n".join(listed)))
        return found

    def leaf(self, wire: int) -> Leaf:
        """One parameter as a stub."""
        name = self.params.get(wire) or self.states.get(wire) or f"wire {wire}"
        return Leaf(f"{name.rpartition('.')[2]} {short(self.graph.wires[wire])}", self.wire_kind(wire), wire, self.tip(wire))

    def wire_kind(self, wire: int) -> str:
        """parameter, frozen or state."""
        if wire in self.states:
            return "state"
        name = self.params.get(wire)
        return "frozen" if name is not None and not self.graph.params[name].trainable else "parameter"

    def tip(self, wire: int) -> str:
        """The full name and the space of a wire."""
        if wire < 0:
            return "\n".join(short(self.graph.wires[w], 60) for w in self.bundles[wire][:12])
        name = self.params.get(wire) or self.states.get(wire)
        space = short(self.graph.wires[wire], 80)
        if name is None:
            return space
        frozen = ", frozen" if self.wire_kind(wire) == "frozen" else ""
        shared = f", used {self.uses[wire]} times" if self.uses[wire] > 1 else ""
        return f"{name}: {space}{frozen}{shared}"

    def last(self, wire: int) -> str:
        """What becomes of a wire that nothing reads."""
        return "the new state" if wire in self.ends else "discarded"

    def label(self, wire: int) -> str:
        """The small label of a wire."""
        return f"{len(self.bundles[wire])} wires" if wire < 0 else short(self.graph.wires[wire])

    def labelled(self, part: Part) -> list[int]:
        """The outputs of a part that are in another space than what came in."""
        come = {self.label(wire) for wire in part.ins}
        shown = [] if part.kind in ("cell", "frame") else [wire for wire in part.outs if wire not in self.ends]
        return [wire for wire in shown if self.label(wire) not in come]

    def lead(self, part: Part) -> float:
        """How far its wires run straight, so that their labels have room."""
        behind = 6.0 * (part.times > 1)
        return behind + max((text_width(self.label(wire), SMALL) + 10.0 for wire in self.labelled(part)), default=0.0)

    def title(self, part: Part) -> str:
        mark = "∂ " if part.kind != "op" and part.backward else ""
        return mark + part.title + (f" ×{part.times}" if part.times > 1 else "")

    def kind(self, part: Part) -> str:
        if part.kind != "cell" and part.backward:
            return "backward" if part.kind == "op" else "backfold"
        if part.kind == "op" and len(part.title) == 1 and not part.title.isalnum():
            return "symbol"
        return "random" if part.random and part.kind == "op" else part.kind

    def size(self, part: Part) -> tuple[float, float]:
        """The width and height that a box needs for its words and ports."""
        if self.kind(part) == "symbol":
            return 30.0, max(30.0, PORT * max(len(part.ins), len(part.outs)) - 6.0)
        words = [text_width(self.title(part), TITLE), *(text_width(line, SMALL) for line in part.lines)]
        tall = 24.0 + 13.0 * len(part.lines) if part.kind == "cell" else 30.0 + 13.0 * len(part.lines)
        tall += 8.0 * (part.kind == "fold")
        sides = 0 if part.kind == "cell" else max(len(part.ins), len(part.outs))
        return max(44.0, max(words) + 22.0), max(tall, PORT * sides + 6.0)


def _spread(n: int, h: float) -> list[float]:
    """n ports along a side."""
    return [h * (2 * i + 1) / (2 * n) for i in range(n)]
