"""Layered layout: time runs from left to right, every wire is a smooth curve through the gaps between layers.

Layers by longest path; a wire that passes a layer gets a dummy point there, shared by all its branches; the order within layers by
barycentre sweeps, keeping the best; heights by median alignment with the exact isotonic projection that keeps boxes apart.
Sugiyama, Tagawa, Toda, "Methods for visual understanding of hierarchical system structures" (1981).

>>> a, b = Item(40, 20, [], [10]), Item(60, 30, [15], [])
>>> placed = place([a, b], [Net((0, 0), [(1, 0)])])
>>> placed.at[0][0] + 40 < placed.at[1][0], placed.routes[0].points[-1] == (placed.at[1][0], placed.at[1][1] + 15)
(True, True)
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise

from catlearn.meanings.picture.layers import NEAR, Item, Net, layers
from catlearn.meanings.picture.scene import XY

GAP, THIN = 20.0, 13.0  # between boxes, and between wires, of one layer
SMALL, LARGE = 4_000, 20_000  # pieces of wire: beyond these, fewer sweeps


@dataclass
class Route:
    """A piece of a net between two ports or branch points; ``target`` indexes the net's targets, or is −1 at a branch."""

    net: int
    points: tuple[XY, ...]
    target: int


@dataclass
class Placed:
    """The result: upper left corners, layers, left edges of layers, routes, branch points."""

    at: list[XY] = field(default_factory=list)
    layer: list[int] = field(default_factory=list)
    left: list[float] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)
    branches: list[tuple[int, XY]] = field(default_factory=list)
    width: float = 0.0
    height: float = 0.0


@dataclass
class _Link:
    """A wire between neighbouring layers: slots, and heights within them."""

    net: int
    u: int
    uy: float
    v: int
    vy: float
    target: int


def place(items: list[Item], nets: list[Net]) -> Placed:
    """Coordinates for items (given in an order in which they can run) and nets."""
    return _Layout(items, nets).run()


