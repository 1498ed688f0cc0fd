"""AdaLoRA's budget against a computation with loops in numpy, and against peft's allocator."""

import numpy as np
import pytest
import torch
from torch import nn

import catlearn as cl
from catlearn import adapters as ad
from catlearn import errors
from tests.adapters.scattered import scattered

X = torch.randn(16, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 10), nn.Tanh(), nn.Linear(10, 6)).double()


def adapted():
    return scattered(cl.adapt(network(), ad.AdaLoRA(4, alpha=8)))


def cells(model):
    return {k: model[int(k)].adapters["weight"]["default"] for k in ("0", "2")}


class Loops:
    """The paper's equations, one number at a time."""

    def __init__(self, b1=0.85, b2=0.85):
        self.b1, self.b2, self.I, self.U = b1, b2, {}, {}

    def step(self, numbers, grads):
        for key, w in numbers.items():
            I, U = self.I.setdefault(key, np.zeros(w.shape)), self.U.setdefault(key, np.zeros(w.shape))
            for at in np.ndindex(*w.shape):
                now = abs(w[at] * grads[key][at])
                I[at] = self.b1 * I[at] + (1 - self.b1) * now
                U[at] = self.b2 * U[at] + (1 - self.b2) * abs(now - I[at])

    def score(self, layer, k):
        s = {leaf: self.I[layer, leaf] * self.U[layer, leaf] for leaf in "BEA"}
        return s["E"][k] + sum(s["B"][:, k]) / len(s["B"]) + sum(s["A"][k]) / len(s["A"][k])


def one_step(model, before, *loops, rate=0.05):
    for p in model.parameters():
        p.grad = None
    (model(X).square().mean() + model(X).sum()).backward()
    numbers = {(k, leaf): getattr(c, leaf).detach().numpy().copy() for k, c in cells(model).items() for leaf in "BEA"}
    for each in loops:
        each.step(numbers, {(k, leaf): getattr(c, leaf).grad.numpy() for k, c in cells(model).items() for leaf in "BEA"})
    state = ad.importance(model, before)
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p -= rate * p.grad
    return state


def test_scores_and_the_choice_are_the_paper_s_over_many_steps():
    model, loops, state = adapted(), Loops(), None
    mutants = Loops(b1=0.5), Loops(b2=0.5)
    for step in range(6):
        state = one_step(model, state, loops, *mutants)
        scores = state.scores()
        want = {k: [loops.score(k, j) for j in range(4)] for k in ("0", "2")}
        assert all(np.allclose(scores[k].numpy(), want[k], rtol=1e-10) for k in want)
        assert not any(np.allclose(scores["0"].numpy(), [m.score("0", j) for j in range(4)], rtol=1e-2) for m in mutants)
        budget = 7 - step
        everything = sorted((s for own in want.values() for s in own), reverse=True)
        kept = {k: [s >= everything[budget - 1] for s in own] for k, own in want.items()}
        before = {k: c.E.detach().clone() for k, c in cells(model).items()}
        ranks = ad.allocate(model, state, budget)
        assert ranks == {k: sum(own) for k, own in kept.items()} and sum(ranks.values()) == budget
        for k, c in cells(model).items():
            assert torch.equal(c.E, before[k] * torch.tensor(kept[k]))


def test_the_choice_is_over_all_layers_and_not_in_each():
    model, loops, state = adapted(), Loops(), None
    for _ in range(3):
        state = one_step(model, state, loops)
    with torch.no_grad():
        worth = {k: float(v.sum()) for k, v in state.scores().items()}
    ranks = ad.allocate(model, state, 4)
    assert set(ranks.values()) != {2} and max(ranks, key=ranks.get) == max(worth, key=worth.get)  # a mutant would keep two in each


def test_a_triplet_that_was_cut_can_come_back():
    model, state = adapted(), None
    state = one_step(model, state, Loops())
    ad.allocate(model, state, 2)
    cut = {k: (c.E == 0) for k, c in cells(model).items()}
    assert sum(int(v.sum()) for v in cut.values()) == 6
    one_step(model, state, Loops())
    assert any(bool((c.E[cut[k]] != 0).any()) for k, c in cells(model).items())


