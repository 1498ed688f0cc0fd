"""Calls that look at how a tensor lies in memory, which a term says nothing of.

A view becomes a reshape, which takes any layout; what reads memory as it lies gets a contiguous tensor, as the trace had one; writing
into a tensor of its own is the other tensor, broadcast and cast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import fx

from catlearn import errors
from catlearn.core.spaces import Wire
from catlearn.interop.categorify.ask import line
from catlearn.interop.categorify.table import W

if TYPE_CHECKING:
    from catlearn.interop.categorify.read import Reader

aten = torch.ops.aten
ANY_LAYOUT = {"aten.view.default": aten.reshape.default, "aten._unsafe_view.default": aten.reshape.default,
              "aten.view_as.default": aten.reshape_as.default}  # fmt: skip
IN_MEMORY = ("aten.as_strided.default", "aten.view.dtype", "aten.view_as_complex.default")


def apart_from_memory(reader: Reader, node: fx.Node, target: Any, args: list[Any], expected: list[Wire]) -> tuple[Any, list[Any]]:
    """The call with the same meaning that takes its tensors in any layout."""
    if str(target) in IN_MEMORY:
        value = node.args[0].meta["val"]  # type: ignore[union-attr]
        if not value.is_contiguous():
            raise errors.CannotTrace(f"categorify cannot read {target} on a tensor that does not lie in memory in the order of its axes",
                                     [f"at {line(node)}"], "call .contiguous() on the tensor first")  # fmt: skip
        return target, [W(reader.opaque(aten.contiguous.default, [args[0], torch.contiguous_format], [reader.type(value)])[0]), *args[1:]]
    if str(target) == "aten.copy.default":
        into, source = (a.meta["val"] for a in node.args[:2])  # type: ignore[union-attr]
        if into.dtype != source.dtype:
            cast = Wire(reader.type(source).axes, expected[0].kind)
            args = [args[0], W(reader.opaque(aten.to.dtype, [args[1], into.dtype, False, False, None], [cast])[0])]
        return aten.expand.default, [args[1], tuple(into.shape), False]
    return ANY_LAYOUT.get(str(target), target), args


__all__ = ["apart_from_memory"]
