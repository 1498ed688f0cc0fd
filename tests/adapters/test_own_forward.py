"""Layers with a forward of their own, biases that go with packed weights, and what is passed over: nothing is silent."""

import copy
import re
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

import catlearn as cl
from catlearn import adapters as ad
from catlearn import errors
from tests.adapters.scattered import scattered


class Same(nn.Conv2d):
    """As in image models: padded so that strides do not lose an edge."""

    def forward(self, x):
        return F.conv2d(F.pad(x, (1, 2, 0, 1)), self.weight, self.bias, self.stride, groups=self.groups)


class Loud(nn.Linear):
    def forward(self, x):
        return 3 * super().forward(x) + self.weight.sum()


class Wide(nn.Embedding):
    def forward(self, index):
        return super().forward(index) * self.embedding_dim**0.5


IMAGE, ROWS = torch.randn(2, 4, 6, 6, dtype=torch.float64), torch.randn(3, 5, dtype=torch.float64)
INDEX = torch.tensor([[1, 2, 0], [3, 3, 4]])
LAYERS = {
    "conv": (lambda: Same(4, 6, 3, stride=2), IMAGE), "grouped": (lambda: Same(4, 6, 3, groups=2), IMAGE),
    "linear": (lambda: Loud(5, 4), ROWS), "embedding": (lambda: Wide(6, 5), INDEX), "bag": (lambda: nn.EmbeddingBag(6, 5), INDEX),
    "transposed": (lambda: nn.ConvTranspose2d(4, 6, 3, stride=2), IMAGE),
    "transposed, grouped": (lambda: nn.ConvTranspose2d(4, 6, 3, groups=2), IMAGE),
}  # fmt: skip


def layer(name):
    torch.manual_seed(0)
    return LAYERS[name][0]().double()


def as_stored(change, like, name):
    """A change (out, in) in the layout of the stored weight: rows are outputs of one group."""
    if name.startswith("transposed"):
        inputs, outputs, *kernel = like.shape
        return change.reshape(outputs, inputs, *kernel).transpose(0, 1)
    return change.t() if name in ("embedding", "bag") else change.reshape(like.shape)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_with_its_own_forward_runs_it_on_the_adapted_weight(name):
    x = LAYERS[name][1]
    model = scattered(cl.adapt(layer(name), ad.LoRA(2)))
    cell, want = model.adapters["weight"]["default"], layer(name)
    change = as_stored(cell.B @ cell.A, want.weight, name)
    with torch.no_grad():
        want.weight.add_(change)
    y = model(x)
    assert torch.allclose(y, want(x), rtol=1e-10) and not torch.allclose(y, layer(name)(x))
    weight = layer(name).weight.detach() + as_stored(cell.B @ cell.A, want.weight, name)
    again = torch.func.functional_call(layer(name), {"weight": weight}, (x,))
    got, wanted = (torch.autograd.grad(v.square().sum(), [cell.A, cell.B]) for v in (y, again))
    assert all(torch.allclose(a, b, rtol=1e-9) for a, b in zip(got, wanted, strict=True))
    assert torch.allclose(cl.merge(model)(x), y, rtol=1e-10)
    plain = cl.merge(cl.unmerge(model), keep_base=False)
    assert type(plain) is type(layer(name)) and torch.allclose(plain(x), y, rtol=1e-10)
    torch._dynamo.reset()
    again = scattered(cl.adapt(layer(name), ad.LoRA(2)))
    assert torch.allclose(torch.compile(again, fullgraph=True, backend="eager")(x), y, rtol=1e-10)


def test_the_forward_of_a_plain_convolution_would_be_another():
    model = layer("conv")
    mutant = nn.Conv2d(4, 6, 3, stride=2).double()
    mutant.load_state_dict(model.state_dict())
    assert model(IMAGE).shape != mutant(IMAGE).shape


@pytest.mark.parametrize("adapter", [ad.FLoRA(2), ad.CPLoRA(2), ad.LoHa(2), ad.DoRA(2), ad.HRA(2)], ids=lambda a: type(a).__name__)
def test_methods_of_every_kind_act_on_turned_kernels_and_their_own_forward(adapter):
    for name in ("conv", "transposed"):
        model, x = scattered(cl.adapt(layer(name), adapter)), LAYERS[name][1]
        y = model(x)
        assert torch.allclose(cl.merge(model, keep_base=False)(x), y, rtol=1e-9) and not torch.allclose(y, layer(name)(x))
    turned, straight = nn.ConvTranspose2d(4, 6, 3).double(), nn.Conv2d(4, 6, 3).double()
    with torch.no_grad():
        straight.weight.copy_(turned.weight.transpose(0, 1))
    changes = [scattered(cl.adapt(m, adapter)).adapters["weight"].effective(m._parameters["weight"]) for m in (turned, straight)]
    assert torch.allclose(changes[0].transpose(0, 1), changes[1], rtol=1e-9)


