"""What would be broken for a reader if a picture were wrong: boxes over boxes, wires that lead elsewhere, texts that cannot be read."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace

import pytest
import torch

import catlearn as cl
from catlearn import errors
from catlearn.core.cells import Cell
from catlearn.meanings.picture import draw
from catlearn.meanings.picture.scene import Rect, Scene
from tests.strategies import random_term

H = cl.R(16)
SVG = "{http://www.w3.org/2000/svg}"


def block():
    return cl.copy(H) >> (cl.linear(H, H) >> cl.gelu) @ cl.id(H) >> cl.add(H)


def net():
    return cl.linear(cl.R(4), H).named("stem") >> cl.repeat(3, block()).named("body") >> cl.linear(H, cl.R(5)).named("head")


def lowrank():
    weight, a, b = cl.parameter(cl.R(16, 16)), cl.parameter(cl.R(2, 16)), cl.parameter(cl.R(16, 2))
    read = cl.id(weight) @ cl.matmul(b @ a) >> cl.add(weight)
    sources = (("w.base", cl.Param(weight, trainable=False)), ("w.b", cl.Param(b)), ("w.a", cl.Param(a)))
    term = cl.linear(H, H, name="w") >> cl.relu
    return term.at("w.weight").reparam(Cell(sources, ("w.weight",), read))


def tied():
    x = cl.linear(H, H, name="a", bias=False).named("enc") @ cl.linear(H, H, name="b").named("dec")
    return (cl.copy(H) >> x >> cl.add(H)).at("*.weight").tie()


def spread():
    """One cell that feeds boxes in two scopes, from a shared parameter."""
    weight = cl.parameter(cl.R(16, 16))
    read = cl.copy(weight) >> cl.transpose(weight) @ cl.tanh(weight)
    x = cl.linear(H, H, name="a", bias=False).named("enc") @ cl.linear(H, H, name="b").named("dec")
    term = cl.copy(H) >> x >> cl.add(H)
    return term.at("*").reparam(Cell((("w", cl.Param(weight)),), ("enc.a.weight", "dec.b.weight"), read))


def stateful():
    return cl.conv2d(4, 3)(cl.R(2, 6, 6)) >> cl.batch_norm >> cl.relu


def symbolic():
    wire = cl.S(cl.dim("n")).space(1, channels=16)
    return cl.repeat(2, cl.linear(wire, wire) >> cl.tanh, shared=True)


EXAMPLES = {"net": net, "lowrank": lowrank, "tied": tied, "spread": spread, "stateful": stateful, "symbolic": symbolic,
            "reverse": lambda: cl.reverse(net()), "constant": lambda: cl.full(H, 2.0) @ cl.id(H) >> cl.mul(H),
            "dropped": lambda: cl.discard(H) @ (cl.copy(H, 3) >> cl.discard(H) @ cl.mul(H)) >> cl.dropout(0.5)}  # fmt: skip


# -- reading a picture ------------------------------------------------------------------------------------------------


def overlapping(scene: Scene) -> list[tuple[str, str]]:
    """Pairs of boxes that share ground, and boxes that cross the border of a frame."""

    def apart(a: Rect, b: Rect) -> bool:
        return a.x + a.w <= b.x or b.x + b.w <= a.x or a.y + a.h <= b.y or b.y + b.h <= a.y

    def inside(a: Rect, b: Rect) -> bool:
        return b.x <= a.x and a.x + a.w <= b.x + b.w and b.y <= a.y and a.y + a.h <= b.y + b.h

    found = [(a.name, b.name) for i, a in enumerate(scene.boxes) for b in scene.boxes[:i] if not apart(a, b)]
    nested = [*scene.boxes, *scene.frames]
    return found + [(a.name, f.name) for a in nested for f in scene.frames if not (apart(a, f) or inside(a, f) or inside(f, a))]


def key(point):
    return round(point[0], 1), round(point[1], 1)


def traced(scene: Scene) -> Counter:
    """(box that gives, its port, box that reads, its port) for every wire, read off the curves' ends alone."""
    arriving = {}
    for curve in scene.curves:
        arriving.setdefault(key(curve.end), []).append(curve)
    outs = {}
    for box in scene.boxes:
        for k, port in enumerate(p for p in box.ports if p.side == "out"):
            outs[key(port.at)] = (box, k)
    found = Counter()
    for box in scene.boxes:
        sides = {side: [p for p in box.ports if p.side == side] for side in ("in", "top")}
        for side, ports in sides.items():
            for k, port in enumerate(ports):
                point = key(port.at)
                assert len(arriving.get(point, ())) == 1, f"{len(arriving.get(point, ()))} wires end at {box.name} {side} {k}"
                while point in arriving:
                    point = key(arriving[point][0].start)
                giver = outs.get(point)
                if side == "in":
                    found[(identity(giver[0]), giver[1]) if giver else "input", identity(box), k] += 1
                elif giver and giver[0].kind != "cell":
                    raise AssertionError(f"{giver[0].name} runs into the top of {box.name}")
    return found


