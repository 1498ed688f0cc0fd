"""The demo: chapters, each a file of this folder, run one after the other into one report page.

To add a chapter, add a file here with a function ``chapter(out: Path, quick: bool, say: Callable[[str], None]) -> Chapter``. It
trains or proves something in at most two minutes, says what it does, and hands back sections (``catlearn.teach.report``). Its file
name is its name for ``catlearn demo --chapter``; a number ``POSITION`` in it says where it stands (100 if it has none).

>>> "digits" in chapters()
True
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TypeAlias

from catlearn.errors import BadCommand
from catlearn.teach.report import Chapter, write

Maker: TypeAlias = Callable[[Path, bool, Callable[[str], None]], Chapter]


def chapters() -> dict[str, Maker]:
    """All chapters by name, in the order of the page."""
    modules = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__) if not found.name.startswith("_")]
    modules.sort(key=lambda module: (getattr(module, "POSITION", 100), module.__name__))
    return {module.__name__.rpartition(".")[2]: module.chapter for module in modules}


def run_demo(out: Path, names: Sequence[str] = (), quick: bool = False, say: Callable[[str], None] = print) -> tuple[Path, list[str]]:
    """Run the chapters named (all for none) and write ``out/report.html``; its path, and what failed in words."""
    known = chapters()
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"chapters are {', '.join(known)}"
            raise BadCommand(f"the demo has no chapter {name!r}", next=hint)
    if out.exists() and not out.is_dir():
        raise BadCommand(f"{out} is a file, not a folder", next="choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    made = [maker(out, quick, say) for name, maker in known.items() if not names or name in names]
    subtitle = "One arrow, many meanings: what catlearn demo computed on this machine" + (" in a quick run." if quick else ".")
    report = write(out / "report.html", "catlearn demo", made, subtitle)
    return report, [failure for chapter in made for failure in chapter.failures]


__all__ = ["Chapter", "Maker", "chapters", "run_demo"]
