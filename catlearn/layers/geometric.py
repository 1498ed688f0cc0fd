"""Networks on sets, graphs, point clouds and molecules that do not see the order of points or the choice of axes.

Each is a term of ``equivariant``, gates and boxes that act on channels, so each commutes with its groups for all weights. Where a group
is asked for, a number n stands for S(n), and n may be symbolic: ``cl.S(cl.dim("n", min=4))`` takes sets of any size.

Laws: a permutation of the points (and, with ``turns``, an orthogonal map of space) moves the inputs, and the outputs of order 0 stay as
they are; outputs on axes of the groups move along.

>>> import catlearn as cl
>>> net = invariant_graph_network(5, [2, 16, 16])
>>> print(net.dom, "→", net.cod, [str(p.space) for p in net.params.values()][:2])
space(S(5), S(5), 2) → R(1) ['parameter(R(15, 16, 2))', 'parameter(R(2, 16))']
>>> print(molecule_network(cl.S(4), cl.O(3), features=5))
composite : space(S(4), O(3)) @ space(S(4), 5) → R(1)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import torch

from catlearn import errors
from catlearn.boxes.arithmetic import add, power, scale, shift, sub
from catlearn.boxes.attention import attention
from catlearn.boxes.constant import constant, full
from catlearn.boxes.contract import einsum, linear
from catlearn.boxes.equivariant import basis
from catlearn.boxes.norm import layer_norm
from catlearn.boxes.pointwise import exp, relu, silu, step
from catlearn.boxes.shape import reshape, transpose
from catlearn.core.combinators import copy, id, seq
from catlearn.core.sizes import Size
from catlearn.core.spaces import Group, R, S, Space, Wire, space
from catlearn.core.term import Box, Term
from catlearn.layers.compounds import mlp, residual, wires
from catlearn.layers.equivariant import combination, equivariant
from catlearn.layers.gates import norm_gate, symplectic_gate, tensor_product

# -- graphs and sets ---------------------------------------------------------------------------------------------------


def invariant_graph_network(points: Group | Size, channels: Sequence[int], hidden: int = 32, out: int = 1, activation: Any = relu,
                            normalise: str = "sum") -> Term:  # fmt: skip
    """A function of graphs, ``space(S(n), S(n), channels[0]) → R(out)`` (Maron et al. 2019, arXiv:1812.09902).

    Entry (i, j) holds the features of the edge from i to j, entry (i, i) those of node i. One layer 2 → 2 between each two ``channels``,
    then 2 → 0, then a perceptron with one hidden layer. ``normalise="mean"`` serves graphs of many sizes with one set of weights.
    """
    n = _points("invariant_graph_network", points)
    net = _layers([n.space(2, c) for c in channels], activation, normalise)
    return net >> equivariant(net.cod, R(hidden), normalise=normalise) >> activation >> mlp([hidden, hidden, out], activation)


def equivariant_deep_sets(points: Group | Size, channels: Sequence[int], activation: Any = relu) -> Term:
    """A map of sets, ``space(S(n), channels[0]) → space(S(n), channels[-1])`` (Zaheer et al. 2017, arXiv:1703.06114, equation 4).

    Layers x_i ↦ W₁ x_i + W₂ Σ_j x_j + b with activations after each. ``>> cl.equivariant(f.cod, cl.R(1))`` makes it invariant.
    """
    n = _points("equivariant_deep_sets", points)
    return _layers([n.space(1, c) for c in channels], activation)


def set_transformer_block(x: Space, heads: int = 4, hidden: int | None = None, inducing: int | None = None, activation: Any = relu) -> Term:
    """Attention of a set to itself, ``space(S(n), c) → space(S(n), c)`` (Lee et al. 2019, arXiv:1810.00825, section 3).

    MAB(x, y) = LN(h + mlp(h)) with h = LN(x + attention(x, y, y)). The block is MAB(x, x); with ``inducing`` points i, which are learned,
    it is MAB(x, MAB(i, x)), linear in n. ``hidden``: the width of the perceptron, 2 · c unless given.
    """
    group = x[0].axes[0].group if len(x) == 1 and len(x[0].axes) == 2 else None
    width = x[0].shape[-1] if group else None
    if group is None or not isinstance(width, int) or heads < 1 or width % heads:
        raise errors.BadSymmetry("set_transformer_block stands on one wire space(S(n), c), with c a multiple of heads",
                                 [f"given   {x}, {heads} heads"])  # fmt: skip
    _points("set_transformer_block", group)
    hidden = 2 * width if hidden is None else hidden
    if inducing is None:
        return copy(x) >> _attend(x, x, heads, hidden, activation)
    i = R(inducing, width)
    learned = constant([[float(a == b) for b in range(inducing)] for a in range(inducing)]) >> linear(R(inducing, inducing), i, bias=False)
    look = (learned @ id(x)) >> _attend(i, x, heads, hidden, activation)
    return copy(x) >> id(x) @ look >> _attend(x, i, heads, hidden, activation)


def _attend(x: Space, y: Space, heads: int, hidden: int, activation: Any) -> Term:
    """MAB: ``x @ y → x``, every row of x attends to the rows of y."""

    def apart(z: Space) -> Term:
        n, c = z[0].shape
        return linear(z, z) >> reshape((n, heads, c // heads)) >> transpose((1, 0, 2))

    look = id(x) @ copy(y) >> apart(x) @ apart(y) @ apart(y) >> attention >> transpose((1, 0, 2)) >> reshape(x[0].shape) >> linear(x, x)
    seen = copy(x) @ id(y) >> id(x) @ look >> add(x) >> layer_norm(x)
    return seen >> residual(mlp([x, _widened(x, hidden), x], activation)) >> layer_norm(x)


def subgraph_network(points: Group | Size, features: int, channels: Sequence[int] = (16, 16), hops: int = 1, out: int = 1,
                     activation: Any = relu) -> Term:  # fmt: skip
    """A function of graphs by their neighbourhoods (Mitton, Murray-Smith 2021, arXiv:2111.11840).

    ``space(S(n), S(n)) @ space(S(n), features) → R(out)``: a symmetric adjacency matrix of zeros and ones, and features of the nodes. The
    subgraph of node v are the nodes within ``hops`` steps of v, with v marked. One layer to order 2, layers 2 → 2 between the ``channels``
    and one 2 → 0, all shared by the subgraphs, which are as large as they happen to be; then the sum over v, then a perceptron.

    Tells graphs apart that message passing cannot: six nodes in one circle from two triangles.
    """
    n = _points("subgraph_network", points)
    x, pairs, nodes = n.space(1, features), n.space(2), n.space(1, channels[-1])
    hs = [space(n, n, n, c) for c in channels]

    def within(h: Space) -> Term:
        """``h @ r → h @ r``: zero at nodes i and j outside the subgraph of v."""
        return id(h) @ copy(pairs, 3) >> einsum("vijx,vi,vj->vijx")(h @ pairs @ pairs) @ id(pairs)

    net = id(pairs) @ _identity(n)  # the graph, and r: which nodes each subgraph has
    for _ in range(hops):
        further = einsum("vi,ij->vj")(pairs @ pairs) @ id(pairs) >> add(pairs) >> step(pairs)
        net = net >> wires(pairs @ pairs, 0, 1, 0, 1) >> id(pairs) @ further
    edges, features_of = einsum("ij,vi,vj->vij")(pairs @ pairs @ pairs), einsum("ix,vi->vix")(x @ pairs)
    opened = net @ id(x) >> wires(pairs @ pairs @ x, 0, 1, 1, 2, 1, 1, 1) >> edges @ features_of @ id(pairs @ pairs)
    marked = opened @ _identity(n)  # edges, features, members, r, and which node is v
    net = marked >> wires(marked.cod, 0, 1, 2, 4, 3)
    given = Space(net.cod.wires[:-1])
    for a, b in pairwise([given, *hs]):
        net = net >> (equivariant(a, b, lead=1) >> activation) @ id(pairs) >> within(b)
    pooled = wires(net.cod, 0) >> equivariant(hs[-1], nodes, lead=1) >> activation
    pooled = pooled @ full(n.space(1), 1.0) >> einsum("vx,v->x")
    return net >> pooled >> mlp([channels[-1], channels[-1], out], activation)


# -- points in space ---------------------------------------------------------------------------------------------------


def point_cloud_network(points: Group | Size, turns: Group, channels: int = 16, layers: int = 2, out: int = 1) -> Term:
    """A function of points in R^d, ``space(S(n), O(d)) → R(out)``: no order, no origin, and no axes are seen.

    Between the layers every point has scalars, vectors and matrices, ``channels`` of each. A layer is every equivariant linear map of
    them and of the products of two vectors, gated by ``norm_gate`` (for Sp by ``symplectic_gate``).
    """
    n = _points("point_cloud_network", points)
    gate = symplectic_gate if turns.kind == "Sp" else norm_gate
    x, square = space(n, turns), space(n, turns, turns)
    scalars, vectors, matrices = (space(n, *[turns] * order, channels) for order in (0, 1, 2))
    h = scalars @ vectors @ matrices
    net = _centred(x) >> copy(x, 3) >> id(x) @ tensor_product(x, x) >> equivariant(x @ square, h) >> gate(h)
    for _ in range(layers - 1):
        squares = wires(h, 0, 1, 2, 1, 1) >> id(h) @ tensor_product(vectors, vectors)
        net = net >> squares >> equivariant(h @ matrices, h) >> gate(h)
    return net >> equivariant(h, R(channels)) >> silu >> mlp([channels, channels, out], silu)


def molecule_network(atoms: Group | Size, turns: Group, features: int, channels: int = 32, layers: int = 2, masked: bool = False,
                     reach: float = 3.0, normalise: str = "sum") -> Term:  # fmt: skip
    """The energy of a molecule, ``space(S(n), O(3)) @ space(S(n), features) → R(1)``: positions and features of the atoms.

    It sees differences of positions only. Atoms a_i, pairs p_ij and vectors v_i start from the features, from Gaussians of the distance
    with learned centres and widths, and from Σ_j p_ij (x_i − x_j). A layer maps (a, p, v_i · (x_i − x_j)) to (a, p), and
    (v, p_ij (x_i − x_j)) to v, by every equivariant linear map, with ``silu`` and ``norm_gate`` after it; then every pair fades by
    exp(−|x_i − x_j|² / reach²). The energy is one perceptron summed over the atoms and one summed over the pairs, which fade again.

    ``reach``, in the unit of the positions, is also the largest centre at the start. ``masked=True`` takes a third wire,
    ``space(S(n))``: 1 for an atom, 0 for padding, whose features and positions then change nothing. ``normalise="mean"`` divides by n
    where the layers sum, which makes the steps of Adam fit; with ``"sum"`` the amount of padding changes nothing either.
    """
    if isinstance(reach, bool) or not isinstance(reach, int | float) or not 0 < reach < float("inf"):
        raise errors.BadSymmetry(f"molecule_network(reach={reach!r})", ["needed  a positive number"])
    parts = _Molecule(_points("molecule_network", atoms), turns, channels, reach, normalise)
    net = seq(parts.start(features), *(parts.layer() for _ in range(layers)), parts.energy())
    return net if masked else id(Space(net.dom.wires[:2])) @ full(parts.mask, 1.0) >> net


class _Molecule:
    """The wires of ``molecule_network`` and the arrows between them: a state a @ p @ v, and d @ mask @ near, which every layer sees."""

    def __init__(self, n: Group, turns: Group, channels: int, reach: float, normalise: str) -> None:
        self.channels, self.reach, self.normalise = channels, reach, normalise
        self.x, self.mask, self.n = space(n, turns), space(n), n.n
        self.a, self.p, self.v = space(n, channels), space(n, n, channels), space(n, turns, channels)
        self.d, self.t = space(n, n, turns), space(n, n, turns, channels)  # differences, and pairs times differences
        self.near = space(n, n)  # how much a pair counts: 0 for padding, less and less with the distance
        self.state = self.a @ self.p @ self.v @ self.d @ self.mask @ self.near
        self.along = einsum("nmx,nmi->nmix")(self.p @ self.d)
        self.keep_atoms = einsum("nx,n->nx")(self.a @ self.mask)
        self.keep_pairs = einsum("nmx,nm->nmx")(self.p @ self.near)
        self.keep_vectors = einsum("nix,n->nix")(self.v @ self.mask)

    def linear(self, dom: Space, cod: Space) -> Term:
        """Every equivariant linear map."""
        return equivariant(dom, cod, normalise=self.normalise)

    def start(self, features: int) -> Term:
        """``x @ features @ mask → a @ p @ v @ d @ mask @ near``."""
        a, p, d, mask, near = self.a, self.p, self.d, self.mask, self.near
        f = _widened(a, features)
        differences = einsum("ni,n,m->nmi")(self.x @ mask @ mask) >> copy(d) >> id(d) @ transpose((1, 0, 2))(d) >> sub(d)
        squares = copy(d) >> einsum("nmi,nmi->nm")
        fade = (scale(-(self.reach**-2))(near) >> exp) @ id(mask @ mask) >> einsum("nm,n,m->nm")
        atoms = linear(f, a) @ id(mask) >> self.keep_atoms
        vectors = (self.along >> self.linear(self.t, self.v)) @ id(mask) >> self.keep_vectors
        opened = wires(self.x @ f @ mask, 1, 2, 0, 2, 2, 2) >> atoms @ differences @ id(mask)
        measured = opened >> wires(a @ d @ mask, 0, 1, 1, 2, 2, 2) >> id(a @ d) @ squares @ id(mask @ mask @ mask)
        faded = measured >> wires(a @ d @ near @ mask @ mask @ mask, 0, 1, 5, 2, 2, 3, 4) >> id(a @ d @ mask) @ self.bumps() @ fade
        paired = faded >> wires(a @ d @ mask @ p @ near, 0, 3, 4, 1, 2, 4) >> id(a) @ self.keep_pairs @ id(d @ mask @ near)
        return paired >> wires(a @ p @ d @ mask @ near, 0, 1, 1, 2, 3, 2, 3, 4) >> id(a @ p) @ vectors @ id(d @ mask @ near)

    def bumps(self) -> Term:
        """Squares of distances to Gaussians of the distances, whose centres start at equal steps up to ``reach``, two steps wide."""
        lengths = shift(1e-6)(self.near) >> power(Fraction(1, 2)) >> reshape((self.n, self.n, 1))
        box, count = linear(lengths.cod, self.p), self.channels
        starts = {"weight": torch.full((count, 1), count / (2 * self.reach)), "bias": -(torch.arange(count) + 1.0) / 2}
        if isinstance(box, Box):
            box = replace(box, overrides={name: replace(box.own_params[name], init=start) for name, start in starts.items()})
        return lengths >> box >> power(2) >> scale(-1) >> exp

    def layer(self) -> Term:
        """``a @ p @ v @ d @ mask @ near`` to itself."""
        a, p, v, d, mask, near = self.a, self.p, self.v, self.d, self.mask, self.near
        invariants = id(a @ p) @ einsum("nix,nmi->nmx")(v @ d) >> self.linear(a @ p @ p, a @ p) >> silu(a) @ silu(p)
        kept = wires(a @ p @ mask @ near, 0, 2, 1, 3) >> self.keep_atoms @ self.keep_pairs
        vectors = id(v) @ self.along >> self.linear(v @ self.t, v) >> norm_gate(v)
        both = (invariants @ id(mask @ near) >> kept) @ (vectors @ id(mask) >> self.keep_vectors)
        return wires(self.state, 0, 1, 2, 3, 4, 5, 2, 1, 3, 4, 3, 4, 5) >> both @ id(d @ mask @ near)

    def energy(self) -> Term:
        """``a @ p @ v @ d @ mask @ near → R(1)``."""
        atoms = mlp([self.a, self.a, _widened(self.a, 1)], silu) @ id(self.mask) >> einsum("nx,n->x")
        pairs = mlp([self.p, self.p, _widened(self.p, 1)], silu) @ id(self.near) >> einsum("nmx,nm->x")
        return wires(self.state, 0, 4, 1, 5) >> atoms @ pairs >> add(R(1))


# -- parts -------------------------------------------------------------------------------------------------------------


def _points(name: str, points: Group | Size) -> Group:
    """The group of permutations that is meant."""
    group = points if isinstance(points, Group) else S(points)
    if group.kind not in ("S", "A"):
        raise errors.BadSymmetry(f"{name} permutes points by S(n) or A(n)", [f"given   {group}"], "for example cl.S(5)")
    return group


def _layers(spaces: list[Space], activation: Any, normalise: str = "sum") -> Term:
    """Equivariant layers from each space to the next, an activation after each."""
    return seq(id(spaces[0]), *(equivariant(a, b, normalise=normalise) >> activation for a, b in pairwise(spaces)))


def _widened(x: Space, channels: int) -> Space:
    """The same wire with another number of channels."""
    return Space((x[0].like(*x[0].shape[:-1], channels),))


def _identity(group: Group) -> Term:
    """``I → space(group, group)``: the identity matrix, which is the diagram with a single block."""
    x = group.space(2)
    diagrams = basis(Wire(()), x[0]).elements
    return full(R(), 1.0) >> combination(R(), x, {i: 1 for i, element in enumerate(diagrams) if len(element.deltas) == 1})


def _centred(x: Space) -> Term:
    """Every point less the mean of all points: the identity less the diagram that leads every point to every point."""
    diagrams = basis(x[0], x[0]).elements
    straight = next(i for i, element in enumerate(diagrams) if len(element.deltas) == 2)
    across = next(i for i, element in enumerate(diagrams) if len(element.deltas) == 3)
    return combination(x, x, {straight: 1, across: -1}, "mean")


__all__ = ["equivariant_deep_sets", "invariant_graph_network", "molecule_network", "point_cloud_network", "set_transformer_block",
           "subgraph_network"]  # fmt: skip
