"""Contractions: matrix products, einsum, linear layers. One mechanism: index notation.

Axes that share a letter are multiplied entry by entry (``meet`` in mode ``mul``); letters that do not come out are summed. A vector
met by a vector of the same orthogonal group is what the sum removes (v · w); a vector alone cannot be summed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

from catlearn.verify.rules.call import Call, Rule, Typed, require_entrywise, require_plain, typed_of
from catlearn.verify.rules.pointwise import number, sum_of, times
from catlearn.verify.rules.reduce import require_set, summed
from catlearn.verify.types import Axis, Factor, Mode, Refused, Type, constant, is_plain, meet, numbers, plain, show, size

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def contract(operands: Sequence[tuple[str, Type]], out: str) -> Type:
    """The type of an einsum: each operand with its letters, the letters that stay."""
    axes: dict[str, Axis] = {}
    sizes: dict[str, object] = {}
    for letters, type in operands:
        if len(letters) != len(type.axes):
            raise Refused(f"{len(type.axes)} axes under {len(letters)} letters")
        if type.points is not None:
            numbers(type, "a contraction")
        seen: dict[str, Axis] = {}
        for letter, axis in zip(letters, type.axes, strict=True):
            if letter in seen:
                raise Refused("one operand has a letter twice")
            seen[letter] = axis
            sizes[letter] = size(axis) if size(axis) != 1 else sizes.get(letter, 1)
    for letter, n in sizes.items():
        found = [type.axes[letters.index(letter)] for letters, type in operands if letter in letters]
        if len(found) < len(operands):
            found.append(constant(n))  # type: ignore[arg-type]  # an operand without the letter is constant along it
        mode: Mode = "mul" if letter in out else "dot"
        axes[letter] = reduce(lambda x, y, how=mode: meet(x, y, how), found)
    zero = any(type.zero for _, type in operands)
    sign: set[str] = set()
    for _, type in operands:
        sign ^= set(type.sign)
    if zero:
        return Type(tuple(constant(sizes[x]) for x in out), zero=True)  # type: ignore[arg-type]
    for letter in axes:
        if letter not in out:
            summed(axes[letter])
            if any(f.shift != 0 for axis in axes.values() for f in axis):
                raise Refused("translated numbers are added up")
    return Type(tuple(axes[x] for x in out), sign=tuple(sorted(sign)))


def einsum(call: Call) -> Type:
    """einsum, with or without an ellipsis."""
    equation = call.args["equation"].replace(" ", "")
    operands = [typed_of(x) for x in call.args["tensors"]]
    ins, arrow, out = equation.partition("->")
    terms = ins.split(",")
    spare = [x for x in LETTERS if x not in equation]
    width = max((x.rank - len(t.replace("...", "")) for t, x in zip(terms, operands, strict=True) if "..." in t), default=0)
    dots = "".join(spare[:width])
    letters = []
    for t, x in zip(terms, operands, strict=True):
        own = x.rank - len(t.replace("...", ""))
        letters.append(t.replace("...", dots[width - own :] if own else ""))
    if not arrow:
        once = sorted(x for x in set(ins) if x.isalpha() and ins.count(x) == 1)
        out = ("..." if "..." in ins else "") + "".join(once)
    return contract([(t, x.type) for t, x in zip(letters, operands, strict=True)], out.replace("...", dots))


def product_letters(left: int, right: int) -> tuple[str, str, str]:
    """The letters of a matrix product of tensors of these ranks."""
    if left == 0 or right == 0:
        raise Refused("a matrix product of a number")
    if left == 1 and right == 1:
        return "y", "y", ""
    batch = LETTERS[: max(left, right, 2) - 2]
    ones = (batch[len(batch) - (left - 2) :] + "xy") if left > 1 else "y"
    twos = (batch[len(batch) - (right - 2) :] + "yz") if right > 1 else "y"
    return ones if left != 2 else "xy", twos if right != 2 else "yz", batch + ("x" if left > 1 else "") + ("z" if right > 1 else "")


def matmul(call: Call) -> Type:
    """mm, bmm, mv, dot, matmul: by rank."""
    names = [n for n in ("self", "input", "mat2", "vec2", "vec", "other", "tensor") if n in call.args]
    x, y = (call.tensor(n) for n in names[:2])
    a, b, out = product_letters(x.rank, y.rank)
    return contract([(a, x.type), (b, y.type)], out)


def linear(call: Call) -> Type:
    """x Wᵀ + b."""
    x, w = call.tensor("input"), call.tensor("weight")
    row = LETTERS[: x.rank - 1]
    found = contract([(row + "y", x.type), ("zy" if w.rank == 2 else "y", w.type)], row + ("z" if w.rank == 2 else ""))
    return found if call.get("bias") is None else sum_of(found, call.tensor("bias").type)


def bilinear(call: Call) -> Type:
    """x W y + b."""
    x, y = call.tensor("input1"), call.tensor("input2")
    row = LETTERS[: x.rank - 1]
    found = contract([(row + "x", x.type), ("zxy", call.tensor("weight").type), (row + "y", y.type)], row + "z")
    return found if call.get("bias") is None else sum_of(found, call.tensor("bias").type)


def plus_product(call: Call) -> Type:
    """addmm, baddbmm, addmv, addbmm: beta · self + alpha · a b."""
    first, second = ("mat1", "mat2") if "mat1" in call.args else ("batch1", "batch2") if "batch1" in call.args else ("mat", "vec")
    x, y = call.tensor(first), call.tensor(second)
    a, b, out = product_letters(x.rank, y.rank)
    found = contract([(a, x.type), (b, y.type)], out)
    beta = call.get("beta", 1)
    if any(f.shift != 0 for axis in call.tensor("self").axes for f in axis) and beta != 1:
        by = number(beta)
        if by is None:
            raise Refused("the factor of the first summand is unknown")
        return sum_of(times(call.tensor("self").type, by), found)
    return sum_of(call.tensor("self").type, found)


def outer(call: Call) -> Type:
    """outer: all products of two vectors' entries."""
    y = call.tensor("vec2" if "vec2" in call.args else "other")
    return contract([("x", call.tensor("self").type), ("y", y.type)], "xy")


