"""Seeded random terms over a few made-up boxes, rewriting by laws that keep a term's meaning, and mutants that break it.

The boxes have no meaning of their own, so two terms are equal only if the laws of cartesian categories make them so.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import catlearn as cl
from catlearn import errors
from catlearn.core.op import Op, Param
from catlearn.core.spaces import Space
from catlearn.core.term import Box, Par, Reparam, Repeat, Scope, Seq, Term, Wiring, factors, walk

A, B = cl.R(1), cl.R(2)


@dataclass(frozen=True)
class Pure(Op):
    """An unknown function."""

    key = "test_pure"
    label: str
    cod: Space

    def infer(self, dom: Space) -> Space:
        return self.cod


@dataclass(frozen=True)
class Weighted(Pure):
    """An unknown function with one parameter."""

    key = "test_weighted"

    @property
    def param_names(self) -> tuple[str, ...]:
        return ("w",)

    def parameters(self, dom: Space) -> dict[str, Param]:
        return {"w": Param(cl.parameter(cl.R(3)))}


@dataclass(frozen=True)
class Noise(Pure):
    """An unknown random function."""

    key = "test_noise"
    effect = "random"


@dataclass(frozen=True)
class Counter(Pure):
    """An unknown function with a state."""

    key = "test_counter"
    effect = "stateful"
    state_names = ("count",)

    def state(self, dom: Space) -> dict[str, Param]:
        return {"count": Param(cl.parameter(cl.R()))}


def a_space(rng: Random, most: int = 2) -> Space:
    space = cl.I
    for _ in range(rng.randint(0, most)):
        space = space @ rng.choice([A, B])
    return space


class Draw:
    """Draws terms; ``kinds`` are the boxes to use, ``wirings`` says whether wires may be copied and discarded."""

    def __init__(self, seed: int, kinds: tuple[type[Pure], ...] = (Pure, Pure, Weighted, Noise, Counter), wirings: bool = True) -> None:
        self.rng, self.kinds, self.wirings, self.fresh = Random(seed), kinds, wirings, 0

    def name(self, base: str) -> str:
        self.fresh += 1
        return f"{base}{self.fresh}"

    def box(self, dom: Space) -> Term:
        rng = self.rng
        kind = rng.choice(self.kinds)
        cod = a_space(rng) if rng.random() < 0.7 else dom
        if not self.wirings and not len(cod):
            cod = A
        return Box(kind(rng.choice("fgh"), cod), dom, self.name("c") if rng.random() < 0.25 else None)

    def wiring(self, dom: Space) -> Term:
        n, rng = len(dom), self.rng
        if self.wirings and n:
            return Wiring(dom, tuple(rng.randrange(n) for _ in range(rng.randint(max(0, n - 1), min(n + 1, 3)))))
        return Wiring(dom, tuple(rng.sample(range(n), n)))

    def step(self, dom: Space) -> Term:
        """A box on some neighbouring wires, or a wiring."""
        rng, n = self.rng, len(dom)
        if n and rng.random() < 0.3:
            return self.wiring(dom)
        start = rng.randint(0, n)
        stop = rng.randint(start, min(n, start + 2))
        if not self.wirings and start == stop:
            return self.wiring(dom)
        left, mid, right = Space(dom.wires[:start]), Space(dom.wires[start:stop]), Space(dom.wires[stop:])
        box = self.box(mid)
        if rng.random() < 0.15:
            box = box.named(self.name("s"))
        elif box.dom == box.cod and rng.random() < 0.3:
            box = cl.repeat(rng.randint(0, 2), box, shared=rng.random() < 0.4)
        return cl.id(left) @ box @ cl.id(right)

    def term(self, size: int, dom: Space | None = None) -> Term:
        term = cl.id(dom if dom is not None else a_space(self.rng) @ A)
        for _ in range(size):
            step = self.step(term.cod)
            if len(step.cod) <= 4:
                term = term >> step
        if self.rng.random() < 0.3:
            term = self.edit(term)
        return term

    def edit(self, term: Term) -> Term:
        """A 2-cell on some parameters."""
        try:
            names = list(term.params)
        except errors.NameUsedTwice:  # two anonymous repeats
            return term
        if not names:
            return term
        some = "|".join(self.rng.sample(names, min(2, len(names))))
        try:
            return self.rng.choice([lambda: term.at(some).tie(), lambda: term.at(some).freeze(), lambda: term.at(names[0]).rename("r")])()
        except errors.CatlearnError:
            return term


# -- laws ------------------------------------------------------------------------------------------------------------------


def is_plain(term: Term) -> bool:
    """No parameters, effects or closed names: such a term may be copied and discarded."""
    return not any(isinstance(t, Scope) or (isinstance(t, Box) and (t.name or t.own_params or t.op.effect != "pure")) for t in walk(term))


def closed_within(term: Term) -> bool:
    return any(isinstance(t, Scope | Reparam) or (isinstance(t, Box) and t.name) for t in walk(term))


def rewrite(rng: Random, term: Term) -> Term:
    """The same arrow, written differently: one law applied somewhere."""
    if rng.random() < 0.6:
        if isinstance(term, Seq | Par):
            parts = factors(term)
            i = rng.randrange(len(parts))
            parts[i] = rewrite(rng, parts[i])
            return (cl.seq if isinstance(term, Seq) else cl.par)(*parts)
        if isinstance(term, Scope):
            return Scope(term.name, rewrite(rng, term.body))
        if isinstance(term, Repeat):
            return Repeat(term.n, rewrite(rng, term.body), term.shared)
        if isinstance(term, Reparam):
            return Reparam(rewrite(rng, term.body), term.cells)
    return law(rng, term)


def law(rng: Random, f: Term) -> Term:
    x, y = f.dom, f.cod
    rules = [
        lambda: cl.id(x) >> f,
        lambda: f >> cl.id(y),
        lambda: f @ cl.id(cl.I),
        lambda: f >> cl.copy(y) >> cl.id(y) @ cl.discard(y),
        lambda: cl.copy(x) >> f @ cl.discard(x),
        lambda: cl.copy(x) >> cl.swap(x, x) >> cl.discard(x) @ f,
        lambda: cl.copy(x, 3) >> cl.discard(x) @ f @ cl.discard(x),
    ]  # fmt: skip
    if is_plain(f):
        rules += [
            lambda: cl.copy(x) >> f @ f >> cl.id(y) @ cl.discard(y),
            lambda: cl.copy(x) >> (f >> cl.discard(y)) @ f,
        ] * 2
    if isinstance(f, Par):
        l, *rest = factors(f)
        r = cl.par(*rest)
        rules += [
            lambda: l @ cl.id(r.dom) >> cl.id(l.cod) @ r,
            lambda: cl.id(l.dom) @ r >> l @ cl.id(r.cod),
            lambda: cl.swap(l.dom, r.dom) >> r @ l >> cl.swap(r.cod, l.cod),
        ] * 2
    if isinstance(f, Seq):
        parts = factors(f)
        i = rng.randrange(1, len(parts))
        rules += [lambda: cl.seq(*parts[:i]) >> (cl.seq(*parts[i:]))]
        if isinstance(parts[i - 1], Wiring) and isinstance(parts[i], Wiring):
            first, second = parts[i - 1].targets, parts[i].targets
            first = first if first is not None else tuple(range(len(parts[i - 1].dom)))
            fused = first if second is None else tuple(first[t] for t in second)
            rules += [lambda: cl.seq(*parts[: i - 1], Wiring(parts[i - 1].dom, fused), *parts[i + 1 :])] * 3
    if isinstance(f, Repeat) and f.n and (f.n == 1 or not closed_within(f.body)) and not (f.shared and f.body.params):
        if not (f.shared and any(isinstance(t, Box) and t.op.state_names for t in walk(f.body))) and not closed_within(f.body):
            rules += [lambda: cl.seq(*[f.body] * f.n)] * 4
    return rng.choice(rules)()


# -- mutants ---------------------------------------------------------------------------------------------------------------


def mutate(rng: Random, term: Term) -> Term:
    """One box swapped, one closed name changed, or one wire crossed, somewhere (nothing, where nothing can be)."""
    for _ in range(30):
        mutant = _mutate(rng, term)
        if mutant != term:
            return mutant
    return term


def _mutate(rng: Random, term: Term) -> Term:
    if isinstance(term, Seq | Par):
        parts = factors(term)
        i = rng.randrange(len(parts))
        parts[i] = _mutate(rng, parts[i])
        return (cl.seq if isinstance(term, Seq) else cl.par)(*parts)
    if isinstance(term, Scope):
        return Scope(rng.choice([term.name, term.name + "x"]), _mutate(rng, term.body))
    if isinstance(term, Repeat):
        return Repeat(term.n, _mutate(rng, term.body), term.shared)
    if isinstance(term, Reparam):
        return Reparam(mutate(rng, term.body), term.cells)
    if isinstance(term, Box):
        if term.name and rng.random() < 0.5:
            return Box(term.op, term.dom, term.name + "x")
        return Box(type(term.op)(term.op.label + "x", term.op.cod), term.dom, term.name)
    assert isinstance(term, Wiring)
    targets = list(range(len(term.dom)) if term.targets is None else term.targets)
    wires = term.dom.wires
    others = [(k, t) for k, old in enumerate(targets) for t in range(len(wires)) if t != old and wires[t] == wires[old]]
    if others:
        k, t = rng.choice(others)
        targets[k] = t
    return Wiring(term.dom, tuple(targets))
