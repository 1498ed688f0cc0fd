"""The command line: ``catlearn demo | draw | explain | cost | laws | verify | check | adapters``. Nothing else imports typer or rich.

Exit codes: 0 all went well, 1 a law failed (or the demo missed its accuracy), 2 the command or the user's file was mistaken.

>>> main(["--version"])
catlearn 0.1.0
0
"""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. Without arguments those of the process are used."""
    from catlearn.cli.app import run

    return run(arguments)


__all__ = ["main"]
