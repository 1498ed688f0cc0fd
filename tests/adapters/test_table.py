"""The generated page of methods is current, and every row says what its method says."""

from pathlib import Path

from catlearn import adapters as ad
from catlearn.adapters.table import page

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_current_and_has_every_method():
    text = (DOCS / "adapters-methods.md").read_text(encoding="utf-8")
    assert text == page()
    assert all(f"\n| {name} |" in text for name in ad.names())


def test_a_row_tells_the_count_of_its_method():
    (line,) = [row for row in page().splitlines() if row.startswith("| LoRA |")]
    assert "| 12,288 | 8 | yes | LORA |" in line
