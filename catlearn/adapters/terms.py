"""Adapters on terms: the same expression as a 2-cell on the weight's parameter.

Law: the section of an adapter that changes nothing at its start is its start, so the adapted term computes what the term did.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any

import torch

from catlearn import errors
from catlearn.adapters.definition import REGISTRY, Adapter, Layout, Place
from catlearn.adapters.rewriting import rebuilt
from catlearn.adapters.slots import starts
from catlearn.adapters.starts import ZERO
from catlearn.boxes.custom import box
from catlearn.boxes.mapped import evaluate
from catlearn.core.cells import Cell
from catlearn.core.op import Op, Param
from catlearn.core.select import exact_matcher, matcher, reparam
from catlearn.core.spaces import Axis, Space, Wire
from catlearn.core.term import Box, Reparam, Term
from catlearn.maps.base import Map, from_data, to_data
from catlearn.maps.planner import Builder
from catlearn.maps.running import writing
from catlearn.maps.tape import Tape
from catlearn.meanings.initialise import start as drawn


@dataclass(frozen=True)
class Written(Op):
    """A structured map's matrix as a function of its parameters, which are the inputs, of the shape of the last output axis pair."""

    key = "written map"
    keeps_roles = True
    form: tuple[Any, ...]

    @cached_property
    def map(self) -> Map:
        return from_data(self.form)

    @property
    def name(self) -> str:
        return "written"

    def infer(self, dom: Space) -> Space:
        shapes = [tuple(p.wire.shape) for p in self.map.params.values()]
        if [tuple(wire.shape) for wire in dom] != shapes:
            raise errors.BadBox("written map", dom, f"one wire for each of {', '.join(self.map.params)}")
        return Space((row(prod(self.map.cod), prod(self.map.dom)),))

    @cached_property
    def steps(self) -> tuple[Tape, list[int], int]:
        """The plain tape, its inputs and its output."""
        tape = Tape()
        inputs = [tape.param(name, tuple(int(n) for n in p.wire.shape)) for name, p in self.map.params.items()]  # type: ignore[arg-type]
        out = self.map.matrix(Builder(tape, "factored", plain=True))
        return tape, inputs, tape.reshape(out, (prod(self.map.cod), prod(self.map.dom)))

    def definition(self, o: Any, *args: Any) -> Any:
        tape, inputs, out = self.steps
        return evaluate(o, tape, dict(zip(inputs, args, strict=True)), [out])[0]


def shape(param: Param) -> tuple[int, ...]:
    """A parameter's shape, known sizes."""
    return tuple(int(n) for n in param.wire.shape)  # type: ignore[arg-type]


def row(*shape: int) -> Wire:
    """A parameter's wire."""
    return Wire(tuple(Axis(n) for n in shape), role="parameter")


def adapt_term(term: Term, adapter: Adapter, where: str | Callable[[str, Any], bool], name: str, freeze: str, seed: int,
               data: Mapping[str, Any]) -> Term:  # fmt: skip
    """The term over the adapters' parameters; see ``cl.adapt``."""
    from catlearn.adapters.adapting import FREEZE

    if freeze not in FREEZE:
        raise errors.BadAdapter(f"freeze={freeze!r}", [f"needed one of {', '.join(FREEZE)}"])
    if adapter.positions != "all":
        raise errors.BadAdapter(f"{adapter} edits positions, which a cell on a weight cannot", next="adapt the module")
    matrices = {key: param for key, param in term.params.items() if len(param.wire.shape) == 2 and key not in _earlier(term)}
    if callable(where):
        chosen = [key for key, param in matrices.items() if where(key, param)]
    else:
        match = matcher(where)
        chosen = [key for key in matrices if match(key)]
    if not chosen:
        exact = [] if callable(where) else [key for key in term.params if exact_matcher(where)(key)]
        if exact:
            raise errors.CannotAdapt(f"{where!r} names nothing with a matrix of weights", [f"{k}: {term.params[k].space}" for k in exact])
        raise errors.NothingMatched(str(where), list(matrices), "matrix of parameters")
    if adapter.shared([Place(*_sizes(matrices[key]), k, len(chosen)) for k, key in enumerate(chosen)]):
        raise errors.BadAdapter(
            f"{type(adapter).__name__} shares tensors between layers, which a term's cell cannot", next="adapt the module"
        )
    cells = [cell(term, key, adapter, name, freeze, Place(*_sizes(matrices[key]), k, len(chosen), seed, data.get(key)))
             for k, key in enumerate(chosen)]  # fmt: skip
    found = reparam(term, cells)
    if freeze != "all":
        return found
    own = {source for c in cells for source, _ in c.sources}
    others = [key for key, param in found.params.items() if key not in own and param.trainable and key not in _earlier(term)]
    return found.at("|".join(others)).freeze() if others else found


