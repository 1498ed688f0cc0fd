"""Folders of peft for packed attention, bare parameters and stacks of matrices, in both directions, against peft itself."""

import copy
import json

import pytest
import torch
from torch import nn

import catlearn as cl
from catlearn import adapters as ad
from tests.adapters.scattered import scattered

peft = pytest.importorskip("peft")
pytestmark = pytest.mark.filterwarnings("ignore::Warning")
X = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(2))


class Experts(nn.Module):
    """Three experts, and a square matrix, so that shapes alone do not tell which is which."""

    def __init__(self, turned=False):
        super().__init__()
        self.is_transposed = turned
        self.m, self.w1, self.w2 = (nn.Parameter(torch.randn(*shape) / 3) for shape in ((8, 8), (3, 8, 8), (3, 8, 8)))

    def forward(self, x):
        kind = "bei,eio->beo" if self.is_transposed else "bei,eoi->beo"
        x = (x @ self.m.t()).unsqueeze(1).expand(-1, 3, -1)
        return torch.einsum(kind, torch.tanh(torch.einsum(kind, x, self.w1)), self.w2).sum(1)


class Net(nn.Module):
    def __init__(self, turned=False):
        super().__init__()
        torch.manual_seed(0)
        self.att, self.ex, self.lin = nn.MultiheadAttention(8, 2, batch_first=True), Experts(turned), nn.Linear(8, 8)
        for bias in (self.att.in_proj_bias, self.att.out_proj.bias):
            nn.init.normal_(bias)

    def forward(self, x):
        return self.ex(self.lin(self.att(x, x, x, need_weights=False)[0][:, 0]))


def moved(model):
    return scattered(model).eval()


TARGETS = {
    "attention": {"target_modules": ["att", "lin"]},
    "stack": {"target_modules": ["lin"], "target_parameters": ["ex.w1"]},
    "matrix": {"target_modules": ["lin"], "target_parameters": ["ex.m"]},
    "all": {"target_modules": ["att"], "target_parameters": ["ex.w2", "ex.m", "ex.w1"]},
    "endings": {"target_modules": ["lin"], "target_parameters": ["w1", "w2"]},
}
PLACES = {"attention": "att|lin", "stack": "lin|*.w1", "matrix": "lin|*.m", "all": "att|*.w1|*.w2|*.m", "endings": "lin|*.w1|*.w2"}


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("kind", TARGETS)
def test_a_folder_of_peft_s_computes_the_same_here(kind, turned, tmp_path):
    other = moved(peft.get_peft_model(Net(turned), peft.LoraConfig(r=2, lora_alpha=6, **TARGETS[kind])))
    other.save_pretrained(tmp_path)
    ours = cl.load_adapter(Net(turned), tmp_path).eval()
    assert torch.allclose(ours(X), other(X), rtol=1e-4, atol=1e-4) and not torch.allclose(ours(X), Net(turned)(X), atol=1e-2)
    y = ours(X)
    assert torch.allclose(cl.merge(ours, keep_base=False)(X), y, rtol=1e-4, atol=1e-4)
    if kind in ("stack", "endings"):  # a mutant: the sides of a stack the other way round
        wrong = Net(turned)
        wrong.ex.is_transposed = not turned
        changed = cl.load_adapter(wrong, tmp_path)
        wrong.ex.is_transposed = turned
        assert not torch.allclose(changed.eval()(X), y, atol=1e-2)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("kind", ["attention", "stack", "matrix", "all", "endings"])
def test_our_folder_computes_the_same_there(kind, turned, tmp_path):
    ours = moved(cl.adapt(Net(turned), ad.LoRA(2, alpha=6), where=PLACES[kind]))
    cl.save_adapter(ours, tmp_path)
    assert json.loads((tmp_path / "adapter_config.json").read_text())["peft_type"] == "LORA"
    again = peft.PeftModel.from_pretrained(Net(turned), tmp_path).eval()
    assert torch.allclose(again(X), ours(X), rtol=1e-4, atol=1e-4) and not torch.allclose(ours(X), Net(turned)(X), atol=1e-2)
    assert torch.allclose(cl.load_adapter(Net(turned), tmp_path).eval()(X), ours(X), atol=1e-5)


def test_peft_adds_the_change_of_an_output_projection_twice():
    other = peft.get_peft_model(Net(), peft.LoraConfig(r=2, lora_alpha=6, target_modules=["att"]))
    inner = moved(other).base_model.model.att
    plain = Net()
    with torch.no_grad():
        plain.att.in_proj_weight += inner.get_delta_weight("default")
        change = inner.base_layer.out_proj.get_delta_weight("default")
        once, double = copy.deepcopy(plain), plain
        once.att.out_proj.weight += change
        double.att.out_proj.weight += 2 * change
    assert torch.allclose(other(X), double(X), atol=1e-4) and not torch.allclose(other(X), once(X), atol=1e-2)


def test_what_peft_cannot_hold_there_is_kept_by_our_format(tmp_path):
    for adapter, where in ((ad.DoRA(2), "*.w1"), (ad.LoRA(2), "att.in_proj_weight"), (ad.LoRA(2, dropout=0.1), "*.m"), (ad.HRA(2), "att")):
        ours = moved(cl.adapt(Net(), adapter, where=where))
        cl.save_adapter(ours, tmp_path)
        assert json.loads((tmp_path / "adapter_config.json").read_text())["format"] == "catlearn.adapter/1"
        assert torch.allclose(cl.load_adapter(Net(), tmp_path).eval()(X), ours(X), atol=1e-5)
