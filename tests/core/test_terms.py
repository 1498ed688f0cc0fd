"""Terms: composition and its refusals, editing by patterns (checkpoint, tap, freeze), functors."""

from __future__ import annotations

import pytest
import torch

import catlearn as cl
from catlearn import errors
from tests.core.random_terms import A, Pure, Weighted

x, y = cl.R(3), cl.R(2)


def outputs(term, inputs, like):
    """The outputs with the parameters of another term."""
    return term(*inputs, params=like)


# -- composing ---------------------------------------------------------------------------------------------------------------


def test_unequal_spaces_do_not_compose_and_the_message_shows_both_ends():
    encoder = cl.linear(x, y, name="encoder")
    head = cl.linear(x, x, name="head")
    with pytest.raises(errors.NotComposable) as refusal:
        encoder >> head
    words = str(refusal.value)
    assert "R(2)" in words and "R(3)" in words and words.count("test_terms.py:") == 2 and "encoder >> head" in words and "next:" in words


def test_only_terms_compose():
    with pytest.raises(errors.NotATerm):
        cl.relu(x) >> torch.nn.ReLU()
    with pytest.raises(errors.NotATerm):
        cl.relu(x) @ 3
    with pytest.raises(errors.NeedsSpace):
        cl.relu(x) @ cl.relu
    with pytest.raises(errors.NeedsSpace):
        cl.relu >> cl.relu(x)


def test_a_repeat_needs_a_body_that_ends_where_it_starts():
    with pytest.raises(errors.BadRepeat, match=r"R\(2\)"):
        cl.repeat(2, cl.linear(x, y))
    with pytest.raises(errors.BadRepeat):
        cl.repeat(-1, cl.relu(x))


def test_equality_and_hash_ignore_brackets_and_nothing_else():
    f, g, h = (cl.Box(Pure(label, A), A) for label in "fgh")
    assert (f >> g) >> h == f >> (g >> h) and hash((f >> g) >> h) == hash(f >> (g >> h))
    assert (f @ g) @ h == f @ (g @ h) and hash((f @ g) @ h) == hash(f @ (g @ h))
    others = [f >> h >> g, f >> g, f @ g @ h, (f >> g >> h).named("s"), f >> g >> cl.Box(Pure("h", A), A, "h"), cl.repeat(1, f >> g >> h)]
    assert all(f >> g >> h != other for other in others)


# -- patterns ----------------------------------------------------------------------------------------------------------------

net = cl.linear(x, x).named("stem") >> cl.repeat(2, cl.linear(x, x) >> cl.relu).named("body") >> cl.linear(x, y, name="head")


@pytest.mark.parametrize("pattern, selected", [
    ("stem", ["stem.linear.weight", "stem.linear.bias"]),
    ("*.weight", ["stem.linear.weight", "body.0.linear.weight", "body.1.linear.weight", "head.weight"]),
    ("body.1|head.bias", ["body.1.linear.weight", "body.1.linear.bias", "head.bias"]),
    ("b*0*bias", ["body.0.linear.bias"]),
])  # fmt: skip
def test_a_pattern_selects_parameters_and_what_lies_in_scopes(pattern, selected):
    assert list(net.at(pattern).params) == selected
    assert [name for name, p in net.at(pattern).freeze().params.items() if not p.trainable] == selected


@pytest.mark.parametrize("edit", ["freeze", "tie", "checkpoint", "tap", "rename", "reparam"])
def test_a_pattern_that_matches_nothing_lists_what_exists(edit):
    selection = net.at("sten")
    with pytest.raises(errors.NothingMatched, match="stem"):
        arguments = {"rename": ["new"], "reparam": [cl.cells.positive()]}.get(edit, [])
        getattr(selection, edit)(*arguments)


def test_selecting_parts_of_a_term_that_has_none_is_refused_too():
    with pytest.raises(errors.NothingMatched, match="there are 0"):
        cl.relu(x).at("*").freeze()


# -- checkpoint --------------------------------------------------------------------------------------------------------------


