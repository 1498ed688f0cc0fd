"""Adapters on disk: ``save_adapter`` and ``load_adapter``, in peft's folder format where peft has the method, else in our own.

Both are a JSON file ``adapter_config.json`` and one of tensors, ``adapter_model.safetensors``. Ours holds the method's name and options,
which are the expression, and every tensor by ``<layer>.<parameter>``. Nothing is ever unpickled. A folder that does not fit the model
is refused with the names and shapes that differ, and then nothing is loaded.

>>> import tempfile, torch, catlearn as cl
>>> folder, make = tempfile.mkdtemp(), lambda: torch.nn.Sequential(torch.nn.Linear(8, 4))
>>> model = cl.adapt(make(), cl.adapters.LoRA(rank=2)); cl.save_adapter(model, folder)
>>> other = cl.load_adapter(make(), folder)
>>> torch.equal(other[0].adapters.weight.default.A, model[0].adapters.weight.default.A)
True
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from catlearn import errors
from catlearn.adapters.adapting import place, put, some
from catlearn.adapters.definition import Adapter, get
from catlearn.adapters.peft import LORA, ROWS, Row, Tensor, row_of
from catlearn.adapters.sites import Site, candidates, full
from catlearn.adapters.slots import Cell, Slot

PREFIX = "base_model.model."
CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"
Held = dict[str, tuple[Slot, Cell]]  # layer → its slot and the adapter in it


def held(model: nn.Module, name: str) -> Held:
    """The layers of a model that hold an adapter of this name."""
    found = {site.name: slot for site in candidates(model) for path, slot in some(model) if path == full(site) and name in slot}
    if not found:
        raise errors.NothingMatched(name, sorted({n for _, slot in some(model) for n in slot}), "adapter of this model")
    return {layer: (slot, slot.cell(name)) for layer, slot in found.items()}


def layouts(row: Row, adapter: Adapter, site: Site) -> Mapping[str, Tensor]:
    """The tensors of a place on disk: embeddings and convolutions have names or shapes of their own."""
    if row.kind != "LORA" or site.view == "plain":
        return row.of(adapter)
    if site.view == "flat":
        shape = tuple(site.tensor.shape)
        A = Tensor("lora_A.weight", lambda t: t.reshape(-1, *shape[1:]), lambda t: t.flatten(1))
        B = Tensor("lora_B.weight", lambda t: t.reshape(*t.shape, *[1] * (len(shape) - 2)), lambda t: t.flatten(1))
        return {**row.of(adapter), "A": A, "B": B}
    if isinstance(site.module, nn.Embedding):
        return {**row.of(adapter), "A": Tensor("lora_embedding_A"), "B": Tensor("lora_embedding_B")}
    return row.of(adapter)


def peft_row(adapter: Adapter, sites: Mapping[str, Site]) -> Row | None:
    """The row of a method, if peft can hold it on these places."""
    row = ROWS.get(type(adapter).__name__)
    if row is None or not all(site.by_forward for site in sites.values()):
        return None
    if any(isinstance(getattr(site.module, "groups", 1), int) and getattr(site.module, "groups", 1) > 1 for site in sites.values()):
        return None  # peft's A of a grouped convolution sees all inputs, ours those of the group
    return row if row.tensors is LORA or row.kind == "LORA" or all(site.view == "plain" for site in sites.values()) else None


def save_adapter(model: nn.Module, folder: str | Path, name: str = "default", base: str = "") -> None:
    """Writes the adapter of this name into a folder, atomically; peft can read it if it has the method.

    ``base`` is what peft calls ``base_model_name_or_path``. Raises ``NothingMatched``, ``BadAdapter`` for layers with different options.
    """
    found, sites = held(model, name), {site.name: site for site in candidates(model)}
    adapters = {cell.adapter for _, cell in found.values()}
    if len(adapters) > 1:
        raise errors.BadAdapter(
            f"the adapter {name!r} has other options on other layers", [str(a) for a in adapters], "save each by itself"
        )
    (adapter,) = adapters
    row = peft_row(adapter, {layer: sites[layer] for layer in found})
    config = own_config(adapter, list(found)) if row is None else peft_config(row, adapter, list(found), base)
    tensors = own_tensors(found) if row is None else peft_tensors(row, adapter, found, sites)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / f"{TENSORS}.part"
    save_file({key: t.detach().cpu().contiguous() for key, t in tensors.items()}, written, metadata={"format": "pt"})
    (folder / f"{CONFIG}.part").write_text(json.dumps(config, indent=2, sort_keys=True))
    written.replace(folder / TENSORS)
    (folder / f"{CONFIG}.part").replace(folder / CONFIG)


def own_config(adapter: Adapter, layers: list[str]) -> dict[str, Any]:
    """Our own format: the method and its options, and the layers."""
    return {"format": "catlearn.adapter/1", "method": type(adapter).__name__, "options": asdict(adapter), "layers": layers}  # type: ignore[call-overload]


def peft_config(row: Row, adapter: Adapter, layers: list[str], base: str) -> dict[str, Any]:
    """peft's format; the method's own options stand in it too, under a key that peft does not read as an option."""
    options = row.options(adapter)
    if options.get("feedforward_modules") == "all":
        options["feedforward_modules"] = layers
    common = {"task_type": None, "base_model_name_or_path": base or None, "inference_mode": True, "bias": "none"}
    return {"peft_type": row.kind, "target_modules": layers, **common, **options}


def own_tensors(found: Held) -> dict[str, torch.Tensor]:
    """Every tensor of every cell by layer and name."""
    return {f"{layer}.{key}".lstrip("."): t for layer, (_, cell) in found.items() for key, t in cell.state_dict().items()}


def peft_tensors(row: Row, adapter: Adapter, found: Held, sites: Mapping[str, Site]) -> dict[str, torch.Tensor]:
    """The tensors by peft's names."""
    tensors = {}
    for layer, (_, cell) in found.items():
        for leaf, how in layouts(row, adapter, sites[layer]).items():
            if hasattr(cell, leaf):
                tensors[f"{PREFIX}{layer}.{how.suffix}"] = how.there(getattr(cell, leaf))
        for leaf, how in row.shared.items():
            key = f"{PREFIX}{layer}.{how.suffix}" if row.kind == "VBLORA" else f"base_model.{how.suffix}"
            tensors.setdefault(key, how.there(getattr(cell.common[0], leaf)).clone())
    return tensors


