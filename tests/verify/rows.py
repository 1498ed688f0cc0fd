"""Arguments for every row of the rule table: what ``test_rules`` tries types on. Sizes 1, equal sizes of different groups, broadcasting.

A ``T`` stands for a tensor of a shape; ``w`` for one that is mostly plain, as weights are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class T:
    """A tensor argument: its shape, kind, the largest integer, and whether it is mostly plain."""

    shape: tuple[int, ...]
    kind: str = "float"
    high: int = 4
    weight: bool = False


def t(*shape: int) -> T:
    return T(shape)


def w(*shape: int) -> T:
    return T(shape, weight=True)


def i(high: int, *shape: int) -> T:
    return T(shape, "index", high)


def b(*shape: int) -> T:
    return T(shape, "bool")


Args = dict[str, Any]
ONE: list[Args] = [{"self": t(3)}, {"self": t(2, 3)}, {"self": t(4, 6)}, {"self": t()}, {"self": t(2, 1, 5)}, {"self": t(3, 3)}]
PAIRS = [
    ((3,), (3,)),
    ((2, 3), (2, 3)),
    ((2, 3), (3,)),
    ((2, 3), ()),
    ((3, 1), (2, 1, 3)),
    ((3, 3), (3, 1)),
    ((5,), (1,)),
    ((4, 6), (4, 6)),
]
TWO: list[Args] = [{"self": t(*x), "other": t(*y)} for x, y in PAIRS]


def one(**more: Any) -> list[Args]:
    return [{**args, **more} for args in ONE]


def two(**more: Any) -> list[Args]:
    return [{**args, **more} for args in TWO]


def renamed(cases: list[Args], **names: str) -> list[Args]:
    return [{names.get(name, name): arg for name, arg in args.items()} for args in cases]


def kinds(cases: list[Args], kind: str) -> list[Args]:
    return [{n: T(a.shape, kind) if isinstance(a, T) else a for n, a in args.items()} for args in cases]


SPECIAL: dict[str, list[Args]] = {}


def rows(names: str, cases: list[Args]) -> None:
    for name in names.split():
        SPECIAL["aten." + (name if "." in name else f"{name}.default")] = cases


# -- entry by entry --------------------------------------------------------------------------------------------------
rows("threshold", one(threshold=0.1, value=0.5))
rows("round.decimals", one(decimals=1))
rows("clamp clip", one(min=-0.5, max=0.5))
rows("clamp.Tensor clip.Tensor", [{"self": t(*x), "min": t(*y), "max": None} for x, y in PAIRS if len(x) >= len(y)])
rows("clamp_min", one(min=0.1))
rows("clamp_max", one(max=0.1))
rows("clamp_min.Tensor", renamed(TWO, other="min"))
rows("clamp_max.Tensor", renamed(TWO, other="max"))
rows("polygamma", one(n=1))
rows("logical_not bitwise_not", kinds(ONE, "bool"))
rows(
    "logical_and logical_or logical_xor "
    "__and__.Tensor __or__.Tensor __xor__.Tensor bitwise_and.Tensor bitwise_or.Tensor bitwise_xor.Tensor",
    kinds(TWO, "bool") + kinds(TWO, "index"),
)
rows("bitwise_and.Scalar bitwise_or.Scalar bitwise_xor.Scalar", [{**a, "other": 3} for a in kinds(ONE, "index")])
rows("fmod.Scalar remainder.Scalar floor_divide.Scalar gt.Scalar ge.Scalar lt.Scalar le.Scalar", one(other=0.3))
rows("eq.Scalar ne.Scalar", one(other=0.3) + [{**a, "other": 2} for a in kinds(ONE, "index")])
rows("eq.Tensor ne.Tensor", TWO + kinds(TWO, "index"))
rows("remainder.Scalar_Tensor", [{"self": 0.7, "other": t(2, 3)}, {"self": 0.7, "other": t(4)}])
rows("_prelu_kernel", [{"self": t(2, 3), "weight": t(1, 3)}, {"self": t(4, 3), "weight": t(4, 1)}])
rows(
    "addcdiv addcmul",
    [
        {"self": t(*x), "tensor1": t(*y), "tensor2": t(*z), "value": v}
        for x, y, z, v in (((2, 3), (2, 3), (2, 3), 1), ((2, 3), (3,), (2, 1), 2), ((4,), (4,), (), 0.5), ((3, 3), (3, 3), (3, 3), 1))
    ],
)
SUMS = [{"self": t(*x), "other": t(*y), "alpha": a} for x, y in PAIRS for a in (1, -2, 0.5, 0)]
rows("add.Tensor sub.Tensor rsub.Tensor", SUMS)
rows("add.Scalar sub.Scalar rsub.Scalar", one(other=0.7, alpha=1) + one(other=2, alpha=-1) + one(other=0, alpha=1))
rows("mul.Scalar", one(other=-2) + one(other=0.5) + one(other=0))
rows("mul.Tensor", [*TWO, {"self": t(3, 3), "other": 2.0}, {"self": b(2, 3), "other": t(3, 2, 1)}])
rows("div.Scalar true_divide.Scalar", one(other=-2) + one(other=0.5))
rows("div.Tensor_mode", two(rounding_mode="floor") + two(rounding_mode=None))
rows("div.Scalar_mode", one(other=0.3, rounding_mode="trunc") + one(other=3, rounding_mode=None))
rows("pow.Scalar", [{"self": 1.5, "exponent": t(2, 3)}, {"self": 2, "exponent": t(4)}])
rows("pow.Tensor_Scalar", one(exponent=2) + one(exponent=3) + one(exponent=0.5))
rows("pow.Tensor_Tensor", renamed(TWO, other="exponent"))
rows("lerp.Tensor", [{"self": t(*x), "end": t(*x), "weight": t(*y)} for x, y in PAIRS[:4] + PAIRS[5:]])
rows("lerp.Scalar", [{"self": t(*x), "end": t(*y), "weight": 0.3} for x, y in PAIRS])
COND = [
    ((3,), (3,), (3,)),
    ((2, 3), (2, 3), (2, 3)),
    ((2, 1), (2, 3), (3,)),
    ((3,), (2, 3), ()),
    ((4, 1), (4, 6), (1, 6)),
    ((), (3, 3), (3, 3)),
    ((5,), (), ()),
]
rows("where.self", [{"condition": b(*c), "self": k(x), "other": k(y)} for c, x, y in COND for k in (T, lambda s: T(s, "index"))])
rows("where.ScalarSelf", [{"condition": b(*c), "self": v, "other": t(*y)} for c, _, y in COND for v in (0, 1.5)])
rows("where.ScalarOther", [{"condition": b(*c), "self": t(*x), "other": v} for c, x, _ in COND for v in (0, 1.5)])
rows("where.Scalar", [{"condition": b(*c), "self": 0, "other": 1.5} for c, _, _ in COND])
rows(
    "masked_fill.Scalar",
    [{"self": k(x), "mask": b(*c), "value": v} for c, x, _ in COND[:-1] for v in (0, 2) for k in (T, lambda s: T(s, "index"))],
)
rows("masked_fill.Tensor", [{"self": t(*x), "mask": b(*c), "value": t()} for c, x, _ in COND[:-1]])
rows("to.dtype _to_copy to.dtype_layout to.device", one() + kinds(ONE, "index") + kinds(ONE, "bool"))
rows("to.prim_Device", [{**a, "device": None} for a in ONE])
rows("to.other type_as", [{**a, "other": t(2)} for a in [*ONE, *kinds(ONE, "index")]])
rows("full_like", one(fill_value=2.0) + one(fill_value=0))
rows("erfinv", ONE)

# -- reductions ------------------------------------------------------------------------------------------------------
SHAPES = [(3,), (2, 3), (3, 3), (4, 6), (2, 1, 5), (3, 2, 3)]


def over(*names: str, many: bool = True, **more: Any) -> list[Args]:
    found = [{"self": t(*s), "dim": [d] if many else d, "keepdim": keep} for s in SHAPES for d in (0, -1) for keep in (False, True)]
    if many:
        found += [{"self": t(*s), "dim": [0, -1] if len(s) > 1 else [0], "keepdim": False} for s in SHAPES]
    return [{**args, **more} for args in found]


ONCE: list[Args] = [{"self": t(3, 1, 2), "dim": 1, "keepdim": keep} for keep in (False, True)]
ALONE: list[Args] = [{**args, "dim": [1]} for args in ONCE]
FREE = [{"self": t(*s)} for s in [*SHAPES, ()]]
rows("sum.dim_IntList mean.dim amax amin any.dims all.dims logsumexp nansum", [*over(), *ALONE, {"self": t(3, 2), "dim": []}])
rows("prod.dim_int any.dim all.dim", over(many=False) + ONCE)
rows("aminmax", over(many=False) + FREE)
rows("var.dim std.dim var_mean.dim", over(unbiased=True))
rows("var.correction std.correction var_mean.correction std_mean.correction", over(correction=0))
rows("count_nonzero.dim_IntList", [{"self": t(*s), "dim": [0]} for s in SHAPES])
rows(
    "linalg_vector_norm",
    [*over(ord=2), *over(ord=1), *({"self": t(2, n), "ord": 2, "dim": d, "keepdim": False} for n, d in ((3, None), (5, [1]), (6, [1])))],
)
rows("norm.Scalar", [{"self": t(*s), "p": p} for s in SHAPES for p in (2, 1)])
rows("norm.ScalarOpt_dim", over(p=2) + over(p=None) + over(p=3))
rows("norm.ScalarOpt_dim_dtype", over(p=2))
rows("norm.ScalarOpt_dtype", [{"self": t(*s), "p": 2} for s in SHAPES])
rows("frobenius_norm.dim", over())
ALONG = [{"self": t(*s), "dim": d} for s in SHAPES for d in (0, -1)] + [{"self": t(2, 1, 5), "dim": 1}]
rows("softmax.int log_softmax.int special_softmax cumprod logcumsumexp cummax cummin cumsum", ALONG)
rows("_softmax _log_softmax", [{**a, "half_to_float": False} for a in ALONG])
rows(
    "flip",
    [{"self": T(s, k), "dims": d} for s in SHAPES for d in ([0], [-1], [0, -1] if len(s) > 1 else [0], []) for k in ("float", "index")],
)
rows("roll", [{"self": T(s, k), "shifts": [h], "dims": [d]} for s in SHAPES for d, h in ((0, 1), (-1, -1)) for k in ("float", "index")])
rows("max.dim min.dim median.dim nanmedian.dim mode", over(many=False) + ONCE + kinds(over(many=False), "index"))
rows("kthvalue", over(many=False, k=1) + kinds(over(many=False, k=1), "index"))
rows("argmax argmin", over(many=False))
rows("sort", [{**a, "descending": True} for a in ALONG + kinds(ALONG, "index")])
rows("sort.stable argsort.stable", [{**a, "stable": True, "descending": False} for a in ALONG])
rows("argsort", [{**a, "descending": False} for a in ALONG])
rows(
    "topk",
    [
        {**a, "k": 1 + (a["self"].shape[a["dim"]] > 1), "largest": True, "sorted": s}
        for a in ALONG + kinds(ALONG, "index")
        for s in (True, False)
    ],
)
rows("trace", [{"self": t(3, 3)}, {"self": t(2, 2)}, {"self": t(3, 5)}, {"self": t(5, 3)}])
DIAGONALS = [
    ((2, 5), 0, 0, 1),
    ((5, 3), -1, 0, 1),
    ((3, 4), 1, -2, -1),
    ((2, 3, 2), 0, 0, 2),
    ((3, 3), 0, 0, 1),
    ((2, 3, 3), 0, -2, -1),
    ((3, 2, 3), 0, 0, 2),
    ((3, 4, 4), 1, 1, 2),
    ((4, 6), 0, 0, 1),
    ((2, 3, 5), 0, 1, 2),
]
rows("diagonal diagonal_copy", [{"self": t(*s), "offset": o, "dim1": i_, "dim2": j} for s, o, i_, j in DIAGONALS])
rows(
    "diag_embed",
    [
        {"self": t(*s), "offset": o, "dim1": i_, "dim2": j}
        for s, o, i_, j in (
            ((3,), 0, -2, -1),
            ((2, 3), 0, -2, -1),
            ((2, 3), 0, 0, 1),
            ((4, 2), 0, 1, 0),
            ((3, 4), 1, -2, -1),
            ((3, 2), 0, 0, 2),
        )
    ],
)
TRIANGLES = [
    ((3, 3), 0),
    ((2, 3, 3), 0),
    ((4, 2, 1), 0),
    ((2, 1, 4), 0),
    ((3, 3), 1),
    ((3, 3), -1),
    ((3, 3), 2),
    ((3, 3), -2),
    ((2, 4), 2),
    ((2, 4), -1),
    ((4, 2), 1),
    ((4, 2), -2),
    ((2, 2), 1),
    ((2, 2), -1),
]  # with all entries, and with all but one
rows("tril triu", [{"self": t(*s), "diagonal": by} for s, by in TRIANGLES])

# -- contractions ----------------------------------------------------------------------------------------------------
rows(
    "einsum",
    [
        {"equation": e, "tensors": [t(*s) for s in shapes]}
        for e, *shapes in (
            ("ij->i", (4, 3)),
            ("ij->ji", (2, 3)),
            ("ij,jk->ik", (4, 3), (3, 2)),
            ("bi,bj->bij", (2, 3), (2, 3)),
            ("bij,bij->b", (2, 3, 3), (2, 3, 3)),
            ("ij,ij", (3, 3), (3, 3)),
            ("...i,i->...", (2, 4, 3), (3,)),
            ("i,j,k->ijk", (3,), (2,), (3,)),
            ("ab,Ba", (2, 3), (4, 2)),
            ("nd,md->nm", (4, 3), (4, 3)),
            ("nhd,mhd->hnm", (2, 2, 3), (2, 2, 3)),
            ("ij,ik,jk->", (3, 3), (3, 3), (3, 3)),
            ("ii->i", (3, 3)),
            ("bii->b", (2, 3, 3)),
            ("bii,i->b", (2, 3, 3), (3,)),
            ("ij,kj->ik", (2, 5), (4, 5)),
            ("ij,kj->ijk", (2, 5), (4, 5)),
        )
    ],
)
rows("mm", [{"self": t(*a), "mat2": t(*c)} for a, c in (((4, 3), (3, 2)), ((3, 3), (3, 3)), ((2, 6), (6, 1)), ((1, 4), (4, 3)))])
rows("bmm", [{"self": t(*a), "mat2": t(*c)} for a, c in (((2, 4, 3), (2, 3, 2)), ((3, 3, 3), (3, 3, 3)), ((2, 2, 5), (2, 5, 2)))])
rows("mv", [{"self": t(*a), "vec": t(*c)} for a, c in (((4, 3), (3,)), ((3, 3), (3,)), ((2, 6), (6,)))])
rows("dot", [{"self": t(n), "tensor": t(n)} for n in (2, 3, 4, 6)])
rows(
    "matmul",
    [
        {"self": t(*a), "other": t(*c)}
        for a, c in (
            ((3,), (3,)),
            ((4, 3), (3,)),
            ((3,), (3, 2)),
            ((4, 3), (3, 2)),
            ((2, 4, 3), (3, 2)),
            ((2, 4, 3), (2, 3, 2)),
            ((3,), (2, 3, 2)),
            ((2, 4, 3), (3,)),
            ((2, 1, 4, 3), (3, 3, 2)),
            ((1, 4, 3), (2, 3, 4)),
        )
    ],
)
rows(
    "linear",
    [
        {"input": t(*a), "weight": w(*c), "bias": d}
        for a, c, d in (
            ((3,), (2, 3), None),
            ((4, 3), (2, 3), w(2)),
            ((2, 4, 3), (2, 3), w(2)),
            ((4, 6), (3, 6), None),
            ((4, 3), (3,), None),
            ((4, 3), (3, 3), w(3)),
        )
    ],
)
rows(
    "bilinear",
    [
        {"input1": t(*a), "input2": t(*c), "weight": w(2, a[-1], c[-1]), "bias": d}
        for a, c, d in (((4, 3), (4, 2), None), ((4, 3), (4, 3), w(2)), ((3,), (3,), None))
    ],
)
PLUS = [{"beta": x, "alpha": y} for x, y in ((1, 1), (0.5, 2))]
rows("addmm", [{"self": t(*s), "mat1": t(4, 3), "mat2": t(3, 2), **p} for s in ((4, 2), (2,), ()) for p in PLUS])
rows("baddbmm", [{"self": t(*s), "batch1": t(2, 4, 3), "batch2": t(2, 3, 2), **p} for s in ((2, 4, 2), (1, 4, 2)) for p in PLUS])
rows("addmv", [{"self": t(4), "mat": t(4, 3), "vec": t(3), **p} for p in PLUS])
rows("outer", [{"self": t(3), "vec2": t(2)}, {"self": t(3), "vec2": t(3)}])
rows(
    "tensordot",
    [
        {"self": t(*a), "other": t(*c), "dims_self": x, "dims_other": y}
        for a, c, x, y in (
            ((4, 3), (3, 2), [1], [0]),
            ((2, 3), (2, 3), [0, 1], [0, 1]),
            ((3,), (3,), [], []),
            ((2, 3, 4), (4, 3), [-1, 1], [0, 1]),
        )
    ],
)
Q = [
    ((4, 3), (5, 3), (5, 2)),
    ((4, 3), (4, 3), (4, 3)),
    ((2, 4, 3), (2, 4, 3), (2, 4, 3)),
    ((3, 3), (3, 3), (3, 3)),
    ((2, 4, 3), (2, 1, 3), (2, 1, 2)),
    ((4, 3), (1, 3), (1, 3)),
]
GROUPED = [
    ((1, 4, 3, 2), (1, 2, 3, 2), (1, 2, 3, 3)),
    ((2, 6, 3, 2), (2, 3, 4, 2), (2, 3, 4, 3)),
    ((1, 4, 3, 3), (1, 2, 1, 3), (1, 2, 1, 3)),
]
MASKS: list[tuple[Any, bool]] = [(None, False), (b, False), (t, False), (None, True)]
rows(
    "scaled_dot_product_attention",
    [
        {
            "query": t(*q),
            "key": t(*k),
            "value": t(*v),
            "attn_mask": m and m(q[-2], k[-2]),
            "dropout_p": 0.0,
            "is_causal": c,
            "enable_gqa": g,
        }
        for shapes, g in ((Q, False), (GROUPED, True))
        for q, k, v in shapes
        for m, c in MASKS
    ],
)
rows(
    "cdist",
    [{"x1": t(*x), "x2": t(*y), "p": p} for x, y in (((4, 3), (4, 3)), ((2, 4, 3), (2, 5, 3)), ((4, 6), (2, 6))) for p in (2.0, 1.0)],
)
rows(
    "cross",
    [
        {"self": t(*x), "other": t(*y), "dim": d}
        for x, y, d in (((3,), (3,), 0), ((4, 3), (4, 3), -1), ((3, 2), (3, 2), 0), ((3, 3), (3, 3), 1))
    ],
)
rows(
    "linalg_cross",
    [
        {"self": t(*x), "other": t(*y), "dim": d}
        for x, y, d in (((3,), (3,), 0), ((4, 3), (4, 3), -1), ((3, 2), (3, 2), 0), ((4, 3), (1, 3), -1))
    ],
)
MATRICES = [{"self": t(*s)} for s in ((3, 3), (2, 3, 3), (4, 4), (4, 2, 2), (6, 6))]
rows("det inverse linalg_matrix_exp linalg_eigvalsh", MATRICES)
rows("linalg_det linalg_inv", renamed(MATRICES, self="A"))
rows("linalg_svdvals", renamed([*MATRICES, {"self": t(3, 2)}, {"self": t(4, 3, 5)}], self="A"))
rows("linalg_matrix_power matrix_power", [{**a, "n": n} for a in MATRICES for n in (2, -1, 0)])

# -- shapes ----------------------------------------------------------------------------------------------------------
VIEWS = [
    ((2, 3), (6,)),
    ((6,), (2, 3)),
    ((4, 6), (4, 2, 3)),
    ((4, 6), (24,)),
    ((2, 3, 2), (6, 2)),
    ((2, 3), (3, 2)),
    ((3,), (1, 3, 1)),
    ((1, 3), (3,)),
    ((4, 3), (2, 2, 3)),
    ((3, 3), (9,)),
    ((2, 1, 5), (10, 1)),
]
rows("view _unsafe_view view_copy", [{"self": T(a, k), "size": list(c)} for a, c in VIEWS for k in ("float", "index")])
rows("reshape", [{"self": T(a, k), "shape": list(c)} for a, c in VIEWS for k in ("float", "index")])
rows(
    "_reshape_alias",
    [
        {"self": t(2, 3), "size": [6], "stride": [1]},
        {"self": t(6), "size": [2, 3], "stride": [3, 1]},
        {"self": t(4, 3), "size": [2, 2, 3], "stride": [6, 3, 1]},
    ],
)
rows(
    "flatten.using_ints",
    [{"self": t(*s), "start_dim": x, "end_dim": y} for s, x, y in (((2, 3), 0, -1), ((4, 2, 3), 1, 2), ((3, 2, 1), 0, 1))],
)
rows("unflatten.int", [{"self": t(*s), "dim": d, "sizes": z} for s, d, z in (((6,), 0, [2, 3]), ((4, 6), -1, [3, 2]), ((4, 3), 0, [2, 2]))])
rows("view_as reshape_as", [{"self": t(*a), "other": t(*c)} for a, c in VIEWS])
rows("ravel", FREE)
rows(
    "permute permute_copy",
    [
        {"self": T(s, k), "dims": d}
        for s, d in (((2, 3), [1, 0]), ((4, 2, 3), [2, 0, 1]), ((3, 3), [-1, 0]), ((3,), [0]))
        for k in ("float", "index")
    ],
)
rows("transpose.int", [{"self": t(*s), "dim0": x, "dim1": y} for s, x, y in (((2, 3), 0, 1), ((3, 2, 3), 0, -1), ((3,), 0, 0))])
rows("t", [{"self": t(2, 3)}, {"self": t(3)}, {"self": t(3, 3)}])
rows("mT", [{"self": t(2, 3)}, {"self": t(4, 2, 3)}, {"self": t(3, 3)}])
rows("numpy_T", [{"self": t(2, 3)}, {"self": t(3)}])
rows("movedim.int", [{"self": t(*s), "source": x, "destination": y} for s, x, y in (((4, 2, 3), 0, -1), ((4, 2, 3), 2, 0), ((3, 3), 1, 0))])
rows(
    "movedim.intlist",
    [
        {"self": t(*s), "source": x, "destination": y}
        for s, x, y in (((4, 2, 3), [0, 1], [2, 0]), ((4, 2, 3, 1), [-1, 0], [1, 0]), ((2, 3), [0], [1]))
    ],
)
rows("unsqueeze unsqueeze_copy", [{"self": t(*s), "dim": d} for s in ((3,), (2, 3), ()) for d in (0, -1)])
rows("squeeze", [{"self": t(*s)} for s in ((1, 3), (2, 1, 5), (3,), (1, 1))])
rows("squeeze.dim", [{"self": t(*s), "dim": d} for s in ((1, 3), (3, 1), (2, 3)) for d in (0, -1)])
rows("squeeze.dims", [{"self": t(*s), "dim": d} for s, d in (((1, 3, 1), [0, 2]), ((1, 3), [0, 1]), ((2, 1, 5), [1]), ((1, 3), []))])
EXPANDS = [((3,), (2, 3)), ((3, 1), (3, 4)), ((1,), (3,)), ((), (2, 2)), ((2, 1, 3), (2, 5, 3))]
rows("expand broadcast_to expand_copy", [{"self": T(a, k), "size": list(c)} for a, c in EXPANDS for k in ("float", "index")])
rows("expand_as", [{"self": t(*a), "other": t(*c)} for a, c in EXPANDS])
REPEATS = [((3,), [2]), ((3,), [2, 1]), ((2, 3), [1, 2]), ((4, 1), [1, 3]), ((3, 2), [2, 2])]
rows("repeat", [{"self": T(a, k), "repeats": r} for a, r in REPEATS for k in ("float", "index")])
rows("tile", [{"self": t(*a), "dims": r} for a, r in [*REPEATS, ((2, 3), [2])]])
rows("repeat_interleave.self_int", [{"self": t(*a), "repeats": 2, "dim": d} for a in ((3,), (2, 3), (4, 1)) for d in (0, -1)])
rows(
    "meshgrid.indexing",
    [
        {"tensors": [t(3), t(2)], "indexing": "ij"},
        {"tensors": [i(4, 3), i(4, 3)], "indexing": "ij"},
        {"tensors": [t(3), t(4)], "indexing": "xy"},
    ],
)
rows("meshgrid", [{"tensors": [t(3), t(2)]}, {"tensors": [t(2), t(2), t(3)]}])
rows("broadcast_tensors", [{"tensors": [t(2, 3), t(3)]}, {"tensors": [t(3, 1), t(4)]}])
JOINS = [
    ([(2, 3), (4, 3)], 0),
    ([(3, 2), (3, 3)], -1),
    ([(3,), (3,)], 0),
    ([(3, 3), (3, 3)], 1),
    ([(4, 3), (4, 3), (4, 3)], 0),
    ([(4, 1), (4, 2)], 1),
]
rows("cat concat", [{"tensors": [T(s, k) for s in shapes], "dim": d} for shapes, d in JOINS for k in ("float", "index")])
rows(
    "stack",
    [
        {"tensors": [T(s, k) for s in shapes], "dim": d}
        for shapes, d in (([(3,), (3,)], 0), ([(2, 3), (2, 3)], -1), ([(3, 3)] * 3, 1))
        for k in ("float", "index")
    ],
)
SLICES = [
    ((3,), 0, 0, 3, 1),
    ((5,), 0, 2, 5, 1),
    ((5, 3), 0, 0, 2, 1),
    ((5, 3), 0, 1, 4, 1),
    ((2, 3), -1, 0, 2**63 - 1, 1),
    ((6, 2), 0, 0, 3, 1),
    ((3, 5), 1, -3, None, 1),
    ((6,), 0, None, None, 2),
    ((3, 5), -1, 0, 2, 1),
    ((4, 3), 0, 1, 2, 1),
    ((6,), 0, 2, 4, 1),
]
rows(
    "slice.Tensor slice_copy.Tensor",
    [{"self": T(s, k), "dim": d, "start": x, "end": y, "step": z} for s, d, x, y, z in SLICES for k in ("float", "index")],
)
rows(
    "select.int select_copy.int",
    [
        {"self": T(s, k), "dim": d, "index": x}
        for s in ((3,), (2, 3), (3, 5), (1, 3))
        for d in (0, -1)
        for x in (0, -1)
        for k in ("float", "index")
    ],
)
PARTS = [((5,), 0), ((2, 5), 1), ((6, 3), 0), ((3, 4), -1), ((5, 3), 0)]
rows("split.Tensor unsafe_split.Tensor", [{"self": t(*s), "split_size": z, "dim": d} for s, d in PARTS for z in (2, 3, 6)])
rows("split.sizes", [{"self": t(*s), "split_size": [2, s[d] - 2], "dim": d} for s, d in PARTS])
rows(
    "split_with_sizes split_with_sizes_copy unsafe_split_with_sizes",
    [{"self": t(*s), "split_sizes": [2, s[d] - 2], "dim": d} for s, d in PARTS],
)
rows("chunk unsafe_chunk", [{"self": t(*s), "chunks": z, "dim": d} for s, d in PARTS for z in (1, 2)])
rows("tensor_split.sections", [{"self": t(*s), "sections": z, "dim": d} for s, d in PARTS for z in (1, 2)])
rows("unbind.int", [{"self": t(*s), "dim": d} for s in ((2, 3), (3, 3), (1, 4), (5,)) for d in (0, -1)])
PADS = [
    ((2, 3, 5), [1, 1], "circular", None),
    ((2, 3, 5), [2, 1], "circular", None),
    ((2, 3, 3), [1, 1], "replicate", None),
    ((2, 3, 4), [1, 0], "reflect", None),
]
PADS += (
    [((3,), [1, 1], "constant", v) for v in (None, 0.0, 1.5)]
    + [((4, 3), [0, 0, 1, 0], "constant", v) for v in (None, 2.0)]
    + [((2, 3, 3), [1, 0], "circular", None), ((3, 4), [1, 1, 0, 2], "constant", 1.0), ((3, 4), [1, 1, 0, 2], "constant", 0.0)]
)
NARROWED = [((3,), 0, 0, 3), ((5, 3), 0, 0, 2), ((5,), 0, 1, 4), ((3, 5), -1, 2, 3), ((6, 2), 0, 2, 2)]
rows("narrow", [{"self": T(s, k), "dim": d, "start": x, "length": n} for s, d, x, n in NARROWED for k in ("float", "index")])
rows("pad", [{"self": t(*s), "pad": p, "mode": m, "value": v} for s, p, m, v in PADS])
rows(
    "constant_pad_nd",
    [
        {"self": t(*s), "pad": p, "value": v}
        for s, p in (((3,), [1, 1]), ((4, 3), [0, 2]), ((4, 3), [0, 0, 1, 0]), ((2, 3), [-1, 0]))
        for v in (0, 1)
    ],
)

# -- gathering and scattering ----------------------------------------------------------------------------------------
TAKEN = [
    ((4, 3), [i(4, 5)]),
    ((3, 3), [i(3, 3)]),
    ((4, 3), [i(4, 2), i(3, 2)]),
    ((2, 4, 3), [None, i(4, 5)]),
    ((2, 3, 3), [i(2, 4), None, i(3, 4)]),
    ((4, 3), [i(4, 2, 1), i(3, 3)]),
    ((4,), [i(4)]),
    ((6, 2), [i(6, 3)]),
]
rows("index.Tensor", [{"self": T(s, k), "indices": list(x)} for s, x in TAKEN for k in ("float", "index")])
rows(
    "embedding", [{"weight": t(*s), "indices": x} for s, x in (((4, 3), i(4, 5)), ((4, 3), i(4, 2, 3)), ((3, 3), i(3)), ((6, 2), i(6, 4)))]
)
rows(
    "index_select",
    [
        {"self": t(*s), "dim": d, "index": x}
        for s, d, x in (((4, 3), 0, i(4, 5)), ((2, 3), -1, i(3, 3)), ((3, 3), 1, i(3)), ((5, 3), 1, i(3, 3)))
    ],
)
rows(
    "gather",
    [
        {"self": T(s, k), "dim": d, "index": x}
        for s, d, x in (
            ((4, 3), 0, i(4, 2, 3)),
            ((2, 3), -1, i(3, 2, 3)),
            ((3, 3), 1, i(3, 3, 3)),
            ((4, 2), 0, i(4, 4, 2)),
            ((4,), 0, i(4, 5)),
            ((4, 3), 0, i(4, 2, 2)),
        )
        for k in ("float", "index")
    ],
)
PUT = [
    ((4, 3), 0, i(4, 5, 3), (5, 3)),
    ((2, 3), -1, i(3, 2, 4), (2, 4)),
    ((3, 3), 0, i(3, 3, 3), (3, 3)),
    ((4,), 0, i(4, 5), (5,)),
    ((4, 3), 0, i(4, 2, 2), (5, 3)),
]
rows("scatter_add", [{"self": t(*s), "dim": d, "index": x, "src": t(*y)} for s, d, x, y in PUT])
rows(
    "scatter_reduce.two",
    [
        {"self": t(*s), "dim": d, "index": x, "src": t(*y), "reduce": r, "include_self": z}
        for s, d, x, y in PUT[:4]
        for r in ("sum", "mean", "amax", "prod", "amin")
        for z in (True, False)
    ],
)
ADDED = [((4, 3), 0, i(4, 5), (5, 3)), ((2, 3), -1, i(3, 4), (2, 4)), ((3, 3), 0, i(3, 3), (3, 3)), ((4,), 0, i(4, 5), (5,))]
rows("index_add", [{"self": t(*s), "dim": d, "index": x, "source": t(*y), "alpha": a} for s, d, x, y in ADDED for a in (1, 2)])
rows(
    "index_reduce",
    [
        {"self": t(*s), "dim": d, "index": x, "source": t(*y), "reduce": r, "include_self": z}
        for s, d, x, y in ADDED
        for r in ("mean", "amax", "prod")
        for z in (True, False)
    ],
)
WRITTEN = [
    ((4, 3), [i(4, 5)], (5, 3)),
    ((3, 3), [i(3, 3)], (3, 3)),
    ((3, 2), [i(3, 3)], (2,)),
    ((4,), [i(4, 4)], (4,)),
    ((4, 3), [i(4, 2), i(3, 2)], (2,)),
    ((4, 3), [i(4, 5)], (3,)),
    ((4, 3), [i(4, 5)], ()),
    ((4, 3), [i(4, 5)], (5, 1)),
    ((4, 3), [i(4, 5), i(3, 5)], ()),
    ((6, 2), [i(6, 2)], (2, 2)),
    ((4, 3), [i(4)], (3,)),
]
rows("index_put", [{"self": t(*s), "indices": list(x), "values": t(*y), "accumulate": a} for s, x, y in WRITTEN for a in (True, False)])
rows("one_hot", [{"self": i(4, 3), "num_classes": 4}, {"self": i(3, 2, 3), "num_classes": 3}, {"self": i(3), "num_classes": 3}])
rows(
    "bincount",
    [{"self": i(4, 5), "weights": x, "minlength": 4} for x in (None, t(5))] + [{"self": i(3, 3), "weights": t(3), "minlength": 3}],
)

# -- layers ----------------------------------------------------------------------------------------------------------
NORMED = [
    {"input": t(*s), "normalized_shape": n, "weight": x, "bias": y, "eps": 1e-5}
    for s, n, x, y in (
        ((4, 3), [3], None, None),
        ((4, 3), [3], w(3), w(3)),
        ((2, 4, 3), [4, 3], None, None),
        ((2, 6), [6], w(6), None),
        ((4, 3), [3], w(3), None),
    )
]
rows("layer_norm native_layer_norm", NORMED)
rows("rms_norm", [{n: x for n, x in a.items() if n != "bias"} for a in NORMED])
CHANNELS = [(4, 2, 3), (2, 2), (3, 2, 2, 2), (2, 4, 4)]
rows(
    "group_norm",
    [
        {"input": t(*s), "num_groups": g, "weight": x, "bias": x}
        for s in CHANNELS
        for g, x in ((1, None), (2, None), (1, w(s[1])), (2, w(s[1])))
    ],
)
rows(
    "instance_norm",
    [
        {
            "input": t(*s),
            "weight": x,
            "bias": x,
            "running_mean": None,
            "running_var": None,
            "use_input_stats": True,
            "momentum": 0.1,
            "eps": 1e-5,
            "cudnn_enabled": False,
        }
        for s in ((4, 2, 3), (3, 2, 2, 2), (2, 4, 4))
        for x in (None, w(s[1]))
    ],
)


def batch(training: bool | None, stats: bool, **more: Any) -> list[Args]:
    found = []
    for s in CHANNELS:
        for x in (None, w(s[1])):
            args: Args = (
                {"input": t(*s), "weight": x, "bias": x, "running_mean": w(s[1]), "running_var": w(s[1])}
                if stats
                else {"input": t(*s), "weight": x, "bias": x}
            )
            found.append({**args, **({} if training is None else {"training": training}), "momentum": 0.1, "eps": 1e-5, **more})
    return found


rows("batch_norm", batch(False, True, cudnn_enabled=False) + batch(True, True, cudnn_enabled=False))
rows("native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_functional", batch(False, True) + batch(True, True))
rows("_native_batch_norm_legit_no_training _batch_norm_no_update", batch(None, True))
rows("_batch_norm_with_update_functional", batch(None, True))
rows("_native_batch_norm_legit.no_stats", batch(True, False))
rows(
    "dropout feature_dropout alpha_dropout",
    [{"input": t(*s), "p": 0.5, "train": z} for s in ((4, 3), (3, 3), (2, 6)) for z in (False, True)],
)
CONVOLVED = [
    ((2, 3, 5), (4, 3, 2), 1, 0, 1, 1),
    ((3, 2, 4), (2, 2, 1), 1, 0, 1, 1),
    ((3, 5), (2, 3, 3), 1, 1, 1, 1),
    ((2, 3, 5), (4, 3, 3), 1, 0, 1, 1),
    ((2, 2, 5), (2, 1, 2), 2, 0, 1, 2),
    ((2, 3, 5), (4, 3, 2), 1, 0, 2, 1),
]
TURN: Args = {"groups": 1, "dilation": [1]}
rows(
    "conv_transpose1d",
    [
        {"input": t(*s), "weight": w(s[-2], 2, 2), "bias": c, "stride": [st], "padding": [p], "output_padding": [0], **TURN}
        for s, st, p in (((2, 3, 5), 1, 0), ((3, 3, 4), 2, 1), ((3, 5), 2, 0))
        for c in (None, w(2))
    ],
)
for dims in (2, 3):
    more: Args = {"stride": [1, 2, 1][:dims], "padding": [0] * dims, "output_padding": [0] * dims, "groups": 1, "dilation": [1] * dims}
    TURNED = [{"input": t(*s, *(2, 3, 2)[:dims]), "weight": w(2, 3, *(1, 2, 1)[:dims]), "bias": w(3), **more} for s in ((3, 2), (2,))]
    rows(f"conv_transpose{dims}d.input", TURNED)
rows(
    "conv1d",
    [
        {"input": t(*s), "weight": w(*k), "bias": c, "stride": [st], "padding": [p], "dilation": [d], "groups": g}
        for s, k, st, p, d, g in CONVOLVED
        for c in (None, w(k[0]))
    ],
)
rows(
    "conv2d",
    [
        {
            "input": t(2, 3, 5, 4),
            "weight": w(2, 3, 3, 1),
            "bias": w(2),
            "stride": [1, 1],
            "padding": [0, 0],
            "dilation": [1, 1],
            "groups": 1,
        },
        {"input": t(2, 2, 5, 4), "weight": w(2, 2, 2, 2), "bias": None, "stride": [1], "padding": [0], "dilation": [1], "groups": 1},
    ],
)
rows(
    "conv3d",
    [
        {
            "input": t(2, 2, 3, 5, 2),
            "weight": w(2, 2, 1, 3, 1),
            "bias": w(2),
            "stride": [1, 1, 1],
            "padding": [0, 0, 0],
            "dilation": [1, 1, 1],
            "groups": 1,
        },
        {
            "input": t(2, 2, 3, 2, 2),
            "weight": w(2, 2, 2, 1, 1),
            "bias": w(2),
            "stride": [1, 1, 1],
            "padding": [1, 0, 0],
            "dilation": [1, 1, 1],
            "groups": 1,
        },
    ],
)
rows(
    "convolution",
    [
        {
            "input": t(*s),
            "weight": w(*k),
            "bias": c,
            "stride": [st],
            "padding": [p],
            "dilation": [d],
            "transposed": z,
            "output_padding": [0],
            "groups": g,
        }
        for s, k, st, p, d, g in CONVOLVED
        if len(s) == 3
        for c, z in ((w(k[0]), False), (None, False))
    ]
    + [
        {
            "input": t(2, 3, 5),
            "weight": w(3, 2, 2),
            "bias": None,
            "stride": [1],
            "padding": [0],
            "dilation": [1],
            "transposed": True,
            "output_padding": [0],
            "groups": 1,
        }
    ],
)
for n, place, kernel in ((1, (5,), (3,)), (2, (5, 4), (3, 1)), (3, (3, 5, 2), (1, 3, 1))):
    rows(
        f"conv{n}d.padding",
        [
            {
                "input": t(2, 3, *place),
                "weight": w(2, 3, *k),
                "bias": w(2),
                "stride": [1] * n,
                "padding": p,
                "dilation": [1] * n,
                "groups": 1,
            }
            for k in (kernel, (1,) * n)
            for p in ("same", "valid")
        ],
    )
    POOLED = [
        {"self": t(2, 3, *place), "kernel_size": list(k), "stride": [1] * n, "padding": [0] * n}
        for k in (kernel, (1,) * n, (2,) + (1,) * (n - 1))
    ]
    POOLED += [{"self": t(3, *place), "kernel_size": [2] * n, "stride": [], "padding": [0] * n}]
    rows(f"avg_pool{n}d", [{**a, "ceil_mode": False, "count_include_pad": True} for a in POOLED])
    rows(f"max_pool{n}d max_pool{n}d_with_indices", [{**a, "dilation": [1] * n, "ceil_mode": False} for a in POOLED])
    rows(
        f"adaptive_avg_pool{n}d adaptive_max_pool{n}d",
        [{"self": t(2, 3, *place), "output_size": z} for z in ([1] * n, [2] + [1] * (n - 1), list(place))],
    )


def cell(gates: int, first: bool) -> Args:
    weights = [w(gates * 2, 3), w(gates * 2, 2), w(gates * 2), w(gates * 2)]
    states = [t(1, 4, 2), t(1, 4, 2)] if gates == 4 else t(1, 4, 2)
    return {
        "input": t(4, 2, 3) if first else t(2, 4, 3),
        "hx": states,
        "params": weights,
        "has_biases": True,
        "num_layers": 1,
        "dropout": 0.0,
        "train": False,
        "bidirectional": False,
        "batch_first": first,
    }


rows("lstm.input", [cell(4, z) for z in (False, True)])
rows("gru.input", [cell(3, z) for z in (False, True)])
rows("rnn_tanh.input rnn_relu.input", [cell(1, z) for z in (False, True)])

# -- made tensors ----------------------------------------------------------------------------------------------------
rows("zeros ones rand randn", [{"size": [3]}, {"size": [2, 3]}, {"size": []}])
rows("full", [{"size": [3], "fill_value": v} for v in (0, 1.5)])
rows("scalar_tensor", [{"s": 1.5}, {"s": 0}])
rows("new_zeros new_ones", [{"self": t(2), "size": [3]}, {"self": t(2), "size": [2, 3]}])
rows("new_full", [{"self": t(2), "size": [3], "fill_value": v} for v in (0, 1.5)])
rows("arange", [{"end": 3}, {"end": 4}])
rows("arange.start", [{"start": 0, "end": 3}, {"start": 1, "end": 5}])
rows("arange.start_step", [{"start": 0, "end": 3, "step": 1}, {"start": 0, "end": 6, "step": 2}])
rows("eye", [{"n": 3}, {"n": 4}])
rows("eye.m", [{"n": 3, "m": 3}, {"n": 4, "m": 3}, {"n": 4, "m": 4}])
rows("randperm", [{"n": 4}])
rows("randint.low", [{"low": 0, "high": 4, "size": [3]}])

UNARY = """relu gelu silu sigmoid exp exp2 expm1 log log2 log10 log1p sqrt rsqrt reciprocal cos softplus elu leaky_relu hardtanh hardsigmoid
hardswish mish selu celu relu6 logit log_sigmoid ceil floor round trunc frac isnan isinf isfinite erfc hardshrink softshrink digamma
lgamma special_expit nan_to_num acos tanh sin sinh asin asinh atan tan erf sgn sign erfinv abs cosh square neg negative clone alias
detach contiguous lift_fresh_copy positive detach_copy lift_fresh alias_copy zeros_like ones_like sum mean prod any all
var std var_mean max min median"""
BINARY = """max.other min.other maximum minimum fmod.Tensor remainder.Tensor atan2 hypot xlogy.Tensor floor_divide gt.Tensor
ge.Tensor lt.Tensor le.Tensor logaddexp div.Tensor true_divide.Tensor"""
rows(UNARY, FREE)
rows(BINARY, TWO)


def tensors(args: Args) -> Iterator[T]:
    """The tensor arguments of a case, those in lists included."""
    for arg in args.values():
        yield from (x for x in (arg if isinstance(arg, list) else [arg]) if isinstance(x, T))
