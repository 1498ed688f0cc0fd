"""``equal`` and ``commutes``: whether two terms compute the same, for all inputs and all parameters.

Three things are tried, and the answer says which one decided:

* the **canonical form** (``cl.same``): the laws of cartesian categories, at all sizes, with open names of parameters renamed if need be;
* a **witness**: parameters and inputs, rational where the boxes allow it, at which the outputs differ;
* a **polynomial identity**: the formulas of all outputs are subtracted over exact rationals and the differences expand to 0 (sympy), for
  all inputs and parameters where both are defined, at fixed sizes. Functions like exp and max are taken as they are.

Parameters are matched by their names; numbers written in a term are the decimals that they print as. Laws: reflexive, symmetric; ``>>``
and ``@`` keep equal terms equal.

>>> import catlearn as cl
>>> x = cl.R(2)
>>> a, b = cl.scale(2)(x), cl.copy(x) >> cl.add(x)
>>> print(equal(a, b))
proved: f = g for these sizes, all inputs and all parameters, wherever both are defined; by polynomial identity
>>> print(equal(a, cl.scale(3)(x)))
refuted: f ≠ g for these sizes
  at x0 = [1, 0]
  f gives [2, 0]
  g gives [3, 0]
>>> f, g = cl.relu(x), cl.tanh(x)
>>> print(commutes(f @ g, cl.swap(x, x), cl.swap(x, x), g @ f))
proved: f = g for all inputs and all parameters; by canonical form
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from math import prod
from typing import Any, Literal

import numpy as np
import torch

from catlearn import errors
from catlearn.core.equality import same
from catlearn.core.sizes import Dim, evaluate
from catlearn.core.spaces import Group, Wire
from catlearn.core.term import Term
from catlearn.meanings.exact import base_of
from catlearn.verify.compared import Compared, as_terms, unmatched
from catlearn.verify.identities import zero
from catlearn.verify.witness import Point, Witness, run, wires_of
from catlearn.verify.witness import witness as find

LARGE, CASES = 4096, 64  # numbers on the wires of both terms that are written as formulas; choices of integers that are tried


@dataclass(frozen=True)
class Equality:
    """The answer, true for ``proved`` only. ``claim`` says of what; ``by`` how; ``renaming`` takes open names of f to those of g."""

    verdict: Literal["proved", "refuted", "unknown"]
    claim: str
    by: str = ""
    witness: Witness | None = None
    reason: str = ""
    renaming: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.verdict == "proved"

    def __str__(self) -> str:
        text = f"{self.verdict}: {self.claim}" + (f"; by {self.by}" if self.by else "")
        rows = [f"  {self.reason}"] if self.reason else []
        return "\n".join([text, *([str(self.witness)] if self.witness else []), *rows])


def equal(f: Compared, g: Compared, sizes: Mapping[str, int] | None = None, *, inputs: Sequence[Any] | torch.Tensor | None = None,
          dynamic: Any = None) -> Equality:  # fmt: skip
    """Whether two terms compute the same outputs for all inputs and all parameters, the latter matched by name.

    A module or a function of tensors becomes a term by ``categorify``, in the mode in which it is, on example ``inputs`` (with ``dynamic``
    sizes as there), or on inputs of the shapes that the other term takes. What only torch knows of it has no formulas: such calls are
    equal where they are the same calls, and refuted by a witness, but never proved equal to something else.

    With symbolic sizes the claim is about all of them: only the canonical form proves that, a witness at some size refutes it, and an
    identity at the smallest sizes leaves it ``unknown``. ``sizes`` asks about these sizes only. Terms with random boxes or a state are
    compared by the canonical form alone.

    Raises ``BadClaim`` for different spaces, for a parameter with two spaces, and for what is no term, no module and no function.

    >>> import catlearn as cl
    >>> x = cl.space(cl.S(cl.dim("n")), 2)
    >>> double = cl.copy(x) >> cl.add(x)
    >>> equal(cl.scale(2)(x), double).verdict, bool(equal(cl.scale(2)(x), double, sizes={"n": 3}))
    ('unknown', True)
    >>> import torch
    >>> bool(equal(torch.nn.Identity(), lambda y: y.T.T, inputs=(torch.ones(2, 3),))), bool(equal(torch.nn.ReLU(), cl.relu(cl.R(3))))
    (True, True)
    """
    f, g = as_terms(f, g, inputs, dynamic)
    _comparable(f, g)
    dims = sorted({d for t in (f, g) for wires in (t.dom, t.cod, (p.wire for p in t.params.values())) for w in wires for d in w.dims})
    _known(dims, sizes)
    free = [d for d in dims if d.name not in (sizes or {})]
    answer = same(f, g)
    if answer:
        return _canonical(answer.renaming, free, sizes)
    _matched(f, g)
    where = "for " + (", ".join(f"{k} = {v}" for k, v in sizes.items()) if sizes else "these sizes")
    where = f"for every {', '.join(f'{d.name} ≥ {d.min}' for d in free)}" if free else where
    first = f"their canonical forms differ {str(answer.difference).splitlines()[0]}"
    if f.graph.effects or g.graph.effects:
        return Equality("unknown", f"f = g {where}", reason=f"{first}, and random or stateful boxes are not compared in another way")
    trials = [dict(sizes or {})] if not free else [{**{d.name: d.min + k for d in free}, **(sizes or {})} for k in (0, 1, 2)]
    for known in trials:
        witness = find(f, g, known)
        if witness is not None:
            claim = f"f ≠ g {where}" + (f", already for {_listed(known)}" if free else "")
            return Equality("refuted", claim, witness=witness, reason=unmatched(f, g))
    return _identity(f, g, trials[0], where, bool(free), first)


def commutes(*paths: Term | Sequence[Term]) -> Equality:
    """Whether all paths are equal: a path is a term, or terms one after the other. Four terms are a square: top, right, left, bottom.

    A square commutes if top >> right equals left >> bottom. Raises ``BadClaim`` for fewer than two paths, and as ``equal`` does.

    >>> import catlearn as cl
    >>> x = cl.R(3)
    >>> minus = cl.scale(-1)(x)
    >>> bool(commutes([minus, cl.relu(x), minus], cl.relu(x))), bool(commutes([minus, minus], cl.id(x)))
    (False, True)
    """
    given: list[Term | Sequence[Term]] = list(paths)
    if len(paths) == 4 and all(isinstance(path, Term) for path in paths):
        given = [[paths[0], paths[1]], [paths[2], paths[3]]]  # type: ignore[list-item]
    terms = [_path(path) for path in given]
    if len(terms) < 2:
        raise errors.BadClaim(
            f"a diagram of {len(terms)} paths", ["needed  at least two"], "commutes([f, g], [h, k]) or commutes(f, g, h, k)"
        )
    answers = [equal(terms[0], other) for other in terms[1:]]
    for verdict in ("refuted", "unknown"):
        for k, answer in enumerate(answers):
            if answer.verdict == verdict:
                return answer if len(answers) == 1 else replace(answer, claim=f"{answer.claim} (f is path 0, g is path {k + 1})")
    slowest = max(answers, key=lambda answer: answer.by != "canonical form")
    return replace(slowest, renaming={k: v for answer in answers for k, v in answer.renaming.items()})


def _path(path: Term | Sequence[Term]) -> Term:
    if isinstance(path, Term):
        return path
    if not isinstance(path, list | tuple) or not path or not all(isinstance(f, Term) for f in path):
        raise errors.BadClaim(f"{path!r} is no path", next="a path is a term, or a list of terms that compose")
    term = path[0]
    for f in path[1:]:
        term = term >> f
    return term


# -- what is compared --------------------------------------------------------------------------------------------------


def _comparable(f: Term, g: Term) -> None:
    for what, a, b in (("start from", f.dom, g.dom), ("end in", f.cod, g.cod)):
        if a != b:
            raise errors.BadClaim(
                f"f and g {what} different spaces", [f"f: {a}", f"g: {b}"], "only arrows between the same spaces can be equal"
            )


def _matched(f: Term, g: Term) -> None:
    for name in f.params.keys() & g.params.keys():
        if f.params[name].wire != g.params[name].wire:
            rows = [f"f: {f.params[name].space}", f"g: {g.params[name].space}"]
            raise errors.BadClaim(f"the parameter {name!r} has two spaces", rows, "parameters are matched by name; call them differently")


def _known(dims: Sequence[Dim], sizes: Mapping[str, int] | None) -> None:
    least = {d.name: d.min for d in dims}
    for name, n in (sizes or {}).items():
        if name not in least or not isinstance(n, int) or isinstance(n, bool) or n < least[name]:
            said = ", ".join(f"{k} ≥ {v}" for k, v in least.items()) or "none"
            raise errors.BadClaim(f"sizes: {name} = {n!r}", [f"the symbolic sizes are {said}"])


def _listed(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{k} = {v}" for k, v in sizes.items())


def _canonical(renaming: Mapping[str, str], free: Sequence[Dim], sizes: Mapping[str, int] | None) -> Equality:
    changed = {a: b for a, b in renaming.items() if a != b}
    scope = f"every {', '.join(f'{d.name} ≥ {d.min}' for d in free)}, " if free else f"{_listed(sizes)}, " if sizes else ""
    more = f" with {', '.join(f'{a} of f as {b} of g' for a, b in changed.items())}" if changed else ""
    return Equality("proved", f"f = g for {scope}all inputs and all parameters{more}", "canonical form", renaming=renaming)


# -- a polynomial identity ---------------------------------------------------------------------------------------------


def _identity(f: Term, g: Term, sizes: Mapping[str, int], where: str, symbolic: bool, first: str) -> Equality:
    """Whether all outputs have the same formulas at these sizes, for each value of integer inputs."""
    unknown = Equality("unknown", f"f = g {where}", reason=f"{first}; no witness was found, and ")
    count = sum(prod(evaluate(n, sizes, "equal") for n in w.shape) for t in (f, g) for w in t.graph.wires)
    if count > LARGE:
        return _because(unknown, f"{count:,} numbers are too many for formulas")
    points = _symbols(wires_of(f, g), sizes)
    if points is None:
        return _because(unknown, "integer inputs have too many values")
    for point in points:
        try:
            left, right = (run(base_of("sympy"), t, *_split(t, point), sizes) for t in (f, g))
        except errors.NoRule as error:
            return _because(unknown, str(error).splitlines()[0])
        for a, b in zip(left, right, strict=True):
            for i in np.ndindex(a.array.shape):
                if not zero(a.array[i] - b.array[i]):
                    return _because(unknown, f"the formulas{f' at {list(i)}' if i else ''} are not seen to be equal")
    if symbolic:
        return _because(unknown, f"they are equal for {_listed(sizes)}, by polynomial identity, which says nothing of larger sizes")
    return Equality("proved", f"f = g {where}, all inputs and all parameters, wherever both are defined", "polynomial identity")


def _because(answer: Equality, why: str) -> Equality:
    return replace(answer, reason=answer.reason + why)


def _split(term: Term, point: Point) -> tuple[list[Any], dict[str, Any]]:
    """The inputs and the parameters of a term at a point."""
    return [point[f"x{k}"] for k in range(len(term.dom))], {name: point[f"param {name}"] for name in term.params}


def _symbols(wires: Mapping[str, Wire], sizes: Mapping[str, int]) -> list[Point] | None:
    """Points with a variable for every real number, one for each way to choose the integers; None if there are too many."""
    o: Any = base_of("sympy")
    general: Point = {name: np.empty([evaluate(n, sizes, "equal") for n in wire.shape], object) for name, wire in wires.items()}
    places: list[tuple[str, tuple[int, ...]]] = []
    ranges: list[range] = []
    for name, wire in wires.items():
        bound = 2 if wire.kind == "bool" else wire.bound.n if isinstance(wire.bound, Group) else wire.bound
        for i in np.ndindex(general[name].shape):
            general[name][i] = o.symbol(f"{name}{list(i)}")
            if wire.kind != "float":
                places.append((name, i))
                ranges.append(range(CASES + 1 if bound is None else evaluate(bound, sizes, "equal")))
    if prod(map(len, ranges)) > CASES:
        return None
    points = []
    for values in product(*ranges):
        point = {name: array.copy() for name, array in general.items()}
        for (name, i), value in zip(places, values, strict=True):
            point[name][i] = value
        points.append(point)
    return points


__all__ = ["Equality", "Witness", "commutes", "equal"]
