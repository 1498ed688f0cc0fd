"""The laws of learners: ``check_learner(f, x, y)`` puts a learner before the category Learn.

A learner A → B is (implement, update, request). Learn is a category (associativity, units) by the definition of its composition, so what
can fail is that *your* learner is no functor of its network: ``(f >> g)`` learned as one arrow must be ``f`` and ``g`` learned one after
the other, where f's targets are g's requests (Fong, Spivak, Tuyéras, arXiv:1711.10455, theorem III.2). A rate in the request, or a
request that forgets the factor of a mean, breaks it. For a loss without requests these laws do not apply and say so.

>>> import catlearn as cl
>>> f = cl.learner(cl.linear(cl.R(3), cl.R(2)) >> cl.tanh, cl.mse, cl.sgd(0.1))
>>> print(check_learner(f))
laws of the learner composite : R(3) → R(2)
learner
  ✓ step gives the same twice and overwrites nothing
  ✓ update is step
  ✓ id then f = f = f then id
  ✓ (f then g) then g = f then (g then g)
  ✓ the learner of f then g = the learner of f then that of g
  ✓ the learner of f @ g = the learner of f @ that of g
6 held, 0 failed, 0 do not apply
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch

from catlearn import errors
from catlearn.core.spaces import Space
from catlearn.core.term import Term
from catlearn.verify.laws.report import FAILED, HELD, NOT, LawReport, Outcome
from catlearn.verify.laws.subject import DoesNotApply, close


def check_learner(f: Any, x: Any = None, y: Any = None, seed: int = 0, batch: int = 3, tolerance: float = 1e-9) -> LawReport:
    """Every law on a learner, in float64, at the batch ``x``, ``y`` (tensors or tuples of them) or at a random one.

    A law fails if two sides differ by more than ``tolerance`` relative to 1 + their size in some entry, or if something raises.
    Raises ``BadInput`` for an empty batch, on which everything would agree.
    """
    case, outcomes = _Case(f, x, y, seed, batch), []
    rows = [given if isinstance(given, tuple) else (given,) for given in (x, y) if given is not None]
    if batch < 1 or not all(t.numel() for row in rows for t in row):
        raise errors.BadInput("an empty batch tells nothing about a learner", next="give at least one example")
    for name, law in LAWS.items():
        status, note = NOT, "nothing was compared"
        try:
            for left, right in law(case):
                status, note = HELD, ""
                if problem := _differs(left, right, tolerance):
                    status, note = FAILED, problem
                    break
        except (DoesNotApply, errors.NotSeparable) as reason:
            status, note = NOT, str(reason).splitlines()[0]
        except Exception as error:  # a wrong learner may raise anything
            status, note = FAILED, f"raised {type(error).__name__}: {error}".splitlines()[0]
        outcomes.append(Outcome("learner", name, status, note))
    return LawReport(f"the learner {f.model}", tuple(outcomes))


@dataclass(frozen=True)
class _Case:
    """A learner f : A → B, another one g : B → B like it, their states and a batch."""

    f: Any
    x: Any
    y: Any
    seed: int
    batch: int

    def row(self, given: Any, space: Space, salt: int) -> tuple[torch.Tensor, ...]:
        if given is not None:
            row = given if isinstance(given, tuple) else (given,)
            return tuple(t.double() if t.is_floating_point() else t for t in row)
        generator = torch.Generator().manual_seed(self.seed + salt)
        return tuple(self.draw(wire, generator) for wire in space)

    def draw(self, wire: Any, generator: torch.Generator) -> torch.Tensor:
        shape = (self.batch, *wire.shape)
        if not all(isinstance(size, int) for size in shape):
            raise DoesNotApply("a symbolic size: give x and y")
        if wire.kind == "float":
            return torch.rand(shape, generator=generator, dtype=torch.float64)
        high = wire.bound if wire.kind == "index" and isinstance(wire.bound, int) else 2
        drawn = torch.randint(high, shape, generator=generator)
        return drawn.bool() if wire.kind == "bool" else drawn

    @cached_property
    def xs(self) -> tuple[torch.Tensor, ...]:
        return self.row(self.x, self.f.model.dom, 1)

    @cached_property
    def ys(self) -> tuple[torch.Tensor, ...]:
        return self.row(self.y, self.f.target, 2)

    def one(self) -> tuple[Any, Any]:
        """The batch of a learner with one input and one target."""
        if len(self.xs) != 1 or len(self.ys) != 1:
            raise DoesNotApply("these laws are stated for one input and one target")
        return self.xs[0], self.ys[0]

    @cached_property
    def g(self) -> Any:
        """A learner B → B with parameters of its own, the same loss and the same optimiser."""
        from catlearn.boxes.contract import Bias, Gain
        from catlearn.core.term import Box

        cod = self.f.model.cod
        if len(cod) != 1 or cod[0].kind != "float" or not cod[0].axes:
            raise DoesNotApply("the codomain has no axis for another learner to act on")
        term: Term = Box(Gain(), cod, "gain") >> Box(Bias(), cod, "bias")
        return replace(self.f, model=term.named("after"))

    @cached_property
    def p(self) -> Any:
        return self.f.init(self.seed, dtype=torch.float64)

    @cached_property
    def q(self) -> Any:
        start, generator = self.g.init(self.seed, dtype=torch.float64), torch.Generator().manual_seed(self.seed + 3)
        moved = {k: v + torch.rand(v.shape, generator=generator, dtype=torch.float64) for k, v in start.params.items()}
        return self.g.start(moved, start.state, self.seed)  # off its start, at which it is the identity


Sides = Iterator[tuple[Any, Any]]


def purity(case: _Case) -> Sides:
    before = case.p.clone()
    first, loss = case.f.step(case.p, case.xs, case.ys)
    second, again = case.f.step(case.p, case.xs, case.ys)
    yield (loss, first), (again, second)
    yield case.p, before


def update_is_step(case: _Case) -> Sides:
    yield case.f.update(case.p, case.xs, case.ys), case.f.step(case.p, case.xs, case.ys)[0]


def units(case: _Case) -> Sides:
    f, (a, b) = case.f.arrow(), case.one()
    unit = type(f)(lambda p, a: a, lambda p, a, b: p, lambda p, a, b: b)
    for both, p in ((unit >> f, ((), case.p)), (f >> unit, (case.p, ()))):
        yield both.implement(p, a), f.implement(case.p, a)
        yield [s for s in both.update(p, a, b) if s != ()], [f.update(case.p, a, b)]
        yield both.request(p, a, b), f.request(case.p, a, b)


def associativity(case: _Case) -> Sides:
    f, g, (a, b) = case.f.arrow(), case.g.arrow(), case.one()
    p, q = case.p, case.q
    left, right = (f >> g) >> g, f >> (g >> g)
    yield left.implement(((p, q), q), a), right.implement((p, (q, q)), a)
    (u, v), w = left.update(((p, q), q), a, b)
    yield (u, (v, w)), right.update((p, (q, q)), a, b)
    yield left.request(((p, q), q), a, b), right.request((p, (q, q)), a, b)


def then(case: _Case) -> Sides:
    a, b = case.one()
    yield from _functor(case, case.f >> case.g, case.f.arrow() >> case.g.arrow(), a, b, a, b)


def beside(case: _Case) -> Sides:
    a, b = case.one()
    c = case.f.implement(case.p, a).flip(0)  # an input for g
    yield from _functor(case, case.f @ case.g, case.f.arrow() @ case.g.arrow(), (a, c), (b, b), (a, c), (b, b))


def _functor(case: _Case, whole: Any, parts: Any, x: Any, y: Any, a: Any, b: Any) -> Sides:
    state = whole.start({**case.p.params, **case.q.params}, {**case.p.state, **case.q.state}, case.seed)
    pair = (case.p, case.q)
    yield whole.implement(state, x), parts.implement(pair, a)
    for _ in range(2):  # the second step shows what the optimiser kept from the first
        state, pair = whole.update(state, x, y), parts.update(pair, a, b)
        yield state.params, {**pair[0].params, **pair[1].params}
    if all(wire.kind == "float" for wire in whole.model.dom):
        yield whole.request(state, x, y), parts.request(pair, a, b)


LAWS: dict[str, Callable[[_Case], Sides]] = {
    "step gives the same twice and overwrites nothing": purity,
    "update is step": update_is_step,
    "id then f = f = f then id": units,
    "(f then g) then g = f then (g then g)": associativity,
    "the learner of f then g = the learner of f then that of g": then,
    "the learner of f @ g = the learner of f @ that of g": beside,
}


def _flat(value: Any) -> list[torch.Tensor]:
    """The tensors of a value: states, mappings (by name), tuples, tensors."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        return [t for name in sorted(value) for t in _flat(value[name])]
    if isinstance(value, list | tuple):
        return [t for item in value for t in _flat(item)]
    return [*_flat(value.params), *_flat(value.optimiser.slots), *_flat(value.state)]


def _differs(left: Any, right: Any, tolerance: float) -> str:
    a, b = _flat(left), _flat(right)
    if [t.shape for t in a] != [t.shape for t in b]:
        return f"shapes {[tuple(t.shape) for t in a]} against {[tuple(t.shape) for t in b]}"
    for s, t in zip(a, b, strict=True):
        if not close(s, t, tolerance):
            return f"differs by {(s.double() - t.double()).abs().max().item():.3g}"
    return ""


__all__ = ["LAWS", "check_learner"]
