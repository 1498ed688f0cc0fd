"""Combinators: the wirings (``id``, ``swap``, ``copy``, ``discard``), and ``seq``, ``par``, ``repeat`` for many parts at once.

Laws: copy and discard make every object a commutative comonoid, swap is its own inverse and natural; ``same`` knows them all.

>>> from catlearn.core.spaces import R
>>> print(swap(R(1), R(2)), "|", copy(R(3)), "|", discard(R(3)))
wiring : R(1) @ R(2) → R(2) @ R(1) | wiring : R(3) → R(3) @ R(3) | wiring : R(3) → I
"""

from __future__ import annotations

from typing import Any

from catlearn import errors
from catlearn.core.spaces import I, Space
from catlearn.core.term import Repeat, Term, Wiring, as_term


def id(x: Space) -> Term:
    """The identity on x."""
    return Wiring(_space(x, "id"))


def swap(x: Space, y: Space) -> Term:
    """The symmetry ``x @ y → y @ x``."""
    n, m = len(_space(x, "swap")), len(_space(y, "swap"))
    return Wiring(x @ y, (*range(n, n + m), *range(n)))


def copy(x: Space, n: int = 2) -> Term:
    """The diagonal ``x → x @ x`` (or n times x)."""
    return Wiring(_space(x, "copy"), tuple(range(len(x))) * n)


def discard(x: Space) -> Term:
    """The unique map ``x → I``."""
    return Wiring(_space(x, "discard"), ())


def repeat(n: int, body: Term, shared: bool = False) -> Term:
    """``body`` n times in a row: own parameters ``0.x, 1.x, ...`` or, if ``shared``, the same ones every time."""
    return Repeat(n, as_term(body, None, "repeat"), shared)


def seq(*terms: Term) -> Term:
    """Compose any number of terms, from left to right."""
    result, *rest = terms
    for term in rest:
        result = result >> term
    return result


def par(*terms: Term) -> Term:
    """Put any number of terms side by side; the empty product is ``id(I)``."""
    if not terms:
        return Wiring(I)
    result, *rest = terms
    for term in rest:
        result = result @ term
    return result


def _space(x: Any, what: str) -> Space:
    if not isinstance(x, Space):
        raise errors.BadSpace(f"{what}({x!r}) needs a space", next="for example cl.R(64)")
    return x
