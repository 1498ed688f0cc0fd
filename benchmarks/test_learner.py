"""A training step of a learner against the loop that a careful hand would write: zero_grad, forward, backward, step."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import catlearn as cl
from benchmarks.compare import compare
from benchmarks.nets import Mlp, TinyMlp, mlp_arrow
from catlearn.learn.training import Training

NETS = {"mlp 784-512-512-10": ((784, 512, 512, 10), lambda: Mlp(784, 512, 512, 10)), "tiny mlp 4-8-8-2": ((4, 8, 8, 2), TinyMlp)}
CELLS = {
    "sgd": (cl.sgd(1e-3), lambda p: torch.optim.SGD(p, 1e-3)),
    "momentum": (cl.sgd(1e-3, 0.9), lambda p: torch.optim.SGD(p, 1e-3, 0.9)),
    "adamw": (cl.adamw(1e-3), lambda p: torch.optim.AdamW(p, 1e-3)),
}


def hand_step(model, optimiser):
    def step(x, y):
        optimiser.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimiser.step()
        return loss.item()

    return step


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("net", NETS)
def test_training_step(net, cell, report):
    (sizes, make), (optimiser, factory) = NETS[net], CELLS[cell]
    x, y = torch.randn(128, sizes[0]), torch.randint(0, sizes[-1], (128,))
    model = make()
    by_hand = hand_step(model, factory(model.parameters()))
    learner = cl.learner(mlp_arrow(*sizes), cl.cross_entropy, optimiser)
    training = Training(learner, learner.init())
    result = compare(lambda: training.step(x, y), lambda: by_hand(x, y))
    report(f"training step: {net}, {cell}", result)
    assert result.within(1.05)


@pytest.mark.parametrize("cell", CELLS)
def test_functional_step(cell, report):
    """``learner.step`` gives new tensors every time, and is still compared with the loop that works in place."""
    sizes, (optimiser, factory) = (784, 512, 512, 10), CELLS[cell]
    x, y = torch.randn(128, 784), torch.randint(0, 10, (128,))
    model = Mlp(*sizes)
    by_hand = hand_step(model, factory(model.parameters()))
    learner = cl.learner(mlp_arrow(*sizes), cl.cross_entropy, optimiser)
    states = [learner.init()]

    def functional():
        states[0], _ = learner.step(states[0], x, y)

    result = compare(functional, lambda: by_hand(x, y))
    report(f"functional step: mlp 784-512-512-10, {cell}", result)
    assert result.within(1.05)


def test_fit(report):
    """A whole call: fresh parameters, one epoch of 50 shuffled batches."""
    sizes = (784, 512, 512, 10)
    X, Y = torch.randn(6400, 784), torch.randint(0, 10, (6400,))

    def by_hand():
        model = Mlp(*sizes)
        step = hand_step(model, torch.optim.SGD(model.parameters(), 1e-3))
        for batch in torch.randperm(len(X)).split(128):
            step(X[batch], Y[batch])

    learner = cl.learner(mlp_arrow(*sizes), cl.cross_entropy, cl.sgd(1e-3))
    result = compare(lambda: learner.fit((X, Y), epochs=1, batch_size=128), by_hand, rounds=15)
    report("fit: one epoch of 50 steps, mlp 784-512-512-10, sgd", result)
    assert result.within(1.05)
