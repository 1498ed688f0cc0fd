"""The rule table of the prover: one row per operator. This package and the kernel are what a proof rests on.

Each module is a family and has its rows in ``ROWS``; ``TABLE`` is their union. An operator without a row has one rule only, the
universal one: if nothing acts on its arguments, nothing acts on its results.
"""

from __future__ import annotations

from catlearn.errors import NotDivisible
from catlearn.verify.rules import attention, constants, contract, extra, index, joins, layers, networks, order, pointwise, reduce, shape
from catlearn.verify.rules.call import ASSUMPTIONS, IN_DISTRIBUTION, NO_TIES, Call, Rule, Typed, Typing, Value, plain_type
from catlearn.verify.types import Refused, Type, trivial

_FAMILIES = (pointwise, reduce, order, contract, attention, shape, joins, index, networks, constants, layers, extra)
TABLE: dict[str, Rule] = {name: rule for family in _FAMILIES for name, rule in family.ROWS.items()}


def typings(call: Call) -> list[Typing]:
    """Every typing that a node has by the universal rule or by its row; ``Refused`` with the reason if there is none.

    A typing whose shapes are not those of the results is an error of a row and counts as none.
    """
    found: list[Typing] = []
    if all(trivial(x.type) for x in call.tensors()):
        found.append(Typing(tuple(plain_type(out) for out in call.outs)))
    reason = f"there is no rule for {call.op} where something acts on an argument"
    rule = TABLE.get(call.op)
    if rule is not None:
        try:
            answer = rule(call)
            some = [Typing((answer,))] if isinstance(answer, Type) else list(answer)
            found += [t for t in some if t not in found and _in_shape(t, call)]
            reason = (
                f"the types of {call.op} come out in another shape than its results: {', '.join(str(t) for a in some for t in a.types)}"
            )
        except Refused as refused:
            reason = str(refused)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, ZeroDivisionError, NotDivisible) as error:
            reason = f"the arguments of {call.op} are not those that its row knows ({type(error).__name__}: {error})"
    if not found:
        raise Refused(reason)
    return found


def _in_shape(typing: Typing, call: Call) -> bool:
    return len(typing.types) == len(call.outs) and all(t.shape == out.shape for t, out in zip(typing.types, call.outs, strict=True))


__all__ = ["ASSUMPTIONS", "IN_DISTRIBUTION", "NO_TIES", "TABLE", "Call", "Rule", "Typed", "Typing", "Value", "typings"]
