"""Structured maps: a Kronecker product of three factors, and a low-rank update beside a frozen weight, against what a careful hand writes.

The peers are written from the definitions. ``BENCH=smoke`` only shows that they run.
"""

from __future__ import annotations

import pytest
import torch

from benchmarks.compare import SMOKE, compare
from catlearn import maps

KRONECKER = [(8, 256), (16, 64), (16, 1024), (24, 64)]


def kronecker(n: int, tokens: int):
    """The map, its parameters, a batch."""
    torch.manual_seed(0)
    f = maps.dense("A", n, n) @ maps.dense("B", n, n) @ maps.dense("C", n, n)
    return f, {name: torch.randn(n, n, requires_grad=True) for name in "ABC"}, torch.randn(tokens, n, n, n, requires_grad=True)


def by_einsum(x, A, B, C):
    """Three contractions, one after the other."""
    y = torch.einsum("tijk,ck->tijc", x, C)
    y = torch.einsum("tijc,bj->tibc", y, B)
    return torch.einsum("tibc,ai->tabc", y, A)


def by_kron(x, A, B, C):
    """The matrix written out."""
    return (x.flatten(1) @ torch.kron(torch.kron(A, B), C).T).view_as(x)


@pytest.mark.parametrize(("n", "tokens"), KRONECKER)
@pytest.mark.parametrize("peer", [by_einsum, by_kron])
def test_kronecker_forward(n, tokens, peer, report):
    if peer is by_kron and n > 16:
        pytest.skip("the matrix alone is 764 MB")
    f, values, x = kronecker(n, tokens)
    with torch.no_grad():
        torch.testing.assert_close(f.apply(x, values), peer(x, **values), rtol=1e-3, atol=1e-2)
        result = compare(lambda: f.apply(x, values), lambda: peer(x, **values), 7 if peer is by_kron else 15)
    report(f"A ⊗ B ⊗ C, n = {n}, {tokens} vectors, {peer.__name__}", result)
    assert result.within(1.1)


@pytest.mark.parametrize(("n", "tokens"), KRONECKER)
def test_kronecker_backward(n, tokens, report):
    f, values, x = kronecker(n, tokens)
    dy, leaves = torch.randn_like(x), [x, *values.values()]
    result = compare(
        lambda: torch.autograd.grad(f.apply(x, values), leaves, dy), lambda: torch.autograd.grad(by_einsum(x, **values), leaves, dy), 15
    )
    report(f"A ⊗ B ⊗ C, forward and backward, n = {n}, {tokens} vectors, by_einsum", result)
    assert result.within(1.1)


def lora(rank: int = 8, size: int = 768):
    torch.manual_seed(0)
    W, A, B = maps.dense("W", size, size, trainable=False), maps.dense("A", rank, size), maps.dense("B", size, rank)
    values = {
        "W": torch.randn(size, size),
        "A": torch.randn(rank, size, requires_grad=True),
        "B": torch.randn(size, rank, requires_grad=True),
    }
    return W + 2 * (A >> B), values


def usual(x, W, A, B):
    """As it is usually written."""
    return torch.nn.functional.linear(x, W) + torch.nn.functional.linear(torch.nn.functional.linear(x, A), B) * 2


def careful(x, W, A, B):
    """With the last factor accumulated."""
    return torch.addmm(x @ W.t(), x @ A.t(), B.t(), alpha=2)


@pytest.mark.parametrize("peer", [usual, careful])
@pytest.mark.parametrize("tokens", [512, 4096])
def test_low_rank_beside_frozen(tokens, peer, report):
    f, values = lora()
    x = torch.randn(tokens, 768, requires_grad=True)
    dy, leaves = torch.randn(tokens, 768), [x, values["A"], values["B"]]
    with torch.no_grad():
        forward = compare(lambda: f.apply(x, values), lambda: peer(x, **values), 15)
    both = compare(
        lambda: torch.autograd.grad(f.apply(x, values), leaves, dy), lambda: torch.autograd.grad(peer(x, **values), leaves, dy), 15
    )
    report(f"W + B∘A, {tokens} vectors, forward, {peer.__name__}", forward)
    report(f"W + B∘A, {tokens} vectors, forward and backward, {peer.__name__}", both)
    assert forward.within(1.05) and both.within(1.05)


@pytest.mark.skipif(SMOKE, reason="a ratio of two plans")
@pytest.mark.parametrize(("rank", "tokens"), [(256, 64), (256, 4096), (8, 512)])
def test_the_choice_is_the_better_of_the_two(rank, tokens, report):
    """Merged or factored: the planner takes the one that is faster here, or is within a tenth of it."""
    f, values = lora(rank)
    x = torch.randn(tokens, 768)
    with torch.no_grad():
        for policy in ("factored", "dense"):
            forced = f.plan(tokens).using(forward=policy)
            result = compare(lambda: f.apply(x, values), lambda forced=forced: f.apply(x, values, forced), 15)
            report(f"W + B∘A of rank {rank}, {tokens} vectors, chosen against {policy}", result)
            assert result.within(1.1)
