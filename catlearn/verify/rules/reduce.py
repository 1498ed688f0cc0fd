"""Reductions: sums, means, largest entries, norms, softmax. They do not see in which order the entries along a set stand.

A linear group passes through a sum over another axis; over its own axis only the sum of products of two vectors (``D``) and the
Euclidean norm mean something.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from catlearn.core.sizes import Size
from catlearn.verify.rules.call import NO_TIES, Call, Rule, Typed, Typing, require_entrywise, typed
from catlearn.verify.types import (
    Axis,
    Refused,
    Type,
    constant,
    euclidean,
    is_plain,
    is_set,
    moved,
    numbers,
    plain,
    scaled,
    show,
    size,
)


def dims_of(x: Typed, given: Any) -> list[int]:
    """The axes that are reduced, counted from the front; all for none given."""
    if given is None or (isinstance(given, list | tuple) and not given):
        return list(range(x.rank))
    found = [given] if isinstance(given, int) else list(given)
    return [d % x.rank if x.rank else 0 for d in found if x.rank]


def without(axes: Sequence[Axis], dims: Sequence[int], keep: bool) -> tuple[Axis, ...]:
    """The axes after a reduction over some of them."""
    return tuple(() if i in dims else axis for i, axis in enumerate(axes) if keep or i not in dims)


def require_set(axis: Axis, what: str) -> Axis:
    """The axis, if what acts on it permutes it."""
    if not is_set(axis):
        raise Refused(f"{what} along {show(axis)}: what acts there is not a permutation")
    return axis


def still(x: Type, dims: Sequence[int]) -> Type:
    """The type without translations along the axes that are not reduced: those of a function f(x + t) = f(x) there."""
    return replace(x, axes=tuple(a if i in dims else tuple(moved(f, 0) if f.kind == "c" else f for f in a) for i, a in enumerate(x.axes)))


def symmetric(x: Type, dims: Sequence[int], keep: bool, what: str) -> Type:
    """A symmetric function of the entries along some axes."""
    for i, axis in enumerate(numbers(x, what).axes):
        require_set(axis, what) if i in dims else require_entrywise(axis, what)
    return Type(without(x.axes, dims, keep))


def summed(axis: Axis) -> Size:
    """How many entries a sum along the axis adds up, if that is allowed."""
    if not all(f.kind in "cX*+D" and f.shift == 0 for f in axis):
        raise Refused(f"a sum along {show(axis)}: the sum of a vector's coordinates means nothing to what acts there")
    for part in (p for f in axis for p in f.parts):
        summed(part)
    return size(axis)


def total(x: Type, dims: Sequence[int], keep: bool, mean: bool) -> Type:
    """A sum or a mean along some axes."""
    if x.points is not None:
        numbers(x, "a sum")
    count: Size = 1
    for i in dims:
        count = count * summed(x.axes[i])
    axes = x.axes if mean else tuple(scaled(axis, count) for axis in x.axes)
    return Type(without(axes, dims, keep), zero=x.zero, sign=x.sign)


def summation(call: Call) -> Type:
    """sum, over some axes or all."""
    return _total(call, mean=False)


def average(call: Call) -> Type:
    """mean, over some axes or all."""
    return _total(call, mean=True)


def _total(call: Call, mean: bool) -> Type:
    x = call.tensor("self")
    dims, keep = dims_of(x, call.get("dim")), bool(call.get("keepdim", False))
    if call.outs[0].kind not in ("float", x.value.kind):  # each entry is rounded first
        return symmetric(x.type, dims, keep, "a sum of rounded numbers")
    return total(x.type, dims, keep, mean)


def symmetric_reduction(call: Call) -> list[Typing]:
    """Any other function that does not depend on the order along the reduced axes; all results alike."""
    x, name = call.tensor("self"), call.op.split(".")[1]
    dims, keep = dims_of(x, call.get("dim")), bool(call.get("keepdim", False))
    if name in _OF_ONE and dims and all(x.axes[i] == () for i in dims) and all(out.kind == x.value.kind for out in call.outs):
        return typed(*(replace(x.type, axes=without(x.axes, dims, keep)) for _ in call.outs))
    found = symmetric(still(x.type, dims) if name in (*_STILL, *_MOVED) else x.type, dims, keep, "this reduction")
    return typed(*(replace(found, axes=without(x.axes, dims, keep)) if name in _MOVED else found for _ in call.outs))


def norm(call: Call) -> Type:
    """The Euclidean norm may go along an orthogonal group's axis, any p-norm along a set."""
    x, p = call.tensor("self"), call.get("ord", call.get("p", 2))
    dims = dims_of(x, call.get("dim"))
    for i, axis in enumerate(numbers(replace(x.type, sign=()), "a norm").axes):
        if not ((p is None or p == 2) and i in dims and euclidean(axis)):
            require_set(axis, "a norm") if i in dims else require_entrywise(axis, "a norm")
    return Type(without(x.axes, dims, bool(call.get("keepdim", False))))


