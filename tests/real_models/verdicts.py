"""The page of verdicts out of the table of claims: ``python -m tests.real_models.verdicts docs/verdicts.md``."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from tests.real_models.claims import CLAIMS, Row

HEAD = """# Verdicts on real models

Which symmetries models that other people wrote have, and which they do not. Every row is a claim for all parameters, in evaluation mode;
`n`, `b`, `q` and `e` are sizes for which it covers a whole range. The verdict was written down from what the model computes before the
prover was asked, and `tests/real_models/test_verdicts.py` asks it: *proved* comes with a certificate that is re-checked, *refuted* with a
counterexample. What the words mean is in [What is proved, exactly](what-is-proved.md).

The models are those of `tests/real_models/zoo.py`, small configurations of the originals; MiniLM is the trained one. This page is made by
`python -m tests.real_models.verdicts docs/verdicts.md`.

"""


def row_of(row: Row) -> str:
    """One line of a table."""
    batch = f", batch {row.batch}" if row.batch != () else ""
    left = f"; left: {row.surviving}" if row.surviving else ""
    return f"| {row.model.partition('.')[2]} | {row.what} | `{row.dom} → {row.cod}`{batch} | **{row.verdict}** | {row.note}{left} |"


def page() -> str:
    """The whole page."""
    counts = Counter(row.verdict for row in CLAIMS)
    said = ", ".join(f"{counts[verdict]} {verdict}" for verdict in ("proved", "refuted", "unknown"))
    models = len({row.model for row in CLAIMS})
    parts = [HEAD, f"{len(CLAIMS)} claims about {models} models: {said}.\n"]
    for package in dict.fromkeys(row.model.partition(".")[0] for row in CLAIMS):
        rows = [row for row in CLAIMS if row.model.startswith(package + ".")]
        parts += [f"\n## {package}\n\n| model | what is renamed or moved | claim | verdict | why |\n|---|---|---|---|---|\n"]
        parts += [row_of(row) + "\n" for row in rows]
    return "".join(parts)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), "utf-8")
