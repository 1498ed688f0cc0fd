"""Several adapters on one weight as one map: stacked, the next acting on the last one's weight, or summed with numbers.

Laws: a stack is composition, so its order matters as far as the methods do not commute; a sum of changes is exact, without cross terms;
one adapter with the number 1 is that adapter.

>>> from catlearn.adapters import HRA, LoRA
>>> str(expression((("a", LoRA(2, alpha=2), None), ("b", HRA(2), None)), 4, 6).weight)
'reflections(b.u) >> (W + a.A >> a.B)'
>>> str(expression((("a", LoRA(2, alpha=2), 0.5), ("b", HRA(2), 2.0)), 4, 6).weight)
'-1.0·W + 0.5·(a.A >> a.B) + 2.0·(reflections(b.u) >> W)'
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F

from catlearn import errors
from catlearn.adapters.definition import Adapter
from catlearn.adapters.positions import Ends, parsed, subsets
from catlearn.adapters.rewriting import BASE, change, is_base, renamed, substituted
from catlearn.maps.affine import Affine
from catlearn.maps.algebra import add, scaled
from catlearn.maps.base import Map
from catlearn.maps.combine import Compose, Scaled, Sum
from catlearn.maps.entrywise import RowNorm
from catlearn.maps.leaves import dense
from catlearn.maps.noise import Noise, drops
from catlearn.maps.running import run, writing

Stack = tuple[tuple[str, Adapter, float | None], ...]  # names, methods, and numbers; None for a stack
Key = tuple[str, str]  # an adapter's name and a leaf of it; ("", "W") is the weight


@dataclass(frozen=True)
class Expression:
    """The weight and the bias of some adapters together, and where the values of their leaves come from."""

    weight: Map
    bias: Map
    layer: Affine  # both as one, which layers on vectors run
    loud: Affine  # the same while dropout acts
    alone: Affine  # the weight while dropout acts, for layers without a bias
    keys: tuple[Key, ...]
    layer_keys: tuple[Key, ...]
    bias_keys: tuple[Key, ...]
    noisy: bool
    keeps_bias: bool
    write: Callable[..., Any]
    write_bias: Callable[..., Any]
    below: tuple[tuple[str, Expression | None], ...]  # adapter → the expression that its W stands for; None: the weight itself
    ends: tuple[Ends, ...]  # where in a sequence each adapter acts
    fewer: Mapping[tuple[bool, ...], Expression | None]  # which act → those; empty if all act everywhere
    stuck: Map | None  # where dropout would have to act, and cannot
    made: tuple[Stack, int, Any]

    def __reduce__(self) -> Any:
        return expression, self.made

    def __deepcopy__(self, memo: Any) -> Expression:
        return self  # nothing in it changes, and the plans are kept with its maps


@lru_cache(maxsize=4096)
def expression(stack: Stack, o: int, i: Any) -> Expression:
    """The expression of these adapters on a weight of these sizes; made once, so layers of one shape share their plans."""
    W, b = dense("W", o, i, trainable=False), dense("bias", o, (), trainable=False)
    parts = [(f"{name}.", adapter.layout(o, i), number) for name, adapter, number in stack]
    formulas = [(renamed(layout.weight, prefix), renamed(layout.bias, prefix)) for prefix, layout, _ in parts]
    below: list[tuple[str, Expression | None]] = []
    if all(number is None for *_, number in parts):
        f, g = W, b
        for k, (weight, bias) in enumerate(formulas):
            below.append((stack[k][0], expression(stack[:k], o, i) if k else None))
            f, g = substituted(weight, f), substituted(bias, g, "bias")
    else:
        numbers = [1.0 if number is None else number for *_, number in parts]
        f, g = (weighted(base, [pair[k] for pair in formulas], numbers) for k, base in enumerate((W, b)))
        below = [(name, None) for name, *_ in stack]
    ends = tuple(parsed(adapter.positions) for _, adapter, _ in stack)
    some = {acts: tuple(entry for entry, on in zip(stack, acts, strict=True) if on) for acts in subsets(ends) if not all(acts)}
    fewer = {acts: expression(rest, o, i) if rest else None for acts, rest in some.items()}
    loud, layer = drops(f), Affine(f, g)
    return Expression(f, g, layer, Affine(f, g, True) if loud else layer, Affine(f, None, loud), keys(f), keys(layer), keys(g), loud,
                      is_base(g), writing(f)[0].function, writing(g)[0].function, tuple(below), ends, fewer, stuck(f),
                      (stack, o, i))  # fmt: skip


def weighted(base: Map, formulas: Sequence[Map], numbers: Sequence[float]) -> Map:
    """W + Σ nₖ (fₖ − W), with W written once."""
    own, rest = 1.0, []
    for f, number in zip(formulas, numbers, strict=True):
        if is_base(f):
            continue
        added = change(f)
        if added is None:
            own -= number
        rest.append(scaled(number, f if added is None else added))
    return add(scaled(own, base), *rest) if own else add(*rest)


def keys(f: Map | Affine) -> tuple[Key, ...]:
    """Where each parameter of a map comes from."""
    return tuple(("", name) if name in BASE else (name.partition(".")[0], name.partition(".")[2]) for name in f.params)


# -- dropout -----------------------------------------------------------------------------------------------------------


def run_noisy(f: Map, x: torch.Tensor, values: dict[str, torch.Tensor], first: Callable[..., torch.Tensor] | None = None) -> torch.Tensor:
    """f on x with entries dropped where the map says so; each part without noise runs by its own plan.

    ``first(part, x)`` runs the parts that read the layer's own input, if that is no vector; it gives vectors.
    """
    if not drops(f) or isinstance(f, RowNorm):
        return first(f, x) if first is not None else run(f, x, [values[name] for name in f.params])
    if isinstance(f, Noise):
        return F.dropout(x, f.rate, True)
    if isinstance(f, Scaled):
        return f.factor * run_noisy(f.of, x, values, first)
    if isinstance(f, Sum):
        quiet, loud = [part for part in f.maps if not drops(part)], [part for part in f.maps if drops(part)]
        found = [run_noisy(add(*quiet), x, values, first)] if quiet else []
        found += [run_noisy(part, x, values, first) for part in loud]
        return sum(found[1:], found[0])
    if isinstance(f, Compose):
        for piece in pieces(f):
            x = run_noisy(piece, x, values, first)
            first = first if isinstance(piece, Noise) else None
        return x
    raise refused(f)


def stuck(f: Map) -> Map | None:
    """The first part inside which no dropout can act on vectors, such as an entrywise product; None if there is none."""
    if not drops(f) or isinstance(f, Noise | RowNorm):
        return None
    parts = (f.of,) if isinstance(f, Scaled) else f.maps if isinstance(f, Sum | Compose) else None
    return f if parts is None else next((found for part in parts if (found := stuck(part)) is not None), None)


def refused(f: Map) -> errors.BadAdapter:
    """What is said of a part inside which dropout would have to act."""
    return errors.BadAdapter(f"dropout inside {f}", ["the adapter below has dropout, and this one multiplies its weight entry by entry"],
                             "set the dropout of the adapters below to 0, or model.eval()")  # fmt: skip


@lru_cache(maxsize=1024)
def pieces(f: Compose) -> tuple[Map, ...]:
    """A chain cut at the parts that drop something."""
    found: list[Map] = []
    for part in f.maps:
        joins = found and not drops(part) and not drops(found[-1])
        found[-1:] = [found[-1] >> part] if joins else [*found[-1:], part]
    return tuple(found)
