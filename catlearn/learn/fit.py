"""``fit``: training over epochs, with everything around it that a day's work needs, and nothing that changes the numbers.

Law: a run that was stopped, interrupted or killed and then resumed from its checkpoint ends in the same bits as one that was not: the
order of examples, the noise of random boxes and the state of the optimiser are functions of seed, epoch and step.

>>> import catlearn as cl, torch
>>> x = torch.linspace(-1, 1, 64).unsqueeze(1)
>>> fitted = cl.learner(cl.linear(cl.R(1), cl.R(1)), cl.mse, cl.sgd(0.1)).fit((x, 3 * x + 1), epochs=60, batch_size=16)
>>> {name: round(float(value), 2) for name, value in fitted.params.items()}
{'linear.weight': 3.0, 'linear.bias': 1.0}
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch

from catlearn import errors
from catlearn.learn import data as datasets
from catlearn.learn.evaluate import as_metrics, evaluate, length
from catlearn.learn.fitted import Fitted
from catlearn.learn.learner import Learner, LearnerState
from catlearn.learn.progress import progress
from catlearn.learn.records import Records
from catlearn.learn.schedules import as_schedule
from catlearn.learn.training import Training
from catlearn.meanings.initialise import seed_of


@dataclass(frozen=True)
class Options:
    """What ``fit`` may be told. ``metrics``: name → function (outputs, target) → number, measured on the validation data (else on the
    training data). ``patience``: stop after so many epochs in which ``monitor`` got no better (it is minimised if its name ends in
    ``loss``, else maximised), and keep the best. ``schedule``: step → factor on the rate, or a function making a torch LRScheduler.
    ``callbacks``: functions of (record, training), called after each epoch; one that returns true stops the run. ``start``: a
    ``LearnerState`` or parameters by name to start from. ``save_every``: also save every so many steps. ``autocast``:
    ``torch.bfloat16``, or ``True`` for it.
    """

    epochs: int = 10
    batch_size: int = 32
    shuffle: bool = True
    seed: int = 0
    metrics: Any = None
    patience: int | None = None
    monitor: str | None = None
    progress: bool = False
    clip_norm: float | None = None
    accumulate: int = 1
    schedule: Any = None
    autocast: Any = None
    torch_compile: bool = False
    checkpoint: str | Path | None = None
    save_every: int | None = None
    resume: bool = False
    max_seconds: float | None = None
    callbacks: tuple[Callable[..., Any], ...] = field(default=())
    start: Any = None
    device: Any = None
    dtype: Any = None

    @staticmethod
    def of(**options: Any) -> Options:
        """The options by name. Raises ``BadTraining`` for names and values that make no sense."""
        known = [f.name for f in fields(Options)]
        if unknown := [name for name in options if name not in known]:
            raise errors.BadTraining(f"fit has no option {', '.join(unknown)}", [f"it has {', '.join(known)}"])
        made = Options(**options)
        least = {"epochs": 0, "batch_size": 1, "accumulate": 1, "patience": 1, "save_every": 1}
        for name, low in least.items():
            value = getattr(made, name)
            if value is not None and (not isinstance(value, int) or value < low):
                raise errors.BadTraining(f"fit({name}={value!r}): needs an integer from {low} on")
        if (made.resume or made.save_every) and made.checkpoint is None:
            raise errors.BadTraining("resume and save_every need a file", next='give checkpoint="run.ckpt"')
        if isinstance(made.autocast, bool):
            made = replace(made, autocast=torch.bfloat16 if made.autocast else None)
        if made.autocast is torch.float16:
            raise errors.BadTraining(
                "autocast=torch.float16 would lose small gradients without a scaler", next="take autocast=torch.bfloat16"
            )
        if made.autocast not in (None, torch.bfloat16):
            raise errors.BadTraining(f"fit(autocast={made.autocast!r}): needs a dtype to compute in",
                                     next="give autocast=torch.bfloat16, or True, which is the same")  # fmt: skip
        return made


def fit(learner: Learner, train: Any, val: Any = None, options: Options | None = None) -> Fitted:
    """Train; see ``Options``. ``train`` and ``val`` are tensors (xs..., targets...), a TensorDataset, or an iterable of such batches.

    Ctrl-C ends the run after the step that is being made; what was learned is saved and returned (a second one breaks off at once).
    Raises ``BadTraining``, ``BadInput``, ``BadFile``, and ``NotANumber`` with ``.last_good``, the last finite ``LearnerState``.
    """
    with torch.random.fork_rng(devices=[]), _Interrupt() as interrupt:
        return _Run(learner, train, val, options or Options(), interrupt).run()


class _Interrupt:
    """Turns the first Ctrl-C into a flag that is read between steps, so that no step is left half made."""

    def __enter__(self) -> _Interrupt:
        self.asked, self.old = False, None
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self.old = signal.signal(signal.SIGINT, self.handle)
        return self

    def handle(self, number: int, frame: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def __exit__(self, *_: Any) -> None:
        if self.old is not None:
            signal.signal(signal.SIGINT, self.old)


class _Run:
    """One run of fit: the training, where in the data it is, and what it has recorded."""

    def __init__(self, learner: Learner, train: Any, val: Any, options: Options, interrupt: _Interrupt) -> None:
        self.learner, self.options, self.interrupt = learner, options, interrupt
        o = options
        self.train = datasets.of(train, o.batch_size, o.shuffle, o.seed, o.device)
        self.train.check(learner.closed, "training")
        self.val = None if val is None else datasets.of(val, max(o.batch_size, 256), False, o.seed, o.device)
        if self.val:
            self.val.check(learner.closed, "validation")
        self.metrics, self.schedule = as_metrics(o.metrics), as_schedule(o.schedule)
        self.check_monitor()
        self.records = Records(learner, o, self.train, self.schedule)
        start = self.records.resume() or self.fresh()
        self.training = Training(learner, start, o.clip_norm, o.autocast, o.torch_compile)
        self.good, self.kept = start, False  # the last state that was finite; ``kept`` once it is a copy of ours
        self.begin = time.monotonic()

    def check_monitor(self) -> None:
        """Whether what is monitored will be measured, before anything is."""
        measured = [*(f"val_{name}" for name in ["loss", *self.metrics]), "loss"] if self.val else ["loss", *self.metrics]
        name = self.options.monitor
        if name is not None and name not in (*measured, "epoch", "step", "rate", "seconds"):
            raise errors.BadTraining(f"monitor={name!r} is not measured", [f"measured are {', '.join(measured)}"])

    def fresh(self) -> LearnerState:
        start, o = self.options.start, self.options
        if start is None:
            return self.learner.init(o.seed, o.dtype, o.device)
        if not isinstance(start, LearnerState):
            start = self.learner.start(start, seed=o.seed)
        return start if o.device is None else start.to(o.device)

    def run(self) -> Fitted:
        o, records = self.options, self.records
        stopped = "epochs"
        batches = self.train.batches
        with progress(o.progress, o.epochs, batches, 0 if batches is None else records.epoch * batches) as shown:
            try:
                while records.epoch < o.epochs and not records.stale:
                    if reason := self.epoch(shown):
                        stopped = reason
                        break
                    record = self.close()
                    shown.epoch(record)
                    answers = [call(record, self.training) for call in o.callbacks]
                    if any(answers):
                        stopped = "callback"
                        break
                    if records.stale:
                        stopped = "patience"
            except KeyboardInterrupt:
                stopped = "interrupted"
            except errors.NotANumber as error:
                blameless = (getattr(error, "culprit", None) or "").startswith("input")  # the data was bad, not what was learned
                error.last_good = self.training.here.clone() if blameless else self.good  # type: ignore[attr-defined]
                raise
        if stopped in ("interrupted", "max_seconds"):
            self.save()
        final = self.training.here
        best = records.best if o.patience and records.best else final
        return Fitted(self.learner, best.params, best.state, records.history, stopped, final)

    def epoch(self, shown: Any) -> str | None:
        """The rest of an epoch; the reason if it was left before its end."""
        o, records, group = self.options, self.records, []
        torch.manual_seed(seed_of(o.seed, f"epoch {records.epoch}"))
        for batch in self.train.epoch(records.epoch, records.batch):
            group.append(batch)
            if len(group) == o.accumulate:
                self.move(group, shown)
                group = []
                if self.interrupt.asked:
                    return "interrupted"
                if o.max_seconds is not None and time.monotonic() - self.begin > o.max_seconds:
                    return "max_seconds"
                if o.save_every and self.training.steps % o.save_every == 0:
                    self.save()
        if group:
            self.move(group, shown)
        return None

    def move(self, group: list[Any], shown: Any) -> None:
        rate, records = self.schedule(self.training.steps), self.records
        records.rated(self.training.steps, rate)
        values = [self.training.step(*group[0], rate=rate)] if len(group) == 1 else self.training.step_on(group, rate)
        for value, batch in zip(values, group, strict=True):
            n = length(batch)
            records.total += value * n
            records.count += n
        records.batch += len(group)
        shown.step(values[-1])

    def close(self) -> dict[str, Any]:
        """Measure, record, save: the end of an epoch."""
        records, training = self.records, self.training
        if not records.count:
            raise errors.BadTraining("the data gave no batch", next="a generator is used up after one epoch: give a list or a DataLoader")
        self.check()
        record: dict[str, Any] = {"epoch": records.epoch + 1, "step": training.steps, "loss": records.total / records.count}
        if self.val is not None:
            record |= {f"val_{k}": v for k, v in evaluate(self.learner, training.here, self.val, self.metrics).items()}
            if not math.isfinite(record["val_loss"]):
                head = f"the validation loss is {record['val_loss']} after step {training.steps}; training stopped"
                raise errors.NotANumber(head, next="lower the rate, or look at the validation data; error.last_good is the epoch before")
        elif self.metrics:
            measured = evaluate(self.learner, training.here, self.train, self.metrics)
            record |= {k: v for k, v in measured.items() if k != "loss"}
        record |= {"rate": float(self.schedule(max(training.steps - 1, 0))), "seconds": time.monotonic() - self.begin}
        records.add(record, training.here)
        self.keep()
        if self.options.checkpoint is not None:
            records.save(training.here)
        return record

    def keep(self) -> None:
        """Copy the state, into the copy of the epoch before where there is one."""
        if self.kept:
            self.good = self.good.overwritten(self.training.here)
        else:
            self.good, self.kept = self.training.here.clone(), True

    def check(self) -> None:
        """Nothing that is not finite is recorded or saved."""
        if (name := self.training.unfinished()) is not None:
            raise errors.NotANumber(f"{name} is not finite after step {self.training.steps}; training stopped",
                                    next="lower the rate, or clip gradients (clip_norm=1.0); error.last_good is good")  # fmt: skip

    def save(self) -> None:
        if self.options.checkpoint is not None and math.isfinite(self.records.total):
            self.check()
            self.records.save(self.training.here)
