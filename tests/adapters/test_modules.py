"""Adapters on torch's own layers: what is adapted, what it computes, what a user may do with it, and what is refused."""

import copy
import warnings

import pytest
import torch
from torch import nn

import catlearn as cl
from catlearn import adapters as ad
from catlearn import errors


class Net(nn.Module):
    """One layer of every kind that can be adapted."""

    def __init__(self):
        super().__init__()
        self.emb, self.lin = nn.Embedding(11, 8), nn.Linear(8, 12)
        self.conv = nn.Conv1d(12, 12, 3, padding=1, groups=2)
        self.att, self.rnn = nn.MultiheadAttention(12, 3, batch_first=True), nn.LSTM(12, 6, batch_first=True)
        self.enc = nn.TransformerEncoderLayer(6, 2, 12, batch_first=True, dropout=0.0)
        self.w, self.norm = nn.Parameter(torch.randn(3, 4, 6)), nn.LayerNorm(12)

    def forward(self, index):
        x = self.norm(self.lin(self.emb(index)))
        x = self.conv(x.mT).mT
        x, _ = self.att(x, x, x, need_weights=False)
        x, _ = self.rnn(x)
        return torch.einsum("bti,eoi->bteo", self.enc(x), self.w)


def net():
    torch.manual_seed(0)
    return Net().double().eval()


def noisy(model, scale=0.3):
    torch.manual_seed(1)
    for p in model.parameters():
        if p.requires_grad:
            nn.init.normal_(p, std=scale)
    return model


INDEX = torch.tensor([[1, 2, 3, 10], [4, 4, 0, 7]])
PLACES = ["emb", "lin", "conv", "att.in_proj_weight", "att.out_proj", "rnn.weight_ih_l0", "rnn.weight_hh_l0", "enc.linear1",
          "enc.self_attn.in_proj_weight", "enc.self_attn.out_proj", "enc.linear2", "w"]  # fmt: skip
TENSORS = {
    "emb": "emb.weight",
    "lin": "lin.weight",
    "conv": "conv.weight",
    "att.out_proj": "att.out_proj.weight",
    "enc.linear1": "enc.linear1.weight",
    "enc.linear2": "enc.linear2.weight",
    "enc.self_attn.out_proj": "enc.self_attn.out_proj.weight",
}


def by_hand(base, changes):
    """The base with changes added to its tensors: what adapting these places has to compute."""
    model = copy.deepcopy(base)
    with torch.no_grad():
        for name, change in changes.items():
            model.get_parameter(name).add_(change)
    return model


@pytest.mark.parametrize("place", PLACES)
def test_lora_on_a_place_is_the_model_with_that_tensor_changed_by_hand(place):
    base = net()
    model = noisy(cl.adapt(net(), ad.LoRA(2), where=place))
    found = {n.rpartition(".")[2]: p for n, p in model.named_parameters() if p.requires_grad}
    A, B, name = found["A"], found["B"], TENSORS.get(place, place)
    change = B @ A
    if place == "emb":
        change = change.t()
    want = by_hand(base, {name: change.reshape(base.get_parameter(name).shape)})
    for grad in (True, False):  # without gradients torch takes other kernels, which read weights by themselves
        with torch.set_grad_enabled(grad):
            assert torch.allclose(model(INDEX), want(INDEX), rtol=1e-9, atol=1e-9)
    assert not torch.allclose(model(INDEX), base(INDEX))
    model(INDEX).sum().backward()
    assert A.grad is not None and B.grad.abs().max() > 0


