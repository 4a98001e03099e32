"""The games as PettingZoo parallel environments, every agent the user's own."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

from mamrl.envs.batched import BatchedMatrixGame, batched
from mamrl.envs.coin_game import BatchedCoinGame
from mamrl.envs.drawing import HALF_CHEETAH_METADATA, METADATA, checked_mode, frames
from mamrl.games.factorization import NUM_OBSERVATIONS
from mamrl.games.half_cheetah import HalfCheetah
from mamrl.games.matrix import MatrixGame
from mamrl.games.ownership import WholeCopies

_SETTLED = ("autoreset", "backend", "copy", "device", "index_dtype", "num_envs", "num_threads")


def parallel(game: str | MatrixGame | Any, *, render_mode: str | None = None, **settings: Any) -> ParallelEnv:
    """One environment of a game as a PettingZoo ``ParallelEnv`` with agents "player_0", "player_1", ...

    Args:
        game: as :func:`mamrl.envs.batched` takes it: a name, a game, payoffs, "half-cheetah" or "coin-game".
        render_mode: "ansi" has ``render()`` give text, "rgb_array" pictures.
        **settings: of a matrix game ``episode_length`` and ``observation`` ("state" or "one-hot"); of HalfCheetah and
            the coin game all that :class:`mamrl.games.half_cheetah.HalfCheetah` and
            :class:`mamrl.envs.coin_game.BatchedCoinGame` take for one environment, such as ``factorization``.

    Raises:
        TypeError: an unknown setting, or one that a single environment settles itself.
        ValueError: an unknown name, or a setting out of range.
        ImportError: "half-cheetah" without MuJoCo.
    """
    for name in _SETTLED:
        if name in settings:
            raise TypeError(f"{name} is a setting of mamrl.envs.batched, not of a single parallel environment")
    batch = batched(game, 1, autoreset="disabled", backend="numpy", **settings)
    if isinstance(batch, HalfCheetah):
        return HalfCheetahParallelEnv(batch, render_mode)
    if isinstance(batch, BatchedCoinGame):
        from mamrl.envs.coin_game_parallel import CoinGameParallelEnv

        return CoinGameParallelEnv(batch, render_mode)
    return MatrixGameParallelEnv(batch, render_mode)


class _OneOfABatch(WholeCopies, ParallelEnv):
    """What both have in common: agents that come and go together, and their spaces."""

    metadata = METADATA
    _batch: BatchedMatrixGame | BatchedCoinGame | HalfCheetah

    def __init__(
        self, name: str, batch: BatchedMatrixGame | BatchedCoinGame | HalfCheetah, render_mode: str | None
    ) -> None:
        self.metadata = type(self).metadata | {"name": name, "is_parallelizable": True}
        self.render_mode = checked_mode(render_mode)
        self.possible_agents = [f"player_{i}" for i in range(batch.num_agents)]
        self.agents: list[str] = []
        self.observation_spaces: dict[str, spaces.Space] = {}
        self.action_spaces: dict[str, spaces.Space] = {}

    def observation_space(self, agent: str) -> spaces.Space:
        """Of one agent, the same object every time."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space:
        """Of one agent, the same object every time."""
        return self.action_spaces[agent]

    def render(self) -> str | np.ndarray:
        """What it looks like: text with render_mode "ansi", a picture with "rgb_array".

        Raises:
            RuntimeError: there is no render_mode; or after :meth:`close`, of HalfCheetah.
            OSError: no offscreen renderer works, where there is to be a picture of HalfCheetah.
        """
        return frames(self._batch, self.render_mode)[0]

    def _checked(self, actions: dict[str, Any]) -> list[np.ndarray]:
        """The agents' actions in order.

        Raises:
            ValueError: an agent's is missing or not of its space, or one is of an agent that does not play.
            RuntimeError: nobody plays, before the first reset or after an episode's end.
        """
        if not self.agents:
            raise RuntimeError("there are no agents: the environment is to be reset before it is stepped")
        if set(actions) != set(self.agents):
            raise ValueError(f"actions are of {sorted(map(str, actions))}, expected of {self.agents}")
        for agent in self.agents:
            shape, space = np.shape(actions[agent]), self.action_spaces[agent]
            if shape != space.shape:
                raise ValueError(f"{agent}'s action has shape {shape}, expected {space.shape}")
        return [np.asarray(actions[agent]) for agent in self.agents]

    def _each(self, values: Any) -> dict[str, Any]:
        return dict(zip(self.possible_agents, values, strict=True))

    def _all(self, value: bool) -> dict[str, bool]:
        return dict.fromkeys(self.possible_agents, value)

    def _no_info(self) -> dict[str, dict[str, Any]]:
        return {agent: {} for agent in self.possible_agents}


