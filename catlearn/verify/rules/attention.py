"""Attention: softmax(q kᵀ + mask) v, whole and with grouped heads."""

from __future__ import annotations

from dataclasses import replace

from catlearn.core.sizes import divide
from catlearn.verify.rules.call import IN_DISTRIBUTION, Call, Rule, Typed, Typing, require_entrywise, require_plain, typed, varied
from catlearn.verify.rules.contract import LETTERS, contract
from catlearn.verify.rules.reduce import require_set
from catlearn.verify.types import Axis, Refused, Type, constant, meet, normal, numbers


def attention(call: Call) -> list[Typing]:
    """softmax(q kᵀ + mask) v: positions of keys are summed, so any set may act on them; a causal mask knows their order."""
    q, k, v, mask = call.tensor("query"), call.tensor("key"), call.tensor("value"), call.get("attn_mask")
    if not q.rank == k.rank == v.rank:
        raise Refused("queries, keys and values of different ranks")
    if call.get("enable_gqa"):
        k, v = _grouped(k, q), _grouped(v, q)
    batch = LETTERS[: q.rank - 2]
    dropped = call.get("dropout_p", 0) != 0
    keeps = mask is None and not call.get("is_causal") and not dropped
    if keeps and k.value.shape[-2] == 1 and q.value.shape[:-2] == k.value.shape[:-2] == v.value.shape[:-2] and v.axes[-2] == ():
        return typed(replace(v.type, axes=(*v.axes[:-2], constant(q.value.shape[-2]), v.axes[-1])))  # the only key has the weight 1
    scores = contract([(batch + "xe", q.type), (batch + "ye", k.type)], batch + "xy")
    if scores.sign or scores.zero:
        scores = Type(tuple(numbers(replace(scores, zero=False), "attention").axes))
    if mask is not None:
        scores = Type(tuple(_both(scores, numbers(mask.type, "a mask"))))
    for axis in scores.axes:
        require_entrywise(axis, "a softmax")
    require_set(scores.axes[-1], "a softmax")
    if call.get("is_causal"):
        scores = replace(scores, axes=(*scores.axes[:-2], *(require_plain(axis, "a causal mask") for axis in scores.axes[-2:])))
    shifts = [f.shift for f in v.axes[-1]]
    bare = Type((*v.axes[:-1], tuple(replace(f, shift=0) for f in v.axes[-1])), sign=v.type.sign) if keeps and any(shifts) else v.type
    found = contract([(batch + "xy", scores), (batch + "yf", bare)], batch + "xf")
    if keeps and any(shifts):  # the weights of a row add up to one, so a translation of all values comes out
        found = replace(found, axes=(*found.axes[:-1], v.axes[-1]))
    return typed(varied(found) if dropped else found, assumes=IN_DISTRIBUTION if dropped else None)


def _grouped(x: Typed, q: Typed) -> Typed:
    """Keys or values, each head of which serves several heads of queries that stand together."""
    if x.rank < 3:
        raise Refused("grouped heads without an axis of heads")
    times = constant(divide(q.value.shape[-3], x.value.shape[-3]))
    axes = (*x.axes[:-3], normal((*x.axes[-3], *times)), *x.axes[-2:])
    return Typed(replace(x.value, shape=(*x.value.shape[:-3], q.value.shape[-3], *x.value.shape[-2:])), replace(x.type, axes=axes))


def _both(scores: Type, mask: Type) -> tuple[Axis, ...]:
    rank = len(scores.axes)
    axes = ((),) * (rank - len(mask.axes)) + mask.axes
    return tuple(meet(a, b, "fn") for a, b in zip(scores.axes, axes, strict=True))


ROWS: dict[str, Rule] = {"aten.scaled_dot_product_attention.default": attention}
