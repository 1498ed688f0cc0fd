"""The checker: it re-checks a proof node by node, and knows nothing of how it was found.

A proof is a program, and facts "this wire has this type", each by a step: an input has the type that the claim gives it, a weight is
plain, a result has a type that the row of its operator yields from facts about the arguments. By induction over the steps every fact
is true (``types`` says what it means); the claim follows if the facts about the outputs imply it.

What is trusted: this file, the types, the rule table, and whatever turned the network into the program (``program.py``).

>>> from catlearn.verify.rules import Value
>>> x, y = Value((5, 3)), Value((3,))
>>> mean = Node("aten.mean.dim", {"self": Wire(0), "dim": [0], "keepdim": False}, (1,))
>>> program = Program((x, y), (Given(0, "data"),), (mean,), (1,), {})
>>> S5 = Type(((Factor("X", 5, "S(5)"),), plain(3)))
>>> claim = Claim((S5,), (Type((plain(3),)),), {})
>>> proof = Proof(program, claim, (Step(("input", 0), (), (S5,)), Step(("node", 0), (0,), (Type((plain(3),)),))), (1,))
>>> check(proof), check(replace(proof, steps=proof.steps[:1]))
(None, 'output 0 has no fact')
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from catlearn.core.sizes import Poly, Size, dims
from catlearn.verify.rules import ASSUMPTIONS, Call, Typed, Value, typings
from catlearn.verify.rules.constants import fixed
from catlearn.verify.types import Factor, Refused, Type, fits, is_set, plain, size, trivial

Range: TypeAlias = "tuple[int, int | None]"
Fact: TypeAlias = "tuple[int, Type, frozenset[str]]"  # a wire, its type, and what is assumed for that
_KINDS = {"X": ("S", "A", "Z"), "V": ("O", "SO", "Sp"), "c": ("T",)}
_LABEL = re.compile(r"(?P<kind>[A-Za-z]+)\((?P<size>[^,]+)(, name='[^'\\]*')?\)\*?")
SUBSET = "catlearn.subset"
ROLES = ("data", "parameter", "buffer", "constant")


@dataclass(frozen=True)
class Wire:
    """A tensor as an argument: its place among the program's wires."""

    place: int


@dataclass(frozen=True)
class Given:
    """An input of a program: its wire, its role, and the name of a weight."""

    wire: int
    role: str
    name: str = ""


@dataclass(frozen=True)
class Node:
    """An operator with arguments by the names of its schema (numbers, sizes, lists, wires) and the wires of its results.

    ``sizes``: symbols that stand for numbers which it reads from its arguments.
    """

    op: str
    args: Mapping[str, Any]
    outs: tuple[int, ...]
    random: bool = False
    sizes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Program:
    """What is computed. ``dims``: the least and the largest value of every symbolic size."""

    wires: tuple[Value, ...]
    inputs: tuple[Given, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]
    dims: Mapping[str, Range]


@dataclass(frozen=True)
class Claim:
    """How what acts on the inputs acts on the outputs, for which sizes, and what is assumed."""

    dom: tuple[Type, ...]
    cod: tuple[Type, ...]
    dims: Mapping[str, Range]
    assumes: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Step:
    """Facts about an input or about the results of a node, from earlier facts about its arguments in their order."""

    of: tuple[str, int]
    premises: tuple[int, ...]
    types: tuple[Type, ...]


@dataclass(frozen=True)
class Proof:
    """A program, a claim about it, the steps, and for each output the fact that is used. Facts are numbered through all steps."""

    program: Program
    claim: Claim
    steps: tuple[Step, ...]
    outputs: tuple[int, ...]


def check(proof: Proof) -> str | None:
    """None if the proof is one; else the first thing that is wrong with it."""
    try:
        wrong = _program(proof.program) or _claim(proof)
        if wrong is not None:
            return wrong
        facts: list[Fact] = []
        used: set[str] = set()
        world, cache = acting(proof.claim), {}
        for k, step in enumerate(proof.steps):
            new = _step(proof, step, facts, world, cache)
            if isinstance(new, str):
                return f"step {k}: {new}"
            facts += new
            if step.of[0] == "node" and proof.program.nodes[step.of[1]].sizes:
                used = used.union(*(needs for _, _, needs in new))
        if len(proof.outputs) != len(proof.program.outputs):
            return "the outputs are not all claimed"
        for k, (wire, fact) in enumerate(zip(proof.program.outputs, proof.outputs, strict=True)):
            if not 0 <= fact < len(facts) or facts[fact][0] != wire:
                return f"output {k} has no fact"
            if not fits(facts[fact][1], proof.claim.cod[k]):
                return f"output {k} has the type {facts[fact][1]}, and {proof.claim.cod[k]} is claimed"
            used |= facts[fact][2]
        still = {step.of for step in proof.steps if all(map(trivial, step.types))}
        still |= {
            ("node", k) for k, node in enumerate(proof.program.nodes) if node.op == SUBSET and ("node", k) in {s.of for s in proof.steps}
        }
        for k, node in enumerate(proof.program.nodes):
            if node.sizes and ("node", k) not in still:  # how many entries a mask picks is no matter of order, if its type is known
                return f"{node.op} reads the size {node.sizes[0]} from data on which something acts"
        missing = used - proof.claim.assumes
        return f"not among the assumptions: {', '.join(sorted(missing))}" if missing else None
    except Refused as refused:
        return str(refused)


