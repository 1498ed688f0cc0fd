"""What would break for a torch user if ``compile`` gave anything but a plain, fast module."""

import copy
import gc
import linecache
import pickle
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import nn

import catlearn as cl
from catlearn import errors
from tests.aten import training_ops

X, H, Y = cl.R(12), cl.R(16), cl.R(5)


def block():
    return cl.copy(H) >> (cl.linear(H, H) >> cl.gelu) @ cl.id(H) >> cl.add(H)


def net():
    return cl.linear(X, H).named("stem") >> cl.repeat(3, block()).named("body") >> cl.linear(H, Y).named("head")


class ByHand(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(12, 16)
        self.body = nn.ModuleList(nn.Linear(16, 16) for _ in range(3))
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        x = self.stem(x)
        for layer in self.body:
            x = F.gelu(layer(x)) + x
        return self.head(x)


def by_hand(model):
    hand = ByHand()
    hand.load_state_dict({k.replace(".linear", ""): v for k, v in model.state_dict().items()})
    return hand


def test_same_aten_ops_and_same_numbers_as_by_hand():
    model, x = cl.compile(net()), torch.randn(7, 12)
    hand = by_hand(model)
    assert torch.equal(model(x), hand(x))
    assert training_ops(model, x) == training_ops(hand, x)


def test_the_recorder_sees_a_superfluous_op():
    model, x = cl.compile(net()), torch.randn(7, 12)
    other = cl.compile(net() >> cl.scale(Y, 1.0))
    assert training_ops(model, x) != training_ops(other, x)


def test_state_dict_keys_are_the_users_names():
    keys = list(cl.compile(net()).state_dict())
    assert keys[:4] == ["stem.linear.weight", "stem.linear.bias", "body.0.linear.weight", "body.0.linear.bias"]
    assert len(keys) == 10


def test_a_tied_weight_is_one_entry_and_one_gradient():
    tied = net().at("body.*.weight").tie()
    model, x = cl.compile(tied), torch.randn(7, 12)
    assert [k for k in model.state_dict() if k.endswith("weight")] == ["stem.linear.weight", "body.0.linear.weight", "head.linear.weight"]
    hand = by_hand(cl.compile(net()))
    hand.load_state_dict({k.replace(".linear", ""): v for k, v in model.state_dict().items()}, strict=False)
    for layer in hand.body:
        layer.weight = hand.body[0].weight
    for i in (1, 2):
        hand.body[i].bias = nn.Parameter(model.state_dict()[f"body.{i}.linear.bias"])
    model(x).sum().backward(), hand(x).sum().backward()
    assert torch.equal(model.body.get_submodule("0").linear.weight.grad, hand.body[0].weight.grad)


def test_a_frozen_parameter_asks_for_no_gradient():
    model = cl.compile(net().at("stem").freeze())
    assert [k for k, p in model.named_parameters() if not p.requires_grad] == ["stem.linear.weight", "stem.linear.bias"]


def test_torch_compile_without_graph_breaks():
    model, x = cl.compile(net()), torch.randn(7, 12)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    assert torch.allclose(compiled(x), model(x), atol=1e-6)


def test_torch_export_with_a_dynamic_batch():
    model = cl.compile(net())
    program = torch.export.export(model, (torch.randn(3, 12),), dynamic_shapes=({0: torch.export.Dim("batch")},))
    x = torch.randn(9, 12)
    assert torch.allclose(program.module()(x), model(x), atol=1e-6)


def test_deepcopy_functional_call_and_parametrizations():
    model, x = cl.compile(net()), torch.randn(7, 12)
    twin = copy.deepcopy(model)
    assert torch.equal(twin(x), model(x)) and twin.stem.linear.weight is not model.stem.linear.weight and twin.term == model.term
    zeros = {k: torch.zeros_like(v) for k, v in model.named_parameters()}
    assert torch.func.functional_call(model, zeros, (x,)).abs().max() == 0

    class Double(nn.Module):
        def forward(self, w):
            return 2 * w

    before = model(x)
    nn.utils.parametrize.register_parametrization(twin.head.linear, "weight", Double())
    expected = 2 * before - model.state_dict()["head.linear.bias"]
    assert torch.allclose(twin(x), expected, atol=1e-6)


def test_autocast_and_dtype_and_seed():
    model, x = cl.compile(net(), dtype=torch.float64), torch.randn(7, 12)
    assert model(x.double()).dtype == torch.float64
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert cl.compile(net())(x).dtype == torch.bfloat16
    same, other = cl.compile(net(), seed=3), cl.compile(net(), seed=4)
    assert torch.equal(cl.compile(net(), seed=3)(x), same(x)) and not torch.equal(other(x), same(x))


DDP = """
import os, sys, torch, catlearn as cl
torch.distributed.init_process_group("gloo", init_method=f"file://{sys.argv[1]}/store", rank=0, world_size=1)
model = cl.compile(cl.linear(cl.R(4), cl.R(3)).named("stem") >> cl.relu >> cl.linear(cl.R(3), cl.R(2)))
torch.nn.parallel.DistributedDataParallel(model)(torch.randn(5, 4)).sum().backward()
print(sum(p.grad is not None for p in model.parameters()), flush=True)
os._exit(0)  # torch joins gloo's threads with the interpreter locked, which may never end
"""


def test_ddp_sees_every_parameter(tmp_path):
    said = subprocess.run([sys.executable, "-c", DDP, str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert said.stdout.strip() == "4", said.stderr


@pytest.mark.parametrize("scope", ["body", "body.*"])
def test_a_checkpointed_scope_computes_the_same_and_keeps_less(scope):
    plain, x = cl.compile(net()), torch.randn(7, 12)
    saved = {}
    for name, model in (("plain", plain), ("checkpointed", cl.compile(net().at(scope).checkpoint(), plain.state_dict()))):
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, s=sizes: (s.append(t.numel()), t)[1], lambda t: t):
            out = model(x)
        out.sum().backward()
        saved[name] = (sum(sizes), [p.grad.clone() for p in model.parameters()])
    assert saved["checkpointed"][0] < saved["plain"][0] / 2
    assert all(torch.equal(a, b) for a, b in zip(saved["plain"][1], saved["checkpointed"][1], strict=True))


def test_many_one_and_no_outputs():
    x = torch.randn(2, 5)
    assert isinstance(cl.compile(cl.copy(Y))(x), tuple)
    assert torch.equal(cl.compile(cl.id(Y))(x), x)
    assert cl.compile(cl.discard(Y))(x) == ()


def test_a_constant_output_has_the_batch_of_the_input():
    f = cl.discard(Y) >> cl.full(cl.R(3), 2.0)
    assert torch.equal(cl.compile(f)(torch.randn(4, 5)), torch.full((4, 3), 2.0))


def test_symbolic_sizes_are_read_off_the_inputs():
    n = cl.dim("n")
    f = cl.copy(cl.R(n, 3)) >> cl.reshape(cl.R(n, 3), (3 * n,)) @ cl.reshape(cl.R(n, 3), (-1,)) >> cl.add
    model = cl.compile(f)
    for size in (2, 5):
        x = torch.randn(4, size, 3)
        assert torch.equal(model(x), 2 * x.flatten(1))


def test_a_parameter_of_symbolic_size_needs_the_size():
    f = cl.linear(cl.R(cl.dim("n")), Y)
    with pytest.raises(errors.SizeUnknown, match="sizes="):
        cl.compile(f)
    assert cl.compile(f, sizes={"n": 7})(torch.randn(2, 7)).shape == (2, 5)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ((torch.randn(7, 11),), "given shape \\(7, 11\\), needed \\(\\*batch, 12\\)"),
        ((torch.randn(7, 12, dtype=torch.float64),), "two dtypes"),
        ((torch.randint(5, (7, 12)),), "floating-point"),
        ((torch.empty(7, 12, device="meta"),), "two devices"),
        ((torch.randn(7, 12), torch.randn(7, 12)), "2 inputs given, 1 needed"),
        (("a string",), "torch.Tensor"),
    ],
    ids=["shape", "dtype", "kind", "device", "count", "type"],
)
def test_bad_inputs_are_named(inputs, words):
    with pytest.raises(errors.BadInput, match=words):
        cl.compile(net())(*inputs)


