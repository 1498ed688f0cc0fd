"""Random typed maps of every kind, and numbers for their parameters."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import torch
from hypothesis import strategies as st

from catlearn import maps
from catlearn.maps.drawn import Diagram

Shape = tuple[int, ...]
SPACES = st.lists(st.integers(1, 3), min_size=0, max_size=2).map(tuple)


def leaves(dom: Shape, cod: Shape, rational: bool = False) -> st.SearchStrategy[maps.Map]:
    """The leaves dom → cod. Names tell the shape, so that equal names are equal parameters, and tying happens."""
    n, m, tag = math.prod(dom), math.prod(cod), f"{'x'.join(map(str, cod))}_{'x'.join(map(str, dom))}"
    numbers = st.integers(-3, 3) | st.fractions(-2, 2, max_denominator=4)
    places = st.lists(st.tuples(st.integers(0, m - 1), st.integers(0, n - 1), st.integers(0, 2)), max_size=6)
    found: list[st.SearchStrategy[maps.Map]] = [
        st.sampled_from(["A", "B"]).map(lambda name: maps.dense(f"{name}_{tag}", cod, dom)),
        st.lists(numbers, min_size=n * m, max_size=n * m).map(lambda v: maps.constant([v[i * n : i * n + n] for i in range(m)], cod, dom)),
        st.just(maps.zero(cod, dom)),
        places.map(lambda rows: _sparse(f"s_{tag}", cod, dom, rows)),
        st.lists(st.integers(0, 1), min_size=n * m, max_size=n * m).map(
            lambda v: maps.mask([v[i * n : i * n + n] for i in range(m)], cod, dom)
        ),
        st.lists(st.integers(0, n - 1), min_size=m, max_size=m).map(lambda index: maps.selection(dom, index, cod)),
        st.lists(st.integers(0, m - 1), min_size=n, max_size=n).map(lambda index: maps.selection(cod, index, dom).T),
    ]
    if n == m:
        found.append(st.just(maps.reshape(dom, cod)))
    if sorted(dom) == sorted(cod) and dom != cod:
        found.append(st.just(maps.permute(dom, (1, 0))))
    if dom == cod:
        found += [st.just(maps.identity(dom)), st.just(maps.scalar(f"g_{tag}", dom)), st.just(maps.diagonal(f"d_{tag}", dom)),
                  st.permutations(range(n)).map(lambda order: maps.permutation(order, dom)),
                  st.integers(1, 3).map(lambda r: maps.reflection(f"h{r}_{tag}", dom, r)),
                  st.integers(1, 3).map(lambda r: maps.reflection(f"h{r}_{tag}", dom, r).T)]  # fmt: skip
        if len(dom) == 1 and not rational:
            found += [st.sampled_from([maps.fourier(n), maps.cosine(n), maps.fourier(n).T, maps.cosine(n).T])]
    if len(dom) == len(cod) == 1:
        k = math.gcd(n, m)
        for name, rows, columns, turned in (("c", m // k, n // k, False), ("t", n // k, m // k, True)):
            c = maps.circulant(f"{name}_{tag}", k, rows, columns, by_rows=turned)
            found.append(st.just(c.T if turned else c))
    if len(cod) == len(dom) + 1:
        found += [st.just(maps.broadcast(dom, i, cod[i])) for i in range(len(cod)) if cod[:i] + cod[i + 1 :] == dom]
    if len(dom) == len(cod) + 1:
        found += [st.just(maps.broadcast(cod, i, dom[i]).T) for i in range(len(dom)) if dom[:i] + dom[i + 1 :] == cod]
    if len(dom) == 2 and not cod and dom[0] == dom[1]:
        found += [st.just(maps.contraction(dom, 0, 1))]
    if len(cod) == 2 and not dom and cod[0] == cod[1]:
        found += [st.just(maps.contraction(cod, 0, 1).T)]
    if dom and len({*dom, *cod}) == 1:
        found.append(diagrams(dom[0], len(dom), len(cod)))
    return st.one_of(found)


@st.composite
def diagrams(draw: Any, n: int, k: int, l: int) -> maps.Map:
    """Blocks of points at random; a pair may be an arc (n even), n or n − 1 blocks may be a coupon."""
    labels = draw(st.lists(st.integers(0, k + l - 1), min_size=k + l, max_size=k + l))
    blocks = [tuple(i for i, b in enumerate(labels) if b == c) for c in dict.fromkeys(labels)]
    kind = draw(st.sampled_from(["deltas", "arcs", "coupon"]))
    if kind == "arcs" and n % 2 == 0:
        pairs = [b for b in blocks if len(b) == 2]
        return Diagram(n, k, l, tuple(b for b in blocks if len(b) != 2), tuple(pairs))  # type: ignore[arg-type]
    legs = draw(st.sampled_from([n, n - 1]))
    if kind == "coupon" and 1 <= legs <= len(blocks):
        legs_chosen = draw(st.permutations(blocks))[:legs]
        return Diagram(n, k, l, tuple(b for b in blocks if b not in legs_chosen), (), (tuple(legs_chosen),))
    return Diagram(n, k, l, tuple(blocks))


def _sparse(name: str, cod: Shape, dom: Shape, rows: list[tuple[int, int, int]]) -> maps.Map:
    """Entries that share three values, one of them with a factor."""
    r, c, s = ([row[i] for row in rows] for i in range(3))
    return maps.sparse(name, cod, dom, [*r, 0], [*c, 0], source=[*s, 2], factors=[(-1) ** i for i in range(len(r))] + [Fraction(1, 2)])


@st.composite
def typed(draw: Any, dom: Shape | None = None, cod: Shape | None = None, depth: int = 2, rational: bool = False) -> maps.Map:
    """A map of any kind; ``rational``: its matrix is rational where its parameters are."""
    dom = draw(SPACES) if dom is None else dom
    cod = draw(SPACES) if cod is None else cod
    if not depth:
        return draw(leaves(dom, cod, rational))

    def inner(a: Shape, b: Shape) -> maps.Map:
        return draw(typed(a, b, depth - 1, rational))

    kinds = ["leaf", "then", "sum", "scaled", "hadamard", "transposed", "tensor"]
    kinds += ["norm"] * (not rational) + ["block"] * (len(dom) == len(cod) == 1)
    kind = draw(st.sampled_from(kinds))
    if kind == "then":
        middle = draw(SPACES)
        return inner(dom, middle) >> inner(middle, cod)
    if kind == "sum":
        return inner(dom, cod) + inner(dom, cod)
    if kind == "scaled":
        return draw(st.sampled_from([2, -1, Fraction(1, 3)])) * inner(dom, cod)
    if kind == "hadamard":
        return inner(dom, cod) * inner(dom, cod)
    if kind == "transposed":
        return inner(cod, dom).T
    if kind == "norm":
        return inner(dom, cod) >> maps.row_norm(maps.dense(f"N_{'x'.join(map(str, cod))}", cod, 3), draw(st.sampled_from([1, -1, 2])))
    if kind == "block":
        a, b = draw(st.integers(1, max(1, dom[0] - 1))), draw(st.integers(1, max(1, cod[0] - 1)))
        if a < dom[0] and b < cod[0]:
            return maps.block([[inner((a,), (b,)), None], [inner((a,), (cod[0] - b,)), inner((dom[0] - a,), (cod[0] - b,))]])
        return inner(dom, cod)
    if kind == "tensor":
        i, j = draw(st.integers(0, len(dom))), draw(st.integers(0, len(cod)))
        return inner(dom[:i], cod[:j]) @ inner(dom[i:], cod[j:])
    return draw(leaves(dom, cod, rational))


def numbers(f: maps.Map, seed: int = 0, dtype: Any = torch.float64) -> dict[str, torch.Tensor]:
    """Normal numbers for every parameter, not too small."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, p in f.params.items():
        drawn = torch.randn(p.wire.shape, generator=generator, dtype=torch.float64)  # type: ignore[arg-type]
        found[name] = (drawn + 0.3 * drawn.sign()).to(dtype)
    return found
