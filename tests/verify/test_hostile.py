"""Claims that are false, by every trick we could think of: none of them may be proved. Each is first seen to be false in numbers.

Most of ``BROKEN`` were proved once, before the prover was repaired; the rest never were. A claim here is a function or module, ``dom``
and ``cod``. The search for a counterexample is left out, since only the proof is on trial; where ties matter it stays.

Longer than a full file because it is one list.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._pytree import tree_leaves

import catlearn as cl
from catlearn.errors import CatlearnError
from catlearn.interop.trace import trace
from catlearn.verify import claims, prove
from catlearn.verify.certificate import encode
from catlearn.verify.kernel import Claim, Proof
from catlearn.verify.program import exported
from catlearn.verify.refute import Outcome
from catlearn.verify.search import Search
from catlearn.verify.types import Factor, Type, plain

A, E, O, S, SE, SO, Z, Sp, R, sp, ix, ar = cl.A, cl.E, cl.O, cl.S, cl.SE, cl.SO, cl.Z, cl.Sp, cl.R, cl.space, cl.index, torch.arange
n, m, b, b0, u0 = cl.dim("n"), cl.dim("m"), cl.dim("b", min=1), cl.dim("b", min=0), cl.dim("u0", min=0)
N, N1, S5, Z8, G, O3, SO3, P4 = sp(S(n), 3), sp(S(n)), sp(S(5)), sp(Z(8)), sp(S(n), S(n)), sp(O(3)), sp(SO(3)), sp(Sp(4))
SP4, PT, V, W5 = P4, sp(S(n), E(3)), sp(S(n), O(3)), ar(5.0)
T3 = cl.T(3)
J = torch.tensor([[0, 0, 1, 0], [0, 0, 0, 1], [-1, 0, 0, 0], [0, -1, 0, 0]])
EPS = torch.tensor([[[(i - j) * (j - k) * (k - i) // 2 for k in range(3)] for j in range(3)] for i in range(3)])
EPSF = EPS.float()
Claimed = tuple[Callable[..., Any], cl.Space, cl.Space]


class Const(nn.Module):
    def __init__(self, fn, **bufs):
        super().__init__()
        self.fn = fn
        for k, v in bufs.items():
            self.register_buffer(k, v)

    def forward(self, *xs):
        return self.fn(self, *xs)


def inplace_view(x):
    y = x.clone()
    y[0].mul_(2)
    return y


def inplace_t(x):
    y = x.clone()
    y.t()[0].add_(y[0])
    return y


def alias_cat(x):
    y = x.clone()
    v = y.view(-1)
    v[:3] = 0
    return y


def chunk_(x):
    y = x.clone()
    a, _b = y[:2], y[2:]
    a.zero_()
    return y


def fill_diag(x):
    y = x.clone()
    y.fill_diagonal_(0)
    return y


def noscope(x):
    with torch.no_grad():
        y = x[:1] * 2
    return x + y


def noscope_ln(x):
    w = ar(5.0)
    with torch.no_grad():
        return F.layer_norm(x, (5,), w, w)


def noscope_ln2(x):
    with torch.no_grad():
        return F.layer_norm(x, (5,), W5, W5)


def auto(x):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return x + ar(x.shape[0])[:, None] * 1e0


def condx(x):
    return torch.cond(x.sum() > 0, lambda x: x[:1] + x, lambda x: x * 1, (x,))


def condc(x):
    return torch.cond(torch.tensor(True), lambda y: y * 1 + x[0] * 0 + x[0], lambda y: y * 1, (x,))


def whilex(x):
    from torch._higher_order_ops.while_loop import while_loop

    return while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y + y[:1]), (torch.tensor(0), x))[1]


def scanx(x):
    from torch._higher_order_ops.scan import scan

    return scan(lambda c, y: (c + y, c + y), x[0] * 0, x)[1]


def local(x):
    i = ar(x.shape[0])
    m_ = (i[:, None] - i[None]).abs() < 2
    return (x @ x.T).masked_fill(~m_, float("-inf")).softmax(-1) @ x


def causal(x):
    L = x.shape[0]
    m_ = torch.ones(L, L).tril().bool()
    return (x @ x.T).masked_fill(~m_, float("-inf")).softmax(-1) @ x


def causal2(x):
    L = x.shape[0]
    i = ar(L)
    m_ = i[:, None] >= i[None]
    return (x @ x.T).masked_fill(~m_, float("-inf")).softmax(-1) @ x


def causal3(x):
    i = torch.ones(x.shape[0]).cumsum(0)
    return torch.where(i[:, None] >= i[None], x @ x.T, 0.0)


def causal4(x):
    e = torch.eye(x.shape[0])
    return torch.where(e.cumsum(0) > 0, x @ x.T, 0.0)


def alibi(x):
    i = ar(x.shape[0]).to(x.dtype)
    return (x @ x.T - (i[:, None] - i).abs()).softmax(-1) @ x


def sinus(x):
    i = ar(x.shape[0])[:, None]
    return x + torch.sin(i * torch.ones(3))


def onehot_arange(x):
    return F.one_hot(ar(x.shape[0]), x.shape[0]).to(x.dtype).cumsum(1) @ x


def rep_ri(x):
    return x.repeat(2, 1) + x.repeat_interleave(2, 0)


def swapax(x):
    return x + x.T.reshape(x.shape)


def mergeswap(x):
    return x.permute(1, 0).reshape(-1).view(5, 3)


def catself(x):
    return torch.cat([x, x])[1:6]


def catself2(x):
    return torch.cat([x, x])[::2]


def catroll(x):
    return torch.cat([x[1:], x[:1]])


def cls(x):
    return torch.cat([torch.zeros(1, 3), x])[:-1]


def sortidx(x):
    return x[x[:, 0].argsort().argsort()]


def sortuse(x):
    return x[:, 0].argsort().to(x.dtype)


def topkpos(x):
    return torch.topk(x[:, 0], 2).indices.to(x.dtype)


def argm(x):
    return x.argmax(0).to(x.dtype)


def argplus(x):
    return x[(x[:, 0].argmax() + 1) % x.shape[0]]


def gatherwrong(x):
    i = x.argmax(0, keepdim=True)
    return x.gather(1, i.expand(5, 5)[:, :1])


def gather2(x, y):
    return y.gather(0, x.argsort(0))


def onehotpts(x):
    return F.one_hot(x[:, 0].argmax(), 5).to(x.dtype).cumsum(0)


def idxput2(x, i, e):
    y = torch.zeros(5, 4)
    y[i] = e
    return y


def bn(train, mom=0.1, track=True, ch="x"):
    b = nn.BatchNorm1d(5, momentum=mom, track_running_stats=track)
    if track:
        b.running_mean.copy_(ar(5.0))  # type: ignore
    b.weight.data.copy_(ar(5.0))
    return b.train(train)


class GRU(nn.Module):
    def __init__(self, bf):
        super().__init__()
        self.g = nn.GRU(4, 4, batch_first=bf)

    def forward(self, x):
        return self.g(x)[0]


class MHA(nn.Module):
    def __init__(self, mask=None, causal=False, kpm=False):
        super().__init__()
        self.a = nn.MultiheadAttention(4, 2, batch_first=True)
        self.mask = mask
        self.c = causal
        self.k = kpm

    def forward(self, x):
        L = x.shape[1]
        m_ = torch.ones(L, L, dtype=torch.bool).triu(1) if self.c else None
        k = (ar(L) >= 3).expand(x.shape[0], L) if self.k else None
        return self.a(x, x, x, attn_mask=m_, key_padding_mask=k)[0]


class Dict(nn.Module):
    def forward(self, x):
        return {"b": x, "a": x.flip(0)}


class Tup(nn.Module):
    def forward(self, x):
        return [(x.flip(0),), x]


class Inst(nn.Module):
    def __init__(self):
        super().__init__()
        self.i = nn.InstanceNorm1d(5, track_running_stats=True)
        self.i.running_mean.copy_(torch.arange(5.0))  # type: ignore
        self.eval()

    def forward(self, x):
        return self.i(x)


class Eye(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("b", torch.eye(3))

    def forward(self, x):
        y = x @ self.b
        self.b.add_(torch.ones(3, 3))  # type: ignore
        return y


class HookM(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_forward_hook(lambda m, i, o: o.flip(0))

    def forward(self, x):
        return x


class CallM(nn.Module):
    def __call__(self, x):
        return x.flip(0)

    def forward(self, x):
        return x


class PreHook(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_forward_pre_hook(lambda m, i: (i[0].flip(0),))

    def forward(self, x):
        return x


def patched():
    m = nn.Identity()
    m.forward = lambda x: x.flip(0)  # type: ignore
    return m


def dataset(x):
    y = x * 1
    y.data = x.flip(0)
    return y


def dataset2(x):
    y = x * 1
    y.data[0] = 0
    return y


def setter(x):
    y = x * 1
    with torch.no_grad():
        y.set_(x.flip(0).contiguous())
    return y


def copyint(x):
    y = torch.zeros(4, 3, dtype=torch.int64)
    y.copy_(x)
    return y.float()


def copyint2(x):
    y = torch.zeros(3, dtype=torch.int64)
    y[:] = x
    return y.float()


def noties(x):
    return x[(x[:, 0] > 0).float().argmax()]


def noties2(x):
    return x[torch.topk((x[:, 0] > 0).float(), 2).indices]


def dup(x):
    return x.flip(0) if not torch.compiler.is_compiling() else x


def exporting(x):
    return x if torch.compiler.is_exporting() else x.flip(0)


def seven(x):
    return x.flip(0) if x.shape[0] == 7 else x


def big(x):
    return x.flip(0) if x.shape[0] > 6 else x


def even(x):
    return x.flip(0) if x.shape[0] % 2 == 0 else x


def sq(x, y):
    return x.flip(0) if x.shape[0] == y.shape[0] else x


BROKEN: dict[str, Any] = {
    "count of a mask of vectors": (lambda x: torch.ones(1) * x[x > 0].shape[0], O3, R(1)),
    "count in a sum": (lambda x: torch.ones(1) * (x > 0).nonzero().shape[0], O3, R(1)),
    "cumsum int": (lambda x: x.cumsum(0, dtype=torch.int64).to(x.dtype), sp(4, cl.O(3)), sp(4, cl.O(3))),
    "uint8 J": (lambda x, y: (x @ J.to(torch.uint8).to(x.dtype) * y).sum(), SP4 @ SP4, R()),
    "uint8 eps": (
        lambda x, y: torch.einsum("ijk,j,k->i", EPS.to(torch.uint8).to(x.dtype), x, y),
        sp(cl.SO(3)) @ sp(cl.SO(3)),
        sp(cl.SO(3)),
    ),
    "int8 eps": (
        lambda x, y: torch.einsum("ijk,j,k->i", (EPS * 128).to(torch.int8).to(x.dtype), x, y),
        sp(cl.SO(3)) @ sp(cl.SO(3)),
        sp(cl.SO(3)),
    ),
    "bool eps": (lambda x, y: torch.einsum("ijk,j,k->i", EPS.to(torch.bool).to(x.dtype), x, y), sp(cl.SO(3)) @ sp(cl.SO(3)), sp(cl.SO(3))),
    "instance norm": (Inst(), sp(2, cl.S(5), 7), sp(2, cl.S(5), 7)),
    "mutated buffer": (Eye(), O3, O3),
    "hook": (HookM(), sp(cl.S(n), 3), sp(cl.S(n), 3)),
    "prehook": (PreHook(), sp(cl.S(n), 3), sp(cl.S(n), 3)),
    "call": (CallM(), sp(cl.S(n), 3), sp(cl.S(n), 3)),
    "patched": (patched(), sp(cl.S(n), 3), sp(cl.S(n), 3)),
    "data set": (dataset, sp(cl.S(n), 3), sp(cl.S(n), 3)),
    "data set2": (dataset2, sp(cl.S(n), 3), sp(cl.S(n), 3)),
    "set_": (setter, sp(cl.S(n), 3), sp(cl.S(n), 3)),
    "copyint": (copyint, sp(4, cl.O(3)), sp(4, cl.O(3))),
    "copyint2": (copyint2, O3, O3),
    "noties": (noties, sp(cl.S(n), 3), R(3)),
    "noties2": (noties2, sp(cl.S(n), 3), R(2, 3)),
    "exporting": (exporting, sp(cl.S(n), 3), sp(cl.S(n), 3)),
    "compiling": (dup, sp(cl.S(n), 3), sp(cl.S(n), 3)),
    "seven": (seven, sp(cl.S(n), 3), sp(cl.S(n), 3)),
    "big": (big, sp(cl.S(n), 3), sp(cl.S(n), 3)),
    "even": (even, sp(cl.S(n), 3), sp(cl.S(n), 3)),
    "sq": (sq, sp(cl.S(n), 3) @ sp(m, 3), sp(cl.S(n), 3)),
    "b=1": (lambda x: x.flip(1) if x.shape[0] == 1 else x, sp(b, cl.S(5)), sp(b, cl.S(5))),
    "b<2": (lambda x: x.flip(1) if x.shape[0] < 2 else x, sp(b, cl.S(5)), sp(b, cl.S(5))),
    "u0": (lambda a, x, k: torch.cat([a, x]).narrow(0, k.item(), 7), sp(u0) @ sp(cl.S(7)) @ ix(7), sp(cl.S(7))),
}


TRANSLATIONS: dict[str, Any] = {
    "e_scale": (lambda x: 2 * x, PT, PT),
    "e_half": (lambda x: x / 2, PT, PT),
    "e_sum": (lambda x: x.sum(0), PT, sp(E(3))),
    "e_sumdiv": (lambda x: x.sum(0) / 5, PT, sp(E(3))),
    "e_wmean": (lambda x, w: (w[:, None] * x).sum(0), PT @ N1, sp(E(3))),
    "e_wmean2": (lambda x, w: w.relu() @ x / 3.0, PT @ N1, sp(E(3))),
    "e_masked": (lambda x: (x * (x.norm(dim=-1, keepdim=True) > 1)).mean(0), PT, sp(E(3))),
    "e_norm": (lambda x: x.norm(dim=-1), PT, N1),
    "e_masked2": (lambda x, w: x.masked_fill(w[:, None] > 0, 0.0).mean(0), PT @ N1, sp(E(3))),
    "e_where": (lambda x, w: torch.where(w[:, None] > 0, x, 2 * x), PT @ N1, PT),
    "e_dot": (lambda x: x @ x.T, PT, G),
    "e_pad": (lambda x: F.pad(x, (0, 0, 1, 0))[1:] * 2 - x * 0.5, PT, PT),
    "e_lerp": (lambda x: torch.lerp(x, 2 * x.mean(0, keepdim=True).expand(x.shape), 0.5), PT, PT),
    "e_cum": (lambda x: x.cumsum(1), sp(4, 5, E(3)), sp(4, 5, E(3))),
    "e_addmm": (lambda x, w: torch.addmm(x, w, x - x.mean(0), beta=2), PT @ G, PT),
    "e_scatter": (lambda x, i: torch.zeros(5, 3).index_add(0, i, x), sp(9, E(3)) @ ix(S(5), 9), sp(S(5), E(3))),
    "e_scattermean": (
        lambda x, i: torch.zeros(5, 3).scatter_reduce(0, i[:, None].expand(9, 3), x, "mean", include_self=False),
        sp(9, E(3)) @ ix(S(5), 9),
        sp(S(5), E(3)),
    ),
    "e_max": (lambda x: x.max(0).values, PT, sp(E(3))),
    "e_median": (lambda x: x.median(0).values, V, O3),
    "e_p1": (lambda x: torch.cdist(x, x, p=1), PT, G),
    "e_relu": (lambda x: x + torch.relu(x - x.mean(0)), PT, PT),
    "e_cross": (lambda x: torch.linalg.cross(x, x.mean(0, keepdim=True).expand(x.shape)), sp(S(n), SE(3)), sp(S(n), SE(3))),
    "e_two": (lambda x, y: x - y, sp(E(3)) @ sp(E(3, name="b")), sp(E(3))),
}


GRAPHS: dict[str, Any] = {
    "iv": (inplace_view, N, N),
    "it": (inplace_t, G, G),
    "ac": (alias_cat, N, N),
    "ch": (chunk_, N, N),
    "fd1": (lambda x: fill_diag(x)[0], G, N1),
    "ns": (noscope, N, N),
    "nsln": (noscope_ln, S5, S5),
    "nsln2": (noscope_ln2, S5, S5),
    "auto": (auto, N, N),
    "condx": (condx, N, N),
    "condc": (condc, N, N),
    "whilex": (whilex, N, N),
    "scanx": (scanx, N, N),
    "local": (local, N, N),
    "causal": (causal, N, N),
    "causal2": (causal2, N, N),
    "causal3": (causal3, N, G),
    "causal4": (causal4, N, G),
    "alibi": (alibi, N, N),
    "sinus": (sinus, N, N),
    "oha": (onehot_arange, N, N),
    "rep": (lambda x: rep_ri(x)[: x.shape[0]], N, N),
    "repf": (lambda x: rep_ri(x).view(2, -1, 3).sum(0), N, N),
    "swapax": (lambda x: x.reshape(-1).view(3, 5).T, sp(S(5), 3), sp(S(5), 3)),
    "mergeswap": (mergeswap, sp(S(5), 3), sp(S(5), 3)),
    "swapeq": (lambda x: x.permute(1, 0, 2).reshape(5, 15).view(5, 5, 3)[0], sp(S(5), 5, 3), sp(5, 3)),
    "viewnn": (lambda x: x.permute(1, 0), sp(S(5), S(5, name="b")), sp(S(5), S(5, name="b"))),
    "plainX": (lambda x: x.T, sp(S(5), 5), sp(S(5), 5)),
    "add_T": (lambda x: x + x.T, sp(S(5), S(5, name="b")), sp(S(5), S(5, name="b"))),
    "add_T2": (lambda x: x + x.T, sp(S(5), 5), sp(S(5), 5)),
    "catself": (catself, S5, S5),
    "catself2": (catself2, S5, S5),
    "catroll": (catroll, S5, S5),
    "cls": (cls, N, N),
    "cls2": (lambda x: torch.cat([torch.zeros(3, 3), x])[:-3], N, N),
    "sortidx": (sortidx, N, N),
    "sortuse": (sortuse, N, N1),
    "topkpos": (topkpos, N, R(2)),
    "argm": (argm, N, R(3)),
    "argplus": (argplus, N, R(3)),
    "gw": (gatherwrong, sp(S(5), 5), sp(S(5), 1)),
    "g2": (gather2, sp(S(5), 4) @ sp(5, 4), sp(5, 4)),
    "ohp": (onehotpts, sp(S(5), 2), sp(S(5))),
    "sorted_": (lambda x: x.sort(0).values, N, N),
    "cummax": (lambda x: x.cummax(0).values, N, N),
    "flip": (lambda x: x.flip(0), N, N),
    "fliplr": (lambda x: x.flip(1), sp(4, O(3)), sp(4, O(3))),
    "bn_eval": (bn(False), sp(7, S(5)), sp(7, S(5))),
    "bn_train": (bn(True), sp(7, S(5)), sp(7, S(5))),
    "bn_mom": (bn(True, None), sp(7, S(5)), sp(7, S(5))),  # type: ignore
    "bn_nt": (bn(True), sp(S(7), S(5)), sp(S(7), S(5))),
    "gru": (GRU(True), sp(2, S(5), 4), sp(2, S(5), 4)),
    "gru2": (GRU(False), sp(S(5), 2, 4), sp(S(5), 2, 4)),
    "mha_c": (MHA(causal=True), sp(2, S(5), 4), sp(2, S(5), 4)),
    "mha_k": (MHA(kpm=True), sp(2, S(5), 4), sp(2, S(5), 4)),
    "sdpa_c": (lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True), sp(2, S(5), 4), sp(2, S(5), 4)),
    "sdpa_m": (lambda x: F.scaled_dot_product_attention(x, x, x, attn_mask=ar(5.0).expand(5, 5)), sp(2, S(5), 4), sp(2, S(5), 4)),
    "sdpa_ch": (lambda x: F.scaled_dot_product_attention(x, x, x), sp(2, 5, Sp(4)), sp(2, 5, Sp(4))),
    "dict_": (Dict(), N, N @ N),
    "tup": (Tup(), N, N @ N),
    "unfold": (lambda x: x.unfold(0, 3, 1).sum(-1)[:3], S5, R(3)),
    "asst": (lambda x: x.as_strided((5, 3), (1, 5)), sp(S(5), 3), sp(S(5), 3)),
    "roll": (lambda x: x.roll(1, 0), N, N),
    "roll_z": (lambda x: x.roll(1, 0), sp(S(5)), sp(S(5))),
    "conv_s": (nn.Conv1d(3, 3, 2, stride=2, padding=0), sp(3, Z(8)), R(3, 4)),
    "conv_d": (nn.Conv1d(3, 3, 3, padding=2, dilation=2), sp(3, Z(8)), sp(3, Z(8))),
    "conv_wrong": (
        lambda x: F.conv1d(F.pad(x[None], (2, 2), mode="circular"), torch.tensor([[[1.0, 2, 3]]]))[0, :, 1:9],
        sp(1, S(8)),
        sp(1, S(8)),
    ),
    "pool_ceil": (lambda x: F.avg_pool1d(x[None], 2, stride=1, padding=1)[0, :, :8], sp(1, Z(8)), sp(1, Z(8))),
    "pool_c": (lambda x: F.max_pool1d(F.pad(x[None], (1, 1), mode="circular"), 3, stride=2)[0], sp(1, Z(8)), R(1, 4)),
    "convA": (nn.Conv1d(3, 3, 3, padding=1, padding_mode="circular"), sp(3, A(8)), sp(3, A(8))),
    "conv2": (
        lambda x: F.conv2d(
            F.pad(x[None], (1, 1, 1, 1), mode="circular"), torch.randn(1, 1, 3, 3, generator=torch.Generator().manual_seed(0))
        )[0],
        sp(1, Z(6), S(6)),
        sp(1, Z(6), S(6)),
    ),
    "z_flip": (lambda x: x.flip(-1), Z8, Z8),
    "z_fft": (lambda x: torch.fft.rfft(x).real, Z8, R(5)),
    "z_cum": (lambda x: x.cumsum(0), Z8, Z8),
    "z_reflect": (lambda x: F.conv1d(F.pad(x[None, None], (1, 1), mode="reflect"), torch.ones(1, 1, 3))[0, 0], Z8, Z8),
}


def around(x):
    return F.pad(x[None, None], (1, 1), mode="circular")[0, 0]


UNIONS: dict[str, Any] = {
    "one and a set beside a set and one": (lambda x, a: (torch.cat([a, x]) + torch.cat([x, a]))[:3], sp(S(3)) @ R(1), sp(S(3))),
    "a norm of what is periodic": (lambda x, a: torch.cat([around(x), a]).norm(), sp(Z(5)) @ R(1), R()),
    "a norm of vectors of Sp": (lambda x, a: torch.cat([x, a]).norm(), P4 @ R(1), R()),
    "a sum over scalars and a vector": (lambda x, a: torch.cat([a, x]).sum(), O3 @ R(2), R()),
    "a function of scalars and a vector": (lambda x, a: torch.cat([a, x]).tanh()[2:], O3 @ R(2), O3),
    "a number added to scalars and a vector": (lambda x, a: (torch.cat([a, x]) + 1)[2:], O3 @ R(2), O3),
    "a bias of scalars and a vector": (lambda x, a: (torch.cat([a, x], 1) + W5)[:, 2:], sp(4, O(3)) @ R(4, 2), sp(4, O(3))),
    "a layer norm of scalars and a vector": (lambda x, a: F.layer_norm(torch.cat([a, x]), (5,))[2:], O3 @ R(2), O3),
    "a softmax of scalars and a vector": (lambda x, a: torch.cat([a, x]).softmax(0)[:2], O3 @ R(2), R(2)),
    "a gate of scalars and a vector by itself": (lambda x, a: (torch.cat([a, x]) * torch.cat([a, x]).sigmoid())[2:], O3 @ R(2), O3),
    "a part of a vector beside scalars": (lambda x, a: torch.cat([a, x])[1:4], O3 @ R(2), O3),
    "a vector cut from two": (lambda x, y: torch.cat([x, y])[1:4], O3 @ O3, O3),
    "vectors of two groups in products": (lambda x, y: torch.cat([x, x]) @ torch.cat([x, y]), O3 @ sp(O(3, name="b")), R()),
    "vectors of Sp in products": (lambda x, a: torch.cat([x, a]) @ torch.cat([x, a * 2]), P4 @ R(1), R()),
    "coordinates of a product of unions": (lambda x, a: (torch.cat([a, x]) * torch.cat([a, x]))[2:3], O3 @ R(2), R(1)),
    "a translated point beside scalars": (lambda x, a: (2 * torch.cat([a, x]))[2:], sp(E(3)) @ R(2), sp(E(3))),
    "a translated point beside zeros": (lambda x: torch.cat([torch.zeros(3), x])[:3], sp(E(3)), sp(E(3))),
    "a weight over scalars and a vector": (lambda x, a: torch.cat([a, x]) @ W5, O3 @ R(2), R()),
    "the largest of scalars and a vector": (lambda x, a: torch.cat([a, x]).amax(), O3 @ R(2), R()),
    "a roll of scalars and a vector": (lambda x, a: torch.cat([a, x]).roll(1)[3:], O3 @ R(2), R(2)),
    "a reshape that cuts a vector": (lambda x, a: torch.cat([a[:2], x, a[2:]]).view(2, 3)[0], O3 @ R(3), O3),
    "the same of any size": (lambda x, a: (torch.cat([a, x]) * torch.cat([x, a]))[: x.shape[0]], N1 @ R(1), N1),
}


VECTORS: dict[str, Any] = {
    "o_relu": (torch.relu, O3, O3),
    "o_cross": (lambda x, y: torch.linalg.cross(x, y), O3 @ O3, O3),
    "o_det2": (lambda x: torch.linalg.det(x), sp(O(3), 3), R()),
    "o_det3": (lambda x: torch.linalg.det(x).tanh() * torch.linalg.det(x).abs(), sp(O(3), 3), R()),
    "o_det4": (lambda x: torch.linalg.det(x) + 1, sp(O(3), 3), R()),
    "o_det5": (lambda x: torch.linalg.det(x).exp(), sp(O(3), 3), R()),
    "o_det6": (lambda x: torch.linalg.det(x) ** 3, sp(O(3), 3), R()),
    "o_triple": (lambda x, y, z: (torch.linalg.cross(x, y) * z).sum(), O3 @ O3 @ O3, R()),
    "o_cc": (lambda x, y: torch.linalg.cross(torch.linalg.cross(x, y), y) + torch.linalg.cross(x, y), O3 @ O3, O3),
    "detrow": (lambda x: torch.linalg.det(x), sp(S(4), 4), R()),
    "detrow2": (lambda x: torch.linalg.det(x), sp(S(4), S(4, name="b")), R()),
    "detA": (lambda x: torch.linalg.det(x) * 1.0, sp(Z(4), 4), R()),
    "o_p1": (lambda x: torch.linalg.vector_norm(x, 1), O3, R()),
    "o_pinf": (lambda x: x.abs().amax(), O3, R()),
    "o_n3": (lambda x: x.norm(p=3), O3, R()),
    "o_norm_sp": (lambda x: x.norm(), P4, R()),
    "d_slice": (lambda x, y: (x * y)[:2].sum(), O3 @ O3, R()),
    "d_mm": (lambda x, y: (x * y) @ ar(3.0), O3 @ O3, R()),
    "d_max": (lambda x, y: (x * y).max(), O3 @ O3, R()),
    "d_prod": (lambda x, y: (x * y).prod(), O3 @ O3, R()),
    "d_square": (lambda x, y: ((x * y) ** 2).sum(), O3 @ O3, R()),
    "d_3": (lambda x: (x * x * x).sum(), O3, R()),
    "d_4": (lambda x: (x * x * x * x).sum(), O3, R()),
    "d_einsum": (lambda x: torch.einsum("i,i,i,i->", x, x, x, x), O3, R()),
    "d_out": (lambda x, y: x * y, O3 @ O3, O3),
    "d_plain": (lambda x, y: x * y, O3 @ O3, R(3)),
    "d_norm": (lambda x, y: (x * y).norm(), O3 @ O3, R()),
    "d_cum": (lambda x, y: (x * y).cumsum(0)[-1] + (x * y)[0], O3 @ O3, R()),
    "d_mean0": (lambda x, y: (x * y).mean() * (x * y).select(0, 1), O3 @ O3, R()),
    "d_view": (lambda x, y: (x * y).view(3, 1).sum(1), O3 @ O3, R(3)),
    "d_expand": (lambda x, y: ((x * y)[:, None] * ar(2.0)).reshape(-1)[:3].sum(), O3 @ O3, R()),
    "d_diag": (lambda x: x.diagonal().abs().sum(), sp(O(3), O(3)), R()),
    "d_diag2": (lambda x: x.diagonal()[0], sp(O(3), O(3)), R()),
    "d_tr": (lambda x: x.flip(0).diagonal().sum(), sp(O(3), O(3)), R()),
    "d_tr2": (lambda x: torch.trace(x), sp(O(3), 3), R()),
    "d_tr3": (lambda x: torch.trace(x), sp(Sp(4), Sp(4)), R()),
    "sp_dot": (lambda x, y: (x * y).sum(), P4 @ P4, R()),
    "sp_j": (lambda x, y: x @ torch.tensor([[0.0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 0, 1], [0, 0, -1, 0]]) @ y, P4 @ P4, R()),
    "sp_jj": (lambda x, y: x @ torch.tensor([[0.0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, 1, 0, 0]]) @ y, P4 @ P4, R()),
    "sp_j1": (lambda x: torch.tensor([[0.0, 0, 1, 0], [0, 0, 0, 1], [-1, 0, 0, 0], [0, -1, 0, 0]]) @ x, P4, P4),
    "sp_inv": (lambda x: torch.linalg.inv(x), sp(Sp(4), Sp(4)), sp(Sp(4), Sp(4))),
    "sp_eye": (lambda x, y: x @ torch.eye(4) @ y, P4 @ P4, R()),
    "sp_sv": (lambda x: torch.linalg.svdvals(x), sp(Sp(4), Sp(4)), R(4)),
    "sp_cd": (lambda x: torch.cdist(x, x), sp(S(5), Sp(4)), sp(S(5), S(5))),
    "eps_o": (lambda x, y: torch.einsum("ijk,j,k->i", EPSF, x, y), O3 @ O3, O3),
    "eps_bad": (lambda x, y: torch.einsum("ijk,j,k->i", EPSF.abs(), x, y), SO3 @ SO3, SO3),
    "eye_flip": (lambda x: torch.eye(3).flip(0) @ x, O3, O3),
    "eye_off": (lambda x: (torch.eye(3) + 1) @ x, O3, O3),
    "eye_part": (lambda x: torch.eye(3, 4)[:, :3].tril() @ x + (torch.eye(3).cumsum(0) @ x), O3, O3),
    "eye_where": (lambda x: torch.where(torch.eye(3) > 0, x[:, None], 0.0).sum(0) * ar(3.0), O3, O3),
    "eye_wh2": (lambda x: torch.where(torch.eye(3) > 0, 1.0, 2.0) @ x, O3, O3),
    "eye_exp": (lambda x: torch.eye(3).exp() @ x, O3, O3),
    "eye_soft": (lambda x: torch.eye(3).softmax(0) @ x, O3, O3),
    "inv": (lambda x: torch.linalg.inv(x), sp(O(3), 3), sp(O(3), 3)),
    "mexp": (lambda x: torch.linalg.matrix_exp(x), sp(O(3), 3), sp(O(3), 3)),
    "mpow": (lambda x: x @ x, sp(O(3), 3), sp(O(3), 3)),
    "mt": (lambda x: x.T @ x, sp(3, O(3)), R(3, 3)),
    "eig": (lambda x: torch.linalg.eigvalsh(x), sp(O(3), O(3)), R(3)),
    "eig2": (lambda x: torch.linalg.eigvalsh(x), sp(S(4), S(4)), R(4)),
    "tri": (lambda x: x.tril(), G, G),
    "tri2": (lambda x: x.triu(1).sum(), G, R()),
    "sv": (lambda x: torch.linalg.svdvals(x), sp(E(3), 4), R(3)),
    "qr": (lambda x: torch.linalg.qr(x).R, sp(O(3), 3), R(3, 3)),
    "chol": (lambda x: torch.linalg.cholesky(x @ x.T + torch.eye(3)), sp(O(3), 3), sp(O(3), O(3))),
    "o_lin": (nn.Linear(3, 3), O3, O3),
    "o_ln": (nn.LayerNorm(3), O3, O3),
    "o_rms2": (lambda x: F.normalize(x, dim=-1, p=1), O3, O3),
    "o_clip": (lambda x: x.clamp(-1, 1), O3, O3),
    "o_do": (lambda x: F.dropout(x, 0.5, True), O3, O3),
    "s_do": (lambda x: F.dropout(x, 0.5, True), N, N),
    "s_do1": (lambda x: F.dropout(x, 1.0, True) + x[:1], N, N),
    "o_cat": (lambda x, y: torch.cat([x, y])[1:4], O3 @ O3, O3),
    "o_stack": (lambda x, y: torch.stack([x, y], 1).view(-1)[:3], O3 @ O3, O3),
    "o_pad": (lambda x: F.pad(x, (1, 0))[:3], O3, O3),
    "o_roll": (lambda x: x.roll(1), O3, O3),
    "o_idx": (lambda x: x[torch.tensor([1, 2, 0])], O3, O3),
    "o_sel": (lambda x: x[0].expand(3), O3, O3),
    "o_unb": (lambda x: torch.stack(x.unbind()[::-1]), O3, O3),
    "o_chunk": (lambda x: torch.cat(x.chunk(3)[::-1]), O3, O3),
    "o_dif": (lambda x, y: x + y, O3 @ sp(O(3, name="b")), O3),
    "o_so": (lambda x: x + torch.linalg.cross(x, x.flip(0)), SO3, SO3),
    "o_add1": (lambda x: x + 1, O3, O3),
    "o_mask": (lambda x: x * (x > 0), O3, O3),
    "o_count": (lambda x: (x > 0).sum() * 1.0, O3, R()),
    "o_where": (lambda x, y: torch.where(x.sum() > 0, x, y), O3 @ O3, O3),
    "o_sel2": (lambda x, y: torch.where(x[0] > y[0], x, y), O3 @ O3, O3),
    "o_round": (lambda x: x.long().to(x.dtype), O3, O3),
    "o_bool": (lambda x: x.bool().to(x.dtype), O3, O3),
    "o_sgn": (torch.sign, O3, O3),
    "o_odd": (torch.tanh, O3, O3),
    "o_item": (lambda x: x * x[0].item(), O3, O3),
    "zeromul": (lambda x: x * 0 + x[:1], N, N),
    "zpow": (lambda x: (x * 0).cos() * ar(x.shape[0])[:, None], N, N),
    "msel2": (lambda x: x[x > -100][0], S5, R()),
    "mput": (lambda x: x.masked_scatter(x > 0, ar(5.0)), S5, S5),
    "mcum": (lambda x: (x > 0).cumsum(0) * x, S5, S5),
    "batchX": (
        lambda x: x - x[:1],
        sp(S(5)),
        sp(S(5)),
    ),
    "sumch": (lambda x: x * ar(5.0)[:, None], sp(S(5), 4), sp(S(5), 4)),
    "param": (lambda x: x + ar(5.0)[:, None], sp(S(5), 4), sp(S(5), 4)),
    "emb": (Const(lambda s, x: x + s.p[: x.shape[0]], p=torch.randn(99, 3)), N, N),
    "emb2": (Const(lambda s, x: x + s.p[ar(5)], p=torch.randn(5, 3)), sp(S(5), 3), sp(S(5), 3)),
    "kron": (lambda x: torch.kron(x, ar(2.0)).view(2, 5).sum(0), S5, S5),
    "outer": (lambda x: torch.outer(x, ar(5.0)).sum(0), S5, S5),
    "tdot": (lambda x: torch.tensordot(x, ar(5.0)[:, None], ([0], [0])), S5, R(1)),  # type: ignore
    "bil": (lambda x: F.bilinear(x, x, torch.arange(25.0).view(1, 5, 5)), S5, R(1)),
    "ein": (lambda x: torch.einsum("ij,kj->ik", x, ar(20.0).view(5, 4)), sp(S(5), 4), sp(S(5), S(5))),
    "ein2": (lambda x: torch.einsum("ii->i", x)[:1], sp(S(5), S(5)), R(1)),
    "ein3": (lambda x: torch.einsum("ij->ji", x), sp(S(5), S(5, name="b")), sp(S(5), S(5, name="b"))),
    "ein4": (lambda x: torch.einsum("...i,...i", x, ar(4.0) * x) * ar(5.0), sp(S(5), 4), S5),
    "diag_off": (lambda x: torch.diagonal(x, 1), sp(S(5), S(5)), R(4)),
    "diag_emb": (lambda x: torch.diag_embed(x, 1)[:5, :5], S5, sp(S(5), S(5))),
    "diagab": (lambda x: x.diagonal(), sp(S(5), S(5, name="b")), S5),
    "gn1": (lambda x: F.group_norm(x, 5), sp(2, 5, S(3)), sp(2, 5, 3)),
    "ln_w": (lambda x: F.layer_norm(x, (5,), ar(5.0)), S5, S5),
    "ln2": (lambda x: F.layer_norm(x, (5, 4), ar(20.0).view(5, 4)), sp(S(5), 4), sp(S(5), 4)),
    "prelu": (Const(lambda s, x: F.prelu(x[None], s.w)[0], w=ar(5.0) / 10), sp(S(5), 2), sp(S(5), 2)),
    "interp": (lambda x: F.interpolate(x[None], scale_factor=2)[0, :, :5], sp(3, Z(5)), sp(3, Z(5))),
    "fold": (lambda x: F.pixel_shuffle(x[None, :, None, None].expand(1, 4, 2, 2), 2)[0, 0, 0], sp(S(4)), sp(S(4))),
    "glu": (lambda x: F.glu(x, 0), sp(S(6)), R(3)),
    "chsh": (lambda x: F.channel_shuffle(x[None, :, None, None], 2)[0, :, 0, 0], sp(S(6)), sp(S(6))),
    "embbag": (lambda i: F.embedding_bag(i[None], ar(15.0).view(5, 3))[0], ix(S(5), 4), R(3)),
    "bucketz": (lambda i: i.to(torch.float32), ix(S(5), 4), R(4)),
    "cmp": (lambda i: (i < 2).to(torch.float32), ix(S(5), 4), R(4)),
    "cmp1": (lambda i: (i >= 4).to(torch.float32), ix(S(5), 4), R(4)),
    "cmp2": (lambda i: (i > 3).to(torch.float32), ix(S(5), 4), R(4)),
    "cmp3": (lambda i: (i != 0).to(torch.float32), ix(S(5), 4), R(4)),
    "cmp4": (lambda i: (i <= 0).to(torch.float32), ix(S(5), 4), R(4)),
    "cmp5": (lambda i: (i > 0).to(torch.float32), ix(S(5), 4), R(4)),
    "cmp6": (lambda i: (i < 4).to(torch.float32), ix(S(5), 4), R(4)),
    "plus0": (lambda i: (i + 0 - 1 >= 0).to(torch.float32), ix(S(5), 4), R(4)),
    "idx8": (lambda x, i: x[i.to(torch.int8).long()], sp(S(300)) @ ix(S(300), 400), R(400)),
    "idxu8": (lambda x, i: x[i.to(torch.uint8).long()], sp(S(300)) @ ix(S(300), 400), R(400)),
    "neg": (lambda x, i: x[-i], S5 @ ix(S(5), 4), R(4)),
    "inv_": (lambda x, i: x[4 - i], S5 @ ix(S(5), 4), R(4)),
    "wrongset": (lambda x, i: x[i], sp(S(5, name="b")) @ ix(S(5), 4), R(4)),
    "embw": (lambda i: F.embedding(i, ar(5.0)[:, None]), ix(S(5), 4), R(4, 1)),
    "idxarange": (lambda x, i: x[torch.arange(4)], S5 @ ix(S(5), 4), R(4)),
    "ixput": (idxput2, sp(2) @ ix(S(5), S(9)) @ sp(S(9), 4), sp(S(5), 4)),
    "isort": (lambda i: i.sort().values.to(torch.float32), ix(S(5), 4), R(4)),
    "isum": (lambda i: i.sum() * 1.0, ix(S(5), 4), R()),
    "imax": (lambda x, i: x[i.max()], S5 @ ix(S(5), 4), R()),
    "imod": (lambda x, i: x[(i + 1) % 5], S5 @ ix(S(5), 4), R(4)),
    "search": (lambda x: torch.searchsorted(ar(5.0), x).to(torch.float32) * ar(5.0), S5, S5),
    "hist": (lambda x: torch.histc(x, 5) * x, S5, S5),
    "vander": (lambda x: torch.vander(x)[:, 0] * ar(5.0), S5, S5),
    "trap": (lambda x: torch.trapezoid(x), S5, R()),
    "diff": (lambda x: torch.diff(x).abs().sum(), S5, R()),
    "var": (lambda x: (x * ar(5.0)).var(), S5, R()),
}


def _vmap(x):
    return torch.func.vmap(lambda r: r * r.flip(0))(x.T).T


def _grad(x):
    return torch.func.grad(lambda y: (y * ar(y.shape[0])[:, None]).sum())(x)


def _jac(x):
    return torch.func.jacrev(lambda y: y.cumsum(0))(x)


def _meet(x, y):
    return x.flip(0) if x.shape[0] * 3 == 7 * y.shape[0] else x


def _cond2(x):
    return torch.cond(x.shape[0] > 6, lambda y: y.flip(0), lambda y: y * 1, (x,))


def _cached(x):
    return x * torch.tensor([1.0, 2.0, 1.0, 1.0, 1.0])


def _swap(x):
    y, z = x * 1, x.flip(0).contiguous()
    torch.utils.swap_tensors(y, z)
    return y


def _out(x):
    y = torch.empty_like(x)
    torch.mul(x, ar(x.shape[0])[:, None].to(x.dtype), out=y)
    return y


def _copy(x):
    y = x.clone()
    y[1:].copy_(x[:-1])
    return y


def _index_fill(x):
    return x.index_fill(0, torch.tensor([0]), 0.0)


def _index_copy(x):
    return x.index_copy(0, torch.tensor([0]), x[1:2])


def _put(x):
    y = x.clone()
    y[torch.tensor([0, 1])] = 0.0
    return y


def _acc(x):
    return torch.zeros(5).index_put((ar(5),), x, accumulate=True)


def _swish(x):
    return x * torch.sigmoid(ar(x.shape[0])[:, None] * 0.1)


OTHERS: dict[str, Any] = {
    "vmap": (_vmap, N, N),
    "grad": (_grad, N, N),
    "jac": (_jac, sp(S(5)), sp(S(5), S(5))),
    "sizes that may meet": (_meet, N @ sp(m, 3), N),
    "cond on a size": (_cond2, N, N),
    "literal": (_cached, S5, S5),
    "swap": (_swap, N, N),
    "out": (_out, N, N),
    "copy": (_copy, N, N),
    "index_fill": (_index_fill, N, N),
    "index_copy": (_index_copy, N, N),
    "put": (_put, N, N),
    "accumulate": (_acc, S5, R(5)),
    "gate": (_swish, N, N),
    "row of positions": (lambda x, i: x.gather(1, i[:, None]), sp(S(5), S(5, name="b")) @ ix(S(5), 5), sp(5, 1)),
    "two sets": (lambda x: x.diagonal(), sp(S(4), S(4, name="b")), R(4)),
    "max of two ways": (lambda x, y: torch.maximum(x, y), S5 @ sp(S(5, name="b")), S5),
    "odd sign": (lambda x: torch.linalg.det(x).sin().cos() * torch.linalg.det(x).sin(), sp(O(3), 3), R()),
    "two determinants": (lambda x, y: torch.linalg.det(x) * torch.linalg.det(y), sp(O(3), 3) @ sp(O(3, name="b"), 3), R()),
    "sum of signs": (lambda x, y: torch.linalg.det(x) + torch.linalg.cross(y, y.flip(0)).sum(), sp(O(3), 3) @ O3, R()),
    "norm of a stack": (lambda x: torch.cat([x, torch.ones(1)]).norm(), P4, R()),
    "volume of Sp": (lambda x: torch.linalg.det(x @ x.T + torch.eye(4)), sp(Sp(4), 4), R()),
    "gram of Sp": (lambda x: x.T @ x, sp(Sp(4), 3), R(3, 3)),
    "frobenius": (lambda x: torch.linalg.matrix_norm(x, 1), sp(O(3), 3), R()),
    "torus": (lambda x: x.roll((1,), (0,)), sp(S(6), Z(6)), sp(S(6), Z(6))),
    "other shift": (lambda x: x + x.flip(0).roll(1, 0), Z8, Z8),
    "mean of half": (lambda x: x[: x.shape[0] // 2].mean(0), N, R(3)),
    "last": (lambda x: x[-1], N, R(3)),
    "strided": (lambda x: x[::2].sum(0), sp(S(6), 3), R(3)),
    "narrow": (lambda x: x.narrow(0, 0, 2).sum(0), N, R(3)),
    "view of halves": (lambda x: x.view(2, 3).sum(0), sp(S(6)), R(3)),
    "split": (lambda x: x.split(3)[0].sum(), sp(S(6)), R()),
    "unflatten": (lambda x: x.unflatten(0, (2, 3)).amax(1), sp(S(6)), R(2)),
    "positions compared": (lambda i: (i[:, None] < i).float(), ix(S(5), 4), R(4, 4)),
    "positions as numbers": (lambda x, i: x * i, S5 @ ix(S(5), S(5)), S5),
    "positional table": (lambda x: x + torch.outer(ar(x.shape[0]), torch.ones(3)).sin(), N, N),
    "linspace": (lambda x: x * torch.linspace(0, 1, 5), S5, S5),
    "ones cumulated": (lambda x: x * torch.ones_like(x).cumsum(0), N, N),
    "prefix mean": (lambda x: x.cumsum(0) / torch.ones_like(x).cumsum(0), N, N),
    "logcumsumexp": (lambda x: x.logcumsumexp(0), N, N),
    "eye shifted": (lambda x: torch.eye(5).roll(1, 0) @ x, S5, S5),
    "eye part": (lambda x: torch.eye(5)[:3] @ x, S5, R(3)),
    "eye of halves": (lambda x: torch.eye(5, 5)[:, :1] * x[:, None], S5, sp(S(5), 1)),
    "tril of ones": (lambda x: torch.ones(5, 5).tril() @ x, S5, S5),
    "diag of numbers": (lambda x: torch.diag(ar(5.0)) @ x, S5, S5),
    "softmax of a broken axis": (lambda x: (x + ar(5.0)).softmax(0), S5, S5),
    "random table": (lambda x: x * torch.rand(5), S5, S5),
    "random order": (lambda x: x[torch.randperm(5)], S5, S5),
    "dropout of positions": (lambda x: F.dropout(torch.ones(5), 0.5, True) * x, S5, S5),
}


def differs(f: Callable[..., Any], dom: cl.Space, cod: cl.Space) -> bool:
    """Whether f(g x) and g f(x) differ for some element, input and sizes; run on what f itself is made for."""
    for k in (5, 1, 2, 3, 7, 4):
        sizes = {d.name: max(d.min, k + i) for i, d in enumerate(claims.symbols(dom, ()))}
        if f is BROKEN["sq"][0] or f is _meet:
            sizes = {"n": 7, "m": 7 if f is not _meet else 3}
        for seed, dtype in ((0, torch.float64), (0, torch.float32), (1, torch.float64), (1, torch.float32), (2, torch.float32)):
            try:
                model = copy.deepcopy(f).to(dtype) if isinstance(f, nn.Module) else f
                xs = [claims.example(w, (), sizes, seed * 10 + i, dtype) for i, w in enumerate(dom)]
                for kind, g in claims.elements(dom, sizes, 2):
                    sides = []
                    for inputs in (claims.act(g, kind, dom, sizes, xs), xs):
                        torch.manual_seed(0)
                        sides.append([y for y in tree_leaves(model(*(x.clone() for x in inputs))) if isinstance(y, torch.Tensor)])
                    for p, q in zip(sides[0], claims.act(g, kind, cod, sizes, sides[1]), strict=True):
                        if p.shape != q.shape or float((p.double() - q.double()).abs().max()) > 1e-3:
                            return True
            except (RuntimeError, ValueError, IndexError, TypeError, CatlearnError):
                continue  # not for this size or dtype
    return False


I3, I4 = ar(3), ar(4)
IN_ORDER: dict[str, Any] = {
    "backwards": (lambda x: x[I3.flip(0)], O3, O3),
    "from one on": (lambda x: x[ar(1, 4) % 3], O3, O3),
    "a part": (lambda x: torch.cat([x[ar(2)], x[2:] * 2]), O3, O3),
    "twice each": (lambda x: x[torch.div(ar(6), 2, rounding_mode="floor")][:3], O3, O3),
    "at the other axis of gather": (lambda x: x.gather(0, I3.expand(3, 3))[0], sp(O(3), 3), R(3)),
    "at the other axis of gather, a row": (lambda x: x.gather(0, I3.expand(3, 3)), sp(O(3), O(3)), sp(O(3), O(3))),
    "a table, the wrong axis": (lambda x: x[I3.expand(3, 3)], O3, sp(O(3), 3)),
    "a table, the other wrong axis": (lambda x: x[I3[:, None].expand(3, 3)], O3, sp(3, O(3))),
    "two of them": (lambda x: x[I3, I3], sp(O(3), O(3)), O3),
    "as numbers": (lambda x: x * I3, O3, O3),
    "as numbers of a set": (lambda x: x + I4, sp(S(4)), sp(S(4))),
    "chosen by a mask": (lambda x, c: x[torch.where(c, I3, I3.flip(0))], O3 @ cl.boolean(3), O3),
    "cut off": (lambda x: x[I3.clamp(max=1)], O3, O3),
    "rolled": (lambda x: x[I3.roll(1)], O3, O3),
    "sorted downwards": (lambda x: x[I3.sort(descending=True).values], O3, O3),
    "written backwards": (lambda x: torch.zeros(3).index_put((I3.flip(0),), x), O3, O3),
    "added to one place": (lambda x: torch.zeros(3).index_add(0, I3 * 0, x), O3, O3),
    "added to translated points": (lambda x: x.index_add(0, I3, x), sp(E(3)), sp(E(3))),
    "taken from translated points twice": (lambda x: x.index_add(0, I3, x, alpha=-2) - 2 * x, sp(E(3)), R(3)),
    "a table of pairs, their axis": (lambda x: x.index_select(0, I3[:, None].expand(3, 2).reshape(6)).reshape(2, 3), sp(S(3)), sp(2, S(3))),
    "added to another vector": (lambda x, y: y.index_add(0, I3, x, alpha=2), sp(E(3)) @ sp(E(3)), sp(E(3))),
    "written to a part": (lambda x: torch.zeros(4).index_put((I3,), x)[1:], O3, O3),
    "written beside": (lambda x, y: y.index_put((I3,), x[0]), O3 @ O3, O3),
    "one hot": (lambda x: (F.one_hot(I3, 3) * x).sum(1).relu(), O3, O3),
    "counted": (lambda x: x * torch.bincount(I3 % 2, minlength=3), O3, O3),
}

SET4, Z5 = sp(S(4)), sp(Z(5))
ORDERS: dict[str, Any] = {
    "a flip": (lambda x: x.flip(0), SET4, SET4),
    "a flip beside itself": (lambda x: x + x.flip(0), SET4, SET4),
    "a flip of an even set": (lambda x: x.flip(0), sp(A(4)), sp(A(4))),
    "a flip of a cycle": (lambda x: x.flip(0), Z5, Z5),
    "a flip and a cyclic convolution": (
        lambda x: F.conv1d(F.pad(x.flip(0)[None, None], (1, 1), mode="circular"), ar(3.0)[None, None])[0, 0],
        Z5,
        Z5,
    ),
    "a flip of both axes, one back": (lambda x: x.flip(0, 1).flip(0), sp(S(4), S(4)), sp(S(4), S(4))),
    "a flip, then a roll, then back": (lambda x: x.flip(0).roll(1).flip(0), SET4, SET4),
    "two rolls": (lambda x: x.roll(1).roll(-2), SET4, SET4),
    "a roll of one of two": (lambda x: x * x.roll(1), SET4, SET4),
    "a roll and a flip": (lambda x: x.roll(1) * x.flip(0), SET4, R(4)),
    "a roll of a product axis": (lambda x: x.flatten().roll(1).view(3, 2), sp(S(3), 2), sp(S(3), 2)),
    "a flip of a product axis": (lambda x: x.flatten().flip(0).view(3, 2), sp(S(3), 2), sp(S(3), 2)),
    "a flip of a union": (lambda x, a: torch.cat([x, a]).flip(0)[:4], SET4 @ R(2), SET4),
    "the first of a flip": (lambda x: x.flip(0)[0], SET4, R()),
    "the place of the largest of a flip": (lambda x: F.one_hot(x.flip(0).argmax(), 4) * 1.0, SET4, SET4),
    "what stands at a place of a flip": (lambda x, i: x.flip(0)[i], SET4 @ ix(S(4), 5), R(5)),
    "a flip of positions as positions": (lambda x, i: x[i.flip(0)], SET4 @ ix(S(4), S(4)), SET4),
    "a flip along no axis": (lambda x: x.flip([]) + x.flip(0), SET4, SET4),
    "a flip of vectors": (lambda x: x.flip(0), O3, O3),
    "a flip of translated numbers": (lambda x: x.flip(0), sp(E(3)), sp(E(3))),
    "a determinant of a flip": (lambda x: torch.linalg.det(x.flip(0)), sp(S(4), 4), R()),
    "a sign of a flip": (lambda x: x.flip(1).sort(1, descending=True).indices[:, 0] * 1.0, sp(4, S(4)), R(4)),
    "causal attention with equal scores": (
        lambda x: F.scaled_dot_product_attention(torch.zeros_like(x), x, x, is_causal=True),
        sp(S(4), 3),
        sp(S(4), 3),
    ),
    "causal attention of queries that are one": (
        lambda x: F.scaled_dot_product_attention(x.mean(0, keepdim=True).expand(4, 3), x * 0, x, is_causal=True).mean(0),
        sp(S(4), 3),
        R(3),
    ),
    "an upper triangle": (lambda x: x.triu(), sp(S(4), S(4)), sp(S(4), S(4))),
    "an upper triangle of two rows": (lambda x: x.triu(), sp(2, S(4)), sp(2, S(4))),
    "a lower triangle of one row": (lambda x: x.tril(), sp(1, S(4)), sp(1, S(4))),
    "an upper triangle of one column": (lambda x: x.triu(), sp(S(4), 1), sp(S(4), 1)),
    "an upper triangle from one on": (lambda x: x.triu(1), sp(1, S(4)), sp(1, S(4))),
    "a lower triangle but for one": (lambda x: x.tril(2), sp(2, S(4)), sp(2, S(4))),
}


KERNEL = ar(16.0).reshape(4, 2, 2)


def grouped(q, k, v):
    return F.scaled_dot_product_attention(q[None], k[None], v[None], enable_gqa=True)[0]


SMALL: dict[str, Any] = {
    "one key, turned with the queries": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v),
        sp(4, O(3)) @ R(1, 3) @ R(1, 3),
        sp(4, O(3)),
    ),
    "one key, a function of the query": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v) * q,
        sp(4, O(3)) @ sp(1, O(3)) @ R(1, 3),
        sp(4, O(3)),
    ),
    "two keys of vectors": (
        lambda x: F.scaled_dot_product_attention(
            x[:, None, :], x[:, None, :].expand(3, 2, 3) * ar(2.0)[:, None], x[:, None, :].expand(3, 2, 3) * ar(2.0)[:, None]
        ),
        sp(O(3), 3),
        sp(O(3), 1, 3),
    ),
    "the heads of the queries": (grouped, sp(S(4), 3, 2) @ R(2, 3, 2) @ R(2, 3, 2), sp(S(4), 3, 2)),
    "the heads of the keys alone": (grouped, R(4, 3, 2) @ sp(S(2), 3, 2) @ sp(S(2), 3, 2), R(4, 3, 2)),
    "the heads of the keys with the queries the other way": (
        lambda q, k, v: grouped(q.transpose(0, 1).flatten(0, 1), k, v),
        sp(S(2), 2, 3, 2) @ sp(S(2), 3, 2) @ sp(S(2), 3, 2),
        R(4, 3, 2),
    ),
    "grouped queries in order": (lambda q, k, v: grouped(q, k, v), sp(4, S(3), 2) @ sp(2, S(3), 2) @ R(2, 3, 2), sp(4, S(3), 2)),
    "a batch norm that learns, translated": (lambda x: F.batch_norm(x, None, None, training=True), sp(4, T3), sp(4, T3)),
    "a batch norm that knows": (lambda x: F.batch_norm(x, torch.zeros(3), torch.ones(3)), sp(4, T3), R(4, 3)),
    "a batch norm that learns, of rows that are translated": (lambda x: F.batch_norm(x.T, None, None, training=True), sp(4, T3), R(3, 4)),
    "a batch norm of vectors": (lambda x: F.batch_norm(x, None, None, training=True), sp(4, O(3)), sp(4, O(3))),
    "a diagonal that is translated": (lambda x: x.diagonal(), sp(5, T3), R(3)),
    "a diagonal that begins later": (lambda x: x.diagonal(1), sp(5, T3), R(2)),
    "a diagonal of vectors": (lambda x: x.diagonal(), sp(5, O(3)), O3),
    "a diagonal of a set and numbers": (lambda x: x.diagonal(), sp(S(3), 3), sp(S(3))),
    "a diagonal of translated points": (lambda x: x.diagonal(), sp(3, E(3)), sp(E(3))),
    "a softmax of two": (lambda x: x.softmax(1), sp(O(3), 2), sp(O(3), 2)),
    "the largest of two": (lambda x: x.amax(1), sp(O(3), 2), O3),
    "the largest of one, then of all": (lambda x: x.amax(1).amax(), sp(O(3), 1), R()),
    "the middle of two": (lambda x: x.median(1).values, sp(O(3), 2), O3),
    "the spread of one": (lambda x: x + x.std(1, correction=0, keepdim=True) + 1, sp(O(3), 1), sp(O(3), 1)),
    "the largest of no axis": (lambda x: x.amax(), sp(O(3), 1), R()),
    "a product of one and its sign": (lambda x: x.prod(1).abs(), sp(O(3), 1), O3),
    "pads beside a set": (lambda x: F.pad(x, (1, 1))[1:4], sp(S(4)), R(3)),
    "pads shifted": (lambda x: F.pad(x, (1, 0))[:4], sp(S(4)), sp(S(4))),
    "pads that are reflected": (
        lambda x: F.pad(x[None], (1, 1), mode="reflect")[0, 1:5] + F.pad(x[None], (1, 1), mode="reflect")[0, 2:],
        sp(S(4)),
        sp(S(4)),
    ),
    "pads of ones beside vectors": (lambda x: F.pad(x, (1, 1, 0, 2), value=1.0)[:, 1:4][4], sp(4, O(3)), O3),
    "pads that take away": (lambda x: F.pad(x, (-1, 1)), sp(S(4)), sp(S(4))),
    "pads around a cycle": (lambda x: F.conv1d(F.pad(x, (1, 1))[None, None], ar(3.0)[None, None])[0, 0], Z5, Z5),
    "a transposed convolution along a cycle": (lambda x: F.conv_transpose1d(x[None, None], torch.ones(1, 1, 2))[0, 0, :5], Z5, Z5),
    "a transposed convolution of channels": (lambda x: F.conv_transpose1d(x, KERNEL), sp(S(4), 5), R(2, 6)),
    "a transposed convolution of vectors with a bias": (
        lambda x: F.conv_transpose1d(x, KERNEL, torch.ones(2)),
        sp(O(3), 4, 5),
        sp(O(3), 2, 6),
    ),
    "pads beside translated numbers": (lambda x: F.pad(x, (1, 0))[1:] * 2, sp(T3), sp(T3)),
}

ALL = {
    f"{table}: {name}": claim
    for table, rows in (
        ("broken", BROKEN),
        ("translations", TRANSLATIONS),
        ("graphs", GRAPHS),
        ("vectors", VECTORS),
        ("others", OTHERS),
        ("unions", UNIONS),
        ("in order", IN_ORDER),
        ("orders", ORDERS),
        ("small", SMALL),
    )
    for name, claim in rows.items()
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ALL)
def test_a_false_claim_is_not_proved(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    f, dom, cod = ALL[name]
    if "noties" not in name:
        monkeypatch.setattr(prove, "refutation", lambda *_, **__: Outcome(None, 0))
        monkeypatch.setattr(prove, "surviving", lambda *_: ())
    with torch.no_grad():
        assert differs(f, dom, cod), "this claim is true"
    try:
        verdict = cl.verify.equivariant(f, dom=dom, cod=cod).verdict
    except CatlearnError:
        return
    assert verdict != "proved"


X5, VEC = Factor("X", 5, "S(5)"), Factor("V", 4, "Sp(4)")
FORGED: dict[str, tuple[Callable[..., Any], tuple[torch.Tensor, ...], Claim]] = {
    "positions on vectors": (
        lambda x, i: x[i],
        (torch.ones(4), ar(4)),
        Claim((Type(((VEC,),)), Type((plain(4),), points=(VEC,))), (Type((plain(4),)),), {}),
    ),
    "a determinant twice": (
        lambda x, y: x * torch.linalg.det(y),
        (torch.ones(()), torch.eye(3)),
        Claim((Type((), sign=("O(3)", "O(3)")), Type(((Factor("V", 3, "O(3)"),), plain(3)))), (Type(()),), {}),
    ),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_claim_is_not_accepted(name: str) -> None:
    f, inputs, claim = FORGED[name]
    program = exported(trace(f, inputs), [tuple(x.shape) for x in inputs]).program
    proof = Search(program, claim.dom, claim.cod).run()
    assert isinstance(proof, Proof)  # the rules alone do not see it
    assert not cl.verify.check(encode(proof), f)


def test_a_forged_claim_about_a_union_of_sets_is_accepted() -> None:
    union = (Factor("+", 6, parts=((X5,), plain(1))),)
    program = exported(trace(torch.relu, (torch.ones(6),)), [(6,)]).program
    proof = Search(program, (Type((union,)),), (Type((union,)),)).run()
    assert isinstance(proof, Proof) and cl.verify.check(encode(proof), torch.relu)


PAIRS: dict[str, tuple[Callable[..., Any], Callable[..., Any], cl.Space, cl.Space]] = {
    "rounded first": (lambda x: x.cumsum(0), lambda x: x.cumsum(0, dtype=torch.int64), sp(4, O(3)), sp(4, O(3))),
    "another fixed tensor": (
        Const(lambda s, x, y: x @ s.j @ y, j=J.float()),
        Const(lambda s, x, y: x @ s.j @ y, j=J.abs().float()),
        P4 @ P4,
        R(),
    ),
    "another number": (lambda x: 2 * x - x, lambda x: 2.5 * x - x, PT, PT),
    "another axis": (lambda x: x.softmax(0), lambda x: x.softmax(1), sp(S(5), S(5, name="b")), sp(S(5), S(5, name="b"))),
    "another mode": (nn.BatchNorm1d(4).eval(), nn.BatchNorm1d(4), sp(7, 4), sp(7, 4)),
    "outputs exchanged": (lambda x: (x, x * 2), lambda x: (x * 2, x), V, V @ V),
    "a relation of sizes": (lambda x, y: x, BROKEN["sq"][0], N @ sp(m, 3), N),
    "what is exported": (lambda x: x, exporting, N, N),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_certificate_is_not_one_of_a_network_that_looks_alike(name: str) -> None:
    f, g, dom, cod = PAIRS[name]
    report = cl.verify.equivariant(f, dom=dom, cod=cod)
    assert report.certificate is not None and cl.verify.check(report.certificate, f)
    assert not cl.verify.check(report.certificate, g)


def test_a_true_claim_beside_them_is_proved() -> None:
    for f, dom, cod in ((lambda x: x - x.mean(0), N, N), (lambda x, y: (x * y).sum(), O3 @ O3, R())):
        assert cl.verify.equivariant(f, dom=dom, cod=cod)
