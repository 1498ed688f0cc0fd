"""More models as terms and back, and what is true of them and what is not; each claim was written down before the prover was asked."""

from __future__ import annotations

from typing import Any

import pytest

import catlearn as cl
from tests.real_models.claims import EDGES, GRAPH, NODES, ROWS, Part, hidden, ids, n, pooled, q, same_place
from tests.real_models.more import MORE
from tests.real_models.test_round_trip import difference, far, names

# their two modes are two programs: layers are left out at random, memory is handed out in one only, vectors are iterated in one only
ONE_MODE = ("transformers.BART", "transformers.XLNet", "transformers.Swin", "written.Fourier")


@pytest.mark.parametrize("name", MORE)
def test_back_from_the_term_comes_the_same_module(name):
    module, args, kwargs = MORE[name]()
    for given in (False, True) if name in ONE_MODE else (False,):
        term = cl.categorify(module.train(given), *args, **kwargs)
        assert module.training is given
        model = cl.compile(term)
        assert model.training is given and set(model.state_dict()) == names(module)
        for training in (given,) if name in ONE_MODE else (False, True):
            outputs, gradients = difference(module, model, args, kwargs, training)
            assert outputs <= 1e-6 and gradients <= 1e-5
        for key, value in model.state_dict().items():  # what the modules keep by themselves has moved alike
            assert far(module.state_dict()[key], value) <= 1e-6


def test_a_term_of_each_kind_comes_back_from_a_file(tmp_path):
    for name in ("transformers.Mixtral", "torch_geometric.SG", "written.U-Net", "written.Fourier"):
        module, args, kwargs = MORE[name]()
        term = cl.categorify(module, *args, **kwargs)
        assert cl.load(cl.save(term, tmp_path / "term")) == term == cl.categorify(module, *args, **kwargs)


def moved(y: Any) -> Any:
    return y[0]


def flat(y: Any) -> Any:
    return y.pooler_output.flatten(1)


