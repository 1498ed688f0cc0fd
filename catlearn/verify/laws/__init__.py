"""The law suite: ``check(f)`` puts a term, or a box of your own, before every law that applies to it.

Groups: box (shapes, batches, purity, definition, reverse, exactness), category, monoidal, cartesian, Para, lens, functor, and the
reverse derivative axioms RD1 to RD7. Terms are run in float64 at generic points; a failure is reported with the smallest sample that
still fails. Every distinct box inside a composite is put before the box laws too.

>>> import catlearn as cl
>>> report = check(cl.linear(cl.R(3), cl.R(2)) >> cl.tanh, trials=2)
>>> bool(report), len(report.failed)
(True, 0)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, count
from operator import eq
from typing import Any

import torch

from catlearn import errors
from catlearn.core.combinators import id
from catlearn.core.equality import same
from catlearn.core.functor import Functor
from catlearn.core.term import Box, Reparam, Scope, Term, as_term, walk
from catlearn.verify.laws import boxes, categorical
from catlearn.verify.laws.diagrams import check_theta
from catlearn.verify.laws.learners import check_learner
from catlearn.verify.laws.maps import check_map
from catlearn.verify.laws.report import FAILED, HELD, NOT, LawReport, Outcome
from catlearn.verify.laws.subject import DoesNotApply, Sample, Subject, close

Law = Callable[[Subject, Sample], Iterator[tuple[Sequence[Any], Sequence[Any]]]]

BOX: dict[str, Law] = {
    "outputs have the promised shapes and dtypes": boxes.shapes,
    "f of a batch is the batch of f": boxes.batches,
    "f gives the same twice and overwrites nothing": boxes.purity,
    "the torch rule is the definition": boxes.defined,
    "reverse is autograd, with fused kernels": boxes.reversed_fused,
    "reverse is autograd, from primitives": boxes.reversed_primitives,
    "floats agree with exact rationals": boxes.exactly,
}
GROUPS: dict[str, dict[str, Law]] = {
    "box": BOX,
    "category": {
        "id then f = f = f then id": categorical.units,
        "(g then f) then h = g then (f then h)": categorical.associativity,
    },
    "monoidal": {
        "f @ I = f = I @ f": categorical.monoidal_units,
        "(f @ h) then (g @ h) = (f then g) @ (h then h)": categorical.interchange,
        "f @ g then swap = swap then g @ f": categorical.symmetry,
    },
    "cartesian": {
        "f then copy = copy then f @ f, parameters tied": categorical.copying,
        "f then discard = discard": categorical.discarding,
    },
    "Para": {
        "f[id] = f, f[r](q) = f(r(q))": categorical.reparam,
        "f[r][s] = f[s then r]": categorical.vertical,
        "(g then f then h)[r] = g then f[r] then h": categorical.whiskering,
        "(f @ k)[r @ t] = f[r] @ k[t]": categorical.cell_interchange,
    },
    "lens": {
        "get is the compiled module": categorical.get_is_compile,
        "lens(f then h) = lens(f) then lens(h)": categorical.lens_then,
        "lens(f @ g) = lens(f) @ lens(g)": categorical.lens_beside,
        "lens(id) puts the covector back": categorical.lens_identity,
    },
    "functor": {"change of base keeps composition and names": categorical.base_then},
    "reverse derivative": {
        "RD1: R[f + g] = R[f] + R[g], R[0] = 0": boxes.rd1,
        "RD2: R[f] is additive in the covector": boxes.rd2,
        "RD3: R[id] and R[projection]": boxes.rd3,
        "RD4: R[⟨f, g⟩] = R[f] + R[g], R[!] = 0": boxes.rd4,
        "RD5: the chain rule": boxes.rd5,
        "RD6: R[f] is linear in the covector": boxes.rd6,
        "RD7: mixed partials commute": boxes.rd7,
    },
}


def check(f: Any, seed: int = 0, trials: int = 5, tolerance: float = 1e-9) -> LawReport:
    """Every law on ``f``: a term, a box, or a selection of them made by you. ``seed`` and ``trials`` fix the samples.

    A law fails if the two sides differ by more than ``tolerance`` relative to 1 + their size in some entry, or if something
    raises; one that compared nothing does not apply. The report is true only if nothing failed and something was checked.
    Raises ``NeedsSpace`` for a schema without its space.
    """
    term = as_term(f, None, "laws.check")
    subject, outcomes = Subject(term, seed), []
    with _float64():
        for group, laws in GROUPS.items():
            outcomes += [_outcome(group, name, law, subject, trials, tolerance) for name, law in laws.items()]
        if not isinstance(_bare(term), Box):
            for title, box in _inner(term).items():
                inner = Subject(box, seed)
                outcomes += [_outcome(title, name, law, inner, trials, tolerance) for name, law in BOX.items()]
    return LawReport(f"{term}", tuple(outcomes))


def check_functor(F: Functor[Any], f: Term, g: Term, equal: Callable[[Any, Any], bool] = eq) -> LawReport:
    """The functor laws for a functor of your own, on two composable terms; ``equal`` compares images.

    Without ``equal``, images that are terms are compared as written for composites and products, and up to ``same`` for identities.

    >>> from catlearn.meanings.base_change import ChangeBase
    >>> import catlearn as cl
    >>> print(check_functor(ChangeBase("float64"), cl.relu(cl.R(2)), cl.linear(cl.R(2), cl.R(1))))
    laws of ChangeBase
    functor
      ✓ F(f then g) = F(f) then F(g)
      ✓ F(f @ g) = F(f) @ F(g)
      ✓ F(id then f) = F(f)
      ✓ F(id @ id) = F(id)
    4 held, 0 failed, 0 do not apply
    """
    sides = {
        "F(f then g) = F(f) then F(g)": lambda: (F(f >> g), F.seq([F(f), F(g)])),
        "F(f @ g) = F(f) @ F(g)": lambda: (F(f @ g), F.par([F(f), F(g)])),
        "F(id then f) = F(f)": lambda: (F.seq([F(id(f.dom)), F(f)]), F(f)),
        "F(id @ id) = F(id)": lambda: (F.par([F(id(f.dom)), F(id(g.cod))]), F(id(f.dom @ g.cod))),
    }
    outcomes = []
    for law, both in sides.items():
        left, right = both()
        note = "" if equal(left, right) or (equal is eq and "id" in law and _same(left, right)) else f"{left}\nagainst\n{right}"
        outcomes.append(Outcome("functor", law, FAILED if note else HELD, note))
    return LawReport(type(F).__name__, tuple(outcomes))


def _same(left: Any, right: Any) -> bool:
    try:
        return isinstance(left, Term) and isinstance(right, Term) and bool(same(left, right))
    except errors.CatlearnError:  # a wrong functor may make terms that have no meaning
        return False


@contextmanager
def _float64() -> Iterator[None]:
    """Constants made inside are float64, as the samples are."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _bare(term: Term) -> Term:
    while isinstance(term, Scope):
        term = term.body
    return term


