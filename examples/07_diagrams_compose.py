"""Every linear map that commutes with a group is a sum of diagrams; diagrams compose by joining strings, matrices by multiplying."""

import torch

import catlearn as cl
from catlearn.diagrams import Partition

G = cl.S(4)
theta = cl.theta(G)  # the functor: diagrams → linear maps

rows = Partition(2, 1, [[0, 1], [2]])  # points: 0 the output; 1, 2 the inputs. Input 2 is joined to nothing: it is summed
spread = Partition(1, 2, [[0, 2], [1]])  # output 1 is joined to nothing: the values are repeated along it

if __name__ == "__main__":
    print("how many diagrams there are, and so how many weights a layer has for each pair of channels:")
    for name, group in (("S(4)", G), ("S(3)", cl.S(3)), ("A(4)", cl.A(4)), ("O(3)", cl.O(3)), ("SO(4)", cl.SO(4)), ("Sp(4)", cl.Sp(4))):
        print(f"  {name:6} 2 → 2: {cl.hom_dim(group, 2, 2):3}    3 → 3: {cl.hom_dim(group, 3, 3):3}")

    both = spread >> rows
    print("\nspread, then rows:", both)
    print("a component that touches neither end is a factor n; it stays a symbol until a group gives it a value")
    print("the other way round:", rows >> spread)

    R, S = (theta(d).dense() for d in (rows, spread))
    print("\njoining strings = multiplying matrices:", torch.equal(theta(both).dense(), R @ S))
    print("side by side = Kronecker product:      ", torch.equal(theta(rows @ spread).dense(), torch.kron(R, S)))
    print("upside down = transpose:               ", torch.equal(theta(rows.T).dense(), R.T))

    small = Partition(2, 2, [[0], [1], [2], [3]])
    print("\nfor small n diagrams have relations; at n = 2 this one is a sum of others:")
    print(" ", str(small.normal(2)).replace(" + ", "\n  + ").replace(" - ", "\n  - "))
