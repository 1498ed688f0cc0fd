"""``plan``: how every adapted layer of a model will run on so many tokens, forward and backward, with flops and bytes.

>>> import torch, catlearn as cl
>>> model = cl.adapt(torch.nn.Sequential(torch.nn.Linear(512, 512)), cl.adapters.LoRA(rank=2))
>>> print(plan(model, tokens=8))                    # the factors meet the tokens: 2·8·(512² + 2·1024) + 2·8·512
1 adapted tensors, 8 tokens
  0.weight: W + default.A >> default.B, shifted by bias
    forward planned, input planned, parameters planned
    forward 4,235,264 flops (base 4,194,304), backward 4,263,936 flops, kept for backward 64 bytes
>>> plan(model, tokens=4096)["0.weight"].forward.flops   # merged first: 2·4096·512² + 2·2·512² + 512² + 4096·512
2150891520
"""

from __future__ import annotations

from typing import Any

from torch import nn

from catlearn.adapters.adapting import some
from catlearn.adapters.expressions import expression
from catlearn.maps.given import size
from catlearn.maps.plan import Plan
from catlearn.maps.running import plan_for


class Plans(dict[str, Plan]):
    """The plan of each adapted tensor by its dotted name; ``str`` is a table."""

    def __init__(self) -> None:
        super().__init__()
        self.formulas: dict[str, str] = {}

    def __str__(self) -> str:
        lines = [f"{len(self)} adapted tensors, {next(iter(self.values())).tokens:,} tokens"] if self else ["nothing is active"]
        for name, p in self.items():
            base = 2 * p.tokens * size(p.map.dom) * size(p.map.cod)
            kept = 4 * sum(p.tape.numel(r) for r in p.saved)
            lines += [f"  {name}: {self.formulas[name]}", f"    {', '.join(f'{side} {how}' for side, how in p.chosen.items())}",
                      f"    forward {p.forward.flops:,} flops (base {base:,}), backward {p.backward.flops:,} flops, "
                      f"kept for backward {kept:,} bytes"]  # fmt: skip
        return "\n".join(lines)


def plan(model: nn.Module, tokens: int) -> Plans:
    """The plans that layers on vectors will use for so many tokens, with what is trained now. Raises ``BadAdapter`` without adapters."""
    found = Plans()
    for path, slot in some(model):
        act = slot.acting
        if act is None or slot.experts is not None:
            continue
        e = act.expression
        layer = model.get_submodule(path.rpartition(".")[0])
        bare = e.keeps_bias and getattr(layer, "bias", None) is None
        whole, keys = (e.weight, e.keys) if bare else (e.layer, e.layer_keys)
        wanted = [n for n, (name, leaf) in zip(whole.params, keys, strict=True) if name and learns(act.cells[name], leaf)]
        found[path] = plan_for(whole, tokens, tuple(wanted), True)
        named = expression(tuple((name, slot.cell(name).adapter, number) for name, number in slot.active), slot.o, slot.i)
        found.formulas[path] = str(named.weight if bare else named.layer)  # by the user's names
    return found


def learns(cell: Any, leaf: str) -> bool:
    """Whether a leaf is trained, or read off what is."""
    sources = cell.layout.reads[leaf].sources if leaf in cell.layout.reads else (leaf,)
    return any(getattr(cell, s.rpartition(".")[2], None) is not None and getattr(cell, s).requires_grad for s in sources
               if s not in ("W", "training") and not s.startswith("shared."))  # fmt: skip
