"""What a reader would be told wrongly if an explanation were wrong."""

import re

import pytest

import catlearn as cl

H = cl.R(16)


def block():
    return cl.copy(H) >> (cl.linear(H, H) >> cl.gelu) @ cl.id(H) >> cl.add(H)


def net():
    return cl.linear(cl.R(4), H).named("stem") >> cl.repeat(3, block()).named("body") >> cl.linear(H, cl.R(5)).named("head")


def test_it_tells_spaces_parameters_and_steps_in_order():
    text = cl.explain(net())
    size = (4 + 1) * 16 + 3 * 17 * 16 + 17 * 5
    assert text.startswith(f"A network from R(4) to R(5), with {size:,} numbers in 10 parameters.")
    assert re.findall(r"^(\d)\. (\w+)", text, re.M) == [("1", "stem"), ("2", "body"), ("3", "head")]
    assert text.rstrip().endswith("It gives R(5): the result of 3.")


def test_a_repeat_is_told_once_with_its_number_and_its_own_parameters():
    text = cl.explain(net())
    assert "done 3 times in a row, each with its own parameters" in text and text.count("gelu") == 1
    assert "sharing" not in text
    tied = net().at("body.*.weight").tie()
    assert "done 3 times in a row, sharing some of the parameters" in cl.explain(tied)
    assert "used by body.0.linear, body.1.linear and body.2.linear" in cl.explain(tied)


def test_it_says_where_a_value_comes_from_when_it_is_not_the_step_before():
    lines = [line.strip() for line in cl.explain(net()).splitlines()]
    (add,) = [line for line in lines if line.startswith("2.3 add")]
    assert "It reads the result of 2.2 and what enters 2." in add
    assert not any("reads" in line for line in lines if line.startswith("2.2"))
    assert "It reads input 2 and input 1." in cl.explain(cl.swap(H, H) >> cl.sub(H))


def test_shared_and_frozen_parameters_are_named():
    term = (cl.linear(H, H, name="a", bias=False) >> cl.relu >> cl.linear(H, H, name="b")).at("*.weight").tie().at("b.bias").freeze()
    text = cl.explain(term)
    assert "Shared: a.weight is one parameter, used by a and b." in text and "Frozen (they do not learn): b.bias." in text
    assert "272 numbers in 2 parameters, of which 256 learn" in text
    assert "Shared" not in cl.explain(net()) and "Frozen" not in cl.explain(net())


def test_effects_are_told():
    text = cl.explain(cl.dropout(0.5)(H) >> cl.dropout(0.1))
    assert "Random while training: 2 × dropout." in text
    state = cl.explain(cl.batch_norm(cl.R(3)))
    assert "Keeps a state beside the parameters: " in state and "running_mean" in state
    assert "Random" not in state and "state" not in text


def test_cells_are_told_as_readings_of_other_parameters():
    weight = cl.parameter(cl.R(16, 16))
    cell = cl.Cell((("half", cl.Param(weight)),), ("w.weight",), cl.scale(weight, 0.5))
    text = cl.explain(cl.linear(H, H, name="w").at("w.weight").reparam(cell))
    assert "One parameter R(16, 16) is read off half." in text
    assert re.findall(r"^(\d+)\.", text, re.M) == ["1"]  # a cell is no step


def test_inputs_that_are_not_used_and_nothing_at_all():
    assert "Input 2 is not used." in cl.explain(cl.relu(H) @ cl.discard(H))
    assert "It gives nothing." in cl.explain(cl.discard(H)) and "It takes nothing." in cl.explain(cl.full(H, 1.0))


@pytest.mark.parametrize("term", [cl.seq(*[cl.linear(H, H) >> cl.relu for _ in range(1000)]),
                                  cl.seq(*[(cl.linear(H, H) >> cl.relu).named(f"l{i}") for i in range(1000)]),
                                  cl.repeat(1000, cl.linear(H, H) >> cl.relu)], ids=["flat", "scoped", "repeated"])  # fmt: skip
def test_2000_boxes_are_told_on_few_pages(term):
    text = cl.explain(term)
    assert len(text.splitlines()) < 140 and len(text) < 20_000
    assert f"{1000 * 17 * 16:,} numbers in 2,000 parameters" in text


def test_what_is_cut_is_counted():
    text = cl.explain(cl.seq(*[cl.relu(H) for _ in range(500)]), lines=40)
    (skipped,) = re.findall(r"then (\d+) more steps of the same kind: (\d+) relu", text)
    told = len(re.findall(r"^\d+\. relu", text, re.M))
    assert int(skipped[0]) == int(skipped[1]) and int(skipped[0]) + told == 500


def test_a_backward_pass_can_be_told():
    text = cl.explain(cl.reverse(net()))
    assert "the cotangent of weight of linear, in the backward pass" in text and "Shared: head.linear.weight" not in text


def test_a_box_without_a_bias_is_not_told_with_one():
    x = cl.R(3)
    assert "W x + b on" in cl.explain(cl.linear(x, x)) and "W x on" in cl.explain(cl.linear(x, x, bias=False))
