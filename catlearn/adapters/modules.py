"""Adapted modules: the module stays the object it is and changes its class, to one that asks its slots.

Layers that map vectors (``Linear``, ``Embedding``, convolutions, transformers' ``Conv1D``) get another ``forward``: by a plan on the
activations or by an effective weight. Everything else (packed attention weights, recurrent weights, a bare parameter, layers that a
fused kernel reads, layers with a ``forward`` of their own) gets properties: reading the weight or the bias gives the adapted one. So a
method, being a map on the weight, acts rightly whatever the forward pass does with the weight.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from catlearn.adapters.expressions import run_noisy
from catlearn.adapters.lookup import lookup
from catlearn.adapters.slots import VIEWS, Acting, Slot
from catlearn.maps.base import Map
from catlearn.maps.running import writing


class Adapted(nn.Module):
    """A module with adapters. ``was`` is the class that it had."""

    was: type[nn.Module]
    _by_forward: bool
    adapters: nn.ModuleDict
    _made: tuple[Any, ...]
    _reads: dict[str, torch.Tensor] | None  # of a module that reads: what was read in the forward pass that is running

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _blank, type(self)._made, self.__getstate__()  # type: ignore[attr-defined]


def _blank(*made: Any) -> Adapted:
    """An adapted module of a class, without anything in it."""
    kind: Any = adapted_class(*made)
    return kind.__new__(kind)


def _linear(self: Any, slot: Slot, act: Acting, x: torch.Tensor) -> torch.Tensor:
    return slot.apply_to(act, x, self.weight, self.bias)


def _transposed(self: Any, slot: Slot, act: Acting, x: torch.Tensor) -> torch.Tensor:
    return slot.apply_to(act, x, self.weight.t(), self.bias)


def _conv(self: Any, slot: Slot, act: Acting, x: torch.Tensor) -> torch.Tensor:
    bias = slot.bias(act, VIEWS[slot.view][0](self.weight), self.bias)
    if not (slot.training and act.expression.noisy) or slot.view != "flat":
        return self._conv_forward(x, slot.effective(self.weight, act), bias)
    f = act.expression.weight
    values = dict(zip(f.params, slot.tensors(act, act.expression.keys, self.weight.flatten(1), None), strict=True))

    def quiet(part: Map, x: torch.Tensor) -> torch.Tensor:
        """A part without dropout on the layer's input, channels last, as what follows it acts on channels."""
        matrix = writing(part)[0].function(self.weight, 1, *(values[name] for name in part.params))[0]
        kernel = matrix.reshape(-1, *self.weight.shape[1:])
        return self._conv_forward(x, kernel, None).movedim(channels, -1)

    channels = -self.weight.dim() + 1
    y = run_noisy(f, x, values, quiet).movedim(-1, channels)
    return y if bias is None else y + bias.reshape(-1, *[1] * (self.weight.dim() - 2))


def _embedding(self: Any, slot: Slot, act: Acting, x: torch.Tensor) -> torch.Tensor:
    e = act.expression
    values = dict(zip(e.weight.params, slot.tensors(act, e.keys, self.weight.t(), None), strict=True))
    found = lookup(e.weight, values, x)
    if found is None:
        return F.embedding(x, slot.effective(self.weight, act), self.padding_idx)
    return found if self.padding_idx is None else torch.where((x == self.padding_idx).unsqueeze(-1), found.detach(), found)


# the layers whose forward is replaced: type, how the stored weight is a matrix, and the call
LAYERS: tuple[tuple[type[nn.Module], str, Callable[..., torch.Tensor]], ...] = (
    (nn.Linear, "plain", _linear),
    (nn.Conv1d, "flat", _conv),
    (nn.Conv2d, "flat", _conv),
    (nn.Conv3d, "flat", _conv),
    (nn.Embedding, "transposed", _embedding),
)


# layers whose forward is left as it is and reads its weight
READ: tuple[tuple[type[nn.Module], str], ...] = (
    (nn.ConvTranspose1d, "turned"),
    (nn.ConvTranspose2d, "turned"),
    (nn.ConvTranspose3d, "turned"),
    (nn.EmbeddingBag, "transposed"),
)


