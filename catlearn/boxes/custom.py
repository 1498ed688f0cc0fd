"""A user's own box, and an opaque ``nn.Module`` as one box: ``cl.box`` and ``cl.from_module``.

A box needs a name, its wires and a torch rule; everything else answers by itself: its reverse is torch's autograd on this box alone,
unless it has a ``definition`` in terms of other boxes or a ``vjp`` of its own. Only with a definition has it an exact meaning.

>>> import catlearn as cl, torch
>>> swish = box("swish", cl.R(3), cl.R(3), torch=lambda x, beta: x * torch.sigmoid(beta * x), params={"beta": cl.R(3)})
>>> net = cl.linear(cl.R(2), cl.R(3)) >> swish
>>> list(cl.compile(net).state_dict())
['linear.weight', 'linear.bias', 'swish.beta']
>>> double = box("double", cl.R(3), cl.R(3), torch="{x0} + {x0}", definition=lambda o, x: o.add(x, x))
>>> double(torch.ones(3))
tensor([2., 2., 2.])
"""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch as pytorch

from catlearn import errors
from catlearn.boxes.checked import Checked
from catlearn.core.op import Fused, Init, Op, Param
from catlearn.core.spaces import Axis, Space, Wire
from catlearn.core.term import Box, Term

Specs = tuple[tuple[str, Param], ...]


