"""``catlearn laws`` takes structured maps and groups too."""

import pytest
from typer.testing import CliRunner

from catlearn.cli.app import app

FILE = """import catlearn as cl
f = cl.maps.dense("A", 2, 3) @ cl.maps.identity(2)
G = cl.S(2)
z = cl.Z(5)
"""


@pytest.mark.parametrize(("name", "says"), [("f", "laws of A ⊗ id : 3×2 → 2×2"), ("G", "laws of theta(S(2))")])
def test_laws_of_maps_and_groups(tmp_path, name, says):
    (tmp_path / "own.py").write_text(FILE)
    result = CliRunner().invoke(app, ["laws", f"{tmp_path}/own.py:{name}", "--trials", "3"])
    assert result.exit_code == 0 and says in result.output and "0 failed" in result.output


def test_a_group_without_diagrams_is_a_mistake_in_words(tmp_path):
    (tmp_path / "own.py").write_text(FILE)
    result = CliRunner().invoke(app, ["laws", f"{tmp_path}/own.py:z"])
    assert result.exit_code != 0 and "Traceback" not in result.output
