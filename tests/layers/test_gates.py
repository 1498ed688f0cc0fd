"""What would break if a gate did not commute with its groups: random elements in float64, values by hand, and mutants that move."""

import pytest
import torch

import catlearn as cl
from catlearn import errors
from catlearn.layers.gates import norm_gate, symplectic_gate, tensor_product
from tests.layers.moves import F64, assert_equivariant, moves, randomised

S, O, SO, Sp, A = cl.S(4), cl.O(3), cl.SO(3), cl.Sp(4), cl.A(4)
TURNED = [O.space(1, 3), SO.space(2, 3), cl.space(S, O, 3), cl.space(O, cl.SO(2), A, 5), cl.space(cl.Z(3), S, O, 2)]


@pytest.mark.parametrize("x", TURNED, ids=str)
def test_norm_gate_commutes(x):
    assert_equivariant(norm_gate(x))
    assert norm_gate(x).cod == x


@pytest.mark.parametrize("x", [Sp.space(1, 3), Sp.space(2, 1), cl.space(S, Sp, 2), cl.space(Sp, O, 3), cl.space(cl.Sp(2), Sp, 2)], ids=str)
def test_symplectic_gate_commutes(x):
    assert_equivariant(symplectic_gate(x), tolerance=1e-9)
    assert symplectic_gate(x).cod == x


PRODUCTS = [
    (O.space(1, 3), O.space(1, 3), O.space(2, 3)),
    (Sp.space(1, 2), cl.R(2), Sp.space(1, 2)),
    (cl.space(S, O, 3), S.space(1, 3), cl.space(S, O, 3)),
    (cl.space(S, O, 3), cl.space(S, S, SO, 3), cl.space(S, S, O, SO, 3)),
    (cl.space(O, S, 3), cl.space(S, O, 3), cl.space(S, O, O, 3)),
    (O.space(1), O.space(1), O.space(2)),
]


@pytest.mark.parametrize(("x", "y", "z"), PRODUCTS, ids=str)
def test_tensor_product_commutes(x, y, z):
    assert tensor_product(x, y).cod == z
    assert_equivariant(tensor_product(x, y), tolerance=1e-9)


def test_norm_gate_by_hand():
    x = cl.space(cl.S(2), cl.O(3), 2)
    model, v = randomised(norm_gate(x)), torch.randn(5, 2, 3, 2, dtype=F64)
    squares = torch.stack([v[:, i].square().sum(1) for i in range(2)], 1)
    gates = torch.sigmoid(squares @ model.linear.weight.T + model.linear.bias)
    torch.testing.assert_close(model(v), v * gates[:, :, None, :])


def test_symplectic_gate_by_hand():
    model, v = randomised(symplectic_gate(Sp.space(1, 3), cl.tanh)), torch.randn(5, 4, 3, dtype=F64)
    form = torch.tensor([[0, 0, 1, 0], [0, 0, 0, 1], [-1, 0, 0, 0], [0, -1, 0, 0]], dtype=F64)
    pairs = (v.transpose(1, 2) @ form @ v).reshape(5, 9)
    torch.testing.assert_close(model(v), v * torch.tanh(pairs @ model.linear.weight.T + model.linear.bias)[:, None])


def test_tensor_product_by_hand():
    a, b = torch.randn(4, 3, 2, dtype=F64), torch.randn(4, 3, 2, dtype=F64)
    points = tensor_product(cl.space(cl.S(4), cl.O(3), 2), cl.space(cl.S(4), cl.O(3), 2))
    torch.testing.assert_close(points(a, b), a[:, :, None] * b[:, None])


def test_a_wire_that_nothing_turns_gets_the_activation():
    x, t = S.space(2, 3), torch.randn(4, 4, 3)
    for gate in (norm_gate, symplectic_gate):
        assert torch.equal(gate(x, cl.relu)(t), torch.relu(t)) and not gate(x, cl.relu).params


