"""Products with block diagonal effective weights: one gather, a product for each shape of block, one gather back.

The trilinear form ``Σ dy[t, o, c'] V[(o, c'), (i, c)] x[t, i, c]`` has three derivatives: y from x and the blocks V, dx from dy and V,
dV from x and dy. ``forward`` and ``backward`` compute them in chunks of the tokens, with buffers that stay in the cache; each derivative
of one of them is another of them, so they can be differentiated any number of times. Saved for the backward pass are x and the blocks.
``product`` is the same in plain torch, for compilers and for the transforms of ``torch.func``.

>>> import torch
>>> from catlearn.maps.sums.tables import tables
>>> from catlearn.maps.sums.family import Element, Family
>>> swap = Family((2, 2), (2, 2), (Element(deltas=((0, 3), (1, 2))),))
>>> x = torch.arange(4.0).reshape(1, 4, 1)
>>> layer(tables(swap, True, 1, x.dtype, x.device), x, torch.ones(1, 1, 1), None).flatten().tolist()
[0.0, 2.0, 1.0, 3.0]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from catlearn.maps.sums.tables import Tables, expand, few, fold

CHUNK = 1 << 20  # numbers of x and y together in one chunk of tokens
SMALL = 1 << 17  # numbers in a dense block, at most, that is made by a product, so that its gradient scatters no rows; larger ones gather
FOLD = 1 << 18  # entries of blocks beyond which their gradient is worth two steps of its own
Blocks = Sequence[Tensor]


def layer(t: Tables, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """y (T, outputs, c_out) of x (T, inputs, c_in), weight (D, c_out, c_in) and bias (Db, c_out) or None."""
    if t.whole:
        return dense(t, x.reshape(len(x), t.ins.size * x.shape[2]), weight, bias).view(len(x), t.outs.size, weight.shape[1])
    constant = None if bias is None else torch.mm(t.bias, bias)
    if traced():
        return product(t, x, expand(t, weight), constant)
    needed, blocks = torch.is_grad_enabled(), expanded(t, weight)
    if needed and (x.requires_grad or weight.requires_grad or (constant is not None and constant.requires_grad)):
        return _Forward.apply(t, x, constant, *blocks)
    return forward(t, x, blocks, constant)


def dense(t: Tables, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """y (T, outputs · c_out) of x (T, inputs · c_in), where the one block is everything: small layers are as fast as their few calls."""
    if t.direct is not None and len(t.direct) * weight.shape[1] * weight.shape[2] <= SMALL:
        block = few(t.direct, t.ins.size, weight)
    else:
        block = expanded(t, weight)[0].squeeze(0)  # an index in its place would fill zeros in the backward pass
    return torch.mm(x, block.t()) if bias is None else torch.addmm(torch.mm(t.bias, bias).view(-1), x, block.t())


def expanded(t: Tables, weight: Tensor) -> Blocks:
    """The blocks; where many rows would be gathered, with a derivative of its own."""
    many = len(t.rows) * weight.shape[2] > FOLD
    planned = many and torch.is_grad_enabled() and weight.requires_grad and not traced()
    return _Expand.apply(t, weight) if planned else expand(t, weight)


def traced() -> bool:
    """Whether a compiler or a transform of ``torch.func`` watches, which need plain torch."""
    return torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()


def product(t: Tables, x: Tensor, blocks: Blocks, constant: Tensor | None = None) -> Tensor:
    """The product in plain torch."""
    tokens, _, c_in = x.shape
    c_out = blocks[0].shape[1] // t.shapes[0][2]
    taken, start, parts = t.ins.read(x), 0, []
    for (m, p, q, _), block in zip(t.shapes, blocks, strict=True):
        own = taken[:, start : start + m * p].reshape(tokens, m, p * c_in).transpose(0, 1)
        parts.append((own @ block.mT).transpose(0, 1).reshape(tokens, m * q, c_out))
        start += m * p
    y = t.outs.write(torch.cat(parts, 1))
    return y if constant is None else y + constant


def forward(t: Tables, x: Tensor, blocks: Blocks, constant: Tensor | None = None) -> Tensor:
    """The product chunk by chunk; nothing is recorded for derivatives."""
    c_out = blocks[0].shape[1] // t.shapes[0][2]
    x, y = x.contiguous(), x.new_empty(x.shape[0], t.outs.size, c_out)
    ranges, take, put = _chunks(t, x, x.shape[2], c_out)
    for start, stop in ranges:
        own, result = t.ins.read_into(x[start:stop], take[: stop - start]), y[start:stop]
        made = result if t.outs.place is None else put[: stop - start]
        for given, other, block in zip(_views(t, own, 1), _views(t, made, 2), blocks, strict=True):
            torch.bmm(given, block.mT.expand(len(given), -1, -1), out=other)
        t.outs.write_from(made, result)
        if constant is not None:
            result += constant
    return y


def backward(t: Tables, x: Tensor | None, dy: Tensor, blocks: Blocks, c_in: int) -> tuple[Tensor | None, list[Tensor]]:
    """dx if blocks are given, the gradients of the blocks if x is given: from one gather of dy, chunk by chunk."""
    dy, x = dy.contiguous(), None if x is None else x.contiguous()
    dx = dy.new_empty(dy.shape[0], t.ins.size, c_in) if blocks else None
    grads = [dy.new_zeros(1 if t.equal else m, q * dy.shape[2], p * c_in) for m, p, q, _ in t.shapes] if x is not None else []
    ranges, take, put = _chunks(t, dy, c_in, dy.shape[2])
    for start, stop in ranges:
        given = t.outs.read_into(dy[start:stop], put[: stop - start])
        if x is not None:
            own = t.ins.read_into(x[start:stop], take[: stop - start])
            for mine, other, grad in zip(_views(t, own, 1), _views(t, given, 2), grads, strict=True):
                grad.baddbmm_(other.mT, mine)
        if dx is not None:
            own = dx[start:stop] if t.ins.place is None else take[: stop - start]
            for mine, other, block in zip(_views(t, own, 1), _views(t, given, 2), blocks, strict=True):
                torch.bmm(other, block.expand(len(other), -1, -1), out=mine)
            t.ins.write_from(own, dx[start:stop])
    return dx, [grad if len(grad) == d else grad.sum(0, keepdim=True) for grad, (_, _, _, d) in zip(grads, t.shapes, strict=False)]


def _chunks(t: Tables, x: Tensor, c_in: int, c_out: int) -> tuple[list[tuple[int, int]], Tensor, Tensor]:
    """Equal ranges of tokens, a buffer for the inputs of the longest and one for its outputs, unused where points are positions."""
    tokens = x.shape[0]
    pieces = max(1, round(tokens * (t.ins.size * c_in + t.outs.size * c_out) / CHUNK)) if x.device.type == "cpu" else 1
    size = max(1, -(-tokens // pieces))
    ranges = [(start, min(start + size, tokens)) for start in range(0, tokens, size)]
    most = min(size, tokens)
    take, put = (x if side.place is None else x.new_empty(most, side.points, c) for side, c in ((t.ins, c_in), (t.outs, c_out)))
    return ranges, take, put


def _views(t: Tables, buffer: Tensor, which: int) -> Iterator[Tensor]:
    """For each group its part of the ordered inputs (which = 1) or outputs (2), (blocks, tokens, points · channels), as a view."""
    (tokens, points, c), start = buffer.shape, buffer.storage_offset()
    if t.equal:  # equal blocks are more tokens for one of them
        yield buffer.view(1, tokens * t.shapes[0][0], t.shapes[0][which] * c)
        return
    for shape in t.shapes:
        m, width = shape[0], shape[which] * c
        yield buffer.as_strided((m, tokens, width), (width, points * c, 1), start)
        start += m * width


class _Expand(Function):
    """(tables, weight) ↦ blocks."""

    @staticmethod
    def forward(ctx: Any, t: Tables, weight: Tensor) -> tuple[Tensor, ...]:
        ctx.t, ctx.c_out = t, weight.shape[1]
        return expand(t, weight)

    @staticmethod
    def backward(ctx: Any, *blocks: Tensor) -> Any:
        return None, _Fold.apply(ctx.t, ctx.c_out, *blocks)


class _Fold(Function):
    """(tables, c_out, *blocks) ↦ weight, the transpose of ``_Expand``."""

    @staticmethod
    def forward(ctx: Any, t: Tables, c_out: int, *blocks: Tensor) -> Tensor:
        ctx.t = t
        return fold(t, blocks, c_out)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return None, None, *_Expand.apply(ctx.t, grads[0])


class _Forward(Function):
    """(tables, x, constant, *blocks) ↦ y."""

    @staticmethod
    def forward(ctx: Any, t: Tables, x: Tensor, constant: Tensor | None, *blocks: Tensor) -> Tensor:
        _, dx, _, *grads = ctx.needs_input_grad
        ctx.t, ctx.c_in = t, x.shape[2]
        ctx.save_for_backward(x if any(grads) else None, *(blocks if dx else ()))
        return forward(t, x, blocks, constant)

    @staticmethod
    def backward(ctx: Any, *dy: Tensor) -> Any:
        x, *blocks = ctx.saved_tensors
        constant = dy[0].sum(0) if ctx.needs_input_grad[2] else None
        dx, *grads = _Backward.apply(ctx.t, ctx.c_in, x, dy[0], *blocks)
        return None, dx, constant, *(grads or [None] * len(ctx.t.shapes))


class _Backward(Function):
    """(tables, c_in, x or None, dy, *blocks or none) ↦ (dx, *gradients of the blocks)."""

    @staticmethod
    def forward(ctx: Any, t: Tables, c_in: int, x: Tensor | None, dy: Tensor, *blocks: Tensor) -> Any:
        ctx.t, ctx.c_in = t, c_in
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, dy, *blocks)
        dx, grads = backward(t, x, dy, blocks, c_in)
        return dx, *grads

    @staticmethod
    def backward(ctx: Any, *vectors: Tensor | None) -> Any:
        """The form is linear in each of x, dy and the blocks: vx stands for x beside the blocks, ``given`` for the blocks beside x."""
        (vx, *given), (x, dy, *blocks) = vectors, ctx.saved_tensors
        t, (_, _, x_too, dy_too, *blocks_too) = ctx.t, ctx.needs_input_grad
        v = [] if all(part is None for part in given) else [
            dy.new_zeros(d, q * dy.shape[2], p * ctx.c_in) if part is None else part
            for part, (_, p, q, d) in zip(given, t.shapes, strict=True)]  # fmt: skip
        gx, *grads = _Backward.apply(t, ctx.c_in, vx if any(blocks_too) else None, dy, *(v if x_too else ()))
        parts = [_Forward.apply(t, a, None, *b) for a, b in ((vx, blocks), (x, v)) if dy_too and a is not None and b]
        return None, None, gx, sum(parts[1:], parts[0]) if parts else None, *(grads or [None] * len(blocks))
