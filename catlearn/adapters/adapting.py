"""``adapt``: adapters put into a torch module, in place.

Laws: removed, the model is the one that it was, class by class; adapters on other layers do not interfere; if anything is wrong, nothing
is changed.

>>> import torch, catlearn as cl
>>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
>>> model = cl.adapt(model, cl.adapters.LoRA(rank=2), where="0")
>>> [name for name, p in model.named_parameters() if p.requires_grad]
['0.adapters.weight.default.A', '0.adapters.weight.default.B']
>>> model(torch.ones(3, 4)).shape
torch.Size([3, 2])
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from catlearn import errors
from catlearn.adapters.definition import Adapter, Place
from catlearn.adapters.modules import Adapted, adapted_class, bias_of
from catlearn.adapters.rewriting import drops_inputs, is_base, summands
from catlearn.adapters.sites import Site, Where, select
from catlearn.adapters.skipped import NoDropout
from catlearn.adapters.slots import VIEWS, Cell, Shared, Slot, hold, starts
from catlearn.maps.base import Map
from catlearn.maps.noise import drops

FREEZE = ("all", "adapted", "none")


def put(model: nn.Module, adapter: Adapter, where: Where, name: str, freeze: str, seed: int, data: Mapping[str, Any],
        given: Mapping[str, Mapping[str, torch.Tensor]] = {}) -> nn.Module:  # fmt: skip
    """Adds an adapter to the layers that are meant; it acts on what the earlier ones give. Nothing is changed if anything is wrong.

    ``given``: layer → tensors that are there already, all of an adapter's own, which then need no start.
    """
    with torch.inference_mode(False):  # tensors made within it could not be trained afterwards
        return _put(model, adapter, where, name, freeze, seed, data, given)


def _put(model: nn.Module, adapter: Adapter, where: Where, name: str, freeze: str, seed: int, data: Mapping[str, Any],
         given: Mapping[str, Mapping[str, torch.Tensor]]) -> nn.Module:  # fmt: skip
    checked(model, adapter, name, freeze)
    chosen = select(model, where)
    if strange := [key for key in data if key not in {site.name for site in chosen}]:
        raise errors.NothingMatched(strange[0], [site.name for site in chosen], "adapted layer")
    places = [place(site, adapter, k, len(chosen), seed, data.get(site.name)) for k, site in enumerate(chosen)]
    for site, (at, _) in zip(chosen, places, strict=True):
        fits(site, adapter, at, name)
    shared = common(adapter, [at for at, _ in places], chosen[0].tensor)
    each = [begun(site, adapter, name, at, experts, given.get(site.name)) for site, (at, experts) in zip(chosen, places, strict=True)]
    freeze_base(model, chosen, freeze)  # before there are four times as many modules to walk through
    for site, (at, experts), tensors in zip(chosen, places, each, strict=True):
        plant(site, Cell(adapter, adapter.layout(at.o, at.i), tensors, shared, at.index == 0), name, at, experts)
    noisy = {size: f for size in {(at.o, at.i) for at, _ in places} if drops(f := adapter.layout(*size).weight)}
    deaf = [site.name for site, (at, _) in zip(chosen, places, strict=True) if (f := noisy.get((at.o, at.i))) and not heeds(site, f)]
    if deaf:
        warnings.warn(f"the dropout of {adapter} does not act on {', '.join(deaf)}: there the adapted weight is read as a whole",
                      NoDropout, stacklevel=4)  # fmt: skip
    return model


def heeds(site: Site, f: Map) -> bool:
    """Whether a formula's dropout acts at a place: where the forward pass is ours, and groups do not stand between it and the input."""
    if not site.by_forward or isinstance(site.module, nn.Embedding):
        return False
    return getattr(site.module, "groups", 1) == 1 or drops_inputs(f)


