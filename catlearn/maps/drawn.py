"""``diagram``: a diagram, or a formal sum of diagrams, as a map of tensor powers of R^n.

The matrix entry is a product of deltas, symplectic pairs and signs (see ``catlearn.diagrams``). It is applied in two sparse steps that
meet at the *waist*, the parts that join inputs to outputs: what touches only inputs is summed out in the first, what touches only
outputs is spread in the second. So no matrix of n^(k+l) entries is visited.

Source: factoring a diagram through its propagating blocks, E. Pearce-Crump, *A diagrammatic approach for efficient multiplication*,
arXiv 2304.14165.

>>> from catlearn.diagrams import Partition
>>> import torch
>>> trace = diagram(Partition(2, 0, [[0, 1]]), 3)
>>> trace.dom, trace.cod, trace.apply(torch.eye(3))
((3, 3), (), tensor(3.))
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations, product
from typing import TYPE_CHECKING, Any

from catlearn import errors
from catlearn.diagrams.polynomial import evaluate
from catlearn.maps.algebra import add, scaled
from catlearn.maps.base import Map
from catlearn.maps.given import Array, Shape, space
from catlearn.maps.leaves import Zero
from catlearn.maps.tape import LETTERS, Index

if TYPE_CHECKING:
    from catlearn.maps.planner import Builder

Block = tuple[int, ...]
Legs = tuple[Block, ...]
Entry = tuple[int, int, int]  # row, column, sign


@dataclass(frozen=True, repr=False)
class Diagram(Map):
    """One diagram at size n; points 0 … l−1 are outputs, l … l+k−1 inputs."""

    n: int
    k: int
    l: int
    deltas: tuple[Block, ...]
    arcs: tuple[tuple[int, int], ...] = ()
    coupons: tuple[Legs, ...] = ()

    @property
    def dom(self) -> Shape:
        return (self.n,) * self.k

    @property
    def cod(self) -> Shape:
        return (self.n,) * self.l

    @property
    def components(self) -> list[tuple[str, Legs]]:
        """Every part with its legs: blocks of points that hold one value each."""
        arcs = [("arc", ((a,), (b,))) for a, b in self.arcs]
        return [*(("delta", (block,)) for block in self.deltas), *arcs, *(("coupon", legs) for legs in self.coupons)]

    def entries(self, kind: str, legs: Legs) -> Iterable[tuple[Block, int]]:
        """The values that the legs of a part may have, each with its sign."""
        n = self.n
        if kind == "delta":
            return [((v,), 1) for v in range(n)]
        if kind == "arc":
            return [*(((v, v + n // 2), 1) for v in range(n // 2)), *(((v + n // 2, v), -1) for v in range(n // 2))]
        found = []
        for values in permutations(range(n), len(legs)):
            whole = (*values, *(v for v in range(n) if v not in values))
            found.append((values, -1 if sum(a > b for i, a in enumerate(whole) for b in whole[i + 1 :]) % 2 else 1))
        return found

    @cached_property
    def halves(self) -> tuple[list[Entry], int, list[Entry]]:
        """The entries from inputs to the waist, the size of the waist, the entries from the waist to outputs."""
        low = [c for c in self.components if any(p >= self.l for leg in c[1] for p in leg)]
        crossing = [c for c in low if any(p < self.l for leg in c[1] for p in leg)]
        joints = [leg for _, legs in crossing for leg in legs if any(p < self.l for p in leg)]
        high = [("delta", (leg,)) for leg in joints] + [c for c in self.components if c not in low]
        waist = [0] * len(joints)  # the place of each joint in the waist's index
        for i in range(len(joints)):
            waist[i] = self.n ** (len(joints) - 1 - i)

        def both(parts: list[tuple[str, Legs]], rows: dict[Block, int], columns: dict[Block, int]) -> list[Entry]:
            found = []
            for choice in product(*(self.entries(kind, legs) for kind, legs in parts)):
                row, column, sign = 0, 0, 1
                for (_, legs), (values, s) in zip(parts, choice, strict=True):
                    sign *= s
                    for leg, v in zip(legs, values, strict=True):
                        row, column = row + v * rows.get(leg, 0), column + v * columns.get(leg, 0)
                found.append((row, column, sign))
            return found

        ins = {leg: self.weight(leg, self.l, self.k) for _, legs in low for leg in legs}
        outs = {leg: self.weight(leg, 0, self.l) for _, legs in high for leg in legs}
        middle = dict(zip(joints, waist, strict=True))
        return sorted(both(low, middle, ins)), self.n ** len(joints), sorted(both(high, outs, middle))

    def weight(self, leg: Block, first: int, count: int) -> int:
        """What a step of a leg's value adds to the flat index of the points ``first … first+count−1``."""
        return sum(self.n ** (count - 1 - (p - first)) for p in leg if first <= p < first + count)

    def emit(self, b: Builder, x: int) -> int:
        if self.n and not (self.arcs or self.coupons):
            return self.moved(b, x)
        first, waist, second = self.halves
        if not first or not second:
            return b.tape.zeros(self.cod, b.tape.lead(x))
        x = signed(b, b.tape.gather(b.tape.reshape(x, (self.n**self.k,)), 0, Index(c for _, c, _ in first)), first)
        each = len(first) // waist
        if [r for r, _, _ in first] == [w for w in range(waist) for _ in range(each)]:
            x = b.tape.einsum(("ab",), "a", b.tape.reshape(x, (waist, each))) if each > 1 else x
        else:
            x = b.tape.scatter(x, 0, Index(r for r, _, _ in first), waist)
        x = signed(b, b.tape.gather(x, 0, Index(c for _, c, _ in second)), second)
        return b.tape.reshape(b.tape.scatter(x, 0, Index(r for r, _, _ in second), self.n**self.l), self.cod)

    def moved(self, b: Builder, x: int) -> int:
        """Deltas alone: diagonals, sums, repetitions and an order of axes, so that no place but those on a diagonal is listed."""
        tape, n, l = b.tape, self.n, self.l
        low = [(block, [p - l for p in block if p >= l]) for block in self.deltas if max(block) >= l]
        x = tape.permute(x, [p for _, ins in low for p in ins])
        for i, (_, ins) in enumerate(low):  # every block has one axis
            x = tape.reshape(x, (*[n] * i, n ** len(ins), *tape.shape(x)[i + len(ins) :]))
            x = tape.gather(x, i, diagonal(n, len(ins)))
        crossing = [i for i, (block, _) in enumerate(low) if min(block) < l]
        letters = LETTERS[: len(low)]
        x = tape.einsum((letters,), "".join(letters[i] for i in crossing), x)
        high = [[p for p in low[i][0] if p < l] for i in crossing]
        for block in self.deltas:
            if max(block) < l:
                x, high = tape.repeat(x, len(high), n), [*high, list(block)]
        for i in reversed(range(len(high))):
            x = tape.scatter(x, i, diagonal(n, len(high[i])), n ** len(high[i]))
        order = [p for outs in high for p in outs]
        return tape.permute(tape.reshape(x, (n,) * l), [order.index(p) for p in range(l)])

    @property
    def T(self) -> Map:
        def turned(block: Block) -> Block:
            return tuple(sorted(p - self.l if p >= self.l else self.k + p for p in block))

        arcs = tuple((turned((a,))[0], turned((b,))[0]) for a, b in self.arcs)
        coupons = tuple(tuple(map(turned, legs)) for legs in self.coupons)
        return Diagram(self.n, self.l, self.k, tuple(map(turned, self.deltas)), arcs, coupons)

    @property
    def rank_bound(self) -> int:
        if self.n and not (self.arcs or self.coupons):
            return self.n ** sum(min(block) < self.l <= max(block) for block in self.deltas)
        first, waist, second = self.halves
        return min(waist, len({r for r, _, _ in first}), len({c for _, c, _ in second}), self.n**self.k, self.n**self.l)

    def __str__(self) -> str:
        parts = [" ".join(map(str, block)) for block in self.deltas] + [f"J({a} {b})" for a, b in self.arcs]
        parts += [f"ε({' '.join('.'.join(map(str, leg)) for leg in legs)})" for legs in self.coupons]
        return f"diagram({self.k}→{self.l}, n={self.n}: {' | '.join(parts)})"