class _Layout:
    def __init__(self, items: list[Item], nets: list[Net]) -> None:
        self.items, self.nets = items, nets
        self.layer = layers(items, nets)
        self.height = [item.h for item in items]
        self.rows: list[list[int]] = [[] for _ in range(max(self.layer, default=0) + 1)]
        for i, layer in enumerate(self.layer):
            self.rows[layer].append(i)
        self.links: list[list[_Link]] = [[] for _ in self.rows]  # by the layer on the left
        for k in range(len(nets)):
            self.thread(k)
        self.before: dict[int, list[_Link]] = defaultdict(list)
        self.after: dict[int, list[_Link]] = defaultdict(list)
        for links in self.links:
            for link in links:
                self.before[link.v].append(link)
                self.after[link.u].append(link)

    def thread(self, k: int) -> None:
        """The links of a net, through one shared dummy in every layer that it passes."""
        net = self.nets[k]
        item, port = net.source
        slot, y, layer = item, self.items[item].outs[port], self.layer[item]
        ends: dict[int, list[int]] = defaultdict(list)
        for t, (target, _) in enumerate(net.targets):
            ends[self.layer[target]].append(t)
        for here in range(layer, max(ends, default=layer)):
            links = self.links[here]
            for t in ends[here + 1]:
                target, into = net.targets[t]
                links.append(_Link(k, slot, y, target, self.items[target].ins[into], t))
            if here + 1 < max(ends):
                dummy = len(self.layer)
                self.layer.append(here + 1)
                self.height.append(0.0)
                self.rows[here + 1].append(dummy)
                links.append(_Link(k, slot, y, dummy, 0.0, -1))
                slot, y = dummy, 0.0

    # -- order ---------------------------------------------------------------------------------------------------

    def order(self) -> None:
        size = sum(map(len, self.links))
        best, least = [list(row) for row in self.rows], self.crossings() if size < LARGE else 0
        for sweep in range(0 if not least else 8 if size < SMALL else 2 if size < LARGE else 0):
            forward = sweep % 2 == 0
            for layer in range(len(self.rows)) if forward else reversed(range(len(self.rows))):
                self.sort(layer, forward)
            found = self.crossings()
            if found < least:
                best, least = [list(row) for row in self.rows], found
        self.rows = best

    def sort(self, layer: int, forward: bool) -> None:
        row = self.rows[layer]
        if any(slot < len(self.items) and self.items[slot].end for slot in row):
            return
        near = layer - 1 if forward else layer + 1
        if not 0 <= near < len(self.rows):
            return
        position = {slot: i for i, slot in enumerate(self.rows[near])}
        keys: dict[int, float] = {}
        for i, slot in enumerate(row):
            if forward:
                places = [position[link.u] + self.part(link.u, link.uy) for link in self.before[slot]]
            else:
                places = [position[link.v] + self.part(link.v, link.vy) for link in self.after[slot]]
            keys[slot] = sum(places) / len(places) if places else i
        row.sort(key=keys.__getitem__)

    def part(self, slot: int, y: float) -> float:
        return 0.9 * y / self.height[slot] if self.height[slot] else 0.0

    def crossings(self) -> int:
        total = 0
        for layer, links in enumerate(self.links[:-1]):
            left = {slot: i for i, slot in enumerate(self.rows[layer])}
            right = {slot: i for i, slot in enumerate(self.rows[layer + 1])}
            pairs = sorted(((left[a.u], a.uy), (right[a.v], a.vy)) for a in links)
            seen: list[tuple[int, float]] = []
            for _, end in pairs:
                total += len(seen) - bisect_right(seen, end)
                insort(seen, end)
        return total

    # -- coordinates ---------------------------------------------------------------------------------------------

    def heights(self) -> list[float]:
        """The upper edge of every slot."""
        y = [0.0] * len(self.layer)
        for row in self.rows:
            top = 0.0
            for a, b in zip(row, [*row[1:], -1], strict=False):
                y[a] = top
                top += self.height[a] + (self.gap(a, b) if b >= 0 else 0)
        size = sum(map(len, self.links))
        rounds = "lrlrblrbl" if size < SMALL else "lrl" if size < LARGE else "l"
        for side in rounds:
            for layer in range(len(self.rows)) if side != "r" else reversed(range(len(self.rows))):
                self.align(layer, side, y)
        top = min((y[s] for row in self.rows for s in row), default=0.0)
        return [value - top for value in y]

    def align(self, layer: int, side: str, y: list[float]) -> None:
        row = self.rows[layer]
        want, weight = [], []
        for slot in row:
            ideal = [y[k.u] + k.uy - k.vy for k in self.before[slot]] if side in "lb" else []
            ideal += [y[k.v] + k.vy - k.uy for k in self.after[slot]] if side in "rb" else []
            ideal.sort()
            want.append(ideal[(len(ideal) - 1) // 2] if ideal else y[slot])
            weight.append((3.0 if slot >= len(self.items) else 1.0) if ideal else 0.1)
        offsets = [0.0]
        for a, b in pairwise(row):
            offsets.append(offsets[-1] + self.height[a] + self.gap(a, b))
        moved = _isotonic([w - o for w, o in zip(want, offsets, strict=False)], weight)
        for slot, value, offset in zip(row, moved, offsets, strict=False):
            y[slot] = value + offset

    def gap(self, a: int, b: int) -> float:
        n = len(self.items)
        return GAP if a < n and b < n else THIN

    def columns(self, y: list[float]) -> tuple[list[float], list[float]]:
        """The left and the right edge of every layer."""
        left, right, x = [], [], 0.0
        n = len(self.items)
        for layer, row in enumerate(self.rows):
            mine = [self.items[slot] for slot in row if slot < n]
            left.append(x)
            x += NEAR + max((item.reach for item in mine), default=0.0)
            right.append(x)
            rise = max((abs(y[k.u] + k.uy - y[k.v] - k.vy) for k in self.links[layer]), default=0.0)
            x += min(26.0 + 0.22 * rise, 84.0)
        return left, right

    def run(self) -> Placed:
        self.order()
        y = self.heights()
        left, right = self.columns(y)
        at: list[XY] = []
        for i, item in enumerate(self.items):
            layer = self.layer[i]
            slack = right[layer] - left[layer] - NEAR - item.reach
            at.append((left[layer] + NEAR + slack / 2, y[i]))
        bottom = max((y[s] + self.height[s] for row in self.rows for s in row), default=0.0)
        placed = Placed(at, self.layer[: len(self.items)], left, width=right[-1] if right else 0.0, height=bottom)
        self.route(placed, y, right)
        return placed

    def route(self, placed: Placed, y: list[float], right: list[float]) -> None:
        items, n = self.items, len(self.items)
        for k, net in enumerate(self.nets):
            item, port = net.source
            x_out = items[item].w if items[item].x_out is None else items[item].x_out
            start = (placed.at[item][0] + (x_out or 0.0), placed.at[item][1] + items[item].outs[port])
            stack = [(item, [start, (right[self.layer[item]], start[1])])] if net.targets else []
            while stack:
                slot, points = stack.pop()
                links = [link for link in self.after[slot] if link.net == k and (slot >= n or link.uy == items[item].outs[port])]
                if len(links) > 1:
                    placed.routes.append(Route(k, tuple(points), -1))
                    placed.branches.append((k, points[-1]))
                    points = [points[-1]]
                for link in links:
                    layer, height = self.layer[link.v], y[link.v] + link.vy
                    path = [*points, (placed.left[layer], height)]
                    if link.v < n:
                        path.append((placed.at[link.v][0] + items[link.v].x_in, height))
                        placed.routes.append(Route(k, _straight(path), link.target))
                    else:
                        stack.append((link.v, [*path, (right[layer], height)]))


def _straight(points: list[XY]) -> tuple[XY, ...]:
    """The same path without points in the middle of a straight stretch."""
    kept = [points[0]]
    for i in range(1, len(points) - 1):
        if abs(points[i][1] - kept[-1][1]) > 0.05 or abs(points[i + 1][1] - points[i][1]) > 0.05:
            kept.append(points[i])
    return (*kept, points[-1])


def _isotonic(want: list[float], weight: list[float]) -> list[float]:
    """The non-decreasing row nearest to ``want`` in weighted squares (pool adjacent violators)."""
    blocks: list[tuple[float, float, int]] = []
    for value, w in zip(want, weight, strict=True):
        count = 1
        while blocks and blocks[-1][0] > value:
            v, u, m = blocks.pop()
            value, w, count = (value * w + v * u) / (w + u), w + u, count + m
        blocks.append((value, w, count))
    return [value for value, _, count in blocks for _ in range(count)]
