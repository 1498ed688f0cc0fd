"""Shapes: reshaping, permuting, repeating.

An axis is a product of factors, so a reshape is a regrouping of factors; it never cuts one on which something acts.
"""

from __future__ import annotations

from dataclasses import replace

from catlearn.verify.rules.call import Call, Rule, Typed, Typing, typed
from catlearn.verify.rules.reduce import dims_of
from catlearn.verify.types import (
    Refused,
    Type,
    constant,
    normal,
    regroup,
    size,
)


def reshape(call: Call) -> Type:
    """view, reshape, flatten, unflatten: the same entries in row-major order."""
    x = call.tensor("self")
    flat = tuple(f for axis in x.axes for f in axis)
    return replace(x.type, axes=regroup(flat, call.outs[0].shape))


def permute(call: Call) -> Type:
    """permute, transpose, t, movedim."""
    x = call.tensor("self")
    return replace(x.type, axes=tuple(x.axes[i] for i in _order(call, x)))


def _order(call: Call, x: Typed) -> list[int]:
    order = list(range(x.rank))
    if call.op.startswith("aten.permute"):
        return [d % x.rank for d in call.args["dims"]]
    if call.op.startswith("aten.movedim"):
        source, to = ([d % x.rank for d in ([v] if isinstance(v, int) else v)] for v in (call.args["source"], call.args["destination"]))
        rest = [d for d in order if d not in source]
        for place, d in sorted(zip(to, source, strict=True)):
            rest.insert(place, d)
        return rest
    if call.op.startswith("aten.numpy_T"):
        return order[::-1]
    if x.rank < 2:
        return order
    if "dim0" in call.args:
        i, j = call.axis("dim0", x), call.axis("dim1", x)
    else:
        i, j = x.rank - 2, x.rank - 1  # t, mT, adjoint of real numbers
    order[i], order[j] = order[j], order[i]
    return order


def unsqueeze(call: Call) -> Type:
    """A new axis of size 1."""
    x = call.tensor("self")
    d = call.axis("dim", x.rank + 1)
    return replace(x.type, axes=(*x.axes[:d], (), *x.axes[d:]))


def squeeze(call: Call) -> Type:
    """Axes of size 1 go; on them nothing acts."""
    x = call.tensor("self")
    given = call.get("dim")
    dims = [d for d in (dims_of(x, given) if given is not None else range(x.rank)) if size(x.axes[d]) == 1]
    if any(x.axes[d] for d in dims):
        raise Refused("an axis of size 1 on which something acts would vanish")
    return replace(x.type, axes=tuple(a for d, a in enumerate(x.axes) if d not in dims))


def expand(call: Call) -> Type:
    """Axes of size 1 and new ones become constant."""
    x = call.tensor("self")
    shape = call.outs[0].shape
    axes = ((),) * (len(shape) - x.rank) + x.axes
    return replace(x.type, axes=tuple(constant(n) if not axis else axis for n, axis in zip(shape, axes, strict=True)))


def repeat(call: Call) -> Type:
    """The whole tensor side by side."""
    x, reps = call.tensor("self"), call.args["repeats" if "repeats" in call.args else "dims"]
    axes = ((),) * (len(reps) - x.rank) + x.axes
    reps = [1] * (len(axes) - len(reps)) + list(reps)
    return replace(x.type, axes=tuple(normal((*constant(r), *axis)) for r, axis in zip(reps, axes, strict=True)))


def repeat_interleave(call: Call) -> Type:
    """Each entry several times."""
    x, times = call.tensor("self"), call.args["repeats"]
    if isinstance(times, Typed) or call.get("dim") is None:
        raise Refused("entries are repeated a number of times that the data say, or of the flattened tensor")
    d = call.axis("dim", x)
    return replace(x.type, axes=tuple(normal((*a, *constant(times))) if i == d else a for i, a in enumerate(x.axes)))


def meshgrid(call: Call) -> list[Typing]:
    """All pairs of entries of vectors."""
    xs = call.args["tensors"]
    if call.get("indexing", "ij") != "ij":
        raise Refused("meshgrid in another order than ij")
    axes = [x.axes[0] if x.rank else () for x in xs]
    return typed(*(replace(x.type, axes=tuple(a if i == k else constant(size(a)) for i, a in enumerate(axes))) for k, x in enumerate(xs)))


def broadcast(call: Call) -> list[Typing]:
    """broadcast_tensors: each to the common shape."""
    return typed(*(expand(Call(call.op, {"self": x}, (call.outs[0],))) for x in call.args["tensors"]))


_RESHAPES = """view.default _unsafe_view.default reshape.default flatten.using_ints unflatten.int view_copy.default _reshape_alias.default
view_as.default reshape_as.default ravel.default""".split()
_PERMUTES = "permute.default transpose.int t.default movedim.int movedim.intlist mT.default permute_copy.default numpy_T.default".split()

ROWS: dict[str, Rule] = {
    **{f"aten.{name}": reshape for name in _RESHAPES},
    **{f"aten.{name}": permute for name in _PERMUTES},
    "aten.unsqueeze.default": unsqueeze,
    "aten.unsqueeze_copy.default": unsqueeze,
    **{f"aten.squeeze.{o}": squeeze for o in ("default", "dim", "dims")},
    **{f"aten.{name}.default": expand for name in ("expand", "expand_as", "broadcast_to", "expand_copy")},
    "aten.repeat.default": repeat,
    "aten.tile.default": repeat,
    "aten.repeat_interleave.self_int": repeat_interleave,
    "aten.meshgrid.indexing": meshgrid,
    "aten.meshgrid.default": meshgrid,
    "aten.broadcast_tensors.default": broadcast,
}
