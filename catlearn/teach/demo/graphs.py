"""A chapter: a property of graphs, learned by an invariant graph network from small random graphs and asked of real ones of any size."""

from __future__ import annotations

import inspect
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

import catlearn as cl
from catlearn.diagrams import Partition
from catlearn.learn.schedules import cosine
from catlearn.meanings.module import Arrow
from catlearn.teach.demo._graphs import adjacency, known_graphs, random_graphs, spectral_radius, statistics, unlike
from catlearn.teach.demo.digits import one_thread
from catlearn.teach.figures import curve, drawing, scatter
from catlearn.teach.report import Chapter, Section, code, figure, table, words

POSITION = 2
SIZES = (8, 12, 16, 20, 24)
Say = Callable[[str], None]


def network(channels: int = 16) -> cl.Term:
    """S(n)×S(n) → R(1): any number of nodes from 4 on, one set of weights."""
    n = cl.dim("n", min=4)
    return cl.invariant_graph_network(cl.S(n), [1, channels, channels], activation=cl.silu, normalise="mean")


@dataclass(frozen=True)
class Result:
    """The trained module on targets with mean 0 and variance 1, how to read its answer, and the simple estimate beside it."""

    model: Arrow
    middle: float
    spread: float
    estimate: torch.Tensor  # weights of ``statistics``, by least squares
    seen: list[torch.Tensor]  # the graphs of training, by size
    history: list[dict[str, Any]]
    seconds: float

    def predict(self, graphs: torch.Tensor) -> torch.Tensor:
        """The network's answer."""
        with torch.no_grad():
            return self.model(graphs) * self.spread + self.middle

    def guess(self, graphs: torch.Tensor) -> torch.Tensor:
        """The simple estimate."""
        return statistics(graphs) @ self.estimate


@lru_cache(maxsize=2)
def trained(quick: bool) -> Result:
    """Fit on random graphs of five sizes, a batch at a time of one size."""
    count, epochs = (48, 2) if quick else (240, 24)
    graphs = [random_graphs(n, count, seed=0) for n in SIZES]
    targets = [spectral_radius(part) for part in graphs]
    every = torch.cat(targets)
    middle, spread = float(every.mean()), float(every.std())
    rows = torch.cat([statistics(part) for part in graphs])
    estimate = torch.linalg.lstsq(rows, every).solution
    pairs = zip(graphs, targets, strict=True)
    batches = [batch for x, y in pairs for batch in zip(x.split(24), ((y - middle) / spread).split(24), strict=True)]
    random.Random(0).shuffle(batches)
    learner = cl.learner(network(), cl.huber, cl.adamw(5e-3))
    start = time.perf_counter()
    with one_thread():
        fitted = learner.fit(batches, epochs=epochs, schedule=cosine(epochs * len(batches)), progress=True)
    seconds = time.perf_counter() - start
    return Result(fitted.model().eval(), middle, spread, estimate, graphs, fitted.history, seconds)


def chapter(out: Path, quick: bool, say: Say) -> Chapter:
    """Train on random graphs, ask about unseen and about real ones, relabel the nodes."""
    net = network()
    say(f"graphs: {net.dom} → {net.cod}, {cl.cost(net).parameters:,} parameters for every n\n")
    result = trained(quick)
    unseen = [unlike(random_graphs(n, 24 if quick else 96, seed=1), seen) for n, seen in zip(SIZES, result.seen, strict=True)]
    known = {name: adjacency(graph) for name, graph in known_graphs().items()}
    fresh = errors_of(result, unseen)
    real = errors_of(result, [graph[None] for graph in known.values()])
    still, moved = relabelled(result, known["Zachary's karate club"])
    for what, (network_, estimate, mean) in (("unseen random graphs", fresh), ("networkx's graphs", real)):
        say(f"mean error on {what}: {network_:.4f}; by least squares on degrees {estimate:.4f}; by the mean {mean:.4f}")
    say(f"the karate club relabelled: its answer moves by {still:.1e}; with one wrong diagram by {moved:.1e}; {result.seconds:.0f} s\n")
    failures = []
    if not quick:
        failures += [f"on {what} the network errs by {found[0]:.4f}, the simple estimate by {found[1]:.4f}"
                     for what, found in (("unseen graphs", fresh), ("networkx's graphs", real)) if found[0] >= found[1]]  # fmt: skip
    failures += ["relabelling the nodes moves the answer"] if still > 1e-4 or moved < 10 * still else []
    facts = (
        (f"{fresh[0]:.4f}", f"mean error on unseen graphs (least squares on degrees: {fresh[1]:.4f})"),
        (f"{real[0]:.4f}", f"on networkx's own graphs (least squares: {real[1]:.4f})"),
        (f"{result.seconds:.0f} s", "training"),
    )
    sections = (*written(net), *learned(result, unseen, known), symmetry(still, moved))
    return Chapter("A property of graphs", sections, NOTES["lead"], facts, tuple(failures))


