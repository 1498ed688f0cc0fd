"""What both chapters on adapters share: a training loop, what it costs, and the table and plot of several runs."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from catlearn.learn.schedules import cosine
from catlearn.teach.figures import scale, svg
from catlearn.teach.report import Chapter, Section, figure, table

Tensors = tuple[torch.Tensor, ...]
BATCH = 8  # examples a step


@dataclass(frozen=True)
class Data:
    """Inputs, each with the examples along its first axis, and labels."""

    inputs: Tensors
    labels: torch.Tensor

    def at(self, index: torch.Tensor | slice) -> Data:
        """Some of the examples."""
        return Data(tuple(t[index] for t in self.inputs), self.labels[index])


@dataclass(frozen=True)
class Run:
    """One way of tuning: what is right on the test part, how many numbers learnt, seconds for a step, MiB to train, seconds, and gaps."""

    name: str
    accuracy: float
    trained: int
    step: float
    memory: float
    losses: list[float]
    merged: float | None = None  # how far the plain model, read back from its file, is from the adapted one
    arrow: float | None = None  # how far the adapted arrow is from the adapted module


def fit(model: nn.Module, data: Data, steps: int, rate: float, head_rate: float = 1e-3) -> tuple[list[float], float]:
    """Adam with a falling rate over shuffled batches, the same for every model; the losses, and the median seconds of a step.

    The seconds are those of the processor, so that other work on the machine does not count; on one thread they are time.

    The head has a rate of its own. The model stays in the mode in which it is.
    """
    head = [p for name, p in model.named_parameters() if p.requires_grad and name.startswith("head.")]
    rest = [p for name, p in model.named_parameters() if p.requires_grad and not name.startswith("head.")]
    groups = [{"params": part, "lr": lr, "base": lr} for part, lr in ((head, head_rate), (rest, rate)) if part]
    optimiser = torch.optim.Adam(groups)
    dice, falling, losses, seconds = torch.Generator().manual_seed(0), cosine(steps), [], []
    order = torch.cat([torch.randperm(len(data.labels), generator=dice) for _ in range(1 + steps * BATCH // len(data.labels))])
    for k in range(steps):
        some, start = data.at(order[k * BATCH : (k + 1) * BATCH]), time.process_time()
        for group in optimiser.param_groups:
            group["lr"] = group["base"] * falling(k)
        loss = F.cross_entropy(model(*some.inputs), some.labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        seconds.append(time.process_time() - start)
    return losses, statistics.median(seconds)


@torch.no_grad()
def answers(model: nn.Module, data: Data, batch: int = 32) -> torch.Tensor:
    """The scores of every example."""
    return torch.cat([model(*data.at(slice(k, k + batch)).inputs) for k in range(0, len(data.labels), batch)])


def accuracy(model: nn.Module, data: Data) -> float:
    """The part that is right."""
    return float((answers(model, data).argmax(-1) == data.labels).float().mean())


def trained(model: nn.Module) -> int:
    """How many numbers learn, without the head, which every method trains."""
    return sum(p.numel() for name, p in model.named_parameters() if p.requires_grad and not name.startswith("head."))


def memory(model: nn.Module, data: Data) -> float:
    """MiB that training needs beside the model: what is kept for backward, gradients, and Adam's two moments.

    >>> layer = nn.Linear(1024, 1024, bias=False)
    >>> round(memory(layer, Data((torch.ones(256, 1024),), torch.zeros(256, dtype=torch.long))))  # 3 matrices, input, logarithms
    14
    """
    own, kept = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}, {}

    def pack(t: torch.Tensor) -> torch.Tensor:
        storage = t.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = (storage.nbytes(), t)  # the tensor too, so that its address is not used again
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        F.cross_entropy(model(*data.inputs), data.labels)
    learning = sum(3 * p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    return (sum(size for size, _ in kept.values()) + learning) / 2**20


def measured(name: str, model: nn.Module, rate: float, steps: int, data: Data, asked: Data, head_rate: float = 1e-3) -> Run:
    """Fit a model and ask it."""
    held = memory(model, data.at(slice(0, BATCH)))
    losses, step = fit(model, data, steps, rate, head_rate)
    return Run(name, accuracy(model, asked), trained(model), step, held, losses)


def frozen(encoder: nn.Module, head: nn.Module, steps: int, data: Data, asked: Data) -> Run:
    """The head fitted, in place, to the answers of a frozen encoder, computed once; ten times the steps, since they cost nothing."""
    model = nn.Sequential()
    model.add_module("head", head)
    seen, new = (Data((answers(encoder, part),), part.labels) for part in (data, asked))
    return measured("frozen features", model, 0.0, 10 * steps, seen, new, 1e-2)


def unlike(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """The largest difference, beside the largest number.

    >>> unlike(torch.tensor([1.0, 4.5]), torch.tensor([1.0, 4.0]))
    0.125
    """
    return float((found - wanted).abs().max() / wanted.abs().max())


def reloaded(tuned: nn.Module, plain: nn.Module) -> nn.Module:
    """``plain`` with the weights of a merged model, which went through a safetensors file as every key of it and none other."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        save_file({key: t.contiguous() for key, t in tuned.state_dict().items()}, path)
        plain.load_state_dict(load_file(path))
    return plain


