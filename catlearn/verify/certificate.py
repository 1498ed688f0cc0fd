"""A proof as JSON: the program, the type at every wire, the step at every node, the claim, and a digest of all of it.

Laws: ``decode(encode(proof)) == proof``, and ``encode(decode(certificate)) == certificate``: whatever ``encode`` does not write is refused,
down to an unknown key, and always by ``BadCertificate``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

from catlearn.core.sizes import Dim, Poly, Size
from catlearn.errors import BadCertificate
from catlearn.verify.proof import Claim, Given, Node, Program, Proof, Step, Wire
from catlearn.verify.rules.call import Value
from catlearn.verify.types import Axis, Factor, Type

FORMAT, VERSION = "catlearn proof", 1
DEPTH, POWER = 64, 64  # how deep a certificate may be nested; the largest power of a symbol in a size
_RATIO = re.compile(r"-?[0-9]{1,400}(/[0-9]{1,400})?")  # Fraction alone would also take 1e999999999


def encode(proof: Proof) -> dict[str, Any]:
    """The certificate of a proof."""
    program, claim = proof.program, proof.claim
    table = {t: k for k, t in enumerate(dict.fromkeys(t for s in proof.steps for t in s.types))}  # most wires share a few types
    body = {
        "format": FORMAT,
        "version": VERSION,
        "program": {
            "wires": [{"shape": [_size(n) for n in v.shape], "kind": v.kind, "entries": v.entries and list(v.entries)}
                      for v in program.wires],
            "inputs": [{"wire": g.wire, "role": g.role, "name": g.name} for g in program.inputs],
            "nodes": [{"op": n.op, "args": {k: _arg(a) for k, a in n.args.items()}, "outs": list(n.outs), "random": n.random,
                       "sizes": list(n.sizes)} for n in program.nodes],
            "outputs": list(program.outputs),
            "dims": {name: list(bounds) for name, bounds in program.dims.items()},
        },
        "claim": {"dom": [_type(t) for t in claim.dom], "cod": [_type(t) for t in claim.cod],
                  "dims": {name: list(bounds) for name, bounds in claim.dims.items()}, "assumes": sorted(claim.assumes)},
        "types": [_type(t) for t in table],
        "steps": [{"of": list(s.of), "premises": list(s.premises), "types": [table[t] for t in s.types]} for s in proof.steps],
        "outputs": list(proof.outputs),
    }  # fmt: skip
    return {**body, "digest": digest(body)}


def digest(certificate: Mapping[str, Any]) -> str:
    """SHA-256 of everything but the digest itself, in canonical JSON."""
    body = {k: v for k, v in certificate.items() if k != "digest"}
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()).hexdigest()


def decode(certificate: Any) -> Proof:
    """The proof that a certificate holds.

    Raises ``BadCertificate`` if it is none, if its digest is not that of its content, or if it is not what ``encode`` writes of it.
    """
    try:
        proof = _decoded(certificate)
        same = digest(encode(proof)) == certificate["digest"]
    except BadCertificate:
        raise
    except Exception as error:  # whoever wrote it may have meant harm: whatever goes wrong, it is no certificate
        raise BadCertificate(f"the certificate cannot be read: {type(error).__name__}") from error
    if not same:
        raise BadCertificate("the certificate is not written as certificates are", ["a table or a number stands there in another way"])
    return proof


def _decoded(certificate: Any) -> Proof:
    c = _fields(certificate, "certificate", "format version program claim types steps outputs digest")
    _shallow(c)
    try:
        found = digest(certificate)
    except (TypeError, ValueError) as error:
        raise BadCertificate(f"the certificate is no JSON: {error}") from error
    if c["format"] != FORMAT or _is(c["version"], int, "version") != VERSION:
        raise BadCertificate(
            f"a certificate of format {c['format']!r}, version {c['version']!r}", [f"needed  {FORMAT!r}, version {VERSION}"]
        )
    if found != c["digest"]:
        raise BadCertificate("the certificate has been changed: its digest is not that of its content", next="ask for the original file")
    p = _fields(c["program"], "program", "wires inputs nodes outputs dims")
    program = Program(
        _each(p["wires"], _value), _each(p["inputs"], _given), _each(p["nodes"], _node), _ints(p["outputs"]), _dims(p["dims"])
    )
    k = _fields(c["claim"], "claim", "dom cod dims assumes")
    assumes = frozenset(_is(a, str, "assumes") for a in _is(k["assumes"], list, "assumes"))
    claim = Claim(_each(k["dom"], _read_type), _each(k["cod"], _read_type), _dims(k["dims"]), assumes)
    types = _each(c["types"], _read_type)
    return Proof(program, claim, _each(c["steps"], lambda s: _read_step(s, types)), _ints(c["outputs"]))


def _shallow(certificate: dict[str, Any]) -> None:
    """Refuses lists in lists without end."""
    level: list[Any] = [certificate]
    for _ in range(DEPTH):
        inside = [x.values() if isinstance(x, dict) else x for x in level if isinstance(x, dict | list)]
        level = [y for x in inside for y in x if isinstance(y, dict | list)]
    if level:
        raise BadCertificate(f"the certificate is nested deeper than {DEPTH} lists")


# -- writing -----------------------------------------------------------------------------------------------------------


def _size(n: Size) -> Any:
    if isinstance(n, int):
        return n
    return {"size": [[[[d.name, d.min, power] for d, power in monomial], coefficient] for monomial, coefficient in n.terms]}


def _arg(arg: Any) -> Any:
    if isinstance(arg, Wire):
        return {"wire": arg.place}
    if isinstance(arg, Poly):
        return _size(arg)
    if isinstance(arg, float):
        return {"float": arg.hex()}  # exact, and nan and inf are no JSON
    if isinstance(arg, list | tuple):
        return [_arg(x) for x in arg]
    return arg


def _axis(axis: Axis) -> list[Any]:
    rows = []
    for f in axis:
        row: dict[str, Any] = {"kind": f.kind, "size": _size(f.size)}
        row |= {"group": f.group} if f.group else {}
        row |= {"shift": {"ratio": str(f.shift)} if isinstance(f.shift, Fraction) else _size(f.shift)} if f.shift != 0 else {}
        row |= {"parts": [_axis(part) for part in f.parts]} if f.parts else {}
        row |= {"pad": list(f.pad)} if f.pad != (0, 0) else {}
        rows.append(row)
    return rows


def _type(t: Type) -> dict[str, Any]:
    row: dict[str, Any] = {"axes": [_axis(axis) for axis in t.axes]}
    row |= {"points": _axis(t.points)} if t.points is not None else {}
    return row | ({"zero": True} if t.zero else {}) | ({"sign": list(t.sign)} if t.sign else {})


# -- reading, strictly -------------------------------------------------------------------------------------------------


def _is(x: Any, kind: type, where: str) -> Any:
    if not isinstance(x, kind) or (kind is int and isinstance(x, bool)):
        raise BadCertificate(f"{where}: {_short(x)} is no {kind.__name__}")
    return x


def _short(x: Any) -> str:
    return f"{str(x)[:60]!r}"


def _fields(x: Any, where: str, needed: str, optional: str = "") -> dict[str, Any]:
    _is(x, dict, where)
    if not set(needed.split()) <= set(x) <= set(needed.split()) | set(optional.split()):
        raise BadCertificate(f"{where} has the fields {', '.join(map(str, x))}", [f"needed  {needed}"])
    return x


def _each(rows: Any, read: Callable[[Any], Any]) -> tuple[Any, ...]:
    return tuple(read(row) for row in _is(rows, list, "a list"))


def _ints(rows: Any) -> tuple[int, ...]:
    return tuple(_is(n, int, "a number") for n in _is(rows, list, "a list"))


def _dims(rows: Any) -> dict[str, tuple[int, int | None]]:
    found = {}
    for name, bounds in _is(rows, dict, "dims").items():
        if not isinstance(bounds, list) or len(bounds) != 2:
            raise BadCertificate(f"dims: {bounds!r} is no range")
        found[name] = (_is(bounds[0], int, "dims"), None if bounds[1] is None else _is(bounds[1], int, "dims"))
    return found


def _read_size(x: Any) -> Size:
    if isinstance(x, int) and not isinstance(x, bool):
        return x
    return _polynomial(json.dumps(x))  # a program repeats few sizes many times


@lru_cache(maxsize=256)
def _polynomial(text: str) -> Size:
    x = json.loads(text)
    total: Size = 0
    for term in _is(_fields(x, "size", "size")["size"], list, "size"):
        if not isinstance(term, list) or len(term) != 2:
            raise BadCertificate(f"size: {term!r} is no term")
        product: Size = _is(term[1], int, "size")
        for row in _is(term[0], list, "size"):
            if not isinstance(row, list) or len(row) != 3 or not 1 <= _is(row[2], int, "size") <= POWER:
                raise BadCertificate(f"size: {row!r} is no power of a symbol")
            symbol = Poly(((((Dim(_is(row[0], str, "size"), _is(row[1], int, "size")), 1),), 1),))
            product = symbol ** row[2] * product
        total = product + total
    if _size(total) != x:
        raise BadCertificate(f"size: {x!r} is not in normal form")
    return total


def _read_arg(x: Any) -> Any:
    if isinstance(x, list):
        return [_read_arg(a) for a in x]
    if isinstance(x, dict):
        if set(x) == {"wire"}:
            return Wire(_is(x["wire"], int, "wire"))
        if set(x) == {"float"}:
            try:
                return float.fromhex(_is(x["float"], str, "float"))
            except (ValueError, OverflowError) as error:
                raise BadCertificate(f"float: {x['float']!r} is none") from error
        return _read_size(x)
    if x is None or isinstance(x, bool | int | str):
        return x
    raise BadCertificate(f"an argument {x!r}")


def _read_axis(rows: Any) -> Axis:
    found = []
    for row in _is(rows, list, "axis"):
        f = _fields(row, "factor", "kind size", "group shift parts pad")
        shift = f.get("shift", 0)
        if isinstance(shift, dict) and set(shift) == {"ratio"}:
            try:
                shift = Fraction(_RATIO.fullmatch(_is(shift["ratio"], str, "shift"))[0])  # type: ignore[index]
            except (TypeError, ZeroDivisionError) as error:
                raise BadCertificate(f"shift: {_short(shift)} is no fraction") from error
        else:
            shift = _read_size(shift)
        pad = _ints(f.get("pad", [0, 0]))
        if f["kind"] not in ("c", "*", "X", "V", "D", "+", "P", "=") or len(pad) != 2:
            raise BadCertificate(f"a factor of kind {f['kind']!r} with padding {pad}")
        parts = tuple(map(_read_axis, _is(f.get("parts", []), list, "parts")))
        found.append(Factor(f["kind"], _read_size(f["size"]), _is(f.get("group", ""), str, "group"), shift, parts, (pad[0], pad[1])))
    return tuple(found)


def _read_type(x: Any) -> Type:
    t = _fields(x, "type", "axes", "points zero sign")
    points = _read_axis(t["points"]) if "points" in t else None
    sign = tuple(_is(s, str, "sign") for s in _is(t.get("sign", []), list, "sign"))
    return Type(_each(t["axes"], _read_axis), points, _is(t.get("zero", False), bool, "zero"), sign)


def _value(x: Any) -> Value:
    v = _fields(x, "wire", "shape kind entries")
    entries = None if v["entries"] is None else tuple(_is(e, str, "entries") for e in _is(v["entries"], list, "entries"))
    return Value(_each(v["shape"], _read_size), _is(v["kind"], str, "kind"), entries)


def _given(x: Any) -> Given:
    g = _fields(x, "input", "wire role name")
    return Given(_is(g["wire"], int, "wire"), _is(g["role"], str, "role"), _is(g["name"], str, "name"))


def _node(x: Any) -> Node:
    n = _fields(x, "node", "op args outs random sizes")
    args = {k: _read_arg(a) for k, a in _is(n["args"], dict, "args").items()}
    return Node(
        _is(n["op"], str, "op"), args, _ints(n["outs"]), _is(n["random"], bool, "random"), _each(n["sizes"], lambda s: _is(s, str, "sizes"))
    )


def _read_step(x: Any, types: tuple[Type, ...]) -> Step:
    s = _fields(x, "step", "of premises types")
    of, own = _is(s["of"], list, "of"), _ints(s["types"])
    if len(of) != 2 or not all(0 <= t < len(types) for t in own):
        raise BadCertificate(f"a step of {of!r} with the types {own}, of {len(types)}")
    return Step((_is(of[0], str, "of"), _is(of[1], int, "of")), _ints(s["premises"]), tuple(types[t] for t in own))
