"""The planner: what it chooses, that nothing large is formed, that plans can be read, replaced and are shared."""

from __future__ import annotations

import functools

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from catlearn import errors, maps
from catlearn.maps.affine import Affine
from catlearn.maps.chains import Chain
from catlearn.maps.plan import Pass
from catlearn.maps.planner import Builder
from catlearn.maps.running import plan_for, run
from catlearn.maps.tape import Tape
from tests.maps.strategies import numbers


class Largest(TorchDispatchMode):
    """The number of entries of the largest tensor that any operation returns."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for t in out if isinstance(out, tuple | list) else (out,):
            if isinstance(t, torch.Tensor):
                self.numel = max(self.numel, t.untyped_storage().nbytes() // t.element_size())
        return out


def grid(*names, n=12):
    return [maps.dense(name, n, n) for name in names]


A, B, C, D = grid(*"ABCD")


KRONECKER = [
    A @ B @ C, maps.kronecker_sum(A, B, C), (A @ B @ C) + maps.kronecker_sum(A, B, C), A @ B @ C @ maps.identity(2),
    (A >> B) @ (C + D) @ A, maps.tensor(A, maps.circulant("c", 12), maps.reflection("v", 12)),
]  # fmt: skip


@pytest.mark.parametrize("f", KRONECKER)
def test_kronecker_products_and_sums_never_form_the_matrix(f):
    values = {k: v.requires_grad_() for k, v in numbers(f, dtype=torch.float32).items()}
    x = torch.randn(3, *f.dom, requires_grad=True)
    with Largest() as seen:
        y = f.apply(x, values)
        forward = seen.numel
        torch.autograd.grad(y, [x, *values.values()], torch.ones_like(y))
    assert forward <= 2 * x.numel() and seen.numel <= 2 * x.numel()  # a contiguous copy at most
    with Largest() as mutant:  # the check can fail
        f.apply(x, values, f.plan(3, force="dense"))
    assert mutant.numel >= (12**3) ** 2


def lora(rank=8, size=96):
    return maps.dense("W", size, size, trainable=False) + 2 * (maps.dense("A", rank, size) >> maps.dense("B", size, rank))


@pytest.mark.parametrize(("tokens", "merged"), [(8, False), (100_000, True)])
def test_effective_weight_where_tokens_are_many(tokens, merged):
    plan = lora().plan(tokens)
    read = [a for r in plan.forward.order for a in plan.tape.steps[r].args]
    assert (read.count(plan.x) == 1) == merged  # x meets one matrix, or W and A
    rule = 96 * 96 / (96 + 96)
    assert (tokens > rule) == merged
    assert plan.forward.flops <= min(lora().plan(tokens, force=p).forward.flops for p in ("factored", "dense")) * 1.01


def test_gradients_go_through_the_factors_though_the_weight_is_merged():
    f = lora()
    plan = f.plan(100_000)
    assert plan.chosen == {"forward": "planned", "input": "planned", "parameters": "factored"}
    dense = plan.using(parameters="dense")
    assert plan.backward.flops < dense.backward.flops
    assert max(plan.tape.flops(r) for r in plan.backward.order if plan.tape.lead(r) == ()) <= 2 * 100_000 * 96 * 8  # no dense dW


def test_the_dense_gradient_is_chosen_where_it_is_cheaper():
    parts = [maps.diagonal("d", 64) >> maps.dense(f"A{k}", 64, 64) >> maps.dense(f"B{k}", 64, 64) for k in range(4)]
    plan = maps.add(*parts).plan(50_000)
    assert plan.chosen["parameters"] != "factored"
    assert plan.backward.flops < plan.using(parameters="factored").backward.flops


@pytest.mark.parametrize(("tokens", "recipe"), [(1, "x·A·B·C"), (10**6, "x·((A·B)·C)")])
def test_association_of_a_chain(tokens, recipe):
    chain = maps.dense("A", 4, 300) >> maps.dense("B", 4, 4) >> maps.dense("C", 300, 4)
    shorter = Chain(Builder(Tape(tokens)), chain.parts).recipe()
    assert shorter == "x·A·B·C" or tokens > 1
    square = maps.dense("A", 90, 90) >> maps.dense("B", 90, 90) >> maps.dense("C", 90, 90)
    found = Chain(Builder(Tape(tokens)), square.parts).recipe()
    assert found in (recipe, "x·(A·(B·C))"), found


@pytest.mark.parametrize("ranks", [(4, 8), (4, 4, 8)])
def test_low_rank_updates_of_one_weight_read_and_write_the_vectors_once(ranks):
    """[B₁ B₂] [A₁; A₂] x for B₁ A₁ x + B₂ A₂ x: as many products with the vectors as for one update."""
    updates = [2.0 * (maps.dense(f"A{k}", r, 512) >> maps.dense(f"B{k}", 768, r)) for k, r in enumerate(ranks)]
    f = maps.add(maps.dense("W", 768, 512, trainable=False), *updates)

    def products(way: Pass) -> list[tuple[int, ...]]:
        return [way.tape.shape(r) for r in way.order if way.tape.steps[r].kind == "einsum" and way.tape.lead(r)]

    plan = f.plan(256)
    assert sorted(products(plan.forward)) == [(sum(ranks),), (768,), (768,)]
    assert len(products(plan.using(forward="factored").forward)) == 1 + 2 * len(ranks)
    assert sorted(products(plan.backward)) == [(sum(ranks),), (512,), (512,)]
    values, x = numbers(f), torch.randn(5, 512, dtype=torch.float64, requires_grad=True)
    y, dense = f.apply(x, values, plan=plan), x @ f.dense(values).T
    torch.testing.assert_close(y, dense)
    dy, leaves = torch.randn_like(y), [x, *(v for v in values.values() if v.requires_grad)]
    for ours, theirs in zip(torch.autograd.grad(y, leaves, dy), torch.autograd.grad(dense, leaves, dy), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_common_subexpressions_are_applied_once():
    f = A >> (B + C)
    g = (A >> B) + (A >> C)
    for h in (f, g):
        order = h.plan(4, force="factored").forward.order
        plan = h.plan(4, force="factored")
        assert sum(plan.params["A"] in plan.tape.steps[r].args for r in order) == 1
    assert (A @ A).plan(4).params.keys() == {"A"}


def test_frozen_parameters_get_no_gradient_and_cost_none():
    f = lora()
    plan = f.plan(64)
    assert plan.params["W"] not in plan.grads
    values = numbers(f)
    for name in "AB":
        values[name].requires_grad_()
    x = torch.randn(5, 96, dtype=torch.float64)
    y = f.apply(x, values)
    found = torch.autograd.grad(y.sum(), [values["A"], values["B"]])
    assert all(g is not None for g in found)
    used = f._plans[5, ("A", "B"), False]  # type: ignore[attr-defined]
    assert used.x not in used.grads and used.backward.flops < f.plan(5).backward.flops


def test_a_run_of_reflections_is_one_step():
    f = maps.reflection("u", 64, 3) >> maps.reflection("v", 64) >> maps.reflection("w", 64, 2).T
    kinds = [f.plan(100).tape.steps[r].kind for r in f.plan(100).forward.order]
    assert kinds.count("inverse") == 1
    values = numbers(f)
    m = f.dense(values)
    assert torch.allclose(m @ m.T, torch.eye(64, dtype=m.dtype), atol=1e-12)


def test_a_sum_of_diagonals_is_one_diagonal():
    """(2 − h/‖W‖ + s)·W·(1 + g) applied to vectors: what is of the size of the space is added first, and meets them in one product."""
    W, g, h = maps.dense("W", 256, 256), maps.diagonal("g", 256), maps.diagonal("h", 256)
    f = (maps.identity(256) + g) >> W >> (2 * maps.identity(256) + -1 * (maps.row_norm(W, -1) >> h) + maps.scalar("s", 256))
    plan = f.plan(64)
    forward, backward = ([plan.tape.steps[r].kind for r in way.order if plan.tape.lead(r)] for way in (plan.forward, plan.backward))
    assert forward == ["einsum"] * 3 and not {"add", "scale"} & {*backward}
    values, x = numbers(f), torch.randn(7, 256, dtype=torch.float64)
    w, u, v, c = (values[name].detach() for name in "Wghs")
    expected = (x * (1 + u)) @ w.T * (2 - v / w.norm(dim=1) + c)
    torch.testing.assert_close(f.apply(x, values, plan=plan), expected)
    torch.testing.assert_close(x @ f.dense(values).T, expected)
    assert (g + W).vector(Builder(Tape())) is None


def test_a_parameter_whose_gradient_is_zero_gets_zeros():
    f = B >> maps.row_norm(A, -1, constant=True)
    values, x = {k: v.requires_grad_() for k, v in numbers(f).items()}, torch.randn(3, 12, dtype=torch.float64)
    assert not torch.autograd.grad(f.apply(x, values).sum(), values["A"])[0].any()


def test_summands_are_added_one_by_one_to_the_heaviest():
    """W x + b + (B A x̃ + d ∘ x̃), x̃ = c ∘ x: W x begins from the bias, and no other summand has memory of its own."""
    lone = (maps.dense("P", 2, 256) >> maps.dense("Q", 256, 2)) + maps.diagonal("d", 256)
    f = Affine(maps.dense("W", 256, 256) + (maps.diagonal("c", 256) >> lone), maps.dense("b", 256, ()))
    code = plan_for(f, 64, (), False).alone.code
    assert [code.count(word) for word in ("torch.addmm(", ".addmm_(", ".addcmul_(", ".add_(", " + ")] == [1, 1, 1, 0, 0]
    values, x = numbers(f.linear) | numbers(f.shift), torch.randn(64, 256, dtype=torch.float64)
    y = run(f, x, [values[name] for name in f.params])
    torch.testing.assert_close(y, x @ f.linear.dense({k: values[k] for k in f.linear.params}).T + values["b"])


def test_long_sums_are_joined_without_recursion():
    tape = Tape()
    many = [tape.input((3,), f"x{k}") for k in range(4000)]
    whole = functools.reduce(tape.add, many)
    assert tape.summands(tape.add(many[0], whole)) == [many[0], *many] and tape.summands(many[0]) == [many[0]]
    w = tape.einsum(("a", "ba"), "b", many[1], tape.param("W", (3, 3)))
    shifted = tape.summands(tape.shift(tape.add(whole, w), tape.param("b", (3,))))
    assert tape.steps[shifted[0]].args[0] == w and shifted[1:] == many
    assert tape.summands(tape.add(whole, whole)) == [*many, whole]


def test_what_no_one_else_reads_is_multiplied_where_it_lies():
    f = A >> maps.diagonal("d", 12) >> B
    values, x = numbers(f), torch.randn(3, 12, dtype=torch.float64)
    assert "mul_(" in plan_for(f, 3, (), False).alone.code and "mul_(" not in plan_for(f, 3, (), False).plain.code
    scaled = 3 * (maps.dense("W", 12, 12) + A)
    assert ".mul_(3)" in plan_for(scaled, 3000, (), False).alone.code
    torch.testing.assert_close(scaled.apply(x, v := numbers(scaled)), x @ scaled.dense(v).T)
    given = x.clone()
    torch.testing.assert_close((maps.diagonal("d", 12) >> f).apply(x, values), x @ (maps.diagonal("d", 12) >> f).dense(values).T)
    assert torch.equal(x, given)  # the input is someone else's


def test_shards_are_summed_by_a_sum_unless_its_loops_are_short():
    """Shards of 8 of 768 inputs: reading them is cheaper than a product with zeros and ones; along a last axis of 8 it is not."""

    def sums(cut: maps.Map, total: maps.Map) -> list[int]:
        plan = (cut >> total >> maps.dense("D", 768, total.cod[0])).plan(512)
        steps = [plan.tape.steps[r] for r in plan.forward.order]
        return [plan.tape.shape(s.args[0])[-1] for s in steps if s.kind == "einsum" and len(s.args) == 1 and s.lead]

    assert sums(maps.reshape(768, (96, 8)), maps.broadcast(8, 0, 96).T) == [8]
    assert sums(maps.reshape(768, (8, 96)), maps.broadcast(8, 1, 96).T) == [96]
    assert sums(maps.reshape(64, (8, 8)), maps.broadcast(8, 0, 8).T) == [8]
    assert sums(maps.reshape(64, (8, 8)), maps.broadcast(8, 1, 8).T) == []


def test_khatri_rao_where_ranks_are_small():
    X = maps.dense("R", 2, 200) >> maps.dense("S", 200, 2)
    Y = maps.dense("P", 3, 200) >> maps.dense("Q", 200, 3)
    assert max(map((p := (X * Y).plan(4)).tape.numel, p.forward.order)) < 200 * 200
    big = (X * Y).plan(100_000)
    assert max(big.tape.flops(r) for r in big.forward.order) <= 2 * 100_000 * 200 * 6


def test_row_norms_of_a_low_rank_update_form_no_matrix():
    W, A, B = maps.dense("W", 1000, 800, trainable=False), maps.dense("A", 2, 800), maps.dense("B", 1000, 2)
    f = W + (A >> B)
    plan = maps.row_norm(f, -1).plan(7)
    written = [r for r in plan.forward.order if plan.tape.shape(r) == (1000, 800)]
    assert not written
    values = numbers(f)
    m = values["W"] + values["B"] @ values["A"]
    assert torch.allclose(maps.row_norm(f, -1).dense(values).diagonal(), 1 / m.norm(dim=1))


def test_plans_are_printed_and_replaced():
    f = lora()
    plan = f.plan(16)
    text = str(plan)
    assert "W · x" in text and "flops" in text and "kept between" in text and "(over all vectors)" in text
    assert f.flops(16) == plan.forward.flops >= 2 * 16 * 96 * 96
    values = {k: v.requires_grad_() for k, v in numbers(f).items()}
    x = torch.randn(16, 96, dtype=torch.float64)
    wanted = f.apply(x, values)
    for policy in ("planned", "factored", "dense"):
        assert torch.allclose(f.apply(x, {k: v.detach() for k, v in values.items()}, plan.using(forward=policy)), wanted)
    with pytest.raises(errors.BadMap, match="no such pass"):
        plan.using(forward="magic")
    with pytest.raises(errors.BadMap, match="another map"):
        A.apply(torch.randn(12), None, plan)
    with pytest.raises(errors.BadMap, match="no gradient of W"):
        f.apply(x, values, plan)
    with pytest.raises(errors.BadMap, match="needed: a number"):
        f.plan(-1)


def test_saved_for_backward_is_stated_and_is_what_torch_keeps():
    f = lora()
    plan = f.plan(32)
    values = {k: v.requires_grad_(k != "W") for k, v in numbers(f).items()}
    x = torch.randn(32, 96, dtype=torch.float64, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        f.apply(x, values)
    stated = [plan.tape.numel(r) for r in plan.saved]
    assert sorted(kept) == sorted([x.numel(), *(v.numel() for v in values.values()), *stated])
    assert sum(stated) <= 32 * 8 + 8 * 96


def test_plans_are_made_once_and_rounded():
    f = lora()
    x = torch.randn(100, 96, dtype=torch.float64)
    f.apply(x, numbers(f))
    f.apply(x[:97], numbers(f))
    assert len(f._plans) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("turned", [False, True])
def test_gradients_of_a_matrix_on_a_middle_axis_copy_nothing_and_are_right(turned):
    """Σₜ dyₜ xₜᵀ as a batch of products that is summed, against einsum; the sizes are those where the planner takes it."""
    f = (maps.dense("A", 18, 16) @ maps.dense("B", 17, 16)).T if turned else maps.dense("A", 18, 16) @ maps.dense("B", 17, 16)
    values = {name: v.requires_grad_() for name, v in numbers(f).items()}
    torch.manual_seed(0)
    x, dy = (torch.randn(6, *space, dtype=torch.float64) for space in (f.dom, f.cod))
    plan = f.plan(6)
    assert ".mT).sum(0)" in plan.back.code
    letters = "ia,jb,tij->tab" if turned else "ai,bj,tij->tab"
    one, two = f.apply(x, values, plan=plan), torch.einsum(letters, values["A"], values["B"], x)
    assert torch.allclose(one, two)
    for ours, theirs in zip(*(torch.autograd.grad(y, list(values.values()), dy) for y in (one, two)), strict=True):
        assert torch.allclose(ours, theirs)
