"""The chapter on proofs: what it says, the line that it shows, and what it does without transformers."""

from __future__ import annotations

from pathlib import Path

import pytest

from catlearn.cli import main
from catlearn.teach.demo import proofs
from catlearn.teach.report import external
from tests.teach.test_report import outline


def test_the_chapter_proves_refutes_and_shows_typed_graphs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--quick", "--chapter", "proofs", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert [row[0] for row in said.splitlines() if row.startswith(("✓", "✗", "?"))] == ["✓", "✗", "✓", "✗", "✓"]
    assert "re-checked on fresh weights: True" in said and "y = y + self.position" in said
    html = (tmp_path / "report.html").read_text("utf-8")
    assert external(html) == [] and "<script" not in html and html.count("<summary>the typed graph") == 5
    page = outline(html)
    assert "A model of transformers" in page.titles and "torch.tensor(" in page.text and "S(n)×O(3)+t" in page.text


def test_without_transformers_that_part_is_left_out_with_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    assert proofs.language() == []
    assert "not installed" in proofs.read([]).body


def test_a_verdict_that_is_not_the_promised_one_is_a_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    right = proofs.clouds()
    monkeypatch.setattr(proofs, "clouds", lambda: (right[1], right[1]))
    monkeypatch.setattr(proofs, "language", list)
    failures = proofs.chapter(tmp_path, True, lambda text: None).failures
    assert failures == ("the network is refuted, not proved", "the certificate does not pass for fresh weights")
