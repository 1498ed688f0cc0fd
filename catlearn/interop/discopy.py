"""``to_discopy`` and ``from_discopy``: terms and discopy's Markov diagrams, the one module that imports discopy.

A box becomes a box that carries the catlearn box as its ``data``, a wire an object that carries its type, copies and discards
``Copy`` and ``Discard``, permutations swaps. A box goes by its own name if it is closed and by its op's if it is open, since two
occurrences of an open box are alike. Named parts, repeats and reparametrised parts are one box each (folded), or, with ``fold=False``,
everything is written out and each parameter is a box ``I → P`` under its full name.

discopy is slow on large diagrams (minutes for 100 boxes), so there is a limit.

Laws: ``same(from_discopy(to_discopy(f)), f)``, unfolded up to closing the names; diagrams that discopy finds equal (without copies)
are ``same``.

>>> import catlearn as cl
>>> f = cl.linear(cl.R(3), cl.R(2)) @ cl.id(cl.R(1)) >> cl.swap(cl.R(2), cl.R(1))
>>> d = to_discopy(f)
>>> print(d)
linear @ R(1) >> Swap(R(2), R(1))
>>> bool(cl.same(from_discopy(d), f))
True
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any

from catlearn import errors
from catlearn.core.combinators import copy, id, par, seq, swap
from catlearn.core.raising import raise_graph
from catlearn.core.spaces import Space
from catlearn.core.term import Box, Par, Seq, Term, Wiring, as_term, factors
from catlearn.diagrams import Diagram

LIMIT = 40
Boxes = Mapping[str, Any] | Callable[[Any], Any]


@cache
def discopy() -> Any:
    """discopy's modules, loaded when first needed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from discopy import cat, frobenius, markov, symmetric
            from discopy.frobenius import Spider
    except ImportError as error:
        raise errors.MissingPackage("discopy", "to_discopy and from_discopy", "examples") from error
    return SimpleNamespace(cat=cat, frobenius=frobenius, markov=markov, symmetric=symmetric, Spider=Spider)


# -- there -----------------------------------------------------------------------------------------------------------------


def to_discopy(term: Term | Diagram, fold: bool = True, limit: int | None = LIMIT) -> Any:
    """The ``discopy.markov.Diagram`` of a term; of a partition or Brauer diagram the ``discopy.frobenius.Diagram``.

    Raises ``TooLarge`` above ``limit`` boxes, swaps and copies (None lifts it), ``NoRule`` for state that ``fold=False`` would lose.
    """
    if isinstance(term, Diagram):
        from catlearn.interop.frobenius import to_frobenius

        return to_frobenius(term)
    if not fold:
        if term.graph.states:
            raise errors.NoRule("to_discopy(fold=False)", f"a box with state ({next(iter(term.graph.states))})", "fold it: fold=True")
        term = raise_graph(term.graph)
    steps = _steps(term)
    size = sum(len(_crossings(part)) if isinstance(part, Wiring) else 1 for part in steps)
    if limit is not None and size > limit:
        raise errors.TooLarge(f"the diagram would have {size:,} boxes, swaps and copies; the limit is {limit}",
                              ["discopy takes minutes for 100"],
                              "name parts with .named(...) to fold them, or pass limit=None")  # fmt: skip
    return _diagram(term)


def ty(space: Space) -> Any:
    """A space as a discopy type: one object a wire, which remembers the wire."""
    d, objects = discopy(), []
    for wire in space:
        objects.append(d.cat.Ob(repr(wire)))
        objects[-1].wire = wire
    return d.markov.Ty(*objects)


def _steps(term: Term) -> list[Term]:
    """The boxes, folded parts and wirings, in writing order."""
    found, stack = [], [term]
    while stack:
        top = stack.pop()
        if isinstance(top, Seq | Par):
            stack += reversed(factors(top))
        else:
            found.append(top)
    return found


def _crossings(wiring: Wiring) -> list[Any]:
    """One entry for each copy, discard and swap that a wiring needs."""
    counts, order = _counts(wiring)
    return [c for c in counts if c != 1] + [(i, j) for j in range(len(order)) for i in range(j) if order[i] > order[j]]


def _counts(wiring: Wiring) -> tuple[list[int], list[int]]:
    """How often each input is used, and the permutation that follows the copies."""
    targets = range(len(wiring.dom)) if wiring.targets is None else wiring.targets
    counts = [0] * len(wiring.dom)
    for t in targets:
        counts[t] += 1
    start = [sum(counts[:i]) for i in range(len(counts))]
    order = []
    for t in targets:
        order.append(start[t])
        start[t] += 1
    return counts, order


