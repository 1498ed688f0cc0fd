"""Nonlinear boxes stand on axes of permutations only: what would be broken is an equivariance that was only believed."""

import pytest
import torch

import catlearn as cl
from catlearn import errors

NONLINEAR = [cl.relu, cl.gelu, cl.tanh, cl.softmax, cl.layer_norm, cl.rms_norm, cl.dropout(0.1), cl.exp, cl.shift(1), cl.power(2), cl.max,
             cl.batch_norm, cl.bias]  # fmt: skip


@pytest.mark.parametrize("schema", NONLINEAR, ids=str)
@pytest.mark.parametrize("group", [cl.O(3), cl.SO(3), cl.Sp(2), cl.T(3)], ids=str)
def test_a_nonlinear_box_on_a_rotated_axis_is_refused(schema, group):
    with pytest.raises(errors.BadSymmetry, match="does not commute"):
        schema(group.space(1, channels=4))
    with pytest.raises(errors.BadSymmetry, match="does not commute"):
        cl.id(cl.space(cl.S(5), group, 4)) >> schema


@pytest.mark.parametrize("schema", NONLINEAR, ids=str)
@pytest.mark.parametrize("x", [cl.S(5).space(2, channels=4), cl.A(5).space(1, 4), cl.O(3).space(0, 4), cl.R(3, 4)], ids=str)
def test_permutations_and_invariants_pass(schema, x):
    assert schema(x).dom == x


@pytest.mark.parametrize("schema", [cl.add, cl.scale(2), cl.sub, cl.sum, cl.mean], ids=str)
def test_linear_boxes_are_not_refused(schema):
    assert schema(cl.O(3).space(1, channels=4))


def test_the_refusal_is_true():
    """relu does move: rotating first and last differ."""
    x, turn = torch.tensor([1.0, -2.0]), torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    assert not torch.equal(torch.relu(turn @ x), turn @ torch.relu(x))
