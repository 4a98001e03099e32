"""Why a rival is ahead where it is: a sentence each, looked up by what the work and the way begin with."""

from __future__ import annotations

_FLAGS = (
    "with flags our kernel asks at every number whether there is a mask of terminations and one of truncations, and "
    "whether either is set, in a loop that the compiler does not vectorise; Numba's has one mask and multiplies by it."
)
REASONS: dict[tuple[str, str], str] = {
    ("GAE", "Numba"): _FLAGS,
    ("returns", "Numba"): _FLAGS,
}


def reason(work: str, way: str) -> str:
    """The sentence of the longest entry that fits."""
    fitting = [key for key in REASONS if work.startswith(key[0]) and way.startswith(key[1])]
    if not fitting:
        return "not explained yet."
    return REASONS[max(fitting, key=lambda key: len(key[0]) + len(key[1]))]
