"""What would break if the layer were not all of Hom: its law, its dimension by an independent null space, and its several wires."""

import math

import numpy as np
import pytest
import torch

import catlearn as cl
from catlearn import errors
from catlearn.boxes.equivariant import Equivariant
from catlearn.layers.equivariant import combination, equivariant
from catlearn.layers.gates import norm_gate
from tests.layers.moves import F64, Move, assert_equivariant, moves, randomised

S, A, O, SO, Sp = cl.S, cl.A, cl.O, cl.SO, cl.Sp


def pairs():
    points = cl.space(S(4), O(3), 2)
    return {
        "S": (S(5).space(2, 2), S(5).space(1, 3)),
        "A": (A(3).space(1, 2), A(3).space(2, 2)),
        "O": (O(3).space(2, 2), O(3).space(2, 1)),
        "SO": (SO(3).space(2, 2), SO(3).space(1, 2)),
        "Sp": (Sp(4).space(2, 2), Sp(4).space(2, 2)),
        "products": (points, points),
        "three groups": (cl.space(S(3), Sp(2), O(2), 2), cl.space(O(2), S(3), S(3), Sp(2))),
        "several wires": (S(3, "b").space(1, 2) @ points, cl.R(4) @ points @ cl.space(S(4), S(3, "b"), 1)),
        "scalars, vectors, matrices": (O(3).space(0, 2) @ O(3).space(1, 2) @ O(3).space(2, 2),) * 2,
    }


@pytest.mark.parametrize("name", pairs())
@pytest.mark.parametrize("normalise", ["sum", "mean"])
def test_commutes(name, normalise):
    dom, cod = pairs()[name]
    assert_equivariant(equivariant(dom, cod, normalise=normalise))


def test_shared_first_axes_commute_and_are_alike():
    dom, cod = cl.space(S(4), S(4), 2), cl.space(S(4), S(4), S(4), 3)
    term = equivariant(dom, cod, lead=1)
    assert_equivariant(term)
    inner, model = equivariant(S(4).space(1, 2), S(4).space(2, 3)), randomised(term)
    alone, x = cl.compile(inner, dict(model.named_parameters()), dtype=F64), torch.randn(2, 4, 4, 2, dtype=F64)
    torch.testing.assert_close(model(x), alone(x))  # to the inner layer the shared axis is one more batch axis
    assert term.params["equivariant.weight"].wire.shape == (5, 3, 2)


def test_mutants_move():
    """One weight of one position, one coordinate, a transposed output: each is seen."""
    dom, cod = pairs()["products"]
    model, x = randomised(equivariant(dom, cod)), torch.randn(2, 4, 3, 2, dtype=F64)
    for axis in (1, 2):
        shape = [1, 1, 1, 1]
        shape[axis] = x.shape[axis]
        weights = torch.linspace(0.5, 2, x.shape[axis], dtype=F64).reshape(shape)
        assert moves(lambda x, weights=weights: model(x) * weights, dom, cod, [x])
    square = S(4).space(2, 2)
    lines, y = randomised(equivariant(square, square)), torch.randn(2, 4, 4, 2, dtype=F64)
    assert moves(lambda y: lines(y)[:, [1, 0, 2, 3]], square, square, [y])


# -- all of Hom, and nothing twice ------------------------------------------------------------------------------------

HOMS = [
    (S(4).space(2), S(4).space(1)),
    (S(2).space(2), S(2).space(2)),
    (A(3).space(1), A(3).space(2)),
    (O(2).space(2), O(2).space(2)),
    (SO(2).space(1), SO(2).space(3)),
    (SO(3).space(1), SO(3).space(2)),
    (Sp(2).space(2), Sp(2).space(2)),
    (cl.space(S(3), O(2)), cl.space(O(2), S(3))),
    (cl.space(S(2), S(2, "b")), cl.space(S(2, "b"), S(2), S(2))),
]