def _earlier(term: Term) -> set[str]:
    """The parameters of adapters that are there already."""
    found: set[str] = set()
    while isinstance(term, Reparam):
        found |= {source for c in term.cells if c.title in REGISTRY for source, _ in c.sources[1:]}
        term = term.body
    return found


def _sizes(param: Param) -> tuple[int, int]:
    o, i = param.wire.shape
    if not isinstance(o, int) or not isinstance(i, int):
        raise errors.CannotAdapt(f"a weight of shape {param.wire.shape}", ["its sizes are symbolic"], "give them numbers first")
    return o, i


def cell(term: Term, key: str, adapter: Adapter, name: str, freeze: str, at: Place) -> Cell:
    """The 2-cell that reads one weight as the adapted one."""
    layout, param = adapter.layout(at.o, at.i), term.params[key]
    if layout.bias.params.keys() != {"bias"}:
        raise errors.BadAdapter(f"{type(adapter).__name__} changes the bias too, which a cell on {key} cannot", next="adapt the module")
    W = param.init if isinstance(param.init, torch.Tensor) else drawn(key, param, at.seed)
    tensors = starts(adapter, layout, W, at, f"{key}/{name}")
    depends = type(adapter).start is not Adapter.start
    base = Param(param.space, W if depends else param.init, param.trainable and freeze == "none")
    scope = f"{key.rpartition('.')[0]}.{name}".lstrip(".")
    sources = [(key, base)]
    for leaf, own in layout.own.items():
        given = tensors[leaf] if depends else own.init
        sources.append((f"{scope}.{leaf}", Param(Space((row(*shape(own)),)), given, own.trainable)))
    names = ["W", *layout.own]

    def section(p: Mapping[str, Any], seed: int = 0, data: Any = None) -> dict[str, Any]:
        value = p[key]
        found = starts(adapter, layout, value, replace(at, seed=seed, data=data), f"{key}/{name}")
        return {key: value, **{f"{scope}.{leaf}": tensor for leaf, tensor in found.items()}}

    return Cell(tuple(sources), (key,), reading(adapter, layout, names, at, param), section if adapter.identity_at_init else None,
                type(adapter).__name__)  # fmt: skip


def reading(adapter: Adapter, layout: Layout, names: list[str], at: Place, param: Param) -> Term:
    """W' as a term of W and the adapter's tensors: exact where the formula is a map, else one box with torch's rule."""
    dom = Space((row(at.o, at.i), *(row(*shape(p)) for p in layout.own.values())))  # type: ignore[arg-type]
    f = bare(layout.weight)
    if not layout.reads and list(f.params) == names:
        return Box(Written(to_data(f)), dom)
    write = writing(f)[0].function

    def rule(*tensors: torch.Tensor) -> torch.Tensor:
        given = dict(zip(names, tensors, strict=True))

        def value(leaf: str) -> torch.Tensor:
            read = layout.reads.get(leaf)
            return given[leaf] if read is None else read.rule(*(given[source] for source in read.sources))

        return write(given["W"], 1, *(value(leaf) for leaf in f.params))[0].reshape(at.o, at.i)

    return box(type(adapter).__name__, dom, Space((row(at.o, at.i),)), torch=rule)


def bare(f: Map) -> Map:
    """The same map, its parameters without starts, so that it is plain data."""
    return rebuilt(f, lambda part: replace(part, param=Param(part.own[next(iter(part.own))].space, ZERO)) if part.own else None)  # type: ignore[call-arg]