def test_everything_at_once_merges_and_leaves_as_it_came():
    base, model = net(), net()
    keys = list(model.state_dict())
    model = noisy(cl.adapt(model, ad.LoRA(2), where="*|*.w|w"))
    assert {n for n, p in model.named_parameters() if p.requires_grad} == {n for n, _ in model.named_parameters() if ".default." in n}
    assert [k for k in model.state_dict() if ".adapters." not in f".{k}"] == keys
    y = model(INDEX)
    with ad.disabled(model):
        assert torch.allclose(model(INDEX), base(INDEX), rtol=1e-12)
    assert torch.allclose(cl.merge(model)(INDEX), y, rtol=1e-9, atol=1e-9)
    assert torch.equal(cl.unmerge(model)(INDEX), y)
    again = copy.deepcopy(model)
    assert torch.equal(again(INDEX), y)
    plain = cl.merge(again, keep_base=False)
    assert list(plain.state_dict()) == keys and torch.allclose(plain(INDEX), y, rtol=1e-9, atol=1e-9)
    assert {type(m) for m in plain.modules()} == {type(m) for m in base.modules()}
    removed = cl.remove(model)
    assert [type(m) for m in removed.modules()] == [type(m) for m in base.modules()]
    assert all(torch.equal(v, base.state_dict()[k]) for k, v in removed.state_dict().items())
    assert torch.allclose(removed(INDEX), base(INDEX), rtol=1e-12)


def test_state_dict_loads_into_an_equally_adapted_model_and_the_base_s_into_the_base():
    one = noisy(cl.adapt(net(), ad.DoRA(2)))
    two = cl.adapt(net(), ad.DoRA(2))
    assert not torch.allclose(two(INDEX), one(INDEX))
    two.load_state_dict(one.state_dict())
    assert torch.equal(two(INDEX), one(INDEX))
    assert not two.load_state_dict(net().state_dict(), strict=False).unexpected_keys


def layer(seed=0):
    torch.manual_seed(seed)
    return nn.Linear(8, 6).double()


