"""The commonest step of a Gymnasium environment, one opponent who plays tables, as one call into C++."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mamrl import ops
from mamrl.envs.batched import BatchedMatrixGame
from mamrl.envs.draws import Draws
from mamrl.envs.opponents import Opponent, TabularOpponent


@dataclass(frozen=True)
class Turn:
    """What a step left, and NumPy's views of it, made once: making them anew took longer than the step.

    Attributes:
        states: (2, E) uint8.
        final_states: (2, E) uint8 before new episodes began, or None where the mode does not tell.
        rewards: (2, E) float64.
        truncations: (E,) bool.
        seen: (E,) int64, what the agent sees.
    """

    steps: ops.GameSteps
    states: Tensor
    final_states: Tensor | None
    rewards: np.ndarray
    truncations: np.ndarray
    seen: np.ndarray
    seen_tensor: Tensor

    @staticmethod
    def empty(batch: BatchedMatrixGame, joint: Tensor) -> Turn:
        """Memory for a step of such environments."""
        steps = ops.GameSteps.empty(batch.payoffs, joint, batch.elapsed, batch.autoreset)
        seen = torch.empty(batch.num_envs, dtype=torch.int64)
        final = steps.final_states[:, 0] if batch.autoreset == "same-step" else None
        rewards, truncations = steps.rewards[:, 0].numpy(), steps.truncations[0].numpy()
        return Turn(steps, steps.states[:, 0], final, rewards, truncations, seen.numpy(), seen)


class TurnPlayer:
    """Steps a batch of two-player games whose second player plays tables.

    Args:
        batch: of games with at most 255 joint actions.
        opponent: the second player.
    """

    def __init__(self, batch: BatchedMatrixGame, opponent: TabularOpponent) -> None:
        self._batch, self._opponent = batch, opponent
        self._actions = torch.zeros(batch.num_envs, dtype=torch.int64)
        self._actions_array = self._actions.numpy()
        self._joint = torch.zeros(2, 1, batch.num_envs, dtype=torch.uint8)
        # in turn, so that an error leaves what the last step gave
        self._next, self._last = (Turn.empty(batch, self._joint) for _ in range(2))

    def __reduce__(self) -> tuple[type[TurnPlayer], tuple[BatchedMatrixGame, TabularOpponent]]:
        # the memory's many views see each other's numbers, which copies of them one by one would not
        return TurnPlayer, (self._batch, self._opponent)

    @staticmethod
    def of(batch: BatchedMatrixGame, opponents: list[Opponent]) -> TurnPlayer | None:
        """One, where the opponents and the game allow it."""
        if batch.game.num_states > 256 or len(opponents) != 1:
            return None
        other = opponents[0]
        return TurnPlayer(batch, other) if isinstance(other, TabularOpponent) and not other.learns else None

    def play(self, actions: np.ndarray, states: Tensor, draws: Draws) -> Turn:
        """Plays a step from states (2, E) with the agent's actions (E,), integers of any kind.

        Raises:
            ValueError: an action is out of range, or an episode has ended and autoreset is "disabled". Nothing has been
                stepped then.
        """
        # memory that torch can read, whatever the given array's strides and dtype
        self._actions_array[:] = actions
        batch, other, turn = self._batch, self._opponent, self._next
        seeds, clocks = (draws.seeds, draws.clocks) if other.random else (None, None)
        ops.matrix_game_turn(
            batch.payoffs,
            other.probabilities,
            other.rows,
            seeds,
            clocks,
            self._actions,
            states[1],
            batch.elapsed,
            batch.episode_length,
            batch.autoreset,
            self._joint,
            turn.steps,
            turn.seen_tensor,
        )
        self._next, self._last = self._last, turn
        batch.elapsed, batch.states = turn.steps.elapsed, turn.states
        return turn
