"""The laws of every method: count, rank, start, merge, unmerge, output and gradients against a dense definition, with mutants."""

import copy
import math

import pytest
import torch
from torch import nn

import catlearn as cl
from catlearn import adapters as ad
from tests.adapters.cases import CASES, DATA, Case
from tests.adapters.dense import BIAS, DENSE
from tests.adapters.scattered import scattered


def layers_of(case):
    """Plain layers of the case's sizes, in double precision."""
    torch.manual_seed(0)
    if isinstance(case.i, int):
        made = [nn.Linear(case.i, case.o) for _ in range(case.layers)]
    else:
        made = [nn.Conv2d(case.i[0], case.o, case.i[1:], padding=1)]
    return nn.Sequential(*made).double()


def adapted(case, trained=True):
    """The model of a case with its adapter; ``trained``: every trained number is random."""
    torch.manual_seed(1)
    model = layers_of(case)
    data = {"0": DATA[case.adapter](case.o, case.i)} if case.adapter in DATA else None
    cl.adapt(model, case.adapter, data=data)
    if trained:
        scatter(model)
    return model.eval()


def scatter(model):
    """Random trained numbers, as far from special values as training would bring them."""
    scattered(model, seed=2)
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            if name.endswith(".step"):
                buffer.fill_(10)
            if name.endswith(".task"):
                buffer.fill_(1)


def tensors(model, k=0):
    """W, b and the adapter's tensors of layer k."""
    layer, cell = model[k], model[k].adapters["weight"]["default"]
    found = dict((*cell.named_parameters(), *cell.named_buffers()))
    if hasattr(model, "adapters_shared"):
        shared = model.adapters_shared["default"]
        found |= {f"shared.{name}": t for name, t in (*shared.named_parameters(), *shared.named_buffers())}
    return layer._parameters["weight"], layer._parameters["bias"], found


def inputs(case):
    generator = torch.Generator().manual_seed(3)
    shape = (5, case.i) if isinstance(case.i, int) else (2, case.i[0], 5, 5)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def plain(case, x, W, b):
    return nn.functional.linear(x, W, b) if isinstance(case.i, int) else nn.functional.conv2d(x, W, b, padding=1)


def reference(case, W, b, p):
    name = type(case.adapter).__name__
    return DENSE[name](case.adapter, W, p), BIAS[name](case.adapter, W, b, p) if name in BIAS else b


each = pytest.mark.parametrize("case", CASES, ids=[f"{k}-{c}" for k, c in enumerate(CASES)])


@each
def test_the_count_is_the_sheet_s_and_the_real_one(case):
    model = adapted(case)
    assert case.adapter.trainable(case.o, case.i, case.layers) == case.count
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == case.count


@each
def test_output_and_gradients_are_those_of_the_dense_definition(case):
    model, x = adapted(case), inputs(case).requires_grad_()
    W, b, p = tensors(model)
    learning = [t for t in p.values() if t.requires_grad]
    y, want = model[0](x), plain(case, x, *reference(case, W, b, p))
    assert torch.allclose(y, want, rtol=1e-10, atol=1e-10)
    dy = torch.randn(y.shape, generator=torch.Generator().manual_seed(4), dtype=y.dtype)
    got, wanted = (torch.autograd.grad(v, [x, *learning], dy, allow_unused=True) for v in (y, want))
    assert any(g is not None and g.abs().max() > 0 for g in wanted[1:])
    for a, b in zip(got, wanted, strict=True):
        zero = torch.zeros(())
        assert torch.allclose(zero if a is None else a, zero if b is None else b, rtol=1e-9, atol=1e-9)


@each
def test_nothing_changes_at_the_start_exactly_where_that_is_declared(case):
    model, base, x = adapted(case, trained=False), layers_of(case).eval(), inputs(case)
    near = torch.allclose(model[0](x), base[0](x), rtol=1e-12, atol=1e-12)
    assert near == case.adapter.identity_at_init


