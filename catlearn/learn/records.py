"""Where a run is and what it has seen: history, the best epoch so far, and how both go into a checkpoint and come back."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from catlearn import errors
from catlearn.learn import checkpoint
from catlearn.learn.cells import State
from catlearn.learn.data import Data
from catlearn.learn.foreign import Foreign
from catlearn.learn.learner import Learner, LearnerState
from catlearn.learn.network import boxes, digest
from catlearn.learn.schedules import Schedule


class Records:
    """``epoch`` and ``batch`` are the next to come; ``total`` and ``count`` sum the losses of the epoch that is under way.

    ``rates`` are the schedule's factors at some of the steps made: at powers of two, and at the last.
    """

    def __init__(self, learner: Learner, options: Any, data: Data, schedule: Schedule) -> None:
        self.learner, self.options, self.data, self.schedule = learner, options, data, schedule
        self.rates: dict[int, float] = {}
        self.last: tuple[int, float] | None = None
        self.epoch = self.batch = self.count = self.waited = 0
        self.total = 0.0
        self.history: list[dict[str, Any]] = []
        self.best: LearnerState | None = None
        self.best_value: float | None = None

    @property
    def stale(self) -> bool:
        """Whether patience is over."""
        return self.options.patience is not None and self.waited >= self.options.patience

    def rated(self, step: int, rate: float) -> None:
        """The schedule's factor at a step that is made."""
        self.last = (step, float(rate))
        if step & (step - 1) == 0:
            self.rates[step] = float(rate)

    def add(self, record: dict[str, Any], here: LearnerState) -> None:
        """The end of an epoch."""
        self.history.append(record)
        self.epoch, self.batch, self.count, self.total = self.epoch + 1, 0, 0, 0.0
        if self.options.patience is None:
            return
        name = self.options.monitor or ("val_loss" if "val_loss" in record else "loss")
        value = record[name] if name.endswith("loss") else -record[name]
        if self.best_value is None or value < self.best_value:
            self.best, self.best_value, self.waited = here.clone(), value, 0
        else:
            self.waited += 1

    # -- files ---------------------------------------------------------------------------------------------------

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """What must be the same for a run to go on with the same numbers."""
        o, cell = self.options, self.learner.optimiser
        name = getattr(cell.factory, "__qualname__", "") if isinstance(cell, Foreign) else str(cell)
        shapes = {name: str(param.space) for name, param in self.learner.closed.params.items()}
        graph = self.learner.closed.graph
        return {"parameters": shapes, "boxes": boxes(graph), "network": digest(graph), "optimiser": name, "seed": o.seed,
                "batch_size": o.batch_size, "shuffle": o.shuffle, "accumulate": o.accumulate, "clip_norm": o.clip_norm,
                "autocast": o.autocast and str(o.autocast), "torch_compile": o.torch_compile, "dtype": o.dtype and str(o.dtype),
                "examples": self.data.examples, "loader seeds": list(self.data.seeds)}  # fmt: skip

    def differences(self, notes: dict[str, Any]) -> list[str]:
        """How the run that wrote these notes is another than this one."""
        ours, theirs = self.fingerprint, notes["fingerprint"]
        rows = [f"{key}: {theirs.get(key)} in the file, {value} here" for key, value in ours.items() if theirs.get(key) != value]
        factors = [(step, rate, float(self.schedule(step))) for step, rate in notes["rates"]]
        return rows + next(([f"schedule: {was} at step {step} in the file, {now} here"] for step, was, now in factors if was != now), [])

    def save(self, here: LearnerState) -> None:
        """Write the checkpoint, atomically."""
        tensors = _flat("now", here)
        if self.best is not None:
            tensors |= _flat("best", self.best)
        notes = {"fingerprint": self.fingerprint, "rates": self._rates(), "epoch": self.epoch, "batch": self.batch,
                 "total": self.total, "count": self.count,
                 "history": self.history, "waited": self.waited, "best": self.best_value, "seed": here.seed,
                 "step": here.optimiser.step, "optimiser_notes": here.optimiser.notes,
                 "best_step": self.best and self.best.step, "best_notes": self.best and self.best.optimiser.notes}  # fmt: skip
        checkpoint.save(self.options.checkpoint, tensors, notes)

    def _rates(self) -> list[tuple[int, float]]:
        return sorted({**self.rates, **dict([self.last] if self.last else [])}.items())

    def resume(self) -> LearnerState | None:
        """The state in the checkpoint, with these records set to it; None if there is nothing to resume.

        Raises ``BadFile`` for a file that is no checkpoint, ``BadTraining`` for one of another run.
        """
        path = self.options.checkpoint
        if path is None or not Path(path).exists():
            return None
        tensors, notes = checkpoint.load(path)  # also where we start afresh: what is not ours is not written over
        if not self.options.resume:
            return None
        try:
            if rows := self.differences(notes):
                raise errors.BadTraining(f"{path} belongs to another run", rows, "give the options of that run, or another checkpoint path")
            return self._restore(tensors, notes)
        except KeyError as error:
            raise errors.BadFile(
                f"{path} lacks {error}, so it is no whole checkpoint", next="choose another path; nothing was changed"
            ) from error

    def _restore(self, tensors: dict[str, torch.Tensor], notes: dict[str, Any]) -> LearnerState:
        graph, device = self.learner.closed.graph, self.options.device
        for name in ("epoch", "batch", "total", "count", "history", "waited"):
            setattr(self, name, notes[name])
        self.rates = {step: rate for step, rate in notes["rates"] if step & (step - 1) == 0}
        self.last = tuple(notes["rates"][-1]) if notes["rates"] else None  # type: ignore[assignment]

        def state(prefix: str, step: int, extra: Any) -> LearnerState:
            found = _state(prefix, tensors, notes["seed"], step, extra)
            params, own = (
                {name: row[name] for name in order} for row, order in ((found.params, graph.params), (found.state, graph.states))
            )
            found = LearnerState(params, found.optimiser, own, found.seed)  # in the order of writing, which files do not keep
            return found if device is None else found.to(device)

        self.best_value = notes["best"]
        if self.best_value is not None:
            self.best = state("best", notes["best_step"], notes["best_notes"])
        return state("now", notes["step"], notes["optimiser_notes"])


def _flat(prefix: str, here: LearnerState) -> dict[str, torch.Tensor]:
    found = {f"{prefix}/params//{name}": value for name, value in here.params.items()}
    found |= {f"{prefix}/state//{name}": value for name, value in here.state.items()}
    return found | {f"{prefix}/slot/{slot}/{name}": v for slot, row in here.optimiser.slots.items() for name, v in row.items()}


def _state(prefix: str, tensors: dict[str, torch.Tensor], seed: int, step: int, notes: Any) -> LearnerState:
    params: dict[str, torch.Tensor] = {}
    state: dict[str, torch.Tensor] = {}
    slots: dict[str, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        whose, kind, slot, name = key.split("/", 3)
        if whose == prefix:
            row = params if kind == "params" else state if kind == "state" else slots.setdefault(slot, {})
            row[name] = value
    return LearnerState(params, State(step, slots, notes or {}), state, seed)
