"""The planner's choice against every other plan of the same formula, for adapters of every family.

A plan is a forward pass, a gradient of the input and gradients of the parameters, each written in several ways; those whose weight is
within three times the lightest are run, interleaved, forward and backward on 512 vectors. One line each: chosen / best.
"""

import itertools
import time
from statistics import median

import pytest
import torch
from torch import nn

import catlearn as cl
from benchmarks.compare import SMOKE, steady
from catlearn import adapters as ad
from catlearn.maps.plan import plan_of
from catlearn.maps.running import run

METHODS = [
    ad.LoRA(8), ad.LoRA(128), ad.DoRA(8), ad.VeRA(256), ad.RandLoRA(32), ad.LoHa(8), ad.HiRA(8), ad.LoKr(8), ad.HRA(8), ad.OFT(32),
    ad.BOFT(8), ad.C3A(96), ad.FourierFT(1000), ad.MiSS(8), ad.Bone(64), ad.GraLoRA(8), ad.IA3(), ad.RoAd(),
]  # fmt: skip
SIZES = [(768, 768), (3072, 768), (768, 3072)]
MOST = 12  # plans that are run, the lightest


def plans(f, wanted, tokens):
    """The chosen plan, and all that do other steps and are not hopeless."""
    chosen = plan_of(f, tokens, None, wanted)
    ways = itertools.product(chosen.outs, chosen.ways("input"), chosen.ways("parameters"))
    found = {(chosen.forward.outs, tuple(chosen.grads.items())): chosen}
    for forward, into, down in ways:
        plan = chosen.using(forward=forward, input=into, parameters=down)
        found.setdefault((plan.forward.outs, tuple(plan.grads.items())), plan)
    heavy = {key: plan.forward.weight + plan.backward.weight for key, plan in found.items()}
    near = sorted((key for key in found if heavy[key] <= 3 * min(heavy.values())), key=heavy.__getitem__)[:MOST]
    return [chosen, *(found[key] for key in near if found[key] is not chosen)]


@pytest.mark.parametrize("size", SIZES[:1] if SMOKE else SIZES, ids=str)
@pytest.mark.parametrize("adapter", METHODS[:4] if SMOKE else METHODS, ids=str)
def test_the_chosen_plan_is_near_the_best(adapter, size, report):
    torch.manual_seed(0)
    layer = cl.adapt(nn.Linear(size[1], size[0]), adapter)
    slot = layer.adapters["weight"]
    act, e = slot.acting, slot.acting.expression
    f = e.loud
    values = [v.detach().requires_grad_(v.requires_grad) for v in slot.tensors(act, e.layer_keys, layer.weight, layer.bias)]
    wanted = [name for name, v in zip(f.params, values, strict=True) if v.requires_grad]
    x, dy = torch.randn(512, size[1], requires_grad=True), torch.randn(512, size[0])
    leaves = [x, *(v for v in values if v.requires_grad)]
    every = plans(f, wanted, 512)

    def spent(plan):
        begin = time.process_time()
        torch.autograd.grad(run(f, x, values, plan), leaves, dy)
        return time.process_time() - begin

    steady()
    for plan in every:
        spent(plan)
    rows = [[spent(plan) for plan in every] for _ in range(2 if SMOKE else 15)]
    medians = [median(column) for column in zip(*rows, strict=True)]
    best = min(range(len(every)), key=medians.__getitem__)
    ratio = median(row[0] / row[best] for row in rows)
    other = f"   best: {', '.join(every[best].chosen.values())}" if best else ""
    report(f"{type(adapter).__name__} {size[1]} → {size[0]}, {len(every)} plans", f"chosen/best {ratio:5.2f}{other}")
    assert SMOKE or ratio <= 1.15
