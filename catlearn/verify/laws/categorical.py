"""The laws of composition, each as a function of a subject and a sample that yields pairs of outputs which must agree.

Category, monoidal, cartesian (for pure parts; parameters tied), Para (2-cells), lens, and functoriality of ``lens``, ``reverse`` and
change of base. The neighbours that a law needs are small arrows of our own on the subject's wires.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

from catlearn.boxes.arithmetic import power, scale, shift
from catlearn.boxes.contract import bias
from catlearn.core.cells import Cell, renamed
from catlearn.core.combinators import copy, discard, id, par, swap
from catlearn.core.op import Param
from catlearn.core.spaces import I, R, Space, parameter
from catlearn.core.term import Term
from catlearn.meanings.base_change import change_base
from catlearn.meanings.lens import lens
from catlearn.meanings.module import compile
from catlearn.verify.laws.subject import DoesNotApply, Sample, Subject

Pairs = Iterator[tuple[Sequence[Any], Sequence[Any]]]


def before(x: Space) -> Term:
    """x → x, halving every real wire and adding a quarter: it leaves no region that samples come from."""
    return par(*(scale(Space((w,)), Fraction(1, 2)) >> shift(Fraction(1, 4)) if w.kind == "float" else id(Space((w,))) for w in x))


def after(x: Space) -> Term:
    """x → x, −2y² + 1 on every real wire."""
    return par(*(power(Space((w,)), 2) >> scale(-2) >> shift(1) if w.kind == "float" else id(Space((w,))) for w in x))


def _same(s: Subject, d: Sample, key: str, left: Term, right: Term, more: Sequence[Any] = ()) -> Pairs:
    xs, ps = [*d["x"], *more], s.params(d)
    yield s.run(f"{key}.left", lambda: left, ps, xs), s.run(f"{key}.right", lambda: right, ps, xs)


def units(s: Subject, d: Sample) -> Pairs:
    f = s.term
    yield from _same(s, d, "unit.l", id(f.dom) >> f, f)
    yield from _same(s, d, "unit.r", f >> id(f.cod), f)


def associativity(s: Subject, d: Sample) -> Pairs:
    g, f, h = before(s.term.dom), s.term, after(s.term.cod)
    yield from _same(s, d, "assoc", (g >> f) >> h, g >> (f >> h))


def monoidal_units(s: Subject, d: Sample) -> Pairs:
    yield from _same(s, d, "tensor.l", id(I) @ s.term, s.term)
    yield from _same(s, d, "tensor.r", s.term @ id(I), s.term)


def interchange(s: Subject, d: Sample) -> Pairs:
    f, g, h = s.term, after(s.term.cod), before(s.term.dom)
    yield from _same(s, d, "interchange", (f @ h) >> (g @ h), (f >> g) @ (h >> h), d["x"])


def symmetry(s: Subject, d: Sample) -> Pairs:
    f, g = s.term, before(s.term.dom)
    yield from _same(s, d, "swap", f @ g >> swap(f.cod, g.cod), swap(f.dom, g.dom) >> g @ f, d["x"])


def copying(s: Subject, d: Sample) -> Pairs:
    f = _pure(s)
    two = {f"{side}.{name}": value for side in ("a", "b") for name, value in s.params(d).items()}  # the two copies' parameters, tied
    left = s.run("copy.left", lambda: f >> copy(f.cod), s.params(d), d["x"])
    yield left, s.run("copy.right", lambda: copy(f.dom) >> f.named("a") @ f.named("b"), two, d["x"])


def discarding(s: Subject, d: Sample) -> Pairs:
    f = _pure(s)
    kept = copy(f.dom) >> (f >> discard(f.cod)) @ id(f.dom)
    yield s.run("discard.left", lambda: kept, s.params(d), d["x"]), s.run("discard.right", lambda: id(f.dom), {}, d["x"])


def _pure(s: Subject) -> Term:
    if effects := s.graph.effects:
        raise DoesNotApply(f"the term is {' and '.join(sorted(effects))}: its effect may be neither doubled nor dropped")
    return s.term


# --- Para: 2-cells on parameters --------------------------------------------------------------------------------------


def _cells(s: Subject) -> tuple[str, Cell, Cell]:
    """A parameter's name, a cell r (doubling) on it, and a cell s (adding a half) on the new one."""
    for name, param in s.graph.params.items():
        if param.wire.kind == "float":
            new = Param(param.space)
            r = Cell(((f"{name}_r", new),), (name,), scale(param.space, 2), title="doubling")
            return name, r, Cell(((f"{name}_s", new),), (f"{name}_r",), shift(param.space, 0.5), title="adding a half")
    raise DoesNotApply("the term has no real parameters")


def _along(s: Subject, d: Sample, name: str, new: str) -> dict[str, Any]:
    return {new if key == name else key: value for key, value in s.params(d).items()}


def reparam(s: Subject, d: Sample) -> Pairs:
    name, r, _ = _cells(s)
    ps = s.params(d)
    yield (
        s.run("id2", lambda: s.term.at(name).reparam(renamed(name, s.graph.params[name], name)), ps, d["x"]),
        s.run("f", lambda: s.term, ps, d["x"]),
    )
    doubled = {**ps, name: ps[name] * 2}
    yield (
        s.run("f[r]", lambda: s.term.at(name).reparam(r), _along(s, d, name, f"{name}_r"), d["x"]),
        s.run("f", lambda: s.term, doubled, d["x"]),
    )


