"""How a group acts on a tensor: the types that a proof of equivariance puts on every wire.

A tensor's axis is a product of *factors*, in row-major order (an axis of size 1 has none):

* ``c``  a plain size: nothing acts;
* ``*``  the tensor is constant along it (a broadcast), so it may be read as ``c``, ``X`` or ``+`` of this size;
* ``X``  positions of a finite set on which a group acts by permuting: S(n), A(n), Z(n);
* ``V``  coordinates of R^n on which a linear group acts: O(n), SO(n), Sp(n), or Sp(n)* by the inverse transpose;
* ``D``  entries v_a w_a of two vectors of one orthogonal group, coordinate by coordinate: only its sum means something;
* ``+``  a disjoint union of axes one after the other, as ``cat`` makes it;
* ``P``  a cyclic axis extended periodically on both sides, as circular padding makes it;
* ``=``  any axis of this size: an index that is 0 … n-1 along it picks the entries of an axis of n as they stand, whatever acts there.

A factor with ``shift`` s gets s · t added by the translation t. The entries are plain numbers; or positions on a set (``points``),
which are renamed with it; or zero everywhere; or multiplied by the determinants of the groups in ``sign``.

**Meaning.** "wire w has type τ" says: for every group element g, all inputs x and all parameters, w(g x) = τ(g) w(x). (For ``D``: w is
the diagonal of a tensor with two ``V`` axes of which that holds.) A network is equivariant if its outputs have the claimed types.

Longer than a full file because what a type means and how two of them meet are read together.

>>> X, c = Factor("X", 5, "S(5)"), plain(3)
>>> meet((), (X,), "fn") == (X,), meet(c, c, "fn") == c, regroup((X, *c), (15,)) == ((X, *c),)
(True, True, True)
>>> meet(plain(5), (X,), "fn")
Traceback (most recent call last):
...
catlearn.verify.types.Refused: a plain axis of 5 meets S(5)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal, TypeAlias

from catlearn.core.sizes import Poly, Size, divide, product
from catlearn.errors import NotDivisible

Axis: TypeAlias = "tuple[Factor, ...]"
Mode: TypeAlias = Literal["fn", "add", "mul", "dot", "pick", "by", "zero", "or zero"]
Shift: TypeAlias = "Size | Fraction"


class Refused(Exception):
    """A rule does not apply; the text says why, in the words of types."""


@dataclass(frozen=True)
class Factor:
    """One factor of an axis; see the module."""

    kind: str
    size: Size
    group: str = ""
    shift: Shift = 0
    parts: tuple[Axis, ...] = ()
    pad: tuple[int, int] = (0, 0)  # how far a ``P`` reaches over both ends

    def __str__(self) -> str:
        if self.kind == "+":
            return "(" + " + ".join(show(part) for part in self.parts) + ")"
        moved = f"{self.group}²" if self.kind == "D" else f"{self.group}~" if self.kind == "P" else self.group
        base = {"c": str(self.size), "*": f"*{self.size}", "=": f"={self.size}"}.get(self.kind, moved)
        return base if self.shift == 0 else f"{base}{'+t' if self.shift == 1 else f'+{self.shift}t'}"


@dataclass(frozen=True)
class Type:
    """How the group acts on a tensor; see the module."""

    axes: tuple[Axis, ...]
    points: Axis | None = None
    zero: bool = False
    sign: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[Size, ...]:
        return tuple(size(axis) for axis in self.axes)

    def __str__(self) -> str:
        text = "×".join(show(axis) for axis in self.axes) or "()"
        text = f"points of {show(self.points)} on {text}" if self.points is not None else text
        return ("0 on " if self.zero else "") + "".join(f"det {g} · " for g in self.sign) + text


def show(axis: Axis) -> str:
    """An axis in words: its factors, 1 if there are none."""
    return "·".join(map(str, axis)) or "1"


def size(axis: Axis) -> Size:
    """How long an axis is."""
    return product(tuple(f.size for f in axis))


def plain(n: Size) -> Axis:
    """An axis on which nothing acts."""
    return () if n == 1 else (Factor("c", n),)


def constant(n: Size) -> Axis:
    """An axis along which the tensor is constant."""
    return () if n == 1 else (Factor("*", n),)


def in_order(n: Size) -> Axis:
    """The axis of an index that is 0 … n-1 along it."""
    return (Factor("=", n),)


def normal(factors: Sequence[Factor]) -> Axis:
    """The same axis in normal form: no factor of size 1, neighbouring plain factors in one, and constant ones likewise."""
    found: list[Factor] = []
    for f in factors:
        if f.kind in "c*" and f.size == 1 and f.shift == 0:
            continue
        last = found[-1] if found else None
        if last is not None and f.kind in "c*" and last.kind == f.kind and f.shift == last.shift == 0:
            found[-1] = Factor(f.kind, last.size * f.size)
        else:
            found.append(f)
    return tuple(found)


def trivial(type: Type) -> bool:
    """Whether nothing acts at all: the value is the same for every group element."""
    return type.points is None and not type.sign and all(is_plain(axis) for axis in type.axes)


def is_plain(axis: Axis) -> bool:
    """Whether nothing acts on the axis."""
    return all((f.kind in "c*" and f.shift == 0) or (f.kind == "+" and all(map(is_plain, f.parts))) for f in axis)


def is_set(axis: Axis) -> bool:
    """Whether the group acts on the axis by permuting it (or not at all)."""
    return all(f.kind in "c*X+" and f.shift == 0 and all(map(is_set, f.parts)) for f in axis)


def entrywise(axis: Axis) -> bool:
    """Whether the group moves the entries along the axis without changing them, so that any function may be applied to each."""
    return all(f.kind in "c*X+P" and f.shift == 0 and all(map(entrywise, f.parts)) for f in axis)


def united(axis: Axis) -> bool:
    """Whether the axis may be a part of a union: nothing is translated along it, and no sum of products is waited for."""
    return all(f.kind in "c*XVP+" and f.shift == 0 and all(map(united, f.parts)) for f in axis)


def euclidean(axis: Axis) -> bool:
    """Whether the sum of the squares along the axis stays the same: entries are permuted, vectors are turned."""
    orthogonal = [f.kind in "c*X+" or (f.kind == "V" and not f.group.startswith("Sp")) for f in axis]
    return all(good and f.shift == 0 and all(map(euclidean, f.parts)) for f, good in zip(axis, orthogonal, strict=True))


def dual(group: str) -> str:
    """The label of the dual representation: an orthogonal group's own, Sp(n)* for Sp(n)."""
    return group if not group.startswith("Sp") else group[:-1] if group.endswith("*") else group + "*"


