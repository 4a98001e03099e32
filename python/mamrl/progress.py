"""Progress of long work: a bar where there is a terminal or a notebook, else a line now and then."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from typing import Any, TextIO

from tqdm import tqdm
from tqdm.auto import tqdm as notebook_or_terminal

# seconds between two lines of a log
LOG_EVERY = 30.0
# columns below which a bar is left out, so that what it says fits
WIDE = 100


class _Lines:
    """A stream in which tqdm's redrawn bar becomes lines."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._last = stream, ""

    def write(self, text: str) -> None:
        line = text.strip("\r\n ")
        if line and line != self._last:
            self._last = line
            self._stream.write(line + "\n")

    def flush(self) -> None:
        self._stream.flush()


def progress_bar(
    iterable: Iterable[Any] | None = None,
    *,
    total: int | None = None,
    desc: str = "",
    enabled: bool = True,
    **options: Any,
) -> Any:
    """A :class:`tqdm.tqdm` that fits where its output goes.

    In a terminal it is as wide as the terminal, and says first what matters; in a notebook it is the notebook's; in a
    file (a cluster's or a CI's log) it writes a whole line every ``LOG_EVERY`` seconds and one at the end.

    Args:
        iterable: what is gone through; or None, and ``update`` is called.
        total: steps, where the iterable does not say.
        desc: what is done.
        enabled: False shows nothing.
        options: of tqdm, such as ``initial``, ``unit`` and ``leave``.
    """
    if not enabled:
        return tqdm(iterable, total=total, disable=True)
    if sys.stderr.isatty() or "ipykernel" in sys.modules:
        bar_format = "{desc} {n_fmt}/{total_fmt}, {remaining} left{postfix}"
        if shutil.get_terminal_size().columns >= WIDE and "ipykernel" not in sys.modules:
            bar_format = "{desc} {n_fmt}/{total_fmt} |{bar:20}| {remaining} left{postfix}"
        return notebook_or_terminal(
            iterable, total=total, desc=desc, dynamic_ncols=True, bar_format=bar_format, **options
        )
    return tqdm(
        iterable,
        total=total,
        desc=desc,
        file=_Lines(sys.stderr),
        mininterval=LOG_EVERY,
        maxinterval=10 * LOG_EVERY,
        miniters=1,
        bar_format="{desc} {n_fmt}/{total_fmt}, {elapsed} gone, {remaining} left{postfix}",
        **options,
    )


def room_for(text: str, taken: int) -> str:
    """The text, or nothing where the terminal's line has no room for it beside ``taken`` characters."""
    return text if taken + len(text) < shutil.get_terminal_size().columns else ""