def test_several_wires_are_gated_one_by_one():
    x = cl.R(4) @ O.space(1, 4) @ O.space(2, 4)
    term = norm_gate(x, cl.relu)
    assert term.dom == term.cod == x and len(term.params) == 4
    assert_equivariant(term)


def test_symbolic_sizes():
    n, r = cl.dim("n"), cl.dim("r")
    x = cl.space(cl.S(n), cl.Sp(2 * r), 3)
    model = cl.compile(symplectic_gate(x), sizes={"r": 2}, dtype=F64)
    known = cl.compile(symplectic_gate(cl.space(cl.S(5), Sp, 3)), dict(model.named_parameters()), dtype=F64)
    v = torch.randn(2, 5, 4, 3, dtype=F64)
    torch.testing.assert_close(model(v), known(v))


def test_gates_train():
    """Gradients by autograd are those of finite differences."""
    for term in (norm_gate(cl.space(cl.S(2), cl.O(2), 2)), symplectic_gate(cl.Sp(2).space(1, 2))):
        model, v = randomised(term), torch.randn(*map(int, term.dom[0].shape), dtype=F64, requires_grad=True)
        assert torch.autograd.gradcheck(lambda v, *_, model=model: model(v), (v, *model.parameters()))


# -- mutants: what these tests would say of a gate that is wrong -------------------------------------------------------


def test_mutants_move():
    x, v = O.space(1, 3), torch.randn(5, 3, 3, dtype=F64)
    assert moves(lambda v: v * torch.sigmoid(v[:, 2:3]), x, x, [v])  # a gate that sees a single coordinate
    assert moves(torch.relu, x, x, [v])
    w, y = torch.randn(5, 4, 3, dtype=F64), Sp.space(1, 3)
    assert moves(lambda w: w * torch.sigmoid(w.square().sum(1, keepdim=True)), y, y, [w])  # norms are no invariants of Sp
    turned = cl.space(S, O, 3)
    u = torch.randn(5, 4, 3, 3, dtype=F64)
    assert moves(lambda u: u * u[:, :1].square().sum(2, keepdim=True), turned, turned, [u])  # a gate that sees one point
    swapped = lambda a, b: torch.einsum("zic,zjc->zjic", a, b)  # noqa: E731
    assert moves(swapped, x @ SO.space(1, 3), cl.space(O, SO, 3), [v, v])  # the axes of two groups exchanged


# -- what is refused ---------------------------------------------------------------------------------------------------

REFUSED = {
    "norm_gate cannot stand on.*Sp": lambda: norm_gate(Sp.space(1, 3)),
    "norm_gate cannot stand on.*T": lambda: norm_gate(cl.T(3).space(1, 3)),
    "axes of groups first": lambda: norm_gate(O.space(1)),
    "needed  the axes of groups first": lambda: norm_gate(cl.space(8, cl.O(3))),
    "no real numbers": lambda: norm_gate(cl.boolean(cl.O(3), 3)),
    "at least two channels": lambda: symplectic_gate(Sp.space(1, 1)),
    "symplectic_gate cannot stand on.*T": lambda: symplectic_gate(cl.space(cl.Sp(2), cl.T(3), 3)),
    "two single wires": lambda: tensor_product(cl.R(3) @ cl.R(3), cl.R(3)),
    "equal channels": lambda: tensor_product(O.space(1, 3), O.space(1, 4)),
    "the same permutations": lambda: tensor_product(cl.space(S, O, 3), cl.space(cl.S(5), O, 3)),
    "tensor_product cannot stand on.*T": lambda: tensor_product(cl.T(3).space(1, 3), cl.R(3)),
}


@pytest.mark.parametrize("text", REFUSED)
def test_refused_with_the_reason(text):
    with pytest.raises(errors.BadSymmetry, match=text):
        REFUSED[text]()


def test_a_symbolic_symplectic_size_is_even():
    """For Sp(n) with a symbol n the form would have to exist for odd n."""
    assert symplectic_gate(cl.Sp(2 * cl.dim("r", min=1)).space(1, 3))
