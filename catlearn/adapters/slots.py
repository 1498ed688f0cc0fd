"""What an adapted module holds: for each adapted tensor a ``Slot`` of named ``Cell``s, each the parameters of one adapter.

Nothing of the module's own moves or changes its name: ``state_dict`` has the keys that it had, and beside them
``adapters.<tensor>.<adapter>.<parameter>``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from catlearn import errors
from catlearn.adapters.definition import Adapter, Layout, Place
from catlearn.adapters.expressions import Expression, expression, refused
from catlearn.adapters.positions import by_position
from catlearn.maps.running import run
from catlearn.meanings.initialise import start as drawn

VIEWS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {  # how a stored tensor is a matrix (out, in), and back
    "plain": (lambda w: w, lambda m, shape: m),
    "transposed": (lambda w: w.t(), lambda m, shape: m.t()),
    "flat": (lambda w: w.flatten(1), lambda m, shape: m.reshape(shape)),
    "flat tensor": (lambda w: w, lambda m, shape: m.reshape(shape)),
    "turned": (lambda w: w.transpose(0, 1).flatten(1), lambda m, shape: m.reshape(shape[1], shape[0], *shape[2:]).transpose(0, 1)),
    "turned tensor": (lambda w: w.transpose(0, 1), lambda m, shape: m.reshape(shape[1], shape[0], *shape[2:]).transpose(0, 1)),
}


class MergedState(UserWarning):
    """A state was taken of a model whose adapters are merged and kept."""


class Shared(nn.Module):
    """The tensors that all places of one adapter have in common; the cell of the first place holds them."""


class Cell(nn.Module):
    """One adapter at one place: what is trained are parameters, what is frozen are buffers."""

    adapter: Adapter
    layout: Layout
    common: tuple[Shared | None]

    def __init__(self, adapter: Adapter, layout: Layout, tensors: Mapping[str, torch.Tensor], shared: Shared | None, first: bool) -> None:
        super().__init__()
        # plain values past Module.__setattr__, which asks of each whether it is a tensor: a third of what putting adapters in costs
        vars(self).update(adapter=adapter, layout=layout, common=(shared,))  # a tuple: registered at the first place only
        if shared is not None and first:
            self._modules["shared"] = shared
        for name, tensor in tensors.items():
            hold(self, name, tensor, layout.own[name].trainable)

    def value(self, name: str, W: Callable[[], torch.Tensor], expert: int | None = None) -> torch.Tensor:
        """The tensor of a leaf: held, or read off others. ``W()`` is the weight that this adapter acts on."""
        read = self.layout.reads.get(name)
        if read is None:
            return self.held(name, expert)
        given = []
        for source in read.sources:
            if source == "W":
                given.append(W())
            elif source == "training":
                given.append(self.training)
            elif source.startswith("shared."):
                given.append(getattr(self.common[0], source[7:]))
            else:
                given.append(self.held(source, expert))
        return read.rule(*given)

    def held(self, name: str, expert: int | None) -> torch.Tensor:
        found = getattr(self, name)
        return found if expert is None else found[expert]

    def extra_repr(self) -> str:
        return str(self.adapter)


def hold(module: nn.Module, name: str, tensor: torch.Tensor, trainable: bool) -> None:
    """Registers a tensor: as a parameter if it is trained, else as a buffer.

    Straight into the module's dictionaries: torch's own functions ask whether the module has the name by letting ``__getattr__`` fail,
    which takes longer than all the rest.
    """
    if hasattr(type(module), name) or name in vars(module):
        raise errors.BadAdapter(f"a tensor called {name!r}", ["torch or the library uses this name"], "rename it in the formula")
    if trainable:
        module._parameters[name] = nn.Parameter(tensor)
    else:
        module._buffers[name] = tensor


def starts(adapter: Adapter, layout: Layout, W: torch.Tensor, at: Place, path: str) -> dict[str, torch.Tensor]:
    """What an adapter's tensors start from at a place: as the formula says, or as ``start`` computes from the weight."""
    given = adapter.start(W.detach(), at)
    found = {}
    for name, param in layout.own.items():
        value = given[name].detach().clone() if name in given else drawn(f"{path}/{name}", param, at.seed, dtype=torch.float32)
        found[name] = value.detach().to(W.device, W.dtype if value.is_floating_point() else value.dtype).contiguous()
    return found


@dataclass(frozen=True)
class Acting:
    """Adapters that act together: their expression, in which they are called 0, 1, …, and their cells by these names.

    The names are not the user's, so that adapters of one method share one expression: to a compiled model their tensors are inputs, and
    the next adapter of the same method is not compiled anew.
    """

    expression: Expression
    cells: Mapping[str, Cell]

    def of(self, acts: tuple[bool, ...]) -> Acting | None:
        """Those that act at some positions; None for none."""
        e = self.expression if all(acts) else self.expression.fewer[acts]
        return None if e is None else Acting(e, self.cells)


