"""The term under test, with data for it: samples, and functions that are compiled once.

A sample holds lists of tensors by name: ``x`` inputs, ``p`` parameters, ``dy dz`` two cotangents of the outputs, ``v w`` two tangents of
inputs and parameters. Samples are generic points (no ties, no kinks), of the first region in which the term is finite.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch

from catlearn import errors
from catlearn.core.graph import Graph, Region
from catlearn.core.raising import raise_graph
from catlearn.core.sizes import dims, evaluate
from catlearn.core.spaces import Group, Space, Wire, tangent
from catlearn.core.term import Term
from catlearn.meanings.functional import function
from catlearn.meanings.initialise import fresh

Tensors = list[torch.Tensor]
Sample = dict[str, Tensors]
REGIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "real": lambda x: x,
    "positive": lambda x: x.abs() + 0.5,
    "unit": lambda x: x.sigmoid() * 0.9 + 0.05,
}
ROUNDING = 64 * torch.finfo(torch.float64).eps
BATCHES: tuple[tuple[int, ...], ...] = ((), (2,), (2, 3))


def close(a: torch.Tensor, b: torch.Tensor, tolerance: float) -> bool:
    """Whether two tensors of one shape agree entry by entry: each to ``tolerance`` relative to 1 + its own size, beside what float64
    rounds away next to the largest finite entry. An infinity agrees with itself only, a NaN with nothing."""
    if not a.numel():
        return True
    x, y = a.double(), b.double()
    size = torch.where(y.isfinite(), y.abs(), 0.0)
    return bool(((x == y) | ((x - y).abs() <= tolerance * (1 + size) + ROUNDING * size.max())).all())


class DoesNotApply(Exception):
    """A law says why it has nothing to say."""


@dataclass
class Subject:
    """A term, a seed, and what is compiled from it."""

    term: Term
    seed: int = 0
    memo: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def graph(self) -> Graph:
        return self.term.graph

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Symbolic sizes at one above their minimum."""
        found = {d for wire in self.graph.wires for axis in wire.axes for d in dims(axis.size)}
        return {d.name: d.min + 1 for d in found}

    @cached_property
    def uncurried(self) -> Term:
        """The same arrow with its parameters as further inputs: ``dom @ P → cod``."""
        if self.graph.effects:
            raise DoesNotApply(f"the term is {' and '.join(sorted(self.graph.effects))}")
        return uncurry(self.term)

    # -- data ----------------------------------------------------------------------------------------------------

    def tensors(self, wires: Sequence[Wire] | Space, batch: tuple[int, ...], salt: int, region: str = "real") -> Tensors:
        """A random tensor for every wire; integers below their bound."""
        g, found = torch.Generator().manual_seed(self.seed * 7919 + salt), []
        for wire in wires:
            shape = (*(batch if wire.batched else ()), *(evaluate(s, self.sizes) for s in wire.shape))
            if wire.kind == "float":
                found.append(REGIONS[region](torch.randn(shape, generator=g, dtype=torch.float64)))
            elif wire.kind == "bool":
                found.append(torch.rand(shape, generator=g) < 0.5)
            else:
                bound = wire.bound.n if isinstance(wire.bound, Group) else wire.bound
                found.append(torch.randint(0, evaluate(2 if bound is None else bound, self.sizes), shape, generator=g))
        return found

    def sample(self, trial: int, region: str | None = None) -> Sample:
        """The data of one trial; later trials have more batch axes."""
        batches = BATCHES[1:] if self.graph.states else BATCHES  # batch statistics need a batch
        batches = batches if any(wire.batched for wire in self.term.dom) else BATCHES[:1]
        batch, salt, region = batches[min(trial // 2, len(batches) - 1)], trial * 101, region or self.region
        params = Space(tuple(p.wire for p in self.graph.params.values()))
        floats, outs = tangent(self.term.dom @ params), tangent(self.term.cod)
        return {
            "x": self.tensors(self.term.dom, batch, salt, region),
            "p": self.tensors(params, batch, salt + 1),
            **{name: self.tensors(outs, batch, salt + k) for k, name in ((2, "dy"), (3, "dz"))},
            **{name: self.tensors(floats, batch, salt + k) for k, name in ((4, "v"), (5, "w"))},
        }

    @cached_property
    def region(self) -> str:
        """The first region in which the outputs are finite."""
        for name in REGIONS:
            s = self.sample(1, name)
            if all(bool(y.isfinite().all()) for y in self.run("f", lambda: self.term, self.params(s), s["x"]) if y.is_floating_point()):
                return name
        raise DoesNotApply(f"no sample gives finite outputs (tried {', '.join(REGIONS)} inputs)")

    def params(self, sample: Mapping[str, Tensors], names: Sequence[str] | None = None) -> dict[str, torch.Tensor]:
        """The parameters of a sample by name."""
        return dict(zip(names or self.graph.params, sample["p"], strict=True))

    # -- running -------------------------------------------------------------------------------------------------

    def built(self, key: str, build: Callable[[], Any]) -> Any:
        """What is built once."""
        if key not in self.memo:
            self.memo[key] = build()
        return self.memo[key]

    def run(self, key: str, build: Callable[[], Term], params: Mapping[str, Any], xs: Sequence[Any]) -> tuple[torch.Tensor, ...]:
        """The outputs of a term that is built and compiled once under ``key``. One key seeds every random box; the state is fresh."""
        graph = self.built(f"graph {key}", lambda: build().graph)
        call = self.built(f"call {key}", lambda: function(graph, self.sizes))
        state = fresh(graph.states, self.seed, self.sizes, torch.float64)
        return call(params, state, self.seed, True, *xs)


def uncurry(term: Term) -> Term:
    """A term with its parameters as inputs, after its own; it must be pure."""
    g = term.graph
    if g.effects:
        raise errors.EffectNeeds("only a pure term can take its parameters as inputs", [f"this one is {', '.join(g.effects)}"])
    inputs = (*g.inputs, *g.param_wires.values())
    return raise_graph(Graph(list(g.wires), inputs, g.outputs, Region((), list(g.nodes), inputs, g.outputs)))
