"""What ``torch.export`` assumed of several sizes at once, without saying so: each such assumption has to hold for all sizes claimed.

An assumption about one symbol that is not always true is an error of ``torch.export``. One about two (``x.shape[0] != y.shape[0]``, where
the code asked for it) is only noted in the program. It is shown here by writing each symbol as its least value plus a number ≥ 0. **This
file is trusted.**

>>> from catlearn.core.sizes import dim
>>> n, m = dim("n"), dim("m")
>>> holds("L['x'].size()[0] != L['y'].size()[0]", {"x": (n, 3), "y": (m, 3)}, {"n": 2, "m": 2})
False
>>> holds("(4*L['y'].size()[0]) % L['x'].size()[0] == 0", {"x": (n, 3), "y": (n, 3)}, {"n": 2})
True
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

from catlearn.core.sizes import Poly, Size

_SIZE = re.compile(r"L\['(\w+)'\]((?:\[\d+\])*)\.size\(\)\[(\d+)\]")


def holds(guard: str, shapes: Mapping[str, tuple[Size, ...]], least: Mapping[str, int]) -> bool:
    """Whether an assumption holds for all sizes from ``least`` on; False where that cannot be shown."""
    import sympy  # torch.export has loaded it already

    more = {name: low + sympy.Symbol(f"more_{name}", integer=True, nonnegative=True) for name, low in least.items()}
    names: dict[str, Any] = {"max": sympy.Max, "min": sympy.Min}

    def sized(found: re.Match[str]) -> str:
        name = "_".join([found[1], *re.findall(r"\d+", found[2])])
        text = f"size_{name}_{found[3]}"
        names[text] = _formula(shapes[name][int(found[3])], more)
        return text

    try:
        tree = ast.parse(_SIZE.sub(sized, guard), mode="eval").body
        return _true(tree, names) is True
    except (KeyError, IndexError, SyntaxError, TypeError, ValueError, ZeroDivisionError):
        return False


def _formula(n: Size, more: Mapping[str, Any]) -> Any:
    import sympy

    if not isinstance(n, Poly):
        return sympy.Integer(n)
    return sympy.Add(*(c * sympy.Mul(*(more[d.name] ** power for d, power in monomial)) for monomial, c in n.terms))


def _true(tree: ast.expr, names: Mapping[str, Any]) -> bool:
    """Whether a relation holds for sure."""
    if isinstance(tree, ast.BoolOp):
        parts = [_true(part, names) for part in tree.values]
        return any(parts) if isinstance(tree.op, ast.Or) else all(parts)
    if not isinstance(tree, ast.Compare) or len(tree.ops) != 1:
        raise ValueError("no relation")
    d, op = _expanded(_value(tree.left, names) - _value(tree.comparators[0], names)), tree.ops[0]
    sure = {ast.Eq: d == 0, ast.NotEq: d.is_positive or d.is_negative, ast.Gt: d.is_positive, ast.GtE: d.is_nonnegative,
            ast.Lt: d.is_negative, ast.LtE: d.is_nonpositive}  # fmt: skip
    return bool(sure.get(type(op)))


def _expanded(x: Any) -> Any:
    import sympy

    return sympy.expand(x)


def _value(tree: ast.expr, names: Mapping[str, Any]) -> Any:
    """A number in symbols: sums, products, whole parts and remainders of quotients, the larger and the smaller of two."""
    import sympy

    if isinstance(tree, ast.Constant) and isinstance(tree.value, int):
        return sympy.Integer(tree.value)
    if isinstance(tree, ast.Name):
        return names[tree.id]
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
        return -_value(tree.operand, names)
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and not tree.keywords:
        return names[tree.func.id](*(_value(arg, names) for arg in tree.args))
    if not isinstance(tree, ast.BinOp):
        raise ValueError("no number")
    a, b = _value(tree.left, names), _value(tree.right, names)
    if isinstance(tree.op, ast.Add | ast.Sub):
        return a + b if isinstance(tree.op, ast.Add) else a - b
    if isinstance(tree.op, ast.Mult):
        return a * b
    quotient = sympy.cancel(a / b)
    if isinstance(tree.op, ast.FloorDiv):
        return sympy.floor(quotient)
    if isinstance(tree.op, ast.Mod):
        return sympy.Integer(0) if sympy.floor(quotient) == quotient else sympy.Mod(a, b)
    raise ValueError("no number")


__all__ = ["holds"]
