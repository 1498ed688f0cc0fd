"""Files with ranks and scales of each layer's own, in peft's patterns and ours; files of LyCORIS and kohya, against their equations."""

import json

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import catlearn as cl
from catlearn import adapters as ad
from catlearn import errors
from tests.adapters.cases import CASES
from tests.adapters.scattered import scattered
from tests.adapters.test_laws import adapted, layers_of

peft = pytest.importorskip("peft")
pytestmark = pytest.mark.filterwarnings("ignore::Warning")
X = torch.randn(5, 16, generator=torch.Generator().manual_seed(2))


class Net(nn.Module):
    """Layers whose names end alike, so that a pattern may mean too many."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.block = nn.Linear(16, 24), nn.ModuleDict({"fc": nn.Linear(24, 24), "fc2": nn.Linear(24, 8)})
        self.conv = nn.Conv2d(4, 6, 3)

    def forward(self, x):
        return self.block["fc2"](self.block["fc"](torch.tanh(self.fc(x))))


def moved(model):
    return scattered(model, 0.2).eval()


# -- ranks and scales of each layer ----------------------------------------------------------------------------------------

PATTERNS = [
    ({"fc2": 2}, {}), ({"^fc": 5, "block.fc": 3}, {"block.*": 7}), ({}, {"^fc": 1}), ({"fc": 4}, {"fc2": 3, "^fc": 9}),
]  # fmt: skip


@pytest.mark.parametrize("ranks, alphas", PATTERNS)
@pytest.mark.parametrize("more", [{}, {"use_rslora": True}, {"use_dora": True}, {"use_dora": True, "use_rslora": True}], ids=str)
def test_a_folder_of_peft_s_with_patterns_gives_the_same_model(ranks, alphas, more, tmp_path):
    config = peft.LoraConfig(r=6, lora_alpha=5, target_modules=["fc", "fc2"], rank_pattern=ranks, alpha_pattern=alphas, **more)
    other = moved(peft.get_peft_model(Net(), config))
    other.save_pretrained(tmp_path)
    ours = cl.load_adapter(Net(), tmp_path).eval()
    assert torch.allclose(ours(X), other(X), rtol=1e-4, atol=2e-5) and not torch.allclose(ours(X), Net()(X), atol=1e-3)
    if alphas:  # a mutant: the scales forgotten
        config = json.loads((tmp_path / "adapter_config.json").read_text())
        (tmp_path / "adapter_config.json").write_text(json.dumps({**config, "alpha_pattern": {}}))
        assert not torch.allclose(cl.load_adapter(Net(), tmp_path).eval()(X), other(X), atol=1e-3)


@pytest.mark.parametrize("kind", [peft.LoHaConfig, peft.LoKrConfig])
def test_loha_and_lokr_have_patterns_too(kind, tmp_path):
    config = kind(r=3, alpha=4, target_modules=["fc", "fc2"], rank_pattern={"fc2": 2}, alpha_pattern={"^fc": 9})
    other = moved(peft.get_peft_model(Net(), config))
    other.save_pretrained(tmp_path)
    assert torch.allclose(cl.load_adapter(Net(), tmp_path).eval()(X), other(X), rtol=1e-4, atol=2e-5)


def three(kind, **options):
    """Three layers with ranks and scales of their own under one name."""
    model = Net()
    for layer, rank, alpha in (("fc", 2, None), ("block.fc", 3, 5), ("block.fc2", 2, 7)):
        model = cl.adapt(model, kind(rank, alpha=alpha, **options), where=lambda path, _, layer=layer: path == layer)
    return moved(model)


@pytest.mark.parametrize("kind", [ad.LoRA, ad.RsLoRA, ad.DoRA, ad.LoHa, ad.LoKr])
def test_ranks_of_each_layer_go_to_peft_and_come_back(kind, tmp_path):
    ours = three(kind)
    cl.save_adapter(ours, tmp_path)
    other = peft.PeftModel.from_pretrained(Net(), tmp_path).eval()
    assert torch.allclose(other(X), ours(X), rtol=1e-4, atol=2e-5) and not torch.allclose(ours(X), Net()(X), atol=1e-3)
    again = cl.load_adapter(Net(), tmp_path).eval()
    assert torch.allclose(again(X), ours(X), atol=1e-6) and again.fc.adapters.weight.default.adapter.rank == 2


def test_concatenated_ranks_are_saved_for_peft(tmp_path):
    model = moved(cl.adapt(cl.adapt(Net(), ad.LoRA(2), where="fc|block.fc", name="a"), ad.LoRA(3), where="fc", name="b"))
    cl.save_adapter(ad.concatenate(model, {"a": 0.5, "b": 2.0}, "both"), tmp_path, "both")
    assert torch.allclose(peft.PeftModel.from_pretrained(Net(), tmp_path).eval()(X), model(X), rtol=1e-4, atol=2e-5)


def test_our_own_format_holds_options_of_each_layer(tmp_path):
    ours = three(ad.BiLoRA)
    cl.save_adapter(ours, tmp_path)
    assert sorted(json.loads((tmp_path / "adapter_config.json").read_text())["each"]) == ["block.fc", "block.fc2"]
    assert torch.allclose(cl.load_adapter(Net(), tmp_path).eval()(X), ours(X), atol=1e-6)


@pytest.mark.parametrize("patterns, text", [
    ({"rank_pattern": {"(": 2}}, "regular expression"), ({"alpha_pattern": {"fc": "3"}}, "needed: a number"),
    ({"rank_pattern": {"fc": 2}, "peft_type": "HRA"}, "not read"), ({"rank_pattern": {"fc": 99}}, "does not fit"),
])  # fmt: skip
def test_bad_patterns_are_refused_and_nothing_is_loaded(patterns, text, tmp_path):
    adapter = ad.HRA(2) if "peft_type" in patterns else ad.LoRA(2)
    cl.save_adapter(cl.adapt(Net(), adapter, where="fc"), tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps({**config, **patterns}))
    model = Net()
    with pytest.raises(errors.BadAdapterFile, match=text):
        cl.load_adapter(model, tmp_path)
    assert type(model.fc) is nn.Linear


def test_a_name_that_one_layer_has_already_leaves_every_layer_as_it_was(tmp_path):
    cl.save_adapter(three(ad.LoRA), tmp_path)
    model = cl.adapt(Net(), ad.LoRA(2), where="block.fc2")
    with pytest.raises(errors.BadAdapter, match="already"):
        cl.load_adapter(model, tmp_path)
    assert type(model.fc) is nn.Linear and type(model.block["fc"]) is nn.Linear


# -- LyCORIS and kohya ---------------------------------------------------------------------------------------------------


def drawn(*shape):
    return 0.3 * torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def lora(o, i, r=2):
    return {"lora_down.weight": drawn(r, i), "lora_up.weight": drawn(o, r), "alpha": torch.tensor(3.0)}


def change(W, t):
    """The weight by the equations of the formats, written out."""
    s = lambda r: float(t["alpha"]) / r if "alpha" in t and float(t["alpha"]) else 1.0  # noqa: E731
    if "lora_down.weight" in t:
        down, up = t["lora_down.weight"], t["lora_up.weight"]
        V = W + s(len(down)) * torch.einsum("or,ri->oi", up.flatten(1), down.flatten(1)).reshape(W.shape)
        return V if "dora_scale" not in t else V * t["dora_scale"] / V.norm(dim=1, keepdim=True)
    if "hada_w1_a" in t:
        return W + s(len(t["hada_w1_b"])) * ((t["hada_w1_a"] @ t["hada_w1_b"]) * (t["hada_w2_a"] @ t["hada_w2_b"])).reshape(W.shape)
    first = t["lokr_w1"] if "lokr_w1" in t else t["lokr_w1_a"] @ t["lokr_w1_b"]
    second = t["lokr_w2"] if "lokr_w2" in t else t["lokr_w2_a"] @ t["lokr_w2_b"]
    ranks = [len(t[key]) for key in ("lokr_w1_b", "lokr_w2_b") if key in t]
    return W + (s(ranks[0]) if ranks else 1.0) * torch.kron(first, second).reshape(W.shape)


PLAIN = lora(24, 16)
LOHA = {"hada_w1_a": drawn(24, 2), "hada_w1_b": drawn(2, 16), "hada_w2_a": drawn(24, 2), "hada_w2_b": drawn(2, 16)}
ONE = torch.tensor(1.0)
LAYERS = {  # of the layer fc, 16 → 24
    "lora": PLAIN, "lora without alpha": {k: v for k, v in PLAIN.items() if k != "alpha"}, "lora with alpha 0": {**PLAIN, "alpha": 0 * ONE},
    "dora": {**PLAIN, "dora_scale": 1 + drawn(24, 1).abs()}, "loha": {**LOHA, "alpha": ONE},
    "lokr": {"lokr_w1": drawn(4, 4), "lokr_w2_a": drawn(6, 2), "lokr_w2_b": drawn(2, 4), "alpha": ONE},
    "lokr of matrices": {"lokr_w1": drawn(4, 4), "lokr_w2": drawn(6, 4), "alpha": ONE},
    "lokr of factors": {"lokr_w1_a": drawn(4, 1), "lokr_w1_b": drawn(1, 4), "lokr_w2": drawn(6, 4), "alpha": 3 * ONE},
    "lokr of factors twice": {"lokr_w1_a": drawn(4, 2), "lokr_w1_b": drawn(2, 4), "lokr_w2_a": drawn(6, 2), "lokr_w2_b": drawn(2, 4),
                              "alpha": 3 * ONE},
    "lokr of another factor": {"lokr_w1": drawn(2, 2), "lokr_w2_a": drawn(12, 2), "lokr_w2_b": drawn(2, 8), "alpha": ONE},
    "lokr of two factors": {"lokr_w1": drawn(3, 8), "lokr_w2_a": drawn(8, 1), "lokr_w2_b": drawn(1, 2), "alpha": 2 * ONE},
    "lokr of a high rank": {"lokr_w1": drawn(4, 4), "lokr_w2_a": drawn(6, 4), "lokr_w2_b": drawn(4, 4), "alpha": ONE},
}  # fmt: skip


def written(tmp_path, tensors, name="adapter.safetensors"):
    save_file({k: v.clone().contiguous() for k, v in tensors.items()}, tmp_path / name)
    return tmp_path / name


@pytest.mark.parametrize("prefix", ["lora_unet_", "lycoris_", "diffusion_model."])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_of_a_file_is_its_equation(kind, prefix, tmp_path):
    t = LAYERS[kind]
    model = cl.load_adapter(Net(), written(tmp_path, {f"{prefix}fc.{k}": v for k, v in t.items()})).eval()
    W = Net().fc.weight
    assert torch.allclose(model.fc(X), nn.functional.linear(X, change(W, t), model.fc.bias), atol=1e-5)
    if "alpha" in t and float(t["alpha"]) and kind != "lokr of matrices":  # a mutant: the scale forgotten
        assert not torch.allclose(model.fc(X), nn.functional.linear(X, change(W, {**t, "alpha": 0 * ONE}), model.fc.bias), atol=1e-3)


def test_flattened_names_of_many_layers_ranks_of_their_own_and_convolutions(tmp_path):
    conv = {"lora_down.weight": drawn(2, 4, 3, 3), "lora_up.weight": drawn(6, 2, 1, 1), "alpha": ONE}
    groups = {"fc": lora(24, 16), "block_fc": lora(24, 24, 3), "block_fc2": lora(8, 24), "conv": conv}
    path = written(tmp_path, {f"lora_unet_{layer}.{k}": v.half() for layer, t in groups.items() for k, v in t.items()})
    model = cl.load_adapter(Net(), path).eval()
    for layer, t in groups.items():
        found = model.get_submodule(layer.replace("block_", "block."))
        W = Net().get_submodule(layer.replace("block_", "block.")).weight
        want = change(W, {k: v.half().float() for k, v in t.items()})
        assert torch.allclose(found.adapters["weight"].effective(found._parameters["weight"]), want, atol=1e-5)
    kron = {"lokr_w1": drawn(3, 2), "lokr_w2": drawn(2, 2, 3, 3)}  # a kernel's axes stand in the second factor
    other = cl.load_adapter(Net(), written(tmp_path, {f"lycoris_conv.{k}": v for k, v in kron.items()}, "kron.safetensors")).conv
    want = Net().conv.weight + torch.kron(kron["lokr_w1"][..., None, None], kron["lokr_w2"])
    assert torch.allclose(other.adapters["weight"].effective(other._parameters["weight"]), want, atol=1e-5)
    cl.save_adapter(model, tmp_path / "again")
    assert torch.allclose(cl.load_adapter(Net(), tmp_path / "again").eval()(X), model(X), atol=1e-6)


BAD = {
    "of another model": ({f"lora_unet_other.{k}": v for k, v in PLAIN.items()}, "no layer: lora_unet_other"),
    "a Tucker core": ({"fc.lora_mid.weight": ONE, **{f"fc.{k}": v for k, v in PLAIN.items()}}, "not understood: fc.lora_mid"),
    "a factor that is missing": ({"fc.lora_down.weight": drawn(2, 16)}, "no LoRA, LoHa or LoKr"),
    "norms of columns": ({f"fc.{k}": v for k, v in {**PLAIN, "dora_scale": drawn(1, 16)}.items()}, "24 rows"),
    "other sizes": ({f"fc.{k}": v for k, v in lora(24, 15).items()}, "needed"),
    "other Kronecker sizes": ({f"fc.{k}": v for k, v in {"lokr_w1": drawn(3, 3), "lokr_w2": drawn(3, 3)}.items()}, "must multiply"),
    "one layer twice": ({f"{p}fc.{k}": v.clone() for p in ("lora_unet_", "lora_te_") for k, v in PLAIN.items()}, "mean one layer"),
    "no number": ({f"fc.{k}": v * float("nan") for k, v in PLAIN.items()}, "not finite"),
    "nothing": ({}, "another model"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_file_that_does_not_fit_is_refused_and_nothing_is_loaded(what, tmp_path):
    tensors, text = BAD[what]
    model = Net()
    with pytest.raises(errors.BadAdapterFile, match=text):
        cl.load_adapter(model, written(tmp_path, tensors))
    assert type(model.fc) is nn.Linear


def test_names_that_flatten_alike_and_files_that_are_none(tmp_path):
    model = nn.ModuleDict({"a": nn.ModuleDict({"b": nn.Linear(16, 24)}), "a_b": nn.Linear(16, 24)})
    with pytest.raises(errors.BadAdapterFile, match=r"a\.b or a_b"):
        cl.load_adapter(model, written(tmp_path, {f"lora_unet_a_b.{k}": v for k, v in PLAIN.items()}))
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    with pytest.raises(errors.BadAdapterFile, match="cannot be read"):
        cl.load_adapter(Net(), tmp_path / "bad.safetensors")


# -- every method ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=[f"{k}-{c}" for k, c in enumerate(CASES)])
def test_every_method_is_read_back_as_it_was_written_without_the_data_that_it_started_from(case, tmp_path):
    model = adapted(case)
    cl.save_adapter(model, tmp_path)
    other = layers_of(case)
    with torch.no_grad():
        for p in other.parameters():
            p.add_(1e-3)  # what a start computes from another weight, which must not be kept
    again = cl.load_adapter(other, tmp_path)
    if "peft_type" in json.loads((tmp_path / "adapter_config.json").read_text()):
        return  # its tensors are compared in test_peft.py
    state, passing = again.state_dict(), (".step", ".task", ".draw")
    wanted = {key: t for key, t in model.state_dict().items() if ".adapters." in key and not key.endswith(passing)}
    assert wanted and all(torch.equal(state[key], t) for key, t in wanted.items())


def test_options_that_peft_has_not_are_kept_by_our_format(tmp_path):
    for adapter in (ad.LoRA(2, train="B"), ad.DeLoRA(2, frozen_copy=True)):
        model = cl.adapt(nn.Sequential(nn.Linear(6, 5)), adapter)
        cl.save_adapter(model, tmp_path)
        again = cl.load_adapter(nn.Sequential(nn.Linear(6, 5)), tmp_path)
        assert again[0].adapters["weight"]["default"].adapter == adapter
