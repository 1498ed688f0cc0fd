"""Numbers and facts of the method sheets: what a method must give, whatever its formula looks like in code."""

import math

import pytest
import torch
from torch import nn

import catlearn as cl
from catlearn import adapters as ad
from tests.adapters.cases import CASES
from tests.adapters.test_laws import adapted, scatter


def change(adapter, o, i, seed=0, data=None):
    """W, W' and the cell of a layer with random trained numbers, in double precision."""
    torch.manual_seed(seed)
    layer = cl.adapt(nn.Linear(i, o).double(), adapter, data=data)
    scatter(layer)
    W = layer._parameters["weight"].detach()
    return W, layer.adapters["weight"].effective(W).detach(), layer.adapters["weight"]["default"]


def rank(M):
    return int(torch.linalg.matrix_rank(M, atol=1e-9))


SQUARE = [  # counts for 768 × 768
    (ad.LoRA(8), 12_288), (ad.AsymmetricLoRA(8), 6_144), (ad.SingLoRA(8), 6_144), (ad.BoRA(8), 13_824), (ad.HRA(8), 6_144),
    (ad.FLoRA(8), 12_352), (ad.Hydra(8), 24_576 + 16 + 1_536), (ad.PEGO(4, group=4), 24_576), (ad.SALT(384, 8), 6_912),
    (ad.PMSS(64), 4_096),
    (ad.NoRA(64, inner=8), 1_024), (ad.EDoRA(8), 832), (ad.SpectralRotation(8), 136), (ad.VectorFit(), 1_536), (ad.RandLoRA(32), 19_200),
    (ad.PSOFT(32), 560), (ad.Bone(64), 49_152), (ad.C3A(64), 9_216), (ad.C3A(768), 768),
    (ad.MHR(8, skills=4, heads=8, tasks=1), 49_184), (ad.TLoRA((8, 8, 12), (8, 8, 12), 2), 1_088 + 224),
]  # fmt: skip
OTHER = [
    (ad.RandLoRA(32), 4096, 1024, 33_792), (ad.SVFT("banded", 1), 4, 4, 10), (ad.SVFT("banded", 2), 8, 8, 34),
    (ad.SpectralFT(256, 16), 1024, 1024, 40_960), (ad.CPLoRA(4), 64, (32, 3, 3), 408), (ad.ConvLoRA(2), 4, (3, 3, 3), 126),
]  # fmt: skip
COUNTS = [(a, 768, 768, n) for a, n in SQUARE] + OTHER


@pytest.mark.parametrize("adapter, o, i, count", COUNTS, ids=[type(row[0]).__name__ for row in COUNTS])
def test_the_sheet_s_counts(adapter, o, i, count):
    assert adapter.trainable(o, i) == count


def test_counts_over_many_layers():
    assert 32 * ad.LoReFT(8).trainable(4096, 4096) == 2_097_408
    llama = [(4096, 4096)] * 4 + [(11008, 4096)] * 2 + [(4096, 11008)]
    assert 32 * sum(ad.VeRA(256).trainable(o, i) for o, i in llama) == 1_417_216
    assert sum(ad.MoS(2, budget=1, shards=1).trainable(o, i, layers=32) for o, i in llama) == 2_498_560
    assert 2 * 12 * ad.VeRA(1024).trainable(768, 768) == 43_008
    assert ad.MSPLoRA(8, levels=3).trainable(64, 32, layers=32) == 84 * 96


def test_orthogonal_methods_are_orthogonal_and_keep_lengths_and_angles():
    for adapter in (ad.HRA(4), ad.HRA(4, orthonormal=True), ad.OFT(4), ad.PSOFT(4, scales=False)):
        W, new, _ = change(adapter, 6, 8)
        assert torch.allclose(new @ new.t(), W @ W.t(), atol=1e-9) and not torch.allclose(new, W)
    W, new, cell = change(ad.BOFT(2, 3), 6, 8)
    turned = new / cell.s[:, None]
    assert torch.allclose(turned @ turned.t(), W @ W.t(), atol=1e-9)
    W, new, _ = change(ad.LoRA(2), 6, 8)  # the mutant: an additive change keeps none of this
    assert not torch.allclose(new @ new.t(), W @ W.t(), atol=1e-3)


