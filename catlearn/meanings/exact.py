"""The exact meanings: a term evaluated on single events over an arbitrary base ring, with no rounding anywhere.

A base says what a number is and which functions it has; one table of rules runs the primitives on arrays of such numbers, and every
other op is its definition. ``Rationals`` is here; ``Symbols`` (sympy) and ``Z2Polynomials`` are in ``catlearn.meanings.symbolic``.

Laws: evaluation is a functor: ``evaluate(f >> g) = evaluate(g) ∘ evaluate(f)``, and it commutes with ring homomorphisms of the base.
Coefficients written in a term are read as the decimals that they print as (0.1 is a tenth); given data, that is the inputs, the
parameters and the entries of a constant, bit for bit, so binding a parameter to its value changes nothing.

>>> import catlearn as cl
>>> f = cl.linear(cl.R(2), cl.R(1)) >> cl.power(3)
>>> print(evaluate(f, "rationals", [["1/3", 2]], {"linear.weight": [[1, "1/2"]], "linear.bias": [0]}))
[64/27]
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from catlearn import errors
from catlearn.boxes.ops import Ops, by_definition
from catlearn.core.graph import Graph, Node
from catlearn.core.op import Op, typecheck
from catlearn.core.sizes import Dim, Poly, Size
from catlearn.core.sizes import evaluate as evaluate_size
from catlearn.core.spaces import Axis, Group, Space, Wire
from catlearn.core.term import Term
from catlearn.meanings.rules import RULES, Array, asarray, each


@dataclass(frozen=True)
class Value:
    """An array of exact numbers and the type of the wire that it lies on."""

    array: Array
    type: Wire

    def __str__(self) -> str:
        return np.array2string(self.array, formatter={"all": str})  # type: ignore[call-overload]


class Exact(Ops[Value]):
    """Ops on arrays of exact numbers. A base gives ``number`` and ``functions``: pointwise ones by the op's key, ``maximum``, ``equal``."""

    base: ClassVar[str]
    advice: ClassVar[str]

    @property
    def functions(self) -> Mapping[str, Callable[..., Any]]:
        """The functions of numbers that the base has, by name."""
        return {}

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}
        self.node: Node | None = None  # where we are, for messages
        self.cod = Space()  # what the op that is being run ends in

    @abstractmethod
    def number(self, x: Any) -> Any:
        """A number written in a term (an int, a Fraction, a float read as a decimal) in the base; raises ``NoRule``."""

    def entry(self, x: Any) -> Any:
        """An entry of given data in the base: as ``number``, but a float is read bit for bit. Raises ``BadInput`` for what is no number."""
        if x != x or isinstance(x, list):
            raise errors.BadInput(f"an entry is {x}", next="give numbers, in rows of one length")
        try:
            return self.number(Fraction(x) if isinstance(x, float) and math.isfinite(x) else int(x) if isinstance(x, bool) else x)
        except (TypeError, ValueError, SyntaxError) as error:
            raise errors.BadInput(f"{x!r} is no number of {self.base}", next="give numbers, in rows of one length") from error

    def raised(self, x: Any, exponent: Any) -> Any:
        """x to a constant exponent."""
        if exponent != int(exponent):
            raise self.no_rule(f"an exponent of {exponent}")
        return x ** int(exponent)

    # -- values --------------------------------------------------------------------------------------------------

    def value(self, x: Any, wire: Wire | None = None) -> Value:
        """Nested lists, an array or a tensor as a value; on a wire of its shape, or on the given one."""
        given = tuple(x.shape) if hasattr(x, "shape") else None
        raw = np.array(x.tolist() if hasattr(x, "tolist") else x, dtype=object)
        convert = self.entry if wire is None or wire.kind == "float" else _integer
        array = each(convert, raw if given is None else raw.reshape(given))
        return Value(array, wire or Wire(tuple(Axis(n) for n in array.shape)))

    def wire(self, value: Value) -> Wire:
        return value.type

    def size(self, size: Size) -> int:
        """A size as an integer, once the inputs have told what its symbols are."""
        return evaluate_size(size, self.sizes, f"exact meaning over {self.base}")

    def shape_of(self, shape: Sequence[Size]) -> tuple[int, ...]:
        """A shape in integers."""
        return tuple(self.size(s) for s in shape)

    # -- running ops ---------------------------------------------------------------------------------------------

    def apply(self, op: Op, *args: Value) -> Any:
        function = self.functions.get(op.key)
        rule = RULES.get(op.key)
        if op.effect != "pure":
            raise self.no_rule(f"{op} (its effect: {op.effect})", "exact meanings are of pure terms; take that box out")
        if function is None and rule is None:
            if op.definition is None:
                fused = op.key in ("saving", "vjp")
                raise self.no_rule(str(op), "take cl.reverse(f, fused=False): it is made of primitives only" if fused else "")
            return by_definition(self, op, args)
        self.cod = cod = typecheck(op, Space(tuple(arg.type for arg in args)))
        arrays = [arg.array for arg in args]
        outs = each(function, *arrays) if function is not None else rule(self, op, *arrays)  # type: ignore[misc]
        values = tuple(Value(asarray(o), w) for o, w in zip(outs if isinstance(outs, tuple) else (outs,), cod, strict=True))
        return values[0] if len(values) == 1 else values

    def function(self, name: str) -> Callable[..., Any]:
        """A function that the base may have."""
        if name not in self.functions:
            raise self.no_rule(name)
        return self.functions[name]

    def no_rule(self, what: str, next: str = "") -> errors.NoRule:
        """The error that says what this base cannot express, in which box, and what to do instead."""
        node = self.node
        box = f"{what}, in the box {node.name!r}" if node else what
        return errors.NoRule(f"the exact meaning over {self.base}", box, next or self.advice, node.source if node else None)

    def run(self, graph: Graph, inputs: Sequence[Value], params: Mapping[str, Value]) -> list[Value]:
        """The outputs of a graph on these values."""
        if graph.states:
            raise self.no_rule(f"the state {', '.join(graph.states)}", "exact meanings are of pure terms; take the stateful box out")
        table = dict(zip(graph.inputs, inputs, strict=True))
        table.update((wire, params[name]) for name, wire in graph.param_wires.items())
        for self.node in graph.root.nodes():
            outs = self.apply(self.node.op, *(table[a] for a in self.node.args))
            table.update(zip(self.node.outs, outs if isinstance(outs, tuple) else (outs,), strict=True))
        self.node = None
        return [table[o] for o in graph.outputs]


