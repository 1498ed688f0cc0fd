"""What a type means, in numbers: an action on float64 tensors, written from the docstring of ``catlearn.verify.types`` alone.

An ``Element`` holds for every label a permutation, a matrix, or a translation. ``act`` moves a tensor; ``settled`` sums the diagonals
away, since only their sum means something; ``Sample`` draws a tensor of a type, and a diagonal as that of a tensor with two axes.

>>> x = torch.arange(3.0).double()
>>> g = Element(0)
>>> bool(torch.equal(g.act(Type(((Factor("X", 3, "S(3)"),),)), x).sort().values, x)), g.act(Type((plain(3),)), x).tolist()
(True, [0.0, 1.0, 2.0])
"""

from __future__ import annotations

import math
import random
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from catlearn.verify.kernel import Node, Program, Wire
from catlearn.verify.types import Axis, Factor, Type, plain, size

DTYPES = {"float": torch.float64, "index": torch.int64, "bool": torch.bool}
LEAST = 1e-7


class NotOfType(AssertionError):
    """A tensor that does not even have the form of its type: not constant, not zero, not periodic."""


@dataclass
class Element:
    """A random element of every group at once, by the seed."""

    seed: int
    known: dict[tuple[str, str, int], Tensor] = field(default_factory=dict)
    axes: dict[Axis, Tensor] = field(default_factory=dict)

    @staticmethod
    @cache
    def of(seed: int) -> Element:
        """The element of a seed, with all that it has computed before."""
        return Element(seed)

    def matrix(self, f: Factor) -> Tensor:
        """How the linear part acts along a factor."""
        n = number(f.size)
        if f.kind in "c*=":
            return torch.eye(n, dtype=torch.float64)
        if f.kind == "+":
            return torch.block_diag(*(self.along(part) for part in f.parts))
        if f.kind == "P":
            return self._periodic(f)
        how = re.match(r"(flip|roll by (-?\d+)) of ", f.group)
        if how:
            change = torch.eye(n, dtype=torch.float64)
            change = change.flip(0) if how[1] == "flip" else change.roll(int(how[2]), 0)
            return change @ self.matrix(replace(f, group=f.group[how.end() :])) @ change.mT
        label = f.group.removesuffix("*")
        key = ("g", label, n)
        if key not in self.known:
            self.known[key] = self._draw(label, n)
        m = self.known[key]
        return torch.linalg.inv(m).mT if f.group.endswith("*") else m

    def along(self, axis: Axis) -> Tensor:
        """How the linear part acts along an axis: factors in row-major order."""
        if axis not in self.axes:
            found = torch.ones(1, 1, dtype=torch.float64)
            for f in axis:
                found = torch.kron(found, self.matrix(f).contiguous())
            self.axes[axis] = found
        return self.axes[axis]

    def translation(self, f: Factor) -> Tensor:
        """The vector by which a translated factor moves, once."""
        key = ("t", f.group.removesuffix("*"), number(f.size))
        if key not in self.known:
            self.known[key] = torch.randn(key[2], dtype=torch.float64, generator=self._generator(*key[:2]))
        return self.known[key]

    def act(self, type: Type, x: Tensor) -> Tensor:
        """The moved tensor."""
        if tuple(x.shape) != type.shape:
            raise NotOfType(f"{tuple(x.shape)} is not of the shape of {type}")
        check_form(type, x)
        if type.points is not None:
            image = self.along(type.points).argmax(0)
            if x.numel() and not 0 <= int(x.min()) <= int(x.max()) < len(image):
                raise NotOfType(f"{int(x.max())} is no position on an axis of {len(image)}")
            x = image[x]
        still = x.dtype
        y = x.to(torch.float64)
        for d, axis in enumerate(type.axes):
            if axis and any(f.kind not in "c*=" for f in axis):
                m = self.along(axis)
                moves = permutes(axis)  # entries are moved, so that nan and inf stay where they are
                y = y.index_select(d, m.argmax(1)) if moves else torch.movedim(torch.tensordot(m, y, ([1], [d])), 0, d)  # type: ignore[arg-type]
        for label in type.sign:
            n = int(re.findall(r"\d+", label)[0])
            y = y * torch.linalg.det(self.matrix(Factor("V", n, label))).round()
        for d, axis in enumerate(type.axes):
            for k, f in enumerate(axis):
                if f.shift != 0:
                    inner, outer = math.prod(number(h.size) for h in axis[k + 1 :]), math.prod(number(h.size) for h in axis[:k])
                    along = (float(f.shift) * self.translation(f)).repeat_interleave(inner).repeat(outer)  # type: ignore[arg-type]
                    y = y + along.reshape(-1, *(1 for _ in range(y.dim() - d - 1)))
        return y if still == torch.float64 else y.round().to(still)

    def _draw(self, label: str, n: int) -> Tensor:
        found = re.match(r"[A-Za-z]+", label)
        kind, rng = found[0] if found else "S", random.Random(zlib.crc32(f"{self.seed} {label} {n}".encode()))
        if kind == "Z":
            shift = rng.randrange(n)
            return permutation([(i + shift) % n for i in range(n)])
        if kind in ("O", "SO", "Sp"):
            return self._linear(kind, label, n)
        images = rng.sample(range(n), n)
        if kind == "A" and n > 1 and torch.linalg.det(permutation(images)) < 0:
            images[0], images[1] = images[1], images[0]
        return permutation(images)

    def _linear(self, kind: str, label: str, n: int) -> Tensor:
        a = torch.randn(n, n, dtype=torch.float64, generator=self._generator("m", label))
        if kind == "Sp":
            half = n // 2
            j = torch.zeros(n, n, dtype=torch.float64)
            j[:half, half:], j[half:, :half] = torch.eye(half), -torch.eye(half)
            return torch.linalg.matrix_exp(0.4 * j @ (a + a.mT))
        q, r = torch.linalg.qr(a)
        q = q * r.diagonal().sign()
        if kind == "SO" and torch.linalg.det(q) < 0:
            q[:, 0] = -q[:, 0]
        return q

    def _periodic(self, f: Factor) -> Tensor:
        before, after = f.pad
        n = number(f.size) - before - after
        images = self.matrix(Factor("X", n, f.group)).argmax(0).tolist()  # place i goes to images[i]
        back = {to: i for i, to in enumerate(images)}
        found = torch.zeros(number(f.size), number(f.size), dtype=torch.float64)
        for p in range(number(f.size)):
            found[p, before + back[(p - before) % n]] = 1
        return found

    def _generator(self, what: str, label: str) -> torch.Generator:
        return torch.Generator().manual_seed(zlib.crc32(f"{self.seed} {what} {label}".encode()))


