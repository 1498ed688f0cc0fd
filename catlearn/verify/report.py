"""What came out: a verdict, the claim in one sentence, and what supports it.

``bool(report)`` is true for ``proved`` only. ``print`` says what, why and where; in a notebook the typed graph is shown, folded.
"""

from __future__ import annotations

import html
import json
import linecache
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from catlearn.core.source import Source
from catlearn.errors import BadCertificate
from catlearn.verify.refute import Counterexample

Verdict = Literal["proved", "refuted", "unknown", "sampled"]
_SIGNS = {"proved": "✓", "refuted": "✗", "unknown": "?", "sampled": "~"}


@dataclass(frozen=True)
class Line:
    """One node of the typed graph: what it computes, the types of its results, where it stands in the user's file."""

    op: str
    types: tuple[str, ...]
    source: Source | None = None


@dataclass(frozen=True)
class Report:
    """The answer to a claim; see the module. ``where`` is the line at which a proof got stuck, with the ``reason``."""

    verdict: Verdict
    claim: str
    reason: str = ""
    where: Source | None = None
    counterexample: Counterexample | None = None
    surviving: str | None = None
    certificate: Mapping[str, Any] | None = field(default=None, repr=False)
    assumptions: tuple[str, ...] = ()
    typed: Sequence[Line] = field(default=(), repr=False)
    seconds: Mapping[str, float] = field(default_factory=dict, repr=False)

    def __bool__(self) -> bool:
        return self.verdict == "proved"

    @property
    def line(self) -> str:
        """The text of the source line at which a proof got stuck; empty if it cannot be read."""
        return linecache.getline(self.where.file, self.where.line).strip() if self.where else ""

    def __str__(self) -> str:
        rows = [f"{_SIGNS[self.verdict]} {self.verdict}: {self.claim}"]
        rows += [f"  because {self.reason}"] if self.reason else []
        rows += [f"  at      {self.where}  {self.line}".rstrip()] if self.where else []
        rows += ["  counterexample:", *(f"    {row}" for row in str(self.counterexample).splitlines())] if self.counterexample else []
        rows += [f"  proved for {self.surviving}"] if self.surviving else []
        if self.certificate is not None:
            rows.append(
                f"  certificate {self.certificate['digest'][:12]}, {len(self.certificate['steps'])} steps; re-check it by cl.verify.check"
            )
        return "\n".join(rows)

    def save(self, path: str | Path) -> Path:
        """Writes the certificate as JSON, atomically; ``BadCertificate`` if there is none."""
        if self.certificate is None:
            raise BadCertificate(f"there is no certificate: the verdict is {self.verdict}", next="only a proved report can be saved")
        from catlearn.interop.files import write_atomically

        return write_atomically(Path(path), (json.dumps(self.certificate, indent=1, sort_keys=True) + "\n").encode())

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><td><code>{html.escape(line.op)}</code></td><td>{html.escape(', '.join(line.types))}</td>"
                       f"<td>{html.escape(str(line.source or ''))}</td></tr>" for line in self.typed)  # fmt: skip
        head = "<tr><th>operator</th><th>how the group acts</th><th>line</th></tr>"
        title = f"the typed graph: {len(self.typed)} operators"
        table = f"<details><summary>{title}</summary><table>{head}{rows}</table></details>" if rows else ""
        colour = {"proved": "#1a7f37", "refuted": "#cf222e"}.get(self.verdict, "#9a6700")
        return f'<div><pre style="color:{colour};white-space:pre-wrap">{html.escape(str(self))}</pre>{table}</div>'


__all__ = ["Line", "Report", "Verdict"]
