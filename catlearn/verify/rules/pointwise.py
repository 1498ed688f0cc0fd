"""Operators that work entry by entry, with broadcasting.

A permutation of entries commutes with any function of each; a linear group commutes with sums, with products by numbers that are
constant along its axis, and with choosing between whole vectors; a determinant in front commutes with linear and odd functions.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from catlearn.core.sizes import Poly
from catlearn.verify.rules.call import Call, Rule, Typed, Typing, aligned, apply_each, require_entrywise, together, typed, typed_of
from catlearn.verify.types import Refused, Shift, Type, constant, numbers, scaled, size


def function(call: Call) -> Type:
    """Any function of the entries at one place."""
    return Type(apply_each([numbers(t.type, "a function of each entry") for t in call.tensors()]))


def same(call: Call) -> Type:
    """The tensor itself: a copy, a view, another device."""
    return call.tensor("self").type


def cast(call: Call) -> Type:
    """Another dtype: the same numbers if a wider one, else a function of each entry (integers wrap around)."""
    x = call.tensor("self")
    if call.outs[0].kind == x.value.kind and (x.value.kind != "index" or x.type.points is not None):
        return x.type
    if x.type.points is not None:
        raise Refused("positions on a set are read as numbers")
    if call.outs[0].kind == "float":
        return x.type
    return function(call)


def odd(call: Call) -> Type:
    """A function with f(-x) = -f(x): it also lets a determinant in front through."""
    x = call.tensor("self").type
    return replace(Type(apply_each([replace(x, sign=())])), sign=x.sign) if x.points is None else function(call)


def even(call: Call) -> Type:
    """A function with f(-x) = f(x): a determinant in front is lost."""
    return function(replace(call, args={k: _unsigned(v) for k, v in call.args.items()}))


def _unsigned(arg: object) -> object:
    return replace(arg, type=replace(arg.type, sign=())) if isinstance(arg, Typed) else arg


def negate(call: Call) -> Type:
    """-x."""
    return times(linear(call.tensor("self"), "its negative"), -1)


def linear(x: Typed, what: str) -> Type:
    """The type of a tensor on which a linear map may act entry by entry."""
    if x.type.points is not None:
        numbers(x.type, what)
    return x.type


def times(t: Type, by: Shift) -> Type:
    """The type of a tensor times a fixed number."""
    return replace(t, axes=tuple(scaled(axis, by) for axis in t.axes))


def number(arg: object) -> Shift | None:
    """A number as an exact one; None if it is none."""
    if isinstance(arg, bool) or arg is None:
        return None
    if isinstance(arg, int | Poly):
        return arg
    return Fraction(arg) if isinstance(arg, float) and abs(arg) < float("inf") else None


def plus(sign: int) -> Rule:
    """x + alpha · y, or x - alpha · y."""

    def rule(call: Call) -> Type:
        x, y = typed_of(call.args["self"]), typed_of(call.args["other"])
        a, b = linear(x, "a sum"), linear(y, "a sum")
        by = number(call.get("alpha", 1))
        if by is None:
            raise Refused("the factor of the second summand is unknown")
        return sum_of(a, times(b, -by if sign < 0 else by))

    return rule


def reversed_minus(call: Call) -> Type:
    """alpha · y subtracted from: y - alpha x."""
    by = number(call.get("alpha", 1))
    if by is None:
        raise Refused("the factor is unknown")
    return sum_of(typed_of(call.args["other"]).type, times(linear(call.tensor("self"), "a difference"), -by))


def sum_of(a: Type, b: Type) -> Type:
    """The type of a sum."""
    if a.points is not None or b.points is not None:
        numbers(a, "a sum")
        numbers(b, "a sum")
    if a.zero and b.zero:
        return Type(together(a, b, "fn"), zero=True)
    if a.zero or b.zero:
        x, y = (a, b) if b.zero else (b, a)
        return Type(together(x, y, "zero"), sign=x.sign)
    if a.sign != b.sign:
        raise Refused(f"a number that changes sign under {', '.join(a.sign + b.sign)} is added to one that does not")
    return Type(together(a, b, "add"), sign=a.sign)


def product_of(a: Type, b: Type) -> Type:
    """The type of a product of entries."""
    if a.points is not None or b.points is not None:
        numbers(a, "a product")
        numbers(b, "a product")
    if a.zero or b.zero:
        x, y = aligned((a, b))
        return Type(tuple(constant(size(p or q)) for p, q in zip(x.axes, y.axes, strict=True)), zero=True)
    return Type(together(a, b, "mul"), sign=tuple(sorted(set(a.sign) ^ set(b.sign))))


def multiply(call: Call) -> Type:
    """x · y."""
    left, right = call.args["self"], call.args["other"]
    for x, y in ((left, right), (right, left)):
        by = number(y)
        if isinstance(x, Typed) and by is not None and not isinstance(y, Typed):
            return times(linear(x, "a multiple"), by) if not (by == 0) else Type(tuple(constant(size(a)) for a in x.axes), zero=True)
    return product_of(typed_of(left).type, typed_of(right).type)


def divide(call: Call) -> Type:
    """x / y; with a rounding mode it is no longer linear."""
    x, y = typed_of(call.args["self"]), typed_of(call.args["other"])
    if call.get("rounding_mode") is not None or y.type.zero:  # infinite numbers are no multiples
        return Type(apply_each([numbers(x.type), numbers(y.type)]))
    by = number(call.args["other"])
    if isinstance(by, int | Fraction) and by != 0:
        return times(linear(x, "a quotient"), Fraction(1) / by)
    for axis in numbers(replace(y.type, sign=()), "a quotient").axes:
        require_entrywise(axis, "division by each entry")
    return replace(product_of(linear(x, "a quotient"), replace(y.type, zero=False)), zero=False)


def power(call: Call) -> Type:
    """x ** p: the square of a vector's coordinates may still be summed."""
    x, p = call.args["self"], call.args["exponent"]
    if isinstance(x, Typed) and p == 2 and not isinstance(p, Typed):
        return product_of(x.type, x.type)
    return function(call)


