"""``Adapter``: a method is the weight that it computes, written as a map, and how its parameters start.

A subclass is a frozen dataclass of hyper-parameters with ``weight(W, o, i)``, and where needed ``bias``, ``start``, ``shared``, ``check``.
The rest is derived: the number of parameters, a bound of the rank, LaTeX, the plan, merging, stacking, weighting, saving.

>>> from dataclasses import dataclass
>>> import torch
>>> from catlearn import maps
>>> @dataclass(frozen=True)
... class Shift(Adapter, key=None):
...     \"\"\"W + u vᵀ, an adapter of rank one.\"\"\"
...     def weight(self, W, o, i):
...         return W + (maps.dense("v", 1, i) >> maps.dense("u", o, 1, init=ZERO))
>>> Shift().trainable(3, 5), Shift().rank_bound(3, 5), Shift().describe(3, 5)
(8, 1, 'Shift: W + v >> u; 8 trained numbers and a change of rank 1 at most for a layer 5 → 3')
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import torch

from catlearn import errors
from catlearn.adapters.rewriting import leaves, rank_of_change
from catlearn.adapters.starts import ZERO, Read
from catlearn.core.op import Param
from catlearn.maps.base import Map
from catlearn.maps.given import size
from catlearn.maps.leaves import dense

REGISTRY: dict[str, type[Adapter]] = {}


@dataclass(frozen=True)
class Place:
    """Where an adapter is put: the sizes of the weight, which of ``count`` places it is, and the seed of its draws."""

    o: int
    i: Any  # a size; a shape for methods on tensors
    index: int = 0
    count: int = 1
    seed: int = 0
    data: Any = None  # what the user gave for this layer: inputs, a gradient

    def generator(self, name: str) -> torch.Generator:
        """A generator of its own for each name and place."""
        from catlearn.meanings.initialise import generator

        return generator(self.seed, f"{name}/{self.index}")


@dataclass(frozen=True)
class Layout:
    """What one adapter is at one place: its maps, the tensors that it holds, and those that are read off them."""

    weight: Map
    bias: Map
    own: Mapping[str, Param]
    reads: Mapping[str, Read]
    made: tuple[Adapter, int, Any]

    def __reduce__(self) -> Any:
        return _layout, self.made  # the rules of what is read are functions, which cannot be written down

    def __deepcopy__(self, memo: Any) -> Layout:
        return self  # nothing in it changes, and the plans are kept with its maps


@dataclass(frozen=True)
class Adapter(ABC):
    """A method. ``weight`` is its formula; a subclass declares what cannot be derived.

    ``identity_at_init``: freshly put in, it changes nothing (up to rounding). ``flat``: the weight of a convolution comes as a matrix
    (out, in · kernel); else as a tensor (out, in, *kernel). Raises ``BadAdapter`` where hyper-parameters do not fit a layer.
    """

    identity_at_init: ClassVar[bool] = True
    mergeable: ClassVar[bool] = True
    flat: ClassVar[bool] = True
    draws: ClassVar[bool] = False  # whether a buffer ``draw`` is filled with uniform numbers at each training step
    counts: ClassVar[bool] = False  # whether a buffer ``step`` counts the training steps

    @property
    def positions(self) -> str:
        """Where in a sequence the method acts: ``"all"``, or ends such as ``"f1+l1"`` (a method with an option of this name)."""
        return "all"

    def __init_subclass__(cls, key: str | None = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if key is not None:
            REGISTRY[key or cls.__name__] = cls

    # -- what a method gives -------------------------------------------------------------------------------------------

    @abstractmethod
    def weight(self, W: Map, o: int, i: Any) -> Map:
        """The adapted weight as a map ``i → o`` over W and new parameters."""

    def bias(self, b: Map, o: int, i: Any) -> Map:
        """The adapted bias, a map from the space () to o."""
        return b

    def start(self, W: torch.Tensor, at: Place) -> Mapping[str, torch.Tensor]:
        """Starts that depend on the weight (o, i) or on the place; the other parameters start as the formula says."""
        return {}

    def shared(self, places: Sequence[Place]) -> Mapping[str, Param]:
        """Tensors that all places have in common; a formula reads them as ``shared.NAME``."""
        return {}

    def check(self, o: int, i: Any) -> None:  # noqa: B027 (most methods fit every layer)
        """Raises ``BadAdapter`` if the hyper-parameters do not fit a layer of these sizes."""

    # -- what is derived -----------------------------------------------------------------------------------------------

    def layout(self, o: int, i: Any) -> Layout:
        """The maps and parameters for a weight of these sizes. Raises ``BadAdapter``."""
        return _layout(self, o, tuple(i) if isinstance(i, list) else i)

    def trainable(self, o: int, i: Any, layers: int = 1) -> int:
        """How many numbers are trained for so many layers of these sizes."""
        own = sum(_count(p) for p in self.layout(o, i).own.values())
        return layers * own + sum(_count(p) for p in self.shared([Place(o, i, k, layers) for k in range(layers)]).values())

    def rank_bound(self, o: int, i: Any) -> int:
        """What the rank of the change W' − W does not exceed, whatever the parameters."""
        return rank_of_change(self.layout(o, i).weight)

    def formula(self, kind: str = "latex", o: int = 768, i: int = 768) -> Any:
        """The equation as LaTeX, or as a sympy matrix for a small layer (``kind="sympy"``)."""
        from catlearn.adapters.writing import latex

        return latex(self.layout(o, i).weight) if kind == "latex" else self.layout(o, i).weight.exact()

    def describe(self, o: int = 768, i: int = 768) -> str:
        """One line: the formula, the count and the bound of the rank for a layer i → o."""
        f = self.layout(o, i).weight
        return (f"{type(self).__name__}: {f}; {self.trainable(o, i):,} trained numbers and a change of rank "
                f"{self.rank_bound(o, i)} at most for a layer {i} → {o}")  # fmt: skip

    def needs(self, condition: bool, what: str, next: str = "") -> None:
        """``BadAdapter`` unless the condition holds."""
        if not condition:
            raise errors.BadAdapter(f"{self}: {what}", next=next)


