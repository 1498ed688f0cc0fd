"""Every row of the rule table is natural: what it says of an operator's results holds for random tensors and group elements.

Types are drawn at random (``drawing``) for the arguments in ``rows``, the operator is torch's own, and what a type means is computed by
``numeric``, which knows no rule. Beside it stand the mutants: types that the numbers refute and that no row may give.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
import torch

from catlearn.verify.rules import _FAMILIES, IN_DISTRIBUTION, NO_TIES, TABLE, Call, Typed, Value, extra, pointwise, typings
from catlearn.verify.types import Axis, Factor, Refused, Type, constant, plain, trivial
from tests.verify.drawing import Trial, others, sets, skipped, trial
from tests.verify.numeric import Element, agrees, apply, number, overload, sample
from tests.verify.rows import SPECIAL

pytestmark = pytest.mark.filterwarnings("ignore")
ELEMENTS = [Element.of(k) for k in range(5)]
OURS = {"catlearn.subset", "catlearn.equivariant.default"}  # no operators of torch; tested in test_masks and test_equivariant_boxes
PLAIN_ONLY = {"rand", "randn", "randperm", "randint", "scalar_tensor"}  # nothing acts on what they make
TRIALS = 60
ROWS = sorted(set(TABLE) - OURS)


def acted(found: Trial, types: tuple[Type, ...]) -> bool:
    """Whether anything acts at all, or the result is said to be constant."""
    said = any(f.kind == "*" for t in types for axis in t.axes for f in axis)
    return said or not all(map(trivial, types)) or not all(trivial(x.type) for x in found.call.tensors())


def tried(op: str, k: int) -> Trial | None:
    try:
        return trial(op, SPECIAL[op][k % len(SPECIAL[op])], k)
    except RuntimeError:  # a strided view of a random tensor that torch refuses
        return None


def test_every_row_has_arguments_to_be_tried_on() -> None:
    assert set(SPECIAL) == set(ROWS)


@pytest.mark.parametrize("op", ROWS)
def test_a_row_speaks_of_an_operator_that_exists(op: str) -> None:
    assert isinstance(overload(op), torch._ops.OpOverload)


def test_no_two_families_have_a_row_for_the_same_operator() -> None:
    seen: set[str] = set()
    for family in _FAMILIES:
        if family is not extra:  # which adds to the rows of others, and calls them
            assert not seen & set(family.ROWS)
            seen |= set(family.ROWS)


@pytest.mark.parametrize("op", ROWS)
def test_what_a_row_says_is_true(op: str) -> None:
    held = 0
    for k in range(max(TRIALS, 3 * len(SPECIAL[op]))):
        found = tried(op, k)
        for typing in found.typings() if found else []:
            types = typing.types[: typing.sure] if found and skipped(found, typing) else typing.types
            if found and types and acted(found, types):
                assert found.wrong(types, ELEMENTS) is None, (found.call, typing)
                held += 1
    alone = op.split(".")[1] in PLAIN_ONLY
    assert held or alone or _accepts(op), "the row was never tried on anything that moves"


def _accepts(op: str) -> bool:
    return any(acted(t, typing.types) for k in range(TRIALS, 12 * TRIALS) if (t := tried(op, k)) for typing in t.typings())


@pytest.mark.parametrize("op", ROWS)
def test_what_is_false_of_an_operator_is_refused(op: str) -> None:
    """The mutants of a row: types that the axes of its arguments suggest for the results, and that are false."""
    for k in range(3 * TRIALS):
        found = tried(op, k)
        if found is None:
            continue
        for types in mutants(found, k):
            if found.wrong(types, ELEMENTS) is None:
                continue
            said = [t.types for t in found.typings() if not skipped(found, t)]
            assert types not in said
            return
    pytest.fail("nothing false was found to be refused: the numbers cannot tell")


def mutants(found: Trial, k: int) -> list[tuple[Type, ...]]:
    """Types of the results whose axes are taken from the arguments, or from the world."""
    axes = [axis for x in found.call.tensors() for axis in x.axes] + [(f,) for f in found.call.world]
    answers, rng = [], random.Random(k)
    for turn in range(4):
        types = []
        for out in found.call.outs:
            chosen: list[Axis] = []
            for n in out.shape:
                near = [a for a in axes if Type((a,)).shape == (n,) and out.kind == "float"] if turn < 3 else []
                far = [*sets(number(n)), *others(number(n))] if n not in (0, 1) else [()]
                fit = near or far
                chosen.append(rng.choice(fit))
            sign = ("O(3)",) if not out.shape and turn else ()
            types.append(Type(tuple(chosen), sign=sign))
        answers.append(tuple(types))
    zero = tuple(Type(tuple(plain(n) for n in out.shape), zero=True) for out in found.call.outs)  # for what is a truth value and no more
    return [*answers, zero]


def test_a_false_row_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test of rows must be able to fail: a row that lets vectors through a function of each entry."""
    monkeypatch.setitem(TABLE, "aten.relu.default", pointwise.same)
    with pytest.raises(AssertionError):
        test_what_a_row_says_is_true("aten.relu.default")


