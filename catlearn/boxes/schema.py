"""Schemas: boxes without their space. ``cl.relu`` is one; ``cl.relu(cl.R(4))`` is a box; ``f >> cl.relu`` takes the space of f.

>>> import catlearn as cl
>>> print(cl.R(4) and cl.id(cl.R(4)) >> cl.relu)
composite : R(4) → R(4)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from catlearn import errors
from catlearn.boxes.check import passes
from catlearn.core.op import Op
from catlearn.core.spaces import Space
from catlearn.core.term import Box, Term


def plain(value: Any) -> Any:
    """A number as Python writes it: a scalar of numpy or torch becomes a float or an int."""
    return value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value


@dataclass(frozen=True)
class Schema:
    """An op that waits for its domain. Calling it with a space gives the box; with attributes, a schema with those attributes."""

    kind: type[Op]
    op: Op | None = None
    arity: int = 1  # how many copies of the given space the domain is: 2 for add
    name: str | None = None

    def instantiate(self, dom: Space) -> Term:
        """The box on exactly this domain."""
        try:
            op = self.op or self.kind()
        except TypeError as error:
            if "required positional argument" not in str(error):
                raise
            raise errors.BadBox(str(self), dom, f"its attributes: {str(error).partition(': ')[2]}", f"f >> {self}(...)") from None
        passes(op, dom)
        if self.arity > 1 and any(wire.axes != dom[0].axes for wire in dom):  # derivatives may forget groups; who writes a term may not
            raise errors.BadBox(str(op), dom, f"{self.arity} equal wires, groups included", "an axis without a group is not moved by it")
        return Box(op, dom, self.name)

    def __call__(self, *args: Any, name: str | None = None, **attributes: Any) -> Any:
        args, attributes = tuple(map(plain, args)), {key: plain(value) for key, value in attributes.items()}
        if args and isinstance(args[0], Space):
            x, args = args[0], args[1:]
            op = self.kind(*args, **attributes) if args or attributes or self.op is None else self.op
            passes(op, x)
            return Box(op, x if self.arity == 1 else Space(x.wires * self.arity), name or self.name)
        return Schema(self.kind, self.kind(*args, **attributes), self.arity, name or self.name)

    def __rshift__(self, other: Any) -> Term:
        raise errors.NeedsSpace(str(self), f"{self} >> {other}")

    def __matmul__(self, other: Any) -> Term:
        raise errors.NeedsSpace(str(self), f"{self} @ {other}")

    __rmatmul__ = __matmul__

    def __str__(self) -> str:
        return f"cl.{self.op or self.kind.key}"

    __repr__ = __str__

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return self.kind.__doc__
