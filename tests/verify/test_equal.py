"""``equal`` and ``commutes``: identities are proved, their mutants refuted by a point that reproduces, and nothing is overclaimed."""

from fractions import Fraction

import numpy as np
import pytest
import torch

import catlearn as cl
from catlearn.errors import BadClaim
from catlearn.verify.equal import commutes, equal
from catlearn.verify.identities import zero

X, Y, Z = cl.R(3), cl.R(2), cl.R(2, 2)


def linear(dom, cod, name, bias=True):
    return cl.linear(dom, cod, name=name, bias=bias)


A, B = linear(X, Y, "a"), linear(Y, Y, "b")
HALF = cl.scale(0.5)(X)
EQUAL = {
    "interchange": (A @ cl.id(Y) >> cl.id(Y) @ B, cl.id(X) @ B >> A @ cl.id(Y), "canonical form"),
    "numbers pass a linear map": (
        cl.scale(2)(X) >> linear(X, Y, "a", bias=False) >> cl.scale(Fraction(1, 2))(Y),
        linear(X, Y, "a", bias=False),
        "polynomial identity",
    ),
    "binomial": (
        cl.add(X) >> cl.power(2)(X),
        cl.copy(X @ X, 3)
        >> (cl.mul(X) >> cl.scale(2)(X)) @ (cl.power(2)(X) @ cl.power(2)(X) >> cl.add(X)) @ cl.discard(X @ X)
        >> cl.add(X),
        "polynomial identity",
    ),
    "softmax sees differences": (cl.softmax(X), cl.shift(3)(X) >> cl.softmax(X), "polynomial identity"),
    "layer norm sees no shift": (cl.layer_norm(X, name="n"), cl.shift(3)(X) >> cl.layer_norm(X, name="n"), "polynomial identity"),
    "sigmoid is a tanh": (cl.sigmoid(X), HALF >> cl.tanh(X) >> cl.shift(1)(X) >> HALF, "polynomial identity"),
    "relu twice": (cl.relu(X) >> cl.relu(X), cl.relu(X), "polynomial identity"),
    "relu of both signs": (
        cl.copy(X) >> cl.relu(X) @ (cl.scale(-1)(X) >> cl.relu(X) >> cl.scale(-1)(X)) >> cl.add(X),
        cl.id(X),
        "polynomial identity",
    ),
    "attention sees products": (
        cl.attention(Z @ Z @ Z),
        cl.scale(2)(Z) @ cl.scale(Fraction(1, 2))(Z) @ cl.id(Z) >> cl.attention,
        "polynomial identity",
    ),
    "gates of O(2) are homogeneous of degree 0 in a sign": (
        cl.scale(-1)(cl.space(cl.O(2), 2)) >> cl.norm_gate(cl.space(cl.O(2), 2)) >> cl.scale(-1)(cl.space(cl.O(2), 2)),
        cl.norm_gate(cl.space(cl.O(2), 2)),
        "polynomial identity",
    ),
}


def values(f, g, seed):
    """Both outputs in float64 at a random point, computed by torch: independent of formulas and canonical forms."""
    rng = np.random.default_rng(seed)
    params = {n: torch.tensor(rng.normal(size=p.wire.shape)) for t in (f, g) for n, p in t.params.items()}
    xs = [torch.tensor(rng.normal(size=w.shape)) for w in f.dom]
    return [cl.compile(t, {n: params[n] for n in t.params}, dtype=torch.float64)(*xs) for t in (f, g)]


