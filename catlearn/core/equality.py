"""``same``: when two terms are one arrow, by the laws of cartesian categories for pure parts with named parameters as inputs.

Copies, discards, swaps, brackets, dead boxes without a state (random ones too), repeats written out: none of it counts. Counted
are the outputs, the new states, and the interface: every parameter with its name, space and whether it learns (its initial value
does not), also of a dead box. So ``f >> copy`` and ``copy >> f @ f`` are the same only if f is pure and has no parameters (or
they are tied). Closed names must agree; open ones agree up to a bijection, which the answer holds. Scopes belong to the names;
the numbers of repeats do only to closed ones.

Laws: an equivalence, and a congruence for all constructors as long as names stay apart. It agrees with reading every box as an
independent random function of its op, parameters and inputs (``tests/core/test_equality.py``). Linear in the boxes; in the theory
``commutative`` ties between open names are searched.

>>> import catlearn as cl
>>> x, y = cl.R(3), cl.R(2)
>>> f, g = cl.linear(x, x), cl.linear(y, y)
>>> answer = same(f @ g, cl.swap(x, y) >> g @ f >> cl.swap(y, x))
>>> bool(answer), answer.renaming["linear.weight"]
(True, 'linear_1.weight')
>>> print(same(cl.relu(x) >> cl.copy(x), cl.copy(x) >> cl.relu(x) @ cl.tanh(x)).difference)
at output 1
  f has  box 'relu' = relu (...)
  g has  box 'tanh' = tanh (...)
>>> print(same(cl.scale(2)(x) >> cl.bias(x, name="a"), cl.scale(2)(x) >> cl.bias(x, name="b"), names="by use"))
the same, with a.bias as b.bias
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, get_args

from catlearn import errors
from catlearn.core.spaces import Space
from catlearn.core.term import Term
from catlearn.core.values import Values, colours

Theory = Literal["cartesian", "commutative"]
Names = Literal["as written", "by use"]
Pair = tuple[int, int]
Where = tuple[str, int, int]  # ("output", i, 0), ("argument", value, i), ("new", state, 0)
Constraint = tuple[tuple[int, ...], tuple[int, ...], Where]  # these values correspond to those, in some order; and where they stand
Agenda = tuple[Constraint, "Agenda"] | None


@dataclass(frozen=True)
class Same:
    """The answer: truthy or not; ``renaming`` takes open names of f to open names of g; ``difference`` is the first one, in words."""

    equal: bool
    renaming: Mapping[str, str] = field(default_factory=dict)
    difference: str | None = None

    def __bool__(self) -> bool:
        return self.equal

    def __str__(self) -> str:
        changed = [f"{a} as {b}" for a, b in self.renaming.items() if a != b]
        return f"the same{', with ' if changed else ''}{', '.join(changed)}" if self.equal else f"different, first {self.difference}"


def same(f: Term, g: Term, theory: Theory = "cartesian", names: Names = "as written") -> Same:
    """Whether f and g are the same arrow. ``theory="commutative"`` also lets the arguments of add and mul change places.

    ``names="by use"`` takes every name as open: parameters correspond by how they are used, and ``renaming`` says which to which.
    Raises ``TooSymmetric`` if a comparison would need too long a search.
    """
    if names not in get_args(Names):
        raise errors.BadInput(f"same(..., names={names!r})", next='names="as written" or names="by use"')
    for what, x, y in (("start from", f.dom, g.dom), ("end in", f.cod, g.cod)):
        if x != y:
            return Same(False, difference=_differ(f"in what they {what}", _wires(x, y), _wires(y, x)))
    commutative = theory == "commutative"
    return _Matching(*(Values(t.graph, commutative, names == "by use") for t in (f, g))).answer()


def _wires(x: Space, y: Space) -> str:
    """A space, or the first wire of it that another one has not."""
    first = next((i for i, (a, b) in enumerate(zip(x, y, strict=False)) if a != b), None)
    return f"{len(x)} wires" if first is None else f"{x[first]} at wire {first} of {len(x)}"


def _differ(where: str, f: str, g: str) -> str:
    return f"{where}\n  f has  {f}\n  g has  {g}"


class _Matching:
    """A growing bijection between the live values of two graphs, started from the outputs."""

    def __init__(self, f: Values, g: Values) -> None:
        self.f, self.g = f, g
        self.image: dict[int, int] = {}
        self.inverse: dict[int, int] = {}
        self.trail: list[Pair] = []
        self.clash: tuple[int, str] | None = None  # the first in writing order: where it stands, and its words
        self.clashed: set[Pair] = set()

    def answer(self) -> Same:
        outputs = zip(self.f.outputs, self.g.outputs, strict=True)
        waiting = self.propagate([(u, v, ("output", i, 0)) for i, (u, v) in enumerate(outputs)])
        waiting += self.propagate(list(self.closed_states()))
        if self.clash is None:
            self.interface()
        if self.clash is None:
            waiting += self.open_states()
            if waiting and self.clash is None:
                _Search(self, waiting).run()
        if self.clash is not None:
            return Same(False, difference=self.clash[1])
        self.dead_leaves()
        pairs = ((self.f.nodes[u], self.g.nodes[v]) for u, v in self.image.items() if self.is_open(u))
        return Same(True, {str(name): str(new) for name, new in pairs})

    def is_open(self, u: int) -> bool:
        return self.f.heads[u][1] == "open"

    # -- propagation: what a pair forces -------------------------------------------------------------------------

    def propagate(self, pairs: list[tuple[int, int, Where]], stop: bool = False) -> list[Constraint]:
        """Pair values and all that this forces below them; what is left are unordered pairs of arguments."""
        waiting: list[Constraint] = []
        stack = pairs[::-1]
        while stack:
            u, v, where = stack.pop()
            if self.image.get(u) == v:
                continue
            if u in self.image or v in self.inverse or self.f.heads[u] != self.g.heads[v]:
                self.report(u, v, where)
                if stop:
                    break
                stack += self.below(u, v)
                continue
            self.image[u], self.inverse[v] = v, u
            self.trail.append((u, v))
            kind, us, vs = self.f.heads[u][0], self.f.args[u], self.g.args[v]
            if kind == "unordered":
                waiting.append((us, vs, ("argument", u, 0)))
            elif kind == "state":
                stack.append((self.f.new_states[u], self.g.new_states[v], ("new", u, 0)))
            elif kind == "part":
                stack.append((us[0], vs[0], where))
            else:
                stack += [(us[i], vs[i], ("argument", u, i)) for i in reversed(range(len(us)))]
        return waiting

    def below(self, u: int, v: int) -> list[tuple[int, int, Where]]:
        """Where a difference that was written earlier may be: under two boxes that differ, at what g computes nowhere."""
        us, vs = self.f.args[u], self.g.args[v]
        if (u, v) in self.clashed or len(us) != len(vs):
            return []
        self.clashed.add((u, v))
        shapes, known = self.shapes
        return [(a, b, ("argument", u, i)) for i, (a, b) in enumerate(zip(us, vs, strict=True)) if shapes[a] not in known]

    @cached_property
    def shapes(self) -> tuple[list[int], set[int]]:
        return self.f.shapes(), set(self.g.shapes())

    def report(self, u: int, v: int, where: Where) -> None:
        """Keep the clash that was written first: a leaf stands where it is read."""
        position = u if self.f.args[u] or where[0] == "output" else where[1]
        if self.clash is not None and self.clash[0] <= position:
            return
        f, g = self.f.says(u), self.g.says(v)
        if self.f.heads[u] == self.g.heads[v]:  # alike by themselves, but one of them has another partner already
            if u in self.image:
                f, g = f"{f}, used twice", f"{g} beside {self.g.says(self.image[u])}"
            else:
                f, g = f"{f} beside {self.f.says(self.inverse[v])}", f"{g}, used twice"
        self.clash = (position, _differ(self.at(where), f, g))

    def at(self, where: Where) -> str:
        """A place in words, as f writes it."""
        kind, value, i = where
        if kind == "output":
            return f"at output {value}"
        return f"at argument {i} of {self.f.says(value)}" if kind == "argument" else f"at the new value of {self.f.says(value)}"

    def undo(self, length: int) -> None:
        """Forget the pairs made since the trail had this length."""
        while len(self.trail) > length:
            u, v = self.trail.pop()
            del self.image[u], self.inverse[v]

    # -- the interface -------------------------------------------------------------------------------------------

    def closed_states(self) -> Iterator[tuple[int, int, Where]]:
        for name, u in self.f.states.items():
            if name in self.g.states and not self.is_open(u):
                yield u, self.g.states[name], ("new", u, 0)

    def interface(self) -> None:
        """Closed names agree; of the open ones there are equally many of each kind."""
        for kind, f, g in (("parameter", self.f.params, self.g.params), ("state", self.f.states, self.g.states)):
            ours, theirs = Counter(self.f.heads[u] for u in f.values()), Counter(self.g.heads[v] for v in g.values())
            if ours == theirs:
                continue
            extra = next(((name, u) for name, u in f.items() if ours[self.f.heads[u]] > theirs[self.f.heads[u]]), None)
            more = next(((name, v) for name, v in g.items() if theirs[self.g.heads[v]] > ours[self.g.heads[v]]), None)
            where = f"in their {kind}s (a dead box keeps its parameters in the interface)"
            words = [self.f.says(extra[1]) if extra else f"no further {kind}", self.g.says(more[1]) if more else f"no further {kind}"]
            self.clash = (0, _differ(where, *words))
            return

    def open_states(self) -> list[Constraint]:
        us = tuple(u for u in self.f.states.values() if u not in self.image)
        vs = tuple(v for v in self.g.states.values() if v not in self.inverse)
        return [(us, vs, ("new", us[0], 0))] if us else []

    def dead_leaves(self) -> None:
        """Open parameters that nothing reads correspond by kind, in writing order."""
        left: dict[object, list[int]] = {}
        for v in (v for v in self.g.params.values() if v not in self.inverse):
            left.setdefault(self.g.heads[v], []).append(v)
        for u in self.f.params.values():
            if u not in self.image and self.is_open(u):
                v = left[self.f.heads[u]].pop(0)
                self.image[u], self.inverse[v] = v, u


class _Search:
    """Unordered constraints solved by colours, and by trying where colours tie. ``agenda`` is a linked list, so going back is free."""

    limit = 20_000

    def __init__(self, matching: _Matching, waiting: list[Constraint]) -> None:
        self.m, self.failures = matching, 0
        self.us, self.vs = colours(matching.f, matching.g)
        self.agenda: Agenda = None
        self.push(waiting)
        self.choices: list[tuple[int, Agenda, Constraint, int, list[int]]] = []  # trail, rest, constraint, u, candidates left
        self.first: tuple[int, str] | None = None  # the first clash met: what is told if nothing works

    def push(self, waiting: list[Constraint]) -> None:
        for constraint in reversed(waiting):
            self.agenda = (constraint, self.agenda)

    def run(self) -> None:
        """Solve; otherwise leave a clash in the matching."""
        while self.agenda is not None:
            constraint, rest = self.agenda
            us, vs = self.left(constraint)
            if not us and not vs:
                self.agenda = rest
                continue
            options = [[v for v in dict.fromkeys(vs) if self.vs[v] == self.us[u]] for u in us]
            best = min(range(len(us)), key=lambda i: len(options[i]), default=None) if len(us) == len(vs) else None
            if best is not None and options[best]:
                self.choices.append((len(self.m.trail), rest, (us, vs, constraint[2]), us[best], options[best]))
            else:
                self.fail(us, vs, constraint[2])
            if not self.forward():
                self.m.clash = self.first
                return
        self.m.clash = None

    def left(self, constraint: Constraint) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """What is left to pair of a constraint."""
        theirs, ours = Counter(constraint[1]), []
        for u in constraint[0]:
            v = self.m.image.get(u)
            if v is not None and theirs[v]:
                theirs[v] -= 1
            else:
                ours.append(u)
        return tuple(ours), tuple(theirs.elements())

    def forward(self) -> bool:
        """The next untried choice, the latest first."""
        while self.choices:
            trail, rest, constraint, u, options = self.choices[-1]
            self.m.undo(trail)
            if not options:
                self.choices.pop()
                continue
            v, self.agenda, self.m.clash = options.pop(0), (constraint, rest), None
            waiting = self.m.propagate([(u, v, constraint[2])], stop=True)
            if self.m.clash is None:
                self.push(waiting)
                return True
            self.first = self.first or self.m.clash
            self.count()
        return False

    def count(self) -> None:
        self.failures += 1
        if self.failures > self.limit:
            raise errors.TooSymmetric(f"same tried {self.limit} ways to pair open names without an answer", (),
                                      "close some names (name=, .named), or compare smaller parts")  # fmt: skip

    def fail(self, us: tuple[int, ...], vs: tuple[int, ...], where: Where) -> None:
        """No candidate: say what stands on one side only."""
        self.count()
        if self.first is None:
            shared = {self.us[u] for u in us} & {self.vs[v] for v in vs}
            f = [self.m.f.says(u) for u in us if self.us[u] not in shared] or [self.m.f.says(u) for u in us]
            g = [self.m.g.says(v) for v in vs if self.vs[v] not in shared] or [self.m.g.says(v) for v in vs]
            self.first = (0, _differ(self.m.at(where), "; ".join(f) or "nothing more", "; ".join(g) or "nothing more"))
