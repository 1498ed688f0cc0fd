"""``save`` and ``load``: a term in one safetensors file, versioned, written atomically, without pickle.

The tensors of the file are those that the term holds (initial values, attributes of ops). Its metadata holds the term as JSON: tables
of wires, spaces and ops, then the nodes in an order in which each comes after its parts, so that shared parts are written once and a
term may be as deep as it likes. An op is written by its registered key and its attributes. Python functions are not written: a box
made of one is refused on loading unless it is handed in, ``load(path, boxes={name: op})``.

Laws: ``load(save(f, path)) == f``, with equal initial values. A file that cannot be read whole changes nothing and gives ``BadFile``.

>>> import catlearn as cl, tempfile, pathlib
>>> f = cl.linear(cl.R(4), cl.R(3)).named("stem") >> cl.relu >> cl.power(cl.R(3), exponent=3)
>>> path = pathlib.Path(tempfile.mkdtemp()) / "f.safetensors"
>>> load(save(f, path)) == f
True
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import safe_open

from catlearn import errors
from catlearn.core.cells import Cell
from catlearn.core.op import Op, registered
from catlearn.core.spaces import Space
from catlearn.core.term import Box, Par, Reparam, Repeat, Scope, Seq, Term, Wiring
from catlearn.interop.values import Cannot, Reader, Writer, check_plain, is_written_out

FORMAT, VERSION = "catlearn.term", 1
Boxes = Mapping[str, Any]


def save(term: Term, path: str | os.PathLike[str]) -> Path:
    """Write a term to a file, all of it or nothing, and return the path.

    Raises ``BadFile`` if something in it cannot be written (an initial value that is no tensor), ``NameUsedTwice`` and the like if
    its names clash.
    """
    if not isinstance(term, Term):
        raise errors.NotATerm(f"save({type(term).__name__}, ...): only terms are saved here")
    _ = term.graph  # a term whose names clash would be refused on loading
    writer = TermWriter()
    try:
        writer.term(term)
    except Cannot as error:
        raise errors.BadFile(f"{term.title} holds a {error}, which no file can hold",
                             next="start parameters from tensors or an Init") from error  # fmt: skip
    header = {"version": VERSION, **writer.tables(), "nodes": writer.nodes}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    content = safetensors.torch.save(writer.tensors, {"format": FORMAT, "version": str(VERSION), "term": text})
    return write_atomically(Path(path), content)


def load(path: str | os.PathLike[str], boxes: Boxes | None = None) -> Term:
    """The term in a file. ``boxes`` (name → op, op class, schema or box) stands in for boxes that are not registered here or
    made of a Python function; a registered box of the same name stays what it is.

    Raises ``BadFile`` for a truncated, foreign or newer file, ``UnknownBox`` with the names that are missing.
    """
    with _readable(path):
        with safe_open(os.fspath(path), framework="pt") as file:
            meta = file.metadata() or {}
            if meta.get("format") != FORMAT:
                raise errors.BadFile(f"{os.fspath(path)} is no term", [f"its format is {meta.get('format', 'not stated')}"],
                                     "terms are written by cl.save(term, path)")  # fmt: skip
            if int(meta["version"]) > VERSION:
                raise errors.BadFile(f"{os.fspath(path)} is of version {meta['version']}, this library reads up to {VERSION}",
                                     next="install a newer catlearn")  # fmt: skip
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        header = json.loads(meta["term"])
        reader = Reader(header, tensors, lambda entry: read_op(reader, entry, boxes or {}, missing), lambda i: terms[i])
        missing: dict[str, None] = {}
        terms: list[Term] = []
        for node in header["nodes"]:
            for i in _ops_of(node):
                reader.op(i)
            terms.append(_placeholder() if missing else read_node(reader, node, terms))
        if missing:
            needed = ", ".join(f"{name!r}: ..." for name in missing)
            raise errors.UnknownBox(f"{os.fspath(path)} holds boxes that are not known here: {', '.join(missing)}",
                                    next=f"load(path, boxes={{{needed}}}), or import the module that defines them first")  # fmt: skip
        _ = terms[-1].graph
        return terms[-1]


def write_atomically(path: Path, content: bytes) -> Path:
    """The file appears whole under its name, or stays as it was. Missing folders are made; the umask says who may read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with beside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return path


@contextmanager
def _readable(path: str | os.PathLike[str]) -> Iterator[None]:
    """Any way in which a file can be wrong, as ``BadFile``."""
    try:
        yield
    except (errors.UnknownBox, errors.BadFile):
        raise
    except FileNotFoundError as error:
        raise errors.BadFile(f"there is no file {os.fspath(path)}") from error
    except Exception as error:  # whatever a foreign file makes the constructors say
        first = str(error).partition("\n")[0]
        raise errors.BadFile(f"{os.fspath(path)} cannot be read as a term", [f"{type(error).__name__}: {first}"],
                             "it is truncated, damaged or foreign; nothing was changed") from error  # fmt: skip


# -- terms -----------------------------------------------------------------------------------------------------------------


