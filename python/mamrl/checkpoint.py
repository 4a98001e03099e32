"""Files that are whole or not there, and checkpoints that hold data only."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

_FORMAT = "mamrl-checkpoint-1"


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Writes beside ``path``, then renames: a reader, or a crash, never sees half a file.

    Raises:
        OSError: it cannot be written; the error names ``path``.
    """
    try:
        _write_beside(path, write)
    except OSError as error:
        if error.errno is None:
            raise
        # not the temporary file, of which nobody knows, or none at all
        raise type(error)(error.errno, error.strerror, str(path)) from None


def _write_beside(path: Path, write: Callable[[Path], None]) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        # on the disk before it takes the name, or a power cut could leave the name without the content
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a text file whole."""

    def write(temporary: Path) -> None:
        temporary.write_text(text)

    write_whole(path, write)


def _write_bytes(path: Path, content: io.BytesIO) -> None:
    path.write_bytes(content.getbuffer())


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Saves tensors, numbers, strings and containers of them, with a digest of them all."""
    content = {"format": _FORMAT, "digest": digest(state), **state}
    # in memory first: torch's own writer tells a full disk as "iostream error"
    written = io.BytesIO()
    torch.save(content, written)
    write_whole(path, lambda temporary: _write_bytes(temporary, written))


def load(path: Path) -> dict[str, Any]:
    """Loads what :func:`save` wrote; it never executes code from the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or no checkpoint of mamrl.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint at {path}")
    content = path.read_bytes()
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # of whatever kind the damaged bytes make torch raise
        raise ValueError(f"{path} is damaged or no checkpoint ({type(error).__name__})") from None
    if not isinstance(state, dict) or state.pop("format", None) != _FORMAT:
        raise ValueError(f"{path} is no checkpoint of this version of mamrl")
    # older ones have none
    recorded = state.pop("digest", None)
    if recorded is not None and recorded != digest(state):
        raise ValueError(f"{path} is damaged: its digest is not that of its content")
    return state


def digest(value: Any) -> str:
    """SHA-256 of tensors' dtypes, shapes and bytes, and of whatever holds them."""
    result = hashlib.sha256()

    def add(item: Any) -> None:
        if isinstance(item, torch.Tensor):
            flat = item.detach().cpu().contiguous().flatten()
            result.update(f"{item.dtype}{tuple(item.shape)}".encode())
            result.update(flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"")
        elif isinstance(item, Mapping):
            for key in item:
                result.update(f"{key!r}:".encode())
                add(item[key])
        elif isinstance(item, list | tuple):
            result.update(f"{len(item)}".encode())
            for each in item:
                add(each)
        else:
            result.update(repr(item).encode())

    add(value)
    return result.hexdigest()
