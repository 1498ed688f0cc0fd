"""Certificates written by hand to do harm: each is refused by name, and none by a traceback, none accepted, none takes long.

``JUNK`` may stand anywhere in a file; ``CLAIMS`` make no sense, of a program that is right, and a kernel that did not look at claims would
accept them; ``PROGRAMS`` are programs and steps that are none.
"""

from __future__ import annotations

import contextlib
import copy
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

import catlearn as cl
from catlearn.core.sizes import Dim, Poly
from catlearn.verify import checking, wellformed
from catlearn.verify.certificate import decode, digest, encode
from catlearn.verify.kernel import Claim, Given, Node, Program, Proof, Step, Wire, check
from catlearn.verify.rules import Value
from catlearn.verify.types import Factor, Type
from tests.verify.test_certificate import certified, follows, places

HUGE = 10**4000  # more digits than this, and Python itself refuses to write a number down
JUNK: list[Any] = [None, True, False, 0, -1, 1, 2.5, 10**30, HUGE, 10**6000, float("nan"), float("inf"), "", "relu", "\ud800", "S(5)",
                   [], {}, [[]], [None], {"size": []}, {"wire": True}, {"wire": 10**9}, {"float": "0x1p+99999"}, {"float": "?"},
                   {"ratio": "1/0"}, {"size": [[[["n", 2, 10**9]], 1]]},
                   {"size": [[[["n", -1, 1]], 1]]}, {"size": [[[["m", 2, 1]], 1]]}]  # fmt: skip


