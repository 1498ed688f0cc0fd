"""Learn ≅ Para(SLens), exhaustively on two-element sets and on the reference's numbers."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
import torch

import catlearn as cl
from catlearn import errors
from catlearn.learn.categorical import Learn, ParaLens, from_lens, gradient_learner, identity, lens_identity, to_lens

BITS = (0, 1)
I_TABLES = np.array(list(product(BITS, repeat=4)), dtype=np.int8).reshape(16, 2, 2)  # [which, p, a]
U_TABLES = np.array(list(product(BITS, repeat=8)), dtype=np.int8).reshape(256, 2, 2, 2)  # [which, p, a, b]


def test_to_and_from_are_inverse_on_all_finite_learners():
    """All 2^20 learners with |P| = |A| = |B| = 2 at once: a value is the array of the answers of every learner."""
    i, u, r = (k.ravel() for k in np.meshgrid(np.arange(16), np.arange(256), np.arange(256), indexing="ij"))
    assert len(i) == 2**20
    f = Learn(lambda p, a: I_TABLES[i, p, a], lambda p, a, b: U_TABLES[u, p, a, b], lambda p, a, b: U_TABLES[r, p, a, b])
    g = from_lens(to_lens(f))
    l = to_lens(f)
    again = to_lens(from_lens(l))
    for p, a in product(BITS, BITS):
        assert (g.implement(p, a) == f.implement(p, a)).all() and (l.get((p, a)) == again.get((p, a))).all()
        for b in BITS:
            assert (g.update(p, a, b) == f.update(p, a, b)).all() and (g.request(p, a, b) == f.request(p, a, b)).all()
            assert all((x == y).all() for x, y in zip(l.put((p, a), b), again.put((p, a), b), strict=True))
    # the arrow on objects of hom-sets is injective: different learners have different lenses
    answers = np.stack([l.get((p, a)) for p, a in product(BITS, BITS)]
                       + [part for p, a, b in product(BITS, BITS, BITS) for part in l.put((p, a), b)])  # fmt: skip
    codes = (answers.astype(np.int64) * (1 << np.arange(len(answers)))[:, None]).sum(0)
    assert len(np.unique(codes)) == 2**20


def family(seed: int, count: int = 4096) -> Learn:
    """Many random finite learners at once."""
    draw = np.random.default_rng(seed)
    k, (i, u, r) = np.arange(count), (draw.integers(0, n, count) for n in (16, 256, 256))
    at = lambda x: np.broadcast_to(x, k.shape)  # noqa: E731
    return Learn(lambda p, a: I_TABLES[i, at(p), at(a)], lambda p, a, b: U_TABLES[u, at(p), at(a), at(b)],
                 lambda p, a, b: U_TABLES[r, at(p), at(a), at(b)])  # fmt: skip


def flat(x) -> np.ndarray:
    return np.concatenate([np.zeros(0), *map(flat, x)]) if isinstance(x, tuple) else np.atleast_1d(x)


def same_learn(f: Learn, g: Learn, params, inputs, outputs) -> bool:
    return all(np.array_equal(flat(f.implement(p, a)), flat(g.implement(p, a)))
               and all(np.array_equal(flat(f.update(p, a, b)), flat(g.update(p, a, b)))
                       and np.array_equal(flat(f.request(p, a, b)), flat(g.request(p, a, b))) for b in outputs)
               for p, a in product(params, inputs))  # fmt: skip


PAIRS = list(product(BITS, BITS))


@pytest.mark.parametrize("seed", range(4))
def test_the_isomorphism_keeps_composition_and_tensor(seed):
    f, g = family(2 * seed), family(2 * seed + 1)
    assert same_learn(from_lens(to_lens(f) >> to_lens(g)), f >> g, PAIRS, BITS, BITS)
    assert same_learn(from_lens(to_lens(f) @ to_lens(g)), f @ g, PAIRS, PAIRS, PAIRS)
    assert not same_learn(f >> g, g >> f, PAIRS, BITS, BITS)


def test_the_isomorphism_keeps_identities():
    f, none = family(9), ((),)
    assert same_learn(from_lens(lens_identity), identity, none, BITS, BITS)
    left, right = identity >> f, f >> identity
    for p, a, b in product(BITS, BITS, BITS):
        assert (left.implement(((), p), a) == f.implement(p, a)).all() and (right.implement((p, ()), a) == f.implement(p, a)).all()
        assert (left.update(((), p), a, b)[1] == f.update(p, a, b)).all() and (right.update((p, ()), a, b)[0] == f.update(p, a, b)).all()
        assert (left.request(((), p), a, b) == f.request(p, a, b)).all() and (right.request((p, ()), a, b) == f.request(p, a, b)).all()


def test_mutant_a_wrong_identity_is_seen():
    """With r(a, b) = a, the unit law fails: b would never reach f."""
    f, wrong = family(9), Learn(lambda p, a: a, lambda p, a, b: p, lambda p, a, b: a)
    assert any((f >> wrong).request((p, ()), a, b).tolist() != f.request(p, a, b).tolist() for p, a, b in product(BITS, BITS, BITS))


def test_mutant_swapped_lens_composition_is_seen():
    """Feeding c instead of g's request to f is not the composite."""
    f, g = family(1), family(2)

    def put(x, c):
        (p, q), a = x
        return (f.update(p, a, c), g.update(q, f.implement(p, a), c)), f.request(p, a, c)

    mutant = ParaLens((to_lens(f) >> to_lens(g)).get, put)
    assert not same_learn(from_lens(mutant), f >> g, PAIRS, BITS, BITS)


