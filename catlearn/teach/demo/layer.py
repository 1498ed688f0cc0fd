"""A chapter: what an equivariant layer has learned, read off the pictures of its diagrams."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import torch

import catlearn as cl
from catlearn.diagrams import Partition
from catlearn.learn.schedules import cosine
from catlearn.teach.demo._graphs import known_graphs, random_graphs
from catlearn.teach.demo.digits import one_thread
from catlearn.teach.demo.graphs import trained
from catlearn.teach.figures import weights
from catlearn.teach.report import Chapter, Section, code, figure, table

POSITION = 4
NODES = 6
Say = Callable[[str], None]


def laplacian(nodes: int = NODES) -> cl.Term:
    """One layer from matrices to matrices, ``S(n)×S(n) → S(n)×S(n)``: 15 numbers, one for each diagram."""
    x = cl.S(nodes).space(2, channels=1)
    return cl.equivariant(x, x, bias=False)


def chapter(out: Path, quick: bool, say: Say) -> Chapter:
    """Learn a map whose diagrams are known, read them off; then read the layers of the network of graphs."""
    learned = learn(quick)
    target = torch.tensor([wanted(d) for d in diagrams(NODES)])
    off = float((learned - target).abs().max())
    far = at_another_size(learned)
    for value, d in zip(learned.tolist(), diagrams(NODES), strict=True):
        say(f"  {round(value, 3) + 0.0:+.3f}  {said(d)}")
    say(f"\nthe largest error of the 15 numbers is {off:.1e}; on Les Misérables, with 77 nodes, the result errs by {far:.1e}\n")
    failures = () if quick or off < 0.01 else (f"a coefficient of the Laplacian is off by {off:.2f}",)
    facts = ((f"{off:.0e}", "largest error of a learned coefficient"), (f"{far:.0e}", "relative error at 77 nodes, learned at 6"))
    sections = (known(learned, target, far), *found(quick))
    return Chapter("A layer, read", sections, NOTES["lead"], facts, failures)


def diagrams(nodes: int) -> tuple[Partition, ...]:
    """The basis of the maps of matrices."""
    return cl.hom_basis(cl.S(nodes), 2, 2)


def wanted(d: Partition) -> float:
    """The coefficient of a diagram in the Laplacian, A ↦ diag(A 1) − A."""
    return {((0, 2), (1, 3)): -1.0, ((0, 1, 2), (3,)): 1.0}.get(d.blocks, 0.0)


def learn(quick: bool) -> torch.Tensor:
    """The 15 weights, from random matrices and their Laplacians."""
    dice = torch.Generator().manual_seed(0)
    given = torch.randn(512, NODES, NODES, 1, generator=dice)
    answers = torch.diag_embed(given[..., 0].sum(-1))[..., None] - given
    epochs = 8 if quick else 60
    learner = cl.learner(laplacian(), cl.mse, cl.adam(0.05))
    with one_thread():
        fitted = learner.fit((given, answers), epochs=epochs, batch_size=64, schedule=cosine(8 * epochs))
    return fitted.params["equivariant.weight"][:, 0, 0]


def at_another_size(learned: torch.Tensor) -> float:
    """The relative error of the layer, resized, on the weighted graph of Les Misérables."""
    import networkx as nx

    graph = torch.tensor(nx.to_numpy_array(known_graphs()["Les Misérables"]), dtype=torch.float32)
    resized = cl.resize(laplacian(), cl.S(NODES), cl.S(len(graph)))
    with torch.no_grad():
        answer = cl.compile(resized, {"equivariant.weight": learned[:, None, None]})(graph[..., None])[..., 0]
    truth = torch.diag(graph.sum(1)) - graph
    return float((answer - truth).norm() / truth.norm())


def said(d: Partition) -> str:
    """What a diagram 2 → 2 does to a matrix x, in words.

    >>> print(said(Partition(2, 2, [[0, 3], [1, 2]])), said(Partition(2, 2, [[0, 1, 2], [3]])), sep=", ")
    the transpose, row sums on the diagonal
    >>> said(Partition(2, 2, [[0], [1], [2, 3]]))
    'the trace in every entry'
    """
    over = {min(block): block for block in d.blocks}
    crossing = [block for block in d.blocks if min(block) < 2 <= max(block)]
    if len(crossing) == 2:
        return "the matrix itself" if (0, 2) in d.blocks else "the transpose"
    inside = any({2, 3} <= set(block) for block in d.blocks)
    if not crossing:
        reads = "the trace" if inside else "the sum of all entries"
        return f"{reads} {'on the diagonal' if (0, 1) in d.blocks else 'in every entry'}"
    reads = "the diagonal" if inside else "row sums" if 2 in crossing[0] else "column sums"
    if {0, 1} <= set(crossing[0]):
        return f"{reads} on the diagonal"
    return f"{reads} {'along the rows' if len(over[0]) > 1 else 'down the columns'}"


# --- the sections of the page -----------------------------------------------------------------------------------------

NOTES = {
    "lead": "A linear layer on matrices that does not care how the rows and columns are named, both in one way, has 15 weights, one for "
    "each way to split four points into blocks. The upper points are the row and the column of the output, the lower ones those of the "
    "input; points in one block have one index, and an input point that is joined to no output is summed over.",
    "known": "The graph Laplacian, A ↦ diag(A 1) − A, is such a map. Learned from random matrices of size 6, the layer must find +1 for "
    "row sums on the diagonal, −1 for the matrix itself, and 0 for the rest. The same 15 numbers then work for any number of nodes.",
    "found": "Both layers from edges to edges of the network that learned a property of graphs. It has many channels, so the bars show the "
    "root mean square of what each diagram adds to the outputs, measured on random graphs with 16 nodes.",
}
SOURCE = "y = w[0] · D[0] x + … + w[14] · D[14] x\n\n"


def known(learned: torch.Tensor, target: torch.Tensor, far: float) -> Section:
    """The Laplacian's weights on their pictures."""
    tiles = weights([d._repr_svg_() for d in diagrams(NODES)], learned.tolist(), [said(d) for d in diagrams(NODES)])
    pairs = zip(diagrams(NODES), learned.tolist(), target.tolist(), strict=True)
    rows = [[said(d), f"{round(a, 4) + 0.0:.4f}", f"{b:g}"] for d, a, b in pairs]
    rows.append(["relative error of the result for Les Misérables (77 nodes)", f"{far:.1e}", "0"])
    body = code(SOURCE + inspect.getsource(laplacian)) + figure(tiles) + table(["diagram", "learned", "right"], rows)
    return Section("A map that is known: the Laplacian", body, NOTES["known"])


