"""catlearn's own boxes that are equivariant by construction.

``catlearn.equivariant`` is cl.equivariant: y = f_w(x) + s_b, with f_w a sum of the basis of Hom_G with coefficients w and s_b one of its
invariants. Its arguments are the groups on the axes of x (``dom``) and of y (``cod``), in front of the channels; the first ``lead`` of all
axes are carried along; x has ``rank`` axes behind the batch. What is used is the box's law, that f_w commutes with every element of every
group on its axes and that s_b is fixed, **whatever w and b are**: they only have to be tensors on which nothing acts, so no
reparametrisation of coefficients can break it.

Where the coefficients are numbers of the term, ``drift`` is the a with f_w(1 ⊗ t) = a (1 ⊗ t) for a vector t on the one axis of a linear
group, so a translation by s t becomes one by a s t; otherwise it is empty, and nothing is known of translations.

Without weight it is a sum of diagrams with fixed coefficients, of which the same holds.

An element may lie in a subgroup (any permutations or none within S(n), SO(n) and all permutations within O(n), even ones within
SO(n)), and acts alike on all axes of its group. Sp(n) is closed under transposing, so f_w commutes with the dual action as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import reduce
from itertools import product

from catlearn.core.sizes import Size
from catlearn.verify.rules.call import Call, Rule, Typing, require_entrywise, require_plain
from catlearn.verify.types import (
    Axis,
    Factor,
    Refused,
    Type,
    dual,
    is_plain,
    is_set,
    meet,
    moved,
    normal,
    numbers,
    plain,
    show,
    size,
    times,
    trivial,
)

_WITHIN = {"S": "SAZ", "A": "A", "O": ("O", "SO"), "SO": ("SO",), "Sp": ("Sp",)}
_PERMUTATIONS = {"S": "S", "A": "A", "O": "S", "SO": "A"}  # the permutations in a group, as matrices


def equivariant(call: Call) -> list[Typing]:
    """A sum of diagrams; see the module."""
    x, dom, cod, lead = call.tensor("x"), call.args["dom"], call.args["cod"], call.args["lead"]
    coefficients = [call.tensor(name) for name in ("weight", "bias") if call.args[name] is not None]
    if not all(trivial(w.type) for w in coefficients):
        raise Refused("something acts on the coefficients of an equivariant map")
    shifted = call.args["bias"] is not None
    numbers(x.type if shifted else replace(x.type, sign=()), "an equivariant map")
    first = x.rank - call.args["rank"] + lead
    if first < lead or first + len(dom) > x.rank:
        raise Refused(f"{dom} do not stand on the axes of {x.type}")
    front = tuple(_carried(axis, shifted) for axis in x.axes[:first])
    for axis in x.axes[first + len(dom) :]:
        require_plain(axis, "a sum over channels")
    sizes = call.args["shape"][lead:]
    length = dict(zip(cod, sizes, strict=False))
    groups = list(dict.fromkeys([*dom, *cod]))
    standing = {g: [axis for h, axis in zip(dom, x.axes[first:], strict=False) if h == g] for g in groups}
    choices = [_ways(call, g, standing[g], length[g] if g in length else size(standing[g][0])) for g in groups]
    found = []
    for chosen in product(*choices):
        way = dict(zip(groups, chosen, strict=True))
        behind = tuple(plain(n) for n in sizes[len(cod) :])
        found.append(Typing((Type((*front, *(way[g] for g in cod), *behind), sign=x.type.sign),)))
    return found


def _carried(axis: Axis, shifted: bool) -> Axis:
    """An axis along which the same map is applied everywhere."""
    if shifted:
        return require_entrywise(axis, "adding one invariant everywhere")
    if any(f.shift != 0 for f in axis):
        raise Refused(f"a translation of {show(axis)} meets a linear map")
    return axis


def _ways(call: Call, group: str, axes: Sequence[Axis], n: Size) -> list[Axis]:
    """How an element that acts so on the axes of a group acts on the group's axes of the result."""
    kind = group.split("(")[0]
    if kind not in _WITHIN:
        raise Refused(f"{group} has no diagrams")
    permuted = _PERMUTATIONS.get(kind)
    if permuted and (kind in "SA" or (axes and all(map(is_set, axes)) and not all(map(is_plain, axes)))):
        return _permuting(permuted, axes, n, call.world)
    found = list(dict.fromkeys(plain(n) if is_plain(axis) else axis for axis in axes))
    if not found:
        acting = [f for f in call.world if f.kind == "V" and f.size == n and _within(f, kind)]
        acting += [f for f in call.world if f.kind == "X" and f.size == n and permuted and _within(f, permuted)]
        return [plain(n), *((f,) for f in acting), *((replace(f, group=dual(f.group)),) for f in acting if kind == "Sp")]
    (axis, *others) = found
    if is_plain(axis) and not others:
        return [axis]
    if others or len(axis) != 1 or not (axis[0].kind == "c" or (axis[0].kind == "V" and _within(axis[0], kind))):
        raise Refused(f"{group} is led along axes on which {' and '.join(map(show, found))} act")
    if axis[0].shift == 0:
        return [axis]
    if not call.args["drift"]:
        raise Refused(f"a translation goes through the equivariant map of {group}, whose coefficients are not known")
    return [(moved(axis[0], times(axis[0].shift, Fraction(call.args["drift"]))),)]


def _permuting(kind: str, axes: Sequence[Axis], n: Size, world: Sequence[Factor]) -> list[Axis]:
    """The same for permutations; a tensor that is constant along an axis, or has none, is fixed by all of them."""
    for axis in axes:
        if not is_set(axis):
            raise Refused(f"{kind}({n}) is led along an axis on which {show(axis)} acts, which is no permutation")
    common = reduce(lambda a, b: meet(a, b, "pick"), axes, (Factor("*", n),) if n != 1 else ())
    common = normal(tuple(Factor("c", f.size) if f.kind == "*" and len(common) > 1 else f for f in common))
    if all(f.kind == "*" for f in common):
        return [plain(n), *((f,) for f in world if f.kind == "X" and f.size == n and _within(f, kind))]
    if not is_plain(common) and kind == "A" and not (len(common) == 1 and common[0].kind == "X" and _within(common[0], kind)):
        raise Refused(f"A({n}) is led along an axis on which {show(common)} acts")
    return [common]


def _within(f: Factor, kind: str) -> bool:
    """Whether what acts on a factor lies in a group of this kind on as many points or coordinates."""
    name = f.group.split("(")[0]
    return name in _WITHIN[kind] or (kind == "A" and name == "Z" and isinstance(f.size, int) and f.size % 2 == 1)


ROWS: dict[str, Rule] = {"catlearn.equivariant.default": equivariant}