# --- the page ---------------------------------------------------------------------------------------------------------


def missing(title: str, packages: Sequence[tuple[str, str]]) -> Chapter | None:
    """A chapter that says what to install, if one of the packages (module, name) is not there."""
    lacking = [name for module, name in packages if find_spec(module) is None]
    if not lacking:
        return None
    return Chapter(title, (), f"Left out: it needs {', '.join(lacking)}. Install them with pip and run it again.")


def line(run: Run) -> str:
    """A run in one line."""
    return f"  {run.name:24} {run.accuracy:6.1%} right, {run.trained:>10,} trained, {run.step * 1e3:6.0f} ms a step, {run.memory:6.1f} MiB"


def compared(runs: Sequence[Run], note: str) -> Section:
    """The table of all runs and the plot of accuracy over numbers trained."""

    def gap(value: float | None) -> str:
        return "–" if value is None else f"{value:.0e}"

    arrows = any(run.arrow is not None for run in runs)
    rows = [
        [k, run.name, f"{run.accuracy:.1%}", f"{run.trained:,}", f"{run.step * 1e3:.0f}", f"{run.memory:.1f}", gap(run.merged)]
        + [gap(run.arrow)] * arrows
        for k, run in enumerate(runs, 1)
    ]
    head = ["", "method", "right", "trained", "ms a step", "MiB to train", "merged file", *["arrow"] * arrows]
    caption = (
        "Trained: without the head. MiB: kept for backward, gradients, Adam's moments. Merged file"
        + ", arrow" * arrows
        + ": the largest difference of a score from the adapted model's, beside the largest score."
    )
    return Section("Compared", figure(plot(runs), "Numbers are the rows of the table.") + table(head, rows, caption), note)


def plot(runs: Sequence[Run], width: int = 640, height: int = 320) -> str:
    """Accuracy over the numbers trained (powers of ten; none at the left), a numbered point for each run.

    >>> plot([Run("a", 0.5, 0, 1, 1, []), Run("b", 0.7, 1000, 1, 1, [])]).count("<circle")
    2
    """
    left, right, top, bottom = 46, 24, 30, 40
    ticks = scale(min(100 * run.accuracy for run in runs), max(100 * run.accuracy for run in runs))
    last = max(3, math.ceil(math.log10(max(run.trained for run in runs) + 1)))

    def x(trained: float) -> float:
        return left + (width - left - right) * max(0.0, math.log10(max(trained, 100)) - 2) / (last - 2)

    def y(percent: float) -> float:
        return height - bottom - (height - top - bottom) * (percent - ticks[0]) / (ticks[-1] - ticks[0])

    parts = ['<text x="0" y="14">right in %</text>']
    for tick in ticks:
        parts.append(f'<line class="grid" x1="{left}" x2="{width - right}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        parts.append(f'<text class="axis" x="{left - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for power in range(2, last + 1):
        label = "fewer" if power == 2 else f"{10**power:,}"
        parts.append(f'<text class="axis" x="{x(10**power):.1f}" y="{height - 20}" text-anchor="middle">{label}</text>')
    parts.append(f'<text class="axis" x="{width - right}" y="{height - 4}" text-anchor="end">numbers trained</text>')
    for k, run in enumerate(runs, 1):
        px, py = x(run.trained), y(100 * run.accuracy)
        style = "second" if run.merged is None else "first"  # what is compared with stands out
        parts.append(f'<g class="dots {style}"><title>{escape(run.name)}: {run.accuracy:.1%}</title><circle cx="{px:.1f}" cy="{py:.1f}" '
                     f'r="4"/></g><text class="axis" x="{px + 6:.1f}" y="{py - 4:.1f}">{k}</text>')  # fmt: skip
    return svg(width, height, parts, f"accuracy over numbers trained: {', '.join(run.name for run in runs)}")
