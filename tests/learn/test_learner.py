"""The learner as a closed lens: functional, its in-place form the same, effects and frozen parameters kept apart."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import catlearn as cl
from catlearn import errors
from catlearn.learn.training import Training
from tests.aten import recorded

H = cl.R(8)
NOISY = cl.linear(cl.R(4), H) >> cl.batch_norm >> cl.dropout(p=0.5) >> cl.linear(H, cl.R(3))
DRAW = torch.Generator().manual_seed(3)
X, Y = torch.randn(12, 4, generator=DRAW), torch.arange(12) % 3


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("cell", [cl.sgd(0.1), cl.adam(0.01), torch.optim.Adamax])
def test_step_changes_nothing_given_and_training_in_place_agrees(cell):
    learner = cl.learner(NOISY, cl.cross_entropy, cell)
    start = learner.init(1)
    kept, state = start.clone(), start
    training = Training(learner, start)
    for _ in range(3):
        state, loss = learner.step(state, X, Y)
        assert training.step(X, Y) == loss.item()
    assert equal(start.params, kept.params) and equal(start.state, kept.state) and start.step == 0
    assert equal(state.params, training.here.params) and equal(state.state, training.here.state) and state.step == 3
    assert not equal(state.state, start.state)  # the running statistics moved
    assert equal(learner.update(start, X, Y).params, learner.step(start, X, Y)[0].params)


def test_noise_is_a_function_of_seed_and_step():
    learner = cl.learner(NOISY, cl.cross_entropy, cl.sgd(0.0))
    start = learner.init(1)
    first, again = learner.step(start, X, Y)[1], learner.step(start, X, Y)[1]
    later, other = learner.step(learner.step(start, X, Y)[0], X, Y)[1], learner.step(learner.start(start.params, seed=2), X, Y)[1]
    assert first == again and first != later and first != other


def test_implement_is_out_of_training():
    learner = cl.learner(NOISY, cl.cross_entropy, cl.sgd(0.1))
    state, _ = learner.step(learner.init(1), X, Y)
    model = cl.compile(NOISY, state.params, state.state).eval()
    assert torch.equal(learner.implement(state, X), model(X))


def test_frozen_parameters_stay():
    net = (cl.linear(cl.R(4), H) >> cl.relu >> cl.linear(H, cl.R(3), name="head")).at("linear.*").freeze()
    learner = cl.learner(net, cl.cross_entropy, cl.adamw(0.1))
    start = learner.init()
    state, _ = learner.step(start, X, Y)
    moved = [name for name in start.params if not torch.equal(start.params[name], state.params[name])]
    assert moved == ["head.weight", "head.bias"] == learner.learned


def test_a_training_step_runs_the_kernels_of_the_loop_by_hand():
    """No loss of fusion: the closed lens runs one cross-entropy pair and the layers' own kernels, and nothing larger."""
    net = cl.linear(cl.R(4), H) >> cl.relu >> cl.linear(H, cl.R(3))
    training = Training(cl.learner(net, cl.cross_entropy, cl.sgd(0.1)), cl.learner(net, cl.cross_entropy, cl.sgd(0.1)).init())
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    optimiser = torch.optim.SGD(model.parameters(), 0.1)

    def by_hand():
        optimiser.zero_grad()
        F.cross_entropy(model(X), Y).backward()
        optimiser.step()

    heavy = (
        "mm",
        "addmm",
        "relu",
        "threshold_backward",
        "_log_softmax",
        "_log_softmax_backward_data",
        "nll_loss_forward",
        "nll_loss_backward",
    )
    count = lambda ops: {name: sum(op == f"aten.{name}.default" for op in ops) for name in heavy}  # noqa: E731
    assert count(recorded(lambda: training.step(X, Y))) == count(recorded(by_hand))


def test_what_does_not_fit_is_named():
    learner = cl.learner(NOISY, cl.cross_entropy, cl.sgd(0.1))
    state = learner.init()
    with pytest.raises(errors.BadInput, match="shape"):
        learner.step(state, X[:, :3], Y)
    with pytest.raises(errors.BadInput, match="out of range"):
        learner.step(state, X, Y + 1)
    with pytest.raises(errors.BadInput, match="integer"):
        learner.step(state, X, Y.float())
    with pytest.raises(errors.BadInput, match=r"shape|wrong"):
        learner.implement(state, X[:, :3])
    with pytest.raises(errors.ParamMismatch, match="missing"):
        learner.start({})
    with pytest.raises(errors.BadTraining, match="no optimiser"):
        cl.learner(NOISY, cl.cross_entropy, 0.1)
    with pytest.raises(errors.NeedsSpace):
        cl.learner(cl.relu, cl.mse, cl.sgd(0.1))


def test_learners_whose_laws_would_fail_do_not_compose():
    x, groups = cl.R(2), {"linear.*": {"lr": 0.5}}
    f = cl.learner(cl.linear(x, x), cl.squared_error, cl.sgd(0.1, groups=groups))
    with pytest.raises(errors.NotSeparable, match="composing renames parameters"):
        f >> f
    named = cl.learner(cl.linear(x, x).named("g"), cl.squared_error, cl.sgd(0.1, groups=groups))
    assert list((f >> named).model.params) == ["linear.weight", "linear.bias", "g.linear.weight", "g.linear.bias"]
    for noisy in (cl.dropout(x, 0.5), cl.batch_norm(x)):
        g = cl.learner(cl.linear(x, x).named("g") >> noisy, cl.squared_error, cl.sgd(0.1))
        with pytest.raises(errors.NotSeparable, match="out of training"):
            cl.learner(cl.linear(x, x), cl.squared_error, cl.sgd(0.1)) @ g