# -- biases ----------------------------------------------------------------------------------------------------------------

GAINED = {
    "out_proj": ("out_proj.weight", "out_proj.bias"), "in_proj_weight": ("in_proj_weight", "in_proj_bias"),
    "linear1": ("linear1.weight", "linear1.bias"), "loud": ("weight", "bias"), "weight_ih_l0": ("weight_ih_l0", "bias_ih_l0"),
}  # fmt: skip


def gained(place):
    torch.manual_seed(0)
    if place in ("out_proj", "in_proj_weight"):
        model, x = nn.MultiheadAttention(8, 2, batch_first=True), torch.randn(2, 3, 8, dtype=torch.float64)
        run = lambda m: m(x, x, x, need_weights=False)[0]  # noqa: E731
    elif place == "linear1":
        model, x = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True, dropout=0.0), torch.randn(2, 3, 8, dtype=torch.float64)
        run = lambda m: m(x)  # noqa: E731
    elif place == "loud":
        model, x = Loud(5, 4), ROWS
        run = lambda m: m(x)  # noqa: E731
    else:
        model, x = nn.LSTM(5, 4), ROWS
        run = lambda m: m(x)[0]  # noqa: E731
    for name, p in model.named_parameters():
        if "bias" in name:
            nn.init.normal_(p)
    return model.double(), run


@pytest.mark.parametrize("place", GAINED)
@pytest.mark.parametrize("training", [True, False])
def test_a_gain_of_outputs_gains_the_bias_that_goes_with_the_weight(place, training):
    weight, bias = GAINED[place]
    (model, run), (want, _) = gained(place), gained(place)
    scattered(cl.adapt(model, ad.IA3(), where="*" if place == "loud" else place)).train(training)
    (l,) = [p for p in model.parameters() if p.requires_grad]
    with torch.no_grad():
        want.get_parameter(weight).mul_(l[:, None])
        mutant = copy.deepcopy(want).train(training)  # what was computed once: the bias as it was
        want.get_parameter(bias).mul_(l)
        y = run(model)
        assert torch.allclose(y, run(want.train(training)), rtol=1e-9) and not torch.allclose(y, run(mutant))
        assert torch.allclose(run(cl.merge(model)), y, rtol=1e-9)
        assert torch.allclose(run(cl.unmerge(model)), y, rtol=1e-9)
        assert torch.allclose(run(cl.merge(model, keep_base=False)), y, rtol=1e-9)


class Bare(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.randn(4, 5, dtype=torch.float64))

    def forward(self, x):
        return x @ self.w.t()


def test_a_method_that_adds_a_bias_is_refused_where_none_can_be():
    for model, where in ((Bare(), "w"), (nn.Embedding(6, 5), "*"), (nn.ConvTranspose2d(4, 6, 3, groups=2), "*")):
        keys = list(model.state_dict())
        with pytest.raises(errors.CannotAdapt, match="changes the bias"):
            cl.adapt(model, ad.VectorFit(), where=where)
        assert list(model.state_dict()) == keys
    model = scattered(cl.adapt(Bare(), ad.IA3(), where="w"))  # a gain of no bias is none
    y = model(ROWS)
    assert torch.allclose(cl.merge(model, keep_base=False)(ROWS), y)
    tied = nn.ModuleDict({"a": nn.Linear(4, 4), "b": nn.Linear(4, 4)})
    tied["b"].weight = tied["a"].weight
    with pytest.raises(errors.CannotAdapt, match="b with the same weight"), pytest.warns(ad.TiedWeight):
        cl.adapt(tied, ad.IA3())


def test_a_layer_that_follows_another_is_not_adapted_by_itself():
    tied = nn.ModuleDict({"a": nn.Linear(4, 4, bias=False), "b": nn.Linear(4, 4, bias=False)})
    tied["b"].weight = tied["a"].weight
    with pytest.warns(ad.TiedWeight):
        cl.adapt(tied, ad.LoRA(1))
    with pytest.warns(ad.TiedWeight), pytest.raises(errors.BadAdapter, match="shares its weight"):
        cl.adapt(tied, ad.LoRA(1), where="b", name="other")
    other = nn.ModuleDict({"a": nn.Linear(4, 4, bias=False), "b": nn.Linear(4, 4, bias=False)})
    other["b"].weight = other["a"].weight
    with pytest.warns(ad.TiedWeight):
        cl.adapt(other, ad.LoRA(1), where="b")
    with pytest.warns(ad.TiedWeight), pytest.raises(errors.BadAdapter, match="adapters of its own"):
        cl.adapt(other, ad.LoRA(1), name="other")