A, B, C = ad.LoRA(2), ad.HRA(2), ad.OFT(4)
X = torch.randn(5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


def single(adapter, seed):
    """The trained change of one adapter alone, as a function of any weight."""
    model = noisy(cl.adapt(layer(), adapter, seed=seed))
    return {n: p.detach() for n, p in model.adapters["weight"]["default"].named_parameters()}


def with_three():
    model = layer()
    for name, adapter in (("a", A), ("b", B), ("c", C)):
        cl.adapt(model, adapter, name=name)
    return noisy(model)


def dense_of(model, name):
    from tests.adapters.dense import DENSE

    cell = model.adapters["weight"][name]
    return lambda W: DENSE[type(cell.adapter).__name__](cell.adapter, W, dict(cell.named_parameters()))


@pytest.mark.parametrize("order", ["abc", "acb", "bac", "bca", "cab", "cba", "ab", "ba", "bc", "cb", "c"])
def test_a_stack_composes_in_its_order(order):
    model = ad.activate(with_three(), list(order))
    W = model._parameters["weight"]
    for name in order:
        W = dense_of(model, name)(W)
    want = nn.functional.linear(X, W, model.bias)
    assert torch.allclose(model(X), want, rtol=1e-10)
    if sorted(order) == ["b", "c"]:  # turning and reflecting do not commute, so the other order is a mutant
        other = dense_of(model, order[0])(dense_of(model, order[1])(model._parameters["weight"]))
        assert not torch.allclose(model(X), nn.functional.linear(X, other, model.bias))
    assert torch.allclose(cl.merge(model)(X), want, rtol=1e-10)


def test_a_sum_adds_changes_with_numbers_and_no_cross_terms():
    model = ad.activate(with_three(), {"a": 0.5, "b": 2.0, "c": -1.0})
    W = model._parameters["weight"]
    numbers = {"a": 0.5, "b": 2.0, "c": -1.0}
    want = W + sum(n * (dense_of(model, name)(W) - W) for name, n in numbers.items())
    assert torch.allclose(model(X), nn.functional.linear(X, want, model.bias), rtol=1e-10)


def test_two_loras_summed_are_not_the_product_of_summed_factors():
    model = layer()
    for name in "ab":
        cl.adapt(model, ad.LoRA(2), name=name)
    noisy(model)
    ad.activate(model, {"a": 0.5, "b": 0.5})
    cells = [model.adapters["weight"][name] for name in "ab"]
    crossed = sum(0.5 * c.B for c in cells) @ sum(0.5 * c.A for c in cells)
    right = sum(0.5 * c.B @ c.A for c in cells)
    y = model(X) - nn.functional.linear(X, model._parameters["weight"], model.bias)
    assert torch.allclose(y, X @ right.t(), rtol=1e-9) and not torch.allclose(y, X @ crossed.t())


def test_each_sample_may_have_its_own_adapter():
    model = with_three()
    x = X.unsqueeze(1).repeat(1, 3, 1)
    with ad.per_sample(model, ["a", None, "c", "a", "b"]):
        y = model(x)
    for row, name in enumerate(["a", None, "c", "a", "b"]):
        if name is None:
            with ad.disabled(model):
                assert torch.allclose(y[row], model(x[row]))
        else:
            assert torch.allclose(y[row], ad.activate(model, name)(x[row]))
    with ad.per_sample(model, ["a"]), pytest.raises(errors.BadAdapter, match="batch of 5"):
        model(x)
    attention = cl.adapt(nn.MultiheadAttention(8, 2), ad.LoRA(2))
    with pytest.raises(errors.BadAdapter, match="as a whole"), ad.per_sample(attention, ["default"]):
        pass


def test_conv_and_embedding_know_samples_too():
    for made, x in ((nn.Conv2d(4, 4, 3, groups=2), torch.randn(2, 4, 5, 5)), (nn.Embedding(9, 4), torch.tensor([[1, 2], [3, 3]]))):
        cl.adapt(made, ad.LoRA(2), name="a")
        cl.adapt(made, ad.LoRA(2), name="b")
        noisy(made)
        with ad.per_sample(made, ["b", "a"]):
            y = made(x)
        assert torch.allclose(y[:1], ad.activate(made, "b")(x[:1]), atol=1e-5)
        assert torch.allclose(y[1:], ad.activate(made, "a")(x[1:]), atol=1e-5)


def test_a_name_out_of_many_is_removed_alone():
    model = with_three()
    y = ad.activate(model, ["a", "c"])(X)
    cl.remove(model, "b")
    assert torch.equal(model(X), y) and sorted(model.adapters["weight"]) == ["a", "c"]
    cl.remove(model)
    assert type(model) is nn.Linear and "adapters" not in model._modules


# -- dropout -------------------------------------------------------------------------------------------------------------


def expected_by_many(model, x, n=4000):
    return model(x.expand(n, *x.shape)).mean(0)


def test_dropout_acts_on_the_branch_in_training_only_and_leaves_the_mean():
    torch.manual_seed(0)
    model = noisy(cl.adapt(layer(), ad.LoRA(2, dropout=0.5)))
    quiet = model.eval()(X)
    assert torch.equal(model(X), quiet)
    model.train()
    assert not torch.allclose(model(X), quiet)
    assert torch.allclose(expected_by_many(model, X[:1]), quiet[:1], atol=0.05)
    W = model._parameters["weight"]
    with torch.no_grad():
        model.adapters["weight"]["default"].B.zero_()
    assert torch.allclose(model(X), nn.functional.linear(X, W, model.bias))  # the base never drops


def test_dora_s_two_definitions_of_dropout_share_their_mean_and_differ_in_what_they_drop():
    torch.manual_seed(0)
    for exact in (False, True):
        model = noisy(cl.adapt(layer(), ad.DoRA(2, dropout=0.5, exact_dropout=exact)))
        quiet = model.eval()(X[:1])
        model.train()
        assert torch.allclose(expected_by_many(model, X[:1], 8000), quiet, atol=0.08)
        with torch.no_grad():  # without the branch only the exact definition still drops: (W' − W) acts on the dropped input
            model.adapters["weight"]["default"].B.zero_()
        assert torch.allclose(model(X), model(X)) != exact


def test_drop_lora_drops_components_and_not_inputs():
    torch.manual_seed(0)
    model = noisy(cl.adapt(layer(), ad.DropLoRA(2, between=0.5))).train()
    cell = model.adapters["weight"]["default"]
    change = model(X) - nn.functional.linear(X, model._parameters["weight"], model.bias)
    inner = X @ cell.A.t()
    found = torch.linalg.lstsq(cell.B, change.t()).solution.t() / inner  # each component is dropped or doubled
    assert torch.allclose(found * (found - 2), torch.zeros_like(found), atol=1e-8)
    assert 0 < (found > 1).sum() < found.numel()


# -- compilers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("adapter", [ad.LoRA(2), ad.DoRA(2), ad.HRA(2), ad.OFT(4), ad.VeRA(3), ad.C3A(2), ad.LoKr(1), ad.LoHa(2)],
                         ids=lambda a: type(a).__name__)  # fmt: skip
