"""What would break if reductions over event axes touched the batch, or were not torch's."""

import pytest
import torch

import catlearn as cl
from catlearn import errors
from tests.boxes.agree import agree, check_forward, check_reverse

AXES = [((-1,), False), ((0,), False), ((0, 2), False), ((0, 1, 2), False), ((-2,), True), ((0, 2), True), ((2, 0), False), ((), False)]


def torchs(f, axes, keep, order=3):
    negative = tuple(a if a < 0 else a - order for a in axes)
    return (lambda x: f(x, dim=negative, keepdim=keep)) if axes else lambda x: x


@pytest.mark.parametrize("axes, keep", AXES)
@pytest.mark.parametrize("box, f", [(cl.sum, torch.sum), (cl.mean, torch.mean), (cl.max, torch.amax)], ids=["sum", "mean", "max"])
def test_reductions_agree_with_torch(box, f, axes, keep):
    made = box(cl.R(2, 3, 4), axes, keep)
    agree(made, torchs(f, axes, keep), defined=made.op.definition is not None, aten=bool(axes))


@pytest.mark.parametrize("box, f", [(cl.sum, torch.sum), (cl.mean, torch.mean)], ids=["sum", "mean"])
def test_empty_axes(box, f):
    agree(box(cl.R(0, 2), (1,)), lambda x: f(x, -1), defined=False)
    assert cl.sum(cl.R(0, 2), (0,))(torch.zeros(3, 0, 2)).tolist() == [[0, 0]] * 3


def test_ties_share_as_amax_does():
    x, dy = torch.tensor([[1.0, 1.0, 0.0]]), torch.ones(1)
    leaf = x.clone().requires_grad_()
    leaf.amax(-1).backward(dy)
    assert torch.equal(cl.reverse(cl.max(cl.R(3)))(x, dy), leaf.grad)


def test_mutants_are_told_apart():
    with pytest.raises(AssertionError, match="off by"):
        check_forward(cl.sum(cl.R(3, 3), (0,)), lambda x: x.sum(-1))
    with pytest.raises(AssertionError, match="off by"):
        check_reverse(cl.mean(cl.R(3)), lambda x: x.sum(-1) / 2)


def test_one_axis_as_an_integer():
    assert cl.sum(cl.R(2, 3), 0).cod == cl.R(3)
    assert cl.mean(cl.R(2, 3), -1, True).cod == cl.R(2, 1)


@pytest.mark.parametrize("make, text", [
    (lambda: cl.sum(cl.R(2, 3), (2,)), "distinct axes"),
    (lambda: cl.sum(cl.R(2, 3), (0, -2)), "distinct axes"),
    (lambda: cl.sum(cl.R(), (0,)), "axes"),
    (lambda: cl.mean(cl.index(3, 4)), "float wire"),
    (lambda: cl.max(cl.R(0, 3), (0,)), "no empty axis"),
    (lambda: cl.mean(cl.R(0, 3), (0,)), "no empty axis"),
])  # fmt: skip
def test_bad_reductions_are_refused_by_name(make, text):
    with pytest.raises(errors.BadBox, match=text):
        make()
