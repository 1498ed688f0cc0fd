"""The table of all methods, ``docs/adapters-methods.md``, made from their definitions.

Run ``python -m catlearn.adapters.table docs/adapters-methods.md`` after changing one; a test compares the page with the code.

>>> print(page().splitlines()[0])
# Adapter methods
"""

from __future__ import annotations

import re
import sys
from inspect import getdoc
from pathlib import Path

from catlearn.adapters.definition import REGISTRY, Adapter, names
from catlearn.adapters.peft import ROWS
from catlearn.adapters.tensors import TLoRA

HEAD = """# Adapter methods

Every method with the options that stand in the table, on a layer 768 → 768. *Rank* is what the rank of the change cannot exceed; *starts
at W* says whether a fresh adapter changes nothing; *peft* is the type under which `cl.save_adapter` writes the method, if peft has it.
Formulas read as matrices do, last factor first. This page is made by `python -m catlearn.adapters.table docs/adapters-methods.md`.

| method | W' | trained | rank | starts at W | peft | what it is |
|---|---|---|---|---|---|---|
"""


def example(name: str) -> Adapter:
    """An instance that fits a layer 768 → 768: the defaults, where they do."""
    return TLoRA((8, 8, 12), (8, 8, 12)) if name == "TLoRA" else REGISTRY[name]()


def row(name: str) -> str:
    """One line of the table."""
    adapter = example(name)
    kind = ROWS[name].kind if name in ROWS else "–"
    what = re.split(r"(?<=[a-z0-9)∘ᵀ])\. |\.\n", (getdoc(adapter) or "").replace("|", "\\|"))[0]
    cells = [name, f"${adapter.formula()}$".replace("|", "\\|"), f"{adapter.trainable(768, 768):,}", str(adapter.rank_bound(768, 768)),
             "yes" if adapter.identity_at_init else "no", kind, " ".join(what.split())]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def page() -> str:
    """The page as Markdown."""
    return HEAD + "\n".join(map(row, names())) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