def _count(param: Param) -> int:
    return math.prod(int(n) for n in param.wire.shape) if param.trainable else 0  # type: ignore[arg-type]


@lru_cache(maxsize=1024)
def _layout(adapter: Adapter, o: int, i: Any) -> Layout:
    if min(o, size((i,) if isinstance(i, int) else i)) < 1:
        raise errors.BadAdapter(f"{adapter} on a layer {i} → {o}", ["needed: sizes of at least 1"])
    adapter.check(o, i)
    W, b = dense("W", o, i, trainable=False), dense("bias", o, (), init=ZERO, trainable=False)
    weight, bias = adapter.weight(W, o, i), adapter.bias(b, o, i)
    own: dict[str, Param] = {}
    reads: dict[str, Read] = {}
    for name, param in {**leaves(weight), **leaves(bias)}.items():
        if not isinstance(param.init, Read):
            own[name] = param
            continue
        reads[name] = param.init
        own.update({source: p for source, p in param.init.sources.items() if p is not None})
    return Layout(weight, bias, own, reads, (adapter, o, i))


# -- the register ------------------------------------------------------------------------------------------------------


def names() -> list[str]:
    """The names of all methods, sorted.

    >>> from catlearn import adapters
    >>> "LoRA" in adapters.names()
    True
    """
    return sorted(REGISTRY)


def get(name: str) -> type[Adapter]:
    """The method of this name, in any case. Raises ``NothingMatched``.

    >>> from catlearn import adapters
    >>> adapters.get("lora")(rank=4).trainable(10, 20)
    120
    """
    found = {key.lower(): value for key, value in REGISTRY.items()}
    if name.lower() not in found:
        raise errors.NothingMatched(name, names(), "adapter")
    return found[name.lower()]
