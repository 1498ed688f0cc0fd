"""A thousand changes of one field of a proof: the kernel rejects it, or what it then claims is still true by the numbers.

The proofs are of random programs. A change may be of any number, truth value, word or missing value in the program, the claim, the steps,
the types, or drop or double an entry of a tuple. A program that torch cannot run, or whose shapes are not those that it states, is none:
the exporter is trusted for that.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from typing import Any

import pytest
import torch

from catlearn.verify import types
from catlearn.verify.kernel import Given, Program, Proof, Step, check
from catlearn.verify.rules import Value
from catlearn.verify.rules.constants import fixed
from catlearn.verify.search import Search
from catlearn.verify.types import Factor, Type
from tests.verify.numeric import NotOfType, kind_of
from tests.verify.programs import Case, evaluate, generate, refuted

pytestmark = pytest.mark.filterwarnings("ignore")
CHANGES = 1000
WORDS = [
    "c",
    "*",
    "X",
    "V",
    "D",
    "+",
    "P",
    "S(3)",
    "S(2)",
    "O(3)",
    "SO(3)",
    "Z(4)",
    "T(3)",
    "float",
    "index",
    "bool",
    "data",
    "parameter",
    "buffer",
    "input",
    "node",
    "aten.relu.default",
    "aten.cumsum.default",
    "aten.add.Tensor",
    "aten.sum.dim_IntList",
    "aten.flip.default",
]


@dataclass(frozen=True)
class Absent:
    """Marks an entry that is dropped."""


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all that can be changed."""
    if is_dataclass(value):
        return [p for f in fields(value) for p in leaves(getattr(value, f.name), (*path, f.name))]
    if isinstance(value, Mapping):
        return [p for k, v in value.items() for p in leaves(v, (*path, ("key", k)))]
    if isinstance(value, tuple | list):
        inside = [p for k, v in enumerate(value) for p in leaves(v, (*path, k))]
        return [*inside, *((*path, ("drop", k)) for k in range(len(value))), *((*path, ("double", k)) for k in range(len(value)))]
    return [path]


def changed(value: Any, path: tuple[Any, ...], rng: random.Random) -> Any:
    """The value with one change at the end of a path."""
    if not path:
        return other(value, rng)
    step, rest = path[0], path[1:]
    if isinstance(step, str):
        return replace(value, **{step: changed(getattr(value, step), rest, rng)})
    if isinstance(step, tuple) and step[0] == "key":
        return {k: changed(v, rest, rng) if k == step[1] else v for k, v in value.items()}
    if isinstance(step, tuple):
        k = step[1]
        new = [*value[:k], *([value[k]] * 2 if step[0] == "double" else []), *value[k + 1 :]]
        return type(value)(new)
    return type(value)(changed(v, rest, rng) if k == step else v for k, v in enumerate(value))


def other(value: Any, rng: random.Random) -> Any:
    """Another value of the same sort."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + rng.choice([-2, -1, 1, 2])
    if isinstance(value, float):
        return rng.choice([0.0, -value, value + 1])
    if isinstance(value, str):
        return rng.choice([w for w in WORDS if w != value])
    if isinstance(value, frozenset):
        return frozenset() if value else frozenset(["no ties in what is sorted or selected"])
    return rng.choice([0, 1, True, ()])


@cache
def proofs() -> list[tuple[Case, Proof]]:
    """Proofs of random programs."""
    found = []
    for k in range(20_000_000, 20_000_060):
        case = generate(k)
        proof = Search(case.program, case.dom, case.cod).run()
        if isinstance(proof, Proof) and check(proof) is None:
            found.append((case, proof))
    return found


def outcome(case: Case, proof: Proof) -> str:
    """What comes of a changed proof: ``rejected``, ``true``, ``no program``, or what is false about it."""
    try:
        if check(proof) is not None:
            return "rejected"
    except (ValueError, TypeError, AttributeError):  # not even of the form of a proof, as no certificate can be
        return "rejected"
    changed = replace(case, program=proof.program, dom=proof.claim.dom, cod=proof.claim.cod)
    try:
        wires = evaluate(proof.program, [s.at() for s in changed.samples(0)])
        if not runs(proof.program, wires):
            return "no program"
        wrong = refuted(changed, 12)
    except (RuntimeError, IndexError, ValueError, TypeError, AttributeError, NotOfType):
        return "no program"
    return "assumed" if wrong and proof.claim.assumes else wrong or "true"


def runs(program: Program, wires: Mapping[int, torch.Tensor]) -> bool:
    """Whether the wires have the shapes and kinds that the program states."""
    return all(tuple(wires[k].shape) == v.shape and kind_of(wires[k]) == v.kind for k, v in enumerate(program.wires))


def test_a_changed_proof_is_rejected_or_its_claim_is_still_true() -> None:
    rng, pool, counts = random.Random(0), proofs(), Counter[str]()
    assert len(pool) > 30
    while sum(counts.values()) < CHANGES:
        case, proof = rng.choice(pool)
        new = changed(proof, rng.choice(leaves(proof)), rng)
        if new == proof:
            continue
        said = outcome(case, new)
        assert said in ("rejected", "true", "no program", "assumed"), (said, new)
        counts[said] += 1
    assert counts["rejected"] > 0.6 * CHANGES and counts["no program"] + counts["assumed"] < 0.1 * CHANGES, counts


def test_a_kernel_that_forgets_the_end_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant: if any type fitted any claim, a changed claim would be accepted, and the numbers show that it is false."""
    monkeypatch.setattr("catlearn.verify.kernel.fits", lambda found, claimed: found.shape == claimed.shape)
    plainly = 0
    for case, proof in proofs():
        cod = tuple(Type(tuple(types.plain(n) for n in t.shape)) for t in proof.claim.cod)
        plainly += outcome(case, replace(proof, claim=replace(proof.claim, cod=cod))) not in ("rejected", "true", "no program", "assumed")
    assert plainly > 3


@pytest.mark.parametrize(
    "type",
    [
        Type((types.plain(3),), zero=True),
        Type(((Factor("c", 3, "T(3)"),),)),
        Type(((Factor("c", 3, "T(3)", shift=1),),)),
        Type(((Factor("V", 3, "O(3)"),),)),
        Type(((Factor("D", 3, "O(3)"),),)),
        Type(((Factor("*", 3),),)),
    ],
)
def test_a_buffer_has_no_type_but_those_that_its_entries_have(type: Type) -> None:
    value = Value((3,), entries=("1", "2", "3"))
    program = Program((value,), (Given(0, "buffer", "b"),), (), (0,), {})
    assert not fixed(value, type)
    claim = Search(program, (), (Type((types.plain(3),)),)).run()
    assert isinstance(claim, Proof) and check(claim) is None
    assert check(replace(claim, steps=(Step(("input", 0), (), (type,)),))) is not None
