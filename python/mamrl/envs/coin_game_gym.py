"""The coin game as a Gymnasium environment: the agent is the first player, the second is a choice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from torch import Tensor

from mamrl.envs.coin_game import BatchedCoinGame
from mamrl.envs.vector import AUTORESET_NAMES, BatchVectorEnv, SingleEnv, autoreset_mode_of
from mamrl.errors import choose
from mamrl.games.coin_game import PLAYERS, move_weights
from mamrl.ops import reference


class CoinGameVectorEnv(BatchVectorEnv):
    """E coin games that step together in C++.

    Rewards are float64. Every step's info has ``opponent_rewards`` (E, 1). Environment i depends on its own seed alone:
    an environment of ``gymnasium.make`` with that seed plays the same.

    Args:
        num_envs: E.
        opponent: a name of ``mamrl.games.coin_game.PLAYERS``; or a function that makes the second player's actions (E,)
            of what it sees (E, ...).
        autoreset_mode: Gymnasium's, or its value, such as "SameStep".
        copy: False returns arrays that a later step may write over.
        render_mode: "ansi" has :meth:`render` give text, "rgb_array" pictures.
        **settings: of :class:`mamrl.envs.coin_game.BatchedCoinGame`, such as ``variant``, ``grid``, ``episode_length``
            and ``observation``.

    Raises:
        TypeError: an unknown setting, or an opponent of another kind.
        ValueError: an argument out of range, or an opponent that the rules have no place for.
    """

    _batch: BatchedCoinGame

    def __init__(
        self,
        num_envs: int = 1,
        *,
        opponent: str | Callable[[np.ndarray], Any] = "cooperate",
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        copy: bool = True,
        render_mode: str | None = None,
        **settings: Any,
    ) -> None:
        mode = AUTORESET_NAMES[autoreset_mode_of(autoreset_mode)]
        self._batch = BatchedCoinGame(num_envs, autoreset=mode, copy=False, **settings)
        if not callable(opponent):
            if not isinstance(opponent, str):
                raise TypeError(f"opponent is {type(opponent).__name__}, expected a name of {PLAYERS} or a function")
            move_weights(self._batch.game, choose("opponent", opponent, PLAYERS), torch.zeros(1, 4), 1)
        self._opponent = opponent
        space, actions = observation_space(self._batch), spaces.Discrete(self._batch.game.num_actions)
        super().__init__(num_envs, space, actions, autoreset_mode, copy, render_mode)
        self._seen = self._batch.reset(seed=0)[0]
        self._nothing = np.zeros(num_envs, bool)

    def _begin(self, which: Tensor, mask: np.ndarray | None, afresh: bool) -> tuple[np.ndarray, dict[str, Any]]:
        seeds = self._draws.seeds.tolist() if afresh else None
        self._seen = self._batch.reset(seed=seeds, mask=None if mask is None else torch.from_numpy(mask))[0]
        return self._own(self._seen[0].numpy()), {}

    def _step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        given = np.asarray(actions)
        if given.dtype.kind not in "iu":
            raise TypeError(f"actions are {given.dtype}, expected integers")
        if given.shape != (self.num_envs,):
            raise ValueError(f"actions have shape {given.shape}, expected ({self.num_envs},)")
        step = self._batch.step([torch.from_numpy(given.astype(np.int64)), self._answers()])
        self._seen = step.observations
        rewards, truncations = step.rewards.double().numpy(), step.truncations.numpy()
        infos = self._infos({"opponent_rewards": rewards[1:].T}, step.info.get("final_observations"), truncations)
        return (
            self._own(self._seen[0].numpy()),
            rewards[0],
            self._own(self._nothing),
            self._own(truncations),
            infos,
        )

    def _answers(self) -> Tensor:
        """The second player's actions (E,) int64, drawn by the environments' own seeds and clocks."""
        batch = self._batch
        if not isinstance(self._opponent, str):
            return torch.as_tensor(np.asarray(self._opponent(self._seen[1].numpy()))).long()
        assert batch.state is not None
        weights = move_weights(batch.game, self._opponent, batch.state, 1)
        uniform = reference.uniforms(torch.stack([batch.seeds, batch.clocks], -1), 0, 1, 1)
        return (weights.cumsum(-1) <= uniform).sum(-1).clamp(max=batch.game.num_actions - 1)

    def _infos(self, about: dict[str, np.ndarray], final: Tensor | None, truncations: np.ndarray) -> dict[str, Any]:
        waiting, self._waiting = self._waiting, None
        ended = truncations if truncations.any() else None
        if waiting is not None:
            infos = self._masked(about, ~waiting)
        elif ended is not None and final is not None:
            infos = self._masked(about, ~ended)
            infos |= self._final(final[0].numpy(), self._masked(about, ended), ended)
        else:
            infos = self._masked(about, None)
        if ended is not None and self.autoreset_mode == AutoresetMode.NEXT_STEP:
            self._waiting = ended.copy()
        return infos


def observation_space(batch: BatchedCoinGame) -> spaces.Box:
    """What one player of one environment sees."""
    game = batch.game
    if batch.observation == "positions":
        highest = np.array([size - 1 for size in game.sizes], np.uint8)
        return spaces.Box(np.zeros_like(highest), highest, dtype=np.uint8)
    dtype = np.float32 if batch.plane_dtype == torch.float32 else np.uint8
    return spaces.Box(0, 1, (4, game.height, game.width), dtype)


class CoinGameEnv(SingleEnv):
    """One coin game as a Gymnasium ``Env``.

    Args:
        **settings: as :class:`CoinGameVectorEnv` takes them, without ``num_envs`` and ``autoreset_mode``.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(CoinGameVectorEnv(1, autoreset_mode=AutoresetMode.DISABLED, **settings))
