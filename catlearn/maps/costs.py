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

# What one step costs, and one entry: of a product's result, of a result that is added while it is made, of what is only summed, of a pass
# over a tensor, of a copy in another order, of one scattered, of a transform for each halving of its length, and of what is kept until the
# backward pass; all in flops of a large product, 90 to a nanosecond. Measured on one core at 512 vectors of 768 and 3072 entries; only
# their order matters.
STEP, ENTRY, FUSED, SUMMED, PASS, COPY, SCATTER, BUTTERFLY, KEPT = 50_000, 8, 4, 8, 20, 45, 200, 20, 10
THIN = 12  # what one row of registers holds
BATCH = 15_000  # one more product of small matrices
NEVER = 1 << 100  # more than anything weighs
FREE = ("input", "param", "constant", "eye", "permute", "stop")


def weight(tape: Tape, order: Sequence[int]) -> int:
    """What so many steps cost, in flops of a large product."""
    return sum(flops(tape, r) + moved(tape, r) + STEP for r in order if not free(tape, r))


def free(tape: Tape, r: int) -> bool:
    """Whether a step only says how memory is read."""
    step = tape.steps[r]
    if step.kind == "gather":
        return step.with_[1].run is not None
    if step.kind == "reshape":  # a repeat has paid for its copy
        return tape.steps[step.args[0]].kind == "repeat" or not scattered(tape, step.args[0])
    return step.kind in FREE


def scattered(tape: Tape, r: int) -> bool:
    """Whether a register's entries do not lie in order, so that its reshape is a copy."""
    step = tape.steps[r]
    if step.kind == "reshape":
        return scattered(tape, step.args[0]) and free(tape, r)
    if step.kind == "einsum":
        batch, left, right = sides(tape, step)
        return len(batch) > 0 and bool(left + right) and step.with_[1] not in (batch + left + right, batch + right + left)
    return step.kind == "repeat" or (step.kind == "permute" and len(step.shape) > 2)


def sides(tape: Tape, step: Step) -> tuple[str, str, str]:
    """The letters of a contraction's result that both operands have, and those of one alone; the lead axis of both is ``Z``."""
    letters = [text + "Z" * bool(tape.lead(a)) for text, a in zip(step.with_[0], step.args, strict=True)]
    one, two = letters if len(letters) == 2 else (letters[0], "")
    out = "Z" * bool(step.lead) + step.with_[1]
    batch = "".join(c for c in out if c in one and c in two)
    return batch, "".join(c for c in out if c in one and c not in batch), "".join(c for c in out if c in two and c not in batch)


def moved(tape: Tape, r: int) -> int:
    """What the entries of a step cost beside its flops."""
    step, entries = tape.steps[r], tape.numel(r)
    if step.kind == "einsum":
        return contracted(tape, step, entries)
    if step.kind in ("add", "shift"):
        if not step.lead and len({tape.steps[a].kind == "permute" for a in step.args}) > 1:  # one is read across the rows of the other
            return SCATTER * entries
        return (FUSED if any(multiplies(tape, a) for a in step.args) else PASS) * entries
    if step.kind == "scatter" and step.with_[1].run is None:
        return SCATTER * tape.numel(step.args[0]) + PASS * entries
    if step.kind in ("sparse", "pairs"):  # vectors are turned to columns, and back
        used = max(tape.count(tape.lead(a)) for a in step.args) * len(step.with_[0])
        return COPY * (entries + sum(map(tape.numel, step.args))) + (PASS if step.kind == "sparse" else 3 * PASS) * used
    if step.kind in ("transform", "convolve"):
        return int(BUTTERFLY * math.log2(max(2, step.shape[-1])) * (entries + sum(map(tape.numel, step.args)) // 2))
    if step.kind == "repeat":  # no memory of its own, but what adds it or flattens it walks over it all
        return (COPY if short(step.shape) else PASS) * entries
    return (COPY if step.kind in ("gather", "reshape") else PASS) * entries


def short(shape: Sequence[int]) -> bool:
    """Whether the last axis is so short that a loop which begins anew along it is as slow as a copy in another order."""
    return bool(shape) and shape[-1] <= THIN


def multiplies(tape: Tape, r: int) -> bool:
    """Whether a register is a product of matrices, with which a sum can begin or end."""
    step = tape.steps[r]
    return step.kind == "einsum" and len(step.args) == 2 and bool(set("".join(step.with_[0])) - set(step.with_[1]))


def contracted(tape: Tape, step: Step, entries: int) -> int:
    """What the entries of a contraction cost."""
    if len(step.args) == 1:  # only read
        (x,), (letters,) = step.args, step.with_[0]
        return (COPY if short(tape.shape(x)) and letters[-1] not in step.with_[1] else SUMMED) * tape.numel(x)
    if set("".join(step.with_[0])) <= set(step.with_[1]) and step.lead == max(map(tape.lead, step.args), key=len):
        return PASS * entries
    batch, left, right = sides(tape, step)
    if not (left and right):  # sums of products of numbers: a pass that multiplies, and one that adds
        return 2 * PASS * max(map(tape.numel, step.args)) if batch and not (left or right) else ENTRY * entries
    sizes = {c: s for letters, a in zip(step.with_[0], step.args, strict=True) for c, s in zip(letters, tape.shape(a), strict=True)}
    sizes["Z"] = tape.count(max(map(tape.lead, step.args), key=len))
    if not batch and left[0] == "Z":  # a matrix on axes in the middle: one small product for each of the axes before
        inner = next(k for k, c in enumerate(step.with_[1]) if c in right)
        batch = "" if step.with_[1][inner:] == right else "Z" + step.with_[1][:inner]
    return ENTRY * entries + BATCH * (math.prod(sizes[c] for c in batch) if batch else 0)


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
    if step.kind in ("sparse", "pairs"):
        return 2 * max(tape.count(tape.lead(a)) for a in step.args) * len(step.with_[0])
    return tape.numel(r) if step.kind in ("add", "scale", "power", "shift") else 0


def _pairs(tape: Tape, step: Step) -> int:
    letters = set("".join(step.with_[0]))
    sizes = {c: s for text, a in zip(step.with_[0], step.args, strict=True) for c, s in zip(text, tape.shape(a), strict=False)}
    return max(tape.count(tape.lead(a)) for a in step.args) * math.prod(sizes[c] for c in letters) * (step.shape[-1] // 2 + 1)
