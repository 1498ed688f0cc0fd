"""Layers for vectors: turn the input and the output turns along. Nonlinearities act on lengths, never on coordinates."""

import torch

import catlearn as cl
from catlearn.symmetry import random_element

turns = cl.O(3)
x = cl.space(cl.S(4), turns, 2)  # four points, each with a position and a velocity: vectors are an axis, channels come last
h = cl.space(cl.S(4), turns, 8)

net = cl.equivariant(x, h) >> cl.norm_gate(h) >> cl.equivariant(h, cl.space(turns, 1))  # a vector comes out

if __name__ == "__main__":
    print(net.dom, "→", net.cod, "with", cl.cost(net).parameters, "parameters")
    model = cl.compile(net, seed=0, dtype=torch.float64)

    state = torch.randn(4, 3, 2, dtype=torch.float64)
    g, s = random_element(turns, seed=1), random_element(cl.S(4), seed=1)
    moved = cl.rho((g, s), net.dom).apply(state)  # the points renamed, space turned or reflected
    print("f(g x) = g f(x):  ", torch.allclose(model(moved), cl.rho((g, s), net.cod).apply(model(state))))

    print("\na function of single coordinates would see the axes, so it is refused:")
    try:
        cl.equivariant(x, h) >> cl.relu
    except cl.errors.CatlearnError as error:
        print(error)

    print("\nand one vector alone has no linear invariant, so nothing linear leads to a number:")
    try:
        cl.equivariant(x, cl.R(1))
    except cl.errors.BadSymmetry as error:
        print(error)

    pairs = cl.copy(h) >> cl.tensor_product(h, h)  # products of components: a wire of order 2, which has invariants
    energy = cl.equivariant(x, h) >> pairs >> cl.equivariant(pairs.cod, cl.R(1))
    value = cl.compile(energy, seed=0, dtype=torch.float64)
    print("\nwith a tensor product there is one:", torch.allclose(value(moved), value(state)))
