"""Torch's own optimisers as cells: a class such as ``torch.optim.Adamax``, or a function params → Optimizer.

>>> import torch
>>> cell, p = as_cell(lambda ps: torch.optim.SGD(ps, lr=0.5)), {"w": torch.tensor([1.0])}
>>> cell.put(cell.init(p), p, {"w": torch.tensor([1.0])})[1]["w"]
tensor([0.5000])
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch

from catlearn import errors
from catlearn.learn.cells import Bound, Cell, Row, State, Tensors


@dataclass(frozen=True)
class Foreign(Cell):
    """A torch optimiser made by ``factory`` from a list of parameters, in their writing order."""

    factory: Callable[[list[torch.Tensor]], torch.optim.Optimizer]

    local: ClassVar[bool] = False  # nothing is known about it

    def make(self, leaves: list[torch.Tensor]) -> torch.optim.Optimizer:
        made = self.factory(leaves)
        if not isinstance(made, torch.optim.Optimizer):
            raise errors.BadTraining(f"the optimiser's factory returned {type(made).__name__}, not a torch.optim.Optimizer",
                                     next="for example lambda params: torch.optim.Adam(params, lr=1e-3)")  # fmt: skip
        return made

    def init(self, p: Tensors) -> State:
        return State(0, {})

    def bind(self, p: Tensors, s: State) -> Bound:
        leaves = [value.detach().requires_grad_() for value in p.values()]
        return _BoundForeign(self.make(leaves), dict(zip(p, leaves, strict=True)), s)


class _BoundForeign(Bound):
    """Leaves that share memory with the parameters; torch's optimiser moves them in place."""

    def __init__(self, optimiser: torch.optim.Optimizer, leaves: dict[str, torch.Tensor], s: State) -> None:
        self.optimiser, self.leaves, self.count = optimiser, list(leaves.values()), s.step
        name_of = {id(leaf): name for name, leaf in leaves.items()}
        try:
            names = self.names = [name_of[id(leaf)] for group in optimiser.param_groups for leaf in group["params"]]
        except KeyError:
            raise errors.BadTraining("the optimiser's factory put tensors into it that it was not given") from None
        if s.step:
            whole = optimiser.state_dict()
            per: dict[int, dict[str, Any]] = {i: {} for i in range(len(names))}
            for slot, row in s.slots.items():
                for name, value in row.items():
                    per[names.index(name)][slot] = value
            for slot, row in s.notes.items():
                for name, value in row.items():
                    per[names.index(name)][slot] = value
            optimiser.load_state_dict({"state": per, "param_groups": whole["param_groups"]})
        self.rates = [group["lr"] for group in optimiser.param_groups]

    def step(self, grads: Row, rate: float = 1.0) -> None:
        for leaf, grad in zip(self.leaves, grads, strict=True):
            leaf.grad = grad
        for group, lr in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = lr * rate
        try:
            self.optimiser.step()
        except TypeError as error:
            if "closure" not in str(error):
                raise
            raise errors.BadTraining(f"{type(self.optimiser).__name__} asks for the loss several times a step",
                                     next="a cell sees one gradient a step; take an optimiser without closure") from error  # fmt: skip
        self.count += 1

    @property
    def state(self) -> State:
        slots: dict[str, dict[str, torch.Tensor]] = {}
        notes: dict[str, dict[str, Any]] = {}
        for i, row in self.optimiser.state_dict()["state"].items():
            for slot, value in row.items():
                if isinstance(value, torch.Tensor):
                    slots.setdefault(slot, {})[self.names[i]] = value
                elif value is not None:
                    notes.setdefault(slot, {})[self.names[i]] = value
        return State(self.count, slots, notes)


def as_cell(optimiser: Any) -> Cell:
    """A cell as it is; a ``torch.optim`` class or a function params → Optimizer as a cell."""
    if isinstance(optimiser, Cell):
        return optimiser
    if isinstance(optimiser, torch.optim.Optimizer):
        raise errors.BadTraining("an optimiser that already holds parameters was given",
                                 next="give its class or a function: lambda params: torch.optim.Adam(params, lr=1e-3)")  # fmt: skip
    if callable(optimiser):
        return Foreign(cast(Any, optimiser))
    raise errors.BadTraining(f"{optimiser!r} is no optimiser", next="give cl.sgd(0.1), cl.adamw(1e-3), torch.optim.Adam, ...")
