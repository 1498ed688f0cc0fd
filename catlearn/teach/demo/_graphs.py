"""Graphs to learn from and to be asked about: random ones of six families, and those that networkx brings along.

>>> families = random_graphs(8, 6, seed=0)
>>> families.shape, bool((families == families.transpose(1, 2)).all())
(torch.Size([6, 8, 8, 1]), True)
>>> "Zachary's karate club" in known_graphs()
True
"""

from __future__ import annotations

import random
from typing import Any

import torch


def random_graphs(nodes: int, count: int, seed: int) -> torch.Tensor:
    """Adjacency matrices (count, nodes, nodes, 1) of zeros and ones, the families in turn; the same for the same seed."""
    dice = random.Random(f"{nodes} {seed}")
    return torch.stack([adjacency(_random(nodes, i % 6, dice)) for i in range(count)])


def _random(n: int, family: int, dice: random.Random) -> Any:
    import networkx as nx

    share, seed = dice.uniform(0.08, 0.6), dice.randrange(1 << 30)
    if family == 0:
        return nx.gnp_random_graph(n, share, seed=seed)
    if family == 1:
        return nx.barabasi_albert_graph(n, dice.randint(1, n // 3), seed=seed)
    if family == 2:
        return nx.watts_strogatz_graph(n, 2 * dice.randint(1, n // 4), dice.uniform(0, 0.5), seed=seed)
    if family == 3:
        return nx.random_geometric_graph(n, dice.uniform(0.15, 0.6), seed=seed)
    if family == 4:
        return nx.powerlaw_cluster_graph(n, dice.randint(1, n // 4), dice.uniform(0, 1), seed=seed)
    return nx.stochastic_block_model([n // 2, n - n // 2], [[share, 0.05], [0.05, 1.5 * share]], seed=seed)


def unlike(graphs: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """Those of the graphs that colour refinement tells apart from every graph seen: none is one of them with other names.

    >>> circle = adjacency(__import__("networkx").cycle_graph(5))
    >>> len(unlike(torch.stack([circle, 1 - circle]), circle[None].roll(1, 1).roll(1, 2)))
    1
    """
    import networkx as nx

    def colours(graph: torch.Tensor) -> str:
        found = nx.from_numpy_array(graph[..., 0].numpy())
        nx.set_node_attributes(found, {node: str(degree) for node, degree in found.degree}, "degree")
        return nx.weisfeiler_lehman_graph_hash(found, node_attr="degree")

    known = {colours(graph) for graph in seen}
    return graphs[[colours(graph) not in known for graph in graphs]]


def known_graphs() -> dict[str, Any]:
    """The networks of people and books that networkx brings along, and named graphs of geometry and combinatorics, by name."""
    import networkx as nx

    makers = ("house_x", "bull", "octahedral", "cubical", "petersen", "icosahedral", "chvatal", "frucht", "truncated_tetrahedron",
              "heawood", "moebius_kantor", "pappus", "dodecahedral", "desargues", "truncated_cube", "tutte")  # fmt: skip
    people = {
        "Krackhardt's kite": nx.krackhardt_kite_graph(),
        "Florentine families": nx.florentine_families_graph(),
        "Davis's southern women": nx.davis_southern_women_graph(),
        "Zachary's karate club": nx.karate_club_graph(),
        "Les Misérables": nx.les_miserables_graph(),
    }
    return people | {name.replace("_", " "): getattr(nx, f"{name}_graph")() for name in makers}


def adjacency(graph: Any) -> torch.Tensor:
    """The adjacency matrix (n, n, 1) of a networkx graph, weights ignored."""
    place = {node: i for i, node in enumerate(graph)}
    found = torch.zeros(len(place), len(place), 1)
    for a, b in graph.edges():
        found[place[a], place[b]] = found[place[b], place[a]] = 1
    return found


def spectral_radius(graphs: torch.Tensor) -> torch.Tensor:
    """The largest eigenvalue of each adjacency matrix (\\*batch, n, n, 1), over n - 1, which it has for the complete graph: (\\*batch, 1).

    >>> round(float(spectral_radius(1 - torch.eye(5)[..., None])), 6)
    1.0
    """
    return torch.linalg.eigvalsh(graphs[..., 0].double())[..., -1:].float() / (graphs.shape[-2] - 1)


def statistics(graphs: torch.Tensor) -> torch.Tensor:
    """What a simple estimate knows: 1, the mean degree, Σd²/Σd (both over n - 1) and 1/n: (\\*batch, n, n, 1) → (\\*batch, 4).

    The third is the usual estimate of the largest eigenvalue of a random graph with given degrees (Chung, Lu, Vu 2003).
    """
    degrees, n = graphs[..., 0].sum(-1), graphs.shape[-2]
    mean, second = degrees.mean(-1), degrees.square().sum(-1) / degrees.sum(-1).clamp(min=1)
    return torch.stack([torch.ones_like(mean), mean / (n - 1), second / (n - 1), torch.full_like(mean, 1 / n)], -1)
