"""The one planner's choices: which steps apply a map to so many vectors.

A ``Builder`` writes steps on a tape and chooses by counting: whether a map is applied as it is built or written out as a matrix first,
how a chain is associated (dynamic programming, the vectors being one more factor), which summands are merged into one matrix, in which
order the factors of a Kronecker product act. Every choice is made by writing the alternatives on a scratch tape and weighing them.

>>> from catlearn.maps import dense
>>> tape = Tape(tokens=10_000)
>>> x = tape.input((64,))
>>> _ = Builder(tape).apply(dense("W", 64, 64) + (dense("A", 16, 64) >> dense("B", 64, 16)), x)   # merged: one product with x
>>> [step.kind for step in tape.steps]
['input', 'param', 'param', 'param', 'einsum', 'add', 'einsum']
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from itertools import permutations
from typing import Any

from catlearn.maps.base import Map
from catlearn.maps.costs import ENTRY, FUSED, NEVER, PASS, STEP, weight
from catlearn.maps.given import Shape, size
from catlearn.maps.noise import drops
from catlearn.maps.tape import LETTERS, Tape


class Builder:
    """Writes the steps of maps on a tape, by one policy: ``planned`` chooses, ``factored`` takes every map as it is built.

    ``plain``: only steps that every meaning has (no fused reflections, no Fourier transform of a circulant). ``noise``: dropout acts.
    """

    def __init__(self, tape: Tape, policy: str = "planned", plain: bool = False, memo: dict[Any, Any] | None = None,
                 noise: bool = False) -> None:  # fmt: skip
        self.tape, self.policy, self.plain, self.noise = tape, policy, plain, noise
        self.memo: dict[Any, Any] = {} if memo is None else memo

    @property
    def chooses(self) -> bool:
        return self.policy == "planned" and not self.plain

    def apply(self, f: Map, x: int) -> int:
        """f on a register."""
        if self.chooses and self.written(f, self.tape.count(self.tape.lead(x))) < self.cost("emit", f, self.tape.count(self.tape.lead(x))):
            return self.product_with(self.matrix(f), x, f.dom, f.cod)
        return f.emit(self, x)

    def affine(self, f: Map, shift: Map | None, x: int) -> int:
        """f on a register, plus the shift; what both end with is applied to the sum where that is cheaper."""
        from catlearn.maps.affine import common_end

        if shift is None:
            return self.apply(f, x)

        def apart(b: Builder, x: int) -> int:
            return b.tape.shift(b.apply(f, x), b.matrix(shift))

        if (found := common_end(f, shift)) is None:
            return apart(self, x)
        return self.cheapest(("affine", f, shift), (lambda b, x: b.apply(found[2], b.affine(found[0], found[1], x)), apart), x)

    def scratch(self, tokens: int) -> Builder:
        """A builder like this one on a tape of its own."""
        return Builder(Tape(tokens), self.policy, self.plain, self.memo, self.noise)

    def matrix(self, f: Map) -> int:
        """f written out, (*cod, *dom)."""
        return f.matrix(self)

    def product_with(self, matrix: int, x: int, dom: Shape, cod: Shape) -> int:
        rows, columns = LETTERS[: len(cod)], LETTERS[len(cod) : len(cod) + len(dom)]
        return self.tape.einsum((columns, rows + columns), rows, x, matrix)

    def transposed(self, f: Map) -> Map:
        """The transpose, made once."""
        if ("T", f) not in self.memo:
            self.memo["T", f] = f.T
        return self.memo["T", f]

    # -- costs ---------------------------------------------------------------------------------------------------------

    def gemm(self, tokens: int, dom: int, cod: int) -> int:
        """The weight of one product of matrices."""
        return 2 * tokens * dom * cod + ENTRY * tokens * cod + STEP

    def written(self, f: Map, tokens: int) -> int:
        """The weight of applying f as a matrix."""
        return self.cost("matrix", f, 0) + self.gemm(tokens, size(f.dom), size(f.cod))

    def cost(self, what: str, f: Map, tokens: int) -> int:
        """The weight of ``emit`` on so many vectors, of choosing (``apply``), or of ``matrix``."""
        key = (what, f, tokens)
        if key not in self.memo:
            if what == "apply":
                self.memo[key] = min(self.cost("emit", f, tokens), self.written(f, tokens))
            elif what == "matrix" and self.noise and drops(f):
                self.memo[key] = NEVER
            else:
                scratch = self.scratch(tokens)
                out = f.matrix(scratch) if what == "matrix" else f.emit(scratch, scratch.tape.input(f.dom))
                self.memo[key] = weight(scratch.tape, scratch.tape.live([out]))
        return self.memo[key]

    def cheapest(self, key: Any, ways: Sequence[Callable[..., int]], *xs: int) -> int:
        """The result of the way that weighs least, on registers like these; the first if this builder does not choose."""
        if not self.chooses:
            return ways[0](self, *xs)
        leads = [self.tape.lead(x) for x in xs]
        tokens = max((self.tape.count(lead) for lead in leads), default=0)
        if (key, tokens) not in self.memo:
            found = []
            for way in ways:
                scratch = self.scratch(tokens)
                args = [scratch.tape.input(self.tape.shape(x), f"x{i}", (-1,) if lead else ())
                        for i, (x, lead) in enumerate(zip(xs, leads, strict=True))]  # fmt: skip
                found.append(weight(scratch.tape, scratch.tape.live([way(scratch, *args)])))
            self.memo[key, tokens] = found.index(min(found))
        return ways[self.memo[key, tokens]](self, *xs)

    # -- chains --------------------------------------------------------------------------------------------------------

    def chain(self, maps: Sequence[Map], x: int) -> int:
        """The maps one after the other on a register; runs of them may be multiplied out first."""
        from catlearn.maps.chains import Chain

        if not self.chooses:
            for f in maps if self.plain else Chain.grouped(maps):
                x = f.emit(self, x)
            return x
        return Chain(self, maps).apply(x)

    def product(self, maps: Sequence[Map]) -> int:
        """The maps one after the other, written out."""
        from catlearn.maps.chains import Chain

        return Chain(self, maps).matrix()

    # -- sums ----------------------------------------------------------------------------------------------------------

    def sum(self, maps: Sequence[Map], x: int) -> int:
        """The sum of parallel maps on a register; those for which it is cheaper are merged into one matrix."""
        merged: list[Map] = []
        if self.chooses:
            tokens, dom, cod = self.tape.count(self.tape.lead(x)), size(maps[0].dom), size(maps[0].cod)
            entries = PASS * dom * cod + STEP
            gain = {i: self.cost("apply", f, tokens) - self.cost("matrix", f, 0) - entries + FUSED * tokens * cod + STEP
                    for i, f in enumerate(maps)}  # fmt: skip
            chosen = [i for i, g in gain.items() if g > 0]
            if len(chosen) > 1 and sum(gain[i] for i in chosen) > self.gemm(tokens, dom, cod):
                merged = [maps[i] for i in chosen]
                maps = [f for i, f in enumerate(maps) if i not in chosen]
        found = None
        if merged:
            matrix = self.matrix(merged[0])
            for f in merged[1:]:
                matrix = self.tape.add(matrix, self.matrix(f))
            found = self.product_with(matrix, x, merged[0].dom, merged[0].cod)
        from catlearn.maps.low_rank import narrow, stacked

        thin = [f for f in maps if self.chooses and narrow(f) and not (self.noise and drops(f))]
        if len(thin) > 1:
            maps = [f for f in maps if f not in thin]
        for f in maps:
            y = self.apply(f, x)
            found = y if found is None else self.tape.add(found, y)
        if len(thin) > 1:
            y = self.cheapest(("stack", *thin), (lambda b, x: stacked(b, thin, x), lambda b, x: b.one_by_one(thin, x)), x)
            found = y if found is None else self.tape.add(found, y)
        assert found is not None
        return found

    def one_by_one(self, maps: Sequence[Map], x: int) -> int:
        """The sum of parallel maps, each applied by itself."""
        return reduce(self.tape.add, [self.apply(f, x) for f in maps])

    # -- Kronecker products --------------------------------------------------------------------------------------------

    def tensor(self, maps: Sequence[Map], x: int) -> int:
        """Every factor on its own axes, in the order that is cheapest; no two factors are multiplied out.

        A factor that is a chain through a smaller space acts in two steps, between which others may act.
        """
        from catlearn.maps.leaves import Identity

        moving = [(i, part) for i, f in enumerate(maps) if not isinstance(f, Identity) for part in self.halves(f)]
        spaces = [f.dom for f in maps]
        for i, f in self.order(maps, moving):
            first = sum(map(len, spaces[:i]))
            axes = range(first, first + len(f.dom))
            total = len(self.tape.shape(x))
            others = [a for a in range(total) if a not in axes]
            tokens = self.tape.numel(x) // max(1, size(f.dom))
            if self.in_place(f, tokens, self.tape.numel(x)):
                ins = LETTERS[:total]
                new = LETTERS[total : total + len(f.cod)]
                out = ins[:first] + new + ins[first + len(f.dom) :]
                x = self.tape.einsum((ins, new + ins[first : first + len(f.dom)]), out, x, self.matrix(f))
            else:
                y = self.apply(f, self.tape.fold(x, others))
                x = self.tape.unfold(y, [a if a < first else a - len(f.dom) + len(f.cod) for a in others])
            spaces[i] = f.cod
        return x

    def in_place(self, f: Map, tokens: int, entries: int) -> bool:
        """Whether a factor acts as a matrix on its axes where they are, which spares moving the other axes away and back."""
        from catlearn.maps.base import Transposed
        from catlearn.maps.leaves import Constant, Dense

        if isinstance(f.of if isinstance(f, Transposed) else f, Dense | Constant):
            return True
        return self.chooses and self.written(f, tokens) <= self.cost("emit", f, tokens) + 2 * PASS * entries

    def halves(self, f: Map) -> Sequence[Map]:
        """A chain through a space smaller than both ends as two maps; any other map by itself."""
        from catlearn.maps.affine import chained
        from catlearn.maps.combine import Compose
        from catlearn.maps.low_rank import narrow, waist

        if self.plain or not isinstance(f, Compose) or not narrow(f):
            return (f,)
        k, _ = waist(f)
        return chained(f.maps[: k + 1], f.dom), chained(f.maps[k + 1 :], f.cod)

    def order(self, maps: Sequence[Map], moving: Sequence[tuple[int, Map]]) -> Sequence[tuple[int, Map]]:
        """The order of the steps that costs least: what shrinks most comes first. Two steps of one factor stay in their order."""

        def total(order: Sequence[tuple[int, Map]]) -> int:
            now, found = [size(f.dom) for f in maps], 0
            whole = math.prod(now)
            for i, f in order:
                cod = size(f.cod)
                found += 2 * whole * cod
                whole = whole // max(1, now[i]) * cod
                now[i] = cod
            return found

        if len(moving) > 5:
            return sorted(moving, key=lambda step: (size(maps[step[0]].cod) / max(1, size(maps[step[0]].dom)), step[0]))
        ways = dict.fromkeys(permutations([i for i, _ in reversed(moving)]))
        parts = {i: [f for j, f in moving if j == i] for i, _ in moving}
        return min((self.steps(way, parts) for way in ways), key=total)

    @staticmethod
    def steps(way: Sequence[int], parts: dict[int, list[Map]]) -> list[tuple[int, Map]]:
        """The steps of the factors in this order of factors."""
        left = {i: iter(found) for i, found in parts.items()}
        return [(i, next(left[i])) for i in way]
