"""``adapt``: adapters put into a torch module, in place; ``activate``, ``disabled``, ``per_sample``: which of them act.

Laws: disabled, a model computes what it did before; removed, it is the model that it was, class by class; adapters on other layers do
not interfere. A compiled model follows a switch of adapters, because torch guards on what is active; an exported program is a snapshot.

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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from catlearn import errors
from catlearn.adapters.definition import Adapter, Place
from catlearn.adapters.modules import Adapted, adapted_class
from catlearn.adapters.sites import Site, Where, select
from catlearn.adapters.slots import VIEWS, Cell, Shared, Slot, hold, starts

FREEZE = ("all", "adapted", "none")


def put(model: nn.Module, adapter: Adapter, where: Where, name: str, freeze: str, seed: int, data: Mapping[str, Any]) -> nn.Module:
    """Adds an adapter to the layers that are meant; it acts on what the earlier ones give. Nothing is changed if anything is wrong."""
    checked(model, adapter, name, freeze)
    chosen = select(model, where)
    if strange := [key for key in data if key not in {site.name for site in chosen}]:
        raise errors.NothingMatched(strange[0], [site.name for site in chosen], "adapted layer")
    places = [place(site, adapter, k, len(chosen), seed, data.get(site.name)) for k, site in enumerate(chosen)]
    for site, (at, _) in zip(chosen, places, strict=True):
        fits(site, adapter, at, name)
    shared = common(adapter, [at for at, _ in places], chosen[0].tensor)
    for site, (at, experts) in zip(chosen, places, strict=True):
        plant(site, adapter, name, at, experts, shared)
    freeze_base(model, chosen, freeze)
    return model


def fits(site: Site, adapter: Adapter, at: Place, name: str) -> None:
    """``BadAdapter`` for a place that has this name already, or holds methods of the other kind, or whose sizes do not fit."""
    if (slot := slot_of(site)) is not None:
        if name in slot:
            raise errors.BadAdapter(f"{site.name or 'the model'} has an adapter {name!r} already", next="give this one another name=")
        if slot.i != at.i:
            raise errors.BadAdapter(f"{site.name} holds a method on {'matrices' if isinstance(slot.i, int) else 'tensors'} already",
                                    [f"{adapter} is of the other kind"], "adapt this layer with one kind only")  # fmt: skip
    adapter.layout(at.o, at.i)


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
    return site.module.adapters[site.attribute] if isinstance(site.module, Adapted) and site.attribute in site.module.adapters else None  # type: ignore[return-value]


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


def plant(site: Site, adapter: Adapter, name: str, at: Place, experts: int | None, shared: Shared | None) -> None:
    """One adapter at one place."""
    layout, there = adapter.layout(at.o, at.i), VIEWS[site.view][0]
    path = f"{site.name}/{name}"
    if experts is None:
        W = site.tensor if isinstance(at.i, tuple) else there(site.tensor)
        tensors = starts(adapter, layout, W, at, path)
    else:
        each = [starts(adapter, layout, there(site.tensor[k]), at, f"{path}/{k}") for k in range(experts)]
        tensors = {leaf: torch.stack([e[leaf] for e in each]) for leaf in each[0]}
    slot = opened(site, at, experts)
    slot._modules[name] = Cell(adapter, layout, tensors, shared, at.index == 0)  # the name was checked, see ``checked``
    slot.active = (*slot.active, (name, None))
    if not site.module.training:
        slot.eval()
    slot.settle()


def opened(site: Site, at: Place, experts: int | None) -> Slot:
    """The slot of a place, made where there is none; the module changes its class."""
    if (found := slot_of(site)) is not None:
        return found
    module = site.module
    if not isinstance(module, Adapted):
        if isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict):
            raise errors.CannotAdapt(f"{site.name} belongs to a {type(module).__name__}", ["it takes everything in it for a layer"])
        if hasattr(module, "adapters"):
            raise errors.CannotAdapt(f"{site.name} has an attribute called adapters", next="rename it: adapters are kept under this name")
        module._modules["adapters"] = nn.ModuleDict()
    view = "tensor" if site.view == "flat" and not isinstance(at.i, int) else site.view
    slot = Slot(at.o, at.i, view, experts)
    module._modules["adapters"]._modules[site.attribute] = slot  # type: ignore[union-attr]
    reclass(module, site.by_forward)
    for follower in site.followers:
        if not isinstance(follower.module, Adapted):
            follower.module.__class__ = adapted_class(type(follower.module), (follower.attribute,), False)
            follower.module.__dict__["_follows"] = (module, site.attribute)
    return slot


def reclass(module: nn.Module, by_forward: bool) -> None:
    """The class that fits the slots of a module; its own class if there are none."""
    was = module.was if isinstance(module, Adapted) else type(module)
    attributes = tuple(module.adapters) if "adapters" in module._modules else ()  # type: ignore[arg-type]
    module.__class__ = adapted_class(was, attributes, by_forward) if attributes else was  # type: ignore[assignment]


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


# -- which act ---------------------------------------------------------------------------------------------------------


def activate(model: nn.Module, names: str | Sequence[str] | Mapping[str, float]) -> nn.Module:
    """Chooses which adapters act: one, a stack in this order, or a sum of changes with numbers. Layers without them act as the base.

    Raises ``NothingMatched`` for a name that there is not, ``BadMerge`` while adapters are merged.

    >>> import torch, catlearn as cl
    >>> layer = torch.nn.Linear(4, 4)
    >>> for name in "ab":
    ...     layer = cl.adapt(layer, cl.adapters.LoRA(rank=2), name=name)
    >>> _ = cl.adapters.activate(layer, {"a": 0.5, "b": 0.5}); cl.adapters.active(layer)
    {'weight': (('a', 0.5), ('b', 0.5))}
    """
    if isinstance(names, str):
        names = [names]
    given = list(names.items()) if isinstance(names, Mapping) else [(name, None) for name in names]
    known(model, [name for name, _ in given])
    if len({name for name, _ in given}) != len(given):
        raise errors.BadAdapter(f"an adapter acts twice: {', '.join(name for name, _ in given)}", next="name each once")
    if any(slot.merged for _, slot in slots(model)):
        raise errors.BadMerge("the adapters of this model are merged", next="cl.unmerge(model) first")
    for _, slot in slots(model):
        slot.active = tuple((name, None if number is None else float(number)) for name, number in given if name in slot)
        slot.settle()
    return model


def active(model: nn.Module) -> dict[str, tuple[tuple[str, float | None], ...]]:
    """Which adapters act on each tensor: (name, number) in order, a number None for a stack."""
    return {path: slot.active if slot.enabled else () for path, slot in slots(model)}


def control(model: nn.Module, **values: float) -> nn.Module:
    """Sets what steers adapters from outside, such as ``task=2`` for routed ones: every adapter's buffer of this name.

    Raises ``NothingMatched`` if no adapter has it.

    >>> import torch, catlearn as cl
    >>> layer = cl.adapt(torch.nn.Linear(4, 4), cl.adapters.MHR(rank=2, tasks=3))
    >>> int(cl.adapters.control(layer, task=2).adapters.weight.default.task)
    2
    """
    cells = [cell for _, slot in some(model) for cell in slot.children()]
    for key, value in values.items():
        held = [cell.get_buffer(key) for cell in cells if key in cell._buffers]
        if not held:
            raise errors.NothingMatched(key, sorted({name for cell in cells for name in cell._buffers}), "buffer of an adapter")
        for buffer in held:
            buffer.fill_(value)
    return model


@contextmanager
def disabled(model: nn.Module) -> Iterator[nn.Module]:
    """Within it the model computes what it did before it was adapted.

    >>> import torch, catlearn as cl
    >>> layer = torch.nn.Linear(4, 4); x = torch.ones(1, 4); y = layer(x)
    >>> layer = cl.adapt(layer, cl.adapters.LoRA(rank=2)); _ = torch.nn.init.ones_(layer.adapters.weight.default.B)
    >>> with cl.adapters.disabled(layer):
    ...     torch.equal(layer(x), y)
    True
    """
    found = some(model)
    if any(slot.merged for _, slot in found):
        raise errors.BadMerge("the adapters of this model are merged, so the base is not at hand", next="cl.unmerge(model) first")
    before = [slot.enabled for _, slot in found]
    try:
        for _, slot in found:
            slot.enabled = False
            slot.settle()
        yield model
    finally:
        for (_, slot), enabled in zip(found, before, strict=True):
            slot.enabled = enabled
            slot.settle()


@contextmanager
def per_sample(model: nn.Module, names: Sequence[str | None]) -> Iterator[nn.Module]:
    """Within it sample k of every batch goes through the adapter ``names[k]``; None is the base.

    Layers whose weight is read by a fused kernel, as in attention, cannot do this: ``BadAdapter``.

    >>> import torch, catlearn as cl
    >>> layer = cl.adapt(torch.nn.Linear(4, 4), cl.adapters.LoRA(rank=2), name="a")
    >>> with cl.adapters.per_sample(layer, ["a", None]):
    ...     layer(torch.ones(2, 4)).shape
    torch.Size([2, 4])
    """
    known(model, names)
    found = some(model)
    whole = [path for path, module in model.named_modules() if isinstance(module, Adapted) and "forward" not in vars(type(module))]
    if whole:
        raise errors.BadAdapter(
            "one adapter for each sample is not possible here", [f"{path} reads its weight as a whole" for path in whole]
        )
    for _, slot in found:
        slot.sampled = {n: e for n in set(names) if n is not None and n in slot and (e := slot.of(((n, None),))) is not None}
        slot.samples = tuple(n if n in slot.sampled else None for n in names)
    try:
        yield model
    finally:
        for _, slot in found:
            slot.samples, slot.sampled = None, {}
