"""Stages of steps as the text of one straight function on buffers, so that a small layer costs few microseconds beside its kernels.

>>> from catlearn.maps.sums.program import Stage, Step, View
>>> halves = View("s0", (2, 3, 4), (12, 4, 1)), View("s1", (2, 4), (4, 1))
>>> step = Step("sum", halves[1], (halves[0],), 1)
>>> print(text((Stage("gather", 2, (step,), ()),), 6, {"s0": Place("s0", 0, 12, True), "s1": Place("s", 8, 4)}))
def walk(s0=None, s=None, t0=None, t=None, f0=None, f=None, w=None, d=None, bias=None):
    o_s0 = s0.storage_offset()
    for i in range(0, 6, 2):  # gather
        sum(s0.as_strided((2, 3, 4), (12, 4, 1), o_s0 + i * 12), 1, out=s.as_strided((2, 4), (4, 1), 8 + i * 4))
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from catlearn.maps.sums.program import Stage, Step, View

VIEW = re.compile(r"\w+\.as_strided\(\([^()]*\), \([^()]*\), [^()]*\)")
TENSORS = ("s0", "s", "t0", "t", "f0", "f", "w", "d", "bias")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a buffer lies: in which tensor, from where, how far apart the elements of the batch are; whether others made the tensor."""

    tensor: str
    base: int
    each: int
    given: bool = False


def text(stages: Iterable[Stage], batch: int, places: Mapping[str, Place]) -> str:
    """The function as text."""
    stages = tuple(stages)
    used = {view.buffer for stage in stages for step in (*stage.whole, *stage.rest) for view in (step.out, *step.args)}
    given = sorted({places[name].tensor for name in used if places[name].given})
    rows = [f"def walk({', '.join(f'{name}=None' for name in TENSORS)}):", *(f"    o_{name} = {name}.storage_offset()" for name in given)]
    for number, stage in enumerate(stages):
        count, rest = divmod(batch, stage.chunk)
        if count > 1:
            fixed, looped = shared([line(step, places, None) for step in stage.whole], f"v{number}_")
            rows += [f"    {row}" for row in fixed]
            rows.append(f"    for i in range(0, {count * stage.chunk}, {stage.chunk}):  # {stage.title}")
            rows += [f"        {row}" for row in looped]
        else:
            rows += [f"    {line(step, places, 0)}" for step in stage.whole]
        if rest:
            rows += [f"    {line(step, places, count * stage.chunk)}" for step in stage.rest]
    return "\n".join(rows if len(rows) > 1 else [*rows, "    pass"])


def shared(calls: Iterable[str], prefix: str) -> tuple[list[str], list[str]]:
    """Assignments of the views that stay the same in a loop, and the calls with their names in it."""
    fixed: dict[str, str] = {}

    def name(match: re.Match[str]) -> str:
        found = match.group()
        return found if " + i * " in found or ", i * " in found else fixed.setdefault(found, f"{prefix}{len(fixed)}")

    looped = [VIEW.sub(name, call) for call in calls]
    return [f"{value} = {key}" for key, value in fixed.items()], looped


def line(step: Step, places: Mapping[str, Place], start: int | None) -> str:
    """One step as a call, for the chunk that begins at ``start`` (none: at the loop's i)."""
    out, *args = [shown(view, places[view.buffer], start) for view in (step.out, *step.args)]
    match step.op:
        case "sum":
            return f"sum({args[0]}, {step.axis}, out={out})"
        case "sum aside":
            return f"{out}.copy_(sum({args[0]}, {step.axis}))"
        case "copy":
            return f"{out}.copy_({args[0]})"
        case "zero":
            return f"{out}.zero_()"
        case "+=":
            return f"{out}.add_({args[0]})"
        case "+":
            return f"add({', '.join(args)}, out={out})"
        case "@":
            return f"mm({', '.join(args)}, out={out})"
        case _:
            return f"gain({out}, {', '.join(args)})" if step.out.buffer.startswith("d") else f"{out}.addmm_({', '.join(args)})"


def shown(view: View, place: Place, start: int | None) -> str:
    """A view as a call."""
    offset = [f"o_{place.tensor}"] if place.given else []
    fixed = place.base + view.offset + (start or 0) * place.each
    offset += [str(fixed)] if fixed or not offset else []
    if start is None and place.each:
        offset = [part for part in offset if part != "0"] + [f"i * {place.each}"]
    return f"{place.tensor}.as_strided({view.size}, {view.stride}, {' + '.join(offset)})"


def gain(out: Tensor, a: Tensor, b: Tensor) -> None:
    """``out += a @ b``, where gradients of half precision are accumulated in float32."""
    if out.dtype == a.dtype:
        out.addmm_(a, b)
    else:
        out.add_(torch.mm(a, b))


def function(source: str) -> Callable[..., None]:
    """The text as a function."""
    scope = {"sum": torch.sum, "add": torch.add, "mm": torch.mm, "gain": gain}
    exec(compile(source, "<plan of a family>", "exec"), scope)
    return scope["walk"]  # pyright: ignore[reportReturnType]
