"""A map, a shift and dropout as one plan: values and every gradient against the matrix written out, by every choice of passes."""

import itertools

import pytest
import torch

from catlearn import errors, maps
from catlearn.maps.affine import Affine, common_end
from catlearn.maps.batched import blocks
from catlearn.maps.noise import Noise, noise
from catlearn.maps.plan import plan_of
from catlearn.maps.running import planned, run
from catlearn.maps.tape import TOKENS

W, b = maps.dense("W", 6, 4), maps.dense("b", 6, ())
LOW = maps.dense("A", 2, 4) >> maps.dense("B", 6, 2)
GAIN, TURN = maps.diagonal("g", 6), maps.diagonal("c", 6) + (maps.permutation([1, 0, 3, 2, 5, 4]) >> maps.diagonal("s", 6))
CASES = {
    "kept": Affine(W + LOW, b),
    "gained": Affine(W >> GAIN, b >> GAIN),
    "turned": Affine((W + LOW) >> TURN, b >> TURN),
    "twice": Affine(W >> GAIN >> TURN, b >> GAIN >> TURN),
    "another end": Affine(W >> GAIN, b >> TURN),
    "end alone": Affine(maps.reshape((2, 3), 6) >> GAIN, b >> GAIN),
    "lengths": Affine((W + LOW) >> maps.row_norm(W + LOW, -1) >> GAIN, b),
    "no shift": Affine(W + LOW),
    "between": Affine(W + (maps.dense("F", 5, 4) >> maps.diagonal("d", 5) >> maps.dense("G", 6, 5) >> GAIN), b),
    "blocks": Affine(W + (maps.reshape(4, (2, 2)) >> blocks("P", 2, 3, 2) >> maps.permute((2, 3), (1, 0)) >> maps.reshape((3, 2), 6)), b),
    "shards": Affine(W + (maps.reshape(4, (2, 2)) >> maps.broadcast(2, 0, 2).T >> maps.dense("D", 6, 2)), b),
    "repeated": Affine(
        maps.dense("V", 40, 4) + (maps.dense("D", 4, 4) >> maps.broadcast(4, 0, 10) >> maps.reshape((10, 4), 40)), maps.dense("c", 40, ())
    ),
    "cycled": Affine(  # three axes in a circle: a permutation that is not its own inverse
        maps.dense("V", 60, 4)
        + (
            maps.dense("D", 15, 4)
            >> maps.reshape(15, (3, 5))
            >> maps.broadcast((3, 5), 2, 4)
            >> maps.permute((3, 5, 4), (1, 2, 0))
            >> maps.reshape((5, 4, 3), 60)
        ),
        maps.dense("c", 60, ()),
    ),
    "grown": Affine(W + LOW, b + maps.dense("e", 6, ())),
}


def drawn(f: Affine) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(tuple(p.wire.shape), dtype=torch.float64).requires_grad_() for p in f.params.values()]


def expected(f: Affine, x: torch.Tensor, values: list[torch.Tensor]) -> torch.Tensor:
    """By matrices."""
    given = dict(zip(f.params, values, strict=True))
    y = x.reshape(len(x), -1) @ f.linear.dense({n: given[n] for n in f.linear.params}).T
    return y if f.shift is None else y + f.shift.dense({n: given[n] for n in f.shift.params}).reshape(-1)


def differs(f: Affine, way, tokens: int) -> float:
    """How far values and gradients of ``way(x, values)`` are from the matrices'."""
    values = drawn(f)
    x = torch.randn(tokens, *f.dom, dtype=torch.float64, requires_grad=True)
    one, two = way(x, values), expected(f, x, values)
    dy = torch.randn_like(two)
    pairs = zip((one, *torch.autograd.grad(one, (x, *values), dy)), (two, *torch.autograd.grad(two, (x, *values), dy)), strict=True)
    return max(float((p - q).detach().abs().max()) for p, q in pairs)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("tokens", [1, 5, 300])
def test_value_and_gradients_are_those_of_the_matrices(name, tokens):
    assert differs(CASES[name], lambda x, v: run(CASES[name], x, v), tokens) < 1e-10


