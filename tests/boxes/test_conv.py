"""What would break if convolutions were not torch's, or if windows and fold were not each other's transpose."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import catlearn as cl
from catlearn import errors
from tests.aten import training_ops
from tests.boxes.agree import BATCHES, agree, check_forward, sample
from tests.labels import label

CONVS = [
    (cl.conv2d(cl.R(3, 7, 6), 4, 3), {}),
    (cl.conv2d(cl.R(3, 7, 6), 4, 3, padding=1, bias=False), {"padding": 1}),
    (cl.conv2d(cl.R(4, 9, 8), 6, (3, 2), stride=(2, 1), padding=(2, 0), dilation=(1, 3), groups=2),
     {"stride": (2, 1), "padding": (2, 0), "dilation": (1, 3), "groups": 2}),
    (cl.conv2d(cl.R(3, 5, 5), 3, 5, padding="same", groups=3), {"groups": 3, "padding": "same"}),
    (cl.conv1d(cl.R(2, 9), 4, 3, stride=2, padding=1, dilation=2), {"stride": 2, "padding": 1, "dilation": 2}),
    (cl.conv1d(cl.R(2, 9), 4, 1, bias=False), {}),
]  # fmt: skip


def in_one_graph(model, *xs):
    """The model through ``torch.compile``, which may not break its graph; no cache is left for the next test."""
    torch._dynamo.reset()
    try:
        return torch.compile(model, fullgraph=True, backend="aot_eager")(*xs)
    finally:
        torch._dynamo.reset()


def lifted(f, order):
    """A torch function of one batch axis on any number of them, by a loop over events."""

    def run(x, *args, **options):
        batch = x.shape[: x.dim() - order]
        if len(batch) < 2:
            return f(x, *args, **options)
        ys = [f(event, *args, **options) for event in x.reshape(-1, *x.shape[len(batch) :])]
        return torch.stack(ys).reshape(*batch, *ys[0].shape)

    return run


@pytest.mark.parametrize("box, options", CONVS, ids=label)
def test_convolutions_agree_with_torch(box, options):
    f = F.conv2d if box.op.axes == 2 else F.conv1d

    def reference(x, weight, bias=None):
        return lifted(f, box.op.axes + 1)(x, weight, bias, **options)

    agree(box, reference, batches=BATCHES[:2] + BATCHES[3:], aten=options.get("padding") != "same")
    agree(box, reference, batches=((2, 3),), bits=False, aten=False)  # a loop adds the weight's cotangents in another order


@pytest.mark.parametrize("box, options", [
    (cl.conv2d(cl.R(2, 4, 7, 6), 6, 3, padding=1, groups=2), {"padding": 1, "groups": 2}),
    (cl.conv1d(cl.R(2, 3, 4, 9), 5, 3, stride=2), {"stride": 2}),
], ids=label)  # fmt: skip
def test_axes_before_the_channels_are_so_many_pictures(box, options):
    f = F.conv2d if box.op.axes == 2 else F.conv1d

    def reference(x, weight, bias):
        return lifted(f, box.op.axes + 1)(x, weight, bias, **options)

    agree(box, reference, batches=((), (3,)), bits=False, aten=False)


def test_a_convolution_with_another_padding_is_told_apart():
    with pytest.raises(AssertionError, match="off by"):
        check_forward(CONVS[1][0], lambda x, weight: F.pad(F.conv2d(x, weight), (1, 1, 1, 1)))


def test_starts_as_torch_starts():
    box, hand = cl.conv2d(cl.R(6, 8, 8), 10, (3, 5), groups=2), nn.Conv2d(6, 10, (3, 5), groups=2)
    model = cl.compile(box)
    assert [tuple(p.shape) for p in model.parameters()] == [tuple(p.shape) for p in hand.parameters()]
    bound = (3 * 3 * 5) ** -0.5
    for p in (*model.parameters(), *hand.parameters()):
        assert p.abs().max() <= bound
    assert model.conv2d.weight.abs().max() > 0.9 * bound


class ByHand(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv2d = nn.Conv2d(3, 8, 3, padding=1)
        self.conv2d_1 = nn.Conv2d(8, 8, 3, stride=2)
        self.linear = nn.Linear(8 * 3, 5)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv2d(x)), 2)
        x = F.relu(self.conv2d_1(x))
        return self.linear(x.flatten(-3, -1))


def net():
    convs = cl.conv2d(cl.R(3, 8, 15), 8, 3, padding=1) >> cl.relu >> cl.max_pool2d(2) >> cl.conv2d(8, 3, stride=2) >> cl.relu >> cl.flatten
    return convs >> cl.linear(convs.cod, cl.R(5))


def test_a_conv_net_runs_the_aten_ops_of_the_module_by_hand():
    model, hand, x = cl.compile(net()), ByHand(), torch.randn(4, 3, 8, 15)
    hand.load_state_dict(model.state_dict())
    assert torch.equal(model(x), hand(x))
    assert training_ops(model, x) == training_ops(hand, x)
    assert training_ops(cl.compile(cl.relu(cl.R(3, 8, 15)) >> net()), x) != training_ops(hand, x)  # the recorder sees one op more


def test_compiles_in_one_graph():
    model, x = cl.compile(net()), torch.randn(2, 3, 8, 15)
    assert torch.allclose(in_one_graph(model, x), model(x))


@pytest.mark.parametrize(
    "kernel, stride, dilation, shape", [((2,), (3,), (2,), (2, 10)), ((2, 3), (1, 2), (3, 1), (5, 6)), ((3,), (1,), (1,), (3,))]
)
def test_fold_is_the_transpose_of_windows(kernel, stride, dilation, shape):
    unfold = cl.windows(cl.R(*shape), kernel, stride, dilation)
    fold = cl.fold(unfold.cod, shape[-len(kernel) :], kernel, stride, dilation)
    assert fold.cod == unfold.dom
    g = torch.Generator().manual_seed(0)
    for batch in BATCHES[:3]:
        (x,), (w,) = sample(unfold.dom, batch, g), sample(unfold.cod, batch, g)
        left, right = (unfold(x) * w).sum(), (x * fold(w)).sum()
        assert abs(left - right) < 1e-10
        assert abs((cl.scale(fold.cod, 1.1)(fold(w)) * x).sum() - left) > 1e-10  # a mutant is no transpose
    assert fold(torch.zeros(0, *map(int, unfold.cod[0].shape))).shape == (0, *shape)


def test_windows_and_fold_are_each_others_reverse():
    unfold = cl.windows(cl.R(2, 7), (3,), (2,), (1,))
    agree(unfold, lambda x: x.unfold(-1, 3, 2), defined=False, aten=False)
    fold = cl.fold(unfold.cod, (7,), (3,), (2,), (1,))

    def matrix(w):  # window i lies on the entries 2 i, 2 i + 1, 2 i + 2
        return sum(w[..., i, :] @ torch.eye(7, dtype=w.dtype)[2 * i : 2 * i + 3] for i in range(3))

    agree(fold, matrix, defined=False, aten=False, bits=False)


def test_symbolic_sizes():
    n = cl.dim("n")
    f = cl.conv2d(cl.R(3, n, n), 4, 3, padding=1) >> cl.relu >> cl.max_pool2d(1) >> cl.conv2d(2, 3)
    assert f.cod == cl.R(2, n - 2, n - 2)
    assert cl.conv1d(cl.R(1, 2 * n), 1, 3, stride=2, padding=1).cod == cl.R(1, n)
    assert cl.compile(f)(torch.randn(5, 3, 6, 6)).shape == (5, 2, 4, 4)
    x = torch.randn(2, 3, 5, 5, dtype=torch.float64)
    model = cl.compile(f, dtype=torch.float64)
    params = dict(model.named_parameters())
    expected = torch.autograd.grad(model(x).sum(), [params[k] for k in sorted(params)])
    for fused in (True, False):
        found = cl.compile(cl.reverse(f, fused), params)(x, torch.ones(2, 2, 3, 3, dtype=torch.float64))
        for a, b in zip(found, expected, strict=False):
            assert torch.allclose(a, b, 1e-10, 1e-10)


@pytest.mark.parametrize("make, text", [
    (lambda: cl.conv2d(cl.R(3, 2, 9), 4, 3), "axes of at least 3"),
    (lambda: cl.conv2d(cl.R(3, 9), 4, 3), r"R\(\.\., channels, H, W\)"),
    (lambda: cl.conv1d(cl.index(3, 2, 9), 4, 3), "float wire"),
    (lambda: cl.conv2d(cl.R(3, 9, 9), 4, 3, groups=2), "2 groups divide"),
    (lambda: cl.conv2d(cl.R(3, 9, 9), 4, (3, 3, 3)), "or 2 of them"),
    (lambda: cl.conv2d(cl.R(3, 9, 9), 4, 3, stride=0), "from 1 on"),
    (lambda: cl.conv2d(cl.R(3, 9, 9), 4, 2, padding="same"), "odd length"),
    (lambda: cl.conv2d(cl.R(3, 9, 9), 0, 3), "from 1 on"),
    (lambda: cl.fold(cl.R(2, 3), (9,), (3,), (1,), (1,)), "windows of"),
    (lambda: cl.windows(cl.R(3), (2, 2), (1, 1), (1, 1)), "at least 2 axes"),
])  # fmt: skip
def test_bad_convolutions_are_refused_by_name(make, text):
    with pytest.raises(errors.BadBox, match=text):
        make()


def test_exact_meaning_of_a_small_convolution():
    from catlearn.meanings.exact import evaluate

    box = cl.conv1d(cl.R(1, 4), 1, 2, padding=1, bias=False)  # 1 2 3 4 padded, each entry times 1 plus the next times 10
    assert evaluate(box, "rationals", [[[1, 2, 3, 4]]], {"conv1d.weight": [[[1, 10]]]}).array.tolist() == [[10, 21, 32, 43, 4]]
    x = {"conv1d.weight": torch.tensor([[[1.0, 10.0]]])}
    back = cl.reverse(box, fused=False)
    dweight, dx = evaluate(back, "rationals", [[[1, 2, 3, 4]], [[1, 1, 1, 1, 1]]], x)
    assert dweight.array.tolist() == [[[10, 10]]] and dx.array.tolist() == [[11] * 4]
