"""The law suite: sound boxes pass, and each kind of wrong box is reported under the law that it breaks."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pytest
import torch

import catlearn as cl
from catlearn import errors
from catlearn.boxes.constant import Constant
from catlearn.core.functor import Endofunctor
from catlearn.core.op import Op
from catlearn.core.spaces import Axis, Space, Wire
from catlearn.core.term import Box
from catlearn.verify import laws
from catlearn.verify.laws.subject import close
from tests.labels import label
from tests.strategies import random_term

x = cl.R(2)


@dataclass(frozen=True)
class Sound(Op):
    """x² + x, with a torch rule, a definition and a reverse rule that agree."""

    key = "test_sound"
    torch = "{x0} * {x0} + {x0}"

    def infer(self, dom: Space) -> Space:
        return dom

    def definition(self, o: Any, x: Any) -> Any:
        return o.add(o.power(x, 2), x)

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return (o.mul(douts[0], o.shift(o.scale(args[0], 2), 1)),)


@dataclass(frozen=True)
class WrongReverse(Sound):
    """The reverse rule forgets the factor 2."""

    key = "test_wrong_reverse"

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return (o.mul(douts[0], o.shift(args[0], 1)),)


@dataclass(frozen=True)
class NotLinear(Sound):
    """The reverse rule squares its covector."""

    key = "test_not_linear"

    def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
        return (o.mul(o.power(douts[0], 2), args[0]),)


@dataclass(frozen=True)
class WrongDefinition(Sound):
    """The definition is x² − x."""

    key = "test_wrong_definition"

    def definition(self, o: Any, x: Any) -> Any:
        return o.sub(o.power(x, 2), x)


@dataclass(frozen=True)
class ReadsTheBatch(Sound):
    """The torch rule centres over the first axis, which is a batch axis if there is one."""

    key = "test_reads_the_batch"
    torch = "{x0} - {x0}.mean(0)"
    definition = None  # type: ignore[assignment]
    vjp = None  # type: ignore[assignment]


@dataclass(frozen=True)
class WrongShape(Sound):
    """The torch rule loses an axis that it promised."""

    key = "test_wrong_shape"
    torch = "{x0}.sum(-1)"
    definition = None  # type: ignore[assignment]
    vjp = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Forgetful(Sound):
    """The torch rule is no function."""

    key = "test_forgetful"
    torch = "{x0} + torch.rand_like({x0})"
    definition = None  # type: ignore[assignment]
    vjp = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Overwrites(Sound):
    """The torch rule changes its input in place."""

    key = "test_overwrites"
    torch = "{x0}.data.add_(1.0)"
    definition = None  # type: ignore[assignment]
    vjp = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Raises(Sound):
    """The definition does not even type."""

    key = "test_raises"

    def definition(self, o: Any, x: Any) -> Any:
        return o.matmul(x, x)


def failed(op: Op) -> set[str]:
    """The names of the laws that a box on x breaks."""
    return {outcome.law for outcome in laws.check(Box(op, x)).failed}


def test_a_sound_box_passes_everything_that_applies() -> None:
    report = laws.check(Box(Sound(), x))
    assert report and not report.failed and len(report.held) > 20
    assert {o.law for o in report.inapplicable} == set(laws.GROUPS["Para"])  # it has no parameters
    assert all(o.note == "the term has no real parameters" for o in report.inapplicable)


AUTOGRAD = {"reverse is autograd, with fused kernels", "reverse is autograd, from primitives"}
DEFINED = "the torch rule is the definition"
RD = dict(zip(range(1, 8), laws.GROUPS["reverse derivative"], strict=True))


@pytest.mark.parametrize(
    ("op", "broken"),
    [
        (WrongReverse(), AUTOGRAD),
        (NotLinear(), {*AUTOGRAD, RD[2], RD[6]}),
        (WrongDefinition(), {DEFINED, "floats agree with exact rationals"}),
        (ReadsTheBatch(), {"f of a batch is the batch of f"}),
        (WrongShape(), {"outputs have the promised shapes and dtypes"}),
        (Forgetful(), {"f gives the same twice and overwrites nothing", "f then copy = copy then f @ f, parameters tied"}),
        (Overwrites(), {"f gives the same twice and overwrites nothing"}),
        (Raises(), {DEFINED}),
    ],
    ids=lambda value: value.key if isinstance(value, Op) else "",
)
def test_a_mutant_is_reported_under_the_law_that_it_breaks(op: Op, broken: set[str]) -> None:
    found = failed(op)
    assert broken <= found
    if isinstance(op, WrongReverse | WrongDefinition):  # and nothing that does hold is blamed
        assert found == broken


def test_the_report_reads_well_and_shows_a_small_counterexample() -> None:
    text = str(laws.check(Box(WrongReverse(), x)))
    assert text.startswith("laws of test_wrong_reverse : R(2) → R(2)\nbox\n")
    assert "✗ reverse is autograd, from primitives\n      value 0 differs by" in text
    assert "input 0 = [" in text and "cotangent 0 = [" in text
    assert "2 failed" in text.splitlines()[-1]


def test_the_counterexample_is_shrunk_to_round_numbers() -> None:
    (outcome, *_) = laws.check(Box(WrongDefinition(), x)).failed
    numbers = outcome.note.split("input 0 = [")[1].split("]")[0].split(", ")
    assert all(float(n) == int(float(n)) for n in numbers)  # every integer but 0 tells x² + x from x² − x


def test_a_wrong_box_inside_a_composite_is_named() -> None:
    report = laws.check(cl.tanh(x) >> Box(WrongReverse(), x))
    assert any(o.group.startswith("box test_wrong_reverse") for o in report.failed)
    assert not any(o.group.startswith("box tanh") for o in report.failed)


def test_a_box_made_by_cl_box_is_checked_like_any_other() -> None:
    def swish(o: Any, x: Any, beta: Any) -> Any:
        return o.mul(x, o.apply(cl.sigmoid.kind(), o.mul(x, beta)))

    def own(torch: str) -> cl.Term:
        return cl.box("swish", x, x, torch=torch, params={"beta": cl.R(2)}, definition=swish)

    assert laws.check(own("{x0} * torch.sigmoid({x0} * {beta})"))
    assert {o.law for o in laws.check(own("{x0} * torch.sigmoid({x0} + {beta})")).failed} >= {DEFINED}


def test_a_report_without_a_checked_law_is_not_true() -> None:
    assert not laws.LawReport("nothing", ())
    assert not laws.LawReport("nothing", (laws.Outcome("box", "a law", "does not apply", "a reason"),))


def test_a_box_with_neither_rule_nor_definition_is_checked_as_far_as_it_goes() -> None:
    @dataclass(frozen=True)
    class Opaque(Op):
        key = "test_opaque"
        torch = "torch.sin({x0})"

        def infer(self, dom: Space) -> Space:
            return dom

    report = laws.check(Box(Opaque(), x))
    assert report
    notes = {o.law: o.note for o in report.inapplicable}
    assert "neither a reverse rule nor a definition" in notes[RD[6]] and "neither a reverse rule" in notes[RD[7]]
    assert {o.law for o in report.held} >= {RD[i] for i in range(1, 6)} | AUTOGRAD


def test_a_schema_needs_its_space_first() -> None:
    with pytest.raises(errors.NeedsSpace):
        laws.check(cl.relu)


def test_effects_are_given_as_the_reason() -> None:
    report = laws.check(cl.dropout(cl.R(3)))
    assert report
    assert any(o.group == "cartesian" and "random" in o.note for o in report.inapplicable)


SHIPPED = [
    cl.relu(cl.R(3)),
    cl.log(cl.R(2)),
    cl.softmax(cl.R(3)),
    cl.layer_norm(cl.R(3)),
    cl.linear(cl.R(3), cl.R(2)),
    cl.conv1d(cl.R(2, 6), 3, 3),
    cl.max_pool1d(cl.R(2, 6), 2),
    cl.attention(cl.R(2, 3) @ cl.R(2, 3) @ cl.R(2, 3)),
    cl.batch_norm(cl.R(3)),
    cl.where(cl.boolean(3) @ cl.R(3) @ cl.R(3)),
    cl.full(cl.R(2), 1.0),
    cl.split(cl.R(3), (1, 2)),
    cl.relu(cl.R(cl.dim("n"))),
    cl.id(cl.I),
    cl.discard(cl.R(2)),
    cl.linear(cl.R(2), cl.R(2)).at("*.bias").freeze(),
]


@pytest.mark.parametrize("term", SHIPPED, ids=label)
def test_shipped_boxes_obey_every_law_that_applies(term: cl.Term) -> None:
    report = laws.check(term, trials=3)
    assert report, str(report)


@pytest.mark.parametrize("seed", range(12))
def test_random_terms_obey_every_law_that_applies(seed: int) -> None:
    report = laws.check(random_term(seed, steps=3).term, trials=3, tolerance=1e-8)
    assert not report.failed, str(report)


def test_checking_leaves_the_default_dtype_and_is_reproducible() -> None:
    before, f = torch.get_default_dtype(), cl.linear(cl.R(2), cl.R(2))
    assert str(laws.check(f, seed=3)) == str(laws.check(f, seed=3))
    assert torch.get_default_dtype() == before


def test_a_functor_of_ones_own_is_checked() -> None:
    class Moves(Endofunctor):
        """No functor: a composite goes somewhere else than the composite of the images."""

        def __call__(self, term: cl.Term) -> cl.Term:
            return term if isinstance(term, Box) else term.named("moved")

    f, g = cl.tanh(x), cl.linear(x, x)
    assert laws.check_functor(Endofunctor(), f, g)
    report = laws.check_functor(Moves(), f, g)
    assert {o.law for o in report.failed} >= {"F(f then g) = F(f) then F(g)", "F(f @ g) = F(f) @ F(g)"}


def test_a_functor_that_moves_identities_is_refuted() -> None:
    class Doubles(Endofunctor):
        """Keeps composites and products, and sends every wiring to itself, then twice."""

        def wiring(self, wiring: cl.Wiring) -> cl.Term:
            return wiring >> cl.par(*(cl.scale(Space((w,)), 2) for w in wiring.cod))

    f, g = cl.tanh(x), cl.linear(x, x)
    assert {o.law for o in laws.check_functor(Doubles(), f, g).failed} == {"F(id then f) = F(f)"}

    class Tensors(Endofunctor):
        """Sends identities of several wires elsewhere than those of one."""

        def wiring(self, wiring: cl.Wiring) -> cl.Term:
            return wiring if len(wiring.dom) < 2 else wiring >> cl.par(*(cl.scale(Space((w,)), 2) for w in wiring.cod))

    assert {o.law for o in laws.check_functor(Tensors(), f, g).failed} == {"F(id @ id) = F(id)"}


# --- what a report may not hide ---------------------------------------------------------------------------------------


def test_a_check_without_trials_is_not_true() -> None:
    report = laws.check(cl.tanh(x), trials=0)
    assert not report and not report.held and not report.failed
    assert {o.note for o in report.inapplicable} == {"nothing was compared"}


def test_two_trials_see_a_box_that_mixes_its_batch() -> None:
    for trials in (1, 2):
        report = laws.check(Box(ReadsTheBatch(), x), trials=trials)
        assert "f of a batch is the batch of f" in {o.law for o in report.failed}
    (outcome,) = [o for o in laws.check(cl.full(x, 1.0), trials=2).outcomes if o.law == "f of a batch is the batch of f"]
    assert outcome.verdict == "does not apply"


def test_boxes_that_print_alike_and_boxes_in_cells_are_all_checked() -> None:
    @dataclass(frozen=True)
    class Alike(WrongReverse):
        key = "test_sound"

    report = laws.check(Box(Sound(), x) >> Box(Alike(), x), trials=1)
    assert {o.group for o in report.failed} & {"box test_sound on R(2)", "box test_sound on R(2) (2)"} == {"box test_sound on R(2) (2)"}
    p = cl.parameter(x)
    read = cl.Cell((("q", cl.Param(p)),), ("bias.bias",), Box(WrongReverse(), p), title="wrong")
    report = laws.check(cl.bias(x).at("*").reparam(read), trials=1)
    assert any(o.group.startswith("box test_wrong_reverse") for o in report.failed)


def test_a_wrong_entry_beside_a_large_one_is_seen() -> None:
    @dataclass(frozen=True)
    class Steep(Op):
        """(10¹²·a, b), with a reverse rule that gives (10¹²·da, rate·db)."""

        key = "test_steep"
        rate: float
        torch = "{x0} * torch.tensor([1e12, 1.0], dtype={x0}.dtype)"

        def infer(self, dom: Space) -> Space:
            return dom

        def vjp(self, o: Any, args: Any, outs: Any, douts: Any) -> Any:
            return (o.mul(douts[0], o.apply(Constant(Wire((Axis(2),)), (1e12, self.rate)))),)

    for rate, held in ((1.0, True), (7.0, False)):
        found = {o.law: o.verdict == "held" for o in laws.check(Box(Steep(rate), x), trials=1).outcomes}
        assert all(found[law] is held for law in AUTOGRAD)


def test_an_infinity_agrees_with_itself_only() -> None:
    inf = float("inf")
    row = torch.tensor
    assert close(row([inf, 1.0, -inf]), row([inf, 1.0, -inf]), 1e-9)
    for a, b in (([1.0], [inf]), ([inf], [1.0]), ([inf], [-inf]), ([inf, 5.0], [inf, 1.0]), ([float("nan")], [float("nan")])):
        assert not close(row(a), row(b), 1e-9)


def test_boxes_that_python_takes_for_one_and_boxes_without_inputs_are_all_checked() -> None:
    report = laws.check(cl.scale(x, 0.1) >> cl.scale(x, Fraction(0.1)), trials=1)
    assert len({o.group for o in report.outcomes if o.group.startswith("box scale")}) == 2

    @dataclass(frozen=True)
    class Source(Op):
        """Ones, where it promises three of them."""

        key = "test_source"
        torch = "torch.ones(2)"

        def infer(self, dom: Space) -> Space:
            return cl.R(3)

    failed = laws.check(Box(Source(), cl.I) @ cl.id(x), trials=1).failed
    assert ("box test_source on I", "outputs have the promised shapes and dtypes") in {(o.group, o.law) for o in failed}
