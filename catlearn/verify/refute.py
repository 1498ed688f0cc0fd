"""The search for a counterexample: smallest sizes first, generators before random elements, small whole numbers as inputs.

Weights are the module's own, then random ones, since a claim speaks of all of them. Everything is computed in float64 on a copy. A
difference counts if it exceeds what rounding explains: 1000 · eps · scale, with the eps of float32 where the module itself computes in
less than float64. If outputs differ between two runs on the same input, the module is random, and nothing is said.
"""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, product
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from catlearn.core.sizes import Size
from catlearn.core.spaces import Space
from catlearn.symmetry.elements import GroupElement
from catlearn.verify.claims import act, elements, example, symbols

SIZES, SEEDS, TRIALS, SHRINK = 3, 3, 3, 48


@dataclass(frozen=True)
class Counterexample:
    """A group element, inputs, and two outputs that should be equal: of the moved input, and the moved output."""

    element: GroupElement
    sizes: Mapping[str, int]
    inputs: tuple[torch.Tensor, ...]
    moved: tuple[torch.Tensor, ...]
    output: int
    of_moved: torch.Tensor
    moved_output: torch.Tensor
    weights: str
    space: Space = field(repr=False)

    @property
    def difference(self) -> float:
        """The largest entry by which the two outputs differ."""
        return float((self.of_moved - self.moved_output).abs().max())

    def __str__(self) -> str:
        at = "".join(f", {name} = {n}" for name, n in self.sizes.items())
        rows = [f"g = {self.element}{at}; {self.weights}"]
        rows += [f"x{_nth(i, self.inputs)} = {_short(x)}" for i, x in enumerate(self.inputs)]
        rows += [f"f(g · x){_nth(self.output, self.inputs)} = {_short(self.of_moved)}", f"g · f(x) = {_short(self.moved_output)}"]
        return "\n".join([*rows, f"they differ by {self.difference:.3g}"])

    def script(self) -> str:
        """Five lines that show it, for a module or function ``f``; they print f(g · x) and g · f(x)."""
        xs, moved = (", ".join(_literal(x) for x in tensors) for tensors in (self.inputs, self.moved))
        seeded = self.weights.startswith("random")
        made = [f"torch.manual_seed({self.weights.split()[-1]}); [p.data.normal_() for p in f.parameters()]"] if seeded else []
        return "\n".join(["import torch", "f = f.double() if isinstance(f, torch.nn.Module) else f", *made,
                          f"out = lambda y: list(y.values() if isinstance(y, dict) else y if isinstance(y, tuple) else [y])[{self.output}]",
                          f"print(out(f({moved})))",
                          f"print({_literal(self.moved_output)})  # g · f(x), where f(x) = out(f({xs}))"])  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """A counterexample if one was found, how many comparisons were made, and whether time was up before all of them were."""

    found: Counterexample | None
    compared: int
    cut: bool = False


def refutation(f: Callable[..., Any], dom: Space, cod: Space, batch: Sequence[Size], lower: bool = False, trials: int = TRIALS,
               whole: bool = True, seconds: float | None = None) -> Outcome:  # fmt: skip
    """The search for a counterexample. ``lower``: f computes in less than float64 somewhere; ``trials``: random elements tried;
    ``whole``: small whole numbers are tried as well, in which there are ties; ``seconds``: how long it may take, None for no limit."""
    compared, until = 0, float("inf") if seconds is None else time.monotonic() + seconds
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]), torch.no_grad():
        warnings.simplefilter("ignore")
        for sizes in _sizes(dom, batch):
            for seed in range(SEEDS) if whole else range(1, 4 * SEEDS):
                for model, weights in _models(f, seed):
                    outcome = _Trial(model, weights, dom, cod, sizes, lower, until).run(batch, seed, trials)
                    compared += outcome.compared
                    if outcome.found is not None or outcome.cut:
                        return replace(outcome, compared=compared)
    return Outcome(None, compared)


def _sizes(dom: Space, batch: Sequence[Size]) -> Iterator[dict[str, int]]:
    found = symbols(dom, batch)
    rows = sorted(product(range(SIZES), repeat=len(found)), key=sum)
    for row in islice(rows, 2 * SIZES**2):
        yield {d.name: max(d.min, 1) + k for d, k in zip(found, row, strict=True)}


def _models(f: Callable[..., Any], seed: int) -> Iterator[tuple[Callable[..., Any], str]]:
    if not isinstance(f, nn.Module):
        yield f, "no weights"
        return
    try:
        model = copy.deepcopy(f).double()
        for p in (*model.parameters(), *model.buffers()):
            if p.is_complex():  # double() leaves these as they are
                p.data = p.data.to(torch.complex128)
    except Exception:  # a module that cannot be copied is not touched
        return
    yield model, "its own weights"
    if not any(True for _ in model.parameters()):
        return
    torch.manual_seed(seed)
    for p in model.parameters():
        p.data.normal_()
    yield model, f"random weights, seed {seed}"


