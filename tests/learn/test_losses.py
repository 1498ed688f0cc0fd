"""Losses: torch's values and gradients, to the bit where a fused kernel runs; the definition says the same; bad targets are refused."""

from __future__ import annotations

import pytest
import sympy
import torch
import torch.nn.functional as F

import catlearn as cl
from catlearn import errors
from catlearn.boxes.loss import Loss
from catlearn.core.term import Box
from catlearn.learn.losses import closed, on
from catlearn.meanings.build import definition
from tests.aten import recorded

DRAW = torch.Generator().manual_seed(5)


def real(*shape):
    return torch.randn(*shape, generator=DRAW)


def unit(*shape):
    return torch.rand(*shape, generator=DRAW) * 0.9 + 0.05


Y = cl.R(3, 4)
CASES = {  # name → (loss, y's space, target's space, inputs, torch's mean)
    "mse": (cl.mse, Y, None, (real(5, 3, 4), real(5, 3, 4)), F.mse_loss),
    "mse of a scalar": (cl.mse, cl.R(), None, (real(5), real(5)), F.mse_loss),
    "mae": (cl.mae, Y, None, (real(5, 3, 4), real(5, 3, 4)), F.l1_loss),
    "huber": (cl.huber(delta=0.7), Y, None, (real(5, 3, 4), real(5, 3, 4)), lambda x, y: F.huber_loss(x, y, delta=0.7)),
    "labels": (cl.cross_entropy, cl.R(4), None, (real(9, 4), torch.arange(9) % 4), F.cross_entropy),
    "labels along an axis": (cl.cross_entropy, Y, cl.index(4, 3), (real(5, 3, 4), torch.arange(15).reshape(5, 3) % 4),
                             lambda x, y: F.cross_entropy(x.reshape(-1, 4), y.reshape(-1))),
    "labels, two batch axes": (cl.cross_entropy, cl.R(4), cl.index(4), (real(2, 3, 4), torch.arange(6).reshape(2, 3) % 4),
                               lambda x, y: F.cross_entropy(x.reshape(-1, 4), y.reshape(-1))),
    "soft labels": (cl.cross_entropy, cl.R(4), cl.R(4), (real(5, 4), real(5, 4).softmax(-1)), F.cross_entropy),
    "soft labels along an axis": (cl.cross_entropy, Y, Y, (real(5, 3, 4), real(5, 3, 4).softmax(-1)),
                                  lambda x, y: F.cross_entropy(x.reshape(-1, 4), y.reshape(-1, 4))),
    "yes or no": (cl.binary_cross_entropy, Y, None, (unit(5, 3, 4), unit(5, 3, 4)), F.binary_cross_entropy),
    "yes or no, logits": (cl.binary_cross_entropy(logits=True), Y, None, (real(5, 3, 4), unit(5, 3, 4)),
                          F.binary_cross_entropy_with_logits),
    "cosine": (cl.cosine, Y, None, (real(5, 3, 4), real(5, 3, 4)), lambda x, y: (1 - F.cosine_similarity(x, y, -1)).mean()),
    "squares": (cl.squared_error, Y, None, (real(5, 3, 4), real(5, 3, 4)), lambda x, y: ((x - y) ** 2).sum((1, 2)).mean() / 2),
}  # fmt: skip
FUSED = {"mse", "mse of a scalar", "mae", "huber", "labels", "labels along an axis", "labels, two batch axes", "soft labels", "yes or no",
         "yes or no, logits"}  # fmt: skip


def made(name):
    loss, y, target, inputs, peer = CASES[name]
    return loss(y) if target is None else loss(y, target=target), y, inputs, peer


@pytest.mark.parametrize("name", CASES)
def test_value_and_gradient_of_the_closed_loss(name):
    loss, y, (x, t), peer = made(name)
    x = x.clone().requires_grad_()
    expected = peer(x, t)
    (grad,) = torch.autograd.grad(expected, x)
    lens = cl.lens(closed(cl.id(y), loss))
    value = lens.get({}, x.detach(), t)
    _, (dx, *_) = lens.put({}, (x.detach(), t), torch.ones(()))
    if name in FUSED:
        assert torch.equal(value, expected) and torch.equal(dx, grad)
    torch.testing.assert_close(value, expected.detach())
    torch.testing.assert_close(dx, grad)


@pytest.mark.parametrize("name", CASES)
def test_each_event_has_its_own_loss_and_their_mean_is_the_closed_one(name):
    loss, y, (x, t), peer = made(name)
    each = loss(x, t)
    assert each.shape == x.shape[: x.dim() - len(y[0].axes)]
    torch.testing.assert_close(each.mean(), peer(x, t))


@pytest.mark.parametrize("name", CASES)
def test_definition_and_target_gradient_agree_with_autograd(name):
    loss, y, (x, t), peer = made(name)
    x, t = x.double(), t.double() if t.is_floating_point() else t
    assert isinstance(loss, Box)
    torch.testing.assert_close(definition(loss)(x, t).mean(), peer(x, t))
    if t.is_floating_point():
        t = t.requires_grad_()
        (grad,) = torch.autograd.grad(peer(x, t), t)
        _, (_, dt) = cl.lens(closed(cl.id(y), loss)).put({}, (x, t.detach()), torch.ones((), dtype=torch.float64))
        torch.testing.assert_close(dt, grad)


@pytest.mark.parametrize("loss", [cl.squared_error, cl.mse, cl.binary_cross_entropy, cl.binary_cross_entropy(logits=True)])
def test_solve_inverts_the_slope(loss):
    op: Loss = loss(cl.R()).op
    x, y = unit(6).double().requires_grad_(), unit(6).double()
    (slope,) = torch.autograd.grad(loss(cl.R())(x, y).sum(), x)
    torch.testing.assert_close(op.solve(x.detach(), slope), y)


