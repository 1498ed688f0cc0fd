"""A scene: what a picture is made of, in points, before it is SVG, TikZ or PNG. y grows downwards.

The renderers only walk these five lists, so the three formats show the same picture, and a test can read a picture as data: every
box carries its ports, every curve its two ends.

>>> curve = Curve(((0, 0), (10, 0)), "wire")
>>> curve.start, curve.end, Scene(curves=[curve]).shifted(5, 1).curves[0].points
((0, 0), (10, 0), ((5, 1), (15, 1)))
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TypeAlias

XY: TypeAlias = tuple[float, float]

TITLE, SMALL = 13.0, 10.0  # sizes of letters
_NARROW, _WIDE = set("iljtfrI.,:;'|!()[] ·"), set("mwMW@%×→—∂∇")


def text_width(text: str, size: float) -> float:
    """About how wide a line of sans-serif text is, on the generous side."""
    return sum(0.36 if c in _NARROW else 0.92 if c in _WIDE else 0.66 if c.isupper() else 0.6 for c in text) * size


@dataclass(frozen=True)
class Port:
    """Where a wire meets a box: ``side`` is ``in``, ``out`` or ``top``; ``wire`` its number in the graph."""

    side: str
    wire: int
    at: XY


@dataclass(frozen=True)
class Rect:
    """A box (``kind`` op, symbol, fold, cell, backward, random) or a frame around an opened scope (``frame``)."""

    x: float
    y: float
    w: float
    h: float
    kind: str
    title: str = ""
    lines: tuple[str, ...] = ()
    tip: str = ""
    name: str = ""
    times: int = 1
    ports: tuple[Port, ...] = ()

    @property
    def radius(self) -> float:
        """Of the rounded corners."""
        return min(self.w, self.h) / 2 if self.kind == "symbol" else 7.0


@dataclass(frozen=True)
class Curve:
    """One piece of a wire: points joined by horizontal-tangent S-curves (``smooth``) or by straight lines with round corners.

    ``kind`` wire, backward, parameter, frozen, state, ghost; the end carries an arrowhead if ``arrow``.
    """

    points: tuple[XY, ...]
    kind: str
    wire: int = -1
    tip: str = ""
    arrow: bool = False
    smooth: bool = True

    @property
    def start(self) -> XY:
        return self.points[0]

    @property
    def end(self) -> XY:
        return self.points[-1]


@dataclass(frozen=True)
class Dot:
    """A copy (filled), an end (``end``: a discarded wire), or the source of a parameter."""

    x: float
    y: float
    kind: str
    tip: str = ""


@dataclass(frozen=True)
class Label:
    """A small text; ``anchor`` start, middle or end, ``y`` its baseline."""

    x: float
    y: float
    text: str
    kind: str = "space"
    anchor: str = "start"
    size: float = SMALL


@dataclass
class Scene:
    """All that is drawn, back to front: frames, curves, boxes, dots, labels."""

    frames: list[Rect] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    boxes: list[Rect] = field(default_factory=list)
    dots: list[Dot] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    width: float = 0.0
    height: float = 0.0
    title: str = ""
    description: str = ""

    def add(self, other: Scene) -> None:
        """Put another scene's things into this one."""
        for name in ("frames", "curves", "boxes", "dots", "labels"):
            getattr(self, name).extend(getattr(other, name))

    def shifted(self, dx: float, dy: float) -> Scene:
        """The same scene elsewhere."""

        def rect(r: Rect) -> Rect:
            ports = tuple(replace(p, at=(p.at[0] + dx, p.at[1] + dy)) for p in r.ports)
            return replace(r, x=r.x + dx, y=r.y + dy, ports=ports)

        curves = [replace(c, points=tuple((x + dx, y + dy) for x, y in c.points)) for c in self.curves]
        dots = [replace(d, x=d.x + dx, y=d.y + dy) for d in self.dots]
        labels = [replace(t, x=t.x + dx, y=t.y + dy) for t in self.labels]
        return replace(self, frames=[rect(r) for r in self.frames], boxes=[rect(r) for r in self.boxes], curves=curves,
                       dots=dots, labels=labels)  # fmt: skip

    def bounds(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of everything."""
        xs, ys = [0.0], [0.0]
        for r in (*self.frames, *self.boxes):
            xs += (r.x, r.x + r.w + 3.0 * (r.times > 1) * 2)
            ys += (r.y - 3.0 * (r.times > 1) * 2, r.y + r.h)
        for curve in self.curves:
            xs += (x for x, _ in curve.points)
            ys += (y for _, y in curve.points)
        for label in self.labels:
            width = text_width(label.text, label.size)
            left = label.x - {"start": 0.0, "middle": width / 2, "end": width}[label.anchor]
            xs += (left, left + width)
            ys += (label.y - label.size, label.y + 0.3 * label.size)
        return min(xs), min(ys), max(xs), max(ys)


def pieces(curve: Curve, radius: float = 6.0) -> Iterator[tuple[str, tuple[XY, ...]]]:
    """The curve as path commands: ``M p``, ``L p``, ``C p q r`` (cubic), the same for every renderer."""
    points = curve.points
    yield "M", (points[0],)
    if curve.smooth:
        for (x0, y0), (x1, y1) in pairwise(points):
            if abs(y0 - y1) < 0.05:
                yield "L", ((x1, y1),)
            else:
                middle = (x0 + x1) / 2
                yield "C", ((middle, y0), (middle, y1), (x1, y1))
        return
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        enter, leave = _towards(corner, before, radius), _towards(corner, after, radius)
        yield "L", (enter,)
        yield "C", (_towards(corner, before, 0.45 * radius), _towards(corner, after, 0.45 * radius), leave)
    yield "L", (points[-1],)


def _towards(a: XY, b: XY, distance: float) -> XY:
    length = max(((b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2) ** 0.5, 1e-9)
    part = min(distance / length, 0.5)
    return a[0] + (b[0] - a[0]) * part, a[1] + (b[1] - a[1]) * part
