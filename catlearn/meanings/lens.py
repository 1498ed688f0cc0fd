"""``lens``: a term as a lens with named parameters, ``get`` forward and ``put`` backward.

Lenses compose: ``(l >> m).put`` is ``l.put ∘ m.put`` by the chain rule, and ``lens`` is a functor: ``lens(f >> g)`` agrees with
``lens(f) >> lens(g)`` (Cruttwell et al. 2021, arXiv:2103.01931).

>>> import catlearn as cl, torch
>>> l = lens(cl.linear(cl.R(2), cl.R(1), bias=False))
>>> p = {"linear.weight": torch.tensor([[2.0, 3.0]])}
>>> l.get(p, torch.tensor([1.0, 1.0]))
tensor([5.])
>>> l.put(p, (torch.tensor([1.0, 1.0]),), (torch.tensor([1.0]),))
({'linear.weight': tensor([[1., 1.]])}, (tensor([2., 3.]),))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from catlearn import errors
from catlearn.core.op import Param
from catlearn.core.spaces import Space, tangent
from catlearn.core.term import Term
from catlearn.meanings.checks import problems
from catlearn.meanings.functional import function
from catlearn.meanings.initialise import check_params, fresh
from catlearn.meanings.reverse import reverse_graph

Tensors = Mapping[str, Any]


@dataclass(frozen=True)
class Lens:
    """``forward(params, xs, state, key, training) -> (ys, state)`` and ``backward(..., dys) -> (dparams, dxs, state)``, with types.

    Use ``get`` and ``put``; the two fields are what composition works on.
    """

    dom: Space
    cod: Space
    params: Mapping[str, Param]
    states: Mapping[str, Param]
    effects: frozenset[str]
    forward: Callable[..., Any]
    backward: Callable[..., Any]
    draws: frozenset[str] = frozenset()  # the names that random boxes draw under, with the key

    def init(self, seed: int = 0, dtype: Any = None) -> dict[str, torch.Tensor]:
        """Fresh parameters."""
        return fresh(self.params, seed, dtype=dtype)

    def init_state(self, dtype: Any = None) -> dict[str, torch.Tensor]:
        """The state that the stateful boxes start from."""
        return fresh(self.states, dtype=dtype)

    def get(self, params: Tensors, *xs: Any, state: Tensors | None = None, key: int | None = None, training: bool = True) -> Any:
        """The outputs: a tensor, a tuple, ``()``; with the new state beside them iff the term is stateful."""
        self._check(params, xs, state, key, training)
        ys, new = self._guard(lambda: self.forward(params, xs, state, key, training), xs, params)
        ys = ys[0] if len(ys) == 1 else ys
        return (ys, new) if self.states else ys

    def put(self, params: Tensors, xs: Sequence[Any], dys: Any, state: Tensors | None = None, key: int | None = None,
            training: bool = True) -> tuple[dict[str, Any], tuple[Any, ...]]:  # fmt: skip
        """The cotangents ``(dparams, dxs)`` of the trainable parameters by name and of the inputs; None at integer wires."""
        xs = tuple(xs)
        dys = tuple(dys) if isinstance(dys, tuple | list) else (dys,)
        self._check(params, xs, state, key, training)
        if len(dys) != len(tangent(self.cod)):
            raise errors.BadInput(
                f"{len(dys)} cotangents given, {len(tangent(self.cod))} needed", next=f"one for each float wire of {self.cod}"
            )
        dparams, dxs, _ = self._guard(lambda: self.backward(params, xs, dys, state, key, training), xs, params, dys)
        return dparams, dxs

    def __rshift__(self, other: Lens) -> Lens:
        if self.cod != other.dom:
            raise errors.BadSpace(f"lens >> lens: the first ends in {self.cod}, the second starts from {other.dom}")
        f, g = self, other

        def forward(p: Tensors, xs: Any, s: Any, key: Any, training: bool) -> Any:
            ys, s1 = f.forward(p, xs, s, key, training)
            zs, s2 = g.forward(p, ys, s, key, training)
            return zs, {**s1, **s2}

        def backward(p: Tensors, xs: Any, dzs: Any, s: Any, key: Any, training: bool) -> Any:
            ys, _ = f.forward(p, xs, s, key, training)
            dq, dys, s2 = g.backward(p, ys, dzs, s, key, training)
            dp, dxs, s1 = f.backward(p, xs, tuple(d for d in dys if d is not None), s, key, training)
            return {**dp, **dq}, dxs, {**s1, **s2}

        return _composite(f, g, f.dom, g.cod, forward, backward)

    def __matmul__(self, other: Lens) -> Lens:
        f, g, n = self, other, len(self.dom)
        floats = sum(wire.kind == "float" for wire in f.cod)

        def forward(p: Tensors, xs: Any, s: Any, key: Any, training: bool) -> Any:
            ys, s1 = f.forward(p, xs[:n], s, key, training)
            zs, s2 = g.forward(p, xs[n:], s, key, training)
            return (*ys, *zs), {**s1, **s2}

        def backward(p: Tensors, xs: Any, dys: Any, s: Any, key: Any, training: bool) -> Any:
            dp, dx, s1 = f.backward(p, xs[:n], dys[:floats], s, key, training)
            dq, dy, s2 = g.backward(p, xs[n:], dys[floats:], s, key, training)
            return {**dp, **dq}, (*dx, *dy), {**s1, **s2}

        return _composite(f, g, f.dom @ g.dom, f.cod @ g.cod, forward, backward)

    def _check(self, params: Tensors, xs: Sequence[Any], state: Tensors | None, key: int | None, training: bool) -> None:
        check_params(self.params, params)
        if self.states and state is None:
            raise errors.EffectNeeds("the term is stateful", [f"state: {', '.join(self.states)}"], "pass state=lens.init_state()")
        if state is not None:
            check_params(self.states, state)
        if "random" in self.effects and key is None and training:
            raise errors.EffectNeeds("the term is random", next="pass key=0 (any integer): the same key gives the same result")
        if len(xs) != len(self.dom):
            raise errors.BadInput(f"{len(xs)} inputs given, {len(self.dom)} needed", next=f"the term starts from {self.dom}")

    def _guard(self, call: Callable[[], Any], xs: Sequence[Any], params: Tensors, dys: Sequence[Any] | None = None) -> Any:
        try:
            return call()
        except (RuntimeError, TypeError, IndexError, AttributeError) as error:
            rows = problems(self.dom, xs) + self._odd(dys or (), params, xs)
            try:
                check_params(self.params, params)
            except errors.ParamMismatch as mismatch:
                raise mismatch from error
            if rows:
                raise errors.BadInput("the inputs do not fit the term", rows) from error
            raise

    def _odd(self, dys: Sequence[Any], params: Tensors, xs: Sequence[Any]) -> list[str]:
        """What is wrong with cotangents, in words."""
        wires = tangent(self.cod)
        if len(dys) != len(wires):
            return []
        rows = problems(wires, dys, labels=[f"cotangent {i}" for i in range(len(wires))])
        mine = {t.dtype for t in (*params.values(), *xs) if isinstance(t, torch.Tensor) and t.is_floating_point()}
        if not rows and len(mine) == 1:
            (dtype,) = mine
            rows = [
                f"cotangent {i}: given {dy.dtype}, needed {dtype}, the dtype of the network"
                for i, dy in enumerate(dys)
                if dy.dtype != dtype
            ]
        return rows


def _composite(f: Lens, g: Lens, dom: Space, cod: Space, forward: Callable[..., Any], backward: Callable[..., Any]) -> Lens:
    """The lens of two: their names are disjoint, those of random boxes too, since boxes of one name would draw the same numbers."""
    for ours, theirs in ((f.params, g.params), (f.states, g.states), (f.draws, g.draws)):
        for name in ours:
            if name in theirs:
                raise errors.NameUsedTwice(name, "the first lens", "the second lens")
    return Lens(dom, cod, {**f.params, **g.params}, {**f.states, **g.states}, f.effects | g.effects, forward, backward, f.draws | g.draws)


def lens(term: Term) -> Lens:
    """The lens of a term: ``get`` is its compiled graph, ``put`` its compiled reverse derivative."""
    graph = term.graph
    learned = [name for name in sorted(graph.params) if graph.params[name].trainable]
    positions = [i for i, wire in enumerate(term.dom) if wire.kind == "float"]
    labels = [*(f"input {i}" for i in range(len(term.dom))), *(f"cotangent {i}" for i, w in enumerate(term.cod) if w.kind == "float")]
    made: dict[str, Callable[..., Any]] = {}

    def forward(p: Tensors, xs: Any, s: Any, key: Any, training: bool) -> Any:
        if "get" not in made:
            made["get"] = function(graph)
        state = {name: value.clone() for name, value in (s or {}).items() if name in graph.states}
        return made["get"](p, state, key, training, *xs), state

    def backward(p: Tensors, xs: Any, dys: Any, s: Any, key: Any, training: bool) -> Any:
        if "put" not in made:
            made["put"] = function(reverse_graph(graph), labels=labels)
        state = {name: value.clone() for name, value in (s or {}).items() if name in graph.states}
        with torch.no_grad():
            outs = made["put"](p, state, key, training, *xs, *dys)
        dxs: list[Any] = [None] * len(xs)
        for i, dx in zip(positions, outs[len(learned) :], strict=True):
            dxs[i] = dx
        return dict(zip(learned, outs, strict=False)), tuple(dxs), state

    draws = frozenset(node.name for node in graph.root.nodes() if node.op.draws or node.op.effect == "random")
    return Lens(term.dom, term.cod, graph.params, graph.states, frozenset(graph.effects), forward, backward, draws)
