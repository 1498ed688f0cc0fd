"""Sizes that are computed: they run at every size, and go through files; what is no arithmetic does not come back from one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor

import catlearn as cl
from catlearn import errors
from catlearn.interop.categorify.arithmetic import check_arithmetic

n = cl.dim("n")
COMPUTED: dict[str, Callable[[Tensor], Tensor]] = {
    "a size and one more": lambda x: x.cumsum(0).new_ones(x.shape[0] + 1),
    "a remainder": lambda x: x.cumsum(0).new_ones(x.shape[0] % 4 + 2),
    "a root": lambda x: x.cumsum(0) * x.shape[0] ** 0.5,
    "a part": lambda x: torch.clamp(x, max=1.5 * x.shape[0] / 7),
    "as many as are positive": lambda x: torch.cat([x[x > 0], x]).flip(0),
}


@pytest.mark.parametrize("name", COMPUTED)
def test_a_term_with_computed_sizes_comes_back_from_a_file(name, tmp_path):
    f = COMPUTED[name]
    term = cl.categorify(f, torch.arange(-3.0, 7.0), dynamic=[{0: n}])
    again = cl.load(cl.save(term, tmp_path / "term"))
    assert again == term
    for size in (7, 10, 13):
        x = torch.linspace(-1, 2, size)
        assert torch.allclose(cl.compile(again)(x), f(x))


GOOD = ["n", "n // 2 + 1", "max(1, n % 4)", "torch.sym_float(n) ** 0.5", "math.floor(n / m)", "(n if n > m else m)", "-n", "n**2 - 3*m"]
BAD: list[Any] = ["__import__('os')", "n.__class__", "(lambda: n)()", "[n]", "f'{n}'", "o", "n; m", "n if", "math.os", "torch.load(n)",
                  "n(m)", "max(*n)", "max(n, key=m)", "9**9**9", "n**1000", "n**m", "(n := 3)", "'a' * n", "True", "n[0]", "", 3, None,
                  "-" * 5000 + "n", "(" * 2000 + "n" + ")" * 2000]  # fmt: skip


def test_arithmetic_on_sizes_is_told_from_everything_else():
    for text in GOOD:
        check_arithmetic(text, ["n", "m"])
    for text in BAD:
        with pytest.raises(ValueError, match="no arithmetic"):
            check_arithmetic(text, ["n", "m"])
    for name in ("lambda", "a, b", "n: 3", 5, ""):
        with pytest.raises(ValueError, match="no arithmetic"):
            check_arithmetic("n", ["n", name])
    with pytest.raises(ValueError, match="no arithmetic"):
        check_arithmetic("max(n, 2)", ["n", "max"])  # a size that hides a function


@pytest.mark.parametrize(
    "edit", [{"text": "__import__('os').getcwd()"}, {"text": "n.real"}, {"where": {"tuple": [{"tuple": ["m: 0", 0, 0]}]}}]
)
def test_a_file_brings_no_other_code(edit, tmp_path):
    path = cl.save(cl.categorify(COMPUTED["a size and one more"], torch.ones(5), dynamic=[{0: n}]), tmp_path / "term")
    with safe_open(path, framework="pt") as file:
        meta, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}
    written = json.dumps(json.loads(meta["term"]))
    for k, place in enumerate(_sized(header := json.loads(written))):
        assert k < 5
        place.update(edit)
    assert json.dumps(header) != written
    path.write_bytes(safetensors.torch.save(tensors, {**meta, "term": json.dumps(header)}))
    with pytest.raises(errors.BadFile):
        cl.load(path)


def _sized(x: Any) -> list[dict[str, Any]]:
    """The places of a file at which a computed size stands."""
    inside = x.values() if isinstance(x, dict) else x if isinstance(x, list) else []
    return ([x] if isinstance(x, dict) and x.get("class") == "Sized" else []) + [y for z in inside for y in _sized(z)]
