"""``reverse`` against torch's autograd, against sympy's own differentiation, and against the axioms RD1 to RD7."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
import sympy
import torch
from hypothesis import given, settings

import catlearn as cl
from catlearn.boxes.arithmetic import Mul
from catlearn.meanings.exact import evaluate
from catlearn.meanings.functional import function
from catlearn.meanings.reverse import reverse, reverse_graph
from catlearn.meanings.symbolic import symbolic
from catlearn.verify import laws
from tests.strategies import Drawn, random_term, terms

BATCHES = [(), (3,), (2, 2), (1,)]
x = cl.R()


# --- against autograd -------------------------------------------------------------------------------------------------


def autograd(drawn: Drawn, params: Any, inputs: Any) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Random cotangents and what torch makes of them: for trainable parameters by name, then for inputs."""
    graph = drawn.term.graph
    p = {name: value.clone().requires_grad_(graph.params[name].trainable) for name, value in params.items()}
    xs = [value.clone().requires_grad_() for value in inputs]
    ys = function(graph)(p, {}, None, True, *xs)
    g = torch.Generator().manual_seed(drawn.seed + 2)
    dys = [torch.randn(y.shape, generator=g, dtype=y.dtype) for y in ys]
    wanted = [p[name] for name in sorted(p) if graph.params[name].trainable] + xs
    pairs = [(y, dy) for y, dy in zip(ys, dys, strict=True) if y.requires_grad]
    if not pairs:
        return dys, [torch.zeros_like(v) for v in wanted]
    grads = torch.autograd.grad([y for y, _ in pairs], wanted, [dy for _, dy in pairs], allow_unused=True)
    return dys, [torch.zeros_like(v) if grad is None else grad for v, grad in zip(wanted, grads, strict=True)]


def gap(drawn: Drawn, batch: tuple[int, ...], fused: bool) -> float:
    """The largest difference between reverse and autograd, relative to 1 + the size of the gradient."""
    inputs, params = drawn.inputs(batch), drawn.params()
    dys, wanted = autograd(drawn, params, inputs)
    found = function(reverse_graph(drawn.term.graph, fused))(params, {}, None, True, *inputs, *dys)
    assert [g.shape for g in found] == [w.shape for w in wanted]
    gaps = [float((f - w).abs().max() / (1 + w.abs().max())) for f, w in zip(found, wanted, strict=True) if w.numel()]
    return max(gaps, default=0.0)


@pytest.mark.parametrize("block", range(4))
def test_reverse_is_autograd_on_a_thousand_random_terms(block: int) -> None:
    worst: dict[tuple[int, bool], float] = {}
    for seed in range(250 * block, 250 * (block + 1)):
        drawn = random_term(seed)
        for fused in (True, False):
            worst[seed, fused] = gap(drawn, BATCHES[seed % 4], fused)
    assert {where: value for where, value in worst.items() if not value < 1e-10} == {}


@given(terms())
@settings(max_examples=60)
def test_reverse_is_autograd_and_shrinks_where_it_is_not(drawn: Drawn) -> None:
    assert gap(drawn, (2,), True) < 1e-10
    assert gap(drawn, (2,), False) < 1e-10


def test_a_wrong_vjp_is_refuted_by_autograd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mul, "vjp", lambda self, o, args, outs, douts: (o.mul(douts[0], args[0]), o.mul(douts[0], args[1])))
    assert max(gap(random_term(seed), (), False) for seed in range(60)) > 1e-3


def test_reverse_has_the_type_it_promises() -> None:
    f = (cl.linear(cl.R(3), cl.R(2)) @ cl.id(cl.index(4)) >> cl.copy(cl.R(2)) @ cl.id(cl.index(4))).at("*.bias").freeze()
    back = reverse(f)
    assert back.dom == f.dom @ cl.R(2) @ cl.R(2)
    assert back.cod == cl.parameter(cl.R(2, 3)) @ cl.R(3)  # the frozen bias and the index wire have no cotangent
    assert dict(back.params) == dict(f.params)


def test_the_value_of_the_reference() -> None:
    f = cl.power(x, 2) @ cl.id(x) >> cl.mul(x)  # x²y; ∂x = 2xy·5 = 60, ∂y = x²·5 = 45 at (3, 2)
    assert [v.array.item() for v in evaluate(reverse(f, fused=False), "rationals", [3, 2, 5])] == [60, 45]
    found = reverse(f)(torch.tensor(3.0), torch.tensor(2.0), torch.tensor(5.0))
    assert [v.item() for v in found] == [60.0, 45.0]


# --- against sympy, exactly -------------------------------------------------------------------------------------------


def rational_of(v: Fraction) -> Any:
    return sympy.Rational(v.numerator, v.denominator)


def gradient(outputs: Any, covectors: Any, variable: Any) -> Any:
    """The derivative of ⟨covectors, outputs⟩ by one variable, by sympy."""
    pairs = [(y, c) for out, dy in zip(outputs, covectors, strict=True) for y, c in zip(out.flat, dy.flat, strict=True)]
    return sympy.sympify(sum(rational_of(c) * sympy.diff(y, variable) for y, c in pairs))


