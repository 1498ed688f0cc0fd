"""Gathering and scattering: integers that are positions on a set may index the axis of that set, and no other.

A scatter that adds (or takes the largest) may come in any order; one that overwrites may not. Over the reals sums do not depend on
their order; in floating point they do, by rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

from catlearn.verify.rules.call import Call, Rule, Typed, Typing, aligned, apply_each, require_entrywise, typed
from catlearn.verify.rules.pointwise import linear, number, sum_of, times
from catlearn.verify.rules.reduce import require_set, summed
from catlearn.verify.types import (
    Axis,
    Factor,
    Refused,
    Type,
    constant,
    in_order,
    is_plain,
    is_set,
    meet,
    normal,
    numbers,
    plain,
    scaled,
    show,
    size,
)


def looked_up(axis: Axis, index: Typed) -> None:
    """Whether these integers may pick entries along the axis."""
    points = index.type.points
    if points == in_order(size(axis)) or all(f.kind == "*" for f in axis):
        return
    if points is None:
        if not is_plain(axis):
            raise Refused(f"entries of {show(axis)} are picked by numbers, not by positions on it")
    elif points != axis:
        raise Refused(f"entries of {show(axis)} are picked by positions on {show(points)}")


def target(index: Typed, n: Axis) -> Axis:
    """The axis that a scatter by these integers writes to."""
    points = index.type.points
    if points is not None:
        if size(points) != size(n):
            raise Refused(f"positions on {show(points)} are written to an axis of {size(n)}")
        return points
    return plain(size(n))


def index_axes(indices: Sequence[Typed]) -> tuple[Axis, ...]:
    """The common axes of indices that are broadcast together."""
    found = aligned([replace(i.type, points=None) for i in indices])
    axes = reduce(lambda x, y: tuple(meet(p, q, "fn") for p, q in zip(x, y, strict=True)), (t.axes for t in found))
    return tuple(require_entrywise(axis, "indexing") for axis in axes)


def picked(axes: Sequence[Axis], index: Typed, source: Axis) -> tuple[Axis, ...] | None:
    """The axes of an index that is 0 … n-1 along one of them, with the axis that it picks from there; None if it is no such index."""
    if index.type.points != in_order(size(source)):
        return None
    if sum(f.kind == "=" for axis in axes for f in axis) != 1:
        raise Refused("an index that is in order along no axis, or along two")
    return tuple(normal([h for f in axis for h in (source if f.kind == "=" else (f,))]) for axis in axes)


def in_place(x: Typed, index: Typed, d: int) -> bool:
    """Whether an index is 0 … n-1, for all n places of an axis, so that what is written to these places is written to the whole."""
    return (index.axes, index.type.points) == ((in_order(x.value.shape[d]),), in_order(x.value.shape[d]))


def _check(index: Typed) -> Typed:
    if index.value.kind == "bool":
        raise Refused("a mask picks a number of entries that depends on the data")
    if index.type.sign:
        numbers(index.type, "an index")
    return index


def advanced(call: Call) -> Type:
    """x[i, j, ...]: the common axes of the indices stand where they were, or in front if they were apart."""
    x, given = call.tensor("self"), list(call.args["indices"])
    given += [None] * (x.rank - len(given))
    at = [d for d, i in enumerate(given) if i is not None]
    for d in at:
        looked_up(x.axes[d], _check(given[d]))
    common = picked(given[at[0]].axes, given[at[0]], x.axes[at[0]]) if len(at) == 1 else None
    common = index_axes([given[d] for d in at]) if common is None else common
    rest = [axis for d, axis in enumerate(x.axes) if d not in at]
    place = at[0] if at == list(range(at[0], at[-1] + 1)) else 0
    return replace(x.type, axes=(*rest[:place], *common, *rest[place:]))


def embedding(call: Call) -> Type:
    """embedding: rows of a table."""
    table, index = call.tensor("weight"), _check(call.tensor("indices"))
    looked_up(table.axes[0], index)
    return replace(table.type, axes=(*(picked(index.axes, index, table.axes[0]) or index_axes([index])), *table.axes[1:]))


def index_select(call: Call) -> Type:
    """index_select along an axis."""
    x, index = call.tensor("self"), _check(call.tensor("index"))
    d = call.axis("dim", x)
    looked_up(x.axes[d], index)
    common = picked(index.axes, index, x.axes[d]) or index_axes([index]) or ((),)
    return replace(x.type, axes=(*x.axes[:d], *common, *x.axes[d + 1 :]))


def gather(call: Call) -> Type:
    """gather: out[i, j] = x[index[i, j], j]."""
    x, index = call.tensor("self"), _check(call.tensor("index"))
    d = call.axis("dim", x)
    looked_up(x.axes[d], index)
    axes = list(x.axes)
    for k, axis in enumerate(index.axes):
        if k != d and x.value.shape[k] != index.value.shape[k]:
            raise Refused("gather reads a part of an axis")
        along = (picked([axis], index, x.axes[d]) or (require_entrywise(axis, "indexing"),))[0] if k == d else ()
        axes[k] = along if k == d else meet(x.axes[k], axis, "by")
    return replace(x.type, axes=tuple(axes))


def scattered(call: Call, index: Typed, source: Typed, d: int, mean: bool = False, linear: bool = True) -> Type:
    """What a scatter along axis d adds up: the entries of the source, by the index."""
    x = call.tensor("self")
    if source.type.points is not None:
        numbers(source.type, "a scatter")
    if source.value.shape != index.value.shape:
        raise Refused("a scatter of a part of its source")
    axes: list[Axis] = []
    for k, axis in enumerate(source.axes):
        if k == d:
            summed(meet(axis, index.axes[k], "fn"))
            axes.append(target(index, x.axes[d]))
            continue
        if x.value.shape[k] != source.value.shape[k]:
            raise Refused("a scatter to a part of an axis")
        axes.append(meet(axis, require_entrywise(index.axes[k], "indexing"), "by"))
        if not linear:
            require_entrywise(axes[-1], "the largest entry")
    if any(f.shift != 0 for axis in source.axes for f in axis):
        raise Refused("a scatter of translated numbers: as many translations as entries are added up")
    if not linear or mean:
        return Type(tuple(axes), sign=source.type.sign if linear else numbers(source.type).sign)
    return Type(tuple(axes), sign=source.type.sign, zero=source.type.zero)


def scatter_add(call: Call) -> Type:
    """scatter_add: x[index[i, j], j] += source[i, j]."""
    index, source = _check(call.tensor("index")), call.tensor("src")
    return sum_of(call.tensor("self").type, scattered(call, index, source, call.axis("dim", source)))


def scatter_reduce(call: Call) -> Type:
    """scatter_reduce: a sum, mean, product, largest or smallest entry."""
    index, source, x = _check(call.tensor("index")), call.tensor("src"), call.tensor("self")
    how = call.args["reduce"]
    found = scattered(call, index, source, call.axis("dim", source), mean=how == "mean", linear=how in ("sum", "mean"))
    if any(f.shift != 0 for axis in x.axes for f in axis) and not (how == "sum" and call.get("include_self", True) is True):
        raise Refused("translated numbers are averaged with, or replaced by, others")
    if how == "sum" or x.type.zero:
        return replace(sum_of(x.type, found), zero=False)
    if how != "mean":
        for axis in (*x.axes, *found.axes):
            require_entrywise(axis, "the largest entry")
        numbers(found, "the largest entry")
    return sum_of(numbers(x.type, "a scatter"), found)


def index_add(call: Call) -> Type:
    """index_add, index_reduce: whole slices of the source are added to those of x."""
    x, index, source = call.tensor("self"), _check(call.tensor("index")), call.tensor("source")
    d = call.axis("dim", x)
    how = call.get("reduce", "sum")
    if how == "sum" and in_place(x, index, d) and x.value.kind == source.value.kind:
        by = number(call.get("alpha", 1))
        if by is None:
            raise Refused("the factor of what is added is unknown")
        return sum_of(x.type, times(linear(source, "a sum"), by))
    wide = ((),) * d + (index_axes([index]) or ((),)) + ((),) * (x.rank - d - 1)
    wide_index = Typed(replace(source.value, kind="index"), replace(index.type, axes=wide))
    if not is_plain(x.axes[d]) and not is_plain(source.axes[d]):
        require_set(source.axes[d], "a scatter")
    found = scattered(call, wide_index, source, d, linear=how in ("sum", "mean"), mean=how == "mean")
    if how != "sum" and any(f.shift != 0 for axis in x.axes for f in axis):
        raise Refused("translated numbers are averaged with, or replaced by, others")
    if how not in ("sum", "mean"):
        for axis in x.axes:
            require_entrywise(axis, "the largest entry")
    alpha = call.get("alpha", 1)
    return sum_of(x.type, replace(found, axes=tuple(scaled(a, alpha) for a in found.axes)) if isinstance(alpha, int) else found)


def index_put(call: Call) -> Type:
    """x[i, j] += values: only if it accumulates, or if nothing acts on what is overwritten."""
    x, values = call.tensor("self"), call.tensor("values")
    given = list(call.args["indices"])
    at = [d for d, i in enumerate(given) if i is not None]
    if at != list(range(len(at))) or not at:
        raise Refused("entries are put along axes that are not the first ones")
    indices = [_check(given[d]) for d in at]
    if len(at) == 1 and in_place(x, indices[0], 0) and x.value.kind == values.value.kind:
        return written(x, values, bool(call.get("accumulate")))
    if not call.get("accumulate"):
        return overwritten(x, values, [target(i, x.axes[d]) for d, i in zip(at, indices, strict=True)], index_axes(indices))
    common, rest = index_axes(indices), x.axes[len(at) :]
    source = aligned([values.type, Type((*common, *rest))])[0]
    if source.points is not None or any(f.shift != 0 for axis in source.axes for f in axis):
        raise Refused("positions or translated numbers are added up")
    for axis, own in zip(common, source.axes, strict=False):
        summed(meet(own, axis, "fn"))
    found = Type((*(target(i, x.axes[d]) for d, i in zip(at, indices, strict=True)), *source.axes[len(common) :]), sign=source.sign)
    return sum_of(x.type, found)


def written(x: Typed, values: Typed, added: bool) -> Type:
    """Values put to all places in their order: they are added to the tensor, or take its place."""
    if added:
        return sum_of(linear(x, "a sum"), linear(values, "a sum"))
    (lined, _) = aligned([values.type, x.type])
    return replace(values.type, axes=tuple(constant(n) if not axis else axis for n, axis in zip(x.value.shape, lined.axes, strict=True)))


def overwritten(x: Typed, values: Typed, targets: list[Axis], common: tuple[Axis, ...]) -> Type:
    """x[i, j] = values: which of two values for one place wins is a matter of order, so they must all be the same."""
    source = aligned([numbers(values.type, "what is written"), Type((*common, *x.axes[len(targets) :]))])[0]
    own = source.axes[: len(common)]
    if not all(f.kind == "*" for axis in own for f in axis) or not all(is_set(axis) for axis in common):
        raise Refused("entries are overwritten: if a position occurs twice, the last one wins")
    found = Type((*targets, *source.axes[len(common) :]))
    axes = tuple(require_entrywise(meet(a, b, "fn"), "writing") for a, b in zip(numbers(x.type).axes, found.axes, strict=True))
    return Type(axes)


def one_hot(call: Call) -> Type:
    """one_hot: of positions on a set an axis of that set."""
    x = call.tensor("self")
    n = call.outs[0].shape[-1]
    axes = index_axes([x])
    if call.get("num_classes", -1) != n:
        raise Refused("as many classes as the data show")
    if x.type.points is not None and size(x.type.points) != n:
        raise Refused(f"positions on {show(x.type.points)} as {n} classes")
    return Type((*axes, plain(n) if x.type.points is None else x.type.points))


def bucket(call: Call) -> Type:
    """Counts of numbers: of positions on a set, an axis of the set."""
    x = call.tensor("self")
    weights = call.get("weights")
    (axis,) = index_axes([x])
    if isinstance(weights, Typed):
        (axis,) = apply_each([replace(x.type, points=None), numbers(weights.type, "a weighted count")])
    require_set(axis, "a count")
    if call.get("minlength", 0) != call.outs[0].shape[0]:
        raise Refused("as many counts as the data show")
    if x.type.points is not None and size(x.type.points) != call.outs[0].shape[0]:
        raise Refused("positions on a set are counted on another")
    return Type((plain(call.outs[0].shape[0]) if x.type.points is None else x.type.points,))


def subset(call: Call) -> list[Typing]:
    """The places where a mask holds, in order, one list for each of its axes.

    If sets act on the mask, its places are moved with it and listed in another order: they are a set of their own, on which an element
    of the group acts by a permutation that depends on the input as well. No rule asks what the permutation is, only that one name means
    one permutation, so a subset is named by the wire of its mask and by what
    acts on that.
    """
    mask, count = call.tensor("mask"), call.outs[0].shape[0]
    for axis in numbers(mask.type, "a mask").axes:
        require_set(axis, "a mask")
    if all(is_plain(axis) for axis in mask.axes):
        return typed(*(Type((plain(count),)) for _ in call.outs))
    own = (Factor("X", count, f"subset {call.args['name']} of {'×'.join(map(show, mask.axes))}"),)
    return typed(*(Type((own,), points=None if is_plain(axis) else axis) for axis in mask.axes))


ROWS: dict[str, Rule] = {
    "catlearn.subset": subset,
    "aten.index.Tensor": advanced,
    "aten.embedding.default": embedding,
    "aten.index_select.default": index_select,
    "aten.gather.default": gather,
    "aten.scatter_add.default": scatter_add,
    "aten.scatter_reduce.two": scatter_reduce,
    "aten.index_add.default": index_add,
    "aten.index_reduce.default": index_add,
    "aten.index_put.default": index_put,
    "aten.one_hot.default": one_hot,
    "aten.bincount.default": bucket,
}
