"""Drawings as in papers: outputs above, inputs below, blocks as smooth arcs, a coupon as a box, a jellyfish with tentacles.

Points are numbered as in ``str``. An arc of a symplectic diagram has an arrowhead in the direction in which J is read. The legs of a coupon
leave it in their order, from left to right; the ring at the last tentacle of a jellyfish is the missing value.

>>> from catlearn.diagrams import Partition
>>> text = Partition(2, 2, [[0, 1, 3], [2]])._repr_svg_()
>>> text.startswith("<svg"), text.count("<circle"), text.count("<path")
(True, 4, 2)
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias
from xml.sax.saxutils import escape

from catlearn.diagrams.contract import Block

if TYPE_CHECKING:
    from catlearn.diagrams.diagram import Combination, Diagram

STEP, MARGIN, TOP, BOTTOM = 36.0, 22.0, 24.0, 112.0  # between points, at the sides, and the two rows
MIDDLE, HEIGHT = (TOP + BOTTOM) / 2, TOP + BOTTOM
DOT, GAP, MOST = 3.2, 14.0, 24  # radius of a point, around the words of a sum, terms of a sum that are drawn
STYLE = (".diagram{--ink:#0f172a;--soft:#64748b;--wire:#475569;--coupon:#0f766e;--page:#ffffff;font-family:system-ui,sans-serif}"
         "@media(prefers-color-scheme:dark){.diagram{--ink:#e2e8f0;--soft:#94a3b8;--wire:#a3b1c6;--coupon:#2dd4bf;--page:#0b1120}}"
         ".diagram path{fill:none;stroke:var(--wire);stroke-width:1.8;stroke-linecap:round}"
         ".diagram .leg{stroke:var(--coupon);stroke-width:1.5}.diagram .box{fill:var(--page);stroke:var(--coupon);stroke-width:1.6}"
         ".diagram .head{fill:var(--wire);stroke:none}"
         ".diagram circle{fill:var(--ink)}.diagram .ring{fill:var(--page);stroke:var(--coupon);stroke-width:1.5}"
         ".diagram text{fill:var(--soft);font-size:9px;text-anchor:middle}.diagram .word{fill:var(--ink);font-size:16px}")  # fmt: skip

Place: TypeAlias = tuple[float, float]


def draw_diagram(d: Diagram) -> str:
    """A diagram as an SVG document."""
    body, width = _body(d)
    return _document(str(d), body, width)


def draw_combination(c: Combination) -> str:
    """A formal sum as an SVG document: its diagrams in a row, with their coefficients; the first of them if there are very many."""
    parts: list[str] = []
    x = 0.0
    for i, (d, a) in enumerate(c.terms[:MOST]):
        text = str(a)
        minus = text.startswith("-") and " " not in text
        bare = text[1:] if minus else f"({text})" if " " in text else text
        word = f"{'− ' if minus else '+ ' if i else ''}{'' if bare == '1' else bare}"
        x += _say(parts, word, x) if word.strip() else 0
        body, width = _body(d)
        parts.append(f'<g transform="translate({_n(x)} 0)">{body}</g>')
        x += width
    rest = len(c.terms) - MOST
    if rest > 0 or not c.terms:
        x += _say(parts, f"+ … ({rest} more)" if c.terms else "0", x)
    return _document(f"a sum of {len(c.terms)} diagrams {c.k}→{c.l}", "".join(parts), x)


def _say(parts: list[str], word: str, x: float) -> float:
    width = 9.0 * len(word) + GAP
    parts.append(f'<text class="word" x="{_n(x + width / 2)}" y="{_n(MIDDLE + 5)}">{escape(word)}</text>')
    return width


def _document(title: str, body: str, width: float) -> str:
    return (f'<svg xmlns="http://www.w3.org/2000/svg" class="diagram" role="img" viewBox="0 0 {_n(width)} {_n(HEIGHT)}" '
            f'width="{_n(width)}" height="{_n(HEIGHT)}"><title>{escape(title)}</title><style>{STYLE}</style>{body}</svg>')  # fmt: skip


def _body(d: Diagram) -> tuple[str, float]:
    """The shapes of a diagram and the width they take."""
    wide = STEP * max(d.k, d.l, 1)
    at = [(MARGIN + STEP * (i + 0.5) + (wide - STEP * d.l) / 2, TOP) for i in range(d.l)]
    at += [(MARGIN + STEP * (i + 0.5) + (wide - STEP * d.k) / 2, BOTTOM) for i in range(d.k)]
    legs = [leg for coupon in d.coupons for leg in coupon]
    shapes = [path for block in (*d.deltas, *d.arcs, *legs) for path in _block([at[point] for point in block])]
    shapes += [_head(at[a], at[b]) for a, b in d.arcs]
    width = wide + 2 * MARGIN
    if legs and d.group == "SO":
        ends = [at[leg[0]] for leg in legs]
        beside = any(a < d.l <= b for a, b in d.deltas)  # a box in the middle would hide the strings across
        middle = width + 8.0 * len(ends) if beside else sum(x for x, _ in ends) / len(ends)
        shapes += _box(ends, middle)
        width = max(width, middle + 8.0 * len(ends) + MARGIN)
    elif legs:
        shapes += _jellyfish([_hold(leg, at, d.l) for leg in legs], width, (d.size or 0) - len(legs))
        width += 13.0 * (d.size or 0) + 2 * MARGIN
    for i, (x, y) in enumerate(at):
        shapes.append(f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{DOT}"/>')
        shapes.append(f'<text x="{_n(x)}" y="{_n(y - 8 if y == TOP else y + 15)}">{i}</text>')
    return "".join(shapes), width


def _block(places: list[Place]) -> list[str]:
    """Arcs along each row, and one string across, between the points that are nearest to each other."""
    rows = [[place for place in places if place[1] == row] for row in (TOP, BOTTOM)]
    paths = [_arc(a, b) for row in rows for a, b in pairwise(row)]
    if all(rows):
        (x, _), (z, _) = min(((a, b) for a in rows[0] for b in rows[1]), key=lambda ab: abs(ab[0][0] - ab[1][0]))
        paths.append(f'<path d="M{_n(x)} {_n(TOP)}C{_n(x)} {_n(MIDDLE)} {_n(z)} {_n(MIDDLE)} {_n(z)} {_n(BOTTOM)}"/>')
    return paths


def _depth(a: Place, b: Place) -> float:
    """How far an arc reaches towards the middle: the wider, the further, so that nested arcs do not touch."""
    gap = abs(b[0] - a[0]) / STEP
    reach = 0.85 * (BOTTOM - TOP) * gap / (gap + 2)
    return reach if a[1] == TOP else -reach


def _arc(a: Place, b: Place) -> str:
    y = _n(a[1] + _depth(a, b))
    return f'<path d="M{_n(a[0])} {_n(a[1])}C{_n(a[0])} {y} {_n(b[0])} {y} {_n(b[0])} {_n(b[1])}"/>'


def _head(a: Place, b: Place) -> str:
    x, y = (a[0] + b[0]) / 2, a[1] + 0.75 * _depth(a, b)
    return f'<path class="head" d="M{_n(x + 5)} {_n(y)}L{_n(x - 4)} {_n(y - 4)}L{_n(x - 4)} {_n(y + 4)}Z"/>'


def _hold(leg: Block, at: list[Place], l: int) -> Place:
    """Where a tentacle holds a block: at its last point above, else at its last point."""
    return at[max((point for point in leg if point < l), default=leg[-1])]


def _box(ends: list[Place], middle: float) -> list[str]:
    """A determinant: a box with its legs in order, to points above from its upper side, to points below from its lower side."""
    wide = 16.0 * len(ends) + 8
    shapes: list[str] = []
    for i, (x, y) in enumerate(ends):
        start, side = middle - wide / 2 + 12 + 16 * i, MIDDLE - 11 if y == TOP else MIDDLE + 11
        half = (side + y) / 2
        shapes.append(f'<path class="leg" d="M{_n(start)} {_n(side)}C{_n(start)} {_n(half)} {_n(x)} {_n(half)} {_n(x)} {_n(y)}"/>')
    shapes.append(f'<rect class="box" x="{_n(middle - wide / 2)}" y="{_n(MIDDLE - 11)}" width="{_n(wide)}" height="22" rx="4"/>')
    return [*shapes, f'<text x="{_n(middle)}" y="{_n(MIDDLE + 4)}">det</text>']


def _jellyfish(ends: list[Place], left: float, void: int) -> list[str]:
    """A bell at the right with a tentacle to every leg, in order; the missing value is a ring."""
    count = len(ends) + void
    wide, y = 13.0 * count + 8, MIDDLE
    shapes: list[str] = []
    for i in range(count):
        x = left + 10.5 + 13 * i
        if i >= len(ends):
            shapes.append(f'<path class="leg" d="M{_n(x)} {_n(y)}V{_n(y + 20)}"/>')
            shapes.append(f'<circle class="ring" cx="{_n(x)}" cy="{_n(y + 23)}" r="3"/>')
            continue
        (a, b), reach = ends[i], 26 + 3 * (count - i)
        bend = b + (26 if b == TOP else -26)
        shapes.append(f'<path class="leg" d="M{_n(x)} {_n(y)}C{_n(x)} {_n(y + reach)} {_n(a + 18)} {_n(bend)} {_n(a)} {_n(b)}"/>')
    bell = f"M{_n(left)} {_n(y)}C{_n(left)} {_n(y - 34)} {_n(left + wide)} {_n(y - 34)} {_n(left + wide)} {_n(y)}Z"
    return [*shapes, f'<path class="box" d="{bell}"/>', f'<text x="{_n(left + wide / 2)}" y="{_n(y - 8)}">ε</text>']


def _n(x: float) -> str:
    return f"{x:.1f}".rstrip("0").rstrip(".")
