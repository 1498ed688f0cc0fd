"""Entries and effective weights against dense tensors made by the definition, index tuple by index tuple."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from catlearn.maps.sums import blocks, choose
from catlearn.maps.sums.dense import layout
from catlearn.maps.sums.entries import entries
from catlearn.maps.sums.family import Element, Family
from catlearn.maps.sums.tables import expand, fold, tables

FLOAT = torch.float64


def tensor_of(element: Element, sizes: tuple[int, ...]) -> np.ndarray:
    """The tensor of an element from its definition: every index tuple is visited, signs are determinants of permutation matrices."""
    at = np.indices(sizes)
    value = np.ones(sizes)
    for block in element.deltas:
        value = value * (at[list(block)] == at[block[0]]).all(0)
    for a, b in element.arcs:
        n = sizes[a]
        eye, zero = np.eye(n // 2), np.zeros((n // 2, n // 2))
        value = value * np.block([[zero, eye], [-eye, zero]])[at[a], at[b]]
    for legs in element.coupons:
        n = sizes[legs[0][0]]
        onehot = [np.eye(n)[at[leg[0]]] for leg in legs]
        for leg in legs:
            value = value * (at[list(leg)] == at[leg[0]]).all(0)
        ends = [[]] if len(legs) == n else [[np.broadcast_to(np.eye(n)[v], onehot[0].shape)] for v in range(n)]
        value = value * sum(np.rint(np.linalg.det(np.stack(onehot + end, -2))) for end in ends)
    return value


def matrix_of(family: Family, elements: tuple[Element, ...], sizes: tuple[int, ...]) -> np.ndarray:
    """(D, outputs, inputs) of the elements."""
    outputs = int(np.prod(family.outs))
    return np.stack([tensor_of(e, sizes).reshape(outputs, -1) for e in elements]) if elements else np.zeros((0, outputs, 1))


def by_definition(family: Family, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """The layer as one einsum with the dense tensors."""
    tensors = torch.from_numpy(matrix_of(family, family.elements, family.sizes)).to(x.dtype)
    batch = x.shape[: x.ndim - family.order_in - 1]
    y = torch.einsum("doi,dca,tia->toc", tensors, weight, x.reshape(-1, int(np.prod(family.ins)), x.shape[-1]))
    if bias is not None and family.biases:
        y = y + torch.einsum("doi,dc->oc", torch.from_numpy(matrix_of(family, family.biases, family.outs)).to(x.dtype), bias)
    return y.reshape(*batch, *family.outs, weight.shape[1])


def partitions(points: list[int]):
    """All set partitions of the points."""
    if not points:
        yield ()
        return
    first, rest = points[0], points[1:]
    for size in range(len(rest) + 1):
        for others in combinations(rest, size):
            for more in partitions([p for p in rest if p not in others]):
                yield ((first, *others), *more)


def pairings(points: list[int]):
    return (p for p in partitions(points) if all(len(block) == 2 for block in p))


def symmetric(n: int, k: int, l: int) -> Family:
    few = [p for p in partitions(list(range(k + l))) if len(p) <= n]
    biases = [p for p in partitions(list(range(l))) if len(p) <= n]
    return Family((n,) * k, (n,) * l, tuple(Element(deltas=p) for p in few), tuple(Element(deltas=p) for p in biases))


def orthogonal(n: int, k: int, l: int) -> Family:
    return Family((n,) * k, (n,) * l, *(tuple(Element(deltas=p) for p in pairings(list(range(m)))) for m in (k + l, l)))


def symplectic(n: int, k: int, l: int) -> Family:
    def element(pairs):
        return Element(deltas=tuple(p for p in pairs if p[0] < l <= p[1]), arcs=tuple(p for p in pairs if not p[0] < l <= p[1]))

    return Family((n,) * k, (n,) * l, *(tuple(element(p) for p in pairings(list(range(m)))) for m in (k + l, l)))


def determinant(n: int, k: int, l: int) -> Family:
    def elements(m):
        for free in combinations(range(m), n):
            for rest in pairings([p for p in range(m) if p not in free]):
                yield Element(deltas=rest, coupons=(tuple((p,) for p in free),))

    plain = orthogonal(n, k, l)
    return Family(plain.ins, plain.outs, plain.elements + tuple(elements(k + l)), plain.biases + tuple(elements(l)))


def jellyfish(n: int, k: int, l: int) -> Family:
    plain = symmetric(n, k, l)
    more, ends = ([Element(coupons=(p,)) for p in partitions(list(range(m))) if len(p) in (n - 1, n) and p] for m in (k + l, l))
    return Family(plain.ins, plain.outs, plain.elements + tuple(more), plain.biases + tuple(ends))


PRODUCT = Family((4, 3, 4), (4, 3), (
    Element(deltas=((0, 2, 4), (1, 3))),
    Element(deltas=((0, 4), (2,), (1, 3))),
    Element(deltas=((0,), (2, 4), (1, 3))),
), (Element(deltas=((0,), (1,))),))  # fmt: skip

FAMILIES = {
    "S3 1->1": symmetric(3, 1, 1), "S3 2->2": symmetric(3, 2, 2), "S4 1->2": symmetric(4, 1, 2), "S2 3->2": symmetric(2, 3, 2),
    "S3 0->2": symmetric(3, 0, 2), "S3 2->0": symmetric(3, 2, 0), "S1 2->1": symmetric(1, 2, 1), "O3 2->2": orthogonal(3, 2, 2),
    "O3 3->3": orthogonal(3, 3, 3), "O3 2->1": orthogonal(3, 2, 1), "O2 1->3": orthogonal(2, 1, 3), "Sp4 2->2": symplectic(4, 2, 2),
    "Sp4 3->3": symplectic(4, 3, 3), "Sp2 1->3": symplectic(2, 1, 3), "SO3 2->1": determinant(3, 2, 1), "SO3 1->2": determinant(3, 1, 2),
    "SO3 2->3": determinant(3, 2, 3), "SO2 2->2": determinant(2, 2, 2), "SO4 2->2": determinant(4, 2, 2), "A3 2->2": jellyfish(3, 2, 2),
    "A4 2->1": jellyfish(4, 2, 1), "A2 1->1": jellyfish(2, 1, 1), "S4 x O3": PRODUCT,
}  # fmt: skip


def drawn(family: Family, c_in: int = 2, c_out: int = 3, batch: tuple[int, ...] = (5,), seed: int = 0):
    made = torch.Generator().manual_seed(seed)
    shapes = [(*batch, *family.ins, c_in), (len(family.elements), c_out, c_in), (len(family.biases), c_out)]
    return [torch.randn(shape, generator=made, dtype=FLOAT) for shape in shapes]


@pytest.mark.parametrize("name", FAMILIES)
def test_entries_are_the_nonzeros_of_the_tensor(name):
    family = FAMILIES[name]
    for element in family.elements:
        tuples, values = entries(element, family.sizes)
        rebuilt = np.zeros(family.sizes)
        rebuilt[tuple(tuples)] = values
        assert (rebuilt == tensor_of(element, family.sizes)).all()
        assert (values != 0).all() and len(values) == np.count_nonzero(rebuilt)  # no index twice, none that is zero


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("name", FAMILIES)
def test_layer_is_the_einsum_with_dense_tensors(name, whole):
    family = FAMILIES[name]
    x, weight, bias = drawn(family)
    t = tables(family, not whole, 3, FLOAT, x.device)
    if not family.elements:
        pytest.skip("the zero map, which apply answers without blocks")
    y = blocks.layer(t, x.reshape(5, -1, 2), weight, bias).reshape(5, *family.outs, 3)
    torch.testing.assert_close(y, by_definition(family, x, weight, bias), rtol=1e-12, atol=1e-12)
    plain = blocks.product(t, x.reshape(5, -1, 2), expand(t, weight), t.bias @ bias).reshape(y.shape)
    torch.testing.assert_close(plain, y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("name", ["S3 1->1", "SO3 2->1", "SO3 1->2", "Sp2 1->3", "A2 1->1"])
def test_gradients_of_every_order(name, whole):
    family = FAMILIES[name]
    tensors = [t.requires_grad_() for t in drawn(family, 1, 2, (2,))]
    t = tables(family, not whole, 2, FLOAT, tensors[0].device)

    def call(x, weight, bias):
        return blocks.layer(t, x.flatten(1, -2), weight, bias)

    assert torch.autograd.gradcheck(call, tensors)
    assert torch.autograd.gradgradcheck(call, tensors)


def test_layouts_find_what_is_known():
    """O(3): parities split matrices into 3 + 2 + 2 + 2; the cross product has 3 inputs; S_3 has one block of all."""
    shape = lambda name: sorted(g.ins.shape for g in layout(FAMILIES[name], True).groups)  # noqa: E731
    assert shape("O3 2->2") == [(1, 3), (3, 2)]
    assert shape("SO3 2->1") == [(3, 1)] and layout(FAMILIES["SO3 2->1"], True).ins.positions.shape == (2, 3)
    assert shape("S3 2->2") == [(1, 9)]
    assert layout(FAMILIES["Sp4 3->3"], True).entries == 400  # weights of the torus: 4 · 9² + 8 · 3² + 4


@pytest.mark.parametrize("name", FAMILIES)
def test_fold_is_the_transpose_of_expand_and_write_of_read(name):
    t = tables(FAMILIES[name], True, 2, FLOAT, torch.device("cpu"))
    weight = torch.randn(len(FAMILIES[name].elements), 2, 3, dtype=FLOAT)
    if len(weight):
        blocks = expand(t, weight)
        others = [torch.randn_like(block) for block in blocks]
        left = sum((a * b).sum() for a, b in zip(blocks, others, strict=True))
        torch.testing.assert_close(left, (weight * fold(t, others, 2)).sum())
        for side in (t.ins, t.outs):
            x, made = torch.randn(4, side.size, 2, dtype=FLOAT), torch.randn(4, side.points, 2, dtype=FLOAT)
            torch.testing.assert_close((side.read(x) * made).sum(), (x * side.write(made)).sum())


@pytest.mark.parametrize("tokens", [1, 127, 128, 500])
def test_the_cross_product_is_torchs_for_few_tokens_and_many(tokens):
    """Differences of two entries are read in another way from 128 tokens on; a wrong sign there would give a symmetric product."""
    cross = Family((3, 3), (3,), (Element(coupons=(((0,), (1,), (2,)),)),))
    u, v = torch.randn(2, tokens, 3, dtype=torch.float64)
    x = (u[:, :, None] * v[:, None, :])[..., None]
    for strategy in ("dense", "blocks"):
        y = choose.apply(cross, x, torch.ones(1, 1, 1, dtype=torch.float64), strategy=strategy)
        torch.testing.assert_close(y[..., 0], torch.linalg.cross(u, v))


@pytest.mark.parametrize("family, ordered", [
    (Family((3, 3), (3,), (Element(coupons=(((0,), (1,), (2,)),)),)), True),  # one entry in each block
    (Family((2, 2), (), (Element(deltas=((0,), (1,))), Element(deltas=((0, 1),)))), False),  # two in a row, which channels come between
])  # fmt: skip
def test_blocks_of_entries_of_their_own_are_the_weights_and_no_rows_are_gathered(family, ordered):
    t = tables(family, True, 3, FLOAT, torch.device("cpu"))
    assert t.ordered == ordered and tables(family, True, 1, FLOAT, torch.device("cpu")).ordered
    torch.manual_seed(0)
    x, weight = torch.randn(5, *family.ins, 4, dtype=FLOAT), torch.randn(len(family.elements), 3, 4, dtype=FLOAT, requires_grad=True)
    ours, theirs = choose.apply(family, x, weight, strategy="blocks"), by_definition(family, x, weight)
    assert torch.allclose(ours, theirs)
    assert torch.allclose(*(torch.autograd.grad(y.square().sum(), weight)[0] for y in (ours, theirs)))
