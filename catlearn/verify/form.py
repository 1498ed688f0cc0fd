"""Whether every field of a proof is of the kind that its class says, which Python itself does not ask.

>>> form("a proof"), form(Proof(Program((), (), (), (), {}), Claim((), (), {}), (), (1.5,)))
('str is no proof', 'it has no steps, or no outputs')
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from catlearn.core.sizes import Dim, Poly
from catlearn.verify.proof import Claim, Given, Node, Program, Proof, Step, Wire
from catlearn.verify.rules import Value
from catlearn.verify.types import Factor, Type

KINDS = ("float", "index", "bool")


def _size(x: Any) -> bool:
    """An integer, or a polynomial in normal form."""
    if not isinstance(x, Poly):
        return type(x) is int
    rows = [row for monomial, _ in x.terms for row in monomial]
    names = all(type(d) is Dim and type(d.name) is str and type(d.min) is int and d.min >= 0 for d, _ in rows)
    return names and all(type(power) is int and 0 < power <= 64 for _, power in rows) and all(type(c) is int and c for _, c in x.terms)


def _argument(x: Any) -> bool:
    """A number, a word, a size, a tensor, or a list of these; a tensor stands in no list of lists, where a rule would not see it."""
    if isinstance(x, list | tuple):
        return all(map(_argument, x)) and not any(isinstance(z, Wire) for y in x if isinstance(y, list | tuple) for z in _inside(y))
    return _has(x, Wire) if isinstance(x, Wire) else _size(x) or x is None or type(x) in (bool, float, str)


def _inside(x: Any) -> list[Any]:
    return [z for y in x for z in _inside(y)] if isinstance(x, list | tuple) else [x]


def _range(x: Any) -> bool:
    """A least and a largest value, with something in between."""
    return type(x) is tuple and len(x) == 2 and type(x[0]) is int and (x[1] is None or (type(x[1]) is int and x[0] <= x[1]))


_FIELDS: dict[Any, dict[str, Any]] = {
    Proof: {"program": Program, "claim": Claim, "steps": [Step], "outputs": [int]},
    Program: {"wires": [Value], "inputs": [Given], "nodes": [Node], "outputs": [int], "dims": {"": _range}},
    Claim: {"dom": [Type], "cod": [Type], "dims": {"": _range}, "assumes": lambda x: type(x) is frozenset},
    Step: {"of": lambda x: _has(x, [lambda _: True]) and list(map(type, x)) == [str, int], "premises": [int], "types": [Type]},
    Node: {"op": str, "args": {"": _argument}, "outs": [int], "random": bool, "sizes": [str]},
    Given: {"wire": int, "role": str, "name": str},
    Wire: {"place": int},
    Value: {"shape": [_size], "kind": lambda x: x in KINDS, "entries": lambda x: x is None or _has(x, [str])},
    Type: {"axes": [[Factor]], "points": lambda x: x is None or _has(x, [Factor]), "zero": bool, "sign": [str]},
    Factor: {"kind": lambda x: type(x) is str and len(x) == 1, "size": _size, "group": str,
             "shift": lambda x: _size(x) or type(x) is Fraction, "parts": [[Factor]], "pad": lambda x: _has(x, [int]) and len(x) == 2},
}  # fmt: skip


def _has(x: Any, form: Any) -> bool:
    """Whether a value is of a form: a class with its fields, a tuple of a form, a mapping from words to it, or what a question says."""
    if isinstance(form, list):
        return type(x) is tuple and all(_has(y, form[0]) for y in x)
    if isinstance(form, dict):
        return isinstance(x, Mapping) and all(type(k) is str and _has(y, form[""]) for k, y in x.items())
    if isinstance(form, type):
        return type(x) is form and all(_has(getattr(x, name), inner) for name, inner in _FIELDS.get(form, {}).items())
    return form(x)


def form(proof: Any) -> str | None:
    """The first part that is not of its form."""
    if not isinstance(proof, Proof):
        return f"{type(proof).__name__} is no proof"
    types: dict[int, bool] = {}  # a proof has few types, each at many places

    def seen(t: Any) -> bool:
        return types[id(t)] if id(t) in types else types.setdefault(id(t), _has(t, Type))

    for name, whole in (("program", Program), ("claim", Claim)):
        if not _has(getattr(proof, name), whole):
            return f"its {name} is not of the form of one"
    if type(proof.steps) is not tuple or not _has(proof.outputs, [int]):
        return "it has no steps, or no outputs"
    for k, s in enumerate(proof.steps):
        fields = _FIELDS[Step]
        if type(s) is not Step or not (
            fields["of"](s.of) and _has(s.premises, [int]) and type(s.types) is tuple and all(map(seen, s.types))
        ):
            return f"step {k} is not of the form of one"
    return None
