"""Odd models and odd uses: copies, pickles, replicas, checkpoints, precisions, inference mode, shared modules, packed and tied weights."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

import catlearn as cl
from catlearn import adapters as ad
from catlearn import errors
from tests.adapters.cases import CASES, DATA
from tests.adapters.scattered import scattered
from tests.adapters.test_laws import adapted, inputs, layers_of
from tests.adapters.test_modules import INDEX, net

each = pytest.mark.parametrize("case", CASES, ids=[f"{k}-{c}" for k, c in enumerate(CASES)])
pytestmark = pytest.mark.filterwarnings("ignore::catlearn.adapters.NoDropout")


# -- every method ----------------------------------------------------------------------------------------------------------


@each
def test_a_first_run_without_gradients_leaves_nothing_behind(case):
    model, x = adapted(case).float(), inputs(case).float()
    with torch.inference_mode():
        seen = model[0](x)
    y = model[0](x.requires_grad_())
    y.sum().backward()
    assert torch.allclose(seen, y, atol=1e-5) and x.grad is not None


@each
def test_half_precision_is_near_and_learns(case):
    torch.manual_seed(0)
    model = layers_of(case).bfloat16()
    data = {"0": DATA[case.adapter](case.o, case.i)} if case.adapter in DATA else None
    cl.adapt(model, case.adapter, data=data)
    x, base = inputs(case).bfloat16(), layers_of(case).bfloat16()
    y = model[0](x)
    y.float().square().sum().backward()
    assert y.dtype == torch.bfloat16 and all(p.dtype == torch.bfloat16 for p in model.parameters())
    assert any(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in model.parameters() if p.requires_grad)
    if case.adapter.identity_at_init:
        assert float((y - base[0](x)).abs().max()) < 0.1 * float(y.abs().max())
    wide = adapted(case).float()
    want, got = wide[0](x.float()), wide.bfloat16()[0](x)
    assert float((got.float() - want).abs().max()) < 0.1 * float(want.abs().max())


@each
def test_a_copy_and_a_pickle_are_models_of_their_own(case):
    model, x = adapted(case), inputs(case)
    y = model[0](x)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(other[0](x), y) and type(other[0]) is type(model[0])
        with torch.no_grad():
            for p in other.parameters():
                if p.requires_grad:
                    p.zero_()
        assert torch.equal(model[0](x), y) and not torch.equal(other[0](x), y)
        cl.remove(other)
        assert sorted(other.state_dict()) == sorted(layers_of(case).state_dict())


@each
def test_activations_that_are_computed_again_give_the_same_gradients(case):
    found = []
    for run in (lambda m, x: m(x), lambda m, x: checkpoint(m, x, use_reentrant=False)):
        model, x = adapted(case).train(), inputs(case).requires_grad_()
        torch.manual_seed(0)
        learning = [p for p in model.parameters() if p.requires_grad]
        found.append(torch.autograd.grad(run(model[0], x).square().sum(), [x, *learning], allow_unused=True))
    assert all((a is None and b is None) or torch.allclose(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("adapter", [ad.MHR(2), ad.CPoly(2)], ids=lambda a: type(a).__name__)
def test_a_layer_that_draws_and_stands_twice_is_computed_again_with_the_draw_of_each(adapter):
    layer = scattered(cl.adapt(torch.nn.Sequential(torch.nn.Linear(12, 12)), adapter)).train()
    found = []
    for run in (lambda m, x: m(x), lambda m, x: checkpoint(m, x, use_reentrant=False)):
        x = torch.ones(2, 12, requires_grad=True)
        torch.manual_seed(0)
        found.append(torch.autograd.grad(run(layer, run(layer, x)).square().sum(), x)[0])
    assert torch.allclose(*found)


# -- one model with a layer of every kind ----------------------------------------------------------------------------------


def everything(adapter=None):
    model = net()
    return scattered(cl.adapt(model, ad.LoRA(2) if adapter is None else adapter, where="*|w")).eval()


def replicated(model):
    """What torch.nn.DataParallel does for each device, without devices: copies that share no dictionaries, their tensors no parameters."""
    modules = list(model.modules())
    copies = [module._replicate_for_data_parallel() for module in modules]
    place = {id(module): k for k, module in enumerate(modules)}
    for module, replica in zip(modules, copies, strict=True):
        for key, child in module._modules.items():
            setattr(replica, key, copies[place[id(child)]])
        for key, p in module._parameters.items():
            replica._parameters.pop(key, None) if p is not None else None
            if p is not None:
                setattr(replica, key, p.detach().clone().requires_grad_(p.requires_grad))
        for key, buffer in module._buffers.items():
            replica._buffers[key] = None if buffer is None else buffer.clone()
    return copies[0]


def test_replicas_compute_with_their_own_tensors():
    model = everything()
    y, replica = model(INDEX), replicated(everything())
    assert torch.allclose(replica(INDEX), y, rtol=1e-10)
    replica(INDEX).sum().backward()
    cell = replica.lin.adapters["weight"]["default"]
    assert cell.B.grad is not None and replica.lin.adapters["weight"].acting.cells["0"] is cell
    with torch.no_grad():
        for m in replica.modules():
            if "B" in vars(m):
                m.B.zero_()
    assert torch.allclose(replica(INDEX), net()(INDEX), rtol=1e-9) and torch.equal(model(INDEX), y)


def test_a_pickle_of_everything_and_a_state_that_is_assigned():
    model = everything()
    y = model(INDEX)
    assert torch.equal(pickle.loads(pickle.dumps(model))(INDEX), y)
    other = cl.adapt(net(), ad.LoRA(2), where="*|w").eval()
    assert not torch.allclose(other(INDEX), y)
    other.load_state_dict(copy.deepcopy(model.state_dict()), assign=True)
    assert torch.equal(other(INDEX), y)
    for p in model.parameters():
        p.requires_grad_(False)
    with torch.no_grad():
        assert torch.allclose(model(INDEX), y)


def test_adapters_put_in_and_merged_within_inference_mode_can_be_trained_and_taken_out():
    model = nn.Sequential(nn.Linear(6, 5), nn.MultiheadAttention(8, 2))
    with torch.inference_mode():
        cl.adapt(model, ad.VeRA(3), where="0")
        model[0](torch.ones(6))
    with torch.no_grad():
        cl.adapt(model, ad.LoRA(2), where="1", name="two")
    scattered(model)
    model[0](torch.ones(6)).sum().backward()
    assert all(p.grad is not None for p in model[0].parameters() if p.requires_grad)
    W, y = model[0].weight.clone(), model[0](torch.ones(6))
    with torch.inference_mode():
        cl.merge(model)
    assert torch.allclose(model[0](torch.ones(6)), y) and torch.equal(cl.unmerge(model)[0].weight, W)


def test_gradients_accumulate_over_passes_and_stop_where_nothing_is_adapted():
    model = everything()
    seen = []
    for passes in (1, 2):
        model.zero_grad()
        for _ in range(passes):
            model(INDEX).sum().backward()
        seen.append({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})
    assert all(torch.allclose(2 * seen[0][n], g, rtol=1e-8) for n, g in seen[1].items())
    assert all(".default." in n for n in seen[0]) and len(seen[0]) > 20


# -- shared, packed, padded ------------------------------------------------------------------------------------------------


class Twice(nn.Module):
    """One module under two names, used twice."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(5, 5).double()
        self.again = self.first

    def forward(self, x):
        return self.again(torch.tanh(self.first(x)))


