"""Names: what renames no parameter, what clashes, and odd names all the way through the meanings."""

from __future__ import annotations

from random import Random

import pytest
import torch

import catlearn as cl
from catlearn import errors
from tests.core.random_terms import Draw, closed_within

x, y = cl.R(3), cl.R(2)
net = cl.linear(x, x) >> cl.relu >> cl.linear(x, x).named("block") >> cl.repeat(2, cl.linear(x, x))
names = ["linear.weight", "linear.bias", "block.linear.weight", "block.linear.bias", "0.linear.weight", "0.linear.bias", "1.linear.weight",
         "1.linear.bias"]  # fmt: skip


def linears(*spaces):
    return cl.par(*(cl.linear(s, s) for s in spaces))


# -- what renames nothing ----------------------------------------------------------------------------------------------------


def test_names_follow_the_writing():
    assert list(net.params) == names
    assert list((cl.linear(x, x) >> cl.linear(x, x) >> cl.bias(x) >> cl.linear(x, x)).params) == [
        "linear.weight", "linear.bias", "linear_1.weight", "linear_1.bias", "bias.bias", "linear_2.weight", "linear_2.bias"]  # fmt: skip


@pytest.mark.parametrize("changed", [
    net >> cl.linear(x, y),
    net >> cl.relu,
    net @ cl.linear(y, y),
    cl.relu(x) >> net,
    cl.id(x) >> net >> cl.id(x),
    cl.id(y) @ net @ cl.id(cl.I),
    cl.swap(y, x) >> net @ cl.id(y) >> cl.swap(x, y),
    cl.copy(x) >> net @ cl.discard(x),
])  # fmt: skip
def test_appending_wiring_and_wrapping_rename_no_parameter(changed):
    for name in names:
        assert changed.params[name] == net.params[name]
    model, old = cl.compile(changed), cl.compile(net, seed=1)
    missing, unexpected = model.load_state_dict(old.state_dict(), strict=False)
    assert not unexpected and not set(missing) & set(names)


def test_composing_with_a_permutation_keeps_each_name_with_its_box():
    """Graph order would rename here: an old checkpoint would load into the wrong boxes."""
    f = linears(x, x)
    swapped = cl.swap(x, x) >> f
    values = {name: torch.full(tuple(p.wire.shape), float(i)) for i, (name, p) in enumerate(f.params.items())}
    a, b = torch.randn(2, 3)
    one, two = f(a, b, params=values), swapped(b, a, params=values)
    assert torch.equal(one[0], two[0]) and torch.equal(one[1], two[1])


@pytest.mark.parametrize("seed", range(30))
def test_bracketing_renames_nothing(seed):
    rng = Random(seed)
    parts = [Draw(seed).step(cl.R(1) @ cl.R(2))]
    for _ in range(5):
        step = Draw(rng.randrange(10**6)).step(parts[-1].cod)
        if not closed_within(step) and len(step.cod) <= 4:
            parts.append(step)

    def bracketed(parts):
        if len(parts) == 1:
            return parts[0]
        cut = rng.randint(1, len(parts) - 1)
        return bracketed(parts[:cut]) >> bracketed(parts[cut:])

    one, two = bracketed(parts), bracketed(parts)
    try:
        assert list(one.params) == list(two.params)
    except errors.NameUsedTwice:  # two anonymous repeats in one scope
        with pytest.raises(errors.NameUsedTwice):
            _ = two.params
    assert one == two


def test_renaming_would_be_noticed():
    """The mutant: a box put in front does rename, so the tests above can fail."""
    changed = cl.linear(x, x) >> net
    assert list(changed.params)[:4] == ["linear.weight", "linear.bias", "linear_1.weight", "linear_1.bias"]


# -- clashes -----------------------------------------------------------------------------------------------------------------


def test_a_closed_name_twice_is_refused_with_both_places():
    first = cl.linear(x, x, name="a")
    second = cl.linear(x, x, name="a")
    with pytest.raises(errors.NameUsedTwice) as refusal:
        _ = (first >> second).params
    lines = [line for line in str(refusal.value).splitlines() if "test_names.py:" in line]
    assert len(lines) == 2 and lines[0] != lines[1] and "'a'" in str(refusal.value)
    with pytest.raises(errors.NameUsedTwice):
        _ = (first >> first).params
    with pytest.raises(errors.NameUsedTwice):
        cl.compile(cl.relu(x).named("s") >> cl.relu(x).named("s"))
    assert len((first.named("s") >> first.named("t")).params) == 4


