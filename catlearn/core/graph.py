"""The graph of a term: its open hypergraph, in which copies, discards, identities and permutations are gone.

Wires are integers with a type; a node is an op with argument and output wires, in an order in which it can run. Nodes lie in
regions, one per ``named`` scope, so that the graph still knows the architecture. Arguments of a node: data, parameters, state.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from catlearn.core.op import Op, Param
from catlearn.core.spaces import Space, Wire


@dataclass(slots=True)
class Node:
    """One op: ``args`` are wires (data, then parameters, then state), ``outs`` its outputs (then the new state)."""

    op: Op
    args: tuple[int, ...]
    outs: tuple[int, ...]
    name: str  # full dotted name; for an effect also its key
    data: int  # how many of the arguments are data
    source: Any = None


class Origin(NamedTuple):
    """Where a parameter, state or effect stands: names alone do not tell, since they may have dots and be numbers."""

    box: int | None  # the box that owns it, by its place in writing order; None if a cell made it
    path: tuple[str, ...]  # the scopes around it, copies of repeats among them
    scopes: tuple[str, ...]  # only those that the user named


@dataclass
class Region:
    """The nodes of one scope, in order, with nested regions where they stand. ``dom`` and ``cod`` are the scope's own wires."""

    path: tuple[str, ...] = ()
    items: list[Node | Region] = field(default_factory=list)
    dom: tuple[int, ...] = ()
    cod: tuple[int, ...] = ()
    checkpoint: bool = False
    repeated: bool = False  # one of the copies that a Repeat makes

    def nodes(self) -> Iterator[Node]:
        """All nodes, nested ones included, in running order."""
        stack: list[Iterator[Node | Region]] = [iter(self.items)]
        while stack:
            for item in stack[-1]:
                if isinstance(item, Region):
                    stack.append(iter(item.items))
                    break
                yield item
            else:
                stack.pop()


def grouped(items: list[Node | Region], collapse: bool = True) -> Iterator[Node | list[Region]]:
    """Nodes as they are; scopes alone, the copies of one repeat together."""
    run: list[Region] = []
    for item in items:
        again = isinstance(item, Region) and item.repeated and collapse
        if run and not (again and isinstance(item, Region) and item.path[-1] == str(len(run))):
            yield run
            run = []
        if again and isinstance(item, Region):
            run.append(item)
        else:
            yield item if isinstance(item, Node) else [item]
    if run:
        yield run


@dataclass
class Graph:
    """An open hypergraph. ``params`` and ``states`` keep the order of writing; ``param_wires[name]`` is the input wire of each."""

    wires: list[Wire] = field(default_factory=list)
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()
    root: Region = field(default_factory=Region)
    params: dict[str, Param] = field(default_factory=dict)
    param_wires: dict[str, int] = field(default_factory=dict)
    states: dict[str, Param] = field(default_factory=dict)
    state_wires: dict[str, tuple[int, int]] = field(default_factory=dict)  # the old and the new
    open: set[str] = field(default_factory=set)  # the names of parameters, states and effects that came from open box names
    aliases: dict[str, str] = field(default_factory=dict)  # the names that a tied parameter had before → the one it has
    origins: dict[str, Origin] = field(default_factory=dict)  # where each parameter, state and effect was written

    def wire(self, type: Wire) -> int:
        """A new wire of this type."""
        self.wires.append(type)
        return len(self.wires) - 1

    def add(self, op: Op, args: tuple[int, ...], cod: Space, name: str = "", data: int | None = None, source: Any = None,
            region: Region | None = None) -> tuple[int, ...]:  # fmt: skip
        """A new node at the end of a region; its output wires."""
        outs = tuple(self.wire(wire) for wire in cod)
        node = Node(op, args, outs, name or op.name, len(args) if data is None else data, source)
        (region or self.root).items.append(node)
        return outs

    def space(self, wires: tuple[int, ...] | list[int]) -> Space:
        """The row of types of these wires."""
        return Space(tuple(self.wires[i] for i in wires))

    @property
    def nodes(self) -> list[Node]:
        return list(self.root.nodes())

    @cached_property
    def effects(self) -> set[str]:
        """Which effects occur: any of ``random`` and ``stateful``."""
        drawn = {"random" for node in self.root.nodes() if node.op.draws}
        return drawn | {node.op.effect for node in self.root.nodes()} - {"pure"}

    def splice(self, other: Graph, inputs: list[int], region: Region | None = None, prefix: str = "") -> list[int]:
        """Copy another graph's nodes (which has no parameters of its own) onto these wires; the wires of its outputs."""
        table = dict(zip(other.inputs, inputs, strict=True))
        for node in other.root.nodes():
            outs = tuple(self.wire(other.wires[o]) for o in node.outs)
            table.update(zip(node.outs, outs, strict=True))
            args = tuple(table[a] for a in node.args)
            copy = Node(node.op, args, outs, f"{prefix}{node.name}", node.data, node.source)
            (region or self.root).items.append(copy)
        return [table[o] for o in other.outputs]