PIECEWISE_LINEAR: dict[str, Callable[..., Any]] = {
    "step": lambda x: Fraction(x > 0),
    "relu": lambda x: max(x, Fraction(0)),
    "maximum": max,
    "equal": lambda x, y: Fraction(x == y),
}


class Rationals(Exact):
    """The field of fractions: polynomials, quotients, and the piecewise linear functions, all exact."""

    base = "the rationals"
    advice = "cl.symbolic(f) keeps exp, log, erf and roots as symbols"

    @property
    def functions(self) -> Mapping[str, Callable[..., Any]]:
        return PIECEWISE_LINEAR

    def number(self, x: Any) -> Fraction:
        if isinstance(x, float) and not math.isfinite(x):
            raise self.no_rule(f"the number {x}", "write the term without infinities")
        return Fraction(repr(float(x))) if isinstance(x, float) else Fraction(x)

    def raised(self, x: Any, exponent: Any) -> Any:
        if x == 0 and exponent < 0:
            raise errors.BadInput(f"0 to the power {exponent} over the rationals", next="choose inputs where no divisor is 0")
        return super().raised(x, exponent)


def evaluate(term: Term, base: str | Exact, inputs: Sequence[Any] = (), params: Mapping[str, Any] | None = None) -> Any:
    """The outputs of a term on one event: a ``Value``, a tuple, ``()``. Its ``.array`` is an object array of exact numbers.

    ``base`` is ``"rationals"``, ``"sympy"``, ``"Z2"`` or an ``Exact``; ``inputs`` are event-shaped lists, arrays or tensors; without
    ``params`` the term's own starting values are read bit for bit. Raises ``NoRule`` where the base cannot express a box,
    ``BadInput`` and ``ParamMismatch`` where the data does not fit.
    """
    graph = term.graph
    if params is None:
        from catlearn.meanings.initialise import fresh

        params = fresh(graph.params)
    if missing := [name for name in graph.params if name not in params]:
        raise errors.ParamMismatch(missing=missing)
    if len(inputs) != len(term.dom):
        raise errors.BadInput(f"{len(inputs)} inputs given, {len(term.dom)} needed", next=f"the term starts from {term.dom}")
    o = base_of(base)
    xs = [o.value(x, wire) for x, wire in zip(inputs, term.dom, strict=True)]
    ps = {name: o.value(params[name], param.wire) for name, param in graph.params.items()}
    given = [(f"input {i}", x) for i, x in enumerate(xs)] + list(ps.items())
    o.sizes = _sizes(given)
    _bounds(given, o.sizes)
    outs = o.run(graph, xs, ps)
    return outs[0] if len(outs) == 1 else tuple(outs)


