"""Functions that generated code calls where one line of torch would not do: what autograd does for a box, in two halves.

``*_saving`` runs a box forward and also returns what its backward pass keeps; ``*_backward`` gives the cotangents. Both call the
aten functions that autograd itself calls, so the numbers are autograd's to the last bit on the CPU. Where torch chooses among
kernels by device and shape, its choice is asked for, and other choices fall back on autograd for this box alone (``Kept``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F

from catlearn import errors
from catlearn.boxes.constant import has_memory
from catlearn.meanings.initialise import generator
from catlearn.meanings.opaque import reversed_in_transform, vjp

aten = torch.ops.aten
Tensor = torch.Tensor
Lift = tuple[int, int]


@dataclass
class Kept:
    """What autograd keeps of one box: the output with its history, and the inputs that it began from."""

    y: Tensor
    inputs: tuple[Tensor | None, ...]
    again: bool  # whether the gradient may itself be differentiated
    pull: Callable[..., tuple[Tensor, ...]] | None = None  # in a transform or a trace: the cotangents of the floats

    @classmethod
    def of(cls, f: Callable[..., Tensor], *args: Tensor | None) -> Kept:
        """Run f on these tensors, recording its history."""
        if not all(a is None or has_memory(a) for a in args):
            (y,), pull = reversed_in_transform(f, args, [i for i, a in enumerate(args) if a is not None and a.is_floating_point()])
            return cls(y, args, True, pull)
        again = torch.is_grad_enabled() and any(a is not None and a.requires_grad for a in args)
        with torch.enable_grad():
            inputs = tuple(_leaf(a, again) for a in args)
            return cls(f(*inputs), inputs, again)

    @property
    def value(self) -> Tensor:
        return self.y if self.again else self.y.detach()

    def back(self, dy: Tensor, mask: Sequence[bool]) -> tuple[Tensor | None, ...]:
        """The cotangents of the inputs that ``mask`` wants; None for the others."""
        if self.pull is not None:
            found = iter(self.pull((dy,)))
            all_of_them = [next(found) if x is not None and x.is_floating_point() else None for x in self.inputs]
            return tuple(g if want else None for g, want in zip(all_of_them, mask, strict=False))
        wanted = [x for x, want in zip(self.inputs, mask, strict=False) if want and x is not None]
        grads = iter(torch.autograd.grad(self.y, wanted, dy, create_graph=self.again, materialize_grads=True))
        return tuple(next(grads) if want and x is not None else None for x, want in zip(self.inputs, mask, strict=False))


def _leaf(a: Tensor | None, again: bool) -> Tensor | None:
    """A tensor to begin from: a view where its own history matters, so that one that depends on another has its own cotangent."""
    if a is None or not a.is_floating_point():
        return a
    return a.view_as(a) if again and a.requires_grad else a.detach().requires_grad_()


# -- attention -------------------------------------------------------------------------------------------------------


def attend(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None, is_causal: bool, scale: float | None, lift: Lift) -> Tensor:
    """Torch's attention; ``lift`` = (axis, times) inserts axes into a mask that has fewer than the scores."""
    return F.scaled_dot_product_attention(q, k, v, _lifted(attn_mask, lift), is_causal=is_causal, scale=scale)


def _lifted(mask: Tensor | None, lift: Lift) -> Tensor | None:
    for _ in range(lift[1] if mask is not None else 0):
        mask = mask.unsqueeze(lift[0])  # type: ignore[union-attr]
    return mask


class FlashBackward(torch.autograd.Function):
    """Torch's fused backward kernel of attention, which can itself be differentiated: by way of the attention written out."""

    @staticmethod
    def forward(dy: Tensor, q: Tensor, k: Tensor, v: Tensor, y: Tensor, normaliser: Tensor, mask: Tensor | None, causal: bool,
                scale: float | None) -> tuple[Tensor, ...]:  # fmt: skip
        backward = aten._scaled_dot_product_flash_attention_for_cpu_backward
        return backward(dy, q, k, v, y, normaliser, 0.0, causal, attn_mask=mask, scale=scale)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        dy, q, k, v, _, _, mask, *ctx.options = inputs
        ctx.save_for_backward(dy, q, k, v, mask)

    @staticmethod
    def backward(ctx: Any, *ddz: Tensor) -> Any:
        (*args, mask), (causal, scale) = ctx.saved_tensors, ctx.options

        def written_out(dy: Tensor, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, ...]:
            return attend_written_out(dy, q, k, v, mask, causal, scale)[:3]

        return *vjp(written_out, tuple(args), ddz, range(4)), None, None, None, None, None


def attend_written_out(dy: Tensor, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool, scale: float | None) -> Any:
    """The cotangents of q, k, v and the scores: Vaswani et al. 2017, arXiv:1706.03762, equation 1, reversed by the chain rule."""
    factor = q.shape[-1] ** -0.5 if scale is None else scale
    scores = q @ k.transpose(-2, -1) * factor
    if causal:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else scores + mask
    p = aten._safe_softmax(scores, -1)
    dp = dy @ v.transpose(-2, -1)
    ds = p * (dp - (p * dp).sum(-1, keepdim=True))
    return ds @ k * factor, ds.transpose(-2, -1) @ q * factor, p.transpose(-2, -1) @ dy, ds