# -- one by one: rules that once were false, and what they would have said -------------------------------------------
O3, S3, Z3 = Factor("V", 3, "O(3)"), Factor("X", 3, "S(3)"), Factor("X", 3, "Z(3)")
MOVED, T3 = replace(O3, shift=1), Factor("c", 3, "T(3)", shift=1)


def arg(*axes: Any, kind: str = "float", **more: Any) -> Typed:
    type = Type(tuple(a if isinstance(a, tuple) else (a,) for a in axes), **more)
    return Typed(Value(type.shape, kind), type)


BOTH = Factor("+", 5, parts=(plain(2), (O3,)))
ZERO = arg((), constant(3), zero=True)
FALSE: dict[str, tuple[str, dict[str, Any], Type]] = {
    "zeros beside translated vectors are translated": (
        "aten.cat.default",
        {"tensors": [arg(plain(2), MOVED), ZERO], "dim": 0},
        Type((plain(3), (MOVED,))),
    ),
    "a choice between a translated number and zero is translated": (
        "aten.where.ScalarOther",
        {"condition": arg(plain(3), kind="bool"), "self": arg(T3), "other": 0},
        Type(((T3,),)),
    ),
    "a diagonal matrix of translated numbers is translated": (
        "aten.diag_embed.default",
        {"self": arg(T3, plain(2)), "offset": 0, "dim1": -2, "dim2": -1},
        Type(((T3,), plain(2), plain(2))),
    ),
    "a sum of translated numbers is translated once": (
        "aten.einsum.default",
        {"equation": "ij->i", "tensors": [arg(T3, plain(2))]},
        Type(((T3,),)),
    ),
    "a weighted count does not see the order": (
        "aten.bincount.default",
        {"self": arg(S3, kind="index"), "weights": arg(plain(3)), "minlength": 4},
        Type((plain(4),)),
    ),
    "the spectrum of one triangle does not see the order": (
        "aten.linalg_eigvalsh.default",
        {"self": arg(S3, S3), "UPLO": "L"},
        Type((plain(3),)),
    ),
    "the trace of five by three does not see the order": ("aten.trace.default", {"self": arg(constant(2), S3)}, Type(())),
    "a pad by ones of what changes sign": (
        "aten.constant_pad_nd.default",
        {"self": arg(plain(3), sign=("O(3)",)), "pad": [1, 1], "value": 1},
        Type((plain(5),), sign=("O(3)",)),
    ),
    "an average with a translated number is translated": (
        "aten.index_reduce.default",
        {
            "self": arg(T3, plain(3)),
            "dim": 1,
            "index": arg(plain(2), kind="index"),
            "source": arg(plain(3), plain(2)),
            "reduce": "mean",
            "include_self": True,
        },
        Type(((T3,), plain(3))),
    ),
    "a number added to a plain axis and a vector in one": (
        "aten.add.Scalar",
        {"self": arg(BOTH), "other": 1.5, "alpha": 1},
        Type(((BOTH,),)),
    ),
    "a norm of a periodic axis in a union": (
        "aten.linalg_vector_norm.default",
        {"self": arg(Factor("+", 6, parts=((Factor("P", 5, "Z(3)", pad=(1, 1)),), plain(1)))), "ord": 2, "dim": None, "keepdim": False},
        Type(()),
    ),
    "a softmax of scalars and a vector": ("aten.softmax.int", {"self": arg(BOTH), "dim": 0}, Type(((BOTH,),))),
    "a sum over scalars and a vector": ("aten.sum.default", {"self": arg(BOTH)}, Type(())),
    "the square of scalars and a vector": ("aten.square.default", {"self": arg(BOTH)}, Type(((BOTH,),))),
    "as many classes as the data show": (
        "aten.one_hot.default",
        {"self": arg(plain(5), kind="index", points=(S3,)), "num_classes": -1},
        Type((plain(5), (S3,))),
    ),
}


