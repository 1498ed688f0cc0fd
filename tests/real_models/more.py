"""More models than those of the page of verdicts, each for what it has that they have not; the same rules hold (see ``zoo``).

``MORE[name]()`` gives ``(module in evaluation mode, args, kwargs)``.

>>> module, args, kwargs = MORE["written.U-Net"]()
>>> module(*args, **kwargs).shape
torch.Size([2, 2, 8, 8])
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.real_models.zoo import EDGES, NODES, TEXT, Example, ids, model, perceptron

MORE: dict[str, Callable[[], Example]] = {}
another = partial(model, zoo=MORE)

# -- texts -------------------------------------------------------------------------------------------------------------

ALONE = {"use_cache": False, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 1}


def text(name: str, kind: str, **options: Any) -> None:
    """A model of texts of the package transformers, small."""

    @another(f"transformers.{name}")
    def build() -> Any:
        import transformers

        config = getattr(transformers, f"{kind}Config")(**options)
        return getattr(transformers, f"{kind}Model")(config), ids(2, 6)


text("RoBERTa", "Roberta", **TEXT, pad_token_id=1)  # counts its places along the text
text("DistilBERT", "DistilBert", vocab_size=40, dim=16, n_layers=2, n_heads=2, hidden_dim=32, max_position_embeddings=24)
text("ALBERT", "Albert", **TEXT, embedding_size=8)  # one layer that runs twice
text("DeBERTa-v2", "DebertaV2", **TEXT, relative_attention=True, pos_att_type=["p2c", "c2p"], position_buckets=4)
text("XLNet", "XLNet", vocab_size=40, d_model=16, n_layer=2, n_head=2, d_inner=32)  # hands out its memory
text("Llama", "Llama", **TEXT, **ALONE, num_key_value_heads=1)  # rotations, grouped queries, norms in single precision
text("Gemma 2", "Gemma2", **TEXT, **ALONE, num_key_value_heads=1, head_dim=8)  # softcaps, windows
text("BLOOM", "Bloom", vocab_size=40, hidden_size=16, n_layer=2, n_head=2, use_cache=False)  # slopes instead of places
text("Mixtral", "Mixtral", **TEXT, **ALONE, num_key_value_heads=1, num_local_experts=3)  # tokens sorted by expert
text("FNet", "FNet", **TEXT)  # Fourier transforms instead of attention
text("BART", "Bart", vocab_size=40, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
     encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=24, use_cache=False, pad_token_id=1, bos_token_id=0, eos_token_id=2,
     decoder_start_token_id=2)  # fmt: skip

# -- images and sounds -------------------------------------------------------------------------------------------------


@another("transformers.ConvNeXt")
def convnext() -> Any:
    from transformers import ConvNextConfig, ConvNextModel

    return ConvNextModel(ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 2], num_stages=2)), torch.randn(2, 3, 16, 16)


@another("transformers.ResNet")
def resnet() -> Any:
    from transformers import ResNetConfig, ResNetModel

    return ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 2], layer_type="basic")), torch.randn(2, 3, 32, 32)


@another("transformers.Swin")
def swin() -> Any:
    from transformers import SwinConfig, SwinModel

    return SwinModel(SwinConfig(image_size=16, patch_size=2, embed_dim=8, depths=[2, 1], num_heads=[2, 2], window_size=2)), torch.randn(
        2, 3, 16, 16
    )


@another("transformers.Whisper encoder")
def whisper() -> Any:
    from transformers import WhisperConfig, WhisperModel

    layers = {
        f"{part}_{what}": n for part in ("encoder", "decoder") for what, n in (("layers", 1), ("attention_heads", 2), ("ffn_dim", 32))
    }
    config = WhisperConfig(vocab_size=40, d_model=16, num_mel_bins=8, max_source_positions=10, pad_token_id=0, bos_token_id=0,
                           eos_token_id=0, decoder_start_token_id=0, **layers)  # fmt: skip
    return WhisperModel(config).encoder, torch.randn(2, 8, 20)


class UNet(nn.Module):
    """Down, up by transposed convolutions, and across."""

    def __init__(self) -> None:
        super().__init__()

        def block(a: int, b: int) -> nn.Module:
            return nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU())

        self.down, self.low, self.up = block(3, 4), block(4, 8), nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.pool, self.join, self.out = nn.MaxPool2d(2), block(8, 4), nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        high = self.down(x)
        return self.out(self.join(torch.cat([self.up(self.low(self.pool(high))), high], 1)))


class Mixing(nn.Module):
    """A layer of an MLP-Mixer: a perceptron along the patches, one along the channels (arXiv:2105.01601)."""

    def __init__(self, patches: int, channels: int) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.along, self.across = perceptron(patches, patches), perceptron(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.along(self.first(x).transpose(1, 2)).transpose(1, 2)
        return x + self.across(self.second(x))


class Wave(nn.Module):
    """Dilated convolutions with gates and skips, as WaveNet has them (arXiv:1609.03499); ``circular``: time is a circle."""

    def __init__(self, circular: bool) -> None:
        super().__init__()
        self.mode = "circular" if circular else "constant"
        self.first, self.last = nn.Conv1d(1, 6, 1), nn.Conv1d(6, 3, 1)
        self.gates = nn.ModuleList(nn.Conv1d(6, 12, 2, dilation=2**i) for i in range(3))
        self.skips = nn.ModuleList(nn.Conv1d(6, 6, 1) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        total = torch.zeros_like(x)
        for i, (gate, skip) in enumerate(zip(self.gates, self.skips, strict=True)):
            a, b = gate(F.pad(x, (2**i, 0), mode=self.mode)).chunk(2, 1)
            x = x + (y := torch.tanh(a) * torch.sigmoid(b))
            total = total + skip(y)
        return self.last(torch.relu(total))


another("written.U-Net")(lambda: (UNet(), torch.randn(2, 3, 8, 8)))
another("written.MLP-Mixer")(
    lambda: (nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.Flatten(2), Mixing(8, 4), Mixing(8, 4), nn.Linear(4, 5)), torch.randn(2, 3, 8, 8))
)
another("written.WaveNet")(lambda: (Wave(False), torch.randn(2, 1, 12)))
another("written.WaveNet on a circle")(lambda: (Wave(True), torch.randn(2, 1, 12)))

# -- torch's own, and what is written with it --------------------------------------------------------------------------


class Decoder(nn.Module):
    """A cell that runs over a text, word by word."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.cell, self.out = nn.Embedding(10, 8, padding_idx=0), nn.GRUCell(8, 8), nn.Linear(8, 10)

    def forward(self, words: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        rows = []
        for word in words.unbind(1):
            state = self.cell(self.table(word), state)
            rows.append(self.out(state))
        return torch.stack(rows, 1), state


class Fourier(nn.Module):
    """A filter on frequencies with complex weights, and layers whose weights are parametrised."""

    def __init__(self) -> None:
        super().__init__()
        self.filter = nn.Parameter(torch.randn(3, 4, 5, dtype=torch.cfloat))
        self.first = nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))
        self.second = nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4))

    def forward(self, x: Tensor) -> Tensor:
        z = torch.einsum("bcn,cdn->bdn", torch.fft.rfft(x), self.filter)
        return self.second(self.first(torch.fft.irfft(z, n=8).transpose(1, 2)))


