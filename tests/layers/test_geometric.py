"""What would break if a network saw the order of points or the choice of axes; or were not the network of its paper."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F

import catlearn as cl
from catlearn import errors
from catlearn.boxes.equivariant import basis
from catlearn.layers.geometric import (
    equivariant_deep_sets,
    invariant_graph_network,
    molecule_network,
    point_cloud_network,
    set_transformer_block,
    subgraph_network,
)
from catlearn.layers.resize import resize
from tests.layers.moves import F64, assert_equivariant, gap, moves, randomised

S, A, O, SO, Sp = cl.S, cl.A, cl.O, cl.SO, cl.Sp


def graphs(generator, n=5, features=2, batch=2):
    """A symmetric adjacency matrix and features of the nodes."""
    drawn = torch.rand(batch, n, n, generator=generator, dtype=F64).triu(1)
    upper = ((drawn > 0.4) & (drawn > 0)).to(F64)
    return [upper + upper.mT, torch.randn(batch, n, features, generator=generator, dtype=F64)]


NETWORKS = {
    "invariant graph network": (invariant_graph_network(4, [2, 3, 3], hidden=4, activation=cl.gelu), None),
    "deep sets": (equivariant_deep_sets(5, [2, 4, 3]), None),
    "deep sets for even permutations": (equivariant_deep_sets(A(4), [2, 4, 3]), None),
    "set transformer": (set_transformer_block(S(5).space(1, 8), heads=2), None),
    "set transformer, induced": (set_transformer_block(S(5).space(1, 8), heads=2, inducing=3), None),
    "point cloud": (point_cloud_network(4, O(3), 3), None),
    "point cloud, turned only": (point_cloud_network(3, SO(2), 3), None),
    "point cloud in phase space": (point_cloud_network(3, Sp(2), 3), None),
    "molecule": (molecule_network(4, O(3), 2, channels=3), None),
    "subgraphs": (subgraph_network(5, 2, (3, 3), out=2, activation=cl.gelu), graphs),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_commutes_with_its_groups(name):
    term, inputs = NETWORKS[name]
    assert_equivariant(term, inputs)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_mutant_moves(name):
    """The same network behind a map that treats the positions along an axis differently, for each of its groups."""
    term, inputs = NETWORKS[name]
    model, generator = randomised(term), torch.Generator().manual_seed(1)
    xs = inputs(generator) if inputs else [torch.randn(2, *map(int, w.shape), generator=generator, dtype=F64) for w in term.dom]
    assert gap(model, term.dom, term.cod, xs) < 1e-10
    for group in {axis.group for axis in term.dom[0].axes if axis.group}:
        axis = next(i for i, a in enumerate(term.dom[0].axes) if a.group == group) - len(term.dom[0].axes)
        shape = [1] * len(term.dom[0].axes)
        shape[axis] = group.n
        weights = torch.linspace(0.5, 3, group.n, dtype=F64).reshape(shape)
        assert moves(lambda x, *rest, weights=weights: model(torch.sin(x * weights), *rest), term.dom, term.cod, xs, by=1e-6), group


@pytest.mark.parametrize("name", NETWORKS)
def test_reverse_is_autograd(name):
    """With torch's kernels, and from primitives alone."""
    term, inputs = NETWORKS[name]
    model, generator = randomised(term), torch.Generator().manual_seed(2)
    xs = inputs(generator) if inputs else [torch.randn(2, *map(int, w.shape), generator=generator, dtype=F64) for w in term.dom]
    xs = [x.requires_grad_() for x in xs]
    params = dict(model.named_parameters())
    y = model(*xs)
    dy = torch.randn(y.shape, generator=generator, dtype=F64)
    expected = torch.autograd.grad(y, [*(params[k] for k in sorted(params)), *xs], dy, materialize_grads=True)
    for fused in (True, False):
        back = cl.compile(cl.reverse(term, fused), {k: p.detach() for k, p in params.items()}, dtype=F64)
        with torch.no_grad():
            found = back(*xs, dy)
        torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", NETWORKS)
