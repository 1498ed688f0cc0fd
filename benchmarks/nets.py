"""The nets that are timed, each as an arrow and as the module that a careful hand would write. ``tests`` compares their aten ops."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

import catlearn as cl


def mlp_arrow(*sizes: int) -> cl.Term:
    f = cl.linear(cl.R(sizes[0]), cl.R(sizes[1]))
    for a, b in itertools.pairwise(sizes[1:]):
        f = f >> cl.relu >> cl.linear(cl.R(a), cl.R(b))
    return f


class Mlp(nn.Module):
    def __init__(self, *sizes: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        *hidden, last = self.layers
        for layer in hidden:
            x = F.relu(layer(x))
        return last(x)


class TinyMlp(nn.Module):
    """4-8-8-2 with its layers written out, the fastest form by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.c(F.relu(self.b(F.relu(self.a(x)))))


def block_arrow(length: int, width: int, heads: int) -> cl.Term:
    x, each = cl.R(length, width), width // heads

    def split(y: cl.Space) -> cl.Term:
        return cl.reshape(y, (length, heads, each)) >> cl.transpose((1, 0, 2))

    attend = (
        cl.layer_norm(x) >> cl.linear(x, cl.R(length, 3 * width), name="qkv") >> cl.split((width,) * 3)
        >> split(x) @ split(x) @ split(x) >> cl.attention >> cl.transpose((1, 0, 2)) >> cl.reshape((length, width))
        >> cl.linear(x, x, name="proj")
    )  # fmt: skip
    wide = cl.R(length, 4 * width)
    feed = cl.layer_norm(x) >> cl.linear(x, wide, name="up") >> cl.gelu >> cl.linear(wide, x, name="down")
    return (cl.copy(x) >> cl.id(x) @ attend >> cl.add(x) >> cl.copy(x) >> cl.id(x) @ feed >> cl.add(x)).named("block")


def transformer_arrow(layers: int, length: int, width: int, heads: int) -> cl.Term:
    return cl.repeat(layers, block_arrow(length, width, heads))


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        B, T, C = x.shape
        q, k, v = self.qkv(self.norm1(x)).split(C, -1)
        q, k, v = (t.reshape(B, T, self.heads, C // self.heads).transpose(1, 2) for t in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(B, T, C)
        x = x + self.proj(y)
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Transformer(nn.Module):
    def __init__(self, layers: int, width: int, heads: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return x


def conv_arrow() -> cl.Term:
    return (
        cl.conv2d(cl.R(3, 32, 32), 16, 3, padding=1) >> cl.relu >> cl.max_pool2d(2)
        >> cl.conv2d(cl.R(16, 16, 16), 32, 3, padding=1) >> cl.relu >> cl.max_pool2d(2)
        >> cl.flatten >> cl.linear(cl.R(2048), cl.R(10))
    )  # fmt: skip


class Conv(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1), nn.Linear(2048, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.a(x)), 2)
        x = F.max_pool2d(F.relu(self.b(x)), 2)
        return self.head(x.flatten(1))


# name → (arrow, module by hand, an input)
NETS: dict[str, tuple[Callable[[], cl.Term], Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp 784-512-512-10, batch 128": (lambda: mlp_arrow(784, 512, 512, 10), lambda: Mlp(784, 512, 512, 10), (128, 784)),
    "transformer, 4 blocks of 128, batch 8 × 64": (lambda: transformer_arrow(4, 64, 128, 4), lambda: Transformer(4, 128, 4), (8, 64, 128)),
    "conv net on 32 × 32, batch 16": (conv_arrow, Conv, (16, 3, 32, 32)),
    "tiny mlp 4-8-8-2, batch 3": (lambda: mlp_arrow(4, 8, 8, 2), TinyMlp, (3, 4)),
}


def both(name: str) -> tuple[nn.Module, nn.Module, torch.Tensor]:
    """The compiled arrow, the module by hand with the same weights, and an input."""
    arrow, hand, shape = NETS[name]
    ours, peer = cl.compile(arrow()), hand()
    sources = dict(ours.named_parameters())
    for mine, theirs in zip(match(list(sources), list(dict(peer.named_parameters()))), peer.parameters(), strict=True):
        theirs.data.copy_(sources[mine].data)
    return ours, peer, torch.randn(shape)


def match(ours: list[str], peers: list[str]) -> list[str]:
    """Our parameter name for each of the peer's: the k-th weight or bias of a kind of box is the k-th of its name."""
    if any("block" in name for name in ours):
        words = {"norm1": "layer_norm", "norm2": "layer_norm_1"}
        split = [name.split(".") for name in peers]
        return [f"{i}.block.{words.get(box, box)}.{kind}" for _, i, box, kind in split]
    return ours
