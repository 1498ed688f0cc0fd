"""Terms: networks as users write them, the free cartesian category with parameters (Para over it).

Seven frozen constructors: ``Box``, ``Wiring`` (identity, permutation, copy, discard in one), ``Seq``, ``Par``, ``Repeat``,
``Scope``, ``Reparam``. ``f >> g`` is "then", ``f @ g`` is "beside" and binds tighter. Nothing here is interpreted; meanings are
functors (``catlearn.core.functor``) or walk the graph (``catlearn.core.graph``).

Laws: ``>>`` and ``@`` are associative on the nose (``==`` ignores bracketing); everything else that holds in a cartesian category
holds for ``catlearn.same``. Building is linear and nothing recurses, so a left fold of 50,000 boxes is fine.

Longer than a full file because the seven constructors and the walk over them are one definition.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from catlearn import errors
from catlearn.core.hooks import meaning
from catlearn.core.op import Op, Param, typecheck
from catlearn.core.source import Source, here
from catlearn.core.spaces import Space

if TYPE_CHECKING:
    from catlearn.core.cells import Cell
    from catlearn.core.graph import Graph
    from catlearn.core.select import Selection


class Term(ABC):
    """An arrow ``dom → cod`` with named parameters. Abstract: see the seven constructors."""

    dom: Space
    cod: Space
    source: Source | None
    training: bool = True  # the mode in which a compiled module starts; a categorified one keeps that of the module it came from

    # -- composing -----------------------------------------------------------------------------------------------

    def __rshift__(self, other: Any) -> Term:
        other = as_term(other, self.cod, ">>")
        if other is NotImplemented:
            raise errors.NotATerm(f"{self.title} >> {type(other).__name__}: only a term or a schema can follow a term")
        return Seq(self, other)

    def __matmul__(self, other: Any) -> Term:
        if not isinstance(other, Term):
            if hasattr(other, "instantiate"):
                raise errors.NeedsSpace(str(other), f"{self.title} @ {other}")
            raise errors.NotATerm(f"{self.title} @ {other!r}: only a term can stand beside a term")
        return Par(self, other)

    def named(self, name: str) -> Term:
        """This term as a scope of its own: its parameters get the prefix ``name.``, its picture and module fold into one."""
        return Scope(name, self)

    def at(self, pattern: str) -> Selection:
        """The scopes, boxes and parameters whose dotted names match (``fnmatch``; ``|`` alternates): edit them from there."""
        return meaning("selection")(self, pattern)

    # -- what a term knows ---------------------------------------------------------------------------------------

    @cached_property
    def graph(self) -> Graph:
        """The open hypergraph of this term: names resolved, copies and discards gone."""
        return meaning("graph")(self)

    @property
    def params(self) -> Mapping[str, Param]:
        """Name → ``Param``, in the order of writing."""
        return self.graph.params

    @property
    def title(self) -> str:
        """A few words for messages."""
        return type(self).__name__.lower()

    def __call__(self, *inputs: Any, params: Mapping[str, Any] | None = None, seed: int = 0) -> Any:
        """Run it in torch on tensors ``(*batch, *event)``, with the given parameters or fresh ones from ``seed``."""
        return meaning("run")(self, inputs, params, seed)

    def _repr_svg_(self) -> str:
        return meaning("svg")(self)

    # -- equality: syntax up to bracketing -----------------------------------------------------------------------

    @cached_property
    def length(self) -> int:
        """How many boxes were written (a repeated body counts once)."""
        return sum(isinstance(t, Box) for t in walk(self))

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Term) or hash(self) != hash(other):
            return False
        return all(a == b for a, b in zip(tokens(self), tokens(other), strict=False)) and self.cod == other.cod

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        value = 0
        for token in tokens(self):
            value = hash((value, token))
        return value

    def __deepcopy__(self, memo: Any) -> Term:
        return self  # immutable, and as deep as the network is long

    def __str__(self) -> str:
        return f"{self.title} : {self.dom} → {self.cod}"

    __repr__ = __str__


def _set(term: Term, **values: Any) -> None:
    for name, value in values.items():
        object.__setattr__(term, name, value)


@dataclass(frozen=True, eq=False, repr=False)
class Box(Term):
    """One op on wires, with its own parameters. ``name=None`` is an open name, resolved by occurrence."""

    op: Op
    dom: Space
    name: str | None = None
    overrides: Mapping[str, Param] | None = None  # parameters that start from given tensors
    source: Source | None = field(default_factory=here)
    cod: Space = field(init=False)

    def __post_init__(self) -> None:
        if self.name is not None:
            check_name(self.name, dots=self.op.key in ("parameter", "explicit"))
        try:
            _set(self, cod=typecheck(self.op, self.dom))
        except errors.BadBox as error:
            if self.source and str(self.source) not in str(error):
                error.args = (f"{error.args[0]}\n  at {self.source}",)
            raise

    @cached_property
    def own_params(self) -> Mapping[str, Param]:
        """The box's parameters by their short names."""
        return {**self.op.parameters(self.dom), **(self.overrides or {})}

    @property
    def title(self) -> str:
        return self.name or self.op.name


