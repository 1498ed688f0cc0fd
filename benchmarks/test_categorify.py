"""A categorified BERT of base shape against the module it came from: eager, forward and with backward, and under ``torch.compile``."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import catlearn as cl
from benchmarks.compare import SMOKE, compare

SIZES = {"num_hidden_layers": 2, "vocab_size": 1000} if SMOKE else {}


@pytest.fixture(scope="module")
def pair() -> Any:
    """Ours, the module, and ids; random weights, attention by torch's fused kernel, dropout off so that both compute the same."""
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    module = BertModel(BertConfig(**SIZES)).eval()
    ids = torch.randint(0, 1000, (1, 64))
    ours = cl.compile(cl.categorify(module, ids))
    return ours, lambda x: tuple(module(x).to_tuple()), module, ids


def test_forward(pair, report):
    ours, peer, _, ids = pair
    with torch.no_grad():
        result = compare(lambda: ours(ids), lambda: peer(ids), rounds=15, seconds=0.3)
    report("categorified BERT-base, forward", result)
    assert result.within(1.03)


def test_forward_and_backward(pair, report):
    ours, peer, module, ids = pair

    def backward(model: Any, params: Any) -> Any:
        return lambda: torch.autograd.grad(sum(y.sum() for y in model(ids)), params, allow_unused=True)

    result = compare(backward(ours, list(ours.parameters())), backward(peer, list(module.parameters())), rounds=11, seconds=0.5)
    report("categorified BERT-base, forward + backward", result)
    assert result.within(1.03)


def test_under_torch_compile(pair, report):
    ours, _, module, ids = pair
    with torch.no_grad():
        fast, slow = torch.compile(ours), torch.compile(module)
        result = compare(lambda: fast(ids), lambda: slow(ids), rounds=15, seconds=0.3)
    report("categorified BERT-base, torch.compile, forward", result)
    assert result.within(1.03)


def test_forward_and_backward_under_torch_compile(pair, report):
    ours, _, module, ids = pair

    def backward(model: Any, params: Any) -> Any:
        def run() -> Any:
            found = model(ids)
            return torch.autograd.grad(
                sum(y.sum() for y in (found if isinstance(found, tuple) else found.to_tuple())), params, allow_unused=True
            )

        return run

    fast, slow = torch.compile(ours), torch.compile(module)
    result = compare(backward(fast, list(ours.parameters())), backward(slow, list(module.parameters())), rounds=11, seconds=0.5)
    report("categorified BERT-base, torch.compile, forward + backward", result)
    assert result.within(1.03)
