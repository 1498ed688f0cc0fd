"""Where in the user's file something was written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

_PACKAGE = str(Path(__file__).parent.parent) + "/"


class Source(NamedTuple):
    """A file and a line."""

    file: str
    line: int

    def __str__(self) -> str:
        path = Path(self.file)
        try:
            path = path.relative_to(Path.cwd())
        except ValueError:
            pass
        return f"{path}:{self.line}"


def here() -> Source | None:
    """The nearest caller outside this package: the user's own line."""
    frame = sys._getframe(1)
    while frame is not None and (frame.f_code.co_filename.startswith(_PACKAGE) or frame.f_code.co_filename == "<string>"):
        frame = frame.f_back  # "<string>" is what dataclasses generate
    return None if frame is None else Source(frame.f_code.co_filename, frame.f_lineno)
