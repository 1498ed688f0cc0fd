"""2-cells on parameters: the laws of Para (vertical composition, whiskering, interchange, tensor), tying, freezing, ready-made cells."""

from __future__ import annotations

from random import Random

import pytest
import torch

import catlearn as cl
from catlearn import errors
from catlearn.core.cells import Cell, frozen, renamed, tied, whiskered
from catlearn.core.select import reparam

x, y, scalar_row = cl.R(3), cl.R(2), cl.R(1)
P = cl.parameter


def a_cell(rng, sources, target, space):
    """A random cell ``target ← sources``: a polynomial in one or two new parameters of the same space."""
    params = tuple((name, cl.Param(P(space), cl.Init("normal", (0.0, 1.0)))) for name in sources)
    read = cl.id(P(space)) if len(sources) == 1 else rng.choice([cl.add, cl.mul])(P(space))
    read = read >> rng.choice([cl.tanh, cl.exp, cl.scale(factor=rng.randint(2, 5)), cl.shift(by=rng.randint(1, 3))])
    return Cell(params, (target,), read)


def parametric(name, dom, cod):
    """``p · a``-like arrows with one weight."""
    return cl.linear(dom, cod, bias=False, name=name) >> cl.tanh


def check_same(one, two, seed=0):
    """Same arrow, and same numbers when compiled."""
    assert cl.same(one, two), cl.same(one, two)
    assert set(one.params) == set(two.params)
    inputs = [torch.randn(4, *wire.shape, dtype=torch.float64) for wire in one.dom]
    model = cl.compile(one, seed=seed, dtype=torch.float64)
    other = cl.compile(two, model.state_dict(), dtype=torch.float64)
    outs = (model(*inputs), other(*inputs))
    for a, b in zip(*(o if isinstance(o, tuple) else (o,) for o in outs), strict=True):
        assert torch.allclose(a, b, rtol=1e-12, atol=1e-12)


# -- the values of the reference ---------------------------------------------------------------------------------------------


def test_the_composite_of_p_a_and_q_plus_b_at_1_2_3_is_7_and_tying_at_2_gives_8():
    f = cl.linear(scalar_row, scalar_row, bias=False, name="f")  # a ↦ p · a
    g = cl.bias(scalar_row, name="g")  # b ↦ q + b
    composite = f >> g
    one = {"f.weight": torch.tensor([[2.0]]), "g.bias": torch.tensor([1.0])}
    assert composite(torch.tensor([3.0]), params=one).item() == 7
    flat = Cell((("f.weight", cl.Param(P(cl.R(1)))),), ("f.weight",), cl.reshape(P(cl.R(1)), (1, 1)))
    tied_up = composite.at("f.weight").reparam(flat).at("f.weight|g.bias").tie(into="t")
    assert list(tied_up.params) == ["t"]
    assert tied_up(torch.tensor([3.0]), params={"t": torch.tensor([2.0])}).item() == 8  # t · 3 + t


# -- Para's laws -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_vertical_composition(seed):
    """f[r][s] = f[r ∘ s.read]: reading q through s, then r."""
    rng = Random(seed)
    f = parametric("f", x, y)
    space = cl.R(2, 3)
    r = a_cell(rng, ["u", "v"][: rng.randint(1, 2)], "f.weight", space)
    s = a_cell(rng, ["m", "n"][: rng.randint(1, 2)], "u", space)
    rest = [(name, p) for name, p in r.sources if name != "u"]
    read = s.read @ cl.id(cl.par(*(cl.id(p.space) for _, p in rest)).dom) >> r.read
    both = Cell((*s.sources, *rest), r.targets, read)
    check_same(f.at("f.weight").reparam(r).at("u").reparam(s), f.at("f.weight").reparam(both), seed)
    wrong = Cell(both.sources, both.targets, read >> cl.scale(factor=7))
    assert not cl.same(f.at("f.weight").reparam(r).at("u").reparam(s), f.at("f.weight").reparam(wrong))


