"""Sub-programs of one call: the branches of ``torch.cond``, the body of a loop, the block under a switched-on ``autocast``.

A program is written out as its calls, so it can be compared and saved; it is run call by call. ``block`` runs torch's operator over
such programs: branches and loops as Python's own, so that autograd sees the calls that were made, or as torch's while torch compiles
or exports. What a torch operator does that is not in the table ``BLOCKS`` is left to the operator.

>>> import torch
>>> twice = Program(1, (Call("aten.mul.Tensor", (Place(0), 2)),), (Place(1),))
>>> run(twice, torch.ones(2))
(tensor([2., 2.]),)
>>> block("while_loop", Program(1, (Call("aten.lt.Scalar", (Place(0), 5)),), Place(1)), twice, [torch.tensor(1)], [])
(tensor(8),)
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from catlearn import errors
from catlearn.interop.categorify.aten import Given, Named, Place
from catlearn.interop.values import CLASSES


@dataclass(frozen=True)
class Call:
    """One call: a function of torch's by its name, and its arguments; ``Place(i)`` is the i-th input, then the results in order."""

    target: str
    args: tuple[Any, ...]
    kwargs: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Program:
    """Calls on a number of inputs, and what they give."""

    inputs: int
    calls: tuple[Call, ...]
    results: Any

    @property
    def random(self) -> bool:
        """Whether a call draws random numbers."""
        return any(draw(call) or any(isinstance(a, Program) and a.random for a in call.args) for call in self.calls)


CLASSES.update({kind.__name__: kind for kind in (Call, Program)})


def draw(call: Call) -> bool:
    return torch.Tag.nondeterministic_seeded in getattr(function(call.target), "tags", ())


SIZES = frozenset("add sub mul floordiv truediv mod pow neg eq ne lt le gt ge getitem".split())


def function(name: str) -> Callable[..., Any]:
    """What a call calls: an overload, an operator over programs, arithmetic on sizes. Nothing else, since names may come from a file.

    Raises ``BadBox`` for any other name.
    """
    group, _, rest = name.partition(".")
    found: Any = None
    if group == "higher_order":
        found = getattr(torch.ops.higher_order, rest, None)
        if isinstance(found, torch._ops.HigherOrderOperator):
            return partial(block, rest)
    elif group in ("operator", "torch"):
        known = rest in SIZES if group == "operator" else rest.startswith("sym_")
        if known and callable(found := getattr(operator if group == "operator" else torch, rest, None)):
            return found
    else:
        found = torch.ops
        for part in name.split("."):
            found = getattr(found, part, None)
        if isinstance(found, torch._ops.OpOverload):
            return found
    raise errors.BadBox(name, "a name", "a function that this torch has", "import the package that registers it")


def named(a: Named) -> Any:
    """The dtype, layout or memory format of this name."""
    found = getattr(torch, a.name, None)
    if not isinstance(found, torch.dtype | torch.layout | torch.memory_format):
        raise errors.BadBox(a.name, "a name", "a dtype, a layout or a memory format of torch")
    return found


def run(program: Program, *inputs: Any) -> Any:
    """The results on these inputs, call by call."""
    values = list(inputs)
    device = next((x.device for x in inputs if isinstance(x, torch.Tensor)), None)

    def filled(a: Any) -> Any:
        if isinstance(a, Place):
            return values[a.i]
        if isinstance(a, tuple):
            return tuple(map(filled, a))
        if isinstance(a, Named):
            return device if a.kind == "device" else named(a)
        return a.value.to(device) if isinstance(a, Given) else a

    for call in program.calls:
        values.append(function(call.target)(*map(filled, call.args), **{name: filled(a) for name, a in call.kwargs}))
    return filled(program.results)


# -- operators over programs -------------------------------------------------------------------------------------------


def block(name: str, *args: Any, **kwargs: Any) -> Any:
    """A torch operator over programs: its results."""
    if name in BLOCKS:
        return BLOCKS[name](*args)
    given = [partial(run, a) if isinstance(a, Program) else a for a in args]
    return getattr(torch.ops.higher_order, name)(*given, **kwargs)


def _cond(choice: Any, yes: Program, no: Program, operands: Sequence[Any]) -> Any:
    if isinstance(choice, torch.Tensor) and torch.compiler.is_compiling():
        return torch.cond(choice, lambda *xs: run(yes, *xs), lambda *xs: run(no, *xs), tuple(operands))
    return run(yes if choice else no, *operands)


def _while(condition: Program, body: Program, carried: Sequence[Any], more: Sequence[Any]) -> Any:
    if torch.compiler.is_compiling():
        return torch.while_loop(lambda *xs: run(condition, *xs, *more), lambda *xs: run(body, *xs, *more), tuple(carried))
    values = tuple(carried)
    while run(condition, *values, *more):
        values = tuple(run(body, *values, *more))
    return values


def _autocast(device: str, dtype: Any, enabled: bool, cache: Any, body: Program, *inputs: Any) -> Any:
    with torch.autocast(device, dtype, enabled, cache):
        return run(body, *inputs)


def _grad(enabled: bool, body: Program, *inputs: Any) -> Any:
    with torch.set_grad_enabled(enabled):
        return run(body, *inputs)


BLOCKS: dict[str, Callable[..., Any]] = {
    "cond": _cond,
    "while_loop": _while,
    "wrap_with_autocast": _autocast,
    "wrap_with_set_grad_enabled": _grad,
}


def called(target: Any) -> str:
    """The name of what a node calls."""
    if isinstance(target, torch._ops.OpOverload):
        return str(target)
    if isinstance(target, torch._ops.HigherOrderOperator):
        return f"higher_order.{target.name()}"
    return f"{'operator' if getattr(operator, target.__name__, None) is target else 'torch'}.{target.__name__}"


__all__ = ["BLOCKS", "Call", "Program", "block", "called", "function", "run"]
