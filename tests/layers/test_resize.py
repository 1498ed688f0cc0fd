"""What would break if a resized network were another one: against networks built at the new size, and every refusal."""

import pytest
import torch

import catlearn as cl
from catlearn import errors
from catlearn.boxes.equivariant import basis
from catlearn.core.op import Param
from catlearn.core.term import Box
from catlearn.layers.equivariant import equivariant
from catlearn.layers.gates import norm_gate
from catlearn.layers.resize import resize
from tests.layers.moves import F64, assert_equivariant

S, A, O, SO, Sp = cl.S, cl.A, cl.O, cl.SO, cl.Sp


def graph_network(G):
    h = G.space(2, 4)
    return (equivariant(G.space(2, 2), h, name="first") >> cl.relu >> equivariant(h, cl.R(3), name="last") >> cl.linear(cl.R(3), cl.R(1))
            )  # fmt: skip


def vector_network(G):
    h = G.space(2, 4)
    return equivariant(G.space(2, 2), h) >> norm_gate(h) >> equivariant(h, cl.R(1))


def attending(G):
    x = cl.space(G, 4)
    return (cl.copy(x, 3) >> cl.par(*(cl.linear(x, x) >> cl.reshape((G.n, 2, 2)) >> cl.transpose((1, 0, 2)) for _ in "qkv"))
            >> cl.attention >> cl.transpose((1, 0, 2)) >> cl.reshape((G.n, -1)))  # fmt: skip


CASES = [
    (graph_network, S(5), S(9)),
    (graph_network, S(9), S(4)),
    (vector_network, O(2), O(5)),
    (attending, S(4), S(7)),
    (attending, S(2), S(3)),
]


@pytest.mark.parametrize(("build", "old", "new"), CASES)
def test_the_resized_network_is_the_one_built_there(build, old, new):
    term = resize(build(old), old, new)
    assert term == build(new)
    params = {name: p.detach() for name, p in cl.compile(build(old), dtype=F64).named_parameters()}
    x = torch.randn(2, *map(int, term.dom[0].shape), dtype=F64)
    torch.testing.assert_close(cl.compile(term, params, dtype=F64)(x), cl.compile(build(new), params, dtype=F64)(x))
    assert_equivariant(term)


@pytest.mark.parametrize(("build", "old", "new"), CASES)
def test_there_and_back(build, old, new):
    assert resize(resize(build(old), old, new), new, old) == build(old)
    assert resize(build(old), old, old) == build(old)
    assert {k: p.space for k, p in resize(build(old), old, new).params.items()} == {k: p.space for k, p in build(old).params.items()}


def test_functor():
    G, H = S(5), S(8)
    f, g = equivariant(G.space(2, 2), G.space(1, 2)), cl.relu(G.space(1, 2))
    assert resize(f >> g, G, H) == resize(f, G, H) >> resize(g, G, H)
    assert resize(f @ g, G, H) == resize(f, G, H) @ resize(g, G, H)
    assert resize(cl.id(G.space(1)), G, H) == cl.id(H.space(1))
    assert resize(cl.repeat(2, g).named("body"), G, H) == cl.repeat(2, cl.relu(H.space(1, 2))).named("body")


def test_symbols():
    n = S(cl.dim("n", min=4))
    assert resize(graph_network(n), n, S(7)) == graph_network(S(7))
    assert resize(graph_network(S(7)), S(7), n) == graph_network(n)
    with pytest.raises(errors.BadSymmetry, match="cannot go"):
        resize(graph_network(S(7)), S(7), S(cl.dim("n")))


def test_only_the_one_group_moves():
    users, items = S(5, "users"), S(5, "items")
    x = cl.space(users, items, 5)
    term = resize(equivariant(x, x) >> cl.relu, users, S(8, "users"))
    assert term.dom == cl.space(S(8, "users"), items, 5)


def test_plain_sizes_stay():
    """Four channels and four points: only the points change, in a reshape too."""
    G = S(4)
    term = resize(cl.reshape((4, 4, 1))(cl.space(G, 4)) >> cl.broadcast((4, 4, 4)), G, S(6))
    assert term.cod == cl.space(S(6), 4, 4)