def scaled(axis: Axis, by: Shift) -> Axis:
    """The axis of the tensor times a number: translations are scaled with it."""
    return tuple(f if f.shift == 0 else moved(f, times(f.shift, by)) for f in axis)


def times(a: Shift, b: Shift) -> Shift:
    """The product of two multiples; fractions and symbolic sizes mix only where it comes out."""
    if isinstance(a, Fraction) or isinstance(b, Fraction):
        whole = next((x for x in (a, b) if isinstance(x, Poly)), None)
        part = Fraction(1) if whole is not None else Fraction(a) * Fraction(b)  # type: ignore[arg-type]
        for x in (a, b):
            part = part * x if whole is not None and isinstance(x, int | Fraction) else part
        if whole is None:
            return int(part) if part.denominator == 1 else part
        found = _split(whole * part.numerator, part.denominator)
        if found is None:
            raise Refused(f"a translation is multiplied by {part} · {whole}")
        return found
    return a * b


def moved(f: Factor, shift: Shift) -> Factor:
    """The factor with another multiple of the translation; a plain one that is not translated has no group."""
    return replace(f, shift=shift, group="" if shift == 0 and f.kind == "c" else f.group)


def forget(type: Type) -> Type:
    """A trivial type with constant axes read as plain ones."""
    return Type(tuple(plain(n) for n in type.shape))


