"""Nonlinearities that commute with linear groups: gates made of invariants, and tensor products.

A function of single entries sees the basis of R^n, and O, SO and Sp change the basis. What they leave alone are the contractions of two
vectors by their invariant form, δ for O and SO and ω for Sp; any function of those may multiply a vector. Axes of permutations
(S, A, Z) are carried along: each of their positions is gated by itself.

Laws: ``norm_gate``, ``tensor_product`` and ``symplectic_gate`` commute with every element of every group on their wires, for all weights.
Exactly so: in each of them an axis of a linear group is either contracted with its own copy by the invariant form or led to the output as
it is, and no other box stands on it; an axis of permutations is never mixed with another.

>>> import catlearn as cl
>>> h = cl.space(cl.S(4), cl.O(3), 8)
>>> print(norm_gate(h), "|", tensor_product(h, h).cod)
composite : space(S(4), O(3), 8) → space(S(4), O(3), 8) | space(S(4), O(3), O(3), 8)
>>> print(list(norm_gate(h).params), [str(p.space) for p in norm_gate(h).params.values()])
['linear.weight', 'linear.bias'] ['parameter(R(8, 8))', 'parameter(R(8))']
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from string import ascii_lowercase, ascii_uppercase
from typing import Any

from catlearn import errors
from catlearn.boxes.constant import full
from catlearn.boxes.contract import einsum, linear
from catlearn.boxes.pointwise import sigmoid
from catlearn.boxes.shape import reshape
from catlearn.core.combinators import copy, id, par
from catlearn.core.spaces import R, Space, Wire
from catlearn.core.term import Term
from catlearn.layers.equivariant import combination
from catlearn.symmetry.elements import LINEAR, PERMUTING

ORTHOGONAL = ("O", "SO")


def norm_gate(x: Space, activation: Any = sigmoid) -> Term:
    """v ↦ v · activation(W |v|² + b) on every wire: a nonlinearity for O(n) and SO(n) (Worrall et al. 2017, arXiv:1612.04642).

    |v|² has one entry for each channel (the last axis) and each position of permutations: the squares are summed over all axes of O and
    SO. W (c, c) and b (c) are those of ``cl.linear``. A wire without such axes just gets the activation, and several wires are gated
    one by one.

    Exactly equivariant: ρ(g) is orthogonal, so it leaves |v|² as it is, and it commutes with multiplying by numbers.

    Raises ``BadSymmetry`` for Sp and T and for wires without channels.
    """
    return par(*(_norm_gate(Space((wire,)), activation) for wire in x))


def _norm_gate(x: Space, activation: Any) -> Term:
    turned = _turned("norm_gate", x[0], (*PERMUTING, *ORTHOGONAL), "cl.symplectic_gate is the gate for Sp")
    if not turned:
        return id(x) >> activation
    every = ascii_lowercase[: len(x[0].axes)]
    kept = "".join(letter for i, letter in enumerate(every) if i not in turned)
    squares = copy(x) >> einsum(f"{every},{every}->{kept}")
    gates = squares >> linear(squares.cod, squares.cod) >> activation
    return copy(x) >> id(x) @ gates >> einsum(f"{every},{kept}->{every}")


def symplectic_gate(x: Space, activation: Any = sigmoid) -> Term:
    """v ↦ v · activation(W Ω + b) on every wire, Ω the forms ω(v_i, v_j) of all pairs of channels: the gates of Sp(n).

    ω(v, v) = 0, so one vector has no norm, and it takes two channels to make an invariant. ω(v, w) = vᵀ J w on every axis of Sp, with
    J = [[0, I], [−I, 0]], and δ on axes of O and SO; W has shape (c, c²). A wire without such axes just gets the activation.

    Exactly equivariant: gᵀ J g = J for g in Sp(n), so Ω does not change, and ρ(g) commutes with multiplying by numbers.

    Raises ``BadSymmetry`` for T, for wires without channels, and for a single channel on an odd number of Sp axes, where Ω = 0.
    """
    return par(*(_symplectic_gate(Space((wire,)), activation) for wire in x))


def _symplectic_gate(x: Space, activation: Any) -> Term:
    wire = x[0]
    turned = _turned("symplectic_gate", wire, (*PERMUTING, *LINEAR))
    if not turned:
        return id(x) >> activation
    twisted = [i for i in turned if wire.axes[i].group.kind == "Sp"]  # type: ignore[union-attr]
    channels = wire.shape[-1]
    if channels == 1 and len(twisted) % 2:
        raise errors.BadSymmetry("symplectic_gate has no invariants to gate by",
                                 [f"given   {x}", "needed  at least two channels: ω(v, v) = 0 for every vector v"],
                                 "widen it first, e.g. cl.equivariant(x, the same wire with more channels)")  # fmt: skip
    every = ascii_lowercase[: len(wire.axes)]
    kept = "".join(letter for i, letter in enumerate(every) if i not in turned)
    pairs = copy(x) >> id(x) @ _twist(x, twisted) >> einsum(f"{every},{every[:-1]}Z->{kept}Z")
    lead = pairs.cod[0].shape[:-2]
    flat = pairs >> reshape((*lead, channels * channels))
    gates = flat >> linear(flat.cod, Space((flat.cod[0].like(*lead, channels),))) >> activation
    return copy(x) >> id(x) @ gates >> einsum(f"{every},{kept}->{every}")


def _twist(x: Space, axes: list[int]) -> Term:
    """J on each of these axes."""
    every, term = ascii_lowercase[: len(x[0].axes)], id(x)
    for axis in axes:
        pair = Space((replace(x[0], axes=(x[0].axes[axis],) * 2),))
        form = full(R(), 1.0) >> combination(R(), pair, {0: 1})
        given = every.replace(every[axis], "z")
        term = term @ form >> einsum(f"{given},{every[axis]}z->{every}")
    return term


def tensor_product(x: Space, y: Space) -> Term:
    """``x @ y → z``: the products of all components of two vectors, channel by channel: two wires of order 1 give one of order 2.

    Axes of linear groups (O, SO, Sp) stand one after the other in z, those of x first. Axes of permutations come before them and are
    shared: position i of x meets position i of y; the list of one wire may be a beginning of the other's, and what is missing is constant.
    The axes of channels agree and come last.

    Exactly equivariant: ρ(g) acts on z as ρ(g) ⊗ ρ(g), by the definition of the action on a wire of higher order, and permutations move
    entries of x, y and z alike.

    Raises ``BadSymmetry`` for T, and where permutations or channels do not fit.
    """
    if len(x) != 1 or len(y) != 1:
        raise errors.BadSymmetry("tensor_product multiplies two single wires", [f"given   {x}", f"and     {y}"])
    fresh = iter(ascii_lowercase)
    first, second = _letters(x[0], fresh), _letters(y[0], fresh)
    axes = [dict(zip(letters, space[0].axes, strict=True)) for letters, space in ((first, x), (second, y))]
    shared = [letter for letter in first if letter in second]
    widths = [{letter for letter in letters if letter in CHANNELS} for letters in (first, second)]
    if widths[0] != widths[1] or any(axes[0][letter] != axes[1][letter] for letter in shared):
        raise errors.BadSymmetry("tensor_product multiplies point by point and channel by channel",
                                 [f"given   {x}", f"and     {y}", "needed  equal channels, and the same permutations in the same order"],
                                 "bring them together with cl.equivariant first")  # fmt: skip
    points = sorted(letter for letter in {*first, *second} if letter in POINTS)
    turned = [letter for letter in first + second if letter in ascii_lowercase]
    return id(x @ y) >> einsum(f"{first},{second}->{''.join([*points, *turned, *sorted(widths[0])])}")


POINTS, CHANNELS = ascii_uppercase[:13], ascii_uppercase[13:]


def _letters(wire: Wire, fresh: Iterator[str]) -> str:
    """A letter for each axis: those of permutations and of channels are shared by all wires, those of linear groups are fresh."""
    _turned("tensor_product", wire, (*PERMUTING, *LINEAR), bare=True)
    points, channels = iter(POINTS), iter(CHANNELS)
    return "".join(
        next(channels) if axis.group is None else next(points) if axis.group.kind in PERMUTING else next(fresh) for axis in wire.axes
    )


def _turned(name: str, wire: Wire, allowed: tuple[str, ...], hint: str = "", bare: bool = False) -> list[int]:
    """The axes of linear groups, on a wire that this gate can stand on: real, its groups allowed, channels last (``bare``: or none)."""
    groups = [axis.group for axis in wire.axes]
    bad = next((group for group in groups if group and group.kind not in allowed), None)
    if wire.kind != "float" or bad is not None:
        why = f"{bad} does not keep this gate's invariants" if bad else "its entries are no real numbers"
        raise errors.BadSymmetry(f"{name} cannot stand on {Space((wire,))}", [why, f"needed  groups of kind {', '.join(allowed)}"], hint)
    turned = [i for i, group in enumerate(groups) if group and group.kind not in PERMUTING]
    behind = groups.index(None) if None in groups else len(groups)
    if any(groups[behind:]) or (turned and not bare and behind == len(groups)):
        needed = "needed  the axes of groups first, then a last axis of channels"
        hint = "cl.reshape gives one channel an axis of its own; cl.transpose brings an axis behind"
        raise errors.BadSymmetry(f"{name} cannot stand on {Space((wire,))}", [needed], hint)
    return turned


__all__ = ["norm_gate", "symplectic_gate", "tensor_product"]
