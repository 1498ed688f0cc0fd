"""Cells: what an optimiser is, and how it runs. A cell has a state, shows the network its parameters (``get``) and moves them along a
cotangent (``put``); ``bind`` is ``put`` in place, which is what training uses.

Laws: ``put`` changes nothing that it is given; ``bind(p, s).step(g)`` leaves in p and s what ``put(s, p, g)`` returns.

>>> import catlearn as cl, torch
>>> cell, p = cl.sgd(0.5), {"w": torch.tensor([1.0])}
>>> state, moved = cell.put(cell.init(p), p, {"w": torch.tensor([1.0])})
>>> moved["w"], p["w"], state.step
(tensor([0.5000]), tensor([1.]), 1)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, NamedTuple

import torch

from catlearn import errors
from catlearn.core.select import matcher

Tensors = Mapping[str, torch.Tensor]
Row = list[torch.Tensor]

kernels: Any = torch  # its _foreach kernels, which torch's stubs leave out: one call for a row, the bits of one call each


class State(NamedTuple):
    """An optimiser's state: how many steps were made, and for each slot (momentum, ...) a tensor for each parameter."""

    step: int
    slots: dict[str, dict[str, torch.Tensor]]
    notes: dict[str, Any] = {}  # noqa: RUF012 - never written to; numbers that a foreign optimiser keeps

    def clone(self) -> State:
        """The same state in tensors of its own."""
        return State(self.step, {slot: {k: v.clone() for k, v in row.items()} for slot, row in self.slots.items()}, dict(self.notes))


class Bound(ABC):
    """An optimiser that owns its parameters and state and moves them in place."""

    @abstractmethod
    def step(self, grads: Row, rate: float = 1.0) -> None:
        """One step along the gradients, in the order of the parameters; ``rate`` is a factor on the learning rate."""

    @property
    @abstractmethod
    def state(self) -> State:
        """The state as it is now; its tensors are the live ones."""


class Cell(ABC):
    """What can stand where an optimiser is asked for. ``local`` says that parameters do not see each other's gradients."""

    local: ClassVar[bool] = True

    @abstractmethod
    def init(self, p: Tensors) -> State:
        """The state that training starts from."""

    @abstractmethod
    def bind(self, p: Tensors, s: State) -> Bound:
        """The cell in place: it writes into the tensors of p and s from now on."""

    @property
    def stateless(self) -> bool:
        """Whether S is the unit, so that a learner's parameters are the network's alone."""
        return False

    def check(self, names: list[str]) -> None:
        """Whether the cell fits these parameters; raises where it does not."""
        return None

    def get(self, s: State, p: Tensors) -> Tensors:
        """What the network sees: p itself, in torch's conventions."""
        return p

    def put(self, s: State, p: Tensors, dp: Tensors, rate: float = 1.0) -> tuple[State, dict[str, torch.Tensor]]:
        """One step; nothing given is changed."""
        moved, own = {name: value.detach().clone() for name, value in p.items()}, s.clone()
        bound = self.bind({name: moved[name] for name in dp}, own)
        with torch.no_grad():
            bound.step([dp[name] for name in dp], rate)
        return bound.state, moved


@dataclass(frozen=True)
class Optimiser(Cell):
    """Base of the built-in optimisers: fields are hyperparameters, ``groups`` overrides them by pattern, e.g.
    ``groups={"head.*": dict(lr=1e-2), "*.bias": dict(weight_decay=0)}``; of several patterns that match, the later ones win."""

    lr: float = 1e-3
    weight_decay: float = field(default=0.0, kw_only=True)
    groups: Mapping[str, Mapping[str, float]] = field(default_factory=dict, kw_only=True, hash=False)

    slots: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        known = {f.name for f in fields(self)} - {"groups"}
        for pattern, overrides in self.groups.items():
            if unknown := set(overrides) - known:
                raise errors.BadTraining(f"group {pattern!r} sets {', '.join(sorted(unknown))}, which {type(self).__name__} does not have",
                                         [f"it has {', '.join(sorted(known))}"])  # fmt: skip
        for name in ("lr", "eps", "weight_decay"):
            if getattr(self, name, 0) < 0:
                raise errors.BadTraining(f"{type(self).__name__}({name}={getattr(self, name)}): it cannot be negative")

    @abstractmethod
    def update(self, step: int, p: Row, g: Row, slots: Sequence[Row], rate: float) -> None:
        """Step number ``step`` (from 0), in place, on rows of tensors; ``rate`` is the learning rate now."""

    @property
    def used_slots(self) -> tuple[str, ...]:
        return self.slots

    @property
    def stateless(self) -> bool:
        return not any(cell.used_slots for cell, _ in self._split(())) and not self.used_slots

    def init(self, p: Tensors) -> State:
        slots: dict[str, dict[str, torch.Tensor]] = {}
        for cell, names in self._split(tuple(p)):
            for slot in cell.used_slots:
                slots.setdefault(slot, {}).update({name: torch.full_like(p[name], cell.start(slot)) for name in names})
        return State(0, slots)

    def start(self, slot: str) -> float:
        """The number that a slot is filled with."""
        return 0.0

    def bind(self, p: Tensors, s: State) -> Bound:
        return _Rows(self._split(tuple(p)), p, s)

    def _split(self, names: tuple[str, ...]) -> list[tuple[Optimiser, list[str]]]:
        """The parameters by the optimiser that moves them: this one with the overrides of every pattern that matches."""
        matches = {pattern: matcher(pattern) for pattern in self.groups}
        found: dict[tuple[Any, ...], tuple[Optimiser, list[str]]] = {}
        for name in names:
            overrides: dict[str, Any] = {}
            for pattern, match in matches.items():
                if match(name):
                    overrides |= self.groups[pattern]
            cell = replace(self, groups={}, **overrides)
            found.setdefault(tuple(sorted(overrides.items())), (cell, []))[1].append(name)
        return list(found.values())

    def check(self, names: list[str]) -> None:
        """Every pattern of the groups matches something; ``NothingMatched`` otherwise."""
        for pattern in self.groups:
            if not any(map(matcher(pattern), names)):
                raise errors.NothingMatched(pattern, names, "parameter")


LARGE = 1 << 14
"""From so many entries on a tensor is moved on its own, so that it stays in the cache from one kernel to the next."""


class _Rows(Bound):
    """The rows of tensors that a built-in optimiser moves: for each group the small ones together, each large one alone."""

    def __init__(self, split: list[tuple[Optimiser, list[str]]], p: Tensors, s: State) -> None:
        self.count, self.slots = s.step, s.slots
        place, self.rows = {name: i for i, name in enumerate(p)}, []
        for cell, names in split:
            small = [name for name in names if p[name].numel() < LARGE]
            for row in [*([small] if small else []), *([name] for name in names if p[name].numel() >= LARGE)]:
                slots = [[s.slots[slot][name] for name in row] for slot in cell.used_slots]
                self.rows.append((cell, [p[name] for name in row], [place[name] for name in row], slots))

    def step(self, grads: Row, rate: float = 1.0) -> None:
        for cell, row, places, slots in self.rows:
            cell.update(self.count, row, [grads[i] for i in places], slots, cell.lr * rate)
        self.count += 1

    @property
    def state(self) -> State:
        return State(self.count, self.slots)


def decayed(p: Row, g: Row, weight_decay: float) -> Row:
    """g + wd · p, the decay that goes through the gradient."""
    return list(kernels._foreach_add(g, p, alpha=weight_decay)) if weight_decay else g
