"""``Index``: positions along an axis, and what a plan asks of them, found once.

>>> Index([1, 3, 5]).run, Index([2, 0, 1]).inverse, Index([0, 0]).inverse
((1, 2), (1, 2, 0), None)
"""

from __future__ import annotations

from itertools import pairwise


class Index(tuple[int, ...]):
    """Positions; the hash is computed once."""

    def __hash__(self) -> int:
        if "_hash" not in self.__dict__:
            self.__dict__["_hash"] = super().__hash__()
        return self.__dict__["_hash"]

    @property
    def inverse(self) -> Index | None:
        """The inverse, if every position is there once."""
        if "_inverse" not in self.__dict__:
            found: list[int] = [-1] * len(self)
            for k, j in enumerate(self):
                if 0 <= j < len(self):
                    found[j] = k
            self.__dict__["_inverse"] = None if -1 in found else Index(found)
        return self.__dict__["_inverse"]

    @property
    def run(self) -> tuple[int, int] | None:
        """(start, stride) if the positions are evenly spaced upwards."""
        if "_run" not in self.__dict__:
            stride = self[1] - self[0] if len(self) > 1 else 1
            even = len(self) > 0 and stride > 0 and all(b - a == stride for a, b in pairwise(self))
            self.__dict__["_run"] = (self[0], stride) if even else None
        return self.__dict__["_run"]
