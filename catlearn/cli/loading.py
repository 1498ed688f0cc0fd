"""``FILE:NAME`` → a term: run the user's file and take a name from it.

The name stands for a term, or for a function without arguments that returns one. Whatever goes wrong in the user's file becomes one
readable message that names the line; a traceback is never needed to understand it.

>>> from catlearn.errors import BadCommand
>>> try:
...     load("net.py")
... except BadCommand as error:
...     print(error)
[CL601] 'net.py' names no term
  next: write FILE:NAME, for example net.py:net
"""

from __future__ import annotations

import inspect
import sys
import traceback
from difflib import get_close_matches
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from catlearn.core.term import Term
from catlearn.errors import BadCommand, CatlearnError, NeedsSpace


def load(target: str, *others: type) -> Any:
    """The term that ``FILE:NAME`` names, or an object of another type that will do.

    Raises ``BadCommand`` with what to do next, or the file's own ``CatlearnError``.
    """
    file, colon, name = target.rpartition(":")
    if not colon or not name.isidentifier():
        raise BadCommand(f"{target!r} names no term", next=f"write FILE:NAME, for example {file or target}:net")
    module = run_file(Path(file))
    if not hasattr(module, name):
        raise _missing(module, file, name)
    found = getattr(module, name)
    if isinstance(found, others):
        return found
    if callable(found) and not isinstance(found, Term) and not hasattr(found, "instantiate"):
        found = _call(found, file, name)
    if isinstance(found, others):
        return found
    if hasattr(found, "instantiate"):
        raise NeedsSpace(f"{name} ({found})", f"{target}")
    if not isinstance(found, Term):
        raise BadCommand(f"{name} in {file} is of type {type(found).__name__}, which is no term", next=_choices(module))
    return found


def load_callable(target: str, *kinds: type) -> Any:
    """Like ``load``, and a function that takes arguments stands for itself."""
    file, _, name = target.rpartition(":")
    if file and name.isidentifier():
        found = getattr(run_file(Path(file)), name, None)
        if callable(found) and not isinstance(found, (Term, *kinds)) and not hasattr(found, "instantiate") and _needed(found):
            return found
    return load(target, *kinds)


def _needed(function: Any) -> list[str]:
    """The arguments that a function cannot do without."""
    try:
        return [p.name for p in inspect.signature(function).parameters.values() if p.default is p.empty and p.kind < p.VAR_POSITIONAL]
    except (TypeError, ValueError):
        return []


def run_file(path: Path) -> ModuleType:
    """The module that a Python file defines; its folder can be imported from while it runs."""
    if not path.is_file():
        near = get_close_matches(path.name, [p.name for p in path.parent.glob("*.py")] if path.parent.is_dir() else [], n=3)
        raise BadCommand(f"there is no file {path}", next=f"did you mean {' or '.join(near)}?" if near else "check the path")
    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise BadCommand(f"{path} is no Python file", next="the file's name must end in .py")
    module = module_from_spec(spec)
    folder = str(path.parent.resolve())
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except CatlearnError:
        raise
    except SyntaxError as error:
        raise BadCommand(f"{error.filename}:{error.lineno}: {error.msg}", _pointer(error), "correct the file's syntax") from error
    except (Exception, SystemExit) as error:
        raise _failed(path, error) from error
    finally:
        sys.path.remove(folder)
    return module


def _call(function: Any, file: str, name: str) -> Any:
    needed = _needed(function)
    if needed:
        raise BadCommand(f"the function {name} in {file} needs arguments: {', '.join(needed)}",
                         next="give them default values, or name a term that is already made")  # fmt: skip
    try:
        return function()
    except CatlearnError:
        raise
    except Exception as error:
        raise _failed(Path(file), error) from error


def _missing(module: ModuleType, file: str, name: str) -> BadCommand:
    near = get_close_matches(name, [n for n in vars(module) if not n.startswith("_")], n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else _choices(module)
    return BadCommand(f"{file} defines no {name!r}", next=hint)


def _choices(module: ModuleType) -> str:
    terms = [name for name, value in vars(module).items() if isinstance(value, Term)]
    return f"the terms of this file are {', '.join(terms)}" if terms else "this file defines no term at its top level"


def _failed(path: Path, error: BaseException) -> BadCommand:
    """The user's own line where an exception came from, and the exception in one line."""
    places = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).resolve() == path.resolve()]
    where = f"{path}:{places[-1].lineno}" if places else str(path)
    rows = [f"> {places[-1].line}"] if places and places[-1].line else []
    return BadCommand(f"{where}: {type(error).__name__}: {error}", rows, "the file stopped here while it was run; correct it")


def _pointer(error: SyntaxError) -> list[str]:
    return [f"> {error.text.rstrip()}", " " * ((error.offset or 1) + 1) + "^"] if error.text else []