@each
def test_the_rank_of_the_change_is_bounded_and_the_bound_is_reached_where_promised(case):
    model = adapted(case)
    W, _b, _p = tensors(model)
    with torch.no_grad():
        change = (model[0].adapters["weight"].effective(W) - W).reshape(case.o, -1)
    rank = int(torch.linalg.matrix_rank(change, atol=1e-9))
    assert rank <= case.adapter.rank_bound(case.o, case.i) <= min(change.shape)
    if case.rank is not None:
        assert rank == case.rank == case.adapter.rank_bound(case.o, case.i)


@each
def test_merged_computes_the_same_and_unmerged_has_every_bit_back(case):
    model, x = adapted(case), inputs(case)
    before = {name: t.clone() for name, t in model.state_dict().items()}
    y = model[0](x)
    cl.merge(model)
    assert torch.allclose(model[0](x), y, rtol=1e-10, atol=1e-10)
    W, _b, _p = tensors(cl.unmerge(copy.deepcopy(model)))
    assert not torch.equal(model[0]._parameters["weight"], W)
    cl.unmerge(model)
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())
    single = cl.merge(adapted(case).float(), keep_base=False)
    assert torch.allclose(single[0](x.float()), y.float(), rtol=1e-4, atol=1e-5)
    assert sorted(single.state_dict()) == sorted(layers_of(case).state_dict())


def test_every_method_has_a_case_and_a_dense_definition():
    assert sorted({type(case.adapter).__name__ for case in CASES}) == ad.names() == sorted(DENSE)


@pytest.mark.parametrize("name", ad.names())
def test_every_method_says_its_formula_and_its_source(name):
    case = next(case for case in CASES if type(case.adapter).__name__ == name)
    assert "W" in case.adapter.formula("latex", case.o, case.i)
    assert str(case.count // case.layers)[:3] in case.adapter.describe(case.o, case.i).replace(",", "") or case.layers > 1
    assert "Source:" in (type(case.adapter).__doc__ or "")


# -- mutants: each check above refutes a method that is wrong in one place ------------------------------------------------


def wrong(case, change):
    """A copy of a case whose dense definition is changed."""
    name = type(case.adapter).__name__
    good = DENSE[name]
    model, x = adapted(case), inputs(case)
    W, b, p = tensors(model)
    bad = change(good, case.adapter, W, p)
    return torch.allclose(model[0](x), plain(case, x, bad, b), rtol=1e-10, atol=1e-10)


def test_the_dense_check_refutes_a_wrong_order_a_wrong_side_and_a_wrong_scale():
    cases = {str(case): case for case in CASES}
    swapped = Case(ad.HRA(4), 12, 8, 32, 4)
    assert not wrong(swapped, lambda good, a, W, p: good(a, W, {"u": p["u"].flip(0)}))
    assert not wrong(cases["OFT-12x8"], lambda good, a, W, p: good(a, W, {"Q": -p["Q"]}))
    assert not wrong(cases["LoRA-12x8"], lambda good, a, W, p: good(a, W, {**p, "B": p["B"] * 1.001}))


def test_the_rank_check_refutes_a_bound_that_is_too_small():
    class Small(ad.LoRA, key=None):
        def rank_bound(self, o, i):
            return self.rank - 1

    with pytest.raises(AssertionError):
        test_the_rank_of_the_change_is_bounded_and_the_bound_is_reached_where_promised(Case(Small(2), 12, 8, 40, 2))


def test_the_start_check_refutes_a_declared_identity_that_is_none():
    class Loud(ad.FourierFT, key=None):
        identity_at_init = True

    with pytest.raises(AssertionError):
        test_nothing_changes_at_the_start_exactly_where_that_is_declared(Case(Loud(3), 12, 8, 3))


def test_the_merge_check_refutes_a_bias_that_is_forgotten():
    model, x = adapted(Case(ad.IA3(), 12, 8, 12)), inputs(Case(ad.IA3(), 12, 8, 12))
    y = model[0](x)
    cl.merge(model)
    with torch.no_grad():
        model[0]._parameters["bias"].copy_(model[0].adapters["weight"].get_buffer("base_bias"))
    assert not torch.allclose(model[0](x), y) and math.isfinite(float(y.detach().sum()))
