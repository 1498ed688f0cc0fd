"""Terms in the prover: networks of equivariant boxes are proved for all sizes, their mutants are not, and both are checked numerically.

The numeric check has its own group elements (permutation matrices, orthogonal and symplectic ones made here) and its own action: one
matrix on each axis of a wire that carries the group.
"""

import random
from functools import reduce

import numpy as np
import pytest
import torch

import catlearn as cl
from catlearn import diagrams, maps
from catlearn.boxes.cells import positive
from catlearn.core.spaces import Axis, Group, Space, Wire
from catlearn.errors import CannotTrace, SizeUnknown
from catlearn.verify import claims
from catlearn.verify.kernel import Proof, check
from catlearn.verify.rules import Call, Typed, Value, typings
from catlearn.verify.search import Failure, Search
from catlearn.verify.terms import term_program
from catlearn.verify.types import Factor, Refused, Type, plain

N = cl.dim("n", min=4)
G, M = cl.S(N), cl.S(cl.dim("m", min=4))
FIVE = {"n": 5, "m": 4}


def prove(f, dom=None, cod=None, batch=()):
    """The proof that f has the types of its (or these) spaces, accepted by the kernel; or why there is none."""
    found = term_program(f, batch)
    types = [tuple(claims.type_of(w, batch) for w in x) for x in (f.dom if dom is None else dom, f.cod if cod is None else cod)]
    proof = Search(found.program, *types).run()
    if isinstance(proof, Proof):
        assert check(proof) is None
    return proof


def matrix(group: Group, n: int, rng: np.random.Generator) -> np.ndarray:
    """A random element as a matrix."""
    if group.kind in "SAZ":
        order = np.roll(np.arange(n), 1) if group.kind == "Z" else rng.permutation(n)
        if group.kind == "A" and np.linalg.det(np.eye(n)[order]) < 0:
            order[[0, 1]] = order[[1, 0]]
        return np.eye(n)[order]
    if group.kind in ("O", "SO"):
        q = np.linalg.qr(rng.normal(size=(n, n)))[0]
        q[:, 0] *= np.linalg.det(q) * (1 if group.kind == "SO" else rng.choice([-1, 1]))
        return q
    half = n // 2
    a, b, c = (rng.normal(size=(half, half)) / 3 for _ in range(3))
    one, none = np.eye(half), np.zeros((half, half))
    upper, lower = np.block([[one, b + b.T], [none, one]]), np.block([[one, none], [c + c.T, one]])
    return upper @ np.block([[one + a, none], [none, np.linalg.inv(one + a).T]]) @ lower


def moved(x: torch.Tensor, wire, elements) -> torch.Tensor:
    for k, axis in enumerate(wire.axes):
        if axis.group is not None:
            x = torch.tensordot(elements[axis.group], x, dims=([1], [k])).movedim(0, k)
    return x


def error(f, dom: Space | None = None, cod: Space | None = None, trials: int = 6) -> float:
    """The largest |f(g x) − g f(x)|, in parts of |f(x)|, for random weights, inputs and elements in float64."""
    dom, cod = dom or f.dom, cod or f.cod
    sizes = {d.name: FIVE[d.name] for d in dom.dims}
    model, worst = cl.compile(f, dtype=torch.float64), 0.0
    rng = np.random.default_rng(0)
    for _ in range(trials):
        for p in model.parameters():
            p.data = torch.tensor(rng.normal(size=p.shape) / 2)
        xs = [torch.tensor(rng.normal(size=[n if isinstance(n, int) else sizes[str(n)] for n in w.shape])) for w in dom]
        groups = {a.group for x in (dom, cod) for w in x for a in w.axes if a.group is not None}
        elements = {g: torch.tensor(matrix(g, g.n if isinstance(g.n, int) else sizes[str(g.n)], rng)) for g in groups}
        rows = [(model(*xs), cod), (model(*(moved(x, w, elements) for x, w in zip(xs, dom, strict=True))), None)]
        there, back = (y if isinstance(y, tuple) else (y,) for y, _ in rows)
        for y, z, w in zip(there, back, cod, strict=True):
            worst = max(worst, float((moved(y, w, elements) - z).detach().abs().max() / (1 + y.detach().abs().max())))
    return worst


X, PAIRS, BOTH = cl.space(G, 8), G.space(2, 3), cl.space(G, M, 3)


def gated(group):
    h = cl.space(G, group, 4)
    gate = cl.symplectic_gate if group.kind == "Sp" else cl.norm_gate
    return cl.equivariant(h, h) >> gate(h) >> cl.equivariant(h, h @ cl.space(G, group, group, 2))


