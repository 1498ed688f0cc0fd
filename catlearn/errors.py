"""Every error of the library: a named class with a stable code that formats its own message.

A message says what was given, what was needed, where in the user's file, and what to do next. The catalogue page in
``docs/errors.md`` is generated from the docstrings below, so each first sentence is what a user reads there.

Longer than a full file because the errors are one catalogue.

>>> raise SizeUnknown("n", "compile")
Traceback (most recent call last):
...
catlearn.errors.SizeUnknown: [CL104] the symbolic size n has no value in compile
  next: pass sizes={"n": ...}
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, ClassVar


class CatlearnError(Exception):
    """The base of all errors here: catch it to catch every mistake the library can name."""

    code: ClassVar[str] = "CL000"

    def __init__(self, head: str, rows: Iterable[str] = (), next: str = "") -> None:
        body = [f"[{self.code}] {head}", *(f"  {row}" for row in rows)]
        if next:
            body.append(f"  next: {next}")
        super().__init__("\n".join(body))


def at(source: Any) -> str:
    """How a place in the user's file reads in a message; empty when it is unknown."""
    return f"      ({source})" if source else ""


# --- spaces and terms: CL1xx -----------------------------------------------------------------------------------------


class NotComposable(CatlearnError):
    """``f >> g`` needs the codomain of f to be the domain of g."""

    code = "CL101"

    def __init__(self, f: Any, g: Any, hint: str = "") -> None:
        left, right = f.cod, g.dom
        ends, starts = f"{f.title} ends in", f"{g.title} starts from"
        width = max(len(ends), len(starts))
        rows = [f"{ends:{width}}  {left}{at(f.source)}", f"{starts:{width}}  {right}{at(g.source)}"]
        if len(left) != len(right):
            rows.append(f"{len(left)} wires against {len(right)}")
            hint = hint or "use cl.copy, cl.discard, cl.swap or `@ cl.id(...)` to bring the wires together"
        else:
            first = next((i for i, (a, b) in enumerate(zip(left, right, strict=True)) if a != b), 0)
            rows.append(f"they differ at wire {first}: {left[first]} against {right[first]}")
            hint = hint or f"put an arrow between them, e.g. cl.linear({left[first]!r}, {right[first]!r})"
        super().__init__(f"NotComposable: {f.title} >> {g.title}", rows, hint)


class BadSpace(CatlearnError):
    """A space was described by something that is no size, no group, or out of range."""

    code = "CL102"


class BadBox(CatlearnError):
    """A box was put on wires that it cannot act on."""

    code = "CL103"

    def __init__(self, box: str, given: Any, needed: str, next: str = "", source: Any = None) -> None:
        super().__init__(f"{box} does not act on these wires{at(source)}", [f"given   {given}", f"needed  {needed}"], next)


class SizeUnknown(CatlearnError):
    """A symbolic size must have a value here and has none."""

    code = "CL104"

    def __init__(self, names: str, where: str) -> None:
        super().__init__(f"the symbolic size {names} has no value in {where}", next=f'pass sizes={{"{names}": ...}}')


class NotDivisible(CatlearnError):
    """A size does not divide where it must (symbolic sizes divide only exactly)."""

    code = "CL105"


class NeedsSpace(CatlearnError):
    """A schema (a box without its space, such as ``cl.relu``) stands where a term is needed."""

    code = "CL106"

    def __init__(self, schema: str, what: str) -> None:
        super().__init__(f"{schema} has no space yet, so {what} cannot know its wires",
                         next=f"write {schema}(cl.R(...)), or put it behind a term: f >> {schema}")  # fmt: skip


class NotATerm(CatlearnError):
    """Something that is neither a term nor a schema was composed with a term."""

    code = "CL107"


class BadRepeat(CatlearnError):
    """``repeat(n, body)`` needs a body that ends where it starts, and n of at least 0."""

    code = "CL108"


# --- names and parameters: CL2xx -------------------------------------------------------------------------------------


