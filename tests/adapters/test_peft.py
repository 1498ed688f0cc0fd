"""Against peft 0.21 itself: outputs, gradients and merged weights of one folder read by both, in both directions."""

import copy
import json
import warnings

import pytest
import torch
from torch import nn

import catlearn as cl
from catlearn import adapters as ad
from catlearn import errors
from catlearn.adapters.peft import ROWS
from tests.adapters.scattered import scattered

peft = pytest.importorskip("peft")
pytestmark = pytest.mark.filterwarnings("ignore::Warning")

METHODS = [
    ad.LoRA(3, alpha=5), ad.RsLoRA(3, alpha=5), ad.DoRA(3, alpha=5), ad.AdaLoRA(3, alpha=5), ad.IA3(), ad.IA3("in"), ad.LoHa(2, alpha=3),
    ad.LoKr(2, alpha=3), ad.LoKr(5, alpha=3), ad.OFT(4), ad.OFT(4, share=True), ad.BOFT(4), ad.HRA(4), ad.HRA(4, orthonormal=True),
    ad.RoAd(1, 4), ad.RoAd(2, 4), ad.RoAd(4, 4), ad.VeRA(5), ad.RandLoRA(3, alpha=4.0), ad.FourierFT(9, alpha=20.0), ad.C3A(4),
    ad.GraLoRA(4, alpha=3, k=2), ad.GraLoRA(4, alpha=3, k=2, hybrid=2), ad.MiSS(4), ad.MiSS(4, mini=3), ad.Bone(4), ad.DeLoRA(3),
    ad.HiRA(3), ad.VBLoRA(vectors=6, length=4, top=2, rank=2),
]  # fmt: skip
each = pytest.mark.parametrize("adapter", METHODS, ids=[f"{k}-{type(a).__name__}" for k, a in enumerate(METHODS)])


def base():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 24), nn.Tanh(), nn.Linear(24, 24), nn.Linear(24, 8))


def moved(model):
    return scattered(model, 0.2).eval()


def theirs(adapter, layers=("0", "2")):
    row = ROWS[type(adapter).__name__]
    options = row.options(adapter)
    if options.get("feedforward_modules") == "all":
        options["feedforward_modules"] = list(layers)
    kind = peft.PEFT_TYPE_TO_CONFIG_MAPPING[getattr(peft.PeftType, row.kind)]
    if type(adapter) is ad.RandLoRA:
        layers = layers[:1]  # peft numbers the bases of layers with other counts differently
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return moved(peft.get_peft_model(base(), kind(target_modules=list(layers), **options)))


X = torch.randn(5, 16, generator=torch.Generator().manual_seed(2))


def outputs_and_input_gradient(model):
    x = X.clone().requires_grad_()
    y = model(x)
    return y, torch.autograd.grad(y.square().sum(), x)[0]


@each
def test_a_folder_of_peft_s_gives_the_same_model_gradients_and_merged_weights(adapter, tmp_path):
    other = theirs(adapter)
    other.save_pretrained(tmp_path)
    ours = cl.load_adapter(base(), tmp_path).eval()
    pairs = list(zip(outputs_and_input_gradient(ours), outputs_and_input_gradient(other), strict=True))
    for a, b in pairs[:1] if type(adapter) is ad.C3A else pairs:  # peft's C3A has a wrong input gradient, see below
        assert torch.allclose(a, b, rtol=1e-4, atol=2e-5)
    assert not torch.allclose(ours(X), base()(X), atol=1e-3)
    row, cell = ROWS[type(adapter).__name__], ours[0].adapters["weight"]["default"]
    ours(X).square().sum().backward()
    other.zero_grad()
    other(X).square().sum().backward()
    grads = {n.replace(".default", ""): p.grad for n, p in other.named_parameters() if p.grad is not None}
    compared = 0
    for leaf, how in row.of(cell.adapter).items():
        p = getattr(cell, leaf, None)
        key = f"base_model.model.0.{how.suffix}"
        if p is not None and p.requires_grad and type(adapter) not in (ad.BOFT, ad.C3A):  # BOFT: peft's full blocks hold each entry twice
            got = grads.get(key, grads.get(key.removesuffix(".weight")))
            if got is not None:
                assert torch.allclose(how.there(p.grad), got, rtol=1e-3, atol=1e-4 * max(1, float(got.abs().max())))
                compared += 1
    assert compared or type(adapter) in (ad.BOFT, ad.C3A)
    merged = other.merge_and_unload()
    cl.merge(ours, keep_base=False)
    for k in (0, 2):
        assert torch.allclose(ours[k].weight, merged[k].weight, atol=2e-5)
        assert torch.allclose(ours[k].bias, merged[k].bias, atol=2e-5)


