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
import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from catlearn import errors
from catlearn.adapters.definition import Adapter, get
from catlearn.adapters.kohya import flattened, grouped, read_layer
from catlearn.adapters.peft import LORA, ROWS, Row, Tensor, row_of
from catlearn.adapters.planting import Held, held, places, planted
from catlearn.adapters.sites import Site, candidates
from catlearn.adapters.wrapped import held_whole, names, projects, stacked, twice

PREFIX = "base_model.model."
CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"
PATTERNED = {"LORA": "lora_alpha", "LOHA": "alpha", "LOKR": "alpha"}  # peft's types with patterns that are read, and their scale


def layouts(row: Row, adapter: Adapter, site: Site) -> Mapping[str, Tensor]:
    """The tensors of a place on disk: embeddings and convolutions have names or shapes of their own."""
    if row.kind == "LORA" and site.by_parameter and site.tensor.dim() == 3:
        return stacked(site)
    if row.kind == "LORA" and projects(site):
        return {**row.of(adapter), **twice()}
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


def peft_row(adapters: Mapping[str, Adapter], sites: Mapping[str, Site]) -> Row | None:
    """The row of a method, if peft can hold it on these places."""
    first = next(iter(adapters.values()))
    row = ROWS.get(type(first).__name__)
    if row is None or not held_whole(sites, adapters):
        return None
    if any(isinstance(getattr(adapter, "factor", None), tuple) for adapter in adapters.values()):
        return None  # peft's LoKr bounds both factors by one number
    if any(replaced(adapter, first) != first for adapter in adapters.values()) or (
        len(set(adapters.values())) > 1 and row.kind not in PATTERNED
    ):
        return None
    if any(isinstance(getattr(site.module, "groups", 1), int) and getattr(site.module, "groups", 1) > 1 for site in sites.values()):
        return None  # peft's A of a grouped convolution sees all inputs, ours those of the group
    if not all(kept(row, adapters[layer], site) for layer, site in sites.items()):
        return None
    return row if row.tensors is LORA or row.kind == "LORA" or all(site.view == "plain" for site in sites.values()) else None


def kept(row: Row, adapter: Adapter, site: Site) -> bool:
    """Whether peft's options say which tensors the method holds, and which of them are trained."""
    o, i, _ = site.sizes(adapter.flat)
    ours, theirs = ({leaf: p.trainable for leaf, p in a.layout(o, i).own.items()} for a in (adapter, row.adapter(row.options(adapter))))
    return ours == theirs


def replaced(adapter: Any, other: Any) -> Adapter:
    """An adapter with the rank and the scale of another, if it has such."""
    return replace(adapter, rank=other.rank, alpha=other.alpha) if hasattr(other, "rank") and hasattr(other, "alpha") else adapter


def alike(name: str, found: Held) -> None:
    """``BadAdapter`` for layers that hold different methods, or different options of one that shares tensors."""
    kinds = {cell.adapter if cell.common[0] is not None else type(cell.adapter).__name__ for _, cell in found.values()}
    if len(kinds) > 1:
        raise errors.BadAdapter(f"the adapter {name!r} is not one method", [str(kind) for kind in kinds], "save each by itself")


def save_adapter(model: nn.Module, folder: str | Path, name: str = "default", base: str = "") -> None:
    """Writes the adapter of this name into a folder, atomically; peft can read it if it has the method.

    Layers may have options of their own; ranks and scales of LoRA, LoHa, LoKr stand in peft's ``rank_pattern`` and ``alpha_pattern``.
    ``base`` is what peft calls ``base_model_name_or_path``. Raises ``NothingMatched``, ``BadAdapter`` for layers with different methods.
    """
    found, sites = held(model, name), {site.name: site for site in candidates(model)}
    adapters = {layer: cell.adapter for layer, (_, cell) in found.items()}
    alike(name, found)
    row = peft_row(adapters, {layer: sites[layer] for layer in found})
    config = own_config(adapters) if row is None else peft_config(row, adapters, {layer: sites[layer] for layer in found}, base)
    tensors = own_tensors(found) if row is None else peft_tensors(row, found, sites)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / f"{TENSORS}.part"
    save_file({key: t.detach().cpu().contiguous() for key, t in tensors.items()}, written, metadata={"format": "pt"})
    (folder / f"{CONFIG}.part").write_text(json.dumps(config, indent=2, sort_keys=True))
    written.replace(folder / TENSORS)
    (folder / f"{CONFIG}.part").replace(folder / CONFIG)


def own_config(adapters: Mapping[str, Adapter]) -> dict[str, Any]:
    """Our own format: the method and its options, the layers, and the options of those that have others than the first."""
    first = next(iter(adapters.values()))
    each = {layer: asdict(a) for layer, a in adapters.items() if a != first}  # type: ignore[call-overload]
    method = {"format": "catlearn.adapter/1", "method": type(first).__name__, "options": asdict(first), "layers": list(adapters)}  # type: ignore[call-overload]
    return {**method, "each": each} if each else method


