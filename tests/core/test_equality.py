"""``same`` against an independent oracle, on random terms, their rewritings by laws, and their mutants."""

from __future__ import annotations

from random import Random

import pytest
import torch

import catlearn as cl
from catlearn import errors
from tests.core.oracle import equal
from tests.core.random_terms import A, Counter, Draw, Noise, Pure, Weighted, mutate, rewrite

CHUNKS = 10


def pairs(seed: int, related: bool, count: int):
    """Pairs of random terms that the oracle can judge: rewritten by laws (``related``) or drawn and mutated."""
    rng, found = Random(seed), 0
    while found < count:
        draw = Draw(rng.randrange(10**9))
        f = g = draw.term(rng.randint(1, 6))
        try:
            for _ in range(rng.randint(1, 5) if related else rng.randint(0, 1)):
                g = rewrite(rng, g)
            if not related and rng.random() < 0.8:
                g = mutate(rng, g)
            elif not related:
                g = Draw(rng.randrange(10**9)).term(rng.randint(1, 4), f.dom)
            _ = f.graph, g.graph
        except errors.CatlearnError:
            continue
        truth = equal(f, g)
        if truth is not None:
            found += 1
            yield f, g, truth


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_rewriting_by_laws_is_seen_as_the_same(chunk):
    for f, g, truth in pairs(1000 + chunk, True, 50):
        answer = cl.same(f, g)
        assert truth and answer, answer
        assert answer.difference is None
        assert len(set(answer.renaming.values())) == len(answer.renaming)
        assert set(answer.renaming) <= f.graph.open and set(answer.renaming.values()) <= g.graph.open


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_same_agrees_with_random_functions_on_random_pairs(chunk):
    told_apart = 0
    for f, g, truth in pairs(2000 + chunk, False, 50):
        answer = cl.same(f, g)
        assert bool(answer) == truth == bool(cl.same(g, f)), answer
        told_apart += not truth
        if not truth:
            assert "f has" in answer.difference and "g has" in answer.difference
    assert told_apart >= 20  # otherwise the pairs would test little


def edited(rng: Random, draw: Draw) -> cl.Term:
    """A random term with cells on cells, scopes and repeats around them."""
    f = draw.term(rng.randint(1, 5))
    for _ in range(rng.randint(1, 3)):
        f = draw.edit(f)
        f = f.named("s") if rng.random() < 0.3 else f
        f = cl.repeat(rng.randint(0, 2), f, shared=rng.random() < 0.5) if f.dom == f.cod and rng.random() < 0.3 else f
    return f


def test_same_agrees_with_random_functions_under_edits_of_edits():
    rng, found = Random(4), {True: 0, False: 0}
    while sum(found.values()) < 200:
        f = g = edited(rng, Draw(rng.randrange(10**9)))
        try:
            for _ in range(rng.randint(1, 4)):
                g = rewrite(rng, g)
            g = mutate(rng, g) if rng.random() < 0.5 else g
            _ = f.graph, g.graph
        except errors.CatlearnError:
            continue
        truth = equal(f, g)
        if truth is not None:
            found[truth] += 1
            assert bool(cl.same(f, g)) == truth == bool(cl.same(g, f))
    assert min(found.values()) >= 30


def test_mutants_of_equal_pairs_are_told_apart():
    rng, told = Random(3), 0
    for f, g, _ in pairs(3000, True, 200):
        try:
            mutant = mutate(rng, g)
            _ = mutant.graph
        except errors.CatlearnError:
            continue
        truth = equal(f, mutant)
        if truth is False:
            told += 1
            assert not cl.same(f, mutant)
    assert told >= 60


# -- cases that the design names --------------------------------------------------------------------------------------------

f, p, n, s = (cl.Box(kind("f", A), A) for kind in (Pure, Weighted, Noise, Counter))


def test_copying_is_natural_for_pure_boxes_without_parameters_only():
    for box, natural in ((f, True), (p, False), (n, False), (s, False)):
        assert bool(cl.same(box >> cl.copy(A), cl.copy(A) >> box @ box)) is natural
        assert bool(cl.same(cl.copy(A) >> box @ box, box >> cl.copy(A))) is natural


def test_one_parameter_used_twice_beside_a_dead_one_is_not_two_used_once():
    """The interfaces agree here, so only the pattern of use tells them apart."""
    once, twice = cl.copy(A) >> p @ p, cl.copy(A) >> (p >> cl.copy(A)) @ (p >> cl.discard(A))
    assert not cl.same(once, twice) and not cl.same(twice, once)
    assert cl.same(twice, cl.copy(A) >> (p >> cl.discard(A)) @ (p >> cl.copy(A)))


