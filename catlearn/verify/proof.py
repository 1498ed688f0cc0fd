"""What a proof is made of: a program, a claim about it, and steps. Only data stands here; ``kernel`` says whether it proves anything.

>>> from catlearn.verify.rules import Value
>>> node = Node("aten.cat.default", {"tensors": [Wire(0), Wire(1)], "dim": 0}, (2,))
>>> wires_of(node)
[Wire(place=0), Wire(place=1)]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from catlearn.verify.rules import Value
from catlearn.verify.types import Type

Range: TypeAlias = "tuple[int, int | None]"
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


def wires_of(node: Node) -> list[Wire]:
    """The tensor arguments of a node, in the order of their names."""
    found: list[Wire] = []
    for _, arg in sorted(node.args.items()):
        found += [x for x in (arg if isinstance(arg, list | tuple) else (arg,)) if isinstance(x, Wire)]
    return found
