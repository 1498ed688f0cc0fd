"""The one upward door: a term's methods find what is built on terms by name, loaded when first used.

``catlearn/__init__.py`` adds the meanings above the core, so the core depends on nothing above it, and a term on nothing that
works on terms.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

MEANINGS: dict[str, str] = {
    "graph": "catlearn.core.lower:lower",
    "selection": "catlearn.core.select:Selection",
    "check_cells": "catlearn.core.cells:check_cells",
}


def meaning(name: str) -> Callable[..., Any]:
    """The function registered under ``name`` as ``"module:function"``."""
    module, _, function = MEANINGS[name].partition(":")
    return getattr(import_module(module), function)
