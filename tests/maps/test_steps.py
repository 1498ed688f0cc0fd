"""Steps that more than one expression of torch writes: few entries on many vectors, flipped convolutions, transforms, factors in parts."""

import itertools

import pytest
import torch

from catlearn import maps
from catlearn.maps.index import Index
from catlearn.maps.program import compiled
from catlearn.maps.reverse import reverse
from catlearn.maps.scattered import Entries, pairs, sparse
from catlearn.maps.tape import Tape
from catlearn.maps.transforms import convolve, fourier, fourier_inverse

ROWS, COLUMNS = (3, 0, 3, 3, 1), (2, 4, 0, 2, 4)  # a place twice, a row and columns that nothing touches


def matrix(v: torch.Tensor) -> torch.Tensor:
    return torch.zeros(4, 5, dtype=v.dtype).index_put((torch.tensor(ROWS), torch.tensor(COLUMNS)), v, accumulate=True)


@pytest.mark.parametrize("tokens", [0, 1, 7])
def test_few_entries_are_the_matrix_with_them_and_their_gradient_its_entries(tokens):
    torch.manual_seed(0)
    x, y, v = (torch.randn(*s, dtype=torch.float64) for s in ((tokens, 5), (tokens, 4), (5,)))
    e = Entries(ROWS, COLUMNS, 4)
    assert torch.allclose(sparse(x, v, e), x @ matrix(v).T)
    assert torch.allclose(pairs(y, x, e), (y.T @ x)[list(ROWS), list(COLUMNS)])
    assert torch.allclose(sparse(x, v.clone().requires_grad_(), e), sparse(x, v, e))  # the way that can be differentiated
    if tokens > 1:
        assert not torch.allclose(sparse(x, v, Entries(ROWS, COLUMNS[::-1], 4)), x @ matrix(v).T)


def test_the_reverse_of_few_entries_and_of_its_reverse():
    torch.manual_seed(0)
    x, v = torch.randn(3, 5, dtype=torch.float64, requires_grad=True), torch.randn(5, dtype=torch.float64, requires_grad=True)
    f = maps.sparse("v", 4, 5, ROWS, COLUMNS)
    assert torch.autograd.gradcheck(lambda x, v: f.apply(x, {"v": v}), (x, v))
    assert torch.autograd.gradgradcheck(lambda x, v: f.apply(x, {"v": v}), (x, v))


def test_a_permutation_is_undone_by_reading_not_by_adding():
    tape = Tape()
    x = tape.input((3,))
    y = tape.gather(x, 0, Index((2, 0, 1)))
    back = reverse(tape, {y: tape.input((3,), "dy")}, [x])[x]
    assert tape.steps[back].kind == "gather" and tape.steps[back].with_[1] == (1, 2, 0)
    twice = reverse(tape, {tape.gather(x, 0, Index((2, 0, 0))): tape.input((3,), "dy")}, [x])[x]
    assert tape.steps[twice].kind == "scatter"


def flipped(x: torch.Tensor) -> torch.Tensor:
    return x[..., [-i % x.shape[-1] for i in range(x.shape[-1])]]


@pytest.mark.parametrize("flips", [*itertools.product((False, True), repeat=2)])
@pytest.mark.parametrize("n", [1, 4, 5])
def test_a_flip_is_a_conjugate_spectrum_whichever_operand_is_larger(flips, n):
    torch.manual_seed(0)
    a, c = torch.randn(2, 3, n, dtype=torch.float64), torch.randn(9, 3, n, dtype=torch.float64)
    one, two = (flipped(u) if f else u for u, f in zip((a, c), flips, strict=True))
    direct = sum(
                 torch.einsum("ij,Zjf->Zif", one[..., k], two.roll(k, -1)) for k in range(n))  # fmt: skip
    assert torch.allclose(convolve(a, c, "ijf,Zjf->Zif", flips), direct)
    assert torch.allclose(convolve(c, a, "Zjf,ijf->Zif", flips[::-1]), direct)
    if n > 2:
        assert not torch.allclose(convolve(a, c, "ijf,Zjf->Zif", (not flips[0], flips[1])), direct)


