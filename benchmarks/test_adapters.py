"""Adapters against peft 0.21: what they add to a frozen network's forward and backward pass, both sides in one process, interleaved.

Four BERT-base blocks' Linears (BENCH=smoke: one), 4 × 128 tokens, single precision, one thread. Overhead = (step − base step)/base step,
where the base's step takes the gradient of the input only. Limits are fractions of peft's overhead, or an absolute overhead that is
enough, and those that were set, not those that are met: what misses one is listed in ``MISSED`` with what is held instead, and its test
says so (xfail). All rows take an hour: ``pytest -s benchmarks/test_adapters.py -k "peft_s_adds and DoRA"`` runs a few.
DoRA with exact dropout needs two products with W each way, an overhead of 1.0 by itself, 0.57 of peft's, and what DoRA needs besides.
Three methods are defined here alone, to see that a new method gets its plan without a line of its own.
"""

import copy
import gc
import time
import warnings
from dataclasses import dataclass
from functools import cache
from statistics import median, quantiles

import pytest
import torch
from torch import nn

import catlearn as cl
from benchmarks.compare import SMOKE, steady
from catlearn import adapters as ad
from catlearn import maps
from catlearn.adapters.peft import ROWS
from catlearn.adapters.starts import ZERO, kaiming

peft = pytest.importorskip("peft")
BLOCKS, ROUNDS = (1, 3) if SMOKE else (4, 15)


class Block(nn.Module):
    """The Linears of a transformer block, joined so that each has the input it has there in shape and sharing."""

    def __init__(self):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(768, 768) for _ in range(4))
        self.up, self.down = nn.Linear(768, 3072), nn.Linear(3072, 768)

    def forward(self, x):
        return x + 0.1 * self.down(self.up(x + self.o(self.q(x) + self.k(x) + self.v(x))))


LAYERS = ["q", "k", "v", "o", "up", "down"]


@cache
def weights(blocks):
    """The frozen weights of all networks of this size: where they lie in memory moves a step by more than a small adapter does."""
    torch.manual_seed(0)
    return [p.detach() for block in range(blocks) for p in Block().parameters()]


def network(blocks=BLOCKS):
    model = nn.Sequential(*(Block() for _ in range(blocks)))
    for p, shared in zip(model.parameters(), weights(blocks), strict=True):
        p.data = shared
    return model.requires_grad_(False)


