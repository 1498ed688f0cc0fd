"""The command line: what it prints, which exit code it gives, and that a user's mistake is one message without a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from xml.etree import ElementTree

import pytest

import catlearn as cl
from catlearn.cli import main
from catlearn.cli.loading import load

GOOD = """
    import catlearn as cl

    x, y = cl.R(3), cl.R(2)
    net = cl.linear(x, y).named("head") >> cl.tanh
    schema = cl.relu
    number = 3

    def built(width=4):
        return cl.linear(cl.R(width), y)

    def needs(width):
        return cl.linear(cl.R(width), y)

    def fails():
        return 1 / 0

    if __name__ == "__main__":
        raise RuntimeError("run as a script")
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    monkeypatch.chdir(tmp_path)

    def put(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(dedent(text), "utf-8")
        return path

    put("net.py", GOOD)
    return put


def outcome(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    shown = capsys.readouterr()
    return code, shown.out, shown.err


# --- FILE:NAME --------------------------------------------------------------------------------------------------------


def test_a_name_is_a_term_or_a_function_that_makes_one(write) -> None:
    assert load("net.py:net").params.keys() == {"head.linear.weight", "head.linear.bias"}
    assert load("net.py:built").dom == cl.R(4)


def test_a_file_may_import_its_neighbours_and_leaves_no_path_behind(write) -> None:
    write("parts.py", "import catlearn as cl\nhead = cl.linear(cl.R(5), cl.R(1))\n")
    write("uses.py", "from parts import head\nnet = head\n")
    before = list(sys.path)
    assert load("uses.py:net").dom == cl.R(5)
    assert sys.path == before


MISTAKES = [
    ("net.py", "FILE:NAME"),  # no name
    ("net.py:nett", "did you mean net?"),
    ("net.py:qqqqqqq", "the terms of this file are net"),
    ("nte.py:net", "did you mean net.py"),
    ("nowhere/at/all.py:net", "there is no file"),
    ("net.py:schema", "CL106"),
    ("net.py:number", "int, which is no term"),
    ("net.py:needs", "needs arguments: width"),
    ("net.py:fails", "net.py:16: ZeroDivisionError: division by zero"),
    ("syntax.py:net", "syntax.py:2: "),
    ("raises.py:net", "raises.py:3: NameError: name 'lienar' is not defined"),
    ("imports.py:net", "ModuleNotFoundError: No module named 'no_such_package'"),
    ("spaces.py:net", "spaces.py:2"),
    ("leaves.py:net", "leaves.py:1: SystemExit: 3"),
    ("notes.txt:net", ".py"),
]


@pytest.mark.parametrize("command", ["explain", "cost", "draw", "laws"])
@pytest.mark.parametrize(("target", "words"), MISTAKES, ids=[target for target, _ in MISTAKES])
def test_a_mistake_is_one_message_and_exit_code_2(write, capsys, command: str, target: str, words: str) -> None:
    write("syntax.py", "x = 1\nnet = cl.linear(\n")
    write("raises.py", "import catlearn as cl\n\nnet = lienar(3)\n")
    write("imports.py", "import no_such_package\n")
    write("spaces.py", "import catlearn as cl\nnet = cl.linear(cl.R(2), cl.R(3)) >> cl.relu(cl.R(4))\n")
    write("leaves.py", "raise SystemExit(3)\n")
    write("notes.txt", "net\n")
    code, out, err = outcome(capsys, command, target)
    assert code == 2 and out == "" and words in err
    assert "Traceback" not in err and len(err.splitlines()) <= 8 and "[CL" in err


# --- the commands -----------------------------------------------------------------------------------------------------


def test_version_and_help(capsys) -> None:
    assert outcome(capsys, "--version") == (0, f"catlearn {cl.__version__}\n", "")
    code, out, _ = outcome(capsys, "--help")
    assert code == 0 and all(name in out for name in ("demo", "draw", "explain", "cost", "laws", "verify", "check", "adapters"))


@pytest.mark.parametrize("command", ["demo", "draw", "explain", "cost", "laws", "verify", "check", "adapters"])
def test_every_command_has_a_help_with_an_example(capsys, command: str) -> None:
    code, out, _ = outcome(capsys, command, "--help")
    assert code == 0 and f"Example: catlearn {command}" in " ".join(out.split())


@pytest.mark.parametrize("arguments", [["fly"], ["draw"], ["cost", "net.py:net", "--batch", "0"], ["demo", "--colour"]])
def test_a_wrong_command_is_exit_code_2(write, capsys, arguments: list[str]) -> None:
    code, _, err = outcome(capsys, *arguments)
    assert code == 2 and "Traceback" not in err and err


def test_explain_prints_what_the_library_says(write, capsys) -> None:
    assert outcome(capsys, "explain", "net.py:net") == (0, str(cl.explain(load("net.py:net"))) + "\n", "")


def test_cost_counts_the_parameters_and_takes_a_batch(write, capsys) -> None:
    code, out, _ = outcome(capsys, "cost", "net.py:net", "--batch", "7")
    assert code == 0 and out == str(cl.cost(load("net.py:net"), batch=7)) + "\n"
    assert "8" in out  # 2 x 3 weights and 2 biases
    assert out != outcome(capsys, "cost", "net.py:net")[1]


def test_draw_writes_svg_and_folding_changes_the_picture(write, capsys, tmp_path: Path) -> None:
    assert outcome(capsys, "draw", "net.py:net", "-o", "a.svg") == (0, "wrote a.svg\n", "")
    assert outcome(capsys, "draw", "net.py:net", "-o", "b.svg", "--no-fold")[0] == 0
    folded, unfolded = (tmp_path / "a.svg").read_text(), (tmp_path / "b.svg").read_text()
    assert ElementTree.fromstring(folded).tag.endswith("svg") and ElementTree.fromstring(unfolded).tag.endswith("svg")
    assert folded != unfolded


@pytest.mark.parametrize(("output", "words"), [("net.gif", ".svg"), ("missing/net.svg", "missing"), ("net.py/net.svg", "net.py")])
def test_draw_to_a_place_that_does_not_work(write, capsys, output: str, words: str) -> None:
    code, out, err = outcome(capsys, "draw", "net.py:net", "-o", output)
    assert code == 2 and out == "" and words in err and "Traceback" not in err


# --- the demo ---------------------------------------------------------------------------------------------------------


def test_demo_refuses_an_unknown_chapter_before_it_trains(capsys, tmp_path: Path) -> None:
    code, _, err = outcome(capsys, "demo", "--chapter", "digit", "--out", str(tmp_path / "new"))
    assert code == 2 and "did you mean digits?" in err and not (tmp_path / "new").exists()


def test_demo_refuses_a_file_as_its_folder(capsys, tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("kept")
    code, _, err = outcome(capsys, "demo", "--out", str(tmp_path / "demo"))
    assert code == 2 and "not a folder" in err and (tmp_path / "demo").read_text() == "kept"


def test_the_installed_script_gives_its_exit_code(write, tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("catlearn")
    command = [str(script)] if script.exists() else [sys.executable, "-c", "from catlearn.cli import main; raise SystemExit(main())"]
    result = subprocess.run([*command, "explain", "net.py:nett"], capture_output=True, text=True, cwd=tmp_path,
                            env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=120, check=False)  # fmt: skip
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr == "[CL601] net.py defines no 'nett'\n  next: did you mean net?\n"