def number(n: Any) -> int:
    """A size as an integer; the numeric meaning is of fixed sizes."""
    if not isinstance(n, int):
        raise TypeError(f"{n} is no fixed size")
    return n


def permutation(images: Sequence[int]) -> Tensor:
    """The matrix that moves place i to images[i]."""
    found = torch.zeros(len(images), len(images), dtype=torch.float64)
    for i, to in enumerate(images):
        found[to, i] = 1
    return found


def permutes(axis: Axis) -> bool:
    """Whether entries are only moved along an axis."""
    return all(f.kind in "c*XP=" or (f.kind == "+" and all(map(permutes, f.parts))) for f in axis)


def close(a: Tensor, b: Tensor) -> bool:
    """Whether two results are the same up to rounding; nan agrees with nan."""
    if a.dtype != torch.float64 or b.dtype != torch.float64:
        return a.shape == b.shape and bool((a == b).all())
    if a.shape != b.shape or not a.numel():
        return a.shape == b.shape
    apart = float((a - b).abs().max())
    if math.isfinite(apart):
        return apart <= LEAST * (1 + float(b.abs().max()))
    finite = torch.cat([a[a.isfinite()].flatten(), b[b.isfinite()].flatten()])
    scale = 1 + (float(finite.abs().max()) if finite.numel() else 0)
    return torch.allclose(a, b, rtol=0, atol=LEAST * scale, equal_nan=True)


