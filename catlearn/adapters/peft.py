"""How peft writes the methods that both have: its name of a method, its options, its tensors.

One row a method: peft's type, options there and back, and for each of our tensors its name on disk with the change of layout there and
back. Where a row is missing, ``cl.save_adapter`` writes its own format.

>>> from catlearn import adapters
>>> row = ROWS["LoRA"]
>>> row.kind, row.options(adapters.LoRA(rank=4, alpha=8))["lora_alpha"]
('LORA', 8)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from catlearn.adapters.definition import Adapter
from catlearn.adapters.diagonals import IA3, RandLoRA, VeRA
from catlearn.adapters.fourier import C3A, FourierFT
from catlearn.adapters.grids import Bone, GraLoRA, MiSS
from catlearn.adapters.low_rank import AdaLoRA, LoRA, RsLoRA
from catlearn.adapters.normed import DeLoRA, DoRA
from catlearn.adapters.orthogonal import BOFT, HRA, OFT, RoAd, skew
from catlearn.adapters.products import HiRA, LoHa, LoKr
from catlearn.adapters.sharing import VBLoRA
from catlearn.adapters.sparsity import SHiRA

Turn = Callable[[torch.Tensor], torch.Tensor]


def same(t: torch.Tensor) -> torch.Tensor:
    return t


def transposed(t: torch.Tensor) -> torch.Tensor:
    return t.transpose(-1, -2)


@dataclass(frozen=True)
class Tensor:
    """One tensor on disk: its suffix, our tensor in peft's layout, and back."""

    suffix: str
    there: Turn = same
    back: Turn = same


@dataclass(frozen=True)
class Row:
    """One method: peft's type, our options as peft's, peft's options as an adapter, and the tensors by our names."""

    kind: str
    options: Callable[[Any], dict[str, Any]]
    adapter: Callable[[Mapping[str, Any]], Adapter]
    tensors: Mapping[str, Tensor] | Callable[[Any], Mapping[str, Tensor]]
    shared: Mapping[str, Tensor] = field(default_factory=dict)  # held once, named from the model's root

    def of(self, adapter: Adapter) -> Mapping[str, Tensor]:
        """The tensors of an adapter."""
        return self.tensors(adapter) if callable(self.tensors) else self.tensors


def alpha(a: Any) -> float:
    """α as peft has it: a number."""
    return a.rank if a.alpha is None else a.alpha


def lora_options(a: Any, **more: Any) -> dict[str, Any]:
    """peft's options of LoRA and its variants."""
    return {"r": a.rank, "lora_alpha": alpha(a), "lora_dropout": a.dropout, "use_rslora": False, "use_dora": False, **more}


def lora_adapter(c: Mapping[str, Any]) -> Adapter:
    """LoRA, RsLoRA or DoRA, as peft's options say."""
    options: dict[str, Any] = {"rank": c["r"], "alpha": c["lora_alpha"], "dropout": c.get("lora_dropout", 0.0)}
    if c.get("use_dora"):
        if c.get("use_rslora"):
            options["alpha"] = c["lora_alpha"] * c["r"] ** 0.5  # our DoRA's scale is α/r
        return DoRA(**options, exact_dropout=True)
    return RsLoRA(**options) if c.get("use_rslora") else LoRA(**options)


LORA = {"A": Tensor("lora_A.weight"), "B": Tensor("lora_B.weight")}


def crossed(B: torch.Tensor) -> torch.Tensor:
    """(M, N, r) as peft numbers it: there the columns of B run over bases then ranks, the rows of A over ranks then bases."""
    return B.mT.reshape(B.shape)


def uncrossed(B: torch.Tensor) -> torch.Tensor:
    return B.reshape(B.shape[0], B.shape[2], B.shape[1]).mT


def merge_blocks(Q: torch.Tensor) -> torch.Tensor:
    """The entries above the diagonal as full skew blocks."""
    n = round((1 + (1 + 8 * Q.shape[-1]) ** 0.5) / 2)
    return skew(Q, n)


def above(R: torch.Tensor) -> torch.Tensor:
    """The entries above the diagonal of the skew part of blocks."""
    S = (R - R.mT) / 2
    rows, columns = torch.triu_indices(S.shape[-1], S.shape[-1], 1)
    return S[..., rows, columns]