def base_of(base: str | Exact) -> Exact:
    """A base by its name, or as it is."""
    if isinstance(base, Exact):
        return base
    from catlearn.meanings.symbolic import Symbols, Z2Polynomials

    table: dict[str, type[Exact]] = {"rationals": Rationals, "sympy": Symbols, "Z2": Z2Polynomials}
    if base not in table:
        raise errors.NoRule("the exact meaning", f"the base {base!r}", f"the bases are {', '.join(map(repr, table))}")
    return table[base]()


def _sizes(values: Sequence[tuple[str, Value]]) -> dict[str, int]:
    """The values of symbolic sizes, read off the arrays; every shape is checked."""
    found: dict[str, int] = {}
    for _, value in values:
        for size, n in zip(value.type.shape, value.array.shape, strict=False):
            if isinstance(size, Poly) and size == Poly(size.terms[:1]) and (symbol := _symbol(size)):
                found.setdefault(symbol.name, n)
    rows = []
    for what, value in values:
        needed = tuple(evaluate_size(s, found, what) for s in value.type.shape)
        if needed != value.array.shape:
            rows.append(f"{what}: given {value.array.shape}, needed {needed}")
    if rows:
        raise errors.BadInput("an array has the wrong shape", rows, "exact meanings take single events, without batch axes")
    return found


def _integer(x: Any) -> int:
    """An entry of an index or boolean wire; nothing is rounded."""
    n = int(x)
    if n != x:
        raise errors.BadInput(f"{x} is no integer", next="index and boolean wires take integers and truth values")
    return n


def _bounds(values: Sequence[tuple[str, Value]], sizes: Mapping[str, int]) -> None:
    """The entries of index and boolean wires lie where their wires say."""
    rows = []
    for what, value in values:
        wire = value.type
        bound = 2 if wire.kind == "bool" else wire.bound.n if isinstance(wire.bound, Group) else wire.bound
        if wire.kind == "float" or bound is None:
            continue
        least = evaluate_size(bound, sizes, what)
        rows += [f"{what}: {x} is not in range({least})" for x in value.array.flat if not 0 <= x < least][:3]
    if rows:
        raise errors.BadInput("an entry is out of bounds", rows)


def _symbol(size: Poly) -> Dim | None:
    ((monomial, coefficient), *_) = size.terms
    return monomial[0][0] if coefficient == 1 and len(monomial) == 1 and monomial[0][1] == 1 else None