@each
def test_a_folder_of_ours_is_read_by_peft(adapter, tmp_path):
    ours = moved(cl.adapt(base(), adapter, where="0" if type(adapter) is ad.RandLoRA else "0|2"))
    cl.save_adapter(ours, tmp_path)
    other = peft.PeftModel.from_pretrained(base(), tmp_path).eval()
    assert torch.allclose(other(X), ours(X), rtol=1e-4, atol=2e-5) and not torch.allclose(ours(X), base()(X), atol=1e-3)
    again = cl.load_adapter(base(), tmp_path).eval()
    assert torch.allclose(again(X), ours(X), atol=1e-6)


def test_a_folder_with_one_factor_changed_gives_another_model(tmp_path):
    from safetensors.torch import load_file, save_file

    other = theirs(ad.LoRA(3, alpha=5))
    other.save_pretrained(tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    tensors = load_file(file)
    tensors["base_model.model.0.lora_B.weight"] *= 1.01
    save_file(tensors, file)
    assert not torch.allclose(cl.load_adapter(base(), tmp_path)(X), other(X), atol=1e-4)


def convolutions():
    torch.manual_seed(0)
    return nn.ModuleDict({"emb": nn.Embedding(9, 8), "conv": nn.Conv2d(4, 6, 3, padding=1)})


def test_embeddings_and_convolutions_of_lora_go_both_ways(tmp_path):
    config = peft.LoraConfig(r=2, lora_alpha=3, target_modules=["emb", "conv"])
    other = moved(peft.get_peft_model(convolutions(), config))
    other.save_pretrained(tmp_path / "theirs")
    ours = cl.load_adapter(convolutions(), tmp_path / "theirs")
    index, image = torch.tensor([[1, 2, 8]]), torch.randn(2, 4, 5, 5)
    assert torch.allclose(ours["emb"](index), other.base_model.model["emb"](index), atol=1e-5)
    assert torch.allclose(ours["conv"](image), other.base_model.model["conv"](image), atol=1e-5)
    cl.save_adapter(ours, tmp_path / "ours")
    back = peft.PeftModel.from_pretrained(convolutions(), tmp_path / "ours")
    assert torch.allclose(back.base_model.model["conv"](image), ours["conv"](image), atol=1e-5)
    assert torch.allclose(back.base_model.model["emb"](index), ours["emb"](index), atol=1e-5)


# -- where peft differs, and why -----------------------------------------------------------------------------------------


def two(adapter):
    """peft's model with two active adapters, both scattered, and ours with the same tensors in the same order."""
    row = ROWS[type(adapter).__name__]
    kind = peft.PEFT_TYPE_TO_CONFIG_MAPPING[getattr(peft.PeftType, row.kind)]
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(16, 16))
    options = {"target_modules": ["0"], **row.options(adapter)}
    other = peft.get_peft_model(copy.deepcopy(plain), kind(**options), adapter_name="a")
    other.add_adapter("b", kind(**options))
    other.base_model.set_adapter(["a", "b"])
    other = moved(other)
    for n, p in other.named_parameters():
        if ".b." in n or ".a." in n:
            with torch.no_grad():
                p.add_(0.2 * torch.randn(p.shape))
    ours = copy.deepcopy(plain)
    for name in "ab":
        cl.adapt(ours, adapter, name=name)
        cell = ours[0].adapters["weight"][name]
        for leaf, how in row.of(adapter).items():
            stem, _, tail = how.suffix.partition(".")
            theirs = dict(other.named_parameters())[f"base_model.model.0.{stem}.{name}{'.' + tail if tail else ''}"]
            with torch.no_grad():
                getattr(cell, leaf).copy_(how.back(theirs))
    return other, ours


def test_two_oft_adapters_merge_to_what_they_compute_which_peft_s_do_not():
    other, ours = two(ad.OFT(4))
    x = torch.randn(5, 16)
    y = other(x)
    ad.activate(ours, ["b", "a"])  # peft turns the input by a and then by b: the right action composes the other way round
    assert torch.allclose(ours(x), y, atol=1e-5)
    assert torch.allclose(cl.merge(ours)(x), y, atol=1e-5)
    assert not torch.allclose(other.merge_and_unload()(x), y, atol=1e-2)


def test_two_c3a_adapters_add_their_changes_which_peft_s_do_not():
    other, ours = two(ad.C3A(4))
    x = torch.randn(5, 16)
    y = ours(x)
    assert not torch.allclose(other(x), y, atol=1e-3)  # peft feeds the first adapter's output to the second
    assert torch.allclose(cl.merge(ours)(x), y, atol=1e-5)
    assert torch.allclose(other.merge_and_unload()(x), y, atol=1e-5)