# --- the reference's numbers ------------------------------------------------------------------------------------------

EPS = Fraction(1, 10)
SCALAR = gradient_learner(lambda p, a: p * a, lambda p, a, dy: (a * dy, p * dy), EPS)


def direct(p, q, a, c):
    """The gradient learner of (p, q, a) ↦ q p a, differentiated by hand: E = (q p a − c)²/2."""
    e = q * p * a - c
    return (p - EPS * e * q * a, q - EPS * e * p * a), a - e * q * p


def test_the_reference_values_over_the_rationals():
    p, a, q, c = Fraction(2), Fraction(3), Fraction(1), Fraction(5)
    both = SCALAR >> SCALAR
    assert SCALAR.request(q, p * a, c) == 5
    assert both.implement((p, q), a) == 6
    assert both.update((p, q), a, c) == (Fraction(17, 10), Fraction(2, 5)) and both.request((p, q), a, c) == 1
    assert (both.update((p, q), a, c), both.request((p, q), a, c)) == direct(p, q, a, c)


def test_functoriality_over_the_rationals_and_its_mutant():
    values = [Fraction(n, d) for n, d in ((1, 2), (-3, 1), (2, 3), (5, 4))]
    eps_in_request = Learn(SCALAR.implement, SCALAR.update, lambda p, a, b: a - EPS * (a - SCALAR.request(p, a, b)))
    broken = False
    for p, q, a, c in product(values, repeat=4):
        both = SCALAR >> SCALAR
        assert (both.update((p, q), a, c), both.request((p, q), a, c)) == direct(p, q, a, c)
        wrong = eps_in_request >> eps_in_request
        broken |= wrong.update((p, q), a, c) != direct(p, q, a, c)[0]
    assert broken


