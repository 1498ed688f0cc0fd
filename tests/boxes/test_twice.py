"""The reverse of a reverse: torch's kernels are not the end of the line, their definitions are differentiated in turn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

import catlearn as cl
from catlearn.boxes.loss import Cosine, SquaredError
from catlearn.boxes.softmax import Softmax
from catlearn.core.op import _REGISTRY
from catlearn.core.term import Box
from catlearn.meanings import kernels, opaque
from tests.boxes.agree import check_reverse, check_twice

X = cl.R(2, 4)
Q, V, M = cl.R(2, 5, 4), cl.R(2, 5, 3), cl.boolean(5, 5)


@pytest.mark.parametrize(
    ("box", "reference"),
    [
        (cl.tanh(X), torch.tanh),
        (cl.gelu(X), F.gelu),
        (cl.silu(X), F.silu),
        (cl.leaky_relu(X), F.leaky_relu),
        (cl.softplus(X), F.softplus),
        (cl.abs(X), torch.abs),
        (cl.softmax(X, axis=0), lambda x: torch.softmax(x, -2)),
        (cl.log_softmax(X), lambda x: torch.log_softmax(x, -1)),
        (cl.logsumexp(X), lambda x: torch.logsumexp(x, -1)),
        (cl.layer_norm(X), lambda x, **p: F.layer_norm(x, (4,), **p)),
        (cl.rms_norm(X), lambda x, **p: F.rms_norm(x, (4,), **p, eps=1e-6)),
        (cl.attention(Q @ Q @ V), F.scaled_dot_product_attention),
        (cl.attention(Q @ Q @ V, causal=True), lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True)),
        (cl.attention(Q @ Q @ V @ M), lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, m.unsqueeze(-3))),
    ],
    ids=lambda value: str(value).partition(" ")[0] if isinstance(value, Box) else "",
)
def test_the_reverse_of_the_reverse_is_autograd_through_autograd(box: Any, reference: Any) -> None:
    check_twice(box, reference)


PAIR = {
    "bce": (cl.binary_cross_entropy, F.binary_cross_entropy),
    "logits": (cl.binary_cross_entropy(logits=True), F.binary_cross_entropy_with_logits),
    "soft": (cl.cross_entropy, lambda x, y: F.cross_entropy(x.flatten(0, -2), y.flatten(0, -2))),
}


@pytest.mark.parametrize("name", PAIR)
def test_the_reverse_of_the_reverse_of_a_closed_loss(name: str) -> None:
    loss, reference = PAIR[name]
    op = replace(loss(X, target=X).op, reduce=True)
    check_twice(Box(op, X @ X), reference, draw=lambda batch, g: [torch.rand(*batch, 2, 4, generator=g) * 0.8 + 0.1 for _ in range(2)])


@dataclass(frozen=True)
class RightOnce(Softmax):
    """softmax whose own rule is wrong where only the kernel's reverse looks."""

    key = "test_right_once"

    def torch(self, e: Any, x: str) -> str:
        return f"torch.softmax({x}, -1)"

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return (o.mul(outs[0], douts[0]),)


def test_a_wrong_second_derivative_is_refuted() -> None:
    box = Box(RightOnce(), X)
    with pytest.raises(AssertionError, match="fused=False"):
        check_reverse(box, lambda x: torch.softmax(x, -1))
    with pytest.raises(AssertionError, match="fused=True"):
        check_twice(box, lambda x: torch.softmax(x, -1))


# -- the same with grad mode on ----------------------------------------------------------------------------------------

A, W = cl.R(5, 4), cl.R(3)
PRODUCT = cl.box("product", W @ W, W, torch=lambda a, b: a * b)
DEPENDENT = {  # inputs that depend on each other: a copy, and a copy of which one goes through another box
    "attention, one tensor": (cl.copy(A, 3) >> cl.attention, lambda x: F.scaled_dot_product_attention(x, x, x)),
    "attention, a chain": (cl.copy(A, 3) >> cl.id(A) @ cl.tanh(A) @ cl.id(A) >> cl.attention,
                           lambda x: F.scaled_dot_product_attention(x, x.tanh(), x)),
    "a box, one tensor": (cl.copy(W) >> PRODUCT, lambda x: x * x),
    "a box, a chain": (cl.copy(W) >> cl.id(W) @ cl.tanh(W) >> PRODUCT, lambda x: x * x.tanh()),
    "a product": (cl.copy(W) >> cl.mul, lambda x: x * x),
    "a contraction": (cl.copy(W) >> cl.einsum("i, i -> "), lambda x: (x * x).sum(-1)),
}  # fmt: skip


