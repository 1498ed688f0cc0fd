"""Random elements of groups and how they act, written from the definitions and from nothing in the package.

A permutation moves entry i of an axis to σ(i); a matrix M acts along an axis as Σ_j M_ij x_j; a wire with several axes is acted on axis
by axis. Orthogonal matrices are Q of a QR decomposition, symplectic ones exp(J S) with S symmetric.
"""

import math

import torch

import catlearn as cl
from catlearn.core.spaces import Group

F64 = torch.float64


def matrix(group, generator):
    """The matrix of a random element."""
    n = int(group.n)
    if group.kind in "SAZ":
        order = torch.randperm(n, generator=generator)
        if group.kind == "Z":
            order = torch.arange(n).roll(int(torch.randint(n, (), generator=generator)))
        moved = torch.eye(n, dtype=F64)[order]
        if group.kind == "A" and torch.det(moved) < 0:
            moved = moved[[1, 0, *range(2, n)]]
        return moved
    drawn = torch.randn(n, n, generator=generator, dtype=F64)
    if group.kind == "Sp":
        half = n // 2
        form = torch.zeros(n, n, dtype=F64)
        form[:half, half:], form[half:, :half] = torch.eye(half), -torch.eye(half)
        return torch.linalg.matrix_exp(form @ (drawn + drawn.T) / (2 * math.sqrt(n)))
    q, _ = torch.linalg.qr(drawn)
    if group.kind == "SO" and torch.det(q) < 0:
        q[:, 0] = -q[:, 0]
    return q


class Move:
    """One random element of every group that it meets; equal groups share theirs."""

    def __init__(self, seed=0):
        self.generator, self.elements = torch.Generator().manual_seed(seed), {}

    def element(self, group):
        if group not in self.elements:
            self.elements[group] = matrix(group, self.generator)
        return self.elements[group]

    def __call__(self, space, xs):
        """The tensors of a space, one for each wire, moved."""
        return [self.wire(wire, x) for wire, x in zip(space, xs, strict=True)]

    def wire(self, wire, x):
        if wire.kind == "index" and isinstance(wire.bound, Group):
            x = self.element(wire.bound).argmax(0)[x]  # position i goes to the row that holds the 1 of column i
        first = x.dim() - len(wire.axes)
        for i, axis in enumerate(wire.axes):
            if axis.group is not None:
                moved = torch.movedim(x, first + i, -1).to(F64) @ self.element(axis.group).T
                x = torch.movedim(moved, -1, first + i).to(x.dtype)
        return x


def tuple_of(ys):
    return tuple(ys) if isinstance(ys, tuple | list) else (ys,)


def gap(f, dom, cod, xs, seed=0):
    """The largest |f(g x) − g f(x)| over the outputs, for one random g."""
    move = Move(seed)
    with torch.no_grad():
        after, before = tuple_of(f(*move(dom, xs))), move(cod, tuple_of(f(*xs)))
    return max((a - b).abs().max().item() for a, b in zip(after, before, strict=True))


def moves(f, dom, cod, xs, by=1e-2):
    """Whether some group element shows that f is not equivariant."""
    return any(gap(f, dom, cod, xs, seed) > by for seed in range(4))


def randomised(term, seed=0, sizes=None):
    """The term compiled in float64, all parameters normal: none is zero, as a bias that starts there would be."""
    model, generator = cl.compile(term, dtype=F64, sizes=sizes), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=F64) / math.sqrt(max(p.shape[-1], 1)))
    return model


def assert_equivariant(term, inputs=None, batch=(2,), tolerance=1e-10, elements=3):
    """f(g x) = g f(x) in float64 for random weights, inputs and elements; and f depends on x, since a constant would show nothing."""
    model, generator, seen = randomised(term), torch.Generator().manual_seed(1), []
    for seed in range(elements):
        xs = inputs(generator) if inputs else [torch.randn(*batch, *map(int, w.shape), generator=generator, dtype=F64) for w in term.dom]
        found = gap(model, term.dom, term.cod, xs, seed)
        assert found < tolerance, f"moved by {found:.3g}"
        with torch.no_grad():
            seen.append(tuple_of(model(*xs)))
    for a, b in zip(seen[0], seen[1], strict=True):
        assert a.isfinite().all() and (a - b).abs().max() > 1e-6, "an output does not depend on the inputs"
