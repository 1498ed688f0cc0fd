"""From where calls stand to scopes: the tree of modules, in the order in which they run.

A module that runs is one part, in one piece. A container (``ModuleList``) does not run: its parts become one scope if they run one
after the other, with nothing but plain steps between them, which go into the scope; otherwise each part stands alone, as
``layers_0``, ``layers_1``.

>>> plain = lambda label, *frames: (frames, label)
>>> rows = [plain("a", ("layers", ""), ("0", "x")), plain("add"), plain("b", ("layers", ""), ("1", "y"))]
>>> nest(rows, lambda node: True)
[Part(name='layers', items=[Part(name='0', items=['a']), 'add', Part(name='1', items=['b'])])]
>>> nest(rows, lambda node: False)
[Part(name='layers_0', items=['a']), 'add', Part(name='layers_1', items=['b'])]
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

Row = tuple[tuple[tuple[str, str], ...], Any]


@dataclass
class Part:
    """A scope to be: its name, and what stands in it."""

    name: str
    items: list[Any]


def nest(rows: list[Row], plain: Callable[[Any], bool]) -> list[Any]:
    """The parts of rows of (frames, node). ``plain(node)``: it has nothing to do with parameters, so it may go into any scope."""
    rows = _contained(list(rows), plain)
    items: list[Any] = []
    for head, group in groupby(rows, key=lambda row: row[0][0] if row[0] else None):
        inside = list(group)
        if head is None:
            items += [node for _, node in inside]
        else:
            items.append(Part(head[0], nest([(frames[1:], node) for frames, node in inside], plain)))
    return items


def _contained(rows: list[Row], plain: Callable[[Any], bool]) -> list[Row]:
    """Every container in one piece: what stands between its parts goes in, or its parts stand alone."""
    for head in dict.fromkeys(frames[0] for frames, _ in rows if frames and not frames[0][1]):
        at = [i for i, (frames, _) in enumerate(rows) if frames and frames[0] == head]
        between = [i for i in range(at[0], at[-1] + 1) if not (rows[i][0] and rows[i][0][0] == head)]
        if all(not rows[i][0] and plain(rows[i][1]) for i in between):
            for i in between:
                rows[i] = ((head,), rows[i][1])
        else:
            for i in at:
                (label, _), following, *rest = rows[i][0]
                rows[i] = (((f"{label}_{following[0]}", following[1]), *rest), rows[i][1])
            return _contained(rows, plain)
    return rows


__all__ = ["Part", "nest"]
