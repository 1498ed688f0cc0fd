"""What a box does, apart from where it stands: an ``Op`` is a frozen dataclass of attributes, one class per kind of box.

Mandatory are ``infer`` (the codomain) and either ``definition`` or a rule in each meaning. The rest answers "unknown" by itself:

* ``definition(o, *args)`` writes the op in terms of others over an ``Ops`` namespace ``o`` (see ``catlearn.boxes.ops``), so that one
  text serves torch, exact rationals, sympy and the graph;
* ``torch`` is the fused torch expression, a format string over ``x0 x1 ... <parameter names>`` and ``self``;
* ``vjp(o, args, outs, douts)`` is the reverse derivative over ``o``; without it the definition is differentiated;
* ``fused`` are torch's own backward kernels, a list of ``Fused``.

Arguments are always ordered: data, then parameters, then state. A name not in use (no bias) is not an argument.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from math import copysign
from typing import Any, ClassVar

from catlearn.core.spaces import Space, Wire

_REGISTRY: dict[str, type[Op]] = {}


@dataclass(frozen=True)
class Init:
    """How a parameter starts: a distribution by name and its numbers; torch turns it into a tensor.

    ``uniform(low, high)``, ``normal(mean, std)``, ``normals(std, ...)`` (one std for each position of the first axis),
    ``constant(value)``, ``eye()``; ``per`` is what to say about its origin.
    """

    kind: str
    numbers: tuple[float, ...] = ()
    dtype: str | None = None  # None: torch's default, or what compile is told


@dataclass(frozen=True)
class Param:
    """One parameter: its space (a single wire without batch axes), how it starts, and whether it learns.

    ``init`` is an ``Init`` or a tensor; it takes no part in equality.
    """

    space: Space
    init: Any = Init("constant", (0.0,))
    trainable: bool = True

    @property
    def wire(self) -> Wire:
        return self.space[0]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Param) and (self.space, self.trainable) == (other.space, other.trainable)

    def __hash__(self) -> int:
        return hash((self.space, self.trainable))


@dataclass(frozen=True)
class Fused:
    """One torch kernel of an op's backward pass.

    ``uses`` names what it reads among ``x0 x1 .. y0 y1 .. dy0 dy1 ..``, the parameters and the saved values; ``gives`` the arguments
    whose cotangents it returns; ``torch`` is its format string, a tuple expression if it gives several. A string may contain
    ``{mask}``: a list of booleans telling which of ``gives`` are wanted; ``{order}``: how many event axes x0 has; ``{axis}``: the
    op's ``axis``, counted from the right; ``{training}``; ``{self}``: the op.
    """

    uses: str
    gives: str
    torch: str


class Op(ABC):
    """The kind of a box. Subclasses are frozen dataclasses, registered under ``key`` for saving and loading."""

    key: ClassVar[str]
    effect: ClassVar[str] = "pure"  # pure | random | stateful
    draws: ClassVar[bool] = False  # whether it draws random numbers beside keeping a state
    whole: ClassVar[bool] = False  # acts on whole tensors: no batch axes may stand before the event's
    nonlinear: ClassVar[bool] = False  # acts on the entries of its inputs in a way that no rotation passes through
    torch: Any = None  # a format string, or a method (emitter, *argument texts) -> text
    torch_saving: Any = None  # the same, returning a tuple: the outputs, then the saved values
    fused: ClassVar[tuple[Fused, ...]] = ()
    keeps_roles: ClassVar[bool] = False  # infer sees the wires' roles as they are, and answers with roles
    keeps_tuple: ClassVar[bool] = False  # torch returns a tuple even for one output
    state_names: ClassVar[tuple[str, ...]] = ()
    definition: Callable[..., Any] | None = None
    vjp: Callable[..., Any] | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "key" in cls.__dict__:
            _REGISTRY[cls.key] = cls

    @abstractmethod
    def infer(self, dom: Space) -> Space:
        """The codomain on this domain; raises ``BadBox`` where the op cannot act."""

    @property
    def param_names(self) -> tuple[str, ...]:
        """The names of the parameters, in the order of the arguments."""
        return ()

    def parameters(self, dom: Space) -> dict[str, Param]:
        """The parameters on this domain, in the order of ``param_names``."""
        return {}

    def state(self, dom: Space) -> dict[str, Param]:
        """The state on this domain, in the order of ``state_names``."""
        return {}

    def saved(self, dom: Space) -> dict[str, Wire]:
        """What ``torch_saving`` returns beside the outputs, for the backward pass."""
        return {}

    def flops(self, dom: Space, cod: Space) -> Any:
        """Floating-point operations for one event; one per output entry unless an op knows better."""
        total: Any = 0
        for wire in cod:
            total = wire.size + total
        return total

    def told(self, dom: Space) -> str:
        """What the box does on this domain, in words; empty where the first sentence of the docstring says it for all."""
        return ""

    @property
    def name(self) -> str:
        """The open name of a box with this op."""
        return self.key

    def attributes(self) -> dict[str, Any]:
        """The attributes by name: what equality, printing and files see."""
        return {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]

    @cached_property
    def identity(self) -> Any:
        """What tells this op from others wherever two could be taken for one: the op, and what Python's ``==`` forgets of its numbers.

        ``0.1 == Fraction(0.1)`` and ``0.0 == -0.0``, but exact meanings read the first two, and division the last two, differently.
        """
        found = tuple(_forgotten(getattr(self, f.name)) for f in fields(self) if f.compare)  # type: ignore[arg-type]
        return (self, found) if any(x is not None for x in found) else self

    def __str__(self) -> str:
        shown = [f"{k}={v}" for k, v in self.attributes().items() if not isinstance(v, Space)]
        return f"{self.key}({', '.join(shown)})" if shown else self.key


def _forgotten(value: Any) -> Any:
    """What ``==`` does not see of an attribute: a float that is no integer or a large one (1e23 is read as 10²³, ``int(1e23)`` is
    another number), the sign of a zero; also inside tuples and ops."""
    if isinstance(value, float):
        if value == 0.0:
            return "-0" if copysign(1.0, value) < 0 else None
        return None if value.is_integer() and abs(value) < 2**53 else "float"
    if isinstance(value, tuple):
        found = tuple(map(_forgotten, value))
        return found if any(x is not None for x in found) else None
    return value.identity[1] if isinstance(value, Op) and value.identity is not value else None


def registered(key: str) -> type[Op] | None:
    """The op class saved under ``key``, or None."""
    return _REGISTRY.get(key)


def typecheck(op: Op, dom: Space) -> Space:
    """The codomain of an op on wires of any role: what reads only parameters has no batch axes either."""
    if op.keeps_roles or all(wire.role == "data" for wire in dom):
        return op.infer(dom)
    cod = op.infer(dom.with_role("data"))
    return cod if any(wire.role == "data" for wire in dom) else cod.with_role("parameter")


Params = Mapping[str, Any]
