"""What would break if sizes were no ring, or spaces saw their bracketing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import catlearn as cl
from catlearn import errors
from catlearn.core.sizes import divide, evaluate

n, m = cl.dim("n"), cl.dim("m")
sizes = st.recursive(
    st.integers(-3, 5) | st.sampled_from([n, m]),
    lambda inner: st.tuples(st.sampled_from("+-*"), inner, inner).map(
        lambda t: {"+": t[1] + t[2], "-": t[1] - t[2], "*": t[1] * t[2]}[t[0]]
    ),
    max_leaves=6,
)


@given(sizes, sizes, sizes, st.integers(2, 7), st.integers(2, 7))
def test_sizes_are_a_ring_and_evaluation_a_homomorphism(a, b, c, i, j):
    at = {"n": i, "m": j}
    assert (a + b) + c == a + (b + c) and a + b == b + a and a * b == b * a and (a * b) * c == a * (b * c)
    assert a * (b + c) == a * b + a * c and a - a == 0
    assert evaluate(a * b + c, at) == evaluate(a, at) * evaluate(b, at) + evaluate(c, at)


@given(sizes)
def test_division_is_exact_or_refused(a):
    assert divide(a * (2 * n), 2 * n) == a
    with pytest.raises(errors.NotDivisible):
        divide(a * n + 1, n)


def test_a_size_without_a_value_is_named():
    with pytest.raises(errors.SizeUnknown, match="m"):
        evaluate(n * m, {"n": 3})


wires = st.sampled_from(
    [cl.R(3), cl.R(), cl.I, cl.index(4, 2), cl.boolean(3), cl.S(5).space(2, channels=2), cl.R(n), cl.parameter(cl.R(3))]
)


@given(wires, wires, wires)
def test_side_by_side_is_strictly_monoidal(x, y, z):
    assert (x @ y) @ z == x @ (y @ z) and hash((x @ y) @ z) == hash(x @ (y @ z))
    assert x @ cl.I == x == cl.I @ x and len(x @ y) == len(x) + len(y)
    assert (x @ y == y @ x) == (tuple(x @ y) == tuple(y @ x))


def test_role_kind_and_group_are_part_of_a_space():
    assert cl.R(3) != cl.parameter(cl.R(3)) and cl.R(3) != cl.boolean(3) and cl.R(5) != cl.S(5).space()
    assert cl.S(5).space() != cl.A(5).space() != cl.S(5, name="users").space()
    assert cl.tangent(cl.R(2) @ cl.index(3) @ cl.boolean() @ cl.R()) == cl.R(2) @ cl.R()


@pytest.mark.parametrize(
    "make", [lambda: cl.R(-1), lambda: cl.R(2.5), lambda: cl.R(True), lambda: cl.R("n"), lambda: cl.S(0), lambda: cl.Sp(3),
             lambda: cl.dim("2n"), lambda: cl.S(3).space(-1), lambda: cl.index(-2), lambda: cl.copy(3), lambda: cl.space("x")]
)  # fmt: skip
def test_what_is_no_space_is_refused(make):
    with pytest.raises(errors.BadSpace):
        make()


@given(wires, wires)
def test_reprs_read_back(x, y):
    space = x @ y
    assert eval(repr(space), {**vars(cl), "n": n}) == space


def test_a_negative_power_of_a_size_is_no_size() -> None:
    n = cl.dim("n")
    assert n**0 == 1 and n**2 == n * n
    with pytest.raises(errors.NotDivisible):
        _ = n**-1