def outputs(y: Any) -> list[torch.Tensor]:
    """The tensors of a module's result, in the order in which they are flattened."""
    return [t for t in tree_leaves(y) if isinstance(t, torch.Tensor)]


def _run(f: Callable[..., Any], xs: Sequence[torch.Tensor], seed: int) -> list[torch.Tensor] | None:
    state = [b.clone() for b in f.buffers()] if isinstance(f, nn.Module) else []
    torch.manual_seed(seed)
    try:
        found = [y.clone() for y in outputs(f(*xs))]
    except Exception:  # whatever the user's code raises: on this input there is nothing to compare
        return None
    if isinstance(f, nn.Module):
        for b, kept in zip(f.buffers(), state, strict=True):
            b.copy_(kept)
    return found


@dataclass(frozen=True)
class _Trial:
    """One copy of the network, with its weights, at some sizes."""

    f: Callable[..., Any]
    weights: str
    dom: Space
    cod: Space
    sizes: dict[str, int]
    lower: bool
    until: float = float("inf")

    def run(self, batch: Sequence[Size], seed: int, trials: int) -> Outcome:
        """Tries one input under many elements."""
        for dtype in (torch.float64, torch.float32):  # a function may hold weights that are not double
            trial = self if dtype == torch.float64 else replace(self, lower=True)
            xs = [example(wire, batch, self.sizes, seed + i, dtype, whole=seed == 0) for i, wire in enumerate(self.dom)]
            first, again = _run(self.f, xs, 0), _run(self.f, xs, 1)
            if first is not None and again is not None:
                steady = all(torch.equal(a, b) for a, b in zip(first, again, strict=True) if torch.isfinite(a).all())
                return trial.over(xs, trials) if steady else Outcome(None, 0)
        return Outcome(None, 0)

    def over(self, xs: Sequence[torch.Tensor], trials: int) -> Outcome:
        """All elements on one input, the simplest first."""
        compared = 0
        for kind, g in elements(self.dom, self.sizes, trials):
            if time.monotonic() >= self.until:
                return Outcome(None, compared, cut=True)
            found = self.differs(xs, kind, g)
            compared += found is not None
            if isinstance(found, Counterexample):
                return Outcome(self.shrunk(found, kind), compared)
        return Outcome(None, compared)

    def differs(self, xs: Sequence[torch.Tensor], kind: str, g: GroupElement) -> Counterexample | bool | None:
        """A counterexample; False if the two sides agree; None if they could not be compared."""
        moved = act(g, kind, self.dom, self.sizes, xs)
        ys, zs = _run(self.f, xs, 0), _run(self.f, moved, 0)
        if ys is None or zs is None or len(ys) != len(self.cod):
            return None
        wanted = act(g, kind, self.cod, self.sizes, ys)
        eps = torch.finfo(torch.float32 if self.lower else torch.float64).eps
        agreed = None
        for k, (a, b) in enumerate(zip(zs, wanted, strict=True)):
            if a.shape != b.shape or not (torch.isfinite(a).all() and torch.isfinite(b).all()):
                continue
            agreed = False
            a, b = a.double(), b.double()
            scale = max([1.0, *(float(x.double().abs().max()) for x in (a, b, *moved) if x.numel())])
            if a.numel() and float((a - b).abs().max()) > 1e3 * eps * scale:
                return Counterexample(g, self.sizes, tuple(xs), tuple(moved), k, a, b, self.weights, self.dom)
        return agreed

    def shrunk(self, found: Counterexample, kind: str) -> Counterexample:
        """The same with as many zeros, then ones, in the inputs as it bears."""
        tried = 0
        places = [(i, j) for i, x in enumerate(found.inputs) if x.is_floating_point() for j in range(x.numel())]
        for (i, j), value in product(places, (0.0, 1.0)):
            xs = [x.clone() for x in found.inputs]
            if tried >= SHRINK or time.monotonic() >= self.until or float(xs[i].view(-1)[j]) in (0.0, value):
                continue
            tried += 1
            xs[i].view(-1)[j] = value
            smaller = self.differs(xs, kind, found.element)
            found = smaller if isinstance(smaller, Counterexample) else found
        return found


def _nth(i: int, row: Sequence[Any]) -> str:
    return f"[{i}]" if len(row) > 1 else ""


def _short(x: torch.Tensor) -> str:
    if x.numel() > 24:
        return f"a tensor of shape {tuple(x.shape)}, {x.flatten()[:4].tolist()} …"
    return str(_rounded(x.tolist()))


def _rounded(x: Any) -> Any:
    return [_rounded(v) for v in x] if isinstance(x, list) else round(x, 4) if isinstance(x, float) else x


def _literal(x: torch.Tensor) -> str:
    return f"torch.tensor({x.tolist()}, dtype={x.dtype})"


__all__ = ["Counterexample", "Outcome", "outputs", "refutation"]
