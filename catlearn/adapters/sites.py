"""Where adapters can be put in a module, and which of these places a pattern or predicate means.

Candidates are the weights of known layers and of what is derived from them, the packed weights of ``MultiheadAttention``, the
weights of recurrent layers, and any bare parameter that is a matrix or a stack of matrices. A pattern is ``fnmatch`` on dotted names, as
for terms: ``*`` crosses dots, ``|`` alternates, a module stands for the layers in it. A bare parameter is meant only by a pattern that
ends with its own name. What is passed over is said (``skipped``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import UninitializedParameter

from catlearn import errors
from catlearn.adapters.modules import Adapted, layer_of
from catlearn.adapters.skipped import tell
from catlearn.core.select import matcher

Where = str | Callable[[str, nn.Module], bool]
FUSED = (nn.MultiheadAttention, nn.TransformerEncoderLayer)  # their kernels read the weights of the layers in them


class TiedWeight(UserWarning):
    """A weight that several layers share was adapted once."""


@dataclass(frozen=True)
class Site:
    """One tensor that can be adapted. ``name`` is the layer's dotted name, or that of the parameter where there is no layer."""

    name: str
    module: nn.Module
    attribute: str
    view: str
    by_forward: bool
    bare: bool = False
    by_parameter: bool = False
    followers: list[Site] = field(default_factory=list, compare=False)

    @property
    def tensor(self) -> torch.Tensor:
        """The stored parameter."""
        found = self.module._parameters[self.attribute]
        assert found is not None
        return found

    def view_for(self, i: Any) -> str:
        """How the tensor is seen by a method on ``i`` inputs: a shape if it acts on tensors."""
        return self.view if isinstance(i, int) or self.view in ("plain", "transposed") else f"{self.view} tensor"

    def sizes(self, flat: bool) -> tuple[int, Any, int | None]:
        """(out, in, number of matrices in a stack); ``in`` is a shape for a method on tensors."""
        shape = tuple(self.tensor.shape)
        if self.view == "transposed":
            return shape[1], shape[0], None
        if self.view in ("flat", "turned"):
            o, i = (shape[0], shape[1:]) if self.view == "flat" else (shape[1], (shape[0], *shape[2:]))
            return o, math.prod(i) if flat else i, None
        return (shape[1], shape[2], shape[0]) if len(shape) == 3 else (shape[0], shape[1], None)


def candidates(model: nn.Module) -> list[Site]:
    """All places of a model, in the order of its modules."""
    found: list[Site] = []
    modules = list(model.named_modules())  # a module with several names is found by its first
    fused = {id(child) for _, module in modules if isinstance(module, FUSED) for child in module.modules() if child is not module}
    for path, module in modules:
        if ".adapters." in f".{path}." or not module._parameters:
            continue
        layer = layer_of(module.was if isinstance(module, Adapted) else type(module))
        by_forward = layer is not None and layer[1] is not None and id(module) not in fused
        if layer is not None and module._parameters.get("weight") is not None:
            found.append(Site(path, module, "weight", layer[0], by_forward))
        if by_forward:
            continue  # what else such a layer holds, its forward does not read
        for name, p in module._parameters.items():
            if p is None or isinstance(p, UninitializedParameter) or p.dim() not in (2, 3) or (layer is not None and name == "weight"):
                continue
            bare = not isinstance(module, nn.MultiheadAttention | nn.RNNBase | nn.RNNCellBase) or p.dim() == 3
            found.append(Site(f"{path}.{name}".lstrip("."), module, name, "plain", False, bare, True))
    return found


def select(model: nn.Module, where: Where) -> list[Site]:
    """The places that are meant, each weight once. Raises ``NothingMatched``, ``CannotAdapt``."""
    everything = candidates(model)
    if callable(where):
        chosen = [site for site in everything if where(site.name, site.module)]
    else:
        match, names = matcher(where), cache(lambda: aliases(model))
        chosen = [
            site
            for site in everything
            if (by_name(where, site.name) if site.bare else match(full(site)) or any(map(match, names()[id(site.module)])))
        ]
        if not chosen:
            refuse_others(model, where, everything)
    if not chosen:
        raise errors.NothingMatched(str(where), [site.name or "the model itself" for site in everything], "layer")
    for site in chosen:
        refuse(site)
    sites = untied(chosen, everything)
    tell(model, where, everything, sites)
    return sites


def aliases(model: nn.Module) -> dict[int, list[str]]:
    """All names of each module: one that is registered in several places has several."""
    found: dict[int, list[str]] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        found.setdefault(id(module), []).append(path)
    return found


def full(site: Site) -> str:
    """The dotted name of the tensor itself."""
    return site.name if site.by_parameter else f"{site.name}.{site.attribute}".lstrip(".")


def by_name(where: str, name: str) -> bool:
    """Whether an alternative ends with the parameter's own name and matches."""
    alternatives = [part.strip() for part in where.split("|")]
    return any(fnmatch(name, part) for part in alternatives if fnmatch(name.rpartition(".")[2], part.rpartition(".")[2])
               and part.rpartition(".")[2].strip("*"))  # fmt: skip


def refuse(site: Site) -> None:
    """``CannotAdapt`` for a weight that no real matrix can be added to."""
    tensor, name = site.tensor, site.name or "the model itself"
    if isinstance(tensor, UninitializedParameter):
        rows = ["its weight gets its shape from the first input"]
        raise errors.CannotAdapt(f"{name} has no numbers yet", rows, "run the model once first")
    if tensor.device.type == "meta":
        raise errors.CannotAdapt(f"{name} has no numbers yet", ["its weight is on the meta device"], "load the model first")
    if not tensor.is_floating_point() or type(tensor) not in (torch.Tensor, nn.Parameter):
        given = f"given {type(tensor).__name__} of {tensor.dtype}"
        raise errors.CannotAdapt(f"{name} is quantised", [given], "adapt the model in floating point, and quantise the merged one")


def refuse_others(model: nn.Module, where: str, everything: Iterable[Site]) -> None:
    """``CannotAdapt`` if the pattern names parameters or modules that hold no matrix."""
    named = [(name, tuple(p.shape)) for name, p in model.named_parameters() if fnmatch(name, where)]
    named += [(name, type(m).__name__) for name, m in model.named_modules() if name and fnmatch(name, where)]
    if named:
        rows = [f"{name}: {what}" for name, what in named[:8]]
        raise errors.CannotAdapt(f"{where!r} names nothing with a matrix of weights", rows,
                                 f"there are {', '.join([s.name for s in everything][:8]) or 'none'}")  # fmt: skip


def untied(chosen: list[Site], everything: list[Site]) -> list[Site]:
    """Each parameter once: the first place leads, the others that are meant follow it; what happened is said."""
    import warnings

    first: dict[int, Site] = {}
    for site in chosen:
        leader = first.setdefault(id(site.tensor), site)
        if leader is not site:
            leader.followers.append(site)
    holding: dict[int, list[str]] = {}
    for site in everything:
        holding.setdefault(id(site.tensor), []).append(site.name)
    for key, leader in first.items():
        names = {site.name for site in (leader, *leader.followers)}
        others = [name for name in holding[key] if name not in names]
        if leader.followers:
            warnings.warn(f"{leader.name} and {', '.join(s.name for s in leader.followers)} share one weight: it has one adapter",
                          TiedWeight, stacklevel=6)  # fmt: skip
        if others:
            warnings.warn(f"{leader.name} shares its weight with {', '.join(others)}, which keep the weight as it is",
                          TiedWeight, stacklevel=6)  # fmt: skip
    return list(first.values())
