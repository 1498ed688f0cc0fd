"""``noise``: where dropout acts inside a map.

Laws: without noise it is the identity; the entries that it draws are 0 at its rate, independent, and 1 in the mean, so the mean of a map
with noise at its front is the map.

>>> import torch
>>> from catlearn.maps import dense
>>> f = noise(3, 0.5) >> dense("A", 2, 3)
>>> str(f), drops(f), f.apply(torch.ones(1, 3), {"A": torch.ones(2, 3)}).tolist()      # applied alone, a map has none
('drop(0.5) >> A', True, [[3.0, 3.0]])
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from catlearn import errors
from catlearn.maps.base import Map, walk
from catlearn.maps.given import space
from catlearn.maps.leaves import Endo, Identity, times_vector
from catlearn.maps.tape import TOKENS

if TYPE_CHECKING:
    from catlearn.maps.planner import Builder
    from catlearn.maps.tape import Tape

LEVELS = 1 << 16  # of a random number of 16 bits


@dataclass(frozen=True, repr=False)
class Noise(Endo):
    """The identity, at whose place entries are dropped with probability ``rate`` while training; the same ones for one name.

    A plan reads it as the identity, that of an ``Affine`` with noise as a product with a tensor of noise.
    """

    rate: float
    name: str = "drop"

    def register(self, tape: Tape) -> int:
        """The noise, one entry for each of each vector."""
        return tape.input(self.space, str(self), (TOKENS,))

    def draw(self, x: torch.Tensor) -> torch.Tensor:
        """Noise for vectors x (tokens, \\*space): 0 with probability ``rate``, else what makes its mean 1.

        On a CPU four entries are read off each random word, three times as fast as ``bernoulli_``; the rate is then the nearest multiple
        of 1/65536, and the mean still 1.
        """
        shape = (x.shape[0], *self.space)
        watched = torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()
        if watched or x.device.type != "cpu" or type(x) not in (torch.Tensor, torch.nn.Parameter):
            return x.new_empty(shape).bernoulli_(1 - self.rate).div_(1 - self.rate)
        count, dropped = math.prod(shape), min(round(self.rate * LEVELS), LEVELS - 1)
        words = torch.empty(-(-count // 4), dtype=torch.int64, device=x.device).random_(torch.iinfo(torch.int64).min, None)  # all 64 bits
        entries = words.view(torch.int16)[:count].view(shape)
        kept = torch.ge(entries, dropped - LEVELS // 2, out=torch.empty(shape, dtype=x.dtype, device=x.device))  # 0 and 1, in one pass
        return kept.mul_(LEVELS / (LEVELS - dropped))

    def emit(self, b: Builder, x: int) -> int:
        if not b.noise:
            return x
        if b.tape.lead(x) != (TOKENS,):
            raise errors.BadMap(f"{self} acts on parts of vectors", ["dropout inside a product of maps"], "put it before or after")
        return times_vector(b, self.register(b.tape), x)

    def matrix(self, b: Builder) -> int:
        if b.noise:
            raise errors.BadMap(f"{self} is written out", ["dropout differs from vector to vector"], "put it before or after")
        return b.tape.eye(self.space)

    @property
    def T(self) -> Map:
        return self

    def __str__(self) -> str:
        return f"{self.name}({self.rate})"


def noise(dom: Any, rate: float) -> Map:
    """Where dropout acts inside a map; ``rate`` 0 is the identity itself."""
    if not 0 <= rate < 1:
        raise errors.BadMap(f"noise with rate {rate!r}", ["needed: a rate from 0 up to, but not, 1"])
    return Noise(space(dom, "noise"), float(rate)) if rate else Identity(space(dom, "noise"))


def drops(f: Map) -> bool:
    """Whether dropout acts somewhere in the map."""
    return any(isinstance(part, Noise) for part in walk(f))
