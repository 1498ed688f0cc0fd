"""What is true of the models of the zoo, and what is not: claims with the verdict that mathematics gives them.

Each row is written by hand from what the model computes, before the prover is asked; ``test_verdicts`` asks it. A row whose true verdict
the prover cannot reach says ``unknown``, with the obstruction in its note. ``python -m tests.real_models.verdicts docs/verdicts.md``
writes the table of the page.

>>> len({(row.model, row.what) for row in CLAIMS}) == len(CLAIMS)
True
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

import catlearn as cl

n, b, q, e = cl.dim("n", min=3), cl.dim("b"), cl.dim("q"), cl.dim("e", min=4)
NODES, ROWS, EDGES = cl.S(n), cl.S(b, name="batch"), cl.S(e, name="edges")
Read = Callable[[Any], Any]
Call = Callable[..., Any]


class Part(nn.Module):
    """A module asked for some of its outputs, with named inputs that stay as they are; ``call`` says how, if not by position."""

    def __init__(self, module: nn.Module, read: Read, named: Mapping[str, Any], call: Call | None) -> None:
        super().__init__()
        self.module, self.read, self.named, self.call = module, read, dict(named), call

    def forward(self, *inputs: Tensor) -> Any:
        answer = self.module(*inputs, **self.named) if self.call is None else self.call(self.module, *inputs)
        return self.read(answer)


@dataclass(frozen=True)
class Row:
    """A claim about a model: what acts, the verdict, and why; ``surviving`` is what is left of it where that is worth stating."""

    model: str
    what: str
    verdict: str
    dom: cl.Space
    cod: cl.Space
    note: str = ""
    batch: Any = ()
    read: Read = lambda y: y
    call: Call | None = None
    named: Mapping[str, Any] = field(default_factory=dict)
    where: str = ""  # the source line at which a refuted proof stops holds this text
    surviving: str = ""


def hidden(y: Any) -> Tensor:
    return y.last_hidden_state


def logits(y: Any) -> Tensor:
    return y.logits


def pooled(y: Any) -> Tensor:
    return y.pooler_output


def ids(*axes: Any, below: int = 40) -> cl.Space:
    return cl.index(below, *axes)


def same_place(model: nn.Module, tokens: Tensor) -> Any:
    return model(tokens, position_ids=torch.zeros_like(tokens))


def seen(model: nn.Module, tokens: Tensor) -> Any:
    return model(tokens, position_ids=torch.zeros_like(tokens), attention_mask=torch.ones_like(tokens))


def placed(model: nn.Module, tokens: Tensor, places: Tensor) -> Any:
    return model(tokens, position_ids=places)


def masked(model: nn.Module, tokens: Tensor, mask: Tensor) -> Any:
    return model(tokens, attention_mask=mask)


def masked_place(model: nn.Module, tokens: Tensor, mask: Tensor) -> Any:
    return model(tokens, position_ids=torch.zeros_like(tokens), attention_mask=mask)


def causal(model: nn.Module, x: Tensor) -> Tensor:
    return model(x, mask=nn.Transformer.generate_square_subsequent_mask(x.shape[1], dtype=x.dtype), is_causal=True)


def biased(model: nn.Module, x: Tensor, bias: Tensor) -> Tensor:
    return model(x, mask=bias, is_causal=False)


def padded(model: nn.Module, x: Tensor, hide: Tensor) -> Tensor:
    return model(x, src_key_padding_mask=hide)


def layers_of(model: nn.Module, x: Tensor) -> Tensor:
    for layer in model.get_submodule("layers").children():
        x = layer(x)
    return model.get_submodule("layernorm")(x)


# -- texts and images --------------------------------------------------------------------------------------------------

BATCH, TOKENS = "the rows of a batch", "the tokens"
BY_PLACE = "a table of positions is added"
BY_PLACE_TWICE = BY_PLACE + "; the proof stops three lines before, where kinds of tokens are looked up by position"


def text(model: str, width: int, read: Read, why: str, where: str = "", surviving: str = "", below: int = 40, **more: Any) -> list[Row]:
    """The two claims about every model of texts: rows of a batch may be renamed, tokens may not."""
    return [
        Row(model, BATCH, "proved", ids(ROWS, 6, below=below), cl.space(ROWS, 6, width), read=read, **more),
        Row(model, TOKENS, "refuted", ids(2, cl.S(6), below=below), cl.space(2, cl.S(6), width), why, read=read, where=where,
            surviving=surviving, **more),
    ]  # fmt: skip


TEXTS = [
    *text("transformers.BERT", 16, hidden, BY_PLACE_TWICE, "token_type_embeddings"),
    Row("transformers.BERT", "the rows of a batch with its mask", "proved", ids(ROWS, 6) @ cl.index(2, ROWS, 6), cl.space(ROWS, 6, 16),
        read=hidden, call=masked),
    Row("transformers.BERT", "the tokens, all at one place", "proved", ids(2, NODES), cl.space(2, NODES, 16), read=hidden,
        call=same_place),
    Row("transformers.BERT", "the tokens together with their places", "proved", ids(2, NODES) @ ids(2, NODES, below=24),
        cl.space(2, NODES, 16), read=hidden, call=placed),
    Row("transformers.BERT", "the tokens with their mask, all at one place", "proved", ids(2, NODES) @ cl.index(2, 2, NODES),
        cl.space(2, NODES, 16), read=hidden, call=masked_place),
    Row("transformers.BERT", "the tokens, all at one place → first token", "refuted", ids(2, cl.S(6)), cl.R(2, 16),
        "it reads the first token", read=pooled, call=same_place),
    *text("transformers.BERT for masked words", 40, logits, BY_PLACE_TWICE, "token_type_embeddings"),
    *text("transformers.GPT-2", 40, logits, BY_PLACE),
    Row("transformers.GPT-2", "the tokens, all at one place, none hidden", "refuted", ids(2, cl.S(6)), cl.space(2, cl.S(6), 40),
        "a token sees those before it", read=logits, call=seen, surviving="the trivial group"),
    Row("transformers.GPT-2", "the tokens, all at one place", "unknown", ids(2, cl.S(6)), cl.space(2, cl.S(6), 40),
        "true: places that do not ascend are read as the starts of packed texts, so a token sees itself alone; but that is found out by "
        "counting along the tokens", read=logits, call=same_place),
    *text("transformers.T5 encoder", 16, hidden, "a bias by distance is added"),
    *text("transformers.CLIP text", 16, hidden, BY_PLACE),
    Row("transformers.CLIP text", "the rows of a batch → pooled", "proved", ids(ROWS, 6), cl.space(ROWS, 16), read=pooled),
    *text("transformers.Mamba", 16, hidden, "a recurrence along the tokens"),
    *text("sentence.MiniLM", 384, hidden, BY_PLACE_TWICE, "token_type_embeddings", below=30522),
    Row("sentence.MiniLM", "the tokens, all at one place", "proved", ids(1, NODES, below=30522), cl.space(1, NODES, 384), read=hidden,
        call=same_place),
    Row("transformers.ViT", "the images of a batch", "proved", cl.space(ROWS, 3, 16, 16), cl.space(ROWS, 17, 16), read=hidden),
    Row("transformers.ViT", "shifts of an image", "refuted", cl.space(2, 3, 16, cl.Z(16)), cl.R(2, 16), "patches of fixed pixels",
        read=pooled),
    Row("transformers.ViT", "the patches, in its encoder alone", "proved", cl.space(NODES, 16), cl.space(NODES, 16), batch=b,
        call=layers_of),
    Row("transformers.Perceiver", "the inputs → the latents", "proved", cl.space(2, NODES, 12), cl.R(2, 4, 16), read=hidden),
    Row("transformers.Perceiver", "the rows of a batch", "proved", cl.space(ROWS, 9, 12), cl.space(ROWS, 4, 16), read=hidden),
]  # fmt: skip

# -- torch's own -------------------------------------------------------------------------------------------------------

SEQUENCE = cl.space(NODES, 8)
QUERIES, KEYS = cl.S(q, name="queries"), cl.S(n, name="keys")
BOTH = cl.space(ROWS, NODES, 8)


def recurrent(model: str, states: int, layers: int) -> list[Row]:
    """Rows of a batch may be renamed, time may not."""
    ends = cl.space(layers, ROWS, 8)
    cod = cl.space(ROWS, 5, 8)
    for _ in range(states):
        cod = cod @ ends
    return [
        Row(model, BATCH, "proved", cl.space(ROWS, 5, 6), cod, read=lambda y: tuple(torch.utils._pytree.tree_leaves(y))),
        Row(model, "time", "refuted", cl.space(2, cl.S(5), 6), cl.space(2, cl.S(5), 8), "a recurrence along time", read=lambda y: y[0],
            surviving="the trivial group"),
    ]  # fmt: skip


TORCH = [
    Row("torch.TransformerEncoderLayer", TOKENS, "proved", SEQUENCE, SEQUENCE, batch=b),
    Row("torch.TransformerEncoderLayer", "tokens and rows of a batch", "proved", BOTH, BOTH),
    Row("torch.TransformerEncoder", TOKENS, "proved", SEQUENCE, SEQUENCE, batch=b),
    Row("torch.TransformerEncoder", "tokens and rows of a batch", "proved", BOTH, BOTH),
    Row("torch.TransformerEncoder", "tokens under a bias that moves along", "proved", cl.space(2, NODES, 8) @ cl.space(NODES, NODES),
        cl.space(2, NODES, 8), call=biased),
    Row("torch.TransformerEncoder", "tokens under a padding mask that moves along", "proved", cl.space(2, NODES, 8) @ cl.boolean(2, NODES),
        cl.space(2, NODES, 8), call=padded),
    Row("torch.TransformerEncoder", "tokens under a causal mask", "refuted", cl.space(2, cl.S(5), 8), cl.space(2, cl.S(5), 8),
        "a token sees those before it", call=causal, surviving="the trivial group"),
    Row("torch.TransformerEncoder", "the features of a token", "refuted", cl.space(2, 5, cl.S(8)), cl.space(2, 5, cl.S(8)),
        "weights have no symmetry"),
    Row("torch.MultiheadAttention", "queries, and keys with their values", "proved",
        cl.space(2, QUERIES, 8) @ cl.space(2, KEYS, 8) @ cl.space(2, KEYS, 8), cl.space(2, QUERIES, 8) @ cl.space(2, QUERIES, KEYS)),
    Row("torch.MultiheadAttention", "keys without their values", "refuted",
        cl.space(2, 5, 8) @ cl.space(2, cl.S(7), 8) @ cl.space(2, 7, 8), cl.R(2, 5, 8), "a value is weighted by its own key",
        read=lambda y: y[0]),
    *recurrent("torch.LSTM", 2, 2),
    *recurrent("torch.GRU", 1, 1),
    Row("torch.convolutions", "the images of a batch", "proved", cl.space(ROWS, 3, 8, 8), cl.space(ROWS, 5)),
    Row("torch.convolutions", "shifts of an image", "refuted", cl.space(2, 3, 8, cl.Z(8)), cl.R(2, 5), "zeros around the image"),
]  # fmt: skip

# -- graphs ------------------------------------------------------------------------------------------------------------

GRAPH = cl.index(NODES, 2, EDGES)
POSITIONS = cl.space(NODES, cl.E(3))
RENAMED = "nodes and edges"


def in_the_plane(model: nn.Module, h: Tensor, x: Tensor, edges: Tensor) -> Tensor:
    return model(h, torch.cat([x, torch.zeros_like(x[:, :1])], dim=1), edges)[0]


def graph(model: str, width: int = 4, **more: Any) -> Row:
    """A layer on graphs commutes with names for nodes and with an order of edges."""
    return Row(f"torch_geometric.{model}", RENAMED, "proved", cl.space(NODES, 6) @ GRAPH, cl.space(NODES, width), **more)


GRAPHS = [
    *map(graph, ("GCN", "GAT", "GATv2", "GIN", "SAGE", "PNA", "EdgeConv")),
    Row("torch_geometric.GCN", "nodes, in a graph that stays", "refuted", cl.space(cl.S(7), 6) @ cl.index(7, 2, 12), cl.space(cl.S(7), 4),
        "the graph says which node is which"),
    Row("torch_geometric.GCN", "the two ends of an edge", "refuted", cl.space(7, 6) @ cl.index(7, cl.S(2), 12), cl.R(7, 4),
        "messages go one way"),
    Row("torch_geometric.DGCNN", RENAMED, "proved", cl.space(NODES, 3) @ GRAPH, cl.R(4)),
    Row("torch_geometric.DGCNN", "rotations", "refuted", cl.space(7, cl.O(3)) @ cl.index(7, 2, 12), cl.R(4), "coordinates go through ReLU"),
    Row("torch_geometric.global pooling", "nodes and graphs", "proved", cl.space(NODES, 6) @ cl.index(cl.S(2, name="graphs"), NODES),
        cl.space(cl.S(2, name="graphs"), 18)),
    Row("torch_geometric.Set2Set", "the points of a set", "proved", cl.space(NODES, 6), cl.R(1, 12)),
    Row("torch_geometric.Set Transformer", "the points of a set", "proved", cl.space(2, NODES, 8), cl.R(2, 1, 8)),
    Row("written.SchNet", "atoms, edges, motions → energy", "proved", cl.index(6, NODES) @ POSITIONS @ GRAPH, cl.R(1)),
    Row("written.SchNet", "atoms without their kinds", "refuted", cl.index(6, 7) @ cl.space(cl.S(7), 3) @ cl.index(cl.S(7), 2, 12), cl.R(1),
        "the kinds would have to move along"),
    Row("written.EGNN", "nodes, edges, motions", "proved", cl.space(NODES, 6) @ POSITIONS @ GRAPH, cl.space(NODES, 8) @ POSITIONS),
    Row("written.EGNN", "stretches of the plane (Sp)", "refuted", cl.space(7, 6) @ cl.space(7, cl.Sp(2)) @ cl.index(7, 2, 12),
        cl.R(7, 8), "it sees distances", call=in_the_plane),
]  # fmt: skip

# -- e3nn --------------------------------------------------------------------------------------------------------------


def irreps(model: nn.Module, *parts: Tensor) -> tuple[Tensor, Tensor]:
    """4x0e + 2x1o, and 1x0e + 1x1o for the second argument, as scalars and vectors; 3x0e + 2x1o out. A vector is (y, z, x) there."""
    rows = [torch.cat([s, v.flatten(1)], dim=1) for s, v in zip(parts[::2], parts[1::2], strict=True)]
    y = model(*rows)
    return y[:, :3], y[:, 3:].reshape(-1, 2, 3)


def steerable(group: Any) -> tuple[cl.Space, cl.Space]:
    return cl.space(b, 4) @ cl.space(b, 2, group), cl.space(b, 3) @ cl.space(b, 2, group)


def two_arguments(group: Any) -> cl.Space:
    return steerable(group)[0] @ cl.space(b, 1) @ cl.space(b, 1, group)


E3NN = [
    Row("e3nn.Linear", "rotations", "proved", *steerable(cl.SO(3)), call=irreps),
    Row("e3nn.Linear", "rotations and reflections", "proved", *steerable(cl.O(3)), call=irreps),
    Row("e3nn.Linear", "permutations of the three coordinates", "proved", *steerable(cl.S(3)), call=irreps),
    Row("e3nn.FullyConnectedTensorProduct", "rotations", "proved", two_arguments(cl.SO(3)), steerable(cl.SO(3))[1], call=irreps),
    Row("e3nn.FullyConnectedTensorProduct", "rotations and reflections", "proved", two_arguments(cl.O(3)), steerable(cl.O(3))[1],
        call=irreps),
    Row("e3nn.FullyConnectedTensorProduct", "permutations of the three coordinates", "proved", two_arguments(cl.S(3)),
        steerable(cl.S(3))[1], call=irreps),
    Row("e3nn.FullyConnectedTensorProduct", "one argument turned alone", "refuted",
        cl.space(5, 4) @ cl.space(5, 2, cl.O(3)) @ cl.R(5, 1) @ cl.R(5, 1, 3), cl.R(5, 3) @ cl.space(5, 2, cl.O(3)),
        "the product of both is no vector of one", call=irreps),
]  # fmt: skip

CLAIMS: list[Row] = [*TEXTS, *TORCH, *GRAPHS, *E3NN]

__all__ = ["CLAIMS", "Part", "Row"]
