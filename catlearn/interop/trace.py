"""The graph of somebody else's module: ``torch.export``, with catlearn's symbolic sizes and with errors that name the line.

Gradients stay on while the module runs, so that torch takes no shortcut that exists for inference only (the fused path of its
attention module); the module's training mode and its numbers are left as they are.

Law: the program computes what the module computes on inputs of these shapes, and, where a size is a symbol, on every size that the
symbol can take.

>>> import catlearn as cl, torch
>>> n = cl.dim("n")
>>> program = trace(torch.nn.Linear(3, 4), (torch.zeros(5, 3),), dynamic=[{0: n}])
>>> [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
['aten.linear.default']
>>> trace(lambda x: x if x.sum() > 0 else -x, (torch.zeros(3),))
Traceback (most recent call last):
...
catlearn.errors.CannotTrace: [CL901] torch.export cannot trace <lambda>: what it does next depends on the numbers in a tensor
  at ...
  next: ...
"""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export import Dim, ExportedProgram
from torch.utils import _pytree as pytree

from catlearn import errors
from catlearn.core.sizes import Poly, dims
from catlearn.core.source import Source

LARGEST = 2**63 - 2
Dynamic = Sequence[Any] | Mapping[Any, Any] | None
_TORCH, _HERE = str(Path(torch.__file__).parent) + "/", str(Path(__file__).parent.parent) + "/"
_PYTHON = str(Path(logging.__file__).parent.parent / "logging")
_SHAPES = "torch.fx.experimental.symbolic_shapes"


class Function(nn.Module):
    """A plain function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function
        try:
            inspect.signature(function)
            self.forward = function
        except (ValueError, TypeError):  # torch's built-in functions do not tell what they take
            self.forward = lambda *args, **kwargs: function(*args, **kwargs)


def trace(module: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any] | None = None,
          dynamic: Dynamic = None) -> ExportedProgram:  # fmt: skip
    """The exported program of a module (or of a function) on example inputs.

    ``dynamic`` says which sizes are symbols: for each positional input None or ``{axis: cl.dim(...)}``, as a list, or as a mapping
    from places and names to these; axes count from 0 and may be negative. The same symbol is the same size wherever it stands, at
    least its ``min``. Raises ``CannotTrace`` with the line of the user's source where the module looks at data, or fixes such a size,
    or fails.
    """
    places, named = _apart((tuple(args), dict(kwargs or {})))
    model = module if isinstance(module, nn.Module) else Function(module)
    shapes = _shapes(model, places, named, dynamic)
    try:
        return _export(model, places, named, shapes)
    except Exception as error:
        if f"<= {LARGEST}" in str(error):  # a size and one more must be a number too: torch wants that to be said
            shapes = _shapes(model, places, named, dynamic, LARGEST)
            with contextlib.suppress(Exception):
                return _export(model, places, named, shapes)
        raise _explained(error, _title(module), model, (places, named, shapes)) from error


def _apart(inputs: Any) -> Any:
    """The inputs with a tensor that is given twice copied: torch would take the two for one input, and mix them up ever after."""
    seen: set[int] = set()

    def copied(x: Any) -> Any:
        if not isinstance(x, torch.Tensor):
            return x
        again = id(x) in seen
        seen.add(id(x))
        return x.detach().clone().requires_grad_(x.requires_grad) if again else x

    return pytree.tree_map(copied, inputs)


def _export(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], shapes: Any) -> ExportedProgram:
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # frozen parameters would take it even with gradients on
    try:
        with _quiet(), torch.enable_grad():
            return torch.export.export(model, args, kwargs, dynamic_shapes=shapes, strict=False)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What torch logs about its tracing is for its makers; what failed is said by the error. The module's own warnings stay."""
    loggers = [logging.getLogger(name) for name in list(logging.root.manager.loggerDict) if name.split(".")[0] == "torch"]
    before = [logger.disabled for logger in loggers]
    held = io.StringIO()
    try:
        for logger in loggers:
            logger.disabled = True
        with contextlib.redirect_stderr(held), warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"torch\..*")
            warnings.filterwarnings("ignore", message=".*were assigned during export")  # torch's own recurrent layers do it
            yield
        sys.stderr.write(held.getvalue())
    finally:
        for logger, was in zip(loggers, before, strict=True):
            logger.disabled = was


# -- symbolic sizes ----------------------------------------------------------------------------------------------------


def _shapes(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], dynamic: Dynamic, most: int | None = None) -> Any:
    """What torch calls dynamic shapes: the module's own names of its inputs, and its kind of symbols, of at most this size."""
    if not dynamic:
        return None
    given: dict[Any, Any] = dict(dynamic) if isinstance(dynamic, Mapping) else dict(enumerate(dynamic))
    for place in given:
        if place not in kwargs and not (isinstance(place, int) and 0 <= place < len(args)):
            raise errors.BadInput(f"dynamic names the input {place!r}", [f"there are {len(args)} inputs by place",
                                  f"and by name: {', '.join(kwargs) or 'none'}"], "one entry for each input, or None")  # fmt: skip
    table: dict[str, Any] = {}
    rows = tuple(_axes(x, given.get(i), table, i, most) for i, x in enumerate(args))
    named = {name: _axes(x, given.get(name), table, name, most) for name, x in kwargs.items()}
    return dict(inspect.signature(model.forward).bind(*rows, **named).arguments)


