"""The generated page of methods is current, every method of the library is in it and measured, and every row says what its method says."""

import re
from pathlib import Path

import pytest

from catlearn import adapters as ad
from catlearn import errors
from catlearn.adapters.table import Measured, Measurements, page

PAGE = Path(__file__).parents[2] / "docs" / "adapters-methods.md"


def cells(text):
    """The rows of the table: method → its cells."""
    rows = [re.split(r"(?<!\\) \| ", line.removeprefix("| ").removesuffix(" |")) for line in text.splitlines() if line.startswith("| ")]
    return {row[0]: row for row in rows[1:]}


def test_the_page_is_what_the_definitions_and_the_measurements_say():
    text = PAGE.read_text(encoding="utf-8")
    assert text == page(Measurements.read(PAGE.with_suffix(".json"))), "run catlearn adapters -o docs/adapters-methods.md"


def test_the_page_lists_exactly_the_methods_of_the_library_and_each_is_measured():
    rows, found = cells(PAGE.read_text(encoding="utf-8")), Measurements.read(PAGE.with_suffix(".json"))
    assert list(rows) == ad.names() and sorted(found.methods) == ad.names()
    assert all(len(row) == 10 for row in rows.values())
    for name, one in found.methods.items():
        assert rows[name][6:9] == [f"{one.time:+.0%}", f"{one.memory:+.0%}", f"{one.right:.1%}"]
        assert one.time > -0.5 and one.memory > -0.5 and 0 < one.right <= 1


def test_the_measurements_say_what_is_known_beforehand():
    """Adapters cost something, learn more than a head alone, and less memory is kept where less is trained."""
    found = Measurements.read(PAGE.with_suffix(".json"))
    assert found.head_alone is not None and found.all_weights is not None
    assert found.methods["LoRA"].right > found.head_alone + 0.03 and found.all_weights > found.head_alone
    assert found.methods["LoRA"].memory < found.methods["LoHa"].memory + 1
    assert 0 < found.methods["LoRA"].time < 1


def test_a_method_without_a_measurement_and_a_changed_figure_are_noticed():
    found = Measurements.read(PAGE.with_suffix(".json"))
    fewer = Measurements({k: v for k, v in found.methods.items() if k != "LoRA"}, found.head_alone, found.all_weights)
    assert cells(page(fewer))["LoRA"][6:9] == ["–", "–", "–"] and page(fewer) != page(found)
    other = Measurements({**found.methods, "LoRA": Measured(9.0, 9.0, 0.5, 0.1)}, found.head_alone, found.all_weights)
    assert page(other) != page(found)


@pytest.mark.parametrize("figure", [0.01497, 0.00503, -0.00499, 1.23456789])
def test_a_page_made_from_the_file_later_says_the_same(figure, tmp_path):
    """Figures on the edge of two roundings: 1.497% is stored as 0.015, which is 2%."""
    found = Measurements({"LoRA": Measured(figure, figure, figure, 0.1)}, 0.5, 0.8)
    (tmp_path / "page.json").write_text(str(found))
    again = Measurements.read(tmp_path / "page.json")
    assert again == found and page(again) == page(found)


def test_a_row_tells_the_count_of_its_method():
    (line,) = [row for row in page().splitlines() if row.startswith("| LoRA |")]
    assert "| 12,288 | 8 | yes | LORA | – | – | – |" in line


@pytest.mark.parametrize("text", ["no json", "{}", '{"methods": {"LoRA": {"time": 1}}, "head_alone": 0, "all_weights": 0}', "[]"])
def test_a_file_of_measurements_that_is_none_is_named(text, tmp_path):
    path = tmp_path / "page.json"
    path.write_text(text)
    with pytest.raises(errors.BadCommand, match="no measurements"):
        Measurements.read(path)
