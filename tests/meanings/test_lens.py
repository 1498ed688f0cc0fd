"""What would break if a term's lens were not its value and its reverse derivative, compositionally."""

import pytest
import torch

import catlearn as cl
from catlearn import errors

X, H, Y = cl.R(6), cl.R(8), cl.R(3)
f = (cl.linear(X, H, name="a") >> cl.gelu).named("f")
g = (cl.copy(H) >> (cl.linear(H, Y, name="b") >> cl.tanh) @ cl.linear(H, Y, name="c") >> cl.mul).named("g")


def close(a, b):
    return all(torch.allclose(x, y, rtol=1e-12, atol=1e-12) for x, y in zip(a, b, strict=True))


def values(lens, batch=(4,)):
    xs = tuple(torch.randn(*batch, *wire.shape, dtype=torch.float64) for wire in lens.dom)
    dys = tuple(torch.randn(*batch, *wire.shape, dtype=torch.float64) for wire in lens.cod)
    return lens.init(dtype=torch.float64), xs, dys


def autograd(term, p, xs, dys):
    p = {k: v.clone().requires_grad_() for k, v in p.items()}
    xs = [x.clone().requires_grad_() for x in xs]
    ys = term(*xs, params=p)
    grads = torch.autograd.grad(ys, [*p.values(), *xs], dys if isinstance(ys, tuple) else dys[0])
    return dict(zip(p, grads, strict=False)), grads[len(p) :]


@pytest.mark.parametrize("batch", [(), (4,), (2, 3), (0,)])
def test_put_is_autograd(batch):
    lens = cl.lens(f >> g)
    p, xs, dys = values(lens, batch)
    dp, dxs = lens.put(p, xs, dys)
    expected, dxs_expected = autograd(f >> g, p, xs, dys)
    assert list(dp) == sorted(expected) and close(dp.values(), (expected[k] for k in dp)) and close(dxs, dxs_expected)


def test_put_is_bit_equal_to_autograd_in_float32():
    lens = cl.lens(f >> g)
    p = lens.init()
    x, dy = torch.randn(5, 6), torch.randn(5, 3)
    dp, dxs = lens.put(p, (x,), (dy,))
    expected, dxs_expected = autograd(f >> g, p, (x,), (dy,))
    assert all(torch.equal(dp[k], expected[k]) for k in dp) and torch.equal(dxs[0], dxs_expected[0])


def test_lens_is_a_functor_for_then_and_beside():
    for whole, parts in ((cl.lens(f >> g), cl.lens(f) >> cl.lens(g)), (cl.lens(f @ g), cl.lens(f) @ cl.lens(g))):
        assert (whole.dom, whole.cod, whole.params) == (parts.dom, parts.cod, parts.params)
        p, xs, dys = values(whole)
        one, other = whole.get(p, *xs), parts.get(p, *xs)
        assert close(one, other) if isinstance(one, tuple) else torch.equal(one, other)
        (dp, dx), (dq, dz) = whole.put(p, xs, dys), parts.put(p, xs, dys)
        assert set(dp) == set(dq) and close(dp.values(), (dq[k] for k in dp)) and close(dx, dz)


def test_composing_in_the_wrong_order_is_seen():
    h = (cl.linear(H, H, name="h") >> cl.tanh).named("h")
    p, xs, dys = values(cl.lens(f >> h >> g))
    q = {**p, "h.h.weight": p["h.h.weight"] * 2}
    assert not torch.allclose(cl.lens(f >> h >> g).put(p, xs, dys)[1][0], cl.lens(f >> h >> g).put(q, xs, dys)[1][0])


def test_a_frozen_parameter_has_no_cotangent():
    lens = cl.lens((f >> g).at("f").freeze())
    p, xs, dys = values(lens)
    assert sorted(lens.put(p, xs, dys)[0]) == ["g.b.bias", "g.b.weight", "g.c.bias", "g.c.weight"]


def test_a_tied_parameter_has_the_sum_of_the_cotangents():
    p, xs, dys = values(cl.lens(f >> g))
    p["g.c.weight"] = p["g.b.weight"]
    q = {k: v for k, v in p.items() if k != "g.c.weight"}
    apart, _ = cl.lens(f >> g).put(p, xs, dys)
    tied, _ = cl.lens((f >> g).at("g.*.weight").tie()).put(q, xs, dys)
    assert torch.allclose(tied["g.b.weight"], apart["g.b.weight"] + apart["g.c.weight"], rtol=1e-12)


