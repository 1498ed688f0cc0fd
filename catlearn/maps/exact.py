"""Maps without rounding: their steps on arrays of fractions, or of sympy's expressions where a parameter or a root is a symbol.

>>> from catlearn.maps import dense, diagonal
>>> f = diagonal("d", 2) >> dense("A", 1, 2)
>>> f.exact()
Matrix([[A_0_0*d_0, A_0_1*d_1]])
>>> f.exact({"A": [["1/2", 3]], "d": [4, 5]})
((Fraction(2, 1), Fraction(15, 1)),)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np

from catlearn import errors
from catlearn.core.op import Param
from catlearn.maps.base import Map
from catlearn.maps.given import size, typed
from catlearn.maps.planner import Builder
from catlearn.maps.tape import Step, Tape


def exact(f: Map, params: Mapping[str, Any] | None = None) -> Any:
    """The matrix of f; see ``Map.exact``. Raises ``BadMap`` for unknown parameters, wrong shapes and entries that are no rationals."""
    given = dict(params or {})
    if unknown := [name for name in given if name not in f.params]:
        raise errors.BadMap(f"these parameters do not fit {typed(f)}", [f"not a parameter: {name}" for name in unknown])
    tape = Tape()
    out = tape.reshape(Builder(tape, "factored", plain=True).matrix(f), (size(f.cod), size(f.dom)))
    values = {name: rational(name, given[name], p) if name in given else symbols(name, shape_of(p)) for name, p in f.params.items()}
    registers: dict[int, Any] = {}
    for r in tape.live([out]):
        step = tape.steps[r]
        made = values[step.with_[0]] if step.kind == "param" else RULES[step.kind](step, *(registers[a] for a in step.args))
        registers[r] = made if isinstance(made, np.ndarray) else _made([made], ())  # numpy's sums of single numbers are numbers
    array = registers[out]
    if all(isinstance(v, int | Fraction) for v in array.flat):
        return tuple(tuple(Fraction(v) for v in row) for row in array)
    import sympy

    return sympy.Matrix(size(f.cod), size(f.dom), lambda i, j: _sympy(array[i, j]))


def shape_of(param: Param) -> tuple[int, ...]:
    """The shape of a parameter."""
    return tuple(int(n) for n in param.wire.shape)  # type: ignore[arg-type]


def number(value: Any) -> Fraction:
    """A given number, bit for bit."""
    return Fraction(value)


def rational(name: str, value: Any, param: Param) -> Any:
    """Nested lists, an array or a tensor as fractions."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    try:
        raw = np.array(value, dtype=object)
        found = np.array([number(v) for v in raw.flat] + [None], dtype=object)[:-1].reshape(raw.shape)
    except (ValueError, TypeError, OverflowError) as error:
        raise errors.BadMap(f"{name}: entries must be rational numbers", [str(error)]) from None
    if found.shape != shape_of(param):
        raise errors.BadMap(f"{name}: numbers of another shape", [f"given  {found.shape}", f"needed {shape_of(param)}"])
    return found


def symbols(name: str, shape: tuple[int, ...]) -> Any:
    """A parameter as real symbols ``name_i_j``."""
    import sympy

    found = np.empty(shape, dtype=object)
    for place in product(*map(range, shape)):
        found[place] = sympy.Symbol("_".join([name, *map(str, place)]), real=True)
    return found


def _made(values: list[Any], shape: tuple[int, ...]) -> Any:
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found.reshape(shape)


def _einsum(step: Step, *xs: Any) -> Any:
    ins, out = step.with_
    # a register with lead axes has them in front of its event axes, under letters of their own
    lead = "STUVWXYZ"[: max(x.ndim - len(letters) for letters, x in zip(ins, xs, strict=True))]
    full = [lead[: x.ndim - len(letters)] + letters for letters, x in zip(ins, xs, strict=True)]
    rename = {c: chr(ord("a") + k) if k < 26 else chr(ord("A") + k - 26) for k, c in enumerate(dict.fromkeys(f"{lead}{''.join(ins)}"))}
    texts = ["".join(rename[c] for c in letters) for letters in full]
    result = "".join(rename[c] for c in (lead if step.lead else "") + out)
    found = np.einsum(f"{','.join(texts)}->{result}", *xs, optimize=False)
    return found


def _scatter(step: Step, x: Any) -> Any:
    axis, index, count = step.with_
    axis += len(step.lead)
    moved = np.moveaxis(x, axis, 0)
    found = _made([0] * (count * math.prod(moved.shape[1:])), (count, *moved.shape[1:]))
    for row, place in zip(moved, index, strict=True):
        found[place] = found[place] + row
    return np.moveaxis(found, 0, axis)


