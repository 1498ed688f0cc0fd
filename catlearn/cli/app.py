"""The commands. Each loads a term, asks one meaning for its answer, and prints it; nothing is computed here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from catlearn.errors import BadCommand, CatlearnError

app = typer.Typer(name="catlearn", no_args_is_help=True, add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False,
                  help="Networks as arrows: their pictures, words, costs and laws.")  # fmt: skip

Target = Annotated[str, typer.Argument(metavar="FILE:NAME", help="A Python file and the name of a term (or of a function returning one).")]


def run(arguments: Sequence[str] | None = None) -> int:
    """The exit code of one command: 0 fine, 1 a law failed, 2 a mistake."""
    try:
        app(args=None if arguments is None else list(arguments), prog_name="catlearn")
    except SystemExit as exit:
        return exit.code if isinstance(exit.code, int) else int(exit.code is not None)
    return 0


def mistakes_in_words(command: Callable[..., Any]) -> Callable[..., Any]:
    """A user's mistake becomes one message on stderr and exit code 2."""

    @wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except CatlearnError as error:
            typer.echo(str(error), err=True)
        except (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError) as error:
            typer.echo(str(BadCommand(f"{error.filename}: {error.strerror}", next="choose another place to write to")), err=True)
        raise typer.Exit(2)

    return guarded


def _version(wanted: bool) -> None:
    if wanted:
        from catlearn import __version__

        typer.echo(f"catlearn {__version__}")
        raise typer.Exit()


@app.callback()
def common(version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False) -> None:
    """Networks as arrows: their pictures, words, costs and laws."""


@app.command(epilog="Example: catlearn demo --out demo")
@mistakes_in_words
def demo(
    chapter: Annotated[list[str] | None, typer.Option(help="Only this chapter; may be given several times.")] = None,
    out: Annotated[Path, typer.Option(help="The folder for report.html.")] = Path("demo"),
    quick: Annotated[bool, typer.Option("--quick", help="A few seconds instead of minutes: fewer epochs, no promise of accuracy.")] = False,
) -> None:
    """Train a network on real handwritten digits, explain it, and write report.html."""
    from catlearn.teach.demo import run_demo

    report, failures = run_demo(out, chapter or [], quick, typer.echo)
    typer.echo(f"\nreport: {report}")
    if failures:
        for failure in failures:
            typer.echo(failure, err=True)
        raise typer.Exit(1)


@app.command(epilog="Example: catlearn draw examples/01_arrows.py:net -o net.svg --no-fold")
@mistakes_in_words
def draw(
    target: Target,
    output: Annotated[Path, typer.Option("--output", "-o", help="net.svg, net.png or net.tex: the ending decides.")] = Path("net.svg"),
    fold: Annotated[bool, typer.Option("--fold/--no-fold", help="Draw named parts as one box each.")] = True,
) -> None:
    """Draw a term as SVG, PNG or TikZ."""
    import catlearn as cl
    from catlearn.cli.loading import load

    if output.suffix not in (".svg", ".png", ".tex"):
        raise BadCommand(f"{output}: pictures end in .svg, .png or .tex", next=f"for example -o {output.with_suffix('.svg')}")
    term = load(target)
    cl.draw(term, output, fold=fold)
    typer.echo(f"wrote {output}")


@app.command(epilog="Example: catlearn explain examples/01_arrows.py:net")
@mistakes_in_words
def explain(target: Target) -> None:
    """Say in words what a term does."""
    import catlearn as cl
    from catlearn.cli.loading import load

    term = load(target)
    typer.echo(str(cl.explain(term)))


@app.command(epilog="Example: catlearn cost examples/01_arrows.py:net --batch 64")
@mistakes_in_words
def cost(target: Target, batch: Annotated[int, typer.Option(min=1, help="How many events at once.")] = 1) -> None:
    """Count parameters, floating-point operations and the bytes of activations."""
    import catlearn as cl
    from catlearn.cli.loading import load

    term = load(target)
    typer.echo(str(cl.cost(term, batch=batch)))


