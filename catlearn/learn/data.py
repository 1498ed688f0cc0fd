"""Data for training: tensors, a ``TensorDataset``, or anything that can be iterated again and again, such as a ``DataLoader``.

The order of examples is a function of seed and epoch alone, so a run that is taken up again sees what it would have seen.

>>> import torch
>>> data = of((torch.arange(5), torch.arange(5)), batch_size=2, shuffle=False, seed=0)
>>> [x.tolist() for x, y in data.epoch(0)]
[[0, 1], [2, 3], [4]]
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from catlearn import errors
from catlearn.core.spaces import Space
from catlearn.meanings import runtime
from catlearn.meanings.initialise import generator

Batch = tuple[torch.Tensor, ...]


class Data(ABC):
    """Batches, epoch by epoch."""

    @abstractmethod
    def epoch(self, number: int, skip: int = 0) -> Iterator[Batch]:
        """The batches of an epoch without the first ``skip``."""

    def check(self, dom: Space, what: str) -> None:
        """Whether the tensors fit the closed network; ``BadInput`` tells what does not, before anything is computed."""
        return None

    batches: int | None = None  # in an epoch, where it is known
    examples: int | None = None


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

    def check(self, dom: Space, what: str) -> None:
        if rows := runtime.problems(dom, self.tensors):
            raise errors.BadInput(f"the {what} data does not fit the network and its loss", rows,
                                  f"needed are {dom}, each with the examples as first axis")  # fmt: skip


@dataclass
class Loader(Data):
    """An iterable of batches; its randomness is torch's global generator, which training seeds for each epoch."""

    source: Iterable[Any]
    device: Any

    def __post_init__(self) -> None:
        if hasattr(self.source, "__len__"):
            self.batches = len(self.source)  # type: ignore[arg-type]

    def epoch(self, number: int, skip: int = 0) -> Iterator[Batch]:
        found = 0
        for batch in self.source:
            row = tuple(batch) if isinstance(batch, tuple | list) else (batch,)
            if found >= skip:
                if row[0].dim() and not row[0].shape[0]:
                    raise errors.BadTraining(f"batch {found} of epoch {number + 1} is empty",
                                             [f"shapes {[tuple(t.shape) for t in row]}"], "leave it out of the loader")  # fmt: skip
                yield row if self.device is None else tuple(t.to(self.device) for t in row)
            found += 1
        if not found:
            raise errors.BadTraining(f"the data gave no batch in epoch {number + 1}",
                                     next="a generator is used up after one epoch: give a list or a DataLoader")  # fmt: skip


def of(data: Any, batch_size: int, shuffle: bool, seed: int, device: Any = None) -> Data:
    """Any of the accepted kinds as ``Data``. Raises ``BadTraining``."""
    if isinstance(data, Data):
        return data
    data = getattr(data, "tensors", data)
    if isinstance(data, tuple | list) and data and not isinstance(data[0], tuple | list):
        return Tensors(tuple(torch.as_tensor(t).to(device) for t in data), batch_size, shuffle, seed)
    if hasattr(data, "__iter__") and not isinstance(data, torch.Tensor | dict | str):
        return Loader(data, device)
    raise errors.BadTraining(f"{type(data).__name__} is no data", next="give tensors (x, y), a TensorDataset, or a DataLoader")
