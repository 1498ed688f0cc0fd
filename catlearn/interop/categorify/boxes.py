"""Boxes that other people's modules have and the library's own set does not: norms with running statistics over a whole tensor,
attention with dropout, tables with a row that never learns, recurrent layers, and buffers that a module changes by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch as pytorch

from catlearn import errors
from catlearn.boxes.attention import Attention
from catlearn.boxes.index import Embedding
from catlearn.boxes.random import Dropout
from catlearn.core.op import Fused, Op, Param
from catlearn.core.spaces import Axis, Space, Wire
from catlearn.interop.categorify.aten import ByAutograd, Mode, spelled


@dataclass(frozen=True)
class Keep(Op):
    """A buffer that the module changes: read before everything (``I → x``), or written after everything (``x → I``)."""

    key = "keep"
    keeps_roles = True
    whole = True
    effect = "stateful"
    state_names = ("value",)
    wire: Wire
    start: pytorch.Tensor = field(compare=False)
    writes: bool = False

    def infer(self, dom: Space) -> Space:
        return Space() if self.writes else Space((self.wire,))

    def state(self, dom: Space) -> dict[str, Param]:
        return {"value": Param(Space((self.wire,)).with_role("parameter"), self.start, False)}

    def torch(self, e: Any, *args: str) -> str:
        return f"{args[1]}.copy_({args[0]}.detach())" if self.writes else f"{args[0]}.clone()"

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return (None,) * (len(args) - 1)


@dataclass(frozen=True)
class RunningNorm(ByAutograd):
    """(x − mean) / √(var + eps) for each channel, the second axis, then · weight + bias (Ioffe, Szegedy 2015, arXiv:1502.03167).

    In training, mean and variance are those of the tensor, and the running ones move towards them by ``momentum``; otherwise the
    running ones are used. The state is that of ``torch.nn.BatchNorm``.
    """

    NAMES: ClassVar[tuple[str, ...]] = ("running_mean", "running_var", "num_batches_tracked")
    key = "running_norm"
    nonlinear = True
    effect = "stateful"
    training: Any
    momentum: float
    eps: float
    affine: bool
    start: tuple[pytorch.Tensor, ...] = field(compare=False)

    def in_and_out(self) -> tuple[Sequence[Wire], Sequence[Wire]]:
        return (Wire(()),), (Wire(()),)

    @property
    def param_names(self) -> tuple[str, ...]:
        return ("weight", "bias") if self.affine else ()

    @property
    def state_names(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.NAMES[: len(self.start)]

    def infer(self, dom: Space) -> Space:
        if not len(dom) or dom[0].kind != "float" or len(dom[0].axes) < 2:
            raise errors.BadBox(str(self), dom, "a float wire with the channels second")
        return Space(dom.wires[:1])

    def parameters(self, dom: Space) -> dict[str, Param]:
        return {name: Param(Space((Wire(dom[0].axes[1:2], role="parameter"),))) for name in self.param_names}

    def state(self, dom: Space) -> dict[str, Param]:
        return {name: Param(Space((Wire(tuple(Axis(n) for n in value.shape), "float" if value.is_floating_point() else "index",
                                        None, "parameter"),)), value, False)
                for name, value in zip(self.state_names, self.start, strict=True)}  # fmt: skip

    def torch(self, e: Any, x: str, *args: str) -> str:
        params, state = (list(args[:2]), list(args[2:])) if self.affine else (["None", "None"], list(args))
        count = state[2] if len(state) > 2 else "None"
        numbers = f"{spelled(self.training, e, ())}, {self.momentum!r}, {self.eps!r}"
        return f"{e.object('running_norm', running_norm)}({x}, {', '.join(params)}, {state[0]}, {state[1]}, {count}, {numbers})"

    def flops(self, dom: Space, cod: Space) -> Any:
        return 8 * cod[0].size

    def __str__(self) -> str:
        return f"running_norm(momentum={self.momentum}, eps={self.eps})"


def running_norm(x: Any, weight: Any, bias: Any, mean: Any, var: Any, count: Any, training: bool, momentum: float, eps: float) -> Any:
    """Batch norm as ``torch.nn.BatchNorm`` runs it, the counting of batches included."""
    if training and count is not None:
        count.add_(1)
    return pytorch.batch_norm(x, weight, bias, mean, var, training, momentum, eps, pytorch.backends.cudnn.enabled)


@dataclass(frozen=True)
class PaddedEmbedding(Embedding):
    """A table in which the row ``padding`` gets no gradient, so that it stays what it was."""

    key = "padded_embedding"
    padding: int = 0
    torch = "F.embedding({x0}, {weight}, {self.padding})"
    fused = (Fused("dy0 x0 weight", "weight",
                   "aten.embedding_dense_backward({dy0}, {x0}, {weight}.shape[0], {self.padding}, False)"),)  # fmt: skip


@dataclass(frozen=True)
class DropAttention(ByAutograd):
    """Scaled dot-product attention whose weights pass through dropout of probability p in training."""

    key = "attention_with_dropout"
    nonlinear = True
    effect = "random"
    inner: Attention
    p: Any  # a number, or one for each mode
    dom: Space

    def in_and_out(self) -> tuple[Sequence[Wire], Sequence[Wire]]:
        return self.dom.wires, self.infer(self.dom).wires

    def infer(self, dom: Space) -> Space:
        return self.inner.infer(dom.with_role("data"))

    def torch(self, e: Any, *args: str) -> str:
        dropped = f"dropout_p={spelled(self.p, e, ())}{self.inner.options(e, *args[3:])}"
        if e.keyed:
            return f"seeded(key, {e.node.name!r}, F.scaled_dot_product_attention, {', '.join(args[:3])}, {dropped})"
        return f"F.scaled_dot_product_attention({', '.join(args[:3])}, {dropped})"

    def flops(self, dom: Space, cod: Space) -> Any:
        return self.inner.flops(dom, cod)

    def __str__(self) -> str:
        p = self.p.train if isinstance(self.p, Mode) else self.p
        return f"attention_with_dropout(p={p}{', causal=True' if self.inner.causal else ''})"


@dataclass(frozen=True)
class Recurrent(ByAutograd):
    """``torch.nn.LSTM`` or ``GRU``, all layers and steps at once (Hochreiter, Schmidhuber 1997; Cho et al. 2014, arXiv:1406.1078).

    ``x @ initial states → outputs @ last states``.
    """

    key = "recurrent"
    nonlinear = True
    kind: str
    names: tuple[str, ...]
    dom: Space
    cod: Space
    weights: Space
    layers: int
    bias: bool
    both_ways: bool
    batch_first: bool

    def in_and_out(self) -> tuple[Sequence[Wire], Sequence[Wire]]:
        return self.dom.wires, self.cod.wires

    @property
    def name(self) -> str:
        return self.kind

    @property
    def param_names(self) -> tuple[str, ...]:
        return self.names

    def parameters(self, dom: Space) -> dict[str, Param]:
        return {name: Param(Space((wire,))) for name, wire in zip(self.names, self.weights, strict=True)}

    def infer(self, dom: Space) -> Space:
        if dom.with_role("data") != self.dom:
            raise errors.BadBox(str(self), dom, str(self.dom))
        return self.cod

    def torch(self, e: Any, *args: str) -> str:
        count = len(self.dom)
        state = f"[{', '.join(args[1:count])}]" if self.kind == "lstm" else args[1]
        weights, options = ", ".join(args[count:]), (self.bias, self.layers, 0.0)
        return f"aten.{self.kind}.input({args[0]}, {state}, [{weights}], {', '.join(map(repr, options))}, {e.training}, " \
               f"{self.both_ways}, {self.batch_first})"  # fmt: skip

    def flops(self, dom: Space, cod: Space) -> Any:
        """Two for each weight and step."""
        total: Any = 0
        for wire in self.weights:
            total = wire.size + total
        return 2 * total * (dom[0].shape[0] * dom[0].shape[1] if len(dom[0].axes) == 3 else dom[0].shape[0])

    def __str__(self) -> str:
        return f"{self.kind}(layers={self.layers}{', both ways' if self.both_ways else ''})"


__all__ = ["DropAttention", "Dropout", "Keep", "PaddedEmbedding", "Recurrent", "RunningNorm"]