class MatrixGameParallelEnv(_OneOfABatch):
    """An iterated matrix game; nothing in it is random.

    Args:
        batch: of one environment, with NumPy and without autoreset.
        render_mode: "ansi", "rgb_array" or None.
    """

    _batch: BatchedMatrixGame

    def __init__(self, batch: BatchedMatrixGame, render_mode: str | None = None) -> None:
        super().__init__(batch.game.name, batch, render_mode)
        self._batch = batch
        states, one_hot = batch.game.num_states, batch.observation == "one-hot"
        vectors = batch.reset()[0].dtype.type
        for agent, count in zip(self.possible_agents, batch.game.action_counts, strict=True):
            space = spaces.Box(0.0, 1.0, (states,), vectors) if one_hot else spaces.Discrete(states)
            self.observation_spaces[agent] = space
            self.action_spaces[agent] = spaces.Discrete(count)

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict, dict]:
        """Starts a new episode; there is nothing to seed."""
        observations, _ = self._batch.reset()
        self.agents = self.possible_agents[:]
        return self._each(observations[:, 0]), self._no_info()

    def step(self, actions: dict[str, Any]) -> tuple[dict, dict, dict, dict, dict]:
        """Plays one step; actions are integers by agent."""
        joint = np.stack(self._checked(actions))
        if joint.dtype.kind not in "iu":
            raise TypeError(f"actions are {joint.dtype}, expected integers")
        step = self._batch.step(joint.astype(np.int64)[:, None])
        truncated = bool(step.truncations[0])
        if truncated:
            self.agents = []
        rewards = self._each(step.rewards[:, 0].tolist())
        return self._each(step.observations[:, 0]), rewards, self._all(False), self._all(truncated), self._no_info()

    def close(self) -> None:
        """Ends its use; closing twice is no error."""
        self._batch.close()


class HalfCheetahParallelEnv(_OneOfABatch):
    """HalfCheetah with its joints shared out among the agents, and a common reward.

    Args:
        batch: of one environment, with NumPy and without autoreset.
        render_mode: "ansi", "rgb_array" or None.
    """

    metadata = HALF_CHEETAH_METADATA
    _batch: HalfCheetah

    def __init__(self, batch: HalfCheetah, render_mode: str | None = None) -> None:
        super().__init__("half-cheetah", batch, render_mode)
        self._batch = batch
        self._seeded = False
        empty = batch.agent_observations(np.zeros((1, NUM_OBSERVATIONS)))
        for agent, joints, seen in zip(self.possible_agents, batch.factorization.partition, empty, strict=True):
            self.observation_spaces[agent] = spaces.Box(-np.inf, np.inf, seen.shape[1:], np.float64)
            self.action_spaces[agent] = spaces.Box(-1.0, 1.0, (len(joints),), np.float32)

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict, dict]:
        """Starts a new episode; without a seed the first one is random, and later ones go on from the last seed."""
        if seed is None and not self._seeded:
            seed = int(np.random.default_rng().integers(2**63))
        self._seeded = True
        observations, _ = self._batch.reset(seed=seed)
        self.agents = self.possible_agents[:]
        return self._split(observations), self._no_info()

    def step(self, actions: dict[str, Any]) -> tuple[dict, dict, dict, dict, dict]:
        """Plays one control step; actions are floating (joints,) by agent."""
        step = self._batch.step([own[None] for own in self._checked(actions)])
        terminated, truncated = bool(step.terminations[0]), bool(step.truncations[0])
        if terminated or truncated:
            self.agents = []
        info = {name: float(step.info[name][0]) for name in ("x_position", "x_velocity")}
        rewards = self._each([float(step.rewards[0])] * len(self.possible_agents))
        infos = {agent: dict(info) for agent in self.possible_agents}
        return self._split(step.observations), rewards, self._all(terminated), self._all(truncated), infos

    def close(self) -> None:
        """Frees the simulation; closing twice is no error."""
        self._batch.close()

    def _split(self, observations: np.ndarray) -> dict[str, np.ndarray]:
        return self._each([own[0] for own in self._batch.agent_observations(observations)])
