"""Names of test cases: the same in every process, so that the suite can be shared out (an address in a name would not be)."""

from __future__ import annotations

from typing import Any


def label(value: Any) -> str:
    """A value in words; functions have none of their own."""
    return getattr(value, "__name__", "f").strip("<>") if callable(value) and " at 0x" in repr(value) + str(value) else str(value)
