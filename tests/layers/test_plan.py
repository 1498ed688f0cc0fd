"""What would break if a plan said something else than what happens: the bytes that autograd keeps, and the strategy that runs."""

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

import catlearn as cl
from catlearn import errors
from catlearn.layers.equivariant import equivariant
from catlearn.layers.plan import plan
from catlearn.maps.sums import choose

S, A, O, SO, Sp = cl.S, cl.A, cl.O, cl.SO, cl.Sp


def kept(term, xs, dtype):
    """Bytes of the tensors that autograd keeps, beside inputs, parameters and what was made once for all calls."""
    model, runs = cl.compile(term, dtype=dtype), []
    inputs = {t.untyped_storage().data_ptr() for t in (*xs, *model.parameters())}
    for _ in range(2):
        found = {}

        def pack(t, found=found):
            if t.untyped_storage().data_ptr() not in inputs:
                found[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes(), t  # held, so that no other takes its place
            return t

        with saved_tensors_hooks(pack, lambda t: t):
            model(*xs)
        runs.append(found)
    return sum(size for place, (size, _) in runs[1].items() if place not in runs[0])  # tables are the same at every call


LAYERS = {
    "graphs": (S(12).space(2, 4), S(12).space(2, 8)),
    "sets": (S(9).space(1, 4), S(9).space(1, 4)),
    "order 3": (S(8).space(3, 2), S(8).space(2, 2)),
    "matrices": (O(4).space(2, 4), O(4).space(2, 8)),
    "symplectic": (Sp(4).space(2, 4), Sp(4).space(2, 8)),
    "volumes": (SO(3).space(2, 4), SO(3).space(2, 4)),
    "with a sign": (A(3).space(1, 4), A(3).space(2, 4)),
    "molecules": (cl.space(S(6), O(3), 4), cl.space(S(6), S(6), O(3), 4)),
}


@pytest.mark.parametrize("strategy", [None, *choose.STRATEGIES])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", LAYERS)
def test_saved_is_what_autograd_keeps(name, dtype, strategy):
    """Up to what rounds buffers up: 64 numbers for each level of features."""
    dom, cod = LAYERS[name]
    term, xs = equivariant(dom, cod, strategy=strategy), [torch.randn(5, *map(int, dom[0].shape), dtype=dtype, requires_grad=True)]
    stated, found = plan(term, 5, dtype=dtype), kept(term, xs, dtype)
    assert strategy is None or stated.layers["equivariant"].strategy == strategy
    assert abs(stated.saved - found) <= 64 * dtype.itemsize, (str(stated), found)
    if stated.layers["equivariant"].strategy == "diagrams" and name in ("graphs", "order 3"):
        assert stated.saved < xs[0].numel() * dtype.itemsize  # features at the waist, and no matrix of n⁴ or n⁵


def test_a_network_by_its_names():
    n, turns = S(cl.dim("n", min=4)), O(3)
    x, h = cl.space(n, turns, 2), cl.space(n, 3)
    net = (equivariant(x, x, name="first") @ cl.id(h)).named("body") >> equivariant(x @ h, x @ h, name="last")
    found = plan(net, 7, {"n": 10}, training=False)
    assert list(found.layers) == ["body.first", "last.0_0", "last.1_1"] and found.saved == 0
    text = str(found)
    assert "10×3 -> 10×3, 2 diagrams, 2 -> 2 channels" in text
    assert text.startswith("3 equivariant layers, 7 events of torch.float32\n")
    lead = equivariant(cl.space(S(4), S(5), 2), cl.space(S(4), S(5), 2), lead=1)
    assert plan(lead, 3).layers["equivariant"].table.tokens == 12
    assert list(plan(cl.repeat(3, equivariant(h, h)).named("deep"), sizes={"n": 5}).layers) == [f"deep.{i}.equivariant" for i in range(3)]


REFUSED = {
    "no equivariant layers": lambda: plan(cl.linear(cl.R(2), cl.R(3))),
    "from 1 on": lambda: plan(equivariant(S(4).space(1), S(4).space(1)), 0),
    "tokens='many'": lambda: plan(equivariant(S(4).space(1), S(4).space(1)), "many"),
}


@pytest.mark.parametrize("text", REFUSED)
def test_refused_with_the_reason(text):
    with pytest.raises(errors.BadSymmetry, match=text):
        REFUSED[text]()


def test_a_size_without_a_value():
    n = S(cl.dim("n", min=4))
    with pytest.raises(errors.SizeUnknown, match="n has no value in the plan of equivariant"):
        plan(equivariant(n.space(2), n.space(2)))
    with pytest.raises(errors.BadSymmetry, match="3 for n"):
        plan(equivariant(n.space(2), n.space(2)), sizes={"n": 3})