def vertical(s: Subject, d: Sample) -> Pairs:
    name, r, t = _cells(s)
    both = Cell(t.sources, r.targets, t.read >> r.read, title="both")
    ps = _along(s, d, name, f"{name}_s")
    left = s.run("f[r][s]", lambda: s.term.at(name).reparam(r).at(f"{name}_r").reparam(t), ps, d["x"])
    yield left, s.run("f[rs]", lambda: s.term.at(name).reparam(both), ps, d["x"])


def whiskering(s: Subject, d: Sample) -> Pairs:
    name, r, _ = _cells(s)
    f, g, h = s.term, before(s.term.dom), after(s.term.cod)
    ps = _along(s, d, name, f"{name}_r")
    left = s.run("(gfh)[r]", lambda: (g >> f >> h).at(name).reparam(r), ps, d["x"])
    yield left, s.run("g f[r] h", lambda: g >> f.at(name).reparam(r) >> h, ps, d["x"])


def cell_interchange(s: Subject, d: Sample) -> Pairs:
    name, r, _ = _cells(s)
    other = bias(R(2), name="law_neighbour")
    key, y = "law_neighbour.bias", s.tensors(R(2), _batch(s, d), 77)
    k = Cell(((f"{key}_k", Param(parameter(R(2)))),), (key,), scale(parameter(R(2)), 3), title="tripling")
    (given,) = s.tensors(parameter(R(2)), (), 78)
    ps = {**_along(s, d, name, f"{name}_r"), f"{key}_k": given}
    left = s.run("(f@k)[rk]", lambda: (s.term @ other).at(name).reparam(r).at(key).reparam(k), ps, [*d["x"], *y])
    yield left, s.run("f[r]@k[k]", lambda: s.term.at(name).reparam(r) @ other.at(key).reparam(k), ps, [*d["x"], *y])


def _batch(s: Subject, d: Sample) -> tuple[int, ...]:
    """The batch axes of a sample."""
    for x, wire in zip(d["x"], s.term.dom, strict=True):
        if wire.batched:
            return tuple(x.shape)[: x.dim() - len(wire.axes)]
    return ()


# --- lenses and functors ----------------------------------------------------------------------------------------------


def _get_put(s: Subject, key: str, build: Any, ps: Any, xs: Any, dys: Any) -> list[Any]:
    """What a lens shows and what it puts back, in one row."""
    if s.graph.states:
        raise DoesNotApply("the term is stateful")
    made = s.built(f"lens {key}", build)
    ys = made.get(ps, *xs, key=s.seed)
    dps, dxs = made.put(ps, tuple(xs), tuple(dys), key=s.seed)
    return [*(ys if isinstance(ys, tuple) else (ys,)), *(dps[name] for name in sorted(dps)), *(dx for dx in dxs if dx is not None)]


def get_is_compile(s: Subject, d: Sample) -> Pairs:
    if s.graph.effects:
        raise DoesNotApply("an effect draws from another source in a module than in a lens")
    ps = s.params(d)
    model = s.built("module", lambda: compile(s.term, sizes=s.sizes, params=ps).double())
    model.load_state_dict(ps)
    ys = model(*d["x"])
    yield ys if isinstance(ys, tuple) else (ys,), s.run("f", lambda: s.term, ps, d["x"])


def lens_then(s: Subject, d: Sample) -> Pairs:
    f, h = s.term, after(s.term.cod)
    rest = (s.params(d), d["x"], d["dy"])
    yield _get_put(s, "f>>h", lambda: lens(f >> h), *rest), _get_put(s, "f;h", lambda: lens(f) >> lens(h), *rest)


def lens_beside(s: Subject, d: Sample) -> Pairs:
    f, g = s.term, before(s.term.dom)
    covectors = [x for x, wire in zip(d["x"], f.dom, strict=True) if wire.kind == "float"]
    rest = (s.params(d), [*d["x"], *d["x"]], [*d["dy"], *covectors])
    yield _get_put(s, "f@g", lambda: lens(f @ g), *rest), _get_put(s, "f×g", lambda: lens(f) @ lens(g), *rest)


def lens_identity(s: Subject, d: Sample) -> Pairs:
    covectors = [x for x, wire in zip(d["x"], s.term.dom, strict=True) if wire.kind == "float"]
    yield _get_put(s, "id", lambda: lens(id(s.term.dom)), {}, d["x"], covectors), [*d["x"], *covectors]


def base_then(s: Subject, d: Sample) -> Pairs:
    f, g, h = s.term, before(s.term.dom), after(s.term.cod)

    def F(t: Term) -> Term:
        return change_base(t, "float64")

    if F(g >> f >> h) != F(g) >> F(f) >> F(h) or F(f @ g) != F(f) @ F(g):
        yield [0.0], [1.0]
    yield from _same(s, d, "base", F(g >> f >> h), g >> f >> h)
