"""Tampering: a thousand changes of one field each, with the digest left alone and with the digest made again.

With the old digest every change is found. With a new one a changed certificate may be accepted only if its claim follows from the
original's: the same inputs, outputs at least as weak, fewer sizes, more assumptions.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import catlearn as cl
from catlearn.verify.certificate import decode, digest, encode
from catlearn.verify.kernel import Claim
from catlearn.verify.types import fits

n = cl.dim("n")
STRINGS = [
    "aten.relu.default",
    "aten.add.Tensor",
    "data",
    "parameter",
    "buffer",
    "float",
    "index",
    "X",
    "V",
    "c",
    "*",
    "S(n)",
    "O(3)",
    "n",
    "",
]


class Layer(nn.Module):
    """Some of everything: positions, numbers, a matrix of distances, a fixed tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(4, 4)
        self.register_buffer("scale", torch.tensor([1.0, 2.0, 0.5, 1.0]))

    def forward(self, h: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        d = x[:, None] - x[None]
        w = torch.softmax(-d.pow(2).sum(-1), -1)
        h = torch.relu(self.net(w @ h)) * self.scale
        return h.mean(0), x + (w[..., None] * d).sum(1) / x.shape[0]


def certified() -> tuple[nn.Module, dict[str, Any]]:
    torch.manual_seed(0)
    model = Layer()
    report = cl.verify.equivariant(model, cl.space(cl.S(n), 4) @ cl.space(cl.S(n), cl.E(3)), cl.R(4) @ cl.space(cl.S(n), cl.E(3)))
    assert report and report.certificate is not None, report
    return model, json.loads(json.dumps(report.certificate))


def places(x: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every field of a JSON value."""
    yield path
    for key, value in x.items() if isinstance(x, dict) else enumerate(x) if isinstance(x, list) else ():
        yield from places(value, (*path, key))


def changed(certificate: dict[str, Any], path: tuple[Any, ...], rng: random.Random) -> dict[str, Any]:
    """The certificate with one field changed, removed, doubled or added."""
    found = copy.deepcopy(certificate)
    holder = found
    for key in path[:-1]:
        holder = holder[key]
    old = holder[path[-1]]
    how = rng.randrange(4)
    if how == 0 and isinstance(holder, dict | list):
        del holder[path[-1]]
    elif how == 1 and isinstance(old, list) and old:
        old.insert(rng.randrange(len(old)), copy.deepcopy(rng.choice(old)))
    elif how == 1 and isinstance(old, dict):
        old[rng.choice(["note", "sign", "shift", "zero"])] = rng.choice([1, True, ["O(3)"], "text"])
    elif isinstance(old, bool):
        holder[path[-1]] = not old
    elif isinstance(old, int):
        holder[path[-1]] = old + rng.choice([-2, -1, 1, 2, 7])
    elif isinstance(old, str):
        holder[path[-1]] = rng.choice([s for s in STRINGS if s != old])
    elif old is None:
        holder[path[-1]] = rng.choice([0, 3, "x", [1]])
    else:
        holder[path[-1]] = rng.choice([None, [], {}, 0])
    return found


def follows(new: Claim, old: Claim) -> bool:
    """Whether one claim follows from another by weakening alone."""

    def inside(k: str) -> bool:
        (low, high), (least, most) = new.dims[k], old.dims[k]
        return low >= least and (most is None or (high is not None and high <= most))

    ranges = new.dims.keys() == old.dims.keys() and all(map(inside, new.dims))
    outputs = len(new.cod) == len(old.cod) and all(fits(a, b) for a, b in zip(old.cod, new.cod, strict=True))
    return new.dom == old.dom and outputs and ranges and new.assumes >= old.assumes


def test_a_certificate_reads_back_as_it_was_written() -> None:
    _, certificate = certified()
    assert encode(decode(certificate)) == certificate


def test_with_the_old_digest_every_change_is_found() -> None:
    model, certificate = certified()
    rng = random.Random(0)
    ways = [path for path in places(certificate) if path and path != ("digest",)]
    for _ in range(500):
        bad = changed(certificate, rng.choice(ways), rng)
        if bad == certificate:
            continue
        with pytest.raises(cl.errors.BadCertificate):
            cl.verify.check(bad, model)


def test_with_a_new_digest_only_what_follows_is_accepted() -> None:
    model, certificate = certified()
    from catlearn.verify.checking import program_of
    from catlearn.verify.kernel import check

    original = decode(certificate)
    program = program_of(original.program, model)
    rng = random.Random(1)
    ways = [path for path in places(certificate) if path and path != ("digest",)]
    accepted = 0
    for _ in range(1000):
        bad = changed(certificate, rng.choice(ways), rng)
        if bad == certificate:
            continue
        bad["digest"] = digest(bad)
        try:
            proof = decode(bad)
        except cl.errors.BadCertificate:
            continue
        if check(proof) is None and bound(proof, program):
            accepted += 1
            assert follows(proof.claim, original.claim), bad["claim"]
    assert accepted < 100  # nearly every field matters


def bound(proof: Any, program: Any) -> bool:
    from dataclasses import replace

    wires = tuple(replace(v, entries=None) if w.entries is None else v for v, w in zip(program.wires, proof.program.wires, strict=False))
    return len(program.wires) == len(proof.program.wires) and replace(program, wires=wires) == proof.program


def test_a_claim_of_more_sizes_is_refused() -> None:
    """The mutant of the test above: a stronger claim, digest made again."""
    model, certificate = certified()
    wider = copy.deepcopy(certificate)
    wider["claim"]["dims"]["n"] = [1, None]
    wider["digest"] = digest(wider)
    assert not cl.verify.check(wider, model)


@pytest.mark.parametrize("f, dom, cod", [
    (lambda x: x.sort(0)[1], cl.space(cl.S(5)), cl.index(cl.S(5), 5)),
    (lambda x: x.index_select(0, x.argmax(0).reshape(1)).exp(), cl.space(cl.S(5)), cl.R(1)),  # three steps before the end
    (lambda x: (x.sum(0), x.index_select(0, x.argmax(0).reshape(1)).exp()), cl.space(cl.S(5)), cl.R() @ cl.R(1)),  # not by every output
])  # fmt: skip
def test_an_assumption_of_any_step_is_one_of_the_claim(f: Any, dom: Any, cod: Any) -> None:
    report = cl.verify.equivariant(f, dom, cod)
    assert report and "ties" in report.claim and cl.verify.check(report.certificate, f)
    fewer = json.loads(json.dumps(report.certificate))
    fewer["claim"]["assumes"] = []
    fewer["digest"] = digest(fewer)
    assert not cl.verify.check(fewer, f)
