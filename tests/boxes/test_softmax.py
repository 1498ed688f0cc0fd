"""softmax, log_softmax, logsumexp: torch's numbers, forward and back, and the laws that tie them together."""

from __future__ import annotations

import pytest
import torch

import catlearn as cl
from catlearn import errors
from tests.boxes.agree import agree

X = cl.R(3, 4)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize(("axis", "dim"), [(-1, -1), (1, -1), (0, -2), (-2, -2)])
def test_softmax_along_any_event_axis_is_torchs(name: str, axis: int, dim: int) -> None:
    agree(getattr(cl, name)(X, axis=axis), lambda x: getattr(torch, name)(x, dim))


@pytest.mark.parametrize(("axes", "dims"), [((-1,), -1), ((0,), -2), ((0, 1), (-2, -1))])
@pytest.mark.parametrize("keep", [False, True])
def test_logsumexp_over_any_event_axes_is_torchs(axes: tuple[int, ...], dims: int, keep: bool) -> None:
    agree(cl.logsumexp(X, axes=axes, keep=keep), lambda x: torch.logsumexp(x, dims, keep))


def test_the_compiled_softmax_does_not_overflow() -> None:
    x = torch.tensor([1000.0, 0.0])
    assert torch.equal(cl.compile(cl.softmax(cl.R(2)))(x), torch.tensor([1.0, 0.0]))
    (dx,) = cl.lens(cl.softmax(cl.R(2))).put({}, (x,), torch.ones(2))[1]
    assert torch.equal(dx, torch.zeros(2))


def test_log_softmax_is_the_log_of_softmax_and_x_minus_its_logsumexp() -> None:
    x = torch.randn(5, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    whole = cl.compile(cl.log_softmax(X))(x)
    assert torch.allclose(whole, cl.compile(cl.softmax(X) >> cl.log)(x), atol=1e-12)
    assert torch.allclose(whole, x - cl.compile(cl.logsumexp(X, keep=True))(x), atol=1e-12)


def test_an_axis_that_is_not_there_is_refused() -> None:
    with pytest.raises(errors.BadBox, match="softmax"):
        cl.softmax(X, axis=2)