def test_trimmed_layers_have_their_own_ranks_and_compute_the_same(tmp_path):
    model, state = adapted(), None
    state = one_step(model, state, Loops())
    ranks = ad.allocate(model, state, 3)
    y = model(X)
    ad.trim(model)
    assert torch.allclose(model(X), y, rtol=1e-10)
    assert {k: len(c.E) for k, c in cells(model).items()} == {k: max(1, n) for k, n in ranks.items()}
    assert all(p.requires_grad == (".default." in n) for n, p in model.named_parameters())
    cl.save_adapter(model, tmp_path)
    assert torch.allclose(cl.load_adapter(network(), tmp_path)(X), y, rtol=1e-8)
    with pytest.raises(errors.BadAdapter, match="other layers or ranks"):
        model(X).sum().backward()
        ad.importance(model, state)
    ad.allocate(model, one_step(model, None), 0)
    assert torch.allclose(ad.trim(model)(X), network()(X), rtol=1e-10)  # nothing is left of it


@pytest.mark.filterwarnings("ignore::Warning")
def test_the_schedule_and_the_choice_are_peft_s():
    peft = pytest.importorskip("peft")
    config = peft.AdaLoraConfig(init_r=4, target_r=2, tinit=3, tfinal=5, deltaT=2, total_step=20, target_modules=["0", "2"], lora_alpha=8)
    other, ours = peft.get_peft_model(network(), config), cl.adapt(network(), ad.AdaLoRA(4, alpha=8 * 4 / (4 + 1e-5)))
    theirs = {k: other.base_model.model[int(k)] for k in ("0", "2")}
    with torch.no_grad():
        for k, c in cells(ours).items():
            for leaf in "BA":
                getattr(c, leaf).copy_(getattr(theirs[k], f"lora_{leaf}")["default"])
            c.E.copy_(theirs[k].lora_E["default"].normal_()[:, 0])
    allocator, budget, state, chosen = other.base_model.rankallocator, ad.Budget(8, 4, 20, warmup=3, final=5, every=2), None, 0
    for step in range(1, 21):
        assert (budget.at(step), budget.due(step)) == allocator.budget_schedule(step)
        for model in (ours, other):
            for p in model.parameters():
                p.grad = None
            model(X).square().mean().backward()
            with torch.no_grad():
                for p in model.parameters():
                    if p.grad is not None:
                        p -= 0.05 * p.grad
        state = ad.importance(ours, state)  # after the step, as peft does
        allocator.update_ipt(other)
        if budget.due(step):
            ad.allocate(ours, state, budget.at(step))
            allocator.mask_to_budget(other, budget.at(step))
            chosen += 1
        for k, c in cells(ours).items():
            assert torch.allclose(c.E, theirs[k].lora_E["default"][:, 0], rtol=1e-8)
    assert chosen == 11 and sum(int((c.E != 0).sum()) for c in cells(ours).values()) == 4


def test_the_schedule_falls_with_the_third_power():
    budget = ad.Budget(first=100, last=20, total=130, warmup=10, final=20)
    assert budget.at(10) == 100 and budget.at(111) == 20 and budget.at(60) == int(20 + 80 * 0.5**3)
    assert [budget.at(t) for t in range(1, 131)] == sorted((budget.at(t) for t in range(1, 131)), reverse=True)
    assert not budget.due(10) and budget.due(11) and budget.due(130)


def test_bad_budgets_and_missing_gradients_are_named():
    model = adapted()
    for act, error, text in (
        (lambda: ad.Budget(4, 5, 10), errors.BadAdapter, "no budget"),
        (lambda: ad.Budget(5, 4, 10, warmup=5, final=5), errors.BadAdapter, "no budget"),
        (lambda: ad.Budget(5, 4, 10, every=0), errors.BadAdapter, "no budget"),
        (lambda: ad.importance(model), errors.BadAdapter, "no gradients"),
        (lambda: ad.importance(model, smooth=1.0), errors.BadAdapter, "between 0 and 1"),
        (lambda: ad.importance(model, name="other"), errors.NothingMatched, "default"),
        (lambda: ad.importance(cl.adapt(network(), ad.LoRA(2))), errors.BadAdapter, "no layer has an AdaLoRA"),
        (lambda: ad.trim(cl.merge(adapted())), errors.BadMerge, "unmerge"),
    ):
        with pytest.raises(error, match=text):
            act()
    state = one_step(model, None, Loops())
    for budget in (-1, 2.5):
        with pytest.raises(errors.BadAdapter, match="a budget of"):
            ad.allocate(model, state, budget)
    with pytest.raises(errors.BadAdapter, match="a budget of"):
        ad.allocate(cl.adapt(nn.Linear(4, 4), ad.AdaLoRA(2)), state, 1)


def test_the_penalty_is_zero_for_orthonormal_factors_only():
    Q = torch.linalg.qr(torch.randn(6, 3, dtype=torch.float64)).Q
    assert float(ad.AdaLoRA.orthogonality(Q, Q.t())) < 1e-20
    assert abs(float(ad.AdaLoRA.orthogonality(2 * Q, Q.t())) - 3 * 9) < 1e-9
