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

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from catlearn.adapters.definition import Adapter
from catlearn.adapters.rewriting import BASE, change, is_base, noisy, renamed, substituted
from catlearn.maps.affine import Affine
from catlearn.maps.algebra import add, scaled
from catlearn.maps.base import Map
from catlearn.maps.leaves import dense
from catlearn.maps.running import writing

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
    loud, layer = noisy(f), Affine(f, g)
    return Expression(f, g, layer, Affine(f, g, True) if loud else layer, Affine(f, None, loud), keys(f), keys(layer), keys(g), loud,
                      is_base(g), writing(f)[0].function, writing(g)[0].function, tuple(below))  # fmt: skip


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
