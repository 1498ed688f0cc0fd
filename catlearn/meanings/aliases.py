"""Loading the numbers of a module in which weights are tied: torch lists such a weight under every name that it has.

>>> import catlearn as cl, torch
>>> twin = cl.linear(cl.R(2), cl.R(2), bias=False).named("a") >> cl.linear(cl.R(2), cl.R(2), bias=False).named("b")
>>> tied, weight = cl.compile(twin.at("*.weight").tie()), torch.eye(2)
>>> tied.load_state_dict({"a.linear.weight": weight, "b.linear.weight": weight})
<All keys matched successfully>
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn


def accept_aliases(aliases: Mapping[str, str]) -> Callable[..., None]:
    """Torch lists a tied weight under every name that it has; loading accepts that, if the values agree."""

    def hook(
        module: nn.Module, state: dict[str, Any], prefix: str, local: Any, strict: bool, missing: Any, extra: Any, wrong: list[str]
    ) -> None:
        for alias, name in aliases.items():
            if prefix + alias in state:
                value = state.pop(prefix + alias)
                if not _agree(state.setdefault(prefix + name, value), value):
                    wrong.append(f"{prefix + alias} and {prefix + name} are tied here and differ in the file")

    return hook


def _agree(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether two tensors hold the same numbers, NaN in the same places; those without numbers agree by their shapes."""
    if a is b or a.shape != b.shape or a.is_meta or b.is_meta:
        return a.shape == b.shape
    a = a.to(b.device)
    return bool(((a == b) | ((a != a) & (b != b))).all())