@pytest.mark.parametrize("seed", range(40))
def test_reverse_is_exact_on_polynomial_terms(seed: int) -> None:
    drawn = random_term(seed, polynomials=True, steps=3)
    forms = symbolic(drawn.term)
    inputs, params = drawn.exact_inputs(), drawn.exact_params()
    covectors = drawn.exact_inputs(drawn.term.cod, salt=1)
    point = {}
    for variables, values in [*zip(forms.inputs.values(), inputs, strict=True), *((forms.params[n], params[n]) for n in params)]:
        point.update((s, rational_of(v)) for s, v in zip(variables.flat, values.flat, strict=True))
    learned = [name for name in sorted(drawn.term.params) if drawn.term.params[name].trainable]
    found = evaluate(reverse(drawn.term, fused=False), "rationals", [*inputs, *covectors], params)
    wanted = [*(forms.params[n] for n in learned), *forms.inputs.values()]
    for value, variables in zip(found if isinstance(found, tuple) else (found,), wanted, strict=True):
        for got, variable in zip(value.array.flat, variables.flat, strict=True):
            assert rational_of(got) == gradient(forms.outputs, covectors, variable).xreplace(point)


def test_over_z2_the_derivative_of_a_square_is_zero_and_that_of_x_is_one() -> None:
    square, identity = cl.power(x, 2), cl.id(x)
    both = [evaluate(reverse(f, fused=False), "Z2", [1, 1]).array.item() for f in (square, identity)]
    assert [str(v) for v in both] == ["0", "1"]  # x² and x agree at both bits, so reducing one to the other would be wrong
    assert symbolic(square, base="Z2").outputs[0].item() != symbolic(identity, base="Z2").outputs[0].item()


# --- Para: the values of the reference --------------------------------------------------------------------------------


def test_the_composite_of_gain_and_bias_is_seven_and_tying_gives_eight() -> None:
    one = cl.R(1)
    f, g = cl.gain(one, name="f"), cl.bias(one, name="g")  # f = p·a, g = q + b
    assert evaluate(f >> g, "rationals", [[3]], {"f.gain": [2], "g.bias": [1]}).array.tolist() == [7]
    tied = (f >> g).at("f|g").tie("t")
    assert list(tied.params) == ["t"]
    assert evaluate(tied, "rationals", [[3]], {"t": [2]}).array.tolist() == [8]
    back = evaluate(reverse(tied, fused=False), "rationals", [[3], [1]], {"t": [2]})
    assert [v.array.tolist() for v in back] == [[4], [2]]  # d(t·a + t)/dt = a + 1, d/da = t


def test_fraction_exponents_reverse_as_sympy_says() -> None:
    root = reverse(cl.power(x, Fraction(1, 2)), fused=False)
    (y,) = symbolic(root).outputs
    v, c = sympy.symbols("x0 x1", real=True)
    assert sympy.simplify(y.item() - c / (2 * sympy.sqrt(v))) == 0


# --- cotangents without batch axes ------------------------------------------------------------------------------------


def test_a_third_reverse_has_its_type_and_the_shapes_of_autograd_in_a_batch() -> None:
    w = cl.R(2)
    second = reverse(reverse(cl.bias(w), fused=False), fused=False)
    third = reverse(second)
    g = torch.Generator().manual_seed(0)
    params = {name: torch.randn(2, generator=g) for name in second.params}
    xs = [torch.randn(((3,) if wire.batched else ()) + (2,), generator=g, requires_grad=True) for wire in second.dom]
    ys = function(second.graph)(params, {}, None, True, *xs)
    assert [wire.role for wire in third.cod] == ["parameter", *(wire.role for wire in second.dom)]
    dys = [torch.randn(y.shape, generator=g) for y in ys]
    inputs = {name: value.requires_grad_() for name, value in params.items()}
    pairs = [(y, dy) for y, dy in zip(function(second.graph)(inputs, {}, None, True, *xs), dys, strict=True) if y.requires_grad]
    outs, covectors = zip(*pairs, strict=True)
    wanted = torch.autograd.grad(outs, [*inputs.values(), *xs], covectors, allow_unused=True)
    dps, dxs = cl.lens(second).put(params, tuple(x.detach() for x in xs), tuple(dys))
    for dx, x, grad in zip([*dps.values(), *dxs], [*inputs.values(), *xs], wanted, strict=True):
        assert dx.shape == x.shape
        torch.testing.assert_close(dx, torch.zeros_like(x) if grad is None else grad)


def test_the_laws_hold_of_a_reverse_derivative() -> None:
    report = laws.check(reverse(cl.bias(cl.R(2))), trials=3)
    assert report, str(report)


@pytest.mark.parametrize("batch", BATCHES)
def test_a_rule_that_gives_a_constant_is_repeated_over_the_batch(batch: tuple[int, ...]) -> None:
    w = cl.R(2)
    f = cl.box("stairs", w, w, torch="torch.floor({x0})", vjp=lambda o, args, outs, douts: (o.full(o.wire(args[0]), 0.0),))
    (dx,) = function(reverse_graph(f.graph))({}, {}, None, True, torch.ones(*batch, 2), torch.ones(*batch, 2))
    assert torch.equal(dx, torch.zeros(*batch, 2))
    square = cl.copy(w) >> f @ cl.id(w) >> cl.mul(w)  # ⌊x⌋·x, whose derivative is ⌊x⌋
    (dx,) = function(reverse_graph(square.graph))({}, {}, None, True, torch.full((*batch, 2), 2.5), torch.ones(*batch, 2))
    assert torch.equal(dx, torch.full((*batch, 2), 2.0))