def found(quick: bool) -> tuple[Section, ...]:
    """The two layers of the network of graphs, from edges to edges."""
    x = random_graphs(16, 24 if quick else 96, seed=2)
    params = trained(quick).model.state_dict()
    sections = []
    for i, layer in enumerate(("equivariant", "equivariant_1")):
        weight, bias = params[f"{layer}.weight"], params[f"{layer}.bias"]
        shares = contributions(x, weight)
        tiles = weights([d._repr_svg_() for d in diagrams(16)], shares, [said(d) for d in diagrams(16)])
        most = sorted(zip(shares, map(said, diagrams(16)), strict=True), reverse=True)[:3]
        summary = f"Most comes from {', '.join(name for _, name in most)}." + (
            " An adjacency matrix has nothing on its diagonal, and is its own transpose." if i == 0 else ""
        )
        sections.append(Section(f"Layer {i + 1} of the network of graphs", figure(tiles, summary), NOTES["found"] if i == 0 else ""))
        x = torch.nn.functional.silu(applied(x, weight, bias))
    return tuple(sections)


def applied(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """A layer of the network of graphs with these weights."""
    group = cl.S(x.shape[1])
    layer = cl.equivariant(group.space(2, weight.shape[2]), group.space(2, weight.shape[1]), bias=bias is not None, normalise="mean")
    params = {"equivariant.weight": weight} | ({} if bias is None else {"equivariant.bias": bias})
    with torch.no_grad():
        return cl.compile(layer, params)(x)


def contributions(x: torch.Tensor, weight: torch.Tensor) -> list[float]:
    """The root mean square of what each diagram adds."""
    alone = torch.diag_embed(torch.ones(len(weight)))[..., None, None]
    return [float(applied(x, weight * one).square().mean().sqrt()) for one in alone]
