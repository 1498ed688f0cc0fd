"""What peft calls the weights that it wraps with the whole module: packed attention, bare parameters, stacks of matrices.

There a ``MultiheadAttention`` at ``att`` is ``att`` for its packed weight and ``att.base_layer.out_proj`` for the other; parameters of one
module are wrapped one around the other in the order of the module, so that the last is ``ex``, the one before ``ex.base_layer``. A stack
(experts, out, in) has A (experts·r, in) and B (out, r·experts), the experts last; or, where the module says ``is_transposed``, a stack
(experts, in, out) has its sides exchanged.

>>> import torch
>>> from catlearn.adapters.sites import candidates
>>> model = torch.nn.ModuleDict({"att": torch.nn.MultiheadAttention(4, 2), "lin": torch.nn.Linear(4, 4)})
>>> names({site.name: site for site in candidates(model)}, ())
{'att.in_proj_weight': 'att', 'att.out_proj': 'att.base_layer.out_proj'}
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from catlearn.adapters.low_rank import LoRA, RsLoRA
from catlearn.adapters.peft import Tensor
from catlearn.adapters.sites import Site


def projects(site: Site) -> bool:
    """Whether this is the output projection of attention, which only torch's own attention holds in this class."""
    return isinstance(site.module, NonDynamicallyQuantizableLinear) and not site.by_forward


def names(sites: Mapping[str, Site], parameters: Collection[str]) -> dict[str, str]:
    """Our name of a weight → peft's, where they differ; ``parameters`` are the bare ones that are meant, or endings of their names."""
    found: dict[str, str] = {}
    inside: dict[str, list[str]] = {}
    for name, site in sites.items():
        owner = name.rpartition(".")[0]
        if isinstance(site.module, nn.MultiheadAttention) and site.attribute == "in_proj_weight":
            found |= {name: owner, f"{owner}.out_proj".lstrip("."): f"{owner}.base_layer.out_proj".lstrip(".")}
        elif site.bare and any(name == p or name.endswith(f".{p}") for p in parameters):
            inside.setdefault(owner, []).append(name)
    for owner, own in inside.items():
        found |= {name: owner + ".base_layer" * k for k, name in enumerate(reversed(own))}
    return found


def held_whole(sites: Mapping[str, Site], adapters: Mapping[str, Any]) -> bool:
    """Whether peft can hold adapters on these weights: each layer by its forward pass, or wrapped as above."""
    for name, site in sites.items():
        owner = name.rpartition(".")[0]
        if site.by_forward:
            continue
        if not owner or type(adapters[name]) not in (LoRA, RsLoRA) or adapters[name].dropout:
            return False  # peft wraps no model itself, and nothing but plain LoRA
        pair = {f"{owner}.in_proj_weight", f"{owner}.out_proj"}
        packed = any(isinstance(s.module, nn.MultiheadAttention) for n, s in sites.items() if n in pair)
        if not (site.bare or (packed and name in pair and pair <= set(sites))):
            return False
    return True


def twice() -> dict[str, Tensor]:
    """A and B of the output projection of attention: peft 0.21 adds this change twice, forward and merged, so half of it is written."""
    return {"A": Tensor("lora_A.weight"), "B": Tensor("lora_B.weight", lambda t: t / 2, lambda t: 2 * t)}


def stacked(site: Site) -> dict[str, Tensor]:
    """A and B of a stack of matrices on disk, there and back."""
    count, turned = site.tensor.shape[0], bool(getattr(site.module, "is_transposed", False))

    def lower(t: torch.Tensor) -> torch.Tensor:  # (experts, r, n) → (experts·r, n)
        return t.flatten(0, 1)

    def upper(t: torch.Tensor) -> torch.Tensor:  # (experts, m, r) → (m, r·experts)
        return t.permute(1, 2, 0).flatten(1)

    def lowered(t: torch.Tensor) -> torch.Tensor:
        return t.unflatten(0, (count, -1))

    def uppered(t: torch.Tensor) -> torch.Tensor:
        return t.unflatten(1, (-1, count)).permute(2, 0, 1)

    if turned:  # what is A on disk is of the stored rows, which are inputs
        return {"B": Tensor("lora_A.weight", lambda t: lower(t.mT), lambda t: lowered(t).mT),
                "A": Tensor("lora_B.weight", lambda t: upper(t.mT), lambda t: uppered(t).mT)}  # fmt: skip
    return {"A": Tensor("lora_A.weight", lower, lowered), "B": Tensor("lora_B.weight", upper, uppered)}
