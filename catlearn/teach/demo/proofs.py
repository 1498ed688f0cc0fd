"""A chapter: which symmetries a network has, proved for all weights and all sizes, or refuted with the line and an example."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import catlearn as cl
from catlearn.teach.demo.digits import one_thread
from catlearn.teach.report import Chapter, Section, code, figure, folded, table, text
from catlearn.verify import Report

POSITION = 5
FIXED = 4  # a table of positions has a length
Say = Callable[[str], None]


class Cloud(nn.Module):
    """Points push and pull each other by a learned function of their distance."""

    def __init__(self, position: bool = False) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, 16), nn.SiLU(), nn.Linear(16, 1))
        self.position = nn.Parameter(torch.randn(FIXED, 3)) if position else None

    def forward(self, x: Tensor) -> Tensor:
        d = x[:, None] - x[None]
        y = x + (self.net(d.pow(2).sum(-1, keepdim=True)) * d).mean(1)
        if self.position is not None:
            y = y + self.position
        return y


def chapter(out: Path, quick: bool, say: Say) -> Chapter:
    """Prove a network of points, refute it with a table of positions, ask about a model of transformers."""
    start = time.perf_counter()
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        cloud, placed = clouds()
        asked = language()
    seconds = time.perf_counter() - start
    for title, report in (("a network of points", cloud), ("the same with a table of positions", placed), *asked):
        say(f"{title}:\n{report}\n")
    wrong = [f"{title} is {report.verdict}, not {wanted}"
             for (title, report), wanted in zip((("the network", cloud), ("with positions", placed), *asked),
                                                ("proved", "refuted", *(wanted for _, wanted in QUESTIONS)), strict=False)
             if report.verdict != wanted]  # fmt: skip
    again = cloud.certificate is not None and bool(cl.verify.check(cloud.certificate, Cloud()))
    wrong += [] if again else ["the certificate does not pass for fresh weights"]
    say(f"the certificate of the first, re-checked on fresh weights: {again}; {seconds:.0f} s in all\n")
    count = sum(report.verdict == "proved" for report in (cloud, placed, *(r for _, r in asked)))
    facts = ((str(count), "claims proved, each for all weights"), (f"{seconds:.0f} s", "for all of them, most of it in torch.export"))
    return Chapter("Proofs of symmetry", (proved(cloud), refuted(placed), read(asked)), NOTES["lead"], facts, tuple(wrong))


def clouds() -> tuple[Report, Report]:
    """The network for any number of points; with a table of positions for four."""
    points = cl.space(cl.S(cl.dim("n")), cl.E(3))
    four = cl.space(cl.S(FIXED), cl.E(3))
    return cl.verify.equivariant(Cloud(), points, points), cl.verify.equivariant(Cloud(position=True), four, four)


# --- a model of transformers ------------------------------------------------------------------------------------------

QUESTIONS = (("rows of a batch renamed", "proved"), ("tokens renamed", "refuted"), ("tokens renamed, all given one position", "proved"))


class Encoder(nn.Module):
    """A small BERT with random weights; ``flat`` gives every token the same position."""

    def __init__(self, flat: bool) -> None:
        super().__init__()
        from transformers import BertConfig, BertModel

        config = BertConfig(vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
                            max_position_embeddings=24)  # fmt: skip
        self.bert, self.flat = BertModel(config, add_pooling_layer=False).eval(), flat

    def forward(self, tokens: Tensor) -> Tensor:
        places: Any = torch.zeros_like(tokens) if self.flat else None
        return self.bert(tokens, position_ids=places).last_hidden_state


def language() -> list[tuple[str, Report]]:
    """What is true of it; nothing if transformers is not installed."""
    try:
        model, flat = Encoder(False).eval(), Encoder(True).eval()
    except ImportError:
        return []
    batch, n, six = cl.S(cl.dim("b"), name="batch"), cl.S(cl.dim("n")), cl.S(6)
    found = (
        cl.verify.equivariant(model, cl.index(40, batch, 6), cl.space(batch, 6, 16)),
        cl.verify.equivariant(model, cl.index(40, 2, six), cl.space(2, six, 16)),
        cl.verify.equivariant(flat, cl.index(40, 2, n), cl.space(2, n, 16)),
    )
    return [(f"BERT, {what}", report) for (what, _), report in zip(QUESTIONS, found, strict=True)]


# --- the sections of the page -----------------------------------------------------------------------------------------

NOTES = {
    "lead": "Does a network keep a symmetry? Trying it on random inputs says so for those inputs, those weights and that size. Here it is "
    "proved: for every choice of weights, every input and every number of points, in exact arithmetic, step by step along the network's "
    "graph, in a form that a small independent program re-checks. Where it is false, the line and an example are shown.",
    "proved": "S(n) renames the points, E(3) rotates, reflects and shifts space. Below the verdict is the graph that torch.export sees, "
    "with the way in which the groups act on every intermediate result.",
    "refuted": "One line more: a learned vector is added to each point by its number. Now names matter, and so do directions.",
    "read": "A small BERT of the package transformers, as its authors wrote it. Nothing is assumed about its weights.",
}


def shown(report: Report) -> str:
    """A verdict with its typed graph, folded."""
    return figure(report._repr_html_())


def proved(report: Report) -> Section:
    """The network that is proved."""
    return Section("A network of points", code(inspect.getsource(Cloud)) + shown(report), NOTES["proved"])


def refuted(report: Report) -> Section:
    """The line that breaks the symmetry, and the example."""
    body = code(report.line, "The line at which the proof stops.") + shown(report)
    if report.counterexample is not None:
        body += folded("A program that shows it, for the network f", code(report.counterexample.script()))
    return Section("The same with a table of positions", body, NOTES["refuted"])


def read(asked: list[tuple[str, Report]]) -> Section:
    """What is true of a model that other people wrote."""
    if not asked:
        return Section("A model of transformers", text("Left out: the package transformers is not installed."))
    rows = [[title, report.verdict, report.line or "-"] for title, report in asked]
    body = table(["what is done", "verdict", "line at which the proof stops"], rows)
    return Section("A model of transformers", body + "".join(shown(report) for _, report in asked), NOTES["read"])