def test_householder_products_have_the_sheet_s_determinant_and_rank():
    for orthonormal in (False, True):
        W, new, _ = change(ad.HRA(4, orthonormal=orthonormal), 8, 8)
        H = torch.linalg.solve(W, new)
        assert torch.allclose(H @ H.t(), torch.eye(8).double(), atol=1e-8)
        assert abs(float(torch.linalg.det(H)) - 1) < 1e-8 and rank(H - torch.eye(8)) == 4


def test_a_strict_rotation_of_odd_size_loses_one_rank():
    for r in (2, 3, 4, 5):
        W, new, _ = change(ad.PSOFT(r, scales=False), 8, 8)
        assert rank(new - W) == r - r % 2 == ad.PSOFT(r, scales=False).rank_bound(8, 8)


def test_sing_lora_ramps_up_counts_steps_and_is_symmetric_for_square_layers():
    layer = cl.adapt(nn.Linear(6, 6).double(), ad.SingLoRA(2, ramp=4)).train()
    slot, W = layer.adapters["weight"], layer.weight.detach()
    seen = []
    for _ in range(6):
        seen.append((layer(torch.eye(6).double()) - layer.bias).t().detach() - W)
    full = seen[-1]
    for t, D in enumerate(seen):
        assert torch.allclose(D, min(t / 4, 1) * full, atol=1e-10)
    assert torch.allclose(full, full.t()) and torch.linalg.eigvalsh(full).min() > -1e-10
    assert int(slot["default"].step) == 6
    layer.eval()(torch.ones(1, 6).double())
    assert int(slot["default"].step) == 6


def test_fourier_ft_of_the_sheet():
    for place, want in ((2, [[0.25, 0.25], [-0.25, -0.25]]), (0, [[0.25, 0.25], [0.25, 0.25]])):
        seed = next(s for s in range(100) if int(torch.randperm(4, generator=torch.Generator().manual_seed(s))[0]) == place)
        layer = cl.adapt(nn.Linear(2, 2).double(), ad.FourierFT(1, alpha=1.0, seed=seed))
        with torch.no_grad():
            layer.weight.zero_()
            layer.adapters["weight"]["default"].c.fill_(1)
        assert torch.allclose(layer.adapters["weight"].effective(layer.weight), torch.tensor(want).double(), atol=1e-12)


def test_c3a_takes_first_rows_and_a_constant_kernel_has_rank_one():
    layer = cl.adapt(nn.Linear(4, 4, bias=False).double(), ad.C3A(4))
    with torch.no_grad():
        layer.weight.zero_()
        layer.adapters["weight"]["default"].kernel.copy_(torch.tensor([1.0, 2, 3, 4]))
    D = 4 * layer.adapters["weight"].effective(layer.weight)
    assert torch.allclose(D[0], torch.tensor([1.0, 2, 3, 4]).double()) and torch.allclose(D[1], torch.tensor([4.0, 1, 2, 3]).double())
    with torch.no_grad():
        layer.adapters["weight"]["default"].kernel.fill_(1)
    assert rank(layer.adapters["weight"].effective(layer.weight)) == 1


def test_pissa_and_its_kin_start_with_the_top_of_w():
    torch.manual_seed(0)
    layer = cl.adapt(nn.Linear(8, 6).double(), ad.PiSSA(2, alpha=4))
    cell, W = layer.adapters["weight"]["default"], layer.weight.detach()
    U, sigma, Vh = torch.linalg.svd(W)
    assert torch.allclose(2 * cell.B @ cell.A, U[:, :2] @ torch.diag(sigma[:2]) @ Vh[:2], atol=1e-10)
    layer = cl.adapt(nn.Linear(8, 6).double(), ad.OLoRA(3))
    cell = layer.adapters["weight"]["default"]
    assert torch.allclose(cell.B.t() @ cell.B, torch.eye(3).double(), atol=1e-10)


