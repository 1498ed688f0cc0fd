"""The plan of a family for given sizes, tokens and channels: every step with its cost, and what is kept for the backward pass.

>>> from catlearn.maps.sums.family import Element, Family
>>> sums = Family((3, 3), (3, 3), (Element(((0, 2), (1, 3))), Element(((0, 3), (1, 2))), Element(((0, 1), (2, 3)))))
>>> print(plan(sums, 2, 4, 5))
3×3 -> 3×3, 3 elements, 2 tokens, 4 -> 5 channels
forward: 1,574 flops, 846 numbers moved
  gather from s0, chunks of 2:
    s1[2×3×4] = copy s0[2×3×4]
  gather from s1, chunks of 2:
    s2[2×4] = sum s1[2×3×4]
  spread to t2, chunks of 2:
    t2[2×5] = @ s2[2×4], w1[4×5]
  spread to t1, chunks of 2:
    t1[2×3×5] = copy t2[2×3×5]
  spread to t0, chunks of 2:
    t0[18×5] = @ s0[18×4], w0[4×5]
    p[2×3×3×4] = copy s0[2×3×3×4]
    t0[18×5] += @ p[18×4], w0[4×5]
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
from catlearn.maps.sums.program import Layout, Spread, Stage, gathering, layouts
from catlearn.maps.sums.weights import structure

CACHE = 1 << 19  # numbers that a chunk may touch on a CPU: less makes more calls, more leaves the caches
ALIGNED = 16  # buffers begin at multiples of so many numbers
WORKSPACE = 1 << 26  # the same on other devices, where only memory limits a chunk


@dataclass(frozen=True)
class Program:
    """Stages to run, and where their buffers lie."""

    stages: tuple[Stage, ...]
    batch: int
    places: Mapping[str, Place]
    sizes: Mapping[str, int]  # numbers in each tensor that holds several buffers

    @cached_property
    def code(self) -> str:
        """The steps as the text of a function."""
        return text(self.stages, self.batch, self.places)

    @cached_property
    def run(self) -> Callable[..., None]:
        """The steps as a function of the tensors that hold the buffers."""
        return function(self.code)

    def total(self, what: str) -> int:
        """Flops, or numbers moved, over all chunks."""
        amount = lambda steps: sum(getattr(step, what) for step in steps)  # noqa: E731
        return sum(self.batch // stage.chunk * amount(stage.whole) + amount(stage.rest) for stage in self.stages)

    def describe(self) -> list[str]:
        """One line a stage, one a step."""
        rows = []
        for stage in self.stages:
            rows += [f"  {stage.title}, chunks of {stage.chunk}:", *(f"    {step}" for step in stage.whole)]
        return rows


def arranged(batch: int, groups: Mapping[str, Sequence[Layout]], flat: Mapping[str, Sequence[int]], stages: Sequence[Stage]) -> Program:
    """A program whose buffers are laid one after the other: per group the root in a tensor of its own, its other levels in one."""
    places: dict[str, Place] = {"bias": Place("bias", 0, 0, True)}
    sizes: dict[str, int] = {}
    for name, group in groups.items():
        base = 0
        places[f"{name}0"] = Place(f"{name}0", 0, group[0].each, name != "t")
        for i, layout in enumerate(group[1:], 1):
            places[f"{name}{i}"] = Place(name, base, layout.each, name == "f")
            base += -(-batch * layout.each // ALIGNED) * ALIGNED
        sizes[name] = base
    for name, numbers in flat.items():
        for i in range(len(numbers)):
            places[f"{name}{i}"] = Place(name, sum(numbers[:i]), 0)
        sizes[name] = sum(numbers)
    copies = [step.out for stage in stages for step in (*stage.whole, *stage.rest) if step.out.buffer == "p"]
    extent = max((sum((n - 1) * s for n, s in zip(view.size, view.stride, strict=True)) + view.offset + 1 for view in copies), default=0)
    places["p"] = Place("t", sizes.get("t", 0), 0)
    sizes["t"] = sizes.get("t", 0) + extent
    return Program(tuple(stages), batch, places, sizes)


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

    def spreading(self, forward: bool, biased: bool, result: bool = True, gradient: bool = False) -> Program:
        """From features to y, with the biases, or to dx, with the gradient of the weight on the way."""
        return self._program(("spread", forward, biased, result, gradient))

    def _program(self, key: tuple[Any, ...]) -> Program:
        if key not in self._programs:
            self._programs[key] = self._built(*key)
        return self._programs[key]

    def _built(self, what: str, forward: bool, biased: bool = False, *wanted: bool) -> Program:
        near, far = (self.skeleton.ins, self.skeleton.outs)[:: 1 if forward else -1]
        source, target = self.layouts(forward, "s"), self.layouts(not forward, "t")
        if what == "gather":
            return arranged(self.tokens, {"s": source}, {}, gathering(near, source, self.tokens, self.budget))
        waists = {
            far.find(waist.kinds): (number, near.find(waist.kinds), waist.turns if forward else tuple(map(inverse, waist.turns)))
            for number, waist in enumerate(self.skeleton.waists)
        }
        spread = Spread(far, source, target, waists, self.skeleton.biases if biased else (), *wanted)
        numbers = [prod(cells) * self.c_in * self.c_out for cells in self.skeleton.cells]
        groups = {"s": source, "t": target, "f": self.layouts(not forward, "f")}
        return arranged(self.tokens, groups, {"w": numbers, "d": numbers}, spread.stages(self.tokens, self.budget))

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
        steps = self.gathering(forward), self.spreading(forward, forward, gradient=not forward)
        return sum(program.total(what) for program in steps)

    def __str__(self) -> str:
        show = lambda sizes: "×".join(map(str, sizes)) or "1"  # noqa: E731
        family = self.family
        rows = [
            f"{show(family.ins)} -> {show(family.outs)}, {len(family.elements)} elements, "
            f"{self.tokens} tokens, {self.c_in} -> {self.c_out} channels"
        ]
        for name, forward in (("forward", True), ("backward", False)):
            rows.append(f"{name}: {self.total('flops', forward):,} flops, {self.total('moved', forward):,} numbers moved")
            rows += [*self.gathering(forward).describe(), *self.spreading(forward, forward, gradient=not forward).describe()]
        return "\n".join([*rows, f"saved for backward: x and {self.saved:,} numbers of features"])


def inverse(turn: Sequence[int]) -> tuple[int, ...]:
    """The inverse permutation."""
    return tuple(turn.index(i) for i in range(len(turn)))


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
