"""What generated code asks of its inputs before it computes anything, and the words for what is wrong with them.

The event shape, the kind of numbers, one value for each symbolic size (at least its ``min``), and the batch axes, which are common to
all data wires. The checks are plain Python on shapes and dtypes: no aten op is added, and under ``torch.compile`` they become guards.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NoReturn

import torch

from catlearn import errors
from catlearn.boxes.constant import has_memory
from catlearn.boxes.entropy import IGNORED, CrossEntropy
from catlearn.core.graph import Graph
from catlearn.core.sizes import Size, evaluate
from catlearn.core.spaces import Space, Wire
from catlearn.core.term import Term
from catlearn.meanings.emit import Emitter, symbol

KINDS = {"float": "a floating-point", "index": "an integer (int64)", "bool": "a boolean"}
TESTS = {"float": "not {0}.is_floating_point()", "index": "{0}.dtype is not torch.int64", "bool": "{0}.dtype is not torch.bool"}


def check_lines(e: Emitter, inputs: Sequence[int], names: Sequence[str]) -> None:
    """Writes the checks, and binds the symbolic sizes on the way."""
    wires, refuse = [e.graph.wires[i] for i in inputs], f"    refuse({', '.join(names)})"
    later: list[tuple[str, Size]] = []
    exact = knows_no_batch(e.graph)
    for wire, name in zip(wires, names, strict=True):
        tests, rank = [TESTS[wire.kind].format(name)], len(wire.axes)
        known = [known_size(size, e.sizes) for size in wire.shape]
        if rank and None not in known:
            tests.insert(0, f"{name}.shape[-{rank}:] != ({', '.join(map(str, known))},)")
        elif rank:
            tests.insert(0, f"{name}.dim() < {rank}")
            tests += [f"{name}.shape[{k - rank}] != {size}" for k, size in enumerate(known) if size is not None]
            later += [(f"{name}.shape[{k - rank}]", wire.shape[k]) for k, size in enumerate(known) if size is None]
        tests += [f"{name}.dim() != {rank}"] if exact else []
        e.lines += [f"if {' or '.join(tests)}:", refuse]
        for d in e.bind_dims([inputs[names.index(name)]]):
            e.lines += [f"if size_{d.name} < {d.min}:", refuse] if d.min > 0 else []
    for text, size in later:
        if symbol(size) is None or e.binding.get(symbol(size).name) != text:  # type: ignore[union-attr]
            e.lines += [f"if {text} != {e.size(size)}:", refuse] if e.can_size(size) else []
    batches = [f"{n}.shape[:{n}.dim() - {len(w.axes)}]" if w.axes else f"{n}.shape" for w, n in zip(wires, names, strict=True) if w.batched]
    if len(batches) > 1:
        e.lines += [f"if {' or '.join(f'{b} != {batches[0]}' for b in batches[1:])}:", refuse]


def knows_no_batch(graph: Graph) -> bool:
    """Whether something in the graph acts on whole tensors, so that nothing may stand before the event axes."""
    return any(getattr(node.op, "of", node.op).whole for node in graph.root.nodes())


def checked_sizes(term: Term, sizes: Mapping[str, int]) -> dict[str, int]:
    """The given sizes, if the term has them and they are large enough."""
    wires = [*term.dom, *term.cod, *(param.wire for param in term.params.values()), *term.graph.wires]
    least = {d.name: d.min for wire in wires for d in wire.dims}
    for name, value in sizes.items():
        if name not in least:
            raise errors.NothingMatched(name, sorted(least), "symbolic size")
        if not isinstance(value, int) or value < least[name]:
            raise errors.BadInput(f"sizes: {name} = {value!r}", [f"needed an integer, at least {least[name]}"], "see cl.dim(..., min=...)")
    return dict(sizes)


def known_size(size: Size, sizes: Mapping[str, int]) -> int | None:
    """The integer that a size is, or None while a symbol has no value."""
    try:
        return evaluate(size, sizes)
    except errors.SizeUnknown:
        return None


def refuser(graph: Graph, sizes: Mapping[str, int], labels: Sequence[str] | None = None) -> Callable[..., NoReturn]:
    """The function that generated code calls when a check fails."""
    dom = graph.space(graph.inputs)

    def refuse(*inputs: Any) -> NoReturn:
        rows = problems(dom, inputs, sizes, labels, targets(graph))
        if not rows and knows_no_batch(graph):
            rows = [f"input {i}: given shape {tuple(x.shape)}, needed {w}, and no batch axes: a box in the term acts on whole tensors"
                    for i, (x, w) in enumerate(zip(inputs, dom, strict=True)) if x.dim() != len(w.axes)]  # fmt: skip
        raise errors.BadInput("the inputs do not fit the term", rows, f"the term starts from {dom}; batch axes come first")

    return refuse


def kind_of(x: torch.Tensor) -> str:
    """float, index or bool, as a tensor's dtype says; other dtypes by their own name."""
    if x.is_floating_point():
        return "float"
    return {torch.bool: "bool", torch.int64: "index"}.get(x.dtype, str(x.dtype))


