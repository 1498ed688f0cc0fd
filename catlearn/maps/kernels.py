"""Steps as torch code: one expression for each step, and the few functions that need more than one.

A register with lead axes is a tensor whose first axis is all of them, flattened; its event axes follow. Contractions become one product
of matrices, batched where axes are shared, with a view where the layout allows it and a copy where not.

>>> import torch
>>> from catlearn.maps.tape import Tape
>>> tape = Tape()
>>> w = tape.param("w", (2, 3))
>>> y = tape.einsum(("a", "ba"), "b", tape.input((3,)), w)
>>> print(text(tape, y, {0: "w", 1: "x"}))                   # two columns: the thin side stands as rows
w.mm(x.t()).t()
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import torch

from catlearn.maps.scattered import Entries, Places
from catlearn.maps.tape import TOKENS, Step, Tape
from catlearn.maps.transforms import HELPERS, helper

Texts = Mapping[int, str]


def text(tape: Tape, r: int, at: Texts, objects: dict[str, Any] | None = None) -> str:
    """The expression of a step, given the texts of the registers. ``objects`` collects what the text refers to by ``_0``, ``_1`` …."""
    return WRITE[tape.steps[r].kind](Writer(tape, r, at, {} if objects is None else objects))


class Writer:
    """What a step's rule may ask while its expression is written."""

    def __init__(self, tape: Tape, r: int, at: Texts, objects: dict[str, Any]) -> None:
        self.tape, self.step, self.at, self.objects = tape, tape.steps[r], at, objects
        self.texts = [at[a] for a in self.step.args]
        self.base = 1 if self.step.lead else 0  # where the event axes begin

    def object(self, value: Any) -> str:
        """The name of a Python object in the text."""
        name = f"_{len(self.objects)}"
        self.objects[name] = value
        return name

    def shape(self, lead: Sequence[int], event: Sequence[int]) -> str:
        """A shape: all lead axes in one, then the event's."""
        return f"({''.join(f'{n}, ' for n in [*([length(lead)] if lead else []), *event])})"


def length(lead: Sequence[int]) -> str:
    """How many lead indices there are; ``t`` is the number of tokens."""
    known = math.prod(n for n in lead if n != TOKENS)
    tokens = "t" if TOKENS in lead else ""
    return (f"{tokens} * {known}" if known != 1 else tokens) if tokens else str(known)


# -- moves -------------------------------------------------------------------------------------------------------------


def _permuted(x: str, order: Sequence[int]) -> str:
    order = list(order)
    if order == sorted(order):
        return x
    return f"{x}.t()" if order == [1, 0] else f"{x}.permute({', '.join(map(str, order))})"


def _permute(w: Writer) -> str:
    return _permuted(w.texts[0], [*range(w.base), *(w.base + i for i in w.step.with_)])


def _fold(w: Writer) -> str:
    (x,), axes = w.step.args, w.step.with_
    base, order = bool(w.tape.lead(x)), len(w.tape.shape(x))
    rest = [i for i in range(order) if i not in axes]
    moved = _permuted(w.texts[0], [*range(base), *(base + i for i in (*axes, *rest))])
    return f"{moved}.reshape({w.shape(w.step.lead, w.step.shape)})"


def _unfold(w: Writer) -> str:
    (x,), axes = w.step.args, w.step.with_
    order, count = len(w.step.shape), len(axes)
    lead, base = w.tape.lead(x), w.base
    rest = [i for i in range(order) if i not in axes]
    opened = f"{w.texts[0]}.reshape({w.shape(w.step.lead, (*lead[len(lead) - count :], *w.tape.shape(x)))})"
    place = {axis: k for k, axis in enumerate((*axes, *rest))}
    return _permuted(opened, [*range(base), *(base + place[i] for i in range(order))])


def _gather(w: Writer) -> str:
    axis, index = w.step.with_
    if index.run is not None:
        start, stride = index.run
        if stride == 1:
            return f"{w.texts[0]}.narrow({w.base + axis}, {start}, {len(index)})"
        slices = [":"] * (w.base + axis) + [f"{start}:{start + stride * (len(index) - 1) + 1}:{stride}"]
        return f"{w.texts[0]}[{', '.join(slices)}]"
    return f"{w.texts[0]}.index_select({w.base + axis}, {w.object(Places(index))}(like.device))"


def _scatter(w: Writer) -> str:
    axis, index, size = w.step.with_
    if index.run is not None and index.run[1] == 1:
        before, after = index.run[0], size - index.run[0] - len(index)
        return f"F.pad({w.texts[0]}, ({'0, 0, ' * (len(w.step.shape) - 1 - axis)}{before}, {after}))"
    shape = w.shape(w.step.lead, w.step.shape)
    return f"{w.texts[0]}.new_zeros({shape}).index_add({w.base + axis}, {w.object(Places(index))}(like.device), {w.texts[0]})"


