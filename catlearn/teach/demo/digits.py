"""The first chapter: a network for handwritten digits, written as one arrow, and everything that is computed from it."""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

import catlearn as cl
from catlearn.learn.schedules import cosine
from catlearn.meanings.module import Arrow
from catlearn.teach.demo._data import Digits, Part, digits, with_shifts
from catlearn.teach.figures import confusion, curve, images
from catlearn.teach.report import Chapter, Section, code, figure, folded, table, words

POSITION = 1
PROMISED = 0.97
Say = Callable[[str], None]


def network(channels: int = 16) -> cl.Term:
    """R(1, 8, 8) → R(10): a stem, two residual blocks that share one convolution's weight, a head."""
    image, h, wide = cl.R(1, 8, 8), cl.R(channels, 8, 8), cl.R(64)
    stem = cl.conv2d(image, channels, 3, padding=1) >> cl.gelu
    branch = cl.conv2d(h, channels, 3, padding=1) >> cl.gelu
    block = cl.copy(h) >> branch @ cl.id(h) >> cl.add(h)
    pool = cl.avg_pool2d(h, 2) >> cl.flatten
    head = pool >> cl.linear(pool.cod, wide) >> cl.gelu >> cl.linear(wide, cl.R(10))
    net = stem.named("stem") >> cl.repeat(2, block).named("body") >> head.named("head")
    return net.at("body.*.conv2d.weight").tie()


@dataclass(frozen=True)
class Result:
    """What training gave: the module, the records of the epochs, and the predictions on the test part with how certain they were."""

    model: Arrow
    history: list[dict[str, Any]]
    seconds: float
    predicted: torch.Tensor
    certainty: torch.Tensor
    accuracy: float


def chapter(out: Path, quick: bool, say: Say) -> Chapter:
    """Train, test, and look at the network from every side."""
    data, net = digits(), network()
    say(f"digits: {len(data.train.labels)} images to learn from, {len(data.validation.labels)} to watch, {len(data.test.labels)} to test\n")
    say("The network, one arrow:\n" + inspect.getsource(network))
    say("In words:\n" + cl.explain(net) + "\n")
    say("What it costs:\n" + str(cl.cost(net)) + "\n")
    result = train(net, data, epochs=2 if quick else 10)
    wrong = int((result.predicted != data.test.labels).sum())
    say(f"\ntest accuracy {result.accuracy:.2%} ({wrong} of {len(data.test.labels)} wrong), trained in {result.seconds:.1f} s\n")
    gap = against_autograd(net, result.model, data.test)
    say("The backward pass, an arrow again:\n" + backward_in_words(net, gap) + "\n")
    failures = () if quick or result.accuracy >= PROMISED else (f"the test accuracy is {result.accuracy:.2%}, promised are {PROMISED:.0%}",)
    facts = (
        (f"{result.accuracy:.1%}", "test accuracy"),
        (f"{cl.cost(net).parameters:,}", "parameters"),
        (f"{result.seconds:.0f} s", "training"),
    )
    sections = (*written(net), *learned(data, result), *computed(net, gap))
    return Chapter("Handwritten digits", sections, NOTES["lead"], facts, failures)


def train(net: cl.Term, data: Digits, epochs: int) -> Result:
    """Fit on the shifted training images with a falling rate; predict the test images."""
    examples, batch = with_shifts(data.train), 64
    rate = cosine(epochs * math.ceil(len(examples.labels) / batch))
    learner = cl.learner(net, cl.cross_entropy, cl.adamw(3e-3, weight_decay=0.05))
    start = time.perf_counter()
    with one_thread():
        fitted = learner.fit(tuple(examples), tuple(data.validation), epochs=epochs, batch_size=batch, schedule=rate, metrics="accuracy",
                             progress=True)  # fmt: skip
    seconds = time.perf_counter() - start
    model = fitted.model().eval()
    with torch.no_grad():
        chance = F.softmax(model(data.test.images), -1)
    certainty, predicted = chance.max(-1)
    return Result(model, fitted.history, seconds, predicted, certainty, float((predicted == data.test.labels).float().mean()))


@contextmanager
def one_thread() -> Iterator[None]:
    """Tensors this small gain nothing from a second thread, and threads that wait for each other lose much on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


EQUATIONS = """  R[f >> g](x, d)  =  R[f](x, R[g](f(x), d))        backwards, through what f gave
  R[f @ g]         =  R[f] @ R[g]                   side by side stays side by side
  R[copy](x, d, e) =  d + e                         a wire that forks: cotangents are added
  R[add](x, y, d)  =  d, d                          a wire that two were joined into: its cotangent is copied
