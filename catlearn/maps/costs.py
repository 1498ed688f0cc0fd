"""What steps cost: floating-point operations, and the weight that the planner compares.

>>> from catlearn.maps.tape import Tape
>>> tape = Tape(tokens=10)
>>> y = tape.einsum(("a", "ba"), "b", tape.input((3,)), tape.param("w", (2, 3)))
>>> flops(tape, y), weight(tape, tape.live([y]))
(120, 50280)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from catlearn.maps.tape import MOVES, Step, Tape

# What moving one entry, and one step, cost beside a flop of a large product. Measured on one core; only their order matters.
ENTRY, STEP = 8, 50_000
NEVER = 1 << 100  # more than anything weighs
FREE = ("input", "param", "constant", "eye", "reshape", "permute", "stop", "repeat")


def weight(tape: Tape, order: Sequence[int]) -> int:
    """What so many steps cost, in flops of a large product."""
    return sum(tape.flops(r) + ENTRY * tape.numel(r) + STEP for r in order if tape.steps[r].kind not in FREE)


def flops(tape: Tape, r: int) -> int:
    """Floating-point operations of one step."""
    step = tape.steps[r]
    if step.kind in MOVES:
        return 0
    if step.kind == "einsum":
        sizes = {c: s for letters, a in zip(step.with_[0], step.args, strict=True) for c, s in zip(letters, tape.shape(a), strict=True)}
        lead = max(tape.count(tape.lead(a)) for a in step.args)
        total = lead * math.prod(sizes.values())
        return (2 if len(step.args) == 2 and total > tape.numel(r) else 1) * total
    if step.kind == "inverse":
        return step.shape[-1] ** 3 // 3
    if step.kind in ("transform", "convolve"):
        n = max(2, step.shape[-1])
        moved = tape.numel(r) + sum(map(tape.numel, step.args))
        return int(2.5 * math.log2(n) * moved) + (8 * _pairs(tape, step) if step.kind == "convolve" else 0)
    return tape.numel(r) if step.kind in ("add", "scale", "power", "shift") else 0


def _pairs(tape: Tape, step: Step) -> int:
    letters = set("".join(step.with_[0]))
    sizes = {c: s for text, a in zip(step.with_[0], step.args, strict=True) for c, s in zip(text, tape.shape(a), strict=False)}
    return max(tape.count(tape.lead(a)) for a in step.args) * math.prod(sizes[c] for c in letters) * (step.shape[-1] // 2 + 1)