TERMS = {
    "2-2-1-0": lambda: cl.equivariant(PAIRS, PAIRS) >> cl.relu >> cl.equivariant(PAIRS, X) >> cl.relu >> cl.equivariant(X, cl.R(2)),
    "two groups": lambda: cl.equivariant(BOTH, BOTH) >> cl.relu >> cl.equivariant(BOTH, M.space(1, 2)),
    "several wires": lambda: cl.equivariant(X @ PAIRS, PAIRS @ X) >> cl.relu(PAIRS) @ cl.tanh(X),
    "lead": lambda: cl.equivariant(PAIRS, PAIRS, lead=1, normalise="mean") >> cl.relu,
    "invariant graph network": lambda: cl.invariant_graph_network(G, [2, 4, 4]),
    "deep sets": lambda: cl.equivariant_deep_sets(G, [2, 4, 4]),
    "set transformer": lambda: cl.set_transformer_block(X, heads=2),
    "subgraphs": lambda: cl.subgraph_network(G, 3, channels=(4, 4)),
    "attention": lambda: cl.copy(X, 3) >> cl.linear(X, X) @ cl.linear(X, X) @ cl.linear(X, X) >> cl.attention,
    "repeat": lambda: cl.repeat(2, cl.residual(cl.equivariant(X, X) >> cl.relu)).named("body"),
    "gates O": lambda: gated(cl.O(3)),
    "gates SO": lambda: gated(cl.SO(3)),
    "gates Sp": lambda: gated(cl.Sp(4)),
    "points": lambda: cl.point_cloud_network(G, cl.O(3), channels=3),
    "molecule": lambda: cl.molecule_network(G, cl.O(3), features=2, channels=3, layers=1),
    "alternating": lambda: cl.equivariant(cl.A(4).space(2, 2), cl.A(4).space(1, 2)) >> cl.relu,
}


@pytest.mark.parametrize("name", TERMS)
def test_a_network_of_equivariant_boxes_is_proved_for_all_sizes_and_is_equivariant(name):
    f = TERMS[name]()
    proof = prove(f)
    assert isinstance(proof, Proof), proof
    assert proof.program.dims == {d.name: (4, None) for d in f.dom.dims}
    assert error(f) < 1e-9


