"""What is claimed: spaces with groups on their axes → types, example inputs, and the sentence.

>>> from catlearn.core.sizes import dim
>>> from catlearn.core.spaces import E, O, R, S, index, space
>>> n = dim("n")
>>> str(type_of(space(S(n), E(3))[0])), str(type_of(index(S(n), 2, S(12, name="edges"))[0]))
('S(n)×O(3)+t', "points of S(n) on 2×S(12, name='edges')")
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import torch

from catlearn.core.sizes import Dim, Poly, Size, dims, evaluate
from catlearn.core.spaces import Axis, Group, Space, Wire
from catlearn.errors import BadClaim
from catlearn.symmetry.action import rho
from catlearn.symmetry.elements import GroupElement, element, size_of
from catlearn.symmetry.generators import components, generators, random_element
from catlearn.verify.types import Factor, Type, plain

_LINEAR = {"O": "O", "SO": "SO", "Sp": "Sp", "E": "O", "SE": "SO"}


def linear_part(group: Group) -> Group:
    """O(n) of E(n), SO(n) of SE(n); any other group itself."""
    return replace(group, kind=_LINEAR.get(group.kind, group.kind))


def translations(group: Group) -> Group:
    """The translations of E(n) or SE(n)."""
    return replace(group, kind="T")


def axis_type(axis: Axis) -> tuple[Factor, ...]:
    """How what an axis carries acts on it."""
    group = axis.group
    if group is None:
        return plain(axis.size)
    if group.kind == "T":
        return (Factor("c", axis.size, repr(group), 1),)
    if group.kind in _LINEAR:
        return (Factor("V", axis.size, repr(linear_part(group)), int(group.kind in ("E", "SE"))),)
    return (Factor("X", axis.size, repr(group)),)


def type_of(wire: Wire, batch: Sequence[Size] = ()) -> Type:
    """The type of a wire, with batch axes in front of numbers."""
    front = tuple(plain(n) for n in batch) if wire.kind == "float" else ()
    points = (Factor("X", wire.bound.n, repr(wire.bound)),) if isinstance(wire.bound, Group) else None
    return Type((*front, *map(axis_type, wire.axes)), points=points)


def groups_of(x: Space) -> list[Group]:
    """The groups that act on a space, each once, in the order of the axes."""
    found: dict[Group, None] = {}
    for wire in x:
        found |= dict.fromkeys(axis.group for axis in wire.axes if axis.group is not None)
        found |= dict.fromkeys([wire.bound] if isinstance(wire.bound, Group) else [])
    return list(found)


def checked(dom: object, cod: object) -> tuple[Space, Space]:
    """The two spaces, if a claim can be made of them."""
    for name, x in (("dom", dom), ("cod", cod)):
        if not isinstance(x, Space):
            raise BadClaim(f"{name} is {x!r}, which is no space", next="for example dom=cl.space(cl.S(5), 16), cod=cl.R(1)")
        for group in groups_of(x):
            least = min((d.min for d in dims(group.n)), default=2)
            if group.kind != "T" and (group.n in (0, 1) or least < 2):
                raise BadClaim(f"{name}: {group} acts on {group.n if group.n in (0, 1) else 'fewer than two'} points or coordinates",
                               ["a claim about it would say nothing, or is another one than for larger sizes"],
                               'give the axis a plain size, or ask for cl.dim("n", min=2)')  # fmt: skip
    assert isinstance(dom, Space) and isinstance(cod, Space)
    extra = {d for d in cod.dims if d not in dom.dims}
    if extra:
        raise BadClaim(f"cod has the size {', '.join(sorted(d.name for d in extra))}, which dom has not")
    acting = {linear_part(g) for g in groups_of(dom)} | {translations(g) for g in groups_of(dom) if g.kind in ("E", "SE")}
    strange = [g for g in groups_of(cod) if linear_part(g) not in acting]
    if strange:
        raise BadClaim(f"{strange[0]} acts on cod, and not on dom", [f"on dom: {', '.join(map(str, groups_of(dom))) or 'no group'}"])
    return dom, cod


def symbols(x: Space, batch: Sequence[Size]) -> list[Dim]:
    """All symbolic sizes of a claim."""
    found = {d for n in batch for d in dims(n)} | x.dims | {d for g in groups_of(x) for d in dims(g.n)}
    return sorted(found)


def example_sizes(x: Space, batch: Sequence[Size]) -> dict[str, int]:
    """A value for every symbolic size: different from each other and from the sizes that are fixed, so that nothing agrees by chance."""
    taken = {n for wire in x for n in wire.shape if isinstance(n, int)} | {n for n in batch if isinstance(n, int)}
    values: dict[str, int] = {}
    for d in symbols(x, batch):
        n = max(5, d.min)
        while n in taken:
            n += 1
        values[d.name] = n
        taken.add(n)
    return values


def example(wire: Wire, batch: Sequence[Size], sizes: Mapping[str, int], seed: int = 0, dtype: torch.dtype = torch.float32,
            whole: bool = False) -> torch.Tensor:  # fmt: skip
    """A tensor of a wire: normal or small whole numbers, positions, truth values."""
    rng = torch.Generator().manual_seed(seed)
    front = list(batch) if wire.kind == "float" else []
    shape = [evaluate(n, sizes, "an example") for n in (*front, *wire.shape)]
    if wire.kind == "bool":
        return torch.randint(0, 2, shape, generator=rng).bool()
    if wire.kind == "index":
        bound = wire.bound.n if isinstance(wire.bound, Group) else 2 if wire.bound is None else wire.bound
        return torch.randint(0, max(1, evaluate(bound, sizes, "an example")), shape, generator=rng)
    if whole:
        return torch.randint(-3, 4, shape, generator=rng).to(dtype)
    return torch.randn(shape, generator=rng, dtype=dtype)


def dynamic(x: Space, batch: Sequence[Size]) -> list[dict[int, Poly] | None]:
    """Which sizes of the inputs are symbols, as tracing takes it."""
    rows: list[dict[int, Poly] | None] = []
    for wire in x:
        shape = (*(batch if wire.kind == "float" else ()), *wire.shape)
        rows.append({i: n for i, n in enumerate(shape) if isinstance(n, Poly)} or None)
    return rows


def only(x: Space, kind: str) -> Space:
    """The space with E(n) and SE(n) read as their linear part or as their translations."""

    def turn(axis: Axis) -> Axis:
        if axis.group is None or axis.group.kind not in ("E", "SE"):
            return axis
        return Axis(axis.size, linear_part(axis.group) if kind == "linear" else translations(axis.group))

    return Space(tuple(replace(wire, axes=tuple(map(turn, wire.axes))) for wire in x))


def elements(x: Space, sizes: Mapping[str, int], trials: int) -> Iterator[tuple[str, GroupElement]]:
    """Elements to try, the simplest first: generators, one of each component, then random ones; and as what they act."""
    seen: dict[Group, str] = {}
    for kind in ("linear", "translations"):
        for group in groups_of(only(x, kind)):
            seen.setdefault(_sized(group, sizes), kind)
    for group, kind in seen.items():
        for g in (*generators(group), *components(group), *simple(group)):
            if not g.infinitesimal:
                yield kind, g
    for seed in range(trials):
        for group, kind in seen.items():
            yield kind, random_element(group, seed)


def simple(group: Group) -> list[GroupElement]:
    """Elements of a linear group that are easy to read: a turn in the first plane, or a shear."""
    n = size_of(group)
    rows = [[int(i == j) for j in range(n)] for i in range(n)]
    if group.kind == "Sp":
        rows[0][n // 2] = 1
        return [element(group, rows)]
    if group.kind not in ("O", "SO") or n < 2:
        return []
    found = []
    for c, s in ((Fraction(0), Fraction(1)), (Fraction(3, 5), Fraction(4, 5))):
        turned: list[list[Any]] = [list(row) for row in rows]
        turned[0][0], turned[0][1], turned[1][0], turned[1][1] = c, -s, s, c
        found.append(element(group, turned))
    return found


def _sized(group: Group, sizes: Mapping[str, int]) -> Group:
    return replace(group, n=evaluate(group.n, sizes, "a group"))


def act(g: GroupElement, kind: str, x: Space, sizes: Mapping[str, int], tensors: Sequence[Any]) -> tuple[Any, ...]:
    """The tensors moved by an element."""
    found = rho(g, only(x, kind), sizes).apply(*tensors)
    return found if isinstance(found, tuple) else (found,)


def sentence(dom: Space, cod: Space, ranges: Mapping[str, tuple[int, int | None]], assumes: Sequence[str], training: bool) -> str:
    """The claim in one sentence."""
    acting = groups_of(dom)
    names = " × ".join(map(str, acting)) or "the trivial group"
    law = "f(g · x) = g · f(x)" if groups_of(cod) else "f(g · x) = f(x)"
    known = [f"{name} ≥ {low}" if high is None else f"{low} ≤ {name} ≤ {high}" for name, (low, high) in sorted(ranges.items())]
    sizes = f"every {', '.join(known)}" if known else "these sizes"
    more = ["exact real arithmetic", *assumes, *(["the module in training mode"] if training else [])]
    return f"{law} for every g in {names}, {sizes}, all inputs {dom} and all parameters; assuming {', '.join(more)}"
