"""The form of a family that compilers see: against dense tensors from the definition, gradients too; when it is taken, and when not."""

from __future__ import annotations

import pytest
import torch

from catlearn.maps.sums import open as opened
from catlearn.maps.sums.apply import apply
from catlearn.maps.sums.family import Family
from tests.maps.test_sums_plain import dense, orthogonal, product, symmetric, tensors

SOME = symmetric(3, 2, 2)
FAMILIES = {
    **{f"S3 {k}->{l}": symmetric(3, k, l) for k in range(4) for l in range(4) if k + l < 6},
    "O3 3->3": orthogonal(3, 3, 3),
    **{f"S4 O3 {ins}->{outs}": product(4, ins, outs) for ins, outs in (("so", "so"), ("os", "so"), ("sos", "os"), ("oss", "sso"))},
    "with holes": Family((3, 3), (3, 3), SOME.elements[1:9:2], SOME.biases),
}


def wrong(family: Family, text: str) -> float:
    """The largest difference of y and its gradients from those of the definition."""
    given = tensors(family, 2)
    ours, theirs = opened.layer(*given, text), dense(family, *given)
    dy = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1), dtype=ours.dtype)
    pairs = [(ours, theirs), *zip(*(torch.autograd.grad(y, given[:2], dy) for y in (ours, theirs)), strict=True)]
    return max(float((a - b).detach().abs().max()) for a, b in pairs)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_form_for_compilers_is_the_definition(name):
    assert wrong(FAMILIES[name], FAMILIES[name].text) < 1e-10


def test_a_flipped_block_and_a_forgotten_turn_are_seen(monkeypatch):
    exchanged = Family((3, 3), (3, 3), (SOME.elements[1], SOME.elements[0], *SOME.elements[2:]), SOME.biases)
    assert wrong(SOME, exchanged.text) > 1e-3
    monkeypatch.setattr(opened, "turned", lambda x, turn: x)
    assert wrong(SOME, SOME.text) > 1e-3


@pytest.mark.parametrize("n", [3, 70])
def test_small_families_are_open_to_compilers_and_large_ones_are_one_operator(n):
    family, seen = symmetric(n, 2, 2), []

    def backend(graph, inputs):
        seen.extend(str(node.target) for node in graph.graph.nodes)
        return graph.forward

    torch._dynamo.reset()
    compiled = torch.compile(lambda *args: apply(family, *args), fullgraph=True, backend=backend)
    given = [t.detach() for t in tensors(family, 1, c_in=8, c_out=8, dtype=torch.float32)]
    with torch.no_grad():
        torch.testing.assert_close(compiled(*given), apply(family, *given), rtol=1e-3, atol=1e-3 * n)
    assert any("catlearn" in target for target in seen) == (n == 70)


def test_any_batch_in_one_graph_with_gradients():
    compiled = torch.compile(lambda *args: apply(SOME, *args).sin(), fullgraph=True, backend="aot_eager", dynamic=True)
    for batch in (0, 2, 5):
        given = tensors(SOME, batch)
        ours, theirs = compiled(*given), dense(SOME, *given).sin()
        torch.testing.assert_close(ours, theirs)
        for a, b in zip(*(torch.autograd.grad(y.sum(), given[:2]) for y in (ours, theirs)), strict=True):
            torch.testing.assert_close(a, b)
