"""Sums of S_n diagrams with channels against the layers of ``peers_sums``: forward, backward, compiled, growth, time to plan."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from statistics import median

import pytest
import torch
from torch import Tensor

from benchmarks.compare import SMOKE, Comparison, compare, spent
from benchmarks.peers_sums import ORDER, Limit, Pair, factored, peer_a, peer_b
from catlearn.diagrams import basis
from catlearn.maps.sums.apply import apply
from catlearn.maps.sums.family import Element, Family
from catlearn.maps.sums.patterns import skeleton_of
from catlearn.maps.sums.plan import plan
from catlearn.maps.sums.weights import structure


def symmetric(n: int, k: int, l: int) -> Family:
    return Family((n,) * k, (n,) * l, tuple(map(Element, ORDER if k == l == 2 else (d.deltas for d in basis("S", n, k, l)))))


def drawn(family: Family, batch: int, c: int) -> tuple[Tensor, Tensor]:
    return torch.randn(batch, *family.ins, c), torch.randn(len(family.elements), c, c)


def both(call: Callable[..., Tensor], arguments: tuple[Tensor, ...]) -> Callable[[], None]:
    """Forward and backward, as in a step of training: fresh gradients of all arguments."""
    given = [t.clone().requires_grad_() for t in arguments]
    dy = torch.randn_like(call(*given))
    return lambda: torch.autograd.grad(call(*given), given, dy)  # pyright: ignore[reportReturnType]


def measured(ours: Callable[[], object], peer: Callable[[], object], seconds: float = 0.05) -> Comparison:
    """One comparison, whatever it says: paired medians of 15 rounds.

    A round has as many calls as the peer does in ``seconds``, the same of both, so that the pages touched anew at a change of side weigh
    little.
    """
    return compare(ours, peer, rounds=15, seconds=seconds)


@pytest.mark.parametrize(("n", "forward", "backward"), [(32, 1.0, 0.9), (64, 0.7, 0.7), (128, 0.5, 0.6)])
def test_two_to_two_against_b(n, forward, backward, report):
    family = symmetric(n, 2, 2)
    x, weight = drawn(family, 16, 16)
    parts = factored(weight)
    assert torch.allclose(apply(family, x, weight), peer_b(x, *parts), atol=1e-2 * n, rtol=1e-3)
    with torch.no_grad():
        found = measured(lambda: apply(family, x, weight), lambda: peer_b(x, *parts), n / 500)
    report(f"S_{n} 2 -> 2, 16 -> 16 channels, forward, B (<= {forward})", str(found))
    ours, theirs = both(lambda x, w: apply(family, x, w), (x, weight)), both(peer_b, (x, *parts))
    again = measured(ours, theirs, n / 500)
    report(f"S_{n} 2 -> 2, 16 -> 16 channels, forward and backward, B (<= {backward})", str(again))
    assert found.within(forward) and again.within(backward)


@pytest.mark.parametrize("n", [32, 64, 128])
def test_two_to_two_against_the_limit(n, report):
    family = symmetric(n, 2, 2)
    x, weight = drawn(family, 16, 16)
    compiled = torch.compile(lambda x, weight: apply(family, x, weight), fullgraph=True)
    with torch.no_grad():
        found = measured(lambda: compiled(x, weight), Limit(x, 16))
    report(f"S_{n} 2 -> 2, 16 -> 16 channels, forward compiled, L (<= 2.0)", str(found))
    assert found.within(2.0)


def test_two_to_two_against_a(report):
    family = symmetric(64, 2, 2)
    x, weight = drawn(family, 16, 16)
    assert torch.allclose(apply(family, x, weight), peer_a(x, weight), atol=1.0, rtol=1e-3)
    with torch.no_grad():
        found = measured(lambda: apply(family, x, weight), lambda: peer_a(x, weight))
    report("S_64 2 -> 2, 16 -> 16 channels, forward, A", str(found))
    assert found.within(0.2)


@pytest.mark.parametrize("n", [16, 32, 64])
def test_few_channels_against_b(n, report):
    family = symmetric(n, 2, 2)
    x, weight = drawn(family, 4, 4)
    parts = factored(weight)
    with torch.no_grad():
        found = measured(lambda: apply(family, x, weight), lambda: peer_b(x, *parts))
    ours, theirs = both(lambda x, w: apply(family, x, w), (x, weight)), both(peer_b, (x, *parts))
    again = measured(ours, theirs)
    report(f"S_{n} 2 -> 2, batch 4, 4 -> 4 channels, forward, B (<= 1.0)", str(found))
    report(f"S_{n} 2 -> 2, batch 4, 4 -> 4 channels, forward and backward, B (<= 1.0)", str(again))
    assert found.within(1.0) and again.within(1.0)


@pytest.mark.parametrize(("k", "l", "limit"), [(3, 3, 0.2), (3, 2, 1.0), (2, 3, 1.0)])
def test_order_three_against_one_pair_of_channels(k, l, limit, report):
    family = symmetric(16, k, l)
    x, weight = drawn(family, 4, 8)
    with torch.no_grad():
        found = measured(lambda: apply(family, x, weight), Pair(16, k, l, 4))
    report(f"S_16 {k} -> {l}, 8 -> 8 channels, forward, dense product of one pair (<= {limit})", str(found))
    assert found.within(limit)


@pytest.mark.parametrize(("order", "sizes", "batch", "c", "limit"), [(2, (32, 128), 16, 16, 2.1), (3, (16, 48), 4, 8, 3.2)])
def test_growth(order, sizes, batch, c, limit, report):
    calls = []
    for n in sizes:
        family = symmetric(n, order, order)
        x, weight = drawn(family, batch, c)
        calls.append(lambda f=family, x=x, w=weight: apply(f, x, w))
    times: list[list[float]] = [[], []]
    with torch.no_grad():
        for _ in range(2 if SMOKE else 16):
            for call, found in zip(calls, times, strict=True):
                found.append(spent(call, 1))
    small, large = (median(found[1:]) for found in times)
    exponent = math.log(large / small) / math.log(sizes[1] / sizes[0])
    report(
        f"S_n {order} -> {order}, n = {sizes[0]} to {sizes[1]} (<= n^{limit})",
        f"n^{exponent:.2f}   ({small * 1e3:.2f}, {large * 1e3:.2f} ms)",
    )
    assert SMOKE or exponent <= limit


@pytest.mark.parametrize(("order", "n", "limit"), [(2, 64, 0.010), (2, 1000, 0.010), (3, 16, 1.0), (3, 64, 1.0)])
def test_time_to_plan(order, n, limit, report):
    family = symmetric(n, order, order)
    times = []
    for _ in range(5):
        for cache in (plan, structure, skeleton_of):
            cache.cache_clear()
        start = time.process_time()
        made = plan(family, 16, 16, 16)
        assert made.passing(True).run
        times.append(time.process_time() - start)
    report(f"S_{n} {order} -> {order}, planning (<= {limit * 1e3:.0f} ms)", f"{median(times) * 1e3:.2f} ms")
    assert SMOKE or median(times) <= limit
