"""Which adapters act: ``activate``, ``disabled``, ``per_sample``, ``control``.

Laws: disabled, a model computes what it did before; a sample in a batch goes through its own adapter as it would alone.

A compiled model follows every switch. Another adapter of the same method and options, or a stack of such, runs the code that is there
already; another method, another number in a sum, another length of a stack, no adapter, or another list for ``per_sample`` is compiled
once and kept. An exported program is a snapshot of what is active.

>>> import torch, catlearn as cl
>>> layer = torch.nn.Linear(4, 4)
>>> for name in ("task", "style"):
...     layer = cl.adapt(layer, cl.adapters.LoRA(rank=2), name=name)
>>> cl.adapters.active(cl.adapters.activate(layer, ["style", "task"]))
{'weight': (('style', None), ('task', None))}
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from torch import nn

from catlearn import errors
from catlearn.adapters.adapting import known, slots, some
from catlearn.adapters.modules import Adapted


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
    if bad := [f"{name}: {n!r}" for name, n in given if n is not None and not (isinstance(n, int | float) and math.isfinite(n))]:
        raise errors.BadAdapter("a sum of adapters needs numbers", bad, "finite ones, such as {'a': 0.5, 'b': 2}")
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
    if any(slot.mask is not None for _, slot in found):
        raise errors.BadAdapter("per_sample within tokens", next="use one of the two at a time")
    whole = [path for path, module in model.named_modules() if isinstance(module, Adapted) and not module._by_forward]
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
