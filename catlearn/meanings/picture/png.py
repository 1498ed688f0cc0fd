r"""A scene as PNG, by matplotlib (loaded when used, without a display).

>>> from catlearn.meanings.picture.scene import Rect, Scene
>>> render(Scene(boxes=[Rect(0, 0, 50, 30, "op", "a")], width=50, height=30))[:4]
b'\x89PNG'
"""

from __future__ import annotations

import io
from typing import Any

from catlearn.meanings.picture.scene import SMALL, TITLE, Curve, Rect, Scene, pieces
from catlearn.meanings.picture.style import BOX, LIGHT, LINE, SHADOWS, TEXT, arrowhead, dot_radius

_NARROWER = 0.9  # DejaVu Sans is wider than the fonts of browsers
_LARGEST = 20_000  # pixels along one side


def render(scene: Scene, scale: float = 2.0) -> bytes:
    """The PNG of a scene, ``scale`` pixels a point; less for pictures that would be larger than 20,000 pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Circle

    scale = min(scale, _LARGEST / max(scene.width, scene.height, 1.0))
    figure = Figure(figsize=(scene.width / 72, scene.height / 72), dpi=72 * scale, facecolor=LIGHT["page"])
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, scene.width)
    axes.set_ylim(scene.height, 0)
    axes.axis("off")
    for frame in scene.frames:
        _rect(axes, frame, 1)
    for curve in scene.curves:
        _curve(axes, curve)
    for box in scene.boxes:
        _rect(axes, box, 4)
    for dot in scene.dots:
        colour = LIGHT["wire"] if dot.kind == "end" else LIGHT[LINE[dot.kind][0]]
        face = LIGHT["page"] if dot.kind == "end" else colour
        axes.add_patch(Circle((dot.x, dot.y), dot_radius(dot.kind), facecolor=face, edgecolor=colour, linewidth=1.2, zorder=7))
    for t in scene.labels:
        _text(axes, t.x, t.y, t.text, t.size, {"start": "left", "middle": "center", "end": "right"}[t.anchor], TEXT[t.kind])
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None, "Title": scene.title.encode("latin-1", "replace").decode("latin-1")})
    return buffer.getvalue()


def _rect(axes: Any, r: Rect, order: int) -> None:
    from matplotlib.patches import FancyBboxPatch

    fill, line, width, dashed = BOX[r.kind]
    for shift in (*(SHADOWS if r.times > 1 else ()), 0.0):
        axes.add_patch(FancyBboxPatch((r.x + shift, r.y + shift), r.w, r.h, boxstyle=f"round,pad=0,rounding_size={r.radius}",
                                      facecolor=LIGHT[fill], edgecolor=LIGHT[line], linewidth=width, zorder=order,
                                      linestyle=(0, (4, 3)) if dashed else "solid"))  # fmt: skip
    if r.kind == "frame":
        _text(axes, r.x + 10, r.y + 15, r.title, SMALL + 1, "left", "ink", True)
        return
    x, y = r.x + r.w / 2, r.y + r.h / 2 - 6.5 * len(r.lines) + 0.35 * TITLE
    _text(axes, x, y, r.title, 11.0 if r.kind == "cell" else TITLE, "center", "ink", r.kind in ("fold", "backfold"))
    for i, words in enumerate(r.lines):
        _text(axes, x, y + 14 + 13 * i, words, SMALL, "center", "soft")


def _text(axes: Any, x: float, y: float, text: str, size: float, anchor: str, colour: str, bold: bool = False) -> None:
    axes.text(x, y, text.replace("$", r"\$"), fontsize=size * _NARROWER, ha=anchor, va="baseline", color=LIGHT[colour], zorder=8,
              fontweight="bold" if bold else "normal", family="DejaVu Sans")  # fmt: skip


def _curve(axes: Any, curve: Curve) -> None:
    from matplotlib.patches import PathPatch, Polygon
    from matplotlib.path import Path

    vertices, codes = [], []
    for letter, points in pieces(curve):
        vertices += points
        codes += {"M": [Path.MOVETO], "L": [Path.LINETO], "C": [Path.CURVE4] * 3}[letter]
    name, width = LINE[curve.kind]
    axes.add_patch(PathPatch(Path(vertices, codes), facecolor="none", edgecolor=LIGHT[name], linewidth=width, zorder=2, capstyle="round"))
    if curve.arrow:
        axes.add_patch(Polygon(arrowhead(curve.points), closed=True, facecolor=LIGHT[name], edgecolor="none", zorder=3))
