"""Edits that keep a term's shape: closing names, marking scopes, tapping wires. Each is a functor from terms to terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from catlearn import errors
from catlearn.core.combinators import id, par, seq
from catlearn.core.functor import Endofunctor, Functor
from catlearn.core.names import resolve
from catlearn.core.spaces import I, Space
from catlearn.core.term import Box, Reparam, Repeat, Scope, Term, Wiring

Place = tuple[str | None, ...]  # the names of scopes from the outermost on, and perhaps of a box; None for any copy of a repeat


class _Located:
    """Where a functor is while it visits: the place and resolved name of every box, the place of every scope."""

    def __init__(self, term: Term) -> None:
        self._names = iter(resolve(term))
        self._path: list[str | None] = []
        self.box_number = -1

    def enter(self, term: Term) -> None:
        if isinstance(term, Scope):
            self._path.append(term.name)
        elif isinstance(term, Repeat) and not term.shared:
            self._path.append(None)

    def leave(self) -> Place:
        place = tuple(self._path)
        self._path.pop()
        return place

    def box_name(self) -> tuple[str, Place]:
        local = next(self._names)
        self.box_number += 1
        return local, (*self._path, local)


class _Close(_Located, Endofunctor):
    def __init__(self, term: Term, boxes: set[int]) -> None:
        super().__init__(term)
        self.boxes = boxes

    def box(self, box: Box) -> Term:
        local, _ = self.box_name()
        return Box(box.op, box.dom, local, box.overrides, box.source) if box.name is None and self.box_number in self.boxes else box

    def scope(self, scope: Scope, body: Term) -> Term:
        self.leave()
        return super().scope(scope, body)

    def repeat(self, repeat: Repeat, body: Term) -> Term:
        if not repeat.shared:
            self.leave()
        return super().repeat(repeat, body)


def close(term: Term, params: set[str]) -> Term:
    """The same term with the names of the boxes that own these parameters closed."""
    owners = {term.graph.origins[name].box for name in params if name in term.graph.origins}
    return _Close(term, {box for box in owners if box is not None})(term)


class _Mark(_Close):
    def __init__(self, term: Term, scopes: set[Place]) -> None:
        super().__init__(term, set())
        self.scopes = scopes

    def scope(self, scope: Scope, body: Term) -> Term:
        hit = self.leave() in self.scopes
        return replace_scope(scope, body, scope.checkpoint or hit)

    def repeat(self, repeat: Repeat, body: Term) -> Term:
        hit = not repeat.shared and self.leave() in self.scopes
        return Repeat(repeat.n, body, repeat.shared, repeat.checkpoint or hit, repeat.source)


def replace_scope(scope: Scope, body: Term, checkpoint: bool) -> Scope:
    """The same scope around another body."""
    return Scope(scope.name, body, checkpoint, scope.source, scope.copy)


def mark_checkpoints(term: Term, scopes: set[Place]) -> Term:
    """The same term with these scopes recomputed in the backward pass (every copy, where a repeat is above them)."""
    return _Mark(term, scopes)(term)


Tapped = tuple[Term, Space]  # the term dom → cod @ taps, and the taps


class _Tap(_Located, Functor[Tapped]):
    def __init__(self, term: Term, names: set[str]) -> None:
        super().__init__(term)
        self.names, self.found = names, set[str]()

    def box(self, box: Box) -> Tapped:
        _, place = self.box_name()
        return self.tapped(box, I, self.hit(place))

    def hit(self, place: Place) -> bool:
        name = ".".join("*" if part is None else part for part in place)  # no name has a star
        self.found |= {name} & self.names
        return name in self.names

    def tapped(self, term: Term, taps: Space, hit: bool) -> Tapped:
        if not hit:
            return term, taps
        cod = Space(term.cod.wires[: len(term.cod) - len(taps)])
        return term >> Wiring(cod @ taps, (*range(len(cod) + len(taps)), *range(len(cod)))), taps @ cod

    def wiring(self, wiring: Wiring) -> Tapped:
        return wiring, I

    def seq(self, parts: Sequence[Tapped]) -> Tapped:
        (term, taps), *rest = parts
        for after, more in rest:
            width, cod = len(taps), len(after.cod) - len(more)
            if width:
                after = after @ id(taps)  # the earlier taps run past, then stand before the new ones
                order = (*range(cod), *range(cod + len(more), cod + len(more) + width), *range(cod, cod + len(more)))
                after = after >> Wiring(after.cod, order) if more else after
            term, taps = term >> after, taps @ more
        return term, taps

    def par(self, parts: Sequence[Tapped]) -> Tapped:
        term, data, taps, start = par(*(t for t, _ in parts)), [], [], 0
        for part, own in parts:
            cod = len(part.cod) - len(own)
            data += range(start, start + cod)
            taps += range(start + cod, start + cod + len(own))
            start += len(part.cod)
        all_taps = Space(tuple(wire for _, own in parts for wire in own))
        return (term >> Wiring(term.cod, (*data, *taps)) if taps else term), all_taps

    def scope(self, scope: Scope, body: Tapped) -> Tapped:
        hit = self.hit(self.leave())
        term, taps = body
        return self.tapped(replace_scope(scope, term, scope.checkpoint), taps, hit)

    def repeat(self, repeat: Repeat, body: Tapped) -> Tapped:
        if not repeat.shared:
            self.leave()
        term, taps = body
        if not taps:
            return Repeat(repeat.n, term, repeat.shared, repeat.checkpoint, repeat.source), I
        raise errors.TapInRepeat(repeat)

    def reparam(self, reparam: Reparam, body: Tapped) -> Tapped:
        term, taps = body
        return Reparam(term, reparam.cells, reparam.source), taps


class _Unroll(_Close):
    """Every repeat with own parameters that holds one of these places as a sequence of scopes ``0``, ``1``, ...; nothing else changes."""

    def __init__(self, term: Term, places: set[Place]) -> None:
        super().__init__(term, set())
        self.above = {place[:i] for place in places for i in range(1, len(place) + 1)}

    def repeat(self, repeat: Repeat, body: Term) -> Term:
        if repeat.shared or not repeat.n:
            return super().repeat(repeat, body)
        if self.leave() not in self.above:
            return Repeat(repeat.n, body, repeat.shared, repeat.checkpoint, repeat.source)
        return seq(*(Scope(str(i), body, repeat.checkpoint, repeat.source, copy=True) for i in range(repeat.n)))


def tapped(term: Term, names: set[str], places: set[Place]) -> tuple[Term, set[str]]:
    """``term`` with the outputs of the named scopes and boxes, which stand in these places, as further outputs, in writing order; and
    the names found: what a cell reads with, and the further runs of a shared box, stand in the graph but not in the term."""
    term = _Unroll(term, places)(term)
    tap = _Tap(term, names)
    return tap(term)[0], tap.found


__all__ = ["close", "mark_checkpoints", "replace", "tapped"]
