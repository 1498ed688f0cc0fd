"""What every box promises beyond composition: shapes, batches, purity, and that its rules tell one story.

The torch rule, the definition, the fused kernels, the reverse rule and the exact meaning are written separately, so each is checked
against another: the reverse against autograd through the torch rule, the torch rule against the definition, both against fractions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from catlearn.core.sizes import evaluate as size
from catlearn.core.spaces import tangent
from catlearn.core.term import Box, Term
from catlearn.meanings.build import definition
from catlearn.meanings.exact import Rationals, evaluate
from catlearn.meanings.reverse import reverse
from catlearn.verify.laws import derivative as rd
from catlearn.verify.laws.categorical import _batch, after, before
from catlearn.verify.laws.subject import DoesNotApply, Sample, Subject

Pairs = Iterator[tuple[Sequence[Any], Sequence[Any]]]


def _run(s: Subject, d: Sample) -> tuple[torch.Tensor, ...]:
    return s.run("f", lambda: s.term, s.params(d), d["x"])


def shapes(s: Subject, d: Sample) -> Pairs:
    ys, kinds = _run(s, d), {"float": torch.float64, "index": torch.int64, "bool": torch.bool}
    for y, wire in zip(ys, s.term.cod, strict=True):
        wanted = (*(_batch(s, d) if wire.batched and len(s.term.dom) else ()), *(size(n, s.sizes) for n in wire.shape))
        if tuple(y.shape) != wanted or y.dtype != kinds[wire.kind]:
            raise AssertionError(
                f"an output is {y.dtype} of shape {tuple(y.shape)}, its wire {wire} promises {kinds[wire.kind]} of {wanted}"
            )
        yield (), ()


def batches(s: Subject, d: Sample) -> Pairs:
    if s.graph.effects:
        raise DoesNotApply(f"the term is {' and '.join(sorted(s.graph.effects))}: its events need not be independent")
    if not (any(wire.batched for wire in s.term.dom) and any(wire.batched for wire in s.term.cod)):
        raise DoesNotApply("no input has batch axes" if any(wire.batched for wire in s.term.cod) else "no output has batch axes")
    d = d if _batch(s, d) else {**d, "x": [_two(x) if w.batched else x for x, w in zip(d["x"], s.term.dom, strict=True)]}
    batch, ys, ps = _batch(s, d), _run(s, d), s.params(d)
    for i in np.ndindex(batch):
        xs = [x[i] if wire.batched else x for x, wire in zip(d["x"], s.term.dom, strict=True)]
        yield (
            [y[i] for y, w in zip(ys, s.term.cod, strict=True) if w.batched],
            [y for y, w in zip(s.run("f", lambda: s.term, ps, xs), s.term.cod, strict=True) if w.batched],
        )


def _two(x: torch.Tensor) -> torch.Tensor:
    """A batch of two: an event and another one near it, in the same region and below the same bound."""
    return torch.stack([x, x / 2 + 0.25 if x.is_floating_point() else x.flip(tuple(range(x.dim())))])


def purity(s: Subject, d: Sample) -> Pairs:
    kept = {name: [t.clone() for t in ts] for name, ts in d.items()}
    first = [y.clone() for y in _run(s, d)]
    yield first, _run(s, d)
    yield [*d["x"], *d["p"]], [*kept["x"], *kept["p"]]  # nothing was overwritten


def defined(s: Subject, d: Sample) -> Pairs:
    if not isinstance(s.term, Box):
        raise DoesNotApply("a composite is its own definition")
    op = s.term.op
    if op.definition is None or op.torch is None:
        raise DoesNotApply("the box has no definition" if op.definition is None else "the box has no torch rule beside its definition")
    if op.effect != "pure":
        raise DoesNotApply(f"the box is {op.effect}")
    box = s.term
    yield _run(s, d), s.run("definition", lambda: definition(box), {}, [*d["x"], *d["p"]])


def _autograd(s: Subject, d: Sample) -> list[torch.Tensor]:
    """The cotangents of trainable parameters by name, then of inputs, by torch."""
    params = {k: v.clone().requires_grad_(v.is_floating_point()) for k, v in s.params(d).items()}
    xs = [x.clone().requires_grad_(x.is_floating_point()) for x in d["x"]]
    ys = [y for y in s.run("f", lambda: s.term, params, xs) if y.is_floating_point()]
    wanted = [params[k] for k in sorted(params) if s.graph.params[k].trainable] + [x for x in xs if x.is_floating_point()]
    pairs = [(y, dy) for y, dy in zip(ys, d["dy"], strict=True) if y.requires_grad]
    if not pairs:
        return [torch.zeros_like(x) for x in wanted]
    found = torch.autograd.grad([y for y, _ in pairs], wanted, [dy for _, dy in pairs], allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for g, x in zip(found, wanted, strict=True)]


def reversed_fused(s: Subject, d: Sample) -> Pairs:
    yield s.run("reverse", lambda: reverse(s.term), s.params(d), [*d["x"], *d["dy"]]), _autograd(s, d)


def reversed_primitives(s: Subject, d: Sample) -> Pairs:
    yield s.run("reverse!", lambda: reverse(s.term, fused=False), s.params(d), [*d["x"], *d["dy"]]), _autograd(s, d)


def exactly(s: Subject, d: Sample) -> Pairs:
    if _batch(s, d):
        return  # exact meanings take single events: the trials without a batch are compared
    near = [_dyadic(x) for x in d["x"]]
    params = {name: _dyadic(p) for name, p in s.params(d).items()}
    values = evaluate(s.term, Rationals(), near, params)
    values = values if isinstance(values, tuple) else (values,)
    wires = zip(values, s.term.cod, strict=True)
    exact = [torch.tensor(np.array(v.array, dtype=float if w.kind == "float" else int).tolist(), dtype=torch.float64) for v, w in wires]
    yield [y.double() for y in s.run("f", lambda: s.term, params, near)], exact


def _dyadic(x: torch.Tensor) -> torch.Tensor:
    """The nearest multiples of 1/8: short fractions that floats hold exactly."""
    return torch.round(x * 8) / 8 if x.is_floating_point() else x


# --- the reverse derivative axioms, on the term with its parameters as inputs -------------------------------------------


def _setting(s: Subject) -> tuple[rd.Setting, Term]:
    f = s.uncurried

    def R(t: Term) -> Term:
        return s.built(f"R {_key(t)}", lambda: (t, reverse(t, fused=False)))[1]

    def run(t: Term, xs: Sequence[Any]) -> Sequence[Any]:
        return s.run(_key(t), lambda: t, {}, xs)

    if not len(tangent(f.cod)):
        raise DoesNotApply("no output is real")
    return rd.Setting(R, run, torch.zeros_like, torch.sum), f


def _key(t: Term) -> str:
    return f"{hash(t)} {t.title}"


def _at(d: Sample) -> list[Any]:
    return [*d["x"], *d["p"]]


def rd1(s: Subject, d: Sample) -> Pairs:
    setting, f = _setting(s)
    if any(wire.kind != "float" for wire in f.cod):
        raise DoesNotApply("an output is not real, so there is no sum")
    yield from rd.rd1(setting, f, before(f.dom) >> f, _at(d), d["dy"])


def rd2(s: Subject, d: Sample) -> Pairs:
    setting, f = _setting(s)
    yield from rd.rd2(setting, f, _at(d), d["dy"], d["dz"])


def rd3(s: Subject, d: Sample) -> Pairs:
    setting, f = _setting(s)
    ys = s.run("f", lambda: s.term, s.params(d), d["x"])
    yield from rd.rd3(setting, f.dom, f.cod, _at(d), list(ys), d["v"], d["dy"])


def rd4(s: Subject, d: Sample) -> Pairs:
    setting, f = _setting(s)
    yield from rd.rd4(setting, f, before(f.dom) >> f, _at(d), d["dy"], d["dz"])


def rd5(s: Subject, d: Sample) -> Pairs:
    setting, f = _setting(s)
    yield from rd.rd5(setting, f, after(f.cod), _at(d), d["dy"])
    yield from rd.rd5(setting, before(f.dom), f, _at(d), d["dy"])


def rd6(s: Subject, d: Sample) -> Pairs:
    setting, f = _second(s)
    yield from rd.rd6(setting, f, _at(d), d["dy"], d["dz"], d["v"])


def rd7(s: Subject, d: Sample) -> Pairs:
    setting, f = _second(s)
    yield from rd.rd7(setting, f, _at(d), d["dy"], d["v"], d["w"])


def _second(s: Subject) -> tuple[rd.Setting, Term]:
    """The setting for laws that reverse twice: every op of the reverse must have a reverse itself."""
    setting, f = _setting(s)
    if not len(tangent(f.dom)):
        raise DoesNotApply("no input and no parameter is real")
    for node in setting.R(f).graph.nodes:
        if node.op.key == "vjp":
            raise DoesNotApply(f"{node.op.of} has neither a reverse rule nor a definition")  # type: ignore[attr-defined]
    return setting, f
