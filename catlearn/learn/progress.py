"""What training shows: a progress bar in a terminal, one line an epoch elsewhere. rich is loaded when it is first needed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any


class Progress:
    """Shows nothing; the base of those that do."""

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        return None

    def step(self, loss: float) -> None:
        """A step was made."""

    def epoch(self, record: Mapping[str, Any]) -> None:
        """An epoch is over."""


class Shown(Progress):
    """A rich bar over all steps with the loss beside it, and a line for each epoch where there is no terminal."""

    def __init__(self, epochs: int, batches: int | None, done: int = 0) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self.console, self.epochs, self.batches = Console(), epochs, batches
        self.bar = Bar(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
                       TextColumn("{task.fields[shown]}"), console=self.console, transient=True)  # fmt: skip
        total = None if batches is None else epochs * batches
        self.task = self.bar.add_task("training", total=total, completed=done, shown="")
        self.live, self.pending, self.last = self.console.is_terminal, 0, 0.0

    def __enter__(self) -> Progress:
        if self.live:
            self.bar.start()
        return self

    def __exit__(self, kind: Any, value: Any, trace: Any) -> None:
        if self.live:
            self.bar.stop()

    def step(self, loss: float) -> None:
        self.pending += 1
        if self.live and time.monotonic() - self.last > 0.1:
            self.bar.update(self.task, advance=self.pending, shown=f"loss {loss:.4f}")
            self.pending, self.last = 0, time.monotonic()

    def epoch(self, record: Mapping[str, Any]) -> None:
        numbers = "  ".join(f"{k} {v:.4f}" for k, v in record.items() if isinstance(v, float) and k != "seconds")
        self.console.print(f"epoch {record['epoch']:>{len(str(self.epochs))}}/{self.epochs}  {numbers}", highlight=False)


def progress(show: bool, epochs: int, batches: int | None, done: int = 0) -> Progress:
    """The display, or one that shows nothing."""
    return Shown(epochs, batches, done) if show else Progress()