def targets(graph: Graph) -> set[int]:
    """The places of the inputs that are labels of a cross entropy and nothing else: there a label may say that it does not count."""
    readers: dict[int, list[bool]] = {}
    for node in graph.root.nodes():
        op = getattr(node.op, "of", node.op)  # its reverse reads them too
        for arg in node.args:
            readers.setdefault(arg, []).append(isinstance(op, CrossEntropy))
    return {i for i, wire in enumerate(graph.inputs) if wire in readers and all(readers[wire])}


def problems(dom: Space, inputs: Sequence[Any], sizes: Mapping[str, int] = {}, labels: Sequence[str] | None = None,
             ignoring: Collection[int] = ()) -> list[str]:  # fmt: skip
    """What is wrong with these inputs for this domain, in words; empty if nothing is. Inputs ``ignoring`` may hold the label −100."""
    if len(inputs) != len(dom):
        return [f"{len(inputs)} inputs given, {len(dom)} needed: {dom}"]
    labels = labels or [f"input {i}" for i in range(len(dom))]
    rows, values = [], dict(sizes)
    named = list(zip(labels, inputs, dom, strict=True))
    for _, x, wire in named:
        _bind(x, wire, values)
    for i, (label, x, wire) in enumerate(named):
        if not isinstance(x, torch.Tensor):
            rows.append(f"{label}: given {type(x).__name__}, needed a torch.Tensor")
        elif (problem := _shape_problem(x, wire, values)) is not None:
            rows.append(f"{label}: given shape {tuple(x.shape)}, needed (*batch, {', '.join(map(str, wire.shape))}){problem}")
        elif kind_of(x) != wire.kind:
            rows.append(f"{label}: given {x.dtype}, needed {KINDS[wire.kind]} tensor for {wire}")
        elif (given := _outside(x, wire, i in ignoring)) is not None:
            rows.append(f"{label}: given values {given}, out of range: needed 0 to {wire.bound - 1} for {wire}")  # type: ignore[operator]
    if not rows:
        batches = {str(tuple(x.shape)[: len(x.shape) - len(wire.axes)]): label for label, x, wire in named if wire.batched}
        if len(batches) > 1:
            rows.append("the batch axes differ: " + ", ".join(f"{batch} in {label}" for batch, label in batches.items()))
    return rows


def _outside(x: torch.Tensor, wire: Wire, ignoring: bool) -> str | None:
    """The range of the values of an index that are not below its bound, None if all are, or if there are none to be seen."""
    if wire.kind != "index" or not isinstance(wire.bound, int) or x.is_meta or not has_memory(x):
        return None
    if ignoring:
        x = x[x != IGNORED]
    if not x.numel() or 0 <= int(x.min()) <= int(x.max()) < wire.bound:
        return None
    return f"from {int(x.min())} to {int(x.max())}"


def _bind(x: Any, wire: Wire, values: dict[str, int]) -> None:
    """Gives a value to the sizes that are symbols and have none yet; the first input that has them as an axis says which."""
    if isinstance(x, torch.Tensor) and x.dim() >= len(wire.axes):
        for actual, size in zip(x.shape[x.dim() - len(wire.axes) :], wire.shape, strict=True):
            if (d := symbol(size)) is not None:
                values.setdefault(d.name, int(actual))


def _shape_problem(x: torch.Tensor, wire: Wire, values: Mapping[str, int]) -> str | None:
    """None if the event shape fits; else what the symbolic sizes are here, if any."""
    if x.dim() < len(wire.axes):
        return ""
    wrong = False
    for actual, size in zip(x.shape[x.dim() - len(wire.axes) :], wire.shape, strict=True):
        d, known = symbol(size), known_size(size, values)
        wrong |= (d is not None and actual < d.min) or (known is not None and known != actual)
    if not wrong:
        return None
    return "".join(f", where {d.name} is {values[d.name]}, at least {d.min}" for d in sorted(wire.dims) if d.name in values)


def explain_failure(graph: Graph, inputs: Sequence[Any], params: Sequence[tuple[str, torch.Tensor]], error: BaseException) -> None:
    """Raise ``BadInput`` from a torch error if the inputs do not fit the term; return if they do."""
    dom = graph.space(graph.inputs)
    if rows := problems(dom, inputs, ignoring=targets(graph)):
        raise errors.BadInput("the inputs do not fit the term", rows, f"the term starts from {dom}; batch axes come first") from error
    tensors = [*((f"input {i}", x) for i, x in enumerate(inputs)), *params]
    for what in ("dtype", "device"):
        kinds: dict[Any, str] = {}
        for name, x in tensors:
            if x.is_floating_point() or what == "device":
                kinds.setdefault(getattr(x, what), name)
        if len(kinds) > 1:
            rows.append(f"two {what}s: " + ", ".join(f"{name} has {kind}" for kind, name in kinds.items()))
    if not rows and torch.is_autocast_enabled("cpu" if not params else params[0][1].device.type) and _written_backward(graph):
        rows.append("autocast is on, and a backward pass that is written out as a network has one dtype: use autograd on the forward one")
    if rows:
        raise errors.BadInput(
            "the inputs do not fit the term", rows, "bring tensors to one dtype and device: x.to(...), model.to(...)"
        ) from error


def _written_backward(graph: Graph) -> bool:
    return any(node.op.key in ("backward", "saving") for node in graph.root.nodes())
