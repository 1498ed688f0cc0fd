"""discopy's special commutative Frobenius objects as an oracle for partitions, and Brauer diagrams among them."""

import random

import pytest

from catlearn import errors
from catlearn.diagrams import Brauer, Determinant, Partition, Symplectic
from catlearn.interop.frobenius import from_frobenius, to_frobenius


def partition(r: random.Random, k: int, l: int) -> Partition:
    labels = [r.randrange(k + l) for _ in range(k + l)]
    return Partition(k, l, [[p for p in range(k + l) if labels[p] == a] for a in set(labels)])


def matching(r: random.Random, k: int, l: int) -> Brauer:
    points = r.sample(range(k + l), k + l)
    return Brauer(k, l, [points[i : i + 2] for i in range(0, k + l, 2)])


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("draw", [partition, matching])
def test_discopy_composes_as_we_do(draw, seed):
    r = random.Random(seed)
    k, l, m = (r.choice([0, 2, 4]) for _ in range(3)) if draw is matching else (r.randrange(4) for _ in range(3))
    d, e = draw(r, k, l), draw(r, l, m)
    there = to_frobenius(d), to_frobenius(e)
    assert from_frobenius(there[0], type(d)) == 1 * d
    assert from_frobenius(there[0] >> there[1], type(d)) == d >> e
    assert from_frobenius(there[0] @ there[1], type(d)) == 1 * (d @ e)
    assert from_frobenius(there[0].dagger(), type(d)) == 1 * d.T


def test_a_mutant_composes_otherwise():
    d, other = Partition(1, 2, [[0, 2], [1]]), Partition(1, 2, [[0, 1, 2]])
    assert from_frobenius(to_frobenius(other)) != 1 * d
    assert from_frobenius(to_frobenius(other) >> to_frobenius(d.T)) != d >> d.T


def test_signs_and_boxes_are_refused():
    from discopy.frobenius import Box, Ty

    for d in (Symplectic(2, 0, [[0, 1]]), Determinant(1, 1, [0, 1], [])):
        with pytest.raises(errors.NoRule, match="signs"):
            to_frobenius(d)
    with pytest.raises(errors.NoRule, match="the box f"):
        from_frobenius(Box("f", Ty("n"), Ty("n")))
    with pytest.raises(errors.BadDiagram):
        from_frobenius(to_frobenius(Partition(1, 2, [[0, 1, 2]])), Brauer)
