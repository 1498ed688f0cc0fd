"""``coverage``: which part of a term the library knows by its own boxes, and which only as calls of torch.

>>> import catlearn as cl, torch
>>> print(coverage(cl.categorify(lambda x: torch.relu(x).flip(0), torch.ones(3))))
1 of 2 steps are boxes of the library, with 0 of 0 numbers in parameters
  known   relu 1
  opaque  aten.flip.default 1
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from catlearn.core.sizes import Size
from catlearn.core.term import Term


@dataclass(frozen=True)
class Coverage:
    """Counts of steps by op, in falling order: ``known`` boxes and ``opaque`` calls; and the numbers in the parameters they read."""

    known: dict[str, int]
    opaque: dict[str, int]
    numbers: Size
    known_numbers: Size

    @property
    def fraction(self) -> float:
        """The share of steps that are boxes of the library; 1 for a term without steps."""
        known, opaque = sum(self.known.values()), sum(self.opaque.values())
        return known / (known + opaque) if known + opaque else 1.0

    def __str__(self) -> str:
        known, total = sum(self.known.values()), sum(self.known.values()) + sum(self.opaque.values())
        lines = [f"{known} of {total} steps are boxes of the library, with {self.known_numbers} of {self.numbers} numbers in parameters"]
        for title, row in (("known", self.known), ("opaque", self.opaque)):
            lines += [f"  {title:6}  {', '.join(f'{name} {times}' for name, times in row.items())}"] if row else []
        return "\n".join(lines)

    __repr__ = __str__


def coverage(term: Term) -> Coverage:
    """What of a term was recognised and what stayed opaque (``aten`` calls and user's own boxes without a definition)."""
    graph = term.graph
    known: Counter[str] = Counter()
    opaque: Counter[str] = Counter()
    sizes = {wire: graph.wires[wire].size for wire in graph.param_wires.values()}
    read: set[int] = set()
    for node in graph.nodes:
        dark = node.op.key == "aten" or (node.op.key == "box" and node.op.definition is None)
        (opaque if dark else known)[str(node.op) if dark else node.op.name] += 1
        read |= set() if dark else {a for a in node.args if a in sizes}
    total: Size = 0
    for size in sizes.values():
        total = size + total
    seen: Size = 0
    for wire in read:
        seen = sizes[wire] + seen
    return Coverage(dict(known.most_common()), dict(opaque.most_common()), total, seen)


__all__ = ["Coverage", "coverage"]
