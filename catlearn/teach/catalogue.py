"""The catalogue of errors, ``docs/errors.md``, made from ``catlearn/errors.py``: one row per named error, grouped as in that file.

Run ``python -m catlearn.teach.catalogue docs/errors.md`` after adding one; a test compares the page with the code.

>>> print(catalogue().splitlines()[0])
# Errors
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from inspect import getdoc, getsource
from pathlib import Path

from catlearn import errors

HEAD = """# Errors

Every mistake that catlearn can name is a class in `catlearn.errors`, with a code that does not change between versions. A message says
what was given, what was needed, where in your file, and what to do next:

```text
{sample}
```

Catch `catlearn.errors.CatlearnError` to catch all of them. This page is made from `catlearn/errors.py` by
`python -m catlearn.teach.catalogue docs/errors.md`.
"""


def catalogue() -> str:
    """The page as Markdown text."""
    parts = [HEAD.format(sample=_sample())]
    for title, names in groups():
        parts += [f"## {title}\n", "| code | name | when it is raised |", "|---|---|---|"]
        for name in names:
            kind = getattr(errors, name)
            text = " ".join((getdoc(kind) or "").replace("``", "`").split()).replace("|", "\\|")
            parts.append(f"| {kind.code} | `{name}` | {text} |")
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def groups() -> Iterator[tuple[str, list[str]]]:
    """The sections of ``errors.py`` with the names of the errors whose code starts with theirs, sorted by code."""
    titles = dict(re.findall(r"^# --- (.+?): (CL\d)xx -+$", getsource(errors), flags=re.M))
    kinds = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, errors.CatlearnError) and k.code != "CL000"]
    for title, prefix in titles.items():
        yield title.capitalize(), [k.__name__ for k in sorted(kinds, key=lambda k: k.code) if k.code.startswith(prefix)]


def _sample() -> str:
    from catlearn.boxes.contract import linear
    from catlearn.core.spaces import R

    try:
        _ = linear(R(64), R(128)) >> linear(R(100), R(10))
    except errors.NotComposable as error:
        return re.sub(r" +\(.*\)$", "", str(error), flags=re.M)
    raise AssertionError("unequal spaces were composed")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(catalogue(), "utf-8")
