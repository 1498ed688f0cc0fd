"""``attention``: scaled dot-product attention, softmax(q kᵀ / √d) v (Vaswani et al. 2017, arXiv:1706.03762, eq. 1).

``q: (.., L, d)``, ``k: (.., S, d)``, ``v: (.., S, e)`` as event axes, the leading ones (heads) equal. Three variants: plain;
``causal=True`` (row i sees columns up to i); a fourth wire, boolean (``True``: may be seen) or float (added to the scores), of
shape (L, S) or any shape that repeats to the scores'. A row that sees nothing gives 0.

Laws: every row of the output lies in the convex hull of v's rows; permuting the rows of k and v together changes nothing.

>>> import catlearn as cl, torch
>>> q, v = cl.R(1, 2), cl.R(2, 2)
>>> look = cl.compile(cl.attention(q @ v @ v))
>>> look(torch.zeros(1, 2), torch.eye(2), torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
tensor([[2., 3.]])
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from catlearn import errors
from catlearn.boxes.masks import Causal, Where, repeats_to
from catlearn.boxes.schema import Schema
from catlearn.core.op import Fused, Op
from catlearn.core.sizes import Size, product
from catlearn.core.spaces import Space, Wire
from catlearn.core.term import Box, Term

MASKS = {"none": "q @ k @ v of shapes (.., L, d), (.., S, d), (.., S, e)", "bool": "q @ k @ v @ a boolean (L, S)",
         "float": "q @ k @ v @ a float mask (L, S)"}  # fmt: skip


@dataclass(frozen=True)
class Attention(Op):
    """Scaled dot-product attention. ``mask`` says what the fourth wire is: ``none``, ``bool`` or ``float``; ``cl.attention`` sees
    to it. ``scale``: a number instead of 1/√d."""

    key = "attention"
    causal: bool = False
    scale: float | None = None
    mask: str = "none"

    def infer(self, dom: Space) -> Space:
        kinds = tuple(wire.kind for wire in dom)
        needed = ("float",) * 3 + (() if self.mask == "none" else (self.mask,))
        if kinds != needed or self.mask not in MASKS or (self.causal and self.mask != "none"):
            extra = "causal or a mask, not both: put the triangle into the mask" if self.causal and len(dom) == 4 else ""
            raise errors.BadBox(str(self), dom, MASKS.get(self.mask, MASKS["none"]), extra)
        q, k, v = dom.wires[:3]
        lead = q.axes[:-2]
        fits = min(len(w.axes) for w in (q, k, v)) >= 2 and k.axes[:-2] == lead == v.axes[:-2]
        if not fits or q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
            raise errors.BadBox(str(self), dom, MASKS[self.mask])
        if self.mask != "none" and not repeats_to(dom[3], (*q.shape[:-2], q.shape[-2], k.shape[-2])):
            raise errors.BadBox(str(self), dom, f"a mask that repeats to {(*q.shape[:-2], q.shape[-2], k.shape[-2])}")
        return Space((Wire((*q.axes[:-1], v.axes[-1])),))

    def lift(self, e: Any) -> int:
        """How many event axes a batched mask lacks; they are inserted between its batch axes and its own."""
        return len(e.dom[0].axes) - len(e.dom[3].axes) if self.mask != "none" and e.is_batched(3) else 0

    def options(self, e: Any, mask: str = "") -> str:
        """The keyword arguments of torch's function."""
        words = [f"attn_mask={mask}"] if mask else []
        words += ["is_causal=True"] if self.causal else []
        words += [f"scale={self.scale!r}"] if self.scale is not None else []
        return "".join(f", {word}" for word in words)

    def torch(self, e: Any, *args: str) -> str:
        lifted = [f"{args[3]}" + f".unsqueeze({-len(e.dom[3].axes) - 1})" * self.lift(e)] if args[3:] else []
        return f"F.scaled_dot_product_attention({', '.join(args[:3])}{self.options(e, *lifted)})"

    # -- reverse: torch's kernel for the device, with what it keeps -----------------------------------------------

    def saved(self, dom: Space) -> dict[str, Wire]:
        """The log of each row's normaliser (or, where torch has no kernel for this device and shape, what its autograd keeps)."""
        return {"kept": Wire(dom[0].axes[:-1])}

    def torch_saving(self, e: Any, *args: str) -> str:
        lift = f", lift=({-len(e.dom[3].axes) - 1}, {self.lift(e)})" if self.lift(e) else ""
        return f"attend_saving({', '.join(args[:3])}{self.options(e, *args[3:])}{lift})"

    @property
    def fused(self) -> tuple[Fused, ...]:  # type: ignore[override]
        mask = "" if self.mask == "none" else " x3"
        gives = "x0 x1 x2" + (mask if self.mask == "float" else "")
        return (Fused(f"dy0 x0 x1 x2{mask} kept", gives, "attend_backward({dy0}, {kept}, {mask})"),)

    def definition(self, o: Any, q: Any, k: Any, v: Any, *mask: Any) -> Any:
        lead = "abcdefgh"[: len(o.shape(q)) - 2]
        scores = o.scale(o.einsum(f"{lead}iz,{lead}jz->{lead}ij", q, k), self.factor(o.shape(q)[-1]))
        shape = o.shape(scores)
        if self.mask == "float":
            scores = o.add(scores, o.broadcast(mask[0], shape))
        weights = o.exp(scores)
        seen = o.apply(Causal(*shape[-2:])) if self.causal else mask[0] if self.mask == "bool" else None
        if seen is not None:
            weights = o.apply(Where(), seen, weights, o.full(o.wire(weights), 0.0))
        total = o.sum(weights, (-1,), True)
        if self.mask != "none":  # a row that sees nothing has total 0; 1 there makes the quotient 0
            total = o.add(total, o.shift(o.neg(o.step(total)), 1))
        return o.einsum(f"{lead}ij,{lead}jz->{lead}iz", o.div(weights, o.broadcast(total, shape)), v)

    def factor(self, d: Size) -> float:
        """The number that multiplies the scores."""
        if self.scale is not None:
            return self.scale
        if not isinstance(d, int):
            raise errors.SizeUnknown(str(d), "the definition of attention")
        return 1 / math.sqrt(d)

    def flops(self, dom: Space, cod: Space) -> Any:
        scores = product((*dom[0].shape[:-1], dom[1].shape[-2]))
        return scores * (2 * dom[0].shape[-1]) + scores * (2 * dom[2].shape[-1]) + scores * 3


@dataclass(frozen=True)
class _Attention(Schema):
    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return Attention.__doc__

    def instantiate(self, dom: Space) -> Term:
        """The box on this domain, which also says whether there is a mask and of what kind."""
        op = self.op if isinstance(self.op, Attention) else Attention()
        mask = dom[3].kind if len(dom) == 4 else "none"
        return Box(replace(op, mask=mask), dom, self.name)

    def __call__(self, *args: Any, name: str | None = None, **attributes: Any) -> Any:
        space, args = (args[0], args[1:]) if args and isinstance(args[0], Space) else (None, args)
        op = Attention(*args, **attributes) if args or attributes else self.op
        schema = _Attention(self.kind, op, 1, name or self.name)
        return schema if space is None else schema.instantiate(space)


attention: _Attention = _Attention(Attention)
