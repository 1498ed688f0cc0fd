"""The dimension of the invariants of V^m by characters and by walks on the McKay graph (the irreducible representations, joined by ⊗ V).

A walk of m steps from the trivial representation back to itself is one invariant of V^m. The rules of the steps are the classical ones
of tensoring with the standard representation; no diagram and no hook formula is in them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from fractions import Fraction
from itertools import pairwise, permutations

Weight = tuple[int, ...]


def invariants(kind: str, n: int, m: int) -> int:
    """The dimension of the invariants of V^m."""
    if kind in ("S", "A"):
        return burnside(n, m, even=kind == "A")
    start, step = GRAPHS[kind](n)
    here = Counter({start: 1})
    for _ in range(m):
        there: Counter[Weight] = Counter()
        for weight, count in here.items():
            for other in step(weight):
                there[other] += count
        here = there
    return here[start]


def burnside(n: int, m: int, even: bool) -> int:
    """The mean of the number of fixed points to the m."""
    signs = [
        (sum(s[i] == i for i in range(n)), sum(s[i] > s[j] for i in range(n) for j in range(i, n)) % 2) for s in permutations(range(n))
    ]
    fixed = [f for f, odd in signs if not (even and odd)]
    mean = Fraction(sum(f**m for f in fixed), len(fixed))
    assert mean.denominator == 1
    return int(mean)


Step = Callable[[Weight], Iterable[Weight]]


def neighbours(weight: Weight) -> list[Weight]:
    """One coordinate more or less by one."""
    return [(*weight[:i], weight[i] + e, *weight[i + 1 :]) for i in range(len(weight)) for e in (1, -1)]


def orthogonal(n: int) -> tuple[Weight, Step]:
    """Partitions whose first two columns have together at most n boxes (Weyl); one box more or less."""

    def step(rows: Weight) -> list[Weight]:
        found = []
        for other in neighbours(rows):
            falling = all(a >= b for a, b in zip(other, (*other[1:], 0), strict=True))
            if falling and sum(x > 0 for x in other) + sum(x > 1 for x in other) <= n:
                found.append(other)
        return found

    return (0,) * n, step


def rotations(n: int) -> tuple[Weight, Step]:
    """Dominant weights of SO(n); for odd n the weight 0 of V also stays put, unless the last coordinate is 0."""
    r = n // 2

    def step(w: Weight) -> list[Weight]:
        def dominant(x: Weight) -> bool:
            heights = (*x[:-1], abs(x[-1])) if n % 2 == 0 else (*x, 0)
            return all(a >= b for a, b in pairwise(heights))

        stay = [w] if n % 2 and (not r or w[-1] > 0) else []
        return [x for x in neighbours(w) if dominant(x)] + stay

    return (0,) * r, step


def symplectic(n: int) -> tuple[Weight, Step]:
    """Partitions with at most n/2 rows, one box more or less."""

    def step(w: Weight) -> list[Weight]:
        return [x for x in neighbours(w) if all(a >= b for a, b in zip(x, (*x[1:], 0), strict=True))]

    return (0,) * (n // 2), step


GRAPHS = {"O": orthogonal, "SO": rotations, "Sp": symplectic}
