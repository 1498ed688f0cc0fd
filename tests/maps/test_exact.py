"""Exact matrices: against numpy over fractions, against the floating ones, and as symbols."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import sympy
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catlearn import errors, maps
from catlearn.diagrams import Partition
from tests.maps.reference import matrix
from tests.maps.strategies import typed

quick = settings(max_examples=40, deadline=None, derandomize=True,
                 suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much])  # fmt: skip


def fractions(f, seed):
    """Eighths from −2 to 2, none of them 0, for every parameter."""
    rng = np.random.default_rng(seed)
    found = {}
    for name, p in f.params.items():
        drawn = [Fraction(int(v), 8) or Fraction(1, 8) for v in rng.integers(-16, 17, math.prod(p.wire.shape))]
        found[name] = np.array([*drawn, None], dtype=object)[:-1].reshape(p.wire.shape)
    return found


@quick
@given(f=typed(rational=True), seed=st.integers(0, 99))
def test_rational_maps_are_exact(f, seed):
    values = fractions(f, seed)
    found = f.exact(values)
    wanted = matrix(f, values, object)
    assert found == tuple(tuple(map(Fraction, row)) for row in wanted), f
    floats = {k: torch.from_numpy(v.astype(float)) for k, v in values.items()}
    assert np.allclose(f.dense(floats, torch.float64).numpy(), np.array(found, dtype=float).reshape(wanted.shape), 1e-10, 1e-10)


def test_parameters_are_symbols_where_none_are_given():
    f = maps.dense("A", 2, 2) >> maps.diagonal("d", 2)
    d0, d1 = sympy.symbols("d_0 d_1", real=True)
    a = sympy.Matrix(2, 2, lambda i, j: sympy.Symbol(f"A_{i}_{j}", real=True))
    assert f.exact() == sympy.diag(d0, d1) * a
    assert f.exact({"d": [1, 2]}) == sympy.diag(1, 2) * a
    assert f.exact() != a * sympy.diag(d0, d1)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6])
def test_transforms_are_orthogonal_exactly(n):
    for f in (maps.fourier(n), maps.cosine(n)):
        m = f.exact()
        product = (m * m.T).applyfunc(lambda v: sympy.nsimplify(sympy.simplify(v)))
        assert product == sympy.eye(n)
        assert np.allclose(np.array(m.evalf(20), dtype=float), matrix(f, {}))


def test_norms_have_roots():
    f = maps.constant([[1, 1], [3, 4]])
    assert (f >> maps.row_norm(f, -1)).exact()[0, 0] == 1 / sympy.sqrt(2)
    assert maps.column_norm(f).exact()[0, 0] == sympy.sqrt(10)
    assert maps.row_norm(f, 2).exact() == ((2, 0), (0, 25))


def test_diagrams_and_their_sums_are_maps():
    d, e = Partition(2, 1, [[0, 1], [2]]), Partition(1, 2, [[0, 2], [1]])
    for n in (1, 2, 3):
        both = maps.diagram(d, n) >> maps.diagram(e, n)
        assert both.exact() == maps.diagram(d >> e, n).exact()
        assert [list(map(int, row)) for row in maps.diagram(d >> e, n).exact()] == (d >> e).matrix(n)
        assert [list(map(int, row)) for row in maps.diagram(3 * d, n).T.exact()] == (3 * d.T).matrix(n)
    assert both.exact() != maps.diagram(d.T >> d, 3).exact()


def test_fourier_sparse_update_is_two_transforms_and_few_entries():
    """Re(ifft2) of a spectrum with a few real entries, as one expression: cos·cos − sin·sin."""
    o, i, places = 6, 8, [(1, 2), (2, 3), (0, 1)]
    rows, columns, source, factors = [], [], [], []
    for k, (p, q) in enumerate(places):

        def at(m, n):  # positions of the cosine and the sine of frequency m, and the length of the cosine
            return (0, None, math.sqrt(n)) if m == 0 else (2 * m - 1, 2 * m, math.sqrt(n / 2))

        (cp, sp, lp), (cq, sq, lq) = at(p, o), at(q, i)
        rows.append(cp), columns.append(cq), source.append(k), factors.append(lp * lq / (o * i))
        if sp is not None and sq is not None:
            rows.append(sp), columns.append(sq), source.append(k), factors.append(-lp * lq / (o * i))
    f = maps.fourier(i) >> maps.sparse("c", o, i, rows, columns, source=source, factors=factors) >> maps.fourier(o).T
    c = torch.randn(3, dtype=torch.float64)
    spectrum = torch.zeros(o, i, dtype=torch.complex128)
    for k, (p, q) in enumerate(places):
        spectrum[p, q] = c[k]
    assert torch.allclose(f.dense({"c": c}), torch.fft.ifft2(spectrum).real, atol=1e-12)


def test_bad_numbers_are_told():
    f = maps.dense("A", 1, 2)
    for bad in ([["x", 1]], [[float("nan"), 1]]):
        with pytest.raises(errors.BadMap, match="rational"):
            f.exact({"A": bad})
    with pytest.raises(errors.BadMap, match="another shape"):
        f.exact({"A": [1, 2]})
    with pytest.raises(errors.BadMap, match="not a parameter: B"):
        f.exact({"B": 1})
    with pytest.raises(errors.BadMap, match="length 0"):
        maps.row_norm(maps.constant([[0, 0]]), -1).exact()
