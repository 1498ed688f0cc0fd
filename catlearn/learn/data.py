"""Data for training: tensors, a ``TensorDataset``, or anything that can be iterated again and again, such as a ``DataLoader``.

The order of examples is a function of seed and epoch alone, so a run that is taken up again sees what it would have seen.

>>> import torch
>>> data = of((torch.arange(5), torch.arange(5)), batch_size=2, shuffle=False, seed=0)
>>> [x.tolist() for x, y in data.epoch(0)]
[[0, 1], [2, 3], [4]]
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from catlearn import errors
from catlearn.core.term import Term
from catlearn.meanings.checks import problems, targets
from catlearn.meanings.initialise import generator, seed_of

Batch = tuple[torch.Tensor, ...]


class Data(ABC):
    """Batches, epoch by epoch."""

    @abstractmethod
    def epoch(self, number: int, skip: int = 0) -> Iterator[Batch]:
        """The batches of an epoch without the first ``skip``."""

    def check(self, closed: Term, what: str) -> None:
        """Whether the tensors fit the closed network; ``BadInput`` tells what does not, before anything is computed."""
        return None

    batches: int | None = None  # in an epoch, where it is known
    examples: int | None = None
    seeds: tuple[int, ...] = ()  # of generators that the data brings along


@dataclass
class Tensors(Data):
    """Tensors whose first axis numbers the examples."""

    tensors: Batch
    batch_size: int
    shuffle: bool
    seed: int

    def __post_init__(self) -> None:
        lengths = {t.shape[0] if t.dim() else None for t in self.tensors}
        if len(lengths) != 1 or None in lengths:
            raise errors.BadTraining("the tensors have different numbers of examples",
                                     [f"tensor {i}: shape {tuple(t.shape)}" for i, t in enumerate(self.tensors)])  # fmt: skip
        (self.examples,) = lengths
        if not self.examples:
            raise errors.BadTraining(
                "the data has no examples", [f"tensor {i}: shape {tuple(t.shape)}" for i, t in enumerate(self.tensors)]
            )
        if len(devices := {str(t.device) for t in self.tensors}) > 1 or "meta" in devices:
            raise errors.BadTraining("the tensors are on several devices, or on one that holds no numbers",
                                     [f"tensor {i}: on {t.device}" for i, t in enumerate(self.tensors)],
                                     "bring them to one: x.to(...), or fit(..., device=...)")  # fmt: skip
        self.batches = -(-self.examples // self.batch_size)

    def epoch(self, number: int, skip: int = 0) -> Iterator[Batch]:
        n, size = len(self.tensors[0]), self.batch_size
        if not self.shuffle:
            for start in range(skip * size, n, size):
                yield tuple(t[start : start + size] for t in self.tensors)
            return
        order = torch.randperm(n, generator=generator(self.seed, f"order of epoch {number}")).to(self.tensors[0].device)
        for start in range(skip * size, n, size):
            chosen = order[start : start + size]
            yield tuple(t[chosen] for t in self.tensors)

    def check(self, closed: Term, what: str) -> None:
        if rows := problems(closed.dom, self.tensors, ignoring=targets(closed.graph)):
            raise errors.BadInput(f"the {what} data does not fit the network and its loss", rows,
                                  f"needed are {closed.dom}, each with the examples as first axis")  # fmt: skip


@dataclass
class Loader(Data):
    """An iterable of batches; its randomness is torch's global generator, which training seeds for each epoch.

    A generator of its own (``DataLoader(generator=...)``, or its sampler's) is set for each epoch by that generator's initial seed,
    the run's seed and the epoch, and is put back afterwards: loaders that were seeded differently differ, and a run can be resumed.
    """

    source: Iterable[Any]
    device: Any
    seed: int = 0

    def __post_init__(self) -> None:
        if hasattr(self.source, "__len__"):
            self.batches = len(self.source)  # type: ignore[arg-type]
        sampler, groups = getattr(self.source, "sampler", None), getattr(self.source, "batch_sampler", None)
        holders = (self.source, sampler, groups, getattr(groups, "sampler", None))
        found = [g for g in (getattr(holder, "generator", None) for holder in holders) if isinstance(g, torch.Generator)]
        self.generators = list({id(g): g for g in found}.values())
        self.seeds = tuple(g.initial_seed() for g in self.generators)

    @contextmanager
    def seeded(self, number: int) -> Iterator[None]:
        """The loader's own generators as they are in this epoch."""
        before = [g.get_state() for g in self.generators]
        for i, (g, first) in enumerate(zip(self.generators, self.seeds, strict=True)):
            g.manual_seed(seed_of(self.seed, f"epoch {number} of generator {i} from {first}"))
        try:
            yield
        finally:
            for g, state in zip(self.generators, before, strict=True):
                g.set_state(state)

    def epoch(self, number: int, skip: int = 0) -> Iterator[Batch]:
        with self.seeded(number):
            yield from self._batches(number, skip)

    def _batches(self, number: int, skip: int) -> Iterator[Batch]:
        found = 0
        for batch in self.source:
            row = tuple(batch) if isinstance(batch, tuple | list) else (batch,)
            if found >= skip:
                _check_row(row, f"batch {found} of epoch {number + 1}")
                if row[0].dim() and not row[0].shape[0]:
                    raise errors.BadTraining(f"batch {found} of epoch {number + 1} is empty",
                                             [f"shapes {[tuple(t.shape) for t in row]}"], "leave it out of the loader")  # fmt: skip
                yield row if self.device is None else tuple(t.to(self.device) for t in row)
            found += 1
        if not found:
            raise errors.BadTraining(f"the data gave no batch in epoch {number + 1}",
                                     next="a generator is used up after one epoch: give a list or a DataLoader")  # fmt: skip


def _check_row(row: Batch, what: str) -> None:
    if wrong := next((type(x).__name__ for x in row if not isinstance(x, torch.Tensor)), None):
        raise errors.BadTraining(f"{what} holds a {wrong}", ["needed is a tuple of tensors (x..., target...)"],
                                 'pick and order them: [(b["x"], b["y"]) for b in batches], or in the loader\'s collate_fn')  # fmt: skip


def of(data: Any, batch_size: int, shuffle: bool, seed: int, device: Any = None) -> Data:
    """Any of the accepted kinds as ``Data``. Raises ``BadTraining``."""
    if isinstance(data, Data):
        return data
    data = getattr(data, "tensors", data)
    if isinstance(data, tuple | list) and data and not isinstance(data[0], tuple | list | Mapping):
        return Tensors(tuple(torch.as_tensor(t).to(device) for t in data), batch_size, shuffle, seed)
    if hasattr(data, "__iter__") and not isinstance(data, torch.Tensor | dict | str):
        return Loader(data, device, seed)
    raise errors.BadTraining(f"{type(data).__name__} is no data", next="give tensors (x, y), a TensorDataset, or a DataLoader")