def identity(box: Rect):
    return tuple(p.wire for p in box.ports if p.side == "out") or box.name


def expected(graph) -> Counter:
    """The same of the graph itself."""
    side = set(graph.param_wires.values()) | {old for old, _ in graph.state_wires.values()}
    cell = [node for node in graph.nodes if "/" in node.name and not node.name.endswith("_reverse")]
    side.update(o for node in cell for o in node.outs)
    gives = {o: (node.outs, k) for node in graph.nodes for k, o in enumerate(node.outs)}
    found = Counter()
    for node in graph.nodes:
        if node not in cell:
            for k, wire in enumerate(a for a in node.args if a not in side):
                found[gives.get(wire, "input"), node.outs or node.name, k] += 1
    return found


def items(graph) -> int:
    cells = {node.name.partition("/")[0] for node in graph.nodes if "/" in node.name and not node.name.endswith("_reverse")}
    plain = sum(1 for node in graph.nodes if "/" not in node.name or node.name.endswith("_reverse"))
    return plain + len(cells)


# -- the picture is the graph -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_box_is_drawn_apart_and_every_wire_connects_its_ports(name):
    term = EXAMPLES[name]()
    scene = draw(term, fold=False).scene
    assert len(scene.boxes) == items(term.graph)
    assert overlapping(scene) == []
    assert traced(scene) == expected(term.graph)


@pytest.mark.parametrize("start", range(0, 120, 20))
def test_the_same_for_random_terms_and_their_reverses(start):
    for seed in range(start, start + 20):
        term = random_term(seed).term
        for each in (term, cl.reverse(term)) if seed % 4 == 0 else (term,):
            scene = draw(each, fold=False).scene
            assert len(scene.boxes) == items(each.graph), seed
            assert overlapping(scene) == [], seed
            assert traced(scene) == expected(each.graph), seed


def test_the_checks_see_a_wrong_picture():
    scene = draw(net(), fold=False).scene
    moved = replace(scene, boxes=[replace(b, x=scene.boxes[0].x, y=scene.boxes[0].y) for b in scene.boxes])
    assert overlapping(moved)
    crossed = list(scene.curves)
    a, b = [i for i, c in enumerate(crossed) if c.kind == "wire" and c.arrow][:2]
    crossed[a] = replace(crossed[a], points=(crossed[b].points[0], *crossed[a].points[1:]))
    assert traced(replace(scene, curves=crossed)) != expected(net().graph)
    with pytest.raises(AssertionError):
        traced(replace(scene, curves=scene.curves[1:]))


def test_folding_shows_scopes_as_boxes_and_repeats_once():
    assert [(b.title, b.times) for b in draw(net()).scene.boxes] == [("stem", 1), ("body ×3", 3), ("head", 1)]
    deeper = draw(net(), fold=2).scene
    assert [f.title for f in deeper.frames] == ["stem", "body ×3", "head"]
    assert sorted(b.title for b in deeper.boxes) == ["+", "gelu", "linear", "linear", "linear"]
    assert sorted(b.title for b in draw(net(), fold="body|stem").scene.boxes) == ["body ×3", "linear", "stem"]
    with pytest.raises(errors.NothingMatched, match="stem"):
        draw(net(), fold="tail")


