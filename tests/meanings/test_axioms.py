"""The axioms RD1 to RD7 of a reverse derivative category, exactly: over the rationals and over POLY(Z₂), with mutants that fail them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings

import catlearn as cl
from catlearn.boxes.arithmetic import Add, Mul
from catlearn.core.spaces import Space, tangent
from catlearn.meanings.exact import Exact, Rationals
from catlearn.meanings.lens import lens
from catlearn.meanings.reverse import _Tape, reverse
from catlearn.meanings.symbolic import Z2Polynomials
from catlearn.verify import laws
from catlearn.verify.laws import derivative as rd
from catlearn.verify.laws.subject import uncurry
from tests.strategies import Drawn, polynomial_maps

x = cl.R()


def primitives(term: cl.Term) -> cl.Term:
    """The R of the axioms."""
    return reverse(term, fused=False)


def setting(o: Exact, R: Callable[[cl.Term], cl.Term] = primitives) -> rd.Setting:
    """Exact running of terms on object arrays."""

    def run(term: cl.Term, values: Any) -> list[Any]:
        graph = term.graph
        inputs = [o.value(v, wire) for v, wire in zip(values, term.dom, strict=True)]
        return [v.array for v in o.run(graph, inputs, {})]

    def total(v: Any) -> Any:
        return np.array(np.add.reduce(v, axis=None, initial=o.number(0)), dtype=object)

    return rd.Setting(R, run, lambda v: np.full(v.shape, o.number(0), dtype=object), total)


def rational(space: Space, seed: int, salt: int) -> list[Any]:
    """Random fractions on every wire."""
    return Drawn(cl.id(space), seed).exact_inputs(salt=salt)


def variables(space: Space, seed: int, salt: int) -> list[Any]:
    """A variable of its own for every entry, so that an equation is one of formal polynomials."""
    o, found = Z2Polynomials(), []
    for k, wire in enumerate(space):
        shape: Any = wire.shape
        array = np.empty(shape, dtype=object)
        for i in np.ndindex(array.shape):
            array[i] = o.symbol(f"v{salt}_{k}_{'_'.join(map(str, i))}")
        found.append(array)
    return found


def bits(space: Space, seed: int, salt: int) -> list[Any]:
    """Each entry one of 0, 1, t, t + 1 over Z₂: cheap, and t² still differs from t."""
    o, rng, found = Z2Polynomials(), np.random.default_rng((seed, salt)), []
    choices = [o.number(0), o.number(1), o.symbol("t"), o.symbol("t") + o.number(1)]
    for wire in space:
        shape: Any = wire.shape
        array = np.empty(shape, dtype=object)
        for i in np.ndindex(array.shape):
            array[i] = choices[rng.integers(4)]
        found.append(array)
    return found


BASES: dict[str, tuple[type[Exact], Any]] = {
    "rationals": (Rationals, rational),
    "Z2": (Z2Polynomials, bits),
    "Z2, formally": (Z2Polynomials, variables),
}


def axiom(name: str, s: rd.Setting, maps: list[cl.Term], draw: Callable[[Space, int], list[Any]]) -> Iterator[Any]:
    """The pairs of an axiom on these maps; f and g : A → B, h : B → C."""
    f, g, h = maps
    a, b, c = draw(f.dom, 0), draw(tangent(f.cod), 1), draw(tangent(f.cod), 2)
    v, w = draw(tangent(f.dom), 3), draw(tangent(f.dom), 4)
    yield from {
        "RD1": lambda: rd.rd1(s, f, g, a, b),
        "RD2": lambda: rd.rd2(s, f, a, b, c),
        "RD3": lambda: rd.rd3(s, f.dom, f.cod, a, c, v, b),
        "RD4": lambda: rd.rd4(s, f, g, a, b, c),
        "RD5": lambda: rd.rd5(s, f, h, a, draw(tangent(h.cod), 5)),
        "RD6": lambda: rd.rd6(s, f, a, b, c, v),
        "RD7": lambda: rd.rd7(s, f, a, b, v, w),
    }[name]()


def holds(name: str, base: str, maps: list[cl.Term], seed: int, R: Callable[[cl.Term], cl.Term] = primitives) -> bool:
    """Whether the axiom holds on the nose at this point."""
    kind, draw = BASES[base]
    pairs = list(axiom(name, setting(kind(), R), [uncurry(f) for f in maps], lambda space, salt: draw(space, seed, salt)))
    assert pairs
    return all(len(l) == len(r) and all(np.all(u == v) for u, v in zip(l, r, strict=True)) for l, r in pairs)


AXIOMS = [f"RD{i}" for i in range(1, 8)]


@pytest.mark.parametrize("base", ["rationals", "Z2"])
@pytest.mark.parametrize("name", AXIOMS)
@given(drawn=polynomial_maps(count=3, parameters=False))
@settings(max_examples=12)
def test_reverse_derivative_axiom_holds_exactly(name: str, base: str, drawn: Any) -> None:
    maps, seed = drawn
    assert holds(name, base, maps, seed)


@pytest.mark.parametrize("name", AXIOMS)
def test_reverse_derivative_axioms_are_identities_of_formal_polynomials(name: str) -> None:
    assert holds(name, "Z2, formally", GOOD, 0)


@pytest.mark.parametrize("base", ["rationals", "Z2"])
@pytest.mark.parametrize("name", ["RD2", "RD6", "RD7"])
@given(drawn=polynomial_maps(count=1, parameters=True, steps=2))
@settings(max_examples=8)
def test_axioms_hold_in_the_parameters_too(name: str, base: str, drawn: Any) -> None:
    (f,), seed = drawn
    assert holds(name, base, [f, f, f], seed)


# mutants: what must be caught, and by which axioms

TIMES = cl.copy(x) @ cl.id(x) >> cl.id(x) @ cl.mul(x)  # (x, y) ↦ (x, xy)
GOOD = [TIMES >> TIMES, cl.mul(x) >> cl.copy(x), cl.swap(x, x)]  # x @ x → x @ x each


def mutant_vjp(kind: type, rule: Callable[..., Any]) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(kind, "vjp", rule)


MUTANTS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], set[str]]] = {
    # R[+] with a sign: a sum no longer reverses to a sum, nor does it add in the second reverse
    "add with a sign": (mutant_vjp(Add, lambda s, o, args, outs, d: (d[0], o.neg(d[0]))), {"RD1"}),
    # R[·] with swapped arguments: linear in the covector, but no gradient field, so mixed partials differ
    "mul swapped": (mutant_vjp(Mul, lambda s, o, args, outs, d: (o.mul(d[0], args[0]), o.mul(d[0], args[1]))), {"RD7"}),
    # R[·] quadratic in the covector
    "mul squares the covector": (
        mutant_vjp(Mul, lambda s, o, args, outs, d: (o.mul(o.power(d[0], 2), args[1]), o.mul(o.power(d[0], 2), args[0]))),
        {"RD2", "RD6"},
    ),
    # a copied wire keeps one of its cotangents instead of their sum
    "copy forgets": (
        lambda patch: patch.setattr(
            _Tape, "accumulate", lambda self, grads, wire, grad: grads.update({wire: grad} if wire in self.active else {})
        ),
        {"RD1", "RD4"},
    ),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mutant_of_a_rule_fails_the_axioms_that_should_catch_it(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mutate, caught = MUTANTS[mutant]
    assert all(holds(name, "rationals", GOOD, 5) for name in AXIOMS)
    mutate(monkeypatch)
    assert {name for name in AXIOMS if not holds(name, "rationals", GOOD, 5)} >= caught


def test_a_reverse_that_doubles_fails_units_and_the_chain_rule_only() -> None:
    def doubled(term: cl.Term) -> cl.Term:
        back = primitives(term)
        return back >> cl.par(*(cl.scale(Space((w,)), 2) for w in back.cod)) if len(back.cod) else back

    failed = {name for name in AXIOMS if not holds(name, "rationals", GOOD, 5, doubled)}
    assert {"RD3", "RD5"} <= failed
    assert not failed & {"RD1", "RD2", "RD4"}  # those are linear in R


def test_a_lens_with_an_integer_output_stands_beside_another() -> None:
    # 3x beside an index and 5y: one cotangent goes to the first, one to the second; the index has none
    f, g = cl.id(cl.index(4)) @ cl.scale(x, 3), cl.scale(x, 5)
    both = lens(f) @ lens(g)
    inputs = (torch.tensor(2), torch.tensor(1.0), torch.tensor(1.0))
    _, (none, dx, dy) = both.put({}, inputs, (torch.tensor(10.0), torch.tensor(100.0)))
    assert none is None and dx.item() == 30 and dy.item() == 500
    assert laws.check(f, trials=1)


def test_axioms_catch_mutants_over_z2_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mul, "vjp", lambda s, o, args, outs, d: (o.mul(d[0], args[0]), o.mul(d[0], args[1])))
    assert not holds("RD7", "Z2, formally", GOOD, 0)