def test_the_identity_cell_changes_nothing():
    f = parametric("f", x, y)
    (name, param), *_ = f.params.items()
    check_same(f, f.at(name).reparam(renamed(name, param, name)))
    assert not cl.same(f, f.at(name).reparam(renamed(name, param, "other")))


@pytest.mark.parametrize("seed", range(12))
def test_whiskering_and_horizontal_composition(seed):
    """(g[s]) ∘ (f[r]) = (g ∘ f)[s ⊗ r], and the same for @: with named parameters an equality."""
    rng = Random(seed)
    f, g = parametric("f", x, y), parametric("g", y, x)
    r = a_cell(rng, ["p"], "f.weight", cl.R(2, 3))
    s = a_cell(rng, ["q", "r"], "g.weight", cl.R(3, 2))
    for compose in (lambda one, two: one >> two, lambda one, two: one @ two, lambda one, two: cl.swap(x, y) >> two @ one >> cl.swap(x, y)):
        check_same(compose(f.at("f").reparam(r), g.at("g").reparam(s)), reparam(compose(f, g), [r, s]), seed)
        check_same(reparam(compose(f, g), [r, s]), compose(f, g).at("f").reparam(r).at("g").reparam(s), seed)
        check_same(compose(f, g).at("f").reparam(r).at("g").reparam(s), compose(f, g).at("g").reparam(s).at("f").reparam(r), seed)
        assert not cl.same(compose(f.at("f").reparam(r), g), reparam(compose(f, g), [r, s]))


def test_interchange_of_parametric_arrows_is_strict_on_names():
    """(g @ g') ∘ (f @ f') = (g ∘ f) @ (g' ∘ f'): the 2-cell that reorders parameters is invisible, since they are named."""
    f, g, f2, g2 = parametric("f", x, y), parametric("g", y, x), parametric("f2", y, y), parametric("g2", y, x)
    check_same(f @ f2 >> g @ g2, (f >> g) @ (f2 >> g2))
    assert not cl.same(f @ f2 >> g @ g2, (f >> g) @ (f2 >> parametric("f3", y, x)))


@pytest.mark.parametrize("seed", range(6))
def test_a_cell_goes_into_a_scope_by_whiskering(seed):
    """(f[r]).named(s) = f.named(s)[s.r]."""
    f = parametric("f", x, y)
    r = a_cell(Random(seed), ["u", "v"], "f.weight", cl.R(2, 3))
    check_same(f.at("f").reparam(r).named("s"), f.named("s").at("s.f").reparam(whiskered(r, "s")))
    with pytest.raises(errors.NothingMatched, match=r"t\.f\.weight"):
        f.named("s").at("s.f").reparam(whiskered(r, "t"))
    assert not cl.same(f.at("f").reparam(r).named("s"), f.named("s").at("s.f").reparam(r2(whiskered(r, "s"))))


def r2(cell):
    """The mutant: the same cell with another reading."""
    return Cell(cell.sources, cell.targets, cell.read >> cl.scale(factor=2))


def test_whiskering_moves_sections_along():
    cells = [tied(cl.linear(x, x, bias=False, name="f").params, "t"), Cell((("t", cl.Param(P(x))),), ("f.w",), cl.id(P(x)),
             lambda p, seed=0, data=None: {"t": p["f.w"] + seed})]  # fmt: skip
    for cell in cells:
        (target,) = cell.targets
        value = torch.randn(3)
        plain = cell.get_section({target: value}, 2)
        moved = whiskered(cell, "s").get_section({f"s.{target}": value}, 2)
        assert list(moved) == ["s.t"] and torch.equal(moved["s.t"], plain["t"])


# -- sections ----------------------------------------------------------------------------------------------------------------


def read(cell, values):
    """Run a cell's reading on tensors by name."""
    out = cl.compile(cell.read)(*(values[name] for name, _ in cell.sources))
    return dict(zip(cell.targets, out if isinstance(out, tuple) else (out,), strict=True))


