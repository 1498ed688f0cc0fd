"""What would break for somebody who brings a function or a module of their own."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import catlearn as cl
from catlearn import errors
from tests.aten import recorded, training_ops
from tests.boxes.agree import agree, check_forward, check_put, check_reverse
from tests.boxes.test_conv import in_one_graph
from tests.labels import label

X, Y = cl.R(3), cl.R(2)


def swish(x, beta):
    return x * torch.sigmoid(beta * x)


def two(x, y, w):
    return x @ w.mT, (x * y).sum(-1)


SWISH = cl.box("swish", X, X, torch=swish, params={"beta": X})
TWO = cl.box("two", X @ X, Y @ cl.R(), torch=two, params={"w": cl.R(2, 3)})


@pytest.mark.parametrize("box, f", [
    (SWISH, swish),
    (TWO, two),
    (cl.box("affine", X, X, torch="{x0} * {a} + {b}", params={"a": X, "b": X}), lambda x, a, b: x * a + b),
    (cl.box("odd name!", X, X, torch=torch.sin), torch.sin),
    (cl.box("pick", X @ cl.index(3), cl.R(), torch=lambda x, i: x.gather(-1, i[..., None])[..., 0]),
     lambda x, i: x.gather(-1, i[..., None])[..., 0]),
], ids=label)  # fmt: skip
def test_a_box_of_ones_own_is_its_function(box, f):
    agree(box, f, defined=False)


def test_a_box_with_another_function_is_told_apart():
    with pytest.raises(AssertionError, match="off by"):
        check_forward(SWISH, lambda x, beta: x * torch.sigmoid(x))


def test_a_definition_gives_reverse_and_a_vjp_goes_first():
    box = cl.box("square", X, X, torch="{x0} * {x0}", definition=lambda o, x: o.mul(x, x))
    agree(box, lambda x: x * x)
    wrong = cl.box("square", X, X, torch="{x0} * {x0}", vjp=lambda o, args, outs, douts: (douts[0],))
    check_forward(wrong, lambda x: x * x)
    with pytest.raises(AssertionError, match="off by"):
        check_reverse(wrong, lambda x: x * x)


def test_names_two_of_a_kind_and_starting_values():
    net = SWISH >> SWISH >> cl.box("swish", X, X, torch=lambda x: -x)
    model = cl.compile(net)
    assert list(model.state_dict()) == ["swish.beta", "swish_1.beta"]
    x = torch.randn(4, 3)
    assert torch.equal(model(x), -swish(swish(x, model.swish.beta), model.swish_1.beta))
    assert model.swish.beta.abs().max() <= 3**-0.5
    given = cl.box("s", X, X, torch=swish, params={"beta": cl.Param(X, torch.tensor([1.0, 2.0, 3.0]), trainable=False)})
    model = cl.compile(given)
    assert model.s.beta.tolist() == [1, 2, 3] and not model.s.beta.requires_grad


def test_in_scopes_and_repeats_each_box_calls_its_own_function():
    double, triple = (cl.box("f", X, X, torch=lambda x, k=k: k * x) for k in (2, 3))
    model = cl.compile(double.named("a") >> triple.named("b") >> cl.repeat(2, double) >> triple)
    assert model(torch.ones(3)).tolist() == [72.0] * 3


def test_compiles_in_one_graph_and_exports():
    net = cl.linear(X, X) >> SWISH >> cl.linear(X, Y)
    model, x = cl.compile(net), torch.randn(4, 3)
    assert torch.allclose(in_one_graph(model, x), model(x), atol=1e-6)
    assert torch.allclose(torch.export.export(model, (x,)).module()(x), model(x), atol=1e-6)


def test_training_flag_and_randomness():
    box = cl.box("noisy", X, X, torch=lambda x, training: x + torch.randn_like(x) if training else x, effect="random")
    model, x = cl.compile(box), torch.ones(5, 3)
    assert not torch.equal(model(x), x) and torch.equal(model.eval()(x), x)
    lens_box = cl.box("drop", X, X, torch=lambda x: F.dropout(x, 0.5), effect="random")
    lens = cl.lens(lens_box)
    y, (_, (dx,)) = lens.get({}, x, key=3), lens.put({}, (x,), torch.ones(5, 3), key=3)
    assert torch.equal(y, lens.get({}, x, key=3)) and not torch.equal(y, lens.get({}, x, key=4))
    assert torch.equal(dx, y)  # the same noise forward and backward, as x = 1
    for fused in (True, False):
        dx = cl.compile(cl.reverse(lens_box, fused))(x, torch.ones(5, 3))
        assert set(dx.flatten().tolist()) == {0.0, 2.0}


def test_state_is_changed_in_place_and_once():
    def count(x, seen):
        seen += 1
        return x * seen

    box = cl.box("count", X, X, torch=count, state={"seen": cl.R()})
    model, x = cl.compile(box), torch.ones(2, 3)
    assert [model(x)[0, 0].item() for _ in range(3)] == [1, 2, 3]
    assert model.state_dict()["count.seen"] == 3
    lens = cl.lens(box)
    y, state = lens.get({}, x, state=lens.init_state())
    assert y[0, 0] == 1 and state["count.seen"] == 1
    _, (dx,) = lens.put({}, (x,), torch.ones(2, 3), state={"count.seen": torch.tensor(4.0)})
    assert torch.equal(dx, torch.full((2, 3), 5.0))


@pytest.mark.parametrize("make, text", [
    (lambda: cl.box("f", X, X, torch=swish), "beta"),
    (lambda: cl.box("f", X, X, torch=lambda x: x, params={"w": X}), "w by keyword"),
    (lambda: cl.box("f", X, X, torch="{x0} + {y}"), "an expression in {x0}"),
    (lambda: cl.box("f", X, X, torch=3), "a function of tensors"),
    (lambda: cl.box("f", X, X, torch=swish, params={"beta": X @ X}), "one wire for each"),
    (lambda: cl.box("f", X, X, torch=torch.sin, effect="impure"), "pure, random, or stateful"),
    (lambda: cl.box("f", X, X, torch=torch.sin, effect="stateful"), "stateful with state"),
])  # fmt: skip
def test_bad_boxes_are_refused_by_name(make, text):
    with pytest.raises(errors.BadBox, match=text):
        make()


# -- modules -----------------------------------------------------------------------------------------------------------


def perceptron():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 2))


def test_a_module_as_a_box_keeps_names_values_and_trains():
    module = perceptron()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    net = cl.from_module(module, X, Y, name="inner") >> cl.linear(Y, Y)
    model, x = cl.compile(net), torch.randn(4, 3)
    assert list(model.state_dict()) == [*(f"inner.{k}" for k in before), "linear.weight", "linear.bias"]
    assert torch.equal(model(x), F.linear(module(x), model.linear.weight, model.linear.bias))
    optimiser = torch.optim.SGD(model.parameters(), 0.1)
    losses = []
    for _ in range(5):
        optimiser.zero_grad()
        loss = (model(x) ** 2).mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())  # the user's module is left alone
    assert torch.allclose(in_one_graph(model, x), model(x), atol=1e-6)


def test_a_module_as_a_box_runs_its_own_aten_ops():
    module, x = perceptron(), torch.randn(4, 3)
    assert training_ops(cl.compile(cl.from_module(module, X, Y)), x) == training_ops(module, x)


def test_the_reverse_of_a_module_is_autograd():
    module = perceptron()
    box = cl.from_module(module, X, Y, name="m")

    model = cl.compile(box, dtype=torch.float64)
    x, dy = torch.randn(5, 3, dtype=torch.float64, requires_grad=True), torch.randn(5, 2, dtype=torch.float64)
    params = dict(model.named_parameters())
    expected = torch.autograd.grad(module.double()(x), [*(module.get_parameter(k.removeprefix("m.")) for k in sorted(params)), x], dy)
    for fused in (True, False):
        found = cl.compile(cl.reverse(box, fused), params)(x.detach(), dy)
        for a, b in zip(found, expected, strict=True):
            assert torch.allclose(a, b, 1e-10, 1e-10)
    dparams, (dx,) = cl.lens(box).put(params, (x.detach(),), dy)
    for name, e in zip(sorted(params), expected, strict=False):
        assert torch.equal(dparams[name], e)
    assert torch.equal(dx, expected[-1])


def test_buffers_are_state_or_frozen_and_modes_are_followed():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    module[0].bias.requires_grad_(False)
    model, x = cl.compile(cl.from_module(module, X, Y, name="m")), torch.randn(8, 3)
    assert list(dict(model.named_buffers())) == ["m.1.running_mean", "m.1.running_var", "m.1.num_batches_tracked"]
    assert [n for n, p in model.named_parameters() if not p.requires_grad] == ["m.0.bias"]
    hand = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    hand.load_state_dict(module.state_dict())
    for _ in range(2):
        assert torch.equal(model(x), hand(x))
    assert torch.equal(model.state_dict()["m.1.running_mean"], hand[1].running_mean)
    assert model.state_dict()["m.1.num_batches_tracked"] == 2
    assert torch.equal(model.eval()(x), hand.eval()(x))
    lens = cl.lens(model.term)
    params, dy = dict(model.named_parameters()), torch.randn(8, 2)
    dparams, (dx,) = lens.put(params, (x,), dy, state=lens.init_state())
    hand.train()
    leaf = x.clone().requires_grad_()
    hand(leaf).backward(dy)
    assert torch.equal(dx, leaf.grad)
    assert sorted(dparams) == ["m.0.weight", "m.1.bias", "m.1.weight"]
    frozen = cl.compile(cl.from_module(module, X, Y, name="m", effect="pure")).eval()
    assert not list(frozen.buffers()) and torch.equal(frozen(x), module.eval()(x))


def test_tied_weights_of_a_module_stay_one():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
            self.b.weight = self.a.weight

        def forward(self, x):
            return self.b(self.a(x))

    module = Tied()
    model, x = cl.compile(cl.from_module(module, X, X, name="m")), torch.randn(2, 3)
    assert list(model.state_dict()) == ["m.a.weight"]
    with torch.no_grad():
        model.m.a.weight.mul_(2)
    assert torch.allclose(model(x), 4 * module(x))


def test_put_of_a_box_is_autograd_to_the_bit():
    check_put(SWISH, swish)
    check_put(TWO, two)


# -- what is declared ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make, inputs, text", [
    (lambda: cl.from_module(nn.Linear(3, 4), X, cl.R(5), name="wide"), 1, r"wide[\s\S]*tensor \(2, 4\)[\s\S]*R\(5\)"),
    (lambda: cl.box("one", X @ X, X @ X, torch=lambda a, b: a + b), 2, "one[\\s\\S]*a tuple of 2 tensors"),
    (lambda: cl.box("three", X, X @ X, torch=lambda a: (a, a, a)), 1, "three[\\s\\S]*tuple of a tensor"),
    (lambda: cl.box("pair", X, X, torch=lambda a: (a,)), 1, "pair[\\s\\S]*a tuple of a tensor"),
    (lambda: cl.box("nothing", X, X, torch=lambda a: None), 1, "nothing[\\s\\S]*NoneType"),
    (lambda: cl.box("scalar", X, cl.R(2, 3), torch=lambda a: a[0]), 1, r"scalar[\s\S]*tensor \(3,\)"),
])  # fmt: skip
def test_what_does_not_come_out_as_declared_is_refused_by_name(make, inputs, text):
    xs = [torch.ones(2, 3)] * inputs
    with pytest.raises(errors.BadBox, match=text):
        cl.compile(make())(*xs)
    lens = cl.lens(make())
    with pytest.raises(errors.BadBox, match=text):
        lens.get(lens.init(), *xs)


@pytest.mark.parametrize("rule", [lambda x: x.mul_(2), "{x0}.mul_(2)"])
def test_a_box_that_works_in_place_has_no_reverse_and_is_named(rule):
    box, x = cl.box("twice", X, X, torch=rule), torch.ones(2, 3)
    with pytest.raises(errors.BadBox, match=r"twice[\s\S]*in place"):
        cl.lens(box).put({}, (x,), x)
    for fused in (True, False):
        with pytest.raises(errors.BadBox, match=r"twice[\s\S]*in place"):
            cl.compile(cl.reverse(box, fused))(x, torch.ones(2, 3))
    assert torch.equal(x, torch.ones(2, 3))


# -- modules that draw random numbers --------------------------------------------------------------------------------------


class Recurrent(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.rnn = nn.GRU(3, 3, num_layers=2, dropout=p, batch_first=True)

    def forward(self, x):
        return self.rnn(x)[0]


@pytest.mark.parametrize("module, effects", [
    (nn.Dropout(0.5), {"random"}),
    (nn.Dropout(0.0), set()),
    (nn.Sequential(nn.Linear(3, 3), nn.AlphaDropout(0.2)), {"random"}),
    (nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5)), {"random", "stateful"}),
    (nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.0)), {"stateful"}),
    (nn.RReLU(), {"random"}),
    (Recurrent(0.5), {"random"}),
    (Recurrent(0.0), set()),
    (nn.TransformerEncoderLayer(4, 2, 8, 0.1, batch_first=True), {"random"}),
    (nn.MultiheadAttention(4, 2, 0.1), {"random"}),
    (nn.MultiheadAttention(4, 2), set()),
], ids=lambda v: type(v).__name__)  # fmt: skip
def test_a_module_with_dropout_in_it_is_random(module, effects):
    assert cl.from_module(module, X, X).graph.effects == effects


def test_a_module_that_is_random_and_stateful_follows_its_key():
    module = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
    lens = cl.lens(cl.from_module(module, X, X, name="m"))
    p, s, x = lens.init(), lens.init_state(), torch.randn(8, 3)
    with pytest.raises(errors.EffectNeeds, match="random"):
        lens.get(p, x, state=s)
    (y, new), (again, _), (other, _) = (lens.get(p, x, state=s, key=key) for key in (1, 1, 2))
    assert torch.equal(y, again) and not torch.equal(y, other) and new["m.1.num_batches_tracked"] == 1
    dparams, _ = lens.put(p, (x,), torch.ones(8, 3), state=s, key=1)
    assert torch.equal(dparams["m.1.bias"], 2.0 * (y != 0).sum(0))  # the noise that the forward pass drew
    quiet, _ = lens.get(p, x, state=s, training=False)
    assert torch.equal(quiet, module.eval()(x))
    with pytest.raises(errors.BadBox, match="dropout"):
        cl.from_module(module, X, X, effect="pure")


# -- constants ---------------------------------------------------------------------------------------------------------------


def test_a_constant_is_converted_once_and_then_records_nothing():
    term = cl.id(X) @ cl.constant([1.0, 2.0, 3.0], X) >> cl.mul
    model, x = cl.compile(term), torch.randn(4, 3)
    with torch.inference_mode():
        model(x)
    model(x)
    by_hand = torch.tensor([1.0, 2.0, 3.0])
    leaf = x.clone().requires_grad_()
    assert recorded(lambda: model(leaf)) == recorded(lambda: leaf * by_hand)
    (grad,) = torch.autograd.grad(model(leaf).sum(), leaf)  # what inference mode left behind is fit for training
    assert torch.equal(grad, by_hand.expand(4, 3))
    for dtype in (torch.float64, torch.float32):
        assert torch.equal(cl.compile(term, dtype=dtype)(x.to(dtype)), x.to(dtype) * by_hand.to(dtype))


def test_a_constant_works_in_one_graph_in_an_export_and_in_transforms():
    term = cl.id(X) @ cl.constant([1.0, 2.0, 3.0], X) >> cl.mul
    x = torch.randn(4, 3)
    expected = x * torch.tensor([1.0, 2.0, 3.0])
    model = cl.compile(term)
    assert torch.equal(torch.vmap(model)(x), expected)
    assert torch.equal(torch.func.grad(lambda x: model(x).sum())(x), torch.tensor([1.0, 2.0, 3.0]).expand(4, 3))
    assert torch.equal(in_one_graph(model, x), expected)
    assert torch.equal(torch.export.export(cl.compile(term), (x,)).module()(x), expected)
    assert torch.equal(model(x), expected)  # nothing of a transform or a trace was kept


def test_a_constant_needs_nothing_private_of_torch(monkeypatch):
    monkeypatch.delattr(torch._C._functorch, "is_functorch_wrapped_tensor", raising=False)
    term = cl.id(X) @ cl.constant([1.0, 2.0, 3.0], X) >> cl.mul
    x, model = torch.ones(4, 3, dtype=torch.float32), cl.compile(term)
    assert torch.equal(torch.func.grad(lambda x: model(x).sum())(x), torch.tensor([1.0, 2.0, 3.0]).expand(4, 3))
    assert torch.equal(model(x), torch.tensor([1.0, 2.0, 3.0]).expand(4, 3))  # nothing of the transform was kept


# -- inputs stay as they are, results are what was declared ---------------------------------------------------------------------


CHANGING = {
    "function": lambda x: x.mul_(2),
    "expression": "{x0}.mul_(2)",
    "relu": lambda x: F.relu(x, inplace=True),
    "view": "F.relu({x0}[..., :1], True) + {x0}",
}


@pytest.mark.parametrize("rule", CHANGING.values(), ids=CHANGING)
def test_a_box_that_changes_its_input_is_named_in_the_forward_pass_too(rule):
    net = cl.copy(X) >> cl.box("twice", X, X, torch=rule) @ cl.id(X) >> cl.add
    with pytest.raises(errors.BadBox, match=r"twice[\s\S]*in place[\s\S]*makes new tensors"):
        cl.compile(net)(torch.ones(2, 3))
    lens = cl.lens(net)
    with pytest.raises(errors.BadBox, match=r"twice[\s\S]*in place"):
        lens.get({}, torch.ones(2, 3))
    weighty = cl.box("grows", X, X, torch=lambda x, w: x + w.add_(1), params={"w": cl.Param(X, trainable=False)})
    with pytest.raises(errors.BadBox, match=r"grows[\s\S]*parameters in place"):
        cl.compile(weighty)(torch.ones(2, 3))


def test_a_box_may_work_in_place_on_what_it_made_itself():
    for rule in (lambda x: x.clone().mul_(2), "({x0} + 0).mul_(2)"):
        model, x = cl.compile(cl.box("twice", X, X, torch=rule)), torch.ones(2, 3)
        assert torch.equal(model(x), 2 * x) and torch.equal(x, torch.ones(2, 3))
        with torch.inference_mode():
            assert torch.equal(model(torch.ones(2, 3)), 2 * x)


@pytest.mark.parametrize("cod, rule, text", [
    (cl.R(5), "{x0} * 2", r"tensor \(2, 3\)[\s\S]*R\(5\)"),
    (X @ X, "({x0},)", "a tuple of 2 tensors"),
    (cl.R(), "{x0}.argmax(-1)", r"torch\.int64"),
    (cl.index(3), lambda x: x[..., 0], r"torch\.float32"),
    (X, "{x0}.sum(0)", r"tensor \(3,\)[\s\S]*the batch axes \(2,\)"),
    (X, lambda x: x.unsqueeze(0), r"tensor \(1, 2, 3\)[\s\S]*the batch axes \(2,\)"),
])  # fmt: skip
def test_expressions_kinds_and_batch_axes_are_held_to_the_codomain(cod, rule, text):
    box = cl.box("odd", X, cod, torch=rule)
    with pytest.raises(errors.BadBox, match=rf"odd[\s\S]*{text}"):
        cl.compile(box)(torch.ones(2, 3))


def test_an_expression_with_parameters_state_and_modes():
    box = cl.box("e", X @ X, X, torch="{x0} * {w} + {x1} + {n}.add_(1) * {training}", params={"w": X}, state={"n": cl.R()})
    model, x = cl.compile(box), torch.ones(2, 3)
    for n in (1.0, 2.0):
        assert torch.equal(model(x, x), x * model.e.w + x + n)
    assert torch.equal(model.eval()(x, x), x * model.e.w + x) and model.e.n == 3
    assert "lambda x0, x1, p0: x0 * p0 + x1" in model.code
    plain = cl.compile(cl.box("e", X, X, torch="{x0}.sin() * {w}", params={"w": X}))
    assert torch.allclose(in_one_graph(plain, x), plain(x))
    assert torch.allclose(torch.export.export(plain, (x,)).module()(x), plain(x))
