"""What is random in an environment: counters, so that it depends on the environment's own seed and not on its batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mamrl.ops import reference

# counters of the players' actions take the numbers below this one, see reference.uniforms
_FIRST_PURPOSE = 8


class Draws:
    """Seeds and counters of E environments.

    Attributes:
        seeds: (E,) int64, each environment's own.
        clocks: (E,) int64, the steps that it has played since it was seeded.
        episodes: (E,) int64, the episodes that it has begun since then.
    """

    def __init__(self, num_envs: int) -> None:
        self.seeds = torch.zeros(num_envs, dtype=torch.int64)
        self.clocks = torch.zeros_like(self.seeds)
        self.episodes = torch.zeros_like(self.seeds)
        self.seeded = False

    def seed(self, which: Tensor, seeds: Tensor) -> None:
        """Starts the counters of environments ``which`` (k,) afresh, from seeds (k,)."""
        self.seeds[which], self.clocks[which], self.episodes[which] = seeds, 0, 0
        self.seeded = True

    def advance(self, playing: Tensor | None) -> None:
        """Counts a step of all environments, or of those in the mask (E,)."""
        self.clocks += 1 if playing is None else playing

    def begin(self, which: Tensor) -> None:
        """Counts an episode of environments ``which`` (k,)."""
        self.episodes[which] += 1

    def uniforms(self, which: Tensor, purpose: int) -> Tensor:
        """One draw (k,) in [0, 1) for the present episode of environments ``which``; each purpose has its own."""
        keys = torch.stack([self.seeds[which], self.episodes[which]], dim=-1)
        return reference.uniforms(keys, 0, 1, _FIRST_PURPOSE + purpose)[:, 0]


def seeds_of(
    seed: int | Sequence[int | None] | None, which: Tensor, num_envs: int, entropy: np.random.Generator
) -> Tensor:
    """Seeds (k,) of environments ``which``: ``seed`` + i, the i-th of a list, or fresh ones where there is none.

    Raises:
        TypeError: a seed is not an integer.
        ValueError: a list of another length, or a seed outside [0, 2^63).
    """
    if seed is None or isinstance(seed, int | np.integer):
        all_seeds: list[int | None] = [None if seed is None else int(seed) + i for i in range(num_envs)]
    elif isinstance(seed, Sequence | np.ndarray) and not isinstance(seed, str):
        all_seeds = list(seed)
    else:
        raise TypeError(f"seed is {type(seed).__name__}, expected an integer, or a list of one for each environment")
    if len(all_seeds) != num_envs:
        raise ValueError(f"got {len(all_seeds)} seeds, expected one, or {num_envs}")
    chosen = []
    for i in which.tolist():
        own = all_seeds[i]
        if own is None:
            own = int(entropy.integers(2**63))
        if isinstance(own, bool) or not isinstance(own, int | np.integer):
            raise TypeError(f"seed {i} is {type(own).__name__}, expected an integer")
        if not 0 <= own < 2**63:
            raise ValueError(f"seed {i} is {own}, expected 0 to 2^63 - 1")
        chosen.append(int(own))
    return torch.tensor(chosen, dtype=torch.int64)
