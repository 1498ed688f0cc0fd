"""What depends on the order along an axis: cumulative sums, flips, rolls, triangles.

Along a set, a flip or a roll gives the same set in another order: what acts there is conjugated by the change of order, and symmetric
functions do not see it.
"""

from __future__ import annotations

from dataclasses import replace

from catlearn.verify.rules.call import Call, Rule, Typing, apply_each, cyclic, require_entrywise, typed
from catlearn.verify.rules.reduce import dims_of
from catlearn.verify.types import Axis, Factor, Refused, Type, is_plain, normal, numbers, plain, show, size


def ordered(call: Call) -> list[Typing]:
    """Anything along one axis that depends on the order there: it must be plain; the others are carried along."""
    x = call.tensor("self")
    dims = dims_of(x, call.get("dim", call.get("dims")))
    axes = []
    for i, axis in enumerate(numbers(x.type, "this").axes):
        if i in dims and not is_plain(axis):
            raise Refused(f"this depends on the order along {show(axis)}")
        axes.append(plain(size(axis)) if i in dims else require_entrywise(axis))
    return typed(*(Type(tuple(axes)) for _ in call.outs))


def linear_ordered(call: Call) -> Type:
    """A cumulative sum along plain axes, or a flip: a linear group on the others is carried along."""
    x = call.tensor("self")
    dims = dims_of(x, call.get("dim", call.get("dims")))
    if x.type.points is not None and "cum" in call.op:
        numbers(x.type, "a cumulative sum")
    if x.value.kind != call.outs[0].kind:  # each entry is rounded first
        apply_each([x.type])
    if "flip" in call.op:
        dims = dims_of(x, call.args["dims"]) if call.args["dims"] else []  # along no axis it changes nothing
        return replace(x.type, axes=tuple(backwards(a) if i in dims else a for i, a in enumerate(x.axes)))
    for i in dims:
        if not is_plain(x.axes[i]):
            raise Refused(f"this depends on the order along {show(x.axes[i])}")
    if "cum" in call.op and any(f.shift != 0 for axis in x.axes for f in axis):
        raise Refused("a cumulative sum of translated numbers")
    return replace(x.type, axes=tuple(plain(size(a)) if i in dims and is_plain(a) else a for i, a in enumerate(x.axes)))


def conjugated(f: Factor, how: str) -> Factor:
    """The same set in another order: what acts on it is conjugated by the change, and is known by another name.

    No rule looks into such a name, so nothing is known of the action but that it permutes and that one name means one permutation.
    """
    before = f"{how} of "
    return replace(f, group=f.group.removeprefix(before) if how == "flip" and f.group.startswith(before) else before + f.group)


def backwards(axis: Axis) -> Axis:
    """An axis in reverse order: so are all of its factors."""
    found = []
    for f in axis:
        if f.kind in "c*" and f.shift == 0:
            found.append(f)
        elif f.kind == "X" and f.shift == 0:  # a flip of two is their exchange, which commutes with itself
            found.append(f if f.size == 2 else conjugated(f, "flip"))
        elif f.kind == "+" and f.shift == 0:
            found.append(replace(f, parts=tuple(map(backwards, f.parts[::-1]))))
        else:
            raise Refused(f"this depends on the order along {show(axis)}")
    return normal(found)


def roll(call: Call) -> Type:
    """A cyclic shift along a cyclic group's axis commutes with its shifts, and conjugates other permutations; along plain axes
    anything does."""
    x, dims = call.tensor("self"), call.args["dims"]
    if not dims:
        raise Refused("a roll of the flattened tensor")
    axes = list(x.axes)
    for d, by in zip(dims, call.args["shifts"], strict=True):
        axis = axes[d]
        if all(f.kind == "*" for f in axis) or cyclic(axis):
            continue
        if len(axis) == 1 and axis[0].kind == "X" and axis[0].shift == 0:
            axes[d] = (conjugated(axis[0], f"roll by {by}"),)
            continue
        if not is_plain(axis):
            raise Refused(f"a roll along {show(axis)}")
        axes[d] = plain(size(axis))
    return replace(x.type, axes=tuple(axes))


def triangle(call: Call) -> Type:
    """tril, triu: the order of the last two axes counts, unless all entries stay."""
    x, by = call.tensor("self"), call.args["diagonal"]
    rows, columns = x.value.shape[-2:]
    last, most = (columns, by) if "tril" in call.op else (rows, -by)  # what stays has column ≤ row + by, or column ≥ row + by
    if isinstance(last, int) and isinstance(by, int) and last - 1 <= most:
        return x.type
    for axis in x.axes[-2:]:
        if not is_plain(axis):
            raise Refused(f"a triangle depends on the order along {show(axis)}")
    if any(f.shift != 0 for axis in x.axes for f in axis) or x.type.points is not None:
        raise Refused("a triangle of translated numbers or positions")
    return replace(x.type, axes=(*x.axes[:-2], *(plain(size(axis)) for axis in x.axes[-2:])))


ROWS: dict[str, Rule] = {
    **{f"aten.{name}.default": ordered for name in ("cumprod", "logcumsumexp", "cummax", "cummin")},
    **{f"aten.{name}.default": linear_ordered for name in ("cumsum", "flip")},
    "aten.roll.default": roll,
    **{f"aten.{name}.default": triangle for name in ("tril", "triu")},
}