@pytest.mark.parametrize(("dom", "cod"), HOMS, ids=str)
def test_the_weights_are_all_equivariant_maps_once(dom, cod):
    """The null space of ρ(g) W − W ρ(g) over random g, solved by numpy, has as many dimensions as there are weights; and the maps of the
    weights are independent, so they are all of it."""
    sizes = [math.prod(map(int, space[0].shape)) for space in (dom, cod)]
    rows = []
    for seed in range(3):
        move = Move(seed)
        left, right = (move.wire(space[0], torch.eye(n, dtype=F64).reshape(n, *map(int, space[0].shape))).reshape(n, n).T.numpy()
                       for space, n in ((cod, sizes[1]), (dom, sizes[0])))  # fmt: skip
        rows.append(np.kron(left, np.eye(sizes[0])) - np.kron(np.eye(sizes[1]), right.T))
    found = np.linalg.svd(np.concatenate(rows), compute_uv=False)
    nullity = sizes[0] * sizes[1] - int((found > 1e-8).sum())
    term = equivariant(dom, cod, bias=False)
    count = term.params["equivariant.weight"].wire.shape[0]
    assert count == nullity
    x = torch.eye(sizes[0], dtype=F64).reshape(-1, *map(int, dom[0].shape))
    maps = torch.stack([cl.compile(term, {"equivariant.weight": e.reshape(-1, 1, 1)}, dtype=F64)(x).detach().flatten()
                        for e in torch.eye(count, dtype=F64)])  # fmt: skip
    assert torch.linalg.matrix_rank(maps) == count


def test_weight_space_of_a_perceptron():
    """Two weight layers, three groups of neurons, {W0: (1, 0), b0: (1), W1: (2, 1), b1: (2)}: 32 maps and 4 shifts per pair of channels."""
    a, b, c = S(3, "in"), S(4, "hidden"), S(5, "out")
    x = cl.space(b, a) @ cl.space(b) @ cl.space(c, b) @ cl.space(c)
    params = equivariant(x, x, name="f").params
    shapes = {name: p.wire.shape[0] for name, p in params.items()}
    assert sum(n for name, n in shapes.items() if name.endswith("weight")) == 32
    assert sum(n for name, n in shapes.items() if name.endswith("bias")) == 4
    assert_equivariant(equivariant(x, x))


# -- several wires -----------------------------------------------------------------------------------------------------


def test_several_wires_add_up():
    """Each output is the sum of the single layers that reach it, with the same weights."""
    x, h = O(3).space(0, 2) @ O(3).space(2, 2), O(3).space(0, 3) @ O(3).space(1, 3) @ O(3).space(2, 3)
    with pytest.raises(errors.BadSymmetry, match="only the zero map"):  # no vector comes from scalars and matrices, and none is invariant
        equivariant(x, h)
    h = O(3).space(0, 3) @ O(3).space(2, 3)
    model, xs = randomised(equivariant(x, h, name="f")), [torch.randn(5, 2, dtype=F64), torch.randn(5, 3, 3, 2, dtype=F64)]
    p = dict(model.named_parameters())
    for j, y in enumerate(model(*xs)):
        expected = torch.zeros_like(y)
        for i in range(2):
            one = equivariant(cl.Space((x[i],)), cl.Space((h[j],)), bias=i == 0)
            expected = expected + cl.compile(one, {k: p[f"f.{i}_{j}.{k.partition('.')[2]}"] for k in one.params}, dtype=F64)(xs[i])
        torch.testing.assert_close(y, expected)


def test_an_output_that_nothing_reaches_holds_its_invariants():
    x, h = cl.space(O(3), 2), cl.space(O(3), 2) @ cl.space(O(3), O(3), 4) @ cl.R(3)
    term = equivariant(x, h, name="f")
    assert {k: str(p.space) for k, p in term.params.items()} == {
        "f.0_0.weight": "parameter(R(1, 2, 2))",
        "f.bias_1.weight": "parameter(R(1, 4, 1))",
        "f.bias_2.weight": "parameter(R(1, 3, 1))",
    }
    _, matrices, scalars = cl.compile(term)(torch.randn(7, 3, 2))
    assert not matrices.any() and not scalars.any() and matrices.shape == (7, 3, 3, 4)  # shifts start at 0
    _, matrices, _ = randomised(term)(torch.randn(7, 3, 2, dtype=F64))
    torch.testing.assert_close(matrices[..., 0], matrices[:, 0, 0, 0, None, None] * torch.eye(3, dtype=F64).expand(7, 3, 3))
    with pytest.raises(errors.BadSymmetry, match="only the zero map"):
        equivariant(x, h, bias=False)