def nested(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


def answered(certificate: Any, f: Any) -> str:
    """What is said of a certificate with a new digest: ``refused`` (by name), ``unknown``, or ``proved``."""
    with contextlib.suppress(ValueError, TypeError, RecursionError):  # no JSON: the old digest will do
        certificate["digest"] = digest(certificate)
    try:
        return cl.verify.check(certificate, f).verdict
    except cl.errors.BadCertificate:
        return "refused"


def at(holder: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        holder = holder[key]
    return holder


def test_junk_in_any_place_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    model, certificate = certified()
    original = decode(certificate)
    program = checking.program_of(original.program, model)
    monkeypatch.setattr(checking, "program_of", lambda *_: program)  # it is the model's, whatever the certificate says
    rng, ways, said = random.Random(0), [path for path in places(certificate) if path and path != ("digest",)], Counter[str]()
    rng.shuffle(ways)
    for k in range(800):
        bad, path = copy.deepcopy(certificate), ways[k % len(ways)]
        holder, junk = at(bad, path[:-1]), rng.choice([*JUNK, nested(70), nested(5000)])
        if rng.random() < 0.1 and isinstance(holder, dict):
            del holder[path[-1]]
        elif type(holder[path[-1]]) is type(junk) and holder[path[-1]] == junk:
            continue
        else:
            holder[path[-1]] = junk
        answer = answered(bad, model)
        said[answer] += 1
        assert answer != "proved" or follows(decode(bad).claim, original.claim), path
    assert said["refused"] > 400 and said["unknown"] > 40 and said["proved"] < 25, said


def test_what_is_no_certificate_at_all_is_refused_by_name() -> None:
    keys = dict.fromkeys("format version program claim types steps outputs digest".split(), 10**6000)
    contents: tuple[Any, ...] = (*JUNK, nested(5000), keys, {5: 5}, '{"format": 1}', "x" * 5000, "\0", b"{}")
    for content in contents:
        with pytest.raises(cl.errors.BadCertificate):
            cl.verify.check(content, torch.relu)


def test_a_key_that_stands_twice_in_a_file_is_refused(tmp_path: Path) -> None:
    """A reader could take the first claim for the one that was checked."""
    model, certificate = certified()
    text = json.dumps(certificate)
    (tmp_path / "good.json").write_text(text)
    assert cl.verify.check(tmp_path / "good.json", model)
    (tmp_path / "bad.json").write_text('{"claim": {"dom": "everything"}, ' + text[1:])
    with pytest.raises(cl.errors.BadCertificate, match="twice"):
        cl.verify.check(tmp_path / "bad.json", model)


def test_what_is_no_network_is_refused_by_name() -> None:
    with pytest.raises(cl.errors.BadClaim):
        cl.verify.check(certified()[1], 5)


def test_a_network_that_stumbles_over_the_inputs_of_a_certificate_is_another_one() -> None:
    """Also where the inputs are too large to be made."""
    _, certificate = certified()
    assert "does not take" in cl.verify.check(certificate, lambda x: x.nonsense).reason
    relu = cl.verify.equivariant(torch.relu, cl.R(5), cl.R(5)).certificate
    for size in (10**12, 10**30):
        bad = json.loads(json.dumps(relu).replace("5", str(size)))
        bad["digest"] = digest(bad)
        assert "more than" in cl.verify.check(bad, torch.relu).reason


# -- proofs made in Python ---------------------------------------------------------------------------------------------


def proved(f: Any, dom: cl.Space, cod: cl.Space) -> Proof:
    report = cl.verify.equivariant(f, dom, cod)
    assert report.certificate is not None
    return decode(report.certificate)


def places_of(x: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if is_dataclass(x):
        for field in fields(x):
            yield from places_of(getattr(x, field.name), (*path, field.name))
    for i, y in enumerate(x) if isinstance(x, tuple) else ():
        yield from places_of(y, (*path, i))


def put(x: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    if isinstance(path[0], str):
        return replace(x, **{path[0]: put(getattr(x, path[0]), path[1:], value)})
    return (*x[: path[0]], put(x[path[0]], path[1:], value), *x[path[0] + 1 :])


def inside(x: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        x = getattr(x, key) if isinstance(key, str) else x[key]
    return x


def test_the_kernel_answers_whatever_it_is_given() -> None:
    """Any value of Python in any place of a proof: a reason, no error, and no fact is accepted that is not of its form."""
    proof, rng = decode(certified()[1]), random.Random(0)
    deep: Any = (Factor("c", 3),)
    for _ in range(3000):
        deep = (Factor("+", 3, parts=(deep,)),)
    things = [*JUNK, object(), (), ((),), (True,), frozenset(), Fraction(1, 2), Wire(0), Wire(True), Type(()),
              Factor("+", 3, parts=(deep, ())), Type((deep,)), Poly(((((Dim("n", 2), 10**9),), 1),)), Poly(()),
              Node("", {}, ()), proof]  # fmt: skip
    for path in places_of(proof):
        thing = rng.choice(things)
        if type(inside(proof, path)) is type(thing) and inside(proof, path) == thing:
            continue
        wrong = check(put(proof, path, thing))
        assert isinstance(wrong, str) or follows(put(proof, path, thing).claim, proof.claim), (path, thing)
    for thing in things[:-1]:
        assert isinstance(check(thing), str)


ONE = (Given(0, "data"),)
SAME = Node("aten.clone.default", {"self": Wire(0), "memory_format": None}, (1,))
S5, M = Factor("X", 5, "S(5)"), Poly(((((Dim("m", 2), 1),), 1),))
NEGATIVE = (Factor("+", 5, parts=((Factor("X", 7, "S(7)"),), (Factor("c", -2),))),)
FOREIGN = (Factor("+", 5, parts=((Factor("X", M, "S(m)"),), (Factor("c", 5 - M),))),)
N = Poly(((((Dim("n", 2), 1),), 1),))
CLAIMS: dict[str, tuple[Value, Type]] = {
    "a sign of positions": (Value((5,), "index"), Type(((S5,),), sign=("S(5)",))),
    "a sign of truth values": (Value((5,), "bool"), Type(((S5,),), sign=("S(5)",))),
    "a sign of positions on a set": (Value((5,), "index"), Type(((S5,),), points=(S5,), sign=("S(5)",))),
    "a sign of a translation": (Value((3,)), Type(((Factor("c", 3, "T(3)", 1),),), sign=("T(3)",))),
    "positions turned": (Value((3,), "index"), Type(((Factor("V", 3, "O(3)"),),))),
    "positions moved": (Value((3,), "index"), Type(((Factor("c", 3, "T(3)", 1),),))),
    "truth values turned": (Value((3,), "bool"), Type(((Factor("V", 3, "O(3)"),),))),
    "a set of negative size": (Value((5,)), Type((NEGATIVE,))),
    "a set of a size that there is not": (Value((5,)), Type((FOREIGN,))),
    "two negative sizes": (Value((N,)), Type(((Factor("X", -1 * N, "S(-n)"), Factor("c", -1)),))),
    "an odd symplectic space": (Value((3,)), Type(((Factor("V", 3, "Sp(3)"),),))),
    "two kinds at once": (Value((5,)), Type(((Factor("cX", 5, "S(5)"),),))),
    "no kind": (Value((5,)), Type(((Factor("", 5, "S(5)"),),))),
    "a name over two lines": (Value((5,)), Type(((Factor("X", 5, "S(5, name='a\nb')"),),))),
}


def forged(value: Value, type: Type) -> Proof:
    """Whatever acts on a tensor acts on its copy: the steps are right, if the claim says anything."""
    dims = {"n": (2, None)} if any(isinstance(k, Poly) for k in value.shape) else {}
    program = Program((value, value), ONE, (SAME,), (1,), dims)
    return Proof(program, Claim((type,), (type,), dims), (Step(("input", 0), (), (type,)), Step(("node", 0), (0,), (type,))), (1,))


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_that_says_nothing_is_refused(name: str) -> None:
    wrong = check(forged(*CLAIMS[name]))
    assert wrong is not None and not wrong.startswith(("step", "it cannot")), wrong


def test_a_kernel_that_does_not_look_at_claims_would_accept_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant: their steps do hold."""
    assert check(forged(Value((5,)), Type(((S5,),)))) is None
    monkeypatch.setattr(wellformed, "_claimed", lambda *_: None)
    assert sum(check(forged(*claim)) is None for claim in CLAIMS.values()) > 6


PROGRAMS: dict[str, Callable[[Proof], Proof]] = {
    "a tensor in a list of lists": lambda p: node(p, args={"self": [[Wire(0)]], "memory_format": None}),
    "what is not made yet": lambda p: node(p, args={"self": Wire(1), "memory_format": None}),
    "a wire made twice": lambda p: node(p, outs=(1, 1)),
    "a node twice": lambda p: replace(p, program=replace(p.program, nodes=p.program.nodes * 2)),
    "an operator that there is not": lambda p: node(p, op="aten.nothing.default"),
    "a fact of later": lambda p: replace(p, steps=(p.steps[0], replace(p.steps[1], premises=(1,)))),
    "a fact of the end": lambda p: replace(p, steps=(p.steps[0], replace(p.steps[1], premises=(-1,)))),
    "a node before the first": lambda p: replace(p, steps=(p.steps[0], replace(p.steps[1], of=("node", -1)))),
    "a truth value as a number": lambda p: replace(p, steps=(p.steps[0], replace(p.steps[1], of=("node", False)))),
    "half of what a step is of": lambda p: replace(p, steps=(p.steps[0], replace(p.steps[1], of=("node",)))),  # type: ignore[arg-type]
    "no outputs": lambda p: replace(p, outputs=()),
    "a role that there is not": lambda p: replace(p, program=replace(p.program, inputs=(Given(0, "gift"),))),
    "a range with nothing in it": lambda p: replace(
        p, program=replace(p.program, dims={"n": (2, None)}), claim=replace(p.claim, dims={"n": (5, 4)})
    ),
}


def node(p: Proof, **change: Any) -> Proof:
    return replace(p, program=replace(p.program, nodes=(replace(p.program.nodes[0], **change),)))


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_or_a_step_that_is_none_is_refused(name: str) -> None:
    proof = forged(Value((5,)), Type(((S5,),)))
    assert check(proof) is None
    assert isinstance(check(PROGRAMS[name](proof)), str)


@pytest.mark.parametrize(
    "entries", [("1",), ("1", "2", "3", "4"), ("1", "1/0", "1"), ("1", "x", "1"), ("1", "1e999999999", "1"), ("1", "nan", "1")]
)
def test_entries_of_a_fixed_tensor_are_fractions_one_for_each_place(entries: tuple[str, ...]) -> None:
    good = Program((Value((3,), entries=("2", "2", "2")),), (Given(0, "buffer", "b"),), (), (0,), {})
    S3 = Type(((Factor("X", 3, "S(3)"),),))
    proof = Proof(good, Claim((), (S3,), {}), (Step(("input", 0), (), (S3,)),), (0,))
    assert check(proof) is None
    bad = replace(good, wires=(Value((3,), entries=entries),))
    assert isinstance(check(replace(proof, program=bad)), str)


def test_a_fixed_tensor_may_have_no_entries_at_all() -> None:
    """As buffers of real models have; but not along an axis that nobody could walk."""
    for shape, fine in (((0,), True), ((3, 0), True), ((10**9, 0), False)):
        plain_type = Type(tuple((Factor("c", n),) for n in shape))
        program = Program((Value(shape, entries=()),), (Given(0, "buffer", "b"),), (), (0,), {})
        proof = Proof(program, Claim((), (plain_type,), {}), (Step(("input", 0), (), (plain_type,)),), (0,))
        assert (check(proof) is None) == fine


def test_a_certificate_that_is_written_in_another_way_is_refused() -> None:
    """One proof has one certificate: nothing can be hidden in what a reader skips."""
    proof = proved(torch.relu, cl.space(cl.S(5)), cl.space(cl.S(5)))
    for change in (
        lambda c: c["types"].append(c["types"][0]),
        lambda c: c["types"][0].update(zero=False),
        lambda c: c["types"][0]["axes"][0][0].update(pad=[0, 0]),
        lambda c: c["types"][0]["axes"][0][0].update(size={"size": [[[], 5]]}),
        lambda c: c["claim"]["assumes"].extend(["random entries compared in distribution"] * 2),
    ):
        bad = json.loads(json.dumps(encode(proof)))
        change(bad)
        assert answered(bad, torch.relu) == "refused"
    assert answered(json.loads(json.dumps(encode(proof))), torch.relu) == "proved"
