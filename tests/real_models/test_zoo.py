"""The zoo: every module can be traced, and its program computes what it computes."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

from catlearn.interop.trace import trace
from tests.real_models.zoo import ZOO


def flat(out: Any) -> list[torch.Tensor]:
    return [x for x in torch.utils._pytree.tree_leaves(out) if isinstance(x, torch.Tensor)]


@pytest.mark.parametrize("name", ZOO)
def test_the_program_computes_what_the_module_computes(name):
    module, args, kwargs = ZOO[name]()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        program = trace(module, args, kwargs)
    expected = flat(module(*args, **kwargs))
    assert any(x.std() > 1e-3 for x in expected if x.numel() > 1) or "SchNet" in name  # the weights do something
    for actual, wanted in zip(flat(program.module()(*args, **kwargs)), expected, strict=True):
        torch.testing.assert_close(actual, wanted, rtol=1e-5, atol=1e-6)
    again, more, _ = ZOO[name]()
    assert all(torch.equal(a, b) for a, b in zip(module.state_dict().values(), again.state_dict().values(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(args, more, strict=True))
