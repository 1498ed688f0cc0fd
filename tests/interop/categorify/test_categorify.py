"""Categorify on small modules, each of which has one thing that is easy to get wrong."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import catlearn as cl
from catlearn.interop.categorify.aten import Aten


def back(module: Any, *inputs: torch.Tensor, **kwargs: Any) -> Any:
    """The module of the module's term, compared with it in its own mode: outputs and gradients."""
    term = cl.categorify(module, *inputs, **kwargs)
    model = cl.compile(term)
    torch.manual_seed(1)
    expected = module(*inputs, **kwargs)
    torch.manual_seed(1)
    found = model(*inputs, *kwargs.values())
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    if isinstance(module, nn.Module) and any(p.requires_grad for p in module.parameters()):
        for m in (module, model):
            m.zero_grad()
            m(*inputs, **kwargs if m is module else {}).square().sum().backward()
        grads = dict(model.named_parameters())
        for name, p in module.named_parameters():
            if p.grad is not None:
                torch.testing.assert_close(grads[name].grad, p.grad, rtol=1e-5, atol=1e-6)
    return term, model


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(7, 4), nn.Linear(4, 7, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.embed(ids).tanh())


def test_a_tied_weight_is_one_parameter_and_both_names_load():
    module = Tied().eval()
    term, model = back(module, torch.tensor([1, 2, 6]))
    assert list(term.params) == ["embed.weight"] and list(model.state_dict()) == ["embed.weight"]
    other = Tied()
    model.load_state_dict(other.state_dict())  # torch lists the weight under both names
    assert torch.equal(model.embed.weight, other.embed.weight)


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.step = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
        self.again = self.step

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.again(self.step(self.step(x)))


def test_a_module_that_runs_three_times_has_its_parameters_once():
    term, model = back(Shared().eval(), torch.randn(2, 3))
    assert sorted(model.state_dict()) == ["step.0.bias", "step.0.weight"]
    assert len([node for node in term.graph.nodes if node.op.key == "linear"]) == 3


