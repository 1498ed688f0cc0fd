"""What would break if the law suite let a wrong learner through."""

import pytest
import torch

import catlearn as cl
from catlearn.learn.categorical import Learn
from catlearn.learn.learner import Learner
from catlearn.verify.laws import check_learner
from catlearn.verify.laws.learners import LAWS

NET = cl.linear(cl.R(4), cl.R(3)) >> cl.tanh >> cl.linear(cl.R(3), cl.R(2))
FUNCTOR = "the learner of f then g = the learner of f then that of g"
BESIDE = "the learner of f @ g = the learner of f @ that of g"


@pytest.mark.parametrize("loss", [cl.mse, cl.squared_error], ids=["mse", "squared error"])
@pytest.mark.parametrize("cell", [cl.sgd(0.1), cl.sgd(0.1, momentum=0.9), cl.adam(0.01)], ids=["sgd", "momentum", "adam"])
def test_shipped_learners_are_lawful(loss, cell):
    report = check_learner(cl.learner(NET, loss, cell))
    assert report and len(report.held) == 6, report


def test_laws_that_need_requests_do_not_apply_to_cross_entropy():
    report = check_learner(cl.learner(NET, cl.cross_entropy, cl.sgd(0.1)))
    assert report and {o.law for o in report.held} == {"step gives the same twice and overwrites nothing", "update is step"}
    assert all("not a sum" in o.note for o in report.inapplicable) and len(report.inapplicable) == 4


class RateInRequest(Learner):
    """The rate in the request too: the classical mistake."""

    def request(self, p, x, y):
        row = x if isinstance(x, tuple) else (x,)
        right = super().request(p, x, y)
        found = tuple(a + 0.1 * (r - a) for a, r in zip(row, right if isinstance(right, tuple) else (right,), strict=True))
        return found if isinstance(x, tuple) else found[0]


class ForgetsTheMean(Learner):
    """Requests as if the loss were a sum over the batch and not a mean."""

    def request(self, p, x, y):
        row = x if isinstance(x, tuple) else (x,)
        right = super().request(p, x, y)
        found = tuple(a + (r - a) / len(a) for a, r in zip(row, right if isinstance(right, tuple) else (right,), strict=True))
        return found if isinstance(x, tuple) else found[0]


class StepsTwice(Learner):
    def update(self, p, x, y):
        return super().update(super().update(p, x, y), x, y)


class Overwrites(Learner):
    def step(self, state, x, y):
        new, loss = super().step(state, x, y)
        for value in state.params.values():
            value.mul_(0.5)
        return new, loss


class Forgets(Learner):
    """Gives the parameters before the step where it stands beside another."""

    def __matmul__(self, other):
        both = super().__matmul__(other)
        return StepsTwice(both.model, both.loss, both.optimiser, both.separable)


class ForgetsMomentum(Learner):
    """Starts the optimiser anew after every step, where it stands beside another."""

    def __matmul__(self, other):
        both = super().__matmul__(other)
        return Anew(both.model, both.loss, both.optimiser, both.separable)


class Anew(Learner):
    def update(self, p, x, y):
        new = super().update(p, x, y)
        return self.start(new.params, new.state, new.seed)


class Plus(Learn):
    """Composition that adds one to what the composite shows, the identities among its factors or not."""

    def __rshift__(self, other):
        both = super().__rshift__(other)
        return type(self)(lambda pq, a: both.implement(pq, a) + self.more(pq), both.update, both.request)

    def more(self, pq):
        return 1


class PlusAfterAll(Plus):
    """The same, but identities are units: they have no parameters."""

    def more(self, pq):
        return 0 if () in pq else 1


class NotUnital(Learner):
    kind = Plus

    def arrow(self):
        right = super().arrow()
        return self.kind(right.implement, right.update, right.request)


class NotAssociative(NotUnital):
    kind = PlusAfterAll


MUTANTS = [(RateInRequest, FUNCTOR), (ForgetsTheMean, FUNCTOR), (StepsTwice, "update is step"),
           (Overwrites, "step gives the same twice and overwrites nothing"), (Forgets, BESIDE), (ForgetsMomentum, BESIDE),
           (NotUnital, "id then f = f = f then id"), (NotAssociative, "(f then g) then g = f then (g then g)")]  # fmt: skip


def test_every_law_of_learners_has_a_mutant():
    assert {law for _, law in MUTANTS} == set(LAWS)


def test_associativity_is_seen_apart_from_the_units():
    right = cl.learner(NET, cl.mse, cl.sgd(0.1))
    report = check_learner(NotAssociative(right.model, right.loss, right.optimiser, right.separable))
    found = {o.law: o.verdict for o in report.outcomes}
    assert found["id then f = f = f then id"] == "held" and found["(f then g) then g = f then (g then g)"] == "failed", report


def test_an_empty_batch_is_refused():
    f = cl.learner(NET, cl.mse, cl.sgd(0.1))
    for given in ({"x": torch.zeros(0, 4), "y": torch.zeros(0, 2)}, {"batch": 0}):
        with pytest.raises(cl.errors.BadInput, match="empty batch"):
            check_learner(f, **given)


@pytest.mark.parametrize(("mutant", "law"), MUTANTS, ids=[mutant.__name__ for mutant, _ in MUTANTS])
def test_a_wrong_learner_fails_the_law_it_breaks(mutant, law):
    right = cl.learner(NET, cl.mse, cl.sgd(0.1, momentum=0.9))
    wrong = mutant(right.model, right.loss, right.optimiser, right.separable)
    report = check_learner(wrong)
    assert not report and not any("raised" in o.note for o in report.failed) and law in {o.law for o in report.failed}, report


def test_given_batches_are_used():
    x, y = torch.randn(5, 4), torch.randn(5, 2)
    assert check_learner(cl.learner(NET, cl.mse, cl.sgd(0.1)), x, y)
    assert not check_learner(cl.learner(NET, cl.mse, cl.sgd(0.1)), x[:, :3], y)