def test_peft_s_c3a_has_an_input_gradient_that_is_not_the_derivative_of_its_output_and_ours_is():
    from peft.tuners.c3a.utils import BlockCircularConvolution, get_circulant_fast

    torch.manual_seed(0)
    w, x = torch.randn(3, 2, 4, dtype=torch.float64), torch.randn(8, dtype=torch.float64, requires_grad=True)
    D = get_circulant_fast(w)
    theirs = torch.autograd.functional.jacobian(lambda x: BlockCircularConvolution.apply(x, w), x)
    assert torch.allclose(BlockCircularConvolution.apply(x, w), D @ x) and not torch.allclose(theirs, D)
    model = cl.adapt(nn.Linear(8, 12, bias=False).double(), ad.C3A(4))
    with torch.no_grad():
        model.weight.zero_()
        model.adapters["weight"]["default"].kernel.copy_(w)
    assert torch.allclose(torch.autograd.functional.jacobian(model, x), D / 8)


def test_peft_s_default_oft_is_not_orthogonal_and_ours_is():
    layer = nn.Linear(32, 4)
    model = cl.adapt(layer, ad.OFT(32))
    cell = model.adapters["weight"]["default"]
    nn.init.normal_(cell.Q, std=0.3)
    R = cell.value("R", lambda: layer.weight)[0]
    assert torch.allclose(R @ R.t(), torch.eye(32), atol=1e-5)
    Q = ad.orthogonal.skew(cell.Q, 32)[0]
    cut = torch.eye(32) + 2 * Q + 2 * Q @ Q + 2 * Q @ Q @ Q + Q @ Q @ Q @ Q
    assert (cut @ cut.t() - torch.eye(32)).abs().max() > 1


# -- our own format, and refusals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("adapter", [ad.PiSSA(2), ad.SVFT(),
 ad.MoS(2, budget=2), ad.MSPLoRA(4), ad.SHiRA(2), ad.SNELL(4), ad.TLoRA((4, 4), (4, 6)),
                                     ad.FLoRA((2, 3)), ad.Hydra(2), ad.MHR(2)], ids=lambda a: type(a).__name__)  # fmt: skip
def test_methods_that_peft_lacks_have_a_format_of_their_own(adapter, tmp_path):
    def plain():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(16, 24), nn.Linear(24, 4))

    where = "0"
    ours = moved(cl.adapt(plain(), adapter, where=where))
    cl.save_adapter(ours, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    assert json.loads((tmp_path / "adapter_config.json").read_text())["method"] == type(adapter).__name__
    again = cl.load_adapter(plain(), tmp_path).eval()
    assert torch.equal(again(X), ours(X)) and not torch.allclose(ours(X), plain()(X), atol=1e-4)
    assert again[0].adapters["weight"]["default"].adapter == adapter


def test_a_folder_of_another_architecture_is_refused_with_names_and_shapes(tmp_path):
    cl.save_adapter(cl.adapt(base(), ad.LoRA(3), where="0|2"), tmp_path)
    with pytest.raises(errors.BadAdapterFile, match=r"0.A: given \(3, 16\), needed \(3, 15\)"):
        cl.load_adapter(nn.Sequential(nn.Linear(15, 24), nn.Tanh(), nn.Linear(24, 24)), tmp_path)
    with pytest.raises(errors.BadAdapterFile, match="not in the model: 2"):
        cl.load_adapter(nn.Sequential(nn.Linear(16, 24)), tmp_path)
    model = nn.Sequential(nn.Linear(16, 24), nn.Tanh(), nn.Linear(24, 2))
    with pytest.raises(errors.BadAdapterFile):
        cl.load_adapter(model, tmp_path)
    assert type(model[0]) is nn.Linear and model[0].weight.requires_grad


def test_not_finite_missing_and_unreadable_files_are_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    cl.save_adapter(cl.adapt(base(), ad.LoRA(3), where="0"), tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    good = load_file(file)
    for change, text in (
        ({"base_model.model.0.lora_A.weight": torch.full((3, 16), float("nan"))}, "not finite"),
        ({"extra": torch.ones(1)}, "extra"),
    ):
        save_file({**good, **change}, file)
        with pytest.raises(errors.BadAdapterFile, match=text):
            cl.load_adapter(base(), tmp_path)
    save_file({k: t for k, t in good.items() if "lora_A" in k}, file)
    with pytest.raises(errors.BadAdapterFile, match=r"missing: 0\.B"):
        cl.load_adapter(base(), tmp_path)
    file.write_bytes(b"no tensors")
    with pytest.raises(errors.BadAdapterFile, match="cannot be read"):
        cl.load_adapter(base(), tmp_path)
    with pytest.raises(errors.BadAdapterFile, match="cannot be read"):
        cl.load_adapter(base(), tmp_path / "nowhere")