def test_a_compiled_model_computes_the_same_and_follows_a_switch(adapter):
    model = noisy(cl.adapt(nn.Sequential(layer(), nn.ReLU()), adapter, name="a"), 0.1)
    torch._dynamo.reset()  # one test's recompilations are not another's
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    y = model(X)
    assert torch.allclose(compiled(X), y)
    got = torch.autograd.grad(compiled(X).sum(), [p for p in model.parameters() if p.requires_grad])
    want = torch.autograd.grad(model(X).sum(), [p for p in model.parameters() if p.requires_grad])
    assert all(torch.allclose(a, b) for a, b in zip(got, want, strict=True))
    cl.adapt(model, ad.LoRA(2), name="b")
    ad.activate(noisy(model, 0.1), "b")
    assert torch.allclose(compiled(X), model(X)) and not torch.allclose(compiled(X), y)


@pytest.mark.parametrize("adapter", [ad.LoRA(2), ad.DoRA(2), ad.HRA(2), ad.OFT(4), ad.FourierFT(5)], ids=lambda a: type(a).__name__)
def test_an_exported_program_is_a_snapshot(adapter):
    model = noisy(cl.adapt(nn.Sequential(layer(), nn.ReLU()), adapter), 0.1).eval()
    y = model(X)
    program = torch.export.export(model, (X,), dynamic_shapes=({0: torch.export.Dim("batch", min=2)},))
    with ad.disabled(model):
        assert torch.allclose(program.module()(X), y)
        assert program.module()(X[:3]).shape == (3, 6)