def peft_config(row: Row, adapters: Mapping[str, Adapter], sites: Mapping[str, Site], base: str) -> dict[str, Any]:
    """peft's format; layers of another rank or scale than the first stand in patterns, which peft matches against whole names."""
    bare = [layer for layer, site in sites.items() if site.bare]
    wrapped = names(sites, ())
    modules = [wrapped.get(layer, layer) for layer in adapters if layer not in bare and ".base_layer." not in wrapped.get(layer, "")]
    layers, options = list(adapters), row.options(next(iter(adapters.values())))
    if options.get("feedforward_modules") == "all":
        options["feedforward_modules"] = layers
    patterns: dict[str, dict[str, Any]] = {}
    for key, pattern in (("r", "rank_pattern"), (PATTERNED.get(row.kind, ""), "alpha_pattern")):
        own = {
            f"^{re.escape(layer)}": row.options(a)[key]
            for layer, a in adapters.items()
            if key and row.options(a).get(key) != options.get(key)
        }
        patterns |= {pattern: own} if own else {}
    common = {"task_type": None, "base_model_name_or_path": base or None, "inference_mode": True, "bias": "none"}
    targets = {"target_modules": modules, **({"target_parameters": bare} if bare else {})}
    return {"peft_type": row.kind, **targets, **common, **options, **patterns}


def own_tensors(found: Held) -> dict[str, torch.Tensor]:
    """Every tensor of every cell by layer and name."""
    return {f"{layer}.{key}".lstrip("."): t for layer, (_, cell) in found.items() for key, t in cell.state_dict().items()}


def peft_tensors(row: Row, found: Held, sites: Mapping[str, Site]) -> dict[str, torch.Tensor]:
    """The tensors by peft's names."""
    tensors, called = {}, names(sites, [layer for layer in found if sites[layer].bare])
    for layer, (_, cell) in found.items():
        for leaf, how in layouts(row, cell.adapter, sites[layer]).items():
            if hasattr(cell, leaf):
                tensors[f"{PREFIX}{called.get(layer, layer)}.{how.suffix}"] = how.there(getattr(cell, leaf))
        for leaf, how in row.shared.items():
            key = f"{PREFIX}{layer}.{how.suffix}" if row.kind == "VBLORA" else f"base_model.{how.suffix}"
            tensors.setdefault(key, how.there(getattr(cell.common[0], leaf)).clone())
    return tensors


# -- reading -----------------------------------------------------------------------------------------------------------


def load_adapter(model: nn.Module, folder: str | Path, name: str = "default", freeze: str = "all") -> nn.Module:
    """Puts the adapter of a folder, ours or peft's, or of a LyCORIS or kohya ``.safetensors``, on a model, in place.

    Raises ``BadAdapterFile``; then nothing has changed.
    """
    folder = Path(folder)
    if folder.suffix == ".safetensors":
        return load_file_of(model, folder, name, freeze)
    try:
        config = json.loads((folder / CONFIG).read_text())
        tensors = load_file(folder / TENSORS)
    except (OSError, ValueError, SafetensorError) as error:
        raise errors.BadAdapterFile(f"{folder} cannot be read", [str(error)[:200]], f"needed: {CONFIG} and {TENSORS}") from error
    if not isinstance(config, dict):
        raise errors.BadAdapterFile(f"{folder}/{CONFIG} holds no object", [f"given {str(config)[:80]}"])
    finite(tensors)
    if config.get("format") == "catlearn.adapter/1":
        return load_own(model, config, tensors, name, freeze)
    return load_peft(model, config, tensors, name, freeze)


def load_own(model: nn.Module, config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], name: str, freeze: str) -> nn.Module:
    """Our own format."""
    try:
        layers, each = config["layers"], config.get("each", {})
        options = {
            layer: {k: tuple(v) if isinstance(v, list) else v for k, v in each.get(layer, config["options"]).items()} for layer in layers
        }
        adapters = {layer: get(config["method"])(**options[layer]) for layer in layers}
    except (KeyError, TypeError, AttributeError) as error:
        raise errors.BadAdapterFile("the configuration is not one of ours", [f"{type(error).__name__}: {error}"]) from error
    sites = places(model, layers)
    wanted: dict[str, tuple[str, str, torch.Tensor]] = {}
    for key, t in tensors.items():
        layer = max((l for l in layers if key.startswith(f"{l}." if l else "")), key=len, default=None)
        if layer is not None:
            wanted[key] = (layer, key[len(layer) :].lstrip("."), t)
    return planted(model, adapters, sites, name, freeze, wanted, set(tensors) - set(wanted))


