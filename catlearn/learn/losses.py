"""Losses by their users' names, and how a loss closes a network.

A loss is an arrow ``y @ target → R()``; ``closed(net, loss)`` is ``net @ id(target) >> loss >> batch mean``, from which a lens with
nothing left open on its right arises: its reverse derivative at 1 is the gradient.

>>> import catlearn as cl
>>> net = cl.linear(cl.R(4), cl.R(3))
>>> print(closed(net, on(cl.cross_entropy, net)))
composite : R(4) @ index(3) → parameter(R())
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from catlearn import errors
from catlearn.boxes.batch import batch_mean
from catlearn.boxes.entropy import BinaryCrossEntropy, CrossEntropy, SoftCrossEntropy
from catlearn.boxes.loss import Cosine, Huber, Loss, Mae, Mse, SquaredError
from catlearn.boxes.schema import Schema
from catlearn.core.combinators import id
from catlearn.core.op import Op
from catlearn.core.spaces import R, Space, index
from catlearn.core.term import Box, Term


@dataclass(frozen=True)
class LossSchema(Schema):  # pyright: ignore[reportIncompatibleMethodOverride] - the docstring is the property below
    """A loss that waits for its spaces: ``cl.mse(y)``, ``cl.cross_entropy(y, target=cl.index(10))``, ``y_and_target >> cl.mse``.

    With attributes (``cl.huber(delta=0.5)``) it stays a schema; given to ``cl.learner`` it takes the space of the network's end.
    """

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return self.kind.__doc__

    def instantiate(self, dom: Space) -> Term:
        return Box(self._op(dom), dom, self.name)

    def __call__(self, *args: Any, target: Space | None = None, name: str | None = None, **attributes: Any) -> Any:
        named = replace(self, name=name or self.name)
        if args and isinstance(args[0], Space):
            made = replace(named, op=self.kind(*args[1:], **attributes)) if args[1:] or attributes else named
            return made.instantiate(args[0] @ (made.target(args[0]) if target is None else target))
        return replace(named, op=self.kind(*args, **attributes))

    def target(self, y: Space) -> Space:
        """The space of targets that this loss takes by default: labels for cross entropy, else y's own."""
        if self.kind is CrossEntropy and len(y) == 1 and y[0].axes:
            classes, others = y[0].shape[-1], y[0].axes[:-1]
            return index(classes, *(axis.group or axis.size for axis in others))
        return y

    def _op(self, dom: Space) -> Op:
        if self.kind is CrossEntropy and len(dom) == 2 and dom[1].kind == "float":
            return SoftCrossEntropy(reduce=isinstance(self.op, Loss) and self.op.reduce)
        return self.op or self.kind()


mse = LossSchema(Mse)
mae = LossSchema(Mae)
huber = LossSchema(Huber)
squared_error = LossSchema(SquaredError)
cross_entropy = LossSchema(CrossEntropy)
binary_cross_entropy = LossSchema(BinaryCrossEntropy)
cosine = LossSchema(Cosine)


def on(loss: Any, net: Term, target: Space | None = None) -> Term:
    """The loss as an arrow ``net.cod @ target → R()``. Raises ``BadTraining`` if it is none."""
    if isinstance(loss, LossSchema):
        return loss(net.cod, target=target) if len(net.cod) == 1 else loss.instantiate(net.cod @ (target or net.cod))
    if not isinstance(loss, Term):
        raise errors.BadTraining(f"{loss!r} is no loss", next="give cl.cross_entropy, cl.mse, ..., or a term y @ target → R()")
    wires = loss.dom.wires
    if loss.cod != R() or Space(wires[: len(net.cod)]) != net.cod:
        raise errors.BadTraining("the loss does not fit the network",
                                 [f"the network ends in  {net.cod}", f"the loss is          {loss.dom} → {loss.cod}"],
                                 "a loss is an arrow y @ target → R(), where y is the network's end")  # fmt: skip
    return loss


def targets(net: Term, loss: Term) -> Space:
    """What the loss takes beside the network's outputs."""
    return Space(loss.dom.wires[len(net.cod) :])


def closed(net: Term, loss: Term) -> Term:
    """``net @ id(target) >> loss``, averaged over the batch: by the loss's own kernels where it is a single box."""
    if isinstance(loss, Box) and isinstance(loss.op, Loss):
        end: Term = Box(replace(loss.op, reduce=True), loss.dom, loss.name)
    else:
        end = loss >> batch_mean
    target = targets(net, loss)
    return (net @ id(target) if len(target) else net) >> end


def separable(loss: Term) -> Loss | None:
    """The one loss box that the loss consists of if it is a sum of e(x_i, y_i) with invertible ∂e/∂x, else None."""
    return loss.op if isinstance(loss, Box) and isinstance(loss.op, Loss) and loss.op.separable else None
