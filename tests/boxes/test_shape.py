"""What would break if boxes that move entries, or add and multiply them, were not torch's."""

from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F

import catlearn as cl
from catlearn import errors
from tests.boxes.agree import BATCHES, agree, check_forward
from tests.labels import label

X = cl.R(2, 3, 4)


def event(f, order=3):
    """A function that puts the batch axes in front of a new event shape."""
    return lambda x: x.reshape((*x.shape[: x.dim() - order], *f))


MOVES = [
    (cl.reshape(X, (6, 4)), event((6, 4))),
    (cl.reshape(X, (4, -1)), event((4, 6))),
    (cl.reshape(X, (1, 24, 1)), event((1, 24, 1))),
    (cl.reshape(cl.R(1), ()), event((), 1)),
    (cl.reshape(cl.R(), (1, 1)), event((1, 1), 0)),
    (cl.flatten(X), lambda x: x.flatten(-3, -1)),
    (cl.flatten(X, 1, 2), lambda x: x.flatten(-2, -1)),
    (cl.flatten(X, -3, -2), lambda x: x.flatten(-3, -2)),
    (cl.transpose(X), lambda x: x.transpose(-1, -2)),
    (cl.transpose(X, (2, 0, 1)), lambda x: x.movedim(-1, -3)),
    (cl.transpose(X, (2, 1, 0)), lambda x: x.transpose(-1, -3)),
    (cl.slice(X, 1, 3), lambda x: x[..., 1:3]),
    (cl.slice(X, 0, 2, 1), lambda x: x[..., 0:2, :]),
    (cl.slice(X, 2, 2, 1), lambda x: x[..., 2:2, :]),
    (cl.pad(X, ((-1, 1, 2),)), lambda x: F.pad(x, (1, 2))),
    (cl.pad(X, ((0, 1, 0), (2, 0, 3)), value=2.5), lambda x: F.pad(x, (0, 3, 0, 0, 1, 0), value=2.5)),
    (cl.split(X, (1, 3)), lambda x: x.split([1, 3], -1)),
    (cl.split(X, (1, 0, 2), 1), lambda x: x.split([1, 0, 2], -2)),
    (cl.concat(cl.R(2, 3) @ cl.R(2, 1) @ cl.R(2, 0)), lambda *xs: torch.cat(xs, -1)),
    (cl.concat(cl.R(2, 3) @ cl.R(1, 3), 0), lambda *xs: torch.cat(xs, -2)),
]


@pytest.mark.parametrize("box, f", MOVES, ids=label)
def test_moves_agree_with_torch(box, f):
    agree(box, f, defined=box.op.definition is not None)


@pytest.mark.parametrize("dom, shape", [((4,), (3, 4)), ((3, 1), (3, 4)), ((1,), (5,)), ((), (2, 3)), ((2, 1, 1), (2, 3, 4)), ((4,), (4,))])
def test_broadcast_is_expand(dom, shape):
    order = len(dom)

    def reference(x):
        batch = x.shape[: x.dim() - order]
        return x.reshape(*batch, *[1] * (len(shape) - order), *dom).expand(*batch, *shape)

    agree(cl.broadcast(cl.R(*dom), shape), reference, defined=False, aten=False)


def test_another_move_is_told_apart():
    with pytest.raises(AssertionError, match="off by"):
        check_forward(cl.transpose(cl.R(3, 3)), lambda x: x)
    with pytest.raises(AssertionError, match="off by"):
        check_forward(cl.pad(cl.R(3), ((0, 1, 0),)), lambda x: F.pad(x, (1, 0), value=1.0))


@pytest.mark.parametrize("box, f", [
    (cl.add(X), torch.add), (cl.sub(X), torch.sub), (cl.mul(X), torch.mul), (cl.add(cl.R()), torch.add), (cl.mul(cl.R(0, 2)), torch.mul),
    (cl.scale(X, 3), lambda x: x * 3), (cl.scale(X, -1), torch.neg), (cl.scale(X, Fraction(1, 3)), lambda x: x * (1 / 3)),
    (cl.shift(X, 2), lambda x: x + 2), (cl.shift(cl.R(), Fraction(1, 4)), lambda x: x + 0.25),
    (cl.power(X, 3), lambda x: x**3), (cl.power(X, 0), lambda x: x**0), (cl.power(X, 1), lambda x: x**1),
], ids=label)  # fmt: skip
def test_arithmetic_agrees_with_torch(box, f):
    agree(box, f, defined=box.op.definition is not None, bits=False)


