"""What would break if lowering lost track of regions, cells, or the order in which things run."""

import pytest
import torch

import catlearn as cl
from catlearn import errors
from catlearn.core.raising import raise_graph
from catlearn.meanings.functional import function

X, Y = cl.R(4), cl.R(3)


def low_rank(rank):
    """W ↦ W + B A, written as a cell: what an adapter will be."""

    def cell(name, param):
        (out, inner) = param.wire.shape
        a, b = cl.parameter(cl.R(rank, inner)), cl.parameter(cl.R(out, rank))
        read = cl.id(param.space) @ cl.matmul(b @ a) >> cl.add(param.space)
        sources = ((name, cl.Param(param.space, param.init, False)), (name + "_b", cl.Param(b)), (name + "_a", cl.Param(a)))
        return cl.Cell(sources, (name,), read)

    return cell


def net():
    body = cl.copy(X) >> (cl.linear(X, X) >> cl.tanh) @ cl.id(X) >> cl.add(X)
    return cl.linear(X, X).named("stem") >> cl.repeat(2, body).named("body") >> cl.linear(X, Y).named("head")


def agree(term, *xs):
    """The nested module, the flat function and the term raised from the graph compute the same."""
    model = cl.compile(term)
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(generator=torch.Generator().manual_seed(p.numel()))
    p, expected = dict(model.state_dict()), model(*xs)
    flat = function(term.graph)(p, {}, None, True, *xs)
    raised = cl.compile(raise_graph(term.graph), p)(*xs)
    expected = expected if isinstance(expected, tuple) else (expected,)
    raised = raised if isinstance(raised, tuple) else (raised,)
    assert all(torch.equal(a, b) and torch.equal(a, c) for a, b, c in zip(expected, flat, raised, strict=True))
    return model


@pytest.mark.parametrize(
    "edit",
    [
        lambda f: f,
        lambda f: f.at("body.*.weight").reparam(low_rank(2)),
        lambda f: f.at("body.*.weight").tie(),
        lambda f: f.at("body.*.weight").tie().at("body.*.weight").reparam(low_rank(1)),
        lambda f: f.at("stem.*.weight|body.1.*.weight").tie().at("*.bias").freeze(),
        lambda f: f.at("body.1|stem").tap(),
        lambda f: f.named("outer").at("*.weight").freeze(),
        lambda f: (f @ f.named("twin")).at("*stem.linear.weight").tie(),
    ],
    ids=["plain", "low rank", "tied", "low rank of tied", "tied across scopes", "tapped", "nested", "tied across copies"],
)
def test_module_function_and_raised_term_agree(edit):
    term = edit(net())
    agree(term, *(torch.randn(2, *wire.shape) for wire in term.dom))


def test_a_cell_reads_once_however_often_its_parameter_is_used():
    term = net().at("body.*.weight").tie().at("body.0.linear.weight").reparam(low_rank(1))
    assert sum(node.op.key == "matmul" for node in term.graph.nodes) == 1
    assert "stem.linear.weight" in term.params and [n for n in term.params if n.endswith("_a")] == ["body.0.linear.weight_a"]


def test_a_cell_is_read_in_the_innermost_scope_that_holds_its_targets():
    model = agree(net().at("body.1.*.weight").reparam(low_rank(1)), torch.randn(2, 4))
    inner = model.body.get_submodule("1").code
    assert "weight_b @" in inner and "@" not in model.code and "@" not in model.body.code


def test_low_rank_at_zero_changes_nothing():
    plain, x = cl.compile(net()), torch.randn(2, 4)
    adapted = cl.compile(net().at("*.weight").reparam(low_rank(2)))
    assert torch.equal(adapted(x), plain(x))
    assert sorted(n for n, p in adapted.named_parameters() if p.requires_grad and "weight" in n)[0] == "body.0.linear.weight_a"


def test_a_cells_new_name_may_not_clash():
    f = net()
    clash = cl.Cell((("head.linear.bias", cl.Param(cl.parameter(cl.R(4, 4)))),), ("stem.linear.weight",), cl.id(cl.parameter(cl.R(4, 4))))
    with pytest.raises(errors.NameUsedTwice, match=r"head\.linear\.bias"):
        f.at("stem").reparam(clash)


def test_a_cell_of_the_wrong_shape_shows_both_spaces():
    wrong = cl.Cell((("w", cl.Param(cl.parameter(cl.R(2, 2)))),), ("stem.linear.weight",), cl.id(cl.parameter(cl.R(2, 2))))
    with pytest.raises(errors.BadCell) as caught:
        net().at("stem").reparam(wrong)
    assert "R(2, 2)" in str(caught.value) and "R(4, 4)" in str(caught.value)


def test_repeat_shared_uses_one_parameter_and_repeat_zero_is_the_identity():
    shared = cl.repeat(3, cl.linear(X, X) >> cl.tanh, shared=True)
    model = agree(shared, torch.randn(2, 4))
    assert list(model.state_dict()) == ["linear.weight", "linear.bias"]
    assert cl.repeat(0, cl.linear(X, X)).params == {}
    x = torch.randn(2, 4)
    assert torch.equal(cl.repeat(0, cl.linear(X, X))(x), x)
    nested = cl.repeat(2, cl.repeat(2, cl.linear(X, X)).named("in"))
    assert list(nested.params)[::2] == [f"{i}.in.{j}.linear.weight" for i in "01" for j in "01"]


def test_fifty_thousand_boxes_do_not_recurse():
    f = cl.relu(X)
    for _ in range(49_999):
        f = f >> cl.relu(X)
    assert f.length == len(f.graph.nodes) == 50_000