class Slot(nn.ModuleDict):
    """The adapters of one tensor of a module, in the order in which they were put in.

    ``active``: which act, as (name, number) pairs, a number None for a stack. ``experts``: how many matrices a three-way tensor holds.
    """

    o: int
    i: Any
    view: str
    experts: int | None
    active: tuple[tuple[str, float | None], ...]
    enabled: bool
    merged: bool
    acting: Acting | None
    mask: torch.Tensor | None
    samples: tuple[str | None, ...] | None
    sampled: dict[str, Acting]

    def __init__(self, o: int, i: Any, view: str, experts: int | None = None) -> None:
        super().__init__()
        vars(self).update(o=o, i=i, view=view, experts=experts, active=(), enabled=True, merged=False, acting=None, mask=None,
                          samples=None, sampled={})  # fmt: skip

    def cell(self, name: str) -> Cell:
        """The adapter of this name."""
        return self[name]  # type: ignore[return-value]

    # -- state ---------------------------------------------------------------------------------------------------------

    def _replicate_for_data_parallel(self) -> Any:
        """torch's copy for another device gets its cells afterwards, one by one; they act as soon as all are there."""
        replica = super()._replicate_for_data_parallel()
        vars(replica).update(acting=None, replica=True)
        return replica

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if isinstance(value, Cell) and "replica" in vars(self) and all(isinstance(self._modules[name], Cell) for name, _ in self.active):
            self.settle()

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if self.merged and any(self._modules):
            said = "this state holds merged weights, and beside them adapters, which would count twice in an adapted model"
            warnings.warn(f"{prefix.rstrip('.')}: {said}; cl.unmerge first, or cl.merge(model, keep_base=False)", MergedState, stacklevel=2)

    def settle(self) -> None:
        """Finds the expression of what is active; to be called after every change."""
        vars(self)["acting"] = self.of(self.active) if self.enabled and not self.merged else None

    def of(self, active: tuple[tuple[str, float | None], ...]) -> Acting | None:
        """The expression of these adapters; None if there are none."""
        stack = tuple((str(k), self.cell(name).adapter, number) for k, (name, number) in enumerate(active))
        cells = {str(k): self.cell(name) for k, (name, _) in enumerate(active)}
        return Acting(expression(stack, self.o, self.i), cells) if stack else None

    # -- values --------------------------------------------------------------------------------------------------------

    def tensors(self, act: Acting, keys: Any, W: torch.Tensor, b: torch.Tensor | None, expert: int | None = None) -> list[torch.Tensor]:
        """The tensors of an expression's parameters, in its order."""
        found = []
        for name, leaf in keys:
            if not name:
                found.append(W if leaf == "W" else W.new_zeros(self.o) if b is None else b)
            else:
                found.append(act.cells[name].value(leaf, lambda name=name: self.beneath(act, name, W, expert), expert))
        return found

    def beneath(self, act: Acting, name: str, W: torch.Tensor, expert: int | None) -> torch.Tensor:
        """The weight that an adapter of a stack acts on, (out, in)."""
        inner = dict(act.expression.below)[name]
        return W if inner is None else self.write(Acting(inner, act.cells), W, expert)

    def write(self, act: Acting, W: torch.Tensor, expert: int | None = None) -> torch.Tensor:
        """The adapted weight written out, of the shape of W."""
        return act.expression.write(W, 1, *self.tensors(act, act.expression.keys, W, None, expert))[0].reshape(W.shape)

    def effective(self, raw: torch.Tensor, act: Acting | None = None) -> torch.Tensor:
        """The adapted tensor in place of the stored one."""
        act = self.acting if act is None else act
        if act is None:
            return raw
        there, back = VIEWS[self.view]
        if self.experts is not None:
            return torch.stack([back(self.write(act, there(raw[k]), k), raw.shape[1:]) for k in range(self.experts)])
        return back(self.write(act, there(raw)), raw.shape)

    def begin(self) -> None:
        """A new draw for the methods that draw, one training step more for those that count them: once in each forward pass."""
        if not (self.training and torch.is_grad_enabled()):
            return
        acting = [self.acting] if self.samples is None else self.sampled.values()
        for cell in [cell for act in acting if act is not None for cell in act.cells.values()]:
            if cell.adapter.draws:  # a pass that is run again has torch's generator as it was, and draws the same
                cell.get_buffer("draw").uniform_()
            if cell.adapter.counts and not again():
                cell.get_buffer("step").add_(1)

    def bias(self, act: Acting, W: torch.Tensor, b: torch.Tensor | None) -> torch.Tensor | None:
        """The adapted bias; W as a matrix."""
        e = act.expression
        if e.keeps_bias:
            return b
        return e.write_bias(W, 1, *self.tensors(act, e.bias_keys, W, b))[0].reshape(self.o)

    def apply_to(self, act: Acting, x: torch.Tensor, W: torch.Tensor, b: torch.Tensor | None) -> torch.Tensor:
        """The adapted layer on vectors (*batch, in)."""
        if act.expression.fewer:
            return by_position(self, act, x, lambda some, part: self.everywhere(some, part, W, b))
        return self.everywhere(act, x, W, b)

    def everywhere(self, act: Acting | None, x: torch.Tensor, W: torch.Tensor, b: torch.Tensor | None) -> torch.Tensor:
        """The layer under these adapters on all vectors."""
        if act is None:
            return F.linear(x, W, b)
        e = act.expression
        if self.training and e.stuck is not None:
            raise refused(e.stuck)
        if b is None and e.keeps_bias:
            return run(e.alone if self.training and e.noisy else e.weight, x, self.tensors(act, e.keys, W, None))
        return run(e.loud if self.training else e.layer, x, self.tensors(act, e.layer_keys, W, b))


def again() -> bool:
    """Whether a forward pass runs a second time, inside the backward pass, because its activations were not kept (checkpointing)."""
    return not torch.compiler.is_compiling() and torch._C._current_graph_task_id() != -1
