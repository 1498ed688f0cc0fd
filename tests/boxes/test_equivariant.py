"""What would break if the box were not its sum of diagrams: every meaning against dense matrices built from the definition."""

import copy
import math
import tracemalloc
from fractions import Fraction as Q
from itertools import product

import pytest
import torch
from torch.func import functional_call

import catlearn as cl
from catlearn import errors
from catlearn.boxes.diagram import rank, square
from catlearn.boxes.equivariant import Equivariant, basis
from catlearn.core.spaces import Axis, Wire
from catlearn.core.term import Box
from catlearn.layers.equivariant import equivariant
from catlearn.maps.sums import choose
from catlearn.meanings.build import definition
from catlearn.meanings.exact import evaluate
from tests.boxes.agree import agree, check_definition, check_twice

F64 = torch.float64
S, A, O, SO, Sp = cl.S, cl.A, cl.O, cl.SO, cl.Sp


# -- the definition, by visiting every index ---------------------------------------------------------------------------


def sign(values):
    return 0 if len(set(values)) < len(values) else (-1) ** sum(a > b for i, a in enumerate(values) for b in values[i + 1 :])


def entry(element, sizes, at):
    """One entry of a diagram's matrix at the indices of all its points: the product of its deltas, arcs and signs."""
    value = 1
    for block in element.deltas:
        value *= len({at[point] for point in block}) == 1
    for a, b in element.arcs:
        half = sizes[a] // 2
        value *= (at[b] == at[a] + half) - (at[a] == at[b] + half)
    for legs in element.coupons:
        if any(len({at[point] for point in leg}) > 1 for leg in legs):
            return 0
        seen, n = [at[leg[0]] for leg in legs], sizes[legs[0][0]] if legs else 1
        value *= sign([*seen, *sorted(set(range(n)) - set(seen))]) if len(set(seen)) == len(seen) else 0
    return value


def dense(elements, sizes):
    """Elements by indices of all points."""
    found = [[entry(e, sizes, at) for at in product(*map(range, sizes))] for e in elements]
    return torch.tensor(found, dtype=F64).reshape(len(elements), *sizes)


def reference(box):
    """y[o, c'] = Σ s_d D_d[o, i] weight[d, c', c] x[i, c] + Σ B_b[o] bias[b, c'], as one dense product."""
    op, dom, out = box.op, box.dom[0].axes[box.op.lead :], box.op.out.axes[box.op.lead :]
    ins, outs = ([a.size for a in axes if a.group] for axes in (dom, out))
    found = basis(Wire(dom), Wire(out))
    scale = [math.prod(([*outs, *ins])[min(b)] for b in (*e.deltas, *e.arcs) if min(b) >= len(outs)) for e in found.elements]
    scale = torch.tensor(scale if op.normalise == "mean" else [1] * len(scale), dtype=F64)
    matrices = dense(found.elements, [*outs, *ins]).reshape(len(scale), math.prod(outs), math.prod(ins)) / scale[:, None, None]
    shifts = dense(basis(Wire(()), Wire(out)).elements, outs).reshape(-1, math.prod(outs))

    def call(x, weight, bias=None):
        lead = x.shape[: x.dim() - len(dom)]
        effective = torch.einsum("doi,dyx->oyix", matrices.to(x.dtype), weight)
        y = torch.einsum("...ix,oyix->...oy", x.reshape(*lead, math.prod(ins), weight.shape[2]), effective)
        y = y if bias is None else y + torch.einsum("bo,by->oy", shifts.to(x.dtype), bias)
        return y.reshape(*lead, *(a.size for a in out))

    return call