def test_different_batches_are_named():
    with pytest.raises(errors.BadInput, match="batch axes differ"):
        cl.compile(cl.linear(X, Y) @ cl.linear(X, Y) >> cl.add)(torch.randn(2, 12), torch.randn(3, 12))


def test_an_empty_batch_passes_through():
    assert cl.compile(net())(torch.randn(0, 12)).shape == (0, 5)


def test_names_that_python_cannot_hold():
    model = cl.compile(cl.linear(X, H, name="class").named("lambda") >> cl.linear(H, Y, name="2nd layer"))
    assert next(iter(model.state_dict())) == "lambda.class.weight"
    assert model(torch.randn(2, 12)).shape == (2, 5)
    with pytest.raises(errors.ReservedName, match="forward"):
        cl.compile(cl.linear(X, H).named("forward"))


def test_given_parameters_are_checked():
    params = dict(cl.compile(net()).state_dict())
    params["stem.linear.weight"] = torch.zeros(3, 3)
    params["extra"] = params.pop("head.linear.bias")
    with pytest.raises(errors.ParamMismatch) as caught:
        cl.compile(net(), params)
    assert all(
        words in str(caught.value) for words in ("missing: head.linear.bias", "not a parameter: extra", "given (3, 3), needed (16, 12)")
    )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu():
    model, x = cl.compile(net()), torch.randn(7, 12)
    on_gpu = copy.deepcopy(model).to("cuda")
    assert torch.allclose(on_gpu(x.cuda()).cpu(), model(x), atol=1e-5)


