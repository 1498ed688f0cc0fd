"""``load(save(f)) == f`` for every op and constructor; a file that is wrong in any way is refused by name and changes nothing."""

from __future__ import annotations

import json
import os
import stat
import typing
from dataclasses import dataclass, fields
from fractions import Fraction
from random import Random
from types import UnionType

import numpy as np
import pytest
import safetensors.torch
import torch

import catlearn as cl
from catlearn import errors
from catlearn.core.op import _REGISTRY, Op, Param
from catlearn.core.spaces import Axis, Space, Wire
from catlearn.interop.files import TermWriter, read_op
from catlearn.interop.values import Reader, Writer, is_written_out
from tests.core.random_terms import Draw

x, y = cl.R(3), cl.R(2)


def again(term, tmp_path, **kwargs):
    return cl.load(cl.save(term, tmp_path / "term.safetensors"), **kwargs)


def same_start(one, two):
    """Equal initial values, bit for bit."""
    if isinstance(one, torch.Tensor):
        return isinstance(two, torch.Tensor) and one.dtype == two.dtype and torch.equal(one, two)
    return one == two


def check(term, tmp_path):
    back = again(term, tmp_path)
    assert back == term and hash(back) == hash(term)
    assert (back.dom, back.cod) == (term.dom, term.cod)
    assert list(back.params.items()) == list(term.params.items())
    for name, param in term.params.items():
        assert same_start(param.init, back.params[name].init), name
    return back


# -- round trips -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
def test_random_terms_come_back(seed, tmp_path):
    try:
        term = Draw(seed).term(8)
        _ = term.graph
    except errors.CatlearnError:
        return
    check(term, tmp_path)


VALUES = {
    int: 3, float: -0.0, bool: True, str: "ij,jk->ik", Fraction: Fraction(1, 3), Space: x @ cl.S(4).space(2, channels=cl.dim("n") * 2 + 1),
    Wire: cl.index(cl.S(5, name="users"), 12)[0], Op: cl.power(exponent=Fraction(1, 2)).op, Axis: Axis(cl.dim("m", min=5), None),
    type(None): None, object: torch.eye(2), cl.Init: cl.Init("uniform", (-0.5, 0.5)),
}  # fmt: skip