# -- once in a forward pass ------------------------------------------------------------------------------------------------


def test_a_weight_that_is_read_often_counts_one_step_and_draws_once():
    model = cl.adapt(nn.MultiheadAttention(8, 2), ad.SingLoRA(2, ramp=10)).train()
    x = torch.randn(3, 1, 8)
    for _ in range(4):
        model(x, x, x)
    assert int(model.adapters["in_proj_weight"]["default"].step) == 4
    assert int(model.out_proj.adapters["weight"]["default"].step) == 4


def test_a_forward_that_runs_again_for_its_activations_is_no_further_step():
    torch.manual_seed(0)
    model = nn.Sequential(scattered(cl.adapt(nn.Linear(6, 6).double(), ad.SingLoRA(2, ramp=5)))).train()
    plain = copy.deepcopy(model)
    x = torch.randn(2, 6, dtype=torch.float64, requires_grad=True)
    for _ in range(3):
        grads = []
        for run in (lambda: checkpoint(model, x, use_reentrant=False), lambda: plain(x)):
            grads.append(torch.autograd.grad(run().square().sum(), x)[0])
        assert torch.allclose(*grads, rtol=1e-12)
    assert int(model[0].adapters["weight"]["default"].step) == 3


# -- dropout ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("groups", [1, 2])
def test_dropout_of_a_convolution_drops_the_branch_s_inputs(groups):
    model = scattered(cl.adapt(nn.Conv2d(4, 6, 3, padding=1, groups=groups).double(), ad.LoRA(2, alpha=3, dropout=0.5))).train()
    cell, W = model.adapters["weight"]["default"], model._parameters["weight"]
    torch.manual_seed(5)
    y = model(IMAGE)
    torch.manual_seed(5)
    change = (1.5 * cell.B @ cell.A).reshape(W.shape)
    want = F.conv2d(IMAGE, W, model.bias, padding=1, groups=groups)
    want = want + F.conv2d(F.dropout(IMAGE, 0.5, True), change, padding=1, groups=groups)
    assert torch.allclose(y, want, rtol=1e-10) and not torch.allclose(y, model.eval()(IMAGE))


def test_dropout_between_the_factors_of_a_convolution_and_behind_norms():
    model = scattered(cl.adapt(nn.Conv1d(4, 6, 3).double(), ad.DropLoRA(2, between=0.5))).train()
    x = torch.randn(2, 4, 7, dtype=torch.float64)
    cell = model.adapters["weight"]["default"]
    torch.manual_seed(5)
    y = model(x)
    torch.manual_seed(5)
    inner = F.dropout(F.conv1d(x, cell.A.reshape(2, 4, 3)).mT, 0.5, True)
    assert torch.allclose(y, F.conv1d(x, model._parameters["weight"], model.bias) + (inner @ cell.B.t()).mT, rtol=1e-10)
    for adapter in (ad.DoRA(2, dropout=0.3), ad.DoRA(2, dropout=0.3, exact_dropout=True)):
        model = scattered(cl.adapt(nn.Conv2d(4, 6, 3).double(), adapter))
        quiet, many = model.eval()(IMAGE[:1]), model.train()(IMAGE[:1].expand(4000, -1, -1, -1)).mean(0)
        assert torch.allclose(many, quiet[0], atol=0.15) and not torch.allclose(model(IMAGE[:1]), quiet)


@pytest.mark.parametrize("exact", [False, True])
def test_dora_that_drops_next_to_nothing_is_dora(exact):
    """A rate of 1e-9 drops no entry of sixteen bits, so the formulas with dropout are compared with the one without, gradients too."""
    found = []
    for adapter in (ad.DoRA(2), ad.DoRA(2, dropout=1e-9, exact_dropout=exact)):
        model, x = scattered(cl.adapt(nn.Linear(6, 5).double(), adapter)).train(), torch.ones(4, 6, dtype=torch.float64).requires_grad_()
        with torch.no_grad():
            for k, p in enumerate(model.parameters()):
                p.copy_(torch.randn(p.shape, generator=torch.Generator().manual_seed(k)))
        y = model(x)
        found.append([y, *torch.autograd.grad(y.square().sum(), [x, *(p for p in model.parameters() if p.requires_grad)])])
    assert all(map(torch.allclose, *found))


