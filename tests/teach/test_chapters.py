"""The chapters on symmetry: their data against networkx and ase, their words against sums, their pictures against numbers."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import networkx as nx
import numpy as np
import pytest
import torch

import catlearn as cl
from catlearn.cli import main
from catlearn.errors import MissingPackage
from catlearn.teach.demo import _molecules, chapters, graphs, layer, run_demo
from catlearn.teach.demo._graphs import adjacency, known_graphs, random_graphs, spectral_radius, statistics, unlike
from catlearn.teach.demo._molecules import molecules
from catlearn.teach.demo.molecules import composition
from catlearn.teach.demo.molecules import network as molecule_network
from catlearn.teach.figures import drawing, scatter, weights
from catlearn.teach.report import external

# --- graphs -----------------------------------------------------------------------------------------------------------


def test_random_graphs_are_simple_and_the_same_every_time() -> None:
    found = random_graphs(10, 24, seed=3)[..., 0]
    assert torch.equal(found, found.mT) and not found.diagonal(dim1=-2, dim2=-1).any()
    assert set(found.unique().tolist()) == {0.0, 1.0} and len({tuple(g.flatten().tolist()) for g in found}) > 20
    assert torch.equal(random_graphs(10, 24, seed=3)[..., 0], found) and not torch.equal(random_graphs(10, 24, seed=4)[..., 0], found)


@pytest.mark.parametrize("name", ["Zachary's karate club", "Les Misérables", "petersen"])
def test_the_target_is_the_largest_eigenvalue_that_networkx_finds(name: str) -> None:
    graph = known_graphs()[name]
    found = adjacency(graph)
    assert np.array_equal(found[..., 0].numpy(), nx.to_numpy_array(graph, weight=None))
    largest = max(nx.adjacency_spectrum(graph, weight=None).real)
    assert spectral_radius(found).item() == pytest.approx(largest / (len(graph) - 1), rel=1e-5)


def test_the_statistics_of_a_star() -> None:
    star = adjacency(nx.star_graph(4))  # degrees 4, 1, 1, 1, 1
    assert statistics(star).tolist() == pytest.approx([1, 8 / 5 / 4, 20 / 8 / 4, 1 / 5])


def test_graphs_that_were_seen_under_other_names_are_left_out() -> None:
    seen, asked = random_graphs(12, 48, seed=0), random_graphs(12, 48, seed=1)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    left = unlike(torch.cat([asked, seen[:, order][:, :, order]]), seen)
    assert 30 <= len(left) <= 48
    for graph in left:
        mine = nx.from_numpy_array(graph[..., 0].numpy())
        assert not any(nx.is_isomorphic(mine, nx.from_numpy_array(other[..., 0].numpy())) for other in seen)


def test_relabelling_moves_nothing_but_a_wrong_diagram_does() -> None:
    result = graphs.trained(True)
    still, moved = graphs.relabelled(result, adjacency(nx.karate_club_graph()))
    assert still < 1e-5 and moved > 10 * still


# --- molecules --------------------------------------------------------------------------------------------------------


def test_energies_are_those_that_ase_computes() -> None:
    from ase.data.g2_1 import get_atomization_energy, molecule_names

    found = molecules()
    for name in molecule_names:
        assert found.energies[found.names.index(name)].item() == pytest.approx(get_atomization_energy(name), abs=1e-3)
    assert len(set(found.names)) == 148 and torch.isfinite(found.energies).all() and found.energies.min() > 0


def test_parts_are_disjoint_and_their_bonds_occur_elsewhere() -> None:
    found = molecules()
    held_out = torch.cat(found.folds).tolist()
    assert len(set(held_out)) == len(held_out) > 100
    for fold in found.folds:
        training = set(found.others(fold).tolist())
        assert not training & set(fold.tolist()) and len(training) + len(fold) == 148

    def kinds(i: int) -> set[frozenset[str]]:
        return {frozenset((found.symbols[i][a], found.symbols[i][b])) for a, b in found.bonds[i]}

    occurring = [kind for i in range(148) for kind in kinds(i)]
    assert all(occurring.count(kind) >= 4 for i in held_out for kind in kinds(i))
    assert kinds(found.names.index("H2O")) == {frozenset("HO")} and len(found.bonds[found.names.index("CH4")]) == 4


def test_the_estimate_by_composition_does_not_look_at_what_is_held_out() -> None:
    found = molecules()
    fold, changed = found.folds[0], found.energies.clone()
    changed[fold] += 1000
    other = type(found)(**{**vars(found), "energies": changed})
    for spin in (False, True):
        assert torch.equal(composition(found, fold, spin), composition(other, fold, spin))


def test_the_network_sees_no_axes_and_no_padding_but_sees_shapes() -> None:
    found, model = molecules(), cl.compile(molecule_network(), seed=1)
    i = found.names.index("CH3CONH2")
    x, f, m = (part[i].double() for part in (found.positions, found.features, found.mask))
    model = model.double()
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64))[0]
    order = torch.randperm(14, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = model(x, f, m)
        for turned in (turn, -turn):
            after = model((x @ turned + 1)[order], f[order], m[order])
            assert torch.allclose(after, before, rtol=1e-9, atol=1e-9)
        assert torch.allclose(model(x, f + (1 - m[:, None]), m), before, rtol=1e-12)  # padded atoms of another kind
        assert not torch.allclose(model(x * torch.tensor([1.1, 1, 1]), f, m), before, rtol=1e-6)


def test_without_ase_the_chapter_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ase.build", None)
    _molecules.molecules.cache_clear()
    with pytest.raises(MissingPackage, match=r"catlearn\[examples\]"):
        molecules()


# --- a layer, read ----------------------------------------------------------------------------------------------------

READS = {
    "the diagonal": lambda x: x.diagonal(),
    "row sums": lambda x: x.sum(1),
    "column sums": lambda x: x.sum(0),
    "the trace": lambda x: x.trace() * torch.ones(len(x)),
    "the sum of all entries": lambda x: x.sum() * torch.ones(len(x)),
}
WRITES = {
    "on the diagonal": torch.diag,
    "along the rows": lambda v: v[:, None].expand(-1, len(v)),
    "down the columns": lambda v: v[None].expand(len(v), -1),
    "in every entry": lambda v: v[0] * torch.ones(len(v), len(v)),
}


def test_the_words_for_each_diagram_are_what_it_does() -> None:
    x = torch.randn(5, 5, generator=torch.Generator().manual_seed(0))
    words = {layer.said(d): cl.theta(cl.S(5))(d).apply(x) for d in layer.diagrams(5)}
    assert len(words) == 15
    for text, found in words.items():
        if text in ("the matrix itself", "the transpose"):
            expected = x if text == "the matrix itself" else x.T
        else:
            (reads,) = [name for name in READS if text.startswith(name + " ")]
            expected = WRITES[text.removeprefix(reads + " ")](READS[reads](x))
        assert torch.allclose(found, expected, atol=1e-5), text


def test_the_right_coefficients_give_the_laplacian_of_networkx() -> None:
    graph = known_graphs()["Les Misérables"]
    x, theta = torch.tensor(nx.to_numpy_array(graph)), cl.theta(cl.S(len(graph)))
    found = sum(layer.wanted(d) * theta(d).apply(x) for d in layer.diagrams(len(graph)) if layer.wanted(d))
    assert np.allclose(found.numpy(), nx.laplacian_matrix(graph).toarray())


def test_the_layer_learns_the_coefficients() -> None:
    learned = layer.learn(quick=False)
    right = torch.tensor([layer.wanted(d) for d in layer.diagrams(layer.NODES)])
    assert (learned - right).abs().max() < 0.01 and layer.at_another_size(learned) < 0.05
    assert layer.at_another_size(learned.roll(1)) > 0.5


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_scatter_is_an_affine_picture_of_its_points_on_one_scale() -> None:
    points = [(0.0, 0.0), (1.0, 0.5), (0.5, 1.0)]
    chart = ElementTree.fromstring(scatter({"a": points, "b": [(0.25, 0.25)]}, "true", "said"))
    places = [(float(node.get("cx", "")), float(node.get("cy", ""))) for node in chart.iter("circle")]
    (x0, y0), step = places[0], places[1][0] - places[0][0]
    assert len(places) == 4 and step > 0
    for (x, y), (true, said) in zip(places, [*points, (0.25, 0.25)], strict=True):
        assert x - x0 == pytest.approx(step * true, abs=0.11) and y0 - y == pytest.approx(step * said, abs=0.11)


def test_a_drawing_has_every_point_line_and_label() -> None:
    chart = ElementTree.fromstring(drawing([(0, 0), (2, 0), (0, 1)], [(0, 1), (0, 2)], ["O", "H", "H"], "wat<er"))
    circles = [(float(node.get("cx", "")), float(node.get("cy", ""))) for node in chart.iter("circle")]
    assert circles[1][0] - circles[0][0] == pytest.approx(2 * (circles[0][1] - circles[2][1]), abs=0.2)
    assert len(list(chart.iter("line"))) == 2 and [node.text for node in chart.iter("text")] == ["O", "H", "H", "wat<er"]


def test_bars_are_as_long_as_their_numbers_are_large() -> None:
    text = weights(["<svg/>"] * 3, [2.0, -1.0, 0.0], ["a", "b & c", "d"])
    lengths = [float(width) for width in re.findall(r'class="bar \w+" x="0" y="2" width="([\d.]+)"', text)]
    assert lengths[0] == pytest.approx(2 * lengths[1]) and lengths[2] == 0
    assert "−1.00" in text and "b &amp; c" in text and text.count('class="bar second"') == 1


def test_the_picture_of_the_page_on_layers_is_current() -> None:
    root = Path(__file__).parent.parent.parent
    d = cl.diagrams.Partition(2, 2, [[0, 2], [1], [3]])
    assert (root / "docs" / "diagram.svg").read_text("utf-8").strip() == d._repr_svg_()


# --- the chapters -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("graphs", ("by least squares on degrees", "the karate club relabelled")),
        ("molecules", ("mean error of network", "a mirror", "a stretch by 1 %")),
        ("layer", ("row sums on the diagonal", "the largest error of the 15 numbers")),
    ],
)
def test_a_quick_chapter_says_what_it_does_and_writes_its_pictures(name, shown, tmp_path, capsys) -> None:
    assert main(["demo", "--quick", "--chapter", name, "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert all(words in said for words in shown)
    html = (tmp_path / "report.html").read_text("utf-8")
    assert external(html) == [] and "<script" not in html and html.count("<svg") >= 4


def test_chapters_stand_in_their_order() -> None:
    assert [name for name in chapters() if name in ("digits", "graphs", "molecules", "layer")] == ["digits", "graphs", "molecules", "layer"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["graphs", "molecules", "layer"])
def test_a_chapter_keeps_its_promises(name: str, tmp_path: Path) -> None:
    _, failures = run_demo(tmp_path, [name], say=lambda text: None)
    assert failures == []