def test_many_models_compile_in_one_process():
    torch._dynamo.reset()
    for width in range(2, 14):  # dynamo gives up after eight recompilations of one code object
        model, x = cl.compile(cl.linear(X, cl.R(width)) >> cl.relu), torch.randn(2, 12)
        assert torch.allclose(torch.compile(model, fullgraph=True, backend="eager")(x), model(x))


@dataclass(frozen=True)
class Twice(cl.Op):
    """An op with a definition and nothing else."""

    key = "twice_in_test_module"

    def infer(self, dom):
        return dom

    def definition(self, o, x):
        return o.add(x, x)


def test_a_box_with_a_definition_alone_runs_inside_its_scope():
    f = (cl.linear(X, H) >> cl.Box(Twice(), H)).named("inner") >> cl.Box(Twice(), H)
    plain = cl.linear(X, H).named("inner") >> cl.scale(H, 4.0)
    model, x = cl.compile(f), torch.randn(3, 12)
    expected = cl.compile(plain, model.state_dict())(x)
    assert torch.equal(model(x), expected) and "x0 + x0" in model.inner.code
    assert torch.equal(cl.lens(f).get(dict(model.named_parameters()), x), expected)


N = cl.dim("n")


@pytest.mark.parametrize(
    ("term", "inputs", "words"),
    [
        (cl.mul(cl.R(N)), (torch.ones(5), torch.ones(1)), "input 1: given shape \\(1,\\).*where n is 5"),
        (cl.relu(cl.R(N)) @ cl.relu(cl.R(N)), (torch.ones(5), torch.ones(7)), "where n is 5"),
        (cl.relu(cl.R(N)) @ cl.relu(cl.R(N + 1)), (torch.ones(5), torch.ones(9)), "input 1"),
        (cl.relu(cl.R(N)), (torch.ones(1),), "at least 2"),
        (cl.add(cl.R()), (torch.ones(5), torch.ones(4, 1)), "batch axes differ"),
        (cl.add(cl.R(3)), (torch.ones(5, 3), torch.ones(3)), "batch axes differ: \\(5,\\) in input 0, \\(\\) in input 1"),
        (cl.relu(cl.R(3)), (torch.ones(2, 3, dtype=torch.int64),), "floating-point"),
        (cl.mul(cl.R(3)), (torch.ones(3), torch.ones(3, dtype=torch.complex64)), "floating-point"),
        (cl.gather(cl.R(5, 2) @ cl.index(5, 4)), (torch.ones(5, 2), torch.ones(4).int()), "int64"),
        (cl.gather(cl.R(5, 2) @ cl.index(5, 4)), (torch.ones(5, 2), torch.tensor([0, 1, 5, 2])), "0 to 4"),
        (cl.attention(cl.R(2, 4) @ cl.R(2, 4) @ cl.R(2, 4) @ cl.boolean(2, 2)), (torch.ones(2, 4),) * 3 + (torch.ones(2, 2),), "boolean"),
    ],
    ids=[
        "one n",
        "two n",
        "n + 1",
        "least n",
        "scalar batch",
        "missing batch",
        "integers",
        "complex",
        "int32",
        "out of range",
        "float mask",
    ],
)
def test_what_torch_would_broadcast_or_cast_is_refused(term, inputs, words):
    with pytest.raises(errors.BadInput, match=words):
        cl.compile(term)(*inputs)