def test_reading_a_section_gives_the_parameters_back():
    w = torch.rand(3, 3) + 0.1
    f = cl.linear(x, x, bias=False, name="f")
    (name, param), *_ = f.params.items()
    made = [frozen(name, param), renamed(name, param, "g"), cl.cells.transposed()(name, param), cl.cells.positive()(name, param),
            cl.cells.bind(w)(name, param), cl.cells.bind(0.5)(name, param), tied({"a": param, "b": param}, "t")]  # fmt: skip
    for cell in made:
        point = torch.full((3, 3), 0.5) if cell is made[5] else w
        p = dict.fromkeys(cell.targets, point)
        q = cell.get_section(p)
        assert set(q) == {source for source, _ in cell.sources}
        for target, value in read(cell, q).items():
            assert torch.allclose(value, p[target], rtol=1e-6), cell.title


def test_sections_refuse_what_is_not_in_the_image():
    w = torch.rand(3, 3) + 0.1
    param = cl.linear(x, x, bias=False).params["linear.weight"]
    with pytest.raises(errors.NoSection):
        tied({"a": param, "b": param}, "t").get_section({"a": w, "b": w + 1})
    with pytest.raises(errors.NoSection, match="not positive"):
        cl.cells.positive()("a", param).get_section({"a": w - 5})
    with pytest.raises(errors.NoSection, match="bound"):
        cl.cells.bind(w)("a", param).get_section({"a": w + 1})
    with pytest.raises(errors.NoSection):
        Cell((("a", param),), ("a",), cl.id(param.space)).get_section({"a": w})


# -- ready-made cells --------------------------------------------------------------------------------------------------------


def test_transposed_weights_tie_an_autoencoder():
    encode, decode = cl.linear(x, y, bias=False, name="encode"), cl.linear(y, x, bias=False, name="decode")
    net = (encode >> decode).at("decode.weight").reparam(cl.cells.transposed()).at("*").tie()
    z, w = torch.randn(5, 3), torch.randn(2, 3)
    assert list(net.params) == ["encode.weight"]
    assert torch.allclose(net(z, params={"encode.weight": w}), z @ w.T @ w, atol=1e-6)
    model = cl.compile(net)
    assert list(model.state_dict()) == ["encode.weight"]


def test_transposing_twice_is_the_identity_on_numbers():
    f = cl.linear(x, y, bias=False, name="f")
    twice = f.at("f").reparam(cl.cells.transposed()).at("f").reparam(cl.cells.transposed())
    z, values = torch.randn(5, 3), {"f.weight": torch.randn(2, 3)}
    assert torch.equal(twice(z, params=values), f(z, params=values))


@pytest.mark.parametrize("made", [cl.cells.transposed, cl.cells.positive])
def test_the_new_parameters_start_where_the_old_ones_did(made):
    start = torch.rand(2, 3) + 0.1
    f = cl.Box(cl.linear(x, y, bias=False).op, x, "f", {"weight": cl.Param(P(cl.R(2, 3)), start)})
    z = torch.randn(5, 3)
    assert torch.allclose(cl.compile(f.at("f").reparam(made()))(z), cl.compile(f)(z), atol=1e-6)


def test_positive_parameters_stay_positive_and_learn():
    net = cl.linear(x, y, bias=False, name="f").at("f").reparam(cl.cells.positive())
    model = cl.compile(net)
    raw = torch.randn(2, 3)
    model.load_state_dict({"f.weight": raw})
    z = torch.randn(5, 3)
    assert torch.allclose(model(z), z @ raw.exp().T, atol=1e-6)
    (grad,) = torch.autograd.grad(model(z).sum(), list(model.parameters()))
    assert torch.allclose(grad, raw.exp() * z.sum(0), atol=1e-5)


def test_a_bound_parameter_leaves_the_interface():
    w, z = torch.randn(2, 3), torch.randn(5, 3)
    f = cl.linear(x, y, name="f")
    bound = f.at("f.weight").reparam(cl.cells.bind(w))
    assert list(bound.params) == ["f.bias"]
    assert torch.allclose(bound(z, params={"f.bias": torch.ones(2)}), z @ w.T + 1, atol=1e-6)
    assert f.at("*").reparam(cl.cells.bind(2)).params == {}
    assert torch.allclose(f.at("*").reparam(cl.cells.bind(2))(z), z.sum(1, keepdim=True) * 2 + 2, atol=1e-5)
    assert not cl.same(bound, f.at("f.weight").reparam(cl.cells.bind(w + 1)))


