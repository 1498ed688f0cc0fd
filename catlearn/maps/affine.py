"""``Affine``: a map, a shift and dropout as one thing to plan, which is what a layer with a bias does while it learns.

Planned together, the shift is added by the product that makes the result, and what the map and the shift both end with (a diagonal, say)
is applied once to their sum. Dropout is a tensor of noise that entries are multiplied by: one more input, the same wherever the map
names it, so a chain that starts with it is planned with the others.

Law: the value at x is ``linear.apply(noise · x) + shift.dense()``, without noise ``linear.apply(x) + shift.dense()``.

>>> import torch
>>> from catlearn.maps import dense, diagonal
>>> from catlearn.maps.running import run
>>> gain = diagonal("g", 2)
>>> f = Affine(dense("W", 2, 3) >> gain, dense("b", 2, ()) >> gain)
>>> tuple(f.params), str(f)
(('W', 'g', 'b'), 'W >> diag(g), shifted by b >> diag(g)')
>>> run(f, torch.ones(1, 3), [torch.ones(2, 3), torch.tensor([1.0, 10.0]), torch.ones(2)])
tensor([[ 4., 40.]])
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from types import MappingProxyType
from typing import Any

from catlearn.core.op import Param
from catlearn.maps.base import Map, walk
from catlearn.maps.combine import Compose
from catlearn.maps.given import Shape
from catlearn.maps.leaves import Identity
from catlearn.maps.noise import Noise


@dataclass(frozen=True)
class Affine:
    """x ↦ linear(x) + shift, where ``shift`` is a map from the space () to the codomain; ``noise``: entries are dropped."""

    linear: Map
    shift: Map | None = None
    noise: bool = False

    drops: tuple[Noise, ...] = field(init=False, compare=False)  # what draws noise, each once

    def __post_init__(self) -> None:
        found = dict.fromkeys(part for part in walk(self.linear) if isinstance(part, Noise)) if self.noise else ()
        vars(self)["drops"] = tuple(found)  # found here, since torch's compiler reads it

    @property
    def dom(self) -> Shape:
        return self.linear.dom

    @property
    def cod(self) -> Shape:
        return self.linear.cod

    @cached_property
    def params(self) -> Mapping[str, Param]:
        """All parameters by name, the map's first; a name that both have is one parameter."""
        return MappingProxyType({**self.linear.params, **({} if self.shift is None else self.shift.params), **self.linear.params})

    def __hash__(self) -> int:
        return hash((self.linear, self.shift, self.noise))

    def __getstate__(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}  # not the plans that were made

    def __str__(self) -> str:
        return str(self.linear) if self.shift is None else f"{self.linear}, shifted by {self.shift}"


def common_end(f: Map, g: Map) -> tuple[Map, Map, Map] | None:
    """f = f' >> h and g = g' >> h with h as long as it can be; None if they end differently.

    >>> from catlearn.maps import dense, diagonal
    >>> common_end(dense("W", 2, 3) >> diagonal("g", 2), dense("b", 2, ()) >> diagonal("g", 2))
    (W, b, diag(g))
    """
    one, two = (h.maps if isinstance(h, Compose) else (h,) for h in (f, g))
    count = 0
    while count < min(len(one), len(two)) and one[-1 - count] == two[-1 - count]:
        count += 1
    if not count:
        return None
    return chained(one[: len(one) - count], f.dom), chained(two[: len(two) - count], g.dom), chained(one[len(one) - count :], f.cod)


def chained(maps: tuple[Map, ...], dom: Shape) -> Map:
    """The maps one after the other; the identity for none."""
    return Compose(maps) if len(maps) > 1 else maps[0] if maps else Identity(dom)