def theirs(adapter):
    row = ROWS[type(adapter).__name__]
    options = row.options(adapter)
    if options.get("feedforward_modules") == "all":
        options["feedforward_modules"] = LAYERS
    config = peft.PEFT_TYPE_TO_CONFIG_MAPPING[getattr(peft.PeftType, row.kind)](target_modules=LAYERS, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return peft.get_peft_model(network(), config)


def step(model, x):
    """Process seconds of one forward and backward pass."""
    begin = time.process_time()
    y = model(x)
    y.backward(torch.ones_like(y))
    x.grad = None
    for p in model.parameters():
        p.grad = None
    return time.process_time() - begin


@dataclass(frozen=True)
class Overheads:
    """The median overhead of each model over the base, and that of a second copy of the base plus a median's standard error."""

    of: tuple[float, ...]
    control: float


def overheads(models, tokens=512, rounds=ROUNDS):
    """Overheads in rounds of all; the order turns, so that none always comes after the same one, whose memory it finds."""
    torch.set_num_threads(1)
    steady()
    x = torch.randn(tokens, 768, requires_grad=True)
    models = [*models, network(len(models[0])) if isinstance(models[0][0], Block) else models[0]]
    for model in models:
        step(model, x), step(model, x)
    gc.collect()
    rows = []
    for round in range(rounds):
        order = [(round + k) % len(models) for k in range(len(models))][:: -1 if round // len(models) % 2 else 1]
        took = {k: step(models[k], x) for k in order}
        rows.append([took[k] / took[0] - 1 for k in range(1, len(models))])
    *found, again = zip(*rows, strict=True)
    first, _, third = quantiles(again, n=4)
    return Overheads(tuple(map(median, found)), abs(median(again)) + (third - first) / rounds**0.5)


# the limit as a fraction of peft's overhead, an absolute overhead that is enough, and the tokens
LIMITS: dict[str, tuple[ad.Adapter, float, float, int]] = {
    "LoRA": (ad.LoRA(8), 0.45, 0.10, 512), "DoRA": (ad.DoRA(8), 0.22, 0, 512), "DoRA, dropout": (ad.DoRA(8, dropout=0.1), 0.22, 0, 512),
    "DoRA, exact dropout": (ad.DoRA(8, dropout=0.1, exact_dropout=True), 0.6, 0, 512), "HRA": (ad.HRA(8), 0.02, 0, 512),
    "VeRA": (ad.VeRA(256), 1.0, 0, 512), "VeRA, many": (ad.VeRA(256), 0.6, 0, 4096), "FourierFT": (ad.FourierFT(1000), 0.22, 0, 512),
    "RandLoRA": (ad.RandLoRA(32), 0.85, 0, 512), "RandLoRA, many": (ad.RandLoRA(32), 0.55, 0, 4096), "LoKr": (ad.LoKr(8), 0.12, 0, 512),
    "BOFT": (ad.BOFT(8), 0.05, 0, 512), "LoHa": (ad.LoHa(8), 0.17, 0, 512), "C3A": (ad.C3A(96), 0.35, 0, 512),
    "HiRA": (ad.HiRA(8), 0.37, 0, 512),
    **{type(a).__name__: (a, 1.0, 0, 512) for a in (ad.RsLoRA(8), ad.AdaLoRA(8), ad.OFT(32), ad.Bone(64), ad.MiSS(8), ad.IA3(), ad.VBLoRA(),
                                                    ad.RoAd(), ad.GraLoRA(8), ad.DeLoRA(8))},
}  # fmt: skip

# what misses its limit, and the fraction that it is held to until it does not; a limit that is met again leaves this table
MISSED = {"DoRA, exact dropout": 0.75}


@pytest.mark.parametrize("name", LIMITS)
def test_what_an_adapter_adds_is_a_fraction_of_what_peft_s_adds(name):
    adapter, limit, enough, tokens = LIMITS[name]
    found = overheads([network(), cl.adapt(network(), adapter), theirs(adapter)], tokens)
    ours, peer = found.of
    print(f"\n{name:20} ours {ours:6.3f}   peft {peer:6.3f}   A/A ± {found.control:.3f}   fraction {ours / peer:5.2f}   limit {limit}")
    if SMOKE or ours <= max(limit * peer, enough) + found.control:
        return
    assert ours <= MISSED.get(name, limit) * peer + found.control
    pytest.xfail(f"{name}: {ours / peer:.2f} of peft's overhead, the limit is {limit}")


# -- methods that exist here only ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Triple(ad.Adapter, key=None):
    """W + C·B·A: three factors."""

    def weight(self, W, o, i):
        factors = maps.dense("A", 8, i, init=kaiming(i)) >> maps.dense("B", 8, 8) >> maps.dense("C", o, 8, init=ZERO)
        return W + factors


@dataclass(frozen=True)
class Reflected(ad.Adapter, key=None):
    """H·W·H' with reflections on both sides."""

    def weight(self, W, o, i):
        return maps.reflection("u", i, 4) >> W >> maps.reflection("v", o, 4)


@dataclass(frozen=True)
class Gained(ad.Adapter, key=None):
    """diag(g)·(W + A ⊗ B)."""

    def weight(self, W, o, i):
        factors = maps.dense("A", o // 32, i // 32, init=ZERO) @ maps.dense("B", 32, 32)
        kron = maps.reshape(i, (i // 32, 32)) >> factors >> maps.reshape((o // 32, 32), o)
        return (W + kron) >> maps.diagonal("g", o)


class Written(nn.Module):
    """The same adapter with its weight written out densely at every step: what one would write without a planner."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        slot = self.layer.adapters["weight"]
        return nn.functional.linear(x, slot.effective(self.layer._parameters["weight"]), self.layer.bias)


@pytest.mark.parametrize("adapter", [Triple(), Reflected(), Gained()], ids=lambda a: type(a).__name__)
def test_a_new_method_has_its_plan_without_a_line_of_its_own(adapter):
    def one():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(768, 768).requires_grad_(False))

    ours, dense = cl.adapt(one(), adapter), nn.Sequential(Written(cl.adapt(one(), adapter)[0]))
    planned, written = overheads([one(), ours, dense], rounds=2 * ROUNDS).of
    print(f"\n{type(adapter).__name__:10} planned {planned:6.3f}   written out {written:6.3f}")
    assert SMOKE or planned <= 1.05 * written


def test_merged_inference_costs_what_the_base_costs():
    model = cl.merge(cl.adapt(copy.deepcopy(network()), ad.LoRA(8)))
    x = torch.randn(512, 768)
    torch.set_num_threads(1)

    def run(m):
        begin = time.process_time()
        with torch.no_grad():
            m(x)
        return time.process_time() - begin

    base = network()
    for _ in range(2):
        run(base), run(model)
    ratio = median(run(model) / run(base) for _ in range(2 * ROUNDS))
    print(f"\nmerged/base {ratio:.3f}")
    assert SMOKE or ratio <= 1.01


def test_inserting_is_not_far_from_a_hand_written_swap():
    """72 Linears, each replaced by a module with two factors, against ``adapt``; and the fourth adapter against the first."""

    class Swap(nn.Module):
        def __init__(self, base):
            super().__init__()
            self.base, self.A, self.B = (
                base,
                nn.Parameter(torch.empty(8, base.in_features)),
                nn.Parameter(torch.zeros(base.out_features, 8)),
            )
            nn.init.kaiming_uniform_(self.A, a=5**0.5)

    def swap(model):
        for block in model:
            for name in LAYERS:
                setattr(block, name, Swap(getattr(block, name)))

    def timed(act):
        begin = time.process_time()
        act()
        return time.process_time() - begin

    blocks = 2 if SMOKE else 12
    cl.adapt(network(1), ad.LoRA(8))
    ours, hand, later = [], [], []
    for _ in range(ROUNDS):
        model = network(blocks)
        ours.append(timed(lambda model=model: cl.adapt(model, ad.LoRA(8))))
        for name in ("b", "c", "d"):
            last = timed(lambda model=model, name=name: cl.adapt(model, ad.LoRA(8), name=name))
        later.append(last)
        other = copy.deepcopy(network(blocks))
        hand.append(timed(lambda other=other: swap(other)))
    milliseconds = [1e3 * median(times) for times in (ours, hand, later)]
    ratio = median(a / b for a, b in zip(ours, hand, strict=True))
    print("\n72 Linears: adapt {:.1f} ms, by hand {:.1f} ms, the fourth adapter {:.1f} ms".format(*milliseconds), f"ratio {ratio:.2f}")
    assert SMOKE or (median(later) < 1.5 * median(ours) and ratio <= 2)


def saved_bytes(model, x):
    """Bytes that autograd keeps for the backward pass, beside parameters and the input."""
    own = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers(), x)}
    seen = {}

    def pack(t):
        if t.untyped_storage().data_ptr() not in own:
            seen[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        y = model(x)
    assert y.requires_grad
    return sum(seen.values())


def test_memory_saved_for_the_backward_pass():
    x = torch.randn(512, 768, requires_grad=True)
    found = {name: saved_bytes(cl.adapt(network(), LIMITS[name][0]), x) for name in ("LoRA", "HRA", "DoRA", "OFT", "LoKr")}
    peers = {name: saved_bytes(theirs(LIMITS[name][0]), x) for name in ("LoRA", "HRA", "DoRA")}
    shown = [*found.items(), *((f"peft's {name}", n) for name, n in peers.items())]
    print("\n" + "   ".join(f"{name} {n / 2**20:.1f} MiB" for name, n in shown))
    assert SMOKE or (found["HRA"] <= 1.2 * found["LoRA"] and found["DoRA"] <= 2.4 * found["LoRA"])
    if not SMOKE and found["DoRA"] > 1.6 * found["LoRA"]:  # the gradient of its magnitudes reads what they multiply, one tensor a layer
        pytest.xfail(f"DoRA keeps {found['DoRA'] / found['LoRA']:.2f} times what our LoRA keeps, the limit is 1.6")
