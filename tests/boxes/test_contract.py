"""What would break if contractions, and the boxes with weights built on them, were not torch's."""

import pytest
import torch
import torch.nn.functional as F

import catlearn as cl
from catlearn import errors
from tests.boxes.agree import BATCHES, agree, check_forward, check_reverse, check_twice
from tests.labels import label


@pytest.mark.parametrize("spaces, pattern", [
    ([(3, 4), (4, 2)], "ij,jk->ik"),
    ([(3, 4)], "ij->ji"),
    ([(3, 4)], "ij->j"),
    ([(3, 4)], "ij->"),
    ([(3,), (4,)], "i,j->ij"),
    ([(), (4,)], ",i->i"),
    ([(), ()], ",->"),
    ([(2, 3), (3, 4), (4, 2)], "ij,jk,kl->il"),
    ([(2, 3), (3,), (5, 2)], "ij,j,ki->k"),
    ([(2, 3), (4,)], "ij,k->ik"),
    ([(2, 0), (0, 3)], "ij,jk->ik"),
])  # fmt: skip
def test_einsum_agrees_with_torch(spaces, pattern):
    dom = cl.Space(tuple(cl.R(*shape)[0] for shape in spaces))
    left, _, out = pattern.partition("->")
    batched = ",".join("..." + letters for letters in left.split(",")) + "->..." + out
    agree(cl.einsum(dom, pattern), lambda *xs: torch.einsum(batched, *xs), bits=False, defined=False)


def test_a_diagonal_is_taken_but_not_reversed():
    box = cl.einsum(cl.R(3, 3), "ii->i")
    x = torch.randn(2, 3, 3)
    assert torch.equal(box(x), x.diagonal(dim1=-2, dim2=-1))
    with pytest.raises(errors.NoRule, match="repeated letter"):
        cl.reverse(box)


@pytest.mark.parametrize("a, b", [((3, 4), (4, 2)), ((2, 3, 4), (2, 4, 5)), ((1, 1), (1, 1)), ((2, 0), (0, 3)), ((0, 2), (2, 3))])
def test_matmul_agrees_with_torch(a, b):
    agree(cl.matmul(cl.R(*a) @ cl.R(*b)), torch.matmul, bits=False)


@pytest.mark.parametrize("dom, cod, bias", [
    ((3,), (2,), True), ((5, 3), (5, 2), True), ((2, 5, 3), (2, 5, 4), False), ((0, 3), (0, 2), True), ((0,), (2,), True),
    ((3,), (0,), True),
])  # fmt: skip
def test_linear_agrees_with_torch(dom, cod, bias):
    box = cl.linear(cl.R(*dom), cl.R(*cod), bias)
    agree(box, F.linear, bits=0 not in (*dom, *cod))


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 4, 3), (0, 3)])
def test_bias_and_gain(shape):
    x = cl.R(*shape)
    agree(cl.bias(x), lambda x, bias: x + bias, bits=False)
    agree(cl.gain(x), lambda x, gain: x * gain, bits=False)
    assert set(cl.compile(cl.gain(x)).gain.gain.flatten().tolist()) <= {1.0}


@pytest.mark.parametrize("box, f", [
    (cl.linear(cl.R(5, 3), cl.R(5, 2)), F.linear), (cl.linear(cl.R(3), cl.R(2), bias=False), F.linear),
    (cl.bias(cl.R(2, 3)), lambda x, bias: x + bias), (cl.gain(cl.R(2, 3)), lambda x, gain: x * gain),
    (cl.matmul(cl.R(2, 3) @ cl.R(3, 2)), torch.matmul),
    (cl.einsum(cl.R(2, 3) @ cl.R(3), "ij,j->i"), lambda x, y: (x @ y[..., None])[..., 0]),
    (cl.conv2d(cl.R(2, 4, 4), 3, 2, padding=1), lambda x, **p: F.conv2d(x, **p, padding=1)),
    (cl.conv1d(cl.R(2, 5), 3, 2, bias=False), F.conv1d),
    (cl.avg_pool2d(cl.R(2, 4, 4), 2), lambda x: F.avg_pool2d(x, 2)), (cl.max_pool1d(cl.R(2, 6), 2), lambda x: F.max_pool1d(x, 2)),
    (cl.adaptive_avg_pool1d(cl.R(2, 6), 4), lambda x: F.adaptive_avg_pool1d(x, 4)),
    (cl.mean(cl.R(2, 6), (0,)), lambda x: x.mean(-2)), (cl.embedding(cl.index(4, 5), 3), F.embedding),
], ids=label)  # fmt: skip
def test_the_reverse_of_the_reverse(box, f):
    check_twice(box, f)


def test_other_weights_are_told_apart():
    with pytest.raises(AssertionError, match="off by"):
        check_forward(cl.linear(cl.R(3), cl.R(3)), lambda x, weight, bias: x @ weight + bias)
    with pytest.raises(AssertionError, match="off by"):
        check_reverse(cl.gain(cl.R(3)), lambda x, gain: x.detach() * gain)


@pytest.mark.parametrize("batch", BATCHES)
def test_a_shared_weight_gets_both_cotangents(batch):
    layer = cl.linear(cl.R(3), cl.R(3), bias=False)
    term, x = cl.repeat(2, layer, shared=True), torch.randn(*batch, 3, dtype=torch.float64)
    w = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad((x @ w.T @ w.T).sum(), w)
    dparams, _ = cl.lens(term).put({"linear.weight": w.detach()}, (x,), torch.ones_like(x))
    assert torch.allclose(dparams["linear.weight"], expected, 1e-10, 1e-10)


@pytest.mark.parametrize("make, text", [
    (lambda: cl.einsum(cl.R(2, 3) @ cl.R(4, 2), "ij,jk->ik"), "one size for 'j'"),
    (lambda: cl.einsum(cl.R(2, 3), "i->i"), r"wires of orders \[1\]"),
    (lambda: cl.einsum(cl.R(2, 3), "ij->k"), "among the input letters"),
    (lambda: cl.einsum(cl.R(2, 3), "ij->ii"), "wires of orders"),
    (lambda: cl.einsum(cl.R(2, 3), "ij"), "is no pattern"),
    (lambda: cl.matmul(cl.R(2, 3) @ cl.R(2, 3)), "k, m"),
    (lambda: cl.matmul(cl.R(3) @ cl.R(3)), "k, m"),
    (lambda: cl.linear(cl.R(2, 3), cl.R(3, 4)), "last axis only"),
    (lambda: cl.linear(cl.R(), cl.R(3)), "at least one axis"),
    (lambda: cl.linear(cl.index(3), cl.R(3)), "float wire"),
    (lambda: cl.bias(cl.boolean(3)), "float wire"),
])  # fmt: skip
def test_bad_contractions_are_refused_by_name(make, text):
    with pytest.raises((errors.BadBox, errors.BadSpace), match=text):
        make()
