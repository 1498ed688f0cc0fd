"""Pointwise boxes: torch's numbers, forward and back, at kinks too; and agree's own power to refute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import catlearn as cl
from catlearn.boxes.pointwise import Pointwise, Sigmoid
from catlearn.core.op import Fused
from catlearn.core.term import Box
from tests.boxes.agree import agree, check_aten, check_definition, check_forward, check_put, check_reverse

X = cl.R(3)


def positive(batch: tuple[int, ...], generator: torch.Generator) -> list[torch.Tensor]:
    return [torch.rand((*batch, 3), generator=generator, dtype=torch.float64) + 0.1]


def kinks(batch: tuple[int, ...], generator: torch.Generator) -> list[torch.Tensor]:
    return [torch.tensor([0.0, -1.0, 2.0], dtype=torch.float64).expand(*batch, 3).contiguous()]


def steep(batch: tuple[int, ...], generator: torch.Generator) -> list[torch.Tensor]:
    return [torch.tensor([-800.0, 19.9, 800.0], dtype=torch.float64).expand(*batch, 3).contiguous()]


@pytest.mark.parametrize(
    ("box", "reference", "draw"),
    [
        (cl.exp(X), torch.exp, None),
        (cl.log(X), torch.log, positive),
        (cl.relu(X), F.relu, kinks),
        (cl.erf(X), torch.erf, None),
        (cl.sigmoid(X), torch.sigmoid, None),
        (cl.tanh(X), torch.tanh, None),
        (cl.gelu(X), F.gelu, None),
        (cl.gelu(X, approximate="tanh"), lambda x: F.gelu(x, approximate="tanh"), None),
        (cl.silu(X), F.silu, None),
        (cl.leaky_relu(X), F.leaky_relu, kinks),
        (cl.leaky_relu(X, slope=0.3), lambda x: F.leaky_relu(x, 0.3), None),
        (cl.leaky_relu(X, slope=1.5), lambda x: F.leaky_relu(x, 1.5), kinks),
        (cl.softplus(X), F.softplus, None),
        (cl.softplus(X, beta=2.0, threshold=3.0), lambda x: F.softplus(x, 2.0, 3.0), kinks),
        (cl.softplus(X), F.softplus, steep),
        (cl.abs(X), torch.abs, kinks),
        (cl.abs(cl.R(2, 3)), torch.abs, None),
    ],
    ids=lambda value: str(value).partition(" ")[0] if isinstance(value, Box) else "",
)
def test_box_is_torchs_function(box: Any, reference: Any, draw: Any) -> None:
    agree(box, reference, draw=draw, defined=box.op.definition is not None)


def test_step_is_an_indicator_without_derivative() -> None:
    x = torch.tensor([-1.0, 0.0, 2.0])
    assert torch.equal(cl.compile(cl.step(X))(x), torch.tensor([0.0, 0.0, 1.0]))
    assert torch.equal(cl.lens(cl.step(X)).put({}, (x,), torch.ones(3))[1][0], torch.zeros(3))


# -- mutants: each breaks one thing, and the check for that thing must say so ---------------------------------------------


@dataclass(frozen=True)
class WrongDefinition(Pointwise):
    """silu, defined with a sign flipped."""

    key = "test_wrong_definition"
    torch = "F.silu({x0})"
    fused = (Fused("dy0 x0", "x0", "aten.silu_backward({dy0}, {x0})"),)

    def definition(self, o: Any, x: Any) -> Any:
        return o.mul(x, o.apply(Sigmoid(), o.neg(x)))


@dataclass(frozen=True)
class WrongKernel(Pointwise):
    """exp whose kernel multiplies by the input where it should by the output."""

    key = "test_wrong_kernel"
    torch = "torch.exp({x0})"
    fused = (Fused("dy0 x0", "x0", "{dy0} * {x0}"),)

    def definition(self, o: Any, x: Any) -> Any:
        return o.exp(x)


@dataclass(frozen=True)
class OtherBits(Pointwise):
    """tanh, right, but by other operations than torch's: same function, other last bits, other aten ops."""

    key = "test_other_bits"
    torch = "2 * torch.sigmoid(2 * {x0}) - 1"

    def definition(self, o: Any, x: Any) -> Any:
        return o.shift(o.scale(o.apply(Sigmoid(), o.scale(x, 2)), 2), -1)


def test_agree_refutes_a_wrong_function() -> None:
    with pytest.raises(AssertionError, match="off by"):
        check_forward(cl.silu(X), F.relu)


def test_agree_refutes_a_wrong_definition() -> None:
    wrong = Box(WrongDefinition(), X)
    check_forward(wrong, F.silu)
    with pytest.raises(AssertionError, match="definition"):
        check_definition(wrong, F.silu)
    with pytest.raises(AssertionError, match="fused=False"):
        check_reverse(wrong, F.silu)


def test_agree_refutes_a_wrong_kernel() -> None:
    wrong = Box(WrongKernel(), X)
    check_definition(wrong, torch.exp)
    with pytest.raises(AssertionError, match="fused=True"):
        check_reverse(wrong, torch.exp)


def test_agree_sees_other_bits_and_other_ops() -> None:
    other = Box(OtherBits(), X)
    check_reverse(other, torch.tanh)
    with pytest.raises(AssertionError, match="put"):
        check_put(other, torch.tanh, (50,))
    with pytest.raises(AssertionError, match="aten"):
        check_aten(other, torch.tanh)
