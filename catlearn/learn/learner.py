"""Learners: a network, a loss and an optimiser, which together are a closed lens over parameters and the optimiser's state.

``step`` is one ``put`` of that lens, for any loss. In the category Learn (Fong, Spivak, Tuyéras, arXiv:1711.10455) a learner A → B is
``implement : P × A → B``, ``update : P × A × B → P``, ``request : P × A × B → A``; ``arrow()`` is that learner. ``request`` needs a loss
that is a sum of e(x_i, y_i) with invertible ∂e/∂x: it answers the y for which ∂e/∂x(a, y) is the gradient that reached a.

Laws, for such a loss and a local optimiser: ``(f >> g).arrow() == f.arrow() >> g.arrow()``, the same for ``@``, up to the renaming of
parameters. The learning rate stands in ``update`` only.

>>> import catlearn as cl, torch
>>> f = learner(cl.linear(cl.R(1), cl.R(1), bias=False), cl.squared_error, cl.sgd(0.1))
>>> q, b, c = {"linear.weight": torch.tensor([[1.0]])}, torch.tensor([6.0]), torch.tensor([5.0])
>>> f.implement(q, b), f.update(q, b, c), f.request(q, b, c)
(tensor([6.]), {'linear.weight': tensor([[0.4000]])}, tensor([5.]))
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch

from catlearn import errors
from catlearn.boxes.loss import Loss
from catlearn.core.combinators import id, swap
from catlearn.core.spaces import Space
from catlearn.core.term import Term, as_term
from catlearn.learn import gradient as gradients
from catlearn.learn import losses
from catlearn.learn.categorical import Learn
from catlearn.learn.cells import Cell, State
from catlearn.learn.foreign import as_cell
from catlearn.meanings.functional import function
from catlearn.meanings.initialise import check_params, fresh, seed_of
from catlearn.meanings.reverse import reverse_graph

Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class LearnerState:
    """P of a learner: the network's parameters, the optimiser's state, the network's own state, and the seed of its randomness."""

    params: dict[str, torch.Tensor]
    optimiser: State
    state: dict[str, torch.Tensor]
    seed: int = 0

    @property
    def step(self) -> int:
        """How many updates were made."""
        return self.optimiser.step

    def clone(self) -> LearnerState:
        """The same in tensors of its own."""
        return LearnerState({k: v.detach().clone() for k, v in self.params.items()}, self.optimiser.clone(),
                            {k: v.detach().clone() for k, v in self.state.items()}, self.seed)  # fmt: skip

    def overwritten(self, other: LearnerState) -> LearnerState:
        """A copy of another state of the same learner, in the tensors of this one, which is used up."""

        def row(mine: Tensors, theirs: Tensors) -> dict[str, torch.Tensor]:
            return {k: mine[k].copy_(v) if k in mine else v.clone() for k, v in theirs.items()}

        old, new = self.optimiser.slots, other.optimiser
        slots = {slot: row(old.get(slot, {}), tensors) for slot, tensors in new.slots.items()}
        return LearnerState(
            row(self.params, other.params), State(new.step, slots, dict(new.notes)), row(self.state, other.state), other.seed
        )

    def to(self, device: Any) -> LearnerState:
        """The same on another device."""
        s = self.optimiser
        slots = {slot: {k: v.to(device) for k, v in row.items()} for slot, row in s.slots.items()}
        return LearnerState({k: v.to(device) for k, v in self.params.items()}, State(s.step, slots, s.notes),
                            {k: v.to(device) for k, v in self.state.items()}, self.seed)  # fmt: skip


