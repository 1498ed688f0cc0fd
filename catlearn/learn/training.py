"""Training in place: the closed lens and the optimiser on tensors of their own, one ``step`` a batch.

Law: ``Training(l, s).step(*batch)`` leaves what ``l.step(s, x, y)`` returns, to the bit.

>>> import catlearn as cl, torch
>>> l = cl.learner(cl.linear(cl.R(1), cl.R(1), bias=False), cl.mse, cl.sgd(0.25))
>>> run = Training(l, l.start({"linear.weight": torch.tensor([[3.0]])}))
>>> run.step(torch.tensor([[2.0]]), torch.tensor([[5.0]])), run.here.params["linear.weight"]
(1.0, tensor([[2.]]))
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from catlearn import errors
from catlearn.boxes.entropy import IGNORED
from catlearn.learn import gradient
from catlearn.learn.cells import kernels
from catlearn.learn.learner import Learner, LearnerState
from catlearn.learn.transforms import clip_norm as clip
from catlearn.meanings.initialise import seed_of


class Training:
    """Owns a copy of a learner's state and moves it. ``here`` is the state now, in live tensors: ``here.clone()`` keeps one."""

    def __init__(self, learner: Learner, start: LearnerState, clip_norm: float | None = None, autocast: torch.dtype | None = None,
                 torch_compile: bool = False) -> None:  # fmt: skip
        self.learner, own = learner, start.clone()
        self.params, self.state, self.seed = own.params, own.state, own.seed
        self.row = [self.params[name] for name in learner.learned]
        cell = learner.optimiser if clip_norm is None else clip(clip_norm) >> learner.optimiser
        self.bound = cell.bind(dict(zip(learner.learned, self.row, strict=True)), own.optimiser)
        self.one = learner.unit(self.params)
        self.random = "random" in learner.closed.graph.effects
        if autocast is not None or torch_compile or gradient.checkpointed(learner.closed):
            self.gradient = gradient.by_autograd(learner.closed, self.params, self.state, autocast, torch_compile)
        else:
            self.gradient = learner.gradient
        self.steps = start.step

    @property
    def here(self) -> LearnerState:
        return LearnerState(self.params, self.bound.state, self.state, self.seed)

    def step(self, *batch: torch.Tensor, rate: float = 1.0) -> float:
        """One step on one batch; the loss before it. Raises ``NotANumber`` before anything moves if the loss is not finite."""
        with torch.no_grad():
            loss, grads = self._gradient(batch, self._key(0), self.one)
            value = loss.item()
            if not math.isfinite(value):
                self.fail(value, batch, grads)
            self.bound.step(grads, rate)
        self.steps += 1
        return value

    def step_on(self, batches: Sequence[Sequence[torch.Tensor]], rate: float = 1.0) -> list[float]:
        """One step on several batches: the mean of their gradients, summed in torch's order (each loss divided by their number)."""
        values, total = [], []
        with torch.no_grad():
            share = self.one / len(batches)
            for i, batch in enumerate(batches):
                loss, grads = self._gradient(batch, self._key(i), share)
                values.append(loss.item())
                if not math.isfinite(values[-1]):
                    self.fail(values[-1], batch, grads)
                if i:
                    kernels._foreach_add_(total, grads)
                else:
                    total = [g.clone() for g in grads]  # two parameters may share one gradient tensor
            self.bound.step(total, rate)
        self.steps += 1
        return values

    def _key(self, part: int) -> int | None:
        return seed_of(self.seed, f"step {self.steps}" + (f" part {part}" if part else "")) if self.random else None

    def _gradient(self, batch: Sequence[torch.Tensor], key: int | None, seed: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        try:
            return self.gradient(self.params, self.state, key, True, batch, seed)
        except (RuntimeError, TypeError, IndexError, AttributeError) as error:
            gradient.explain(self.learner.closed, batch, self.params, error)
            raise

    # -- numbers that are none -----------------------------------------------------------------------------------

    def unfinished(self) -> str | None:
        """The first parameter or state that is not finite, or None."""
        return _first({**self.params, **self.state})

    def fail(self, value: float, batch: Sequence[torch.Tensor], grads: Sequence[torch.Tensor] = ()) -> None:
        """Raise ``NotANumber`` with ``.step`` and ``.culprit``, the first tensor that is not finite (None if all are)."""
        named = {f"parameter {name}": value for name, value in self.params.items()}
        named |= {f"state {name}": value for name, value in self.state.items()}
        named |= {f"input {i}": x for i, x in enumerate(batch)}
        named |= {f"gradient of {name}": g for name, g in zip(self.learner.learned, grads, strict=False)}
        first = _first(named)
        found, next = self._found(first, value, batch)
        error = errors.NotANumber(f"the loss is {value} at step {self.steps + 1}; training stopped", [found],
                                  f"{next}; error.last_good is good")  # fmt: skip
        error.step, error.culprit = self.steps + 1, first  # type: ignore[attr-defined]
        raise error

    def _found(self, first: str | None, value: float, batch: Sequence[torch.Tensor]) -> tuple[str, str]:
        """What is wrong, and what to do."""
        wires = self.learner.closed.dom
        for i, (x, wire) in enumerate(zip(batch, wires, strict=False)):
            if wire.kind == "index" and x.numel() and bool((x == IGNORED).all()):
                return f"input {i}: every label is {IGNORED}, which the loss leaves out, so it is a mean of nothing", "look at the data"
        if first:
            if first.startswith("input"):
                return f"first not finite: {first}", "look at the data"
            return f"first not finite: {first}", "lower the rate, clip (clip_norm=1.0), or look at the data"
        sizes = {name: float(p.abs().max()) for name, p in self.params.items() if p.numel() and p.is_floating_point()}
        largest = max(sizes, key=lambda name: sizes[name], default=None)
        most = f"; the largest parameter is {largest}, up to {sizes[largest]:.3g}" if largest else ""
        why = "so the loss itself " + ("divides nothing by nothing, or subtracts infinities" if math.isnan(value) else "overflows")
        return f"inputs, parameters and gradients are finite, {why}{most}", "look at the data and the loss, or lower the rate"


def _first(named: dict[str, Any]) -> str | None:
    return next((name for name, x in named.items() if x.is_floating_point() and not bool(torch.isfinite(x).all())), None)
