"""Constants: arrows from I."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from catlearn.core.op import Op
from catlearn.core.spaces import I, Space, Wire
from catlearn.core.term import Box, Term


@dataclass(frozen=True)
class Full(Op):
    """``I → x``: one number in every entry."""

    key = "full"
    keeps_roles = True
    wire: Wire
    value: float = 0.0

    def infer(self, dom: Space) -> Space:
        return Space((self.wire,))

    def torch(self, e: Any) -> str:
        shape = ", ".join(e.size(s) for s in self.wire.shape)
        return f"torch.full(({shape}{',' if shape else ''}), {e.number(self.value)}, {e.like})"

    def flops(self, dom: Space, cod: Space) -> Any:
        return 0

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return ()


def full(x: Space, value: float = 0.0, name: str | None = None) -> Term:
    """``I → x``: the constant with ``value`` in every entry."""
    return Box(Full(x[0], value), I, name)