def numbers(type: Type, what: str = "this") -> Type:
    """The type, if its entries are plain numbers."""
    if type.points is not None:
        raise Refused(f"{what} computes with the numbers of positions on {show(type.points)}, which depend on how they are numbered")
    if type.sign:
        raise Refused(f"{what} of a number that changes sign under {', '.join(type.sign)}")
    return type


def _split(n: Size, by: Size) -> Size | None:
    if n == by:
        return 1
    try:
        return divide(n, by)
    except NotDivisible:
        return None


def meet(a: Axis, b: Axis, mode: Mode) -> Axis:
    """The axis of a result whose entries are computed from entries of two tensors at the same place; ``Refused`` if there is none.

    ``fn``: by any function; ``add``: by their sum; ``mul``: by their product; ``dot``: by their product, of which only the sum along
    the axis is used; ``pick``: it is one of the two; ``by``: the entry of
    a is taken or not as b says; ``zero``: the entry of a, to which b adds zero; ``or zero``: it is that of a, or zero, which b is.
    """
    left, right, found = list(a or constant(size(b))), list(b or constant(size(a))), []
    while left and right:
        f, g = left.pop(0), right.pop(0)
        if f == g and f.kind == "*":
            found.append(f)
        elif g.kind == "*" or f.kind == "*":
            starred = g.kind == "*"
            other, more = _beside(f, g, left, right) if starred else _beside(g, f, right, left)
            (right if starred else left)[:0] = more
            found.append(_alone(other, mode, starred))
        elif f.kind == g.kind == "c" and f.shift == g.shift == 0 and f.size != g.size:
            small, large, rest = (f, g, right) if _split(g.size, f.size) is not None else (g, f, left)
            more_of = _split(large.size, small.size)
            if more_of is None:
                raise Refused(f"a plain axis of {f.size} meets one of {g.size}")
            rest.insert(0, Factor("c", more_of))
            found.append(small)
        else:
            found.append(_both(f, g, mode))
    found += [_alone(f, mode, True) for f in left if f.size == 1] + [_alone(g, mode, False) for g in right if g.size == 1]
    if any(f.size != 1 for f in (*left, *right)) or (left and right):
        raise Refused(f"axes {show(a)} and {show(b)} do not fit")
    return normal(found)


def _beside(f: Factor, star: Factor, mine: list[Factor], others: list[Factor]) -> tuple[Factor, list[Factor]]:
    """The part of f beside which the other tensor is constant, and what is left of that constant factor; the rest of f goes back."""
    more = _split(star.size, f.size)
    if more is not None:
        return f, [] if more == 1 else [Factor("*", more)]
    tail = _split(f.size, star.size)
    if f.kind in "c*" and f.shift == 0 and tail is not None:
        mine.insert(0, Factor(f.kind, tail))
        return Factor(f.kind, star.size), []
    raise Refused(f"{f} meets a tensor that is constant along {star.size} entries, which do not fit")


def _alone(f: Factor, mode: Mode, first: bool) -> Factor:
    """A factor beside a tensor that is constant along it; ``first``: the factor is that of the first tensor."""
    if first and mode in ("zero", "by"):
        return f  # the entry itself
    if first and mode == "or zero" and f.shift == 0:
        return f  # a translated number does not go together with one that stays 0
    if mode in ("mul", "dot") and f.kind in "VDP+" and f.shift == 0:
        return f
    if mode == "add" and f.kind == "c":
        return f  # a translated number plus a number is translated alike
    if f.kind in "cX+*P" and f.shift == 0 and (f.kind != "+" or entrywise((f,))):
        return f
    raise Refused(f"{f} meets a tensor that is constant along it")


