"""One row for each method: an instance, the sizes of a layer, the number of trained numbers by the sheet's formula, and the rank that
random parameters reach (None where the sheet promises none)."""

from dataclasses import dataclass
from typing import Any

import torch

from catlearn import adapters as ad


@dataclass(frozen=True)
class Case:
    adapter: Any
    o: int
    i: Any
    count: int
    rank: int | None = None
    layers: int = 1

    def __str__(self):
        return f"{type(self.adapter).__name__}-{self.o}x{self.i}".replace(" ", "")


o, i, r = 12, 8, 2
CASES = [
    Case(ad.LoRA(r, alpha=5), o, i, r * (o + i), r),
    Case(ad.LoRA(r, train="B"), o, i, r * o, r),
    Case(ad.RsLoRA(r, alpha=3), i, o, r * (o + i), r),
    Case(ad.AsymmetricLoRA(r), o, i, r * o, r),
    Case(ad.AsymmetricLoRA(r, rows="V"), i, o, r * i, r),
    Case(ad.PiSSA(r, alpha=6), o, i, r * (o + i), 2 * r),
    Case(ad.OLoRA(r, alpha=1), i, o, r * (o + i), 2 * r),
    Case(ad.SingLoRA(r, ramp=1), o, i, r * o, r),
    Case(ad.SingLoRA(r, ramp=1), i, o, r * o, r),
    Case(ad.BiLoRA(r), o, i, r * (o + i + 1), r),
    Case(ad.AdaLoRA(r), o, i, r * (o + i + 1), r),
    Case(ad.DropLoRA(r), o, i, r * (o + i), r),
    Case(ad.Hydra(r, alpha=3), o, i, r * (i + 3 * o) + 2 * r + 2 * o, 2 * r),
    Case(ad.PEGO(r, group=3), o, i, 3 * r * (o + i), 3 * r),
    Case(ad.HRA(4), o, i, 4 * i, 4),
    Case(ad.HRA(4, orthonormal=True), o, i, 4 * i, 4),
    Case(ad.OFT(4), o, i, 2 * 6),
    Case(ad.OFT(4, share=True), o, i, 6),
    Case(ad.BOFT(2, factors=3), o, i, 3 * 4 * 1 + o),
    Case(ad.BOFT(4, factors=2), i, 16, 2 * 4 * 6 + i),
    Case(ad.PSOFT(3), o, i, 3 + 6, 3),
    Case(ad.PSOFT(3, scales=False), o, i, 3, 2),
    Case(ad.RoAd(1, group=4), o, i, o),
    Case(ad.RoAd(2, group=4), o, i, 2 * o),
    Case(ad.RoAd(4, group=6), o, i, 4 * o),
    Case(ad.DoRA(r, alpha=3), o, i, r * (o + i) + o),
    Case(ad.BoRA(r, alpha=3), o, i, r * (o + i) + o + i),
    Case(ad.EDoRA(r, alpha=3), o, i, r * r + o),
    Case(ad.EDoRA(r, sigma="both"), i, o, r * r + i),
    Case(ad.DeLoRA(r), o, i, r * (o + i) + 1, r),
    Case(ad.DeLoRA(r, frozen_copy=True), o, i, r * (o + i) + 1, 2 * r),
    Case(ad.VeRA(6), o, i, o + 6, 6),
    Case(ad.RandLoRA(3, alpha=2), o, i, 3 * (3 + i), i),
    Case(ad.RandLoRA(3, alpha=2), i, o, 3 * (3 + i), i),
    Case(ad.IA3(), o, i, o),
    Case(ad.IA3("in"), o, i, i),
    Case(ad.LoHa(r, alpha=3), o, i, 2 * r * (o + i), r * r),
    Case(ad.HiRA(r), o, i, r * (o + i)),
    Case(ad.LoKr(1, alpha=3), o, 16, 3 * 4 + 1 * (4 + 4), 3),
    Case(ad.LoKr(3), o, i, 3 * 2 + 4 * 4, 8),
    Case(ad.SoKA(2), o, i, 2 * (3 * 2 + 4 * 4)),
    Case(ad.FourierFT(3, alpha=20.0), o, i, 3),
    Case(ad.FourierFT(40, alpha=20.0, zero=True), 9, 7, 40),
    Case(ad.C3A(4), o, i, o * i // 4, i),
    Case(ad.C3A(4, zero=False), i, o, o * i // 4, i),
    Case(ad.GraLoRA(2, k=2, alpha=3), o, i, 2 * (o + i), 4),
    Case(ad.GraLoRA(4, k=2, hybrid=1, alpha=3), o, i, 5 * (o + i)),
    Case(ad.MiSS(4), o, i, o * 4, 4),
    Case(ad.MiSS(4, mini=3), o, i, 4 * 3, 3),
    Case(ad.Bone(4), o, i, o * 4, i),
    Case(ad.LoRAXS(r, alpha=3), o, i, r * r, r),
    Case(ad.LoRAXS(r, zero=True), o, i, r * r, r),
    Case(ad.PMSS(3), o, i, 9, 3),
    Case(ad.NoRA(4, inner=2), o, i, 2 * 4 * 2, 2),
    Case(ad.NoRA(4, inner=3, sigma="out", alpha=1), i, o, 2 * 4 * 3, 3),
    Case(ad.SVFit(3), o, i, 3, 3),
    Case(ad.VectorFit(), o, i, i + o, i),
    Case(ad.SVFT("banded", 1), o, i, i * 3 - 2, i),
    Case(ad.SVFT("plain"), o, i, i, i),
    Case(ad.SVFT("random", 2), i, o, i * 5 - 6),
    Case(ad.SALT(3, 2), o, i, 2 * 3 + 2 * 2 * (i - 3)),
    Case(ad.LoLDU(3, alpha=2), o, i, 3, 3),
    Case(ad.SpectralAdapter(r, offset=1), o, i, r * (o + i), 2 * r),
    Case(ad.SpectralRotation(3), o, i, 2 * 9 + 3, 3),
    Case(ad.SpectralFT(4, 2), o, i, 2 * (o + i + 8), 4),
    Case(ad.FLoRA(3, s=2.0), o, i, 9 + 3 * (o + i), 3),
    Case(ad.FLoRA((2, 3, 2, 3)), 6, (4, 3, 3), 36 + 6 * 2 + 4 * 3 + 3 * 2 + 3 * 3, 2),
    Case(ad.CPLoRA(3), o, i, 3 * (o + i), 3),
    Case(ad.CPLoRA(3), 6, (4, 3, 3), 3 * (6 + 4 + 3 + 3), 3),
    Case(ad.ConvLoRA(2, alpha=3), 4, (3, 3, 3), 126),
    Case(ad.ConvLoRA(2), o, i, 2 * (o + i), 2),
    Case(ad.TLoRA((2, 4), (3, 4)), o, i, 4 * (4 + 16) + 4 * (2 + 4 + 3 + 4)),
    Case(ad.VBLoRA(vectors=6, length=4, top=2, rank=2), o, i, 6 * 4 + 2 * (2 + 3) * 6, 2),
    Case(ad.MoS(3, budget=1, shards=2), o, i, 1 * 4 * (o + i), layers=4),
    Case(ad.MoS(3, budget=3, shards=2, private=1, alpha=2), o, i, 3 * 2 * (o + i), layers=2),
    Case(ad.MSPLoRA(4, levels=3, alpha=2), o, i, (o + i) * (4 + 3 * 2 + 5 * 1), layers=5),
    Case(ad.SHiRA(2, s=2.0), o, i, 2 * (o + i)),
    Case(ad.SHiRA(2, s=2.0, mask="magnitude"), o, i, 2 * (o + i)),
    Case(ad.SNELL(4, share=0.5), o, i, 4 * (o + i)),
    Case(ad.SNELL(4, share=0.25, mode="soft"), o, i, 4 * (o + i)),
    Case(ad.SNELL(4, share=0.25, mode="weighted"), o, i, 4 * (o + i)),
    Case(ad.SNELLA(4, share=0.5), o, i, 4 * (o + i) + 3),
    Case(ad.MHR(r, skills=3, heads=4, tasks=2), o, i, 3 * r * (o + i) + 2 * 4 * 3, r),
    Case(ad.MHR(r, skills=3, tasks=2, mix="products"), o, i, 3 * r * (o + i) + 2 * 3, 3 * r),
    Case(ad.CPoly(r, skills=2, tasks=3), o, i, 5 * r * (o + i) + 3 * 3, 3 * r),
    Case(ad.LoReFT(3), o, i, 2 * 3 * o + 3, 3),
]  # fmt: skip

# these start from data that the user gives
DATA = {
    ad.EVA(r): lambda o, i: torch.randn(30, i, dtype=torch.float64),
    ad.LoRAGA(r): lambda o, i: torch.randn(o, i, dtype=torch.float64),
    ad.SHiRA(1, mask="snip"): lambda o, i: torch.randn(o, i, dtype=torch.float64),
    ad.EigenLoRAx(r, components=5): lambda o, i: torch.randn(9, i + o, dtype=torch.float64),
}
CASES += [
    Case(ad.EVA(r), o, i, r * (o + i), r),
    Case(ad.LoRAGA(r), o, i, r * (o + i), 2 * r),
    Case(ad.SHiRA(1, mask="snip"), o, i, o + i),
    Case(ad.EigenLoRAx(r, components=5), o, i, 2 * 5 * r, r),
]  # fmt: skip