def squared(call: Call) -> Type:
    """x²."""
    return product_of(call.tensor("self").type, call.tensor("self").type)


def addcmul(call: Call) -> Type:
    """x + value · a · b."""
    return sum_of(linear(call.tensor("self"), "a sum"), product_of(call.tensor("tensor1").type, call.tensor("tensor2").type))


def equal(call: Call) -> Type:
    """x == y, x != y: also of positions on one set."""
    x, y = typed_of(call.args["self"]), typed_of(call.args["other"])
    if x.type.points is not None or y.type.points is not None:
        if x.type.points != y.type.points:
            raise Refused("positions on a set are compared with something else")
        return Type(apply_each([replace(x.type, points=None), replace(y.type, points=None)]))
    return Type(apply_each([numbers(x.type, "a comparison"), numbers(y.type, "a comparison")]))


def choose(condition: Type, x: Type, y: Type) -> Type:
    """The type of what is taken from x where the condition holds, else from y."""
    if x.zero and y.zero:
        return Type(apply_each([numbers(condition), replace(x, zero=False), replace(y, zero=False)]), zero=True)
    if x.zero or y.zero:
        x, y = (x, y) if y.zero else (y, x)
        if x.points is not None:
            raise Refused("positions on a set meet the number 0")
        axes = together(x, y, "or zero")
    else:
        if (x.points, x.sign) != (y.points, y.sign):
            raise Refused(f"a choice between {x} and {y}")
        axes = together(x, y, "pick")
    by = numbers(condition, "a condition")
    return Type(together(Type(axes), by, "by"), points=x.points, sign=x.sign)


def where(call: Call) -> Type:
    """where(condition, x, y)."""
    return choose(call.tensor("condition").type, typed_of(call.args["self"]).type, typed_of(call.args["other"]).type)


def fill(call: Call) -> Type:
    """masked_fill(x, mask, value)."""
    return choose(call.tensor("mask").type, typed_of(call.args["value"]).type, call.tensor("self").type)


