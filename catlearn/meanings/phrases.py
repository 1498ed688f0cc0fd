"""Phrases: small pieces of sentences that an explanation is made of.

>>> from catlearn.boxes.contract import Matmul
>>> listed(["a", "b", "c"]), count(1234567), about(Matmul())
('a, b and c', '1,234,567', 'the product of matrices, on equal leading axes')
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from catlearn.boxes.backward import Backward, Vjp
from catlearn.core.graph import Node
from catlearn.core.op import Op
from catlearn.core.sizes import Size
from catlearn.core.spaces import Wire


def about(op: Op) -> str:
    """The first sentence of an op's docstring, without types and sources; nothing where a dataclass wrote it."""
    if isinstance(op, Backward):
        return f"the cotangent of {listed(op.rule.gives.split()).replace('x0', 'the input')} of {op.of.name}, in the backward pass"
    if isinstance(op, Vjp):
        return f"the cotangents of {op.of.name}, in the backward pass"
    text = " ".join((type(op).__doc__ or "").replace("``", "").split())
    if text.startswith(f"{type(op).__name__}("):
        return ""
    text = re.sub(r"\s*\([^()]*\b(19|20)\d\d\b[^()]*\)", "", text)
    text = re.split(r"[.;](?:\s|$)", text.replace("(.., ", "(…, "), maxsplit=1)[0].strip()
    text = re.sub(r"^[^:]*→[^:]*:\s+", "", text)
    return text if getattr(op, "bias", True) else text.replace(" + b ", " ")


def effect(node: Node) -> str:
    """A sentence for a box that is not pure."""
    return {"random": " Random while training.", "stateful": " It keeps a state."}.get(node.op.effect, "")


def space(wire: Wire) -> str:
    """The space of a wire, without its role."""
    text = repr(wire)
    return text[len("parameter(") : -1] if wire.role == "parameter" else text


def listed(words: list[str]) -> str:
    """One, two and three."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def count(n: Size) -> str:
    """A number with its thousands set apart, or a polynomial."""
    return f"{n:,}" if isinstance(n, int) else str(n)


def total(sizes: Iterable[Size]) -> Size:
    """The sum of sizes."""
    result: Size = 0
    for size in sizes:
        result = size + result
    return result