def test_copying_a_box_is_natural_once_its_parameters_are_tied():
    twice = cl.copy(A) >> p @ p
    assert not cl.same(twice, p >> cl.copy(A))
    tied = twice.at("*").tie()
    name = next(iter(tied.params))
    assert cl.same(tied, p.at("*").rename(name) >> cl.copy(A))


def test_discarding_drops_pure_and_random_boxes_but_neither_parameters_nor_states():
    nothing = cl.discard(A)
    assert cl.same(f >> nothing, nothing)
    assert cl.same(n >> nothing, nothing)
    assert not cl.same(p >> nothing, nothing)
    assert not cl.same(s >> nothing, nothing)
    other = cl.Box(Weighted("g", A), A)
    assert cl.same(p >> nothing, other >> nothing)  # dead boxes vanish, their parameters correspond by space
    assert not cl.same(s >> nothing, cl.Box(Counter("g", A), A) >> nothing)  # the new state is still seen


def test_dead_states_correspond_however_they_are_ordered():
    g = cl.Box(Counter("g", A), A)
    left = s @ g >> cl.discard(A @ A)
    right = cl.swap(A, A) >> g @ s >> cl.discard(A @ A)
    answer = cl.same(left, right)
    assert answer and dict(answer.renaming) == {"test_counter.count": "test_counter_1.count", "test_counter_1.count": "test_counter.count"}
    assert not cl.same(left, g @ s >> cl.discard(A @ A))  # the inputs are crossed


def test_two_random_boxes_are_independent_and_one_run_twice_by_name_is_not_itself():
    assert not cl.same(n >> cl.copy(A), cl.copy(A) >> n @ n)
    assert not cl.same(cl.repeat(2, n, shared=True), n)
    assert cl.same(cl.repeat(2, n, shared=True), n >> n)


def test_repeat_is_compared_written_out():
    assert cl.same(cl.repeat(2, p), p >> p)
    assert not cl.same(cl.repeat(2, p, shared=True), p >> p)
    assert cl.same(cl.repeat(0, p), cl.id(A))
    closed = cl.Box(Weighted("f", A), A, "l")
    assert cl.same(cl.repeat(2, closed), closed.named("0") >> closed.named("1"))
    assert not cl.same(cl.repeat(2, closed), closed.named("0") >> closed.named("2"))
    assert cl.same(cl.repeat(2, s, shared=True), cl.repeat(2, s, shared=True)) and not cl.same(cl.repeat(2, s, shared=True), s >> s)


def test_closed_names_and_scopes_are_strict_and_open_ones_are_not():
    a, b = (cl.Box(Weighted("f", A), A, name) for name in "ab")
    assert not cl.same(a, b) and not cl.same(a, p)
    assert cl.same(p.named("s"), p.named("s")) and not cl.same(p.named("s"), p.named("t")) and not cl.same(p.named("s"), p)
    assert cl.same(f.named("s"), f)  # a scope without parameters leaves no trace
    assert not cl.same(p, p.at("*").freeze())


def test_initial_values_do_not_count():
    x = cl.R(2)
    weights = {"weight": cl.Param(cl.parameter(cl.R(2, 2)), torch.ones(2, 2))}
    net = cl.linear(x, x, bias=False)
    assert cl.same(net, cl.Box(net.op, net.dom, None, weights))


def test_the_renaming_carries_parameters_over():
    x, y = cl.R(3), cl.R(2)
    f, g = cl.linear(x, y) >> cl.relu, cl.linear(y, y)
    left = f @ g
    right = cl.swap(x, y) >> g @ f >> cl.swap(y, y)
    renaming = cl.same(left, right).renaming
    model = cl.compile(left)
    other = cl.compile(right, {renaming[name]: value for name, value in model.state_dict().items()})
    inputs = torch.randn(5, 3), torch.randn(5, 2)
    for one, two in zip(model(*inputs), other(*inputs), strict=True):
        assert torch.equal(one, two)


