"""Adapters that act on some positions of a sequence: the first p and the last s tokens, as in ReFT.

The sequence is the second last axis of a layer's input. At each position the layer has the weight of those adapters of the stack (or
sum) that act there, so positions compose with everything else; no single weight does the same, and nothing of it merges.

>>> parsed("f2+l1"), parsed("l3"), parsed("all")
((2, 1), (0, 3), None)
>>> segments([(2, 1), None], 5)         # of two adapters: where which of them act
[(0, 2, (True, True)), (2, 4, (False, True)), (4, 5, (True, True))]
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from catlearn import errors

if TYPE_CHECKING:
    from catlearn.adapters.slots import Acting, Slot

Ends = tuple[int, int] | None  # how many positions at the front and at the end; None for all


def parsed(positions: Any) -> Ends:
    """``"f1+l1"``, ``"f2"``, ``"l3"`` or ``"all"`` as numbers of positions. Raises ``BadAdapter``."""
    found = re.fullmatch(r"(?:f(\d+))?(?:(?<=\d)\+(?=l))?(?:l(\d+))?", positions) if isinstance(positions, str) else None
    if positions == "all":
        return None
    if not found or not any(found.groups()) or (all(found.groups()) and "+" not in positions):
        raise errors.BadAdapter(f"positions={positions!r}", ["needed 'all', or first and last ones such as 'f1+l1', 'f2', 'l3'"])
    return int(found[1] or 0), int(found[2] or 0)


def segments(ends: Sequence[Ends], length: int) -> list[tuple[int, int, tuple[bool, ...]]]:
    """A sequence cut where the set of adapters that act changes: from, to, and which act."""
    local = [pair for pair in ends if pair is not None]
    fronts, backs = sorted({0, *(p for p, _ in local)}), sorted({0, *(s for _, s in local)}, reverse=True)
    if length > fronts[-1] + backs[0]:  # without comparing cuts: an exported program has a symbol for the length
        cuts = [*fronts, *(length - s for s in backs)]
        acts = [tuple(pair is None or p < pair[0] for pair in ends) for p in fronts]
        acts += [tuple(pair is None or s <= pair[1] for pair in ends) for s in backs[:-1]]
        return [(a, b, on) for (a, b), on in zip(pairwise(cuts), acts, strict=True)]
    cuts = sorted({0, length, *(min(p, length) for p in fronts), *(max(length - s, 0) for s in backs)})
    return [(a, b, tuple(pair is None or a < pair[0] or a >= length - pair[1] for pair in ends)) for a, b in pairwise(cuts)]


def subsets(ends: Sequence[Ends]) -> Iterator[tuple[bool, ...]]:
    """Which adapters can act together: those that act everywhere, and any of the others."""
    yield from product(*((True,) if pair is None else (True, False) for pair in ends))


def among(ends: Sequence[Ends], mask: torch.Tensor) -> Iterator[tuple[torch.Tensor, tuple[bool, ...]]]:
    """Where (…, tokens) which adapters act, the ends being counted among the tokens that a mask keeps; the others count as no end."""
    place, last = mask.long().cumsum(-1) - 1, mask.long().sum(-1, keepdim=True)
    where = {k: mask & ((place < pair[0]) | (place >= last - pair[1])) for k, pair in enumerate(ends) if pair is not None}
    for acts in subsets(ends):
        here = torch.ones_like(mask)
        for k, there in where.items():
            here = here & (there if acts[k] else ~there)
        yield here, acts


def by_position(slot: Slot, act: Acting, x: torch.Tensor, run: Callable[[Acting | None, torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """A layer whose adapters act on some positions only; ``run`` is the layer under some of them, or under none."""
    e = act.expression
    if x.dim() < 2:
        raise errors.BadAdapter("positions of a single vector", [f"the input is {tuple(x.shape)}"], "needed (…, tokens, features)")
    if slot.mask is None:
        return torch.cat([run(act.of(acts), x[..., a:b, :]) for a, b, acts in segments(e.ends, x.shape[-2])], -2)
    if slot.mask.shape != x.shape[:-1]:
        rows = [f"the layer's input is {tuple(x.shape)}"]
        raise errors.BadAdapter(f"a mask of tokens {tuple(slot.mask.shape)}", rows, "needed one entry for each token")
    y = None
    for here, acts in among(e.ends, slot.mask):
        found = run(act.of(acts), x)
        y = found if y is None else torch.where(here.unsqueeze(-1), found, y)
    assert y is not None
    return y


@contextmanager
def tokens(model: nn.Module, mask: torch.Tensor) -> Iterator[nn.Module]:
    """Within it first and last positions are counted among the tokens that the mask (batch, tokens) keeps, as an attention mask does.

    Padding, left or right, is then no position; a mask of zeros edits nothing, as for the tokens that a prompt is continued with.

    >>> import torch, catlearn as cl
    >>> layer = cl.adapt(torch.nn.Linear(4, 4), cl.adapters.LoReFT(rank=1, positions="l1"))
    >>> x, base = torch.ones(1, 3, 4), torch.nn.functional.linear(torch.ones(4), layer.weight, layer.bias)
    >>> with cl.adapters.tokens(layer, torch.tensor([[1, 1, 0]])):
    ...     [bool((row == base).all()) for row in layer(x)[0]]
    [True, False, True]
    """
    from catlearn.adapters.adapting import some

    found = some(model)
    if not isinstance(mask, torch.Tensor) or mask.dim() < 1:
        raise errors.BadAdapter(f"a mask of tokens that is a {type(mask).__name__}", ["needed: a tensor (batch, tokens)"])
    if any(slot.samples is not None for _, slot in found):
        raise errors.BadAdapter("a mask of tokens within per_sample", next="use one of the two at a time")
    before = [slot.mask for _, slot in found]
    for _, slot in found:
        slot.mask = mask.bool()
    try:
        yield model
    finally:
        for (_, slot), kept in zip(found, before, strict=True):
            slot.mask = kept
