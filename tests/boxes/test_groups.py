"""Groups on the axes of two wires: who writes a term must say them, derivatives may forget them."""

import pytest
import torch

import catlearn as cl
from catlearn import errors

S5 = cl.S(5).space(1, 8)


@pytest.mark.parametrize("box", [cl.add, cl.mul, cl.sub, cl.div], ids=str)
@pytest.mark.parametrize("other", [cl.R(5, 8), cl.S(5, name="others").space(1, 8), cl.A(5).space(1, 8)], ids=str)
def test_wires_under_different_groups_are_not_added(box, other):
    """An equivariance that was never there would be believed."""
    for pair in (S5 @ other, other @ S5):
        with pytest.raises(errors.BadBox, match="groups included"):
            cl.id(pair) >> box
    assert (cl.id(S5 @ S5) >> box).cod == S5


@pytest.mark.parametrize("fused", [True, False])
def test_a_reverse_through_boxes_that_forget_groups(fused):
    """mean and its broadcast meet another branch: the cotangents are of one wire although one of them lost the group."""
    f = cl.copy(S5) >> cl.mean((0,))(S5) @ (cl.tanh(S5) >> cl.mean((0,))) >> cl.mul
    x, dy = torch.randn(3, 5, 8, dtype=torch.float64), torch.randn(3, 8, dtype=torch.float64)
    given = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(given.mean(-2) * given.tanh().mean(-2), given, dy)
    found = cl.compile(cl.reverse(f, fused), dtype=torch.float64)(x, dy)
    torch.testing.assert_close(found, expected)


def test_the_cotangent_of_a_weight_fed_by_constants_alone_is_a_parameter():
    x = cl.R(3)
    f = cl.full(x, 1.0) @ cl.id(x) >> cl.linear(x, x) @ cl.id(x) >> cl.add(x)
    for fused in (True, False):
        back = cl.reverse(f, fused)
        assert back.cod[0].shape == (3,) and back.cod[1].shape == (3, 3) and all(w.role == "parameter" for w in back.cod.wires[:2])
        dbias, dweight, _ = cl.compile(back)(torch.zeros(4, 3), torch.ones(4, 3))
        assert torch.equal(dbias, torch.full((3,), 4.0)) and torch.equal(dweight, torch.full((3, 3), 4.0))
