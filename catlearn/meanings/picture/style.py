"""Colours and line widths, one table for SVG (light and dark), PNG and TikZ.

>>> LIGHT["wire"], LINE["thick"][1] > LINE["wire"][1]
('#475569', True)
"""

from __future__ import annotations

LIGHT = {"page": "#ffffff", "ink": "#0f172a", "soft": "#64748b", "wire": "#475569", "backward": "#c2410c", "parameter": "#0f766e",
         "frozen": "#9ca3af", "state": "#7e22ce", "op": "#f1f5f9", "op-line": "#64748b", "fold": "#dbeafe", "fold-line": "#2563eb",
         "cell": "#ccfbf1", "cell-line": "#0f766e", "back": "#ffedd5", "back-line": "#c2410c", "frame": "#f8fafc",
         "frame-line": "#94a3b8"}  # fmt: skip
DARK = {"page": "#0b1120", "ink": "#e2e8f0", "soft": "#94a3b8", "wire": "#a3b1c6", "backward": "#fb923c", "parameter": "#2dd4bf",
        "frozen": "#6b7280", "state": "#c084fc", "op": "#1e293b", "op-line": "#64748b", "fold": "#172b54", "fold-line": "#60a5fa",
        "cell": "#123c3a", "cell-line": "#2dd4bf", "back": "#431d0b", "back-line": "#fb923c", "frame": "#111a2e",
        "frame-line": "#475569"}  # fmt: skip

# kind -> fill, line, width, dashed
BOX = {"op": ("op", "op-line", 1.2, False), "symbol": ("op", "op-line", 1.2, False), "random": ("op", "op-line", 1.2, True),
       "fold": ("fold", "fold-line", 1.4, False), "cell": ("cell", "cell-line", 1.2, False), "backward": ("back", "back-line", 1.2, False),
       "backfold": ("back", "back-line", 1.4, False), "frame": ("frame", "frame-line", 1.0, False)}  # fmt: skip
LINE = {"wire": ("wire", 1.5), "backward": ("backward", 1.5), "parameter": ("parameter", 1.3), "frozen": ("frozen", 1.3),
        "state": ("state", 1.3), "thick": ("wire", 3.2), "backthick": ("backward", 3.2)}  # fmt: skip
TEXT = {"space": "soft", "parameter": "parameter", "frozen": "frozen", "state": "state"}
SHADOWS = (6.0, 3.0)  # the cards behind a box that stands for several
ARROW = (6.0, 3.0)  # length and half width


def dot_radius(kind: str) -> float:
    """Of a dot of this kind."""
    return 3.2 if kind in ("wire", "backward", "thick", "backthick") else 3.0


def arrowhead(points: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    """The triangle at the end of a curve that arrives horizontally or vertically."""
    (x0, y0), (x1, y1) = points[-2:]
    length, half = ARROW
    if abs(x1 - x0) < 1e-6:
        sign = 1 if y1 >= y0 else -1
        return (x1, y1), (x1 - half, y1 - sign * length), (x1 + half, y1 - sign * length)
    return (x1, y1), (x1 - length, y1 - half), (x1 - length, y1 + half)
