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
