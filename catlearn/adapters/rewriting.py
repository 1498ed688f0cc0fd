"""Formulas as data: renaming leaves, putting a map in W's place, what a formula adds to W, a bound of the change's rank.

>>> from catlearn.maps import dense
>>> W, A, B = dense("W", 4, 5), dense("A", 2, 5), dense("B", 4, 2)
>>> f = W + (A >> B)
>>> str(renamed(f, "x.")), str(change(f)), rank_of_change(f)
('W + x.A >> x.B', 'A >> B', 2)
>>> str(substituted(f, W + dense("D", 4, 5)))
'W + D + A >> B'
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import reduce
from typing import Any

from catlearn.core.op import Param
from catlearn.maps.algebra import add, scaled, tensor, then
from catlearn.maps.base import Map
from catlearn.maps.combine import Compose, Scaled, Sum, Tensor
from catlearn.maps.entrywise import RowNorm
from catlearn.maps.given import size
from catlearn.maps.leaves import Dense, Identity
from catlearn.maps.noise import Noise, drops
from catlearn.maps.reflections import Reflection

BASE = ("W", "bias")  # the weight and the bias that a formula is about


def leaves(f: Map) -> Mapping[str, Param]:
    """The parameters of a formula beside ``W`` and ``bias`` themselves."""
    return {name: param for name, param in f.params.items() if name not in BASE}


def rebuilt(f: Map, replaced: Callable[[Map], Map | None]) -> Map:
    """The same expression with parts replaced where the function gives another map; units are dropped, sums and chains flat."""
    if (found := replaced(f)) is not None:
        return found
    if isinstance(f, Compose | Sum | Tensor):
        parts = [rebuilt(part, replaced) for part in f.maps]
        return reduce(then, parts) if isinstance(f, Compose) else add(*parts) if isinstance(f, Sum) else tensor(*parts)
    if isinstance(f, Scaled):
        return scaled(f.factor, rebuilt(f.of, replaced))
    return replace(f, **{field.name: _again(getattr(f, field.name), replaced) for field in fields(f)})


def _again(value: Any, replaced: Callable[[Map], Map | None]) -> Any:
    if isinstance(value, Map):
        return rebuilt(value, replaced)
    if type(value) is tuple and any(isinstance(v, Map | tuple) for v in value):
        return tuple(_again(v, replaced) for v in value)
    return value


def renamed(f: Map, prefix: str) -> Map:
    """Every leaf but W and b with a prefix."""

    def other(part: Map) -> Map | None:
        if isinstance(part, Noise):  # two adapters drop different entries
            return replace(part, name=prefix + part.name)
        own = tuple(part.own)
        return replace(part, name=prefix + own[0]) if own and own[0] not in BASE else None  # type: ignore[call-arg]

    return rebuilt(f, other)


def substituted(f: Map, base: Map, name: str = "W") -> Map:
    """A map in the place of W (or b). Where the lengths of its rows are asked for, nothing of it is dropped."""

    def other(part: Map) -> Map | None:
        if isinstance(part, RowNorm) and drops(base):
            return replace(part, of=substituted(part.of, silent(base), name))
        return base if isinstance(part, Dense) and part.name == name else None

    return rebuilt(f, other)


def silent(f: Map) -> Map:
    """The map without dropout."""
    return rebuilt(f, lambda part: Identity(part.dom) if isinstance(part, Noise) else None)


def is_base(f: Map) -> bool:
    """Whether this is W or b itself."""
    return isinstance(f, Dense) and f.name in BASE


def summands(f: Map) -> tuple[Map, ...]:
    """The summands of a map."""
    return f.maps if isinstance(f, Sum) else (f,)


def change(f: Map) -> Map | None:
    """What is added to W, if the formula is W plus something that is not W again; None if it is not of this form."""
    parts = summands(f)
    rest = [part for part in parts if not is_base(part)]
    return add(*rest) if len(rest) == len(parts) - 1 and rest else None


def drops_inputs(f: Map) -> bool:
    """Whether dropout acts on inputs only: at the front of chains."""
    if not drops(f) or isinstance(f, Noise):
        return True
    if isinstance(f, Compose):
        front = next((k for k, part in enumerate(f.maps) if not isinstance(part, Noise)), len(f.maps))
        return all(drops_inputs(f.maps[k]) if k == front else not drops(f.maps[k]) for k in range(front, len(f.maps)))
    return isinstance(f, Sum | Scaled) and all(drops_inputs(part) for part in (f.maps if isinstance(f, Sum) else (f.of,)))


def rank_of_change(f: Map) -> int:
    """A bound of the rank of ``f − W``."""
    whole = min(size(f.dom), size(f.cod))
    if is_base(f):
        return 0
    if (added := change(f)) is not None:
        return min(whole, added.rank_bound)
    if isinstance(f, Compose):  # f = L W R with L and R near the identity: L W R − W = (L − 1) W R + W (R − 1)
        inner = [k for k, part in enumerate(f.maps) if "W" in part.params]
        if len(inner) == 1:
            outside = [part for k, part in enumerate(f.maps) if k != inner[0]]
            return min(whole, rank_of_change(f.maps[inner[0]]) + sum(map(_from_identity, outside)))
    return whole


def _from_identity(f: Map) -> int:
    """A bound of the rank of f − 1, for f of a space into itself."""
    whole = size(f.dom)
    if isinstance(f, Identity):
        return 0
    if isinstance(f, Reflection):
        return min(whole, f.count)
    rest = [part for part in summands(f) if not isinstance(part, Identity)]
    return min(whole, add(*rest).rank_bound) if rest and len(rest) == len(summands(f)) - 1 else whole
