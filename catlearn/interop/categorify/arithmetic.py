"""Arithmetic on sizes as text: what a file may bring into generated code, and nothing else.

>>> check_arithmetic("max(1, n % 4) + 7 // m", ["n", "m"])
>>> check_arithmetic("__import__('os')", ["n"])
Traceback (most recent call last):
...
ValueError: no arithmetic on sizes: "__import__('os')"
"""

from __future__ import annotations

import ast
from collections.abc import Collection
from keyword import iskeyword
from typing import Any

FUNCTIONS = frozenset(("max", "min", "abs", "int", "float", "bool", "round"))
ATTRIBUTES = {"math": frozenset(("floor", "ceil", "trunc", "sqrt", "log", "log2", "exp", "inf")),
              "torch": frozenset(("sym_float", "sym_int", "sym_max", "sym_min", "_sym_sqrt"))}  # fmt: skip
OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Div, ast.Mod)
LONGEST, POWER = 4000, 64


def check_arithmetic(text: Any, names: Collection[Any]) -> None:
    """Raises ``ValueError`` unless a text is arithmetic on these names."""
    plain = all(isinstance(name, str) and name.isidentifier() and not iskeyword(name) for name in names)
    try:
        if plain and isinstance(text, str) and len(text) <= LONGEST and _is(ast.parse(text, mode="eval").body, names):
            return
    except (SyntaxError, RecursionError, MemoryError):
        pass
    raise ValueError(f'no arithmetic on sizes: "{str(text)[:60]}"')


def _is(node: ast.expr, names: Collection[str]) -> bool:
    match node:
        case ast.Name(id=name):
            return name in names
        case ast.Constant(value=value):
            return type(value) in (int, float)
        case ast.BinOp(left=left, op=ast.Pow(), right=ast.Constant(value=power)):
            return isinstance(power, int | float) and abs(power) <= POWER and _is(left, names)
        case ast.BinOp(left=left, op=op, right=right):
            return isinstance(op, OPERATORS) and _is(left, names) and _is(right, names)
        case ast.UnaryOp(operand=inner):
            return _is(inner, names)
        case ast.BoolOp(values=inner):
            return all(_is(x, names) for x in inner)
        case ast.Compare(left=left, comparators=others):
            return all(_is(x, names) for x in (left, *others))
        case ast.IfExp(test=test, body=body, orelse=other):
            return all(_is(x, names) for x in (test, body, other))
        case ast.Attribute(value=ast.Name(id=module), attr=name):
            return module not in names and name in ATTRIBUTES.get(module, ())
        case ast.Call(func=function, args=args, keywords=[]):
            known = isinstance(function, ast.Name) and function.id in FUNCTIONS and function.id not in names
            return (known or (isinstance(function, ast.Attribute) and _is(function, names))) and all(_is(x, names) for x in args)
    return False


__all__ = ["check_arithmetic"]
