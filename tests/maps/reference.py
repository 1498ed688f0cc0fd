"""The matrix of a map from the definition of its kind, in plain numpy: what everything in ``catlearn.maps`` is compared with.

Nothing here uses the tape, the planner or the kernels; a matrix is filled entry by entry, or by numpy's own ``kron``, ``@`` and ``trace``.
"""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np

from catlearn import maps

Values = dict[str, Any]


def matrix(f: maps.Map, values: Values, dtype: Any = float) -> np.ndarray:
    """The matrix (prod cod, prod dom) of f; ``dtype=object`` for exact numbers."""
    found = KINDS[type(f).__name__](f, values, dtype)
    assert found.shape == (math.prod(f.cod), math.prod(f.dom)), f
    return found


def _sparse(f: Any, p: Values, dtype: Any) -> np.ndarray:
    found = np.zeros((math.prod(f.cod), math.prod(f.dom)), dtype)
    for k, (r, c, s) in enumerate(zip(f.rows, f.columns, f.source, strict=True)):
        found[r, c] += (1 if f.name is None else p[f.name][s]) * (1 if f.factors is None else f.factors.values[k])
    return found


def _reflection(f: Any, p: Values, dtype: Any) -> np.ndarray:
    n = math.prod(f.dom)
    found = np.eye(n).astype(dtype)
    for v in p[f.name][::-1] if f.backwards else p[f.name]:
        v = np.asarray(v, dtype)
        found = found @ (np.eye(n).astype(dtype) - 2 * np.outer(v, v) / (v @ v))
    return found


def _selection(f: Any, p: Values, dtype: Any) -> np.ndarray:
    found = np.zeros((math.prod(f.cod), math.prod(f.dom)), dtype)
    for i, j in enumerate(f.index):
        found[i, j] = 1
    return found


def _columns(f: Any, dtype: Any, act: Any) -> np.ndarray:
    """Column by column, from what the map does to a basis tensor."""
    n = math.prod(f.dom)
    found = np.zeros((math.prod(f.cod), n), dtype)
    for j in range(n):
        unit = np.zeros(n, dtype)
        unit[j] = 1
        found[:, j] = act(unit.reshape(f.dom)).reshape(-1)
    return found


def _circulant(f: Any, p: Values, dtype: Any) -> np.ndarray:
    c = np.asarray(p[f.name], dtype)
    rows, columns, n = c.shape
    found = np.zeros((rows * n, columns * n), dtype)
    for i, j, a, b in product(range(rows), range(columns), range(n), range(n)):
        found[i * n + a, j * n + b] = c[i, j, (b - a if f.by_rows else a - b) % n]
    return found.T if f.transposed else found


def _transform(f: Any, p: Values, dtype: Any) -> np.ndarray:
    n = f.dom[0]
    if f.name == "fourier":  # from numpy's complex matrix: real parts of rows, then imaginary parts, each of length 1
        full = np.fft.fft(np.eye(n), axis=0)
        rows = [full[0].real]
        for k in range(1, (n + 1) // 2):
            rows += [full[k].real, -full[k].imag]
        rows += [full[n // 2].real] if n % 2 == 0 else []
        found = np.array([row / np.linalg.norm(row) for row in rows])
    else:
        rows = [[math.cos(math.pi * (j + 0.5) * k / n) for j in range(n)] for k in range(n)]
        found = np.array([np.array(row) / np.linalg.norm(row) for row in rows])
    return found.T if f.inverse else found


def _diagram(f: Any, p: Values, dtype: Any) -> np.ndarray:
    found = np.zeros((f.n**f.l, f.n**f.k), dtype)
    for i in product(range(f.n), repeat=f.l + f.k):
        value = 1
        for block in f.deltas:
            value *= len({i[q] for q in block}) <= 1
        for a, b in f.arcs:
            value *= {f.n // 2: 1, -(f.n // 2): -1}.get(i[b] - i[a], 0)
        for legs in f.coupons:
            if any(len({i[q] for q in leg}) > 1 for leg in legs):
                value = 0
                continue
            chosen = [i[leg[0]] for leg in legs]
            chosen += [v for v in range(f.n) if v not in chosen] if len(chosen) == f.n - 1 else []
            value *= round(np.linalg.det(np.eye(f.n)[chosen])) if len(set(chosen)) == f.n == len(chosen) else 0
        row = sum(v * f.n ** (f.l - 1 - q) for q, v in enumerate(i[: f.l]))
        column = sum(v * f.n ** (f.k - 1 - q) for q, v in enumerate(i[f.l :]))
        found[row, column] += value
    return found


def _block(f: Any, p: Values, dtype: Any) -> np.ndarray:
    cells = [[np.zeros((n, m), dtype) if g is None else matrix(g, p, dtype) for g, m in zip(row, f.columns, strict=True)]
             for row, n in zip(f.grid, f.rows, strict=True)]  # fmt: skip
    return np.block(cells)


def _then(f: Any, p: Values, dtype: Any) -> np.ndarray:
    found = matrix(f.maps[0], p, dtype)
    for g in f.maps[1:]:
        found = matrix(g, p, dtype) @ found
    return found


def _kron(f: Any, p: Values, dtype: Any) -> np.ndarray:
    found = np.ones((1, 1), dtype)
    for g in f.maps:
        found = np.kron(found, matrix(g, p, dtype))
    return found


def _norm(f: Any, p: Values, dtype: Any) -> np.ndarray:
    rows = matrix(f.of, p, dtype)
    return np.diag((rows**2).sum(1) ** (f.exponent / 2))


KINDS: dict[str, Any] = {
    "Dense": lambda f, p, d: (
        np.asarray(p[f.name], d).reshape(math.prod(f.cod), -1) if math.prod(f.dom) else np.zeros((math.prod(f.cod), 0))
    ),
    "Constant": lambda f, p, d: np.array(f.array.values, d).reshape(math.prod(f.cod), math.prod(f.dom)),
    "Identity": lambda f, p, d: np.eye(math.prod(f.dom)).astype(d),
    "Zero": lambda f, p, d: np.zeros((math.prod(f.cod), math.prod(f.dom)), d),
    "Scalar": lambda f, p, d: np.asarray(p[f.name], d) * np.eye(math.prod(f.dom)).astype(d),
    "Diagonal": lambda f, p, d: np.diag(np.asarray(p[f.name], d).reshape(-1)),
    "Sparse": _sparse,
    "Reflection": _reflection,
    "Selection": _selection,
    "Permute": lambda f, p, d: _columns(f, d, lambda x: x.transpose(f.order)),
    "Reshape": lambda f, p, d: np.eye(math.prod(f.dom)).astype(d),
    "Broadcast": lambda f, p, d: _columns(f, d, lambda x: np.stack([x] * f.count, f.position)),
    "Contraction": lambda f, p, d: _columns(f, d, lambda x: np.trace(x, axis1=f.first, axis2=f.second)),
    "Circulant": _circulant,
    "Transform": _transform,
    "Diagram": _diagram,
    "Compose": _then,
    "Tensor": _kron,
    "Sum": lambda f, p, d: sum(matrix(g, p, d) for g in f.maps),
    "Scaled": lambda f, p, d: (f.factor if d is object else float(f.factor)) * matrix(f.of, p, d),
    "Block": _block,
    "Hadamard": lambda f, p, d: matrix(f.left, p, d) * matrix(f.right, p, d),
    "RowNorm": _norm,
    "Transposed": lambda f, p, d: matrix(f.of, p, d).T,
}