@cache
def layer_of(kind: type) -> tuple[str, Callable[..., torch.Tensor] | None] | None:
    """The view of a known layer's weight, and the call that replaces its forward: none if it has a forward of its own."""
    for known, view, call in LAYERS:
        if issubclass(kind, known):
            return view, call if kind.forward is known.forward else None
    for known, view in READ:
        if issubclass(kind, known):
            return view, None
    if kind.__name__ == "Conv1D" and kind.__module__.startswith("transformers."):
        return "transposed", _transposed
    return None


def bias_of(module: nn.Module, attribute: str) -> str | None:
    """The name of the bias that goes with a weight: ``bias``, ``in_proj_bias``, ``bias_ih_l0``; None if the module has no place for one."""
    name = attribute.replace("weight", "bias")
    return name if name != attribute and name in module._parameters else None


@cache
def adapted_class(was: type[nn.Module], attributes: tuple[str, ...], by_forward: bool, biases: tuple[tuple[str, str], ...] = ()) -> type:
    """The class of a module of type ``was`` whose forward, or whose attributes, ask the slots; ``biases``: of bias and attribute."""
    body: dict[str, Any] = {"was": was, "_by_forward": by_forward, "_made": (was, attributes, by_forward, biases)}
    body |= {"__doc__": f"{was.__name__} with adapters.", "__module__": was.__module__}
    if by_forward:
        found = layer_of(was)
        assert found is not None and found[1] is not None
        call = found[1]

        def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
            slot = self.adapters["weight"]
            slot.begin()
            if slot.samples is not None:
                return by_sample(self, slot, x, call)
            return was.forward(self, x) if slot.acting is None else call(self, slot, slot.acting, x)

        body["forward"] = forward
    else:
        body.update({name: property(_reading(name), _keeping(name)) for name in attributes})
        body.update({bias: property(_reading_bias(bias, name), _keeping(bias)) for bias, name in biases})
        body["forward"] = _within(was)
        if issubclass(was, nn.RNNBase):  # which keeps its weights in a list too
            body["_flat_weights"] = property(_listed, lambda self, value: None)
    return type(f"Adapted{was.__name__}", (Adapted, was), body)


def _listed(self: Any) -> list[torch.Tensor | None]:
    """The weights of a recurrent layer in its order; a replica that is being made has none yet."""
    return [getattr(self, n) if n in self._parameters or n in self.__dict__ else None for n in self._flat_weights_names]


def _within(was: type[nn.Module]) -> Callable[..., Any]:
    """The forward of a module whose weights are read: each weight is computed once in it, however often it is read."""

    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self._reads is not None:  # a forward that calls itself
            return was.forward(self, *args, **kwargs)
        if "adapters" in self._modules:
            for slot in self.adapters.values():
                slot.begin()
        self._reads = {}
        try:
            return was.forward(self, *args, **kwargs)
        finally:
            self._reads = None

    return forward


def _stored(self: Any, name: str) -> Any:
    """The tensor itself: a parameter, or what torch's replicas have in place of it."""
    return self._parameters[name] if name in self._parameters else self.__dict__[name]


def _keeping(name: str) -> Callable[[Any, Any], None]:
    def put(self: Any, value: Any) -> None:
        self.__dict__[name] = value

    return put


def _reading(name: str) -> Callable[[Any], torch.Tensor]:
    def get(self: Any) -> torch.Tensor:
        if self._reads is not None and name in self._reads:
            return self._reads[name]
        owner, attribute = self.__dict__.get("_follows") or (self, name)
        slot, raw = owner.adapters[attribute], _stored(owner, attribute)
        try:
            if self._reads is None and owner is self:
                slot.begin()
            found = slot.effective(raw)
        except AttributeError as error:  # which Python would take for "no such attribute" and answer with the base
            raise RuntimeError(f"the adapted {name} could not be computed: {error}") from error
        if self._reads is not None:
            self._reads[name] = found
        return found

    return get


def _reading_bias(bias: str, name: str) -> Callable[[Any], torch.Tensor | None]:
    def get(self: Any) -> torch.Tensor | None:
        slot, raw, own = self.adapters[name], _stored(self, name), _stored(self, bias)
        try:
            return own if slot.acting is None else slot.bias(slot.acting, VIEWS[slot.view][0](raw), own)
        except AttributeError as error:
            raise RuntimeError(f"the adapted {bias} could not be computed: {error}") from error

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
