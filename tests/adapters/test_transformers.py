"""Models of transformers: its own Conv1D, tied embeddings, a training loop that learns through adapters only."""

import pytest
import torch

import catlearn as cl
from catlearn import adapters as ad

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("ignore::Warning")


def gpt():
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        n_layer=2, n_head=2, n_embd=16, vocab_size=50, n_positions=16, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0
    )
    return transformers.GPT2LMHeadModel(config)


IDS = torch.randint(0, 50, (2, 8), generator=torch.Generator().manual_seed(1))


def test_transformers_conv1d_keeps_its_layout_and_merges():
    model = cl.adapt(gpt(), ad.LoRA(2), where="*.c_attn|*.c_proj")
    assert torch.allclose(model(IDS).logits, gpt()(IDS).logits, atol=1e-6)
    cell = model.transformer.h[0].attn.c_attn.adapters["weight"]["default"]
    assert cell.A.shape == (2, 16) and cell.B.shape == (48, 2)  # the stored weight is (16, 48)
    for p in model.parameters():
        if p.requires_grad:
            torch.nn.init.normal_(p, std=0.2)
    y = model(IDS).logits
    by_hand = gpt()
    with torch.no_grad():
        for name, slot in model.named_modules():
            if name.endswith("adapters.weight"):
                by_hand.get_parameter(f"{name.removesuffix('.adapters.weight')}.weight").add_((slot["default"].B @ slot["default"].A).t())
    assert torch.allclose(y, by_hand(IDS).logits, atol=1e-5)
    assert torch.allclose(cl.merge(model, keep_base=False)(IDS).logits, y, atol=1e-5)


def test_a_loop_learns_through_the_adapters_and_leaves_the_base():
    model = gpt()
    base = {n: t.clone() for n, t in model.state_dict().items()}
    cl.adapt(model, ad.DoRA(4), where="*.c_attn|*.c_fc|*.c_proj")
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-2)
    losses = []
    for _ in range(25):
        loss = model(IDS, labels=IDS).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.95 * losses[0]  # embeddings and the tied head stay frozen, so random labels are not learnt by heart
    assert all(torch.equal(t, base[n]) for n, t in model.state_dict().items() if n in base)


def test_a_tied_head_stays_tied_to_an_adapted_embedding():
    with pytest.warns(ad.TiedWeight):
        model = cl.adapt(gpt(), ad.LoRA(2), where="*.wte|lm_head")
    for p in model.parameters():
        if p.requires_grad:
            torch.nn.init.normal_(p, std=0.2)
    y = model(IDS).logits
    plain = cl.merge(model, keep_base=False)
    assert plain.lm_head.weight is plain.transformer.wte.weight
    assert torch.allclose(plain(IDS).logits, y, atol=1e-4)
