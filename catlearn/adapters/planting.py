"""Adapters with given tensors put on a model: everything is compared before anything is changed.

Law: if anything does not fit, ``BadAdapterFile`` lists all that differs, by layer and tensor, and the model is as it was.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from catlearn import errors
from catlearn.adapters.adapting import checked, fits, place, put, some
from catlearn.adapters.definition import Adapter, Place
from catlearn.adapters.sites import Site, candidates, full
from catlearn.adapters.slots import Cell, Slot
from catlearn.core.op import Param

Held = dict[str, tuple[Slot, Cell]]  # layer → its slot and the adapter in it


def held(model: nn.Module, name: str) -> Held:
    """The layers of a model that hold an adapter of this name."""
    found = {site.name: slot for site in candidates(model) for path, slot in some(model) if path == full(site) and name in slot}
    if not found:
        raise errors.NothingMatched(name, sorted({n for _, slot in some(model) for n in slot}), "adapter of this model")
    return {layer: (slot, slot.cell(name)) for layer, slot in found.items()}


def places(model: nn.Module, layers: list[str]) -> dict[str, Site]:
    """The places of these names. ``BadAdapterFile`` if the model lacks one."""
    have = {site.name: site for site in candidates(model)}
    missing = [layer for layer in layers if layer not in have]
    if missing or not layers:
        rows = [f"not in the model: {layer}" for layer in missing[:8]]
        raise errors.BadAdapterFile("this adapter is of another architecture", rows, f"there are {', '.join(list(have)[:8])}")
    return {layer: have[layer] for layer in layers}


def planted(model: nn.Module, adapters: Mapping[str, Adapter], sites: Mapping[str, Site], name: str, freeze: str,
            wanted: Mapping[str, tuple[str, str, torch.Tensor]], unknown: set[str]) -> nn.Module:  # fmt: skip
    """The model with the adapter of each layer, its tensors as given; everything is compared before anything is changed."""
    first = next(iter(adapters.values()))
    rows = [f"not understood: {key}" for key in sorted(unknown)]
    both = {layer: place(site, adapters[layer], k, len(sites), 0, None) for k, (layer, site) in enumerate(sites.items())}
    ats = {layer: at for layer, (at, _) in both.items()}
    rows += differing(adapters, both, first.shared(list(ats.values())), wanted)
    if rows:
        raise errors.BadAdapterFile("the tensors do not fit this model", rows[:12])
    if len(set(adapters.values())) > 1 and first.shared(list(ats.values())):
        raise errors.BadAdapterFile(f"{type(first).__name__} shares tensors between layers of different options")
    checked(model, first, name, freeze)
    for layer, site in sites.items():
        fits(site, adapters[layer], ats[layer], name)
    tensors: dict[str, dict[str, torch.Tensor]] = {}
    for layer, leaf, t in wanted.values():
        tensors.setdefault(layer, {})[leaf] = t
    for adapter in dict.fromkeys(adapters.values()):
        these = {layer for layer, a in adapters.items() if a == adapter}
        model = put(model, adapter, lambda path, module, these=these: path in these, name, freeze, 0, {}, tensors)
    found = held(model, name)
    with torch.no_grad():
        for layer, leaf, t in wanted.values():
            cell = found[layer][1]
            target = getattr(cell.common[0], leaf[7:]) if leaf.startswith("shared.") else getattr(cell, leaf)
            target.copy_(t)
    return model


def differing(adapters: Mapping[str, Adapter], ats: Mapping[str, tuple[Place, int | None]], shared: Mapping[str, Param],
              wanted: Mapping[str, tuple[str, str, torch.Tensor]]) -> list[str]:  # fmt: skip
    """What is missing, and what has another shape than its place needs."""
    rows: list[str] = []
    given = {(layer, leaf) for layer, leaf, _ in wanted.values()}
    for k, (layer, (at, experts)) in enumerate(ats.items()):
        try:
            own = dict(adapters[layer].layout(at.o, at.i).own)
        except (errors.BadAdapter, errors.BadMap) as error:
            raise errors.BadAdapterFile(f"the adapter does not fit {layer}", str(error).splitlines()) from error
        stack = () if experts is None else (experts,)
        shapes = {leaf: (*stack, *p.wire.shape) for leaf, p in own.items()}
        shapes |= {f"shared.{leaf}": tuple(p.wire.shape) for leaf, p in shared.items()}
        rows += [f"{layer}.{leaf}: given {tuple(t.shape)}, needed {shapes.get(leaf, 'no such tensor')}"
                 for at_layer, leaf, t in wanted.values() if at_layer == layer and tuple(t.shape) != shapes.get(leaf)]  # fmt: skip
        rows += [f"missing: {layer}.{leaf}" for leaf, p in own.items() if p.trainable and (layer, leaf) not in given]
        rows += [f"missing: shared.{leaf}" for leaf, p in shared.items() if not k and not any(l == f"shared.{leaf}" for _, l in given)]
    return rows
