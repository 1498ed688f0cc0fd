"""Maps as objects: simplification, tying, names, plain data, and every way in which input can be wrong."""

from __future__ import annotations

import copy
import pickle
from fractions import Fraction

import pytest
import torch

from catlearn import errors, maps
from tests.maps.strategies import numbers

A, B = maps.dense("A", 2, 3), maps.dense("B", 3, 2)


def test_units_vanish_and_nothing_with_parameters_does():
    one, none = maps.identity(3), maps.zero(2, 3)
    assert one >> A == A and A >> maps.identity(2) == A and A + none == A and none + A == A
    assert A @ maps.identity(()) == A and 1 * A == A and 2 * (3 * A) == 6 * A and -(-1 * A) == A
    assert (2 * A) >> (3 * B) == 6 * (A >> B) and (Fraction(1, 2) * A) @ (2 * B) == A @ B
    assert 0 * one == maps.zero(3, 3) and (0 * A).params.keys() == {"A"}
    assert (A >> B) >> A == A >> (B >> A) and (A @ B) @ A == A @ (B @ A) and A.T.T == A
    assert (A >> B).T == B.T >> A.T and (A @ B).T == A.T @ B.T


def test_one_name_is_one_parameter():
    f = A @ A
    values = numbers(f)
    assert list(values) == ["A"] and torch.allclose(f.dense(values), torch.kron(values["A"], values["A"]))
    gram = (A.T >> A).T
    assert gram.params.keys() == {"A"}
    with pytest.raises(errors.BadMap, match="two different parameters"):
        A @ maps.dense("A", 3, 3)
    with pytest.raises(errors.BadMap, match="trainable=False"):
        A @ maps.dense("A", 2, 3, trainable=False)


ALL = [
    A >> B, maps.block([[A, None], [None, B]]), maps.mask([[1, 0]]) @ maps.circulant("c", 3, 2), maps.fourier(4).T,
    maps.row_norm(A, Fraction(1, 2)), maps.reflection("v", 3, 2).T, maps.permute((2, 3), (1, 0)) >> maps.reshape((3, 2), 6),
]  # fmt: skip


@pytest.mark.parametrize("f", ALL)
def test_plain_data_copies_and_pickles(f):
    assert maps.from_data(maps.to_data(f)) == f and copy.deepcopy(f) == f
    f.apply(torch.randn(2, *f.dom))
    assert pickle.loads(pickle.dumps(f)) == f and hash(f) == hash(copy.deepcopy(f))
    with pytest.raises(errors.BadMap, match="no kind of map"):
        maps.from_data(("Unknown", 1))


def test_starting_values_are_used_where_none_are_given():
    weight = torch.randn(2, 3)
    f = maps.dense("W", 2, 3, init=weight) @ maps.diagonal("d", 2)
    assert torch.equal(f.dense(), torch.kron(weight, torch.eye(2)))
    x = torch.randn(4, 3, 2, dtype=torch.float64)
    assert torch.allclose(f.apply(x), torch.einsum("ai,tij->taj", weight.double(), x))


def test_half_precision_and_autocast():
    f = maps.dense("W", 2, 3) + (maps.dense("A", 1, 3) >> maps.dense("B", 2, 1))
    values = numbers(f, dtype=torch.bfloat16)
    assert f.apply(torch.ones(4, 3, dtype=torch.bfloat16), values).dtype == torch.bfloat16
    full = {k: v.requires_grad_() for k, v in numbers(f, dtype=torch.float32).items()}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = f.apply(torch.ones(4, 3), full)
    y.float().sum().backward()
    assert full["A"].grad is not None


def test_the_result_is_never_the_input_or_a_parameter():
    x = torch.zeros(3, 4)
    y = maps.identity(4).apply(x)
    y += 1
    assert not x.any()
    w = {"A": torch.zeros(2, 3)}
    m = A.dense(w)
    m += 1
    assert not w["A"].any()
    c = maps.constant([[1, 2]])
    c.dense().add_(1)
    assert torch.equal(c.dense(), torch.tensor([[1.0, 2.0]]))


