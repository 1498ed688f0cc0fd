"""Small charts as SVG text, drawn with the page's own colours, so that they follow light, dark and print.

Laws: a chart holds every number it was given (as text or as a point); numbers outside a chart's frame cannot occur, since its axes
come from them.

>>> chart = curve({"training": [3.0, 1.0], "validation": [3.5, 1.5]}, "loss")
>>> chart.count("<polyline"), "validation" in chart
(2, True)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any

STYLES = ("first", "second")


def curve(series: Mapping[str, Sequence[float]], what: str, width: int = 440, height: int = 260) -> str:
    """One line per series (two at most) over the epochs 1, 2, ..., each with its name at its end.

    ``series`` are lists of finite numbers; ``what`` is the quantity, written above the chart.
    """
    left, right, top, bottom = 46, 82, 30, 34
    values = [value for line in series.values() for value in line]
    ticks = scale(min(values), max(values))
    low, high = ticks[0], ticks[-1]
    count = max(len(line) for line in series.values())

    def x(i: float) -> float:
        return left + (width - left - right) * (i / max(count - 1, 1))

    def y(value: float) -> float:
        return height - bottom - (height - top - bottom) * (value - low) / (high - low)

    parts = [f'<text x="0" y="14">{escape(what)}</text>']
    for tick in ticks:
        parts.append(f'<line class="grid" x1="{left}" x2="{width - right}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        parts.append(f'<text class="axis" x="{left - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for epoch in sorted({1, (count + 1) // 2, count}):
        parts.append(f'<text class="axis" x="{x(epoch - 1):.1f}" y="{height - 14}" text-anchor="middle">{epoch}</text>')
    parts.append(f'<text class="axis" x="{width - right + 18}" y="{height - 14}">epoch</text>')
    ends = _apart([y(line[-1]) for line in series.values()], 15)
    for style, (name, line), end in zip(STYLES, series.items(), ends, strict=False):
        points = " ".join(f"{x(i):.1f},{y(value):.1f}" for i, value in enumerate(line))
        parts.append(f'<polyline class="{style}" points="{points}"><title>{escape(name)}</title></polyline>')
        parts.append(f'<text class="{style}" x="{width - right + 8}" y="{end + 4:.1f}">{escape(name)}</text>')
    return svg(width, height, parts, f"{what}: {', '.join(series)}")


def confusion(counts: Sequence[Sequence[int]], labels: Sequence[str]) -> str:
    """Rows are the true classes, columns the predicted ones; a cell is as dark as its share of its row."""
    size, left, top = 34, 62, 62
    n = len(labels)
    parts = [f'<text class="axis" x="{left + n * size / 2}" y="14" text-anchor="middle">predicted</text>',
             f'<text class="axis" transform="rotate(-90)" x="{-(top + n * size / 2)}" y="14" text-anchor="middle">true</text>']  # fmt: skip
    for i, label in enumerate(labels):
        parts.append(f'<text x="{left + (i + 0.5) * size}" y="{top - 14}" text-anchor="middle">{escape(label)}</text>')
        parts.append(f'<text x="{left - 14}" y="{top + (i + 0.5) * size + 4}" text-anchor="end">{escape(label)}</text>')
    for i, row in enumerate(counts):
        for j, count in enumerate(row):
            share = count / max(sum(row), 1)
            style = f'class="cell" fill-opacity="{0.12 + 0.5 * share:.2f}"' if count else 'class="none"'
            px, py = left + j * size, top + i * size
            title = f"<title>true {escape(labels[i])}, predicted {escape(labels[j])}: {count}</title>"
            parts.append(f'<rect {style} x="{px}" y="{py}" width="{size - 2}" height="{size - 2}" rx="3">{title}</rect>')
            if count:
                weight = ' font-weight="700"' if i != j else ""
                parts.append(f'<text x="{px + size / 2 - 1}" y="{py + size / 2 + 3}" text-anchor="middle"{weight}>{count}</text>')
    return svg(left + n * size + 8, top + n * size + 8, parts, "confusion matrix")


def images(pictures: Sequence[Any], captions: Sequence[str], columns: int = 8) -> str:
    """Grey pictures (arrays of numbers from 0 to 1, 1 being ink) with a caption under each."""
    pixel, gap = 8, 24
    rows, cols = (len(pictures[0]), len(pictures[0][0])) if len(pictures) else (0, 0)
    step_x, step_y = cols * pixel + gap, rows * pixel + 22 + gap
    parts = []
    for k, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        ox, oy = (k % columns) * step_x + gap // 2, (k // columns) * step_y + 4
        for i, row in enumerate(picture):
            for j, value in enumerate(row):
                if value > 0:
                    parts.append(f'<rect class="pixel" x="{ox + j * pixel}" y="{oy + i * pixel}" width="{pixel}" height="{pixel}" '
                                 f'fill-opacity="{float(value):.2f}"/>')  # fmt: skip
        parts.append(f'<rect class="frame" x="{ox - 2}" y="{oy - 2}" width="{cols * pixel + 4}" height="{rows * pixel + 4}" rx="4"/>')
        parts.append(f'<text x="{ox + cols * pixel / 2}" y="{oy + rows * pixel + 20}" text-anchor="middle">{escape(caption)}</text>')
    width = min(columns, max(len(pictures), 1)) * step_x
    return svg(width, math.ceil(len(pictures) / columns) * step_y, parts, "pictures")


def scatter(series: Mapping[str, Sequence[tuple[float, float]]], across: str, up: str, size: int = 330) -> str:
    """Points (true, predicted) of two series at most, on one scale, with the line where both are equal; outliers are inside the frame.

    >>> scatter({"seen": [(0.0, 0.1), (1.0, 0.8)]}, "true", "predicted").count("<circle")
    2
    """
    left, right, top, bottom = 54, 14, 44, 40
    values = [value for points in series.values() for point in points for value in point]
    ticks = scale(min(values), max(values))

    def along(value: float) -> float:
        return size * (value - ticks[0]) / (ticks[-1] - ticks[0])

    parts = []
    for tick in ticks:
        x, y = left + along(tick), top + size - along(tick)
        parts.append(f'<line class="grid" x1="{left}" x2="{left + size}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="axis" x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
        parts.append(f'<text class="axis" x="{x:.1f}" y="{top + size + 18}" text-anchor="middle">{tick:g}</text>')
    parts.append(f'<line class="grid" x1="{left}" x2="{left + size}" y1="{top + size}" y2="{top}"/>')
    parts.append(f'<text class="axis" x="{left + size}" y="{top + size + 34}" text-anchor="end">{escape(across)}</text>')
    parts.append(f'<text class="axis" x="0" y="{top - 10}">{escape(up)}</text>')
    for i, (style, (name, points)) in enumerate(zip(STYLES, series.items(), strict=False)):
        dots = (f'<circle cx="{left + along(a):.1f}" cy="{top + size - along(b):.1f}" r="3.2"/>' for a, b in points)
        parts.append(f'<g class="dots {style}"><title>{escape(name)}</title>{"".join(dots)}</g>')
        parts.append(f'<text class="{style}" x="{left + 90 * i}" y="14">{escape(name)}</text>')
    return svg(left + size + right, top + size + bottom, parts, f"{up} against {across}: {', '.join(series)}")


def drawing(points: Sequence[tuple[float, float]], lines: Sequence[tuple[int, int]], labels: Sequence[str] = (), caption: str = "",
            size: int = 170) -> str:  # fmt: skip
    """Points joined by lines: a graph, or a molecule seen from one side. ``labels`` are written on the points.

    >>> drawing([(0, 0), (1, 0)], [(0, 1)], ["O", "C"], "CO").count("<circle")
    2
    """
    edge = 14
    low = [min(point[axis] for point in points) for axis in (0, 1)]
    span = max(max(point[axis] for point in points) - low[axis] for axis in (0, 1)) or 1.0
    middle = [(max(point[axis] for point in points) + low[axis]) / 2 for axis in (0, 1)]

    def at(point: tuple[float, float]) -> tuple[float, float]:
        x, y = ((point[axis] - middle[axis]) / span for axis in (0, 1))
        return size / 2 + x * (size - 2 * edge), size / 2 - y * (size - 2 * edge)

    places = [at(point) for point in points]
    parts = []
    for i, j in lines:
        (x, y), (z, w) = places[i], places[j]
        parts.append(f'<line class="edge" x1="{x:.1f}" y1="{y:.1f}" x2="{z:.1f}" y2="{w:.1f}"/>')
    radius = 9 if labels else 3.4
    parts += [f'<circle class="node" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>' for x, y in places]
    for label, (x, y) in zip(labels, places, strict=False):
        parts.append(f'<text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle">{escape(label)}</text>')
    parts.append(f'<text class="axis" x="{size / 2}" y="{size + 14}" text-anchor="middle">{escape(caption)}</text>')
    return svg(size, size + 20, parts, caption or "a drawing")


def weights(pictures: Sequence[str], values: Sequence[float], captions: Sequence[str]) -> str:
    """Tiles: an SVG picture, a bar that is as long as its number is large beside the largest, the number, and words under it.

    >>> weights(["<svg/>", "<svg/>"], [1.0, -0.5], ["one", "other"]).count("<figure")
    2
    """
    largest = max(map(abs, values), default=0.0) or 1.0
    tiles = []
    for picture, value, caption in zip(pictures, values, captions, strict=True):
        length, number = 110 * abs(value) / largest, f"{round(value, 2) + 0.0:.2f}".replace("-", "−")
        style = "first" if value >= 0 else "second"
        bar = f'<rect class="bar {style}" x="0" y="2" width="{length:.1f}" height="9" rx="2"/>'
        chart = svg(160, 14, [bar, f'<text x="{length + 6:.1f}" y="11">{number}</text>'], f"{caption}: {number}")
        tiles.append(f'<figure class="tile">{picture}{chart}<figcaption>{escape(caption)}</figcaption></figure>')
    return f'<div class="tiles">{"".join(tiles)}</div>'


def svg(width: float, height: float, parts: Sequence[str], label: str) -> str:
    """One SVG element of the class ``chart``."""
    body = "\n".join(parts)
    return (f'<svg class="chart" role="img" aria-label="{escape(label)}" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
            f'height="{height:g}">\n{body}\n</svg>')  # fmt: skip


def scale(low: float, high: float, count: int = 5) -> list[float]:
    """About ``count`` round numbers, the first at most ``low``, the last at least ``high``, at equal distances.

    >>> scale(0.03, 2.2)
    [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]
    """
    span = (high - low) or abs(high) or 1.0
    raw = span / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    first = math.floor(low / step + 1e-9)
    last = max(math.ceil(high / step - 1e-9), first + 1)
    return [round(i * step, 12) for i in range(first, last + 1)]


def _apart(heights: list[float], least: float) -> list[float]:
    """Heights of labels moved so that any two are at least ``least`` apart."""
    order = sorted(range(len(heights)), key=heights.__getitem__)
    placed = list(heights)
    for above, below in pairwise(order):
        if placed[below] - placed[above] < least:
            middle = (placed[below] + placed[above]) / 2
            placed[above], placed[below] = middle - least / 2, middle + least / 2
    return placed
