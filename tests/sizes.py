"""The size gate of ``make check``: 300 lines are a full file, 40 a full function (its docstring and blank lines not counted).

A longer one gives its reason in its own docstring, in a sentence that starts with "Longer than a full file because" or
"Longer than a full function because". Without arguments the script looks at every file of the package; it prints what is too long
and exits with 1 if anything is.

>>> print(*problems("x = 1\\n" * 301, "a.py"))
a.py:1: 301 lines, a full file has 300
>>> list(problems('"Longer than a full file because it is one table."\\n' * 301, "a.py"))
[]
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

FILE, FUNCTION = 300, 40
PACKAGE = Path(__file__).parent.parent / "catlearn"


def problems(text: str, name: str) -> Iterator[str]:
    """One line for the file and for each function in it that is too long and gives no reason."""
    tree, lines = ast.parse(text), text.splitlines()
    if len(lines) > FILE and not gives_reason(tree, "file"):
        yield f"{name}:1: {len(lines)} lines, a full file has {FILE}"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = code_lines(node, lines)
            if length > FUNCTION and not gives_reason(node, "function"):
                yield f"{name}:{node.lineno}: {node.name} has {length} lines, a full function has {FUNCTION}"


def code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str]) -> int:
    """The lines of a function from ``def`` on, without its docstring and without blank lines."""
    docstring = node.body[0] if ast.get_docstring(node) is not None else None
    skipped = set(range(docstring.lineno, (docstring.end_lineno or docstring.lineno) + 1)) if docstring else set()
    inside = range(node.lineno, (node.end_lineno or node.lineno) + 1)
    return sum(number not in skipped and bool(lines[number - 1].strip()) for number in inside)


def gives_reason(node: ast.Module | ast.FunctionDef | ast.AsyncFunctionDef, what: str) -> bool:
    """Whether the docstring says why this is longer."""
    return f"Longer than a full {what} because " in " ".join((ast.get_docstring(node) or "").split())


def main(names: list[str]) -> int:
    """Check the named files, or all of the package; the exit code."""
    paths = [Path(name) for name in names] or sorted(PACKAGE.rglob("*.py"))
    root = PACKAGE.parent
    found = [
        line for path in paths for line in problems(path.read_text(), str(path.relative_to(root) if path.is_relative_to(root) else path))
    ]
    print("\n".join(found) if found else f"{len(paths)} files: none over {FILE} lines and no function over {FUNCTION} without a reason")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
