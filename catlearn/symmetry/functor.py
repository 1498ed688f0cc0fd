"""``theta(G)``: the functor from diagrams to structured linear maps between tensor powers of R^n, on which G acts.

Diagrams are the arrows of a category for each kind of group: partitions for S(n), matchings for O(n), matchings with a determinant for
SO(n), signed matchings for Sp(n), partitions with a jellyfish for A(n).

Laws: ``theta(G)(d >> e)`` is theta of d, then theta of e; ``theta(G)(d @ e)`` the tensor product; ``theta(G)(d.T)`` the transpose; linear
on formal sums, n being the size of G; every image is equivariant, and the images of ``hom_basis(G, k, l)`` are a basis of the equivariant
maps (so the functor is full; it is not faithful where n is small). ``catlearn.verify.laws.check_theta`` checks all of them.

Sources: Brauer 1937; Lehrer and Zhang, arXiv:1612.03998; Comes, arXiv:1612.05182; Pearce-Crump, arXiv:2212.08630, 2304.14144.

>>> import torch
>>> from catlearn.core.spaces import S
>>> from catlearn.diagrams.kinds import Partition
>>> rows = theta(S(3))(Partition(2, 1, [[0, 1], [2]]))
>>> rows.dom, rows.cod, rows.apply(torch.eye(3) * 2)
((3, 3), (3,), tensor([2., 2., 2.]))
>>> loop = Partition(0, 1, [[0]]) >> Partition(1, 0, [[0]])
>>> loop, theta(S(3))(loop).dense()
(n·Partition(0→0: ), tensor([[3.]]))
"""

from __future__ import annotations

from dataclasses import dataclass

from catlearn.core.spaces import Group
from catlearn.diagrams.basis import KINDS
from catlearn.diagrams.diagram import Linear
from catlearn.errors import BadSymmetry
from catlearn.maps.base import Map
from catlearn.maps.drawn import diagram
from catlearn.symmetry.elements import size_of
from catlearn.symmetry.hom import basis_size


@dataclass(frozen=True)
class Theta:
    """The functor of one group; see ``theta``."""

    group: Group

    def __call__(self, d: Linear) -> Map:
        """The map of a diagram k → l or a formal sum of them, from (n,)·k to (n,)·l; ``BadSymmetry`` for diagrams of another kind or n."""
        kind = KINDS[self.group.kind]
        if not isinstance(d, Linear):
            raise BadSymmetry(
                f"theta({self.group}) takes diagrams, and {d!r} is none", next=f"for example one of hom_basis({self.group}, 2, 2)"
            )
        own = d.sum
        if own.kind is not kind:
            raise BadSymmetry(f"theta({self.group}) takes {kind.__name__} diagrams", [f"given   a {own.kind.__name__} diagram: {d}"])
        n = size_of(self.group)
        if own.size not in (None, n):
            raise BadSymmetry(f"theta({self.group}) takes diagrams at n = {n}", [f"given   one at n = {own.size}: {d}"])
        return diagram(own, n)

    def __repr__(self) -> str:
        return f"theta({self.group})"


def theta(group: Group) -> Theta:
    """The functor from the diagrams of ``group`` to structured maps.

    Raises ``BadSymmetry`` for a group without diagrams (Z, T) and for one whose size is a symbol: a map has a size.
    """
    basis_size(group, 0, 0)
    size_of(group)
    return Theta(group)


__all__ = ["Theta", "theta"]
