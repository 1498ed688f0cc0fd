"""The category Learn and its isomorphism with Para(SLens) (Fong, Johnson, arXiv:1903.03671).

A learner A → B is (P, I : P×A → B, U : P×A×B → P, r : P×A×B → A); a parametric lens is a lens ``P×A → B`` without laws, with
``get = I`` and ``put = ⟨U, r⟩``. Values may be anything: elements of finite sets, fractions, tensors.

Laws: ``from_lens(to_lens(f)) == f`` and back; both keep composition, identity and tensor. Composites carry pairs of parameters.

>>> from fractions import Fraction as F
>>> scalar = gradient_learner(lambda p, a: p * a, lambda p, a, dy: (a * dy, p * dy), rate=F(1, 10))
>>> both = scalar >> scalar
>>> both.update((F(2), F(1)), F(3), F(5)), both.request((F(2), F(1)), F(3), F(5))
((Fraction(17, 10), Fraction(2, 5)), Fraction(1, 1))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Map = Callable[..., Any]


@dataclass(frozen=True)
class Learn:
    """A learner: ``implement(p, a) -> b``, ``update(p, a, b) -> p``, ``request(p, a, b) -> a``."""

    implement: Map
    update: Map
    request: Map

    def __rshift__(self, other: Learn) -> Learn:
        """This learner, then the other, which asks this one for a better b; parameters are pairs (p, q)."""
        f, g = self, other

        def update(pq: Any, a: Any, c: Any) -> Any:
            (p, q), b = pq, f.implement(pq[0], a)
            return f.update(p, a, g.request(q, b, c)), g.update(q, b, c)

        def request(pq: Any, a: Any, c: Any) -> Any:
            p, q = pq
            return f.request(p, a, g.request(q, f.implement(p, a), c))

        return Learn(lambda pq, a: g.implement(pq[1], f.implement(pq[0], a)), update, request)

    def __matmul__(self, other: Learn) -> Learn:
        """Both side by side, componentwise on pairs."""
        f, g = self, other
        return Learn(lambda p, a: (f.implement(p[0], a[0]), g.implement(p[1], a[1])),
                     lambda p, a, b: (f.update(p[0], a[0], b[0]), g.update(p[1], a[1], b[1])),
                     lambda p, a, b: (f.request(p[0], a[0], b[0]), g.request(p[1], a[1], b[1])))  # fmt: skip


identity = Learn(lambda p, a: a, lambda p, a, b: p, lambda p, a, b: b)
"""The identity of Learn: no parameter, ``request(a, b) = b``."""


@dataclass(frozen=True)
class ParaLens:
    """A parametric lens without laws: ``get((p, a)) -> b`` and ``put((p, a), b) -> (p, a)``."""

    get: Map
    put: Map

    def __rshift__(self, other: ParaLens) -> ParaLens:
        """Composition in Para: the composite of lenses ``Q×(P×A) → Q×B → C``, with parameters (p, q)."""
        f, g = self, other

        def put(x: Any, c: Any) -> Any:
            (p, q), a = x
            new_q, b = g.put((q, f.get((p, a))), c)
            new_p, new_a = f.put((p, a), b)
            return (new_p, new_q), new_a

        return ParaLens(lambda x: g.get((x[0][1], f.get((x[0][0], x[1])))), put)

    def __matmul__(self, other: ParaLens) -> ParaLens:
        """The product of lenses, with parameters and inputs brought together in pairs."""
        f, g = self, other

        def put(x: Any, bs: Any) -> Any:
            (p, q), (a, b) = x
            (new_p, new_a), (new_q, new_b) = f.put((p, a), bs[0]), g.put((q, b), bs[1])
            return (new_p, new_q), (new_a, new_b)

        return ParaLens(lambda x: (f.get((x[0][0], x[1][0])), g.get((x[0][1], x[1][1]))), put)


lens_identity = ParaLens(lambda x: x[1], lambda x, b: (x[0], b))
"""The identity of Para(SLens)."""


def to_lens(f: Learn) -> ParaLens:
    """The parametric lens of a learner: get = I, put = ⟨U, r⟩."""
    return ParaLens(lambda x: f.implement(*x), lambda x, b: (f.update(*x, b), f.request(*x, b)))


def from_lens(l: ParaLens) -> Learn:
    """The learner of a parametric lens: U and r are the components of put."""
    return Learn(lambda p, a: l.get((p, a)), lambda p, a, b: l.put((p, a), b)[0], lambda p, a, b: l.put((p, a), b)[1])


def gradient_learner(implement: Map, reverse: Map, rate: Any, slope: Map = lambda x, y: x - y,
                     solve: Map = lambda x, grad: x - grad) -> Learn:  # fmt: skip
    """The functor L_{ε,e} : Para(Euc) → Learn on one map (arXiv:1711.10455, theorem III.2), over any numbers.

    ``reverse(p, a, dy) -> (dp, da)`` is the map's reverse derivative, ``slope(x, y)`` is ∂e/∂x and ``solve(x, ·)`` its inverse in y;
    the defaults are those of e = (x − y)²/2. The rate stands in the update only: in the request it would break functoriality.
    """

    def gradients(p: Any, a: Any, b: Any) -> tuple[Any, Any]:
        return reverse(p, a, slope(implement(p, a), b))

    return Learn(implement, lambda p, a, b: p - rate * gradients(p, a, b)[0], lambda p, a, b: solve(a, gradients(p, a, b)[1]))
