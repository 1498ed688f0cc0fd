"""The entry point of sums of diagrams: every strategy against the dense tensors of the definition, and what the planner decides."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
import torch
from torch._subclasses import FakeTensor, FakeTensorMode

from catlearn import errors
from catlearn.diagrams import basis
from catlearn.maps.sums import blocks, choose
from catlearn.maps.sums.choose import STRATEGIES, apply, plan
from catlearn.maps.sums.family import Element, Family
from catlearn.maps.sums.tables import LONGER, tables
from tests.maps.test_sums_dense import FAMILIES, by_definition, drawn, orthogonal, symmetric, symplectic

GROUPS = [(kind, n) for kind in ("S", "A", "O", "SO", "Sp") for n in (1, 2, 3, 4) if kind != "Sp" or n % 2 == 0]
LITTLE = ["S3 1->1", "S3 2->0", "O2 1->3", "Sp2 1->3", "SO3 2->1", "A2 1->1", "O3 2->1"]
SMALL = ["S3 2->2", "S3 2->0", "S3 0->2", "O3 2->2", "Sp4 2->2", "SO3 2->1", "SO3 2->3", "A3 2->2", "S4 x O3", "O3 2->1"]


def family_of(kind: str, n: int, k: int, l: int) -> Family:
    elements = (tuple(Element(d.deltas, d.arcs, d.coupons) for d in basis(kind, n, *orders)) for orders in ((k, l), (0, l)))
    return Family((n,) * k, (n,) * l, *elements)


def possible(family: Family) -> list[str]:
    return [name for name, cost in plan(family, 5, 2, 3, itemsize=8).costs if not cost.refused]


@pytest.mark.parametrize("kind, n", GROUPS)
def test_apply_is_the_einsum_with_dense_tensors_for_every_basis(kind, n):
    for k, l in product(range(4), range(4)):
        if n ** (k + l) > 1100:
            continue  # the rest is in the slow test below
        check_basis(family_of(kind, n, k, l))


@pytest.mark.slow
@pytest.mark.parametrize("kind, n", GROUPS)
def test_apply_is_the_einsum_with_dense_tensors_for_large_bases(kind, n):
    for k, l in product(range(4), range(4)):
        if n ** (k + l) > 300:
            check_basis(family_of(kind, n, k, l))


def check_basis(family: Family) -> None:
    x, weight, bias = drawn(family, batch=(2, 1))
    expected = by_definition(family, x, weight, bias)
    for name in (None, *possible(family)):
        torch.testing.assert_close(apply(family, x, weight, bias, name), expected, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("name", LITTLE)
def test_gradients_of_first_and_second_order(name):
    family = FAMILIES[name]
    for strategy in possible(family):
        tensors = [t.requires_grad_() for t in drawn(family, 1, 2, (2,))]
        call = lambda x, weight, bias, strategy=strategy: apply(family, x, weight, bias, strategy)  # noqa: E731
        assert torch.autograd.gradcheck(call, tensors)
        assert torch.autograd.gradgradcheck(call, tensors)


@pytest.mark.parametrize("small", [0, blocks.SMALL], ids=["gathered", "product"])
def test_both_ways_to_make_a_dense_weight(small, monkeypatch):
    family = FAMILIES["O3 2->2"]
    tensors = [t.requires_grad_() for t in drawn(family)]
    monkeypatch.setattr(blocks, "SMALL", small)
    y, expected = apply(family, *tensors, strategy="dense"), by_definition(family, *tensors)
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)
    for got, theirs in zip(*(torch.autograd.grad(out.square().sum(), tensors) for out in (y, expected)), strict=True):
        torch.testing.assert_close(got, theirs, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("flip", [False, True], ids=["sound", "mutant"])
@pytest.mark.parametrize("k, l", [(1, 2), (2, 1)])
def test_signs_and_gaps_of_a_long_batch(k, l, flip, monkeypatch):
    family = family_of("SO", 3, k, l)
    x, weight, _ = drawn(family, 2, 2, (LONGER,))
    t = tables(family, True, 2, x.dtype, x.device)
    side = t.outs if l == 2 else t.ins
    assert {sign for _, sign in side.marks} == {-1.0, 0.0, 1.0}
    if flip:
        marks = tuple((point, abs(sign)) for point, sign in side.marks)
        monkeypatch.setitem(side.__dict__, "marks", marks)
    x.requires_grad_()
    y, expected = apply(family, x, weight, strategy="blocks"), by_definition(family, x, weight)
    slope, theirs = (torch.autograd.grad(out.square().sum(), x)[0] for out in (y, expected))
    same = torch.allclose(y, expected, atol=1e-11) and torch.allclose(slope, theirs, atol=1e-10)
    assert same is not flip


@pytest.mark.parametrize("which", range(3))
def test_no_gradient_that_nobody_asked_for(which, monkeypatch):
    family = FAMILIES["O3 2->2"]
    tensors = drawn(family)
    tensors[which].requires_grad_()
    asked = []
    plain = choose.layer.__globals__["backward"]
    monkeypatch.setitem(
        choose.layer.__globals__,
        "backward",
        lambda t, x, dy, blocks, c: asked.append((x is not None, bool(blocks))) or plain(t, x, dy, blocks, c),
    )
    expected = torch.autograd.grad(by_definition(family, *tensors).square().sum(), tensors[which])
    got = torch.autograd.grad(apply(family, *tensors, strategy="blocks").square().sum(), tensors[which])
    torch.testing.assert_close(got, expected)
    assert asked == [(which == 1, which == 0)]  # x is needed for the weight's gradient, the blocks for that of x, neither for the bias's


@pytest.mark.parametrize("name", ["S3 2->2", "Sp4 2->2", "SO3 2->1", "A3 2->2"])
def test_a_flipped_block_or_sign_is_noticed(name):
    family = FAMILIES[name]
    x, weight, _ = drawn(family)
    expected = by_definition(family, x, weight)
    first, *others = family.elements
    if first.arcs:
        (a, b), *rest = first.arcs
        mutant = replace(first, arcs=((b, a), *rest))
    elif first.coupons:
        (p, q, *rest), *more = first.coupons
        mutant = replace(first, coupons=((q, p, *rest), *more))
    else:
        mutant = Element(deltas=tuple((point,) for block in first.deltas for point in block))
    mutants = replace(family, elements=(mutant, *others))
    for strategy in possible(family):
        torch.testing.assert_close(apply(family, x, weight, strategy=strategy), expected, rtol=1e-12, atol=1e-12)
        assert not torch.allclose(apply(mutants, x, weight, strategy=strategy), expected)


@pytest.mark.parametrize("name", SMALL)
def test_empty_batches_and_no_batch(name):
    family = FAMILIES[name]
    x, weight, bias = drawn(family)
    for strategy in possible(family):
        got = apply(family, x[:0].requires_grad_(), weight.requires_grad_(), bias, strategy)
        assert got.shape == (0, *family.outs, 3)
        (slope,) = torch.autograd.grad(got.sum(), weight)
        assert slope.shape == weight.shape and not slope.any()
        torch.testing.assert_close(apply(family, x[0], weight, bias, strategy), by_definition(family, x[0], weight, bias))


@pytest.mark.parametrize("name", SMALL)
def test_low_precision_and_autocast(name):
    family = FAMILIES[name]
    x, weight, bias = (t.float() for t in drawn(family))
    expected = by_definition(family, x, weight, bias)
    for strategy in possible(family):
        low = apply(family, *(t.bfloat16() for t in (x, weight, bias)), strategy=strategy)
        with torch.autocast("cpu", torch.bfloat16):
            auto = apply(family, x, weight, bias, strategy)
        for got in (low, auto):
            assert got.dtype == torch.bfloat16
            torch.testing.assert_close(got.float(), expected, rtol=0.1, atol=0.05 * float(expected.abs().max()) + 1e-6)


def test_tables_made_in_inference_mode_serve_training():
    family = orthogonal(3, 2, 2)  # a fresh object, so nothing is prepared
    x, weight, bias = drawn(family, c_in=1, c_out=7)
    with torch.inference_mode():
        apply(family, x, weight, bias, "blocks")
    weight.requires_grad_()
    (slope,) = torch.autograd.grad(apply(family, x, weight, bias, "blocks").sum(), weight)
    assert slope.shape == weight.shape


@pytest.mark.parametrize("strategy", ["dense", "blocks"])
def test_stand_ins_of_a_trace_are_not_kept(strategy):
    family = orthogonal(3, 2, 2)
    x, weight, _ = drawn(family, c_out=11)
    with FakeTensorMode() as mode:
        apply(family, mode.from_tensor(x), mode.from_tensor(weight), strategy=strategy)
    torch.testing.assert_close(apply(family, x, weight, strategy=strategy), by_definition(family, x, weight))


@pytest.mark.parametrize("before", [False, True], ids=["first", "after a real call"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_whatever_watches_a_call_leaves_nothing_behind(strategy, before):
    family = orthogonal(3, 2, 2)
    x, weight, bias = drawn(family, c_out=13 + before)  # channels of its own, so nothing is made yet
    if before:
        apply(family, x, weight, bias, strategy)
    with FakeTensorMode() as mode:
        given = [mode.from_tensor(t) for t in (x, weight, bias)]
        assert apply(family, *given, strategy=strategy).shape == (*x.shape[:-1], weight.shape[1])
    assert isinstance(apply(family, *given, strategy=strategy), FakeTensor)
    with FakeTensorMode(allow_non_fake_inputs=True):
        apply(family, x, weight, bias, strategy)
    with torch.device("meta"), torch.inference_mode():
        apply(family, x, weight, bias, strategy)
    torch.func.grad(lambda x: apply(family, x, weight, bias, strategy).sum())(x)
    weight.requires_grad_()
    y = apply(family, x, weight, bias, strategy)
    torch.testing.assert_close(y, by_definition(family, x, weight, bias))
    assert torch.autograd.grad(y.sum(), weight)[0].abs().sum() > 0


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_exported_and_strided_input(strategy):
    family = FAMILIES["Sp4 2->2"]
    x, weight, bias = drawn(family)

    class Layer(torch.nn.Module):
        def forward(self, x):
            return apply(family, x, weight, bias, strategy)

    strided = x.permute(1, 2, 0, 3).contiguous().permute(2, 0, 1, 3)
    for call in (Layer(), torch.export.export(Layer(), (x,), strict=False).module()):
        torch.testing.assert_close(call(strided), by_definition(family, x, weight, bias))


@pytest.mark.parametrize("strategy", [None, "dense", "blocks"])
@pytest.mark.parametrize("name", ["O3 2->2", "SO3 2->1", "SO3 2->3"])
def test_transforms_of_functions(name, strategy):
    family = FAMILIES[name]
    x, weight, bias = drawn(family)

    def loss(weight, x):
        return apply(family, x, weight, bias, strategy).square().sum()

    each = torch.func.vmap(torch.func.grad(loss), (None, 0))(weight, x)
    for got, one in zip(each, x, strict=True):
        w = weight.clone().requires_grad_()
        torch.testing.assert_close(got, torch.autograd.grad(by_definition(family, one, w, bias).square().sum(), w)[0])


COMPILED = [("O2 1->3", "blocks"), ("O3 2->2", "dense"), ("Sp4 2->2", "diagrams"), ("SO3 2->3", None), ("A3 2->2", "diagrams")]


@pytest.mark.parametrize("name, strategy", [COMPILED[0], *(pytest.param(*case, marks=pytest.mark.slow) for case in COMPILED[1:])])
def test_compiled_in_one_graph(name, strategy):
    family = FAMILIES[name]
    tensors = drawn(family)

    def both(x, weight, bias):  # two layers in one graph
        return apply(family, x, weight, bias, strategy) + 2 * apply(family, x, weight.flip(0), bias, strategy)

    torch._dynamo.reset()
    compiled = torch.compile(both, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*tensors), both(*tensors))
    leaves = [t.requires_grad_() for t in tensors]
    for got, expected in zip(*(torch.autograd.grad(f(*leaves).square().sum(), leaves) for f in (compiled, both)), strict=True):
        torch.testing.assert_close(got, expected)


def test_the_plan_prints_and_can_be_overruled():
    family = orthogonal(3, 2, 2)
    text = str(plan(family, 64, 16, 16))
    assert "3×3 -> 3×3, 3 elements, 64 tokens, 16 -> 16 channels: " in text and all(name in text for name in STRATEGIES)
    assert plan(family, 64, 16, 16, "diagrams").strategy == "diagrams"
    assert plan(family, 64, 16, 16, training=True).costs != plan(family, 64, 16, 16).costs


def test_small_axes_go_dense_and_large_ones_by_diagrams():
    assert plan(orthogonal(3, 2, 2), 4096, 4, 4).strategy == "dense"
    assert plan(symplectic(4, 3, 3), 4096, 16, 16).strategy == "blocks"
    assert plan(symmetric(64, 2, 2), 16, 16, 16).strategy == "diagrams"


def test_no_effective_weight_beyond_the_limit():
    big = symmetric(64, 2, 2)
    costs = dict(plan(big, 1, 1, 1).costs)
    assert "16,777,216 entries" not in costs["diagrams"].refused and costs["dense"].refused
    with pytest.raises(errors.BadSymmetry, match="do not fit in memory"):
        apply(big, torch.zeros(64, 64, 1), torch.zeros(len(big.elements), 1, 1), strategy="dense")
    sign = Family((10,) * 5, (10,) * 5, (Element(coupons=(tuple((p,) for p in range(10)),)),))
    with pytest.raises(errors.BadSymmetry, match="10,000,000,000"):
        plan(sign, 1, 1, 1)


def test_bad_tensors_say_what_is_needed():
    family = orthogonal(3, 2, 2)
    x, weight, bias = drawn(family)
    bad = [(x[..., 0], weight, bias), (x, weight[:2], bias), (x, weight[:, :, :1], bias), (x, weight, bias[:, :1]),
           (x[:, :2], weight, bias), (x.float(), weight, bias), (x.long(), weight.long(), bias.long())]  # fmt: skip
    for tensors in bad:
        with pytest.raises(errors.BadMap, match=r"channel axis is last|floating tensors of one dtype"):
            apply(family, *tensors)
    with pytest.raises(errors.BadSymmetry, match="no strategy 'fast'"):
        apply(family, x, weight, bias, "fast")


@pytest.mark.parametrize("element, sizes, why", [
    (Element(deltas=((0, 1),)), (2, 3), "one size"),
    (Element(deltas=((0,),)), (2, 2), "exactly one"),
    (Element(deltas=((0, 1), (1,))), (2, 2), "exactly one"),
    (Element(arcs=((0, 1),)), (3, 3), "even size"),
    (Element(coupons=(((0,), (1,)),)), (4, 4), "4 or 3 legs"),
])  # fmt: skip
def test_bad_elements_say_what_is_needed(element, sizes, why):
    family = Family(sizes[1:], sizes[:1], (element,))
    with pytest.raises(errors.BadSymmetry, match=why):
        apply(family, torch.zeros(*sizes[1:], 1), torch.zeros(1, 1, 1), strategy="dense")
