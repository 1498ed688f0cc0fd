"""Positions as numbers: what does not depend on the numbering is proved, what does is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import catlearn as cl

n = cl.dim("n")
ENDS = cl.space(cl.S(n), 4) @ cl.index(cl.S(n), cl.S(9, name="edges"))
FIXED = cl.space(cl.S(6), 4) @ cl.index(cl.S(6), cl.S(9, name="edges"))
CODS = cl.space(cl.S(9, name="edges"), 4)


def seen(test: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda x, e: torch.where(test(e)[:, None], x[e], -x[e])


def numbered(test: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda x: torch.where(test(torch.arange(x.shape[0]))[:, None], x, -x)


TRUE: dict[str, tuple[Callable[..., Any], cl.Space, cl.Space]] = {
    "+ 0": (lambda x, e: x[e + 0], ENDS, CODS),
    "- zeros": (lambda x, e: x[e - torch.zeros((), dtype=torch.int64)], ENDS, CODS),
    ">= 0": (seen(lambda e: e >= 0), ENDS, CODS),
    "!= -1": (seen(lambda e: e != -1), ENDS, CODS),
    "< 6 of 6": (seen(lambda e: e < 6), FIXED, CODS),
    "> 5 of 6": (seen(lambda e: e > 5), FIXED, CODS),
    "a part by its length": (lambda x: torch.cat([x, 2 * x, 3 * x]).narrow(0, 6, 6), cl.space(cl.S(6), 4), cl.space(cl.S(6), 4)),
    "counted, >= 0": (numbered(lambda k: k + 0 >= 0), cl.space(cl.S(n), 4), cl.space(cl.S(n), 4)),
}
FALSE: dict[str, tuple[Callable[..., Any], cl.Space, cl.Space]] = {
    "+ 1": (lambda x, e: x[(e + 1) % 6], FIXED, CODS),
    ">= 1": (seen(lambda e: e >= 1), FIXED, CODS),
    "> 0": (seen(lambda e: e > 0), FIXED, CODS),
    "!= 0": (seen(lambda e: e != 0), FIXED, CODS),
    "< 5 of 6": (seen(lambda e: e < 5), FIXED, CODS),
    "> 4 of 6": (seen(lambda e: e > 4), FIXED, CODS),
    "a part in between": (lambda x: torch.cat([x, 2 * x, 3 * x]).narrow(0, 5, 6), cl.space(cl.S(6), 4), cl.space(cl.S(6), 4)),
    "counted, >= 1": (numbered(lambda k: k >= 1), cl.space(cl.S(n), 4), cl.space(cl.S(n), 4)),
    "counted, < 6": (numbered(lambda k: k < 6), cl.space(cl.S(n), 4), cl.space(cl.S(n), 4)),
}


@pytest.mark.parametrize("name", TRUE)
def test_what_does_not_depend_on_the_numbering_is_proved(name: str) -> None:
    report = cl.verify.equivariant(*TRUE[name])
    assert report.verdict == "proved", report


@pytest.mark.parametrize("name", FALSE)
def test_what_depends_on_the_numbering_is_not(name: str) -> None:
    assert cl.verify.equivariant(*FALSE[name]).verdict in (["sampled", "unknown"] if name == "counted, < 6" else ["refuted"])
