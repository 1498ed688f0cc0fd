"""The one upward door of the core: a term's methods find their meaning by name, loaded when first used.

The table is filled by ``catlearn/__init__.py``, so the core depends on nothing above it.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

MEANINGS: dict[str, str] = {}


def meaning(name: str) -> Callable[..., Any]:
    """The function registered under ``name`` as ``"module:function"``."""
    module, _, function = MEANINGS[name].partition(":")
    return getattr(import_module(module), function)
