"""layer_norm, rms_norm, batch_norm: torch's numbers, modes and state, forward and back, to the last bit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import catlearn as cl
from catlearn import errors
from catlearn.boxes.norm import LayerNorm
from catlearn.core.term import Box
from tests.boxes.agree import Setting, agree, check_definition, check_forward, check_put, check_reverse
from tests.labels import label

Batches = [(5,), (2, 3)]


def layer(x: torch.Tensor, weight: Any = None, bias: Any = None) -> torch.Tensor:
    return F.layer_norm(x, (4,), weight, bias, 1e-5)


def rms(x: torch.Tensor, weight: Any = None) -> torch.Tensor:
    return F.rms_norm(x, (4,), weight, 1e-6)


@pytest.mark.parametrize("x", [cl.R(4), cl.R(3, 4)], ids=label)
@pytest.mark.parametrize("options", [{}, {"affine": False}, {"bias": False}], ids=label)
def test_layer_norm_is_torchs(x: Any, options: dict[str, Any]) -> None:
    agree(cl.layer_norm(x, **options), layer)


@pytest.mark.parametrize("x", [cl.R(4), cl.R(3, 4)], ids=label)
@pytest.mark.parametrize("affine", [True, False])
def test_rms_norm_is_torchs(x: Any, affine: bool) -> None:
    agree(cl.rms_norm(x, affine=affine), rms)


@pytest.mark.parametrize("kind", [cl.layer_norm, cl.rms_norm], ids=label)
def test_gradients_stay_autograds_to_the_bit_on_wide_rows(kind: Any) -> None:
    by_hand, eps = (F.layer_norm, 1e-5) if kind is cl.layer_norm else (F.rms_norm, 1e-6)
    check_put(kind(cl.R(7, 96)), lambda x, **p: by_hand(x, (96,), **p, eps=eps), (33,))


@pytest.mark.parametrize(("kind", "module"), [(cl.layer_norm, nn.LayerNorm(4)), (cl.batch_norm, nn.BatchNorm1d(4))], ids=label)
def test_parameters_and_state_start_and_are_called_as_in_torch(kind: Any, module: nn.Module) -> None:
    box = kind(cl.R(4))
    found = {name.rpartition(".")[2]: value for name, value in cl.compile(box).state_dict().items()}
    expected = module.state_dict()
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert torch.equal(found[name], value) and found[name].dtype == value.dtype, name


def test_rms_norm_in_half_precision_is_torchs() -> None:
    box, x = cl.rms_norm(cl.R(8)), torch.randn(5, 8, generator=torch.Generator().manual_seed(0)).bfloat16().requires_grad_()
    weight = torch.linspace(0.5, 2, 8).bfloat16().requires_grad_()
    y = F.rms_norm(x, (8,), weight, 1e-6)
    grads = torch.autograd.grad(y, [weight, x], torch.ones_like(y))
    dparams, (dx,) = cl.lens(box).put({"rms_norm.weight": weight.detach()}, (x.detach(),), torch.ones_like(y))
    assert torch.equal(dparams["rms_norm.weight"], grads[0]) and torch.equal(dx, grads[1])


# -- batch_norm ------------------------------------------------------------------------------------------------------


def by_hand(order: int, training: bool, momentum: float | None = 0.1) -> Any:
    """What ``torch.nn.BatchNorm`` runs, batch axes flattened."""

    def reference(x: Any, *, running_mean: Any, running_var: Any, num_batches_tracked: Any, **affine: Any) -> Any:
        flat = x if x.dim() == order + 1 else x.reshape(-1, *x.shape[x.dim() - order :])
        if training:
            num_batches_tracked.add_(1)
        factor = momentum if momentum is not None else 1 / float(num_batches_tracked) if training else 0.0
        y = F.batch_norm(flat, running_mean, running_var, **affine, training=training, momentum=factor)
        return y if x.dim() == order + 1 else y.reshape(x.shape)

    return reference


@pytest.mark.parametrize("x", [cl.R(3), cl.R(3, 5), cl.R(3, 4, 2)], ids=label)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_is_torchs_in_both_modes(x: Any, training: bool, affine: bool) -> None:
    batches = [*Batches, (0,)] if training else [(), *Batches, (0,)]
    agree(cl.batch_norm(x, affine=affine), by_hand(len(x[0].axes), training), batches=batches, defined=False, training=training)


def test_batch_norm_without_momentum_averages_over_all_batches() -> None:
    agree(cl.batch_norm(cl.R(3), momentum=None), by_hand(1, True, None), batches=Batches, defined=False)


@pytest.mark.parametrize("momentum", [0.1, None])
def test_batch_norm_follows_the_module_of_torch_over_several_batches(momentum: float | None) -> None:
    module, model = nn.BatchNorm2d(3, momentum=momentum), cl.compile(cl.batch_norm(cl.R(3, 4, 4), momentum=momentum))
    generator = torch.Generator().manual_seed(1)
    for training in (True, True, False, True):
        module.train(training)
        model.train(training)
        x = torch.randn(6, 3, 4, 4, generator=generator)
        assert torch.equal(model(x), module(x))
    for ours, theirs in zip(model.buffers(), module.buffers(), strict=True):
        assert torch.equal(ours, theirs)


def test_batch_norm_in_a_lens_gives_the_new_state_and_leaves_the_old() -> None:
    lens, x = cl.lens(cl.batch_norm(cl.R(2))), torch.tensor([[1.0, 2.0], [3.0, 6.0]])
    state = lens.init_state()
    y, new = lens.get(lens.init(), x, state=state)
    assert torch.allclose(y, torch.tensor([[-1.0, -1.0], [1.0, 1.0]]), atol=1e-4)
    assert torch.equal(state["batch_norm.running_mean"], torch.zeros(2)) and state["batch_norm.num_batches_tracked"] == 0
    assert torch.allclose(new["batch_norm.running_mean"], torch.tensor([0.2, 0.4]))  # 0.9 · 0 + 0.1 · mean
    assert torch.allclose(new["batch_norm.running_var"], torch.tensor([0.9 + 0.1 * 2, 0.9 + 0.1 * 8]))  # unbiased: 2, 8
    assert new["batch_norm.num_batches_tracked"] == 1
    lens.put(lens.init(), (x,), torch.ones(2, 2), state=state)
    assert torch.equal(state["batch_norm.running_mean"], torch.zeros(2))


@pytest.mark.parametrize("scoped", [False, True])
def test_a_shared_batch_norm_threads_one_state_through_its_runs(scoped: bool) -> None:
    body = cl.batch_norm(cl.R(3))
    net = cl.repeat(3, body.named("inner") if scoped else body, shared=True)
    model, module = cl.compile(net), nn.BatchNorm1d(3)
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(3)) + 2
    assert torch.equal(model(x), module(module(module(x))))
    assert len(list(model.buffers())) == 3
    for ours, theirs in zip(model.buffers(), module.buffers(), strict=True):
        assert torch.equal(ours, theirs)
    lens = cl.lens(net)
    _, state = lens.get(lens.init(), x, state=lens.init_state())
    for ours, theirs in zip(state.values(), module.buffers(), strict=True):
        assert torch.equal(ours, theirs)


def test_one_value_per_channel_has_no_variance_and_is_refused() -> None:
    model = cl.compile(cl.batch_norm(cl.R(3)))
    for x in (torch.zeros(1, 3), torch.zeros(3)):
        with pytest.raises(errors.BadInput, match="more than one value per channel"):
            model(x)
    assert model.eval()(torch.zeros(1, 3)).shape == (1, 3)


def test_a_scalar_wire_has_nothing_to_normalise_over() -> None:
    for kind in (cl.layer_norm, cl.rms_norm, cl.batch_norm):
        with pytest.raises(errors.BadBox, match="at least one axis"):
            kind(cl.R())


def test_a_network_with_batch_norm_and_dropout_is_one_exported_graph() -> None:
    net = cl.linear(cl.R(4), cl.R(3)) >> cl.batch_norm >> cl.dropout(p=0.3)
    model, x = cl.compile(net).eval(), torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    exported = torch.export.export(model, (x,))
    assert torch.allclose(exported.module()(x), model(x))


# -- mutants ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Uncentred(LayerNorm):
    """layer_norm whose definition forgets to take the mean away."""

    key = "test_uncentred"

    def definition(self, o: Any, x: Any, *params: Any) -> Any:
        return cl.rms_norm(cl.R(4)).op.definition(o, x, *params[:1])


@dataclass(frozen=True)
class SwappedStatistics(LayerNorm):
    """layer_norm that hands mean and rstd to the kernel in the wrong order."""

    key = "test_swapped"

    def saved(self, dom: Any) -> Any:
        return dict(reversed(list({"mean": dom[0].like(1), "rstd": dom[0].like(1)}.items())))


def test_mutants_of_layer_norm_are_refuted() -> None:
    with pytest.raises(AssertionError, match="definition"):
        check_definition(Box(Uncentred(), cl.R(4)), layer)
    swapped = Box(SwappedStatistics(), cl.R(4))
    check_forward(swapped, layer)
    with pytest.raises(AssertionError, match="fused=True"):
        check_reverse(swapped, layer)


def test_the_wrong_mode_of_batch_norm_is_refuted() -> None:
    with pytest.raises(AssertionError):
        check_forward(cl.batch_norm(cl.R(3)), by_hand(1, False), training=True)
    s = Setting(cl.batch_norm(cl.R(3)), (5,))
    assert s.state.keys() == {f"batch_norm.{name}" for name in ("running_mean", "running_var", "num_batches_tracked")}
