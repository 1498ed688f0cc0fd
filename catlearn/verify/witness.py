"""Points at which two terms differ: small numbers, over the rationals where all boxes have a meaning there, otherwise in float64.

>>> import catlearn as cl
>>> witness(cl.relu(cl.R()), cl.id(cl.R()), {}).inputs[0]
array(-3, dtype=object)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any

import numpy as np
import torch

from catlearn import errors
from catlearn.core.sizes import evaluate
from catlearn.core.spaces import Group, Wire
from catlearn.core.term import Term
from catlearn.meanings.exact import Exact, Value, base_of
from catlearn.meanings.module import compile

Point = dict[str, np.ndarray[Any, Any]]
POINTS, MOST = 12, 1 << 18  # points tried at each size; entries of a point
CLOSE, ROUNDED = 1e-6, 1e-2  # how far apart floats are different; where something is cast to fewer digits


@dataclass(frozen=True)
class Witness:
    """A point at which two terms differ: ``sizes``, ``params`` and ``inputs`` as arrays, what each of the two gives there.

    ``exact``: the entries are rational and nothing was rounded; otherwise float64.
    """

    sizes: Mapping[str, int]
    params: Mapping[str, Any]
    inputs: tuple[Any, ...]
    left: tuple[Any, ...]
    right: tuple[Any, ...]
    exact: bool

    def run(self, term: Term) -> tuple[Any, ...]:
        """The outputs of a term at this point."""
        names = [f"x{k}" for k in range(len(self.inputs))]
        point = {**dict(zip(names, self.inputs, strict=True)), **{f"param {k}": v for k, v in self.params.items()}}
        return _outputs(term, point, self.sizes, self.exact)

    def __str__(self) -> str:
        given = [f"{k} = {v}" for k, v in self.sizes.items()]
        given += [f"x{k} = {text_of(x)}" for k, x in enumerate(self.inputs)] + [f"{k} = {text_of(v)}" for k, v in self.params.items()]
        rows = [f"f gives {', '.join(map(text_of, self.left))}", f"g gives {', '.join(map(text_of, self.right))}"]
        return "\n".join(f"  {row}" for row in [f"at {', '.join(given)}", *rows])


def wires_of(f: Term, g: Term) -> dict[str, Wire]:
    """Everything that has a value at a point: the inputs, the parameters of both."""
    found = {f"x{k}": wire for k, wire in enumerate(f.dom)}
    return found | {f"param {name}": param.wire for t in (f, g) for name, param in t.params.items()}


def witness(f: Term, g: Term, sizes: Mapping[str, int]) -> Witness | None:
    """The simplest point found at which the terms differ."""
    wires = wires_of(f, g)
    shapes = {name: [evaluate(n, sizes, "equal") for n in wire.shape] for name, wire in wires.items()}
    if sum(int(np.prod(shape)) for shape in shapes.values()) > MOST:
        return None
    close = ROUNDED if any(_rounds(node.op) for t in (f, g) for node in t.graph.nodes) else CLOSE
    for point in islice(_points(wires, shapes, sizes), POINTS):
        for exact in (True, False):
            try:
                left, right = (_outputs(t, point, sizes, exact) for t in (f, g))
            except errors.NoRule:
                continue
            except (errors.BadInput, IndexError, RuntimeError):  # not defined there
                break
            if not _differ(left, right, exact, close) or not (exact or _nearby(f, g, point, sizes, close)):
                break
            point = _smaller(f, g, point, sizes, exact, close)
            left, right = (_outputs(t, point, sizes, exact) for t in (f, g))
            inputs = tuple(v for k, v in point.items() if not k.startswith("param "))
            params = {k.removeprefix("param "): v for k, v in point.items() if k.startswith("param ")}
            return Witness(dict(sizes), params, inputs, left, right, exact)
    return None


def _points(wires: Mapping[str, Wire], shapes: Mapping[str, list[int]], sizes: Mapping[str, int]) -> Iterator[Point]:
    """Points of small numbers, from a fixed seed."""
    random = Random(0)
    while True:
        point: Point = {}
        for name, wire in wires.items():
            array = np.empty(shapes[name], object)
            bound = wire.bound.n if isinstance(wire.bound, Group) else wire.bound
            most = 2 if wire.kind == "bool" else 4 if bound is None else evaluate(bound, sizes, "equal")
            for i in np.ndindex(array.shape):
                array[i] = random.randint(-3, 3) if wire.kind == "float" else random.randrange(max(1, most))
            point[name] = array
        yield point


def _smaller(f: Term, g: Term, point: Point, sizes: Mapping[str, int], exact: bool, close: float) -> Point:
    """The point with entries set to 0, or else to 1, one after the other, as long as the terms still differ."""
    places = [(name, i) for name, array in point.items() for i in np.ndindex(array.shape)]
    for name, i in places if len(places) <= 48 else []:
        for simple in (0, 1):
            trial = {**point, name: point[name].copy()}
            trial[name][i] = simple
            try:
                still = _differ(_outputs(f, trial, sizes, exact), _outputs(g, trial, sizes, exact), exact, close)
            except (errors.BadInput, IndexError, RuntimeError):
                still = False
            if still:
                point = trial
                break
    return point


def _nearby(f: Term, g: Term, point: Point, sizes: Mapping[str, int], close: float) -> bool:
    """Whether floats differ beside the point too, so that it was not the rounding of a jump."""
    random, wires, moved = Random(1), wires_of(f, g), dict(point)
    for name in point:
        if wires[name].kind == "float":
            moved[name] = point[name] + np.vectorize(lambda _: random.uniform(-1e-2, 1e-2), otypes=[object])(point[name])
    return _differ(_outputs(f, moved, sizes, False), _outputs(g, moved, sizes, False), False, close)


def _outputs(term: Term, point: Mapping[str, Any], sizes: Mapping[str, int], exact: bool) -> tuple[Any, ...]:
    """What a term gives at a point, over the rationals or in float64."""
    inputs = [point[f"x{k}"] for k in range(len(term.dom))]
    params = {name: point[f"param {name}"] for name in term.params}
    if exact:
        o = base_of("rationals")
        return tuple(v.array for v in run(o, term, inputs, params, sizes))
    given = {name: _tensor(array, term.params[name].wire) for name, array in params.items()}
    used = {d.name for w in (*term.graph.wires, *term.dom) for d in w.dims}
    model = compile(term, given, sizes={k: v for k, v in sizes.items() if k in used}, dtype=torch.float64)
    with torch.no_grad():
        found = model(*(_tensor(x, wire) for x, wire in zip(inputs, term.dom, strict=True)))
    return tuple(y.numpy() for y in (found if isinstance(found, tuple) else (found,)))


def run(o: Exact, term: Term, inputs: Sequence[Any], params: Mapping[str, Any], sizes: Mapping[str, int]) -> list[Value]:
    o.sizes = dict(sizes)
    xs = [o.value(x, wire) for x, wire in zip(inputs, term.dom, strict=True)]
    return o.run(term.graph, xs, {name: o.value(params[name], p.wire) for name, p in term.params.items()})


def _tensor(array: Any, wire: Wire) -> torch.Tensor:
    dtype = {"float": torch.float64, "index": torch.int64, "bool": torch.bool}[wire.kind]
    return torch.tensor(np.asarray(array, dtype=float if wire.kind == "float" else int)).to(dtype)


def _rounds(op: Any) -> bool:
    """Whether an op may compute in less than float64: a cast of a module that was traced."""
    return getattr(op, "overload", "").startswith(("aten.to.", "aten._to_copy", "aten.type_as", "higher_order."))


def _differ(left: Sequence[Any], right: Sequence[Any], exact: bool, close: float) -> bool:
    if exact:
        return any((a != b).any() for a, b in zip(left, right, strict=True))
    pairs = [(np.asarray(a, float), np.asarray(b, float)) for a, b in zip(left, right, strict=True)]
    if not all(np.isfinite(a).all() and np.isfinite(b).all() for a, b in pairs):
        return False
    return any((abs(a - b) > close * (1 + abs(a) + abs(b))).any() for a, b in pairs)


def text_of(array: Any) -> str:
    rows = np.array2string(np.asarray(array), formatter={"all": lambda v: f"{v:.8g}" if isinstance(v, float) else str(v)}, separator=", ")
    return " ".join(rows.split())


__all__ = ["Point", "Witness", "run", "text_of", "wires_of", "witness"]
