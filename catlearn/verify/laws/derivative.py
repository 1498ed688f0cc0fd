"""The seven axioms of a reverse derivative category (Cockett et al., CSL 2020, arXiv:1910.07065), on given arrows and a given point.

Arrows are parameter-free terms: f, g : A → B and h : B → C. ``R`` is the reverse derivative, R[f] : A × T B → T A. A ``Setting`` runs
terms on lists of values over some ring, so one text serves floats, exact rationals and POLY(Z₂). Each axiom yields pairs of lists
that must be equal. RD6 and RD7 are stated by pairings, which is the same by transposition:

* RD6, R[f] is linear in its covector: ⟨b', R[R[f]]_B((a, b), v)⟩ = ⟨R[f](a, b'), v⟩ for every b', so the left does not depend on b;
* RD7, mixed partials commute: ⟨R[R[f]]_A((a, b), v), w⟩ = ⟨R[R[f]]_A((a, b), w), v⟩.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from catlearn.boxes.arithmetic import add
from catlearn.boxes.constant import Full
from catlearn.core.combinators import copy, discard, id, par
from catlearn.core.spaces import I, Space, tangent
from catlearn.core.term import Box, Term, Wiring

Values = Sequence[Any]
Pairs = Iterator[tuple[Values, Values]]


@dataclass
class Setting:
    """``run(term, values)`` gives the outputs as a list; ``zero(value)`` a zero of the same shape; ``total(value)`` the sum of entries."""

    R: Callable[[Term], Term]
    run: Callable[[Term, Values], Values]
    zero: Callable[[Any], Any]
    total: Callable[[Any], Any]

    def plus(self, xs: Values, ys: Values) -> list[Any]:
        """The sum, wire by wire."""
        return [x + y for x, y in zip(xs, ys, strict=True)]

    def zeros(self, xs: Values) -> list[Any]:
        """Zero on every wire."""
        return [self.zero(x) for x in xs]

    def pairing(self, xs: Values, ys: Values) -> list[Any]:
        """⟨x, y⟩, summed over all wires."""
        value: Any = None
        for x, y in zip(xs, ys, strict=True):
            value = self.total(x * y) if value is None else value + self.total(x * y)
        return [] if value is None else [value]


def added(f: Term, g: Term) -> Term:
    """f + g: both on copies, added wire by wire."""
    n = len(f.cod)
    together = Wiring(f.cod @ g.cod, tuple(k for i in range(n) for k in (i, n + i)))
    return copy(f.dom) >> f @ g >> together >> par(*(add(Space((wire,))) for wire in f.cod))


def zero(dom: Space, cod: Space) -> Term:
    """The zero map."""
    return discard(dom) >> par(*(Box(Full(wire, 0.0), I) for wire in cod))


def paired(f: Term, g: Term) -> Term:
    """⟨f, g⟩ : A → B × C."""
    return copy(f.dom) >> f @ g


def projection(x: Space, y: Space, second: bool) -> Term:
    """π₀ or π₁ of x × y."""
    n = len(x)
    return Wiring(x @ y, tuple(range(n, n + len(y)) if second else range(n)))


def rd1(s: Setting, f: Term, g: Term, a: Values, b: Values) -> Pairs:
    """R[f + g] = R[f] + R[g] and R[0] = 0."""
    at = [*a, *b]
    yield s.run(s.R(added(f, g)), at), s.plus(s.run(s.R(f), at), s.run(s.R(g), at))
    left = s.run(s.R(zero(f.dom, f.cod)), at)
    yield left, s.zeros(left)


def rd2(s: Setting, f: Term, a: Values, b: Values, c: Values) -> Pairs:
    """R[f](a, b + c) = R[f](a, b) + R[f](a, c) and R[f](a, 0) = 0."""
    Rf = s.R(f)
    yield s.run(Rf, [*a, *s.plus(b, c)]), s.plus(s.run(Rf, [*a, *b]), s.run(Rf, [*a, *c]))
    left = s.run(Rf, [*a, *s.zeros(b)])
    yield left, s.zeros(left)


def rd3(s: Setting, x: Space, y: Space, a: Values, b: Values, da: Values, db: Values) -> Pairs:
    """R[1](a, a') = a', and R[πᵢ] puts the covector at place i; a in x, b in y, with covectors da, db."""
    yield s.run(s.R(id(x)), [*a, *da]), da
    yield s.run(s.R(projection(x, y, False)), [*a, *b, *da]), [*da, *s.zeros(db)]
    yield s.run(s.R(projection(x, y, True)), [*a, *b, *db]), [*s.zeros(da), *db]


def rd4(s: Setting, f: Term, g: Term, a: Values, b: Values, c: Values) -> Pairs:
    """R[⟨f, g⟩](a, (b, c)) = R[f](a, b) + R[g](a, c) and R[!] = 0."""
    yield s.run(s.R(paired(f, g)), [*a, *b, *c]), s.plus(s.run(s.R(f), [*a, *b]), s.run(s.R(g), [*a, *c]))
    left = s.run(s.R(discard(f.dom)), a)
    yield left, s.zeros(left)


def rd5(s: Setting, f: Term, h: Term, a: Values, c: Values) -> Pairs:
    """R[f then h](a, c) = R[f](a, R[h](f(a), c))."""
    back = s.run(s.R(h), [*s.run(f, a), *c])
    yield s.run(s.R(f >> h), [*a, *c]), s.run(s.R(f), [*a, *back])


def rd6(s: Setting, f: Term, a: Values, b: Values, c: Values, v: Values) -> Pairs:
    """R[f] is linear in its covector (see above); b and c are covectors at f(a), v a tangent at a."""
    Rf = s.R(f)
    second = s.run(s.R(Rf), [*a, *b, *v])
    yield s.pairing(c, second[len(second) - len(b) :]), s.pairing(s.run(Rf, [*a, *c]), v)


def rd7(s: Setting, f: Term, a: Values, b: Values, v: Values, w: Values) -> Pairs:
    """Mixed partials commute (see above); v and w are tangents at a."""
    twice, n = s.R(s.R(f)), len(tangent(f.dom))
    yield s.pairing(s.run(twice, [*a, *b, *v])[:n], w), s.pairing(s.run(twice, [*a, *b, *w])[:n], v)
