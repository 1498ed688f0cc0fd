"""The steps by which random programs grow, and the random edits that break them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from catlearn.verify.kernel import Node, Program, Wire
from catlearn.verify.rules import Value
from catlearn.verify.types import Factor, Type
from tests.verify.numeric import evaluate, kind_of
from tests.verify.programs import MANY, Case, Draft, options, places

Step = Callable[[Draft], Any]
UNARY = "relu tanh sigmoid exp abs square neg sin cos gelu silu softplus sign erf leaky_relu cosh asinh round floor".split()
BINARY = "add.Tensor sub.Tensor mul.Tensor maximum minimum atan2".split()
COMPARED = "gt.Tensor le.Tensor eq.Tensor".split()


def unary(d: Draft) -> Any:
    x = d.pick()
    return x and d.emit(d.rng.choice(UNARY), {"self": x})


def scalar(d: Draft) -> Any:
    x, v = d.pick(), d.rng.choice([2, -1, 0.5, 3, 0, 1.5])
    op = d.rng.choice(["add.Scalar", "mul.Scalar", "div.Scalar", "sub.Scalar", "rsub.Scalar", "clamp_min", "pow.Tensor_Scalar"])
    name = {"clamp_min": "min", "pow.Tensor_Scalar": "exponent"}.get(op, "other")
    more = {"alpha": 1} if op.split(".")[0] in ("add", "sub", "rsub") else {}
    return x and d.emit(op, {"self": x, name: 2 if name == "exponent" else v, **more})


def fitting(d: Draft, x: Wire, kind: str = "float") -> Wire | None:
    """Another tensor that broadcasts with x."""

    def fits(s: tuple[int, ...]) -> bool:
        return all(a == b or 1 in (a, b) for a, b in zip(s[::-1], d.shape(x)[::-1], strict=False))

    return d.pick(kind, test=fits)


def binary(d: Draft) -> Any:
    x = d.pick()
    y = x and fitting(d, x)
    if x is None or y is None:
        return None
    op = d.rng.choice(BINARY) if x != y else "mul.Tensor"  # the larger of x and x says nothing
    return d.emit(op, {"self": x, "other": y, **({"alpha": d.rng.choice([1, 1, 2, -1])} if op[:3] in ("add", "sub") else {})})


def weighted(d: Draft) -> Any:
    """A weight: one number, or along the last axis, or along some axis."""
    x = d.pick(rank=1)
    if x is None:
        return None
    s, k = d.shape(x), d.rng.randrange(len(d.shape(x)))
    p = d.parameter(*d.rng.choice([(), s[-1:], tuple(n if i == k else 1 for i, n in enumerate(s))]))
    op = d.rng.choice(["add.Tensor", "mul.Tensor"])
    return d.emit(op, {"self": x, "other": p, **({"alpha": 1} if op == "add.Tensor" else {})})


def reduction(d: Draft) -> Any:
    x = d.pick(rank=1)
    if x is None:
        return None
    n = len(d.shape(x))
    dims = sorted(d.rng.sample(range(n), d.rng.choice([1, 1, min(2, n)])))
    args: dict[str, Any] = {"self": x, "dim": dims, "keepdim": d.rng.random() < 0.4}
    op = d.rng.choice(
        [
            "sum.dim_IntList",
            "sum.dim_IntList",
            "mean.dim",
            "mean.dim",
            "amax",
            "amin",
            "var.correction",
            "logsumexp",
            "linalg_vector_norm",
            "prod.dim_int",
        ]
    )
    if op == "prod.dim_int":
        args["dim"] = dims[0]
    if op == "linalg_vector_norm":
        args["ord"] = d.rng.choice([2, 2, 1])
    if op == "var.correction":
        args["correction"] = 0
    return d.emit(op, args)


def along(d: Draft) -> Any:
    """A function along one axis."""
    x = d.pick(rank=1)
    if x is None:
        return None
    axis, size = d.axis(x), 0
    size = d.shape(x)[axis]
    op = d.rng.choice(
        ["softmax.int", "log_softmax.int", "cumsum", "sort", "argmax", "argsort", "topk", "max.dim", "flip", "roll", "median.dim"]
    )
    if op in ("flip", "roll"):
        return d.emit(op, {"self": x, "dims": [axis], **({"shifts": [1]} if op == "roll" else {})})
    more: dict[str, Any] = {"k": 1 + (size > 2), "largest": True, "sorted": True} if op == "topk" else {}
    more |= {"keepdim": d.rng.random() < 0.3} if op in ("argmax", "max.dim", "median.dim") else {"descending": True} if "sort" in op else {}
    return d.emit(op, {"self": x, "dim": axis, **more}, high=size)


def normed(d: Draft) -> Any:
    x = d.pick(rank=1)
    if x is None:
        return None
    s = d.shape(x)
    affine = d.rng.random() < 0.5
    if len(s) < 2 or d.rng.random() < 0.7:
        n = s[len(s) - 1]
        p = d.parameter(n) if affine else None
        return d.emit("layer_norm", {"input": x, "normalized_shape": [n], "weight": p, "bias": p, "eps": 1e-5, "cudnn_enable": False})
    p = d.parameter(s[1]) if affine else None
    return d.emit(
        "batch_norm",
        {
            "input": x,
            "weight": p,
            "bias": p,
            "running_mean": None,
            "running_var": None,
            "training": True,
            "momentum": 0.1,
            "eps": 1e-5,
            "cudnn_enabled": False,
        },
    )


def linear(d: Draft) -> Any:
    x = d.pick(rank=1)
    if x is None:
        return None
    n, m = d.shape(x)[-1], d.rng.choice([1, 2, 3, 4])
    return d.emit("linear", {"input": x, "weight": d.parameter(m, n), "bias": d.parameter(m) if d.rng.random() < 0.6 else None})


def contraction(d: Draft) -> Any:
    x, y = d.pick(rank=1), d.pick(rank=1)
    if x is None or y is None:
        return None
    a, b = len(d.shape(x)), len(d.shape(y))
    equations = {
        (1, 1): ["i,i->", "i,j->ij"],
        (2, 1): ["ij,j->i", "ij,i->j", "ij,k->ijk"],
        (2, 2): ["ij,kj->ik", "ij,jk->ik", "ij,ij->i", "ij,ik->jk", "ij,ij->ij"],
        (3, 2): ["bij,ij->b", "bij,jk->bik", "bij,bi->bj"],
        (3, 3): ["bij,bkj->bik", "bij,bij->bj", "bij,bjk->bik"],
        (3, 1): ["bij,j->bi"],
    }
    if (a, b) not in equations:
        return None
    return d.emit("einsum", {"equation": d.rng.choice(equations[a, b]), "tensors": [x, y]})


def matmul(d: Draft) -> Any:
    x = d.pick(rank=1)
    y = x and d.pick(rank=1, test=lambda s: len(s) > 1 and s[-2] == d.shape(x)[-1])
    return x and y and d.emit("matmul", {"self": x, "other": y})


def attention(d: Draft) -> Any:
    x = d.pick(rank=2)
    y = x and d.pick(rank=2, test=lambda s: len(s) == len(d.shape(x)) and s[-1] == d.shape(x)[-1])
    if x is None or y is None:
        return None
    z = d.pick(rank=2, test=lambda s: len(s) == len(d.shape(y)) and s[-2] == d.shape(y)[-2])
    return z and d.emit(
        "scaled_dot_product_attention",
        {"query": x, "key": y, "value": z, "attn_mask": None, "dropout_p": 0.0, "is_causal": d.rng.random() < 0.1, "enable_gqa": False},
    )


def shaped(d: Draft) -> Any:
    """Another shape of the same numbers."""
    x = d.pick(d.rng.choice(["float", "float", "float", "index"]), rank=1)
    if x is None:
        return None
    s, high = d.shape(x), d.high.get(x.place, 0)
    k, what = d.rng.randrange(len(s)), d.rng.randrange(6)
    if what == 0 and len(s) > 1:
        j = d.rng.randrange(len(s) - 1)
        return d.emit("reshape", {"self": x, "shape": [*s[:j], s[j] * s[j + 1], *s[j + 2 :]]}, high=high)
    if what == 1:
        cuts = [c for c in range(2, s[k]) if s[k] % c == 0]
        return cuts and d.emit("reshape", {"self": x, "shape": [*s[:k], cuts[0], s[k] // cuts[0], *s[k + 1 :]]}, high=high)
    if what == 2:
        return d.emit("unsqueeze", {"self": x, "dim": d.rng.randrange(-len(s) - 1, len(s) + 1)}, high=high)
    if what == 3 and 1 in s:
        return d.emit("squeeze.dim", {"self": x, "dim": s.index(1)}, high=high)
    if what == 4 and 1 in s:
        return d.emit("expand", {"self": x, "size": [d.rng.choice([2, 3]) if i == s.index(1) else n for i, n in enumerate(s)]}, high=high)
    return len(s) > 1 and d.emit("permute", {"self": x, "dims": d.rng.sample(range(len(s)), len(s))}, high=high)


def joined(d: Draft) -> Any:
    x = d.pick(rank=1)
    y = x and d.pick(rank=1, test=lambda s: len(s) == len(d.shape(x)))
    if x is None or y is None:
        return None
    if d.rng.random() < 0.15 or x == y:
        y = d.parameter(*d.shape(x))
    op = d.rng.choice(["cat", "cat", "stack"])
    return d.emit(op, {"tensors": [x, y], "dim": d.axis(x)})


def cut(d: Draft) -> Any:
    x = d.pick(rank=1)
    if x is None:
        return None
    k = d.axis(x)
    n, what = d.shape(x)[k], d.rng.randrange(4)
    if what == 0:
        return d.emit("select.int", {"self": x, "dim": k, "index": d.rng.randrange(-n, n)})
    if what == 1 and n > 2:
        return d.emit("split_with_sizes", {"self": x, "split_sizes": [2, n - 2], "dim": k})
    if what == 2:
        return d.emit("repeat", {"self": x, "repeats": [2 if i == k % len(d.shape(x)) else 1 for i in range(len(d.shape(x)))]})
    start = d.rng.randrange(n)
    return d.emit("slice.Tensor", {"self": x, "dim": k, "start": start, "end": d.rng.choice([n, start + 1, 2**63 - 1]), "step": 1})


def diagonal(d: Draft) -> Any:
    if d.rng.random() < 0.4:
        x = d.pick(rank=1)
        return x and d.emit("diag_embed", {"self": x, "offset": 0, "dim1": -2, "dim2": -1})
    x = d.pick(rank=2)
    if x is None:
        return None
    i, j = d.rng.sample(range(len(d.shape(x))), 2)
    return d.emit("diagonal", {"self": x, "offset": 0, "dim1": i, "dim2": j})


def gathered(d: Draft) -> Any:
    at = d.pick("index")
    high = at and d.high.get(at.place, 0)
    if not at or not high:
        return None
    if d.rng.random() < 0.25:
        return (
            d.emit("embedding", {"weight": d.parameter(high, 2), "indices": at})
            if d.rng.random() < 0.3
            else d.emit("one_hot", {"self": at, "num_classes": high})
        )
    x = d.pick(rank=1, test=lambda s: high in s)
    if x is None:
        return None
    s = d.shape(x)
    k = d.rng.choice([i for i, n in enumerate(s) if n == high])
    if d.rng.random() < 0.5 and len(d.shape(at)) == 1:
        return d.emit("index_select", {"self": x, "dim": k, "index": at})
    return d.emit("index.Tensor", {"self": x, "indices": [None] * k + [at]})


def scattered(d: Draft) -> Any:
    at = d.pick("index", test=lambda s: len(s) == 1)
    high = at and d.high.get(at.place, 0)
    x = high and at and d.pick(rank=1, test=lambda s: s[0] == d.shape(at)[0])
    if not at or not high or not x:
        return None
    base = d.emit("zeros", {"size": [high, *d.shape(x)[1:]]}, "float", free=True)
    if base is None:
        return None
    if d.rng.random() < 0.5:
        return d.emit("index_add", {"self": Wire(base[0]), "dim": 0, "index": at, "source": x, "alpha": 1})
    return d.emit("index_put", {"self": Wire(base[0]), "indices": [at], "values": x, "accumulate": d.rng.random() < 0.8})


def made(d: Draft) -> Any:
    """A fixed tensor, or one of positions."""
    n = int(d.rng.choice(d.world).size)  # type: ignore[arg-type]
    what = d.rng.randrange(4)
    if what == 0:
        return d.emit("eye", {"n": n}, "float", free=True)
    if what == 1:
        return d.emit("arange", {"end": n}, "index", high=n, free=True)
    if what == 2:
        return d.emit("ones", {"size": [n]}, "float", free=True)
    x = d.pick()
    return x and d.emit("zeros_like", {"self": x})


def masked(d: Draft) -> Any:
    """A comparison, or a choice by a mask."""
    m, x = d.pick("bool"), d.pick()
    if x is None:
        return None
    if m is None or d.rng.random() < 0.4:
        y = fitting(d, x)
        return y and x != y and d.emit(d.rng.choice(COMPARED), {"self": x, "other": y})
    if d.rng.random() < 0.5:
        return d.emit("masked_fill.Scalar", {"self": x, "mask": m, "value": d.rng.choice([0, 0, 1.5])})
    y = fitting(d, x)
    return y and d.emit("where.self", {"condition": m, "self": x, "other": y})


def compared(d: Draft) -> Any:
    """Positions compared with positions."""
    x = d.pick("index", 1)
    y = x and d.pick("index", 1, lambda s: len(s) == 1)
    if x is None or y is None:
        return None
    wide = d.emit("unsqueeze", {"self": x, "dim": -1}, high=d.high.get(x.place, 0), free=True)
    return wide and d.emit(d.rng.choice(["eq.Tensor", "ne.Tensor"]), {"self": Wire(wide[0]), "other": y})


def cast(d: Draft) -> Any:
    x = d.pick(d.rng.choice(["bool", "bool", "index"]))
    return x and d.emit("_to_copy", {"self": x}, "float")


def geometric(d: Draft) -> Any:
    """Cross products, distances, determinants."""
    what = d.rng.randrange(3)
    if what == 0:
        x = d.pick(rank=1, test=lambda s: s[-1] == 3)
        y = x and d.pick(rank=1, test=lambda s: len(s) == len(d.shape(x)) and s[-1] == 3)
        return x and y and d.emit("linalg_cross", {"self": x, "other": y, "dim": -1})
    if what == 1:
        x = d.pick(rank=2)
        y = x and d.pick(rank=2, test=lambda s: len(s) == len(d.shape(x)) and s[-1] == d.shape(x)[-1])
        return x and y and d.emit("cdist", {"x1": x, "x2": y, "p": 2.0})
    x = d.pick(rank=2, test=lambda s: s[-1] == s[-2])
    return x and d.emit("linalg_det", {"A": x})


def convolved(d: Draft) -> Any:
    """A convolution, cyclically padded as it may be."""
    x = d.pick(rank=3, test=lambda s: len(s) == 3 and s[-1] > 2)
    if x is None:
        return None
    if d.rng.random() < 0.6:
        wide = d.emit(
            "pad", {"self": x, "pad": [1, 1], "mode": d.rng.choice(["circular", "circular", "constant"]), "value": None}, free=True
        )
        if wide is None:
            return None
        x = Wire(wide[0])
    k = d.rng.choice([1, 3])
    return d.emit(
        "conv1d",
        {
            "input": x,
            "weight": d.parameter(2, d.shape(x)[1], k),
            "bias": d.parameter(2),
            "stride": [1],
            "padding": [0],
            "dilation": [1],
            "groups": 1,
        },
    )


STEPS: list[Step] = [
    unary,
    unary,
    scalar,
    binary,
    binary,
    weighted,
    weighted,
    reduction,
    reduction,
    along,
    normed,
    linear,
    linear,
    contraction,
    contraction,
    matmul,
    attention,
    shaped,
    shaped,
    joined,
    cut,
    diagonal,
    gathered,
    gathered,
    scattered,
    made,
    masked,
    compared,
    cast,
    geometric,
    convolved,
]


# -- random edits ----------------------------------------------------------------------------------------------------
OTHER = {
    "relu": "cumsum",
    "add": "mul",
    "mul": "add",
    "sum": "mean",
    "mean": "sum",
    "amax": "amin",
    "softmax": "cumsum",
    "maximum": "add",
    "sub": "add",
}


def broken(case: Case, world: Sequence[Factor], rng: random.Random) -> Case:
    """The program after one random edit; the same claim if the output has the same shape, else a random one."""
    for _ in range(40):
        program = rng.choice([insert, insert, turn, swap])(case.program, rng)
        program = program and retyped(program, case)
        if program:
            value = program.wires[program.outputs[0]]
            if value == case.program.wires[case.program.outputs[0]]:
                found = replace(case, program=program, broken=True)
                if found.vacuous():
                    continue
                return found
            kinds = [f for f in world if value.kind == "float" or f.kind == "X"]
            axes = [rng.choice(options(n, kinds)) for n in value.shape]  # type: ignore[arg-type]
            found = replace(case, program=program, cod=(Type(tuple(axes)),), broken=True)
            if not found.vacuous():
                return found
    return case


def retyped(program: Program, case: Case) -> Program | None:
    """The program with the shapes that it really has; None if it cannot be computed."""
    try:
        wires = evaluate(program, [s.at() for s in replace(case, program=program).samples(0)])
    except (RuntimeError, IndexError, ValueError, TypeError, AttributeError):  # an operator that torch does not have, too
        return None
    if any(x.numel() > 2 * MANY or x.numel() == 0 for x in wires.values()) or not wires[program.outputs[0]].isfinite().all():
        return None
    return replace(program, wires=tuple(Value(tuple(wires[k].shape), kind_of(wires[k])) for k in range(len(program.wires))))


def insert(program: Program, rng: random.Random) -> Program | None:
    """One more operator on an argument of a node."""
    at = rng.randrange(len(program.nodes))
    node = program.nodes[at]
    found = [p for p in dict.fromkeys(places(node.args)) if program.wires[p].kind == "float" and program.wires[p].shape]
    if not found:
        return None
    old, new = rng.choice(found), len(program.wires)
    shape = program.wires[old].shape
    d = rng.randrange(len(shape))
    ops: list[tuple[str, dict[str, Any]]] = [
        ("flip.default", {"dims": [d]}),
        ("roll.default", {"shifts": [1], "dims": [d]}),
        ("cumsum.default", {"dim": d}),
        ("softmax.int", {"dim": d}),
        ("relu.default", {}),
        ("tanh.default", {}),
        ("add.Scalar", {"other": 1.5, "alpha": 1}),
        ("mul.Scalar", {"other": 2}),
        ("square.default", {}),
        ("triu.default", {"diagonal": 0}),
        ("transpose.int", {"dim0": 0, "dim1": d}),
    ]
    op, more = rng.choice(ops)
    extra = Node(f"aten.{op}", {"self": Wire(old), **more}, (new,))
    changed = replace(node, args={n: _instead(a, old, new) for n, a in node.args.items()})
    wires = (*program.wires, program.wires[old])
    return replace(program, wires=wires, nodes=(*program.nodes[:at], extra, changed, *program.nodes[at + 1 :]))


def _instead(arg: Any, old: int, new: int) -> Any:
    if isinstance(arg, Wire):
        return Wire(new) if arg.place == old else arg
    return [_instead(x, old, new) for x in arg] if isinstance(arg, list) else arg


def turn(program: Program, rng: random.Random) -> Program | None:
    """Another number among a node's arguments, or another operator of the same arguments."""
    at = rng.randrange(len(program.nodes))
    node = program.nodes[at]
    name = node.op.split(".")[1]
    whole = [n for n, a in node.args.items() if type(a) is int or (isinstance(a, list) and a and all(type(x) is int for x in a))]
    if not whole or rng.random() < 0.2:
        other = node.op.replace(name, OTHER.get(name, name))
        return None if other == node.op else _with(program, at, replace(node, op=other))
    key = rng.choice(whole)
    arg = node.args[key]
    new = [rng.choice([0, 1, -1, 2]) if rng.random() < 0.7 else x for x in arg] if isinstance(arg, list) else rng.choice([0, 1, -1, 2, -2])
    return None if new == arg else _with(program, at, replace(node, args={**node.args, key: new}))


def swap(program: Program, rng: random.Random) -> Program | None:
    """Another wire as an argument of a node."""
    at = rng.randrange(len(program.nodes))
    node = program.nodes[at]
    made = {g.wire for g in program.inputs} | {o for n in program.nodes[:at] for o in n.outs}
    old = rng.choice(places(node.args) or [-1])
    if old < 0:
        return None
    found = [w for w in made if w != old and program.wires[w] == program.wires[old]]
    if not found:
        return None
    return _with(program, at, replace(node, args={n: _instead(a, old, rng.choice(found)) for n, a in node.args.items()}))


def _with(program: Program, at: int, node: Node) -> Program:
    return replace(program, nodes=(*program.nodes[:at], node, *program.nodes[at + 1 :]))


__all__ = ["STEPS", "broken"]
