"""Learning-rate schedules: functions from the number of steps made to a factor on the optimiser's rate.

>>> [round(cosine(4, warmup=2)(step), 3) for step in range(7)]
[0.5, 1.0, 1.0, 0.854, 0.5, 0.146, 0.0]
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import torch

from catlearn import errors

Schedule: TypeAlias = Callable[[int], float]


def constant(factor: float = 1.0) -> Schedule:
    """The same factor at every step."""
    return lambda step: factor


def warmup(steps: int, after: Schedule | None = None) -> Schedule:
    """Linear from 1/steps to 1 over the first steps, then ``after`` (counted from there), or 1."""
    return _warm(steps, after)


def _warm(steps: int, after: Schedule | None) -> Schedule:
    _whole("warmup", steps, 0)
    return lambda step: (step + 1) / steps if step < steps else (after(step - steps) if after else 1.0)


def cosine(steps: int, warmup: int = 0, last: float = 0.0) -> Schedule:
    """Half a cosine from 1 down to ``last`` over ``steps`` steps after a linear warm-up (Loshchilov, Hutter 2017, arXiv:1608.03983)."""
    _whole("cosine", steps, 1)

    def half(step: int) -> float:
        return last + (1 - last) * (1 + math.cos(math.pi * min(step / steps, 1))) / 2

    return _warm(warmup, half)


def linear(steps: int, last: float = 0.0) -> Schedule:
    """Straight from 1 down to ``last`` over ``steps`` steps."""
    _whole("linear", steps, 1)
    return lambda step: 1 + (last - 1) * min(step / steps, 1)


def from_torch(factory: Callable[[torch.optim.Optimizer], Any]) -> Schedule:
    """The factors that a torch scheduler gives: ``from_torch(lambda o: torch.optim.lr_scheduler.StepLR(o, 10))``."""
    known: list[float] = []
    dummy = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler: list[Any] = []

    def factor(step: int) -> float:
        if not scheduler:
            scheduler.append(factory(dummy))
            known.append(float(dummy.param_groups[0]["lr"]))
        while len(known) <= step:
            dummy.step()
            scheduler[0].step()
            known.append(float(dummy.param_groups[0]["lr"]))
        return known[step]

    return factor


def as_schedule(schedule: Any) -> Schedule:
    """A function step → factor as it is, None as the constant 1, a torch scheduler's factory by ``from_torch``."""
    if schedule is None:
        return constant()
    if not callable(schedule) or isinstance(schedule, torch.optim.lr_scheduler.LRScheduler):
        raise errors.BadTraining(f"{schedule!r} is no schedule",
                                 next="give a function step → factor, cl.schedules.cosine(1000), or optimizer → LRScheduler")  # fmt: skip
    made: Any = schedule
    try:
        first = made(0)
    except (AttributeError, TypeError, KeyError):  # not a function of numbers, so a function of an optimiser
        return from_torch(made)
    if not isinstance(first, int | float):
        raise errors.BadTraining(f"the schedule gives {first!r} at step 0", next="it must give a number, a factor on the rate")
    return made


def _whole(what: str, steps: int, least: int) -> None:
    if not isinstance(steps, int) or steps < least:
        raise errors.BadTraining(f"schedules.{what}({steps!r}): the number of steps is an integer from {least} on")
