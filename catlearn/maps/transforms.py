"""What steps need beyond one expression of torch: Fourier's transform, the cosine transform, cyclic convolution.

>>> import torch
>>> x = torch.tensor([1.0, 2.0, 3.0, 4.0])
>>> torch.allclose(fourier_inverse(fourier(x)), x), torch.allclose(fourier(x).norm(), x.norm())
(True, True)
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from functools import wraps
from typing import Any

import torch

from catlearn.maps.given import kept

HELPERS: dict[str, Any] = {"torch": torch, "F": torch.nn.functional}
_TWIDDLES: dict[Any, torch.Tensor] = {}


def watched(*tensors: torch.Tensor) -> bool:
    """Whether something follows these tensors, so that only steps with a derivative will do."""
    return (
        (torch.is_grad_enabled() and any(t.requires_grad for t in tensors))
        or torch.compiler.is_compiling()
        or torch._C._are_functorch_transforms_active()
        or torch.autograd.forward_ad._current_level >= 0
    )


def helper(function: Callable[..., Any]) -> Callable[..., Any]:
    """Generated code may call this function by its name. Half precision, which its kernels lack, is computed in single."""

    @wraps(function)
    def run(x: torch.Tensor, *rest: Any) -> torch.Tensor:
        if x.dtype not in (torch.bfloat16, torch.float16):
            return function(x, *rest)
        return function(x.float(), *(y.float() if isinstance(y, torch.Tensor) else y for y in rest)).to(x.dtype)

    HELPERS[function.__name__] = run
    return run


@helper
def convolve(x: torch.Tensor, y: torch.Tensor, pattern: str, flips: tuple[bool, bool] = (False, False)) -> torch.Tensor:
    """Cyclic convolution along the last axes; the letters of the other axes say what is contracted. A flip is a conjugate spectrum."""
    n = x.shape[-1]
    if not (x.numel() and y.numel()):
        (a, c), out = pattern.split("->")[0].split(","), pattern.split("->")[1]
        sizes = {**dict(zip(a, x.shape, strict=True)), **dict(zip(c, y.shape, strict=True))}
        return x.new_zeros([sizes[letter] for letter in out])
    one, two = torch.fft.rfft(x), torch.fft.rfft(y)
    if flips[0] != flips[1]:  # the smaller one is conjugated
        one, two = (one.conj(), two) if x.numel() <= y.numel() else (one, two.conj())
    spectrum = torch.einsum(pattern, one, two)
    ours = flips[0] if flips[0] == flips[1] or x.numel() > y.numel() else not flips[0]
    return torch.fft.irfft(spectrum.conj() if ours else spectrum, n)


@helper
def fourier(x: torch.Tensor, columns: bool = False) -> torch.Tensor:
    """The real orthonormal Fourier transform of the last axis; ``columns``: vectors lie as columns in memory, where nothing watches."""
    if not x.numel():
        return x.clone()
    n = x.shape[-1]
    flat = torch.view_as_real(torch.fft.rfft(x, norm="ortho")).flatten(-2)  # re 0, im 0, re 1, im 1, …
    gains = _gains(n, math.sqrt(2), x.dtype, x.device)
    if watched(x):
        return torch.cat([flat[..., :1], flat[..., 2 : n + 1] * gains], -1)
    found = x.new_empty((n, x.shape[0])).t() if columns else torch.empty_like(x, memory_format=torch.contiguous_format)
    torch.mul(flat[..., 2 : n + 1], gains, out=found[..., 1:])
    found[..., 0] = flat[..., 0]
    return found


@helper
def fourier_inverse(y: torch.Tensor, columns: bool = False) -> torch.Tensor:
    """The inverse, which is the transpose."""
    if not y.numel():
        return y.clone()
    n = y.shape[-1]
    gains, zero = _gains(n, math.sqrt(0.5), y.dtype, y.device), torch.zeros_like(y[..., :1])
    if watched(y):
        flat = torch.cat([y[..., :1], zero, y[..., 1:] * gains, *([] if n % 2 else [zero])], -1)
    else:
        flat = y.new_empty((*y.shape[:-1], n + 2 - n % 2))
        torch.mul(y[..., 1:], gains, out=flat[..., 2 : n + 1])
        flat[..., 0] = y[..., 0]
        flat[..., 1 :: max(1, n)] = 0  # the imaginary parts of the ends
    return torch.fft.irfft(torch.view_as_complex(flat.unflatten(-1, (-1, 2))), n, norm="ortho")


def _gains(n: int, by: float, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """What the parts of the frequencies from 1 on are multiplied by: real and imaginary parts in turn, the last of an even length once."""

    def made() -> torch.Tensor:
        numbers = [by, -by] * (n // 2 if n % 2 else n // 2 - 1) + [1.0] * (1 - n % 2)
        return torch.tensor(numbers, dtype=torch.float64, device="cpu").to(device=device, dtype=dtype)

    return kept(_TWIDDLES, (n, by, dtype, device), made)


def _twiddle(n: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    kind = torch.complex128 if dtype == torch.float64 else torch.complex64

    def made() -> torch.Tensor:
        numbers = [math.sqrt((2 if k else 1) / n) * cmath.exp(-0.5j * math.pi * k / n) for k in range(n)]
        return torch.tensor(numbers, dtype=torch.complex128, device="cpu").to(device=device, dtype=kind)

    return kept(_TWIDDLES, (n, kind, device), made)


@helper
def cosine(x: torch.Tensor) -> torch.Tensor:
    """The orthonormal DCT-II of the last axis, by one FFT of its length (Makhoul, IEEE TASSP 28, 1980)."""
    n = x.shape[-1]
    if not x.numel():
        return x.clone()
    ordered = torch.cat([x[..., ::2], x[..., 1::2].flip(-1)], -1)
    return (torch.fft.fft(ordered) * _twiddle(n, x.dtype, x.device)).real


@helper
def cosine_inverse(y: torch.Tensor) -> torch.Tensor:
    """The inverse, which is the transpose."""
    n = y.shape[-1]
    if not y.numel():
        return y.clone()
    ordered = (torch.fft.fft(torch.complex(y, torch.zeros_like(y)) * _twiddle(n, y.dtype, y.device))).real
    found = torch.empty_like(ordered)
    found[..., ::2], found[..., 1::2] = ordered[..., : (n + 1) // 2], ordered[..., (n + 1) // 2 :].flip(-1)
    return found


def transform_matrix(name: str, n: int) -> torch.Tensor:
    """The matrix of an orthonormal transform, in double precision."""
    return HELPERS[name](torch.eye(n, dtype=torch.float64)).t()