def acting(claim: Claim) -> tuple[Factor, ...]:
    """The sets and vector spaces that the claim speaks of."""
    found = {replace(f, shift=0): None for t in (*claim.dom, *claim.cod) for axis in t.axes for f in axis if f.kind in "XV"}
    found |= {f: None for t in (*claim.dom, *claim.cod) for f in t.points or () if f.kind == "X"}
    return tuple(found)


def _claim(proof: Proof) -> str | None:
    """Whether the claim makes sense for the program."""
    program, claim = proof.program, proof.claim
    data = [given for given in program.inputs if given.role == "data"]
    if len(claim.dom) != len(data) or len(claim.cod) != len(program.outputs):
        return f"{len(claim.dom)} inputs and {len(claim.cod)} outputs are claimed of {len(data)} and {len(program.outputs)}"
    groups: dict[str, tuple[str, Size]] = {}
    for type, place in zip((*claim.dom, *claim.cod), (*(g.wire for g in data), *program.outputs), strict=True):
        if type.shape != program.wires[place].shape:
            return f"{type} is claimed of a tensor of shape {program.wires[place].shape}"
        if type.zero or (type.points is not None and not (program.wires[place].kind == "index" and is_set(type.points))):
            return f"{type} is no claim about a tensor of kind {program.wires[place].kind}"
        for f in (*(f for axis in type.axes for f in axis), *(type.points or ())):
            wrong = _factor(f, groups)
            if wrong is not None:
                return wrong
        if not set(type.sign) <= set(groups) or list(type.sign) != sorted(set(type.sign)):
            return f"the determinant of {type.sign}, which acts nowhere or stands there twice"
    if claim.dims.keys() != program.dims.keys():
        return "the claim speaks of other sizes than the program"
    for name, (low, high) in claim.dims.items():
        least, most = program.dims[name]
        if low < least or (most is not None and (high is None or high > most)):
            return f"the program is known for {name} from {least} to {most}, and {low} to {high} is claimed"
    return None if claim.assumes <= set(ASSUMPTIONS) else "an assumption that is none"


def _factor(f: Factor, groups: dict[str, tuple[str, Size]]) -> str | None:
    """Whether a factor of a claim says what acts, of the right size, and always the same under one name."""
    if f.kind == "+" and f.shift == 0 and len(f.parts) > 1 and f.size == sum((size(p) for p in f.parts), start=0) and f.pad == (0, 0):
        if not all(map(is_set, f.parts)):
            return f"{f} joins axes on which more acts than permutations"
        return next((wrong for p in f.parts for g in p if (wrong := _factor(g, groups)) is not None), None)
    if f.parts or f.pad != (0, 0) or f.kind not in "cXV" or (f.kind == "X" and f.shift != 0):
        return f"{f} is not for a claim"
    if f.kind == "c" and f.shift == 0:
        return None if not f.group else f"{f.group} acts on nothing"
    label = _LABEL.fullmatch(f.group)
    if label is None or label["kind"] not in _KINDS[f.kind] or label["size"] != str(f.size):
        return f"{f.group!r} is no group that acts on {f.size} entries of this kind"
    if groups.setdefault(f.group.removesuffix("*"), (f.kind, f.size)) != (f.kind, f.size):
        return f"{f.group} acts on two things"
    return None if not f.group.endswith("*") or label["kind"] == "Sp" else f"{f.group} is its own dual"