def _inner(term: Term) -> dict[str, Box]:
    """The distinct boxes of a term and of the cells in it, by title; constants and points, which do nothing, are left out."""
    nothing = ("parameter", "full", "constant")
    found: dict[Any, Box] = {}
    terms = [term]
    for part in terms:
        for node in walk(part):
            if isinstance(node, Reparam):
                terms += (cell.read for cell in node.cells)
            if isinstance(node, Box) and node.op.key not in nothing:
                found.setdefault((node.op.identity, node.dom), Box(node.op, node.dom, None, source=node.source))
    titled: dict[str, Box] = {}
    for box in found.values():
        title = f"box {box.op} on {box.dom}"
        numbers = (f"{title} ({n})" for n in count(2))
        titled[next(t for t in chain([title], numbers) if t not in titled)] = box
    return titled


# --- one law ----------------------------------------------------------------------------------------------------------


def _outcome(group: str, name: str, law: Law, subject: Subject, trials: int, tolerance: float) -> Outcome:
    compared = 0
    try:
        for trial in range(trials):
            sample = subject.sample(trial)
            problem, pairs = _problem(law, subject, sample, tolerance)
            compared += pairs
            if problem:
                sample, problem = _smallest(law, subject, sample, tolerance, problem)
                return Outcome(group, name, FAILED, f"{problem}\n{_show(subject, sample)}")
    except (DoesNotApply, errors.NoRule) as reason:
        return Outcome(group, name, NOT, re.sub(r"^\[\w+\] |      \(.*\)$", "", _first_line(reason)))
    except Exception as error:  # a wrong box may raise anything: that is a failure of the law, not of the check
        return Outcome(group, name, FAILED, f"raised {type(error).__name__}: {_first_line(error)}")
    return Outcome(group, name, HELD) if compared else Outcome(group, name, NOT, "nothing was compared")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _problem(law: Law, subject: Subject, sample: Sample, tolerance: float) -> tuple[str, int]:
    """How the two sides differ, or nothing; and how many pairs were compared."""
    pairs = 0
    for left, right in law(subject, sample):
        pairs += 1
        if problem := _difference(left, right, tolerance):
            return problem, pairs
    return "", pairs


