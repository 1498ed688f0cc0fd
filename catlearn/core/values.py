"""Value numbering: every wire of a graph as a number, equal numbers for equal values, sharing as much as the laws allow.

A pure box is its op on argument numbers, whatever it is called; parameters and states are leaves with a name; a box with an effect
but no state reads one more leaf, its own key, so that two of them are never one. Dead boxes get numbers that nobody asks for.

Laws: two wires of one graph have one number iff the laws of cartesian categories make them equal (in the theory ``commutative`` also
x + y = y + x, x · y = y · x). Linear in the boxes.

>>> import catlearn as cl
>>> f = cl.copy(cl.R(3)) >> cl.relu(cl.R(3)) @ cl.relu(cl.R(3))
>>> len(set(Values(f.graph).outputs))
1
"""

from __future__ import annotations

from typing import Any

from catlearn.core.graph import Graph, Node

COMMUTATIVE = frozenset({"add", "mul"})


class Values:
    """The values of a graph. ``heads[v]`` is what must agree between two graphs, ``args[v]`` the numbers of the arguments."""

    def __init__(self, graph: Graph, commutative: bool = False, by_use: bool = False) -> None:
        self.graph, self.commutative, self.by_use = graph, commutative, by_use
        self.heads: list[tuple[Any, ...]] = []
        self.args: list[tuple[int, ...]] = []
        self.nodes: list[Node | str] = []  # where a value comes from: a node, or the name of a leaf
        self._table: dict[Any, int] = {}
        self.of: dict[int, int] = {}  # wire → value
        for i, wire in enumerate(graph.inputs):
            self.of[wire] = self.leaf(("input", i), f"input {i} : {graph.wires[wire]}")
        self.params = {name: self.named("parameter", name, param) for name, param in graph.params.items()}
        self.states = {name: self.named("state", name, param) for name, param in graph.states.items()}
        self.of.update((graph.param_wires[name], value) for name, value in self.params.items())
        self.of.update((graph.state_wires[name][0], value) for name, value in self.states.items())
        for node in graph.root.nodes():
            self.node(node)
        self.outputs = [self.of[wire] for wire in graph.outputs]
        self.new_states = {self.states[name]: self.of[new] for name, (_, new) in graph.state_wires.items()}

    def add(self, head: tuple[Any, ...], args: tuple[int, ...], node: Node | str) -> int:
        self.heads.append(head)
        self.args.append(args)
        self.nodes.append(node)
        return len(self.heads) - 1

    def leaf(self, head: tuple[Any, ...], name: str) -> int:
        return self.add(head, (), name)

    def named(self, kind: str, name: str, param: Any = None) -> int:
        """A leaf that has a name: closed names are part of the head, of open ones only the scopes that the user named around them.

        ``by_use``: all names are open, and scopes do not count either.
        """
        if self.by_use:
            fixed: tuple[Any, ...] = ("open", ())
        else:
            fixed = ("open", self.graph.origins[name].scopes) if name in self.graph.open else ("closed", name)
        return self.leaf((kind, *fixed, param), name)

    def node(self, node: Node) -> None:
        op, args = node.op, tuple(self.of[a] for a in node.args)
        if op.effect != "pure" and not op.state_names:
            args = (*args, self.named("key", node.name))
        unordered = self.commutative and op.key in COMMUTATIVE
        key = (op.identity, tuple(sorted(args)) if unordered else args)
        value = self._table.get(key)
        if value is None:
            head = ("unordered" if unordered else "box", op.identity, len(args), len(node.outs))
            value = self._table[key] = self.add(head, args, node)
            if len(node.outs) > 1:
                for k in range(len(node.outs)):
                    self.add(("part", k), (value,), node)
        if len(node.outs) == 1:
            self.of[node.outs[0]] = value
        else:
            self.of.update((out, value + 1 + k) for k, out in enumerate(node.outs))

    # -- words ---------------------------------------------------------------------------------------------------

    def says(self, value: int) -> str:
        """A value in words, with its name, op and the place where it was written."""
        node, head = self.nodes[value], self.heads[value]
        if isinstance(node, str):
            if head[0] == "input":
                return node
            if head[0] == "key":
                return f"the randomness of {node!r}"
            param = head[-1]
            return f"{head[0]} {node!r} : {param.space}{'' if param.trainable else ', frozen'} ({head[1]} name)"
        where = f" ({node.source})" if node.source else ""
        return f"{f'output {head[1]} of ' if head[0] == 'part' else ''}box {node.name!r} = {node.op}{where}"

    # -- colours: what can be seen of a value without the open names ---------------------------------------------

    def shapes(self) -> list[int]:
        """A hash of what each value is made of, open names forgotten."""
        colour: list[int] = []
        for value, head in enumerate(self.heads):
            colour.append(hash((head, *(colour[a] for a in self.args[value]))))
        return colour

    def refine(self, colour: list[int]) -> None:
        """One round of colouring, up from the leaves and down from the outputs; any renaming of open names keeps colours."""
        for value, args in enumerate(self.args):
            below = [colour[a] for a in args]
            colour[value] = hash((colour[value], *(sorted(below) if self.heads[value][0] == "unordered" else below)))
        above: dict[int, list[int]] = {}
        for i, value in enumerate(self.outputs):
            above.setdefault(value, []).append(i)
        for state, new in self.new_states.items():
            above.setdefault(new, []).append(hash(("new", colour[state])))
        for value in reversed(range(len(colour))):
            if value in above:  # dead values have nothing above them and give nothing
                colour[value] = hash((colour[value], *sorted(above.pop(value))))
                for i, a in enumerate(self.args[value]):
                    place = 0 if self.heads[value][0] == "unordered" else i
                    above.setdefault(a, []).append(hash((colour[value], place)))


def colours(f: Values, g: Values) -> tuple[list[int], list[int]]:
    """Colours refined side by side until they tell no more apart: values that can correspond have one colour."""
    rows = [hash(head) for head in f.heads], [hash(head) for head in g.heads]
    seen = (0, 0)
    while (now := (len(set(rows[0])), len(set(rows[1])))) != seen:
        seen = now
        f.refine(rows[0])
        g.refine(rows[1])
    return rows
