"""Contractions of one or two tensors as torch code: an elementwise product, one product of matrices, or a batch of them.

The letter ``Z`` stands for the flattened lead axis. Letters of two operands are of four sorts: shared and kept (*batch*), shared and
summed (*inner*), or kept of the *left* or the *right* one alone; a letter of one operand that is summed alone is summed first.

>>> from catlearn.maps.kernels import text
>>> from catlearn.maps.tape import Tape
>>> tape = Tape()
>>> x, w = tape.input((5, 3, 40)), tape.param("w", (2, 3))
>>> y = tape.einsum(("abc", "db"), "adc", x, w)              # a matrix on a middle axis: batched, nothing is moved
>>> print(text(tape, y, {x: "x", w: "w"}))
w.expand(t * 5, 2, 3).bmm(x.reshape(t * 5, 3, 40)).reshape((t, 5, 2, 40, ))
>>> dy = tape.input((5, 2, 40), "dy")
>>> dw = tape.einsum(("adc", "abc"), "db", dy, x, lead=())    # its gradient: one product over all that is summed
>>> print(text(tape, dw, {x: "x", dy: "dy"}))
dy.permute(2, 0, 1, 3).reshape(2, t * 200).mm(x.permute(2, 0, 1, 3).reshape(3, t * 200).t())
>>> x, dy = tape.input((16, 300)), tape.input((16, 300), "dy")  # or one for each vector, summed: nothing is copied
>>> print(text(tape, tape.einsum(("ab", "cb"), "ac", dy, x, lead=()), {x: "x", dy: "dy"}))
dy.bmm(x.mT).sum(0)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from catlearn.maps.costs import THIN
from catlearn.maps.tape import TOKENS

if TYPE_CHECKING:
    from catlearn.maps.kernels import Writer

Sizes = Mapping[str, int | str]
BLOCK = 4096  # multiplications of one product in a batch from which a batch that is summed afterwards costs no more than one product


@dataclass(frozen=True)
class Operand:
    """A tensor text, its axes as letters, and the sizes of the letters."""

    text: str
    letters: str
    sizes: Sizes

    def summed(self, letters: str) -> Operand:
        """Without these letters."""
        if not letters:
            return self
        axes = ", ".join(str(self.letters.index(c)) for c in letters)
        return Operand(f"{self.text}.sum(({axes},))", "".join(c for c in self.letters if c not in letters), self.sizes)

    def ordered(self, letters: str) -> str:
        """With its axes in this order."""
        order = [self.letters.index(c) for c in letters]
        if order == sorted(order):
            return self.text
        return f"{self.text}.t()" if order == [1, 0] else f"{self.text}.permute({', '.join(map(str, order))})"

    def grouped(self, *groups: str) -> str:
        """With its axes in these groups, each flattened to one."""
        moved = self.ordered("".join(groups))
        if all(len(group) == 1 for group in groups):
            return moved
        return f"{moved}.reshape({', '.join(span(group, self.sizes) for group in groups)})"

    def spread(self, out: str) -> str:
        """Axes in the order of ``out``, with axes of length 1 where this has none."""
        moved = self.ordered("".join(c for c in out if c in self.letters))
        missing = [c not in self.letters for c in out]
        first = missing.index(False) if False in missing else len(out)
        if not any(missing[first:]):
            return moved
        return f"{moved}[{', '.join('None' if m else ':' for m in missing[first:])}]"


def span(letters: str, sizes: Sizes) -> str:
    """The length of an axis made of several."""
    known = math.prod(n for c in letters if isinstance(n := sizes[c], int))
    unknown = [str(sizes[c]) for c in letters if not isinstance(sizes[c], int)]
    return " * ".join([*unknown, *([str(known)] if known != 1 or not unknown else [])])


def contraction(w: Writer) -> str:
    """The expression of an ``einsum`` step."""
    operands, out = operands_of(w)
    if len(operands) == 1:
        (x,) = operands
        return x.summed("".join(c for c in x.letters if c not in out)).ordered(out)
    a, c = operands
    a = a.summed("".join(k for k in a.letters if k not in out and k not in c.letters))
    c = c.summed("".join(k for k in c.letters if k not in out and k not in a.letters))
    inner = "".join(k for k in a.letters if k in c.letters and k not in out)
    batch = "".join(k for k in out if k in a.letters and k in c.letters)
    if not inner:
        return f"{a.spread(out)} * {c.spread(out)}" if out else f"{a.text} * {c.text}"
    if batch:
        return batched(a, c, inner, batch, out)
    return in_place(a, c, inner, out) or in_place(c, a, inner, out) or by_batches(a, c, inner, out) or product(a, c, inner, out)


def operands_of(w: Writer) -> tuple[list[Operand], str]:
    """The operands and the letters of the result, with ``Z`` for the lead axis."""
    from catlearn.maps.kernels import length

    ins, out = w.step.with_
    found = []
    for letters, r, text in zip(ins, w.step.args, w.texts, strict=True):
        lead = w.tape.lead(r)
        sizes: dict[str, int | str] = dict(zip(letters, w.tape.shape(r), strict=True))
        if lead:
            known = math.prod(lead)
            sizes["Z"] = length(lead) if TOKENS in lead else known
        found.append(Operand(text, "Z" * bool(lead) + letters, sizes))
    return found, "Z" * bool(w.step.lead) + out


def matrices(a: Operand, c: Operand, inner: str, out: str) -> tuple[str, str, str, str]:
    """Two matrix texts, and the letters of the product's rows and columns; the order that needs no moving afterwards if there is one."""
    left, right = (("".join(k for k in out if k in x.letters)) for x in (a, c))
    if out == right + left:
        a, c, left, right = c, a, right, left
    shared = order(a, c, inner)
    return side(a, left, shared), flipped(c, right, shared), left, right


