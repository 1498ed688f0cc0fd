"""Honest comparisons: two callables in one process, interleaved, process CPU time, medians of paired ratios, with an A/A control.

``compare(ours, peer)`` runs ours, peer, peer again in every round; ``ratio`` is the median of ours/peer, ``control`` the spread of
peer/peer, which is what the machine's noise alone would show. ``BENCH=smoke`` takes few rounds: it shows that a benchmark runs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

SMOKE = os.environ.get("BENCH") == "smoke"


@dataclass(frozen=True)
class Comparison:
    """The outcome: median ratio, the spread that the control shows, and the peer's median seconds per call."""

    ratio: float
    control: float  # half the distance between the quartiles of peer/peer, plus its median's distance from 1
    seconds: float

    def within(self, limit: float) -> bool:
        """Whether the ratio is at most the limit, beyond the control's spread. In a smoke run only that it ran."""
        return SMOKE or self.ratio <= limit + self.control

    def __str__(self) -> str:
        return f"{self.ratio:6.3f} × peer   (A/A ± {self.control:.3f}; peer {self.seconds * 1e6:,.0f} µs)"


def spent(call: Callable[[], Any], times: int) -> float:
    """Process CPU seconds of so many calls."""
    start = time.process_time_ns()
    for _ in range(times):
        call()
    return (time.process_time_ns() - start) / 1e9


def steady() -> None:
    """Free one block of 31 MiB, as any process that has worked for a while has done: then glibc keeps freed memory, for either side.

    Fresh pages cost more than the arithmetic on them, and when the allocator gives memory back depends on the largest block ever freed.
    """
    torch.empty(31 << 18)


def compare(ours: Callable[[], Any], peer: Callable[[], Any], rounds: int = 31, seconds: float = 0.02) -> Comparison:
    """Interleaved rounds of at least ``seconds`` each."""
    steady()
    for _ in range(3):
        ours(), peer()
    times = max(1, int(seconds / max(spent(peer, 3) / 3, 1e-7)))
    ratios, controls, base = [], [], []
    for round in range(3 if SMOKE else rounds):
        order = (ours, peer, peer) if round % 2 else (peer, peer, ours)  # neither side always runs first
        got = [spent(call, times) for call in order]
        a, b, c = got if round % 2 else (got[2], got[0], got[1])
        ratios.append(2 * a / (b + c))
        controls.append(b / c)
        base.append((b + c) / 2 / times)
    controls.sort()
    quartiles = controls[len(controls) // 4], controls[3 * len(controls) // 4]
    spread = (quartiles[1] - quartiles[0]) / 2 + abs(median(controls) - 1)
    return Comparison(median(ratios), spread, median(base))
