"""Tensors of diagrams by definition, with numpy, from the constructor's data alone: never from ``entries`` or ``network``."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np

from catlearn.diagrams import Brauer, Combination, Determinant, Diagram, Jellyfish, Partition, Symplectic, evaluate

PRIME = 2_147_483_629


def grids(n: int, m: int) -> list[Any]:
    """The index at each of m points, as arrays that broadcast to shape (n,) * m."""
    return [np.arange(n).reshape([-1 if axis == point else 1 for axis in range(m)]) for point in range(m)]


def constant(tensor: Any, at: list[Any], block: tuple[int, ...]) -> Any:
    for point in block[1:]:
        tensor = tensor * (at[block[0]] == at[point])
    return tensor


def levi_civita(n: int) -> Any:
    """ε by the sign of the product of all differences."""
    tensor = np.zeros((n,) * n, dtype=np.int64)
    for order in permutations(range(n)):
        tensor[order] = round(np.prod([np.sign(order[j] - order[i]) for i in range(n) for j in range(i + 1, n)]))
    return tensor


def dense(d: Diagram | Combination, n: int) -> Any:
    """The matrix of a diagram or a sum, n^l rows and n^k columns, as integers."""
    if isinstance(d, Combination):
        zero = np.zeros((n**d.l, n**d.k), dtype=np.int64)
        return sum((evaluate(c, n) * dense(term, n) for term, c in d.terms), zero)
    m = d.k + d.l
    at, tensor = grids(n, m), np.ones((n,) * m, dtype=np.int64)
    match d:
        case Partition(blocks=blocks):
            for block in blocks:
                tensor = constant(tensor, at, block)
        case Brauer(pairs=pairs):
            for pair in pairs:
                tensor = constant(tensor, at, pair)
        case Symplectic(pairs=pairs):
            r = n // 2
            J = np.zeros((n, n), dtype=np.int64)
            J[:r, r:], J[r:, :r] = np.eye(r), -np.eye(r)
            for a, b in pairs:
                tensor = tensor * (J[at[a], at[b]] if (a < d.l) == (b < d.l) else (at[a] == at[b]))
        case Determinant(free=free, pairs=pairs):
            for pair in pairs:
                tensor = constant(tensor, at, pair)
            if free:
                tensor = tensor * levi_civita(n)[tuple(at[point] for point in free)]
        case Jellyfish(legs=legs, blocks=blocks):
            for block in (*blocks, *legs):
                tensor = constant(tensor, at, block)
            if legs:
                epsilon = levi_civita(n)
                epsilon = epsilon if len(legs) == n else epsilon.sum(axis=-1)
                tensor = tensor * epsilon[tuple(at[leg[0]] for leg in legs)]
    return tensor.reshape(n**d.l, n**d.k)


def rank(rows: Any, prime: int = PRIME) -> int:
    """The rank of an integer matrix modulo a prime: at most the rank over the rationals."""
    left, count = np.array(rows, dtype=np.int64) % prime, 0
    for column in range(left.shape[1]):
        pivots = np.flatnonzero(left[count:, column])
        if not len(pivots):
            continue
        pivot = count + pivots[0]
        left[[count, pivot]] = left[[pivot, count]]
        left[count] = left[count] * pow(int(left[count, column]), -1, prime) % prime
        below = np.flatnonzero(left[:, column])
        below = below[below != count]
        left[below] = (left[below] - left[below, column][:, None] * left[count]) % prime
        count += 1
        if count == len(left):
            break
    return count


def flat(diagrams: Any, n: int, seed: int = 0, most: int = 600) -> Any:
    """One row per diagram: its entries, or that many random integer combinations of them modulo the prime."""
    found = np.array([dense(d, n).reshape(-1) for d in diagrams]) if diagrams else np.zeros((0, 1), dtype=np.int64)
    if found.shape[1] <= most:
        return found
    draw = np.random.default_rng(seed)
    kept = []
    for _ in range(min(most, found.shape[0] + 8)):
        weights = draw.integers(0, 1000, found.shape[1])
        kept.append(found @ weights % PRIME)
    return np.array(kept).T