def test_the_reference_values_in_torch():
    f = cl.learner(cl.linear(cl.R(1), cl.R(1), bias=False, name="f"), cl.squared_error, cl.sgd(0.1))
    g = cl.learner(cl.linear(cl.R(1), cl.R(1), bias=False, name="g"), cl.squared_error, cl.sgd(0.1))
    number = lambda x: torch.tensor([x], dtype=torch.float64)  # noqa: E731
    p, q = {"f.weight": number(2.0).view(1, 1)}, {"g.weight": number(1.0).view(1, 1)}
    a, c = number(3.0), number(5.0)
    assert g.request(q, f.implement(p, a), c).item() == 5
    pair = f.arrow() >> g.arrow()
    u, v = pair.update((p, q), a, c)
    assert u["f.weight"].item() == pytest.approx(1.7, abs=1e-15) and v["g.weight"].item() == pytest.approx(0.4, abs=1e-15)
    assert pair.request((p, q), a, c).item() == 1
    both = f >> g
    assert both.update({**p, **q}, a, c) == {**u, **v}
    assert both.request({**p, **q}, a, c).item() == 1
    # neither GetPut nor PutGet: I(U, r) = 1.7 · 1 is not the 5 that was asked for
    assert f.implement(u, pair.request((p, q), a, c)).item() == pytest.approx(1.7)


@pytest.mark.parametrize("loss", [cl.squared_error, cl.mse, cl.binary_cross_entropy(logits=True)])
@pytest.mark.parametrize("batch", [(), (7,)])
def test_learners_compose_as_their_arrows_do(loss, batch):
    """Two real layers, any separable loss, with and without a batch (the mean's factor is undone in the request)."""
    b, h = cl.R(4), cl.R(3)
    f = cl.learner(cl.linear(b, h, name="f") >> cl.tanh, loss, cl.sgd(0.3))
    g = cl.learner(cl.linear(h, cl.R(2), name="g") >> cl.gelu, loss, cl.sgd(0.3))
    draw = torch.Generator().manual_seed(0)
    a, c = torch.rand(*batch, 4, generator=draw, dtype=torch.float64), torch.rand(*batch, 2, generator=draw, dtype=torch.float64)
    p, q = cl.lens(f.model).init(1, torch.float64), cl.lens(g.model).init(2, torch.float64)
    pair, both = f.arrow() >> g.arrow(), f >> g
    u, v = pair.update((p, q), a, c)
    torch.testing.assert_close(both.update({**p, **q}, a, c), {**u, **v}, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(both.request({**p, **q}, a, c), pair.request((p, q), a, c), rtol=1e-12, atol=1e-12)
    beside, together = f.arrow() @ g.arrow(), f @ g
    x = (a, torch.rand(*batch, 3, generator=draw, dtype=torch.float64))
    y = (torch.rand(*batch, 3, generator=draw, dtype=torch.float64), c)
    u, v = beside.update((p, q), x, y)
    torch.testing.assert_close(together.update({**p, **q}, x, y), {**u, **v}, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(together.request({**p, **q}, x, y), beside.request((p, q), x, y), rtol=1e-12, atol=1e-12)


def test_composition_is_refused_where_it_would_be_wrong():
    net = cl.linear(cl.R(3), cl.R(3))
    good = cl.learner(net, cl.squared_error, cl.sgd(0.1))
    for loss in (cl.cross_entropy, cl.mae, cl.huber, cl.cosine):
        bad = cl.learner(net, loss, cl.sgd(0.1))
        with pytest.raises(errors.NotSeparable, match="request"):
            bad.arrow()
        with pytest.raises(errors.NotSeparable):
            bad.request(bad.init(), torch.zeros(1, 3), torch.zeros(1, 3))
        with pytest.raises(errors.NotSeparable):
            good >> bad
    with pytest.raises(errors.NotSeparable, match="different losses"):
        good >> cl.learner(net, cl.mse, cl.sgd(0.1))
    from catlearn.learn.transforms import clip_norm

    clipped = cl.learner(net, cl.squared_error, clip_norm(1.0) >> cl.sgd(0.1))
    with pytest.raises(errors.NotSeparable, match="all gradients at once"):
        clipped >> clipped
    with pytest.raises(errors.BadTraining, match="two optimisers"):
        good >> cl.learner(net, cl.squared_error, cl.sgd(0.2))
    with pytest.raises(errors.BadTraining, match="beside the parameters"):
        cl.learner(net, cl.mse, cl.adam()).update(cl.lens(net).init(), torch.zeros(3), torch.zeros(3))
