"""Joining and cutting: two sets one after the other make their disjoint union, which may be cut again at the same place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from catlearn.core.sizes import Size
from catlearn.verify.rules.call import Call, Rule, Typed, Typing, cyclic, require_entrywise, typed
from catlearn.verify.types import (
    Axis,
    Factor,
    Refused,
    Type,
    constant,
    is_plain,
    meet,
    normal,
    numbers,
    plain,
    show,
    size,
    trivial,
    united,
)


def union(types: Sequence[Type], d: int) -> Type:
    """Tensors one after the other along an axis."""
    kinds = {(t.points, t.sign) for t in types if not t.zero} or {(None, ())}
    if len(kinds) > 1 or (any(t.points is not None for t in types) and any(t.zero for t in types)):
        raise Refused("what is joined has different meanings: " + ", ".join(dict.fromkeys(map(str, types))))
    first = next((t for t in types if not t.zero), types[0])
    others: list[Axis] = []
    for i in range(len(first.axes)):
        if i == d:
            others.append(())
            continue
        axis, zero = first.axes[i], first.zero
        for t in types:
            if t is not first:
                axis = meet(axis, t.axes[i], "or zero" if t.zero and not zero else "pick")
        others.append(axis)
    parts = [t.axes[d] for t in types if size(t.axes[d]) != 0]
    found = [*others[:d], joined(parts), *others[d + 1 :]]
    (points, sign), zero = next(iter(kinds)), all(t.zero for t in types)
    return Type(tuple(found), points=points, sign=sign, zero=zero)


def joined(parts: Sequence[Axis]) -> Axis:
    """The disjoint union of axes, flat; plain if all are."""
    if len(parts) == 1:
        return parts[0]
    if all(is_plain(p) for p in parts):
        total: Size = 0
        for p in parts:
            total = size(p) + total
        return plain(total)
    flat: list[Axis] = []
    for p in parts:
        flat += p[0].parts if len(p) == 1 and p[0].kind == "+" and p[0].shift == 0 else (_part(p),)
    merged: list[Axis] = []
    for p in flat:
        if merged and is_plain(merged[-1]) and is_plain(p):
            merged[-1] = plain(size(merged[-1]) + size(p))
        else:
            merged.append(plain(size(p)) if is_plain(p) else p)
    whole: Size = 0
    for p in merged:
        whole = size(p) + whole
    return (Factor("+", whole, parts=tuple(merged)),)


def _part(axis: Axis) -> Axis:
    if not united(axis):
        raise Refused(f"{show(axis)} is no part of a union")
    return axis


def cat(call: Call) -> Sequence[Typing]:
    """cat: a disjoint union; of equal axes also a plain one of pieces. An empty tensor of rank 1 is passed over, as torch does."""
    xs = [x for x in call.args["tensors"] if not (x.rank == 1 and x.value.shape[0] == 0)]
    if not xs:
        return typed(Type((plain(0),)))
    d = call.axis("dim", xs[0])
    axis = xs[0].axes[d]
    if any(x.axes[d] != axis for x in xs) or is_plain(axis):
        return typed(union([x.type for x in xs], d))
    pieces = union([replace(x.type, axes=(*x.axes[:d], (), *x.axes[d + 1 :])) for x in xs], d)
    found = typed(replace(pieces, axes=(*pieces.axes[:d], normal((*pieces.axes[d], *axis)), *pieces.axes[d + 1 :])))
    return [*typed(union([x.type for x in xs], d)), *found] if united(axis) else found


def stack(call: Call) -> Type:
    """stack."""
    xs = call.args["tensors"]
    d = call.axis("dim", xs[0].rank + 1)
    return union([replace(x.type, axes=(*x.axes[:d], (), *x.axes[d:])) for x in xs], d)


def cut(axis: Axis, start: Size, stop: Size) -> Axis:
    """The part of an axis from start to stop."""
    n = size(axis)
    if start == 0 and stop == n:
        return axis
    if all(f.kind == "*" for f in axis):
        return constant(stop - start)
    if is_plain(axis):
        return plain(stop - start)
    head, rest = axis[0], axis[1:]
    if head.kind == "+" and not rest:
        return _cut_union(head.parts, start, stop)
    if head.kind == "P" and not rest and start == head.pad[0] and stop == n - head.pad[1]:
        return (Factor("X", stop - start, head.group),)
    inner = size(rest)
    if head.kind in "c*" and head.shift == 0 and rest and isinstance(inner, int) and isinstance(start, int) and isinstance(stop, int):
        if inner and start % inner == 0 and stop % inner == 0:
            return normal((Factor(head.kind, (stop - start) // inner), *rest))
    raise Refused(f"a part of {show(axis)} is taken out")


def _cut_union(parts: Sequence[Axis], start: Size, stop: Size) -> Axis:
    place: Size = 0
    kept: list[Axis] = []
    for part in parts:
        end = size(part) + place
        if isinstance(place, int) and isinstance(start, int) and isinstance(stop, int) and isinstance(end, int):
            low, high = max(start, place), min(stop, end)
            if low < high:
                kept.append(cut(part, low - place, high - place))
            if end == stop:
                return joined(kept)
        elif start == place and kept == [] and stop == end:
            return part
        elif place == start or kept:
            kept.append(part)
            if end == stop:
                return joined(kept)
        place = end
    if kept and all(isinstance(v, int) for v in (start, stop, place)):
        return joined(kept)
    raise Refused(f"a part of {show((Factor('+', place, parts=tuple(parts)),))} is taken out")


def _bounds(call: Call, n: Size) -> tuple[Size, Size]:
    start, stop = call.get("start"), call.get("end")
    start = 0 if start is None else start
    stop = n if stop is None or (isinstance(stop, int) and stop >= 2**62) else stop
    if isinstance(n, int) and isinstance(start, int) and isinstance(stop, int):
        start = max(0, start + n) if start < 0 else min(start, n)
        stop = max(0, stop + n) if stop < 0 else min(stop, n)
        return start, max(start, stop)
    if isinstance(start, int) and start < 0:
        start = n + start
    if isinstance(stop, int) and stop < 0:
        stop = n + stop
    return start, stop


def slices(call: Call) -> Type:
    """slice: all of an axis, a part of a plain one, or whole parts of a union."""
    x = call.tensor("self")
    d = call.axis("dim", x)
    start, stop = _bounds(call, x.value.shape[d])
    axis = x.axes[d]
    if is_plain(axis):
        axis = constant(call.outs[0].shape[d]) if all(f.kind == "*" for f in axis) else plain(call.outs[0].shape[d])
    elif call.get("step", 1) != 1:
        raise Refused(f"every {call.args['step']}th entry of {show(axis)}")
    else:
        axis = cut(axis, start, stop)
    if size(axis) != call.outs[0].shape[d]:
        raise Refused(f"the part from {start} to {stop} of an axis of {x.value.shape[d]} is not understood")
    return replace(x.type, axes=(*x.axes[:d], axis, *x.axes[d + 1 :]))


def select(call: Call) -> Type:
    """select: one entry of a plain axis, or of a part of a union on which nothing acts."""
    x, i = call.tensor("self"), call.args["index"]
    d = call.axis("dim", x)
    if isinstance(i, Typed) and not (is_plain(x.axes[d]) and trivial(i.type)):
        raise Refused(f"one entry of {show(x.axes[d])} is picked")
    if not isinstance(i, Typed) and not is_plain(x.axes[d]):
        n = x.value.shape[d]
        at = i if not (isinstance(i, int) and i < 0) else n + i
        if not is_plain(cut(x.axes[d], at, at + 1)):
            raise Refused(f"one entry of {show(x.axes[d])} is picked")
    return replace(x.type, axes=(*x.axes[:d], *x.axes[d + 1 :]))


def split(call: Call) -> list[Typing]:
    """split, chunk, split_with_sizes, unbind: several slices."""
    x = call.tensor("self")
    d = call.axis("dim", x)
    place: Size = 0
    types = []
    for out in call.outs:
        one = call.op.startswith("aten.unbind")
        end = place + (1 if one else out.shape[d])
        axis = cut(x.axes[d], place, end)
        if one and not is_plain(axis):
            raise Refused(f"one entry of {show(x.axes[d])} is picked")
        types.append(replace(x.type, axes=(*x.axes[:d], *(() if one else (axis,)), *x.axes[d + 1 :])))
        place = end
    return typed(*types)


def pad(call: Call) -> Type:
    """Padding by a constant, by reflection, or cyclically; only a cyclic one keeps a cyclic group, a constant stands beside a set."""
    x, given = call.tensor("self"), list(call.args["pad"])
    mode = call.get("mode", "constant")
    axes = list(x.axes)
    padded = [(x.rank - 1 - i // 2, given[i], given[i + 1]) for i in range(0, len(given), 2) if (given[i], given[i + 1]) != (0, 0)]
    for d, before, after in padded:
        axis = axes[d]
        if mode == "circular" and cyclic(axis) and before >= 0 and after >= 0:
            axes[d] = (Factor("P", call.outs[0].shape[d], axis[0].group, pad=(before, after)),)
        elif mode == "constant" and not is_plain(axis) and isinstance(before, int) and isinstance(after, int) and min(before, after) >= 0:
            axes[d] = joined([part for n, part in ((before, plain(before)), (1, axis), (after, plain(after))) if n])
        elif is_plain(axis):
            axes[d] = plain(call.outs[0].shape[d])
        else:
            raise Refused(f"{mode} padding of {show(axis)}")
    value = call.get("value", 0)
    if padded and mode == "constant" and value not in (None, 0):
        for axis in axes:
            require_entrywise(axis, "padding by a number other than 0")
        numbers(x.type, "padding by a number other than 0")
    if padded and (x.type.points is not None or (mode == "constant" and any(f.shift != 0 for axis in axes for f in axis))):
        raise Refused("padding of positions or of translated numbers")
    return replace(x.type, axes=tuple(axes), zero=x.type.zero and value in (None, 0))


_SPLITS = """split.Tensor split.sizes split_with_sizes.default chunk.default unbind.int tensor_split.sections split_with_sizes_copy.default
unsafe_split.Tensor unsafe_split_with_sizes.default unsafe_chunk.default"""

ROWS: dict[str, Rule] = {
    "aten.cat.default": cat,
    "aten.concat.default": cat,
    "aten.stack.default": stack,
    **{f"aten.{name}.Tensor": slices for name in ("slice", "slice_copy")},
    "aten.select.int": select,
    "aten.select_copy.int": select,
    **{f"aten.{name}": split for name in _SPLITS.split()},
    "aten.pad.default": pad,
    "aten.constant_pad_nd.default": pad,
}
