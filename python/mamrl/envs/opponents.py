"""Who sits on the other side of a matrix game: tables, populations, trained LSTMs, functions.

An opponent plays one seat in E environments at once; :mod:`mamrl.envs.seats` builds it from what a user gives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mamrl import ops
from mamrl.envs.draws import Draws
from mamrl.games.matrix import MatrixGame
from mamrl.ops import reference
from mamrl.policies import LSTMPolicy, TabularPolicy
from mamrl.populations.personas import Population


class Opponent:
    """One seat in E environments.

    Attributes:
        random: whether its actions are drawn.
        learns: whether it wants to see what was played.
    """

    random = False
    learns = False

    def begin(self, which: Tensor, draws: Draws, afresh: bool) -> None:
        """Environments ``which`` (k,) begin an episode; ``afresh`` after new seeds, so that nothing is remembered."""

    def act(self, states: Tensor, draws: Draws) -> Tensor:
        """Actions (E,) at states (E,) as the seat sees them, both int64, or uint8 where that holds every state."""
        raise NotImplementedError

    def observe(
        self, states: Tensor, actions: Tensor, rewards: Tensor, playing: Tensor | None, ended: Tensor | None
    ) -> None:
        """What was played, (E,) each: by all, or by the mask ``playing``; and whose episodes ended with it, if any."""


class TabularOpponent(Opponent):
    """Plays tables of action probabilities.

    Args:
        probabilities: (R, S, A).
        player: its seat.
        rows: (E,) int64, each environment's table; None is the first for all.
    """

    def __init__(self, probabilities: Tensor, player: int, rows: Tensor | None = None) -> None:
        self.probabilities, self.player, self.rows = probabilities, player, rows
        self.random = bool(((probabilities != 0) & (probabilities != 1)).any())

    def act(self, states: Tensor, draws: Draws) -> Tensor:
        seeds, clocks = (draws.seeds, draws.clocks) if self.random else (None, None)
        return ops.tabular_actions(self.probabilities, states, self.rows, seeds, clocks, self.player)


class PopulationOpponent(TabularOpponent):
    """A persona drawn anew for every episode, all with the same probability."""

    def __init__(self, population: Population, game: MatrixGame, player: int, num_envs: int) -> None:
        tables = torch.softmax(policy_of(population, game, player).table(population.parameters), dim=-1)
        super().__init__(tables, player, torch.zeros(num_envs, dtype=torch.int64))
        self.random = True

    def begin(self, which: Tensor, draws: Draws, afresh: bool) -> None:
        assert self.rows is not None
        self.rows[which] = (draws.uniforms(which, self.player) * len(self.probabilities)).long()


class RecurrentOpponent(Opponent):
    """A trained LSTM policy, which remembers its episode."""

    random = True

    def __init__(self, policy: LSTMPolicy, parameters: Tensor, player: int, num_envs: int) -> None:
        tensors = policy.networks(parameters.detach().unsqueeze(0))
        self._table, self._recurrent, self._head, self._bias = (tensor[0] for tensor in tensors)
        self._hidden = torch.zeros(num_envs, policy.hidden_size, dtype=self._table.dtype)
        self._cell = torch.zeros_like(self._hidden)
        self._rows, self._player = torch.arange(num_envs), player

    def begin(self, which: Tensor, draws: Draws, afresh: bool) -> None:
        self._hidden[which], self._cell[which] = 0, 0

    def act(self, states: Tensor, draws: Draws) -> Tensor:
        gates = self._table[states.long()] + self._hidden @ self._recurrent.T
        self._hidden, self._cell = reference.lstm_cell(gates, self._cell)
        logits = self._hidden @ self._head.T + self._bias
        distributions = torch.softmax(logits, dim=-1).unsqueeze(1)
        only_state = torch.zeros_like(states)
        return ops.tabular_actions(distributions, only_state, self._rows, draws.seeds, draws.clocks, self._player)


class FunctionOpponent(Opponent):
    """A function of the states (E,) that gives the actions (E,), NumPy arrays of int64."""

    def __init__(self, function: Callable[[np.ndarray], Any], num_actions: int) -> None:
        self._function, self._num_actions = function, num_actions

    def act(self, states: Tensor, draws: Draws) -> Tensor:
        actions = np.asarray(self._function(states.numpy().astype(np.int64)))
        if actions.dtype.kind not in "iu" or actions.shape != tuple(states.shape):
            raise ValueError(
                f"the opponent gave actions of {actions.dtype} and shape {actions.shape}, expected integers of shape "
                f"{tuple(states.shape)}"
            )
        if actions.min() < 0 or actions.max() >= self._num_actions:
            raise ValueError(
                f"the opponent's actions go from {actions.min()} to {actions.max()}, expected 0 to "
                f"{self._num_actions - 1}"
            )
        return torch.from_numpy(actions.astype(np.int64))


def policy_of(population: Population, game: MatrixGame, player: int) -> TabularPolicy:
    """The tabular policy whose parameters a population has.

    Raises:
        ValueError: the population is of another game.
    """
    width, actions = population.parameters.shape[1], game.action_counts[player]
    parametrisation = "softmax" if width == game.num_states * actions else "logit"
    policy = TabularPolicy(game.num_states, actions, parametrisation=parametrisation)
    if width != policy.num_parameters:
        raise ValueError(
            f"the population has {width} parameters a persona, expected {policy.num_parameters} for {game.name}"
        )
    return policy
