"""What a map is given: tensor spaces, numbers and parameters, each checked once and told in the same words."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from numbers import Integral
from typing import Any

from catlearn import errors
from catlearn.core.op import Init, Param
from catlearn.core.spaces import Axis, Space, Wire

Shape = tuple[int, ...]


class Array:
    """Given numbers, row-major: integers, floats or fractions. Equal if shapes and entries are."""

    def __init__(self, shape: Shape, values: tuple[Any, ...]) -> None:
        self.shape, self.values, self._hash, self._held = shape, values, hash((shape, values)), {}

    @classmethod
    def of(cls, value: Any, where: str) -> Array:
        """Nested lists, an array or a tensor."""
        if hasattr(value, "tolist"):
            shape, value = tuple(value.shape), value.tolist()
        else:
            shape, inner = (), value
            while isinstance(inner, list | tuple):
                shape, inner = (*shape, len(inner)), inner[0] if len(inner) else None
        flat: list[Any] = [value]
        for n in shape:
            if any(not isinstance(row, list | tuple) or len(row) != n for row in flat):
                raise errors.BadMap(f"{where}: the rows are not of one length", [f"given {str(value)[:80]}"])
            flat = [v for row in flat for v in row]
        if bad := [v for v in flat if not isinstance(v, int | float | Fraction) or (isinstance(v, float) and not math.isfinite(v))]:
            raise errors.BadMap(f"{where}: entries must be finite numbers", [f"given {bad[0]!r}"])
        return cls(shape, tuple(flat))

    def tensor(self, dtype: Any, device: Any) -> Any:
        """As a torch tensor, converted once for each dtype and device."""
        import torch

        def made() -> Any:
            numbers = torch.tensor([float(v) for v in self.values], dtype=torch.float64, device="cpu")
            return numbers.reshape(self.shape).to(dtype=dtype, device=device)

        return kept(self._held, (dtype, device), made)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Array) and (self.shape, self.values) == (other.shape, other.values)

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"array{self.shape}"


def kept(held: dict[Any, Any], key: Any, make: Callable[[], Any]) -> Any:
    """The tensor that ``make`` gives, made once for each key; made anew where it would be a stand-in, inside a trace."""
    import torch

    from catlearn.maps.outliving import lasting, watched

    if torch.compiler.is_compiling() or watched():
        return make()
    if key not in held:
        with lasting():
            held[key] = make()
    return held[key]


# -- checks and words --------------------------------------------------------------------------------------------------


def size(shape: Shape) -> int:
    """The dimension of a tensor space."""
    return math.prod(shape)


def space(value: Any, where: str) -> Shape:
    """A size or a tuple of sizes as a tuple; ``BadMap`` if it is neither."""
    found = (value,) if isinstance(value, Integral) else value
    if not isinstance(found, tuple | list) or any(not isinstance(n, Integral) or isinstance(n, bool) or n < 0 for n in found):
        raise errors.BadMap(f"{where}: {value!r} is no tensor space", ["needed: a size, or a tuple of sizes, from 0 on"])
    return tuple(int(n) for n in found)


def positions(value: Any, where: str) -> tuple[int, ...]:
    """Whole numbers, of a sequence, an array or a tensor, as a tuple; ``BadMap`` if they are none."""
    given = value.tolist() if hasattr(value, "tolist") else value
    found = tuple(given) if isinstance(given, Iterable) else (None,)
    if not all(isinstance(i, Integral) for i in found):
        raise errors.BadMap(f"{where}: {str(value)[:80]} are no positions", ["needed: whole numbers"])
    return tuple(map(int, found))  # type: ignore[arg-type]


def needed(kind: type, where: str, *maps: Any) -> None:
    """``BadMap`` for what is no map where one is needed."""
    for f in maps:
        if not isinstance(f, kind):
            raise errors.BadMap(f"{where}: {str(f)[:80]!r} is no map", ["needed: an expression of catlearn.maps"])


def words(shape: Shape) -> str:
    """A tensor space in a message."""
    return "⊗".join(map(str, shape)) if shape else "1"


def typed(f: Any) -> str:
    """A map with its type, for a message."""
    text = str(f)
    return f"{text if len(text) < 60 else text[:57] + '...'} : {words(f.dom)} → {words(f.cod)}"


def parameter(name: Any, shape: Shape, init: Any, trainable: Any, kind: str) -> Param:
    """The parameter of a leaf; ``init`` is an ``Init`` or a tensor. Raises ``BadMap``."""
    if not isinstance(name, str) or not re.fullmatch(r"\w+([.\-]\w+)*", name):
        raise errors.BadMap(f"{kind}: {name!r} is no name", ["needed: letters, digits and _, joined by . or -"])
    given = None if isinstance(init, Init) else tuple(getattr(init, "shape", ()))
    if given is not None and given != shape:
        raise errors.BadMap(f"{kind} {name!r} starts from a tensor of another shape", [f"given  {given}", f"needed {shape}"])
    return Param(Space((Wire(tuple(Axis(n) for n in shape), role="parameter"),)), init, bool(trainable))


def merge(found: dict[str, Param], more: Mapping[str, Param]) -> None:
    for name, param in more.items():
        first = found.setdefault(name, param)
        if first == param and not same_start(first.init, param.init):
            rows = [f"starts from {str(p.init)[:60]}" for p in (first, param)]
            raise errors.BadMap(f"the parameter {name!r} starts in two different ways", rows, "one name is one parameter: rename one")
        if first != param:
            rows = [f"{found[name].space}, trainable={found[name].trainable}", f"{param.space}, trainable={param.trainable}"]
            raise errors.BadMap(f"the name {name!r} stands for two different parameters", rows, "one name is one parameter: rename one")


def same_start(a: Any, b: Any) -> bool:
    """Whether two parameters start from the same numbers, where both are given numbers."""
    if a is b or isinstance(a, Init) or isinstance(b, Init) or getattr(a, "is_meta", False) or getattr(b, "is_meta", False):
        return True
    return (a.tolist() if hasattr(a, "tolist") else a) == (b.tolist() if hasattr(b, "tolist") else b)
