"""What ``equal`` compares, as terms: a module or a function of tensors becomes one by ``categorify``, on inputs that the other gives.

A module is compared in the mode in which it is, so in evaluation its dropout is nothing. Its parameters have its own names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from catlearn import errors
from catlearn.core.spaces import Space
from catlearn.core.term import Term
from catlearn.interop.categorify.main import traced
from catlearn.verify.claims import dynamic as symbols_of
from catlearn.verify.claims import example, example_sizes

Compared = Term | Callable[..., Any]


def as_terms(f: Any, g: Any, inputs: Sequence[Any] | torch.Tensor | None, dynamic: Any) -> tuple[Term, Term]:
    """The two as terms. Raises ``BadClaim`` for what is none and cannot be made one, ``CannotTrace`` as ``categorify`` does."""
    for name, x in (("f", f), ("g", g)):
        if not isinstance(x, Term) and not callable(x):
            raise errors.BadClaim(f"{name} is {type(x).__name__}, which is no term, no module and no function of tensors")
    known = next((x for x in (f, g) if isinstance(x, Term)), None)
    if isinstance(inputs, torch.Tensor):
        inputs = (inputs,)
    if known is None and inputs is None:
        raise errors.BadClaim("f and g are modules or functions, and do not say what goes in",
                              next="equal(f, g, inputs=(x,)) with example inputs; dynamic= names sizes that may vary")  # fmt: skip

    def term(x: Any) -> Term:
        if isinstance(x, Term):
            return x
        if inputs is not None:
            return traced(x, inputs, {}, dynamic, follow=False)
        assert known is not None
        return traced(x, _examples(known.dom, x), {}, symbols_of(known.dom, ()), follow=False)

    return term(f), term(g)


def _examples(dom: Space, x: Any) -> list[torch.Tensor]:
    """Inputs of the shapes that the other term takes."""
    dtype = next((p.dtype for p in x.parameters() if p.is_floating_point()), torch.float32) if isinstance(x, nn.Module) else torch.float32
    sizes = example_sizes(dom, ())
    return [example(wire, (), sizes, i, dtype) for i, wire in enumerate(dom)]


def unmatched(f: Term, g: Term) -> str:
    """Which parameters have no partner of the same name, in words; empty if there is none."""
    sides = [(side, [name for name in a.params if name not in b.params]) for side, a, b in (("f", f, g), ("g", g, f))]
    rows = [f"{side} alone has {', '.join(names[:4])}{', ...' if len(names) > 4 else ''}" for side, names in sides if names]
    return f'parameters are matched by name, and {"; ".join(rows)}; cl.same(f, g, names="by use") pairs them by use' if rows else ""


__all__ = ["Compared", "as_terms", "unmatched"]