def test_lora_ga_moves_along_the_best_part_of_the_gradient_of_rank_2r():
    torch.manual_seed(0)
    G = torch.randn(10, 8, dtype=torch.float64)
    layer = cl.adapt(nn.Linear(8, 10).double(), ad.LoRAGA(2), data={"": G})
    cell = layer.adapters["weight"]["default"]
    U, sigma, Vh = torch.linalg.svd(G, full_matrices=False)
    best = U[:, :4] @ torch.diag(sigma[:4]) @ Vh[:4]
    kappa = 10**0.25 / 4
    got = cell.B @ cell.B.t() @ G + G @ cell.A.t() @ cell.A
    assert torch.allclose(got, kappa**2 * best, atol=1e-10)
    same_side = kappa**2 * (U[:, :2] @ U[:, :2].t() @ G + G @ cell.A.t() @ cell.A)  # the mutant: both factors on the first r
    assert not torch.allclose(same_side, kappa**2 * best, atol=1e-3)


def test_eva_starts_at_the_inputs_main_directions_and_moves_ranks():
    torch.manual_seed(0)
    X = torch.randn(200, 8, dtype=torch.float64) * torch.tensor([9, 5, 1, 1, 1, 1, 1, 1])
    layer = cl.adapt(nn.Linear(8, 6).double(), ad.EVA(2), data={"": X})
    A = layer.adapters["weight"]["default"].A
    assert torch.allclose(A @ A.t(), torch.eye(2).double(), atol=1e-10) and A[0, 0].abs() > 0.99 and A[1, 1].abs() > 0.99
    assert ad.eva_ranks({"a": (0.6, 0.3, 0.1), "b": (0.9, 0.05, 0.05), "c": (0.4, 0.35, 0.25)}, 2) == {"a": 2, "b": 1, "c": 3}


def test_asymmetric_lora_takes_rows_of_vh_and_not_columns():
    torch.manual_seed(0)
    layer = cl.adapt(nn.Linear(8, 6).double(), ad.AsymmetricLoRA(2, rows="V"))
    A, Vh = layer.adapters["weight"]["default"].A, torch.linalg.svd(layer.weight.detach())[2]
    assert torch.allclose(A @ Vh[2:].t(), torch.zeros(2, 6).double(), atol=1e-10)
    assert not torch.allclose(Vh[:, :2].t() @ Vh[2:].t(), torch.zeros(2, 6).double(), atol=1e-3)


def test_delora_is_bounded_and_does_not_change_with_the_length_of_a_component():
    W, new, cell = change(ad.DeLoRA(3, strength=2.0), 6, 8)
    strength = float(cell.strength)
    assert (new - W).norm() <= abs(strength) * W.norm(dim=0).max() + 1e-9
    with torch.no_grad():
        cell.B[:, 1] *= 5
    layer_change = cell.value("d", lambda: W) * cell.B.norm(dim=0) * cell.A.norm(dim=1)
    assert torch.allclose(layer_change, torch.full((3,), strength / 3, dtype=torch.float64), atol=1e-9)


def test_svft_moves_no_singular_value_by_more_than_the_norm_of_m():
    W, new, cell = change(ad.SVFT("banded", 1), 6, 8)
    rows, columns = cell.adapter.places(6)
    M = torch.zeros(6, 6).double().index_put((torch.tensor(rows), torch.tensor(columns)), cell.M.detach())
    assert (torch.linalg.svdvals(new) - torch.linalg.svdvals(W)).abs().max() <= torch.linalg.matrix_norm(M, 2) + 1e-9


