"""Sentences for wrong names, shared by everything that takes a name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def choose(argument: str, name: str, known: Iterable[str]) -> str:
    """Returns ``name`` if it is known.

    Raises:
        ValueError: names the argument, what came, the nearest known name and all of them.
    """
    names = list(known)
    if name in names:
        return name
    nearest = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f" (did you mean '{nearest[0]}'?)" if nearest else ""
    raise ValueError(f"unknown {argument} '{name}'{hint}; expected one of {', '.join(names)}")
