"""The nonzero entries of elements, found without visiting all n^(k+l) index tuples.

An element is a product of factors on disjoint points, so its nonzeros are the product of theirs: a delta has n (its block runs through
the values together), an arc has n (``b = a + r`` with sign +, or ``a - r`` with sign -, for n = 2r), a coupon n! (the permutations,
with their signs; with one leg fewer than values the last value is the missing one).

Laws: the sum of the entries over all index tuples is the product over the factors; the dense tensor rebuilt from them is the element.

>>> from catlearn.maps.sums.family import Element
>>> tuples, values = entries(Element(arcs=((0, 1),)), (4, 4))
>>> tuples.T.tolist(), values.tolist()
([[0, 2], [1, 3], [2, 0], [3, 1]], [1, 1, -1, -1])
>>> tuples, values = entries(Element(coupons=(((0,), (1,)),)), (3, 3))
>>> len(values), int(values.sum())
(6, 0)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain, permutations

import numpy as np

from catlearn import errors
from catlearn.maps.sums.family import Block, Element, Family

MOST = 1 << 22  # nonzeros of one element, or rows times columns times elements of a table: more would take seconds and fill the memory


def entries(element: Element, sizes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The index tuples (points, nonzeros) and the values (nonzeros,) of an element on axes of these sizes.

    Raises ``BadSymmetry`` for an element that does not fit the sizes, or that has more than 2^22 nonzeros.
    """
    check_element(element, sizes)
    factors = list(_factors(element, sizes))
    count = math.prod(len(values) for _, _, values in factors)
    if count > MOST:
        raise errors.BadSymmetry(f"an element has {count:,} nonzero entries; tables are made up to {MOST:,}", [f"element {element}"],
                                 next='choose strategy="diagrams", or smaller axes')  # fmt: skip
    tuples, values, inner = np.zeros((len(sizes), count), np.int64), np.ones(count, np.int64), count
    for legs, table, signs in factors:
        inner //= len(signs)
        at = np.arange(count) // inner % len(signs)
        values *= signs[at]
        for leg, row in zip(legs, table, strict=True):
            tuples[list(leg)] = row[at]
    return tuples, values


def coordinates(family: Family, bias: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """All nonzeros of a family's elements (or of its biases): flat output index, flat input index, number of the element, value."""
    elements, sizes = (family.biases, family.outs) if bias else (family.elements, family.sizes)
    found = [entries(element, sizes) for element in elements]
    owner = np.repeat(np.arange(len(found)), [len(values) for _, values in found])
    tuples = np.concatenate([t for t, _ in found], 1) if found else np.zeros((len(sizes), 0), np.int64)
    values = np.concatenate([v for _, v in found]) if found else np.zeros(0, np.int64)
    outs, ins = family.order_out, sizes[family.order_out :]
    return flat(tuples[:outs], family.outs), flat(tuples[outs:], ins), owner, values


def flat(tuples: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """Row-major numbers of index tuples (points, m); all 0 where there is no axis."""
    numbers = np.zeros(tuples.shape[1], np.int64)
    for row, size in zip(tuples, sizes, strict=True):
        numbers = numbers * size + row
    return numbers


def check_element(element: Element, sizes: tuple[int, ...]) -> None:
    """Raises ``BadSymmetry`` unless each point is in one delta, arc or leg, and these join axes of one fitting size."""
    covered = sorted(chain(*element.deltas, *element.arcs, *chain(*element.coupons)))
    if covered != list(range(len(sizes))):
        rows = [f"points   {list(range(len(sizes)))}", f"covered  {covered}"]
        raise errors.BadSymmetry("an element needs each point in exactly one delta, arc or leg", rows, "see catlearn.diagrams")
    for legs in (*((block,) for block in (*element.deltas, *element.arcs)), *element.coupons):
        if len(found := {sizes[point] for point in chain(*legs)}) > 1:
            rows = [f"points {legs}", f"sizes  {sorted(found)}"]
            raise errors.BadSymmetry(
                "a delta, an arc or a coupon joins axes of one size", rows, "axes of several groups stand side by side"
            )
    for a, b in element.arcs:
        if sizes[a] % 2:
            raise errors.BadSymmetry(f"an arc needs an axis of even size, not {sizes[a]}", [f"arc {(a, b)}"], "Sp(n) exists for even n")
    for legs in element.coupons:
        if legs and len(legs) not in ((n := sizes[legs[0][0]]) - 1, n):
            raise errors.BadSymmetry(f"a coupon on axes of size {n} needs {n} or {n - 1} legs, not {len(legs)}", [f"coupon {legs}"])


def _factors(element: Element, sizes: tuple[int, ...]) -> Iterator[tuple[Sequence[Block], np.ndarray, np.ndarray]]:
    """For each factor its legs, the values of the legs at its nonzeros (legs, m), and its values there (m,)."""
    for block in element.deltas:
        n = sizes[block[0]]
        yield [block], np.arange(n)[None], np.ones(n, np.int64)
    for a, b in element.arcs:
        first, n = np.arange(sizes[a]), sizes[a]
        yield [(a,), (b,)], np.stack([first, (first + n // 2) % n]), np.where(first < n // 2, 1, -1)
    for legs in element.coupons:
        if legs:  # without legs: the sign of the one bijection of an axis of size 1, its leg ended in the missing value
            yield legs, *signed_permutations(sizes[legs[0][0]], len(legs))


@lru_cache(maxsize=32)
def signed_permutations(n: int, legs: int) -> tuple[np.ndarray, np.ndarray]:
    """The values of n or n - 1 legs (legs, n!) and the signs of the permutations (n!,)."""
    if math.factorial(n) > MOST:
        raise errors.BadSymmetry(f"a sign on {n} legs has {math.factorial(n):,} nonzero entries; tables are made up to {MOST:,}")
    table = np.array(list(permutations(range(n))), np.int64).T.reshape(n, -1)
    odd = sum(((table[i] > table[j]) for i in range(n) for j in range(i + 1, n)), np.zeros(table.shape[1], np.int64))
    return table[:legs], 1 - 2 * (odd % 2)