def tensordot(call: Call) -> Type:
    """tensordot over given axes."""
    x, y = call.tensor("self"), call.tensor("other")
    a, b = list(LETTERS[: x.rank]), list(LETTERS[x.rank : x.rank + y.rank])
    for i, j in zip(call.args["dims_self"], call.args["dims_other"], strict=True):
        b[j % y.rank] = a[i % x.rank]
    shared = set(a) & set(b)
    return contract([("".join(a), x.type), ("".join(b), y.type)], "".join(z for z in [*a, *b] if z not in shared))


def cdist(call: Call) -> Type:
    """Distances between two lists of points: p = 2 does not see a rotation of both, and no distance a common translation."""
    x, y = call.tensor("x1"), call.tensor("x2")
    if call.args["p"] != 2 and any(f.kind == "V" for f in x.axes[-1]):
        raise Refused(f"the {call.args['p']}-distance of vectors")
    common = meet(x.axes[-1], y.axes[-1], "pick")
    if not (is_plain(common) or all(f.kind in "cVX*" and not f.group.startswith("Sp") for f in common)):
        raise Refused(f"distances along {show(common)}")
    batch = LETTERS[: x.rank - 2]
    a, b = (Type((*t.axes[:-1],)) for t in (numbers(x.type, "a distance"), numbers(y.type, "a distance")))
    for axis in (*a.axes, *b.axes):
        require_entrywise(axis, "a distance")
    return contract([(batch + "x", a), (batch + "y", b)], batch + "xy")


def cross(call: Call) -> Type:
    """The cross product of vectors of R³: of SO(3) again a vector, of O(3) one that also gets the determinant; A(3) lies in SO(3)."""
    x, y = call.tensor("self"), call.tensor("other")
    d = call.axis("dim", x) if call.get("dim") is not None else None
    if d is None or x.rank != y.rank:
        raise Refused("a cross product along an axis that is not given")
    a, b = x.axes[d], y.axes[d]
    if is_plain(a) and is_plain(b):
        common, sign = require_plain(a, "a cross product"), ()
    elif a == b and len(a) == 1 and _even(a[0]) and a[0].size == 3:
        common, sign = a, ()
    elif a == b and len(a) == 1 and a[0].kind == "V" and a[0].shift == 0 and a[0].size == 3 and a[0].group.startswith(("SO", "O")):
        common, sign = a, () if a[0].group.startswith("SO") else (a[0].group,)
    else:
        raise Refused(f"a cross product of {show(a)} and {show(b)}")
    bare = [replace(t.type, axes=tuple(() if i == d else axis for i, axis in enumerate(t.axes))) for t in (x, y)]
    letters = LETTERS[: x.rank]
    found = contract([(letters, bare[0]), (letters, bare[1])], letters)
    axes = tuple(common if i == d else axis for i, axis in enumerate(found.axes))
    return Type(axes, sign=tuple(sorted(set(found.sign) ^ set(sign))))


