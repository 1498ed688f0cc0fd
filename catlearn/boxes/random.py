"""``dropout``, the random box: in training each entry is 0 with probability p, else divided by 1 − p (Srivastava et al. 2014).

Law: the expectation is x; out of training, or with p = 0, dropout is the identity. In a compiled module the noise comes from
torch's global generator, exactly as ``torch.nn.Dropout`` draws it; in a lens from the key and the box's name, so that ``get`` and
``put`` with one key see the same noise.

>>> import catlearn as cl, torch
>>> cl.compile(cl.dropout(cl.R(3), p=0.5)).eval()(torch.ones(3))
tensor([1., 1., 1.])
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from catlearn import errors
from catlearn.boxes.check import floats
from catlearn.boxes.schema import Schema
from catlearn.core.op import Fused, Op
from catlearn.core.spaces import Space, Wire


@dataclass(frozen=True)
class Random(Op):
    """What random boxes share: a probability, and the shape kept."""

    p: float = 0.5

    effect = "random"

    def infer(self, dom: Space) -> Space:
        wire = floats(self, dom, 1)[0]
        if not 0 <= self.p <= 1:
            raise errors.BadBox(str(self), dom, f"a probability between 0 and 1, not {self.p}")
        return Space((wire,))

    def source(self, e: Any) -> str:
        """Where the noise comes from: key and name in a flat function, torch's global generator in a module."""
        return f"key, {e.node.name!r}" if e.keyed else "None, ''"


@dataclass(frozen=True)
class Noise(Random):
    """The noise of ``dropout`` for an input of this shape: 0 with probability p, else 1 / (1 − p); 1 out of training."""

    key = "noise"

    def torch(self, e: Any, x: str) -> str:
        return f"noise_like({x}, {self.p!r}, {e.training}, {self.source(e)})"

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return (None,)


@dataclass(frozen=True)
class Dropout(Random):
    """x times noise."""

    key = "dropout"
    nonlinear = True
    fused = (Fused("dy0 noise", "x0", "drop_backward({dy0}, {noise})"),)

    def torch(self, e: Any, x: str) -> str:
        if e.keyed:
            return f"drop({x}, {self.p!r}, {e.training}, {self.source(e)})"
        return f"F.dropout({x}, {self.p!r}, {e.training})"

    def saved(self, dom: Space) -> dict[str, Wire]:
        return {"noise": dom[0]}

    def torch_saving(self, e: Any, x: str) -> str:
        return f"drop_saving({x}, {self.p!r}, {e.training}, {self.source(e)})"

    def definition(self, o: Any, x: Any) -> Any:
        return o.mul(x, o.apply(Noise(self.p), x))


dropout: Schema = Schema(Dropout)
