"""``cl.verify.check``: re-checks a certificate, and that it speaks of this network.

The kernel re-checks the proof; then the network is turned into a program again, and the two must be the same. Nothing of the search is
used here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram

from catlearn.core.sizes import Poly, dims, evaluate
from catlearn.core.term import Term
from catlearn.errors import BadCertificate, BadClaim
from catlearn.interop.trace import trace
from catlearn.verify.certificate import decode
from catlearn.verify.faithful import check_same
from catlearn.verify.kernel import Program, Proof
from catlearn.verify.kernel import check as recheck
from catlearn.verify.program import exported
from catlearn.verify.report import Report
from catlearn.verify.terms import term_program

MOST = 1 << 28  # numbers of example inputs


def check(certificate: Mapping[str, Any] | str | Path, f: Any) -> Report:
    """The report of a certificate (a mapping, or the path of a file) about a module, a function, a term, or an exported program.

    ``proved`` if every step holds and the certificate's program is that of f; else ``unknown`` with the reason. A certificate that
    cannot be read, or whose digest is wrong, raises ``BadCertificate``.

    >>> import catlearn as cl, torch
    >>> from catlearn.verify.prove import equivariant
    >>> x = cl.space(cl.S(cl.dim("n")), 3)
    >>> report = equivariant(torch.nn.Linear(3, 3), dom=x, cod=x)
    >>> bool(check(report.certificate, torch.nn.Linear(3, 3))), bool(check(report.certificate, torch.nn.ReLU()))
    (True, False)
    """
    content = _read(certificate)
    proof = decode(content)
    if not isinstance(f, ExportedProgram | Term) and not callable(f):
        raise BadClaim(f"{f!r} is no module, no function and no term")
    claim = sentence(proof)
    wrong = recheck(proof) or _bound(proof, f)
    if wrong is not None:
        return Report("unknown", claim, reason=wrong)
    return Report("proved", claim, certificate=content, assumptions=("exact real arithmetic", *sorted(proof.claim.assumes)))


def sentence(proof: Proof) -> str:
    """The claim of a proof, in types."""
    known = [f"{name} from {low}" + ("" if high is None else f" to {high}") for name, (low, high) in sorted(proof.claim.dims.items())]
    sides = [", ".join(map(str, types)) or "()" for types in (proof.claim.dom, proof.claim.cod)]
    more = ", ".join(["exact real arithmetic", *sorted(proof.claim.assumes)])
    return f"{sides[0]} → {sides[1]}{', for ' if known else ''}{', '.join(known)}, for all inputs and parameters; assuming {more}"


def _read(certificate: Any) -> Any:
    if not isinstance(certificate, str | Path):
        return certificate
    path = Path(certificate)
    try:
        if not path.is_file():
            raise BadCertificate(f"there is no file {path}")
    except OSError as error:
        raise BadCertificate("the certificate is no path of a file", next="json.loads makes a mapping of a text") from error
    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_once)
    except (ValueError, UnicodeDecodeError, RecursionError) as error:
        raise BadCertificate(f"{path} is no certificate: {error}") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A mapping in which no key stands twice: a reader and a parser could take different ones of the two."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands there twice")
    return found


def _bound(proof: Proof, f: Any) -> str | None:
    """None if the certificate's program is the one of f; else how they differ."""
    program = program_of(proof.program, f)
    if isinstance(program, str):
        return program
    mine = proof.program
    wires = tuple(replace(v, entries=None) if w.entries is None else v for v, w in zip(program.wires, mine.wires, strict=False))
    if replace(program, wires=wires) == mine and len(program.wires) == len(mine.wires):
        return None
    for k, (a, b) in enumerate(zip(mine.nodes, program.nodes, strict=False)):
        if a != b:
            return f"the certificate speaks of another program: node {k} is {a.op} there and {b.op} here, or has other arguments"
    return "the certificate speaks of another program: other inputs, outputs, sizes, fixed numbers, or fewer nodes"


def program_of(program: Program, f: Any) -> Program | str:
    """The program of a network on inputs of the shapes that another program has, or why there is none.

    Whoever wrote the other one chose these shapes, so whatever the network says to them is an answer, and no error.
    """
    try:
        return _program_of(program, f)
    except Exception as error:
        line = next(iter(str(error).splitlines()), "")
        return f"the network does not take the inputs that the certificate speaks of: {type(error).__name__}: {line}"


def _program_of(program: Program, f: Any) -> Program | str:
    data = [program.wires[g.wire] for g in program.inputs if g.role == "data"]
    shapes = [v.shape for v in data]
    if isinstance(f, ExportedProgram):
        return exported(f, shapes).program
    if isinstance(f, Term):
        front = next((v.shape[: len(v.shape) - len(w.axes)] for v, w in zip(data, f.dom, strict=False) if w.kind == "float"), ())
        return term_program(f, front).program
    sizes = {d.name: max(5, d.min) + 2 * i for i, d in enumerate(sorted({d for shape in shapes for n in shape for d in dims(n)}))}
    if sum(prod(evaluate(n, sizes) for n in shape) for shape in shapes) > MOST:
        return f"the certificate speaks of inputs of more than {MOST:,} numbers"
    dtype = next((p.dtype for p in f.parameters() if p.is_floating_point()), torch.float32) if isinstance(f, nn.Module) else torch.float32
    kinds = {"float": dtype, "index": torch.int64, "bool": torch.bool}
    inputs = [_example([evaluate(n, sizes) for n in v.shape], kinds[v.kind]) for v in data]
    ep = trace(f, inputs, dynamic=[{i: n for i, n in enumerate(shape) if isinstance(n, Poly)} or None for shape in shapes])
    check_same(ep, f, inputs)
    return exported(ep, shapes).program


def _example(shape: list[int], dtype: torch.dtype) -> torch.Tensor:
    return (
        torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(0))
        if dtype.is_floating_point
        else torch.zeros(shape, dtype=dtype)
    )


__all__ = ["check", "program_of", "sentence"]
