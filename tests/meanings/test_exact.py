"""The exact meanings against integers by hand, against torch, and against sympy's own algebra."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sympy
import torch

import catlearn as cl
from catlearn import errors
from catlearn.boxes.cells import bind
from catlearn.meanings.build import definition
from catlearn.meanings.exact import Rationals, evaluate
from catlearn.meanings.functional import function
from catlearn.meanings.symbolic import Z2Polynomials, symbolic
from tests.strategies import fractions, random_term

x = cl.R()


def numbers(value: Any) -> Any:
    return value.array.tolist()


def as_floats(value: Any) -> torch.Tensor:
    return torch.tensor(value.array.astype(float) if value.array.shape else float(value.array.item()), dtype=torch.float64)


# --- every rule against an independent computation -------------------------------------------------------------------

A = np.arange(1, 7).reshape(2, 3)
B = np.arange(3, 9).reshape(2, 3)
M = cl.R(2, 3)
RULES: dict[str, tuple[cl.Term, list[Any], Any]] = {
    "add": (cl.add(M), [A, B], A + B),
    "sub": (cl.sub(M), [A, B], A - B),
    "mul": (cl.mul(M), [A, B], A * B),
    "div": (cl.div(M), [A, B], [[Fraction(int(a), int(b)) for a, b in zip(r, s, strict=True)] for r, s in zip(A, B, strict=True)]),
    "scale": (cl.scale(M, Fraction(1, 2)), [A * 2], A),
    "shift": (cl.shift(M, -3), [A], A - 3),
    "power": (cl.power(M, 3), [A], A**3),
    "negative power": (cl.power(M, -1), [A], [[Fraction(1, int(a)) for a in row] for row in A]),
    "sum": (cl.sum(M, 0), [A], A.sum(0)),
    "sum keep": (cl.sum(M, (0, 1), True), [A], [[21]]),
    "mean": (cl.mean(M), [A], [2, 5]),
    "max": (cl.max(M, 0), [A], A.max(0)),
    "relu": (cl.relu(M), [A - 3], np.maximum(A - 3, 0)),
    "step": (cl.step(M), [A - 3], (A > 3).astype(int)),
    "reshape": (cl.reshape(M, (3, -1)), [A], A.reshape(3, 2)),
    "flatten": (cl.flatten(M), [A], A.reshape(6)),
    "transpose": (cl.transpose(M), [A], A.T),
    "broadcast": (cl.broadcast(cl.R(1, 3), (2, 2, 3)), [A[:1]], np.broadcast_to(A[:1], (2, 2, 3))),
    "concat": (cl.concat(0)(M @ M), [A, B], np.concatenate([A, B], 0)),
    "slice": (cl.slice(M, 1, 3), [A], A[:, 1:3]),
    "pad": (cl.pad(M, ((-1, 1, 2),), 7), [A], np.pad(A, ((0, 0), (1, 2)), constant_values=7)),
    "einsum": (cl.einsum("ij,kj->ik")(M @ M), [A, B], A @ B.T),
    "matmul": (cl.matmul(M @ cl.R(3, 2)), [A, B.T], A @ B.T),
    "full": (cl.discard(M) >> cl.full(cl.R(2), 4), [A], [4, 4]),
    "where": (cl.where(cl.boolean(2, 3) @ M @ M), [A > 2, A, B], np.where(A > 2, A, B)),
    "gather": (cl.gather(cl.R(3) @ cl.index(3, 2)), [[5, 6, 7], [2, 0]], [7, 5]),
}


@pytest.mark.parametrize("name", RULES)
def test_a_rule_computes_what_numpy_computes(name: str) -> None:
    term, inputs, wanted = RULES[name]
    found = evaluate(term, "rationals", inputs)
    assert numbers(found) == np.array(wanted, dtype=object).tolist()


def test_conv_is_the_convolution_sum() -> None:
    f = cl.conv1d(cl.R(1, 4), 1, 2, bias=False, name="c")
    found = evaluate(f, "rationals", [[[1, 2, 3, 5]]], {"c.weight": [[[1, 10]]]})
    assert numbers(found) == [[21, 32, 53]]  # x_i + 10 x_{i+1}


@pytest.mark.parametrize("seed", range(60))
def test_polynomial_terms_over_the_rationals_are_what_torch_computes(seed: int) -> None:
    drawn = random_term(seed, polynomials=True, steps=4)
    inputs, params = drawn.exact_inputs(), drawn.exact_params()
    exact = evaluate(drawn.term, "rationals", inputs, params)
    tensors = [torch.tensor(a.astype(float), dtype=torch.float64) for a in inputs]
    weights = {name: torch.tensor(p.astype(float), dtype=torch.float64) for name, p in params.items()}
    floats = function(drawn.term.graph)(weights, {}, None, True, *tensors)
    for value, wanted in zip(exact if isinstance(exact, tuple) else (exact,), floats, strict=True):
        assert all(isinstance(v, Fraction) for v in value.array.flat)
        torch.testing.assert_close(as_floats(value), wanted, rtol=1e-10, atol=1e-8)


@pytest.mark.parametrize("seed", range(25))
def test_every_term_has_a_formula_that_torch_agrees_with(seed: int) -> None:
    drawn = random_term(seed, steps=3)
    rng = np.random.default_rng(seed)
    inputs = [fractions(rng, w.shape) + Fraction(1, 7) for w in drawn.term.dom]
    params = drawn.exact_params()
    found = evaluate(drawn.term, "sympy", inputs, params)
    tensors = [torch.tensor(np.asarray(a).astype(float), dtype=torch.float64) for a in inputs]
    weights = {name: torch.tensor(p.astype(float), dtype=torch.float64) for name, p in params.items()}
    floats = function(drawn.term.graph)(weights, {}, None, True, *tensors)
    for value, wanted in zip(found if isinstance(found, tuple) else (found,), floats, strict=True):
        values = [float(sympy.N(v, 20)) for v in value.array.flat]
        torch.testing.assert_close(torch.tensor(values, dtype=torch.float64), wanted.flatten(), rtol=1e-9, atol=1e-9)


def test_a_definition_and_its_box_have_one_formula() -> None:
    box = cl.softmax(cl.R(2))
    left, right = symbolic(box).outputs[0], symbolic(definition(box)).outputs[0]
    assert all(sympy.simplify(a - b) == 0 for a, b in zip(left, right, strict=True))
    a, b = sympy.symbols("x_0 x_1", real=True)
    assert sympy.simplify(left[0] - sympy.exp(a) / (sympy.exp(a) + sympy.exp(b))) == 0


def test_evaluation_is_a_functor_on_the_nose() -> None:
    f, g = cl.linear(cl.R(2), cl.R(3), name="f"), cl.power(cl.R(3), 2) >> cl.linear(cl.R(3), cl.R(1), name="g")
    p = {n: fractions(np.random.default_rng(1), q.wire.shape) for n, q in (f >> g).params.items()}
    start = [Fraction(1, 3), Fraction(-2, 5)]
    inside = evaluate(f, "rationals", [start], p)
    assert numbers(evaluate(f >> g, "rationals", [start], p)) == numbers(evaluate(g, "rationals", [inside.array], p))


def test_a_literal_is_a_decimal_and_a_tensor_is_its_bits() -> None:
    assert evaluate(cl.scale(x, 0.1), "rationals", [1]).array.item() == Fraction(1, 10)
    assert evaluate(cl.id(x), "rationals", [torch.tensor(0.1, dtype=torch.float64)]).array.item() == Fraction(0.1) != Fraction(1, 10)


def test_binding_a_parameter_to_its_value_changes_nothing() -> None:
    tenth = torch.tensor([0.1], dtype=torch.float64)
    f = cl.bias(cl.R(1))
    given = numbers(evaluate(f, "rationals", [[0]], {"bias.bias": tenth}))
    assert numbers(evaluate(f.at("*").reparam(bind(tenth)), "rationals", [[0]])) == given == [Fraction(0.1)]


def test_every_coefficient_is_moved_to_the_base() -> None:
    def rationals(f: cl.Term) -> cl.Term:
        return cl.change_base(cl.change_base(f, "float32"), "rationals")

    def rounded(v: float) -> Fraction:
        return Fraction(float(np.float32(v)))

    assert evaluate(rationals(cl.constant([0.1, 0.2], cl.R(2))), "rationals").array.tolist() == [rounded(0.1), rounded(0.2)]
    assert evaluate(rationals(cl.power(x, 0.1)), "sympy", [2]).array.item() == sympy.Integer(2) ** sympy.Rational(str(rounded(0.1)))
    delta, far = rounded(0.1), evaluate(rationals(cl.huber(x, delta=0.1)), "rationals", [3, 0]).array.item()
    assert far == delta * (3 - delta / 2)
    kept = cl.constant([1, 2], cl.index(3, 2)) @ cl.constant([True], cl.boolean(1))
    assert cl.change_base(kept, "float32") == kept


def test_without_parameters_the_starting_values_are_taken() -> None:
    term = cl.linear(cl.R(1), cl.R(1), bias=False).at("*").reparam
    given = cl.Cell(
        (("w", cl.Param(cl.parameter(cl.R(1, 1)), torch.tensor([[2.5]]))),), ("linear.weight",), cl.id(cl.parameter(cl.R(1, 1)))
    )
    assert numbers(evaluate(term(given), "rationals", [[3]])) == [Fraction(15, 2)]


def test_symbolic_sizes_are_read_off_the_inputs() -> None:
    n = cl.dim("n")
    f = cl.mean(cl.R(n)) >> cl.reshape((1,)) >> cl.broadcast((n,))
    assert numbers(evaluate(f, "rationals", [[1, 2, 6]])) == [3, 3, 3]


# --- what a base cannot say -------------------------------------------------------------------------------------------


def test_what_has_no_meaning_is_named_with_its_box_its_line_and_the_next_step() -> None:
    net = cl.linear(cl.R(2), cl.R(2)) >> cl.gelu.__call__(name="gate")
    with pytest.raises(errors.NoRule, match=r"rationals has no rule for erf, in the box 'gate'.*test_exact.py:\d+") as caught:
        evaluate(net, "rationals", [[1, 2]])
    assert "next: cl.symbolic(f)" in str(caught.value)


@pytest.mark.parametrize(
    ("term", "what"),
    [
        (cl.relu(x), "relu"),
        (cl.scale(x, 0.5), "0.5, whose denominator is even"),
        (cl.power(x, -1), "an exponent of -1"),
        (cl.exp(x), "exp"),
    ],
    ids=["relu", "half", "inverse", "exp"],
)
def test_z2_refuses_what_needs_order_halves_or_limits(term: cl.Term, what: str) -> None:
    with pytest.raises(errors.NoRule, match=r"POLY\(Z2\)") as caught:
        symbolic(term, base="Z2")
    assert what in str(caught.value)


def test_effects_index_inputs_unknown_bases_and_bad_data_are_named() -> None:
    with pytest.raises(errors.NoRule, match="random"):
        symbolic(cl.dropout(x))
    with pytest.raises(errors.NoRule, match="state"):
        symbolic(cl.batch_norm(cl.R(2)))
    with pytest.raises(errors.NoRule, match="index entries"):
        symbolic(cl.id(cl.index(3)))
    with pytest.raises(errors.NoRule, match="the bases are"):
        evaluate(cl.id(x), "reals", [1])
    with pytest.raises(errors.BadInput, match=r"given \(2,\), needed \(3,\)"):
        evaluate(cl.id(cl.R(3)), "rationals", [[1, 2]])
    with pytest.raises(errors.BadInput, match="0 to the power -1"):
        evaluate(cl.power(x, -1), "rationals", [0])
    with pytest.raises(errors.ParamMismatch, match=r"linear\.bias"):
        evaluate(cl.linear(cl.R(1), cl.R(1)), "rationals", [[1]], {"linear.weight": [[1]]})
    with pytest.raises(errors.NoRule, match="fused=False"):
        evaluate(cl.reverse(cl.layer_norm(cl.R(2))), "sympy", [[1, 2], [1, 1]], {"layer_norm.weight": [1, 1], "layer_norm.bias": [0, 0]})


# --- formulas ---------------------------------------------------------------------------------------------------------


def test_symbols_are_named_after_inputs_and_parameters() -> None:
    s = symbolic(cl.linear(cl.R(2), cl.R(1), name="f"))
    w0, w1, b, x0, x1 = sympy.symbols("f.weight_0_0 f.weight_0_1 f.bias_0 x_0 x_1", real=True)
    assert sympy.expand(s.outputs[0][0] - (w0 * x0 + w1 * x1 + b)) == 0
    assert set(s.params) == {"f.weight", "f.bias"} and set(s.inputs) == {"x"}
    assert r"\mathrm{f.weight}_{0,1}" in s.latex() and "y_{0} &=" in s.latex()


def test_variables_do_not_capture_one_another() -> None:
    one = cl.R(1)
    row = cl.bias(one).at("*").rename("p")
    number = cl.bias(x, name="other").at("*").rename("p_0")
    for base in ("sympy", "Z2"):
        s = symbolic(row @ number, base)
        assert len({str(v) for array in [*s.inputs.values(), *s.params.values()] for v in array.flat}) == 4
        first, second = s.at({"p": [3], "x0": [10], "x1": 100, "p_0": 5})
        assert [str(first[0]), str(second)] == (["13", "105"] if base == "sympy" else ["1", "1"])
        s = symbolic(cl.bias(x).at("*").rename("x"), base)
        assert set(s.params) == {"x"} and set(s.inputs) == {"x'"}
        assert str(s.at({"x": 2, "x'": 5})) == ("7" if base == "sympy" else "1")
        assert str(s.at({"x": 2})) == ("x' + 2" if base == "sympy" else "x'")


def test_at_evaluates_exactly_and_leaves_the_rest_symbolic() -> None:
    s = symbolic(cl.linear(cl.R(2), cl.R(1), name="f"))
    half = s.at({"f.weight": [["1/2", "1/3"]], "f.bias": [0]})
    x0, x1 = sympy.symbols("x_0 x_1", real=True)
    assert half[0] == x0 / 2 + x1 / 3
    assert s.at({"f.weight": [["1/2", "1/3"]], "f.bias": [0], "x": [1, 1]})[0] == sympy.Rational(5, 6)
    with pytest.raises(errors.NothingMatched, match=r"f\.bias"):
        s.at({"f.bia": [0]})
    with pytest.raises(errors.BadInput, match="wrong shape"):
        s.at({"f.bias": [0, 1]})


def test_the_derivative_of_gelu_is_the_formula_of_the_book() -> None:
    (y,) = symbolic(cl.reverse(cl.gelu(x), fused=False)).outputs
    v, c = sympy.symbols("x0 x1", real=True)
    phi = sympy.exp(-(v**2) / 2) / sympy.sqrt(2 * sympy.pi)
    cumulative = (1 + sympy.erf(v / sympy.sqrt(2))) / 2
    assert sympy.simplify(y.item() - c * (cumulative + v * phi)) == 0


# --- boolean circuits -------------------------------------------------------------------------------------------------


def full_adder() -> cl.Term:
    """(a, b, carry) ↦ (sum, carry'), with add as exclusive or and mul as and."""
    total = cl.add(x) @ cl.id(x) >> cl.add(x)
    majority = cl.Wiring(x @ x @ x, (0, 1, 1, 2, 0, 2)) >> cl.mul(x) @ cl.mul(x) @ cl.mul(x) >> cl.add(x) @ cl.id(x) >> cl.add(x)
    return cl.copy(x @ x @ x) >> total @ majority


def test_a_full_adder_adds_bits() -> None:
    s = symbolic(full_adder(), base="Z2")
    for a in (0, 1):
        for b in (0, 1):
            for carry in (0, 1):
                low, high = (str(v) for v in s.at({"x0": a, "x1": b, "x2": carry}))
                assert int(low) + 2 * int(high) == a + b + carry


def test_formal_polynomials_are_those_of_sympy_modulo_two() -> None:
    s = symbolic(full_adder() >> cl.mul(x) >> cl.power(3), base="Z2")
    a, b, c = sympy.symbols("x0 x1 x2")
    wanted = sympy.Poly(((a + b + c) * (a * b + b * c + a * c)) ** 3, a, b, c, modulus=2)
    found = {tuple(dict(m).get(str(v), 0) for v in (a, b, c)) for m in s.outputs[0].item().monomials}
    assert found == set(wanted.monoms())


def test_a_square_is_never_reduced() -> None:
    o = Z2Polynomials()
    t = o.symbol("t")
    assert t * t != t and t + t == o.number(0) and str(t**2 + t + o.number(3)) == "t^2 + t + 1"
    assert symbolic(cl.power(x, 2), base="Z2").outputs[0].item() == o.symbol("x") ** 2


def test_shapes_are_checked_in_definitions_too() -> None:
    o = Rationals()
    with pytest.raises(errors.BadBox, match="2 equal wires"):
        o.add(o.value([1, 2]), o.value([1]))


def test_entries_of_index_and_boolean_wires_are_neither_rounded_nor_wrapped():
    one_hot, where = cl.one_hot(cl.index(3)), cl.where(cl.boolean() @ cl.R() @ cl.R())
    assert evaluate(one_hot, "rationals", [2]).array.tolist() == [0, 0, 1]
    for wrong in (2.7, -1, 3):
        with pytest.raises(errors.BadInput, match=str(wrong)):
            evaluate(one_hot, "rationals", [wrong])
    with pytest.raises(errors.BadInput, match=r"range\(4\)"):  # a position on a symbolic axis
        n = cl.dim("n")
        evaluate(cl.one_hot(cl.index(n)) @ cl.id(cl.R(n)), "rationals", [4, [1, 2, 3, 4]])
    assert evaluate(where, "rationals", [True, 1, 2]).array.tolist() == 1
    for wrong in (0.5, 2):
        with pytest.raises(errors.BadInput, match=str(wrong)):
            evaluate(where, "rationals", [wrong, 1, 2])


@pytest.mark.parametrize("base", ["rationals", "sympy", "Z2"])
def test_what_is_no_number_is_refused_by_name(base):
    f = cl.add(cl.R(2))
    for wrong in ([float("nan"), 1], ["1/", 2], [[1], [2, 3]]):
        with pytest.raises(errors.BadInput):
            evaluate(f, base, [wrong, [0, 0]])
    one, two = evaluate(f, base, [[True, 2], [0, 1]]).array  # a truth value is 0 or 1
    assert (str(one), str(two)) == ("1", "3" if base != "Z2" else "1")
