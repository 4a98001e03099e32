"""Algorithms by name. An algorithm is a file, and a line here."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mamrl.meta.algorithm import Algorithm


class Registry(MutableMapping[str, "Algorithm"]):
    """Names of algorithms, and where each is: the object itself, or "module:object", looked up when it is asked for.

    So a line may name a module of a later package, or of a package of one's own, that imports this one.
    """

    def __init__(self, lines: dict[str, Algorithm | str]) -> None:
        self._lines = lines

    def __getitem__(self, name: str) -> Algorithm:
        line = self._lines[name]
        if isinstance(line, str):
            module, _, attribute = line.partition(":")
            line = self._lines[name] = getattr(importlib.import_module(module), attribute)
        return line

    def __setitem__(self, name: str, algorithm: Algorithm | str) -> None:
        self._lines[name] = algorithm

    def __delitem__(self, name: str) -> None:
        del self._lines[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)


ALGORITHMS = Registry(
    {
        "meta-mapg": "mamrl.meta.algorithm:META_MAPG",
        "meta-pg": "mamrl.meta.algorithm:META_PG",
        "meta-mapg-without-own": "mamrl.meta.algorithm:WITHOUT_OWN",
        "meta-mapg-without-peer": "mamrl.meta.algorithm:WITHOUT_PEER",
        "reinforce": "mamrl.meta.algorithm:REINFORCE",
        "lola-dice": "mamrl.shaping.lola_dice:LOLA_DICE",
    }
)
