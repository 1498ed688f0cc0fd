"""Supports of SHiRA that come from data: which entries, against numpy; what they compute; peft's own files."""

import numpy as np
import pytest
import torch
from torch import nn

import catlearn as cl
from catlearn import adapters as ad
from catlearn import errors

X = torch.randn(4, 8, generator=torch.Generator().manual_seed(2))


def layer():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 12))


G = torch.randn(12, 8, generator=torch.Generator().manual_seed(1))
SCORES = {"magnitude": lambda W: np.abs(W), "gradient": lambda W: np.abs(G.numpy()), "snip": lambda W: np.abs(W * G.numpy())}


def support(mask, rank=2):
    data = {} if mask == "magnitude" else {"0": G}
    cell = cl.adapt(layer(), ad.SHiRA(rank, mask=mask), data=data)[0].adapters["weight"]["default"]
    return {tuple(place) for place in cell.index.t().tolist()}


def largest(score, n):
    """The places of the n largest entries, by counting how many are larger."""
    return {(j, k) for j in range(12) for k in range(8) if (score > score[j, k]).sum() < n}


@pytest.mark.parametrize("mask", SCORES)
def test_the_support_is_where_the_score_is_largest(mask):
    W = layer()[0].weight.detach().numpy()
    found = support(mask)
    assert found == largest(SCORES[mask](W), 40) and len(found) == 40
    assert all(found != largest(SCORES[other](W), 40) for other in SCORES if other != mask)  # mutants: another score
    assert support(mask, rank=1) < found and found != largest(-SCORES[mask](W), 40)


@pytest.mark.parametrize("mask", SCORES)
def test_training_on_a_support_is_gradient_descent_on_the_masked_weight(mask):
    """The paper's other way of saying it: the full weight is trained with its gradient masked."""
    model = cl.adapt(layer(), ad.SHiRA(2, mask=mask), data={} if mask == "magnitude" else {"0": G})
    plain, kept = layer(), torch.zeros(12, 8)
    for j, k in support(mask):
        kept[j, k] = 1
    for _ in range(3):
        for net in (model, plain):
            for p in net.parameters():
                p.grad = None
            net(X).square().sum().backward()
        with torch.no_grad():
            cell = model[0].adapters["weight"]["default"]
            cell.v -= 0.01 * cell.v.grad
            plain[0].weight -= 0.01 * kept * plain[0].weight.grad
    assert torch.allclose(model(X), plain(X), atol=1e-5) and not torch.allclose(model(X), layer()(X), atol=1e-3)
    assert torch.allclose(cl.merge(model, keep_base=False)[0].weight, plain[0].weight, atol=1e-6)


def test_disjoint_supports_given_do_not_meet():
    first, second = torch.zeros(12, 8), torch.zeros(12, 8)
    first.view(-1)[:20], second.view(-1)[50:70] = 1, 1
    model = cl.adapt(layer(), ad.SHiRA(1, mask="given"), data={"0": first}, name="a")
    cl.adapt(model, ad.SHiRA(1, mask="given"), data={"0": second.bool()}, name="b")
    for p in model.parameters():
        if p.requires_grad:
            nn.init.normal_(p)
    a, b = (model[0].adapters["weight"][name] for name in "ab")
    y = {order: ad.activate(model, list(order))(X) for order in ("ab", "ba")}
    assert torch.allclose(y["ab"], y["ba"], atol=1e-6)
    change = cl.merge(model, keep_base=False)[0].weight.detach() - layer()[0].weight.detach()
    want = torch.cat([a.v, torch.zeros(30), b.v, torch.zeros(26)]).reshape(12, 8)
    assert torch.allclose(change, want, atol=1e-6) and not torch.allclose(change, want.flip(1), atol=1e-2)


def test_bad_supports_are_named():
    for make, text in (
        (lambda: ad.SHiRA(2, mask="largest"), "one of random"),
        (lambda: ad.SHiRA(2, mask="gradient"), "starts from data"),
        (lambda: ad.SHiRA(9), "at most 4"),
    ):
        with pytest.raises(errors.BadAdapter, match=text):
            cl.adapt(layer(), make())
    for data, text in (
        (torch.ones(12, 8), "mask of 96 entries"),
        (torch.ones(8, 12), "needed a mask"),
        (torch.full((12, 8), torch.inf), "finite"),
    ):
        with pytest.raises(errors.BadAdapter, match=text):
            cl.adapt(layer(), ad.SHiRA(2, mask="given"), data={"0": data})


@pytest.mark.filterwarnings("ignore::Warning")
def test_peft_s_folders_go_both_ways_and_keep_the_support(tmp_path):
    peft = pytest.importorskip("peft")
    other = peft.get_peft_model(layer(), peft.ShiraConfig(r=2, target_modules=["0"]))
    nn.init.normal_(other.base_model.model[0].shira_weight["default"])
    other.save_pretrained(tmp_path / "theirs")
    ours = cl.load_adapter(layer(), tmp_path / "theirs")
    assert torch.allclose(ours(X), other(X), atol=1e-5) and not torch.allclose(ours(X), layer()(X), atol=1e-3)
    made = cl.adapt(layer(), ad.SHiRA(2, mask="snip"), data={"0": G})
    nn.init.normal_(made[0].adapters["weight"]["default"].v)
    cl.save_adapter(made, tmp_path / "ours")
    assert torch.allclose(peft.PeftModel.from_pretrained(layer(), tmp_path / "ours")(X), made(X), atol=1e-5)
    assert torch.allclose(cl.load_adapter(layer(), tmp_path / "ours")(X), made(X), atol=1e-6)


def test_a_support_survives_another_precision_and_the_state():
    made = cl.adapt(layer(), ad.SHiRA(2, mask="magnitude"))
    nn.init.normal_(made[0].adapters["weight"]["default"].v)
    other = cl.adapt(layer().apply(lambda m: nn.init.zeros_(m.weight) if hasattr(m, "weight") else m), ad.SHiRA(2, mask="magnitude"))
    other.load_state_dict(made.state_dict())
    assert torch.equal(other(X), made(X))
    y = made(X)
    half = made.to(torch.bfloat16)
    assert half[0].adapters["weight"]["default"].index.dtype == torch.int64
    assert torch.allclose(half(X.bfloat16()).float(), y, atol=0.1)
