"""The one entry to sums of diagrams: ``apply`` with the strategy that ``plan`` finds cheapest for the sizes at hand.

Three strategies give the same numbers: ``dense`` (one product with the effective weight), ``blocks`` (the same with the blocks it falls
into) and ``diagrams`` (features, a waist, scatters on strided views; arcs by twists, elements with coupons beside it as blocks). Small axes
want the first two, large ones the last. A plan predicts microseconds from counts: arithmetic by the narrowest side of its products,
numbers gathered, rows of channels moved by strided views, calls. Its constants were fitted to the process time of one thread of one CPU,
which those of diagrams met within a fifth over most of 34 cases; other machines have other constants, but only ratios matter for the
choice. One strategy serves both passes: in 51 cases two of them would have gained at most half a percent. No effective weight of more
than ``MEMORY`` bytes is ever made.

>>> from catlearn.maps.sums.family import Element, Family
>>> square = lambda n: Family((n, n), (n, n), (Element(deltas=((0, 2), (1, 3))), Element(deltas=((0, 1), (2, 3)))))
>>> print(plan(square(3), tokens=64, c_in=4, c_out=4))
3×3 -> 3×3, 2 elements, 64 tokens, 4 -> 4 channels: dense
  dense     ...
  blocks    ...
  diagrams  ...
>>> plan(square(40), tokens=64, c_in=4, c_out=4).strategy
'diagrams'
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from math import prod

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from catlearn import errors
from catlearn.maps.outliving import constant, watched
from catlearn.maps.sums import apply as diagrams
from catlearn.maps.sums import plan as strided
from catlearn.maps.sums.blocks import CHUNK, dense, layer
from catlearn.maps.sums.dense import layout
from catlearn.maps.sums.entries import MOST, check_element
from catlearn.maps.sums.family import Family
from catlearn.maps.sums.operator import Operator
from catlearn.maps.sums.signed import described, split, twist
from catlearn.maps.sums.tables import Tables, tables

STRATEGIES = ("dense", "blocks", "diagrams")
MEMORY = 1 << 28  # bytes of an effective weight, at most
COMPILED = 1 << 10  # tokens that a compiler's choice is made for: it may not ask how many there are, since the batch may vary


@dataclass(frozen=True)
class Cost:
    """What one strategy is predicted to take: microseconds, multiplications and additions, bytes of effective weights; or why it cannot."""

    microseconds: float = float("inf")
    flops: int = 0
    memory: int = 0
    refused: str = ""

    def __str__(self) -> str:
        return self.refused or f"{self.microseconds:12,.0f} µs  {self.flops:16,} flops  {self.memory:13,} bytes of weight"

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.microseconds + other.microseconds, self.flops + other.flops, self.memory + other.memory, self.refused or other.refused
        )


@dataclass(frozen=True)
class Plan:
    """The strategy for a family and sizes, and the predicted costs of all; ``str`` is a table."""

    family: Family
    tokens: int
    c_in: int
    c_out: int
    training: bool
    strategy: str
    costs: tuple[tuple[str, Cost], ...]

    def __str__(self) -> str:
        show = lambda sizes: "×".join(map(str, sizes)) or "1"  # noqa: E731
        what = " with its backward pass" if self.training else ""
        head = (f"{show(self.family.ins)} -> {show(self.family.outs)}, {len(self.family.elements)} elements, {self.tokens:,} tokens, "
                f"{self.c_in} -> {self.c_out} channels{what}: {self.strategy}")  # fmt: skip
        return "\n".join([head, *(f"  {name:8}  {cost}" for name, cost in self.costs)])


@lru_cache(maxsize=4096)
def plan(
    family: Family, tokens: int, c_in: int, c_out: int, strategy: str | None = None, training: bool = False, itemsize: int = 4
) -> Plan:
    """The cheapest strategy for so many tokens (the product of the batch axes), or the one that is asked for.

    ``training``: whether gradients will be taken. ``itemsize``: bytes of a number. Raises ``BadSymmetry`` for an unknown strategy, for
    elements that do not fit the axes, and where nothing is left: elements with coupons whose effective weight would pass ``MEMORY`` bytes.
    """
    if strategy not in (None, *STRATEGIES):
        raise errors.BadSymmetry(f"there is no strategy {strategy!r}", [f"there are {', '.join(STRATEGIES)}"], "or None, for the cheapest")
    for elements, axes in ((family.elements, family.sizes), (family.biases, family.outs)):
        for element in elements:
            check_element(element, axes)
    sizes = tokens, c_in, c_out, training, itemsize
    costs = {"dense": _dense(family, *sizes), "blocks": _blocks(family, *sizes), "diagrams": _diagrams(family, *sizes)}
    best = strategy or min(costs, key=lambda name: costs[name].microseconds)
    if costs[best].refused:
        rows = [f"{name}: {cost}" for name, cost in costs.items()]
        raise errors.BadSymmetry(f"{len(family.elements)} elements from axes {family.ins} to {family.outs} do not fit in memory", rows,
                                 "choose smaller axes, a lower order or fewer channels")  # fmt: skip
    return Plan(family, tokens, c_in, c_out, training, best, tuple(costs.items()))


def apply(family: Family, x: Tensor, weight: Tensor, bias: Tensor | None = None, strategy: str | None = None) -> Tensor:
    """The family with weights, applied to x by the cheapest strategy, or by the one that is asked for.

    x: (*batch, *ins, c_in); weight: (elements, c_out, c_in); bias: (biases, c_out); the result: (*batch, *outs, c_out). Under autocast
    everything is computed in its dtype. Raises ``BadMap`` for tensors that do not fit, and ``BadSymmetry`` as ``plan`` does.

    >>> from catlearn.maps.sums.family import Element, Family
    >>> trace = Family((2, 2), (), (Element(((0, 1),)),), (Element(),))
    >>> apply(trace, torch.tensor([[[1.0], [2.0]], [[3.0], [4.0]]]), torch.tensor([[[10.0]]]), torch.tensor([[0.5]]))
    tensor([50.5000])
    """
    device = x.device.type
    if x.is_meta or not torch.is_autocast_enabled(device):
        return _prepared(family, x, weight, bias, strategy)(x, weight, bias)
    x, weight = _lowered(x), _lowered(weight)
    with torch.autocast(device, enabled=False):
        return apply(family, x, weight, None if bias is None else _lowered(bias), strategy)


def _lowered(tensor: Tensor) -> Tensor:
    """A tensor in the dtype of autocast, which leaves float64 alone."""
    return tensor if tensor.dtype == torch.float64 else tensor.to(torch.get_autocast_dtype(tensor.device.type))


Run = Callable[[Tensor, Tensor, Tensor | None], Tensor]
_PREPARED: dict[tuple, tuple[Family, Run]] = {}
_REAL = (Tensor, torch.nn.Parameter)


def _prepared(family: Family, x: Tensor, weight: Tensor, bias: Tensor | None, strategy: str | None) -> Run:
    """What runs tensors of these shapes: looked up by identity, since a family of hundreds of elements is slow to hash."""
    training = torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)
    if torch.compiler.is_compiling() or watched() or type(x) not in _REAL or type(weight) not in _REAL:
        return _runner(family, x, weight, bias, strategy, training)  # stand-ins are good inside one trace only
    biased = None if bias is None else (bias.shape, bias.dtype, bias.device)
    key = id(family), x.shape, x.dtype, x.device, weight.shape, weight.dtype, weight.device, biased, strategy, training
    held = _PREPARED.get(key)
    if held is None:
        if len(_PREPARED) >= 4096:
            _PREPARED.clear()
        held = family, _runner(family, x, weight, bias, strategy, training)  # with the family, so that its id stays its own
        _PREPARED[key] = held
    return held[1]


def check(family: Family, x: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    """Raises ``BadMap`` unless shapes, dtypes and devices fit."""
    diagrams.check(family, x, weight, bias)
    given = [("x", x), ("weight", weight)] + ([] if bias is None else [("bias", bias)])
    if not all(t.dtype == x.dtype and t.device == x.device and t.dtype.is_floating_point for _, t in given):
        rows = [f"{name:6}  {t.dtype} on {t.device}" for name, t in given]
        raise errors.BadMap("a family needs floating tensors of one dtype on one device", rows, "convert them with .to(...)")


@constant
def chosen(family: Family, tokens: int, c_in: int, c_out: int, strategy: str | None, training: bool, itemsize: int) -> str:
    """The strategy of the plan, which a compiler takes as a constant."""
    return plan(family, tokens, c_in, c_out, strategy, training, itemsize).strategy


def _runner(family: Family, x: Tensor, weight: Tensor, bias: Tensor | None, strategy: str | None, training: bool) -> Run:
    """The strategy as a function of x, weight and bias."""
    check(family, x, weight, bias)
    batch, (_, c_out, c_in) = x.shape[: x.ndim - family.order_in - 1], weight.shape
    tokens, points, shape = prod(batch), prod(family.ins), (*batch, *family.outs, c_out)
    run = layer if family.elements else _constant
    known = COMPILED if torch.compiler.is_compiling() else tokens
    found = chosen(family, known, c_in, c_out, strategy, training, x.element_size())
    if found == "diagrams" and family.elements:
        parts = (described(family) if torch.compiler.is_compiling()
                 else [(p.outs, p.ins, p.numbers, p.constants, p.rest, p.family) for p in split(family)])  # fmt: skip
        if [part[:2] + part[4:5] for part in parts] == [((), (), False)]:
            return lambda x, weight, bias: diagrams.apply(family, x, weight, bias)
        return lambda x, weight, bias: _run_parts(family, parts, x, weight, bias)
    with x.fake_mode if isinstance(x, FakeTensor) else nullcontext():
        t = tables(family, found == "blocks", c_out, x.dtype, x.device)
    if t.whole and family.elements:
        return lambda x, weight, bias: dense(t, x.reshape(tokens, points * c_in), weight, bias).view(shape)
    return lambda x, weight, bias: run(t, x.reshape(tokens, points, c_in), weight, bias).reshape(shape)


def _constant(t: Tables, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """What a family without elements gives: only its bias, though x and the empty weight keep their place in the graph of gradients."""
    zero = x.reshape(len(x), x.shape[1] * x.shape[2])[:, :0] @ x.new_zeros(0, len(t.bias) * weight.shape[1]) + weight.sum()
    return zero if bias is None else zero + (t.bias @ bias).reshape(-1)


def _run_parts(family: Family, parts: Sequence[tuple], x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The sum over the parts of a family: plain ones between twisted tensors, the rest as blocks."""
    first = x.ndim - family.order_in - 1
    sums: dict[tuple[int, ...], Tensor] = {}
    for outs, ins, numbers, constants, rest, own in parts:
        given = x
        for axis in ins:
            given = twist(given, first + axis, back=True)
        some, biases = weight[list(numbers)], None if bias is None or not constants else bias[list(constants)]
        if rest:
            t, flat = (
                tables(own, True, weight.shape[1], x.dtype, x.device),
                given.reshape(prod(x.shape[:first]), prod(family.ins), x.shape[-1]),
            )
            y = (layer if numbers else _constant)(t, flat, some, biases).reshape(*x.shape[:first], *family.outs, weight.shape[1])
        else:
            y = _plain(own, given, some, biases)
        sums[outs] = sums[outs] + y if outs in sums else y
    for outs, y in sums.items():
        for axis in outs:
            y = twist(y, first + axis)
        sums[outs] = y
    y, *others = sums.values()
    return sum(others, y)


