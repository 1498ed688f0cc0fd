"""``Factors``: a change of low rank as two matrices, and its algebra; what adapters of a model change, read and put back as such.

Laws, with ΔW = B·A written out only to check them: ``(f + g)`` concatenates the ranks and is the sum of the changes, without cross terms;
``n * f`` is n times the change; ``f.rebased(Q, P)`` is Q·ΔW·P; ``f.compressed(r)`` is the best change of rank r in the Frobenius norm,
found from two QRs and one SVD of a small matrix (Eckart and Young, 1936). No function here forms a matrix of the weight's size.

>>> import torch
>>> f, g = Factors(torch.ones(3, 1), torch.ones(1, 4)), Factors(torch.ones(3, 1), -torch.ones(1, 4))
>>> (f + 2 * g).rank, bool((f + g).compressed().dense().abs().max() < 1e-6), (f + g).compressed().rank
(2, True, 1)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from catlearn import errors
from catlearn.adapters.adapting import fits, known, put, some
from catlearn.adapters.definition import Place
from catlearn.adapters.expressions import Expression
from catlearn.adapters.low_rank import LoRA
from catlearn.adapters.rewriting import change, is_base
from catlearn.adapters.sites import candidates, full
from catlearn.adapters.slots import VIEWS, Acting, Slot
from catlearn.adapters.switching import activate
from catlearn.maps.algebra import scaled
from catlearn.maps.base import Map
from catlearn.maps.combine import Scaled, Sum
from catlearn.maps.low_rank import factors as factored
from catlearn.maps.planner import Builder
from catlearn.maps.program import Compiled, compiled
from catlearn.maps.tape import Tape

Numbers = str | Sequence[str] | Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Factors:
    """ΔW = B·A with B (\\*n, out, r) and A (\\*n, r, in); \\*n counts the matrices of a stack. Raises ``BadAdapter`` for other shapes."""

    B: torch.Tensor
    A: torch.Tensor

    def __post_init__(self) -> None:
        b, a = tuple(self.B.shape), tuple(self.A.shape)
        if len(b) < 2 or len(a) < 2 or b[-1] != a[-2] or b[:-2] != a[:-2] or not b[-1]:
            raise errors.BadAdapter("these are no factors of a change", [f"B {b}", f"A {a}"], "B is (out, rank), A is (rank, in)")

    @property
    def rank(self) -> int:
        """The number of columns of B, which the rank of the change does not exceed."""
        return self.B.shape[-1]

    def dense(self) -> torch.Tensor:
        """The change written out."""
        return self.B @ self.A

    def __add__(self, other: Factors) -> Factors:
        """The sum of both changes: the ranks side by side."""
        return Factors(torch.cat([self.B, other.B], -1), torch.cat([self.A, other.A], -2))

    def __mul__(self, number: float) -> Factors:
        return replace(self, B=number * self.B)

    __rmul__ = __mul__

    def rebased(self, outputs: torch.Tensor | None = None, inputs: torch.Tensor | None = None) -> Factors:
        """``outputs · ΔW · inputs``: the change of a layer W whose weight became ``outputs · W · inputs``."""
        for side, t, n in (("outputs", outputs, self.B.shape[-2]), ("inputs", inputs, self.A.shape[-1])):
            if t is not None and (t.dim() != 2 or t.shape[-1 if side == "outputs" else 0] != n):
                raise errors.BadAdapter(f"a change of base of shape {tuple(t.shape)} on the {side}", [f"the layer has {n}"],
                                        "the result is outputs · ΔW · inputs")  # fmt: skip
        return Factors(self.B if outputs is None else outputs.to(self.B) @ self.B, self.A if inputs is None else self.A @ inputs.to(self.A))

    def values(self) -> torch.Tensor:
        """The singular values of the change, largest first, (\\*n, k) with k = min(out, in, rank)."""
        return self._parts()[1]

    def compressed(self, rank: int | None = None, tolerance: float = 0.0) -> Factors:
        """The nearest change of this rank. Without a rank: all singular values above ``tolerance`` times the largest, or above rounding.

        The squared distance is the sum of the squares of the values left out (``values``).
        """
        if rank is not None and (not isinstance(rank, int) or isinstance(rank, bool) or rank < 1):
            raise errors.BadAdapter(f"rank {rank!r}", next="a rank of at least 1, or None")
        U, s, V = self._parts()
        size, eps = max(U.shape[-2], V.shape[-1]), torch.finfo(self.B.dtype).eps
        lost = size * torch.finfo(s.dtype).eps * self.B.detach().double().norm(dim=(-2, -1)) * self.A.detach().double().norm(dim=(-2, -1))
        least = torch.maximum(max(tolerance, size * eps) * s[..., :1], lost[..., None])  # what cancels leaves rounding behind
        kept = max(1, int((s > least).sum(-1).max())) if rank is None else min(rank, s.shape[-1])
        root = s[..., :kept].sqrt()
        return Factors((U[..., :kept] * root[..., None, :]).to(self.B), (root[..., None] * V[..., :kept, :]).to(self.A))

    def _parts(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """U, the singular values and Vᵀ of B·A: of the product of two triangles, in double precision."""
        Q, R = torch.linalg.qr(self.B.detach().double())
        P, S = torch.linalg.qr(self.A.detach().double().mT)
        U, s, V = torch.linalg.svd(R @ S.mT, full_matrices=False)
        return Q @ U, s, V @ P.mT


# -- of a model --------------------------------------------------------------------------------------------------------


def factors(model: nn.Module, numbers: Numbers = "default") -> dict[str, Factors]:
    """What adapters add to each layer's weight (as a matrix, out × in), as factors: one name, a stack of names, or a sum with numbers.

    Raises ``NothingMatched`` for an unknown name, ``BadAdapter`` where the change is no sum of chains through a smaller space, or the
    bias changes too: ``activate`` sums such adapters exactly, without factors.

    >>> import torch, catlearn as cl
    >>> layer = cl.adapt(torch.nn.Linear(6, 5), cl.adapters.LoRA(rank=2), name="a")
    >>> layer = cl.adapt(layer, cl.adapters.AdaLoRA(rank=1), name="b")
    >>> cl.adapters.factors(layer, {"a": 0.5, "b": 2.0})[""].rank
    3
    """
    given = [(numbers, None)] if isinstance(numbers, str) else [(n, None) for n in numbers]
    if isinstance(numbers, Mapping):
        given = [(n, float(k)) for n, k in numbers.items()]
    known(model, [name for name, _ in given])
    paths = {full(site): site for site in candidates(model)}
    found: dict[str, Factors] = {}
    for path, slot in some(model):
        if slot.merged:
            raise errors.BadMerge("the adapters of this model are merged", next="cl.unmerge(model) first")
        act = slot.of(tuple((n, k) for n, k in given if n in slot))
        if act is not None:
            site = paths[path]
            found[site.name] = of_slot(slot, act, site.tensor, path)
    return found


def of_slot(slot: Slot, act: Acting, raw: torch.Tensor, path: str) -> Factors:
    """The factors of an expression at one place."""
    e = act.expression
    read = reading(e)
    if read is None or not e.keeps_bias or e.fewer:
        rows = [f"the weight is {e.weight}", f"the bias is {e.bias}"]
        raise errors.BadAdapter(f"the change of {path or 'the layer'} has no factors", rows,
                                "cl.adapters.activate(model, {name: number}) sums any adapters exactly")  # fmt: skip
    there = VIEWS[slot.view][0]
    with torch.no_grad():
        each = [None] if slot.experts is None else range(slot.experts)
        pairs = []
        for k in each:
            W = there(raw if k is None else raw[k])
            out = read(raw, 1, *slot.tensors(act, e.keys, W, None, k))
            pairs.append((torch.cat(out[: len(out) // 2], 1), torch.cat(out[len(out) // 2 :], 0)))
        B, A = (pairs[0][s] if slot.experts is None else torch.stack([p[s] for p in pairs]) for s in (0, 1))
    return Factors(B.clone(), A.clone())


def reading(e: Expression) -> Compiled | None:
    """The function of an expression's parameters that gives all B and then all A of its change; None if it has none."""
    added = None if is_base(e.weight) else change(e.weight)
    if added is None:
        return None
    tape = Tape()
    inputs = [tape.param(name, tuple(int(n) for n in p.wire.shape)) for name, p in e.weight.params.items()]  # type: ignore[arg-type]
    builder = Builder(tape)
    pairs = [factored(builder, part) for part in flat(added)]
    if any(pair is None for pair in pairs):
        return None
    return compiled(tape, inputs, [pair[s] for s in (0, 1) for pair in pairs if pair is not None])


