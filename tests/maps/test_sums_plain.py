"""Sums of plain elements with channels: the planned forward and backward passes against dense tensors made from the definition."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from catlearn.errors import BadMap
from catlearn.maps.sums.apply import apply
from catlearn.maps.sums.family import Block, Element, Family
from catlearn.maps.sums.kernel import push
from catlearn.maps.sums.patterns import skeleton_of
from catlearn.maps.sums.plan import plan

F64 = torch.float64


def partitions(points: int) -> Iterator[tuple[Block, ...]]:
    """All set partitions of 0 .. points-1, by where the last point goes."""
    if points == 0:
        yield ()
        return
    for smaller in partitions(points - 1):
        for i, block in enumerate(smaller):
            yield (*smaller[:i], (*block, points - 1), *smaller[i + 1 :])
        yield (*smaller, (points - 1,))


def matchings(points: Sequence[int]) -> Iterator[tuple[Block, ...]]:
    """All perfect matchings, by the partner of the first point."""
    if not points:
        yield ()
        return
    for i in range(1, len(points)):
        for rest in matchings([*points[1:i], *points[i + 1 :]]):
            yield ((points[0], points[i]), *rest)


def symmetric(n: int, k: int, l: int) -> Family:
    return Family((n,) * k, (n,) * l, tuple(map(Element, partitions(k + l))), tuple(map(Element, partitions(l))))


def orthogonal(n: int, k: int, l: int) -> Family:
    return Family((n,) * k, (n,) * l, tuple(map(Element, matchings(range(k + l)))), tuple(map(Element, matchings(range(l)))))


def product(n: int, ins: str, outs: str) -> Family:
    """S_n and O(3) on one wire: axes ``s`` are joined by partitions, axes ``o`` by matchings."""

    def elements(axes: str) -> tuple[Element, ...]:
        nodes, vectors = ([i for i, kind in enumerate(axes) if kind == wanted] for wanted in "so")
        parts = [tuple(tuple(nodes[p] for p in block) for block in blocks) for blocks in partitions(len(nodes))]
        return tuple(Element(a + b) for a in parts for b in matchings(vectors))

    sizes = {"s": n, "o": 3}
    return Family(tuple(sizes[a] for a in ins), tuple(sizes[a] for a in outs), elements(outs + ins), elements(outs))


def tensor(element: Element, sizes: tuple[int, ...]) -> Tensor:
    """The entries: 1 where the index is constant on each block."""
    grid = np.indices(sizes) if sizes else np.zeros((0,))
    entries = np.ones(sizes)
    for block in element.deltas:
        for point in block[1:]:
            entries = entries * (grid[block[0]] == grid[point])
    return torch.tensor(entries, dtype=F64).reshape(sizes)


def dense(family: Family, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """y from the definition, one einsum over flattened axes."""
    outputs, inputs = int(np.prod(family.outs)), int(np.prod(family.ins))
    flat = x.reshape(-1, inputs, x.shape[-1])
    y = torch.zeros(len(flat), outputs, weight.shape[1], dtype=F64)
    if family.elements:
        stacked = torch.stack([tensor(element, family.sizes).reshape(outputs, inputs) for element in family.elements])
        y = y + torch.einsum("doi,bic,dec->boe", stacked, flat, weight)
    for element, row in zip(family.biases, bias, strict=True):
        y = y + tensor(element, family.outs).reshape(outputs, 1) * row
    return y.reshape(*x.shape[: x.dim() - family.order_in - 1], *family.outs, weight.shape[1])


def tensors(family: Family, *batch: int, c_in: int = 2, c_out: int = 3, seed: int = 0, dtype: torch.dtype = F64) -> list[Tensor]:
    draw = torch.Generator().manual_seed(seed)
    shapes = (*batch, *family.ins, c_in), (len(family.elements), c_out, c_in), (len(family.biases), c_out)
    return [torch.randn(*shape, generator=draw, dtype=dtype).requires_grad_() for shape in shapes]


def wrong(family: Family, *batch: int, using: Family | None = None) -> float:
    """The largest difference, relative to the size of the result, of y and of all three gradients."""
    given = tensors(family, *batch)
    ours, theirs = apply(using or family, *given), dense(family, *given)
    dy = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1), dtype=F64)
    pairs = [(ours, theirs)]
    for a, b in zip(*(torch.autograd.grad(y, given, dy, allow_unused=True) for y in (ours, theirs)), strict=True):
        pairs += [] if b is None and (a is None or not a.any()) else [(a, b)]
    return max(float((a - b).detach().abs().max() / (1 + b.detach().abs().max())) for a, b in pairs if b.numel())


@pytest.mark.parametrize(("k", "l"), list(itertools.product(range(4), range(4))))
def test_all_partitions(k, l):
    for n in (1, 2, 3, 4) if k + l < 6 else (2, 3):
        assert wrong(symmetric(n, k, l), 2) < 1e-12


@pytest.mark.slow
def test_all_partitions_of_six_points_at_four():
    assert wrong(symmetric(4, 3, 3), 1) < 1e-12


@pytest.mark.parametrize(("k", "l"), [(1, 1), (2, 0), (0, 2), (3, 1), (1, 3), (2, 2), (3, 3), (2, 4)])
def test_matchings(k, l):
    for n in (1, 2, 3):
        assert wrong(orthogonal(n, k, l), 2, 2) < 1e-12


WIRES = [("so", "so"), ("sso", "os"), ("soo", "ss"), ("s", "soo"), ("osos", "ssoo"), ("os", "ssooo"), ("", "soo"), ("soo", "")]


@pytest.mark.parametrize(("ins", "outs"), WIRES)
def test_products_of_groups(ins, outs):
    for n in (2, 3):  # at 3 the two kinds of axes have one size, and still never mix
        assert wrong(product(n, ins, outs), 2) < 1e-12


def test_a_family_with_holes():
    for seed in range(5):
        draw = np.random.default_rng(seed)
        chosen = [element for element in symmetric(3, 2, 3).elements if draw.random() < 0.2]
        assert wrong(Family((3, 3), (3, 3, 3), tuple(chosen)), 2) < 1e-12


def test_a_flipped_block_or_an_exchanged_element_is_seen():
    family = symmetric(3, 2, 2)
    for old, new in [(((0, 2), (1, 3)), ((0, 3), (1, 2))), (((0, 1), (2, 3)), ((0, 1), (2,), (3,)))]:
        swap = {Element(old): Element(new), Element(new): Element(old)}
        flipped = Family(family.ins, family.outs, tuple(swap.get(e, e) for e in map(sort, family.elements)), family.biases)
        assert len(set(flipped.elements)) == 15
        assert wrong(family, 2, using=flipped) > 1e-2


def sort(element: Element) -> Element:
    return Element(tuple(sorted(element.deltas)))


def test_a_flipped_step_of_a_plan_is_seen():
    family = symmetric(3, 2, 2)
    x, weight, bias = tensors(family, 2)
    scheme = plan.__wrapped__(family, 2, 2, 3)
    program = scheme.passing(True, True)
    program.__dict__["code"] = program.code.replace(".add_(", ".sub_(", 1)
    with torch.no_grad():
        assert (push(scheme, x, weight, bias)[0] - dense(family, x, weight, bias)).abs().max() > 1e-2


@pytest.mark.parametrize("family", [symmetric(2, 2, 2), symmetric(2, 1, 2), symmetric(2, 0, 2), symmetric(2, 2, 0), product(2, "so", "s")])
def test_derivatives_of_first_and_second_order(family):
    given = tensors(family, 2, c_out=2)
    assert torch.autograd.gradcheck(lambda *args: apply(family, *args), given)
    assert torch.autograd.gradgradcheck(lambda *args: apply(family, *args), given)


@pytest.mark.parametrize("wanted", [w for w in itertools.product((False, True), repeat=3) if any(w)])
def test_derivatives_of_some_arguments_only(wanted):
    family = symmetric(2, 1, 2)
    given = [t.detach().requires_grad_(need) for t, need in zip(tensors(family, 2, c_out=2), wanted, strict=True)]
    assert torch.autograd.gradcheck(lambda *args: apply(family, *args), given)
    assert torch.autograd.gradgradcheck(lambda *args: apply(family, *args), given)


def kept(family: Family, given: Sequence[Tensor]) -> list[Tensor]:
    found: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (found.append(t), t)[1], lambda t: t):
        apply(family, *given)
    return found


def test_saved_are_x_and_the_waist_features_only():
    family, batch = symmetric(7, 3, 3), 2
    x, weight, bias = tensors(family, batch)
    waists = batch * 2 * (6 * 7**2 + 10 * 7 + 5)  # patterns with 2, 1 and 0 crossing blocks, 2 channels
    others = [t for t in kept(family, (x, weight, bias)) if t.data_ptr() not in (x.data_ptr(), weight.data_ptr())]
    assert waists <= sum(t.numel() for t in others) <= waists + 3 * 16
    assert plan(family, batch, 2, 3).saved == waists
    frozen = [t.data_ptr() for t in kept(family, (x, weight.detach(), bias))]
    assert frozen == [weight.data_ptr()]
    assert next(t.data_ptr() for t in kept(family, (x.detach(), weight, None))) == x.data_ptr()


class _Largest(torch.utils._python_dispatch.TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.size = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for t in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(t, Tensor):
                self.size = max(self.size, t.untyped_storage().size() // t.element_size())
        return out


def test_no_matrix_of_all_inputs_and_outputs_is_made():
    family, n = symmetric(8, 3, 3), 8
    x, weight, bias = tensors(family, 1, c_in=1, c_out=1)
    with _Largest() as largest:
        apply(family, x, weight, bias).sum().backward()
    assert n**3 <= largest.size <= 12 * n**3  # at most the five permuted copies and the low orders; the matrix has n⁶


def test_size_of_the_batch_does_not_change_the_result():
    family = symmetric(3, 2, 2)
    x, weight, bias = tensors(family, 2, 5)
    whole = apply(family, x, weight, bias)
    assert torch.allclose(whole, torch.stack([torch.stack([apply(family, v, weight, bias) for v in row]) for row in x]), atol=1e-12)
    assert apply(family, x[:0], weight, bias).shape == (0, 5, 3, 3, 3)
    apply(family, x[:0], weight, bias).sum().backward()
    assert x.grad is not None and not x.grad.any()


def test_chunks_give_what_the_whole_batch_gives():
    family = symmetric(3, 3, 3)
    x, weight, bias = (t.detach() for t in tensors(family, 7))
    whole, small = plan(family, 7, 2, 3), plan(family, 7, 2, 3, 300)
    assert "range(" in small.passing(True, True).code and "range(" not in whole.passing(True, True).code
    assert torch.allclose(push(small, x, weight, bias)[0], push(whole, x, weight, bias)[0], atol=1e-12)


def test_strided_inputs_and_offsets():
    family = symmetric(3, 2, 2)
    x, weight, bias = (t.detach() for t in tensors(family, 4))
    padded = torch.zeros(9, 4, 5, 3, dtype=F64)
    padded[1::2, 1:, 2:, 1:] = x
    for strided in (padded[1::2, 1:, 2:, 1:], x.transpose(1, 2).contiguous().transpose(1, 2), torch.cat([x, x])[4:]):
        assert torch.allclose(apply(family, strided, weight, bias), dense(family, x, weight, bias), atol=1e-12)


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-5), (torch.bfloat16, 4e-2)])
def test_other_dtypes(dtype, error):
    family = symmetric(4, 2, 2)
    exact = tensors(family, 2)
    low = [t.detach().to(dtype).requires_grad_() for t in exact]
    ours, theirs = apply(family, *low), dense(family, *exact)
    assert ours.dtype == dtype
    pairs = [(ours, theirs), *zip(*(torch.autograd.grad(y.sum(), given) for y, given in ((ours, low), (theirs, exact))), strict=True)]
    for a, b in pairs:
        assert a.dtype == dtype and (a.to(F64) - b).abs().max() < error * (1 + b.abs().max())


def test_compiled_in_one_graph_with_any_batch():
    family = symmetric(3, 2, 2)
    compiled = torch.compile(lambda *args: apply(family, *args).sin(), fullgraph=True, backend="aot_eager", dynamic=True)
    for batch in (2, 5, 7):
        given = tensors(family, batch)
        ours, theirs = compiled(*given), dense(family, *given).sin()
        assert torch.allclose(ours, theirs, atol=1e-12)
        for a, b in zip(*(torch.autograd.grad(y.sum(), given) for y in (ours, theirs)), strict=True):
            assert torch.allclose(a, b, atol=1e-11)


def test_the_operators_are_what_they_declare():
    family = symmetric(3, 2, 1)
    x, weight, bias = (t.detach() for t in tensors(family, 2))
    torch.library.opcheck(torch.ops.catlearn.sums.default, (x, weight, bias, family.text), test_utils=("test_schema", "test_faketensor"))
    dy, features = torch.ops.catlearn.sums(x, weight, bias, family.text)
    for wanted in [(True, True, True), (False, True, False)]:
        given = (x, weight, dy, features, family.text, *wanted)
        torch.library.opcheck(torch.ops.catlearn.sums_backward.default, given, test_utils=("test_schema", "test_faketensor"))


def test_shapes_alone_and_exported_programs():
    class Layer(torch.nn.Module):
        def forward(self, *args):
            return apply(family, *args)

    family = symmetric(3, 2, 1)
    given = [t.detach() for t in tensors(family, 2)]
    with FakeTensorMode() as mode:
        assert apply(family, *map(mode.from_tensor, given)).shape == (2, 3, 3)
    exported = torch.export.export(Layer(), tuple(given))
    assert torch.allclose(exported.module()(*given), dense(family, *given), atol=1e-12)


def test_transforms_of_torch_func():
    family = symmetric(2, 2, 1)
    given = tensors(family, 2)
    y, pull = torch.func.vjp(lambda *args: apply(family, *args), *(t.detach() for t in given))
    expected = torch.autograd.grad(dense(family, *given).sum(), given)
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(pull(torch.ones_like(y)), expected, strict=True))


def test_the_structure_does_not_depend_on_n():
    small, large = (plan(symmetric(n, 3, 3), 1, 1, 1).skeleton for n in (3, 1000))
    assert small is large
    turns = {len(waist.kinds): (len(waist.turns), len(waist.table)) for waist in small.waists}
    assert turns == {3: (6, 6), 2: (2, 72), 1: (1, 100), 0: (1, 25)}  # 203 = 6 + 72 + 100 + 25


def test_every_contraction_is_taken_once_and_from_the_cheapest():
    side = skeleton_of((0,) * 3, (0,) * 3, tuple(partitions(6)), ()).ins
    steps = [(link.level, link.child + i) for level in side.levels for link in level.links for i in range(link.count)]
    assert len(steps) == len(set(steps)) == 21
    assert sum(len(link.axes) == 1 and i == 0 for i, level in enumerate(side.levels) for link in level.links) == 3  # sums of x itself


def test_what_is_refused():
    family = symmetric(3, 2, 2)
    x, weight, bias = tensors(family, 2)
    with pytest.raises(BadMap, match=r"weight: given .* needed \(15, c_out, c_in\)"):
        apply(family, x, weight[1:], bias)
    with pytest.raises(BadMap, match="channel axis"):
        apply(family, x[..., 0], weight, bias)
    with pytest.raises(BadMap, match="bias"):
        apply(family, x, weight, bias[:, :1])
    for elements, message in [
        ((Element(((0, 2),)),), "use each point 0..3 once"),
        ((Element(((0, 2), (1, 3))),) * 2, "stands twice"),
        ((Element(((0, 2),), arcs=((1, 3),)),), "arcs or coupons"),
    ]:
        with pytest.raises(BadMap, match=message):
            plan(Family((3, 3), (3, 3), elements), 1, 1, 1)
    with pytest.raises(BadMap, match="different sizes"):
        plan(Family((3,), (4,), (Element(((0, 1),)),)), 1, 1, 1)