def normalised(call: Call) -> Type:
    """softmax, log_softmax: a symmetric function along one axis, applied to each entry."""
    x = call.tensor("self")
    d = call.axis("dim", x)
    found = still(numbers(x.type, "a softmax"), [d])
    if x.rank and x.axes[d] == ():  # alone it is 1, and its logarithm 0
        return Type(tuple(constant(size(axis)) for axis in x.axes), zero="log" in call.op)
    for i, axis in enumerate(found.axes):
        require_set(axis, "a softmax") if i == d else require_entrywise(axis, "a softmax")
    return replace(found, zero=False)


def positions(x: Type, d: int, first: Type, sure: int = 1) -> list[Typing]:
    """Results of a selection along axis d: the entries, then where they stood, which no translation of all changes. Where several are
    the same, the entries are known and their places are not; ``sure`` is 0 if the entries are not either."""
    axis, index = x.axes[d], Type(still(first, []).axes)
    if is_plain(axis):
        return typed(first, index)
    return typed(first, replace(index, points=axis), assumes=NO_TIES, sure=sure)


def extreme(call: Call) -> list[Typing]:
    """max, min, median along an axis, with where they stand."""
    x = call.tensor("self")
    d = call.axis("dim", x)
    keep = bool(call.get("keepdim", False))
    if x.rank and x.axes[d] == () and x.type.points is None:  # the only one, at place 0
        axes = without(x.axes, [d], keep)
        return typed(replace(x.type, axes=axes), Type(tuple(constant(size(axis)) for axis in axes), zero=True))
    found = symmetric(still(x.type, [d]), [d], keep, "the largest entry")
    sure = 0 if call.op.startswith("aten.mode") else 1  # of two that are equally many, torch does not say which is given
    return positions(x.type, d, replace(found, axes=without(x.axes, [d], keep)), sure) if x.rank else typed(found, found)


def argument(call: Call) -> list[Typing]:
    """argmax, argmin along an axis."""
    x = call.tensor("self")
    if call.get("dim") is None:
        raise Refused("a position in the flattened tensor")
    d = call.axis("dim", x)
    found = symmetric(still(x.type, [d]), [d], bool(call.get("keepdim", False)), "the place of the largest entry")
    return [Typing(t.types[1:], t.assumes) for t in positions(x.type, d, found)]


def sorting(call: Call) -> list[Typing]:
    """sort, topk: the entries along a set in their order form a plain axis."""
    x = call.tensor("self")
    d = call.axis("dim", x)
    for i, axis in enumerate(still(numbers(x.type, "an order"), [d]).axes):
        require_set(axis, "an order") if i == d else require_entrywise(axis, "an order")
    if call.get("sorted", True) is not True and not is_plain(x.axes[d]):
        raise Refused("the largest entries in no stated order")
    n = call.outs[0].shape[d] if x.rank else 1
    found = Type(tuple(plain(n) if i == d else axis for i, axis in enumerate(x.axes)))
    return positions(x.type, d, found)


def argsorting(call: Call) -> list[Typing]:
    """argsort."""
    return [Typing(t.types[1:], t.assumes) for t in sorting(replace(call, outs=(call.outs[0],)))]


def trace(call: Call) -> Type:
    """The sum of a diagonal."""
    x = call.tensor("self")
    if x.value.shape[0] != x.value.shape[1] and not all(map(is_plain, x.axes)):
        raise Refused("the trace of a matrix that is not square")
    return total(diagonal_of(x.type, 0, 1), [0], False, mean=False)


def diagonal_of(x: Type, i: int, j: int) -> Type:
    """The diagonal of two axes, as the last axis. Of two vectors it is what ``D`` means."""
    a, b = x.axes[i], x.axes[j]
    rest = tuple(axis for k, axis in enumerate(x.axes) if k not in (i, j))
    if is_plain(a) and is_plain(b):
        return replace(x, axes=(*rest, plain(size(a))))
    shifted = _translated(a, b)
    if shifted is not None:
        return replace(x, axes=(*rest, shifted))
    vectors = len(a) == len(b) == 1 and a[0].kind == b[0].kind == "V" and a[0].shift == b[0].shift == 0
    if vectors and a[0].size == b[0].size and a == b and not a[0].group.startswith("Sp"):
        return replace(x, axes=(*rest, (replace(a[0], kind="D"),)))
    if all(f.kind == "*" for f in a) or all(f.kind == "*" for f in b):
        return replace(x, axes=(*rest, b if all(f.kind == "*" for f in a) else a))
    if a != b or not is_set(a):
        raise Refused(f"the diagonal of {show(a)} and {show(b)}")
    return replace(x, axes=(*rest, a))