def test_an_open_name_steps_aside_for_an_earlier_closed_one_and_refuses_a_later_one():
    assert list((cl.bias(x, name="bias") >> cl.bias(x)).params) == ["bias.bias", "bias_1.bias"]
    with pytest.raises(errors.NameUsedTwice):
        _ = (cl.bias(x) >> cl.bias(x, name="bias")).params


def test_a_name_and_its_own_prefix_cannot_both_be_parameters():
    f = cl.bias(x, name="a") >> cl.bias(x, name="b")
    with pytest.raises(errors.NameConflict, match=r"'c'.*'c\.d'"):
        _ = f.at("a.bias").rename("c").at("b.bias").rename("c.d").params


@pytest.mark.parametrize("bad", ["", "a.b", "a*", "a|b", "a?", "[a]", "a\nb", "d#2", None, 3])
def test_unusable_names_are_refused_by_name(bad):
    with pytest.raises(errors.NameConflict):
        cl.relu(x).named(bad)
    if bad not in (None, ""):
        with pytest.raises(errors.NameConflict):
            cl.linear(x, x, name=bad)


# -- odd names all the way through -------------------------------------------------------------------------------------------

ODD = ["class", "def", "lambda", "None", "with space", "größe", "x0", "self", "p", "torch", "F", "0", "1st", "a-b", "it's", 'say "hi"',
       "back\\slash", "weight", "{x0}", "%s"]  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("place", ["box", "scope", "parameter"])
def test_odd_names_work_through_every_meaning(odd, place, tmp_path):
    term = cl.linear(x, y, name="plain") >> cl.tanh
    if place == "box":
        term = cl.linear(x, y, name=odd) >> cl.tanh
    elif place == "scope":
        term = term.named(odd)
    else:
        term = term.at("plain.weight").rename(odd)
    plain = cl.linear(x, y) >> cl.tanh
    model, z = cl.compile(term), torch.randn(5, 3)
    state = model.state_dict()
    assert set(state) == set(term.params) and any(odd in name for name in state)
    values = dict(zip(plain.params, (state[n] for n in sorted(state, key=lambda n: n.endswith("bias"))), strict=True))
    assert torch.equal(model(z), plain(z, params=values))
    other = cl.compile(term, seed=7)
    other.load_state_dict(state)
    assert torch.equal(other(z), model(z))
    assert torch.equal(cl.lens(term).get(state, z), model(z))
    assert cl.load(cl.save(term, tmp_path / "f")) == term
    assert cl.same(term, term)


@pytest.mark.parametrize("reserved", ["forward", "train", "parameters", "modules", "to", "state_dict", "__init__", "__class__", "training"])
@pytest.mark.parametrize("place", ["box", "scope", "parameter"])
def test_names_that_torch_keeps_are_refused_by_compile_and_by_nothing_else(reserved, place, tmp_path):
    term = cl.linear(x, y, name="plain")
    if place == "box":
        term = cl.linear(x, y, name=reserved)
    else:
        term = term.named(reserved) if place == "scope" else term.at("plain.weight").rename(reserved)
    with pytest.raises(errors.ReservedName, match=reserved):
        cl.compile(term)
    assert cl.load(cl.save(term, tmp_path / "f")) == term


def test_two_anonymous_repeats_say_what_to_do():
    with pytest.raises(errors.NameUsedTwice, match="give each repeat a scope of its own"):
        _ = (cl.repeat(2, cl.linear(x, x)) >> cl.repeat(2, cl.linear(x, x))).params
    apart = cl.repeat(2, cl.linear(x, x)).named("a") >> cl.repeat(2, cl.linear(x, x)).named("b")
    assert list(apart.params)[::2] == ["a.0.linear.weight", "a.1.linear.weight", "b.0.linear.weight", "b.1.linear.weight"]


def test_the_names_of_backward_passes_are_taken():
    x = cl.R(3)
    for make in (lambda name: cl.linear(x, x, name=name), cl.linear(x, x).named, cl.linear(x, x).at("*.bias").rename):
        with pytest.raises(errors.NameConflict, match="backward"):
            make("time_reverse")
    assert cl.reverse(cl.linear(x, x, name="reverse")).graph.nodes  # only the ending is
