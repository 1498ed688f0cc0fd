"""``merge``, ``unmerge``, ``remove``: adapters written into the weights, taken out again, and thrown away.

Laws: merged, the model computes what it computed (up to rounding) at the base's cost; ``unmerge`` gives back every bit of the base;
``merge(model, keep_base=False)`` leaves plain modules, with the keys of ``state_dict`` that the model had before.
"""

from __future__ import annotations

import torch
from torch import nn

from catlearn import errors
from catlearn.adapters.adapting import known, reclass, some
from catlearn.adapters.modules import Adapted, bias_of
from catlearn.adapters.slots import VIEWS, Slot


def adapted(model: nn.Module) -> list[tuple[str, nn.Module, str, Slot]]:
    """Every adapted tensor: its name, module, attribute and slot."""
    return [(f"{path}.{attribute}".lstrip("."), module, attribute, slot) for path, module in model.named_modules()
            if isinstance(module, Adapted) and "adapters" in module._modules for attribute, slot in module.adapters.items()]  # type: ignore[misc]  # fmt: skip


def merge(model: nn.Module, keep_base: bool = True) -> nn.Module:
    """Writes what is active into the weights (and biases), in place. Raises ``BadMerge``; then nothing is changed.

    ``keep_base``: the base is kept beside it for ``unmerge``; without it the adapters are gone and the modules are plain again.

    >>> import torch, catlearn as cl
    >>> layer = cl.adapt(torch.nn.Linear(4, 4), cl.adapters.LoRA(rank=2))
    >>> x, W = torch.ones(1, 4), layer.weight.clone(); _ = torch.nn.init.ones_(layer.adapters.weight.default.B); y = layer(x)
    >>> torch.allclose(cl.merge(layer)(x), y, atol=1e-6), torch.equal(cl.unmerge(layer).weight, W)
    (True, True)
    """
    some(model)
    found = adapted(model)
    if any(slot.merged for *_, slot in found):
        raise errors.BadMerge("the adapters of this model are merged already", next="cl.unmerge(model) first")
    new = []
    with torch.no_grad():
        for path, module, attribute, slot in found:
            if slot.acting is None:
                new.append((module, attribute, slot, None, None))
                continue
            for name, _ in slot.active:
                adapter = slot.cell(name).adapter
                if not adapter.mergeable or adapter.positions != "all":
                    reason = "it does not act on the weight alone" if adapter.positions == "all" else "it acts on some positions only"
                    raise errors.BadMerge(f"{adapter} cannot be written into {path}", [reason])
            raw = module._parameters[attribute]
            assert raw is not None
            weight = slot.effective(raw).contiguous().clone()
            name = bias_of(module, attribute)
            b = None if name is None else module._parameters[name]
            bias = b if name is None else slot.bias(slot.acting, VIEWS[slot.view][0](raw), b)
            if not torch.isfinite(weight).all():
                raise errors.BadMerge(f"the adapted {path} holds numbers that are not finite", next="was the training stable?")
            new.append((module, attribute, slot, weight, None if bias is b else bias))
        for module, attribute, slot, weight, bias in new:
            write(module, attribute, slot, weight, bias)
    for *_, slot in found:
        slot.merged = True
        slot.settle()
    return model if keep_base else stripped(model, None)


def write(module: nn.Module, attribute: str, slot: Slot, weight: torch.Tensor | None, bias: torch.Tensor | None) -> None:
    """The new numbers into the module, the old ones into the slot."""
    for name, value, kept in ((attribute, weight, "base_weight"), (bias_of(module, attribute), bias, "base_bias")):
        if value is None or name is None:
            continue
        old = module._parameters.get(name)
        slot.register_buffer(kept, None if old is None else old.detach().clone(), persistent=False)
        if old is None:
            module.register_parameter(name, nn.Parameter(value.clone(), requires_grad=False))
        else:
            old.copy_(value)


def unmerge(model: nn.Module) -> nn.Module:
    """Takes merged adapters out again: every bit of the base is back. Raises ``BadMerge`` if nothing is merged."""
    found = [entry for entry in adapted(model) if entry[3].merged]
    if not found:
        raise errors.BadMerge("nothing is merged in this model", ["a merge with keep_base=False cannot be taken back"])
    with torch.no_grad():
        for _, module, attribute, slot in found:
            for name, kept in ((attribute, "base_weight"), (bias_of(module, attribute), "base_bias")):
                if kept not in slot._buffers or name is None:
                    continue
                old = slot._buffers.pop(kept)
                if old is None:
                    module.register_parameter(name, None)
                else:
                    module._parameters[name].copy_(old)  # type: ignore[union-attr]
            slot.merged = False
            slot.settle()
    return model


def remove(model: nn.Module, name: str | None = None) -> nn.Module:
    """Throws an adapter away, or all of them; a module without adapters has the class that it had. What was frozen stays frozen.

    Raises ``NothingMatched``, or ``BadMerge`` while adapters are merged.

    >>> import torch, catlearn as cl
    >>> type(cl.remove(cl.adapt(torch.nn.Linear(4, 4), cl.adapters.LoRA(rank=2)))).__name__
    'Linear'
    """
    known(model, [name])
    if any(slot.merged for *_, slot in adapted(model)):
        raise errors.BadMerge("the adapters of this model are merged", next="cl.unmerge(model) first, or merge with keep_base=False")
    return stripped(model, name)


def stripped(model: nn.Module, name: str | None) -> nn.Module:
    """The model without an adapter, or without all."""
    for module in list(model.modules()):
        if not isinstance(module, Adapted):
            continue
        if "adapters" not in module._modules:
            continue
        for attribute, slot in list(module.adapters.items()):
            for key in [key for key in slot if name in (None, key)]:  # type: ignore[union-attr]
                del slot[key]  # type: ignore[attr-defined]
            slot.active = tuple(pair for pair in slot.active if pair[0] in slot)  # type: ignore[assignment,union-attr,operator]
            if not len(slot):  # type: ignore[arg-type]
                del module.adapters[attribute]
            else:
                slot.settle()  # type: ignore[operator]
        by_forward = module._by_forward
        if not len(module.adapters):
            del module._modules["adapters"]
        reclass(module, by_forward)
    for module in list(model.modules()):
        leader = module.__dict__.get("_follows")
        if leader is not None and not isinstance(leader[0], Adapted):
            del module.__dict__["_follows"], module.__dict__["_reads"]
            module.__class__ = module.was  # type: ignore[assignment]
    return model
