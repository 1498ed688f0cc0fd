"""What would break if pooling were not torch's."""

import pytest
import torch
import torch.nn.functional as F

import catlearn as cl
from catlearn import errors
from tests.boxes.agree import BATCHES, agree, check_forward
from tests.boxes.test_conv import lifted

X1, X2 = cl.R(3, 9), cl.R(2, 7, 8)
POOLS = [
    (cl.max_pool1d(X1, 2), lambda x: F.max_pool1d(x, 2)),
    (cl.max_pool1d(X1, 3, stride=1, padding=1, dilation=2), lambda x: F.max_pool1d(x, 3, 1, 1, 2)),
    (cl.max_pool2d(X2, 2), lambda x: F.max_pool2d(x, 2)),
    (cl.max_pool2d(X2, (3, 2), stride=(1, 2), padding=(1, 0)), lambda x: F.max_pool2d(x, (3, 2), (1, 2), (1, 0))),
    (cl.avg_pool1d(X1, 4, stride=2, padding=2), lambda x: F.avg_pool1d(x, 4, 2, 2)),
    (cl.avg_pool2d(X2, (2, 3)), lambda x: F.avg_pool2d(x, (2, 3))),
    (cl.avg_pool2d(X2, 3, stride=2, padding=1), lambda x: F.avg_pool2d(x, 3, 2, 1)),
    (cl.adaptive_avg_pool1d(X1, 4), lambda x: F.adaptive_avg_pool1d(x, 4)),
    (cl.adaptive_avg_pool2d(X2, (3, 5)), lambda x: F.adaptive_avg_pool2d(x, (3, 5))),
    (cl.adaptive_avg_pool2d(X2), lambda x: F.adaptive_avg_pool2d(x, 1)),
    (cl.global_avg_pool1d(X1), lambda x: x.mean(-1)),
    (cl.global_avg_pool2d(X2), lambda x: x.mean((-2, -1))),
]


@pytest.mark.parametrize("box, f", POOLS, ids=lambda p: str(p) if isinstance(p, cl.Term) else "")
def test_pools_agree_with_torch(box, f):
    agree(box, lifted(f, len(box.dom[0].axes)), batches=BATCHES, aten=True)


@pytest.mark.parametrize("box, f", [
    (cl.max_pool2d(cl.R(3, 2, 7, 8), (3, 2), padding=(1, 0)), lambda x: F.max_pool2d(x, (3, 2), padding=(1, 0))),
    (cl.avg_pool1d(cl.R(2, 2, 2, 9), 4, stride=2), lambda x: F.avg_pool1d(x, 4, 2)),
    (cl.adaptive_avg_pool2d(cl.R(2, 2, 7, 8), (3, 5)), lambda x: F.adaptive_avg_pool2d(x, (3, 5))),
], ids=lambda p: str(p) if isinstance(p, cl.Term) else "")  # fmt: skip
def test_axes_before_the_channels_are_so_many_pictures(box, f):
    agree(box, lifted(f, box.op.axes + 1), batches=((), (3,)), bits=False, aten=False)


def test_another_window_is_told_apart():
    with pytest.raises(AssertionError, match="off by"):
        check_forward(POOLS[0][0], lambda x: -F.max_pool1d(-x, 2))


def test_ties_torch_gives_all_to_the_first_the_definition_shares():
    box, x, dy = cl.max_pool1d(cl.R(1, 2), 2), torch.zeros(1, 2), torch.ones(1, 1)
    assert cl.reverse(box)(x, dy).tolist() == [[1.0, 0.0]]
    assert cl.reverse(box, fused=False)(x, dy).tolist() == [[0.5, 0.5]]


@pytest.mark.parametrize("make, text", [
    (lambda: cl.max_pool2d(cl.R(1, 2, 9), 3), "axes of at least 3"),
    (lambda: cl.max_pool2d(cl.R(1, 9), 3), r"R\(\.\., channels, H, W\)"),
    (lambda: cl.avg_pool1d(cl.R(1, 9), 3, padding=2), "half of the kernel"),
    (lambda: cl.adaptive_avg_pool2d(cl.R(1, 0, 9), 2), "without empty axes"),
    (lambda: cl.adaptive_avg_pool2d(X2, (1, 2, 3)), "or 2 of them"),
    (lambda: cl.avg_pool2d(cl.boolean(1, 9, 9), 3), "float wire"),
])  # fmt: skip
def test_bad_pools_are_refused_by_name(make, text):
    with pytest.raises(errors.BadBox, match=text):
        make()
