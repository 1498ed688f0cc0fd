"""Maps under what users do: other modes and devices, half precision, wrong input, many factors, long chains, large sizes."""

from __future__ import annotations

import math
import pkgutil
import time
from importlib import import_module

import numpy as np
import pytest
import torch

import catlearn.maps
from catlearn import errors, maps
from catlearn.diagrams import Determinant, Partition, spanning
from tests.maps.reference import matrix
from tests.maps.strategies import numbers


def mixed() -> maps.Map:
    """One map that keeps every sort of tensor: given numbers, positions, twiddle factors."""
    given = maps.constant([[1, 2, 3], [4, 5, 6], [7, 8, 10]]) >> maps.cosine(3) >> maps.sparse("s", 3, 3, [0, 2, 1], [2, 0, 1])
    return given >> maps.fourier(3) >> maps.circulant("c", 3) >> maps.reflection("h", 3, 2)


def test_no_module_takes_the_place_of_a_function():
    for module in pkgutil.iter_modules(catlearn.maps.__path__, "catlearn.maps."):
        import_module(module.name)
    assert all(callable(getattr(catlearn.maps, name)) for name in catlearn.maps.__all__)


def test_a_first_call_in_inference_mode_spoils_no_later_gradient():
    f = mixed()
    x, values = torch.randn(4, 3, dtype=torch.float64), numbers(f)
    with torch.inference_mode():
        f.apply(x, values), f.dense(values)
    leaves = {k: v.clone().requires_grad_() for k, v in values.items()}
    grads = torch.autograd.grad(f.apply(x, leaves).sum(), list(leaves.values()), create_graph=True)
    sum((g**2).sum() for g in grads).backward()
    torch.func.grad(lambda p: f.apply(x, p).sum())(values)
    assert all(v.grad is not None and v.grad.isfinite().all() for v in leaves.values())


def test_a_first_call_on_another_default_device_keeps_real_numbers():
    f = mixed()
    values = numbers(f)
    with torch.device("meta"):
        f.apply(torch.ones(2, 3, dtype=torch.float64, device="cpu"), values)
    wanted = torch.from_numpy(matrix(f, {k: v.numpy() for k, v in values.items()}))
    assert torch.allclose(f.apply(torch.eye(3, dtype=torch.float64), values), wanted.T)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("f", [maps.circulant("c", 5), maps.fourier(5), maps.fourier(6).T, maps.cosine(5), maps.cosine(5).T,
                               maps.reflection("h", 5, 3)], ids=str)  # fmt: skip
def test_half_precision_stays_half_and_is_right(f, dtype):
    n = f.dom[0]
    values = numbers(f, dtype=dtype)
    y = f.apply(torch.eye(n, dtype=dtype), values)
    wanted = torch.from_numpy(matrix(f, {k: v.double().numpy() for k, v in values.items()})).T
    assert y.dtype == f.dense(values, dtype).dtype == dtype
    assert torch.allclose(y.double(), wanted, atol=0.06 * float(1 + wanted.abs().max()))


def test_a_parameter_elsewhere_is_no_zero():
    A = maps.dense("A", 2, 3)
    with pytest.raises(errors.BadMap, match="given on meta, needed on cpu"):
        A.apply(torch.ones(4, 3), {"A": torch.empty(2, 3, device="meta")})
    with pytest.raises(errors.BadMap, match="several dtypes or devices"):
        (A >> maps.dense("B", 3, 2)).dense({"A": torch.ones(2, 3), "B": torch.empty(3, 2, device="meta")})
    assert A.apply(torch.ones(4, 3, device="meta"), {"A": torch.empty(2, 3, device="meta")}).shape == (4, 2)


def test_results_have_memory_of_their_own():
    x, A = torch.arange(4.0), torch.eye(4)
    square = maps.reshape(4, (2, 2))
    for f in (square, maps.selection(4, [1, 2]), maps.identity(4), square >> maps.permute((2, 2), (1, 0))):
        f.apply(x).add_(1)
        y = f.apply(x.clone().requires_grad_())
        y.add_(1)
    maps.dense("A", 4, 4).T.dense({"A": A}).add_(1)
    assert torch.equal(x, torch.arange(4.0)) and torch.equal(A, torch.eye(4))


def test_a_diagram_of_one_size_has_no_other():
    cross = Determinant(2, 1, free=(0, 1, 2))
    assert maps.diagram(cross, 3).cod == (3,)
    for d in (cross, Determinant(1, 1, pairs=[(0, 1)], n=3), cross >> cross.T):
        with pytest.raises(errors.BadMap, match="belong to n = 3"):
            maps.diagram(d, 4)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_partition_diagrams_move_as_their_matrices_say(n):
    for k, l in ((0, 0), (0, 2), (1, 3), (2, 2), (3, 0), (3, 1)):
        x = torch.randn(2, *(n,) * k, dtype=torch.float64)
        for d in spanning("S", n, k, l):
            f, m = maps.diagram(d, n), np.array(d.matrix(n), dtype=float).reshape(n**l, n**k)
            assert np.allclose(f.apply(x).reshape(2, -1), x.reshape(2, -1).numpy() @ m.T), d
            assert np.array_equal(np.array(f.T.exact(), dtype=float).reshape(m.T.shape), m.T), d
            assert f.rank_bound == np.linalg.matrix_rank(m), d