def test_files_numbers_words_and_pictures(name, tmp_path):
    term, _ = NETWORKS[name]
    cl.save(term, tmp_path / "net.cl")
    assert cl.load(tmp_path / "net.cl") == term
    assert cl.cost(term).parameters == sum(p.numel() for p in cl.compile(term).parameters())
    assert "equivariant" in cl.explain(term) or "attention" in cl.explain(term)
    assert "<svg" in cl.draw(term)._repr_svg_()


# -- each is the network of its paper ----------------------------------------------------------------------------------


def test_deep_sets_by_hand():
    """Zaheer et al., equation 4: W₁ x_i + W₂ Σ_j x_j + b, whichever of the two diagrams comes first."""
    term = equivariant_deep_sets(5, [2, 3])
    model, x = randomised(term), torch.randn(4, 5, 2, dtype=F64)
    first = basis(term.dom[0], term.cod[0]).elements[0]
    own, total = model.equivariant.weight if len(first.deltas) == 1 else model.equivariant.weight.flip(0)
    torch.testing.assert_close(model(x), F.relu(x @ own.T + x.sum(1, keepdim=True) @ total.T + model.equivariant.bias[0]))


def test_set_transformer_by_hand():
    """Lee et al., MAB(X, X), with torch's attention on one head."""
    model, x = randomised(set_transformer_block(S(5).space(1, 4), heads=1, hidden=6)), torch.randn(3, 5, 4, dtype=F64)
    p = dict(model.named_parameters())
    affine = [lambda z, i=i: F.linear(z, p[f"linear{i}.weight"], p[f"linear{i}.bias"]) for i in ("", "_1", "_2", "_3", "_4", "_5")]
    q, k, v, o, up, down = affine
    h = x + o(torch.softmax(q(x) @ k(x).mT / 2, -1) @ v(x))
    h = F.layer_norm(h, (4,), p["layer_norm.weight"], p["layer_norm.bias"])
    h = h + down(F.relu(up(h)))
    torch.testing.assert_close(model(x), F.layer_norm(h, (4,), p["layer_norm_1.weight"], p["layer_norm_1.bias"]))


def test_point_clouds_have_no_origin():
    model, x = randomised(point_cloud_network(4, O(3), 3)), torch.randn(2, 4, 3, dtype=F64)
    torch.testing.assert_close(model(x), model(x + torch.tensor([1.0, -2.0, 3.0], dtype=F64)))


def test_point_clouds_are_told_apart():
    """A square and a rhombus with the same sides: every distance from the centre differs, so some weights tell them apart."""
    square = torch.tensor([[1.0, 1], [1, -1], [-1, -1], [-1, 1]], dtype=F64)
    rhombus = torch.tensor([[1.6, 0], [0, 1.2], [-1.6, 0], [0, -1.2]], dtype=F64)
    model = randomised(point_cloud_network(4, O(2), 4))
    assert (model(square) - model(rhombus)).abs() > 1e-4


def test_a_reflection_is_seen_by_turns_only():
    """O(2) has reflections and SO(2) has not: the mirror image of a scalene triangle is another one to SO(2) alone."""
    triangle = torch.tensor([[0.0, 0], [3, 0], [1, 1]], dtype=F64)
    mirrored, colours = triangle * torch.tensor([1.0, -1], dtype=F64), torch.eye(3, dtype=F64)
    both = randomised(molecule_network(3, O(2), 3, channels=4))
    torch.testing.assert_close(both(triangle, colours), both(mirrored, colours))
    turns = randomised(molecule_network(3, SO(2), 3, channels=4))
    assert (turns(triangle, colours) - turns(mirrored, colours)).abs() > 1e-6


def test_forces_train():
    """Forces are derivatives, so training on them takes second ones: all weights along one direction, against finite differences."""
    term, generator = molecule_network(4, O(3), 2, channels=3), torch.Generator().manual_seed(3)
    model, f = randomised(term), torch.randn(2, 4, 2, generator=generator, dtype=F64)
    x = torch.randn(2, 4, 3, generator=generator, dtype=F64, requires_grad=True)
    params = {name: p.detach().requires_grad_() for name, p in model.named_parameters()}
    along = {name: torch.randn(p.shape, generator=generator, dtype=F64) for name, p in params.items()}

    def loss(step=0.0):
        moved = {name: p + step * along[name] for name, p in params.items()}
        energy = torch.func.functional_call(model, moved, (x, f)).sum()
        (forces,) = torch.autograd.grad(energy, x, create_graph=True)
        return forces.square().sum()

    assert torch.autograd.gradcheck(lambda x: model(x, f), (x,)) and loss() > 1e-3
    found = torch.autograd.grad(loss(), list(params.values()), allow_unused=True)
    slope = sum((g * along[name]).sum() for g, name in zip(found, params, strict=True) if g is not None)
    expected = (loss(1e-6) - loss(-1e-6)) / 2e-6
    torch.testing.assert_close(slope, expected, rtol=1e-5, atol=1e-6 * float(loss().detach()))


