"""What generated code may call: torch, and the helpers of the boxes that need more than one expression."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from catlearn.meanings.kernels import KERNELS
from catlearn.meanings.opaque import OPAQUE
from catlearn.meanings.positions import POSITIONS

NAMESPACE: dict[str, Any] = {"math": math, "torch": torch, "F": F, "aten": torch.ops.aten, "checkpoint": checkpoint}
NAMESPACE |= {"inf": float("inf"), "nan": float("nan")}  # as repr writes them
NAMESPACE |= {**KERNELS, **OPAQUE, **POSITIONS}
