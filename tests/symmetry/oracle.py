"""The dimension of Hom_G(V^k, V^l) from its definition: the W with W ρ_k(g) = ρ_l(g) W for generators g. No diagrams here.

The generators are written down again, as integer matrices, and the null space is found modulo a large prime by elimination. Modulo a
prime it can only be larger than over the rationals; so where it has the length of a family of equivariant maps that are independent
(over the rationals), that family is a basis, and the dimension is proved.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np

from catlearn.maps.sums.family import Element

PRIME = 2**31 - 1
Array = np.ndarray
Label = tuple[Any, ...]


def generators(kind: str, n: int) -> list[tuple[Array, bool]]:
    """Integer matrices that generate the group; True: one of the Lie algebra instead."""

    def lie(*entries: tuple[int, int, int]) -> tuple[Array, bool]:
        X = np.zeros((n, n), dtype=np.int64)
        for i, j, x in entries:
            X[i, j] = x
        return X, True

    def diagonal(*signs: int) -> tuple[Array, bool]:
        return np.diag([*signs, *[1] * (n - len(signs))]).astype(np.int64), False

    def turned(i: int, sign: int) -> tuple[Array, bool]:
        M = np.eye(n, dtype=np.int64)
        M[i : i + 2, i : i + 2] = [[0, sign], [1, 0]]
        return M, False

    if kind == "S":
        return [turned(i, 1) for i in range(n - 1)]
    if kind == "A":
        return [(turned(i, 1)[0] @ turned(i + 1, 1)[0], False) for i in range(n - 2)]
    if kind in ("O", "SO"):
        if n == 1:
            return [diagonal(-1)] if kind == "O" else []
        flip = [diagonal(-1)] if kind == "O" else [diagonal(-1, -1)]
        return [*flip, *(turned(i, 1 if kind == "O" else -1) for i in range(n - 1)), lie((0, 1, 1), (1, 0, -1))]
    r = n // 2
    torus = [lie((i, i, 1), (r + i, r + i, -1)) for i in range(r)]
    upper = [lie((i, r + j, 1), (j, r + i, 1)) for i in range(r) for j in range(i, r)]
    return [*torus, *upper, *((X.T.copy(), True) for X, _ in upper)]


def dual(M: Array, lie: bool) -> Array:
    """How an element that moves vectors by M moves covectors."""
    return -M.T if lie else np.rint(np.linalg.inv(M)).astype(np.int64).T


def moved(T: Array, M: Array, lie: bool, l: int, axes: Iterable[int] | None = None) -> Array:
    """g T - T for a row of tensors T, or X T for a Lie algebra: on the first l axes by M, on the others by the inverse transpose.

    ``axes``: only on these.
    """
    found = np.zeros_like(T) if lie else T
    for axis in range(T.ndim - 1) if axes is None else axes:
        A = M if axis < l else dual(M, lie)
        y = np.moveaxis(np.tensordot(A, T if lie else found, axes=([1], [axis + 1])), 0, axis + 1) % PRIME
        found = (found + y) % PRIME if lie else y
    return found if lie else (found - T) % PRIME


def annihilated(rows: Array, images: Array) -> Array:
    """The combinations of rows whose combination of images is zero, modulo the prime."""
    width = images.shape[1]
    both, done = np.concatenate([images, rows], axis=1) % PRIME, 0
    for i in range(len(both)):
        columns = np.flatnonzero(both[i, :width])
        if not len(columns):
            both[[done, i]] = both[[i, done]]
            done += 1
            continue
        column = columns[0]
        touched = np.flatnonzero(both[:, column])
        touched = touched[touched > i]
        if len(touched):
            factor = both[touched, column] * pow(int(both[i, column]), -1, PRIME) % PRIME
            both[touched] = (both[touched] - factor[:, None] * both[i] % PRIME) % PRIME
    return both[:done, width:]


@cache
def dimension(kind: str, n: int, k: int, l: int) -> int:
    """The dimension of the null space."""
    if k and all((dual(M, lie) == M).all() for M, lie in generators(kind, n)):
        return dimension(kind, n, 0, k + l)  # orthogonal matrices are their own duals: the same equations
    return product_dimension(((kind, n),) * l, ((kind, n),) * k)


def product_dimension(outs: tuple[Label, ...], ins: tuple[Label, ...]) -> int:
    """The same for a group on each axis, given as (kind, n) or (kind, n, name); equal ones are one group."""
    labels = outs + ins
    shape = [label[1] for label in labels]
    size = int(np.prod(shape))
    T = np.eye(size, dtype=np.int64).reshape(-1, *shape)
    for label in dict.fromkeys(labels):
        axes = [i for i, other in enumerate(labels) if other == label]
        for M, lie in generators(*label[:2]):
            images = moved(T, M, lie, len(outs), axes)
            T = annihilated(T.reshape(-1, size), images.reshape(-1, size)).reshape(-1, *shape)
    return len(T)


def rank(rows: Array) -> int:
    """The rank modulo the prime, at most the rank over the rationals, of tensors in a row."""
    rows = rows.reshape(len(rows), int(np.prod(rows.shape[1:])))
    return len(rows) - len(annihilated(np.zeros((len(rows), 0), dtype=np.int64), rows))


def dense(d: Any, sizes: Sequence[int]) -> Array:
    """The tensor of an element from its definition: deltas, symplectic pairs and signs, one index after the other."""
    return _dense(Element(d.deltas, d.arcs, d.coupons), tuple(sizes))


@cache
def _dense(d: Element, sizes: tuple[int, ...]) -> Array:
    found = np.zeros(sizes, dtype=np.int64)
    for index in np.ndindex(sizes):
        found[index] = entry(d, index, sizes)
    return found


def entry(d: Element, index: tuple[int, ...], sizes: Sequence[int]) -> int:
    """One entry."""
    if any(index[p] != index[block[0]] for block in (*d.deltas, *(leg for legs in d.coupons for leg in legs)) for p in block):
        return 0
    value = 1
    for a, b in d.arcs:
        half = sizes[a] // 2
        value *= (index[b] == index[a] + half) - (index[a] == index[b] + half)
    for legs in d.coupons:
        n, values = sizes[legs[0][0]], [index[leg[0]] for leg in legs]
        values += [v for v in range(n) if v not in values] if len(legs) == n - 1 else []
        value *= round(np.linalg.det(np.eye(n)[values])) if len(set(values)) == n == len(values) else 0
    return value
