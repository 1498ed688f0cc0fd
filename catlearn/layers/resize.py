"""``resize``: the same network on another number of points, with the same parameters.

A basis of diagrams does not mention n: that of Hom_S(n)(V^k, V^l) is the same for all n ≥ k + l, that of O(n) for 2n ≥ k + l, that of
Sp(n) for n ≥ k + l. So a network whose layers all lie there has one set of parameters for all these n.

Laws: ``resize`` is a functor: it commutes with ``>>`` and ``@`` and keeps names and shapes of parameters; resizing there and back is the
identity. A network with a symbolic size is resized to a number by giving that size a value.

>>> import catlearn as cl
>>> from catlearn.layers.equivariant import equivariant
>>> five, nine = cl.S(5), cl.S(9)
>>> f = equivariant(five.space(2, 4), five.space(2, 8)) >> cl.relu >> equivariant(five.space(2, 8), cl.R(1))
>>> g = resize(f, five, nine)
>>> print(g.dom, g.params == f.params, resize(g, nine, five) == f)
space(S(9), S(9), 4) True True
>>> resize(f, five, cl.S(3))
Traceback (most recent call last):
...
catlearn.errors.BadSymmetry: [CL803] equivariant cannot go from S(5) to S(3)...
  a layer of S(5) cannot be resized to S(3): on 4 axes the basis is another at S(3)
  needed  n ≥ 4 at both sizes
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from catlearn import errors
from catlearn.boxes.constant import Constant
from catlearn.boxes.equivariant import Equivariant
from catlearn.core.functor import Endofunctor
from catlearn.core.op import Init, Op, Param
from catlearn.core.points import Explicit
from catlearn.core.spaces import Axis, Group, Space, Wire
from catlearn.core.term import Box, Term, Wiring, walk
from catlearn.symmetry.action import groups_on
from catlearn.symmetry.products import resize as resized


def resize(term: Term, old: Group, new: Group) -> Term:
    """``term`` with ``old`` replaced by ``new``, a group of the same kind, wherever it acts; parameters keep names and shapes.

    Tensors that parameters start from are kept; drawn ones start with the variance that is right at the new size. Plain sizes stay as
    they are, also where they happen to be ``old.n``, but for the shapes that ``reshape`` and ``broadcast`` give to axes of the group.

    Raises ``BadSymmetry``, naming the box, where the basis is another one (S(n) below k + l, O(n) below (k + l) / 2, Sp(n) below k + l;
    always for SO and A), where a parameter or given numbers lie on an axis of the group, if ``old`` does not act on the term, and if
    ``new`` acts on it already.
    """
    if not isinstance(old, Group) or not isinstance(new, Group) or old.kind != new.kind:
        raise errors.BadSymmetry(f"resize takes a group to one of the same kind, not {old} to {new}", next="for example cl.S(5) to cl.S(9)")
    found = dict.fromkeys(group for part in walk(term) if isinstance(part, Box | Wiring) for group in groups_on(part.dom @ part.cod))
    if old not in found:
        raise errors.BadSymmetry(f"{old} does not act on this term", [f"these do: {', '.join(map(str, found)) or 'none'}"])
    if new in found and new != old:
        raise errors.BadSymmetry(f"{new} acts on this term already, as another group", next="tell them apart: name=")
    return _Resize(old, new)(term)


class _Resize(Endofunctor):
    """The functor: objects and attributes with one group for another."""

    def __init__(self, old: Group, new: Group) -> None:
        self.old, self.new = old, new

    def on_space(self, space: Space) -> Space:
        return self.value(space)

    def value(self, value: Any) -> Any:
        """An attribute with the group exchanged wherever it stands in it."""
        if value == self.old and isinstance(value, Group):
            return self.new
        if isinstance(value, Axis) and value.group == self.old:
            return Axis(self.new.n, self.new)
        if isinstance(value, Space):
            return Space(tuple(map(self.value, value.wires)))
        if isinstance(value, tuple):
            return tuple(map(self.value, value))
        if isinstance(value, Wire | Op) and is_dataclass(value):
            return replace(value, **{f.name: self.value(getattr(value, f.name)) for f in fields(value) if f.init})
        return value

    def box(self, box: Box) -> Term:
        dom, cod, op = self.on_space(box.dom), self.on_space(box.cod), self.value(box.op)
        if box.op.key in ("reshape", "broadcast"):  # their sizes are plain numbers: those of the group's axes are found by the result
            shape = zip(op.shape, box.cod[0].axes, cod[0].axes, strict=True)
            op = replace(op, shape=tuple(after.size if axis.group == self.old and n != -1 else n for n, axis, after in shape))
        try:
            inner = box.op.op if isinstance(box.op, Explicit) else box.op
            if isinstance(inner, Equivariant):
                self.diagrams(inner, box.dom[0])
            made = Box(op, dom, box.name, self.starts(box, op, dom), box.source)
        except errors.CatlearnError as error:
            raise self.refusal(box, str(error).partition("] ")[2].splitlines()) from error
        if made.cod != cod:
            raise self.refusal(box, [f"it would end in {made.cod}", f"needed             {cod}"])
        if isinstance(op, Constant) and op != box.op:
            raise self.refusal(box, [f"it holds given numbers on an axis of {self.old}: {box.cod}"])
        for short, param in box.own_params.items():
            if made.own_params[short].space != param.space or self.old in groups_on(param.space):
                raise self.refusal(box, [f"its parameter {short} lies on an axis of {self.old}: {param.space}"])
        return made

    def diagrams(self, op: Equivariant, dom: Wire) -> None:
        """Refuses where the basis changes."""
        inner, outer = op.own(dom), op.own(op.out)
        for one, other in ((inner, outer), (Wire(()), outer)):
            if self.old in groups_on(Space((one, other))):
                resized(one, other, self.old, self.new.n)  # type: ignore[arg-type]

    def starts(self, box: Box, op: Op, dom: Space) -> Mapping[str, Param] | None:
        """What parameters start from: given tensors are kept, drawn ones keep their proportion to the box's own start."""
        if not box.overrides:
            return None
        before, after = box.op.parameters(box.dom), op.parameters(dom)
        found = {}
        for short, param in box.overrides.items():
            init, old, new = param.init, before[short].init, after[short].init
            if all(isinstance(i, Init) and i.kind == "normals" for i in (init, old, new)):
                numbers = (n * i / o if o else n for i, o, n in zip(init.numbers, old.numbers, new.numbers, strict=True))
                param = replace(param, init=replace(init, numbers=tuple(numbers)))
            found[short] = param
        return found

    def refusal(self, box: Box, rows: list[str]) -> errors.BadSymmetry:
        """Which box, from where to where, and why."""
        head = f"{box.title} cannot go from {self.old} to {self.new}{errors.at(box.source)}"
        return errors.BadSymmetry(head, [row.strip() for row in rows if row.strip()])


__all__ = ["resize"]
