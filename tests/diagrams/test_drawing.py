"""Drawings: well-formed, everything in view, one shape for each piece; a file per kind."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from catlearn.diagrams import KINDS, Brauer, Determinant, Diagram, Jellyfish, N, Partition, Symplectic, spanning

SVG = "{http://www.w3.org/2000/svg}"
EXAMPLES: list[tuple[Diagram, int, int]] = [  # a diagram, its paths (arcs, strings, arrowheads, tentacles, bell), its coupon boxes
    (Partition(3, 4, [[0, 1, 5], [2], [3, 6], [4]]), 3, 0),
    (Brauer(5, 3, [(0, 6), (1, 2), (3, 7), (4, 5)]), 4, 0),
    (Symplectic(4, 2, [(0, 1), (2, 4), (3, 5)]), 6, 0),
    (Determinant(2, 3, free=(0, 1, 4), pairs=[(2, 3)]), 4, 1),
    (Jellyfish(3, 3, legs=[[0, 3], [1, 2]], blocks=[[4], [5]], n=3), 2 + 3 + 1, 0),
]


def numbers(path: str) -> list[float]:
    return [float(x) for x in re.findall(r"-?\d+(?:\.\d+)?", path)]


@pytest.mark.parametrize(("d", "paths", "boxes"), EXAMPLES, ids=[type(d).__name__ for d, _, _ in EXAMPLES])
def test_one_file_per_kind(d: Diagram, paths: int, boxes: int, tmp_path: Path):
    file = tmp_path / f"{type(d).__name__}.svg"
    file.write_text(d._repr_svg_(), encoding="utf-8")
    root = ElementTree.parse(file).getroot()
    assert root.tag == SVG + "svg" and root.findtext(SVG + "title") == str(d)
    dots = [circle for circle in root.iter(SVG + "circle") if circle.get("class") is None]
    assert [text.text for text in root.iter(SVG + "text") if (text.text or "").isdigit()] == [str(i) for i in range(d.k + d.l)]
    assert len(dots) == d.k + d.l and len(list(root.iter(SVG + "path"))) == paths and len(list(root.iter(SVG + "rect"))) == boxes
    assert [float(dot.get("cy", "")) for dot in dots] == sorted(float(dot.get("cy", "")) for dot in dots), "outputs above inputs"


@pytest.mark.parametrize("group", list(KINDS))
def test_every_piece_is_inside_the_picture(group: str):
    for d in list(spanning(group, 4, 3, 3))[::7]:
        root = ElementTree.fromstring(d._repr_svg_())
        width, height = float(root.get("width", "")), float(root.get("height", ""))
        for path in root.iter(SVG + "path"):
            if "V" not in path.get("d", ""):
                values = numbers(path.get("d", ""))
                assert all(0 <= x <= width for x in values[::2]) and all(0 <= y <= height for y in values[1::2]), d
        for box in root.iter(SVG + "rect"):
            assert float(box.get("x", "")) >= 0 and float(box.get("x", "")) + float(box.get("width", "")) <= width


def test_strings_end_where_the_pairs_are():
    """Read back from the picture, the strings of a matching are its pairs; so two diagrams have two pictures."""
    seen = set[str]()
    for d in spanning("O", 3, 3, 3):
        root = ElementTree.fromstring(d._repr_svg_())
        at = {(c.get("cx"), c.get("cy")): i for i, c in enumerate(root.iter(SVG + "circle"))}
        read = set[tuple[int, ...]]()
        for path in root.iter(SVG + "path"):
            words = re.findall(r"-?[\d.]+", path.get("d", ""))
            read.add(tuple(sorted((at[words[0], words[1]], at[words[-2], words[-1]]))))
        assert read == set(d.deltas), d
        seen.add(d._repr_svg_())
    assert len(seen) == 15


def test_sums_show_their_coefficients():
    wires, swap = Brauer.identity(2), Brauer.permutation([1, 0])
    root = ElementTree.fromstring(((N + 1) * wires - 2 * swap)._repr_svg_())
    assert [text.text for text in root.iter(SVG + "text") if text.get("class") == "word"] == ["(n + 1)", "− 2"]
    assert "0" in [text.text for text in ElementTree.fromstring((wires - wires)._repr_svg_()).iter(SVG + "text")]
    first, *others = spanning("S", 4, 2, 3)
    many = first.sum
    for other in others:
        many += other
    root = ElementTree.fromstring(many._repr_svg_())
    assert len(list(root.iter(SVG + "g"))) == 24 and f"+ … ({len(many.terms) - 24} more)" in [text.text for text in root.iter(SVG + "text")]


def test_planar_diagrams_are_those_whose_strings_need_not_cross():
    """Temperley-Lieb and planar partitions: Catalan numbers of them."""
    assert [sum(d.planar for d in spanning("O", 2, m, m)) for m in range(5)] == [1, 1, 2, 5, 14]
    assert [sum(d.planar for d in spanning("S", 2, m, 2)) for m in range(4)] == [2, 5, 14, 42]
    assert not Brauer.permutation([1, 0]).planar and Determinant(0, 4, free=(0, 3), pairs=[(1, 2)]).planar
    assert not Determinant(0, 4, free=(0, 2), pairs=[(1, 3)]).planar
