"""Docstrings of Python's own library: which module does a text come from? Read from the sources, so nothing is imported or downloaded.

>>> learn, test = docstrings()
>>> len(MODULES), len(learn) + len(test) == len({text for text, _ in learn + test})
(8, True)
"""

from __future__ import annotations

import ast
import re
from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

MODULES = ("asyncio", "decimal", "email", "ipaddress", "logging", "tarfile", "turtle", "unittest")
LEARNT, TESTED = 48, 28  # of each module
SOURCES = {"decimal": "_pydecimal"}  # where the Python text of a module is, if elsewhere
Labelled = list[tuple[str, int]]


@cache
def docstrings() -> tuple[Labelled, Labelled]:
    """(text, index of its module) to learn from, and to be tested on: a text is in one part only, in every run the same.

    Texts that two modules share are left out, and so are the modules' names in the texts: they would be the answer.
    """
    found = [texts(name) for name in MODULES]
    seen = [text for part in found for text in part]
    learn, test = [], []
    for label, part in enumerate(found):
        own = sorted((text for text in part if seen.count(text) == 1), key=lambda text: sha256(text.encode()).digest())
        learn += [(text, label) for text in own[:LEARNT]]
        test += [(text, label) for text in own[LEARNT : LEARNT + TESTED]]
    return learn, test


def texts(module: str) -> list[str]:
    """The docstrings of a module's classes and functions of at least five words, each once, without the names of the modules."""
    spec = find_spec(SOURCES.get(module, module))
    assert spec is not None and spec.origin is not None, f"Python came without {module}"
    path = Path(spec.origin)
    files = sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]
    found = [ast.get_docstring(node) for file in files if not {"test", "tests"} & set(file.relative_to(path.parent).parts)
             for node in ast.walk(ast.parse(file.read_text("utf-8")))
             if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)]  # fmt: skip
    names = re.compile(rf"\b({'|'.join(MODULES)})\b", re.IGNORECASE)
    plain = [" ".join(names.sub("it", text).split()) for text in found if text]
    return list(dict.fromkeys(text for text in plain if len(text.split()) >= 5))