@pytest.mark.parametrize("where", ["*", "first", "again", "first|again"])
def test_a_module_with_two_names_is_one_place_and_is_found_by_each(where):
    torch.manual_seed(0)
    model = scattered(cl.adapt(Twice(), ad.LoRA(2), where=where))
    cell, x = model.first.adapters["weight"]["default"], torch.randn(3, 5, dtype=torch.float64)
    W = model.first._parameters["weight"] + cell.B @ cell.A
    want = F.linear(torch.tanh(F.linear(x, W, model.first.bias)), W, model.first.bias)
    assert torch.allclose(model(x), want, rtol=1e-10)
    y = model(x)
    plain = cl.merge(model, keep_base=False)
    assert plain.first is plain.again and torch.allclose(plain(x), y, rtol=1e-10)


def test_attention_with_keys_and_values_of_other_sizes():
    torch.manual_seed(0)
    make = lambda: nn.MultiheadAttention(8, 2, kdim=6, vdim=4, batch_first=True, bias=True, add_bias_kv=True).double()  # noqa: E731
    q, k, v = (torch.randn(2, 3, n, dtype=torch.float64) for n in (8, 6, 4))
    base = make()
    model = copy.deepcopy(base)
    scattered(cl.adapt(model, ad.LoRA(2)))
    assert sorted(ad.active(model)) == ["k_proj_weight", "out_proj.weight", "q_proj_weight", "v_proj_weight"]
    with torch.no_grad():
        for name in ("q_proj_weight", "k_proj_weight", "v_proj_weight"):
            cell = model.adapters[name]["default"]
            getattr(base, name).add_(cell.B @ cell.A)
        cell = model.out_proj.adapters["weight"]["default"]
        base.out_proj.weight.add_(cell.B @ cell.A)
    assert torch.allclose(model(q, k, v)[0], base(q, k, v)[0], rtol=1e-9)