FOUR, OTHER = cl.S(4, "a"), cl.S(4, "b")
V = cl.space(cl.O(3))
MUTANTS = {
    "relu on a vector": (lambda: cl.relu(cl.R(3)), V, V),
    "positions": (
        lambda: cl.id(cl.R(5, 3)) @ cl.constant([[float(i + j) for j in range(3)] for i in range(5)]) >> cl.add,
        cl.space(cl.S(5), 3),
        cl.space(cl.S(5), 3),
    ),
    "positional parameter": (
        lambda: cl.id(cl.R(5, 3)) @ (cl.full(cl.R(1), 1.0) >> cl.linear(cl.R(1), cl.R(15)) >> cl.reshape((5, 3))) >> cl.add,
        cl.space(cl.S(5), 3),
        cl.space(cl.S(5), 3),
    ),
    "wrong name": (lambda: cl.equivariant(FOUR.space(2), FOUR.space(1)), cl.space(FOUR, OTHER), cl.space(FOUR)),
    "wrong name of one box": (
        lambda: cl.equivariant(cl.space(FOUR, OTHER, 2), cl.space(OTHER, 2)) >> cl.equivariant(cl.space(OTHER, 2), cl.space(OTHER, 2)),
        cl.space(FOUR, OTHER, 2),
        cl.space(FOUR, 2),
    ),
    "larger group": (lambda: cl.equivariant(cl.SO(3).space(2), cl.SO(3).space(1)), cl.O(3).space(2), cl.O(3).space(1)),
    "permutations are no rotations": (lambda: cl.equivariant(cl.S(3).space(1), cl.S(3).space(1)), V, V),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_not_proved_and_is_not_equivariant(name):
    make, dom, cod = MUTANTS[name]
    f = make()
    assert isinstance(prove(f, dom, cod), Failure)
    assert error(f, dom, cod) > 1e-3


def test_a_permuted_wire_is_not_proved():
    x, y = cl.space(FOUR, OTHER, 2), cl.space(FOUR, 2) @ cl.space(OTHER, 2)
    f = cl.equivariant(x, y)
    crossed = f >> cl.swap(cl.space(FOUR, 2), cl.space(OTHER, 2))
    assert isinstance(prove(f), Proof)
    assert isinstance(prove(crossed, cod=y), Failure)
    assert error(crossed, cod=y) > 1e-3


def test_subgroups_act_through_the_boxes_of_the_whole_group():
    f = cl.equivariant(cl.S(5).space(2, 2), cl.S(5).space(1, 2)) >> cl.relu
    for group in (cl.Z(5), cl.A(5), cl.S(5, "other")):
        dom, cod = group.space(2, 2), group.space(1, 2)
        assert isinstance(prove(f, dom, cod), Proof)
        assert error(f, dom, cod) < 1e-9
    assert isinstance(prove(f, cl.R(5, 5, 2), cl.R(5, 2)), Proof)
    g = cl.equivariant(cl.O(3).space(2, 2), cl.O(3).space(2, 2))
    assert isinstance(prove(g, cl.SO(3).space(2, 2), cl.SO(3).space(2, 2)), Proof)


def test_no_random_claim_about_a_random_box_is_proved_and_false():
    """Groups of a box against groups of a claim, drawn apart; most true claims are proved, and no proved one is false."""
    rng = random.Random(0)
    boxes, claimed = (
        [cl.S(3, "a"), cl.A(3, "b"), cl.O(3), cl.SO(3, "s")],
        [None, cl.S(3, "x"), cl.A(3, "y"), cl.Z(3, "z"), cl.O(3), cl.SO(3)],
    )
    found = []
    while len(found) < 40:
        own = rng.sample(boxes, rng.choice([1, 1, 2]))
        rows = [[rng.choice(own) for _ in range(rng.randint(0, most))] for most in (3, 2)]
        if not hom_dims(*rows):
            continue
        f = cl.equivariant(cl.space(*rows[0], 2), cl.space(*rows[1], 2), bias=rng.random() < 0.5)
        means = {g: rng.choice(claimed) for g in own}
        acts = [[means[g] if rng.random() < 0.9 else rng.choice(claimed) for g in row] for row in rows]
        dom, cod = (Space((Wire((*(Axis(3, g) for g in row), Axis(2))),)) for row in acts)
        found.append((isinstance(prove(f, dom, cod), Proof), error(f, dom, cod) < 1e-9))
    assert (True, False) not in found
    true = [proved for proved, holds in found if holds]
    assert 10 <= len(true) < 35 and sum(true) >= 0.9 * len(true), (len(true), sum(true))


def hom_dims(dom, cod):
    """Whether there is any map between axes of these groups."""
    return all(cl.hom_dim(g, dom.count(g), cod.count(g)) for g in {*dom, *cod})


def test_translations_pass_where_the_coefficients_are_known():
    centred = cl.point_cloud_network(G, cl.O(3), channels=3)
    assert isinstance(prove(centred, dom=cl.space(G, cl.E(3))), Proof)
    x = cl.space(G, cl.O(3))
    learned = cl.equivariant(x, x)
    assert isinstance(prove(learned, cl.space(G, cl.E(3)), cl.space(G, cl.O(3))), Failure)
    from catlearn.layers.equivariant import combination

    moved_on = combination(x, x, {0: 1, 1: -1}, "mean"), combination(x, x, {0: 1, 1: -1}), combination(x, x, {0: 1, 1: -2}, "mean")
    claims_of = [isinstance(prove(f, cl.space(G, cl.E(3)), cl.space(G, cl.O(3))), Proof) for f in moved_on]
    shift = [float((f(torch.ones(5, 3)) - f(torch.zeros(5, 3))).abs().max()) for f in moved_on]
    assert claims_of == [s < 1e-6 for s in shift] == [True, False, False]


GROUPS = {"S": cl.S(4), "A": cl.A(3), "O": cl.O(3), "SO": cl.SO(3), "Sp": cl.Sp(4)}


@pytest.mark.parametrize(
    ("kind", "k", "l"), [("S", 1, 2), ("A", 1, 2), ("O", 2, 2), ("SO", 2, 1), ("SO", 0, 3), ("Sp", 2, 2), ("Sp", 0, 2)]
)
def test_a_sum_of_diagrams_is_one_node_and_proves_its_group_and_not_another_one(kind, k, l):
    group = GROUPS[kind]
    made = [maps.diagram(d, group.n) for d in diagrams.basis(kind, group.n, k, l)]
    f = cl.linear(reduce(lambda a, b: a + b, [(i + 1) * d for i, d in enumerate(made)]))
    dom, cod = group.space(k), group.space(l)
    assert [n.op for n in term_program(f).program.nodes] == ["catlearn.equivariant.default"]
    assert isinstance(prove(f, dom, cod), Proof)
    assert error(f, dom, cod) < 1e-9
    other = {"A": cl.S(3), "SO": cl.O(3), "S": cl.O(4), "Sp": cl.O(4)}.get(kind)
    if other is not None:
        assert isinstance(prove(f, other.space(k), other.space(l)), Failure)
        assert error(f, other.space(k), other.space(l)) > 1e-3


def test_matchings_commute_with_permutations_too():
    flip = maps.diagram(diagrams.Brauer(2, 2, [[0, 3], [1, 2]]), 4)
    assert isinstance(prove(cl.linear(flip), cl.S(4).space(2), cl.S(4).space(2)), Proof)


def test_no_cell_on_coefficients_can_break_the_proof():
    f = cl.equivariant(PAIRS, X, name="e") >> cl.relu
    changed = f.at("e.weight").reparam(positive())
    proof = prove(changed)
    assert isinstance(proof, Proof) and error(changed) < 1e-9
    known = prove(f)
    assert isinstance(known, Proof) and known.claim == proof.claim
    row = [n for n in proof.program.nodes if n.op == "catlearn.equivariant.default"]
    assert [{k: v for k, v in n.args.items() if k not in ("x", "weight", "bias")} for n in row] == [
        {k: v for k, v in n.args.items() if k not in ("x", "weight", "bias")}
        for n in known.program.nodes
        if n.op == "catlearn.equivariant.default"
    ]


def test_something_that_acts_on_the_coefficients_is_refused():
    """The mutant of the test before: a weight made of the input."""
    p = Factor("X", 4, "S(4)")
    x, w = Typed(Value((4, 1)), Type(((p,), ()))), Type(((p,), (), ()))
    args = {"dom": ["S(4)"], "cod": ["S(4)"], "lead": 0, "shape": [4, 1], "rank": 2, "drift": "", "bias": None, "x": x}
    fine = Call("catlearn.equivariant.default", args | {"weight": Typed(Value((4, 1, 1)), Type((plain(4), (), ())))}, (Value((4, 1)),))
    assert typings(fine)[0].types[0].axes[0] == (p,)
    with pytest.raises(Refused, match="coefficients"):
        typings(Call("catlearn.equivariant.default", args | {"weight": Typed(Value((4, 1, 1)), w)}, (Value((4, 1)),)))


def test_the_program_has_the_names_and_lines_of_the_term():
    f = cl.linear(cl.R(N, 3), cl.R(N, 4)).named("stem") >> cl.relu
    found = term_program(f)
    assert [(g.role, g.name) for g in found.program.inputs] == [("parameter", p) for p in f.params] + [("data", "")]
    assert all(source is not None and source.file == __file__ for source in found.sources)


def test_the_batch_stands_in_front():
    f = cl.equivariant(PAIRS, X) >> cl.relu
    assert isinstance(prove(f, batch=(cl.dim("b"),)), Proof)
    plain_batch = prove(f, batch=(7,))
    assert isinstance(plain_batch, Proof) and plain_batch.program.wires[plain_batch.program.outputs[0]].shape == (7, N, 8)


def test_a_box_that_cannot_be_traced_is_opaque_and_proves_nothing():
    def shrink(x):
        return x if float(x.sum()) > 0 else -x

    x = cl.R(4)
    f = cl.relu(x) >> cl.box("shrink", x, x, shrink) >> cl.relu(x)
    found = term_program(f)
    assert [n.op for n in found.program.nodes if n.op.startswith("catlearn")] == ["catlearn.opaque.default"]
    stuck = prove(f, cl.space(cl.S(4)), cl.space(cl.S(4)))
    assert isinstance(stuck, Failure) and "opaque" in stuck.reason
    assert isinstance(prove(f), Proof)  # where nothing acts, there is nothing to prove


def test_dropout_and_batch_norm_are_programs_with_what_they_assume_and_keep():
    x = cl.space(G, 8)
    dropped = prove(cl.linear(x, x) >> cl.dropout(0.5))
    assert isinstance(dropped, Proof) and dropped.claim.assumes
    found = term_program(cl.batch_norm(cl.R(3)), (cl.dim("b"),))
    states = [g for g in found.program.inputs if g.role == "buffer"]
    assert states and all(found.program.wires[g.wire].entries is None for g in states)


def test_a_size_that_no_input_has_is_named():
    with pytest.raises((SizeUnknown, CannotTrace)):
        term_program(cl.full(cl.R(N), 1.0))