CASES = {
    "S 2 to 2": equivariant(S(4).space(2, 2), S(4).space(2, 3)),
    "S 2 to 2, a small n": equivariant(S(2).space(2, 2), S(2).space(2, 3)),
    "S 1 to 2": equivariant(S(3).space(1, 3), S(3).space(2, 1)),
    "S 2 to 0": equivariant(S(3).space(2, 2), cl.R(2)),
    "S 0 to 2": equivariant(cl.R(2), S(3).space(2, 2)),
    "S 1 to 1 of one point": equivariant(S(1).space(1, 2), S(1).space(1, 2)),
    "A of one point": equivariant(A(1).space(1, 2), A(1).space(1, 2)),
    "A of two points": equivariant(A(2).space(1, 2), A(2).space(1, 1)),
    "O(1)": equivariant(O(1).space(1, 2), O(1).space(3, 2)),
    "SO(1)": equivariant(SO(1).space(1, 2), SO(1).space(2, 2)),
    "A with a sign": equivariant(A(3).space(1, 2), A(3).space(1, 2)),
    "A, two legs": equivariant(A(3).space(0, 2), A(3).space(2, 2)),
    "O 2 to 2": equivariant(O(3).space(2, 2), O(3).space(2, 3)),
    "O 1 to 3, no bias": equivariant(O(2).space(1, 2), O(2).space(3, 2), bias=False),
    "SO with a determinant": equivariant(SO(3).space(1, 2), SO(3).space(2, 2)),
    "SO(2)": equivariant(SO(2).space(1, 2), SO(2).space(1, 2)),
    "Sp 2 to 2": equivariant(Sp(4).space(2, 2), Sp(4).space(2, 1)),
    "Sp 1 to 1": equivariant(Sp(2).space(1, 2), Sp(2).space(1, 2)),
    "mean": equivariant(S(4).space(2, 2), S(4).space(1, 3), normalise="mean"),
    "mean, traces": equivariant(O(3).space(2, 2), O(3).space(2, 2), normalise="mean"),
    "two groups on one wire": equivariant(cl.space(S(3), O(2), 2), cl.space(O(2), S(3), S(3), 1)),
    "one kind twice": equivariant(cl.space(S(3, "a"), S(3, "b"), 2), cl.space(S(3, "b"), S(3, "a"), 2)),
    "no channels": equivariant(S(3).space(2), S(3).space(1)),
    "channels in two axes": equivariant(cl.space(S(3), 2, 2), cl.space(S(3), 3, 1)),
    "shared first axes": equivariant(cl.space(S(4), S(4), 2), cl.space(S(4), S(4), S(4), 3), lead=1),
    "plain first axes": equivariant(cl.space(5, S(3), 2), cl.space(5, S(3), 1), lead=1),
}


@pytest.mark.parametrize("name", CASES)
def test_every_meaning_is_the_dense_map(name):
    agree(CASES[name], reference(CASES[name]), batches=((), (2, 3), (0,)), bits=False, aten=False)


SPLITS = {S(4).space(2, 2): False, O(3).space(2, 2): True, Sp(4).space(2, 1): True, SO(3).space(2, 2): False}


@pytest.mark.parametrize("dom", SPLITS, ids=str)
def test_all_strategies_are_the_dense_map(dom):
    """A weight that does not fall into blocks has no strategy of that name."""
    for strategy in choose.STRATEGIES if SPLITS[dom] else ("dense", "diagrams"):
        box = equivariant(dom, dom, strategy=strategy)
        agree(box, reference(box), batches=((3,),), bits=False, aten=False)


@pytest.mark.parametrize("name", ["S 2 to 2", "SO with a determinant", "mean"])
def test_the_reverse_has_a_reverse(name):
    check_twice(CASES[name], reference(CASES[name]), batch=(2,))


@pytest.mark.parametrize("name", ["S 2 to 2", "Sp 2 to 2", "A with a sign"])
def test_gradients_are_finite_differences(name):
    model = cl.compile(CASES[name], dtype=F64)
    x = torch.randn(2, *map(int, CASES[name].dom[0].shape), dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, *p: functional_call(model, dict(zip(dict(model.named_parameters()), p, strict=True)), x),
                                    (x, *model.parameters()))  # fmt: skip


def test_a_mutant_is_refuted():
    """A flipped block, a lost sign and a coefficient more are each told from the map by the checks above."""
    box = CASES["Sp 2 to 2"]
    wrong = reference(box)
    with pytest.raises(AssertionError):
        check_definition(box, lambda x, weight, bias: wrong(x, weight[[1, 0, 2]], bias))
    with pytest.raises(AssertionError):
        check_definition(box, lambda x, weight, bias: wrong(x, weight.abs(), bias))
    with pytest.raises(AssertionError):
        check_definition(box, lambda x, weight, bias: wrong(x, weight, bias + 1e-6))


# -- exact meanings ----------------------------------------------------------------------------------------------------


