"""2-cells on parameters: precomposing with one turns a term over P into a term over Q.

A cell is a lens on parameters, and its ``read : Q → P`` is itself a term without parameters (its wires have no batch axes), so every
meaning of a cell (module, gradient, proof, picture) is the meaning of that term, and ``put`` is its reverse derivative.

Laws: ``read(section(p)) == p`` where a section exists; ``f[r][s] == f[s then r]``; cells on disjoint names commute.

>>> import catlearn as cl
>>> twin = cl.linear(cl.R(3), cl.R(3), bias=False, name="a") >> cl.linear(cl.R(3), cl.R(3), bias=False, name="b")
>>> list(twin.at("*").tie().params), list(twin.at("b.*").rename("c").params)
(['a.weight'], ['a.weight', 'c'])
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from catlearn import errors
from catlearn.core.combinators import copy, id
from catlearn.core.op import Param
from catlearn.core.spaces import Space, parameter
from catlearn.core.term import Wiring, check_name

if TYPE_CHECKING:
    from catlearn.core.term import Term


@dataclass(frozen=True)
class Cell:
    """``targets`` (parameters of the term) are read off ``sources`` (the new parameters) by ``read``.

    ``read.dom`` is the row of the sources' spaces, ``read.cod`` that of the targets', both in the order given here.
    ``section(p, seed, data) -> q`` takes and gives name → tensor; None says that there is none.
    """

    sources: tuple[tuple[str, Param], ...]
    targets: tuple[str, ...]
    read: Term
    section: Callable[..., Mapping[str, Any]] | None = field(default=None, compare=False)
    title: str = field(default="cell", compare=False)

    def __post_init__(self) -> None:
        for name, _ in self.sources:
            for part in name.split(".") if isinstance(name, str) else [name]:
                check_name(part)
        given = Space(tuple(param.wire for _, param in self.sources))
        if given != self.read.dom:
            raise errors.BadCell(f"{self.title}: read does not start from its sources",
                                 [f"sources  {given}", f"read     {self.read.dom} → {self.read.cod}"])  # fmt: skip
        if not self.targets:
            raise errors.BadCell(f"{self.title} has no targets, so nothing would read its sources", next="name what it reads")
        if len(self.targets) != len(self.read.cod):
            raise errors.BadCell(f"{self.title}: read has {len(self.read.cod)} outputs for {len(self.targets)} targets")
        if self.read.params:
            raise errors.BadCell(f"{self.title}: read has parameters of its own: {', '.join(self.read.params)}",
                                 next="make them sources of the cell")  # fmt: skip
        if self.read.graph.effects:
            raise errors.BadCell(f"{self.title}: read is {' and '.join(sorted(self.read.graph.effects))}; a cell is a function",
                                 next="put boxes with an effect into the term")  # fmt: skip

    def get_section(self, p: Mapping[str, Any], seed: int = 0, data: Any = None) -> Mapping[str, Any]:
        """Parameters of the new term that read as p; ``NoSection`` if the cell declares none."""
        if self.section is None:
            raise errors.NoSection(f"{self.title} has no section", next="give the new parameters yourself, by name")
        return self.section(p, seed, data)


Rule = Callable[["Section", Sequence[Any]], Sequence[Any]]
SECTIONS: dict[str, Rule] = {}


def section_rule(kind: str) -> Callable[[Rule], Rule]:
    """Registers ``rule(section, tensors of the targets) -> tensors of the sources`` under a name that files can hold."""

    def register(rule: Rule) -> Rule:
        SECTIONS[kind] = rule
        return rule

    return register


@dataclass(frozen=True)
class Section:
    """A section by the name of its rule, with the names it is about; unlike a plain function it can be saved."""

    kind: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    about: Any = None

    def __call__(self, p: Mapping[str, Any], seed: int = 0, data: Any = None) -> dict[str, Any]:
        return dict(zip(self.sources, SECTIONS[self.kind](self, [p[name] for name in self.targets]), strict=True))


@section_rule("same")
def _same(section: Section, values: Sequence[Any]) -> Sequence[Any]:
    return values


@section_rule("tie")
def _one(section: Section, values: Sequence[Any]) -> Sequence[Any]:
    if any(bool((v != values[0]).any()) for v in values[1:]):
        raise errors.NoSection(f"tie: {', '.join(section.targets)} are not equal, so no tied parameter reads as them")
    return values[:1]


def frozen(name: str, param: Param) -> Cell:
    """The parameter stays and learns no more."""
    return Cell(((name, replace(param, trainable=False)),), (name,), id(param.space), Section("same", (name,), (name,)), "freeze")


def tied(names: Mapping[str, Param], into: str) -> Cell:
    """All these parameters become one, named ``into``: the copy along a non-injective renaming."""
    (first, *rest) = names.values()
    for param, name in zip(rest, list(names)[1:], strict=True):
        if param.space != first.space:
            raise errors.BadCell("tie: the parameters have different spaces",
                                 [f"{into}: {first.space}", f"{name}: {param.space}"],
                                 "reparam one of them first, e.g. cl.cells.transposed()")  # fmt: skip
        if param.trainable != first.trainable:
            learns, stays = (into, name) if first.trainable else (name, into)
            raise errors.BadCell("tie: some of the parameters learn and some are frozen", [f"learns  {learns}", f"frozen  {stays}"],
                                 "freeze all of them first, or tie first and freeze then")  # fmt: skip

    section = Section("tie", (into,), tuple(names))
    return Cell(((into, first),), tuple(names), copy(first.space, len(names)), section, "tie")


def renamed(old: str, param: Param, new: str) -> Cell:
    """The parameter under another name."""
    return Cell(((new, param),), (old,), id(param.space), Section("same", (new,), (old,)), "rename")


def whiskered(cell: Cell, prefix: str) -> Cell:
    """The same cell seen from outside the scope ``prefix``."""

    def move(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(f"{prefix}.{name}" for name in names)

    inner = cell.section
    section: Callable[..., Mapping[str, Any]] | None = inner
    if isinstance(inner, Section):
        section = replace(inner, sources=move(inner.sources), targets=move(inner.targets))
    elif inner is not None:

        def moved(p: Mapping[str, Any], seed: int = 0, data: Any = None) -> dict[str, Any]:
            q = inner({name.removeprefix(prefix + "."): value for name, value in p.items()}, seed, data)
            return {f"{prefix}.{name}": value for name, value in q.items()}

        section = moved

    sources = tuple((f"{prefix}.{name}", param) for name, param in cell.sources)
    return Cell(sources, move(cell.targets), cell.read, section, cell.title)


def check_cells(body: Term, cells: tuple[Cell, ...]) -> None:
    """Every target exists in the body, once, with the space that the cell reads; new names do not clash with kept ones."""
    params, taken = body.params, set()
    for cell in cells:
        for target, wire in zip(cell.targets, cell.read.cod, strict=True):
            if target not in params:
                raise errors.NothingMatched(target, params, "parameter")
            if params[target].space != Space((wire,)):
                raise errors.BadCell(f"{cell.title} does not fit {target}",
                                     [f"it reads as   {Space((wire,))}", f"the term has  {params[target].space}"])  # fmt: skip
            if target in taken:
                raise errors.BadCell(f"two cells act on {target} at once", next="apply them one after the other")
            taken.add(target)
    kept = set(params) - taken
    for cell in cells:
        for name, _ in cell.sources:
            if name in kept:
                raise errors.NameUsedTwice(name, body.source, cell.title)
            kept.add(name)


__all__ = ["Cell", "Section", "Wiring", "frozen", "parameter", "renamed", "section_rule", "tied", "whiskered"]
