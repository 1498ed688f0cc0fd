"""AdaLoRA's budget: ranks are taken from where they matter least, in any training loop.

With I = |w·∂loss/∂w| for every trained number w, smoothed twice, Ī ← β₁Ī + (1 − β₁)I and U ← β₂U + (1 − β₂)|I − Ī|, a number is worth
s = Ī·U, and the triplet k of a layer s(Λ_k) + mean s(P_·k) + mean s(Q_k·). Of all layers together the best b(t) triplets keep their Λ, the
others' Λ is set to 0, and may grow again. Source: Zhang et al., *AdaLoRA*, arXiv 2303.10512, equations 8 to 12 and the authors' schedule.

>>> import torch, catlearn as cl
>>> from catlearn import adapters
>>> layer, budget = cl.adapt(torch.nn.Linear(6, 5), adapters.AdaLoRA(rank=4)), adapters.Budget(first=4, last=2, total=30, final=10)
>>> optimiser, state = torch.optim.Adam([p for p in layer.parameters() if p.requires_grad], lr=0.1), None
>>> for step in range(1, 31):
...     layer(torch.randn(8, 6)).square().mean().backward()
...     state = adapters.importance(layer, state)
...     optimiser.step(); optimiser.zero_grad()
...     if budget.due(step):
...         ranks = adapters.allocate(layer, state, budget.at(step))
>>> ranks, adapters.trim(layer).adapters.weight.default.E.shape
({'': 2}, torch.Size([2]))
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import nn

from catlearn import errors
from catlearn.adapters.adapting import some
from catlearn.adapters.low_rank import AdaLoRA
from catlearn.adapters.planting import held
from catlearn.adapters.slots import Cell, Slot

TRIPLET = ("B", "E", "A")  # P, Λ and Q of the paper


@dataclass(frozen=True)
class Budget:
    """How many triplets all layers together may keep at each step 1, …, ``total``: ``first`` for ``warmup`` steps, ``last`` at the end.

    Between, last + (first − last)·(1 − (t − warmup)/(total − final − warmup))³, which is taken ``every`` so many steps; in the ``final``
    steps ``last``, at each. Raises ``BadAdapter`` for numbers that make no schedule.

    >>> budget = Budget(first=24, last=8, total=100, warmup=10, final=30, every=5)
    >>> [budget.at(t) for t in (1, 10, 40, 70, 100)], [t for t in range(1, 26) if budget.due(t)]
    ([24, 24, 10, 8, 8], [15, 20, 25])
    """

    first: int
    last: int
    total: int
    warmup: int = 0
    final: int = 0
    every: int = 1

    def __post_init__(self) -> None:
        rows = [f"{key} {value}" for key, value in vars(self).items()]
        if not 0 <= self.last <= self.first or min(self.warmup, self.final) < 0 or self.every < 1 or self.warmup + self.final >= self.total:
            raise errors.BadAdapter("this is no budget", rows, "0 ≤ last ≤ first, and warmup + final steps less than the total")

    def at(self, step: int) -> int:
        """The number of triplets at a step, rounded down."""
        if step <= self.warmup:
            return self.first
        if step > self.total - self.final:
            return self.last
        left = 1 - (step - self.warmup) / (self.total - self.final - self.warmup)
        return int((self.first - self.last) * left**3 + self.last)

    def due(self, step: int) -> bool:
        """Whether triplets are chosen after this step."""
        return step > self.warmup and (step > self.total - self.final or step % self.every == 0)


@dataclass(frozen=True, eq=False)
class Importance:
    """The smoothed sensitivity Ī and its uncertainty U of every trained number: layer → P, Λ, Q by their names B, E, A."""

    sensitivity: Mapping[str, Mapping[str, torch.Tensor]]
    uncertainty: Mapping[str, Mapping[str, torch.Tensor]]

    def scores(self) -> dict[str, torch.Tensor]:
        """What each triplet of each layer is worth."""
        found = {}
        for layer, smooth in self.sensitivity.items():
            s = {leaf: smooth[leaf] * self.uncertainty[layer][leaf] for leaf in TRIPLET}
            found[layer] = s["E"] + s["B"].mean(-2) + s["A"].mean(-1)
        return found


def triplets(model: nn.Module, name: str) -> dict[str, tuple[Slot, Cell]]:
    """The layers whose adapter of this name is AdaLoRA. Raises ``BadAdapter``, ``NothingMatched``."""
    found = {layer: pair for layer, pair in held(model, name).items() if isinstance(pair[1].adapter, AdaLoRA)}
    if not found:
        raise errors.BadAdapter(f"no layer has an AdaLoRA called {name!r}", next="cl.adapt(model, cl.adapters.AdaLoRA(rank=12))")
    if any(slot.merged for _, slot in some(model)):
        raise errors.BadMerge("the adapters of this model are merged", next="cl.unmerge(model) first")
    return found


def importance(model: nn.Module, before: Importance | None = None, name: str = "default", smooth: float = 0.85,
               spread: float = 0.85) -> Importance:  # fmt: skip
    """The importance after one more step, from the gradients that the parameters have now; β₁ is ``smooth``, β₂ is ``spread``.

    The paper multiplies a gradient with the number at which it was taken: call this between ``backward`` and ``optimiser.step``. (The
    published code, and peft, call it after the step.) Raises ``BadAdapter`` where there is no gradient, or the layers have changed.
    """
    if not (0 < smooth < 1 and 0 < spread < 1):
        raise errors.BadAdapter(f"smooth={smooth}, spread={spread}", ["needed: numbers between 0 and 1"])
    found = triplets(model, name)
    numbers = {layer: {leaf: cell.get_parameter(leaf) for leaf in TRIPLET} for layer, (_, cell) in found.items()}
    if lacking := [f"{layer}.{leaf}" for layer, own in numbers.items() for leaf, p in own.items() if p.grad is None]:
        raise errors.BadAdapter("there are no gradients", lacking[:8], "call this after loss.backward(), before zero_grad()")
    if before is not None and {k: v["E"].shape for k, v in before.sensitivity.items()} != {k: v["E"].shape for k, v in numbers.items()}:
        raise errors.BadAdapter("this importance is of other layers or ranks", [", ".join(before.sensitivity)], "start again with None")
    sensitivity: dict[str, dict[str, torch.Tensor]] = {}
    uncertainty: dict[str, dict[str, torch.Tensor]] = {}
    for layer, own in numbers.items():
        sensitivity[layer], uncertainty[layer] = {}, {}
        for leaf, p in own.items():
            assert p.grad is not None
            now = (p.detach() * p.grad).abs()
            mean = (1 - smooth) * now + (0 if before is None else smooth * before.sensitivity[layer][leaf])
            kept = 0 if before is None else spread * before.uncertainty[layer][leaf]
            sensitivity[layer][leaf], uncertainty[layer][leaf] = mean, kept + (1 - spread) * (now - mean).abs()
    return Importance(sensitivity, uncertainty)


@torch.no_grad()
def allocate(model: nn.Module, importance: Importance, budget: int, name: str = "default") -> dict[str, int]:
    """Keeps the Λ of the ``budget`` best triplets of all layers, sets the others' to 0; layer → how many it keeps.

    Of equal triplets the first are kept, in the order of layers. Raises ``BadAdapter``.
    """
    found, scores = triplets(model, name), importance.scores()
    if not isinstance(budget, int) or budget < 0 or found.keys() != scores.keys():
        raise errors.BadAdapter(f"a budget of {budget} for {', '.join(scores)}", [f"the layers are {', '.join(found)}"],
                                "needed: a number of triplets, and the importance of this model")  # fmt: skip
    flat = torch.cat([scores[layer].flatten().double().cpu() for layer in found])
    keep = torch.zeros(len(flat), dtype=torch.bool)
    keep[flat.sort(descending=True, stable=True).indices[:budget]] = True
    ranks, start = {}, 0
    for layer, (_, cell) in found.items():
        E = cell.get_parameter("E")
        own = keep[start : start + E.numel()].reshape(E.shape).to(E.device)
        E.mul_(own)
        ranks[layer], start = int(own.sum()), start + E.numel()
    return ranks


@torch.no_grad()
def trim(model: nn.Module, name: str = "default") -> nn.Module:
    """Throws away triplets whose Λ is 0, so that each layer has the rank it was given, one at least; the model computes what it did.

    An optimiser made before holds the old parameters: make a new one.
    """
    for slot, cell in triplets(model, name).values():
        E, adapter = cell.get_parameter("E"), cell.adapter
        assert isinstance(adapter, AdaLoRA)
        live = (E != 0).reshape(-1, E.shape[-1]).any(0)
        live[0] |= not bool(live.any())
        rank = int(live.sum())
        fewer = replace(adapter, rank=rank, alpha=adapter.s * rank)
        tensors = {"B": cell.get_parameter("B")[..., live], "E": E[..., live], "A": cell.get_parameter("A")[..., live, :]}
        trained = {leaf: cell.get_parameter(leaf).requires_grad for leaf in TRIPLET}
        slot[name] = Cell(fewer, fewer.layout(slot.o, slot.i), {leaf: t.clone() for leaf, t in tensors.items()}, None, False)
        for leaf, on in trained.items():
            slot.cell(name).get_parameter(leaf).requires_grad_(on)
        slot.cell(name).train(cell.training)
        slot.settle()
    return model
