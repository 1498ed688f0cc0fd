"""Large batches are walked block by block, and two turns come from one product: against the definition, forward and backward."""

from __future__ import annotations

import pytest
import torch

from catlearn.maps.sums.family import Element, Family
from catlearn.maps.sums.kernel import pull, push
from catlearn.maps.sums.plan import plan
from tests.maps.test_sums_plain import F64, dense, product, symmetric, tensors

# nothing of the input is contracted, so there is nothing to gather
TURNS = Family((4, 4), (4, 4), (Element(((0, 2), (1, 3))), Element(((0, 3), (1, 2)))), (Element(((0, 1),)),))
BLOCKS = [
    (TURNS, 12, 100),
    (symmetric(4, 2, 2), 12, 100),
    (symmetric(3, 3, 2), 10, 90),
    (symmetric(3, 2, 3), 10, 100),
    (product(2, "soo", "oso"), 10, 90),
]


@pytest.mark.parametrize(("family", "tokens", "budget"), BLOCKS)
@pytest.mark.parametrize("wanted", [(True, True, True), (True, False, False)], ids=["all", "dx"])
def test_blocks_of_a_large_batch_give_what_the_definition_gives(family, tokens, budget, wanted):
    scheme, given = plan.__wrapped__(family, tokens, 2, 3, budget), tensors(family, tokens)
    assert 1 < scheme.block < tokens
    y = dense(family, *given)
    dy = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=F64)
    x, weight, bias = (t.detach() for t in given)
    ours, features = push(scheme, x, weight, bias)
    assert torch.allclose(ours, y, atol=1e-11)
    expected = torch.autograd.grad(y, given, dy)
    for mine, theirs, want in zip(pull(scheme, x, weight, dy, features, wanted), expected, wanted, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-11) if want else mine is None


@pytest.mark.parametrize("change", [(" + b * ", " + 0 * "), ("total(", "2 * total("), ("add(v7, v8", "add(v7, v7")])
def test_a_block_that_is_missed_or_a_turn_that_is_lost_is_seen(change):
    family = symmetric(4, 2, 2)
    scheme, (x, weight, bias) = plan.__wrapped__(family, 12, 2, 3, 100), (t.detach() for t in tensors(family, 12))
    program = scheme.passing(True, True)
    assert change[0] in program.code, program.code
    program.__dict__["code"] = program.code.replace(*change)
    assert not torch.allclose(push(scheme, x, weight, bias)[0], dense(family, x, weight, bias), atol=1e-2)  # what is not written may be nan
