"""Whether a proof makes sense, before any step of it is looked at: whoever wrote it may have meant harm.

Two questions, each answered by None or by the first thing that is wrong: is every wire made once, before it is used, with known sizes
(``program``); does the claim say something of this program (``claim``).

A size in a claim must be at least 0 for all values of its symbols. It is seen to be if, written in how far each symbol lies above its
least value, it has no negative coefficient; sizes that are not seen to be are refused.

>>> from catlearn.core.sizes import dim
>>> n = dim("n")
>>> natural(n - 2, {"n": 2}), natural(n - 3, {"n": 2}), natural(n * n - 2 * n, {"n": 2}), natural(-n, {"n": 2})
(True, False, True, False)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import prod

from catlearn.core.sizes import Poly, Size, dims
from catlearn.verify.proof import ROLES, SUBSET, Program, Proof, wires_of
from catlearn.verify.rules import ASSUMPTIONS, Value
from catlearn.verify.types import Factor, Type, is_set, size

FORMS = {"c": ("T",), "X": ("S", "A", "Z"), "V": ("O", "SO", "Sp")}  # the factors of a claim, and what may act on each
LONGEST = 1 << 20  # an axis of a tensor whose entries are written out; there may be none at all
_LABEL = re.compile(r"(?P<kind>[A-Za-z]+)\((?P<size>[^,]+)(, name='[^'\\]*')?\)\*?")
_ENTRY = re.compile(r"-?[0-9]{1,400}(/[1-9][0-9]{0,400})?")


# -- the program -------------------------------------------------------------------------------------------------------


def program(p: Program) -> str | None:
    """Whether every wire is made once, before it is used, and every symbol has a range."""
    made: set[int] = set()
    for given in p.inputs:
        if given.wire in made or given.role not in ROLES:
            return f"input {given.name or given.wire} is given twice or in no role"
        made.add(given.wire)
    for node in p.nodes:
        if not {w.place for w in wires_of(node)} <= made or made & set(node.outs) or len(set(node.outs)) != len(node.outs):
            return f"{node.op} uses what is not made yet, or makes what exists"
        if node.op == SUBSET and node.args.get("name") != getattr(node.args.get("mask"), "place", None):
            return "a subset is known by another name than its mask's"
        made |= set(node.outs)
    if not set(p.outputs) <= made or made != set(range(len(p.wires))):
        return "an output that is not made, or a wire that nothing makes"
    found = {d for value in p.wires for n in value.shape for d in dims(n)}
    for d in found:
        if d.name not in p.dims or p.dims[d.name][0] < d.min:
            return f"the size {d.name} has no range"
    if len({d.name for d in found}) != len(found):
        return "one name for two sizes"
    return next((wrong for value in p.wires if (wrong := _value(value)) is not None), None)


def _value(value: Value) -> str | None:
    """Whether a tensor has sizes from 0 on, and as many entries as it says, each a fraction."""
    if any(isinstance(n, int) and n < 0 for n in value.shape):
        return f"a tensor of shape {value.shape}"
    if value.entries is None:
        return None
    count = prod(value.shape) if all(isinstance(n, int) for n in value.shape) else None
    if count != len(value.entries) or max((0, *value.shape)) > LONGEST or not all(map(_ENTRY.fullmatch, value.entries)):  # type: ignore[type-var]
        return f"{len(value.entries)} entries of a tensor of shape {value.shape}, or one that is no fraction"
    return None


# -- the claim ---------------------------------------------------------------------------------------------------------


def claim(proof: Proof) -> str | None:
    """Whether the claim makes sense for the program."""
    p, c = proof.program, proof.claim
    data = [given for given in p.inputs if given.role == "data"]
    if len(c.dom) != len(data) or len(c.cod) != len(p.outputs):
        return f"{len(c.dom)} inputs and {len(c.cod)} outputs are claimed of {len(data)} and {len(p.outputs)}"
    if c.dims.keys() != p.dims.keys():
        return "the claim speaks of other sizes than the program"
    for name, (low, high) in c.dims.items():
        least, most = p.dims[name]
        if low < least or (most is not None and (high is None or high > most)):
            return f"the program is known for {name} from {least} to {most}, and {low} to {high} is claimed"
    groups: dict[str, tuple[str, Size]] = {}
    least = {name: low for name, (low, _) in c.dims.items()}
    for type, place in zip((*c.dom, *c.cod), (*(g.wire for g in data), *p.outputs), strict=True):
        wrong = _claimed(type, p.wires[place], groups, least)
        if wrong is not None:
            return wrong
    return None if c.assumes <= set(ASSUMPTIONS) else "an assumption that is none"


def _claimed(type: Type, value: Value, groups: dict[str, tuple[str, Size]], least: Mapping[str, int]) -> str | None:
    """Whether a type is a claim about this tensor."""
    if type.shape != value.shape:
        return f"{type} is claimed of a tensor of shape {value.shape}"
    numbers = value.kind == "float" and type.points is None  # what may be turned, moved, or change its sign
    if type.zero or (type.points is not None and not (value.kind == "index" and is_set(type.points))):
        return f"{type} is no claim about a tensor of kind {value.kind}"
    if not numbers and (type.sign or not all(map(is_set, type.axes))):
        return f"{type} is claimed of a tensor of kind {value.kind}, whose entries can only be renamed and permuted"
    for f in (*(f for axis in type.axes for f in axis), *(type.points or ())):
        wrong = _factor(f, groups, least)
        if wrong is not None:
            return wrong
    if list(type.sign) != sorted(set(type.sign)) or not {s for s in type.sign if groups.get(s, ("c",))[0] != "c"} == set(type.sign):
        return f"the determinant of {type.sign}, which acts nowhere or stands there twice"
    return None


def _factor(f: Factor, groups: dict[str, tuple[str, Size]], least: Mapping[str, int]) -> str | None:
    """Whether a factor of a claim says what acts, of the right size, and always the same under one name."""
    if not natural(f.size, least) or (isinstance(f.shift, Poly) and not {d.name for d in dims(f.shift)} <= least.keys()):
        return f"{f} is of a size that the program does not have, or that may be negative"
    if f.kind == "+" and f.shift == 0 and not f.group and len(f.parts) > 1 and f.pad == (0, 0):
        if f.size != sum((size(p) for p in f.parts), start=0) or not all(map(is_set, f.parts)):
            return f"{f} joins axes on which more acts than permutations, or of other sizes"
        return next((wrong for p in f.parts for g in p if (wrong := _factor(g, groups, least)) is not None), None)
    if f.parts or f.pad != (0, 0) or f.kind not in FORMS or (f.kind == "X" and f.shift != 0):
        return f"{f} is not for a claim"
    if f.kind == "c" and f.shift == 0:
        return None if not f.group else f"{f.group} acts on nothing"
    label = _LABEL.fullmatch(f.group)
    if label is None or not f.group.isprintable() or label["kind"] not in FORMS[f.kind] or label["size"] != str(f.size):
        return f"{f.group!r} is no group that acts on {f.size} entries of this kind"
    if label["kind"] == "Sp" and any(c % 2 for c in ([f.size] if isinstance(f.size, int) else [c for _, c in f.size.terms])):
        return f"{f.group} is no group: only spaces of even dimension are symplectic"
    if groups.setdefault(f.group.removesuffix("*"), (f.kind, f.size)) != (f.kind, f.size):
        return f"{f.group} acts on two things"
    return None if not f.group.endswith("*") or label["kind"] == "Sp" else f"{f.group} is its own dual"


def natural(n: Size, least: Mapping[str, int]) -> bool:
    """Whether a size is seen to be at least 0 wherever each symbol is at least what is given for it."""
    if isinstance(n, int):
        return n >= 0
    if not {d.name for d in dims(n)} <= least.keys():
        return False
    total: Size = 0
    for monomial, coefficient in n.terms:
        term: Size = coefficient
        for d, power in monomial:
            term = (Poly(((((d, 1),), 1),)) + least[d.name]) ** power * term  # type: ignore[operator]
        total = term + total
    return all(c >= 0 for _, c in total.terms) if isinstance(total, Poly) else total >= 0


__all__ = ["claim", "natural", "program"]
