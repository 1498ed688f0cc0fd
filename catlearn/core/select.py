"""Selecting parts of a term by name, and editing what was selected.

``f.at("encoder.*|head.*")`` selects; ``.reparam``, ``.freeze``, ``.tie``, ``.rename``, ``.checkpoint``, ``.tap`` edit and give a new
term. A pattern is ``fnmatch`` on the dotted names of scopes, boxes and parameters (``*`` crosses dots, ``|`` alternates); a scope
or box that matches stands for all parameters in it. Nothing matched is an error that lists what exists.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import translate
from functools import cached_property

from catlearn import errors
from catlearn.core.cells import Cell, frozen, renamed, tied
from catlearn.core.edit import Place, close, mark_checkpoints, tapped
from catlearn.core.graph import Region
from catlearn.core.op import Param
from catlearn.core.term import Reparam, Term


def matcher(pattern: str) -> Callable[[str], bool]:
    """Whether a dotted name, or a scope or box that it lies in, matches the pattern."""
    regexes = [re.compile(translate(part.strip())) for part in pattern.split("|")]

    def match(name: str) -> bool:
        ends = [i for i, c in enumerate(name) if c == "."] + [len(name)]
        return any(regex.match(name[:end]) for regex in regexes for end in ends)

    return match


def exact_matcher(pattern: str) -> Callable[[str], bool]:
    """Whether a dotted name itself matches the pattern."""
    regexes = [re.compile(translate(part.strip())) for part in pattern.split("|")]
    return lambda name: any(regex.match(name) for regex in regexes)


@dataclass(frozen=True)
class Selection:
    """What a pattern selects in a term."""

    term: Term
    pattern: str

    @cached_property
    def params(self) -> Mapping[str, Param]:
        """The selected parameters by name."""
        match = matcher(self.pattern)
        return {name: param for name, param in self.term.params.items() if match(name)}

    def names(self) -> list[str]:
        """The scopes and boxes whose own names match."""
        match = exact_matcher(self.pattern)
        return [name for name in _parts(self.term) if match(name)]

    def reparam(self, cell: Cell | Callable[[str, Param], Cell]) -> Term:
        """A 2-cell on the selected parameters: one ``Cell``, or a function that makes one for each name and parameter."""
        if isinstance(cell, Cell):
            return reparam(self.term, [cell])
        return reparam(self.term, [cell(name, param) for name, param in self._some().items()])

    def freeze(self) -> Term:
        """The selected parameters learn no more."""
        return self.reparam(frozen)

    def tie(self, into: str | None = None) -> Term:
        """All selected parameters become one: one entry in ``state_dict``, one gradient. It keeps the first one's name."""
        some = self._some()
        return reparam(self.term, [tied(some, next(iter(some)) if into is None else into)])

    def rename(self, new: str | Callable[[str], str]) -> Term:
        """The selected parameters under other names."""
        call = new if callable(new) else lambda _: new
        return self.reparam(lambda name, param: renamed(name, param, call(name)))

    def checkpoint(self) -> Term:
        """The selected scopes keep no activations and run again in the backward pass."""
        match = exact_matcher(self.pattern)
        scopes = [(".".join(region.path), place) for region, place in _regions(self.term.graph.root) if region.path]
        chosen = {place for name, place in scopes if match(name)}
        if not chosen:
            raise errors.NothingMatched(self.pattern, [name for name, _ in scopes], "scope")
        return mark_checkpoints(self.term, chosen)

    def tap(self) -> Term:
        """The outputs of the selected scopes and boxes become further outputs, in writing order."""
        chosen = set(self.names())
        if not chosen:
            raise errors.NothingMatched(self.pattern, list(_parts(self.term)), "scope or box")
        places = set().union(*(places for name, places in _parts(self.term).items() if name in chosen))
        term, found = tapped(self.term, chosen, places)
        if not found:
            raise errors.NothingMatched(self.pattern, list(_parts(self.term)), "scope or box of the term itself (cells cannot be tapped)")
        return term

    def _some(self) -> Mapping[str, Param]:
        if not self.params:
            raise errors.NothingMatched(self.pattern, self.term.params, "parameter")
        return self.params


def reparam(term: Term, cells: Iterable[Cell]) -> Term:
    """The term over new parameters. The names that the cells touch are closed, so nothing later can move them."""
    cells = tuple(cells)
    return Reparam(close(term, {target for cell in cells for target in cell.targets}), cells)


def _regions(root: Region) -> Iterable[tuple[Region, Place]]:
    stack: list[tuple[Region, Place]] = [(root, ())]
    while stack:
        top, place = stack.pop()
        yield top, place
        inner = [item for item in reversed(top.items) if isinstance(item, Region)]
        stack += [(item, (*place, None if item.repeated else item.path[-1])) for item in inner]


def _parts(term: Term) -> dict[str, set[Place]]:
    """The names of all scopes, then of all boxes, in writing order; and the places that go by each."""
    found: dict[str, set[Place]] = {}
    boxes: dict[str, Place] = {}
    for region, place in _regions(term.graph.root):
        if region.path:
            found.setdefault(".".join(region.path), set()).add(place)
        boxes.update((item.name, place) for item in region.items if not isinstance(item, Region))
    for node in term.graph.nodes:
        found.setdefault(node.name, set()).add((*boxes[node.name], node.name))
    return found
