"""Groups, their representations, and the functor from diagrams to linear maps.

``elements``: elements of groups and Lie algebras; ``generators``: what generates a group, and random elements; ``action``: ``rho(g, x)`` on
any space; ``hom``: bases of equivariant maps and their dimensions; ``products``: the same between wires on which several groups act;
``functor``: ``theta``.

>>> from catlearn.core.spaces import O, S, space
>>> hom_dim(S(5), 2, 2), hom_count(space(S(5), O(3), 8), space(S(5), O(3), 16)), [str(d) for d in hom_basis(O(3), 1, 1)]
(15, 2, ['Brauer(1→1: 0 1)'])
"""

from catlearn.symmetry.action import Action, at_sizes, groups_on, identities, rho
from catlearn.symmetry.elements import GroupElement, element, identity
from catlearn.symmetry.functor import Theta, theta
from catlearn.symmetry.generators import components, generators, lie_algebra, random_element
from catlearn.symmetry.hom import hom_basis, hom_dim
from catlearn.symmetry.products import Part, hom_count, hom_elements, resizable, resize

__all__ = ["Action", "at_sizes", "components", "element", "generators", "GroupElement", "groups_on", "hom_basis", "hom_count", "hom_dim",
           "hom_elements", "identities", "identity", "lie_algebra", "Part", "random_element", "resizable", "resize", "rho", "Theta",
           "theta"]  # fmt: skip