def test_exact_rationals():
    box = equivariant(S(2).space(1, 1), S(2).space(1, 1), normalise="mean")
    names = list(box.params)
    params = {names[0]: [[["1/3"]], [["2"]]], names[1]: [["5"]]}
    first = basis(box.dom[0], box.op.out).elements[0].deltas
    straight, mean = ("1/3", "2") if len(first) == 1 else ("2", "1/3")
    found = evaluate(box, "rationals", [[["1"], ["1/7"]]], params=params)

    expected = [Q(straight) * x + Q(mean) * Q(4, 7) + 5 for x in (Q(1), Q(1, 7))]
    assert [v[0] for v in found.array.tolist()] == expected


# -- as torch uses it --------------------------------------------------------------------------------------------------


def test_module_life():
    """deepcopy, functional_call, state_dict and vmap see the same function."""
    box = CASES["two groups on one wire"]
    model, x = cl.compile(box, dtype=F64), torch.randn(4, 3, 2, 2, dtype=F64)
    y = model(x)
    twin = copy.deepcopy(model)
    torch.testing.assert_close(twin(x), y)
    other = cl.compile(box, dtype=F64, seed=1)
    assert not torch.allclose(other(x), y)
    other.load_state_dict(model.state_dict())
    torch.testing.assert_close(other(x), y)
    torch.testing.assert_close(functional_call(other, {k: 2 * v for k, v in model.state_dict().items()}, x), 2 * y)
    torch.testing.assert_close(torch.func.vmap(model)(x), y)


def test_gradients_reach_a_copy_only():
    model = cl.compile(CASES["S 2 to 2"])
    twin = copy.deepcopy(model)
    twin(torch.randn(2, 4, 4, 2)).sum().backward()
    assert all(p.grad is None for p in model.parameters()) and all(p.grad is not None for p in twin.parameters())


