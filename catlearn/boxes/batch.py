"""The mean over the batch, and its reverse.

Laws: ``batch_mean`` and ``BatchShare`` are each other's reverse derivative; on one event without batch axes both are the identity.

>>> import catlearn as cl, torch
>>> from catlearn.boxes.batch import batch_mean
>>> batch_mean(cl.R(2))(torch.tensor([[1.0, 2.0], [3.0, 6.0]]))
tensor([2., 4.])
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from catlearn.boxes.schema import Schema
from catlearn.core.op import Op
from catlearn.core.spaces import Space


@dataclass(frozen=True)
class BatchMean(Op):
    """A batched wire averaged over all batch axes. Takes data, gives what has no batch axes."""

    key = "batch_mean"
    keeps_roles = True

    def torch(self, e: Any, x: str) -> str:
        shape = [e.size(s) for s in e.dom[0].shape]
        return f"{x}.reshape({', '.join(['-1', *shape])}).mean(0)" if shape else f"{x}.mean()"

    def infer(self, dom: Space) -> Space:
        return dom.with_role("parameter")

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return (o.apply(BatchShare(), douts[0], args[0]),)


@dataclass(frozen=True)
class BatchShare(Op):
    """``P @ like → P``, an equal share for each of the batch entries of ``like``; the reverse of ``batch_mean``."""

    key = "batch_share"
    keeps_roles = True

    def torch(self, e: Any, x: str, like: str) -> str:
        order = len(e.dom[1].axes)
        batch = f"{like}.shape[:{like}.dim() - {order}]"
        return f"({x} / {batch}.numel()).expand({batch} + {x}.shape)"

    def infer(self, dom: Space) -> Space:
        return Space(dom.wires[:1]).with_role("data")

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return o.apply(BatchMean(), douts[0]), None


batch_mean: Schema = Schema(BatchMean)
