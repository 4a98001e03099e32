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
from mamrl.envs.turn import TurnPlayer
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
        copy: False returns arrays that a later step may write over.
        render_mode: "ansi" has :meth:`render` give text, "rgb_array" pictures.

    Raises:
        TypeError: neither a game nor payoffs, or an opponent of an unknown kind.
        ValueError: an argument out of range, or an opponent that does not fit the game.
    """

    _batch: BatchedMatrixGame

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
        render_mode: str | None = None,
    ) -> None:
        if (game is None) == (payoffs is None):
            raise TypeError("expected either game or payoffs, of shape (n, A_1, ..., A_n)")
        self.game = as_game(payoffs if game is None else game)
        mode = AUTORESET_NAMES[autoreset_mode_of(autoreset_mode)]
        own_actions, states = self.game.action_counts[0], self.game.num_states
        # rewards in float64, as Gymnasium's own vector environments have them; indices as small as they can be
        self._batch = BatchedMatrixGame(
            self.game.to(torch.float64),
            num_envs,
            episode_length=episode_length,
            index_dtype="uint8" if states <= 256 else "int64",
            autoreset=mode,
            copy=False,
        )
        self._one_hot = choose("observation", observation, OBSERVATIONS) == "one-hot"
        space = spaces.Box(0.0, 1.0, (states,), np.float32) if self._one_hot else spaces.Discrete(states)
        super().__init__(num_envs, space, spaces.Discrete(own_actions), autoreset_mode, copy, render_mode)
        self._rows = np.eye(states, dtype=np.float32)
        self._opponents = opponents_of(opponent, self.game, num_envs, episode_length)
        self._random = any(other.random for other in self._opponents)
        self._states, _ = self._batch.reset()
        self._share_out_actions()
        self._nothing = np.zeros(num_envs, bool)
        self._turns = TurnPlayer.of(self._batch, self._opponents)

    def _share_out_actions(self) -> None:
        """Memory for all players' actions, and views of each one's own."""
        self._joint = torch.zeros_like(self._states)
        self._seats = list(zip(range(1, self.game.num_players), self._joint[1:], self._opponents, strict=True))
        self._own_actions = self._joint[0].numpy()

    def __getstate__(self) -> dict[str, Any]:
        return {
            name: value for name, value in self.__dict__.items() if name not in ("_joint", "_seats", "_own_actions")
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._share_out_actions()

    def _begin(self, which: Tensor, mask: np.ndarray | None, afresh: bool) -> tuple[np.ndarray, dict[str, Any]]:
        self._states, _ = self._batch.reset(mask=None if mask is None else torch.from_numpy(mask))
        for other in self._opponents:
            other.begin(which, self._draws, afresh)
        return self._observe(self._states), {}

    def _step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        given = self._checked(actions)
        if self._turns is None:
            final, rewards, truncations = self._play_apart(given)
            seen = None
        else:
            turn = self._turns.play(given, self._states, self._draws)
            self._states, final = turn.states, turn.final_states
            rewards, truncations, seen = turn.rewards, turn.truncations, turn.seen
            if self._random:
                self._draws.advance(self._playing())
        infos = self._begin_after(rewards[1:].T, final, truncations if truncations.any() else None)
        return (
            self._observe(self._states, seen),
            self._own(rewards[0]),
            self._own(self._nothing),
            self._own(truncations),
            infos,
        )

    def _play_apart(self, given: np.ndarray) -> tuple[Tensor | None, np.ndarray, np.ndarray]:
        """A step with opponents of any kind: each is asked, then all is played, then each is told."""
        # everything of the agent's is checked before an opponent is asked, who may remember being asked
        self._take(given)
        self._batch.check_can_step()
        for player, seat, other in self._seats:
            seat.copy_(other.act(self._states[player], self._draws))
        step = self._batch.step(self._joint)
        playing = self._playing()
        truncations = step.truncations.numpy()
        ended = step.truncations if truncations.any() else None
        if self._random:
            self._draws.advance(playing)
        reached = self._states
        self._states = step.observations
        for player, seat, other in self._seats:
            if other.learns:
                other.observe(reached[player], seat, step.rewards[player], playing, ended)
        return step.info.get("final_observations"), step.rewards.numpy(), truncations

    def _playing(self) -> Tensor | None:
        """The environments that the step has played in, where it was not all of them."""
        return None if self._waiting is None else torch.from_numpy(~self._waiting)

    def _begin_after(self, theirs: np.ndarray, final: Tensor | None, ended: np.ndarray | None) -> dict[str, Any]:
        """Lets episodes begin as the mode has it, and tells what there is to know of the step."""
        about = {"opponent_rewards": self._own(theirs)}
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._begin_episodes(waiting)
            infos = self._masked(about, ~waiting)
        elif ended is not None and final is not None:
            self._begin_episodes(ended)
            infos = self._masked(about, ~ended) | self._final(self._observe(final), self._masked(about, ended), ended)
        else:
            infos = self._masked(about, None)
        if ended is not None and self.autoreset_mode == AutoresetMode.NEXT_STEP:
            self._waiting = ended.copy()
        return infos

    def _begin_episodes(self, mask: np.ndarray) -> None:
        which = torch.from_numpy(mask.nonzero()[0])
        self._draws.begin(which)
        for other in self._opponents:
            other.begin(which, self._draws, afresh=False)

    def _checked(self, actions: Any) -> np.ndarray:
        given = np.asarray(actions)
        if given.dtype.kind not in "iu":
            raise TypeError(f"actions are {given.dtype}, expected integers")
        if given.shape != (self.num_envs,):
            raise ValueError(f"actions have shape {given.shape}, expected ({self.num_envs},)")
        return given

    def _take(self, given: np.ndarray) -> None:
        count = self.game.action_counts[0]
        # a negative number is a large one without its sign
        if given.astype(np.int64, copy=False).view(np.uint64).max() >= count:
            wrong = int(((given < 0) | (given >= count)).argmax())
            raise ValueError(
                f"actions holds {given[wrong]} in environment {wrong}, expected at least 0 and below {count}"
            )
        self._own_actions[:] = given

    def _observe(self, states: Tensor, seen: np.ndarray | None = None) -> np.ndarray:
        """What the agent sees; ``seen`` are its states in int64, where they are there already."""
        if self._one_hot:
            return self._rows[states[0].numpy()]
        return self._own(seen) if seen is not None else states[0].numpy().astype(np.int64, copy=self.copy)


class MatrixGameEnv(SingleEnv):
    """One iterated matrix game as a Gymnasium ``Env``.

    Args:
        **settings: as :class:`MatrixGameVectorEnv` takes them, without ``num_envs`` and ``autoreset_mode``.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(MatrixGameVectorEnv(1, autoreset_mode=AutoresetMode.DISABLED, **settings))
