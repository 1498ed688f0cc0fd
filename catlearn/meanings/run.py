"""``f(x, ...)``: run a term in torch without saying anything about modules.

>>> import catlearn as cl, torch
>>> cl.relu(cl.R(2))(torch.tensor([-1.0, 2.0]))
tensor([0., 2.])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from catlearn.core.term import Term
from catlearn.meanings.initialise import check_params
from catlearn.meanings.module import Arrow, compile


def run(term: Term, inputs: Sequence[Any], params: Mapping[str, Any] | None = None, seed: int = 0) -> Any:
    """``f(x, ...)``: compile once, then run with fresh or given parameters, with gradients where the parameters ask for them."""
    cached: dict[int, Arrow] = getattr(term, "_compiled", {})
    object.__setattr__(term, "_compiled", cached)  # terms are frozen; what was compiled once is kept beside them
    if seed not in cached:
        cached[seed] = compile(term, seed=seed)
    model = cached[seed]
    if params is None:
        return model(*inputs)
    check_params(term.params, params)
    return torch.func.functional_call(model, dict(params), tuple(inputs))
