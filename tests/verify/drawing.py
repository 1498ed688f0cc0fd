"""Random types for tensors of given shapes, often alike where two tensors meet, and what comes of a row that is tried on them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from catlearn.verify.rules import NO_TIES, Call, Typed, Typing, Value, typings
from catlearn.verify.types import Axis, Factor, Refused, Type, constant, in_order, is_plain, normal, plain, size
from tests.verify.numeric import Element, Sample, agrees, apply, kind_of, number, sample
from tests.verify.rows import Args, T

SETS = ("S({})", "A({})", "Z({})", "S({}, name='b')", "flip of S({})", "roll by 1 of Z({})", "flip of Z({})")
LINEAR = ("O({})", "SO({})", "Sp({})", "Sp({})*")
MADE_INDEX = ("arange", "randperm", "randint")


def sets(n: int) -> list[Axis]:
    """Ways in which a group may permute an axis of n."""
    found: list[Axis] = [(Factor("X", n, label.format(n)),) for label in SETS]
    for k in range(2, n):
        x, y = Factor("X", k, f"S({k})"), n // k
        if n % k == 0:
            found += [(x, Factor("c", y)), (Factor("c", y), x), (x, Factor("*", y)), (Factor("*", y), x), (x, Factor("X", y, f"S({y})"))]
        found.append((Factor("+", n, parts=(plain(n - k), (x,))),))
        if n - k > 1:
            found.append((Factor("+", n, parts=((x,), (Factor("X", n - k, f"S({n - k})"),))),))
    return found


def others(n: int) -> list[Axis]:
    """Ways in which anything else may act along an axis of n."""
    found: list[Axis] = [(Factor("V", n, label.format(n)),) for label in LINEAR if n % 2 == 0 or "Sp" not in label]
    found += [(Factor("V", n, f"O({n})", shift=s),) for s in (1, 1, 2, -1)] + [(Factor("c", n, f"T({n})", shift=s),) for s in (1, 1, -1, 3)]
    found += [(Factor("D", n, f"O({n})"),), (Factor("D", n, f"SO({n})"),)]
    found += [(Factor("D", n, f"Sp({n})"),)] if n % 2 == 0 else []
    for pad in ((1, 1), (1, 0), (2, 1)):
        found += [(Factor("P", n, f"Z({n - sum(pad)})", pad=pad),)] if n - sum(pad) > 1 else []
    for k in (2, 3):
        if n > k:
            v = Factor("V", k, f"SO({k})")
            found += [(Factor("+", n, parts=(plain(n - k), (v,))),), (Factor("+", n, parts=((v,), plain(n - k))),)]
        if n == 2 * k:
            found.append((Factor("+", n, parts=((Factor("V", k, f"O({k})"),), (Factor("X", k, f"S({k})"),))),))
        if n % k == 0 and n > k:
            v = Factor("V", k, f"O({k})")
            found += [(v, Factor("c", n // k)), (Factor("*", n // k), v), (Factor("X", n // k, f"S({n // k})"), v)]
    return found


def entries(axis: Axis) -> bool:
    """Whether entries are moved along an axis, so that they may be integers or truth values."""
    return all(f.kind not in "VD" and f.shift == 0 and all(map(entries, f.parts)) for f in axis)


def draw_axis(n: int, rng: random.Random, wild: float) -> Axis:
    """A random way in which something acts along an axis of n."""
    if n == 0 or rng.random() < 0.3:
        return plain(n) if rng.random() < 0.7 else constant(n)
    if n == 1:
        return rng.choice([(Factor("V", 1, "O(1)"),), (Factor("c", 1, "T(1)", shift=1),)]) if rng.random() < 0.1 * wild else ()
    return rng.choice(others(n) if rng.random() < wild else sets(n))


def draw(shapes: Sequence[T], rng: random.Random) -> list[Type]:
    """Random types of some tensors. What acts on an axis of one is often also on those of the same size of the next."""
    wild, echo, seen = rng.choice([0.0, 0.4, 0.8]), rng.choice([0.5, 0.9]), dict[int, list[Axis]]()
    points: dict[int, Axis] = {}
    found = []
    for t in shapes:
        axes = []
        for n in t.shape:
            known = seen.setdefault(n, [])
            axis = rng.choice(known) if known and rng.random() < echo else draw_axis(n, rng, wild)
            if t.weight and rng.random() < 0.85:
                axis = plain(n)
            known.append(axis)
            axes.append(normal(axis))
        type = Type(tuple(axes))
        if t.kind == "float" and not t.weight:
            type = replace(type, zero=rng.random() < 0.06, sign=("O(3)",) if rng.random() < 0.08 else ())
        moves = any(f.shift != 0 for axis in type.axes for f in axis)
        if type.zero and moves:
            type = replace(type, zero=False)
        if t.kind != "float" and not all(map(entries, axes)):
            type = Type(tuple(axis if entries(axis) else plain(size(axis)) for axis in type.axes))
        if t.kind == "index" and rng.random() < 0.6:
            sized = [a for a in seen.get(t.high, []) if not is_plain(a) and all(f.kind in "cX+" for f in a) and entries(a)]
            if t.high not in points or rng.random() > echo:
                points[t.high] = (
                    rng.choice(sized)
                    if sized and rng.random() < echo
                    else rng.choice([a for a in sets(t.high) if not any(f.kind == "*" for f in a)])
                )
            type = replace(type, points=points[t.high])
        if t.kind == "index" and t.high in t.shape and t.high > 1 and rng.random() < 0.3:
            d = t.shape.index(t.high)
            type = Type((*(constant(n) for n in t.shape[:d]), in_order(t.high), *type.axes[d + 1 :]), points=in_order(t.high))
        found.append(type)
    return found


@dataclass
class Trial:
    """One row on tensors of random types: the call, the typings that the row gives, and tensors to compare on."""

    call: Call
    args: Args
    samples: list[Sample]

    def results(self, g: Element | None) -> list[torch.Tensor]:
        """What the operator gives on the moved tensors."""
        rest = iter([s.at(g) for s in self.samples])
        torch.manual_seed(0)
        kind = "index" if self.call.op.split(".")[1].startswith(MADE_INDEX) else "float"
        return apply(self.call.op, {n: _filled(a, rest) for n, a in self.args.items()}, kind)

    def typings(self) -> list[Typing]:
        """What the row says; empty if it refuses."""
        try:
            return typings(self.call)
        except Refused:
            return []

    def wrong(self, types: Sequence[Type], elements: Sequence[Element]) -> str | None:
        """None if the results have these types for all of the elements; else what is wrong."""
        still = self.results(None)
        for g in elements:
            for type, moved, x in zip(types, self.results(g), still, strict=False):  # of the first results, where the others may be tied
                found = agrees(type, g, moved, x)
                if found is not None:
                    return f"{found}, under the element {g.seed}"
        return None

    def tied(self) -> bool:
        """Whether two entries are the same, so that what assumes that there are no ties says nothing."""
        return any(s.at().unique().numel() < s.at().numel() for s in self.samples)


def _filled(arg: Any, rest: Any) -> Any:
    if isinstance(arg, T):
        return next(rest)
    return [_filled(x, rest) for x in arg] if isinstance(arg, list) else arg


def trial(op: str, args: Args, seed: int) -> Trial:
    """A row on tensors of random types."""
    rng = random.Random(f"{op} {seed}")
    shapes = [x for arg in args.values() for x in (arg if isinstance(arg, list) else [arg]) if isinstance(x, T)]
    types = draw(shapes, rng)
    samples = [sample(type, t.kind, rng.randrange(2**31), t.high) for type, t in zip(types, shapes, strict=True)]
    rest = iter([Typed(Value(t.shape, t.kind), type) for type, t in zip(types, shapes, strict=True)])
    found = Trial(Call(op, {n: _filled(a, rest) for n, a in args.items()}, (), ()), args, samples)
    outs = tuple(Value(tuple(x.shape), kind_of(x)) for x in found.results(None))
    sized = {number(n) for out in outs for n in out.shape} - {0, 1}
    world = tuple(replace(rng.choice([*sets(n)[:3], *others(n)[:3]])[0], shift=0) for n in sorted(sized))
    found.call = replace(found.call, outs=outs, world=world)
    return found


def skipped(found: Trial, typing: Typing) -> bool:
    """Whether what a typing assumes does not hold here."""
    return (NO_TIES in typing.assumes and found.tied()) or any("distribution" in a for a in typing.assumes)