def test_the_difference_is_the_first_one_in_writing_order_with_both_sides():
    x = cl.R(3)
    one = cl.linear(x, x) >> cl.relu >> cl.linear(x, x) >> cl.exp
    two = cl.linear(x, x) >> cl.gelu >> cl.linear(x, x) >> cl.tanh
    words = cl.same(one, two).difference
    assert "'relu' = relu" in words and "'gelu'" in words and "argument 0 of box 'linear_1'" in words
    assert words.count("test_equality.py:") == 3
    assert "exp" not in words
    words = cl.same(cl.linear(x, x), cl.linear(x, cl.R(2))).difference
    assert "R(3)" in words and "R(2)" in words
    words = cl.same(cl.linear(x, x), cl.linear(x, x).at("*.bias").freeze()).difference
    assert "'linear.weight'" in words and "open name" in words and "closed name" in words
    words = cl.same(net := cl.linear(x, x, name="l"), net.at("l.bias").freeze()).difference
    assert "'l.bias'" in words and words.count("frozen") == 1


def test_addition_commutes_only_when_asked():
    x = cl.R(3)
    f, g = cl.linear(x, x) >> cl.relu, cl.linear(x, x) >> cl.tanh
    one, two = cl.copy(x) >> f @ g >> cl.add(x), cl.copy(x) >> g @ f >> cl.add(x)
    assert not cl.same(one, two)
    answer = cl.same(one, two, theory="commutative")
    assert answer and answer.renaming["linear.weight"] == "linear_1.weight"
    assert not cl.same(one, cl.copy(x) >> g @ g >> cl.add(x), theory="commutative")
    assert not cl.same(cl.sub(x), cl.swap(x, x) >> cl.sub(x), theory="commutative")


def test_commutative_ties_are_searched():
    """Sums over the edges of two hexagons are the sums over the edges of two triangles' doubles only if the graphs are isomorphic."""
    x = cl.R(1)
    point = cl.bias(x)

    def sums(edges, order):
        """The sums over the edges of a graph whose nodes are open parameters, joined by an ordered box at every edge."""
        term = cl.copy(x, 6) >> cl.par(*[point] * 6)
        term = term >> cl.Wiring(term.cod, tuple(order[i] for edge in edges for i in edge))
        pairs = cl.par(*[cl.add(x)] * len(edges))
        total = term >> pairs
        while len(total.cod) > 1:
            total = total >> cl.add(x) @ cl.id(cl.Space(total.cod.wires[2:]))
        return total

    hexagon = [(i, (i + 1) % 6) for i in range(6)]
    triangles = [(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3)]
    assert cl.same(sums(hexagon, range(6)), sums(hexagon, [1, 2, 3, 4, 5, 0]), theory="commutative")
    assert cl.same(sums(triangles, range(6)), sums(triangles, [3, 4, 5, 0, 1, 2]), theory="commutative")
    assert not cl.same(sums(hexagon, range(6)), sums(triangles, range(6)), theory="commutative")


def test_same_is_reflexive_also_where_an_attribute_is_not_a_number():
    x = cl.full(cl.R(2), float("nan"))
    assert cl.same(x, x)


@pytest.mark.parametrize("boxes", [10_000, pytest.param(50_000, marks=pytest.mark.slow)])
def test_deep_terms_are_compared_without_recursion(boxes):
    x = cl.R(1)
    deep = cl.seq(*[cl.bias(x) >> cl.relu] * (boxes // 2))
    assert cl.same(deep, cl.seq(*[cl.bias(x) >> (cl.id(x) >> cl.relu)] * (boxes // 2)))
    assert not cl.same(deep, deep >> cl.relu)


def test_by_use_names_and_scopes_do_not_count_and_the_renaming_is_told():
    def net(scope, a, b):
        return (cl.linear(cl.R(2), cl.R(2), name=a) >> cl.tanh(cl.R(2))).named(scope) >> cl.linear(cl.R(2), cl.R(2), name=b)

    f, g = net("mine", "a", "b"), net("yours", "b", "a")
    answer = cl.same(f, g, names="by use")
    assert not cl.same(f, g) and answer
    assert dict(answer.renaming) == {"mine.a.weight": "yours.b.weight", "mine.a.bias": "yours.b.bias",
                                     "b.weight": "a.weight", "b.bias": "a.bias"}  # fmt: skip
    assert "mine.a.weight as yours.b.weight" in str(answer)
    assert not cl.same(f, g.at("*weight").tie(), names="by use")  # two parameters are not one
    assert not cl.same(f, net("yours", "b", "a") >> cl.relu(cl.R(2)), names="by use")
    assert not cl.same(f, g.at("yours.*").freeze(), names="by use")  # whether a parameter learns is part of it


def test_another_way_to_compare_names_is_refused():
    with pytest.raises(errors.BadInput, match="by use"):
        cl.same(cl.relu(cl.R(2)), cl.relu(cl.R(2)), names="by name")  # type: ignore[arg-type]