class NameUsedTwice(CatlearnError):
    """A closed name occurs twice in one scope; only ``tie`` and ``repeat(shared=True)`` share parameters."""

    code = "CL201"

    def __init__(self, name: str, first: Any, second: Any) -> None:
        hint = "give one of them another name=, wrap it in .named(...), or share on purpose with .tie()"
        if name.isdecimal():
            hint = 'the copies of a repeat are called 0, 1, ...: give each repeat a scope of its own, repeat(n, f).named("...")'
        super().__init__(f"the name {name!r} is used twice", [f"first {at(first)}", f"again {at(second)}"], hint)


class NameConflict(CatlearnError):
    """One name is both a parameter and the prefix of another, or is not a usable name at all."""

    code = "CL202"


class NothingMatched(CatlearnError):
    """A pattern selects nothing; the message lists what exists."""

    code = "CL203"

    def __init__(self, pattern: str, names: Iterable[str], what: str = "name") -> None:
        names = list(names)
        shown = get_close_matches(pattern, names, n=8, cutoff=0.3) or names[:8]
        rows = [f"there are {len(names)}: {', '.join(shown)}{', ...' if len(names) > len(shown) else ''}"]
        super().__init__(f"no {what} matches {pattern!r}", rows, "`*` matches any text, dots too; `|` separates alternatives")


class ParamMismatch(CatlearnError):
    """Parameters given do not fit the parameters of the term: names or shapes differ."""

    code = "CL204"

    def __init__(self, missing: Iterable[str] = (), unexpected: Iterable[str] = (), shapes: Mapping[str, str] = {}) -> None:
        rows = [f"missing: {name}" for name in missing] + [f"not a parameter: {name}" for name in unexpected]
        rows += [f"{name}: {text}" for name, text in shapes.items()]
        super().__init__("the parameters do not fit the term", rows[:20], "compare with term.params")


class BadCell(CatlearnError):
    """A 2-cell does not fit the parameters it should act on."""

    code = "CL205"


class NoSection(CatlearnError):
    """A 2-cell has no section here: these parameters are not in its image, or it declares none."""

    code = "CL206"


class ReservedName(CatlearnError):
    """A name that torch.nn.Module keeps for itself (``forward``, ``train``, ...) cannot hold a parameter or a scope."""

    code = "CL207"

    def __init__(self, name: str, where: str) -> None:
        super().__init__(f"{name!r} in {where!r} is an attribute of torch.nn.Module", next="choose another name=, e.g. " + name + "_")


class TapInRepeat(CatlearnError):
    """A box inside ``repeat(shared=True)`` runs several times, so it has no one output to tap."""

    code = "CL209"

    def __init__(self, repeat: Any) -> None:
        super().__init__(f"tap: what was selected lies inside a shared repeat of {repeat.n}{at(repeat.source)}",
                         next="write the repetition out (body >> body) with tied parameters, or tap the repeat as a whole")  # fmt: skip


class TooSymmetric(CatlearnError):
    """``same(..., theory="commutative")`` would have to try too many ways to pair open names."""

    code = "CL208"


class BadCheckpoint(CatlearnError):
    """A checkpointed scope runs twice, so a box in it that updates a state would update it twice."""

    code = "CL210"

    def __init__(self, scope: str, box: str) -> None:
        super().__init__(f"the scope {scope!r} cannot be checkpointed", [f"{box} in it has a state, which running again would move twice"],
                         "checkpoint a smaller scope, one without it")  # fmt: skip


class CellLost(CatlearnError):
    """A 2-cell acts on a parameter that no box of its term has any more: a mistake of the library, to be reported."""

    code = "CL211"

    def __init__(self, names: Iterable[str], cell: Any) -> None:
        super().__init__(f"internal error: {', '.join(names)} was never read through its 2-cell{at(cell.source)}",
                         next="please report this, with the term; closing the names of its boxes (name=...) avoids it")  # fmt: skip


# --- running: CL3xx --------------------------------------------------------------------------------------------------


class BadInput(CatlearnError):
    """A tensor of the wrong shape, dtype or device, or the wrong number of tensors, was fed to a term."""

    code = "CL301"


class EffectNeeds(CatlearnError):
    """A term with an effect was run without what the effect needs: a key (random) or a state (stateful)."""

    code = "CL302"


class NoRule(CatlearnError):
    """A meaning has no rule for a box, and the box has no definition to fall back on."""

    code = "CL303"

    def __init__(self, meaning: str, box: str, next: str = "", source: Any = None) -> None:
        super().__init__(f"{meaning} has no rule for {box}, which has no definition{at(source)}", next=next)


