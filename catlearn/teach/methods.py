"""What each adapter method costs and reaches, measured for the table in ``docs/adapters-methods.md`` by ``catlearn adapters --measure``.

Two networks of one kind. *Costs*: a frozen transformer block of width 768 on 4 × 128 tokens, the method on its four attention matrices,
with the options of the table; the seconds of a forward and backward pass and the bytes kept between them, beside those of the frozen
block. *Accuracy*: two blocks of width 64 that were trained to read handwritten digits, a row of pixels a token; the method, and the
head, learn from 300 images to read them turned by a quarter and with black and white exchanged, from two seeds. Of four rates the one
that is best on the validation part is taken, and what is right on the test part is told. Everything is drawn from fixed seeds.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

import catlearn as cl
from catlearn import adapters as ad
from catlearn.adapters.table import Measured, Measurements, example
from catlearn.teach.demo._data import Part, digits, with_shifts
from catlearn.teach.demo.digits import one_thread

WHERE = "*.q|*.k|*.v|*.o"
RATES = (3e-3, 1e-2, 3e-2, 1e-1)
FEW, STEPS, BATCH, SEEDS = 300, 120, 32, (0, 1)
SMALL: dict[str, ad.Adapter] = {  # for width 64, where the options of the table do not fit, or make every number of W free
    "Bone": ad.Bone(8), "C3A": ad.C3A(16), "FourierFT": ad.FourierFT(250), "MiSS": ad.MiSS(8), "NoRA": ad.NoRA(16, inner=8),
    "OFT": ad.OFT(16), "PSOFT": ad.PSOFT(16), "RandLoRA": ad.RandLoRA(8), "SALT": ad.SALT(32, 4), "SHiRA": ad.SHiRA(4),
    "SingLoRA": ad.SingLoRA(8, ramp=20), "SpectralFT": ad.SpectralFT(32, 4), "TLoRA": ad.TLoRA((4, 4, 4), (4, 4, 4)),
    "VBLoRA": ad.VBLoRA(vectors=32, length=16), "VeRA": ad.VeRA(64),
}  # fmt: skip
Say = Callable[[str], None]


class Block(nn.Module):
    """A transformer block: attention and a feed-forward part, each behind a layer norm."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.o = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.first(x)
        q, k, v = (f(h).unflatten(-1, (self.heads, -1)).transpose(-2, -3) for f in (self.q, self.k, self.v))
        x = x + self.o(F.scaled_dot_product_attention(q, k, v).transpose(-2, -3).flatten(-2))
        return x + self.down(F.gelu(self.up(self.second(x))))


class Reader(nn.Module):
    """Digits (n, 8, 8), a row of pixels a token, to scores (n, 10)."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.embed, self.place = nn.Linear(8, width), nn.Parameter(0.1 * torch.randn(8, width))
        self.blocks = nn.Sequential(Block(width, 4), Block(width, 4))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.blocks(self.embed(x) + self.place)).mean(-2))


def measured(names: Sequence[str], say: Say, quick: bool = False) -> Measurements:
    """All figures of the table for these methods; ``quick`` shows only that they can be had."""
    with one_thread(), torch.random.fork_rng(devices=[]):
        each = costs(names, quick)
        say(f"costs of {len(each)} methods")
        task = Task.of(quick)
        say(f"the frozen network: {task.head_alone:.1%} with a head of its own, {task.all_weights:.1%} with all weights")
        found = {}
        for name in names:
            accuracy, rate = task.best(lambda seed, name=name: task.adapted(name, seed))
            found[name] = Measured(*each[name], accuracy, rate)
            say(f"  {name:16} {found[name]}")
    return Measurements(found, round(task.head_alone, 4), round(task.all_weights, 4))


# -- costs -----------------------------------------------------------------------------------------------------------------


def costs(names: Sequence[str], quick: bool = False, group: int = 4) -> dict[str, tuple[float, float]]:
    """Of each method: what a step takes longer, and what more is kept for the backward pass, as parts of the frozen block's."""
    width, tokens, rounds = (768, 2, 1) if quick else (768, 128, 7)
    torch.empty(31 << 18)  # freed at once: from here on the allocator keeps what is given back, for every method alike
    torch.manual_seed(0)
    base, x = nn.Sequential(Block(width, 12)).requires_grad_(False), torch.randn(4, tokens, width, requires_grad=True)
    found = {}
    for start in range(0, len(names), group):
        some = {
            name: cl.adapt(deepcopy(base), example(name), where=WHERE, data=drawn(example(name), width))
            for name in names[start : start + group]
        }
        models = [base, *some.values()]
        for model in models:
            step(model, x)
        gc.collect()
        rows = [[step(model, x) for model in models] for _ in range(rounds)]
        for k, (name, model) in enumerate(some.items(), 1):
            best = [min(row[j] for row in rows) for j in (0, k)]  # what else runs on the machine makes steps longer, and none shorter
            found[name] = best[1] / best[0] - 1, kept(model, x) / kept(base, x) - 1
    return found