def test_sizes_are_checked():
    with pytest.raises(errors.BadInput, match="at least 2"):
        cl.compile(cl.relu(cl.R(N)), sizes={"n": 1})
    with pytest.raises(errors.NothingMatched, match="symbolic size"):
        cl.compile(cl.relu(cl.R(N)), sizes={"m": 4})
    with pytest.raises(errors.BadInput, match="given shape \\(5,\\)"):
        cl.compile(cl.relu(cl.R(N)), sizes={"n": 4})(torch.ones(5))


def test_given_values_keep_their_kind_and_take_the_dtype():
    params = {k: v.double().numpy() for k, v in cl.compile(net()).state_dict().items()}
    assert {p.dtype for p in cl.compile(net(), params).parameters()} == {torch.float32}
    with pytest.raises(errors.ParamMismatch, match=r"torch\.int64"):
        cl.compile(net(), {k: torch.zeros(v.shape, dtype=torch.int64) for k, v in params.items()})
    with pytest.raises(errors.BadInput, match="floating-point"):
        cl.compile(net(), dtype=torch.int64)


def test_numbers_that_repr_writes_in_words():
    x = torch.tensor([1.0, -2.0, 0.0])
    assert torch.equal(cl.compile(cl.shift(cl.R(3), float("-inf")))(x), x - float("inf"))


def test_a_stateful_scope_is_not_checkpointed():
    f = (cl.linear(X, H) >> cl.batch_norm).named("b")
    with pytest.raises(errors.BadCheckpoint, match=r"b\.batch_norm"):
        cl.compile(f.at("b").checkpoint())


def test_models_of_one_term_are_of_one_class_and_stack():
    term = net()
    models, x = [cl.compile(term, seed=i) for i in range(3)], torch.randn(4, 12)
    params, buffers = torch.func.stack_module_state(models)
    out = torch.func.vmap(lambda p, b: torch.func.functional_call(models[0], (p, b), (x,)))(params, buffers)
    assert all(torch.allclose(o, m(x), atol=1e-6) for o, m in zip(out, models, strict=True))


def test_texts_of_dead_functions_are_forgotten():
    gc.collect()
    before = len(linecache.cache)
    for width in range(1, 9):
        cl.compile(cl.linear(X, cl.R(width)))
    gc.collect()
    assert len(linecache.cache) <= before + 1


def test_numbers_of_numpy_and_torch_become_plain():
    x = torch.randn(3)
    assert torch.equal(cl.compile(cl.scale(cl.R(3), factor=np.sqrt(np.float64(64))))(x), 8 * x)
    assert torch.equal(cl.compile(cl.scale(cl.R(3), torch.tensor(0.5)))(x), 0.5 * x)
    assert cl.scale(cl.R(3), np.float32(0.5)) == cl.scale(cl.R(3), 0.5)


def test_a_state_dict_that_lists_a_tied_weight_twice_is_accepted_if_it_agrees():
    twin = cl.linear(X, X).named("a") >> cl.linear(X, X).named("b")
    tied, apart = cl.compile(twin.at("*.weight").tie()), dict(cl.compile(twin).state_dict())
    with pytest.raises(RuntimeError, match=r"b\.linear\.weight and a\.linear\.weight are tied here and differ"):
        tied.load_state_dict(apart)
    apart["b.linear.weight"] = apart["a.linear.weight"]
    tied.load_state_dict(apart)
    assert torch.equal(tied.a.linear.weight, apart["a.linear.weight"]) and "b.linear.weight" in apart
    del apart["a.linear.weight"]
    tied.load_state_dict(apart)
    copy.deepcopy(tied).load_state_dict(apart)