def flat(f: Map) -> list[Map]:
    """The summands of a map, numbers taken inside."""
    if isinstance(f, Scaled) and isinstance(f.of, Sum):
        return [part for g in f.of.maps for part in flat(scaled(f.factor, g))]
    return [part for g in f.maps for part in flat(g)] if isinstance(f, Sum) else [f]


def put_factors(model: nn.Module, found: Mapping[str, Factors], name: str) -> nn.Module:
    """Changes by layer as one adapter of this name, a LoRA of scale 1 whose rank is each layer's own; it alone acts afterwards.

    Nothing else is thrown away or frozen. Raises ``NothingMatched`` and ``BadAdapter`` as ``cl.adapt`` does; then nothing has changed.

    >>> import torch, catlearn as cl
    >>> layer = put_factors(torch.nn.Linear(3, 2), {"": Factors(torch.ones(2, 1), torch.ones(1, 3))}, "ones")
    >>> cl.adapters.active(layer)
    {'weight': (('ones', None),)}
    """
    sites = {site.name: site for site in candidates(model)}
    if strange := [layer for layer in found if layer not in sites]:
        raise errors.NothingMatched(strange[0], list(sites), "layer")
    for layer, f in found.items():
        o, i, experts = sites[layer].sizes(True)
        wanted = ((experts,) if experts else (), o, i)
        if (tuple(f.B.shape[:-2]), f.B.shape[-2], f.A.shape[-1]) != wanted:
            raise errors.BadAdapter(f"factors {tuple(f.B.shape)} and {tuple(f.A.shape)} on {layer}", [f"the layer is {i} → {o}"])
        fits(sites[layer], LoRA(f.rank), Place(o, i), name)
    ranks: dict[int, set[str]] = {}
    for layer, f in found.items():
        ranks.setdefault(f.rank, set()).add(layer)
    for rank, layers in ranks.items():
        put(model, LoRA(rank), lambda path, _, layers=layers: path in layers, name, "none", 0, {})
    held = {site.name: slot for site in candidates(model) for path, slot in some(model) if path == full(site)}
    with torch.no_grad():
        for layer, f in found.items():
            cell = held[layer].cell(name)
            cell.A.copy_(f.A)  # type: ignore[union-attr,operator]
            cell.B.copy_(f.B)  # type: ignore[union-attr,operator]
    return activate(model, name)