def test_func_transforms_and_autocast_see_the_adapted_layer():
    model = noisy(cl.adapt(layer(), ad.LoRA(2)), 0.1)
    params = dict(model.named_parameters())
    y = torch.func.functional_call(model, {k: 2 * v for k, v in params.items()}, (X,))
    assert y.shape == (5, 6) and not torch.allclose(y, model(X))
    jac = torch.func.jacrev(lambda x: model(x))(X[0])
    assert torch.allclose(jac, model.adapters["weight"].effective(model.weight), rtol=1e-8)
    single = noisy(cl.adapt(layer().float(), ad.DoRA(2)), 0.1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.allclose(single(X.float()).float(), single(X.float()).float())


# -- selection and refusals ----------------------------------------------------------------------------------------------


def test_patterns_predicates_and_freezing():
    model = cl.adapt(net(), ad.LoRA(2), where="lin|enc.linear*")
    assert list(ad.active(model)) == ["lin.weight", "enc.linear1.weight", "enc.linear2.weight"]
    model = cl.adapt(net(), ad.LoRA(2), where=lambda name, module: isinstance(module, nn.Conv1d))
    assert list(ad.active(model)) == ["conv.weight"]
    for freeze, learns in (("all", 0), ("adapted", len(list(net().parameters())) - 1), ("none", len(list(net().parameters())))):
        model = cl.adapt(net(), ad.LoRA(2), where="lin", freeze=freeze)
        assert sum(p.requires_grad for n, p in model.named_parameters() if ".default." not in n) == learns
    first = cl.adapt(net(), ad.LoRA(2), where="lin", name="first")
    cl.adapt(first, ad.LoRA(2), where="lin", name="second")
    assert all(p.requires_grad for n, p in first.named_parameters() if ".first." in n)


def test_a_bare_parameter_is_meant_only_by_its_own_name():
    assert "w" not in ad.active(cl.adapt(net(), ad.LoRA(2), where="*"))
    model = noisy(cl.adapt(net(), ad.LoRA(2), where="w"))
    cell = model.adapters["w"]["default"]
    want = model._parameters["w"] + cell.B @ cell.A  # each of the three matrices has its own factors
    assert cell.A.shape == (3, 2, 6) and torch.allclose(model.w, want)


@pytest.mark.parametrize(
    "where, error", [("nothing", errors.NothingMatched), ("norm.weight", errors.CannotAdapt), ("norm", errors.CannotAdapt)]
)
def test_a_pattern_that_means_nothing_or_no_weight_lists_what_exists(where, error):
    model = net()
    with pytest.raises(error, match=r"lin|LayerNorm|norm"):
        cl.adapt(model, ad.LoRA(2), where=where)
    assert type(model.lin) is nn.Linear


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb, self.head = nn.Embedding(9, 6), nn.Linear(6, 9, bias=False)
        self.head.weight = self.emb.weight

    def forward(self, index):
        return self.head(self.emb(index))


def test_a_tied_weight_is_adapted_once_and_said_so():
    torch.manual_seed(0)
    model, base = Tied(), None
    base = copy.deepcopy(model)
    with pytest.warns(ad.TiedWeight, match="emb and head share"):
        cl.adapt(model, ad.LoRA(2))
    noisy(model)
    assert len([n for n, _ in model.named_parameters() if n.endswith(".A")]) == 1
    cell = model.emb.adapters["weight"]["default"]
    W = base.emb.weight + (cell.B @ cell.A).t()
    index = torch.tensor([[1, 2, 8]])
    assert torch.allclose(model(index), W[index] @ W.t(), atol=1e-5)
    cl.merge(model, keep_base=False)
    assert type(model.head) is nn.Linear and model.head.weight is model.emb.weight
    assert torch.allclose(model(index), W[index] @ W.t(), atol=1e-5)
    with pytest.warns(ad.TiedWeight, match="keep the weight as it is"):
        cl.adapt(Tied(), ad.LoRA(2), where="head")


def quantised():
    model = nn.Linear(4, 4)
    model._parameters["weight"] = nn.Parameter(torch.ones(4, 4, dtype=torch.int8), requires_grad=False)
    return model


REFUSED = [
    (lambda: cl.adapt(layer(), ad.LoRA(7)), errors.BadAdapter, "from 1 to 6"),
    (lambda: cl.adapt(layer(), ad.LoRA(0)), errors.BadAdapter, "from 1 to 6"),
    (lambda: cl.adapt(layer(), ad.OFT(3)), errors.BadAdapter, "divisor of 8"),
    (lambda: cl.adapt(layer(), ad.C3A(4)), errors.BadAdapter, "common divisor"),
    (lambda: cl.adapt(layer(), ad.HRA(3)), errors.BadAdapter, "even"),
    (lambda: cl.adapt(layer(), ad.LoRA(2, dropout=1.0)), errors.BadAdapter, "dropout"),
    (lambda: cl.adapt(layer(), ad.LoRA(2), freeze="some"), errors.BadAdapter, "all, adapted, none"),
    (lambda: cl.adapt(layer(), ad.LoRA(2), name="a.b"), errors.BadAdapter, "no name"),
    (lambda: cl.adapt(layer(), ad.LoRA(2), name="active"), errors.BadAdapter, "no name"),
    (lambda: cl.adapt(layer(), ad.LoRA), errors.BadAdapter, "an instance"),
    (lambda: cl.adapt("model", ad.LoRA(2)), errors.BadAdapter, "a torch module or a term"),
    (lambda: cl.adapt(cl.adapt(layer(), ad.LoRA(2)), ad.LoRA(2)), errors.BadAdapter, "already"),
    (lambda: cl.adapt(nn.Linear(4, 4, device="meta"), ad.LoRA(2)), errors.CannotAdapt, "meta"),
    (lambda: cl.adapt(quantised(), ad.LoRA(2)), errors.CannotAdapt, "quantised"),
    (lambda: cl.adapt(layer(), ad.EVA(2)), errors.BadAdapter, "starts from data"),
    (lambda: cl.adapt(layer(), ad.EVA(2), data={"x": X}), errors.NothingMatched, "adapted layer"),
    (lambda: cl.adapt(layer(), ad.EVA(2), data={"": X * float("nan")}), errors.BadAdapter, "finite"),
    (lambda: cl.merge(layer()), errors.BadAdapter, "no adapters"),
    (lambda: cl.merge(cl.merge(cl.adapt(layer(), ad.LoRA(2)))), errors.BadMerge, "already"),
    (lambda: cl.unmerge(cl.adapt(layer(), ad.LoRA(2))), errors.BadMerge, "nothing is merged"),
    (lambda: cl.unmerge(cl.merge(cl.adapt(layer(), ad.LoRA(2)), keep_base=False)), errors.BadMerge, "nothing is merged"),
    (lambda: cl.remove(cl.merge(cl.adapt(layer(), ad.LoRA(2)))), errors.BadMerge, "unmerge"),
    (lambda: cl.remove(cl.adapt(layer(), ad.LoRA(2)), "other"), errors.NothingMatched, "default"),
    (lambda: ad.activate(cl.adapt(layer(), ad.LoRA(2)), "other"), errors.NothingMatched, "default"),
    (lambda: ad.activate(cl.adapt(layer(), ad.LoRA(2)), ["default", "default"]), errors.BadAdapter, "twice"),
    (lambda: ad.activate(cl.adapt(layer(), ad.LoRA(2)), {"default": float("nan")}), errors.BadAdapter, "finite"),
    (lambda: ad.activate(cl.adapt(layer(), ad.LoRA(2)), {"default": "much"}), errors.BadAdapter, "needs numbers"),
    (lambda: cl.adapt(net(), ad.LoRA(2), where=["lin", "emb"]), errors.BadAdapter, r"where='lin\|emb'"),
    (lambda: cl.adapt(cl.linear(cl.R(2), cl.R(2), name="a"), ad.LoRA(1), where=None), errors.BadAdapter, "a string"),
    (lambda: ad.get("nolora"), errors.NothingMatched, "LoRA"),
    (lambda: ad.control(cl.adapt(layer(), ad.LoRA(2)), task=1), errors.NothingMatched, "task"),
]  # fmt: skip


@pytest.mark.parametrize("k", range(len(REFUSED)))
def test_bad_input_is_named(k):
    act, error, text = REFUSED[k]
    with pytest.raises(error, match=text):
        act()


def test_a_refused_adapter_leaves_the_model_as_it_was():
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 3))
    with pytest.raises(errors.BadAdapter):
        cl.adapt(model, ad.LoRA(4))  # fits the first layer and not the second
    assert [type(m) for m in model] == [nn.Linear, nn.Linear] and all(p.requires_grad for p in model.parameters())


def test_a_merge_of_what_is_not_finite_is_refused_and_nothing_is_changed():
    model = nn.Sequential(layer(), nn.Linear(6, 6).double())
    noisy(cl.adapt(model, ad.LoRA(2)))
    before = model[0].weight.clone()
    with torch.no_grad():
        model[1].adapters["weight"]["default"].A[0, 0] = float("nan")
    with pytest.raises(errors.BadMerge, match="not finite"):
        cl.merge(model)
    assert torch.equal(model[0].weight, before)


def test_no_warning_where_nothing_is_tied():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cl.adapt(net(), ad.LoRA(2))
