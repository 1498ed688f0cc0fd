"""``Ops``: the small vocabulary in which every definition and every reverse derivative is written, once.

A meaning that can run primitives implements ``apply`` and ``wire``; the rest is shorthand. Values are whatever the meaning works
on: wires of a graph, exact arrays, tensors. An op that the meaning does not know is replaced by its definition.

>>> from catlearn.meanings.exact import Rationals
>>> o = Rationals()
>>> str(o.mul(o.value([1, 2]), o.value([3, 4])))
'[3 8]'
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from catlearn.core.op import Op
from catlearn.core.sizes import Size
from catlearn.core.spaces import Wire

V = TypeVar("V")


class Ops(ABC, Generic[V]):
    """Run ops on values of one kind."""

    @abstractmethod
    def apply(self, op: Op, *args: V) -> Any:
        """The op's output; a tuple if it has several outputs, ``()`` if it has none."""

    @abstractmethod
    def wire(self, value: V) -> Wire:
        """The type of a value: its event axes, kind and role."""

    def shape(self, value: V) -> tuple[Size, ...]:
        """The event shape of a value."""
        return self.wire(value).shape

    # -- shorthand; each is one op -------------------------------------------------------------------------------

    def add(self, x: V, y: V) -> V:
        from catlearn.boxes.arithmetic import Add

        return self.apply(Add(), x, y)

    def sub(self, x: V, y: V) -> V:
        from catlearn.boxes.arithmetic import Sub

        return self.apply(Sub(), x, y)

    def mul(self, x: V, y: V) -> V:
        from catlearn.boxes.arithmetic import Mul

        return self.apply(Mul(), x, y)

    def div(self, x: V, y: V) -> V:
        from catlearn.boxes.arithmetic import Div

        return self.apply(Div(), x, y)

    def scale(self, x: V, factor: Any) -> V:
        from catlearn.boxes.arithmetic import Scale

        return self.apply(Scale(factor), x)

    def shift(self, x: V, by: Any) -> V:
        from catlearn.boxes.arithmetic import Shift

        return self.apply(Shift(by), x)

    def neg(self, x: V) -> V:
        return self.scale(x, -1)

    def power(self, x: V, exponent: Any) -> V:
        from catlearn.boxes.arithmetic import Power

        return self.apply(Power(exponent), x)

    def exp(self, x: V) -> V:
        from catlearn.boxes.pointwise import Exp

        return self.apply(Exp(), x)

    def log(self, x: V) -> V:
        from catlearn.boxes.pointwise import Log

        return self.apply(Log(), x)

    def step(self, x: V) -> V:
        from catlearn.boxes.pointwise import Step

        return self.apply(Step(), x)

    def sum(self, x: V, axes: Sequence[int] = (-1,), keep: bool = False) -> V:
        from catlearn.boxes.reduce import Sum

        return self.apply(Sum(tuple(axes), keep), x)

    def mean(self, x: V, axes: Sequence[int] = (-1,), keep: bool = False) -> V:
        from catlearn.boxes.reduce import Mean

        return self.apply(Mean(tuple(axes), keep), x)

    def max(self, x: V, axes: Sequence[int] = (-1,), keep: bool = False) -> V:
        from catlearn.boxes.reduce import Max

        return self.apply(Max(tuple(axes), keep), x)

    def broadcast(self, x: V, shape: Sequence[Size]) -> V:
        """Axes of size 1 are repeated, missing axes on the left are added."""
        from catlearn.boxes.shape import Broadcast

        return x if tuple(shape) == self.shape(x) else self.apply(Broadcast(tuple(shape)), x)

    def reshape(self, x: V, shape: Sequence[Size]) -> V:
        from catlearn.boxes.shape import Reshape

        return x if tuple(shape) == self.shape(x) else self.apply(Reshape(tuple(shape)), x)

    def transpose(self, x: V, order: Sequence[int]) -> V:
        from catlearn.boxes.shape import Transpose

        return self.apply(Transpose(tuple(order)), x)

    def concat(self, xs: Sequence[V], axis: int = -1) -> V:
        from catlearn.boxes.shape import Concat

        return self.apply(Concat(axis), *xs)

    def slice(self, x: V, start: int, stop: int, axis: int = -1) -> V:
        from catlearn.boxes.shape import Slice

        return self.apply(Slice(start, stop, axis), x)

    def einsum(self, pattern: str, *xs: V) -> V:
        from catlearn.boxes.contract import Einsum

        return self.apply(Einsum(pattern), *xs)

    def full(self, wire: Wire, value: float = 0.0) -> V:
        """A constant of the same type as ``wire``."""
        from catlearn.boxes.constant import Full

        return self.apply(Full(wire, value))


def by_definition(o: Ops[Any], op: Op, args: Sequence[Any]) -> Any:
    """An op evaluated through its definition; the caller has checked that there is one."""
    assert op.definition is not None
    return op.definition(o, *args)
