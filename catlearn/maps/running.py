"""Maps on torch tensors: ``apply`` and ``dense``, with the planned backward pass as torch's derivative.

Plans are made once for each map, number of vectors (rounded to three significant bits) and set of wanted gradients. Under
``torch.compile``, ``torch.func``, forward-mode derivatives and autocast the planned steps run as they are, and torch differentiates them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from catlearn import errors
from catlearn.core.hooks import meaning
from catlearn.maps.affine import Affine
from catlearn.maps.base import Map
from catlearn.maps.given import size, typed
from catlearn.maps.outliving import constant
from catlearn.maps.plan import Plan, plan_of
from catlearn.maps.planner import Builder
from catlearn.maps.program import Compiled, compiled
from catlearn.maps.tape import Tape

KEPT = 64  # plans of one map
MANY = 4096  # what a symbolic number of vectors is planned for


def rounded(tokens: int) -> int:
    """A number of vectors to three significant bits: plans do not change within an eighth."""
    shift = max(0, tokens.bit_length() - 3)
    return (tokens >> shift) << shift


def plan_for(f: Map | Affine, tokens: Any, wanted: tuple[str, ...], with_input: bool) -> Plan:
    """The kept plan, made when first needed. A symbolic number of vectors has the plan of many."""
    tokens = rounded(tokens) if isinstance(tokens, int) else MANY
    plans = vars(f).setdefault("_plans", {})
    key = (tokens, wanted, with_input)
    if (found := plans.get(key)) is None:  # another thread may drop it at any time
        if len(plans) >= KEPT:
            plans.pop(next(iter(plans)), None)
        return plans.setdefault(key, plan_of(f, tokens, None, wanted, with_input))
    return found


class Planned(torch.autograd.Function):
    """y = f(x) with the backward pass of the plan. Its own derivative recomputes from x, the parameters and dy."""

    @staticmethod
    def forward(ctx: Any, plan: Plan, x: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        y, *saved = plan.keeping.function(x, x.shape[0], x, *values)
        ctx.plan = plan
        ctx.save_for_backward(x, *values, *saved)
        return own(y, plan, (x, *values))

    @staticmethod
    def backward(ctx: Any, dy: torch.Tensor) -> Any:  # type: ignore[override]
        plan: Plan = ctx.plan
        tensors = ctx.saved_tensors
        if torch.is_grad_enabled():
            found = plan.back_again(dy, dy.shape[0], *tensors[: len(plan.inputs)], dy)
        else:
            found = plan.back.function(dy, dy.shape[0], *tensors, dy)
        grads = [None if k is None else found[k] if k >= 0 else torch.zeros_like(t) for k, t in zip(plan.places, tensors, strict=False)]
        return (None, *grads)


@constant
def ready(f: Map | Affine) -> bool:
    """Makes f one call that torch's compiler does not look into (the tracer below it does); the compiler runs this as it is."""
    if "_opaque" not in vars(f):
        import torch._dynamo

        def opaque(x: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
            return planned(f, x, values)

        vars(f)["_opaque"] = torch._dynamo.allow_in_graph(opaque)
    return True


def run(f: Map | Affine, x: torch.Tensor, values: Sequence[torch.Tensor], plan: Plan | None = None) -> torch.Tensor:
    """f on x (*batch, *dom), the parameters in the order of ``f.params``; nothing is checked. Noise is drawn where f has it."""
    if isinstance(f, Affine) and f.drops:
        flat = x.reshape((-1, *f.dom))
        values = [*values, *(drop.draw(flat) for drop in f.drops)]
    if plan is None and torch.compiler.is_dynamo_compiling() and ready(f):
        return f._opaque(x, *values)  # type: ignore[union-attr]
    return planned(f, x, values, plan)


def planned(f: Map | Affine, x: torch.Tensor, values: Sequence[torch.Tensor], plan: Plan | None = None) -> torch.Tensor:
    """f on x by a plan, the kept one if none is given; ``values``: the parameters, then the noise."""
    order = x.dim() - len(f.dom)
    batch = x.shape[:order]
    flat = x if order == 1 else x.reshape((math.prod(batch), *f.dom))
    differentiable = torch.is_grad_enabled() and (x.requires_grad or True in [v.requires_grad for v in values])
    watched = special(x)
    if plan is None:
        wanted = tuple([n for n, v in zip(f.params, values, strict=False) if v.requires_grad]) if differentiable else ()
        plan = plan_for(f, flat.shape[0], wanted, differentiable and x.requires_grad)
    if watched:
        y = plan.plain(flat, flat.shape[0], flat, *values)[0]
    elif differentiable:
        y = Planned.apply(plan, flat, *values)
    else:
        y = own(plan.alone(flat, flat.shape[0], flat, *values)[0], plan, (flat, *values))
    return y if order == 1 else y.reshape((*batch, *f.cod))  # type: ignore[union-attr,return-value]


def own(y: torch.Tensor, plan: Plan | None, given: Sequence[torch.Tensor]) -> torch.Tensor:
    """y in memory of its own: what is written into it changes neither the input nor a parameter."""
    if plan is not None and plan.makes:
        return y
    return y.clone() if any(torch._C._is_alias_of(y, v) for v in given) else y  # type: ignore[attr-defined]


def special(x: torch.Tensor) -> bool:
    """Whether something beside autograd watches: the compiler, a transform of torch.func, forward mode, autocast."""
    return (
        torch.compiler.is_compiling()
        or torch._C._are_functorch_transforms_active()
        or torch.autograd.forward_ad._current_level >= 0
        or autocast(x)
    )


def autocast(x: torch.Tensor) -> bool:
    """Whether torch chooses dtypes on x's device."""
    return x.device.type != "meta" and torch.is_autocast_enabled(x.device.type)


def apply(f: Map, x: Any, params: Mapping[str, Any] | None = None, plan: Plan | None = None) -> torch.Tensor:
    """f on x (*batch, *dom) → (*batch, *cod). Raises ``BadMap`` for a wrong shape or dtype, missing or unknown parameters."""
    if not isinstance(x, torch.Tensor) or not x.is_floating_point():
        given = f"dtype {x.dtype}" if isinstance(x, torch.Tensor) else type(x).__name__
        raise errors.BadMap(f"{typed(f)} applied to no tensor of real numbers", [f"given  {given}"], "convert it, e.g. x.float()")
    if x.dim() < len(f.dom) or tuple(x.shape[x.dim() - len(f.dom) :]) != f.dom:
        raise errors.BadMap(
            f"{typed(f)} applied to a tensor of another shape",
            [f"given  {tuple(x.shape)}", f"needed (*batch{''.join(f', {n}' for n in f.dom)})"],
        )
    if plan is not None and plan.map is not f and plan.map != f:
        raise errors.BadMap("this plan is of another map", [typed(plan.map), typed(f)])
    values = checked(f, params, x.dtype, x.device)
    if plan is not None:
        missing = [n for n, v in zip(f.params, values, strict=True) if v.requires_grad and plan.params[n] not in plan.wanted]
        if missing or (x.requires_grad and plan.x not in plan.wanted):
            raise errors.BadMap(f"this plan has no gradient of {', '.join(missing) or 'x'}", ["the parameter is not trainable in the map"])
    return run(f, x, values, plan)


def checked(f: Map, params: Mapping[str, Any] | None, dtype: Any = None, device: Any = None) -> list[torch.Tensor]:
    """The parameters in the order of ``f.params``; by default what they start from."""
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise errors.BadMap(f"{typed(f)} in {dtype}", ["needed: a dtype of real numbers, such as torch.float64"])
    if params is not None and not isinstance(params, Mapping):
        raise errors.BadMap(f"parameters of {typed(f)}", [f"given  {type(params).__name__}", "needed a mapping, name → tensor"])
    if params is None:
        fresh = meaning("fresh")(f.params, dtype=dtype)
        return [v.to(device) for v in fresh.values()]
    missing, unknown = [n for n in f.params if n not in params], [n for n in params if n not in f.params]
    rows = [f"missing: {n}, of shape {f.params[n].wire.shape}" for n in missing] + [f"not a parameter: {n}" for n in unknown]
    for name, param in f.params.items():
        value = params.get(name)
        if name in missing:
            continue
        if not isinstance(value, torch.Tensor) or tuple(value.shape) != param.wire.shape:
            rows.append(f"{name}: given {tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__}, "
                        f"needed a tensor {param.wire.shape}")  # fmt: skip
        elif not value.is_floating_point():
            rows.append(f"{name}: given {value.dtype}, needed real numbers")
        elif dtype is not None and value.dtype != dtype and not autocast(value):
            rows.append(f"{name}: given {value.dtype}, needed {dtype}{' as the input has' if device is not None else ''}")
        elif device is not None and value.device != device:
            rows.append(f"{name}: given on {value.device}, needed on {device} as the input is")
    if rows:
        raise errors.BadMap(f"these parameters do not fit {typed(f)}", rows, f"its parameters are {', '.join(f.params) or 'none'}")
    return [params[name] for name in f.params]


def writing(f: Map) -> tuple[Compiled, Compiled]:
    """The matrix as a function of the parameters: differentiable, and not."""
    if "_writing" not in vars(f):
        tape = Tape()
        inputs = [tape.param(name, tuple(int(n) for n in p.wire.shape)) for name, p in f.params.items()]  # type: ignore[arg-type]
        out = tape.reshape(Builder(tape).matrix(f), (size(f.cod), size(f.dom)))
        vars(f)["_writing"] = compiled(tape, inputs, [out]), compiled(tape, inputs, [out], accumulate=True)
    return vars(f)["_writing"]


def dense(f: Map, params: Mapping[str, Any] | None = None, dtype: Any = None) -> torch.Tensor:
    """The matrix (prod cod, prod dom). Without parameters and dtype it has torch's default dtype."""
    values = checked(f, params, dtype)
    if len({(v.dtype, v.device) for v in values}) > 1:
        rows = [f"{name}: {v.dtype} on {v.device}" for name, v in zip(f.params, values, strict=True)]
        raise errors.BadMap(f"the parameters of {typed(f)} have several dtypes or devices", rows, "convert them to one")
    like = values[0] if values else torch.empty(0, dtype=dtype)
    differentiable = torch.is_grad_enabled() and any(v.requires_grad for v in values)
    found = writing(f)[0 if differentiable or special(like) else 1](like, 1, *values)[0]
    found = found if differentiable else own(found, None, values) if values else found.clone()
    return found.contiguous()  # row-major in memory too, as torch.kron and others want it