def check_grad_mode(name: str) -> None:
    term, f = DEPENDENT[name]
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(2, *(int(n) for n in term.dom[0].shape), generator=generator, dtype=torch.float64, requires_grad=True)
    w = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    z = x * w  # not a leaf: it has a history of its own
    dy = torch.randn(f(x).shape, generator=generator, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(f(z), z, dy, create_graph=True)
    second = torch.autograd.grad(expected.square().sum(), [x, w, dy], retain_graph=True)
    for fused in (True, False):
        model = cl.compile(cl.reverse(term, fused), dtype=torch.float64)
        with torch.no_grad():
            plain = model(z, dy)
        found = model(z, dy)
        torch.testing.assert_close(plain, expected.detach())
        torch.testing.assert_close(found, plain)
        for a, b in zip(torch.autograd.grad(found.square().sum(), [x, w, dy], retain_graph=True), second, strict=True):
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("name", DEPENDENT)
def test_inputs_that_depend_on_each_other_have_their_own_cotangents_with_grad_mode_on(name: str) -> None:
    check_grad_mode(name)


@pytest.mark.parametrize("name, module", [("attention, one tensor", kernels), ("a box, a chain", opaque)])
def test_inputs_taken_as_they_are_would_be_counted_twice(name: str, module: Any, monkeypatch: Any) -> None:
    leaf = module._leaf
    monkeypatch.setattr(module, "_leaf", lambda x, again: x if again and x is not None and x.requires_grad else leaf(x, again))
    with pytest.raises(AssertionError):
        check_grad_mode(name)


# -- every fused kernel, differentiated by autograd ----------------------------------------------------------------------

P, C1, C2 = cl.R(3, 2, 5, 4), cl.R(3, 8), cl.R(3, 6, 6)
FUSED = [
    cl.relu(X), cl.sigmoid(X), cl.tanh(X), cl.gelu(X), cl.gelu(X, approximate="tanh"), cl.silu(X), cl.leaky_relu(X), cl.softplus(X),
    cl.abs(X), cl.softmax(X), cl.softmax(X, axis=0), cl.log_softmax(X), cl.mean(X), cl.layer_norm(X), cl.layer_norm(X, affine=False),
    cl.layer_norm(X, bias=False), cl.rms_norm(X), cl.rms_norm(X, affine=False), cl.batch_norm(C2), cl.batch_norm(C2, affine=False),
    cl.linear(X, cl.R(2, 3)), cl.conv1d(C1, 4, 3), cl.conv2d(C2, 4, 3), cl.max_pool1d(C1, 2), cl.max_pool2d(C2, 2), cl.avg_pool1d(C1, 2),
    cl.avg_pool2d(C2, 2), cl.adaptive_avg_pool1d(C1, 2), cl.adaptive_avg_pool2d(C2, 4), cl.embedding(cl.index(7, 3), 4),
    cl.dropout(X, 0.5), cl.attention(Q @ Q @ Q), cl.attention(Q @ Q @ Q, causal=True), cl.attention(Q @ Q @ V), cl.attention(P @ P @ P),
    cl.attention(Q @ Q @ Q @ M), cl.attention(Q @ Q @ Q @ cl.R(5, 5)), cl.mse(X, reduce=True), cl.mae(X, reduce=True),
    cl.huber(X, delta=0.5, reduce=True), cl.cross_entropy(X, target=cl.index(4, 2), reduce=True),
    cl.cross_entropy(X, target=X, reduce=True), cl.binary_cross_entropy(X), cl.binary_cross_entropy(X, reduce=True),
    cl.binary_cross_entropy(X, logits=True, reduce=True), cl.box("own", X, X, torch="{x0} ** 3 * {w}", params={"w": X}),
    cl.equivariant(cl.S(4).space(2, 2), cl.S(4).space(1, 3)),
    cl.equivariant(cl.SO(3).space(2, 2), cl.SO(3).space(1, 3)),
    cl.linear(cl.maps.dense("W", 4, 6, trainable=True) + (cl.maps.dense("A", 2, 6) >> cl.maps.dense("B", 4, 2))),
    cl.linear(cl.maps.dense("A", 2, 3) @ cl.maps.dense("B", 3, 2)),
]  # fmt: skip


def check_second(box: Any, training: bool = True) -> None:
    """The compiled reverse under autograd is autograd under autograd on the compiled box."""

    def draw(space: cl.Space) -> list[torch.Tensor]:
        """Numbers between 0.1 and 0.9, so that they are probabilities too; labels; truth values."""
        shapes = [((3,) if wire.batched else ()) + tuple(int(n) for n in wire.shape) for wire in space]  # type: ignore[arg-type]
        random = [torch.rand(shape, generator=generator, dtype=torch.float64) * 0.8 + 0.1 for shape in shapes]
        return [r.requires_grad_() if w.kind == "float" else r > 0.3 if w.kind == "bool" else (r * int(w.bound)).long()  # type: ignore[arg-type]
                for r, w in zip(random, space, strict=True)]  # fmt: skip

    generator = torch.Generator().manual_seed(5)
    model, back = (cl.compile(term, dtype=torch.float64).train(training) for term in (box, cl.reverse(box)))
    xs, dys = draw(box.dom), draw(cl.tangent(box.cod))
    floats = [x for x in xs if x.is_floating_point()]

    def seeded(f: Any, *args: Any) -> tuple[Any, ...]:
        torch.manual_seed(0)  # the noise of dropout
        ys = f(*args)
        return ys if isinstance(ys, tuple) else (ys,)

    def weights(of: Any) -> list[torch.Tensor]:
        return [p for _, p in sorted(of.named_parameters()) if p.requires_grad]

    with sdpa_kernel(SDPBackend.MATH):
        first = torch.autograd.grad(seeded(model, *xs), [*weights(model), *floats], dys, create_graph=True)
    found = seeded(back, *xs, *dys)
    to = [torch.rand(g.shape, generator=generator, dtype=g.dtype) for g in first]
    want = torch.autograd.grad(first, [*weights(model), *floats, *dys], to, allow_unused=True, materialize_grads=True)
    have = torch.autograd.grad(found, [*weights(back), *floats, *dys], to, allow_unused=True, materialize_grads=True)
    for a, b in zip((*found, *have), (*first, *want), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("box", FUSED, ids=lambda box: f"{box.op} from {box.dom}")
def test_the_compiled_reverse_of_a_fused_box_can_be_differentiated(box: Any) -> None:
    check_second(box)


def test_every_op_with_kernels_of_its_own_is_among_them() -> None:
    kinds = {kind for kind in _REGISTRY.values() if kind.__module__.startswith("catlearn.boxes") and kind.fused}
    assert kinds - {type(box.op) for box in FUSED} == {SquaredError, Cosine}  # losses that name no kernel
    assert all(box.op.fused for box in FUSED)


def test_a_fused_attention_with_a_wrong_second_derivative_is_refuted(monkeypatch: Any) -> None:
    right = kernels.attend_written_out
    monkeypatch.setattr(kernels, "attend_written_out", lambda dy, q, k, v, *more: (dy, *right(dy, q, k, v, *more)[1:]))
    with pytest.raises(AssertionError):
        check_second(cl.attention(Q @ Q @ Q))


OWN = cl.box("own", W @ W, W @ cl.R(), torch=lambda a, b, w: (a * a * b * w.exp(), (a * b).sum(-1)), params={"w": W})


@pytest.mark.parametrize("box", [cl.attention(Q @ Q @ Q, causal=True), cl.attention(Q @ Q @ Q @ M), OWN, cl.silu(X)],
                         ids=["attention", "masked attention", "own", "silu"])  # fmt: skip
def test_the_compiled_reverse_goes_through_the_transforms_of_torch(box: Any) -> None:
    model = cl.compile(cl.reverse(box), dtype=torch.float64)
    generator = torch.Generator().manual_seed(2)
    args = [torch.randn(3, *(int(n) for n in wire.shape), generator=generator, dtype=torch.float64) for wire in model.term.dom]  # type: ignore[arg-type]
    if box.dom[-1].kind == "bool":
        args[3] = args[3] > -1

    def first(x: torch.Tensor) -> torch.Tensor:
        ys = model(x, *args[1:])
        return ys[-len(box.dom) + (box.dom[-1].kind == "bool")] if isinstance(ys, tuple) else ys

    x, tangent = args[0], torch.randn(args[0].shape, generator=generator, dtype=torch.float64)
    leaf = x.clone().requires_grad_()
    (pulled,) = torch.autograd.grad(first(leaf), leaf, tangent)
    torch.testing.assert_close(torch.func.vjp(first, x)[1](tangent)[0], pulled)
    step = 1e-6
    with torch.no_grad():
        slope = (first(x + step * tangent) - first(x - step * tangent)) / (2 * step)
        batched = torch.vmap(lambda *row: model(*row))(*args)
        for a, b in zip(batched, model(*args), strict=False):
            torch.testing.assert_close(a if a.shape == b.shape else a.sum(0), b)
    with sdpa_kernel(SDPBackend.MATH):  # torch has no jvp of the other attentions
        torch.testing.assert_close(torch.func.jvp(first, (x,), (tangent,))[1], slope, rtol=1e-6, atol=1e-6)
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    for a, b in zip(compiled(*args), model(*args), strict=True):
        torch.testing.assert_close(a, b)
