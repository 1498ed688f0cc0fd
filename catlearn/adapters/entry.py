"""``cl.adapt``: adapters for a torch module (in place) or for a term (a new term)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from torch import nn

from catlearn import errors
from catlearn.adapters.adapting import put
from catlearn.adapters.definition import Adapter
from catlearn.core.term import Term

T = TypeVar("T", bound="nn.Module | Term")


def adapt(model: T, adapter: Adapter, where: str | Callable[[str, Any], bool] = "*", name: str = "default", freeze: str = "all",
          seed: int = 0, data: Mapping[str, Any] | None = None) -> T:  # fmt: skip
    """Puts an adapter on the layers that a pattern or a predicate ``(name, module) → bool`` means.

    A module is changed in place and given back; a term gives a new term, its predicate is ``(name, Param) → bool``. ``freeze``: what of
    the model learns no more, ``"all"``, the ``"adapted"`` weights, or ``"none"``. On a module a further adapter acts on what the earlier
    ones give; on a term, where cells precompose, it acts on the weight before the earlier ones do.
    ``data``: layer → tensor, for methods that start from inputs or gradients.

    Raises ``NothingMatched`` (with what exists), ``CannotAdapt``, ``BadAdapter``; then nothing has changed.

    >>> import torch, catlearn as cl
    >>> net = cl.linear(cl.R(4), cl.R(8), name="stem") >> cl.relu
    >>> tuned = cl.adapt(net, cl.adapters.LoRA(rank=2), where="stem")
    >>> [name for name, p in tuned.params.items() if p.trainable]
    ['stem.default.A', 'stem.default.B']
    """
    if not isinstance(where, str) and not callable(where):
        following = f"where={'|'.join(map(str, where))!r}" if isinstance(where, list | tuple | set) else "a pattern on dotted names"
        raise errors.BadAdapter(f"where={where!r}", ["needed: a string, or a function (name, module) → bool"], following)
    if isinstance(model, Term):
        from catlearn.adapters.terms import adapt_term

        return adapt_term(model, adapter, where, name, freeze, seed, data or {})  # type: ignore[return-value]
    if not isinstance(model, nn.Module):
        raise errors.BadAdapter(f"a {type(model).__name__} cannot be adapted", ["needed: a torch module or a term of catlearn"])
    return put(model, adapter, where, name, freeze, seed, data or {})  # type: ignore[return-value]
