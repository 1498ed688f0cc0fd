"""``cl.linear(map)``: every meaning of the box against the others, and against the matrix of the map."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

import catlearn as cl
from catlearn import maps
from catlearn.core.term import Box
from catlearn.maps.drawn import Diagram
from catlearn.meanings.exact import evaluate
from tests.boxes.agree import agree, check_twice
from tests.maps.reference import matrix
from tests.maps.strategies import numbers

W, A, B = maps.dense("W", (2, 3), 4, trainable=False), maps.dense("A", 2, 4), maps.dense("B", (2, 3), 2)
CASES = {
    "low rank": W + Fraction(1, 2) * (A >> B),
    "kronecker": maps.dense("P", 3, 2) @ maps.dense("Q", 2, 3) @ maps.identity(2),
    "kronecker sum": maps.kronecker_sum(maps.dense("P", 2, 2), maps.circulant("c", 3)),
    "spectral": maps.fourier(6).T >> maps.circulant("c", 2, 2, 3) >> maps.cosine(4) >> maps.diagonal("d", 4),
    "reflections": maps.reflection("u", 4, 2) >> maps.reflection("v", 4) >> maps.scalar("s", 4),
    "moves": maps.permute((2, 3), (1, 0)) >> maps.broadcast((3, 2), 0, 2) >> maps.contraction((2, 3, 2), 0, 2)
    >> maps.selection(3, [2, 0, 2, 1]) >> maps.selection(3, [1, 1, 2, 0]).T,
    "sparse": maps.sparse("s", (2, 2), 3, [0, 3, 1], [2, 0, 0], source=[0, 1, 0], factors=[1, -1, 2])
    - maps.constant([[1, 2, 3]] * 4, (2, 2), 3),
    "blocks": maps.block([[maps.dense("X", 2, 3), None], [maps.zero(1, 3), maps.dense("Y", 1, 2)]]).T,
    "hadamard": maps.dense("X", 4, 3) * ((maps.dense("R", 2, 3) >> maps.dense("S", 4, 2)) + maps.mask(np.eye(4)[:, :3])),
    "norms": (f := maps.dense("X", 3, 4) + (maps.dense("R", 1, 4) >> maps.dense("S", 3, 1))) >> maps.row_norm(f, -1)
    >> maps.diagonal("m", 3),
    "diagram": Diagram(2, 2, 2, ((0, 2),), ((1, 3),)) + 3 * Diagram(2, 2, 2, ((0, 1, 3),), (), (((2,),),)),
    "nothing": maps.zero(3, 2),
}  # fmt: skip


def reference(f):
    """The map as one product with its matrix, which torch differentiates."""

    def call(x, **params):
        batch = x.shape[: x.dim() - len(f.dom)]
        return (x.reshape(*batch, math.prod(f.dom)) @ written(f, params).T.to(x.dtype)).reshape(*batch, *f.cod)

    return call


def written(f, params):
    """The matrix of a map, differentiable: the independent evaluator on tensors of 0-d entries would be slow, so torch builds it."""
    kind = type(f).__name__
    match kind:
        case "Dense":
            return params[f.name].reshape(math.prod(f.cod), -1)
        case "Scalar":
            return params[f.name] * torch.eye(math.prod(f.dom), dtype=params[f.name].dtype)
        case "Diagonal":
            return torch.diag(params[f.name].reshape(-1))
        case "Compose":
            found = written(f.maps[0], params)
            for g in f.maps[1:]:
                found = written(g, params).to(found.dtype) @ found
            return found
        case "Tensor":
            found = torch.ones(1, 1, dtype=torch.float64)
            for g in f.maps:
                found = torch.kron(found, written(g, params).double().contiguous())
            return found
        case "Sum":
            return sum(written(g, params).double() for g in f.maps)
        case "Scaled":
            return float(f.factor) * written(f.of, params)
        case "Transposed":
            return written(f.of, params).T
        case "Hadamard":
            return written(f.left, params) * written(f.right, params)
        case "RowNorm":
            return torch.diag(written(f.of, params).square().sum(1) ** (f.exponent / 2))
        case "Block":
            bands = []
            for row, n in zip(f.grid, f.rows, strict=True):
                cells = [torch.zeros(n, m).double() if g is None else written(g, params).double()
                         for g, m in zip(row, f.columns, strict=True)]  # fmt: skip
                bands.append(torch.cat(cells, 1))
            return torch.cat(bands)
        case "Reflection":
            found = torch.eye(math.prod(f.dom), dtype=params[f.name].dtype)
            for v in params[f.name].flip(0) if f.backwards else params[f.name]:
                found = found - 2 * (found @ v)[:, None] * v / (v @ v)
            return found
        case "Circulant":
            rows, columns, n = f.grid
            c = params[f.name]
            blocks = [[torch.stack([c[i, j].roll(k) for k in range(n)], 1) for j in range(columns)] for i in range(rows)]
            found = torch.cat([torch.cat(row, 1) for row in blocks])
            return found.T if f.transposed else found
        case "Sparse" if f.name is not None:
            found = torch.zeros(math.prod(f.cod), math.prod(f.dom), dtype=params[f.name].dtype)
            for r, c, s, v in zip(f.rows, f.columns, f.source, f.factors.values, strict=True):
                hot = torch.zeros_like(found)
                hot[r, c] = v
                found = found + hot * params[f.name][s]
            return found
        case _:
            return torch.from_numpy(matrix(f, {})).double()


@pytest.mark.parametrize("name", CASES)
def test_every_meaning_of_the_box_agrees(name):
    f = CASES[name]
    agree(cl.linear(f), reference(f), bits=False, aten=False)


@pytest.mark.parametrize("name", ["kronecker sum", "kronecker", "reflections", "norms"])
def test_second_derivatives(name):
    check_twice(cl.linear(CASES[name]), reference(CASES[name]))


@pytest.mark.parametrize("name", ["low rank", "moves", "sparse", "blocks", "diagram"])
def test_exact_meaning(name):
    f = CASES[name]
    values = {k: np.array([Fraction(int(v * 8), 8) for v in p.reshape(-1)] + [None])[:-1].reshape(p.shape) for k, p in numbers(f).items()}
    x = np.array([Fraction(i * i - 3, 2) for i in range(math.prod(f.dom))] + [None])[:-1]
    found = evaluate(cl.linear(f), "rationals", [x.reshape(f.dom)], {f"linear.{k}": v for k, v in values.items()})
    wanted = matrix(f, values, object) @ x
    assert [Fraction(v) for v in found.array.reshape(-1)] == [Fraction(v) for v in wanted]


@pytest.mark.parametrize("name", CASES)
def test_files(name, tmp_path):
    term = cl.linear(CASES[name], name="layer").named("net")
    again = cl.load(cl.save(term, tmp_path / "f.safetensors"))
    assert again == term and list(cl.compile(again).state_dict()) == [f"net.layer.{p}" for p in CASES[name].params]
    assert isinstance(again.body, Box) and again.body.op.map == CASES[name]
    assert maps.from_data(maps.to_data(CASES[name])) == CASES[name]


def test_a_frozen_factor_is_frozen_in_the_module():
    model = cl.compile(cl.linear(CASES["low rank"]))
    assert {name: p.requires_grad for name, p in model.named_parameters()} == {"linear.W": False, "linear.A": True, "linear.B": True}
    model(torch.randn(3, 4)).sum().backward()
    assert model.linear.W.grad is None and model.linear.A.grad is not None


def test_in_a_network_it_learns_and_costs():
    net = cl.linear(cl.R(6), cl.R(4)) >> cl.gelu >> cl.linear(CASES["low rank"])
    assert cl.cost(net).trainable == 6 * 4 + 4 + 8 + 12
    data = torch.randn(32, 6), torch.randn(32, 2, 3)
    fitted = cl.learner(net, cl.mse, cl.sgd(0.1)).fit(data, epochs=3)
    assert fitted.history


def test_compiled_exported_and_transformed():
    f = CASES["kronecker"]
    model = cl.compile(cl.linear(f), dtype=torch.float64)
    x = torch.randn(5, *f.dom, dtype=torch.float64)
    y = model(x)
    assert torch.allclose(torch.export.export(model, (x,)).module()(x), y)
    assert torch.allclose(torch.vmap(model)(x), y)
    params = dict(model.named_parameters())

    def loss(params):
        return torch.func.functional_call(model, params, (x,)).square().sum()

    grads = torch.func.grad(loss)(params)
    loss(params).backward()
    for name, p in params.items():
        assert torch.allclose(grads[name], p.grad)
    _, tangent = torch.func.jvp(loss, (params,), ({k: torch.ones_like(v) for k, v in params.items()},))
    assert torch.allclose(tangent, sum(g.sum() for g in grads.values()))


@pytest.mark.slow
def test_under_torch_compile():
    for name in ("low rank", "kronecker", "reflections"):
        f = CASES[name]
        model = cl.compile(cl.linear(f), dtype=torch.float64)
        x = torch.randn(5, *f.dom, dtype=torch.float64)
        fast = torch.compile(model, fullgraph=True, backend="aot_eager")
        wanted = torch.autograd.grad(model(x).sum(), [p for p in model.parameters() if p.requires_grad])
        found = torch.autograd.grad(fast(x).sum(), [p for p in model.parameters() if p.requires_grad])
        for a, b in zip(found, wanted, strict=True):
            assert torch.allclose(a, b)


def test_bad_input_is_told():
    with pytest.raises(cl.errors.BadBox, match="a map alone"):
        cl.linear(CASES["low rank"], cl.R(3))
    with pytest.raises(cl.errors.BadBox, match="a domain and a codomain"):
        cl.linear(cl.R(3))
    with pytest.raises(cl.errors.NotComposable):
        cl.linear(cl.R(3), cl.R(5)) >> cl.linear(CASES["low rank"])
