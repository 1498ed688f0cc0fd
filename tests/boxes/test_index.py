"""What would break if lookups and scattered sums were wrong, or were not each other's transpose."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import catlearn as cl
from catlearn import errors
from tests.aten import training_ops
from tests.boxes.agree import BATCHES, agree, check_forward, sample
from tests.boxes.test_conv import in_one_graph


def gathered(axis, order):
    """Entries of x along an event axis, by indexing with the number of the event beside the position."""

    def run(x, index):
        batch, event = x.shape[: x.dim() - order], x.shape[x.dim() - order :]
        count, places = math.prod(batch), index.shape[len(batch) :]
        first = x.reshape(count, *event).movedim(axis % order + 1, 1)
        flat = index.reshape(count, math.prod(places))
        y = first[torch.arange(count)[:, None], flat].movedim(1, axis % order + 1)
        return y.reshape(*batch, *event[: axis % order], *places, *event[axis % order + 1 :])

    return run


@pytest.mark.parametrize("space, axis", [
    (cl.R(4, 3) @ cl.index(4, 5), 0),
    (cl.R(4) @ cl.index(4, 5), 0),
    (cl.R(2, 4, 3) @ cl.index(4, 5), 1),
    (cl.R(2, 4) @ cl.index(4, 5), -1),
    (cl.R(4, 3) @ cl.index(4, 2, 3), 0),
])  # fmt: skip
def test_gather_agrees_with_taking_entries_one_by_one(space, axis):
    agree(cl.gather(space, axis), gathered(axis, len(space[0].axes)), aten=False, bits=False)


def test_gather_of_one_position_drops_the_axis():
    box = cl.gather(cl.R(4, 3) @ cl.index(4))
    assert box.cod == cl.R(3)
    x = torch.arange(24.0).reshape(2, 4, 3)
    assert torch.equal(box(x, torch.tensor([1, 3])), torch.stack([x[0, 1], x[1, 3]]))


@pytest.mark.parametrize("space, axis", [
    (cl.R(5, 3) @ cl.index(4, 5), 0),
    (cl.R(5) @ cl.index(4, 5), 0),
    (cl.R(2, 5, 3) @ cl.index(4, 5), 1),
    (cl.R(2, 5) @ cl.index(4, 5), -1),
    (cl.R(2, 3, 2) @ cl.index(4, 2, 3), 0),
    (cl.R(3) @ cl.index(4), 0),
])  # fmt: skip
def test_scatter_add_agrees_with_a_one_hot_matrix(space, axis):
    order, places = len(space[0].axes), len(space[1].axes)
    first = axis % order

    def reference(x, index):
        hot = F.one_hot(index, 4).to(x.dtype)
        letters, out = "abcdef"[:order], "abcdef"[:order]
        inner = letters[first : first + places]
        out = letters[:first] + "z" + letters[first + places :]
        return torch.einsum(f"...{letters},...{inner}z->...{out}", x, hot)

    agree(cl.scatter_add(space, axis), reference, aten=False, bits=False)


def test_gather_and_scatter_are_transposes():
    nodes, edges, ends = cl.R(6, 2), cl.R(9, 2), cl.index(6, 9)
    g = torch.Generator().manual_seed(1)
    for batch in BATCHES[:3]:
        x, i = sample(nodes @ ends, batch, g)
        (y,) = sample(edges, batch, g)
        left = (cl.gather(nodes @ ends)(x, i) * y).sum()
        assert abs(left - (x * cl.scatter_add(edges @ ends)(y, i)).sum()) < 1e-10
        wrong = (i + 1) % 6
        assert abs(left - (x * cl.scatter_add(edges @ ends)(y, wrong)).sum()) > 1e-10


@pytest.mark.parametrize("batch", BATCHES)
def test_fixed_positions_and_parameters_as_values(batch):
    """Wires without batch axes beside wires with them: constants, and parameters."""
    x, ends = torch.randn(*batch, 4, 3), torch.tensor([3, 0, 0])
    fixed = cl.id(cl.R(4, 3)) @ cl.constant(ends, cl.index(4, 3)) >> cl.gather
    assert torch.equal(cl.compile(fixed)(x), x.index_select(-2, ends))
    back = cl.reverse(fixed)(x, torch.ones(*batch, 3, 3))
    assert torch.equal(back, torch.tensor([2.0, 0, 0, 1])[:, None].expand(*batch, 4, 3))
    scattered = cl.id(cl.R(3, 2)) @ cl.constant(ends, cl.index(4, 3)) >> cl.scatter_add
    y = torch.randn(*batch, 3, 2)
    assert torch.allclose(scattered(y), torch.einsum("ez,...ec->...zc", F.one_hot(ends, 4).float(), y))
    index = torch.randint(4, (*batch, 5))
    looked = cl.gather(cl.parameter(cl.R(4, 3)) @ cl.index(4, 5))
    w = torch.randn(4, 3)
    assert torch.equal(cl.compile(looked)(w, index), F.embedding(index, w))
    back = cl.reverse(looked)(w, index, torch.ones(*batch, 5, 3))
    assert torch.allclose(back, F.one_hot(index, 4).float().reshape(-1, 4).sum(0)[:, None].expand(4, 3))


@pytest.mark.parametrize("space", [cl.index(10, 7), cl.index(10), cl.index(10, 2, 3)])
def test_embedding_agrees_with_torch(space):
    agree(cl.embedding(space, 4), lambda x, weight: F.embedding(x, weight))


def test_embedding_starts_and_runs_as_torchs():
    f = cl.embedding(cl.index(50, 7), 16) >> cl.linear(cl.R(7, 16), cl.R(7, 3))

    class Hand(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.linear = nn.Embedding(50, 16), nn.Linear(16, 3)

        def forward(self, x):
            return self.linear(self.embedding(x))

    model, hand, x = cl.compile(f), Hand(), torch.randint(50, (3, 7))
    assert abs(model.embedding.weight.std() - 1) < 0.1 and abs(model.embedding.weight.mean()) < 0.1
    hand.load_state_dict(model.state_dict())
    assert torch.equal(model(x), hand(x))
    assert training_ops(model, x) == training_ops(hand, x)
    assert torch.allclose(in_one_graph(model, x), model(x))


def test_one_hot():
    agree(cl.one_hot(cl.index(4, 2)), lambda x: F.one_hot(x, 4).to(torch.get_default_dtype()), batches=(), aten=False)
    assert cl.one_hot(cl.index(4))(torch.tensor([2, 0])).tolist() == [[0, 0, 1, 0], [1, 0, 0, 0]]


def test_another_axis_is_told_apart():
    with pytest.raises(AssertionError):
        check_forward(cl.gather(cl.R(4, 4) @ cl.index(4, 4), 1), gathered(0, 2))


def test_axes_keep_their_group():
    g = cl.S(5)
    assert cl.scatter_add(cl.R(7, 2) @ cl.index(g, 7)).cod == cl.space(g, 2)
    assert cl.gather(cl.space(g, 2) @ cl.index(g, 7)).cod == cl.R(7, 2)


def test_symbolic_sizes():
    n, e = cl.dim("n"), cl.dim("e")
    f = cl.copy(cl.R(n, 2)) @ cl.copy(cl.index(n, e)) >> cl.Wiring(cl.R(n, 2) @ cl.R(n, 2) @ cl.index(n, e) @ cl.index(n, e), (0, 2, 3))
    f = f >> cl.gather(cl.R(n, 2) @ cl.index(n, e)) @ cl.id(cl.index(n, e)) >> cl.scatter_add
    assert f.cod == cl.R(n, 2)
    x, i = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), torch.tensor([0, 0, 2])
    assert cl.compile(f)(x, i).tolist() == [[2.0, 4.0], [0.0, 0.0], [5.0, 6.0]]


@pytest.mark.parametrize("make, text", [
    (lambda: cl.embedding(cl.R(7), 4), "an index wire"),
    (lambda: cl.embedding(cl.index(None, 7), 4), "with a bound"),
    (lambda: cl.embedding(cl.index(5, 7), 4, count=6), "positions below 6"),
    (lambda: cl.gather(cl.R(4, 3) @ cl.index(5, 7)), "on an axis of length 4"),
    (lambda: cl.gather(cl.R(4, 3) @ cl.R(5)), "a float wire and an index wire"),
    (lambda: cl.gather(cl.R(4, 3) @ cl.index(4, 5), 2), "distinct axes"),
    (lambda: cl.scatter_add(cl.R(4, 3) @ cl.index(9, 5)), "those of the positions"),
    (lambda: cl.scatter_add(cl.R(5, 3) @ cl.index(None, 5)), "with a bound"),
])  # fmt: skip
def test_bad_index_boxes_are_refused_by_name(make, text):
    with pytest.raises(errors.BadBox, match=text):
        make()


def test_a_float_tensor_on_an_index_wire_is_named():
    with pytest.raises(errors.BadInput, match="int64"):
        cl.compile(cl.embedding(cl.index(5, 7), 4))(torch.zeros(7))


@pytest.mark.parametrize("value, space, text", [
    ([0, 5], cl.index(5, 2), "entries of"),
    ([0.5, 1], cl.index(5, 2), "entries of"),
    ([1, 2, 3], cl.R(2), "one wire of this shape"),
    ([[1, 2], [3]], None, "rows of one length"),
])  # fmt: skip
def test_bad_constants_are_refused_by_name(value, space, text):
    with pytest.raises(errors.BadBox, match=text):
        cl.constant(value, space)


def test_constants_of_each_kind():
    assert cl.constant([[1.5, 2], [3, 4]])().tolist() == [[1.5, 2], [3, 4]]
    assert cl.constant(torch.tensor([True, False])).cod == cl.boolean(2)
    assert cl.constant(3.5).cod == cl.R()
    assert cl.constant(torch.zeros(0, 2)).cod == cl.R(0, 2)
    model = cl.compile(cl.id(cl.R(2)) @ cl.constant([1, 2], cl.index(None, 2)) @ cl.constant([1.0, 2.0]) @ cl.constant([3.0, 4.0]))
    outs = model(torch.zeros(3, 2))
    assert [o.tolist()[2] for o in outs] == [[0, 0], [1, 2], [1, 2], [3, 4]]
    assert [o.dtype for o in outs] == [torch.float32, torch.int64, torch.float32, torch.float32]
    doubled = cl.compile(cl.id(cl.R(2)) @ cl.constant([1.0, 2.0]) >> cl.mul).double()
    assert doubled(torch.ones(2, dtype=torch.float64)).dtype == torch.float64
    assert cl.constant([1.0]) == cl.constant([1.0]) != cl.constant([2.0])


def test_exact_meanings_of_lookups_and_constants():
    from fractions import Fraction

    from catlearn.meanings.exact import evaluate

    x, ends = cl.R(3, 2), cl.index(3, 2)
    layer = cl.id(x) @ cl.constant([2, 0], ends) >> cl.gather >> cl.scale(Fraction(1, 3))
    assert evaluate(layer, "rationals", [[[1, 2], [3, 4], [5, 6]]]).array.tolist() == [
        [Fraction(5, 3), 2],
        [Fraction(1, 3), Fraction(2, 3)],
    ]
    scattered = cl.id(cl.R(2)) @ cl.constant([2, 2], ends) >> cl.scatter_add
    assert evaluate(scattered, "rationals", [["1/3", "1/6"]]).array.tolist() == [0, 0, Fraction(1, 2)]
    looked = cl.embedding(ends, 1)
    assert evaluate(looked, "rationals", [[1, 2]], {"embedding.weight": [[7], [8], ["1/2"]]}).array.tolist() == [[8], [Fraction(1, 2)]]
    assert evaluate(cl.constant([[0.1, 2]]), "rationals").array.tolist() == [[Fraction(0.1), 2]]  # a tensor is read bit for bit