def load_peft(model: nn.Module, config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], name: str, freeze: str) -> nn.Module:
    """peft's format."""
    row = row_of(config)
    if row is None:
        raise errors.BadAdapterFile(
            f"peft's type {config.get('peft_type')!r} is not known", [f"known: {', '.join(sorted({r.kind for r in ROWS.values()}))}"]
        )
    try:
        adapter = row.adapter(config)
    except (KeyError, TypeError, ValueError) as error:
        raise errors.BadAdapterFile(f"{CONFIG} lacks an option of {row.kind}", [f"{type(error).__name__}: {error}"]) from error
    row = ROWS[type(adapter).__name__]
    suffixes = {how.suffix for how in row.of(adapter).values()} | {"lora_embedding_A", "lora_embedding_B"}
    suffixes |= {how.suffix for how in row.shared.values()}
    layers = {key[len(PREFIX) : -len(s) - 1] for key in tensors for s in suffixes if key.startswith(PREFIX) and key.endswith(f".{s}")}
    called = names({site.name: site for site in candidates(model)}, config.get("target_parameters") or ())
    back = {there: here for here, there in called.items()}
    sites = places(model, sorted(back.get(layer, layer) for layer in layers))
    adapters = dict.fromkeys(sites, adapter)
    if config.get("rank_pattern") or config.get("alpha_pattern"):
        adapters = {layer: row.adapter(patterned(row, config, layer)) for layer in sites}
    wanted: dict[str, tuple[str, str, torch.Tensor]] = {}
    for layer, site in sites.items():
        for leaf, how in layouts(row, adapters[layer], site).items():
            if (key := f"{PREFIX}{called.get(layer, layer)}.{how.suffix}") in tensors:
                wanted[key] = (layer, leaf, how.back(tensors[key]))
        for leaf, how in row.shared.items():
            for key in (f"{PREFIX}{layer}.{how.suffix}", f"base_model.{how.suffix}"):
                if key in tensors:
                    wanted[key] = (layer, f"shared.{leaf}", how.back(tensors[key]))
    return planted(model, adapters, sites, name, freeze, wanted, set(tensors) - set(wanted))


def patterned(row: Row, config: Mapping[str, Any], layer: str) -> dict[str, Any]:
    """A layer's own options: of the first pattern that its name ends with, as peft matches them. Raises ``BadAdapterFile``."""
    options = dict(config)
    for key, pattern in (("r", "rank_pattern"), (PATTERNED.get(row.kind), "alpha_pattern")):
        given = config.get(pattern) or {}
        if given and (key is None or row.kind not in PATTERNED or not isinstance(given, Mapping)):
            raise errors.BadAdapterFile(f"{pattern} of {row.kind} is not read", [str(given)[:200]], "load the folder with peft")
        try:
            meant = next((p for p in given if re.match(rf"(.*\.)?({p})$", layer)), None)
        except re.error as error:
            raise errors.BadAdapterFile(f"{pattern} holds what is no regular expression", [str(error)]) from error
        if meant is not None:
            options[key] = given[meant]  # type: ignore[index]
            if isinstance(given[meant], bool) or not isinstance(given[meant], int if key == "r" else int | float):
                raise errors.BadAdapterFile(f"{pattern}: {meant!r} is {given[meant]!r}", ["needed: a number"])
    return options


def finite(tensors: Mapping[str, torch.Tensor]) -> None:
    """``BadAdapterFile`` for infinite numbers and for what is none."""
    bad = [key for key, t in tensors.items() if t.is_floating_point() and not torch.isfinite(t).all()]
    if bad:
        raise errors.BadAdapterFile("some tensors hold numbers that are not finite", bad[:8])


def load_file_of(model: nn.Module, path: Path, name: str, freeze: str) -> nn.Module:
    """The file of LyCORIS or kohya; see ``kohya``."""
    try:
        tensors = load_file(path)
    except (OSError, ValueError, SafetensorError) as error:
        raise errors.BadAdapterFile(f"{path} cannot be read", [str(error)[:200]]) from error
    finite(tensors)
    have = {site.name: site for site in candidates(model)}
    groups = grouped(tensors)
    meant = {key: flattened(key, have) for key in groups}
    if (missing := [key for key, layer in meant.items() if layer is None]) or not groups:
        raise errors.BadAdapterFile("this file is of another model", [f"no layer: {key}" for key in missing[:8]],
                                    f"there are {', '.join(list(have)[:8])}")  # fmt: skip
    if len(set(meant.values())) < len(meant):
        raise errors.BadAdapterFile("two names of this file mean one layer", [f"{key}: {layer}" for key, layer in meant.items()][:8])
    sites = {layer: have[layer] for layer in meant.values() if layer is not None}
    adapters: dict[str, Adapter] = {}
    wanted: dict[str, tuple[str, str, torch.Tensor]] = {}
    for (key, group), (layer, site) in zip(groups.items(), sites.items(), strict=True):
        o, i, _ = site.sizes(True)
        adapters[layer], own = read_layer(key, group, o, i)
        wanted |= {f"{key}.{leaf}": (layer, leaf, t) for leaf, t in own.items()}
    return planted(model, adapters, sites, name, freeze, wanted, set())