def test_an_unused_input_has_the_zero_cotangent_with_its_batch():
    lens = cl.lens(f @ cl.discard(Y))
    p, xs, dys = values(lens, (2, 3))
    _, (_, dy) = lens.put(p, xs, dys)
    assert torch.equal(dy, torch.zeros(2, 3, 3, dtype=torch.float64))


def test_bad_arguments_are_named():
    lens = cl.lens(f >> g)
    p, xs, _dys = values(lens)
    with pytest.raises(errors.ParamMismatch, match=r"missing: g\.c\.bias"):
        lens.get({k: v for k, v in p.items() if k != "g.c.bias"}, *xs)
    with pytest.raises(errors.BadInput, match="2 inputs given, 1 needed"):
        lens.get(p, *xs, *xs)
    with pytest.raises(errors.BadInput, match="needed \\(\\*batch, 6\\)"):
        lens.get(p, xs[0][:, :5])
    with pytest.raises(errors.NameUsedTwice):
        cl.lens(f) @ cl.lens(f)
    with pytest.raises(errors.BadSpace):
        cl.lens(g) >> cl.lens(f)


@pytest.mark.parametrize("batch", [(), (4,), (2, 3)])
def test_parameters_on_a_constant_get_the_cotangent_summed_over_the_batch(batch):
    position = cl.discard(X) >> cl.full(X, 1.5) >> cl.linear(X, X, name="position") >> cl.tanh
    h = cl.copy(X) >> cl.id(X) @ position >> cl.mul(X)
    lens = cl.lens(h)
    p, xs, dys = values(lens, batch)
    dp, dxs = lens.put(p, xs, dys)
    expected, dxs_expected = autograd(h, p, xs, dys)
    assert close(dp.values(), (expected[k] for k in dp)) and close(dxs, dxs_expected)
    slow = cl.compile(cl.reverse(h, fused=False), p)(*xs, *dys)
    assert close(slow, (*dp.values(), *dxs))


def test_the_reverse_of_an_opaque_box_can_be_differentiated_again():
    def cube(x):
        return x**3 * x.sum(-1, keepdim=True)

    backward = cl.compile(cl.reverse(cl.box("cube", X, X, torch=cube)))
    x, dy = (torch.randn(2, 6, dtype=torch.float64, requires_grad=True) for _ in range(2))
    ours = torch.autograd.grad((backward(x, dy) ** 2).sum(), [x, dy])
    (dx,) = torch.autograd.grad(cube(x), x, dy, create_graph=True)
    assert close(ours, torch.autograd.grad((dx**2).sum(), [x, dy]))


def test_lenses_of_random_boxes_of_one_name_do_not_compose():
    """They would draw the same numbers, which the lens of the composite does not."""
    x, key = cl.R(64), 3
    d, e = cl.dropout(x, 0.5), cl.dropout(x, 0.5, name="e")
    for compose in (lambda f, g: f >> g, lambda f, g: f @ g):
        with pytest.raises(errors.NameUsedTwice, match="dropout"):
            compose(cl.lens(d), cl.lens(d))
        both, whole = compose(cl.lens(d), cl.lens(e)), cl.lens(compose(d, e))
        xs = [torch.ones(64)] * len(whole.dom)
        for one, two in zip(both.get({}, *xs, key=key), whole.get({}, *xs, key=key), strict=True):
            assert torch.equal(one, two)


@pytest.mark.parametrize(
    ("dy", "says"),
    [
        (torch.ones(3, 2, dtype=torch.float64), "cotangent 0: given torch.float64, needed torch.float32"),
        (torch.ones(3, 5), r"cotangent 0: given shape \(3, 5\)"),
        (None, "cotangent 0: given NoneType, needed a torch.Tensor"),
        (torch.ones(3, 2, dtype=torch.int64), "cotangent 0: given torch.int64"),
    ],
    ids=["dtype", "shape", "none", "integers"],
)
def test_a_cotangent_that_does_not_fit_is_named(dy, says):
    f = cl.lens(cl.linear(cl.R(4), cl.R(2)) >> cl.tanh)
    params = {name: torch.ones(p.wire.shape) for name, p in f.params.items()}
    with pytest.raises(errors.BadInput, match=says):
        f.put(params, (torch.ones(3, 4),), (dy,))
