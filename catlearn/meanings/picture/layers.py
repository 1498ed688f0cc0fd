"""What the layout places, and in which layer each item stands.

>>> items = [Item(9, 9, [], [4]), Item(9, 9, [4], [4]), Item(9, 9, [3, 6], [])]
>>> layers(items, [Net((0, 0), [(1, 0), (2, 0)]), Net((1, 0), [(2, 1)])])
[1, 2, 3]
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

NEAR = 9.0  # wires arrive and leave straight for so long


@dataclass
class Item:
    """Something to place: its size, the heights of its ports, and how long its labels need its wires to run straight."""

    w: float
    h: float
    ins: list[float]
    outs: list[float]
    x_in: float = 0.0
    x_out: float | None = None  # default: the right edge
    lead: float = 0.0
    end: str = ""  # "source" and "sink" stand in the first and the last layer, in the order given
    frame: bool = False  # its wires go on inside

    @property
    def reach(self) -> float:
        """How wide it is with its labels."""
        return max(self.w, (self.w if self.x_out is None else self.x_out) + max(self.lead, NEAR if self.outs else 0.0))


@dataclass
class Net:
    """One wire: from (item, port) to any number of (item, port)."""

    source: tuple[int, int]
    targets: list[tuple[int, int]]


def layers(items: list[Item], nets: list[Net]) -> list[int]:
    """Longest paths from the left; what has no input stands just before its first reader; sinks stand last."""
    readers: dict[int, list[int]] = defaultdict(list)
    entered = set()
    for net in nets:
        readers[net.source[0]] += [item for item, _ in net.targets]
        entered.update(item for item, _ in net.targets)
    layer = [0 if item.end == "source" else 1 for item in items]
    for i in range(len(items)):
        for j in readers[i]:
            layer[j] = max(layer[j], layer[i] + 1)
    last = max((layer[i] for i, item in enumerate(items) if item.end != "sink"), default=0) + 1
    for i, item in enumerate(items):
        if item.end == "sink":
            layer[i] = last
    for i, item in enumerate(items):
        if not item.end and i not in entered and readers[i]:
            layer[i] = min(layer[j] for j in readers[i]) - 1
    return layer
