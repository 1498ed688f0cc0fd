"""The laws of a strict monoidal category with transposes, for every kind, on drawn diagrams; and those of the coefficients."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catlearn.diagrams import KINDS, Brauer, Combination, Determinant, Diagram, Jellyfish, N, Partition, Symplectic, evaluate
from tests.diagrams.cases import SIZES, random_diagram

COUNT = 40
EVERY = pytest.mark.parametrize("group", list(KINDS))


class Draw:
    """Diagrams of one kind and size, drawn so that they shrink."""

    def __init__(self, data: st.DataObject, group: str) -> None:
        self.random: random.Random = data.draw(st.randoms(use_true_random=False))
        self.group = group
        self.n = data.draw(st.sampled_from([n for n in SIZES[group] if n < 4 or group == "Sp"]))

    def diagram(self, k: int, l: int) -> Any:
        """A diagram k → l, zero if there is none of this parity."""
        d = random_diagram(self.random, self.group, self.n, k, l)
        return d if d is not None else Combination.make(KINDS[self.group], k, l, (), self.n if self.group in ("A", "SO") else None)

    def orders(self, count: int, most: int = 3) -> list[int]:
        return [self.random.randrange(most + 1) for _ in range(count)]

    def identity(self, k: int) -> Diagram:
        return KINDS[self.group].identity(k, self.n)

    def same(self, left: Any, right: Any) -> bool:
        """Equality; of normal forms where three coupons can be removed in several ways."""
        return left == right if self.group in ("S", "O", "Sp") else left.normal() == right.normal()


@EVERY
@settings(max_examples=COUNT)
@given(data=st.data())
def test_composition_is_associative_and_unital(group: str, data: st.DataObject):
    draw = Draw(data, group)
    a, b, c, d = draw.orders(4)
    f, g, h = draw.diagram(a, b), draw.diagram(b, c), draw.diagram(c, d)
    assert draw.same((f >> g) >> h, f >> (g >> h))
    assert draw.identity(a) >> f == f == f >> draw.identity(b)


@EVERY
@settings(max_examples=COUNT)
@given(data=st.data())
def test_tensor_is_a_functor_with_a_unit(group: str, data: st.DataObject):
    draw = Draw(data, group)
    a, b, c, d, e, x = draw.orders(6, 2)
    f, g, h, i = draw.diagram(a, b), draw.diagram(b, c), draw.diagram(d, e), draw.diagram(e, x)
    assert draw.same((f @ h) >> (g @ i), (f >> g) @ (h >> i))
    assert draw.identity(0) @ f == f == f @ draw.identity(0)
    assert draw.identity(a) @ draw.identity(b) == draw.identity(a + b)
    j = draw.diagram(1, 1)
    assert draw.same((f @ j) @ h, f @ (j @ h))


@EVERY
@settings(max_examples=COUNT)
@given(data=st.data())
def test_transposes_and_swaps(group: str, data: st.DataObject):
    draw = Draw(data, group)
    a, b, c, d = draw.orders(4, 2)
    f, g, h = draw.diagram(a, b), draw.diagram(b, c), draw.diagram(c, d)
    assert (f >> g).T == g.T >> f.T and (f @ h).T == f.T @ h.T and f.T.T == f
    kind = KINDS[group]

    def swap(left: int, right: int) -> Diagram:
        return kind.permutation([*range(right, right + left), *range(right)], draw.n)

    assert (f @ h) >> swap(b, d) == swap(a, c) >> (h @ f)
    square, back = draw.diagram(a, b), draw.diagram(b, a)
    assert (square >> back).trace() == (back >> square).trace()


@EVERY
@settings(max_examples=COUNT)
@given(data=st.data())
def test_sums_are_bilinear(group: str, data: st.DataObject):
    draw = Draw(data, group)
    a, b, c = draw.orders(3)
    f, g, h = draw.diagram(a, b), draw.diagram(a, b), draw.diagram(b, c)
    assert (f + g) >> h == (f >> h) + (g >> h) and (f - g) @ h == f @ h - g @ h
    assert (N * f + 2 * g) >> h == N * (f >> h) + 2 * (g >> h)
    assert f - f == 0 * g and f + g == g + f and -1 * -f == f and sum([f, g, g]) == f + 2 * g
    assert (f + N * g).at(draw.n) == f + draw.n * g
    assert f != g or hash(f) == hash(g)


@EVERY
def test_snakes(group: str):
    """A wire bent twice is a wire, up to the sign that makes Sp symplectic."""
    kind, n = KINDS[group], 2
    bend = kind.build(0, 2, Partition(0, 2, [[0, 1]]).network if group != "Sp" else Symplectic(0, 2, [(0, 1)]).network, n)
    wire = kind.identity(1, n)
    sign = -1 if group == "Sp" else 1
    assert wire @ bend >> bend.T @ wire == sign * wire == bend @ wire >> wire @ bend.T
    assert str((bend >> bend.T).terms[0][1]) == ("2" if group in ("A", "SO") else "n")
    assert bend >> kind.permutation([1, 0], n) == sign * bend


def test_three_coupons_have_several_diagrams_and_one_normal_form():
    coupon = Determinant(0, 2, free=(0, 1))
    left, right = (coupon @ coupon) @ coupon, coupon @ (coupon @ coupon)
    assert left != right and left.normal() == right.normal()


def test_special_frobenius_algebra():
    mu, eta = Partition(2, 1, [[0, 1, 2]]), Partition(0, 1, [[0]])
    wire = Partition.identity(1)
    assert mu @ wire >> mu == wire @ mu >> mu and eta @ wire >> mu == wire
    assert mu.T >> mu == wire and wire @ mu.T >> mu @ wire == mu >> mu.T
    assert eta >> eta.T == N * Partition.identity(0)


def test_a_diagram_and_its_sum_are_equal_and_hash_alike():
    for d in (Determinant(1, 2, free=(1, 0, 2)), Jellyfish(0, 3, [[1], [0]], [[2]], 3), Brauer(1, 1, [(0, 1)]), Partition(1, 0, [[0]])):
        assert d == d.sum and d.sum == d and hash(d) == hash(d.sum) and len({d, d.sum}) == 1
    even, odd = Determinant(0, 3, free=(1, 2, 0)), Determinant(0, 3, free=(1, 0, 2))
    assert even == Determinant(0, 3, free=(0, 1, 2)) and odd != even and odd == -even and hash(odd) == hash(-even)


polynomials = st.lists(st.integers(-4, 4), max_size=4).map(lambda cs: sum((c * N**i for i, c in enumerate(cs)), 0))


@settings(max_examples=COUNT)
@given(polynomials, polynomials, polynomials, st.integers(-3, 6))
def test_coefficients_are_a_ring_and_evaluation_a_homomorphism(p: Any, q: Any, r: Any, n: int):
    assert (p + q) * r == p * r + q * r and p * q == q * p and (p * q) * r == p * (q * r) and p - p == 0
    assert evaluate(p * q, n) == evaluate(p, n) * evaluate(q, n) and evaluate(p - q, n) == evaluate(p, n) - evaluate(q, n)


@pytest.mark.parametrize(("made", "text"), [(N * N - 2 * N + 1, "n² - 2·n + 1"), (-N, "-n"), (3 - N**12, "-n¹² + 3"), (N - N + 4, "4")])
def test_coefficients_read_as_polynomials(made: Any, text: str):
    assert str(made) == text