def _translated(a: Axis, b: Axis) -> Axis | None:
    """The one of two axes along which numbers are translated, if nothing acts along the other."""
    for axis, other in ((a, b), (b, a)):
        if len(axis) == 1 and axis[0].kind == "c" and axis[0].shift != 0 and is_plain(other):
            return axis
    return None


def diagonal(call: Call) -> Type:
    """diagonal; off the main diagonal only of plain axes."""
    x = call.tensor("self")
    i, j = call.axis("dim1", x), call.axis("dim2", x)
    if call.args["offset"] != 0 or size(x.axes[i]) != size(x.axes[j]):
        rest = tuple(axis for k, axis in enumerate(x.axes) if k not in (i, j))
        shifted, offset = _translated(x.axes[i], x.axes[j]), call.args["offset"]
        if shifted is not None and isinstance(offset, int) and size(shifted) == call.outs[0].shape[-1]:  # then it meets all of these
            return replace(x.type, axes=(*rest, shifted))
        for k in (i, j):
            if not is_plain(x.axes[k]):
                raise Refused(f"a diagonal beside the main one of {show(x.axes[k])}")
        return replace(x.type, axes=(*rest, plain(call.outs[0].shape[-1])))
    return diagonal_of(x.type, i, j)


def diag_embed(call: Call) -> Type:
    """A diagonal matrix of the last axis."""
    x = call.tensor("self")
    rank = x.rank + 1
    i, j = call.axis("dim1", rank), call.axis("dim2", rank)
    axis = require_set(x.axes[-1], "a diagonal matrix")
    if call.args["offset"] != 0 or x.type.points is not None:
        raise Refused("a diagonal matrix beside the main diagonal, or of positions")
    if any(f.shift != 0 for a in x.axes for f in a):
        raise Refused("zeros are put beside translated numbers")
    rest = list(x.axes[:-1])
    for k in sorted((i, j)):
        rest.insert(k, axis)
    if any(f.kind == "*" for f in axis):
        raise Refused("a diagonal matrix of a constant: give the constant as a matrix")
    return replace(x.type, axes=tuple(rest))


_OF_ONE = ("amax", "amin", "max", "min", "median", "prod", "logsumexp", "aminmax")  # of one number these are the number itself
_STILL, _MOVED = ("var", "std"), ("amax", "amin", "aminmax", "max", "min", "median", "logsumexp")
_SYMMETRIC = """amax.default amin.default aminmax.default prod.default prod.dim_int any.default any.dim any.dims all.default all.dim
all.dims var.default var.dim var.correction std.default std.dim std.correction var_mean.default var_mean.dim var_mean.correction
std_mean.correction logsumexp.default max.default min.default median.default nansum.default count_nonzero.dim_IntList""".split()
_NORMS = """linalg_vector_norm.default norm.Scalar norm.ScalarOpt_dim norm.ScalarOpt_dim_dtype norm.ScalarOpt_dtype
frobenius_norm.dim""".split()
_SOFTMAXES = "softmax.int _softmax.default log_softmax.int _log_softmax.default special_softmax.default".split()

ROWS: dict[str, Rule] = {
    **{f"aten.sum.{o}": summation for o in ("default", "dim_IntList")},
    **{f"aten.mean.{o}": average for o in ("default", "dim")},
    **{f"aten.{name}": symmetric_reduction for name in _SYMMETRIC},
    **{f"aten.{name}": norm for name in _NORMS},
    **{f"aten.{name}": normalised for name in _SOFTMAXES},
    **{f"aten.{name}": extreme for name in ("max.dim", "min.dim", "median.dim", "nanmedian.dim", "mode.default", "kthvalue.default")},
    **{f"aten.{name}": argument for name in ("argmax.default", "argmin.default")},
    **{f"aten.{name}": sorting for name in ("sort.default", "sort.stable", "topk.default")},
    **{f"aten.{name}": argsorting for name in ("argsort.default", "argsort.stable")},
    "aten.trace.default": trace,
    "aten.diagonal.default": diagonal,
    "aten.diagonal_copy.default": diagonal,
    "aten.diag_embed.default": diag_embed,
}
