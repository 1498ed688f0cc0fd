"""The five kinds of diagrams, one for each family of groups.

=============  ======  ==============================================================================================
kind           group   what it is
=============  ======  ==============================================================================================
Partition      S_n     a set partition of the points
Jellyfish      A_n     a set partition, n or n - 1 blocks of which may hang as legs on a coupon
Brauer         O(n)    a perfect matching of the points
Determinant    SO(n)   a perfect matching, but n points may hang on a coupon instead
Symplectic     Sp(n)   a perfect matching; a pair inside a row stands for J, read from left to right
=============  ======  ==============================================================================================

Blocks and points may be given in any order. Legs have an order up to even permutations: an odd one changes the sign, and is kept
by exchanging the last two legs.

Sources: Martin 1991 and Pearce-Crump, arXiv:2212.08648 (S_n); Brauer 1937 and Pearce-Crump, arXiv:2212.08630 (O, SO, Sp);
Comes, arXiv:1612.05182, and Pearce-Crump, arXiv:2301.10152 (A_n).

>>> print(Partition(2, 2, [[3, 1], [0, 2]]), Brauer(1, 3, [(0, 1), (2, 3)]), Determinant(1, 2, free=(0, 1, 2)))
Partition(2→2: 0 2 | 1 3) Brauer(1→3: 0 1 | 2 3) Determinant(1→2, n=3: ε(0, 1, 2))
>>> Jellyfish(2, 2, legs=[[0, 2], [1]], blocks=[[3]], n=3)
Jellyfish(2→2, n=3: 3 | ε(0 2, 1, ·))
>>> Symplectic(0, 2, [(0, 1)]).matrix(2)
[[0], [1], [-1], [0]]
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Self, final

from catlearn.diagrams.contract import Block, Network, sign
from catlearn.diagrams.diagram import Diagram
from catlearn.diagrams.joining import check_number
from catlearn.errors import BadDiagram


@final
@dataclass(frozen=True, repr=False)
class Partition(Diagram):
    """A set partition of the points: the entry is 1 where the index is constant on every block, else 0.

    >>> Partition.identity(1) >> Partition(1, 0, [[0]])
    Partition(1→0: 0)
    """

    blocks: tuple[Block, ...]
    group: ClassVar[str] = "S"

    def __init__(self, k: int, l: int, blocks: Iterable[Iterable[int]]) -> None:
        _fill(self, k=k, l=l, blocks=_partition("Partition", k, l, _blocks(blocks)))

    @property
    def network(self) -> Network:
        return Network(self.blocks)

    @classmethod
    def build(cls, k: int, l: int, network: Network, n: int | None = None) -> Self:
        return cls(k, l, network.deltas)


@final
@dataclass(frozen=True, repr=False)
class Brauer(Diagram):
    """A perfect matching of the points: a product of deltas, one for each pair.

    >>> Brauer(0, 2, [(0, 1)]) >> Brauer(2, 0, [(0, 1)])
    n·Brauer(0→0: )
    """

    pairs: tuple[Block, ...]
    group: ClassVar[str] = "O"

    def __init__(self, k: int, l: int, pairs: Iterable[Iterable[int]]) -> None:
        _fill(self, k=k, l=l, pairs=_pairs("Brauer", _partition("Brauer", k, l, _blocks(pairs))))

    @property
    def network(self) -> Network:
        return Network(self.pairs)

    @classmethod
    def build(cls, k: int, l: int, network: Network, n: int | None = None) -> Self:
        return cls(k, l, network.deltas)


@final
@dataclass(frozen=True, repr=False)
class Symplectic(Diagram):
    """A perfect matching of the points: a delta for a pair across the rows, J for a pair inside a row, from left to right.

    Turned to points only, each pair a < b is worth ``J[i_a, i_b]`` once every input index is lowered by J; so a row can be bent up.

    >>> Symplectic(0, 2, [(0, 1)]).T @ Symplectic.identity(1)         # J and a wire
    Symplectic(3→1: 0 3 | 1 2)
    >>> cup, cap, wire = Symplectic(0, 2, [(0, 1)]), Symplectic(2, 0, [(0, 1)]), Symplectic.identity(1)
    >>> wire @ cup >> cap @ wire, cup >> cap
    (-Symplectic(1→1: 0 1), n·Symplectic(0→0: ))
    """

    pairs: tuple[Block, ...]
    group: ClassVar[str] = "Sp"

    def __init__(self, k: int, l: int, pairs: Iterable[Iterable[int]]) -> None:
        _fill(self, k=k, l=l, pairs=_pairs("Symplectic", _partition("Symplectic", k, l, _blocks(pairs))))

    @property
    def network(self) -> Network:
        across = tuple(pair for pair in self.pairs if (pair[0] < self.l) != (pair[1] < self.l))
        return Network(across, tuple((a, b) for a, b in self.pairs if (a < self.l) == (b < self.l)))

    @classmethod
    def build(cls, k: int, l: int, network: Network, n: int | None = None) -> Self:
        return cls(k, l, network.deltas + network.arcs)


@final
@dataclass(frozen=True, repr=False)
class Determinant(Diagram):
    """A perfect matching, or n free points on a determinant coupon and a perfect matching of the others.

    ``free`` are the legs in their order; ``n`` is their number, and must be given where there are none.

    >>> cross = Determinant(2, 1, free=(0, 1, 2))                      # the cross product of R^3
    >>> print(cross >> cross.T, "is", (cross >> cross.T).matrix()[1])
    Determinant(2→2, n=3: 0 2 | 1 3) - Determinant(2→2, n=3: 0 3 | 1 2) is [0, 1, 0, -1, 0, 0, 0, 0, 0]
    """

    free: Block
    pairs: tuple[Block, ...]
    n: int
    group: ClassVar[str] = "SO"

    def __init__(self, k: int, l: int, free: Iterable[int] = (), pairs: Iterable[Iterable[int]] = (), n: int = 0) -> None:
        legs = _blocks([point] for point in free)
        found = _partition("Determinant", k, l, _blocks(pairs), legs)
        n = check_number(Determinant, n or len(legs))
        if legs and len(legs) != n:
            raise BadDiagram(f"the coupon of SO({n}) has {n} legs, and {len(legs)} points are free")
        order = _orient(legs)
        _fill(self, k=k, l=l, free=tuple(point for leg in order for point in leg), pairs=_pairs("Determinant", found), n=n)

    @property
    def network(self) -> Network:
        return Network(self.pairs, (), (tuple((point,) for point in self.free),) if self.free else ())

    @property
    def size(self) -> int:
        return self.n

    def oriented(self) -> tuple[int, Determinant]:
        signature = sign(self.free)
        return signature, self if signature > 0 else Determinant(self.k, self.l, sorted(self.free), self.pairs, self.n)

    @classmethod
    def build(cls, k: int, l: int, network: Network, n: int | None = None) -> Self:
        return cls(k, l, (point for coupon in network.coupons for leg in coupon for point in leg), network.deltas, n or 0)

    def __hash__(self) -> int:  # both orientations alike, since a sum that equals this holds the positive one
        return hash((self.k, self.l, self.n, self.pairs))


@final
@dataclass(frozen=True, repr=False)
class Jellyfish(Diagram):
    """A set partition, n or n - 1 blocks of which may be the legs of a coupon: the sign of the permutation of their values.

    With n - 1 legs the missing value comes last. ``n`` must be given, and is at least 2 where there are legs.

    >>> side = Jellyfish(1, 0, legs=[[0]], n=2)                        # +1 on the first point, -1 on the second
    >>> side.matrix(), side.T >> side
    ([[1, -1]], 2·Jellyfish(0→0, n=2: ))
    """

    legs: tuple[Block, ...]
    blocks: tuple[Block, ...]
    n: int
    group: ClassVar[str] = "A"

    def __init__(self, k: int, l: int, legs: Iterable[Iterable[int]] = (), blocks: Iterable[Iterable[int]] = (), n: int = 0) -> None:
        hung = _blocks(legs)
        found = _partition("Jellyfish", k, l, _blocks(blocks), hung)
        check_number(Jellyfish, n)
        if hung and (n < 2 or len(hung) not in (n - 1, n)):
            need = f"{n} legs, or {n - 1} and the missing value" if n > 1 else "no coupon, since A_1 is trivial and equal to S_1"
            raise BadDiagram(f"A_{n} has {need}; {len(hung)} were given")
        _fill(self, k=k, l=l, legs=_orient(hung), blocks=found, n=n)

    @property
    def network(self) -> Network:
        return Network(self.blocks, (), (self.legs,) if self.legs else ())

    @property
    def size(self) -> int:
        return self.n

    def oriented(self) -> tuple[int, Jellyfish]:
        signature = sign(self.legs)
        return signature, self if signature > 0 else Jellyfish(self.k, self.l, sorted(self.legs), self.blocks, self.n)

    @classmethod
    def build(cls, k: int, l: int, network: Network, n: int | None = None) -> Self:
        return cls(k, l, (leg for coupon in network.coupons for leg in coupon), network.deltas, n or 0)

    def __hash__(self) -> int:  # as for Determinant
        return hash((self.k, self.l, self.n, self.blocks, frozenset(self.legs)))


def _fill(diagram: Diagram, **fields: Any) -> None:
    for name, value in fields.items():
        object.__setattr__(diagram, name, value)


def _blocks(blocks: Iterable[Iterable[int]]) -> tuple[Block, ...]:
    """Blocks as given, each with its points in order."""
    try:
        return tuple(tuple(sorted(block)) for block in blocks)
    except TypeError:
        raise BadDiagram("blocks are rows of integers, for example [[0, 1], [2]]") from None


def _partition(kind: str, k: int, l: int, blocks: tuple[Block, ...], legs: tuple[Block, ...] = ()) -> tuple[Block, ...]:
    """The blocks in order, if they and the legs hold every point once; ``BadDiagram`` if not."""
    points = [point for block in blocks + legs for point in block]
    try:
        good = k >= 0 and l >= 0 and sorted(points) == list(range(k + l)) and all(blocks) and all(legs)
    except TypeError:
        good = False
    if not good:
        rows = [f"given   {[list(block) for block in blocks + legs]}", "needed  every point in one block, no block empty"]
        if isinstance(k, int) and isinstance(l, int) and k >= 0 and l >= 0:
            missing = sorted(set(range(k + l)) - set(points))
            twice = sorted({point for point in points if points.count(point) > 1})
            beyond = [point for point in points if point not in range(k + l)]
            rows += [f"{word}  {found}" for word, found in (("missing", missing), ("twice  ", twice), ("beyond ", beyond)) if found]
        raise BadDiagram(f"this is no {kind} {k}→{l}: its points are 0 .. {l}-1 (outputs) and {l} .. {l}+{k}-1 (inputs)", rows)
    return tuple(sorted(blocks))


def _pairs(kind: str, blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    if wrong := [block for block in blocks if len(block) != 2]:
        raise BadDiagram(f"a {kind} diagram is made of pairs, and {list(wrong[0])} holds {len(wrong[0])}")
    return blocks


def _orient(legs: tuple[Block, ...]) -> tuple[Block, ...]:
    """The legs sorted; the last two exchanged if that takes an odd permutation."""
    order = sorted(legs)
    if sign(legs) < 0:
        order[-2:] = order[:-3:-1]
    return tuple(order)
