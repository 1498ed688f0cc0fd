"""Adapted modules: the module stays the object it is and changes its class, to one that asks its slots.

Layers that map vectors (``Linear``, ``Embedding``, convolutions, transformers' ``Conv1D``) get another ``forward``: by a plan on the
activations or by an effective weight. Everything else (packed attention weights, recurrent weights, a bare parameter, layers that a
fused kernel reads) gets a property: reading the tensor gives the adapted one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from catlearn.adapters.expressions import Expression
from catlearn.adapters.lookup import lookup
from catlearn.adapters.slots import Slot


class Adapted(nn.Module):
    """A module with adapters. ``was`` is the class that it had."""

    was: type[nn.Module]
    adapters: nn.ModuleDict


def _linear(self: Any, slot: Slot, e: Expression, x: torch.Tensor) -> torch.Tensor:
    return slot.apply_to(e, x, self.weight, self.bias)


def _transposed(self: Any, slot: Slot, e: Expression, x: torch.Tensor) -> torch.Tensor:
    return slot.apply_to(e, x, self.weight.t(), self.bias)


def _conv(self: Any, slot: Slot, e: Expression, x: torch.Tensor) -> torch.Tensor:
    return self._conv_forward(x, slot.effective(self.weight, e), slot.bias(e, self.weight, self.bias))


def _embedding(self: Any, slot: Slot, e: Expression, x: torch.Tensor) -> torch.Tensor:
    if not e.noisy and (found := lookup(e.weight, dict(zip(e.weight.params, slot.tensors(e, e.keys, self.weight.t(), None), strict=True)),
                                        x)) is not None:  # fmt: skip
        return found
    return F.embedding(x, slot.effective(self.weight, e))


# the layers whose forward is replaced: type, how the stored weight is a matrix, and the call
LAYERS: tuple[tuple[type[nn.Module], str, Callable[..., torch.Tensor]], ...] = (
    (nn.Linear, "plain", _linear),
    (nn.Conv1d, "flat", _conv),
    (nn.Conv2d, "flat", _conv),
    (nn.Conv3d, "flat", _conv),
    (nn.Embedding, "transposed", _embedding),
)


@cache
def layer_of(kind: type) -> tuple[str, Callable[..., torch.Tensor]] | None:
    """The view and the call of a type whose forward is exactly that of a known layer; None for others."""
    for known, view, call in LAYERS:
        if issubclass(kind, known) and kind.forward is known.forward:
            return view, call
    if kind.__name__ == "Conv1D" and kind.__module__.startswith("transformers."):
        return "transposed", _transposed
    return None


@cache
def adapted_class(was: type[nn.Module], attributes: tuple[str, ...], by_forward: bool) -> type:
    """The class of a module of type ``was`` whose forward, or whose attributes, ask the slots."""
    body: dict[str, Any] = {"was": was, "__doc__": f"{was.__name__} with adapters.", "__module__": was.__module__}
    if by_forward:
        found = layer_of(was)
        assert found is not None
        call = found[1]

        def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
            slot = self.adapters["weight"]
            if slot.samples is not None:
                return by_sample(self, slot, x, call)
            return was.forward(self, x) if slot.expression is None else call(self, slot, slot.expression, x)

        body["forward"] = forward
    else:
        body.update({name: property(_reading(name)) for name in attributes})
        if issubclass(was, nn.RNNBase):  # which keeps its weights in a list too
            body["_flat_weights"] = property(lambda self: [getattr(self, n) for n in self._flat_weights_names], lambda self, value: None)
    return type(f"Adapted{was.__name__}", (Adapted, was), body)


def _reading(name: str) -> Callable[[Any], torch.Tensor]:
    def get(self: Any) -> torch.Tensor:
        raw = self._parameters[name]
        if (leader := self.__dict__.get("_follows")) is not None:
            slot, raw = leader[0].adapters[leader[1]], leader[0]._parameters[leader[1]]
        else:
            slot = self.adapters[name]
        try:
            return slot.effective(raw)
        except AttributeError as error:  # which Python would take for "no such attribute" and answer with the base
            raise RuntimeError(f"the adapted {name} could not be computed: {error}") from error

    return get


def by_sample(self: Any, slot: Slot, x: torch.Tensor, call: Callable[..., torch.Tensor]) -> torch.Tensor:
    """Each sample by its own adapter: the samples of one adapter together, then back in order."""
    from catlearn import errors

    names = slot.samples
    if x.shape[0] != len(names or ()):
        raise errors.BadAdapter(f"{len(names or ())} adapters for a batch of {x.shape[0]}", ["needed: one name for each sample"],
                                "the first axis of every adapted layer's input must be the batch")  # fmt: skip
    groups: dict[str | None, list[int]] = {}
    for row, name in enumerate(names or ()):
        groups.setdefault(name, []).append(row)
    outs = []
    for name, rows in groups.items():
        part = x[torch.tensor(rows, device=x.device)]
        outs.append(self.was.forward(self, part) if name is None else call(self, slot, slot.sampled[name], part))
    order = [row for rows in groups.values() for row in rows]
    return torch.cat(outs)[torch.tensor([order.index(row) for row in range(len(order))], device=x.device)]