# -- arithmetic --------------------------------------------------------------------------------------------------------


def _power(w: Writer) -> str:
    x, exponent = w.texts[0], w.step.with_[0]
    special = {2: f"{x} * {x}", Fraction(1, 2): f"{x}.sqrt()", -1: f"{x}.reciprocal()", Fraction(-1, 2): f"{x}.rsqrt()"}
    return special.get(exponent, f"{x}.pow({float(exponent)!r})")


def _transform(w: Writer) -> str:
    name, inverse = w.step.with_
    return f"{name}{'_inverse' if inverse else ''}({w.texts[0]})"


def _convolve(w: Writer) -> str:
    (a, c), out, flips = w.step.with_
    leads = [bool(w.tape.lead(x)) for x in w.step.args]
    full = ["Z" * has + letters + "f" for has, letters in zip(leads, (a, c), strict=True)]
    return f"convolve({w.texts[0]}, {w.texts[1]}, {','.join(full) + '->' + 'Z' * bool(w.step.lead) + out + 'f'!r}, {flips})"


@helper
def triangular_inverse(x: torch.Tensor) -> torch.Tensor:
    """The inverse of an upper triangular matrix."""
    return torch.linalg.solve_triangular(x, torch.eye(x.shape[-1], dtype=x.dtype, device=x.device), upper=True)


@helper
def squares(x: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
    """Σ x² over these axes, without the temporary x·x where nothing is differentiated (a norm has no derivative at 0)."""
    if torch.is_grad_enabled() and x.requires_grad:
        return (x * x).sum(axes)
    return torch.linalg.vector_norm(x, dim=axes).square_()


def into(x: torch.Tensor, view: torch.Tensor, *summand: torch.Tensor) -> torch.Tensor:
    """x after a tensor, or a batch of products of matrices, has been added to a view of it."""
    view.baddbmm_(*summand) if len(summand) == 2 else view.add_(*summand)
    return x


HELPERS["into"] = into


def _eye(w: Writer) -> str:
    shape = w.step.shape
    n = math.prod(shape[: len(shape) // 2])
    square = f"torch.eye({n}, dtype=like.dtype, device=like.device)"
    return square if shape == (n, n) else f"{square}.reshape({w.shape((), shape)})"


def number(value: Any) -> str:
    return repr(float(value) if isinstance(value, Fraction) else value)


def _sparse(w: Writer) -> str:
    rows, columns, size = w.step.with_
    return f"sparse({', '.join(w.texts)}, {w.object(Entries(rows, columns, size))})"


def _pairs(w: Writer) -> str:
    (rows, columns), size = w.step.with_, w.tape.shape(w.step.args[0])[0]
    return f"pairs({', '.join(w.texts)}, {w.object(Entries(rows, columns, size))})"


def _einsum(w: Writer) -> str:
    from catlearn.maps.contractions import contraction

    return contraction(w)


WRITE: dict[str, Callable[[Writer], str]] = {
    "constant": lambda w: f"{w.object(w.step.with_[0])}.tensor(like.dtype, like.device)",
    "eye": _eye,
    "zeros": lambda w: f"like.new_zeros({w.shape(w.step.lead, w.step.shape)})",
    "reshape": lambda w: f"{w.texts[0]}.reshape({w.shape(w.step.lead, w.step.shape)})",
    "permute": _permute,
    "fold": _fold,
    "unfold": _unfold,
    "gather": _gather,
    "scatter": _scatter,
    "concat": lambda w: f"torch.cat([{', '.join(w.texts)}], {w.base + w.step.with_[0]})",
    "repeat": lambda w: f"{w.texts[0]}.unsqueeze({w.base + w.step.with_[0]}).expand({w.shape(w.step.lead, w.step.shape)})",
    "stop": lambda w: f"{w.texts[0]}.detach()",
    "shift": lambda w: f"{w.texts[0]} + {w.texts[1]}",
    "add": lambda w: f"{w.texts[0]} + {w.texts[1]}",
    "scale": lambda w: f"-{w.texts[0]}" if w.step.with_[0] == -1 else f"{w.texts[0]} * {number(w.step.with_[0])}",
    "power": _power,
    "inverse": lambda w: f"triangular_inverse({w.texts[0]})",
    "transform": _transform,
    "convolve": _convolve,
    "sparse": _sparse,
    "pairs": _pairs,
    "einsum": _einsum,
}

__all__ = ["HELPERS", "Step", "Writer", "length", "text"]
