"""A step of the closed lens is a step of torch.optim, to the bit, over 50 steps of a real net."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F

import catlearn as cl
from catlearn import errors
from catlearn.learn.cells import Optimiser, decayed
from catlearn.learn.foreign import Foreign
from catlearn.learn.optimisers import Adam
from catlearn.learn.training import Training
from catlearn.learn.transforms import Decay, clip_norm, clip_value

H = cl.R(16)
NET = (cl.linear(cl.R(12), H) >> cl.gelu >> cl.linear(H, H, name="left") >> cl.relu >> cl.linear(H, H, name="right") >> cl.gelu
       >> cl.linear(H, cl.R(5), name="head")).at("left.weight|right.weight").tie("shared")  # fmt: skip
SGD, A, W, AD, RMS = torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.Adagrad, torch.optim.RMSprop
PAIRS = {
    "sgd": (cl.sgd(0.1), lambda ps: SGD(ps, lr=0.1)),
    "weight decay": (cl.sgd(0.1, weight_decay=0.03), lambda ps: SGD(ps, lr=0.1, weight_decay=0.03)),
    "momentum": (cl.sgd(0.1, momentum=0.9), lambda ps: SGD(ps, lr=0.1, momentum=0.9)),
    "dampening": (cl.sgd(0.1, 0.9, 0.3, weight_decay=0.01), lambda ps: SGD(ps, lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.01)),
    "nesterov": (cl.sgd(0.1, 0.9, nesterov=True), lambda ps: SGD(ps, lr=0.1, momentum=0.9, nesterov=True)),
    "adam": (cl.adam(0.01), lambda ps: A(ps, lr=0.01)),
    "adam with decay": (cl.adam(0.01, weight_decay=0.02), lambda ps: A(ps, lr=0.01, weight_decay=0.02)),
    "adamw": (cl.adamw(0.01), lambda ps: W(ps, lr=0.01)),
    "adamw, other betas": (cl.adamw(0.01, (0.8, 0.95), weight_decay=0.1), lambda ps: W(ps, lr=0.01, betas=(0.8, 0.95), weight_decay=0.1)),
    "adagrad": (cl.adagrad(0.05, lr_decay=0.1, weight_decay=0.01), lambda ps: AD(ps, lr=0.05, lr_decay=0.1, weight_decay=0.01)),
    "rmsprop": (cl.rmsprop(0.01), lambda ps: RMS(ps, lr=0.01)),
    "rmsprop, centred, momentum": (cl.rmsprop(0.01, momentum=0.9, centered=True), lambda ps: RMS(ps, lr=0.01, momentum=0.9, centered=True)),
}


class ByHand(torch.nn.Module):
    """The same net as a torch user writes it."""

    def __init__(self, p):
        super().__init__()
        self.p = torch.nn.ParameterDict(OrderedDict((k.replace(".", "_"), torch.nn.Parameter(v.clone())) for k, v in p.items()))

    def forward(self, x):
        p = self.p
        x = F.gelu(F.linear(x, p["linear_weight"], p["linear_bias"]))
        x = F.relu(F.linear(x, p["shared"], p["left_bias"]))
        x = F.gelu(F.linear(x, p["shared"], p["right_bias"]))
        return F.linear(x, p["head_weight"], p["head_bias"])


def batches(count=50, size=24):
    draw = torch.Generator().manual_seed(7)
    return [(torch.randn(size, 12, generator=draw), torch.randint(0, 5, (size,), generator=draw)) for _ in range(count)]


def torch_loop(start, factory, loss=F.cross_entropy):
    model = ByHand(start)
    optimiser = factory(list(model.parameters()))
    losses = []
    for x, y in batches():
        optimiser.zero_grad()
        value = loss(model(x), y)
        value.backward()
        optimiser.step()
        losses.append(value.item())
    return {k: model.p[k.replace(".", "_")].detach() for k in start}, losses


def our_loop(cell, start):
    learner = cl.learner(NET, cl.cross_entropy, cell)
    state, losses = learner.start(start), []
    for x, y in batches():
        state, loss = learner.step(state, x, y)
        losses.append(loss.item())
    return state.params, losses


@pytest.fixture(scope="module")
def start():
    return cl.learner(NET, cl.cross_entropy, cl.sgd(0.1)).init(3).params


@pytest.mark.parametrize("name", PAIRS)
def test_fifty_steps_have_the_bits_of_torch(name, start):
    cell, factory = PAIRS[name]
    kept = {k: v.clone() for k, v in start.items()}
    ours, our_losses = our_loop(cell, start)
    theirs, losses = torch_loop(start, factory)
    assert our_losses == losses
    for key in start:
        assert torch.equal(ours[key], theirs[key]), key
        assert torch.equal(start[key], kept[key])  # step is functional


@pytest.mark.parametrize("name", PAIRS)
def test_training_in_place_has_the_same_bits(name, start):
    cell, factory = PAIRS[name]
    learner = cl.learner(NET, cl.cross_entropy, cell)
    training = Training(learner, learner.start(start))
    losses = [training.step(x, y) for x, y in batches()]
    theirs, expected = torch_loop(start, factory)
    assert losses == expected and all(torch.equal(training.params[k], theirs[k]) for k in start)


@dataclass(frozen=True)
class RateFirst(Optimiser):
    """A mutant: the momentum carries the rate, as in the papers (μ s + lr g) instead of lr (μ s + g)."""

    slots: ClassVar[tuple[str, ...]] = ("momentum",)

    def update(self, step, p, g, slots, rate):
        for q, s, d in zip(p, slots[0], g, strict=True):
            s.mul_(0.9).add_(d, alpha=rate)
            q.sub_(s)


@dataclass(frozen=True)
class EpsInside(Adam):
    """A mutant: √(v̂ + eps²) instead of √v̂ + eps."""

    def update(self, step, p, g, slots, rate):
        (m, v), t = slots, step + 1
        for q, a, b, d in zip(p, m, v, decayed(p, g, self.weight_decay), strict=True):
            a.lerp_(d, 0.1)
            b.mul_(0.999).addcmul_(d, d, value=1 - 0.999)
            root = (b / (1 - 0.999**t) + self.eps**2).sqrt()
            q.addcdiv_(a, root, value=-(rate / (1 - 0.9**t)))


@pytest.mark.parametrize(("mutant", "name"), [(RateFirst(0.1), "momentum"), (EpsInside(0.01), "adam"), (cl.sgd(0.1, 0.9), "nesterov"),
                                              (cl.adam(0.01, weight_decay=1e-2), "adamw")])  # fmt: skip
def test_mutants_are_told_apart(mutant, name, start):
    ours, _ = our_loop(mutant, start)
    theirs, _ = torch_loop(start, PAIRS[name][1])
    assert any(not torch.equal(ours[key], theirs[key]) for key in start)


def grouped(ps):
    """Groups in another order than the parameters."""
    return torch.optim.NAdam([{"params": ps[1:], "lr": 0.01}, {"params": ps[:1], "lr": 0.02}])


@pytest.mark.parametrize(
    "factory", [grouped, torch.optim.Adamax, lambda ps: torch.optim.NAdam(ps, lr=0.01), lambda ps: SGD(ps, 0.1, momentum=0.9)]
)
def test_torch_optimisers_are_cells(factory, start):
    ours, _ = our_loop(factory, start)
    theirs, _ = torch_loop(start, factory)
    assert all(torch.equal(ours[k], theirs[k]) for k in start)


def test_groups_are_those_of_torch(start):
    cell = cl.adamw(1e-3, groups={"head": {"lr": 1e-2}, "*.bias": {"weight_decay": 0}})

    def factory(ps):
        named = dict(zip(start, ps, strict=True))
        rows: dict = {}
        for name, p in named.items():
            rows.setdefault((1e-2 if name.startswith("head") else 1e-3, 0 if name.endswith("bias") else 1e-2), []).append(p)
        return W([{"params": row, "lr": lr, "weight_decay": wd} for (lr, wd), row in rows.items()])

    ours, _ = our_loop(cell, start)
    theirs, _ = torch_loop(start, factory)
    assert all(torch.equal(ours[k], theirs[k]) for k in start)
    plain, _ = our_loop(cl.adamw(1e-3), start)
    assert not torch.equal(plain["head.bias"], ours["head.bias"])


def test_groups_refuse_what_is_not_there(start):
    with pytest.raises(errors.NothingMatched, match="tail"):
        cl.learner(NET, cl.cross_entropy, cl.sgd(0.1, groups={"tail.*": {"lr": 1}})).init()
    with pytest.raises(errors.BadTraining, match="beta"):
        cl.sgd(0.1, groups={"head.*": {"beta": 1}})
    with pytest.raises(errors.BadTraining, match="negative"):
        cl.sgd(-0.1)
    with pytest.raises(errors.BadTraining, match="Nesterov"):
        cl.sgd(0.1, nesterov=True)
    with pytest.raises(errors.BadTraining, match="betas"):
        cl.adam(betas=(1.0, 0.9))


def test_clipping_has_the_bits_of_torch(start):
    p = {k: v.clone() for k, v in start.items()}
    g = {k: torch.randn(v.shape, generator=torch.Generator().manual_seed(1)) * 10 for k, v in p.items()}
    leaves = [v.clone().requires_grad_() for v in p.values()]
    for leaf, d in zip(leaves, g.values(), strict=True):
        leaf.grad = d.clone()
    torch.nn.utils.clip_grad_norm_(leaves, 1.0)
    SGD(leaves, 0.5).step()
    cell = clip_norm(1.0) >> cl.sgd(0.5)
    moved = cell.put(cell.init(p), p, g)[1]
    assert all(torch.equal(a, b) for a, b in zip(moved.values(), leaves, strict=True))
    assert not cell.local and (clip_value(1.0) >> cl.sgd(0.5)).local
    with pytest.raises(errors.BadTraining):
        clip_norm(0)


def test_decay_then_sgd_is_sgd_with_decay(start):
    g = {k: torch.ones_like(v) for k, v in start.items()}
    a, b = Decay(0.1) >> cl.sgd(0.5, 0.9), cl.sgd(0.5, 0.9, weight_decay=0.1)
    assert all(torch.equal(x, y) for x, y in zip(a.put(a.init(start), start, g)[1].values(), b.put(b.init(start), start, g)[1].values(),
                                                 strict=True))  # fmt: skip


def test_a_closure_optimiser_is_refused(start):
    with pytest.raises(errors.BadTraining, match="several times"):
        our_loop(torch.optim.LBFGS, start)
    with pytest.raises(errors.BadTraining, match="already holds"):
        cl.learner(NET, cl.cross_entropy, SGD([torch.zeros(1)], 0.1))
    assert isinstance(cl.learner(NET, cl.cross_entropy, SGD).optimiser, Foreign)


def test_the_rate_in_the_cotangent_and_in_the_cell_agree_over_the_rationals():
    """50 steps of p ← p − ε ∂(p a − c)²/2: feeding ε as the loss's cotangent, or 1 and scaling in the cell; exactly equal."""
    rate, p, q = Fraction(1, 10), Fraction(2), Fraction(2)
    for k in range(1, 51):
        a, c = Fraction(1, k), Fraction(k, k + 1)
        p, q = p - (rate * (p * a - c)) * a, q - rate * (1 * (q * a - c) * a)
        assert p == q
    cotangents = [(k / 7, 1 / (k + 1)) for k in range(1, 51)]
    assert any((0.1 * e) * a != 0.1 * (e * a) for e, a in cotangents)  # in floats they part, so the rate stands in the cell
    assert all((0.5 * e) * a == 0.5 * (e * a) for e, a in cotangents)  # but for powers of two
