"""Edits of the first and last positions, against the paper's equation written with loops."""

import pytest
import torch
from torch import nn

import catlearn as cl
from catlearn import adapters as ad
from catlearn import errors
from tests.adapters.scattered import scattered


def layer():
    torch.manual_seed(0)
    return nn.Linear(5, 6).double()


def moved(model, seed=1):
    return scattered(model, 0.5, seed)


def rows_of(V):
    """Orthonormal rows, one after the other, by hand."""
    found = []
    for v in V:
        for q in found:
            v = v - (v @ q) * q
        found.append(v / v.norm())
    return torch.stack(found)


def phi(cell, h):
    """h + Rᵀ(W h + b − R h), the paper's equation (2), on one vector."""
    R = rows_of(cell.V)
    return h + R.t() @ (cell.W_r @ h + cell.b_r - R @ h)


def by_loops(model, x, edited):
    """Every position by itself; ``edited(t, T)`` says which adapters edit it."""
    W, b = model._parameters["weight"], model._parameters["bias"]
    out = torch.empty(*x.shape[:-1], 6, dtype=x.dtype)
    for k, sequence in enumerate(x):
        for t, v in enumerate(sequence):
            h = W @ v + b
            for name in edited(t, len(sequence)):
                h = phi(model.adapters["weight"][name], h)
            out[k, t] = h
    return out