ROWS: dict[str, Row] = {
    "LoRA": Row("LORA", lora_options, lora_adapter, LORA),
    "RsLoRA": Row("LORA", lambda a: lora_options(a, use_rslora=True), lora_adapter, LORA),
    "DoRA": Row("LORA", lambda a: lora_options(a, use_dora=True), lora_adapter, {**LORA, "m": Tensor("lora_magnitude_vector")}),
    "AdaLoRA": Row("ADALORA", lambda a: {"init_r": a.rank, "target_r": a.rank, "lora_alpha": alpha(a) * (a.rank + 1e-5) / a.rank,
                                         "lora_dropout": a.dropout, "total_step": 1_000_000},
                   lambda c: AdaLoRA(c["init_r"], c["lora_alpha"] * c["init_r"] / (c["init_r"] + 1e-5), c.get("lora_dropout", 0.0)),
                   {"A": Tensor("lora_A"), "B": Tensor("lora_B"), "E": Tensor("lora_E", lambda t: t[:, None], lambda t: t[:, 0])}),
    "IA3": Row("IA3", lambda a: {"feedforward_modules": [] if a.side == "out" else "all"},
               lambda c: IA3("in" if c.get("feedforward_modules") else "out"),
               lambda a: {"l": Tensor("ia3_l", lambda t: t[:, None] if a.side == "out" else t[None], lambda t: t.reshape(-1))}),
    "LoHa": Row("LOHA", lambda a: {"r": a.rank, "alpha": alpha(a)}, lambda c: LoHa(c["r"], c["alpha"]),
                {"B_1": Tensor("hada_w1_a"), "A_1": Tensor("hada_w1_b"), "B_2": Tensor("hada_w2_a"), "A_2": Tensor("hada_w2_b")}),
    "LoKr": Row("LOKR", lambda a: {"r": a.rank, "alpha": alpha(a), "decompose_factor": a.factor, "decompose_both": False},
                lambda c: LoKr(c["r"], c["alpha"], 0.0, c.get("decompose_factor", -1)),
                {"w1": Tensor("lokr_w1"), "w2": Tensor("lokr_w2"), "w2_a": Tensor("lokr_w2_a"), "w2_b": Tensor("lokr_w2_b")}),
    "OFT": Row("OFT", lambda a: {"r": 0, "oft_block_size": a.block, "block_share": a.share, "use_cayley_neumann": False},
               lambda c: OFT(c["oft_block_size"], c.get("block_share", False)), {"Q": Tensor("oft_R.weight")}),
    "HRA": Row("HRA", lambda a: {"r": a.rank, "apply_GS": a.orthonormal}, lambda c: HRA(c["r"], c.get("apply_GS", False)),
               {"u": Tensor("hra_u", transposed, transposed)}),
    "RoAd": Row("ROAD", lambda a: {"variant": f"road_{a.variant}", "group_size": a.group},
                lambda c: RoAd(int(c["variant"][-1]), c["group_size"]), {"theta": Tensor("road_theta"), "alpha": Tensor("road_alpha")}),
    "VeRA": Row("VERA", lambda a: {"r": a.rank, "d_initial": a.d, "vera_dropout": a.dropout, "save_projection": True},
                lambda c: VeRA(c["r"], c.get("d_initial", 0.1), c.get("vera_dropout", 0.0)),
                {"d": Tensor("vera_lambda_d"), "b": Tensor("vera_lambda_b")}, {"A": Tensor("vera_A"), "B": Tensor("vera_B")}),
    "RandLoRA": Row("RANDLORA", lambda a: {"r": a.rank, "randlora_alpha": a.alpha, "randlora_dropout": a.dropout, "save_projection": True},
                    lambda c: RandLoRA(c["r"], c["randlora_alpha"], c.get("randlora_dropout", 0.0)),
                    {"lambda": Tensor("randlora_lambda", transposed, transposed), "gamma": Tensor("randlora_gamma")},
                    {"A": Tensor("randlora_A", lambda t: t[:, None], lambda t: t[:, 0]), "B": Tensor("randlora_B", crossed, uncrossed)}),
    "FourierFT": Row("FOURIERFT", lambda a: {"n_frequency": a.n, "scaling": a.alpha, "random_loc_seed": a.seed},
                     lambda c: FourierFT(c["n_frequency"], c["scaling"], False, c.get("random_loc_seed", 777)),
                     {"c": Tensor("fourierft_spectrum")}),
    "C3A": Row("C3A", lambda a: {"block_size": a.block}, lambda c: C3A(c["block_size"]), {"kernel": Tensor("c3a_kernel")}),
    "GraLoRA": Row("GRALORA", lambda a: {"r": a.rank, "alpha": a.rank + a.hybrid if a.alpha is None else a.alpha, "gralora_k": a.k,
                                         "hybrid_r": a.hybrid, "gralora_dropout": a.dropout},
                   lambda c: GraLoRA(c["r"], c["alpha"], c.get("gralora_dropout", 0.0), c["gralora_k"], c.get("hybrid_r", 0)),
                   {"A": Tensor("gralora_A", transposed, transposed), "B": Tensor("gralora_B", transposed, transposed),
                    "A_general": Tensor("gralora_A_general.weight"), "B_general": Tensor("gralora_B_general.weight")}),
    "MiSS": Row("MISS", lambda a: {"r": a.rank, "mini_r": a.mini or 1, "miss_dropout": a.dropout,
                                   "init_weights": "mini" if a.mini else True},
                lambda c: miss(c), {"D": Tensor("miss_block", transposed, transposed)}),
    "Bone": Row("MISS", lambda a: {"r": a.rank, "init_weights": "bat"}, lambda c: miss(c), {"D": Tensor("miss_block")}),
    "DeLoRA": Row("DELORA", lambda a: {"r": a.rank, "delora_lambda": a.strength}, lambda c: DeLoRA(c["r"], c["delora_lambda"]),
                  {"A": Tensor("delora_A"), "B": Tensor("delora_B"), "strength": Tensor("delora_lambda"), "w": Tensor("delora_w_norm")}),
    "HiRA": Row("HIRA", lambda a: {"r": a.rank, "hira_dropout": a.dropout}, lambda c: HiRA(c["r"], None, c.get("hira_dropout", 0.0)),
                {"A": Tensor("hira_A"), "B": Tensor("hira_B")}),
    "SHiRA": Row("SHIRA", lambda a: {"r": a.rank, "mask_type": "random"}, lambda c: SHiRA(c["r"], mask="given"),
                 {"v": Tensor("shira_weight"), "index": Tensor("shira_indices", lambda t: t.int(), lambda t: t.long())}),
    "VBLoRA": Row("VBLORA", lambda a: {"r": a.rank, "num_vectors": a.vectors, "vector_length": a.length, "topk": a.top,
                                       "vblora_dropout": a.dropout, "save_only_topk_weights": False},
                  lambda c: VBLoRA(c["r"], None, c.get("vblora_dropout", 0.0), c["num_vectors"], c["vector_length"], c["topk"]),
                  {"logits_A": Tensor("vblora_logits_A"), "logits_B": Tensor("vblora_logits_B")}, {"bank": Tensor("vblora_vector_bank")}),
    "BOFT": Row("BOFT", lambda a: {"boft_block_size": a.block, "boft_block_num": 0, "boft_n_butterfly_factor": a.factors},
                lambda c: BOFT(c["boft_block_size"], c["boft_n_butterfly_factor"]),
                {"s": Tensor("boft_s", lambda t: t[:, None], lambda t: t[:, 0]), "Q": Tensor("boft_R", merge_blocks, above)}),
}  # fmt: skip


def miss(c: Mapping[str, Any]) -> Adapter:
    """MiSS or Bone, which are one method to peft."""
    if c.get("init_weights") == "bat":
        return Bone(c["r"])
    return MiSS(c["r"], c["mini_r"] if c.get("init_weights") == "mini" else 0, c.get("miss_dropout", 0.0))


def row_of(config: Mapping[str, Any]) -> Row | None:
    """The row that a peft configuration is of."""
    kinds = {row.kind: row for row in ROWS.values()}
    return kinds.get(str(config.get("peft_type")))
