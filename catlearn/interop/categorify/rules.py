"""Rows of the table that compute: functions of entries, contractions, attention, norms, reductions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from catlearn.boxes import arithmetic, contract, index, masks, norm, pointwise, reduce, softmax
from catlearn.boxes.attention import Attention
from catlearn.boxes.random import Dropout
from catlearn.core.op import Op
from catlearn.core.spaces import Space
from catlearn.interop.categorify.aten import Mode
from catlearn.interop.categorify.boxes import DropAttention, PaddedEmbedding, Recurrent
from catlearn.interop.categorify.table import RULES, Call, W, rule

# -- entry by entry ------------------------------------------------------------------------------------------------------

POINTWISE: dict[str, type[Op]] = {
    "exp": pointwise.Exp,
    "log": pointwise.Log,
    "relu": pointwise.Relu,
    "erf": pointwise.Erf,
    "abs": pointwise.Abs,
    "sigmoid": pointwise.Sigmoid,
    "tanh": pointwise.Tanh,
    "silu": pointwise.Silu,
}
RULES.update({f"aten.{name}.default": lambda c, x, op=op: c.apply(op(), x) for name, op in POINTWISE.items()})
RULES["aten.gelu.default"] = lambda c, x, approximate: c.apply(pointwise.Gelu(approximate), x)
RULES["aten.leaky_relu.default"] = lambda c, x, slope: c.apply(pointwise.LeakyRelu(slope), x)
RULES["aten.softplus.default"] = lambda c, x, beta, threshold: c.apply(pointwise.Softplus(beta, threshold), x)
RULES["aten.neg.default"] = lambda c, x: c.apply(arithmetic.Scale(-1), x)
RULES["aten.sqrt.default"] = lambda c, x: c.apply(arithmetic.Power(Fraction(1, 2)), x)
RULES["aten.rsqrt.default"] = lambda c, x: c.apply(arithmetic.Power(Fraction(-1, 2)), x)
RULES["aten.reciprocal.default"] = lambda c, x: c.apply(arithmetic.Power(-1), x)
RULES["aten.square.default"] = lambda c, x: c.apply(arithmetic.Power(2), x)
RULES["aten.pow.Tensor_Scalar"] = lambda c, x, k: c.apply(arithmetic.Power(Fraction(1, 2) if k == 0.5 else k), x)


def _number(y: Any) -> bool:
    return isinstance(y, int | float) and not isinstance(y, bool)


@rule("add.Tensor", "add.Scalar")
def _add(c: Call, x: Any, y: Any, alpha: Any = 1) -> Any:
    if alpha != 1:
        return None
    if _number(y):
        return x.wire if y == 0 and c.type(x) == c.out else c.apply(arithmetic.Shift(y), x)
    if c.type(y).role == "parameter" and len(c.type(y).axes) == 1 and c.type(y).axes == c.type(x).axes[-1:] and c.type(x).kind == "float":
        return c.apply(contract.Bias(), x, y)
    return c.o.add(*c.spread(x, y))


@rule("sub.Tensor", "sub.Scalar")
def _sub(c: Call, x: Any, y: Any, alpha: Any = 1) -> Any:
    if alpha != 1:
        return None
    return c.apply(arithmetic.Shift(-y), x) if _number(y) else c.o.sub(*c.spread(x, y))


@rule("rsub.Scalar")
def _rsub(c: Call, x: Any, y: Any, alpha: Any = 1) -> Any:
    return c.apply(arithmetic.Shift(y), W(c.apply(arithmetic.Scale(-1), x))) if alpha == 1 else None


@rule("mul.Tensor", "mul.Scalar")
def _mul(c: Call, x: Any, y: Any) -> Any:
    return c.apply(arithmetic.Scale(y), x) if _number(y) else c.o.mul(*c.spread(x, y))


@rule("div.Tensor", "div.Scalar")
def _div(c: Call, x: Any, y: Any) -> Any:
    if _number(y):  # only where 1 / y is exact is multiplying by it the same number
        exact = float(y).hex().lstrip("-").partition("p")[0] in ("0x1.0000000000000", "0x1.0")
        return c.apply(arithmetic.Scale(1 / y), x) if exact else None
    return c.o.div(*c.spread(x, y))


@rule("masked_fill.Scalar")
def _masked_fill(c: Call, x: Any, mask: Any, value: Any) -> Any:
    return c.apply(masks.MaskedFill(float(value)), x, mask) if _number(value) else None


@rule("where.self")
def _where(c: Call, mask: Any, x: Any, y: Any) -> Any:
    return c.apply(masks.Where(), mask, *map(W, c.spread(x, y)))


@rule("dropout.default")
def _dropout(c: Call, x: Any, p: Any, train: Any) -> Any:
    if train is False or p == 0:
        return x.wire
    return c.apply(Dropout(p), x) if train == Mode(True, False) and _number(p) else None


# -- contractions ----------------------------------------------------------------------------------------------------------


@rule("linear.default")
def _linear(c: Call, x: Any, weight: Any, bias: Any) -> Any:
    return c.apply(contract.Linear(c.type(weight).axes[0], bias is not None), x, weight, *([bias] if bias is not None else []))


@rule("addmm.default")
def _addmm(c: Call, bias: Any, x: Any, weight: Any, beta: Any, alpha: Any) -> Any:
    """x · w + b with w as (in, out), a linear box on the transpose of w."""
    if (beta, alpha) != (1, 1) or len(c.type(bias).axes) != 1 or c.type(weight).role != "parameter":
        return None
    turned = W(c.o.transpose(weight.wire, (1, 0)))
    return c.apply(contract.Linear(c.type(turned).axes[0]), x, turned, bias)


@rule("matmul.default", "bmm.default", "mm.default")
def _matmul(c: Call, x: Any, y: Any) -> Any:
    return c.apply(contract.Matmul(), x, y)


@rule("einsum.default")
def _einsum(c: Call, equation: str, tensors: Any, path: Any = None) -> Any:
    return c.apply(contract.Einsum(equation.replace(" ", "")), *tensors) if "->" in equation and "." not in equation else None


@rule("scaled_dot_product_attention.default")
def _attention(c: Call, q: Any, k: Any, v: Any, mask: Any, p: Any, causal: bool, scale: Any, enable_gqa: bool) -> Any:
    if enable_gqa:
        return None
    op = Attention(causal, scale, "none" if mask is None else c.type(mask).kind)
    wires = [w for w in (q, k, v, mask) if w is not None]
    return c.apply(op if p == 0 else DropAttention(op, p, Space(tuple(map(c.type, wires))).with_role("data")), *wires)


@rule("embedding.default")
def _embedding(c: Call, weight: Any, ids: Any, padding: int, by_frequency: bool, sparse: bool) -> Any:
    if by_frequency or sparse or not isinstance(padding, int):
        return None
    count, channels = c.type(weight).shape
    return c.apply(PaddedEmbedding(channels, count, padding) if padding >= 0 else index.Embedding(channels, count), ids, weight)


@rule("lstm.input", "gru.input")
def _recurrent(
    c: Call, x: Any, state: Any, weights: Any, bias: bool, layers: int, dropout: float, train: Any, both: bool, first: bool
) -> Any:
    states = state if isinstance(state, tuple) else (state,)
    names = {wire: name.rpartition(".")[2] for name, wire in c.o.graph.param_wires.items()}
    if (dropout and layers > 1) or any(w.wire not in names for w in weights):
        return None
    spaces = [Space(tuple(map(c.type, row))) for row in ((x, *states), weights)]
    op = Recurrent("lstm" if len(states) == 2 else "gru", tuple(names[w.wire] for w in weights), spaces[0].with_role("data"),
                   Space(tuple(c.expected)), spaces[1], layers, bias, both, first)  # fmt: skip
    return c.apply(op, x, *states, *weights)


# -- norms and reductions ----------------------------------------------------------------------------------------------------


@rule("layer_norm.default")
def _layer_norm(c: Call, x: Any, shape: Any, weight: Any, bias: Any, eps: float, cudnn: Any) -> Any:
    if len(shape) != 1 or (weight is None and bias is not None):
        return None
    params = [w for w in (weight, bias) if w is not None]
    return c.apply(norm.LayerNorm(eps, weight is not None, bias is not None), x, *params)


@rule("rms_norm.default")
def _rms_norm(c: Call, x: Any, shape: Any, weight: Any, eps: Any) -> Any:
    return None if len(shape) != 1 or eps is None else c.apply(norm.RmsNorm(eps, weight is not None), x, *([weight] if weight else []))


@rule("softmax.int")
def _softmax(c: Call, x: Any, axis: int, dtype: Any) -> Any:
    return c.apply(softmax.Softmax(c.axes(x, axis)[0]), x) if dtype is None else None


@rule("log_softmax.int")
def _log_softmax(c: Call, x: Any, axis: int, dtype: Any) -> Any:
    return c.apply(softmax.LogSoftmax(c.axes(x, axis)[0]), x) if dtype is None else None


@rule("sum.dim_IntList", "sum.default")
def _sum(c: Call, x: Any, axes: Any = None, keep: bool = False, dtype: Any = None) -> Any:
    return c.apply(reduce.Sum(c.axes(x, axes), keep), x) if isinstance(keep, bool) and dtype is None else None


@rule("mean.dim")
def _mean(c: Call, x: Any, axes: Any, keep: bool, dtype: Any) -> Any:
    return c.apply(reduce.Mean(c.axes(x, axes), keep), x) if dtype is None else None


@rule("amax.default")
def _amax(c: Call, x: Any, axes: Any, keep: bool) -> Any:
    return c.apply(reduce.Max(c.axes(x, axes), keep), x)


@rule("logsumexp.default")
def _logsumexp(c: Call, x: Any, axes: Any, keep: bool) -> Any:
    return c.apply(softmax.LogSumExp(c.axes(x, axes), keep), x)


__all__ = ["RULES"]
