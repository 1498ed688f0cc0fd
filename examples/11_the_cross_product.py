"""Which bilinear maps of vectors in space do not depend on the axes? Ask for a basis: there is one, and it is the cross product."""

import torch

import catlearn as cl
from catlearn.symmetry import random_element

if __name__ == "__main__":
    for group in (cl.SO(3), cl.O(3), cl.SO(2), cl.SO(4)):
        print(f"maps 2 → 1 that commute with {group!s:5}:", cl.hom_basis(group, 2, 1))

    (diagram,) = cl.hom_basis(cl.SO(3), 2, 1)
    product = cl.theta(cl.SO(3))(diagram)  # three legs on one determinant
    u, v = torch.randn(3), torch.randn(3)
    ours, theirs = product.apply(torch.outer(u, v)), torch.linalg.cross(u, v)
    print("\nthe one map of SO(3) is the cross product:", torch.allclose(ours, theirs, atol=1e-6))

    g = random_element(cl.SO(3), seed=0)
    turned = cl.rho(g, cl.SO(3).space(1))
    both = torch.outer(turned.apply(u), turned.apply(v))
    print("it turns along with its arguments:        ", torch.allclose(product.apply(both), turned.apply(ours), atol=1e-5))
    print("a mirror would change its sign, so O(3) does not have it; one dimension more, and it is gone")

    # its laws are computed with the diagrams alone: u × (v × w) = v (u·w) − w (u·v), exactly
    twice = type(diagram).identity(1, 3) @ diagram >> diagram
    print("\nu × (v × w) =", twice)
    print("(point 0 is the output; 1, 2, 3 are u, v, w)")
