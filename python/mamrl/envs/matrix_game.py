"""Iterated matrix games as Gymnasium environments: the agent is the first player, opponents are a choice."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from torch import Tensor

from mamrl.envs.batched import OBSERVATIONS, BatchedMatrixGame, as_game
from mamrl.envs.seats import opponents_of
from mamrl.envs.vector import AUTORESET_NAMES, BatchVectorEnv, SingleEnv, autoreset_mode_of
from mamrl.errors import choose


class MatrixGameVectorEnv(BatchVectorEnv):
    """E iterated matrix games that step together in C++.

    Observations are the agent's states, 0 at an episode's start and then 1 + the last joint action, its own action
    first (in the prisoner's dilemma CC = 1, CD = 2, DC = 3, DD = 4). Rewards are float64. Every step's info has
    ``opponent_rewards`` (E, n - 1). Environment i depends on its own seed alone: an environment of
    ``gymnasium.make`` with that seed plays the same.

    Args:
        num_envs: E.
        game: a name of ``mamrl.games.GAMES``, a :class:`mamrl.games.MatrixGame`, or payoffs (n, A_1, ..., A_n).
        payoffs: the same, by the name under which ``mamrl/MatrixGame-v0`` asks for it.
        opponent: who plays the other seats, see :func:`mamrl.envs.seats.opponent_of`; a list gives each its own.
        episode_length: steps until truncation, 0 for never.
        observation: "state", integers; or "one-hot", float32 vectors.
        autoreset_mode: Gymnasium's, or its value, such as "SameStep".
        copy: False returns arrays that later steps write over.

    Raises:
        TypeError: neither a game nor payoffs, or an opponent of an unknown kind.
        ValueError: an argument out of range, or an opponent that does not fit the game.
    """

    def __init__(
        self,
        num_envs: int = 1,
        *,
        game: Any = None,
        payoffs: Any = None,
        opponent: Any = "random",
        episode_length: int = 150,
        observation: str = "state",
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        copy: bool = True,
    ) -> None:
        if (game is None) == (payoffs is None):
            raise TypeError("expected either game or payoffs, of shape (n, A_1, ..., A_n)")
        self.game = as_game(payoffs if game is None else game)
        mode = AUTORESET_NAMES[autoreset_mode_of(autoreset_mode)]
        # in float64, as Gymnasium's own vector environments give rewards
        self._batch = BatchedMatrixGame(
            self.game.to(torch.float64), num_envs, episode_length=episode_length, autoreset=mode, copy=False
        )
        own_actions, states = self.game.action_counts[0], self.game.num_states
        self._one_hot = choose("observation", observation, OBSERVATIONS) == "one-hot"
        space = spaces.Box(0.0, 1.0, (states,), np.float32) if self._one_hot else spaces.Discrete(states)
        super().__init__(num_envs, space, spaces.Discrete(own_actions), autoreset_mode, copy)
        self._rows = np.eye(states, dtype=np.float32)
        self._opponents = opponents_of(opponent, self.game, num_envs, episode_length)
        self._random = any(other.random for other in self._opponents)
        self._joint = torch.zeros(self.game.num_players, num_envs, dtype=torch.int64)
        self._own_actions = self._joint[0].numpy()
        self._states: Tensor = torch.zeros_like(self._joint)

    def _begin(self, which: Tensor, mask: np.ndarray | None, afresh: bool) -> tuple[np.ndarray, dict[str, Any]]:
        self._states, _ = self._batch.reset(mask=None if mask is None else torch.from_numpy(mask))
        for other in self._opponents:
            other.begin(which, self._draws, afresh)
        return self._observe(self._states), {}

    def _step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        # everything of the agent's is checked before an opponent is asked, who may remember being asked
        self._take(actions)
        self._batch.check_can_step()
        for player, other in enumerate(self._opponents, start=1):
            self._joint[player] = other.act(self._states[player], self._draws)
        step = self._batch.step(self._joint)
        playing = None if self._waiting is None else torch.from_numpy(~self._waiting)
        ended = step.truncations if bool(step.truncations.any()) else None
        if self._random:
            self._draws.advance(playing)
        reached = self._states
        self._states = step.observations
        for player, other in enumerate(self._opponents, start=1):
            if other.learns:
                other.observe(reached[player], self._joint[player], step.rewards[player], playing, ended)
        infos = self._begin_after(step, ended)
        truncations = step.truncations.numpy()
        return (
            self._observe(self._states),
            self._own(step.rewards[0].numpy()),
            step.terminations.numpy(),
            self._own(truncations),
            infos,
        )

    def _begin_after(self, step: Any, ended: Tensor | None) -> dict[str, Any]:
        """Lets episodes begin as the mode has it, and tells what there is to know of the step."""
        about = {"opponent_rewards": step.rewards[1:].numpy().T.copy()}
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._begin_episodes(waiting)
            infos = self._masked(about, ~waiting)
        elif ended is not None and self.autoreset_mode == AutoresetMode.SAME_STEP:
            mask = ended.numpy()
            self._begin_episodes(mask)
            final = self._observe(step.info["final_observations"])
            infos = self._masked(about, ~mask) | self._final(final, self._masked(about, mask), mask)
        else:
            infos = self._masked(about, None)
        if ended is not None and self.autoreset_mode == AutoresetMode.NEXT_STEP:
            self._waiting = ended.numpy().copy()
        return infos

    def _begin_episodes(self, mask: np.ndarray) -> None:
        which = torch.from_numpy(mask.nonzero()[0])
        self._draws.begin(which)
        for other in self._opponents:
            other.begin(which, self._draws, afresh=False)

    def _take(self, actions: Any) -> None:
        given = np.asarray(actions)
        if given.dtype.kind not in "iu":
            raise TypeError(f"actions are {given.dtype}, expected integers")
        if given.shape != (self.num_envs,):
            raise ValueError(f"actions have shape {given.shape}, expected ({self.num_envs},)")
        self._own_actions[:] = given
        # negative numbers are large ones without their sign
        count = self.game.action_counts[0]
        if self._own_actions.view(np.uint64).max() >= count:
            wrong = int(((given < 0) | (given >= count)).argmax())
            raise ValueError(
                f"actions holds {given[wrong]} in environment {wrong}, expected at least 0 and below {count}"
            )

    def _observe(self, states: Tensor) -> np.ndarray:
        own = states[0].numpy()
        return self._rows[own] if self._one_hot else self._own(own)


def make_single(**settings: Any) -> SingleEnv:
    """One iterated matrix game as a Gymnasium ``Env``.

    Args:
        **settings: as :class:`MatrixGameVectorEnv` takes them, without ``num_envs`` and ``autoreset_mode``.
    """
    return SingleEnv(MatrixGameVectorEnv(1, autoreset_mode=AutoresetMode.DISABLED, **settings))
