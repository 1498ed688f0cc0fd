"""Real models: what is true of them is proved, what is false is refuted, and the page of verdicts says it."""

from __future__ import annotations

from pathlib import Path

import pytest

import catlearn as cl
from tests.real_models.claims import CLAIMS, Part, Row
from tests.real_models.verdicts import page
from tests.real_models.zoo import ZOO

ROOT = Path(__file__).parent.parent.parent


def asked(row: Row) -> tuple[Part, cl.verify.Report]:
    module, _, _ = ZOO[row.model]()
    part = Part(module, row.read, row.named, row.call)
    return part, cl.verify.equivariant(part, row.dom, row.cod, batch=row.batch)


@pytest.mark.parametrize("row", CLAIMS, ids=lambda row: f"{row.model}: {row.what}")
def test_a_model_has_the_verdict_that_mathematics_gives_it(row: Row) -> None:
    _, report = asked(row)
    assert report.verdict == row.verdict, report
    if row.verdict == "proved":
        assert report.certificate is not None
        return
    assert report.reason and report.certificate is None and bool(report.counterexample) == (row.verdict == "refuted")
    if row.surviving:
        assert report.surviving == row.surviving, report
    if row.where:
        assert report.where is not None
        assert row.where in Path(report.where.file).read_text("utf-8").splitlines()[report.where.line - 1], report


@pytest.mark.parametrize("name", ["transformers.BERT", "torch_geometric.GIN", "written.EGNN"])
def test_a_certificate_of_a_model_is_not_one_of_a_changed_model(name: str) -> None:
    row = next(row for row in CLAIMS if row.model == name and row.verdict == "proved")
    part, report = asked(row)
    assert report.certificate is not None and cl.verify.check(report.certificate, part)
    changed = Part(part.module, lambda y: 2 * row.read(y) if name != "written.EGNN" else (y[0], 2 * y[1]), row.named, row.call)
    assert not cl.verify.check(report.certificate, changed)


def test_every_model_of_the_zoo_has_a_verdict_and_every_unknown_a_reason() -> None:
    assert {row.model for row in CLAIMS} == set(ZOO)
    assert all(row.note for row in CLAIMS if row.verdict != "proved")


def test_the_page_of_verdicts_is_current() -> None:
    found = (ROOT / "docs" / "verdicts.md").read_text("utf-8")
    assert found == page(), "run python -m tests.real_models.verdicts docs/verdicts.md"