def test_a_deep_recurrent_layer_in_both_directions_with_projections():
    torch.manual_seed(0)
    base = nn.LSTM(5, 6, num_layers=2, bidirectional=True, proj_size=3).double()
    model, x = scattered(cl.adapt(copy.deepcopy(base), ad.LoRA(2))), torch.randn(4, 2, 5, dtype=torch.float64)
    assert len(ad.active(model)) == 12
    with torch.no_grad():
        for name, slot in model.adapters.items():
            getattr(base, name).add_(slot["default"].B @ slot["default"].A)
    y = model(x)[0]
    assert torch.allclose(y, base(x)[0], rtol=1e-9)
    assert torch.allclose(copy.deepcopy(model)(x)[0], y) and torch.allclose(model.float()(x.float())[0].double(), y, atol=1e-4)


@pytest.mark.parametrize("adapter", [ad.LoRA(2), ad.DoRA(2)], ids=lambda a: type(a).__name__)
def test_the_row_of_a_padding_index_gets_no_gradient(adapter):
    torch.manual_seed(0)
    model, index = scattered(cl.adapt(nn.Embedding(7, 4, padding_idx=2).double(), adapter)), torch.tensor([[1, 2, 2, 5]])
    cell = model.adapters["weight"]["default"]
    y = model(index)
    want = F.embedding(index, model.adapters["weight"].effective(model._parameters["weight"]), padding_idx=2)
    got, wanted = (torch.autograd.grad(v.square().sum(), [cell.A, cell.B]) for v in (y, want))
    assert torch.allclose(y, want) and all(torch.allclose(a, b) for a, b in zip(got, wanted, strict=True))
    free = F.embedding(index, model.adapters["weight"].effective(model._parameters["weight"]))
    mutant = torch.autograd.grad(free.square().sum(), [cell.A, cell.B])
    assert not torch.allclose(got[1], mutant[1])
    with pytest.raises(errors.CannotAdapt, match="max_norm"):
        cl.adapt(nn.Embedding(7, 4, max_norm=1.0), adapter)


def test_one_name_on_two_layers_may_be_two_methods_and_on_one_layer_it_is_taken():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    cl.adapt(cl.adapt(model, ad.LoRA(2), where="0"), ad.HRA(2), where="1")
    y = scattered(model)(torch.ones(4))
    with pytest.raises(errors.BadAdapter, match="already"):
        cl.adapt(model, ad.LoRA(2))
    with pytest.raises(errors.BadMerge, match="already"):
        cl.merge(cl.merge(model))
    assert torch.allclose(model(torch.ones(4)), y, atol=1e-6)
    assert torch.allclose(cl.unmerge(model)(torch.ones(4)), y, atol=1e-6)


def test_a_tied_pair_stays_tied_in_a_copy_and_in_a_pickle():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.emb, self.head = nn.Embedding(7, 4), nn.Linear(4, 7, bias=False)
            self.head.weight = self.emb.weight

        def forward(self, index):
            return self.head(self.emb(index))

    torch.manual_seed(0)
    model, index = Pair(), torch.tensor([[1, 5]])
    with pytest.warns(ad.TiedWeight):
        scattered(cl.adapt(model, ad.LoRA(2)))
    y = model(index)
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.emb.adapters["weight"]["default"].B.zero_()
    assert torch.equal(model(index), y) and torch.allclose(
        other(index), F.linear(F.embedding(index, W := model.emb._parameters["weight"]), W)
    )


class QuantLinear(nn.Module):
    """What quantised layers look like: numbers in buffers."""

    def __init__(self):
        super().__init__()
        self.register_buffer("qweight", torch.ones(4, 4, dtype=torch.int8))

    def forward(self, x):
        return x @ self.qweight.to(x).t()


class LinearRotaryEmbedding(nn.Module):
    """A name like a layer's, and nothing in it."""


def test_a_quantised_layer_is_not_passed_over_in_silence():
    model = nn.ModuleDict({"plain": nn.Linear(4, 4), "quant": QuantLinear(), "rotary": LinearRotaryEmbedding()})
    with pytest.warns(ad.Skipped, match=r"quant \(QuantLinear\): .* it is quantised") as caught:
        cl.adapt(model, ad.LoRA(2))
    assert "rotary" not in str(caught[0].message)


def test_a_state_of_merged_and_kept_adapters_is_warned_of():
    model = scattered(cl.adapt(nn.Sequential(nn.Linear(4, 4)), ad.LoRA(2)))
    with pytest.warns(ad.MergedState, match="would count twice"):
        cl.merge(model).state_dict()
    cl.unmerge(model).state_dict()
    assert "0.adapters.weight.default.A" not in cl.merge(model, keep_base=False).state_dict()