"""


def backward_in_words(net: cl.Term, gap: float) -> str:
    """The equations of the reverse derivative; its type, how many boxes it has, what each output is, and how far from autograd it is."""
    count = sum(node.name.endswith("_reverse") for node in cl.reverse(net).graph.nodes)
    lines = [f"  d {name:24} {space}" for name, space in gradients(net)]
    lines.append(f"  {len(net.graph.nodes)} boxes forward, {count} backward; its gradients are {closeness(gap)}")
    return f"{EQUATIONS}\n  from {net.dom} and a cotangent of {net.cod} to\n" + "\n".join(lines)


def closeness(gap: float) -> str:
    """How far from autograd the gradients are, in words."""
    return f"within {gap:.0e} of autograd's, relative to their size" if gap else "autograd's, bit for bit"


def against_autograd(net: cl.Term, model: Arrow, part: Part) -> float:
    """The largest difference between the lens's gradients and autograd's, relative to the largest entry of each gradient."""
    params = dict(model.named_parameters())
    seed = torch.ones(len(part.labels), 10) / len(part.labels)
    expected = torch.autograd.grad(model(part.images), list(params.values()), seed)
    found, _ = cl.lens(net).put({name: value.detach() for name, value in params.items()}, (part.images,), (seed,))
    return max(float((found[name] - grad).abs().max() / grad.abs().max()) for name, grad in zip(params, expected, strict=True))


def gradients(net: cl.Term) -> list[tuple[str, Any]]:
    """The outputs of the backward pass: a name and a space for each."""
    names = [name for name in sorted(net.params) if net.params[name].trainable]
    return list(zip([*names, "input"], cl.reverse(net).cod, strict=True))


# --- the sections of the page -----------------------------------------------------------------------------------------

NOTES = {
    "lead": "A network is written once, as an arrow, and learns from 1,293 of scikit-learn's 1,797 handwritten digits; 144 are watched and "
    "360 are kept for the test. Its picture, its words, its cost, its code and its backward pass are all computed from that arrow.",
    "network": "This is all that was written by hand. >> is then, @ is beside; copy forks a wire and add joins two. The last line ties "
    "the convolution's weight of both blocks: one entry in the state dict, one gradient.",
    "boxes": "The same arrow with its named parts opened.",
    "cost": "Counted from the arrow, before anything runs.",
    "learning": "It learns from the training images and their shifts by one pixel; it is watched on images that it does not learn from.",
    "confusion": "Images that were not seen in training. Rows are what they are, columns what the network read.",
    "wrong": "What it is, what the network read, and how certain it was.",
    "backward": "The reverse derivative is an arrow as well: from the image and a cotangent of the ten scores to a cotangent of every "
    "parameter and of the image.",
    "module": "What compile wrote: straight-line code, one module for each named part.",
    "code": "It calls torch's own backward kernels and never autograd.",
}


def written(net: cl.Term) -> tuple[Section, ...]:
    """The arrow as it was written, drawn and said."""
    source, folded_, opened = inspect.getsource(network), cl.draw(net).svg, cl.draw(net, fold=False).svg
    return (
        Section("The network", code(source) + figure(folded_, "Folded at its named parts."), NOTES["network"]),
        Section("Every box", figure(opened, "Parameters enter from above; the tied weight fans out."), NOTES["boxes"]),
        Section("In words", words(cl.explain(net))),
        Section("What it costs", code(str(cl.cost(net))), NOTES["cost"]),
    )


def learned(data: Digits, result: Result) -> tuple[Section, ...]:
    """How training went and what it got wrong."""
    test, history = data.test, result.history
    counts = torch.zeros(10, 10, dtype=torch.int64)
    counts.index_put_((test.labels, result.predicted), torch.ones_like(test.labels), accumulate=True)
    losses = curve({"training": [r["loss"] for r in history], "validation": [r["val_loss"] for r in history]}, "cross entropy")
    right = curve({"validation": [100 * r["val_accuracy"] for r in history]}, "accuracy in %")
    matrix = confusion(counts.tolist(), [str(digit) for digit in range(10)])
    return (
        Section("Learning", figure(f'<div class="row">{losses}{right}</div>'), NOTES["learning"]),
        Section("Confusion", figure(matrix), NOTES["confusion"]),
        Section("What it got wrong", misread(test, result), NOTES["wrong"]),
    )


def misread(test: Part, result: Result, most: int = 16) -> str:
    """The wrong test images, the most certain first; where there are none, the least certain of the right ones."""
    wrong = (result.predicted != test.labels).nonzero().flatten().tolist()
    order = sorted(wrong, key=lambda i: -float(result.certainty[i])) or result.certainty.argsort().tolist()[:8]
    shown = order[:most]
    captions = [f"{test.labels[i]} → {result.predicted[i]} ({float(result.certainty[i]):.0%})" for i in shown]
    caption = f"{len(wrong)} wrong, {len(shown)} shown." if wrong else "None is wrong; these were the least certain."
    return figure(images([test.images[i, 0].tolist() for i in shown], captions), caption)


def computed(net: cl.Term, gap: float) -> tuple[Section, ...]:
    """The backward pass and the torch code."""
    back, model = cl.reverse(net), cl.compile(net)
    rows = table(["cotangent of", "space"], gradients(net))
    modules = [(name or "the whole network", module) for name, module in model.named_modules() if isinstance(module, Arrow)]
    near = f"{NOTES['code']} On the test images its gradients are {closeness(gap)}."
    text = "\n\n".join(f"# {name}\n{module.code}" for name, module in modules)
    return (
        Section("The backward pass", code(EQUATIONS) + figure(cl.draw(back).svg) + rows, NOTES["backward"]),
        Section("Every box of the backward pass", folded("Show it", figure(cl.draw(back, fold=False).svg))),
        Section("The torch module", code(text), NOTES["module"]),
        Section("The code of the backward pass", folded("Show it", code(cl.compile(back).code)), near),
    )
