"""Bases of Hom_G(V^k, V^l), V = R^n: a basis for every n and every order, as diagrams, and its length by a closed formula.

The dimension depends on k + l only, since V is its own dual for each of these groups. The basis of S(n) for n ≥ k + l, of O(n) for
2n ≥ k + l and of Sp(n) for n ≥ k + l is the same for all those n, so there n may be a symbol whose ``min`` is large enough.

Sources: Pearce-Crump, ICML 2023 (arXiv:2212.08630, 2301.10152) and arXiv:2212.08648; for small n Lehrer and Zhang, Annals 2012.

>>> from catlearn.core.sizes import dim
>>> from catlearn.core.spaces import O, S
>>> hom_dim(S(5), 2, 2), hom_dim(S(2), 2, 2), hom_dim(O(3), 3, 3)
(15, 8, 15)
>>> hom_dim(S(dim("n")), 2, 2)
Traceback (most recent call last):
...
catlearn.errors.BadSymmetry: [CL803] Hom of S(n), 2 → 2: the basis is not the same for every n ≥ 2
  needed  n ≥ 4
  next: give the size a larger min, e.g. cl.dim("n", min=4), or a number
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from catlearn.core.sizes import Poly, Size, dim
from catlearn.core.spaces import Group
from catlearn.diagrams.basis import KINDS, basis, dimension, stable_size
from catlearn.errors import BadSymmetry
from catlearn.symmetry.elements import checked

LIMIT = 200_000
COUNTED = 60  # on more points the closed formulas of small O(n), SO(n), Sp(n) have too many terms to be refused by
INSTEAD = {
    "Z": "maps that commute with cyclic shifts are circulant: use the circulant map, or a convolution",
    "T": "a linear map commutes with translations exactly if it fixes them: subtract the mean of the points first",
}


def hom_dim(group: Group, k: int, l: int) -> int:
    """The dimension of Hom_G(V^k, V^l), by the closed formula.

    Raises ``BadSymmetry`` for a group without diagrams (Z, T), orders that are none, and a symbolic n for which the dimension changes.
    """
    n = basis_size(group, k, l)
    return dimension(group.kind, n, k, l)


def hom_basis(group: Group, k: int, l: int, limit: int | None = LIMIT) -> tuple[Any, ...]:
    """A basis of Hom_G(V^k, V^l) as diagrams, in an order that never changes: exactly ``hom_dim(group, k, l)`` of them.

    Raises ``BadSymmetry`` as ``hom_dim`` does, and for more than ``limit`` diagrams, before any is made.

    >>> from catlearn.core.spaces import O
    >>> len(hom_basis(O(2), 2, 2)), len(hom_basis(O(2), 1, 2))
    (3, 0)
    """
    n, what = basis_size(group, k, l), f"Hom of {group}, {k} → {l}"
    for points in range((k + l) % 2, k + l if k + l > COUNTED else 0, 2):  # dimensions grow with every second point
        if limit is not None and (count := dimension(group.kind, n, points, 0)) > limit:
            refuse_large(count, k + l, limit, f"{what}, already on {points} of its {k + l} points,")
    refuse_large(dimension(group.kind, n, k, l), k + l, limit, what)
    return basis(group.kind, n, k, l)


def refuse_large(count: int, points: int, limit: int | None, what: str) -> None:
    """Raises ``BadSymmetry`` if ``count`` diagrams on so many points are more than ``limit``; says the number and the memory."""
    if limit is not None and count > limit:
        number = f"{count:,}" if count < 10**60 else f"{Decimal(count):.1e}"
        head = f"{what} has a basis of {number} diagrams, about {_memory(count * bytes_of(points))} of memory"
        raise BadSymmetry(head, [f"the limit is {limit:,} diagrams"], "use lower orders; hom_basis and hom_elements take another limit=")


def bytes_of(points: int) -> int:
    """About how much memory one diagram on so many points takes, as measured with tracemalloc on bases of 4,000 to 21,000 diagrams."""
    return 230 + 25 * points


def _memory(count: int) -> str:
    size, unit = Decimal(count) / 2**20, "MiB"
    for larger in ("GiB", "TiB", "PiB"):
        if size >= 1024:
            size, unit = size / 1024, larger
    return f"{size:,.1f} {unit}" if size < 1e5 else f"{size:.1e} {unit}"


def basis_size(group: Group, k: int, l: int) -> int:
    """The n whose basis is that of the group: its own, or for a symbol the least from which the basis stays the same."""
    checked(group)
    what = f"Hom of {group}, {k} → {l}"
    if group.kind not in KINDS:
        raise BadSymmetry(f"{group} has no diagrams", next=INSTEAD[group.kind])
    for order in (k, l):
        if isinstance(order, bool) or not isinstance(order, int) or order < 0:
            raise BadSymmetry(f"{what}: {order!r} is no order", ["needed  an integer from 0 on"])
    if isinstance(group.n, int):
        return group.n
    start = stable_size(group.kind, k, l)
    if start is None:
        raise BadSymmetry(f"{what}: the diagrams of {group.kind} change with every n, so n cannot be a symbol", next="give it a number")
    low = least(group.n)
    if low is None or low < start:
        head = f"{what}: the basis is not the same for every {group.n} ≥ {'its least value' if low is None else low}"
        larger = f'e.g. cl.dim("{group.n}", min={start})' if str(group.n).isidentifier() else f"so that {group.n} is at least {start}"
        hint = f"give the size a larger min, {larger}, or a number"
        raise BadSymmetry(head, [f"needed  {group.n} ≥ {start}"], hint)
    return start


def least(size: Size) -> int | None:
    """The least value of a size over all values of its symbols, each at least its min; None if that is not at the mins.

    Written in the excess of each symbol over its min, a polynomial without negative coefficients is least where all are 0.
    """
    if isinstance(size, int):
        return size
    total: Size = 0
    for monomial, coefficient in size.terms:
        term: Size = coefficient
        for symbol, power in monomial:
            term = term * (dim(symbol.name, min=0) + symbol.min) ** power
        total = total + term
    terms = total.terms if isinstance(total, Poly) else (((), total),)
    if any(c < 0 for m, c in terms if m):
        return None
    return sum(c for m, c in terms if not m)


__all__ = ["LIMIT", "basis_size", "hom_basis", "hom_dim", "least"]