def order(a: Operand, c: Operand, inner: str) -> str:
    """The inner letters in the order of the operand that is the more costly to move."""
    orders = ["".join(k for k in x.letters if k in inner) for x in (a, c)]
    return orders[0] if len(a.letters) >= len(c.letters) else orders[1]


def side(x: Operand, kept: str, inner: str) -> str:
    """The matrix kept × inner; by a transposed view where the axes lie so."""
    if x.letters == inner + kept and not x.letters == kept + inner:
        return f"{x.grouped(inner, kept)}.t()"
    return x.grouped(kept, inner)


def flipped(x: Operand, kept: str, inner: str) -> str:
    """The matrix inner × kept."""
    return x.grouped(inner, kept) if x.letters == inner + kept else f"{x.grouped(kept, inner)}.t()"


def product(a: Operand, c: Operand, inner: str, out: str) -> str:
    """One product of matrices; the thin side of the result stands as rows, which is several times faster."""
    one, two, left, right = matrices(a, c, inner, out)
    sizes = {**a.sizes, **c.sizes}
    if thin(right, sizes) and not thin(left, sizes):
        one, two, left, right = turned(two), turned(one), right, left
    return shaped(f"{one}.mm({two})", (left, right), out, sizes)


def thin(letters: str, sizes: Sizes) -> bool:
    """Whether these axes together are few: (512 × 3072)ᵀ times 512 × 8 takes 6.9 ms, transposed 1.2; at 16 columns both take the same."""
    return all(isinstance(sizes[k], int) for k in letters) and math.prod(int(sizes[k]) for k in letters) <= THIN


def turned(text: str) -> str:
    """The transpose of a matrix text."""
    return text.removesuffix(".t()") if text.endswith(".t()") else f"{text}.t()"


def shaped(text: str, groups: Sequence[str], out: str, sizes: Sizes) -> str:
    """A result whose axes are these groups, with its axes apart and in order."""
    if any(len(group) != 1 for group in groups):
        text = f"{text}.reshape(({''.join(f'{sizes[k]}, ' for k in ''.join(groups))}))"
    return Operand(text, "".join(groups), sizes).ordered(out)