@dataclass(frozen=True)
class Learner:
    """See the module. ``separable`` is the loss box if Learn's ``request`` makes sense for it."""

    model: Term
    loss: Term
    optimiser: Cell
    separable: Loss | None = None

    @cached_property
    def closed(self) -> Term:
        """``model @ id(target) >> loss``, averaged over the batch."""
        return losses.closed(self.model, self.loss)

    @property
    def target(self) -> Space:
        """What the loss compares the outputs with."""
        return losses.targets(self.model, self.loss)

    @cached_property
    def learned(self) -> list[str]:
        """The parameters that learn, in writing order."""
        return gradients.learned(self.closed)

    @cached_property
    def gradient(self) -> gradients.Gradient:
        """Loss and gradient of the closed network, compiled."""
        return gradients.compiled(self.closed)

    @cached_property
    def _forward(self) -> Any:
        return function(self.model.graph)

    @cached_property
    def _backward(self) -> Any:
        return function(reverse_graph(self.closed.graph))

    def init(self, seed: int = 0, dtype: Any = None, device: Any = None) -> LearnerState:
        """Fresh parameters, and the state that the optimiser and the network start from."""
        graph = self.closed.graph
        p = {name: value.to(device) for name, value in fresh(graph.params, seed, dtype=dtype).items()}
        s = {name: value.to(device) for name, value in fresh(graph.states, dtype=dtype).items()}
        return self.start(p, s, seed)

    def start(self, params: Tensors, state: Tensors | None = None, seed: int = 0) -> LearnerState:
        """The state in which these parameters have not learned yet."""
        check_params(self.closed.params, params)
        self.optimiser.check(self.learned)
        p = dict(params)
        s = dict(state) if state is not None else fresh(self.closed.graph.states)
        return LearnerState(p, self.optimiser.init({name: p[name] for name in self.learned}), s, seed)

    # -- the learner of Learn ------------------------------------------------------------------------------------

    def implement(self, p: LearnerState | Tensors, x: Any) -> Any:
        """The outputs, out of training (no dropout, running statistics): a tensor, or a tuple for many wires."""
        here, xs = self._state(p), _row(x)
        with torch.no_grad():
            ys = self._guard(lambda: self._forward(here.params, dict(here.state), None, False, *xs), xs, here, self.model)
        return ys[0] if len(ys) == 1 else ys

    def update(self, p: Any, x: Any, y: Any) -> Any:
        """P after one step. P is a ``LearnerState``, or just the parameters where neither optimiser nor network has a state."""
        new, _ = self.step(self._state(p), x, y)
        return new if isinstance(p, LearnerState) else new.params

    def request(self, p: LearnerState | Tensors, x: Any, y: Any) -> Any:
        """What would have been the better input: the a' with ∂e/∂x(a, a') = the gradient at a, entry by entry.

        Raises ``NotSeparable`` for other losses.
        """
        loss, here, xs, ys = self._separable(), self._state(p), _row(x), _row(y)
        if any(wire.kind != "float" for wire in self.model.dom):
            raise errors.NotSeparable("request needs real inputs", [f"the network starts from {self.model.dom}"])
        seed, batch = self.unit(here.params), (*xs, *ys)
        with torch.no_grad():
            outs = self._guard(lambda: self._backward(here.params, dict(here.state), None, False, *batch, seed), batch, here)
        grads = outs[len([n for n, param in self.closed.params.items() if param.trainable]) :]
        found = []
        for a, grad, wire in zip(xs, grads, self.model.dom, strict=False):
            size = 1
            for n in a.shape[a.dim() - len(wire.axes) :]:
                size *= n
            found.append(loss.solve(a, grad * (a.numel() // size) / loss.weight(size)))
        return found[0] if len(found) == 1 else tuple(found)

    def arrow(self) -> Learn:
        """The learner in the category Learn: a triple of functions, which composes with any other."""
        self._separable()
        return Learn(self.implement, self.update, self.request)

    # -- the closed lens -----------------------------------------------------------------------------------------

    def step(self, state: LearnerState, x: Any, y: Any) -> tuple[LearnerState, torch.Tensor]:
        """One ``put`` of the closed lens: the new state and the loss before it. Nothing given is changed."""
        batch = (*_row(x), *_row(y))
        buffers = {name: value.clone() for name, value in state.state.items()}
        key = seed_of(state.seed, f"step {state.step}")
        seed = self.unit(state.params)
        with torch.no_grad():
            loss, grads = self._guard(lambda: self.gradient(state.params, buffers, key, True, batch, seed), batch, state)
        moved, params = self.optimiser.put(state.optimiser, state.params, dict(zip(self.learned, grads, strict=True)))
        return LearnerState(params, moved, buffers, state.seed), loss

    def fit(self, train: Any, val: Any = None, **options: Any) -> Any:
        """Train on data for some epochs; the options are those of ``catlearn.learn.fit.Options``, the result is a ``Fitted``."""
        from catlearn.learn.fit import Options, fit

        return fit(self, train, val, Options.of(**options))

    # -- composing -----------------------------------------------------------------------------------------------

    def __rshift__(self, other: Learner) -> Learner:
        model = self.model >> other.model
        self._compatible(other, ">>", model)
        return replace(other, model=model)

    def __matmul__(self, other: Learner) -> Learner:
        self._compatible(other, "@", self.model @ other.model)
        from catlearn.boxes.arithmetic import Add
        from catlearn.core.spaces import R
        from catlearn.core.term import Box

        f, g = self, other
        middle = id(f.model.cod) @ swap(g.model.cod, f.target) @ id(g.target)
        loss = middle >> f.loss @ g.loss >> Box(Add(), R() @ R())
        return Learner(f.model @ g.model, loss, f.optimiser, f.separable)

    def _compatible(self, other: Learner, sign: str, whole: Term) -> None:
        a, b = self._separable(), other._separable()
        if type(a) is not type(b):
            raise errors.NotSeparable(f"learner {sign} learner: they measure by different losses, {a} and {b}",
                                      next="give both the same e(x, y); or compose f.arrow() with g.arrow()")  # fmt: skip
        if effects := whole.graph.effects:
            raise errors.NotSeparable(f"learner {sign} learner: a network is {' and '.join(sorted(effects))}",
                                      ["implement runs it out of training, update in training, so the laws fail"],
                                      "compose the networks, then make one learner")  # fmt: skip
        for side in (self, other):
            if not side.optimiser.local:
                raise errors.NotSeparable(f"learner {sign} learner: the optimiser sees all gradients at once",
                                          [f"given  {side.optimiser}"], "compose the networks, then make one learner")  # fmt: skip
        if self.optimiser != other.optimiser:
            raise errors.BadTraining(f"learner {sign} learner: two optimisers", [f"{self.optimiser}", f"{other.optimiser}"],
                                     "give both one, with groups={pattern: ...}; or compose f.arrow() with g.arrow()")  # fmt: skip
        renamed = set(whole.params) != {*self.model.params, *other.model.params}
        if renamed and getattr(self.optimiser, "groups", None):
            raise errors.NotSeparable(f"learner {sign} learner: the optimiser's groups go by names, and composing renames parameters",
                                      [f"together they are {', '.join(whole.params)}"], "close the names first")  # fmt: skip

    # -- helpers -------------------------------------------------------------------------------------------------

    def _separable(self) -> Loss:
        if self.separable is None:
            raise errors.NotSeparable(f"{self.loss.title} is not a sum of e(x_i, y_i) with invertible ∂e/∂x",
                                      next="request and composing as in Learn need cl.squared_error, cl.mse or cl.binary_cross_entropy; "
                                      "step and fit work with any loss")  # fmt: skip
        return self.separable

    def _state(self, p: LearnerState | Tensors) -> LearnerState:
        if isinstance(p, LearnerState):
            return p
        if not self.optimiser.stateless or self.closed.graph.states:
            raise errors.BadTraining(
                "this learner has a state beside the parameters", next="start from learner.start(params) or learner.init()"
            )
        return self.start(p)

    def unit(self, p: Tensors) -> torch.Tensor:
        """The loss's own cotangent, 1, in the parameters' dtype and on their device."""
        like = next((value for value in p.values() if value.is_floating_point()), None)
        return torch.ones(()) if like is None else torch.ones((), dtype=like.dtype, device=like.device)

    def _guard(self, call: Any, batch: Any, here: LearnerState, term: Term | None = None) -> Any:
        try:
            return call()
        except (RuntimeError, TypeError, IndexError, AttributeError) as error:
            check_params(self.closed.params, here.params)
            gradients.explain(term or self.closed, batch, here.params, error)
            raise


def _row(x: Any) -> tuple[Any, ...]:
    return tuple(x) if isinstance(x, tuple | list) else (x,)


def learner(model: Term, loss: Any, optimiser: Any, target: Space | None = None) -> Learner:
    """A learner from a network, a loss (``cl.mse``, ``cl.cross_entropy``, ..., or a term ``y @ target → R()``) and an optimiser.

    ``target`` is the space of targets where it is not the loss's default. Raises ``BadTraining`` if they do not fit.
    """
    model = as_term(model, None, "learner")
    end = losses.on(loss, model, target)
    return Learner(model, end, as_cell(optimiser), losses.separable(end))
