"""What training returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catlearn import errors
from catlearn.learn.learner import Learner, LearnerState
from catlearn.meanings.module import Arrow, compile

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Fitted:
    """``params`` and ``state`` of the network (of the best epoch if there was patience), ``history``: one dict for each epoch.

    ``stopped`` says why: ``epochs | patience | max_seconds | interrupted | callback``; ``final`` is where to go on from
    (``fit(..., start=fitted.final)``).
    """

    learner: Learner = field(repr=False)
    params: dict[str, torch.Tensor] = field(repr=False)
    state: dict[str, torch.Tensor] = field(repr=False)
    history: list[dict[str, Any]]
    stopped: str
    final: LearnerState = field(repr=False)

    def model(self, **options: Any) -> Arrow:
        """The trained network as a torch module, in training mode as every new module; options are those of ``compile``."""
        term = self.learner.model
        params = {name: self.params[name] for name in term.params}
        state = {name: self.state[name] for name in term.graph.states}
        return compile(term, params, state or None, **options)

    def plot(self, path: str | Path | None = None) -> Any:
        """The learning curves, losses above and metrics below, as a matplotlib figure; written to ``path`` if one is given."""
        from matplotlib.figure import Figure

        if not self.history:
            raise errors.BadTraining("there is nothing to plot: no epoch was finished")
        names = [name for name, value in self.history[-1].items() if isinstance(value, float) and name not in ("rate", "seconds")]
        groups = [row for row in ([n for n in names if n.endswith("loss")], [n for n in names if not n.endswith("loss")]) if row]
        figure = Figure(figsize=(6.4, 2.8 * len(groups)), layout="constrained")
        for axes, row in zip(figure.subplots(len(groups), squeeze=False)[:, 0], groups, strict=True):
            for name in row:
                axes.plot([r["epoch"] for r in self.history], [r[name] for r in self.history], label=name.replace("_", " "))
            axes.set_xlabel("epoch")
            axes.legend(frameon=False)
            axes.grid(alpha=0.3)
        if path is not None:
            figure.savefig(path)
        return figure
