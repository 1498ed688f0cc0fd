"""Values in files: what an op's attributes and a parameter's start may be, as JSON and tensors, and back.

Held are numbers (integers, floats, fractions, infinities), strings, tuples, lists, dictionaries, sizes, spaces, wires, axes, groups,
initialisers, parameters, sections by name, ops, terms and tensors. Anything else (a Python function) is told, never pickled.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from fractions import Fraction
from numbers import Integral
from typing import Any

import torch

from catlearn import errors
from catlearn.core.cells import Section
from catlearn.core.op import Init, Op, Param
from catlearn.core.sizes import Dim, Poly, check_size, dim
from catlearn.core.spaces import Axis, Group, Space, Wire
from catlearn.core.term import Term

CLASSES: dict[str, type] = {kind.__name__: kind for kind in (Axis, Dim, Group, Init, Param, Poly, Section, Wire)}
"""Frozen dataclasses that are written field by field; a package with attributes of its own may add to it."""

TEXTS: dict[str, Callable[[Mapping[str, Any]], None]] = {}
"""Classes of which the field ``text`` need not be plain, and what checks it as it is written: ``ValueError`` if it is none of theirs."""


PLAIN = re.compile(r"[\w ,.>:|-]*")


class Cannot(Exception):
    """A value that no file can hold."""


def is_written_out(kind: type[Op]) -> bool:
    """Whether an op is no more than its attributes: one that says otherwise (a user's function) is never made from a file."""
    return kind.attributes is Op.attributes


def check_plain(value: Any) -> None:
    """An op's strings may end up in generated code, so those of a file have letters, digits and `` ,.>:|-_`` only."""
    stack = [value]
    while stack:
        top = stack.pop()
        if isinstance(top, str) and not PLAIN.fullmatch(top):
            raise ValueError(f"the text {top!r} in an op")
        if isinstance(top, dict) and top.get("class") in TEXTS:
            TEXTS[top["class"]](top)
            top = {name: field for name, field in top.items() if name != "text"}
        if isinstance(top, dict | list):
            stack += top.values() if isinstance(top, dict) else top


class Writer:
    """Tables of wires, spaces and ops, and the tensors, grown as values are written."""

    def __init__(self) -> None:
        self.tensors: dict[str, torch.Tensor] = {}
        self._wires: dict[Wire, int] = {}
        self._spaces: dict[Space, int] = {}
        self._wire_rows: list[Any] = []
        self._space_rows: list[list[int]] = []
        self._op_rows: list[Any] = []
        self._ops: dict[str, int] = {}
        self._seen: dict[int, tuple[Any, Any]] = {}  # by identity, with the thing itself so that it lives

    def tables(self) -> dict[str, Any]:
        return {"wires": self._wire_rows, "spaces": self._space_rows, "ops": self._op_rows}

    def term(self, term: Term) -> int:
        raise Cannot("a term")

    def space(self, space: Space) -> int:
        if space not in self._spaces:
            self._space_rows.append([self.wire(wire) for wire in space])
            self._spaces[space] = len(self._space_rows) - 1
        return self._spaces[space]

    def wire(self, wire: Wire) -> int:
        if wire not in self._wires:
            self._wire_rows.append({field.name: self.value(getattr(wire, field.name)) for field in fields(wire)})
            self._wires[wire] = len(self._wire_rows) - 1
        return self._wires[wire]

    def op(self, op: Op) -> int:
        """The number of an op. Ops are one if they are written alike; Scale(1) and Scale(1.0) are not."""
        if id(op) not in self._seen:
            entry: dict[str, Any] = {"key": op.key}
            try:
                if not is_written_out(type(op)):
                    raise Cannot(op.name)
                entry["attributes"] = {name: self.value(value) for name, value in op.attributes().items()}
            except Cannot:
                entry["name"] = op.name
            text = json.dumps(entry)
            if text not in self._ops:
                self._op_rows.append(entry)
                self._ops[text] = len(self._op_rows) - 1
            self._seen[id(op)] = (op, self._ops[text])
        return self._seen[id(op)][1]

    def tensor(self, tensor: Any) -> str:
        if id(tensor) not in self._seen:
            name = f"tensor.{len(self.tensors)}"
            self.tensors[name] = torch.as_tensor(tensor).detach().cpu().contiguous().clone()
            self._seen[id(tensor)] = (tensor, name)
        return self._seen[id(tensor)][1]

    def can_hold(self, value: Any) -> bool:
        return value is None or type(value) in CLASSES.values()

    def value(self, value: Any) -> Any:
        """A value as JSON. Raises ``Cannot`` within an op, ``BadFile`` elsewhere."""
        if value is None or isinstance(value, bool | str):
            return value
        if isinstance(value, Integral):
            return int(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else {"float": repr(float(value))}
        if isinstance(value, Fraction):
            return {"fraction": [value.numerator, value.denominator]}
        if isinstance(value, tuple | list):
            return {"tuple" if isinstance(value, tuple) else "list": [self.value(v) for v in value]}
        if isinstance(value, Mapping):
            return {"dict": [[self.value(k), self.value(v)] for k, v in value.items()]}
        return self.thing(value)

    def thing(self, value: Any) -> Any:
        if isinstance(value, Space):
            return {"space": self.space(value)}
        if isinstance(value, Wire):
            return {"wire": self.wire(value)}
        if isinstance(value, Op):
            return {"op": self.op(value)}
        if isinstance(value, Term):
            return {"term": self.term(value)}
        if is_dataclass(value) and type(value) in CLASSES.values():
            return {"class": type(value).__name__, **{f.name: self.value(getattr(value, f.name)) for f in fields(value)}}
        if isinstance(value, torch.Tensor) or hasattr(value, "__array__"):
            return {"tensor": self.tensor(value)}
        raise Cannot(type(value).__name__)


class Reader:
    """Reads values back. ``make_op`` makes an op of a table entry, ``term`` gives the term of a node that was read before."""

    def __init__(self, header: Mapping[str, Any], tensors: Mapping[str, torch.Tensor],
                 make_op: Callable[[Mapping[str, Any]], Op | None], term: Callable[[int], Term]) -> None:  # fmt: skip
        self.tensors, self.make_op, self.term = tensors, make_op, term
        self.op_rows: Sequence[Any] = header["ops"]
        self.wires = [self._wire(row) for row in header["wires"]]
        self.spaces = [Space(tuple(self.wires[_natural(i)] for i in row)) for row in header["spaces"]]
        self._ops: dict[int, Op | None] = {}

    def space(self, i: int) -> Space:
        return self.spaces[_natural(i)]

    def op(self, i: int) -> Any:
        if i not in self._ops:
            self._ops[i] = self.make_op(self.op_rows[_natural(i)])
        return self._ops[i]

    def _wire(self, row: Mapping[str, Any]) -> Wire:
        wire = Wire(**{name: self.value(value) for name, value in row.items()})
        for axis in wire.axes:
            check_size(axis.size, "an axis")
        for symbol in wire.dims:
            dim(symbol.name, symbol.min)  # checks both
        if wire.kind not in ("float", "index", "bool") or wire.role not in ("data", "parameter"):
            raise errors.BadSpace(f"{wire.kind!r}, {wire.role!r}: no such kind of wire")
        return wire

    def value(self, value: Any) -> Any:
        if not isinstance(value, dict):
            if isinstance(value, list):
                raise ValueError("a bare list")
            return value
        if "class" in value:
            kind = CLASSES[value["class"]]
            return kind(**{name: self.value(v) for name, v in value.items() if name != "class"})
        ((tag, content),) = value.items()
        made: dict[str, Callable[[], Any]] = {
            "float": lambda: float(content),
            "fraction": lambda: Fraction(*content),
            "tuple": lambda: tuple(self.value(v) for v in content),
            "list": lambda: [self.value(v) for v in content],
            "dict": lambda: {self.value(k): self.value(v) for k, v in content},
            "space": lambda: self.space(content),
            "wire": lambda: self.wires[_natural(content)],
            "op": lambda: self.op(content),
            "term": lambda: self.term(_natural(content)),
            "tensor": lambda: self.tensors[content],
        }
        return made[tag]()


def _natural(i: Any) -> int:
    if not isinstance(i, int) or i < 0:
        raise ValueError(f"{i!r} is no index")
    return i