def _difference(left: Sequence[Any], right: Sequence[Any], tolerance: float) -> str:
    """How two rows of values differ, or nothing."""
    if len(left) != len(right):
        return f"{len(left)} values against {len(right)}"
    for k, (a, b) in enumerate(zip(left, right, strict=True)):
        a, b = torch.as_tensor(a), torch.as_tensor(b)
        if a.shape != b.shape:
            return f"value {k} has shape {tuple(a.shape)} against {tuple(b.shape)}"
        if not close(a, b, tolerance):
            return f"value {k} differs by {(a.double() - b.double()).abs().max().item():.3g}: {_numbers(a)} against {_numbers(b)}"
    return ""


def _smallest(law: Law, subject: Subject, sample: Sample, tolerance: float, problem: str) -> tuple[Sample, str]:
    """A sample with rounder numbers that still fails, and how."""

    def attempt(change: Callable[[torch.Tensor], torch.Tensor], name: str, i: int) -> None:
        nonlocal sample, problem
        smaller = {k: [*v] for k, v in sample.items()}
        smaller[name][i] = change(smaller[name][i])
        try:
            found, _ = _problem(law, subject, smaller, tolerance)
        except Exception:  # a smaller sample that cannot be run is no counterexample
            return
        if found:
            sample, problem = smaller, found

    for name, tensors in sample.items():
        for i, x in enumerate(tensors):
            if x.is_floating_point():
                attempt(lambda t: t.round(decimals=1), name, i)
                attempt(lambda t: torch.where(t.round() == 0, 1.0, t.round()), name, i)
                if name != "x":
                    attempt(torch.ones_like, name, i)
                    attempt(torch.zeros_like, name, i)
    return sample, problem


def _show(subject: Subject, sample: Sample) -> str:
    """The sample, small tensors in full."""
    rows = [f"input {i} = {_numbers(x)}" for i, x in enumerate(sample["x"])]
    rows += [f"{name} = {_numbers(value)}" for name, value in subject.params(sample).items()]
    rows += [f"cotangent {i} = {_numbers(x)}" for i, x in enumerate(sample["dy"])]
    return "at " + "\n   ".join(rows)


def _numbers(x: torch.Tensor) -> str:
    if x.numel() > 12:
        return f"a tensor {tuple(x.shape)}"
    values = x.tolist()
    return str(torch.tensor(values).tolist() if not x.is_floating_point() else _rounded(values))


def _rounded(values: Any) -> Any:
    return [_rounded(v) for v in values] if isinstance(values, list) else float(f"{values:.6g}")


__all__ = ["BOX", "GROUPS", "LawReport", "Outcome", "check", "check_functor", "check_learner", "check_map", "check_theta"]
