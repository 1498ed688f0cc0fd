"""``cl.verify.equivariant``: is this network equivariant, for all weights, all inputs and all sizes?

First a proof is searched for (``search``) and re-checked (``kernel``). If there is none, a counterexample is (``refute``). If there is
none either, the answer is ``unknown``, with the line where the proof got stuck and the largest group for which there is one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from catlearn.core.sizes import Dim, Size
from catlearn.core.spaces import Space
from catlearn.core.term import Term
from catlearn.errors import BadClaim
from catlearn.interop.trace import trace
from catlearn.meanings.module import compile
from catlearn.verify import claims
from catlearn.verify.certificate import encode
from catlearn.verify.faithful import check_same
from catlearn.verify.kernel import Program, Proof, check
from catlearn.verify.program import Exported, exported
from catlearn.verify.refute import TRIALS, outputs, refutation
from catlearn.verify.report import Line, Report
from catlearn.verify.rules import IN_DISTRIBUTION, NO_TIES
from catlearn.verify.search import Failure, Search
from catlearn.verify.surviving import surviving
from catlearn.verify.terms import term_program


def equivariant(f: Any, dom: Space, cod: Space, batch: Size | Sequence[Size] = (), samples: int = 0,
                seconds: float | None = 60) -> Report:  # fmt: skip
    """Whether f(g · x) = g · f(x) for every element of the groups on ``dom`` and ``cod``.

    ``f`` is a module, a function of tensors, or a term. ``dom`` and ``cod`` have one wire for each tensor that goes in and comes out;
    groups stand on their axes, sizes may be symbols (``cl.dim("n")``) and then the claim covers their range; a ``cod`` without groups
    claims invariance. ``batch`` axes stand in front of every wire of numbers.

    The verdict is ``proved`` (with a certificate), ``refuted`` (with a counterexample), or ``unknown``. With ``samples``, what is unknown
    is tried on so many random elements of each group, and ``sampled`` if none of them shows a difference: that is no proof. A
    counterexample of what is not proved is sought for ``seconds`` at most (None: until all is tried); the reason says if time was up.
    Raises ``BadClaim`` if the spaces make no sense for f, and ``CannotTrace`` if ``torch.export`` cannot see its graph.

    >>> import catlearn as cl, torch
    >>> n = cl.dim("n")
    >>> mean = lambda x: torch.relu(x - x.mean(0))
    >>> report = equivariant(mean, dom=cl.space(cl.S(n), 3), cod=cl.space(cl.S(n), 3))
    >>> report.verdict, bool(equivariant(torch.relu, dom=cl.space(cl.O(2)), cod=cl.space(cl.O(2))))
    ('proved', False)
    """
    dom, cod = claims.checked(dom, cod)
    if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds >= 0):
        raise BadClaim(f"seconds={seconds!r} is no time limit", next="give a number of seconds, or None for no limit")
    axes = (batch,) if not isinstance(batch, Sequence) else tuple(batch)
    clock = [time.perf_counter()]
    found, call, training = _program(f, dom, cod, axes)
    clock.append(time.perf_counter())
    types = tuple(claims.type_of(w, axes) for w in dom), tuple(claims.type_of(w, axes) for w in cod)
    _fits(found.program, types[1])
    search = Search(found.program, *types)
    proof = search.run()
    wrong = check(proof) if isinstance(proof, Proof) else None
    clock.append(time.perf_counter())
    assumes = sorted(proof.claim.assumes) if isinstance(proof, Proof) else []
    named = {d.name for d in claims.symbols(dom, axes)}
    claim = claims.sentence(dom, cod, {k: v for k, v in found.program.dims.items() if k in named}, assumes, training)
    report = Report("unknown", claim, assumptions=("exact real arithmetic", *assumes), typed=_lines(search, found),
                    seconds={"export": clock[1] - clock[0], "proof": clock[2] - clock[1]})  # fmt: skip
    if isinstance(proof, Failure):
        where = found.sources[proof.node] if proof.node is not None else None
        report = replace(report, reason=proof.reason, where=where, surviving=surviving(found.program, *types))
        return _refuted(report, call, dom, cod, axes, found.program, samples, seconds)
    if wrong is not None:
        return replace(report, reason=f"the kernel does not accept what the search found: {wrong}")
    if NO_TIES in proof.claim.assumes:  # ties of numbers drawn at random come from the network, so the assumption would be empty
        tied = refutation(call, dom, cod, axes, _lower(found.program), whole=False).found
        if tied is not None:
            return replace(report, verdict="refuted", counterexample=tied)
    return _verdict(report, proof, found, claims.symbols(dom, axes))


def _verdict(report: Report, proof: Proof, found: Exported, asked: Sequence[Dim]) -> Report:
    """``proved``, unless the proof is of less than was asked."""
    narrower = [d.name for d in asked if d.name in proof.claim.dims and proof.claim.dims[d.name][0] > d.min]
    if narrower:
        low = proof.claim.dims[narrower[0]][0]
        return replace(report, reason=f"torch.export takes {narrower[0]} to be at least {low}: so it is proved, and not for smaller ones")
    if IN_DISTRIBUTION in proof.claim.assumes:
        node = next(k for k, n in enumerate(found.program.nodes) if n.random)
        return replace(report, where=found.sources[node],
                       reason="random entries (dropout in training) make it equal in distribution only, not point by point")  # fmt: skip
    return replace(report, verdict="proved", certificate=encode(_stripped(proof)))


def _program(f: Any, dom: Space, cod: Space, batch: tuple[Size, ...]) -> tuple[Exported, Callable[..., Any], bool]:
    """The program of f, something to call, and whether it is in training mode."""
    if isinstance(f, Term):
        _same_wires(f, dom, cod)
        return term_program(f, batch), compile(f), False
    if not callable(f):
        raise BadClaim(f"{f!r} is no module, no function and no term")
    sizes = claims.example_sizes(dom, batch)
    dtype = next((p.dtype for p in f.parameters() if p.is_floating_point()), torch.float32) if isinstance(f, nn.Module) else torch.float32
    inputs = [claims.example(w, batch, sizes, i, dtype) for i, w in enumerate(dom)]
    _try(f, inputs, dom, cod, batch, sizes)
    ep = trace(f, inputs, dynamic=claims.dynamic(dom, batch))
    check_same(ep, f, inputs)
    program = exported(ep, [claims.type_of(w, batch).shape for w in dom])
    training = any(node.args.get("train") is True or node.args.get("training") is True for node in program.program.nodes)
    return program, f, training


def _same_wires(f: Term, dom: Space, cod: Space) -> None:
    for name, own, claimed in (("dom", f.dom, dom), ("cod", f.cod, cod)):
        if [w.shape for w in own] != [w.shape for w in claimed]:
            raise BadClaim(f"the term has the {name} {own}, and {claimed} is claimed")


def _try(f: Callable[..., Any], inputs: list[torch.Tensor], dom: Space, cod: Space, batch: tuple[Size, ...],
         sizes: dict[str, int]) -> None:  # fmt: skip
    """Runs f once, on copies of its buffers, to see that the spaces fit it."""
    given = [f"input {i}: {tuple(x.shape)}, {x.dtype}" for i, x in enumerate(inputs)]
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            if isinstance(f, nn.Module):
                state = {k: v.clone() for k, v in f.named_buffers()}
                found = outputs(torch.func.functional_call(f, state, tuple(inputs)))
            else:
                found = outputs(f(*inputs))
    except Exception as error:
        if "data-dependent" in str(error):
            raise
        line = str(error).strip().splitlines()[0] if str(error).strip() else ""
        hint = "dom has one wire for each tensor that goes in; batch=... adds axes in front; index wires say their range"
        raise BadClaim(f"the network does not run on an example of dom: {type(error).__name__}: {line}", given, hint) from error
    if len(found) != len(cod):
        shapes = [f"output {i}: {tuple(y.shape)}" for i, y in enumerate(found)]
        hint = "one wire of cod for each tensor that comes out"
        raise BadClaim(f"the network returns {len(found)} tensors, and cod has {len(cod)} wires", shapes, hint)
    for i, (y, wire) in enumerate(zip(found, cod, strict=True)):
        wanted = tuple(claims.example(wire, batch, sizes).shape)
        if tuple(y.shape) != wanted:
            raise BadClaim(f"output {i} has the shape {tuple(y.shape)}, and cod says {wanted}",
                           [f"for {', '.join(f'{k} = {v}' for k, v in sizes.items())}"] if sizes else [])  # fmt: skip


def _fits(program: Program, cod: tuple[Any, ...]) -> None:
    shapes = [program.wires[w].shape for w in program.outputs]
    if shapes != [t.shape for t in cod]:
        raise BadClaim(f"the outputs have the shapes {shapes}, and cod says {[t.shape for t in cod]}")


def _refuted(report: Report, f: Callable[..., Any], dom: Space, cod: Space, batch: tuple[Size, ...], program: Program,
             samples: int, seconds: float | None) -> Report:  # fmt: skip
    lower = _lower(program)
    outcome = refutation(f, dom, cod, batch, lower, samples or TRIALS, seconds=seconds)
    if outcome.found is not None:
        return replace(report, verdict="refuted", counterexample=outcome.found)
    if outcome.cut:
        report = replace(report, reason=f"{report.reason}; the search for a counterexample was cut off after {seconds:g} s")
    if samples and outcome.compared >= samples:
        reason = f"{report.reason}; no difference in {outcome.compared} comparisons"
        return replace(report, verdict="sampled", reason=reason)
    return report


def _lower(program: Program) -> bool:
    """Whether it may compute in less than float64 somewhere."""
    return any(n.op.startswith(("aten.to", "aten._to_copy", "aten.type_as")) for n in program.nodes)


def _stripped(proof: Proof) -> Proof:
    """The proof without entries of fixed tensors that no step looks at, so that it holds for other buffers too."""
    from catlearn.verify.types import forget

    used = {proof.program.inputs[s.of[1]].wire for s in proof.steps if s.of[0] == "input" and any(t != forget(t) for t in s.types)}
    wires = tuple(v if k in used else replace(v, entries=None) for k, v in enumerate(proof.program.wires))
    return replace(proof, program=replace(proof.program, wires=wires))


def _lines(search: Search, found: Exported) -> list[Line]:
    return [Line(node.op, tuple(str(search.facts[search.about[w][-1]].type) if search.about.get(w) else "?" for w in node.outs), source)
            for node, source in zip(found.program.nodes, found.sources, strict=True)]  # fmt: skip


__all__ = ["equivariant"]
