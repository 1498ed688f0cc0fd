"""Tracing: the program computes what the module computes, at other sizes too; what cannot be traced is told with its line."""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

import catlearn as cl
from catlearn.interop.trace import trace

HERE = Path(__file__).read_text().splitlines()


def line_of(text: str) -> int:
    return 1 + next(i for i, line in enumerate(HERE) if text in line)


class Looks(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.sum() > 0:  # a look at the data
            return x
        return -x


class Fixes(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(5, 3) + 1  # a fixed size


class Bounds(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2 if x.shape[0] > 7 else x  # a bound on a size


class Breaks(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(x.detach().numpy())  # leaves torch


@pytest.mark.parametrize(("module", "mark", "dynamic"), [
    (Looks(), "# a look at the data", None),
    (Fixes(), "# a fixed size", [{0: cl.dim("n")}]),
    (Bounds(), "# a bound on a size", [{0: cl.dim("n")}]),
    (Breaks(), "# leaves torch", None),
])  # fmt: skip
def test_what_cannot_be_traced_is_told_with_its_line_and_without_noise(module, mark, dynamic, caplog):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(cl.errors.CannotTrace) as found:
            trace(module, (torch.randn(5, 3),), dynamic=dynamic)
    assert f"{Path(__file__).name}:{line_of(mark)}" in str(found.value)
    assert "next:" in str(found.value)
    assert (out.getvalue(), err.getvalue(), caplog.records) == ("", "", [])


def test_a_symbolic_size_is_one_size_wherever_it_stands_and_takes_other_values():
    n, module = cl.dim("n"), nn.Linear(3, 4)
    program = trace(lambda x, y: module(x + y).sum(0), (torch.randn(5, 3),), {"y": torch.randn(5, 3)}, {0: {0: n}, "y": {-2: n}})
    x, y = torch.randn(9, 3), torch.randn(9, 3)
    torch.testing.assert_close(program.module()(x, y=y), module(x + y).sum(0))
    with pytest.raises(cl.errors.CannotTrace):  # two symbols that the code forces to be one are told apart from one symbol
        trace(lambda x, y: x + y, (torch.randn(5, 3), torch.randn(5, 3)), dynamic=[{0: n}, {0: cl.dim("m")}])


def test_expressions_and_the_least_size():
    n = cl.dim("n", min=3)
    program = trace(lambda x, y: x.sum() + y.sum(), (torch.randn(4), torch.randn(9)), dynamic=[{0: n}, {0: 2 * n + 1}])
    assert sorted(int(r.lower) for r in program.range_constraints.values()) == [3, 7]


@pytest.mark.parametrize("dynamic", [[{1: cl.dim("n")}], {"z": {0: cl.dim("n")}}, [{0: cl.dim("n") * cl.dim("m")}], [3]])
def test_a_wrong_dynamic_is_bad_input(dynamic):
    with pytest.raises(cl.errors.BadInput):
        trace(lambda x: x, (torch.randn(4),), dynamic=dynamic)


@pytest.mark.parametrize("frozen", [False, True])
def test_attention_is_not_traced_through_its_shortcut_for_inference(frozen):
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval().requires_grad_(not frozen)
    with torch.no_grad():
        program = trace(layer, (torch.randn(2, 5, 8),))
    names = {str(node.target) for node in program.graph.nodes}
    assert "aten.layer_norm.default" in names and not any("_transformer_encoder_layer_fwd" in name for name in names)
    assert not layer.training and torch.backends.mha.get_fastpath_enabled()


def test_training_mode_is_kept():
    layer = nn.Dropout(0.5)
    kinds = [next(node.args[2] for node in trace(layer.train(mode), (torch.ones(3),)).graph.nodes if node.op == "call_function")
             for mode in (True, False)]  # fmt: skip
    assert kinds == [True, False] and not layer.training


def test_a_tensor_given_twice_is_two_inputs():
    x, y = torch.randn(3), torch.randn(3)
    program = trace(lambda a, b: a - 2 * b, (x, x))
    torch.testing.assert_close(program.module()(x, y), x - 2 * y)


def test_a_size_that_torch_wants_bounded_by_its_own_integers_is():
    """The numbers of edges that stay and of nodes are added: torch asks for the sum to be a number of 64 bits."""
    import torch_geometric.nn as gnn

    n, e = cl.dim("n", min=3), cl.dim("e", min=4)
    module, x, edges = gnn.ClusterGCNConv(6, 4).eval(), torch.randn(7, 6), torch.randint(0, 7, (2, 12))
    model = cl.compile(cl.categorify(module, x, edges, dynamic=[{0: n}, {1: e}]))
    y, more = torch.randn(9, 6), torch.randint(0, 9, (2, 20))
    torch.testing.assert_close(model(y, more), module(y, more))
    cod = cl.space(cl.S(n), 4)
    report = cl.verify.equivariant(module, cl.space(cl.S(n), 6) @ cl.index(cl.S(n), 2, cl.S(e, name="edges")), cod)
    assert "n ≤ 9223372036854775806" in report.claim