@pytest.mark.parametrize("name", EQUAL)
def test_an_identity_is_proved_both_ways_and_holds_in_torch(name):
    f, g, by = EQUAL[name]
    answer = equal(f, g)
    assert (answer.verdict, answer.by, bool(answer)) == ("proved", by, True), answer
    assert equal(g, f).verdict == equal(f, f).verdict == "proved"
    for seed in range(3):
        for a, b in zip(*(y if isinstance(y, tuple) else (y,) for y in values(f, g, seed)), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


UNEQUAL = {
    "a bias does not pass": (cl.scale(2)(X) >> A >> cl.scale(Fraction(1, 2))(Y), A, True),
    "half a binomial": (cl.add(X) >> cl.power(2)(X), cl.power(2)(X) @ cl.power(2)(X) >> cl.add(X), True),
    "softmax sees factors": (cl.softmax(X), cl.scale(3)(X) >> cl.softmax(X), False),
    "rms norm sees a shift": (cl.rms_norm(X, name="n"), cl.shift(3)(X) >> cl.rms_norm(X, name="n"), False),
    "relu is not the identity": (cl.relu(X), cl.id(X), True),
    "a jump at one point": (cl.step(X), cl.scale(-1)(X) >> cl.step(X) >> cl.scale(-1)(X) >> cl.shift(1)(X), True),
    "two names": (linear(X, X, "a") >> linear(X, X, "b"), linear(X, X, "b") >> linear(X, X, "a"), True),
    "a permuted wire": (A @ B, cl.swap(X, Y) >> B @ A, True),
}


@pytest.mark.parametrize("name", UNEQUAL)
def test_a_mutant_is_refuted_by_a_point_that_reproduces(name):
    f, g, exact = UNEQUAL[name]
    answer = equal(f, g)
    w = answer.witness
    assert answer.verdict == "refuted" and not answer and w is not None and w.exact == exact
    for term, told in ((f, w.left), (g, w.right)):
        params = {n: torch.tensor(np.asarray(w.params[n], float)) for n in term.params}
        xs = [torch.tensor(np.asarray(x, float)) for x in w.inputs]
        ys = cl.compile(term, params, dtype=torch.float64)(*xs)
        for y, t in zip(ys if isinstance(ys, tuple) else (ys,), told, strict=True):
            np.testing.assert_allclose(y.detach().numpy(), np.asarray(t, float), atol=1e-9)
        assert all((a == b).all() for a, b in zip(w.run(term), told, strict=True))
    assert max(float(abs(np.asarray(a - b, float)).max()) for a, b in zip(w.left, w.right, strict=True)) > 1e-6
    assert "f gives" in str(answer) and "g gives" in str(answer)


def test_all_sizes_are_claimed_only_where_the_method_covers_them():
    n = cl.dim("n", min=4)
    x = cl.space(cl.S(n), 2)
    f, g = linear(x, x, "a"), linear(x, cl.space(cl.S(n), 3), "b")
    whole = equal(f @ cl.id(x) >> cl.id(x) @ g, cl.id(x) @ g >> f @ cl.id(g.cod))
    assert whole and "every n ≥ 4" in whole.claim
    double, sum_of_two = cl.scale(2)(x), cl.copy(x) >> cl.add(x)
    half_known = equal(double, sum_of_two)
    assert half_known.verdict == "unknown" and "n = 4" in half_known.reason
    at_five = equal(double, sum_of_two, sizes={"n": 5})
    assert at_five and "n = 5" in at_five.claim and "every" not in at_five.claim
    other = cl.equivariant(x, cl.R(2), name="e", normalise="sum"), cl.equivariant(x, cl.R(2), name="e", normalise="mean")
    told = equal(*other)
    assert told.verdict == "refuted" and told.witness is not None and told.witness.sizes == {"n": 4}


def test_equal_at_one_size_only_is_refuted_at_another():
    """Σ_i x_i against n times the first: equal to 4 times the mean at n = 4 alone."""
    n = cl.dim("n", min=4)
    x = cl.R(n)
    f, g = cl.sum(x), cl.mean(x) >> cl.scale(4)(cl.R())
    assert equal(f, g, sizes={"n": 4})
    answer = equal(f, g)
    assert answer.verdict == "refuted" and answer.witness is not None and answer.witness.sizes == {"n": 5}


def test_open_names_are_renamed_and_the_claim_says_so():
    f, g = cl.linear(X, X), cl.linear(Y, Y)
    answer = equal(f @ g, cl.swap(X, Y) >> g @ f >> cl.swap(Y, X))
    assert answer and answer.renaming["linear.weight"] == "linear_1.weight" and "linear.weight of f as linear_1.weight of g" in answer.claim


def test_what_cannot_be_decided_is_unknown():
    dropped = equal(cl.dropout(0.5)(X), cl.id(X))
    assert dropped.verdict == "unknown" and not dropped and "random" in dropped.reason
    looked_up = cl.embedding(3, 5, name="e")(cl.index(5, 3))
    assert equal(looked_up, looked_up >> cl.relu(looked_up.cod)).verdict == "refuted"
    assert equal(looked_up >> cl.scale(2), looked_up >> cl.copy(looked_up.cod) >> cl.add(looked_up.cod)).verdict == "unknown"
    few = cl.embedding(3, 5, name="e")(cl.index(5, 2))
    assert equal(few >> cl.scale(2), few >> cl.copy(few.cod) >> cl.add(few.cod))  # for each of 25 inputs
    large = cl.R(5000)
    assert "too many" in equal(cl.scale(2)(large), cl.copy(large) >> cl.add(large)).reason


def test_equal_terms_may_stand_for_each_other():
    for name in ("softmax sees differences", "relu twice"):
        f, g, _ = EQUAL[name]
        assert equal(f >> cl.power(2)(X), g >> cl.power(2)(X)) and equal(f @ A, g @ A)


def test_squares_and_paths_commute_or_not():
    double, halve = cl.scale(2)(X), cl.scale(Fraction(1, 2))(X)
    assert commutes(cl.relu(X), double, double, cl.relu(X))  # relu is homogeneous
    assert commutes([double, halve], cl.id(X), [halve, double])
    assert commutes(cl.tanh(X), double, double, cl.tanh(X)).verdict == "refuted"
    wrong = commutes(cl.id(X), [double, halve], [double, double])
    assert wrong.verdict == "refuted" and "path 2" in wrong.claim
    assert commutes(cl.relu(X), cl.tanh(X), cl.relu(X), cl.tanh(X)).by == "canonical form"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: equal(A, B), "start from different spaces"),
        (lambda: equal(A, linear(X, X, "a")), "end in different spaces"),
        (lambda: equal(A, 5), "no term"),
        (lambda: equal(linear(X, X, "a") >> linear(X, Y, "b"), linear(X, Y, "a") >> linear(Y, Y, "c")), "two spaces"),
        (lambda: equal(A, A, sizes={"n": 3}), "symbolic sizes are none"),
        (lambda: equal(cl.relu(cl.R(cl.dim("n", min=4))), cl.relu(cl.R(cl.dim("n", min=4))), sizes={"n": 3}), "n ≥ 4"),
        (lambda: commutes(A), "at least two"),
        (lambda: commutes([], A), "no path"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(BadClaim, match=words):
        call()


def test_zero_is_no_guess():
    import sympy

    x, y = sympy.symbols("x y", real=True)
    assert zero((x - y) * (x + y) - x**2 + y**2) and not zero((x - y) ** 2 - x**2 - y**2)
    assert not zero(sympy.exp(x) - 1 - x) and not zero(sympy.Max(x, 0) - x) and not zero(sympy.sqrt(x**2) - x)
    wide = sum(sympy.Symbol(f"z{i}") for i in range(40)) ** 9
    assert not zero(wide - wide.subs("z0", "z0") - x + x + sympy.Symbol("z41"))  # too wide to expand: not seen, and not waited for