@dataclass(frozen=True, eq=False, repr=False)
class Wiring(Term):
    """Output i is input ``targets[i]``: identity (``targets=None``), permutation, copy and discard are all of this form."""

    dom: Space
    targets: tuple[int, ...] | None = None
    source: Source | None = field(default_factory=here)
    cod: Space = field(init=False)

    def __post_init__(self) -> None:
        wires = self.dom.wires if self.targets is not None else ()
        _set(self, cod=self.dom if self.targets is None else Space(tuple(wires[i] for i in self.targets)))

    @property
    def title(self) -> str:
        return "id" if self.targets is None else "wiring"


@dataclass(frozen=True, eq=False, repr=False)
class Seq(Term):
    """``first`` then ``second``."""

    first: Term
    second: Term
    source: Source | None = field(default_factory=here)
    dom: Space = field(init=False)
    cod: Space = field(init=False)

    def __post_init__(self) -> None:
        if self.first.cod != self.second.dom:
            ends = [factors(f) if isinstance(f, Seq) else [f] for f in (self.first, self.second)]
            raise errors.NotComposable(ends[0][-1], ends[1][0])
        _set(self, dom=self.first.dom, cod=self.second.cod)

    @property
    def title(self) -> str:
        return "composite"


@dataclass(frozen=True, eq=False, repr=False)
class Par(Term):
    """``left`` beside ``right``: the product ×, dimensions add."""

    left: Term
    right: Term
    source: Source | None = field(default_factory=here)
    dom: Space = field(init=False)
    cod: Space = field(init=False)

    def __post_init__(self) -> None:
        _set(self, dom=self.left.dom @ self.right.dom, cod=self.left.cod @ self.right.cod)

    @property
    def title(self) -> str:
        return "product"


@dataclass(frozen=True, eq=False, repr=False)
class Repeat(Term):
    """``body`` n times in a row, with own parameters ``0.x, 1.x, ...`` or, if shared, the same ones."""

    n: int
    body: Term
    shared: bool = False
    checkpoint: bool = False  # recompute each copy in the backward pass (copies with own parameters only)
    source: Source | None = field(default_factory=here)
    dom: Space = field(init=False)
    cod: Space = field(init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.n, int) or self.n < 0:
            raise errors.BadRepeat(f"repeat({self.n!r}, ...): the count is an integer from 0 on{errors.at(self.source)}")
        if self.body.dom != self.body.cod:
            rows = [f"it starts from {self.body.dom}", f"it ends in     {self.body.cod}"]
            raise errors.BadRepeat(f"repeat: the body does not end where it starts{errors.at(self.source)}", rows,
                                   "repeat needs dom = cod; add an arrow at the end that brings it back")  # fmt: skip
        _set(self, dom=self.body.dom, cod=self.body.cod)

    @property
    def title(self) -> str:
        return f"repeat({self.n})"


