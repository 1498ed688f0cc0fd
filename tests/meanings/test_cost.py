"""What would be wrong in a budget if the numbers were: against torch's own counters and the tensors that autograd keeps."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import catlearn as cl
from catlearn import errors
from catlearn.core.sizes import evaluate
from tests.labels import label
from tests.strategies import random_term

H, BATCH = cl.R(16), 7


def counted(call, *inputs):
    with FlopCounterMode(display=False) as counter:
        call(*inputs)
    return counter.get_total_flops()


def block():
    return cl.copy(H) >> (cl.linear(H, H) >> cl.gelu) @ cl.id(H) >> cl.add(H)


def net():
    return cl.linear(cl.R(4), H).named("stem") >> cl.repeat(3, block()).named("body") >> cl.linear(H, cl.R(5)).named("head")


CONTRACTIONS = {
    "linear": (lambda: cl.linear(cl.R(3, 4), cl.R(3, 8)) >> cl.linear(cl.R(3, 8), cl.R(3, 2), bias=False), [(3, 4)]),
    "matmul": (lambda: cl.matmul(cl.R(2, 3, 4) @ cl.R(2, 4, 5)), [(2, 3, 4), (2, 4, 5)]),
    "einsum": (lambda: cl.einsum("ij,kj->ik")(cl.R(3, 4) @ cl.R(5, 4)), [(3, 4), (5, 4)]),
    "conv1d": (lambda: cl.conv1d(6, 5, stride=2, padding=1)(cl.R(3, 20)), [(3, 20)]),
    "conv2d": (lambda: cl.conv2d(8, 3, padding=1, groups=2)(cl.R(4, 9, 9)), [(4, 9, 9)]),
}


@pytest.mark.parametrize("name", CONTRACTIONS)
def test_operations_of_contractions_are_torchs_count(name):
    make, shapes = CONTRACTIONS[name]
    term = make()
    model = cl.compile(term)
    found = counted(model, *(torch.randn(BATCH, *shape) for shape in shapes))
    assert found > 0 and cl.cost(term, BATCH).flops == found


def test_a_backward_pass_costs_what_running_it_costs():
    term = cl.reverse(cl.linear(H, H) >> cl.linear(H, cl.R(3)))
    found = counted(cl.compile(term), torch.randn(BATCH, 16), torch.randn(BATCH, 3))
    sums = BATCH * (16 + 3)  # the cotangents of two biases: additions, which torch's counter leaves out
    assert cl.cost(term, BATCH).flops == found + sums


def test_pointwise_boxes_cost_one_operation_an_entry_and_moves_nothing():
    assert cl.cost(cl.relu(cl.R(3, 4)), BATCH).flops == 12 * BATCH
    assert cl.cost(cl.transpose(cl.R(3, 4)), BATCH).flops == 0


@pytest.mark.parametrize("term", [net(), net().at("stem.*").freeze(), cl.repeat(3, cl.linear(H, H), shared=True)], ids=label)
def test_parameters_are_those_of_the_compiled_module(term):
    params = list(cl.compile(term).parameters())
    cost = cl.cost(term)
    assert cost.parameters == sum(p.numel() for p in params) > 0
    assert cost.trainable == sum(p.numel() for p in params if p.requires_grad)


def test_a_tied_parameter_counts_once_in_all_and_in_each_reader():
    term = (cl.linear(H, H, name="a", bias=False) >> cl.linear(H, H, name="b", bias=False)).at("*.weight").tie()
    cost = cl.cost(term)
    assert cost.parameters == 256 == cost.at("a").parameters == cost.at("b").parameters
    assert "once in the total" in str(cost) and "once in the total" not in str(cl.cost(net()))


def kept_by_autograd(term, *shapes):
    """Bytes of the distinct tensors that autograd keeps, parameters left out."""
    model, kept = cl.compile(term), {}
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def pack(tensor):
        pointer = tensor.untyped_storage().data_ptr()
        if pointer not in own:
            kept[pointer] = (tensor.untyped_storage().nbytes(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        out = model(*(torch.randn(BATCH, *shape, requires_grad=True) for shape in shapes))
    assert out.grad_fn is not None
    return sum(size for size, _ in kept.values())


ACTIVATIONS = {
    "residual": (net, (4,)),
    "mlp": (lambda: cl.linear(H, H) >> cl.relu >> cl.linear(H, H) >> cl.tanh >> cl.linear(H, H), (16,)),
    "softmax": (lambda: cl.linear(H, H) >> cl.softmax >> cl.linear(H, H), (16,)),
    "views": (lambda: cl.linear(cl.R(4, 16), cl.R(4, 8)) >> cl.transpose >> cl.linear(cl.R(8, 4), cl.R(8, 4)), (4, 16)),
    "norm": (lambda: cl.linear(H, H) >> cl.layer_norm >> cl.linear(H, H), (16,)),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_what_autograd_keeps(name):
    make, *shapes = ACTIVATIONS[name]
    assert cl.cost(make(), BATCH).activations == kept_by_autograd(make(), *shapes) > 0


def test_checkpointed_scopes_keep_only_what_enters_them():
    deep = cl.repeat(5, (cl.linear(H, H) >> cl.tanh >> cl.linear(H, H) >> cl.tanh).named("block"))
    assert cl.cost(deep, BATCH).activations == (1 + 2 * 5) * 16 * 4 * BATCH  # the input, and what each tanh gives
    assert cl.cost(deep.at("*block").checkpoint(), BATCH).activations == 5 * 16 * 4 * BATCH


def test_symbolic_sizes_give_polynomials_that_evaluate_to_the_numbers():
    def make(n):
        return cl.linear(cl.R(n, 4), cl.R(n, 8)) >> cl.relu >> cl.transpose >> cl.linear(cl.R(8, n), cl.R(8, 2 * n)) >> cl.tanh

    n, batch = cl.dim("n"), cl.dim("b")
    symbolic = cl.cost(make(n), batch)
    for size in (2, 5, 11):
        known = cl.cost(make(size), 3)
        for name in ("parameters", "trainable", "flops", "activations"):
            assert evaluate(getattr(symbolic, name), {"n": size, "b": 3}) == getattr(known, name)
    assert "n²" in str(symbolic)


def test_a_cell_on_parameters_runs_once_whatever_the_batch():
    weight, a, b = cl.parameter(cl.R(16, 16)), cl.parameter(cl.R(2, 16)), cl.parameter(cl.R(16, 2))
    sources = (("w.base", cl.Param(weight, trainable=False)), ("w.b", cl.Param(b)), ("w.a", cl.Param(a)))
    cell = cl.Cell(sources, ("w.weight",), cl.id(weight) @ cl.matmul(b @ a) >> cl.add(weight))
    term = cl.linear(H, H, bias=False, name="w").at("w.weight").reparam(cell)
    once = 2 * 16 * 2 * 16 + 16 * 16
    assert [cl.cost(term, batch).flops for batch in (1, 10)] == [2 * 16 * 16 + once, 10 * 2 * 16 * 16 + once]
    assert (cl.cost(term).parameters, cl.cost(term).trainable) == (256 + 64, 64)


def test_operations_add_up_over_composites_and_products():
    for seed in range(40):
        f = random_term(seed).term.named("f")
        g = random_term(seed + 1000).term.named("g")
        assert cl.cost(f @ g).flops == cl.cost(f).flops + cl.cost(g).flops


def test_rows_and_selections():
    cost = cl.cost(net(), BATCH)
    rows = {row.name: row for row in cost.rows}
    assert list(rows)[:5] == ["stem", "stem.linear", "body", "body.0", "body.0.linear"]
    assert sum(row.flops for row in cost.rows if row.box) == cost.flops
    assert rows["body"].parameters == sum(rows[f"body.{i}"].parameters for i in range(3)) == cost.at("body.*").parameters == 3 * 272
    assert cost.at("stem|head").flops + cost.at("body").flops == cost.flops
    with pytest.raises(errors.NothingMatched, match=r"stem\.linear"):
        cost.at("steem.linear")


def test_the_table_has_a_line_for_each_scope_and_repeats_once():
    lines = str(cl.cost(net())).splitlines()
    assert [line.split()[0] for line in lines[2:] if line[0].isalpha()][:5] == ["stem", "body", "head", "inputs", "total"]
    assert any("linear ×3" in line and "816" in line for line in lines)
    assert len({len(line) for line in lines[:-1]}) == 1


def test_a_long_network_has_a_short_table():
    assert len(str(cl.cost(cl.seq(*[cl.linear(H, H) for _ in range(500)]))).splitlines()) < 80


@pytest.mark.parametrize("name", ["inputs", "x", "total"])
def test_what_a_box_is_called_costs_nothing(name):
    """tanh keeps its output, which the first box reads too; the first box keeps its own for the second: 3 numbers each."""
    x = cl.R(3)
    net = cl.tanh(x) >> cl.linear(x, x, name=name) >> cl.linear(x, x)
    assert cl.cost(net).activations == 2 * 3 * 4


@pytest.mark.parametrize("batch", [-1, 2.5, True, "3"])
def test_a_batch_that_is_no_size_is_refused(batch):
    with pytest.raises(cl.errors.BadSpace):
        cl.cost(cl.relu(cl.R(3)), batch=batch)
