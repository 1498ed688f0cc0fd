"""Pictures: a term as a string diagram, as SVG, PNG or TikZ.

Time runs from left to right. Wires are smooth curves, with their spaces where they change; a filled dot copies, a ring discards;
parameters enter from above, frozen ones grey, tied ones fanning out; ``named`` scopes fold into one box; a repeat is shown once
with its number; backward wires have a colour of their own.

Law: the same term gives the same bytes of SVG and TikZ.

>>> import catlearn as cl
>>> net = cl.linear(cl.R(4), cl.R(8)).named("stem") >> cl.relu
>>> picture = draw(net)
>>> [box.title for box in picture.scene.boxes], picture.svg.count("<path")
(['stem', 'relu'], 4)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from catlearn import errors
from catlearn.core.term import Term
from catlearn.meanings.picture.compose import scene
from catlearn.meanings.picture.png import render as render_png
from catlearn.meanings.picture.scene import Scene
from catlearn.meanings.picture.svg import render as render_svg
from catlearn.meanings.picture.tikz import render as render_tikz

SUFFIXES = (".svg", ".png", ".tex")


class Picture:
    """A drawn term. Notebooks show it; ``svg``, ``tikz``, ``png`` are its texts and bytes, ``scene`` what is in it."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    @cached_property
    def svg(self) -> str:
        return render_svg(self.scene)

    @cached_property
    def tikz(self) -> str:
        return render_tikz(self.scene)

    @cached_property
    def png(self) -> bytes:
        return render_png(self.scene)

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: str | Path) -> Path:
        """Write the picture in the format that the suffix names: .svg, .png or .tex."""
        path = Path(path)
        if path.suffix.lower() not in SUFFIXES:
            raise errors.UnknownFormat(path, SUFFIXES)
        write: dict[str, Callable[[], Any]] = {
            ".svg": lambda: path.write_text(self.svg, encoding="utf-8"),
            ".tex": lambda: path.write_text(self.tikz, encoding="utf-8"),
            ".png": lambda: path.write_bytes(self.png),
        }
        write[path.suffix.lower()]()
        return path

    def __repr__(self) -> str:
        return f"Picture({self.scene.title}, {len(self.scene.boxes)} boxes, {self.scene.width:.0f} × {self.scene.height:.0f})"


def draw(term: Term, path: str | Path | None = None, fold: bool | int | str = True, limit: int | None = 2000) -> Picture:
    """The string diagram of a term, written to ``path`` if one is given (.svg, .png, .tex).

    ``fold``: True folds the top-level ``named`` scopes into one box each, a number those at that depth, a pattern (as in ``at``) the
    scopes that match; all of these show a repeat once. False shows every box, scopes as nested frames.
    Raises ``UnknownFormat``, ``NothingMatched`` (the pattern), and ``TooManyBoxes`` above ``limit`` boxes.
    """
    if path is not None and Path(path).suffix.lower() not in SUFFIXES:
        raise errors.UnknownFormat(path, SUFFIXES)
    picture = Picture(scene(term, fold, limit))
    if path is not None:
        picture.save(path)
    return picture


def svg(term: Term) -> str:
    """What a notebook shows for a term: folded at its scopes; one box for what is too large even so."""
    try:
        return draw(term, limit=600).svg
    except errors.TooManyBoxes:
        return draw(term.named(term.title.replace("(", " ").replace(")", ""))).svg