def _axes(x: Any, spec: Any, table: dict[str, Any], place: Any, most: int | None) -> Any:
    """The symbols of one input's axes."""
    if not isinstance(x, torch.Tensor):
        if spec:
            raise errors.BadInput(
                f"dynamic: the input {place!r} is a {type(x).__name__}", next="only tensors have sizes that may be symbols"
            )
        return None
    if spec is None:
        return None
    if not isinstance(spec, Mapping) or any(not isinstance(axis, int) or not -x.dim() <= axis < x.dim() for axis in spec):
        raise errors.BadInput(
            f"dynamic: {spec!r} for the input {place!r}", [f"its shape is {tuple(x.shape)}"], 'for example {0: cl.dim("n")}'
        )
    return {axis % x.dim(): _symbol(size, table, most) for axis, size in spec.items()}


def _symbol(size: Any, table: dict[str, Any], most: int | None) -> Any:
    """Torch's symbol for ours: a dimension, or a·n + b of one."""
    if isinstance(size, int):
        return None
    found = sorted(dims(size)) if isinstance(size, Poly) else []
    if len(found) != 1 or any(sum(power for _, power in monomial) > 1 for monomial, _ in size.terms):
        raise errors.BadInput(f"dynamic: {size!r} is no size that torch.export knows", next="a·n + b with one symbol n = cl.dim(...)")
    (symbol,), terms = found, {len(monomial): coefficient for monomial, coefficient in size.terms}
    made = table.setdefault(symbol.name, Dim(symbol.name, min=symbol.min, max=most))
    made = made if terms[1] == 1 else terms[1] * made
    return made + terms[0] if 0 in terms else made


# -- errors ------------------------------------------------------------------------------------------------------------


def _title(module: Any) -> str:
    module = getattr(module, "function", module) if isinstance(module, Function) else module
    return type(module).__name__ if isinstance(module, nn.Module) else getattr(module, "__name__", type(module).__name__)


def _explained(error: Exception, title: str, model: nn.Module, call: tuple[Any, ...]) -> errors.CannotTrace:
    """The error in the user's words: what cannot be traced, in which line, and what to do."""
    from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode  # loads sympy

    text = str(error)
    if isinstance(error, GuardOnDataDependentSymNode):
        return errors.CannotTrace(f"torch.export cannot trace {title}: what it does next depends on the numbers in a tensor",
                                  [f"at {place}" for place in _places(error)],
                                  "write the choice as tensors (torch.where, masks, torch.cond), or hand the module over as one box: "
                                  "cl.from_module(module, dom, cod)")  # fmt: skip
    if "Constraints violated" in text or "ConstraintViolation" in text:
        said = [line.strip() for line in text.splitlines() if line.strip().startswith("- ")]
        fixed = [f"at {place}: assumes {guard}" for place, guard in _guards(model, call)]
        return errors.CannotTrace(f"torch.export cannot trace {title} for every size: a size that was called symbolic is fixed or bounded",
                                  [*(line[2:].split(" If you're using")[0] for line in said), *fixed],
                                  "leave that axis out of dynamic, choose another min, or change the line so that it asks for no number "
                                  "(for example x.flatten() for x.view(5, 3))")  # fmt: skip
    first = next((line for line in text.splitlines() if line.strip()), "")
    return errors.CannotTrace(f"torch.export cannot trace {title}: {type(error).__name__}: {first}", [f"at {p}" for p in _places(error)],
                              "check that module(*inputs) runs; what is no torch (numpy, other libraries) can be one box: "
                              "cl.box(...) or cl.from_module(...)")  # fmt: skip


def _foreign(file: str) -> bool:
    """Whether a line is neither torch's, nor ours, nor Python's own machinery."""
    return not file.startswith((_TORCH, _HERE, "<eval_with_key", "<string>", "<frozen", _PYTHON))


def _places(error: BaseException) -> list[Source]:
    """Where the user's code stood: the innermost line outside torch; in torch's own module where nothing else is left."""
    rows = [(frame.filename, frame.lineno or 0) for frame in traceback.extract_tb(error.__traceback__)]
    inside = next((i for i, (file, _) in enumerate(rows) if file == __file__), 0)
    rows = [row for row in rows[inside:] if row[0] != __file__]
    found = [row for row in rows if _foreign(row[0])] or [row for row in rows if "/torch/nn/" in row[0]]
    return [Source(*found[-1])] if found else []


class _Guards(logging.Handler):
    """Notes which line of the user's made torch assume something of a size: torch reports it to its log as it happens."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.found: dict[tuple[Source, str], None] = {}

    def emit(self, record: logging.LogRecord) -> None:
        if "[guard added]" not in str(record.msg) or not isinstance(record.args, tuple):
            return
        frame = sys._getframe()
        while frame is not None and not _foreign(frame.f_code.co_filename):
            frame = frame.f_back
        if frame is not None:
            self.found[Source(frame.f_code.co_filename, frame.f_lineno), str(record.args[1])] = None


def _guards(model: nn.Module, call: tuple[Any, ...]) -> list[tuple[Source, str]]:
    """The lines that fixed or bounded a size; the module is traced once more, listening."""
    handler, logger = _Guards(), logging.getLogger(_SHAPES)
    level, propagates, handlers = logger.level, logger.propagate, list(logger.handlers)
    try:
        with contextlib.suppress(Exception), _quiet():
            logger.disabled = False
            logger.handlers, logger.propagate = [handler], False
            logger.setLevel(logging.INFO)
            torch.export.export(model, *call[:2], dynamic_shapes=call[2], strict=False)
    finally:
        logger.handlers, logger.propagate = handlers, propagates
        logger.setLevel(level)
    return list(handler.found)[:5]


__all__ = ["trace"]
