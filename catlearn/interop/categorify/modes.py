"""A module in its two modes: traced in training and in evaluation, and the two programs laid over each other.

Where they are one sequence of calls, an argument in which they differ (the probability of a dropout, the flag of a norm) becomes a
``Mode``, so that the term follows ``train()`` and ``eval()`` as the module does. Where they are not, the term is the module in the
mode in which it was given.

>>> import torch
>>> aligned(*both(torch.nn.Dropout(0.1).eval(), (torch.ones(3),), {}, None)) is None
False
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import fx, nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from catlearn import errors
from catlearn.interop.categorify.aten import Mode
from catlearn.interop.trace import trace

CHECKS = ("aten._assert_tensor_metadata", "aten._assert_scalar", "aten._assert_async", "aten.sym_constrain_range", "aten._assert")
Twins = Mapping[fx.Node, fx.Node]
Programs = tuple[ExportedProgram, ExportedProgram | None]


def both(module: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], dynamic: Any) -> Programs:
    """The program in the module's own mode, and the one in the other mode; None where there is none."""
    program = trace(module, args, kwargs, dynamic)
    flags = {part.training for part in module.modules()} if isinstance(module, nn.Module) else set()
    if not isinstance(module, nn.Module) or len(flags) != 1:
        return program, None
    try:
        with _switched(module):
            return program, trace(module, args, kwargs, dynamic)
    except errors.CannotTrace:
        return program, None


def functions(programs: Programs) -> Programs:
    """The programs with changes in place undone by torch."""
    found = []
    for program in programs:
        for part in program.graph_module.modules() if program is not None else ():
            if isinstance(part, fx.GraphModule):
                _cut(part)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch's own, about itself
            found.append(None if program is None else program.run_decompositions({}))
    return found[0], found[1]


def _cut(module: fx.GraphModule) -> None:
    """Marks by ``detach`` what comes out of a block without gradients: torch would take the block away, and its meaning with it."""
    for block in [node for node in module.graph.nodes if str(node.target) == "wrap_with_set_grad_enabled" and node.args[0] is False]:
        for value in [user for user in block.users if user.target is operator.getitem and tensor_of(user) is not None]:
            with module.graph.inserting_after(value):
                cut = module.graph.call_function(torch.ops.aten.detach.default, (value,))
            cut.meta.update(value.meta)
            value.replace_all_uses_with(cut, lambda user, cut=cut: user is not cut)
    module.recompile()


def tensor_of(node: fx.Node) -> torch.Tensor | None:
    """The float tensor that a node gives, if it does."""
    value = node.meta.get("val")
    return value if isinstance(value, torch.Tensor) and value.is_floating_point() else None


@contextmanager
def _switched(module: nn.Module) -> Iterator[None]:
    parts = [(part, part.training) for part in module.modules()]
    try:
        for part, was in parts:
            part.training = not was  # not train(), which a module may have made its own
        yield
    finally:
        for part, was in parts:
            part.training = was


def calls(program: ExportedProgram) -> list[fx.Node]:
    """The calls that compute something: checks of torch's own, and the counting of batches, are none."""
    counters, found = set(counted(program)), []
    for node in program.graph.nodes:
        if str(node.target) == "aten.add_.Tensor" and node.args[0] in counters:
            counters.add(node)  # a norm that runs twice counts twice
        elif node.op in ("call_function", "get_attr") and not checks(node) and through(node) is node:
            found.append(node)
    return found


def through(node: fx.Node) -> fx.Node:
    """The value behind copies that only lay it out in memory: which of them a trace has depends on how its kernels lay out theirs."""
    while str(node.target) == "aten.contiguous.default" and len(node.args) == 1 and not node.kwargs:
        node = node.args[0]  # type: ignore[assignment]
    return node


def checks(node: fx.Node) -> bool:
    """Whether a node only checks what the trace assumed: an assertion, or a comparison of sizes for one."""
    if str(node.target).startswith(CHECKS):
        return True
    return node.target in (operator.ge, operator.le, operator.eq, operator.gt, operator.lt) and all(map(checks, node.users))


def counted(program: ExportedProgram) -> dict[fx.Node, str]:
    """The buffers in which batch norms count batches."""
    named = program.graph_signature.inputs_to_buffers
    return {node: named[node.name] for node in program.graph.nodes
            if node.op == "placeholder" and named.get(node.name, "").endswith("num_batches_tracked")}  # fmt: skip


def aligned(program: ExportedProgram, other: ExportedProgram | None) -> Twins | None:
    """For each call of a program the one of another, if they have the same targets and shapes, one by one."""
    if other is None:
        return None
    ours, theirs = calls(program), calls(other)
    if len(ours) != len(theirs) or any(a.target != b.target or _shape(a) != _shape(b) for a, b in zip(ours, theirs, strict=True)):
        return None
    signatures = program.graph_signature, other.graph_signature
    names = [[(spec.kind, spec.target) for spec in signature.input_specs] for signature in signatures]
    if names[0] != names[1]:
        return None
    if any(_inside(program, a) != _inside(other, b) for a, b in zip(ours, theirs, strict=True)):
        return None  # blocks are not laid over each other
    twins = dict(zip(ours, theirs, strict=True))
    inputs = [[node for node in p.graph.nodes if node.op == "placeholder"] for p in (program, other)]
    twins.update(zip(*inputs, strict=True))
    same = all(_same(arguments(node), arguments(twin), twins) for node, twin in twins.items())
    return twins if same else None


def _inside(program: ExportedProgram, node: fx.Node) -> str:
    """What the graphs of a block do, as text."""
    held = getattr(program.graph_module, str(node.target), None) if node.op == "get_attr" else None
    return "".join(str(m.code) for m in held.modules() if isinstance(m, fx.GraphModule)) if isinstance(held, fx.GraphModule) else ""


def arguments(node: fx.Node) -> list[Any]:
    """The arguments in the order of the schema, each one that was left out by its default."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return list(node.args)
    given, found = list(node.args), []
    for i, a in enumerate(node.target._schema.arguments):
        found.append(given[i] if i < len(given) and not a.kwarg_only else node.kwargs.get(a.name, a.default_value))
    return found


def _shape(node: fx.Node) -> Any:
    return pytree.tree_map(lambda x: len(x.shape) if isinstance(x, torch.Tensor) else 0, node.meta.get("val"))


def _same(a: Any, b: Any, twins: Twins) -> bool:
    """Whether two arguments are the same values; numbers may differ."""
    if isinstance(a, fx.Node):
        return isinstance(b, fx.Node) and twins.get(through(a), through(b)) is through(b)
    if isinstance(a, list | tuple):
        return isinstance(b, list | tuple) and len(a) == len(b) and all(_same(x, y, twins) for x, y in zip(a, b, strict=True))
    return a == b or (isinstance(a, int | float) and isinstance(b, int | float))


def merged(a: Any, b: Any, training: bool) -> Any:
    """An argument of the module's own mode over that of the other: one value, or a ``Mode``."""
    if isinstance(a, fx.Node) or a == b:
        return a
    if isinstance(a, list | tuple):
        return tuple(merged(x, y, training) for x, y in zip(a, b, strict=True))
    return Mode(a, b) if training else Mode(b, a)


__all__ = ["aligned", "arguments", "both", "calls", "checks", "counted", "functions", "merged", "through"]
