"""The laws of a functor from the diagrams of a group to matrices, on random diagrams, exactly: functor, monoidal, transpose, equivariance.

``check_theta(G)`` puts ``theta(G)`` before them, or an ``F`` of yours that sends a diagram, or a formal sum of them, to a structured map,
a matrix or nested lists. Nothing is rounded: a law that fails shows the diagrams, and the first entry that differs.

>>> from catlearn.core.spaces import Sp
>>> print(check_theta(Sp(2), trials=5))
laws of theta(Sp(2))
functor
  ✓ F(id) = id
  ✓ F(d then e) = F(d) then F(e)
  ✓ F(a d + b e) = a F(d) + b F(e)
monoidal
  ✓ F(d @ e) = F(d) ⊗ F(e)
  ✓ F(swap) exchanges the factors
transpose
  ✓ F(d.T) is the transpose of F(d)
equivariance
  ✓ F(d) intertwines the generators of Sp(2)
basis
  ✓ F(hom_basis) is linearly independent
8 held, 0 failed, 0 do not apply
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import islice, product
from math import lcm
from random import Random
from typing import Any

import numpy as np

from catlearn.core.spaces import Group
from catlearn.diagrams.basis import KINDS, spanning
from catlearn.errors import BadSymmetry
from catlearn.symmetry.action import rho
from catlearn.symmetry.elements import size_of
from catlearn.symmetry.functor import theta
from catlearn.symmetry.generators import generators
from catlearn.symmetry.hom import basis_size, hom_basis
from catlearn.verify.laws.report import FAILED, HELD, NOT, LawReport, Outcome

MOST = 5000  # diagrams of one type that random ones are drawn from
ENTRIES = 1 << 18  # larger matrices are left out
PRIME = (1 << 31) - 1
Sides = Iterator[tuple[str, Any, Any]]


def check_theta(G: Group, F: Callable[[Any], Any] | None = None, order: int = 3, trials: int = 20, seed: int = 0) -> LawReport:
    """Every law on random diagrams k → l of ``G`` with k, l ≤ ``order``, and on all of each basis; matrices above 2^18 entries left out.

    ``F`` is ``theta(G)`` unless given. A law fails at the first entry that differs, or if something raises. Raises ``BadSymmetry`` for a
    group without diagrams or with a symbolic size.
    """
    basis_size(G, 0, 0)
    size_of(G)
    if order < 1 or trials < 1:
        raise BadSymmetry(f"check_theta needs an order and a number of trials of at least 1, not {order} and {trials}")
    subject = Images(G, F or theta(G), order, trials, seed)
    title = f"theta({G})" if F is None else getattr(F, "__name__", type(F).__name__)
    return LawReport(title, tuple(_outcome(subject, group, law, sides) for group, law, sides in LAWS))


@dataclass
class Images:
    """A functor under test, with random diagrams for it."""

    G: Group
    F: Callable[[Any], Any]
    order: int
    trials: int
    seed: int

    @property
    def n(self) -> int:
        """The size of the group."""
        return size_of(self.G)

    @cached_property
    def drawn(self) -> dict[tuple[int, int], list[Any]]:
        """The diagrams that random ones are drawn from, by (k, l); types without any are left out."""
        types = [(k, l) for k, l in product(range(self.order + 1), repeat=2) if self.n ** (k + l) <= ENTRIES]
        found = {(k, l): list(islice(spanning(self.G.kind, self.n, k, l), MOST)) for k, l in types}
        return {key: ds for key, ds in found.items() if ds}

    def matrix(self, d: Any) -> np.ndarray:
        """The exact matrix of an image, n^l rows and n^k columns."""
        image = self.F(d)
        rows = image.exact() if hasattr(image, "exact") else image
        rows = rows.tolist() if hasattr(rows, "tolist") else rows
        return _plain(np.array(rows, dtype=object).reshape(self.n**d.l, self.n**d.k))

    def pick(self, rng: Random, k: int, l: int) -> Any:
        """A random sum of one or two diagrams, with small coefficients."""
        ds = self.drawn[k, l]
        d = rng.choice(ds)
        return d if rng.random() < 0.5 else d * rng.choice((1, -1, 2)) + rng.choice(ds) * rng.choice((1, -2, 3))

    def pairs(self, fits: Callable[[tuple[int, int], tuple[int, int]], bool]) -> Iterator[tuple[Any, Any]]:
        """Random pairs of sums whose types fit together."""
        rng = Random(self.seed)
        types = [(s, t) for s, t in product(self.drawn, repeat=2) if fits(s, t)]
        for _ in range(self.trials):
            s, t = rng.choice(types)
            yield self.pick(rng, *s), self.pick(rng, *t)


def _identities(s: Images) -> Sides:
    for k in range(s.order + 1):
        d = KINDS[s.G.kind].identity(k, s.n)
        yield f"id on {k} points", s.matrix(d), np.eye(s.n**k, dtype=int)


def _composites(s: Images) -> Sides:
    for d, e in s.pairs(lambda s, t: s[1] == t[0]):
        yield f"d = {d}\ne = {e}", s.matrix(d >> e), s.matrix(e) @ s.matrix(d)


def _sums(s: Images) -> Sides:
    for d, e in s.pairs(lambda s, t: s == t):
        yield f"d = {d}\ne = {e}", s.matrix(2 * d + -3 * e), 2 * s.matrix(d) - 3 * s.matrix(e)


def _products(s: Images) -> Sides:
    for d, e in s.pairs(lambda a, b: sum(a) + sum(b) <= 2 * s.order and s.n ** (sum(a) + sum(b)) <= ENTRIES):
        yield f"d = {d}\ne = {e}", s.matrix(d @ e), np.kron(s.matrix(d), s.matrix(e))


def _swaps(s: Images) -> Sides:
    if s.order < 2:
        return
    n, image = s.n, s.matrix(KINDS[s.G.kind].permutation((1, 0), s.n))
    moved = np.eye(n * n, dtype=int).reshape(n, n, n, n).transpose(1, 0, 2, 3).reshape(n * n, n * n)
    yield "swap", image, moved


def _transposes(s: Images) -> Sides:
    for d, _ in s.pairs(lambda a, b: a == b):
        yield f"d = {d}", s.matrix(d.T), s.matrix(d).T


def _intertwiners(s: Images) -> Sides:
    steps = generators(s.G)
    moves = {k: [_plain(rho(g, s.G.space(k)).matrix()) for g in steps] for k in {order for key in s.drawn for order in key}}
    for (k, l), ds in s.drawn.items():
        for d in Random(s.seed).sample(ds, min(len(ds), s.trials)):
            W = s.matrix(d)
            for g, before, after in zip(steps, moves[k], moves[l], strict=True):
                yield f"d = {d}\ng = {g}", W @ before, after @ W


def _bases(s: Images) -> Sides:
    for k, l in s.drawn:
        rows = np.array([s.matrix(d).ravel() for d in hom_basis(s.G, k, l)])
        yield f"rank of the basis {k} → {l}", np.array([_rank(rows)]), np.array([len(rows)])


LAWS: list[tuple[str, str, Callable[[Images], Sides]]] = [
    ("functor", "F(id) = id", _identities),
    ("functor", "F(d then e) = F(d) then F(e)", _composites),
    ("functor", "F(a d + b e) = a F(d) + b F(e)", _sums),
    ("monoidal", "F(d @ e) = F(d) ⊗ F(e)", _products),
    ("monoidal", "F(swap) exchanges the factors", _swaps),
    ("transpose", "F(d.T) is the transpose of F(d)", _transposes),
    ("equivariance", "F(d) intertwines the generators of {G}", _intertwiners),
    ("basis", "F(hom_basis) is linearly independent", _bases),
]


def _outcome(s: Images, group: str, law: str, sides: Callable[[Images], Sides]) -> Outcome:
    law, compared = law.format(G=s.G), 0
    try:
        for where, left, right in sides(s):
            compared += 1
            if (left != right).any():
                at = next(zip(*np.nonzero(left != right), strict=True))
                return Outcome(group, law, FAILED, f"{where}\nentry {tuple(map(int, at))} is {left[at]} against {right[at]}")
    except Exception as error:  # a wrong functor may raise anything: that is a failure of the law, not of the check
        return Outcome(group, law, FAILED, f"raised {type(error).__name__}: {next(iter(str(error).splitlines()), '')}")
    return Outcome(group, law, HELD) if compared else Outcome(group, law, NOT, "nothing was compared")


def _plain(matrix: np.ndarray) -> np.ndarray:
    """Exact numbers as int64 where they are small integers, which is much faster, else as fractions."""
    exact = matrix if all(type(x) is int for x in matrix.flat) else np.vectorize(lambda x: Fraction(str(x)), otypes=[object])(matrix)
    small = all(x.denominator == 1 and abs(x.numerator) < 1 << 20 for x in exact.flat)
    return exact.astype(np.int64) if small else exact


def _rank(rows: np.ndarray) -> int:
    """The rank of exact rows modulo a prime: at most their rank, so full rank is proved."""
    whole = rows if rows.dtype == np.int64 else np.array([row * lcm(*(Fraction(x).denominator for x in row)) for row in rows])
    left = (whole % PRIME).astype(np.int64)
    for rank in range(len(left)):
        i = next((i for i in range(rank, len(left)) if left[i].any()), None)
        if i is None:
            return rank
        column = int(np.flatnonzero(left[i])[0])
        left[[rank, i]] = left[[i, rank]]
        factors = left[rank + 1 :, column] * pow(int(left[rank, column]), -1, PRIME) % PRIME
        left[rank + 1 :] = (left[rank + 1 :] - factors[:, None] * left[rank] % PRIME) % PRIME
    return len(left)


__all__ = ["LAWS", "Images", "check_theta"]
