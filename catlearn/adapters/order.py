"""Whether the order of two adapters matters: a stack as a term, for ``cl.verify.equal``; what is left of one order minus the other.

Laws: ``commutator(a, b)`` is the zero map only if stacking a then b is stacking b then a, for all sizes, weights and parameters; its
matrix is that difference whatever the parameters. Changes that are added to W commute; turning W does not commute with adding to it.

>>> import catlearn as cl
>>> from catlearn.adapters import HRA, LoRA
>>> one, two = (stacked({n: LoRA(1) for n in names}, 2, 3) for names in ("ab", "ba"))
>>> cl.verify.equal(one, two).verdict, str(commutator(LoRA(1), LoRA(1), 2, 3))
('proved', '0')
>>> a, b = ("a", LoRA(1)), ("b", HRA(2))
>>> cl.verify.equal(stacked(dict([a, b]), 2, 3), stacked(dict([b, a]), 2, 3)).verdict
'refuted'
>>> commutator(LoRA(1), HRA(2), 2, 3)              # HRA turns LoRA's change in one order only
reflections(b.u) >> a.A >> a.B - (a.A >> a.B)
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import reduce
from typing import Any

from catlearn import errors
from catlearn.adapters.definition import Adapter
from catlearn.adapters.expressions import expression
from catlearn.adapters.terms import adapt_term
from catlearn.boxes.contract import linear
from catlearn.core.spaces import R
from catlearn.core.term import Term
from catlearn.maps.algebra import add, hadamard, scaled, then
from catlearn.maps.base import Map
from catlearn.maps.combine import Compose, Scaled, Sum
from catlearn.maps.entrywise import Hadamard
from catlearn.maps.leaves import Identity, Zero

Word = tuple[Map, ...]  # what acts one after the other; no sum and no number in it


def stacked(adapters: Mapping[str, Adapter], o: int, i: int) -> Term:
    """A layer i → o without a bias under these adapters, each acting on what the earlier ones give, as a term over W and all parameters.

    The parameters are ``layer.weight`` and ``layer.<name>.<parameter>`` in every order, so that ``cl.verify.equal`` compares orders.
    Raises ``BadAdapter`` for an adapter that no term can hold, or for none.
    """
    if not adapters:
        raise errors.BadAdapter("a stack of no adapters", next="name at least one")
    term: Any = linear(R(i), R(o), name="layer", bias=False)
    for name, adapter in reversed(list(adapters.items())):  # a further cell acts on the weight before the earlier ones
        term = adapt_term(term, adapter, "layer.weight", name, "all", 0, {})
    return term


def commutator(a: Adapter, b: Adapter, o: int, i: Any) -> Map:
    """The weight of a stack of a then b, minus that of b then a, as a map in lowest terms; ``a.`` and ``b.`` stand before parameters.

    Terms cancel by the laws of sums, chains and entrywise products; what is special to a kind of map (two diagonals commute) is not
    used, so a rest does not prove a difference: ``cl.verify.equal`` on both ``stacked`` decides, and this says which parts differ.
    """
    first = expression((("a", a, None), ("b", b, None)), o, i).weight
    second = expression((("b", b, None), ("a", a, None)), o, i).weight
    left, right = words(first), words(second)
    rest = {word: left.get(word, Fraction(0)) - right.get(word, Fraction(0)) for word in {**left, **right}}
    kept = [scaled(_plain(number), reduce(then, word)) for word, number in rest.items() if number]
    return add(*kept) if kept else Zero(first.dom, first.cod)


def words(f: Map) -> dict[Word, Fraction]:
    """A map as a sum of words with numbers: chains and entrywise products are distributed over sums."""
    if isinstance(f, Sum):
        return _sum([words(part) for part in f.maps])
    if isinstance(f, Scaled):
        return {word: Fraction(f.factor) * n for word, n in words(f.of).items()}
    if isinstance(f, Compose):
        parts = [words(part) for part in f.maps]
        return reduce(lambda x, y: _sum([{(*u, *v): m * n} for u, m in x.items() for v, n in y.items()]), parts)
    if isinstance(f, Identity):
        return {(): Fraction(1)}
    if isinstance(f, Hadamard):
        pairs = [(u, m, v, n) for u, m in words(f.left).items() for v, n in words(f.right).items()]
        return _sum([{(_entrywise(u or (Identity(f.dom),), v or (Identity(f.dom),)),): m * n} for u, m, v, n in pairs])
    return {(f,): Fraction(1)}


def _entrywise(u: Word, v: Word) -> Map:
    """The product entry by entry of two words, its factors in one order."""
    found: list[Map] = []
    for f in (reduce(then, u), reduce(then, v)):
        while isinstance(f, Hadamard):
            found.append(f.right)
            f = f.left
        found.append(f)
    return reduce(hadamard, sorted(found, key=str))


def _sum(parts: list[dict[Word, Fraction]]) -> dict[Word, Fraction]:
    found: dict[Word, Fraction] = {}
    for part in parts:
        for word, n in part.items():
            found[word] = found.get(word, Fraction(0)) + n
    return found


def _plain(number: Fraction) -> int | Fraction:
    return int(number) if number.denominator == 1 else number
