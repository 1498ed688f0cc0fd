"""dropout: torch's own draws in a module, draws by key in a lens, the same noise both ways, the identity out of training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import catlearn as cl
from catlearn import errors
from catlearn.boxes.random import Dropout
from catlearn.core.term import Box
from catlearn.meanings.build import definition
from tests.aten import recorded
from tests.boxes.agree import BATCHES, Setting, agree, close

X = cl.R(30, 4)
P = [0.0, 0.3, 1.0]


def seeded(call: Any) -> Any:
    torch.manual_seed(5)
    return call()


@pytest.mark.parametrize("p", P)
def test_out_of_training_dropout_is_the_identity(p: float) -> None:
    agree(cl.dropout(X, p), lambda x: F.dropout(x, p, False), training=False, defined=False)
    x = torch.randn(30, 4)
    assert torch.equal(cl.compile(cl.dropout(X, p)).eval()(x), x)


@pytest.mark.parametrize("p", P)
@pytest.mark.parametrize("batch", BATCHES)
def test_in_training_a_module_draws_what_torch_draws(p: float, batch: tuple[int, ...]) -> None:
    s = Setting(cl.dropout(X, p), batch)
    (x,), (dy,) = s.xs, s.dys
    expected = seeded(lambda: F.dropout(x, p, True))
    assert torch.equal(seeded(lambda: s.model(x)), expected)
    assert torch.equal(seeded(lambda: cl.compile(definition(s.box))(x)), expected)
    assert recorded(lambda: s.model(x)) == recorded(lambda: F.dropout(x, p, True))
    grad = seeded(lambda: s.autograd(lambda x: F.dropout(x, p, True)))
    for fused in (True, False):
        assert torch.equal(seeded(lambda fused=fused: cl.compile(cl.reverse(s.box, fused))(x, dy)), grad[0]), fused


@pytest.mark.parametrize("p", P)
def test_get_and_put_with_one_key_see_the_same_noise(p: float) -> None:
    lens, x, dy = cl.lens(cl.dropout(X, p)), torch.randn(5, 30, 4), torch.randn(5, 30, 4)
    noise = lens.get({}, torch.ones_like(x), key=3)
    assert torch.equal(lens.get({}, x, key=3), x * noise)
    assert torch.equal(lens.put({}, (x,), dy, key=3)[1][0], dy * noise)
    assert torch.equal(lens.get({}, x, key=3, training=False), x)
    assert torch.equal(lens.put({}, (x,), dy, key=3, training=False)[1][0], dy)


def test_keys_and_names_give_different_noise_and_torchs_own_generator_is_left_alone() -> None:
    x, net = torch.ones(100, 120), cl.copy(cl.R(120)) >> cl.dropout(cl.R(120)) @ cl.dropout(cl.R(120))
    before = torch.get_rng_state()
    lens = cl.lens(net)
    a, b = lens.get({}, x, key=0)
    c, _ = lens.get({}, x, key=1)
    again, _ = lens.get({}, x, key=0)
    assert torch.equal(a, again) and torch.equal(torch.get_rng_state(), before)
    for other in (b, c):  # two independent fair coins agree half of the time: 12,000 draws, five standard deviations
        assert abs((a == other).double().mean() - 0.5) < 5 * 0.5 / 12000**0.5


def test_the_noise_is_bernoulli_and_keeps_the_mean() -> None:
    p, n = 0.2, 40_000
    y = cl.lens(cl.dropout(cl.R(n), p)).get({}, torch.ones(n, dtype=torch.float64), key=7)
    assert set(y.unique().tolist()) == {0.0, 1 / (1 - p)}
    assert abs(y.mean() - 1) < 5 * (p / (1 - p) / n) ** 0.5


def test_a_repeated_dropout_draws_anew_each_time_shared_or_not() -> None:
    for shared in (False, True):
        net = cl.repeat(2, cl.dropout(cl.R(2000)), shared=shared)
        y = cl.lens(net).get({}, torch.ones(2000), key=0)
        assert abs((y == 0).double().mean() - 0.75) < 5 * (0.75 * 0.25 / 2000) ** 0.5  # the same noise twice would leave half


def test_a_random_network_put_is_autograd_on_the_noise_that_get_saw() -> None:
    net = cl.linear(cl.R(4), cl.R(6)) >> cl.dropout(p=0.4) >> cl.tanh >> cl.dropout(p=0.4) >> cl.linear(cl.R(6), cl.R(2))
    lens, x, dy = cl.lens(net), torch.randn(9, 4).double(), torch.randn(9, 2).double()
    p = {name: value.double().requires_grad_() for name, value in lens.init().items()}
    y = lens.get(p, x, key=11)
    names = sorted(p)
    expected = torch.autograd.grad(y, [p[name] for name in names], dy)
    dparams, _ = lens.put({name: value.detach() for name, value in p.items()}, (x,), dy, key=11)
    close(tuple(dparams[name] for name in names), expected, "put")


def test_a_lens_in_training_needs_a_key_and_p_must_be_a_probability() -> None:
    with pytest.raises(errors.EffectNeeds, match="key"):
        cl.lens(cl.dropout(X)).get({}, torch.ones(30, 4))
    with pytest.raises(errors.BadBox, match="between 0 and 1"):
        cl.dropout(X, p=1.5)


@dataclass(frozen=True)
class Redrawn(Dropout):
    """dropout that draws anew on the way back."""

    key = "test_redrawn"

    @property
    def fused(self) -> Any:  # type: ignore[override]
        (rule,) = super().fused
        return (type(rule)("dy0 noise", "x0", f"F.dropout({{dy0}}, {self.p}, {{training}})"),)


def test_noise_drawn_anew_on_the_way_back_is_refuted() -> None:
    x = torch.ones(50, 30, 4)
    right, wrong = cl.lens(Box(Dropout(0.5), X, "d")), cl.lens(Box(Redrawn(0.5), X, "d"))
    assert torch.equal(right.get({}, x, key=1), wrong.get({}, x, key=1))
    assert torch.equal(right.put({}, (x,), x, key=1)[1][0], right.get({}, x, key=1))
    assert not torch.equal(wrong.put({}, (x,), x, key=1)[1][0], right.get({}, x, key=1))
