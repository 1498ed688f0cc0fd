"""Partition and Brauer diagrams as discopy's ``frobenius`` diagrams of spiders, and back.

A block is a spider on one object, ``n``: as many legs in as it has inputs, as many out as it has outputs. Back, whatever discopy has
composed is read off its hypergraph: spiders without legs are closed components, a factor n each. discopy neither knows signs nor
coupons, so only partitions and Brauer diagrams go there.

Laws: ``from_frobenius(to_frobenius(d))`` is 1·d; composing, tensoring and transposing commute with both.

>>> from catlearn.diagrams import Partition
>>> d = Partition(1, 2, [[0, 2], [1]])
>>> print(from_frobenius(to_frobenius(d) >> to_frobenius(d.T)))
n·Partition(1→1: 0 1)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from catlearn import errors
from catlearn.diagrams import Brauer, Combination, Diagram, N, Partition
from catlearn.interop.discopy import discopy


def to_frobenius(d: Diagram) -> Any:
    """A partition or a Brauer diagram as a ``discopy.frobenius.Diagram``. Raises ``NoRule`` for the other kinds."""
    if not isinstance(d, Partition | Brauer):
        raise errors.NoRule("to_discopy", f"{type(d).__name__}, whose signs discopy's spiders do not carry", "take Partition or Brauer")
    frobenius = discopy().frobenius
    x = frobenius.Ty("n")
    into = [[p - d.l for p in block if p >= d.l] for block in d.deltas]
    out = [[p for p in block if p < d.l] for block in d.deltas]
    spiders = frobenius.Id(frobenius.Ty())
    for a, b in zip(into, out, strict=True):
        spiders = spiders @ frobenius.Spider(len(a), len(b), x)
    return _sorting(frobenius, x, _flat(into)) >> spiders >> _sorting(frobenius, x, _flat(out)).dagger()


def from_frobenius(diagram: Any, kind: type[Partition] | type[Brauer] = Partition) -> Combination:
    """The partition (or Brauer diagram) that a frobenius diagram of spiders and swaps is, times n for each closed component.

    Raises ``NoRule`` for boxes, ``BadDiagram`` if ``kind`` is ``Brauer`` and a component has not two legs.
    """
    h = diagram.to_hypergraph()
    if h.boxes:
        raise errors.NoRule("from_discopy", f"the box {h.boxes[0]} in a diagram of spiders", "only spiders, swaps, cups and caps are known")
    dom, _, cod = h.wires
    blocks: dict[Any, list[int]] = {}
    for point, spider in enumerate((*cod, *dom)):
        blocks.setdefault(spider, []).append(point)
    return kind(len(dom), len(cod), list(blocks.values())) * N ** (h.n_spiders - len(blocks))


def _flat(rows: Sequence[Sequence[int]]) -> list[int]:
    return [point for row in rows for point in row]


def _sorting(frobenius: Any, x: Any, order: list[int]) -> Any:
    """The permutation that brings wire ``order[i]`` to place i."""
    return frobenius.Diagram.permutation(order, x ** len(order)) if order else frobenius.Id(frobenius.Ty())
