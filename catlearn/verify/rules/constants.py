"""Tensors that are made, not computed: constant ones, the numbers 0 … n-1, the unit matrix, and small fixed tensors.

A fixed tensor is constant along an axis, or zero, if its entries are; and it has every type under which it is exactly invariant. For a
finite group this is checked on generators, for a Lie group on a basis of its Lie algebra and one element of each component (Hall, *Lie
Groups, Lie Algebras, and Representations*, 2nd ed., 2015, theorem 3.20 and corollary 3.47), in rational arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import product

from catlearn.verify.rules.call import Call, Rule, Typed, Typing, Value, typed
from catlearn.verify.types import Factor, Refused, Type, constant, dual, in_order, plain

Matrix = list[list[Fraction]]


def filled(call: Call) -> Type:
    """zeros, ones, full: constant along every axis."""
    value = call.get("fill_value", 0 if "zeros" in call.op else 1)
    if isinstance(value, Typed) or isinstance(call.get("s"), Typed):
        raise Refused("a tensor is filled with a number that is computed")
    return Type(tuple(constant(n) for n in call.outs[0].shape), zero=value == 0 and not isinstance(value, bool))


def counted(call: Call) -> list[Typing]:
    """arange: plain numbers; the numbers 0 … n-1 are also the positions on any set of n, each at its own place, and on any other axis."""
    n = call.outs[0].shape[0]
    found = typed(Type((plain(n),)))
    if call.get("start", 0) == 0 and call.get("step", 1) == 1 and call.outs[0].kind == "index":
        found += [Typing((Type(((f,),), points=(f,)),)) for f in call.world if f.kind == "X" and f.size == n]
        found += [Typing((Type((in_order(n),), points=in_order(n)),))] if n not in (0, 1) else []
    return found


def unit_matrix(call: Call) -> list[Typing]:
    """eye: a matrix of plain numbers, and an invariant of every permutation and every linear map together with its dual."""
    n, m = call.outs[0].shape
    found = typed(Type((plain(n), plain(m))))
    if n == m:
        found += [Typing((Type(((f,), (f,))),)) for f in call.world if f.kind == "X" and f.size == n]
        for f in call.world:
            if f.kind == "V" and f.size == n:
                other = Factor("V", f.size, dual(f.group))
                found += [Typing((Type(((f,), (other,))),)), Typing((Type(((other,), (f,))),))]
    return found


def random_numbers(call: Call) -> list[Typing]:
    """Fresh random numbers do not depend on the input: with one seed they are fixed ones."""
    return typed(*(Type(tuple(plain(n) for n in out.shape)) for out in call.outs))


def fixed(value: Value, type: Type) -> bool:
    """Whether a tensor with these entries is exactly invariant under everything that acts by the type."""
    if value.entries is None or not all(isinstance(n, int) for n in value.shape) or type.points is not None:
        return False
    if type.shape != value.shape or any(len(axis) > 1 or (axis and axis[0].kind not in "cVX*") for axis in type.axes):
        return False
    if any(f.shift != 0 or (f.kind == "c" and f.group) for axis in type.axes for f in axis):
        return False
    entries = {place: Fraction(x) for place, x in zip(product(*map(range, value.shape)), value.entries, strict=True)}  # type: ignore[arg-type]
    if type.zero and (value.kind == "bool" or any(entries.values())):
        return False
    for d, axis in enumerate(type.axes):
        if axis and axis[0].kind == "*" and any(x != entries[(*k[:d], 0, *k[d + 1 :])] for k, x in entries.items()):
            return False
    labels = {f.group.removesuffix("*"): f.size for axis in type.axes for f in axis if f.kind in "VX"}
    return set(type.sign) <= set(labels) and all(_invariant(entries, type, label, int(n)) for label, n in labels.items())  # type: ignore[arg-type]


def _invariant(entries: dict[tuple[int, ...], Fraction], type: Type, label: str, n: int) -> bool:
    for matrix, infinitesimal in generators(label, n):
        total: dict[tuple[int, ...], Fraction] = {}
        state = entries
        for d, axis in enumerate(type.axes):
            if not axis or axis[0].group.removesuffix("*") != label:
                continue
            acting = _dual(matrix, infinitesimal) if axis[0].group.endswith("*") else matrix
            moved = _along(entries if infinitesimal else state, d, acting)
            if infinitesimal:
                total = {k: total.get(k, Fraction(0)) + v for k, v in moved.items()}
            else:
                state = moved
        sign = -1 if label in type.sign and not infinitesimal else 1
        if infinitesimal and any(total.values()):
            return False
        if not infinitesimal and any(state[k] != sign * v for k, v in entries.items()):
            return False
    return True


def _along(entries: dict[tuple[int, ...], Fraction], d: int, matrix: Matrix) -> dict[tuple[int, ...], Fraction]:
    found = {k: Fraction(0) for k in entries}
    for place, x in entries.items():
        for i, row in enumerate(matrix):
            if x and row[place[d]]:
                found[(*place[:d], i, *place[d + 1 :])] += row[place[d]] * x
    return found


def _dual(matrix: Matrix, infinitesimal: bool) -> Matrix:
    if not infinitesimal:
        raise Refused("no dual of a component here: Sp(n) is connected")
    return [[-matrix[j][i] for j in range(len(matrix))] for i in range(len(matrix))]


def _unit(n: int, *entries: tuple[int, int, int]) -> Matrix:
    found = [[Fraction(0)] * n for _ in range(n)]
    for i, j, x in entries:
        found[i][j] += x
    return found


def _permutation(images: list[int]) -> Matrix:
    return [[Fraction(int(images[j] == i)) for j in range(len(images))] for i in range(len(images))]


def generators(label: str, n: int) -> Iterator[tuple[Matrix, bool]]:
    """Generators of a group by its label, and whether each is an element of the Lie algebra instead of the group."""
    kind = label[: label.index("(")]
    if kind in ("S", "A", "Z"):
        if kind == "S" and n > 1:
            yield _permutation([1, 0, *range(2, n)]), False
        if kind in ("S", "Z"):
            yield _permutation([*range(1, n), 0]), False
        for k in range(2, n if kind == "A" else 0):
            yield _permutation([1, k, *(0 if i == k else i for i in range(2, n))]), False
        return
    if kind in ("O", "SO"):
        for i in range(n):
            for j in range(i):
                yield _unit(n, (i, j, 1), (j, i, -1)), True
        if kind == "O":
            yield _unit(n, (0, 0, -1), *((i, i, 1) for i in range(1, n))), False
        return
    if kind != "Sp":
        raise Refused(f"{label} has no generators here")
    half = n // 2
    for i in range(half):  # X with XᵀJ + JX = 0 for J = [[0, I], [-I, 0]]
        for j in range(half):
            yield _unit(n, (i, j, 1), (half + j, half + i, -1)), True
            yield _unit(n, (i, half + j, 1), (j, half + i, 1)), True
            yield _unit(n, (half + i, j, 1), (half + j, i, 1)), True


ROWS: dict[str, Rule] = {
    **{f"aten.{name}.default": filled for name in ("zeros", "ones", "full", "scalar_tensor")},
    **{f"aten.new_{name}.default": filled for name in ("zeros", "ones", "full")},
    **{f"aten.arange.{o}": counted for o in ("default", "start", "start_step")},
    "aten.eye.default": unit_matrix,
    "aten.eye.m": unit_matrix,
    **{f"aten.{name}.default": random_numbers for name in ("rand", "randn", "randperm")},
    **{f"aten.{name}.low": random_numbers for name in ("randint",)},
}