def test_a_target_that_does_not_fit_is_refused():
    with pytest.raises(errors.BadBox, match="labels"):
        cl.cross_entropy(cl.R(10), target=cl.index(9))
    with pytest.raises(errors.BadBox, match="same space"):
        cl.mse(cl.R(10), target=cl.R(9))
    with pytest.raises(errors.BadTraining, match="does not fit the network"):
        on(cl.mse(cl.R(3)), cl.linear(cl.R(2), cl.R(2)))
    with pytest.raises(errors.BadTraining, match="no loss"):
        on(F.mse_loss, cl.linear(cl.R(2), cl.R(2)))


def test_a_loss_may_be_a_term():
    net, half = cl.linear(cl.R(2), cl.R(2)), cl.mse(cl.R(2)) >> cl.scale(0.5)
    x, t = real(4, 2), real(4, 2)
    state, loss = cl.learner(net, half, cl.sgd(0.1)).step(cl.learner(net, half, cl.sgd(0.1)).init(), x, t)
    p = {k: v.requires_grad_() for k, v in cl.lens(net).init().items()}
    expected = F.mse_loss(F.linear(x, p["linear.weight"], p["linear.bias"]), t) / 2
    expected.backward()
    torch.testing.assert_close(loss, expected.detach())
    torch.testing.assert_close(state.params["linear.bias"], p["linear.bias"].detach() - 0.1 * p["linear.bias"].grad)


def test_a_label_of_minus_100_counts_in_neither_sum_nor_number():
    x, t = real(6, 4).requires_grad_(), torch.tensor([0, -100, 2, -100, -100, 1])
    kept = [0, 2, 5]
    by_hand = -x.log_softmax(-1)[kept, t[kept]]
    (grad,) = torch.autograd.grad(by_hand.sum() / 3, x)
    lens = cl.lens(closed(cl.id(cl.R(4)), cl.cross_entropy(cl.R(4))))
    torch.testing.assert_close(lens.get({}, x.detach(), t), by_hand.detach().sum() / 3)
    torch.testing.assert_close(lens.put({}, (x.detach(), t), torch.ones(()))[1][0], grad)
    each = cl.cross_entropy(cl.R(4))(x.detach(), t)
    assert each[[1, 3, 4]].tolist() == [0, 0, 0]
    torch.testing.assert_close(each.mean() * 6 / 3, by_hand.detach().sum() / 3)  # n / (n − k) times the mean
    assert lens.get({}, x.detach(), torch.full((6,), -100)).isnan()


@pytest.mark.parametrize("axes", [(), (3,)], ids=["scalar", "vector"])
@pytest.mark.parametrize("batch", [(4,), (2, 2), (), (0,)], ids=str)
def test_saturated_probabilities_have_torchs_slope_in_every_form(axes, batch):
    loss, shape = cl.binary_cross_entropy(cl.R(*axes)), (*batch, *axes)
    n = torch.Size(shape).numel()
    x = torch.tensor([0.0, 1.0, 0.0, 1.0, 0.25]).repeat(n)[:n].reshape(shape).requires_grad_()
    t = torch.tensor([0.0, 1.0, 1.0, 0.0, 0.5]).repeat(n)[:n].reshape(shape)
    each = F.binary_cross_entropy(x, t, reduction="none")
    dy = torch.randn(batch, generator=DRAW)
    (grad,) = torch.autograd.grad(each.mean(-1) if axes else each, x, dy)
    found = cl.lens(loss).put({}, (x.detach(), t), dy)[1][0]
    assert torch.equal(found, grad) and found.isfinite().all()
    with torch.no_grad():
        torch.testing.assert_close(cl.compile(definition(loss))(x, t), each.mean(-1) if axes else each)
        torch.testing.assert_close(cl.compile(cl.reverse(loss, fused=False))(x, t, dy)[0], grad)


def test_the_definition_bounds_logarithms_for_exact_readers_too():
    exact = cl.symbolic(cl.binary_cross_entropy(cl.R()))
    (x, y), value = (wire.item() for wire in exact.inputs.values()), exact.outputs[0].item()
    least = sympy.Integer(2) ** -1000  # its logarithm is below −100
    assert [float(value.subs({x: a, y: b})) for a, b in ((least, 0), (1 - least, 1), (least, 1), (1 - least, 0))] == pytest.approx(
        [0, 0, 100, 100]
    )


def test_a_loss_schema_keeps_reduce_whatever_the_target_is():
    x, y = torch.rand(5, 4), torch.rand(5, 4).softmax(-1)
    torch.testing.assert_close(cl.cross_entropy(cl.R(4), target=cl.R(4), reduce=True)(x, y), F.cross_entropy(x, y))
    assert cl.cross_entropy(cl.R(4), target=cl.R(4))(x, y).shape == (5,)


@pytest.mark.parametrize("reduce", [True, False])
def test_labels_run_the_aten_ops_of_a_careful_hand(reduce):
    loss = cl.cross_entropy(cl.R(4))
    model = cl.compile(closed(cl.id(cl.R(4)), loss) if reduce else loss)
    x, t, dy = real(5, 4).requires_grad_(), torch.arange(5) % 4, torch.ones(() if reduce else 5)
    reduction = "mean" if reduce else "none"
    ours = recorded(lambda: torch.autograd.grad(model(x, t), x, dy))
    assert ours == recorded(lambda: torch.autograd.grad(F.cross_entropy(x, t, reduction=reduction), x, dy))