def errors_of(result: Result, groups: list[torch.Tensor]) -> tuple[float, float, float]:
    """Mean absolute errors over all graphs: of the network, of the estimate, of always saying the mean of the training graphs."""
    pairs = [(graphs, spectral_radius(graphs)) for graphs in groups]
    found = []
    for say in (result.predict, result.guess, lambda graphs: torch.full((len(graphs), 1), result.middle)):
        found.append(float(torch.cat([(say(graphs) - target).abs() for graphs, target in pairs]).mean()))
    return found[0], found[1], found[2]


def relabelled(result: Result, graph: torch.Tensor, times: int = 8) -> tuple[float, float]:
    """How far the answer moves at most when the nodes get new names; and how far behind a map whose diagram is wrong in one place.

    The map adds to every entry its mirror image. In the wrong one, the first node gets what is the second one's.
    """
    n = len(graph)
    right = cl.theta(cl.S(n))(Partition(2, 2, [[0, 3], [1, 2]])).dense()
    wrong = right.clone()
    wrong[:n] = right[n : 2 * n]
    dice = torch.Generator().manual_seed(0)
    orders = [torch.randperm(n, generator=dice) for _ in range(times)]
    found = []
    for matrix in (right, wrong):
        copies = torch.stack([graph, *(graph[order][:, order] for order in orders)])
        answers = result.predict((copies + (matrix @ copies.reshape(-1, n * n, 1)).reshape(copies.shape)) / 2)
        found.append(float((answers[1:] - answers[0]).abs().max()))
    return found[0], found[1]


# --- the sections of the page -----------------------------------------------------------------------------------------

NOTES = {
    "lead": "How fast does a rumour spread? The largest eigenvalue of a graph's adjacency matrix says it. An invariant graph network "
    "learns it from random graphs with 8 to 24 nodes and is asked about networks of people and books that it has never seen, with up to "
    "77 nodes: the diagrams that its layers are made of do not mention n.",
    "network": "Two layers from pairs of nodes to pairs of nodes with 15 diagrams each, one to numbers with 2, then a perceptron. "
    "n is a symbol; with mean in place of sum one set of weights serves all sizes.",
    "real": "None of them was trained on, and most are of sizes that were not. The value is the largest eigenvalue over n − 1. Least "
    "squares knows the mean degree, Σd²/Σd and 1/n.",
    "scatter": "Each point is a graph; on the line the answer would be exact.",
    "symmetry": "The names of the nodes do not matter, for all weights, since each layer is a sum of diagrams. If in one "
    "diagram the first node gets what is the second one's, they do.",
}


def written(net: cl.Term) -> tuple[Section, ...]:
    """The arrow, its picture, its words."""
    source = code(inspect.getsource(network)) + figure(cl.draw(net).svg)
    return Section("The network", source, NOTES["network"]), Section("In words", words(cl.explain(net)))


def learned(result: Result, unseen: list[torch.Tensor], known: dict[str, torch.Tensor]) -> tuple[Section, ...]:
    """How training went, and predicted against true."""
    losses = curve({"training": [record["loss"] for record in result.history]}, "huber loss")
    fresh = [pair for graphs in unseen for pair in zip(spectral_radius(graphs).tolist(), result.predict(graphs).tolist(), strict=True)]
    rows, real = [], []
    for name, graph in known.items():
        true, said, guess = (float(f(graph[None])) for f in (spectral_radius, result.predict, result.guess))
        real.append((true, said))
        rows.append([name, len(graph), f"{true:.3f}", f"{said:.3f}", f"{guess:.3f}"])
    chart = scatter({"random": [(a[0], b[0]) for a, b in fresh], "networkx's": real}, "largest eigenvalue / (n − 1)", "predicted")
    shown = table(["graph", "nodes", "true", "network", "least squares"], rows)
    return (
        Section("Learning", figure(f'<div class="row">{losses}{chart}</div>', NOTES["scatter"])),
        Section("Graphs that it has never seen", figure(f'<div class="row">{"".join(pictures())}</div>') + shown, NOTES["real"]),
    )


def pictures(names: tuple[str, ...] = ("Florentine families", "Zachary's karate club", "Les Misérables", "petersen")) -> list[str]:
    """A few of the graphs, laid out by springs."""
    import networkx as nx

    drawn = []
    for name in names:
        graph = known_graphs()[name]
        places, number = nx.spring_layout(graph, seed=0), {node: i for i, node in enumerate(graph)}
        points = [(float(x), float(y)) for x, y in places.values()]
        drawn.append(drawing(points, [(number[a], number[b]) for a, b in graph.edges()], caption=name, size=215))
    return drawn


def symmetry(still: float, moved: float) -> Section:
    """What relabelling does."""
    rows = [["the network", f"{still:.1e}"], ["the same behind a wrong diagram", f"{moved:.1e}"]]
    body = table(["answer for the karate club, its nodes renamed eight times", "moves by at most"], rows)
    return Section("Renaming the nodes", body, NOTES["symmetry"])