def diagonal(n: int, order: int) -> Index:
    """The places on the diagonal of a flat tensor of n^order entries."""
    return Index(range(0, n**order, sum(n**i for i in range(order))))


def signed(b: Builder, x: int, entries: list[Entry]) -> int:
    """x times the signs of the entries."""
    if all(s > 0 for _, _, s in entries):
        return x
    signs = b.tape.constant(Array((len(entries),), tuple(s for _, _, s in entries)))
    return b.tape.einsum(("a", "a"), "a", x, signs)


def diagram(d: Any, n: int) -> Map:
    """A diagram of ``catlearn.diagrams``, or a combination of them, on (R^n)^⊗k → (R^n)^⊗l. Raises ``BadMap`` if n does not suit it."""
    (n,) = space(n, "diagram") if not isinstance(n, tuple) else (-1,)
    if n < 0 or not hasattr(d, "sum"):
        raise errors.BadMap(f"diagram: {d!r} at size {n!r}", ["needed: a diagram of catlearn.diagrams, and a size from 0 on"])
    if d.sum.size not in (None, n):
        raise errors.BadMap(f"diagram: {d} at size {n}", [f"its coupons, and so its sums, belong to n = {d.sum.size}"])
    found: Map = Zero((n,) * d.k, (n,) * d.l)
    for one, coefficient in d.sum.terms:
        if one.arcs and n % 2:
            raise errors.BadMap(f"diagram: {one} at size {n}", ["symplectic pairs need an even size"])
        if any(len(legs) not in (n, n - 1) for legs in one.coupons):
            raise errors.BadMap(f"diagram: {one} at size {n}", [f"a coupon has n or n - 1 legs, and these have {[*map(len, one.coupons)]}"])
        made = Diagram(n, one.k, one.l, tuple(one.deltas), tuple(one.arcs), tuple(one.coupons))
        found = add(found, scaled(evaluate(coefficient, n), made))
    return found
