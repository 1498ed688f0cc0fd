"""Random programs: what numbers refute is never proved, and every fact of every search is true by the numbers.

The short run of ``benchmarks/soundness.py``, with the same generator and fixed seeds. Beside it a row that is made false, which the run
must find.
"""

from __future__ import annotations

import pytest
import torch

from catlearn.verify.kernel import check
from catlearn.verify.rules import NO_TIES, TABLE, pointwise
from catlearn.verify.search import Failure, Search
from catlearn.verify.types import Refused
from tests.verify.numeric import Element, agrees, evaluate
from tests.verify.programs import Case, generate, refuted, tied
from tests.verify.steps import UNARY

pytestmark = pytest.mark.filterwarnings("ignore")
PROGRAMS = 80


def searched(case: Case) -> tuple[Search, bool]:
    """The search for a proof of the claim, and whether it found one that the kernel accepts."""
    search = Search(case.program, case.dom, case.cod)
    found = search.run()
    if isinstance(found, Failure) or check(found) is not None:
        return search, False
    return search, not (NO_TIES in found.claim.assumes and tied(case))


def false_facts(case: Case, search: Search, elements: int = 3) -> list[str]:
    """Facts of a search that the numbers refute; those that assume something are left out."""
    wrong, samples = [], case.samples(7)
    still = evaluate(case.program, [s.at() for s in samples])
    for k in range(elements):
        g = Element.of(k)
        moved = evaluate(case.program, [s.at(g) for s in samples])
        for fact in search.facts:
            if not fact.assumes:
                found = agrees(fact.type, g, moved[fact.wire], still[fact.wire])
                wrong += [f"wire {fact.wire}: {found}"] if found else []
    return wrong


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    torch.set_num_threads(1)
    return [generate(10_000_000 + k) for k in range(PROGRAMS)]


def test_nothing_false_is_proved_and_most_of_what_is_true_is(cases: list[Case]) -> None:
    true = proved = false = 0
    for k, case in enumerate(cases):
        good = searched(case)[1]
        wrong = refuted(case, 40)
        assert not (good and wrong), (k, wrong)
        false += wrong is not None
        true += wrong is None
        proved += wrong is None and good
    assert false > PROGRAMS // 20 and proved >= 0.85 * true, (false, true, proved)


def test_every_fact_of_every_search_is_true(cases: list[Case]) -> None:
    facts = 0
    for k, case in enumerate(cases):
        search = searched(case)[0]
        assert not false_facts(case, search), k
        facts += len(search.facts)
    assert facts > 4 * PROGRAMS


MUTANTS = {
    "vectors through functions of each entry": ([f"aten.{name}.default" for name in UNARY], pointwise.same),
    "sums, flips and rolls along a set": (["aten.cumsum.default", "aten.flip.default", "aten.roll.default"], pointwise.same),
}


@pytest.mark.parametrize("what", MUTANTS)
def test_a_false_row_is_found_by_random_programs(what: str, cases: list[Case], monkeypatch: pytest.MonkeyPatch) -> None:
    ops, rule = MUTANTS[what]
    for op in ops:
        monkeypatch.setitem(TABLE, op, rule)
    for case in cases:
        if any(node.op in ops for node in case.program.nodes):
            try:
                if false_facts(case, searched(case)[0]):
                    return
            except Refused:
                continue
    pytest.fail("a false rule was not found")


def test_a_claim_that_random_programs_refute_would_be_counted(cases: list[Case]) -> None:
    """The refutation itself must be able to succeed: another claim about the same program."""
    broken = [case for case in cases if case.broken and refuted(case, 10)]
    assert broken and not any(searched(case)[1] for case in broken)
