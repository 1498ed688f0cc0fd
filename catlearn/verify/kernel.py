"""The checker: it re-checks a proof node by node, and knows nothing of how it was found.

A proof is a program, and facts "this wire has this type", each by a step: an input has the type that the claim gives it, a weight is
plain, a result has a type that the row of its operator yields from facts about the arguments. By induction over the steps every fact
is true (``types`` says what it means); the claim follows if the facts about the outputs imply it.

What is trusted: this file and ``wellformed`` (what a proof must look like at all), the types, the rule table, and whatever turned the
network into the program (``program.py``).

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

from dataclasses import replace
from typing import Any, TypeAlias

from catlearn.verify import wellformed
from catlearn.verify.form import form
from catlearn.verify.proof import SUBSET, Claim, Given, Node, Program, Proof, Range, Step, Wire, wires_of
from catlearn.verify.rules import Call, Typed, typings
from catlearn.verify.rules.constants import fixed
from catlearn.verify.types import Factor, Refused, Type, fits, plain, trivial

Fact: TypeAlias = "tuple[int, Type, frozenset[str]]"  # a wire, its type, and what is assumed for that


def check(proof: Proof) -> str | None:
    """None if the proof is one; else the first thing that is wrong with it.

    A proof may come from anybody, so whatever goes wrong while it is checked is a reason to refuse it, and never an error.
    """
    try:
        return form(proof) or wellformed.program(proof.program) or wellformed.claim(proof) or _steps(proof)
    except Refused as refused:
        return str(refused)
    except Exception as error:
        return f"it cannot be checked: {type(error).__name__}"


def _steps(proof: Proof) -> str | None:
    """The first step that does not hold, or what does not follow from them."""
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
    stated = {step.of for step in proof.steps}
    still |= {("node", k) for k, node in enumerate(proof.program.nodes) if node.op == SUBSET and ("node", k) in stated}
    for k, node in enumerate(proof.program.nodes):
        if node.sizes and ("node", k) not in still:  # how many entries a mask picks is no matter of order, if its type is known
            return f"{node.op} reads the size {node.sizes[0]} from data on which something acts"
    missing = used - proof.claim.assumes
    return f"not among the assumptions: {', '.join(sorted(missing))}" if missing else None


def acting(claim: Claim) -> tuple[Factor, ...]:
    """The sets and vector spaces that the claim speaks of."""
    found = {replace(f, shift=0): None for t in (*claim.dom, *claim.cod) for axis in t.axes for f in axis if f.kind in "XV"}
    found |= {f: None for t in (*claim.dom, *claim.cod) for f in t.points or () if f.kind == "X"}
    return tuple(found)


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
    return node.op, node.random, args, types, tuple(program.wires[w] for w in node.outs)


__all__ = [
    "SUBSET",
    "Claim",
    "Given",
    "Node",
    "Program",
    "Proof",
    "Range",
    "Step",
    "Wire",
    "acting",
    "call_of",
    "check",
    "shape_key",
    "wires_of",
]
