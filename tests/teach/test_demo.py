"""The demo: real data, split without leaks, a page that needs nothing else, and an exit code that tells when it misses its promise."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import catlearn as cl
from catlearn.cli import main
from catlearn.errors import BadCommand, MissingPackage
from catlearn.teach import demo
from catlearn.teach.demo import run_demo
from catlearn.teach.demo._data import digits, with_shifts
from catlearn.teach.demo.digits import PROMISED, network
from catlearn.teach.report import Chapter, external
from tests.teach.test_report import outline


def test_the_parts_of_the_digits_are_disjoint_and_hold_every_class_alike() -> None:
    parts = digits()
    keys = [{tuple(image.flatten().tolist()) for image in part.images} for part in parts]
    assert [len(k) for k in keys] == [len(part.labels) for part in parts] == [1293, 144, 360]  # no image occurs twice, in no part
    assert not keys[0] & keys[1] and not keys[0] & keys[2] and not keys[1] & keys[2]
    for part in parts:
        counts = torch.bincount(part.labels, minlength=10)
        assert counts.min() >= 0.85 * counts.max()  # the classes have 174 to 183 images


def test_shifts_move_each_image_by_one_pixel_and_keep_its_label() -> None:
    part = digits().validation
    more, n = with_shifts(part), len(part.labels)
    assert more.labels.tolist() == part.labels.tolist() * 5
    for k, (rows, columns) in enumerate([(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)]):
        rolled = torch.roll(part.images, (rows, columns), (-2, -1))[..., 1:-1, 1:-1]  # away from the border, a shift is a rotation
        assert torch.equal(more.images[k * n : (k + 1) * n][..., 1:-1, 1:-1], rolled)


def test_the_network_has_a_copy_a_residual_branch_and_a_tied_pair() -> None:
    net = network()
    assert net.dom == cl.R(1, 8, 8) and net.cod == cl.R(10)
    assert [name for name in net.params if name.endswith("conv2d.weight")] == ["stem.conv2d.weight", "body.0.conv2d.weight"]
    adds = [node for node in net.graph.nodes if node.op.key == "add"]
    assert len(adds) == 2 and all(len(set(node.args)) == 2 for node in adds)
    convolutions = [node for node in net.graph.nodes if node.name.startswith("body") and node.op.key == "conv2d"]
    assert len(convolutions) == 2
    readers = [wire for node in net.graph.nodes for wire in node.args]
    assert readers.count(adds[0].outs[0]) == 2  # the wire that the second block copies


def test_a_quick_demo_writes_a_self_contained_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--quick", "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    for words in ("In words:", "What it costs:", "test accuracy", "The backward pass", "d body.0.conv2d.weight"):
        assert words in shown
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.html"]
    html = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert external(html) == [] and "<script" not in html
    page = outline(html)
    for title in ("The network", "In words", "What it costs", "Learning", "Confusion", "What it got wrong", "The backward pass",
                  "The torch module"):  # fmt: skip
        assert title in page.titles
    assert "def forward(self, x0):" in page.text and 'net.at("body.*.conv2d.weight").tie()' in page.text


@pytest.mark.slow
def test_the_demo_reaches_the_accuracy_that_it_promises(tmp_path: Path) -> None:
    said: list[str] = []
    _, failures = run_demo(tmp_path, ["digits"], say=said.append)
    (line,) = [line for line in said if "test accuracy" in line]
    assert failures == [] and float(line.split()[2].rstrip("%")) >= 100 * PROMISED >= 97


def test_a_chapter_that_misses_its_promise_is_said_and_exits_with_1(tmp_path, monkeypatch, capsys) -> None:
    poor = Chapter("Poor", (), failures=("the accuracy is 12%",))
    monkeypatch.setattr(demo, "chapters", lambda: {"poor": lambda out, quick, say: poor})
    assert main(["demo", "--out", str(tmp_path)]) == 1
    assert "the accuracy is 12%" in capsys.readouterr().err
    assert "the accuracy is 12%" in (tmp_path / "report.html").read_text("utf-8")


def test_chapters_run_in_their_order_and_only_those_that_were_named(tmp_path, monkeypatch) -> None:
    ran: list[str] = []

    def maker(name: str):
        def make(out, quick, say) -> Chapter:
            ran.append(f"{name} {quick}")
            return Chapter(name, ())

        return make

    monkeypatch.setattr(demo, "chapters", lambda: {name: maker(name) for name in ("a", "b", "c")})
    run_demo(tmp_path, ["c", "a"], True)
    assert ran == ["a True", "c True"]
    with pytest.raises(BadCommand, match="has no chapter 'x'"):
        run_demo(tmp_path, ["x"])


def test_without_scikit_learn_the_demo_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sklearn.datasets", None)
    with pytest.raises(MissingPackage, match=r"catlearn\[examples\]"):
        digits()