@pytest.mark.parametrize("name", ["several wires", "scalars, vectors, matrices"])
def test_variance_starts_at_one(name):
    """Over 30 draws, on every output."""
    dom, cod = pairs()[name]
    dom, cod = (cl.Space(tuple(w.like(*w.shape[:-1], 12) for w in space)) for space in (dom, cod))
    totals = [0.0] * len(cod)
    for seed in range(30):
        xs = [torch.randn(64, *map(int, w.shape), generator=torch.Generator().manual_seed(seed)) for w in dom]
        for j, y in enumerate(cl.compile(equivariant(dom, cod), seed=seed)(*xs)):
            totals[j] += y.square().mean().item() / 30
    assert all(0.75 < total < 1.3 for total in totals), totals


def test_wires_that_feed_each_other_keep_their_size_through_ten_layers():
    """Over 6 networks. Equal shares would give 3e12, equal shares for the wires alone 80."""
    for space in (S(14).space(1, 8) @ S(14).space(2, 8), cl.R(8) @ S(10).space(1, 8), O(3).space(0, 8) @ O(3).space(2, 8)):
        net, totals = cl.seq(*[equivariant(space, space)] * 10), [0.0] * len(space)
        xs = [torch.randn(8, *map(int, wire.shape), generator=torch.Generator().manual_seed(0)) for wire in space]
        for seed in range(6):
            with torch.no_grad():
                totals = [t + y.square().mean().item() / 6 for t, y in zip(totals, cl.compile(net, seed=seed)(*xs), strict=True)]
        assert all(0.2 < total < 8 for total in totals), (space, totals)


def test_names():
    dom, cod = S(3).space(1, 2) @ S(3).space(2, 2), S(3).space(1, 2)
    assert list(equivariant(dom, cod, name="f").params) == ["f.0_0.weight", "f.0_0.bias", "f.1_0.weight"]
    assert list(equivariant(S(3).space(1), S(3).space(1), name="g").params) == ["g.weight", "g.bias"]
    assert next(iter(equivariant(dom, cod).params)) == "equivariant.weight"


def test_a_network_refuses_what_is_not_equivariant():
    h = cl.space(S(4), O(3), 2)
    layer = equivariant(h, h)
    assert (layer >> norm_gate(h)).cod == h
    for schema in (cl.relu, cl.layer_norm, cl.softmax):
        with pytest.raises(errors.BadSymmetry, match="norm_gate for O and SO"):
            layer >> schema
    assert (equivariant(S(4).space(2, 2), S(4).space(1, 2)) >> cl.relu).cod == S(4).space(1, 2)


def test_orders_that_do_not_meet():
    with pytest.raises(errors.NotComposable):
        equivariant(S(4).space(2, 2), S(4).space(1, 2)) >> equivariant(S(4).space(2, 2), cl.R(2))


def test_combination():
    """Diagrams with given coefficients: the centring of points, the identity matrix, the transpose; channel by channel, at any size."""
    n, x = S(cl.dim("n", min=4)), torch.randn(6, 3, dtype=F64)
    points, square = n.space(1, 3), n.space(2, 1)
    found = [{frozenset(block) for block in e.deltas} for e in Equivariant(points[0]).found(points[0]).elements]
    centre = combination(points, points, {found.index({frozenset({0, 1})}): 1, found.index({frozenset({0}), frozenset({1})}): -1}, "mean")
    torch.testing.assert_close(centre(x), x - x.mean(0))
    found = [{frozenset(block) for block in e.deltas} for e in Equivariant(square[0]).found(square[0]).elements]
    flip, y = combination(square, square, {found.index({frozenset({0, 3}), frozenset({1, 2})}): 1}), torch.randn(5, 5, 1)
    assert torch.equal(flip(y), y.transpose(0, 1)) and not flip.params
    with pytest.raises(errors.BadSymmetry, match="the same channels"):
        combination(points, n.space(1, 2), {0: 1})
