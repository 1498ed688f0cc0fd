"""What adapters must not spend: no tensor of the weight's size in a step, no quadratic walk of a model when they are put in."""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import catlearn as cl
from catlearn import adapters as ad
from catlearn import errors
from catlearn.maps.kernels import squares


class Largest(TorchDispatchMode):
    """The most entries that an operation has given, views aside."""

    def __init__(self):
        super().__init__()
        self.entries = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for t in out if isinstance(out, tuple | list) else [out]:
            if isinstance(t, torch.Tensor) and not func.is_view:
                self.entries = max(self.entries, t.numel())
        return out


def largest(model, x):
    with Largest() as seen:
        model(x).sum().backward()
    return seen.entries


@pytest.mark.parametrize("adapter", [ad.LoRA(2), ad.DoRA(2), ad.HRA(2), ad.LoHa(2), ad.LoKr(1)], ids=lambda a: type(a).__name__)
def test_few_tokens_meet_no_tensor_of_the_weight_s_size(adapter):
    x = torch.randn(3, 512, requires_grad=True)
    assert largest(cl.adapt(nn.Linear(512, 512), adapter), x) < 512 * 512 / 2
    trained = cl.adapt(nn.Linear(512, 512), adapter, freeze="none")  # a mutant: W learns, so its gradient is of its size
    assert largest(trained, x) >= 512 * 512


def test_squares_are_sums_of_squares_and_differentiable_twice_at_zero():
    x = torch.randn(4, 3, 5, dtype=torch.float64)
    x[1] = 0
    want = (x**2).sum((1, 2))
    assert torch.allclose(squares(x, (1, 2)), want, rtol=1e-14) and squares(x.bfloat16(), (1, 2)).dtype == torch.bfloat16
    assert torch.autograd.gradgradcheck(lambda t: squares(t, (0, 2)), x.requires_grad_())
    assert torch.allclose(squares(x, (1, 2)), want) and not torch.allclose(squares(1.001 * x, (1, 2)), want)


def test_putting_adapters_in_takes_linearly_many_calls():
    import sys

    def calls(layers):
        model, count = nn.Sequential(*(nn.Linear(4, 4) for _ in range(layers))), [0]
        cl.adapt(nn.Linear(4, 4), ad.LoRA(2))  # what is made once

        def counter(frame, event, arg):
            count[0] += event == "call"

        sys.setprofile(counter)
        try:
            cl.adapt(model, ad.LoRA(2))
        finally:
            sys.setprofile(None)
        return count[0]

    few, many = calls(20), calls(80)
    assert many < 4.4 * few
    assert many + sum(range(80)) > 4.4 * few  # a mutant: one more call for each pair of layers


def test_the_plan_of_a_module_with_adapters_is_found_under_the_one_name():
    model = cl.adapt(nn.Sequential(nn.Linear(8, 8)), ad.LoRA(2))
    assert str(cl.plan(model, 16)) == str(ad.plan(model, 16))  # type: ignore[arg-type]
    with pytest.raises(errors.BadAdapter):
        cl.plan(nn.Linear(2, 2), 4)  # type: ignore[arg-type]
    with pytest.raises(errors.BadSymmetry, match="a dict has no plan"):
        cl.plan({}, 4)  # type: ignore[arg-type]
