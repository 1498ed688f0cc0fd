"""The two boxes that make parameters explicit: the passage between Para(C) and C.

``parameter(name, space)`` is the point ``I → P`` that a named parameter is; ``Explicit(op)`` is an op whose parameters and state are
ordinary inputs. A box with parameters is ``parameter(...) @ id >> Explicit(op)``, so a graph can always be written as a term again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from catlearn.core.op import Op, Param
from catlearn.core.spaces import I, Space
from catlearn.core.term import Box, Term


@dataclass(frozen=True)
class Point(Op):
    """A named parameter as an arrow I → P. The box's name is the parameter's full name and may have dots."""

    key = "parameter"
    keeps_roles = True
    space: Space
    trainable: bool = True
    init: object = field(default=None, compare=False)

    def infer(self, dom: Space) -> Space:
        return self.space


@dataclass(frozen=True)
class Explicit(Op):
    """An op with its parameters and state as inputs (and its new state as outputs), on wires given as they are."""

    key = "explicit"
    keeps_roles = True
    op: Op
    cod: Space
    data: int  # how many of the inputs are data
    states: tuple[str, ...] = ()  # the names of its state within the scope, from the root if they start with a dot; else under its own

    def infer(self, dom: Space) -> Space:
        return self.cod

    @property
    def name(self) -> str:
        return self.op.name


def point(name: str, param: Param) -> Term:
    """The parameter ``name`` as an arrow from I."""
    return Box(Point(param.space, param.trainable, param.init), I, name)
