"""A structured linear map: an immutable expression that can be applied, transposed, written as a matrix and counted.

``dom`` and ``cod`` are tuples of sizes, the shapes of tensor spaces: ``()`` is the one-dimensional space, so ``@`` (the tensor product)
joins the tuples. A map with parameters holds them by name; one name is one parameter wherever it occurs, so ``A @ A`` is tied.

Laws: ``(f >> g).dense() == g.dense() @ f.dense()``; ``(f @ g).dense()`` is the Kronecker product; ``f.T.dense() == f.dense().T``; ``+``,
``-`` and multiples are those of matrices; ``f.apply(x)`` is the matrix applied to every vector of the batch.

>>> import torch
>>> from catlearn.maps import dense, identity
>>> A, B = dense("A", 2, 3), dense("B", 3, 2)
>>> f = A >> B + 2 * identity(3)
Traceback (most recent call last):
...
catlearn.errors.BadMap: [CL802] these maps have no sum
  B : 2 → 3
  2·id : 3 → 3
  next: a sum needs one domain and one codomain
>>> f = (A.T >> A) @ B
>>> f.dom, f.cod, sorted(f.params), f.rank_bound, str(f)
((2, 2), (2, 3), ['A', 'B'], 4, '(Aᵀ >> A) ⊗ B')
>>> x = torch.ones(5, 2, 2)
>>> torch.allclose(f.apply(x).reshape(5, 6), x.reshape(5, 4) @ f.dense().T)
True
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from catlearn import errors
from catlearn.core.op import Param
from catlearn.maps.given import Array, Shape, merge, size

if TYPE_CHECKING:
    from catlearn.maps.plan import Plan
    from catlearn.maps.planner import Builder

_KINDS: dict[str, type] = {}


@dataclass(frozen=True, repr=False)
class Map(ABC):
    """A linear map between tensor spaces. A kind of map gives ``dom``, ``cod``, ``emit`` and ``__str__``; the rest has a default."""

    level: ClassVar[int] = 3  # how tightly it binds when written: 0 sums, 1 then, 2 tensor, 3 atoms

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _KINDS[cls.__name__] = cls
        if "__hash__" not in cls.__dict__:
            cls.__hash__ = Map.__hash__  # which dataclass then leaves as it is

    if TYPE_CHECKING:

        @property
        def dom(self) -> Shape: ...
        @property
        def cod(self) -> Shape: ...

    @abstractmethod
    def emit(self, b: Builder, x: int) -> int:
        """The steps that apply this map to register x, whose event axes are ``dom``."""

    @abstractmethod
    def __str__(self) -> str: ...

    def __repr__(self) -> str:
        return str(self)

    def __hash__(self) -> int:
        """Found once: the planner looks maps up by the thousand, and a hash reads all that a map is made of."""
        if "_hash" not in vars(self):
            vars(self)["_hash"] = hash((type(self).__name__, *(getattr(self, f.name) for f in fields(self))))
        return vars(self)["_hash"]

    # -- what a kind may know better -----------------------------------------------------------------------------------

    @property
    def parts(self) -> tuple[Map, ...]:
        """The maps that this one is made of."""
        return ()

    @property
    def own(self) -> Mapping[str, Param]:
        """The parameters of this node itself."""
        return {}

    def matrix(self, b: Builder) -> int:
        """The steps that write this map out: a register of shape (*cod, *dom) without lead axes."""
        unit = b.tape.fold(b.tape.eye(self.dom), range(len(self.dom)))
        out = self.emit(b, unit)
        return b.tape.unfold(out, range(len(self.cod), len(self.cod) + len(self.dom)))

    def vector(self, b: Builder) -> int | None:
        """The steps that write the diagonal of a map that is one, of the shape of its space; None for other maps."""
        return None

    @property
    def T(self) -> Map:
        """The transpose, again structured."""
        return Transposed(self)

    @property
    def rank_bound(self) -> int:
        """A number that the rank does not exceed, whatever the parameters are."""
        return min(size(self.dom), size(self.cod))

    # -- parameters ----------------------------------------------------------------------------------------------------

    @cached_property
    def params(self) -> Mapping[str, Param]:
        """All parameters by name, in the order in which they are first met."""
        found: dict[str, Param] = {}
        for part in self.parts:
            merge(found, part.params)
        merge(found, self.own)
        return MappingProxyType(found)

    def __post_init__(self) -> None:
        _ = self.params  # clashes are told where they are made

    def __getstate__(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}  # not the plans that were made

    # -- what users call -----------------------------------------------------------------------------------------------

    def apply(self, x: Any, params: Mapping[str, Any] | None = None, plan: Plan | None = None) -> Any:
        """This map on x (\\*batch, \\*dom), as (\\*batch, \\*cod); ``params``: name → tensor, by default what the parameters start from.

        ``plan`` overrides the plan that is made for the number of vectors in x. Raises ``BadMap``.
        """
        from catlearn.maps.running import apply

        return apply(self, x, params, plan)

    def dense(self, params: Mapping[str, Any] | None = None, dtype: Any = None) -> Any:
        """The matrix (prod cod, prod dom), row-major; ``dtype`` matters where there are no parameters. Raises ``BadMap``."""
        from catlearn.maps.running import dense

        return dense(self, params, dtype)

    def exact(self, params: Mapping[str, Any] | None = None) -> Any:
        """The matrix without rounding: tuples of fractions if all is rational, else a sympy Matrix.

        ``params``: name → nested lists, arrays or tensors of rationals; a parameter that is not given stands as symbols ``name_i_j``.
        """
        from catlearn.maps.exact import exact

        return exact(self, params)

    def plan(self, tokens: int, force: str | None = None) -> Plan:
        """How this map is applied to so many vectors, forward and backward: printed steps, flops, bytes.

        ``force="dense"`` writes the matrix out, ``force="factored"`` never does; each pass of the plan can be replaced, see ``Plan``.
        """
        from catlearn.maps.plan import plan_of

        return plan_of(self, tokens, force)

    def flops(self, tokens: int) -> int:
        """Floating-point operations of applying this map to so many vectors, as planned."""
        return self.plan(tokens).forward.flops

    # -- operators -----------------------------------------------------------------------------------------------------

    def __rshift__(self, other: Map) -> Map:
        """First this map, then the other."""
        from catlearn.maps.algebra import then

        return then(self, other) if isinstance(other, Map) else NotImplemented

    def __matmul__(self, other: Map) -> Map:
        """The tensor product: the Kronecker product of the matrices."""
        from catlearn.maps.algebra import tensor

        return tensor(self, other) if isinstance(other, Map) else NotImplemented

    def __add__(self, other: Map) -> Map:
        from catlearn.maps.algebra import add

        return add(self, other) if isinstance(other, Map) else NotImplemented

    def __radd__(self, other: Any) -> Map:
        return self if isinstance(other, int) and other == 0 else NotImplemented  # so that the builtin sum works

    def __sub__(self, other: Map) -> Map:
        return self + (-1) * other if isinstance(other, Map) else NotImplemented

    def __neg__(self) -> Map:
        return (-1) * self

    def __mul__(self, other: Any) -> Map:
        """A multiple by a number, or the Hadamard (entry by entry) product with a map."""
        from catlearn.maps.algebra import hadamard, scaled

        if isinstance(other, Map):
            return hadamard(self, other)
        return scaled(other, self) if isinstance(other, int | float | Fraction) else NotImplemented

    def __rmul__(self, other: Any) -> Map:
        return self.__mul__(other)

    def shown(self, level: int) -> str:
        """The text of this map inside one that binds as tightly as ``level``."""
        return f"({self})" if self.level < level else str(self)


@dataclass(frozen=True, repr=False)
class Transposed(Map):
    """The transpose of a map that has none of its own kind: its steps, reversed."""

    of: Map

    @property
    def dom(self) -> Shape:
        return self.of.cod

    @property
    def cod(self) -> Shape:
        return self.of.dom

    @property
    def parts(self) -> tuple[Map, ...]:
        return (self.of,)

    def emit(self, b: Builder, x: int) -> int:
        from catlearn.maps.reverse import reverse

        inner = b.tape.input(self.of.dom, "_", b.tape.lead(x))
        found = reverse(b.tape, {self.of.emit(b, inner): x}, [inner])
        return found.get(inner, b.tape.zeros(self.cod, b.tape.lead(x)))

    def matrix(self, b: Builder) -> int:
        rows, columns = len(self.of.cod), len(self.of.dom)
        return b.tape.permute(b.matrix(self.of), (*range(rows, rows + columns), *range(rows)))

    @property
    def T(self) -> Map:
        return self.of

    @property
    def rank_bound(self) -> int:
        return self.of.rank_bound

    def __str__(self) -> str:
        return f"{self.of.shown(4)}ᵀ" if self.of.level < 3 else f"{self.of}ᵀ"


# -- as plain data -----------------------------------------------------------------------------------------------------


def to_data(value: Any) -> Any:
    """A map as nested tuples of plain values, for files: ``(kind, *fields)``."""
    if isinstance(value, Map):
        return (type(value).__name__, *(to_data(getattr(value, f.name)) for f in fields(value)))
    if isinstance(value, Array):
        return ("Array", value.shape, value.values)
    return ("tuple", *map(to_data, value)) if isinstance(value, tuple) else value


def from_data(value: Any) -> Any:
    """The inverse of ``to_data``. Raises ``BadMap`` for what it did not write."""
    if not isinstance(value, tuple):
        return value
    kind, *rest = value
    if kind == "tuple":
        return tuple(map(from_data, rest))
    if kind == "Array":
        return Array(*rest)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise errors.BadMap(f"{kind!r} is no kind of map", ["the data was not written by to_data, or by a newer version"])
    return _KINDS[kind](*map(from_data, rest))


def walk(f: Map) -> Iterator[Map]:
    """A map and all its parts."""
    stack = [f]
    while stack:
        top = stack.pop()
        yield top
        stack += top.parts