def fits(site: Site, adapter: Adapter, at: Place, name: str) -> None:
    """``BadAdapter``, ``CannotAdapt`` for a place that has this name already, holds methods of the other kind, or does not fit."""
    module, called = site.module, site.name or "the model"
    if (slot := slot_of(site)) is not None:
        if name in slot:
            raise errors.BadAdapter(f"{called} has an adapter {name!r} already", next="give this one another name=")
        if slot.i != at.i:
            raise errors.BadAdapter(f"{called} holds a method on {'matrices' if isinstance(slot.i, int) else 'tensors'} already",
                                    [f"{adapter} is of the other kind"], "adapt this layer with one kind only")  # fmt: skip
    elif isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict):
        raise errors.CannotAdapt(f"{called} belongs to a {type(module).__name__}", ["it takes everything in it for a layer"])
    elif "_follows" in module.__dict__:
        raise errors.BadAdapter(f"{called} shares its weight with a layer that is adapted", next="mean both of them")
    elif getattr(module, "max_norm", None) is not None:
        raise errors.CannotAdapt(f"{called} shortens its rows as it reads them (max_norm)", ["the adapted rows have other lengths"])
    elif not isinstance(module, Adapted) and hasattr(module, "adapters"):
        raise errors.CannotAdapt(f"{called} has an attribute called adapters", next="rename it: adapters are kept under this name")
    for follower in site.followers:
        if isinstance(follower.module, Adapted) and follower.module.__dict__.get("_follows", (None,))[0] is not module:
            raise errors.BadAdapter(f"{follower.name} shares its weight with {called}, and has adapters of its own",
                                    next="remove them, and mean both layers")  # fmt: skip
    layout = adapter.layout(at.o, at.i)
    on_vectors = site.by_forward and site.view_for(at.i) in ("plain", "transposed") and not isinstance(module, nn.Embedding)
    if adapter.positions != "all" and not on_vectors:
        raise errors.CannotAdapt(f"{adapter} edits positions of a sequence, {called} has no vectors at positions",
                                 [f"it is a {type(module).__name__}"], "adapt linear layers")  # fmt: skip
    if not is_base(layout.bias):
        keeps_bias(site, adapter, layout.bias, at.o)


def keeps_bias(site: Site, adapter: Adapter, formula: Map, o: int) -> None:
    """``CannotAdapt`` for a method that changes the bias, on a weight whose bias cannot be changed with it."""
    name = bias_of(site.module, site.attribute)
    bias = None if name is None else site.module._parameters[name]
    others = [f.name for f in site.followers if f.module._parameters.get("bias") is not None]
    problem = ""
    if name is None and any("bias" not in part.params for part in summands(formula)):
        problem = "it has none"
    elif bias is not None and len(bias) != o:
        problem = f"it has {len(bias)} entries, the weight as a matrix has {o} rows"
    elif others:
        problem = f"{', '.join(others)} with the same weight would keep another bias"
    if problem:
        raise errors.CannotAdapt(f"{adapter} changes the bias of {site.name or 'the model'}: {problem}", [f"the bias becomes {formula}"],
                                 "take a method that changes the weight only, such as LoRA")  # fmt: skip


def checked(model: nn.Module, adapter: Any, name: str, freeze: str) -> None:
    """``BadAdapter`` for what is no adapter, no name, no way of freezing, or comes at the wrong time."""
    if not isinstance(adapter, Adapter):
        raise errors.BadAdapter(f"{adapter!r} is no adapter", ["needed: an instance, such as cl.adapters.LoRA(rank=8)"])
    if not isinstance(name, str) or not re.fullmatch(r"\w+", name) or hasattr(Slot(1, 1, "plain"), name):
        raise errors.BadAdapter(f"{name!r} is no name of an adapter", ["needed: letters, digits and _, no name of torch's own"])
    if freeze not in FREEZE:
        raise errors.BadAdapter(f"freeze={freeze!r}", [f"needed one of {', '.join(FREEZE)}"])
    if any(slot.merged for _, slot in slots(model)):
        raise errors.BadMerge("the adapters of this model are merged", next="cl.unmerge(model) first")


def place(site: Site, adapter: Adapter, index: int, count: int, seed: int, data: Any) -> tuple[Place, int | None]:
    """The place's sizes, and how many matrices it holds."""
    o, i, experts = site.sizes(adapter.flat)
    return Place(o, i, index, count, seed, data), experts


def slot_of(site: Site) -> Slot | None:
    """The slot of a place that has one."""
    slots = site.module.adapters if isinstance(site.module, Adapted) and "adapters" in site.module._modules else {}
    return slots[site.attribute] if site.attribute in slots else None  # type: ignore[return-value]


def common(adapter: Adapter, places: Sequence[Place], like: torch.Tensor) -> Shared | None:
    """The tensors that all places share."""
    params = adapter.shared(places)
    if not params:
        return None
    from catlearn.meanings.initialise import start as drawn

    found = Shared()
    for leaf, param in params.items():
        hold(found, leaf, drawn(f"shared/{leaf}", param, places[0].seed, dtype=torch.float32).to(like.device, like.dtype), param.trainable)
    return found


