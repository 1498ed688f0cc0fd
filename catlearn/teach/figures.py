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
    parts.append(f'<text class="axis" x="{width - right + 12}" y="{height - 14}">epoch</text>')
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
