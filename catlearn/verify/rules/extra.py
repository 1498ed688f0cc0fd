"""Operators that are another one in other words, and positions used as numbers where the numbering does not matter.

A position on a set of n points is one of 0 … n-1: it is at least 0, it is below n, it is no negative number, and adding 0 leaves it.
Libraries write such things into masks (``position >= 0`` for "every token is seen"). Any other comparison depends on the numbering and
has the rule of its operator, which refuses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from catlearn.verify.rules import joins, pointwise
from catlearn.verify.rules.call import Call, Rule, Typing, typed_of
from catlearn.verify.types import Refused, Type, constant, size


def plus_nothing(call: Call) -> Sequence[Typing] | Type:
    """x + 0 and x - 0 of positions x: the same positions."""
    x, y = typed_of(call.args["self"]), typed_of(call.args["other"])
    if x.type.points is not None and y.type.zero and not any(y.type.axes) and call.outs[0].kind == "index":
        return Type(((),) * (len(call.outs[0].shape) - x.rank) + x.axes, points=x.type.points)
    return pointwise.ROWS[call.op](call)


def compared(call: Call) -> Sequence[Typing] | Type:
    """Positions compared with a number outside 0 … n-1, or with an end so that all are on one side: everywhere the same."""
    x, bound = call.tensor("self"), call.args["other"]
    if x.type.points is not None and isinstance(bound, int) and not isinstance(bound, bool):
        n, name = size(x.type.points), call.op.split(".")[1]
        below = bound < 0 or (bound == 0 and name in ("ge", "lt"))
        above = isinstance(n, int) and (bound >= n or (bound == n - 1 and name in ("le", "gt")))
        if below or above:
            return Type(tuple(constant(k) for k in call.outs[0].shape))
    return pointwise.ROWS[call.op](call)


def narrow(call: Call) -> Sequence[Typing] | Type:
    """A slice by its start and its length."""
    start, length = call.args["start"], call.args["length"]
    if not isinstance(start, int) or not isinstance(length, int) or start < 0:
        raise Refused("a part of unknown place is taken out")
    args = {"self": call.args["self"], "dim": call.args["dim"], "start": start, "end": start + length, "step": 1}
    return joins.ROWS["aten.slice.Tensor"](replace(call, op="aten.slice.Tensor", args=args))


ROWS: dict[str, Rule] = {
    "aten.narrow.default": narrow,
    **{f"aten.{name}.Tensor": plus_nothing for name in ("add", "sub")},
    **{f"aten.{name}.Scalar": compared for name in ("ge", "gt", "le", "lt", "eq", "ne")},
}
