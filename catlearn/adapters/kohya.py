"""Files of LyCORIS and of kohya's scripts: one ``.safetensors`` whose keys are flattened layer names, as image models' adapters come.

A key is ``<prefix><layer with _ for .>.<tensor>``; a prefix is one of ``PREFIXES``, and dotted layer names are read too. Read are LoRA
(``lora_down/up``, ``lora_A/B``), with ``dora_scale`` of rows DoRA, LoHa (``hada_*``) and LoKr (``lokr_*``); the scale is ``alpha`` over the
rank, 1 without ``alpha`` or where LoKr has no rank. Every layer has its own rank and scale. What these conventions do not say is
refused: Tucker cores (``lora_mid``, ``hada_t1``, ``lokr_t2``), norms of columns, whole differences (``diff``).

Source: the published file formats of kohya-ss/sd-scripts and KohakuBlueleaf/LyCORIS, arXiv 2309.14859.

>>> import torch
>>> name, found = grouped({"lora_unet_mid_fc1.lora_down.weight": torch.ones(2, 8), "lora_unet_mid_fc1.alpha": torch.tensor(4.0)}).popitem()
>>> name, sorted(found), flattened("lora_unet_mid_fc1", ["mid.fc1", "mid.fc2"])
('lora_unet_mid_fc1', ['alpha', 'lora_down.weight'], 'mid.fc1')
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch

from catlearn import errors
from catlearn.adapters.definition import Adapter
from catlearn.adapters.low_rank import LoRA
from catlearn.adapters.normed import DoRA
from catlearn.adapters.products import LoHa, LoKr

PREFIXES = ("", "lora_unet_", "lora_te_", "lora_te1_", "lora_te2_", "lora_te3_", "lora_transformer_", "lora_prior_", "lycoris_", "lora_",
            "diffusion_model_", "transformer_", "unet_", "text_encoder_", "base_model_model_")  # fmt: skip
LOKR = ("lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b")
SUFFIXES = ("lora_down.weight", "lora_up.weight", "lora_A.weight", "lora_B.weight", "dora_scale", "alpha", "hada_w1_a", "hada_w1_b",
            "hada_w2_a", "hada_w2_b", *LOKR)  # fmt: skip
Found = Mapping[str, torch.Tensor]
Read = tuple[Adapter, dict[str, torch.Tensor]]


def grouped(tensors: Found) -> dict[str, dict[str, torch.Tensor]]:
    """The tensors by layer and suffix. ``BadAdapterFile`` for a suffix that is not known."""
    found: dict[str, dict[str, torch.Tensor]] = {}
    unknown = []
    for key, t in tensors.items():
        suffix = next((s for s in SUFFIXES if key.endswith(f".{s}")), None)
        if suffix is None:
            unknown.append(f"not understood: {key}")
        else:
            found.setdefault(key[: -len(suffix) - 1], {})[suffix] = t
    if unknown:
        raise errors.BadAdapterFile("this file holds what is not read", unknown[:8], f"read are {', '.join(SUFFIXES)}")
    return found


def flattened(name: str, layers: Iterable[str]) -> str | None:
    """The layer that a flattened name means: the one of the longest prefix. ``BadAdapterFile`` if two layers flatten to it."""
    flat = name.replace(".", "_")
    for prefix in sorted(PREFIXES, key=len, reverse=True):
        if flat.startswith(prefix):
            meant = [layer for layer in layers if layer.replace(".", "_") == flat[len(prefix) :]]
            if len(meant) > 1:
                raise errors.BadAdapterFile(f"{name} may mean {' or '.join(meant)}", ["their flattened names are the same"])
            if meant:
                return meant[0]
    return None


def read_layer(name: str, t: Found, o: int, i: int) -> Read:
    """The adapter of one layer i → o (in: times the kernel's size), and its tensors by our names. Raises ``BadAdapterFile``."""
    kinds = (({"lora_down.weight", "lora_up.weight"}, lora), ({"lora_A.weight", "lora_B.weight"}, lora),
             ({"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"}, loha))  # fmt: skip
    rest = set(t) - {"alpha", "dora_scale"}
    rule = next((rule for keys, rule in kinds if rest == keys), lokr if rest and rest <= set(LOKR) else None)
    if rule is None:
        raise errors.BadAdapterFile(f"{name} is no LoRA, LoHa or LoKr", sorted(t), "each has all its factors, and no others")
    if "dora_scale" in t and rule is not lora:
        raise errors.BadAdapterFile(f"{name} has a dora_scale beside {', '.join(sorted(rest))}", next="it is read for LoRA only")
    return rule(name, {key: value.float() if value.is_floating_point() else value for key, value in t.items()}, o, i)


def scale(t: Found, rank: int) -> float:
    """alpha over the rank; 1 if there is no alpha, or if it is 0, which both programs read as none."""
    alpha = float(t["alpha"].reshape(-1)[0]) if "alpha" in t and t["alpha"].numel() else 0.0
    return alpha / rank if alpha else 1.0


def lora(name: str, t: Found, o: int, i: int) -> Read:
    """LoRA, or DoRA where the rows have lengths."""
    down, up = ("lora_down.weight", "lora_up.weight") if "lora_up.weight" in t else ("lora_A.weight", "lora_B.weight")
    A, B = t[down].flatten(1), t[up].flatten(1)
    rank = A.shape[0]
    tensors, alpha = {"A": A, "B": B}, scale(t, max(1, rank)) * rank
    if "dora_scale" not in t:
        return LoRA(rank, alpha), tensors
    m = t["dora_scale"]
    if m.numel() != o or m.shape[0] != o:
        raise errors.BadAdapterFile(
            f"{name}.dora_scale is of shape {tuple(m.shape)}", [f"the layer has {o} rows"], "norms of rows are read"
        )
    return DoRA(rank, alpha), {**tensors, "m": m.reshape(o)}


def loha(name: str, t: Found, o: int, i: int) -> Read:
    """LoHa; a kernel's axes are in the columns already."""
    rank = t["hada_w1_b"].shape[0]
    tensors = {"B_1": t["hada_w1_a"], "A_1": t["hada_w1_b"], "B_2": t["hada_w2_a"], "A_2": t["hada_w2_b"]}
    return LoHa(rank, scale(t, max(1, rank)) * rank), {key: value.flatten(1) for key, value in tensors.items()}


def lokr(name: str, t: Found, o: int, i: int) -> Read:
    """LoKr; a first factor of low rank is multiplied out, a second one where ours is one matrix too."""
    whole = {k: t[f"lokr_w{k}"].flatten(1) for k in (1, 2) if f"lokr_w{k}" in t}
    pairs = {k: (t[f"lokr_w{k}_a"].flatten(1), t[f"lokr_w{k}_b"].flatten(1)) for k in (1, 2) if {f"lokr_w{k}_a", f"lokr_w{k}_b"} <= set(t)}
    if any((k in whole) == (k in pairs) for k in (1, 2)) or any(a.shape[1] != b.shape[0] for a, b in pairs.values()):
        raise errors.BadAdapterFile(f"{name} has no two Kronecker factors", sorted(t), "each is one matrix, or two that compose")
    by = scale(t, next(iter(pairs.values()))[1].shape[0]) if pairs else 1.0
    first = whole[1] if 1 in whole else pairs[1][0] @ pairs[1][1]
    (o2, i2) = (pairs[2][0].shape[0], pairs[2][1].shape[1]) if 2 in pairs else tuple(whole[2].shape)
    rank = pairs[2][1].shape[0] if 2 in pairs else max(o2, i2)
    if 2 in pairs and rank < max(o2, i2) / 2:
        tensors = {"w1": first, "w2_a": pairs[2][0], "w2_b": pairs[2][1]}
    else:
        rank, tensors = max(o2, i2), {"w1": first, "w2": pairs[2][0] @ pairs[2][1] if 2 in pairs else whole[2]}
    o1, i1 = first.shape
    if (o1 * o2, i1 * i2) != (o, i):
        raise errors.BadAdapterFile(f"{name}: ({o1}, {i1}) ⊗ ({o2}, {i2}) on a layer {i} → {o}", ["the sizes must multiply to the layer's"])
    ways = [factor for factor in (-1, o1, i1) if LoKr(rank, factor=factor).factored(o, i) == ((o1, o2), (i1, i2))]
    return LoKr(rank, by * rank, 0.0, ways[0] if ways else (o1, i1)), tensors
