"""Well-typed random terms with fitting inputs and parameters: by hypothesis (failures shrink) and, faster, by a seed.

One generator serves both. It asks a ``Chooser`` for every decision, smallest and simplest first, so that hypothesis shrinks towards
short terms of simple boxes.

    @given(terms())                     # Drawn: .term, .inputs(batch), .params()
    def test_law(drawn): ...

    drawn = random_term(seed)           # the same, from a seed

Longer than a full file because one grammar serves all tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any, Protocol, TypeVar

import hypothesis
import numpy as np
import torch
from hypothesis import strategies as st

import catlearn as cl
from catlearn.core.spaces import Space

hypothesis.settings.register_profile("catlearn", derandomize=True, deadline=None, print_blob=False, database=None,
                                     suppress_health_check=list(hypothesis.HealthCheck))  # fmt: skip
hypothesis.settings.load_profile("catlearn")

T = TypeVar("T")


class Chooser(Protocol):
    """Where decisions come from."""

    def integer(self, low: int, high: int) -> int: ...


@dataclass
class Seeded:
    """Decisions from a seed."""

    rng: np.random.Generator

    def integer(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))


@dataclass
class Drawing:
    """Decisions by hypothesis."""

    draw: Callable[[Any], Any]

    def integer(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))


def pick(c: Chooser, items: Sequence[T]) -> T:
    """One of these, the first one being the simplest."""
    return items[c.integer(0, len(items) - 1)]


# --- boxes on one wire ------------------------------------------------------------------------------------------------


def positive(x: Space) -> cl.Term:
    """Into the open interval (1/2, 3/2): where log, roots and quotients are smooth."""
    return cl.sigmoid(x) >> cl.shift(0.5)


def schemas(names: str) -> list[Any]:
    """Those of these schemas that the package has."""
    return [getattr(cl, name) for name in names.split() if hasattr(cl, name)]


@cache
def pointwise() -> list[Callable[[Space], cl.Term]]:
    """Boxes that keep the space of one wire."""
    plain = [lambda x, s=s: s(x) for s in schemas("relu tanh sigmoid gelu silu softplus leaky_relu erf abs")]
    axis = [lambda x, s=s: s(x) if x[0].axes else cl.tanh(x) for s in schemas("softmax log_softmax layer_norm rms_norm")]
    guarded = [
        lambda x: cl.tanh(x) >> cl.exp,
        lambda x: positive(x) >> cl.log,
        lambda x: positive(x) >> cl.power(-1),
        lambda x: positive(x) >> cl.power(Fraction(1, 2)),
        lambda x: positive(x) >> cl.power(Fraction(-3, 2)),
    ]
    return [*polynomial(), *plain, *axis, *guarded]


@cache
def polynomial() -> list[Callable[[Space], cl.Term]]:
    """Polynomial boxes that keep the space of one wire."""
    return [
        lambda x: cl.scale(x, 2),
        lambda x: cl.shift(x, -1),
        lambda x: cl.scale(x, Fraction(-3, 1)),
        lambda x: cl.power(x, 2),
        lambda x: cl.power(x, 3) if x[0].size == 1 else cl.power(x, 2),
        lambda x: cl.linear(x, x) if x[0].axes else cl.scale(x, 3),
        lambda x: cl.linear(x, x, bias=False) if x[0].axes else cl.scale(x, 3),
        lambda x: cl.bias(x) if x[0].axes else cl.shift(x, 1),
        lambda x: cl.sum(x) >> cl.reshape((*x[0].shape[:-1], 1)) >> cl.broadcast(x[0].shape) if x[0].axes else cl.shift(x, 2),
    ]


PARAMETRIC = range(5, 8)  # the polynomial boxes with parameters


def moving(c: Chooser, x: Space) -> cl.Term:
    """A linear box that changes the shape of one wire."""
    shape: Any = x[0].shape
    if not shape:
        return cl.reshape(x, (1,))
    axis = c.integer(-len(shape), -1)
    n = shape[axis]
    options: list[Callable[[], cl.Term]] = [
        lambda: cl.linear(x, cl.R(*shape[:-1], c.integer(1, 3))),
        lambda: cl.flatten(x),
        lambda: cl.transpose(x, tuple(reversed(range(len(shape))))),
        lambda: cl.sum(x, axis),
        lambda: cl.mean(x, axis, True),
        lambda: cl.slice(x, c.integer(0, n - 1), n, axis),
        lambda: cl.pad(x, ((axis, c.integer(0, 1), 1),)),
        lambda: cl.broadcast(x, (2, *shape)) if len(shape) < 3 else cl.flatten(x),
        lambda: cl.reshape(x, (*shape, 1)) if len(shape) < 3 else cl.reshape(x, (-1,)),
        lambda: cl.split(x, (1, n - 1), axis) if n > 1 else cl.flatten(x),
        lambda: cl.einsum("ij->ji")(x) if len(shape) == 2 else cl.einsum("i->")(x) if len(shape) == 1 else cl.flatten(x),
        lambda: cl.max(x, axis),
        lambda: cl.logsumexp(x, axis),
        lambda: cl.conv1d(x, 2, min(2, n), padding=1) if len(shape) == 2 and axis == -1 else cl.gain(x),
        lambda: cl.max_pool1d(x, min(2, n)) if len(shape) == 2 and axis == -1 else cl.gain(x),
        lambda: cl.avg_pool1d(x, min(2, n)) if len(shape) == 2 and axis == -1 else cl.gain(x),
    ]
    return pick(c, options)()


def joining(c: Chooser, x: Space, y: Space) -> cl.Term | None:
    """A box on two wires, or None if none fits."""
    a, b = x[0].shape, y[0].shape
    options: list[Callable[[], cl.Term]] = []
    if a == b:
        options += [lambda: cl.add(x), lambda: cl.mul(x), lambda: cl.sub(x), lambda: cl.id(x) @ positive(x) >> cl.div(x)]
    if len(a) == len(b) and a and a[:-1] == b[:-1]:
        options.append(lambda: cl.concat(-1)(x @ y))
    if len(a) == len(b) == 2 and a[1] == b[0]:
        options += [lambda: cl.matmul(x @ y), lambda: cl.einsum("ij,jk->ki")(x @ y)]
    if len(a) == 1 and len(b) == 1:
        options.append(lambda: cl.einsum("i,j->ij")(x @ y))
    if a == b and len(a) == 2:
        options.append(lambda: cl.copy(x) @ cl.id(y) >> cl.attention(x @ x @ y))
    if len(a) == 2 and len(b) == 1 and a[1] == b[0]:
        options.append(lambda: cl.einsum("ij,j->i")(x @ y))
    return pick(c, options)() if options else None


# --- terms ------------------------------------------------------------------------------------------------------------


def beside(dom: Space, i: int, box: cl.Term) -> cl.Term:
    """A box at wire i of a space, identities elsewhere."""
    n = len(box.dom)
    left, right = Space(dom.wires[:i]), Space(dom.wires[i + n :])
    return cl.par(*(t for t in (cl.id(left), box, cl.id(right)) if len(t.dom) or t is box))


def wiring(c: Chooser, dom: Space) -> cl.Term:
    """A random row of the wires: copies, discards and permutations. At least one wire, at most four."""
    n = c.integer(1, min(4, len(dom) + 1))
    return cl.Wiring(dom, tuple(c.integer(0, len(dom) - 1) for _ in range(n)))


@dataclass
class Grammar:
    """How to grow a term: which boxes, how deep."""

    c: Chooser
    boxes: Sequence[Callable[[Space], cl.Term]]
    shapes: bool = True  # may shapes change
    names: int = 0

    def step(self, dom: Space, depth: int) -> cl.Term:
        """One more part, starting from ``dom``."""
        c, kind = self.c, self.c.integer(0, 9 if depth else 5)
        i = c.integer(0, len(dom) - 1)
        if kind <= 1:  # every other time one with parameters, where they are allowed
            parametric = [box for box in self.boxes if box in polynomial()[PARAMETRIC.start : PARAMETRIC.stop]]
            return beside(dom, i, pick(c, parametric if kind == 1 and parametric else self.boxes)(Space((dom[i],))))
        if kind == 2:
            return wiring(c, dom)
        if kind == 3 and self.shapes:
            return beside(dom, i, moving(c, Space((dom[i],))))
        if kind <= 5:
            return self.join(dom, i)
        if kind == 6:
            return self.scoped(self.grow(dom, c.integer(1, 3), depth - 1))
        if kind == 7:
            return self.scoped(cl.repeat(c.integer(0, 2), beside(dom, i, self.endo(Space((dom[i],)))), shared=bool(c.integer(0, 1))))
        if kind == 8 and len(dom) > 1:
            k = c.integer(1, len(dom) - 1)
            left, right = Space(dom.wires[:k]), Space(dom.wires[k:])
            return self.grow(left, c.integer(1, 2), depth - 1) @ self.grow(right, c.integer(1, 2), depth - 1)
        x = Space((dom[i],))  # a residual branch
        return beside(dom, i, cl.copy(x) >> self.endo(x) @ cl.id(x) >> cl.add(x))

    def scoped(self, term: cl.Term) -> cl.Term:
        """The term under a name of its own."""
        self.names += 1
        return term.named(f"part{self.names}")

    def join(self, dom: Space, i: int) -> cl.Term:
        """Two wires become one; a wire and its copy if no two fit."""
        j = self.c.integer(0, len(dom) - 1)
        x, y = Space((dom[i],)), Space((dom[j],))
        box = joining(self.c, x, y) if self.shapes else pick(self.c, [cl.add, cl.mul, cl.sub])(x)
        if box is None:
            box, y, j = cl.mul(x), x, i
        rest = [k for k in range(len(dom)) if k not in (i, j)]
        return cl.Wiring(dom, (i, j, *rest)) >> beside(x @ y @ Space(tuple(dom[k] for k in rest)), 0, box)

    def endo(self, x: Space) -> cl.Term:
        """One or two boxes that keep the space of a wire."""
        term = pick(self.c, self.boxes)(x)
        return term >> pick(self.c, self.boxes)(x) if self.c.integer(0, 1) else term

    def grow(self, dom: Space, steps: int, depth: int) -> cl.Term:
        """A term from ``dom`` of so many steps."""
        term: cl.Term = self.step(dom, depth)
        for _ in range(steps - 1):
            term = term >> self.step(term.cod, depth)
        return term

    def edit(self, term: cl.Term) -> cl.Term:
        """Perhaps tie two parameters, perhaps freeze one."""
        c, names = self.c, list(term.params)
        if names and c.integer(0, 3) == 3:
            first = pick(c, names)
            equal = [n for n in names if term.params[n].space == term.params[first].space]
            if len(equal) > 1:
                term = term.at("|".join(equal[:2])).tie()
        if names and c.integer(0, 3) == 3:
            term = term.at(pick(c, list(term.params))).freeze()
        return term


@dataclass
class Drawn:
    """A term and the seed of its data."""

    term: cl.Term
    seed: int

    def inputs(self, batch: tuple[int, ...] = (), dtype: Any = torch.float64) -> list[torch.Tensor]:
        """Normal entries, ``(*batch, *event)`` for every wire."""
        g = torch.Generator().manual_seed(self.seed)
        shapes: Any = [(*(batch if w.batched else ()), *w.shape) for w in self.term.dom]
        return [torch.randn(shape, generator=g, dtype=dtype) for shape in shapes]

    def params(self, dtype: Any = torch.float64) -> dict[str, torch.Tensor]:
        """Normal entries for every parameter, scaled down so that deep terms stay moderate."""
        g = torch.Generator().manual_seed(self.seed + 1)
        shapes: Any = {name: p.wire.shape for name, p in self.term.params.items()}
        return {name: torch.randn(shape, generator=g, dtype=dtype) / 2 for name, shape in shapes.items()}

    def exact_inputs(self, space: Space | None = None, salt: int = 0) -> list[np.ndarray]:
        """Small fractions, an object array for every wire of the domain (or of another space)."""
        rng = np.random.default_rng((self.seed, salt))
        return [fractions(rng, w.shape) for w in (space or self.term.dom)]

    def exact_params(self) -> dict[str, np.ndarray]:
        """Small fractions for every parameter."""
        rng = np.random.default_rng((self.seed, 10**6))
        return {name: fractions(rng, p.wire.shape) for name, p in self.term.params.items()}


def fractions(rng: np.random.Generator, shape: Any) -> np.ndarray:
    """An array of small fractions."""
    out = np.empty(shape, dtype=object)
    for i in np.ndindex(out.shape):
        out[i] = Fraction(int(rng.integers(-4, 5)), int(rng.integers(1, 4)))
    return out


SHAPES = ((2,), (), (3,), (2, 3), (2, 2), (1,), (3, 2), (2, 1, 3))


def make(c: Chooser, seed: int, polynomials: bool = False, steps: int = 6, edit: bool = True) -> Drawn:
    """A term by these decisions. Polynomial terms are on wires of shape (2,) only."""
    grammar = Grammar(c, polynomial() if polynomials else pointwise(), shapes=not polynomials)
    dom = cl.I
    for _ in range(c.integer(1, 3)):
        dom = dom @ cl.R(*((2,) if polynomials else pick(c, SHAPES)))
    term = grammar.grow(dom, c.integer(1, steps), 2)
    return Drawn(grammar.edit(term) if edit else term, seed)


def random_term(seed: int, polynomials: bool = False, steps: int = 6) -> Drawn:
    """A term from a seed."""
    return make(Seeded(np.random.default_rng(seed)), seed, polynomials, steps)


@st.composite
def terms(draw: Any, polynomials: bool = False, steps: int = 4, edit: bool = True) -> Drawn:
    """Terms by hypothesis, with a seed for their data."""
    return make(Drawing(draw), draw(st.integers(0, 2**16)), polynomials, steps, edit)


@st.composite
def polynomial_maps(draw: Any, count: int = 3, parameters: bool = True, steps: int = 3) -> Any:
    """``count`` polynomial terms R(2) @ R(2) → R(2) @ R(2), each in a scope of its own, and a seed for data."""
    c, found = Drawing(draw), []
    boxes = polynomial() if parameters else [box for i, box in enumerate(polynomial()) if i not in PARAMETRIC]
    for k in range(count):
        grammar = Grammar(c, boxes, shapes=False)
        term = grammar.grow(cl.R(2) @ cl.R(2), c.integer(1, steps), 1)
        last = cl.Wiring(term.cod, tuple(c.integer(0, len(term.cod) - 1) for _ in range(2)))
        found.append((term >> last).named(f"f{k}"))
    return found, draw(st.integers(0, 2**16))