@dataclass(frozen=True)
class Custom(Op):
    """A function of the user's own, or a torch module as it is.

    ``rule`` is called with the data, then parameters and state by name, and ``training`` if it takes it.
    """

    key = "box"
    keeps_roles = True
    title: str
    dom: Space
    cod: Space
    rule: Callable[..., Any] | str
    own: Specs = ()
    kept: Specs = ()
    kind: str = "pure"
    define: Callable[..., Any] | None = None
    pull: Callable[..., Any] | None = None
    takes_training: bool = False
    draws: bool = False  # type: ignore[override]  # whether a stateful one also draws random numbers

    @property
    def name(self) -> str:
        return self.title

    @property
    def effect(self) -> str:  # type: ignore[override]
        return self.kind

    @property
    def param_names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.own)

    @property
    def state_names(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(name for name, _ in self.kept)

    @property
    def definition(self) -> Any:  # type: ignore[override]
        return self.define

    @property
    def vjp(self) -> Any:  # type: ignore[override]
        return self.pull

    @cached_property
    def checked(self) -> Checked:
        """The function as generated code calls it; for an expression, ``run`` with a function of it."""
        rule: Any = self.rule
        return Checked(self.title, rule, self.dom, self.cod, self.param_names)

    def infer(self, dom: Space) -> Space:
        if dom != self.dom:
            raise errors.BadBox(self.title, dom, str(self.dom))
        return self.cod

    def parameters(self, dom: Space) -> dict[str, Param]:
        return dict(self.own)

    def state(self, dom: Space) -> dict[str, Param]:
        return dict(self.kept)

    def torch(self, e: Any, *args: str) -> str:
        names = dict(zip((*self.param_names, *self.state_names), args[len(self.dom) :], strict=True))
        if isinstance(self.rule, str):
            return self.expression(e, self.rule, args, names)
        plain = [f"{name}={text}" for name, text in names.items() if name.isidentifier()]
        odd = ", ".join(f"{name!r}: {text}" for name, text in names.items() if not name.isidentifier())
        function = e.object(self.title, self.checked)
        texts = [*args[: len(self.dom)], *plain, *([f"**{{{odd}}}"] if odd else []), *([f"training={e.training}"] * self.takes_training)]
        if (self.draws or self.effect == "random") and e.keyed:
            return f"seeded({', '.join(['key', repr(e.node.name), function, *texts])})"
        return f"{function}({', '.join(texts)})"

    def expression(self, e: Any, rule: str, args: tuple[str, ...], names: Mapping[str, str]) -> str:
        """The rule as a function of data and parameters, which ``Checked`` runs; state is used where it lies."""
        count = len(self.dom)
        local = [f"x{i}" for i in range(count)] + [f"p{i}" for i in range(len(self.own))]
        inside = {**names, **dict(zip([*(f"x{i}" for i in range(count)), *self.param_names], local, strict=True))}
        text = rule.format(**inside, training=e.training)
        given = ", ".join([f"lambda {', '.join(local)}: {text}", *args[: len(local)]])
        return f"{e.object(self.title, self.checked)}.run({given})"

    # -- backward: autograd keeps the history of this box's run --------------------------------------------------

    @property
    def fused(self) -> tuple[Fused, ...]:  # type: ignore[override]
        if self.pull is not None or self.define is not None:
            return ()
        dys = [f"dy{i}" for i in range(sum(wire.kind == "float" for wire in self.cod))]
        texts = "".join(f"{{{dy}}}, " for dy in dys)
        floats = [f"x{i}" for i, wire in enumerate(self.dom) if wire.kind == "float"]
        floats += [name for name, param in self.own if param.wire.kind == "float"]
        back = f"{{history}}.back(({texts}), {{mask}})"
        return (Fused(" ".join([*dys, "history"]), " ".join(floats), back if len(floats) > 1 else f"{back}[0]"),) if dys and floats else ()

    def saved(self, dom: Space) -> dict[str, Wire]:
        return {"history": Wire((), "index", None, "parameter")}

    def torch_saving(self, e: Any, *args: str) -> str:
        count = len(self.dom) + len(self.own)
        names = [f"a{i}" for i in range(count)]
        inner = self.torch(e, *names, *args[count:])
        return f"remember(lambda {', '.join(names)}: {inner}, ({''.join(f'{a}, ' for a in args[:count])}), {self.title!r})"

    def attributes(self) -> dict[str, Any]:
        return {"name": self.title, "dom": self.dom, "cod": self.cod}

    def __str__(self) -> str:
        return self.title


def box(name: str, dom: Space, cod: Space, torch: Callable[..., Any] | str, params: Mapping[str, Space | Param] | None = None,
        state: Mapping[str, Space | Param] | None = None, effect: str | None = None, definition: Callable[..., Any] | None = None,
        vjp: Callable[..., Any] | None = None) -> Term:  # fmt: skip
    """A box of your own, ``dom → cod``.

    ``torch`` is a function of tensors ``(*batch, *event)``, one per wire of dom, and of the parameters and state by keyword; it returns
    a tensor, or a tuple if cod has several wires. Or it is an expression with ``{x0}``, ``{x1}``, ``{<parameter>}`` in it. It may take
    ``training``. State is changed in place. A parameter given as a space starts uniform within ±1/√(its last size).
    ``effect`` is ``"pure"``, ``"random"`` or ``"stateful"`` (the default if there is state).
    ``definition(o, *xs, *params)`` and ``vjp(o, args, outs, douts)`` are written over ``Ops``. Raises ``BadBox``.
    """
    own = tuple((short, _param(name, short, p)) for short, p in (params or {}).items())
    kept = tuple((short, _param(name, short, p, Init("constant", (0.0,)))) for short, p in (state or {}).items())
    effect = effect or ("stateful" if kept else "pure")
    if effect not in ("pure", "random", "stateful") or bool(kept) != (effect == "stateful"):
        raise errors.BadBox(name, f"effect={effect!r}, state {[short for short, _ in kept]}", "pure, random, or stateful with state")
    takes = _check_rule(name, torch, len(dom), [short for short, _ in (*own, *kept)])
    return Box(Custom(name, dom, cod, torch, own, kept, effect, definition, vjp, takes), dom)


def _param(box: str, short: str, given: Space | Param, init: Init | None = None) -> Param:
    param = given if isinstance(given, Param) else None
    space = param.space if param else given
    if not isinstance(space, Space) or len(space) != 1:
        raise errors.BadBox(box, f"{short}={given!r}", "one wire for each parameter", "for example cl.R(3, 4), or cl.Param(cl.R(3), ...)")
    if param is None:
        last = space[0].shape[-1] if space[0].axes else 1
        bound = 1 / math.sqrt(last) if isinstance(last, int) and last else 1.0
        param = Param(space, init or Init("uniform", (-bound, bound)))
    return replace(param, space=space.with_role("parameter"))


def _check_rule(box: str, rule: Any, wires: int, names: list[str]) -> bool:
    """Whether the rule takes ``training``; ``BadBox`` if it cannot be called with these inputs and names."""
    if isinstance(rule, str):
        try:
            rule.format(**{f"x{i}": "" for i in range(wires)}, **dict.fromkeys(names, ""), training="")
        except (KeyError, IndexError, ValueError) as error:
            needed = ", ".join([*(f"{{x{i}}}" for i in range(wires)), *(f"{{{name}}}" for name in names)])
            raise errors.BadBox(box, f"torch={rule!r} ({error})", f"an expression in {needed}") from None
        return False
    if not callable(rule):
        raise errors.BadBox(box, f"torch={rule!r}", "a function of tensors, or an expression as a string")
    try:
        signature = inspect.signature(rule)
    except (ValueError, TypeError):  # torch's built-in functions do not tell
        return False
    takes = "training" in signature.parameters and "training" not in names
    try:
        signature.bind(*[None] * wires, **dict.fromkeys(names), **({"training": True} if takes else {}))
    except TypeError as error:
        needed = f"a function of {wires} tensors{' and ' + ', '.join(names) + ' by keyword' if names else ''}"
        raise errors.BadBox(box, f"torch={getattr(rule, '__name__', rule)}{signature}: {error}", needed) from None
    return takes


class Opaque:
    """A module as a function of its inputs, and of its parameters and buffers by name."""

    def __init__(self, module: pytorch.nn.Module) -> None:
        self.module = copy.deepcopy(module)

    def __call__(self, *xs: Any, training: bool, **tensors: Any) -> Any:
        if self.module.training != training:
            self.module.train(training)
        return pytorch.func.functional_call(self.module, tensors, xs)


def from_module(module: pytorch.nn.Module, dom: Space, cod: Space, name: str | None = None, effect: str | None = None) -> Term:
    """A torch module as one opaque box: its inputs are dom, its outputs cod, with whatever batch axes it can take.

    Parameters and buffers keep their names under the box's name and start from the module's own tensors; frozen ones stay frozen. A
    module with buffers is stateful; with ``effect="pure"`` its buffers are parameters that never learn. One with torch's own dropout or
    ``RReLU`` in it draws random numbers, and so it is random, or both; one that draws others needs ``effect="random"``. The module
    itself is not changed. Raises ``BadBox``.
    """
    title = name or type(module).__name__.lower()
    own = {key: _tensor(p, p.requires_grad) for key, p in module.named_parameters()}
    buffers = {key: _tensor(b, False) for key, b in module.named_buffers()}
    draws = any(_draws(part) for part in module.modules())
    if effect == "pure" and draws:
        raise errors.BadBox(title, "effect='pure' for a module with dropout in it", "effect='random', or a dropout of p=0")
    if effect not in (None, "stateful"):
        own, buffers = {**own, **buffers}, {}
    term = box(title, dom, cod, Opaque(module), own, buffers, effect or ("stateful" if buffers else "random" if draws else "pure"))
    if draws and isinstance(term, Box) and isinstance(term.op, Custom):
        term = replace(term, op=replace(term.op, draws=True))
    return term if name is None else replace(term, name=name)  # type: ignore[type-var]


def _draws(module: pytorch.nn.Module) -> bool:
    """Whether a module of torch's own draws random numbers while training."""
    if isinstance(module, pytorch.nn.modules.dropout._DropoutNd):
        return module.p > 0
    if isinstance(module, pytorch.nn.RReLU):
        return module.lower != module.upper
    return isinstance(module, pytorch.nn.RNNBase | pytorch.nn.MultiheadAttention) and module.dropout > 0


def _tensor(value: pytorch.Tensor, trainable: bool) -> Param:
    """A parameter that starts from this tensor."""
    kind = "float" if value.is_floating_point() else "bool" if value.dtype == pytorch.bool else "index"
    return Param(Space((Wire(tuple(Axis(n) for n in value.shape), kind, None, "parameter"),)), value, trainable)