def attend_saving(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False,
                  scale: float | None = None, lift: Lift = (0, 0)) -> tuple[Tensor, Any]:  # fmt: skip
    """Attention, by the kernel that ``F.scaled_dot_product_attention`` takes, and what is kept for the backward pass."""
    options = {"is_causal": is_causal, "scale": scale, "lift": lift}
    mask = _lifted(attn_mask, lift)
    if not has_memory(q):  # in a transform or a trace, where neither the choice of a kernel nor the fused one can be had
        return attend(q, k, v, attn_mask, **options), (q, k, v, attn_mask, None, None, mask, options)
    if q.device.type == "cpu" and aten._fused_sdp_choice(q, k, v, mask, 0.0, is_causal, scale=scale) == 1:  # flash attention
        if mask is not None and mask.dtype == torch.bool:
            mask = torch.zeros_like(mask, dtype=q.dtype).masked_fill_(~mask, float("-inf"))
        y, normaliser = aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, is_causal, attn_mask=mask, scale=scale)
        return y, (q, k, v, attn_mask, y, normaliser, mask, options)
    kept = Kept.of(partial(attend, **options), q, k, v, attn_mask)
    return kept.value, kept


def attend_backward(dy: Tensor, kept: Any, mask: Sequence[bool]) -> tuple[Tensor | None, ...]:
    """The cotangents of q, k, v and, if there are four to give, of the float mask."""
    if isinstance(kept, Kept):
        return kept.back(dy, mask)
    q, k, v, attn_mask, y, normaliser, lifted, options = kept
    if y is None:
        *grads, ds = attend_written_out(dy, q, k, v, lifted, options["is_causal"], options["scale"])
        dmask = ds.sum_to_size(lifted.shape).reshape(attn_mask.shape) if any(mask[3:]) else None
        return (*grads, dmask)[: len(mask)]
    if any(mask[3:]):  # the fused kernel has no cotangent for a mask: torch does not take it where the mask learns
        return Kept.of(partial(attend, **options), q, k, v, attn_mask).back(dy, mask)
    run: Any = FlashBackward.apply if torch.is_grad_enabled() else FlashBackward.forward
    return (*run(dy, q, k, v, y, normaliser, lifted, options["is_causal"], options["scale"]), None)[: len(mask)]


# -- pointwise -------------------------------------------------------------------------------------------------------


def silu_backward(dy: Tensor, x: Tensor) -> Tensor:
    """The cotangent of x; where it may be differentiated in its turn by the formula, as autograd does: the kernel has no derivative."""
    if not torch.is_grad_enabled():
        return aten.silu_backward(dy, x)
    gate = torch.sigmoid(x)
    return dy * gate * (1 + x * (1 - gate))


# -- normalisation ---------------------------------------------------------------------------------------------------


def rms_saving(x: Tensor, weight: Tensor | None, eps: float) -> tuple[Tensor, Any]:
    """``F.rms_norm`` over the last axis, and 1 / √(mean(x²) + eps)."""
    if x.device.type != "cpu" or x.dtype not in (torch.float32, torch.float64):  # other kernels, other precision inside
        kept = Kept.of(lambda x, weight: F.rms_norm(x, x.shape[-1:], weight, eps), x, weight)
        return kept.value, kept
    rstd = torch.rsqrt(x.pow(2).mean(-1, keepdim=True).add_(eps))
    y = x * rstd
    return (y if weight is None else y * weight), rstd


def rms_backward(dy: Tensor, x: Tensor, weight: Tensor | None, kept: Any, mask: Sequence[bool]) -> tuple[Tensor | None, ...]:
    """The cotangents of x and of the weight, in the order of operations of autograd."""
    if isinstance(kept, Kept):
        return kept.back(dy, mask)
    rstd, dx, dweight = kept, None, None
    if mask[1]:
        assert weight is not None
        dweight = (dy * (x * rstd)).sum_to_size(weight.shape)
    if mask[0]:
        inner = dy if weight is None else dy * weight
        drstd = (inner * x).sum(-1, keepdim=True)
        dsquare = (drstd * (-0.5 * rstd.pow(3))).expand(x.shape) / x.shape[-1]
        dx = inner * rstd + dsquare * (x * 2.0)
    return dx, dweight


def flat(x: Tensor, order: int) -> Tensor:
    """All batch axes in one."""
    return x if x.dim() == order + 1 else x.reshape((-1, *x.shape[x.dim() - order :]))


def unflat(y: Tensor, x: Tensor, order: int) -> Tensor:
    """The batch axes of x again."""
    return y if x.dim() == order + 1 else y.reshape(x.shape)


