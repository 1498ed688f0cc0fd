"""The reverse of a reverse: torch's kernels are not the end of the line, their definitions are differentiated in turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import catlearn as cl
from catlearn.boxes.softmax import Softmax
from catlearn.core.term import Box
from catlearn.meanings import kernels, opaque
from tests.boxes.agree import check_reverse, check_twice

X = cl.R(2, 4)
Q, V, M = cl.R(2, 5, 4), cl.R(2, 5, 3), cl.boolean(5, 5)


@pytest.mark.parametrize(
    ("box", "reference"),
    [
        (cl.tanh(X), torch.tanh),
        (cl.gelu(X), F.gelu),
        (cl.silu(X), F.silu),
        (cl.leaky_relu(X), F.leaky_relu),
        (cl.softplus(X), F.softplus),
        (cl.abs(X), torch.abs),
        (cl.softmax(X, axis=0), lambda x: torch.softmax(x, -2)),
        (cl.log_softmax(X), lambda x: torch.log_softmax(x, -1)),
        (cl.logsumexp(X), lambda x: torch.logsumexp(x, -1)),
        (cl.layer_norm(X), lambda x, **p: F.layer_norm(x, (4,), **p)),
        (cl.rms_norm(X), lambda x, **p: F.rms_norm(x, (4,), **p, eps=1e-6)),
        (cl.attention(Q @ Q @ V), F.scaled_dot_product_attention),
        (cl.attention(Q @ Q @ V, causal=True), lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True)),
        (cl.attention(Q @ Q @ V @ M), lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, m.unsqueeze(-3))),
    ],
    ids=lambda value: str(value).partition(" ")[0] if isinstance(value, Box) else "",
)
def test_the_reverse_of_the_reverse_is_autograd_through_autograd(box: Any, reference: Any) -> None:
    check_twice(box, reference)


@dataclass(frozen=True)
class RightOnce(Softmax):
    """softmax whose own rule is wrong where only the kernel's reverse looks."""

    key = "test_right_once"

    def torch(self, e: Any, x: str) -> str:
        return f"torch.softmax({x}, -1)"

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return (o.mul(outs[0], douts[0]),)


def test_a_wrong_second_derivative_is_refuted() -> None:
    box = Box(RightOnce(), X)
    with pytest.raises(AssertionError, match="fused=False"):
        check_reverse(box, lambda x: torch.softmax(x, -1))
    with pytest.raises(AssertionError, match="fused=True"):
        check_twice(box, lambda x: torch.softmax(x, -1))


# -- the same with grad mode on ----------------------------------------------------------------------------------------

A, W = cl.R(5, 4), cl.R(3)
PRODUCT = cl.box("product", W @ W, W, torch=lambda a, b: a * b)
DEPENDENT = {  # inputs that depend on each other: a copy, and a copy of which one goes through another box
    "attention, one tensor": (cl.copy(A, 3) >> cl.attention, lambda x: F.scaled_dot_product_attention(x, x, x)),
    "attention, a chain": (cl.copy(A, 3) >> cl.id(A) @ cl.tanh(A) @ cl.id(A) >> cl.attention,
                           lambda x: F.scaled_dot_product_attention(x, x.tanh(), x)),
    "a box, one tensor": (cl.copy(W) >> PRODUCT, lambda x: x * x),
    "a box, a chain": (cl.copy(W) >> cl.id(W) @ cl.tanh(W) >> PRODUCT, lambda x: x * x.tanh()),
    "a product": (cl.copy(W) >> cl.mul, lambda x: x * x),
    "a contraction": (cl.copy(W) >> cl.einsum("i, i -> "), lambda x: (x * x).sum(-1)),
}  # fmt: skip


def check_grad_mode(name: str) -> None:
    term, f = DEPENDENT[name]
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(2, *(int(n) for n in term.dom[0].shape), generator=generator, dtype=torch.float64, requires_grad=True)
    w = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    z = x * w  # not a leaf: it has a history of its own
    dy = torch.randn(f(x).shape, generator=generator, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(f(z), z, dy, create_graph=True)
    second = torch.autograd.grad(expected.square().sum(), [x, w, dy], retain_graph=True)
    for fused in (True, False):
        model = cl.compile(cl.reverse(term, fused), dtype=torch.float64)
        with torch.no_grad():
            plain = model(z, dy)
        found = model(z, dy)
        torch.testing.assert_close(plain, expected.detach())
        torch.testing.assert_close(found, plain)
        for a, b in zip(torch.autograd.grad(found.square().sum(), [x, w, dy], retain_graph=True), second, strict=True):
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("name", DEPENDENT)
def test_inputs_that_depend_on_each_other_have_their_own_cotangents_with_grad_mode_on(name: str) -> None:
    check_grad_mode(name)


@pytest.mark.parametrize("name, module", [("attention, one tensor", kernels), ("a box, a chain", opaque)])
def test_inputs_taken_as_they_are_would_be_counted_twice(name: str, module: Any, monkeypatch: Any) -> None:
    leaf = module._leaf
    monkeypatch.setattr(module, "_leaf", lambda x, again: x if again and x is not None and x.requires_grad else leaf(x, again))
    with pytest.raises(AssertionError):
        check_grad_mode(name)
