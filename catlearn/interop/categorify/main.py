"""``categorify``: an existing module as a term.

>>> import catlearn as cl, torch
>>> from torch import nn
>>> module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
>>> x = torch.randn(5, 4)
>>> term = categorify(module, x)
>>> list(term.params)
['0.weight', '0.bias', '2.weight', '2.bias']
>>> torch.equal(cl.compile(term)(x), module(x))
True
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.utils import _pytree as pytree

from catlearn import errors
from catlearn.core.term import Term

if TYPE_CHECKING:
    from torch.export import ExportedProgram


def categorify(module: Callable[..., Any], *inputs: Any, dynamic: Any = None, **kwargs: Any) -> Term:
    """The term of a module (or of a function of tensors) on example inputs.

    Its wires are the tensors of ``inputs`` and then of ``kwargs``, each with its whole shape as event shape: no axis is taken for a
    batch. ``dynamic`` names the sizes that may vary, ``[{0: cl.dim("n")}, None]``. Parameters start from the module's own tensors
    and keep their names; ``requires_grad`` says what learns. The module itself is not changed. Raises ``CannotTrace``.
    """
    if not callable(module):
        raise errors.BadInput(f"categorify({type(module).__name__}, ...)", next="give a torch module or a function of tensors")
    return traced(module, inputs, kwargs, dynamic)


def traced(module: Callable[..., Any], inputs: Sequence[Any], kwargs: Mapping[str, Any], dynamic: Any, follow: bool = True) -> Term:
    """The term of a module; ``follow``: of both its modes where they can be laid over each other, else of that in which it is."""
    from catlearn.interop.categorify.build import Assembly
    from catlearn.interop.categorify.inplace import NeedsFunctions
    from catlearn.interop.categorify.modes import aligned, both, functions
    from catlearn.interop.categorify.read import Reader
    from catlearn.interop.trace import Function, trace

    model = module if isinstance(module, nn.Module) else Function(module)
    programs = both(model, inputs, kwargs, dynamic) if follow else (trace(model, inputs, kwargs, dynamic), None)
    specs = _specs(programs[0], inputs, kwargs, dynamic)
    try:
        term = Assembly(Reader(programs[0], model, aligned(*programs), specs).run()).term()
    except NeedsFunctions:
        programs = functions(programs)
        try:
            term = Assembly(Reader(programs[0], model, aligned(*programs), specs).run()).term()
        except NeedsFunctions:
            raise errors.CannotTrace("categorify cannot undo a change in place: a block (a branch, a loop, autocast) changes its inputs",
                                     [], "change buffers outside of the block; batch norm in training changes them") from None  # fmt: skip
    object.__setattr__(term, "training", model.training)
    return term


def _specs(program: ExportedProgram, inputs: Sequence[Any], kwargs: Mapping[str, Any], dynamic: Any) -> dict[str, Any]:
    """What ``dynamic`` says of each input of the program."""
    given: dict[Any, Any] = dict(dynamic) if isinstance(dynamic, Mapping) else dict(enumerate(dynamic or ()))
    rows = [given.get(place) if leaf else None for place, x in (*enumerate(inputs), *kwargs.items())
            for leaf in ([True] if not isinstance(x, list | tuple | dict) else [False] * len(pytree.tree_leaves(x)))]  # fmt: skip
    return dict(zip(program.graph_signature.user_inputs, rows, strict=False))  # type: ignore[arg-type]


__all__ = ["categorify", "traced"]