X = torch.randn(2, 7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("positions, p, s", [("f1+l1", 1, 1), ("f3", 3, 0), ("l2", 0, 2), ("f2+l4", 2, 4), ("f5+l5", 5, 5), ("all", 9, 0)])
@pytest.mark.parametrize("length", [1, 2, 7])
def test_first_and_last_positions_are_edited_and_no_others(positions, p, s, length):
    model, x = moved(cl.adapt(layer(), ad.LoReFT(2, positions=positions))), X[:, :length].clone().requires_grad_()
    want = by_loops(model, x, lambda t, T: ["default"] if t < p or t >= T - s else [])
    y = model(x)
    assert torch.allclose(y, want, rtol=1e-10)
    learning = [x, *(q for q in model.parameters() if q.requires_grad)]
    got, wanted = (torch.autograd.grad(v.square().sum(), learning) for v in (y, want))
    assert all(torch.allclose(a, b, rtol=1e-9, atol=1e-10) for a, b in zip(got, wanted, strict=True))
    if length == 7 and positions != "all":  # a mutant: one position further
        other = by_loops(model, x, lambda t, T: ["default"] if t < p + 1 or t >= T - s else [])
        assert torch.allclose(y, other, rtol=1e-10) == (p + s >= 7)


def test_both_ends_may_have_interventions_of_their_own_and_stack_with_any_method():
    model = layer()
    for name, adapter in (("low", ad.LoRA(2)), ("first", ad.LoReFT(2, positions="f3")), ("last", ad.LoReFT(1, positions="l5"))):
        cl.adapt(model, adapter, name=name)
    moved(model)
    low = model.adapters["weight"]["low"]
    base, W = layer(), model._parameters["weight"]
    y = model(X)
    by_hand = by_loops(model, X, lambda t, T: [n for n, on in (("first", t < 3), ("last", t >= T - 5)) if on])
    with torch.no_grad():
        W += low.B @ low.A
    want = by_loops(model, X, lambda t, T: [n for n, on in (("first", t < 3), ("last", t >= T - 5)) if on])
    with torch.no_grad():
        W -= low.B @ low.A
    assert torch.allclose(y, want, rtol=1e-9) and not torch.allclose(y, by_hand)
    ad.activate(model, {"first": 0.5, "last": 2.0})
    plain = base(X)
    want = plain + 0.5 * (by_loops(model, X, lambda t, T: ["first"] * (t < 3)) - plain)
    want = want + 2.0 * (by_loops(model, X, lambda t, T: ["last"] * (t >= T - 5)) - plain)
    assert torch.allclose(model(X), want, rtol=1e-9)
    with ad.disabled(model):
        assert torch.allclose(model(X), plain)


def test_in_the_edited_subspace_the_output_is_what_was_asked_and_beside_it_the_base():
    model = moved(cl.adapt(layer(), ad.LoReFT(2, positions="f1")))
    cell, base = model.adapters["weight"]["default"], layer()(X)
    R, y = rows_of(cell.V), model(X)
    assert torch.allclose(y[:, 0] @ R.t(), base[:, 0] @ cell.W_r.t() + cell.b_r, rtol=1e-9)
    beside = torch.eye(6).double() - R.t() @ R
    assert torch.allclose(y @ beside, base @ beside, rtol=1e-9) and torch.allclose(y[:, 1:], base[:, 1:], rtol=1e-12)


@pytest.mark.parametrize("mask", [[[1, 1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1, 1]], [[0, 0, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0, 1]],
                                  [[0] * 7, [1, 0, 1, 0, 1, 0, 1]]])  # fmt: skip
def test_padding_on_either_side_is_no_position(mask):
    model = layer()
    cl.adapt(cl.adapt(model, ad.LoReFT(2, positions="f1+l2"), name="a"), ad.LoReFT(1, positions="l1"), name="b")
    moved(model)
    kept = [[t for t, on in enumerate(row) if on] for row in mask]
    want = []
    for row, real in zip(X, kept, strict=True):
        ends = {"a": {*real[:1], *real[-2:]}, "b": {*real[-1:]}}
        want.append(by_loops(model, row[None], lambda t, T, ends=ends: [n for n, at in ends.items() if t in at])[0])
    want = torch.stack(want)
    plain = model(X)
    with ad.tokens(model, torch.tensor(mask)):
        y = model(X)
    assert torch.allclose(y, want, rtol=1e-10) and not torch.allclose(y, plain) and torch.equal(model(X), plain)


def test_positions_compile_and_export_for_any_length():
    model = moved(cl.adapt(layer(), ad.LoReFT(2, positions="f1+l2")))
    torch._dynamo.reset()
    run = torch.compile(model, fullgraph=True, backend="aot_eager")
    assert torch.allclose(run(X), model(X))
    program = torch.export.export(model, (X,), dynamic_shapes=({1: torch.export.Dim("tokens", min=5)},))
    for x in (X, X[:, :5]):
        assert torch.allclose(program.module()(x), model(x))


def test_what_positions_cannot_do_is_named():
    make = lambda: cl.adapt(layer(), ad.LoReFT(2, positions="f1"))  # noqa: E731
    for act, error, text in (
        (lambda: cl.merge(make()), errors.BadMerge, "some positions"),
        (lambda: make()(X[0, 0]), errors.BadAdapter, "single vector"),
        (lambda: cl.adapt(nn.Embedding(5, 6), ad.LoReFT(2, positions="f1")), errors.CannotAdapt, "linear layers"),
        (lambda: cl.adapt(nn.MultiheadAttention(8, 2), ad.LoReFT(2, positions="f1")), errors.CannotAdapt, "linear layers"),
        (lambda: ad.factors(make()), errors.BadAdapter, "no factors"),
        (lambda: cl.adapt(cl.linear(cl.R(4), cl.R(4), name="a"), ad.LoReFT(2, positions="f1")), errors.BadAdapter, "positions"),
        *((lambda bad=bad: cl.adapt(layer(), ad.LoReFT(2, positions=bad)), errors.BadAdapter, "needed 'all'")
          for bad in ("", "f", "f1l1", "l1+f1", "f1+", "+l1", "f-1", 3, None, "first")),
    ):  # fmt: skip
        with pytest.raises(error, match=text):
            act()
    model = make()
    with ad.tokens(model, torch.ones(2, 6)), pytest.raises(errors.BadAdapter, match="one entry for each token"):
        model(X)
    with (
        ad.tokens(model, torch.ones(2, 7)),
        pytest.raises(errors.BadAdapter, match="within tokens"),
        ad.per_sample(model, ["default", None]),
    ):
        pass
    with ad.per_sample(model, ["default", None]):
        y = model(X)
        with pytest.raises(errors.BadAdapter, match="within per_sample"), ad.tokens(model, torch.ones(2, 7)):
            pass
    assert torch.allclose(y[0], model(X)[0]) and torch.allclose(y[1], layer()(X)[1])


def test_a_file_keeps_the_positions(tmp_path):
    model = nn.Sequential(layer())
    cl.save_adapter(moved(cl.adapt(model, ad.LoReFT(2, positions="f1+l1"))), tmp_path)
    assert torch.allclose(cl.load_adapter(nn.Sequential(layer()), tmp_path)(X), model(X))
