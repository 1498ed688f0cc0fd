"""Small questions about traced programs: shapes, kinds, names, and where a call stands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import fx, nn

from catlearn.core.sizes import Poly, dims
from catlearn.core.source import Source
from catlearn.core.spaces import Axis
from catlearn.interop.categorify.aten import Place, Sized

Frame = tuple[str, str]  # a name, and which call of which module it is ("" for a container, which is not called)


def tensors_of(module: nn.Module) -> dict[str, torch.Tensor]:
    """What the ``state_dict`` holds, under every name."""
    kept = set(module.state_dict(keep_vars=True))
    tensors = {**dict(module.named_parameters(remove_duplicate=False)), **dict(module.named_buffers(remove_duplicate=False))}
    return {name: tensors[name] for name in tensors if name in kept}


def axes(shape: Any) -> tuple[Axis, ...]:
    return tuple(Axis(int(size)) for size in shape)


def symbols_in(value: Any) -> set[Any]:
    """The symbols in an attribute."""
    if isinstance(value, list | tuple):
        return set().union(*map(symbols_in, value)) if value else set()
    return dims(value) if isinstance(value, Poly) else set()


def kind(value: torch.Tensor) -> str:
    return "bool" if value.dtype is torch.bool else "float" if value.is_floating_point() or value.is_complex() else "index"


def flat(value: Any) -> list[Any]:
    return [value] if isinstance(value, torch.Tensor) else list(value)


def tensors(value: Any) -> bool:
    return isinstance(value, torch.Tensor) or (isinstance(value, list | tuple) and any(isinstance(v, torch.Tensor) for v in value))


def arranged(target: Any, args: list[Any]) -> tuple[list[Any], tuple[tuple[str, Any], ...]]:
    """The arguments by place, and those by name; an operator over programs has none of these."""
    if not isinstance(target, torch._ops.OpOverload):
        return args, ()
    pairs = list(zip(target._schema.arguments, args, strict=True))
    return [a for s, a in pairs if not s.kwarg_only], tuple((s.name, a) for s, a in pairs if s.kwarg_only and a is not None)


def draws(target: Any, args: list[Any]) -> bool:
    """Whether a call draws random numbers: torch says so of the op, but with probability 0 it does not."""
    if not isinstance(target, torch._ops.OpOverload):
        return any(getattr(a, "random", False) for a in args)
    if torch.Tag.nondeterministic_seeded not in target.tags:
        return False
    chances = [a for s, a in zip(target._schema.arguments, args, strict=False) if s.name in ("p", "dropout_p", "dropout", "train")]
    return not any(chance in (0, 0.0, False) and not isinstance(chance, Sized) for chance in chances)


def moved(a: Any, at: Mapping[int, int]) -> Any:
    if isinstance(a, Place):
        return Place(at[a.i])
    if isinstance(a, Sized):
        return Sized(a.text, tuple((name, at[i], axis) for name, i, axis in a.where))
    return tuple(moved(v, at) for v in a) if isinstance(a, tuple) else a


def line(node: fx.Node) -> Source | None:
    """The line of the module's source that made a call."""
    found = re.findall(r'File "([^"]+)", line (\d+)', node.meta.get("stack_trace") or "")
    return Source(found[-1][0], int(found[-1][1])) if found else None


def frames(node: fx.Node) -> tuple[Frame, ...]:
    """Where a call stands: the modules around it, and between them the containers that hold them."""
    frames: list[Frame] = []
    outer = ""
    for key, (path, _) in (node.meta.get("nn_module_stack") or {}).items():
        if not path:
            continue
        inner = path.removeprefix(f"{outer}.") if outer else path
        parts = inner.split(".") if not outer or path.startswith(f"{outer}.") else [path.replace(".", "_")]
        frames += [(part, "") for part in parts[:-1]] + [(parts[-1], key)]
        outer = path
    return tuple(frames)
