"""The table: each row's boxes compute what torch computes, and a row that says otherwise is refuted."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F

import catlearn as cl
from catlearn.interop.categorify.aten import Aten
from catlearn.interop.categorify.read import RULES

a, b, row, three = torch.randn(2, 3, 4), torch.randn(2, 3, 4), torch.randn(3, 1), torch.randn(2, 4, 5)
ids, mask, square = torch.tensor([[0, 2, 1], [1, 1, 0]]), torch.randn(2, 3, 4) > 0, torch.randn(4, 4)
CASES: dict[str, tuple[Callable[..., object], tuple[torch.Tensor, ...]]] = {
    "aten.exp.default": (torch.exp, (a,)),
    "aten.log.default": (torch.log, (a.abs() + 1,)),
    "aten.relu.default": (torch.relu, (a,)),
    "aten.erf.default": (torch.erf, (a,)),
    "aten.abs.default": (torch.abs, (a,)),
    "aten.sigmoid.default": (torch.sigmoid, (a,)),
    "aten.tanh.default": (torch.tanh, (a,)),
    "aten.silu.default": (F.silu, (a,)),
    "aten.gelu.default": (lambda x: F.gelu(x, approximate="tanh"), (a,)),
    "aten.leaky_relu.default": (lambda x: F.leaky_relu(x, 0.3), (a,)),
    "aten.softplus.default": (lambda x: F.softplus(x, 2, 10), (a,)),
    "aten.neg.default": (torch.neg, (a,)),
    "aten.sqrt.default": (torch.sqrt, (a.abs() + 1,)),
    "aten.rsqrt.default": (torch.rsqrt, (a.abs() + 1,)),
    "aten.reciprocal.default": (torch.reciprocal, (a.abs() + 1,)),
    "aten.square.default": (torch.square, (a,)),
    "aten.pow.Tensor_Scalar": (lambda x: x**3, (a,)),
    "aten.add.Tensor": (lambda x, y: x + y, (a, row)),
    "aten.sub.Tensor": (lambda x, y: x - y, (row, a)),
    "aten.rsub.Scalar": (lambda x: torch.rsub(x, 3), (a,)),
    "aten.mul.Tensor": (lambda x, y: x * y, (a, row)),
    "aten.div.Tensor": (lambda x, y: x / y, (a, row.abs() + 1)),
    "aten.masked_fill.Scalar": (lambda x, m: x.masked_fill(m, 2.5), (a, mask)),
    "aten.where.self": (torch.where, (mask, a, row)),
    "aten.linear.default": (F.linear, (a, torch.randn(5, 4), torch.randn(5))),
    "aten.matmul.default": (torch.matmul, (a, three)),
    "aten.bmm.default": (torch.bmm, (a, three)),
    "aten.mm.default": (torch.mm, (square, square)),
    "aten.einsum.default": (lambda x, y: torch.einsum("bij,bjk->kbi", x, y), (a, three)),
    "aten.scaled_dot_product_attention.default": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), (a, b, b)),
    "aten.embedding.default": (lambda i, w: F.embedding(i, w), (ids, torch.randn(3, 4))),
    "aten.layer_norm.default": (lambda x: F.layer_norm(x, (4,), eps=0.1), (a,)),
    "aten.rms_norm.default": (lambda x: F.rms_norm(x, (4,), eps=0.1), (a,)),
    "aten.softmax.int": (lambda x: torch.softmax(x, 1), (a,)),
    "aten.log_softmax.int": (lambda x: torch.log_softmax(x, -2), (a,)),
    "aten.sum.dim_IntList": (lambda x: x.sum((0, -1), keepdim=True), (a,)),
    "aten.sum.default": (torch.sum, (a,)),
    "aten.mean.dim": (lambda x: x.mean(1), (a,)),
    "aten.amax.default": (lambda x: x.amax((1, 2)), (a,)),
    "aten.logsumexp.default": (lambda x: torch.logsumexp(x, 1), (a,)),
    "aten.view.default": (lambda x: x.view(6, -1), (a,)),
    "aten.reshape.default": (lambda x: x.transpose(0, 1).reshape(-1), (a,)),
    "aten.flatten.using_ints": (lambda x: x.flatten(1), (a,)),
    "aten.unflatten.int": (lambda x: x.unflatten(-1, (2, 2)), (a,)),
    "aten.unsqueeze.default": (lambda x: x.unsqueeze(1), (a,)),
    "aten.squeeze.dim": (lambda x: x.squeeze(1), (row,)),
    "aten.transpose.int": (lambda x: x.transpose(0, -1), (a,)),
    "aten.t.default": (lambda x: x.t() * 1, (row,)),
    "aten.permute.default": (lambda x: x.permute(2, 0, -2), (a,)),
    "aten.expand.default": (lambda x: x.expand(2, 3, 5), (row,)),
    "aten.expand_as.default": (lambda x, y: x.expand_as(y), (row, a)),
    "aten.cat.default": (lambda x, y: torch.cat([x, y], -2), (a, b)),
    "aten.stack.default": (lambda x, y: torch.stack([x, y], 1), (a, b)),
    "aten.slice.Tensor": (lambda x: x[:, -2:, 1:100], (a,)),
    "aten.narrow.default": (lambda x: x.narrow(1, 1, 2), (a,)),
    "aten.select.int": (lambda x: x[:, -1], (a,)),
    "aten.split.Tensor": (lambda x: x.split(3, -1), (a,)),
    "aten.split_with_sizes.default": (lambda x: x.split([1, 3], -1), (a,)),
    "aten.chunk.default": (lambda x: x.chunk(2, -1), (a,)),
    "aten.index_select.default": (lambda x, i: x.index_select(1, i), (a, torch.tensor([2, 0, 2, 1]))),
    "aten.conv1d.default": (lambda x, w, b: F.conv1d(x, w, b, 2, 1, 2), (torch.randn(2, 4, 9), torch.randn(6, 4, 3), torch.randn(6))),
    "aten.conv2d.default": (lambda x, w: F.conv2d(x, w, None, (1, 2), groups=2), (torch.randn(2, 4, 6, 7), torch.randn(6, 2, 3, 2))),
    "aten.conv2d.padding": (lambda x, w: F.conv2d(x, w, None, 1, "same"), (torch.randn(4, 6, 7), torch.randn(6, 4, 3, 5))),
    "aten.max_pool1d.default": (lambda x: F.max_pool1d(x, 3, 2, 1), (torch.randn(2, 4, 9),)),
    "aten.max_pool2d.default": (lambda x: F.max_pool2d(x, (2, 3), 1), (torch.randn(2, 4, 6, 7),)),
    "aten.avg_pool1d.default": (lambda x: F.avg_pool1d(x, 3, 2, 1), (torch.randn(4, 9),)),
    "aten.avg_pool2d.default": (lambda x: F.avg_pool2d(x, 2), (torch.randn(2, 4, 6, 7),)),
    "aten.adaptive_avg_pool1d.default": (lambda x: F.adaptive_avg_pool1d(x, 4), (torch.randn(2, 3, 9),)),
    "aten.adaptive_avg_pool2d.default": (lambda x: F.adaptive_avg_pool2d(x, (3, 2)), (torch.randn(2, 3, 6, 7),)),
    "aten.group_norm.default": (lambda x, w, b: F.group_norm(x, 2, w, b, 0.1), (torch.randn(2, 4, 3, 5), torch.randn(4), torch.randn(4))),
    "aten.scatter_add.default": (
        lambda x, i: x.new_zeros(2, 5, 4).scatter_add(1, i.view(1, -1, 1).expand_as(x), x),
        (a, torch.tensor([4, 1, 4])),
    ),
    "aten.scatter_reduce.two": (
        lambda x, i: x.new_zeros(5, 3, 4).scatter_reduce(0, i[:, None, None].expand(2, 3, 4), x, "sum"),
        (a, torch.tensor([2, 2])),
    ),
    "aten.index_add.default": (lambda x, y, i: x.index_add(-1, i, y), (a, b, torch.tensor([3, 0, 0, 1]))),
    "aten.constant_pad_nd.default": (lambda x: torch.constant_pad_nd(x, [1, 0, 2, 1], 0.5), (a,)),
}
# second overloads of a rule, and rows that whole models are about
ELSEWHERE = """addmm lstm gru dropout contiguous alias lift_fresh_copy clone to _to_copy
type_as add sub mul div squeeze _unsafe_view view_as reshape_as numpy_T mT broadcast_to split""".split()


def same(f: Callable[..., object], xs: tuple[torch.Tensor, ...]) -> None:
    """The term's values and gradients are the function's."""
    term = cl.categorify(f, *xs)
    model = cl.compile(term)
    leaves = [x.clone().requires_grad_(x.is_floating_point()) for x in xs]
    more = [x.clone().requires_grad_(x.is_floating_point()) for x in xs]
    ys, zs = f(*leaves), model(*more)
    ys, zs = (ys, zs) if isinstance(ys, tuple | list) else ([ys], [zs])
    for y, z in zip(ys, zs, strict=True):
        torch.testing.assert_close(z, y, rtol=1e-6, atol=1e-6)
    weights = [torch.randn_like(y) for y in ys]
    for rows in (ys, zs):
        sum((y * w).sum() for y, w in zip(rows, weights, strict=True)).backward()
    for x, y in zip(leaves, more, strict=True):
        if x.is_floating_point():
            torch.testing.assert_close(y.grad, x.grad, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_a_row_means_what_torch_does(name):
    f, xs = CASES[name]
    term = cl.categorify(f, *xs)
    assert not any(isinstance(node.op, Aten) for node in term.graph.nodes), f"{name} was not recognised: {cl.coverage(term)}"
    same(f, xs)


def test_every_row_has_a_case():
    tested = {name.split(".")[1] for name in CASES} | set(ELSEWHERE)
    assert {name.split(".")[1] for name in RULES} <= tested


@pytest.mark.parametrize(("name", "instead"), [
    ("aten.softmax.int", "aten.log_softmax.int"), ("aten.tanh.default", "aten.sigmoid.default"), ("aten.sub.Tensor", "aten.add.Tensor"),
    ("aten.gelu.default", None), ("aten.transpose.int", "aten.expand.default"),
    ("aten.avg_pool2d.default", "aten.max_pool2d.default"), ("aten.sqrt.default", "aten.rsqrt.default"),
])  # fmt: skip
def test_a_wrong_row_is_refuted(name, instead, monkeypatch):
    from catlearn.boxes.pointwise import Gelu

    wrong = RULES[instead] if instead else lambda c, x, approximate: c.apply(Gelu(), x)
    if name == "aten.avg_pool2d.default":  # as the other row wants its arguments
        wrong = partial(lambda row, c, x, kernel, stride, *rest: row(c, x, kernel, stride, (0, 0), (1, 1), False), wrong)
    if name == "aten.transpose.int":  # the shape is right, the entries are not
        wrong = RULES["aten.view.default"]
    monkeypatch.setitem(RULES, name, wrong)
    f, xs = CASES[name]
    with pytest.raises(AssertionError):
        same(f, xs)


@pytest.mark.parametrize("f", [
    lambda x: torch.add(x, x, alpha=2), lambda x: x / 3, lambda x: torch.softmax(x, 1, dtype=torch.float64), lambda x: x[:, ::2],
    lambda x: F.layer_norm(x, (3, 4)), lambda x: torch.einsum("...ij->...ji", x), lambda x: x.mean(1, dtype=torch.float64),
])  # fmt: skip
def test_what_a_row_is_not_about_stays_opaque_and_right(f):
    term = cl.categorify(f, a)
    assert cl.coverage(term).opaque
    same(f, (a,))


def test_rows_of_a_table_that_never_learn_get_no_gradient():
    table = torch.nn.Embedding(5, 3, padding_idx=1)
    model = cl.compile(cl.categorify(table, torch.tensor([0, 1, 1, 4])))
    model(torch.tensor([0, 1, 1, 4])).sum().backward()
    grad = next(model.parameters()).grad
    assert grad is not None and not grad[1].any() and grad[0].all()


@pytest.mark.parametrize("f", [
    lambda x, i: x.new_zeros(5, 3, 4).scatter_add(0, i, x[:, :3]),  # each entry has a position of its own
    lambda x, i: x.new_zeros(5, 3, 4).scatter_add(0, i[:1].expand(2, 3, 4), x),
    lambda x, i: (x * 1).detach().new_zeros(5, 3, 4).scatter_add(0, i[:, :2], x[:, :2]),
    lambda x, i: x.new_zeros(5, 3, 4).index_add(0, i[:, 0, 0], x, alpha=2),
    lambda x, i: x.new_ones(5, 3, 4).index_add(0, i[:, 0, 0], x),
    lambda x, i: x.new_ones(5, 3, 4).scatter_add(0, i[:, :1, :1].expand(2, 3, 4), x),
    lambda x, i: x.new_ones(5, 3, 4).scatter_reduce(0, i[:, :1, :1].expand(2, 3, 4), x, "sum", include_self=False),
    lambda x, i: x.new_zeros(5, 3, 4).scatter_reduce(0, i[:, :1, :1].expand(2, 3, 4), x, "amax"),
    lambda x, i: F.avg_pool2d(x, 2, padding=1, count_include_pad=False),
    lambda x, i: F.max_pool2d(x, 3, 2, ceil_mode=True),
    lambda x, i: F.conv1d(x, torch.ones(3, 3, 2), padding="same"),
])  # fmt: skip
def test_sums_and_windows_of_another_kind_stay_opaque_and_right(f):
    positions = torch.randint(0, 5, (2, 3, 4), generator=torch.Generator().manual_seed(0))
    term = cl.categorify(f, a, positions)
    assert any(name.split(".")[1] in str(RULES) for name in cl.coverage(term).opaque)
    same(f, (a, positions))