class Row(nn.Module):
    """Layers in a list, with plain steps between them, or with layers of another list."""

    def __init__(self, mixed: bool) -> None:
        super().__init__()
        self.mixed = mixed
        self.layers = nn.ModuleList(nn.Sequential(nn.Linear(3, 3), nn.ReLU()) for _ in range(3))
        self.others = nn.ModuleList(nn.Linear(3, 3) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer, other in zip(self.layers, self.others, strict=True):
            x = x + layer(x)
            x = other(x) if self.mixed else x
        return x


@pytest.mark.parametrize("mixed", [False, True])
def test_lists_of_layers_keep_their_names(mixed):
    module = Row(mixed).eval()
    term, model = back(module, torch.randn(2, 3))
    assert set(model.state_dict()) == set(module.state_dict())
    scopes = {".".join(region.path[:1]) for region in term.graph.root.items if hasattr(region, "path")}
    assert scopes == ({f"layers_{i}" for i in range(3)} if mixed else {"layers"})


def test_equal_blocks_in_a_row_are_copies_and_are_told_once():
    module = nn.Sequential(*(nn.Sequential(nn.Linear(3, 3), nn.ReLU()) for _ in range(4)), nn.Sequential(nn.Linear(3, 3), nn.Tanh())).eval()
    term, _ = back(module, torch.randn(2, 3))
    copies = [region.repeated for region in term.graph.root.items]
    assert copies == [True] * 4 + [False]
    assert cl.explain(term).count("relu") < 4


class Drops(nn.Module):
    def __init__(self, wired: bool | None) -> None:
        super().__init__()
        self.wired = wired

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.dropout(x, 0.5, training=self.training if self.wired is None else self.wired)


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("wired", [None, False, True])
def test_dropout_follows_the_mode_only_where_the_module_does(given, wired):
    module, x = Drops(wired).train(given), torch.ones(64)
    model = cl.compile(cl.categorify(module, x))
    assert model.training is given
    for mode in (False, True):
        torch.manual_seed(0)
        expected = module.train(mode)(x)
        torch.manual_seed(0)
        assert torch.equal(model.train(mode)(x), expected)


def test_attention_keeps_the_dropout_that_only_training_shows():
    class Looks(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.scaled_dot_product_attention(x, x, x, dropout_p=0.4 if self.training else 0.0)

    module, x = Looks().eval(), torch.randn(1, 2, 5, 4)
    model = cl.compile(cl.categorify(module, x))
    for mode in (False, True):
        torch.manual_seed(0)
        expected = module.train(mode)(x)
        torch.manual_seed(0)
        torch.testing.assert_close(model.train(mode)(x), expected)


@pytest.mark.parametrize("given", [False, True])
def test_batch_norm_keeps_its_statistics_in_both_modes(given):
    module = nn.Sequential(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.ReLU()).train(given)
    x = torch.randn(5, 2, 9)
    model = cl.compile(cl.categorify(module, x))
    for mode in (True, False, True):
        torch.testing.assert_close(model.train(mode)(x), module.train(mode)(x))
    assert set(model.state_dict()) == set(module.state_dict())
    for key, value in module.state_dict().items():
        torch.testing.assert_close(model.state_dict()[key], value)
    assert model.state_dict()["1.num_batches_tracked"] == 2


class Counts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(3))
        self.register_buffer("kept", torch.ones(3))
        self.register_buffer("hidden", torch.arange(3.0), persistent=False)
        self.scale = nn.Parameter(torch.ones(3))
        self.idle = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen[0] += x.detach().mean()
        self.seen.mul_(0.5)
        return x * self.scale + self.seen + self.kept + self.hidden


def test_buffers_are_state_frozen_numbers_or_constants_and_idle_parameters_stay():
    module, x = Counts().eval(), torch.randn(2, 3)
    term = cl.categorify(module, x)
    assert torch.equal(module.seen, torch.zeros(3))  # tracing left the module alone
    model = cl.compile(term)
    assert set(model.state_dict()) == set(module.state_dict())
    for _ in range(3):
        torch.testing.assert_close(model(x), module(x))
    torch.testing.assert_close(model.seen, module.seen)
    assert float(module.seen.abs().sum()) > 0 and not term.params["kept"].trainable and term.params["idle.weight"].trainable


def test_frozen_parameters_stay_frozen():
    module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2)).eval()
    module[0].requires_grad_(False)
    term, model = back(module, torch.randn(2, 3))
    assert [name for name, p in model.named_parameters() if p.requires_grad] == ["1.weight", "1.bias"]
    assert not term.params["0.weight"].trainable


def test_changes_in_place_are_new_values_also_where_a_view_shows_them():
    def plain(x: torch.Tensor) -> torch.Tensor:
        y = torch.zeros_like(x)
        y.add_(x).mul_(2)
        return y + 1

    def viewed(x: torch.Tensor) -> torch.Tensor:
        y = x * 1
        row = y[0]
        y.mul_(2)
        row.add_(5)
        return y + row

    for f in (plain, viewed):
        torch.testing.assert_close(cl.compile(cl.categorify(f, torch.ones(2, 3)))(torch.full((2, 3), 3.0)), f(torch.full((2, 3), 3.0)))


def test_sizes_that_vary():
    n = cl.dim("n")
    module = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    term = cl.categorify(module, torch.randn(2, 5, 8), dynamic=[{1: n}])
    model = cl.compile(term)
    for length in (3, 5, 11):
        x = torch.randn(2, length, 8)
        torch.testing.assert_close(model(x), module(x), rtol=1e-5, atol=1e-6)
    with pytest.raises(cl.errors.BadInput):
        model(torch.randn(2, 1, 8))


def test_sizes_that_data_decide():
    def positive(x: torch.Tensor) -> torch.Tensor:
        return x[x > 0].reshape(-1, 1) * torch.ones(2)

    model, x = cl.compile(cl.categorify(positive, torch.randn(9))), torch.randn(9)
    torch.testing.assert_close(model(x), positive(x))


def test_what_acts_on_whole_tensors_refuses_batch_axes():
    model = cl.compile(cl.categorify(lambda x: x.flip(0), torch.randn(3)))
    with pytest.raises(cl.errors.BadInput, match="no batch axes"):
        model(torch.randn(2, 3))