def test_spectral_adapters_with_other_offsets_commute_and_rotations_keep_singular_values():
    torch.manual_seed(0)
    layer = nn.Linear(8, 8).double()
    for k, name in enumerate("ab"):
        cl.adapt(layer, ad.SpectralRotation(2, offset=2 * k), name=name)
    for name in "ab":
        with torch.no_grad():
            nn.init.normal_(layer.adapters["weight"][name].X_U)
            nn.init.normal_(layer.adapters["weight"][name].X_V)
    W = layer._parameters["weight"]
    one = ad.activate(layer, ["a", "b"]).adapters["weight"].effective(W)
    two = ad.activate(layer, ["b", "a"]).adapters["weight"].effective(W)
    assert torch.allclose(one, two, atol=1e-10)
    assert torch.allclose(torch.linalg.svdvals(one), torch.linalg.svdvals(W), atol=1e-9)


def test_soka_s_rearrangement_finds_kronecker_terms():
    torch.manual_seed(0)
    M = sum(torch.kron(torch.randn(2, 3).double(), torch.randn(4, 5).double()) for _ in range(2))
    rows = ad.products.kronecker_rows(M, 2, 4, 3, 5)
    assert rank(rows) == 2 and rank(M) > 2 and torch.linalg.svdvals(rows)[2:].max() < 1e-6


def test_pmss_reaches_w_itself_when_its_rank_is_small():
    torch.manual_seed(0)
    layer = nn.Linear(8, 6, bias=False).double()
    with torch.no_grad():
        layer.weight.copy_(torch.randn(6, 3) @ torch.randn(3, 8))
    W = layer.weight.detach().clone()
    cl.adapt(layer, ad.PMSS(3))
    cell = layer.adapters["weight"]["default"]
    with torch.no_grad():
        cell.M.copy_(torch.linalg.pinv(cell.C) @ W @ torch.linalg.pinv(cell.R))
    assert torch.allclose(layer.adapters["weight"].effective(W), 2 * W, atol=1e-8)


def test_gralora_with_one_block_is_lora_and_more_blocks_have_more_rank():
    assert [ad.GraLoRA(8, k=k).rank_bound(64, 64) for k in (1, 2, 4)] == [8, 16, 32]
    W, new, _ = change(ad.GraLoRA(8, k=4), 64, 64)
    assert rank(new - W) == 32
    layer = nn.Linear(6, 4).double()
    x = torch.randn(3, 6).double()
    cl.adapt(layer, ad.GraLoRA(2, k=1), name="one")
    scatter(layer)
    cell = layer.adapters["weight"]["one"]
    assert torch.allclose(layer(x), x @ (layer._parameters["weight"] + cell.B[0] @ cell.A[0]).t() + layer.bias)


def test_a_snell_kernel_has_more_rank_than_its_factors_and_drops_what_it_says():
    W, new, cell = change(ad.SNELL(2, share=0.0), 16, 16)
    assert rank(new - W) > 2
    W, new, _ = change(ad.SNELL(4, share=0.75), 16, 16)
    assert int(((new - W) != 0).sum()) == 64
    with torch.no_grad():
        cell.Q.copy_(cell.Q[:1].expand_as(cell.Q))
        cell.P.copy_(cell.P[:1].expand_as(cell.P))
    assert cell.value("change", lambda: W).abs().max() == 0


def test_shira_supports_of_other_seeds_hardly_meet():
    masks = []
    for seed in (0, 1):
        W, new, _ = change(ad.SHiRA(2, seed=seed), 40, 40)
        masks.append(new != W)
        assert int(masks[-1].sum()) == 160
    assert int((masks[0] & masks[1]).sum()) < 40


def test_mos_without_sharing_is_lora():
    layers = nn.Sequential(nn.Linear(8, 6).double(), nn.Linear(8, 6).double())
    cl.adapt(layers, ad.MoS(2, budget=2, shards=1, private=2))
    cells = [layer.adapters["weight"]["default"] for layer in layers]
    used = [set(c.index_A.tolist()) for c in cells]
    assert not used[0] & used[1] and all(len(u) == 2 for u in used)