def _each(function: Callable[[Any], Any], x: Any) -> Any:
    return _made([function(v) for v in x.flat], x.shape)


def _power(step: Step, x: Any) -> Any:
    (exponent,) = step.with_

    def raised(v: Any) -> Any:
        if v == 0 and exponent < 0:
            raise errors.BadMap("a row of length 0 has no inverse length", ["an exact power below 0 of 0"], "choose other parameters")
        if isinstance(v, int | Fraction):
            whole = Fraction(v) ** abs(Fraction(exponent).numerator)
            whole = whole if exponent > 0 else 1 / whole
            if Fraction(exponent).denominator == 1:
                return whole
            roots = [math.isqrt(n) for n in (whole.numerator, whole.denominator)]
            if Fraction(exponent).denominator == 2 and [r * r for r in roots] == [whole.numerator, whole.denominator]:
                return Fraction(*roots)

        return _sympy(v) ** _sympy(Fraction(exponent))

    return _each(raised, x)


def _sympy(v: Any) -> Any:
    import sympy

    return sympy.Rational(v.numerator, v.denominator) if isinstance(v, int | Fraction) else v


def _transform(step: Step, x: Any) -> Any:
    name, inverse = step.with_
    matrix = transform_matrix(name, x.shape[-1])
    return np.tensordot(_each(_sympy, x), matrix if inverse else matrix.T, axes=([x.ndim - 1], [0]))


def transform_matrix(name: str, n: int) -> Any:
    """The matrix of an orthonormal transform, in sympy's numbers."""
    from sympy import Integer, cos, pi, sin, sqrt

    rows = []
    for k in range(n):
        if name == "cosine":
            rows.append([sqrt(Integer(2 if k else 1) / n) * cos(pi * (2 * j + 1) * k / (2 * n)) for j in range(n)])
        elif k == 0 or (n % 2 == 0 and k == n - 1):
            rows.append([(-1) ** (j * bool(k)) / sqrt(Integer(n)) for j in range(n)])
        else:
            wave = cos if k % 2 else sin
            rows.append([sqrt(Integer(2) / n) * wave(2 * pi * ((k + 1) // 2) * j / n) for j in range(n)])
    return _made([v for row in rows for v in row], (n, n))


def _eye(step: Step) -> Any:
    n = math.prod(step.shape[: len(step.shape) // 2])
    return _made([int(i == j) for i in range(n) for j in range(n)], step.shape)


def _fold(step: Step, x: Any) -> Any:
    lead = x.ndim - len(step.with_) - len(step.shape)
    rest = [i for i in range(x.ndim - lead) if i not in step.with_]
    return x.transpose(*range(lead), *(lead + i for i in (*step.with_, *rest)))


def _unfold(step: Step, x: Any) -> Any:
    lead, axes = len(step.lead), step.with_
    rest = [i for i in range(len(step.shape)) if i not in axes]
    place = {axis: k for k, axis in enumerate((*axes, *rest))}
    return x.transpose(*range(lead), *(lead + place[i] for i in range(len(step.shape))))


RULES: dict[str, Callable[..., Any]] = {
    "constant": lambda step: _made([number(v) for v in step.with_[0].values], step.shape),
    "eye": _eye,
    "zeros": lambda step: _made([0] * math.prod((*step.lead, *step.shape)), (*step.lead, *step.shape)),
    "reshape": lambda step, x: x.reshape((*x.shape[: len(step.lead)], *step.shape)),
    "permute": lambda step, x: x.transpose((*range(len(step.lead)), *(len(step.lead) + i for i in step.with_))),
    "fold": _fold,
    "unfold": _unfold,
    "gather": lambda step, x: np.take(x, list(step.with_[1]), axis=len(step.lead) + step.with_[0]),
    "scatter": _scatter,
    "concat": lambda step, *xs: np.concatenate(xs, axis=len(step.lead) + step.with_[0]),
    "repeat": lambda step, x: np.repeat(
        np.expand_dims(x, len(step.lead) + step.with_[0]), step.with_[1], axis=len(step.lead) + step.with_[0]
    ),
    "stop": lambda step, x: x,
    "add": lambda step, x, y: x + y,
    "scale": lambda step, x: _each(
        lambda v: v * (number(step.with_[0]) if isinstance(v, int | Fraction) else _sympy(number(step.with_[0]))), x
    ),
    "power": _power,
    "transform": _transform,
    "einsum": _einsum,
}
