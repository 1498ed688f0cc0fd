"""catlearn: write a network once, as an arrow; get its torch module, its backward pass, its update rule, its picture, its cost
and its explanation as functors of that one arrow.

``>>`` is "then", ``@`` is "beside" and binds tighter. See ``docs/`` for a tour; every name here has an example in its docstring.
"""

from catlearn import adapters, diagrams, errors, maps, symmetry, verify
from catlearn.adapters.entry import adapt
from catlearn.adapters.exchange import load_adapter, save_adapter
from catlearn.adapters.merging import merge, remove, unmerge
from catlearn.boxes import cells
from catlearn.boxes.arithmetic import add, div, mul, power, scale, shift, sub
from catlearn.boxes.attention import attention
from catlearn.boxes.constant import constant, full
from catlearn.boxes.contract import bias, einsum, gain, linear, matmul
from catlearn.boxes.conv import conv1d, conv2d, fold, windows
from catlearn.boxes.custom import box, from_module
from catlearn.boxes.index import embedding, gather, one_hot, scatter_add
from catlearn.boxes.masks import masked_fill, where
from catlearn.boxes.norm import batch_norm, layer_norm, rms_norm
from catlearn.boxes.pointwise import abs, erf, exp, gelu, leaky_relu, log, relu, sigmoid, silu, softplus, step, tanh
from catlearn.boxes.pool import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    avg_pool1d,
    avg_pool2d,
    global_avg_pool1d,
    global_avg_pool2d,
    max_pool1d,
    max_pool2d,
)
from catlearn.boxes.random import dropout
from catlearn.boxes.reduce import max, mean, sum
from catlearn.boxes.shape import broadcast, concat, flatten, pad, reshape, slice, split, transpose
from catlearn.boxes.softmax import log_softmax, logsumexp, softmax
from catlearn.core.cells import Cell
from catlearn.core.combinators import copy, discard, id, par, repeat, seq, swap
from catlearn.core.equality import Same, same
from catlearn.core.functor import Endofunctor, Functor
from catlearn.core.hooks import MEANINGS
from catlearn.core.op import Fused, Init, Op, Param
from catlearn.core.sizes import dim
from catlearn.core.spaces import SE, SO, A, E, I, O, R, S, Sp, Space, T, Z, boolean, index, parameter, space, tangent
from catlearn.core.term import Box, Par, Reparam, Repeat, Scope, Seq, Term, Wiring
from catlearn.interop.categorify import Coverage, categorify, coverage
from catlearn.interop.discopy import from_discopy, to_discopy
from catlearn.interop.files import load, save
from catlearn.interop.networkx import to_networkx
from catlearn.layers.compounds import (
    deep_sets,
    gru_cell,
    lstm_cell,
    message_passing,
    mlp,
    multi_head_attention,
    residual,
    transformer,
    transformer_block,
)
from catlearn.layers.equivariant import equivariant
from catlearn.layers.gates import norm_gate, symplectic_gate, tensor_product
from catlearn.layers.geometric import (
    equivariant_deep_sets,
    invariant_graph_network,
    molecule_network,
    point_cloud_network,
    set_transformer_block,
    subgraph_network,
)
from catlearn.layers.plan import plan
from catlearn.layers.resize import resize
from catlearn.learn import schedules
from catlearn.learn.fitted import Fitted
from catlearn.learn.learner import Learner, learner
from catlearn.learn.losses import binary_cross_entropy, cosine, cross_entropy, huber, mae, mse, squared_error
from catlearn.learn.optimisers import adagrad, adam, adamw, rmsprop, sgd
from catlearn.meanings.base_change import change_base
from catlearn.meanings.cost import Cost, cost
from catlearn.meanings.lens import Lens, lens
from catlearn.meanings.module import compile
from catlearn.meanings.picture import Picture, draw
from catlearn.meanings.reverse import reverse
from catlearn.meanings.symbolic import Symbolic, symbolic
from catlearn.meanings.words import explain
from catlearn.symmetry import hom_basis, hom_dim, rho, theta

MEANINGS.update(run="catlearn.meanings.run:run", svg="catlearn.meanings.picture:svg", vjp="catlearn.meanings.reverse:vjp",
                plan_adapters="catlearn.adapters.plans:plan")  # fmt: skip

__version__ = "0.1.0"

__all__ = [
    "A", "abs", "adagrad", "adam", "adamw", "adapt", "adapters", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "add", "attention",
    "avg_pool1d", "avg_pool2d", "batch_norm", "bias", "binary_cross_entropy", "boolean", "Box", "box", "broadcast", "categorify",
    "Cell", "cells", "change_base", "compile", "concat", "constant", "conv1d", "conv2d", "copy", "cosine", "Cost", "cost",
    "Coverage", "coverage", "cross_entropy", "deep_sets", "diagrams", "dim", "discard", "div", "draw", "dropout", "E", "einsum",
    "embedding", "Endofunctor", "equivariant", "equivariant_deep_sets", "erf", "errors", "exp", "explain", "Fitted", "flatten",
    "fold", "from_discopy", "from_module", "full", "Functor", "Fused", "gain", "gather", "gelu", "global_avg_pool1d",
    "global_avg_pool2d", "gru_cell", "hom_basis", "hom_dim", "huber", "I", "id", "index", "Init", "invariant_graph_network",
    "layer_norm", "leaky_relu", "Learner", "learner", "Lens", "lens", "linear", "load", "load_adapter", "log", "log_softmax",
    "logsumexp", "lstm_cell", "mae", "maps", "masked_fill", "matmul", "max", "max_pool1d", "max_pool2d", "mean", "merge",
    "message_passing", "mlp", "molecule_network", "mse", "mul", "multi_head_attention", "norm_gate", "O", "one_hot", "Op", "pad",
    "Par", "par", "Param", "parameter", "Picture", "plan", "point_cloud_network", "power", "R", "relu", "remove", "Reparam",
    "Repeat", "repeat", "reshape", "residual", "resize", "reverse", "rho", "rms_norm", "rmsprop", "S", "Same", "same", "save",
    "save_adapter", "scale", "scatter_add", "schedules", "Scope", "SE", "Seq", "seq", "set_transformer_block", "sgd", "shift",
    "sigmoid", "silu", "slice", "SO", "softmax", "softplus", "Sp", "Space", "space", "split", "squared_error", "step", "sub",
    "subgraph_network", "sum", "swap", "Symbolic", "symbolic", "symmetry", "symplectic_gate", "T", "tangent", "tanh",
    "tensor_product", "Term", "theta", "to_discopy", "to_networkx", "transformer", "transformer_block", "transpose", "unmerge",
    "verify", "where", "windows", "Wiring", "Z",
]  # fmt: skip
