"""Every module of the zoo as a term and back: outputs, gradients, names, in both modes; and every meaning works on it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import catlearn as cl
from tests.real_models.zoo import ZOO


def tensors(value: Any) -> list[torch.Tensor]:
    return [x for x in torch.utils._pytree.tree_leaves(value) if isinstance(x, torch.Tensor)]


def names(module: nn.Module) -> set[str]:
    """The keys of the ``state_dict``, a tied weight under its first name only."""
    first: dict[int, str] = {}
    return {name for name, value in module.state_dict(keep_vars=True).items() if first.setdefault(id(value), name) == name}


def run(module: nn.Module, args: Any, kwargs: Any) -> tuple[list[torch.Tensor], dict[str, torch.Tensor]]:
    """Outputs, and the gradients of a random function of them, on one seed."""
    module.zero_grad()
    torch.manual_seed(7)
    outs = tensors(module(*args, **kwargs))
    torch.manual_seed(8)
    total = sum(((y * torch.randn(y.shape)).sum() for y in outs if y.requires_grad), torch.zeros((), requires_grad=True))
    total.backward()
    return [y.detach() for y in outs], {name: p.grad for name, p in module.named_parameters() if p.grad is not None}


def far(a: torch.Tensor, b: torch.Tensor, least: float = 1e-3) -> float:
    """The largest difference, relative to the largest entry (an entry of ``least`` at least, so that zeros compare to something)."""
    return 0.0 if not a.numel() else float((a - b).detach().abs().max()) / max(float(a.detach().abs().max()), least)


def difference(module: nn.Module, model: nn.Module, args: Any, kwargs: Any, training: bool) -> tuple[float, float]:
    """How far outputs and gradients of the two are apart in this mode."""
    (ys, gs), (zs, hs) = run(module.train(training), args, kwargs), run(model.train(training), tensors((args, kwargs)), {})
    assert len(ys) == len(zs) and set(hs) >= set(gs)
    outputs = max((far(y.float(), z.float()) for y, z in zip(ys, zs, strict=True)), default=0.0)
    # a gradient that is 0 (of a bias before a norm) is rounding of the sums in the others
    least = max(1e-3, 1e-2 * max((float(g.abs().max()) for g in gs.values()), default=0.0))
    return outputs, max((far(g, hs[name], least) for name, g in gs.items()), default=0.0)


@pytest.mark.parametrize("name", ZOO)
def test_back_from_the_term_comes_the_same_module(name):
    module, args, kwargs = ZOO[name]()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    term = cl.categorify(module, *args, **kwargs)
    assert not module.training and all(torch.equal(before[key], value) for key, value in module.state_dict().items())
    model = cl.compile(term)
    assert not model.training and set(model.state_dict()) == names(module)
    for training in (False, True):
        outputs, gradients = difference(module, model, args, kwargs, training)
        assert outputs <= 1e-6 and gradients <= 1e-5
    for key, value in model.state_dict().items():  # what the modules keep by themselves has moved alike
        assert far(module.state_dict()[key].float(), value.float()) <= 1e-6
    counted = cl.coverage(term)
    assert counted.fraction >= KNOWN.get(name, 0.6)
    assert cl.same(term, cl.categorify(module.eval(), *args, **kwargs))


KNOWN = {"torch.TransformerEncoder": 1.0, "torch.MultiheadAttention": 1.0, "torch_geometric.Set Transformer": 1.0,
         "transformers.ViT": 0.85, "sentence.MiniLM": 0.9, "transformers.Mamba": 0.9, "e3nn.Linear": 0.85,
         "torch_geometric.GCN": 0.3, "torch_geometric.GAT": 0.5, "torch_geometric.GATv2": 0.5, "torch_geometric.SAGE": 0.7,
         "torch_geometric.PNA": 0.7, "torch_geometric.global pooling": 0.5, "torch_geometric.EdgeConv": 0.5, "torch_geometric.DGCNN": 0.5,
         "torch_geometric.GIN": 0.8, "torch_geometric.Set2Set": 0.7, "torch.LSTM": 0.3, "torch.GRU": 0.5,
         "torch.convolutions": 1.0}  # fmt: skip


def test_a_wrong_weight_is_seen():
    """The comparison above can fail: one entry of one weight, in each of a few models."""
    for name in ("transformers.BERT", "torch.LSTM", "torch_geometric.GAT"):
        module, args, kwargs = ZOO[name]()
        model = cl.compile(cl.categorify(module, *args, **kwargs))
        with torch.no_grad():
            next(p for key, p in model.named_parameters() if key.endswith(("query.weight", "weight_hh_l0", "lin.weight"))).view(-1)[0] += (
                0.1
            )
        assert max(difference(module, model, args, kwargs, False)) > 1e-5


@pytest.mark.parametrize("name", ["transformers.BERT", "torch_geometric.SAGE", "torch.LSTM", "written.EGNN"])
def test_meanings_work_on_the_term(name, tmp_path):
    module, args, kwargs = ZOO[name]()
    term = cl.categorify(module, *args, **kwargs)
    assert cl.draw(term, str(tmp_path / "net.svg")) and cl.explain(term)
    assert cl.cost(term).parameters == sum(module.state_dict()[key].numel() for key in names(module))
    again = cl.load(cl.save(term, tmp_path / "net.safetensors"))
    assert again == term
    expected, found = tensors(module(*args, **kwargs)), cl.compile(again).eval()(*tensors((args, kwargs)))
    assert all(far(y, z) <= 1e-6 for y, z in zip(expected, tensors(found), strict=True))