def test_half_precision_and_autocast():
    model, x = cl.compile(CASES["O 2 to 2"]), torch.randn(8, 3, 3, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = model(x)
    torch.testing.assert_close(low.float(), model(x), rtol=0.05, atol=0.1)


def test_symbolic_sizes_take_any_n():
    n = cl.dim("n", min=4)
    box = equivariant(S(n).space(2, 2), S(n).space(2, 3), normalise="mean")
    model = cl.compile(box, dtype=F64)
    for size in (4, 5, 9):
        known = equivariant(S(size).space(2, 2), S(size).space(2, 3), normalise="mean")
        x = torch.randn(2, size, size, 2, dtype=F64)
        torch.testing.assert_close(model(x), reference(known)(x, *model.parameters()))
        given = cl.compile(box, dict(model.named_parameters()), sizes={"n": size}, dtype=F64)
        torch.testing.assert_close(given(x), model(x))
    agree(equivariant(S(n).space(1, 2), S(n).space(1, 2)), reference(equivariant(S(5).space(1, 2), S(5).space(1, 2))), bits=False,
          defined=False, aten=False, batches=(), draw=None)  # fmt: skip


def test_symbolic_reverse():
    n = cl.dim("n", min=2)
    box = equivariant(S(n).space(1, 2), S(n).space(1, 3))
    model = cl.compile(box, dtype=F64)
    params = {k: p.detach() for k, p in model.named_parameters()}
    back = cl.compile(cl.reverse(box), params, dtype=F64)
    x, dy = torch.randn(2, 5, 2, dtype=F64, requires_grad=True), torch.randn(2, 5, 3, dtype=F64)
    wanted = [*(dict(model.named_parameters())[k] for k in sorted(params)), x]
    for found, expected in zip(back(x.detach(), dy), torch.autograd.grad(model(x), wanted, dy), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", ["S 2 to 2", "SO with a determinant"])
def test_export_with_any_batch(name):
    model, x = cl.compile(CASES[name]), torch.randn(3, *map(int, CASES[name].dom[0].shape))
    batch = torch.export.Dim("batch", min=2, max=64)
    exported = torch.export.export(model, (x,), dynamic_shapes=({0: batch},)).module()
    for size in (3, 7):
        x = torch.randn(size, *map(int, CASES[name].dom[0].shape))
        torch.testing.assert_close(exported(x), model(x), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["S 2 to 2", "SO with a determinant", "Sp 2 to 2"])
def test_torch_compile_in_one_graph(name):
    model = cl.compile(CASES[name])
    fast = torch.compile(model, fullgraph=True)
    for size in (3, 5):
        x = torch.randn(size, *map(int, CASES[name].dom[0].shape), requires_grad=True)
        torch.testing.assert_close(fast(x), model(x), rtol=1e-4, atol=1e-5)
        found, expected = (torch.autograd.grad(f(x).square().sum(), [x, *model.parameters()]) for f in (fast, model))
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_files(tmp_path):
    for name in ("two groups on one wire", "mean", "shared first axes"):
        cl.save(CASES[name], tmp_path / "box.cl")
        assert cl.load(tmp_path / "box.cl") == CASES[name]


# -- numbers and words -------------------------------------------------------------------------------------------------


def test_cost():
    """15 diagrams of S_n: 2 with two crossing blocks, 9 with one... by counting; every crossing block is an axis of the waist."""
    box = equivariant(S(6).space(2, 4), S(6).space(2, 8))
    elements = basis(box.dom[0], box.op.out).elements
    crossing = [sum(min(b) < 2 <= max(b) for b in e.deltas) for e in elements]
    assert (crossing.count(2), crossing.count(1), crossing.count(0)) == (2, 9, 4)
    assert cl.cost(box).flops == 2 * 4 * 8 * (2 * 36 + 9 * 6 + 4) + 36 * 4 + 36 * 8
    assert cl.cost(box).parameters == 15 * 32 + 2 * 8
    n = cl.dim("n", min=4)
    assert cl.cost(equivariant(S(n).space(2, 4), S(n).space(2, 8))).parameters == 15 * 32 + 2 * 8


def test_words_and_pictures():
    box = CASES["S 2 to 2"]
    said = "every linear equivariant map under S(4), once, as a sum of 15 diagrams (for S(4) set partitions of the axes) with a weight"
    assert f"{said} for each pair of channels, plus 2 invariant shifts." in cl.explain(box)
    assert "under S(3) and O(2), once, as a sum of" in cl.explain(CASES["two groups on one wire"]).replace("O(2) and S(3)", "S(3) and O(2)")
    assert "pairings of the axes, some with a determinant" in cl.explain(CASES["SO(2)"])
    assert "a linear map of the channels, plus a bias." in cl.explain(equivariant(cl.R(2), cl.R(3)))
    assert "<svg" in cl.draw(box)._repr_svg_()
    assert str(CASES["mean"].op) == "equivariant(space(S(4), 3), normalise='mean')"


# -- starting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_variance_starts_at_one(name):
    """The mean over the outputs of the variance, exactly, from the matrices: Σ_d σ_d² s_d² |D_d|² c_in / (number of outputs) = 1, and
    what each diagram adds is in proportion to the square of the rank of its matrix, which torch finds."""
    box = CASES[name]
    op, dom, out = box.op, box.dom[0].axes[box.op.lead :], box.op.out.axes[box.op.lead :]
    ins, outs = ([a.size for a in axes if a.group] for axes in (dom, out))
    found = basis(Wire(dom), Wire(out))
    spreads = torch.tensor(box.params["equivariant.weight"].init.numbers, dtype=F64)
    one = torch.ones(len(spreads), 1, 1, dtype=F64)
    eye = torch.eye(math.prod(ins), dtype=F64).reshape(-1, *ins)
    plain = Box(
        Equivariant(Wire(tuple(a for a in out if a.group)), False, op.normalise), cl.Space((Wire(tuple(a for a in dom if a.group)),))
    )
    columns = [reference(plain)(eye, one * (torch.arange(len(spreads)) == d)[:, None, None]) for d in range(len(spreads))]
    shares = [spread**2 * column.square().sum() * math.prod(a.size for a in dom if not a.group) / math.prod(outs)
              for spread, column in zip(spreads, columns, strict=True)]  # fmt: skip
    matrices = dense(found.elements, [*outs, *ins]).reshape(len(shares), math.prod(outs), math.prod(ins))
    ranks = torch.linalg.matrix_rank(matrices).to(F64)
    torch.testing.assert_close(torch.stack(shares), ranks**2 / (ranks**2).sum())


DIAGRAMS = [(S(3), 2, 1), (A(4), 1, 3), (A(3), 2, 2), (A(2), 1, 1), (O(2), 2, 2), (SO(3), 1, 2), (SO(3), 2, 3), (SO(2), 2, 2),
            (Sp(2), 2, 2)]  # fmt: skip


@pytest.mark.parametrize(("group", "k", "l"), DIAGRAMS, ids=str)
def test_numbers_of_a_diagram(group, k, l):
    """Rank and sum of squares are those of the matrix, coupons with crossing and hidden legs among them."""
    found = basis(group.space(k)[0], group.space(l)[0])
    matrices = dense(found.elements, found.sizes).reshape(-1, group.n**l, group.n**k)
    assert [rank(e, l, found.sizes) for e in found.elements] == torch.linalg.matrix_rank(matrices).tolist()
    assert [square(e, found.sizes) for e in found.elements] == matrices.square().sum((1, 2)).tolist()


STACKS = [S(6).space(1, 32), S(20).space(1, 32), S(6).space(2, 16), S(20).space(2, 8), A(3).space(1, 32), O(3).space(2, 16),
          SO(3).space(2, 16), Sp(4).space(2, 16), cl.space(S(4), O(3), 32)]  # fmt: skip


@pytest.mark.parametrize("dom", STACKS, ids=str)
@pytest.mark.parametrize("normalise", ["sum", "mean"])
def test_activations_keep_their_size_through_ten_layers(dom, normalise):
    """Over 10 networks; equal shares for all diagrams would give 4e7 for S(6) and 3e15 for S(20) at order 2."""
    net, x, total = cl.seq(*[equivariant(dom, dom, normalise=normalise)] * 10), torch.randn(8, *map(int, dom[0].shape)), 0.0
    for seed in range(10):
        with torch.no_grad():
            total += cl.compile(net, seed=seed)(x).square().mean().item() / 10
    assert 0.3 < total < 5


@pytest.mark.parametrize("dom", [S(5).space(2, 16), O(3).space(2, 16), Sp(4).space(2, 16)], ids=str)
def test_variance_starts_at_one_statistically(dom):
    """Over 40 draws of 16² weights each; the spread of such a mean is about 0.03."""
    generator, total = torch.Generator().manual_seed(0), 0.0
    for seed in range(40):
        model = cl.compile(equivariant(dom, dom), seed=seed)
        x = torch.randn(32, *map(int, dom[0].shape), generator=generator)
        total += model(x).square().mean().item() / 40
    assert 0.85 < total < 1.15


def test_building_is_fast():
    """2 → 2 makes 15 diagrams at every n: nothing grows with n. Measured as a count, since times belong to the benchmarks."""
    for n in (4, 100, 10_000, 1_000_000):
        box = equivariant(S(n).space(2, 1), S(n).space(2, 1))
        assert box.params["equivariant.weight"].wire.shape == (15, 1, 1)


# -- what is refused ---------------------------------------------------------------------------------------------------


REFUSED = {
    "only the zero map": lambda: equivariant(O(3).space(1, 2), cl.R(2)),
    "carries S.5. where the output carries S.6.": lambda: equivariant(S(5).space(1, 2), S(6).space(1, 2)),
    "circulant": lambda: equivariant(cl.Z(5).space(1, 2), cl.Z(5).space(1, 2)),
    "translations": lambda: equivariant(cl.T(3).space(1, 2), cl.T(3).space(1, 2)),
    "group behind a plain axis": lambda: equivariant(cl.space(2, S(5)), cl.space(2, S(5))),
    "one of": lambda: equivariant(S(5).space(1), S(5).space(1), normalise="median"),
    "one of.*": lambda: equivariant(S(5).space(1), S(5).space(1), strategy="sparse"),
    "the same first axes": lambda: equivariant(cl.space(S(5), S(5)), cl.space(S(4), S(5)), lead=1),
    "same first axes": lambda: equivariant(S(5).space(1), S(5).space(1), lead=-1),
    "n . 4": lambda: equivariant(S(cl.dim("n")).space(2), S(cl.dim("n")).space(2)),
    "change with every n": lambda: equivariant(SO(cl.dim("n")).space(1), SO(cl.dim("n")).space(1)),
    "diagrams, about .*B of memory": lambda: equivariant(S(50).space(8), S(50).space(8)),
    "needs a wire on both sides": lambda: equivariant(cl.I, S(5).space(1)),
    "dom is S.5.": lambda: equivariant(S(5), S(5).space(1)),
    "cod is 3": lambda: equivariant(S(5).space(1), 3),
    "bias='no'": lambda: equivariant(S(5).space(1), S(5).space(1), bias="no"),
    "lead=2": lambda: equivariant(S(5).space(1), S(5).space(1), lead=2),
    "lead=True": lambda: equivariant(S(5).space(1), S(5).space(1), lead=True),
    "O.5. acts on none of the input and on 1 axis of the output": lambda: equivariant(S(5).space(1), O(5).space(1)),
    "a wire of 400 axes .* 8.3e.380 diagrams": lambda: equivariant(S(3).space(400), S(3).space(400)),
}


@pytest.mark.parametrize("text", REFUSED)
def test_refused_with_the_reason(text):
    with pytest.raises(errors.BadSymmetry, match=text) as caught:
        REFUSED[text]()
    assert "next:" in str(caught.value) or "needed" in str(caught.value) or "from" in str(caught.value)


def test_too_large_is_refused_before_anything_is_made():
    """Bell(24) = 445958869294805289 diagrams: the number is in the message, and no time or memory went into them."""
    tracemalloc.start()
    with pytest.raises(errors.BadSymmetry, match=r"445,958,869,294,805,289 .* of memory"):
        equivariant(S(50).space(12), S(50).space(12))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize("strategy", [None, *choose.STRATEGIES])
def test_no_channels_at_all(strategy):
    """Of zero channels comes the bias, and to zero channels goes nothing."""
    x = torch.randn(2, 3, 3, 0, requires_grad=True)
    model = cl.compile(equivariant(O(3).space(2, 0), O(3).space(2, 2), strategy=strategy))
    with torch.no_grad():
        model.equivariant.bias.copy_(torch.tensor([[1.0, 2.0]]))
    torch.testing.assert_close(model(x), (torch.eye(3)[:, :, None] * torch.tensor([1.0, 2.0])).expand(2, 3, 3, 2))
    torch.autograd.grad(model(x).sum(), [x, *model.parameters()])
    empty = cl.compile(equivariant(O(3).space(2, 2), O(3).space(2, 0), strategy=strategy))
    assert empty(torch.randn(2, 3, 3, 2)).shape == (2, 3, 3, 0)


def test_integers_are_refused():
    with pytest.raises(errors.BadBox, match="float wire"):
        equivariant(cl.index(S(5), 3), S(5).space(1))
    for n in (0, -1):
        with pytest.raises(errors.BadSpace):
            S(n)
    with pytest.raises(errors.BadSpace, match="even"):
        Sp(3)


def test_a_tensor_without_channels_is_refused():
    model = cl.compile(CASES["S 2 to 2"])
    for shape in ((4, 4), (5, 4, 4), (4, 4, 3), (2, 4, 2)):
        with pytest.raises(errors.BadInput, match="needed"):
            model(torch.randn(shape))
    with pytest.raises(errors.BadInput):
        model(torch.zeros(4, 4, 2, dtype=torch.int64))


def test_a_size_below_the_least_is_refused():
    n = cl.dim("n", min=4)
    model = cl.compile(equivariant(S(n).space(2, 2), S(n).space(2, 2)))
    with pytest.raises(errors.BadInput, match="at least 4"):
        model(torch.randn(3, 3, 2))


def test_the_definition_says_when_it_would_be_too_large():
    with pytest.raises(errors.NoRule, match="would hold"):
        definition(equivariant(S(8).space(3, 1), S(8).space(3, 1)))
    n = cl.dim("n", min=4)
    with pytest.raises(errors.NoRule, match="numbers first"):
        definition(equivariant(S(n).space(2, 1), S(n).space(2, 1)))


def test_axis_labels_stay():
    """The output wire is the one asked for, groups and all."""
    box = CASES["two groups on one wire"]
    assert box.cod == cl.space(O(2), S(3), S(3), 1) and box.cod[0].axes[-1] == Axis(1)


@pytest.mark.slow
def test_torch_compile_of_a_symbolic_size():
    n = cl.dim("n", min=4)
    model = cl.compile(equivariant(S(n).space(2, 2), S(n).space(2, 3), normalise="mean"))
    fast = torch.compile(model, fullgraph=True)
    for size in (4, 6, 5):
        x = torch.randn(3, size, size, 2)
        torch.testing.assert_close(fast(x), model(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("strategy", [None, "diagrams"])
def test_shapes_without_numbers(strategy):
    """On the meta device a network runs for its shapes alone."""
    for group in (S(5), SO(3), Sp(4)):
        model = cl.compile(equivariant(group.space(2, 2), group.space(2, 3), strategy=strategy), device="meta")
        assert model(torch.empty(4, group.n, group.n, 2, device="meta")).shape == (4, group.n, group.n, 3)