def test_tensors_are_kept():
    G = S(4)
    box = equivariant(G.space(1, 1), G.space(1, 1))
    weight = torch.tensor([[[2.0]], [[3.0]]])
    held = Box(box.op, box.dom, None, {"weight": Param(box.params["equivariant.weight"].space, weight)})
    assert torch.equal(resize(held, G, S(6)).params["equivariant.weight"].init, weight)
    assert torch.equal(cl.compile(resize(held, G, S(6))).equivariant.weight.detach(), weight)


def test_drawn_weights_start_with_the_variance_of_the_new_size():
    G, H = S(4), S(40)

    def build(G):
        return equivariant(G.space(1, 8) @ G.space(2, 8), G.space(1, 8), name="f")

    def variance(term, n):
        """Of the output, by the definition of the diagrams: a block of two points has n ones, two single points n² and so on."""
        total = 0.0
        for name, order in (("f.0_0.weight", 1), ("f.1_0.weight", 2)):
            blocks = [len(e.deltas) for e in basis(S(n).space(order)[0], S(n).space(1)[0]).elements]
            numbers = term.params[name].init.numbers
            total += sum(8 * number**2 * n**count / n for number, count in zip(numbers, blocks, strict=True))
        return total

    moved = resize(build(G), G, H)
    assert variance(build(G), 4) == pytest.approx(1) and variance(moved, 40) == pytest.approx(1)
    assert variance(build(G), 40) > 2  # the numbers of the old size would not do
    one = equivariant(G.space(2, 8), G.space(1, 8))
    assert resize(one, G, H).params["equivariant.weight"].init.numbers == pytest.approx(
        equivariant(H.space(2, 8), H.space(1, 8)).params["equivariant.weight"].init.numbers
    )


def test_frozen_parameters_stay_frozen():
    term = graph_network(S(5)).at("first").freeze()
    assert [p.trainable for p in resize(term, S(5), S(6)).params.values()] == [p.trainable for p in term.params.values()]
    assert not resize(term, S(5), S(6)).params["first.weight"].trainable


def test_index_wires_follow():
    G = S(4)
    term = resize(cl.gather(cl.space(G, 2) @ cl.index(G, 6)), G, S(9))
    assert term.dom == cl.space(S(9), 2) @ cl.index(S(9), 6)


# -- what is refused ---------------------------------------------------------------------------------------------------


def square(G):
    return equivariant(G.space(2, 2), G.space(2, 2), name="middle")


REFUSED = {
    "middle cannot go from S.5. to S.3.": lambda: resize(cl.relu(S(5).space(2, 2)) >> square(S(5)), S(5), S(3)),
    "middle cannot go from S.3. to S.5.": lambda: resize(square(S(3)), S(3), S(5)),
    "middle cannot go from O.3. to O.1.": lambda: resize(square(O(3)), O(3), O(1)),
    "middle cannot go from Sp.6. to Sp.2.": lambda: resize(square(Sp(6)), Sp(6), Sp(2)),
    "its diagrams change with n": lambda: resize(square(SO(9)), SO(9), SO(10)),
    "middle cannot go from A.9. to A.10.": lambda: resize(square(A(9)), A(9), A(10)),
    "does not act on this term": lambda: resize(square(S(5)), S(6), S(7)),
    "one of the same kind": lambda: resize(square(S(5)), S(5), A(6)),
    "of the same kind": lambda: resize(square(S(5)), 5, 6),
    "already, as another group": lambda: resize(square(S(5)) @ square(S(6)), S(5), S(6)),
    "parameter weight lies on an axis": lambda: resize(cl.linear(cl.space(S(5)), cl.space(3)), S(5), S(6)),
    "constant cannot go": lambda: resize(cl.constant([1.0, 2.0], cl.space(S(2))), S(2), S(3)),
    "flatten cannot go|reshape cannot go": lambda: resize(cl.reshape((25, 2))(S(5).space(2, 2)), S(5), S(6)),
}


@pytest.mark.parametrize("text", REFUSED)
def test_refused_with_the_box_and_the_reason(text):
    with pytest.raises(errors.BadSymmetry, match=text):
        REFUSED[text]()


def test_the_refusals_are_true():
    """At n = 3 the diagrams of 2 → 2 are dependent (14 of 15), so no weights there can be those of n = 5, one for one."""
    three, five = square(S(3)).params["middle.weight"], square(S(5)).params["middle.weight"]
    assert three.wire.shape == (14, 2, 2) and five.wire.shape == (15, 2, 2)
