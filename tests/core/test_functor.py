"""Functors out of terms: one method per constructor, the laws, depth, and change of base as an example of one."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest
import torch

import catlearn as cl
from catlearn import errors
from catlearn.core.functor import Endofunctor, Functor
from catlearn.core.spaces import Space
from catlearn.core.term import Box, Reparam, Wiring
from catlearn.meanings.base_change import ChangeBase, change_base
from catlearn.meanings.exact import evaluate
from catlearn.verify import laws
from tests.strategies import random_term

x = cl.R(2)


class Count(Functor[int]):
    """How many boxes run: a functor to the monoid of natural numbers, as a category with one object."""

    def box(self, box: Box) -> int:
        return 1

    def wiring(self, wiring: Wiring) -> int:
        return 0

    def seq(self, parts: Sequence[int]) -> int:
        return sum(parts)

    def par(self, parts: Sequence[int]) -> int:
        return sum(parts)

    def reparam(self, reparam: Reparam, body: int) -> int:
        return body


def polynomial_pair(seed: int) -> tuple[cl.Term, cl.Term]:
    """Two composable terms in scopes of their own."""
    f = random_term(seed, steps=3).term
    g = cl.par(*(cl.tanh(Space((w,))) for w in f.cod))
    return f.named("f"), g.named("g")


@pytest.mark.parametrize(
    "functor", [Count(), Endofunctor(), ChangeBase("float64"), ChangeBase("rationals")], ids=lambda F: type(F).__name__
)
@pytest.mark.parametrize("seed", range(8))
def test_functors_keep_identities_composites_and_products(functor: Functor[Any], seed: int) -> None:
    f, g = polynomial_pair(seed)
    report = laws.check_functor(functor, f, g)
    assert report, str(report)


def test_a_functor_that_counts_composites_is_refuted() -> None:
    class Bracketed(Count):
        def seq(self, parts: Sequence[int]) -> int:
            return sum(parts) + 1  # not associative: sees how many composites were written

    f, g = cl.tanh(x) >> cl.relu, cl.linear(x, x) >> cl.tanh
    assert laws.check_functor(Count(), f, g)
    assert {o.law for o in laws.check_functor(Bracketed(), f, g).failed} == {"F(f then g) = F(f) then F(g)", "F(id then f) = F(f)"}


def test_every_constructor_reaches_its_method() -> None:
    body = cl.tanh(x) >> cl.linear(x, x)
    term = cl.repeat(3, body).named("a") >> cl.copy(x) >> cl.add(x)
    assert Count()(term) == 3 * 2 + 1  # a repeat is n copies in a row
    assert Count()(term.at("*.bias").freeze()) == 7
    assert Count()(cl.repeat(0, body)) == 0


def test_a_functor_goes_as_deep_as_the_network() -> None:
    term = cl.id(x)
    for _ in range(20_000):
        term = term >> cl.tanh
    assert Count()(term) == 20_000
    nested = cl.tanh(x)
    for i in range(3_000):
        nested = nested.named(f"s{i}")
    assert Endofunctor()(nested) == nested


def test_the_identity_endofunctor_is_the_identity() -> None:
    for seed in range(40):
        term = random_term(seed).term
        assert Endofunctor()(term) == term


# --- change of base ---------------------------------------------------------------------------------------------------


def test_change_of_base_keeps_names_spaces_and_freezing() -> None:
    for seed in range(40):
        term = random_term(seed).term
        for base in ("float32", "float64", "rationals"):
            moved = change_base(term, base)
            assert dict(moved.params) == dict(term.params) and (moved.dom, moved.cod) == (term.dom, term.cod)
            assert change_base(moved, base) == moved


def test_parameters_start_in_the_new_base() -> None:
    weight = torch.tensor([[0.1, 0.2]])  # float32
    given = cl.Param(cl.parameter(cl.R(1, 2)), weight)
    f = cl.linear(x, cl.R(1), name="f").at("f.weight").reparam(cl.Cell((("w", given),), ("f.weight",), cl.id(given.space)))
    model = cl.compile(change_base(f, "float64"))
    assert {p.dtype for p in model.parameters()} == {torch.float64}
    assert torch.equal(model.state_dict()["w"], weight.double())  # float32 → float64 rounds nothing
    assert {p.dtype for p in cl.compile(f).parameters()} == {torch.float32}


def test_coefficients_are_rounded_to_the_base() -> None:
    tenth = cl.scale(cl.R(), 0.1)
    single = change_base(tenth, "float32")
    assert evaluate(change_base(single, "rationals"), "rationals", [1]).array.item() == Fraction(torch.tensor(0.1).item())
    assert evaluate(change_base(tenth, "rationals"), "rationals", [1]).array.item() == Fraction(0.1)
    assert single != tenth and change_base(tenth, "float64") == tenth
    assert change_base(change_base(tenth, "float32"), "float64") == single  # rounding once is rounding


def test_change_of_base_commutes_with_composition_and_not_only_up_to_rounding() -> None:
    f, g = cl.linear(x, x, name="f") >> cl.scale(0.1), cl.shift(x, 0.3) >> cl.linear(x, x, name="g")
    for base in ("float32", "float64", "rationals"):
        assert change_base(f >> g, base) == change_base(f, base) >> change_base(g, base)
        assert change_base(f @ g, base) == change_base(f, base) @ change_base(g, base)
    assert change_base(f >> g, "float32") != change_base(g >> f, "float32")


def test_the_square_of_bases_commutes_with_the_meaning() -> None:
    f = cl.linear(x, x, name="f") >> cl.scale(0.1) >> cl.power(2) >> cl.linear(x, x, name="g")
    single = change_base(f, "float32")
    double = change_base(single, "float64")
    exact = evaluate(change_base(double, "rationals"), "rationals", [[0.5, -3]])
    floats = cl.compile(double)(torch.tensor([0.5, -3.0], dtype=torch.float64))
    wanted = torch.tensor(exact.array.astype(float), dtype=torch.float64)
    torch.testing.assert_close(floats, wanted, rtol=1e-14, atol=1e-15)
    rounded = cl.compile(single)(torch.tensor([0.5, -3.0])).double()
    assert not torch.equal(rounded, wanted)  # float32 is not a ring homomorphism: it only comes close
    torch.testing.assert_close(rounded, wanted, rtol=1e-4, atol=1e-5)


def test_the_cells_of_a_term_move_with_it() -> None:
    p = cl.Param(cl.parameter(x))
    f = cl.bias(x, name="b").at("b.bias").reparam(cl.Cell((("half", p),), ("b.bias",), cl.scale(p.space, 0.1)))
    moved = change_base(f, "rationals")
    assert evaluate(moved, "rationals", [[0, 0]], {"half": [1, 2]}).array.tolist() == [Fraction(0.1), 2 * Fraction(0.1)]


def test_an_unknown_base_is_refused() -> None:
    with pytest.raises(errors.NoRule, match="float32, float64, rationals"):
        change_base(cl.id(x), "float16")
