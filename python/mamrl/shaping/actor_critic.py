"""Actors, critics and what they see of a batch of games: what every shaper that learns from samples stands on.

Shapes: n players, T steps, E games at once, A actions; an agent is a row of its actor's parameters and its critic's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from mamrl.games.stepped import SteppedGame


class Network(Protocol):
    """What an agent's parts are computed by, such as :class:`mamrl.policies.gru.GRUNetwork`."""

    @property
    def num_parameters(self) -> int:
        """P."""
        ...

    def initial(self, generator: torch.Generator) -> Tensor:
        """Fresh parameters (P,)."""
        ...

    def weights(self, parameters: Tensor) -> list[Tensor]:
        """Rows (M, P) -> tensors with a leading M."""
        ...

    def outputs(self, parameters: Tensor, seen: Tensor) -> Tensor:
        """(M, P), (T, M, K, D) -> (T, M, K, outputs), differentiable in the parameters."""
        ...

    def step(self, weights: list[Tensor], seen: Tensor, hidden: Any) -> tuple[Tensor, Any]:
        """One time of it: (M, K, D) and the memory -> (M, K, outputs) and the memory after."""
        ...


@dataclass(frozen=True)
class Games:
    """E games of T steps that were played.

    Attributes:
        seen: (n, T + 1, E, D), what each player saw before each step and after the last.
        actions: (n, T, E) int64.
        rewards: (n, T, E).
        logits: (n, T, E, A), of each player's actor.
    """

    seen: Tensor
    actions: Tensor
    rewards: Tensor
    logits: Tensor


@dataclass(frozen=True)
class Batch:
    """What an agent is updated by; it is the first player, and every other one is a player of its own.

    Attributes:
        log_probs: (T, E), of its actions, differentiable in its actor.
        played_log_probs: (T, E), the same by the actor that played them.
        values: (T + 1, E), V_t = sum_a pi(a) Q(a), differentiable in its actor and its critic.
        rewards: (T, E), its own.
        other_rewards: (n - 1, T, E).
        other_actions: (n - 1, T, E) int64.
        other_q: (n - 1, T, E, A), by the others' own critics.
        other_values: (n - 1, T, E), likewise.
    """

    log_probs: Tensor
    played_log_probs: Tensor
    values: Tensor
    rewards: Tensor
    other_rewards: Tensor
    other_actions: Tensor
    other_q: Tensor
    other_values: Tensor


def play_games(
    game: SteppedGame,
    network: Network,
    players: Sequence[Tensor],
    num_games: int,
    horizon: int,
    generator: torch.Generator,
    exploration: float = 0.0,
) -> Games:
    """Plays games with a network for each player; nothing is differentiable.

    Args:
        game: what is played.
        network: of every player.
        players: rows of each, (M_i, P): the games are dealt out to them in blocks of E / M_i.
        num_games: E, a multiple of every M_i.
        horizon: T.
        generator: of everything that is drawn.
        exploration: the probability with which an action is drawn uniformly instead.
    """
    weights = [network.weights(rows.detach()) for rows in players]
    memories: list[Any] = [None] * len(players)
    seeds = torch.randint(2**62, (num_games,), generator=generator)
    state, view = game.start(seeds)
    seen, played, paid, told = [view], [], [], []
    with torch.no_grad():
        for _ in range(horizon):
            logits = []
            for player, rows in enumerate(players):
                own = view[player].view(rows.shape[0], num_games // rows.shape[0], -1)
                outputs, memories[player] = network.step(weights[player], own, memories[player])
                logits.append(outputs.reshape(num_games, -1))
            told.append(torch.stack(logits))
            actions = draw_actions(told[-1], generator)
            if exploration > 0:
                strays = torch.rand(actions.shape, generator=generator) < exploration
                anywhere = torch.randint(game.num_actions, actions.shape, generator=generator)
                actions = torch.where(strays, anywhere, actions)
            state, view, rewards = game.step(state, actions)
            seen.append(view)
            played.append(actions)
            paid.append(rewards)
    return Games(torch.stack(seen, 1), torch.stack(played, 1), torch.stack(paid, 1), torch.stack(told, 1))


def draw_actions(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Actions (...) drawn from softmax(logits), (..., A)."""
    noise = torch.rand(logits.shape, generator=generator)
    return (logits - (-noise.clamp_min(1e-38).log()).log()).argmax(-1)


def td_advantages(rewards: Tensor, values: Tensor, discount: float) -> Tensor:
    """A_t = r_t + g V_{t+1} - V_t: (T, E), (T + 1, E) -> (T, E)."""
    return rewards + discount * values[1:] - values[:-1]


def mean_values(logits: Tensor, q_values: Tensor) -> Tensor:
    """V = sum_a softmax(logits)_a Q_a: (..., A), (..., A) -> (...)."""
    return (torch.softmax(logits, -1) * q_values).sum(-1)