# -- reading -----------------------------------------------------------------------------------------------------------


def load_adapter(model: nn.Module, folder: str | Path, name: str = "default", freeze: str = "all") -> nn.Module:
    """Puts the adapter of a folder, ours or peft's, on a model, in place. Raises ``BadAdapterFile``; then nothing has changed."""
    folder = Path(folder)
    try:
        config = json.loads((folder / CONFIG).read_text())
        tensors = load_file(folder / TENSORS)
    except (OSError, ValueError, SafetensorError) as error:
        raise errors.BadAdapterFile(f"{folder} cannot be read", [str(error)[:200]], f"needed: {CONFIG} and {TENSORS}") from error
    if not isinstance(config, dict):
        raise errors.BadAdapterFile(f"{folder}/{CONFIG} holds no object", [f"given {str(config)[:80]}"])
    bad = [key for key, t in tensors.items() if t.is_floating_point() and not torch.isfinite(t).all()]
    if bad:
        raise errors.BadAdapterFile("some tensors hold numbers that are not finite", bad[:8])
    if config.get("format") == "catlearn.adapter/1":
        return load_own(model, config, tensors, name, freeze)
    return load_peft(model, config, tensors, name, freeze)


def load_own(model: nn.Module, config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], name: str, freeze: str) -> nn.Module:
    """Our own format."""
    try:
        options = {k: tuple(v) if isinstance(v, list) else v for k, v in config["options"].items()}
        adapter, layers = get(config["method"])(**options), config["layers"]
    except (KeyError, TypeError, AttributeError) as error:
        raise errors.BadAdapterFile("the configuration is not one of ours", [f"{type(error).__name__}: {error}"]) from error
    sites = places(model, layers)
    wanted: dict[str, tuple[str, str, torch.Tensor]] = {}
    for key, t in tensors.items():
        layer = max((l for l in layers if key.startswith(f"{l}." if l else "")), key=len, default=None)
        if layer is not None:
            wanted[key] = (layer, key[len(layer) :].lstrip("."), t)
    return planted(model, adapter, sites, name, freeze, wanted, set(tensors) - set(wanted))