def test_padding_changes_nothing():
    term = molecule_network(6, O(3), 2, channels=3, masked=True)
    model = randomised(term)
    small = cl.compile(resize(molecule_network(6, O(3), 2, channels=3), S(6), S(4)), dict(model.named_parameters()), dtype=F64)
    x, f = torch.randn(2, 6, 3, dtype=F64), torch.randn(2, 6, 2, dtype=F64)
    mask = torch.tensor([1.0, 1, 0, 1, 0, 1], dtype=F64).expand(2, 6)
    kept = mask[0].bool()
    torch.testing.assert_close(model(x, f, mask), small(x[:, kept], f[:, kept]))
    moved = torch.where(kept[:, None], x, x + 5)
    torch.testing.assert_close(model(moved, f, mask), model(x, f, mask))
    assert (model(x, f, mask) - model(x, f, torch.ones_like(mask))).abs().min() > 1e-6  # and the mask is read
    assert_equivariant(term, lambda g: [torch.randn(2, 6, 3, generator=g, dtype=F64), torch.randn(2, 6, 2, generator=g, dtype=F64), mask])


# -- subgraphs ---------------------------------------------------------------------------------------------------------

CIRCLE = [(i, (i + 1) % 6) for i in range(6)]
TRIANGLES = [(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3)]


def adjacency(edges, n=6):
    a = torch.zeros(n, n, dtype=F64)
    for i, j in edges:
        a[i, j] = a[j, i] = 1
    return a


def on_its_own(k, l, weight, bias, h):
    """A layer k → l on one graph of any size m, h: (m, ..., c), summed over every index by the definition of the diagrams."""
    m, G = h.shape[0], S(20)  # the diagrams do not depend on the size, from 4 on
    found, shifts = (basis(G.space(order)[0], G.space(l)[0]).elements for order in (k, 0))
    y = torch.zeros(*[m] * l, weight.shape[1], dtype=F64)
    for o in product(range(m), repeat=l):
        for i in product(range(m), repeat=k):
            at = (*o, *i)
            for d, w in zip(found, weight, strict=True):
                y[o] += w @ h[i] * all(len({at[point] for point in block}) == 1 for block in d.deltas)
        for d, b in zip(shifts, bias if bias is not None else [], strict=bias is not None):
            y[o] += b * all(len({o[point] for point in block}) == 1 for block in d.deltas)
    return y


def test_subgraphs_by_hand():
    """Every neighbourhood cut out as a small graph of its own, and the layers applied to it at its own size."""
    n, c = 5, 3
    term = subgraph_network(n, 2, (c, c), activation=cl.tanh)
    model, (a, x) = randomised(term), graphs(torch.Generator().manual_seed(5), n, 2, batch=1)
    p = {k: v.detach() for k, v in model.named_parameters()}
    names = [k.removesuffix(".weight") for k in p if k.startswith("equivariant") and k.endswith(".weight")]

    def layer(number, k, l, h):
        return on_its_own(k, l, p[f"{names[number]}.weight"], p.get(f"{names[number]}.bias"), h)

    total = torch.zeros(c, dtype=F64)
    for v in range(n):
        inside = [i for i in range(n) if i == v or a[0, v, i]]
        edges, members = a[0][inside][:, inside][..., None], torch.ones(len(inside), 1, dtype=F64)
        root = torch.tensor([[float(i == v)] for i in inside], dtype=F64)
        h = torch.tanh(layer(0, 2, 2, edges) + layer(1, 1, 2, x[0, inside]) + layer(2, 1, 2, members) + layer(3, 1, 2, root))
        total += torch.tanh(layer(5, 2, 0, torch.tanh(layer(4, 2, 2, h))))
    hidden = torch.tanh(F.linear(total, p["linear.weight"], p["linear.bias"]))
    torch.testing.assert_close(model(a, x)[0], F.linear(hidden, p["linear_1.weight"], p["linear_1.bias"]))