def unfolded(type: Type, x: Tensor) -> Tensor:
    """One axis for each factor."""
    return x.reshape([number(f.size) for axis in type.axes for f in axis] or [()][0])


def ordered(x: Tensor, d: int) -> Tensor:
    """The tensor of this shape that is 0, 1, 2, … along an axis."""
    return torch.arange(x.shape[d], dtype=x.dtype).reshape([-1 if k == d else 1 for k in range(x.dim())]).expand_as(x)


def check_form(type: Type, x: Tensor) -> None:
    """Whether a tensor is constant, zero, periodic where its type says so; ``NotOfType`` if it is not."""
    if type.zero and bool((x != 0).any()):
        raise NotOfType(f"not zero, as {type} says")
    if not any(f.kind in "*P=" for axis in type.axes for f in axis):
        return
    wide = unfolded(type, x)
    for d, f in enumerate(f for axis in type.axes for f in axis):
        if f.kind == "*" and wide.numel() and not close(wide, wide.narrow(d, 0, 1).expand_as(wide)):
            raise NotOfType(f"not constant along {f} of {type}")
        if f.kind == "=" and not close(wide, ordered(wide, d)):
            raise NotOfType(f"not 0, 1, 2, … along {f} of {type}")
        if f.kind == "P":
            n = number(f.size) - sum(f.pad)
            again = [f.pad[0] + (p - f.pad[0]) % n for p in range(number(f.size))]
            if not close(wide, wide.index_select(d, torch.tensor(again))):
                raise NotOfType(f"not periodic along {f} of {type}")


def settled(type: Type, x: Tensor) -> tuple[Type, Tensor]:
    """The tensor after a sum over all its ``D`` factors, and its type."""
    wide, axes, d = unfolded(type, x), [], 0
    count = math.prod(number(f.size) for axis in type.axes for f in axis if f.kind == "D")
    for axis in type.axes:
        kept = []
        for f in axis:
            if f.kind == "D":
                wide = wide.sum(d)
                continue
            kept.append(replace(f, shift=f.shift * count) if f.shift != 0 else f)  # type: ignore[operator]
            d += 1
        axes.append(tuple(kept))
    return replace(type, axes=tuple(axes)), wide.reshape([number(size(axis)) for axis in axes])


def agrees(type: Type, g: Element, moved: Tensor, x: Tensor) -> str | None:
    """None if ``moved`` is g acting on x by the type; else what is wrong."""
    try:
        if any(f.kind == "D" for axis in type.axes for f in axis):
            (_, moved), (type, x) = settled(type, moved), settled(type, x)
        else:
            check_form(type, moved)
        expected = g.act(type, x)
    except NotOfType as wrong:
        return str(wrong)
    return None if close(moved, expected) else f"not equivariant as {type} says"


@dataclass
class Sample:
    """A random tensor of a type; ``at(g)`` is the moved one, ``at()`` itself."""

    type: Type
    kind: str
    lifted: Type
    value: Tensor

    def at(self, g: Element | None = None) -> Tensor:
        x = self.value if g is None else g.act(self.lifted, self.value)
        extra, d = len(self.lifted.axes) - len(self.type.axes), 0
        if not extra:
            return x.contiguous()
        x = x.reshape([number(f.size) for axis in self.lifted.axes for f in axis])
        for f in (f for axis in self.type.axes for f in axis):
            if f.kind == "D":
                last = sum(len(axis) for axis in self.type.axes)
                x = torch.movedim(x.diagonal(0, d, last), -1, d)
            d += 1
        return x.reshape([number(n) for n in self.type.shape]).contiguous()


