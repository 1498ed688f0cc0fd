"""Running what is opaque: a user's torch function or module, and its backward pass by torch's autograd on that box alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from catlearn import errors
from catlearn.boxes.constant import has_memory
from catlearn.meanings.initialise import seed_of

Tensors = tuple[torch.Tensor, ...]


@dataclass
class History:
    """What autograd keeps of one run: the float outputs with their history, and the inputs that they came from."""

    ys: Tensors
    inputs: Tensors
    again: bool  # whether the cotangents may themselves be differentiated
    pull: Callable[..., Tensors] | None = None  # in a transform or a trace: all the cotangents

    def back(self, dys: Tensors, mask: Sequence[bool]) -> tuple[Any, ...]:
        """The cotangents of the float inputs; None where ``mask`` does not want them."""
        if self.pull is not None:
            return tuple(g if want else None for g, want in zip(self.pull(dys), mask, strict=True))
        floats = [x for x in self.inputs if x.is_floating_point()]
        wanted = [x for x, want in zip(floats, mask, strict=True) if want]
        pairs = [(y, dy) for y, dy in zip(self.ys, dys, strict=True) if y.requires_grad]
        found: Any = [None] * len(wanted)
        if pairs and wanted:
            found = torch.autograd.grad([y for y, _ in pairs], wanted, [dy for _, dy in pairs], allow_unused=True, create_graph=self.again)
        grads = iter(torch.zeros_like(x) if g is None else g for x, g in zip(wanted, found, strict=True))
        return tuple(next(grads) if want else None for want in mask)


def remember(f: Callable[..., Any], inputs: Tensors, name: str = "the box") -> tuple[Any, ...]:
    """Run f, and return its outputs and then the history of the run. Raises ``BadBox`` if f changes an input in place."""
    if not all(map(has_memory, inputs)):
        outs, pull = reversed_in_transform(f, inputs, [i for i, x in enumerate(inputs) if x.is_floating_point()])
        return (*outs, History((), (), True, pull))
    again = torch.is_grad_enabled() and any(x.requires_grad for x in inputs)
    with torch.enable_grad():
        leaves = tuple(_leaf(x, again) for x in inputs)
        try:
            outs = f(*leaves)
        except RuntimeError as error:
            if "in-place operation" not in str(error):
                raise
            rows = "a function that changes its inputs or parameters in place, which has no reverse derivative"
            raise errors.BadBox(name, rows, "a function that makes new tensors", "for example x * 2 for x.mul_(2)") from error
    outs = tuple(outs) if isinstance(outs, tuple | list) else (outs,)
    history = History(tuple(y for y in outs if y.is_floating_point()), leaves, again)
    return (*(y if again else y.detach() for y in outs), history)


def reversed_in_transform(f: Callable[..., Any], args: Sequence[Any], at: Sequence[int]) -> tuple[Tensors, Callable[..., Tensors]]:
    """The outputs of f, and the function from cotangents of the float ones to those of the arguments ``at`` these places.

    What autograd does elsewhere, for tensors that stand in for others in one of torch's transforms (``vmap``, ``jvp``, ``grad``) or in
    a trace.
    """

    def run(*some: torch.Tensor) -> tuple[Tensors, Tensors]:
        row = list(args)
        for i, x in zip(at, some, strict=True):
            row[i] = x
        found = f(*row)
        outs = tuple(found) if isinstance(found, tuple | list) else (found,)
        return tuple(y for y in outs if y.is_floating_point()), outs

    _, pull, outs = torch.func.vjp(run, *(args[i] for i in at), has_aux=True)  # type: ignore[misc]
    return outs, lambda dys: pull(tuple(dys))


def _leaf(x: torch.Tensor, again: bool) -> torch.Tensor:
    """A tensor to begin from: a view where its own history matters, so that one that depends on another has its own cotangent."""
    if not x.is_floating_point():
        return x
    return x.view_as(x) if again and x.requires_grad else x.detach().requires_grad_()


def vjp(f: Callable[..., Any], args: tuple[Any, ...], dys: tuple[Any, ...], wanted: Sequence[int]) -> tuple[Any, ...]:
    """Torch's autograd on one box: the cotangents of the wanted arguments, differentiable in their turn where gradients are on."""
    if not all(map(has_memory, args)):
        return reversed_in_transform(f, args, wanted)[1](dys)
    again = torch.is_grad_enabled() and any(t.requires_grad for t in (*args, *dys))
    with torch.enable_grad():
        # views, so that one tensor given twice has two cotangents
        inputs = [a.view_as(a) if again and a.requires_grad else a.detach().requires_grad_(i in wanted) for i, a in enumerate(args)]
        ys = f(*inputs)
        ys = [y for y in (ys if isinstance(ys, tuple | list) else (ys,)) if y.is_floating_point()]
        pairs = [(y, dy) for y, dy in zip(ys, dys, strict=True) if y.requires_grad]
        outs, seeds, sources = [y for y, _ in pairs], [dy for _, dy in pairs], [inputs[i] for i in wanted]
        grads = torch.autograd.grad(outs, sources, seeds, allow_unused=True, create_graph=again) if pairs else [None] * len(wanted)
    return tuple(torch.zeros_like(inputs[i]) if g is None else g for i, g in zip(wanted, grads, strict=True))


def seeded(key: int | None, name: str, f: Callable[..., Any], *args: Any, **named: Any) -> Any:
    """Run f with torch's global generators seeded by key and name, and put back afterwards."""
    if key is None:
        return f(*args, **named)
    with torch.random.fork_rng():
        torch.manual_seed(seed_of(key, name))
        return f(*args, **named)


OPAQUE: dict[str, Callable[..., Any]] = {"remember": remember, "seeded": seeded, "vjp": vjp}
