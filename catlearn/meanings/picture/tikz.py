r"""A scene as TikZ: a ``standalone`` document that needs nothing but TikZ; unicode letters become macros.

>>> from catlearn.meanings.picture.scene import Rect, Scene
>>> text = render(Scene(boxes=[Rect(0, 0, 50, 30, "op", "50 % of x_1")], width=50, height=30))
>>> r"50 \% of x\_1" in text, text.count("{") == text.count("}")
(True, True)
"""

from __future__ import annotations

from catlearn.meanings.picture.scene import SMALL, TITLE, Curve, Rect, Scene, pieces
from catlearn.meanings.picture.style import BOX, LIGHT, LINE, SHADOWS, TEXT, arrowhead, dot_radius

_MACROS = {"\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "#": r"\#", "%": r"\%", "&": r"\&", "$": r"\$", "_": r"\_",
           "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "×": r"$\times$", "·": r"$\cdot$", "→": r"$\to$", "−": "$-$",
           "÷": r"$\div$", "∂": r"$\partial$", "∇": r"$\nabla$", "…": r"\dots{}", "—": "---", "<": "$<$", ">": "$>$", "|": "$|$",
           **{c: f"$^{{{i}}}$" for i, c in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")}}  # fmt: skip
_ANCHOR = {"start": "base west", "middle": "base", "end": "base east"}


def render(scene: Scene) -> str:
    """The LaTeX document of a scene, as text."""
    lines = [f"% {scene.title}".replace("\n", " "), r"\documentclass[tikz,border=4pt]{standalone}", r"\begin{document}"]
    lines += [rf"\definecolor{{cl-{name}}}{{HTML}}{{{value[1:].upper()}}}" for name, value in LIGHT.items()]
    lines.append(r"\begin{tikzpicture}[x=0.75pt,y=-0.75pt,font=\sffamily,every node/.style={inner sep=0pt,outer sep=0pt}]")
    for frame in scene.frames:
        lines += _rect(frame)
    for curve in scene.curves:
        lines += _curve(curve)
    for box in scene.boxes:
        lines += _rect(box)
    for dot in scene.dots:
        fill, line = ("cl-page", "cl-wire") if dot.kind == "end" else (f"cl-{LINE[dot.kind][0]}",) * 2
        lines.append(rf"\filldraw[fill={fill},draw={line}] {_p(dot.x, dot.y)} circle[radius={0.75 * dot_radius(dot.kind):.2f}pt];")
    for t in scene.labels:
        lines.append(_text(t.x, t.y, t.text, t.size, _ANCHOR[t.anchor], f"cl-{TEXT[t.kind]}"))
    return "\n".join([*lines, r"\end{tikzpicture}", r"\end{document}"]) + "\n"


def escape(text: str) -> str:
    """The text as LaTeX shows it; letters that LaTeX's fonts lack become their names."""
    return "".join(_MACROS.get(c, c if c.isascii() else f"[{ord(c):x}]" if not c.isalpha() else c) for c in text)


def _rect(r: Rect) -> list[str]:
    fill, line, width, dashed = BOX[r.kind]
    style = f"fill=cl-{fill},draw=cl-{line},line width={0.75 * width:.2f}pt,rounded corners={0.75 * r.radius:.2f}pt"
    style += ",dashed" if dashed else ""
    found = [rf"\filldraw[{style}] {_p(r.x + s, r.y + s)} rectangle {_p(r.x + r.w + s, r.y + r.h + s)};"
             for s in (*(SHADOWS if r.times > 1 else ()), 0.0)]  # fmt: skip
    if r.kind == "frame":
        return [*found, _text(r.x + 10, r.y + 15, r.title, SMALL + 1, "base west", "cl-ink", True)]
    x, y = r.x + r.w / 2, r.y + r.h / 2 - 6.5 * len(r.lines) + 0.35 * TITLE
    found.append(_text(x, y, r.title, 11.0 if r.kind == "cell" else TITLE, "base", "cl-ink", r.kind in ("fold", "backfold")))
    return found + [_text(x, y + 14 + 13 * i, line, SMALL, "base", "cl-soft") for i, line in enumerate(r.lines)]


def _text(x: float, y: float, text: str, size: float, anchor: str, colour: str, bold: bool = False) -> str:
    size *= 0.75
    heavy = r"\bfseries" if bold else ""
    font = rf"\sffamily\fontsize{{{size:.2f}}}{{{size:.2f}}}\selectfont{heavy}"
    return rf"\node[anchor={anchor},text={colour},font={font}] at {_p(x, y)} {{{escape(text)}}};"


def _curve(curve: Curve) -> list[str]:
    colour, width = LINE[curve.kind]
    path = ""
    for letter, points in pieces(curve):
        if letter == "C":
            path += f" .. controls {_p(*points[0])} and {_p(*points[1])} .. {_p(*points[2])}"
        else:
            path += (" -- " if letter == "L" else "") + _p(*points[0])
    found = [rf"\draw[cl-{colour},line width={0.75 * width:.2f}pt] {path};"]
    if curve.arrow:
        found.append(rf"\fill[cl-{colour}] {' -- '.join(_p(*xy) for xy in arrowhead(curve.points))} -- cycle;")
    return found


def _p(x: float, y: float) -> str:
    return f"({x:.1f},{y:.1f})"
