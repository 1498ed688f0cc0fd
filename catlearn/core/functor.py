"""Functors out of terms: one method per constructor gives a meaning, and bracketing cannot matter.

``box``, ``wiring``, ``seq``, ``par``, ``repeat``, ``scope``, ``reparam`` receive the images of the parts; ``seq`` and ``par`` receive
all factors at once. The evaluator is iterative, so a network may be as deep as it likes.

Laws: ``F(id) = id``, ``F(f >> g) = F(f) ; F(g)``, ``F(f @ g) = F(f) ⊗ F(g)``: they hold by construction if ``seq`` and ``par`` are
associative in the target.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

from catlearn.core.combinators import par, seq
from catlearn.core.op import Op
from catlearn.core.spaces import Space
from catlearn.core.term import Box, Par, Reparam, Repeat, Scope, Seq, Term, Wiring, children

M = TypeVar("M")


class Functor(ABC, Generic[M]):
    """A meaning: where each constructor goes."""

    @abstractmethod
    def box(self, box: Box) -> M: ...
    @abstractmethod
    def wiring(self, wiring: Wiring) -> M: ...
    @abstractmethod
    def seq(self, parts: Sequence[M]) -> M: ...
    @abstractmethod
    def par(self, parts: Sequence[M]) -> M: ...

    def repeat(self, repeat: Repeat, body: M) -> M:
        """n copies in a row: right wherever parameters need no names of their own; others override it."""
        return self.seq([body] * repeat.n) if repeat.n else self.wiring(Wiring(repeat.dom))

    def scope(self, scope: Scope, body: M) -> M:
        """Names are forgotten unless a functor overrides this."""
        return body

    @abstractmethod
    def reparam(self, reparam: Reparam, body: M) -> M: ...

    def enter(self, term: Term) -> None:
        """Called before the parts of a term are visited: a place for a functor that carries a context."""

    def __call__(self, term: Term) -> M:
        """The image of a term."""
        results: list[M] = []
        stack: list[tuple[Term, bool]] = [(term, False)]
        while stack:
            node, done = stack.pop()
            parts = children(node)
            if not done:
                self.enter(node)
                stack.append((node, True))
                stack += ((part, False) for part in reversed(parts))
                continue
            images = results[len(results) - len(parts) :] if parts else []
            del results[len(results) - len(parts) :]
            results.append(self._apply(node, images))
        return results.pop()

    def _apply(self, node: Term, images: list[M]) -> M:
        if isinstance(node, Box):
            return self.box(node)
        if isinstance(node, Wiring):
            return self.wiring(node)
        if isinstance(node, Seq):
            return self.seq(images)
        if isinstance(node, Par):
            return self.par(images)
        if isinstance(node, Repeat):
            return self.repeat(node, images[0])
        if isinstance(node, Scope):
            return self.scope(node, images[0])
        assert isinstance(node, Reparam)
        return self.reparam(node, images[0])


class Endofunctor(Functor[Term]):
    """A functor from terms to terms: the identity unless a method is overridden (change of base, closing of names, ...)."""

    def on_space(self, space: Space) -> Space:
        """Where objects go."""
        return space

    def on_op(self, op: Op) -> Op:
        """Where the generators go."""
        return op

    def box(self, box: Box) -> Term:
        return Box(self.on_op(box.op), self.on_space(box.dom), box.name, box.overrides, box.source)

    def wiring(self, wiring: Wiring) -> Term:
        return Wiring(self.on_space(wiring.dom), wiring.targets, wiring.source)

    def seq(self, parts: Sequence[Term]) -> Term:
        return seq(*parts)

    def par(self, parts: Sequence[Term]) -> Term:
        return par(*parts)

    def repeat(self, repeat: Repeat, body: Term) -> Term:
        return Repeat(repeat.n, body, repeat.shared, repeat.checkpoint, repeat.source)

    def scope(self, scope: Scope, body: Term) -> Term:
        return Scope(scope.name, body, scope.checkpoint, scope.source, scope.copy)

    def reparam(self, reparam: Reparam, body: Term) -> Term:
        return Reparam(body, reparam.cells, reparam.source)
