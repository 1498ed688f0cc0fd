"""The report page: it loads nothing from elsewhere, loses no text, and its charts hold the numbers they were given."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from catlearn.teach.figures import confusion, curve, images, scale
from catlearn.teach.report import Chapter, Section, code, external, figure, folded, page, table, text, write

HOSTILE = "<script>alert('x')</script> & \"quotes\""


class Outline(HTMLParser):
    """Checks that tags nest, and collects titles and text."""

    VOID = frozenset({"meta", "br", "img", "link", "input", "hr"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.titles: list[str] = []
        self.text = ""
        self.anchors: set[str] = set()
        self.targets: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.anchors |= {values["id"]} if values.get("id") else set()
        self.targets |= {(values["href"] or "")[1:]} if tag == "a" else set()
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass  # self-closing SVG elements

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data
        if self.open and self.open[-1] in ("h2", "h3"):
            self.titles.append(data)


def outline(html: str) -> Outline:
    parser = Outline()
    parser.feed(html)
    assert parser.open == []
    return parser


@pytest.fixture
def chapters() -> list[Chapter]:
    first = Section("First", text("one", HOSTILE) + code(HOSTILE, "a caption"), note="a note & more")
    second = Section("Second", table(["name", "count"], [[HOSTILE, 3]]) + folded("more", figure("<svg viewBox='0 0 1 1'></svg>")))
    return [Chapter("A", (first, second), lead="lead", facts=(("98 %", "accuracy"),)), Chapter("B", (first,), failures=("it failed",))]


def test_sections_keep_their_order_and_tags_nest(chapters: list[Chapter]) -> None:
    assert outline(page("T", chapters)).titles == ["A", "First", "Second", "B", "First"]


def test_every_link_of_the_contents_leads_somewhere(chapters: list[Chapter]) -> None:
    found = outline(page("T", chapters))
    assert found.targets and found.targets <= found.anchors


def test_text_comes_back_as_it_went_in_and_runs_nothing(chapters: list[Chapter]) -> None:
    html = page("T", chapters)
    assert "<script" not in html
    found = outline(html).text
    assert found.count(HOSTILE) == 5 and "a note & more" in found and "it failed" in found and "98 %" in found


def test_the_page_is_self_contained(chapters: list[Chapter]) -> None:
    assert external(page("T", chapters)) == []


@pytest.mark.parametrize(
    "html",
    [
        '<img src="https://example.org/a.png">',
        "<link rel=stylesheet href=style.css>",
        "<style>@import 'other.css';</style>",
        "<style>body { background: url(https://example.org/b.png) }</style>",
        '<script src="app.js"></script>',
        '<svg><image xlink:href="c.png"/></svg>',
    ],
)
def test_external_sees_what_a_page_would_load(html: str) -> None:
    assert external(html)


def test_external_lets_anchors_and_data_pass() -> None:
    assert external('<a href="https://example.org">x</a><img src="data:image/png;base64,AA"><svg><use href="#a"/></svg>') == []


def test_write_leaves_one_whole_file(tmp_path, chapters: list[Chapter]) -> None:
    path = write(tmp_path / "new" / "report.html", "T", chapters)
    assert [p.name for p in path.parent.iterdir()] == ["report.html"] and path.read_text("utf-8") == page("T", chapters)


def points(chart: str) -> list[list[tuple[float, float]]]:
    lines = re.findall(r'points="([^"]*)"', chart)
    return [[(float(p.split(",")[0]), float(p.split(",")[1])) for p in line.split()] for line in lines]


def test_curve_is_an_affine_picture_of_its_numbers() -> None:
    values = [2.0, 1.0, 0.5, 0.25]
    chart = curve({"a": values, "b": [1.5, 1.5, 1.0, 0.0]}, "loss")
    ElementTree.fromstring(chart)
    (a, b) = points(chart)
    slope = (a[1][1] - a[0][1]) / (values[1] - values[0])
    assert slope < 0  # larger numbers stand higher, and y grows downwards
    for (_, y), value in zip(a, values, strict=True):
        assert y - a[0][1] == pytest.approx(slope * (value - values[0]), abs=0.11)  # printed with one decimal
    assert [x for x, _ in a] == [x for x, _ in b] == sorted(x for x, _ in a)


def test_curve_of_equal_numbers_and_of_one_epoch() -> None:
    ElementTree.fromstring(curve({"a": [1.0, 1.0]}, "x"))
    ElementTree.fromstring(curve({"a": [0.0]}, "x"))


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.93, 0.99), (-3.0, 5.0), (1e-4, 3e-4), (2.0, 2.0)])
def test_scale_covers_its_range_in_equal_steps(low: float, high: float) -> None:
    ticks = scale(low, high)
    assert ticks[0] <= low and high <= ticks[-1] and 2 <= len(ticks) <= 8
    steps = [b - a for a, b in pairwise(ticks)]
    assert steps == pytest.approx([steps[0]] * len(steps))


def test_confusion_shows_every_count_that_is_not_zero() -> None:
    chart = ElementTree.fromstring(confusion([[5, 0], [2, 7]], ["cat", "dog"]))
    shown = [node.text for node in chart.iter("text") if (node.text or "").isdigit()]
    assert sorted(shown) == ["2", "5", "7"]
    titles = [node.text for node in chart.iter("title")]
    assert "true dog, predicted cat: 2" in titles and "true cat, predicted dog: 0" in titles


def test_images_draws_one_square_for_each_pixel_with_ink() -> None:
    chart = ElementTree.fromstring(images([[[0.0, 1.0], [0.5, 0.0]]], ["two"]))
    inked = [node.get("fill-opacity") for node in chart.iter("rect") if node.get("class") == "pixel"]
    assert inked == ["1.00", "0.50"]
