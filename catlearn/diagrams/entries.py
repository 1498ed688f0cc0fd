"""The nonzero entries of a product of deltas, symplectic pairs and coupons, without visiting the zeros.

>>> list(nonzeros(Network(deltas=((0, 2),), arcs=((1, 3),)), 4, 2))
[((0, 0, 0, 1), 1), ((0, 1, 0, 0), -1), ((1, 0, 1, 1), 1), ((1, 1, 1, 0), -1)]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import TypeAlias

from catlearn.diagrams.contract import Block, Network, signed_permutations

Values: TypeAlias = list[tuple[Block, int]]  # the values at some points, with the factor


def nonzeros(network: Network, points: int, n: int) -> Iterator[tuple[Block, int]]:
    """The index at each of the points and the value there, for all entries that are not 0."""
    half = n // 2
    pairs = [((v, v + half), 1) for v in range(half)] + [((v + half, v), -1) for v in range(half)]
    parts: list[tuple[Block, Values]] = [(block, [((v,) * len(block), 1) for v in range(n)]) for block in network.deltas]
    parts += [(arc, pairs) for arc in network.arcs]
    for legs in network.coupons:
        held = tuple(point for leg in legs for point in leg)
        parts.append((held, [(tuple(v for v, leg in zip(p, legs, strict=False) for _ in leg), s) for s, p in signed_permutations(n)]))
    place = [0] * points
    for i, point in enumerate(point for held, _ in parts for point in held):
        place[point] = i
    for chosen in product(*(values for _, values in parts)):
        flat = [v for values, _ in chosen for v in values]
        value = 1
        for _, factor in chosen:
            value *= factor
        yield tuple(flat[i] for i in place), value


def matrix(terms: Iterable[tuple[Network, int]], k: int, l: int, n: int) -> list[list[int]]:
    """The sum of these multiples, n^l rows for the points below l and n^k columns for the others, both in row-major order."""
    made = [[0] * n**k for _ in range(n**l)]
    weights = [n ** (l - 1 - point) for point in range(l)] + [n ** (k - 1 - point) for point in range(k)]
    for network, c in terms:
        for index, value in nonzeros(network, k + l, n):
            places = [i * weight for i, weight in zip(index, weights, strict=True)]
            made[sum(places[:l])][sum(places[l:])] += c * value
    return made
