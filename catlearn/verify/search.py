"""The search for a proof: forward through the program, keeping for every wire the types that could be found for it.

A wire may have several types (a unit matrix is plain, or an invariant of any group), and a proof may need another one than the first,
so a few are kept. Nothing here is trusted: what it finds is re-checked by the kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, product
from typing import Any

from catlearn.verify.kernel import Claim, Program, Proof, Step, acting, call_of, shape_key, wires_of
from catlearn.verify.rules import Typing, Value, typings
from catlearn.verify.rules.constants import fixed
from catlearn.verify.types import Factor, Refused, Type, constant, dual, fits, plain

KEPT, TRIED = 6, 32  # types kept for a wire, combinations of them tried at a node


@dataclass(frozen=True)
class Fact:
    """A wire has a type, by a step from other facts, under assumptions."""

    wire: int
    type: Type
    step: Step
    assumes: frozenset[str]


@dataclass(frozen=True)
class Failure:
    """Where no proof was found and why: at a node, or at an output."""

    reason: str
    node: int | None = None
    output: int | None = None


@dataclass
class Search:
    """The facts about a program under a claim's input types."""

    program: Program
    dom: tuple[Type, ...]
    cod: tuple[Type, ...]
    facts: list[Fact] = field(default_factory=list)
    about: dict[int, list[int]] = field(default_factory=dict)
    refusals: dict[int, str] = field(default_factory=dict)

    def run(self) -> Proof | Failure:
        """A proof of the claim for all sizes of the program, or where it got stuck."""
        self.world = acting(Claim(self.dom, self.cod, {}))
        self._inputs()
        cache: dict[Any, list[Typing] | str] = {}
        for k in range(len(self.program.nodes)):
            self._node(k, cache)
        ends = []
        for place, wire in enumerate(self.program.outputs):
            good = [f for f in self.about.get(wire, []) if fits(self.facts[f].type, self.cod[place])]
            if not good:
                return self._failure(place, wire)
            ends.append(min(good, key=lambda f: len(self.facts[f].assumes)))
        return self._proof(ends)

    def _inputs(self) -> None:
        data = 0
        for k, given in enumerate(self.program.inputs):
            value = self.program.wires[given.wire]
            if given.role == "data":
                types, data = [self.dom[data]], data + 1
            else:
                types = [Type(tuple(plain(n) for n in value.shape))]
                types += [] if given.role == "parameter" else invariants(value, self.world)
            for type in types:
                self._add(Fact(given.wire, type, Step(("input", k), (), (type,)), frozenset()))

    def _node(self, k: int, cache: dict[Any, list[Typing] | str]) -> None:
        node = self.program.nodes[k]
        choices = [self.about.get(w.place, []) for w in wires_of(node)]
        if not all(choices):
            return
        for combination in islice(product(*choices), TRIED):
            types = tuple(self.facts[f].type for f in combination)
            key = shape_key(self.program, node, types)
            if key not in cache:
                try:
                    cache[key] = typings(call_of(self.program, node, types, self.world))
                except Refused as refused:
                    cache[key] = str(refused)
            found = cache[key]
            if isinstance(found, str):
                self.refusals.setdefault(k, found)
                continue
            assumed = frozenset().union(*(self.facts[f].assumes for f in combination))
            for typing in found:
                step = Step(("node", k), combination, typing.types)
                for place, (wire, type) in enumerate(zip(node.outs, typing.types, strict=True)):
                    self._add(Fact(wire, type, step, assumed | typing.needs(place)))
        if all(self.about.get(w) for w in node.outs):
            self.refusals.pop(k, None)

    def _add(self, fact: Fact) -> None:
        known = self.about.setdefault(fact.wire, [])
        if len(known) < KEPT and all(self.facts[f].type != fact.type for f in known):
            known.append(len(self.facts))
            self.facts.append(fact)

    def _failure(self, place: int, wire: int) -> Failure:
        """The first node before the output that could not be typed; else the output itself."""
        before = ancestors(self.program, [wire])
        for k in sorted(self.refusals):
            if k in before:
                return Failure(self.refusals[k], node=k)
        found = [str(self.facts[f].type) for f in self.about.get(wire, [])]
        return Failure(f"output {place} has the type {' or '.join(found)}, not {self.cod[place]}", output=place)

    def _proof(self, ends: list[int]) -> Proof:
        """The steps that the chosen facts need, in order, with facts numbered as the kernel does."""
        needed, stack = set(), [self.facts[f].step for f in ends]
        reads = self._reads()
        stack += reads
        while stack:
            step = stack.pop()
            if step not in needed:
                needed.add(step)
                stack += [self.facts[f].step for f in step.premises]
        number: dict[tuple[Step, int], int] = {}
        steps: list[Step] = []
        count = 0
        for step in dict.fromkeys(f.step for f in self.facts):
            if step not in needed:
                continue
            kind, place = step.of
            outs = (self.program.inputs[place].wire,) if kind == "input" else self.program.nodes[place].outs
            for wire in outs:
                number[step, wire] = count
                count += 1
            premises = tuple(number[self.facts[f].step, self.facts[f].wire] for f in step.premises)
            steps.append(Step(step.of, premises, step.types))
        outputs = tuple(number[self.facts[f].step, self.facts[f].wire] for f in ends)
        read = [f.assumes for f in self.facts if f.step in reads]
        assumes = frozenset().union(*(self.facts[f].assumes for f in ends), *read)
        return Proof(self.program, Claim(self.dom, self.cod, dict(self.program.dims), assumes), tuple(steps), outputs)

    def _reads(self) -> list[Step]:
        """Steps of nodes that read a number from data: nothing may act there."""
        found = []
        for k, node in enumerate(self.program.nodes):
            if node.sizes:
                found += [f.step for f in self.facts if f.step.of == ("node", k) and f.wire == node.outs[0]][:1]
        return found


def ancestors(program: Program, wires: Sequence[int]) -> set[int]:
    """The nodes on which some wires depend."""
    maker = {w: k for k, node in enumerate(program.nodes) for w in node.outs}
    found: set[int] = set()
    stack = [maker[w] for w in wires if w in maker]
    while stack:
        k = stack.pop()
        if k not in found:
            found.add(k)
            stack += [maker[w.place] for w in wires_of(program.nodes[k]) if w.place in maker]
    return found


def invariants(value: Value, world: Sequence[Factor]) -> list[Type]:
    """The types under which a fixed tensor is invariant, other than the plain one."""
    if value.entries is None:
        return []
    same = Type(tuple(constant(n) for n in value.shape))
    all_same = [t for t in (replace(same, zero=True), same) if fixed(value, t)][:1]
    if all_same or not 0 < len(value.shape) <= 3:
        return all_same
    kinds = list(world) + [Factor("V", f.size, dual(f.group)) for f in world if dual(f.group) != f.group]
    choices = [[plain(n), *((f,) for f in kinds if f.size == n)] for n in value.shape]
    signs = [(), *((f.group,) for f in world if f.group.startswith("O"))]
    found = []
    for axes in islice(product(*choices), 1, TRIED):
        found += [t for sign in signs if fixed(value, t := Type(tuple(axes), sign=sign))][:1]
    return found


__all__ = ["Failure", "Search", "ancestors", "invariants"]