def concatenate(model: nn.Module, numbers: Numbers, name: str, rank: int | None = None, **bases: Mapping[str, Any]) -> nn.Module:
    """Adapters of low rank as one: ΔW is exactly Σ nₖ ΔWₖ, its rank the sum of the ranks, or at most ``rank`` (the nearest such change).

    ``outputs``, ``inputs``: layer → matrix, a change of base Q·ΔW·P for a model whose layer became Q·W·P. The new adapter alone acts
    afterwards. A sum of ranks above min(out, in) is re-factored, which loses nothing. Raises ``BadAdapter``, ``NothingMatched``.

    >>> import torch, catlearn as cl
    >>> layer = torch.nn.Linear(6, 5)
    >>> for k in "ab":
    ...     _ = torch.nn.init.ones_(cl.adapt(layer, cl.adapters.LoRA(rank=2), name=k).adapters.weight[k].B)
    >>> y = cl.adapters.activate(layer, {"a": 0.5, "b": 0.5})(torch.ones(6))
    >>> layer = cl.adapters.concatenate(layer, {"a": 0.5, "b": 0.5}, "both")
    >>> layer.adapters.weight.both.adapter.rank, torch.allclose(layer(torch.ones(6)), y, atol=1e-5)
    (4, True)
    """
    if strange := sorted(set(bases) - {"outputs", "inputs"}):
        raise errors.BadAdapter(f"no such option: {', '.join(strange)}", ["there are rank, outputs, inputs"])
    numbers = dict.fromkeys([numbers] if isinstance(numbers, str) else numbers, 1.0) if not isinstance(numbers, Mapping) else numbers
    found = factors(model, numbers)
    for layer in {key for side in bases.values() for key in side} - set(found):
        raise errors.NothingMatched(layer, list(found), "layer with these adapters")
    for layer, f in found.items():
        f = f.rebased(**{side: given[layer] for side, given in bases.items() if layer in given})
        whole = min(f.B.shape[-2], f.A.shape[-1])
        found[layer] = f if rank is None and f.rank <= whole else f.compressed(whole if rank is None else min(rank, whole))
    return put_factors(model, found, name)
