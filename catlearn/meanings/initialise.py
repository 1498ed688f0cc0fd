"""Fresh parameters: each drawn from a generator seeded by the seed *and the parameter's name*, so that adding a layer or
reordering the term changes no other parameter's start."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch

from catlearn import errors
from catlearn.core.op import Init, Param
from catlearn.core.sizes import evaluate


def seed_of(seed: int, name: str) -> int:
    """A 63-bit seed from a seed and a name, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest(), "big") >> 1


def generator(seed: int, name: str, device: Any = "cpu") -> torch.Generator:
    """A torch generator for this name."""
    return torch.Generator(device=device).manual_seed(seed_of(seed, name))


def concrete(param: Param, sizes: Mapping[str, int], name: str) -> tuple[int, ...]:
    """The parameter's shape as integers."""
    return tuple(evaluate(size, sizes, f"the parameter {name}") for size in param.wire.shape)


def start(name: str, param: Param, seed: int = 0, sizes: Mapping[str, int] = {}, dtype: Any = None) -> torch.Tensor:
    """The tensor that a parameter starts from: drawn on the CPU in float32 and then cast, so that a seed means one thing."""
    shape, init = concrete(param, sizes, name), param.init
    own = getattr(torch, init.dtype) if isinstance(init, Init) and init.dtype else torch.get_default_dtype()
    kind = {"float": dtype or own, "index": torch.int64, "bool": torch.bool}[param.wire.kind]
    if not isinstance(init, Init):
        value = torch.as_tensor(init).detach().clone()
        if tuple(value.shape) != shape:
            raise errors.ParamMismatch(shapes={name: f"given {tuple(value.shape)}, needed {shape}"})
        return value.to(dtype) if dtype and value.is_floating_point() else value
    if init.kind == "constant":
        return torch.full(shape, init.numbers[0], dtype=kind)
    if init.kind == "eye":
        return torch.eye(*shape, dtype=kind)
    draw = torch.empty(shape)
    if init.kind == "uniform":
        draw.uniform_(*init.numbers, generator=generator(seed, name))
    elif init.kind == "normal":
        draw.normal_(*init.numbers, generator=generator(seed, name))
    elif init.kind == "normals":
        draw.normal_(generator=generator(seed, name))
        draw *= torch.tensor(init.numbers, dtype=draw.dtype).reshape(-1, *[1] * (draw.dim() - 1))
    else:
        raise errors.ParamMismatch(shapes={name: f"unknown initialiser {init.kind!r}"})
    return draw.to(kind)


def fresh(params: Mapping[str, Param], seed: int = 0, sizes: Mapping[str, int] = {}, dtype: Any = None) -> dict[str, torch.Tensor]:
    """A starting tensor for every parameter."""
    return {name: start(name, param, seed, sizes, dtype) for name, param in params.items()}


def check_params(params: Mapping[str, Param], given: Mapping[str, Any], sizes: Mapping[str, int] = {}) -> None:
    """The given tensors are these parameters: same names, same shapes; ``ParamMismatch`` lists what is not."""
    missing, unexpected = [n for n in params if n not in given], [n for n in given if n not in params]
    shapes = {}
    for name, param in params.items():
        if name in given:
            needed = tuple(s if isinstance(s, int) or not set(sizes) else evaluate(s, sizes) for s in param.wire.shape)
            actual = getattr(given[name], "shape", None)
            if actual is None:
                shapes[name] = f"given a {type(given[name]).__name__}, needed a tensor {needed}"
                continue
            actual = tuple(actual)
            if len(needed) != len(actual) or any(isinstance(n, int) and n != a for n, a in zip(needed, actual, strict=False)):
                shapes[name] = f"given {actual}, needed {needed}"
    if missing or unexpected or shapes:
        raise errors.ParamMismatch(missing, unexpected, shapes)
