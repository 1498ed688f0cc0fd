"""What is left of a symmetry that could not be proved: the largest subgroup, among those that are usual, for which it still can be.

Each acting group is kept, or replaced by a subgroup (permutations that fix the first or the last point, cyclic shifts, SO(n) in O(n),
rotations without translations), or by the trivial group; the first combination that is proved is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice, product

from catlearn.core.sizes import Size
from catlearn.verify.kernel import Program, check
from catlearn.verify.search import Failure, Search
from catlearn.verify.types import Axis, Factor, Type, normal, plain

LIMIT = 64
Move = Callable[[Factor], Axis]


def surviving(program: Program, dom: Sequence[Type], cod: Sequence[Type]) -> str | None:
    """The largest symmetry that could be proved, in words; None if not even the trivial one was."""
    labels = list(dict.fromkeys(f.group for t in (*dom, *cod) for f in _factors(t) if f.group))
    choices = [list(_weaker(label, [f for t in (*dom, *cod) for f in _factors(t) if f.group == label])) for label in labels]
    rows = sorted(product(*(range(len(c)) for c in choices)), key=lambda row: (sum(k * k for k in row), row))
    for row in islice(rows, LIMIT):
        if not any(row):
            continue
        picked = {label: c[k] for label, c, k in zip(labels, choices, row, strict=True)}
        move = {label: chosen[1] for label, chosen in picked.items()}
        found = Search(program, tuple(_moved(t, move) for t in dom), tuple(_moved(t, move) for t in cod)).run()
        if not isinstance(found, Failure) and check(found) is None:
            left = [name for name, _ in picked.values() if name]
            return " × ".join(left) or "the trivial group"
    return None


def _factors(t: Type) -> list[Factor]:
    return [*(f for axis in t.axes for f in axis), *(t.points or ())]


def _moved(t: Type, move: dict[str, Move]) -> Type:
    def axis(old: Axis) -> Axis:
        return normal([g for f in old for g in (move[f.group](f) if f.group else (f,))])

    axes = tuple(map(axis, t.axes))
    points = None if t.points is None else axis(t.points)
    return Type(axes, points if points is None or any(f.group or f.parts for f in points) else None)


def _weaker(label: str, factors: Sequence[Factor]) -> Iterator[tuple[str, Move]]:
    """Subgroups of a group, the group itself first and the trivial one last: their names, and what becomes of a factor."""
    kind, n = label[: label.index("(")], factors[0].size
    moving = any(f.shift != 0 for f in factors)
    yield ("E" if kind == "O" and moving else "SE" if kind == "SO" and moving else kind) + label[label.index("(") :], lambda f: (f,)
    rest = label[label.index("(") :]
    if kind in ("S", "A") and not (isinstance(n, int) and n < 3):
        fewer = n - 1
        yield f"{kind}({fewer}) fixing the first point", lambda f: _union(f, (), _set(kind, fewer, label))
        yield f"{kind}({fewer}) fixing the last point", lambda f: _union(f, _set(kind, fewer, label), ())
    if kind in ("S", "A"):
        yield f"Z{rest}", lambda f: (replace(f, group="Z" + rest),)
    if kind == "O":
        yield ("SE" if moving else "SO") + rest, lambda f: (replace(f, group="SO" + rest),)
    if moving and kind in ("O", "SO"):
        yield kind + rest, lambda f: (replace(f, shift=0),)
        yield "T" + rest, lambda f: (Factor("c", f.size, "T" + rest, f.shift) if f.shift != 0 else Factor("c", f.size),)
    yield "", lambda f: plain(f.size)


def _set(kind: str, n: Size, label: str) -> Axis:
    name = label[label.index(",") :] if "," in label else ")"
    return () if n == 1 else (Factor("X", n, f"{kind}({n}{name}"),)


def _union(f: Factor, first: Axis, last: Axis) -> Axis:
    return (Factor("+", f.size, parts=(first, last)),)