def test_ready_made_cells_refuse_what_does_not_fit():
    f = cl.linear(x, y, name="f")
    with pytest.raises(errors.BadCell, match="two axes"):
        f.at("f.bias").reparam(cl.cells.transposed())
    with pytest.raises(errors.BadCell, match="shape"):
        f.at("f.weight").reparam(cl.cells.bind(torch.ones(2)))
    negative = cl.Box(f.op, x, "f", {"bias": cl.Param(P(y), -torch.ones(2))})
    with pytest.raises(errors.NoSection):
        negative.at("f.bias").reparam(cl.cells.positive())


# -- tying, freezing, renaming -----------------------------------------------------------------------------------------------


def test_tied_parameters_are_one_entry_with_the_sum_of_the_gradients():
    f = cl.linear(x, x, bias=False, name="a") >> cl.tanh >> cl.linear(x, x, bias=False, name="b")
    tied_up = f.at("*").tie()
    w, z = torch.randn(3, 3, requires_grad=True), torch.randn(5, 3)
    model = cl.compile(tied_up, {"a.weight": w})
    assert list(model.state_dict()) == ["a.weight"]
    (grad,) = torch.autograd.grad(model(z).sum(), list(model.parameters()))
    (true,) = torch.autograd.grad((torch.tanh(z @ w.T) @ w.T).sum(), w)
    assert torch.allclose(grad, true, atol=1e-6)


def test_parameters_of_different_spaces_do_not_tie():
    f = cl.linear(x, y, name="a") >> cl.linear(y, x, name="b")
    with pytest.raises(errors.BadCell, match=r"R\(2, 3\)"):
        f.at("*.weight").tie()


def test_frozen_parameters_do_not_learn_and_the_others_do():
    model = cl.compile(cl.linear(x, y, name="a").at("a.weight").freeze())
    assert {name: p.requires_grad for name, p in model.named_parameters()} == {"a.weight": False, "a.bias": True}


def test_cells_touch_only_what_they_name_and_close_its_name():
    f = cl.linear(x, x) >> cl.linear(x, x)
    frozen_second = f.at("linear_1").freeze()
    assert {name: p.trainable for name, p in (cl.bias(x) >> frozen_second).params.items()} == {
        "bias.bias": True, "linear.weight": True, "linear.bias": True, "linear_1.weight": False, "linear_1.bias": False}  # fmt: skip
    with pytest.raises(errors.NameUsedTwice):  # an open box in front would need the closed name: refused, never moved
        _ = (cl.linear(x, x) >> frozen_second).params


@pytest.mark.parametrize("cells, wrong", [
    (lambda p: [frozen("nobody.weight", p)], errors.NothingMatched),
    (lambda p: [renamed("a.weight", p, "a.bias")], errors.NameUsedTwice),
    (lambda p: [frozen("a.weight", p), frozen("a.weight", p)], errors.BadCell),
    (lambda p: [frozen("a.bias", p)], errors.BadCell),
])  # fmt: skip
def test_cells_that_do_not_fit_are_refused(cells, wrong):
    f = cl.linear(x, y, name="a")
    with pytest.raises(wrong):
        reparam(f, cells(f.params["a.weight"]))


def test_a_cell_is_checked_when_it_is_made():
    param = cl.Param(P(x))
    with pytest.raises(errors.BadCell, match="does not start"):
        Cell((("a", param),), ("b",), cl.id(P(y)))
    with pytest.raises(errors.BadCell, match="outputs"):
        Cell((("a", param),), ("b",), cl.copy(P(x)))
    with pytest.raises(errors.BadCell, match="parameters of its own"):
        Cell((("a", param),), ("b",), cl.bias(P(x)))
