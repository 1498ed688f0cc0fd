"""Ready-made 2-cells on one parameter, for ``f.at(pattern).reparam(...)``: ``transposed``, ``bind``, ``positive``.

Each is a function of a parameter's name and ``Param``, so one serves everything that a pattern selects. Names stay as they are.

Laws: ``read(section(p)) == p`` on the image (positive: up to rounding of exp and log); off the image the section raises ``NoSection``.

>>> import catlearn as cl
>>> x, y = cl.R(3), cl.R(2)
>>> encode, decode = cl.linear(x, y, bias=False, name="encode"), cl.linear(y, x, bias=False, name="decode")
>>> tied = (encode >> decode).at("decode.weight").reparam(cl.cells.transposed()).at("*").tie()
>>> {name: param.space for name, param in tied.params.items()}
{'encode.weight': parameter(R(2, 3))}
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any

from catlearn import errors
from catlearn.boxes.constant import Constant, Full
from catlearn.boxes.pointwise import Exp
from catlearn.boxes.shape import Transpose
from catlearn.core.cells import Cell, Section, section_rule
from catlearn.core.op import Init, Param
from catlearn.core.spaces import I, Space
from catlearn.core.term import Box

CellMaker = Callable[[str, Param], Cell]


def transposed() -> CellMaker:
    """The parameter is read as the transpose (of the last two axes) of the new one, which has the transposed shape."""

    def cell(name: str, param: Param) -> Cell:
        if len(param.wire.axes) < 2:
            raise errors.BadCell(f"transposed does not fit {name}", [f"it has the space {param.space}"], "it needs two axes at least")
        *rest, rows, columns = param.wire.axes
        space = Space((replace(param.wire, axes=(*rest, columns, rows)),))
        init = param.init if isinstance(param.init, Init) or param.init is None else param.init.transpose(-1, -2)
        read = Box(Transpose(), space)
        return Cell(((name, Param(space, init, param.trainable)),), (name,), read, Section("transposed", (name,), (name,)), "transposed")

    return cell


@section_rule("transposed")
def _transposed(section: Section, values: Sequence[Any]) -> Sequence[Any]:
    return [values[0].transpose(-1, -2)]


def bind(value: Any) -> CellMaker:
    """The parameter becomes a constant and leaves the interface: a number for all entries, or a tensor of its shape."""

    def cell(name: str, param: Param) -> Cell:
        shape = () if isinstance(value, Real) else tuple(value.shape)
        if not isinstance(value, Real) and shape != param.wire.shape:
            raise errors.BadCell(f"bind does not fit {name}", [f"the value has shape {shape}", f"the parameter is {param.space}"])
        numbers: Any = float(value) if isinstance(value, Real) else tuple(float(x) for x in value.reshape(-1))
        op = Full(param.wire, numbers) if isinstance(value, Real) else Constant(param.wire, numbers)
        return Cell((), (name,), Box(op, I), Section("bind", (), (name,), numbers), "bind")

    return cell


@section_rule("bind")
def _bound(section: Section, values: Sequence[Any]) -> Sequence[Any]:
    given = values[0].reshape(-1).tolist()
    wanted = [section.about] * len(given) if isinstance(section.about, float) else section.about
    stored = values[0].new_tensor(wanted).reshape(-1).tolist()  # the constant as this tensor's precision holds it
    if given != stored:
        raise errors.NoSection(f"bind: {section.targets[0]} is bound to another value, and nothing is left to choose")
    return []


def positive() -> CellMaker:
    """The parameter is read as exp of the new one, so it stays positive. The new one starts at log of the old start.

    Where the old start is a distribution it starts at 0, so the parameter starts at 1. The section is log, and raises ``NoSection``
    unless every entry is positive.
    """

    def cell(name: str, param: Param) -> Cell:
        init = param.init
        if isinstance(init, Init):
            given = init.numbers[0] if init.kind == "constant" else 1.0
            init = Init("constant", (math.log(given) if given > 0 else 0.0,))
        elif init is not None:
            (init,) = _log(Section("positive", (name,), (name,)), [init])
        read = Box(Exp(), param.space)
        new = Param(param.space, init, param.trainable)
        return Cell(((name, new),), (name,), read, Section("positive", (name,), (name,)), "positive")

    return cell


@section_rule("positive")
def _log(section: Section, values: Sequence[Any]) -> Sequence[Any]:
    if not bool((values[0] > 0).all()):
        raise errors.NoSection(f"positive: {section.targets[0]} has an entry that is not positive, so it is no exponential")
    return [values[0].log()]