def test_a_deep_transformer_is_one_page():
    ff = cl.linear(H, cl.R(64)) >> cl.gelu >> cl.linear(cl.R(64), H)
    layer = cl.copy(H) >> ff.named("mlp") @ cl.id(H) >> cl.add(H)
    deep = cl.linear(cl.R(4), H).named("embed") >> cl.repeat(12, layer).named("layers") >> cl.linear(H, cl.R(4)).named("head")
    for fold in (True, 2):
        scene = draw(deep, fold=fold).scene
        assert scene.width < 1600 and scene.height < 500 and len(scene.boxes) <= 5
    assert draw(cl.reverse(deep)).scene.width < 1600


def test_folded_wires_still_connect():
    scene = draw(cl.reverse(net())).scene
    assert overlapping(scene) == [] and sum(traced(scene).values()) == sum(p.side == "in" for b in scene.boxes for p in b.ports)


# -- parameters, copies, ends -----------------------------------------------------------------------------------------


def test_only_true_parameters_enter_from_above_and_frozen_ones_are_grey():
    kinds = Counter(dot.kind for dot in draw(lowrank(), fold=False).scene.dots)
    assert kinds == {"parameter": 3, "frozen": 1}  # b, a, bias; base
    box = next(b for b in draw(lowrank(), fold=False).scene.boxes if b.kind == "cell")
    assert box.title == "matmul · add" and sum(p.side == "top" for p in box.ports) == 3


def sources(scene: Scene) -> dict:
    """For every box the names of the parameters whose stubs or fans end on it, read off the curves and dots alone."""
    arriving = {key(c.end): c for c in scene.curves}
    dots = {key((d.x, d.y)): d.tip.partition(":")[0] for d in scene.dots}
    found = {}
    for box in scene.boxes:
        tops = []
        for port in (p for p in box.ports if p.side == "top"):
            point = key(port.at)
            while point in arriving:
                point = key(arriving[point].start)
            tops += [dots[point]] if point in dots else []
        found[identity(box)] = sorted(tops)
    return found


@pytest.mark.parametrize("name", EXAMPLES)
def test_parameters_and_states_lead_to_the_boxes_that_read_them(name):
    graph = EXAMPLES[name]().graph
    names = {w: n for n, w in graph.param_wires.items()} | {old: n for n, (old, _) in graph.state_wires.items()}
    found = sources(draw(EXAMPLES[name](), fold=False).scene)
    plain = [node for node in graph.nodes if "/" not in node.name or node.name.endswith("_reverse")]
    assert plain
    for node in plain:
        assert found[node.outs or node.name] == sorted({names[a] for a in node.args if a in names}), node.name


def test_a_parameter_that_leads_elsewhere_is_seen():
    scene = draw(net(), fold=False).scene
    swapped = replace(scene, dots=[replace(d, tip=scene.dots[0].tip) for d in scene.dots])
    assert sources(swapped) != sources(scene)


def test_a_tied_parameter_is_one_dot_that_fans_out():
    for fold in (True, False):
        scene = draw(tied(), fold=fold).scene
        wire = tied().graph.param_wires["enc.a.weight"]
        fans = [c for c in scene.curves if c.kind == "parameter" and c.wire == wire and c.arrow]
        assert sum(dot.tip.startswith("enc.a.weight") for dot in scene.dots) == 1 and len(fans) == 2


def test_copies_are_dots_and_discarded_wires_end():
    scene = draw(cl.copy(H, 3) >> cl.relu(H) @ cl.tanh(H) @ cl.discard(H)).scene
    assert [dot.kind for dot in scene.dots] == ["wire"]
    assert [dot.kind for dot in draw(cl.discard(H)).scene.dots] == ["end"]


def test_backward_wires_have_a_colour_of_their_own():
    term = cl.linear(H, H) >> cl.tanh
    assert {c.kind for c in draw(term).scene.curves} == {"wire", "parameter"}
    back = cl.reverse(term)
    made = {o for node in back.graph.nodes if node.name.endswith("_reverse") for o in node.outs} | {back.graph.inputs[1]}
    for curve in draw(back).scene.curves:
        if curve.kind in ("wire", "backward"):
            assert (curve.kind == "backward") == (curve.wire in made)


