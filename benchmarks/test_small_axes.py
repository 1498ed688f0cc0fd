"""Equivariant maps on small axes, where strided views lose: the strategy that is chosen against every other way to compute the same.

Peers, all on the same weights: the dense effective weight by hand (one tensordot with the stacked basis, one linear), diagrams by hand
(every contraction once, one product for each number of crossing axes, sums on diagonals in place), and our own strategies, forced. Of
these the fastest is the one that counts. What a plan knows of a machine are constants, fitted on one: where it takes dense weights or
diagrams though blocks would be faster, it may lose a quarter to them, as on an AVX-512 EPYC at one of these sizes. e3nn's linear map,
where e3nn is installed, is a peer on the spaces that both have.
"""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from benchmarks.compare import compare, spent
from catlearn.diagrams import basis
from catlearn.maps.sums.choose import STRATEGIES, apply, plan
from catlearn.maps.sums.entries import coordinates
from catlearn.maps.sums.family import Element, Family

CASES = [(kind, n, k, l) for kind, n in (("O", 3), ("SO", 3), ("Sp", 4)) for k, l in ((2, 2), (3, 3), (2, 1))]
SIZES = [(64, 16), (4096, 4), (4096, 16)]


def family_of(kind: str, n: int, k: int, l: int) -> Family:
    elements = (tuple(Element(d.deltas, d.arcs, d.coupons) for d in basis(kind, n, *sizes)) for sizes in ((k, l), (0, l)))
    return Family((n,) * k, (n,) * l, *elements)


class HandDense:
    """The basis as one tensor (elements, outputs, inputs), tied to the weight by one tensordot."""

    def __init__(self, family: Family) -> None:
        out, into, owner, values = map(torch.from_numpy, coordinates(family))
        self.basis = torch.zeros(len(family.elements), math.prod(family.outs), math.prod(family.ins))
        self.basis.index_put_((owner, out, into), values.float())
        self.family = family

    def __call__(self, x, weight):
        _, outputs, inputs = self.basis.shape
        _, c_out, c_in = weight.shape
        effective = torch.tensordot(self.basis, weight, dims=([0], [0])).permute(0, 2, 1, 3).reshape(outputs * c_out, inputs * c_in)
        return F.linear(x.reshape(-1, inputs * c_in), effective).reshape(-1, *self.family.outs, c_out)


class HandDiagrams:
    """Pairings (with signs, for Sp) and one cross product (for SO(3)), by hand: stacked features, one product for each crossing number."""

    def __init__(self, family: Family) -> None:
        self.family, self.l = family, family.order_out
        self.groups: dict[int, dict] = {}
        for number, element in enumerate(family.elements):
            pairs = (*element.deltas, *element.arcs)
            tops, bottoms = (tuple(p for p in pairs if side(p[0]) and side(p[1])) for side in (lambda a: a < self.l, lambda a: a >= self.l))
            across = sorted(p for p in pairs if p[0] < self.l <= p[1])
            legs = [b for _, b in across]
            turn = tuple(sorted(legs).index(b) for b in legs)
            group = self.groups.setdefault(len(across), {"ins": [], "outs": [], "cells": {}})
            for name, key in (("ins", (bottoms, turn)), ("outs", tops)):
                if key not in group[name]:
                    group[name].append(key)
            group["cells"][group["outs"].index(tops), group["ins"].index((bottoms, turn))] = number
        for group in self.groups.values():
            cells, count = group["cells"], len(family.elements)
            group["order"] = torch.tensor([cells.get((o, i), count) for o in range(len(group["outs"])) for i in range(len(group["ins"]))])
            group["full"] = bool((group["order"] < count).all())

    def feature(self, x, bottoms, turn):
        """x with its paired axes contracted (at most one pair here), the others in the order of the turn."""
        for a, b in bottoms:
            dims = a - self.l + 1, b - self.l + 1
            if self.family.elements[0].arcs or any(e.arcs for e in self.family.elements):
                r = x.shape[dims[0]] // 2
                upper, lower = x.narrow(dims[0], 0, r).narrow(dims[1], r, r), x.narrow(dims[0], r, r).narrow(dims[1], 0, r)
                x = (upper.diagonal(0, *dims) - lower.diagonal(0, *dims)).sum(-1)
            else:
                x = x.diagonal(0, *dims).sum(-1)
        return x.permute(0, *(t + 1 for t in turn), -1)

    def __call__(self, x, weight):
        c_out, c_in = weight.shape[1:]
        y = None
        for crossing in sorted(self.groups, reverse=True):
            group = self.groups[crossing]
            outs, ins = group["outs"], group["ins"]
            cells = (weight if group["full"] else torch.cat([weight, weight.new_zeros(1, c_out, c_in)]))[group["order"]]
            matrix = cells.reshape(len(outs), len(ins), c_out, c_in).permute(0, 2, 1, 3).reshape(len(outs) * c_out, len(ins) * c_in)
            features = [self.feature(x, *key) for key in ins]
            mixed = F.linear(torch.cat(features, -1) if len(features) > 1 else features[0], matrix)
            if outs == [()]:
                y = mixed
                continue
            y = x.new_zeros(len(x), *self.family.outs, c_out) if y is None else y
            for pairs, part in zip(outs, mixed.split(c_out, -1), strict=True):
                (a, b), part = pairs[0], part.unsqueeze(-1)
                n = y.shape[a + 1]
                if any(e.arcs for e in self.family.elements):
                    r = n // 2
                    y.narrow(a + 1, 0, r).narrow(b + 1, r, r).diagonal(0, a + 1, b + 1).add_(part)
                    y.narrow(a + 1, r, r).narrow(b + 1, 0, r).diagonal(0, a + 1, b + 1).sub_(part)
                else:
                    y.diagonal(0, a + 1, b + 1).add_(part)
        return y