def test_where_dropout_does_not_act_it_is_said():
    for model in (nn.Embedding(6, 5), nn.MultiheadAttention(8, 2), Same(4, 6, 3)):
        with pytest.warns(ad.NoDropout, match="does not act"):
            cl.adapt(model, ad.LoRA(2, dropout=0.1))
    with pytest.warns(ad.NoDropout, match="does not act"):
        cl.adapt(nn.Conv2d(4, 6, 3, groups=2), ad.DropLoRA(2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cl.adapt(nn.Sequential(nn.Linear(4, 4), nn.Conv2d(4, 4, 3, groups=2)), ad.LoRA(2, dropout=0.1))


def test_dropout_below_an_entrywise_product_is_refused_by_name():
    model = scattered(cl.adapt(cl.adapt(nn.Linear(6, 5).double(), ad.LoRA(2, dropout=0.5), name="a"), ad.HiRA(2), name="b")).train()
    x = torch.randn(4, 6, dtype=torch.float64)
    with pytest.raises(errors.BadAdapter, match="dropout inside"):
        model(x)
    model.eval()(x)
    normed = scattered(cl.adapt(cl.adapt(nn.Linear(6, 5).double(), ad.LoRA(2, dropout=0.5), name="a"), ad.DoRA(2), name="b")).train()
    assert torch.allclose(normed(x.expand(4000, 4, 6)).mean(0), normed.eval()(x), atol=0.2)


# -- passed over -----------------------------------------------------------------------------------------------------------


class Experts(nn.Module):
    def __init__(self):
        super().__init__()
        self.router, self.w1 = nn.Linear(4, 3), nn.Parameter(torch.randn(3, 4, 4))


def model():
    return nn.ModuleDict({
        "plain": nn.Linear(4, 4), "normed": nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)), "two": nn.Bilinear(3, 4, 5),
        "mlp": Experts(),
    })  # fmt: skip


@pytest.mark.parametrize("where, said", [
    ("*", ["normed .*parametrization", "two .*matrix of one input"]),
    (lambda name, module: isinstance(module, nn.Linear), ["normed .*parametrization"]),
    ("plain|normd", ["'normd': it matches nothing"]),
    ("plain|mlp", [r"mlp.w1: a bare parameter; where='plain\|mlp\|mlp.w1'"]),
])  # fmt: skip
def test_what_a_pattern_means_and_adapt_does_not_reach_is_said_with_the_reason(where, said):
    with pytest.warns(ad.Skipped) as caught:
        cl.adapt(model(), ad.LoRA(2), where=where)
    text = str(caught[0].message)

    assert len(caught) == 1 and text.count("\n") == len(said) and all(re.search(part, text) for part in said)


def test_nothing_is_said_where_everything_is_reached():
    for where in ("plain", "mlp|*.w1", lambda name, module: name == "plain", "plain|mlp.router"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            adapted = cl.adapt(model(), ad.LoRA(1), where=where)
        assert ad.active(adapted)


def test_what_has_no_shape_yet_and_what_has_only_bare_parameters_is_refused():
    with pytest.raises(errors.CannotAdapt, match="no numbers yet"):
        cl.adapt(nn.Sequential(nn.LazyLinear(4), nn.Linear(4, 4)), ad.LoRA(2))
    with pytest.raises(errors.CannotAdapt, match="normed"):
        cl.adapt(model(), ad.LoRA(2), where="normed")


def test_a_cell_of_a_recurrent_layer_is_a_known_place():
    cell = scattered(cl.adapt(nn.GRUCell(5, 4).double(), ad.LoRA(2)))
    assert list(ad.active(cell)) == ["weight_ih", "weight_hh"]
    y = cell(ROWS)
    assert torch.allclose(cl.merge(cell, keep_base=False)(ROWS), y, rtol=1e-9)


def test_a_failure_on_a_later_layer_changes_nothing():
    class Odd(nn.Linear):
        adapters = None

    for make, adapter, data in (
        (lambda: nn.Sequential(nn.Linear(6, 6), Odd(6, 6)), ad.LoRA(2), {}),
        (lambda: nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6)), ad.EVA(2), {"0": torch.randn(9, 6)}),
    ):
        made = make()
        with pytest.raises(errors.CatlearnError):
            cl.adapt(made, adapter, data=data)
        assert type(made[0]) is nn.Linear and all(p.requires_grad for p in made.parameters())
