"""The algebra of adapters: sums, multiples, concatenated ranks, compression, changes of base, and the order of a stack."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import catlearn as cl
from catlearn import adapters as ad
from catlearn import errors
from tests import strategies  # noqa: F401 (the profile)
from tests.adapters.dense import DENSE

sizes = st.integers(1, 7)


@st.composite
def changes(draw, count=1, ranks=sizes):
    """Factors of one layer's size, of random ranks, also above the layer's."""
    o, i, generator = draw(sizes), draw(sizes), torch.Generator().manual_seed(draw(st.integers(0, 999)))
    rand = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    return [ad.Factors(rand(o, r), rand(r, i)) for r in (draw(ranks) for _ in range(count))], rand


def near(a, b, tol=1e-10):
    a, b = a.detach(), b.detach()
    return a.shape == b.shape and bool((a - b).abs().max() <= tol * max(1.0, float(b.abs().max())))


# -- factors -------------------------------------------------------------------------------------------------------------


def crossed(f, g):
    """What a sum of factors gives: with cross terms. A mutant of the sum."""
    return (f.B + g.B) @ (f.A + g.A)


@given(changes(3), st.floats(-3, 3), st.floats(-3, 3))
@settings(max_examples=30)
def test_sums_and_multiples_are_those_of_the_changes_without_cross_terms(drawn, m, n):
    (f, g, h), _ = drawn
    assert near((f + g).dense(), f.B @ f.A + g.B @ g.A) and (f + g).rank == f.rank + g.rank
    assert near((m * f + n * g).dense(), m * (f.B @ f.A) + n * (g.B @ g.A))
    assert near(((f + g) + h).dense(), (f + (g + h)).dense()) and near((f + g).dense(), (g + f).dense())
    assert near((m * (f + g)).dense(), (m * f + m * g).dense())
    if f.rank == g.rank and float((f.B @ g.A).abs().max()) > 0.1:
        assert not near(crossed(f, g), (f + g).dense())


@given(changes(2), st.integers(1, 7), st.integers(1, 7))
@settings(max_examples=30)
def test_a_change_of_base_is_natural_and_contravariant_on_inputs(drawn, p, q):
    (f, g), rand = drawn
    Q, P = rand(q, f.B.shape[0]), rand(f.A.shape[1], p)
    assert near(f.rebased(Q, P).dense(), Q @ (f.B @ f.A) @ P)
    assert near((f + g).rebased(Q, P).dense(), f.rebased(Q, P).dense() + g.rebased(Q, P).dense())
    again, before = rand(3, q), rand(p, 2)
    assert near(f.rebased(Q, P).rebased(again, before).dense(), f.rebased(again @ Q, P @ before).dense())
    assert f.rebased().dense().equal(f.dense())


@given(changes(1), st.integers(1, 7))
@settings(max_examples=40)
def test_compression_is_the_best_change_of_that_rank(drawn, rank):
    (f,), _ = drawn
    U, s, V = torch.linalg.svd(f.B @ f.A, full_matrices=False)
    small = f.compressed(rank)
    k = min(rank, len(s), f.rank)
    assert small.rank == k and near(small.dense(), (U[:, :k] * s[:k]) @ V[:k], 1e-8)
    assert near(f.values(), s[: len(f.values())], 1e-8)
    assert near((small.dense() - f.dense()).square().sum(), f.values()[k:].square().sum(), 1e-8)
    assert near(f.compressed().dense(), f.dense(), 1e-8) and f.compressed().rank == int(torch.linalg.matrix_rank(f.dense()))
    first = ad.Factors(f.B[:, :rank], f.A[:rank])  # a mutant: the first ranks, which are not the largest
    assert (first.dense() - f.dense()).norm() >= (small.dense() - f.dense()).norm() - 1e-9


def test_a_change_of_twice_the_same_rank_compresses_to_that_rank_and_a_stack_to_its_largest():
    f = ad.Factors(torch.randn(5, 2, generator=torch.Generator().manual_seed(0)), torch.randn(2, 6))
    assert (f + f).rank == 4 and (f + f).compressed().rank == 2 and near((f + f).compressed().dense(), 2 * f.dense(), 1e-5)
    stack = ad.Factors(torch.stack([f.B, 0 * f.B]), torch.stack([f.A, f.A]))
    assert stack.compressed().B.shape == (2, 5, 2) and near(stack.compressed().dense(), stack.dense(), 1e-5)


# -- of a model ----------------------------------------------------------------------------------------------------------

LOW = [ad.LoRA(2, alpha=3), ad.RsLoRA(1), ad.AdaLoRA(2), ad.VeRA(3), ad.LoRA(2, dropout=0.5), ad.PEGO(1, group=2), ad.BiLoRA(2)]


def network():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.Conv2d(4, 6, 3, groups=2), nn.Embedding(9, 4), nn.Linear(8, 5))
    return model.double().eval()


def scattered(model):
    torch.manual_seed(1)
    for p in model.parameters():
        if p.requires_grad:
            nn.init.normal_(p, std=0.5)
    return model


def written(model, where):
    """The change of each weight, dense, by merging: another way than the factors take."""
    before = {n: model.get_submodule(n)._parameters["weight"].detach().clone() for n in where}
    cl.merge(model)
    found = {n: model.get_submodule(n)._parameters["weight"].detach() - before[n] for n in where}
    cl.unmerge(model)
    return found


@pytest.mark.parametrize("a", LOW, ids=lambda a: type(a).__name__)
@pytest.mark.parametrize("b", LOW[:3], ids=lambda a: type(a).__name__)
def test_concatenated_ranks_are_the_weighted_sum_of_the_dense_changes(a, b):
    model = network()
    places = "0|3" if isinstance(a, ad.VeRA) else "0|1|2|3"
    cl.adapt(cl.adapt(model, a, where=places, name="a"), b, where="0|1|3", name="b")
    scattered(model)
    x, layers = torch.randn(5, 6, dtype=torch.float64), places.split("|")
    numbers = {"a": 0.5, "b": -2.0}
    ad.activate(model, numbers)
    y, want = model[0](x), written(model, layers)
    one = {n: sum(numbers[k] * DENSE[type(c.adapter).__name__](c.adapter, 0 * model[0]._parameters["weight"], tensors(c))
                  for k, c in model[0].adapters["weight"].items()) for n in ("0",)}  # fmt: skip
    ad.concatenate(model, numbers, "both")
    assert near(model[0](x), y) and near(want["0"], one["0"])
    got = written(model, layers)
    assert all(near(got[n], want[n]) for n in layers)
    assert ad.active(model)["0.weight"] == (("both", None),) and all(p.requires_grad for n, p in model.named_parameters() if ".both." in n)
    ad.concatenate(model, {"a": 0.5, "b": -1.9}, "mutant")
    assert not near(written(model, layers)["0"], want["0"])


def tensors(cell):
    found = {**dict(cell.named_buffers()), **dict(cell.named_parameters())}
    shared = (
        {}
        if cell.common[0] is None
        else {f"shared.{n}": t for n, t in (*cell.common[0].named_parameters(), *cell.common[0].named_buffers())}
    )
    return {**found, **shared}


def test_a_smaller_rank_is_the_nearest_and_a_change_of_base_follows_the_weight():
    model = scattered(cl.adapt(network(), ad.LoRA(4), where="0", name="a"))
    change = written(model, ["0"])["0"]
    U, s, V = torch.linalg.svd(change)
    ad.concatenate(model, "a", "small", rank=2)
    assert near(written(model, ["0"])["0"], (U[:, :2] * s[:2]) @ V[:2], 1e-9)
    Q, P = torch.randn(8, 8, dtype=torch.float64), torch.randn(6, 6, dtype=torch.float64)
    ad.concatenate(model, "a", "moved", outputs={"0": Q}, inputs={"0": P})
    got = written(model, ["0"])["0"]
    assert near(got, Q @ change @ P) and not near(got, P.new_zeros(8, 6)) and not near(got, Q.T @ change @ P)


def test_a_stack_of_matrices_and_ranks_above_the_layer_s():
    class Experts(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.randn(3, 4, 5, dtype=torch.float64))

    model = Experts()
    for name in "abc":
        cl.adapt(model, ad.LoRA(2), where="w", name=name)
    scattered(model)
    cells = model.adapters["w"]
    want = sum(cells[n].B @ cells[n].A for n in "abc")
    ad.concatenate(model, ["a", "b", "c"], "all")  # 6 ranks in a layer of 4
    assert model.adapters["w"]["all"].adapter.rank == 4 and near(model.w.detach(), (model._parameters["w"] + want).detach())


def test_what_has_no_factors_or_does_not_fit_is_refused_and_nothing_changes():
    model = scattered(cl.adapt(cl.adapt(network(), ad.HRA(2), where="0", name="turn"), ad.LoRA(2), where="0|3", name="low"))
    state = {k: v.clone() for k, v in model.state_dict().items()}
    for act, error, text in (
        (lambda: ad.concatenate(model, ["turn", "low"], "x"), errors.BadAdapter, "no factors"),
        (lambda: ad.factors(model, "none"), errors.NothingMatched, "low"),
        (lambda: ad.concatenate(model, "low", "low"), errors.BadAdapter, "already"),
        (lambda: ad.concatenate(model, "low", "x", rank=0), errors.BadAdapter, "at least 1"),
        (lambda: ad.concatenate(model, "low", "x", inputs={"0": torch.eye(5)}), errors.BadAdapter, "the layer has 6"),
        (lambda: ad.concatenate(model, "low", "x", inputs={"7": torch.eye(5)}), errors.NothingMatched, "3"),
        (lambda: ad.concatenate(model, "low", "x", output={}), errors.BadAdapter, "outputs"),
        (lambda: ad.Factors(torch.ones(3, 2), torch.ones(3, 2)), errors.BadAdapter, "out, rank"),
        (lambda: ad.put_factors(model, {"0": ad.Factors(torch.ones(3, 1), torch.ones(1, 6))}, "x"), errors.BadAdapter, "6 → 8"),
    ):
        with pytest.raises(error, match=text):
            act()
    assert state.keys() == model.state_dict().keys() and all(torch.equal(v, state[k]) for k, v in model.state_dict().items())


# -- order ---------------------------------------------------------------------------------------------------------------

COMMUTE = [(ad.LoRA(1), ad.LoRA(1)), (ad.LoRA(1, alpha=3), ad.LoKr(1)), (ad.LoHa(1), ad.RsLoRA(1)), (ad.HiRA(1), ad.HiRA(1))]
DIFFER = [(ad.LoRA(1), ad.HRA(2)), (ad.HRA(2), ad.HRA(2)), (ad.HiRA(1), ad.LoRA(1)), (ad.DoRA(1), ad.LoRA(1)), (ad.LoRA(1), ad.BoRA(1))]


def both(a, b, o=2, i=3):  # in a plane two turns commute
    return ad.stacked({"a": a, "b": b}, o, i), ad.stacked({"b": b, "a": a}, o, i)


@pytest.mark.parametrize("a, b", COMMUTE, ids=str)
def test_added_changes_commute_and_both_ways_of_asking_say_so(a, b):
    assert str(ad.commutator(a, b, 4, 6)) == "0"
    assert cl.verify.equal(*both(a, b)).verdict == "proved"


@pytest.mark.parametrize("a, b", DIFFER, ids=str)
def test_orders_that_differ_have_a_witness_and_a_rest(a, b):
    assert str(ad.commutator(a, b, 4, 6)) != "0"
    assert cl.verify.equal(*both(a, b)).verdict == "refuted"


@pytest.mark.parametrize("a, b", [*COMMUTE, *DIFFER[:4]], ids=str)
def test_the_rest_is_the_difference_of_the_two_stacks_as_matrices(a, b):
    layer = nn.Linear(6, 4, bias=False).double()
    cl.adapt(cl.adapt(layer, a, name="a"), b, name="b")
    scattered(layer)
    W, rest = layer._parameters["weight"], ad.commutator(a, b, 4, 6)
    values = {"W": W, **{f"{n}.{k}": t for n, c in layer.adapters["weight"].items() for k, t in tensors(c).items()}}
    dense = [reduced(layer, order, W) for order in ("ab", "ba")]
    found = rest.dense({k: values[k] for k in rest.params}, torch.float64)
    assert near(found, dense[0] - dense[1])
    if (a, b) in DIFFER:  # a mutant: the other sign
        assert not near(found, dense[1] - dense[0])


def reduced(layer, order, W):
    for name in order:
        cell = layer.adapters["weight"][name]
        W = DENSE[type(cell.adapter).__name__](cell.adapter, W, tensors(cell))
    return W


def test_a_stack_of_nothing_is_refused():
    with pytest.raises(errors.BadAdapter, match="no adapters"):
        ad.stacked({}, 2, 2)


def test_what_cancels_leaves_one_column():
    generator = torch.Generator().manual_seed(0)
    for dtype in (torch.float32, torch.float64):
        f = ad.Factors(torch.randn(7, 3, generator=generator, dtype=dtype), torch.randn(3, 9, generator=generator, dtype=dtype))
        gone = (f + (-1) * f).compressed()
        assert gone.rank == 1 and float(gone.dense().abs().max()) < 1e-12
        small = (f + (1e-3 - 1) * f).compressed()  # what is small and there is kept
        assert small.rank == 3 and near(small.dense(), 1e-3 * f.dense(), 1e-5)
