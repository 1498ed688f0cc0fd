"""The law suite of maps: every kind obeys, and for every law there is a wrong map that fails it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from catlearn import diagrams, errors, maps
from catlearn.maps.base import Map
from catlearn.verify.laws import check_map
from catlearn.verify.laws.maps import LAWS

A, B = maps.dense("A", 3, 4), maps.dense("B", 3, 4)
GOOD = [A, A @ maps.identity(2), A + 2 * (maps.dense("V", 2, 4) >> maps.dense("U", 3, 2)), maps.circulant("c", 5), maps.fourier(6),
        maps.reflection("v", 4, 2), maps.row_norm(A), maps.hadamard(A, B), maps.zero(2, 3), maps.permute((2, 3), (1, 0)),
        maps.diagram(diagrams.Partition(2, 1, [[0, 1], [2]]), 3), maps.direct_sum(A, B),
        maps.kronecker_sum(A.T >> A, maps.identity(2))]  # fmt: skip


@pytest.mark.parametrize("f", GOOD, ids=str)
def test_every_kind_of_map_obeys(f):
    report = check_map(f)
    assert report and not report.inapplicable, report


@dataclass(frozen=True, repr=False)
class Wrong(Map):
    """The identity of R³, but for one thing."""

    fault: str
    dom = cod = (3,)

    def emit(self, b, x):
        if self.fault == "not linear" and b.tape.lead(x):
            return b.tape.power(x, 2)
        return x

    def matrix(self, b):
        return b.tape.scale(super().matrix(b), 2) if self.fault == "another matrix" else super().matrix(b)

    @property
    def T(self):
        return maps.scaled(2, self) if self.fault == "another transpose" else self

    @property
    def rank_bound(self):
        return 2 if self.fault == "a bound too small" else 3

    def exact(self, params=None):
        return [[int(i == j) * (2 if self.fault == "another exact matrix" else 1) for j in range(3)] for i in range(3)]

    def __matmul__(self, other):
        return maps.zero((3, 3), (3, 3)) if self.fault == "another product" else super().__matmul__(other)

    def __add__(self, other):
        return self if self.fault == "another sum" else super().__add__(other)

    def __str__(self):
        return "wrong"


FAULTS = {
    "not linear": {"f(x) is the matrix times x", "f is linear", "every plan gives the same", "gradients are those of the matrix"},
    "another matrix": {"f(x) is the matrix times x", "every plan gives the same"},
    "another transpose": {"the matrix of f.T is the transpose", "⟨y, f x⟩ = ⟨f.T y, x⟩", "f.T.T = f", "f then f.T multiplies the matrices"},
    "a bound too small": {"the rank is at most rank_bound"},
    "another exact matrix": {"the exact matrix is the matrix"},
    "another product": {"f @ f is the Kronecker product"},
    "another sum": {"f + f = 2 f"},
}


def test_the_faultless_mutant_obeys():
    assert check_map(Wrong("none"))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_map_fails_its_laws(fault):
    failed = {outcome.law for outcome in check_map(Wrong(fault)).failed}
    assert failed >= FAULTS[fault], failed


def test_every_law_has_a_mutant():
    assert {law for _, law, _ in LAWS} == set.union(*FAULTS.values())


def test_trials_are_checked():
    with pytest.raises(errors.BadMap):
        check_map(A, trials=0)