@dataclass(frozen=True, eq=False, repr=False)
class Scope(Term):
    """A named part: a prefix for names, one folded box in a picture, one ``nn.Module`` when compiled."""

    name: str
    body: Term
    checkpoint: bool = False  # recompute in the backward pass instead of keeping activations
    source: Source | None = field(default_factory=here)
    copy: bool = False  # one copy of a repeat, written out: its number is no name that the user gave
    dom: Space = field(init=False)
    cod: Space = field(init=False)

    def __post_init__(self) -> None:
        check_name(self.name)
        _set(self, dom=self.body.dom, cod=self.body.cod)

    @property
    def title(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False, repr=False)
class Reparam(Term):
    """``body`` with 2-cells on its parameters: each cell reads some of the body's parameters off new ones."""

    body: Term
    cells: tuple[Cell, ...]
    source: Source | None = field(default_factory=here)
    dom: Space = field(init=False)
    cod: Space = field(init=False)

    def __post_init__(self) -> None:
        meaning("check_cells")(self.body, self.cells)
        _set(self, dom=self.body.dom, cod=self.body.cod)

    @property
    def title(self) -> str:
        return f"reparam of {self.body.title}"


# --- walking, without recursion ---------------------------------------------------------------------------------------


def factors(term: Term) -> list[Term]:
    """The factors of a composite (or of a product), bracketing forgotten; the term itself if it is neither."""
    kind = type(term)
    if kind not in (Seq, Par):
        return [term]
    found: list[Term] = []
    stack = [term]
    while stack:
        top = stack.pop()
        if type(top) is not kind:
            found.append(top)
        elif isinstance(top, Seq):
            stack += (top.second, top.first)
        else:
            par = cast(Par, top)
            stack += (par.right, par.left)
    return found


def children(term: Term) -> Sequence[Term]:
    """The immediate parts, with composites and products flattened."""
    if isinstance(term, Seq | Par):
        return factors(term)
    return (term.body,) if isinstance(term, Repeat | Scope | Reparam) else ()


def walk(term: Term) -> Iterator[Term]:
    """Every node in writing order, parents first."""
    stack = [term]
    while stack:
        top = stack.pop()
        yield top
        stack += reversed(children(top))


def tokens(term: Term) -> Iterator[tuple[Any, ...]]:
    """The flat form that equality and hash compare: one token per node, in writing order."""
    for node in walk(term):
        if isinstance(node, Box):
            yield ("box", node.op.identity, node.dom, node.name, tuple(node.own_params.items()))
        elif isinstance(node, Wiring):
            yield ("wiring", node.dom, None if node.targets == tuple(range(len(node.dom))) else node.targets)
        elif isinstance(node, Seq | Par):
            yield (type(node).__name__, len(factors(node)))
        elif isinstance(node, Repeat):
            yield ("repeat", node.n, node.shared, node.checkpoint)
        elif isinstance(node, Scope):
            yield ("scope", node.name, node.checkpoint, node.copy)
        elif isinstance(node, Reparam):
            yield ("reparam", node.cells)


def check_name(name: str, dots: bool = False) -> None:
    """Names are non-empty and have no dots (they separate scopes) and no ``#`` (it numbers the runs of an effect); ``..._reverse`` is
    what the boxes of a backward pass are called."""
    if (
        not isinstance(name, str)
        or not name
        or ("." in name and not dots)
        or any(c in name for c in "*|?[]\n")
        or ("#" in name and not dots)
    ):
        raise errors.NameConflict(f"{name!r} is no usable name", ["names are non-empty strings without . * | ? [ ] #"],
                                  'nest scopes instead of dots: f.named("b").named("a") gives a.b')  # fmt: skip
    if name.endswith("_reverse") and not dots:
        raise errors.NameConflict(f"{name!r} is no usable name", ["names in _reverse are those of the backward pass"], "choose another one")


def as_term(other: Any, dom: Space | None, what: str) -> Term:
    """A term as it is, a schema on ``dom``; a named error for anything else."""
    if isinstance(other, Term):
        return other
    instantiate: Callable[[Space], Term] | None = getattr(other, "instantiate", None)
    if instantiate is not None and dom is not None:
        return instantiate(dom)
    if instantiate is not None:
        raise errors.NeedsSpace(str(other), what)
    raise errors.NotATerm(f"{what} {other!r}: only a term can stand here", next="cl.box(...) and cl.from_module(...) make terms")
