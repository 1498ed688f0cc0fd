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
MOVES = re.compile(r"\b[bi] \* ")
TENSORS = ("s0", "s", "t0", "t", "f0", "f", "w", "d", "bias")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a buffer lies: in which tensor, from where, how far apart the elements of the batch are; whether others made the tensor."""

    tensor: str
    base: int
    each: int
    given: bool = False


def text(stages: Iterable[Stage], batch: int, places: Mapping[str, Place], block: int | None = None) -> str:
    """The function as text; all stages walk one block of the batch before the next."""
    stages, block = tuple(stages), block or batch
    used = {view.buffer for stage in stages for step in (*stage.whole, *stage.rest) for view in (step.out, *step.args)}
    given = sorted({places[name].tensor for name in used if places[name].given})
    rows = [f"def walk({', '.join(f'{name}=None' for name in TENSORS)}):", *(f"    o_{name} = {name}.storage_offset()" for name in given)]
    fixed: dict[str, str] = {}
    inner = [row for stage in stages for row in walked(stage, block, places, fixed, "b" if block < batch else "")]
    if block < batch and inner:
        inner = [f"for b in range(0, {batch}, {block}):", *(f"    {row}" for row in inner)]
    rows += [f"    {row}" for row in (*(f"{value} = {key}" for key, value in fixed.items()), *inner)]
    return "\n".join(rows if len(rows) > 1 else [*rows, "    pass"])


def walked(stage: Stage, block: int, places: Mapping[str, Place], fixed: dict[str, str], begin: str) -> list[str]:
    """One stage over one block, which begins at the variable ``begin``, or at 0 if that is empty."""
    count, rest = divmod(block, stage.chunk)
    rows, end = [], count * stage.chunk
    if count > 1:
        span = f"{begin}, {begin} + {end}" if begin else f"0, {end}"
        calls = [shared(line(step, places, "i"), fixed) for step in stage.whole]
        rows += [f"for i in range({span}, {stage.chunk}):  # {stage.title}", *(f"    {call}" for call in calls)]
    else:
        calls = [line(step, places, begin) for step in stage.whole]
        rows += [shared(call, fixed) for call in calls] if begin else calls
    if rest:
        calls = [line(step, places, begin, end) for step in stage.rest]
        rows += [shared(call, fixed) for call in calls] if begin else calls
    return rows


def shared(call: str, fixed: dict[str, str]) -> str:
    """A call in a loop, where names stand for the views that are the same each time."""

    def name(match: re.Match[str]) -> str:
        found = match.group()
        return found if MOVES.search(found) else fixed.setdefault(found, f"v{len(fixed)}")

    return VIEW.sub(name, call)


def line(step: Step, places: Mapping[str, Place], variable: str, start: int = 0) -> str:
    """One step as a call, for the chunk that begins so far behind the variable's value."""
    out, *args = [shown(view, places[view.buffer], variable, start) for view in (step.out, *step.args)]
    match step.op:
        case "sum":
            return f"sum({args[0]}, {step.axis}, out={out})"
        case "sum aside":
            return f"{out}.copy_(sum({args[0]}, {step.axis}))"
        case "sum by ones":
            return f"{out}.copy_(total({args[0]}).view({step.out.size}))"
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


def shown(view: View, place: Place, variable: str, start: int) -> str:
    """A view as a call."""
    fixed = place.base + view.offset + start * place.each
    parts = (
        [f"o_{place.tensor}"] * place.given + [str(fixed)] * (fixed > 0) + [f"{variable} * {place.each}"] * bool(variable and place.each)
    )
    return f"{place.tensor}.as_strided({view.size}, {view.stride}, {' + '.join(parts) or '0'})"


def total(matrices: Tensor) -> Tensor:
    """The sums over the rows of matrices (m, rows, columns), by a product."""
    many, rows, _ = matrices.shape
    return torch.bmm(matrices.new_ones(1, 1, rows).expand(many, 1, rows), matrices)


def gain(out: Tensor, a: Tensor, b: Tensor) -> None:
    """``out += a @ b``, where gradients of half precision are accumulated in float32."""
    if out.dtype == a.dtype:
        out.addmm_(a, b)
    else:
        out.add_(torch.mm(a, b))


def function(source: str) -> Callable[..., None]:
    """The text as a function."""
    scope = {"sum": torch.sum, "add": torch.add, "mm": torch.mm, "gain": gain, "total": total}
    exec(compile(source, "<plan of a family>", "exec"), scope)
    return scope["walk"]  # pyright: ignore[reportReturnType]