def test_checkpointed_scopes_run_again_and_give_the_same_numbers():
    checkpointed = net.at("stem|body").checkpoint()
    assert checkpointed != net and cl.same(checkpointed, net)
    one, two = cl.compile(net), cl.compile(checkpointed)
    assert "checkpoint(self.stem" in two.code and "checkpoint(" not in one.code
    z = torch.randn(4, 3)
    grads = []
    for model in (one, two):
        out = model(z)
        grads.append([out, *torch.autograd.grad(out.square().sum(), list(model.parameters()))])
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


# -- tap ---------------------------------------------------------------------------------------------------------------------


def test_tapped_outputs_follow_the_outputs_in_writing_order():
    tapped = net.at("body.1|stem").tap()
    assert tapped.dom == net.dom and tapped.cod == y @ x @ x
    values = dict(cl.compile(net).state_dict())
    z = torch.randn(4, 3)
    stem = z @ values["stem.linear.weight"].T + values["stem.linear.bias"]
    body = stem
    for i in "01":
        body = torch.relu(body @ values[f"body.{i}.linear.weight"].T + values[f"body.{i}.linear.bias"])
    head = body @ values["head.weight"].T + values["head.bias"]
    for mine, true in zip(tapped(z, params=values), (head, stem, body), strict=True):
        assert torch.allclose(mine, true, atol=1e-6)


def test_discarding_the_taps_gives_the_term_back():
    for pattern in ("stem", "body", "body.0", "head", "*relu*", "*"):
        tapped = net.at(pattern).tap()
        taps = cl.Space(tapped.cod.wires[1:])
        assert len(taps)
        assert cl.same(tapped >> cl.id(y) @ cl.discard(taps), net)
        assert not cl.same(tapped, net)


def test_taps_in_parallel_parts_and_on_many_wires():
    f = cl.linear(x, y, name="f") @ cl.linear(y, x, name="g") >> cl.swap(y, x).named("s") >> cl.linear(x, x, name="h") @ cl.id(y)
    tapped = f.at("f|g|s").tap()
    assert tapped.cod == f.cod @ y @ x @ x @ y
    values = dict(cl.compile(f).state_dict())
    a, b = torch.randn(4, 3), torch.randn(4, 2)
    _, _, f_out, g_out, s0, s1 = tapped(a, b, params=values)
    assert torch.equal(f_out, s1) and torch.equal(g_out, s0)
    assert torch.allclose(f_out, a @ values["f.weight"].T + values["f.bias"], atol=1e-6)


def test_a_tap_inside_a_shared_repeat_is_refused_by_name():
    shared = cl.repeat(2, cl.linear(x, x, name="a"), shared=True) >> cl.relu
    with pytest.raises(errors.TapInRepeat, match=r"repeat of 2.*test_terms.py"):
        shared.at("a").tap()
    assert shared.at("relu").tap().cod == x @ x


# -- functors ----------------------------------------------------------------------------------------------------------------


def test_the_identity_functor_gives_the_term_back():
    for term in (net, net.at("*.bias").freeze(), cl.copy(x) >> cl.add(x)):
        assert cl.Endofunctor()(term) == term


def test_a_functor_maps_generators_and_keeps_the_rest():
    class Louder(cl.Endofunctor):
        def on_op(self, op):
            return type(op)(op.label.upper(), op.cod) if isinstance(op, Pure) else op

    f, w = cl.Box(Pure("f", A), A), cl.Box(Weighted("w", A), A, "w")
    term = cl.copy(A) >> f @ w >> (f @ f).named("s")
    F, W = cl.Box(Pure("F", A), A), cl.Box(Weighted("W", A), A, "w")
    assert Louder()(term) == cl.copy(A) >> F @ W >> (F @ F).named("s")
    assert Louder()(f >> w) == Louder()(f) >> Louder()(w)
    assert Louder()(f @ w) == Louder()(f) @ Louder()(w)


def test_deep_terms_are_built_compared_and_walked_without_recursion():
    deep = cl.id(x)
    other = cl.id(x)
    for _ in range(20_000):
        deep = deep >> cl.relu
        other = other >> cl.relu
    assert deep == other and deep.length == 20_000 and cl.Endofunctor()(deep) == deep
    assert deep != other >> cl.relu
