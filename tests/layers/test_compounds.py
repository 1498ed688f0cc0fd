"""What would break if a compound were not the network of its name: each against a module written by hand."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import catlearn as cl
from catlearn import errors
from tests.aten import training_ops
from tests.boxes.agree import BATCHES, close, sample
from tests.boxes.test_conv import in_one_graph

F64 = torch.float64


def renamed(model, table):
    """A state_dict under other names: the longest matching prefix is replaced."""
    found = {}
    for key, value in model.state_dict().items():
        old = max((k for k in table if key.startswith(k)), key=len)
        found[table[old] + key[len(old) :]] = value
    return found


def agree(term, reference, batches=BATCHES, tolerance=1e-10):
    """The compiled term, and its reverse with and without kernels, are the reference and autograd, in float64."""
    model = cl.compile(term, dtype=F64)
    params = {k: p.detach() for k, p in model.named_parameters()}
    backward = {fused: cl.compile(cl.reverse(term, fused), params, dtype=F64) for fused in (True, False)}
    for batch in batches:
        g = torch.Generator().manual_seed(3)
        xs, dys = sample(term.dom, batch, g), sample(term.cod, batch, g)
        xs = [x.requires_grad_() if x.is_floating_point() else x for x in xs]
        wanted = [*(dict(model.named_parameters())[k] for k in sorted(params)), *(x for x in xs if x.requires_grad)]
        ours, theirs = model(*xs), reference(model, *xs)
        ours, theirs = (ys if isinstance(ys, tuple) else (ys,) for ys in (ours, theirs))
        close(ours, theirs, f"forward on {batch}", tolerance=tolerance)
        expected = torch.autograd.grad(ours, wanted, dys, allow_unused=True)
        expected = [torch.zeros_like(w) if e is None else e for w, e in zip(wanted, expected, strict=True)]
        with torch.no_grad():
            for fused, back in backward.items():
                close(back(*xs, *dys), expected, f"reverse, fused={fused}, on {batch}", tolerance=tolerance)


# -- mlp, residual -----------------------------------------------------------------------------------------------------


def test_mlp_is_the_sequential():
    model, x = cl.compile(cl.mlp([6, 8, 7, 3], cl.gelu)), torch.randn(5, 6)
    hand = nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 7), nn.GELU(), nn.Linear(7, 3))
    hand.load_state_dict(renamed(model, {"linear.": "0.", "linear_1.": "2.", "linear_2.": "4."}))
    assert torch.equal(model(x), hand(x))
    assert training_ops(model, x) == training_ops(hand, x)
    agree(cl.mlp([6, 8, 3]), lambda m, x: F.linear(F.relu(F.linear(x, m.linear.weight, m.linear.bias)),
                                                                               m.linear_1.weight, m.linear_1.bias))  # fmt: skip


def test_residual_adds_to_the_first_wire_only():
    f = cl.linear(cl.R(4), cl.R(4))
    agree(cl.residual(f), lambda m, x: x + F.linear(x, m.linear.weight, m.linear.bias))
    with_context = cl.residual(cl.mul(cl.R(4)))
    assert with_context.dom == cl.R(4) @ cl.R(4) and with_context.cod == cl.R(4)
    agree(with_context, lambda m, x, c: x + x * c)


# -- attention ---------------------------------------------------------------------------------------------------------


class Heads(nn.Module):
    def __init__(self, width, heads, causal=False):
        super().__init__()
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))
        self.heads, self.causal = heads, causal

    def forward(self, x, mask=None):
        def apart(y):
            return y.reshape(*y.shape[:-1], self.heads, -1).transpose(-3, -2)

        q, k, v = apart(self.query(x)), apart(self.key(x)), apart(self.value(x))
        mask = mask.unsqueeze(-3) if mask is not None and mask.dim() > 2 else mask
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=self.causal)
        return self.output(y.transpose(-3, -2).reshape(x.shape))


def hand_heads(model, causal=False):
    hand = Heads(12, 3, causal).double()
    params = {k.removeprefix("attention."): p for k, p in model.named_parameters()}
    return lambda *xs: torch.func.functional_call(hand, params, xs)


@pytest.mark.parametrize("causal, mask", [(False, False), (True, False), (False, True)])
def test_multi_head_attention(causal, mask):
    term = cl.multi_head_attention(5, 12, 3, causal, mask)
    agree(term, lambda m, *xs: hand_heads(m, causal)(*xs), batches=((), (4,), (2, 3)))
    with pytest.raises(AssertionError, match="forward"):  # a mutant: the other causality
        agree(cl.multi_head_attention(5, 12, 3, not causal), lambda m, x: hand_heads(m, causal)(x), batches=((4,),))


def test_multi_head_attention_is_torchs_with_its_weights():
    model, hand = cl.compile(cl.multi_head_attention(5, 12, 3)), nn.MultiheadAttention(12, 3, batch_first=True)
    own = dict(model.named_parameters())
    with torch.no_grad():
        hand.in_proj_weight.copy_(torch.cat([own[f"{n}.weight"] for n in ("query", "key", "value")]))
        hand.in_proj_bias.copy_(torch.cat([own[f"{n}.bias"] for n in ("query", "key", "value")]))
        hand.out_proj.weight.copy_(own["output.weight"]), hand.out_proj.bias.copy_(own["output.bias"])
    x = torch.randn(4, 5, 12)
    assert torch.allclose(model(x), hand(x, x, x)[0], atol=1e-6)


class Block(nn.Module):
    def __init__(self, causal=False):
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(12), nn.LayerNorm(12)
        self.attention = Heads(12, 3, causal)
        self.mlp = nn.Sequential(nn.Linear(12, 48), nn.GELU(), nn.Linear(48, 12))

    def forward(self, x, mask=None):
        x = x + self.attention(self.norm_1(x), mask)
        return x + self.mlp(self.norm_2(x))


NAMES = {"norm_": "norm_", "attention.": "attention.", "mlp.linear.": "mlp.0.", "mlp.linear_1.": "mlp.2."}


def test_a_transformer_block_runs_the_aten_ops_of_the_module_by_hand():
    model, hand, x = cl.compile(cl.transformer_block(5, 12, 3, causal=True)), Block(True), torch.randn(4, 5, 12)
    hand.load_state_dict(renamed(model, NAMES))
    assert torch.equal(model(x), hand(x))
    assert training_ops(model, x) == training_ops(hand, x)
    other = cl.compile(cl.transformer_block(5, 12, 3, causal=True, activation=cl.relu))
    assert training_ops(other, x) != training_ops(hand, x)


@pytest.mark.parametrize("mask", [False, True])
def test_transformer_blocks(mask):
    def reference(model, *xs):
        hand = Block().double()
        params = dict(zip(renamed(model, NAMES), model.parameters(), strict=True))
        return torch.func.functional_call(hand, params, xs)

    agree(cl.transformer_block(5, 12, 3, mask=mask), reference, batches=((), (2, 3)))


def test_a_transformer_is_its_blocks_and_a_norm():
    model, x = cl.compile(cl.transformer(2, 5, 12, 3)), torch.randn(4, 5, 12)
    y = x
    for i in range(2):
        hand = Block()
        hand.load_state_dict(renamed(model.blocks.get_submodule(str(i)), NAMES))
        y = hand(y)
    assert torch.equal(model(x), F.layer_norm(y, (12,), model.norm.weight, model.norm.bias))
    masked = cl.compile(cl.transformer(2, 5, 12, 3, mask=True), dict(model.named_parameters()))
    assert torch.allclose(masked(x, torch.ones(4, 5, 5, dtype=torch.bool)), model(x), atol=1e-6)
    assert not torch.allclose(masked(x, torch.ones(4, 5, 5, dtype=torch.bool).tril()), model(x), atol=1e-3)


def test_a_transformer_of_any_length():
    n = cl.dim("n")
    short, any_length = cl.compile(cl.transformer(1, 7, 12, 3, causal=True)), cl.compile(cl.transformer(1, n, 12, 3, causal=True))
    assert torch.equal(short(torch.ones(2, 7, 12)), any_length(torch.ones(2, 7, 12)))
    assert any_length(torch.ones(2, 9, 12)).shape == (2, 9, 12)


def test_dropout_in_a_transformer_acts_in_training_only():
    torch.manual_seed(0)
    plain, model, x = (
        cl.compile(cl.transformer_block(5, 12, 3)),
        cl.compile(cl.transformer_block(5, 12, 3, dropout=0.5)),
        torch.randn(4, 5, 12),
    )
    model.load_state_dict(plain.state_dict())
    assert not torch.allclose(model(x), plain(x))
    assert torch.equal(model.eval()(x), plain(x))


# -- recurrent cells ---------------------------------------------------------------------------------------------------


def test_lstm_cell_is_torchs_with_its_weights():
    def reference(model, x, h, c):
        p = dict(model.named_parameters())
        gates = F.linear(x, p["input.weight"], p["input.bias"]) + F.linear(h, p["hidden.weight"], p["hidden.bias"])
        i, f, g, o = gates.chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c

    term = cl.lstm_cell(cl.R(3), cl.R(5))
    agree(term, reference)
    model, hand = cl.compile(term), nn.LSTMCell(3, 5)
    hand.load_state_dict({f"{kind}_{short}": model.state_dict()[f"{long}.{kind}"] for kind in ("weight", "bias")
                          for short, long in (("ih", "input"), ("hh", "hidden"))})  # fmt: skip
    x, h, c = torch.randn(7, 3), torch.randn(7, 5), torch.randn(7, 5)
    for ours, theirs in zip(model(x, h, c), hand(x, (h, c)), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)
    assert not torch.allclose(model(x, c, h)[0], hand(x, (h, c))[0], atol=1e-3)


def test_gru_cell_is_torchs_with_its_weights():
    def reference(model, x, h):
        p = dict(model.named_parameters())
        a, b = F.linear(x, p["input.weight"], p["input.bias"]).chunk(3, -1), F.linear(h, p["hidden.weight"], p["hidden.bias"]).chunk(3, -1)
        r, z = (a[0] + b[0]).sigmoid(), (a[1] + b[1]).sigmoid()
        return (1 - z) * (a[2] + r * b[2]).tanh() + z * h

    term = cl.gru_cell(cl.R(3), cl.R(5))
    agree(term, reference)
    model, hand = cl.compile(term), nn.GRUCell(3, 5)
    hand.load_state_dict({f"{kind}_{short}": model.state_dict()[f"{long}.{kind}"] for kind in ("weight", "bias")
                          for short, long in (("ih", "input"), ("hh", "hidden"))})  # fmt: skip
    x, h = torch.randn(7, 3), torch.randn(7, 5)
    assert torch.allclose(model(x, h), hand(x, h), atol=1e-6)
    with torch.no_grad():  # a mutant: the reset gate's rows and the update gate's exchanged
        hand.weight_ih.copy_(hand.weight_ih.roll(5, 0))
    assert not torch.allclose(model(x, h), hand(x, h), atol=1e-3)


# -- sets and graphs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pool, f", [(cl.sum, torch.sum), (cl.mean, torch.mean), (cl.max, torch.amax)])
def test_deep_sets(pool, f):
    term = cl.deep_sets(cl.linear(cl.R(5, 2), cl.R(5, 4)), cl.linear(cl.R(4), cl.R(3)), pool)
    agree(term, lambda m, x: F.linear(f(F.linear(x, m.linear.weight, m.linear.bias), -2), m.linear_1.weight, m.linear_1.bias))
    model, x = cl.compile(term, dtype=F64), torch.randn(2, 5, 2, dtype=F64)
    assert torch.allclose(model(x), model(x[:, [3, 1, 4, 0, 2]]), atol=1e-12)
    assert not torch.allclose(model(x), model(x[:, [3, 1, 4, 0, 0]]), atol=1e-12)


def test_message_passing_is_the_loop_over_edges():
    x, i = cl.R(4, 3), cl.index(4, 6)
    term = cl.message_passing(x, i, cl.linear(cl.R(6, 6), cl.R(6, 5)), cl.linear(cl.R(4, 8), cl.R(4, 2)))

    def reference(m, x, senders, receivers):
        batch = x.shape[:-2]
        xs, ss, rs = x.reshape(-1, 4, 3), senders.reshape(-1, 6), receivers.reshape(-1, 6)
        outs = []
        for v, s, r in zip(xs, ss, rs, strict=True):
            heard = [v.new_zeros(5) for _ in range(4)]
            for a, b in zip(s.tolist(), r.tolist(), strict=True):
                heard[b] = heard[b] + F.linear(torch.cat([v[a], v[b]]), m.linear.weight, m.linear.bias)
            outs.append(F.linear(torch.cat([v, torch.stack(heard)], -1), m.linear_1.weight, m.linear_1.bias))
        return torch.stack(outs).reshape(*batch, 4, 2)

    agree(term, reference, batches=((), (5,), (2, 3)))
    empty = cl.compile(term)(torch.zeros(0, 4, 3), torch.zeros(0, 6, dtype=torch.int64), torch.zeros(0, 6, dtype=torch.int64))
    assert empty.shape == (0, 4, 2)
    with pytest.raises(AssertionError, match="forward"):  # a mutant: edges turned round
        agree(term, lambda m, x, s, r: reference(m, x, r, s), batches=((5,),))


def test_message_passing_on_a_graph_of_any_size():
    n, e = cl.dim("n"), cl.dim("e")
    layer = cl.message_passing(cl.R(n, 3), cl.index(n, e), cl.linear(cl.R(e, 6), cl.R(e, 5)), cl.linear(cl.R(n, 8), cl.R(n, 2)))
    model, ends = cl.compile(layer), torch.tensor([0, 1, 2, 3, 4])
    assert model(torch.randn(5, 3), ends, ends.flip(0)).shape == (5, 2)
    x, order = torch.randn(5, 3), torch.tensor([3, 0, 4, 1, 2])
    place = torch.argsort(order)
    assert torch.allclose(model(x, ends, ends.flip(0))[order], model(x[order], place[ends], place[ends.flip(0)]), atol=1e-6)


def small_graph_layer():
    return cl.message_passing(cl.R(4, 3), cl.index(4, 6), cl.linear(cl.R(6, 6), cl.R(6, 5)), cl.linear(cl.R(4, 8), cl.R(4, 2)))


@pytest.mark.parametrize("term", [
    cl.transformer_block(5, 12, 3, dropout=0.1), cl.lstm_cell(cl.R(3), cl.R(5)), cl.gru_cell(cl.R(3), cl.R(5)), small_graph_layer(),
], ids=["block", "lstm", "gru", "graph"])  # fmt: skip
def test_compounds_compile_in_one_graph(term):
    model = cl.compile(term).eval()
    xs = sample(model.term.dom, (2,), torch.Generator().manual_seed(0), torch.float32)
    ours, theirs = in_one_graph(model, *xs), model(*xs)
    close(ours, theirs, "compiled", tolerance=1e-6)


@pytest.mark.parametrize("make, text", [
    (lambda: cl.mlp([3]), "at least two sizes"),
    (lambda: cl.mlp([cl.R(3, 4), cl.R(2, 5)]), "last axis only"),
    (lambda: cl.residual(cl.linear(cl.R(3), cl.R(4))), "to the one wire x"),
    (lambda: cl.multi_head_attention(5, 12, 5), "heads divides"),
    (lambda: cl.multi_head_attention(5, 12, 0), "heads divides"),
    (lambda: cl.multi_head_attention(5, 12, 3, causal=True, mask=True), "not both"),
    (lambda: cl.lstm_cell(cl.R(3), cl.R(5, 2)), r"R\(n\)"),
    (lambda: cl.gru_cell(cl.R(3), cl.R(5) @ cl.R(5)), r"R\(n\)"),
    (lambda: cl.deep_sets(cl.linear(cl.R(5), cl.R(4)), cl.relu), "n elements"),
    (lambda: cl.message_passing(cl.R(4, 3), cl.index(5, 6), cl.relu, cl.relu), "on an axis of length 4"),
])  # fmt: skip
def test_bad_compounds_are_refused_by_name(make, text):
    with pytest.raises(errors.BadBox, match=text):
        make()
