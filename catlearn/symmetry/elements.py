"""Elements of groups, and of their Lie algebras: a permutation, a matrix or a vector, with the group that it belongs to.

``S``, ``A``, ``Z``: the tuple σ that sends point i to σ[i]. ``O``, ``SO``, ``Sp``: the rows of a matrix. ``T``: the vector that is added.
An element is exact if its numbers are integers and fractions, and then everything made from it is exact.

Laws: ``*`` is the product of the group (``g * h`` is h first, then g) and ``g * g.inverse()`` is the identity.

>>> from catlearn.core.spaces import S, SO
>>> g = element(S(3), (1, 2, 0))
>>> g, g * g.inverse() == identity(S(3))
((0 1 2) in S(3), True)
>>> element(SO(2), [[0, -1], ["3/5", 0]])
Traceback (most recent call last):
...
catlearn.errors.BadSymmetry: [CL803] this is no element of SO(2)
  given   ((0, -1), (3/5, 0))
  needed  a matrix with M Mᵀ = I
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

from catlearn.core.spaces import Group
from catlearn.errors import BadSymmetry
from catlearn.symmetry import exact
from catlearn.symmetry.exact import Matrix, Number

Permutation: TypeAlias = tuple[int, ...]
PERMUTING, LINEAR, ADDING = ("S", "A", "Z"), ("O", "SO", "Sp"), ("T",)


@dataclass(frozen=True)
class GroupElement:
    """An element of a group, or with ``infinitesimal`` of its Lie algebra; made by ``element``, which checks that it is one."""

    group: Group
    value: tuple[Any, ...]
    infinitesimal: bool = False

    @property
    def exact(self) -> bool:
        """Whether every number is an integer or a fraction."""
        numbers = [entry for row in self.value for entry in row] if self.group.kind in LINEAR else self.value
        return not any(isinstance(entry, float) for entry in numbers)

    @property
    def matrix(self) -> Matrix:
        """The rows of the matrix that acts on R^n; a translation acts on the vectors (x, 1) of R^(n+1)."""
        if self.group.kind in LINEAR:
            return self.value
        if self.group.kind in PERMUTING:
            return exact.permutation_matrix(self.value)
        n = len(self.value)
        rows = [(*(int(i == j and not self.infinitesimal) for j in range(n)), t) for i, t in enumerate(self.value)]
        return (*rows, (*[0] * n, int(not self.infinitesimal)))

    def __mul__(self, other: GroupElement) -> GroupElement:
        if not isinstance(other, GroupElement):
            return NotImplemented
        if self.group != other.group or self.infinitesimal or other.infinitesimal:
            raise BadSymmetry("only elements of one group have a product", [f"given   {self} and {other}"])
        a, b = self.value, other.value
        if self.group.kind in PERMUTING:
            return GroupElement(self.group, tuple(a[j] for j in b))
        return GroupElement(
            self.group, exact.product(a, b) if self.group.kind in LINEAR else tuple(s + t for s, t in zip(a, b, strict=True))
        )

    def inverse(self) -> GroupElement:
        """The inverse in the group; in a Lie algebra, where the group is addition, the negative."""
        value, kind = self.value, self.group.kind
        if kind in PERMUTING:
            return GroupElement(self.group, tuple(sorted(range(len(value)), key=value.__getitem__)))
        if kind in ADDING:
            return GroupElement(self.group, tuple(-t for t in value), self.infinitesimal)
        if self.infinitesimal:
            return GroupElement(self.group, tuple(tuple(-x for x in row) for row in value), True)
        flipped = exact.transpose(value)
        if kind == "Sp":  # M^T J M = J gives the inverse -J M^T J, and J J = -I
            J = exact.symplectic_form(len(value))
            flipped = exact.scaled(exact.product(J, exact.product(flipped, J)), -1)
        return GroupElement(self.group, flipped)

    def __repr__(self) -> str:
        where = f"the Lie algebra of {self.group}" if self.infinitesimal else str(self.group)
        shown = cycles(self.value) if self.group.kind in PERMUTING else _show(self.value)
        return f"{shown} in {where}"


def element(group: Group, value: Any, infinitesimal: bool = False) -> GroupElement:
    """The element of ``group`` that is this permutation, matrix or vector (numbers may be written ``"3/5"``; floats to 1e-9 relative).

    ``infinitesimal``: of its Lie algebra instead. Raises ``BadSymmetry`` if it is none, saying which equation fails.
    """
    n = size_of(group)
    if infinitesimal and group.kind in PERMUTING:
        raise BadSymmetry(f"{group} is finite, so its Lie algebra has no element but 0")
    try:
        made = _read(group, value)
    except (TypeError, ValueError) as reason:
        shape = f"{n} × {n} numbers" if group.kind in LINEAR else f"{n} {'integers' if group.kind in PERMUTING else 'numbers'}"
        raise BadSymmetry(f"this is no element of {group}", [f"given   {value!r}", f"needed  {shape}"]) from reason
    needed = _missing(group, made, n, infinitesimal)
    if needed:
        raise BadSymmetry(f"this is no element of {group}", [f"given   {_show(made)}", f"needed  {needed}"])
    return GroupElement(group, made, infinitesimal)


def identity(group: Group) -> GroupElement:
    """The identity of a group."""
    n = size_of(group)
    value = tuple(range(n)) if group.kind in PERMUTING else exact.identity(n) if group.kind in LINEAR else (0,) * n
    return GroupElement(group, value)


def size_of(group: Group) -> int:
    """The n of a group, which must be a known kind with an n that exists: ``BadSymmetry`` otherwise."""
    checked(group)
    if not isinstance(group.n, int):
        raise BadSymmetry(f"{group} has no elements until {group.n} has a value", next="give the group a number for its size")
    return group.n


def checked(group: Any) -> Group:
    """``group`` if it is a group with a possible n, known or symbolic; ``BadSymmetry`` otherwise."""
    if not isinstance(group, Group) or group.kind not in PERMUTING + LINEAR + ADDING:
        raise BadSymmetry(f"{group!r} is no group", next="groups are cl.S(5), cl.A(5), cl.O(3), cl.SO(3), cl.Sp(4), cl.Z(12), cl.T(3)")
    if isinstance(group.n, int) and group.n < 1:
        raise BadSymmetry(f"{group}: a group needs an n of at least 1", next=f"{group.kind}({2 if group.kind == 'Sp' else 1}) exists")
    if group.kind == "Sp" and isinstance(group.n, int) and group.n % 2:
        raise BadSymmetry(f"{group}: the symplectic group needs an even n", next=f"Sp({group.n + 1}) exists")
    return group


def parity(permutation: Sequence[int]) -> int:
    """0 for an even permutation, 1 for an odd one: n minus the number of cycles."""
    return (len(permutation) - len(_cycles(permutation))) % 2


def cycles(permutation: Sequence[int]) -> str:
    """A permutation in cycle notation; ``()`` is the identity."""
    return "".join(f"({' '.join(map(str, cycle))})" for cycle in _cycles(permutation) if len(cycle) > 1) or "()"


def _cycles(permutation: Sequence[int]) -> list[list[int]]:
    found, left = [], set(range(len(permutation)))
    for start in range(len(permutation)):
        cycle, i = [], start
        while i in left:
            left.discard(i)
            cycle.append(i)
            i = permutation[i]
        if cycle:
            found.append(cycle)
    return found


# --- reading and checking ---------------------------------------------------------------------------------------------


def _number(x: Any) -> Number:
    """An exact number as it is; a float, also torch's or numpy's, as a float."""
    if isinstance(x, bool | int | Fraction | str):
        return exact.simplest(Fraction(x))
    x = float(x)
    if not math.isfinite(x):
        raise ValueError(f"{x} is no number")
    return x


def _read(group: Group, value: Any) -> tuple[Any, ...]:
    n, rows = size_of(group), value.tolist() if hasattr(value, "tolist") else value
    if group.kind in PERMUTING:
        made: tuple[Any, ...] = tuple(int(i) for i in rows)
        shaped = len(made) == n and all(i == j for i, j in zip(made, rows, strict=True))
    elif group.kind in ADDING:
        made = tuple(map(_number, rows))
        shaped = len(made) == n
    else:
        made = tuple(tuple(map(_number, row)) for row in rows)
        shaped = len(made) == n and all(len(row) == n for row in made)
    if not shaped:
        raise ValueError("wrong shape")
    return made


def _missing(group: Group, value: tuple[Any, ...], n: int, infinitesimal: bool) -> str:
    """The equation that fails, or nothing."""
    if group.kind in PERMUTING:
        if sorted(value) != list(range(n)):
            return f"a permutation of 0, ..., {n - 1}"
        if group.kind == "A" and parity(value):
            return "an even permutation"
        return "a cyclic shift" if group.kind == "Z" and any((j - i - value[0]) % n for i, j in enumerate(value)) else ""
    if group.kind in ADDING:
        return ""
    form = exact.symplectic_form(n) if group.kind == "Sp" else exact.identity(n)
    name = "J" if group.kind == "Sp" else "I"
    if infinitesimal:
        left = exact.product(value, form)
        ok = exact.close(exact.added(left, exact.product(form, exact.transpose(value))), exact.scaled(form, 0), value)
        return "" if ok else "a matrix with X J + J Xᵀ = 0" if name == "J" else "a matrix with X + Xᵀ = 0"
    if not exact.close(exact.product(exact.product(value, form), exact.transpose(value)), form, value):
        return f"a matrix with M {'J ' if name == 'J' else ''}Mᵀ = {name}"
    return "determinant 1" if group.kind == "SO" and exact.determinant(value) < 0 else ""


def _show(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_show, value))}{',' if len(value) == 1 else ''})"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