def _diagram(term: Term) -> Any:
    results: list[Any] = []
    stack: list[tuple[Term, bool]] = [(term, False)]
    diagram = discopy().markov.Diagram
    while stack:
        node, done = stack.pop()
        if not isinstance(node, Seq | Par):
            results.append(_wiring(node) if isinstance(node, Wiring) else _box(node))
            continue
        parts = factors(node)
        if not done:
            stack.append((node, True))
            stack += ((part, False) for part in reversed(parts))
            continue
        images = results[-len(parts) :]
        del results[-len(parts) :]
        unit = diagram.id(ty(node.dom)) if isinstance(node, Seq) else diagram.id()
        results.append(unit.then(*images) if isinstance(node, Seq) else unit.tensor(*images))
    return results.pop()


def _box(term: Term) -> Any:
    """A box or a folded part; equal terms give equal boxes."""
    title = term.name or str(term.op) if isinstance(term, Box) and not term.own_params else term.title
    return discopy().markov.Box(title, ty(term.dom), ty(term.cod), data=term)


def _wiring(wiring: Wiring) -> Any:
    markov = discopy().markov
    counts, order = _counts(wiring)
    x = ty(wiring.dom)
    parts = [markov.Diagram.id(x[i : i + 1]) if n == 1 else markov.Copy(x[i : i + 1], n) for i, n in enumerate(counts)]
    result = markov.Diagram.id().tensor(*parts)
    return result if order == sorted(order) else result >> markov.Diagram.permutation(order, result.cod)


# -- and back --------------------------------------------------------------------------------------------------------------


def from_discopy(diagram: Any, boxes: Boxes | None = None, spaces: Mapping[str, Space] | None = None) -> Term:
    """The term of a discopy diagram (monoidal, symmetric, Markov; a hypergraph is drawn as a diagram first).

    ``boxes`` says what its boxes are: name → term or schema, or a function of the discopy box; boxes made by ``to_discopy`` need
    nothing. ``spaces`` does the same for the names of objects. Raises ``UnknownBox``, ``BadSpace``, ``NotComposable``, and ``NoRule``
    for what is no arrow of a cartesian category (a merge, a cup).
    """
    if not hasattr(diagram, "boxes") or not hasattr(diagram, "dom"):
        raise errors.NotATerm(f"from_discopy({type(diagram).__name__}): not a discopy diagram")
    if hasattr(diagram, "to_diagram"):
        diagram = diagram.to_diagram()
    reader = _Back(boxes or {}, spaces or {})
    here, steps = reader.space(diagram.dom.inside), []
    for box, offset in zip(diagram.boxes, diagram.offsets, strict=True):
        before, dom, after = (Space(row) for row in _cut(here.wires, offset, offset + len(box.dom)))
        sides = [id(before)] if len(before) else [], [id(after)] if len(after) else []
        steps.append(par(*sides[0], reader.box(box, dom), *sides[1]))
        here = steps[-1].cod
    return seq(*steps) if steps else id(here)


def _cut(wires: tuple[Any, ...], start: int, stop: int) -> tuple[tuple[Any, ...], ...]:
    return wires[:start], wires[start:stop], wires[stop:]


class _Back:
    def __init__(self, boxes: Boxes, spaces: Mapping[str, Space]) -> None:
        self.boxes, self.spaces = boxes, spaces

    def space(self, objects: Sequence[Any]) -> Space:
        result = Space()
        for ob in objects:
            if ob.name not in self.spaces and not hasattr(ob, "wire"):
                raise errors.BadSpace(f"the discopy object {ob.name!r} has no space here",
                                      next=f"from_discopy(..., spaces={{{ob.name!r}: cl.R(...)}})")  # fmt: skip
            result = result @ (self.spaces[ob.name] if ob.name in self.spaces else Space((ob.wire,)))
        return result

    def box(self, box: Any, dom: Space) -> Term:
        """One box on the wires that lead to it."""
        d = discopy()
        if isinstance(box, d.symmetric.Swap):
            return swap(Space(dom.wires[:1]), Space(dom.wires[1:]))
        if isinstance(box, d.markov.Copy) or (isinstance(box, d.Spider) and len(box.dom) == 1):
            return copy(dom, len(box.cod))
        if isinstance(box, d.markov.Merge | d.Spider) or getattr(box, "is_dagger", False) or not isinstance(box, d.cat.Box):
            raise errors.NoRule("from_discopy", f"{box} ({type(box).__name__})", "a term has boxes, swaps, copies and discards only")
        given = self.boxes(box) if callable(self.boxes) else self.boxes.get(box.name)
        if given is None and isinstance(box.data, Term):
            return box.data
        if given is None:
            raise errors.UnknownBox(f"the discopy box {box.name!r} has no meaning here",
                                    next=f"from_discopy(..., boxes={{{box.name!r}: cl.linear(...)}})")  # fmt: skip
        return as_term(given, dom, f"boxes[{box.name!r}]")


__all__ = ["LIMIT", "from_discopy", "to_discopy", "ty"]
