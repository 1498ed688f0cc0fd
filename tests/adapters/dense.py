"""Every method a second time, as plain dense torch: what the sheets say, in loops and with written-out matrices, by nobody's planner.

``DENSE[name](a, W, p)`` is W' for the adapter a, the weight W (o, i) and its tensors p by name (shared ones as ``shared.x``).
"""

import math

import torch

from catlearn import adapters as ad

DENSE = {}


def dense(*kinds):
    def register(function):
        for kind in kinds:
            DENSE[kind.__name__] = function
        return function

    return register


def s(a):
    return 1 if a.alpha is None else a.alpha / a.rank


def diag(v):
    return torch.diag(v)


def rows_to_one(M):
    return M / M.norm(dim=1, keepdim=True).detach()


@dense(ad.LoRA, ad.AsymmetricLoRA, ad.EVA, ad.DropLoRA)
def lora(a, W, p):
    return W + s(a) * p["B"] @ p["A"]


@dense(ad.RsLoRA)
def rs(a, W, p):
    return W + (math.sqrt(a.rank) if a.alpha is None else a.alpha / math.sqrt(a.rank)) * p["B"] @ p["A"]


@dense(ad.PiSSA, ad.OLoRA, ad.LoRAGA)
def split(a, W, p):
    return (W - s(a) * p["B0"] @ p["A0"]) + s(a) * p["B"] @ p["A"]


@dense(ad.SingLoRA)
def sing(a, W, p):
    o, i = W.shape
    A, m = p["A"].t(), min(W.shape)
    u = min(max(float(p["step"]) - 1, 0) / a.ramp, 1.0)
    D = A[:m] @ A.t()
    return W + s(a) * u * (D if o <= i else D.t())


@dense(ad.BiLoRA)
def bilora(a, W, p):
    return W + s(a) * p["P"] @ diag(p["v"].softmax(0)) @ p["Q"]


@dense(ad.AdaLoRA)
def adalora(a, W, p):
    return W + s(a) * p["B"] @ diag(p["E"]) @ p["A"]


@dense(ad.Hydra)
def hydra(a, W, p):
    return W + s(a) * (p["B_p"] @ p["A_p"] + p["B_s"] @ p["A_s"] @ W)


@dense(ad.PEGO)
def pego(a, W, p):
    return W + s(a) * sum(p[f"B_{n}"] @ p[f"A_{n}"] for n in range(a.group))


@dense(ad.HRA)
def hra(a, W, p):
    i = W.shape[1]
    H = torch.eye(i, dtype=W.dtype)
    if a.orthonormal:
        found = []
        for u in p["u"]:
            for q in found:
                u = u - (u @ q) * q
            found.append(u / u.norm())
        for q in found:
            H = H @ (torch.eye(i, dtype=W.dtype) - 2 * torch.outer(q, q))
        return W @ H
    for u in p["u"]:
        H = H @ (torch.eye(i, dtype=W.dtype) - 2 * torch.outer(u, u) / (u @ u))
    return W @ H


def skew(v, n):
    Q = torch.zeros(n, n, dtype=v.dtype)
    k = 0
    for a in range(n):
        for b in range(a + 1, n):
            E = torch.zeros(n, n, dtype=v.dtype)
            E[a, b], E[b, a] = 1, -1
            Q, k = Q + v[k] * E, k + 1
    return Q


def cayley(v, n):
    one = torch.eye(n, dtype=v.dtype)
    return (one - skew(v, n)) @ torch.linalg.inv(one + skew(v, n))


@dense(ad.OFT)
def oft(a, W, p):
    n = W.shape[1] // a.block
    R = torch.block_diag(*(cayley(p["Q"][0 if a.share else k], a.block) for k in range(n)))
    return W @ R.t()


@dense(ad.BOFT)
def boft(a, W, p):
    n, i = W.shape[1] // a.block, W.shape[1]
    B = torch.eye(i, dtype=W.dtype)
    for k in range(a.factors):
        R = torch.block_diag(*(cayley(q, a.block) for q in p["Q"][k]))
        P = torch.eye(i, dtype=W.dtype)[butterfly(i, a.block, k)]
        assert n * a.block == i
        B = B @ (P.t() @ R.t() @ P)
    return diag(p["s"]) @ W @ B


