"""A compiled arrow against the module written by hand: time, forward and with backward. (That their aten ops agree is a test.)"""

from __future__ import annotations

import pytest
import torch

import catlearn as cl
from benchmarks.compare import SMOKE, compare
from benchmarks.nets import NETS, both, transformer_arrow


def backward(model, x):
    params = list(model.parameters())
    return lambda: torch.autograd.grad(model(x).sum(), params)


@pytest.mark.parametrize("name", NETS)
def test_forward(name, report):
    ours, peer, x = both(name)
    with torch.no_grad():
        result = compare(lambda: ours(x), lambda: peer(x))
    report(f"forward: {name}", result)
    assert result.within(1.02)


@pytest.mark.parametrize("name", NETS)
def test_forward_and_backward(name, report):
    ours, peer, x = both(name)
    result = compare(backward(ours, x), backward(peer, x))
    report(f"forward + backward: {name}", result)
    assert result.within(1.02)


@pytest.mark.parametrize("name", NETS)
def test_put_against_autograd(name, report):
    ours, peer, x = both(name)
    lens, params = cl.lens(ours.term), {k: v.detach() for k, v in ours.named_parameters()}
    leaf, weights = x.clone().requires_grad_(), list(peer.parameters())
    with torch.no_grad():
        dy = torch.randn_like(peer(x))
    result = compare(lambda: lens.put(params, (x,), (dy,)), lambda: torch.autograd.grad(peer(leaf), [leaf, *weights], dy))
    report(f"put against autograd: {name}", result)
    assert result.within(1.05)


@pytest.mark.skipif(SMOKE, reason="long")
def test_put_with_long_attention(report):
    model = cl.compile(transformer_arrow(1, 1024, 128, 4))
    lens, params = cl.lens(model.term), {k: v.detach() for k, v in model.named_parameters()}
    x = torch.randn(1, 1024, 128, requires_grad=True)
    dy, weights = torch.randn(1, 1024, 128), list(model.parameters())
    result = compare(
        lambda: lens.put(params, (x.detach(),), (dy,)), lambda: torch.autograd.grad(model(x), [x, *weights], dy), rounds=15, seconds=0.3
    )
    report("put against autograd: attention at length 1,024", result)
    assert result.within(1.1)
