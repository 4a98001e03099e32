"""The coin game as a PettingZoo parallel environment."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from mamrl.envs.coin_game import BatchedCoinGame
from mamrl.envs.coin_game_gym import observation_space
from mamrl.envs.parallel_env import _OneOfABatch


class CoinGameParallelEnv(_OneOfABatch):
    """A coin game of two agents, both the user's own.

    Args:
        batch: of one environment, with NumPy and without autoreset.
        render_mode: "ansi", "rgb_array" or None.
    """

    _batch: BatchedCoinGame

    def __init__(self, batch: BatchedCoinGame, render_mode: str | None = None) -> None:
        super().__init__(batch.game.name, batch, render_mode)
        self._batch = batch
        for agent in self.possible_agents:
            self.observation_spaces[agent] = observation_space(batch)
            self.action_spaces[agent] = spaces.Discrete(batch.game.num_actions)

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict, dict]:
        """Starts a new episode; without a seed the last one's draws go on."""
        observations, _ = self._batch.reset(seed=seed)
        self.agents = self.possible_agents[:]
        return self._each(observations[:, 0]), self._no_info()

    def step(self, actions: dict[str, Any]) -> tuple[dict, dict, dict, dict, dict]:
        """Plays one step; actions are integers by agent."""
        given = self._checked(actions)
        for agent, action in zip(self.agents, given, strict=True):
            if action.dtype.kind not in "iu":
                raise TypeError(f"{agent}'s action is {action.dtype}, expected an integer")
        step = self._batch.step(np.stack(given).astype(np.int64)[:, None])
        truncated = bool(step.truncations[0])
        if truncated:
            self.agents = []
        rewards = self._each(step.rewards[:, 0].tolist())
        return (
            self._each(step.observations[:, 0]),
            rewards,
            self._all(False),
            self._all(truncated),
            self._no_info(),
        )

    def close(self) -> None:
        """Ends its use; closing twice is no error."""
        self._batch.close()
