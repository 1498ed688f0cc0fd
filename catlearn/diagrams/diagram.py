"""Diagrams and their formal sums: the arrows of the categories that describe equivariant linear maps.

A diagram k → l has the output points ``0 .. l-1`` and the input points ``l .. l+k-1``. Whatever its kind, its matrix on (R^n)^⊗k is a
product of three things: ``deltas`` (1 if the index is constant on the block, else 0), ``arcs`` (a, b) (a factor ``J[i_a, i_b]`` with
``J = [[0, I], [-I, 0]]``), and ``coupons`` (the sign of the permutation that the values of the legs are, 0 if two of them agree; a coupon
with n - 1 legs is completed by the missing value, put last). Every point lies in exactly one block, arc or leg.

``d >> e`` is d, then e; ``d @ e`` is side by side; both are formal sums with coefficients in Z[n], as are ``d + e`` and ``3 * d``.

Laws: those of a strict monoidal category, bilinear over Z[n]; ``matrix`` is a monoidal functor to integer matrices:
``(d >> e).matrix(n) = e.matrix(n) · d.matrix(n)``, ``(d @ e).matrix(n)`` is the Kronecker product, ``d.T.matrix(n)`` the transpose.
Two coupons are removed as soon as they meet, and three can be removed in several ways; so with coupons these laws hold for ``normal()``.

>>> from catlearn.diagrams import Partition
>>> d = Partition(2, 1, [[0, 1], [2]])
>>> print(d, "and", d >> d.T, "and", d.T >> d)
Partition(2→1: 0 1 | 2) and Partition(2→2: 0 2 | 1 | 3) and n·Partition(1→1: 0 1)
>>> d.matrix(2)
[[1, 1, 0, 0], [0, 0, 1, 1]]
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeAlias

from catlearn.diagrams.contract import Block, Network, contract
from catlearn.diagrams.drawing import draw_combination, draw_diagram
from catlearn.diagrams.entries import matrix, nonzeros
from catlearn.diagrams.factor import factors, is_planar
from catlearn.diagrams.joining import beside, check_number, composite, same_kind
from catlearn.diagrams.normal import normal_terms
from catlearn.diagrams.polynomial import Coefficient, N, evaluate, is_coefficient
from catlearn.errors import BadDiagram

Terms: TypeAlias = Iterable[tuple["Diagram", Coefficient]]


class Linear(ABC):
    """What diagrams and their sums share: the operators, which a diagram has as the sum of itself."""

    k: int
    l: int

    @property
    @abstractmethod
    def sum(self) -> Combination:
        """This as a formal sum."""

    def then(self, other: Linear) -> Combination:
        """This, then ``other``. Raises ``BadDiagram`` if the kinds differ or the points in the middle do not match."""
        return composite(self.sum, _sum(other))

    def tensor(self, other: Linear) -> Combination:
        """This beside ``other``. Raises ``BadDiagram`` if the kinds differ."""
        return beside(self.sum, _sum(other))

    def __rshift__(self, other: Linear) -> Combination:
        return self.then(other) if isinstance(other, Linear) else NotImplemented

    def __matmul__(self, other: Linear) -> Combination:
        return self.tensor(other) if isinstance(other, Linear) else NotImplemented

    def __add__(self, other: Linear) -> Combination:
        if not isinstance(other, Linear):
            return NotImplemented
        left, right = self.sum, other.sum
        same_kind(left, right, "+")
        if (left.k, left.l) != (right.k, right.l):
            raise BadDiagram(f"a sum needs parallel arrows, and these are {left.k}→{left.l} and {right.k}→{right.l}")
        return left.like(left.k, left.l, left.terms + right.terms)

    def __radd__(self, other: Any) -> Combination:
        return self.sum if isinstance(other, int) and other == 0 else NotImplemented  # so that the builtin sum works

    def __sub__(self, other: Linear) -> Combination:
        return self + -other if isinstance(other, Linear) else NotImplemented

    def __neg__(self) -> Combination:
        return self * -1

    def __mul__(self, other: Coefficient) -> Combination:
        if not is_coefficient(other):
            return NotImplemented
        own = self.sum
        return own.like(own.k, own.l, tuple((d, c * other) for d, c in own.terms))

    __rmul__ = __mul__

    def trace(self) -> Coefficient:
        """The trace: output i joined to input i. Raises ``BadDiagram`` unless k = l."""
        own = self.sum
        if own.k != own.l:
            raise BadDiagram(f"a trace needs as many inputs as outputs, and this is {own.k}→{own.l}")
        total: Coefficient = 0
        for d, c in own.terms:
            network = d.network.relabel(lambda point: point % own.k)
            for value, _ in contract(network, 0, own.k, own.n_or_symbol):
                total = total + c * value
        return total

    def normal(self, n: int | None = None) -> Combination:
        """The same map at size n, in the basis that ``basis`` gives: two sums are the same map just if these are equal."""
        own = self.sum.at(n)
        size = own.number(n)
        return own.like(own.k, own.l, tuple((e, c * a) for d, c in own.terms for e, a in normal_terms(d, size)))

    def matrix(self, n: int | None = None) -> list[list[int]]:
        """The matrix at size n, n^l rows and n^k columns, both in row-major order of their indices."""
        own = self.sum
        size = own.number(n)
        return matrix(((d.network, evaluate(c, size)) for d, c in own.terms), own.k, own.l, size)


@dataclass(frozen=True)
class Diagram(Linear):
    """A diagram k → l of some kind; the five kinds are its subclasses."""

    k: int
    l: int
    group: ClassVar[str]

    @property
    @abstractmethod
    def network(self) -> Network:
        """The diagram as deltas, arcs and coupons."""

    @classmethod
    @abstractmethod
    def build(cls, k: int, l: int, network: Network, n: int | None) -> Self:
        """The diagram of this kind with that network."""

    @property
    def size(self) -> int | None:
        """The n it belongs to, where a coupon fixes it; None if it makes sense for every n."""
        return None

    def oriented(self) -> tuple[int, Diagram]:
        """A sign and the diagram with its legs in order: their product is this diagram."""
        return 1, self

    @property
    def deltas(self) -> tuple[Block, ...]:
        """Blocks on which the index is constant, those that are legs of a coupon left out."""
        return self.network.deltas

    @property
    def arcs(self) -> tuple[tuple[int, int], ...]:
        """Symplectic pairs."""
        return self.network.arcs

    @property
    def coupons(self) -> tuple[tuple[Block, ...], ...]:
        """Coupons, each a row of legs, each leg a block of points."""
        return self.network.coupons

    @property
    def sum(self) -> Combination:
        return Combination.make(type(self), self.k, self.l, ((self, 1),), self.size)

    @property
    def T(self) -> Self:
        """The transpose, upside down: outputs become inputs."""
        return self.build(self.l, self.k, self.network.relabel(lambda point: (point + self.k) % (self.k + self.l)), self.size)

    @classmethod
    def permutation(cls, order: Iterable[int], n: int | None = None) -> Self:
        """Wires only: input i goes to output ``order[i]``. ``n`` is needed by the kinds with coupons."""
        order = tuple(order)
        if sorted(order) != list(range(len(order))):
            raise BadDiagram(f"{order} is no permutation of 0 .. {len(order) - 1}")
        return cls.build(len(order), len(order), Network(tuple((to, len(order) + i) for i, to in enumerate(order))), n)

    @classmethod
    def identity(cls, k: int, n: int | None = None) -> Self:
        """k wires. ``n`` is needed by the kinds with coupons."""
        return cls.permutation(range(k), n)

    @property
    def planar(self) -> bool:
        """Whether it can be drawn without crossings, a coupon and its legs counted as one piece."""
        return is_planar(self)

    def factor(self) -> tuple[Self, Self, Self]:
        """A permutation, a planar diagram, a permutation, whose composite ``p >> middle >> q`` is this diagram."""
        return factors(self)

    def entries(self, n: int | None = None) -> Iterator[tuple[Block, int]]:
        """The nonzero entries at size n: indices at all l + k points, and the value."""
        size = self.sum.number(n)
        return nonzeros(self.network, self.k + self.l, size)

    def _repr_svg_(self) -> str:
        return draw_diagram(self)

    def __str__(self) -> str:
        parts = [" ".join(map(str, block)) for block in (*self.deltas, *self.arcs)]
        for legs in self.coupons:
            shown = [" ".join(map(str, leg)) for leg in legs]
            parts.append(f"ε({', '.join(shown + ['·'] * ((self.size or 0) - len(legs)))})")
        number = "" if self.size is None else f", n={self.size}"
        return f"{type(self).__name__}({self.k}→{self.l}{number}: {' | '.join(parts)})"

    __repr__ = __str__


@dataclass(frozen=True, eq=False)
class Combination(Linear):
    """A formal sum of diagrams k → l of one kind. ``terms`` pairs each diagram with its coefficient, in one fixed order, none zero.

    ``size`` is the n that diagrams with coupons belong to; the other kinds leave it open and have coefficients in Z[n].
    """

    kind: type[Diagram]
    k: int
    l: int
    terms: tuple[tuple[Diagram, Coefficient], ...]
    size: int | None = None

    @classmethod
    def make(cls, kind: type[Diagram], k: int, l: int, terms: Terms, size: int | None = None) -> Combination:
        """The sum of these terms, equal diagrams collected. ``Combination.make(kind, k, l, ())`` is zero."""
        total: dict[Diagram, Coefficient] = {}
        for diagram, c in terms:
            signature, d = diagram.oriented()
            total[d] = total.get(d, 0) + c * signature
        kept = [(d, c if size is None else evaluate(c, size)) for d, c in total.items()]
        ordered = sorted(((d, c) for d, c in kept if c != 0), key=lambda term: term[0].network.key)
        return cls(kind, k, l, tuple(ordered), size)

    def like(self, k: int, l: int, terms: Terms) -> Combination:
        """A sum of the same kind and size."""
        return Combination.make(self.kind, k, l, terms, self.size)

    @property
    def sum(self) -> Combination:
        return self

    @property
    def n_or_symbol(self) -> Coefficient:
        """The size if it is fixed, else the symbol n."""
        return N if self.size is None else self.size

    @property
    def T(self) -> Combination:
        """The transpose of every term."""
        return self.like(self.l, self.k, ((d.T, c) for d, c in self.terms))

    def at(self, n: int | None = None) -> Combination:
        """The same sum with every coefficient evaluated at n."""
        size = self.number(n)
        return self.like(self.k, self.l, ((d, evaluate(c, size)) for d, c in self.terms))

    def number(self, n: int | None) -> int:
        """``n``, or the size that the coupons fix. Raises ``BadDiagram`` if there is none, or if this kind does not exist at n."""
        size = self.size if n is None else n
        name = self.kind.__name__
        if size is None:
            raise BadDiagram(f"a {name} diagram has a matrix for every n, so an n must be given", next="for example .matrix(3)")
        check_number(self.kind, size)
        if self.size not in (None, size):
            raise BadDiagram(f"these {name} diagrams belong to n = {self.size}, not to n = {size}", next="their coupons have n legs")
        return size

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Linear):
            return NotImplemented
        right = other.sum
        return (self.kind, self.k, self.l, self.size, self.terms) == (right.kind, right.k, right.l, right.size, right.terms)

    def __hash__(self) -> int:  # that of a diagram for a single term, since the two may be equal
        return hash(self.terms[0][0]) if len(self.terms) == 1 else hash(self.terms)

    def _repr_svg_(self) -> str:
        return draw_combination(self)

    def __str__(self) -> str:
        return " + ".join(_factor(c) + str(d) for d, c in self.terms).replace("+ -", "- ") or "0"

    __repr__ = __str__


def _sum(other: Any) -> Combination:
    if not isinstance(other, Linear):
        raise BadDiagram(f"a diagram or a sum of diagrams is needed, and this is {other!r}")
    return other.sum


def _factor(c: Coefficient) -> str:
    return {"1": "", "-1": "-"}.get(text := str(c), f"({text})·" if " " in text else f"{text}·")
