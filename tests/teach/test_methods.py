"""The measurements of the table of methods: what is measured is what the page says, twice the same, and a method that learns is seen."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import catlearn as cl
from catlearn import adapters as ad
from catlearn.adapters.table import example
from catlearn.cli import main
from catlearn.teach import methods
from catlearn.teach.demo._data import digits

pytest.importorskip("sklearn")


def test_the_task_is_another_than_the_network_was_trained_for() -> None:
    data = digits()
    part = methods.turned(data.test)
    assert part.images.shape == (360, 8, 8) and torch.equal(part.labels, data.test.labels)
    assert float(part.images[5, 2, 3]) == pytest.approx(1 - float(data.test.images[5, 0, 3, 5]))  # (j, k) comes from (k, 7 − j)
    assert len(methods.turned(data.train, 300).labels) == 300


def test_bytes_kept_are_those_of_autograd_and_not_the_model_s() -> None:
    layer, x = nn.Linear(64, 64).requires_grad_(False), torch.randn(32, 64, requires_grad=True)
    assert methods.kept(layer, x) == 0
    assert methods.kept(nn.Sequential(layer, nn.Tanh()), x) == 4 * 32 * 64
    few = torch.randn(4, 64, requires_grad=True)
    assert methods.kept(cl.adapt(nn.Linear(64, 64), ad.LoRA(8)), few) == 4 * 4 * 8  # A·x, which the gradient of B reads


def test_every_method_has_options_for_both_widths_and_data_to_start_from() -> None:
    for name in ad.names():
        small = methods.SMALL.get(name, example(name))
        assert type(small).__name__ == name
        small.layout(64, 64), example(name).layout(768, 768)
        assert small.trainable(64, 64) <= 4160 or name in ("CPoly", "MHR"), name  # never as many as all of W, but for those with skills
    assert {name for name in ad.names() if not set(methods.drawn(example(name), 768))} == set(ad.names()) - {"EVA", "LoRAGA", "EigenLoRAx"}


def test_accuracy_is_the_same_twice_and_needs_the_adapter_to_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "reader", lambda steps, kept=methods.reader: kept(150))
    task = methods.Task.of(True)
    drawing = lambda seed: task.adapted("MHR", seed)  # noqa: E731
    assert task.best(drawing) == task.best(drawing)
    assert not torch.equal(drawing(0).blocks[0].q.adapters.weight.default.A, drawing(1).blocks[0].q.adapters.weight.default.A)
    model = task.adapted("LoRA")
    base = {n: p.clone() for n, p in model.named_parameters() if not p.requires_grad}
    head = methods.right(methods.fit(model, task.learnt, 40, 0.0), task.learnt)
    assert methods.right(methods.fit(task.adapted("LoRA"), task.learnt, 40, 1e-2), task.learnt) > head + 0.02
    assert all(torch.equal(p, base[n]) for n, p in model.named_parameters() if n in base)


def test_what_methods_start_from_is_of_their_layers() -> None:
    task = methods.Task.of(True)
    inputs, gradients, library = (task.seen(name) for name in ("EVA", "LoRAGA", "EigenLoRAx"))
    assert inputs.keys() == gradients.keys() == library.keys() and len(inputs) == 8
    assert {t.shape for t in inputs.values()} == {(2400, 64)} and {t.shape for t in library.values()} == {(32, 128)}
    assert torch.equal(inputs["blocks.0.q"], inputs["blocks.0.k"]) and not torch.equal(inputs["blocks.0.q"], inputs["blocks.0.o"])
    assert all(t.shape == (64, 64) and bool(t.abs().max() > 0) for t in gradients.values())


def test_one_command_writes_the_page_and_keeps_what_was_measured(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(ad, "names", lambda: ["LoRA", "HRA"])
    page = tmp_path / "methods.md"
    assert main(["adapters", "-o", str(page), "--measure", "--quick"]) == 0
    shown = capsys.readouterr().out
    assert "costs of 2 methods" in shown and f"wrote {page}" in shown
    text = page.read_text("utf-8")
    assert next(line for line in text.splitlines() if line.startswith("| HRA |")).count("–") == 0
    assert main(["adapters", "-o", str(page)]) == 0 and page.read_text("utf-8") == text
    page.with_suffix(".json").write_text("nothing")
    assert main(["adapters", "-o", str(page)]) == 2 and "no measurements" in capsys.readouterr().err
    assert main(["adapters"]) == 0 and "| LoRA | $W + B A$ |" in capsys.readouterr().out
