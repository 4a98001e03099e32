"""What a run was trained with, beyond its experiment's names: enough to notice that something else is being played.

Numbers are kept as sums and not as digests: a logit's last bit differs between processors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mamrl.config.setting import Setting

_TOLERANCE = 1e-4


def parts_of(setting: Setting) -> dict[str, Any]:
    """The parts by name, as numbers, strings and lists of them.

    Args:
        setting: whose game, policies and populations are described.
    """
    game = setting.game
    parts: dict[str, Any] = {
        "game": [type(game).__name__, game.name, game.num_players, game.num_states],
        "payoffs": None if game.payoffs is None else _fingerprint(game.payoffs),
        "policies": [[type(policy).__name__, policy.num_parameters] for policy in setting.policies],
    }
    for split, population in setting.populations.items():
        parts[f"{split} personas"] = [*population.group_names, *_fingerprint(population.parameters)]
    return parts


def differing(recorded: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """The names of the parts that are not the same.

    Args:
        recorded: what a run folder says; a part that it does not mention is not compared.
        found: what is there now.
    """
    return [name for name, part in recorded.items() if not _same(part, found.get(name))]


def _fingerprint(tensor: Tensor) -> list[float]:
    """Shape, mean, root mean square, and a mean weighted by place."""
    values = tensor.detach().cpu().double().flatten()
    places = values.new_ones(len(values)).cumsum(0) / max(len(values), 1)
    size = [float(length) for length in tensor.shape]
    return [*size, *(float(x) for x in (values.mean(), values.square().mean().sqrt(), (places * values).mean()))]


def _same(recorded: Any, found: Any) -> bool:
    if isinstance(recorded, list) and isinstance(found, list):
        return len(recorded) == len(found) and all(map(_same, recorded, found))
    if isinstance(recorded, float) and isinstance(found, float):
        return math.isclose(recorded, found, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return bool(recorded == found)
