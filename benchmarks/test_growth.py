"""Building, comparing, lowering and compiling grow at most as n^1.2 from 2,000 to 50,000 boxes, without recursion."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch

import catlearn as cl
from benchmarks.compare import SMOKE

SMALL, LARGE = (200, 2_000) if SMOKE else (2_000, 50_000)
X = cl.R(4)


def chain(n: int) -> cl.Term:
    f = cl.relu(X)
    for _ in range(n - 1):
        f = f >> cl.relu(X)
    return f


def row(n: int) -> cl.Term:
    f = cl.relu(X)
    for _ in range(n - 1):
        f = f @ cl.relu(X)
    return f


def seconds(make: Callable[[], Any], run: Callable[[Any], Any]) -> float:
    """The best of five runs, each on a fresh argument, with the collector off (it would count our garbage, not our work)."""
    best = math.inf
    for _ in range(1 if SMOKE else 5):
        argument = make()
        gc.collect(), gc.disable()
        start = time.process_time()
        run(argument)
        best = min(best, time.process_time() - start)
        gc.enable()
    return best


STEPS: dict[str, tuple[Callable[[int], Any], Callable[[Any], Any]]] = {
    "build by >>": (lambda n: n, chain),
    "build by @": (lambda n: n, row),
    "compare (==) of chains": (lambda n: (chain(n), chain(n)), lambda fg: fg[0] == fg[1]),
    "compare (same) of chains": (lambda n: (chain(n), chain(n)), lambda fg: cl.same(*fg)),
    "compare (same) of rows": (lambda n: (row(n), row(n)), lambda fg: cl.same(*fg)),
    "lower a chain": (chain, lambda f: f.graph),
    "lower a row": (row, lambda f: f.graph),
    "compile a chain": (chain, cl.compile),
    "reverse graph of a chain": (chain, lambda f: cl.lens(f).put({}, (torch.zeros(4),), (torch.zeros(4),))),
}


@pytest.mark.parametrize("step", STEPS)
def test_growth(step, report):
    make, run = STEPS[step]
    small, large = seconds(lambda: make(SMALL), run), seconds(lambda: make(LARGE), run)
    exponent = math.log(large / small) / math.log(LARGE / SMALL)
    report(f"{step}, {LARGE:,} boxes", f"{large:6.2f} s   n^{exponent:.2f}")
    assert SMOKE or exponent <= 1.2
