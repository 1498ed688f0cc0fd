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
def convolve(x: torch.Tensor, y: torch.Tensor, pattern: str) -> torch.Tensor:
    """Cyclic convolution along the last axes; the letters of the other axes say what is contracted."""
    n = x.shape[-1]
    if not (x.numel() and y.numel()):
        (a, c), out = pattern.split("->")[0].split(","), pattern.split("->")[1]
        sizes = {**dict(zip(a, x.shape, strict=True)), **dict(zip(c, y.shape, strict=True))}
        return x.new_zeros([sizes[letter] for letter in out])
    spectrum = torch.einsum(pattern, torch.fft.rfft(x), torch.fft.rfft(y))
    return torch.fft.irfft(spectrum, n)


@helper
def fourier(x: torch.Tensor) -> torch.Tensor:
    """The real orthonormal Fourier transform of the last axis."""
    if not x.numel():
        return x.clone()
    n = x.shape[-1]
    half = torch.fft.rfft(x, norm="ortho")
    inner = half[..., 1 : (n + 1) // 2]
    pairs = torch.view_as_real(inner) * x.new_tensor([math.sqrt(2), -math.sqrt(2)])
    ends = [half[..., n // 2 :].real] if n % 2 == 0 else []
    return torch.cat([half[..., :1].real, pairs.flatten(-2), *ends], -1)


@helper
def fourier_inverse(y: torch.Tensor) -> torch.Tensor:
    """The inverse, which is the transpose."""
    if not y.numel():
        return y.clone()
    n = y.shape[-1]
    pairs = y[..., 1 : n - 1 + n % 2].unflatten(-1, (-1, 2)) * y.new_tensor([math.sqrt(0.5), -math.sqrt(0.5)])
    ends = [_real(y[..., n - 1 :])] if n % 2 == 0 else []
    half = torch.cat([_real(y[..., :1]), torch.view_as_complex(pairs.contiguous()), *ends], -1)
    return torch.fft.irfft(half, n, norm="ortho")


def _real(x: torch.Tensor) -> torch.Tensor:
    return torch.complex(x, torch.zeros_like(x))


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
