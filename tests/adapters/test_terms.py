"""Adapters on terms: a 2-cell on a weight computes what the module's adapter computes, in every meaning."""

import pytest
import torch

import catlearn as cl
from catlearn import adapters as ad
from catlearn import errors
from tests.adapters.dense import DENSE


def net():
    return cl.linear(cl.R(8), cl.R(12), name="stem") >> cl.tanh >> cl.linear(cl.R(12), cl.R(4), name="head")


METHODS = [
    ad.LoRA(2, alpha=3), ad.PiSSA(2), ad.DoRA(2), ad.HRA(2), ad.OFT(4), ad.LoHa(2), ad.LoKr(2), ad.HiRA(2), ad.SVFT(), ad.MiSS(4),
    ad.SHiRA(2), ad.FLoRA(2),
]  # fmt: skip


@pytest.mark.parametrize("adapter", METHODS, ids=lambda a: type(a).__name__)
def test_an_adapted_term_starts_where_it_was_and_computes_the_dense_definition(adapter):
    tuned = cl.adapt(net(), adapter, where="stem.*")
    model, plain = cl.compile(tuned, dtype=torch.float64), cl.compile(net(), dtype=torch.float64)
    state = plain.state_dict()
    if isinstance(adapter, ad.PiSSA | ad.DoRA | ad.SVFT):  # what starts from W fixes W
        state["stem.weight"] = model.state_dict()["stem.weight"]
        plain.load_state_dict(state)
    x = torch.randn(5, 8, dtype=torch.float64)
    assert torch.allclose(model(x), plain(x), atol=1e-6)
    learning = [n for n, p in model.named_parameters() if p.requires_grad]
    assert learning and all(n.startswith("stem.default.") for n in learning)
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.add_(0.3 * torch.randn(p.shape, dtype=p.dtype))
    held = {n.removeprefix("stem.default."): t for n, t in model.state_dict().items() if n.startswith("stem.default.")}
    state["stem.weight"] = DENSE[type(adapter).__name__](adapter, state["stem.weight"], held)
    plain.load_state_dict(state)
    assert torch.allclose(model(x), plain(x), atol=1e-6)


def test_a_cell_of_a_map_is_exact_and_a_lens():
    tuned = cl.adapt(net(), ad.LoRA(2), where="head.*", freeze="adapted")
    assert not tuned.params["head.weight"].trainable and tuned.params["stem.weight"].trainable
    back = cl.reverse(tuned)
    assert len(back.cod) == len([p for p in tuned.params.values() if p.trainable]) + 1
    assert cl.symbolic(cl.adapt(cl.linear(cl.R(2), cl.R(2), bias=False, name="l"), ad.LoRA(1))) is not None


def test_adapters_on_a_term_stack_and_keep_learning():
    tuned = cl.adapt(cl.adapt(net(), ad.LoRA(2), where="stem.*", name="one"), ad.HRA(2), where="stem.*", name="two")
    assert sorted(n for n, p in tuned.params.items() if p.trainable) == ["stem.one.A", "stem.one.B", "stem.two.u"]
    model = cl.compile(tuned, dtype=torch.float64)
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.add_(0.3 * torch.randn(p.shape, dtype=p.dtype))
    s = model.state_dict()
    W = s["stem.weight"]
    order = DENSE["LoRA"](ad.LoRA(2), DENSE["HRA"](ad.HRA(2), W, {"u": s["stem.two.u"]}), {"A": s["stem.one.A"], "B": s["stem.one.B"]})
    other = DENSE["HRA"](ad.HRA(2), DENSE["LoRA"](ad.LoRA(2), W, {"A": s["stem.one.A"], "B": s["stem.one.B"]}), {"u": s["stem.two.u"]})
    x = torch.randn(5, 8, dtype=torch.float64)

    def computed(weight):
        y = torch.tanh(x @ weight.t() + s["stem.bias"])
        return y @ s["head.weight"].t() + s["head.bias"]

    # precomposing: the cell that is added last reads first, as f[r][s] == f[s then r] says
    assert torch.allclose(model(x), computed(order), atol=1e-9) and not torch.allclose(model(x), computed(other), atol=1e-4)


@pytest.mark.parametrize("adapter, where, error, text", [
    (ad.LoRA(2), "nothing", errors.NothingMatched, "stem.weight"),
    (ad.LoRA(2), "stem.bias", errors.CannotAdapt, "stem.bias"),
    (ad.VeRA(4), "*", errors.BadAdapter, "shares tensors"),
    (ad.IA3(), "*", errors.BadAdapter, "bias"),
    (ad.LoRA(5), "*", errors.BadAdapter, "from 1 to 4"),
], ids=str)  # fmt: skip
def test_what_a_term_cannot_hold_is_named(adapter, where, error, text):
    with pytest.raises(error, match=text):
        cl.adapt(net(), adapter, where=where)
