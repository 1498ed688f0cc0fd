"""What a plan keeps for the backward pass and what it makes again: no weight that is light to write out is kept."""

from __future__ import annotations

import math

import pytest
import torch

from catlearn import maps
from catlearn.maps import costs
from catlearn.maps import plan as plans
from catlearn.maps.plan import computed_again
from catlearn.maps.running import apply
from catlearn.maps.tape import Tape
from tests.maps.strategies import numbers

N, TOKENS = 96, 500


def low_rank(rank: int) -> maps.Map:
    """W + B·A with only B trained; many vectors meet it written out, and its gradient needs A·x alone."""
    fixed = maps.dense("A", rank, N, trainable=False) >> maps.dense("B", N, rank)
    return maps.dense("W", N, N, trainable=False) + fixed


def kept_and_gradients(f: maps.Map) -> tuple[int, list[torch.Tensor], list[torch.Tensor]]:
    """How many numbers torch keeps beside the input and the parameters; y and its gradients; the same by the written formula."""
    values = {name: v.requires_grad_(name == "B") for name, v in numbers(f).items()}
    x = torch.randn(TOKENS, N, dtype=torch.float64, requires_grad=True)
    own, kept = {t.data_ptr() for t in (x, *values.values())}, {}

    def pack(t: torch.Tensor) -> torch.Tensor:
        kept[t.untyped_storage().data_ptr()] = t
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        y = apply(f, x, values)
    dy, wanted = torch.randn_like(y), (x, values["B"])
    written = x @ (values["W"] + values["B"] @ values["A"]).T
    ours, theirs = ([y, *torch.autograd.grad(y, wanted, dy)], [written, *torch.autograd.grad(written, wanted, dy)])
    return sum(t.untyped_storage().nbytes() // 8 for at, t in kept.items() if at not in own), ours, theirs


@pytest.mark.parametrize("rank", [4, 40])
def test_a_weight_that_is_light_to_write_out_is_not_kept(rank):
    f = low_rank(rank)
    plan = f.plan(TOKENS)
    assert any(plan.tape.shape(r) == (N, N) for r in plan.forward.order)  # it is written out
    kept, ours, theirs = kept_and_gradients(f)
    assert all(torch.allclose(a, b, rtol=1e-10, atol=1e-10) for a, b in zip(ours, theirs, strict=True))
    # B·A costs 2 · rank flops an entry and some more: less than a fiftieth of what 500 vectors cost, or more
    assert kept == (0 if rank == 4 else N * N)


def test_where_nothing_is_made_again_the_weight_is_kept(monkeypatch):
    """The mutant of the test above."""
    monkeypatch.setattr(plans, "AGAIN", math.inf)
    assert kept_and_gradients(low_rank(4))[0] == N * N


def made(tokens: int) -> tuple[Tape, list[int], dict[str, int]]:
    """V = diag‖W‖⁻¹ W: a small vector that takes a pass over W, and a large matrix that is one more."""
    tape = Tape(tokens)
    W = tape.param("W", (768, 768))
    squares = tape.einsum(("ba", "ba"), "b", W, W)
    norms = tape.power(squares, -0.5)
    V = tape.einsum(("b", "ba"), "ba", norms, W)
    return tape, [squares, norms, V], {"squares": squares, "norms": norms, "V": V}


def test_a_small_result_of_a_large_step_is_kept_and_a_large_one_of_a_small_step_made_again():
    tape, order, name = made(512)
    assert computed_again(tape, order) & {name["squares"], name["V"]} == {name["V"]}


def test_for_few_vectors_all_is_kept_since_making_it_again_would_cost_as_much_as_using_it():
    tape, order, name = made(16)
    assert name["V"] not in computed_again(tape, order)


def across(f: maps.Map) -> list[int]:
    """The sums of the backward pass of 512 vectors that read one weight across the rows of another."""
    plan = f.plan(512)
    kinds = {
        r: {plan.tape.steps[a].kind == "permute" for a in plan.tape.steps[r].args}
        for r in plan.backward.order
        if plan.tape.steps[r].kind == "add"
    }
    return [r for r, turned in kinds.items() if len(turned) > 1 and not plan.tape.lead(r)]


def test_no_weight_is_added_to_one_that_lies_transposed(monkeypatch):
    """That takes four times as long as W + D, and the transposed map, planned by itself, would do it."""
    shards = maps.reshape(768, (96, 8)) >> maps.broadcast(8, 0, 96).T >> maps.dense("D", 768, 8)
    f = maps.dense("W", 768, 768, trainable=False) + shards
    assert not across(f)
    monkeypatch.setattr(costs, "SCATTER", costs.FUSED)  # the mutant: as light as any sum
    assert across(maps.dense("W", 768, 768, trainable=False) + shards)