SOURCE, TARGET = cl.S(n, name="source"), cl.S(q, name="target")
ON_EDGES = cl.space(EDGES, 3)
# model, what acts, verdict, dom, cod, what is read of its answer, how it is called
CLAIMS: list[tuple[Any, ...]] = [
    *((f"transformers.{name}", "rows", "proved", ids(ROWS, 6), cl.space(ROWS, 6, 16), hidden)
      for name in ("RoBERTa", "ALBERT", "DeBERTa-v2", "Llama", "BLOOM")),
    *((f"transformers.{name}", "tokens", "refuted", ids(2, cl.S(6)), cl.space(2, cl.S(6), 16), hidden)
      for name in ("RoBERTa", "XLNet", "Llama", "BLOOM", "FNet")),
    *((f"transformers.{name}", "tokens at one place", "proved", ids(2, NODES), cl.space(2, NODES, 16), hidden, same_place)
      for name in ("RoBERTa", "ALBERT")),
    ("transformers.ConvNeXt", "images", "proved", cl.space(ROWS, 3, 16, 16), cl.space(ROWS, 16), pooled),
    ("transformers.ResNet", "images", "proved", cl.space(ROWS, 3, 32, 32), cl.space(ROWS, 16), flat),
    ("transformers.ResNet", "shifts", "refuted", cl.space(2, 3, 32, cl.Z(32)), cl.R(2, 16), flat),
    ("transformers.Swin", "shifts", "refuted", cl.space(2, 3, 16, cl.Z(16)), cl.R(2, 16), pooled),
    ("transformers.Whisper encoder", "rows", "proved", cl.space(ROWS, 8, 20), cl.space(ROWS, 10, 16), hidden),
    ("written.U-Net", "shifts", "refuted", cl.space(2, 3, 8, cl.Z(8)), cl.space(2, 2, 8, cl.Z(8))),
    ("written.MLP-Mixer", "images", "proved", cl.space(ROWS, 3, 8, 8), cl.space(ROWS, 8, 5)),
    ("written.WaveNet", "rows", "proved", cl.space(ROWS, 1, 12), cl.space(ROWS, 3, 12)),
    ("written.WaveNet", "shifts", "refuted", cl.space(2, 1, cl.Z(12)), cl.space(2, 3, cl.Z(12))),
    ("written.WaveNet on a circle", "shifts", "proved", cl.space(2, 1, cl.Z(12)), cl.space(2, 3, cl.Z(12))),
    ("written.WaveNet on a circle", "permutations", "refuted", cl.space(2, 1, cl.S(12)), cl.space(2, 3, cl.S(12))),
    ("torch.Transformer", "source and target", "proved", cl.space(2, SOURCE, 8) @ cl.space(2, TARGET, 8), cl.space(2, TARGET, 8)),
    ("torch.Transformer", "source into target", "refuted", cl.space(2, cl.S(4), 8) @ cl.R(2, 4, 8), cl.space(2, cl.S(4), 8)),
    ("torch.LSTM both ways", "rows", "proved", cl.space(ROWS, 5, 6), cl.space(ROWS, 5, 16), moved),
    ("torch.layers in space", "rows", "proved", cl.space(ROWS, 1, 5, 5, 5), cl.space(ROWS, 16)),
    ("written.decoder", "time", "refuted", cl.index(10, 2, cl.S(4)) @ cl.R(2, 8), cl.space(2, cl.S(4), 10), moved),
    ("written.Fourier", "permutations", "refuted", cl.space(2, 3, cl.S(8)), cl.space(2, cl.S(8), 4)),
    ("written.Fourier", "shifts", "unknown", cl.space(2, 3, cl.Z(8)), cl.space(2, cl.Z(8), 4)),  # true: a filter on frequencies
    ("written.latent", "rows", "unknown", cl.space(ROWS, 6), cl.space(ROWS, 6), moved),  # only in distribution
    *((f"torch_geometric.{name}", "nodes and edges", "proved", cl.space(NODES, 6) @ GRAPH, cl.space(NODES, width))
      for name, width in (("APPNP", 6), ("ARMA", 4), ("TAG", 4), ("SG", 4), ("GIN of two layers", 4))),
    *((f"torch_geometric.{name}", "nodes without the graph", "refuted", cl.space(cl.S(7), 6) @ cl.index(7, 2, 12), cl.space(cl.S(7), width))
      for name, width in (("GatedGraph", 8), ("APPNP", 6), ("TAG", 4), ("GIN of two layers", 4))),
    *((f"torch_geometric.{name}", "nodes, edges, what they hold", "proved", cl.space(NODES, 6) @ GRAPH @ ON_EDGES, cl.space(NODES, width))
      for name, width in (("Transformer", 8), ("GINE", 4), ("NNConv", 4))),
    ("torch_geometric.GINE", "edges without what they hold", "refuted", cl.R(7, 6) @ cl.index(7, 2, cl.S(12)) @ cl.R(12, 3), cl.R(7, 4)),
    ("torch_geometric.PointNet", "nodes, edges, translations", "proved", cl.space(NODES, 6) @ cl.space(NODES, cl.T(3)) @ GRAPH,
     cl.space(NODES, 4)),
    ("torch_geometric.PointNet", "rotations", "refuted", cl.R(7, 6) @ cl.space(7, cl.O(3)) @ cl.index(7, 2, 12), cl.R(7, 4)),
]  # fmt: skip


@pytest.mark.parametrize("row", CLAIMS, ids=lambda row: f"{row[0]}: {row[1]}")
def test_what_is_true_is_proved_and_what_is_false_is_refuted(row):
    name, _, verdict, dom, cod, *how = row
    module, _, _ = MORE[name]()
    part = Part(module, how[0] if how else lambda y: y, {}, how[1] if len(how) > 1 else None)
    report = cl.verify.equivariant(part, dom, cod)
    assert report.verdict == verdict, report
    assert bool(report.certificate) == (verdict == "proved") and bool(report.counterexample) == (verdict == "refuted")
