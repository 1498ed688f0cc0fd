"""The table: aten overload → what it is in the library's boxes, written over ``Ops`` like any definition.

A rule gets the call and its arguments in the order of torch's schema, defaults filled in: tensors as ``W``, sizes as ours, what
depends on the mode as ``Mode``. It returns the wires of boxes with the same meaning, or None where it does not know these arguments.
A rule that fails or whose result has another shape or kind leaves nothing behind, and the call becomes one opaque op.

Law: a rule's boxes compute what the call computes, and so do their gradients (one row, one test, in ``test_table``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from catlearn.core.op import Op
from catlearn.core.spaces import Wire


@dataclass(frozen=True)
class W:
    """A tensor argument: the wire that carries it."""

    wire: int


class Unfit(Exception):
    """The arguments are not of the kind that a rule is about."""


class Call:
    """What a rule may use: the vocabulary ``o``, and the types that the results must have."""

    def __init__(self, o: Any, expected: Sequence[Wire]) -> None:
        self.o, self.expected = o, expected

    @property
    def out(self) -> Wire:
        return self.expected[0]

    def apply(self, op: Op, *args: Any) -> Any:
        return self.o.apply(op, *(a.wire if isinstance(a, W) else a for a in args))

    def type(self, x: W) -> Wire:
        if not isinstance(x, W):
            raise Unfit
        return self.o.wire(x.wire)

    def spread(self, *xs: W) -> list[int]:
        """Float tensors repeated to the shape of the result."""
        if any(self.type(x).kind != "float" for x in xs):
            raise Unfit
        return [self.o.broadcast(x.wire, self.out.shape) for x in xs]

    def axes(self, x: W, axes: Any) -> tuple[int, ...]:
        order = len(self.type(x).axes)
        return tuple(range(order)) if axes is None or axes == () else tuple(a % order for a in ((axes,) if isinstance(axes, int) else axes))


Rule = Callable[..., Any]
RULES: dict[str, Rule] = {}


def rule(*overloads: str) -> Callable[[Rule], Rule]:
    def register(f: Rule) -> Rule:
        RULES.update(dict.fromkeys((f"aten.{name}" for name in overloads), f))
        return f

    return register


__all__ = ["Call", "RULES", "Rule", "Unfit", "W", "rule"]