def butterfly(n, b, k):
    """peft's block_butterfly_perm, by its rule: chunks of b·2^k, halves of b/2, first halves of the pairs and then the second ones."""
    if k == 0:
        return list(range(n))
    step = b // 2 * 2 ** (k - 1) * 2
    order = []
    for first in range(0, n, 2 * step):
        pieces = [list(range(first + c, first + c + b // 2)) for c in range(0, 2 * step, b // 2)]
        half = len(pieces) // 2
        for q in range(half):
            order += pieces[q] + pieces[q + half]
    return order


@dense(ad.PSOFT)
def psoft(a, W, p):
    r = a.rank
    one = torch.eye(r, dtype=W.dtype)
    R = (one + skew(p["Q"], r)) @ torch.linalg.inv(one - skew(p["Q"], r))
    if a.scales:
        R = diag(p["beta"]) @ R @ diag(p["alpha"])
    return W + p["B"] @ (R - one) @ p["A"]


def road_turn(a, o, p):
    half = a.group // 2
    R = torch.zeros(o, o, dtype=p["theta"].dtype)
    for g in range(o // a.group):
        for k in range(half):
            x, y = g * a.group + k, g * a.group + half + k
            if a.variant == 1:
                t = [g * half + k] * 4
            elif a.variant == 2:
                t = [x, x, y, y]
            else:
                base = 2 * g * a.group
                t = [base + k, base + a.group + k, base + half + k, base + a.group + half + k]
            angle, gain = p["theta"], p["alpha"]
            for row, column, value in ((x, x, gain[t[0]] * angle[t[0]].cos()), (x, y, -gain[t[1]] * angle[t[1]].sin()),
                                       (y, y, gain[t[2]] * angle[t[2]].cos()), (y, x, gain[t[3]] * angle[t[3]].sin())):  # fmt: skip
                E = torch.zeros_like(R)
                E[row, column] = 1
                R = R + value * E
    return R


@dense(ad.RoAd)
def road(a, W, p):
    return road_turn(a, W.shape[0], p) @ W


@dense(ad.DoRA)
def dora(a, W, p):
    return p["m"][:, None] * rows_to_one(W + s(a) * p["B"] @ p["A"])


@dense(ad.BoRA)
def bora(a, W, p):
    H = p["m_r"][:, None] * rows_to_one(W + s(a) * p["B"] @ p["A"])
    return rows_to_one(H.t()).t() * p["m_c"]


@dense(ad.EDoRA)
def edora(a, W, p):
    return p["m"][:, None] * rows_to_one(W + s(a) * p["B"] @ p["R"] @ p["A"])


@dense(ad.DeLoRA)
def delora(a, W, p):
    def branch(A, B):
        return sum(p["strength"] / a.rank * torch.outer(B[:, k], A[k]) / (B[:, k].norm() * A[k].norm()) for k in range(a.rank)) * p["w"]

    return W + branch(p["A"], p["B"]) - (branch(p["A0"], p["B0"]) if a.frozen_copy else 0)


@dense(ad.VeRA)
def vera(a, W, p):
    o, i = W.shape
    return W + diag(p["b"]) @ p["shared.B"][:o] @ diag(p["d"]) @ p["shared.A"][:, :i]


@dense(ad.RandLoRA)
def randlora(a, W, p):
    m, M = min(W.shape), max(W.shape)
    A, B = p["shared.A"][:, :m], p["shared.B"][:M]
    D = sum(B[:, n] @ diag(p["lambda"][n]) @ A @ diag(p["gamma"][n]) for n in range(len(p["lambda"])))
    return W + a.alpha / a.rank * (D if W.shape[1] <= W.shape[0] else D.t())


@dense(ad.IA3)
def ia3(a, W, p):
    return diag(p["l"]) @ W if a.side == "out" else W @ diag(p["l"])


@dense(ad.LoHa)
def loha(a, W, p):
    return W + s(a) * (p["B_1"] @ p["A_1"]) * (p["B_2"] @ p["A_2"])


@dense(ad.HiRA)
def hira(a, W, p):
    return W * (1 + s(a) * p["B"] @ p["A"])


@dense(ad.LoKr)
def lokr(a, W, p):
    return W + s(a) * torch.kron(p["w1"], p["w2"] if "w2" in p else p["w2_a"] @ p["w2_b"])


@dense(ad.SoKA)
def soka(a, W, p):
    return W + sum(torch.kron(p[f"A_{k}"], p[f"B_{k}"]) - torch.kron(p[f"A0_{k}"], p[f"B0_{k}"]) for k in range(a.rank))


@dense(ad.FourierFT)
def fourierft(a, W, p):
    o, i = W.shape
    places = torch.randperm(o * i, generator=torch.Generator().manual_seed(a.seed))[: a.n]
    F = torch.zeros(o * i, dtype=W.dtype).index_put((places,), p["c"]).reshape(o, i)
    return W + a.alpha * torch.fft.ifft2(F).real


@dense(ad.C3A)
def c3a(a, W, p):
    b, (P, Q) = a.block, p["kernel"].shape[:2]
    grid = [[torch.stack([torch.roll(p["kernel"][x, y], n) for n in range(b)]) for y in range(Q)] for x in range(P)]
    return W + torch.cat([torch.cat(row, 1) for row in grid]) / W.shape[1]


@dense(ad.GraLoRA)
def gralora(a, W, p):
    (_o, _i), k, r = W.shape, a.k, a.rank
    scale = 1 if a.alpha is None else a.alpha / (r + a.hybrid)
    grid = []
    for x in range(k):
        row = []
        for y in range(k):
            A, B = p["A"][y][x * r // k : (x + 1) * r // k], p["B"][x][:, y * r // k : (y + 1) * r // k]
            row.append(B @ A)
        grid.append(torch.cat(row, 1))
    general = p["B_general"] @ p["A_general"] if a.hybrid else 0
    return W + scale * (torch.cat(grid) + general)


@dense(ad.MiSS)
def miss(a, W, p):
    o, i = W.shape
    D = p["D"].repeat(o // a.mini, 1) if a.mini else p["D"]
    return W + D.repeat(1, i // a.rank)


@dense(ad.Bone)
def bone(a, W, p):
    (o, i), r = W.shape, a.rank
    one = torch.eye(r, dtype=W.dtype)
    grid = []
    for x in range(o // r):
        row = []
        for y in range(i // r):
            block = W[x * r : (x + 1) * r, y * r : (y + 1) * r]
            row.append(block + (block + one) @ p["D"][x])
        grid.append(torch.cat(row, 1))
    return torch.cat(grid)


def top(W, r):
    U, sigma, Vh = torch.linalg.svd(W, full_matrices=False)
    return U[:, :r], sigma[:r], Vh[:r]


@dense(ad.LoRAXS)
def loraxs(a, W, p):
    return W + s(a) * p["B"] @ p["R"] @ p["A"]


@dense(ad.PMSS)
def pmss(a, W, p):
    return W + s(a) * p["C"] @ p["M"] @ p["R"]


@dense(ad.NoRA)
def nora(a, W, p):
    return W + s(a) * p["B"] @ p["B_i"] @ p["A_i"] @ p["A"]


@dense(ad.SVFit)
def svfit(a, W, p):
    U, sigma, Vh = torch.linalg.svd(W, full_matrices=False)
    return U @ diag(torch.cat([p["z"], sigma[a.rank :]])) @ Vh


@dense(ad.VectorFit)
def vectorfit(a, W, p):
    U, sigma, Vh = torch.linalg.svd(W, full_matrices=False)
    return U @ diag(sigma + p["delta"]) @ Vh


@dense(ad.SVFT)
def svft(a, W, p):
    U, sigma, Vh = torch.linalg.svd(W, full_matrices=False)
    rows, columns = a.places(len(sigma))
    M = torch.zeros(len(sigma), len(sigma), dtype=W.dtype).index_put((torch.tensor(rows), torch.tensor(columns)), p["M"])
    return U @ (diag(sigma) + M) @ Vh


@dense(ad.SALT)
def salt(a, W, p):
    U, sigma, Vh = torch.linalg.svd(W, full_matrices=False)
    k = a.top
    C = torch.block_diag(diag(p["a"] * sigma[:k] + p["c"]), diag(sigma[k:]) + p["X"] @ p["Y"])
    return U @ C.relu() @ Vh


@dense(ad.LoLDU)
def loldu(a, W, p):
    P, L, U = torch.linalg.lu(W)
    d, r = U.diagonal(), a.rank
    return W + s(a) * P @ L[:, :r] @ diag(p["z"] - d[:r]) @ (U[:r] / d[:r, None])


@dense(ad.SpectralAdapter)
def spectral(a, W, p):
    U, sigma, Vh = torch.linalg.svd(W, full_matrices=False)
    k = slice(a.offset, a.offset + a.rank)
    U, S, V = U[:, k], diag(sigma[k]), Vh[k]
    return (U + p["A_U"]) @ S @ (V + p["A_V"]) + (W - U @ S @ V)


@dense(ad.SpectralRotation)
def rotation(a, W, p):
    U, sigma, Vh = torch.linalg.svd(W, full_matrices=False)
    k = slice(a.offset, a.offset + a.rank)
    U, V, one = U[:, k], Vh[k].t(), torch.eye(a.rank, dtype=W.dtype)
    R = {}
    for x in ("U", "V"):
        Q = (p[f"X_{x}"] - p[f"X_{x}"].t()) / 2
        R[x] = (one - Q) @ torch.linalg.inv(one + Q)
    return U @ R["U"] @ diag(sigma[k] * p["c"]) @ (V @ R["V"]).t() + (W - U @ diag(sigma[k]) @ V.t())


@dense(ad.SpectralFT)
def spectralft(a, W, p):
    U, sigma, V = top(W, a.top)
    return (U + p["P_U"] @ p["Q_U"]) @ diag(sigma) @ (V + p["Q_V"] @ p["P_V"]) + (W - U @ diag(sigma) @ V)


@dense(ad.EigenLoRAx)
def eigen(a, W, p):
    return W + s(a) * p["V_B"] @ p["L_B"] @ p["L_A"] @ p["V_A"]


@dense(ad.FLoRA)
def flora(a, W, p):
    letters = "abcdefg"[: W.dim()]
    terms = ",".join(c.upper() + c for c in letters[1:])
    found = torch.einsum(f"{letters.upper()},aA,{terms}->{letters}", p["G"], p["U_0"], *(p[f"U_{k}"] for k in range(1, W.dim())))
    return W + a.s * found


@dense(ad.CPLoRA)
def cp(a, W, p):
    letters = "abcdefg"[: W.dim()]
    return W + a.s * torch.einsum(f"aq,{','.join('q' + c for c in letters[1:])}->{letters}", *(p[f"F_{k}"] for k in range(W.dim())))


@dense(ad.ConvLoRA)
def convlora(a, W, p):
    return W + s(a) * (p["B"] @ p["A"]).reshape(W.shape)


@dense(ad.TLoRA)
def tlora(a, W, p):
    o, i = W.shape

    def digits(n, sizes):  # little-endian
        found = []
        for size in sizes:
            found.append(n % size)
            n //= size
        return found

    def trace(cores):
        M = cores[0]
        for c in cores[1:]:
            M = M @ c
        return M.trace()

    n, m = a.inputs, a.outputs

    def turned(k, l):
        return trace([p[f"A_{d}"][x, y] for d, (x, y) in enumerate(zip(digits(k, n), digits(l, n), strict=True), 1)])

    def added(k, l):
        left = [p[f"B_{d}"][x] for d, x in enumerate(digits(k, m), 1)]
        return trace(left + [p[f"C_{d}"][y] for d, y in enumerate(digits(l, n), 1)])

    T = torch.stack([torch.stack([turned(k, l) for l in range(i)]) for k in range(i)])
    return W @ T + torch.stack([torch.stack([added(k, l) for l in range(i)]) for k in range(o)])


@dense(ad.VBLoRA)
def vblora(a, W, p):
    def vector(logits):
        best, index = logits.topk(a.top)
        w = best.softmax(0)
        return sum(w[k] * p["shared.bank"][index[k]] for k in range(a.top))

    A = torch.stack([torch.cat([vector(x) for x in row]) for row in p["logits_A"]])
    B = torch.cat([torch.stack([vector(x) for x in row], 1) for row in p["logits_B"]])
    return W + s(a) * B @ A


@dense(ad.MoS)
def mos(a, W, p):
    def rows(pool, index):
        found, per = pool[index.long()], len(index) // a.shards
        return torch.stack([torch.cat([found[k * a.shards + c] for c in range(a.shards)]) for k in range(per)])

    return W + s(a) * rows(p["shared.P_B"], p["index_B"]).t() @ rows(p["shared.P_A"], p["index_A"])


@dense(ad.MSPLoRA)
def msp(a, W, p):
    found = W
    for m, r in enumerate(a.ranks()):
        last, third = m == a.levels - 1, int(p["third"]) if m else 0
        A, B = (p["A"], p["B"]) if last else (p[f"shared.A_{m}"][third], p[f"shared.B_{m}"][third])
        found = found + (1 if a.alpha is None else a.alpha / r) * B @ A
    return found


@dense(ad.SHiRA)
def shira(a, W, p):
    o, i = W.shape
    if a.mask != "random":
        change = torch.zeros_like(W)
        for k, (j, m) in enumerate(p["index"].t().tolist()):
            E = torch.zeros_like(W)
            E[j, m] = 1
            change = change + p["v"][k] * E
        return W + a.s * change
    places = torch.randperm(o * i, generator=torch.Generator().manual_seed(a.seed))[: a.rank * (o + i)].sort().values
    return W + a.s * torch.zeros(o * i, dtype=W.dtype).index_put((places,), p["v"]).reshape(o, i)


def distances(a, p, o, i):
    return 0.1 * torch.stack([torch.stack([(p["Q"][0, j] - p["P"][0, k]).norm() - (p["Q"][1, j] - p["P"][1, k]).norm() for k in range(i)])
                              for j in range(o)])  # fmt: skip


def largest(D, share, mode):
    order = D.abs().flatten().sort().values
    tau = order[max(0, round(share * D.numel()) - 1)].detach() if share else torch.tensor(-1.0)
    keep = (D.abs() > tau).to(D.dtype)
    return {"hard": D * keep, "soft": D.sign() * (D.abs() - tau) * keep, "weighted": D * D.abs().detach() * keep}[mode]


@dense(ad.SNELL)
def snell(a, W, p):
    return W + largest(distances(a, p, *W.shape), a.share, a.mode)


@dense(ad.SNELLA)
def snella(a, W, p):
    D = distances(a, p, *W.shape)
    return W + largest(D + p["a"] * (D / p["gamma"]).softmax(0) + p["beta"], a.share, a.mode)


def gates(p):
    w = p["logits"][int(p["task"])].sigmoid()
    return w / w.sum(-1, keepdim=True)


@dense(ad.MHR)
def mhr(a, W, p):
    w, h = gates(p), a.heads
    if a.mix == "products":
        return W + sum(w[0, k] * (p["A"][0, k] @ p["B"][0, k]).t() for k in range(a.skills)) / a.rank
    A = torch.cat([sum(w[q, k] * p["A"][q, k] for k in range(a.skills)) for q in range(h)])  # (i, r)
    B = torch.cat([sum(w[q, k] * p["B"][q, k] for k in range(a.skills)) for q in range(h)], 1)  # (r, o)
    return W + (A @ B).t() / a.rank


@dense(ad.CPoly)
def cpoly(a, W, p):
    w, t = gates(p), int(p["task"])
    D = sum(w[k] * p["B"][k] @ p["A"][k] for k in range(a.skills)) + p["v"][t] * p["B_own"][t] @ p["A_own"][t]
    return W + s(a) * D


@dense(ad.LoReFT)
def loreft(a, W, p):
    found = []
    for v in p["V"]:
        for q in found:
            v = v - (v @ q) * q
        found.append(v / v.norm())
    R = torch.stack(found)
    return W + R.t() @ (p["W_r"] - R) @ W


BIAS = {
    "Hydra": lambda a, W, b, p: b + s(a) * (p["B_p"] @ p["a_p"] + p["b_p"]) + s(a) * (p["B_s"] @ (p["A_s"] @ b + p["a_s"]) + p["b_s"]),
    "VectorFit": lambda a, W, b, p: b + p["beta"],
    "IA3": lambda a, W, b, p: p["l"] * b if a.side == "out" else b,
    "RoAd": lambda a, W, b, p: road_turn(a, len(b), p) @ b,
    "LoReFT": lambda a, W, b, p: loreft_bias(p, b),
}


def loreft_bias(p, b):
    R = torch.linalg.qr(p["V"].t())[0].t()
    R = R * (R * p["V"]).sum(1, keepdim=True).sign()
    return b + R.t() @ (p["W_r"] @ b + p["b_r"] - R @ b)
