"""``compile``: term → plain ``torch.nn.Module``, the meaning in torch.

One module per ``named`` scope, straight-line code in each ``forward`` (``print(model.code)``), one ``state_dict`` entry per true
parameter under its own name. The recorded aten calls are those of the hand-written module.

>>> import catlearn as cl, torch
>>> net = cl.linear(cl.R(4), cl.R(3)).named("stem") >> cl.relu >> cl.linear(cl.R(3), cl.R(2)).named("head")
>>> model = compile(net)
>>> list(model.state_dict())
['stem.linear.weight', 'stem.linear.bias', 'head.linear.weight', 'head.linear.bias']
>>> print(model.code)
def forward(self, x0):
    if x0.shape[-1:] != (4,) or not x0.is_floating_point():
        refuse(x0)
    x0 = self.stem(x0)
    x0 = F.relu(x0)
    x0 = self.head(x0)
    return x0
>>> model(torch.zeros(5, 4)).shape
torch.Size([5, 2])
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from itertools import count
from types import FunctionType
from typing import Any

import torch
from torch import nn

from catlearn import errors
from catlearn.core.graph import Graph, Region
from catlearn.core.term import Term
from catlearn.meanings import runtime
from catlearn.meanings.aliases import accept_aliases
from catlearn.meanings.build import runnable
from catlearn.meanings.checks import check_lines, checked_sizes, explain_failure, refuser
from catlearn.meanings.emit import Emitter, defined, full_batch, result
from catlearn.meanings.initialise import check_params, fresh

_serial, RESERVED = count(), frozenset((*dir(nn.Module()), "code", "term", "title"))  # reserved: what every module has


class Arrow(nn.Module):
    """A compiled scope. ``code`` is the text of its ``forward``; the outermost one knows its ``term``."""

    code: str
    term: Term

    def __copy__(self) -> Arrow:
        new = type(self).__new__(type(self))
        new.__dict__.update(self.__dict__)
        return new

    def __deepcopy__(self, memo: dict[int, Any]) -> Arrow:
        new = memo[id(self)] = type(self).__new__(type(self))
        new.__dict__.update(deepcopy(self.__dict__, memo))
        return new

    def __getstate__(self) -> Any:
        raise errors.BadFile("a compiled module cannot be pickled: its class was made from its term and has no name",
                             next="save the term and the numbers: cl.save(model.term, path), safetensors.torch.save_file("
                             "model.state_dict(), path); then cl.compile(cl.load(path), safetensors.torch.load_file(path))")  # fmt: skip


def _guarded(self: Arrow, *inputs: Any, **kwargs: Any) -> Any:
    try:
        return nn.Module.__call__(self, *inputs, **kwargs)
    except (RuntimeError, TypeError, IndexError, AttributeError) as error:
        if kwargs and isinstance(error, TypeError):
            raise errors.BadInput("inputs are given by their places", [f"given by name: {', '.join(kwargs)}"]) from error
        if not isinstance(error, errors.CatlearnError):
            explain_failure(self.term.graph, inputs, list(self.named_parameters()), error)
        raise


def _guard() -> Callable[..., Any]:
    """``__call__`` of an outermost module: a torch error that comes from wrong inputs is put into the user's words.

    A code object of its own each time, since ``torch.compile`` counts recompilations by code object.
    """
    return FunctionType(_guarded.__code__.replace(co_name="__call__"), globals(), "__call__")


class Parameters(nn.Module):
    """The parameters and state of one box."""

    def __init__(self, title: str = "") -> None:
        super().__init__()
        self.title = title

    def extra_repr(self) -> str:
        return self.title


def compile(term: Term, params: Mapping[str, Any] | None = None, state: Mapping[str, Any] | None = None,
            sizes: Mapping[str, int] | None = None, device: Any = None, dtype: Any = None, seed: int = 0) -> Arrow:  # fmt: skip
    """The torch module of a term.

    ``params`` and ``state`` (name → tensor) override the starting values, which are otherwise drawn from ``seed``; ``sizes`` gives
    values to symbolic sizes (needed if a parameter has one). Inputs are positional, one tensor ``(*batch, *event)`` per wire; the
    result is a tensor, a tuple, or ``()`` for one, many, no outputs. Raises ``ParamMismatch``, ``SizeUnknown``, ``ReservedName``,
    ``NoRule``.
    """
    graph, sizes = term.graph, checked_sizes(term, sizes or {})
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise errors.BadInput(f"compile(dtype={dtype})", ["weights are floating-point numbers"], "for example dtype=torch.float64")
    for name in (*graph.params, *graph.states):
        _check_path(name)
    # the classes are made once for a term, so that its models are of one class
    builders = graph.__dict__.setdefault("_builders", {})
    key = tuple(sorted(sizes.items()))
    if key not in builders:
        builders[key] = _Builder(runnable(graph), sizes)
    model = builders[key].build()
    values = fresh(graph.params, seed, sizes, dtype)
    if params is not None:
        check_params(graph.params, params, sizes)
        values = {name: _as(values[name], params[name], name) for name in values}
    for name, param in graph.params.items():
        learns = param.trainable and param.wire.kind == "float"
        _place(model, name).register_parameter(name.rpartition(".")[2], nn.Parameter(values[name], requires_grad=learns))
    buffers = fresh(graph.states, seed, sizes, dtype)
    if state is not None:
        check_params(graph.states, state, sizes)
        buffers = {name: _as(buffers[name], state[name], name) for name in buffers}
    for name, value in buffers.items():
        _place(model, name).register_buffer(name.rpartition(".")[2], value)
    _label(model, graph)
    if graph.aliases:
        model.register_load_state_dict_pre_hook(accept_aliases(graph.aliases))
    model.train(term.training).__dict__["term"] = term
    return model.to(device) if device is not None else model


def _as(default: torch.Tensor, given: Any, name: str) -> torch.Tensor:
    """A given value in the dtype of the parameter that it is for: floats may change precision, nothing changes kind."""
    value = torch.as_tensor(given).detach().clone()
    if value.is_floating_point() != default.is_floating_point():
        raise errors.ParamMismatch(shapes={name: f"given {value.dtype}, needed {default.dtype}"})
    given_dtype = isinstance(given, torch.Tensor) and value.is_floating_point()
    return value if given_dtype and default.dtype == torch.get_default_dtype() else value.to(default.dtype)


def _check_path(name: str) -> None:
    for part in name.split("."):
        if part in RESERVED:
            raise errors.ReservedName(part, name)


def _place(model: nn.Module, name: str) -> nn.Module:
    """The module that holds a parameter, made on the way if it is not there."""
    for part in name.split(".")[:-1]:
        if part not in model._modules:
            model.add_module(part, Parameters())
        model = model._modules[part]  # type: ignore[assignment]
    return model


def _label(model: nn.Module, graph: Graph) -> None:
    for node in graph.root.nodes():
        try:
            holder = model.get_submodule(node.name)
        except AttributeError:
            continue
        if isinstance(holder, Parameters):
            holder.title = str(node.op)


class _Builder:
    """Builds the module of every region, the innermost first; equal code is compiled once."""

    def __init__(self, graph: Graph, sizes: dict[str, int]) -> None:
        self.graph, self.sizes = graph, sizes
        self.keys = {wire: name for name, wire in graph.param_wires.items()}
        self.keys.update({old: name for name, (old, _) in graph.state_wires.items()})
        for node in graph.root.nodes():  # a state keeps its place, however many boxes update it
            for k in range(1, len(node.op.state_names) + 1):
                self.keys[node.outs[-k]] = self.keys[node.args[-k]]
        self.functions: dict[str, Callable[..., Any]] = {}
        self.classes: dict[int, type[Arrow]] = {}
        self.objects: dict[str, Any] = {}
        self.extras = _foreign(graph, self.keys)

    def build(self) -> Arrow:
        """A module of each class, put together."""
        root, modules = self.graph.root, {}
        for region in reversed(_preorder(root)):
            if id(region) not in self.classes:
                members = self.members(self.code(region), root is region)
                self.classes[id(region)] = type(_class_name(region.path), (Arrow,), members)
            made = self.classes[id(region)]()
            for item in region.items:
                if isinstance(item, Region):
                    if item.path[-1] in RESERVED:
                        raise errors.ReservedName(item.path[-1], ".".join(item.path))
                    made.add_module(item.path[-1], modules.pop(id(item)))  # where a repeat shares it, again and alike
            modules[id(region)] = made
        return modules[id(root)]

    def members(self, code: str, root: bool) -> dict[str, Any]:
        own = {"forward": self.function(code, root), "code": code}
        return {**own, "__call__": _guard()} if root else own

    def function(self, code: str, root: bool) -> Callable[..., Any]:
        if root or code not in self.functions:
            file = f"<catlearn {next(_serial)}>"
            space = {**runtime.NAMESPACE, **self.objects}
            if root:
                space["refuse"] = refuser(self.graph, self.sizes)
            self.functions[code] = defined(code, file, space, "forward")
        return self.functions[code]

    def code(self, region: Region) -> str:
        depth, root = len(region.path), not region.path

        def param(wire: int) -> str | None:
            key = self.keys.get(wire)
            return None if key is None or tuple(key.split(".")[:depth]) != region.path else _attribute("self", key.split(".")[depth:])

        e = Emitter(self.graph, param, self.sizes, objects=self.objects)
        extras = self.extras[id(region)]
        uses = [wire for item in region.items for wire in self.arguments(item)]
        names = e.begin(region.dom, extras, uses, region.cod)
        if root:
            check_lines(e, region.dom, names)
        e.bind_dims(region.dom)
        for item in region.items:
            if isinstance(item, Region):
                self.call(e, item)
            else:
                e.run(item)
        outs = [e.use(wire) for wire in region.cod]
        if root:
            outs = full_batch(e, region.dom, region.cod, outs, names)
        body = [*e.lines, f"return {result(outs)}"]
        return "\n".join([f"def forward({', '.join(['self', *names])}):", *("    " + line for line in body)])

    def arguments(self, item: Any) -> Sequence[int]:
        return (*item.dom, *self.extras[id(item)]) if isinstance(item, Region) else item.args

    def call(self, e: Emitter, region: Region) -> None:
        args = ", ".join([e.use(wire) for wire in self.arguments(region)])
        inside, outs, seen = set(region.dom), [], set()
        for wire in region.cod:  # a wire that only passes through keeps the variable it has
            new = wire not in inside and wire not in seen and self.keys.get(wire) is None and wire not in e.text
            seen.add(wire)
            outs += e.define([wire]) if new else ["_"]
        target = _attribute("self", [region.path[-1]])
        if region.checkpoint and (stateful := [node for node in region.nodes() if node.op.state_names]):
            raise errors.BadCheckpoint(".".join(region.path), stateful[0].name)
        text = f"checkpoint({target}, {args}, use_reentrant=False)" if region.checkpoint else f"{target}({args})"
        e.lines.append(f"{', '.join(outs)} = {text}" if outs else text)


def _foreign(graph: Graph, keys: Mapping[int, str]) -> dict[int, list[int]]:
    """For each region the wires it reads that are neither its own inputs, nor made in it, nor parameters held by it."""
    found: dict[int, list[int]] = {}  # by identity: copies of a shared repeat have one path
    made: dict[int, set[int]] = {}
    for region in reversed(_preorder(graph.root)):
        own, needed = set(region.dom), {}
        for item in region.items:
            wires = (*item.dom, *found[id(item)]) if isinstance(item, Region) else item.args
            for wire in wires:
                held = wire in keys and tuple(keys[wire].split(".")[: len(region.path)]) == region.path
                if wire not in own and not held:
                    needed[wire] = None
            own |= made[id(item)] if isinstance(item, Region) else set(item.outs)
        for wire in region.cod:
            if wire not in own and not (wire in keys and tuple(keys[wire].split(".")[: len(region.path)]) == region.path):
                needed[wire] = None
        found[id(region)], made[id(region)] = list(needed), set(region.cod)
    return found


def _preorder(root: Region) -> list[Region]:
    found, stack = [], [root]
    while stack:
        top = stack.pop()
        found.append(top)
        stack += [item for item in reversed(top.items) if isinstance(item, Region)]
    return found


def _attribute(owner: str, path: Sequence[str]) -> str:
    for part in path:
        owner = f"{owner}.{part}" if part.isidentifier() and not keyword.iskeyword(part) else f"getattr({owner}, {part!r})"
    return owner


def _class_name(path: tuple[str, ...]) -> str:
    word = "".join(c for c in (path[-1] if path else "Arrow") if c.isalnum() or c == "_")
    return word[:1].upper() + word[1:] if word[:1].isalpha() else f"Arrow{word}"


__all__ = ["Arrow", "Parameters", "compile"]