def test_a_compiled_module_is_not_pickled_but_copied_and_saved_in_two_files(tmp_path):
    model, x = cl.compile(net(), seed=3), torch.randn(7, 12)
    for given in (model, model.stem, nn.Sequential(model)):
        with pytest.raises(errors.BadFile, match=r"cannot be pickled[\s\S]*cl\.save"):
            pickle.dumps(given)
        with pytest.raises(errors.BadFile, match=r"cl\.save"):
            torch.save(given, tmp_path / "model.pt")
    cl.save(model.term, tmp_path / "net")  # what the message says
    safetensors.torch.save_file(model.state_dict(), tmp_path / "numbers")
    again = cl.compile(cl.load(tmp_path / "net"), safetensors.torch.load_file(tmp_path / "numbers"))
    assert torch.equal(again(x), model(x))
    shallow, row = copy.copy(model), copy.deepcopy(nn.ModuleList([model, model]))
    assert shallow.stem is model.stem and row[0] is row[1] and row[0].stem is not model.stem
    assert torch.equal(row[0](x), model(x))


def test_a_size_is_known_before_the_input_that_it_is_read_off():
    model = cl.compile(cl.relu(cl.R(2 * N)) @ cl.relu(cl.R(N)))
    assert [y.shape for y in model(torch.ones(6), torch.ones(3))] == [(6,), (3,)]
    with pytest.raises(errors.BadInput, match=r"input 0: given shape \(7,\).*where n is 3"):
        model(torch.ones(7), torch.ones(3))


def test_messages_say_what_would_help():
    for given, named, words in [
        ((), {}, "0 inputs given.*the term starts from"),
        ((None,), {}, "NoneType.*the term starts from"),
        ((), {"x": torch.ones(12)}, "by their places.*by name: x"),
        ((torch.ones(12).double(),), {}, "two dtypes.*one dtype and device"),
    ]:
        with pytest.raises(errors.BadInput, match=f"(?s){words}"):
            cl.compile(net())(*given, **named)
    with pytest.raises(errors.BadInput, match="dtype=float64"):
        cl.compile(net(), dtype="float64")
    with pytest.raises(errors.ParamMismatch, match=r"head\.linear\.bias: given a list, needed a tensor \(5,\)"):
        cl.compile(net(), {**cl.compile(net()).state_dict(), "head.linear.bias": [0.0] * 5})


def test_the_names_of_a_tied_weight_agree_also_where_it_is_nan_or_elsewhere():
    twin = cl.linear(X, X).named("a") >> cl.linear(X, X).named("b")
    tied = cl.compile(twin.at("*.weight").tie())
    weight = torch.randn(12, 12)
    weight[3, 4] = torch.nan
    for alias in (weight.clone(), weight.to("meta")):
        tied.load_state_dict({**tied.state_dict(), "a.linear.weight": weight, "b.linear.weight": alias})
        assert torch.equal(tied.a.linear.weight.isnan(), weight.isnan())
    for alias in (weight.nan_to_num(), torch.zeros(12), weight + 1):
        with pytest.raises(RuntimeError, match="tied here and differ"):
            tied.load_state_dict({**tied.state_dict(), "a.linear.weight": weight, "b.linear.weight": alias})


def test_labels_that_do_not_count_are_no_reason_to_refuse():
    loss = cl.cross_entropy(cl.R(3))
    x, y = torch.randn(4, 3), torch.tensor([0, -100, 2, 1])
    torch.testing.assert_close(cl.compile(loss)(x, y), F.cross_entropy(x, y, reduction="none"))
    with pytest.raises(errors.BadInput) as caught:
        cl.compile(loss)(x[:2], y)
    assert "batch axes differ" in str(caught.value) and "-100" not in str(caught.value)
    both = cl.id(cl.R(3)) @ (cl.copy(cl.index(3)) >> cl.id(cl.index(3)) @ cl.embedding(cl.index(3), 2)) >> loss @ cl.id(cl.R(2))
    with pytest.raises(errors.BadInput, match="from -100 to 2"):  # here they are positions too
        cl.compile(both)(x, y)
