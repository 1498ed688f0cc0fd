"""What every box is held to, in one call: ``agree(box, reference)``.

``reference(*inputs, **parameters and state by short name)`` is plain torch code for the same function. A box agrees if

1. the compiled box equals the reference, on several batch shapes;
2. its definition, if it has one, equals the reference too (so the definition and the fused rule agree);
3. ``cl.reverse`` of the box, with torch's kernels and without, equals autograd on the reference;
4. ``cl.lens(box).put`` equals autograd bit for bit in float32 (``bits=True``), or closely;
5. the compiled box runs the same aten ops as the reference, forward and backward.

Comparisons are in float64 to 1e-10. ``draw(batch, generator)`` makes inputs where standard normal ones do not do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

import catlearn as cl
from catlearn.core.term import Box
from catlearn.meanings.build import definition
from tests.aten import recorded

Batch = tuple[int, ...]
BATCHES: tuple[Batch, ...] = ((), (5,), (2, 3), (0,))
TOLERANCE = 1e-10


def agree(box: Any, reference: Callable[..., Any], *, batches: Sequence[Batch] = BATCHES, draw: Any = None, bits: bool = True,
          defined: bool = True, training: bool = True, aten: bool = True) -> None:  # fmt: skip
    """All five checks. ``defined``: the box has a definition; ``bits``: equal to autograd bit for bit; ``training``: the mode."""
    for batch in batches:
        check_forward(box, reference, batch, draw, training)
        if defined:
            check_definition(box, reference, batch, draw)
        check_reverse(box, reference, batch, draw, training)
        check_put(box, reference, batch, draw, training, bits)
    if aten:
        check_aten(box, reference, draw, training)


def sample(space: cl.Space, batch: Batch, generator: torch.Generator, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    """Normal numbers, integers below the bound, fair truth values: one tensor per wire."""
    found = []
    for wire in space:
        shape = (*(batch if wire.batched else ()), *(int(s) for s in wire.shape))  # type: ignore[arg-type]
        if wire.kind == "float":
            found.append(torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype))
        else:
            bound = getattr(wire.bound, "n", wire.bound) if wire.kind == "index" else 2
            drawn = torch.randint(int(bound if bound is not None else 7), shape, generator=generator)  # type: ignore[arg-type]
            found.append(drawn.bool() if wire.kind == "bool" else drawn)
    return found


class Setting:
    """One box with numbers in it: inputs, cotangents, parameters (no longer where they started) and state."""

    def __init__(self, box: Any, batch: Batch, draw: Any = None, dtype: Any = torch.float64, training: bool = True) -> None:
        generator = torch.Generator().manual_seed(len(batch) + 17)
        self.box, self.dtype, self.training = box, dtype, training
        self.model = cl.compile(box, dtype=dtype).train(training)
        with torch.no_grad():
            for p in self.model.parameters():
                p.copy_(torch.randn(p.shape, generator=generator, dtype=torch.float64))
            for b in self.model.buffers():
                if b.is_floating_point():
                    b.copy_(torch.rand(b.shape, generator=generator, dtype=torch.float64) + 0.5)
        self.params = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        self.state = {name: b.detach().clone() for name, b in self.model.named_buffers()}
        xs = draw(batch, generator) if draw is not None else sample(box.dom, batch, generator, dtype)
        self.xs = [x.to(dtype) if x.is_floating_point() else x for x in xs]
        self.dys = sample(cl.tangent(box.cod), batch, generator, dtype)

    def short(self, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Parameters and fresh copies of the state by their short names."""
        values = {**(params or self.params), **{name: s.clone() for name, s in self.state.items()}}
        return {name.rpartition(".")[2]: value for name, value in values.items()}

    def autograd(self, reference: Callable[..., Any]) -> list[torch.Tensor]:
        """Cotangents of the trainable parameters, sorted by name, and of the float inputs: torch's autograd on the reference."""
        params = {name: p.clone().requires_grad_(self.box.params[name].trainable) for name, p in self.params.items()}
        xs = [x.clone().requires_grad_() if x.is_floating_point() else x for x in self.xs]
        ys = [y for y in tuple_of(reference(*xs, **self.short(params))) if y.is_floating_point()]
        wanted = [*(params[n] for n in sorted(params) if params[n].requires_grad), *(x for x in xs if x.requires_grad)]
        pairs = [(y, dy) for y, dy in zip(ys, self.dys, strict=True) if y.requires_grad]
        if not pairs:
            return [torch.zeros_like(w) for w in wanted]
        return list(torch.autograd.grad([y for y, _ in pairs], wanted, [dy for _, dy in pairs], materialize_grads=True))


def check_twice(box: Any, reference: Callable[..., Any], batch: Batch = (3,), draw: Any = None) -> None:
    """The reverse of the reverse is autograd through autograd: RD axioms 6 and 7 rest on second derivatives."""
    s = Setting(box, batch, draw)
    params = {name: p.clone().requires_grad_() for name, p in s.params.items()}
    xs = [x.clone().requires_grad_() if x.is_floating_point() else x for x in s.xs]
    dys = [dy.clone().requires_grad_() for dy in s.dys]
    first = [*(params[name] for name in sorted(params)), *(x for x in xs if x.requires_grad)]
    grads = torch.autograd.grad(tuple_of(reference(*xs, **s.short(params))), first, dys, create_graph=True)
    generator = torch.Generator().manual_seed(1)
    ddz = [torch.randn(g.shape, generator=generator, dtype=g.dtype) for g in grads]
    expected = torch.autograd.grad(grads, [*first, *dys], ddz, materialize_grads=True)
    for fused in (True, False):
        twice = cl.compile(cl.reverse(cl.reverse(box, fused), fused), s.params, dtype=s.dtype)
        with torch.no_grad():
            close(twice(*s.xs, *s.dys, *ddz), expected, f"reverse(reverse({box})), fused={fused}")