@pytest.mark.parametrize("box, f", [
    (cl.div(X), torch.div), (cl.power(X, -1), torch.reciprocal), (cl.power(X, Fraction(1, 2)), torch.sqrt),
    (cl.power(X, -0.5), torch.rsqrt), (cl.power(X, Fraction(5, 3)), lambda x: x ** (5 / 3)), (cl.power(X, -2), lambda x: x**-2),
], ids=label)  # fmt: skip
def test_quotients_and_roots_agree_where_they_are_smooth(box, f):
    def positive(batch, g):
        return [torch.rand(*batch, *map(int, w.shape), generator=g, dtype=torch.float64) + 0.5 for w in box.dom]

    agree(box, f, draw=positive, defined=box.op.definition is not None, bits=False)


def test_another_power_is_told_apart():
    with pytest.raises(AssertionError, match="off by"):
        check_forward(cl.power(X, 3), lambda x: x**2)


# -- parameters beside data, symbolic sizes ---------------------------------------------------------------------------


@pytest.mark.parametrize("batch", BATCHES)
def test_a_parameter_meets_data(batch):
    """Boxes with one wire without batch axes: the cotangent of that wire has none either."""
    p, x = torch.randn(4, dtype=torch.float64), torch.randn(*batch, 4, dtype=torch.float64)
    mixed = cl.parameter(cl.R(4)) @ cl.R(4)
    cases = [(cl.Box(cl.add(cl.R(4)).op, mixed), lambda p, x: p + x), (cl.Box(cl.mul(cl.R(4)).op, mixed), lambda p, x: p * x),
             (cl.Box(cl.sub(cl.R(4)).op, mixed), lambda p, x: p - x),
             (cl.concat(mixed), lambda p, x: torch.cat([p.expand(x.shape), x], -1)),
             (cl.Box(cl.einsum("i,j->ij").op, mixed), lambda p, x: p[:, None] * x[..., None, :]),
             (cl.Box(cl.einsum("i,j->j").op, mixed), lambda p, x: p.sum() * x)]  # fmt: skip
    for box, f in cases:
        a, b = p.clone().requires_grad_(), x.clone().requires_grad_()
        y = f(a, b)
        assert torch.allclose(cl.compile(box)(p, x), y, 1e-10, 1e-10)
        dy = torch.randn(y.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        expected = torch.autograd.grad(y, (a, b), dy)
        for fused in (True, False):
            for found, e in zip(cl.compile(cl.reverse(box, fused))(p, x, dy), expected, strict=True):
                assert found.shape == e.shape and torch.allclose(found, e, 1e-10, 1e-10), (str(box), fused)


def test_a_scalar_parameter_scales_data():
    box = cl.Box(cl.einsum(",i->i").op, cl.parameter(cl.R()) @ cl.R(4))
    p, x = torch.tensor(2.0), torch.randn(3, 4)
    assert torch.equal(cl.compile(box)(p, x), 2 * x)
    dp, dx = cl.compile(cl.reverse(box))(p, x, torch.ones(3, 4))
    assert torch.allclose(dp, x.sum()) and torch.equal(dx, torch.full((3, 4), 2.0))


@pytest.mark.parametrize("make, f", [
    (lambda n: cl.reshape(cl.R(n, 6), (2 * n, 3)), lambda x: x.reshape(2, 2 * x.shape[1], 3)),
    (lambda n: cl.reshape(cl.R(n, 6), (n, 3, -1)), lambda x: x.reshape(2, x.shape[1], 3, 2)),
    (lambda n: cl.flatten(cl.R(n, 6)), lambda x: x.flatten(-2)),
    (lambda n: cl.transpose(cl.R(n, 6)), lambda x: x.mT),
    (lambda n: cl.broadcast(cl.R(n, 1), (n, 4)), lambda x: x.expand(2, x.shape[1], 4)),
    (lambda n: cl.copy(cl.R(n, 6)) >> cl.concat(cl.R(n, 6) @ cl.R(n, 6), 0), lambda x: torch.cat([x, x], 1)),
    (lambda n: cl.slice(cl.R(n, 6), 1, n, 0), lambda x: x[:, 1:]),
    (lambda n: cl.pad(cl.R(n, 6), ((0, 0, n),)), lambda x: F.pad(x, (0, 0, 0, x.shape[1]))),
    (lambda n: cl.split(cl.R(2 * n, 6), (n, n), 0), lambda x: x.split(x.shape[1] // 2, 1)),
    (lambda n: cl.mean(cl.R(n, 6), (0,)), lambda x: x.mean(1)),
    (lambda n: cl.sum(cl.R(n, 6), (0, 1)), lambda x: x.sum((1, 2))),
    (lambda n: cl.max(cl.R(n, 6), (0,), True), lambda x: x.amax(1, True)),
    (lambda n: cl.einsum(cl.R(n, 6), "ij->ji"), lambda x: x.mT),
    (lambda n: cl.linear(cl.R(n, 6), cl.R(n, 2), bias=False), None),
], ids=label)  # fmt: skip
def test_symbolic_sizes(make, f):
    n = cl.dim("n")
    term = make(n)
    columns, sizes = term.dom[0].shape[1], None
    rows = 4
    x = torch.randn(2, rows, int(columns), dtype=torch.float64, requires_grad=True)
    if term.dom[0].shape[0] == 2 * n:  # the symbol is no axis of its own, so compile has to be told
        with pytest.raises(errors.SizeUnknown, match="n has no value"):
            cl.compile(term)
        sizes = {"n": 2}
    model = cl.compile(term, sizes=sizes, dtype=torch.float64)
    y, params = model(x), dict(model.named_parameters())
    y = y if isinstance(y, tuple) else (y,)
    expected = f(x) if f else F.linear(x, *params.values())
    expected = expected if isinstance(expected, tuple) else (expected,)
    for a, b in zip(y, expected, strict=True):
        assert torch.equal(a, b)
    dys = [torch.randn(e.shape, dtype=torch.float64) for e in expected]
    grads = torch.autograd.grad(expected, [*params.values(), x], dys)
    for fused in (True, False) if not any(isinstance(b, cl.Box) and b.op.key == "mean" for b in [term]) else (True,):
        found = cl.compile(cl.reverse(term, fused), params, sizes=sizes)(x.detach(), *dys)
        for a, b in zip(found if isinstance(found, tuple) else (found,), grads, strict=True):
            assert torch.allclose(a, b, 1e-10, 1e-10)


@pytest.mark.parametrize("make, text", [
    (lambda: cl.reshape(X, (5, 5)), "25 entries, not 24"),
    (lambda: cl.reshape(X, (5, -1)), "not divisible|entries"),
    (lambda: cl.reshape(X, (-1, -1)), "one size"),
    (lambda: cl.flatten(cl.R(2), 0, 1), "distinct axes|axes between"),
    (lambda: cl.transpose(X, (0, 0, 1)), "an order of its 3 axes"),
    (lambda: cl.transpose(cl.R(3)), "two axes"),
    (lambda: cl.broadcast(X, (3, 4)), "repeats to"),
    (lambda: cl.broadcast(cl.R(2), (3,)), "repeats to"),
    (lambda: cl.concat(cl.R(2, 3) @ cl.R(3, 3)), "differ in axis -1 only"),
    (lambda: cl.slice(X, 1, 9), "range within 0 and 4"),
    (lambda: cl.slice(X, 3, 2), "range within"),
    (lambda: cl.split(X, (1, 2)), "sum to 4"),
    (lambda: cl.split(X, (-1, 5)), "sum to 4|from 0"),
    (lambda: cl.pad(X, ((5, 1, 1),)), "distinct axes"),
    (lambda: cl.pad(X, ((0, -1, 1),)), "from 0 on"),
    (lambda: cl.reshape(cl.index(3, 4), (2, 2)), "float wire"),
    (lambda: cl.Box(cl.add(X).op, X @ cl.R(2)), "equal wires"),
])  # fmt: skip
def test_bad_shapes_are_refused_by_name(make, text):
    with pytest.raises((errors.BadBox, errors.NotDivisible), match=text):
        make()
