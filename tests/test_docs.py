"""README, docs and examples are tests: every python block and every example runs, links lead somewhere, generated pages are current.

The ``python`` blocks of one page share one namespace and run from top to bottom; a block with ``>>>`` is a doctest, so what it shows is
compared. Other blocks are marked ``text``, ``bash`` or ``console`` and do not run.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def blocks(text: str, language: str) -> list[tuple[int, str]]:
    """(line, source) of the fenced blocks in a language."""
    found = re.finditer(rf"^```{language}\n(.*?)^```", text, flags=re.M | re.S)
    return [(text[: match.start()].count("\n") + 1, match[1]) for match in found]


def run(page: str, text: str) -> int:
    """Run the python blocks of a page in one namespace; how many there were."""
    namespace: dict[str, object] = {"__name__": "__docs__"}
    found = blocks(text, "python")
    for line, source in found:
        if ">>> " in source:
            test = doctest.DocTestParser().get_doctest(source, namespace, f"{page}:{line}", page, line)
            report = io.StringIO()
            result = doctest.DocTestRunner(optionflags=FLAGS, verbose=False).run(test, out=report.write, clear_globs=False)
            namespace.update(test.globs)
            assert not result.failed, report.getvalue()
        else:
            exec(compile("\n" * line + source, page, "exec", dont_inherit=True), namespace)  # not this file's annotations
    return len(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_blocks_of_a_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run(page.name, page.read_text("utf-8"))


@pytest.mark.parametrize(
    "bad", ["```python\n1 / 0\n```\n", "```python\n>>> 1 + 1\n3\n```\n", "```python\nx = 1\n```\n```python\n>>> x\n2\n```\n"]
)
def test_a_wrong_block_is_noticed(bad: str) -> None:
    with pytest.raises((AssertionError, ZeroDivisionError)):
        run("bad", bad)


def test_the_readme_starts_with_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    first = re.search(r"^```\w*\n(.*?)^```", text, flags=re.M | re.S)
    assert first is not None
    assert [line.split("#")[0].strip() for line in first[1].splitlines()] == ["make demo", "make test"]
    assert blocks(text, "python"), "the README shows no code"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_a_page_lead_to_files_that_exist(page: Path) -> None:
    prose = re.sub(r"^```.*?^```|`[^`\n]*`", "", page.read_text("utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)#\s]+)", prose):
        assert target.startswith(("https://", "http://")) or (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_folder_of_the_package_has_a_page() -> None:
    folders = {path.parent.name for path in (ROOT / "catlearn").glob("*/__init__.py")}
    assert folders and {name for name in folders if not (ROOT / "docs" / f"{name}.md").exists()} == set()


def test_the_error_catalogue_is_current() -> None:
    from catlearn.teach.catalogue import catalogue

    assert (ROOT / "docs" / "errors.md").read_text("utf-8") == catalogue(), "run python -m catlearn.teach.catalogue docs/errors.md"


def test_every_named_error_stands_in_the_catalogue_under_its_own_code() -> None:
    from catlearn import errors

    kinds = [
        k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, errors.CatlearnError) and k is not errors.CatlearnError
    ]
    text = (ROOT / "docs" / "errors.md").read_text("utf-8")
    assert [k.__name__ for k in kinds if f"| {k.code} | `{k.__name__}` |" not in text] == []
    assert len({k.code for k in kinds}) == len(kinds) and all(k.__doc__ for k in kinds)


def test_examples_are_numbered_without_gaps() -> None:
    assert [path.name[:2] for path in EXAMPLES] == [f"{i:02}" for i in range(1, 15)]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_says_something(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = path.read_text("utf-8").splitlines()
    assert 15 <= len(lines) <= 55, "an example is one idea on one screen"
    monkeypatch.chdir(tmp_path)
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        runpy.run_path(str(path), run_name="__main__")
    assert len(shown.getvalue().splitlines()) >= 5