def sample(type: Type, kind: str, seed: int, high: int = 4) -> Sample:
    """A random tensor of a type: numbers, positions on its set, integers below ``high``, or truth values."""
    diagonal = [f for axis in type.axes for f in axis if f.kind == "D"]
    axes = tuple(tuple(replace(f, kind="V") if f.kind == "D" else f for f in axis) for axis in type.axes)
    lifted = replace(type, axes=(*axes, *((replace(f, kind="V", group=f"{f.group}*" if "Sp" in f.group else f.group),) for f in diagonal)))
    shape, rng = [number(n) for n in lifted.shape], torch.Generator().manual_seed(seed)
    if type.zero:
        x = torch.zeros(shape, dtype=DTYPES[kind])
    elif kind == "float":
        x = torch.randn(shape, dtype=torch.float64, generator=rng)
    elif kind == "bool":
        x = torch.rand(shape, generator=rng) < 0.5
    else:
        x = torch.randint(0, high if type.points is None else number(size(type.points)), shape, generator=rng)
    wide, d = unfolded(lifted, x), 0
    for f in (f for axis in lifted.axes for f in axis):
        if f.kind == "*" and f.size != 0:
            wide = wide.narrow(d, 0, 1).expand_as(wide)
        if f.kind == "=":
            wide = ordered(wide, d)
        if f.kind == "P":
            n = number(f.size) - sum(f.pad)
            wide = wide.index_select(d, torch.tensor([f.pad[0] + (p - f.pad[0]) % n for p in range(number(f.size))]))
        d += 1
    return Sample(type, kind, lifted, wide.reshape(shape).contiguous())


# -- programs ----------------------------------------------------------------------------------------------------------

MADE = ("zeros", "ones", "full", "eye", "rand", "randn", "arange", "scalar_tensor", "to", "_to_copy", "new_", "randperm", "randint")


def overload(op: str) -> Any:
    """The operator that a row speaks of."""
    _, name, which = op.split(".")
    return getattr(getattr(torch.ops.aten, name), which)


def apply(op: str, args: Mapping[str, Any], kind: str | None = None) -> list[Tensor]:
    """The results of an operator; ``kind``: of the entries where its arguments do not say."""
    function, given = overload(op), dict(args)
    if kind is not None and op.split(".")[1].startswith(MADE) and any(a.name == "dtype" for a in function._schema.arguments):
        given["dtype"] = DTYPES[kind]
    if op.startswith("aten.norm.ScalarOpt") and op.endswith("dtype"):
        given["dtype"] = torch.float64
    if op == "aten.to.device":
        given["device"] = torch.device("cpu")
    found = function(**given)
    return [x.double() if x.is_floating_point() else x for x in (found if isinstance(found, tuple | list) else [found])]


def evaluate(program: Program, inputs: Sequence[Tensor]) -> dict[int, Tensor]:
    """The tensors on all wires."""
    wires = {given.wire: x for given, x in zip(program.inputs, inputs, strict=True)}
    for node in program.nodes:
        found = apply(node.op, {name: resolved(arg, wires) for name, arg in node.args.items()}, kind_of_node(program, node))
        wires.update(zip(node.outs, found, strict=True))
    return wires


def kind_of_node(program: Program, node: Node) -> str:
    """The kind of a node's first result."""
    return program.wires[node.outs[0]].kind


def resolved(arg: Any, wires: Mapping[int, Tensor]) -> Any:
    """An argument with tensors for wires."""
    if isinstance(arg, Wire):
        return wires[arg.place]
    return [resolved(x, wires) for x in arg] if isinstance(arg, list | tuple) else arg


def kind_of(x: Tensor) -> str:
    """The kind of a tensor's entries."""
    return "float" if x.is_floating_point() else "bool" if x.dtype == torch.bool else "index"


def plainly(x: Tensor) -> Type:
    """The type on which nothing acts."""
    return Type(tuple(plain(n) for n in x.shape))