def _factor(x: Tensor, order: int, count: Tensor, training: bool, momentum: float | None) -> float:
    """How far the running statistics move; counts the batch."""
    if not training:
        return 0.0 if momentum is None else momentum
    if x.numel() == x.shape[x.dim() - order]:
        raise errors.BadInput("batch_norm in training needs more than one value per channel",
                              [f"given {tuple(x.shape)}: the variance of one value is 0"],
                              "give a larger batch, or switch to model.eval()")  # fmt: skip
    count.add_(1)
    return 1.0 / float(count) if momentum is None else momentum


def over_batch(x: Tensor, order: int, weight: Any, bias: Any, mean: Tensor, var: Tensor, count: Tensor, training: bool,
               momentum: float | None, eps: float) -> Tensor:  # fmt: skip
    """``F.batch_norm`` with any number of batch axes; the state is updated in place, as ``torch.nn.BatchNorm`` does."""
    factor = _factor(x, order, count, training, momentum)
    return unflat(F.batch_norm(flat(x, order), mean, var, weight, bias, training, factor, eps), x, order)


def over_batch_saving(x: Tensor, order: int, weight: Any, bias: Any, mean: Tensor, var: Tensor, count: Tensor, training: bool,
                      momentum: float | None, eps: float) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """The same, with the mean that was used and how wide the values spread: 1 / √(var + eps) in training, else the variance."""
    factor = _factor(x, order, count, training, momentum)
    if not x.numel():  # torch's kernels divide by the number of entries
        return x.clone(), mean, var
    y, used, rstd = torch.native_batch_norm(flat(x, order), weight, bias, mean, var, training, factor, eps)
    return (unflat(y, x, order), used, rstd) if training else (unflat(y, x, order), mean, var)


def over_batch_backward(dy: Tensor, x: Tensor, order: int, weight: Any, mean: Tensor, spread: Tensor, training: bool, eps: float,
                        mask: Sequence[bool]) -> tuple[Tensor | None, ...]:  # fmt: skip
    """The cotangents of x, weight and bias."""
    if not x.numel():
        return torch.zeros_like(x), torch.zeros_like(mean), torch.zeros_like(mean)
    statistics = (None, None, mean, spread) if training else (mean, spread, None, None)
    dx, *rest = aten.native_batch_norm_backward(flat(dy, order), flat(x, order), weight, *statistics, training, eps, list(mask))
    return (unflat(dx, x, order) if mask[0] else dx, *rest)


# -- losses ----------------------------------------------------------------------------------------------------------


def labels_backward(dy: Tensor, y: Tensor, logp: Tensor, weight: Tensor) -> Tensor:
    """The cotangent of the logits in the mean cross entropy with labels y; ``logp`` has one batch axis."""
    dlogp = aten.nll_loss_backward(dy, logp, flat(y, 0), None, 1, -100, weight)
    dx = aten._log_softmax_backward_data(dlogp, logp, -1, logp.dtype)
    return dx if y.dim() == 1 else dx.reshape(y.shape + logp.shape[-1:])


def yes_or_no_share(dy: Tensor, x: Tensor) -> Tensor:
    """The cotangent of each entry of x from those of the means over the events."""
    inner = x.shape[dy.dim() :]
    return dy.reshape(dy.shape + (1,) * len(inner)).expand(x.shape) / inner.numel()


# -- sums of diagrams ------------------------------------------------------------------------------------------------


def equivariant_saving(layer: Callable[..., Tensor], x: Tensor, weight: Tensor, bias: Tensor | None, *sizes: Any) -> tuple[Tensor, Kept]:
    """An equivariant layer, and what its kernel keeps: the input and the features at the waist."""
    kept = Kept.of(lambda *args: layer(*args, *sizes), x, weight, bias)
    return kept.value, kept


# -- randomness ------------------------------------------------------------------------------------------------------


def noise_like(x: Tensor, p: float, training: bool, key: int | None, name: str) -> Tensor:
    """Dropout's noise: drawn as torch does on the CPU, from its global generator or from one seeded by key and name."""
    if not training or p == 0:
        return torch.ones_like(x)
    if p == 1:
        return torch.zeros_like(x)
    source = None if key is None else generator(key, name, x.device)
    return torch.empty_like(x).bernoulli_(1 - p, generator=source).div_(1 - p)


def drop_saving(x: Tensor, p: float, training: bool, key: int | None, name: str) -> tuple[Tensor, Tensor | None]:
    """Dropout and its noise; None stands for a noise of ones."""
    if not training or p == 0:
        return x, None
    noise = noise_like(x, p, training, key, name)
    return x * noise, noise


def drop(x: Tensor, p: float, training: bool, key: int | None, name: str) -> Tensor:
    """Dropout with a key."""
    return drop_saving(x, p, training, key, name)[0]


def drop_backward(dy: Tensor, noise: Tensor | None) -> Tensor:
    """The cotangent of x."""
    return dy if noise is None else dy * noise


_ALL = (attend_saving, attend_backward, silu_backward, rms_saving, rms_backward, over_batch, over_batch_saving, over_batch_backward,
        noise_like, drop_saving, drop, drop_backward, flat, unflat, labels_backward, yes_or_no_share, equivariant_saving)  # fmt: skip
KERNELS: dict[str, Callable[..., Any]] = {f.__name__: f for f in _ALL}