@pytest.mark.parametrize("name", CASES)
def test_every_choice_of_passes_computes_the_same(name):
    f = CASES[name]
    made = plan_of(f, 5, None, tuple(f.params))
    for forward, into, down in itertools.product(made.outs, made.ways("input"), made.ways("parameters")):
        plan = made.using(forward=forward, input=into, parameters=down)
        assert differs(f, lambda x, v, plan=plan: planned(f, x, v, plan), 5) < 1e-10


@pytest.mark.parametrize("name", ["gained", "turned", "twice"])
def test_a_shift_that_misses_the_common_end_is_seen(name):
    mutant = Affine(CASES[name].linear, b)
    assert differs(CASES[name], lambda x, v: run(mutant, x, [v[[*CASES[name].params].index(n)] for n in mutant.params]) + 0 * sum(
        u.sum() for u in v), 5) > 1e-3  # fmt: skip


def test_what_both_end_with_is_applied_once():
    plan = plan_of(CASES["gained"], 5, None, ("g",))
    assert sum(plan.tape.steps[r].kind == "einsum" for r in plan.forward.order) == 2  # W, and the gain of the sum
    assert common_end(W >> GAIN, b >> TURN) is None and str(common_end(W >> GAIN >> TURN, b >> GAIN >> TURN)).endswith(f"{GAIN >> TURN})")


def test_gradients_of_diagonals_between_fixed_factors_share_one_sum():
    """Σₜ yₜ xₜᵀ serves both, so that of many vectors two products are left: this sum, and that of the input's gradient."""
    F, G = (maps.dense(n, *s, trainable=False) for n, s in (("F", (5, 4)), ("G", (6, 5))))
    f = maps.dense("W", 6, 4, trainable=False) + (F >> maps.diagonal("d", 5) >> G >> GAIN)
    plan = plan_of(f, 10**6, None, ("d", "g"))
    tape = plan.tape
    assert plan.chosen["parameters"].endswith("summed first")

    def of_vectors(plan):
        steps = [tape.steps[r] for r in plan.backward.order]
        return sum(any(TOKENS in tape.lead(a) for a in step.args) for step in steps if step.kind == "einsum")

    assert of_vectors(plan) == 2
    assert of_vectors(plan.using(forward="planned", input="planned", parameters="factored")) > 2  # the mutant: sums as they come


@pytest.mark.parametrize("name", ["repeated", "cycled"])
def test_a_view_is_added_without_a_copy_and_to_the_right_entries(name):
    made = plan_of(CASES[name], 300, None, ("D",)).using(forward="factored", input="factored", parameters="factored")
    assert "into(" in made.keeping.code
    values = [v.detach() for v in drawn(CASES[name])]
    x = torch.randn(300, 4, dtype=torch.float64)
    one, two = made.alone(x, 300, x, *values)[0], expected(CASES[name], x, values)
    assert torch.allclose(one, two) and not torch.allclose(one, two.reshape(300, -1, 4).flip(2).reshape(300, -1))


def test_the_derivative_of_the_derivative_is_right():
    f = CASES["turned"]
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x, *v: run(f, x, list(v)), (x, *drawn(f)))


# -- dropout ---------------------------------------------------------------------------------------------------------------