def test_msplora_shares_one_pair_by_all_layers_and_one_by_each_third():
    layers = nn.Sequential(*(nn.Linear(8, 6).double() for _ in range(6)))
    cl.adapt(layers, ad.MSPLoRA(4, levels=3))
    thirds = [int(layer.adapters["weight"]["default"].third) for layer in layers]
    assert thirds == [0, 0, 1, 1, 2, 2]
    scatter(layers)
    x = torch.randn(3, 8, dtype=torch.float64)
    sum(layer(x).sum() for layer in layers).backward()
    pair = layers[0].adapters["weight"]["default"].shared
    got = pair.B_0.grad.clone()
    alone = []
    for layer in layers:
        pair.B_0.grad = None
        layer(x).sum().backward()
        alone.append(pair.B_0.grad.clone())
    assert torch.allclose(got, sum(alone))


def test_routing_draws_in_training_only_and_one_draw_serves_both_factors():
    torch.manual_seed(0)
    layer = cl.adapt(nn.Linear(6, 6).double(), ad.MHR(2, skills=3, tasks=2))
    scatter(layer)
    x = torch.randn(3, 6).double()
    assert torch.equal(layer.eval()(x), layer(x))
    layer.train()
    one, two = layer(x), layer(x)
    assert not torch.allclose(one, two)
    cell = layer.adapters["weight"]["default"]
    uniform = cell.draw
    w = (cell.logits[1] + uniform.log() - (1 - uniform).log()).sigmoid()[0]
    w = w / w.sum()
    A, B = sum(w[k] * cell.A[0, k] for k in range(3)), sum(w[k] * cell.B[0, k] for k in range(3))
    assert torch.allclose(two, layer._parameters["bias"] + x @ layer.weight.t() + x @ A @ B / 2, atol=1e-9)
    layer.eval()
    first = layer(x)
    assert not torch.allclose(ad.control(layer, task=0)(x), first)


def test_loreft_sets_the_subspace_and_leaves_the_rest():
    torch.manual_seed(0)
    layer = nn.Linear(8, 6).double()
    x = torch.randn(3, 8, dtype=torch.float64)
    y = layer(x).detach()
    cl.adapt(layer, ad.LoReFT(2))
    scatter(layer)
    cell, new = layer.adapters["weight"]["default"], layer(x)
    R = cell.value("R", lambda: layer.weight)
    assert torch.allclose(new @ R.t(), y @ cell.W_r.t() + cell.b_r, atol=1e-9)
    outside = torch.eye(6).double() - R.t() @ R
    assert torch.allclose(new @ outside, y @ outside, atol=1e-9)


def test_bora_and_dora_do_not_change_with_the_length_of_v():
    W, _, _ = change(ad.LoRA(2), 6, 8)
    for name in ("DoRA", "BoRA"):
        case = next(c for c in CASES if type(c.adapter).__name__ == name)
        model = adapted(case)
        slot = model[0].adapters["weight"]
        raw = model[0]._parameters["weight"].detach()
        cell = slot["default"]
        one = slot.effective(raw).detach()
        with torch.no_grad():
            cell.B.mul_(3)
        assert torch.allclose(slot.effective(3 * raw), one, atol=1e-10)
    assert W is not None


def test_ranks_that_are_too_large_are_refused_by_every_method_of_low_rank():
    for case in CASES:
        if (
            hasattr(case.adapter, "rank")
            and isinstance(case.i, int)
            and type(case.adapter) in (ad.LoRA, ad.DoRA, ad.PiSSA, ad.LoRAXS, ad.HiRA)
        ):
            with pytest.raises(cl.errors.BadAdapter, match="a rank from 1 to"):
                cl.adapt(nn.Linear(3, 3), case.adapter.__class__(rank=4))


def test_formulas_are_latex_and_exact():
    assert ad.LoRA(8, alpha=16).formula() == "W + 2 B A"
    f = ad.LoRA(1).formula("sympy", 2, 2)
    assert [[str(v) for v in row] for row in f.tolist()] == [[f"A_0_{b}*B_{a}_0 + W_{a}_{b}" for b in (0, 1)] for a in (0, 1)]
    assert math.isclose(ad.RsLoRA(4, alpha=8).layout(8, 8).weight.maps[1].factor, 4.0)