def _matrix(x: Typed) -> tuple[Axis, Axis, tuple[Axis, ...]]:
    for axis in numbers(x.type, "a function of matrices").axes[:-2]:
        require_entrywise(axis, "a function of matrices")
    return x.axes[-2], x.axes[-1], x.axes[:-2]


def _square(a: Axis, b: Axis, what: str) -> bool:
    """Whether the matrix is conjugated by an orthogonal matrix."""
    vectors = len(a) == 1 and a == b and a[0].kind == "V" and a[0].shift == 0 and not a[0].group.startswith("Sp")
    sets = a == b and all(f.kind in "cX" and f.shift == 0 for f in a)
    if not (vectors or sets or (is_plain(a) and is_plain(b))):
        raise Refused(f"{what} of a matrix on {show(a)}×{show(b)}")
    return True


def _even(f: Factor) -> bool:
    """Whether only even permutations act: A(n), and Z(n) for odd n."""
    return f.kind == "X" and (f.group.startswith("A(") or (f.group.startswith("Z(") and isinstance(f.size, int) and f.size % 2 == 1))


def determinant(call: Call) -> Type:
    """det: of a conjugated matrix the same; else times the determinants of what acts on the rows and on the columns."""
    x = call.tensor("A" if "A" in call.args else "self")
    a, b, rest = _matrix(x)
    signs: set[str] = set()
    for axis in (a, b):
        known = is_plain(axis) or (len(axis) == 1 and axis[0].shift == 0 and (axis[0].kind == "V" or _even(axis[0])))
        if not known:
            _square(a, b, "the determinant")
            return Type(rest)
        signs ^= {f.group for f in axis if f.group.startswith("O(")}
    return Type(rest, sign=tuple(sorted(signs)))


def of_matrix(call: Call) -> Type:
    """The inverse, a power, the exponential: conjugated as the matrix is."""
    x = call.tensor("A" if "A" in call.args else "self")
    a, b, rest = _matrix(x)
    _square(a, b, "this function")
    plain_ = is_plain(a) and is_plain(b)
    return Type((*rest, *(require_plain(axis, "this") if plain_ else axis for axis in (a, b))))


def eigenvalues(call: Call) -> Type:
    """Eigenvalues of a symmetric matrix: torch reads one triangle only, so nothing may act on the others' places."""
    x = call.tensor("self")
    a, b, rest = _matrix(x)
    for axis in (a, b):
        require_plain(axis, "the spectrum of one triangle of a matrix")
    return Type((*rest, plain(call.outs[0].shape[-1])))


def singular_values(call: Call) -> Type:
    """Singular values: the same after orthogonal maps (permutations among them) on either side."""
    x = call.tensor("A")
    a, b, rest = _matrix(x)
    for axis in (a, b):
        vectors = len(axis) == 1 and axis[0].kind == "V" and axis[0].shift == 0 and not axis[0].group.startswith("Sp")
        if not vectors:
            require_set(axis, "singular values")
    return Type((*rest, plain(call.outs[0].shape[-1])))


_PRODUCTS = "mm bmm mv dot matmul".split()

ROWS: dict[str, Rule] = {
    "aten.einsum.default": einsum,
    **{f"aten.{name}.default": matmul for name in _PRODUCTS},
    "aten.linear.default": linear,
    "aten.bilinear.default": bilinear,
    **{f"aten.{name}.default": plus_product for name in ("addmm", "baddbmm", "addmv")},
    "aten.outer.default": outer,
    "aten.tensordot.default": tensordot,
    "aten.cdist.default": cdist,
    **{f"aten.{name}.default": cross for name in ("cross", "linalg_cross")},
    **{f"aten.{name}.default": determinant for name in ("det", "linalg_det")},
    **{f"aten.{name}.default": of_matrix for name in ("inverse", "linalg_inv", "linalg_matrix_power", "matrix_power", "linalg_matrix_exp")},
    "aten.linalg_eigvalsh.default": eigenvalues,
    "aten.linalg_svdvals.default": singular_values,
}