def test_two_implementations_of_one_network_are_the_same_or_told_apart():
    class Mine(nn.Module):
        def __init__(self, inner: Any = torch.relu) -> None:
            super().__init__()
            self.a, self.b, self.inner = nn.Linear(4, 8), nn.Linear(8, 2), inner

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.linear(self.inner(F.linear(x, self.a.weight, self.a.bias)), self.b.weight, self.b.bias)

    class Theirs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.act, self.drop = nn.Linear(4, 8), nn.Linear(8, 2), nn.ReLU(), nn.Identity()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(self.drop(self.act(self.a(x.contiguous()))))

    x = torch.randn(3, 4)
    mine, theirs, other = (cl.categorify(m.eval(), x) for m in (Mine(), Theirs(), Mine(torch.tanh)))
    assert cl.same(mine, theirs)
    apart = cl.same(mine, other)
    assert not apart and "relu" in str(apart.difference) and "tanh" in str(apart.difference)
    written = cl.linear(cl.R(3, 4), cl.R(3, 8), name="a") >> cl.relu >> cl.linear(cl.R(3, 8), cl.R(3, 2), name="b")
    assert cl.same(mine, written)


def test_the_term_can_be_edited_and_reversed():
    module = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.LayerNorm(8), nn.Linear(8, 2)).eval()
    term, _ = back(module, torch.randn(3, 4))
    frozen = cl.compile(term.at("0.*").freeze())
    assert [p.requires_grad for p in frozen.parameters()] == [False, False, True, True, True, True]
    x, dy = torch.randn(3, 4, requires_grad=True), torch.randn(3, 2)
    module.zero_grad()
    module(x).backward(dy)
    lens = cl.lens(term)
    params = {name: p.detach() for name, p in module.named_parameters()}
    grads, (dx,) = lens.put(params, [x.detach()], [dy])
    torch.testing.assert_close(dx, x.grad)
    torch.testing.assert_close(grads["0.weight"], module[0].weight.grad)


def test_an_opaque_call_is_reversed_by_autograd():
    module = nn.Sequential(nn.Linear(4, 4), nn.ELU(), nn.Hardswish()).eval()
    term = cl.categorify(module, torch.randn(3, 4))
    assert {node.op.overload for node in term.graph.nodes if isinstance(node.op, Aten)} == {"aten.elu.default", "aten.hardswish.default"}
    x, dy = torch.randn(3, 4, requires_grad=True), torch.randn(3, 4)
    module(x).backward(dy)
    grads, (dx,) = cl.lens(term).put({name: p.detach() for name, p in module.named_parameters()}, [x.detach()], [dy])
    torch.testing.assert_close(dx, x.grad)
    for name, p in module.named_parameters():
        torch.testing.assert_close(grads[name], p.grad)


def test_it_goes_through_torch_compile_export_and_half_precision():
    module = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 2)).eval()
    x = torch.randn(3, 4)
    model = cl.compile(cl.categorify(module, x))
    torch.testing.assert_close(torch.compile(model, backend="eager", fullgraph=True)(x), module(x))
    torch.testing.assert_close(torch.export.export(model, (x,)).module()(x), module(x))
    torch.testing.assert_close(model.double()(x.double()), module.double()(x.double()))


class Quiet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            y = self.first(x).tanh()
        with torch.autocast("cpu", enabled=False):
            z = self.second(x)
        return y * z


def test_blocks_without_gradients_are_entered_and_cut():
    module = Quiet().eval()
    _, model = back(module, torch.randn(2, 3))
    assert model.second.weight.grad is not None and model.first.weight.grad is None


def test_boxes_know_the_line_that_made_them():
    term = cl.categorify(Tied().eval(), torch.tensor([1, 2]))
    lines = {str(node.source) for node in term.graph.nodes if node.op.key == "tanh"}
    assert len(lines) == 1 and "test_categorify.py:" in lines.pop()


def test_bad_input():
    with pytest.raises(cl.errors.CannotTrace, match=r"test_categorify\.py"):
        cl.categorify(lambda x: x if x.sum() > 0 else -x, torch.randn(3))
    with pytest.raises(cl.errors.CannotTrace):
        cl.categorify(nn.Linear(3, 3), torch.randn(2, 4))
    with pytest.raises(cl.errors.BadInput):
        cl.categorify(3, torch.randn(2))
    with pytest.raises(cl.errors.BadInput, match="int64"):
        cl.categorify(lambda x: x + 1, torch.zeros(3, dtype=torch.int32))
