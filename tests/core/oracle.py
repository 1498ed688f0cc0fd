"""An oracle for equality: every box is read as an independent random function of its op, its parameters and its inputs.

A functor into functions of hashed values. It shares nothing with lowering or value numbering; open names are identified by where
they were written, and two readings are compared under every bijection of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from itertools import count, permutations, product
from typing import Any

from catlearn.core.functor import Functor
from catlearn.core.op import Param
from catlearn.core.term import Box, Reparam, Repeat, Scope, Term, Wiring

Leaf = tuple[Any, ...]  # ("open", kind, scopes around it, what it is, where it was written) or ("closed", kind, name)


def number(*parts: Any) -> str:
    return blake2b(repr(parts).encode(), digest_size=12).hexdigest()


class Run:
    """One evaluation: what the leaves are called, what was met, and the 2-cells in force."""

    def __init__(self, names: dict[Leaf, int] | None = None) -> None:
        self.names = names or {}
        self.interface: dict[Leaf, Any] = {}
        self.state: dict[Leaf, str] = {}
        self.keys: dict[str, int] = {}
        self.cells: list[tuple[str, Reparam, dict[str, str]]] = []

    def leaf(self, kind: str, path: Sequence[str], local: str, short: str, open: bool, what: Any) -> Leaf:
        full = ".".join((*path, local, short))
        if open:
            return ("open", kind, ".".join(p for p in path if not p.isdecimal()), repr(what), full)
        return ("closed", kind, full)

    def call(self, leaf: Leaf, what: Any) -> str:
        """The name by which this leaf goes, and what it is."""
        return repr((leaf[1:4], self.names.get(leaf), what) if leaf[0] == "open" else (leaf, what))

    def param(self, name: str, leaf: Leaf, param: Param, level: int | None = None) -> str:
        for k in reversed(range(len(self.cells) if level is None else level)):
            prefix, reparam, values = self.cells[k]
            for cell in reparam.cells:
                targets = [prefix + t for t in cell.targets]
                if name in targets:
                    if name not in values:
                        sources = [self.param(prefix + s, ("closed", "param", prefix + s), p, k) for s, p in cell.sources]
                        values.update(zip(targets, Reading()(cell.read)(Run(), (), sources), strict=True))
                    return values[name]
        what = (param.space, param.trainable)
        self.interface[leaf] = what
        return number("param", self.call(leaf, what))


Meaning = Callable[[Run, tuple[str, ...], list[str]], list[str]]


class Reading(Functor[Meaning]):
    """The reading of a term."""

    def __init__(self) -> None:
        self.occurrence = count()

    def box(self, box: Box) -> Meaning:
        local = box.name or f"open{next(self.occurrence)}"
        open = box.name is None

        def run(at: Run, path: tuple[str, ...], xs: list[str]) -> list[str]:
            full = ".".join((*path, local))
            args = [box.op.attributes(), type(box.op).__name__, *xs]
            for short, p in box.own_params.items():
                args.append(at.param(f"{full}.{short}", at.leaf("param", path, local, short, open, (p.space, p.trainable)), p))
            states = [at.leaf("state", path, local, short, open, p.space) for short, p in box.op.state(box.dom).items()]
            args += [at.state.setdefault(s, number("state", at.call(s, None))) for s in states]
            if box.op.effect == "random":
                at.keys[full] = at.keys.get(full, 0) + 1
                key = at.leaf("key", path, local, str(at.keys[full]), open, None)
                args.append(number("key", at.call(key, None)))
                at.interface.setdefault(key, None)
            for i, s in enumerate(states):
                at.state[s] = number("new state", i, args)
            return [number("box", i, args) for i in range(len(box.cod))]

        return run

    def wiring(self, wiring: Wiring) -> Meaning:
        targets = range(len(wiring.dom)) if wiring.targets is None else wiring.targets
        return lambda at, path, xs: [xs[t] for t in targets]

    def seq(self, parts: Sequence[Meaning]) -> Meaning:
        def run(at: Run, path: tuple[str, ...], xs: list[str]) -> list[str]:
            for part in parts:
                xs = part(at, path, xs)
            return xs

        return run

    def par(self, parts: Sequence[Any]) -> Meaning:
        raise NotImplementedError  # needs the widths: see _apply

    def _apply(self, node: Term, images: list[Meaning]) -> Meaning:
        from catlearn.core.term import Par, factors

        if not isinstance(node, Par):
            return super()._apply(node, images)
        widths = [len(part.dom) for part in factors(node)]

        def run(at: Run, path: tuple[str, ...], xs: list[str]) -> list[str]:
            ys, start = [], 0
            for image, width in zip(images, widths, strict=True):
                ys += image(at, path, xs[start : start + width])
                start += width
            return ys

        return run

    def repeat(self, repeat: Repeat, body: Meaning) -> Meaning:
        def run(at: Run, path: tuple[str, ...], xs: list[str]) -> list[str]:
            for i in range(repeat.n):
                xs = body(at, path if repeat.shared else (*path, str(i)), xs)
            return xs

        return run

    def scope(self, scope: Scope, body: Meaning) -> Meaning:
        return lambda at, path, xs: body(at, (*path, scope.name), xs)

    def reparam(self, reparam: Reparam, body: Meaning) -> Meaning:
        def run(at: Run, path: tuple[str, ...], xs: list[str]) -> list[str]:
            at.cells.append(("".join(p + "." for p in path), reparam, {}))
            ys = body(at, path, xs)
            at.cells.pop()
            return ys

        return run


def observe(term: Term, names: dict[Leaf, int] | None = None) -> tuple[Run, Any]:
    """A reading, and what an observer sees of it: outputs, new states, parameters (a key that nobody reads is not seen)."""
    run = Run(names)
    outputs = Reading()(term)(run, (), [number("input", i, wire) for i, wire in enumerate(term.dom)])
    states = sorted((run.call(leaf, None), value) for leaf, value in run.state.items())
    interface = sorted(run.call(leaf, what) for leaf, what in run.interface.items() if leaf[1] == "param")
    return run, (term.dom, term.cod, outputs, states, interface)


def bijections(f: list[Leaf], g: list[Leaf]) -> Iterator[dict[Leaf, int]]:
    """Every way to name g's open leaves as f's are named (by position within their kind); further names for further keys."""
    kinds = {leaf[1:4] for leaf in (*f, *g)}
    choices = []
    for kind in kinds:
        ours, theirs = [x for x in f if x[1:4] == kind], [x for x in g if x[1:4] == kind]
        if kind[0] != "key" and len(ours) != len(theirs):
            return
        numbers = range(max(len(ours), len(theirs)))
        choices.append([dict(zip(theirs, order, strict=False)) for order in permutations(numbers, len(theirs))])
    for chosen in product(*choices):
        yield {leaf: k for part in chosen for leaf, k in part.items()}


def equal(f: Term, g: Term) -> bool | None:
    """Whether some bijection of open names makes the readings equal; None if there are too many to try."""
    opens = [[leaf for leaf in (*run.interface, *run.state) if leaf[0] == "open"] for run in (observe(f)[0], observe(g)[0])]
    if max(map(len, opens)) > 6:
        return None
    names: dict[Leaf, int] = {}
    for leaf in opens[0]:
        names[leaf] = sum(other[1:4] == leaf[1:4] for other in names)
    seen = observe(f, names)[1]
    return any(observe(g, renaming)[1] == seen for renaming in bijections(opens[0], opens[1]))
