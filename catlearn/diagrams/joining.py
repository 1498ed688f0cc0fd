"""Composing and tensoring sums of diagrams: both put two networks together and contract what lies inside.

>>> from catlearn.diagrams import Brauer
>>> bend = Brauer(0, 2, [(0, 1)])
>>> composite(bend.sum, bend.T.sum), beside(bend.sum, bend.T.sum)
(n·Brauer(0→0: ), Brauer(2→2: 0 1 | 2 3))
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from catlearn.diagrams.contract import Network, contract
from catlearn.diagrams.polynomial import Coefficient
from catlearn.errors import BadDiagram

if TYPE_CHECKING:
    from catlearn.diagrams.diagram import Combination, Diagram

    Join = Callable[[Diagram, Diagram], Network]


def composite(left: Combination, right: Combination) -> Combination:
    """``left``, then ``right``. Raises ``BadDiagram`` if the kinds, the sizes or the points in the middle differ."""
    same_kind(left, right, ">>")
    k, l, middle = left.k, right.l, left.l
    if middle != right.k:
        rows = [f"the first has {middle} outputs   {_short(left)}", f"the second has {right.k} inputs   {_short(right)}"]
        raise BadDiagram("these diagrams do not compose", rows, "put identities beside the narrower one, or a diagram between them")

    def join(d: Diagram, e: Diagram) -> Network:
        upper = e.network.relabel(lambda point: point if point < l else point + k)
        return upper + d.network.relabel(lambda point: l + k + point if point < middle else l + point - middle)

    return _bilinear(left, right, k, l, middle, join)


def beside(left: Combination, right: Combination) -> Combination:
    """The two side by side. Raises ``BadDiagram`` if the kinds or the sizes differ."""
    same_kind(left, right, "@")
    k, l = left.k + right.k, left.l + right.l

    def join(d: Diagram, e: Diagram) -> Network:
        upper = d.network.relabel(lambda point: point if point < d.l else point + e.l)
        return upper + e.network.relabel(lambda point: point + d.l if point < e.l else point + d.l + d.k)

    return _bilinear(left, right, k, l, 0, join)


def same_kind(left: Combination, right: Combination, sign: str) -> None:
    """Raises ``BadDiagram`` if the two belong to different groups."""
    names = f"{left.kind.__name__} {sign} {right.kind.__name__}"
    if left.kind is not right.kind:
        raise BadDiagram(f"{names}: diagrams of different kinds do not mix", next="write both in the kind of one group")
    if left.size != right.size:
        raise BadDiagram(f"{names}: n is {left.size} in the first and {right.size} in the second")


def check_number(kind: type[Diagram], n: Any) -> int:
    """``n`` if that group exists there; ``BadDiagram`` if not: n is at least 1, and even for Sp."""
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise BadDiagram(f"{kind.group}(n) needs an integer n of at least 1, and n is {n!r}")
    if kind.group == "Sp" and n % 2:
        raise BadDiagram(f"Sp(n) needs an even n, and n is {n}", next=f"Sp({n + 1}) exists")
    return n


def _bilinear(
    left: Combination, right: Combination, k: int, l: int, inner: int, join: Callable[[Diagram, Diagram], Network]
) -> Combination:
    terms: list[tuple[Diagram, Coefficient]] = []
    for d, a in left.terms:
        for e, b in right.terms:
            for c, network in contract(join(d, e), k + l, k + l + inner, left.n_or_symbol):
                terms.append((left.kind.build(k, l, network, left.size), a * b * c))
    return left.like(k, l, terms)


def _short(c: Combination) -> str:
    return text if len(text := str(c)) < 80 else f"a sum of {len(c.terms)} {c.kind.__name__} diagrams {c.k}→{c.l}"
