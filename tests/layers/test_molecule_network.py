"""What would break if distances were seen on the wrong scale: where the Gaussians start, how pairs fade, and what is refused."""

import pytest
import torch

import catlearn as cl
from catlearn import errors

F64 = torch.float64


def test_the_centres_start_at_equal_steps_up_to_the_reach():
    model = cl.compile(cl.molecule_network(4, cl.O(3), 2, channels=8, reach=4.0))
    params = dict(model.named_parameters())
    weight, bias = params["linear_1.weight"][:, 0], params["linear_1.bias"]
    assert torch.allclose(-bias / weight, torch.arange(1, 9) / 2)


def test_pairs_beyond_the_reach_are_not_seen():
    """Two atoms 40 apart may be moved further apart, or around each other: nothing changes; at distance 1 it does."""
    model = cl.compile(cl.molecule_network(3, cl.O(3), 2, channels=4, masked=True, reach=2.0), seed=0, dtype=F64)
    features, mask = torch.eye(3, 2, dtype=F64), torch.tensor([1.0, 1.0, 0.0], dtype=F64)

    def energy(distance):
        with torch.no_grad():
            return model(torch.tensor([[0, 0, 0], [distance, 0, 0], [0, 0, 0]], dtype=F64), features, mask)

    assert torch.allclose(energy(40.0), energy(50.0), rtol=1e-12) and not torch.allclose(energy(1.0), energy(1.1), rtol=1e-6)


def test_the_mean_divides_by_the_number_of_places():
    """With the same first weights the networks are one function up to the factors, and the mean's start compensates them."""
    x, f = torch.randn(2, 4, 3, dtype=F64), torch.randn(2, 4, 2, dtype=F64)
    one, other = (cl.compile(cl.molecule_network(4, cl.O(3), 2, 4, normalise=how), seed=3, dtype=F64) for how in ("sum", "mean"))
    assert torch.allclose(one(x, f), other(x, f), rtol=1e-9)
    with torch.no_grad():
        for model in (one, other):
            model.get_parameter("equivariant_1.weight").add_(0.1)
    assert not torch.allclose(one(x, f), other(x, f), rtol=1e-5)


@pytest.mark.parametrize("reach", [0, -1.0, float("inf"), float("nan"), "far", True])
def test_a_reach_that_is_no_distance_is_refused(reach):
    with pytest.raises(errors.BadSymmetry, match="reach"):
        cl.molecule_network(4, cl.O(3), 2, reach=reach)
