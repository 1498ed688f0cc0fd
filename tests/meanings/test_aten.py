"""A compiled arrow runs exactly the aten ops of the module written by hand, forward and backward: nothing extra is paid."""

import pytest
import torch

from benchmarks.nets import NETS, both
from tests.aten import recorded, training_ops


@pytest.mark.parametrize("name", NETS)
def test_same_aten_ops_and_numbers_as_by_hand(name):
    ours, peer, x = both(name)
    assert torch.equal(ours(x), peer(x))
    assert recorded(lambda: ours(x)) == recorded(lambda: peer(x))
    assert training_ops(ours, x) == training_ops(peer, x)


def test_a_net_with_one_more_view_is_told_apart():
    ours, peer, x = both("mlp 784-512-512-10, batch 128")
    assert recorded(lambda: ours(x).reshape(-1)) != recorded(lambda: peer(x))
