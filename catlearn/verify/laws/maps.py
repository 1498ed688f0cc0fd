"""The laws of a structured map, on random parameters and vectors in float64: for every kind of map, and for one of your own.

>>> from catlearn.maps import dense, identity
>>> print(check_map(dense("A", 2, 3) @ identity(2)))
laws of A ⊗ id : 3×2 → 2×2
apply
  ✓ f(x) is the matrix times x
  ✓ f is linear
  ✓ every plan gives the same
transpose
  ✓ the matrix of f.T is the transpose
  ✓ ⟨y, f x⟩ = ⟨f.T y, x⟩
  ✓ f.T.T = f
algebra
  ✓ f then f.T multiplies the matrices
  ✓ f @ f is the Kronecker product
  ✓ f + f = 2 f
bounds
  ✓ the rank is at most rank_bound
exact
  ✓ the exact matrix is the matrix
derivative
  ✓ gradients are those of the matrix
12 held, 0 failed, 0 do not apply
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from catlearn.core.sizes import evaluate
from catlearn.errors import BadMap
from catlearn.maps.base import Map
from catlearn.meanings.initialise import generator
from catlearn.verify.laws.report import FAILED, HELD, NOT, LawReport, Outcome

TOLERANCE = 1e-9
EXACT = 1 << 10  # entries of the largest matrix that is compared exactly
SQUARED = 1 << 20  # entries of the largest Kronecker square
Sides = Iterator[tuple[str, Any, Any]]


def check_map(f: Map, trials: int = 3, seed: int = 0) -> LawReport:
    """Every law of maps on ``f``; the note of one that fails says for which plan, parameter or sample, and by how much."""
    if trials < 1:
        raise BadMap(f"check_map(trials={trials}): laws are checked on at least one vector")
    subject = Drawn(f, trials, seed)
    shape = " → ".join("×".join(map(str, sizes)) or "1" for sizes in (f.dom, f.cod))
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # which is what a matrix without parameters is written in
    try:
        return LawReport(f"{f} : {shape}", tuple(_outcome(subject, *law) for law in LAWS))
    finally:
        torch.set_default_dtype(before)


@dataclass
class Drawn:
    """A map with parameters and vectors for it, drawn from the seed."""

    f: Map
    trials: int
    seed: int

    def normal(self, name: str, *shape: int) -> Tensor:
        return torch.randn(shape, generator=generator(self.seed, name), dtype=torch.float64)

    @cached_property
    def params(self) -> Mapping[str, Tensor]:
        return {name: self.normal(name, *(evaluate(size, {}) for size in param.wire.shape)) for name, param in self.f.params.items()}

    @cached_property
    def x(self) -> Tensor:
        return self.normal("x", self.trials, *self.f.dom)

    @cached_property
    def y(self) -> Tensor:
        return self.normal("y", self.trials, *self.f.cod)

    @cached_property
    def rows(self) -> Tensor:
        """The matrix, by applying f to every unit vector: what ``dense`` is compared with."""
        n = math.prod(self.f.dom)
        return self.f.apply(torch.eye(n, dtype=torch.float64).reshape(n, *self.f.dom), self.params).reshape(n, -1).T

    def dense(self, f: Map) -> Tensor:
        return f.dense({name: self.params[name] for name in f.params})

    def apply(self, f: Map, x: Tensor) -> Tensor:
        return f.apply(x, {name: self.params[name] for name in f.params})


def _matrix(s: Drawn) -> Sides:
    yield "unit vectors", s.rows, s.dense(s.f)
    yield "vectors", s.apply(s.f, s.x).flatten(1), s.x.flatten(1) @ s.dense(s.f).T


def _linear(s: Drawn) -> Sides:
    a, b = s.x, s.x.flip(0)
    yield "2 x - 3 z", s.apply(s.f, 2 * a - 3 * b), 2 * s.apply(s.f, a) - 3 * s.apply(s.f, b)


def _plans(s: Drawn) -> Sides:
    for force in ("dense", "factored"):
        for tokens in (1, 4096):
            found = s.f.apply(s.x, s.params, s.f.plan(tokens, force))
            yield f"{force}, as for {tokens} vectors", found, s.apply(s.f, s.x)


def _transpose(s: Drawn) -> Sides:
    yield "matrix", s.dense(s.f.T), s.rows.T


def _adjoint(s: Drawn) -> Sides:
    forth, back = s.apply(s.f, s.x), s.apply(s.f.T, s.y)
    yield "products", (s.y * forth).flatten(1).sum(1), (back * s.x).flatten(1).sum(1)


def _twice(s: Drawn) -> Sides:
    yield "vectors", s.apply(s.f.T.T, s.x), s.apply(s.f, s.x)


def _then(s: Drawn) -> Sides:
    yield "matrix", s.dense(s.f >> s.f.T), s.rows.T @ s.rows


def _tensor(s: Drawn) -> Sides:
    if s.rows.numel() ** 2 <= SQUARED:
        yield "matrix", s.dense(s.f @ s.f), torch.kron(s.rows, s.rows)


def _sum(s: Drawn) -> Sides:
    yield "matrix", s.dense(s.f + s.f), 2 * s.rows


def _rank(s: Drawn) -> Sides:
    rank = int(torch.linalg.matrix_rank(s.rows)) if s.rows.numel() else 0
    yield f"rank {rank}, bound {s.f.rank_bound}", torch.tensor(float(max(rank - s.f.rank_bound, 0))), torch.tensor(0.0)


def _exact(s: Drawn) -> Sides:
    if s.rows.numel() <= EXACT:
        found = s.f.exact(s.params)
        rows = found.tolist() if hasattr(found, "tolist") else found
        yield "matrix", torch.tensor([[float(v) for v in row] for row in rows], dtype=torch.float64).reshape(s.rows.shape), s.rows


def _gradients(s: Drawn) -> Sides:
    names = [name for name, param in s.f.params.items() if param.trainable]
    leaves = {name: value.clone().requires_grad_(name in names) for name, value in s.params.items()}
    given = [s.x.clone().requires_grad_(), *(leaves[name] for name in names)]
    ys = s.f.apply(given[0], leaves), given[0].flatten(1) @ s.f.dense(leaves).T
    ours, theirs = (torch.autograd.grad(y, given, s.y.reshape(y.shape), materialize_grads=True) for y in ys)
    for what, a, b in zip(["x", *names], ours, theirs, strict=True):
        yield f"of {what}", a, b


LAWS: list[tuple[str, str, Callable[[Drawn], Sides]]] = [
    ("apply", "f(x) is the matrix times x", _matrix),
    ("apply", "f is linear", _linear),
    ("apply", "every plan gives the same", _plans),
    ("transpose", "the matrix of f.T is the transpose", _transpose),
    ("transpose", "⟨y, f x⟩ = ⟨f.T y, x⟩", _adjoint),
    ("transpose", "f.T.T = f", _twice),
    ("algebra", "f then f.T multiplies the matrices", _then),
    ("algebra", "f @ f is the Kronecker product", _tensor),
    ("algebra", "f + f = 2 f", _sum),
    ("bounds", "the rank is at most rank_bound", _rank),
    ("exact", "the exact matrix is the matrix", _exact),
    ("derivative", "gradients are those of the matrix", _gradients),
]


def _outcome(s: Drawn, group: str, law: str, sides: Callable[[Drawn], Sides]) -> Outcome:
    compared = 0
    try:
        for where, left, right in sides(s):
            compared += 1
            gap = float((left - right).abs().max()) if left.numel() else 0.0
            if left.shape != right.shape or not gap <= TOLERANCE * (1 + float(right.abs().max() if right.numel() else 0)):
                shapes = f"shape {tuple(left.shape)} against {tuple(right.shape)}" if left.shape != right.shape else f"off by {gap:.3g}"
                return Outcome(group, law, FAILED, f"{where}: {shapes}")
    except Exception as error:  # a wrong map may raise anything: that is a failure of the law, not of the check
        return Outcome(group, law, FAILED, f"raised {type(error).__name__}: {next(iter(str(error).splitlines()), '')}")
    return Outcome(group, law, HELD) if compared else Outcome(group, law, NOT, "its matrix is too large for this")


__all__ = ["LAWS", "Drawn", "check_map"]
