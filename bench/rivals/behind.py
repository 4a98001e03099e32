"""Why a rival is ahead where it is: a sentence each, looked up by what the work and the way begin with."""

from __future__ import annotations

# by what the work and the way begin with; what is ahead without an entry is "not explained yet."
REASONS: dict[tuple[str, str], str] = {}


def reason(work: str, way: str) -> str:
    """The sentence of the longest entry that fits."""
    fitting = [key for key in REASONS if work.startswith(key[0]) and way.startswith(key[1])]
    if not fitting:
        return "not explained yet."
    return REASONS[max(fitting, key=lambda key: len(key[0]) + len(key[1]))]
