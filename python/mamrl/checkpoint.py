"""Files that are whole or not there, and checkpoints that hold data only."""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

_FORMAT = "mamrl-checkpoint-1"


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Writes beside ``path``, then renames: a reader, or a crash, never sees half a file."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a text file whole."""

    def write(temporary: Path) -> None:
        temporary.write_text(text)

    write_whole(path, write)


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Saves tensors, numbers, strings and containers of them."""
    write_whole(path, lambda temporary: torch.save({"format": _FORMAT, **state}, temporary))


def load(path: Path) -> dict[str, Any]:
    """Loads what :func:`save` wrote; it never executes code from the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or no checkpoint of mamrl.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint at {path}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, IndexError) as error:
        raise ValueError(f"{path} is damaged or no checkpoint ({type(error).__name__})") from None
    if not isinstance(state, dict) or state.get("format") != _FORMAT:
        raise ValueError(f"{path} is no checkpoint of this version of mamrl")
    return state
