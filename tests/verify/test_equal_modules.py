"""``equal`` of modules and functions: true claims proved, false ones refuted at a point, and what it cannot tell said in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import catlearn as cl
from catlearn.verify import witness
from catlearn.verify.equal import equal

x = torch.randn(2, 3)


class Module(nn.Module):
    """One layer, and what is done with it; ``name`` is its name."""

    def __init__(self, f: Callable[[nn.Linear, Tensor], Tensor], name: str = "layer") -> None:
        super().__init__()
        self.name, self.drop = name, nn.Dropout(0.5)
        self.f = lambda y: f(getattr(self, name), y)
        setattr(self, name, nn.Linear(3, 2))

    def forward(self, y: Tensor) -> Tensor:
        return self.f(self.drop(y))


plain = Module(lambda layer, y: torch.relu(layer(y))).eval()
PAIRS: dict[str, tuple[Any, str]] = {
    "the same with other weights": (Module(lambda layer, y: torch.relu(layer(y))).eval(), "proved"),
    "written out": (Module(lambda layer, y: F.relu(y @ layer.weight.T + layer.bias)).eval(), "proved"),
    "scaled there and back": (Module(lambda layer, y: F.relu(F.linear(2 * y, layer.weight / 2, layer.bias))).eval(), "proved"),
    "scaled there only": (Module(lambda layer, y: F.relu(F.linear(2 * y, layer.weight, layer.bias))).eval(), "refuted"),
    "without its bias": (Module(lambda layer, y: torch.relu(F.linear(y, layer.weight)) + 0 * layer.bias).eval(), "refuted"),
    "under another name": (Module(lambda layer, y: torch.relu(layer(y)), "line").eval(), "refuted"),
    "true, but a call that has no formula": (Module(lambda layer, y: layer(y).clamp(min=0)).eval(), "unknown"),
    "in training": (Module(lambda layer, y: torch.relu(layer(y))), "unknown"),
    "as a term": (cl.linear(cl.R(2, 3), cl.R(2, 2), name="layer") >> cl.relu, "proved"),
}


@pytest.mark.parametrize("name", PAIRS)
def test_modules_are_compared(name):
    other, verdict = PAIRS[name]
    for f, g in ((plain, other), (other, plain)):
        answer = equal(f, g, inputs=(x,))
        assert answer.verdict == verdict, answer
        assert bool(answer.witness) == (verdict == "refuted") and (bool(answer.reason) or verdict != "unknown")
    if name == "under another name":
        assert "matched by name" in answer.reason and "line.weight" in str(answer)
    if name == "true, but a call that has no formula":
        assert "aten.clamp" in answer.reason
    if name == "in training":
        assert "random" in answer.reason


def test_a_module_takes_its_inputs_from_the_term_beside_it():
    n = cl.dim("n")
    term = cl.linear(cl.R(n, 3), cl.R(n, 2), name="layer") >> cl.relu
    answer = equal(term, plain)
    assert answer.by == "canonical form" and "every n" in answer.claim
    assert equal(plain, term >> cl.scale(2)).verdict == "refuted"
    assert equal(torch.relu, cl.relu(cl.R(3))) and equal(cl.relu(cl.R(3)), torch.tanh).verdict == "refuted"


def test_functions_with_sizes_that_vary():
    n = cl.dim("n")
    means = lambda y: y.mean(0), lambda y: y.sum(0) / y.shape[0]
    assert equal(means[0], means[0], inputs=(x,), dynamic=[{0: n}])
    assert equal(*means, inputs=(x,), dynamic=[{0: n}]).verdict == "unknown"  # true, and the division by n has no formula
    assert equal(means[0], lambda y: y.sum(0), inputs=x, dynamic=[{0: n}]).verdict == "refuted"


def test_positions_outside_of_a_table_are_no_witness():
    """Nothing says how many positions there are: the points at which an embedding fails are left out."""
    small = nn.Embedding(2, 3)
    assert equal(small, nn.Embedding(2, 3), inputs=(torch.tensor([0, 1]),))
    answer = equal(small, Scaled(), inputs=(torch.tensor([0, 1]),))
    assert answer.verdict == "refuted" and answer.witness is not None and int(answer.witness.inputs[0].max()) < 2


class Scaled(nn.Embedding):
    def __init__(self) -> None:
        super().__init__(2, 3)

    def forward(self, ids: Tensor) -> Tensor:
        return 2 * super().forward(ids)


def test_rounding_is_no_difference(monkeypatch):
    """A module that casts to fewer digits is not refuted for what that rounds away; the mutant is."""
    f, g, y = lambda y: (y.float() * 0.1).double(), lambda y: y * 0.1, x.double()
    assert equal(f, g, inputs=(y,)).verdict == "unknown"
    assert equal(f, lambda y: y * 0.2, inputs=(y,)).verdict == "refuted"
    monkeypatch.setattr(witness, "ROUNDED", 1e-12)
    assert equal(f, g, inputs=(y,)).verdict == "refuted"


def test_what_cannot_be_compared_is_refused_by_name():
    for f, g, inputs, words in (
        (plain, plain, None, "what goes in"), (3, plain, (x,), "no term"), (plain, lambda y: y.sum(), (x,), "different spaces"),
    ):  # fmt: skip
        with pytest.raises(cl.errors.BadClaim, match=words):
            equal(f, g, inputs=inputs)
    with pytest.raises(cl.errors.CannotTrace):
        equal(plain, lambda y: y if y.sum() > 0 else -y, inputs=(x,))
