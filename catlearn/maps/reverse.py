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

from collections.abc import Iterable, Mapping

from catlearn.maps.tape import LETTERS, Index, Step, Tape, multiply


def reverse(tape: Tape, seeds: Mapping[int, int], wanted: Iterable[int]) -> dict[int, int]:
    """The cotangents of the wanted registers; one that nothing reaches has no entry. ``seeds``: register → its cotangent."""
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
                found = RULES[step.kind](tape, step, r, cotangents[r], k)
                cotangents[arg] = tape.add(cotangents[arg], found) if arg in cotangents else found
    return {r: cotangents[r] for r in wanted if r in cotangents}


def _einsum(tape: Tape, step: Step, r: int, dy: int, k: int) -> int:
    (ins, out), arg = step.with_, step.args[k]
    others = [(letters, a) for j, (letters, a) in enumerate(zip(ins, step.args, strict=True)) if j != k]
    reached = "".join(c for c in ins[k] if c in out or any(c in letters for letters, _ in others))
    found = tape.einsum((out, *(letters for letters, _ in others)), reached, dy, *(a for _, a in others), lead=tape.lead(arg))
    for axis, c in enumerate(ins[k]):
        if c not in reached:
            found = tape.repeat(found, axis, tape.shape(arg)[axis])
    return found


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
    (ins, out), other, n = step.with_, step.args[1 - k], step.shape[-1]
    flipped = tape.gather(other, len(tape.shape(other)) - 1, Index(-i % n for i in range(n)))
    return tape.convolve((out, ins[1 - k]), ins[k], dy, flipped, tape.lead(step.args[k]))


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