DROP = noise(4, 0.5)
NOISY = {
    "branch": Affine(W + (DROP >> LOW), b, True),
    "both": Affine(W + (DROP >> LOW) + (DROP >> maps.dense("C", 6, 4)), b, True),
    "whole": Affine(DROP >> W >> GAIN, b >> GAIN, True),
    "exact": Affine(W + (DROP >> (((W + LOW) >> maps.row_norm(W + LOW, -1) >> GAIN) + (-1) * W)), b, True),
}  # fmt: skip


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_noise_drops_at_its_rate_independently_and_has_mean_one(rate, dtype):
    torch.manual_seed(0)
    n, cut = 400_000, round(rate * 65536)
    found = Noise((4,), rate).draw(torch.zeros(n // 4, 4, dtype=dtype)).double()
    assert found.unique().tolist() == [0.0, float(torch.tensor(65536 / (65536 - cut), dtype=dtype))]
    kept = (found > 0).double()
    deviation = (rate * (1 - rate)) ** 0.5
    assert torch.allclose(kept.mean(0), torch.full((4,), 1 - rate, dtype=torch.float64), atol=5 * deviation / (n / 4) ** 0.5 + 1e-5)
    centred = (kept - (1 - rate)) / deviation  # neighbours in one random word, and in the next, know nothing of each other
    flat = centred.flatten()
    assert all(abs(float((flat[k:] * flat[: n - k]).mean())) < 5 / n**0.5 for k in (1, 2, 3, 4, 5, 8))


def test_noise_is_drawn_for_any_count_and_again_from_a_seed():
    for shape in ((0, 3), (1, 1), (3, 1), (5, 1), (7, 3)):
        drop = Noise((shape[1],), 0.3)
        one, two = (torch.manual_seed(1) and drop.draw(torch.zeros(shape)) for _ in range(2))
        assert one.shape == shape and torch.equal(one, two)
    assert Noise((4,), 0.999999).draw(torch.zeros(1000, 4)).isfinite().all()
    assert not torch.equal(Noise((4,), 0.5).draw(torch.zeros(50, 4)), Noise((4,), 0.5).draw(torch.zeros(50, 4)))
    with torch.device("meta"):  # a default device is not that of x
        assert Noise((4,), 0.5).draw(torch.zeros(50, 4, device="cpu")).device.type == "cpu"
    many = torch.vmap(Noise((4,), 0.5).draw, randomness="different")(torch.zeros(3, 50, 4))
    assert not torch.equal(many[0], many[1])


def dropped(f: Affine, x: torch.Tensor, values: list[torch.Tensor], mask: torch.Tensor) -> torch.Tensor:
    """By matrices: what is not behind the noise on x, the rest on the noisy x."""
    given = dict(zip(f.params, values, strict=True))
    plain = [part for part in (f.linear.maps if isinstance(f.linear, maps.combine.Sum) else (f.linear,)) if DROP not in part.parts]
    rest = expected(f, mask * x, values)
    for part in plain:
        rest = rest + (x - mask * x) @ part.dense({n: given[n] for n in part.params}).T
    return rest


@pytest.mark.parametrize("name", NOISY)
@pytest.mark.parametrize("tokens", [1, 5, 300])
def test_noise_acts_where_the_map_says_and_is_the_same_at_each_place(name, tokens):
    f, values = NOISY[name], drawn(NOISY[name])
    x = torch.randn(tokens, 4, dtype=torch.float64, requires_grad=True)
    torch.manual_seed(3)
    one = run(f, x, values)
    torch.manual_seed(3)
    mask = DROP.draw(x)
    assert set(mask.unique().tolist()) <= {0.0, 2.0}
    two, dy = dropped(f, x, values, mask), torch.randn_like(one)
    for p, q in zip(torch.autograd.grad(one, (x, *values), dy, retain_graph=True), torch.autograd.grad(two, (x, *values), dy), strict=True):
        assert torch.allclose(p, q, atol=1e-10)
    assert torch.allclose(one, two, atol=1e-10)
    if tokens > 1:  # another draw is seen
        assert not torch.allclose(one, dropped(f, x, values, DROP.draw(x)), atol=1e-3)


def test_what_is_dropped_is_not_kept_beside_the_noise_and_the_input():
    low = noise(300, 0.5) >> maps.dense("A", 2, 300) >> maps.dense("B", 200, 2)
    plan = plan_of(Affine(maps.dense("W", 200, 300, trainable=False) + low, None, True), 100, None, ("A", "B"))
    assert [plan.tape.shape(r) for r in plan.saved] == [(2,)]  # A (noise · x), but not noise · x
    mutant = plan_of(Affine(maps.dense("W", 200, 300, trainable=False) + low), 100, None, ("A", "B"))  # without noise: nothing else either
    assert [mutant.tape.shape(r) for r in mutant.saved] == [(2,)] and len(mutant.backward.order) == len(plan.backward.order) - 2


def test_dropout_inside_what_is_written_out_or_cut_is_told():
    with pytest.raises(errors.BadMap, match="written out"):
        run(Affine(maps.hadamard(DROP >> W, W), None, True), torch.randn(3, 4), [torch.randn(6, 4)])
    with pytest.raises(errors.BadMap, match="parts of vectors"):
        run(Affine(maps.identity(2) @ (DROP >> W), None, True), torch.randn(3, 2, 4), [torch.randn(6, 4)])