def lerp(call: Call) -> Type:
    """x + weight · (y - x)."""
    x, y = linear(call.tensor("self"), "a sum"), linear(call.tensor("end"), "a sum")
    w = typed_of(call.args["weight"]).type
    difference = sum_of(y, times(x, -1))
    return sum_of(x, product_of(difference, w))


def full_like(call: Call) -> list[Typing]:
    """A constant tensor of another's shape."""
    x = call.tensor("self")
    zero = call.op.startswith("aten.zeros") or call.get("fill_value", 1) == 0
    return typed(Type(tuple(constant(size(axis)) for axis in x.axes), zero=zero))


_FUNCTIONS = """relu.default gelu.default silu.default sigmoid.default exp.default exp2.default expm1.default log.default log2.default
log10.default log1p.default sqrt.default rsqrt.default reciprocal.default cos.default softplus.default elu.default leaky_relu.default
hardtanh.default hardsigmoid.default hardswish.default mish.default selu.default celu.default relu6.default logit.default
log_sigmoid.default ceil.default floor.default round.default round.decimals trunc.default frac.default isnan.default isinf.default
isfinite.default logical_not.default bitwise_not.default erfc.default hardshrink.default softshrink.default threshold.default
digamma.default lgamma.default special_expit.default nan_to_num.default acos.default clamp.default clamp.Tensor clip.default clip.Tensor
logical_and.default logical_or.default logical_xor.default max.other min.other bitwise_and.Tensor bitwise_and.Scalar bitwise_or.Tensor
bitwise_or.Scalar
__and__.Tensor __or__.Tensor __xor__.Tensor bitwise_xor.Tensor bitwise_xor.Scalar maximum.default minimum.default fmod.Tensor
fmod.Scalar remainder.Tensor
remainder.Scalar remainder.Scalar_Tensor atan2.default hypot.default _prelu_kernel.default xlogy.Tensor clamp_min.default
clamp_min.Tensor clamp_max.default clamp_max.Tensor floor_divide.default floor_divide.Scalar gt.Tensor gt.Scalar ge.Tensor ge.Scalar
lt.Tensor lt.Scalar le.Tensor le.Scalar addcdiv.default logaddexp.default polygamma.default"""
_ODD = """tanh.default sin.default sinh.default asin.default asinh.default atan.default tan.default erf.default sgn.default sign.default
erfinv.default"""
_SAME = """clone.default alias.default detach.default contiguous.default lift_fresh_copy.default positive.default detach_copy.default
lift_fresh.default alias_copy.default"""
_CASTS = "to.dtype to.device to.dtype_layout to.other _to_copy.default type_as.default to.prim_Device"
_RULES: tuple[tuple[Rule, str], ...] = (
    (function, _FUNCTIONS),
    (odd, _ODD),
    (even, "abs.default cosh.default"),
    (squared, "square.default"),
    (negate, "neg.default negative.default"),
    (plus(1), "add.Tensor add.Scalar"),
    (plus(-1), "sub.Tensor sub.Scalar"),
    (reversed_minus, "rsub.Tensor rsub.Scalar"),
    (multiply, "mul.Tensor mul.Scalar"),
    (divide, "div.Tensor div.Scalar div.Tensor_mode div.Scalar_mode true_divide.Tensor true_divide.Scalar"),
    (power, "pow.Scalar pow.Tensor_Scalar pow.Tensor_Tensor"),
    (equal, "eq.Tensor eq.Scalar ne.Tensor ne.Scalar"),
    (addcmul, "addcmul.default"),
    (lerp, "lerp.Tensor lerp.Scalar"),
    (where, "where.self where.ScalarSelf where.ScalarOther where.Scalar"),
    (fill, "masked_fill.Scalar masked_fill.Tensor"),
    (same, _SAME),
    (cast, _CASTS),
    (full_like, "zeros_like.default ones_like.default full_like.default"),
)

ROWS: dict[str, Rule] = {f"aten.{name}": rule for rule, names in _RULES for name in names.split()}
