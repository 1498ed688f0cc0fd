"""Loss and metrics on data, out of training: no dropout, running statistics, nothing moves.

>>> import catlearn as cl, torch
>>> from catlearn.learn.data import of
>>> l = cl.learner(cl.linear(cl.R(2), cl.R(2), bias=False), cl.cross_entropy, cl.sgd(0.1))
>>> data = of((torch.eye(2), torch.tensor([0, 0])), 1, False, 0)
>>> evaluate(l, l.start({"linear.weight": torch.eye(2)}), data, {"accuracy": accuracy})["accuracy"]
0.5
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from catlearn import errors
from catlearn.core.combinators import copy, id
from catlearn.learn import gradient, losses
from catlearn.learn.data import Data
from catlearn.learn.learner import Learner, LearnerState
from catlearn.meanings.functional import function

Metric = Callable[[Any, Any], Any]


def accuracy(y: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """How often the largest entry of the last axis is at the label (or at the largest entry of soft targets)."""
    return (y.argmax(-1) == (target if target.dim() < y.dim() else target.argmax(-1))).float().mean()


NAMED: dict[str, Metric] = {"accuracy": accuracy}


def as_metrics(metrics: Any) -> dict[str, Metric]:
    """Name → function (outputs, target) → number; a name alone stands for a metric of ours."""
    if metrics is None:
        return {}
    items = dict(metrics) if isinstance(metrics, Mapping) else {name: name for name in ([metrics] if isinstance(metrics, str) else metrics)}
    found: dict[str, Metric] = {}
    for name, metric in items.items():
        if not callable(metric) and metric not in NAMED:
            raise errors.BadTraining(f"{metric!r} is no metric", [f"known by name: {', '.join(NAMED)}"],
                                     'give metrics={"name": function of (outputs, target)}')  # fmt: skip
        found[name] = metric if callable(metric) else NAMED[metric]
    return found


def runner(learner: Learner) -> Callable[..., tuple[Any, ...]]:
    """The compiled function that gives the outputs, then the loss."""
    made = learner.__dict__.get("_evaluation")  # kept beside the learner, as its own compiled functions are
    if made is None:
        y, target = learner.model.cod, losses.targets(learner.model, learner.loss)
        both = (learner.model >> copy(y)) @ id(target) >> id(y) @ losses.closed(id(y), learner.loss)
        made = learner.__dict__["_evaluation"] = function(both.graph)
    return made


def evaluate(learner: Learner, state: LearnerState, data: Data, metrics: Mapping[str, Metric]) -> dict[str, float]:
    """The mean loss and metrics over all examples, each batch weighted by its length."""
    run, inputs, outputs = runner(learner), len(learner.model.dom), len(learner.model.cod)
    totals, count = dict.fromkeys(["loss", *metrics], 0.0), 0
    with torch.no_grad():
        for batch in data.epoch(0):
            try:
                *ys, loss = run(state.params, dict(state.state), None, False, *batch)
            except (RuntimeError, TypeError, IndexError, AttributeError) as error:
                gradient.explain(learner.closed, batch, state.params, error)
                raise
            n, targets = length(batch), batch[inputs:]
            args = ys[0] if outputs == 1 else tuple(ys), targets[0] if len(targets) == 1 else tuple(targets)
            totals["loss"] += float(loss) * n
            for name, metric in metrics.items():
                totals[name] += float(metric(*args)) * n
            count += n
    return {name: total / count for name, total in totals.items()}


def length(batch: Any) -> int:
    """How many examples a batch has."""
    return batch[0].shape[0] if batch[0].dim() else 1