class HandCross:
    """The one element of SO(3), 2 -> 1: the cross product of the two axes."""

    def __init__(self, family: Family) -> None:
        self.sign = float(coordinates(family)[3][coordinates(family)[1] == 5][0])  # the entry at input (1, 2), output 0

    def __call__(self, x, weight):
        cross = torch.stack([x[:, 1, 2] - x[:, 2, 1], x[:, 2, 0] - x[:, 0, 2], x[:, 0, 1] - x[:, 1, 0]], 1)
        return F.linear(cross, self.sign * weight[0])


def peers(family: Family) -> dict:
    ours = {f"ours, {name}": lambda x, weight, name=name: apply(family, x, weight, strategy=name) for name in STRATEGIES}
    coupons = any(e.coupons for e in family.elements)
    return {"dense by hand": HandDense(family), "diagrams by hand": (HandCross if coupons else HandDiagrams)(family), **ours}


def drawn(family: Family, tokens: int, c: int):
    torch.manual_seed(0)
    return torch.randn(tokens, *family.ins, c), torch.randn(len(family.elements), c, c)


def fastest(calls: dict) -> str:
    """The peer with the least median of some short runs, interleaved."""
    for call in calls.values():
        call(), call()
    times = {name: max(1, int(0.005 / max(spent(call, 1), 1e-7))) for name, call in calls.items()}
    runs = [{name: spent(call, times[name]) / times[name] for name, call in calls.items()} for _ in range(7)]
    return min(calls, key=lambda name: sorted(run[name] for run in runs)[3])


@pytest.mark.parametrize("tokens, c", SIZES)
@pytest.mark.parametrize("kind, n, k, l", CASES)
@pytest.mark.parametrize("training", [False, True], ids=["forward", "both"])
def test_the_choice_is_the_fastest(kind, n, k, l, tokens, c, training, report):
    family = family_of(kind, n, k, l)
    if not family.elements:
        pytest.skip("only the zero map is equivariant, so there is nothing to choose")
    x, weight = drawn(family, tokens, c)
    others = peers(family)
    for name, peer in others.items():
        torch.testing.assert_close(apply(family, x, weight), peer(x, weight), rtol=1e-3, atol=1e-3 * c, msg=name)
    x.requires_grad_(training), weight.requires_grad_(training)
    dy = torch.randn_like(apply(family, x, weight))

    def timed(call):
        if not training:
            return lambda: call(x, weight)
        return lambda: torch.autograd.grad(call(x, weight), (x, weight), dy)

    calls = {name: timed(peer) for name, peer in others.items()}
    best = fastest(calls)
    result = compare(timed(lambda x, weight: apply(family, x, weight)), calls[best], rounds=15)
    chosen = plan(family, tokens, c, c, None, training).strategy
    report(f"{kind}({n}) {k}->{l}, {tokens} tokens, {c} channels{', both' * training}: {chosen} / {best}"[:75], result)
    assert result.within(1.25 if best == "ours, blocks" and chosen != "blocks" else 1.05)
    if best == "ours, blocks" and chosen != "blocks":
        rest = {name: call for name, call in calls.items() if name != best}
        assert compare(timed(lambda x, weight: apply(family, x, weight)), rest[fastest(rest)], rounds=15).within(1.05)


@pytest.mark.parametrize("tokens, c", SIZES)
def test_against_the_linear_map_of_e3nn(tokens, c, report):
    """O(3), 2 -> 2, in the space of matrices, where e3nn changes to irreducible parts and back; and on irreducible parts alone."""
    o3 = pytest.importorskip("e3nn.o3")
    family = family_of("O", 3, 2, 2)
    x, weight = drawn(family, tokens, c)
    parts = [o3.wigner_3j(1, 1, l) * math.sqrt(2 * l + 1) for l in range(3)]
    change = torch.cat([part.reshape(9, -1) for part in parts], 1)  # orthogonal: matrices to scalar, axial vector, symmetric traceless
    irreps = o3.Irreps(f"{c}x0e + {c}x1e + {c}x2e")
    peer = o3.Linear(irreps, irreps)
    spans = [(0, 1), (1, 4), (4, 9)]

    def theirs():
        part = torch.einsum("tpc,pq->tcq", x.view(tokens, 9, c), change)
        flat = torch.cat([part[:, :, a:b].reshape(tokens, -1) for a, b in spans], 1)
        out = peer(flat).split([c * (b - a) for a, b in spans], 1)
        made = torch.cat([piece.view(tokens, c, b - a) for piece, (a, b) in zip(out, spans, strict=True)], 2)
        return torch.einsum("tcq,pq->tpc", made, change)

    given = irreps.randn(tokens, -1)
    with torch.no_grad():
        result = compare(lambda: apply(family, x, weight), theirs, rounds=15)
        alone = compare(lambda: apply(family, x, weight), lambda: peer(given), rounds=15)
    report(f"O(3) 2->2, {tokens} tokens, {c} channels / e3nn on matrices", result)
    report(f"O(3) 2->2, {tokens} tokens, {c} channels / e3nn on irreducible parts", alone)
    assert result.within(1.05)
