"""Branches, loops and autocast inside a module: one opaque box each, with torch's values and gradients."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import catlearn as cl
from catlearn.interop.categorify.aten import Aten, Named, Place
from catlearn.interop.categorify.program import Call, Program, run


class Branch(nn.Module):
    """A branch in a branch, with parameters and a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        def inner(t: torch.Tensor) -> torch.Tensor:
            return torch.cond(t.mean() > 5, lambda u: u + 1, lambda u: u * torch.tensor([1.0, 2.0, 3.0]), (self.a(t),))

        return torch.cond(x.sum() > 0, inner, lambda t: self.b(t).tanh(), (x,))


class Loop(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        step = (lambda i, y: i < 4), (lambda i, y: (i + 1, self.a(y).tanh() + x))
        return torch.while_loop(*step, (torch.tensor(0), x))[1]


class Cast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.ReLU(inplace=True))
        self.b = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = self.a(x)
        return self.b(y.float())


MODULES = {"cond": Branch, "while_loop": Loop, "wrap_with_autocast": Cast}


def compare(module: nn.Module, model: nn.Module, x: torch.Tensor) -> None:
    """Outputs and all gradients, entry by entry."""
    found: list[list[Any]] = []
    for m in (module, model):
        m.zero_grad()
        inputs = x.clone().requires_grad_()
        y = m(inputs)
        y.square().sum().backward()
        found.append([y, inputs.grad, *(p.grad for _, p in sorted(m.named_parameters()) if p.requires_grad)])
    for a, b in zip(*found, strict=True):
        assert (a is None or not a.any()) if b is None else torch.allclose(b, torch.zeros_like(b) if a is None else a, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", MODULES)
def test_a_block_is_one_box_and_comes_back(name, tmp_path):
    torch.manual_seed(0)
    module = MODULES[name]().eval()
    term = cl.categorify(module, torch.randn(4, 3))
    assert cl.coverage(term).opaque[f"higher_order.{name}"] == 1
    again = cl.load(cl.save(term, tmp_path / "block.safetensors"))
    assert again == term and cl.same(again, term) and cl.draw(term) is not None and name in cl.explain(term)
    model = cl.compile(again)
    assert set(model.state_dict()) == set(module.state_dict())
    for shift in (-3.0, 3.0, 20.0):  # all branches
        compare(module, model, torch.randn(4, 3) + shift)


@pytest.mark.parametrize("name", MODULES)
def test_a_block_goes_through_torch_compile_and_export(name):
    module, x = MODULES[name]().eval(), torch.randn(4, 3)
    model = cl.compile(cl.categorify(module, x))
    torch.testing.assert_close(torch.compile(model, backend="eager", fullgraph=True)(x), module(x))
    torch.testing.assert_close(torch.export.export(model, (x,)).module()(x), module(x))


def test_branches_that_change_places_are_seen():
    module, x = Branch().eval(), torch.randn(4, 3) + 3
    term = cl.categorify(module, x)
    (old,) = [node.op for node in term.graph.nodes if isinstance(node.op, Aten) and node.op.overload == "higher_order.cond"]
    choice, yes, no, operands = old.args
    wrong = replace(old, args=(choice, no, yes, operands))
    model, other = (cl.compile(cl.Box(op, op.dom)) for op in (old, wrong))
    inputs = [torch.tensor(True), x, *[torch.randn(3), torch.randn(3, 3)] * 2][: len(old.dom)]
    params = {name: torch.randn(param.wire.shape) for name, param in old.own}
    for m in (model, other):
        m.load_state_dict({key: params[key.rpartition(".")[2]] for key in m.state_dict()})
    assert not torch.allclose(model(*inputs), other(*inputs)) and wrong != old


class Within(nn.Module):
    """Dropout in a block, which only training has."""

    def __init__(self, block: str) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad() if self.block == "no_grad" else torch.autocast("cpu", dtype=torch.bfloat16):
            return F.dropout(x, 0.5, self.training)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("block", ["no_grad", "autocast"])
def test_a_block_that_depends_on_the_mode_is_what_it_was_in_its_own(block, training):
    module, x = Within(block).train(training), torch.ones(32)
    model = cl.compile(cl.categorify(module, x))
    torch.manual_seed(0)
    expected = module(x)
    torch.manual_seed(0)
    assert model.training is training and torch.equal(model(x), expected)
    assert torch.equal(expected, x) is not training


def test_other_operators_over_programs_are_torchs_own():
    from torch._higher_order_ops.scan import scan

    def running(x: torch.Tensor) -> torch.Tensor:
        return scan(lambda c, y: (c + y, c * y), torch.ones(3), x)[1]

    model, x = cl.compile(cl.categorify(running, torch.randn(4, 3))), torch.randn(4, 3)
    before = torch.cat([torch.ones(1, 3), 1 + x.cumsum(0)[:-1]])
    torch.testing.assert_close(model(x), before * x)


def test_a_buffer_changed_inside_a_block_is_changed_outside_of_it():
    """Batch norm in training under autocast: torch writes the casts out, and the statistics are state."""
    module, x = Cast().train(), torch.randn(4, 3)
    model = cl.compile(cl.categorify(module, x))
    for _ in range(2):
        for m in (module, model):
            m.zero_grad()
            m(x).float().square().sum().backward()
    for key, value in module.state_dict().items():
        torch.testing.assert_close(model.state_dict()[key], value)
    grads = dict(model.named_parameters())
    for name, p in module.named_parameters():
        torch.testing.assert_close(grads[name].grad, p.grad, rtol=1e-2, atol=1e-3)  # bfloat16


@pytest.mark.parametrize("name", ["operator.call", "operator.attrgetter", "torch.load", "load_library", "aten.add",
                                  "higher_order.__class__", "torch.sym_none", "builtins.eval"])  # fmt: skip
def test_a_program_calls_nothing_but_torchs_functions(name):
    """Programs come from files too."""
    with pytest.raises(cl.errors.BadBox):
        run(Program(1, (Call(name, (Place(0),)),), (Place(1),)), torch.ones(2))
    with pytest.raises(cl.errors.BadBox):
        run(Program(1, (Call("aten.to.dtype", (Place(0), Named("dtype", "load"))),), (Place(1),)), torch.ones(2))
    assert torch.equal(run(Program(1, (Call("operator.add", (Place(0), 1)),), Place(1)), torch.ones(2)), torch.full((2,), 2.0))
