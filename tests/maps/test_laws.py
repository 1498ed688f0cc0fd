"""The laws of maps over random expressions of all kinds; the expected matrices are numpy's, from the definition of each kind."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from catlearn import maps
from catlearn.maps.reverse import RULES
from tests.maps.reference import matrix
from tests.maps.strategies import SPACES, numbers, typed

TOLERANCE = 1e-10
quick = settings(max_examples=60, deadline=None, derandomize=True,
                 suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much])  # fmt: skip


def expected(f, values):
    return torch.from_numpy(np.array(matrix(f, {k: v.detach().numpy() for k, v in values.items()}), dtype=float))


def close(a, b):
    return a.shape == b.shape and torch.allclose(a, b, TOLERANCE, TOLERANCE)


def kron(a, b):
    return torch.from_numpy(np.kron(a.numpy(), b.numpy()))


@quick
@given(f=typed(), batch=st.sampled_from([(), (4,), (2, 3), (0,)]))
def test_dense_and_apply_are_the_matrix(f, batch):
    values = numbers(f)
    m = expected(f, values)
    assume(bool(m.isfinite().all()))
    assert close(f.dense(values, torch.float64), m), f
    x = torch.randn((*batch, *f.dom), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    y = f.apply(x, values)
    assert y.shape == (*batch, *f.cod)
    assert close(y.reshape(*batch, m.shape[0]), x.reshape(*batch, m.shape[1]) @ m.T), f


@quick
@given(f=typed())
def test_transpose(f):
    values = numbers(f)
    assert close(f.T.dense(values, torch.float64), expected(f, values).T), f
    assert f.T.T.dom == f.dom
    x = torch.randn((3, *f.cod), dtype=torch.float64)
    assert close(f.T.apply(x, values).reshape(3, -1), x.reshape(3, -1) @ expected(f, values)), f


@settings(quick, max_examples=20)
@given(data=st.data())
def test_then_tensor_and_sum_are_those_of_matrices(data):
    a, b, c, d = (data.draw(SPACES) for _ in range(4))
    f, g, h, k = (data.draw(typed(x, y, 1)) for x, y in ((a, b), (b, c), (a, b), (c, d)))
    values = numbers(f >> g >> k) | numbers(h)
    F, G, H, K = (expected(z, values) for z in (f, g, h, k))
    for made, m in [(f >> g, G @ F), (f @ k, kron(F, K)), (f + h, F + H), (f - h, F - H), ((f + h) >> g, G @ F + G @ H),
                    ((f @ g) >> (g @ k), kron(G @ F, K @ G)), (f * h, F * H), (-3 * f, -3 * F),
                    (maps.direct_sum(f, g), torch.block_diag(F, G)), (maps.block([[f, h]]), torch.cat([F, H], 1))]:  # fmt: skip
        own = {name: values[name] for name in made.params}
        assert close(made.dense(own, torch.float64), m), made
        x = torch.randn((2, *made.dom), dtype=torch.float64)
        assert close(made.apply(x, own).reshape(2, -1), x.reshape(2, -1) @ m.T), made


@quick
@given(f=typed())
def test_rank_bound_bounds_the_rank(f):
    m = expected(f, numbers(f))
    assume(bool(m.isfinite().all()))
    assert torch.linalg.matrix_rank(m, rtol=1e-9) <= f.rank_bound, f


@settings(quick, max_examples=30)
@given(f=typed())
def test_gradients_are_those_of_the_matrix(f):
    values = {k: v.requires_grad_() for k, v in numbers(f).items()}
    x = torch.randn((3, *f.dom), dtype=torch.float64, requires_grad=True)
    assume(bool(f.dense(values, torch.float64).isfinite().all()))
    dy = torch.randn((3, *f.cod), dtype=torch.float64)
    leaves = [x, *values.values()]
    found = torch.autograd.grad(f.apply(x, values), leaves, dy, allow_unused=True, materialize_grads=True)
    plain = f.plan(3).plain(x, 3, x, *values.values())[0]
    wanted = torch.autograd.grad(plain, leaves, dy, allow_unused=True, materialize_grads=True) if plain.requires_grad else found
    for a, b in zip(found, wanted, strict=True):
        assert close(a, b), f
    m = expected(f, values)
    assert close(found[0].reshape(3, -1), dy.reshape(3, -1) @ m), f
    for policy in ("planned", "factored", "dense"):
        forced = torch.autograd.grad(f.apply(x, values, f.plan(3).using(forward="factored", input=policy, parameters=policy)), leaves, dy,
                                     allow_unused=True, materialize_grads=True)  # fmt: skip
        for a, b in zip(forced, found, strict=True):
            assert close(a, b), (policy, f)


@settings(quick, max_examples=12)
@given(f=typed(depth=1))
def test_gradcheck_and_second_derivatives(f):
    values = numbers(f)
    names = list(values)
    assume(bool(f.dense(values, torch.float64).isfinite().all()))
    x = torch.randn((2, *f.dom), dtype=torch.float64, requires_grad=True)
    args = [x, *(values[n].requires_grad_() for n in names)]
    call = lambda x, *vs: f.apply(x, dict(zip(names, vs, strict=True)))  # noqa: E731
    assert torch.autograd.gradcheck(call, args)
    assert torch.autograd.gradgradcheck(call, args)


@pytest.mark.parametrize("mutant", ["order of a chain", "order of a product", "sign", "untransposed"])
def test_mutants_break_the_laws(mutant):
    f, g = maps.dense("F", 3, 2), maps.dense("G", 2, 3)
    values = numbers(f >> g)
    F, G = expected(f, values), expected(g, values)
    wrong = {
        "order of a chain": (f >> g, F @ G),
        "order of a product": (f @ g, kron(G, F)),
        "sign": (f - g.T, F + G.T),
        "untransposed": (f.T, G),
    }[mutant]
    assert not close(wrong[0].dense(values if mutant != "untransposed" else {"F": values["F"]}), wrong[1])


def wrong_convolution(tape, step, r, dy, k):
    """Without turning the kernel round."""
    ins, out, _ = step.with_
    return tape.convolve((out, ins[1 - k]), ins[k], dy, step.args[1 - k], tape.lead(step.args[k]))


WRONG = {
    "einsum": lambda tape, step, r, dy, k: tape.scale(RIGHT["einsum"](tape, step, r, dy, k), 2),
    "permute": lambda tape, step, r, dy, k: tape.reshape(dy, tape.shape(step.args[0])),
    "convolve": wrong_convolution,
}
RIGHT = dict(RULES)


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_rule_of_the_reverse_is_found(kind, monkeypatch):
    f = maps.permute((2, 3, 4), (1, 2, 0)) >> maps.dense("A", 5, (3, 4, 2)) >> maps.circulant("c", 5)
    values, x = {k: v.requires_grad_() for k, v in numbers(f).items()}, torch.randn(3, 2, 3, 4, dtype=torch.float64, requires_grad=True)

    dy = torch.randn(3, 5, dtype=torch.float64)

    def off():
        found = torch.autograd.grad(f.apply(x, values, f.plan(3, force="factored")), x, dy)[0]
        return (found.reshape(3, -1) - dy @ f.dense(values)).abs().max()

    assert off() < TOLERANCE
    monkeypatch.setitem(RULES, kind, WRONG[kind])
    assert off() > 1e-3