def test_a_circle_is_told_from_two_triangles():
    """Every node has two neighbours in both, so message passing cannot; a neighbourhood in the one is a path, in the other a triangle."""
    x = torch.ones(6, 1, dtype=F64)
    model = cl.compile(subgraph_network(6, 1, (4, 4), activation=cl.tanh), dtype=F64)  # relu may be dead for some draws
    assert (model(adjacency(CIRCLE), x) - model(adjacency(TRIANGLES), x)).abs() > 1e-3
    blind = cl.message_passing(
        cl.R(6, 1), cl.index(6, 12), cl.linear(cl.R(12, 2), cl.R(12, 3)) >> cl.relu, cl.linear(cl.R(6, 4), cl.R(6, 2))
    )
    passed = randomised(blind)
    ends = [torch.tensor([*edges, *[(j, i) for i, j in edges]]).T for edges in (CIRCLE, TRIANGLES)]
    torch.testing.assert_close(passed(x, *ends[0]), passed(x, *ends[1]))


def test_hops():
    """On a path the ends meet in one subgraph from two hops on; on a complete graph one hop is all there is."""
    path = adjacency([(0, 1), (1, 2)], 3)
    ends = torch.tensor([[1.0], [0], [0]], dtype=F64), torch.tensor([[0.0], [0], [1]], dtype=F64)
    near, far = (randomised(subgraph_network(3, 1, (3,), hops, activation=cl.tanh)) for hops in (1, 2))
    complete = torch.ones(3, 3, dtype=F64) - torch.eye(3, dtype=F64)
    torch.testing.assert_close(near(complete, ends[0]), far(complete, ends[0]))
    assert (near(path, ends[0]) - far(path, ends[0])).abs() > 1e-4


# -- any size ----------------------------------------------------------------------------------------------------------


def test_networks_take_any_number_of_points():
    n = cl.dim("n", min=4)
    for term, size in ((invariant_graph_network(S(n), [2, 3]), 6), (equivariant_deep_sets(S(n), [2, 3]), 7),
                       (set_transformer_block(S(n).space(1, 4), 2, inducing=2), 5), (point_cloud_network(S(n), O(2), 3), 5),
                       (molecule_network(S(n), O(2), 2, 3), 5), (subgraph_network(S(n), 2, (3,)), 5)):  # fmt: skip
        model = randomised(term)
        known = cl.compile(resize(term, S(n), S(size)), dict(model.named_parameters()), dtype=F64)
        xs = [torch.randn(2, *(size if not isinstance(s, int) else s for s in w.shape), dtype=F64) for w in term.dom]
        if term.dom[0] == S(n).space(2):
            xs = graphs(torch.Generator().manual_seed(0), size)
        torch.testing.assert_close(model(*xs), known(*xs))


def test_they_train():
    """A few steps on the sum of all pair distances: a network that could not learn would stand still."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(32, 4, 3, generator=generator)
    target = torch.cdist(x, x).sum((1, 2))[:, None] / 10
    model = cl.compile(point_cloud_network(4, O(3), 6))
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(40):
        loss = F.mse_loss(model(x), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * target.var().item() < losses[0]


# -- what is refused ---------------------------------------------------------------------------------------------------

REFUSED = {
    "permutes points by": lambda: invariant_graph_network(O(3), [2, 2]),
    "permutes points by S": lambda: point_cloud_network(O(3), S(3)),
    "stands on one wire": lambda: set_transformer_block(cl.R(5, 8)),
    "a multiple of heads": lambda: set_transformer_block(S(5).space(1, 6), heads=4),
    "one wire space": lambda: set_transformer_block(cl.space(S(5), S(6), 8)),
    "set_transformer_block permutes points": lambda: set_transformer_block(O(5).space(1, 8)),
}


@pytest.mark.parametrize("text", REFUSED)
def test_refused_with_the_reason(text):
    with pytest.raises(errors.BadSymmetry, match=text):
        REFUSED[text]()
