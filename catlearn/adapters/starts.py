"""How an adapter's parameters start, and parameters that are read off others.

A leaf of a formula is a parameter of its own, or it is *read*: ``init=read(rule, shape, Q=start((3,)))`` says that the leaf's tensor is
``rule(Q)`` for a trained Q of shape (3,). So a formula stays a map, and what no map can say (a Cayley transform, a softmax, a kernel) is
one function of tensors. A source without a start is another leaf, ``W`` (the weight that is adapted) or ``shared.NAME``.

>>> from catlearn import maps
>>> R = maps.dense("R", 2, 2, init=read(lambda q: q + q.t(), (2, 2), q=start((2, 2))))
>>> sorted(R.params["R"].init.sources)
['q']
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from catlearn.core.op import Init, Param
from catlearn.maps.given import parameter

ZERO = Init("constant", (0.0,))
ONE = Init("constant", (1.0,))


def kaiming(fan_in: int, gain: float = 1.0) -> Init:
    """Uniform on ±gain/√fan_in: torch's default for a Linear, ``kaiming_uniform_(a=√5)`` for gain 1."""
    return Init("uniform", (-gain / math.sqrt(fan_in), gain / math.sqrt(fan_in)))


def normal(std: float) -> Init:
    """Normal with mean 0."""
    return Init("normal", (0.0, std))


def start(shape: tuple[int, ...], init: Any = ZERO, trainable: bool = True) -> Param:
    """A source: a tensor of this shape, and how it starts."""
    return parameter("source", shape, init, trainable, "source")


@dataclass(frozen=True, eq=False)
class Read:
    """What a leaf is read from: ``rule`` of the sources, in order; None stands for a tensor that exists already."""

    rule: Callable[..., torch.Tensor]
    shape: tuple[int, ...]
    sources: Mapping[str, Param | None]


def read(rule: Callable[..., torch.Tensor], shape: tuple[int, ...], /, *existing: str, **new: Param) -> Read:
    """The start of a leaf of this shape that is computed: first from existing tensors, by name, then from new ones."""
    return Read(rule, tuple(shape), {**dict.fromkeys(existing), **new})


def svd(W: torch.Tensor, rank: int | None = None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """U (o, r), singular values (r), Vᵀ (r, i) of a matrix, in double precision; the rows of the last are the right singular vectors."""
    U, s, Vh = torch.linalg.svd(W.detach().double(), full_matrices=False)
    r = len(s) if rank is None else rank
    return U[:, :r], s[:r], Vh[:r]