def test_no_derivative_passes_through_a_constant_norm():
    values = {k: v.requires_grad_() for k, v in numbers(A).items()}
    f, g = A >> maps.row_norm(A, -1, constant=True), A >> maps.row_norm(A, -1)
    x = torch.randn(5, 3, dtype=torch.float64)
    w = values["A"]
    held = torch.nn.functional.linear(x, w) / w.detach().norm(dim=1)
    (wanted,) = torch.autograd.grad(held.sum(), w)
    assert torch.allclose(torch.autograd.grad(f.apply(x, values).sum(), w)[0], wanted)
    assert not torch.allclose(torch.autograd.grad(g.apply(x, values).sum(), w)[0], wanted)
    import catlearn as cl

    model = cl.compile(cl.reverse(cl.linear(f), False), {"linear.A": w.detach()}, dtype=torch.float64)
    assert torch.allclose(model(x, torch.ones(5, 2, dtype=torch.float64))[0], wanted)


BAD = {
    "do not compose": (lambda: A >> A, "2 is not 3.*\n.*A : 3 → 2"),
    "could be reshaped": (lambda: maps.identity(6) >> maps.identity((2, 3)), r"put reshape\(\(6,\), \(2, 3\)\)"),
    "no sum": (lambda: A + B, "no sum"),
    "no Hadamard product": (lambda: A * B, "no Hadamard product"),
    "a factor": (lambda: float("nan") * A, "finite number"),
    "a name": (lambda: maps.dense("a b", 2, 2), "is no name"),
    "a size": (lambda: maps.dense("A", -1, 2), "no tensor space"),
    "a start": (lambda: maps.dense("A", 2, 2, init=torch.zeros(3, 2)), "another shape"),
    "ragged rows": (lambda: maps.constant([[1, 2], [3]]), "one length"),
    "infinite entries": (lambda: maps.constant([[float("inf")]]), "finite"),
    "a vector as a matrix": (lambda: maps.constant([1, 2]), "a matrix is needed"),
    "a constant's spaces": (lambda: maps.constant([[1, 2]], 2, 2), "do not fit"),
    "positions": (lambda: maps.selection(3, [0, 3]), "no positions"),
    "a permutation": (lambda: maps.permutation([0, 0]), "every position once"),
    "an order": (lambda: maps.permute((2, 3), (0, 2)), "is no order"),
    "dimensions": (lambda: maps.reshape(6, (2, 2)), "dimensions differ"),
    "a place": (lambda: maps.broadcast(2, 2, 3), "no position"),
    "unequal factors": (lambda: maps.contraction((2, 3), 0, 1), "two different factors"),
    "sparse lengths": (lambda: maps.sparse("s", 2, 2, [0, 1], [0]), "no positions"),
    "sparse outside": (lambda: maps.sparse("s", 2, 2, [2], [0]), "no positions"),
    "no reflections": (lambda: maps.reflection("v", 3, 0), "at least one"),
    "an empty grid": (lambda: maps.circulant("c", 0), "empty grid"),
    "a transform": (lambda: maps.fourier((2, 3)), "one size"),
    "ragged grid": (lambda: maps.block([[A], [A, A]]), "rows of one length"),
    "an empty row": (lambda: maps.block([[A, A], [None, None]]), "row 1 has no map"),
    "unequal columns": (lambda: maps.block([[A, A], [B, A]]), "row 1 has maps of different sizes"),
    "a Kronecker sum": (lambda: maps.kronecker_sum(A, B), "into itself"),
    "no diagram": (lambda: maps.diagram(3, 2), "needed: a diagram"),
    "integers": (lambda: A.apply(torch.ones(3, dtype=torch.int64)), "no tensor of real numbers"),
    "no tensor": (lambda: A.apply([1.0, 2.0, 3.0]), "no tensor of real numbers"),
    "a shape": (lambda: A.apply(torch.ones(5, 2)), r"given  \(5, 2\).*\n.*needed \(\*batch, 3\)"),
    "a missing parameter": (lambda: (A >> B).apply(torch.ones(3), {"A": torch.ones(2, 3)}), "missing: B"),
    "an unknown parameter": (lambda: A.dense({"A": torch.ones(2, 3), "C": torch.ones(1)}), "not a parameter: C"),
    "a parameter's shape": (lambda: A.apply(torch.ones(3), {"A": torch.ones(3, 2)}), r"A: given \(3, 2\), needed"),
    "a parameter's dtype": (lambda: A.apply(torch.ones(3), {"A": torch.ones(2, 3).double()}), "float64, needed torch.float32"),
    "mixed dtypes": (lambda: (A >> B).dense({"A": torch.ones(2, 3), "B": torch.ones(3, 2).double()}), "several dtypes"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_told(what):
    make, message = BAD[what]
    with pytest.raises(errors.BadMap, match=message):
        make()
