"""Transposing steps: the reverse of a tape is further steps on the same tape.

The cotangent of an argument of a step is again a step of the same few kinds, so a backward pass is planned, shared and run like a
forward one, and it can be reversed again.

Source: reverse-mode differentiation of straight-line programs, as in Griewank and Walther, *Evaluating Derivatives* (2008), chapter 3.

>>> from catlearn.maps.tape import Tape
>>> tape = Tape()
>>> x, w = tape.input((3,)), tape.param("w", (2, 3))
>>> y, dy = tape.einsum(("i", "oi"), "o", x, w), tape.input((2,), "dy")
>>> found = reverse(tape, {y: dy}, [x, w])
>>> [(tape.lead(found[r]), tape.shape(found[r])) for r in (x, w)]
[((-1,), (3,)), ((), (2, 3))]
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from catlearn.maps.tape import LETTERS, TOKENS, Step, Tape, multiply

PULLED = 4  # fixed factors that are pulled out of one sum, so that long chains are reversed in steps and not in squares
Operand = tuple[str, int]  # the letters of a register's axes, and the register


def reverse(tape: Tape, seeds: Mapping[int, int], wanted: Iterable[int], outside: bool = False) -> dict[int, int]:
    """The cotangents of the wanted registers; one that nothing reaches has no entry. ``seeds``: register → its cotangent.

    ``outside``: what is summed over all vectors is summed before it meets factors that do not depend on them, see ``summed``.
    """
    wanted = list(wanted)
    order = tape.live(seeds)
    depends = set(wanted)
    for r in order:
        if depends & set(tape.steps[r].args):
            depends.add(r)
    cotangents = dict(seeds)
    for r in reversed(order):
        if r not in cotangents or r not in depends or tape.steps[r].kind == "stop":
            continue
        step = tape.steps[r]
        for k, arg in enumerate(step.args):
            if arg in depends:
                rule = summing if outside and step.kind == "einsum" else RULES[step.kind]
                found = rule(tape, step, r, cotangents[r], k)
                cotangents[arg] = tape.add(cotangents[arg], found) if arg in cotangents else found
    return {r: cotangents[r] for r in wanted if r in cotangents}


def _einsum(tape: Tape, step: Step, r: int, dy: int, k: int, outside: bool = False) -> int:
    (ins, out), arg = step.with_, step.args[k]
    others = [(letters, a) for j, (letters, a) in enumerate(zip(ins, step.args, strict=True)) if j != k]
    reached = "".join(c for c in ins[k] if c in out or any(c in letters for letters, _ in others))
    if outside and not tape.lead(arg):
        found = summed(tape, [(out, dy), *others], reached)
    else:
        found = tape.einsum((out, *(letters for letters, _ in others)), reached, dy, *(a for _, a in others), lead=tape.lead(arg))
    for axis, c in enumerate(ins[k]):
        if c not in reached:
            found = tape.repeat(found, axis, tape.shape(arg)[axis])
    return found


def summing(tape: Tape, step: Step, r: int, dy: int, k: int) -> int:
    """The rule of a contraction, with sums over the vectors first."""
    return _einsum(tape, step, r, dy, k, outside=True)


def summed(tape: Tape, operands: Sequence[Operand], out: str) -> int:
    """A contraction over all vectors with the fixed factors of its operands pulled out of the sum: Σₜ yₜ (B hₜ) = B ∘ (Σₜ yₜ hₜᵀ).

    So gradients that differ in their fixed factors share one sum, and what was multiplied by them is not needed again. A factor stays
    inside where the sum would be dearer than before with the step that multiplied by it (that of B A x does not become Σₜ yₜ xₜᵀ).
    """
    moving, fixed = ([o for o in operands if bool(tape.lead(o[1])) == has] for has in (True, False))
    k = 0
    while len(moving) == 2 and k < 2 and len(fixed) <= PULLED:
        opened = parted(tape, *moving[k], used="".join(letters for letters, _ in (*moving, *fixed)) + out)
        if opened and _flops(tape, opened[0], moving[1 - k]) <= _flops(tape, *moving) + tape.flops(moving[k][1]) // tape.count((TOKENS,)):
            moving[k], fixed, k = opened[0], [*fixed, opened[1]], 0
        else:
            k += 1
    if len(moving) != 2 or not fixed:
        return tape.einsum([letters for letters, _ in operands], out, *(r for _, r in operands), lead=())
    outer = out + "".join(letters for letters, _ in fixed)
    kept = "".join(c for c in dict.fromkeys(moving[0][0] + moving[1][0]) if c in outer)
    core = tape.einsum([letters for letters, _ in moving], kept, *(r for _, r in moving), lead=())
    return tape.einsum([kept, *(letters for letters, _ in fixed)], out, core, *(r for _, r in fixed), lead=())


def parted(tape: Tape, letters: str, r: int, used: str) -> tuple[Operand, Operand] | None:
    """A register that is a contraction of one that has lead axes and one that has none, as these two; None if it is not."""
    step = tape.steps[r]
    if step.kind != "einsum" or len(step.args) != 2 or [bool(tape.lead(a)) for a in step.args].count(True) != 1:
        return None
    (ins, made), fresh = step.with_, (c for c in LETTERS if c not in used)
    names = dict(zip(made, letters, strict=True))
    pair = [("".join(names[c] if c in names else names.setdefault(c, next(fresh)) for c in text), a)
            for text, a in zip(ins, step.args, strict=True)]  # fmt: skip
    return (pair[0], pair[1]) if tape.lead(step.args[0]) else (pair[1], pair[0])


def _flops(tape: Tape, a: Operand, b: Operand) -> int:
    """The floating-point operations of a contraction for one vector."""
    sizes = {c: s for letters, r in (a, b) for c, s in zip(letters, tape.shape(r), strict=True)}
    return 2 * math.prod(sizes.values())


def _shift(tape: Tape, step: Step, r: int, dy: int, k: int) -> int:
    letters = LETTERS[: len(step.shape)]
    return tape.einsum((letters,), letters, dy, lead=()) if k else dy


def _concat(tape: Tape, step: Step, r: int, dy: int, k: int) -> int:
    (axis,) = step.with_
    start = sum(tape.shape(a)[axis] for a in step.args[:k])
    return tape.gather(dy, axis, range(start, start + tape.shape(step.args[k])[axis]))


def _repeat(tape: Tape, step: Step, r: int, dy: int, k: int) -> int:
    letters = LETTERS[: len(step.shape)]
    axis = step.with_[0]
    return tape.einsum((letters,), letters[:axis] + letters[axis + 1 :], dy)


def _power(tape: Tape, step: Step, r: int, dy: int, k: int) -> int:
    (exponent,), x = step.with_, step.args[0]
    letters = LETTERS[: len(step.shape)]
    slope = tape.scale(tape.power(x, multiply(exponent, 1) - 1), exponent)
    return tape.einsum((letters, letters), letters, dy, slope)


def _inverse(tape: Tape, step: Step, r: int, dy: int, k: int) -> int:
    return tape.scale(tape.einsum(("ba", "bc", "dc"), "ad", r, dy, r), -1)


def _convolve(tape: Tape, step: Step, r: int, dy: int, k: int) -> int:
    (ins, out, flips), other = step.with_, step.args[1 - k]
    turned = (flips[k], flips[1 - k] == flips[k])  # ⟨dy, x ∗ y⟩ = ⟨dy ∗ flipped y, x⟩; what was flipped is flipped back
    return tape.convolve((out, ins[1 - k]), ins[k], dy, other, tape.lead(step.args[k]), turned)


def _sparse(tape: Tape, step: Step, r: int, dy: int, k: int) -> int:
    (rows, columns, _), (x, values) = step.with_, step.args
    return tape.pairs(dy, x, rows, columns) if k else tape.sparse(dy, values, columns, rows, tape.shape(x)[0])


def _pairs(tape: Tape, step: Step, r: int, dy: int, k: int) -> int:
    (rows, columns), other = step.with_, step.args[1 - k]
    there, back = (columns, rows) if k else (rows, columns)
    return tape.sparse(other, dy, there, back, tape.shape(step.args[k])[0])


def _inverted(order: tuple[int, ...]) -> list[int]:
    return [order.index(i) for i in range(len(order))]


RULES = {
    "einsum": _einsum,
    "shift": _shift,
    "concat": _concat,
    "repeat": _repeat,
    "power": _power,
    "inverse": _inverse,
    "convolve": _convolve,
    "sparse": _sparse,
    "pairs": _pairs,
    "add": lambda tape, step, r, dy, k: dy,
    "scale": lambda tape, step, r, dy, k: tape.scale(dy, step.with_[0]),
    "reshape": lambda tape, step, r, dy, k: tape.reshape(dy, tape.shape(step.args[0])),
    "permute": lambda tape, step, r, dy, k: tape.permute(dy, _inverted(step.with_)),
    "fold": lambda tape, step, r, dy, k: tape.unfold(dy, step.with_),
    "unfold": lambda tape, step, r, dy, k: tape.fold(dy, step.with_),
    "gather": lambda tape, step, r, dy, k: tape.scatter(dy, *step.with_, tape.shape(step.args[0])[step.with_[0]]),
    "scatter": lambda tape, step, r, dy, k: tape.gather(dy, *step.with_[:2]),
    "transform": lambda tape, step, r, dy, k: tape.transform(dy, step.with_[0], not step.with_[1]),
}