def _both(f: Factor, g: Factor, mode: Mode) -> Factor:
    if mode in ("mul", "dot") and f.kind == g.kind == "V" and f.size == g.size and f.group == dual(g.group) and f.shift == g.shift == 0:
        return replace(f, kind="D", group=f.group.removesuffix("*"))
    if mode == "add" and f.kind == g.kind == "c" and f.size == g.size and (f.shift == 0 or g.shift == 0 or f.group == g.group):
        return moved(f if f.shift else g, f.shift + g.shift)  # type: ignore[operator]
    if f.kind == g.kind == "+" and [*map(size, f.parts)] == [*map(size, g.parts)] and f.shift == g.shift == 0:  # nothing is broadcast here
        parts = tuple(meet(x, y, mode) for x, y in zip(f.parts, g.parts, strict=True))
        if mode != "dot" and any(h.kind == "D" for part in parts for h in part):
            raise Refused(f"the products of coordinates of {f} stand beside other numbers")
        return replace(f, parts=parts)
    if moved(f, 0) != moved(g, 0) or (f.shift and g.shift and f.group != g.group):
        words = [f"a plain axis of {x.size}" if x.kind == "c" and x.shift == 0 else str(x) for x in (f, g)]
        raise Refused(f"{words[0]} meets {words[1]}")
    if mode == "add":
        return moved(f, f.shift + g.shift)  # type: ignore[operator]
    if mode == "pick" and f == g:
        return f
    if f.kind in "cX+*P" and f.shift == g.shift == 0:
        return f
    raise Refused(f"the entries of {f} are combined one by one, and no {f.group or 'translation'} passes through that")


def regroup(factors: Axis, shape: Sequence[Size]) -> tuple[Axis, ...]:
    """The factors of a whole tensor, in row-major order, cut into axes of these sizes; plain and constant factors may be split."""
    rest, axes = list(normal(factors)), []
    for n in shape:
        axis: list[Factor] = []
        while n != 1:
            if not rest:
                raise Refused(f"{show(factors)} does not make the shape {tuple(shape)}")
            f = rest.pop(0)
            more = _split(n, f.size)
            if more is not None:
                axis.append(f)
                n = more
                continue
            tail = _split(f.size, n)
            if tail is None or f.kind not in "c*" or f.shift != 0:
                raise Refused(f"{f} would be cut to make an axis of {n}")
            axis.append(Factor(f.kind, n))
            rest.insert(0, Factor(f.kind, tail))
            n = 1
        axes.append(normal(axis))
    if rest:
        raise Refused(f"{show(factors)} does not make the shape {tuple(shape)}")
    return tuple(axes)


def fits(found: Type, claimed: Type) -> bool:
    """Whether a tensor of the first type also has the second: zero has every type, a constant axis that of any set of its size."""
    if found.shape != claimed.shape:
        return False
    if found.zero:
        return claimed.points is None and not any(f.shift != 0 for axis in claimed.axes for f in axis)
    if (found.points, found.sign) != (claimed.points, claimed.sign):
        return False
    return all(_axis_fits(a, b) for a, b in zip(found.axes, claimed.axes, strict=True))


def _pieces(axis: Axis) -> Axis:
    """The axis with a union of equal parts read as so many pieces, which it is."""
    equal = [f.kind == "+" and f.shift == 0 and len(set(f.parts)) == 1 for f in axis]
    return normal([h for f, same in zip(axis, equal, strict=True) for h in ((Factor("c", len(f.parts)), *f.parts[0]) if same else (f,))])


def _axis_fits(a: Axis, b: Axis) -> bool:
    left, right = list(_pieces(a)), list(_pieces(b))
    while left and right:
        f, g = left.pop(0), right.pop(0)
        more, rest = _split(f.size, g.size), _split(g.size, f.size)
        if f == g or (f.kind == g.kind == "+" and len(f.parts) == len(g.parts) and all(map(_axis_fits, f.parts, g.parts))):
            continue
        if more is not None and ((f.kind == "*" and is_set((g,))) or (f.kind in "c*" and g.kind == "c" and f.shift == g.shift == 0)):
            left[:0] = [] if more == 1 else [replace(f, size=more)]
        elif rest is not None and f.kind in "c*" and g.kind == "c" and f.shift == g.shift == 0:
            right[:0] = [replace(g, size=rest)]
        else:
            return False
    return not left and not right