# --- files: CL4xx ----------------------------------------------------------------------------------------------------


class BadFile(CatlearnError):
    """A file is truncated, foreign, or from a newer version; nothing was changed by reading it."""

    code = "CL401"


class UnknownBox(CatlearnError):
    """A saved term holds a box that is not registered here."""

    code = "CL402"


class TooLarge(CatlearnError):
    """A term is too large for another library's format, which would take minutes or hours."""

    code = "CL403"


# --- learning: CL5xx -------------------------------------------------------------------------------------------------


class NotANumber(CatlearnError):
    """The loss or a gradient stopped being finite; training stopped and the last good parameters are kept."""

    code = "CL501"


class NotSeparable(CatlearnError):
    """``request`` (and composing as in Learn) needs a loss that is a sum of e(x_i, y_i) with invertible de/dx."""

    code = "CL502"


class BadTraining(CatlearnError):
    """A learner was given data, options or a checkpoint that it cannot use."""

    code = "CL503"


# --- the command line: CL6xx -----------------------------------------------------------------------------------------


class BadCommand(CatlearnError):
    """A command was given a file, a name or a value that it cannot use; nothing was written."""

    code = "CL601"


class MissingPackage(CatlearnError):
    """A part of the library needs a package that is not installed."""

    code = "CL602"

    def __init__(self, package: str, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the package {package}", next=f'pip install "catlearn[{extra}]"')


# --- pictures: CL7xx -------------------------------------------------------------------------------------------------


class UnknownFormat(CatlearnError):
    """A picture was asked for in a format that the library does not write."""

    code = "CL701"

    def __init__(self, path: Any, known: Iterable[str]) -> None:
        super().__init__(f"{str(path)!r} names no format of pictures", [f"known suffixes: {' '.join(known)}"],
                         'end the file name with one of them, e.g. cl.draw(net, "net.svg")')  # fmt: skip


class TooManyBoxes(CatlearnError):
    """A picture would hold more boxes than anybody can read."""

    code = "CL702"

    def __init__(self, boxes: int, limit: int) -> None:
        hint = 'fold it: name parts with .named(...) and draw with fold=True or fold="pattern", or pass limit=None'
        super().__init__(f"this picture would have {boxes:,} boxes; the limit is {limit:,}", next=hint)


# --- diagrams, maps, symmetry: CL8xx ---------------------------------------------------------------------------------


class BadDiagram(CatlearnError):
    """A diagram is ill-formed, or two diagrams do not compose."""

    code = "CL801"


class BadMap(CatlearnError):
    """Two structured maps do not compose, or a map was given a tensor or a parameter that it cannot act on."""

    code = "CL802"


class BadSymmetry(CatlearnError):
    """A group, a basis of equivariant maps or an equivariant layer was asked for that does not exist, or would not fit in memory."""

    code = "CL803"


# --- modules of others, adapters: CL9xx ---------------------------------------------------------------------------


class CannotTrace(CatlearnError):
    """``torch.export`` cannot see a module's graph on these inputs: a branch on data, a size that the code fixes, or an error in it."""

    code = "CL901"


class BadAdapter(CatlearnError):
    """An adapter's hyper-parameters do not fit a layer, or adapters were asked for something that they cannot do."""

    code = "CL951"


class CannotAdapt(CatlearnError):
    """A weight that no adapter can act on: it is quantised, has no numbers yet, or is no matrix."""

    code = "CL952"


class BadMerge(CatlearnError):
    """Adapters cannot be written into the weights, or taken out of them, as things stand."""

    code = "CL953"


class BadAdapterFile(CatlearnError):
    """A file of an adapter cannot be read, or does not fit the model; nothing was loaded."""

    code = "CL954"


# --- proofs: CL96x -----------------------------------------------------------------------------------------------------


class BadClaim(CatlearnError):
    """What is to be proved makes no sense, or does not fit the network: the wrong spaces, sizes, or number of inputs."""

    code = "CL961"


class BadCertificate(CatlearnError):
    """A certificate cannot be read, has been changed, or does not say what it should."""

    code = "CL962"
