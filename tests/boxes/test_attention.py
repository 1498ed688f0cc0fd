"""attention in all its variants: torch's numbers, forward and back, to the last bit; masks; rows that see nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import catlearn as cl
from catlearn import errors
from catlearn.boxes.attention import Attention
from catlearn.core.spaces import Space
from catlearn.core.term import Box
from tests.aten import recorded
from tests.boxes.agree import Setting, agree, check_definition, check_put, check_reverse
from tests.labels import label

sdpa = F.scaled_dot_product_attention
H, L, S, D = 2, 5, 7, 4
Q, K, V = cl.R(H, L, D), cl.R(H, S, D), cl.R(H, S, 3)
SQUARE = Q @ cl.R(H, L, D) @ cl.R(H, L, D)
BATCHES = [(), (3,), (2, 3), (0,)]


def lifted(order: int, batched_order: int) -> Any:
    """Torch's function with the heads' axis inserted into a mask that has batch axes."""

    def reference(q: Any, k: Any, v: Any, m: Any) -> Any:
        batch = q.shape[: q.dim() - order]
        return sdpa(q, k, v, m.reshape(*batch, *[1] * (order - batched_order), *m.shape[len(batch) :]))

    return reference


@pytest.mark.parametrize("dom", [SQUARE, Q @ K @ cl.R(H, S, D), Q @ K @ V, cl.R(L, D) @ cl.R(S, D) @ cl.R(S, D)], ids=label)
@pytest.mark.parametrize("scale", [None, 0.3])
def test_plain_attention_is_torchs(dom: Any, scale: float | None) -> None:
    agree(cl.attention(dom, scale=scale), lambda q, k, v: sdpa(q, k, v, scale=scale), batches=BATCHES)


@pytest.mark.parametrize("dom", [SQUARE, Q @ K @ V], ids=label)
def test_causal_attention_is_torchs(dom: Any) -> None:
    agree(cl.attention(dom, causal=True), lambda q, k, v: sdpa(q, k, v, is_causal=True), batches=BATCHES)


@pytest.mark.parametrize("mask", [cl.boolean(L, S), cl.boolean(H, L, S), cl.boolean(1, S)], ids=label)
@pytest.mark.parametrize("v", [cl.R(H, S, D), V], ids=label)
def test_attention_under_a_boolean_mask_is_torchs(mask: Any, v: Any) -> None:
    agree(cl.attention(Q @ K @ v @ mask), lifted(3, len(mask[0].axes)), batches=BATCHES, aten=False)


@pytest.mark.parametrize("mask", [cl.R(L, S), cl.R(H, L, S)], ids=label)
def test_attention_with_a_float_mask_is_torchs_and_the_mask_learns_too(mask: Any) -> None:
    agree(cl.attention(Q @ K @ V @ mask), lifted(3, len(mask[0].axes)), batches=BATCHES, aten=False)


def test_a_mask_without_batch_axes_is_a_parameter_of_all_events() -> None:
    dom = Space((*(Q @ K @ V), *cl.parameter(cl.R(L, S))))
    agree(cl.attention(dom), sdpa, batches=BATCHES)
    dom = Space((*(Q @ K @ cl.R(H, S, D)), *cl.parameter(cl.boolean(L, S))))
    agree(cl.attention(dom), sdpa, batches=BATCHES)


def test_rows_that_see_nothing_are_zero_and_have_no_gradient() -> None:
    box = cl.attention(Q @ K @ cl.R(H, S, D) @ cl.boolean(L, S))

    def blind(batch: tuple[int, ...], generator: torch.Generator) -> list[torch.Tensor]:
        mask = torch.rand((*batch, L, S), generator=generator) > 0.5
        mask[..., 0, :] = False
        return [torch.randn((*batch, H, n, D), generator=generator, dtype=torch.float64) for n in (L, S, S)] + [mask]

    agree(box, lifted(3, 2), batches=BATCHES, draw=blind, aten=False)
    q, k, v, mask = blind((3,), torch.Generator().manual_seed(0))
    assert not cl.compile(box)(q, k, v, mask)[:, :, 0].any()


@pytest.mark.parametrize("causal", [False, True])
def test_gradients_stay_autograds_to_the_bit_at_length_200(causal: bool) -> None:
    x = cl.R(2, 200, 16)
    check_put(cl.attention(x @ x @ x, causal=causal), lambda q, k, v: sdpa(q, k, v, is_causal=causal), (2,))


def test_put_runs_torchs_fused_kernel_once_each_way() -> None:
    s = Setting(cl.attention(SQUARE), (3,), dtype=torch.float32)
    lens = cl.lens(s.box)
    lens.put(s.params, s.xs, s.dys)
    ops = recorded(lambda: lens.put(s.params, s.xs, s.dys))
    kernel = "aten._scaled_dot_product_flash_attention_for_cpu"
    assert ops == ["aten._fused_sdp_choice.default", f"{kernel}.default", f"{kernel}_backward.default"]


def test_permuting_keys_and_values_together_changes_nothing() -> None:
    s, order = Setting(cl.attention(Q @ K @ V), (3,)), torch.randperm(S, generator=torch.Generator().manual_seed(0))
    q, k, v = s.xs
    assert torch.allclose(s.model(q, k, v), s.model(q, k[..., order, :], v[..., order, :]), atol=1e-12)
    assert not torch.allclose(s.model(q, k, v), s.model(q, k[..., order, :], v), atol=1e-3)


def test_a_schema_takes_its_mask_from_the_wires_it_meets() -> None:
    net = cl.id(Q @ K @ V @ cl.boolean(L, S)) >> cl.attention
    assert net.cod == cl.R(H, L, 3)
    assert (cl.id(SQUARE) >> cl.attention(causal=True)).cod == cl.R(H, L, D)


@pytest.mark.parametrize(
    "make",
    [
        lambda: cl.attention(Q @ K),
        lambda: cl.attention(Q @ V @ V),
        lambda: cl.attention(Q @ K @ cl.R(H, L, D)),
        lambda: cl.attention(cl.R(3, L, D) @ K @ V),
        lambda: cl.attention(cl.R(D) @ cl.R(D) @ cl.R(D)),
        lambda: cl.attention(Q @ K @ V @ cl.boolean(S, L)),
        lambda: cl.attention(Q @ K @ V @ cl.index(3, L, S)),
        lambda: cl.attention(Q @ K @ V @ cl.boolean(L, S), causal=True),
    ],
)
def test_wires_that_do_not_fit_are_refused(make: Any) -> None:
    with pytest.raises(errors.BadBox, match="attention"):
        make()


# -- mutants ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Unscaled(Attention):
    """Attention whose definition forgets the factor 1/√d."""

    key = "test_unscaled"

    def factor(self, d: Any) -> float:
        return 1.0


@dataclass(frozen=True)
class Transposed(Attention):
    """Attention that returns the cotangents of k and v in each other's place."""

    key = "test_transposed"

    @property
    def fused(self) -> Any:  # type: ignore[override]
        (rule,) = super().fused
        return (type(rule)(rule.uses, "x0 x2 x1", rule.torch),)


def test_mutants_of_attention_are_refuted() -> None:
    with pytest.raises(AssertionError, match="definition"):
        check_definition(Box(Unscaled(), SQUARE), sdpa)
    check_definition(Box(Transposed(), SQUARE), sdpa)
    with pytest.raises(AssertionError, match="fused=True"):
        check_reverse(Box(Transposed(), SQUARE), sdpa)
