"""A run folder has one writer: a lock that goes when its process does, however that ends."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = ".lock"


@contextmanager
def locked(folder: Path | None) -> Iterator[None]:
    """Holds the folder's lock; without a folder there is nothing to hold.

    Raises:
        FileNotFoundError: there is no such folder.
        BlockingIOError: another process holds it; the sentence says which.
    """
    if folder is None:
        yield
        return
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} holds no run: there is no such folder")
    with (folder / LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise BlockingIOError(f"{folder} is being trained by {holder}; wait for it, or stop it") from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield
