"""Open names become definite: ``linear``, ``linear_1``, ... by syntactic occurrence within their scope.

An open name takes the first of these that no *earlier* occurrence holds, so appending renames nothing, and composing with a
permutation (which has no name) renames nothing. A closed name that is already taken is ``NameUsedTwice``.
"""

from __future__ import annotations

from typing import Any

from catlearn import errors
from catlearn.core.term import Box, Repeat, Scope, Term, children


class Names:
    """The names used so far in one scope."""

    def __init__(self) -> None:
        self.used: dict[str, Any] = {}
        self.count: dict[str, int] = {}

    def open(self, base: str, source: Any) -> str:
        k, name = self.count.get(base, 0), base
        while k or name in self.used:
            name = f"{base}_{k}" if k else base
            if name not in self.used:
                break
            k += 1
        self.count[base] = k + 1
        self.used[name] = source
        return name

    def closed(self, name: str, source: Any) -> str:
        if name in self.used:
            raise errors.NameUsedTwice(name, self.used[name], source)
        self.used[name] = source
        return name


def resolve(term: Term) -> list[str]:
    """The name of every box within its scope, in writing order (a repeated body once)."""
    found: list[str] = []
    stack: list[tuple[Term, Names]] = [(term, Names())]
    while stack:
        node, names = stack.pop()
        if isinstance(node, Box):
            found.append(names.open(node.op.name, node.source) if node.name is None else names.closed(node.name, node.source))
            continue
        if isinstance(node, Scope):
            names.closed(node.name, node.source)
            names = Names()
        elif isinstance(node, Repeat) and not node.shared:
            if _holds_something(node.body):
                for i in range(node.n):
                    names.closed(str(i), node.source)
            names = Names()
        stack += ((child, names) for child in reversed(children(node)))
    return found


def _holds_something(term: Term) -> bool:
    """Whether any box in the term has parameters or an effect, so that its name matters."""
    stack = [term]
    while stack:
        node = stack.pop()
        if isinstance(node, Box) and (node.own_params or node.op.effect != "pure"):
            return True
        stack += children(node)
    return False