def _program(program: Program) -> str | None:
    """Whether every wire is made once, before it is used, and every symbol has a range."""
    made: set[int] = set()
    for given in program.inputs:
        if given.wire in made or given.role not in ROLES:
            return f"input {given.name or given.wire} is given twice or in no role"
        made.add(given.wire)
    for node in program.nodes:
        if not {w.place for w in wires_of(node)} <= made or made & set(node.outs) or len(set(node.outs)) != len(node.outs):
            return f"{node.op} uses what is not made yet, or makes what exists"
        if node.op == SUBSET and node.args.get("name") != getattr(node.args.get("mask"), "place", None):
            return "a subset is known by another name than its mask's"
        made |= set(node.outs)
    if not set(program.outputs) <= made or made != set(range(len(program.wires))):
        return "an output that is not made, or a wire that nothing makes"
    found = {d for value in program.wires for n in value.shape for d in dims(n)}
    for d in found:
        if d.name not in program.dims or program.dims[d.name][0] < d.min:
            return f"the size {d.name} has no range"
    return None if len({d.name for d in found}) == len(found) else "one name for two sizes"


def wires_of(node: Node) -> list[Wire]:
    """The tensor arguments of a node, in the order of their names."""
    found: list[Wire] = []
    for _, arg in sorted(node.args.items()):
        found += [x for x in (arg if isinstance(arg, list | tuple) else (arg,)) if isinstance(x, Wire)]
    return found


def _step(proof: Proof, step: Step, facts: list[Fact], world: tuple[Factor, ...], cache: dict[Any, Any]) -> list[Fact] | str:
    """The facts of a step, or what is wrong with it."""
    what, place = step.of
    program = proof.program
    if what == "input" and 0 <= place < len(program.inputs) and len(step.types) == 1 and not step.premises:
        wire, type = program.inputs[place].wire, step.types[0]
        return [(wire, type, frozenset())] if _input(proof, place, type) else f"input {place} has not the type {type}"
    if what != "node" or not 0 <= place < len(program.nodes):
        return f"{step.of} is neither an input nor a node"
    node = program.nodes[place]
    needed = wires_of(node)
    if len(step.premises) != len(needed) or len(step.types) != len(node.outs):
        return f"{node.op} has {len(needed)} arguments and {len(node.outs)} results"
    for wire, premise in zip(needed, step.premises, strict=True):
        if not 0 <= premise < len(facts) or facts[premise][0] != wire.place:
            return f"fact {premise} is not about an argument of {node.op}"
    types = tuple(facts[p][1] for p in step.premises)
    key = shape_key(program, node, types)
    if key not in cache:
        try:
            cache[key] = {t.types: t for t in typings(call_of(program, node, types, world))}
        except Refused as refused:
            return f"{node.op}: {refused}"
    if step.types not in cache[key]:
        return f"{node.op} does not have the types {', '.join(map(str, step.types))}"
    before: frozenset[str] = frozenset().union(*(facts[p][2] for p in step.premises))
    return [
        (wire, type, before | cache[key][step.types].needs(k)) for k, (wire, type) in enumerate(zip(node.outs, step.types, strict=True))
    ]


def _input(proof: Proof, place: int, type: Type) -> bool:
    """Whether an input has a type: data as claimed; weights are plain; fixed entries may be invariant."""
    given = proof.program.inputs[place]
    value = proof.program.wires[given.wire]
    if given.role == "data":
        return type == proof.claim.dom[[g.wire for g in proof.program.inputs if g.role == "data"].index(given.wire)]
    return type == Type(tuple(plain(n) for n in value.shape)) or (given.role in ("buffer", "constant") and fixed(value, type))


def call_of(program: Program, node: Node, types: tuple[Type, ...], world: tuple[Factor, ...]) -> Call:
    """A node as its rule sees it: the arguments with their types."""
    rest = iter(types)

    def resolve(arg: Any) -> Any:
        if isinstance(arg, Wire):
            return Typed(program.wires[arg.place], next(rest))
        return [resolve(x) for x in arg] if isinstance(arg, list | tuple) else arg

    args = {name: resolve(arg) for name, arg in sorted(node.args.items())}
    return Call(node.op, args, tuple(program.wires[w] for w in node.outs), world, node.random)


def shape_key(program: Program, node: Node, types: tuple[Type, ...]) -> Any:
    """All that a rule sees: nodes with the same key have the same typings, as those of repeated layers do."""

    def plain_data(arg: Any) -> Any:
        if isinstance(arg, Wire):
            return "wire", program.wires[arg.place]
        return tuple(map(plain_data, arg)) if isinstance(arg, list | tuple) else (arg.__class__, arg)

    args = tuple((name, plain_data(arg)) for name, arg in node.args.items())
    return node.op, args, types, tuple(program.wires[w] for w in node.outs)


__all__ = ["Claim", "Given", "Node", "Poly", "Program", "Proof", "Step", "Wire", "acting", "call_of", "check", "shape_key", "wires_of"]
