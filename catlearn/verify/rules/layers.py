"""catlearn's own boxes that are equivariant by construction."""

from __future__ import annotations

from catlearn.verify.rules.call import Rule

ROWS: dict[str, Rule] = {}
