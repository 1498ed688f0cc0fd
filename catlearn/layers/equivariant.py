"""Equivariant layers between spaces of one or several wires.

A linear map that commutes with a group is a sum of diagrams with coefficients; ``equivariant(dom, cod)`` has one coefficient for each
diagram of the basis and each pair of channels, and nothing else. Groups stand on the axes of the spaces; axes of different groups may
stand on one wire, channels come last.

Laws: f ∘ ρ(g) = ρ(g) ∘ f for all weights; and every affine map with this law is f for exactly one choice of the weights.

>>> import catlearn as cl
>>> f = equivariant(cl.S(5).space(2, channels=8), cl.S(5).space(2, channels=16))
>>> print(f.params["equivariant.weight"].space, f.params["equivariant.bias"].space)
parameter(R(15, 16, 8)) parameter(R(2, 16))
>>> equivariant(cl.space(cl.S(4), cl.O(3), 8), cl.R(1))
Traceback (most recent call last):
...
catlearn.errors.BadSymmetry: [CL803] only the zero map is equivariant from space(S(4), O(3), 8) to R(1)
  O(3) acts on 1 axis of the input and on none of the output: no diagram joins them
  next: multiply features first, e.g. cl.tensor_product, or go to a wire of another order
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import sqrt

from catlearn import errors
from catlearn.boxes.arithmetic import Add
from catlearn.boxes.constant import Constant, full
from catlearn.boxes.equivariant import Equivariant, nothing
from catlearn.core.combinators import id, par
from catlearn.core.op import Init
from catlearn.core.points import Explicit
from catlearn.core.spaces import I, Space, Wire
from catlearn.core.term import Box, Term, Wiring


def equivariant(dom: Space, cod: Space, bias: bool = True, name: str | None = None, normalise: str = "sum",
                strategy: str | None = None, lead: int = 0) -> Term:  # fmt: skip
    """Every linear map from dom to cod that commutes with the groups on their axes, once, plus every invariant shift.

    Parameters: ``weight (diagrams, c_out, c_in)`` and ``bias (diagrams, c_out)``. With several wires there is one such box for each
    pair of an input and an output that has diagrams, and each output adds up what reaches it; with ``name=`` they stand in a scope of
    that name, box ``i_j`` leading from input i to output j. An output that no input reaches holds its invariants alone.

    ``normalise="mean"`` averages where ``"sum"`` sums; ``strategy`` (``"dense"``, ``"blocks"``, ``"diagrams"``) overrules the planner.
    The first ``lead`` axes, which all wires share, are carried along: every position on them gets the same map.

    Weights start so that independent inputs of variance 1 on all wires give outputs of variance 1; biases start at 0.

    Raises ``BadSymmetry`` where a group has no diagrams (Z, T), where only the zero map is equivariant, where a basis is too large or
    changes with a symbolic size, and where one group stands on both sides at two sizes.
    """
    for what, given in (("dom", dom), ("cod", cod)):
        if not isinstance(given, Space):
            raise errors.BadSymmetry(f"equivariant leads from a space to a space; {what} is {given!r}",
                                     next="cl.S(5).space(1, channels=8) is permuted by S(5), cl.R(8) is moved by nothing")  # fmt: skip
    if not isinstance(bias, bool):
        raise errors.BadSymmetry(f"equivariant(bias={bias!r})", ["needed  True or False"])
    if not len(dom) or not len(cod):
        raise errors.BadSymmetry(f"equivariant({dom}, {cod}) needs a wire on both sides", next="cl.R() is one wire of order 0")
    if len(dom) == len(cod) == 1:
        return Box(Equivariant(cod[0], bias, normalise, strategy, lead), dom, name)
    targets: list[int] = []
    parts: list[Term] = []
    sums: list[Term] = []
    for j, out in enumerate(cod):
        invariants = Equivariant(out, bias, normalise, strategy, lead)
        reached = [i for i, wire in enumerate(dom) if invariants.found(wire).elements]
        if not reached and not invariants.shifts:
            raise nothing(invariants, dom)
        boxes = [Box(replace(invariants, bias=bias and i == reached[0]), Space((dom[i],)), name and f"{i}_{j}") for i in reached]
        targets += reached
        parts += _sharing(boxes) if boxes else [_shift(replace(invariants, bias=False), name and f"bias_{j}")]
        sums.append(_add(Space((out,)), max(len(reached), 1)))
    term = Wiring(dom, tuple(targets)) >> par(*parts) >> par(*sums)
    return term.named(name) if name else term


def combination(dom: Space, cod: Space, coefficients: Mapping[int, float], normalise: str = "sum") -> Term:
    """The equivariant map with these coefficients, each diagram by its number in the basis, channel by channel; it has no parameters.

    >>> import catlearn as cl, torch
    >>> form = cl.Sp(2).space(2)
    >>> combination(cl.R(), form, {0: 1})(torch.tensor(1.0))
    tensor([[ 0.,  1.],
            [-1.,  0.]])
    """
    op = Equivariant(cod[0], False, normalise)
    weight = Box(op, dom).own_params["weight"].space
    diagrams, outer, inner = weight[0].shape
    if outer != inner or not isinstance(inner, int) or not isinstance(diagrams, int):
        raise errors.BadSymmetry("combination leads from channels to the same channels", [f"given   {dom} to {cod}"])
    numbers = tuple(float(coefficients.get(d, 0)) * (a == b) for d in range(diagrams) for a in range(inner) for b in range(inner))
    return id(dom) @ Box(Constant(weight[0], numbers), I) >> Box(Explicit(op, cod, data=1), dom @ weight)


def _sharing(boxes: list[Box]) -> list[Box]:
    """Boxes whose outputs are added: each diagram of each starts with its share of a variance of 1."""
    totals = [sum(box.op.shares(box.dom[0])) for box in boxes if isinstance(box.op, Equivariant)]
    found = []
    for box, total in zip(boxes, totals, strict=True):
        weight = box.own_params["weight"]
        spreads = tuple(number * sqrt(total / sum(totals)) for number in weight.init.numbers)
        found.append(replace(box, overrides={"weight": replace(weight, init=Init("normals", spreads))}))
    return found


def _shift(op: Equivariant, name: str | None) -> Term:
    """A combination of the invariants of a wire, which starts at 0."""
    one = Space((Wire(op.out.axes[: op.lead]),))
    weight = Box(op, one).own_params["weight"]
    return full(one, 1.0) >> Box(op, one, name, {"weight": replace(weight, init=Init("constant", (0.0,)))})


def _add(space: Space, count: int) -> Term:
    """The sum of so many copies of a wire."""
    total: Term = id(space)
    for _ in range(count - 1):
        total = total @ id(space) >> Box(Add(), space @ space)
    return total


__all__ = ["equivariant", "combination"]