# -- formats ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXAMPLES)
def test_svg_is_well_formed_accessible_and_needs_nothing_else(name):
    text = draw(EXAMPLES[name](), fold=False).svg
    root = ET.fromstring(text)
    assert root.get("role") == "img" and root.find(f"{SVG}title") is not None and root.find(f"{SVG}desc") is not None
    assert "prefers-color-scheme:dark" in text and not re.search(r"(href|src|url\()", text)
    assert len(root.findall(f".//{SVG}rect[@class]")) > 1


def test_text_is_escaped_everywhere():
    term = cl.linear(H, H, name='a<b>&"c"_%{}$^~\\').named("<script>&")
    picture = draw(term, fold=False)
    words = [t.text for t in ET.fromstring(picture.svg).iter(f"{SVG}text")]
    assert 'a<b>&"c"_%{}$^~\\' in words and "<script>&" in words
    plain = re.sub(r"\\[{}%#$&_\\]", "", picture.tikz.partition("\n")[2])  # the first line is a comment
    assert plain.count("{") == plain.count("}") and plain.count("$") % 2 == 0 and "#" not in plain and "&" not in plain


@pytest.mark.parametrize("name", EXAMPLES)
def test_tikz_is_balanced_and_shows_every_box(name):
    picture = draw(EXAMPLES[name](), fold=False)
    text = re.sub(r"\\[{}]", "", picture.tikz)
    assert text.count("{") == text.count("}") and text.count("[") == text.count("]") and text.count("(") == text.count(")")
    assert re.findall(r"\\begin\{(\w+)\}", text) == list(reversed(re.findall(r"\\end\{(\w+)\}", text)))
    assert text.count(" rectangle ") >= len(picture.scene.boxes)
    assert all(line.endswith((";", "}", "]")) for line in text.splitlines()[1:])


def test_draw_writes_by_suffix_and_refuses_others_by_name(tmp_path):
    for suffix, start in ((".svg", b"<svg"), (".png", b"\x89PNG"), (".tex", b"%")):
        draw(net(), tmp_path / f"net{suffix}")
        assert (tmp_path / f"net{suffix}").read_bytes().startswith(start)
    with pytest.raises(errors.UnknownFormat, match=r"\.svg"):
        draw(net(), tmp_path / "net.gif")
    assert not (tmp_path / "net.gif").exists()


def test_the_same_picture_in_every_process():
    code = "import catlearn as cl; from tests.meanings.test_picture import tied, net; from catlearn.meanings.picture import draw; " \
           "print(hash(1), [draw(t, fold=f).svg for t in (tied(), net(), cl.reverse(net())) for f in (True, False)])"  # fmt: skip
    texts = {subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed, "PATH": ""}, capture_output=True, text=True,
                            check=True).stdout for seed in ("1", "2")}  # fmt: skip
    assert len(texts) == 1


def test_notebooks_show_a_term_even_a_huge_one():
    assert ET.fromstring(net()._repr_svg_()).tag == f"{SVG}svg"
    huge = cl.seq(*[cl.relu(H) for _ in range(3000)])
    assert len(ET.fromstring(huge._repr_svg_()).findall(f".//{SVG}rect[@class='b-fold']")) == 1


def test_too_many_boxes_are_refused_kindly_and_2000_are_drawn():
    with pytest.raises(errors.TooManyBoxes, match="fold"):
        draw(cl.seq(*[cl.relu(H) for _ in range(2001)]), fold=False)
    many = cl.seq(*[cl.relu(H) for _ in range(1001)])
    assert len(draw(many >> many, fold=False, limit=None).scene.boxes) == 2002
    wide = cl.par(*[cl.linear(cl.R(2), cl.R(2)) >> cl.tanh for _ in range(300)])
    assert len(draw(wide, fold=False).scene.boxes) == 600


def test_a_picture_does_not_change_the_term():
    term, x = tied(), torch.ones(2, 16)
    before = term(x)
    draw(term)
    assert torch.equal(before, term(x))