def in_place(x: Operand, m: Operand, inner: str, out: str) -> str | None:
    """A matrix m on neighbouring axes in the middle of x, which stay where they are; None if this is no such case."""
    new = "".join(k for k in m.letters if k not in inner)
    first = x.letters.find(inner)
    if (len(inner) > 1 and inner not in m.letters) or first <= 0 or first + len(inner) == len(x.letters) or not new:
        return None
    before, after = x.letters[:first], x.letters[first + len(inner) :]
    if thin(after, x.sizes):  # many products of a few columns: one product of all is faster, though it moves the axes
        return None
    if out != before + "".join(k for k in out if k in new) + after or "Z" in inner + new:
        return None
    new = out[len(before) : len(out) - len(after)]
    sizes = {**x.sizes, **m.sizes}
    lengths = ", ".join(span(group, sizes) for group in (before, new, inner))
    return shaped(f"{side(m, new, inner)}.expand({lengths}).bmm({x.grouped(before, inner, after)})", (before, new, after), out, sizes)


def by_batches(a: Operand, c: Operand, inner: str, out: str) -> str | None:
    """A batch of products over the first letters, then their sum: where both lie so, neither is moved. None where one product is better."""
    left, right = (("".join(k for k in out if k in x.letters)) for x in (a, c))
    if not left or not right or left not in a.letters or right not in c.letters:
        return None
    if out == right + left:
        a, c, left, right = c, a, right, left
    first, last = a.letters.split(left)
    sizes = {**a.sizes, **c.sizes}
    if not first or not last or c.letters != first + right + last or not all(isinstance(sizes[k], int) for k in last):
        return None
    rows, columns, length = (math.prod(int(sizes[k]) for k in group) for group in (left, right, last))
    if rows * columns * length < BLOCK or 2 * rows * columns > (rows + columns) * length:
        return None  # small products are slow, large results cost more than moving what they are made of
    text = f"{a.grouped(first, left, last)}.bmm({c.grouped(first, right, last)}.mT).sum(0)"
    return shaped(text, (left, right), out, sizes)


def batched(a: Operand, c: Operand, inner: str, batch: str, out: str) -> str:
    """A batch of products of matrices."""
    left, right = (("".join(k for k in out if k in x.letters and k not in batch)) for x in (a, c))
    if not left and not right:  # many small products of vectors: a batched product takes far longer than two passes
        both = batch + inner if a.letters.startswith(batch[0]) else inner + batch
        axes = ", ".join(str(both.index(k)) for k in inner)
        if (a.text, a.letters) == (c.text, c.letters):
            return Operand(f"squares({a.ordered(both)}, ({axes},))", batch, a.sizes).ordered(out)
        return Operand(f"({a.ordered(both)} * {c.ordered(both)}).sum(({axes},))", batch, a.sizes).ordered(out)
    sizes = {**a.sizes, **c.sizes}
    narrow = [bool(side) and thin(side, sizes) for side in (left, right)]
    if (right and not left) or narrow == [False, True] or (narrow[0] == narrow[1] and out == batch + right + left):
        a, c, left, right = c, a, right, left
    one, two = factors(a, c, inner, batch, left, right)
    text = f"{one}.bmm({two})"
    if not left or not right or any(len(group) != 1 for group in (batch, left, right)):
        text = f"{text}.reshape(({''.join(f'{sizes[k]}, ' for k in batch + left + right)}))"
    return Operand(text, batch + left + right, sizes).ordered(out)


def factors(a: Operand, c: Operand, inner: str, batch: str, left: str, right: str) -> tuple[str, str]:
    """The two batches of matrices of a batched product."""
    shared = order(a, c, inner)
    return a.grouped(batch, left, shared), c.grouped(batch, shared, right)