class Latent(nn.Module):
    """A variational autoencoder: it draws random numbers, in both modes."""

    def __init__(self) -> None:
        super().__init__()
        self.encode, self.decode = nn.Linear(6, 4), nn.Linear(2, 6)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, spread = self.encode(x).chunk(2, -1)
        return self.decode(mean + torch.exp(spread / 2) * torch.randn_like(mean)), mean, spread


class Experts(nn.Module):
    """The two best of three perceptrons."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.experts = nn.Linear(6, 3), nn.ModuleList(perceptron(6, 4) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        weight, best = self.gate(x).softmax(-1).topk(2, -1)
        full = torch.zeros(x.shape[0], 3).scatter(1, best, weight)
        return torch.stack([full[:, k : k + 1] * expert(x) for k, expert in enumerate(self.experts)]).sum(0)


another("torch.Transformer")(lambda: (nn.Transformer(8, 2, 1, 1, 16, batch_first=True), torch.randn(2, 5, 8), torch.randn(2, 4, 8)))
another("torch.LSTM both ways")(lambda: (nn.LSTM(6, 8, 2, batch_first=True, bidirectional=True, dropout=0.3), torch.randn(2, 5, 6)))
another("torch.RNN")(lambda: (nn.RNN(6, 8, batch_first=True), torch.randn(2, 5, 6)))
another("torch.layers on lines")(lambda: (nn.Sequential(
    nn.ConvTranspose1d(3, 4, 3, stride=2), nn.ELU(), nn.AvgPool1d(2), nn.InstanceNorm1d(4, affine=True), nn.PReLU(),
    nn.Upsample(scale_factor=2), nn.Hardswish(), nn.AdaptiveMaxPool1d(3)), torch.randn(2, 3, 8)))  # fmt: skip
another("torch.layers in space")(lambda: (nn.Sequential(
    nn.Conv3d(1, 2, 2), nn.BatchNorm3d(2), nn.CELU(), nn.MaxPool3d(2), nn.Dropout3d(0.2),
    nn.Flatten()), torch.randn(2, 1, 5, 5, 5)))  # fmt: skip
another("written.decoder")(lambda: (Decoder(), ids(2, 4, below=10), torch.randn(2, 8)))
another("written.Fourier")(lambda: (Fourier(), torch.randn(2, 3, 8)))
another("written.latent")(lambda: (Latent(), torch.randn(3, 6)))
another("written.experts")(lambda: (Experts(), torch.randn(5, 6)))

# -- graphs ------------------------------------------------------------------------------------------------------------


def geometric(name: str, make: Callable[[Any], nn.Module], *features: int) -> None:
    """A layer of torch_geometric on one fixed graph, perhaps with features of the edges."""

    @another(f"torch_geometric.{name}")
    def build() -> Any:
        import torch_geometric.nn as gnn

        return make(gnn), torch.randn(NODES, 6), EDGES, *(torch.randn(EDGES.shape[1], k) for k in features)


geometric("Transformer", lambda gnn: gnn.TransformerConv(6, 4, heads=2, edge_dim=3, dropout=0.2, beta=True), 3)
geometric("GatedGraph", lambda gnn: gnn.GatedGraphConv(8, 2))
geometric("APPNP", lambda gnn: gnn.APPNP(3, 0.1))
geometric("ARMA", lambda gnn: gnn.ARMAConv(6, 4, num_stacks=2, num_layers=2))
geometric("TAG", lambda gnn: gnn.TAGConv(6, 4, 3))
geometric("SG", lambda gnn: gnn.SGConv(6, 4, 2))
geometric("GINE", lambda gnn: gnn.GINEConv(perceptron(6, 4), edge_dim=3), 3)
geometric("NNConv", lambda gnn: gnn.NNConv(6, 4, perceptron(3, 24)), 3)
geometric("GIN of two layers", lambda gnn: gnn.GIN(6, 8, 2, 4, norm="batch_norm", dropout=0.1))


@another("torch_geometric.PointNet")
def pointnet() -> Any:
    import torch_geometric.nn as gnn

    return gnn.PointNetConv(perceptron(9, 8), perceptron(8, 4)), torch.randn(NODES, 6), torch.randn(NODES, 3), EDGES


__all__ = ["MORE"]
