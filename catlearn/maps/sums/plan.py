"""The plan of a family for given sizes, tokens and channels: every step with its cost, and what is kept for the backward pass.

>>> from catlearn.maps.sums.family import Element, Family
>>> sums = Family((3, 3), (3, 3), (Element(((0, 2), (1, 3))), Element(((0, 3), (1, 2))), Element(((0, 1), (2, 3)))))
>>> print(plan(sums, 2, 4, 5))
3×3 -> 3×3, 3 elements, 2 tokens, 4 -> 5 channels
forward: 1,664 flops, 810 numbers moved
  gather from s0, chunks of 2:
    s1[2×3×4] = copy s0[2×3×4]
  gather from s1, chunks of 2:
    s2[2×4] = sum s1[2×3×4]
  spread to t2, chunks of 2:
    t2[2×5] = @ s2[2×4], w1[4×5]
  spread to t1, chunks of 2:
    t1[2×3×5] = copy t2[2×3×5]
  spread to t0, chunks of 2:
    p[18×10] = @ s0[18×4], w0[4×10]
    t0[2×3×3×5] = + p[2×3×3×5], p[2×3×3×5]
    t0[2×3×5] += t1[2×3×5]
backward: ...
saved for backward: x and 32 numbers of features
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from math import prod
from typing import Any

from catlearn.errors import BadMap
from catlearn.maps.sums.code import Place, function, text
from catlearn.maps.sums.family import Family
from catlearn.maps.sums.patterns import Skeleton
from catlearn.maps.sums.program import Layout, Stage, Step, gathering, layouts
from catlearn.maps.sums.spread import Spread, inverse
from catlearn.maps.sums.weights import structure

CACHE = 1 << 19  # numbers that a chunk may touch on a CPU: less makes more calls, more leaves the caches
ALIGNED = 16  # buffers begin at multiples of so many numbers
WORKSPACE = 1 << 26  # the same on other devices, where only memory limits a chunk


@dataclass(frozen=True)
class Program:
    """Stages to run on one block of the batch after the other, and where their buffers lie."""

    stages: tuple[Stage, ...]
    batch: int
    block: int
    places: Mapping[str, Place]
    sizes: Mapping[str, int]  # numbers in each tensor that holds several buffers
    inner: tuple[bool, ...] = ()  # in which order each waist wants its weights, see ``weights.index``

    @cached_property
    def code(self) -> str:
        """The steps as the text of a function."""
        return text(self.stages, self.batch, self.places, self.block)

    @cached_property
    def run(self) -> Callable[..., None]:
        """The steps as a function of the tensors that hold the buffers."""
        return function(self.code)

    def total(self, what: str) -> int:
        """Flops, or numbers moved, over all chunks."""
        return self._over(lambda step: getattr(step, what))

    @property
    def calls(self) -> int:
        """How many steps are run, over all chunks."""
        return self._over(lambda step: 1)

    def _over(self, amount: Callable[[Step], int]) -> int:
        each = [self.block // stage.chunk * sum(map(amount, stage.whole)) + sum(map(amount, stage.rest)) for stage in self.stages]
        return self.batch // self.block * sum(each) if each else 0

    def describe(self) -> list[str]:
        """One line a stage, one a step."""
        rows = []
        for stage in self.stages:
            rows += [f"  {stage.title}, chunks of {stage.chunk}:", *(f"    {step}" for step in stage.whole)]
        return rows


def arranged(
    batch: tuple[int, int],
    groups: Mapping[str, Sequence[Layout]],
    flat: Mapping[str, Sequence[int]],
    stages: Sequence[Stage],
    inner: tuple[bool, ...] = (),
) -> Program:
    """A program whose buffers are laid one after the other: per group the root in a tensor of its own, its other levels in one."""
    tokens, block = batch
    places: dict[str, Place] = {"bias": Place("bias", 0, 0, True)}
    sizes: dict[str, int] = {}
    for name, group in groups.items():
        base = 0
        places[f"{name}0"] = Place(f"{name}0", 0, group[0].each, name != "t")
        for i, layout in enumerate(group[1:], 1):
            places[f"{name}{i}"] = Place(name, base, layout.each, name == "f")
            base += -(-tokens * layout.each // ALIGNED) * ALIGNED
        sizes[name] = base
    for name, numbers in flat.items():
        for i in range(len(numbers)):
            places[f"{name}{i}"] = Place(name, sum(numbers[:i]), 0)
        sizes[name] = sum(numbers)
    copies = [step.out for stage in stages for step in (*stage.whole, *stage.rest) if step.out.buffer == "p"]
    extent = max((sum((n - 1) * s for n, s in zip(view.size, view.stride, strict=True)) + view.offset + 1 for view in copies), default=0)
    places["p"] = Place("t", sizes.get("t", 0), 0)
    sizes["t"] = sizes.get("t", 0) + extent
    return Program(tuple(stages), tokens, block, places, sizes, inner)


@dataclass(frozen=True, eq=False)
class Plan:
    """How a family is applied to ``tokens`` elements of a batch; ``str`` lists the steps."""

    family: Family
    tokens: int
    c_in: int
    c_out: int
    budget: int = CACHE
    skeleton: Skeleton = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not all(element.plain for element in (*self.family.elements, *self.family.biases)):
            raise BadMap("an element with arcs or coupons was given to the planner for deltas")
        object.__setattr__(self, "skeleton", structure(self.family))

    @cached_property
    def _sizes(self) -> dict[int, int]:
        return dict(enumerate(dict.fromkeys(self.family.sizes)))

    def layouts(self, forward: bool, name: str) -> tuple[Layout, ...]:
        """The buffers of the input side (forward) or of the output side."""
        side, channels = (self.skeleton.ins, self.c_in) if forward else (self.skeleton.outs, self.c_out)
        return layouts(side, self._sizes, channels, name)

    def gathering(self, forward: bool) -> Program:
        """From x (or dy) to the features of its patterns."""
        return self._program(("gather", forward))

    def passing(self, forward: bool, biased: bool = False, result: bool = True, gradient: bool = False) -> Program:
        """From x to its features and to y, with the biases; or from dy to dx, with the gradient of the weight on the way."""
        return self._program(("pass", forward, biased, result, gradient))

    def _program(self, key: tuple[Any, ...]) -> Program:
        if key not in self._programs:
            self._programs[key] = self._built(*key)
        return self._programs[key]

    def _built(self, what: str, forward: bool, biased: bool = False, *wanted: bool) -> Program:
        near, far = (self.skeleton.ins, self.skeleton.outs)[:: 1 if forward else -1]
        source, target = self.layouts(forward, "s"), self.layouts(not forward, "t")
        first = gathering(near, source, self.block, self.budget, self.block < self.tokens)
        if what == "gather":
            return arranged((self.tokens, self.block), {"s": source}, {}, first)
        waists = {
            far.find(waist.kinds): (number, near.find(waist.kinds), waist.turns if forward else tuple(map(inverse, waist.turns)))
            for number, waist in enumerate(self.skeleton.waists)
        }
        spread = Spread(far, source, target, waists, forward, self.skeleton.biases if biased else (), *wanted)
        numbers = [prod(cells) * self.c_in * self.c_out for cells in self.skeleton.cells]
        groups = {"s": source, "t": target, "f": self.layouts(not forward, "f")}
        stages = [*first, *spread.stages(self.block, self.budget)]
        return arranged((self.tokens, self.block), groups, {"w": numbers, "d": numbers}, stages, spread.inner)

    @cached_property
    def block(self) -> int:
        """So many elements of the batch go through all stages before the next: all of them, unless x and y together are far larger than
        a cache. Then the features of a block are taken while it is fetched, and its products find it there."""
        each = prod(self.family.ins) * self.c_in + prod(self.family.outs) * self.c_out
        most = 2 * self.budget // max(each, 1)
        if self.tokens * each <= 8 * self.budget or most < 1:
            return self.tokens
        found = next(size for size in range(min(most, self.tokens), 0, -1) if self.tokens % size == 0)
        return found if 2 * found >= most else self.tokens  # many small blocks cost more calls than they save

    @cached_property
    def _programs(self) -> dict[tuple, Program]:
        return {}

    @cached_property
    def weights(self) -> int:
        """Numbers in the matrices of the waists."""
        return sum(map(prod, self.skeleton.cells)) * self.c_in * self.c_out

    @cached_property
    def scalars(self) -> tuple[int, int]:
        """How many patterns of the output are scalars, and where they lie among its features."""
        outs = self.skeleton.outs
        if outs.levels[-1].kinds:
            return 0, 0
        return len(outs.levels[-1].patterns), self.gathering(False).places[f"s{len(outs.levels) - 1}"].base

    @property
    def saved(self) -> int:
        """Numbers of features saved for the backward pass, beside x."""
        return self.tokens * sum(layout.each for layout in self.layouts(True, "s")[1:])

    def total(self, what: str, forward: bool = True) -> int:
        """``flops``, or numbers ``moved``, of the forward or of the backward pass."""
        return self.passing(forward, forward, gradient=not forward).total(what)

    def __str__(self) -> str:
        show = lambda sizes: "×".join(map(str, sizes)) or "1"  # noqa: E731
        family = self.family
        rows = [
            f"{show(family.ins)} -> {show(family.outs)}, {len(family.elements)} elements, "
            f"{self.tokens} tokens, {self.c_in} -> {self.c_out} channels"
        ]
        for name, forward in (("forward", True), ("backward", False)):
            rows.append(f"{name}: {self.total('flops', forward):,} flops, {self.total('moved', forward):,} numbers moved")
            rows += self.passing(forward, forward, gradient=not forward).describe()
        return "\n".join([*rows, f"saved for backward: x and {self.saved:,} numbers of features"])


def extent(family: Family, tokens: int, c_in: int) -> int:
    """How many numbers the features of x take; ``tokens`` may be a symbol."""
    sizes = dict(enumerate(dict.fromkeys(family.sizes)))
    return sum(-(-tokens * layout.each // ALIGNED) * ALIGNED for layout in layouts(structure(family).ins, sizes, c_in, "s")[1:])


@lru_cache(maxsize=4096)
def plan(family: Family, tokens: int, c_in: int, c_out: int, budget: int = CACHE) -> Plan:
    """The plan for a family of plain elements; cached.

    ``tokens`` is the product of the batch axes; ``budget`` how many numbers one chunk of the batch may touch.

    Raises ``BadMap`` if an element has arcs or coupons, joins axes of different sizes, or stands twice.
    """
    return Plan(family, tokens, c_in, c_out, budget)
