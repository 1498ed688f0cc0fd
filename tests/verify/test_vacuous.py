"""No law is vacuous: for each one there is a broken evaluator under which it fails, by a comparison and not by an exception."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import catlearn as cl
from catlearn.boxes.arithmetic import Add, Mul, Power
from catlearn.core.spaces import Space
from catlearn.core.term import Reparam, Term
from catlearn.meanings.lens import Lens
from catlearn.meanings.reverse import _Tape
from catlearn.verify import laws
from catlearn.verify.laws import boxes, categorical
from catlearn.verify.laws.subject import Subject

Patch = Callable[[pytest.MonkeyPatch], None]
F = cl.linear(cl.R(2), cl.R(2)) >> cl.power(3)
TIMES = cl.copy(cl.R()) @ cl.id(cl.R()) >> cl.id(cl.R()) @ cl.mul(cl.R())  # (x, y) ↦ (x, xy)
OWN = {"the torch rule is the definition": cl.softplus(cl.R(2)), "RD7: mixed partials commute": TIMES >> TIMES}


def doubled(term: cl.Term) -> cl.Term:
    """The term, then twice every output."""
    return cl.seq(term, cl.par(*(cl.scale(Space((w,)), 2) for w in term.cod))) if len(term.cod) else term


def operator(kind: Any, name: str, when: Callable[..., bool] = lambda f, g: True) -> Patch:
    """A composition that doubles its outcome where ``when`` says so."""
    right, inside = getattr(kind, name), [False]

    def wrong(f: Any, g: Any) -> Any:
        found = right(f, g)
        if inside[0] or not when(f, g):
            return found
        if isinstance(found, Lens):
            forward = found.forward
            object.__setattr__(found, "forward", lambda *a: (tuple(2 * y for y in forward(*a)[0]), forward(*a)[1]))
            return found
        inside[0] = True  # the doubling itself composes rightly
        try:
            return doubled(found)
        finally:
            inside[0] = False

    return lambda patch: patch.setattr(kind, name, wrong)


def after(module: Any, name: str, before: bool = False) -> Patch:
    """A function whose terms, given (``before``) or made, are doubled."""
    right = getattr(module, name)
    wrong = (lambda t, *a, **k: right(doubled(t), *a, **k)) if before else (lambda *a, **k: doubled(right(*a, **k)))
    return lambda patch: patch.setattr(module, name, wrong)


def run(prefix: str, wrong: Callable[[Any, int], Any]) -> Patch:
    """An evaluator that changes what the terms run under some key give; it is told how often it was called."""
    right, calls = Subject.run, [0]

    def broken(self: Any, key: str, *rest: Any) -> Any:
        calls[0] += 1
        return tuple(wrong(y, calls[0]) for y in right(self, key, *rest)) if key.startswith(prefix) else right(self, key, *rest)

    return lambda patch: patch.setattr(Subject, "run", broken)


def rule(kind: type, wrong: Callable[..., Any]) -> Patch:
    return lambda patch: patch.setattr(kind, "vjp", wrong)


def reparametrised(f: Any, g: Any) -> bool:
    return isinstance(f, Reparam) or isinstance(g, Reparam)


def last(self: Any, grads: Any, wire: int, grad: int) -> None:
    """A copied wire keeps one of its cotangents."""
    grads.update({wire: grad} if wire in self.active else {})


THEN, BESIDE = operator(Term, "__rshift__"), operator(Term, "__matmul__")
SQUARED = rule(Power, lambda s, o, args, outs, d: (o.mul(o.power(d[0], 2), args[0]),))
BROKEN: dict[str, Patch] = {
    "outputs have the promised shapes and dtypes": run("f", lambda y, n: y.float()),
    "f of a batch is the batch of f": run("f", lambda y, n: y - y.mean(0)),
    "f gives the same twice and overwrites nothing": run("f", lambda y, n: y + n),
    "the torch rule is the definition": run("definition", lambda y, n: 2 * y),
    "reverse is autograd, with fused kernels": after(boxes, "reverse"),
    "reverse is autograd, from primitives": after(boxes, "reverse"),
    "floats agree with exact rationals": run("f", lambda y, n: y + 1),
    "id then f = f = f then id": THEN,
    "(g then f) then h = g then (f then h)": THEN,
    "f @ I = f = I @ f": BESIDE,
    "(f @ h) then (g @ h) = (f then g) @ (h then h)": BESIDE,
    "f @ g then swap = swap then g @ f": after(categorical, "swap"),
    "f then copy = copy then f @ f, parameters tied": after(categorical, "copy"),
    "f then discard = discard": THEN,
    "f[id] = f, f[r](q) = f(r(q))": after(categorical, "scale"),
    "f[r][s] = f[s then r]": THEN,
    "(g then f then h)[r] = g then f[r] then h": operator(Term, "__rshift__", reparametrised),
    "(f @ k)[r @ t] = f[r] @ k[t]": operator(Term, "__matmul__", reparametrised),
    "get is the compiled module": after(categorical, "compile", before=True),
    "lens(f then h) = lens(f) then lens(h)": operator(Lens, "__rshift__"),
    "lens(f @ g) = lens(f) @ lens(g)": operator(Lens, "__matmul__"),
    "lens(id) puts the covector back": after(categorical, "lens", before=True),
    "change of base keeps composition and names": after(categorical, "change_base"),
    "RD1: R[f + g] = R[f] + R[g], R[0] = 0": rule(Add, lambda s, o, args, outs, d: (d[0], o.neg(d[0]))),
    "RD2: R[f] is additive in the covector": SQUARED,
    "RD3: R[id] and R[projection]": after(boxes, "reverse"),
    "RD4: R[⟨f, g⟩] = R[f] + R[g], R[!] = 0": lambda patch: patch.setattr(_Tape, "accumulate", last),
    "RD5: the chain rule": after(boxes, "reverse"),
    "RD6: R[f] is linear in the covector": SQUARED,
    "RD7: mixed partials commute": rule(Mul, lambda s, o, args, outs, d: (o.mul(d[0], args[0]), o.mul(d[0], args[1]))),
}


def test_every_law_has_a_mutant() -> None:
    assert set(BROKEN) == {law for group in laws.GROUPS.values() for law in group}


@pytest.mark.parametrize("law", BROKEN)
def test_a_law_fails_under_its_mutant_and_holds_without(law: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (check,) = (group[law] for group in laws.GROUPS.values() if law in group)

    def outcome() -> laws.Outcome:
        with laws._float64():
            return laws._outcome("group", law, check, Subject(OWN.get(law, F)), 1, 1e-9)

    found = outcome()
    assert found.verdict == "held", found.note
    BROKEN[law](monkeypatch)
    found = outcome()
    promise = law.startswith("outputs have")  # the one law that is stated by raising
    assert found.verdict == "failed" and found.note.startswith("raised") is promise, found.note
