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


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("net", NETS)
def test_training_step(net, cell, report):
    (sizes, make), (optimiser, factory) = NETS[net], CELLS[cell]
    x, y = torch.randn(128, sizes[0]), torch.randint(0, sizes[-1], (128,))
    model = make()
    theirs = factory(model.parameters())

    def by_hand():
        theirs.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        theirs.step()
        return loss.item()

    learner = cl.learner(mlp_arrow(*sizes), cl.cross_entropy, optimiser)
    training = Training(learner, learner.init())
    result = compare(lambda: training.step(x, y), by_hand)
    report(f"training step: {net}, {cell}", result)
    assert result.within(1.05)