@pytest.mark.parametrize("flips", [*itertools.product((False, True), repeat=2)])
def test_the_reverse_of_a_flipped_convolution(flips):
    torch.manual_seed(0)
    tape = Tape()
    x, c, dy = tape.input((3, 5)), tape.param("c", (2, 3, 5)), tape.input((2, 5), "dy")
    y = tape.convolve(("ij", "j"), "i", c, x, flips=flips)
    found = reverse(tape, {y: dy}, [x, c])
    values = [torch.randn(*s, dtype=torch.float64).requires_grad_() for s in ((7, 3, 5), (2, 3, 5), (7, 2, 5))]
    out = compiled(tape, [x, c], [y])(values[0], 7, *values[:2])[0]
    expected = torch.autograd.grad(out, values[:2], values[2])
    got = compiled(tape, [x, c, dy], [found[x], found[c]])(values[0], 7, *values)
    assert all(torch.allclose(p, q) for p, q in zip(got, expected, strict=True))
    turned = compiled(tape, [x, c, dy], [tape.convolve(("i", "ij"), "j", dy, c, None, (flips[1], flips[0] != flips[1]))])(
        values[0], 7, *values
    )  # the mutant
    assert not torch.allclose(turned[0], expected[0])


@pytest.mark.parametrize("n", range(1, 9))
def test_the_transform_is_one_matrix_however_it_is_computed(n):
    unit = torch.eye(n, dtype=torch.float64)
    F = torch.stack([fourier(row) for row in unit]).T
    assert torch.allclose(F @ F.T, unit)
    assert torch.allclose(fourier(unit, True).T, F) and torch.allclose(fourier(unit.clone().requires_grad_()).T, F)
    assert torch.allclose(fourier_inverse(unit), F) and torch.allclose(fourier_inverse(unit.clone().requires_grad_()), F)
    assert torch.allclose(fourier_inverse(unit.T.contiguous().T), F)
    assert n < 3 or not torch.allclose(fourier(unit), F)  # of vectors as rows, the transpose


def test_a_number_passes_through_moves_to_the_smallest_factor():
    f = 0.5 * (maps.fourier(64) >> maps.sparse("v", 64, 64, range(9), range(9)) >> maps.fourier(64).T)
    plan = f.plan(1000).using(forward="factored")
    scaled = [r for r in plan.forward.order if plan.tape.steps[r].kind == "scale"]
    assert [plan.tape.shape(r) for r in scaled] == [(9,)]
    x, v = torch.randn(5, 64, dtype=torch.float64), torch.randn(9, dtype=torch.float64)
    assert torch.allclose(f.apply(x, {"v": v}), x @ f.dense({"v": v}).T)


def test_a_low_rank_factor_of_a_product_acts_in_two_steps_about_the_other():
    one, two = maps.dense("C", 6, 6), maps.dense("A", 2, 8) >> maps.dense("B", 8, 2)
    tape = Tape(1000)
    from catlearn.maps.planner import Builder

    y = Builder(tape).tensor((one, two), tape.input((6, 8)))
    sizes = [tape.shape(r) for r in tape.live([y]) if tape.steps[r].kind == "einsum"]
    assert sizes == [(6, 2), (6, 2), (6, 8)]
    values = {n: torch.randn(tuple(p.wire.shape), dtype=torch.float64) for n, p in (one @ two).params.items()}
    x = torch.randn(5, 6, 8, dtype=torch.float64)
    found = (one @ two).apply(x, values)
    assert torch.allclose(found, torch.einsum("ab,tbc,cd->tad", values["C"], x, (values["B"] @ values["A"]).T))
    assert not torch.allclose(found, torch.einsum("ab,tbc,cd->tad", values["C"].T, x, (values["B"] @ values["A"]).T))


@pytest.mark.parametrize("k", [0, 1])
def test_the_gradient_of_few_entries_has_a_reverse_of_its_own(k):
    """⟨dv, pairs(y, x)⟩ is linear in each: its derivative by y is sparse(x), that by x is the transposed matrix on y."""
    tape, (rows, columns) = Tape(), (Index(ROWS), Index(COLUMNS))
    y, x, dv = tape.input((4,), "y"), tape.input((5,)), tape.param("dv", (5,))
    into = (y, x)[k]
    back = reverse(tape, {tape.pairs(y, x, rows, columns): dv}, [into])[into]
    torch.manual_seed(0)
    ys, xs, v = (torch.randn(*s, dtype=torch.float64) for s in ((7, 4), (7, 5), (5,)))
    found = compiled(tape, [y, x, dv], [back])(xs, 7, ys, xs, v)[0]
    assert torch.allclose(found, ys @ matrix(v) if k else xs @ matrix(v).T)