class TermWriter(Writer):
    """Adds nodes for terms to the tables for values."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes: list[list[Any]] = []
        self.index: dict[int, int] = {}
        self.alive: list[Term] = []  # so that no identity is used twice

    def term(self, term: Term) -> int:
        """The number of a term's node; its parts get theirs before."""
        self.alive.append(term)
        stack: list[tuple[Term, bool]] = [(term, False)]
        while stack:
            node, done = stack.pop()
            if id(node) in self.index:
                continue
            if done:
                entry = self.node(node)
                self.nodes.append(entry)
                self.index[id(node)] = len(self.nodes) - 1
            else:
                stack.append((node, True))
                stack += ((part, False) for part in reversed(_parts(node)))
        return self.index[id(term)]

    def node(self, node: Term) -> list[Any]:
        parts = [self.index[id(part)] for part in _parts(node)]
        if isinstance(node, Box):
            overrides = {short: self.value(param) for short, param in (node.overrides or {}).items()}
            return ["box", self.op(node.op), self.space(node.dom), node.name, *([overrides] if overrides else [])]
        if isinstance(node, Wiring):
            return ["wiring", self.space(node.dom), None if node.targets is None else list(node.targets)]
        if isinstance(node, Seq | Par):
            return ["seq" if isinstance(node, Seq) else "par", *parts]
        if isinstance(node, Repeat):
            return ["repeat", node.n, node.shared, node.checkpoint, *parts]
        if isinstance(node, Scope):
            return ["copy" if node.copy else "scope", node.name, node.checkpoint, *parts]
        assert isinstance(node, Reparam)
        return ["reparam", parts[0], [self.cell(cell, read) for cell, read in zip(node.cells, parts[1:], strict=True)]]

    def cell(self, cell: Cell, read: int) -> list[Any]:
        sources = [[name, self.value(param)] for name, param in cell.sources]
        section = self.value(cell.section) if self.can_hold(cell.section) else None
        return [sources, list(cell.targets), read, section, cell.title]


def _parts(node: Term) -> tuple[Term, ...]:
    if isinstance(node, Seq):
        return node.first, node.second
    if isinstance(node, Par):
        return node.left, node.right
    if isinstance(node, Reparam):
        return node.body, *(cell.read for cell in node.cells)
    return (node.body,) if isinstance(node, Repeat | Scope) else ()


def _ops_of(node: list[Any]) -> list[int]:
    return [node[1]] if node[0] == "box" else []


def _placeholder() -> Term:
    return Wiring(Space(), None, None)


def read_node(reader: Reader, node: list[Any], terms: list[Term]) -> Term:
    """The term of a node whose parts have been read."""
    kind, *rest = node
    if kind == "box":
        op, dom, name, *more = rest
        overrides = {short: reader.value(param) for short, param in more[0].items()} if more else None
        box = Box(reader.op(op), reader.space(dom), name, overrides, None)
        if not set(box.overrides or ()) <= set(box.op.param_names):
            raise ValueError(f"{box.title} has no parameters {', '.join(box.overrides or ())}")
        return box
    if kind == "wiring":
        dom, targets = reader.space(rest[0]), rest[1]
        if targets is not None and not all(isinstance(t, int) and 0 <= t < len(dom) for t in targets):
            raise ValueError(f"a wiring from {len(dom)} wires to {targets}")
        return Wiring(dom, None if targets is None else tuple(targets), None)
    made: dict[str, Callable[..., Term]] = {
        "seq": lambda first, second: Seq(_at(terms, first), _at(terms, second), None),
        "par": lambda left, right: Par(_at(terms, left), _at(terms, right), None),
        "repeat": lambda n, shared, checkpoint, body: Repeat(n, _at(terms, body), shared, checkpoint, None),
        "scope": lambda name, checkpoint, body: Scope(name, _at(terms, body), checkpoint, None),
        "copy": lambda name, checkpoint, body: Scope(name, _at(terms, body), checkpoint, None, copy=True),
        "reparam": lambda body, cells: Reparam(_at(terms, body), tuple(read_cell(reader, cell, terms) for cell in cells), None),
    }
    return made[kind](*rest)


def read_cell(reader: Reader, entry: list[Any], terms: list[Term]) -> Cell:
    sources, targets, read, section, title = entry
    given = tuple((str(name), reader.value(param)) for name, param in sources)
    return Cell(given, tuple(map(str, targets)), _at(terms, read), reader.value(section), str(title))


def _at(terms: list[Term], i: int) -> Term:
    if not isinstance(i, int) or i < 0:
        raise ValueError(f"{i!r} is no node")
    return terms[i]


def read_op(reader: Reader, entry: Mapping[str, Any], boxes: Boxes, missing: dict[str, None]) -> Op | None:
    """The op of a table entry: from the registry, else from ``boxes`` by its name or key; None, and noted, if it is in neither."""
    key, name, attributes = entry["key"], entry.get("name", entry["key"]), entry.get("attributes")
    kind = registered(key)
    if kind is None or attributes is None or not is_written_out(kind):  # it is not ours to make
        given = boxes.get(name, boxes.get(key))
        given = getattr(given, "op", None) or getattr(given, "kind", None) or given  # a box or a schema stands for its op
        if isinstance(given, Op):
            return given
        if attributes is None or not (isinstance(given, type) and issubclass(given, Op) and is_written_out(given)):
            missing[name] = None
            return None
        kind = given
    check_plain(attributes)
    values = {field: reader.value(value) for field, value in attributes.items()}
    return None if missing else kind(**values)


__all__ = ["load", "save", "write_atomically"]