@pytest.mark.parametrize("what", FALSE)
def test_a_rule_that_once_was_false_is_so_by_the_numbers_and_is_refused(what: str) -> None:
    op, args, claimed = FALSE[what]
    high = {"aten.bincount.default": 4}.get(op, 3)

    def results(seed: int, g: Element | None) -> torch.Tensor:
        def made(a: Any, k: int) -> Any:
            if isinstance(a, list):
                return [made(x, k + i + 1) for i, x in enumerate(a)]
            return sample(a.type, a.value.kind, seed + 10 * k, high).at(g) if isinstance(a, Typed) else a

        return apply(op, {n: made(a, k) for k, (n, a) in enumerate(args.items())}, "float")[0]

    false = 0
    for seed in range(12):
        for g in ELEMENTS:
            moved, x = results(seed, g), results(seed, None)
            false += x.shape != moved.shape or x.shape != claimed.shape or agrees(claimed, g, moved, x) is not None
    assert false
    try:
        said = [t.types for t in typings(Call(op, args, (Value(claimed.shape),)))]
    except Refused:
        said = []
    assert (claimed,) not in said


# -- what is random is equal in distribution, what is sorted must have no ties ----------------------------------------
def test_dropout_of_equal_numbers_is_not_constant() -> None:
    """Ones times dropped ones are no vector: with a constant type they could be multiplied into one."""
    call = Call("aten.dropout.default", {"input": arg(constant(3)), "p": 0.5, "train": True}, (Value((3,)),))
    found = typings(call)
    assert all(t.types == (Type((plain(3),)),) for t in found) and torch.dropout(torch.ones(300), 0.5, True).unique().numel() == 2


def test_dropout_is_equal_in_distribution_to_second_order() -> None:
    x = arg(plain(2), S3)
    (found,) = typings(Call("aten.dropout.default", {"input": x, "p": 0.5, "train": True}, (Value((2, 3)),)))
    assert found.assumes == {IN_DISTRIBUTION} and found.types == (x.type,)
    drawn, g = sample(x.type, "float", 0), Element.of(3)
    torch.manual_seed(0)
    runs = [torch.stack([torch.dropout(drawn.at(h), 0.5, True) for _ in range(4000)]) for h in (g, None)]
    moved, still = runs[0], torch.stack([g.act(x.type, y) for y in runs[1]])
    second = [torch.einsum("kai,kbj->aibj", y, y) / len(y) for y in (moved, still)]
    assert (moved.mean(0) - still.mean(0)).abs().max() < 0.1 and (second[0] - second[1]).abs().max() < 0.35


def test_ties_break_what_assumes_that_there_are_none() -> None:
    call = Call("aten.argmax.default", {"self": arg(S3), "dim": 0, "keepdim": False}, (Value((), "index"),))
    (found,) = typings(call)
    assert found.assumes == {NO_TIES} and found.types[0].points == (S3,)
    x, g = torch.zeros(3).double(), Element.of(next(k for k in range(9) if Element.of(k).matrix(S3).argmax(0)[0] != 0))
    assert agrees(found.types[0], g, g.act(Type(((S3,),)), x).argmax(), x.argmax()) is not None
