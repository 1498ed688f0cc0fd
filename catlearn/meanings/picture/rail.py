"""The rail: parameters with more than one reader, and cells that feed several boxes, run above a view and fan out downwards.

>>> import catlearn as cl
>>> from catlearn.meanings.picture.compose import scene
>>> x = cl.R(3)
>>> tied = (cl.linear(x, x, bias=False) >> cl.linear(x, x, bias=False)).at("*.weight").tie()
>>> made = scene(tied)
>>> len([dot for dot in made.dots if dot.kind == "parameter"]), len([c for c in made.curves if c.kind == "parameter" and c.arrow])
(1, 2)
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from catlearn.meanings.picture.diagram import Part, View
from catlearn.meanings.picture.glyph import Glyph, Glyphs, Leaf
from catlearn.meanings.picture.layers import Item
from catlearn.meanings.picture.layout import Placed
from catlearn.meanings.picture.scene import SMALL, XY, Curve, Dot, Label, Scene, text_width

LANE = 20.0


@dataclass
class _Drop:
    """One end of a rail wire: where it comes down, and the corner it must go around if something is above it."""

    end: XY
    over: XY | None  # in the gap left of the layer, at the height where it turns
    arrow: bool = True


class Rail:
    """What a view shows above: ``wires`` that run on its rail, the cells ``lifted`` onto it, the cells ``owned`` by one box."""

    def __init__(self, glyphs: Glyphs, view: View, outside: set[int]) -> None:
        self.glyphs, self.outside = glyphs, outside
        self.readers: dict[int, list[Part]] = defaultdict(list)
        for part in view.parts:
            for wire in dict.fromkeys(part.needs):
                self.readers[wire].append(part)
        cells = [part for part in view.parts if part.kind == "cell"]
        self.owned: set[Part] = set()
        self.lifted: list[Part] = []
        for cell in cells:
            who = {reader for wire in cell.outs for reader in self.readers[wire]}
            alone = len(who) == 1 and all(reader.view is None for reader in who) and not who & set(self.lifted)
            if alone:
                self.owned.add(cell)
            else:
                self.lifted.append(cell)
        given = {wire for cell in self.lifted for wire in cell.outs}
        shared = {w for w, who in self.readers.items() if len(who) > 1}
        self.wires = shared | given | (outside & set(self.readers))
        self.wires -= {wire for cell in self.owned for wire in cell.outs}
        self.bundled = self.bundle()

    def bundle(self) -> dict[int, list[int]]:
        """Parameters that the same folded boxes share run as one wire: the first stands for all of them."""
        together: dict[tuple[Part, ...], list[int]] = defaultdict(list)
        for wire in sorted(self.wires - self.outside):
            who = tuple(self.readers[wire])
            if who and all(part.kind == "fold" for part in who) and wire not in self.glyphs.cells:
                together[who].append(wire)
        found = {}
        for who, (first, *rest) in together.items():
            if rest:
                found[first] = [first, *rest]
                gone = set(rest)
                for part in who:
                    part.needs = [wire for wire in part.needs if wire not in gone]
                self.wires -= gone
        return found

    # -- drawing -------------------------------------------------------------------------------------------------

    def draw(self, made: Scene, placed: Placed, items: list[Item], parts: list[tuple[int, Part, Glyph]]) -> dict[int, XY]:
        """Draw the rail above what is placed; the points at the top where wires from outside enter."""
        drops: dict[int, list[_Drop]] = defaultdict(list)
        top: dict[int, float] = {}
        for i, _, _ in parts:
            top[placed.layer[i]] = min(top.get(placed.layer[i], 1e9), placed.at[i][1])
        for i, part, glyph in parts:
            x, y = placed.at[i]
            for wire in part.needs:
                if wire in glyph.feet:
                    fx, fy = glyph.feet[wire]
                    aside = 3.5 * (list(self.readers).index(wire) % 5)  # so that two wires do not come down as one
                    around = None if y <= top[placed.layer[i]] else (placed.left[placed.layer[i]] - 3.0 - aside, y - 7.0)
                    drops[wire].append(_Drop((x + fx, y + fy), around, part.view is None))
        level = made.bounds()[1] - 10.0
        feet: dict[int, XY] = {}
        for cell in reversed(self.lifted):
            level = self.cell(made, cell, drops, level)
        lanes: list[float] = []  # the right end of what each lane holds so far
        rest = [wire for wire in drops if wire in self.wires and not self.from_cell(wire)]
        for wire in sorted(rest, key=lambda w: (self.first(drops[w]), w)):
            left, right = self.first(drops[wire]), max(d.over[0] if d.over else d.end[0] for d in drops[wire])
            leaf = self.leaf(wire)
            right = max(right, left + text_width(leaf.label, SMALL)) + 12.0
            lane = next((k for k, end in enumerate(lanes) if end < left - 6.0), len(lanes))
            lanes[lane : lane + 1] = [right]
            y = level - LANE * lane
            self.fan(made, wire, left, y, drops[wire])
            if wire in self.outside:
                feet[wire] = (left, y)
            else:
                made.dots.append(Dot(left, y, leaf.kind, leaf.tip))
                made.labels.append(Label(left + 6.0, y - 4.0, leaf.label, leaf.kind))
        return feet

    def from_cell(self, wire: int) -> bool:
        return any(wire in cell.outs for cell in self.lifted)

    def leaf(self, wire: int) -> Leaf:
        """The label of a rail wire."""
        if wire not in self.bundled:
            return self.glyphs.leaf(wire)
        return self.glyphs.leaves(self.bundled[wire], self.readers[wire][0])[0]

    def first(self, drops: list[_Drop]) -> float:
        """Where the leftmost of its ends comes down."""
        return min(drop.over[0] if drop.over else drop.end[0] for drop in drops)

    def fan(self, made: Scene, wire: int, x: float, y: float, drops: list[_Drop]) -> None:
        """A wire from (x, y) along its lane and down to every reader."""
        kind, tip = self.glyphs.wire_kind(wire), self.glyphs.tip(wire)
        for drop in drops:
            turn = [drop.over[0], drop.end[0]] if drop.over else [drop.end[0]]
            points = [(x, y)] if abs(turn[0] - x) < 0.5 else [(x, y), (turn[0], y)]
            if drop.over:
                points += [drop.over, (drop.end[0], drop.over[1])]
            made.curves.append(Curve((*points, drop.end), kind, wire, tip, drop.arrow, False))

    def cell(self, made: Scene, cell: Part, drops: dict[int, list[_Drop]], level: float) -> float:
        """A cell on the rail, its outputs fanning out below; returns the level above it."""
        outs = sorted((wire for wire in cell.outs if drops.get(wire)), key=lambda wire: self.first(drops[wire]))
        if not outs:
            return level
        glyph = self.glyphs.of(cell, self.wires)
        left = min(self.first(drops[wire]) for wire in outs) - 16.0
        top = level - 14.0 * len(outs) - glyph.item.h
        made.add(glyph.scene.shifted(left, top))
        box = made.boxes[-1]
        for k, wire in enumerate(outs):
            x, y = left + 16.0 + 10.0 * k, level - 14.0 * k
            self.fan(made, wire, x, y, drops[wire])
            made.curves.append(Curve(((x, box.y + box.h), (x, y)), self.glyphs.wire_kind(wire), wire, smooth=False))
        for wire, (fx, fy) in glyph.feet.items():
            drops[wire].append(_Drop((left + fx, top + fy), None))
        return top - 8.0