def _plain(family: Family | str, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A plain part; in a graph that is being compiled it is known by its text."""
    if isinstance(family, Family):
        return diagrams.apply(family, x, weight, bias)
    if torch.is_grad_enabled():
        return Operator.apply(x, weight, bias, family)
    return torch.ops.catlearn.sums(x, weight, bias, family)[0]


# --- costs -----------------------------------------------------------------------------------------------------------


def _dense(family: Family, tokens: int, c_in: int, c_out: int, training: bool, itemsize: int) -> Cost:
    """One product of (tokens, inputs · c_in) with the effective weight, and making that."""
    inputs, outputs = prod(family.ins), prod(family.outs)
    entries = inputs * outputs * c_in * c_out
    speed = min(75e3, 30e3 + 250 * min(inputs * c_in, outputs * c_out))
    return _refused(family, entries, itemsize) or _total(45, 2 * tokens * entries, speed, 0, entries * itemsize, training, 200)


def _blocks(family: Family, tokens: int, c_in: int, c_out: int, training: bool, itemsize: int) -> Cost:
    """Gathers of x and y, a product for each shape of block in each chunk, and making the blocks."""
    if any(element.plain and all(len(block) == 1 for block in element.deltas) for element in family.elements):
        return _dense(family, tokens, c_in, c_out, training, itemsize)  # one element joins every input to every output
    if (refused := _refused(family, 0, itemsize)) is not None:
        return refused
    made = layout(family, True)
    entries = made.entries * c_in * c_out
    chunks = max(1, round(tokens * (made.ins.size * c_in + made.outs.size * c_out) / CHUNK))
    gathered = tokens * (made.gathered("ins") * c_in + made.gathered("outs") * c_out)
    other, flops, busy = gathered * (0.2e-3 + 4e-3 / max(1, min(c_in, c_out))), 0, 0.0
    for group in made.groups:
        m, p, q = (*group.ins.shape, group.outs.shape[1])
        width = (p * c_in * q * c_out) ** 0.5
        work, equal = 2 * tokens * m * p * q * c_in * c_out, len(made.groups) == len(group.columns) == 1
        flops += work
        busy += work / (30e3 + 250 * width if equal else min(65e3, 10 * width**2 + 400 * width + 1))
        other += chunks * (10 + 3 * m)
    refused = _refused(family, entries, itemsize)
    return refused or _total(80 + 15 * chunks, flops, flops / busy if busy else 1.0, other, entries * itemsize, training, 400)


def _diagrams(family: Family, tokens: int, c_in: int, c_out: int, training: bool, itemsize: int) -> Cost:
    """Steps on strided views for the plain parts, a pass for each twist, blocks for what has coupons."""
    total = Cost(0.0)
    for part in split(family):
        if part.rest:
            total += Cost(0.0) if not part.family.elements else _blocks(part.family, tokens, c_in, c_out, training, itemsize)
            continue
        scheme = strided.plan(part.family, tokens, c_in, c_out)
        width = max(1.0, (c_in + c_out) / 2)
        flops, moved = (sum(scheme.total(what, way) for way in (True, False)[: 1 + training]) for what in ("flops", "moved"))
        steps = scheme.passing(True, True).calls + (scheme.passing(False, gradient=True).calls if training else 0)
        twisted = tokens * (len(part.ins) * prod(family.ins) * c_in + len(part.outs) * prod(family.outs) * c_out)
        call, step, row, turn = (410, 18.6, 4.8e-3, 6e-3) if training else (65, 16, 4e-3, 2e-3)
        total += Cost(call + step * steps + 2e-5 * flops + row * moved / width + turn * twisted, flops)
    return total


def _total(call: float, flops: int, speed: float, other: float, memory: int, training: bool, calls: float) -> Cost:
    """With making the effective weight; training takes twice as much again, its own calls, and folding the gradient of that weight."""
    microseconds, making = call + flops / speed + other, 1e-3 * memory / 4
    return Cost(3 * microseconds + 5 * making + calls, 3 * flops, 2 * memory) if training else Cost(microseconds + making, flops, memory)


def _refused(family: Family, entries: int, itemsize: int) -> Cost | None:
    """Why there is no effective weight with so many entries for this family, if so."""
    table = prod(family.ins) * prod(family.outs) * max(1, len(family.elements))
    if entries * itemsize > MEMORY:
        return Cost(refused=f"an effective weight of {entries:,} entries needs {entries * itemsize:,} bytes; the limit is {MEMORY:,}")
    if table > MOST:
        return Cost(refused=f"a table of {table:,} entries of elements would be needed; the limit is {MOST:,}")
    return None
