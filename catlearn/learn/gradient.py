"""The gradient of a closed network: loss and cotangents of the parameters from parameters and a batch.

``compiled`` runs the reverse derivative of the term as straight-line code, without autograd; ``by_autograd`` runs the compiled module
under torch's autograd, which is what autocast, ``torch.compile`` and activation checkpoints need. Both give the same numbers.

>>> import catlearn as cl, torch
>>> from catlearn.learn.losses import closed, on
>>> net = cl.linear(cl.R(1), cl.R(1), bias=False)
>>> run = compiled(closed(net, on(cl.mse, net)))
>>> run({"linear.weight": torch.tensor([[3.0]])}, {}, 0, True, (torch.tensor([[2.0]]), torch.tensor([[5.0]])), torch.tensor(1.0))
(tensor(1.), [tensor([[4.]])])
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, TypeAlias

import torch

from catlearn.core.graph import Region
from catlearn.core.term import Term
from catlearn.meanings.checks import explain_failure
from catlearn.meanings.functional import function
from catlearn.meanings.module import compile
from catlearn.meanings.reverse import reverse_graph

Tensors = Mapping[str, torch.Tensor]
Gradient: TypeAlias = Callable[..., tuple[torch.Tensor, list[torch.Tensor]]]
"""``(params, state, key, training, batch, seed) -> (loss, cotangents in writing order)``; ``seed`` is the loss's own cotangent."""


def learned(term: Term) -> list[str]:
    """The parameters that learn, in writing order."""
    return [name for name, param in term.params.items() if param.trainable and param.wire.kind == "float"]


def compiled(term: Term, sizes: Mapping[str, int] | None = None) -> Gradient:
    """The reverse derivative of a closed term, compiled; the state is updated in place."""
    graph, names = reverse_graph(term.graph, values=True, inputs=False), learned(term)
    by_name = dict(zip(sorted(n for n, p in term.params.items() if p.trainable), graph.outputs[1:], strict=True))
    graph.outputs = (graph.outputs[0], *(by_name[name] for name in names))
    graph.root.cod = graph.outputs
    run = function(graph, sizes)

    def gradient(p: Tensors, s: Tensors, key: Any, training: bool, batch: Sequence[Any], seed: torch.Tensor) -> Any:
        loss, *grads = run(p, s, key, training, *batch, seed)
        return loss, grads

    return gradient


def by_autograd(term: Term, p: Tensors, s: Tensors, autocast: torch.dtype | None = None, torch_compile: bool = False,
                sizes: Mapping[str, int] | None = None) -> Gradient:  # fmt: skip
    """The compiled module under autograd; it holds these very tensors, so that moving them in place moves it."""
    module, names = compile(term, p, s, sizes=sizes), learned(term)
    for name, value in module.named_parameters():
        value.data = p[name]
    for name, value in module.named_buffers():
        value.data = s[name]
    leaves = dict(module.named_parameters())
    row = [leaves[name] for name in names]
    call: Any = torch.compile(module) if torch_compile else module
    random = "random" in term.graph.effects

    def gradient(p: Tensors, s: Tensors, key: Any, training: bool, batch: Sequence[Any], seed: torch.Tensor) -> Any:
        module.train(training)
        if random:
            torch.manual_seed(key)
        device = seed.device.type
        with torch.enable_grad(), torch.autocast(device, autocast) if autocast else nullcontext():
            loss = call(*batch)
        grads = torch.autograd.grad(loss, row, seed.to(loss.dtype), allow_unused=True)
        return loss.detach(), [torch.zeros_like(leaf) if g is None else g for leaf, g in zip(row, grads, strict=True)]

    return gradient


def checkpointed(term: Term) -> bool:
    """Whether any scope runs again in the backward pass instead of keeping activations."""
    stack: list[Region] = [term.graph.root]
    while stack:
        region = stack.pop()
        if region.checkpoint:
            return True
        stack += [item for item in region.items if isinstance(item, Region)]
    return False


def explain(term: Term, batch: Sequence[Any], p: Tensors, error: BaseException) -> None:
    """Raise ``BadInput`` if a batch does not fit the closed term; return if it does."""
    explain_failure(term.graph, batch, list(p.items()), error)
