"""Shapers that learn from samples, by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mamrl.errors import choose
from mamrl.shaping.advantage_alignment import AdvantageAlignment
from mamrl.shaping.loqa import LOQA
from mamrl.shaping.self_play import Shaper

# a shaper is a file, and a line here; "-published" is what a paper's code does where that is not its equation
SHAPERS: dict[str, Any] = {
    "loqa": LOQA(),
    "loqa-published": LOQA(through_advantages=True),
    "advantage-alignment": AdvantageAlignment(),
    "advantage-alignment-published": AdvantageAlignment(running_mean=True),
    "proximal-advantage-alignment": AdvantageAlignment(clip=0.2),
    "actor-critic": AdvantageAlignment(weight=0.0),
}


def shaper(name: str, **changes: Any) -> Shaper:
    """A shaper by name, with some of its attributes changed.

    Raises:
        ValueError: an unknown name.
        TypeError: it has no such attribute.
    """
    found: Shaper = SHAPERS[choose("shaper", name, SHAPERS)]
    return replace(found, **changes) if changes else found  # type: ignore[type-var]
