"""The boxes that a backward pass is made of, beside the forward ones: generic in the op that they are the reverse of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from catlearn import errors
from catlearn.boxes.check import negative
from catlearn.core.op import Fused, Op, Param
from catlearn.core.spaces import Space, Wire


@dataclass(frozen=True)
class Saving(Op):
    """An op that also returns what its backward kernel wants to keep (layer-norm statistics, pooling indices, a dropout mask)."""

    key = "saving"
    of: Op

    def infer(self, dom: Space) -> Space:
        return Space((*self.of.infer(dom).wires, *self.of.saved(dom).values()))

    @property
    def param_names(self) -> tuple[str, ...]:
        return self.of.param_names

    @property
    def state_names(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.of.state_names

    @property
    def effect(self) -> str:  # type: ignore[override]
        return self.of.effect

    @property
    def draws(self) -> bool:  # type: ignore[override]
        return self.of.draws

    @property
    def torch(self) -> Any:  # type: ignore[override]
        return self.of.torch_saving

    def parameters(self, dom: Space) -> dict[str, Param]:
        return self.of.parameters(dom)

    def state(self, dom: Space) -> dict[str, Param]:
        return self.of.state(dom)

    def flops(self, dom: Space, cod: Space) -> Any:
        return self.of.flops(dom, self.of.infer(dom))

    @property
    def name(self) -> str:
        return self.of.name


@dataclass(frozen=True)
class Backward(Op):
    """One torch kernel of the reverse of an op (``Op.fused[part]``): its inputs are what the kernel uses, its outputs cotangents."""

    key = "backward"
    keeps_roles = True
    of: Op
    part: int
    dom: Space  # of the op: data, then parameters
    cod: Space  # the cotangents that the kernel gives
    data: int
    wanted: tuple[bool, ...] = ()

    @property
    def rule(self) -> Fused:
        return self.of.fused[self.part]

    @property
    def keeps_tuple(self) -> bool:  # type: ignore[override]
        return len(self.cod) > 1

    def infer(self, dom: Space) -> Space:
        return self.cod

    def torch(self, e: Any, *args: str) -> str:
        names = dict(zip(self.rule.uses.split(), args, strict=True))
        wanted = self.wanted or (True,) * len(self.cod)
        sizes = [[e.size(s) for s in wire.shape] for wire in self.dom]
        order = len(self.dom[0].axes) if len(self.dom) else 0
        axis = negative([own], order)[0] if isinstance(own := getattr(self.of, "axis", None), int) else None
        more = {"mask": list(wanted), "training": e.training, "sizes": sizes, "size": e.size, "order": order, "axis": axis}
        return self.rule.torch.format(**names, self=self.of, **more)

    def definition(self, o: Any, *args: Any) -> Any:
        names = dict(zip(self.rule.uses.split(), args, strict=True))
        spec = [*(f"x{i}" for i in range(self.data)), *self.of.param_names]
        xs, dys = [names.get(name) for name in spec], [names[k] for k in sorted(names) if k.startswith("dy")]
        ys = [names.get(f"y{i}") for i in range(len(dys))]
        if self.of.vjp is not None:
            grads = self.of.vjp(o, xs, ys, dys)
        else:
            if any(x is None for x in xs) or self.of.definition is None:
                raise errors.NoRule("definition", str(self), "take cl.reverse(f, fused=False): it is made of primitives only")
            from catlearn.core.hooks import meaning

            grads = meaning("vjp")(o, self.of, xs, dys)
        chosen = [grads[spec.index(name)] for name in self.rule.gives.split()]
        for i, (grad, wire) in enumerate(zip(chosen, self.cod, strict=True)):
            if o.wire(grad).batched and not wire.batched:  # a rule speaks of one event; the kernel has summed over the batch
                from catlearn.boxes.reduce import BatchSum

                chosen[i] = o.apply(BatchSum(), grad)
        return chosen[0] if len(chosen) == 1 else tuple(chosen)

    @property
    def name(self) -> str:
        return f"d_{self.of.name}"

    def __str__(self) -> str:
        return f"reverse of {self.of}, in {', '.join(self.rule.gives.split())}"


@dataclass(frozen=True)
class Vjp(Op):
    """The reverse of an op that has neither rule nor definition: torch's autograd on that box alone.

    Inputs are the op's arguments, then the cotangents of its outputs; outputs the cotangents of its float arguments.
    """

    key = "vjp"
    keeps_roles = True
    of: Op
    args: int
    data: int
    cod: Space
    wanted: tuple[int, ...] = ()

    def infer(self, dom: Space) -> Space:
        return self.cod

    def torch(self, e: Any, *args: str) -> str:
        names = [f"a{i}" for i in range(self.args)]
        inner = e.inner(self.of, names, self.data, e.dom)
        xs, dys = ", ".join(args[: self.args]), ", ".join(args[self.args :])
        return f"vjp(lambda {', '.join(names)}: {inner}, ({xs},), ({dys},), {self.wanted})"

    @property
    def keeps_tuple(self) -> bool:  # type: ignore[override]
        return True

    def __str__(self) -> str:
        return f"vjp of {self.of}"


def tangents(wires: tuple[Wire, ...]) -> list[int]:
    """The positions of the wires that have cotangents."""
    return [i for i, wire in enumerate(wires) if wire.kind == "float"]
