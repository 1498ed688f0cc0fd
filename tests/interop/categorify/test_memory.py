"""What a module writes into itself, and how its tensors lie in memory: a term keeps the first and does not depend on the second."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

import catlearn as cl
from catlearn.interop.categorify import layout, modes


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.line, self.norm = nn.Linear(4, 4), nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.relu(self.norm(self.line(x)))


class Twice(nn.Module):
    """One block that runs twice: its statistics move twice, the second time from where the first has left them."""

    def __init__(self) -> None:
        super().__init__()
        self.block = Block()

    def forward(self, x: Tensor) -> Tensor:
        return self.block(2 * self.block(x))


class Interleaved(nn.Module):
    """Lists whose parts do not run one after the other, so that no scope has the name of the list."""

    def __init__(self) -> None:
        super().__init__()
        self.lines, self.norms = nn.ModuleList(nn.Linear(4, 4) for _ in range(3)), nn.ModuleList(nn.BatchNorm1d(4) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        for line, norm in zip(self.lines, self.norms, strict=True):
            x = norm(line(x)) * (1 + x)
        return x


@pytest.mark.parametrize("make", [lambda: nn.Sequential(Block(), Block(), Block()), Twice, Interleaved])
@pytest.mark.parametrize("given", [False, True])
def test_statistics_move_as_the_module_moves_them(make, given):
    torch.manual_seed(0)
    module, x = make().train(given), torch.randn(6, 4)
    term = cl.categorify(module, x)
    model = cl.compile(term)
    assert set(model.state_dict()) == set(module.state_dict())
    for mode in (False, True, True, False):
        for m in (module, model):
            m.zero_grad()
            m.train(mode)(x).square().sum().backward()
        torch.testing.assert_close(model(x), module(x), rtol=1e-5, atol=1e-6)
        for name, p in model.named_parameters():
            torch.testing.assert_close(p.grad, module.get_parameter(name).grad, rtol=1e-4, atol=1e-5)
    for key, value in module.state_dict().items():
        torch.testing.assert_close(model.state_dict()[key], value)
    counts = [v for k, v in model.state_dict().items() if k.endswith("batches_tracked")]
    assert {int(v) for v in counts} == {4 * (2 if make is Twice else 1)}
    assert cl.same(term, cl.categorify(make().train(given), x))


def test_a_norm_that_runs_once_is_another_module():
    """The mutant of the test above."""
    module, x = Twice().train(), torch.randn(6, 4)
    model = cl.compile(cl.categorify(module, x))
    other = copy.deepcopy(module)
    model(x), other.block(x)
    assert not torch.allclose(model.state_dict()["block.norm.running_mean"], other.state_dict()["block.norm.running_mean"])


def test_the_state_of_a_block_that_runs_twice_comes_back_from_a_file(tmp_path):
    module, x = Twice().train(), torch.randn(6, 4)
    term = cl.categorify(module, x)
    again = cl.compile(cl.load(cl.save(term, tmp_path / "term")))
    torch.testing.assert_close(again(x), module(x), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(again.state_dict()["block.norm.running_var"], module.state_dict()["block.norm.running_var"])


class Cut(nn.Module):
    """A view shows a change in place, so that torch has to undo it; beside it a block without gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        y = x * self.scale
        row = y[0]
        y.mul_(2)
        row.add_(5)
        with torch.no_grad():
            z = (self.scale * 3).exp()
        return y + row + z


def gradient(model: nn.Module, x: Tensor) -> Tensor:
    model.zero_grad()
    model(x).sum().backward()
    (p,) = model.parameters()
    assert p.grad is not None
    return p.grad


def test_a_block_without_gradients_stays_one_where_changes_in_place_are_undone(monkeypatch):
    module, x = Cut(), torch.randn(2, 3)
    torch.testing.assert_close(gradient(cl.compile(cl.categorify(module, x)), x), gradient(module, x))
    monkeypatch.setattr(modes, "_cut", lambda module: None)  # the mutant: torch takes the block away
    assert not torch.allclose(gradient(cl.compile(cl.categorify(module, x)), x), gradient(module, x))


@pytest.mark.parametrize("given", [False, True])
def test_spectral_norm_changes_its_vectors_as_the_module_does(given):
    torch.manual_seed(0)
    module, x = nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4)).train(given), torch.randn(3, 4)
    model = cl.compile(cl.categorify(module, x))
    for m in (module, model):
        m(x).square().sum().backward()
    for key, value in module.state_dict().items():
        torch.testing.assert_close(model.state_dict()[key], value)
    grads = dict(model.named_parameters())
    for name, p in module.named_parameters():
        torch.testing.assert_close(grads[name].grad, p.grad, rtol=1e-5, atol=1e-6)


VIEWS = {
    "positions": (lambda i: i.t().contiguous().view(-1) + 1, torch.arange(6).view(2, 3)),
    "truth values": (lambda x: (x > 0).t().contiguous().view(-1), torch.randn(2, 3)),
    "a number of entries that data decide": (lambda x: x[x[:, 0] > 0].t().contiguous().view(-1), torch.randn(6, 3)),
    "entries read as they lie": (lambda x: x.t().contiguous().as_strided((2, 4), (3, 1)), torch.randn(3, 4)),
    "pairs as complex numbers": (lambda x: torch.view_as_real(torch.view_as_complex(x.t().contiguous()) ** 2), torch.randn(2, 5)),
    "bits": (lambda x: x.t().contiguous().view(torch.int32).view(torch.float32), torch.randn(2, 4)),
    "a row written": (lambda x: _written(x, x[0] * 2), torch.randn(3, 4)),
    "a row written in another precision": (lambda x: _written(x, (x[0] * 2).double()), torch.randn(3, 4)),
}


def _written(x: Tensor, row: Tensor) -> Tensor:
    y = x * 1
    y[1] = row
    return y * x


@pytest.mark.parametrize("name", VIEWS)
def test_no_call_depends_on_how_a_tensor_lies_in_memory(name):
    f, x = VIEWS[name]
    model = cl.compile(cl.categorify(f, x))
    leaves = [x.clone().requires_grad_(x.is_floating_point()) for _ in range(2)]
    y, z = f(leaves[0]), model(leaves[1])
    torch.testing.assert_close(z, y)  # not bit for bit: x ** 2 is x * x in a term, of complex numbers another last bit
    if y.requires_grad:
        for out in (y, z):
            out.square().sum().backward()
        torch.testing.assert_close(leaves[1].grad, leaves[0].grad)


def test_a_term_that_calls_view_would_depend_on_it(monkeypatch):
    """The mutant: copies that only lay out are left out, so that a view would find another layout."""
    monkeypatch.setattr(layout, "ANY_LAYOUT", {})
    f, x = VIEWS["positions"]
    with pytest.raises(RuntimeError, match="view size"):
        cl.compile(cl.categorify(f, x))(x)


def test_reading_memory_of_another_tensor_is_refused_by_name():
    with pytest.raises(cl.errors.CannotTrace, match="contiguous"):
        cl.categorify(lambda x: x.t().as_strided((2, 2), (1, 2)), torch.randn(3, 4))
