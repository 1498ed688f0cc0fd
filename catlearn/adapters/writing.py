"""Formulas as LaTeX.

>>> from catlearn.maps import dense, diagonal
>>> print(latex(dense("W", 4, 5) + 2 * (dense("A", 2, 5) >> diagonal("d", 2) >> dense("B", 4, 2))))
W + 2 B \\operatorname{diag}(d) A
"""

from __future__ import annotations

from catlearn.maps.base import Map, Transposed
from catlearn.maps.combine import Compose, Scaled, Sum, Tensor
from catlearn.maps.entrywise import Hadamard, RowNorm
from catlearn.maps.leaves import Diagonal, Identity
from catlearn.maps.moves import Broadcast, Permute, Reshape, Selection

GREEK = ("alpha", "beta", "gamma", "delta", "theta", "lambda", "sigma")


def name(text: str) -> str:
    """A leaf's name: what follows a letter, be it digits or an underscore and a word, is its index.

    >>> print(name("default.A_general"), name("B0"), name("gamma"), name("w1"))
    A_{\\mathrm{general}} B_{0} \\gamma w_{1}
    """
    head, _, tail = text.rpartition(".")[2].partition("_")
    letters, digits = head.rstrip("0123456789"), head[len(head.rstrip("0123456789")) :]
    shown = f"\\{letters}" if letters in GREEK else letters if len(letters) == 1 else rf"\mathrm{{{letters}}}"
    index = ([digits] if digits else []) + ([tail if tail.isdigit() else rf"\mathrm{{{tail}}}"] if tail else [])
    return shown + (f"_{{{','.join(index)}}}" if index else "")


def latex(f: Map) -> str:
    """A map as LaTeX, in the order of matrices: what acts first stands last."""
    if isinstance(f, Sum):
        return " + ".join(map(latex, f.maps)).replace("+ -", "- ")
    if isinstance(f, Compose):
        return " ".join(_inside(part) for part in reversed(f.maps))
    if isinstance(f, Tensor):
        return r" \otimes ".join(map(_inside, f.maps))
    if isinstance(f, Scaled):
        return f"{f.factor:.6g} {_inside(f.of)}" if f.factor != -1 else f"-{_inside(f.of)}"
    if isinstance(f, Hadamard):
        return rf"{_inside(f.left)} \odot {_inside(f.right)}"
    if isinstance(f, RowNorm):
        return rf"\operatorname{{diag}}\lVert {latex(f.of)} \rVert_{{\mathrm{{row}}}}^{{{f.exponent}}}"
    if isinstance(f, Transposed):
        return f"{_inside(f.of)}^\\top"
    return _leaf(f)


def _leaf(f: Map) -> str:
    own = [name(n) for n in f.own]
    if isinstance(f, Identity):
        return "I"
    if isinstance(f, Reshape | Permute | Selection | Broadcast):
        return r"\mathrm{" + type(f).__name__.lower() + "}"
    if isinstance(f, Diagonal):
        return rf"\operatorname{{diag}}({own[0]})"
    if own and type(f).__name__ != "Dense":
        return rf"\mathrm{{{type(f).__name__.lower()}}}({own[0]})"
    return own[0] if own else rf"\mathrm{{{str(f).partition('(')[0]}}}"


def _inside(f: Map) -> str:
    return f"({latex(f)})" if isinstance(f, Sum | Hadamard) else latex(f)
