"""The table of all methods, ``docs/adapters-methods.md``: what follows from their definitions, and what was measured.

``catlearn adapters -o docs/adapters-methods.md`` writes it, with ``--measure`` after measuring; what was measured is kept beside it, so
that a changed definition needs no new measurement. Tests compare the page with the code.

>>> print(page().splitlines()[0])
# Adapter methods
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from inspect import getdoc
from pathlib import Path
from typing import Any

from catlearn import errors
from catlearn.adapters.definition import REGISTRY, Adapter, names
from catlearn.adapters.peft import ROWS
from catlearn.adapters.tensors import TLoRA

HEAD = """# Adapter methods

Every method with the options that it has by default, on a layer 768 → 768. *Rank* is what the rank of the change cannot exceed; *starts
at W* says whether a fresh adapter changes nothing; *peft* is the type under which `cl.save_adapter` writes the method, if peft has it.
Formulas read as matrices do, last factor first. `catlearn adapters -o docs/adapters-methods.md` makes this page, and `--measure` measures
again (about a quarter of an hour on one processor).

*Time* and *memory* are what the method adds to a forward and backward pass of a frozen transformer block of width 768 on 4 × 128 tokens
(the method on its four attention matrices), as a part of what that pass takes, and of the bytes that it keeps, without adapters. *Right*
is what a small transformer that was trained on upright handwritten digits reads rightly of digits that are turned and inverted, after the
method and a new head have learnt from 300 of them: 120 steps, the best of four rates on other images, the mean of two seeds. {ends}
One image is 0.3 points and other seeds move a figure by a point or two, so it tells methods that can learn the task from those that cannot,
no more. At width 64 some options are smaller (`catlearn/teach/methods.py`).

| method | W' | trained | rank | starts at W | peft | time | memory | right | what it is |
|---|---|---|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Measured:
    """What was measured of one method: time and memory as parts of the frozen block's, what is right, and the rate that it learnt with."""

    time: float
    memory: float
    right: float
    rate: float

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():  # to what is stored: a page that is made from the file later says the same
            object.__setattr__(self, name, round(value, 4))

    def __str__(self) -> str:
        return f"{self.time:+.0%} | {self.memory:+.0%} | {self.right:.1%}"


@dataclass(frozen=True)
class Measurements:
    """What was measured of all, and both ends of the scale: a head alone, and all weights."""

    methods: Mapping[str, Measured] = field(default_factory=dict)
    head_alone: float | None = None
    all_weights: float | None = None

    def __str__(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"

    @staticmethod
    def read(path: Path) -> Measurements:
        """Those of a file. Raises ``BadCommand`` for what is none."""
        try:
            found: dict[str, Any] = json.loads(path.read_text("utf-8"))
            each = {name: Measured(**row) for name, row in found["methods"].items()}
            return Measurements(each, found["head_alone"], found["all_weights"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise errors.BadCommand(f"{path} holds no measurements: {error}", next="measure again with --measure") from error


def example(name: str) -> Adapter:
    """An instance that fits a layer 768 → 768: the defaults, where they do."""
    return TLoRA((8, 8, 12), (8, 8, 12)) if name == "TLoRA" else REGISTRY[name]()


def row(name: str, measured: Measured | None = None) -> str:
    """One line of the table."""
    adapter = example(name)
    kind = ROWS[name].kind if name in ROWS else "–"
    what = re.split(r"(?<=[a-z0-9)∘ᵀ])\. |\.\n", (getdoc(adapter) or "").replace("|", "\\|"))[0]
    cells = [name, f"${adapter.formula()}$".replace("|", "\\|"), f"{adapter.trainable(768, 768):,}", str(adapter.rank_bound(768, 768)),
             "yes" if adapter.identity_at_init else "no", kind, "– | – | –" if measured is None else str(measured),
             " ".join(what.split())]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def page(found: Measurements | None = None) -> str:
    """The page as Markdown."""
    found = Measurements() if found is None else found
    ends = ""
    if found.head_alone is not None and found.all_weights is not None:
        ends = f"A new head\nalone reads {found.head_alone:.1%} of them, and with all weights trained it is {found.all_weights:.1%}."
    return HEAD.format(ends=ends) + "\n".join(row(name, found.methods.get(name)) for name in names()) + "\n"