def drawn(adapter: ad.Adapter, width: int) -> dict[str, Any]:
    """Numbers in place of inputs, gradients, libraries, for methods that start from such."""
    shape = {"EVA": (2 * width, width), "LoRAGA": (width, width), "EigenLoRAx": (64, 2 * width)}.get(type(adapter).__name__)
    return {} if shape is None else {f"0.{name}": torch.randn(shape) for name in "qkvo"}


def step(model: nn.Module, x: torch.Tensor) -> float:
    """Seconds of the processor for a forward and backward pass."""
    begin = time.process_time()
    model(x).sum().backward()
    for p in (x, *model.parameters()):
        p.grad = None
    return time.process_time() - begin


def kept(model: nn.Module, x: torch.Tensor) -> int:
    """Bytes kept between forward and backward pass, beside the model and its input."""
    own = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers(), x)}
    seen: dict[int, tuple[int, torch.Tensor]] = {}

    def pack(t: torch.Tensor) -> torch.Tensor:
        storage = t.untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = storage.nbytes(), t  # the tensor too, so that its address is not used again
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        y = model(x)
    assert y.requires_grad
    return sum(size for size, _ in seen.values())


# -- accuracy --------------------------------------------------------------------------------------------------------------


def fit(model: nn.Module, part: Part, steps: int, rate: float, head_rate: float = 1e-2, seed: int = 0) -> nn.Module:
    """Adam with a rate that falls as a cosine; the same batches for every model of a seed."""
    head = [p for n, p in model.named_parameters() if p.requires_grad and n.startswith("head.")]
    rest = [p for n, p in model.named_parameters() if p.requires_grad and not n.startswith("head.")]
    groups = [{"params": some, "lr": lr, "base": lr} for some, lr in ((rest, rate), (head, head_rate)) if some]
    optimiser, dice = torch.optim.Adam(groups), torch.Generator().manual_seed(seed)
    n = len(part.labels)
    order = torch.cat([torch.randperm(n, generator=dice) for _ in range(1 + steps * BATCH // n)])
    torch.manual_seed(1 + seed)  # for methods that draw while training
    for k in range(steps):
        index = order[k * BATCH : (k + 1) * BATCH]
        for group in optimiser.param_groups:
            group["lr"] = group["base"] * (1 + math.cos(math.pi * k / steps)) / 2
        optimiser.zero_grad()
        F.cross_entropy(model(part.images[index]), part.labels[index]).backward()
        optimiser.step()
    return model.eval()


@torch.no_grad()
def right(model: nn.Module, part: Part) -> float:
    """The part of images that is read rightly."""
    return float((model(part.images).argmax(-1) == part.labels).float().mean())


def turned(part: Part, first: int | None = None) -> Part:
    """The images turned by a quarter, black and white exchanged."""
    return Part(1 - part.images[:first, 0].rot90(1, (1, 2)), part.labels[:first])


@cache
def reader(steps: int) -> Reader:
    """The network that reads upright digits."""
    torch.manual_seed(0)
    model, upright = Reader(), with_shifts(digits().train)
    fit(model, Part(upright.images[:, 0], upright.labels), steps, 3e-3, 3e-3)
    return model


@dataclass(frozen=True)
class Task:
    """What all methods have in common: the frozen network, what is learnt from, watched, and asked, and how long."""

    base: Reader
    learnt: Part
    watched: Part
    asked: Part
    steps: int
    rates: tuple[float, ...]
    head_alone: float
    all_weights: float

    @classmethod
    def of(cls, quick: bool) -> Task:
        """The task with both ends of the scale: only a head is trained, and every number is."""
        base, data, steps = reader(8 if quick else 1200), digits(), 2 if quick else STEPS
        parts, rates = (turned(data.train, FEW), turned(data.validation), turned(data.test)), RATES[1:2] if quick else RATES
        task = cls(base, *parts, steps, rates, 0.0, 0.0)

        def free(whole: bool) -> nn.Module:
            model = deepcopy(base).requires_grad_(whole)
            model.head.requires_grad_(True)
            return model

        alone, _ = task.best(lambda seed: free(False), 3, (0.0,))
        return replace(task, head_alone=alone, all_weights=task.best(lambda seed: free(True), 1, [rate / 10 for rate in rates])[0])

    def adapted(self, name: str, seed: int = 0) -> nn.Module:
        """The network with a method, which may look at the images to start."""
        model = deepcopy(self.base)
        cl.adapt(model, SMALL.get(name, example(name)), where=WHERE, data=self.seen(name), seed=seed)
        model.head.requires_grad_(True)
        return model.train()

    def best(self, make: Callable[[int], nn.Module], longer: int = 1, rates: Sequence[float] | None = None) -> tuple[float, float]:
        """What is right on the test part, in the mean of seeds, with the rate that is best on the validation part, and that rate."""

        def mean(models: Sequence[nn.Module], part: Part) -> float:
            return sum(right(model, part) for model in models) / len(models)

        steps = longer * self.steps
        tuned = {rate: [fit(make(seed), self.learnt, steps, rate, seed=seed) for seed in SEEDS] for rate in rates or self.rates}
        rate = max(tuned, key=lambda r: mean(tuned[r], self.watched))
        return mean(tuned[rate], self.asked), rate

    def seen(self, name: str) -> Mapping[str, torch.Tensor]:
        """For methods that start from data: inputs, gradients, or adapters of other tasks, by layer."""
        if name == "EigenLoRAx":
            return library(self)
        if name not in ("EVA", "LoRAGA"):
            return {}
        model, inputs = deepcopy(self.base).requires_grad_(True), {}
        layers = {path: m for path, m in model.named_modules() if path.rpartition(".")[2] in tuple("qkvo")}
        for path, layer in layers.items():
            layer.register_forward_hook(lambda m, args, y, path=path: inputs.update({path: args[0].detach().flatten(0, -2)}))
        F.cross_entropy(model(self.learnt.images), self.learnt.labels).backward()
        return inputs if name == "EVA" else {path: layer.weight.grad for path, layer in layers.items()}  # type: ignore[misc]


def library(task: Task) -> dict[str, torch.Tensor]:
    """LoRAs for four other ways of showing digits: mirrored, upside down, and both with black and white exchanged."""
    stacks: dict[str, list[torch.Tensor]] = {}
    plain = Part(1 - task.learnt.images.rot90(-1, (1, 2)), task.learnt.labels)
    for axes, negative in (((1,), False), ((2,), False), ((1,), True), ((2,), True)):
        images = plain.images.flip(axes)
        model = cl.adapt(deepcopy(task.base), ad.LoRA(8), where=WHERE)
        fit(model, Part(1 - images if negative else images, plain.labels), task.steps, 1e-2)
        for layer, f in ad.factors(model).items():
            stacks.setdefault(layer, []).append(torch.cat([f.A, f.B.t()], 1))
    return {layer: torch.cat(stack) for layer, stack in stacks.items()}