def load_peft(model: nn.Module, config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], name: str, freeze: str) -> nn.Module:
    """peft's format."""
    row = row_of(config)
    if row is None:
        raise errors.BadAdapterFile(
            f"peft's type {config.get('peft_type')!r} is not known", [f"known: {', '.join(sorted({r.kind for r in ROWS.values()}))}"]
        )
    if config.get("rank_pattern") or config.get("alpha_pattern"):
        raise errors.BadAdapterFile("the layers have other ranks or scales than each other", ["rank_pattern, alpha_pattern"],
                                    "load the folder with peft, or save each group by itself")  # fmt: skip
    try:
        adapter = row.adapter(config)
    except (KeyError, TypeError, ValueError) as error:
        raise errors.BadAdapterFile(f"{CONFIG} lacks an option of {row.kind}", [f"{type(error).__name__}: {error}"]) from error
    row = ROWS[type(adapter).__name__]
    suffixes = {how.suffix for how in row.of(adapter).values()} | {"lora_embedding_A", "lora_embedding_B"}
    suffixes |= {how.suffix for how in row.shared.values()}
    layers = {key[len(PREFIX) : -len(s) - 1] for key in tensors for s in suffixes if key.startswith(PREFIX) and key.endswith(f".{s}")}
    sites = places(model, sorted(layers))
    wanted: dict[str, tuple[str, str, torch.Tensor]] = {}
    for layer, site in sites.items():
        for leaf, how in layouts(row, adapter, site).items():
            if (key := f"{PREFIX}{layer}.{how.suffix}") in tensors:
                wanted[key] = (layer, leaf, how.back(tensors[key]))
        for leaf, how in row.shared.items():
            for key in (f"{PREFIX}{layer}.{how.suffix}", f"base_model.{how.suffix}"):
                if key in tensors:
                    wanted[key] = (layer, f"shared.{leaf}", how.back(tensors[key]))
    return planted(model, adapter, sites, name, freeze, wanted, set(tensors) - set(wanted))


def places(model: nn.Module, layers: list[str]) -> dict[str, Site]:
    """The places of these names. ``BadAdapterFile`` if the model lacks one."""
    have = {site.name: site for site in candidates(model)}
    missing = [layer for layer in layers if layer not in have]
    if missing or not layers:
        rows = [f"not in the model: {layer}" for layer in missing[:8]]
        raise errors.BadAdapterFile("this adapter is of another architecture", rows, f"there are {', '.join(list(have)[:8])}")
    return {layer: have[layer] for layer in layers}


def planted(model: nn.Module, adapter: Adapter, sites: Mapping[str, Site], name: str, freeze: str,
            wanted: Mapping[str, tuple[str, str, torch.Tensor]], unknown: set[str]) -> nn.Module:  # fmt: skip
    """The model with the adapter, its tensors as given; everything is compared before anything is changed."""
    rows = [f"not understood: {key}" for key in sorted(unknown)]
    count, given = len(sites), {(layer, leaf) for layer, leaf, _ in wanted.values()}
    ats = {layer: place(site, adapter, k, count, 0, None)[0] for k, (layer, site) in enumerate(sites.items())}
    shared = adapter.shared(list(ats.values()))
    for k, (layer, at) in enumerate(ats.items()):
        try:
            own = dict(adapter.layout(at.o, at.i).own)
        except errors.BadAdapter as error:
            raise errors.BadAdapterFile(f"the adapter does not fit {layer}", str(error).splitlines()) from error
        shapes = {leaf: tuple(p.wire.shape) for leaf, p in own.items()}
        shapes |= {f"shared.{leaf}": tuple(p.wire.shape) for leaf, p in shared.items()}
        rows += [f"{layer}.{leaf}: given {tuple(t.shape)}, needed {shapes.get(leaf, 'no such tensor')}"
                 for at_layer, leaf, t in wanted.values() if at_layer == layer and tuple(t.shape) != shapes.get(leaf)]  # fmt: skip
        rows += [f"missing: {layer}.{leaf}" for leaf, p in own.items() if p.trainable and (layer, leaf) not in given]
        rows += [f"missing: shared.{leaf}" for leaf, p in shared.items() if not k and not any(l == f"shared.{leaf}" for _, l in given)]
    if rows:
        raise errors.BadAdapterFile("the tensors do not fit this model", rows[:12])
    model = put(model, adapter, lambda path, module: path in sites, name, freeze, 0, {})
    found = held(model, name)
    with torch.no_grad():
        for layer, leaf, t in wanted.values():
            cell = found[layer][1]
            target = getattr(cell.common[0], leaf[7:]) if leaf.startswith("shared.") else getattr(cell, leaf)
            target.copy_(t)
    return model