def example(hint):
    """Some values of a type, as an op's annotation gives it."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, UnionType):
        return [value for arg in args for value in example(arg)]
    if origin is tuple:
        inner = [value for arg in args if arg is not Ellipsis for value in example(arg)]
        return [(), tuple(inner)] if Ellipsis in args else [tuple(inner)]
    if hint in (dict, typing.Any) or origin is not None or hint not in VALUES:
        return [VALUES[str]]
    return [VALUES[hint]]


def alike(one, two):
    """Equal, of equal types, down to the sign of zero."""
    if isinstance(one, tuple):
        return type(two) is tuple and len(one) == len(two) and all(map(alike, one, two))
    if isinstance(one, torch.Tensor):
        return same_start(one, two)
    return type(one) is type(two) and (one == two or one != one) and repr(one) == repr(two)


def reading(header, tensors):
    reader = Reader(header, tensors, lambda entry: read_op(reader, entry, {}, {}), lambda i: None)
    return reader


@pytest.mark.parametrize("key", sorted(_REGISTRY))
def test_every_registered_op_comes_back_attribute_by_attribute(key):
    kind = _REGISTRY[key]
    if not is_written_out(kind):
        return  # tested below: it has to be handed in
    hints = typing.get_type_hints(kind, None, {"Size": int, "Op": Op, "Space": Space})
    choices = {f.name: example(hints[f.name]) for f in fields(kind)}
    for k in range(max(map(len, choices.values()), default=1)):
        attributes = {name: values[k % len(values)] for name, values in choices.items()}
        try:
            op = kind(**attributes)
        except errors.CatlearnError:
            continue
        writer = Writer()
        number = writer.op(op)
        header = json.loads(json.dumps(writer.tables(), allow_nan=False))

        back = reading(header, writer.tensors).op(number)
        assert type(back) is kind
        for name in attributes:
            assert alike(getattr(op, name), getattr(back, name)), name


def test_numbers_keep_their_type_and_their_bits(tmp_path):
    numbers = [1, 1.0, True, Fraction(1), 0.0, -0.0, 0.1, 1e300, float("inf"), float("-inf"), float("nan"), 10**30]
    writer = Writer()
    written = json.loads(json.dumps(writer.value(tuple(numbers)), allow_nan=False))
    back = Reader({**writer.tables()}, {}, lambda e: None, lambda i: None).value(written)
    assert [(type(n), repr(n)) for n in back] == [(type(n), repr(n)) for n in numbers]


def test_ops_that_compare_equal_but_differ_are_kept_apart(tmp_path):
    term = cl.scale(x, 1) >> cl.scale(x, 1.0) >> cl.scale(x, Fraction(1))
    back = again(term, tmp_path)
    assert [type(part.op.factor) for part in (back.first.first, back.first.second, back.second)] == [int, float, Fraction]


def test_every_constructor_and_edit_comes_back(tmp_path):
    layer = cl.linear(x, x)
    net = cl.copy(x) >> layer.named("a") @ cl.repeat(2, layer >> cl.relu).named("b") >> cl.swap(x, x) >> cl.add(x)
    net = net >> cl.repeat(3, cl.bias(x), shared=True) >> cl.discard(x) @ cl.full(y, 0.5)
    check(net, tmp_path)
    check(net.at("a").checkpoint(), tmp_path)
    check(net.at("a.*.weight|b.0.*.weight").tie().at("b.1").freeze(), tmp_path)
    check(net.at("a.linear.weight").reparam(cl.cells.transposed()).at("*.bias").reparam(cl.cells.positive()), tmp_path)
    check(cl.linear(x, x).at("*").reparam(cl.cells.bind(0.25)), tmp_path)
    check(cl.reverse(cl.linear(x, y) >> cl.relu >> cl.linear(y, y)), tmp_path)


def test_the_loaded_network_computes_the_same_numbers(tmp_path):
    net = cl.linear(x, y, name="a") >> cl.gelu >> cl.linear(y, x, name="b")
    net = net.at("b.weight").reparam(cl.cells.transposed()).at("*.weight").tie()
    back, z = again(net, tmp_path), torch.randn(5, 3)
    assert torch.equal(cl.compile(net)(z), cl.compile(back)(z))


def test_sections_of_ready_made_cells_are_kept(tmp_path):
    w = cl.linear(x, x, bias=False, name="a")
    values = {"a.weight": torch.rand(3, 3) + 0.1}
    for edit in (cl.core.cells.frozen, lambda name, p: cl.core.cells.renamed(name, p, "b"), cl.cells.transposed(), cl.cells.positive()):
        made = w.at("a").reparam(edit)
        cell = made.cells[0]
        back = again(made, tmp_path).cells[0]
        for name, value in cell.get_section(values).items():
            assert torch.equal(back.get_section(values)[name], value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_initial_tensors_come_back_bit_for_bit(dtype, tmp_path):
    big = torch.randn(6, 6, dtype=dtype)
    start = {"weight": Param(cl.parameter(cl.R(3, 3)), big.T[::2, ::2]), "bias": Param(cl.parameter(x), np.array([1.0, 2.0, 3.0]))}
    box = cl.Box(cl.linear(x, x).op, x, "a", start)
    back = again(box, tmp_path)
    assert torch.equal(back.params["a.weight"].init, big.T[::2, ::2]) and back.params["a.weight"].init.dtype == dtype
    assert back.params["a.bias"].init.tolist() == [1.0, 2.0, 3.0]


def test_what_is_shared_is_written_once(tmp_path):
    term = cl.relu(x)
    for _ in range(12):
        term = term >> term
    writer = TermWriter()
    writer.term(term)
    assert len(writer.nodes) == 13 and len(writer.tables()["ops"]) == 1
    check(term, tmp_path)


@pytest.mark.parametrize("boxes", [5_000, pytest.param(50_000, marks=pytest.mark.slow)])
def test_deep_terms_are_saved_and_loaded_without_recursion(boxes, tmp_path):
    term = cl.id(x)
    for i in range(boxes // 2):
        term = term >> cl.relu(x) >> cl.scale(x, i)
    assert again(term, tmp_path) == term


# -- refusals --------------------------------------------------------------------------------------------------------------


def a_file(tmp_path):
    return cl.save(cl.linear(x, y, name="a") >> cl.relu, tmp_path / "f.safetensors")


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(part, tmp_path):
    net = cl.Box(cl.linear(x, x).op, x, "a", {"weight": Param(cl.parameter(cl.R(3, 3)), torch.eye(3))})
    path = cl.save(net, tmp_path / "f.safetensors")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(errors.BadFile):
        cl.load(path)


def test_foreign_files_are_refused(tmp_path):
    path = tmp_path / "f"
    for content in (b"", b"PK\x03\x04" + bytes(100), b'{"a": 1}', safetensors.torch.save({"w": torch.eye(2)}),
                    safetensors.torch.save({}, {"format": "catlearn.term", "version": "1"}),
                    safetensors.torch.save({}, {"format": "catlearn.term", "version": "one", "term": "{}"})):  # fmt: skip
        path.write_bytes(content)
        with pytest.raises(errors.BadFile):
            cl.load(path)
    with pytest.raises(errors.BadFile, match="no file"):
        cl.load(tmp_path / "absent")


def changed(path, edit):
    """The file with its JSON edited."""
    with safetensors.safe_open(str(path), framework="pt") as file:
        meta = file.metadata()
    header = json.loads(meta["term"])
    edit(header, meta)
    meta["term"] = json.dumps(header)
    path.write_bytes(safetensors.torch.save({}, meta))
    return path


def test_a_newer_version_is_refused_and_says_so(tmp_path):
    path = changed(a_file(tmp_path), lambda header, meta: meta.update(version="99"))
    with pytest.raises(errors.BadFile, match="version 99"):
        cl.load(path)


def evil_size():
    """A symbolic size whose name would be a statement."""
    dim = {"class": "Dim", "name": "n; import os", "min": 2}
    return {"class": "Poly", "terms": {"tuple": [{"tuple": [{"tuple": [{"tuple": [dim, 1]}]}, 1]}]}}


@pytest.mark.parametrize("edit", [
    lambda h: h["nodes"][2].__setitem__(1, 7),  # a part that comes later
    lambda h: h["nodes"][2].__setitem__(1, -1),
    lambda h: h["nodes"][2].__setitem__(0, "loop"),
    lambda h: h["nodes"].clear(),
    lambda h: h["spaces"][0].append(-1),
    lambda h: h["wires"][0].update(axes={"tuple": [{"class": "Axis", "size": -3, "group": None}]}),
    lambda h: h["wires"][0].update(kind="complex"),
    lambda h: h["ops"][0]["attributes"].update(unheard=1),
    lambda h: h["ops"][0]["attributes"].update(out={"code": "import os"}),
    lambda h: h["ops"][0]["attributes"].update(out="3); import os; print("),  # text that could reach generated code
    lambda h: h["wires"][0].update(axes={"tuple": [{"class": "Axis", "group": None, "size": evil_size()}]}),
    lambda h: h["nodes"][0].append({"extra": {"class": "Param", "space": {"space": 0}, "init": None, "trainable": True}}),
    lambda h: h["nodes"][0].__setitem__(3, "a.b"),  # a name with a dot
    lambda h: h.pop("ops"),
])  # fmt: skip
def test_a_damaged_term_is_refused(edit, tmp_path):
    path = changed(a_file(tmp_path), lambda header, meta: edit(header))
    with pytest.raises(errors.BadFile):
        cl.load(path)


def test_a_flipped_bit_gives_a_term_or_a_named_error_and_nothing_else(tmp_path):
    net = cl.Box(cl.linear(x, x).op, x, "a", {"weight": Param(cl.parameter(cl.R(3, 3)), torch.eye(3))}) >> cl.repeat(2, cl.bias(x))
    path, rng, refused = cl.save(net.at("a.*").freeze(), tmp_path / "f"), Random(5), 0
    content = path.read_bytes()
    for _ in range(300):
        flipped = bytearray(content)
        flipped[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(flipped))
        try:
            assert isinstance(cl.load(path), cl.Term)
        except (errors.BadFile, errors.UnknownBox):
            refused += 1
    assert refused > 100


def test_the_undamaged_file_is_read_by_the_same_route(tmp_path):
    path = changed(a_file(tmp_path), lambda header, meta: None)
    assert cl.load(path) == cl.linear(x, y, name="a") >> cl.relu


def test_saving_is_all_or_nothing(tmp_path, monkeypatch):
    path = a_file(tmp_path)
    before = path.read_bytes()
    monkeypatch.setattr("os.replace", lambda *args: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        cl.save(cl.relu(x), path)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_start_that_no_file_can_hold_is_refused_before_writing(tmp_path):
    box = cl.Box(cl.bias(x).op, x, None, {"bias": Param(cl.parameter(x), object())})
    with pytest.raises(errors.BadFile, match="object"):
        cl.save(box, tmp_path / "f")
    assert not list(tmp_path.iterdir())


def test_a_box_made_of_a_python_function_must_be_handed_in(tmp_path):
    @dataclass(frozen=True)
    class Home(Op):
        key = "test_home_made"
        label: str
        function: typing.Any

        def infer(self, dom):
            return dom

        @property
        def name(self):
            return self.label

    mine, other = Home("mine", abs), Home("other", max)
    term = cl.relu(x) >> cl.Box(mine, x) >> cl.Box(other, x).named("s")
    path = cl.save(term, tmp_path / "f")
    with pytest.raises(errors.UnknownBox, match=r"mine.*other"):
        cl.load(path)
    with pytest.raises(errors.UnknownBox) as refusal:
        cl.load(path, boxes={"mine": mine})
    assert "other" in str(refusal.value) and "mine" not in str(refusal.value)
    assert cl.load(path, boxes={"mine": mine, "other": cl.Box(other, x)}) == term


def test_a_users_own_box_is_never_made_from_a_file(tmp_path):
    """Its rule is code, be it a function or a text."""
    for rule in (lambda x: 2 * x, "{x0} + {x0}"):
        twice = cl.box("twice", x, x, torch=rule)
        path = cl.save(cl.relu(x) >> twice, tmp_path / "f")
        with pytest.raises(errors.UnknownBox, match="twice"):
            cl.load(path)
        assert cl.load(path, boxes={"twice": twice}) == cl.relu(x) >> twice

    def smuggle(header, meta):
        fields = {"title": "twice", "dom": {"space": 0}, "cod": {"space": 0}, "rule": "x0"}
        header["ops"][1] = {"key": "box", "attributes": fields}

    with pytest.raises(errors.UnknownBox, match="box"):
        cl.load(changed(path, smuggle))


def test_a_box_of_an_unregistered_kind_is_refused_by_its_key(tmp_path):
    path = changed(a_file(tmp_path), lambda header, meta: header["ops"][1].update(key="warp"))
    with pytest.raises(errors.UnknownBox, match="warp"):
        cl.load(path)
    assert cl.load(path, boxes={"warp": cl.relu}) == cl.linear(x, y, name="a") >> cl.relu


def test_boxes_leave_registered_boxes_alone(tmp_path):
    """A box of torch may be called as one of ours; only it is looked up."""
    mine = cl.from_module(torch.nn.Linear(3, 3), x, x)
    term = cl.linear(x, x, name="first") >> mine.named("second")
    path = cl.save(term, tmp_path / "t")
    back = cl.load(path, boxes={"linear": mine})
    assert back == term and [type(node.op) for node in back.graph.nodes] == [cl.linear(x, x).op.__class__, type(mine.op)]


def test_folders_are_made_and_the_umask_holds(tmp_path):
    old = os.umask(0o027)
    try:
        path = cl.save(cl.relu(x), tmp_path / "a" / "b" / "term.safetensors")
    finally:
        os.umask(old)
    assert cl.load(path) == cl.relu(x)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640 and [p.name for p in path.parent.iterdir()] == [path.name]
