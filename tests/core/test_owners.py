"""Which box a name belongs to, where dots and digits in names mislead; and what ``same`` must not take for one."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

import catlearn as cl
from catlearn import errors
from catlearn.core.cells import frozen, whiskered
from catlearn.core.raising import raise_graph
from catlearn.core.term import Reparam, Repeat, Scope
from catlearn.core.tidy import tidy

w = cl.R(2)


# -- boxes whose parameters have dotted names --------------------------------------------------------------------------------


def opaque():
    return cl.from_module(torch.nn.Sequential(torch.nn.Linear(2, 2)), w, w)


def test_a_cell_on_an_opaque_module_survives_what_is_put_before_it():
    both = opaque() >> opaque().at("*").freeze()
    with pytest.raises(errors.NameUsedTwice):  # the cell closed the name of its box, which the box in front would need
        _ = both.params
    learns = [param.trainable for param in (cl.linear(w, w) >> opaque().at("*").freeze()).params.values()]
    assert learns == [True, True, False, False]


def test_a_cell_that_reaches_no_box_is_loud():
    x = cl.linear(w, w, bias=False)
    open_inside = Reparam(x, (frozen("linear.weight", x.params["linear.weight"]),))
    assert not open_inside.params["linear.weight"].trainable
    lost = cl.relu(w) >> cl.linear(w, w, bias=False) >> open_inside  # its box is called linear_1 here
    with pytest.raises(errors.CellLost, match=r"linear\.weight"):
        _ = lost.params


# -- digits: the user's and those of a repeat --------------------------------------------------------------------------------


def test_a_number_as_the_name_of_a_scope_is_a_name():
    f = cl.linear(w, w)
    assert not cl.same(f.named("2024"), f.named("7")) and not cl.same(f.named("2024"), f)
    assert cl.same(f.named("2024"), f.named("2024"))
    assert cl.same(cl.repeat(2, f), f >> f)  # the numbers of a repeat are not
    marked = f.named("0").at("0").checkpoint()
    assert isinstance(marked, Scope) and marked.checkpoint
    inside = cl.repeat(2, f.named("0")).at("1.0").checkpoint()
    assert [region.checkpoint for region in _regions(inside)] == [False, True, False, True]
    every = cl.repeat(2, f).at("0").checkpoint()
    assert isinstance(every, Repeat) and every.checkpoint


def _regions(term):
    found, stack = [], [term.graph.root]
    while stack:
        inner = [item for item in stack.pop().items if hasattr(item, "path")]
        for item in inner:
            found += [item, *(sub for sub in item.items if hasattr(sub, "path"))]
    return found


def test_a_tapped_repeat_is_still_that_repeat(tmp_path):
    f = cl.repeat(2, cl.linear(w, w) >> cl.relu)
    tapped = f.at("0").tap()
    assert list(tapped.params) == list(f.params) and tapped.cod == w @ w
    assert cl.same(tapped >> cl.id(w) @ cl.discard(w), f) and not cl.same(tapped >> cl.discard(w) @ cl.id(w), f)
    assert cl.load(cl.save(tapped, tmp_path / "f")) == tapped


def test_tap_writes_out_only_the_repeats_that_hold_what_is_tapped():
    twice = cl.repeat(2, cl.relu(w))
    f = twice >> cl.linear(w, w).named("h") >> twice
    tapped = f.at("h").tap()
    assert cl.same(tapped >> cl.id(w) @ cl.discard(w), f)
    assert cl.same(tapped >> cl.discard(w) @ cl.id(w), twice >> cl.linear(w, w).named("h"))


# -- coefficients that Python's == takes for one -----------------------------------------------------------------------------


def test_numbers_that_are_read_differently_are_not_the_same():
    for one, two in ((0.1, Fraction(0.1)), (0.0, -0.0), (1e23, int(1e23))):
        f, g = cl.scale(w, factor=one), cl.scale(w, factor=two)
        assert one == two and f != g and not cl.same(f, g) and cl.same(f, f)
        beside = cl.copy(w) >> f @ g
        assert not cl.same(beside, cl.copy(w) >> f @ f) and not cl.same(beside, f >> cl.copy(w))
        assert len(tidy(beside.graph).nodes) == 2 and len(tidy((cl.copy(w) >> f @ f).graph).nodes) == 1
    assert cl.scale(w, factor=2) == cl.scale(w, factor=2.0) and cl.same(cl.scale(w, factor=2), cl.scale(w, factor=2.0))
    assert cl.same(cl.scale(w, factor=0.1), cl.scale(w, factor=0.1))


# -- cells -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["a", "b"])
def test_tying_a_frozen_parameter_to_one_that_learns_is_refused_in_either_order(first):
    f = cl.linear(w, w, bias=False, name="a") >> cl.linear(w, w, bias=False, name="b")
    half = f.at(first).freeze()
    with pytest.raises(errors.BadCell, match=f"frozen  {first}.weight"):
        half.at("*").tie()
    assert not f.at("*").freeze().at("*").tie().params["a.weight"].trainable
    assert f.at("*").tie().params["a.weight"].trainable


def test_a_cell_reads_without_effects():
    space = cl.parameter(w)
    param = cl.Param(space)
    with pytest.raises(errors.BadCell, match="random"):
        cl.Cell((("p", param),), ("linear.bias",), cl.dropout(space, 0.5))


def test_a_name_taken_by_a_renamed_parameter_is_refused_with_both_places():
    f = cl.linear(w, w, bias=False)
    moved = f.at("*").rename("linear_1.weight")
    with pytest.raises(errors.NameUsedTwice) as refusal:
        _ = (moved >> cl.linear(w, w, bias=False)).params
    assert str(refusal.value).count("test_owners.py:") == 2


# -- randomness --------------------------------------------------------------------------------------------------------------


def test_two_closed_random_boxes_are_not_one_run_copied():
    d, e = cl.dropout(w, 0.5, name="d"), cl.dropout(w, 0.5, name="e")
    assert not cl.same(cl.copy(w) >> d @ e, d >> cl.copy(w))
    assert not cl.same(d >> cl.copy(w), cl.copy(w) >> d @ e)
    assert cl.same(d >> cl.discard(w), cl.discard(w)) and not cl.same(d, e)


def test_one_cell_in_two_places_ties_nothing():
    space = cl.parameter(cl.R(2, 2))
    cell = cl.Cell((("q", cl.Param(space)),), ("w",), cl.scale(space, 2))
    f, g = (cl.linear(w, w, bias=False, name=name).at("*").rename("w").at("w").reparam(cell) for name in "ab")
    with pytest.raises(errors.NameUsedTwice, match="'q'"):
        _ = (f >> g).params
    assert list((f.named("f") >> g.named("g")).params) == ["f.q", "g.q"]
    assert list(cl.repeat(2, f, shared=True).params) == ["q"]


def test_a_cell_outside_a_shared_repeat_is_read_once_for_all_runs():
    space = cl.parameter(cl.R(2, 2))
    cell = cl.Cell((("q", cl.Param(space)),), ("s.linear.weight",), cl.scale(space, 2))
    shared = cl.repeat(3, cl.linear(w, w, bias=False).named("s"), shared=True)
    x, q = torch.randn(5, 2), torch.randn(2, 2)
    wanted = x @ (2 * q).T @ (2 * q).T @ (2 * q).T
    for f, name in ((shared.at("*").reparam(cell), "q"), (shared.named("t").at("t").reparam(whiskered(cell, "t")), "t.q")):
        torch.testing.assert_close(cl.compile(f, {name: q})(x), wanted)
        assert sum(node.op.key == "scale" for node in f.graph.nodes) == 1


def test_a_cell_without_targets_or_with_unusable_names_is_refused():
    param = cl.Param(cl.parameter(w))
    with pytest.raises(errors.BadCell, match="no targets"):
        cl.Cell((("q", param),), (), cl.discard(param.space))
    f = cl.bias(w, name="a") >> cl.bias(w, name="b")
    for name in ("", "a..b", ".a", "a.", "a*", "a#2", 3):
        with pytest.raises(errors.NameConflict):
            f.at("a.*").rename(name)
        with pytest.raises(errors.NameConflict):
            f.at("*").tie(name)


def test_a_tensor_is_never_called_as_a_scope_or_a_state():
    moved = cl.bias(w, name="a").at("*")
    for f, match in (
        (moved.rename("s") >> cl.relu(w).named("s"), "a scope at once"),
        (cl.relu(w).named("t").named("s") >> moved.rename("s.t"), "a scope at once"),
        (cl.batch_norm(w, name="n") >> moved.rename("n.running_mean"), "a state at once"),
        (cl.batch_norm(w, name="n") >> moved.rename("n.running_mean.x"), "side by side"),
    ):
        with pytest.raises(errors.NameConflict, match=match):
            _ = f.params


def test_what_cells_read_with_cannot_be_tapped_silently():
    space = cl.parameter(cl.R(2, 2))
    f = cl.linear(w, w, bias=False).at("*").reparam(cl.Cell((("q", cl.Param(space)),), ("linear.weight",), cl.scale(space, 2)))
    with pytest.raises(errors.NothingMatched):
        f.at("*/scale").tap()
    assert f.at("*").tap().cod == w @ w  # the box itself
    with pytest.raises(errors.NothingMatched):
        cl.repeat(2, cl.dropout(w, 0.5), shared=True).at("dropout#2").tap()


# -- raised terms ------------------------------------------------------------------------------------------------------------


def test_a_raised_term_has_closed_names_however_it_is_lowered():
    f = cl.linear(w, w) >> cl.linear(w, w)
    raised = raise_graph(f.graph)
    for again in (raised, raised >> cl.id(w), cl.id(w) >> raised):
        assert list(again.params) == list(f.params) and not again.graph.open
        assert cl.same(raised, again) and cl.same(again, raised) and not cl.same(again, f)
    closed = f.at("*").rename(lambda name: name)
    assert cl.same(raised, closed)


@pytest.mark.parametrize("box", [cl.dropout(w, 0.5, name="relu"), cl.batch_norm(w, name="relu")], ids=["random", "stateful"])
def test_a_raised_box_without_a_name_gets_out_of_the_way_of_a_closed_one(box):
    f = cl.relu(w).named("s") >> box
    raised = raise_graph(f.graph)
    assert cl.same(raised >> cl.id(w), f)
    back = cl.reverse(f)
    assert cl.same(back >> cl.id(back.cod), back)
