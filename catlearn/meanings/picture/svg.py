"""A scene as SVG: self-contained, accessible, in the reader's light or dark mode.

>>> from catlearn.meanings.picture.scene import Rect, Scene
>>> text = render(Scene(boxes=[Rect(0, 0, 50, 30, "op", "a<b")], width=50, height=30, title="t", description="d"))
>>> "a&lt;b" in text, text.startswith("<svg"), 'role="img"' in text
(True, True, True)
"""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from catlearn.meanings.picture.scene import SMALL, TITLE, Curve, Dot, Rect, Scene, pieces
from catlearn.meanings.picture.style import BOX, DARK, LIGHT, LINE, SHADOWS, TEXT, arrowhead, dot_radius

FONT = "system-ui,-apple-system,'Segoe UI','Helvetica Neue',Arial,sans-serif"


def render(scene: Scene) -> str:
    """The SVG document of a scene, as text; the same scene gives the same text."""
    w, h = _n(scene.width), _n(scene.height)
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" class="catlearn" role="img" viewBox="0 0 {w} {h}" width="{w}" height="{h}"'
             f' style="max-width:100%;height:auto" aria-label={quoteattr(scene.title)}>']  # fmt: skip
    lines += [f"<title>{escape(scene.title)}</title>", f"<desc>{escape(scene.description)}</desc>", f"<style>{_css()}</style>"]
    lines.append(f'<rect class="page" width="{w}" height="{h}"/>')
    lines += [_rect(frame) for frame in scene.frames]
    lines += [_curve(curve) for curve in scene.curves]
    lines += [_rect(box) for box in scene.boxes]
    lines += [_dot(dot) for dot in scene.dots]
    for t in scene.labels:
        anchor = f' text-anchor="{t.anchor}"' if t.anchor != "start" else ""
        lines.append(f'<text class="t-{t.kind}" x="{_n(t.x)}" y="{_n(t.y)}" font-size="{_n(t.size)}"{anchor}>{escape(t.text)}</text>')
    lines.append("</svg>")
    return "\n".join(lines) + "\n"


def _css() -> str:
    def table(colours: dict[str, str]) -> str:
        return "".join(f"--{name}:{value};" for name, value in colours.items())

    rules = [f".catlearn{{{table(LIGHT)}font-family:{FONT}}}", f"@media(prefers-color-scheme:dark){{.catlearn{{{table(DARK)}}}}}"]
    rules += [f".catlearn .page{{{_paint('fill', 'page')}}}", ".catlearn path{fill:none}", f".catlearn text{{{_paint('fill', 'ink')}}}",
              f".catlearn .end{{{_paint('fill', 'page')}{_paint('stroke', 'wire')}stroke-width:1.5}}"]  # fmt: skip
    for kind, (fill, line, width, dashed) in BOX.items():
        dash = ";stroke-dasharray:4 3" if dashed else ""
        rules.append(f".catlearn .b-{kind}{{{_paint('fill', fill)}{_paint('stroke', line)}stroke-width:{width}{dash}}}")
    for kind, (colour, width) in LINE.items():
        rules.append(f".catlearn .w-{kind}{{{_paint('stroke', colour)}stroke-width:{width}}}")
        rules.append(f".catlearn .d-{kind}{{{_paint('fill', colour)}stroke:none}}")
    rules += [f".catlearn .t-{kind}{{{_paint('fill', colour)}}}" for kind, colour in TEXT.items()]
    return "".join(rules)


def _paint(what: str, name: str) -> str:
    """A colour that follows the reader's mode; the light one where a viewer knows no variables."""
    return f"{what}:{LIGHT[name]};{what}:var(--{name});"


def _rect(r: Rect) -> str:
    def box(shift: float) -> str:
        return (f'<rect class="b-{r.kind}" x="{_n(r.x + shift)}" y="{_n(r.y + shift)}" width="{_n(r.w)}" height="{_n(r.h)}"'
                f' rx="{_n(r.radius)}"/>')  # fmt: skip

    shapes = [box(shift) for shift in (*(SHADOWS if r.times > 1 else ()), 0.0)]
    if r.kind == "frame":
        words = [_text(r.x + 10, r.y + 15, r.title, SMALL + 1, "start", True)]
    else:
        x, y = r.x + r.w / 2, r.y + r.h / 2 - 6.5 * len(r.lines) + 0.35 * TITLE
        size = 11.0 if r.kind == "cell" else TITLE
        words = [_text(x, y, r.title, size, "middle", r.kind in ("fold", "backfold"))]
        words += [_text(x, y + 14 + 13 * i, line, SMALL, "middle", False, "t-space") for i, line in enumerate(r.lines)]
    return f"<g><title>{escape(r.tip or r.title)}</title>{''.join(shapes)}{''.join(words)}</g>"


def _text(x: float, y: float, text: str, size: float, anchor: str, bold: bool, kind: str = "") -> str:
    heavy, look = ' font-weight="600"' if bold else "", f' class="{kind}"' if kind else ""
    return f'<text{look} x="{_n(x)}" y="{_n(y)}" font-size="{_n(size)}" text-anchor="{anchor}"{heavy}>{escape(text)}</text>'


def _curve(curve: Curve) -> str:
    path = "".join(letter + " ".join(f"{_n(x)},{_n(y)}" for x, y in points) for letter, points in pieces(curve))
    body = f'<path class="w-{curve.kind}" d="{path}"/>'
    if curve.arrow:
        corners = " ".join(f"{_n(x)},{_n(y)}" for x, y in arrowhead(curve.points))
        body += f'<polygon class="d-{curve.kind}" points="{corners}"/>'
    return f"<g><title>{escape(curve.tip)}</title>{body}</g>" if curve.tip else body


def _dot(dot: Dot) -> str:
    look = "end" if dot.kind == "end" else f"d-{dot.kind}"
    tip = f"<title>{escape(dot.tip)}</title>" if dot.tip else ""
    return f'<circle class="{look}" cx="{_n(dot.x)}" cy="{_n(dot.y)}" r="{dot_radius(dot.kind)}">{tip}</circle>'


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
