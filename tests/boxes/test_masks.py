"""where and masked_fill: torch's numbers, forward and back; masks with fewer axes meet the right batch axes."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pytest
import torch

import catlearn as cl
from catlearn import errors
from catlearn.boxes.masks import Causal, MaskedFill
from catlearn.core.spaces import I
from catlearn.core.term import Box
from catlearn.meanings.exact import evaluate
from tests.boxes.agree import agree, check_definition, check_reverse
from tests.labels import label

X, M = cl.R(3, 4), cl.boolean(3, 4)


def test_where_is_torchs() -> None:
    agree(cl.where(M @ X @ X), torch.where, defined=False)


@pytest.mark.parametrize("value", [0.0, -2.5])
def test_masked_fill_is_torchs(value: float) -> None:
    agree(cl.masked_fill(X @ M, value), lambda x, m: x.masked_fill(m, value))
    agree(cl.masked_fill(X @ M, value=value, at=False), lambda x, m: torch.where(m, x, value))


def test_filling_with_minus_infinity_and_softmax_leaves_what_is_seen() -> None:
    net = cl.masked_fill(cl.R(3) @ cl.boolean(3), value=float("-inf")) >> cl.softmax
    weights = cl.compile(net)(torch.zeros(3), torch.tensor([False, True, False]))
    assert torch.equal(weights, torch.tensor([0.5, 0.0, 0.5]))


@pytest.mark.parametrize("mask", [cl.boolean(4), cl.boolean(1, 4), cl.boolean(3, 1), cl.boolean()], ids=label)
def test_a_smaller_mask_is_repeated_within_its_own_event(mask: Any) -> None:
    n = len(mask[0].axes)

    def lifted(m: torch.Tensor) -> torch.Tensor:
        batch = m.shape[: m.dim() - n]
        return m.reshape(*batch, *[1] * (2 - n), *m.shape[m.dim() - n :])

    agree(cl.masked_fill(X @ mask, 1.5), lambda x, m: x.masked_fill(lifted(m), 1.5), aten=False)
    agree(cl.where(mask @ X @ X), lambda m, x, y: torch.where(lifted(m), x, y), defined=False, aten=False)


def test_causal_is_the_lower_triangle() -> None:
    assert cl.compile(Box(Causal(2, 3), I))().tolist() == [[True, False, False], [True, True, False]]


def test_masks_and_kinks_are_exact_over_the_rationals() -> None:
    mask, x, y = [True, False], [1, "2/3"], [5, 7]
    assert evaluate(cl.where(cl.boolean(2) @ cl.R(2) @ cl.R(2)), "rationals", [mask, x, y]).array.tolist() == [1, 7]
    assert evaluate(cl.masked_fill(cl.R(2) @ cl.boolean(2), 7), "rationals", [x, mask]).array.tolist() == [7, Fraction(2, 3)]
    assert evaluate(cl.leaky_relu(cl.R(2), slope=0.9), "rationals", [["-1/3", 2]]).array.tolist() == [Fraction(-3, 10), 2]
    assert evaluate(cl.abs(cl.R(2)), "rationals", [["-1/3", 2]]).array.tolist() == [Fraction(1, 3), 2]


@pytest.mark.parametrize(
    "make",
    [
        lambda: cl.where(X @ X @ X),
        lambda: cl.where(M @ X @ cl.R(3)),
        lambda: cl.where(cl.boolean(5, 3, 4) @ X @ X),
        lambda: cl.masked_fill(X @ cl.boolean(3)),
        lambda: cl.masked_fill(M @ X),
        lambda: Box(Causal(2, 2), X),
    ],
)
def test_masks_that_do_not_fit_are_refused(make: Any) -> None:
    with pytest.raises(errors.BadBox):
        make()


@dataclass(frozen=True)
class Inverted(MaskedFill):
    """masked_fill whose cotangent passes where the value was overwritten."""

    key = "test_inverted"

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return o.apply(MaskedFill(0.0, not self.at), douts[0], args[1]), None


def test_a_cotangent_in_the_wrong_place_is_refuted() -> None:
    wrong = Box(Inverted(1.0), X @ M)
    check_definition(wrong, lambda x, m: x.masked_fill(m, 1.0))
    with pytest.raises(AssertionError, match="reverse"):
        check_reverse(wrong, lambda x, m: x.masked_fill(m, 1.0))