def test_large_diagrams_list_no_places():
    f = maps.diagram(Partition(3, 3, [[0, 3], [1, 2], [4, 5]]), 60)
    assert max(len(w) for s in f.plan(1).tape.steps for w in s.with_ if isinstance(w, tuple)) <= 60
    x = torch.randn(60, 60, 60, dtype=torch.float64)
    assert torch.allclose(f.apply(x), torch.einsum("i,jk->ijk", torch.einsum("ijj->i", x), torch.eye(60, dtype=torch.float64)))


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("by_rows", [False, True])
def test_circulants_are_planned_without_a_list_of_all_entries(turned, by_rows):
    small = maps.circulant("c", 4, 2, 3, by_rows=by_rows)
    small = small.T if turned else small
    values = numbers(small)
    assert np.array_equal(small.dense(values).numpy(), matrix(small, {k: v.numpy() for k, v in values.items()}))
    f = maps.circulant("c", 2000, by_rows=by_rows)
    plan = (f.T if turned else f).plan(3)
    assert max(len(w) for s in plan.tape.steps for w in s.with_ if isinstance(w, tuple)) <= 2001


def test_products_of_thirty_factors():
    f = maps.tensor(*(maps.dense(f"A{i}", 2 if i % 10 == 0 else 1, 1) for i in range(30)))
    values = numbers(f)
    wanted = torch.ones(1, 1, dtype=torch.float64)
    for v in values.values():
        wanted = torch.kron(wanted, v)
    assert torch.allclose(f.dense(values), wanted)
    assert torch.allclose(f.apply(torch.ones((1,) * 30, dtype=torch.float64), values).flatten(), wanted.flatten())


def test_long_chains_are_planned_in_steps_not_in_cubes():
    names = [f"A{i}" for i in range(120)]
    f = maps.dense(names[0], 4, 4)
    for name in names[1:]:
        f = f >> maps.dense(name, 4, 4)
    start = time.process_time()
    plan = f.plan(100_000)
    assert time.process_time() - start < 60  # a hang, not a speed: weighing every cut took minutes
    values = {k: v / 2 for k, v in numbers(f).items()}
    wanted = torch.eye(4, dtype=torch.float64)
    for v in values.values():
        wanted = v @ wanted
    for way in (plan, plan.using(forward="dense"), f.plan(2)):
        found = f.apply(torch.eye(4, dtype=torch.float64), values, way)
        assert torch.allclose(found.T, wanted, atol=1e-9 * float(wanted.abs().max()))


def test_deep_nesting_is_told():
    f = maps.dense("A", 2, 2)
    for _ in range(400):
        f = 2 * (f + maps.identity(2))
    with pytest.raises(errors.BadMap, match="nested too deeply"):
        f.plan(3)


A, NAN = maps.dense("A", 2, 3), math.nan
WRONG = {
    "add nothing": lambda: maps.add(), "add": lambda: maps.add(A, 3), "then": lambda: maps.then(3, A), "tensor": lambda: maps.tensor(A, 3),
    "hadamard": lambda: maps.hadamard(A, 3), "sum": lambda: maps.kronecker_sum(3), "block": lambda: maps.block([[1]]),
    "no grid": lambda: maps.block(3), "no rows": lambda: maps.block([3]), "norm": lambda: maps.row_norm(3),
    "power": lambda: maps.row_norm(A, "a"), "power nan": lambda: maps.column_norm(A, NAN),
    "half position": lambda: maps.selection(3, [0.5]),
    "text": lambda: maps.selection(3, "ab"), "half row": lambda: maps.sparse("s", 2, 2, [0.7], [1]),
    "order": lambda: maps.permute((2, 3), 3),
    "place": lambda: maps.broadcast(2, "a", 3), "count": lambda: maps.broadcast(2, 0, (3, 4)),
    "trace": lambda: maps.contraction((2, 2), "a", 1),
    "integers": lambda: maps.constant([[1.5]]).dense(None, torch.int64), "tokens": lambda: A.plan(True),
    "integer parameter": lambda: A.dense({"A": torch.ones(2, 3).long()}), "no mapping": lambda: A.apply(torch.ones(3), [1]),
    "pass": lambda: A.plan(3).using(forward=["planned"]),
    "two starts": lambda: maps.dense("Q", 2, 2, init=torch.ones(2, 2)) >> maps.dense("Q", 2, 2, init=torch.zeros(2, 2)),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_wrong_input_is_named(what):
    with pytest.raises(errors.BadMap):
        WRONG[what]()


def test_python_sums_and_equal_starts_are_welcome():
    f = sum([A, A])
    assert torch.equal(f.dense({"A": torch.ones(2, 3)}), 2 * torch.ones(2, 3))
    Q = maps.dense("Q", 2, 2, init=torch.ones(2, 2)) >> maps.dense("Q", 2, 2, init=torch.ones(2, 2))
    assert torch.equal(Q.dense(), 2 * torch.ones(2, 2))


def test_a_matrix_lies_in_memory_as_it_reads():
    """torch.kron refuses others."""
    from catlearn.diagrams import Partition

    f = maps.diagram(Partition(2, 1, [[0, 1], [2]]), 4)
    assert f.dense().is_contiguous() and f.T.dense().is_contiguous()
    assert torch.equal(torch.kron(f.dense(), f.dense()), (f @ f).dense())