def tuple_of(ys: Any) -> tuple[Any, ...]:
    return tuple(ys) if isinstance(ys, tuple | list) else (ys,)


def close(found: Any, expected: Any, what: str, exact: bool = False, tolerance: float = TOLERANCE) -> None:
    """Equal shapes, dtypes and entries, NaNs included."""
    found, expected = tuple_of(found), tuple_of(expected)
    assert len(found) == len(expected), f"{what}: {len(found)} results, {len(expected)} expected"
    for i, (a, b) in enumerate(zip(found, expected, strict=True)):
        assert a.shape == b.shape, f"{what}, result {i}: shape {tuple(a.shape)}, expected {tuple(b.shape)}"
        assert a.dtype == b.dtype, f"{what}, result {i}: {a.dtype}, expected {b.dtype}"
        same = torch.equal(a, b) or (exact and torch.equal(a.isnan(), b.isnan()) and torch.equal(a.nan_to_num(), b.nan_to_num()))
        assert same or (not exact and torch.allclose(a, b, tolerance, tolerance, equal_nan=True)), (
            f"{what}, result {i}: off by up to {(a.double() - b.double()).abs().max().item():.3g}"
        )


def check_forward(box: Any, reference: Callable[..., Any], batch: Batch = (5,), draw: Any = None, training: bool = True) -> None:
    """The compiled box is the reference, and leaves the state that the reference leaves."""
    s = Setting(box, batch, draw, training=training)
    values = s.short()
    with torch.no_grad():
        close(s.model(*s.xs), reference(*s.xs, **values), f"{box} on batch {batch}")
    for name, buffer in s.model.named_buffers():
        close(buffer, values[name.rpartition(".")[2]], f"state {name} on batch {batch}")


def check_definition(box: Any, reference: Callable[..., Any], batch: Batch = (5,), draw: Any = None) -> None:
    """The definition is the reference."""
    assert isinstance(box, Box)
    s, term = Setting(box, batch, draw), definition(box)
    with torch.no_grad():
        found = cl.compile(term)(*s.xs, *(s.params[name] for name in box.params))
        close(found, reference(*s.xs, **s.short()), f"the definition of {box} on batch {batch}")


def check_reverse(box: Any, reference: Callable[..., Any], batch: Batch = (5,), draw: Any = None, training: bool = True) -> None:
    """The reverse, as a term and compiled again, with torch's kernels and without, is autograd."""
    s = Setting(box, batch, draw, training=training)
    expected = s.autograd(reference)
    for fused in (True, False):
        model = cl.compile(cl.reverse(box, fused), s.params, s.state, dtype=s.dtype).train(training)
        with torch.no_grad():
            close(model(*s.xs, *s.dys), expected, f"reverse({box}, fused={fused}) on batch {batch}")


def check_put(box: Any, reference: Callable[..., Any], batch: Batch = (5,), draw: Any = None, training: bool = True,
              exact: bool = True) -> None:  # fmt: skip
    """``put`` in float32 is autograd's gradient, to the last bit where ``exact``."""
    s = Setting(box, batch, draw, torch.float32, training)
    dparams, dxs = cl.lens(box).put(s.params, s.xs, s.dys, s.state or None, None, training)
    found = [*(dparams[name] for name in sorted(dparams)), *(dx for dx in dxs if dx is not None)]
    close(found, s.autograd(reference), f"put of {box} on batch {batch}", exact, 1e-5 * math.sqrt(math.prod(batch) + 1))


def check_aten(box: Any, reference: Callable[..., Any], draw: Any = None, training: bool = True, batch: Batch = (4,)) -> None:
    """The compiled box runs the aten ops of the reference, no more and no others, forward and backward."""
    s = Setting(box, batch, draw, training=training)

    def ops(call: Callable[..., Any], params: dict[str, torch.Tensor]) -> list[str]:
        xs = [x.detach().requires_grad_() if x.is_floating_point() else x for x in s.xs]
        wanted = [*(p for p in params.values() if p.requires_grad), *(x for x in xs if x.requires_grad)]

        def step() -> None:
            ys = [y for y in tuple_of(call(*xs)) if y.requires_grad]
            if ys and wanted:
                torch.autograd.grad(ys, wanted, [torch.ones_like(y) for y in ys], allow_unused=True)

        return recorded(step)

    params = {name: p.clone().requires_grad_(box.params[name].trainable) for name, p in s.params.items()}
    values = s.short(params)
    by_hand = ops(lambda *xs: reference(*xs, **values), params)
    compiled = ops(s.model, dict(s.model.named_parameters()))
    assert compiled == by_hand, f"aten ops of {box}: {compiled}, by hand {by_hand}"