def begun(site: Site, adapter: Adapter, name: str, at: Place, experts: int | None,
          given: Mapping[str, torch.Tensor] | None) -> dict[str, torch.Tensor]:  # fmt: skip
    """The tensors of one adapter at one place: as they start, or those that are given."""
    layout, there, path = adapter.layout(at.o, at.i), VIEWS[site.view_for(at.i)][0], f"{site.name}/{name}"
    if given is not None and given.keys() >= layout.own.keys():
        W = site.tensor
        return {leaf: given[leaf].to(W.device, W.dtype if given[leaf].is_floating_point() else None).clone() for leaf in layout.own}
    if experts is None:
        return starts(adapter, layout, there(site.tensor), at, path)
    each = [starts(adapter, layout, there(site.tensor[k]), at, f"{path}/{k}") for k in range(experts)]
    return {leaf: torch.stack([e[leaf] for e in each]) for leaf in each[0]}


def plant(site: Site, cell: Cell, name: str, at: Place, experts: int | None) -> None:
    """One adapter at one place."""
    slot = opened(site, at, experts)
    slot._modules[name] = cell  # the name was checked, see ``checked``
    vars(slot)["active"] = (*slot.active, (name, None))
    if not site.module.training:
        slot.eval()
    slot.settle()


def opened(site: Site, at: Place, experts: int | None) -> Slot:
    """The slot of a place, made where there is none; the module changes its class."""
    if (found := slot_of(site)) is not None:
        return found
    module = site.module
    if not isinstance(module, Adapted):
        module._modules["adapters"] = nn.ModuleDict()
    slot = Slot(at.o, at.i, site.view_for(at.i), experts)
    module._modules["adapters"]._modules[site.attribute] = slot  # type: ignore[union-attr]
    reclass(module, site.by_forward)
    for follower in site.followers:
        if not isinstance(follower.module, Adapted):
            follower.module.__class__ = adapted_class(type(follower.module), (follower.attribute,), False)
            follower.module.__dict__.update(_follows=(module, site.attribute), _reads=None)
    return slot


def reclass(module: nn.Module, by_forward: bool) -> None:
    """The class that fits the slots of a module; its own class if there are none."""
    was = module.was if isinstance(module, Adapted) else type(module)
    attributes = tuple(module.adapters) if "adapters" in module._modules else ()  # type: ignore[arg-type]
    biases = tuple((bias, name) for name in attributes if (bias := bias_of(module, name)) is not None) if not by_forward else ()
    object.__setattr__(module, "__class__", adapted_class(was, attributes, by_forward, biases) if attributes else was)
    module.__dict__.pop("_reads", None)
    if attributes and not by_forward:
        module.__dict__["_reads"] = None


def freeze_base(model: nn.Module, chosen: Sequence[Site], freeze: str) -> None:
    """What of the model itself learns on."""
    if freeze == "none":
        return
    modules = [m for m in model.modules() if not isinstance(m, Cell | Shared)] if freeze == "all" else []
    for p in [p for m in modules for p in m._parameters.values()] or [site.tensor for site in chosen]:
        if p is not None and p.requires_grad:
            p.requires_grad_(False)


def slots(model: nn.Module) -> Iterator[tuple[str, Slot]]:
    """Every slot of a model, with the dotted name of its tensor."""
    for path, module in model.named_modules():
        if isinstance(module, Adapted) and "adapters" in module._modules:
            for attribute, slot in module.adapters.items():
                yield f"{path}.{attribute}".lstrip("."), slot  # type: ignore[misc]


def some(model: nn.Module) -> list[tuple[str, Slot]]:
    """The slots of a model that has some. Raises ``BadAdapter``."""
    found = list(slots(model))
    if not found:
        raise errors.BadAdapter("this model has no adapters", next="cl.adapt(model, adapter) puts some in")
    return found


def known(model: nn.Module, names: Sequence[str | None]) -> None:
    """``NothingMatched`` for a name that no adapter of the model has."""
    have = sorted({name for _, slot in some(model) for name in slot})
    for name in names:
        if name is not None and name not in have:
            raise errors.NothingMatched(str(name), have, "adapter of this model")