@app.command(epilog="Example: catlearn laws examples/05_your_own_box.py:squash")
@mistakes_in_words
def laws(
    target: Target,
    seed: Annotated[int, typer.Option(help="The seed of the sample points.")] = 0,
    trials: Annotated[int, typer.Option(min=1, help="How many samples each law is tried on.")] = 5,
) -> None:
    """Put a term or a box of your own, a structured map, or a group (its functor from diagrams) before every law that applies to it."""
    from catlearn.cli.loading import load
    from catlearn.core.spaces import Group
    from catlearn.maps import Map
    from catlearn.verify.laws import check, check_map, check_theta

    found = load(target, Map, Group)
    checks: Any = check_map if isinstance(found, Map) else check_theta if isinstance(found, Group) else check
    report = checks(found, seed=seed, trials=trials)
    typer.echo(str(report))
    if not report:
        raise typer.Exit(1)


@app.command(epilog="Example: catlearn adapters -o docs/adapters-methods.md --measure")
@mistakes_in_words
def adapters(
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where to write the page; without it, it is shown.")] = None,
    measure: Annotated[bool, typer.Option("--measure", help="Measure time, memory and accuracy of all: a quarter of an hour.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="With --measure: a minute, and figures that mean nothing.")] = False,
) -> None:
    """The table of all adapter methods; what was measured is kept beside the page, in a file of the same name that ends in .json."""
    from catlearn.adapters import names
    from catlearn.adapters.table import Measurements, page
    from catlearn.interop.files import write_atomically

    kept = None if output is None else output.with_suffix(".json")
    found = Measurements.read(kept) if kept is not None and kept.exists() and not measure else Measurements()
    if measure:
        from catlearn.teach.methods import measured

        found = measured(names(), typer.echo, quick)
    if output is None or kept is None:
        typer.echo(page(found))
        return
    if measure:
        write_atomically(kept, str(found).encode())  # first: the page can be made from it again
    write_atomically(output, page(found).encode())
    typer.echo(f"wrote {output}")


@app.command(epilog="Example: catlearn verify net.py:net --dom 'space(S(n), 16)' --cod 'R(1)' --save net.cert.json")
@mistakes_in_words
def verify(
    target: Target,
    dom: Annotated[str, typer.Option(help="What goes in: a space with groups, such as 'space(S(n), O(3))'.")],
    cod: Annotated[str, typer.Option(help="What comes out; without groups it claims invariance.")],
    batch: Annotated[list[int] | None, typer.Option(help="A batch axis in front; may be given several times.")] = None,
    save: Annotated[Path | None, typer.Option(help="Where to write the certificate if it is proved.")] = None,
) -> None:
    """Prove that a term, a module or a function is equivariant, or refute it; exit code 0 for proved only."""
    import catlearn as cl
    from catlearn.cli.spaces import parse

    report = cl.verify.equivariant(_network(target), dom=parse(dom), cod=parse(cod), batch=tuple(batch or ()))
    typer.echo(str(report))
    if not report:
        raise typer.Exit(1)
    if save is not None:
        typer.echo(f"wrote {report.save(save)}")


@app.command(epilog="Example: catlearn check net.cert.json net.py:net")
@mistakes_in_words
def check(
    certificate: Annotated[Path, typer.Argument(metavar="CERT", help="A certificate that verify --save has written.")],
    target: Target,
) -> None:
    """Re-check a certificate, and that it speaks of this network; exit code 0 if both hold."""
    import catlearn as cl

    report = cl.verify.check(certificate, _network(target))
    typer.echo(str(report))
    if not report:
        raise typer.Exit(1)


def _network(target: str) -> Any:
    """A term, a module, or what a function without arguments returns; a function of tensors stands for itself."""
    from torch import nn

    from catlearn.cli.loading import load_callable

    return load_callable(target, nn.Module)
