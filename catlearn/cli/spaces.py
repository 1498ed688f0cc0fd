"""Spaces on the command line: ``space(S(n), 16) @ index(S(n), 2, S(12))``, where a name that is not a constructor is a symbolic size.

The text is read, never run: only the constructors of spaces, numbers, names, ``@``, ``+`` and ``*`` are understood.

>>> parse("space(S(n), 16) @ R(2 * n)")
space(S(n), 16) @ R(2·n)
>>> parse("open('x')")
Traceback (most recent call last):
...
catlearn.errors.BadCommand: [CL601] open('x') is no space
  next: for example space(S(n), 16) or R(3) @ index(10, 7); constructors are A, E, O, R, S, SE, SO, Sp, T, Z, boolean, index, space
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

from catlearn.core import spaces
from catlearn.core.sizes import dim
from catlearn.core.spaces import Space
from catlearn.errors import BadCommand, CatlearnError

_MADE: dict[str, Callable[..., Any]] = {name: getattr(spaces, name) for name in "A E O R S SE SO Sp T Z boolean index space".split()}
_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {ast.MatMult: operator.matmul, ast.Add: operator.add, ast.Mult: operator.mul}


def parse(text: str) -> Space:
    """The space that the text names; ``BadCommand`` if it names none."""
    try:
        found = _read(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, TypeError, ValueError, RecursionError) as error:
        raise _refused(text) from error
    except CatlearnError as error:
        raise BadCommand(f"{text}: {error}") from error
    if isinstance(found, spaces.Group):
        found = found.space(1)
    if not isinstance(found, Space):
        raise _refused(text)
    return found


def _read(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | str | None):
        return node.value
    if isinstance(node, ast.Name):
        return spaces.I if node.id == "I" else dim(node.id)
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        return _BINARY[type(node.op)](_read(node.left), _read(node.right))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _MADE:
        return _MADE[node.func.id](*map(_read, node.args), **{str(k.arg): _read(k.value) for k in node.keywords})
    raise ValueError(ast.dump(node))


def _refused(text: str) -> BadCommand:
    return BadCommand(
        f"{text} is no space", next=f"for example space(S(n), 16) or R(3) @ index(10, 7); constructors are {', '.join(_MADE)}"
    )
