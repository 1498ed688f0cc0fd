"""A structured linear map as a box: what ``cl.linear(map)`` makes.

The box acts on the whole event shape, ``R(*dom) → R(*cod)``, and has the map's parameters. Its torch rule is the map's own plan for the
number of vectors at hand, forward and backward; its definition and its reverse are the map's plain steps over the ``Ops`` vocabulary.

>>> import catlearn as cl
>>> from catlearn import maps
>>> f = maps.dense("A", 2, 3) @ maps.dense("B", 4, 5)
>>> net = mapped(f) >> cl.relu
>>> net.dom, net.cod, sorted(net.params)
(R(3, 5), R(2, 4), ['linear.A', 'linear.B'])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import prod
from typing import Any

from catlearn import errors
from catlearn.boxes.check import floats
from catlearn.boxes.constant import Constant
from catlearn.boxes.index import Gather, ScatterAdd
from catlearn.core.op import Fused, Op, Param
from catlearn.core.spaces import Axis, Space, Wire
from catlearn.core.term import Box, Term
from catlearn.maps.base import Map, from_data, to_data
from catlearn.maps.planner import Builder
from catlearn.maps.reverse import reverse
from catlearn.maps.running import run
from catlearn.maps.tape import TOKENS, Step, Tape
from catlearn.maps.transforms import transform_matrix


@dataclass(frozen=True)
class Running:
    """A map as a function of its input and its parameters, for generated code."""

    map: Map

    def __call__(self, x: Any, *params: Any) -> Any:
        return run(self.map, x, params)


@dataclass(frozen=True)
class Mapped(Op):
    """A structured linear map; ``form`` is the map as plain data, see ``catlearn.maps.to_data``."""

    key = "map"
    form: tuple[Any, ...]

    @cached_property
    def map(self) -> Map:
        found = from_data(self.form)
        if not isinstance(found, Map):
            raise errors.BadMap(f"{self.form!r} is no map")
        return found

    @cached_property
    def running(self) -> Running:
        """The map as generated code calls it."""
        return Running(self.map)

    @property
    def name(self) -> str:
        return "linear"

    @property
    def param_names(self) -> tuple[str, ...]:
        return tuple(self.map.params)

    def infer(self, dom: Space) -> Space:
        (wire,) = floats(self, dom, 1)
        if wire.shape != self.map.dom:
            raise errors.BadBox(str(self), dom, f"one wire {plain(self.map.dom)}", "the map acts on the whole event shape")
        return plain(self.map.cod)

    def parameters(self, dom: Space) -> dict[str, Param]:
        return dict(self.map.params)

    def torch(self, e: Any, *args: str) -> str:
        return f"{e.object('map', self.running)}({', '.join(args)})"

    def flops(self, dom: Space, cod: Space) -> Any:
        return self.map.flops(1)

    def __str__(self) -> str:
        return f"linear({self.map})"

    @property
    def entries(self) -> int:
        """How many entries the matrix has."""
        return prod(self.map.cod) * prod(self.map.dom)

    # -- the meanings over Ops -----------------------------------------------------------------------------------------

    @cached_property
    def steps(self) -> tuple[Tape, list[int], int]:
        """The plain tape, its inputs (x, then the parameters) and its output."""
        tape = Tape()
        params = [tape.param(name, tuple(int(n) for n in p.wire.shape)) for name, p in self.map.params.items()]  # type: ignore[arg-type]
        inputs = [tape.input(self.map.dom), *params]
        return tape, inputs, self.map.emit(Builder(tape, "factored", plain=True), inputs[0])

    def definition(self, o: Any, *args: Any) -> Any:
        tape, inputs, y = self.steps
        if inputs[0] not in tape.live([y]):  # a linear map that does not read its input is zero
            rows, columns = "abcdefghijkl"[: len(self.map.cod)], "mnopqrstuvwx"[: len(self.map.dom)]
            return o.einsum(
                f"{rows}{columns},{columns}->{rows}", numbers(o, (*self.map.cod, *self.map.dom), (0,) * self.entries), bare(o, args[0])
            )
        return evaluate(o, tape, dict(zip(inputs, (bare(o, args[0]), *args[1:]), strict=True)), [y])[0]

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        tape, inputs, y = self.steps
        tape = tape.copy()
        dy = tape.input(self.map.cod, "dy")
        found = reverse(tape, {y: dy}, inputs)
        given = dict(zip([*inputs, dy], [bare(o, args[0]), *args[1:], douts[0]], strict=True))
        grads = dict(zip(found, evaluate(o, tape, given, list(found.values())), strict=True))
        return [grads.get(r) for r in inputs]

    # -- backward with torch's kernels: the plan's own backward pass, through the history of this run --------------------

    @property
    def fused(self) -> tuple[Fused, ...]:  # type: ignore[override]
        several = bool(self.param_names)
        back = "{history}.back(({dy0},), {mask})"
        # x and the parameters are read by the reverse of this reverse only
        uses, gives = " ".join(["dy0", "x0", *self.param_names, "history"]), " ".join(["x0", *self.param_names])
        return (Fused(uses, gives, back if several else f"{back}[0]"),)

    def saved(self, dom: Space) -> dict[str, Wire]:
        return {"history": Wire((), "index", None, "parameter")}

    def torch_saving(self, e: Any, *args: str) -> str:
        names = [f"a{i}" for i in range(len(args))]
        inner = self.torch(e, *names)
        return f"remember(lambda {', '.join(names)}: {inner}, ({''.join(f'{a}, ' for a in args)}), 'a map')"


def plain(shape: Sequence[int], role: str = "data") -> Space:
    """One wire of this shape without groups."""
    return Space((Wire(tuple(Axis(n) for n in shape), role=role),))


def bare(o: Any, x: Any) -> Any:
    """A value whose axes carry no groups: a map need not respect them."""
    wire = o.wire(x)
    if not any(axis.group for axis in wire.axes):
        return x
    return o.reshape(o.reshape(x, (1, *wire.shape)), wire.shape)


def numbers(o: Any, shape: Sequence[int], values: Sequence[Any]) -> Any:
    """A constant without batch axes."""
    return o.apply(Constant(plain(shape, "parameter")[0], tuple(values)))


def places(o: Any, index: Sequence[int], size: int) -> Any:
    """Positions as a constant."""
    return o.apply(Constant(Wire((Axis(len(index)),), "index", size, "parameter"), tuple(index)))


def evaluate(o: Any, tape: Tape, given: dict[int, Any], outs: Sequence[int]) -> list[Any]:
    """The outputs of a plain tape over ``o``. Known lead axes stand in front of the event axes; tokens are the batch."""
    at = dict(given)
    for r in tape.live(outs, given):
        step = tape.steps[r]
        at[r] = RULES[step.kind](o, step, known(step), *(at[a] for a in step.args))
    return [at[r] for r in outs]


def known(step: Step) -> tuple[int, ...]:
    """The lead axes of known length."""
    return tuple(n for n in step.lead if n != TOKENS)


def _einsum(o: Any, step: Step, lead: tuple[int, ...], *xs: Any) -> Any:
    ins, out = step.with_
    extra = max(len(o.shape(x)) - len(letters) for letters, x in zip(ins, xs, strict=True))
    letters = "STUVWXYZ"[:extra]
    full = [letters[: len(o.shape(x)) - len(own)] + own for own, x in zip(ins, xs, strict=True)]
    return o.einsum(f"{','.join(full)}->{letters[: len(lead)]}{out}", *xs)


def _permute(o: Any, step: Step, lead: tuple[int, ...], x: Any) -> Any:
    return o.transpose(x, (*range(len(lead)), *(len(lead) + i for i in step.with_)))


def _moved(o: Any, x: Any, order: Sequence[int]) -> Any:
    return x if list(order) == sorted(order) else o.transpose(x, tuple(order))


def _fold(o: Any, step: Step, lead: tuple[int, ...], x: Any) -> Any:
    before = len(lead) - len(step.with_)
    rest = [i for i in range(len(o.shape(x)) - before) if i not in step.with_]
    return _moved(o, x, [*range(before), *(before + i for i in (*step.with_, *rest))])


def _unfold(o: Any, step: Step, lead: tuple[int, ...], x: Any) -> Any:
    rest = [i for i in range(len(step.shape)) if i not in step.with_]
    place = {axis: k for k, axis in enumerate((*step.with_, *rest))}
    return _moved(o, x, [*range(len(lead)), *(len(lead) + place[i] for i in range(len(step.shape)))])


def _gather(o: Any, step: Step, lead: tuple[int, ...], x: Any) -> Any:
    axis, index = step.with_
    axis += len(lead)
    if index.run is not None and index.run[1] == 1:
        return o.slice(x, index.run[0], index.run[0] + len(index), axis)
    return o.apply(Gather(axis), x, places(o, index, o.shape(x)[axis]))


def _scatter(o: Any, step: Step, lead: tuple[int, ...], x: Any) -> Any:
    axis, index, size = step.with_
    return o.apply(ScatterAdd(axis + len(lead), size), x, places(o, index, size))


def _repeat(o: Any, step: Step, lead: tuple[int, ...], x: Any) -> Any:
    axis, shape = step.with_[0], step.shape
    return o.broadcast(o.reshape(x, (*lead, *shape[:axis], 1, *shape[axis + 1 :])), (*lead, *shape))


@lru_cache
def _rows(name: str, n: int, inverse: bool) -> tuple[float, ...]:
    matrix = transform_matrix(name, n)
    return tuple((matrix.t() if inverse else matrix).reshape(-1).tolist())


def _transform(o: Any, step: Step, lead: tuple[int, ...], x: Any) -> Any:
    name, inverse = step.with_
    n, letters = step.shape[-1], "abcdefghijklmnopqrst"[: len(o.shape(x)) - 1]
    return o.einsum(f"{letters}y,zy->{letters}z", x, numbers(o, (n, n), _rows(name, n, inverse)))


def _eye(o: Any, step: Step, lead: tuple[int, ...]) -> Any:
    n = prod(step.shape[: len(step.shape) // 2])
    return numbers(o, step.shape, [int(i == j) for i in range(n) for j in range(n)])


RULES: dict[str, Callable[..., Any]] = {
    "constant": lambda o, step, lead: numbers(o, step.shape, step.with_[0].values),
    "eye": _eye,
    "zeros": lambda o, step, lead: numbers(o, (*lead, *step.shape), (0,) * prod((*lead, *step.shape))),
    "reshape": lambda o, step, lead, x: o.reshape(x, (*lead, *step.shape)),
    "permute": _permute,
    "fold": _fold,
    "unfold": _unfold,
    "gather": _gather,
    "scatter": _scatter,
    "concat": lambda o, step, lead, *xs: o.concat(xs, step.with_[0] + len(lead)),
    "repeat": _repeat,
    "stop": lambda o, step, lead, x: x,
    "add": lambda o, step, lead, x, y: o.add(x, y),
    "scale": lambda o, step, lead, x: o.scale(x, step.with_[0]),
    "power": lambda o, step, lead, x: o.power(x, step.with_[0]),
    "transform": _transform,
    "einsum": _einsum,
}


def mapped(f: Map, name: str | None = None) -> Term:
    """The box of a structured map, ``R(*dom) → R(*cod)``; its parameters are the map's, by name."""
    if not isinstance(f, Map):
        raise errors.BadMap(f"{f!r} is no map", ["needed: an expression of catlearn.maps"])
    return replace(Box(Mapped(to_data(f)), plain(f.dom)), name=name) if name else Box(Mapped(to_data(f)), plain(f.dom))
