"""Checkpoints: one safetensors file, tensors and a JSON header, replaced atomically; no pickle.

A reader sees the old file or the new one, whenever the writer dies. A file that is truncated or not ours is refused, by reading and by
writing over it.

>>> import tempfile, pathlib, torch
>>> path = pathlib.Path(tempfile.mkdtemp()) / "run.ckpt"
>>> save(path, {"w": torch.ones(2)}, {"epoch": 3})
>>> load(path)
({'w': tensor([1., 1.])}, {'epoch': 3})
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from catlearn import errors
from catlearn.interop.files import write_atomically

FORMAT = "catlearn.checkpoint/1"


def save(path: str | Path, tensors: Mapping[str, torch.Tensor], notes: Mapping[str, Any]) -> None:
    """Write beside the path, flush to disk, then rename over it. Raises ``BadFile`` if something else lies there."""
    from safetensors.torch import save as dump

    path = Path(path)
    if path.exists():
        _open(path, lambda file, notes: None)
    data = dump({name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()},
                {"format": FORMAT, "notes": json.dumps(notes)})  # fmt: skip
    write_atomically(path, data)


def load(path: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors and the notes. Raises ``BadFile`` if the file is missing, truncated or foreign."""
    return _open(path, lambda file, notes: ({name: file.get_tensor(name) for name in file.keys()}, notes))


def _open(path: str | Path, read: Callable[[Any, dict[str, Any]], Any]) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "pt") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT:
                given = header.get("format", "not given")
                raise errors.BadFile(f"{path} is no checkpoint of ours", [f"format given {given}, needed {FORMAT}"], "choose another path")
            return read(file, json.loads(header["notes"]))
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise errors.BadFile(f"{path} cannot be read as a checkpoint: it is truncated, foreign or missing", [str(error)],
                             "choose another path, or remove it yourself; nothing was changed") from error  # fmt: skip
