"""``change_base``: float32 → float64 → the rationals, a functor lifted from numbers to networks.

A map of bases φ : k → k' gives F : C(k) → C(k') on arrows without parameters: spaces stay (R(3) means k³, then k'³), and a box goes to
the same box with its coefficients moved by φ. It lifts to F_* : Para(C(k)) → Para(C(k')), which also moves what the parameters start
from, and the 2-cells on them; names stay. Rounding to float32 or float64 is such a φ, and so is reading a float as the fraction that
it is, bit for bit.

Laws: ``change_base(f >> g) == change_base(f) >> change_base(g)``, the same for ``@``, identities and wirings; it is idempotent; and it
commutes with the meaning: ``compile(change_base(f, "float64"))`` computes in float64 what ``evaluate`` computes exactly.

>>> import catlearn as cl
>>> from catlearn.meanings.exact import evaluate
>>> tenth = cl.scale(cl.R(), 0.1)
>>> print(evaluate(tenth, "rationals", [1]))                               # as written
1/10
>>> print(evaluate(change_base(tenth, "rationals"), "rationals", [1]))     # as float64 holds it
3602879701896397/36028797018963968
>>> print(evaluate(change_base(change_base(tenth, "float32"), "rationals"), "rationals", [1]))
13421773/134217728
"""

from __future__ import annotations

from dataclasses import fields, replace
from fractions import Fraction
from math import isfinite
from typing import Any

from catlearn import errors
from catlearn.core.functor import Endofunctor
from catlearn.core.op import Init, Op, Param
from catlearn.core.points import Point
from catlearn.core.term import Box, Reparam, Term

BASES = ("float32", "float64", "rationals")
# the attributes that are numbers of the base, or tuples of them
COEFFICIENTS = ("factor", "by", "value", "values", "exponent", "eps", "slope", "scale", "beta", "delta")


class ChangeBase(Endofunctor):
    """F_* for one base. Parameters keep names and spaces; over the rationals they start from float64, every one of which is a fraction."""

    def __init__(self, base: str) -> None:
        if base not in BASES:
            raise errors.NoRule("change_base", f"the base {base!r}", f"the bases are {', '.join(BASES)}")
        self.base = base
        self.dtype = "float32" if base == "float32" else "float64"

    def number(self, x: Any) -> Any:
        """φ on one coefficient; integers are in every base, and so is what is no number."""
        if not isinstance(x, float | Fraction) or (isinstance(x, float) and not isfinite(x)):
            return x
        if self.base == "rationals":
            return Fraction(x)
        if self.dtype == "float64":
            return float(x)
        import torch

        return torch.tensor(float(x), dtype=torch.float32).item()

    def init(self, init: Any) -> Any:
        """φ on what a parameter starts from: a tensor is cast, a distribution is drawn in the base."""
        if isinstance(init, Init):
            return replace(init, dtype=self.dtype)
        import torch

        value = torch.as_tensor(init)
        return value.to(getattr(torch, self.dtype)) if value.is_floating_point() else value

    def on_param(self, param: Param) -> Param:
        """Where a parameter goes: the same space, another start."""
        return replace(param, init=self.init(param.init))

    def on_op(self, op: Op) -> Op:
        if isinstance(op, Point):
            return replace(op, init=self.init(op.init))
        moved: dict[str, Any] = {}
        for f in fields(op):  # type: ignore[arg-type]
            value = getattr(op, f.name)
            if isinstance(value, Op):
                moved[f.name] = self.on_op(value)
            elif f.name in COEFFICIENTS:
                moved[f.name] = tuple(map(self.number, value)) if isinstance(value, tuple) else self.number(value)
        return replace(op, **moved) if moved else op  # type: ignore[type-var]

    def box(self, box: Box) -> Term:
        params = {short: self.on_param(param) for short, param in box.own_params.items()}
        return Box(self.on_op(box.op), self.on_space(box.dom), box.name, params or None, box.source)

    def reparam(self, reparam: Reparam, body: Term) -> Term:
        cells = tuple(
            replace(
                cell, sources=tuple((name, self.on_param(param)) for name, param in cell.sources), read=ChangeBase(self.base)(cell.read)
            )
            for cell in reparam.cells
        )
        return Reparam(body, cells, reparam.source)


def change_base(term: Term, base: str) -> Term:
    """The same network over another base: ``"float32"``, ``"float64"`` or ``"rationals"``.

    Parameters then start in that dtype (``compile`` takes it up), coefficients written in boxes are rounded to it. Over the
    rationals, coefficients become the fractions that their floats are; evaluate it with ``catlearn.meanings.exact.evaluate``, and its
    difference from a float run is the rounding error, exactly. State (running statistics) keeps its dtype. Raises ``NoRule`` for
    another base.
    """
    return ChangeBase(base)(term)
