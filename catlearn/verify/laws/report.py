"""What a check of laws found: one ``Outcome`` a law, gathered in a ``LawReport`` that reads as a table and is true or false."""

from __future__ import annotations

from dataclasses import dataclass

HELD, FAILED, NOT = "held", "failed", "does not apply"
SIGNS = {HELD: "✓", FAILED: "✗", NOT: "–"}


@dataclass(frozen=True)
class Outcome:
    """One law on one subject. ``note`` is the counterexample, or the reason why the law does not apply."""

    group: str
    law: str
    verdict: str
    note: str = ""

    def __str__(self) -> str:
        text = f"  {SIGNS[self.verdict]} {self.law}"
        if not self.note:
            return text
        return f"{text}: {self.note}" if self.verdict == NOT else f"{text}\n" + "\n".join(f"      {row}" for row in self.note.splitlines())


@dataclass(frozen=True)
class LawReport:
    """All outcomes for one term or box. True only if nothing failed and something was checked."""

    subject: str
    outcomes: tuple[Outcome, ...]

    def __bool__(self) -> bool:
        return not self.failed and bool(self.held)

    @property
    def held(self) -> list[Outcome]:
        """The laws that held on every sample."""
        return [o for o in self.outcomes if o.verdict == HELD]

    @property
    def failed(self) -> list[Outcome]:
        """The laws that have a counterexample."""
        return [o for o in self.outcomes if o.verdict == FAILED]

    @property
    def inapplicable(self) -> list[Outcome]:
        """The laws that do not apply, with reasons."""
        return [o for o in self.outcomes if o.verdict == NOT]

    def __str__(self) -> str:
        lines, group = [f"laws of {self.subject}"], None
        for outcome in self.outcomes:
            if outcome.group != group:
                group = outcome.group
                lines.append(group)
            lines.append(str(outcome))
        lines.append(f"{len(self.held)} held, {len(self.failed)} failed, {len(self.inapplicable)} do not apply")
        return "\n".join(lines)
